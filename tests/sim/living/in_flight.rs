//! G1 and G2: every admitted call is settled once however it ends, and no permit outlives a clamp.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burngate::gate::event::Event;
use burngate::gate::outcome::FailureMode;
use burngate::gate::policy::Mode;
use burngate::gate::run::{Executed, Mark};
use burngate::gate::time::{Time, days};
use burngate::ledger::call::in_flight::Settlement;
use burngate::ledger::call::outcome::Admit;
use burngate::ledger::call::refusal::Refusal;
use burngate::ledger::people::outcome::WorkflowScope;

use super::checks;
use super::desk::{Desk, Rules, passed, refused};

fn settled(desk: &Desk) -> Vec<Executed> {
    desk.journal.write();
    let executed = |event: &Event| {
        if let Event::Settled { executed, .. } = event {
            Some(*executed)
        } else {
            None
        }
    };
    desk.entries()
        .iter()
        .filter_map(|entry| executed(&entry.event))
        .collect()
}

#[test]
fn a_call_is_settled_once_wherever_it_is_dropped() {
    type End = fn(&Desk);
    let ends: [(End, &[Executed], Mark); 8] = [
        (
            |desk| drop(passed(desk.call(None, "api/mail", 1))),
            &[Executed::No],
            Mark::Idle,
        ),
        (
            |desk| drop(passed(desk.call(None, "api/mail", 1)).0.give_up()),
            &[Executed::No],
            Mark::Idle,
        ),
        (
            |desk| drop(passed(desk.call(None, "api/mail", 1)).0.spend()),
            &[Executed::Unknown],
            Mark::Unacceptable,
        ),
        (
            |desk| {
                let mut call = passed(desk.call(None, "api/mail", 1)).0.spend();
                call.mark_unsent();
                drop(call);
            },
            &[Executed::No],
            Mark::Idle,
        ),
        (
            |desk| {
                let mut call = passed(desk.call(None, "api/mail", 1)).0.spend();
                call.answered(200);
                drop(call);
            },
            &[Executed::Yes],
            Mark::Acceptable,
        ),
        (
            |desk| {
                let call = passed(desk.call(None, "api/mail", 1)).0.spend();
                call.settle(Settlement {
                    status: 504,
                    modes: vec![(FailureMode::Timeout, "late")],
                });
            },
            &[Executed::Unknown],
            Mark::Unacceptable,
        ),
        (
            // Sent, not a byte written, admitted again as the same call, and sent once more.
            |desk| {
                let mut call = passed(desk.call(None, "api/mail", 1)).0.spend();
                call.mark_unsent();
                let mut call = passed(desk.admit(call, "api/mail", 1)).0.spend();
                call.answered(200);
                call.settle(Settlement {
                    status: 200,
                    modes: Vec::new(),
                });
            },
            &[Executed::Yes],
            Mark::Acceptable,
        ),
        (
            |desk| {
                let call = passed(desk.call(None, "api/mail", 1)).0.spend();
                let panicked = catch_unwind(AssertUnwindSafe(move || {
                    let _in_hand = call;
                    std::panic::resume_unwind(Box::new("in between"));
                }));
                assert!(panicked.is_err());
            },
            &[Executed::Unknown],
            Mark::Unacceptable,
        ),
    ];
    for (index, (end, executed, mark)) in ends.into_iter().enumerate() {
        let desk = Desk::new(Rules::default());
        end(&desk);
        assert_eq!(settled(&desk), executed, "{index}");
        assert_eq!(
            desk.records()
                .iter()
                .map(|view| view.run.mark)
                .collect::<Vec<_>>(),
            [mark],
            "{index}"
        );
        checks::journal(&desk.entries(), true);
        checks::projection(&desk);
        checks::recount(&desk);
    }
}

