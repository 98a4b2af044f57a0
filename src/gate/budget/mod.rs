//! The error budget: how much failure a workflow may absorb, how much it has, and what that says
//! about it.
//!
//! Every decision here is integer arithmetic on counts; ratios are compared by
//! cross-multiplication, never divided.

pub mod account;
pub mod balance;
mod buckets;
pub mod burn;
pub mod burn_record;
pub mod evidence;
pub mod objective;
pub mod posting;
pub mod posture;
pub mod sentence;
pub mod shift;
mod totals;
pub mod window;

pub use evidence::Evidence;
pub use objective::Objective;
