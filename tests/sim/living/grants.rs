//! G4, G9, G10: a grant is used once, in time, for its call, whatever crashes in between; every
//! hold ends.

use std::time::Duration;

use burngate::gate::approval::{DecisionKind, Stage};
use burngate::gate::event::Event;
use burngate::gate::name::ApprovalId;
use burngate::gate::time::{hours, minutes};
use burngate::ledger::call::outcome::Admit;
use burngate::ledger::call::refusal::Refusal;
use burngate::ledger::people::outcome::{OperateError, WorkflowScope};

use super::checks;
use super::desk::{Answer, Desk, Rules, decision, passed, refused};

fn stage(desk: &Desk, id: ApprovalId) -> Stage {
    desk.ledger.approval(id).unwrap().1.stage
}

#[test]
fn a_grant_passes_its_call_once_and_no_other() {
    let desk = Desk::new(Rules::default());
    let id = desk.approved(1);
    assert!(
        matches!(desk.call(None, "api/pay", 2), Admit::Held { .. }),
        "another call"
    );
    let (permit, durable) = passed(desk.call(None, "api/pay", 1));
    let durable = durable.expect("a grant is used durably");
    assert_eq!(durable.get(), None);
    assert!(
        matches!(desk.call(None, "api/pay", 1), Admit::Held { .. }),
        "used as soon as it is handed over"
    );
    desk.journal.write();
    assert_eq!(durable.get(), Some(Ok(())));
    assert!(matches!(stage(&desk, id), Stage::Used { .. }));
    drop(permit.spend());
    desk.journal.write();
    checks::journal(&desk.entries(), true);
    checks::projection(&desk);
}

#[test]
fn a_grant_ends_at_its_deadline_to_the_millisecond() {
    for (late, passes) in [
        (minutes(10).saturating_sub(Duration::from_millis(1)), true),
        (minutes(10), false),
    ] {
        let desk = Desk::new(Rules::default());
        desk.approved(1);
        desk.pass(late);
        let admitted = matches!(desk.call(None, "api/pay", 1), Admit::Pass { .. });
        assert_eq!(admitted, passes, "{late:?}");
        // Going back revives nothing (G5).
        desk.turn(0, -(hours(2).as_millis() as i64));
        assert!(matches!(desk.call(None, "api/pay", 1), Admit::Held { .. }));
        desk.journal.write();
        checks::journal(&desk.entries(), true);
        checks::projection(&desk);
    }
}

#[test]
fn g4_a_grant_ends_by_the_time_of_the_journal_where_a_judgement_takes_long() {
    let desk = Desk::new(Rules::default());
    desk.approved(1);
    let (call, read_at) = (desk.open_call(None).unwrap(), desk.now());
    desk.pass(minutes(10));
    assert!(matches!(
        desk.admit_at(call, "api/pay", 1, read_at),
        Admit::Held { .. }
    ));
    desk.journal.write();
    checks::journal(&desk.entries(), true);
}

#[test]
fn a_call_is_sent_again_only_while_its_verdict_is_the_same() {
    let clamp = |desk: &Desk, to: &str| {
        drop(
            desk.ledger
                .clamp(&WorkflowScope::All, &to.into(), &"ada".into(), "stop", None)
                .unwrap(),
        );
    };
    for (tool, level, may_retry) in [
        ("api/mail", None, true),
        ("api/mail", Some("supervised"), false),
        ("api/mail", Some("read_only"), false),
        // Its grant was used for this very call, so that it is held changes nothing.
        ("api/pay", None, true),
        ("api/pay", Some("supervised"), true),
        ("api/pay", Some("read_only"), false),
    ] {
        let desk = Desk::new(Rules::default());
        desk.approved(1);
        let call = passed(desk.call(None, tool, 1)).0.spend();
        if let Some(level) = level {
            clamp(&desk, level);
        }
        assert_eq!(desk.may_retry(call, tool), may_retry, "{tool} {level:?}");
    }
}

#[test]
fn a_policy_tightened_after_the_approval_refuses_its_use() {
    let desk = Desk::new(Rules::default());
    desk.approved(1);
    let permit = passed(desk.call(None, "api/pay", 1)).0;
    drop(
        desk.ledger
            .clamp(
                &WorkflowScope::All,
                &"read_only".into(),
                &"ada".into(),
                "stop",
                None,
            )
            .unwrap(),
    );
    let Err(call) = permit.check() else {
        panic!("an old permit passed")
    };
    assert!(
        matches!(refused(desk.admit(*call, "api/pay", 1)), Refusal::Rule(finding) if finding.rule.as_str() == "level")
    );
    desk.journal.write();
    checks::journal(&desk.entries(), true);
}

