//! A signal document, as it is written. Every field may be absent here; what must be there, and
//! what a missing one means, is `config::lower`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::setting::Setting;

/// A signal: a webhook of another system, and what it says of a run.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct SignalDocument {
    /// The signal's name: it is sent to `POST /v1/signals/NAME` of the admin API.
    #[schemars(required)]
    pub signal: Setting<String>,
    /// The workflow whose runs it is about; any where it is absent.
    pub workflow: Setting<String>,
    /// An expression over `body` and `header`: only deliveries for which it is true count.
    pub when: Setting<String>,
    /// An expression for the business object that the run touched.
    pub subject: Setting<String>,
    /// The tool through which the run touched the subject, as `api/tool`: the riskiest where it is
    /// absent.
    pub tool: Setting<String>,
    /// An expression for the run's id, instead of `subject`.
    pub run: Setting<String>,
    /// What went wrong with the run.
    pub mode: Setting<String>,
    /// The run was right: it counts as checked.
    pub right: Setting<bool>,
    /// An expression for a note.
    pub note: Setting<String>,
    /// An expression that makes two deliveries the same; `webhook-id` where it is absent.
    pub r#ref: Setting<String>,
    /// The file with the secrets of its senders (Standard Webhooks), a line each, beside this one.
    pub secret_file: Setting<String>,
    /// The environment variable with the secrets.
    pub secret_env: Setting<String>,
}
