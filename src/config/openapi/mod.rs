//! `OpenAPI` documents (3.0 and 3.1): what they say about the calls of a tool API.
//!
//! A document fills in what a listed tool does not say itself: the schema of its JSON body and of
//! its path and query parameters. It never makes a tool: a tool has a risk, and no document states
//! one. Only the operations that tools name are read in full, so that a flaw elsewhere in a large
//! document stops no policy.
//!
//! Nothing is fetched and no other file is read: a reference that leaves the document is an error
//! that says where it is written.

mod described;
mod document;
pub mod draft;
mod error;
pub mod guess;
mod operation;
mod parameters;
mod pointer_index;
mod reference;
mod schema;
#[cfg(test)]
mod tests;

pub use described::Described;
pub use document::{MAX_OPERATIONS, OpenApiDocument};
pub use error::OpenApiError;
pub use operation::{ApiOperation, template};
