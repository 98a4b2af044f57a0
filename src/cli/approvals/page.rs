//! One held call as a reviewer reads it: in full, with nothing hidden.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::value::RawValue;

use super::context;
use crate::api::approval::ApprovalView;
use crate::api::context::MemberChange;
use crate::api::decision::DecisionView;
use crate::cli::render::arguments::arguments;
use crate::cli::render::{Tone, escape, paint, when, word};
use crate::gate::time::Time;

/// Everything that a reviewer needs to decide.
#[must_use]
pub(super) fn page(approval: &ApprovalView, now: Time) -> String {
    let mut page = format!(
        "{} is {}\n\n",
        paint(Tone::Strong, &escape(&approval.id)),
        stage(approval, now)
    );
    let location = approval
        .location
        .as_ref()
        .map(|location| format!(" at {}", escape(location)))
        .unwrap_or_default();
    let subject = approval
        .subject
        .as_deref()
        .map_or_else(|| "-".to_owned(), escape);
    let facts = [
        ("workflow", escape(&approval.workflow)),
        ("run", escape(&approval.run)),
        ("agent", escape(&approval.agent)),
        (
            "tool",
            format!(
                "{} (risk {})",
                escape(&approval.tool),
                escape(&approval.risk)
            ),
        ),
        ("request", escape(&approval.target)),
        ("subject", subject),
        ("held by", format!("{}{location}", escape(&approval.rule))),
        ("because", escape(&approval.reason)),
        ("digest", escape(&approval.digest)),
        ("asked", when::exactly(now, approval.created_at)),
    ];
    for (name, fact) in facts.into_iter().chain(
        approval
            .decisions
            .iter()
            .map(|decision| ("decided", decided(decision, now))),
    ) {
        let _ = writeln!(page, "  {name:<9} {fact}");
    }
    for (name, values) in &approval.headers {
        let values = match values.as_slice() {
            [] => "absent".to_owned(),
            values => escape(&values.join(", ")),
        };
        let _ = writeln!(page, "  {:<9} {}: {values}", "header", escape(name));
    }
    page += &context::page(approval, now);
    let _ = match (&approval.args, &approval.body) {
        (Some(args), _) => write!(
            page,
            "\narguments, exactly as they would be sent:\n  {}\n",
            arguments(args.get(), 2)
        ),
        (None, Some(body)) => write!(
            page,
            "\nbody, by type, size, digest and beginning:\n  {}\n",
            arguments(body.get(), 2)
        ),
        (None, None) => write!(page, "\nbody: none\n"),
    };
    if let Some(edit) = &approval.edit {
        let _ = write!(
            page,
            "\nA REVIEWER CHANGED THEM; what is sent instead, with digest {}:\n  {}\n",
            escape(&edit.digest),
            arguments(edit.args.get(), 2)
        );
        for change in approval.context.iter().flat_map(|context| &context.changes) {
            let _ = writeln!(page, "  {}", changed(change));
        }
    }
    if approval.state == "pending" {
        let id = escape(&approval.id);
        let _ = write!(
            page,
            "\n`burngate approvals approve {id}` lets exactly this call through, once;\n`burngate approvals deny {id} --wrong` or `--not-now` refuses it\n"
        );
    }
    page
}

/// What an edit changes of one member.
fn changed(change: &MemberChange) -> String {
    let shown = |value: Option<&RawValue>| {
        value.map_or_else(|| "nothing".to_owned(), |value| escape(value.get()))
    };
    format!(
        "{}: {} becomes {}",
        escape(&change.member),
        shown(change.asked.as_deref()),
        shown(change.edited.as_deref())
    )
}

/// How many people approved so far.
#[must_use]
pub(super) fn approvals(approval: &ApprovalView) -> u64 {
    let people: BTreeSet<_> = approval
        .decisions
        .iter()
        .filter(|decision| decision.decision == "approve" && !decision.void)
        .map(|decision| &decision.reviewer)
        .collect();
    people.len() as u64
}

fn stage(approval: &ApprovalView, now: Time) -> String {
    let state = word(&approval.state);
    match approval.state.as_str() {
        "pending" => {
            let waits = approval
                .waits_for
                .as_ref()
                .map_or_else(String::new, |role| {
                    format!(
                        " (one of them by role {}: it was put to them)",
                        escape(role)
                    )
                });
            format!(
                "{state}: {} of {} approvals{waits}, expires {}",
                approvals(approval),
                approval.needed,
                when::exactly(now, approval.expires_at)
            )
        }
        "approved" => format!(
            "{state}: its grant lets the call through once and expires {}",
            when::exactly(now, approval.expires_at)
        ),
        _ => state,
    }
}

