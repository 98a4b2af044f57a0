//! The one way in which a journal fails.

/// The journal cannot take it, or cannot say that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the journal is unavailable")]
pub struct Unavailable;
