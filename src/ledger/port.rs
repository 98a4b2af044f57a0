//! The ports: what the living state needs of whoever keeps it. `store` implements them, a simulator
//! may too.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::past::{ImportError, ImportReply, ImportStep};
use super::receipt;
use super::receipt::Receipt;
use crate::gate::digest::Digest;
use crate::gate::event::{Charge, Entry, Event, Executed, Mark};
use crate::gate::facets::{Facets, Shown};
use crate::gate::name::{AgentName, CallId, PersonName, RunId, Subject, ToolName, WorkflowName};
use crate::gate::outcome::{FailureMode, Outcome};
use crate::gate::risk::Risk;
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;
use crate::gate::workflow::WorkflowState;

/// A place in the order in which things were handed to the journal. Counts from 1.
pub type Ticket = u64;

/// What one append gives back.
pub struct Appended {
    /// Its place in the order.
    pub ticket: Ticket,
    /// Answers once it is durable.
    pub durable: Receipt<Result<(), Unavailable>>,
}

/// The journal cannot take it, or cannot say that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the journal is unavailable")]
pub struct Unavailable;

/// Where events and ended runs go. No method blocks on a disk.
pub trait Journal: Send + Sync {
    /// Hands `entry` over. Entries of one workflow reach the journal in the order in which they
    /// were handed over.
    fn append(&self, entry: Entry) -> Appended;

    /// Hands over a run that has ended. It reaches the journal and the run index in one
    /// transaction, at most 250 ms later.
    fn record(&self, run: RunRecord);

    /// Is the disk well, and is there room? A call that must be durable first is admitted only if
    /// so; what happens to admitted calls is always taken.
    fn ready(&self) -> bool;

    /// Is there room for one more ended run? Any call is admitted only if so.
    fn room(&self) -> bool;

    /// Looks a booked run up and changes how it stands, one such change after the other.
    fn revise(&self, revise: Revise) -> Receipt<Result<Revised, ReviseError>>;

    /// Changes how many booked runs stand: all of them, in one transaction, or none.
    fn revise_all(&self, batch: Batch) -> Receipt<Result<RevisedAll, ReviseError>>;

    /// Takes a step of the import of a history. A journal that keeps no run index takes none.
    fn import(&self, step: ImportStep) -> Receipt<Result<ImportReply, ImportError>> {
        drop(step);
        let (stamp, receipt) = receipt::pair();
        stamp.answer(Err(Unavailable.into()));
        receipt
    }
}

/// Who reads what the journal has made durable. Called by the writer, before it answers receipts.
pub trait Projection: Send + Sync {
    /// `entries` of one workflow are durable; `state` is the fold behind the last of them, and
    /// `upto` the highest ticket among them (0 where none had one).
    fn committed(
        &self,
        workflow: &WorkflowName,
        upto: Ticket,
        entries: &[Entry],
        state: &WorkflowState,
    );

    /// `entry` concerns the process or every workflow, and is durable. Told once, after every
    /// workflow was told of it.
    fn announced(&self, entry: &Entry) {
        let _ = entry;
    }

    /// What one workflow handed over with these tickets was refused and will never be written;
    /// `state` is the fold. Called before the journal is ready again.
    fn refused(&self, workflow: &WorkflowName, tickets: &[Ticket], state: &WorkflowState) {
        let _ = (workflow, tickets, state);
    }
}

/// A run that has ended, with its calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRecord {
    /// Whose workflow.
    pub workflow: WorkflowName,
    /// Whose run.
    pub agent: AgentName,
    /// Its id; `None` where its only call is the run: then the call's id is the run's.
    pub run: Option<RunId>,
    /// When it began.
    pub started: Time,
    /// When it ended.
    pub ended: Time,
    /// When it was booked: at its first unacceptable mode, else at its end.
    pub booked_at: Time,
    /// What it stands as. `Unacceptable` runs were booked by an event of their own and are not
    /// tallied again.
    pub mark: Mark,
    /// Whether it executed a `high` call.
    pub high: bool,
    /// What the gate saw of it besides.
    pub seen: Facets,
    /// What went wrong, counted or not.
    pub charges: Vec<Charge>,
    /// Its calls, in order.
    pub calls: Vec<CallRecord>,
}

/// One call of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRecord {
    /// Its id.
    pub call: CallId,
    /// When it was judged.
    pub at: Time,
    /// Its tool; for an unlisted call, method and path of the API as `api/?`.
    pub tool: ToolName,
    /// Its tool's risk class.
    pub risk: Risk,
    /// What the gate said.
    pub verdict: Verdict,
    /// Whether it was executed.
    pub executed: Executed,
    /// The rule that decided, where it was not allowed.
    pub rule: Option<Arc<str>>,
    /// The status the agent got.
    pub status: u16,
    /// The business object it touched.
    pub subject: Option<Subject>,
    /// Its arguments as canonical JSON, where the policy says `record: arguments` and they are no
    /// longer than [`MAX_RECORDED`].
    pub args: Option<Arc<str>>,
}

/// The longest arguments that are recorded, in bytes. Of longer ones only the facts are kept, as of
/// all where the policy does not say `record: arguments`.
pub const MAX_RECORDED: usize = 16 * 1024;

/// Which run is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunTarget {
    /// By its id; workflow and agent where they are needed to tell runs apart.
    Run {
        /// The run's id.
        run: RunId,
        /// Its workflow.
        workflow: Option<WorkflowName>,
        /// Its agent.
        agent: Option<AgentName>,
    },
    /// By one of its calls.
    Call(CallId),
    /// The newest run that touched this business object through its riskiest tool, or through this
    /// one.
    Subject {
        /// The business object.
        subject: Subject,
        /// The tool.
        tool: Option<ToolName>,
        /// The workflow.
        workflow: Option<WorkflowName>,
    },
}

