//! May this call go? The one place that mints permits.
//!
//! The policy judges; what needs memory is decided here: the run a call belongs to, the approval
//! that stands for it, the grant that turns a hold into an allow, once, after everything was judged
//! again. A call to a medium or high tool, and any use of a grant, is in the journal before it may
//! go.

use std::hash::Hasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::escalate;
use super::exposure::NoSlot;
use super::grant::{Used, denied, denied_before, denied_unasked, full, request};
use super::in_flight::{CallFacts, Decision, InFlightCall, JoinedRun, Progress, Settlement};
use super::permit::{Judgement, Permit};
use super::recall::{Planned, Recall};
use super::refusal::Refusal;
use super::reservations::Reservations;
use crate::gate::approval::{Approval, Stage};
use crate::gate::digest::Digest;
use crate::gate::event::{Admission, Event};
use crate::gate::json::Json;
use crate::gate::name::{AgentName, ApprovalId, CallId, RunId, StepName, Subject, ToolName};
use crate::gate::outcome::FailureMode;
use crate::gate::policy::facts::{Facts, Lookup, RunFacts};
use crate::gate::policy::finding::{Finding, RuleName, Unreadable};
use crate::gate::policy::judge::Case;
use crate::gate::policy::{Api, Tool, judge, skip};
use crate::gate::risk::Risk;
use crate::gate::status::Status;
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;
use crate::journal::receipt::Receipt;
use crate::journal::unavailable::Unavailable;
use crate::ledger::dedup::answers::Answer;
use crate::ledger::people::grants;
use crate::ledger::runs::open::{End, Key, OpenRun, RunState, charge, wire_charge};
use crate::ledger::shard::Live;
use crate::ledger::unlisted::Sight;
use crate::ledger::{Ledger, UNLISTED, WorkflowHandle};

/// What is asked: one call, read once.
pub struct DecisionInput<'a> {
    /// Who asks.
    pub agent: &'a AgentName,
    /// The tool API it is for.
    pub api: &'a Api,
    /// The tool, where one matches.
    pub tool: Option<&'a Arc<Tool>>,
    /// The arguments.
    pub args: Option<&'a Json<'a>>,
    /// What the tool's pattern captured.
    pub path: &'a dyn Lookup,
    /// The query.
    pub query: &'a dyn Lookup,
    /// The request's headers.
    pub header: &'a dyn Lookup,
    /// What a reviewer would be shown; only asked where the call is held or its approval looked
    /// for.
    pub review: &'a dyn ReviewView,
}

/// A call as a reviewer is shown it, and as an approval is bound to it.
pub trait ReviewView {
    /// The digest of exactly this call; `None` while its body has not been read.
    fn digest(&self, workflow: &str, agent: &str) -> Option<Digest>;
    /// Feeds what makes this call the same as another into a hash; false while its body has not
    /// been read.
    fn alike(&self, into: &mut dyn Hasher) -> bool;
    /// Method and target as they would be forwarded.
    fn target(&self) -> String;
    /// The arguments as canonical JSON.
    fn args(&self) -> Option<String>;
}

/// The answer.
pub enum Admit {
    /// It may go, once `durable` says so.
    Pass {
        /// The right to forward it.
        permit: Permit,
        /// What must be on disk first.
        durable: Option<Receipt<Result<(), Unavailable>>>,
    },
    /// It needs a person.
    Held {
        /// The call, to be admitted again.
        call: InFlightCall,
        /// The approval it waits for.
        approval: Box<Approval>,
        /// What must be on disk before the agent may be told of it.
        durable: Option<Receipt<Result<(), Unavailable>>>,
        /// Why, in a sentence.
        finding: Box<Finding>,
    },
    /// A reviewer approved it with other arguments: those are to be judged, and sent.
    Edited {
        /// The call, to be admitted again.
        call: InFlightCall,
        /// The arguments, as canonical JSON.
        args: Arc<str>,
    },
    /// It may need a person, and its body must be read first: an approval is bound to it.
    Unread {
        /// The call, to be admitted again.
        call: InFlightCall,
    },
    /// It went before, under the same idempotency key: this is the answer that it got then.
    Answered {
        /// The call: settles as not executed.
        call: InFlightCall,
        /// The answer.
        answer: Answer,
    },
    /// It may not go.
    Refused {
        /// The call: settles as not executed.
        call: InFlightCall,
        /// Why.
        refusal: Refusal,
    },
}

