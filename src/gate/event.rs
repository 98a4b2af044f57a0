//! Every fact worth keeping. State is a fold over these (G12): journal, audit, metrics, notices and
//! backtests all read this one type.
//!
//! An event carries everything that the fold needs, so that a late report about a run long gone
//! from memory changes the budget without the fold remembering runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::approval::{Decision, Request, TimedGrant};
use super::clamp::Clamp;
use super::dedup::Reversal;
use super::digest::Digest;
use super::name::{
    ApiName, ApprovalId, CallId, GrantId, IncidentId, LevelName, PersonName, StepName, ToolName,
    WorkflowName,
};
use super::outcome::FailureMode;
use super::pace::Busy;
use super::past::Imported;
use super::run::{Charge, Executed, RunRef};
use super::run_flags::RunFlags;
use super::terms::Terms;
use super::time;
use super::time::{Hour, Time};

mod access;
mod admission;
mod effect;
mod refused;
mod revision;
pub mod sentence;
pub mod table;
mod tallied;
#[cfg(test)]
mod tests;

pub use access::{AccessChange, NameChanges};
pub use admission::{Admission, HeldBy};
pub use effect::Effect;
pub use refused::{MOST_REFUSED, RefusedAlike, RefusedCall};
pub use revision::Revision;
pub use tallied::TalliedMinute;

/// An event in its place: the time it is judged at, and the workflow it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When it happened, by the gate's clock, which never goes back.
    pub at: Time,
    /// The workflow whose state it changes; `None` for the process and for every workflow.
    pub workflow: Option<WorkflowName>,
    /// What happened.
    pub event: Event,
}

