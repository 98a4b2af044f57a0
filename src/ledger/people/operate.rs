//! What people do to the living state: clamp, release, recover, decide on held calls, report how
//! runs turned out.
//!
//! Every one of these is acknowledged when it is durable. What tightens is in force before that;
//! what loosens only then.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use super::conflict::{What, alone};
use crate::api::Moment;
use crate::gate::approval::queue::Conflict;
use crate::gate::approval::{Approval, Stage};
use crate::gate::booking::Change;
use crate::gate::booking::ids::Candidate;
use crate::gate::clamp::Clamp;
use crate::gate::event::{Entry, Event};
use crate::gate::name::{
    AgentName, ApprovalId, LevelName, PersonName, RunId, StepName, WorkflowName,
};
use crate::gate::run::{Charge, Mark};
use crate::gate::status::Status;
use crate::gate::time::Time;
use crate::gate::workflow::WorkflowState;
use crate::journal::port::{Journal, Ticket};
use crate::journal::receipt;
use crate::journal::receipt::{Receipt, Stamp};
use crate::journal::revise::{Batch, BatchOf, Revise, ReviseError, Revised, RevisedAll, RunTarget};
use crate::journal::unavailable::Unavailable;
use crate::ledger::runs::open;
use crate::ledger::runs::open::{End, Key, OpenRun};
use crate::ledger::shard::Shard;
use crate::ledger::{Ledger, WorkflowHandle};

/// One workflow or all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// This workflow.
    One(WorkflowName),
    /// Every workflow, those to come included.
    All,
}

/// What answers once it is durable.
pub type Durable = Receipt<Result<(), Unavailable>>;

/// Why something cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperateError {
    /// No such workflow.
    #[error("no workflow is called `{0}`")]
    NoWorkflow(WorkflowName),
    /// No such level.
    #[error("workflow `{workflow}` has no level `{level}`; it has {known}")]
    NoLevel {
        /// The workflow.
        workflow: WorkflowName,
        /// The level that was asked for.
        level: LevelName,
        /// The levels there are.
        known: String,
    },
    /// No such step.
    #[error("workflow `{workflow}` has no step `{step}` to earn; it has {known}")]
    NoStep {
        /// The workflow.
        workflow: WorkflowName,
        /// The step that was asked for.
        step: StepName,
        /// The steps there are.
        known: String,
    },
    /// The state does not permit it.
    #[error("{0}")]
    Conflict(String),
    /// No such approval.
    #[error("no approval has this id")]
    NoApproval,
    /// No such grant.
    #[error("no grant has this id")]
    NoGrant,
    /// No grant can be given for the tool.
    #[error("{0}")]
    Tool(String),
    /// Who decides is who asks.
    #[error("who asks cannot decide: another person must")]
    Own,
    /// Who decides may not, or not any more.
    #[error(
        "`{0}` may not decide on held calls; whoever is listed with the role of reviewer or operator may"
    )]
    NoApprover(PersonName),
    /// Somebody else's decision on the same approval is on its way to disk.
    #[error("another decision on this approval is being written")]
    Deciding,
}

/// What a clamp found.
pub struct Clamped {
    /// Answers once the clamp would survive a crash. It is in force already.
    pub durable: Durable,
    /// Calls in flight that it came too late for.
    pub in_flight: u64,
    /// Unused grants: they pass only what the clamp allows.
    pub grants: u64,
    /// Pending approvals.
    pub pending: u64,
}

/// One workflow as an operator sees it.
pub struct View {
    /// Its policy, where it has one in force.
    pub handle: Option<Arc<WorkflowHandle>>,
    /// What the journal adds up to.
    pub state: WorkflowState,
    /// Where it stands.
    pub status: Status,
}

impl Ledger {
    /// Hands an event of the whole process to the journal.
    pub fn announce(&self, event: Event) -> Durable {
        self.journal
            .append(Entry {
                at: self.now(),
                workflow: None,
                event,
            })
            .durable
    }

    /// Every workflow as it stands, by name.
    #[must_use]
    pub fn views(&self) -> Vec<(WorkflowName, View)> {
        let mut names: Vec<_> = self.table().entries.keys().cloned().collect();
        names.sort();
        names
            .into_iter()
            .filter_map(|name| self.view(&name).map(|view| (name, view)))
            .collect()
    }

