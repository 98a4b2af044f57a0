//! Was it done already, and how much of it? Looks a call up in what was done before it, and takes
//! its place there, in one step.
//!
//! The book is one for all workflows, behind one lock: of two calls that do the same work, or that
//! together go beyond a limit, one sees the other (G7). The lock is the last of all: nothing else
//! is taken while it is held, and calls of tools without such rules, and without an idempotency
//! key, never take it. A place is taken before the call is journaled, and given back after its
//! settlement is, so that the book never knows less than the journal.
//!
//! A duplicate that is refused is duplicate work of its run where the earlier call was answered:
//! asking again for what one was told is done is a mistake of the agent's. While that answer is
//! still to come, or was lost, asking again is only a retry, and costs nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::admit::{Admit, DecisionInput, Refusal};
use super::answers::{Answer, Answers};
use super::permit::InFlightCall;
use crate::api::Moment;
use crate::gate::booking::Change;
use crate::gate::dedup::{
    Amount, CallStage, DedupIndex, Doer, EarlierCall, Keyed, LimitShare, Operation, Reversal, Work,
    series,
};
use crate::gate::digest::Digest;
use crate::gate::name::{Subject, ToolName};
use crate::gate::outcome::{FailureMode, Source};
use crate::gate::policy::dedup::reading::DedupReading;
use crate::gate::policy::dedup::{Limit, Per, Reverses, Twice};
use crate::gate::policy::facts::Facts;
use crate::gate::policy::finding::{Finding, RuleName, Unreadable};
use crate::gate::policy::judge::Judged;
use crate::gate::policy::{DedupRules, Tool, dedup};
use crate::gate::risk::Risk;
use crate::gate::run::{Charge, Executed, RunRef};
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;
use crate::journal::revise::{Revise, RunTarget};
use crate::ledger::Ledger;
use crate::ledger::runs::open::{charge, wire_charge};
use crate::wire::canonical;

/// The request header that carries an idempotency key.
const KEY_HEADER: &str = "idempotency-key";
/// The longest idempotency key.
pub const MAX_KEY: usize = 255;

/// What was done, and the answers to it.
pub(in crate::ledger) struct Dedup(Mutex<Living>);

struct Living {
    book: DedupIndex,
    answers: Answers,
}

/// What a call is about to do.
pub(in crate::ledger) struct Doing {
    tool: Arc<Tool>,
    operation: Operation,
    /// The work that nobody may do twice.
    work: Option<Digest>,
    /// By limit, what it adds to which sum.
    shares: Vec<Option<(Digest, Amount)>>,
    /// The work that it undoes.
    undoes: Option<Undoing>,
    unread: Option<Finding>,
    unread_watched: Option<Finding>,
    /// All verdicts on it are only watched.
    watched: bool,
    /// Nothing that acts needs it to be remembered.
    spare: bool,
    taken: bool,
    /// The call that did the same before, where this one goes all the same.
    repeats: Option<EarlierCall>,
    answer: Option<Answer>,
}

/// What the book knows against a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recalled {
    /// Which rule, and why.
    pub finding: Finding,
    /// The call that did it before.
    pub earlier: Option<EarlierCall>,
    /// The limit that is reached.
    pub reached: Option<Reached>,
    /// The idempotency key was used for another call.
    pub mismatch: bool,
}

/// A limit that is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// Which one.
    pub limit: String,
    /// Its bound.
    pub bound: Amount,
    /// The sum without this call.
    pub used: Amount,
    /// When enough will have left the window for this call; `None` where no waiting helps.
    pub frees_at: Option<Time>,
}

/// What is asked of the book, before it is looked into.
pub(in crate::ledger) enum Asked {
    /// Nothing.
    Nothing,
    /// This.
    This(Box<Doing>),
    /// The body must be read first.
    Unread,
    /// It cannot be asked.
    Refused(Refusal),
}

/// What the book says.
pub(in crate::ledger) enum Recall {
    /// Judge on, with what was found by now.
    On(InFlightCall, Judged),
    /// That is the answer.
    Ends(Admit),
}

#[derive(Default)]
struct Checked {
    answer: Option<Answer>,
    /// What is known against it.
    found: Option<Recalled>,
    /// The same by what is in shadow.
    watched: Option<Finding>,
    repeats: Option<EarlierCall>,
}

