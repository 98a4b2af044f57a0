//! A call in flight: judged, held or let go, retried, and settled.

pub mod admit;
pub mod caps;
mod edited;
pub mod escalate;
mod exposure;
pub mod grant;
pub mod in_flight;
pub mod loops;
pub mod permit;
mod recall;
pub mod refusal;
mod reservations;
pub mod retry;
mod samples;
mod skip_review;
