//! The ports between the living state and whoever keeps it: what is handed over, the receipt for
//! it, and what is read back. And one journal that keeps everything in memory, for tests and for
//! simulators.
//!
//! Nothing here decides about a call, and nothing here touches a disk: `store` does.

pub mod booked;
pub mod import;
pub mod memory;
pub mod port;
pub mod read;
pub mod receipt;
pub mod record;
pub mod revise;
pub mod unavailable;
