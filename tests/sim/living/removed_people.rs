//! Whoever is taken off the list has approved nothing, wherever their decision was on its way to
//! (G4, G9, G12).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};

use burngate::gate::approval::{DecisionKind, Stage};
use burngate::gate::event::Event;
use burngate::gate::name::PersonName;
use burngate::ledger::call::outcome::Admit;
use burngate::ledger::people::outcome::OperateError;

use super::checks;
use super::desk::{Answer, Desk, Rules, decision, passed};
use super::handover::Side;

fn name(
    desk: &Desk,
    people: &[&str],
) -> Answer<Result<(), burngate::journal::unavailable::Unavailable>> {
    Answer::of(
        desk.ledger
            .name_approvers(people.iter().map(|name| PersonName::from(*name)).collect()),
    )
}

fn approve(
    desk: &Desk,
    id: burngate::gate::name::ApprovalId,
    who: &str,
) -> Result<(), OperateError> {
    desk.ledger
        .decide(id, &decision(who, DecisionKind::Approve), None)
        .map(|deciding| drop(Answer::of(deciding.durable)))
}

fn ends_well(desk: &Desk) {
    desk.journal.write();
    checks::journal(&desk.entries(), true);
    checks::projection(desk);
}

#[test]
fn a_grant_that_needed_them_waits_again_before_the_disk_has_answered() {
    let desk = Desk::new(Rules::default());
    drop(name(&desk, &["dana", "eli"]));
    desk.journal.write();
    let id = desk.held(1);
    approve(&desk, id, "dana").unwrap();
    desk.journal.write();
    assert!(matches!(
        desk.ledger.approval(id).unwrap().1.stage,
        Stage::Approved { .. }
    ));
    let named = name(&desk, &["eli"]);
    assert_eq!(named.get(), None);
    assert!(
        matches!(desk.call(None, "api/pay", 1), Admit::Held { .. }),
        "in force before it is durable"
    );
    assert_eq!(
        approve(&desk, id, "dana"),
        Err(OperateError::NoApprover("dana".into()))
    );
    approve(&desk, id, "eli").unwrap();
    desk.journal.write();
    assert_eq!(named.get(), Some(Ok(())));
    drop(passed(desk.call(None, "api/pay", 1)).0.spend());
    ends_well(&desk);
}

#[test]
fn a_decision_on_its_way_to_disk_counts_for_nothing_once_they_are_gone() {
    let desk = Desk::new(Rules::default());
    drop(name(&desk, &["dana", "eli"]));
    desk.journal.write();
    let id = desk.held(1);
    approve(&desk, id, "dana").unwrap();
    drop(name(&desk, &["eli"]));
    desk.journal.write();
    assert_eq!(desk.ledger.approval(id).unwrap().1.stage, Stage::Pending);
    assert!(matches!(desk.call(None, "api/pay", 1), Admit::Held { .. }));
    // Nor does it come back with them, nor with a restart.
    drop(name(&desk, &["dana", "eli"]));
    desk.journal.write();
    assert!(matches!(desk.call(None, "api/pay", 1), Admit::Held { .. }));
    let again = desk.crash(desk.entries().len());
    assert!(matches!(again.call(None, "api/pay", 1), Admit::Held { .. }));
    assert_eq!(again.ledger.approvers().len(), 2);
    ends_well(&desk);
}

fn leaves(event: &Event) -> bool {
    matches!(event, Event::ApproversNamed { .. })
}

#[test]
fn g4_a_call_that_comes_right_behind_their_leaving_finds_their_approval_gone() {
    let desk = Arc::new(Desk::new(Rules::default()));
    drop(name(&desk, &["dana", "eli"]));
    desk.journal.write();
    let id = desk.held(1);
    approve(&desk, id, "dana").unwrap();
    desk.journal.write();
    let (caller, passed) = (Arc::clone(&desk), Arc::new(AtomicBool::new(false)));
    let has_passed = Arc::clone(&passed);
    desk.handover.interrupt(Side::Behind, leaves, move || {
        if let Admit::Pass { permit, .. } = caller.call(None, "api/pay", 1) {
            passed.store(true, Ordering::SeqCst);
            drop(permit.spend());
        }
    });
    drop(name(&desk, &["eli"]));
    assert!(!has_passed.load(Ordering::SeqCst), "her approval passed it");
    ends_well(&desk);
}

#[test]
fn g12_what_comes_between_their_leaving_and_the_journal_stands_as_the_fold_sees_it() {
    let desk = Arc::new(Desk::new(Rules {
        people: 2,
        ..Rules::default()
    }));
    drop(name(&desk, &["dana", "eli"]));
    desk.journal.write();
    let id = desk.held(1);
    approve(&desk, id, "dana").unwrap();
    desk.journal.write();
    let withdraws = Arc::clone(&desk);
    desk.handover.interrupt(Side::Before, leaves, move || {
        drop(withdraws.ledger.withdraw(id, "no longer needed").unwrap());
    });
    drop(name(&desk, &["eli"]));
    ends_well(&desk);
    let decisions = desk.ledger.approval(id).unwrap().1.decisions;
    assert!(
        !decisions[0].void,
        "it was withdrawn before dana left, and keeps what she decided"
    );
}

#[test]
fn of_decisions_that_race_with_leaving_none_stands() {
    const ROUNDS: u8 = 40;
    let desk = Desk::new(Rules::default());
    std::thread::scope(|scope| {
        let journal = &desk.journal;
        scope.spawn(|| journal.write_until_closed());
        for round in 0..ROUNDS {
            assert_eq!(
                desk.ledger
                    .name_approvers(["dana".into(), "eli".into()].into())
                    .wait(),
                Ok(Ok(()))
            );
            let id = desk.held(round);
            let start = Barrier::new(3);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    start.wait();
                    if let Ok(deciding) =
                        desk.ledger
                            .decide(id, &decision("dana", DecisionKind::Approve), None)
                    {
                        assert_eq!(deciding.durable.wait(), Ok(Ok(())));
                    }
                });
                scope.spawn(|| {
                    start.wait();
                    // It may be used before she leaves, and not after.
                    if let Admit::Pass { permit, .. } = desk.call(None, "api/pay", round) {
                        drop(permit.spend());
                    }
                });
                scope.spawn(|| {
                    start.wait();
                    assert_eq!(
                        desk.ledger.name_approvers(["eli".into()].into()).wait(),
                        Ok(Ok(()))
                    );
                });
            });
            assert!(
                !matches!(desk.call(None, "api/pay", round), Admit::Pass { .. }),
                "round {round}: her approval passes a call"
            );
        }
        journal.close();
    });
    ends_well(&desk);
    let mut listed = true;
    for entry in desk.entries() {
        match &entry.event {
            Event::ApproversNamed { people } => listed = people.contains("dana"),
            Event::Decided { decision, .. } => {
                assert!(listed, "{} decided when they were gone", decision.reviewer);
            }
            _ => {}
        }
    }
}