    /// One workflow as it stands.
    #[must_use]
    pub fn view(&self, workflow: &WorkflowName) -> Option<View> {
        let shard = self.shard(workflow)?;
        let now = self.now();
        shard.advance(now);
        let mut state = shard.lock().state().clone();
        state.advance(now);
        let status = state.status();
        Some(View {
            handle: self.table().entries.get(workflow).map(Arc::clone),
            state,
            status,
        })
    }

    /// Sets a ceiling on the level of one workflow or all, in force for the next call after this
    /// returns and for every permit minted before.
    pub fn clamp(
        &self,
        scope: &Scope,
        to: &LevelName,
        by: &PersonName,
        reason: &str,
        until: Option<Time>,
    ) -> Result<Clamped, OperateError> {
        let shards = self.scope(scope)?;
        for shard in &shards {
            known_level(shard, to)?;
        }
        let now = self.now();
        let clamp = Clamp {
            to: to.clone(),
            by: by.clone(),
            reason: reason.into(),
            at: now,
            until,
        };
        let durable = self.append_scoped(scope, &shards, now, Event::Clamped(clamp));
        self.epoch.fetch_add(1, Ordering::AcqRel);
        let mut found = Clamped {
            durable,
            in_flight: 0,
            grants: 0,
            pending: 0,
        };
        for shard in &shards {
            let live = shard.lock();
            found.in_flight += live.state().open_calls().count() as u64;
            for approval in live.state().approvals().iter() {
                found.grants += u64::from(matches!(approval.stage, Stage::Approved { .. }));
                found.pending += u64::from(approval.stage == Stage::Pending);
            }
        }
        Ok(found)
    }

    /// Puts a cause on record and opens a probation.
    pub fn recover(
        &self,
        workflow: &WorkflowName,
        by: &PersonName,
        cause: &str,
        fix: Option<&str>,
        to: Option<&LevelName>,
        lasts: Duration,
    ) -> Result<Durable, OperateError> {
        let shard = self
            .shard(workflow)
            .ok_or_else(|| OperateError::NoWorkflow(workflow.clone()))?;
        if let Some(to) = to {
            known_level(&shard, to)?;
        }
        let now = self.now();
        shard.advance(now);
        let mut live = shard.lock();
        let state = live.state();
        if state.account().burn().is_none() {
            return Err(OperateError::Conflict(format!(
                "`{workflow}` is {}: there is no burn to recover from",
                state.account().posture()
            )));
        }
        alone(&live, workflow, What::Recovery)?;
        if let Some(probation) = state.account().probation() {
            let until = Moment(probation.until);
            let what = format!(
                "a probation of `{workflow}` is on already: it lasts until {until}, and failures end it sooner"
            );
            return Err(OperateError::Conflict(what));
        }
        let earned = state.effective().earned;
        if let Some(to) = to
            && state
                .terms()
                .ladder
                .find(to.as_str())
                .is_some_and(|to| to > earned)
        {
            let earned = state.terms().ladder.name(earned);
            return Err(OperateError::Conflict(format!(
                "a probation opens no level above the earned one, which is `{earned}`"
            )));
        }
        let event = Event::Recovered {
            cause: cause.into(),
            fix: fix.map(Into::into),
            to: to.cloned(),
            lasts,
            by: by.clone(),
        };
        Ok(shard.append(&mut live, &*self.journal, now, event).durable)
    }

    /// Every approval that is remembered, oldest first.
    #[must_use]
    pub fn approvals(&self) -> Vec<(WorkflowName, Approval)> {
        let shards: Vec<_> = self.shards.iter().map(|shard| Arc::clone(&shard)).collect();
        let now = self.now();
        let mut approvals = Vec::new();
        for shard in shards {
            shard.advance(now);
            approvals.extend(
                shard
                    .lock()
                    .state()
                    .approvals()
                    .iter()
                    .map(|approval| (shard.name().clone(), approval.clone())),
            );
        }
        approvals.sort_by_key(|(_, approval)| (approval.created_at, approval.request.approval));
        approvals
    }

    /// One approval, with its workflow.
    #[must_use]
    pub fn approval(&self, id: ApprovalId) -> Option<(WorkflowName, Approval)> {
        let shard = self.shard_of(id)?;
        shard.advance(self.now());
        Some((shard.name().clone(), shard.approval(id)?))
    }

