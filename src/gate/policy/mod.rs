//! What a policy means: tool APIs with their tools, workflows with their terms, and the rules
//! between them.
//!
//! These are the lowered values. What was written, and every complaint about it, is `config`.
//! Conditions and schemas arrive compiled; evaluating them is the one place where the gate uses an
//! engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::digest::Digest;
use super::name::{ApiName, SignalName, WorkflowName};

pub mod condition;
pub mod dedup;
pub mod facts;
pub mod finding;
pub mod judge;
pub mod members;
pub mod overrides;
pub mod pattern;
mod rule;
pub mod schema;
pub mod shadow;
pub mod signal;
pub mod skip;
mod tool;
pub mod wider;
mod workflow;

pub use condition::Condition;
pub use dedup::DedupRules;
pub use members::NamedMembers;
pub use overrides::Overrides;
pub use pattern::Pattern;
pub use rule::{Mode, Rule};
pub use schema::Schema;
pub use schema::parameter::Parameter;
pub use signal::Signal;
pub use tool::{Api, BodyKind, Mount, Protocol, Tool, Upstream};
pub use workflow::{
    EscalateRule, HoldRules, Inbox, RunRules, Skip, Workflow, default_unacceptable,
};

/// Every policy in force, under one version.
#[derive(Debug)]
pub struct PolicySet {
    /// The digest of all lowered policies: the same policies have the same version.
    pub version: Digest,
    /// The tool APIs, by name.
    pub apis: BTreeMap<ApiName, Arc<Api>>,
    /// The workflows, by name.
    pub workflows: BTreeMap<WorkflowName, Arc<Workflow>>,
    /// The signals, by name.
    pub signals: BTreeMap<SignalName, Arc<Signal>>,
}
