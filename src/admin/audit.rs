//! The journal, page by page, for auditors.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::value::RawValue;

use super::error::AdminError;
use super::read::{QueryParams, limit, moment, name, some_name};
use super::state::AdminState;
use crate::api::audit::{AuditEntry, AuditQuery, JournalPage};
use crate::api::{Moment, Problem, Slug};
use crate::gate::event::sentence::Sentence;
use crate::journal::read::{EntryFilter, JournalView};

/// How many entries make a page where nobody says.
const PAGE: usize = 100;
/// The most entries on a page.
const MAX_PAGE: usize = 1_000;

/// Journal entries, oldest first.
#[utoipa::path(get, path = "/v1/audit", params(AuditQuery), responses((status = 200, body = JournalPage), (status = "default", body = Problem)))]
pub(super) async fn list(
    State(state): State<Arc<AdminState>>,
    QueryParams(query): QueryParams<AuditQuery>,
) -> Result<Json<JournalPage>, AdminError> {
    let now = state.ledger().now();
    let bad_after = |_| AdminError::field("/after", "must be a sequence number");
    let limit = limit(query.limit.as_deref(), PAGE, MAX_PAGE)?;
    let filter = EntryFilter {
        after: query
            .after
            .as_deref()
            .map_or(Ok(0), |after| after.parse::<u64>().map_err(bad_after))?,
        workflow: some_name("/workflow", query.workflow.as_deref())?,
        kind: query
            .kind
            .as_deref()
            .map(|kind| name("/kind", kind))
            .transpose()?
            .map(Into::into),
        since: moment("/since", query.since.as_deref(), now)?,
        until: moment("/until", query.until.as_deref(), now)?,
        limit,
    };
    let (ledger, found) = state
        .look_up(move |records| Ok((records.ledger(), records.entries(&filter)?)))
        .await?;
    let entries = found.views.iter().map(entry).collect::<Result<_, _>>();
    let entries = entries
        .map_err(|_| AdminError::new(Slug::Internal, "an entry cannot be written as JSON"))?;
    Ok(Json(JournalPage {
        ledger,
        entries,
        next: found.next,
    }))
}

/// An entry as it is shown; its text is JSON, or the store is at fault.
fn entry(view: &JournalView) -> serde_json::Result<AuditEntry> {
    let Sentence { by, text } = view.entry.event.sentence(None);
    Ok(AuditEntry {
        seq: view.seq,
        at: Moment(view.entry.at),
        workflow: view.entry.workflow.as_ref().map(ToString::to_string),
        kind: view.entry.event.kind().name().to_owned(),
        event: RawValue::from_string(view.body.to_string())?,
        hash: view.hash.to_string(),
        by,
        what: text,
    })
}
