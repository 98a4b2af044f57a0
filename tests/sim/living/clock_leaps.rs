//! Clocks that leap, go back and stand still (F16).

use burngate::clock::Clock as _;
use burngate::gate::approval::Stage;
use burngate::gate::budget::posture::Posture;
use burngate::gate::event::Event;
use burngate::gate::outcome::FailureMode;
use burngate::gate::time::{days, hours};
use burngate::ledger::call::in_flight::Settlement;
use burngate::ledger::call::outcome::Admit;
use burngate::ledger::people::outcome::WorkflowScope;
use burngate::ledger::people::views::View;

use super::checks;
use super::desk::{Desk, Rules, passed};

const DAY: i64 = 86_400_000;

fn leap(desk: &Desk, by: i64) {
    desk.turn(0, by);
    if let Some(wall) = desk.clock.jumped() {
        drop(desk.ledger.clock_jumped(wall));
    }
    desk.ledger.sweep();
}

fn fail(desk: &Desk) {
    let call = passed(desk.call(None, "api/note", 1)).0.spend();
    call.settle(Settlement {
        status: 504,
        modes: vec![(FailureMode::Timeout, "")],
    });
}

#[test]
fn a_leap_expires_holds_and_grants_and_ages_no_budget() {
    let desk = Desk::new(Rules::default());
    (0..2).for_each(|_| fail(&desk));
    desk.journal.write();
    let status = desk.ledger.view(&"refunds".into()).unwrap().status;
    assert_ne!(status.posture, Posture::Healthy);
    let (held, granted) = (desk.held(1), desk.approved(2));
    drop(
        desk.ledger
            .clamp(
                &WorkflowScope::All,
                &"supervised".into(),
                &"ada".into(),
                "a day",
                Some(desk.now().plus(days(1))),
            )
            .unwrap(),
    );
    desk.journal.write();
    leap(&desk, 30 * DAY);
    // At once, before it is durable.
    for id in [held, granted] {
        assert!(matches!(
            desk.ledger.approval(id).unwrap().1.stage,
            Stage::Expired { .. }
        ));
    }
    assert!(matches!(desk.call(None, "api/pay", 2), Admit::Held { .. }));
    desk.journal.write();
    let after = desk.ledger.view(&"refunds".into()).unwrap();
    assert_eq!(
        (after.status.posture, after.status.all),
        (status.posture, status.all)
    );
    assert!(after.state.clamp_all().is_some(), "a leap lifts no clamp");
    checks::projection(&desk);
    let leaps = |desk: &Desk| {
        desk.entries()
            .iter()
            .filter(|entry| matches!(entry.event, Event::ClockJumped { .. }))
            .count()
    };
    leap(&desk, 0);
    desk.journal.write();
    assert_eq!(leaps(&desk), 1, "once a leap");
    // What is held from here on has its time by the clock that did not leap.
    let later = desk.held(3);
    desk.pass(hours(1) - std::time::Duration::from_millis(1));
    assert_eq!(desk.ledger.approval(later).unwrap().1.stage, Stage::Pending);
    // Accepted, once that is durable.
    drop(desk.ledger.accept_clock(&"ada".into()));
    let before = desk.now();
    desk.journal.write();
    assert!(desk.now().since(before) >= days(29));
    desk.ledger.sweep();
    assert_eq!(
        desk.ledger
            .view(&"refunds".into())
            .unwrap()
            .status
            .all
            .unacceptable,
        0
    );
    checks::journal(&desk.entries(), true);
    checks::projection(&desk);
}

#[test]
fn a_clock_that_goes_back_forgives_nothing_and_revives_nothing() {
    let desk = Desk::new(Rules::default());
    fail(&desk);
    let id = desk.approved(1);
    desk.pass(hours(2));
    desk.ledger.sweep();
    assert!(matches!(
        desk.ledger.approval(id).unwrap().1.stage,
        Stage::Expired { .. }
    ));
    let before = desk.ledger.view(&"refunds".into()).unwrap().status;
    leap(&desk, -7 * DAY);
    desk.pass(hours(1));
    assert!(matches!(desk.call(None, "api/pay", 1), Admit::Held { .. }));
    let after = desk.ledger.view(&"refunds".into()).unwrap().status;
    assert_eq!(
        (after.posture, after.remaining),
        (before.posture, before.remaining)
    );
    desk.journal.write();
    // Nor does a restart under the clock that stands back.
    let again = desk.crash(desk.entries().len());
    assert!(again.now() >= desk.now());
    checks::journal(&again.entries(), true);
    checks::projection(&again);
}

