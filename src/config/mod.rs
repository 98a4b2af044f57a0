//! Translates what was written into gate values: policy files and `burngate.yaml`.
//!
//! `source` is what was written, with positions; `lower` is what it means, validated, with every
//! error of every file at once. Both are pure and take the time as an argument. Only [`files`]
//! reads anything, bounded. What a value means for a call is decided in `gate`.

pub mod diagnostics;
pub mod evidence;
pub mod files;
pub mod lower;
pub mod openapi;
pub mod print;
pub mod quantity;
pub mod schema;
pub mod source;
pub mod starter;
pub mod tiers;

pub use diagnostics::{Diagnostic, Diagnostics, Severity, SourceFile};
pub use lower::identities::{AgentIdentity, ReviewerIdentity};
pub use lower::listen::ListenAddress;
pub use lower::process::{
    CLEAR_TEXT_HINT, Process, ProcessBounds, STRANGERS_HINT, Tls, lower as process,
};
pub use lower::{Loaded, load, version};
pub use source::process::ReviewerRole;
