//! What was earned, as calls meet it: a cap that is twice as wide, and a review that is skipped
//! except where the draw says otherwise.

use burngate::gate::approval::DecisionKind;
use burngate::gate::booking::Change;
use burngate::gate::check::Check;
use burngate::gate::earn::{Earn, Gain, Step, StepTrigger};
use burngate::gate::event::{Effect, Event};
use burngate::gate::level::Volume;
use burngate::gate::policy::finding::RuleName;
use burngate::gate::risk::Tier;
use burngate::gate::time::{days, minutes};
use burngate::journal::revise::RunTarget;
use burngate::ledger::call::outcome::Admit;

use super::checks;
use super::desk::{Desk, Rules, decision, passed, refused};
use crate::world::terms;

/// At 50%, five clean runs are evidence; one whole day within budget is enough.
fn rules(gain: Gain) -> Rules {
    let mut terms = terms(Tier::Medium, 500_000);
    terms.check = Some(Check {
        sample_ppm: 1_000_000,
        min: 0,
    });
    terms.earn = Earn {
        steps: vec![Step {
            name: "step".into(),
            after_days: 1,
            gain,
            how: StepTrigger::Automatic,
        }],
        ..Earn::default()
    };
    Rules {
        terms,
        ..Rules::default()
    }
}

/// A review by level is skipped for `api/pay`, except for this share of its calls.
fn skipping(spot_check_ppm: u32) -> Desk {
    let mut rules = rules(Gain::Skip {
        tool: "api/pay".into(),
        rule: "level".into(),
        cases: None,
    });
    rules.terms.earn.spot_check_ppm = spot_check_ppm;
    rules.skips = vec![("step", "api/pay", RuleName::Level)];
    let desk = Desk::new(rules);
    for digest in 0..5 {
        desk.approved(digest);
        let call = desk.done_with("api/pay", digest);
        desk.journal.write();
        let run = RunTarget::Run {
            run: call.to_string().into(),
            workflow: None,
            agent: None,
        };
        drop(desk.ledger.revise(run, Change::Accept { by: "ada".into() }));
        desk.journal.write();
    }
    desk.pass(days(2));
    assert!(
        matches!(desk.call(None, "api/pay", 100), Admit::Held { .. }),
        "what was approved has not settled"
    );
    desk.pass(days(3));
    desk.ledger.sweep();
    desk.journal.advance(desk.now());
    assert!(desk.entries().iter().any(|entry| entry.event
        == Event::Followed(Effect::StepEarned {
            step: "step".into()
        })));
    desk
}

#[test]
fn a_cap_that_was_earned_lets_twice_as_much_go() {
    let mut rules = rules(Gain::Volume { times: 2 });
    rules.terms.ladder.rungs_mut().iter_mut().for_each(|rung| {
        rung.volume = Some(Volume {
            calls: 5,
            per_seconds: 60,
        });
    });
    let desk = Desk::new(rules);
    let let_go = || {
        let mut count = 0;
        while let Admit::Pass { permit, .. } = desk.call(None, "api/note", 1) {
            permit.spend().answered(200);
            count += 1;
        }
        desk.journal.write();
        count
    };
    // What is booked in the very minute of the last change of level is not counted.
    desk.pass(minutes(5));
    assert_eq!(let_go(), 5);
    desk.pass(days(2));
    assert_eq!(let_go(), 10);
    checks::projection(&desk);
}

#[test]
fn a_skipped_review_lets_the_call_go_and_a_clamp_holds_it_all_the_same() {
    let desk = skipping(0);
    for digest in 10..20 {
        assert!(
            passed(desk.call(None, "api/pay", digest)).1.is_some(),
            "in the journal before it goes"
        );
    }
    desk.journal.write();
    checks::journal(&desk.entries(), true);
    let scope = burngate::ledger::people::outcome::WorkflowScope::All;
    drop(
        desk.ledger
            .clamp(&scope, &"supervised".into(), &"ada".into(), "a drill", None)
            .unwrap(),
    );
    assert!(matches!(desk.call(None, "api/pay", 30), Admit::Held { .. }));
}

#[test]
fn a_denial_stands_also_where_the_review_is_skipped() {
    let desk = skipping(1_000_000);
    let id = desk.held(50);
    drop(
        desk.ledger
            .decide(id, &decision("ada", DecisionKind::DenyWrong), None)
            .unwrap()
            .durable,
    );
    desk.journal.write();
    refused(desk.call(None, "api/pay", 50));
    assert!(
        desk.entries().iter().any(|entry| entry.event
            == Event::Followed(Effect::StepLost {
                step: "step".into()
            })),
        "and brings it back"
    );
}

#[test]
fn g11_the_draw_holds_for_what_a_call_touches_so_that_repeating_it_draws_no_other() {
    let desk = skipping(500_000);
    let held = |order: &'static str, digest: u8| {
        let is_held = matches!(
            desk.admit_about(desk.open_call(None).unwrap(), "api/pay", digest, order),
            Admit::Held { .. }
        );
        desk.journal.write();
        is_held
    };
    let orders: Vec<&'static str> = (0..64)
        .map(|n| -> &'static str { Box::leak(format!("B-{n}").into_boxed_str()) })
        .collect();
    let mut drawn = 0;
    for (n, order) in (0_u8..).zip(orders) {
        let first = held(order, 60 + 3 * n);
        // The same again, and the same with another word in it.
        assert_eq!(
            [
                held(order, 60 + 3 * n),
                held(order, 61 + 3 * n),
                held(order, 62 + 3 * n)
            ],
            [first; 3],
            "{order}"
        );
        drawn += u32::from(first);
    }
    // 32 are expected; one world in 10^9 has fewer than 8 or more than 56.
    assert!((8..=56).contains(&drawn), "{drawn}");
}
