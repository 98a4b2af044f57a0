//! The names and ids that calls, runs and people go by: one newtype each, cheap to clone, ordered,
//! and spelled in exactly one way.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                $name(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                $name(text.into())
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

name!(
    /// A named job done by an agent. The unit that has an objective, a budget and a level.
    WorkflowName
);
name!(
    /// The identity that calls.
    AgentName
);
name!(
    /// An upstream that agents call.
    ApiName
);
name!(
    /// One tool of one tool API, spelled `api/tool`.
    ToolName
);
name!(
    /// One rung of the ladder.
    LevelName
);
name!(
    /// Something that a workflow can earn.
    StepName
);
name!(
    /// A person, or the operator token, who decides and reports.
    PersonName
);
name!(
    /// A run's id within its workflow and agent: the agent's own, or the gate's. A continuation
    /// ends in `#2`, `#3`, …
    RunId
);
name!(
    /// A webhook of another system, as a policy names it.
    SignalName
);
name!(
    /// The business object that a call touched, such as an order number. Compared byte for byte.
    Subject
);

impl ToolName {
    /// The name of `tool` of `api`.
    #[must_use]
    pub fn of(api: &str, tool: &str) -> Self {
        ToolName(format!("{api}/{tool}").into())
    }

    /// The tool API's part of the name.
    #[must_use]
    pub fn api(&self) -> &str {
        self.0.split_once('/').map_or(&*self.0, |(api, _)| api)
    }
}

/// The text of an id, kept in place.
#[derive(Debug, Clone, Copy)]
pub struct IdText {
    bytes: [u8; IdText::ROOM],
    length: usize,
}

impl IdText {
    const DIGITS: usize = 32;
    /// For the longest prefix and the digits.
    const ROOM: usize = 5 + Self::DIGITS;

    fn new(prefix: &str, bits: u128) -> Self {
        let (mut bytes, length) = ([0; Self::ROOM], prefix.len() + Self::DIGITS);
        for (to, from) in bytes.iter_mut().zip(prefix.bytes()) {
            *to = from;
        }
        for (pair, byte) in bytes[prefix.len()..length]
            .chunks_exact_mut(2)
            .zip(bits.to_be_bytes())
        {
            pair.copy_from_slice(
                &[byte >> 4, byte & 0xf].map(|nibble| b"0123456789abcdef"[usize::from(nibble)]),
            );
        }
        IdText { bytes, length }
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $id:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $id(u128);

        impl $id {
            /// The id with these 128 bits.
            #[must_use]
            pub const fn from_bits(bits: u128) -> Self {
                $id(bits)
            }

            /// The id's 128 bits.
            #[must_use]
            pub const fn bits(self) -> u128 {
                self.0
            }

            /// The id as it is written. For whoever writes one for each call: no formatter and no
            /// allocation.
            #[must_use]
            pub fn spell(self) -> IdText {
                IdText::new($prefix, self.0)
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.spell().as_str())
            }
        }

        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $id {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let digits = text.strip_prefix($prefix).ok_or(BadId { prefix: $prefix })?;
                let lower_hex = digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                match u128::from_str_radix(digits, 16) {
                    Ok(bits) if digits.len() == 32 && lower_hex => Ok($id(bits)),
                    _ => Err(BadId { prefix: $prefix }),
                }
            }
        }

        impl Serialize for $id {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $id {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// One call: `call_` and 32 hexadecimal digits, in order of time.
    CallId, "call_"
);
id!(
    /// One approval: `apr_` and 32 hexadecimal digits that nobody can guess (128 random bits).
    ApprovalId, "apr_"
);
id!(
    /// One time-boxed grant: `grt_` and 32 hexadecimal digits.
    GrantId, "grt_"
);
id!(
    /// One incident of a tool API: `inc_` and 32 hexadecimal digits, in order of time.
    IncidentId, "inc_"
);

/// A text that is not an id of the kind asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadId {
    prefix: &'static str,
}

impl fmt::Display for BadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "expected `{}` and 32 lower-case hexadecimal digits",
            self.prefix
        )
    }
}

impl std::error::Error for BadId {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_only_in_the_spelling_it_is_written_in() {
        let id = ApprovalId::from_bits(0xab);
        assert_eq!(id.to_string().parse(), Ok(id));
        for other in [
            "apr_",
            "apr_000000000000000000000000000000AB",
            "call_000000000000000000000000000000ab",
            "apr_+00000000000000000000000000000ab",
        ] {
            assert!(other.parse::<ApprovalId>().is_err(), "{other}");
        }
    }
}
