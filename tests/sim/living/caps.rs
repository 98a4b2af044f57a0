//! Caps: what uses them up and what does not, that a place among the calls in flight comes back
//! once, and the pause of expansion.

use std::sync::Barrier;
use std::time::Duration;

use burngate::gate::budget::posture::Posture;
use burngate::gate::event::Event;
use burngate::gate::level::Volume;
use burngate::gate::name::LevelName;
use burngate::gate::outcome::FailureMode;
use burngate::gate::pace::ENOUGH;
use burngate::gate::policy::finding::RuleName;
use burngate::gate::time::{hours, minutes};
use burngate::ledger::call::in_flight::Settlement;
use burngate::ledger::call::outcome::Admit;
use burngate::ledger::call::refusal::{ReachedCap, Refusal};

use super::checks;
use super::desk::{Desk, Rules, passed, refused};

/// The level that the desk's workflow starts at.
const STANDARD: usize = 3;

fn rules(volume: Option<u32>, concurrency: Option<u32>) -> Rules {
    let mut rules = Rules::default();
    let rung = &mut rules.terms.ladder.rungs_mut()[STANDARD];
    assert_eq!(rung.level, LevelName::from("standard"));
    (rung.volume, rung.concurrency) = (
        volume.map(|calls| Volume {
            calls,
            per_seconds: 60,
        }),
        concurrency,
    );
    rules
}

fn capped(admit: Admit) -> (RuleName, ReachedCap) {
    let Refusal::Cap(finding, capped) = refused(admit) else {
        panic!("by no cap")
    };
    (finding.rule, capped)
}

fn costs_nothing(desk: &Desk) {
    desk.journal.write();
    checks::journal(&desk.entries(), false);
    checks::projection(desk);
    assert_eq!(
        desk.journal
            .state()
            .workflow(&"refunds".into())
            .unwrap()
            .status()
            .all
            .unacceptable,
        0
    );
}

#[test]
fn g6_a_volume_counts_what_is_let_go_and_costs_no_budget() {
    let desk = Desk::new(rules(Some(5), None));
    for n in 0..5 {
        assert!(
            matches!(desk.call(None, "api/pay", n), Admit::Held { .. }),
            "what is held uses nothing up"
        );
        refused(desk.call(None, "api/nothing", 1));
        desk.done(None, "api/note");
    }
    let (rule, cap) = capped(desk.call(None, "api/look", 1));
    assert_eq!(rule, RuleName::Volume);
    // Five a minute are one in twelve seconds.
    assert_eq!(
        cap,
        ReachedCap::Volume {
            cap: Volume {
                calls: 5,
                per_seconds: 60
            },
            wait: Duration::from_secs(12)
        }
    );
    assert!(
        matches!(desk.call(None, "api/pay", 1), Admit::Held { .. }),
        "a hold is told of, cap or not"
    );
    desk.pass(Duration::from_millis(11_999));
    capped(desk.call(None, "api/look", 1));
    desk.pass(Duration::from_millis(1));
    desk.done(None, "api/look");
    capped(desk.call(None, "api/look", 1));
    desk.pass(minutes(1));
    for _ in 0..5 {
        desk.done(None, "api/note");
    }
    capped(desk.call(None, "api/note", 1));
    costs_nothing(&desk);
}

#[test]
fn a_call_that_is_not_sent_after_all_gives_back_what_it_took() {
    let desk = Desk::new(rules(Some(2), None));
    desk.done(None, "api/note");
    for _ in 0..20 {
        drop(passed(desk.call(None, "api/note", 1)).0);
    }
    assert_eq!(desk.handle("refunds").shard.traffic().calls(desk.now()), 1);
    desk.done(None, "api/note");
    capped(desk.call(None, "api/note", 1));
}

#[test]
fn g4_a_cap_puts_a_grant_off_and_does_not_use_it_up() {
    let desk = Desk::new(rules(Some(1), Some(1)));
    desk.approved(1);
    desk.done(None, "api/note");
    assert_eq!(capped(desk.call(None, "api/pay", 1)).0, RuleName::Volume);
    desk.pass(minutes(1));
    let (in_flight, _) = passed(desk.call(None, "api/look", 1));
    assert_eq!(
        capped(desk.call(None, "api/pay", 1)).0,
        RuleName::Concurrency
    );
    drop(in_flight);
    desk.pass(minutes(1));
    drop(passed(desk.call(None, "api/pay", 1)).0.spend());
    desk.pass(minutes(1));
    assert!(
        matches!(desk.call(None, "api/pay", 1), Admit::Held { .. }),
        "it passed once"
    );
    costs_nothing_but_the_ambiguous(&desk);
}

