//! Importing a history: the body is read line by line, each line is checked against the policies in
//! force, and good ones go to the journal in batches.
//!
//! The request is the import: the end of its body finishes it, and a body that breaks off books
//! nothing. A bad line is skipped and reported; a fault of the journal ends the import.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header;
use axum::{Extension, Json};
use bytes::BytesMut;
use http_body_util::BodyExt as _;

use super::admit::AdmittedRequest;
use super::auth::Person;
use super::durable::patient;
use super::error::AdminError;
use super::state::AdminState;
use crate::api::history::{
    HistoryCall, HistoryRun, ImportFindingKind, ImportFindings, ImportResponse, ImportedWorkflow,
    MAX_LINE, MEDIA_TYPE,
};
use crate::api::{Problem, Slug};
use crate::gate::name::{Subject, ToolName, WorkflowName};
use crate::gate::outcome::{FailureMode, Source};
use crate::gate::past;
use crate::gate::policy::facts::RunFacts;
use crate::gate::policy::{Tool, judge};
use crate::gate::risk::Risk;
use crate::gate::run::{Charge, Executed, Mark};
use crate::gate::run_flags::RunFlags;
use crate::gate::status::Status;
use crate::gate::time::days;
use crate::gate::verdict::Verdict;
use crate::ids;
use crate::journal::import::{ImportError, ImportReply, ImportStep};
use crate::journal::record::{CallRecord, MAX_RECORDED, RunRecord};
use crate::ledger::WorkflowHandle;
use crate::wire::json;

/// How many runs go to the journal at once: few enough not to delay a commit that a call waits for.
const BATCH: usize = 1_000;
/// How long the next piece of the body may take.
const PIECE: Duration = Duration::from_secs(30);
/// What the longest window reaches.
const REACH: Duration = days(90);

/// Books a history of past runs: one JSON object a line, judged once at the end. All of it counts,
/// or nothing.
#[utoipa::path(
    post,
    path = "/v1/import",
    request_body(content = String, content_type = MEDIA_TYPE, description = "one run a line: `at`, `workflow`, `run`, `outcome`, and where they are known `agent`, `modes`, `calls`"),
    responses((status = 200, body = ImportResponse), (status = "default", body = Problem))
)]
pub(super) async fn import(
    State(state): State<Arc<AdminState>>,
    Extension(person): Extension<Arc<Person>>,
    request: Request,
) -> Result<Json<ImportResponse>, AdminError> {
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if !kind
        .split(';')
        .next()
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case(MEDIA_TYPE))
    {
        return Err(AdminError::new(
            Slug::Unsupported,
            format!("a history is one JSON object a line: `Content-Type: {MEDIA_TYPE}`"),
        ));
    }
    let Ok(_only) = Arc::clone(&state.imports).try_acquire_owned() else {
        return Err(AdminError::new(
            Slug::Conflict,
            "another history is being imported; one at a time",
        ));
    };
    while step(&state, ImportStep::Begin).await? == ImportReply::Clearing {}
    let let_in = request.extensions().get::<AdmittedRequest>().cloned();
    let mut import = HistoryImport::new(&state, &person);
    let taken = match import
        .take_in(request.into_body())
        .await
        .and_then(|()| let_in.map_or(Ok(()), |let_in| let_in.still()))
    {
        Ok(()) => step(
            &state,
            ImportStep::Finish {
                at: state.ledger().now(),
                by: person.name.clone(),
            },
        )
        .await
        .map(drop),
        Err(fault) => Err(fault),
    };
    if let Err(fault) = taken {
        // If this does not reach the journal either, the next import clears what is left.
        while matches!(
            step(&state, ImportStep::Abandon).await,
            Ok(ImportReply::Clearing)
        ) {}
        return Err(fault);
    }
    Ok(Json(import.finish()))
}

async fn step(state: &AdminState, step: ImportStep) -> Result<ImportReply, AdminError> {
    match patient(state.ledger().journal().import(step)).await {
        Some(Ok(Ok(reply))) => Ok(reply),
        Some(Ok(Err(error @ ImportError::Lost))) => Err(AdminError::journal(&error.to_string())),
        Some(_) | None => Err(AdminError::journal(
            "the journal did not answer: import the same history again, what is booked already is skipped",
        )),
    }
}

/// An import in progress.
struct HistoryImport<'d> {
    state: &'d AdminState,
    person: &'d Person,
    handles: BTreeMap<WorkflowName, (Arc<WorkflowHandle>, Status)>,
    tools: BTreeMap<ToolName, Arc<Tool>>,
    /// Runs on their way to the journal, each with its line.
    batch: Vec<(u64, RunRecord)>,
    line: u64,
    booked: BTreeMap<WorkflowName, u64>,
    findings: ImportFindings,
    response: ImportResponse,
}

