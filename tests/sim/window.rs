//! The window against a plain list of changes, recomputed from scratch.

use std::collections::BTreeMap;
use std::time::Duration;

use burngate::gate::budget::burn::LOOK_BACKS;
use burngate::gate::budget::shift::{Delta, Shift};
use burngate::gate::budget::window::Window;
use burngate::gate::outcome::FailureMode;
use burngate::gate::run_flags::ModeShift;
use burngate::gate::time::{days, hours};
use proptest::prelude::*;

use crate::world::{DAY, HOUR, MINUTE, START, time};

#[derive(Debug, Clone)]
enum Step {
    /// Time passes, or steps back.
    Pass(i64),
    /// A run is booked so long ago.
    Book {
        ago: i64,
        high: bool,
        unacceptable: bool,
        mode: usize,
        back: bool,
    },
    /// A recovery.
    Recover,
}

/// Spans that lie on an edge, or a millisecond off it.
fn span() -> impl Strategy<Value = i64> {
    let edge = prop_oneof![
        Just(0),
        Just(MINUTE),
        Just(HOUR),
        (0i64..200).prop_map(|n| n * MINUTE),
        (0i64..100).prop_map(|n| n * HOUR),
        (0i64..100).prop_map(|n| n * DAY),
        Just(3 * DAY),
        Just(90 * DAY),
        0i64..DAY
    ];
    (edge, -1i64..=1).prop_map(|(edge, off)| edge + off)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => span().prop_map(Step::Pass),
        1 => prop_oneof![Just(Step::Pass(3 * 365 * DAY)), Just(Step::Pass(-5 * HOUR)), Just(Step::Pass(-1))],
        8 => (prop_oneof![3 => Just(0i64), 2 => span()], any::<bool>(), any::<bool>(), 0usize..3, prop::bool::weighted(0.2))
            .prop_map(|(ago, high, unacceptable, mode, back)| Step::Book { ago, high, unacceptable, mode, back }),
        1 => Just(Step::Recover),
    ]
}

const MODES: [FailureMode; 3] = [
    FailureMode::Timeout,
    FailureMode::ToolError,
    FailureMode::WrongAction,
];

struct Fact {
    at: i64,
    high: bool,
    unacceptable: i64,
    runs: i64,
    mode: usize,
}

