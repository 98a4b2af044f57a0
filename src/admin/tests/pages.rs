//! Reading page by page, up to a bound.

use rstest::rstest;

use super::many_records::ManyRecords;
use super::world::{NOW, run};
use crate::admin::enforce::MAX_PREVIEW_RUNS;
use crate::admin::incidents::MAX_INCIDENT_RUNS;
use crate::admin::review::{MAX_REVIEW_ENTRIES, MAX_TIMELINE_RUNS, each_entry};
use crate::admin::runs::{MAX_LISTED, each_run};
use crate::gate::run::Mark;
use crate::gate::time::minutes;
use crate::journal::read::{Happened, RunFilter};

fn records(runs: usize, entries: usize) -> ManyRecords {
    ManyRecords {
        runs: runs as u64,
        run: run("r", "triage-bot", Mark::Acceptable, minutes(1), &[]),
        entries: entries as u64,
        decided: Vec::new(),
    }
}

#[rstest]
#[case::within_a_page(MAX_LISTED - 1)]
#[case::a_page(MAX_LISTED)]
#[case::a_run_more_than_a_page(MAX_LISTED + 1)]
#[case::a_preview(MAX_PREVIEW_RUNS)]
#[case::an_incident(MAX_INCIDENT_RUNS)]
#[case::a_timeline(MAX_TIMELINE_RUNS)]
fn g7_runs_are_read_up_to_the_bound_and_whether_there_are_more_is_known(#[case] most: usize) {
    let read = |runs: usize| {
        let mut seen = 0;
        let more = each_run(&records(runs, 0), RunFilter::default(), most, |_| seen += 1);
        (seen, more.unwrap())
    };
    assert_eq!(read(most - 1), (most - 1, false));
    assert_eq!(read(most), (most, false));
    assert_eq!(read(most + 1), (most, true));
}

#[test]
fn g7_a_review_reads_entries_up_to_the_bound_and_says_where_there_are_more() {
    let happened = Happened {
        workflow: None,
        since: NOW,
        until: NOW.plus(minutes(1)),
        kinds: Vec::new(),
        granted: false,
    };
    let read = |entries: usize| {
        let (mut seen, mut missing) = (0, Vec::new());
        each_entry(&records(0, entries), &happened, &mut missing, |_| seen += 1).unwrap();
        (seen, missing.len())
    };
    assert_eq!(read(MAX_REVIEW_ENTRIES), (MAX_REVIEW_ENTRIES, 0));
    assert_eq!(read(MAX_REVIEW_ENTRIES + 1), (MAX_REVIEW_ENTRIES, 1));
}
