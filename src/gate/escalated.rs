//! Runs that handed their case to a person, so that a restart of the gate does not give it back to
//! the agent.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::run::RunRef;
use super::time::{Time, days};

/// How long an id is remembered after it escalated.
pub const KEPT: Duration = days(1);
/// The most ids that one workflow remembers. At it the oldest is forgotten: a person has had it
/// longest.
pub const MAX_ESCALATED: usize = 10_000;

/// The ids of runs that escalated, as calls give them, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Escalated(VecDeque<(Time, RunRef)>);

impl Escalated {
    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `run` escalated at `at`.
    pub fn note(&mut self, at: Time, run: &RunRef) {
        self.0
            .retain(|(noted, known)| known != run && at.since(*noted) < KEPT);
        if self.0.len() >= MAX_ESCALATED {
            self.0.pop_front();
        }
        self.0.push_back((at, run.clone()));
    }

    /// Those that are remembered, with when they escalated.
    pub fn iter(&self) -> impl Iterator<Item = &(Time, RunRef)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_remembered_for_a_day_and_the_oldest_leaves_a_full_list() {
        let run = |n: usize| RunRef {
            agent: "a".into(),
            run: format!("r-{n}").into(),
        };
        let at = |hours: u64| Time::from_millis(0).plus(crate::gate::time::hours(hours));
        let known = |escalated: &Escalated| {
            escalated
                .iter()
                .map(|(_, run)| run.run.as_str().to_owned())
                .collect::<Vec<_>>()
        };
        let mut escalated = Escalated::default();
        for (hour, n) in [(0, 0), (1, 1), (2, 0), (24, 2), (25, 3)] {
            escalated.note(at(hour), &run(n));
        }
        assert_eq!(
            known(&escalated),
            ["r-0", "r-2", "r-3"],
            "the second time counts, and r-1 is a day old"
        );
        for n in 0..MAX_ESCALATED {
            escalated.note(at(26), &run(10 + n));
        }
        assert_eq!(
            (known(&escalated).len(), known(&escalated)[0].as_str()),
            (MAX_ESCALATED, "r-10")
        );
    }
}
