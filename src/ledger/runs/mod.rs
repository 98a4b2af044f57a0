//! Runs that have not ended.

pub mod open;
pub mod repeats;
pub mod view;
