//! What requests may say: bad fields and parameters are named, and texts have bounds.

use rstest::rstest;

use super::world::{World, held};
use crate::api::operate::{MAX_NAME, MAX_TEXT};

const APPROVE: &str = "/v1/approvals/apr_00000000000000000000000000000001/approve";
const DENY: &str = "/v1/approvals/apr_00000000000000000000000000000001/deny";

#[rstest]
#[case("/v1/clamp", r#"{"reason": "r"}"#, "/to")]
#[case("/v1/clamp", r#"{"to": "halted"}"#, "/reason")]
#[case("/v1/clamp", r#"{"to": "halted", "reason": " "}"#, "/reason")]
#[case("/v1/clamp", r#"{"to": "halted", "reason": "\u001b[2J"}"#, "/reason")]
#[case("/v1/clamp", r#"{"to": 3, "reason": "r"}"#, "/to")]
#[case(
    "/v1/clamp",
    r#"{"to": "halted", "reason": "r", "untill": "1h"}"#,
    "/untill"
)]
#[case(
    "/v1/clamp",
    r#"{"to": "halted", "to": "autonomous", "reason": "r"}"#,
    "/to"
)]
#[case(
    "/v1/clamp",
    r#"{"to": "halted", "reason": "r", "for": "soon"}"#,
    "/for"
)]
#[case("/v1/clamp", r#"{"to": "halted", "reason": "r", "for": "0s"}"#, "/for")]
#[case(
    "/v1/clamp",
    r#"{"to": "halted", "reason": "r", "for": "367d"}"#,
    "/for"
)]
#[case("/v1/clamp", r#"{"to": "sideways", "reason": "r"}"#, "/to")]
#[case("/v1/workflows/support-triage/recover", r#"{"cause": ""}"#, "/cause")]
#[case(
    "/v1/workflows/support-triage/recover",
    r#"{"cause": "c", "for": "91d"}"#,
    "/for"
)]
#[case(
    "/v1/workflows/support-triage/recover",
    r#"{"cause": "c", "to": "sideways"}"#,
    "/to"
)]
#[case(APPROVE, r#"{"digest": "abc"}"#, "/digest")]
#[case(DENY, r"{}", "/reason")]
#[case(DENY, r#"{"reason": "r", "verdict": "maybe"}"#, "/verdict")]
#[case("/v1/reports", r#"{"mode": "timeout"}"#, "/run")]
#[case(
    "/v1/reports",
    r#"{"mode": "timeout", "run": "r", "subject": "s"}"#,
    "/run"
)]
#[case("/v1/reports", r#"{"mode": "timeout", "call": "c"}"#, "/call")]
#[case(
    "/v1/reports",
    r#"{"mode": "timeout", "run": "r", "tool": "t"}"#,
    "/tool"
)]
#[case("/v1/reports", r#"{"mode": "timeuot", "run": "r"}"#, "/mode")]
#[case("/v1/reports", r#"{"run": "r"}"#, "/mode")]
#[case("/v1/reports", r#"{"run": "r", "retract": true}"#, "/mode")]
#[case("/v1/reports", r#"{"mode": "timeout", "subject": null}"#, "/subject")]
#[case(
    "/v1/reports",
    r#"{"mode": "timeout", "subject": {"id": 7}}"#,
    "/subject"
)]
#[case("/v1/reports", r#"{"mode": "timeout", "subject": 1001}"#, "/subject")]
#[case("/v1/reports", r#"{"mode": "timeout", "subject": ""}"#, "/subject")]
#[case(
    "/v1/reports",
    r#"{"mode": "timeout", "subject": "A\u0000"}"#,
    "/subject"
)]
#[case(
    "/v1/reports",
    r#"{"mode": "timeout", "run": "r", "confirm": true}"#,
    "/confirm"
)]
#[case(
    "/v1/reports",
    r#"{"mode": "timeout", "run": "r", "at": "2030-01-01T00:00:00Z"}"#,
    "/at"
)]
#[case("/v1/reports", r#"{"mode": "timeout", "filter": {}}"#, "/filter")]
#[case(
    "/v1/reports",
    r#"{"mode": "timeout", "filter": {"since": "1d"}, "run": "r"}"#,
    "/run"
)]
#[case(
    "/v1/reports",
    r#"{"mode": "timeout", "filter": {"since": "2026-11-24T09:00:00Z"}}"#,
    "/since"
)]
#[case(
    "/v1/reports",
    r#"{"mode": "timeout", "filter": {"sinec": "1d"}}"#,
    "/filter/sinec"
)]
#[case("/v1/exclusions", r#"{"reason": "r"}"#, "/filter")]
#[case("/v1/exclusions", r#"{"reason": "r", "ref": "INC-4"}"#, "/filter")]
#[case("/v1/exclusions", r#"{"filter": {"since": "1d"}}"#, "/reason")]
#[case(
    "/v1/reports",
    r#"{"mode": "wrong_tone", "run": "r", "workflow": "another"}"#,
    "/mode"
)]
#[case("/v1/runs/r/report", r#"{"mode": "timeout", "run": "r"}"#, "/run")]
#[case("/v1/runs/r/exclude", r"{}", "/reason")]
#[tokio::test]
async fn a_bad_field_is_422_and_named(
    #[case] path: &str,
    #[case] body: &str,
    #[case] pointer: &str,
) {
    let world = World::new(&[held(1, 1)], Vec::new());
    let problem = world.post("operator", path, body).await.is(422);
    assert_eq!(
        (&problem["errors"][0]["pointer"], &problem["type"]),
        (&pointer.into(), &"urn:burngate:problem:invalid".into()),
        "{problem}"
    );
}

