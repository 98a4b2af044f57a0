//! Which run an id means.
//!
//! An id belongs to one run of one agent in one workflow. When that run has ended, what comes under
//! its id later is a continuation, `id#2`, `id#3` and so on: the answer to the agent, the run index
//! and a report all use that name, after a restart and after a year too.
//!
//! A business object means the newest run that touched it through its riskiest tool. Where runs of
//! several workflows may be meant nobody is charged: they are named, and whoever asks says which.

use std::collections::BTreeMap;

use crate::gate::name::{AgentName, CallId, RunId, ToolName, WorkflowName};
use crate::gate::risk::Risk;
use crate::gate::run::Mark;
use crate::gate::state::State;
use crate::gate::time::Time;

/// How many runs are named when more than one matches.
pub const MAX_NAMED: usize = 10;

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

/// A booked run that touched an object, and its row.
#[derive(Debug, Clone)]
pub struct TouchingRun<R> {
    /// The run. Its workflow has its present name.
    pub candidate: Candidate,
    /// Its row: rows are in the order in which runs were booked.
    pub row: R,
}

/// Why an id or an object does not identify one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotOne {
    /// There is no booked run. Where open runs were given, it is one of them.
    Unknown,
    /// There are several.
    Several(Vec<Candidate>),
}

/// What is on record under the ids of one agent in one workflow.
pub trait RunNames {
    /// A row.
    type Row;
    /// Why it cannot be read.
    type Error;

    /// The row of the run with exactly this id, and whether the run goes on.
    fn named(&mut self, run: &str) -> Result<Option<(Self::Row, bool)>, Self::Error>;

    /// The row of a run without an id of its own that goes on and whose first call this is.
    fn open_by_call(&mut self, call: CallId) -> Result<Option<Self::Row>, Self::Error>;

    /// The newest continuation of `base` that goes on.
    fn open_continuation(&mut self, base: &str) -> Result<Option<Self::Row>, Self::Error>;

    /// The highest number among `base` itself, which counts as 1, and its continuations; 0 where
    /// there is none.
    fn last_number(&mut self, base: &str) -> Result<u64, Self::Error>;
}

/// Where a run belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Belongs<R> {
    /// It was booked before its end, and this row waits for the rest.
    To(R),
    /// It needs a row: under this id, or under its call's where there is none.
    Nowhere(Option<RunId>),
}

/// The row that the run belongs to which whoever hands it over calls `run`; `call` is its only
/// call, where that is the run.
///
/// # Errors
/// What `names` cannot read.
pub fn row_of<N: RunNames>(
    names: &mut N,
    run: &str,
    call: Option<CallId>,
) -> Result<Belongs<N::Row>, N::Error> {
    match names.named(run)? {
        Some((row, true)) => Ok(Belongs::To(row)),
        // Whoever handed it over did not know that the id was used. It is another run.
        Some((_, false)) => {
            let (base, _) = split(run);
            if let Some(row) = names.open_continuation(base)? {
                return Ok(Belongs::To(row));
            }
            let mut number = names.last_number(base)?.saturating_add(1);
            while names.named(numbered(base, number).as_str())?.is_some() {
                number = number.saturating_add(1);
            }
            Ok(Belongs::Nowhere(Some(numbered(base, number))))
        }
        // A run that was booked under its call's id belongs there, and so does one that an agent
        // named like a call.
        None => match call.or_else(|| run.parse().ok()) {
            Some(known) => match row_of_call(names, known)? {
                Belongs::Nowhere(_) if call.is_none() => Ok(Belongs::Nowhere(Some(run.into()))),
                belongs => Ok(belongs),
            },
            None => Ok(Belongs::Nowhere(Some(run.into()))),
        },
    }
}

