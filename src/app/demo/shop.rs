//! The sample tool API: a shop with orders, notes, e-mails and refunds. It knows nothing of the
//! gate, and calls about three of its orders fail.

use std::future::Future;
use std::time::Duration;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Writing about this order takes longer than anybody waits.
pub(super) const SLOW: &str = "A-1901";
/// This order was refunded already.
pub(super) const REFUNDED: &str = "A-1902";
/// The mail server is down for this order's customer.
pub(super) const BROKEN: &str = "A-1903";
/// How long the slow answer takes: well beyond the tool's timeout.
const SLOWNESS: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct Posted {
    order: String,
}

/// Serves the shop until `stop` resolves.
pub(super) async fn serve(listener: TcpListener, stop: impl Future<Output = ()> + Send + 'static) {
    let router = Router::new()
        .route("/orders/{order}", get(order))
        .route(
            "/notes",
            post(|Json(posted): Json<Posted>| async move { done("note", &posted) }),
        )
        .route("/emails", post(email))
        .route("/refunds", post(refund));
    if let Err(error) = axum::serve(listener, router)
        .with_graceful_shutdown(stop)
        .await
    {
        tracing::error!(%error, "the shop stopped");
    }
}

async fn order(Path(order): Path<String>) -> Json<Value> {
    Json(json!({ "order": order, "state": "returned", "currency": "EUR" }))
}

async fn email(Json(posted): Json<Posted>) -> (StatusCode, Json<Value>) {
    match posted.order.as_str() {
        SLOW => {
            tokio::time::sleep(SLOWNESS).await;
            done("email", &posted)
        }
        BROKEN => (
            StatusCode::INTERNAL_SERVER_ERROR,
            Json(json!({ "error": "the mail server is down" })),
        ),
        _ => done("email", &posted),
    }
}

async fn refund(Json(posted): Json<Posted>) -> (StatusCode, Json<Value>) {
    if posted.order == REFUNDED {
        return (
            StatusCode::CONFLICT,
            Json(json!({ "error": "refunded already" })),
        );
    }
    done("refund", &posted)
}

fn done(what: &str, posted: &Posted) -> (StatusCode, Json<Value>) {
    (
        StatusCode::CREATED,
        Json(json!({ what: "done", "order": posted.order })),
    )
}
