//! Watches every tool API for incidents.
//!
//! It costs a call nothing: calls are counted by verdict anyway, a failure is counted once more,
//! and as long as nothing fails neither count is read. Only then the counts are read once in every
//! sweep, and the API's detector counts what they grew by.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::workflow::VerdictCounts;
use crate::gate::event::Event;
use crate::gate::incident::{Detector, Incident, IncidentTurn, Incidents, MINUTES};
use crate::gate::name::{ApiName, ToolName, WorkflowName};
use crate::gate::time::{Time, minutes};
use crate::gate::verdict::Verdict;
use crate::ids;

/// A tool that a workflow calls, and how its calls did.
type ToolCounts = (WorkflowName, ToolName, Arc<VerdictCounts>);

/// What is known of the incidents of tool APIs.
#[derive(Debug, Default)]
pub(super) struct IncidentWatch(Mutex<WatchState>);

#[derive(Debug, Default)]
struct WatchState {
    incidents: Incidents,
    detectors: BTreeMap<ApiName, Detector>,
    /// Calls and failures at the last look; empty while nothing fails.
    last_counts: BTreeMap<(WorkflowName, ToolName), (u64, u64)>,
    /// Failures of the whole process at the last look.
    failures: u64,
    /// Nothing is known of the time before.
    known_since: Time,
}

impl IncidentWatch {
    pub(super) fn of(incidents: &Incidents, known_since: Time) -> Self {
        IncidentWatch(Mutex::new(WatchState {
            incidents: incidents.clone(),
            known_since,
            ..WatchState::default()
        }))
    }

    /// The incidents that are remembered, oldest first.
    pub(super) fn incidents(&self) -> Vec<Incident> {
        self.lock().incidents.iter().cloned().collect()
    }

    /// Looks at what failed since the last look: `failures` in the whole process, of which `counts`
    /// says where. `enter` is given what opens and closes an incident.
    pub(super) fn look(
        &self,
        now: Time,
        failures: u64,
        counts: impl FnOnce() -> Vec<ToolCounts>,
        mut enter: impl FnMut(Event),
    ) {
        let mut state = self.lock();
        if state.last_counts.is_empty()
            && state.failures == failures
            && state
                .incidents
                .iter()
                .all(|incident| incident.closed.is_some())
        {
            return;
        }
        state.failures = failures;
        state.count(&counts(), now);
        for event in state.judge(now) {
            state.incidents.apply(now, &event);
            // A fact, written in the end; until then it is known here.
            enter(event);
        }
    }

    fn lock(&self) -> MutexGuard<'_, WatchState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WatchState {
    fn count(&mut self, counts: &[ToolCounts], now: Time) {
        for (workflow, tool, counts) in counts {
            let (calls, failures) = (counts.get(Verdict::Allow), counts.failures());
            let before = self
                .last_counts
                .insert((workflow.clone(), tool.clone()), (calls, failures))
                .unwrap_or_default();
            let (calls, failures) = (
                calls.saturating_sub(before.0),
                failures.saturating_sub(before.1),
            );
            if calls > 0 || failures > 0 {
                // A call that a rule in shadow let pass is counted under that rule's verdict.
                self.detectors
                    .entry(ApiName::from(tool.api()))
                    .or_default()
                    .count(now, workflow, calls.max(failures), failures);
            }
        }
    }

    fn judge(&mut self, now: Time) -> Vec<Event> {
        let mut events = Vec::new();
        for (api, detector) in &self.detectors {
            if let Some(IncidentTurn::Opens {
                since,
                calls,
                failures,
            }) = detector.judge(now, self.incidents.open(api.as_str()).is_some())
            {
                events.push(Event::IncidentOpened {
                    incident: ids::incident(),
                    api: api.clone(),
                    since,
                    calls,
                    failures,
                });
            }
        }
        // After a restart nothing is known of the minutes before: an incident is closed by minutes
        // that were seen.
        let is_observed = now.since(self.known_since) >= minutes(u64::from(MINUTES) + 1);
        for open in self
            .incidents
            .iter()
            .filter(|incident| is_observed && incident.closed.is_none())
        {
            let silent = Detector::default();
            if self
                .detectors
                .get(&open.api)
                .unwrap_or(&silent)
                .judge(now, true)
                == Some(IncidentTurn::Closes)
            {
                events.push(Event::IncidentClosed {
                    incident: open.incident,
                });
            }
        }
        self.detectors.retain(|_, detector| !detector.is_quiet(now));
        if self.detectors.is_empty() {
            self.last_counts.clear();
        }
        events
    }
}
