//! Seeded worlds over the gate with a manual clock, checked against models that are as plain as
//! possible.
//!
//! A failure prints its seed and the command that replays it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    missing_docs
)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss
)]
// A world's values are small, and its names those of the rules.
#![allow(
    clippy::needless_pass_by_value,
    clippy::similar_names,
    clippy::default_trait_access,
    clippy::duration_suboptimal_units
)]

mod approvals;
mod budget;
mod earn;
mod evidence;
mod fold;
mod late_reports;
mod levels;
mod living;
mod replay;
mod shard;
mod sums;
mod window;
mod world;
mod year;
