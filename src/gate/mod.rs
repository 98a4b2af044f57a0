//! Decides. Values and transitions only; time is an argument; nothing here reads a clock, a socket,
//! a file or the environment.

pub mod approval;
pub mod booking;
pub mod budget;
pub mod change_log;
pub mod check;
pub mod deed;
pub mod digest;
pub mod earn;
pub mod escalated;
pub mod event;
pub mod facets;
pub mod incident;
pub mod json;
pub mod level;
pub mod name;
pub mod nearest;
pub mod outcome;
pub mod pace;
pub mod past;
pub mod policy;
pub mod retry;
pub mod review;
pub mod risk;
pub mod run;
pub mod sample;
pub mod standing;
pub mod state;
pub mod time;
pub mod verdict;
pub mod workflow;
