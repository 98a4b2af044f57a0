//! The latest changes that shipped to a workflow, and what a freeze holds back. The journal has all
//! of them.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::event::Event;
use super::name::PersonName;
use super::time::Time;

/// The most changes of a workflow that are kept in memory.
pub const MAX_SHIPPED: usize = 32;

/// A change that shipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShippedChange {
    /// When.
    pub at: Time,
    /// What kind.
    pub kind: Arc<str>,
    /// A reference to it.
    pub reference: Arc<str>,
    /// Who.
    pub by: PersonName,
    /// Why, where it shipped in spite of a freeze.
    pub emergency: Option<Arc<str>>,
}

/// The newest changes of a workflow, and what waits for the end of its freeze.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeLog {
    shipped: VecDeque<ShippedChange>,
    held_back: Option<Arc<str>>,
}

impl ChangeLog {
    /// Has nothing shipped, and does nothing wait?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shipped.is_empty() && self.held_back.is_none()
    }

    /// The newest changes that shipped, oldest first.
    pub fn shipped(&self) -> impl Iterator<Item = &ShippedChange> {
        self.shipped.iter()
    }

    /// What is wider in a policy that is held back while changes are frozen.
    #[must_use]
    pub const fn held_back(&self) -> Option<&Arc<str>> {
        self.held_back.as_ref()
    }

    /// A policy came into force, so nothing is held back any more.
    pub fn thaw(&mut self) {
        self.held_back = None;
    }

    /// Applies an event about a change, and ignores any other.
    pub fn apply(&mut self, at: Time, event: &Event) {
        if let Event::PolicyHeldBack { what } = event {
            self.held_back = Some(Arc::clone(what));
        }
        if let Event::Changed {
            kind,
            reference,
            by,
            emergency,
        } = event
        {
            if self.shipped.len() >= MAX_SHIPPED {
                self.shipped.pop_front();
            }
            let (kind, reference, by, emergency) = (
                Arc::clone(kind),
                Arc::clone(reference),
                by.clone(),
                emergency.clone(),
            );
            self.shipped.push_back(ShippedChange {
                at,
                kind,
                reference,
                by,
                emergency,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(n: usize) -> Event {
        Event::Changed {
            kind: "prompt".into(),
            reference: n.to_string().into(),
            by: "dana".into(),
            emergency: None,
        }
    }

    #[test]
    fn the_newest_changes_are_remembered_and_no_more_than_that() {
        let mut log = ChangeLog::default();
        (0..=MAX_SHIPPED).for_each(|n| log.apply(Time::from_millis(0), &change(n)));
        assert_eq!(log.shipped().count(), MAX_SHIPPED);
        assert_eq!(
            log.shipped().next().map(|change| &*change.reference),
            Some("1")
        );
    }

    #[test]
    fn what_is_held_back_is_known_until_a_policy_comes_into_force() {
        let mut log = ChangeLog::default();
        log.apply(
            Time::from_millis(0),
            &Event::PolicyHeldBack {
                what: "`tools`".into(),
            },
        );
        assert_eq!(
            (log.held_back().map(|what| &**what), log.is_empty()),
            (Some("`tools`"), false)
        );
        log.thaw();
        assert!(log.is_empty());
    }
}
