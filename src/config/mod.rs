//! Translates what was written into gate values.

pub mod diagnostics;
pub mod evidence;
pub mod lower;
pub mod quantity;
pub mod schema;
pub mod source;
pub mod tiers;
