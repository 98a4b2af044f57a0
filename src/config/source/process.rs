//! `burngate.yaml`, as it is written.

use schemars::JsonSchema;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::setting::ListSetting;
use super::setting::Setting;
use crate::config::quantity::{Interval, Size};

/// The process's configuration.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct ProcessDocument {
    /// Where agents call: `host:port` or `unix:/path`, or a list of them.
    pub listen: Setting<OneOrMore>,
    /// Where operators call.
    pub admin: Setting<String>,
    /// The directory of the policies.
    pub policies: Setting<String>,
    /// The directory of the data.
    pub data: Setting<String>,
    /// Certificates of the data plane.
    pub tls: Setting<TlsEntry>,
    /// Which agents may call. Any local caller where it is absent.
    pub agents: ListSetting<AgentEntry>,
    /// The people who decide on held calls and report outcomes.
    pub reviewers: ListSetting<ReviewerEntry>,
    /// Limits on sizes and counts.
    pub bounds: Setting<BoundsEntry>,
    /// Webhooks that are notified of events.
    pub notices: ListSetting<NoticeEntry>,
    /// Where traces go.
    pub telemetry: Setting<TelemetryEntry>,
    /// How many threads serve calls.
    pub workers: Setting<u32>,
    /// How long a shutdown waits for calls in flight.
    pub drain: Setting<Interval>,
    /// The built-in level that the last resorts clamp to: the `clamp` file in the data directory,
    /// SIGUSR2, the dashboard's emergency button.
    pub emergency: Setting<String>,
}

/// A text, or a list of texts.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub enum OneOrMore {
    /// A text.
    One(String),
    /// A list.
    More(Vec<Setting<String>>),
}

impl<'de> Deserialize<'de> for OneOrMore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMoreVisitor;

        impl<'de> Visitor<'de> for OneOrMoreVisitor {
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

        deserializer.deserialize_any(OneOrMoreVisitor)
    }
}

/// Certificates.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct TlsEntry {
    /// The certificate chain's file.
    pub cert: Setting<String>,
    /// The private key's file.
    pub key: Setting<String>,
    /// The file of the authorities that sign agents' certificates.
    pub client_ca: Setting<String>,
}

/// One agent.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct AgentEntry {
    /// Its name.
    #[schemars(required)]
    pub agent: Setting<String>,
    /// The workflows it may use.
    #[schemars(required)]
    pub workflows: ListSetting<String>,
    /// SHA-256 of its token.
    pub token_sha256: Setting<String>,
    /// The SPIFFE id in its certificate.
    pub spiffe: Setting<String>,
}

/// One person.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct ReviewerEntry {
    /// The name.
    #[schemars(required)]
    pub name: Setting<String>,
    /// What they may do.
    #[schemars(required)]
    pub role: Setting<ReviewerRole>,
    /// SHA-256 of the token.
    pub token_sha256: Setting<String>,
    /// SHA-256 of each of several tokens: they are one person all the same.
    pub tokens_sha256: ListSetting<String>,
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
pub enum ReviewerRole {
    /// Look at everything, change nothing.
    Viewer,
    /// Report outcomes.
    Reporter,
    /// Decide approvals.
    Reviewer,
    /// Everything, clamping and budgets included.
    Operator,
}

/// Limits on sizes and counts.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct BoundsEntry {
    /// The largest request body.
    pub body: Setting<Size>,
    /// The largest request head.
    pub head: Setting<Size>,
    /// The most connections.
    pub connections: Setting<u32>,
    /// The most memory that bodies in flight take.
    pub memory: Setting<Size>,
    /// The most held calls.
    pub holds: Setting<u32>,
}

/// A webhook, and the events that it is notified of.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct NoticeEntry {
    /// The URL.
    pub to: Setting<String>,
    /// The file that holds the signing secret.
    pub secret_file: Setting<String>,
    /// The events that it is notified of.
    pub on: ListSetting<String>,
}

/// Where traces go.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct TelemetryEntry {
    /// The OTLP endpoint.
    pub otlp: Setting<String>,
}
