//! The word that says whether a document, a tool or a rule is enforced, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

/// Whether verdicts are enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModeWord {
    /// They are.
    Enforce,
    /// They are computed and recorded, and the call passes.
    Shadow,
}
