//! Budgets against the rules as they are written: a list of runs, every number recomputed from it,
//! ratios as fractions.

use std::collections::BTreeSet;

use burngate::gate::budget::Objective;
use burngate::gate::budget::posture::{Posture, Recovery};
use burngate::gate::event::{Effect, Event};
use burngate::gate::outcome::FailureMode;
use burngate::gate::risk::Tier;
use burngate::gate::run::Mark;
use burngate::gate::state::State;
use burngate::gate::terms::Terms;
use burngate::gate::time::days;

use crate::world::{
    DAY, HOUR, MINUTE, Rng, START, booked, entry, of, recovered, reported, retracted, revision,
    run, state, tallied, terms, time, worlds,
};

const LOOK_BACKS: [i64; 7] = [
    5 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    6 * HOUR,
    DAY,
    3 * DAY,
];
/// Long, short, percent.
const PAIRS: [(i64, i64, i128); 4] = [
    (HOUR, 5 * MINUTE, 2),
    (6 * HOUR, 30 * MINUTE, 5),
    (DAY, 2 * HOUR, 10),
    (3 * DAY, 6 * HOUR, 10),
];

/// `.0 / .1`, the latter positive.
#[derive(Clone, Copy)]
struct Fraction(i128, i128);

impl Fraction {
    fn at_least(self, other: Fraction) -> bool {
        self.0 * other.1 >= other.0 * self.1
    }

    fn min(self, other: Fraction) -> Fraction {
        if self.at_least(other) { other } else { self }
    }

    fn max(self, other: Fraction) -> Fraction {
        if self.at_least(other) { self } else { other }
    }
}

#[derive(Debug, Clone)]
struct Booked {
    at: i64,
    high: bool,
    excluded: bool,
    modes: BTreeSet<FailureMode>,
}

impl Booked {
    fn is_unacceptable(&self) -> bool {
        !self.excluded && !self.modes.is_empty()
    }

    fn mark(&self) -> Mark {
        match (self.excluded, self.modes.is_empty()) {
            (true, _) => Mark::Excluded,
            (false, true) => Mark::Acceptable,
            (false, false) => Mark::Unacceptable,
        }
    }
}

#[derive(Debug, Clone)]
struct Grounds {
    high: bool,
    since: i64,
    until: i64,
    need: i128,
}

#[derive(Debug, Clone)]
struct Burn {
    at: i64,
    left: Option<i64>,
    voided: bool,
    cause: bool,
    grounds: Option<Grounds>,
    critical: BTreeSet<usize>,
}

/// The rules as they are written.
struct Model {
    now: i64,
    objective: Objective,
    automatic: bool,
    runs: Vec<Booked>,
    posture: Posture,
    since: i64,
    /// A probation used up counts as an entry for the day that a burn lasts at least.
    settles_from: i64,
    counts_from: i64,
    last_recovery: Option<i64>,
    probation: Option<(i64, i64)>,
    burns: Vec<Burn>,
}

#[derive(Default, Clone, Copy)]
struct Added {
    all: bool,
    high: bool,
    full: bool,
    full_high: bool,
    critical: bool,
}

impl Model {
    fn miss(&self) -> i128 {
        i128::from(1_000_000 - self.objective.target_ppm)
    }

    fn window(&self) -> i64 {
        self.objective.window.as_millis() as i64
    }

    fn count(&self, high: bool, since: i64) -> (i128, i128) {
        let counted = || {
            self.runs
                .iter()
                .filter(|run| !run.excluded && run.at >= since && (run.high || !high))
        };
        (
            counted().count() as i128,
            counted().filter(|run| run.is_unacceptable()).count() as i128,
        )
    }

    /// Where the window begins: whole UTC hours, the current one included.
    fn window_start(&self) -> i64 {
        self.now.div_euclid(HOUR) * HOUR + HOUR - self.window()
    }

    fn look_back_start(&self, span: i64) -> i64 {
        self.now.div_euclid(MINUTE) * MINUTE + MINUTE - span
    }

    /// N and B of the budget.
    fn books(&self, high: bool) -> (i128, i128) {
        self.count(high, self.window_start().max(self.counts_from))
    }

