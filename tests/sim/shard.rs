//! A workflow's living state beside the fold: what tightens acts before it is durable, and where the
//! fold saw it otherwise, the fold is believed.

use std::sync::Arc;
use std::time::Duration;

use burngate::gate::event::{Entry, Event};
use burngate::gate::outcome::FailureMode;
use burngate::gate::risk::Tier;
use burngate::gate::time::Time;
use burngate::gate::workflow::WorkflowState;
use burngate::journal::memory::MemoryJournal;
use burngate::ledger::shard::Shard;

use crate::world::{START, booked, terms};

const WORKFLOW: &str = "refunds";

fn begun() -> WorkflowState {
    WorkflowState::new(
        Time::from_millis(START),
        Arc::new(terms(Tier::Medium, 970_000)),
        Default::default(),
        false,
    )
}

fn entry(at: Time, event: &Event) -> Entry {
    Entry {
        at,
        workflow: Some(WORKFLOW.into()),
        event: event.clone(),
    }
}

/// Applies a failure in a shard, has the fold see `seen` of it, at `later`, and says how the shard
/// and the fold stand then.
fn confirmed(seen: &[Event], later: Duration) -> (WorkflowState, WorkflowState) {
    let (journal, shard) = (
        MemoryJournal::new(),
        Shard::new(WORKFLOW.into(), begun(), Arc::default()),
    );
    let now = Time::from_millis(START);
    let applied = shard.append(
        &mut shard.lock(),
        &*journal,
        now,
        booked(1, false, FailureMode::WrongAction),
    );
    let mut fold = begun();
    let entries: Vec<_> = seen
        .iter()
        .map(|event| entry(now.plus(later), event))
        .collect();
    for entry in &entries {
        fold.apply(entry.at, &entry.event);
    }
    shard.confirm(applied.ticket, &entries, &fold);
    let live = shard.lock().state().clone();
    (live, fold)
}

#[test]
fn the_fold_is_believed_where_it_saw_an_event_at_another_time() {
    let failure = booked(1, false, FailureMode::WrongAction);
    let (live, fold) = confirmed(&[failure], Duration::from_secs(7));
    assert_eq!(live, fold);
}

#[test]
fn the_fold_is_believed_where_it_saw_another_event() {
    let other = booked(1, true, FailureMode::WrongAction);
    let (live, fold) = confirmed(&[other], Duration::ZERO);
    assert_eq!(live, fold);
}

#[test]
fn the_fold_is_believed_where_it_saw_one_event_more_or_none() {
    let failure = |run| booked(run, false, FailureMode::WrongAction);
    for seen in [vec![], vec![failure(1), failure(2)]] {
        let (live, fold) = confirmed(&seen, Duration::ZERO);
        assert_eq!(live, fold);
    }
}

#[test]
fn what_is_on_its_way_stays_on_top_of_the_fold() {
    let (journal, shard) = (
        MemoryJournal::new(),
        Shard::new(WORKFLOW.into(), begun(), Arc::default()),
    );
    let now = Time::from_millis(START);
    let failure = |run| booked(run, false, FailureMode::WrongAction);
    let append = |run| shard.append(&mut shard.lock(), &*journal, now, failure(run));
    let first = append(1);
    drop(append(2));
    let later = now.plus(Duration::from_secs(7));
    let mut fold = begun();
    fold.apply(later, &failure(1));
    shard.confirm(first.ticket, &[entry(later, &failure(1))], &fold);
    fold.apply(later, &failure(2));
    assert_eq!(*shard.lock().state(), fold);
}
