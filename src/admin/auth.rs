//! Who asks, and what they may do: bearer tokens and four roles, each of which includes the one
//! before it.
//!
//! Tokens are kept as SHA-256 digests, and every one of them is compared in constant time, so that
//! neither a memory image nor a measured delay reveals one. An agent's credential is not looked at:
//! the two planes have nothing in common (G11, A93).
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::gate::digest::Digest;
use crate::gate::name::PersonName;

/// The name that the operator token goes by.
pub const OPERATOR: &str = "operator";

/// What a person may do, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Looks.
    Viewer,
    /// Reports how runs turned out, and takes back reports of their own.
    Reporter,
    /// Decides on held calls.
    Reviewer,
    /// Everything.
    Operator,
}

/// Somebody with a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Their name, as it is recorded.
    pub name: PersonName,
    /// What they may do.
    pub role: Role,
    /// SHA-256 of their token.
    pub token: Digest,
}

/// Everybody with a token.
#[derive(Debug)]
pub struct Auth {
    operator: Arc<Person>,
    listed: ArcSwap<Vec<Arc<Person>>>,
}

impl Role {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Reporter => "reporter",
            Role::Reviewer => "reviewer",
            Role::Operator => "operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that is no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected viewer, reporter, reviewer or operator")]
pub struct BadRole;

impl FromStr for Role {
    type Err = BadRole;

    fn from_str(text: &str) -> Result<Self, BadRole> {
        [Role::Viewer, Role::Reporter, Role::Reviewer, Role::Operator]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(BadRole)
    }
}

impl Auth {
    /// The holder of the operator token, and these people.
    #[must_use]
    pub fn new(operator_token: &str, listed: Vec<Person>) -> Self {
        let operator = Person {
            name: OPERATOR.into(),
            role: Role::Operator,
            token: digest(operator_token),
        };
        Auth {
            operator: Arc::new(operator),
            listed: ArcSwap::from_pointee(listed.into_iter().map(Arc::new).collect()),
        }
    }

    /// Who is listed, besides the holder of the operator token.
    #[must_use]
    pub fn listed(&self) -> Arc<Vec<Arc<Person>>> {
        self.listed.load_full()
    }

    /// Who may approve where `listed` are the people.
    #[must_use]
    pub fn approvers<'p>(
        &'p self,
        listed: impl IntoIterator<Item = &'p Person>,
    ) -> BTreeSet<PersonName> {
        let all = std::iter::once(&*self.operator).chain(listed);
        all.filter(|person| person.role >= Role::Reviewer)
            .map(|person| person.name.clone())
            .collect()
    }

    /// Takes away what `listed` no longer gives: a token that is not in it opens nothing, and of
    /// two roles the lesser counts. It never gives anybody more than before.
    pub fn narrow(&self, listed: &[Person]) {
        let same = |known: &Person| {
            listed
                .iter()
                .find(|person| person.name == known.name && person.token == known.token)
        };
        let narrowed = |known: &Arc<Person>| {
            same(known).map(|person| {
                Arc::new(Person {
                    role: known.role.min(person.role),
                    ..Person::clone(known)
                })
            })
        };
        self.listed.store(Arc::new(
            self.listed.load().iter().filter_map(narrowed).collect(),
        ));
    }

    /// Replaces the people, from the next request on.
    pub fn replace(&self, listed: Vec<Person>) {
        self.listed
            .store(Arc::new(listed.into_iter().map(Arc::new).collect()));
    }

    /// Whose token the request carries: exactly one `Authorization: Bearer`.
    pub(super) fn identify(&self, headers: &HeaderMap) -> Option<Arc<Person>> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return None;
        };
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        let token = token.trim();
        if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
            return None;
        }
        let digest = digest(token);
        let listed = self.listed.load();
        // Every digest is compared, also after a match, so that the time it takes says nothing.
        std::iter::once(&self.operator)
            .chain(listed.iter())
            .fold(None, |found, person| {
                if bool::from(person.token.as_bytes().ct_eq(digest.as_bytes())) {
                    Some(Arc::clone(person))
                } else {
                    found
                }
            })
    }

    /// Is `person` still listed, with the same role?
    pub(super) fn knows(&self, person: &Person) -> bool {
        *self.operator == *person || self.listed.load().iter().any(|known| **known == *person)
    }
}

/// SHA-256 of `token`.
#[must_use]
pub fn digest(token: &str) -> Digest {
    Digest::new(Sha256::digest(token.as_bytes()).into())
}
