//! Held calls and what people decide about them: requests, decisions, grants, and the queue that makes exactly one ending win.

pub mod queue;
pub mod request;

pub use queue::Queue;
pub use request::{Approval, Decision, DecisionKind, Edit, Request, Stage};
