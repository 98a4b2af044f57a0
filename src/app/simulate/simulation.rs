//! A simulation: the gate's own rules and its own fold, over what happened instead of what happens.
//!
//! Decides what each call would have got and what each run would have been booked as. Where the
//! calls and runs come from is `history` and `journal`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::report::SimulatedWorkflow;
use crate::gate::budget::posture::Posture;
use crate::gate::digest::Digest;
use crate::gate::event::{Effect, Entry, Event, TalliedMinute};
use crate::gate::json::Json;
use crate::gate::name::{ToolName, WorkflowName};
use crate::gate::past;
use crate::gate::policy::facts::RunFacts;
use crate::gate::policy::finding::RuleName;
use crate::gate::policy::judge::Case;
use crate::gate::policy::{Condition, PolicySet, Tool, Workflow, judge};
use crate::gate::risk::Risk;
use crate::gate::run::{Charge, RunRef};
use crate::gate::run_flags::RunFlags;
use crate::gate::state::State;
use crate::gate::status::Status;
use crate::gate::terms::Terms;
use crate::gate::time::{Time, days};
use crate::gate::verdict::Verdict;

/// How long after a burn began a person is taken to have found its cause, where a history has no
/// people in it.
pub const RECOVERS_AFTER: Duration = days(2);
/// How long the probations last that such a person opens.
const PROBATION: Duration = days(7);

/// Receives the progress, in bytes or entries.
pub type ProgressFn<'p> = &'p mut dyn FnMut(usize);

/// Why a simulation is not possible. A message is a fragment; what to do follows after `\nhint: `.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The history cannot be read.
    #[error("cannot read the history: {0}")]
    History(#[from] std::io::Error),
    /// The history is too long to be sorted here.
    #[error(
        "the history is not in the order of time, and has more than {0} lines\nhint: sort it by `at` first"
    )]
    TooLong(usize),
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] crate::store::OpenError),
    /// More runs would have come out differently than are kept apart.
    #[error("more than {0} runs would have come out differently\nhint: simulate a shorter time")]
    TooMany(usize),
}

/// A running simulation.
pub struct Simulation {
    policies: Arc<PolicySet>,
    tools: HashMap<ToolName, Arc<Tool>>,
    state: State,
    workflows: BTreeMap<WorkflowName, WorkflowSimulation>,
    recovers_after: Option<Duration>,
}

/// A workflow under simulation.
struct WorkflowSimulation {
    policy: Arc<Workflow>,
    status: Status,
    /// When time alone causes the next event, and when a person recovers the workflow.
    due: Option<Time>,
    recovers: Option<Time>,
    /// Acceptable runs of the current minute, and the last time in it.
    tally: Option<(Time, TalliedMinute)>,
    report: SimulatedWorkflow,
    /// Since when it has been in its posture.
    since: Time,
}

/// What would have become of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastVerdict {
    /// The verdict, as far as it can be known.
    pub verdict: Verdict,
    /// The verdict is enforced; in shadow mode it would only have been recorded.
    pub acts: bool,
    /// A rule reads what is not on record.
    pub unknown: bool,
}

/// A call of the past.
#[derive(Clone, Copy)]
pub struct PastCall<'a> {
    /// Its tool's name.
    pub tool: &'a str,
    /// Its arguments, where they are on record.
    pub args: Option<&'a Json<'a>>,
    /// Its agent.
    pub agent: &'a str,
    /// Its run.
    pub run: RunFacts<'a>,
}

impl Simulation {
    /// A simulation of `policies` from `at` on. `recovers_after` stands for the people that a
    /// history does not have; `before` is how a ledger began.
    #[must_use]
    pub fn new(
        policies: Arc<PolicySet>,
        at: Time,
        recovers_after: Option<Duration>,
        before: Option<Event>,
    ) -> Self {
        let mut simulation = Simulation {
            tools: policies
                .apis
                .values()
                .flat_map(|api| &api.tools)
                .map(|tool| (tool.name.clone(), Arc::clone(tool)))
                .collect(),
            state: State::default(),
            workflows: BTreeMap::new(),
            recovers_after,
            policies,
        };
        if let Some(event) = before {
            simulation.apply_to_all(at, event);
        }
        simulation.accept(at);
        simulation
    }

