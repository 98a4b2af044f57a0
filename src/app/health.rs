//! Whether the gate is ready: its policies, its journal, and whether it is stopping.

use std::sync::Arc;

use tokio::sync::watch;

use super::emergency::Emergency;
use super::reload::Reload;
use crate::admin::health::{Health, HealthCheck, HealthState};
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
    /// Whether the `clamp` file is there.
    pub emergency: Arc<Emergency>,
    /// Whether the gate is stopping.
    pub phase: watch::Receiver<Phase>,
}

impl Health for GateHealth {
    fn checks(&self) -> Vec<HealthCheck> {
        let policies = if self.reload.is_broken() {
            HealthState::Warned("the last reload failed")
        } else {
            HealthState::Well
        };
        let store = if self.journal.ready() {
            HealthState::Well
        } else {
            HealthState::Failed("the journal is unavailable")
        };
        let draining = if *self.phase.borrow() == Phase::Running {
            HealthState::Well
        } else {
            HealthState::Failed("the gate is stopping")
        };
        // Held calls that expired unseen are a failure of the gate.
        let approvals = if self.ledger.expired_unseen() == 0 {
            HealthState::Well
        } else {
            HealthState::Warned("held calls expired and nobody saw them")
        };
        vec![
            HealthCheck {
                what: "approvals",
                state: approvals,
            },
            HealthCheck {
                what: "policies",
                state: policies,
            },
            HealthCheck {
                what: "store",
                state: store,
            },
            HealthCheck {
                what: "draining",
                state: draining,
            },
        ]
    }

    fn clamp_file(&self) -> Option<String> {
        self.emergency.file().map(|file| file.display().to_string())
    }
}
