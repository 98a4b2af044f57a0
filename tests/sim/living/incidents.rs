//! A tool API that fails for everybody opens an incident, which outlives a restart, and closes when
//! it is well again.

use burngate::gate::event::Event;
use burngate::gate::incident::Incident;
use burngate::gate::outcome::FailureMode;
use burngate::gate::terms::PostureCaps;
use burngate::gate::time::minutes;
use burngate::ledger::call::in_flight::Settlement;

use super::desk::{Desk, Rules, passed};

/// One minute of calls in which `failing` of ten fail, in turn in each of `workflows`; swept as a
/// gate sweeps.
fn minute(desk: &Desk, workflows: &[&str], failing: usize) {
    for n in 0..10 {
        let call = desk
            .open_call_in(workflows[n % workflows.len()], "clerk", None)
            .unwrap();
        let mut call = passed(desk.admit(call, "api/note", 1)).0.spend();
        if n < failing {
            call.settle(Settlement {
                status: 504,
                modes: vec![(FailureMode::Timeout, "no answer in time")],
            });
        } else {
            call.answered(200);
            call.settle(Settlement {
                status: 200,
                modes: Vec::new(),
            });
        }
        desk.pass(std::time::Duration::from_secs(6));
        desk.ledger.sweep();
        desk.journal.write();
    }
}

fn world() -> Desk {
    let quiet = || {
        let mut rules = Rules::default();
        // No budget gets in the way.
        let standard = || "standard".into();
        rules.terms.caps = PostureCaps {
            at_risk: standard(),
            burned: standard(),
            breached: standard(),
        };
        rules.terms.lose.burns = 100;
        rules
    };
    Desk::of(&[("refunds", quiet()), ("triage", quiet())], 1_000, 1_000)
}

fn open(desk: &Desk) -> Vec<Incident> {
    desk.ledger
        .incidents()
        .into_iter()
        .filter(|incident| incident.closed.is_none())
        .collect()
}

#[test]
fn an_api_that_fails_across_workflows_for_five_minutes_has_an_incident_until_it_is_well_for_five() {
    let desk = world();
    (0..3).for_each(|_| minute(&desk, &["refunds", "triage"], 0));
    (0..5).for_each(|_| minute(&desk, &["refunds", "triage"], 6));
    assert_eq!(
        desk.ledger.incidents(),
        [],
        "the first of these minutes has not been seen from its beginning, or the last has not ended"
    );
    (0..2).for_each(|_| minute(&desk, &["refunds", "triage"], 6));
    let incident = open(&desk).pop().expect("an incident");
    assert_eq!(
        (
            incident.api.as_str(),
            incident.failures * 2 >= incident.calls
        ),
        ("api", true),
        "{incident:?}"
    );

    // It is on record, and a restart knows it.
    let opened =
        |entry: &&burngate::gate::event::Entry| matches!(entry.event, Event::IncidentOpened { .. });
    assert_eq!(desk.entries().iter().filter(opened).count(), 1);
    let again = desk.crash(desk.entries().len());
    assert_eq!(open(&again), std::slice::from_ref(&incident));
    (0..3).for_each(|_| minute(&again, &["refunds", "triage"], 9));
    (0..4).for_each(|_| minute(&again, &["refunds", "triage"], 1));
    assert_eq!(open(&again), std::slice::from_ref(&incident));
    (0..3).for_each(|_| minute(&again, &["refunds", "triage"], 1));
    assert_eq!(open(&again), []);
    let closed = again.ledger.incidents();
    assert_eq!((closed.len(), closed[0].incident), (1, incident.incident));
    assert_eq!(
        again
            .journal
            .state()
            .incidents()
            .iter()
            .cloned()
            .collect::<Vec<_>>(),
        closed,
        "the fold says the same (G12)"
    );
}

#[test]
fn what_fails_in_one_workflow_alone_or_less_than_half_is_no_incident() {
    let desk = world();
    (0..9).for_each(|_| minute(&desk, &["refunds"], 10));
    // A call counts in the minute in which a sweep saw it, so the first of these minutes has one
    // failure of the last of those.
    (0..9).for_each(|_| minute(&desk, &["refunds", "triage"], 3));
    assert_eq!(desk.ledger.incidents(), []);
    desk.pass(minutes(60));
    desk.ledger.sweep();
    assert_eq!(desk.ledger.incidents(), []);
}
