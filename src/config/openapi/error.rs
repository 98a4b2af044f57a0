//! What is wrong with a document, and where.

use std::ops::Range;

/// What is wrong with a document, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenApiError {
    /// JSON pointer to it.
    pub pointer: String,
    /// Its bytes, where no pointer leads there.
    pub span: Option<Range<usize>>,
    /// What is wrong, as a lower-case fragment.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl OpenApiError {
    /// A mistake in the part that `pointer` names.
    pub(super) fn at(
        pointer: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        OpenApiError {
            pointer: pointer.into(),
            span: None,
            message: message.into(),
            hint: hint.into(),
        }
    }
}