/// A desk whose only workflow is burned by three failures.
fn burned() -> Desk {
    let desk = Desk::new(Rules::default());
    for _ in 0..40 {
        desk.done(None, "api/note");
    }
    (0..3).for_each(|_| fail(&desk));
    desk.journal.write();
    assert_eq!(view(&desk).status.posture, Posture::Burned);
    desk
}

fn view(desk: &Desk) -> View {
    desk.ledger.view(&"refunds".into()).unwrap()
}

#[test]
fn a_clock_that_goes_back_a_day_moves_no_end() {
    let desk = burned();
    let refunds = "refunds".into();
    let began = desk.now();
    drop(
        desk.ledger
            .waive(&refunds, &"ada".into(), "over soon", hours(12))
            .unwrap(),
    );
    drop(
        desk.ledger
            .clamp(
                &WorkflowScope::One(refunds.clone()),
                &"standard".into(),
                &"ada".into(),
                "a day",
                Some(began.plus(days(1))),
            )
            .unwrap(),
    );
    drop(
        desk.ledger
            .give_grant(
                &refunds,
                &"api/pay".into(),
                (hours(6), 5),
                &"ada".into(),
                "a busy hour",
            )
            .unwrap(),
    );
    desk.journal.write();
    let ends = |desk: &Desk| {
        let state = view(desk).state;
        (
            state.waiver().map(|waiver| waiver.until),
            state.clamp().and_then(|clamp| clamp.until),
            state.timed().iter().next().unwrap().until,
        )
    };
    let before = ends(&desk);
    assert_eq!(
        (before.0, before.1),
        (Some(began.plus(hours(12))), Some(began.plus(days(1))))
    );
    // A day back: time stands still until the clock has caught up, no end moves, and nothing begins
    // anew.
    leap(&desk, -DAY);
    desk.pass(hours(23));
    desk.ledger.sweep();
    assert_eq!((desk.now(), ends(&desk)), (began, before));
    desk.pass(hours(1 + 12));
    desk.ledger.sweep();
    assert_eq!(desk.now(), began.plus(hours(12)));
    assert!(view(&desk).state.waiver().is_none() && view(&desk).state.clamp().is_some());
    assert!(
        view(&desk)
            .state
            .timed()
            .open(&"api/pay".into(), desk.now())
            .is_none()
    );
    desk.pass(hours(12));
    desk.ledger.sweep();
    assert!(view(&desk).state.clamp().is_none());
}

/// Nothing is earned, ends well or is forgiven by it; what would only open something is over.
#[test]
fn a_clock_that_leaps_a_month_ahead_waits_for_somebody_to_take_it_for_the_time() {
    let desk = burned();
    let overdue = view(&desk).state.reviews().overdue_since();
    drop(
        desk.ledger
            .recover(
                &"refunds".into(),
                &"ada".into(),
                "a prompt",
                None,
                None,
                days(7),
            )
            .unwrap(),
    );
    desk.journal.write();
    let until = view(&desk).state.account().probation().unwrap().until;
    let days_before: Vec<_> = view(&desk)
        .state
        .progress()
        .iter()
        .map(|progress| progress.days)
        .collect();
    leap(&desk, 31 * DAY);
    desk.journal.write();
    let after = view(&desk);
    assert_eq!(
        after
            .state
            .account()
            .probation()
            .map(|probation| probation.until),
        Some(until),
        "a leap is no good conduct"
    );
    assert_eq!(
        after
            .state
            .progress()
            .iter()
            .map(|progress| progress.days)
            .collect::<Vec<_>>(),
        days_before
    );
    assert_eq!(
        (
            after.state.reviews().overdue_since(),
            after.status.all.unacceptable
        ),
        (overdue, 3)
    );
    assert!(!after.state.may_waive(desk.now()) || after.state.waiver().is_none());
    // Somebody takes it for the time: then it has passed, for everything.
    drop(desk.ledger.accept_clock(&"ada".into()));
    desk.journal.write();
    desk.ledger.sweep();
    desk.journal.write();
    let after = view(&desk);
    assert!(
        after.state.account().probation().is_none()
            && after.state.reviews().overdue_since().is_some()
    );
    assert_eq!(
        (after.status.posture, after.status.all.unacceptable),
        (Posture::Healthy, 0)
    );
    checks::journal(&desk.entries(), true);
    checks::projection(&desk);
}
