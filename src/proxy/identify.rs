//! Who asks: the agent, the workflow it works for, and the run the call belongs to.
//!
//! A header only chooses among what the identity may use; it never is the identity (G11).
//! Credentials are compared by their digest in constant time, and the reason of a refusal does not
//! depend on which part was wrong.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use http::{HeaderMap, HeaderName};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use crate::gate::name::{AgentName, RunId, WorkflowName};
use crate::ledger::{Table, WorkflowHandle};

/// The agent's credential.
pub const AUTHORIZATION: HeaderName = HeaderName::from_static("burngate-authorization");
/// Which of the identity's workflows.
pub const WORKFLOW: HeaderName = HeaderName::from_static("burngate-workflow");
/// The run that a call belongs to.
pub const RUN: HeaderName = HeaderName::from_static("burngate-run");
/// W3C Trace Context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The agent that any local caller is, where none are configured.
static LOCAL: LazyLock<AgentName> = LazyLock::new(|| AgentName::from("local"));
/// The longest run id that a header gives, in bytes.
pub const MAX_RUN_ID: usize = 128;

/// The agents that may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identities {
    /// No agents are configured: any local caller is the agent `local`, which may work for every
    /// workflow.
    AnyLocal,
    /// These agents, by their tokens.
    Known(Vec<Identity>),
}

/// A configured agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its name.
    pub agent: AgentName,
    /// The workflows it may work for.
    pub workflows: Vec<WorkflowName>,
    /// SHA-256 of its token; `None` where it has no token to show.
    pub token_sha256: Option<[u8; 32]>,
}

/// Who asks.
#[derive(Clone)]
pub struct Caller {
    /// The agent.
    pub agent: AgentName,
    /// The workflow it works for, with its living state.
    pub workflow: Arc<WorkflowHandle>,
}

/// Why nobody could be identified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// No valid credential.
    #[error("no valid credential in Burngate-Authorization")]
    NoCredential,
    /// A workflow that is unknown or not the identity's.
    #[error("workflow `{0}` is unknown or not this agent's")]
    NotYours(String),
    /// Several workflows are possible and none was named.
    #[error("this agent has several workflows; name one in Burngate-Workflow")]
    Several,
    /// The identity has no workflow in force.
    #[error("no workflow of this agent is in force")]
    None,
    /// The run id is invalid.
    #[error("Burngate-Run is not 1 to 128 printable characters without `#`")]
    BadRun,
}

impl Identities {
    /// The agents that are in `other` as well, with the workflows that both give them: nobody gets
    /// in who is not in both.
    #[must_use]
    pub fn narrowed(&self, other: &Identities) -> Identities {
        let (known, other) = match (self, other) {
            (Identities::Known(known), Identities::Known(other)) => (known, other),
            (Identities::AnyLocal, other) => return other.clone(),
            (known, Identities::AnyLocal) => return known.clone(),
        };
        let same = |one: &Identity| {
            other
                .iter()
                .find(|other| other.agent == one.agent && other.token_sha256 == one.token_sha256)
        };
        let both = |one: &Identity, other: &Identity| {
            one.workflows
                .iter()
                .filter(|workflow| other.workflows.contains(workflow))
                .cloned()
                .collect()
        };
        Identities::Known(
            known
                .iter()
                .filter_map(|one| {
                    same(one).map(|other| Identity {
                        workflows: both(one, other),
                        ..one.clone()
                    })
                })
                .collect(),
        )
    }

    /// Who sent these headers.
    pub fn identify(&self, headers: &HeaderMap, table: &Table) -> Result<Caller, Unknown> {
        let (agent, workflows) = match self {
            Identities::AnyLocal => (LOCAL.clone(), None),
            Identities::Known(known) => {
                let identity = credential(headers)
                    .and_then(|digest| find(known, &digest))
                    .ok_or(Unknown::NoCredential)?;
                (identity.agent.clone(), Some(&identity.workflows))
            }
        };
        let workflow = choose(headers, workflows.map(Vec::as_slice), &table.entries)?;
        Ok(Caller { agent, workflow })
    }
}

/// The run that the headers name.
pub fn named_run(headers: &HeaderMap) -> Result<Option<RunId>, Unknown> {
    let Some(value) = headers.get(RUN) else {
        return Ok(None);
    };
    let text = value.to_str().map_err(|_| Unknown::BadRun)?;
    run_id(text).ok_or(Unknown::BadRun).map(Some)
}

/// The text as a run's id. `#` is kept for continuations.
#[must_use]
pub fn run_id(text: &str) -> Option<RunId> {
    let fits = (1..=MAX_RUN_ID).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#');
    fits.then(|| RunId::from(text))
}

