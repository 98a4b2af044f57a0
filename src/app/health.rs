//! What readiness rests on: policies, the journal, and not being about to stop.

use std::sync::Arc;

use tokio::sync::watch;

use super::emergency::Emergency;
use super::reload::Reload;
use crate::admin::health::{Check, Condition, Health};
use crate::journal::port::Journal;
use crate::ledger::Ledger;
use crate::proxy::drain::Phase;

/// The gate's health.
pub struct GateHealth {
    /// Where events go.
    pub journal: Arc<dyn Journal>,
    /// The held calls.
    pub ledger: Arc<Ledger>,
    /// Whether the policies in force are those in the files.
    pub reload: Arc<Reload>,
    /// Whether the last resort is pulled.
    pub emergency: Arc<Emergency>,
    /// Whether the gate is about to stop.
    pub phase: watch::Receiver<Phase>,
}

impl Health for GateHealth {
    fn checks(&self) -> Vec<Check> {
        let policies = if self.reload.is_broken() {
            Condition::Warned("the last reload failed")
        } else {
            Condition::Well
        };
        let store = if self.journal.ready() {
            Condition::Well
        } else {
            Condition::Failed("the journal is unavailable")
        };
        let draining = if *self.phase.borrow() == Phase::Running {
            Condition::Well
        } else {
            Condition::Failed("the gate is stopping")
        };
        // Held calls that nobody saw are the gate's failure, and whoever looks at its health should
        // know.
        let approvals = if self.ledger.unseen() == 0 {
            Condition::Well
        } else {
            Condition::Warned("held calls expired and nobody saw them")
        };
        vec![
            Check {
                what: "approvals",
                state: approvals,
            },
            Check {
                what: "policies",
                state: policies,
            },
            Check {
                what: "store",
                state: store,
            },
            Check {
                what: "draining",
                state: draining,
            },
        ]
    }

    fn clamp_file(&self) -> Option<String> {
        self.emergency.file().map(|file| file.display().to_string())
    }
}
