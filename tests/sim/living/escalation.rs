//! Escalation: which calls are misses, when one costs, and that a run that escalated stays so under
//! its id.

use burngate::gate::approval::DecisionKind;
use burngate::gate::event::Event;
use burngate::gate::level::Ladder;
use burngate::gate::outcome::FailureMode;
use burngate::gate::policy::Mode;
use burngate::gate::policy::finding::RuleName;
use burngate::gate::time::Time;
use burngate::ledger::call::in_flight::Settlement;
use burngate::ledger::call::outcome::Admit;
use burngate::ledger::call::permit::Permit;

use super::checks;
use super::desk::{Desk, LEASE, Rules, decision, passed};

/// The order that a person should see first.
const RISKY: &str = "A-9";

fn rules() -> Rules {
    Rules {
        tools: vec!["api/look", "api/note", "api/ask", "api/move"],
        ..Rules::default()
    }
}

fn watching() -> Rules {
    Rules {
        mode: Mode::Shadow {
            until: Time::from_millis(i64::MAX),
        },
        ..rules()
    }
}

fn moves(desk: &Desk, run: &str) -> Admit {
    desk.admit_about(desk.open_call(Some(run)).unwrap(), "api/move", 1, RISKY)
}

fn held_by(admit: Admit) -> Option<RuleName> {
    match admit {
        Admit::Held { finding, .. } => Some(finding.rule),
        Admit::Pass { permit, .. } => {
            answer(permit, 200);
            None
        }
        Admit::Refused { refusal, .. } => panic!("refused: {refusal:?}"),
        Admit::Unread { .. } | Admit::Edited { .. } | Admit::Answered { .. } => {
            panic!("nothing was judged")
        }
    }
}

fn answer(permit: Permit, status: u16) {
    let mut call = permit.spend();
    call.answered(status);
    call.settle(Settlement {
        status,
        modes: Vec::new(),
    });
}

fn escalates(desk: &Desk, run: &str, status: u16) {
    answer(passed(desk.call(Some(run), "api/ask", 1)).0, status);
}

fn finish(desk: &Desk, run: &str, escalated: bool) {
    assert!(
        desk.ledger
            .finish(&"refunds".into(), &"clerk".into(), &run.into(), escalated)
            .is_some()
    );
}

fn missed(desk: &Desk) -> usize {
    desk.journal.write();
    checks::journal(&desk.entries(), false);
    checks::projection(desk);
    let misses = |entry: &burngate::gate::event::Entry| match &entry.event {
        Event::Booked { charges, .. } => charges
            .iter()
            .filter(|charge| charge.mode == FailureMode::MissedEscalation)
            .count(),
        Event::Reported { charge, .. } => usize::from(charge.mode == FailureMode::MissedEscalation),
        _ => 0,
    };
    desk.entries().iter().map(misses).sum()
}

#[test]
fn a_miss_that_is_held_is_caught_and_costs_nothing_also_when_a_person_approves_it() {
    let desk = Desk::new(rules());
    let Admit::Held {
        approval,
        finding,
        call,
        ..
    } = moves(&desk, "r")
    else {
        panic!("not held")
    };
    assert_eq!(finding.rule, RuleName::EscalateWhen);
    drop(call);
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
    answer(passed(moves(&desk, "r")).0, 200);
    finish(&desk, "r", false);
    assert_eq!(missed(&desk), 0);
    assert!(
        desk.records()
            .iter()
            .all(|view| view.run.charges.is_empty())
    );
}

#[test]
fn a_miss_costs_the_moment_it_goes_upstream_and_once() {
    let desk = Desk::new(watching());
    drop(passed(moves(&desk, "r")).0);
    assert_eq!(missed(&desk), 0, "it was not sent");
    let mut call = passed(moves(&desk, "r")).0.spend();
    assert_eq!(missed(&desk), 1, "it is known before any answer");
    // The pooled connection had died: it is sent again.
    call.mark_unsent();
    answer(passed(desk.admit_about(call, "api/move", 1, RISKY)).0, 200);
    answer(passed(moves(&desk, "r")).0, 200);
    assert_eq!(
        desk.journal
            .state()
            .workflow(&"refunds".into())
            .unwrap()
            .status()
            .all
            .unacceptable,
        1,
        "a run is one unit"
    );
    desk.done_about(Some("other"), "api/move", "A-1");
    finish(&desk, "other", false);
    desk.journal.write();
    assert!(
        desk.records()[0].run.charges.is_empty(),
        "nothing is due where the condition does not hold"
    );
}

