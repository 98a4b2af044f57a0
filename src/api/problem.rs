//! Refusals as problem details (RFC 9457): what went wrong, whether anything was executed, and what
//! to do next.
//!
//! One vocabulary for both planes. The data plane's slugs are fixed by the contract; the admin API
//! adds four that only people and their scripts see.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;

use super::number::Decimal;
use super::span::Moment;
use crate::gate::run;

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";
/// What every problem's `type` starts with.
pub const URN: &str = "urn:burngate:problem:";

macro_rules! slugs {
    ($($(#[$doc:meta])* $name:ident = $slug:literal, $status:literal, $title:literal;)*) => {
        /// The kind of a problem.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Slug {
            $($(#[$doc])* $name,)*
        }

        impl Slug {
            /// Every kind.
            pub const ALL: &'static [Slug] = &[$(Slug::$name),*];

            /// As it is written in `type`, behind [`URN`].
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Slug::$name => $slug,)* }
            }

            /// The status it usually comes with.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Slug::$name => $status,)* }
            }

            /// Its title, the same for every occurrence.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Slug::$name => $title,)* }
            }
        }
    };
}

slugs! {
    /// Waiting for a reviewer.
    Held = "held", 403, "The call is held for a reviewer";
    /// A rule or a reviewer said no.
    Denied = "denied", 403, "The call is denied";
    /// The effective level does not allow it.
    Level = "level", 403, "The workflow's level does not allow the call";
    /// No such tool for this workflow.
    Unlisted = "unlisted", 403, "The tool is not listed for this workflow";
    /// The tool's definition changed and nobody accepted it yet.
    Quarantined = "quarantined", 403, "The tool's definition changed and is not accepted yet";
    /// The arguments do not satisfy the tool's schema.
    WrongArguments = "wrong-arguments", 422, "The arguments do not fit the tool";
    /// Done already or in flight.
    Duplicate = "duplicate", 409, "The call was made already";
    /// The same call again and again.
    Loop = "loop", 409, "The same call again and again";
    /// Same idempotency key, other payload.
    IdempotencyMismatch = "idempotency-mismatch", 422, "The idempotency key was used for another payload";
    /// A cap on volume or concurrency.
    Volume = "volume", 429, "Too many calls";
    /// A limit on sums or counts.
    Limit = "limit", 429, "A limit is reached";
    /// Too many held calls.
    InboxFull = "inbox-full", 429, "Too many calls are held";
    /// Too many unsettled risky runs for what is left of the budget.
    Exposure = "exposure", 403, "Too many risky runs are unsettled";
    /// No valid credential, or two that disagree.
    Unidentified = "unidentified", 401, "The caller is not identified";
    /// A known identity that may not do this.
    Forbidden = "forbidden", 403, "This identity may not do that";
    /// An ambiguous or invalid request.
    Malformed = "malformed", 400, "The request is malformed";
    /// A content type or encoding that is not taken.
    Unsupported = "unsupported", 415, "The content type or encoding is not supported";
    /// A body over the bound.
    TooLarge = "too-large", 413, "The body is too large";
    /// The gate cannot take it now.
    Unavailable = "unavailable", 503, "The gate cannot take the request now";
    /// The upstream could not be reached.
    UpstreamUnreachable = "upstream-unreachable", 502, "The tool API cannot be reached";
    /// The upstream's answer was not valid.
    UpstreamMalformed = "upstream-malformed", 502, "The tool API's answer is malformed";
    /// The upstream did not answer in time.
    UpstreamTimeout = "upstream-timeout", 504, "The tool API did not answer in time";
    /// Sent, and the answer was lost.
    Ambiguous = "ambiguous", 502, "The call was sent and its answer was lost";
    /// A fault of the gate.
    Internal = "internal", 500, "The gate failed";
    /// Admin API: no token, or a wrong one.
    Unauthorized = "unauthorized", 401, "A valid token is needed";
    /// Admin API: no such thing.
    NotFound = "not-found", 404, "There is no such thing";
    /// Admin API: a lost race, or a state that does not permit it.
    Conflict = "conflict", 409, "The state does not permit it";
    /// Admin API: a bad field.
    Invalid = "invalid", 422, "A field is not valid";
}

/// Was the call executed? `true`, `false` or `"unknown"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(value_type = serde_json::Value)]
pub struct ExecutedView(pub run::Executed);

/// What the gate could not get hold of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnavailableCause {
    /// The journal.
    Journal,
    /// It is stopping.
    Draining,
    /// Memory.
    Memory,
    /// Room for held calls.
    Holds,
}

