//! When a tool API is broken, and not the workflows that call it.
//!
//! Decides by whole minutes: an incident opens when, in five of them in a row, at least half of the
//! API's calls failed, and over the five at least half of those of two workflows or more; it closes
//! after five in a row in which fewer did. It is given counts and a time; counting calls, and what
//! is done about an incident, is decided elsewhere. An incident changes no budget by itself: the
//! failures are booked, and are an operator's to exclude.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::event::Event;
use super::name::{ApiName, IncidentId, WorkflowName};
use super::outcome::{FailureMode, Source};
use super::run::Charge;
use super::time::{Minute, Time};

/// How many bad minutes in a row open an incident, and how many good ones close it.
pub const MINUTES: u8 = 5;
/// The fewest calls in those minutes that can be an incident.
pub const MIN_CALLS: u64 = 10;
/// The most workflows that are counted separately in a minute. Calls of later ones count among all
/// calls only: two failing workflows are enough for an incident.
const MAX_TOLD_WORKFLOWS: usize = 64;
/// The most incidents that are kept in memory; the journal has all of them.
pub const MAX_REMEMBERED: usize = 200;

/// An incident of a tool API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its id.
    pub incident: IncidentId,
    /// The API.
    pub api: ApiName,
    /// The beginning of the first minute that was bad.
    pub since: Time,
    /// When it opened.
    pub opened: Time,
    /// When it closed; `None` while it is open.
    pub closed: Option<Time>,
    /// Calls in the minutes that opened it.
    pub calls: u64,
    /// How many of those failed.
    pub failures: u64,
}

impl Incident {
    /// Is this charge one of its failures? Seen on the wire, of a call of its API that was judged
    /// at `at`, while it lasted. Those of the minutes that opened it are.
    #[must_use]
    pub fn has(&self, charge: &Charge, at: Time) -> bool {
        let is_of_api = charge
            .tool
            .as_ref()
            .is_some_and(|tool| tool.api() == self.api.as_str());
        let in_time = self.since <= at && self.closed.is_none_or(|closed| at < closed);
        charge.source == Source::Wire && is_failure(&charge.mode) && is_of_api && in_time
    }
}

/// Is it a failure that an API can be the cause of?
#[must_use]
pub const fn is_failure(mode: &FailureMode) -> bool {
    matches!(mode, FailureMode::Timeout | FailureMode::ToolError)
}

/// The incidents that are remembered, oldest first: part of the fold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incidents(VecDeque<Incident>);

impl Incidents {
    /// Every one, oldest first.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Incident> {
        self.0.iter()
    }

    /// The one that is open for `api`.
    #[must_use]
    pub fn open(&self, api: &str) -> Option<&Incident> {
        self.0
            .iter()
            .find(|incident| incident.closed.is_none() && incident.api.as_str() == api)
    }

    /// The one with this id.
    #[must_use]
    pub fn get(&self, id: IncidentId) -> Option<&Incident> {
        self.0.iter().find(|incident| incident.incident == id)
    }

    /// Applies an event that opens or closes one.
    pub fn apply(&mut self, at: Time, event: &Event) {
        match event {
            Event::IncidentOpened {
                incident,
                api,
                since,
                calls,
                failures,
            } if self.get(*incident).is_none() => {
                if self.0.len() >= MAX_REMEMBERED {
                    // An open one is forgotten last.
                    let oldest = self
                        .0
                        .iter()
                        .position(|incident| incident.closed.is_some())
                        .unwrap_or(0);
                    self.0.remove(oldest);
                }
                let (calls, failures) = (*calls, *failures);
                self.0.push_back(Incident {
                    incident: *incident,
                    api: api.clone(),
                    since: *since,
                    opened: at,
                    closed: None,
                    calls,
                    failures,
                });
            }
            Event::IncidentClosed { incident } => {
                if let Some(open) = self
                    .0
                    .iter_mut()
                    .find(|open| open.incident == *incident && open.closed.is_none())
                {
                    open.closed = Some(at);
                }
            }
            _ => {}
        }
    }
}

/// What the minutes of one API say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IncidentTurn {
    /// An incident is to be opened.
    Opens {
        /// The beginning of the first bad minute.
        since: Time,
        /// Calls in those minutes.
        calls: u64,
        /// How many failed.
        failures: u64,
    },
    /// The open one is to be closed.
    Closes,
}

/// Counts of one API, by whole minutes, no more of them than are judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Detector(VecDeque<ApiMinute>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct ApiMinute {
    minute: Minute,
    calls: u64,
    failures: u64,
    /// Calls and failures by workflow.
    by: BTreeMap<WorkflowName, (u64, u64)>,
}

impl ApiMinute {
    const fn is_bad(&self) -> bool {
        most_failed(self.calls, self.failures)
    }
}

