//! Ids that nobody else has: calls in order of time, approvals that nobody can guess.
//!
//! The random bits come from each thread's own generator (ChaCha, seeded by the operating system
//! and seeded again as it goes): as hard to guess as the system's own, without a system call for
//! each id.

use uuid::Uuid;

use crate::gate::name::{ApprovalId, CallId, GrantId, IncidentId};

/// A new call's id (UUID version 7).
#[must_use]
pub fn call() -> CallId {
    CallId::from_bits(Uuid::now_v7().as_u128())
}

/// A new batch's reference.
#[must_use]
pub fn batch() -> String {
    format!("batch_{}", Uuid::now_v7().simple())
}

/// A new time-boxed grant's id.
#[must_use]
pub fn grant() -> GrantId {
    GrantId::from_bits(Uuid::now_v7().as_u128())
}

/// A new approval's id: 122 random bits (UUID version 4).
#[must_use]
pub fn approval() -> ApprovalId {
    ApprovalId::from_bits(Uuid::new_v4().as_u128())
}

/// A new incident's id (UUID version 7).
#[must_use]
pub fn incident() -> IncidentId {
    IncidentId::from_bits(Uuid::now_v7().as_u128())
}