    /// allowed = max(2, (1 − target) × max(N, expected_runs)), or max(3, (1 − target) × its own N).
    fn allowed(&self, high: bool) -> Fraction {
        let expected = i128::from(self.objective.expected_runs);
        let n = self.books(high).0;
        if high {
            return Fraction(3, 1).max(Fraction(self.miss() * n, 1_000_000));
        }
        let n = if self.objective.expected_written {
            n.min(2 * expected)
        } else {
            n
        };
        Fraction(2, 1).max(Fraction(self.miss() * n.max(expected), 1_000_000))
    }

    fn is_spent(&self, high: bool, more: i128) -> bool {
        Fraction(self.books(high).1 + more, 1).at_least(self.allowed(high))
    }

    /// Is remaining = 1 − B / allowed at most that many percent?
    fn remains_at_most(&self, high: bool, percent: i128) -> bool {
        let (allowed, b) = (self.allowed(high), self.books(high).1);
        // 1 − b·d/n ≤ p/100, where allowed = n/d
        Fraction(percent, 100).at_least(Fraction(allowed.0 - b * allowed.1, allowed.0))
    }

    fn in_force(&self, (long, _, percent): (i64, i64, i128)) -> bool {
        let threshold = Fraction(percent * i128::from(self.window()), 100 * i128::from(long))
            .min(Fraction(1_000_000, 2 * self.miss()));
        10 * long <= self.window() && threshold.at_least(Fraction(1, 1))
    }

    fn fires(&self, high: bool, pair: (i64, i64, i128), at_least: i128) -> bool {
        let (long, short, percent) = pair;
        let whole = i128::from(self.window());
        let threshold = Fraction(percent * whole, 100 * i128::from(long))
            .min(Fraction(1_000_000, 2 * self.miss()));
        let expected = if high {
            0
        } else {
            i128::from(self.objective.expected_runs)
        };
        let reaches = |span: i64| {
            let (n, b) = self.count(high, self.look_back_start(span).max(self.counts_from));
            let size = Fraction(n, 1).max(Fraction(expected * i128::from(span), whole));
            b > 0 && Fraction(b * 1_000_000 * size.1, self.miss() * size.0).at_least(threshold)
        };
        self.in_force(pair)
            && self
                .count(high, self.look_back_start(long).max(self.counts_from))
                .1
                >= at_least
            && reaches(long)
            && reaches(short)
    }

    fn is_breach(&self, n: i128, b: i128) -> bool {
        let evidence = &self.objective.evidence;
        // Past the tables the approximation is the rule; how close it is has a test of its own.
        let largest = |b: usize| {
            evidence.breach.get(b).map_or_else(
                || evidence.is_breach(self.miss() as u32, n as u64, b as u64),
                |largest| n as u64 <= *largest,
            )
        };
        b >= 3
            && Fraction(b, n).at_least(Fraction(3 * self.miss(), 2_000_000))
            && largest(b as usize)
    }

    fn enters(&self, added: Added) -> Option<(Posture, Option<Grounds>)> {
        for (high, added) in [(false, added.full), (true, added.full_high)] {
            let (n, b) = self.count(high, self.window_start());
            if added && self.is_breach(n, b) {
                let need = (0..=b)
                    .rev()
                    .take_while(|b| self.is_breach(n, *b))
                    .last()
                    .unwrap();
                return Some((
                    Posture::Breached,
                    Some(Grounds {
                        high,
                        since: self.window_start(),
                        until: self.now,
                        need,
                    }),
                ));
            }
        }
        if added.critical {
            return Some((Posture::Burned, None));
        }
        for (high, added) in [(false, added.all), (true, added.high)] {
            if added && self.is_spent(high, 0) {
                let allowed = self.allowed(high);
                let need = (allowed.0 + allowed.1 - 1) / allowed.1;
                return Some((
                    Posture::Burned,
                    Some(Grounds {
                        high,
                        since: self.window_start().max(self.counts_from),
                        until: self.now,
                        need,
                    }),
                ));
            }
        }
        let pair = PAIRS.into_iter().find(|pair| self.in_force(*pair))?;
        for (high, added) in [(false, added.all), (true, added.high)] {
            if added && self.fires(high, pair, 5) {
                let since = self.look_back_start(pair.0).max(self.counts_from);
                return Some((
                    Posture::Burned,
                    Some(Grounds {
                        high,
                        since,
                        until: self.now,
                        need: self.need_to_fire(high, pair),
                    }),
                ));
            }
        }
        None
    }