/// A call that goes, once `durable` says so.
pub(in crate::ledger) struct Goes {
    pub(in crate::ledger) call: InFlightCall,
    pub(in crate::ledger) durable: Option<Receipt<Result<(), Unavailable>>>,
}

/// Why a judgement ends before the call goes.
pub(in crate::ledger) enum Stop {
    /// What the call was judged by changed meanwhile: it is to be judged again.
    Outdated(Box<InFlightCall>),
    /// It does not go, or not yet.
    Ends(Box<Admit>),
}

impl From<Admit> for Stop {
    fn from(admit: Admit) -> Self {
        Stop::Ends(Box::new(admit))
    }
}

/// Does a call that a rule holds wait for a person?
enum Release {
    /// A person approved it: it goes.
    Granted(Goes),
    /// It does not have to. What it does beside other calls may stop it still.
    Free(InFlightCall),
}

impl Ledger {
    /// Opens a call in its run: the run that `run` names, or one of its own. `None`
    /// where no more runs can be opened.
    pub fn open_call(
        self: &Arc<Self>,
        handle: &Arc<WorkflowHandle>,
        agent: &AgentName,
        run: Option<RunId>,
        call: CallId,
        now: Time,
    ) -> Option<InFlightCall> {
        let (key, open) = if let Some(run) = run {
            let key = Key {
                workflow: handle.policy.name.clone(),
                agent: agent.clone(),
                run,
            };
            let open = self.join_run(handle, &key, call, now)?;
            (Some(key), open)
        } else {
            let id = RunId::from(call.spell().as_str());
            (
                None,
                Arc::new(OpenRun::of_one_call(
                    Arc::clone(handle),
                    agent.clone(),
                    id,
                    now,
                )),
            )
        };
        let run_id = open.lock().id.clone();
        Some(InFlightCall {
            ledger: Arc::clone(self),
            handle: Arc::clone(handle),
            facts: CallFacts {
                id: call,
                at: now,
                tool: ToolName::from(UNLISTED),
                risk: Risk::High,
                idempotent: false,
                escalation: false,
                subject: None,
                sample: None,
                args: None,
            },
            run: JoinedRun {
                open,
                key,
                id: run_id,
            },
            decision: Decision::default(),
            reservations: Reservations::default(),
            progress: Progress::Waiting,
            failed: false,
        })
    }

    /// The open run of `key` with room for one more call; a run that is full or over is ended and
    /// continued.
    fn join_run(
        &self,
        handle: &Arc<WorkflowHandle>,
        key: &Key,
        call: CallId,
        now: Time,
    ) -> Option<Arc<OpenRun>> {
        loop {
            let open = self.runs.open(key, handle, &*self.journal, now)?;
            let mut facts = open.lock();
            let end = if facts.is_over(&handle.policy.run, now) {
                End::Lease
            } else if facts.is_full(&handle.policy, now) {
                End::Full
            } else if facts.has_ended() || facts.ending {
                End::Finished
            } else {
                facts.judged += 1;
                facts.in_flight += 1;
                facts.flying.push(call);
                facts.touched = now;
                drop(facts);
                return Some(open);
            };
            drop(facts);
            self.end_run(handle, Some(key), &open, now, end);
        }
    }

