//! Clamps, releases and recoveries: what they change, and that nothing is acknowledged before it is
//! on disk (G9).

use super::world::{World, held, run};
use crate::gate::outcome::FailureMode;
use crate::gate::run::Mark;
use crate::gate::time::hours;

const APPROVE: &str = "/v1/approvals/apr_00000000000000000000000000000001/approve";

#[tokio::test]
async fn a_clamp_is_answered_with_what_it_found_and_a_release_lifts_it_and_nothing_else() {
    let world = World::new(&[held(1, 1), held(2, 1)], Vec::new());
    world.post("dana", APPROVE, "{}").await.is(200);
    let answer = world
        .post(
            "operator",
            "/v1/workflows/support-triage/clamp",
            r#"{"to": "read_only", "reason": "drill", "for": "2h"}"#,
        )
        .await;
    let expected = concat!(
        r#"{"workflow":"support-triage","to":"read_only","until":"2026-11-23T11:00:00Z","#,
        r#""in_flight":0,"unused_grants":1,"pending_approvals":1,"withdrawn":0}"#
    );
    assert_eq!(
        (answer.status.as_u16(), answer.text.as_str()),
        (200, expected)
    );
    world
        .post(
            "operator",
            "/v1/clamp",
            r#"{"to": "supervised", "reason": "everyone"}"#,
        )
        .await
        .is(200);
    let level = world
        .get("vera", "/v1/workflows/support-triage")
        .await
        .json()["level"]
        .clone();
    assert_eq!(
        (&level["effective"], &level["clamp"]["scope"]),
        (&"read_only".into(), &"workflow".into())
    );

    let released = world
        .post(
            "operator",
            "/v1/workflows/support-triage/release",
            r#"{"reason": "over"}"#,
        )
        .await
        .is(200);
    assert_eq!(
        (
            &released["level"]["effective"],
            &released["level"]["clamp"]["scope"]
        ),
        (&"supervised".into(), &"all".into())
    );
    let conflict = world
        .post(
            "operator",
            "/v1/workflows/support-triage/release",
            r#"{"reason": "over"}"#,
        )
        .await
        .is(409);
    assert_eq!(
        conflict["detail"],
        "`support-triage` has no clamp of its own; every workflow is clamped, which `release --all` lifts"
    );
    let released = world
        .post("operator", "/v1/release", r#"{"reason": "over"}"#)
        .await
        .is(200);
    assert_eq!(released["workflows"][0]["level"]["effective"], "standard");
    world
        .post("operator", "/v1/release", r#"{"reason": "over"}"#)
        .await
        .is(409);
}

#[tokio::test]
async fn a_clamp_that_does_not_reach_the_disk_is_in_force_and_not_acknowledged() {
    let world = World::new(&[], Vec::new());
    world.journal.refuse(true);
    let problem = world
        .post(
            "operator",
            "/v1/workflows/support-triage/clamp",
            r#"{"to": "halted", "reason": "now"}"#,
        )
        .await
        .is(503);
    assert_eq!(
        (&problem["type"], &problem["cause"]),
        (
            &"urn:burngate:problem:unavailable".into(),
            &"journal".into()
        )
    );
    assert_eq!(
        world
            .get("vera", "/v1/workflows/support-triage")
            .await
            .json()["level"]["effective"],
        "halted"
    );
    world.get("vera", "/v1/runs").await.is(503);
}

#[tokio::test]
async fn nothing_is_acknowledged_before_it_is_durable() {
    let world = World::still(&[], Vec::new());
    let clamp = world.post(
        "operator",
        "/v1/workflows/support-triage/clamp",
        r#"{"to": "halted", "reason": "now"}"#,
    );
    let mut clamp = std::pin::pin!(clamp);
    for _ in 0..64 {
        let waited = tokio::select! {
            biased;
            _ = &mut clamp => false,
            () = tokio::task::yield_now() => true,
        };
        assert!(waited, "answered before it was written");
    }
    world.journal.write();
    clamp.await.is(200);
}

#[tokio::test]
async fn a_burn_is_recovered_from_once_and_never_above_what_was_earned() {
    let runs = (0..30)
        .map(|n| {
            run(
                &format!("bad-{n}"),
                "triage-bot",
                Mark::Unacceptable,
                hours(1),
                &[FailureMode::Timeout],
            )
        })
        .collect();
    let world = World::new(&[], runs);
    let recover = "/v1/workflows/support-triage/recover";
    assert_eq!(
        world
            .get("vera", "/v1/workflows/support-triage")
            .await
            .is(200)["posture"],
        "breached"
    );
    world
        .post(
            "operator",
            recover,
            r#"{"cause": "a bad prompt", "to": "autonomous"}"#,
        )
        .await
        .is(409);
    let recovered = world
        .post(
            "operator",
            recover,
            r#"{"cause": "a bad prompt", "fix": "PR-7", "to": "supervised", "for": "3d"}"#,
        )
        .await
        .is(200);
    assert_eq!(
        recovered["level"]["probation"]["until"],
        "2026-11-26T09:00:00Z"
    );
    assert_eq!(
        (
            &recovered["level"]["binds"],
            &recovered["level"]["effective"]
        ),
        (&"probation".into(), &"supervised".into())
    );
    assert_eq!(
        (
            &recovered["burns"][0]["cause"],
            &recovered["burns"][0]["modes"]["timeout"]
        ),
        (&"a bad prompt".into(), &3.into())
    );
    world
        .post("operator", recover, r#"{"cause": "again"}"#)
        .await
        .is(409);
}
