//! A call in flight: judged, held or allowed, retried, and settled.

mod admission;
pub mod admit;
pub mod caps;
mod edited;
pub mod escalate;
mod exposure;
pub mod grant;
mod hold;
pub mod in_flight;
pub mod input;
pub mod loops;
mod open;
pub mod outcome;
pub mod permit;
mod recall;
pub mod refusal;
mod reservations;
mod reserve;
pub mod retry;
mod samples;
mod skip_review;
pub mod timed_grant;
