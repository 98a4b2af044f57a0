//! `burngate clamp`: an operator's emergency ceiling, in force from the next call on.

use clap::Args;

use super::client::{ConnectionArgs, path};
use super::failure::{Exit, Failure};
use super::render::number::counted;
use super::render::{Tone, escape, paint, when};
use super::status;
use crate::api::operate::ClampResponse;
use crate::api::{TimeSpan, operate};
use crate::gate::time::Time;

/// Put a ceiling on the level of one workflow or of all, from the next call on
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # One workflow may only read, for an hour
  burngate clamp support-triage --to read_only --reason \"odd refunds\" --for 1h
  # Everything stops until it is released, and waiting calls are withdrawn
  burngate clamp --all --to halted --reason \"odd refunds\" --withdraw")]
pub(super) struct ClampArgs {
    #[command(flatten)]
    scope: ScopeArgs,
    /// The ceiling: halted, `read_only`, supervised, standard, or one that the policy
    /// adds
    #[arg(long, value_name = "LEVEL")]
    to: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// For how long, such as 30m or 1h; without this, until it is released
    #[arg(long = "for", value_name = "DURATION")]
    lasts: Option<TimeSpan>,
    /// Withdraw unused grants and pending approvals as well
    #[arg(long)]
    withdraw: bool,
    /// Print the gate's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// One workflow or all of them.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct ScopeArgs {
    /// The workflow
    pub workflow: Option<String>,
    /// Every workflow, including those added later
    #[arg(long)]
    pub all: bool,
}

impl ScopeArgs {
    /// Where `operation` on it is asked for.
    pub(super) fn path(&self, operation: &str) -> String {
        self.workflow.as_ref().map_or_else(
            || path(&["v1", operation]),
            |workflow| path(&["v1", "workflows", workflow, operation]),
        )
    }
}

impl ClampArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let body = operate::ClampRequest {
            to: self.to.clone(),
            reason: self.reason.clone(),
            lasts: self.lasts,
            withdraw: self.withdraw,
        };
        let answer = self
            .connection
            .client()?
            .post(&self.scope.path("clamp"), &body)
            .map_err(|failure| failure.if_unknown(status::KNOWN))?;
        answer.show(self.json, page)?;
        Ok(Exit::Did)
    }
}

fn page(clamped: &ClampResponse, now: Time) -> String {
    let (who, release) = match &clamped.workflow {
        Some(workflow) => (escape(workflow), escape(workflow)),
        None => ("every workflow".to_owned(), "--all".to_owned()),
    };
    let until = clamped.until.map_or_else(
        || "until it is released".to_owned(),
        |until| format!("until {}", when::exactly(now, until)),
    );
    let in_flight = match clamped.in_flight {
        0 => "no call is in flight".to_owned(),
        calls => paint(
            Tone::Odd,
            &format!(
                "{} sent before the clamp",
                counted(calls, "call was", "calls were")
            ),
        ),
    };
    let grants = match clamped.unused_grants {
        grants @ 1.. if clamped.withdrawn > 0 => format!(
            "{} withdrawn",
            counted(grants, "unused grant is", "unused grants are")
        ),
        0 => "no unused grant".to_owned(),
        grants => format!(
            "{} only what the clamp allows",
            counted(grants, "unused grant passes", "unused grants pass")
        ),
    };
    let pending = match clamped.pending_approvals {
        pending @ 1.. if clamped.withdrawn > 0 => format!(
            "{} withdrawn",
            counted(pending, "pending approval is", "pending approvals are")
        ),
        0 => "no pending approval".to_owned(),
        pending => format!(
            "{} pending: what the clamp denies stays denied after approval",
            counted(pending, "approval is", "approvals are")
        ),
    };
    format!(
        "{} clamped to {} {until}\n  {in_flight}\n  {grants}\n  {pending}\n`burngate release {release} --reason TEXT` lifts it\n",
        paint(Tone::Strong, &format!("{who} is")),
        paint(Tone::Strong, &escape(&clamped.to)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::approvals::tests::now;
    use crate::cli::render::plain;

    #[test]
    fn a_clamp_says_what_it_found() {
        let one = ClampResponse {
            workflow: Some("payouts".to_owned()),
            to: "read_only".to_owned(),
            until: Some("2026-11-23T19:00:00Z".parse().unwrap()),
            in_flight: 3,
            unused_grants: 1,
            pending_approvals: 2,
            withdrawn: 0,
        };
        let withdrawn = ClampResponse {
            withdrawn: 3,
            ..one.clone()
        };
        let all = ClampResponse {
            workflow: None,
            until: None,
            in_flight: 0,
            unused_grants: 0,
            pending_approvals: 0,
            ..one.clone()
        };
        insta::assert_snapshot!(plain(&[page(&one, now()), page(&all, now()), page(&withdrawn, now())].join("\n")), @r"
        payouts is clamped to read_only until 2026-11-23T19:00:00Z (in 1h)
          3 calls were sent before the clamp
          1 unused grant passes only what the clamp allows
          2 approvals are pending: what the clamp denies stays denied after approval
        `burngate release payouts --reason TEXT` lifts it

        every workflow is clamped to read_only until it is released
          no call is in flight
          no unused grant
          no pending approval
        `burngate release --all --reason TEXT` lifts it

        payouts is clamped to read_only until 2026-11-23T19:00:00Z (in 1h)
          3 calls were sent before the clamp
          1 unused grant is withdrawn
          2 pending approvals are withdrawn
        `burngate release payouts --reason TEXT` lifts it
        ");
    }

    #[test]
    fn a_scope_is_one_place_of_the_api() {
        let scope = |workflow: Option<&str>| ScopeArgs {
            workflow: workflow.map(str::to_owned),
            all: workflow.is_none(),
        };
        assert_eq!(
            [
                scope(Some("a b")).path("clamp"),
                scope(None).path("release")
            ],
            ["/v1/workflows/a%20b/clamp", "/v1/release"]
        );
    }
}