    /// Judges the call.
    pub fn admit(&self, mut call: InFlightCall, input: &DecisionInput<'_>, now: Time) -> Admit {
        let admit = loop {
            let judgement = Judgement::begin(self);
            match self.judge(call, input, now) {
                Ok(Goes { call, durable }) => {
                    let permit = judgement.allow(call);
                    break Admit::Pass { permit, durable };
                }
                Err(Stop::Ends(admit)) => break *admit,
                Err(Stop::Outdated(again)) => call = *again,
            }
        };
        admit.catch_escalation()
    }

    /// Judges it once.
    fn judge(
        &self,
        mut call: InFlightCall,
        input: &DecisionInput<'_>,
        now: Time,
    ) -> Result<Goes, Stop> {
        let handle = Arc::clone(&call.handle);
        // Costs an atomic where nothing is due: what ends by itself ends for the very next call.
        handle.shard.advance(now);
        let status = handle.shard.status();
        let tool = input
            .tool
            .filter(|tool| handle.policy.tools.contains(&tool.name));
        // Once a call, however often it is judged.
        if tool.is_none() && call.decision.rule.is_none() {
            self.see_unlisted(&call, input, now);
        }
        call.describe(input, tool);
        if call.decision.edited.is_none() && handle.shard.has_edits() {
            call = match Self::find_edit(call, input, now) {
                Ok(call) => call,
                Err(admit) => return Err(Stop::Ends(admit)),
            };
        }
        // Judged again after a wait: it is not in flight until it may go.
        drop(call.reservations.concurrency.take());
        let run = RunFacts {
            id: call.run.id.as_str(),
            calls: 0,
            escalated: false,
        };
        let facts = facts(input, &call, &status, run);
        let case = Case {
            workflow: &handle.policy,
            status: &status,
            tool: input.tool.map(|tool| &**tool),
            facts,
            now,
        };
        let judged = match judge::judge(&case) {
            Ok(judged) => judged,
            Err(Unreadable(what)) => {
                let refusal = Refusal::Unreadable(what);
                return Err(Admit::Refused { call, refusal }.into());
            }
        };
        let escalated = case.facts.run.escalated;
        let held_by = judged
            .acts
            .as_ref()
            .filter(|finding| finding.verdict == Verdict::Hold)
            .map(|finding| finding.rule);
        let steps = if held_by.is_some() {
            skip::releasing(&case)
        } else {
            Vec::new()
        };
        let (escalation, touched) = (escalate::weigh(&case), subject(input.tool, &case));
        let asked = Self::plan_operation(
            &call,
            input,
            &case.facts,
            touched.as_ref(),
            judged.acts.as_ref(),
            now,
        );
        (call.facts.subject, call.decision.rule) = (tool.and(touched), None);
        call.keep_arguments(input.args, &status, &judged);
        call.decision.escalated = escalated;
        call.note_escalation(escalation);
        if !self.journal.room() {
            return Err(call.turned_down(Refusal::Journal).into());
        }
        let (mut call, judged) = match asked {
            Planned::Nothing => (call, judged),
            Planned::Unread => return Err(Admit::Unread { call }.into()),
            Planned::Refused(refusal) => return Err(Admit::Refused { call, refusal }.into()),
            Planned::This(planned) => match self.recall(call, planned, judged, now) {
                Recall::On(call, judged) => (call, judged),
                Recall::Ends(admit) => return Err(admit.into()),
            },
        };
        call.decision.shadow = judged
            .shadow
            .as_ref()
            .map(|finding| (finding.verdict, finding.rule.as_str()));
        let release = match judged.acts {
            Some(finding) if finding.verdict == Verdict::Deny => {
                return Err(self.deny(call, finding, now).into());
            }
            _ if let Some(edited) = call.decision.edited.filter(|_| !call.decision.granted) => {
                Release::Granted(self.send_edited(call, edited, input)?)
            }
            None => {
                if let Some(finding) = &judged.shadow {
                    self.book_finding(&call, finding, now);
                }
                Release::Free(call)
            }
            Some(finding) => {
                // What the book of what was done holds is nobody's review to skip.
                let steps = if Some(finding.rule) == held_by {
                    steps
                } else {
                    Vec::new()
                };
                self.hold(call, input, finding, steps, &status, now)?
            }
        };
        match release {
            Release::Granted(goes) => Ok(goes),
            Release::Free(call) => self.pass(call, input, &status, now),
        }
    }

