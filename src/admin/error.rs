//! Refusals of the admin API, as problem details with the contract's statuses: wrong token 401,
//! wrong role 403, unknown thing 404, lost race or wrong state 409, bad field 422.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::api::problem::{CandidateRun, FieldError, MEDIA_TYPE, UnavailableCause};
use crate::api::{Moment, Problem, Slug};
use crate::gate::booking::ids;
use crate::gate::location::SourceLocation;
use crate::gate::name::WorkflowName;
use crate::gate::policy::schema::Violation;
use crate::journal::revise::{ReviseError, RunTarget};
use crate::ledger::people::edit::EditError;
use crate::ledger::people::outcome::OperateError;

/// A refusal.
#[derive(Debug)]
pub(super) struct AdminError(Box<Problem>);

impl AdminError {
    pub(super) fn new(slug: Slug, detail: impl Into<String>) -> Self {
        AdminError(Box::new(Problem::new(slug, detail)))
    }

    /// What is wrong, as a sentence.
    pub(super) fn detail(&self) -> &str {
        &self.0.detail
    }

    /// A field that is not valid; `pointer` is a JSON pointer into the body, or the query parameter
    /// behind a slash.
    pub(super) fn field(pointer: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let mut answer = AdminError::new(
            Slug::Invalid,
            format!("`{}`: {detail}", pointer.trim_start_matches('/')),
        );
        answer.0.errors.push(FieldError {
            pointer: pointer.to_owned(),
            detail,
        });
        answer
    }

    /// The journal or the records are out of reach.
    pub(super) fn journal(detail: &str) -> Self {
        let mut answer = AdminError::new(Slug::Unavailable, detail);
        answer.0.cause = Some(UnavailableCause::Journal);
        answer
    }

    pub(super) fn with_status(mut self, status: u16) -> Self {
        self.0.status = status;
        self
    }

    /// Several runs match: names each, and says how to choose one.
    pub(super) fn several(runs: impl IntoIterator<Item = CandidateRun>) -> Self {
        let candidates: Vec<CandidateRun> = runs.into_iter().collect();
        let by_object = candidates.iter().any(|run| run.tool.is_some());
        let detail = if by_object {
            "runs of several workflows touched it, and nothing was changed; name one with `workflow`"
        } else {
            "several runs match; choose one with `workflow` and `agent`"
        };
        let mut answer = AdminError::new(Slug::Conflict, detail);
        let named = candidates.iter().map(|CandidateRun { workflow, agent, run, tool, at }| FieldError {
            pointer: "/workflow".to_owned(),
            detail: match tool {
                Some(tool) => format!("workflow `{workflow}`, agent `{agent}`, run `{run}`, through `{tool}` at {at}"),
                None => format!("workflow `{workflow}`, agent `{agent}`, run `{run}`"),
            },
        });
        answer.0.errors.extend(named);
        answer.0.candidates = candidates;
        answer
    }

    /// There is no such run.
    pub(super) fn no_run(target: &RunTarget) -> Self {
        AdminError::new(Slug::NotFound, no_run(target))
    }

    /// The same problem, with the source location of the expression that gave the value.
    pub(super) fn at(mut self, location: &SourceLocation) -> Self {
        self.0.detail = format!("{location}: {}", self.0.detail);
        self
    }
}

