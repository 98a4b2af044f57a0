//! What the ledger does by itself: time passes, runs end, what was refused is written down, and
//! what the journal has made durable shows.

mod incidents;
mod projection;
mod refusals;
mod runs;
mod sweep;