    /// Answers when something about the approval changes; at once where it has ended or been
    /// approved.
    #[must_use]
    pub fn watch(&self, id: ApprovalId) -> Option<(Approval, Receipt<()>)> {
        let shard = self.shard_of(id)?;
        shard.advance(self.now());
        let mut live = shard.lock();
        let approval = live.state().approvals().get(id)?.clone();
        let receipt = live.watch(id);
        Some((approval, receipt))
    }

    /// Takes a held call back, or its unused grant.
    pub fn withdraw(&self, id: ApprovalId, reason: &str) -> Result<Durable, OperateError> {
        let shard = self.shard_of(id).ok_or(OperateError::NoApproval)?;
        let now = self.now();
        shard.advance(now);
        let mut live = shard.lock();
        let stage = live
            .state()
            .approvals()
            .get(id)
            .ok_or(OperateError::NoApproval)?
            .stage;
        if stage.ended_at().is_some() {
            return Err(decided(&Conflict::Wrong(stage)));
        }
        Ok(shard
            .append(
                &mut live,
                &*self.journal,
                now,
                Event::Withdrawn {
                    approval: id,
                    reason: reason.into(),
                },
            )
            .durable)
    }

    /// The wall clock leapt to `wall`: what would be over there is over.
    pub fn clock_jumped(&self, wall: Time) -> Durable {
        self.append_everywhere(self.now(), Event::ClockJumped { wall })
    }

    /// An operator takes the wall clock for the time. It is, once that is durable.
    pub fn accept_clock(&self, by: &PersonName) -> Durable {
        self.announce(Event::ClockAccepted { by: by.clone() })
    }

    /// Reports that a run went wrong: an open run is booked at once, any other is looked up.
    pub fn report(&self, target: RunTarget, charge: Charge) -> Reported {
        match &target {
            RunTarget::Run { .. } | RunTarget::Call(_) => self.report_named(target, charge),
            RunTarget::Subject {
                subject,
                tool,
                workflow,
            } => {
                let touched = |key: &Key, open: &OpenRun| {
                    let is_meant = workflow
                        .as_ref()
                        .is_none_or(|workflow| *workflow == key.workflow);
                    is_meant.then(|| open.lock()).and_then(|run| {
                        let reported = charge
                            .reference
                            .as_deref()
                            .is_some_and(|reference| run.is_reported(&charge.mode, reference));
                        run.touching(subject, tool.as_ref())
                            .filter(|_| !run.has_ended())
                            .map(|(risk, at, tool)| (reported, risk, at, tool))
                    })
                };
                let open = self.runs.matching(|key, open| touched(key, open).is_some());
                let mut open: Vec<_> = open
                    .into_iter()
                    .filter_map(|(key, open)| {
                        touched(&key, &open).map(|how| (how, key.workflow, open))
                    })
                    .collect();
                // The likeliest first: of each workflow, only that one may be meant.
                open.sort_by(|(one, ..), (other, ..)| other.cmp(one));
                let mut seen = BTreeSet::new();
                open.retain(|(_, workflow, _)| seen.insert(workflow.clone()));
                match open.first() {
                    None => Reported::Booked(
                        self.journal
                            .revise(self.revision(target, Change::Report(charge))),
                    ),
                    Some(((true, ..), _, open)) => self.report_open(open, target, charge),
                    Some(((false, ..), _, likeliest)) => {
                        let candidates =
                            open.iter()
                                .map(|((_, risk, at, tool), workflow, open)| Candidate {
                                    workflow: workflow.clone(),
                                    agent: open.agent.clone(),
                                    run: open.lock().id.clone(),
                                    tool: Some((*risk, tool.clone())),
                                    at: *at,
                                });
                        self.report_touched(
                            Arc::clone(likeliest),
                            candidates.collect(),
                            target,
                            charge,
                        )
                    }
                }
            }
        }
    }

