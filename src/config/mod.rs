//! Translates what was written into gate values.

pub mod diagnostics;
pub mod quantity;
pub mod schema;
pub mod source;