#[test]
fn a_decision_in_flight_loses_to_nobody() {
    let desk = Desk::new(Rules::default());
    let id = desk.held(1);
    let first = Answer::of(
        desk.ledger
            .decide(id, &decision("ada", DecisionKind::Approve), None)
            .unwrap()
            .durable,
    );
    let later = desk
        .ledger
        .decide(id, &decision("bob", DecisionKind::DenyWrong), None);
    assert!(matches!(later, Err(OperateError::Deciding)));
    desk.journal.write();
    assert_eq!(first.get(), Some(Ok(())));
    assert!(matches!(stage(&desk, id), Stage::Approved { .. }));
    assert!(matches!(
        desk.ledger
            .decide(id, &decision("bob", DecisionKind::DenyWrong), None),
        Err(OperateError::Conflict(_))
    ));
    assert!(
        matches!(
            desk.ledger.decide(
                desk.held(2),
                &decision("clerk", DecisionKind::Approve),
                None
            ),
            Err(OperateError::Own)
        ),
        "who asks"
    );
}

#[test]
fn a_decision_that_the_journal_refused_can_be_made_again() {
    let desk = Desk::new(Rules::default());
    let id = desk.held(1);
    desk.journal.write();
    let lost = Answer::of(
        desk.ledger
            .decide(id, &decision("ada", DecisionKind::Approve), None)
            .unwrap()
            .durable,
    );
    desk.journal.refuse(true);
    assert!(matches!(lost.get(), Some(Err(_))));
    assert!(matches!(
        refused(desk.call(None, "api/pay", 2)),
        Refusal::Journal
    ));
    desk.journal.refuse(false);
    drop(
        desk.ledger
            .decide(id, &decision("ada", DecisionKind::Approve), None)
            .unwrap()
            .durable,
    );
    desk.journal.write();
    assert!(matches!(stage(&desk, id), Stage::Approved { .. }));
    checks::projection(&desk);
}

#[test]
fn what_an_outage_refused_leaves_the_living_state_and_facts_come_through() {
    let desk = Desk::new(Rules::default());
    desk.approved(1);
    let held = desk.held(3);
    let (permit, durable) = passed(desk.call(None, "api/pay", 1));
    drop(
        desk.ledger
            .clamp(
                &WorkflowScope::All,
                &"standard".into(),
                &"ada".into(),
                "careful",
                None,
            )
            .unwrap(),
    );
    desk.journal.refuse(true);
    assert!(matches!(durable.unwrap().get(), Some(Err(_))));
    drop(permit.give_up());
    desk.journal.refuse(false);
    desk.journal.write();
    checks::projection(&desk);
    assert!(
        desk.ledger.approval(held).is_none(),
        "the agent was told no"
    );
    assert!(
        desk.entries()
            .iter()
            .any(|entry| matches!(entry.event, Event::Clamped(_)))
    );
    assert!(
        matches!(desk.call(None, "api/pay", 1), Admit::Pass { .. }),
        "the grant was not used"
    );
}

#[test]
fn nobody_is_told_of_an_approval_that_is_not_on_disk() {
    let desk = Desk::new(Rules::default());
    let durable = |admit: Admit| {
        if let Admit::Held { durable, .. } = admit {
            durable.map(Answer::of)
        } else {
            panic!("not held")
        }
    };
    let (first, second) = (
        durable(desk.call(None, "api/pay", 1)).unwrap(),
        durable(desk.call(None, "api/pay", 1)).unwrap(),
    );
    assert_eq!((first.get(), second.get()), (None, None));
    desk.journal.write();
    assert_eq!((first.get(), second.get()), (Some(Ok(())), Some(Ok(()))));
    assert!(durable(desk.call(None, "api/pay", 1)).is_none());
}

#[test]
fn whoever_waits_is_woken_when_a_hold_ends_also_by_another_call() {
    let desk = Desk::new(Rules::default());
    let id = desk.held(1);
    desk.journal.write();
    let woken = Answer::of(desk.ledger.watch(id).unwrap().1);
    desk.pass(hours(1));
    // Time passes inside an event of the same workflow.
    drop(passed(desk.call(None, "api/mail", 9)));
    assert_eq!(woken.get(), Some(()));
    // Agents that ask and go away leave nothing behind.
    let id = desk.held(2);
    (0..1_000).for_each(|_| drop(desk.ledger.watch(id)));
    assert!(desk.handle("refunds").shard.lock().watchers() <= 128);
}