#[test]
fn a_permit_that_is_older_than_a_clamp_is_worthless_and_halted_passes_nothing() {
    for scope in [WorkflowScope::One("refunds".into()), WorkflowScope::All] {
        let desk = Desk::new(Rules::default());
        let permits: Vec<_> = ["api/look", "api/note", "api/mail"]
            .map(|tool| (tool, passed(desk.call(None, tool, 1)).0))
            .into();
        // Nothing is written yet, and the clamp is in force all the same.
        let clamped = desk
            .ledger
            .clamp(&scope, &"halted".into(), &"ada".into(), "stop", None)
            .unwrap();
        assert_eq!(clamped.in_flight, 1);
        for (tool, permit) in permits {
            let call = permit
                .check()
                .map(|_| ())
                .err()
                .expect("an old permit passed");
            assert!(
                matches!(refused(desk.admit(*call, tool, 1)), Refusal::Rule(finding) if finding.rule.as_str() == "level")
            );
        }
        for tool in ["api/look", "api/note", "api/mail", "api/pay"] {
            assert!(
                matches!(refused(desk.call(None, tool, 1)), Refusal::Rule(_)),
                "{tool}"
            );
        }
        desk.journal.write();
        assert_eq!(settled(&desk), [Executed::No]);
        // Refusals by level and clamp cost nothing (G6).
        assert!(
            desk.records()
                .iter()
                .all(|view| view.run.mark == Mark::Idle)
        );
        checks::projection(&desk);
        // Lifting it acts only when it is durable.
        drop(desk.ledger.release(&scope, &"ada".into(), "over").unwrap());
        assert!(matches!(
            refused(desk.call(None, "api/look", 1)),
            Refusal::Rule(_)
        ));
        desk.journal.write();
        drop(passed(desk.call(None, "api/look", 1)));
        desk.journal.write();
        checks::projection(&desk);
    }
}

#[test]
fn a_clamp_acts_in_shadow_also_where_the_level_is_as_low_by_itself() {
    for (level, earned) in [("halted", "halted"), ("supervised", "read_only")] {
        let mut rules = Rules {
            mode: Mode::Shadow {
                until: Time::from_millis(i64::MAX),
            },
            ..Rules::default()
        };
        rules.terms.starts = earned.into();
        let desk = Desk::new(rules);
        drop(passed(desk.call(None, "api/mail", 1)));
        drop(
            desk.ledger
                .clamp(
                    &WorkflowScope::All,
                    &level.into(),
                    &"ada".into(),
                    "stop",
                    None,
                )
                .unwrap(),
        );
        assert!(
            !matches!(desk.call(None, "api/mail", 2), Admit::Pass { .. }),
            "{level} over {earned}"
        );
    }
}

#[test]
fn a_clamp_on_all_reaches_a_workflow_that_joins_meanwhile() {
    let desk = Desk::new(Rules::default());
    let (more, _) =
        super::desk::policies(&[("refunds", Rules::default()), ("mail", Rules::default())]);
    drop(desk.ledger.announce(super::desk::accepted(&more)));
    drop(
        desk.ledger
            .clamp(
                &WorkflowScope::All,
                &"halted".into(),
                &"ada".into(),
                "stop",
                None,
            )
            .unwrap(),
    );
    // The policies are durable, the clamp is not.
    assert!(desk.journal.write_one());
    desk.ledger.install(more).unwrap();
    let joined = |desk: &Desk| {
        refused(desk.admit(
            desk.open_call_in("mail", "clerk", None).unwrap(),
            "api/look",
            1,
        ))
    };
    assert!(matches!(joined(&desk), Refusal::Rule(_)));
    desk.journal.write();
    assert!(matches!(joined(&desk), Refusal::Rule(_)));
    checks::projection(&desk);
}

#[test]
fn every_refusal_names_its_rule_and_a_slow_reviewer_costs_nothing() {
    let desk = Desk::new(Rules {
        tools: vec!["api/look", "api/pay", "api/ban", "api/form"],
        ..Rules::default()
    });
    for (tool, rule, placed) in [
        ("api/mail", "unlisted", true),
        ("api/ban", "forbidden", true),
        ("api/form", "arguments", true),
    ] {
        let Refusal::Rule(finding) = refused(desk.call(None, tool, 1)) else {
            panic!("{tool}")
        };
        assert_eq!(
            (finding.rule.as_str(), finding.location.is_some()),
            (rule, placed)
        );
    }
    desk.held(1);
    desk.pass(days(2));
    desk.ledger.sweep();
    desk.journal.write();
    // The forbidden call, and nothing else.
    checks::recount(&desk);
    assert_eq!(
        desk.records()
            .iter()
            .filter(|view| view.run.mark != Mark::Idle)
            .count(),
        1
    );
    let tally = desk
        .journal
        .state()
        .workflow(&"refunds".into())
        .unwrap()
        .account()
        .full_tally(days(30), desk.now());
    assert_eq!((tally.all.runs, tally.all.unacceptable), (1, 1));
}
