//! The living ledger over a journal that a test steps, under clocks that a test moves.

mod bounds;
mod checks;
mod desk;
mod grants;
mod leaps;
mod races;
mod runs;
mod seats;
mod worlds;
