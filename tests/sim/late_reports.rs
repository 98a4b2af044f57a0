//! Late facts change the counts where the run was booked, in whatever order they arrive.

use burngate::gate::event::Event;
use burngate::gate::outcome::FailureMode;
use burngate::gate::risk::Tier;
use burngate::gate::run::Mark;
use burngate::gate::run_flags::{RunFlag, RunFlags};
use burngate::gate::time::days;

use crate::world::{
    DAY, HOUR, MINUTE, START, entry, of, revision, state, tallied, terms, time, worlds,
};

#[test]
fn counts_do_not_depend_on_the_order_in_which_late_facts_arrive() {
    worlds("late_reports::", 200, |rng| {
        let mut at = START;
        let mut first = state(terms(Tier::Medium, 970_000));
        let mut runs = Vec::new();
        for id in 0..rng.below(40) {
            at += rng.within(0, 4 * HOUR);
            let high = rng.one_in(3);
            first.apply(&entry(at, tallied(at, 1, u64::from(high), 0)));
            runs.push((id, at, high));
        }
        let now = at + rng.within(0, 20 * DAY);
        // What becomes of each run, step after step.
        let (mut facts, mut last) = (Vec::new(), std::collections::BTreeMap::new());
        for (id, booked, high) in runs {
            let booked_at = booked.div_euclid(MINUTE) * MINUTE;
            let (mut was, mut showed) = (Mark::Acceptable, RunFlags::NONE);
            for _ in 0..rng.below(5) {
                let mode = rng.pick(&[0, 1]);
                let mode = [FailureMode::WrongAction, FailureMode::Timeout][mode].clone();
                let (event, now): (fn(_, _) -> Event, _) = match was {
                    Mark::Acceptable if rng.one_in(3) => (excluded, Mark::Excluded),
                    Mark::Acceptable => (reported, Mark::Unacceptable),
                    Mark::Unacceptable if rng.one_in(2) => (excluded, Mark::Excluded),
                    Mark::Unacceptable => (retracted, Mark::Acceptable),
                    _ => (
                        reinstated,
                        rng.pick(&[Mark::Acceptable, Mark::Unacceptable]),
                    ),
                };
                let shows =
                    RunFlags::from_bits(rng.below(1 << RunFlag::ALL.len()) as u8).counted(now);
                let revision = Revision {
                    flags_were: showed,
                    flags: shows,
                    ..revision(id, booked_at, high, was, now)
                };
                facts.push(event(revision, mode));
                (was, showed) = (now, shows);
            }
            last.insert(id, showed);
        }
        let mut second = first.clone();
        for event in &facts {
            first.apply(&entry(now, event.clone()));
        }
        for index in (1..facts.len()).rev() {
            facts.swap(index, rng.below(index as u64 + 1) as usize);
        }
        for event in &facts {
            second.apply(&entry(now, event.clone()));
        }
        let (first, second) = (of(&first).account(), of(&second).account());
        for span in [1, 7, 30, 90].map(days) {
            assert_eq!(
                first.full_tally(span, time(now)),
                second.full_tally(span, time(now))
            );
        }
        let objective = terms(Tier::Medium, 970_000).objective;
        assert_eq!(
            first.tally(&objective, time(now)),
            second.tally(&objective, time(now))
        );
        let left = first.full_tally(days(90), time(now)).flags;
        for flag in RunFlag::ALL {
            assert_eq!(
                left.get(flag),
                last.values().filter(|shows| shows.has(flag)).count() as u64,
                "{flag:?}"
            );
        }
        assert_eq!(
            first.totals(&objective, time(now)),
            second.totals(&objective, time(now))
        );
        assert_eq!(
            first.burn_rates(&objective, time(now)),
            second.burn_rates(&objective, time(now))
        );
    });
}

type Revision = burngate::gate::event::Revision;

fn reported(revision: Revision, mode: FailureMode) -> Event {
    crate::world::reported(revision, &mode)
}

fn retracted(revision: Revision, mode: FailureMode) -> Event {
    crate::world::retracted(revision, mode)
}

fn excluded(revision: Revision, _: FailureMode) -> Event {
    Event::Excluded {
        revision,
        reason: "an incident".into(),
        reference: None,
        by: "ada".into(),
    }
}

fn reinstated(revision: Revision, _: FailureMode) -> Event {
    Event::Reinstated {
        revision,
        by: "ada".into(),
    }
}
