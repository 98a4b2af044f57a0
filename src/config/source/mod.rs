//! What was written: YAML as a tree in which every value has a position, and the documents as serde
//! types. What it means is decided in `config::lower`.

pub mod decode;
pub mod policy;
pub mod process;
pub mod setting;
pub mod tree;
