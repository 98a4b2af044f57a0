//! What people do, and what they are told of it: nothing before it is on disk (G9).

use std::sync::Arc;

use rstest::rstest;

use super::world::{NOW, TRIAGE, World, clamped, held, run};
use crate::api::operate::{MAX_NAME, MAX_TEXT};
use crate::gate::event::Entry;
use crate::gate::name::CallId;
use crate::gate::outcome::FailureMode;
use crate::gate::run::Mark;
use crate::gate::time::{hours, minutes};
use crate::journal::port::Journal as _;

const APPROVE: &str = "/v1/approvals/apr_00000000000000000000000000000001/approve";
const DENY: &str = "/v1/approvals/apr_00000000000000000000000000000001/deny";

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
async fn of_two_decisions_at_once_the_first_wins_and_the_other_is_409() {
    let world = World::still(&[held(1, 1)], Vec::new());
    let approve = world.post("dana", APPROVE, "{}");
    let deny = world.post("eli", DENY, r#"{"reason": "no", "verdict": "wrong"}"#);
    let write = async {
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
        assert_eq!(
            world.journal.write(),
            3,
            "two sign-ins, and one of the decisions"
        );
    };
    let (approved, denied, ()) = tokio::join!(approve, deny, write);
    assert_eq!(approved.is(200)["state"], "approved");
    assert_eq!(
        denied.is(409)["detail"],
        "the approval is approved already: to take that back before the call is sent, withdraw it"
    );
    let approval = world
        .get("vera", "/v1/approvals/apr_00000000000000000000000000000001")
        .await
        .is(200);
    assert_eq!(approval["decisions"].as_array().unwrap().len(), 1);
    assert_eq!(approval["expires_at"], "2026-11-23T09:10:00Z");
}

#[tokio::test]
async fn two_people_who_approve_at_once_are_both_heard() {
    let world = World::still(&[held(1, 2)], Vec::new());
    let write = async {
        for _ in 0..64 {
            tokio::task::yield_now().await;
            world.journal.write();
        }
    };
    let (first, second, ()) = tokio::join!(
        world.post("dana", APPROVE, "{}"),
        world.post("eli", APPROVE, r#"{"reason": "seen"}"#),
        write
    );
    first.is(200);
    assert_eq!(second.is(200)["state"], "approved");
}

#[tokio::test]
async fn an_approval_ends_once_and_neither_the_asker_nor_one_person_twice_decides() {
    let world = World::new(&[held(1, 2)], Vec::new());
    world.post("triage-bot", APPROVE, "{}").await.is(403);
    assert_eq!(
        world.post("dana", APPROVE, "").await.is(200)["state"],
        "pending"
    );
    world.post("dana", APPROVE, "{}").await.is(409);
    assert_eq!(
        world
            .post("eli", DENY, r#"{"reason": "later"}"#)
            .await
            .is(200)["decisions"][1]["decision"],
        "deny_not_now"
    );
    for (who, path, body) in [
        ("operator", APPROVE, "{}"),
        ("operator", DENY, r#"{"reason": "r"}"#),
    ] {
        assert_eq!(
            world.post(who, path, body).await.is(409)["detail"],
            "the approval is denied already: the agent can ask again"
        );
    }
    world
        .post(
            "dana",
            "/v1/approvals/apr_000000000000000000000000000000ff/approve",
            "{}",
        )
        .await
        .is(404);
    world
        .post("dana", "/v1/approvals/17/approve", "{}")
        .await
        .is(404);
}

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
    let place = Arc::clone(&world.ledger.table().entries[TRIAGE]);
    let call = world
        .ledger
        .open_call(
            &place,
            &"triage-bot".into(),
            Some("open-1".into()),
            CallId::from_bits(7),
            NOW,
        )
        .unwrap();
    let report = r#"{"run": "open-1", "mode": "wrong_tone"}"#;
    let told = world.post("rob", "/v1/reports", report).await.is(200);
    assert_eq!(
        (&told["was"], &told["now"], &told["repeated"]),
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
async fn many_runs_are_counted_first_then_changed_as_one_and_put_back_as_one() {
    let runs = (0..5)
        .map(|n| {
            run(
                &format!("a-{n}"),
                "triage-bot",
                Mark::Acceptable,
                minutes(n),
                &[],
            )
        })
        .collect();
    let world = World::new(&[], runs);
    let bad = |world: &World| {
        world
            .ledger
            .view(&TRIAGE.into())
            .unwrap()
            .status
            .all
            .unacceptable
    };
    let filter = r#""filter": {"workflow": "support-triage", "since": "3m"}"#;
    let counted = world
        .post(
            "rob",
            "/v1/reports",
            &format!(r#"{{{filter}, "mode": "wrong_action", "dry_run": true}}"#),
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
            &format!(r#"{{{filter}, "mode": "wrong_action"}}"#),
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
            &format!(r#"{{{filter}, "mode": "wrong_action", "confirm": true}}"#),
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

    let out = format!(r#"{{{filter}, "reason": "a drill", "ref": "INC-4", "confirm": true}}"#);
    world.post("rob", "/v1/exclusions", &out).await.is(403);
    assert_eq!(
        world.post("operator", "/v1/exclusions", &out).await.is(200)["batch"],
        "INC-4"
    );
    assert_eq!(
        world.ledger.view(&TRIAGE.into()).unwrap().status.all.runs,
        1
    );
    let put_back = r#"{"retract": true, "ref": "INC-4", "reason": "no drill"}"#;
    assert_eq!(
        world
            .post("operator", "/v1/exclusions", put_back)
            .await
            .is(200)["workflows"]["support-triage"],
        4
    );
    assert_eq!(
        world.ledger.view(&TRIAGE.into()).unwrap().status.all.runs,
        5
    );
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

#[tokio::test]
async fn the_journal_is_paged() {
    let world = World::new(&[held(1, 1)], Vec::new());
    world
        .journal
        .append(Entry {
            at: NOW,
            workflow: Some(TRIAGE.into()),
            event: clamped("halted"),
        })
        .durable
        .wait()
        .unwrap()
        .unwrap();
    let first = world.get("vera", "/v1/audit?limit=2").await.is(200);
    let kinds = |page: &serde_json::Value| {
        page["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["kind"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (kinds(&first), &first["next"]),
        (
            vec!["policy_accepted".to_owned(), "held".to_owned()],
            &2.into()
        )
    );
    let second = world
        .get("vera", "/v1/audit?after=2&workflow=support-triage")
        .await
        .is(200);
    assert_eq!(
        (kinds(&second), &second["next"]),
        (
            vec!["clamped".to_owned(), "followed".to_owned()],
            &serde_json::Value::Null
        )
    );
    assert_eq!(
        (
            &second["entries"][0]["at"],
            &second["entries"][0]["event"]["reason"]
        ),
        (&"2026-11-23T09:00:00Z".into(), &"drill".into())
    );
    assert_eq!(
        (&second["entries"][0]["by"], &second["entries"][0]["what"]),
        (&"operator".into(), &"clamped to halted: drill".into())
    );
}

#[tokio::test]
async fn a_signal_without_a_secret_needs_a_reporter_and_charges_nobody_where_it_is_not_clear_who_is_meant()
 {
    let theirs = crate::journal::record::RunRecord {
        workflow: "payouts".into(),
        ..run("a-2", "payout-bot", Mark::Acceptable, minutes(3), &[])
    };
    let runs = vec![
        run("a-1", "triage-bot", Mark::Acceptable, minutes(5), &[]),
        run("a-2", "triage-bot", Mark::Acceptable, minutes(4), &[]),
        theirs,
    ];
    let world = World::new(&[], runs);
    let correction = |order: &str| {
        format!(r#"{{"kind": "correction", "order": {order}, "text": "by hand\u001b[2J"}}"#)
    };
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
