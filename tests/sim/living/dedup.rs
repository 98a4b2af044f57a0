//! What was done, by many at once and across a crash: work is done once, a limit is not overdrawn,
//! and only what was provably not executed is given back.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};

use burngate::gate::approval::DecisionKind;
use burngate::gate::dedup::CallStage;
use burngate::gate::outcome::FailureMode;
use burngate::gate::policy::finding::RuleName;
use burngate::gate::risk::Tier;
use burngate::gate::run::Mark;
use burngate::gate::time::{days, hours};
use burngate::ledger::call::outcome::Admit;
use burngate::ledger::call::permit::Permit;
use burngate::ledger::call::refusal::Refusal;
use burngate::ledger::dedup::DedupFinding;
use burngate::ledger::people::outcome::WorkflowScope;

use super::checks;
use super::desk::{Desk, FEW, Rules, decision, passed, refused};
use crate::world::terms;

const THREADS: usize = 1_000;

fn two_workflows() -> Desk {
    two_of(Tier::Medium)
}

fn two_of(tier: Tier) -> Desk {
    let rules = || Rules {
        terms: terms(tier, 950_000),
        tools: vec!["api/once", "api/twin", "api/few", "api/undo"],
        ..Rules::default()
    };
    Desk::of(&[("refunds", rules()), ("triage", rules())], 1_000, 10_000)
}

fn ask(desk: &Desk, workflow: &str, tool: &str, order: &'static str) -> Admit {
    desk.admit_about(
        desk.open_call_in(workflow, "clerk", None).unwrap(),
        tool,
        1,
        order,
    )
}

fn recalled(admit: Admit) -> DedupFinding {
    match refused(admit) {
        Refusal::Done(recalled) => *recalled,
        other => panic!("refused otherwise: {other:?}"),
    }
}

/// The call is sent, and ends so.
fn end(permit: Permit, executed: Option<u16>) {
    let mut call = permit.spend();
    match executed {
        Some(status) => {
            call.answered(status);
            drop(call);
        }
        None => drop(call),
    }
}

fn duplicates(desk: &Desk) -> usize {
    let is_duplicate = |mode: &FailureMode| *mode == FailureMode::DuplicateWork;
    desk.records()
        .iter()
        .flat_map(|view| &view.run.charges)
        .filter(|charge| is_duplicate(&charge.mode))
        .count()
}

/// The living book is the fold's (G12).
fn same_book(desk: &Desk) {
    desk.journal.write();
    let (mut live, mut fold) = (desk.ledger.dedup(), desk.journal.state().dedup().clone());
    live.expire(desk.now());
    fold.expire(desk.now());
    assert_eq!(live.len(), fold.len());
    let json = |book: &_| {
        let mut value = serde_json::to_value(book).unwrap();
        value.as_object_mut().unwrap().remove("expires_at");
        value
    };
    assert_eq!(json(&live), json(&fold));
}