/// At least half failed.
const fn most_failed(calls: u64, failures: u64) -> bool {
    calls > 0 && failures.saturating_mul(2) >= calls
}

impl Detector {
    /// `calls` of `workflow` ended in the minute of `at`, `failures` of them failed.
    pub fn count(&mut self, at: Time, workflow: &WorkflowName, calls: u64, failures: u64) {
        let minute = at.minute();
        let failures = failures.min(calls);
        let bucket = match self.0.back_mut() {
            // A call dated before the latest minute counts in that minute: time never goes back.
            Some(last) if last.minute >= minute => last,
            Some(_) | None => {
                if self.0.len() > usize::from(MINUTES) {
                    self.0.pop_front();
                }
                self.0.push_back_mut(ApiMinute {
                    minute,
                    calls: 0,
                    failures: 0,
                    by: BTreeMap::new(),
                })
            }
        };
        bucket.calls = bucket.calls.saturating_add(calls);
        bucket.failures = bucket.failures.saturating_add(failures);
        if bucket.by.len() < MAX_TOLD_WORKFLOWS || bucket.by.contains_key(workflow) {
            let by = bucket.by.entry(workflow.clone()).or_default();
            *by = (by.0.saturating_add(calls), by.1.saturating_add(failures));
        }
    }

    /// What the whole minutes before `now` say, where an incident is open or not.
    #[must_use]
    pub fn judge(&self, now: Time, is_open: bool) -> Option<IncidentTurn> {
        let Minute(this) = now.minute();
        let first = this.saturating_sub(i64::from(MINUTES));
        let judged = || {
            self.0
                .iter()
                .filter(|bucket| (first..this).contains(&bucket.minute.0))
        };
        if is_open {
            return judged()
                .all(|bucket| !bucket.is_bad())
                .then_some(IncidentTurn::Closes);
        }
        let calls: u64 = judged().map(|bucket| bucket.calls).sum();
        let failures: u64 = judged().map(|bucket| bucket.failures).sum();
        let mut by: BTreeMap<&WorkflowName, (u64, u64)> = BTreeMap::new();
        for (workflow, (calls, failures)) in judged().flat_map(|bucket| &bucket.by) {
            let sum = by.entry(workflow).or_default();
            *sum = (
                sum.0.saturating_add(*calls),
                sum.1.saturating_add(*failures),
            );
        }
        let failing = by
            .values()
            .filter(|(calls, failures)| most_failed(*calls, *failures))
            .count();
        let throughout =
            judged().count() == usize::from(MINUTES) && judged().all(ApiMinute::is_bad);
        (throughout && calls >= MIN_CALLS && failing >= 2).then(|| IncidentTurn::Opens {
            since: Minute(first).start(),
            calls,
            failures,
        })
    }