    #[cold]
    fn see_unlisted(&self, call: &InFlightCall, input: &DecisionInput<'_>, now: Time) {
        let (target, tool) = (input.review.target(), input.tool.map(|tool| &tool.name));
        self.unlisted.see(
            &Sight {
                workflow: &call.handle.policy.name,
                api: &input.api.name,
                tool,
                target: &target,
                args: input.args,
            },
            now,
        );
    }

    /// Counts clamps: a permit of an earlier epoch is worthless.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// No rule stops it. What it does beside other calls may.
    fn pass(
        &self,
        mut call: InFlightCall,
        input: &DecisionInput<'_>,
        judged: &Status,
        now: Time,
    ) -> Result<Goes, Stop> {
        call.allow();
        if let Some(finding) = self.count_repeat(&mut call, input, now) {
            if !is_shadowed(&call, input.tool, &finding, now) {
                return Err(self.deny(call, finding, now).into());
            }
            call.decision.note(&finding);
            self.book_finding(&call, &finding, now);
        }
        match call.take_place(judged) {
            Ok(()) => {}
            // A failure changed the level while this was judged. It changes again only with the
            // next failure or a person's hand.
            Err(NoSlot::Outdated) => return Err(Stop::Outdated(Box::new(call))),
            Err(NoSlot::Full(finding)) if is_shadowed(&call, input.tool, &finding, now) => {
                call.decision.note(&finding);
            }
            Err(NoSlot::Full(finding)) => return Err(self.deny(call, *finding, now).into()),
        }
        if let Err(refusal) = call.take_caps(input.tool.map(|tool| &**tool), now) {
            let is_shadowed = |finding: &&Finding| is_shadowed(&call, input.tool, finding, now);
            let Some(finding) = refusal.finding().filter(is_shadowed) else {
                return Err(capped_by(call, refusal).into());
            };
            call.decision.note(finding);
        }
        let is_journaled_first =
            call.facts.risk.is_risky() || call.is_remembered() || call.decision.under.is_some();
        if call.decision.admitted || !is_journaled_first {
            return Ok(Goes {
                call,
                durable: None,
            });
        }
        if !self.journal.ready() {
            return Err(call.turned_down(Refusal::Journal).into());
        }
        let handle = Arc::clone(&call.handle);
        let mut live = handle.shard.lock();
        if call
            .decision
            .under
            .is_some_and(|grant| !live.state().timed().is_open(grant, now.max(self.now())))
        {
            drop(live);
            // Others used it up since it was looked up.
            return Err(Stop::Outdated(Box::new(call)));
        }
        let durable = self.journal_admission(&mut call, &mut live, None, now);
        drop(live);
        Ok(Goes {
            call,
            durable: Some(durable),
        })
    }

    fn deny(&self, mut call: InFlightCall, finding: Finding, now: Time) -> Admit {
        call.decision.note(&finding);
        self.book_finding(&call, &finding, now);
        Admit::Refused {
            call,
            refusal: Refusal::Rule(Box::new(finding)),
        }
    }

