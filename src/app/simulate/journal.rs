//! Simulates a ledger: replays its own events under other policies.
//!
//! Everything that people did is repeated at its time; the consequences are derived anew and
//! compared with the recorded ones. Calls are judged again by what is on record of them: if a call
//! that was made would have been denied, its run is taken out of what was booked. A run whose modes
//! the new objectives count differently is booked as they say. The same policies give the same
//! consequences, event for event.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::facts::JournalFacts;
use super::report::{Difference, Simulated, TimedEffect};
use super::simulation::{PastCall, ProgressFn, SimulateError, Simulation};
use super::upcoming::{ReplayedRun, Upcoming, UpcomingStep, WorkflowRun};
use crate::api::Moment;
use crate::api::history::ImportFindings;
use crate::gate::event::{Entry, Event, Revision, TalliedMinute};
use crate::gate::name::{RunId, WorkflowName};
use crate::gate::outcome::FailureMode;
use crate::gate::policy::PolicySet;
use crate::gate::policy::facts::RunFacts;
use crate::gate::risk::Risk;
use crate::gate::run::{Charge, Executed, Mark, RunRef};
use crate::gate::terms::Terms;
use crate::gate::time::{Minute, Time, hours};
use crate::gate::verdict::Verdict;
use crate::journal::read::RunView;
use crate::journal::record::CallRecord;
use crate::store::{LedgerPast, OpenError, PastRuns};
use crate::wire::json;

/// Calls of a run lie at most so long before it is booked: a run's longest time, and its lease.
const AHEAD: Duration = hours(3);
/// The most runs that come out differently.
pub const MOST_DIVERTED: usize = 5_000_000;

/// Simulates the ledger in `dir` under `policies`.
pub fn simulate(
    dir: &Path,
    policies: Arc<PolicySet>,
    progress: ProgressFn<'_>,
) -> Result<Simulated, SimulateError> {
    let (version, source) = (
        policies.version.to_string(),
        format!("the journal in {}", dir.display()),
    );
    let past = LedgerPast::of(dir);
    let mut replay = Replay {
        facts: JournalFacts::of(&past)?,
        ..Replay::new(policies, past.runs()?)
    };
    let mut failed = None;
    past.entries(|entry| {
        progress(1);
        if failed.is_none() {
            failed = replay.entry(entry).err();
        }
    })?;
    match failed {
        Some(error) => Err(error),
        None => Ok(replay.end(version, source)),
    }
}

/// An error where more runs came out differently than can be followed.
fn bounded(diverted: usize) -> Result<(), SimulateError> {
    if diverted > MOST_DIVERTED {
        return Err(SimulateError::TooMany(MOST_DIVERTED));
    }
    Ok(())
}

/// How many entries there are.
pub fn entries(dir: &Path) -> Result<u64, OpenError> {
    LedgerPast::of(dir).rows()
}

struct Replay {
    simulation: Option<Simulation>,
    policies: Arc<PolicySet>,
    facts: JournalFacts,
    runs: PastRuns,
    read_until: Option<Time>,
    upcoming: Upcoming,
    /// Runs whose mark differs from the recorded one; `None` where they were prevented.
    diverted: HashMap<WorkflowRun, Option<Mark>>,
    /// What prevented and otherwise booked runs take out of the tallies of their minutes.
    minus: HashMap<(WorkflowName, Minute), TalliedMinute>,
    /// The terms that were in force.
    real_terms: BTreeMap<WorkflowName, Arc<Terms>>,
    real: BTreeMap<WorkflowName, (Vec<TimedEffect>, Difference)>,
    /// How the ledger began, where one before it was lost.
    began: Option<Event>,
    from: Option<Time>,
    now: Time,
    read: u64,
}

impl Replay {
    fn new(policies: Arc<PolicySet>, runs: PastRuns) -> Self {
        Replay {
            simulation: None,
            policies,
            facts: JournalFacts::default(),
            runs,
            read_until: Some(Time::default()),
            upcoming: Upcoming::default(),
            diverted: HashMap::new(),
            minus: HashMap::new(),
            real_terms: BTreeMap::new(),
            real: BTreeMap::new(),
            began: None,
            from: None,
            now: Time::default(),
            read: 0,
        }
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), SimulateError> {
        self.read += 1;
        let from = *self.from.get_or_insert(entry.at);
        self.now = self.now.max(entry.at);
        if let Event::PolicyAccepted { terms, .. } = &entry.event {
            self.real_terms.clone_from(terms);
            match &mut self.simulation {
                Some(simulation) => simulation.accept(entry.at),
                None => {
                    self.simulation = Some(Simulation::new(
                        Arc::clone(&self.policies),
                        from.max(entry.at),
                        None,
                        self.began.take(),
                    ));
                }
            }
            return Ok(());
        }
        if self.simulation.is_none() && matches!(entry.event, Event::Started { lost: true, .. }) {
            self.began = Some(entry.event.clone());
        }
        self.read_ahead(entry.at)?;
        self.catch_up(entry.at)?;
        let Some(simulation) = &mut self.simulation else {
            return Ok(());
        };
        match (&entry.workflow, &entry.event) {
            (None, event) => simulation.apply_to_all(entry.at, event.clone()),
            (Some(workflow), Event::Followed(effect)) => {
                let (real, _) = self.real.entry(workflow.clone()).or_default();
                real.push(TimedEffect {
                    at: Moment(entry.at),
                    effect: effect.clone(),
                });
                simulation.pass(workflow, entry.at);
            }
            (Some(workflow), event) => {
                simulation.pass(workflow, entry.at);
                self.apply(workflow, entry.at, event);
            }
        }
        Ok(())
    }