    /// Has nothing failed in any minute that will be judged yet?
    #[must_use]
    pub fn is_quiet(&self, now: Time) -> bool {
        let Minute(this) = now.minute();
        self.0.iter().all(|bucket| {
            bucket.failures == 0 || bucket.minute.0.saturating_add(i64::from(MINUTES)) < this
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn at(minute: i64) -> Time {
        Time::from_millis(1_000 * MINUTE + minute * MINUTE)
    }

    fn detector(minutes: &[(u64, u64)], workflows: &[&str]) -> Detector {
        let mut detector = Detector::default();
        for (minute, (calls, failures)) in (0..).zip(minutes) {
            let name = workflows[usize::try_from(minute).unwrap() % workflows.len()];
            detector.count(at(minute), &name.into(), *calls, *failures);
        }
        detector
    }

    fn opens(minutes: &[(u64, u64)], workflows: &[&str]) -> bool {
        matches!(
            detector(minutes, workflows).judge(at(i64::try_from(minutes.len()).unwrap()), false),
            Some(IncidentTurn::Opens { .. })
        )
    }

    #[test]
    fn five_minutes_in_which_half_fails_across_two_workflows_open_an_incident() {
        assert!(opens(&[(4, 2); 5], &["a", "b"]));
        assert!(!opens(&[(4, 2); 4], &["a", "b"]), "four minutes");
        assert!(!opens(&[(4, 2); 5], &["a"]), "one workflow");
        let mut one = detector(&[(8, 8); 5], &["a"]);
        (0..5).for_each(|minute| one.count(at(minute), &"b".into(), 3, 1));
        assert_eq!(
            one.judge(at(5), false),
            None,
            "one workflow, beside another that is well"
        );
        assert!(
            !opens(&[(100, 49), (4, 4), (4, 4), (4, 4), (4, 4)], &["a", "b"]),
            "a minute in which fewer than half failed"
        );
        assert!(
            !opens(&[(1, 1), (2, 2), (2, 2), (2, 2), (2, 2)], &["a", "b"]),
            "nine calls"
        );
        assert!(opens(&[(2, 2); 5], &["a", "b"]), "ten calls");
        assert!(
            !opens(&[(9, 9), (9, 9), (0, 0), (9, 9), (9, 9)], &["a", "b"]),
            "a minute without a call says nothing"
        );
    }

    #[test]
    fn so_many_workflows_are_told_apart_and_all_are_counted() {
        let names: Vec<WorkflowName> = (0..=MAX_TOLD_WORKFLOWS)
            .map(|n| format!("w{n}").as_str().into())
            .collect();
        let mut detector = Detector::default();
        for name in names.iter().chain(&names) {
            detector.count(at(0), name, 1, 1);
        }
        let bucket = &detector.0[0];
        assert_eq!(bucket.calls, 2 * (MAX_TOLD_WORKFLOWS as u64 + 1));
        assert_eq!(bucket.by.len(), MAX_TOLD_WORKFLOWS);
        assert_eq!(bucket.by.get(&names[0]), Some(&(2, 2)));
        assert_eq!(bucket.by.get(&names[MAX_TOLD_WORKFLOWS]), None);
    }

    #[test]
    fn an_incident_says_what_opened_it() {
        let detector = detector(
            &[(50, 0), (4, 2), (4, 4), (4, 4), (4, 4), (4, 3)],
            &["a", "b"],
        );
        assert_eq!(
            detector.judge(at(6), false),
            Some(IncidentTurn::Opens {
                since: at(1),
                calls: 20,
                failures: 17
            })
        );
        assert_eq!(
            detector.judge(at(5), false),
            None,
            "the minute that has not ended is not judged"
        );
    }

    #[test]
    fn five_minutes_below_half_close_it() {
        let bad = detector(&[(4, 4), (4, 1), (4, 1), (4, 1), (4, 1), (4, 1)], &["a"]);
        assert_eq!(bad.judge(at(5), true), None);
        assert_eq!(bad.judge(at(6), true), Some(IncidentTurn::Closes));
        assert_eq!(
            detector(&[(4, 4)], &["a"]).judge(at(6), true),
            Some(IncidentTurn::Closes),
            "as do five without a call"
        );
    }

    #[test]
    fn no_more_minutes_are_kept_than_are_judged() {
        let mut detector = detector(&[(9, 9); 100], &["a", "b"]);
        assert_eq!(detector.0.len(), usize::from(MINUTES) + 1);
        detector.count(at(0), &"a".into(), 1, 1);
        assert_eq!(detector.0.len(), usize::from(MINUTES) + 1);
        assert!(!detector.is_quiet(at(104)) && detector.is_quiet(at(105)));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_an_open_incident_is_forgotten_last() {
        let mut incidents = Incidents::default();
        let open = |n: u128| Event::IncidentOpened {
            incident: IncidentId::from_bits(n),
            api: "a".into(),
            since: at(0),
            calls: 10,
            failures: 10,
        };
        incidents.apply(at(5), &open(0));
        for n in 1..=u128::try_from(MAX_REMEMBERED).unwrap() {
            incidents.apply(at(5), &open(n));
            incidents.apply(
                at(6),
                &Event::IncidentClosed {
                    incident: IncidentId::from_bits(n),
                },
            );
        }
        assert_eq!(incidents.iter().count(), MAX_REMEMBERED);
        assert_eq!(
            incidents.open("a").map(|incident| incident.incident),
            Some(IncidentId::from_bits(0))
        );
        assert!(incidents.get(IncidentId::from_bits(1)).is_none());
    }

    #[test]
    fn an_incident_has_the_failures_of_its_api_while_it_lasts() {
        let incident = Incident {
            incident: IncidentId::from_bits(1),
            api: "a".into(),
            since: at(0),
            opened: at(5),
            closed: Some(at(20)),
            calls: 10,
            failures: 10,
        };
        let charge = |mode, source, tool: &str| Charge {
            mode,
            source,
            by: None,
            call: None,
            tool: Some(tool.into()),
            note: None,
            reference: None,
        };
        let timeout = charge(FailureMode::Timeout, Source::Wire, "a/t");
        assert!(incident.has(&timeout, at(0)) && incident.has(&timeout, at(19)));
        assert!(!incident.has(&timeout, at(-1)) && !incident.has(&timeout, at(20)));
        for other in [
            charge(FailureMode::WrongAction, Source::Wire, "a/t"),
            charge(FailureMode::Timeout, Source::Person, "a/t"),
            charge(FailureMode::Timeout, Source::Wire, "b/t"),
        ] {
            assert!(!incident.has(&other, at(1)), "{other:?}");
        }
    }
}
