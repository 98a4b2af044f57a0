//! Many runs changed as one.

use super::late::{by_run, report};
use super::*;

fn key(run: &str) -> RunKey {
    RunKey {
        workflow: "w".into(),
        agent: "bot".into(),
        run: run.into(),
    }
}

fn revise_all(world: &World, of: BatchOf, change: Change) -> Result<RevisedAll, ReviseError> {
    let batch = Batch {
        of,
        at: at(60_000),
        change,
    };
    world.journal.revise_all(batch).wait().unwrap()
}

fn unacceptable(world: &World) -> Vec<RunRecord> {
    world.runs(RunFilter {
        outcome: Some(Outcome::Unacceptable),
        ..RunFilter::default()
    })
}

#[test]
fn a_batch_is_done_as_one_and_taken_back_as_one() {
    let world = World::new();
    let all = |of, change| revise_all(&world, of, change);
    let names: Vec<String> = (0..50).map(|n| format!("r{n}")).collect();
    for (n, name) in (0..).zip(&names) {
        world
            .journal
            .record(run(Some(name), vec![call(n, "api/put", Risk::Low, None)]));
    }
    world.settle();
    let keys = world
        .records
        .keys(&RunFilter {
            tool: Some("api/put".into()),
            ..RunFilter::default()
        })
        .unwrap();
    assert_eq!(keys.len(), 50);
    let reported = all(BatchOf::Runs(keys.clone()), report(Some("INC-4"))).unwrap();
    assert_eq!(
        (reported.changed.get("w"), reported.repeated),
        (Some(&50), 0)
    );
    assert_eq!(
        all(BatchOf::Runs(keys.clone()), report(Some("INC-4")))
            .unwrap()
            .repeated,
        50
    );
    // One of them was reported by somebody else as well, and stays what it is.
    world.revise(by_run("r7"), report(Some("T-1"))).unwrap();
    let back = Change::Retract {
        mode: None,
        reference: Some("INC-4".into()),
        by: "dana".into(),
        own_only: false,
    };
    assert_eq!(
        all(BatchOf::Reference("INC-4".into()), back.clone())
            .unwrap()
            .changed
            .get("w"),
        Some(&50)
    );
    assert_eq!(
        all(BatchOf::Reference("INC-4".into()), back).unwrap(),
        RevisedAll::default()
    );
    assert_eq!(
        unacceptable(&world)
            .iter()
            .map(|run| run.run.as_ref().unwrap().as_str())
            .collect::<Vec<_>>(),
        ["r7"]
    );
    // A repetition of the batch after that changes nothing.
    assert_eq!(
        all(BatchOf::Runs(keys), report(Some("INC-4")))
            .unwrap()
            .changed
            .len(),
        0
    );
    world.drain();
}

#[test]
fn a_batch_takes_runs_out_of_the_budget_and_puts_them_back_or_does_neither() {
    let world = World::new();
    let all = |of, change| revise_all(&world, of, change);
    for (n, name) in (0..).zip(["r1", "r7"]) {
        world
            .journal
            .record(run(Some(name), vec![call(n, "api/put", Risk::Low, None)]));
    }
    world.settle();
    world.revise(by_run("r7"), report(Some("T-1"))).unwrap();
    // One run of it goes on: nothing is excluded.
    world.append(Some("w"), booked("open"));
    let out = Change::Exclude {
        reason: "an incident".into(),
        reference: Some("INC-5".into()),
        by: "dana".into(),
    };
    let refused = all(BatchOf::Runs(vec![key("r1"), key("open")]), out.clone());
    assert_eq!(refused, Err(ReviseError::Open("open".into(), "w".into())));
    assert!(
        world
            .runs(RunFilter {
                outcome: Some(Outcome::Excluded),
                ..RunFilter::default()
            })
            .is_empty()
    );
    assert_eq!(
        all(
            BatchOf::Runs(vec![key("r1"), key("r7"), key("nobody")]),
            out
        )
        .unwrap()
        .changed
        .get("w"),
        Some(&2)
    );
    assert_eq!(
        all(
            BatchOf::Reference("INC-5".into()),
            Change::Reinstate { by: "dana".into() }
        )
        .unwrap()
        .changed
        .get("w"),
        Some(&2)
    );
    assert_eq!(
        unacceptable(&world)
            .iter()
            .filter(|run| run.run == Some("r7".into()))
            .count(),
        1
    );
    world.drain();
}

#[test]
fn g7_a_batch_has_as_many_runs_as_the_bound_and_one_more_is_refused() {
    use crate::journal::revise::MAX_BATCH;
    let world = World::new();
    for n in 0..=MAX_BATCH as u64 {
        let calls = vec![call(n, "api/put", Risk::Low, None)];
        world.journal.record(run(Some(&format!("r{n}")), calls));
    }
    world.settle();
    let mut keys = world.records.keys(&RunFilter::default()).unwrap();
    assert_eq!(keys.len(), MAX_BATCH + 1);
    // None of them is excluded, so that there is nothing to put back.
    let put_back = |keys| {
        let change = Change::Reinstate { by: "dana".into() };
        revise_all(&world, BatchOf::Runs(keys), change).map(|done| done.repeated)
    };
    assert_eq!(put_back(keys.clone()), Err(ReviseError::TooMany));
    keys.pop();
    assert_eq!(put_back(keys), Ok(MAX_BATCH as u64));
    world.drain();
}
