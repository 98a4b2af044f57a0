//! What an expression may read, and why one could not be compiled.

use super::position::SourceOffsets;

/// Which variables a condition may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionScope {
    /// Those of a request.
    Request,
    /// Those of a request and `response`.
    Response,
    /// `body` and `header`, of a signal.
    Signal,
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

impl BadCondition {
    /// Line and column in `source`, both in characters from 1.
    #[must_use]
    pub fn line_and_column(&self, source: &str) -> (usize, usize) {
        SourceOffsets::of(source).line_and_column(self.offset)
    }
}
