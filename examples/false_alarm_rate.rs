//! How often the rules act on a workflow that deserves nothing of it: 300 seeded years of one that
//! is twice as good as its target, at each tier, at 130 runs a month and at 10,000 a day.
//!
//!     cargo run --release --example false_alarm_rate [-- --years 300 --busy-years 300 --seed 1]
//!
//! A busy year takes longer than a quiet one, because each of its up to ninety thousand failures is
//! judged; `--busy-years` lives fewer of those.
//!
//! The fold is the gate's own. Runs come evenly, three in ten of them with a `high` call; each
//! fails by itself, with half the probability that the target allows. A person finds the cause of
//! each burn after two days and opens a probation of seven; one who was demoted earns the level
//! back in sixty days.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    reason = "a figure for people, not a decision"
)]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use burngate::config::{Process, SourceFile, load};
use burngate::gate::budget::posture::Posture;
use burngate::gate::clamp::Clamps;
use burngate::gate::event::{Effect, Event, TalliedMinute};
use burngate::gate::outcome::{FailureMode, Source};
use burngate::gate::run::{Charge, RunRef};
use burngate::gate::run_flags::RunFlags;
use burngate::gate::terms::Terms;
use burngate::gate::time::{Time, days};
use burngate::gate::workflow::WorkflowState;

/// When the years begin: 2026-01-01.
const BEGIN: Time = Time::from_millis(1_767_225_600_000);
const YEAR: u64 = 365 * 86_400_000;
/// Acceptable runs are tallied together over a quarter of an hour.
const SLOT: u64 = 15 * 60_000;
const RECOVERS_AFTER: Duration = days(2);
const EARNS_AFTER: Duration = days(60);

fn main() -> Result<(), Box<dyn Error>> {
    let flag = |name: &str, default: u64| {
        let arguments: Vec<String> = std::env::args().collect();
        arguments
            .iter()
            .position(|argument| argument == name)
            .and_then(|at| arguments.get(at + 1)?.parse().ok())
            .unwrap_or(default)
    };
    let (quiet_years, seed) = (flag("--years", 300), flag("--seed", 1));
    let busy_years = flag("--busy-years", quiet_years);
    println!("seed {seed}: a workflow that fails half as often as its target allows\n");
    println!(
        "tier    target  runs           years  burns a year  time capped  years with a breach  years with a demotion"
    );
    for (runs, every, expected, years) in [
        (
            "130 a month",
            days(30).as_millis() as u64 / 130,
            130,
            quiet_years,
        ),
        ("10,000 a day", 8_640, 300_000, busy_years),
    ] {
        for tier in ["low", "medium", "high"] {
            let terms = terms(tier, expected)?;
            let harm = World::new(Arc::clone(&terms), seed, every).live(years);
            let share = |count: u64| 100.0 * count as f64 / years as f64;
            println!(
                "{tier:<7} {:<7} {runs:<14} {years:>5} {:>13.2} {:>11.2}% {:>19.1}% {:>21.1}%",
                format!("{}%", f64::from(terms.objective.target_ppm) / 10_000.0),
                harm.burns as f64 / years as f64,
                100.0 * harm.capped as f64 / (years * YEAR) as f64,
                share(harm.breached.len() as u64),
                share(harm.demoted.len() as u64),
            );
        }
    }
    Ok(())
}

fn terms(tier: &str, expected: u64) -> Result<Arc<Terms>, Box<dyn Error>> {
    let api = "api: a\nupstream: http://127.0.0.1:1\ntools:\n  - { tool: t, match: POST /t, risk: high, arguments: { type: object } }\n";
    let accept = if tier == "low" {
        "accept_risk: a figure for the README\n"
    } else {
        ""
    };
    let workflow = format!(
        "workflow: w\nrisk: {tier}\n{accept}objective: {{ expected_runs: {expected} }}\nhold: {{ approvals: 1 }}\ntools: [a/t]\n"
    );
    let files = [
        SourceFile::new("a.yaml", api.to_owned()),
        SourceFile::new("w.yaml", workflow),
    ];
    let loaded = load(&files, &Process::default(), BEGIN).map_err(|found| found.render(false))?;
    Ok(Arc::clone(&loaded.policies.workflows["w"].terms))
}

/// What the rules did to the workflow, with the years in which they did.
#[derive(Default)]
struct Harm {
    burns: u64,
    capped: u64,
    breached: BTreeMap<u64, u64>,
    demoted: BTreeMap<u64, u64>,
}

struct World {
    state: WorkflowState,
    terms: Arc<Terms>,
    chance: u64,
    /// Milliseconds between two runs.
    every: u64,
    harm: Harm,
    capped_since: Option<Time>,
    recovers: Option<Time>,
    earns: Option<Time>,
}

