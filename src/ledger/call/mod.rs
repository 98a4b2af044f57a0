//! A call in flight: judged, held or let go, retried, and settled.

pub mod admit;
pub mod answers;
pub mod dedup;
pub mod escalate;
pub mod grant;
pub mod loops;
pub mod permit;
pub mod retry;
mod samples;
mod skip_review;
