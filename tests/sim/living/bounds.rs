//! Bounds at their maximum and one past, and what a sweep costs.

use std::time::{Duration, Instant};

use burngate::gate::approval::DecisionKind;
use burngate::gate::policy::Inbox;
use burngate::gate::time::{hours, minutes};
use burngate::ledger::call::outcome::Admit;
use burngate::ledger::call::refusal::Refusal;

use super::checks;
use super::desk::{Desk, LEASE, Rules, decision, refused};

#[test]
fn the_inbox_of_a_run_is_of_one_agent_also_where_another_uses_the_same_id() {
    let one = Inbox {
        run: 1,
        agent: 1_000,
        workflow: 1_000,
    };
    let desk = Desk::new(Rules {
        inbox: one,
        ..Rules::default()
    });
    let hold = |agent: &str, digest| {
        let call = desk.open_call_in("refunds", agent, Some("r")).unwrap();
        desk.admit(call, "api/pay", digest)
    };
    for (agent, digest) in [("clerk", 1), ("other", 3)] {
        assert!(matches!(hold(agent, digest), Admit::Held { .. }), "{agent}");
        assert!(matches!(
            refused(hold(agent, digest + 1)),
            Refusal::Inbox { of: "run", most: 1 }
        ));
    }
}

#[test]
fn as_many_holds_as_the_process_holds_and_not_one_more() {
    let desk = Desk::of(
        &[("refunds", Rules::default()), ("mail", Rules::default())],
        3,
        10,
    );
    let hold = |workflow: &str, digest| {
        desk.admit(
            desk.open_call_in(workflow, "clerk", None).unwrap(),
            "api/pay",
            digest,
        )
    };
    let ids: Vec<_> = [("refunds", 1), ("mail", 1), ("refunds", 2)]
        .map(|(workflow, digest)| {
            if let Admit::Held { approval, .. } = hold(workflow, digest) {
                approval.request.approval
            } else {
                panic!("not held")
            }
        })
        .into();
    assert!(matches!(refused(hold("mail", 9)), Refusal::Holds));
    assert!(
        matches!(hold("refunds", 1), Admit::Held { .. }),
        "the same call waits with the one before"
    );
    // One ends, and there is room at once, without a sweep.
    drop(
        desk.ledger
            .decide(ids[0], &decision("ada", DecisionKind::DenyNotNow), None)
            .unwrap()
            .durable,
    );
    assert!(matches!(hold("mail", 9), Admit::Held { .. }));
    assert!(matches!(refused(hold("mail", 8)), Refusal::Holds));
    desk.pass(hours(1));
    desk.ledger.sweep();
    assert_eq!(desk.ledger.pending(), 0);
    desk.journal.write();
    checks::projection(&desk);
}

#[test]
fn as_many_open_runs_as_the_bound_and_not_one_more() {
    let desk = Desk::of(&[("refunds", Rules::default())], 10, 3);
    let calls: Vec<_> = ["a", "b", "c"]
        .map(|run| desk.open_call(Some(run)).unwrap())
        .into();
    assert!(desk.open_call(Some("d")).is_none());
    assert!(
        desk.open_call(Some("a")).is_some(),
        "an open run takes more calls"
    );
    assert!(
        desk.open_call(None).is_some(),
        "a call of its own opens none"
    );
    drop(calls);
    assert_eq!(
        desk.ledger
            .finish(&"refunds".into(), &"clerk".into(), &"a".into(), false),
        Some("a".into())
    );
    assert!(desk.open_call(Some("d")).is_some());
}

#[test]
fn a_journal_that_is_away_admits_nothing_risky_and_loses_no_run() {
    let desk = Desk::new(Rules::default());
    desk.done(Some("r"), "api/mail");
    desk.journal.refuse(true);
    assert!(matches!(
        refused(desk.call(Some("r"), "api/mail", 1)),
        Refusal::Journal
    ));
    desk.done(Some("r"), "api/note");
    drop(
        desk.ledger
            .finish(&"refunds".into(), &"clerk".into(), &"r".into(), false),
    );
    desk.journal.refuse(false);
    desk.journal.write();
    checks::recount(&desk);
    checks::projection(&desk);
    assert_eq!(desk.records().len(), 1);
}

#[test]
fn a_sweep_over_a_hundred_thousand_runs_in_which_nothing_is_due_is_cheap() {
    const RUNS: usize = 100_000;
    let desk = Desk::of(&[("refunds", Rules::default())], 10, RUNS);
    for n in 0..RUNS {
        drop(desk.open_call(Some(&format!("r{n}"))));
    }
    desk.ledger.sweep();
    let best = (0..5)
        .map(|_| {
            desk.pass(Duration::from_secs(1));
            let began = Instant::now();
            desk.ledger.sweep();
            began.elapsed()
        })
        .min()
        .unwrap();
    eprintln!("a sweep over {RUNS} open runs: {best:?}");
    assert!(best < Duration::from_secs(1), "{best:?}");
    desk.pass(LEASE + minutes(1));
    desk.ledger.sweep();
    assert_eq!(desk.ledger.open_runs(), 0);
}

#[test]
fn a_sweep_over_many_workflows_in_which_nothing_is_due_is_cheap() {
    const WORKFLOWS: usize = 2_000;
    let names: Vec<String> = (0..WORKFLOWS).map(|n| format!("w{n}")).collect();
    let rules = Rules::default();
    let workflows: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), rules.clone()))
        .collect();
    let desk = Desk::of(&workflows, 10, 10);
    let sweep = || {
        desk.pass(Duration::from_secs(1));
        let began = Instant::now();
        desk.ledger.sweep();
        began.elapsed()
    };
    sweep();
    let best = (0..5).map(|_| sweep()).min().unwrap();
    eprintln!("a sweep over {WORKFLOWS} workflows: {best:?}");
    assert!(best < Duration::from_millis(100), "{best:?}");
}
