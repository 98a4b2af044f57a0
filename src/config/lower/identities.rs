//! What `agents` and `reviewers` mean: who may call and who may decide. No token stands for two of
//! them (G11).

use std::collections::{BTreeMap, BTreeSet};

use super::pending::{Owner, warn};
use super::written::{items, location, name, required, span_of};
use crate::config::diagnostics::Notes;
use crate::config::source::process::{AgentEntry, ProcessDocument, ReviewerEntry, ReviewerRole};
use crate::config::source::setting::{At, Setting};
use crate::config::source::tree::SourceSpan;
use crate::gate::digest::Digest;
use crate::gate::location::SourceLocation;
use crate::gate::name::{AgentName, PersonName, WorkflowName};

/// The most agents, and the most reviewers.
pub const MAX_PEOPLE: usize = 10_000;

/// The most tokens of one person.
pub const MAX_TOKENS: usize = 16;

/// One agent's identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentIdentity {
    /// Its name.
    pub agent: AgentName,
    /// The workflows it may use.
    pub workflows: BTreeSet<WorkflowName>,
    /// SHA-256 of its token.
    pub token_sha256: Option<Digest>,
    /// The SPIFFE id in its certificate.
    pub spiffe: Option<String>,
    /// Where it was written.
    pub location: SourceLocation,
}

/// One person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewerIdentity {
    /// The name.
    pub name: PersonName,
    /// What they may do.
    pub role: ReviewerRole,
    /// SHA-256 of each of their tokens: several are one person all the same.
    pub tokens_sha256: Vec<Digest>,
}

/// Lowers `agents` and `reviewers`; agents are `None` where any local caller may call.
pub(super) fn lower(
    document: &ProcessDocument,
    notes: &mut Notes<'_>,
) -> (Option<Vec<AgentIdentity>>, Vec<ReviewerIdentity>) {
    let mut tokens = Tokens::default();
    let agents = agents(document, &mut tokens, notes);
    let reviewers = reviewers(document, &mut tokens, notes);
    (agents, reviewers)
}

/// Every token so far, so that one token never stands for two identities: an agent that is also a
/// reviewer could approve its own calls (G11).
#[derive(Default)]
struct Tokens(BTreeMap<Digest, String>);

impl Tokens {
    fn read(&mut self, at: &At<String>, owner: &str, notes: &mut Notes<'_>) -> Option<Digest> {
        let Ok(digest) = at.value.parse::<Digest>() else {
            notes
                .error(at.span.clone(), format!("`token_sha256` of {owner}: expected 64 lower-case hexadecimal digits"))
                .hint("the SHA-256 of the token, never the token itself: printf %s \"$TOKEN\" | sha256sum");
            return None;
        };
        if let Some(other) = self.0.insert(digest, owner.to_owned()) {
            notes
                .error(
                    at.span.clone(),
                    format!("{owner} has the same token as {other}"),
                )
                .hint("give each agent and each person a token of their own");
        }
        Some(digest)
    }
}

fn agents(
    document: &ProcessDocument,
    tokens: &mut Tokens,
    notes: &mut Notes<'_>,
) -> Option<Vec<AgentIdentity>> {
    let span = span_of(&document.agents)?;
    let mut agents: Vec<AgentIdentity> = Vec::new();
    for At {
        value:
            AgentEntry {
                agent,
                workflows,
                token_sha256,
                spiffe,
            },
        span,
    } in items(&document.agents)
    {
        let Some(at) = required(agent, "agent", "an agent", span, notes) else {
            continue;
        };
        let Some(agent_name) = name(at, "an agent", notes) else {
            continue;
        };
        let owner = format!("agent `{agent_name}`");
        if agents
            .iter()
            .any(|other| other.agent.as_str() == agent_name)
        {
            notes
                .error(at.span.clone(), format!("{owner} is written twice"))
                .hint("list all its workflows in one entry");
        }
        required(workflows, "workflows", &owner, &at.span, notes);
        if token_sha256.is_absent() && spiffe.is_absent() {
            notes
                .error(at.span.clone(), format!("{owner} has no credential"))
                .hint("write `token_sha256`, or `spiffe` with `tls`");
        }
        warn(Owner::Agent, "spiffe", span_of(spiffe), notes);
        if let Some(at) = spiffe
            .given()
            .filter(|at| !at.value.starts_with("spiffe://"))
        {
            notes
                .error(
                    at.span.clone(),
                    format!("`spiffe`: expected a SPIFFE id, found `{}`", at.value),
                )
                .hint("for example spiffe://corp/ns/agents/sa/payout");
        }
        let workflows = items(workflows)
            .filter_map(|at| name(at, "a workflow", notes))
            .map(WorkflowName::from)
            .collect();
        let location = location(&at.span, notes);
        let token_sha256 = token_sha256
            .given()
            .and_then(|token| tokens.read(token, &owner, notes));
        agents.push(AgentIdentity {
            agent: AgentName::from(agent_name),
            workflows,
            token_sha256,
            spiffe: spiffe.value().cloned(),
            location,
        });
    }
    bounded("agents", agents.len(), span.clone(), notes);
    if document.agents.value().is_some_and(Vec::is_empty) {
        notes
            .error(span, "`agents` is empty: nobody could call")
            .hint("list the agents, or leave the key out to let any local caller in");
    }
    Some(agents)
}

