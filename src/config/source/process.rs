//! `burngate.yaml`, as it is written.

use schemars::JsonSchema;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::decode::Field;
use super::policy::List;
use crate::config::quantity::{Interval, Size};

/// The process's configuration.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct ProcessDocument {
    /// Where agents call: `host:port` or `unix:/path`, or a list of them.
    pub listen: Field<OneOrMore>,
    /// Where operators call.
    pub admin: Field<String>,
    /// The directory of the policies.
    pub policies: Field<String>,
    /// The directory of the data.
    pub data: Field<String>,
    /// Certificates of the data plane.
    pub tls: Field<TlsEntry>,
    /// Who may call. Absent: any local caller.
    pub agents: List<AgentEntry>,
    /// Who decides and reports.
    pub reviewers: List<ReviewerEntry>,
    /// What is bounded.
    pub bounds: Field<BoundsEntry>,
    /// Who is told.
    pub notices: List<NoticeEntry>,
    /// Where traces go.
    pub telemetry: Field<TelemetryEntry>,
    /// How many threads serve calls.
    pub workers: Field<u32>,
    /// How long calls in flight may take at shutdown.
    pub drain: Field<Interval>,
    /// The built-in level that the last resorts clamp to: the `clamp` file in the data directory,
    /// SIGUSR2, the dashboard's emergency button.
    pub emergency: Field<String>,
}

/// A text, or a list of texts.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub enum OneOrMore {
    /// A text.
    One(String),
    /// A list.
    More(Vec<Field<String>>),
}

impl<'de> Deserialize<'de> for OneOrMore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = OneOrMore;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("text or a list")
            }

            fn visit_str<E>(self, text: &str) -> Result<OneOrMore, E> {
                Ok(OneOrMore::One(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<OneOrMore, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(OneOrMore::More(list))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// Certificates.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct TlsEntry {
    /// The certificate chain's file.
    pub cert: Field<String>,
    /// The private key's file.
    pub key: Field<String>,
    /// The file of those who sign agents' certificates.
    pub client_ca: Field<String>,
}

/// One agent.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct AgentEntry {
    /// Its name.
    #[schemars(required)]
    pub agent: Field<String>,
    /// The workflows it may use.
    #[schemars(required)]
    pub workflows: List<String>,
    /// SHA-256 of its token.
    pub token_sha256: Field<String>,
    /// The SPIFFE id in its certificate.
    pub spiffe: Field<String>,
}

/// One person.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct ReviewerEntry {
    /// The name.
    #[schemars(required)]
    pub name: Field<String>,
    /// What they may do.
    #[schemars(required)]
    pub role: Field<Role>,
    /// SHA-256 of the token.
    pub token_sha256: Field<String>,
    /// SHA-256 of each of several tokens: they are one person all the same.
    pub tokens_sha256: List<String>,
}

/// What a person may do. Ordered: each role may do what those before it may.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Deserialize,
    serde::Serialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Look.
    Viewer,
    /// Report outcomes.
    Reporter,
    /// Decide approvals.
    Reviewer,
    /// Everything.
    Operator,
}

/// What is bounded.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct BoundsEntry {
    /// The largest request body.
    pub body: Field<Size>,
    /// The largest request head.
    pub head: Field<Size>,
    /// The most connections.
    pub connections: Field<u32>,
    /// The most memory that bodies in flight take.
    pub memory: Field<Size>,
    /// The most held calls.
    pub holds: Field<u32>,
}

/// Who is told of what.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct NoticeEntry {
    /// The URL.
    pub to: Field<String>,
    /// The file that holds the signing secret.
    pub secret_file: Field<String>,
    /// Of what.
    pub on: List<String>,
}

/// Where traces go.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct TelemetryEntry {
    /// The OTLP endpoint.
    pub otlp: Field<String>,
}
