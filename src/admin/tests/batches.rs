//! Reports and exclusions of many runs at once.

use super::world::{TRIAGE, World, run};
use crate::gate::run::Mark;
use crate::gate::time::minutes;

/// Four of the runs.
const FILTER: &str = r#""filter": {"workflow": "support-triage", "since": "3m"}"#;

/// Five acceptable runs, booked a minute apart.
fn world_of_five_runs() -> World {
    let of = |n| {
        let name = format!("a-{n}");
        run(&name, "triage-bot", Mark::Acceptable, minutes(n), &[])
    };
    World::new(&[], (0..5).map(of).collect())
}

/// The runs that count, and the unacceptable ones among them.
fn counts(world: &World) -> (u64, u64) {
    let all = world.ledger.view(&TRIAGE.into()).unwrap().status.all;
    (all.runs, all.unacceptable)
}

#[tokio::test]
async fn many_runs_are_reported_as_one_once_it_is_known_how_many_and_taken_back_as_one() {
    let world = world_of_five_runs();
    let bad = |world: &World| counts(world).1;
    let counted = world
        .post(
            "rob",
            "/v1/reports",
            &format!(r#"{{{FILTER}, "mode": "wrong_action", "dry_run": true}}"#),
        )
        .await
        .is(200);
    assert_eq!(
        (
            &counted["applied"],
            &counted["matched"],
            &counted["workflows"]["support-triage"]
        ),
        (&false.into(), &4.into(), &4.into())
    );
    let refused = world
        .post(
            "rob",
            "/v1/reports",
            &format!(r#"{{{FILTER}, "mode": "wrong_action"}}"#),
        )
        .await
        .is(409);
    assert_eq!(
        refused["detail"],
        "4 runs match (support-triage: 4), and nothing was changed; send `confirm: true` to do it"
    );
    assert_eq!(bad(&world), 0);
    let done = world
        .post(
            "rob",
            "/v1/reports",
            &format!(r#"{{{FILTER}, "mode": "wrong_action", "confirm": true}}"#),
        )
        .await
        .is(200);
    assert_eq!(
        (
            &done["applied"],
            &done["workflows"]["support-triage"],
            &done["repeated"]
        ),
        (&true.into(), &4.into(), &0.into())
    );
    assert_eq!(bad(&world), 4);
    let batch = done["batch"].as_str().unwrap();
    let back = format!(r#"{{"retract": true, "ref": "{batch}"}}"#);
    assert_eq!(
        world.post("rob", "/v1/reports", &back).await.is(200)["workflows"]["support-triage"],
        4
    );
    assert_eq!(bad(&world), 0);
    world.post("rob", "/v1/reports", &back).await.is(404);
}

#[tokio::test]
async fn many_runs_are_excluded_as_one_by_an_operator_and_put_back_as_one() {
    let world = world_of_five_runs();
    let runs = |world: &World| counts(world).0;
    let out = format!(r#"{{{FILTER}, "reason": "a drill", "ref": "INC-4", "confirm": true}}"#);
    world.post("rob", "/v1/exclusions", &out).await.is(403);
    assert_eq!(
        world.post("operator", "/v1/exclusions", &out).await.is(200)["batch"],
        "INC-4"
    );
    assert_eq!(runs(&world), 1);
    let put_back = r#"{"retract": true, "ref": "INC-4", "reason": "no drill"}"#;
    assert_eq!(
        world
            .post("operator", "/v1/exclusions", put_back)
            .await
            .is(200)["workflows"]["support-triage"],
        4
    );
    assert_eq!(runs(&world), 5);
    world
        .post("operator", "/v1/exclusions", put_back)
        .await
        .is(404);
    let nothing = r#"{"filter": {"workflow": "nobody"}, "reason": "r", "confirm": true}"#;
    world
        .post("operator", "/v1/exclusions", nothing)
        .await
        .is(404);
}
