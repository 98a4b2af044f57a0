//! The journal, page by page, for auditors.

use std::sync::Arc;

use axum::{Json, extract::State};

use super::{
    Desk,
    fault::Fault,
    read::{Params, limit},
};
use crate::api::{
    Problem, Slug,
    audit::{Audit, AuditEntry, AuditQuery},
};

/// How many entries make a page where nobody says.
const PAGE: usize = 100;
/// The most entries on a page.
const MAX_PAGE: usize = 1_000;

/// Journal entries, oldest first.
#[utoipa::path(get, path = "/v1/audit", params(AuditQuery), responses((status = 200, body = Audit), (status = "default", body = Problem)))]
pub(super) async fn list(State(desk): State<Arc<Desk>>, Params(query): Params<AuditQuery>) -> Result<Json<Audit>, Fault> {
    let bad_after = |_| Fault::field("/after", "must be a sequence number");
    let after = query.after.as_deref().map_or(Ok(0), |after| after.parse::<u64>().map_err(bad_after))?;
    let limit = limit(query.limit.as_deref(), PAGE, MAX_PAGE)?;
    let found = desk.look_up(move |records| records.entries(after, limit)).await?;
    let next = if found.len() < limit { None } else { found.last().map(|view| view.seq) };
    let entries = found.iter().map(|view| AuditEntry::of(view.seq, &view.entry)).collect::<Result<_, _>>();
    let entries = entries.map_err(|_| Fault::new(Slug::Internal, "an entry cannot be written as JSON"))?;
    Ok(Json(Audit { entries, next }))
}
