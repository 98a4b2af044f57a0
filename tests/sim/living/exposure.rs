//! Exposure: runs side by side cannot overdraw a budget, and no place is lost.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};

use burngate::gate::name::LevelName;
use burngate::gate::outcome::FailureMode;
use burngate::gate::policy::finding::RuleName;
use burngate::ledger::call::in_flight::Settlement;
use burngate::ledger::call::outcome::Admit;
use burngate::ledger::call::permit::Permit;
use burngate::ledger::call::refusal::Refusal;
use burngate::ledger::exposure::SlotUsage;

use super::checks;
use super::desk::{Desk, LEASE, Rules, passed, refused};

const THREADS: usize = 1_000;

/// Three runs may fail: 97% of 100.
fn rules() -> Rules {
    Rules {
        exposure: true,
        ..Rules::default()
    }
}

/// As many may fail as anybody likes, but of those with a high call three.
fn high() -> Rules {
    let mut rules = rules();
    rules.terms.objective.expected_runs = 1_000_000;
    rules.terms.starts = LevelName::from("autonomous");
    rules
}

fn usage(desk: &Desk) -> SlotUsage {
    let handle = desk.handle("refunds");
    handle.shard.exposure().usage(&handle.shard.status())
}

fn taken(desk: &Desk) -> (u32, u32) {
    (usage(desk).all_taken, usage(desk).high_taken)
}

fn ends(permit: Permit, modes: Vec<(FailureMode, &'static str)>) {
    let mut call = permit.spend();
    call.answered(200);
    call.settle(Settlement { status: 200, modes });
}

fn no_place(admit: Admit) {
    let Refusal::Rule(finding) = refused(admit) else {
        panic!("by no rule")
    };
    assert_eq!(finding.rule, RuleName::Exposure, "{}", finding.detail);
}

fn in_run(desk: &Desk, run: &str, tool: &str) -> Admit {
    desk.call(Some(run), tool, 9)
}

#[test]
fn of_a_thousand_runs_at_once_as_many_go_as_may_fail_and_an_approved_call_still_passes() {
    for (rules, tool) in [(rules(), "api/mail"), (high(), "api/pay")] {
        let is_high = tool == "api/pay";
        let desk = Desk::of(&[("refunds", rules)], 10, 2 * THREADS);
        let (start, went) = (Barrier::new(THREADS), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for n in 0..THREADS {
                let (desk, start, went) = (&desk, &start, &went);
                let body = move || {
                    start.wait();
                    match in_run(desk, &format!("r{n}"), tool) {
                        Admit::Pass { permit, .. } => {
                            went.fetch_add(1, Ordering::Relaxed);
                            ends(permit, Vec::new());
                        }
                        Admit::Refused {
                            refusal: Refusal::Rule(finding),
                            ..
                        } => assert_eq!(finding.rule, RuleName::Exposure),
                        _ => panic!("neither"),
                    }
                };
                std::thread::Builder::new()
                    .stack_size(256 << 10)
                    .spawn_scoped(scope, body)
                    .unwrap();
            }
        });
        assert_eq!(went.load(Ordering::Relaxed), 3, "{tool}");
        assert_eq!(taken(&desk), (3, if is_high { 3 } else { 0 }));
        if !is_high {
            desk.approved(1);
            drop(passed(desk.call(Some("approved"), "api/pay", 1)).0.spend());
        }
        desk.done(Some("reads"), "api/look");
        desk.done(Some("notes"), "api/note");
        no_place(in_run(&desk, "late", tool));
        // All of them end, and every place is free again.
        desk.pass(LEASE);
        desk.ledger.sweep();
        assert_eq!(taken(&desk), (0, 0));
        desk.journal.write();
        checks::journal(&desk.entries(), true);
        checks::projection(&desk);
    }
}

