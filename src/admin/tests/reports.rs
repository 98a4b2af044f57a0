//! Reports on single runs: which run they mean, and what becomes of it.

use std::sync::Arc;

use super::world::{NOW, TRIAGE, World, run};
use crate::gate::name::CallId;
use crate::gate::outcome::FailureMode;
use crate::gate::run::Mark;
use crate::gate::time::minutes;

#[tokio::test]
async fn a_report_by_subject_books_the_run_once_and_can_be_taken_back() {
    let world = World::new(
        &[],
        vec![run("a-1", "triage-bot", Mark::Acceptable, minutes(5), &[])],
    );
    let report = r#"{"subject": "A-1", "mode": "major_correction", "ref": "ticket-9", "note": "fixed by hand"}"#;
    let answer = world.post("rob", "/v1/reports", report).await;
    let expected = concat!(
        r#"{"run":"a-1","workflow":"support-triage","agent":"triage-bot","booked_at":"2026-11-23T08:55:00Z","#,
        r#""was":"acceptable","now":"unacceptable","repeated":false}"#
    );
    assert_eq!(
        (answer.status.as_u16(), answer.text.as_str()),
        (200, expected)
    );
    assert_eq!(
        world.post("rob", "/v1/reports", report).await.is(200)["repeated"],
        true
    );
    let budget = |world: &World| {
        let view = world.ledger.view(&TRIAGE.into()).unwrap();
        (view.status.all.runs, view.status.all.unacceptable)
    };
    assert_eq!(budget(&world), (1, 1));
    let detail = world.get("vera", "/v1/runs/a-1").await.is(200);
    assert_eq!(
        (&detail["reports"][0]["by"], &detail["reports"][0]["ref"]),
        (&"rob".into(), &"ticket-9".into())
    );

    let retract = r#"{"mode": "major_correction", "ref": "ticket-9", "retract": true}"#;
    assert_eq!(
        world
            .post("rob", "/v1/runs/a-1/report", retract)
            .await
            .is(200)["now"],
        "acceptable"
    );
    assert_eq!(budget(&world), (1, 0));
    world
        .post("rob", "/v1/runs/a-1/report", retract)
        .await
        .is(409);

    assert_eq!(
        world
            .post(
                "operator",
                "/v1/runs/a-1/exclude",
                r#"{"reason": "a drill"}"#
            )
            .await
            .is(200)["now"],
        "excluded"
    );
    assert_eq!(budget(&world), (0, 0));
    assert_eq!(
        world
            .post(
                "operator",
                "/v1/runs/a-1/exclude",
                r#"{"reason": "a mistake", "retract": true}"#
            )
            .await
            .is(200)["now"],
        "acceptable"
    );
    world
        .post(
            "operator",
            "/v1/runs/a-1/exclude",
            r#"{"reason": "again", "retract": true}"#,
        )
        .await
        .is(409);
}