#[test]
fn of_a_thousand_who_ask_for_the_same_work_one_does_it_and_no_limit_is_overdrawn() {
    // At tier low a refused duplicate is recorded and costs nothing, so that no level changes
    // meanwhile.
    let desk = two_of(Tier::Low);
    let (done, counted) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        let journal = &desk.journal;
        scope.spawn(|| journal.write_until_closed());
        let start = Barrier::new(THREADS);
        std::thread::scope(|scope| {
            for n in 0..THREADS {
                let (desk, start, done, counted) = (&desk, &start, &done, &counted);
                let body = move || {
                    start.wait();
                    let workflow = if n % 2 == 0 { "refunds" } else { "triage" };
                    for (tool, order, passes) in
                        [("api/once", "A-1", done), ("api/few", "A-2", counted)]
                    {
                        if let Admit::Pass { permit, durable } = ask(desk, workflow, tool, order) {
                            assert_eq!(
                                durable
                                    .expect("durable first, although the tool's risk is low")
                                    .wait(),
                                Ok(Ok(()))
                            );
                            // A third of them is provably not executed, and gives its place back.
                            if n % 3 == 0 {
                                drop(permit);
                            } else {
                                passes.fetch_add(1, Ordering::Relaxed);
                                end(permit, Some(200));
                            }
                        }
                    }
                };
                std::thread::Builder::new()
                    .stack_size(256 << 10)
                    .spawn_scoped(scope, body)
                    .unwrap();
            }
        });
        journal.close();
    });
    desk.journal.write();
    assert!(
        done.load(Ordering::Relaxed) <= 1,
        "the work was done {} times",
        done.load(Ordering::Relaxed)
    );
    assert!(
        counted.load(Ordering::Relaxed) <= FEW,
        "{} calls went, and {FEW} may",
        counted.load(Ordering::Relaxed)
    );
    // What was given back can be taken.
    let mut left = 0;
    while let Admit::Pass { permit, .. } = ask(&desk, "triage", "api/few", "A-2") {
        end(permit, Some(200));
        left += 1;
    }
    assert_eq!(left, FEW - counted.load(Ordering::Relaxed));
    desk.journal.write();
    checks::journal(&desk.entries(), true);
    same_book(&desk);
}

#[test]
fn the_earlier_call_is_named_and_only_an_answered_one_makes_a_repeat_duplicate_work() {
    let desk = two_workflows();
    let first = passed(ask(&desk, "refunds", "api/once", "A-1")).0;
    let call = first.call().id();
    let repeat = recalled(ask(&desk, "triage", "api/once", "A-1"));
    assert_eq!(
        (
            repeat.finding.rule,
            repeat
                .earlier
                .as_ref()
                .map(|done| (done.doer.call, done.stage))
        ),
        (RuleName::Duplicate, Some((call, CallStage::InFlight)))
    );
    desk.journal.write();
    assert_eq!(duplicates(&desk), 0, "a retry");
    end(first, Some(200));
    desk.journal.write();
    assert_eq!(
        recalled(ask(&desk, "triage", "api/once", "A-1"))
            .earlier
            .map(|done| done.stage),
        Some(CallStage::Done)
    );
    desk.journal.write();
    assert_eq!(duplicates(&desk), 1);
    // Another order, and the same one a day later.
    end(
        passed(ask(&desk, "triage", "api/once", "A-1 ")).0,
        Some(200),
    );
    desk.pass(days(1));
    end(passed(ask(&desk, "triage", "api/once", "A-1")).0, Some(200));
    same_book(&desk);
}

#[test]
fn g9_a_crash_forgets_nothing_that_was_done_or_may_have_been() {
    let desk = two_workflows();
    end(
        passed(ask(&desk, "refunds", "api/once", "A-1")).0,
        Some(200),
    );
    drop(passed(ask(&desk, "refunds", "api/once", "A-2")));
    for _ in 0..FEW - 1 {
        end(passed(ask(&desk, "refunds", "api/few", "A-1")).0, Some(500));
    }
    // In flight when the gate dies: nobody will know.
    let (open, _) = passed(ask(&desk, "refunds", "api/once", "A-3"));
    let (last, _) = passed(ask(&desk, "refunds", "api/few", "A-3"));
    desk.journal.write();
    let after = desk.crash(desk.entries().len());
    std::mem::forget((open, last));
    for (order, stage) in [("A-1", CallStage::Done), ("A-3", CallStage::Unknown)] {
        assert_eq!(
            recalled(ask(&after, "triage", "api/once", order))
                .earlier
                .map(|done| done.stage),
            Some(stage),
            "{order}"
        );
    }
    end(
        passed(ask(&after, "triage", "api/once", "A-2")).0,
        Some(200),
    );
    let reached = recalled(ask(&after, "triage", "api/few", "A-9"))
        .reached
        .unwrap();
    assert_eq!(
        (reached.used.to_string(), reached.bound.to_string()),
        (FEW.to_string(), FEW.to_string())
    );
    assert!(
        reached
            .frees_at
            .is_some_and(|at| at > after.now() && at <= after.now().plus(hours(2)))
    );
    same_book(&after);
}