fn counts(facts: &[Fact], since: i64, until: i64, only_high: bool) -> (u64, u64) {
    let facts = || {
        facts
            .iter()
            .filter(|fact| fact.at >= since && fact.at < until && (fact.high || !only_high))
    };
    let at_least_zero = |sum: i64| sum.max(0) as u64;
    (
        at_least_zero(facts().map(|fact| fact.runs).sum()),
        at_least_zero(facts().map(|fact| fact.unacceptable).sum()),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_a_list_of_runs(steps in prop::collection::vec(step(), 1..80), start in 0i64..HOUR) {
        let (mut window, mut facts, mut eras, mut clock) = (Window::default(), Vec::new(), vec![0], START + start);
        let mut now = clock;
        for step in steps {
            match step {
                Step::Pass(span) => {
                    clock += span;
                    // The fold never follows a clock that steps back.
                    now = now.max(clock);
                    window.forget(time(now));
                }
                Step::Book { ago, high, unacceptable, mode, back } => {
                    let at = now - ago.max(0);
                    let sign = if back { -1 } else { 1 };
                    let delta = Delta { runs: sign, unacceptable: if unacceptable { sign } else { 0 } };
                    window.book(time(at), Shift::of(delta, high), &[ModeShift { mode: MODES[mode].clone(), tool: None, change: sign }]);
                    facts.push(Fact { at, high, unacceptable: delta.unacceptable, runs: sign, mode });
                }
                Step::Recover => {
                    let begins = window.begin_era(time(now));
                    prop_assert_eq!(begins, time(now + 1));
                    eras.push(now + 1);
                }
            }
            for era in eras.iter().rev().take(3).chain([&0]) {
                // Eras of the last ninety days are told apart; an older one reaches further back
                // than anything kept.
                let from = *era;
                for span in [days(1), days(2), days(30), days(90), hours(1)] {
                    let hour = now.div_euclid(HOUR) * HOUR;
                    let since = (hour + HOUR - span.as_millis() as i64).max(from);
                    let sum = window.sum(span, time(now), time(from));
                    prop_assert_eq!((sum.all.runs, sum.all.unacceptable), counts(&facts, since, hour + HOUR, false), "{:?} from {}", span, from);
                    prop_assert_eq!((sum.high.runs, sum.high.unacceptable), counts(&facts, since, hour + HOUR, true));
                    prop_assert_eq!(window.counts(span, time(now), time(from)), (sum.all, sum.high), "what is judged is what is shown");
                    let mut modes = BTreeMap::new();
                    for fact in facts.iter().filter(|fact| fact.at >= since && fact.at < hour + HOUR) {
                        *modes.entry(MODES[fact.mode].clone()).or_insert(0) += fact.runs;
                    }
                    modes.retain(|_, count| *count > 0);
                    let modes: BTreeMap<_, _> = modes.into_iter().map(|(mode, count)| (mode, count as u64)).collect();
                    let totals = window.totals(span, time(now), time(from));
                    prop_assert_eq!((&totals.tally, &totals.modes), (&sum, &modes));
                    if from == 0 {
                        prop_assert_eq!(window.between(time(since), time(now)), totals, "the window is the hours from its first to this one");
                    }
                    for at in [now, since, since - 1, now - HOUR, hour - span.as_millis() as i64] {
                        let expected = at >= since && (at >= from || from == 0) && at < hour + HOUR;
                        prop_assert_eq!(window.reaches(time(at), span, time(now), time(from)), expected, "{}", at - now);
                    }
                }
                let (all, high) = window.look_backs(time(now), time(from));
                let minute = now.div_euclid(MINUTE) * MINUTE + MINUTE;
                for (index, (name, span)) in LOOK_BACKS.into_iter().enumerate() {
                    let since = (minute - span.as_millis() as i64).max(from);
                    prop_assert_eq!((all[index].runs, all[index].unacceptable), counts(&facts, since, minute, false), "{}", name);
                    prop_assert_eq!((high[index].runs, high[index].unacceptable), counts(&facts, since, minute, true), "{}", name);
                }
            }
        }
        let restored: Window = serde_json::from_str(&serde_json::to_string(&window).unwrap()).unwrap();
        prop_assert_eq!(restored.look_backs(time(now), time(0)), window.look_backs(time(now), time(0)), "running sums are made again");
        prop_assert_eq!(restored, window);
    }

    #[test]
    fn between_two_edges_nothing_changes(steps in prop::collection::vec((span(), any::<bool>()), 1..30)) {
        let (mut window, mut now) = (Window::default(), START);
        for (span, unacceptable) in steps {
            now += span.max(0) / 7;
            window.book(time(now), Shift::of(Delta { runs: 1, unacceptable: i64::from(unacceptable) }, false), &[]);
        }
        let window_span = days(7);
        let read = |at: i64| {
            let (all, _) = window.look_backs(time(at), time(0));
            // Runs in a look-back without failures move no rate.
            (window.sum(window_span, time(at), time(0)).all, all.map(|count| if count.unacceptable > 0 { count } else { Default::default() }))
        };
        let mut steps = 0;
        while let Some(edge) = window.next_edge(window_span, time(now)) {
            prop_assert!(edge.as_millis() > now);
            prop_assert_eq!(read(edge.as_millis() - 1), read(now));
            now = edge.as_millis();
            steps += 1;
            prop_assert!(steps <= 30 * 8, "one step for each bucket and look-back");
        }
        prop_assert_eq!(read(now).0.unacceptable, 0);
    }
}

#[test]
fn an_era_outlives_the_ninety_days_that_its_runs_are_kept() {
    let mut window = Window::default();
    let first = window.begin_era(time(START));
    let late = START + 100 * DAY;
    let failure = |sign| {
        Shift::of(
            Delta {
                runs: sign,
                unacceptable: sign,
            },
            false,
        )
    };
    window.book(time(late), failure(1), &[]);
    window.begin_era(time(late + DAY));
    window.book(time(late), failure(-1), &[]);
    assert_eq!(
        window.sum(days(30), time(late + DAY), first),
        Default::default()
    );
    assert_eq!(
        window.sum(Duration::from_secs(30 * 86_400), time(late + DAY), time(0)),
        Default::default()
    );
}

#[test]
fn a_run_taken_out_and_put_back_is_one_run_also_where_its_minute_was_tallied_in_another_era() {
    let mut window = Window::default();
    let at = START + 30_000;
    // Acceptable runs are booked to the beginning of their minute.
    window.book(
        time(START),
        Shift::of(
            Delta {
                runs: 1,
                unacceptable: 0,
            },
            false,
        ),
        &[],
    );
    window.begin_era(time(START + 10_000));
    let take = |sign| {
        Shift::of(
            Delta {
                runs: sign,
                unacceptable: 0,
            },
            false,
        )
    };
    window.book(time(at), take(-1), &[]);
    window.book(time(at), take(1), &[]);
    assert_eq!(window.sum(days(30), time(at), time(0)).all.runs, 1);
}
