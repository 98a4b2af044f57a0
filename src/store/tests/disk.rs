//! Disks that are full, lie, or lose their files.

use super::*;
use crate::journal::unavailable::Unavailable;

/// Waits until the journal takes something again.
fn recovered(world: &World) {
    while world
        .journal
        .append(entry(None, Event::ClockAccepted { by: "dana".into() }))
        .durable
        .wait()
        != Ok(Ok(()))
    {}
    assert!(world.journal.ready());
}

#[test]
fn on_a_full_disk_facts_wait_and_requests_are_refused() {
    let world = World::new();
    world.fault.pages.store(1, Ordering::SeqCst);
    let big = "x".repeat(100_000);
    let fact = world.journal.append(entry(
        Some("w"),
        Event::Withdrawn {
            approval: crate::gate::name::ApprovalId::from_bits(1),
            reason: big.as_str().into(),
        },
    ));
    assert_eq!(fact.durable.wait(), Ok(Err(Unavailable)));
    assert!(!world.journal.ready());
    let request = world
        .journal
        .append(entry(Some("w"), Event::Admitted(admission(1, "r", false))));
    let ticket = request.ticket;
    // More than one transaction takes: whoever comes after them is told all the same.
    for n in 0..super::super::queue::MOST_AT_ONCE as u64 {
        world.journal.record(solo(7 + n));
    }
    assert_eq!(request.durable.wait(), Ok(Err(Unavailable)));
    assert_eq!(
        world.revise(
            RunTarget::Call(call_id(7)),
            Change::Reinstate { by: "dana".into() }
        ),
        Err(Unavailable.into())
    );
    let clamped = world.journal.append(entry(Some("w"), clamp()));
    let clamped_ticket = clamped.ticket;
    assert_eq!(clamped.durable.wait(), Ok(Err(Unavailable)));
    world.fault.pages.store(0, Ordering::SeqCst);
    recovered(&world);
    let count = |kind| {
        world
            .entries()
            .iter()
            .filter(|entry| entry.event.kind().name() == kind)
            .count()
    };
    assert_eq!(
        (count("withdrawn"), count("clamped"), count("admitted")),
        (1, 1, 0)
    );
    // The ledger is told what will never be durable, and only that.
    assert!(world.seen.refused.lock().unwrap().contains(&ticket));
    assert!(!world.seen.refused.lock().unwrap().contains(&clamped_ticket));
    assert_eq!(
        usize::try_from(counted(&world.entries())).unwrap(),
        super::super::queue::MOST_AT_ONCE
    );
    let dir = world.drain();
    assert!(open(dir.path()).is_ok());
}

#[test]
fn a_commit_that_took_place_though_it_was_said_to_have_failed_is_not_made_twice() {
    let world = World::new();
    world.fault.lies.store(true, Ordering::SeqCst);
    world.journal.record(solo(1));
    let request = world
        .journal
        .append(entry(Some("w"), Event::Admitted(admission(1, "r", false))));
    assert_eq!(request.durable.wait(), Ok(Err(Unavailable)));
    recovered(&world);
    let entries = world.entries();
    assert_eq!(counted(&entries), 1);
    assert_eq!(world.runs(RunFilter::default()).len(), 1);
    // Its caller was told no, so it is settled as never sent.
    assert!(entries.iter().any(|entry| matches!(
        entry.event,
        Event::Settled {
            executed: Executed::No,
            ..
        }
    )));
    world.drain();
}

#[test]
fn a_ledger_deleted_under_the_gate_is_not_made_anew() {
    let world = World::new();
    for file in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        fs::remove_file(world.dir.path().join(file)).unwrap();
    }
    assert_eq!(
        world.journal.append(entry(None, clamp())).durable.wait(),
        Ok(Err(Unavailable))
    );
    assert!(!world.journal.ready());
    assert_eq!(world.running.drain(), Err(Unavailable));
    assert!(!world.dir.path().join("ledger.db").exists());
}

#[test]
fn a_minute_that_passes_moves_the_mark_below_which_no_clock_goes() {
    let world = World::new();
    world.clock.store(T0 + 600_000, Ordering::SeqCst);
    world.settle();
    let crashed = copy(world.dir.path());
    assert_eq!(open(crashed.path()).unwrap().state.now(), at(600_000));
    world.drain();
}

#[test]
fn the_rows_say_what_the_schema_says() {
    let world = World::new();
    world.journal.record(run(
        Some("r"),
        vec![
            call(1, "api/get", Risk::Read, Some("A-1")),
            call(2, "api/put", Risk::High, None),
        ],
    ));
    world.append(Some("w"), booked("s"));
    let dir = world.drain();
    let database = Connection::open(dir.path().join("ledger.db")).unwrap();
    let row: (String, String, String, i64) = database
        .query_row(
            "SELECT booked_at, run, mark, calls FROM run_list WHERE run = ?1",
            params!["r"],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .unwrap();
    assert_eq!(
        row,
        (
            "2026-09-21T14:13:20.002Z".into(),
            "r".into(),
            "acceptable".into(),
            2
        )
    );
    let modes: String = database
        .query_row("SELECT modes FROM run_list WHERE run = 's'", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(modes, "wrong_action");
    let high: String = database
        .query_row(
            "SELECT risk FROM call_list WHERE tool = 'api/put'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(high, "high");
    assert_eq!(
        database.query_row("SELECT count(*) FROM charge_list", [], |row| row
            .get::<_, i64>(0)),
        Ok(1)
    );
}
