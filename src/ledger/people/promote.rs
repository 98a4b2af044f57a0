//! Promotions and demotions by an operator: taking a step that is earned, giving a level, or
//! agreeing to a demotion that is proposed.
//!
//! A step is taken only when it is earned: it rests on counts that a reader can follow. A level can
//! be given without them, with a reason on record, but not to a workflow that is burned or
//! breached, which has to recover first.

use super::conflict::{ExclusiveOperation, refuse_while_under_way};
use super::outcome::{OperateError, known_level};
use crate::gate::budget::posture::Posture;
use crate::gate::earn::{Gain, StepProgress};
use crate::gate::event::Event;
use crate::gate::name::{LevelName, PersonName, StepName, WorkflowName};
use crate::gate::workflow::WorkflowState;
use crate::journal::port::Durable;
use crate::ledger::living::Ledger;

/// At tier high nothing is promoted without a recent review.
const NO_REVIEW: &str = "nobody has reviewed it for 30 days: `burngate review` shows it, `burngate review --done` records that somebody looked";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Promotion {
    /// This level.
    Level(LevelName),
    /// This step.
    Step(StepName),
    /// Whatever is proposed, where it is one thing.
    Proposed,
}

impl Ledger {
    /// Gives what was asked for. It acts once it is durable.
    ///
    /// # Errors
    /// There is no such level or step, it is not earned, or the state does not permit it.
    pub fn promote(
        &self,
        workflow: &WorkflowName,
        by: &PersonName,
        what: &Promotion,
        reason: &str,
    ) -> Result<Durable, OperateError> {
        let shard = self
            .shard(workflow)
            .ok_or_else(|| OperateError::NoWorkflow(workflow.clone()))?;
        if let Promotion::Level(to) = what {
            known_level(&shard, to)?;
        }
        let now = self.now();
        shard.advance(now);
        let mut live = shard.lock();
        refuse_while_under_way(&live, workflow, ExclusiveOperation::Promotion)?;
        let state = live.state();
        let what = if *what == Promotion::Proposed {
            sole_proposal(workflow, state)?
        } else {
            what.clone()
        };
        let event = match what {
            Promotion::Level(to) => level_event(workflow, state, to, by, reason)?,
            Promotion::Step(step) => step_event(workflow, state, step, by, reason)?,
            Promotion::Proposed => {
                return Err(OperateError::Conflict("nothing is proposed".to_owned()));
            }
        };
        Ok(shard.append(&mut live, &*self.journal, now, event).durable)
    }
}

fn sole_proposal(
    workflow: &WorkflowName,
    state: &WorkflowState,
) -> Result<Promotion, OperateError> {
    let mut proposed: Vec<_> = state
        .progress()
        .into_iter()
        .filter(|progress| progress.proposed.is_some())
        .map(|progress| Promotion::Step(progress.step.name))
        .collect();
    proposed.extend(state.demotion().map(|(to, _)| Promotion::Level(to.clone())));
    match (proposed.pop(), proposed.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => Err(OperateError::Conflict(format!(
            "nothing is proposed for `{workflow}`; name a level with `to`, or an earned step with `step`"
        ))),
        (Some(_), false) => Err(OperateError::Conflict(format!(
            "several things are proposed for `{workflow}`; name one with `to` or `step`"
        ))),
    }
}

fn level_event(
    workflow: &WorkflowName,
    state: &WorkflowState,
    to: LevelName,
    by: &PersonName,
    reason: &str,
) -> Result<Event, OperateError> {
    let rung = |name: &LevelName| state.terms().ladder.find(name.as_str());
    let earned = state.terms().ladder.name(state.effective().earned);
    if state
        .demotion()
        .is_some_and(|(proposed, _)| *proposed == to)
    {
        return Ok(Event::Demoted {
            to,
            by: Some(by.clone()),
            reason: reason.into(),
        });
    }
    if rung(&to) <= rung(earned) {
        return Err(OperateError::Conflict(format!(
            "`{workflow}` has earned `{earned}` already; `clamp` sets a ceiling"
        )));
    }
    if state.misses_review() {
        return Err(OperateError::Conflict(format!(
            "`{workflow}` is of tier high, and {NO_REVIEW}"
        )));
    }
    let posture = state.account().posture();
    if matches!(posture, Posture::Burned | Posture::Breached) {
        return Err(OperateError::Conflict(format!(
            "`{workflow}` is {posture}: the way back is to recover"
        )));
    }
    Ok(Event::Promoted {
        to,
        by: Some(by.clone()),
        reason: reason.into(),
    })
}

fn step_event(
    workflow: &WorkflowName,
    state: &WorkflowState,
    step: StepName,
    by: &PersonName,
    reason: &str,
) -> Result<Event, OperateError> {
    let open = state.progress();
    let Some(progress) = open.iter().find(|progress| progress.step.name == step) else {
        let is_level = |known: &crate::gate::earn::Step| {
            known.name == step && matches!(known.gain, Gain::Level { .. })
        };
        if state.steps().taken().contains_key(&step)
            || state.terms().earn.steps.iter().any(is_level)
        {
            return Err(OperateError::Conflict(format!(
                "step `{step}` of `{workflow}` is taken already"
            )));
        }
        let known = open
            .iter()
            .map(|progress| format!("`{}`", progress.step.name))
            .collect::<Vec<_>>()
            .join(", ");
        let known = if known.is_empty() {
            "none".to_owned()
        } else {
            known
        };
        return Err(OperateError::NoStep {
            workflow: workflow.clone(),
            step,
            known,
        });
    };
    if !state.is_met(progress) {
        return Err(OperateError::Conflict(format!(
            "step `{step}` of `{workflow}` is not earned: {}",
            missing(state, progress)
        )));
    }
    Ok(Event::StepTaken {
        step,
        by: by.clone(),
        reason: reason.into(),
    })
}

/// What a step still needs, as a fragment of a sentence.
fn missing(state: &WorkflowState, progress: &StepProgress) -> String {
    let (proof, posture) = (progress.proof, state.account().posture());
    let mut missing = Vec::new();
    if posture != Posture::Healthy {
        missing.push(format!("the budget is {posture}"));
    }
    if progress.days < progress.step.after_days {
        missing.push(format!(
            "{} of {} days within budget",
            progress.days, progress.step.after_days
        ));
    }
    if !proof.is_enough() {
        missing.push(format!(
            "{} of the {} runs that it takes with {} unacceptable",
            proof.runs, proof.needed, proof.unacceptable
        ));
    }
    if state.misses_review() {
        missing.push(NO_REVIEW.to_owned());
    }
    if state.steps().is_thinned() {
        missing.push("more than 2% of its runs were excluded".to_owned());
    }
    missing.join(", ")
}