#[rstest]
#[case("/v1/runs?limit=0", "/limit")]
#[case("/v1/runs?limit=1001", "/limit")]
#[case("/v1/runs?since=yesterday", "/since")]
#[case("/v1/runs?since=2026-11-23T09:00:01Z", "/since")]
#[case("/v1/runs?since=1d&until=2d", "/until")]
#[case("/v1/runs?outcome=fine", "/outcome")]
#[case("/v1/runs?call=7", "/call")]
#[case("/v1/runs?ambiguous=perhaps", "/ambiguous")]
#[case("/v1/runs?worfklow=x", "/worfklow")]
#[case("/v1/runs?tool=a&tool=b", "/tool")]
#[case("/v1/approvals?state=open", "/state")]
#[case("/v1/audit?after=-1", "/after")]
#[tokio::test]
async fn a_bad_parameter_is_422_and_named(#[case] path: &str, #[case] pointer: &str) {
    let world = World::new(&[], Vec::new());
    let problem = world.get("vera", path).await.is(422);
    assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
}

#[tokio::test]
async fn what_is_not_there_is_404() {
    let world = World::new(&[], Vec::new());
    world.get("vera", "/v1/workflows/nothing").await.is(404);
    world.get("vera", "/v1/workflows/%00").await.is(404);
    world.get("vera", "/v1/runs/nothing").await.is(404);
    world
        .post(
            "operator",
            "/v1/workflows/nothing/clamp",
            r#"{"to": "halted", "reason": "r"}"#,
        )
        .await
        .is(404);
    world
        .post(
            "operator",
            "/v1/reports",
            r#"{"run": "nothing", "mode": "timeout"}"#,
        )
        .await
        .is(404);
    world
        .post("operator", "/v1/runs/nothing/exclude", r#"{"reason": "r"}"#)
        .await
        .is(404);
}

#[tokio::test]
async fn texts_and_names_are_taken_up_to_their_bounds() {
    let world = World::new(&[], Vec::new());
    let clamp = |to: &str, reason: usize| {
        format!(
            r#"{{"to": "{to}", "reason": "{}"}}"#,
            "\u{e9}".repeat(reason)
        )
    };
    world
        .post("operator", "/v1/clamp", &clamp("halted", MAX_TEXT))
        .await
        .is(200);
    world
        .post("operator", "/v1/clamp", &clamp("halted", MAX_TEXT + 1))
        .await
        .is(422);
    let report = |reference: usize| {
        format!(
            r#"{{"run": "r", "mode": "timeout", "ref": "{}"}}"#,
            "x".repeat(reference)
        )
    };
    world
        .post("rob", "/v1/reports", &report(MAX_NAME))
        .await
        .is(404);
    world
        .post("rob", "/v1/reports", &report(MAX_NAME + 1))
        .await
        .is(422);
}
