//! What is there after a drain, after a crash, and in a copy.

use super::*;

#[test]
fn a_drained_ledger_opens_to_the_same_state_and_says_what_happened() {
    let world = World::new();
    for n in 0..100 {
        world.journal.record(solo(n));
    }
    world.append(Some("w"), booked("r"));
    let dir = world.drain();
    let opened = open(dir.path()).unwrap();
    assert!(!opened.first_start && !opened.lost);
    let again = World::of(dir, opened.store);
    let entries = again.entries();
    assert_eq!(counted(&entries), 100);
    assert_eq!(
        crate::store::verify(again.dir.path(), &[], || {})
            .unwrap()
            .rows,
        entries.len() as u64
    );
    assert!(matches!(entries.last().unwrap().event, Event::Stopped));
    assert_eq!(refold(&entries, opened.state.now()), opened.state);
    again.drain();
}

#[test]
fn a_copy_made_at_any_commit_opens_with_everything_acknowledged_by_then() {
    let world = World::new();
    *world.seen.copies.lock().unwrap() = Some((world.dir.path().into(), Vec::new()));
    for n in 0..30_u64 {
        for m in 0..10 {
            world.journal.record(solo(100 * n + m));
        }
        world.append(
            Some("w"),
            if n % 3 == 0 {
                booked(&format!("r{n}"))
            } else {
                Event::Admitted(admission(n, &format!("r{n}"), true))
            },
        );
    }
    let (_, copies) = world.seen.copies.lock().unwrap().take().unwrap();
    world.drain();
    assert!(copies.len() >= 30, "{}", copies.len());
    for (n, copy) in copies.into_iter().enumerate() {
        let opened = open(copy.path()).unwrap();
        let state = opened.state.clone();
        let world = World::of(copy, opened.store);
        let entries = world.entries();
        assert_eq!(refold(&entries, state.now()), state);
        let acknowledged = entries
            .iter()
            .filter(|entry| matches!(entry.event, Event::Booked { .. } | Event::Admitted(_)))
            .count();
        assert!(acknowledged > n.min(29), "{acknowledged} in copy {n}");
        assert_eq!(
            usize::try_from(counted(&entries)).unwrap(),
            world
                .runs(RunFilter {
                    outcome: Some(Outcome::Acceptable),
                    ..RunFilter::default()
                })
                .len()
        );
        assert_eq!(
            state
                .workflows()
                .flat_map(|(_, workflow)| workflow.open_calls())
                .count(),
            0
        );
    }
}

#[test]
fn what_a_crash_left_open_is_settled_before_anything_is_admitted() {
    let world = World::new();
    world.append(
        Some("w"),
        Event::Admitted(admission(1, &call_id(1).to_string(), false)),
    );
    world.append(Some("w"), Event::Admitted(admission(2, "named", false)));
    world.append(Some("w"), Event::Admitted(admission(3, "named", false)));
    world.append(Some("w"), Event::Admitted(admission(4, "harmless", true)));
    world.append(Some("w"), booked("failed before"));
    world.append(
        Some("w"),
        Event::Admitted(admission(5, "failed before", false)),
    );
    let crashed = copy(world.dir.path());
    world.drain();
    let world = World::at(crashed);
    let entries = world.entries();
    assert_eq!(
        entries
            .iter()
            .filter(|entry| matches!(
                entry.event,
                Event::Settled {
                    executed: Executed::Unknown,
                    ..
                }
            ))
            .count(),
        5
    );
    // One each for the two runs, and the one from before the crash.
    assert_eq!(
        entries
            .iter()
            .filter(|entry| matches!(entry.event, Event::Booked { .. }))
            .count(),
        3
    );
    let ambiguous = world.runs(RunFilter {
        ambiguous: true,
        ..RunFilter::default()
    });
    assert_eq!(ambiguous.len(), 3);
    assert!(ambiguous.iter().all(|run| {
        run.mark == Mark::Unacceptable
            && run
                .charges
                .iter()
                .any(|charge| charge.mode == FailureMode::Timeout)
    }));
    assert_eq!(
        world.runs(RunFilter {
            run: Some("named".into()),
            ..RunFilter::default()
        })[0]
            .calls
            .len(),
        2
    );
    assert_eq!(
        world
            .runs(RunFilter {
                run: Some(call_id(1).to_string().into()),
                subject: Some("A-1001".into()),
                ..RunFilter::default()
            })
            .len(),
        1
    );
    // The same id again is another run.
    world.append(Some("w"), booked("named"));
    assert_eq!(
        world
            .runs(RunFilter {
                run: Some("named#2".into()),
                ..RunFilter::default()
            })
            .len(),
        1
    );
    world.drain();
}
