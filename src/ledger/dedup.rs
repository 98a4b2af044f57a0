//! Was it done already, and how much of it? The dedup index, with the answers to calls that came
//! under an idempotency key. A call is looked up in it and entered in one step.
//!
//! There is one index for all workflows, behind one lock: of two calls that do the same work, or
//! that together go beyond a limit, one sees the other (G7). The lock is the last of all: nothing
//! else is taken while it is held, and calls of tools without such rules and without an idempotency
//! key never take it. A call is entered before it is journaled, and settled here after its
//! settlement is journaled, so that the index never knows less than the journal.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::answers::{Answers, StoredAnswer};
use self::plan::PlannedOperation;
use crate::api::Moment;
use crate::gate::dedup::{Amount, CallStage, DedupIndex, Doer, EarlierCall};
use crate::gate::digest::Digest;
use crate::gate::name::CallId;
use crate::gate::policy::dedup::{Limit, Twice};
use crate::gate::policy::finding::{Finding, RuleName};
use crate::gate::policy::{Tool, dedup};
use crate::gate::run::Executed;
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;

pub mod answers;
pub mod plan;

/// The dedup index and the answers, behind their lock.
pub(in crate::ledger) struct Dedup(Mutex<DedupState>);

pub(in crate::ledger) struct DedupState {
    pub(in crate::ledger) index: DedupIndex,
    answers: Answers,
}

/// What stands against a call: an earlier one, or a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DedupFinding {
    /// Which rule, and why.
    pub finding: Finding,
    /// The call that did it before.
    pub earlier: Option<EarlierCall>,
    /// The limit that is reached.
    pub reached: Option<ReachedLimit>,
    /// The idempotency key was used for another call.
    pub mismatch: bool,
}

/// A limit that is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReachedLimit {
    /// Which one.
    pub limit: String,
    /// Its bound.
    pub bound: Amount,
    /// The sum without this call.
    pub used: Amount,
    /// When enough will have left the window for this call; `None` where no waiting helps.
    pub frees_at: Option<Time>,
}

/// What looking a call up finds.
#[derive(Default)]
pub(in crate::ledger) struct Checked {
    pub(in crate::ledger) answer: Option<StoredAnswer>,
    /// What stands against it.
    pub(in crate::ledger) found: Option<DedupFinding>,
    /// The same by what is in shadow.
    pub(in crate::ledger) shadow: Option<Finding>,
    pub(in crate::ledger) repeats: Option<EarlierCall>,
}

impl Dedup {
    /// Begins with the index that the journal adds up to. Answers are not journaled.
    pub(in crate::ledger) fn new(index: DedupIndex) -> Self {
        Dedup(Mutex::new(DedupState {
            index,
            answers: Answers::default(),
        }))
    }

    pub(in crate::ledger) fn lock(&self) -> MutexGuard<'_, DedupState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a call is about to do, entered before it does it, and settled once the call is over and the
/// journal knows that.
pub(in crate::ledger) struct DedupEntry {
    dedup: Arc<Dedup>,
    call: CallId,
    is_keyed: bool,
    answer: Option<StoredAnswer>,
    is_settled: bool,
}

impl DedupEntry {
    /// Enters what the call of `doer` is about to do, where it is to be remembered.
    pub(in crate::ledger) fn take(
        dedup: &Arc<Dedup>,
        state: &mut DedupState,
        planned: &mut PlannedOperation,
        doer: &Doer,
        now: Time,
    ) -> Option<Self> {
        state.take(planned, doer, now).then(|| DedupEntry {
            dedup: Arc::clone(dedup),
            call: doer.call,
            is_keyed: planned.operation.key.is_some(),
            answer: None,
            is_settled: false,
        })
    }

    /// May its answer be asked for again?
    pub(in crate::ledger) const fn is_keyed(&self) -> bool {
        self.is_keyed
    }

    /// This is the call's answer.
    pub(in crate::ledger) fn keep_answer(&mut self, answer: StoredAnswer) {
        if self.is_keyed {
            self.answer = Some(answer);
        }
    }

    /// The call is over, and was or may have been executed.
    pub(in crate::ledger) fn commit(mut self, executed: Executed, now: Time) {
        self.is_settled = true;
        let answer = self.answer.take();
        let mut state = self.dedup.lock();
        state.index.settle(self.call, executed);
        if let Some(answer) = answer.filter(|_| executed == Executed::Yes) {
            state.answers.keep(self.call, answer, now);
        }
    }
}

impl Drop for DedupEntry {
    /// The call was not executed.
    fn drop(&mut self) {
        if !self.is_settled {
            self.dedup.lock().index.settle(self.call, Executed::No);
        }
    }
}

impl DedupState {
    pub(in crate::ledger) fn expire(&mut self, now: Time) {
        self.index.pass(now);
        self.answers.expire(now);
    }

