//! Held calls and what people decide about them: requests, decisions, grants, and the queue that
//! makes exactly one ending win.

pub mod attention;
pub mod queue;
pub mod request;
pub mod timed;

pub use attention::{Attended, Attention, Escalate};
pub use queue::Queue;
pub use request::{Approval, Decision, DecisionKind, Edit, Request, Stage};
pub use timed::{TimedGrant, TimedGrants};
