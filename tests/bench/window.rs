//! What booking into a full window, summing it, and judging a posture cost.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use burngate::gate::budget::posture::Recovery;
use burngate::gate::budget::shift::{Delta, Shift};
use burngate::gate::budget::window::Window;
use burngate::gate::budget::{Evidence, Objective};
use burngate::gate::event::{Event, TalliedMinute};
use burngate::gate::level::Ladder;
use burngate::gate::risk::Tier;
use burngate::gate::terms::{Lose, PostureCaps, Terms};
use burngate::gate::time::{Time, days, minutes};
use burngate::gate::workflow::WorkflowState;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

const START: Time = Time::from_millis(1_767_225_600_000);

fn terms() -> Arc<Terms> {
    Arc::new(Terms {
        tier: Tier::Medium,
        was: None,
        objective: Objective {
            target_ppm: 970_000,
            window: days(30),
            expected_runs: 100,
            expected_written: false,
            unacceptable: BTreeSet::new(),
            critical: BTreeSet::new(),
            evidence: Arc::new(Evidence::default()),
        },
        ladder: Ladder::built_in(),
        starts: "standard".into(),
        caps: PostureCaps {
            at_risk: "standard".into(),
            burned: "supervised".into(),
            breached: "read_only".into(),
        },
        recovery: Recovery::Automatic,
        lose: Lose {
            burns: 2,
            within: days(90),
            drop: 1,
        },
        reads_only: false,
        grant: minutes(10),
        check: None,
        earn: burngate::gate::earn::Earn::default(),
        reach: BTreeSet::new(),
    })
}

/// A run each minute for ninety days, one of a hundred unacceptable.
fn full_window() -> (Window, Time) {
    let (mut window, mut now) = (Window::default(), START);
    for minute in 0..90 * 24 * 60 {
        now = START.plus(minutes(minute));
        window.book(
            now,
            Shift::of(
                Delta {
                    runs: 1,
                    unacceptable: i64::from(minute % 100 == 0),
                },
                minute % 3 == 0,
            ),
            &[],
        );
    }
    window.forget(now);
    (window, now)
}

fn windows(criterion: &mut Criterion) {
    let (window, now) = full_window();
    criterion.bench_function("window/book now", |bench| {
        let mut window = window.clone();
        bench.iter(|| {
            window.book(
                black_box(now),
                Shift::of(
                    Delta {
                        runs: 1,
                        unacceptable: 0,
                    },
                    false,
                ),
                &[],
            );
        });
    });
    criterion.bench_function("window/book ten days ago", |bench| {
        let mut window = window.clone();
        let then = now.minus(days(10));
        bench.iter(|| {
            window.book(
                black_box(then),
                Shift::of(
                    Delta {
                        runs: 1,
                        unacceptable: 0,
                    },
                    false,
                ),
                &[],
            );
        });
    });
    criterion.bench_function("window/sum 30d", |bench| {
        bench.iter(|| window.sum(days(30), black_box(now), Time::default()));
    });
    criterion.bench_function("window/look-backs", |bench| {
        bench.iter(|| window.look_backs(black_box(now), Time::default()));
    });
    criterion.bench_function("window/next edge", |bench| {
        bench.iter(|| window.next_edge(days(30), black_box(now)));
    });
}

fn workflows(criterion: &mut Criterion) {
    let mut state = WorkflowState::new(
        START,
        terms(),
        burngate::gate::clamp::Clamps::default(),
        false,
    );
    let mut now = START;
    for minute in 0..30 * 24 * 60 {
        now = START.plus(minutes(minute));
        let cell = TalliedMinute {
            runs: 1,
            ..TalliedMinute::new(now.minute())
        };
        state.apply(now, &Event::Tallied { cells: vec![cell] });
    }
    criterion.bench_function("workflow/status", |bench| {
        bench.iter(|| black_box(&state).status());
    });
    criterion.bench_function("workflow/a year passes", |bench| {
        bench.iter_batched(
            || state.clone(),
            |mut state| state.advance(now.plus(days(365))),
            BatchSize::LargeInput,
        );
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    targets = windows, workflows
}
criterion_main!(benches);
