//! What surrounds a held call: how the workflow stands, what its run did so far, what else touched
//! its object lately, how calls like it were decided and turned out.
//!
//! The gate puts it together in one answer. It names what it could not read, because a person has
//! to decide anyway.

use std::fmt::Write as _;

use crate::api::approval::ApprovalView;
use crate::api::context::{
    ApprovalContext, HeldCallRun, RelatedRun, SimilarCall, SimilarCallDecision,
};
use crate::api::problem::ExecutedView;
use crate::api::review::DecisionFigures;
use crate::api::run::CallView;
use crate::cli::render::number::{counted, grouped, percent};
use crate::cli::render::{escape, when};
use crate::cli::status;
use crate::gate::run;
use crate::gate::time::Time;

/// Everything about the surroundings of `approval` that the gate sent; empty if it sent nothing.
#[must_use]
pub(super) fn page(approval: &ApprovalView, now: Time) -> String {
    let Some(context) = approval.context.as_deref() else {
        return String::new();
    };
    let ApprovalContext {
        workflow,
        run,
        lately,
        alike,
        rule,
        missing,
        changes: _,
    } = context;
    let parts = [
        ("state", vec![status::line(workflow, now)]),
        ("run", run_lines(approval, run, now)),
        ("recent", touched(approval, lately, now)),
        ("earlier", before(approval, alike, now)),
        (
            "rule",
            rule.iter().map(|rule| experience(&rule.figures)).collect(),
        ),
        ("missing", missing.iter().map(|what| escape(what)).collect()),
    ];
    let mut page = String::new();
    for (name, lines) in parts {
        for (index, line) in lines.iter().enumerate() {
            let _ = writeln!(page, "  {:<9} {line}", if index == 0 { name } else { "" });
        }
    }
    page
}

/// What the run did besides.
fn run_lines(approval: &ApprovalView, run: &HeldCallRun, now: Time) -> Vec<String> {
    if approval.run == approval.call {
        return vec!["the agent names no run, so this call is the whole run".to_owned()];
    }
    let mut state = match run.state.as_str() {
        "open" => "open".to_owned(),
        "unknown" => {
            return vec![
                "what it did is not known: it ended with a crash, or made no other call".to_owned(),
            ];
        }
        outcome => format!("ended, {}", escape(outcome)),
    };
    if let Some(started) = run.started {
        let _ = write!(state, ", began {}", when::ago(now, started));
    }
    if run.escalated {
        state += ", handed to a person";
    }
    state += &wrong(&run.modes);
    if run.in_flight > 0 {
        let _ = write!(state, "; {} under way", calls(run.in_flight));
    }
    if run.calls.is_empty() {
        return vec![format!("{state}; no other call so far")];
    }
    let left_out = if run.left_out == 0 {
        String::new()
    } else {
        format!("; {} before these", calls(run.left_out))
    };
    std::iter::once(format!("{state}{left_out}"))
        .chain(run.calls.iter().map(|call| one(call, now)))
        .collect()
}

fn one(call: &CallView, now: Time) -> String {
    let about = call
        .subject
        .as_deref()
        .map_or_else(String::new, |subject| format!(" about {}", escape(subject)));
    let verdict = match (call.verdict.as_str(), &call.executed) {
        ("allow", ExecutedView(run::Executed::Yes)) => "executed".to_owned(),
        ("allow", ExecutedView(run::Executed::Unknown)) => {
            "sent, and the answer was lost".to_owned()
        }
        ("allow", ExecutedView(run::Executed::No)) => "allowed, not executed".to_owned(),
        (verdict, ExecutedView(executed)) => {
            let by = call
                .rule
                .as_deref()
                .map_or_else(String::new, |rule| format!(" by {}", escape(rule)));
            let word = if verdict == "hold" { "held" } else { "denied" };
            let went = if *executed == run::Executed::No {
                ""
            } else {
                ", and went in shadow"
            };
            format!("{word}{by}{went}")
        }
    };
    let status = if call.status == 0 {
        String::new()
    } else {
        format!(" ({})", call.status)
    };
    format!(
        "{}: {} (risk {}){about}: {verdict}{status}",
        when::ago(now, call.at),
        escape(&call.tool),
        escape(&call.risk)
    )
}

fn calls(count: u64) -> String {
    if count == 1 {
        "1 call".to_owned()
    } else {
        format!("{count} calls")
    }
}

fn wrong(modes: &[String]) -> String {
    if modes.is_empty() {
        String::new()
    } else {
        format!(" ({})", escape(&modes.join(", ")))
    }
}