    /// The fewest failures of the long look-back with which the pair would still fire.
    fn need_to_fire(&self, high: bool, (long, _, percent): (i64, i64, i128)) -> i128 {
        let whole = i128::from(self.window());
        let threshold = Fraction(percent * whole, 100 * i128::from(long))
            .min(Fraction(1_000_000, 2 * self.miss()));
        let (n, b) = self.count(high, self.look_back_start(long).max(self.counts_from));
        let expected = if high {
            0
        } else {
            i128::from(self.objective.expected_runs)
        };
        let size = Fraction(n, 1).max(Fraction(expected * i128::from(long), whole));
        (5..=b)
            .find(|b| Fraction(b * 1_000_000 * size.1, self.miss() * size.0).at_least(threshold))
            .unwrap()
    }

    fn rests(&self) -> Posture {
        let near = |high| {
            self.remains_at_most(high, 25) || (self.books(high).1 > 0 && self.is_spent(high, 1))
        };
        let fast = |high| PAIRS.into_iter().any(|pair| self.fires(high, pair, 2));
        if near(false) || near(true) || fast(false) || fast(true) {
            Posture::AtRisk
        } else {
            Posture::Healthy
        }
    }

    fn set(&mut self, posture: Posture) {
        if posture != self.posture {
            (self.posture, self.since, self.settles_from) = (posture, self.now, self.now);
        }
    }

    fn is_on(&self) -> bool {
        self.posture >= Posture::Burned
    }

    fn leave(&mut self) {
        let now = self.now;
        if let Some(burn) = self.burns.last_mut().filter(|burn| burn.left.is_none()) {
            burn.left = Some(now);
        }
        self.set(self.rests());
    }

    fn stands(&self, run: usize) -> bool {
        self.runs[run].is_unacceptable()
            && self.runs[run]
                .modes
                .iter()
                .any(|mode| self.objective.critical.contains(mode))
    }

    fn void_what_is_void(&mut self) {
        for index in 0..self.burns.len() {
            let burn = &self.burns[index];
            let critical = burn.critical.iter().any(|run| self.stands(*run));
            let holds = match &burn.grounds {
                Some(grounds) => {
                    let failed = self
                        .runs
                        .iter()
                        .filter(|run| run.is_unacceptable() && (run.high || !grounds.high));
                    failed
                        .filter(|run| run.at >= grounds.since && run.at <= grounds.until)
                        .count() as i128
                        >= grounds.need
                }
                None => critical,
            };
            if burn.voided || holds {
                continue;
            }
            if burn.left.is_some() {
                self.burns[index].voided = !critical;
                continue;
            }
            let everything = Added {
                all: true,
                high: true,
                full: true,
                full_high: true,
                critical: false,
            };
            if let Some((posture, grounds)) = self.enters(everything) {
                self.burns[index].grounds = grounds;
                self.set(posture.min(self.posture));
            } else if critical {
                self.burns[index].grounds = None;
                self.set(Posture::Burned);
            } else {
                self.burns[index].voided = true;
                self.probation = None;
                self.leave();
            }
        }
    }

    fn judge(&mut self, added: Added) {
        if let Some((posture, grounds)) = self
            .enters(added)
            .filter(|(posture, _)| *posture > self.posture)
        {
            let is_entry = !self.is_on();
            self.probation = None;
            self.set(posture);
            let since_recovery = self
                .last_recovery
                .map(|from| self.count(false, self.window_start().max(from)).1);
            let continues = self.burns.last().is_some_and(|last| {
                let soon = !last.voided && last.left.is_some_and(|left| self.now - left < DAY);
                soon || since_recovery == Some(0)
            });
            if is_entry && !continues {
                self.burns.push(Burn {
                    at: self.now,
                    left: None,
                    voided: false,
                    cause: false,
                    grounds,
                    critical: BTreeSet::new(),
                });
            } else {
                let last = self.burns.last_mut().unwrap();
                last.cause &= !is_entry;
                (last.left, last.voided, last.grounds) = (None, false, grounds);
            }
            return;
        }
        if let Some((from, until)) = self.probation {
            let tenth = |allowed: Fraction| Fraction(allowed.0, 10 * allowed.1).max(Fraction(1, 1));
            let used_up = [false, true].into_iter().any(|high| {
                Fraction(self.count(high, from).1, 1).at_least(tenth(self.allowed(high)))
            });
            if added.critical || ((added.full || added.full_high) && used_up) {
                (self.probation, self.settles_from) = (None, self.now);
            } else if self.now >= until {
                self.probation = None;
                self.counts_from = from;
                self.leave();
            }
            return;
        }
        match self.posture {
            Posture::Breached => {}
            Posture::Burned => {
                let cause = self.automatic
                    || self
                        .burns
                        .last()
                        .is_some_and(|burn| burn.left.is_none() && burn.cause);
                let has_recovered =
                    |high| !self.remains_at_most(high, 10) && !self.is_spent(high, 1);
                if cause
                    && self.now - self.settles_from >= DAY
                    && has_recovered(false)
                    && has_recovered(true)
                {
                    self.leave();
                }
            }
            Posture::Healthy | Posture::AtRisk => self.set(self.rests()),
        }
    }

