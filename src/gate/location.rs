//! Where something is written in a policy file: what every verdict names (G8).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Where a rule was written. Every verdict names one (G8).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SourceLocation {
    /// The policy file, as the operator named it.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u32,
}

impl fmt::Display for SourceLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