/// A change to how a booked run stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revise {
    /// Which run.
    pub target: RunTarget,
    /// The time it is judged at.
    pub at: Time,
    /// What changes.
    pub change: Change,
    /// Open runs that touched the object, the likeliest of each workflow: a booked one of the same
    /// workflow is meant only where it did through a riskier tool.
    pub open: Vec<Candidate>,
}

/// A run that may be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its workflow.
    pub workflow: WorkflowName,
    /// Its agent.
    pub agent: AgentName,
    /// Its id.
    pub run: RunId,
    /// The tool through which it touched the object, with its risk, where an object was asked for.
    pub tool: Option<(Risk, ToolName)>,
    /// When it was booked; of an open run, when it last touched the object.
    pub at: Time,
}

/// A change to how many booked runs stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Which runs.
    pub of: BatchOf,
    /// The time it is judged at.
    pub at: Time,
    /// What changes.
    pub change: Change,
}

/// Which runs a batch is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchOf {
    /// These, by id, workflow and agent.
    Runs(Vec<RunKey>),
    /// Those with a report, or an exclusion, of this reference that stands.
    Reference(Arc<str>),
}

/// Exactly one booked run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunKey {
    /// Its workflow.
    pub workflow: WorkflowName,
    /// Its agent.
    pub agent: AgentName,
    /// Its id.
    pub run: RunId,
}

/// The most runs of one batch. The journal takes a batch in one transaction, and nobody's admission
/// becomes durable meanwhile.
pub const MAX_BATCH: usize = 10_000;

/// What a batch did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RevisedAll {
    /// Runs that it changed, by workflow.
    pub changed: BTreeMap<WorkflowName, u64>,
    /// Runs of which the same had been said before.
    pub repeated: u64,
}

/// What changes about a booked run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Something went wrong with it.
    Report(Charge),
    /// A report is taken back: the newest with this mode and this reference, as far as they are
    /// given. At least one of them is.
    Retract {
        /// The mode.
        mode: Option<FailureMode>,
        /// The report's reference.
        reference: Option<Arc<str>>,
        /// Who.
        by: PersonName,
    },
    /// It leaves the budget.
    Exclude {
        /// Why.
        reason: Arc<str>,
        /// The reference that it can be put back by.
        reference: Option<Arc<str>>,
        /// Who.
        by: PersonName,
    },
    /// Somebody found out whether a call whose answer was lost was executed.
    Reconcile {
        /// The call.
        call: CallId,
        /// Whether it was.
        executed: bool,
        /// No harm was done: what the gate charged for the lost answer is taken back.
        harmless: bool,
        /// A note.
        note: Option<Arc<str>>,
        /// Who.
        by: PersonName,
    },
    /// It comes back.
    Reinstate {
        /// Who.
        by: PersonName,
    },
    /// A person looked at a run that was drawn, and it was right.
    Accept {
        /// Who.
        by: PersonName,
    },
    /// A person or a system judged it, drawn or not. One that was not right is reported besides:
    /// the judgement alone costs nothing.
    Check {
        /// Whether it was right.
        right: bool,
        /// Who.
        by: PersonName,
    },
}

/// What became of a run that was drawn for people to judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckState {
    /// It waits for somebody.
    Waiting,
    /// Somebody said that it was right.
    Accepted,
    /// Somebody said what was wrong with it.
    Reported,
    /// The queue was full and others were riskier or newer: nobody looked at it.
    Unchecked,
    /// It was taken out of the budget.
    Excluded,
}

/// What a revision did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revised {
    /// The run's workflow.
    pub workflow: WorkflowName,
    /// The run's agent.
    pub agent: AgentName,
    /// The run.
    pub run: RunId,
    /// When it was booked.
    pub booked_at: Time,
    /// What it stood as.
    pub was: Mark,
    /// What it stands as.
    pub now: Mark,
    /// The same report had been made before: nothing changed.
    pub repeated: bool,
}

/// Why a revision cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReviseError {
    /// There is no such run.
    #[error("no run matches")]
    Unknown,
    /// Several runs match.
    #[error("{} runs match", .0.len())]
    Several(Vec<Candidate>),
    /// It has not ended, and what was asked for waits for that.
    #[error("run `{0}` of `{1}` has a call in flight and ends with it; ask again then")]
    Open(RunId, WorkflowName),
    /// More runs than one batch takes.
    #[error(
        "more than {MAX_BATCH} runs match, and one batch takes no more; narrow it down, such as with `since` and `until`"
    )]
    TooMany,
    /// It was never reported so, or is not excluded.
    #[error("{0}")]
    Nothing(&'static str),
    /// The journal cannot take it.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

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
    pub fn shown(&self) -> Shown {
        self.run.shown(self.run.mark)
    }
}

impl RunRecord {
    /// Its id: that of its only call where it has none of its own.
    #[must_use]
    pub fn id(&self) -> RunId {
        let call = || {
            self.calls
                .first()
                .map_or_else(String::new, |call| call.call.to_string())
        };
        self.run.clone().unwrap_or_else(|| RunId::from(call()))
    }

    /// How it stands in the counts, as `mark`.
    #[must_use]
    pub fn shown(&self, mark: Mark) -> Shown {
        Shown::of(mark, self.seen, &self.charges)
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
    pub kinds: Vec<&'static str>,
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
                && matches!(&entry.event, Event::Admitted(admission) if admission.is_let_go())
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