    fn pass(&mut self, until: i64) {
        let edges_of = |run: &Booked| {
            let minute = run.at.div_euclid(MINUTE) * MINUTE;
            let hour = run.at.div_euclid(HOUR) * HOUR;
            LOOK_BACKS
                .map(|span| minute + span)
                .into_iter()
                .chain([hour + self.window()])
        };
        let mut edges: BTreeSet<i64> = self
            .runs
            .iter()
            .flat_map(edges_of)
            .filter(|at| *at > self.now && *at <= until)
            .collect();
        loop {
            let special = [
                self.probation.map(|(_, until)| until),
                (self.posture == Posture::Burned).then_some(self.settles_from + DAY),
            ];
            edges.extend(
                special
                    .into_iter()
                    .flatten()
                    .filter(|at| *at > self.now && *at <= until),
            );
            let Some(at) = edges.pop_first() else { break };
            self.now = at;
            self.judge(Added::default());
        }
        self.now = until;
    }

    /// Changes a run, and says what that added.
    fn revise(&mut self, run: usize, to: Booked) {
        let was = self.runs[run].clone();
        self.runs[run] = to;
        let is = &self.runs[run];
        let gained = is.is_unacceptable() && !was.is_unacceptable();
        let gained_high = is.is_unacceptable() && is.high && !(was.is_unacceptable() && was.high);
        let (full, books) = (
            is.at >= self.window_start(),
            is.at >= self.window_start().max(self.counts_from),
        );
        let new_critical = self.stands(run)
            && (gained
                || is.modes.len() > was.modes.len()
                    && is
                        .modes
                        .difference(&was.modes)
                        .any(|mode| self.objective.critical.contains(mode)));
        let added = Added {
            all: gained && books,
            high: gained_high && books,
            full: gained && full,
            full_high: gained_high && full,
            critical: new_critical && full,
        };
        self.void_what_is_void();
        self.judge(added);
        if added.critical && self.is_on() {
            self.burns.last_mut().unwrap().critical.insert(run);
        }
    }

    fn book(&mut self, run: Booked) {
        let acceptable = Booked {
            modes: BTreeSet::new(),
            excluded: true,
            ..run.clone()
        };
        self.runs.push(acceptable);
        self.revise(self.runs.len() - 1, run);
    }
}

fn some_terms(rng: &mut Rng) -> Terms {
    let target = rng.pick(&[900_000, 950_000, 970_000, 980_000, 995_000]);
    let mut terms = terms(rng.pick(&[Tier::Low, Tier::Medium, Tier::High]), target);
    terms.objective.window = days(rng.pick(&[1, 3, 7, 30, 30, 90]));
    terms.objective.expected_runs = rng.pick(&[1, 20, 100, 100, 400]);
    terms.objective.expected_written = rng.one_in(3);
    terms.recovery = if rng.one_in(2) {
        Recovery::Automatic
    } else {
        Recovery::Cause
    };
    terms
}

fn compare(model: &Model, state: &State) {
    let account = of(state).account();
    let (all, high) = account.balances(&model.objective, time(model.now));
    let seen =
        [all, high].map(|balance| (i128::from(balance.runs), i128::from(balance.unacceptable)));
    assert_eq!(seen, [model.books(false), model.books(true)], "N and B");
    for (high, balance) in [(false, all), (true, high)] {
        let allowed = model.allowed(high);
        assert_eq!(
            balance.allowed.millionths() as i128 * allowed.1,
            allowed.0 * 1_000_000,
            "allowed"
        );
    }
    assert_eq!(
        account.posture(),
        model.posture,
        "posture; {:?} {:?}",
        seen,
        account.burns().last()
    );
    assert_eq!(
        account
            .probation()
            .map(|probation| (probation.from, probation.until)),
        model
            .probation
            .map(|(from, until)| (time(from), time(until)))
    );
    let burns: Vec<_> = account
        .burns()
        .iter()
        .map(|burn| (burn.at, burn.left, burn.voided))
        .collect();
    let expected: Vec<_> = model
        .burns
        .iter()
        .map(|burn| (time(burn.at), burn.left.map(time), burn.voided))
        .collect();
    assert_eq!(burns, expected, "burns");
    assert_eq!(
        account.since(),
        if model.since == 0 {
            time(0)
        } else {
            time(model.since)
        }
    );
}

