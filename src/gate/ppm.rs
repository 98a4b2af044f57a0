//! Parts per million: the unit of targets, shares and rates, so that a decision compares integers.

/// One in parts per million.
pub const MILLION: u32 = 1_000_000;
