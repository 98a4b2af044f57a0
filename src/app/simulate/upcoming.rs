//! What a replay does between the journal's own entries: calls to judge and runs to book, in the
//! order of their times.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::rc::Rc;

use crate::gate::name::WorkflowName;
use crate::gate::run::RunRef;
use crate::gate::time::Time;
use crate::journal::read::RunView;

/// A run of a workflow.
pub(super) type WorkflowRun = (WorkflowName, RunRef);

/// A run with calls that are still to be judged.
pub(super) struct ReplayedRun {
    pub(super) key: WorkflowRun,
    pub(super) view: RunView,
    pub(super) state: RefCell<OpenState>,
}

#[derive(Default)]
pub(super) struct OpenState {
    pub(super) calls: u32,
    pub(super) escalated: bool,
    pub(super) held: bool,
    pub(super) prevented: bool,
}

/// Something that happens between the journal's own entries.
pub(super) enum UpcomingStep {
    /// This call of a run is judged.
    Call(Rc<ReplayedRun>, usize),
    /// A run that these objectives count as unacceptable is booked.
    Book(Rc<ReplayedRun>),
}

impl ReplayedRun {
    /// A run of which no call has been judged yet.
    pub(super) fn new(key: WorkflowRun, view: RunView) -> Self {
        ReplayedRun {
            key,
            view,
            state: RefCell::default(),
        }
    }
}

/// The steps that are still to come. Steps of one time come in the order in which they were added.
#[derive(Default)]
pub(super) struct Upcoming {
    queue: BinaryHeap<Reverse<(Time, u64)>>,
    steps: HashMap<u64, UpcomingStep>,
    added: u64,
}

impl Upcoming {
    /// Adds a step.
    pub(super) fn push(&mut self, at: Time, step: UpcomingStep) {
        self.added += 1;
        self.queue.push(Reverse((at, self.added)));
        self.steps.insert(self.added, step);
    }

    /// Takes the first step that is due by `until`.
    pub(super) fn pop(&mut self, until: Time) -> Option<(Time, UpcomingStep)> {
        let Reverse((at, n)) = *self.queue.peek()?;
        if at > until {
            return None;
        }
        self.queue.pop();
        self.steps.remove(&n).map(|step| (at, step))
    }
}