fn decided(decision: &DecisionView, now: Time) -> String {
    let said = match decision.decision.as_str() {
        "approve" if decision.edit.is_some() => "approve, with other arguments",
        "approve" => "approve",
        "deny_wrong" => "deny, as wrong",
        "deny_not_now" => "deny, not now",
        other => other,
    };
    let reason = decision
        .reason
        .as_ref()
        .map(|reason| format!(": {}", escape(reason)))
        .unwrap_or_default();
    let void = if decision.void {
        " (no longer counts)"
    } else {
        ""
    };
    format!(
        "{} {}: {}{reason}{void}",
        escape(&decision.reviewer),
        when::ago(now, decision.at),
        escape(said)
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::approvals::tests::{approval, now};
    use crate::cli::render::plain;

    #[test]
    fn a_pending_call_is_shown_in_full() {
        let decisions = json!([{ "reviewer": "dana", "decision": "approve", "reason": "called the customer", "at": "2026-11-23T17:58:00Z" }]);
        insta::assert_snapshot!(plain(&page(&approval(&json!({ "decisions": decisions })), now())), @r#"
        apr_0123456789abcdef0123456789abcdef is pending: 1 of 2 approvals, expires 2026-11-23T18:57:00Z (in 57m)

          workflow  support-triage
          run       ticket-77
          agent     triage-bot
          tool      payments/refund (risk high)
          request   POST /refunds
          subject   A-1001
          held by   hold_when at policies/payments.yaml:18
          because   `args.amount > 500.0` holds
          digest    9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
          asked     2026-11-23T17:57:00Z (3m ago)
          decided   dana 2m ago: approve: called the customer

        arguments, exactly as they would be sent:
          {
            "amount": 900,
            "order": "A-1001"
          }

        `burngate approvals approve apr_0123456789abcdef0123456789abcdef` lets exactly this call through, once;
        `burngate approvals deny apr_0123456789abcdef0123456789abcdef --wrong` or `--not-now` refuses it
        "#);
    }

    #[test]
    fn a103_nothing_that_an_agent_wrote_is_unseen_or_acted_upon() {
        let hostile = approval(&json!({
            "args": { "order": "A-1001\u{202e}0009", "note": "\u{1b}[2Jok\u{200b}" }, "subject": "A\u{1b}]0;x\u{7}", "target": "POST /refunds?\u{9b}31m",
            "reason": "two\nlines", "needed": 1,
        }));
        let shown = page(&hostile, now());
        assert!(
            plain(&shown)
                .chars()
                .all(|c| c == '\n' || !render_acts_upon(c)),
            "{shown}"
        );
        insta::assert_snapshot!(plain(&shown), @r#"
        apr_0123456789abcdef0123456789abcdef is pending: 0 of 1 approvals, expires 2026-11-23T18:57:00Z (in 57m)

          workflow  support-triage
          run       ticket-77
          agent     triage-bot
          tool      payments/refund (risk high)
          request   POST /refunds?\u{9b}31m
          subject   A\u{1b}]0;x\u{7}
          held by   hold_when at policies/payments.yaml:18
          because   two\nlines
          digest    9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
          asked     2026-11-23T17:57:00Z (3m ago)

        arguments, exactly as they would be sent:
          {
            "note": "\u001b[2Jok\u200b",
            "order": "A-1001\u202e0009"
          }

        `burngate approvals approve apr_0123456789abcdef0123456789abcdef` lets exactly this call through, once;
        `burngate approvals deny apr_0123456789abcdef0123456789abcdef --wrong` or `--not-now` refuses it
        "#);
    }

    fn render_acts_upon(c: char) -> bool {
        crate::cli::render::escape::is_unseen(c)
    }

    #[test]
    fn what_was_decided_is_told_with_who_and_why() {
        let denied = json!([{ "reviewer": "omar", "decision": "deny_wrong", "reason": null, "at": "2026-11-23T17:58:00Z" }]);
        let mut bare = approval(&json!({ "state": "denied", "decisions": denied }));
        bare.args = None;
        let page = plain(&page(&bare, now()));
        assert!(
            page.starts_with("apr_0123456789abcdef0123456789abcdef is denied\n"),
            "{page}"
        );
        assert!(
            page.contains("  decided   omar 2m ago: deny, as wrong\n")
                && page.ends_with("\nbody: none\n"),
            "{page}"
        );
    }

    #[test]
    fn what_an_edit_changes_is_told_member_by_member() {
        let edit = json!({ "args": { "amount": 60, "by": "\u{202e}" }, "digest": "6d79" });
        let mut edited = approval(&json!({ "args": { "amount": 900, "note": "x" }, "edit": edit }));
        assert!(
            !plain(&page(&edited, now())).contains(" becomes "),
            "nothing is made up where the gate did not tell"
        );
        let changes = crate::api::context::changes(
            r#"{"amount":900,"note":"x"}"#,
            r#"{"amount":60,"by":"\u202e"}"#,
        );
        let rendered: Vec<_> = changes.iter().map(changed).collect();
        assert_eq!(
            rendered,
            [
                "amount: 900 becomes 60",
                r#"by: nothing becomes "\u202e""#,
                r#"note: "x" becomes nothing"#
            ]
        );
        edited.context = serde_json::from_value(json!({
            "changes": [{ "member": "amount", "asked": 900, "edited": 60 }], "workflow": crate::cli::status::tests::workflow(&json!({})), "lately": [], "alike": [], "missing": [],
            "run": { "state": "unknown", "started": null, "left_out": 0, "in_flight": 0, "modes": [], "escalated": false, "calls": [] },
        }))
        .ok();
        assert!(plain(&page(&edited, now())).contains("with digest 6d79:\n  {\n    \"amount\": 60,\n    \"by\": \"\\u202e\"\n  }\n  amount: 900 becomes 60\n"));
    }
}