/// Why a line is skipped.
type SkippedLine = (ImportFindingKind, String);

impl<'d> HistoryImport<'d> {
    fn new(state: &'d AdminState, person: &'d Person) -> Self {
        let table = state.ledger().table_full();
        let handles = table.entries.iter().filter_map(|(name, handle)| {
            let status = state.ledger().view(name)?.status;
            Some((name.clone(), (Arc::clone(handle), status)))
        });
        HistoryImport {
            state,
            person,
            handles: handles.collect(),
            tools: table
                .policies
                .apis
                .values()
                .flat_map(|api| &api.tools)
                .map(|tool| (tool.name.clone(), Arc::clone(tool)))
                .collect(),
            batch: Vec::with_capacity(BATCH),
            line: 0,
            booked: BTreeMap::new(),
            findings: ImportFindings::default(),
            response: ImportResponse::default(),
        }
    }

    async fn take_in(&mut self, mut body: Body) -> Result<(), AdminError> {
        // At most a line that has not ended; of one that is too long the rest is passed over.
        let (mut rest, mut overlong) = (BytesMut::new(), false);
        loop {
            let piece = match tokio::time::timeout(PIECE, body.frame()).await {
                Ok(None) => break,
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
                Ok(Some(Err(_))) => {
                    return Err(AdminError::new(
                        Slug::Malformed,
                        "the history broke off: nothing of it was booked",
                    ));
                }
                Err(_) => {
                    return Err(AdminError::new(
                        Slug::Malformed,
                        "the history did not go on in time: nothing of it was booked",
                    )
                    .with_status(408));
                }
            };
            for text in piece.split_inclusive(|byte| *byte == b'\n') {
                let ends = text.ends_with(b"\n");
                if !overlong && rest.len() + text.len() <= MAX_LINE {
                    rest.extend_from_slice(text);
                } else {
                    overlong = true;
                    rest.clear();
                }
                if ends {
                    self.line(&rest, std::mem::take(&mut overlong)).await?;
                    rest.clear();
                }
            }
        }
        self.line(&rest, overlong).await?;
        self.flush().await
    }

    async fn line(&mut self, text: &[u8], overlong: bool) -> Result<(), AdminError> {
        self.line += 1;
        let text = text.trim_ascii();
        if text.is_empty() && !overlong {
            return Ok(());
        }
        self.response.lines += 1;
        let read = if overlong {
            Err((
                ImportFindingKind::Broken,
                format!("longer than {MAX_LINE} bytes"),
            ))
        } else {
            self.read(text)
        };
        match read {
            Ok(run) => self.batch.push((self.line, run)),
            Err((kind, what)) => self.findings.note(kind, self.line, what),
        }
        if self.batch.len() >= BATCH {
            self.flush().await
        } else {
            Ok(())
        }
    }