/// A fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The gate started on this ledger.
    Started {
        /// The program's version.
        version: Arc<str>,
        /// The ledger before this one was lost: every workflow starts burned.
        lost: bool,
    },
    /// The gate drained and stopped.
    Stopped,
    /// These policies came into force.
    PolicyAccepted {
        /// Their version.
        version: Digest,
        /// What every workflow is judged under from here on.
        terms: BTreeMap<WorkflowName, Arc<Terms>>,
        /// All lowered policies, as JSON.
        policies: Arc<str>,
    },
    /// A reload failed, of policies, people, agents or certificates; what was in force stays in
    /// force.
    PolicyRefused {
        /// Why.
        reason: Arc<str>,
    },
    /// From here on these people may approve, and what anybody else approved no longer counts.
    ApproversNamed {
        /// Who.
        people: BTreeSet<PersonName>,
    },
    /// Who may call, decide and report was read anew while the gate ran: what is different.
    AccessChanged(Box<AccessChange>),
    /// The wall clock leapt ahead; the window does not age by it until an operator accepts.
    ClockJumped {
        /// Where the wall clock stood.
        wall: Time,
    },
    /// An operator accepted the wall clock.
    ClockAccepted {
        /// Who.
        by: PersonName,
    },

    /// A risky call, or one that uses a grant, may go. Durable before its first byte goes upstream.
    Admitted(Admission),
    /// What became of an admitted call.
    Settled {
        /// The call.
        call: CallId,
        /// Whether it was executed.
        executed: Executed,
        /// The earlier work that it undid.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        undid: Option<Reversal>,
    },

    /// Runs ended acceptably: how many, by the minute they are booked to.
    Tallied {
        /// One cell a minute.
        cells: Vec<TalliedMinute>,
    },
    /// A run was booked as unacceptable, the moment that was known.
    Booked {
        /// The run.
        run: RunRef,
        /// Whether it had executed a `high` call by then.
        high: bool,
        /// What went wrong.
        charges: Vec<Charge>,
        /// What else the gate had observed of it.
        #[serde(rename = "seen", default, skip_serializing_if = "RunFlags::is_none")]
        observed: RunFlags,
    },
    /// A booked unacceptable run executed its first `high` call only afterwards.
    BookedHigh {
        /// The run.
        run: RunRef,
        /// When it was booked.
        booked_at: Time,
    },
    /// A run handed its case to a person: what goes on under the id that its calls gave waits for a
    /// person too.
    Escalated {
        /// The run, without a continuation's number.
        run: RunRef,
    },
    /// A mode was reported of a run that had been booked.
    Reported {
        /// What it changes about the counts.
        revision: Revision,
        /// What went wrong.
        charge: Charge,
    },
    /// A report was taken back.
    Retracted {
        /// What it changes about the counts.
        revision: Revision,
        /// The mode that no longer holds.
        mode: FailureMode,
        /// The reference of the report, where it had one.
        reference: Option<Arc<str>>,
        /// Who took it back.
        by: PersonName,
    },
    /// An operator took a run out of the budget.
    Excluded {
        /// What it changes about the counts.
        revision: Revision,
        /// Why.
        reason: Arc<str>,
        /// The reference that it can be put back by.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<Arc<str>>,
        /// Who.
        by: PersonName,
    },
    /// An operator put an excluded run back.
    Reinstated {
        /// What it changes about the counts.
        revision: Revision,
        /// Who.
        by: PersonName,
    },
    /// Somebody found out whether a call whose answer was lost was executed.
    Reconciled {
        /// What it changes about the counts.
        revision: Revision,
        /// The call.
        call: CallId,
        /// Whether it was.
        executed: bool,
        /// What the gate had charged for the lost answer, and is taken back.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        retracted: Vec<FailureMode>,
        /// A note.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<Arc<str>>,
        /// Who.
        by: PersonName,
    },
    /// More was seen of a booked run before it ended.
    Noted {
        /// What it changes about the counts.
        revision: Revision,
    },
    /// Something was reported of an open run that changes nothing about how it stands: what costs
    /// nothing, or was known. It is counted when the run ends.
    Remarked {
        /// The run.
        run: RunRef,
        /// What was reported.
        charge: Charge,
    },
    /// A person or a system judged a run.
    Checked {
        /// What it changes about the counts.
        revision: Revision,
        /// Who.
        by: PersonName,
        /// Whether it was right.
        right: bool,
    },

    /// Runs of the past were imported, booked to their own times and judged once.
    Imported(Box<Imported>),
    /// How busy an hour was, once it is over or the gate stops in it.
    Paced {
        /// The hour.
        hour: Hour,
        /// Its calls, and the most at once.
        busy: Busy,
    },

    /// Calls were denied, or would have been but for shadow. For the record: the runs
    /// they belong to are tallied or booked by other events.
    Refused {
        /// At most [`MOST_REFUSED`] of them.
        calls: Vec<RefusedCall>,
        /// Those that were too many to list, of the minute before.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        more: Vec<RefusedAlike>,
    },
    /// Requests were turned away before they were calls of any run: malformed, unidentified, or
    /// with a token that opens nothing. Only counted, because anybody can send them.
    TurnedAway {
        /// How many since the last such entry, by the slug of the problem they were answered with.
        counts: BTreeMap<Arc<str>, u64>,
    },
    /// A person's token was used for the first time this UTC day, or since the gate started.
    SignedIn {
        /// Whose.
        by: PersonName,
        /// What they may do.
        role: Arc<str>,
    },

    /// A call is held.
    Held(Box<Request>),
    /// Somebody who can decide saw held calls for the first time.
    Seen {
        /// Which.
        approvals: Vec<ApprovalId>,
        /// Who.
        by: PersonName,
    },
    /// A reviewer decided.
    Decided {
        /// On what.
        approval: ApprovalId,
        /// What.
        decision: Decision,
    },
    /// The agent or an operator took a held call back.
    Withdrawn {
        /// Which.
        approval: ApprovalId,
        /// Why.
        reason: Arc<str>,
    },

    /// An operator lets so many held calls of a tool go for a while.
    GrantGiven(Box<TimedGrant>),
    /// An operator took such a grant back.
    GrantRevoked {
        /// Which.
        grant: GrantId,
        /// Who.
        by: PersonName,
        /// Why.
        reason: Arc<str>,
    },

    /// An operator clamped the workflow, or every workflow.
    Clamped(Clamp),
    /// An operator lifted a clamp.
    Released {
        /// Who.
        by: PersonName,
        /// Why.
        reason: Arc<str>,
    },
    /// An operator suspended the posture's cap for a while.
    Waived {
        /// Until when.
        until: Time,
        /// Who.
        by: PersonName,
        /// Why.
        reason: Arc<str>,
    },
    /// An operator put a cause on record and opened a probation.
    Recovered {
        /// The cause.
        cause: Arc<str>,
        /// A reference to the fix.
        fix: Option<Arc<str>>,
        /// The level the probation opens; `None` for the earned one.
        to: Option<LevelName>,
        /// How long it lasts.
        #[serde(with = "time::millis")]
        lasts: Duration,
        /// Who.
        by: PersonName,
    },
    /// A level or a step was earned or given.
    Promoted {
        /// The level now earned.
        to: LevelName,
        /// Who; `None` where the policy promotes by itself.
        by: Option<PersonName>,
        /// Why.
        reason: Arc<str>,
    },
    /// An operator took a step that was earned.
    StepTaken {
        /// Which.
        step: StepName,
        /// Who.
        by: PersonName,
        /// Why.
        reason: Arc<str>,
    },
    /// A level was lost.
    Demoted {
        /// The level now earned.
        to: LevelName,
        /// Who took it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<PersonName>,
        /// Why.
        reason: Arc<str>,
    },
    /// What a call looked like that failed while the workflow was not healthy.
    Sampled {
        /// The run.
        run: RunRef,
        /// The call.
        call: CallId,
        /// Its tool.
        tool: ToolName,
        /// What went wrong.
        modes: Vec<FailureMode>,
        /// Its arguments, redacted, as JSON.
        arguments: Arc<str>,
    },
    /// A person looked at how the workflow does.
    Reviewed {
        /// Who.
        by: PersonName,
        /// What they noted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<Arc<str>>,
    },
    /// A reload gave the workflow more while its changes are frozen, and is held back for it.
    PolicyHeldBack {
        /// What of it is wider.
        what: Arc<str>,
    },
    /// A change of the workflow shipped.
    Changed {
        /// What kind: prompt, model, tools, policy.
        kind: Arc<str>,
        /// A reference to it.
        reference: Arc<str>,
        /// Who.
        by: PersonName,
        /// Why, where it shipped in spite of a freeze.
        emergency: Option<Arc<str>>,
    },
    /// Somebody asked whether a change of the workflow may ship, and it may not while its changes
    /// are frozen.
    ChangeRefused {
        /// What kind.
        kind: Arc<str>,
        /// A reference to it.
        reference: Arc<str>,
        /// Who asked.
        by: PersonName,
    },

    /// Most of a tool API's calls fail, across workflows.
    IncidentOpened {
        /// The incident.
        incident: IncidentId,
        /// The tool API.
        api: ApiName,
        /// The beginning of the first minute that was bad.
        since: Time,
        /// Calls in the minutes that opened it.
        calls: u64,
        /// How many of those failed.
        failures: u64,
    },
    /// They do no longer.
    IncidentClosed {
        /// The incident.
        incident: IncidentId,
    },

    /// What followed from the events before it. Recorded for readers; the fold derives it and does
    /// not read it.
    Followed(Effect),
}
