//! What `burngate.yaml` means: where the gate listens, who may call and decide, and what is
//! bounded. Every default is here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::diagnostics::{Diagnostics, Notes, SourceFile};
use crate::config::quantity::Size;
use crate::config::source::decode::{At, Setting, decode};
use crate::config::source::nearest::did_you_mean;
use crate::config::source::process::{
    AgentEntry, BoundsEntry, OneOrMore, ProcessDocument, ReviewerEntry, TlsEntry,
};
use crate::config::source::tree;
use crate::gate::digest::Digest;
use crate::gate::level::BUILT_IN;
use crate::gate::name::{AgentName, LevelName, PersonName, WorkflowName};
use crate::gate::policy::Place;

pub use crate::config::source::process::ReviewerRole;

use super::pending::{Owner, warn};
use super::written::{interval, items, name, number, place, required, span_of};

/// The most addresses to listen on.
pub const MAX_LISTEN: usize = 16;

/// The most agents, and the most reviewers.
pub const MAX_PEOPLE: usize = 10_000;

/// The most tokens of one person.
pub const MAX_TOKENS: usize = 16;

/// How the process runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Where agents call.
    pub listen: Vec<ListenAddress>,
    /// Where operators call.
    pub admin: SocketAddr,
    /// The directory of the policies.
    pub policies: PathBuf,
    /// The directory of the data.
    pub data: PathBuf,
    /// Certificates of the data plane.
    pub tls: Option<Tls>,
    /// Who may call; `None` lets any local caller choose a workflow.
    pub agents: Option<Vec<AgentIdentity>>,
    /// Who decides and reports, besides the operator token.
    pub reviewers: Vec<ReviewerIdentity>,
    /// What is bounded.
    pub bounds: ProcessBounds,
    /// How many threads serve calls; `None` for one per processor.
    pub workers: Option<usize>,
    /// How long calls in flight may take at shutdown.
    pub drain: Duration,
    /// The built-in level that the last resorts clamp to: the `clamp` file, SIGUSR2, the
    /// dashboard's emergency button.
    pub emergency: LevelName,
    /// What was accepted and somebody should look at.
    pub warnings: Diagnostics,
}

/// An address of the data plane.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(address) => address.fmt(f),
            ListenAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl std::str::FromStr for ListenAddress {
    type Err = String;

    /// Reads `host:port`, `:port` for every interface, or `unix:/path`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some("") => Err("expected a path after `unix:`".to_owned()),
            Some(path) => Ok(ListenAddress::Unix(path.into())),
            None => socket_address(text).map(ListenAddress::Tcp),
        }
    }
}

/// Reads `address:port`, `localhost:port` or `:port`. Names are not looked up: what a gate listens
/// on must not depend on DNS.
pub fn socket_address(text: &str) -> Result<SocketAddr, String> {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let port = port.parse::<u16>().ok().filter(|_| !port.starts_with('+'));
    let address = match (host, port) {
        ("localhost", Some(port)) => Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        ("", Some(port)) => Some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
        _ => text.parse().ok(),
    };
    address.ok_or_else(|| format!("expected an address such as 127.0.0.1:8080, found `{text}`"))
}

/// Certificates of the data plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificate chain's file.
    pub cert: PathBuf,
    /// The private key's file.
    pub key: PathBuf,
    /// The file of those who sign agents' certificates.
    pub client_ca: Option<PathBuf>,
}

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
    pub place: Place,
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

/// What is bounded (G7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessBounds {
    /// The largest request body, in bytes.
    pub body: usize,
    /// The largest request head, in bytes.
    pub head: usize,
    /// The most connections.
    pub connections: usize,
    /// The most memory that bodies in flight take, in bytes.
    pub memory: usize,
    /// The most held calls.
    pub holds: usize,
}

impl Default for ProcessBounds {
    fn default() -> Self {
        ProcessBounds {
            body: 1 << 20,
            head: 32 << 10,
            connections: 10_000,
            memory: 512 << 20,
            holds: 1000,
        }
    }
}

impl Default for Process {
    fn default() -> Self {
        Process {
            listen: vec![ListenAddress::Tcp(SocketAddr::from((
                Ipv4Addr::LOCALHOST,
                8080,
            )))],
            admin: SocketAddr::from((Ipv4Addr::LOCALHOST, 9901)),
            policies: "policies".into(),
            data: "burngate-data".into(),
            tls: None,
            agents: None,
            reviewers: Vec::new(),
            bounds: ProcessBounds::default(),
            workers: None,
            drain: Duration::from_secs(30),
            emergency: LevelName::from("read_only"),
            warnings: Diagnostics::default(),
        }
    }
}

