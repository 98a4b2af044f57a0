//! What every world is built of: terms with exact evidence, events by hand, a small generator of
//! random numbers, and the seed that a failure prints.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use burngate::gate::budget::evidence::TABLE;
use burngate::gate::budget::posture::Recovery;
use burngate::gate::budget::{Evidence, Objective};
use burngate::gate::clamp::Clamp;
use burngate::gate::digest::Digest;
use burngate::gate::event::{Entry, Event, Revision, TalliedMinute};
use burngate::gate::level::Ladder;
use burngate::gate::name::WorkflowName;
use burngate::gate::outcome::{FailureMode, Source};
use burngate::gate::risk::Tier;
use burngate::gate::run::{Charge, Mark, RunRef};
use burngate::gate::run_flags::{ModeShift, RunFlags};
use burngate::gate::state::State;
use burngate::gate::terms::{Lose, PostureCaps, Terms};
use burngate::gate::time::{Time, days};
use burngate::gate::workflow::WorkflowState;
use statrs::distribution::{Binomial, DiscreteCDF};

pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;
/// A whole hour.
pub(crate) const START: i64 = 20_454 * DAY;

/// A small generator (splitmix64): the same seed gives the same world on every machine.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Rng(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn within(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1) as u64) as i64
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn chance(&mut self, ppm: u64) -> bool {
        self.below(1_000_000) < ppm
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

/// Runs `world` with the seeds below `count`, or with the one in `SIM_SEED`.
pub(crate) fn worlds(test: &str, count: u64, world: impl Fn(&mut Rng)) {
    struct Replay<'a>(&'a str, u64);
    impl Drop for Replay<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!(
                    "seed {}: replay with `SIM_SEED={} cargo test --test sim {}`",
                    self.1, self.1, self.0
                );
            }
        }
    }
    let only = std::env::var("SIM_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    for seed in only.map_or(0..count, |seed| seed..seed + 1) {
        let replay = Replay(test, seed);
        world(&mut Rng::new(seed));
        drop(replay);
    }
}

/// The exact tables of a target, from the binomial distribution itself.
pub(crate) fn evidence(target_ppm: u32) -> Arc<Evidence> {
    static KNOWN: Mutex<BTreeMap<u32, Arc<Evidence>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let table = || {
        let breach = (0..TABLE as u64)
            .map(|b| largest_breach(target_ppm, b))
            .collect();
        let promote = (0..TABLE as u64)
            .map(|b| smallest_promotion(target_ppm, b))
            .collect();
        Arc::new(Evidence { breach, promote })
    };
    Arc::clone(known.entry(target_ppm).or_insert_with(table))
}

fn miss(target_ppm: u32) -> f64 {
    f64::from(1_000_000 - target_ppm) / 1e6
}