    /// Puts the policies in force, at the beginning or again after a restart.
    pub fn accept(&mut self, at: Time) {
        let terms: BTreeMap<WorkflowName, Arc<Terms>> = self
            .policies
            .workflows
            .iter()
            .map(|(name, workflow)| (name.clone(), Arc::clone(&workflow.terms)))
            .collect();
        let version: Digest = self.policies.version;
        let followed = self.state.apply(&Entry {
            at,
            workflow: None,
            event: Event::PolicyAccepted {
                version,
                terms,
                policies: "".into(),
            },
        });
        for (name, policy) in &self.policies.workflows {
            let Some(state) = self
                .state
                .workflow(name)
                .filter(|_| !self.workflows.contains_key(name))
            else {
                continue;
            };
            let status = state.status();
            let report = SimulatedWorkflow::new(policy, &status);
            let simulated = WorkflowSimulation {
                policy: Arc::clone(policy),
                due: state.next_due(),
                status,
                recovers: None,
                tally: None,
                report,
                since: at,
            };
            self.workflows.insert(name.clone(), simulated);
        }
        self.follow(followed);
    }

    /// The workflow's policy, where these policies have it.
    #[must_use]
    pub fn policy(&self, workflow: &str) -> Option<&Arc<Workflow>> {
        self.workflows
            .get(workflow)
            .map(|simulated| &simulated.policy)
    }

    /// Does the tool hand a case over to a person?
    #[must_use]
    pub fn escalates(&self, tool: &str) -> bool {
        self.tools.get(tool).is_some_and(|tool| tool.escalation)
    }

    /// The risk that a call of `tool` is judged as.
    #[must_use]
    pub fn risk(&self, workflow: &Workflow, tool: &str) -> Risk {
        judge::risk(workflow, self.tools.get(tool).map(|tool| &**tool))
    }

    /// The report on a workflow, to be added to.
    pub fn report(&mut self, workflow: &str) -> Option<&mut SimulatedWorkflow> {
        self.workflows
            .get_mut(workflow)
            .map(|simulated| &mut simulated.report)
    }

    /// Lets time pass for a workflow, with everything that time alone causes.
    pub fn pass(&mut self, workflow: &WorkflowName, at: Time) {
        loop {
            let Some(simulated) = self.workflows.get(workflow) else {
                return;
            };
            let recovers = simulated.recovers.filter(|time| *time <= at);
            let due = simulated.due.filter(|time| *time <= at);
            match (due, recovers) {
                (None, None) => return,
                (Some(due), recovers) if recovers.is_none_or(|recovers| due <= recovers) => {
                    self.flush(workflow);
                    // Everything up to the next moment at which a person does something.
                    let until = recovers.unwrap_or(at);
                    let followed = self.state.advance(until);
                    self.follow(followed);
                    self.update_due(workflow);
                }
                (_, recovers) => {
                    self.flush(workflow);
                    if let Some(simulated) = self.workflows.get_mut(workflow) {
                        simulated.recovers = None;
                    }
                    let cause = "taken to be found by a person; no history has people in it".into();
                    let event = Event::Recovered {
                        cause,
                        fix: None,
                        to: None,
                        lasts: PROBATION,
                        by: "simulate".into(),
                    };
                    self.apply(workflow, recovers.unwrap_or(at), event);
                }
            }
        }
    }

