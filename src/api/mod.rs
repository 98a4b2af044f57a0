//! The admin API as JSON: what it takes and what it answers, shared by the gate that serves it and
//! the command line that asks.
//!
//! Pure translation. Types and the functions that fill them from gate values; who may ask what, and
//! every wait, is `admin`. A request refuses members that it does not know, so that a misspelt
//! `untill` is an error and not a clamp without end. An answer is read leniently: a newer gate may
//! say more.

pub mod approval;
pub mod audit;
pub mod check;
pub mod context;
pub mod decision;
pub mod earn;
pub mod enforce;
pub mod grant;
pub mod history;
pub mod incident;
pub mod number;
pub mod numbers;
pub mod operate;
pub mod problem;
pub mod report;
pub mod review;
pub mod run;
pub mod span;
pub mod unlisted;
pub mod workflow;

pub use number::Decimal;
pub use problem::{Problem, Slug};
pub use span::{Moment, TimeSpan};
