//! Signals: webhooks of other systems, mapped by the policy onto the outcome of a run.
//!
//! A signed signal needs no token: its signature says who sent it, and is checked before any of the
//! body is parsed. A signal without a secret needs a reporter's token. A delivery that says nothing
//! about any run is answered with 200 and why: a sender that gets anything else repeats it for
//! days. A signal charges failure modes or confirms; it never retracts and never excludes (G11),
//! and if several runs match it charges none.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};

use super::auth::Role;
use super::durable::{MAY_STILL, durable, revised};
use super::error::AdminError;
use super::read::PathSegment;
use super::state::AdminState;
use super::{error, read, reports};
use crate::api::report::SignalResponse;
use crate::api::{Problem, Slug, operate};
use crate::gate::booking::Change;
use crate::gate::budget::burn::BurnRates;
use crate::gate::name::{PersonName, RunId, Subject};
use crate::gate::outcome::Source;
use crate::gate::policy::Rule;
use crate::gate::policy::condition::Undecided;
use crate::gate::policy::facts::{Ambiguous, Facts, Lookup};
use crate::gate::policy::signal::{About, Says, SecretSource, Signal};
use crate::gate::run::Charge;
use crate::journal::revise::{ReviseError, RunTarget};
use crate::ledger::people::report::Reported;
use crate::wire::webhook::Signed;
use crate::wire::{json, webhook};

/// The largest file of secrets, in bytes.
const MAX_SECRETS_FILE: u64 = 16 * 1024;

/// Takes a signal of another system.
#[utoipa::path(
    post,
    path = "/v1/signals/{name}",
    params(("name" = String, Path, description = "the policy's `signal:`")),
    request_body(content = serde_json::Value, description = "whatever the system sends; signed as Standard Webhooks where the policy names a secret"),
    responses((status = 200, body = SignalResponse), (status = "default", body = Problem)),
    security((), ("token" = []))
)]
pub(super) async fn receive(
    State(state): State<Arc<AdminState>>,
    PathSegment(name): PathSegment,
    request: Request,
) -> Result<Json<SignalResponse>, AdminError> {
    let (parts, body) = request.into_parts();
    let policies = Arc::clone(&state.ledger().table().policies);
    let signal = policies.signals.get(name.as_str()).map(Arc::clone);
    let Some(signal) = signal.filter(|signal| signal.secret.is_some()) else {
        // Without a token nobody learns which signals exist.
        let person = state.may(&parts.headers, Role::Reporter)?;
        let signal = policies.signals.get(name.as_str()).ok_or_else(|| {
            AdminError::new(Slug::NotFound, format!("no policy has a signal `{name}`"))
        })?;
        let body = read::bounded(body).await?;
        // It may have taken its time, and people leave.
        state.may(&parts.headers, Role::Reporter)?;
        return counted(
            &state,
            signal,
            news(&state, signal, &parts.headers, &body, &person.name).await,
        );
    };
    let body = read::bounded(body).await?;
    if let Err(error) = signed(&state, &signal, &parts.headers, &body).await {
        state.admin.metrics.signal(&signal.name, "refused");
        return Err(error);
    }
    counted(
        &state,
        &signal,
        news(
            &state,
            &signal,
            &parts.headers,
            &body,
            &PersonName::from(signal.name.as_str()),
        )
        .await,
    )
}

/// What it said, counted.
fn counted(
    state: &AdminState,
    signal: &Signal,
    answer: Result<SignalResponse, AdminError>,
) -> Result<Json<SignalResponse>, AdminError> {
    let outcome = match &answer {
        Ok(SignalResponse {
            matched: false,
            candidates,
            ..
        }) if !candidates.is_empty() => "ambiguous",
        Ok(SignalResponse { matched: false, .. }) => "unmatched",
        Ok(SignalResponse {
            result: Some(revised),
            ..
        }) if revised.repeated => "repeated",
        Ok(SignalResponse { .. }) => "booked",
        Err(_) => "failed",
    };
    state.admin.metrics.signal(&signal.name, outcome);
    answer.map(Json)
}

