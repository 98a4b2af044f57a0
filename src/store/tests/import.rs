//! Histories: all of one counts, or nothing; none of it shows before; a run that is known stays one
//! run.

use super::*;
use crate::journal::import::{ImportError, ImportReply, ImportStep};

const HOUR: i64 = 3_600_000;

fn past(id: &str, hours_ago: i64, mark: Mark) -> RunRecord {
    let then = at(-hours_ago * HOUR);
    let charges = if mark == Mark::Unacceptable {
        vec![charge(FailureMode::WrongAction, None)]
    } else {
        Vec::new()
    };
    let calls = vec![CallRecord {
        at: then,
        call: crate::ids::call(),
        ..call(1, "api/refund", Risk::High, Some(id))
    }];
    RunRecord {
        started: then,
        ended: then,
        booked_at: then,
        mark,
        high: true,
        charges,
        ..run(Some(id), calls)
    }
}

fn step(world: &World, step: ImportStep) -> Result<ImportReply, ImportError> {
    world.journal.import(step).wait().unwrap()
}

fn runs(world: &World, runs: Vec<RunRecord>) -> Result<ImportReply, ImportError> {
    step(
        world,
        ImportStep::Runs {
            runs,
            by: "dana".into(),
        },
    )
}

fn finish(world: &World) -> Result<ImportReply, ImportError> {
    step(
        world,
        ImportStep::Finish {
            at: at(1_000),
            by: "dana".into(),
        },
    )
}

fn imported(world: &World) -> Vec<(u64, u64, u64)> {
    let counts = |event: &Event| match event {
        Event::Imported(imported) => {
            let sum = |of: fn(&crate::gate::budget::shift::Shift) -> i64| {
                imported
                    .cells
                    .iter()
                    .map(|cell| of(&cell.shift).unsigned_abs())
                    .sum::<u64>()
            };
            Some((
                imported.runs,
                sum(|shift| shift.all.runs),
                sum(|shift| shift.all.unacceptable),
            ))
        }
        _ => None,
    };
    world
        .entries()
        .iter()
        .filter_map(|entry| counts(&entry.event))
        .collect()
}

#[test]
fn a_history_counts_when_it_is_finished_and_shows_nowhere_before() {
    let world = World::new();
    assert_eq!(step(&world, ImportStep::Begin), Ok(ImportReply::Begun));
    let batch = vec![
        past("a", 30, Mark::Acceptable),
        past("b", 20, Mark::Unacceptable),
        past("a", 10, Mark::Acceptable),
        past("old", 24 * 91, Mark::Acceptable),
    ];
    assert_eq!(runs(&world, batch), Ok(ImportReply::Taken(vec![2])));
    let by_subject = || RunTarget::Subject {
        subject: "b".into(),
        tool: None,
        workflow: None,
    };
    let exclude = || Change::Exclude {
        reason: "test".into(),
        reference: None,
        by: "dana".into(),
    };
    assert_eq!(
        world.revise(by_subject(), exclude()),
        Err(ReviseError::Unknown)
    );
    assert!(world.runs(RunFilter::default()).is_empty() && imported(&world).is_empty());
    assert_eq!(finish(&world), Ok(ImportReply::Finished));
    // The one that is older than every window is kept, and in no count.
    assert_eq!(
        (world.runs(RunFilter::default()).len(), imported(&world)),
        (3, vec![(3, 2, 1)])
    );
    let excluded = world.revise(by_subject(), exclude()).unwrap();
    assert_eq!(
        (excluded.was, excluded.booked_at),
        (Mark::Unacceptable, at(-20 * HOUR))
    );
    // The same history again: nothing is new.
    step(&world, ImportStep::Begin).unwrap();
    assert_eq!(
        runs(
            &world,
            vec![
                past("b", 20, Mark::Unacceptable),
                past("c", 5, Mark::Excluded)
            ]
        ),
        Ok(ImportReply::Taken(vec![0]))
    );
    assert_eq!(finish(&world), Ok(ImportReply::Finished));
    assert_eq!(
        world
            .views(RunFilter {
                outcome: Some(Outcome::Excluded),
                ..RunFilter::default()
            })
            .len(),
        2
    );
    world.drain();
}

#[test]
fn what_broke_off_is_cleared_before_the_next_begins() {
    let world = World::new();
    world.journal.record(run(
        Some("live"),
        vec![call(1, "api/refund", Risk::High, Some("live"))],
    ));
    step(&world, ImportStep::Begin).unwrap();
    let batch: Vec<_> = (0..1_500)
        .map(|n| {
            past(
                &format!("r{n}"),
                n % 700,
                if n % 50 == 0 {
                    Mark::Unacceptable
                } else {
                    Mark::Acceptable
                },
            )
        })
        .collect();
    runs(&world, batch.clone()).unwrap();
    // The process dies; the rows are there, and the counts are not.
    let world = World::at(copy(&world.drain().keep()));
    assert_eq!(world.runs(RunFilter::default()).len(), 1);
    assert_eq!(
        (runs(&world, Vec::new()), finish(&world)),
        (Err(ImportError::Lost), Err(ImportError::Lost))
    );
    assert_eq!(step(&world, ImportStep::Begin), Ok(ImportReply::Clearing));
    assert_eq!(step(&world, ImportStep::Begin), Ok(ImportReply::Begun));
    assert_eq!(runs(&world, batch), Ok(ImportReply::Taken(Vec::new())));
    while step(&world, ImportStep::Abandon) == Ok(ImportReply::Clearing) {}
    assert_eq!(finish(&world), Err(ImportError::Lost));
    let dir = world.drain();
    let connection = Connection::open(dir.path().join("ledger.db")).unwrap();
    for table in ["runs", "touched"] {
        let left: i64 = connection
            .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(left, 1, "{table}");
    }
    for table in ["importing", "charges", "calls", "exclusions"] {
        let left: i64 = connection
            .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(left, 0, "{table}");
    }
}

#[test]
fn a_disk_that_fails_ends_an_import_and_the_books_stay_as_they_were() {
    let world = World::new();
    step(&world, ImportStep::Begin).unwrap();
    runs(&world, vec![past("a", 3, Mark::Unacceptable)]).unwrap();
    world.fault.pages.store(1, Ordering::SeqCst);
    let many = (0..2_000)
        .map(|n| past(&format!("b{n}"), n % 500, Mark::Acceptable))
        .collect();
    assert_eq!(
        runs(&world, many),
        Err(crate::journal::unavailable::Unavailable.into())
    );
    world.fault.pages.store(0, Ordering::SeqCst);
    while !world.journal.ready() {
        std::thread::yield_now();
    }
    assert_eq!(finish(&world), Err(ImportError::Lost));
    assert!(imported(&world).is_empty() && world.runs(RunFilter::default()).is_empty());
    world.drain();
}
