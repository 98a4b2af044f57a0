//! What happens to queued entries when the disk fails: who gets an error, what is dropped, and what
//! is kept until it can be written (G7, G9).

use std::collections::VecDeque;

use super::queue::Job;
use super::transaction::Written;
use crate::gate::event::{Entry, Event};
use crate::gate::run::Executed;
use crate::gate::time::Time;
use crate::journal::unavailable::Unavailable;

/// Answers everybody who waits with the error, and returns what must still be written and what was
/// dropped.
pub(super) fn refuse(jobs: VecDeque<Job>) -> (VecDeque<Job>, Vec<Written>) {
    let mut kept = VecDeque::with_capacity(jobs.len());
    let mut dropped = Vec::new();
    for job in jobs {
        match job {
            Job::Append {
                ticket,
                entry,
                stamp,
            } => {
                if let Some(stamp) = stamp {
                    stamp.answer(Err(Unavailable));
                }
                if entry.event.is_fact() {
                    kept.push_back(Job::Append {
                        ticket,
                        entry,
                        stamp: None,
                    });
                } else {
                    dropped.push((ticket, *entry));
                }
            }
            Job::Revise { stamp, .. } => stamp.answer(Err(Unavailable.into())),
            Job::ReviseAll { stamp, .. } => stamp.answer(Err(Unavailable.into())),
            Job::Import { stamp, .. } => stamp.answer(Err(Unavailable.into())),
            Job::Record(_) | Job::LossBooked => kept.push_back(job),
        }
    }
    (kept, dropped)
}

/// Undoes, in an event, what was refused and turned out to be written.
pub(super) fn take_back(entry: &Entry, now: Time) -> Option<Entry> {
    let event = match &entry.event {
        // Its caller got an error, so not a byte of it went upstream.
        Event::Admitted(admission) => Event::Settled {
            call: admission.call,
            executed: Executed::No,
            undid: None,
        },
        Event::Held(request) => Event::Withdrawn {
            approval: request.approval,
            reason: "the journal failed while the call was being held".into(),
        },
        _ => return None,
    };
    Some(Entry {
        at: now.max(entry.at),
        workflow: entry.workflow.clone(),
        event,
    })
}
