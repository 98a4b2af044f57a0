//! The data plane: bytes in, one decision, bytes out.
//!
//! `exchange` is the spine: the life of a call in the order in which it happens. `identify` and
//! `read` say who asks and what; `message` is what will be sent, and `parsed` is that message as it
//! is judged; `hold` waits for a person, `forward` and `retry` send it, `respond` and `settle` end
//! it.
//!
//! The other half is the transport. `accept` and `worker` own sockets, threads and every task;
//! `guard` reads each byte before hyper does; `pool`, `upstream` and `outbound` carry one request
//! to a tool API and its answer back; `request_headers`
//! and `answer_headers` decide what crosses; `observe` reports exactly
//! once how an answer ended (G1). It decides nothing about a call, and nothing in it sends a
//! request a second time.
//!
//! One thread, one runtime, one pool: a connection never leaves the worker that accepted it, so
//! nothing between two sockets is shared or locked. A call drives its upstream connection from its
//! own task. So an upstream's answer wakes the very task that relays it, and a call that is dropped
//! takes its upstream connection with it.

pub mod exchange;

pub mod agent;
pub mod body;
pub mod context;
pub mod failure_rule;
pub mod forward;
pub mod hold;
pub mod identify;
pub mod message;
pub mod parsed;
pub mod problem_reply;
pub mod read;
pub mod respond;
pub mod retry;
pub mod routes;
pub mod settle;
pub mod stopped;
pub mod worker_state;

pub mod accept;
pub mod address_map;
pub mod answer_headers;
pub mod connection;
pub mod drain;
pub mod guard;
pub mod lazy_deadline;
mod muted_waker;
pub mod observe;
pub mod outbound;
pub mod pool;
pub mod request_headers;
mod socket;
pub mod spawner;
pub mod tls;
pub mod traces;
pub mod upstream;
mod watched_stream;
pub mod wire_state;
pub mod worker;