#[test]
fn work_that_is_undone_is_charged_to_the_run_that_did_it_once() {
    let desk = two_workflows();
    end(
        passed(ask(&desk, "refunds", "api/once", "A-1")).0,
        Some(200),
    );
    desk.journal.write();
    assert_eq!(duplicates(&desk), 0);
    // One that failed undid nothing, nor did one of another order.
    for status in [400, 404] {
        end(
            passed(ask(&desk, "triage", "api/undo", "A-1")).0,
            Some(status),
        );
    }
    end(passed(ask(&desk, "triage", "api/undo", "A-2")).0, Some(200));
    desk.journal.write();
    assert_eq!(duplicates(&desk), 0);
    let undo = passed(ask(&desk, "triage", "api/undo", "A-1")).0;
    let by = undo.call().id();
    end(undo, Some(200));
    desk.journal.write();
    let charged: Vec<_> = desk
        .records()
        .into_iter()
        .filter(|view| !view.run.charges.is_empty())
        .collect();
    assert_eq!((charged.len(), duplicates(&desk)), (1, 1));
    let run = &charged[0].run;
    assert_eq!(
        (run.workflow.as_str(), run.mark),
        ("refunds", Mark::Unacceptable)
    );
    assert!(
        run.charges[0]
            .note
            .as_deref()
            .is_some_and(|note| note.contains(&by.to_string())),
        "{:?}",
        run.charges
    );
    same_book(&desk);
}

#[test]
fn of_several_that_did_the_work_each_is_charged_once_the_newest_first_also_across_a_crash() {
    let desk = two_workflows();
    let mut calls = Vec::new();
    for _ in 0..3 {
        // A day apart, so that none is a duplicate, and within the week in which they can be
        // undone.
        let permit = passed(ask(&desk, "refunds", "api/once", "A-1")).0;
        calls.push(permit.call().id());
        end(permit, Some(200));
        desk.pass(days(1));
    }
    let charged = |desk: &Desk| {
        desk.journal.write();
        let entries = desk.entries();
        let by = |entry: &burngate::gate::event::Entry| match &entry.event {
            burngate::gate::event::Event::Settled { undid, .. } => undid.map(|undone| undone.call),
            _ => None,
        };
        entries.iter().filter_map(by).collect::<Vec<_>>()
    };
    let undo = |desk: &Desk| end(passed(ask(desk, "triage", "api/undo", "A-1")).0, Some(200));
    undo(&desk);
    assert_eq!(charged(&desk), [calls[2]]);
    same_book(&desk);
    let desk = desk.crash(desk.entries().len());
    undo(&desk);
    undo(&desk);
    // There is nothing left that could be undone.
    undo(&desk);
    assert_eq!(charged(&desk), [calls[2], calls[1], calls[0]]);
    same_book(&desk);
}

#[test]
fn what_a_clamp_held_and_a_person_approved_is_remembered_as_well() {
    let desk = two_workflows();
    // A clamp to `supervised` holds what is medium.
    drop(
        desk.ledger
            .clamp(
                &WorkflowScope::All,
                &"supervised".into(),
                &"ada".into(),
                "careful",
                None,
            )
            .unwrap(),
    );
    let held = |digest: u8| {
        desk.admit_about(
            desk.open_call_in("refunds", "clerk", None).unwrap(),
            "api/twin",
            digest,
            "A-1",
        )
    };
    let Admit::Held { approval, call, .. } = held(1) else {
        panic!("it was not held")
    };
    assert!(desk.ledger.dedup().is_empty(), "while it is held");
    drop(call);
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
    end(passed(held(1)).0, Some(200));
    assert_eq!(recalled(held(2)).finding.rule, RuleName::Duplicate);
    same_book(&desk);
}
