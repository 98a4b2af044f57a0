//! Clocks that leap, go back and stand still (F16).

use burngate::{
    clock::Clock as _,
    gate::{
        approval::Stage,
        budget::posture::Posture,
        event::Event,
        outcome::FailureMode,
        time::{days, hours},
    },
    ledger::{admit::Admit, operate::Scope, permit::Settlement},
};

use super::{
    checks,
    desk::{Desk, Rules, passed},
};

const DAY: i64 = 86_400_000;

fn leap(desk: &Desk, by: i64) {
    desk.turn(0, by);
    if let Some(wall) = desk.clock.jumped() {
        drop(desk.ledger.clock_jumped(wall));
    }
    desk.ledger.sweep();
}

fn fail(desk: &Desk) {
    let seat = passed(desk.call(None, "api/note", 1)).0.spend();
    seat.settle(Settlement { status: 504, modes: vec![(FailureMode::Timeout, "")] });
}

#[test]
fn a_leap_expires_holds_and_grants_and_ages_no_budget() {
    let desk = Desk::new(Rules::default());
    (0..2).for_each(|_| fail(&desk));
    desk.journal.write();
    let standing = desk.ledger.view(&"refunds".into()).unwrap().standing;
    assert_ne!(standing.posture, Posture::Healthy);
    let (held, granted) = (desk.held(1), desk.approved(2));
    drop(desk.ledger.clamp(&Scope::All, &"supervised".into(), &"ada".into(), "a day", Some(desk.now().plus(days(1)))).unwrap());
    desk.journal.write();
    leap(&desk, 30 * DAY);
    // At once, before it is durable.
    for id in [held, granted] {
        assert!(matches!(desk.ledger.approval(id).unwrap().1.stage, Stage::Expired { .. }));
    }
    assert!(matches!(desk.call(None, "api/pay", 2), Admit::Held { .. }));
    desk.journal.write();
    let after = desk.ledger.view(&"refunds".into()).unwrap();
    assert_eq!((after.standing.posture, after.standing.all), (standing.posture, standing.all));
    assert!(after.state.clamp_all().is_some(), "a leap lifts no clamp");
    checks::projection(&desk);
    let leaps = |desk: &Desk| desk.entries().iter().filter(|entry| matches!(entry.event, Event::ClockJumped { .. })).count();
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
    assert_eq!(desk.ledger.view(&"refunds".into()).unwrap().standing.all.unacceptable, 0);
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
    assert!(matches!(desk.ledger.approval(id).unwrap().1.stage, Stage::Expired { .. }));
    let before = desk.ledger.view(&"refunds".into()).unwrap().standing;
    leap(&desk, -7 * DAY);
    desk.pass(hours(1));
    assert!(matches!(desk.call(None, "api/pay", 1), Admit::Held { .. }));
    let after = desk.ledger.view(&"refunds".into()).unwrap().standing;
    assert_eq!((after.posture, after.remaining), (before.posture, before.remaining));
    desk.journal.write();
    // Nor does a restart under the clock that stands back.
    let again = desk.crash(desk.entries().len());
    assert!(again.now() >= desk.now());
    checks::journal(&again.entries(), true);
    checks::projection(&again);
}