/// The newest other runs that touched the same object.
fn touched(approval: &ApprovalView, lately: &[RelatedRun], now: Time) -> Vec<String> {
    let Some(subject) = &approval.subject else {
        return vec!["the call names no object".to_owned()];
    };
    let line = |touch: &RelatedRun| {
        let state = if touch.outcome == "open" {
            "is open".to_owned()
        } else {
            format!("was {}", escape(&touch.outcome))
        };
        let (run, workflow, tools) = (
            escape(&touch.run),
            escape(&touch.workflow),
            escape(&touch.tools.join(", ")),
        );
        format!(
            "{}: run {run} of {workflow} {state}{}: {tools}",
            when::ago(now, touch.at),
            wrong(&touch.modes)
        )
    };
    if lately.is_empty() {
        vec![format!("no other run touched {}", escape(subject))]
    } else {
        lately.iter().map(line).collect()
    }
}

/// The newest decisions on calls of the same tool, those about the same object first, and what
/// became of the runs.
fn before(approval: &ApprovalView, alike: &[SimilarCall], now: Time) -> Vec<String> {
    if alike.is_empty() {
        vec![format!(
            "no decision on a call of {} yet",
            escape(&approval.tool)
        )]
    } else {
        alike.iter().map(|one| decided(one, now)).collect()
    }
}

/// How calls that the same rule held were decided, and how that turned out.
fn experience(figures: &DecisionFigures) -> String {
    let mut text = format!(
        "in 30 days it held {}, of which {} approved",
        counted(figures.held, "call", "calls"),
        counted(figures.approved, "was", "were")
    );
    if figures.approved > 0 {
        let _ = write!(
            text,
            ", {} without edits; {} of those turned out bad",
            percent(figures.without_edits),
            grouped(figures.turned_bad)
        );
    }
    if figures.unasked > 0 {
        let _ = write!(
            text,
            "; {} went through under a timed grant, {} of them turned out bad",
            grouped(figures.unasked),
            grouped(figures.unasked_turned_bad)
        );
    }
    text
}

fn decided(one: &SimilarCall, now: Time) -> String {
    let said: Vec<_> = one.decisions.iter().map(describe_decision).collect();
    let about = match one.subject.as_deref() {
        Some(_) if one.same_subject => " about the same object".to_owned(),
        Some(subject) => format!(" about {}", escape(subject)),
        None => String::new(),
    };
    let outcome = match (one.sent, one.outcome.as_deref()) {
        (false, _) => "not sent".to_owned(),
        (true, None) => "sent, and its run is not booked yet".to_owned(),
        (true, Some(outcome)) => format!(
            "sent, and its run was {}{}",
            escape(outcome),
            wrong(&one.modes)
        ),
    };
    format!(
        "{}{about}: {}; {outcome}",
        when::ago(now, one.created_at),
        said.join(", ")
    )
}