/// The largest N with P(X ≥ B) < 1%, or 0.
pub(crate) fn largest_breach(target_ppm: u32, b: u64) -> u64 {
    let below = |n: u64| n < b || Binomial::new(miss(target_ppm), n).unwrap().sf(b - 1) < 0.01;
    if b == 0 || !below(b) {
        return 0;
    }
    let (mut low, mut high) = (
        b,
        4 * (b + 2) * 1_000_000 / u64::from(1_000_000 - target_ppm),
    );
    while low + 1 < high {
        let middle = u64::midpoint(low, high);
        if below(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// The smallest N with P(X ≤ B) ≤ 5%.
pub(crate) fn smallest_promotion(target_ppm: u32, b: u64) -> u64 {
    let enough = |n: u64| n > b && Binomial::new(miss(target_ppm), n).unwrap().cdf(b) <= 0.05;
    let (mut low, mut high) = (
        0,
        4 * (b + 2) * 1_000_000 / u64::from(1_000_000 - target_ppm),
    );
    while low + 1 < high {
        let middle = u64::midpoint(low, high);
        if enough(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// Terms with the defaults of `tier`, at `target_ppm`.
pub(crate) fn terms(tier: Tier, target_ppm: u32) -> Terms {
    let (starts, caps) = match tier {
        Tier::Low => ("autonomous", ["standard", "supervised", "read_only"]),
        Tier::Medium => ("standard", ["standard", "supervised", "read_only"]),
        Tier::High => ("supervised", ["supervised", "read_only", "halted"]),
    };
    Terms {
        tier,
        was: None,
        objective: Objective {
            target_ppm,
            window: days(30),
            expected_runs: 100,
            expected_written: false,
            unacceptable: burngate::gate::policy::default_unacceptable(tier),
            critical: if tier == Tier::High {
                BTreeSet::from([FailureMode::MissedEscalation])
            } else {
                BTreeSet::new()
            },
            evidence: evidence(target_ppm),
        },
        ladder: Ladder::built_in(),
        starts: starts.into(),
        caps: PostureCaps {
            at_risk: caps[0].into(),
            burned: caps[1].into(),
            breached: caps[2].into(),
        },
        recovery: if tier == Tier::Low {
            Recovery::Automatic
        } else {
            Recovery::Cause
        },
        lose: Lose {
            burns: 2,
            within: days(90),
            drop: 1,
        },
        reads_only: false,
        grant: Duration::from_secs(600),
        check: None,
        earn: burngate::gate::earn::Earn::default(),
        reach: BTreeSet::new(),
    }
}

pub(crate) fn time(millis: i64) -> Time {
    Time::from_millis(millis)
}

pub(crate) fn workflow() -> WorkflowName {
    "refunds".into()
}

pub(crate) fn entry(at: i64, event: Event) -> Entry {
    Entry {
        at: time(at),
        workflow: Some(workflow()),
        event,
    }
}

pub(crate) fn everywhere(at: i64, event: Event) -> Entry {
    Entry {
        at: time(at),
        workflow: None,
        event,
    }
}

pub(crate) fn accepted(terms: impl IntoIterator<Item = (&'static str, Terms)>) -> Event {
    let terms = terms
        .into_iter()
        .map(|(name, terms)| (name.into(), Arc::new(terms)))
        .collect();
    Event::PolicyAccepted {
        version: Digest::new([0; 32]),
        terms,
        policies: "{}".into(),
    }
}

/// A state with the one workflow under `terms`.
pub(crate) fn state(terms: Terms) -> State {
    let mut state = State::default();
    state.apply(&everywhere(START, accepted([("refunds", terms)])));
    state
}

pub(crate) fn of(state: &State) -> &WorkflowState {
    state.workflow(&workflow()).unwrap()
}

pub(crate) fn run(id: u64) -> RunRef {
    RunRef {
        agent: "clerk".into(),
        run: format!("run-{id}").as_str().into(),
    }
}

pub(crate) fn charge(mode: &FailureMode) -> Charge {
    Charge {
        mode: mode.clone(),
        source: Source::Person,
        by: None,
        call: None,
        tool: None,
        note: None,
        reference: None,
    }
}

pub(crate) fn booked(id: u64, high: bool, mode: FailureMode) -> Event {
    Event::Booked {
        run: run(id),
        high,
        charges: vec![charge(&mode)],
        observed: RunFlags::NONE,
    }
}

pub(crate) fn tallied(at: i64, runs: u64, high: u64, idle: u64) -> Event {
    Event::Tallied {
        cells: vec![TalliedMinute {
            runs,
            high,
            idle,
            ..TalliedMinute::new(time(at).minute())
        }],
    }
}

pub(crate) fn revision(id: u64, booked_at: i64, high: bool, was: Mark, now: Mark) -> Revision {
    Revision::new(run(id), time(booked_at), high, was, now)
}

/// A report of `mode`, as the writer completes it from what the run stood with.
pub(crate) fn reported(revision: Revision, mode: &FailureMode) -> Event {
    Event::Reported {
        revision: moving(revision, mode, 1),
        charge: charge(mode),
    }
}

/// The report of `mode` taken back.
pub(crate) fn retracted(revision: Revision, mode: FailureMode) -> Event {
    Event::Retracted {
        revision: moving(revision, &mode, -1),
        mode,
        reference: None,
        by: "ada".into(),
    }
}

fn moving(revision: Revision, mode: &FailureMode, change: i64) -> Revision {
    Revision {
        modes: vec![ModeShift {
            mode: mode.clone(),
            tool: None,
            change,
        }],
        ..revision
    }
}

pub(crate) fn recovered(lasts: Duration, to: Option<&str>) -> Event {
    Event::Recovered {
        cause: "found".into(),
        fix: None,
        to: to.map(Into::into),
        lasts,
        by: "ada".into(),
    }
}

pub(crate) fn clamp(to: &str, at: i64, until: Option<i64>) -> Clamp {
    Clamp {
        to: to.into(),
        by: "ada".into(),
        reason: "because".into(),
        at: time(at),
        until: until.map(time),
    }
}

pub(crate) fn released() -> Event {
    Event::Released {
        by: "ada".into(),
        reason: "over".into(),
    }
}

pub(crate) fn level(state: &State) -> String {
    of(state).status().level().as_str().to_owned()
}