impl World {
    fn new(terms: Arc<Terms>, seed: u64, every: u64) -> Self {
        let state = WorkflowState::new(BEGIN, Arc::clone(&terms), Clamps::default(), false);
        World {
            state,
            terms,
            chance: seed,
            every,
            harm: Harm::default(),
            capped_since: None,
            recovers: None,
            earns: None,
        }
    }

    fn live(mut self, years: u64) -> Harm {
        let runs = years * YEAR / self.every;
        let (mut next, mut run) = (self.gap(), 0);
        while run < runs {
            // All that succeed up to the next failure, a slot at a time.
            let slot_ends = (run * self.every / SLOT + 1) * SLOT;
            let until = slot_ends.div_ceil(self.every).min(next).min(runs);
            if until > run {
                let high = (run..until).filter(|run| run % 10 < 3).count() as u64;
                let cell = TalliedMinute {
                    runs: until - run,
                    high,
                    ..TalliedMinute::new(self.time(run).minute())
                };
                self.apply(self.time(until - 1), &Event::Tallied { cells: vec![cell] });
                run = until;
            }
            if run == next && run < runs {
                let charge = Charge {
                    mode: FailureMode::WrongAction,
                    source: Source::Person,
                    by: None,
                    call: None,
                    tool: None,
                    note: None,
                    reference: None,
                };
                let reference = RunRef {
                    agent: "a".into(),
                    run: run.to_string().into(),
                };
                self.apply(
                    self.time(run),
                    &Event::Booked {
                        run: reference,
                        high: run % 10 < 3,
                        charges: vec![charge],
                        observed: RunFlags::NONE,
                    },
                );
                run += 1;
                next = run + self.gap();
            }
        }
        let end = self.time(runs);
        self.people(end);
        let effects = self.state.advance(end);
        self.note(effects);
        self.harm.capped += self
            .capped_since
            .map_or(0, |since| millis(end.since(since)));
        self.harm
    }

    fn time(&self, run: u64) -> Time {
        BEGIN.plus(Duration::from_millis(run * self.every))
    }

    fn apply(&mut self, at: Time, event: &Event) {
        self.people(at);
        let effects = self.state.apply(at, event);
        self.note(effects);
    }

    /// What people do until then.
    fn people(&mut self, until: Time) {
        if let Some(at) = self.recovers.take_if(|at| *at <= until) {
            let event = Event::Recovered {
                cause: "found".into(),
                fix: None,
                to: None,
                lasts: days(7),
                by: "person".into(),
            };
            let effects = self.state.apply(at, &event);
            self.note(effects);
        }
        if let Some(at) = self.earns.take_if(|at| *at <= until) {
            let effects = self.state.apply(
                at,
                &Event::Promoted {
                    to: self.terms.starts.clone(),
                    by: None,
                    reason: "earned again".into(),
                },
            );
            self.note(effects);
        }
    }

    fn note(&mut self, effects: Vec<(Time, Effect)>) {
        for (at, effect) in effects {
            let year = millis(at.since(BEGIN)) / YEAR;
            match effect {
                Effect::BurnOpened => self.harm.burns += 1,
                // A probation that was used up wants a person again.
                Effect::ProbationEnded { lasted: false } => {
                    self.recovers = Some(at.plus(RECOVERS_AFTER));
                }
                // So does an entry that continues a burn that was left.
                Effect::PostureChanged { to, .. } if to >= Posture::Burned => {
                    self.recovers.get_or_insert(at.plus(RECOVERS_AFTER));
                    if to == Posture::Breached {
                        *self.harm.breached.entry(year).or_default() += 1;
                    }
                }
                Effect::Demoted { .. } => {
                    *self.harm.demoted.entry(year).or_default() += 1;
                    self.earns = Some(at.plus(EARNS_AFTER));
                }
                _ => {}
            }
            let effective = self.state.effective();
            let is_capped = effective.level < effective.earned;
            match self.capped_since {
                Some(since) if !is_capped => {
                    self.harm.capped += millis(at.since(since));
                    self.capped_since = None;
                }
                None if is_capped => self.capped_since = Some(at),
                _ => {}
            }
        }
    }

    /// How many runs succeed before the next one fails: geometric.
    fn gap(&mut self) -> u64 {
        let fails = f64::from(self.terms.objective.miss_ppm()) / 2e6;
        let chance = ((self.random() >> 11) as f64 + 1.0) / (1_u64 << 53) as f64;
        (chance.ln() / (1.0 - fails).ln()) as u64
    }

    /// `SplitMix64`.
    fn random(&mut self) -> u64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.chance;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn millis(span: Duration) -> u64 {
    span.as_millis() as u64
}
