//! Reading what was kept: booked runs, the queue of those that people judge, and the entries of the
//! journal.

use std::sync::Arc;

use super::record::{RunKey, RunRecord};
use super::unavailable::Unavailable;
use crate::gate::booking::CheckState;
use crate::gate::digest::Digest;
use crate::gate::event::table::EventKind;
use crate::gate::event::{Entry, Event};
use crate::gate::name::{CallId, PersonName, RunId, Subject, ToolName, WorkflowName};
use crate::gate::outcome::{FailureMode, Outcome};
use crate::gate::risk::Risk;
use crate::gate::run::Charge;
use crate::gate::run_flags::RunContribution;
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;

/// Reading what was kept. Every method may read a disk: not for the data plane.
pub trait Records: Send + Sync {
    /// The runs that match, newest first.
    fn runs(&self, filter: &RunFilter) -> Result<Vec<RunView>, Unavailable>;

    /// Which runs match, newest first: at most one more than a batch takes, whatever the filter's
    /// limit.
    fn keys(&self, filter: &RunFilter) -> Result<Vec<RunKey>, Unavailable>;

    /// The runs of this workflow, or of all, that wait for people to judge them: the riskiest
    /// first, of those the oldest; and what became of those drawn since.
    fn checks(
        &self,
        workflow: Option<&WorkflowName>,
        since: Time,
        limit: usize,
    ) -> Result<Checks, Unavailable>;

    /// The random id of the ledger, in hexadecimal: where the chain of its journal begins.
    fn ledger(&self) -> String;

    /// The journal entries that match, oldest first. Only so many are looked through at once, so a
    /// page may be short, or empty, and not the last.
    fn entries(&self, filter: &EntryFilter) -> Result<Entries, Unavailable>;

    /// Journal entries after `after` of a span of time and of some kinds, oldest first, at most
    /// `limit`, with their sequence numbers.
    fn happened(
        &self,
        happened: &Happened,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Entry)>, Unavailable>;

    /// The newest journal entries of a workflow about what people let go or not, newest first: held
    /// calls, decisions, and admissions that rest on one. Without the arguments of the calls, where
    /// they are long.
    fn decided(&self, workflow: &WorkflowName, limit: usize) -> Result<Vec<Entry>, Unavailable>;

    /// Calls of runs booked from `since` on and before `until` that went although a rule said
    /// otherwise, by workflow, tool, verdict and rule: what shadow let through.
    fn shadowed(&self, since: Time, until: Time) -> Result<Vec<Shadowed>, Unavailable>;
}

/// The most runs, or entries, that one question gives, whatever its limit: a page and one more,
/// which tells whether there is a next.
pub const MOST_RECORDS: usize = 1_001;

/// Which runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Of this workflow.
    pub workflow: Option<WorkflowName>,
    /// With this id, continuations included.
    pub run: Option<RunId>,
    /// With this call.
    pub call: Option<CallId>,
    /// Booked at or after.
    pub since: Option<Time>,
    /// Booked before.
    pub until: Option<Time>,
    /// With a call of this tool.
    pub tool: Option<ToolName>,
    /// With a call that touched this.
    pub subject: Option<Subject>,
    /// With this outcome.
    pub outcome: Option<Outcome>,
    /// With this failure mode.
    pub mode: Option<FailureMode>,
    /// With a call that was sent and whose answer was lost.
    pub ambiguous: bool,
    /// Further down the list than the run at this position.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: usize,
}

/// A booked run as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunView {
    /// Where it stands in the list of all runs, which goes from high to low; it never moves.
    pub position: u64,
    /// The run as it was recorded, with what was reported since.
    pub run: RunRecord,
    /// Reports that were taken back.
    pub retracted: Vec<Charge>,
    /// Why and by whom it was excluded.
    pub excluded: Option<(Arc<str>, PersonName)>,
}

/// Runs that were drawn for people to judge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checks {
    /// Those that wait.
    pub waiting: Vec<CheckView>,
    /// What became of all that were drawn.
    pub drawn: Vec<(WorkflowName, Drawn)>,
}

