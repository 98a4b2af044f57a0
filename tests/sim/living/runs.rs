//! Runs: booked once, ended once, continued, and found by whoever reports on them.

use burngate::gate::event::Event;
use burngate::gate::name::RunId;
use burngate::gate::outcome::FailureMode;
use burngate::gate::run::Mark;
use burngate::gate::time::{hours, minutes};
use burngate::journal::revise::{ReviseError, Revised, RunTarget};
use burngate::ledger::call::in_flight::Settlement;
use burngate::ledger::people::report::Reported;

use super::checks;
use super::desk::{Answer, Desk, LEASE, Rules, charge, passed};

fn finish(desk: &Desk, run: &str) -> Option<RunId> {
    desk.ledger
        .finish(&"refunds".into(), &"clerk".into(), &run.into(), false)
}

fn marks(desk: &Desk) -> Vec<(String, Mark)> {
    desk.journal.write();
    checks::journal(&desk.entries(), false);
    checks::projection(desk);
    checks::recount(desk);
    desk.records()
        .iter()
        .rev()
        .map(|view| {
            (
                view.run
                    .run
                    .as_ref()
                    .map_or_else(String::new, ToString::to_string),
                view.run.mark,
            )
        })
        .collect()
}

fn count(desk: &Desk, kind: &str) -> usize {
    desk.entries()
        .iter()
        .filter(|entry| entry.event.kind().name() == kind)
        .count()
}

fn fails(desk: &Desk, run: Option<&str>, tool: &str, mode: FailureMode) {
    let mut call = passed(desk.call(run, tool, 1)).0.spend();
    call.answered(500);
    call.settle(Settlement {
        status: 500,
        modes: vec![(mode, "")],
    });
}

fn by_run(run: &str) -> RunTarget {
    RunTarget::Run {
        run: run.into(),
        workflow: None,
        agent: None,
    }
}

fn by_order(order: &str) -> RunTarget {
    RunTarget::Subject {
        subject: order.into(),
        tool: None,
        workflow: None,
    }
}

fn report(desk: &Desk, target: RunTarget, reference: Option<&str>) -> Result<Revised, ReviseError> {
    match desk
        .ledger
        .report(target, charge(FailureMode::WrongAction, reference))
    {
        Reported::Open { revised, durable } => {
            let durable = durable.map(Answer::of);
            desk.journal.write();
            assert!(durable.is_none_or(|durable| durable.get() == Some(Ok(()))));
            Ok(revised)
        }
        Reported::Booked(receipt) => {
            let answer = Answer::of(receipt);
            desk.journal.write();
            answer.get().expect("an answer")
        }
    }
}

#[test]
fn a_run_is_booked_once_at_its_first_failure_and_later_ones_are_added() {
    let desk = Desk::new(Rules::default());
    fails(&desk, Some("r"), "api/note", FailureMode::ToolError);
    desk.journal.write();
    assert_eq!(count(&desk, "booked"), 0, "a mode that costs nothing");
    fails(&desk, Some("r"), "api/note", FailureMode::Timeout);
    fails(&desk, Some("r"), "api/note", FailureMode::Timeout);
    fails(&desk, Some("r"), "api/note", FailureMode::DuplicateWork);
    desk.journal.write();
    assert_eq!(
        (
            count(&desk, "booked"),
            count(&desk, "reported"),
            count(&desk, "booked_high")
        ),
        (1, 1, 0)
    );
    // The first high call comes after the booking.
    desk.approved(1);
    let mut call = passed(desk.call(Some("r"), "api/pay", 1)).0.spend();
    call.answered(200);
    drop(call);
    assert!(finish(&desk, "r").is_some() && finish(&desk, "r").is_none());
    assert_eq!(
        marks(&desk)
            .iter()
            .filter(|(run, _)| run == "r")
            .collect::<Vec<_>>(),
        [&("r".to_owned(), Mark::Unacceptable)]
    );
    assert_eq!(
        (count(&desk, "booked"), count(&desk, "booked_high")),
        (1, 1)
    );
}

