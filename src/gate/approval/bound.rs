//! What an approval is bound to besides method, target and body.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::gate::digest::Digest;

/// What else of a call makes it this call and no other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundTo {
    /// The media type, in lower case, with a charset that is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<Arc<str>>,
    /// The content coding; `None` for identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coding: Option<Arc<str>>,
    /// The headers that rules of the tool read or that it is bound to, in the order of their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<BoundHeader>,
    /// The fingerprint of the credentials that the tool API gets; `None` where it gets none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Digest>,
}

impl BoundTo {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == BoundTo::default()
    }
}

/// A header that an approval is bound to; without values where the call does not have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundHeader {
    /// Its name, in lower case.
    pub name: Arc<str>,
    /// Its values, in their order. A byte that is not ASCII is the character of its number.
    pub values: Vec<Arc<str>>,
}
