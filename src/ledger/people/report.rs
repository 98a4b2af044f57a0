//! Reports that a run went wrong, and other changes of how runs stand: an open run is charged at
//! once, any other is looked up in the run index.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::gate::booking::Change;
use crate::gate::booking::ids::Candidate;
use crate::gate::run::{Charge, Mark};
use crate::gate::time::Time;
use crate::journal::port::{Durable, Journal};
use crate::journal::receipt;
use crate::journal::receipt::{Receipt, Stamp};
use crate::journal::revise::{Batch, BatchOf, Revise, ReviseError, Revised, RevisedAll, RunTarget};
use crate::ledger::living::Ledger;
use crate::ledger::runs::charge;
use crate::ledger::runs::index::Key;
use crate::ledger::runs::open::{End, OpenRun};

/// What a report came to.
pub enum Reported {
    /// The run was open, and is charged; `durable` where something was journaled.
    Open {
        /// What changed.
        revised: Revised,
        /// Answers once it is durable.
        durable: Option<Durable>,
    },
    /// The run was booked: the answer comes from the run index.
    Booked(Receipt<Result<Revised, ReviseError>>),
}

impl Ledger {
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
                    let is_in_workflow = workflow
                        .as_ref()
                        .is_none_or(|workflow| *workflow == key.workflow);
                    is_in_workflow.then(|| open.lock()).and_then(|run| {
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
                // The likeliest first: of each workflow, only that one is a candidate.
                open.sort_by(|(one, ..), (other, ..)| other.cmp(one));
                let mut workflows = BTreeSet::new();
                open.retain(|(_, workflow, _)| workflows.insert(workflow.clone()));
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

    /// Changes how a booked run stands in any other way. One that is still open is ended first, so
    /// that people judge a whole run: the next call under its id opens a continuation.
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

    fn report_named(&self, target: RunTarget, charge: Charge) -> Reported {
        let mut found = self.runs.matching(|key, open| is_named(&target, key, open));
        // Where an id was finished and is used again, the report is about the run that is open.
        if found.len() > 1
            && found.iter().all(|(key, open)| {
                (&key.workflow, &key.agent) == (&found[0].0.workflow, &found[0].0.agent)
                    && open.given_id.is_some()
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
                        at: run.booked_at.unwrap_or(run.last_activity),
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
            // It ended in between, and its record was handed over before this is.
            Err(charge) => Reported::Booked(
                self.journal
                    .revise(self.revision(target, Change::Report(*charge))),
            ),
        }
    }

    /// A report by a business object that open runs touched, `open` the likeliest of them. The
    /// journal compares them with booked runs: one that touched it through a riskier tool, or was
    /// reported so before, is charged instead; where runs of several workflows come into question,
    /// none is.
    fn report_touched(
        &self,
        open: Arc<OpenRun>,
        candidates: Vec<Candidate>,
        target: RunTarget,
        charge: Charge,
    ) -> Reported {
        let (stamp, receipt) = receipt::pair();
        let (journal, clock) = (Arc::clone(&self.journal), Arc::clone(&self.clock));
        let booked_only = self.revision(target, Change::Report(charge.clone()));
        let revise = Revise {
            open: candidates,
            ..booked_only.clone()
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
                            .revise(booked_only)
                            .then(move |answer| forward_answer(stamp, answer)),
                    }
                }
                answer => forward_answer(stamp, answer),
            });
        Reported::Booked(receipt)
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
            run.in_flight_ids.contains(call) || run.calls.iter().any(|known| known.call == *call)
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
    let durable = charge::charge(journal, &open.handle, open, &mut run, charge, now);
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

fn forward_answer<T>(stamp: Stamp<T>, answer: Option<T>) {
    if let Some(answer) = answer {
        stamp.answer(answer);
    }
}
