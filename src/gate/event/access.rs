//! What a reload changed about who may call and decide. Names only: no token, and no digest of one,
//! is in the journal.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::gate::name::{AgentName, PersonName};

/// What a reload changed about who may call and decide.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AccessChange {
    /// Among the people.
    #[serde(skip_serializing_if = "NameChanges::is_none")]
    pub people: NameChanges<PersonName>,
    /// Among the agents.
    #[serde(skip_serializing_if = "NameChanges::is_none")]
    pub agents: NameChanges<AgentName>,
    /// Any local caller was let in before, and now agents have names.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub agents_named: bool,
    /// What the gate's listeners prove, or whom they believe.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub certificates: bool,
}

/// Names that were added, removed, or kept with other rights or another token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NameChanges<T> {
    /// Added.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<T>,
    /// Removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<T>,
    /// Kept, with another token or role, or other workflows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub altered: Vec<T>,
}

impl<T> Default for NameChanges<T> {
    fn default() -> Self {
        NameChanges {
            added: Vec::new(),
            removed: Vec::new(),
            altered: Vec::new(),
        }
    }
}

impl<T> NameChanges<T> {
    /// Is everything as it was?
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.altered.is_empty()
    }
}

impl AccessChange {
    /// Is everything as it was?
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.people.is_none() && self.agents.is_none() && !self.agents_named && !self.certificates
    }
}

impl fmt::Display for AccessChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if self.agents_named {
            parts.push("from here on agents have names".to_owned());
        }
        list("agent", &self.agents, &mut parts);
        list("person", &self.people, &mut parts);
        if self.certificates {
            parts.push("certificates renewed".to_owned());
        }
        f.write_str(&parts.join("; "))
    }
}

fn list<T: fmt::Display>(what: &str, changed: &NameChanges<T>, parts: &mut Vec<String>) {
    for (names, how) in [
        (&changed.added, "added"),
        (&changed.removed, "removed"),
        (&changed.altered, "changed"),
    ] {
        if !names.is_empty() {
            let names: Vec<_> = names.iter().map(ToString::to_string).collect();
            parts.push(format!("{what} {how}: {}", names.join(", ")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_who_came_and_went_in_a_line() {
        let change = AccessChange {
            people: NameChanges {
                removed: vec!["dana".into()],
                altered: vec!["eli".into(), "noor".into()],
                ..NameChanges::default()
            },
            agents: NameChanges {
                added: vec!["bot".into()],
                ..NameChanges::default()
            },
            certificates: true,
            ..AccessChange::default()
        };
        assert_eq!(
            change.to_string(),
            "agent added: bot; person removed: dana; person changed: eli, noor; certificates renewed"
        );
        assert!(!change.is_none() && AccessChange::default().is_none());
    }

    #[test]
    fn what_is_as_it_was_is_not_written() {
        let change = AccessChange {
            people: NameChanges {
                added: vec!["dana".into()],
                ..NameChanges::default()
            },
            ..AccessChange::default()
        };
        let written = serde_json::to_string(&change).unwrap();
        assert_eq!(written, r#"{"people":{"added":["dana"]}}"#);
        assert_eq!(
            serde_json::from_str::<AccessChange>(&written).unwrap(),
            change
        );
    }
}
