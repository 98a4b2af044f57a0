//! A signal: how the webhook of another system is understood as news about a run.
//!
//! A signal books modes or confirms that a run was right. It never retracts and never excludes
//! (G11).

use std::sync::Arc;

use serde::Serialize;

use super::condition::Condition;
use super::rule::Rule;
use crate::gate::location::SourceLocation;
use crate::gate::name::{SignalName, ToolName, WorkflowName};
use crate::gate::outcome::FailureMode;

/// A signal. Its expressions read `body` and `header`.
#[derive(Debug, Serialize)]
pub struct Signal {
    /// Its name, the last part of the path that it is sent to.
    pub name: SignalName,
    /// The workflow whose runs it is about; any, where it is absent.
    pub workflow: Option<WorkflowName>,
    /// Which deliveries are news; every one, where it is absent.
    pub when: Option<Rule>,
    /// Which run it is about.
    pub about: About,
    /// What is said of it.
    pub says: Says,
    /// A note.
    pub note: Option<Rule>,
    /// What makes two deliveries the same; `webhook-id` where it is absent.
    pub reference: Option<Rule>,
    /// Where the secrets of its senders are; where it has none, a sender needs a reporter's token.
    pub secret: Option<SecretSource>,
    /// Where it was written.
    #[serde(rename = "place")]
    pub location: SourceLocation,
}

/// Which run a signal is about.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// The run with this id.
    Run(Rule),
    /// The newest run that touched this business object through its riskiest tool, or through this
    /// one.
    Subject(Rule, Option<ToolName>),
}

/// What a signal says of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// It went wrong in this way.
    Wrong(FailureMode),
    /// It was right.
    Right,
}

/// Where secrets are. What they are is never part of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretSource {
    /// In this file, a line each.
    File(Arc<str>),
    /// In this environment variable.
    Variable(Arc<str>),
}

impl Signal {
    /// Its expressions, each with its key.
    pub fn expressions(&self) -> impl Iterator<Item = (&'static str, &Condition)> {
        let about = match &self.about {
            About::Run(rule) => ("run", rule),
            About::Subject(rule, _) => ("subject", rule),
        };
        let all = [
            ("when", self.when.as_ref()),
            (about.0, Some(about.1)),
            ("note", self.note.as_ref()),
            ("ref", self.reference.as_ref()),
        ];
        all.into_iter()
            .filter_map(|(key, rule)| rule.map(|rule| (key, &rule.condition)))
    }
}