/// A budget as the agent sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BudgetDisclosure {
    /// The posture.
    pub posture: String,
    /// What remains, where the policy discloses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining: Option<Decimal>,
}

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer to it.
    pub pointer: String,
    /// A sentence about it.
    pub detail: String,
}

/// A problem's body. Members that do not apply are absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:burngate:problem:<slug>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened and what to do next.
    pub detail: String,
    /// The call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// Its workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// Its run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Its tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// The rule that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Whether the call was executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executed: Option<ExecutedView>,
    /// The effective level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// The budget before this call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetDisclosure>,
    /// The approval that the call waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
    /// Where the agent can ask how the approval stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_url: Option<String>,
    /// When the approval expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Moment>,
    /// The digest of exactly this call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// What is wrong, by field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// What the gate could not get hold of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<UnavailableCause>,
    /// Candidate runs, if it is not clear which one was named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<CandidateRun>,
    /// The call that did the same before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<EarlierCallView>,
    /// The limit that is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitReached>,
}

/// A call that did the same before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EarlierCallView {
    /// Its id.
    pub call: String,
    /// Its run.
    pub run: String,
    /// When it was made.
    pub at: Moment,
    /// `in_flight`, `done`, or `unknown` where its answer was lost.
    pub state: String,
}

/// A limit that is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LimitReached {
    /// Which.
    pub limit: String,
    /// What may not be exceeded, in decimal.
    pub bound: String,
    /// What the window holds without this call, in decimal.
    pub used: String,
    /// When enough will have left the window for this call; absent where no waiting helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Moment>,
}

/// A run that matches, where several do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CandidateRun {
    /// Its workflow.
    pub workflow: String,
    /// Its agent.
    pub agent: String,
    /// Its id.
    pub run: String,
    /// The tool through which it touched the object, where an object was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// When it was booked, or last touched the object.
    pub at: Moment,
}

impl Problem {
    /// A problem of this kind with its usual status.
    #[must_use]
    pub fn new(slug: Slug, detail: impl Into<String>) -> Self {
        Problem {
            kind: format!("{URN}{}", slug.as_str()),
            title: slug.title().to_owned(),
            status: slug.status(),
            detail: detail.into(),
            call: None,
            workflow: None,
            run: None,
            tool: None,
            rule: None,
            executed: None,
            level: None,
            budget: None,
            approval: None,
            status_url: None,
            expires_at: None,
            digest: None,
            errors: Vec::new(),
            cause: None,
            candidates: Vec::new(),
            earlier: None,
            limit: None,
        }
    }

    /// The kind, where it is a known one.
    #[must_use]
    pub fn slug(&self) -> Option<Slug> {
        let slug = self.kind.strip_prefix(URN)?;
        Slug::ALL
            .iter()
            .copied()
            .find(|known| known.as_str() == slug)
    }
}

impl Serialize for ExecutedView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            run::Executed::Yes => serializer.serialize_bool(true),
            run::Executed::No => serializer.serialize_bool(false),
            run::Executed::Unknown => serializer.serialize_str("unknown"),
        }
    }
}

impl<'de> Deserialize<'de> for ExecutedView {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Bool(true) => Ok(ExecutedView(run::Executed::Yes)),
            serde_json::Value::Bool(false) => Ok(ExecutedView(run::Executed::No)),
            serde_json::Value::String(text) if text == "unknown" => {
                Ok(ExecutedView(run::Executed::Unknown))
            }
            _ => Err(de::Error::custom("expected true, false or \"unknown\"")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_only_what_applies_and_is_read_back() {
        let mut problem = Problem::new(Slug::Ambiguous, "The call was sent.");
        problem.executed = Some(ExecutedView(run::Executed::Unknown));
        let text = serde_json::to_string(&problem).unwrap();
        let expected = concat!(
            r#"{"type":"urn:burngate:problem:ambiguous","title":"The call was sent and its answer was lost","status":502,"#,
            r#""detail":"The call was sent.","executed":"unknown"}"#
        );
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Problem>(&text).unwrap(), problem);
        assert_eq!(problem.slug(), Some(Slug::Ambiguous));
    }

    #[test]
    fn no_two_kinds_share_a_slug() {
        let mut slugs: Vec<_> = Slug::ALL.iter().map(|slug| slug.as_str()).collect();
        slugs.sort_unstable();
        slugs.dedup();
        assert_eq!(slugs.len(), Slug::ALL.len());
    }
}
