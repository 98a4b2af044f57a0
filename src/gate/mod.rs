//! Decides. Values and transitions only; time is an argument; nothing here reads a clock, a socket, a file or the environment.

pub mod digest;
pub mod json;
