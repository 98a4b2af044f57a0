//! The book through whole lives of calls: in flight, done, unknown, given back, forgotten; and its
//! bounds.

use super::*;
use crate::gate::dedup::{LimitShare, Work};
use crate::gate::run::RunRef;
use crate::gate::time::hours;

const DAY: Duration = hours(24);

fn digest(n: usize) -> Digest {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(n as u64).to_be_bytes());
    Digest::new(bytes)
}

fn at(second: i64) -> Time {
    Time::from_millis(1_767_225_600_000 + second * 1_000)
}

fn call(n: u128) -> CallId {
    CallId::from_bits(n)
}

fn doer(n: u128) -> Doer {
    doer_of("payouts", n)
}

fn doer_of(workflow: &str, n: u128) -> Doer {
    Doer {
        call: call(n),
        workflow: workflow.into(),
        run: RunRef {
            agent: "bot".into(),
            run: "r".into(),
        },
    }
}

fn operation(second: i64) -> Operation {
    Operation {
        at: at(second),
        works: Vec::new(),
        key: None,
        shares: Vec::new(),
    }
}

fn work(second: i64, n: usize) -> Operation {
    Operation {
        works: vec![Work {
            work: digest(n),
            keep: DAY,
            each: false,
        }],
        ..operation(second)
    }
}

fn keyed(second: i64, n: usize) -> Operation {
    Operation {
        key: Some(Keyed {
            key: digest(n),
            payload: digest(7),
        }),
        ..operation(second)
    }
}

fn share(second: i64, n: usize, amount: &str) -> Operation {
    Operation {
        shares: vec![LimitShare {
            series: digest(n),
            amount: Amount::parse(amount).unwrap(),
            keep: DAY,
            grain: Duration::from_secs(1),
        }],
        ..operation(second)
    }
}

/// The call that stands in the way of `work`, and how far it has come.
fn blocking(book: &DedupIndex, n: usize, second: i64) -> Option<(CallId, CallStage)> {
    book.done(&digest(n), DAY, at(second), call(0))
        .map(|done| (done.doer.call, done.stage))
}

#[test]
fn work_stands_from_its_admission_to_the_end_of_its_window() {
    let mut book = DedupIndex::default();
    book.admit(&doer(1), &work(0, 5));
    assert_eq!(blocking(&book, 5, 0), Some((call(1), CallStage::InFlight)));
    assert_eq!(
        book.done(&digest(5), DAY, at(0), call(1)),
        None,
        "nothing is its own duplicate"
    );
    // However long it takes.
    assert_eq!(
        blocking(&book, 5, 90_000),
        Some((call(1), CallStage::InFlight))
    );
    book.settle(call(1), Executed::Yes);
    assert_eq!(blocking(&book, 5, 86_399), Some((call(1), CallStage::Done)));
    assert_eq!(blocking(&book, 5, 86_400), None);
    assert_eq!(blocking(&book, 6, 1), None);
    // The policy's window may be shorter by now.
    assert_eq!(
        book.done(&digest(5), Duration::from_secs(10), at(10), call(0)),
        None
    );
    book.expire(at(86_400));
    assert!(book.is_empty());
}

#[test]
fn only_proof_that_nothing_was_executed_gives_a_place_back() {
    let mut book = DedupIndex::default();
    let all = |n| Operation {
        works: work(0, n).works,
        key: keyed(0, n).key,
        shares: share(0, n, "12.5").shares,
        ..operation(0)
    };
    for (n, executed) in [
        (1, Executed::No),
        (2, Executed::Yes),
        (3, Executed::Unknown),
    ] {
        book.admit(&doer(n as u128), &all(n));
        // Twice admitted is admitted once.
        book.admit(&doer(n as u128), &all(n));
        book.settle(call(n as u128), executed);
        // Twice settled is settled once.
        book.settle(call(n as u128), Executed::No);
    }
    assert_eq!(
        (
            blocking(&book, 1, 1),
            book.key(&digest(1), at(1)),
            book.sum(&digest(1), DAY, at(1))
        ),
        (None, None, Amount::ZERO)
    );
    for (n, stage) in [(2, CallStage::Done), (3, CallStage::Unknown)] {
        assert_eq!(blocking(&book, n, 1), Some((call(n as u128), stage)));
        assert_eq!(
            book.key(&digest(n), at(1)).map(|used| used.done.stage),
            Some(stage)
        );
        assert_eq!(
            book.sum(&digest(n), DAY, at(1)),
            Amount::parse("12.5").unwrap()
        );
    }
    assert_eq!(book.len(), (2, 2, 2));
}

#[test]
fn of_several_that_did_the_same_work_the_last_that_was_executed_stands() {
    for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1], [2, 1, 3]] {
        let mut book = DedupIndex::default();
        (1..=3_u32).for_each(|n| book.admit(&doer(n.into()), &work(n.into(), 5)));
        for n in order {
            book.settle(call(n), if n == 3 { Executed::No } else { Executed::Yes });
        }
        assert_eq!(
            (blocking(&book, 5, 9), book.len().0),
            (Some((call(2), CallStage::Done)), 1),
            "{order:?}"
        );
    }
}

