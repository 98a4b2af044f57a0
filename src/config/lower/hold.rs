//! What `hold:` means: how long a held call waits, how many people must approve it, how many may
//! wait at once, and who is asked next.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::context::LoadContext;
use super::written::{interval, number, span_of};
use crate::config::diagnostics::Notes;
use crate::config::source::setting::{At, Setting};
use crate::config::source::workflow::{ApprovalsEntry, HoldEntry, InboxEntry, WorkflowDocument};
use crate::config::tiers;
use crate::config::tiers::Defaults;
use crate::gate::name::ToolName;
use crate::gate::policy::{EscalateRule, HoldRules, Inbox};
use crate::gate::risk::Risk;
use crate::gate::time::{days, hours, minutes};

/// How many people can be asked for.
const APPROVALS: RangeInclusive<u64> = 1..=10;

/// Lowers `hold`.
pub(super) fn lower(
    field: &Setting<HoldEntry>,
    defaults: Defaults,
    notes: &mut Notes<'_>,
) -> HoldRules {
    let nothing = HoldEntry::default();
    let entry = field.value().unwrap_or(&nothing);
    let expires = interval(
        &entry.expires,
        "expires",
        &(Duration::from_secs(1)..=days(7)),
        hours(1),
        notes,
    );
    let waits = Duration::ZERO..=hours(1);
    let wait = interval(&entry.wait, "wait", &waits, Duration::ZERO, notes);
    let wait_mcp = if entry.wait.is_absent() {
        Duration::from_secs(4)
    } else {
        wait
    };
    if wait > expires
        && let Some(span) = span_of(&entry.wait)
    {
        notes
            .error(span, "`wait` is longer than `expires`")
            .hint("a call cannot wait for an approval that has expired");
    }
    let grant = interval(
        &entry.grant,
        "grant",
        &(Duration::from_secs(1)..=days(1)),
        minutes(10),
        notes,
    );
    let (mut approvals_high, mut approvals) = (defaults.approvals_high, tiers::APPROVALS);
    if let Some(at) = entry.approvals.given() {
        match at.value {
            ApprovalsEntry::Every(people) => (approvals_high, approvals) = (people, people),
            ApprovalsEntry::ByRisk { high, other } => {
                (approvals_high, approvals) =
                    (high.unwrap_or(approvals_high), other.unwrap_or(approvals));
            }
        }
        if ![approvals_high, approvals]
            .into_iter()
            .all(|people| APPROVALS.contains(&people.into()))
        {
            notes
                .error(at.span.clone(), format!("`approvals`: expected a number of people from {} to {}", APPROVALS.start(), APPROVALS.end()))
                .hint("to let calls pass without a person, change the level or the rule that holds them");
        }
    }
    HoldRules {
        wait,
        wait_mcp,
        expires,
        grant,
        approvals_high,
        approvals,
        inbox: inbox(&entry.inbox, notes),
        escalate: escalate(entry, expires, notes),
    }
}

/// Lowers `escalate_to` and `after`: who is asked next when nobody has decided.
fn escalate(entry: &HoldEntry, expires: Duration, notes: &mut Notes<'_>) -> Option<EscalateRule> {
    let after = interval(
        &entry.after,
        "after",
        &(Duration::from_secs(1)..=days(7)),
        minutes(20).min(expires / 2),
        notes,
    );
    let Some(to) = entry.escalate_to.given() else {
        if let Some(span) = span_of(&entry.after) {
            notes
                .error(
                    span,
                    "`after` without `escalate_to` says when to escalate, but not to whom",
                )
                .hint("write `escalate_to: operator` beside it");
        }
        return None;
    };
    if !["reviewer", "operator"].contains(&to.value.as_str()) {
        notes
            .error(
                to.span.clone(),
                format!(
                    "`escalate_to`: expected reviewer or operator, found `{}`",
                    to.value
                ),
            )
            .hint("only these two roles decide on held calls");
        return None;
    }
    if after >= expires {
        notes
            .error(
                to.span.clone(),
                "`after` is not shorter than `expires`, so a held call would expire before it is escalated",
            )
            .hint("write an `after` that is shorter than `expires`");
    }
    Some(EscalateRule {
        to: to.value.as_str().into(),
        after,
    })
}

fn inbox(field: &Setting<InboxEntry>, notes: &mut Notes<'_>) -> Inbox {
    let nothing = InboxEntry::default();
    let entry = field.value().unwrap_or(&nothing);
    let defaults = Inbox::default();
    let mut most = |field, key, default| {
        number(
            field,
            key,
            &(1..=crate::gate::approval::queue::MAX as u64),
            notes,
        )
        .unwrap_or(default)
    };
    Inbox {
        run: most(&entry.run, "run", defaults.run),
        agent: most(&entry.agent, "agent", defaults.agent),
        workflow: most(&entry.workflow, "workflow", defaults.workflow),
    }
}

/// A call that needs more people than there are would wait for nothing.
pub(super) fn enough_approvers(
    document: &WorkflowDocument,
    hold: &HoldRules,
    tools: &BTreeSet<ToolName>,
    at: &At<String>,
    known: &LoadContext,
    notes: &mut Notes<'_>,
) {
    let reaches_high = tools
        .iter()
        .any(|tool| known.tools.get(tool) == Some(&Some(Risk::High)));
    let needed = if reaches_high {
        hold.approvals_high.max(hold.approvals)
    } else {
        hold.approvals
    };
    if needed <= known.approvers {
        return;
    }
    let written = document
        .hold
        .value()
        .and_then(|hold| span_of(&hold.approvals));
    let what = if needed == hold.approvals {
        "a held call"
    } else {
        "a call of a high-risk tool"
    };
    let people = if known.approvers == 1 {
        "1 person".to_owned()
    } else {
        format!("{} people", known.approvers)
    };
    notes
        .error(written.unwrap_or_else(|| at.span.clone()), format!("{what} of `{}` needs {needed} approvals, and only {people} can approve", at.value))
        .hint("add `reviewers` to burngate.yaml (the operator token counts as one person), or write `hold: { approvals: 1 }`");
}
