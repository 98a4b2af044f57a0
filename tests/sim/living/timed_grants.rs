//! What a time-boxed grant does not let go, although it is open.

use burngate::gate::budget::posture::Posture;
use burngate::gate::outcome::FailureMode;
use burngate::gate::time::minutes;
use burngate::ledger::call::in_flight::Settlement;
use burngate::ledger::call::outcome::Admit;
use burngate::ledger::call::permit::Permit;
use burngate::ledger::people::outcome::WorkflowScope;

use super::checks;
use super::desk::{Desk, Rules, passed};

fn desk() -> Desk {
    let mut rules = Rules {
        tools: vec!["api/mail", "api/pay", "api/ask"],
        ..Rules::default()
    };
    let critical = &mut rules.terms.objective.critical;
    critical.insert(FailureMode::WrongAction);
    let desk = Desk::new(rules);
    let (_, durable) = desk
        .ledger
        .give_grant(
            &"refunds".into(),
            &"api/pay".into(),
            (minutes(30), 9),
            &"ada".into(),
            "a drill",
        )
        .unwrap();
    drop(durable);
    desk.journal.write();
    desk
}

fn ends(permit: Permit, modes: Vec<(FailureMode, &'static str)>) {
    let mut call = permit.spend();
    call.answered(200);
    call.settle(Settlement { status: 200, modes });
}

fn is_held(admit: &Admit) -> bool {
    matches!(admit, Admit::Held { .. })
}

#[test]
fn once_the_budget_is_burned_calls_are_held_in_spite_of_it() {
    let desk = desk();
    let posture = || {
        let view = desk.ledger.view(&"refunds".into()).unwrap();
        view.status.posture
    };
    ends(passed(desk.call(None, "api/pay", 1)).0, Vec::new());
    let wrong = vec![(FailureMode::WrongAction, "")];
    ends(passed(desk.call(None, "api/mail", 1)).0, wrong);
    assert_eq!(posture(), Posture::Burned);
    assert!(is_held(&desk.call(None, "api/pay", 2)));
    desk.journal.write();
    checks::projection(&desk);
}

#[test]
fn what_a_run_that_escalated_does_next_is_put_to_the_person_who_has_its_case() {
    let desk = desk();
    ends(
        passed(desk.call(Some("handed over"), "api/ask", 1)).0,
        Vec::new(),
    );
    assert!(is_held(&desk.call(Some("handed over"), "api/pay", 1)));
    ends(
        passed(desk.call(Some("another"), "api/pay", 2)).0,
        Vec::new(),
    );
}

#[test]
fn a_call_that_was_to_go_under_it_is_held_by_a_clamp_that_comes_first() {
    let desk = desk();
    let (permit, _) = passed(desk.call(None, "api/pay", 1));
    drop(
        desk.ledger
            .clamp(
                &WorkflowScope::All,
                &"supervised".into(),
                &"ada".into(),
                "stop",
                None,
            )
            .unwrap(),
    );
    let Err(call) = permit.check() else {
        panic!("an old permit passed")
    };
    assert!(is_held(&desk.admit(*call, "api/pay", 1)));
    desk.journal.write();
    checks::journal(&desk.entries(), true);
    checks::projection(&desk);
}

#[test]
fn it_ends_by_the_time_of_the_journal_where_a_judgement_takes_long() {
    let desk = desk();
    let (call, read_at) = (desk.open_call(None).unwrap(), desk.now());
    desk.pass(minutes(30));
    assert!(is_held(&desk.admit_at(call, "api/pay", 1, read_at)));
}