/// Gives the fold one event. No burn opens inside another.
fn apply(state: &mut State, now: i64, event: &Event) {
    let before = of(state).account().posture();
    let effects = state.apply(&entry(now, event.clone()));
    let opens = effects
        .iter()
        .any(|entry| entry.event == Event::Followed(Effect::BurnOpened));
    assert!(!opens || before < Posture::Burned);
}

/// The run turns out to have executed a `high` call, or is taken out of the counts, or put back.
fn raise_or_exclude(
    rng: &mut Rng,
    model: &mut Model,
    state: &mut State,
    index: usize,
) -> (Event, bool) {
    let before = model.runs[index].clone();
    if before.is_unacceptable() && !before.high && rng.one_in(2) {
        let event = Event::BookedHigh {
            run: run(index as u64),
            booked_at: time(before.at),
        };
        apply(state, model.now, &event);
        model.revise(
            index,
            Booked {
                high: true,
                ..before
            },
        );
        return (event, true);
    }
    let after = Booked {
        excluded: !before.excluded,
        ..before.clone()
    };
    let revision = revision(
        index as u64,
        before.at,
        before.high,
        before.mark(),
        after.mark(),
    );
    let adds = before.excluded;
    let event = if adds {
        Event::Reinstated {
            revision,
            by: "ada".into(),
        }
    } else {
        Event::Excluded {
            revision,
            reason: "an incident".into(),
            reference: None,
            by: "ada".into(),
        }
    };
    apply(state, model.now, &event);
    model.revise(index, after);
    (event, adds)
}

/// One random event, given to both.
fn happen(rng: &mut Rng, model: &mut Model, state: &mut State) -> (Event, bool) {
    let now = model.now;
    let fails = |mode: FailureMode| BTreeSet::from([mode]);
    let mode = if rng.one_in(8) {
        FailureMode::MissedEscalation
    } else {
        FailureMode::WrongAction
    };
    let high = rng.one_in(3);
    let chosen = (!model.runs.is_empty()).then(|| rng.below(model.runs.len() as u64) as usize);
    let id = model.runs.len() as u64;
    let apply = |state: &mut State, event: &Event| apply(state, now, event);
    match (rng.below(12), chosen) {
        (0..=3, _) => {
            let (runs, idle) = (1 + rng.below(12), rng.below(3));
            let high = rng.below(runs + 1);
            let event = tallied(now, runs, high, idle);
            apply(state, &event);
            let minute = now.div_euclid(MINUTE) * MINUTE;
            for n in 0..runs {
                model.runs.push(Booked {
                    at: minute,
                    high: n < high,
                    excluded: false,
                    modes: BTreeSet::new(),
                });
            }
            model.judge(Added::default());
            (event, false)
        }
        (4..=6, _) | (_, None) => {
            let event = booked(id, high, mode.clone());
            apply(state, &event);
            model.book(Booked {
                at: now,
                high,
                excluded: false,
                modes: fails(mode),
            });
            (event, true)
        }
        (7, Some(_)) => {
            let event = recovered(days(rng.pick(&[1, 2, 7, 20])), None);
            let Event::Recovered { lasts, .. } = &event else {
                unreachable!()
            };
            apply(state, &event);
            if model.is_on() && model.probation.is_none() {
                model.burns.last_mut().unwrap().cause = true;
                model.last_recovery = Some(now + 1);
                model.probation = Some((now + 1, now + lasts.as_millis() as i64));
            }
            (event, false)
        }
        (8 | 9, Some(index)) => {
            let before = model.runs[index].clone();
            let mut after = before.clone();
            let adds = after.modes.insert(mode.clone());
            if !adds || before.excluded {
                return (Event::Stopped, false);
            }
            let revision = revision(
                index as u64,
                before.at,
                before.high,
                before.mark(),
                after.mark(),
            );
            let event = reported(revision, &mode);
            apply(state, &event);
            model.revise(index, after);
            (event, true)
        }
        (10, Some(index)) => {
            let before = model.runs[index].clone();
            let Some(mode) = before.modes.first().cloned().filter(|_| !before.excluded) else {
                return (Event::Stopped, false);
            };
            let mut after = before.clone();
            after.modes.remove(&mode);
            let revision = revision(
                index as u64,
                before.at,
                before.high,
                before.mark(),
                after.mark(),
            );
            let event = retracted(revision, mode);
            apply(state, &event);
            model.revise(index, after);
            (event, false)
        }
        (_, Some(index)) => raise_or_exclude(rng, model, state, index),
    }
}

