//! Runs that have not ended.

pub mod open;
pub mod view;
