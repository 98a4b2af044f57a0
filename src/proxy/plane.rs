//! What the stages of a call share: of the process, and of one worker.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue};

use super::{
    body::Memory,
    headers::Traces,
    identify::{Caller, Identities},
    pool::Pool,
    refusal::Refused,
    routes::Routes,
};
use crate::{
    gate::{policy::PolicySet, standing::Standing},
    ledger::{Ledger, Table},
};

/// What every worker shares.
pub struct Shared {
    /// The living state.
    pub ledger: Arc<Ledger>,
    /// Who may call.
    pub identities: Identities,
    /// The largest request body that is buffered, in bytes, where a tool does not say.
    pub body: usize,
    /// The bytes of bodies that the process holds at once.
    pub memory: Memory,
    /// Told how long a decision and an upstream took.
    pub watch: Arc<dyn Watch>,
}

/// Who is told how long things took.
pub trait Watch: Send + Sync {
    /// A call was judged.
    fn decided(&self, took: Duration);
    /// An upstream's answer began.
    fn answered(&self, took: Duration);
    /// A call was refused or held.
    fn refused(&self, refusal: &super::refusal::Line<'_>);
}

/// The data plane of one worker.
pub struct Plane {
    shared: Arc<Shared>,
    /// Connections to upstreams.
    pub pool: Pool,
    /// Makes trace ids.
    pub traces: Traces,
    routes: RefCell<Option<(Arc<PolicySet>, Rc<Routes>)>>,
    disclosed: RefCell<Option<Disclosed>>,
}

/// The last `Burngate-Budget` that was written: standings change far less often than calls come.
struct Disclosed {
    standing: Arc<Standing>,
    remaining: bool,
    header: HeaderValue,
}

impl Plane {
    /// The data plane of a worker.
    #[must_use]
    pub fn new(shared: Arc<Shared>, pool: Pool, traces: Traces) -> Self {
        Plane { shared, pool, traces, routes: RefCell::new(None), disclosed: RefCell::new(None) }
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

    /// Who sent these headers.
    pub fn identify(&self, headers: &HeaderMap) -> Result<Caller, Refused> {
        Ok(self.shared.identities.identify(headers, &self.shared.ledger.table())?)
    }

    /// The routes of the policies in `table`.
    #[must_use]
    pub fn routes(&self, table: &Table) -> Rc<Routes> {
        let mut routes = self.routes.borrow_mut();
        match &*routes {
            Some((policies, routes)) if Arc::ptr_eq(policies, &table.policies) => Rc::clone(routes),
            _ => {
                let built = Rc::new(Routes::new(&table.policies));
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
        let header = HeaderValue::from_str(&standing.disclosure(remaining)).unwrap_or_else(|_| HeaderValue::from_static("unknown"));
        *disclosed = Some(Disclosed { standing: Arc::clone(standing), remaining, header: header.clone() });
        header
    }
}
