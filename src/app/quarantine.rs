//! What a reload may not change while a workflow's changes are frozen.
//!
//! A reload that gives such a workflow more is held back for it: it keeps its policy and the tool
//! APIs that it reaches, as they were, and all else takes effect. Once the freeze is lifted, or an
//! emergency is on record, the files are read again. An API is one thing for everybody, so where it
//! is held back, it is for every workflow that calls it; nothing laxer comes of that.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::config;
use crate::gate::name::{ApiName, WorkflowName};
use crate::gate::policy::wider::widens;
use crate::gate::policy::{PolicySet, Workflow};
use crate::gate::time::{Time, minutes};
use crate::gate::workflow::WorkflowState;
use crate::ledger::Ledger;
use crate::ledger::people::changes::frozen;

/// How long an emergency change of the policy lets reloads through.
const EMERGENCY: Duration = minutes(60);

/// Workflows whose policy is held back, and what of it is wider.
#[derive(Debug, Default)]
pub struct Quarantine(ArcSwap<Held>);

type Held = BTreeMap<WorkflowName, Arc<str>>;

impl Quarantine {
    /// `policies` without what is held back of them.
    pub fn hold_back(&self, ledger: &Ledger, policies: Arc<PolicySet>) -> Arc<PolicySet> {
        let (table, now) = (ledger.table_full(), ledger.now());
        let mut held = BTreeMap::new();
        for (name, handle) in &table.entries {
            if !ledger
                .view(name)
                .is_some_and(|view| holds(name, &view.state, now))
            {
                continue;
            }
            let (new_name, what) = match successor(name, &policies) {
                Some((new_name, new)) => (
                    Some(new_name.clone()),
                    widens((&handle.policy, &table.policies), (new, &policies)),
                ),
                // It would start anew when it comes back.
                None => (None, Some("its removal".to_owned())),
            };
            if let Some(what) = what {
                held.insert(
                    name.clone(),
                    (new_name, Arc::clone(&handle.policy), Arc::<str>::from(what)),
                );
            }
        }
        self.0.store(Arc::new(
            held.iter()
                .map(|(name, (.., what))| (name.clone(), Arc::clone(what)))
                .collect(),
        ));
        if held.is_empty() {
            return policies;
        }
        let (mut apis, mut workflows) = (policies.apis.clone(), policies.workflows.clone());
        for (name, (new_name, policy, _)) in held {
            for api in policy.tools.iter().map(|tool| ApiName::from(tool.api())) {
                if let Some(old) = table.policies.apis.get(&api) {
                    apis.insert(api, Arc::clone(old));
                }
            }
            if let Some(new_name) = new_name {
                workflows.remove(&new_name);
            }
            workflows.insert(name, policy);
        }
        let signals = policies.signals.clone();
        Arc::new(PolicySet {
            version: config::version(&apis, &workflows, &signals),
            apis,
            workflows,
            signals,
        })
    }

    /// What is held back, by workflow.
    #[must_use]
    pub fn held(&self) -> Arc<Held> {
        self.0.load_full()
    }

    /// Whether something is held back although its freeze has been lifted.
    #[must_use]
    pub fn is_over(&self, ledger: &Ledger) -> bool {
        let now = ledger.now();
        self.held().keys().any(|name| {
            ledger
                .view(name)
                .is_none_or(|view| !holds(name, &view.state, now))
        })
    }
}

/// The workflow's policy in `policies`, under its own name or the one that it has now.
fn successor<'p>(
    name: &WorkflowName,
    policies: &'p PolicySet,
) -> Option<(&'p WorkflowName, &'p Arc<Workflow>)> {
    let renamed = || {
        policies
            .workflows
            .iter()
            .find(|(_, workflow)| workflow.terms.was.as_ref() == Some(name))
    };
    policies.workflows.get_key_value(name).or_else(renamed)
}

/// Does a freeze of `workflow` keep it from being given more?
pub(super) fn is_frozen(ledger: &Ledger, workflow: &WorkflowName) -> bool {
    ledger
        .view(workflow)
        .is_some_and(|view| holds(workflow, &view.state, ledger.now()))
}

fn holds(name: &WorkflowName, state: &WorkflowState, now: Time) -> bool {
    let is_emergency = state.change_log().shipped().any(|change| {
        &*change.kind == "policy" && change.emergency.is_some() && now.since(change.at) < EMERGENCY
    });
    !is_emergency && frozen(name, state).is_some()
}
