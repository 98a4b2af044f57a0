//! Two operators at once: what loosens acts when it is durable, and of two who ask for it meanwhile
//! one is told that the other did.

use burngate::gate::budget::posture::Posture;
use burngate::gate::event::Event;
use burngate::gate::outcome::FailureMode;
use burngate::gate::time::{days, hours};
use burngate::ledger::call::in_flight::Settlement;
use burngate::ledger::people::outcome::{OperateError, WorkflowScope};
use burngate::ledger::people::promote::Promotion;

use super::checks;
use super::desk::{Desk, Rules, passed};

fn burned() -> Desk {
    let desk = Desk::new(Rules::default());
    for _ in 0..40 {
        desk.done(None, "api/note");
    }
    for _ in 0..3 {
        let call = passed(desk.call(None, "api/note", 1)).0.spend();
        call.settle(Settlement {
            status: 504,
            modes: vec![(FailureMode::Timeout, "")],
        });
    }
    desk.journal.write();
    assert_eq!(
        desk.ledger.view(&"refunds".into()).unwrap().status.posture,
        Posture::Burned
    );
    desk
}

fn conflict<T>(asked: Result<T, OperateError>) -> String {
    match asked {
        Err(OperateError::Conflict(what)) => what,
        Err(other) => panic!("refused otherwise: {other}"),
        Ok(_) => panic!("both were told that it was they"),
    }
}

fn count(desk: &Desk, of: fn(&Event) -> bool) -> usize {
    desk.entries()
        .iter()
        .filter(|entry| of(&entry.event))
        .count()
}

#[test]
fn of_two_releases_one_is_told_that_the_other_did() {
    for scope in [WorkflowScope::One("refunds".into()), WorkflowScope::All] {
        let desk = Desk::new(Rules::default());
        drop(
            desk.ledger
                .clamp(&scope, &"read_only".into(), &"ada".into(), "stop", None)
                .unwrap(),
        );
        desk.journal.write();
        let release = |by: &str| desk.ledger.release(&scope, &by.into(), "over");
        drop(release("ada").unwrap());
        let said = conflict(release("dana"));
        assert!(
            said.contains("is being released by ada at this moment"),
            "{said}"
        );
        // A clamp that comes meanwhile is another one, and stays until somebody releases that.
        drop(
            desk.ledger
                .clamp(&scope, &"halted".into(), &"eli".into(), "wait", None)
                .unwrap(),
        );
        drop(release("dana").unwrap());
        conflict(release("eli"));
        desk.journal.write();
        let view = desk.ledger.view(&"refunds".into()).unwrap();
        assert_eq!((view.state.clamp(), view.state.clamp_all()), (None, None));
        let said = conflict(release("eli"));
        assert!(
            said.contains("is not clamped") || said == "no clamp on every workflow is in force",
            "{said}"
        );
        assert_eq!(
            count(&desk, |event| matches!(event, Event::Released { .. })),
            2
        );
        checks::projection(&desk);
    }
}

#[test]
fn a_release_that_was_not_written_can_be_asked_for_again() {
    let desk = Desk::new(Rules::default());
    let scope = WorkflowScope::One("refunds".into());
    drop(
        desk.ledger
            .clamp(&scope, &"read_only".into(), &"ada".into(), "stop", None)
            .unwrap(),
    );
    desk.journal.write();
    desk.journal.refuse(true);
    drop(desk.ledger.release(&scope, &"ada".into(), "over"));
    desk.journal.write();
    desk.journal.refuse(false);
    drop(desk.ledger.release(&scope, &"ada".into(), "over").unwrap());
    desk.journal.write();
    assert!(
        desk.ledger
            .view(&"refunds".into())
            .unwrap()
            .state
            .clamp()
            .is_none()
    );
}

#[test]
fn a_clamp_that_has_run_out_is_not_released() {
    let desk = Desk::new(Rules::default());
    let scope = WorkflowScope::One("refunds".into());
    drop(
        desk.ledger
            .clamp(
                &scope,
                &"read_only".into(),
                &"ada".into(),
                "an hour",
                Some(desk.now().plus(hours(1))),
            )
            .unwrap(),
    );
    desk.journal.write();
    desk.pass(hours(1));
    assert_eq!(
        conflict(desk.ledger.release(&scope, &"ada".into(), "over")),
        "`refunds` is not clamped"
    );
}

#[test]
fn of_two_recoveries_and_of_two_waivers_one_is_heard() {
    let desk = burned();
    let recover = |by: &str| {
        desk.ledger.recover(
            &"refunds".into(),
            &by.into(),
            "a prompt",
            None,
            None,
            days(2),
        )
    };
    let waive = |by: &str| {
        desk.ledger
            .waive(&"refunds".into(), &by.into(), "over soon", hours(1))
    };
    drop(waive("ada").unwrap());
    assert!(
        conflict(waive("dana"))
            .starts_with("a waiver of `refunds` by ada is being written at this moment")
    );
    desk.journal.write();
    // The second of the two that there are in a month, and no third.
    drop(waive("dana").unwrap());
    desk.journal.write();
    let said = conflict(waive("eli"));
    assert_eq!(
        said,
        "`refunds` had 2 waivers in 30 days; `burngate recover refunds --cause TEXT` is the way back"
    );
    drop(recover("ada").unwrap());
    assert!(
        conflict(recover("dana"))
            .starts_with("a recovery of `refunds` by ada is being written at this moment")
    );
    desk.journal.write();
    let said = conflict(recover("dana"));
    assert!(
        said.starts_with("a probation of `refunds` is on already: it lasts until 20"),
        "{said}"
    );
    assert_eq!(
        count(&desk, |event| matches!(event, Event::Recovered { .. })),
        1
    );
    assert_eq!(
        count(&desk, |event| matches!(event, Event::Waived { .. })),
        2
    );
    checks::projection(&desk);
}

#[test]
fn a_healthy_workflow_has_nothing_to_recover_from_or_to_waive_and_a_level_is_given_once() {
    let desk = Desk::new(Rules::default());
    assert_eq!(
        conflict(desk.ledger.recover(
            &"refunds".into(),
            &"ada".into(),
            "a prompt",
            None,
            None,
            days(2)
        )),
        "`refunds` is healthy: there is no burn to recover from"
    );
    assert_eq!(
        conflict(
            desk.ledger
                .waive(&"refunds".into(), &"ada".into(), "why not", hours(1))
        ),
        "`refunds` is healthy: there is no cap to waive"
    );
    let promote = |by: &str| {
        desk.ledger.promote(
            &"refunds".into(),
            &by.into(),
            &Promotion::Level("autonomous".into()),
            "earned elsewhere",
        )
    };
    drop(promote("ada").unwrap());
    assert!(
        conflict(promote("dana"))
            .starts_with("a promotion of `refunds` by ada is being written at this moment")
    );
    desk.journal.write();
    assert!(conflict(promote("dana")).starts_with("`refunds` has earned `autonomous` already"));
    checks::projection(&desk);
}