    fn apply(&mut self, workflow: &WorkflowName, at: Time, event: &Event) {
        let key = |run: &RunRef| (workflow.clone(), run.clone());
        let event = match event {
            Event::Tallied { cells } => {
                let cells: Vec<TalliedMinute> =
                    cells.iter().map(|cell| self.less(workflow, cell)).collect();
                let count = |of: fn(&TalliedMinute) -> u64| cells.iter().map(of).sum::<u64>();
                let (runs, idle) = (count(|cell| cell.runs), count(|cell| cell.idle));
                if let Some(report) = self
                    .simulation
                    .as_mut()
                    .and_then(|simulation| simulation.report(workflow.as_str()))
                {
                    report.runs += runs;
                    report.idle += idle;
                }
                Event::Tallied { cells }
            }
            Event::Booked {
                run, high, charges, ..
            } => {
                if self.diverted.get(&key(run)) == Some(&None) {
                    return;
                }
                if self.pardons(workflow, charges) {
                    self.diverted.insert(key(run), Some(Mark::Acceptable));
                    if let Some(simulation) = &mut self.simulation {
                        simulation.tally(workflow, at, *high, false);
                    }
                    return;
                }
                if let Some(simulation) = &mut self.simulation {
                    simulation.book(workflow, at, run.clone(), *high, charges.clone());
                }
                return;
            }
            Event::BookedHigh { run, .. } if self.diverted.contains_key(&key(run)) => return,
            Event::Reported { revision, charge } => {
                let counts = self.counts(workflow, &charge.mode);
                let Some(revision) = self.revised(workflow, revision, |was| {
                    if counts && was != Mark::Excluded {
                        Mark::Unacceptable
                    } else {
                        was
                    }
                }) else {
                    return;
                };
                Event::Reported {
                    revision,
                    charge: charge.clone(),
                }
            }
            Event::Retracted { .. } | Event::Excluded { .. } | Event::Reinstated { .. } => {
                let mut event = event.clone();
                let revised = match &mut event {
                    Event::Retracted { revision, .. } => self
                        .revised(workflow, revision, |was| was)
                        .map(|new| *revision = new),
                    Event::Excluded { revision, .. } => self
                        .revised(workflow, revision, |_| Mark::Excluded)
                        .map(|new| *revision = new),
                    Event::Reinstated { revision, .. } => {
                        let recorded = revision.now;
                        self.revised(workflow, revision, |_| recorded)
                            .map(|new| *revision = new)
                    }
                    _ => None,
                };
                if revised.is_none() {
                    return;
                }
                event
            }
            Event::Promoted { .. } | Event::StepTaken { .. } => {
                if let Some(report) = self
                    .simulation
                    .as_mut()
                    .and_then(|simulation| simulation.report(workflow.as_str()))
                {
                    report.promotions += 1;
                }
                event.clone()
            }
            other => other.clone(),
        };
        if let Some(simulation) = &mut self.simulation {
            simulation.apply(workflow, at, event);
        }
    }

    /// A revision of a run by its mark here; `None` where the run was prevented. A run with the
    /// recorded mark is revised as recorded.
    fn revised(
        &mut self,
        workflow: &WorkflowName,
        recorded: &Revision,
        now: impl Fn(Mark) -> Mark,
    ) -> Option<Revision> {
        let key = (workflow.clone(), recorded.run.clone());
        let diverted = self.diverted.get(&key).copied();
        let was = match diverted {
            Some(None) => return None,
            Some(Some(mark)) => mark,
            None => recorded.was,
        };
        // What these objectives make of it, where they make something else of it than the ones in
        // force then.
        let now = if diverted.is_none()
            && now(was) == was
            && was == recorded.was
            && recorded.now != was
            && matches!(recorded.now, Mark::Acceptable | Mark::Idle)
        {
            recorded.now
        } else {
            now(was)
        };
        if now != recorded.now || diverted.is_some() {
            self.diverted.insert(key, Some(now));
        }
        if let Some(report) = self
            .simulation
            .as_mut()
            .and_then(|simulation| simulation.report(workflow.as_str()))
        {
            let unacceptable = |mark| u64::from(mark == Mark::Unacceptable);
            report.unacceptable =
                (report.unacceptable + unacceptable(now)).saturating_sub(unacceptable(was));
            report.excluded += u64::from(now == Mark::Excluded && was != Mark::Excluded);
        }
        Some(Revision {
            was,
            now,
            ..recorded.clone()
        })
    }