/// Is it by somebody who has the secret, and from now?
async fn signed(
    state: &Arc<AdminState>,
    signal: &Signal,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), AdminError> {
    let Some(source) = signal.secret.clone() else {
        return Ok(());
    };
    let one = |name: &str| {
        let mut values = headers.get_all(name).iter();
        match (values.next().map(|value| value.to_str()), values.next()) {
            (Some(Ok(value)), None) => Ok(value),
            _ => Err(AdminError::new(
                Slug::Unauthorized,
                format!("`{name}` must be there once: this signal is signed as Standard Webhooks"),
            )),
        }
    };
    let signed = Signed {
        id: one("webhook-id")?,
        timestamp: one("webhook-timestamp")?,
        signature: one("webhook-signature")?,
    };
    let (file, name) = (Arc::clone(&signal.location.file), signal.name.clone());
    let text = state
        .look_up(move |_| Ok(secret_text(&source, &file)))
        .await?;
    let secrets = text.and_then(|text| webhook::secrets(&text).map_err(|error| error.to_string()));
    let secrets = secrets.map_err(|why| {
        tracing::error!(
            signal = name.as_str(),
            why,
            "a signal cannot be checked: its secret cannot be read"
        );
        AdminError::new(
            Slug::Unavailable,
            "the gate cannot read this signal's secret, so that it cannot be checked",
        )
    })?;
    webhook::verify(&secrets, signed, body, state.ledger().now())
        .map_err(|refused| AdminError::new(Slug::Unauthorized, refused.to_string()))
}

fn secret_text(source: &SecretSource, policy: &str) -> Result<String, String> {
    match source {
        SecretSource::Variable(name) => std::env::var(&**name)
            .map_err(|_| format!("the environment variable {name} is not set")),
        SecretSource::File(written) => {
            // Relative to the directory of the policy that names it.
            let path = Path::new(policy)
                .parent()
                .unwrap_or(Path::new(""))
                .join(&**written);
            let unreadable_file = |error: std::io::Error| format!("{}: {error}", path.display());
            let file = std::fs::metadata(&path).map_err(unreadable_file)?;
            if !file.is_file() || file.len() > MAX_SECRETS_FILE {
                return Err(format!(
                    "{} is not a file of at most 16 KiB",
                    path.display()
                ));
            }
            std::fs::read_to_string(&path).map_err(unreadable_file)
        }
    }
}

/// What the delivery says, booked.
async fn news(
    state: &AdminState,
    signal: &Signal,
    headers: &HeaderMap,
    body: &[u8],
    by: &PersonName,
) -> Result<SignalResponse, AdminError> {
    let unmatched = |why: String| SignalResponse {
        matched: false,
        why: Some(why),
        ..SignalResponse::default()
    };
    let (target, note, reference) = match understood(signal, headers, body)? {
        ParsedSignal::Nothing(why) => return Ok(unmatched(why)),
        ParsedSignal::News {
            target,
            note,
            reference,
        } => (target, note, reference),
    };
    let answer = match &signal.says {
        Says::Right => {
            revised(state.ledger().revise(
                target.clone(),
                Change::Check {
                    right: true,
                    by: by.clone(),
                },
            ))
            .await?
        }
        Says::Wrong(mode) => {
            let tool = match &target {
                RunTarget::Subject { tool, .. } => tool.clone(),
                RunTarget::Run { .. } | RunTarget::Call(_) => None,
            };
            let charge = Charge {
                mode: mode.clone(),
                source: Source::System,
                by: Some(by.clone()),
                call: None,
                tool,
                note,
                reference,
            };
            match state.ledger().report(target.clone(), charge) {
                Reported::Booked(receipt) => revised(receipt).await?,
                Reported::Open {
                    revised,
                    durable: receipt,
                } => {
                    if let Some(receipt) = receipt {
                        durable(receipt, MAY_STILL).await?;
                    }
                    Ok(revised)
                }
            }
        }
    };
    match answer {
        Ok(done) => Ok(SignalResponse {
            matched: true,
            result: Some(reports::revised_run(&done)),
            ..SignalResponse::default()
        }),
        Err(ReviseError::Unknown) => Ok(unmatched(error::no_run(&target))),
        Err(ReviseError::Several(runs)) => {
            tracing::warn!(
                signal = signal.name.as_str(),
                runs = runs.len(),
                "a signal matches runs of several workflows; none was charged"
            );
            let why = "runs of several workflows match, and none was charged: give the signal a `workflow` or a `tool`".to_owned();
            Ok(SignalResponse {
                candidates: runs.into_iter().map(error::candidate).collect(),
                ..unmatched(why)
            })
        }
        Err(ReviseError::Nothing(why)) => Ok(unmatched(why.to_owned())),
        Err(
            error @ (ReviseError::Open(..)
            | ReviseError::TooMany
            | ReviseError::NotOwn
            | ReviseError::Unavailable(_)),
        ) => Err(error.into()),
    }
}

enum ParsedSignal {
    /// Answers a delivery that says nothing about any run: why that is.
    Nothing(String),
    News {
        target: RunTarget,
        note: Option<Arc<str>>,
        reference: Option<Arc<str>>,
    },
}