#[test]
fn reads_are_idle_and_count_where_there_is_nothing_else() {
    for reads_only in [false, true] {
        let mut rules = Rules::default();
        rules.terms.reads_only = reads_only;
        let desk = Desk::new(rules);
        desk.done(None, "api/look");
        drop(desk.open_call(Some("empty")));
        finish(&desk, "empty");
        let read = if reads_only {
            Mark::Acceptable
        } else {
            Mark::Idle
        };
        assert_eq!(
            marks(&desk),
            [(String::new(), read), ("empty".to_owned(), Mark::Idle)]
        );
    }
}

#[test]
fn the_third_blocked_mistake_counts_and_counts_once() {
    let mut rules = Rules::default();
    rules
        .terms
        .objective
        .unacceptable
        .insert(FailureMode::WrongArguments);
    let desk = Desk::new(rules);
    for n in 1..=5 {
        drop(desk.call(Some("r"), "api/form", 1));
        desk.journal.write();
        assert_eq!(count(&desk, "booked"), usize::from(n >= 3), "{n}");
    }
    (0..2).for_each(|_| drop(desk.call(Some("s"), "api/form", 1)));
    finish(&desk, "r");
    finish(&desk, "s");
    assert_eq!(
        marks(&desk),
        [
            ("r".to_owned(), Mark::Unacceptable),
            ("s".to_owned(), Mark::Idle)
        ]
    );
}

#[test]
fn past_its_calls_its_time_or_its_lease_a_run_is_continued() {
    let desk = Desk::new(Rules {
        calls: 3,
        ..Rules::default()
    });
    for _ in 0..4 {
        desk.done(Some("calls"), "api/note");
    }
    for _ in 0..5 {
        desk.done(Some("max"), "api/note");
        desk.pass(minutes(14));
    }
    desk.done(Some("lease"), "api/note");
    desk.pass(LEASE);
    desk.done(Some("lease"), "api/note");
    desk.pass(LEASE);
    desk.ledger.sweep();
    let mut ended = marks(&desk);
    ended.sort_by(|a, b| a.0.cmp(&b.0));
    let names: Vec<_> = ended.iter().map(|(run, _)| run.as_str()).collect();
    assert_eq!(
        names,
        ["calls", "calls#2", "lease", "lease#2", "max", "max#2"]
    );
    assert!(
        ended.iter().all(|(_, mark)| *mark == Mark::Acceptable),
        "an end by lease is quiet"
    );
    assert_eq!(desk.ledger.open_runs(), 0);
}

#[test]
fn the_lease_stands_still_while_a_call_is_in_flight_or_held() {
    let desk = Desk::new(Rules::default());
    let call = passed(desk.call(Some("r"), "api/note", 1)).0.spend();
    drop(desk.call(Some("h"), "api/pay", 1));
    for _ in 0..3 {
        desk.pass(minutes(19));
        desk.ledger.sweep();
        assert_eq!(desk.ledger.open_runs(), 2);
    }
    drop(call);
    // The hold expires after an hour; the lease begins then.
    desk.pass(minutes(4));
    desk.ledger.sweep();
    desk.pass(LEASE);
    desk.ledger.sweep();
    assert_eq!(desk.ledger.open_runs(), 0);
    assert_eq!(marks(&desk).len(), 2);
}

#[test]
fn an_end_without_finish_is_a_timeout_only_where_finish_is_required() {
    for finish_required in [false, true] {
        let desk = Desk::new(Rules {
            finish_required,
            ..Rules::default()
        });
        desk.done(Some("r"), "api/note");
        desk.done(Some("s"), "api/note");
        finish(&desk, "s");
        desk.pass(LEASE);
        desk.ledger.sweep();
        let left = if finish_required {
            Mark::Unacceptable
        } else {
            Mark::Acceptable
        };
        assert_eq!(
            marks(&desk),
            [("s".to_owned(), Mark::Acceptable), ("r".to_owned(), left)]
        );
    }
}

