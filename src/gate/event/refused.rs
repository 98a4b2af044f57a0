//! Calls that were denied, as the journal keeps them for auditors.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::gate::name::{AgentName, CallId, ToolName};
use crate::gate::run::{Executed, RunRef};
use crate::gate::time::Time;

/// The most calls that one [`Event::Refused`] holds.
pub const MOST_REFUSED: usize = 256;

/// A call that was denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedCall {
    /// The call.
    pub call: CallId,
    /// Its run.
    pub run: RunRef,
    /// When it was judged.
    pub at: Time,
    /// Its tool.
    pub tool: ToolName,
    /// The rule that denied it; `None` where the gate itself could not take it.
    pub rule: Option<Arc<str>>,
    /// The status the agent got.
    pub status: u16,
    /// Whether it was executed all the same, because the rule is in shadow.
    pub executed: Executed,
}

/// Calls that were denied alike, and are only counted: too many came in a minute to list them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedAlike {
    /// Whose.
    pub agent: AgentName,
    /// Their tool; `?` stands for any where too many kinds came.
    pub tool: ToolName,
    /// The rule that denied them.
    pub rule: Option<Arc<str>>,
    /// How many.
    pub count: u64,
}
