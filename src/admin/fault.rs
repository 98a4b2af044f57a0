//! Refusals of the admin API, as problem details with the contract's statuses: wrong token 401, wrong role 403, unknown thing 404, lost race or wrong state
//! 409, bad field 422.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{
    api::{
        Problem, Slug,
        problem::{Cause, FieldError, MEDIA_TYPE},
    },
    ledger::{operate::OperateError, port::ReviseError},
};

/// A refusal.
#[derive(Debug)]
pub(super) struct Fault(Box<Problem>);

impl Fault {
    pub(super) fn new(slug: Slug, detail: impl Into<String>) -> Self {
        Fault(Box::new(Problem::new(slug, detail)))
    }

    /// A field that is not valid; `pointer` is a JSON pointer into the body, or the query parameter behind a slash.
    pub(super) fn field(pointer: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let mut fault = Fault::new(Slug::Invalid, format!("`{}`: {detail}", pointer.trim_start_matches('/')));
        fault.0.errors.push(FieldError { pointer: pointer.to_owned(), detail });
        fault
    }

    /// The journal or the records are out of reach.
    pub(super) fn journal(detail: &str) -> Self {
        let mut fault = Fault::new(Slug::Unavailable, detail);
        fault.0.cause = Some(Cause::Journal);
        fault
    }

    pub(super) fn with_status(mut self, status: u16) -> Self {
        self.0.status = status;
        self
    }

    /// Several things match: each is named, and how to tell them apart is said.
    pub(super) fn several(runs: impl IntoIterator<Item = (String, String, String)>) -> Self {
        let mut fault = Fault::new(Slug::Conflict, "several runs match; say which with `workflow` and `agent`");
        let named = runs.into_iter().map(|(workflow, agent, run)| FieldError {
            pointer: "/workflow".to_owned(),
            detail: format!("workflow `{workflow}`, agent `{agent}`, run `{run}`"),
        });
        fault.0.errors.extend(named);
        fault
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(self.0)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        match status {
            StatusCode::UNAUTHORIZED => {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"burngate\""));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

impl From<OperateError> for Fault {
    fn from(error: OperateError) -> Self {
        match error {
            OperateError::NoWorkflow(_) | OperateError::NoApproval => Fault::new(Slug::NotFound, error.to_string()),
            OperateError::NoLevel { .. } => Fault::field("/to", error.to_string()),
            OperateError::Conflict(_) | OperateError::Deciding => Fault::new(Slug::Conflict, error.to_string()),
        }
    }
}

impl From<ReviseError> for Fault {
    fn from(error: ReviseError) -> Self {
        match error {
            ReviseError::Unknown => Fault::new(Slug::NotFound, "no run matches; one that is still open can be reported and not yet retracted or excluded"),
            ReviseError::Several(runs) => {
                Fault::several(runs.into_iter().map(|(workflow, agent, run)| (workflow.to_string(), agent.to_string(), run.to_string())))
            }
            ReviseError::Nothing(why) => Fault::new(Slug::Conflict, why),
            ReviseError::Unavailable(_) => Fault::journal("the journal is unavailable: nothing was changed"),
        }
    }
}