#[test]
fn a_key_is_free_again_once_its_call_was_not_executed() {
    let mut book = DedupIndex::default();
    book.admit(&doer(1), &keyed(0, 5));
    book.settle(call(1), Executed::No);
    book.admit(&doer(2), &keyed(1, 5));
    book.settle(call(2), Executed::Yes);
    assert_eq!(
        book.key(&digest(5), at(86_400))
            .map(|used| used.done.doer.call),
        Some(call(2))
    );
    assert_eq!(book.key(&digest(5), at(86_401)), None);
}

#[test]
fn g7_a_full_book_has_no_room_and_forgets_nothing() {
    let mut book = DedupIndex::default();
    let workflow = doer(0).workflow;
    (1..MAX_WORKS).for_each(|n| book.admit(&doer(n as u128), &work(0, n)));
    assert_eq!(book.room(&workflow, &work(0, MAX_WORKS)), Ok(()));
    book.admit(&doer(MAX_WORKS as u128), &work(0, MAX_WORKS));
    assert_eq!(
        book.room(&workflow, &work(0, MAX_WORKS + 1)),
        Err(NoRoom::Works)
    );
    assert_eq!(book.room(&workflow, &share(0, 1, "1")), Ok(()));
    assert!(blocking(&book, 1, 1).is_some());

    let mut book = DedupIndex::default();
    for n in 1..=MAX_KEYS_EACH {
        assert_eq!(book.room(&workflow, &keyed(0, n)), Ok(()), "{n}");
        book.admit(&doer(n as u128), &keyed(0, n));
    }
    assert_eq!(book.room(&workflow, &keyed(0, 0)), Err(NoRoom::Keys));
    assert_eq!(
        book.room(&"triage".into(), &keyed(0, 0)),
        Ok(()),
        "another workflow has its own"
    );
    for n in MAX_KEYS_EACH + 1..=MAX_KEYS {
        book.admit(
            &doer_of(&format!("w{}", n / MAX_KEYS_EACH), n as u128),
            &keyed(0, n),
        );
    }
    assert_eq!(book.room(&"triage".into(), &keyed(0, 0)), Err(NoRoom::Keys));
    book.settle(call(1), Executed::No);
    assert_eq!(book.room(&workflow, &keyed(0, 0)), Ok(()));

    let mut book = DedupIndex::default();
    for (n, second) in (0..MAX_CELLS).zip((0..1_000).cycle()) {
        book.admit(&doer(n as u128), &share(second, n / 1_000, "1"));
    }
    assert_eq!(
        (book.len().2, book.room(&workflow, &share(0, 1, "1"))),
        (MAX_CELLS, Err(NoRoom::Sums))
    );
}

#[test]
fn g12_a_book_survives_its_snapshot() {
    let mut book = DedupIndex::default();
    book.admit(&doer(1), &work(0, 1));
    book.admit(
        &doer(2),
        &Operation {
            shares: share(0, 2, "0.1").shares,
            ..keyed(0, 2)
        },
    );
    book.settle(call(2), Executed::Unknown);
    let json = serde_json::to_string(&book).unwrap();
    assert_eq!(serde_json::from_str::<DedupIndex>(&json).unwrap(), book);
    assert_eq!(
        serde_json::from_str::<DedupIndex>("{}").unwrap(),
        DedupIndex::default()
    );
}

#[test]
fn each_call_that_can_be_undone_is_undone_once_the_newest_first() {
    let each = |second, n| Operation {
        works: vec![Work {
            work: digest(n),
            keep: DAY,
            each: true,
        }],
        ..operation(second)
    };
    let mut book = DedupIndex::default();
    for (n, second) in (1..=3).zip(1..) {
        book.admit(&doer(n), &each(second, 5));
        book.settle(
            call(n),
            if n == 2 {
                Executed::Unknown
            } else {
                Executed::Yes
            },
        );
    }
    // Under way, and nothing that it did can be undone yet.
    book.admit(&doer(4), &each(4, 5));
    let newest = |book: &DedupIndex| {
        book.undoable(&digest(5), DAY, at(5), call(9))
            .map(|done| done.doer.call)
    };
    for n in [3, 2, 1] {
        assert_eq!(newest(&book), Some(call(n)));
        book.undo(Reversal {
            work: digest(5),
            call: call(n),
        });
    }
    assert_eq!(newest(&book), None);
    book.settle(call(4), Executed::No);
    assert!(book.is_empty());
    // At the bound the oldest can no longer be undone, and the memory does not grow.
    for (n, second) in (1..=MAX_EACH as u128 + 1).zip(1..) {
        book.admit(&doer(n), &each(second, 6));
        book.settle(call(n), Executed::Yes);
    }
    assert_eq!(book.len().0, MAX_EACH);
    let mut undone = 0;
    while let Some(done) = book
        .undoable(&digest(6), DAY, at(40), call(99))
        .map(|done| done.doer.call)
    {
        assert_ne!(done, call(1), "the oldest");
        book.undo(Reversal {
            work: digest(6),
            call: done,
        });
        undone += 1;
    }
    assert_eq!((undone, book.is_empty()), (MAX_EACH, true));
}
