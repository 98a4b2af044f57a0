//! The gate as its users meet it: a process, its sockets, its files and its commands. Every test
//! has a gate of its own.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::pedantic,
    clippy::type_complexity,
    reason = "a test that cannot go on says so and ends, and its scaffolding may be plain"
)]

mod access;
mod admin;
mod approval_races;
mod approvals;
mod arguments;
mod attempts;
mod audit;
mod audit_coverage;
mod bounds;
mod budgets;
mod caps;
mod checks;
mod clamp;
mod cli;
mod context;
mod contract;
mod corpus;
mod dedup;
mod demo;
mod directory_lock;
mod documents;
mod drain;
mod earn;
mod edits;
mod emergency;
mod enforce;
mod escalation;
mod examples;
mod exchange;
mod feedback;
mod freeze;
mod grants;
mod harness;
mod history;
mod holds;
mod hostile;
mod identity;
mod inbox;
mod outcomes;
mod pipelined;
mod real;
mod reload;
mod repeats;
mod restart;
mod review;
mod reviewers;
mod samples;
mod seams;
mod shadow;
mod shipped;
mod signals;
mod simulate;
