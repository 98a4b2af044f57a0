//! Who may call, decide and report, and which certificates the gate uses: reread while it runs.
//!
//! A reload tightens first and loosens last: people and agents that were removed lose access at
//! once, even if the disk fails; new ones get it once the journal has recorded that. Of people and
//! agents either all changes are applied or none, and likewise of certificates; neither waits for
//! the other, nor for the policies. An agent that is given a workflow whose changes are frozen gets
//! it when the freeze is lifted.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use sha2::{Digest as _, Sha256};

use super::announce::{announce, announce_held_back, on_disk};
use super::quarantine;
use crate::admin::auth::{Auth, Person, Role};
use crate::config;
use crate::config::Process;
use crate::gate::digest::Digest;
use crate::gate::event::{AccessChange, Event, NameChanges};
use crate::gate::name::{AgentName, PersonName, WorkflowName};
use crate::ledger::Ledger;
use crate::proxy::identify::{Identities, Identity};
use crate::proxy::tls;
use crate::telemetry::log;

/// Who may call, decide and report.
pub struct Access {
    ledger: Arc<Ledger>,
    auth: Arc<Auth>,
    identities: Arc<ArcSwap<Identities>>,
    certificates: Option<Certificates>,
    /// Workflows that an agent was given while their changes are frozen.
    held: ArcSwap<BTreeMap<WorkflowName, Arc<str>>>,
}

/// The TLS configuration of the listeners, replaced when its files change.
pub struct Certificates {
    config: Arc<ArcSwap<ServerConfig>>,
    /// Digest of the files that it was read from.
    digest: ArcSwap<Digest>,
}

impl Certificates {
    /// The certificates in `files`.
    pub fn read(files: &config::Tls) -> anyhow::Result<Self> {
        let (config, digest) = read(files)?;
        Ok(Certificates {
            config: Arc::new(ArcSwap::new(config)),
            digest: ArcSwap::from_pointee(digest),
        })
    }
}

impl Access {
    /// Puts the access that `process` describes in force. For the start, before anybody is served.
    pub async fn open(
        ledger: Arc<Ledger>,
        process: &Process,
        operator_token: &str,
    ) -> anyhow::Result<Self> {
        let people = people(process);
        let auth = Arc::new(Auth::new(operator_token, people.clone()));
        // Approvals by people who were removed while the gate was down do not count.
        name_approvers(&ledger, &auth, &people).await?;
        let certificates = process.tls.as_ref().map(Certificates::read).transpose()?;
        Ok(Access {
            ledger,
            auth,
            identities: Arc::new(ArcSwap::from_pointee(identities(process))),
            certificates,
            held: ArcSwap::default(),
        })
    }

    /// Who may use the admin API.
    #[must_use]
    pub const fn auth(&self) -> &Arc<Auth> {
        &self.auth
    }

    /// Who may call.
    #[must_use]
    pub const fn identities(&self) -> &Arc<ArcSwap<Identities>> {
        &self.identities
    }

    /// The TLS configuration of the listeners, where they have one.
    #[must_use]
    pub fn tls(&self) -> Option<Arc<ArcSwap<ServerConfig>>> {
        let certificates = self.certificates.as_ref()?;
        Some(Arc::clone(&certificates.config))
    }

    /// Puts the people and agents of `process` in force. When this returns, nobody has more access
    /// than it says, and every new access is in the journal.
    pub async fn accept(&self, process: &Process) -> anyhow::Result<()> {
        let listed = people(process);
        let identities = self.hold_back(identities(process));
        let before = (self.auth.listed(), self.identities.load_full());
        let change = AccessChange {
            people: people_changed(&before.0, &listed),
            agents: agents_changed(&before.1, &identities),
            agents_named: matches!(
                (&*before.1, &identities),
                (Identities::AnyLocal, Identities::Known(_))
            ),
            certificates: false,
        };
        if !change.is_none() {
            self.put_in_force(listed, identities, change).await?;
        }
        announce_held_back(&self.ledger, &self.held.load()).await
    }

    async fn put_in_force(
        &self,
        listed: Vec<Person>,
        identities: Identities,
        change: AccessChange,
    ) -> anyhow::Result<()> {
        self.auth.narrow(&listed);
        self.identities
            .store(Arc::new(self.identities.load().narrowed(&identities)));
        name_approvers(&self.ledger, &self.auth, &listed).await?;
        announce(&self.ledger, Event::AccessChanged(Box::new(change))).await?;
        self.auth.replace(listed);
        self.identities.store(Arc::new(identities));
        Ok(())
    }

    /// Reads the certificates that `process` names, and uses them from the next connection on.
    pub async fn renew(&self, process: &Process) -> anyhow::Result<()> {
        // Whether there are certificates at all changes only at a restart, and was logged.
        let (Some(certificates), Some(files)) = (&self.certificates, &process.tls) else {
            return Ok(());
        };
        let (config, digest) = read(files)?;
        if digest == **certificates.digest.load() {
            return Ok(());
        }
        announce(
            &self.ledger,
            Event::AccessChanged(Box::new(AccessChange {
                certificates: true,
                ..AccessChange::default()
            })),
        )
        .await?;
        certificates.config.store(config);
        certificates.digest.store(Arc::new(digest));
        Ok(())
    }

