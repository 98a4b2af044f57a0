//! The data plane: bytes in, one decision, bytes out.
//!
//! This half is the transport. `accept` and `worker` own sockets, threads and every task; `guard` reads each byte before hyper does; `pool`, `upstream` and
//! `outbound` carry one request to a tool API and its answer back; `headers` decides what crosses; `observe` tells exactly once how an answer ended (G1). It
//! decides nothing about a call: what may go is the exchange's business, and nothing here sends a request a second time.
//!
//! One thread, one runtime, one pool: a connection never leaves the worker that accepted it, so nothing between two sockets is shared or locked. A call drives
//! its upstream connection from its own task. So an upstream's answer wakes the very task that relays it, and a call that is dropped takes its upstream
//! connection with it.

pub mod accept;
pub mod alarm;
pub mod drain;
pub mod guard;
pub mod headers;
mod hush;
pub mod observe;
pub mod outbound;
pub mod pool;
pub mod tls;
pub mod upstream;
pub mod worker;