    /// Changes how a booked run stands in any other way. One that is still open ends with that, so
    /// that what is judged is what it came to: the next call under its id opens a continuation.
    pub fn revise(
        &self,
        target: RunTarget,
        change: Change,
    ) -> Receipt<Result<Revised, ReviseError>> {
        let open = match (&target, &change) {
            (RunTarget::Run { .. } | RunTarget::Call(_), _) => {
                self.runs.matching(|key, open| is_named(&target, key, open))
            }
            (
                RunTarget::Subject {
                    subject,
                    tool,
                    workflow,
                },
                Change::Retract {
                    mode, reference, ..
                },
            ) => self.runs.matching(|key, open| {
                workflow
                    .as_ref()
                    .is_none_or(|workflow| *workflow == key.workflow)
                    && {
                        let run = open.lock();
                        run.touching(subject, tool.as_ref()).is_some()
                            && run.is_charged(mode.as_ref(), reference.as_deref())
                    }
            }),
            (RunTarget::Subject { .. }, _) => Vec::new(),
        };
        if let [(key, open)] = open.as_slice()
            && let Err(error) = self.end_for_judgement(key, open)
        {
            return receipt::answered(Err(error));
        }
        self.journal.revise(self.revision(target, change))
    }

    /// Changes how many booked runs stand: all of them or none. Those that are still open end with
    /// that.
    pub fn revise_all(
        &self,
        of: BatchOf,
        change: Change,
    ) -> Receipt<Result<RevisedAll, ReviseError>> {
        let open: Vec<_> = match (&of, &change) {
            (_, Change::Report(_)) => Vec::new(),
            (BatchOf::Runs(keys), _) => keys
                .iter()
                .filter_map(|key| {
                    let key = Key {
                        workflow: key.workflow.clone(),
                        agent: key.agent.clone(),
                        run: key.run.clone(),
                    };
                    self.runs.get(&key).map(|open| (key, open))
                })
                .collect(),
            (BatchOf::Reference(reference), _) => self
                .runs
                .matching(|_, open| open.lock().is_charged(None, Some(reference))),
        };
        for (key, open) in open {
            if let Err(error) = self.end_for_judgement(&key, &open) {
                return receipt::answered(Err(error));
            }
        }
        self.journal.revise_all(Batch {
            of,
            at: self.now(),
            change,
        })
    }

    fn revision(&self, target: RunTarget, change: Change) -> Revise {
        Revise {
            target,
            at: self.now(),
            change,
            open: Vec::new(),
        }
    }

    fn end_for_judgement(&self, key: &Key, open: &Arc<OpenRun>) -> Result<(), ReviseError> {
        let run = open.lock();
        if run.in_flight > 0 {
            return Err(ReviseError::Open(run.id.clone(), key.workflow.clone()));
        }
        drop(run);
        let handle = self
            .table()
            .entries
            .get(&key.workflow)
            .map_or_else(|| Arc::clone(&open.handle), Arc::clone);
        self.end_run(&handle, Some(key), open, self.now(), End::Finished);
        Ok(())
    }

    /// Is a run of this agent open under this id?
    #[must_use]
    pub fn is_open(&self, workflow: &WorkflowName, agent: &AgentName, run: &RunId) -> bool {
        self.runs
            .get(&Key {
                workflow: workflow.clone(),
                agent: agent.clone(),
                run: run.clone(),
            })
            .is_some()
    }

    /// Ends the agent's open run. `None` where there is none.
    #[must_use]
    pub fn finish(
        &self,
        workflow: &WorkflowName,
        agent: &AgentName,
        run: &RunId,
        escalated: bool,
    ) -> Option<RunId> {
        let key = Key {
            workflow: workflow.clone(),
            agent: agent.clone(),
            run: run.clone(),
        };
        let open = self.runs.get(&key)?;
        let handle = self.table().entries.get(workflow).map(Arc::clone)?;
        let mut facts = open.lock();
        let first = escalated && facts.escalate();
        let id = facts.id.clone();
        drop(facts);
        if first {
            handle.note_escalated(&*self.journal, &key, self.now());
        }
        self.end_run(&handle, Some(&key), &open, self.now(), End::Finished);
        Some(id)
    }

    /// Ends every open run: the gate stops.
    pub fn end_all(&self) {
        let now = self.now();
        let table = self.table_full();
        for (key, open) in self.runs.snapshot() {
            let handle = table.entries.get(&key.workflow).unwrap_or(&open.handle);
            self.end_run(handle, Some(&key), &open, now, End::Stopped);
        }
        self.write_pace(now, true);
        self.write_refusals(now, true);
    }

