//! Bytes and text to values, and nothing else: the one reading of a request that policy judges and
//! the upstream receives.
//!
//! Everything here is fed by attackers. So every reader is a pure function or a pure state machine:
//! no clock, no IO, no lock, no state shared between requests; it cannot panic on any input, it
//! borrows where it can, and where two readers could disagree about an input it refuses
//! (`Malformed`) instead of choosing. What is done with a value is decided elsewhere.
//!
//! Numbers such as A41 are cases of the list of hostile inputs; the tests carry them in their
//! names.

pub mod body;
pub mod canonical;
pub mod chunked;
pub mod credentials;
pub mod fields;
pub mod framing;
pub mod head;
pub mod http;
pub mod json;
pub mod malformed;
pub mod media;
pub mod multipart;
pub mod overrides;
mod percent;
pub mod query;
pub mod target;
pub mod webhook;

pub use malformed::Malformed;
