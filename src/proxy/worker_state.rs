//! What the stages of a call read besides the call: state of the process, and of one worker.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderValue};
use tokio::sync::watch;

use super::body::Memory;
use super::drain::Phase;
use super::identify::{Caller, Identities, Unknown};
use super::pool::UpstreamPool;
use super::problem_reply::ProblemReply;
use super::routes::RouteTable;
use super::traces::Traces;
use crate::gate::policy::PolicySet;
use crate::gate::status::Status;
use crate::ledger::{Ledger, Table};
use crate::telemetry::metrics::Metrics;
use crate::wire::credentials::FingerprintKey;

/// What every worker shares.
pub struct ProcessState {
    /// The living state.
    pub ledger: Arc<Ledger>,
    /// Who may call; swapped when that is read anew.
    pub identities: Arc<ArcSwap<Identities>>,
    /// The largest request body that is buffered, in bytes, where a tool does not say.
    pub body: usize,
    /// What fingerprints of credentials are keyed with.
    pub fingerprints: FingerprintKey,
    /// The bytes of bodies that the process holds at once.
    pub memory: Memory,
    /// Where decision and upstream times are counted.
    pub metrics: Arc<Metrics>,
    /// Whether the gate is about to stop.
    pub phase: watch::Receiver<Phase>,
}

/// What one worker holds for the calls it serves.
pub struct WorkerState {
    process: Arc<ProcessState>,
    /// Connections to upstreams.
    pub pool: UpstreamPool,
    /// Makes trace ids.
    pub traces: Traces,
    routes: RefCell<Option<(Arc<PolicySet>, Rc<RouteTable>)>>,
    last_budget_header: RefCell<Option<LastBudgetHeader>>,
}

/// The last `Burngate-Budget` that was written: it changes far less often than calls come.
struct LastBudgetHeader {
    status: Arc<Status>,
    remaining: bool,
    header: HeaderValue,
}

impl WorkerState {
    /// The state of a worker that serves nothing yet.
    #[must_use]
    pub fn new(process: Arc<ProcessState>, pool: UpstreamPool, traces: Traces) -> Self {
        WorkerState {
            process,
            pool,
            traces,
            routes: RefCell::new(None),
            last_budget_header: RefCell::new(None),
        }
    }

    /// The living state.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.process.ledger
    }

    /// What every worker shares.
    #[must_use]
    pub fn process(&self) -> &ProcessState {
        &self.process
    }

    /// Resolves when the gate begins to stop.
    pub async fn stopping(&self) {
        let mut phase = self.process.phase.clone();
        // A sender that is gone has stopped.
        let _ = phase.wait_for(|phase| *phase != Phase::Running).await;
    }

    /// Who sent these headers.
    pub fn identify(&self, headers: &HeaderMap) -> Result<Caller, ProblemReply> {
        Ok(self
            .process
            .identities
            .load()
            .identify(headers, &self.process.ledger.table())?)
    }

    /// Is `caller` still who these headers identify? Asked after a call has waited: its agent may
    /// have been taken off the list meanwhile.
    pub fn still(&self, headers: &HeaderMap, caller: &Caller) -> Result<(), ProblemReply> {
        let now = self.identify(headers)?;
        if now.agent == caller.agent && now.workflow.policy.name == caller.workflow.policy.name {
            Ok(())
        } else {
            Err(Unknown::NoCredential.into())
        }
    }

    /// The routes of the policies in `table`.
    #[must_use]
    pub fn routes(&self, table: &Table) -> Rc<RouteTable> {
        let mut routes = self.routes.borrow_mut();
        match &*routes {
            Some((policies, routes)) if Arc::ptr_eq(policies, &table.policies) => Rc::clone(routes),
            _ => {
                let fingerprints = self.process.fingerprints.clone();
                let built = Rc::new(RouteTable::new(
                    &table.policies,
                    fingerprints,
                    self.ledger().now(),
                ));
                *routes = Some((Arc::clone(&table.policies), Rc::clone(&built)));
                built
            }
        }
    }

    /// The `Burngate-Budget` header for `status`.
    #[must_use]
    pub fn budget_header(&self, status: &Arc<Status>, remaining: bool) -> HeaderValue {
        let mut last_budget_header = self.last_budget_header.borrow_mut();
        if let Some(last) = &*last_budget_header
            && Arc::ptr_eq(&last.status, status)
            && last.remaining == remaining
        {
            return last.header.clone();
        }
        let header = HeaderValue::from_str(&status.disclosure(remaining))
            .unwrap_or_else(|_| HeaderValue::from_static("unknown"));
        *last_budget_header = Some(LastBudgetHeader {
            status: Arc::clone(status),
            remaining,
            header: header.clone(),
        });
        header
    }
}
