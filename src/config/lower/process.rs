//! What `burngate.yaml` means: where the gate listens, who may call and decide, and what is
//! bounded. Every default is here.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::identities::{AgentIdentity, ReviewerIdentity};
use super::listen::{ListenAddress, socket_address};
use super::pending::{Owner, warn};
use super::written::{interval, number, required, span_of};
use super::{identities, listen};
use crate::config::diagnostics::{Diagnostics, Notes, SourceFile};
use crate::config::quantity::Size;
use crate::config::source::decode::decode;
use crate::config::source::process::{BoundsEntry, ProcessDocument, ReviewerRole, TlsEntry};
use crate::config::source::setting::{At, Setting};
use crate::config::source::tree;
use crate::gate::level::BUILT_IN;
use crate::gate::name::LevelName;
use crate::gate::nearest::did_you_mean;

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
    /// Limits on sizes and counts.
    pub bounds: ProcessBounds,
    /// How many threads serve calls; `None` for one per processor.
    pub workers: Option<usize>,
    /// How long calls in flight may take at shutdown.
    pub drain: Duration,
    /// The built-in level that the last resorts clamp to: the `clamp` file, SIGUSR2, the
    /// dashboard's emergency button.
    pub emergency: LevelName,
    /// Warnings about what was accepted.
    pub warnings: Diagnostics,
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

/// Limits on sizes and counts (G7).
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
    /// An address that other machines reach where any caller may use every workflow.
    #[must_use]
    pub fn open_to_strangers(&self) -> Option<SocketAddr> {
        let tcp = self.listen.iter().filter_map(|listen| match listen {
            ListenAddress::Tcp(address) => Some(*address),
            // Whoever may open the file is on this machine.
            ListenAddress::Unix(_) => None,
        });
        tcp.filter(|_| self.agents.is_none())
            .find(|address| !is_loopback(*address))
    }

    /// The operators' address, where other machines reach it: their tokens would cross the network in
    /// clear text.
    #[must_use]
    pub fn clear_text_admin(&self) -> Option<SocketAddr> {
        Some(self.admin).filter(|address| !is_loopback(*address))
    }

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

    /// The keys whose values differ in `other` and take effect only at a restart. Agents, reviewers
    /// and certificates are not among them: a reload applies those.
    #[must_use]
    pub fn needs_restart(&self, other: &Process) -> Vec<&'static str> {
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

/// What to do where a gate without `agents` would listen for other machines.
pub const STRANGERS_HINT: &str = "list who may call under `agents` in burngate.yaml (`burngate keys NAME` makes a token), or listen on 127.0.0.1";

/// What to do where operators would call over the network without TLS.
pub const CLEAR_TEXT_HINT: &str =
    "listen on 127.0.0.1, and reach it through an ssh tunnel or a proxy with TLS";

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
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
                "the configuration must be a single YAML document",
            )
            .hint("policies belong in files of the policy directory");
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
    let listen = listen::lower(&document.listen, notes);
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
    let (agents, reviewers) = identities::lower(document, notes);
    let process = Process {
        listen: listen.unwrap_or(defaults.listen),
        admin: admin.unwrap_or(defaults.admin),
        policies: path(&document.policies, "policies", notes).unwrap_or(defaults.policies),
        data: path(&document.data, "data", notes).unwrap_or(defaults.data),
        tls: tls(&document.tls, notes),
        agents,
        reviewers,
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
    };
    exposed(document, &process, notes);
    process
}

/// Says which addresses other machines reach, and should not.
fn exposed(document: &ProcessDocument, process: &Process, notes: &mut Notes<'_>) {
    if let (Some(address), Some(span)) = (process.open_to_strangers(), span_of(&document.listen))
        && document.agents.is_absent()
    {
        notes
            .error(
                span,
                format!("`listen`: other machines reach {address}, and without `agents` any caller may use every workflow"),
            )
            .hint(STRANGERS_HINT);
    }
    if let (Some(address), Some(span)) = (process.clear_text_admin(), span_of(&document.admin)) {
        notes
            .warning(
                span,
                format!("`admin`: other machines reach {address}, and tokens cross the network in clear text"),
            )
            .hint(CLEAR_TEXT_HINT);
    }
}

fn path(field: &Setting<String>, key: &str, notes: &mut Notes<'_>) -> Option<PathBuf> {
    let at = field.given()?;
    if at.value.is_empty() {
        notes.error(
            at.span.clone(),
            format!("`{key}`: expected a path, found an empty text"),
        );
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
        cert: path(&entry.cert, "cert", notes)?,
        key: path(&entry.key, "key", notes)?,
        client_ca: path(&entry.client_ca, "client_ca", notes),
    })
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
        notes
            .error(
                at.span.clone(),
                format!(
                    "`bounds`: `body` ({}) is larger than `memory` ({}), the limit of all bodies together",
                    Size(body),
                    Size(memory)
                ),
            )
            .hint("lower `body`, or raise `memory`");
    }
    ProcessBounds {
        body,
        head,
        connections,
        memory,
        holds,
    }
}
