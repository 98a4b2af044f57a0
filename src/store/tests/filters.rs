//! Runs are listed by what they are asked for, the newest first.

use super::*;

/// Runs whose first calls are 1, 2 and 4.
fn three_runs() -> World {
    let world = World::new();
    world
        .journal
        .record(run(None, vec![call(1, "api/get", Risk::Read, Some("A-1"))]));
    world.journal.record(run(
        Some("r"),
        vec![
            call(2, "api/get", Risk::Low, None),
            call(3, "api/put", Risk::Low, Some("A-2")),
        ],
    ));
    world.journal.record(run(
        None,
        vec![CallRecord {
            executed: Executed::Unknown,
            rule: Some("p.yaml:3".into()),
            ..call(4, "api/get", Risk::Low, None)
        }],
    ));
    world.settle();
    world
}

#[test]
fn filters_narrow_and_the_newest_comes_first() {
    let world = three_runs();
    let found = |filter: RunFilter| {
        world
            .runs(filter)
            .iter()
            .map(|run| run.calls[0].call.bits() & 0xff)
            .collect::<Vec<_>>()
    };
    let any = RunFilter::default;
    let cases: [(RunFilter, &[u128]); 9] = [
        (any(), &[4, 2, 1]),
        (
            RunFilter {
                workflow: Some("w".into()),
                since: Some(at(2)),
                until: Some(at(4)),
                ..any()
            },
            &[2],
        ),
        (
            RunFilter {
                workflow: Some("v".into()),
                ..any()
            },
            &[],
        ),
        (
            RunFilter {
                tool: Some("api/put".into()),
                ..any()
            },
            &[2],
        ),
        (
            RunFilter {
                subject: Some("A-1".into()),
                ..any()
            },
            &[1],
        ),
        (
            RunFilter {
                subject: Some("A-2".into()),
                ..any()
            },
            &[2],
        ),
        (
            RunFilter {
                ambiguous: true,
                ..any()
            },
            &[4],
        ),
        (
            RunFilter {
                call: Some(call_id(3)),
                ..any()
            },
            &[2],
        ),
        (
            RunFilter {
                outcome: Some(Outcome::Unacceptable),
                ..any()
            },
            &[],
        ),
    ];
    for (filter, calls) in cases {
        assert_eq!(found(filter.clone()), calls, "{filter:?}");
    }
    assert_eq!(
        world
            .records
            .runs(&RunFilter { limit: 1, ..any() })
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        world.runs(any())[0].calls[0].rule.as_deref(),
        Some("p.yaml:3")
    );
    assert!(
        world.runs(any())[1].calls[1]
            .subject
            .as_ref()
            .unwrap()
            .as_str()
            .starts_with("sha256:")
    );
    world.drain();
}
