//! Who asks, and what they may: bearer tokens and four roles, each of which may what the one before it may.
//!
//! Tokens are kept as SHA-256 digests, and every one of them is compared in constant time, so that neither a memory image nor a clock tells one. An agent's
//! credential is not looked at: the two planes have nothing in common (G11, A93).

use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{Desk, fault::Fault};
use crate::{
    api::Slug,
    gate::{digest::Digest, name::PersonName},
};

/// The name that the operator token goes by.
pub const OPERATOR: &str = "operator";

/// What a person may do, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Looks.
    Viewer,
    /// Reports how runs turned out.
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
#[derive(Debug, Clone)]
pub struct Auth {
    people: Vec<Arc<Person>>,
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
        [Role::Viewer, Role::Reporter, Role::Reviewer, Role::Operator].into_iter().find(|role| role.as_str() == text).ok_or(BadRole)
    }
}

impl Auth {
    /// The holder of the operator token, and these people.
    #[must_use]
    pub fn new(operator_token: &str, people: Vec<Person>) -> Self {
        let operator = Person { name: OPERATOR.into(), role: Role::Operator, token: digest(operator_token) };
        Auth { people: std::iter::once(operator).chain(people).map(Arc::new).collect() }
    }

    /// Who may approve.
    #[must_use]
    pub fn approvers(&self) -> BTreeSet<PersonName> {
        self.people.iter().filter(|person| person.role >= Role::Reviewer).map(|person| person.name.clone()).collect()
    }

    /// Whose token the request carries: exactly one `Authorization: Bearer`.
    fn identify(&self, headers: &HeaderMap) -> Option<Arc<Person>> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        let token = token.trim();
        if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
            return None;
        }
        let digest = digest(token);
        // Every digest is compared, also behind a match: how long this takes says nothing.
        self.people
            .iter()
            .fold(None, |found, person| if bool::from(person.token.as_bytes().ct_eq(digest.as_bytes())) { Some(Arc::clone(person)) } else { found })
    }
}

/// SHA-256 of `token`.
#[must_use]
pub fn digest(token: &str) -> Digest {
    Digest::new(Sha256::digest(token.as_bytes()).into())
}

impl Desk {
    /// Who asks, if they hold the role.
    pub(super) fn may(&self, headers: &HeaderMap, role: Role) -> Result<Arc<Person>, Fault> {
        let Some(person) = self.admin.auth.identify(headers) else {
            self.ledger().turn_away(Slug::Unauthorized.as_str());
            let detail = "this needs a valid token: `Authorization: Bearer …`, from BURNGATE_TOKEN or the file operator.token in the data directory";
            return Err(Fault::new(Slug::Unauthorized, detail));
        };
        self.ledger().signed_in(&person.name, person.role.as_str());
        if person.role < role {
            self.ledger().turn_away(Slug::Forbidden.as_str());
            return Err(Fault::new(Slug::Forbidden, format!("this needs the role {role}; `{}` is a {}", person.name, person.role)));
        }
        Ok(person)
    }
}

/// Lets through who holds the role; the handler finds them as [`Arc<Person>`].
pub(super) async fn require(State((desk, role)): State<(Arc<Desk>, Role)>, mut request: Request, next: Next) -> Response {
    match desk.may(request.headers(), role) {
        Ok(person) => drop(request.extensions_mut().insert(person)),
        Err(fault) => return fault.into_response(),
    }
    next.run(request).await
}
