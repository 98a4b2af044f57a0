//! The loop breaker: what counts as the same call again, and what does not.

use burngate::gate::approval::DecisionKind;
use burngate::gate::event::Event;
use burngate::gate::name::CallId;
use burngate::gate::outcome::FailureMode;
use burngate::gate::policy::finding::{Finding, RuleName};
use burngate::gate::time::minutes;
use burngate::ledger::call::in_flight::Settlement;
use burngate::ledger::call::outcome::Admit;
use burngate::ledger::call::refusal::Refusal;

use super::checks;
use super::desk::{Desk, Rules, decision, passed, refused};

fn desk() -> Desk {
    Desk::new(Rules {
        repeats: 4,
        ..Rules::default()
    })
}

fn done(desk: &Desk, tool: &str, digest: u8, status: u16) -> CallId {
    let mut call = passed(desk.call(Some("r"), tool, digest)).0.spend();
    let id = call.id();
    call.answered(status);
    call.settle(Settlement {
        status,
        modes: Vec::new(),
    });
    id
}

fn broken(admit: Admit) -> Finding {
    let Refusal::Rule(finding) = refused(admit) else {
        panic!("not by a rule")
    };
    assert_eq!(finding.rule, RuleName::Loop);
    *finding
}

fn duplicates(desk: &Desk) -> usize {
    desk.journal.write();
    checks::journal(&desk.entries(), false);
    checks::projection(desk);
    let duplicate = |entry: &&burngate::gate::event::Entry| matches!(&entry.event, Event::Booked { charges, .. } if charges.iter().any(|charge| charge.mode == FailureMode::DuplicateWork));
    desk.entries().iter().filter(duplicate).count()
}

#[test]
fn the_fourth_same_call_is_refused_names_the_first_and_costs_its_run_once() {
    let desk = desk();
    let first = done(&desk, "api/note", 1, 200);
    done(&desk, "api/note", 2, 200);
    done(&desk, "api/note", 1, 400);
    done(&desk, "api/note", 1, 200);
    assert_eq!(duplicates(&desk), 0);
    for _ in 0..3 {
        let finding = broken(desk.call(Some("r"), "api/note", 1));
        assert!(
            finding.detail.contains(&first.to_string()) && finding.detail.contains("3 times"),
            "{}",
            finding.detail
        );
    }
    assert_eq!(duplicates(&desk), 1);
    // Neither another call nor another run is in that loop.
    done(&desk, "api/note", 2, 200);
    drop(passed(desk.call(Some("other"), "api/note", 1)).0);
    assert_eq!(
        desk.journal
            .state()
            .workflow(&"refunds".into())
            .unwrap()
            .status()
            .all
            .unacceptable,
        1
    );
}

#[test]
fn what_was_not_sent_or_was_put_off_counts_nothing() {
    let desk = desk();
    for _ in 0..20 {
        drop(passed(desk.call(Some("r"), "api/note", 1)).0);
        done(&desk, "api/note", 1, 429);
        done(&desk, "api/note", 1, 503);
    }
    for _ in 0..3 {
        done(&desk, "api/note", 1, 500);
    }
    broken(desk.call(Some("r"), "api/note", 1));
}

#[test]
fn calls_in_flight_count_so_that_a_volley_is_a_loop_too() {
    let desk = desk();
    let volley: Vec<_> = (0..3)
        .map(|_| passed(desk.call(Some("r"), "api/note", 1)).0)
        .collect();
    broken(desk.call(Some("r"), "api/note", 1));
    drop(volley);
    drop(passed(desk.call(Some("r"), "api/note", 1)).0);
}

#[test]
fn a_held_call_is_repeated_until_somebody_decides_and_what_a_person_approves_passes() {
    let desk = desk();
    for _ in 0..6 {
        for _ in 0..6 {
            assert!(matches!(
                desk.call(Some("r"), "api/pay", 1),
                Admit::Held { .. }
            ));
        }
        let Admit::Held { approval, .. } = desk.call(Some("r"), "api/pay", 1) else {
            panic!("not held")
        };
        desk.journal.write();
        drop(
            desk.ledger
                .decide(
                    approval.request.approval,
                    &decision("ada", DecisionKind::Approve),
                    None,
                )
                .unwrap()
                .durable,
        );
        desk.journal.write();
        done(&desk, "api/pay", 1, 200);
        // It sees the grant as used.
        desk.journal.write();
    }
    assert_eq!(duplicates(&desk), 0);
}

#[test]
fn reads_may_poll() {
    let desk = desk();
    for _ in 0..4 {
        for _ in 0..60 {
            done(&desk, "api/look", 1, 200);
        }
        desk.pass(minutes(1));
    }
    for _ in 0..60 {
        done(&desk, "api/look", 1, 200);
    }
    let finding = broken(desk.call(Some("r"), "api/look", 1));
    assert!(
        finding.detail.contains("60 times within a minute"),
        "{}",
        finding.detail
    );
    desk.pass(minutes(1));
    done(&desk, "api/look", 1, 200);
    assert_eq!(
        duplicates(&desk),
        0,
        "reading again and again does no work twice"
    );
}

#[test]
fn a_call_that_is_a_run_of_its_own_is_in_no_loop() {
    let desk = desk();
    for _ in 0..20 {
        desk.done(None, "api/note");
    }
}