fn describe_decision(decision: &SimilarCallDecision) -> String {
    let what = match (decision.decision.as_str(), decision.edited) {
        ("approve", true) => "approved it with other arguments",
        ("approve", false) => "approved it",
        ("deny_wrong", _) => "denied it as wrong",
        ("deny_not_now", _) => "denied it for now",
        (other, _) => other,
    };
    let reason = decision
        .reason
        .as_deref()
        .map_or_else(String::new, |reason| format!(" ({})", escape(reason)));
    format!("{} {}{reason}", escape(&decision.reviewer), escape(what))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::approvals::tests::{approval, now};
    use crate::cli::render::plain;
    use crate::cli::status::tests::workflow;

    fn rendered(
        over: &serde_json::Value,
        run: &serde_json::Value,
        lately: &serde_json::Value,
        alike: &serde_json::Value,
    ) -> String {
        let mut context = json!({ "changes": [], "workflow": workflow(&json!({})), "run": run, "lately": lately, "alike": alike, "missing": [] });
        if run["state"] == "open" {
            context["rule"] = json!({
                "rule": "hold_when", "place": "policies/payments.yaml:18", "held": 12, "decisions": 11, "approved": 10, "denied_wrong": 1, "denied_not_now": 0, "expired": 1,
                "median_seconds": 30, "edited": 1, "without_edits": 0.9, "turned_bad": 2, "turned_bad_share": 0.2222, "unasked": 3, "unasked_turned_bad": 1,
            });
        }
        let mut over = over.clone();
        over["context"] = context;
        plain(&page(&approval(&over), now()))
    }

    fn call(
        verdict: &str,
        executed: &serde_json::Value,
        over: &serde_json::Value,
    ) -> serde_json::Value {
        let mut call = json!({
            "call": "call_1", "at": "2026-11-23T17:56:00Z", "tool": "payments/get_order", "risk": "read", "verdict": verdict, "rule": null, "executed": executed,
            "status": 200, "subject": null,
        });
        for (name, member) in over.as_object().unwrap() {
            call[name] = member.clone();
        }
        call
    }

    #[test]
    fn what_surrounds_a_call_is_told() {
        let run = json!({
            "state": "open", "started": "2026-11-23T17:50:00Z", "left_out": 3, "in_flight": 1, "modes": ["wrong_arguments"], "escalated": false, "calls": [
                call("allow", &json!(true), &json!({})),
                call("deny", &json!(false), &json!({ "tool": "payments/refund", "risk": "high", "rule": "arguments", "status": 422, "subject": "A-1001" })),
                call("hold", &json!(false), &json!({ "tool": "payments/refund", "risk": "high", "rule": "level", "status": 403 })),
                call("allow", &json!("unknown"), &json!({ "tool": "payments/note\u{202e}", "risk": "low", "status": 0 })),
            ]
        });
        let lately = json!([
            { "workflow": "billing", "agent": "bill-bot", "run": "b-1", "at": "2026-11-23T17:59:00Z", "outcome": "open", "tools": ["payments/charge"], "modes": [] },
            { "workflow": "support-triage", "agent": "triage-bot", "run": "ticket-70", "at": "2026-11-23T15:05:00Z", "outcome": "unacceptable", "tools": ["payments/refund"],
              "modes": ["wrong_action"] },
        ]);
        let decision = |what: &str, edited: bool, reason: serde_json::Value| json!([{ "reviewer": "dana", "decision": what, "edited": edited, "reason": reason, "at": "2026-11-23T15:01:00Z" }]);
        let alike = json!([
            { "id": "apr_1", "created_at": "2026-11-23T15:00:00Z", "subject": "A-1001", "same_subject": true, "rule": "level", "decisions": decision("approve", false, json!(null)),
              "sent": true, "outcome": "unacceptable", "modes": ["wrong_action"] },
            { "id": "apr_2", "created_at": "2026-11-20T15:00:00Z", "subject": "A-2", "same_subject": false, "rule": "level", "decisions": decision("deny_wrong", false, json!("two\nlines")),
              "sent": false, "outcome": null, "modes": [] },
            { "id": "apr_3", "created_at": "2026-11-20T15:00:00Z", "subject": null, "same_subject": false, "rule": "level", "decisions": decision("approve", true, json!(null)),
              "sent": true, "outcome": null, "modes": [] },
        ]);
        insta::assert_snapshot!(rendered(&json!({}), &run, &lately, &alike), @r"
          state     support-triage (risk medium) is healthy, at level standard. Neither its budget nor an operator limits the level.
          run       open, began 10m ago (wrong_arguments); 1 call under way; 3 calls before these
                    4m ago: payments/get_order (risk read): executed (200)
                    4m ago: payments/refund (risk high) about A-1001: denied by arguments (422)
                    4m ago: payments/refund (risk high): held by level (403)
                    4m ago: payments/note\u{202e} (risk low): sent, and the answer was lost
          recent    1m ago: run b-1 of billing is open: payments/charge
                    2h55m ago: run ticket-70 of support-triage was unacceptable (wrong_action): payments/refund
          earlier   3h ago about the same object: dana approved it; sent, and its run was unacceptable (wrong_action)
                    3d ago about A-2: dana denied it as wrong (two\nlines); not sent
                    3d ago: dana approved it with other arguments; sent, and its run is not booked yet
          rule      in 30 days it held 12 calls, of which 10 were approved, 90% without edits; 2 of those turned out bad; 3 went through under a timed grant, 1 of them turned out bad
        ");
    }

    #[test]
    fn parts_that_are_absent_are_named() {
        let run = |state: &str| json!({ "state": state, "started": null, "left_out": 0, "in_flight": 0, "modes": [], "escalated": true, "calls": [] });
        let plainly = rendered(
            &json!({ "subject": null }),
            &run("unknown"),
            &json!([]),
            &json!([]),
        );
        insta::assert_snapshot!(plainly, @r"
          state     support-triage (risk medium) is healthy, at level standard. Neither its budget nor an operator limits the level.
          run       what it did is not known: it ended with a crash, or made no other call
          recent    the call names no object
          earlier   no decision on a call of payments/refund yet
        ");
        assert!(
            rendered(&json!({}), &run("open"), &json!([]), &json!([]))
                .contains("open, handed to a person; no other call so far")
        );
        let alone = rendered(
            &json!({ "run": "call_00000000000000000000000000000001" }),
            &run("acceptable"),
            &json!([]),
            &json!([]),
        );
        assert!(
            alone.contains("the agent names no run, so this call is the whole run")
                && alone.contains("no other run touched A-1001"),
            "{alone}"
        );
    }
}
