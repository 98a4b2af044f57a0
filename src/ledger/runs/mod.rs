//! Runs that have not ended: found by their ids, what they came to so far, and what they are
//! charged with.

pub mod charge;
pub mod index;
pub mod open;
pub mod repeats;
