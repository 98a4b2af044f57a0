//! The rules one by one. That every journal follows them is tested with the journals.

use super::ids::{Belongs, RunNames, numbered, row_of, split};
use super::*;
use crate::gate::name::{CallId, PersonName};
use crate::gate::outcome::Source;
use crate::gate::run::RunRef;
use crate::gate::run_flags::RunFlags;
use crate::gate::time::Time;

fn charge(mode: FailureMode, source: Source, reference: Option<&str>) -> Charge {
    Charge {
        mode,
        source,
        by: None,
        call: Some(CallId::from_bits(1)),
        tool: None,
        note: None,
        reference: reference.map(Into::into),
    }
}

/// A run that ended with one call of which nobody knows whether it was executed.
fn ended(charges: &[Charge]) -> BookedRun {
    let run = RunRef {
        agent: "bot".into(),
        run: "r".into(),
    };
    let mut run =
        BookedRun::unfinished("w".into(), run, Time::from_millis(5), false, RunFlags::NONE);
    run.add(charges, |charge| counts(&charge.mode));
    run.open = false;
    run.counts = true;
    run.calls = vec![(CallId::from_bits(1), Executed::Unknown)];
    run.mark = run.judged();
    run
}

fn counts(mode: &FailureMode) -> bool {
    *mode == FailureMode::Timeout
}

fn after(run: &BookedRun, change: &Change) -> BookedRun {
    run.change(change, counts).unwrap().unwrap().after
}

fn by() -> PersonName {
    "dana".into()
}

fn retract(mode: FailureMode) -> Change {
    Change::Retract {
        mode: Some(mode),
        reference: None,
        by: by(),
        own_only: false,
    }
}

#[test]
fn a_report_without_a_reference_is_a_report_of_its_own() {
    let report = Change::Report(charge(FailureMode::Timeout, Source::Person, None));
    let twice = after(&after(&ended(&[]), &report), &report);
    assert_eq!((twice.charges.len(), twice.mark), (2, Mark::Unacceptable));
    let once = after(&twice, &retract(FailureMode::Timeout));
    assert_eq!(once.mark, Mark::Unacceptable, "the other one stands");
}

#[test]
fn a_delivery_that_is_repeated_does_not_undo_a_retraction() {
    let report = Change::Report(charge(FailureMode::Timeout, Source::System, Some("T-1")));
    let reported = after(&ended(&[]), &report);
    assert_eq!(reported.change(&report, counts), Ok(None));
    let back = after(&reported, &retract(FailureMode::Timeout));
    assert_eq!(
        (back.mark, back.change(&report, counts)),
        (Mark::Acceptable, Ok(None))
    );
}

#[test]
fn a_charge_counts_as_it_did_when_it_became_known() {
    let run = after(
        &ended(&[]),
        &Change::Report(charge(FailureMode::Timeout, Source::Person, None)),
    );
    let remark = Change::Report(charge(FailureMode::ToolError, Source::Person, None));
    let everything_is_forgiven = |_: &FailureMode| false;
    let run = run
        .change(&remark, everything_is_forgiven)
        .unwrap()
        .unwrap();
    let back = retract(FailureMode::ToolError);
    let back = run.after.change(&back, everything_is_forgiven).unwrap();
    assert_eq!(back.unwrap().after.mark, Mark::Unacceptable);
}

#[test]
fn a_run_leaves_the_queue_when_a_person_judged_it_or_nothing_is_left_to_judge() {
    let waiting = BookedRun {
        check: Some(CheckState::Waiting),
        ..ended(&[])
    };
    let report = |mode, source| Change::Report(charge(mode, source, None));
    for (mode, source, state) in [
        (FailureMode::ToolError, Source::System, CheckState::Waiting),
        (FailureMode::ToolError, Source::Person, CheckState::Reported),
        (FailureMode::Timeout, Source::System, CheckState::Reported),
    ] {
        assert_eq!(after(&waiting, &report(mode, source)).check, Some(state));
    }
}

