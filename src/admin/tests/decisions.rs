//! Decisions on held calls: who may decide, and that an approval ends once.

use super::world::{World, held};

const APPROVE: &str = "/v1/approvals/apr_00000000000000000000000000000001/approve";
const DENY: &str = "/v1/approvals/apr_00000000000000000000000000000001/deny";

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