#[test]
fn a_run_that_ends_with_calls_in_flight_ends_with_the_last_of_them_and_is_one_run() {
    let desk = Desk::new(Rules {
        calls: 2,
        ..Rules::default()
    });
    let first = passed(desk.call(Some("r"), "api/note", 1)).0.spend();
    let second = passed(desk.call(Some("r"), "api/note", 1)).0.spend();
    // Full, and two calls are in flight: the next one opens a continuation.
    let third = passed(desk.call(Some("r"), "api/note", 1)).0.spend();
    assert_eq!((first.run().as_str(), third.run().as_str()), ("r", "r#2"));
    assert_eq!(finish(&desk, "r"), Some("r#2".into()));
    desk.journal.write();
    assert!(desk.records().is_empty());
    drop(first);
    let answered = |mut call: burngate::ledger::call::in_flight::InFlightCall| {
        call.answered(200);
        drop(call);
    };
    answered(second);
    answered(third);
    assert_eq!(
        marks(&desk),
        [
            ("r".to_owned(), Mark::Unacceptable),
            ("r#2".to_owned(), Mark::Acceptable)
        ]
    );
    assert_eq!(desk.ledger.open_runs(), 0);
}

#[test]
fn harmless_reports_never_crowd_out_one_that_counts() {
    let desk = Desk::new(Rules::default());
    desk.done(Some("r"), "api/note");
    for n in 0..200 {
        let mode = FailureMode::from(format!("odd-{n}").as_str());
        drop(desk.ledger.report(by_run("r"), charge(mode, None)));
    }
    assert_eq!(
        report(&desk, by_run("r"), None).unwrap().now,
        Mark::Unacceptable
    );
    finish(&desk, "r");
    assert_eq!(marks(&desk), [("r".to_owned(), Mark::Unacceptable)]);
}

#[test]
fn a_report_finds_its_run_open_ending_ended_or_booked() {
    // Each moment at which a report can come, by run, call and object.
    for moment in 0..5 {
        for how in 0..3 {
            let desk = Desk::new(Rules::default());
            let call = desk.done_about(Some("r"), "api/mail", "A-7");
            let target = [by_run("r"), RunTarget::Call(call), by_order("A-7")][how].clone();
            let in_flight =
                (moment == 1).then(|| passed(desk.call(Some("r"), "api/note", 1)).0.spend());
            if moment >= 1 {
                finish(&desk, "r");
            }
            match moment {
                // Handed over, and not written; or the admission alone is written.
                2 => {}
                3 => assert!(desk.journal.write_one()),
                4 => drop(desk.journal.write()),
                _ => {}
            }
            let revised = report(&desk, target, Some("T-1"))
                .unwrap_or_else(|error| panic!("{moment} {how}: {error}"));
            assert_eq!(
                (revised.run.as_str(), revised.now),
                ("r", Mark::Unacceptable),
                "{moment} {how}"
            );
            if let Some(mut call) = in_flight {
                call.answered(200);
                drop(call);
            }
            finish(&desk, "r");
            assert_eq!(
                marks(&desk),
                [("r".to_owned(), Mark::Unacceptable)],
                "{moment} {how}"
            );
        }
    }
}

