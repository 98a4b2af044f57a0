//! Decides. Values and transitions only; time is an argument; nothing here reads a clock, a socket,
//! a file or the environment.
//!
//! # Glossary
//!
//! One word, one thing. The words of the product (workflow, run, posture, level, clamp, grant ...)
//! are used as the README defines them; these are the words of the code.
//!
//! - **event**: a fact in the journal. **State** is the fold over all of them (G12).
//! - **terms**: the part of a workflow's policy that the fold needs; stored in the journal.
//! - **status**: what a call is judged by: level, posture, clamp and budget of a workflow, now.
//! - **account**: one workflow's budget over time. **BudgetTotals**: its counts at one moment, as a
//!   posture is judged on them. **Balance**: runs, unacceptable runs, and what is allowed.
//! - **shift**: a change to the counts, with its sign. **Tally**: counts. **Window**: the buckets
//!   that counts are kept in.
//! - **mark**: how a run counts: idle, acceptable, unacceptable or excluded. **Charge**: one
//!   failure mode of a run, and who says so. **Run flags**: what else the four numbers count of a
//!   run.
//! - **case**: a call with everything that rules read. **Facts**: what conditions read of it.
//! - **finding**: what one rule says of a call. **Verdict**: the strictest finding: allow, hold or
//!   deny. (A `ledger` **refusal** is why a call does not go; an `api` **problem** is the
//!   problem+json answer that says so.)
//! - **shadow**: a rule, tool or workflow whose verdicts are recorded and not acted on.
//! - **admission**: a risky call that may go, as the journal records it before it is sent.
//! - **operation**: what `dedup` remembers of a call: its works, its idempotency key, and what it
//!   adds to limits. **Reversal**: work that a later call undid.
//! - **revision**: what a late report, a retraction or an exclusion changes about a booked run.
//! - **attention**: what is due of a held call that nobody has decided.
//! - **source location**: file and line in a policy.

pub mod approval;
pub mod booking;
pub mod budget;
pub mod change_log;
pub mod check;
pub mod clamp;
pub mod dedup;
pub mod digest;
pub mod earn;
pub mod escalated;
pub mod event;
pub mod incident;
pub mod json;
pub mod level;
pub mod location;
pub mod name;
pub mod nearest;
pub mod outcome;
pub mod pace;
pub mod past;
pub mod policy;
pub mod ppm;
pub mod retry;
pub mod review;
pub mod risk;
pub mod run;
pub mod run_flags;
pub mod sample;
pub mod state;
pub mod status;
pub mod terms;
pub mod time;
pub mod verdict;
pub mod workflow;
