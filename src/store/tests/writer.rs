//! The writer: order, volume, and that it leaves nobody waiting.

use super::*;

#[test]
fn entries_are_shown_before_receipts_are_answered_and_with_their_tickets() {
    let world = World::new();
    let appended = world.journal.append(entry(Some("w"), booked("r")));
    assert_eq!(appended.durable.wait(), Ok(Ok(())));
    let shown = world.seen.shown.lock().unwrap().clone();
    let (workflow, upto, entries) = shown.last().unwrap();
    assert_eq!((workflow.as_str(), *upto), ("w", appended.ticket));
    assert!(
        entries
            .iter()
            .any(|entry| matches!(entry.event, Event::Booked { .. }))
    );
    // What is everybody's is shown to each.
    let appended = world.journal.append(entry(None, clamp()));
    assert_eq!(appended.durable.wait(), Ok(Ok(())));
    assert_eq!(
        world.seen.shown.lock().unwrap().last().unwrap().1,
        appended.ticket
    );
    world.drain();
}

#[test]
fn a_hundred_thousand_runs_are_all_tallied_and_all_found() {
    let world = World::new();
    for n in 0..100_000 {
        world.journal.record(solo(n));
    }
    world.settle();
    let dir = world.drain();
    let database = Connection::open(dir.path().join("ledger.db")).unwrap();
    let (runs, listed): (i64, i64) = database
        .query_row(
            "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM call_list)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!((runs, listed), (100_000, 100_000));
    drop(database);
    let world = World::at(dir);
    assert_eq!(counted(&world.entries()), 100_000);
    let found = world.runs(RunFilter {
        call: Some(call_id(77_777)),
        ..RunFilter::default()
    });
    assert_eq!(found, [solo(77_777)]);
    world.drain();
}

#[test]
fn dropped_without_a_drain_it_hangs_nobody() {
    let world = World::new();
    let waiting = world.journal.append(entry(Some("w"), booked("r")));
    drop(world.running);
    assert!(waiting.durable.wait().is_ok_and(|answer| answer.is_ok()));
    assert_eq!(
        world.journal.append(entry(None, clamp())).durable.wait(),
        Ok(Err(crate::journal::unavailable::Unavailable))
    );
    assert!(!world.journal.ready());
}

#[test]
fn a_writer_that_panics_leaves_nobody_waiting() {
    struct Broken;
    impl Projection for Broken {
        fn committed(&self, _: &WorkflowName, _: Ticket, _: &[Entry], _: &WorkflowState) {
            panic!("a projection that is broken");
        }
    }
    let dir = World::new().drain();
    let store = open(dir.path()).unwrap().store;
    let journal = store.journal();
    let running = store.start(Arc::new(Broken), Arc::new(|| at(0))).unwrap();
    assert!(
        journal
            .append(entry(Some("w"), booked("r")))
            .durable
            .wait()
            .is_err()
    );
    assert_eq!(
        running.drain(),
        Err(crate::journal::unavailable::Unavailable)
    );
    assert!(!journal.ready());
}
