//! The operator's calls: the same admin API that `burngate status`, `approvals`, `clamp`, `release`
//! and `recover` use, with the operator's token.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use super::exchange;
use crate::api::approval::ApprovalView;
use crate::api::operate::{ApproveRequest, ClampRequest, RecoverRequest, ReleaseRequest};
use crate::api::workflow::WorkflowView;

/// The workflow of the demonstration.
pub(super) const WORKFLOW: &str = "refunds";

/// How long the numbers may take to catch up with a call that was answered.
const SETTLES: Duration = Duration::from_secs(3);
/// How often they are looked at meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// The operator.
pub(super) struct Operator {
    /// Where the admin API is.
    pub admin: SocketAddr,
    /// The operator's token.
    pub token: String,
}

impl Operator {
    /// Where the workflow stands.
    pub(super) async fn look(&self) -> anyhow::Result<WorkflowView> {
        self.ask(Method::GET, &format!("/v1/workflows/{WORKFLOW}"), None)
            .await
    }

    /// Where the workflow stands once `so` is true of it, or after [`SETTLES`]: a run that went
    /// well is written a moment after its last call.
    pub(super) async fn look_when(
        &self,
        so: impl Fn(&WorkflowView) -> bool,
    ) -> anyhow::Result<WorkflowView> {
        let began = Instant::now();
        loop {
            let workflow = self.look().await?;
            if so(&workflow) || began.elapsed() > SETTLES {
                return Ok(workflow);
            }
            sleep(LOOK).await;
        }
    }

    /// How a held call stands.
    pub(super) async fn approval(&self, id: &str) -> anyhow::Result<ApprovalView> {
        self.ask(Method::GET, &format!("/v1/approvals/{id}"), None)
            .await
    }

    /// Lets a held call go, once.
    pub(super) async fn approve(&self, id: &str, reason: &str) -> anyhow::Result<ApprovalView> {
        self.post(
            &format!("/v1/approvals/{id}/approve"),
            &ApproveRequest {
                reason: Some(reason.to_owned()),
                edit: None,
                digest: None,
            },
        )
        .await
    }

    /// Puts a ceiling on the workflow's level.
    pub(super) async fn clamp(&self, to: &str, reason: &str) -> anyhow::Result<()> {
        let clamp = ClampRequest {
            to: to.to_owned(),
            reason: reason.to_owned(),
            lasts: None,
            withdraw: false,
        };
        self.post(&format!("/v1/workflows/{WORKFLOW}/clamp"), &clamp)
            .await
            .map(|_: serde_json::Value| ())
    }

    /// Lifts the ceiling.
    pub(super) async fn release(&self, reason: &str) -> anyhow::Result<()> {
        self.post(
            &format!("/v1/workflows/{WORKFLOW}/release"),
            &ReleaseRequest {
                reason: reason.to_owned(),
            },
        )
        .await
        .map(|_: serde_json::Value| ())
    }

    /// Puts a cause on record and opens a probation.
    pub(super) async fn recover(&self, cause: &str, fix: &str) -> anyhow::Result<()> {
        let recover = RecoverRequest {
            cause: cause.to_owned(),
            fix: Some(fix.to_owned()),
            to: None,
            lasts: None,
        };
        self.post(&format!("/v1/workflows/{WORKFLOW}/recover"), &recover)
            .await
            .map(|_: serde_json::Value| ())
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        self.ask(Method::POST, path, Some(&serde_json::to_value(body)?))
            .await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> anyhow::Result<T> {
        let token = format!("Bearer {}", self.token);
        let answer =
            exchange::send(self.admin, method, path, &[("authorization", &token)], body).await?;
        ensure!(
            answer.status().is_success(),
            "the gate refused {path}: {}",
            String::from_utf8_lossy(answer.body())
        );
        serde_json::from_slice(answer.body())
            .with_context(|| format!("the gate's answer to {path} cannot be read"))
    }
}