/// What the policy makes of the delivery.
fn understood(
    signal: &Signal,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<ParsedSignal, AdminError> {
    let parsed = json::parse(body).map_err(|error| {
        AdminError::new(
            Slug::Malformed,
            format!("the body is not JSON that can be read in one way: {error}"),
        )
    })?;
    let (burn, lookup) = (BurnRates::default(), SignalHeaders(headers));
    let facts = Facts {
        args: Some(&parsed),
        header: &lookup,
        ..Facts::none(&burn)
    };
    if let Some(rule) = &signal.when
        && !rule
            .condition
            .holds(&facts)
            .map_err(|undecided| unreadable(rule, "when", &undecided))?
    {
        return Ok(ParsedSignal::Nothing(format!(
            "`when` ({}) does not hold",
            rule.location
        )));
    }
    let text = |rule: &Rule, key: &str| {
        rule.condition
            .text(&facts)
            .map_err(|undecided| unreadable(rule, key, &undecided))
    };
    let named = |rule: &Rule, key: &str| {
        text(rule, key)?
            .map(|text| Ok(Arc::from(read::name(&format!("/{key}"), &text)?)))
            .transpose()
            .map_err(|error: AdminError| error.at(&rule.location))
    };
    let (rule, key) = match &signal.about {
        About::Run(rule) => (rule, "run"),
        About::Subject(rule, _) => (rule, "subject"),
    };
    let Some(value): Option<Arc<str>> = named(rule, key)? else {
        return Ok(ParsedSignal::Nothing(format!(
            "`{key}` ({}) gives nothing",
            rule.location
        )));
    };
    let workflow = signal.workflow.clone();
    let target = match &signal.about {
        About::Run(_) => RunTarget::Run {
            run: RunId::from(&*value),
            workflow,
            agent: None,
        },
        About::Subject(_, tool) => RunTarget::Subject {
            subject: Subject::from(&*value),
            tool: tool.clone(),
            workflow,
        },
    };
    let note = signal
        .note
        .as_ref()
        .map(|rule| text(rule, "note"))
        .transpose()?
        .flatten()
        .map(|note| clipped(&note));
    let reference = match &signal.reference {
        Some(rule) => match named(rule, "ref")? {
            Some(reference) => Some(reference),
            None => {
                return Ok(ParsedSignal::Nothing(format!(
                    "`ref` ({}) gives nothing",
                    rule.location
                )));
            }
        },
        None => headers
            .get("webhook-id")
            .and_then(|id| id.to_str().ok())
            .map(|id| read::name("/webhook-id", id))
            .transpose()?
            .map(Arc::from),
    };
    Ok(ParsedSignal::News {
        target,
        note,
        reference,
    })
}

fn unreadable(rule: &Rule, key: &str, undecided: &Undecided) -> AdminError {
    let why = match undecided {
        Undecided::Ambiguous(part) => format!("{part} can be read in two ways"),
        Undecided::Inexact(pointer) => {
            format!("the number at `{pointer}` does not survive binary64")
        }
        Undecided::Failed(why) => why.clone(),
    };
    AdminError::new(
        Slug::Invalid,
        format!("{}: `{key}` cannot be evaluated: {why}", rule.location),
    )
}

/// A note is for reading: what no terminal should get is left out, and so is what is too long.
fn clipped(note: &str) -> Arc<str> {
    note.chars()
        .filter(|c| !c.is_control())
        .take(operate::MAX_TEXT)
        .collect::<String>()
        .into()
}

/// The headers that expressions read. Credentials are not among them: what a policy could copy into
/// a note would be in the journal for good.
struct SignalHeaders<'h>(&'h HeaderMap);

impl Lookup for SignalHeaders<'_> {
    fn find(&self, name: &str) -> Result<Option<Cow<'_, str>>, Ambiguous> {
        if [
            header::AUTHORIZATION.as_str(),
            header::COOKIE.as_str(),
            "webhook-signature",
        ]
        .contains(&name)
        {
            return Ok(None);
        }
        let mut values = self.0.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => value
                .to_str()
                .map(|text| Some(Cow::Borrowed(text)))
                .map_err(|_| Ambiguous),
            (Some(_), Some(_)) => Err(Ambiguous),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g7_a_file_of_secrets_is_read_up_to_its_bound() {
        let dir = tempfile::tempdir().unwrap();
        let read = |bytes: u64| {
            let text = "s".repeat(usize::try_from(bytes).unwrap());
            std::fs::write(dir.path().join("hook.secret"), text).unwrap();
            let policy = dir.path().join("policy.yaml");
            let source = SecretSource::File("hook.secret".into());
            secret_text(&source, policy.to_str().unwrap())
        };
        assert_eq!(
            read(MAX_SECRETS_FILE).map(|text| text.len() as u64),
            Ok(MAX_SECRETS_FILE)
        );
        let refused = read(MAX_SECRETS_FILE + 1).unwrap_err();
        assert!(refused.contains("at most 16 KiB"), "{refused}");
    }
}