#[test]
fn a_report_by_object_means_the_riskiest_call_open_or_booked() {
    let desk = Desk::new(Rules {
        terms: crate::world::terms(burngate::gate::risk::Tier::Medium, 500_000),
        ..Rules::default()
    });
    // A booked run changed the order, and an open one has only looked at it since.
    desk.done_about(Some("old"), "api/mail", "A-7");
    finish(&desk, "old");
    desk.done_about(Some("new"), "api/look", "A-7");
    assert_eq!(
        report(&desk, by_order("A-7"), Some("T-1"))
            .unwrap()
            .run
            .as_str(),
        "old"
    );
    // The open one changes it as well, and is the newer of the two.
    desk.done_about(Some("new"), "api/mail", "A-7");
    let again = report(&desk, by_order("A-7"), Some("T-1")).unwrap();
    assert!(matches!(again.run.as_str(), "old" | "new"));
    desk.done_about(Some("other"), "api/mail", "B-1");
    assert_eq!(
        report(&desk, by_order("B-1"), Some("T-2"))
            .unwrap()
            .run
            .as_str(),
        "other"
    );
    // A newer open run touches it; the delivery that is repeated is about the one before.
    desk.done_about(Some("newer"), "api/mail", "B-1");
    let repeated = report(&desk, by_order("B-1"), Some("T-2")).unwrap();
    assert_eq!((repeated.run.as_str(), repeated.repeated), ("other", true));
    assert_eq!(
        report(&desk, by_order("C-1"), None),
        Err(ReviseError::Unknown)
    );
    desk.ledger.end_all();
    marks(&desk);
}

#[test]
fn two_open_runs_of_one_name_are_told_apart_or_asked_about() {
    let desk = Desk::new(Rules::default());
    for agent in ["clerk", "robot"] {
        drop(desk.open_call_in("refunds", agent, Some("r")));
    }
    assert!(
        matches!(report(&desk, by_run("r"), None), Err(ReviseError::Several(runs)) if runs.len() == 2)
    );
    let target = RunTarget::Run {
        run: "r".into(),
        workflow: None,
        agent: Some("robot".into()),
    };
    assert_eq!(report(&desk, target, None).unwrap().agent.as_str(), "robot");
}

#[test]
fn a_run_whose_workflow_left_the_policies_ends_all_the_same() {
    let desk = Desk::of(
        &[("refunds", Rules::default()), ("mail", Rules::default())],
        10,
        10,
    );
    let call = desk.open_call_in("mail", "clerk", Some("r")).unwrap();
    let mut call = passed(desk.admit(call, "api/note", 1)).0.spend();
    call.answered(200);
    drop(call);
    let (fewer, _) = super::desk::policies(&[("refunds", Rules::default())]);
    drop(desk.ledger.announce(super::desk::accepted(&fewer)));
    desk.journal.write();
    desk.ledger.install(fewer).unwrap();
    desk.pass(hours(2));
    desk.ledger.sweep();
    desk.journal.write();
    assert_eq!((desk.ledger.open_runs(), desk.records().len()), (0, 1));
    assert!(
        desk.entries()
            .iter()
            .any(|entry| matches!(&entry.event, Event::Tallied { .. }))
    );
}

#[test]
fn s46_an_id_is_continued_after_a_restart_and_after_a_day() {
    let mut desk = Desk::new(Rules::default());
    let ends_as = |desk: &Desk, id: &str| {
        desk.done(Some("r"), "api/note");
        assert_eq!(finish(desk, "r"), Some(id.into()));
        desk.journal.write();
        assert!(marks(desk).iter().any(|(run, _)| run == id), "{id}");
    };
    ends_as(&desk, "r");
    ends_as(&desk, "r#2");
    desk = desk.restarted();
    ends_as(&desk, "r#3");
    for _ in 0..3 {
        desk.pass(hours(25));
        desk.ledger.sweep();
    }
    ends_as(&desk, "r#4");
    let revised = report(&desk, by_run("r#3"), None).unwrap();
    assert_eq!(revised.run.as_str(), "r#3");
    // Where the index cannot be read, no id is given twice.
    desk.journal.refuse(true);
    let id = desk.open_call(Some("new")).unwrap().run().clone();
    desk.journal.refuse(false);
    assert!(id.as_str().starts_with("new#1"), "{id}");
    assert_eq!(finish(&desk, "new"), Some(id.clone()));
    desk.journal.write();
    let next = desk.open_call(Some("new")).unwrap();
    let number = |id: &str| burngate::gate::booking::ids::split(id).1;
    assert_eq!(number(next.run().as_str()), number(id.as_str()) + 1);
}