    /// Enters what the call is about to do. False where it is not entered: a call that only rules
    /// in shadow ask about goes in spite of a full index, which must not grow beyond its bound for
    /// it.
    fn take(&mut self, planned: &mut PlannedOperation, doer: &Doer, now: Time) -> bool {
        if planned.optional && self.index.room(&doer.workflow, &planned.operation).is_err() {
            return false;
        }
        planned.operation.at = now;
        self.index.admit(doer, &planned.operation);
        true
    }

    /// What stands against the call. Once it is approved, what would only hold it does not count.
    pub(in crate::ledger) fn check(
        &self,
        planned: &PlannedOperation,
        doer: &Doer,
        approved: bool,
        now: Time,
    ) -> Checked {
        let mut checked = Checked::default();
        if let Some(used) = planned
            .operation
            .key
            .and_then(|key| self.index.key(&key.key, now).map(|used| (key, used)))
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
        let held = planned
            .unread
            .clone()
            .filter(|_| !approved)
            .map(DedupFinding::of);
        let held_shadow = planned.unread_shadow.clone().map(DedupFinding::of);
        let room = self
            .index
            .room(&doer.workflow, &planned.operation)
            .err()
            .filter(|_| !approved && !planned.optional);
        let full = room.map(|full| {
            DedupFinding::of(finding(
                Verdict::Hold,
                planned.rule(),
                &planned.tool,
                format!(
                    "no more {} are remembered than there are now",
                    full.as_str()
                ),
            ))
        });
        let mut found: Vec<DedupFinding> =
            [held, held_shadow, full].into_iter().flatten().collect();
        let Some(rules) = &planned.tool.dedup else {
            checked.found = found.into_iter().next();
            return checked;
        };
        if let (Some(duplicate), Some(work)) = (&rules.duplicate, &planned.work)
            && let Some(earlier) = self.index.done(work, duplicate.within, now, doer.call)
        {
            if duplicate.verdict == Twice::Deny {
                found.push(done_already(duplicate, earlier, now));
            }
            if duplicate.verdict == Twice::Count || planned.shadow {
                checked.repeats = Some(earlier.clone());
            }
        }
        for (limit, share) in rules.limits.iter().zip(&planned.shares) {
            let Some((series, amount)) = share else {
                continue;
            };
            let used = self.index.sum(series, limit.within, now);
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
        let (shadow, acts) = found
            .into_iter()
            .partition(|recalled| planned.shadow || recalled.finding.in_shadow);
        (checked.found, checked.shadow) = (
            strictest(acts),
            strictest(shadow).map(|recalled| recalled.finding),
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
    ) -> DedupFinding {
        let frees_at = (amount <= bound)
            .then(|| {
                self.index
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
        let in_shadow = limit.mode.is_shadow(now);
        let finding = Finding {
            location: Some(limit.location.clone()),
            in_shadow,
            ..Finding::nowhere(verdict, RuleName::Limits, detail)
        };
        DedupFinding {
            reached: Some(ReachedLimit {
                limit: limit.to_string(),
                bound,
                used,
                frees_at,
            }),
            ..DedupFinding::of(finding)
        }
    }
}

impl DedupFinding {
    fn of(finding: Finding) -> Self {
        DedupFinding {
            finding,
            earlier: None,
            reached: None,
            mismatch: false,
        }
    }
}

/// The first of the strictest.
fn strictest(found: Vec<DedupFinding>) -> Option<DedupFinding> {
    let strictest = found.iter().map(|recalled| recalled.finding.verdict).max();
    found
        .into_iter()
        .find(|recalled| Some(recalled.finding.verdict) == strictest)
}

fn done_already(duplicate: &dedup::Duplicate, earlier: &EarlierCall, now: Time) -> DedupFinding {
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
    let in_shadow = duplicate.mode.is_shadow(now);
    let finding = Finding {
        location: Some(duplicate.location.clone()),
        in_shadow,
        ..Finding::nowhere(Verdict::Deny, RuleName::Duplicate, detail)
    };
    DedupFinding {
        earlier: Some(earlier.clone()),
        ..DedupFinding::of(finding)
    }
}

fn used_key(mismatch: bool, earlier: &EarlierCall) -> DedupFinding {
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
    DedupFinding {
        earlier: Some(earlier.clone()),
        mismatch,
        ..DedupFinding::of(Finding::nowhere(
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
        location: Some(tool.location.clone()),
        ..Finding::nowhere(verdict, rule, detail)
    }
}