    /// It needs a person, unless one said yes before or need not be asked.
    fn hold(
        &self,
        mut call: InFlightCall,
        input: &DecisionInput<'_>,
        finding: Finding,
        steps: Vec<StepName>,
        judged: &Status,
        now: Time,
    ) -> Result<Release, Stop> {
        if call.decision.granted
            || (call.decision.under.is_some()
                && call.decision.admitted
                && grants::applies(&finding, judged))
        {
            return Ok(Release::Free(call));
        }
        call.decision.under = None;
        call.decision.note(&finding);
        if !self.journal.ready() {
            return Err(call.turned_down(Refusal::Journal).into());
        }
        let handle = Arc::clone(&call.handle);
        let Some(digest) = input
            .review
            .digest(handle.policy.name.as_str(), input.agent.as_str())
        else {
            return Err(Admit::Unread { call }.into());
        };
        let mut live = handle.shard.lock();
        // The time of the judgement may be old by now, and a grant is used before it expires by the
        // journal's time (G4).
        let now = now.max(self.now());
        if let Some(denial) = live.state().approvals().denial(&digest, now) {
            let finding = denied(denial);
            drop(live);
            return Err(self.deny(call, finding, now).into());
        }
        let open = live.state().approvals().open_for(&digest, now).cloned();
        let ends = match open {
            Some(approval) if matches!(approval.stage, Stage::Approved { .. }) => {
                let used = (approval.request.approval, digest, None);
                return self
                    .use_grant(call, input, live, used, now)
                    .map(Release::Granted);
            }
            Some(approval) => {
                let durable = live.holding(approval.request.approval);
                drop(live);
                call.run.open.lock().wait_for(approval.request.approval);
                Admit::Held {
                    call,
                    approval: Box::new(approval),
                    durable,
                    finding: Box::new(finding),
                }
            }
            None if self.skips_review(&call, &live, &steps, &digest)
                && self.take_unreviewed(&mut call, now) =>
            {
                drop(live);
                return Ok(Release::Free(call));
            }
            None if denied_before(&live, &call, now) => {
                drop(live);
                self.deny(call, denied_unasked(), now)
            }
            None if let Some(grant) = grants::open(
                &live,
                &call,
                input.tool.map(|tool| &**tool),
                &finding,
                judged,
                now,
            ) && self.take_unreviewed(&mut call, now) =>
            {
                drop(live);
                call.go_under(grant, finding);
                return Ok(Release::Free(call));
            }
            None if let Some(full) = full(&live, &call) => {
                drop(live);
                call.turned_down(full)
            }
            None if !self.has_room_to_hold(&live) => {
                drop(live);
                call.turned_down(Refusal::Holds)
            }
            None => {
                let request = request(&call, input, &finding, digest, steps, now);
                let id = request.approval;
                self.approvals.insert(id, handle.policy.name.clone());
                let appended = handle.shard.append(
                    &mut live,
                    &*self.journal,
                    now,
                    Event::Held(Box::new(request)),
                );
                // The shard has counted it by now; the place that was taken for it is given back.
                self.pending.fetch_sub(1, Ordering::Relaxed);
                let approval = live.state().approvals().get(id).cloned();
                drop(live);
                let Some(approval) = approval else {
                    return Err(call.turned_down(Refusal::Holds).into());
                };
                call.run.open.lock().wait_for(id);
                Admit::Held {
                    call,
                    approval: Box::new(approval),
                    durable: Some(appended.durable),
                    finding: Box::new(finding),
                }
            }
        };
        Err(ends.into())
    }

    /// Takes a place among the approvals that the process holds, where there is one.
    fn has_room_to_hold(&self, live: &Live) -> bool {
        let one_more = |pending: usize| (pending < self.bounds.holds).then_some(pending + 1);
        !live.state().approvals().is_full()
            && self
                .pending
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
                .is_ok()
    }