    fn counts(&self, workflow: &WorkflowName, mode: &FailureMode) -> bool {
        self.policies
            .workflows
            .get(workflow)
            .is_none_or(|policy| policy.terms.objective.unacceptable.contains(mode))
    }

    /// Was a run booked for modes that the objective in force then counted, and that these count
    /// none of?
    fn pardons(&self, workflow: &WorkflowName, charges: &[Charge]) -> bool {
        let counted = |charge: &Charge| {
            self.real_terms
                .get(workflow)
                .is_some_and(|terms| terms.objective.unacceptable.contains(&charge.mode))
        };
        charges.iter().any(counted)
            && !charges
                .iter()
                .any(|charge| self.counts(workflow, &charge.mode))
    }

    /// A cell without the runs that came out differently.
    fn less(&mut self, workflow: &WorkflowName, cell: &TalliedMinute) -> TalliedMinute {
        let mut left = cell.clone();
        if let Some(minus) = self.minus.get_mut(&(workflow.clone(), cell.minute)) {
            for (of, take) in [
                (&mut left.runs, &mut minus.runs),
                (&mut left.high, &mut minus.high),
                (&mut left.idle, &mut minus.idle),
            ] {
                let taken = (*of).min(*take);
                *of -= taken;
                *take -= taken;
            }
        }
        left
    }

    /// Reads runs until calls up to `until` are sure to be among them.
    fn read_ahead(&mut self, until: Time) -> Result<(), SimulateError> {
        while self
            .read_until
            .is_some_and(|read| read <= until.plus(AHEAD))
        {
            let batch = self.runs.batch()?;
            self.read_until = batch.last().map(|view| view.run.booked_at);
            for view in batch {
                self.open(view);
            }
        }
        Ok(())
    }

    fn open(&mut self, view: RunView) {
        let run = &view.run;
        let id = run
            .run
            .clone()
            .or_else(|| {
                run.calls
                    .first()
                    .map(|call| RunId::from(call.call.to_string()))
            })
            .unwrap_or_else(|| "".into());
        let key = (
            run.workflow.clone(),
            RunRef {
                agent: run.agent.clone(),
                run: id,
            },
        );
        let open = Rc::new(ReplayedRun::new(key, view));
        let calls = open
            .view
            .run
            .calls
            .iter()
            .enumerate()
            .map(|(n, call)| (call.at, UpcomingStep::Call(Rc::clone(&open), n)));
        let booked_anew = self.counts_now(&open).then(|| {
            (
                open.view.run.booked_at,
                UpcomingStep::Book(Rc::clone(&open)),
            )
        });
        for (at, next) in calls.chain(booked_anew).collect::<Vec<_>>() {
            self.upcoming.push(at, next);
        }
    }

    /// Was the run tallied as acceptable, with modes that these objectives count?
    fn counts_now(&self, open: &ReplayedRun) -> bool {
        let reported = self.facts.reported.get(&open.key);
        let charges = open.view.run.charges.iter().chain(&open.view.retracted);
        let own =
            |charge: &&Charge| reported.is_none_or(|reported| !reported.contains(&charge.mode));
        !self.facts.booked.contains(&open.key)
            && self.policies.workflows.contains_key(&open.key.0)
            && charges.filter(own).any(|charge| {
                let counted = self
                    .real_terms
                    .get(&open.key.0)
                    .is_some_and(|terms| terms.objective.unacceptable.contains(&charge.mode));
                !counted && self.counts(&open.key.0, &charge.mode)
            })
    }

    /// Does what lies before `until` besides the journal's entries.
    fn catch_up(&mut self, until: Time) -> Result<(), SimulateError> {
        while let Some((at, next)) = self.upcoming.pop(until) {
            match next {
                UpcomingStep::Call(open, call) => self.call(at, &open, &open.view.run.calls[call]),
                UpcomingStep::Book(open) => self.book(at, &open),
            }
            bounded(self.diverted.len())?;
        }
        Ok(())
    }

