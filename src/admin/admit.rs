//! Lets a request in or turns it away: who asks, by their token, and whether their role is enough.
//!
//! Tokens and roles may change while requests are served, so a reader of a body asks again once all
//! of it has arrived ([`AdmittedRequest::still`]).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::auth::{Person, Role};
use super::error::AdminError;
use super::state::AdminState;
use crate::api::Slug;

/// A request that was let in, as its handler finds it.
#[derive(Clone)]
pub(super) struct AdmittedRequest {
    state: Arc<AdminState>,
    person: Arc<Person>,
}

impl AdmittedRequest {
    /// Is the person still listed, with the same role, as when the request began?
    pub(super) fn still(&self) -> Result<(), AdminError> {
        if self.state.admin.auth.knows(&self.person) {
            return Ok(());
        }
        Err(AdminError::new(
            Slug::Unauthorized,
            format!(
                "what `{}` may do was changed while this request arrived; nothing was done",
                self.person.name
            ),
        ))
    }
}

impl AdminState {
    /// The person who asks, if they hold the role.
    pub(super) fn may(&self, headers: &HeaderMap, role: Role) -> Result<Arc<Person>, AdminError> {
        let Some(person) = self.admin.auth.identify(headers) else {
            let detail = "this needs a valid token: `Authorization: Bearer …`, from BURNGATE_TOKEN or the file operator.token in the data directory";
            return Err(AdminError::new(Slug::Unauthorized, detail));
        };
        self.ledger().signed_in(&person.name, person.role.as_str());
        if person.role < role {
            return Err(AdminError::new(
                Slug::Forbidden,
                format!(
                    "this needs the role {role}; `{}` is a {}",
                    person.name, person.role
                ),
            ));
        }
        Ok(person)
    }
}

/// Counts requests that were turned away for a missing token, role, signature or origin, whichever
/// layer found it.
pub(super) async fn count(
    State(state): State<Arc<AdminState>>,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    match response.status() {
        StatusCode::UNAUTHORIZED => state.ledger().count_rejected(Slug::Unauthorized.as_str()),
        StatusCode::FORBIDDEN => state.ledger().count_rejected(Slug::Forbidden.as_str()),
        _ => {}
    }
    response
}

/// Lets a request through if its person holds the role. The handler finds them as [`Arc<Person>`];
/// a reader of a body asks [`AdmittedRequest::still`] after it.
pub(super) async fn require(
    State((state, role)): State<(Arc<AdminState>, Role)>,
    mut request: Request,
    next: Next,
) -> Response {
    match state.may(request.headers(), role) {
        Ok(person) => {
            request.extensions_mut().insert(AdmittedRequest {
                state: Arc::clone(&state),
                person: Arc::clone(&person),
            });
            request.extensions_mut().insert(person);
        }
        Err(error) => return error.into_response(),
    }
    next.run(request).await
}