    pub(in crate::ledger) fn journal_admission(
        &self,
        call: &mut InFlightCall,
        live: &mut Live,
        used: Option<Used>,
        now: Time,
    ) -> Receipt<Result<(), Unavailable>> {
        let run = crate::gate::run::RunRef {
            agent: call.run.open.agent.clone(),
            run: call.run.id.clone(),
        };
        let admission = Admission {
            call: call.facts.id,
            run,
            tool: call.facts.tool.clone(),
            risk: call.facts.risk,
            idempotent: call.facts.idempotent,
            subject: call.facts.subject.clone(),
            approval: used.map(|(approval, ..)| approval),
            digest: used.map(|(_, digest, _)| digest),
            sent: used.and_then(|(.., sent)| sent),
            under: call.decision.under.filter(|_| used.is_none()),
            held_by: call
                .decision
                .held_by
                .as_deref()
                .filter(|_| call.decision.under.is_some() && used.is_none())
                .cloned(),
            operation: call.operation(),
        };
        call.decision.admitted = true;
        call.handle
            .shard
            .append(live, &*self.journal, now, Event::Admitted(admission))
            .durable
    }

    /// Books what being stopped by a rule costs: a violation every time, a mistake in the arguments
    /// only when it is the third of its run, a loop the first time.
    fn book_finding(&self, call: &InFlightCall, finding: &Finding, now: Time) {
        let mut run = call.run.open.lock();
        let mode = match finding.rule {
            RuleName::Arguments => run.block().then_some(FailureMode::WrongArguments),
            RuleName::Loop => call
                .breaks_loop(&mut run)
                .then_some(FailureMode::DuplicateWork),
            _ => finding.books(),
        };
        if let Some(mode) = mode {
            drop(charge(
                &*self.journal,
                &call.handle,
                &call.run.open,
                &mut run,
                wire_charge(
                    mode,
                    call.facts.id,
                    &call.facts.tool,
                    Some(finding.rule.as_str()),
                ),
                now,
            ));
        }
    }

    /// A booked run executed its first `high` call.
    pub(in crate::ledger) fn book_high(
        &self,
        handle: &WorkflowHandle,
        open: &OpenRun,
        run: &RunState,
        booked_at: Time,
        now: Time,
    ) {
        let event = Event::BookedHigh {
            run: run.reference(&open.agent),
            booked_at,
        };
        drop(
            handle
                .shard
                .append(&mut handle.shard.lock(), &*self.journal, now, event),
        );
    }

    /// Ends a run and hands it to the journal; one with calls in flight takes no more and ends with
    /// the last of them.
    pub(in crate::ledger) fn end_run(
        &self,
        handle: &WorkflowHandle,
        key: Option<&Key>,
        open: &Arc<OpenRun>,
        now: Time,
        end: End,
    ) {
        let mut run = open.lock();
        let id = run.id.clone();
        if run.in_flight > 0 && end != End::Stopped && !run.has_ended() {
            run.ending = true;
            drop(run);
            if let Some(key) = key {
                self.runs.end_with_last_call(key, &id, open, now);
            }
            return;
        }
        if end == End::Lease && handle.policy.run.finish_required && !run.has_ended() {
            let call = run
                .calls
                .last()
                .map_or(CallId::from_bits(0), |call| call.call);
            let tool = run
                .calls
                .last()
                .map_or_else(|| ToolName::from(UNLISTED), |call| call.tool.clone());
            drop(charge(
                &*self.journal,
                handle,
                open,
                &mut run,
                wire_charge(
                    FailureMode::Timeout,
                    call,
                    &tool,
                    Some("the run never finished"),
                ),
                now,
            ));
        }
        run.exposed.leave(handle.shard.taken());
        let record = run.end(
            &handle.policy,
            handle.shard.name(),
            &open.agent,
            open.asked.as_ref(),
            now,
        );
        // Before anybody can find out that the run has ended: a report that comes now reaches the
        // journal after the run does, and finds it there.
        if let Some(record) = record {
            self.journal.record(record);
        }
        drop(run);
        if let Some(key) = key {
            self.runs.close(key, &id, open, now);
        }
    }