fn reviewers(
    document: &ProcessDocument,
    tokens: &mut Tokens,
    notes: &mut Notes<'_>,
) -> Vec<ReviewerIdentity> {
    let mut reviewers: Vec<ReviewerIdentity> = Vec::new();
    for At {
        value:
            ReviewerEntry {
                name: person,
                role,
                token_sha256,
                tokens_sha256,
            },
        span,
    } in items(&document.reviewers)
    {
        let Some(at) = required(person, "name", "a reviewer", span, notes) else {
            continue;
        };
        let Some(person) = name(at, "a reviewer", notes) else {
            continue;
        };
        let owner = format!("reviewer `{person}`");
        if person == "operator" {
            notes
                .error(at.span.clone(), "a reviewer cannot be called `operator`")
                .hint("that name stands for whoever holds the operator token");
        } else if reviewers.iter().any(|other| other.name.as_str() == person) {
            notes
                .error(at.span.clone(), format!("{owner} is written twice"))
                .hint(
                    "list each person once; several tokens of one person go under `tokens_sha256`",
                );
        }
        let role = required(role, "role", &owner, &at.span, notes).map(|at| at.value);
        let written: Vec<&At<String>> = token_sha256
            .given()
            .into_iter()
            .chain(items(tokens_sha256))
            .collect();
        if tokens_sha256.is_absent() {
            required(token_sha256, "token_sha256", &owner, &at.span, notes);
        } else if written.is_empty() || written.len() > MAX_TOKENS {
            notes.error(
                at.span.clone(),
                format!(
                    "{owner} has {} tokens; expected 1 to {MAX_TOKENS}",
                    written.len()
                ),
            );
        }
        if document.agents.value().is_some_and(|agents| {
            agents.iter().filter_map(Setting::given).any(|entry| {
                entry
                    .value
                    .agent
                    .value()
                    .is_some_and(|agent| agent.as_str() == person)
            })
        }) {
            notes
                .warning(at.span.clone(), format!("{owner} has the same name as an agent, so this person cannot decide on that agent's calls"))
                .hint("people and agents are told apart by their names: give the person another");
        }
        let tokens_sha256: Vec<Digest> = written
            .into_iter()
            .filter_map(|token| tokens.read(token, &owner, notes))
            .collect();
        if let Some(role) = role.filter(|_| !tokens_sha256.is_empty()) {
            reviewers.push(ReviewerIdentity {
                name: PersonName::from(person),
                role,
                tokens_sha256,
            });
        }
    }
    let span = span_of(&document.reviewers).unwrap_or_default();
    bounded("reviewers", reviewers.len(), span, notes);
    reviewers
}

/// Reports a list under `key` that is longer than [`MAX_PEOPLE`].
pub(super) fn bounded(key: &str, count: usize, span: SourceSpan, notes: &mut Notes<'_>) {
    if count > MAX_PEOPLE {
        notes.error(
            span,
            format!("`{key}`: expected at most {MAX_PEOPLE}, found {count}"),
        );
    }
}
