//! What the rules do over a year: the Monte Carlo table, on the fold itself.

use burngate::gate::event::{Effect, Event};
use burngate::gate::outcome::FailureMode;
use burngate::gate::risk::Tier;
use burngate::gate::time::days;

use crate::world::{DAY, Rng, START, booked, entry, recovered, state, tallied, terms};

struct Row {
    tier: Tier,
    target: u32,
    runs_a_month: u64,
    high_percent: u64,
    /// The true failure rate, in percent of what is allowed.
    fails_percent: u64,
}

struct Year {
    burns: f64,
    breached: u32,
    demoted: u32,
}

/// Simulates `years` workflows for a year each; a person recovers each burn after two days.
///
/// The table does not say how long the probations last. Two days meet all of its rows; the default
/// of seven meets those of good workflows too, and lets bad ones count fewer burns, since a
/// probation that is used up goes on with the burn it came from.
fn simulate(row: &Row, years: u64) -> Year {
    let (mut burns, mut breached, mut demoted) = (0, 0, 0);
    for seed in 0..years {
        let mut rng = Rng::new(seed + 1_000);
        let mut state = state(terms(row.tier, row.target));
        let mut recover_at = None;
        let mut seen = [false; 2];
        let runs = row.runs_a_month * 365 / 30;
        let miss = u64::from(1_000_000 - row.target);
        let fails = miss * row.fails_percent / 100;
        let (mut quiet, mut quiet_high) = (0, 0);
        for id in 0..runs {
            let at = START + (id as i64 * 365 * DAY + rng.within(0, 365 * DAY - 1)) / runs as i64;
            if let Some(due) = recover_at.filter(|due| *due <= at) {
                state.apply(&entry(due, recovered(days(2), None)));
                recover_at = None;
            }
            let high = rng.below(100) < row.high_percent;
            let failed = rng.chance(fails);
            let mut followed = Vec::new();
            if !failed {
                quiet += 1;
                quiet_high += u64::from(high);
            }
            // Acceptable runs wait for the next failure, or a few of their kind.
            if quiet > 0 && (failed || quiet == 8) {
                followed.extend(state.apply(&entry(at, tallied(at, quiet, quiet_high, 0))));
                (quiet, quiet_high) = (0, 0);
            }
            if failed {
                followed
                    .extend(state.apply(&entry(at, booked(id, high, FailureMode::WrongAction))));
            }
            let account = crate::world::of(&state).account();
            for entry in followed {
                match entry.event {
                    Event::Followed(Effect::BurnOpened) => burns += 1,
                    Event::Followed(Effect::PostureChanged {
                        to: burngate::gate::budget::posture::Posture::Breached,
                        ..
                    }) => seen[0] = true,
                    Event::Followed(Effect::Demoted { .. }) => seen[1] = true,
                    _ => {}
                }
            }
            if account.burn().is_some() && account.probation().is_none() && recover_at.is_none() {
                recover_at = Some(at + 2 * DAY);
            }
        }
        breached += u32::from(seen[0]);
        demoted += u32::from(seen[1]);
    }
    Year {
        burns: f64::from(burns) / years as f64,
        breached,
        demoted,
    }
}

fn check(
    name: &str,
    row: &Row,
    burns: std::ops::RangeInclusive<f64>,
    breached: std::ops::RangeInclusive<u32>,
    demoted: std::ops::RangeInclusive<u32>,
) {
    const YEARS: u64 = 40;
    let year = simulate(row, YEARS);
    let percent = |count: u32| count * 100 / YEARS as u32;
    let (breached_in, demoted_in) = (percent(year.breached), percent(year.demoted));
    eprintln!(
        "{name}: {:.2} burns a year, breached in {breached_in}%, demoted in {demoted_in}%",
        year.burns
    );
    assert!(
        burns.contains(&year.burns),
        "{name}: {:.2} burns a year",
        year.burns
    );
    assert!(
        breached.contains(&breached_in),
        "{name}: breached in {breached_in}%"
    );
    assert!(
        demoted.contains(&demoted_in),
        "{name}: demoted in {demoted_in}%"
    );
}

#[test]
fn a_high_workflow_twice_as_good_as_promised() {
    let row = Row {
        tier: Tier::High,
        target: 995_000,
        runs_a_month: 130,
        high_percent: 0,
        fails_percent: 50,
    };
    check("high 99.5% 130 ×½", &row, 0.4..=1.3, 0..=4, 0..=20);
}

#[test]
fn a_high_workflow_four_times_worse() {
    let row = Row {
        tier: Tier::High,
        target: 995_000,
        runs_a_month: 130,
        high_percent: 0,
        fails_percent: 400,
    };
    check("high 99.5% 130 ×4", &row, 11.0..=18.0, 95..=100, 95..=100);
}

#[test]
fn a_medium_workflow_with_high_calls_twice_as_good() {
    let row = Row {
        tier: Tier::Medium,
        target: 970_000,
        runs_a_month: 130,
        high_percent: 30,
        fails_percent: 50,
    };
    check("medium 97% 130 30% high ×½", &row, 1.6..=3.6, 0..=10, 0..=8);
}

#[test]
fn a_medium_workflow_twice_as_bad() {
    let row = Row {
        tier: Tier::Medium,
        target: 970_000,
        runs_a_month: 130,
        high_percent: 30,
        fails_percent: 200,
    };
    check("medium 97% 130 ×2", &row, 15.0..=25.0, 95..=100, 95..=100);
}

#[test]
fn a_busy_medium_workflow_twice_as_good() {
    let row = Row {
        tier: Tier::Medium,
        target: 970_000,
        runs_a_month: 600,
        high_percent: 30,
        fails_percent: 50,
    };
    check("medium 97% 600 ×½", &row, 1.0..=2.8, 0..=8, 0..=5);
}

#[test]
fn a_low_workflow_twice_as_good() {
    let row = Row {
        tier: Tier::Low,
        target: 950_000,
        runs_a_month: 300,
        high_percent: 10,
        fails_percent: 50,
    };
    check("low 95% 300 ×½", &row, 0.7..=1.9, 0..=4, 0..=5);
}
