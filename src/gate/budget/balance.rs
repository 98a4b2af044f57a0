//! What one budget has counted, and what is left of it.

use std::cmp::Ordering;

use super::objective::{Allowed, Remaining};

/// One budget as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// Counted runs.
    pub runs: u64,
    /// Unacceptable runs.
    pub unacceptable: u64,
    /// What is allowed.
    pub allowed: Allowed,
}

impl Balance {
    /// What is left.
    #[must_use]
    pub fn remaining(&self) -> Remaining {
        self.allowed.remaining(self.unacceptable)
    }

    pub(super) fn is_spent(&self) -> bool {
        self.allowed.is_spent_by(self.unacceptable)
    }

    pub(super) fn is_nearly_spent(&self) -> bool {
        self.remaining().cmp_percent(25) != Ordering::Greater
            || (self.unacceptable > 0 && self.allowed.is_spent_by(self.unacceptable + 1))
    }

    pub(super) fn has_recovered(&self) -> bool {
        self.remaining().cmp_percent(10) == Ordering::Greater
            && !self.allowed.is_spent_by(self.unacceptable + 1)
    }
}