/// A run that waits for somebody to judge it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckView {
    /// The run.
    pub view: RunView,
    /// The risk of its riskiest executed call.
    pub risk: Risk,
    /// When it was drawn.
    pub drawn_at: Time,
}

/// How many runs were drawn, and what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drawn {
    /// Runs that wait.
    pub waiting: u64,
    /// Runs that somebody said were right.
    pub accepted: u64,
    /// Runs that somebody said were wrong.
    pub reported: u64,
    /// Runs that left a full queue.
    pub unchecked: u64,
    /// Runs that were taken out of the budget.
    pub excluded: u64,
}

impl Drawn {
    /// Counts `runs` more in `state`.
    pub const fn add(&mut self, state: CheckState, runs: u64) {
        let count = match state {
            CheckState::Waiting => &mut self.waiting,
            CheckState::Accepted => &mut self.accepted,
            CheckState::Reported => &mut self.reported,
            CheckState::Unchecked => &mut self.unchecked,
            CheckState::Excluded => &mut self.excluded,
        };
        *count += runs;
    }
}

impl RunView {
    /// How it stands in the counts.
    #[must_use]
    pub fn shown(&self) -> RunContribution {
        self.run.shown(self.run.mark)
    }
}

/// Which journal entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryFilter {
    /// After this sequence number.
    pub after: u64,
    /// Of this workflow.
    pub workflow: Option<WorkflowName>,
    /// Of this kind.
    pub kind: Option<Arc<str>>,
    /// That happened at or after.
    pub since: Option<Time>,
    /// That happened before.
    pub until: Option<Time>,
    /// At most so many.
    pub limit: usize,
}

/// A page of the journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entries {
    /// The entries, oldest first.
    pub views: Vec<JournalView>,
    /// The entry that the next page follows; `None` at the end.
    pub next: Option<u64>,
}

/// What a review reads of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// Of this workflow and of all at once; of every one where it is absent.
    pub workflow: Option<WorkflowName>,
    /// From when on.
    pub since: Time,
    /// Before when.
    pub until: Time,
    /// Of these kinds.
    pub kinds: Vec<EventKind>,
    /// And admitted calls that a person let go, by themselves or for a while, whether of these
    /// kinds or not.
    pub granted: bool,
}

impl Happened {
    /// Is `entry` one of them?
    #[must_use]
    pub fn has(&self, entry: &Entry) -> bool {
        let is_of_workflow =
            self.workflow.is_none() || entry.workflow.is_none() || entry.workflow == self.workflow;
        let granted = || {
            self.granted
                && matches!(&entry.event, Event::Admitted(admission) if admission.uses_grant())
        };
        is_of_workflow
            && self.since <= entry.at
            && entry.at < self.until
            && (self.kinds.contains(&entry.event.kind()) || granted())
    }
}

/// Calls that went although a rule said otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadowed {
    /// Whose.
    pub workflow: WorkflowName,
    /// Of which tool.
    pub tool: ToolName,
    /// What the rule said.
    pub verdict: Verdict,
    /// Which rule.
    pub rule: Arc<str>,
    /// How many.
    pub calls: u64,
}

/// A journal entry and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalView {
    /// Its sequence number.
    pub seq: u64,
    /// The entry.
    pub entry: Entry,
    /// The event as JSON, byte for byte as the journal has it: its digest is taken over this text.
    pub body: Arc<str>,
    /// The digest of the entry and of all before it.
    pub hash: Digest,
}

impl JournalView {
    /// An entry of a journal without a chain: nobody can come between its rows.
    #[must_use]
    pub fn unchained(seq: u64, entry: &Entry) -> Self {
        let body = serde_json::to_string(&entry.event)
            .unwrap_or_default()
            .into();
        JournalView {
            seq,
            entry: entry.clone(),
            body,
            hash: Digest::new([0; 32]),
        }
    }
}