    fn report_named(&self, target: RunTarget, charge: Charge) -> Reported {
        let mut found = self.runs.matching(|key, open| is_named(&target, key, open));
        // An id that was finished and is used again means the run that goes on.
        if found.len() > 1
            && found.iter().all(|(key, open)| {
                (&key.workflow, &key.agent) == (&found[0].0.workflow, &found[0].0.agent)
                    && open.asked.is_some()
            })
        {
            found.truncate(1);
        }
        match found.as_slice() {
            [] => Reported::Booked(
                self.journal
                    .revise(self.revision(target, Change::Report(charge))),
            ),
            [(_, open)] => self.report_open(open, target, charge),
            several => {
                let named = several.iter().map(|(key, open)| {
                    let run = open.lock();
                    Candidate {
                        workflow: key.workflow.clone(),
                        agent: key.agent.clone(),
                        run: run.id.clone(),
                        tool: None,
                        at: run.booked_at.unwrap_or(run.touched),
                    }
                });
                Reported::Booked(receipt::answered(Err(ReviseError::Several(
                    named.collect(),
                ))))
            }
        }
    }

    pub(in crate::ledger) fn report_open(
        &self,
        open: &OpenRun,
        target: RunTarget,
        charge: Charge,
    ) -> Reported {
        match charged(&*self.journal, open, charge, self.now()) {
            Ok((revised, durable)) => Reported::Open { revised, durable },
            // It ended meanwhile, and was handed over before this is.
            Err(charge) => Reported::Booked(
                self.journal
                    .revise(self.revision(target, Change::Report(*charge))),
            ),
        }
    }

    /// A report by an object that open runs touched, `open` the likeliest of them: a booked run is
    /// meant where it touched it through a riskier tool, or was reported so before; where runs of
    /// several workflows may be, nobody is charged; else the open one is.
    fn report_touched(
        &self,
        open: Arc<OpenRun>,
        candidates: Vec<Candidate>,
        target: RunTarget,
        charge: Charge,
    ) -> Reported {
        let (stamp, receipt) = receipt::pair();
        let (journal, clock) = (Arc::clone(&self.journal), Arc::clone(&self.clock));
        let again = self.revision(target, Change::Report(charge.clone()));
        let revise = Revise {
            open: candidates,
            ..again.clone()
        };
        self.journal
            .revise(revise)
            .then(move |answer| match answer {
                Some(Err(ReviseError::Unknown)) => {
                    match charged(&*journal, &open, charge, clock.now()) {
                        Ok((revised, None)) => stamp.answer(Ok(revised)),
                        Ok((revised, Some(durable))) => {
                            durable.then(move |written| match written {
                                Some(Ok(())) => stamp.answer(Ok(revised)),
                                Some(Err(unavailable)) => stamp.answer(Err(unavailable.into())),
                                None => drop(stamp),
                            });
                        }
                        Err(_) => journal
                            .revise(again)
                            .then(move |answer| pass_on(stamp, answer)),
                    }
                }
                answer => pass_on(stamp, answer),
            });
        Reported::Booked(receipt)
    }

    pub(in crate::ledger) fn shard_of(&self, id: ApprovalId) -> Option<Arc<Shard>> {
        let workflow = self.approvals.get(&id)?.clone();
        self.shard(&workflow)
    }

    pub(in crate::ledger) fn scope(&self, scope: &Scope) -> Result<Vec<Arc<Shard>>, OperateError> {
        match scope {
            Scope::One(name) => self
                .shard(name)
                .map(|shard| vec![shard])
                .ok_or_else(|| OperateError::NoWorkflow(name.clone())),
            Scope::All => Ok(self.shards.iter().map(|shard| Arc::clone(&shard)).collect()),
        }
    }

    fn append_scoped(
        &self,
        scope: &Scope,
        shards: &[Arc<Shard>],
        now: Time,
        event: Event,
    ) -> Durable {
        match (scope, shards) {
            (Scope::One(_), [shard]) => {
                shard
                    .append(&mut shard.lock(), &*self.journal, now, event)
                    .durable
            }
            _ => self.append_everywhere(now, event),
        }
    }

    /// Appends an event that concerns every workflow. One such event after the other: each has
    /// reached every shard before the next does.
    pub(in crate::ledger) fn append_everywhere(&self, now: Time, event: Event) -> Durable {
        self.append_to_all(
            self.everywhere(),
            Entry {
                at: now,
                workflow: None,
                event,
            },
        )
    }

