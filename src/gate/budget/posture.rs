//! What the budget says: healthy, at risk, burned or breached.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A budget's posture, best first.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Posture {
    /// Failures are well within what is allowed.
    #[default]
    Healthy,
    /// Little is left, or it is going fast.
    AtRisk,
    /// Used up.
    Burned,
    /// Strong evidence that the true failure rate is too high.
    Breached,
}

impl Posture {
    /// Every posture, best first.
    pub const ALL: [Posture; 4] = [
        Posture::Healthy,
        Posture::AtRisk,
        Posture::Burned,
        Posture::Breached,
    ];

    /// The posture as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Posture::Healthy => "healthy",
            Posture::AtRisk => "at_risk",
            Posture::Burned => "burned",
            Posture::Breached => "breached",
        }
    }
}

impl fmt::Display for Posture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How a workflow leaves `burned` without a probation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recovery {
    /// Once the budget has recovered, by itself.
    Automatic,
    /// Only after a person put a cause on record.
    Cause,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_posture_is_shown_as_it_is_stored() {
        for posture in Posture::ALL {
            assert_eq!(serde_json::to_value(posture).unwrap(), posture.as_str());
        }
    }
}
