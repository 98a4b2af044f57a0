//! The living ledger over a journal that a test steps, under clocks that a test moves.
#![allow(
    clippy::option_option,
    clippy::unchecked_time_subtraction,
    clippy::match_same_arms,
    clippy::err_expect,
    reason = "an answer that is not there yet, spans that are known, and choices listed one by one read plainer so"
)]

mod bounds;
mod caps;
mod checks;
mod clock_leaps;
mod dedup;
mod desk;
mod earn;
mod escalation;
mod exposure;
mod grants;
mod handover;
mod in_flight;
mod incidents;
mod operators;
mod races;
mod random_worlds;
mod removed_people;
mod repeats;
mod runs;
mod shadow;
mod timed_grants;
