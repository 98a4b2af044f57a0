//! What was written: YAML as a tree in which every value has a position, and the documents as serde
//! types. What it means is decided in `config::lower`.

pub mod api;
pub mod decode;
pub mod mode;
pub mod process;
pub mod setting;
pub mod signal;
pub mod tree;
pub mod workflow;
