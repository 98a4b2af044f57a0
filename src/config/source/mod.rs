//! What was written: YAML as a tree with places, and the documents as serde types. What it means is
//! `config::lower`.

pub mod decode;
pub mod policy;
pub mod process;
pub mod tree;