/// The trace id of a valid `traceparent` (W3C Trace Context, version 00).
#[must_use]
pub fn traced_run(headers: &HeaderMap) -> Option<RunId> {
    let text = headers.get(TRACEPARENT)?.to_str().ok()?;
    let mut parts = text.split('-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let is_hex = trace.len() == 32
        && trace
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (version == "00" && is_hex && trace.bytes().any(|byte| byte != b'0'))
        .then(|| RunId::from(trace))
}

fn credential(headers: &HeaderMap) -> Option<[u8; 32]> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| Sha256::digest(token.trim().as_bytes()).into())
}

/// Every token is compared, whichever matches: the time taken says nothing.
fn find<'a>(known: &'a [Identity], digest: &[u8; 32]) -> Option<&'a Identity> {
    let matches = |identity: &Identity| {
        identity
            .token_sha256
            .is_some_and(|known| known.ct_eq(digest).into())
    };
    known
        .iter()
        .filter(|identity| matches(identity))
        .fold(None, |found, identity| found.or(Some(identity)))
}

fn choose(
    headers: &HeaderMap,
    allowed: Option<&[WorkflowName]>,
    entries: &BTreeMap<WorkflowName, Arc<WorkflowHandle>>,
) -> Result<Arc<WorkflowHandle>, Unknown> {
    let may = |name: &WorkflowName| allowed.is_none_or(|allowed| allowed.contains(name));
    if let Some(value) = headers.get(WORKFLOW) {
        let named = value.to_str().unwrap_or_default();
        let named_one = entries.get(named).filter(|one| may(&one.policy.name));
        return named_one
            .map(Arc::clone)
            .ok_or_else(|| Unknown::NotYours(shown(named)));
    }
    // Never a walk over all workflows: there may be a hundred thousand, and an agent has a few.
    match allowed {
        Some(allowed) => the_only(allowed.iter().filter_map(|name| entries.get(name))),
        None => the_only(entries.values()),
    }
}

fn the_only<'a>(
    mut possible: impl Iterator<Item = &'a Arc<WorkflowHandle>>,
) -> Result<Arc<WorkflowHandle>, Unknown> {
    match (possible.next(), possible.next()) {
        (Some(only), None) => Ok(Arc::clone(only)),
        (Some(_), Some(_)) => Err(Unknown::Several),
        (None, _) => Err(Unknown::None),
    }
}

/// A client's text, safe to show: printable, and not long.
fn shown(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_ascii_graphic() || *c == ' ')
        .take(64)
        .collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_run_id_has_a_length_and_no_continuation_mark() {
        assert!(named_run(&headers(RUN, "ticket-17")).unwrap().is_some());
        assert!(named_run(&headers(RUN, &"r".repeat(MAX_RUN_ID))).is_ok());
        for bad in ["", "a#2", "a b", &"r".repeat(MAX_RUN_ID + 1)] {
            assert_eq!(named_run(&headers(RUN, bad)), Err(Unknown::BadRun), "{bad}");
        }
    }

    #[test]
    fn only_a_valid_trace_names_a_run() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(
            traced_run(&headers(
                TRACEPARENT,
                &format!("00-{trace}-b7ad6b7169203331-01")
            )),
            Some(RunId::from(trace))
        );
        for bad in [
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-XYZ-1-1",
            "",
        ] {
            assert_eq!(traced_run(&headers(TRACEPARENT, bad)), None, "{bad}");
        }
    }

    #[test]
    fn a_token_identifies_by_its_digest_alone() {
        let identity = |agent: &str, token: &str| Identity {
            agent: agent.into(),
            workflows: Vec::new(),
            token_sha256: Some(Sha256::digest(token).into()),
        };
        let known = [identity("a", "secret-a"), identity("b", "secret-b")];
        let found = |value: &str| {
            credential(&headers(AUTHORIZATION, value))
                .and_then(|digest| find(&known, &digest).map(|i| i.agent.to_string()))
        };
        assert_eq!(found("Bearer secret-b").as_deref(), Some("b"));
        for bad in ["Bearer secret-c", "secret-a", "Basic secret-a", "Bearer "] {
            assert_eq!(found(bad), None, "{bad}");
        }
    }

    #[test]
    fn narrowing_lets_nobody_in_and_gives_nobody_more() {
        let identity = |agent: &str, token: &str, workflows: &[&str]| Identity {
            agent: agent.into(),
            workflows: workflows
                .iter()
                .map(|name| WorkflowName::from(*name))
                .collect(),
            token_sha256: Some(Sha256::digest(token).into()),
        };
        let before = Identities::Known(vec![
            identity("a", "1", &["x", "y"]),
            identity("b", "2", &["x"]),
            identity("c", "3", &["x"]),
        ]);
        let after = Identities::Known(vec![
            identity("a", "1", &["y", "z"]),
            identity("b", "other", &["x"]),
            identity("d", "3", &["x"]),
        ]);
        assert_eq!(
            before.narrowed(&after),
            Identities::Known(vec![identity("a", "1", &["y"])])
        );
        assert_eq!(Identities::AnyLocal.narrowed(&after), after);
        assert_eq!(before.narrowed(&Identities::AnyLocal), before);
    }
}