impl Dedup {
    /// What was done by the journal.
    pub(in crate::ledger) fn new(book: DedupIndex) -> Self {
        Dedup(Mutex::new(Living {
            book,
            answers: Answers::default(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Living> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    /// A copy of everything that is remembered of what was done.
    #[must_use]
    pub fn dedup(&self) -> DedupIndex {
        self.dedup.lock().book.clone()
    }

    /// What the call is about to do. A branch where nobody wants that remembered.
    pub(in crate::ledger) fn doing(
        call: &InFlightCall,
        input: &DecisionInput<'_>,
        facts: &Facts<'_>,
        subject: Option<&Subject>,
        finding: Option<&Finding>,
        now: Time,
    ) -> Asked {
        let Some(tool) = input
            .tool
            .filter(|tool| tool.dedup.is_some() || tool.risk != Risk::Read)
        else {
            return Asked::Nothing;
        };
        if call.doing.as_ref().is_some_and(|doing| doing.taken) {
            return Asked::Nothing;
        }
        // What is denied does nothing.
        if finding.is_some_and(|finding| finding.verdict == Verdict::Deny) {
            return Asked::Nothing;
        }
        let watched = call.handle.policy.mode.is_shadow(now) || tool.mode.is_shadow(now);
        // In shadow the key is between the agent and the upstream.
        let key = match if watched { Ok(None) } else { key_of(input) } {
            Ok(key) => key,
            Err(why) => return Asked::Refused(Refusal::IdempotencyKey(why)),
        };
        if tool.dedup.is_none() && key.is_none() {
            return Asked::Nothing;
        }
        let (workflow, agent) = (call.handle.policy.name.as_str(), input.agent.as_str());
        let key = match key.map(|key| {
            (
                digest(&["key", workflow, agent, tool.name.as_str(), &key]),
                input.review.digest(workflow, agent),
            )
        }) {
            Some((_, None)) => return Asked::Unread,
            Some((key, Some(payload))) => Some(Keyed { key, payload }),
            None => None,
        };
        let mut doing = Box::new(Doing::of(Arc::clone(tool), key, watched));
        if let Some(rules) = &tool.dedup {
            let reading = match dedup::reading::read(tool, rules, facts, subject, now) {
                Ok(reading) => reading,
                Err(Unreadable(what)) => return Asked::Refused(Refusal::Unreadable(what)),
            };
            doing.spare |= doing.operation.key.is_none() && rules.only_watch(now);
            doing.plan(rules, reading, workflow, agent, subject);
        }
        Asked::This(doing)
    }

    /// Looks up whether it was done, and takes its place where nothing stops it.
    pub(in crate::ledger) fn recall(
        &self,
        mut call: InFlightCall,
        mut doing: Box<Doing>,
        judged: Judged,
        now: Time,
    ) -> Recall {
        let mut living = self.dedup.lock();
        living.pass(now);
        let checked = living.check(&doing, &call, false, now);
        if let Some(answer) = checked.answer {
            drop(living);
            (call.verdict, call.rule) = (Verdict::Allow, Some(RuleName::Idempotency.as_str()));
            return Recall::Ends(Admit::Answered { call, answer });
        }
        doing.repeats = checked.repeats;
        if checked.found.is_none() && judged.acts.is_none() {
            living.take(&mut doing, &call, now);
        }
        drop(living);
        call.doing = Some(doing);
        let acts = match checked.found {
            Some(recalled) if recalled.finding.verdict == Verdict::Deny => {
                return Recall::Ends(self.deny_recalled(call, recalled, now));
            }
            found => found.map(|recalled| recalled.finding),
        };
        // The book is asked before what else may hold a call.
        Recall::On(
            call,
            judged.after(Judged {
                acts,
                watched: checked.watched,
            }),
        )
    }

    /// A person approved the call: takes its place, unless it was done meanwhile or is
    /// denied by a limit. What only held it does not hold it again.
    pub(in crate::ledger) fn take_approved(
        &self,
        call: &mut InFlightCall,
        now: Time,
    ) -> Option<Recalled> {
        let mut doing = call.doing.take_if(|doing| !doing.taken)?;
        let mut living = self.dedup.lock();
        let checked = living.check(&doing, call, true, now);
        if checked.found.is_none() {
            doing.repeats = checked.repeats;
            living.take(&mut doing, call, now);
        }
        drop(living);
        call.doing = Some(doing);
        checked.found
    }

    /// A review of the call is skipped: takes its place. False where the book knows
    /// something that nobody looked at: then somebody has to.
    pub(in crate::ledger) fn take_unreviewed(&self, call: &mut InFlightCall, now: Time) -> bool {
        let Some(mut doing) = call.doing.take_if(|doing| !doing.taken) else {
            return true;
        };
        let mut living = self.dedup.lock();
        let checked = living.check(&doing, call, false, now);
        let is_free = checked.found.is_none() && checked.answer.is_none();
        if is_free {
            doing.repeats = checked.repeats;
            living.take(&mut doing, call, now);
        }
        drop(living);
        call.doing = Some(doing);
        is_free
    }

    /// Refuses the call for what the book knows, and books it where the agent should have known.
    pub(in crate::ledger) fn deny_recalled(
        &self,
        mut call: InFlightCall,
        recalled: Recalled,
        now: Time,
    ) -> Admit {
        (call.verdict, call.rule) = (Verdict::Deny, Some(recalled.finding.rule.as_str()));
        let answered = recalled.earlier.as_ref().filter(|earlier| {
            recalled.finding.rule == RuleName::Duplicate && earlier.stage == CallStage::Done
        });
        if let Some(earlier) = answered {
            let note = format!(
                "refused: done already by call {} of run {}",
                earlier.doer.call, earlier.doer.run.run
            );
            let charged = wire_charge(FailureMode::DuplicateWork, call.id, &call.tool, Some(&note));
            drop(charge(
                &*self.journal,
                &call.handle,
                &call.run,
                &mut call.run.lock(),
                charged,
                now,
            ));
        }
        Admit::Refused {
            call,
            refusal: Refusal::Recalled(Box::new(recalled)),
        }
    }

    /// The call `by` undid this work: the run that did it did it for nothing, and is charged,
    /// whether it is open or was booked. Of several calls that did it, each is undone once, the
    /// newest first. The same undoing call is one report.
    pub(in crate::ledger) fn undo(
        &self,
        undoing: &Undoing,
        by: &InFlightCall,
        now: Time,
    ) -> Option<Reversal> {
        let mut living = self.dedup.lock();
        let EarlierCall { doer, .. } = living
            .book
            .undoable(&undoing.work, undoing.within, now, by.id)?
            .clone();
        // What the journal is not told of is not forgotten here either.
        let undone = by.admitted.then_some(Reversal {
            work: undoing.work,
            call: doer.call,
        });
        if let Some(undone) = undone {
            living.book.undo(undone);
        }
        drop(living);
        let charge = Charge {
            mode: FailureMode::DuplicateWork,
            source: Source::Wire,
            by: None,
            call: Some(doer.call),
            tool: Some(undoing.tool.clone()),
            note: Some(format!("undone by call {} of `{}`", by.id, by.tool).into()),
            reference: Some(by.id.to_string().into()),
        };
        let target = RunTarget::Run {
            run: doer.run.run.clone(),
            workflow: Some(doer.workflow.clone()),
            agent: Some(doer.run.agent.clone()),
        };
        match self
            .runs
            .by_id(&doer.workflow, &doer.run.agent, &doer.run.run)
        {
            Some(open) => drop(self.report_open(&open, target, charge)),
            None => drop(self.journal.revise(Revise {
                target,
                at: now,
                change: Change::Report(charge),
                open: Vec::new(),
            })),
        }
        undone
    }
}

/// Work that a call undoes.
#[derive(Debug, Clone)]
pub(in crate::ledger) struct Undoing {
    work: Digest,
    tool: ToolName,
    within: Duration,
}

impl InFlightCall {
    /// Is what it does remembered? Then it is in the journal before it may go.
    pub(in crate::ledger) fn is_remembered(&self) -> bool {
        self.doing.as_ref().is_some_and(|doing| doing.taken)
    }

    /// What is remembered of it.
    pub(in crate::ledger) fn operation(&self) -> Option<Box<Operation>> {
        self.doing
            .as_ref()
            .filter(|doing| doing.taken)
            .map(|doing| Box::new(doing.operation.clone()))
    }

    /// Will its answer be asked for again?
    #[must_use]
    pub fn keeps_answer(&self) -> bool {
        self.is_remembered()
            && self
                .doing
                .as_ref()
                .is_some_and(|doing| doing.operation.key.is_some())
    }

    /// This is its answer.
    pub fn keep_answer(&mut self, answer: Answer) {
        if let Some(doing) = self
            .doing
            .as_mut()
            .filter(|doing| doing.operation.key.is_some())
        {
            doing.answer = Some(answer);
        }
    }

    /// What it did a second time, where it was executed all the same.
    pub(in crate::ledger) fn repeated(&self, executed: Executed) -> Option<String> {
        let earlier = self
            .doing
            .as_ref()?
            .repeats
            .as_ref()
            .filter(|_| executed != Executed::No)?;
        Some(format!(
            "done before by call {} of run {}",
            earlier.doer.call, earlier.doer.run.run
        ))
    }

    /// What it undid: work is undone by a call that succeeded, and by no other.
    pub(in crate::ledger) fn undid(
        &self,
        executed: Executed,
        status: u16,
        failed: bool,
    ) -> Option<Undoing> {
        let succeeded = executed == Executed::Yes && (200..400).contains(&status) && !failed;
        self.doing.as_ref().filter(|_| succeeded)?.undoes.clone()
    }

    /// The call is over, and that is journaled.
    pub(in crate::ledger) fn close_operation(&mut self, executed: Executed, now: Time) {
        let Some(doing) = self.doing.take().filter(|doing| doing.taken) else {
            return;
        };
        let mut living = self.ledger.dedup.lock();
        living.book.settle(self.id, executed);
        if let Some(answer) = doing.answer.filter(|_| executed == Executed::Yes) {
            living.answers.keep(self.id, answer, now);
        }
    }

    fn doer(&self) -> Doer {
        Doer {
            call: self.id,
            workflow: self.handle.policy.name.clone(),
            run: RunRef {
                agent: self.run.agent.clone(),
                run: self.run_id.clone(),
            },
        }
    }
}

impl Doing {
    fn of(tool: Arc<Tool>, key: Option<Keyed>, watched: bool) -> Self {
        let operation = Operation {
            at: Time::default(),
            works: Vec::new(),
            key,
            shares: Vec::new(),
        };
        Doing {
            tool,
            operation,
            work: None,
            shares: Vec::new(),
            undoes: None,
            unread: None,
            unread_watched: None,
            watched,
            spare: watched,
            taken: false,
            repeats: None,
            answer: None,
        }
    }

    /// Turns what was read of the call into digests: what it touched is not in the book.
    fn plan(
        &mut self,
        rules: &DedupRules,
        reading: DedupReading,
        workflow: &str,
        agent: &str,
        subject: Option<&Subject>,
    ) {
        let tool = Arc::clone(&self.tool);
        if let (Some(duplicate), Some(key)) = (&rules.duplicate, &reading.key) {
            let parts: Vec<&str> = ["work", tool.name.as_str()]
                .into_iter()
                .chain(key.iter().map(String::as_str))
                .collect();
            let work = digest(&parts);
            self.work = Some(work);
            self.operation.works.push(Work {
                work,
                keep: duplicate.within,
                each: false,
            });
        }
        if let (Some(keep), Some(subject)) = (rules.reversed_within, subject) {
            self.operation.works.push(Work {
                work: touched(&tool, subject),
                keep,
                each: true,
            });
        }
        for (limit, amount) in rules.limits.iter().zip(reading.amounts) {
            let share = amount.map(|amount| (sum(&tool, limit, workflow, agent, subject), amount));
            if let Some((series, amount)) = share {
                self.add(series, amount, limit);
            }
            self.shares.push(share);
        }
        self.undoes =
            rules
                .reverses
                .as_ref()
                .zip(subject)
                .map(|(Reverses { tool, within, .. }, subject)| Undoing {
                    work: touched_of(tool.as_str(), subject),
                    tool: tool.clone(),
                    within: *within,
                });
        (self.unread, self.unread_watched) = (reading.unread, reading.unread_watched);
    }

    /// Two limits over the same sum, such as one an hour and one a day, share it.
    fn add(&mut self, series: Digest, amount: Amount, limit: &Limit) {
        let (keep, grain) = (limit.within, series::grain(limit.within));
        match self
            .operation
            .shares
            .iter_mut()
            .find(|share| share.series == series)
        {
            Some(share) => {
                (share.keep, share.grain) = (share.keep.max(keep), share.grain.min(grain));
            }
            None => self.operation.shares.push(LimitShare {
                series,
                amount,
                keep,
                grain,
            }),
        }
    }
}

impl Living {
    fn pass(&mut self, now: Time) {
        self.book.pass(now);
        self.answers.pass(now);
    }

    fn take(&mut self, doing: &mut Doing, call: &InFlightCall, now: Time) {
        let doer = call.doer();
        // A call that is only watched passes a full book, and is not remembered: what is watched
        // must not grow without bound either.
        if doing.spare && self.book.room(&doer.workflow, &doing.operation).is_err() {
            return;
        }
        doing.operation.at = now;
        doing.taken = true;
        self.book.admit(&doer, &doing.operation);
    }

    /// What is known against the call. An approved one is past what would only hold it.
    fn check(&self, doing: &Doing, call: &InFlightCall, approved: bool, now: Time) -> Checked {
        let mut checked = Checked::default();
        if let Some(used) = doing
            .operation
            .key
            .and_then(|key| self.book.key(&key.key, now).map(|used| (key, used)))
        {
            let (key, used) = used;
            match self
                .answers
                .of(used.done.doer.call)
                .filter(|_| used.payload == key.payload && used.done.stage == CallStage::Done)
            {
                Some(answer) => checked.answer = Some(answer),
                None => checked.found = Some(used_key(used.payload != key.payload, &used.done)),
            }
            return checked;
        }
        let held = doing.unread.clone().filter(|_| !approved).map(Recalled::of);
        let held_watched = doing.unread_watched.clone().map(Recalled::of);
        let room = self
            .book
            .room(&call.handle.policy.name, &doing.operation)
            .err()
            .filter(|_| !approved && !doing.spare);
        let full = room.map(|full| {
            Recalled::of(finding(
                Verdict::Hold,
                rule_of(doing),
                &doing.tool,
                format!(
                    "no more {} are remembered than there are now",
                    full.as_str()
                ),
            ))
        });
        let mut found: Vec<Recalled> = [held, held_watched, full].into_iter().flatten().collect();
        let Some(rules) = &doing.tool.dedup else {
            checked.found = found.into_iter().next();
            return checked;
        };
        if let (Some(duplicate), Some(work)) = (&rules.duplicate, &doing.work)
            && let Some(earlier) = self.book.done(work, duplicate.within, now, call.id)
        {
            if duplicate.verdict == Twice::Deny {
                found.push(done_already(duplicate, earlier, now));
            }
            if duplicate.verdict == Twice::Count || doing.watched {
                checked.repeats = Some(earlier.clone());
            }
        }
        for (limit, share) in rules.limits.iter().zip(&doing.shares) {
            let Some((series, amount)) = share else {
                continue;
            };
            let used = self.book.sum(series, limit.within, now);
            match limit.says(used.plus(*amount)) {
                Some((Verdict::Deny, bound)) => found.push(self.reached(
                    limit,
                    series,
                    (used, *amount),
                    bound,
                    Verdict::Deny,
                    now,
                )),
                Some((verdict, bound)) if !approved => {
                    found.push(self.reached(limit, series, (used, *amount), bound, verdict, now));
                }
                _ => {}
            }
        }
        let (watched, acts) = found
            .into_iter()
            .partition(|recalled| doing.watched || recalled.finding.watched);
        (checked.found, checked.watched) = (
            strictest(acts),
            strictest(watched).map(|recalled| recalled.finding),
        );
        checked
    }

    fn reached(
        &self,
        limit: &Limit,
        series: &Digest,
        (used, amount): (Amount, Amount),
        bound: Amount,
        verdict: Verdict,
        now: Time,
    ) -> Recalled {
        let frees_at = (amount <= bound)
            .then(|| {
                self.book
                    .falls_to(series, bound.less(amount), limit.within, now)
            })
            .flatten();
        let what = if verdict == Verdict::Deny {
            "denied"
        } else {
            "held"
        };
        let detail = format!(
            "{limit} is {used} so far, this call adds {amount}, and above {bound} calls are {what}"
        );
        let watched = limit.mode.is_shadow(now);
        let finding = Finding {
            place: Some(limit.place.clone()),
            watched,
            ..Finding::nowhere(verdict, RuleName::Limits, detail)
        };
        Recalled {
            reached: Some(Reached {
                limit: limit.to_string(),
                bound,
                used,
                frees_at,
            }),
            ..Recalled::of(finding)
        }
    }
}

impl Recalled {
    fn of(finding: Finding) -> Self {
        Recalled {
            finding,
            earlier: None,
            reached: None,
            mismatch: false,
        }
    }
}

/// The first of the strictest.
fn strictest(found: Vec<Recalled>) -> Option<Recalled> {
    let strictest = found.iter().map(|recalled| recalled.finding.verdict).max();
    found
        .into_iter()
        .find(|recalled| Some(recalled.finding.verdict) == strictest)
}

fn done_already(duplicate: &dedup::Duplicate, earlier: &EarlierCall, now: Time) -> Recalled {
    let key = duplicate
        .key
        .iter()
        .map(|part| format!("`{}`", part.source()))
        .collect::<Vec<_>>()
        .join(", ");
    let detail = format!(
        "the same {key} within {} {}",
        dedup::Spelled(duplicate.within),
        earlier_call(earlier)
    );
    let watched = duplicate.mode.is_shadow(now);
    let finding = Finding {
        place: Some(duplicate.place.clone()),
        watched,
        ..Finding::nowhere(Verdict::Deny, RuleName::Duplicate, detail)
    };
    Recalled {
        earlier: Some(earlier.clone()),
        ..Recalled::of(finding)
    }
}

fn used_key(mismatch: bool, earlier: &EarlierCall) -> Recalled {
    let detail = if mismatch {
        format!(
            "this idempotency key was used for another payload: {}",
            earlier_call(earlier)
        )
    } else {
        format!(
            "the call with this idempotency key {}",
            earlier_call(earlier)
        )
    };
    Recalled {
        earlier: Some(earlier.clone()),
        mismatch,
        ..Recalled::of(Finding::nowhere(
            Verdict::Deny,
            RuleName::Idempotency,
            detail,
        ))
    }
}

fn earlier_call(earlier: &EarlierCall) -> String {
    let what = match earlier.stage {
        CallStage::InFlight => "is under way",
        CallStage::Done => "was done",
        CallStage::Unknown => "was sent, and its answer was lost",
    };
    format!(
        "{what}: call {} of run `{}`, at {}",
        earlier.doer.call,
        earlier.doer.run.run,
        Moment(earlier.at)
    )
}

fn finding(verdict: Verdict, rule: RuleName, tool: &Tool, detail: String) -> Finding {
    Finding {
        place: Some(tool.place.clone()),
        ..Finding::nowhere(verdict, rule, detail)
    }
}

fn rule_of(doing: &Doing) -> RuleName {
    if doing.operation.key.is_some() {
        RuleName::Idempotency
    } else if doing.operation.works.is_empty() {
        RuleName::Limits
    } else {
        RuleName::Duplicate
    }
}

fn key_of(input: &DecisionInput<'_>) -> Result<Option<String>, &'static str> {
    let written = input
        .header
        .find(KEY_HEADER)
        .map_err(|_| "it is given twice, or not in ASCII")?;
    written.as_deref().map(key).transpose()
}

/// An idempotency key: a string of the draft's structured field, or the bare text that most clients
/// send.
fn key(written: &str) -> Result<String, &'static str> {
    let written = written.trim();
    let key = match written.strip_prefix('"') {
        None => written.to_owned(),
        Some(rest) => {
            let inner = rest
                .strip_suffix('"')
                .ok_or("its quotation mark is not closed")?;
            let (mut key, mut letters) = (String::with_capacity(inner.len()), inner.chars());
            while let Some(letter) = letters.next() {
                match letter {
                    '\\' => key.push(
                        letters
                            .next()
                            .filter(|escaped| matches!(escaped, '"' | '\\'))
                            .ok_or("it escapes what needs no escape")?,
                    ),
                    '"' => return Err("it goes on after its quotation mark"),
                    letter => key.push(letter),
                }
            }
            key
        }
    };
    match key.len() {
        0 => Err("it is empty"),
        1..=MAX_KEY => Ok(key),
        _ => Err("it has more than 255 bytes"),
    }
}

fn touched(tool: &Tool, subject: &Subject) -> Digest {
    touched_of(tool.name.as_str(), subject)
}

fn touched_of(tool: &str, subject: &Subject) -> Digest {
    digest(&["touched", tool, subject.as_str()])
}

/// The sum that a limit is about: whose it is depends on `per`, and its window is not part of it,
/// so that a policy that changes the window keeps what was counted.
fn sum(
    tool: &Tool,
    limit: &Limit,
    workflow: &str,
    agent: &str,
    subject: Option<&Subject>,
) -> Digest {
    let whose = match limit.per {
        Per::Subject => subject.map_or("", Subject::as_str),
        Per::Agent => agent,
        Per::Workflow => workflow,
    };
    digest(&[
        "sum",
        tool.name.as_str(),
        limit.counted(),
        limit.per.as_str(),
        whose,
    ])
}

/// A digest of texts that no other texts have: as a JSON list, in which nothing runs into its
/// neighbour.
fn digest(parts: &[&str]) -> Digest {
    canonical::digest(&serde_json::to_vec(parts).unwrap_or_default())
}

#[cfg(test)]
mod tests;
