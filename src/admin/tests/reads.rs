//! What is shown: golden texts of what scripts and dashboards read.

use std::time::Duration;

use super::world::{NOW, TRIAGE, World, held, run};
use crate::gate::event::Entry;
use crate::gate::outcome::FailureMode;
use crate::gate::run::Mark;
use crate::gate::run_flags::RunFlags;
use crate::gate::time::{hours, minutes};
use crate::journal::read::EntryFilter;
use crate::journal::record::RunRecord;
use crate::telemetry::exposition::OTHER;
use crate::telemetry::metrics::MAX_MODES;

fn some_runs() -> Vec<RunRecord> {
    let mut runs: Vec<_> = (0..40)
        .map(|n| {
            run(
                &format!("good-{n}"),
                "triage-bot",
                Mark::Acceptable,
                hours(1),
                &[],
            )
        })
        .collect();
    runs.push(run(
        "slow",
        "triage-bot",
        Mark::Unacceptable,
        minutes(30),
        &[FailureMode::Timeout],
    ));
    runs.push(run(
        "twice",
        "triage-bot",
        Mark::Unacceptable,
        minutes(10),
        &[FailureMode::DuplicateWork, FailureMode::MajorCorrection],
    ));
    runs.push(run("idle", "triage-bot", Mark::Idle, minutes(5), &[]));
    runs
}