    /// Ends the runs whose lease is over. A run whose workflow has no policy any more ends under
    /// the one it began with.
    pub(in crate::ledger) fn end_leases(&self, now: Time) {
        let table = self.table_full();
        for (key, open) in self.runs.due(now) {
            let handle = table.entries.get(&key.workflow).unwrap_or(&open.handle);
            let rules = &handle.policy.run;
            let mut run = open.lock();
            let before = run.held.len();
            let shard = &open.handle.shard;
            run.held.retain(|id| {
                shard
                    .approval(*id)
                    .is_some_and(|approval| approval.stage.ended_at().is_none())
            });
            if run.held.len() < before {
                run.touched = now;
            }
            let is_idle = run.in_flight == 0 && run.held.is_empty();
            let over = run.is_over(rules, now);
            let full = is_idle && now.since(run.started) >= rules.max;
            let lasts = run.started.plus(rules.max);
            let lease = if is_idle {
                run.touched.plus(rules.lease)
            } else {
                now.plus(rules.lease)
            };
            if run.held.is_empty() {
                open.rests_until(if lasts > now { lease.min(lasts) } else { lease });
            }
            drop(run);
            if over || full {
                self.end_run(
                    handle,
                    Some(&key),
                    &open,
                    now,
                    if over { End::Lease } else { End::Full },
                );
            }
        }
    }
}

impl InFlightCall {
    fn describe(&mut self, input: &DecisionInput<'_>, tool: Option<&Arc<Tool>>) {
        match tool.or(input.tool) {
            Some(known) => self.facts.tool = known.name.clone(),
            None => self.facts.tool = ToolName::of(input.api.name.as_str(), UNLISTED),
        }
        self.facts.risk = tool.map_or(Risk::High, |tool| tool.risk);
        self.facts.idempotent = tool.is_some_and(|tool| tool.idempotent);
        self.facts.escalation = tool.is_some_and(|tool| tool.escalation);
    }
}

impl RunState {
    fn wait_for(&mut self, approval: ApprovalId) {
        if !self.held.contains(&approval) {
            self.held.push(approval);
        }
    }
}

pub(in crate::ledger) fn facts<'a>(
    input: &'a DecisionInput<'_>,
    call: &'a InFlightCall,
    status: &'a Status,
    run: RunFacts<'a>,
) -> Facts<'a> {
    let state = call.run.open.lock();
    let run = RunFacts {
        calls: state.judged.saturating_sub(1),
        escalated: state.escalated,
        ..run
    };
    Facts {
        args: input.args,
        path: input.path,
        query: input.query,
        header: input.header,
        tool: call.facts.tool.as_str(),
        agent: input.agent.as_str(),
        workflow: call.handle.policy.name.as_str(),
        run,
        level: status.level().as_str(),
        posture: status.posture.as_str(),
        remaining: status.remaining,
        burn: &status.burn,
        response: None,
    }
}

/// The business object the call touches. One that cannot be worked out is none: the subject is for
/// finding the run later, not for judging the call.
fn subject(tool: Option<&Arc<Tool>>, case: &Case<'_>) -> Option<Subject> {
    tool?
        .subject
        .as_ref()?
        .text(&case.facts)
        .ok()
        .flatten()
        .map(Subject::from)
}

/// Is the verdict in shadow? A clamp acts all the same.
fn is_shadowed(
    call: &InFlightCall,
    tool: Option<&Arc<Tool>>,
    finding: &Finding,
    now: Time,
) -> bool {
    !finding.clamped
        && (call.handle.policy.mode.is_shadow(now)
            || tool.is_some_and(|tool| tool.mode.is_shadow(now)))
}

/// A cap costs nothing (G6), and its call may come again.
pub(super) fn capped_by(mut call: InFlightCall, refusal: Refusal) -> Admit {
    if let Some(finding) = refusal.finding() {
        call.decision.note(finding);
    }
    Admit::Refused { call, refusal }
}

/// Ends a call that could not be admitted, with the status the agent gets.
pub fn refuse(call: InFlightCall, status: u16) {
    call.settle(Settlement {
        status,
        modes: Vec::new(),
    });
}