#[test]
fn posture_is_what_the_rules_say() {
    worlds("budget::posture_is_what_the_rules_say", 600, |rng| {
        let terms = some_terms(rng);
        let mut state = state(terms.clone());
        let mut model = Model {
            now: START,
            automatic: terms.recovery == Recovery::Automatic,
            objective: terms.objective,
            runs: Vec::new(),
            posture: Posture::Healthy,
            since: 0,
            settles_from: 0,
            counts_from: 0,
            last_recovery: None,
            probation: None,
            burns: Vec::new(),
        };
        let pace = rng.pick(&[0, 1, 2, 3]);
        let mut log = Vec::new();
        for _ in 0..rng.below(90) {
            let gap = match pace + rng.pick(&[0, 0, 0, 1, 2]) {
                0 => rng.within(0, 3 * MINUTE),
                1 => rng.within(0, HOUR),
                2 => rng.within(0, 8 * HOUR),
                3 => rng.within(0, 30 * HOUR),
                _ => rng.within(0, 12) * DAY + rng.pick(&[-1, 0, 1]).max(0),
            };
            let before = model.posture;
            let until = model.now + gap;
            model.pass(until);
            let followed = state.advance(time(until));
            let enters = |entry: &burngate::gate::event::Entry| matches!(&entry.event, Event::Followed(Effect::PostureChanged { to, .. }) if *to >= Posture::Burned);
            assert!(
                !followed.iter().any(enters),
                "time alone enters neither burned nor breached"
            );
            let context =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| compare(&model, &state)));
            assert!(context.is_ok(), "after {gap} ms in {before}; {log:?}");
            let was = model.posture;
            let (event, adds) = happen(rng, &mut model, &mut state);
            log.push((model.now - START, event.kind().name()));
            let context =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| compare(&model, &state)));
            assert!(context.is_ok(), "after {event:?} in {was}; {log:?}");
            assert!(
                adds || model.posture < Posture::Burned || model.posture <= was,
                "{event:?} entered {}",
                model.posture
            );
        }
    });
}

#[test]
fn ten_thousand_idle_runs_after_a_burn_change_nothing() {
    worlds("budget::ten_thousand_idle", 20, |rng| {
        let mut state = state(some_terms(rng));
        let mut id = 0;
        while of(&state).account().posture() < Posture::Burned {
            state.apply(&entry(
                START + id as i64,
                booked(id, false, FailureMode::WrongAction),
            ));
            id += 1;
        }
        let at = START + id as i64;
        let before = of(&state).status();
        assert!(
            state
                .apply(&entry(at, tallied(at, 0, 0, 10_000)))
                .is_empty()
        );
        for _ in 0..100 {
            assert!(state.apply(&entry(at, tallied(at, 0, 0, 100))).is_empty());
        }
        let after = of(&state).status();
        assert_eq!(
            (before.posture, before.all, before.high, before.remaining),
            (after.posture, after.all, after.high, after.remaining)
        );
    });
}

#[test]
fn time_that_runs_backwards_forgives_nothing() {
    worlds("budget::time_that_runs_backwards", 200, |rng| {
        let mut state = state(some_terms(rng));
        let mut at = START;
        for id in 0..30 {
            at += rng.within(0, 5 * HOUR);
            state.apply(&entry(
                at,
                booked(id, rng.one_in(2), FailureMode::WrongAction),
            ));
            let (posture, remaining) = (
                of(&state).account().posture(),
                of(&state).status().remaining,
            );
            let back = at - rng.within(0, 100 * DAY);
            assert!(
                state.advance(time(back)).is_empty(),
                "nothing follows from a clock that steps back"
            );
            assert_eq!(state.now(), time(at));
            state.apply(&entry(back, tallied(back, 0, 0, 1)));
            assert_eq!(of(&state).account().posture(), posture);
            assert_eq!(of(&state).status().remaining, remaining);
        }
    });
}