#[tokio::test]
async fn a_workflow_is_shown_in_the_contracts_shape() {
    let world = World::new(&[], some_runs());
    world
        .post(
            "operator",
            "/v1/workflows/support-triage/clamp",
            r#"{"to": "supervised", "reason": "drill"}"#,
        )
        .await
        .is(200);
    let answer = world.get("vera", "/v1/workflows/support-triage").await;
    answer.is(200);
    assert_golden("workflow.json", &pretty(&answer.text));
    assert_eq!(
        world.get("vera", "/v1/workflows").await.text,
        format!(r#"{{"workflows":[{}]}}"#, answer.text)
    );
}

#[tokio::test]
async fn an_approval_is_shown_with_its_arguments_digit_for_digit() {
    let world = World::new(&[held(1, 2), held(2, 1)], Vec::new());
    world
        .post(
            "dana",
            "/v1/approvals/apr_00000000000000000000000000000001/approve",
            r#"{"reason": "seen"}"#,
        )
        .await
        .is(200);
    let answer = world
        .get("vera", "/v1/approvals/apr_00000000000000000000000000000001")
        .await;
    assert_golden("approval.json", &pretty(&answer.text));
    assert!(
        answer
            .text
            .contains(r#""args":{"amount":501.00000000000000000001,"order":"A-1001"}"#),
        "{}",
        answer.text
    );
    let ids = |answer: super::world::Answer| answer.is(200)["approvals"].as_array().unwrap().len();
    assert_eq!(
        ids(world
            .get(
                "vera",
                "/v1/approvals?state=pending&workflow=support-triage"
            )
            .await),
        2
    );
    assert_eq!(
        ids(world.get("vera", "/v1/approvals?state=denied").await),
        0
    );
    assert_eq!(
        ids(world.get("vera", "/v1/approvals?workflow=another").await),
        0
    );
}

#[tokio::test]
async fn runs_are_found_by_every_filter() {
    let world = World::new(&[], some_runs());
    for (query, count) in [
        ("", 43),
        ("?limit=5", 5),
        ("?workflow=support-triage", 43),
        ("?workflow=another", 0),
        ("?outcome=unacceptable", 2),
        ("?mode=timeout", 1),
        ("?ambiguous=true", 1),
        ("?since=20m", 2),
        ("?since=2026-11-23T08:15:00Z&until=2026-11-23T08:45:00Z", 1),
        ("?until=45m", 40),
        ("?subject=SLOW", 1),
        ("?tool=payments/refund", 43),
        ("?tool=payments%2Fget_order", 0),
        ("?run=twice", 1),
    ] {
        assert_eq!(
            world.get("vera", &format!("/v1/runs{query}")).await.is(200)["runs"]
                .as_array()
                .unwrap()
                .len(),
            count,
            "{query}"
        );
    }
    assert_golden(
        "run.json",
        &pretty(&world.get("vera", "/v1/runs/twice").await.text),
    );
    let row = &world.get("vera", "/v1/runs?run=idle").await.json()["runs"][0];
    assert_eq!(
        (&row["outcome"], &row["counted"]),
        (&"acceptable".into(), &false.into())
    );
}

#[tokio::test]
async fn runs_are_listed_page_by_page_without_a_gap() {
    let world = World::new(&[], some_runs());
    let (mut seen, mut query, mut pages) = (Vec::new(), "?limit=20".to_owned(), 0);
    loop {
        let page = world.get("vera", &format!("/v1/runs{query}")).await.is(200);
        seen.extend(
            page["runs"]
                .as_array()
                .unwrap()
                .iter()
                .map(|run| run["run"].as_str().unwrap().to_owned()),
        );
        pages += 1;
        let Some(next) = page["next"].as_str() else {
            break;
        };
        query = format!("?limit=20&before={next}");
    }
    let all = world.get("vera", "/v1/runs").await.is(200);
    assert_eq!(
        seen,
        all["runs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|run| run["run"].as_str().unwrap())
            .collect::<Vec<_>>()
    );
    assert_eq!(
        (pages, seen.len(), &all["next"]),
        (3, 43, &serde_json::Value::Null)
    );
    assert_eq!(
        world.get("vera", "/v1/runs?limit=43").await.is(200)["next"],
        serde_json::Value::Null,
        "a full last page has no next"
    );
    world.get("vera", "/v1/runs?before=x").await.is(422);
}

#[tokio::test]
async fn the_four_numbers_are_told_over_any_span_of_whole_hours() {
    let world = World::new(&[], some_runs());
    let numbers = async |query: &str| {
        world
            .get(
                "vera",
                &format!("/v1/workflows/support-triage/numbers{query}"),
            )
            .await
            .is(200)
    };
    for (query, runs, unacceptable) in [
        ("", 42, 2),
        ("?since=1h", 42, 2),
        ("?since=2026-11-23T08:59:00Z", 42, 2),
        ("?since=2026-11-23T09:00:00Z", 0, 0),
        ("?since=3d&until=2026-11-23T07:59:59Z", 0, 0),
        ("?since=3d&until=2026-11-23T08:00:01Z", 42, 2),
    ] {
        let over = numbers(query).await;
        assert_eq!(
            (&over["runs"], &over["unacceptable"]),
            (&runs.into(), &unacceptable.into()),
            "{query}"
        );
        let success = &over["metrics_detail"]["success_rate"];
        assert_eq!(
            (&success["numerator"], &success["denominator"]),
            (&(runs - unacceptable).into(), &runs.into()),
            "{query}"
        );
    }
    let over = numbers("?since=2026-11-23T08:59:00Z").await;
    assert_eq!(
        (&over["since"], &over["until"], &over["idle_runs"]),
        (
            &"2026-11-23T08:00:00Z".into(),
            &"2026-11-23T09:00:00Z".into(),
            &1.into()
        )
    );
    assert_eq!(
        over["failure_modes"],
        serde_json::json!({ "duplicate_work": 1, "major_correction": 1, "timeout": 1 })
    );
    for (query, at) in [
        ("?since=91d", "/since"),
        ("?since=2027-01-01T00:00:00Z", "/since"),
        ("?since=1h&until=2h", "/until"),
        ("?since=yesterday", "/since"),
    ] {
        let refused = world
            .get(
                "vera",
                &format!("/v1/workflows/support-triage/numbers{query}"),
            )
            .await
            .is(422);
        assert_eq!(refused["errors"][0]["pointer"], at, "{query}: {refused}");
    }
    world
        .get("vera", "/v1/workflows/another/numbers")
        .await
        .is(404);
}

#[tokio::test]
async fn metrics_say_what_the_api_says() {
    let world = World::new(&[held(1, 1)], some_runs());
    for view in crate::journal::read::Records::entries(
        &*world.journal,
        &EntryFilter {
            limit: 1_000,
            ..EntryFilter::default()
        },
    )
    .unwrap()
    .views
    {
        world.metrics.observe(&view.entry);
    }
    world.metrics.decision(Duration::from_micros(10));
    world.metrics.decision(Duration::from_micros(11));
    world.metrics.decision(Duration::from_secs(7));
    world.metrics.upstream(Duration::from_millis(30));
    world.metrics.journal_lag(Duration::from_millis(2));
    let answer = world.get("vera", "/metrics").await;
    assert_eq!(
        answer.headers["content-type"],
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert_golden(
        "metrics.txt",
        &answer.text.replace(env!("CARGO_PKG_VERSION"), "VERSION"),
    );
}

#[test]
fn a_counter_never_goes_down() {
    let world = World::still(&[], Vec::new());
    let run = crate::gate::run::RunRef {
        agent: "a".into(),
        run: "r".into(),
    };
    let revision = |was, now| crate::gate::event::Revision::new(run.clone(), NOW, false, was, now);
    let excluded = crate::gate::event::Event::Excluded {
        revision: revision(Mark::Unacceptable, Mark::Excluded),
        reason: "r".into(),
        reference: None,
        by: "o".into(),
    };
    let reinstated = crate::gate::event::Event::Reinstated {
        revision: revision(Mark::Excluded, Mark::Unacceptable),
        by: "o".into(),
    };
    for event in [excluded, reinstated] {
        world.metrics.observe(&Entry {
            at: NOW,
            workflow: Some(TRIAGE.into()),
            event,
        });
    }
    let text = world.metrics.render(&world.ledger).unwrap();
    assert!(
        text.contains("burngate_runs_total{workflow=\"support-triage\",outcome=\"excluded\"} 1\n"),
        "{text}"
    );
}

#[test]
fn modes_beyond_their_bound_are_counted_together() {
    let world = World::still(&[], Vec::new());
    for n in 0..MAX_MODES + 2 {
        let charges = run(
            "r",
            "a",
            Mark::Unacceptable,
            minutes(1),
            &[FailureMode::from(format!("mode-{n}").as_str())],
        )
        .charges;
        let booked = crate::gate::event::Event::Booked {
            run: crate::gate::run::RunRef {
                agent: "a".into(),
                run: "r".into(),
            },
            high: false,
            charges,
            observed: RunFlags::NONE,
        };
        world.metrics.observe(&Entry {
            at: NOW,
            workflow: Some(TRIAGE.into()),
            event: booked,
        });
    }
    let text = world.metrics.render(&world.ledger).unwrap();
    assert_eq!(
        text.matches("burngate_failures_total{").count(),
        MAX_MODES + 1
    );
    assert!(text.contains(&format!(
        "burngate_failures_total{{workflow=\"support-triage\",mode=\"{OTHER}\"}} 2\n"
    )));
}

fn pretty(text: &str) -> String {
    let value: Box<serde_json::value::RawValue> = serde_json::from_str(text).unwrap();
    // Members in the order in which they were sent: a map of `serde_json` would sort them.
    let (mut out, mut depth, mut quoted, mut escaped) = (String::new(), 0, false, false);
    for c in value.get().chars() {
        let inside = quoted;
        if !escaped && c == '"' {
            quoted = !quoted;
        }
        escaped = inside && !escaped && c == '\\';
        let newline = |out: &mut String, depth: usize| {
            out.extend(std::iter::once('\n').chain("  ".repeat(depth).chars()));
        };
        match c {
            '{' | '[' if !inside => {
                depth += 1;
                out.push(c);
                newline(&mut out, depth);
            }
            '}' | ']' if !inside => {
                depth -= 1;
                if out.trim_end().ends_with(['{', '[']) {
                    out.truncate(out.trim_end().len());
                } else {
                    newline(&mut out, depth);
                }
                out.push(c);
            }
            ',' if !inside => {
                out.push(c);
                newline(&mut out, depth);
            }
            ':' if !inside => out.push_str(": "),
            _ => out.push(c),
        }
    }
    out.push('\n');
    out
}

/// The text in the file, which a change of the contract rewrites with `BURNGATE_GOLDEN=write`.
fn assert_golden(file: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/admin/tests/golden")
        .join(file);
    if std::env::var_os("BURNGATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(&path).unwrap_or_default(),
        text,
        "{file}"
    );
}
