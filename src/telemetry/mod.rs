//! Metrics and log lines: what operators and their tools watch the gate by.
//!
//! Names live here, so that a dashboard built on them survives every refactoring. Nothing here
//! decides, waits or opens a socket; export is `app`'s. No label and no line holds an argument, a
//! token or a body, and no label holds an id: labels come from policies, which are bounded.

pub mod exposition;
mod histogram;
pub mod log;
pub mod metrics;
mod people;

pub use metrics::Metrics;