    pub(in crate::ledger) fn append_to_all(
        &self,
        mut everywhere: MutexGuard<'_, Vec<(Ticket, Entry)>>,
        entry: Entry,
    ) -> Durable {
        let shards: Vec<_> = self.shards.iter().map(|shard| Arc::clone(&shard)).collect();
        // Tightened before it is handed over: a call that a shard hands over later stands behind
        // it in the journal, and may not rest on what it takes away.
        for shard in &shards {
            shard.announce(&entry);
        }
        let appended = self.journal.append(entry.clone());
        for shard in &shards {
            shard.enqueued(appended.ticket, &entry);
        }
        everywhere.push((appended.ticket, entry));
        appended.durable
    }
}

/// Is this open run the one that the target names?
fn is_named(target: &RunTarget, key: &Key, open: &OpenRun) -> bool {
    match target {
        RunTarget::Run {
            run,
            workflow,
            agent,
        } => {
            (key.run == *run || open.lock().id == *run)
                && workflow
                    .as_ref()
                    .is_none_or(|workflow| *workflow == key.workflow)
                && agent.as_ref().is_none_or(|agent| *agent == key.agent)
        }
        RunTarget::Call(call) => {
            let run = open.lock();
            run.flying.contains(call) || run.calls.iter().any(|known| known.call == *call)
        }
        RunTarget::Subject { .. } => false,
    }
}

/// Charges an open run; gives the charge back where it has ended.
fn charged(
    journal: &dyn Journal,
    open: &OpenRun,
    charge: Charge,
    now: Time,
) -> Result<(Revised, Option<Durable>), Box<Charge>> {
    let mut run = open.lock();
    if run.has_ended() {
        return Err(Box::new(charge));
    }
    let repeated = run.charges.iter().any(|known| known.mode == charge.mode);
    let was = if run.booked_at.is_some() {
        Mark::Unacceptable
    } else {
        Mark::Idle
    };
    let durable = open::charge(journal, &open.handle, open, &mut run, charge, now);
    let revised = Revised {
        workflow: open.handle.policy.name.clone(),
        agent: open.agent.clone(),
        run: run.id.clone(),
        booked_at: run.booked_at.unwrap_or(now),
        was,
        now: if run.booked_at.is_some() {
            Mark::Unacceptable
        } else {
            was
        },
        repeated,
    };
    Ok((revised, durable))
}

fn pass_on<T>(stamp: Stamp<T>, answer: Option<T>) {
    if let Some(answer) = answer {
        stamp.answer(answer);
    }
}

/// What a report came to.
pub enum Reported {
    /// The run was open: it stands so from now on; `durable` where something was journaled.
    Open {
        /// What changed.
        revised: Revised,
        /// Answers once it is durable.
        durable: Option<Durable>,
    },
    /// The run was booked: the answer comes from the run index.
    Booked(Receipt<Result<Revised, ReviseError>>),
}

pub(in crate::ledger) fn known_level(shard: &Shard, level: &LevelName) -> Result<(), OperateError> {
    let live = shard.lock();
    let ladder = &live.state().terms().ladder;
    if ladder.find(level.as_str()).is_some() {
        return Ok(());
    }
    let known = ladder
        .rungs()
        .iter()
        .map(|rung| format!("`{}`", rung.level))
        .collect::<Vec<_>>()
        .join(", ");
    Err(OperateError::NoLevel {
        workflow: shard.name().clone(),
        level: level.clone(),
        known,
    })
}

/// What is left to do about an approval that is decided.
const fn ended(stage: Stage) -> &'static str {
    match stage {
        Stage::Pending => "it waits for people",
        Stage::Approved { .. } => "to take that back before the call is sent, withdraw it",
        Stage::Used { .. } => "the call was sent; report its run if it was wrong",
        Stage::Denied { wrong: true, .. } => "exactly this call is refused for 24 hours",
        Stage::Denied { wrong: false, .. } | Stage::Expired { .. } | Stage::Withdrawn { .. } => {
            "the agent can ask again"
        }
    }
}

pub(in crate::ledger) fn decided(conflict: &Conflict) -> OperateError {
    match conflict {
        Conflict::Unknown => OperateError::NoApproval,
        Conflict::Wrong(stage) => OperateError::Conflict(format!(
            "the approval is {} already: {}",
            stage.as_str(),
            ended(*stage)
        )),
        Conflict::Own => OperateError::Own,
        Conflict::Repeated => OperateError::Conflict(
            "you have decided on this approval already; it needs another person".to_owned(),
        ),
    }
}
