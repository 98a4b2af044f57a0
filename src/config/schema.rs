//! JSON Schema of the documents, for editors: `burngate schema policy|config`.
//!
//! Derived from the source types, so that an editor knows every key that `check` knows. It does not
//! know what only lowering knows: names, bounds and conditions.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema, schema_for};

use super::source::api::{ApiDocument, Underscores};
use super::source::process::ProcessDocument;
use super::source::signal::SignalDocument;
use super::source::workflow::WorkflowDocument;
use crate::gate::budget::posture::Recovery;
use crate::gate::level::{Changes, Validation};
use crate::gate::policy::schema::parameter::{Form, Within};
use crate::gate::policy::{BodyKind, Protocol};
use crate::gate::risk::{Risk, Tier};
use crate::gate::verdict::Verdict;

/// The schema of a policy document: a tool API, a workflow or a signal.
#[must_use]
pub fn policy() -> serde_json::Value {
    #[derive(JsonSchema)]
    #[schemars(untagged)]
    #[expect(dead_code, reason = "only its schema is wanted")]
    enum Policy {
        Api(Box<ApiDocument>),
        Workflow(Box<WorkflowDocument>),
        Signal(Box<SignalDocument>),
    }
    schema_for!(Policy).to_value()
}

/// The schema of `burngate.yaml`.
#[must_use]
pub fn process() -> serde_json::Value {
    schema_for!(ProcessDocument).to_value()
}

macro_rules! words {
    ($($type:ident: $($word:literal)|+;)*) => {
        $(impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "enum": [$($word),+] })
            }
        })*

        #[cfg(test)]
        fn every_word_is_read() {
            $($(serde_json::from_str::<$type>(&format!("{:?}", $word)).unwrap();)+)*
        }
    };
}

// The gate's types know nothing of editors.
words! {
    Risk: "read" | "low" | "medium" | "high";
    Tier: "low" | "medium" | "high";
    Verdict: "allow" | "hold" | "deny";
    Changes: "frozen" | "open";
    Validation: "schemas" | "strict";
    Protocol: "http" | "mcp";
    BodyKind: "json" | "form" | "text" | "bytes" | "multipart";
    Underscores: "refuse" | "pass";
    Recovery: "automatic" | "cause";
    Within: "path" | "query";
    Form: "one" | "repeated" | "commas" | "spaces" | "pipes";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schemas_offer_only_words_that_are_read() {
        every_word_is_read();
    }

    #[test]
    fn the_schemas_compile_and_know_the_keys() {
        for schema in [policy(), process()] {
            jsonschema::validator_for(&schema).unwrap();
        }
        let policy = jsonschema::validator_for(&policy()).unwrap();
        assert!(policy.is_valid(&serde_json::json!({ "workflow": "w", "risk": "low", "tools": ["a/b"], "objective": { "target": "97%" } })));
        assert!(policy.is_valid(&serde_json::json!({ "api": "a", "upstream": "http://x", "tools": [{ "tool": "t", "risk": "read" }] })));
        assert!(!policy.is_valid(
            &serde_json::json!({ "workflow": "w", "risk": "low", "tools": [], "objektive": {} })
        ));
        // A rule is a text, or a mapping with a mode of its own.
        let ruled = |rule: serde_json::Value| serde_json::json!({ "api": "a", "upstream": "http://x", "tools": [{ "tool": "t", "risk": "low", "deny_when": rule }] });
        assert!(policy.is_valid(&ruled(serde_json::json!("args.n > 1.0"))));
        assert!(policy.is_valid(&ruled(
            serde_json::json!({ "if": "args.n > 1.0", "mode": "shadow", "until": "2026-12-01" })
        )));
        assert!(!policy.is_valid(&ruled(
            serde_json::json!({ "if": "args.n > 1.0", "til": "2026-12-01" })
        )));
    }
}