#[test]
fn only_what_the_gate_said_of_a_lost_answer_goes_with_it() {
    let charges = [
        charge(FailureMode::Timeout, Source::Wire, None),
        charge(FailureMode::Timeout, Source::Person, None),
        charge(FailureMode::WrongAction, Source::Wire, None),
    ];
    let reconcile = Change::Reconcile {
        call: CallId::from_bits(1),
        executed: false,
        harmless: true,
        note: None,
        by: by(),
    };
    let run = after(&ended(&charges), &reconcile);
    let retracted: Vec<_> = run.charges.iter().map(|known| known.retracted).collect();
    assert_eq!(retracted, [true, false, false]);
    let run = after(&ended(&charges[..1]), &reconcile);
    assert_eq!(
        (run.mark, run.is_ambiguous()),
        (Mark::Acceptable, false),
        "its call was forwarded: the run counts"
    );
}

#[test]
fn what_goes_on_can_only_get_worse() {
    let open = BookedRun {
        open: true,
        ..ended(&[charge(FailureMode::Timeout, Source::Wire, None)])
    };
    assert_eq!(
        open.change(&retract(FailureMode::Timeout), counts),
        Err(Unchangeable::Open)
    );
    let report = Change::Report(charge(FailureMode::Timeout, Source::Person, None));
    assert!(open.change(&report, counts).unwrap().is_some());
}

/// Ids that were given, and whether their runs go on.
struct Given(Vec<(&'static str, bool)>);

impl RunNames for Given {
    type Row = usize;
    type Error = std::convert::Infallible;

    fn named(&mut self, run: &str) -> Result<Option<(usize, bool)>, Self::Error> {
        let row = self.0.iter().position(|(known, _)| *known == run);
        Ok(row.map(|row| (row, self.0[row].1)))
    }

    fn open_by_call(&mut self, _: CallId) -> Result<Option<usize>, Self::Error> {
        Ok(None)
    }

    fn open_continuation(&mut self, base: &str) -> Result<Option<usize>, Self::Error> {
        let open = |(known, open): &(&str, bool)| *open && *known != base && split(known).0 == base;
        Ok(self.0.iter().rposition(open))
    }

    fn last_number(&mut self, base: &str) -> Result<u64, Self::Error> {
        let numbers = self.0.iter().map(|(known, _)| split(known));
        let own = numbers.filter(|(known, _)| *known == base);
        Ok(own.map(|(_, number)| number).max().unwrap_or(0))
    }
}

#[test]
fn an_id_that_comes_again_is_the_next_continuation() {
    let belongs = |given: &[(&'static str, bool)], run| {
        let Ok(belongs) = row_of(&mut Given(given.to_vec()), run, None);
        belongs
    };
    let new = |id: &str| Belongs::Nowhere(Some(id.into()));
    assert_eq!(belongs(&[], "r"), new("r"));
    assert_eq!(belongs(&[("r", true)], "r"), Belongs::To(0));
    assert_eq!(belongs(&[("r", false)], "r"), new("r#2"));
    assert_eq!(belongs(&[("r", false), ("r#7", false)], "r"), new("r#8"));
    assert_eq!(belongs(&[("r", false), ("r#2", true)], "r"), Belongs::To(1));
    assert_eq!(belongs(&[("r#2", false)], "r#2"), new("r#3"));
    assert_eq!(belongs(&[("r", false), ("rr#3", false)], "r"), new("r#2"));
}

#[test]
fn a_number_is_read_back_as_it_is_written() {
    for (id, parts) in [
        ("r", ("r", 1)),
        ("r#2", ("r", 2)),
        ("r#1", ("r#1", 1)),
        ("r#x", ("r#x", 1)),
        ("r#2#3", ("r#2", 3)),
        ("r#4294967296", ("r#4294967296", 1)),
    ] {
        assert_eq!(split(id), parts);
        assert_eq!(numbered(parts.0, parts.1).as_str(), id);
    }
}