impl Process {
    /// How many people may approve a held call: the reviewers and operators that are listed, and
    /// the operator token.
    #[must_use]
    pub fn approvers(&self) -> u32 {
        let listed = self
            .reviewers
            .iter()
            .filter(|person| person.role >= ReviewerRole::Reviewer)
            .count();
        u32::try_from(listed).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// The keys that `other` says something else under, and that nothing but a start reads. Who may
    /// call and decide, and certificates, are read anew at a reload.
    #[must_use]
    pub fn fixed_apart(&self, other: &Process) -> Vec<&'static str> {
        let Process {
            listen,
            admin,
            policies,
            data,
            tls,
            agents: _,
            reviewers: _,
            bounds,
            workers,
            drain,
            emergency,
            warnings: _,
        } = self;
        let keys = [
            ("listen", *listen != other.listen),
            ("admin", *admin != other.admin),
            ("policies", *policies != other.policies),
            ("data", *data != other.data),
            ("tls", tls.is_some() != other.tls.is_some()),
            ("bounds", *bounds != other.bounds),
            ("workers", *workers != other.workers),
            ("drain", *drain != other.drain),
            ("emergency", *emergency != other.emergency),
        ];
        keys.into_iter()
            .filter(|(_, differs)| *differs)
            .map(|(key, _)| key)
            .collect()
    }
}

/// Lowers `file`; the defaults where there is none. Relative paths in it start at its own
/// directory.
pub fn lower(file: Option<&SourceFile>) -> Result<Process, Diagnostics> {
    let Some(file) = file else {
        return Ok(Process::default());
    };
    let mut notes = Notes::on(file);
    let process = read(&mut notes);
    let mut found = Diagnostics::about(std::slice::from_ref(file));
    found.extend(notes.into_found());
    found.sort();
    if found.has_errors() {
        Err(found)
    } else {
        Ok(Process {
            warnings: found,
            ..process
        })
    }
}

fn read(notes: &mut Notes<'_>) -> Process {
    let documents = match tree::read(&notes.file().text) {
        Ok(documents) => documents,
        Err(broken) => {
            notes.error(
                broken.span,
                format!("this cannot be read as YAML: {}", broken.message),
            );
            return Process::default();
        }
    };
    if let Some(second) = documents.get(1) {
        notes
            .error(
                second.span.clone(),
                "the process's configuration is one document",
            )
            .hint("policies belong into files of the policy directory");
    }
    let document = documents
        .first()
        .and_then(|node| decode::<ProcessDocument>(node, notes));
    document.map_or_else(Process::default, |document| process(&document, notes))
}

fn process(document: &ProcessDocument, notes: &mut Notes<'_>) -> Process {
    let defaults = Process::default();
    for (key, span) in [
        ("notices", span_of(&document.notices)),
        ("telemetry", span_of(&document.telemetry)),
    ] {
        warn(Owner::Process, key, span, notes);
    }
    let listen = listen(&document.listen, notes);
    let admin = document.admin.given().and_then(|at| {
        let address = socket_address(&at.value);
        address
            .map_err(|message| {
                notes
                    .error(at.span.clone(), format!("`admin`: {message}"))
                    .severity
            })
            .ok()
    });
    let emergency = document.emergency.given().and_then(|at| {
        if BUILT_IN.contains(&at.value.as_str()) {
            return Some(LevelName::from(at.value.as_str()));
        }
        let hint = did_you_mean(&at.value, BUILT_IN)
            .unwrap_or_else(|| format!("the built-in levels are {}", BUILT_IN.join(", ")));
        notes
            .error(
                at.span.clone(),
                format!("`emergency`: unknown built-in level `{}`", at.value),
            )
            .hint(hint);
        None
    });
    let mut tokens = Tokens::default();
    Process {
        listen: listen.unwrap_or(defaults.listen),
        admin: admin.unwrap_or(defaults.admin),
        policies: path(&document.policies, notes).unwrap_or(defaults.policies),
        data: path(&document.data, notes).unwrap_or(defaults.data),
        tls: tls(&document.tls, notes),
        agents: agents(document, &mut tokens, notes),
        reviewers: reviewers(document, &mut tokens, notes),
        bounds: bounds(&document.bounds, notes),
        workers: number(&document.workers, "workers", &(1..=1024), notes)
            .and_then(|workers| usize::try_from(workers).ok()),
        drain: interval(
            &document.drain,
            "drain",
            &(Duration::ZERO..=Duration::from_hours(1)),
            defaults.drain,
            notes,
        ),
        emergency: emergency.unwrap_or(defaults.emergency),
        warnings: Diagnostics::default(),
    }
}

