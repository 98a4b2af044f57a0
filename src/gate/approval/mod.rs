//! Held calls and what people decide about them: requests, decisions, grants, and the queue that
//! makes exactly one ending win.

pub mod attention;
pub mod bound;
pub mod queue;
pub mod request;
pub mod timed;

pub use attention::Attention;
pub use bound::{BoundHeader, BoundTo};
pub use queue::ApprovalQueue;
pub use request::{Approval, Attended, Decision, DecisionKind, Edit, Escalate, Request, Stage};
pub use timed::{TimedGrant, TimedGrants};