impl IntoResponse for AdminError {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(self.0)).into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        match status {
            StatusCode::UNAUTHORIZED => {
                response.headers_mut().insert(
                    header::WWW_AUTHENTICATE,
                    HeaderValue::from_static("Bearer realm=\"burngate\""),
                );
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                response
                    .headers_mut()
                    .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

impl From<OperateError> for AdminError {
    fn from(error: OperateError) -> Self {
        match error {
            OperateError::NoWorkflow(_) | OperateError::NoApproval | OperateError::NoGrant => {
                AdminError::new(Slug::NotFound, error.to_string())
            }
            OperateError::NoLevel { .. } => AdminError::field("/to", error.to_string()),
            OperateError::NoStep { .. } => AdminError::field("/step", error.to_string()),
            OperateError::Tool(_) => AdminError::field("/tool", error.to_string()),
            OperateError::Own | OperateError::NoApprover(_) => {
                AdminError::new(Slug::Forbidden, error.to_string())
            }
            OperateError::Conflict(_) | OperateError::Deciding => {
                AdminError::new(Slug::Conflict, error.to_string())
            }
        }
    }
}

impl From<EditError> for AdminError {
    fn from(error: EditError) -> Self {
        match &error {
            EditError::NoApproval => AdminError::new(Slug::NotFound, error.to_string()),
            EditError::NoArguments | EditError::Changed => {
                AdminError::new(Slug::Conflict, error.to_string())
            }
            EditError::Malformed(_)
            | EditError::TooLong
            | EditError::Same
            | EditError::Unreadable(_) => AdminError::field("/edit", error.to_string()),
            EditError::Refused(finding) => {
                let mut answer = AdminError::field("/edit", error.to_string());
                answer.0.rule = Some(finding.rule.to_string());
                let violation = |violation: &Violation| FieldError {
                    pointer: format!("/edit{}", violation.pointer),
                    detail: violation.detail.clone(),
                };
                answer
                    .0
                    .errors
                    .extend(finding.violations.iter().map(violation));
                answer
            }
        }
    }
}

impl From<ReviseError> for AdminError {
    fn from(error: ReviseError) -> Self {
        match error {
            ReviseError::Unknown => AdminError::new(Slug::NotFound, "no run matches"),
            ReviseError::Several(runs) => AdminError::several(runs.into_iter().map(candidate)),
            ReviseError::Open(..) => AdminError::new(Slug::Conflict, error.to_string()),
            ReviseError::TooMany => AdminError::field("/filter", error.to_string()),
            ReviseError::NotOwn => AdminError::new(Slug::Forbidden, error.to_string()),
            ReviseError::Nothing(why) => AdminError::new(Slug::Conflict, why),
            ReviseError::Unavailable(_) => {
                AdminError::journal("the journal is unavailable: nothing was changed")
            }
        }
    }
}

/// A name in quotes, with invisible spaces pointed out: a name that differs only by them is another
/// name.
fn quoted(name: &str) -> String {
    let (leads, trails) = (
        name.starts_with(char::is_whitespace),
        name.ends_with(char::is_whitespace),
    );
    match (leads, trails) {
        (false, false) => format!("`{name}`"),
        (true, false) => format!("`{name}` (with a leading space)"),
        (false, true) => format!("`{name}` (with a trailing space)"),
        (true, true) => format!("`{name}` (with spaces around it)"),
    }
}

/// Says that there is no such run.
pub(super) fn no_run(target: &RunTarget) -> String {
    let of = |workflow: &Option<WorkflowName>| {
        workflow
            .as_ref()
            .map_or_else(String::new, |workflow| format!(" of workflow `{workflow}`"))
    };
    match target {
        RunTarget::Run {
            run,
            workflow,
            agent,
        } => {
            let by = agent
                .as_ref()
                .map_or_else(String::new, |agent| format!(" by agent `{agent}`"));
            format!(
                "no run{}{by} is called {}",
                of(workflow),
                quoted(run.as_str())
            )
        }
        RunTarget::Call(call) => format!("no run has a call `{call}`"),
        RunTarget::Subject {
            subject,
            tool,
            workflow,
        } => {
            let through = tool
                .as_ref()
                .map_or_else(String::new, |tool| format!(" through `{tool}`"));
            format!(
                "no run{} touched {}{through}",
                of(workflow),
                quoted(subject.as_str())
            )
        }
    }
}

/// A candidate run, as people see it.
pub(super) fn candidate(run: ids::Candidate) -> CandidateRun {
    CandidateRun {
        workflow: run.workflow.to_string(),
        agent: run.agent.to_string(),
        run: run.run.to_string(),
        tool: run.tool.map(|(_, tool)| tool.to_string()),
        at: Moment(run.at),
    }
}
