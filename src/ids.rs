//! Ids that nobody else has: calls in order of time, approvals that nobody can guess.

use uuid::Uuid;

use crate::gate::name::{ApprovalId, CallId};

/// A new call's id (UUID version 7).
#[must_use]
pub fn call() -> CallId {
    CallId::from_bits(Uuid::now_v7().as_u128())
}

/// A new approval's id: 122 random bits from the operating system (UUID version 4).
#[must_use]
pub fn approval() -> ApprovalId {
    ApprovalId::from_bits(Uuid::new_v4().as_u128())
}
