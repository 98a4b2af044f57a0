//! Whether the gate is ready: what `app` knows of it and `/readyz` answers with.

/// Whether the gate is ready. `app` knows: policies loaded, store open, not draining.
pub trait Health: Send + Sync {
    /// What readiness depends on. Anybody can read it, without a token: so names and short words
    /// only, no paths and no numbers.
    fn checks(&self) -> Vec<HealthCheck>;

    /// The path of the file that clamps every workflow, while that file exists. Shown to operators.
    fn clamp_file(&self) -> Option<String> {
        None
    }
}

/// One thing that readiness depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// Its name: `policies`, `store`, `draining`.
    pub what: &'static str,
    /// How it is.
    pub state: HealthState,
}

/// How something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthState {
    /// Well.
    Well,
    /// Well enough to go on, and somebody should look.
    Warned(&'static str),
    /// Not ready.
    Failed(&'static str),
}
