//! Signals of other systems, without a secret.

use super::world::{TRIAGE, World, run};
use crate::gate::run::Mark;
use crate::gate::time::minutes;

/// A run that touched `A-1`, and two of two workflows that touched `A-2`.
fn world() -> World {
    let theirs = crate::journal::record::RunRecord {
        workflow: "payouts".into(),
        ..run("a-2", "payout-bot", Mark::Acceptable, minutes(3), &[])
    };
    let runs = vec![
        run("a-1", "triage-bot", Mark::Acceptable, minutes(5), &[]),
        run("a-2", "triage-bot", Mark::Acceptable, minutes(4), &[]),
        theirs,
    ];
    World::new(&[], runs)
}

fn correction(order: &str) -> String {
    format!(r#"{{"kind": "correction", "order": {order}, "text": "by hand\u001b[2J"}}"#)
}

#[tokio::test]
async fn a_signal_without_a_secret_needs_a_reporter_and_charges_the_run_that_it_names() {
    let world = world();
    world
        .post("vera", "/v1/signals/corrected", &correction("\"A-1\""))
        .await
        .is(403);
    let booked = world
        .post("rob", "/v1/signals/corrected", &correction("\"A-1\""))
        .await
        .is(200);
    assert_eq!(
        (
            &booked["matched"],
            &booked["result"]["run"],
            &booked["result"]["now"]
        ),
        (&true.into(), &"a-1".into(), &"unacceptable".into())
    );
    let said = &world.get("vera", "/v1/runs/a-1").await.is(200)["reports"][0];
    assert_eq!(
        (&said["source"], &said["by"], &said["note"]),
        (&"system".into(), &"rob".into(), &"by hand[2J".into())
    );
    let by_run = r#"{"run": "a-1", "id": 7}"#;
    assert_eq!(
        world.post("rob", "/v1/signals/wrong", by_run).await.is(200)["result"]["repeated"],
        false
    );
    assert_eq!(
        world.post("rob", "/v1/signals/wrong", by_run).await.is(200)["result"]["repeated"],
        true
    );
    assert_eq!(
        world
            .ledger
            .view(&TRIAGE.into())
            .unwrap()
            .status
            .all
            .unacceptable,
        1
    );
}

#[tokio::test]
async fn a_signal_charges_nobody_where_it_is_not_clear_who_is_meant() {
    let world = world();
    let several = world
        .post("rob", "/v1/signals/corrected", &correction("\"A-2\""))
        .await
        .is(200);
    assert_eq!(
        (
            &several["matched"],
            several["candidates"].as_array().unwrap().len()
        ),
        (&false.into(), 2)
    );
    for (nothing, why) in [
        ("\"\"", "gives nothing"),
        ("null", "gives nothing"),
        ("\"A-9\"", "no run touched `A-9`"),
    ] {
        let answer = world
            .post("rob", "/v1/signals/corrected", &correction(nothing))
            .await
            .is(200);
        assert!(
            answer["matched"] == false && answer["why"].as_str().unwrap().contains(why),
            "{answer}"
        );
    }
    assert_eq!(
        world
            .post("rob", "/v1/signals/corrected", r#"{"kind": "other"}"#)
            .await
            .is(200)["why"],
        "`when` (p.yaml:8) does not hold"
    );
    for unclear in [
        correction("{}"),
        correction(&format!("\"{}\"", "x".repeat(1_000))),
        r"{}".to_owned(),
        r"[]".to_owned(),
    ] {
        let error = world
            .post("rob", "/v1/signals/corrected", &unclear)
            .await
            .is(422);
        assert!(
            error["detail"].as_str().unwrap().starts_with("p.yaml:8: "),
            "{error}"
        );
    }
    world
        .post("rob", "/v1/signals/corrected", "no JSON")
        .await
        .is(400);
    world
        .post("rob", "/v1/signals/unheard_of", "{}")
        .await
        .is(404);
    let status = world.ledger.view(&TRIAGE.into()).unwrap().status;
    assert_eq!(status.all.unacceptable, 0);
}
