//! What an operator sees of an API's incident, and decides about the runs that failed in it.

use serde_json::json;

use super::world::{NOW, World, run};
use crate::gate::event::{Entry, Event};
use crate::gate::name::IncidentId;
use crate::gate::outcome::FailureMode;
use crate::gate::run::Mark;
use crate::gate::time::minutes;
use crate::journal::record::RunRecord;

const ID: &str = "inc_0000000000000000000000000000000a";
const EXCLUDE: &str = "/v1/incidents/inc_0000000000000000000000000000000a/exclude";

/// An API failed from forty minutes ago until ten minutes ago.
fn world() -> World {
    let failed = |name: &str, ago, modes: &[FailureMode]| {
        run(name, "triage-bot", Mark::Unacceptable, minutes(ago), modes)
    };
    failing(vec![
        failed("before", 50, &[FailureMode::Timeout]),
        failed("by-it", 30, &[FailureMode::Timeout]),
        failed(
            "by-it-and-more",
            25,
            &[FailureMode::Timeout, FailureMode::WrongAction],
        ),
        failed("by-else", 20, &[FailureMode::WrongAction]),
        failed("after", 5, &[FailureMode::Timeout]),
    ])
}

fn failing(runs: Vec<RunRecord>) -> World {
    let entry = |ago, event| Entry {
        at: NOW.minus(minutes(ago)),
        workflow: None,
        event,
    };
    let incident = IncidentId::from_bits(10);
    let since = NOW.minus(minutes(40));
    let opened = Event::IncidentOpened {
        incident,
        api: "payments".into(),
        since,
        calls: 20,
        failures: 19,
    };
    let events = vec![
        entry(35, opened),
        entry(10, Event::IncidentClosed { incident }),
    ];
    World::after(events, &[], runs).writing()
}

#[tokio::test]
async fn an_incident_is_listed_and_its_failures_carry_its_id() {
    let world = world();
    let incidents = world.get("vera", "/v1/incidents").await.is(200);
    let incident = &incidents["incidents"][0];
    assert_eq!(
        (
            &incident["incident"],
            &incident["api"],
            &incident["failures"]
        ),
        (&json!(ID), &json!("payments"), &json!(19)),
        "{incidents}"
    );
    assert_eq!(
        (&incident["since"], &incident["closed"]),
        (
            &json!("2026-11-23T08:20:00Z"),
            &json!("2026-11-23T08:50:00Z")
        )
    );
    for (run, mode, tag) in [
        ("by-it", "timeout", json!(ID)),
        ("by-it-and-more", "timeout", json!(ID)),
        ("by-it-and-more", "wrong_action", json!(null)),
        ("by-else", "wrong_action", json!(null)),
        ("before", "timeout", json!(null)),
        ("after", "timeout", json!(null)),
    ] {
        let shown = world.get("vera", &format!("/v1/runs/{run}")).await.is(200);
        let report = shown["reports"]
            .as_array()
            .unwrap()
            .iter()
            .find(|report| report["mode"] == mode)
            .unwrap();
        assert_eq!(report["incident"], tag, "{run}: {report}");
    }
}

#[tokio::test]
async fn runs_that_failed_by_an_incident_alone_leave_the_budget_by_one_command_and_come_back_by_another()
 {
    let world = world();
    let unacceptable = async || {
        world
            .get("vera", "/v1/workflows/support-triage")
            .await
            .is(200)["budget"]["unacceptable"]
            .clone()
    };
    assert_eq!(unacceptable().await, 5);
    let decided = world
        .post("operator", EXCLUDE, r#"{"reason": "the bank was down"}"#)
        .await
        .is(200);
    assert_eq!(decided, json!({ "incident": ID, "runs": 1, "left": 1 }));
    assert_eq!(unacceptable().await, 4);
    let run = world.get("vera", "/v1/runs/by-it").await.is(200);
    assert_eq!(
        (&run["outcome"], &run["excluded"]["reason"]),
        (&json!("excluded"), &json!("the bank was down")),
        "{run}"
    );

    let again = world
        .post("operator", EXCLUDE, r#"{"reason": "the bank was down"}"#)
        .await
        .is(200);
    assert_eq!(
        (&again["runs"], unacceptable().await),
        (&json!(0), json!(4))
    );
    let back = world
        .post(
            "operator",
            EXCLUDE,
            r#"{"reason": "it was us", "retract": true}"#,
        )
        .await
        .is(200);
    assert_eq!((&back["runs"], unacceptable().await), (&json!(1), json!(5)));
}

/// More runs than one look at the records gives.
#[tokio::test]
async fn every_run_of_a_long_incident_is_excluded() {
    let runs = (0..1_500).map(|n| {
        run(
            &format!("by-it-{n}"),
            "triage-bot",
            Mark::Unacceptable,
            minutes(30),
            &[FailureMode::Timeout],
        )
    });
    let world = failing(runs.collect());
    let decided = world
        .post("operator", EXCLUDE, r#"{"reason": "the bank was down"}"#)
        .await
        .is(200);
    assert_eq!(decided, json!({ "incident": ID, "runs": 1_500, "left": 0 }));
    assert_eq!(
        world
            .get("vera", "/v1/workflows/support-triage")
            .await
            .is(200)["budget"]["unacceptable"],
        0
    );
}

#[tokio::test]
async fn what_is_no_incident_or_gives_no_reason_changes_nothing() {
    let world = world();
    for (path, body, status) in [
        (EXCLUDE, r#"{"reason": " "}"#, 422),
        (EXCLUDE, "{}", 422),
        (EXCLUDE, r#"{"reason": "r", "until": "1h"}"#, 422),
        (
            "/v1/incidents/inc_0000000000000000000000000000000b/exclude",
            r#"{"reason": "r"}"#,
            404,
        ),
        ("/v1/incidents/bank/exclude", r#"{"reason": "r"}"#, 404),
        (EXCLUDE, r#"{"reason": "r", "retract": true}"#, 404),
    ] {
        world.post("operator", path, body).await.is(status);
    }
}