    /// Judges a call by the current state of its workflow, and counts it.
    pub fn judge(&mut self, workflow: &WorkflowName, at: Time, call: PastCall<'_>) -> PastVerdict {
        let nothing = PastVerdict {
            verdict: Verdict::Allow,
            acts: false,
            unknown: true,
        };
        let Some(simulated) = self.workflows.get_mut(workflow) else {
            return nothing;
        };
        let tool = self.tools.get(call.tool).map(|tool| &**tool);
        let facts = past::facts(
            call.args,
            call.tool,
            call.agent,
            workflow.as_str(),
            call.run,
            &simulated.status,
        );
        let case = Case {
            workflow: &simulated.policy,
            status: &simulated.status,
            tool,
            facts,
            now: at,
        };
        let knows =
            |rule: RuleName| tool.is_none_or(|tool| is_known(tool, rule, call.args.is_some()));
        let mut unknown = tool.is_some_and(|tool| {
            !RULES
                .iter()
                .all(|rule| is_known(tool, *rule, call.args.is_some()))
        });
        let (mut acting, mut shadowed) = (Verdict::Allow, Verdict::Allow);
        match judge::explain(&case) {
            Ok(findings) => {
                for finding in findings.iter().filter(|finding| knows(finding.rule)) {
                    let strictest = if case.is_shadowed(finding) {
                        &mut shadowed
                    } else {
                        &mut acting
                    };
                    *strictest = finding.verdict.max(*strictest);
                }
            }
            // The gate would have answered 400: no run of the past got that answer.
            Err(_) => unknown = true,
        }
        // As the gate records it: what is enforced, or else what shadow mode would have done.
        let acts = acting > Verdict::Allow;
        let verdict = if acts { acting } else { shadowed };
        let calls = &mut simulated.report.calls;
        calls.unknown += u64::from(unknown);
        *match verdict {
            Verdict::Allow => &mut calls.allowed,
            Verdict::Hold => &mut calls.held,
            Verdict::Deny => &mut calls.denied,
        } += 1;
        PastVerdict {
            verdict,
            acts,
            unknown,
        }
    }

    /// Books an acceptable run, or an idle one.
    pub fn tally(&mut self, workflow: &WorkflowName, at: Time, high: bool, idle: bool) {
        let minute = at.minute();
        if self
            .workflows
            .get(workflow)
            .and_then(|simulated| simulated.tally.as_ref())
            .is_some_and(|(_, cell)| cell.minute != minute)
        {
            self.flush(workflow);
        }
        let Some(simulated) = self.workflows.get_mut(workflow) else {
            return;
        };
        let (last, cell) = simulated
            .tally
            .get_or_insert_with(|| (at, TalliedMinute::new(minute)));
        *last = at;
        if idle {
            cell.idle += 1;
            simulated.report.idle += 1;
        } else {
            cell.runs += 1;
            cell.high += u64::from(high);
            simulated.report.runs += 1;
        }
    }

    /// Books an unacceptable run.
    pub fn book(
        &mut self,
        workflow: &WorkflowName,
        at: Time,
        run: RunRef,
        high: bool,
        charges: Vec<Charge>,
    ) {
        self.flush(workflow);
        self.apply(
            workflow,
            at,
            Event::Booked {
                run,
                high,
                charges,
                observed: RunFlags::NONE,
            },
        );
        if let Some(report) = self.report(workflow.as_str()) {
            report.runs += 1;
            report.unacceptable += 1;
        }
    }

    /// Applies an event.
    pub fn apply(&mut self, workflow: &WorkflowName, at: Time, event: Event) {
        let followed = self.state.apply(&Entry {
            at,
            workflow: Some(workflow.clone()),
            event,
        });
        self.follow(followed);
        self.update_due(workflow);
    }

    /// Applies an event that concerns the process or every workflow.
    pub fn apply_to_all(&mut self, at: Time, event: Event) {
        let followed = self.state.apply(&Entry {
            at,
            workflow: None,
            event,
        });
        self.follow(followed);
        let names: Vec<_> = self.workflows.keys().cloned().collect();
        for name in &names {
            self.update_due(name);
        }
    }