fn listen(field: &Setting<OneOrMore>, notes: &mut Notes<'_>) -> Option<Vec<ListenAddress>> {
    let written = field.given()?;
    let all: Vec<At<&str>> = match &written.value {
        OneOrMore::One(text) => vec![At {
            span: written.span.clone(),
            value: text,
        }],
        OneOrMore::More(list) => list
            .iter()
            .filter_map(Setting::given)
            .map(|at| At {
                span: at.span.clone(),
                value: at.value.as_str(),
            })
            .collect(),
    };
    if all.is_empty() || all.len() > MAX_LISTEN {
        notes.error(
            written.span.clone(),
            format!(
                "`listen`: expected 1 to {MAX_LISTEN} addresses, found {}",
                all.len()
            ),
        );
        return None;
    }
    let mut addresses = Vec::new();
    for at in all {
        match at.value.parse::<ListenAddress>() {
            Ok(address) if addresses.contains(&address) => {
                notes.error(at.span, format!("`listen`: `{address}` is written twice"));
            }
            Ok(address) => addresses.push(address),
            Err(message) => {
                notes
                    .error(at.span, format!("`listen`: {message}"))
                    .hint("host names are not looked up; `:8080` means every interface, `unix:/run/burngate.sock` a socket");
            }
        }
    }
    Some(addresses)
}

fn path(field: &Setting<String>, notes: &mut Notes<'_>) -> Option<PathBuf> {
    let at = field.given()?;
    if at.value.is_empty() {
        notes.error(at.span.clone(), "expected a path, found nothing");
        return None;
    }
    let beside = Path::new(&*notes.file().name)
        .parent()
        .unwrap_or_else(|| Path::new(""));
    Some(beside.join(&at.value))
}

fn tls(field: &Setting<TlsEntry>, notes: &mut Notes<'_>) -> Option<Tls> {
    let At { value: entry, span } = field.given()?;
    required(&entry.cert, "cert", "`tls`", span, notes);
    required(&entry.key, "key", "`tls`", span, notes);
    Some(Tls {
        cert: path(&entry.cert, notes)?,
        key: path(&entry.key, notes)?,
        client_ca: path(&entry.client_ca, notes),
    })
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
                .hint("one token stands for one identity");
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
        let place = place(&at.span, notes);
        let token_sha256 = token_sha256
            .given()
            .and_then(|token| tokens.read(token, &owner, notes));
        agents.push(AgentIdentity {
            agent: AgentName::from(agent_name),
            workflows,
            token_sha256,
            spiffe: spiffe.value().cloned(),
            place,
        });
    }
    if agents.len() > MAX_PEOPLE {
        notes.error(span, format!("more than {MAX_PEOPLE} agents"));
    } else if document.agents.value().is_some_and(Vec::is_empty) {
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
                .hint("that is the person behind the operator token");
        } else if reviewers.iter().any(|other| other.name.as_str() == person) {
            notes
                .error(at.span.clone(), format!("{owner} is written twice"))
                .hint("two approvals are two people");
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
                .warning(at.span.clone(), format!("{owner} has the name of an agent, and decides on none of that agent's calls"))
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
    if reviewers.len() > MAX_PEOPLE {
        notes.error(
            span_of(&document.reviewers).unwrap_or_default(),
            format!("more than {MAX_PEOPLE} reviewers"),
        );
    }
    reviewers
}

fn bounds(field: &Setting<BoundsEntry>, notes: &mut Notes<'_>) -> ProcessBounds {
    let nothing = BoundsEntry::default();
    let entry = field.value().unwrap_or(&nothing);
    let defaults = ProcessBounds::default();
    let mut size =
        |field: &Setting<Size>, key: &str, least: usize, default: usize| match field.given() {
            Some(at) if at.value.0 < least || at.value.0 > 1 << 36 => {
                let message = format!(
                    "`{key}`: expected a size from {} to 64GiB, found `{}`",
                    Size(least),
                    at.value
                );
                notes.error(at.span.clone(), message).label("out of bounds");
                default
            }
            Some(at) => at.value.0,
            None => default,
        };
    let body = size(&entry.body, "body", 1, defaults.body);
    let head = size(&entry.head, "head", 1 << 10, defaults.head);
    let memory = size(&entry.memory, "memory", 1 << 20, defaults.memory);
    let mut count = |field, key, default| {
        number(field, key, &(1..=1_000_000), notes)
            .and_then(|value: u32| usize::try_from(value).ok())
            .unwrap_or(default)
    };
    let connections = count(&entry.connections, "connections", defaults.connections);
    let holds = count(&entry.holds, "holds", defaults.holds);
    if body > memory
        && let Some(at) = field.given()
    {
        notes.error(
            at.span.clone(),
            format!(
                "one body ({}) could take more than all memory for bodies ({})",
                Size(body),
                Size(memory)
            ),
        );
    }
    ProcessBounds {
        body,
        head,
        connections,
        memory,
        holds,
    }
}
