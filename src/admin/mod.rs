//! The admin API: what operators, reviewers and their systems ask of the gate, on a listener and
//! with credentials of its own.
//!
//! It reads HTTP, knows who asks and what they may, calls the ledger, and answers only when what
//! was asked is on disk. It decides nothing about budgets and levels, and never looks at the data
//! plane: an agent's credential opens nothing here (G11), and no path leads from the data plane's
//! port to this one. It never works without a token, because the agent may run on the same host;
//! only the two health checks do.

use std::sync::Arc;

use axum::routing::get;
use axum::{Router, middleware};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::auth::Role;
use self::error::AdminError;
use self::state::AdminState;
use crate::api::Slug;

mod admit;
mod approvals;
mod audit;
pub mod auth;
mod batch;
mod changes;
mod checks;
mod context;
mod durable;
mod enforce;
mod error;
mod feedback;
mod grants;
pub mod guard;
pub mod health;
mod import;
mod incidents;
mod numbers;
mod pages;
mod probes;
mod read;
mod reports;
mod review;
mod runs;
pub mod serve;
mod signals;
mod state;
mod unlisted;
mod workflows;

pub use guard::Reach;
pub use serve::serve;
pub use state::{Admin, MAX_LOOK_UPS};

type AdminRouter = OpenApiRouter<Arc<AdminState>>;

/// The admin API over `admin`.
pub fn router(admin: Admin) -> Router {
    let open_metrics = admin.open_metrics;
    let state = Arc::new(AdminState::new(admin));
    let (api, document) = by_role(&state).split_for_parts();
    let document: Arc<str> = document.to_json().unwrap_or_default().into();
    let require = |role| middleware::from_fn_with_state((Arc::clone(&state), role), admit::require);
    let show_document =
        get(move || async move { ([("content-type", "application/json")], document.to_string()) });
    let mut show_metrics = get(probes::metrics);
    if !open_metrics {
        show_metrics = show_metrics.route_layer(require(Role::Viewer));
    }
    api.route(
        "/openapi.json",
        show_document.route_layer(require(Role::Viewer)),
    )
    .route("/metrics", show_metrics)
    .route("/healthz", get(probes::alive))
    .route("/readyz", get(probes::ready))
    .fallback(nothing_here)
    .method_not_allowed_fallback(not_so)
    .layer(middleware::from_fn(guard::guard))
    .layer(middleware::from_fn_with_state(
        Arc::clone(&state),
        admit::count,
    ))
    .with_state(state)
}

/// The document of the admin API (`OpenAPI` 3.1), as JSON.
#[must_use]
pub fn openapi() -> String {
    let mut routes = AdminRouter::with_openapi(AdminDocument::openapi());
    for (_, more) in table() {
        routes = routes.merge(more);
    }
    routes = routes.merge(signed());
    routes.into_openapi().to_pretty_json().unwrap_or_default()
}

/// Every endpoint with the role that it needs. One that is not in this table does not exist.
fn table() -> [(Role, AdminRouter); 4] {
    [
        (
            Role::Viewer,
            AdminRouter::new()
                .routes(routes!(workflows::list))
                .routes(routes!(workflows::show))
                .routes(routes!(numbers::show))
                .routes(routes!(feedback::show))
                .routes(routes!(enforce::preview))
                .routes(routes!(approvals::list))
                .routes(routes!(approvals::show))
                .routes(routes!(grants::list))
                .routes(routes!(runs::list))
                .routes(routes!(runs::show))
                .routes(routes!(checks::list))
                .routes(routes!(unlisted::list))
                .routes(routes!(incidents::list))
                .routes(routes!(review::show))
                .routes(routes!(audit::list)),
        ),
        (
            Role::Reporter,
            AdminRouter::new()
                .routes(routes!(reports::report))
                .routes(routes!(reports::report_run))
                .routes(routes!(checks::accept))
                .routes(routes!(checks::report)),
        ),
        (
            Role::Reviewer,
            AdminRouter::new()
                .routes(routes!(approvals::approve))
                .routes(routes!(approvals::deny))
                .routes(routes!(approvals::decide_many))
                .routes(routes!(approvals::withdraw)),
        ),
        (
            Role::Operator,
            AdminRouter::new()
                .routes(routes!(grants::give))
                .routes(routes!(grants::revoke))
                .routes(routes!(workflows::clamp))
                .routes(routes!(workflows::clamp_all))
                .routes(routes!(workflows::release))
                .routes(routes!(workflows::release_all))
                .routes(routes!(workflows::recover))
                .routes(routes!(changes::change))
                .routes(routes!(changes::waive))
                .routes(routes!(workflows::promote))
                .routes(routes!(review::done))
                .routes(routes!(reports::exclude))
                .routes(routes!(batch::exclude))
                .routes(routes!(import::import))
                .routes(routes!(incidents::exclude)),
        ),
    ]
}

/// Endpoints that a signature opens as well as a token: their handlers check who asks.
fn signed() -> AdminRouter {
    AdminRouter::new().routes(routes!(signals::receive))
}

fn by_role(state: &Arc<AdminState>) -> AdminRouter {
    let mut all = AdminRouter::with_openapi(AdminDocument::openapi()).merge(signed());
    for (role, routes) in table() {
        all = all.merge(routes.route_layer(middleware::from_fn_with_state(
            (Arc::clone(state), role),
            admit::require,
        )));
    }
    all
}

async fn nothing_here() -> AdminError {
    AdminError::new(
        Slug::NotFound,
        "there is nothing at this path; /openapi.json lists what there is",
    )
}

async fn not_so() -> AdminError {
    AdminError::new(Slug::Malformed, "this path does not take this method").with_status(405)
}

/// The document's frame.
#[derive(OpenApi)]
#[openapi(
    info(title = "burngate admin API", description = "What operators, reviewers and their systems ask of the gate."),
    modifiers(&BearerScheme),
    security(("token" = []))
)]
struct AdminDocument;

struct BearerScheme;

impl Modify for BearerScheme {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme =
            SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("token", scheme);
    }
}

#[cfg(test)]
mod tests;
