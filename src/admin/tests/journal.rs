//! The journal, page by page.

use super::world::{NOW, TRIAGE, World, clamped, held};
use crate::gate::event::Entry;
use crate::journal::port::Journal as _;

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