#[tokio::test]
async fn a_report_on_an_open_run_books_it_at_once() {
    let world = World::new(&[], Vec::new());
    let handle = Arc::clone(&world.ledger.table().entries[TRIAGE]);
    let call = world
        .ledger
        .open_call(
            &handle,
            &"triage-bot".into(),
            Some("open-1".into()),
            CallId::from_bits(7),
            NOW,
        )
        .unwrap();
    let report = r#"{"run": "open-1", "mode": "wrong_tone"}"#;
    let answer = world.post("rob", "/v1/reports", report).await.is(200);
    assert_eq!(
        (&answer["was"], &answer["now"], &answer["repeated"]),
        (&"idle".into(), &"unacceptable".into(), &false.into())
    );
    assert_eq!(
        world.post("rob", "/v1/reports", report).await.is(200)["repeated"],
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
    // A call of it is in flight, and may still turn out in any way.
    world
        .post("operator", "/v1/runs/open-1/exclude", r#"{"reason": "r"}"#)
        .await
        .is(409);
    drop(call);
    // A person who judges an open run in any other way ends it.
    let excluded = world
        .post("operator", "/v1/runs/open-1/exclude", r#"{"reason": "r"}"#)
        .await
        .is(200);
    assert_eq!(
        (&excluded["was"], &excluded["now"]),
        (&"unacceptable".into(), &"excluded".into())
    );
    assert_eq!(
        world
            .ledger
            .view(&TRIAGE.into())
            .unwrap()
            .status
            .all
            .unacceptable,
        0
    );
}

#[tokio::test]
async fn what_no_run_touched_is_said_with_the_spaces_that_nobody_sees() {
    let world = World::new(
        &[],
        vec![run("a-1", "triage-bot", Mark::Acceptable, minutes(5), &[])],
    );
    let unknown = async |subject: &str| {
        let body =
            format!(r#"{{"mode": "timeout", "subject": "{subject}", "tool": "payments/refund"}}"#);
        world.post("rob", "/v1/reports", &body).await.is(404)["detail"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        unknown("A-1 ").await,
        "no run touched `A-1 ` (with a trailing space) through `payments/refund`"
    );
    assert_eq!(
        unknown("A-2").await,
        "no run touched `A-2` through `payments/refund`"
    );
    let other = world
        .post(
            "rob",
            "/v1/reports",
            r#"{"mode": "timeout", "run": "a-1", "workflow": "another"}"#,
        )
        .await
        .is(404);
    assert_eq!(
        other["detail"],
        "no run of workflow `another` is called `a-1`"
    );
    let huge = format!(
        r#"{{"mode": "timeout", "subject": "{}"}}"#,
        "x".repeat(1_000_000)
    );
    assert_eq!(
        world.post("rob", "/v1/reports", &huge).await.is(422)["errors"][0]["pointer"],
        "/subject"
    );
}

#[tokio::test]
async fn runs_of_several_workflows_are_put_to_the_person() {
    let theirs = crate::journal::record::RunRecord {
        workflow: "payouts".into(),
        ..run("a-1", "payout-bot", Mark::Acceptable, minutes(3), &[])
    };
    let world = World::new(
        &[],
        vec![
            run("a-1", "triage-bot", Mark::Acceptable, minutes(5), &[]),
            theirs,
        ],
    );
    let report = r#"{"subject": "A-1", "mode": "wrong_action"}"#;
    let problem = world.post("rob", "/v1/reports", report).await.is(409);
    let first = serde_json::json!(
        { "workflow": "payouts", "agent": "payout-bot", "run": "a-1", "tool": "payments/refund", "at": "2026-11-23T08:57:00Z" }
    );
    assert_eq!(
        (
            problem["candidates"].as_array().unwrap().len(),
            &problem["candidates"][0]
        ),
        (2, &first)
    );
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("name one with `workflow`"),
        "{problem}"
    );
    assert_eq!(
        world
            .ledger
            .view(&TRIAGE.into())
            .unwrap()
            .status
            .all
            .unacceptable,
        0
    );
    let chosen = world
        .post(
            "rob",
            "/v1/reports",
            r#"{"subject": "A-1", "mode": "wrong_action", "workflow": "support-triage"}"#,
        )
        .await
        .is(200);
    assert_eq!(chosen["agent"], "triage-bot");
}

#[tokio::test]
async fn several_runs_of_one_id_are_409_and_listed_until_the_agent_is_named() {
    let runs = ["triage-bot", "other-bot"]
        .map(|agent| run("case-7", agent, Mark::Acceptable, minutes(5), &[]));
    let world = World::new(&[], runs.into());
    for answer in [
        world.get("vera", "/v1/runs/case-7").await,
        world
            .post("rob", "/v1/runs/case-7/report", r#"{"mode": "timeout"}"#)
            .await,
    ] {
        let problem = answer.is(409);
        let listed: Vec<_> = problem["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| error["detail"].as_str().unwrap())
            .collect();
        assert_eq!(listed.len(), 2, "{problem}");
        assert!(listed.contains(&"workflow `support-triage`, agent `other-bot`, run `case-7`"));
    }
    assert_eq!(
        world
            .get("vera", "/v1/runs/case-7?agent=other-bot")
            .await
            .is(200)["agent"],
        "other-bot"
    );
    world
        .post(
            "rob",
            "/v1/runs/case-7/report",
            r#"{"mode": "timeout", "agent": "other-bot"}"#,
        )
        .await
        .is(200);
}

#[tokio::test]
async fn a_call_whose_answer_was_lost_is_settled_once_by_whoever_looked() {
    let lost = |name: &str, ago| {
        run(
            name,
            "triage-bot",
            Mark::Unacceptable,
            minutes(ago),
            &[FailureMode::Timeout],
        )
    };
    let world = World::new(&[], vec![lost("a-1", 5), lost("a-2", 4)]);
    let bad = |world: &World| {
        world
            .ledger
            .view(&TRIAGE.into())
            .unwrap()
            .status
            .all
            .unacceptable
    };
    let call = async |name: &str| {
        world.get("vera", &format!("/v1/runs/{name}")).await.is(200)["calls"][0]["call"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (first, second) = (call("a-1").await, call("a-2").await);
    let settle = |call: &str, more: &str| format!(r#"{{"call": "{call}", {more}}}"#);
    // It was not executed: nothing was done, and what the gate charged for the lost answer goes. The
    // call was forwarded all the same, so the run counts.
    let settled = world
        .post(
            "rob",
            "/v1/reports",
            &settle(&first, r#""executed": false, "note": "the bank has none""#),
        )
        .await
        .is(200);
    assert_eq!(
        (&settled["was"], &settled["now"]),
        (&"unacceptable".into(), &"acceptable".into())
    );
    assert_eq!(bad(&world), 1);
    assert_eq!(
        world
            .post(
                "rob",
                "/v1/reports",
                &settle(&first, r#""executed": false"#)
            )
            .await
            .is(200)["repeated"],
        true
    );
    world
        .post("rob", "/v1/reports", &settle(&first, r#""executed": true"#))
        .await
        .is(409);
    // It was: what was charged stands, unless it did no harm.
    assert_eq!(
        world
            .post(
                "rob",
                "/v1/reports",
                &settle(&second, r#""executed": true"#)
            )
            .await
            .is(200)["now"],
        "unacceptable"
    );
    assert!(
        world.get("vera", "/v1/runs?ambiguous=true").await.is(200)["runs"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    for (more, pointer) in [
        (r#""executed": true, "mode": "timeout""#, "/mode"),
        (r#""executed": true, "ref": "T""#, "/ref"),
        (r#""harmless": true, "mode": "timeout""#, "/harmless"),
    ] {
        assert_eq!(
            world
                .post("rob", "/v1/reports", &settle(&second, more))
                .await
                .is(422)["errors"][0]["pointer"],
            pointer
        );
    }
    let by_run = r#"{"run": "a-1", "executed": true}"#;
    assert_eq!(
        world.post("rob", "/v1/reports", by_run).await.is(422)["errors"][0]["pointer"],
        "/executed"
    );
}