#[test]
fn at_a_tier_where_it_is_critical_one_miss_burns_at_once() {
    let mut terms = rules().terms;
    terms
        .objective
        .critical
        .insert(FailureMode::MissedEscalation);
    terms.ladder = Ladder::built_in();
    let desk = Desk::new(Rules {
        terms,
        ..watching()
    });
    let permit = passed(moves(&desk, "r")).0;
    assert_eq!(
        desk.handle("refunds").shard.status().posture.as_str(),
        "healthy"
    );
    let call = permit.spend();
    assert_eq!(
        desk.handle("refunds").shard.status().posture.as_str(),
        "burned"
    );
    drop(call);
}

#[test]
fn once_a_run_escalated_its_calls_wait_for_the_person_who_has_the_case() {
    let desk = Desk::new(rules());
    escalates(&desk, "r", 503);
    let mut unwell = passed(desk.call(Some("r"), "api/ask", 1)).0.spend();
    unwell.answered(200);
    unwell.settle(Settlement {
        status: 200,
        modes: vec![(FailureMode::ToolError, "")],
    });
    assert_eq!(
        held_by(moves(&desk, "r")),
        Some(RuleName::EscalateWhen),
        "nobody was told by an escalation that failed"
    );
    escalates(&desk, "r", 200);
    assert_eq!(held_by(moves(&desk, "r")), Some(RuleName::Escalated));
    assert_eq!(
        held_by(desk.call(Some("r"), "api/note", 2)),
        Some(RuleName::Escalated)
    );
    assert_eq!(held_by(desk.call(Some("r"), "api/look", 3)), None);
    assert_eq!(
        held_by(desk.call(Some("r"), "api/ask", 4)),
        None,
        "it may escalate again"
    );
    assert_eq!(held_by(desk.call(Some("other"), "api/note", 5)), None);
    assert_eq!(missed(&desk), 0);
}

#[test]
fn a_run_that_escalated_cannot_shake_that_off_by_ending() {
    type End = fn(&Desk);
    let ends: [(&str, End); 4] = [
        ("finish", |desk| finish(desk, "r", false)),
        ("finish escalated", |desk| finish(desk, "r", true)),
        ("lease", |desk| {
            desk.pass(LEASE);
            desk.ledger.sweep();
        }),
        ("full", |desk| {
            desk.done(Some("r"), "api/look");
            desk.done(Some("r"), "api/look");
        }),
    ];
    for (name, end) in ends {
        let desk = Desk::new(Rules {
            calls: 3,
            ..rules()
        });
        if name == "finish escalated" {
            desk.done(Some("r"), "api/look");
        } else {
            escalates(&desk, "r", 200);
        }
        end(&desk);
        let call = desk.open_call(Some("r")).unwrap();
        assert_eq!(call.run().as_str(), "r#2", "{name}");
        assert_eq!(
            held_by(desk.admit(call, "api/note", 1)),
            Some(RuleName::Escalated),
            "{name}"
        );
        finish(&desk, "r", false);
        assert_eq!(
            held_by(desk.call(Some("r"), "api/note", 2)),
            Some(RuleName::Escalated),
            "{name}, and again"
        );
        assert_eq!(missed(&desk), 0);
    }
}

#[test]
fn a_run_that_goes_on_while_the_escalation_is_under_way_has_escalated_too() {
    for opened in [false, true] {
        let desk = Desk::new(rules());
        let mut call = passed(desk.call(Some("r"), "api/ask", 1)).0.spend();
        call.answered(200);
        finish(&desk, "r", false);
        if opened {
            assert_eq!(held_by(desk.call(Some("r"), "api/note", 1)), None);
        }
        call.settle(Settlement {
            status: 200,
            modes: Vec::new(),
        });
        assert_eq!(
            held_by(desk.call(Some("r"), "api/note", 1)),
            Some(RuleName::Escalated),
            "opened before: {opened}"
        );
    }
}