    fn call(&mut self, at: Time, open: &Rc<ReplayedRun>, call: &CallRecord) {
        let Some(simulation) = &mut self.simulation else {
            return;
        };
        let (workflow, run) = &open.key;
        if simulation.policy(workflow.as_str()).is_none() {
            return;
        }
        simulation.pass(workflow, at);
        let mut state = open.state.borrow_mut();
        if state.prevented {
            return;
        }
        let args = call
            .args
            .as_deref()
            .and_then(|text| json::parse(text.as_bytes()).ok());
        let facts = RunFacts {
            id: run.run.as_str(),
            calls: state.calls,
            escalated: state.escalated,
        };
        let judged = simulation.judge(
            workflow,
            at,
            PastCall {
                tool: call.tool.as_str(),
                args: args.as_ref(),
                agent: run.agent.as_str(),
                run: facts,
            },
        );
        state.calls += 1;
        let went = call.executed != Executed::No;
        state.escalated |= went && simulation.escalates(call.tool.as_str());
        let verdict = if judged.acts {
            judged.verdict
        } else {
            Verdict::Allow
        };
        let approved = self.facts.approved.contains(&call.call);
        let (_, difference) = self.real.entry(workflow.clone()).or_default();
        match verdict {
            Verdict::Deny if went => {
                difference.newly_denied += 1;
                state.prevented = true;
                drop(state);
                self.prevent(open);
            }
            Verdict::Hold if went && !approved => {
                difference.newly_held += 1;
                let first = !std::mem::replace(&mut state.held, true);
                if let Some(report) = simulation.report(workflow.as_str()).filter(|_| first) {
                    report
                        .held
                        .note(run.run.as_str(), open.view.run.mark == Mark::Unacceptable);
                }
            }
            // By rules only: what a level, a cap or a person refused might be refused still.
            Verdict::Allow if !went && !judged.unknown && call.rule.is_some() => {
                difference.newly_allowed += 1;
            }
            Verdict::Allow | Verdict::Hold | Verdict::Deny => {}
        }
    }

    fn prevent(&mut self, open: &ReplayedRun) {
        let run = &open.view.run;
        self.diverted.insert(open.key.clone(), None);
        if !self.facts.booked.contains(&open.key) {
            self.take_out(open);
        }
        if let Some(report) = self
            .simulation
            .as_mut()
            .and_then(|simulation| simulation.report(open.key.0.as_str()))
        {
            report
                .prevented
                .note(open.key.1.run.as_str(), run.mark == Mark::Unacceptable);
        }
    }

    fn book(&mut self, at: Time, open: &ReplayedRun) {
        if self.diverted.contains_key(&open.key) {
            return;
        }
        self.take_out(open);
        self.diverted
            .insert(open.key.clone(), Some(Mark::Unacceptable));
        let (workflow, run) = open.key.clone();
        if let Some(simulation) = &mut self.simulation {
            simulation.pass(&workflow, at);
            simulation.book(
                &workflow,
                at,
                run,
                open.view.run.high,
                open.view.run.charges.clone(),
            );
        }
    }

    /// Takes a run out of the tally of its minute.
    fn take_out(&mut self, open: &ReplayedRun) {
        let run = &open.view.run;
        let went = |call: &CallRecord| call.executed != Executed::No;
        let reads_only = self
            .real_terms
            .get(&open.key.0)
            .is_some_and(|terms| terms.reads_only);
        let counted = run
            .calls
            .iter()
            .any(|call| went(call) && (call.risk > Risk::Read || reads_only));
        let minute = run.booked_at.minute();
        let minus = self
            .minus
            .entry((open.key.0.clone(), minute))
            .or_insert_with(|| TalliedMinute::new(minute));
        minus.runs += u64::from(counted);
        minus.high += u64::from(counted && run.high);
        minus.idle += u64::from(!counted);
    }

    fn end(mut self, policies: String, source: String) -> Simulated {
        let now = self.now;
        let mut workflows = self
            .simulation
            .take()
            .map(|simulation| simulation.end(now))
            .unwrap_or_default();
        for (name, report) in &mut workflows {
            let (real, counted) = self.real.remove(name).unwrap_or_default();
            let Difference {
                newly_held,
                newly_denied,
                newly_allowed,
                ..
            } = counted;
            report.difference = Some(Difference {
                newly_held,
                newly_denied,
                newly_allowed,
                ..Difference::of(&real, &report.changes)
            });
        }
        Simulated {
            policies,
            source,
            from: Moment(self.from.unwrap_or_default()),
            to: Moment(now),
            read: self.read,
            recovers_after: None,
            findings: ImportFindings::default().into_list(),
            workflows: workflows
                .into_iter()
                .map(|(name, report)| (name.to_string(), report))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g7_as_many_runs_come_out_differently_as_the_bound() {
        assert!(bounded(MOST_DIVERTED).is_ok());
        assert!(bounded(MOST_DIVERTED + 1).is_err());
    }
}