fn costs_nothing_but_the_ambiguous(desk: &Desk) {
    desk.journal.write();
    checks::journal(&desk.entries(), true);
    checks::projection(desk);
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
fn calls_in_flight_are_bounded_and_each_place_comes_back_once_however_the_call_ends() {
    let desk = Desk::new(rules(None, Some(2)));
    let traffic = |desk: &Desk| desk.handle("refunds").shard.traffic().in_flight();
    let (first, second) = (
        passed(desk.call(None, "api/note", 1)).0,
        passed(desk.call(None, "api/look", 1)).0,
    );
    assert_eq!(
        capped(desk.call(None, "api/note", 2)),
        (RuleName::Concurrency, ReachedCap::Concurrency { cap: 2 })
    );
    assert!(
        matches!(desk.call(None, "api/pay", 1), Admit::Held { .. }),
        "a held call is not in flight"
    );
    assert_eq!(traffic(&desk), 2);
    drop(first);
    let mut call = second.spend();
    call.mark_unsent();
    assert_eq!(traffic(&desk), 1);
    // Judged again, it keeps the place it has.
    let (again, _) = passed(desk.admit(call, "api/look", 1));
    assert_eq!(traffic(&desk), 1);
    let mut call = again.spend();
    call.answered(200);
    call.settle(Settlement {
        status: 200,
        modes: Vec::new(),
    });
    assert_eq!(traffic(&desk), 0);
}

#[test]
fn of_many_threads_no_more_are_in_flight_than_a_cap_lets_and_none_leaks() {
    let desk = Desk::new(rules(None, Some(3)));
    let (start, threads) = (Barrier::new(16), 16);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                start.wait();
                for _ in 0..200 {
                    if let Admit::Pass { permit, .. } = desk.call(None, "api/look", 1) {
                        assert!(desk.handle("refunds").shard.traffic().in_flight() <= 3);
                        drop(permit);
                    }
                }
            });
        }
    });
    assert_eq!(desk.handle("refunds").shard.traffic().in_flight(), 0);
    costs_nothing(&desk);
}

#[test]
fn a_tool_caps_everybody_who_calls_it() {
    let reaches = || Rules {
        tools: vec!["api/move", "api/note"],
        ..Rules::default()
    };
    let desk = Desk::of(&[("refunds", reaches()), ("returns", reaches())], 100, 100);
    let moves = |workflow: &str| {
        desk.admit(
            desk.open_call_in(workflow, "clerk", None).unwrap(),
            "api/move",
            1,
        )
    };
    let first = passed(moves("refunds")).0;
    assert_eq!(
        capped(moves("returns")),
        (RuleName::Concurrency, ReachedCap::Concurrency { cap: 1 })
    );
    assert_eq!(
        desk.handle("returns").shard.traffic().in_flight(),
        0,
        "what one cap refused holds no place of another"
    );
    drop(
        passed(desk.admit(
            desk.open_call_in("returns", "clerk", None).unwrap(),
            "api/note",
            1,
        ))
        .0,
    );
    drop(first);
    drop(passed(moves("returns")).0);
}

/// A workflow that made so many calls in each of the last hours.
fn busy(desk: &Desk, hours_with_traffic: usize, calls: usize) {
    for _ in 0..hours_with_traffic {
        for _ in 0..calls {
            desk.done(None, "api/note");
        }
        desk.pass(hours(1));
        desk.ledger.sweep();
        desk.journal.write();
    }
}

/// Puts the workflow at risk and no further.
fn puts_at_risk(desk: &Desk, failures: usize) {
    for _ in 0..failures {
        let mut call = passed(desk.call(None, "api/note", 1)).0.spend();
        call.answered(500);
        call.settle(Settlement {
            status: 500,
            modes: vec![(FailureMode::Timeout, "")],
        });
    }
    desk.journal.write();
    assert_eq!(
        desk.handle("refunds").shard.status().posture,
        Posture::AtRisk
    );
}

#[test]
fn at_risk_a_workflow_stays_within_its_usual_hour_also_after_a_crash() {
    let desk = Desk::new(Rules::default());
    busy(&desk, ENOUGH, 4);
    for _ in 0..9 {
        desk.done(None, "api/note");
    }
    desk.pass(hours(1));
    puts_at_risk(&desk, 3);
    // Three calls of this hour failed; the busiest hour of twenty-five is beyond the usual, which
    // is four.
    desk.done(None, "api/look");
    let (rule, cap) = capped(desk.call(None, "api/look", 1));
    assert_eq!(
        (rule, cap),
        (
            RuleName::Volume,
            ReachedCap::Volume {
                cap: Volume {
                    calls: 4,
                    per_seconds: 3_600
                },
                wait: hours(1)
            }
        )
    );
    desk.ledger.end_all();
    desk.journal.write();
    checks::projection(&desk);
    let entries = desk.entries();
    assert_eq!(
        entries
            .iter()
            .filter(|entry| matches!(entry.event, Event::Paced { .. }))
            .count(),
        ENOUGH + 2
    );
    let after = desk.crash(entries.len());
    assert_eq!(
        capped(after.call(None, "api/look", 1)).0,
        RuleName::Volume,
        "this hour's calls were written down too"
    );
    after.pass(hours(1));
    let first = passed(after.call(None, "api/look", 1)).0;
    assert_eq!(
        capped(after.call(None, "api/look", 1)),
        (RuleName::Concurrency, ReachedCap::Concurrency { cap: 1 })
    );
    drop(first);
    after.journal.write();
    checks::projection(&after);
}

#[test]
fn at_risk_no_more_are_in_flight_than_usual_also_where_the_level_lets_more() {
    let desk = Desk::new(rules(None, Some(3)));
    busy(&desk, ENOUGH, 4);
    for _ in 0..9 {
        desk.done(None, "api/note");
    }
    desk.pass(hours(1));
    puts_at_risk(&desk, 3);
    desk.pass(hours(1));
    let first = passed(desk.call(None, "api/look", 1)).0;
    assert_eq!(
        capped(desk.call(None, "api/look", 1)),
        (RuleName::Concurrency, ReachedCap::Concurrency { cap: 1 })
    );
    drop(first);
}

#[test]
fn with_too_little_behind_it_nothing_pauses_and_nothing_does_while_healthy() {
    let desk = Desk::new(Rules::default());
    busy(&desk, ENOUGH - 1, 4);
    puts_at_risk(&desk, 2);
    for _ in 0..20 {
        desk.done(None, "api/note");
    }
    let healthy = Desk::new(Rules::default());
    busy(&healthy, ENOUGH, 4);
    for _ in 0..20 {
        healthy.done(None, "api/note");
    }
}
