//! Conditions: CEL over the facts of one call.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::facts::Facts;

/// The longest expression, in bytes.
pub const MAX_SOURCE: usize = 4096;

/// Which variables a condition may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Those of a request.
    Request,
    /// Those of a request and `response`.
    Response,
}

/// A compiled expression.
#[derive(Debug)]
pub struct Condition {
    source: Arc<str>,
}

/// Why an expression could not be compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadCondition {
    /// Where in the source, as a byte offset.
    pub offset: usize,
    /// What is wrong, as a lower-case fragment.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Why a condition gave no answer. Never an allow (G3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undecided {
    /// The request gives a part that the condition reads in a way that two readers could read differently: 400.
    Ambiguous(String),
    /// A number that the condition reads does not survive binary64: 400.
    Inexact(String),
    /// It could not be evaluated.
    Failed(String),
}

impl Condition {
    /// Compiles `source`.
    pub fn compile(source: &str, scope: Scope) -> Result<Self, BadCondition> {
        let _ = scope;
        Ok(Condition { source: source.into() })
    }

    /// Does it hold?
    pub fn holds(&self, facts: &Facts<'_>) -> Result<bool, Undecided> {
        let _ = facts;
        Ok(false)
    }

    /// The text that it gives: a string, or a number's text. For `subject:` and `run.key:`; `None` for null or an empty string.
    pub fn text(&self, facts: &Facts<'_>) -> Result<Option<String>, Undecided> {
        let _ = facts;
        Ok(None)
    }

    /// The expression as it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Does it read `args`?
    #[must_use]
    pub fn reads_args(&self) -> bool {
        false
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}