    async fn flush(&mut self) -> Result<(), AdminError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let (lines, runs): (Vec<_>, Vec<_>) = self
            .batch
            .drain(..)
            .map(|(line, run)| ((line, run.workflow.clone(), run.run.clone(), run.mark), run))
            .unzip();
        let reply = step(
            self.state,
            ImportStep::Runs {
                runs,
                by: self.person.name.clone(),
            },
        )
        .await?;
        let known: BTreeSet<usize> = if let ImportReply::Taken(known) = reply {
            known.into_iter().collect()
        } else {
            BTreeSet::new()
        };
        for (n, (line, workflow, run, mark)) in lines.into_iter().enumerate() {
            if known.contains(&n) {
                self.findings.note(
                    ImportFindingKind::Duplicate,
                    line,
                    run.map_or_else(String::new, |run| format!("run `{run}` of `{workflow}`")),
                );
                continue;
            }
            let response = &mut self.response;
            response.booked += 1;
            *match mark {
                Mark::Acceptable => &mut response.acceptable,
                Mark::Unacceptable => &mut response.unacceptable,
                Mark::Excluded => &mut response.excluded,
                Mark::Idle => &mut response.idle,
            } += 1;
            *self.booked.entry(workflow).or_default() += 1;
        }
        Ok(())
    }

    /// What a line says, as a run to be booked.
    fn read(&mut self, text: &[u8]) -> Result<RunRecord, SkippedLine> {
        let line =
            HistoryRun::read(text).map_err(|bad| (ImportFindingKind::Broken, bad.to_string()))?;
        let now = self.state.ledger().now();
        let at = line.at.0;
        if at > now {
            return Err((ImportFindingKind::Future, line.at.to_string()));
        }
        let Some((handle, status)) = self.handles.get(&*line.workflow) else {
            return Err((
                ImportFindingKind::UnknownWorkflow,
                format!("`{}`", line.workflow),
            ));
        };
        let (policy, objective) = (&handle.policy, &handle.policy.terms.objective);
        if let Some(mode) = line.modes.iter().find(|mode| !objective.knows(mode)) {
            return Err((ImportFindingKind::UnknownMode, format!("`{mode}`")));
        }
        let agent = line.agent.as_deref().unwrap_or(past::AGENT);
        let mut calls = Vec::with_capacity(line.calls.len());
        for (n, call) in (0..).zip(&line.calls) {
            let tool = self.tools.get(&*call.tool).map(|tool| &**tool);
            let risk = judge::risk(policy, tool);
            if !tool.is_some_and(|tool| policy.tools.contains(&tool.name)) {
                self.findings.note(
                    ImportFindingKind::UnknownTool,
                    self.line,
                    format!("`{}`", call.tool),
                );
            }
            let run = RunFacts {
                id: &line.run,
                calls: n,
                escalated: false,
            };
            let subject =
                tool.and_then(|tool| subject(tool, call, agent, &line.workflow, run, status));
            calls.push(CallRecord {
                call: ids::call(),
                at,
                tool: ToolName::from(&*call.tool),
                risk,
                verdict: Verdict::Allow,
                executed: Executed::Yes,
                rule: None,
                status: 0,
                subject,
                args: call
                    .args
                    .map(serde_json::value::RawValue::get)
                    .filter(|text| policy.record_arguments && text.len() <= MAX_RECORDED)
                    .map(Into::into),
            });
        }
        let idle = !calls.is_empty()
            && !policy.terms.reads_only
            && calls.iter().all(|call| call.risk == Risk::Read);
        let reading = past::read(objective, line.outcome, &line.modes, idle);
        if let Some(contradiction) = reading.contradiction {
            self.findings
                .note(ImportFindingKind::Contradiction, self.line, contradiction);
        }
        if now.since(at) > REACH {
            self.findings
                .note(ImportFindingKind::Old, self.line, line.at.to_string());
        }
        let mut modes: Vec<_> = line.modes.into_iter().collect();
        if reading.mark == Mark::Unacceptable && modes.is_empty() {
            modes.push(FailureMode::from(past::UNSPECIFIED));
        }
        Ok(RunRecord {
            workflow: policy.name.clone(),
            agent: agent.into(),
            run: Some((&*line.run).into()),
            started: at,
            ended: at,
            booked_at: at,
            mark: reading.mark,
            high: calls.iter().any(|call| call.risk == Risk::High),
            observed: RunFlags::NONE,
            charges: modes.into_iter().map(|mode| self.charge(mode)).collect(),
            calls,
        })
    }

    fn charge(&self, mode: FailureMode) -> Charge {
        Charge {
            mode,
            source: Source::System,
            by: Some(self.person.name.clone()),
            call: None,
            tool: None,
            note: Some("imported".into()),
            reference: None,
        }
    }

    /// The answer.
    fn finish(self) -> ImportResponse {
        let status = |(workflow, booked): (WorkflowName, u64)| {
            let status = self.state.ledger().view(&workflow)?.status;
            Some(ImportedWorkflow {
                workflow: workflow.to_string(),
                booked,
                posture: status.posture.as_str().to_owned(),
                level: status.level().to_string(),
                why: status.why.to_string(),
            })
        };
        let workflows = self.booked.into_iter().filter_map(status).collect();
        ImportResponse {
            skipped: self.findings.skipped(),
            findings: self.findings.into_list(),
            workflows,
            ..self.response
        }
    }
}

/// The business object that a past call touched: worked out from its arguments, as for a call of
/// today.
fn subject(
    tool: &Tool,
    call: &HistoryCall<'_>,
    agent: &str,
    workflow: &str,
    run: RunFacts<'_>,
    status: &Status,
) -> Option<Subject> {
    let expression = tool.subject.as_ref()?;
    let args = call
        .args
        .and_then(|args| json::parse(args.get().as_bytes()).ok());
    let facts = past::facts(
        args.as_ref(),
        tool.name.as_str(),
        agent,
        workflow,
        run,
        status,
    );
    expression.text(&facts).ok().flatten().map(Subject::from)
}