#[test]
fn a_crash_between_any_two_writes_gives_no_grant_twice_and_no_budget_back() {
    let desk = Desk::new(Rules {
        people: 2,
        ..Rules::default()
    });
    // What was acknowledged, and after how many entries.
    let mut acknowledged: Vec<(usize, &str)> = Vec::new();
    let id = desk.held(1);
    let write = |what: &'static str, receipt: Answer<_>, acknowledged: &mut Vec<(usize, &str)>| {
        while desk.journal.write_one() {}
        assert_eq!(receipt.get(), Some(Ok(())), "{what}");
        acknowledged.push((desk.entries().len(), what));
    };
    desk.journal.write();
    for who in ["ada", "bob"] {
        let receipt = Answer::of(
            desk.ledger
                .decide(id, &decision(who, DecisionKind::Approve), None)
                .unwrap()
                .durable,
        );
        write("decided", receipt, &mut acknowledged);
    }
    for n in 0..3 {
        desk.done(Some("r"), "api/mail");
        let target = burngate::journal::revise::RunTarget::Run {
            run: "r".into(),
            workflow: None,
            agent: None,
        };
        if n == 1 {
            let charge =
                super::desk::charge(burngate::gate::outcome::FailureMode::WrongAction, None);
            let burngate::ledger::people::report::Reported::Open {
                durable: Some(durable),
                ..
            } = desk.ledger.report(target, charge)
            else {
                panic!("it is open")
            };
            write("reported", Answer::of(durable), &mut acknowledged);
        }
    }
    let (permit, durable) = passed(desk.call(Some("r"), "api/pay", 1));
    write("used", durable.unwrap(), &mut acknowledged);
    let clamped = desk
        .ledger
        .clamp(
            &WorkflowScope::All,
            &"supervised".into(),
            &"ada".into(),
            "stop",
            None,
        )
        .unwrap();
    write("clamped", Answer::of(clamped.durable), &mut acknowledged);
    let Err(call) = permit.check() else {
        panic!("an old permit passed")
    };
    let mut call = passed(desk.admit(*call, "api/pay", 1)).0.spend();
    call.answered(200);
    drop(call);
    desk.ledger.end_all();
    desk.journal.write();
    let entries = desk.entries();
    checks::journal(&entries, true);
    for kept in 2..=entries.len() {
        crashed_after(&desk, kept, id, &acknowledged);
    }
}

/// What must hold of a gate that starts again on the first `kept` entries.
fn crashed_after(desk: &Desk, kept: usize, id: ApprovalId, acknowledged: &[(usize, &str)]) {
    let before =
        burngate::journal::memory::MemoryJournal::replayed(&desk.entries()[..kept]).state();
    let again = desk.crash(kept);
    let after = again.journal.state();
    let (before, after) = (
        before.workflow(&"refunds".into()).unwrap(),
        after.workflow(&"refunds".into()).unwrap(),
    );
    assert!(
        after.status().remaining <= before.status().remaining,
        "{kept}: a crash gave budget back"
    );
    let kinds: Vec<_> = again
        .entries()
        .iter()
        .map(|entry| entry.event.kind().name())
        .collect();
    for what in acknowledged
        .iter()
        .filter(|(at, _)| *at <= kept)
        .map(|(_, what)| *what)
    {
        let kind = match what {
            "decided" => "decided",
            "reported" => "booked",
            "used" => "admitted",
            _ => "clamped",
        };
        assert!(
            kinds.contains(&kind),
            "{kept}: {what} was acknowledged and is missing"
        );
    }
    let executing = before
        .approvals()
        .get(id)
        .is_some_and(|approval| matches!(approval.stage, Stage::Used { .. }));
    let passes = matches!(again.call(None, "api/pay", 1), Admit::Pass { .. });
    assert!(!(executing && passes), "{kept}: executed again");
    let granted = before
        .approvals()
        .get(id)
        .is_some_and(|approval| matches!(approval.stage, Stage::Approved { .. }));
    assert_eq!(passes, granted, "{kept}: a person's decision");
    again.journal.write();
    checks::journal(&again.entries(), true);
    checks::projection(&again);
}
