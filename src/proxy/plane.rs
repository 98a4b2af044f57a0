//! What the stages of a call share: of the process, and of one worker.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderValue};
use tokio::sync::watch;

use super::body::Memory;
use super::drain::Phase;
use super::headers::Traces;
use super::identify::{Caller, Identities, Unknown};
use super::pool::Pool;
use super::refusal::Refused;
use super::routes::Routes;
use crate::gate::policy::PolicySet;
use crate::gate::standing::Standing;
use crate::ledger::{Ledger, Table};
use crate::telemetry::metrics::Metrics;

/// What every worker shares.
pub struct Shared {
    /// The living state.
    pub ledger: Arc<Ledger>,
    /// Who may call; swapped when that is read anew.
    pub identities: Arc<ArcSwap<Identities>>,
    /// The largest request body that is buffered, in bytes, where a tool does not say.
    pub body: usize,
    /// The bytes of bodies that the process holds at once.
    pub memory: Memory,
    /// Told how long decisions and upstreams take.
    pub metrics: Arc<Metrics>,
    /// Whether the gate is about to stop.
    pub phase: watch::Receiver<Phase>,
}

/// The data plane of one worker.
pub struct Plane {
    shared: Arc<Shared>,
    /// Connections to upstreams.
    pub pool: Pool,
    /// Makes trace ids.
    pub traces: Traces,
    routes: RefCell<Option<(Arc<PolicySet>, Rc<Routes>)>>,
    disclosed: RefCell<Option<BudgetDisclosure>>,
}

/// The last `Burngate-Budget` that was written: standings change far less often than calls come.
struct BudgetDisclosure {
    standing: Arc<Standing>,
    remaining: bool,
    header: HeaderValue,
}

impl Plane {
    /// The data plane of a worker.
    #[must_use]
    pub fn new(shared: Arc<Shared>, pool: Pool, traces: Traces) -> Self {
        Plane {
            shared,
            pool,
            traces,
            routes: RefCell::new(None),
            disclosed: RefCell::new(None),
        }
    }

    /// The living state.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.shared.ledger
    }

    /// What every worker shares.
    #[must_use]
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Resolves when the gate begins to stop.
    pub async fn stopping(&self) {
        let mut phase = self.shared.phase.clone();
        // A sender that is gone has stopped.
        let _ = phase.wait_for(|phase| *phase != Phase::Running).await;
    }

    /// Who sent these headers.
    pub fn identify(&self, headers: &HeaderMap) -> Result<Caller, Refused> {
        Ok(self
            .shared
            .identities
            .load()
            .identify(headers, &self.shared.ledger.table())?)
    }

    /// Is who sent these headers still `caller`? Asked where a call has waited: its agent may have
    /// been taken off the list meanwhile.
    pub fn still(&self, headers: &HeaderMap, caller: &Caller) -> Result<(), Refused> {
        let now = self.identify(headers)?;
        if now.agent == caller.agent && now.place.policy.name == caller.place.policy.name {
            Ok(())
        } else {
            Err(Unknown::NoCredential.into())
        }
    }

    /// The routes of the policies in `table`.
    #[must_use]
    pub fn routes(&self, table: &Table) -> Rc<Routes> {
        let mut routes = self.routes.borrow_mut();
        match &*routes {
            Some((policies, routes)) if Arc::ptr_eq(policies, &table.policies) => Rc::clone(routes),
            _ => {
                let built = Rc::new(Routes::new(&table.policies, self.ledger().now()));
                *routes = Some((Arc::clone(&table.policies), Rc::clone(&built)));
                built
            }
        }
    }

    /// The `Burngate-Budget` header for `standing`.
    #[must_use]
    pub fn budget_header(&self, standing: &Arc<Standing>, remaining: bool) -> HeaderValue {
        let mut disclosed = self.disclosed.borrow_mut();
        if let Some(last) = &*disclosed
            && Arc::ptr_eq(&last.standing, standing)
            && last.remaining == remaining
        {
            return last.header.clone();
        }
        let header = HeaderValue::from_str(&standing.disclosure(remaining))
            .unwrap_or_else(|_| HeaderValue::from_static("unknown"));
        *disclosed = Some(BudgetDisclosure {
            standing: Arc::clone(standing),
            remaining,
            header: header.clone(),
        });
        header
    }
}