/// The row of a run that has ended: under its id, or where it has none, under that of `call`, its
/// only one. Of the runs without an id only those that went wrong were booked before their end.
///
/// # Errors
/// What `names` cannot read.
pub fn row_of_ended<N: RunNames>(
    names: &mut N,
    run: Option<&RunId>,
    mark: Mark,
    call: Option<CallId>,
) -> Result<Belongs<N::Row>, N::Error> {
    match (run, call) {
        (Some(run), _) => row_of(names, run.as_str(), None),
        (None, Some(call)) if mark == Mark::Unacceptable => row_of_call(names, call),
        (None, _) => Ok(Belongs::Nowhere(None)),
    }
}

/// The row that a run belongs to whose only call this is.
///
/// # Errors
/// What `names` cannot read.
fn row_of_call<N: RunNames>(names: &mut N, call: CallId) -> Result<Belongs<N::Row>, N::Error> {
    let row = names.open_by_call(call)?;
    Ok(row.map_or(Belongs::Nowhere(None), Belongs::To))
}

/// An id without its continuation's number, and that number: 1 where it has none.
#[must_use]
pub fn split(run: &str) -> (&str, u64) {
    let parts = run.rsplit_once('#');
    parts
        .and_then(|(base, number)| {
            let number: u32 = number.parse().ok().filter(|number| *number > 1)?;
            Some((base, u64::from(number)))
        })
        .unwrap_or((run, 1))
}

/// The id of the run with this number among those that are called `base`.
#[must_use]
pub fn numbered(base: &str, number: u64) -> RunId {
    match number {
        0 | 1 => base.into(),
        number => format!("{base}#{number}").into(),
    }
}

/// A number above those of all runs so far under an id of which that cannot be looked up, because
/// the journal is unwell: numbers are given out one by one, and this one counts seconds.
#[must_use]
pub fn above_all(now: Time) -> u64 {
    u64::try_from(now.as_millis() / 1_000).unwrap_or(1)
}

/// The present name of a workflow that may have been renamed since.
#[must_use]
pub fn present_name(state: &State, workflow: &WorkflowName) -> WorkflowName {
    if state.workflow(workflow).is_some() {
        return workflow.clone();
    }
    let heir = state
        .workflows()
        .find(|(_, state)| state.terms().was.as_ref() == Some(workflow));
    heir.map_or_else(|| workflow.clone(), |(name, _)| name.clone())
}

/// The run that is meant by an object that `touching` touched, and `open` runs too, of each
/// workflow the likeliest.
///
/// # Errors
/// None or several are meant.
pub fn by_object<R: Copy + Ord>(
    touching: Vec<TouchingRun<R>>,
    open: &[Candidate],
) -> Result<R, NotOne> {
    let risk = |candidate: &Candidate| candidate.tool.as_ref().map(|(risk, _)| *risk);
    let mut newest: BTreeMap<WorkflowName, TouchingRun<R>> = BTreeMap::new();
    for touching in touching {
        let order = |one: &TouchingRun<R>| (risk(&one.candidate), one.row);
        if newest
            .get(&touching.candidate.workflow)
            .is_none_or(|known| order(&touching) > order(known))
        {
            newest.insert(touching.candidate.workflow.clone(), touching);
        }
    }
    let booked = newest.values().map(|touching| risk(&touching.candidate));
    let riskiest = booked.chain(open.iter().map(risk)).max();
    let open: Vec<_> = open
        .iter()
        .filter(|open| Some(risk(open)) == riskiest)
        .collect();
    // A booked run is meant only where it did more harm than an open one of its workflow.
    newest.retain(|workflow, touching| {
        Some(risk(&touching.candidate)) == riskiest
            && open.iter().all(|open| open.workflow != *workflow)
    });
    if newest.len() + open.len() > 1 {
        let mut named: Vec<_> = open.into_iter().cloned().collect();
        named.extend(newest.into_values().map(|touching| touching.candidate));
        named.sort_by(|one, other| one.workflow.cmp(&other.workflow));
        named.truncate(MAX_NAMED);
        return Err(NotOne::Several(named));
    }
    let only = newest.into_values().next();
    only.map(|touching| touching.row).ok_or(NotOne::Unknown)
}