    /// Ends the simulation at `at`, with a report on each workflow.
    #[must_use]
    pub fn end(mut self, at: Time) -> BTreeMap<WorkflowName, SimulatedWorkflow> {
        let names: Vec<_> = self.workflows.keys().cloned().collect();
        for name in &names {
            self.pass(name, at);
            self.flush(name);
        }
        let followed = self.state.advance(at);
        self.follow(followed);
        let state = &self.state;
        self.workflows
            .into_iter()
            .map(|(name, mut simulated)| {
                simulated
                    .report
                    .stay(simulated.status.posture, simulated.since, at);
                if let Some(state) = state.workflow(&name) {
                    simulated.report.ends(&state.status());
                }
                (name, simulated.report)
            })
            .collect()
    }

    fn flush(&mut self, workflow: &WorkflowName) {
        let Some((at, cell)) = self
            .workflows
            .get_mut(workflow)
            .and_then(|simulated| simulated.tally.take())
        else {
            return;
        };
        self.apply(workflow, at, Event::Tallied { cells: vec![cell] });
    }

    fn update_due(&mut self, workflow: &WorkflowName) {
        if let (Some(simulated), Some(state)) = (
            self.workflows.get_mut(workflow),
            self.state.workflow(workflow),
        ) {
            simulated.due = state.next_due();
        }
    }

    fn follow(&mut self, followed: Vec<Entry>) {
        let mut overdue = Vec::new();
        for Entry {
            at,
            workflow,
            event,
        } in followed
        {
            let (Some(workflow), Event::Followed(effect)) = (workflow, event) else {
                continue;
            };
            let (Some(simulated), Some(state)) = (
                self.workflows.get_mut(&workflow),
                self.state.workflow(&workflow),
            ) else {
                continue;
            };
            // A history has no reviewers either.
            if matches!(effect, Effect::ReviewOverdue { .. }) && self.recovers_after.is_some() {
                overdue.push((workflow, at));
                continue;
            }
            if let Effect::PostureChanged { from, .. } = &effect {
                simulated.report.stay(*from, simulated.since, at);
                simulated.since = at;
            }
            // A return to a burn that was left, and a probation that was used up, need a cause to be
            // found as well.
            let burns = matches!(&effect, Effect::PostureChanged { to, .. } if *to >= Posture::Burned)
                || matches!(effect, Effect::ProbationEnded { lasted: false });
            if let Some(after) = self
                .recovers_after
                .filter(|_| burns && simulated.recovers.is_none())
            {
                simulated.recovers = Some(at.plus(after));
            }
            simulated.report.note(at, effect);
            simulated.status = state.status();
            simulated.due = state.next_due();
        }
        for (workflow, at) in overdue {
            self.apply(
                &workflow,
                at,
                Event::Reviewed {
                    by: "simulate".into(),
                    note: None,
                },
            );
        }
    }
}

/// The rules that can depend on what a history may not have.
const RULES: [RuleName; 4] = [
    RuleName::Arguments,
    RuleName::DenyWhen,
    RuleName::HoldWhen,
    RuleName::EscalateWhen,
];

/// Can what this rule says of the tool's calls be known from the arguments alone, or without them?
fn is_known(tool: &Tool, rule: RuleName, has_args: bool) -> bool {
    let reads = |condition: &Condition| {
        let reads = condition.reads();
        (has_args || !reads.any_args())
            && reads.path.is_empty()
            && reads.query.is_empty()
            && reads.header.is_empty()
            && !reads.computed
    };
    let condition = if rule == RuleName::Arguments {
        return has_args || tool.arguments.is_none();
    } else if rule == RuleName::DenyWhen {
        &tool.deny_when
    } else if rule == RuleName::HoldWhen {
        &tool.hold_when
    } else if rule == RuleName::EscalateWhen {
        &tool.escalate_when
    } else {
        return true;
    };
    condition.as_ref().is_none_or(|rule| reads(&rule.condition))
}