    /// Whether something is held back although its freeze has been lifted.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.held
            .load()
            .keys()
            .any(|workflow| !quarantine::is_frozen(&self.ledger, workflow))
    }

    /// `identities` without the workflows that they would newly have, and whose changes are frozen.
    fn hold_back(&self, identities: Identities) -> Identities {
        let (before, mut held) = (self.identities.load_full(), BTreeMap::new());
        let (Identities::Known(before), Identities::Known(mut after)) =
            (&*before, identities.clone())
        else {
            self.held.store(Arc::default());
            return identities;
        };
        for identity in &mut after {
            let had = |workflow: &WorkflowName| {
                before.iter().any(|known| {
                    known.agent == identity.agent && known.workflows.contains(workflow)
                })
            };
            let frozen = |workflow: &WorkflowName| {
                !had(workflow) && quarantine::is_frozen(&self.ledger, workflow)
            };
            let (kept, wider): (Vec<_>, Vec<_>) = std::mem::take(&mut identity.workflows)
                .into_iter()
                .partition(|workflow| !frozen(workflow));
            identity.workflows = kept;
            for workflow in wider {
                tracing::warn!(target: log::PROCESS, %workflow, agent = %identity.agent, "an agent gets this workflow when its freeze lifts");
                let one = format!("agent `{}`", identity.agent);
                let all = held
                    .get(&workflow)
                    .map_or_else(|| one.clone(), |others| format!("{others}, {one}"));
                held.insert(workflow, all.into());
            }
        }
        self.held.store(Arc::new(held));
        Identities::Known(after)
    }
}

/// Tells the journal who may approve, if that is not what it knows already.
async fn name_approvers(ledger: &Ledger, auth: &Auth, people: &[Person]) -> anyhow::Result<()> {
    let approvers = auth.approvers(people);
    if ledger.approvers() == approvers {
        return Ok(());
    }
    on_disk(ledger.name_approvers(approvers)).await
}

/// The people that `process` lists: an entry for each of their tokens.
fn people(process: &Process) -> Vec<Person> {
    let role = |role: config::ReviewerRole| match role {
        config::ReviewerRole::Viewer => Role::Viewer,
        config::ReviewerRole::Reporter => Role::Reporter,
        config::ReviewerRole::Reviewer => Role::Reviewer,
        config::ReviewerRole::Operator => Role::Operator,
    };
    let tokens = |person: &config::ReviewerIdentity| person.tokens_sha256.clone().into_iter();
    let people = |person| {
        tokens(person).map(|token| Person {
            name: person.name.clone(),
            role: role(person.role),
            token,
        })
    };
    process.reviewers.iter().flat_map(people).collect()
}

/// The agents that `process` lists.
fn identities(process: &Process) -> Identities {
    let identity = |agent: &config::AgentIdentity| Identity {
        agent: agent.agent.clone(),
        workflows: agent
            .workflows
            .iter()
            .cloned()
            .collect::<Vec<WorkflowName>>(),
        token_sha256: agent.token_sha256.map(|digest| *digest.as_bytes()),
    };
    match &process.agents {
        None => Identities::AnyLocal,
        Some(agents) => Identities::Known(agents.iter().map(identity).collect()),
    }
}

fn people_changed(before: &[Arc<Person>], after: &[Person]) -> NameChanges<PersonName> {
    let by_name = |people: &mut dyn Iterator<Item = &Person>| {
        people.fold(BTreeMap::<_, Vec<_>>::new(), |mut by_name, person| {
            by_name
                .entry(person.name.clone())
                .or_default()
                .push((person.token, person.role));
            by_name
        })
    };
    changed(
        &by_name(&mut before.iter().map(|person| &**person)),
        &by_name(&mut after.iter()),
    )
}

fn agents_changed(before: &Identities, after: &Identities) -> NameChanges<AgentName> {
    let by_name = |identities: &Identities| match identities {
        Identities::AnyLocal => BTreeMap::new(),
        Identities::Known(known) => known
            .iter()
            .map(|one| (one.agent.clone(), (one.token_sha256, one.workflows.clone())))
            .collect(),
    };
    changed(&by_name(before), &by_name(after))
}

fn changed<K: Ord + Clone, V: PartialEq>(
    before: &BTreeMap<K, V>,
    after: &BTreeMap<K, V>,
) -> NameChanges<K> {
    NameChanges {
        added: after
            .keys()
            .filter(|name| !before.contains_key(name))
            .cloned()
            .collect(),
        removed: before
            .keys()
            .filter(|name| !after.contains_key(name))
            .cloned()
            .collect(),
        altered: after
            .iter()
            .filter(|(name, now)| before.get(name).is_some_and(|then| then != *now))
            .map(|(name, _)| name.clone())
            .collect(),
    }
}

/// The TLS configuration from `files`, and a digest of them.
fn read(files: &config::Tls) -> anyhow::Result<(Arc<ServerConfig>, Digest)> {
    let mut digest = Sha256::new();
    for file in [
        Some(&files.cert),
        Some(&files.key),
        files.client_ca.as_ref(),
    ]
    .into_iter()
    .flatten()
    {
        let bytes =
            std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        digest.update(bytes.len().to_be_bytes());
        digest.update(bytes);
    }
    let config = tls::server(&files.cert, &files.key, files.client_ca.as_deref())
        .context("the data plane's certificates cannot be used")?;
    Ok((config, Digest::new(digest.finalize().into())))
}