#[test]
fn failures_side_by_side_never_overdraw() {
    // Each run that goes fails. However they meet, no more go than may fail: B stays within what is
    // allowed, but for the one that goes when nothing is left.
    for _ in 0..8 {
        let desk = Desk::new(rules());
        let start = Barrier::new(64);
        std::thread::scope(|scope| {
            for n in 0..64 {
                let (desk, start) = (&desk, &start);
                scope.spawn(move || {
                    start.wait();
                    if let Admit::Pass { permit, .. } = in_run(desk, &format!("r{n}"), "api/mail") {
                        // From burned on it is held, so what passes passed before.
                        ends(permit, vec![(FailureMode::WrongAction, "")]);
                    }
                });
            }
        });
        desk.journal.write();
        let failed = desk
            .journal
            .state()
            .workflow(&"refunds".into())
            .unwrap()
            .status()
            .all
            .unacceptable;
        assert_eq!(failed, 3);
        assert_eq!(taken(&desk), (0, 0));
        checks::projection(&desk);
    }
}

#[test]
fn a_place_comes_back_with_the_run_and_not_with_the_call() {
    let desk = Desk::new(rules());
    for run in ["a", "b", "c"] {
        ends(passed(in_run(&desk, run, "api/mail")).0, Vec::new());
    }
    // A run has one place for all of its calls.
    ends(passed(in_run(&desk, "a", "api/mail")).0, Vec::new());
    no_place(in_run(&desk, "d", "api/mail"));
    // It ends well: one more may go.
    assert!(
        desk.ledger
            .finish(&"refunds".into(), &"clerk".into(), &"a".into(), false)
            .is_some()
    );
    assert_eq!(taken(&desk), (2, 0));
    // It fails: its place is gone for good, because it is in B now.
    ends(
        passed(in_run(&desk, "b", "api/note")).0,
        vec![(FailureMode::WrongAction, "")],
    );
    assert_eq!((usage(&desk).all, taken(&desk)), (2, (1, 0)));
    // A run that is in B already takes none.
    ends(passed(in_run(&desk, "b", "api/mail")).0, Vec::new());
    ends(passed(in_run(&desk, "d", "api/mail")).0, Vec::new());
    no_place(in_run(&desk, "e", "api/mail"));
    // What was not executed took nothing.
    assert!(
        desk.ledger
            .finish(&"refunds".into(), &"clerk".into(), &"c".into(), false)
            .is_some()
    );
    drop(passed(in_run(&desk, "e", "api/mail")).0);
    assert_eq!(taken(&desk), (1, 0));
}

#[test]
fn a_failed_run_that_goes_on_to_a_high_call_needs_room_in_that_budget() {
    let desk = Desk::new(high());
    for run in ["a", "b", "c"] {
        ends(passed(in_run(&desk, run, "api/pay")).0, Vec::new());
    }
    ends(
        passed(in_run(&desk, "failed", "api/note")).0,
        vec![(FailureMode::WrongAction, "")],
    );
    no_place(in_run(&desk, "failed", "api/pay"));
    assert!(
        desk.ledger
            .finish(&"refunds".into(), &"clerk".into(), &"a".into(), false)
            .is_some()
    );
    let (permit, _) = passed(in_run(&desk, "failed", "api/pay"));
    assert_eq!(taken(&desk), (2, 3));
    ends(permit, Vec::new());
    // It is in that budget now, which has room for two, and both are taken.
    assert_eq!((usage(&desk).high, taken(&desk)), (2, (2, 2)));
}

#[test]
fn after_a_crash_what_was_under_way_is_booked_and_every_place_is_free() {
    let desk = Desk::new(rules());
    let under_way: Vec<_> = (0..2)
        .map(|n| {
            passed(in_run(&desk, &format!("r{n}"), "api/mail"))
                .0
                .spend()
        })
        .collect();
    desk.journal.write();
    let after = desk.crash(desk.entries().len());
    assert_eq!((usage(&after).all, taken(&after)), (1, (0, 0)));
    drop(under_way);
}
