//! `burngate enforce`: what would happen if the verdicts that are in shadow were enforced now.

use std::fmt::Write as _;

use clap::Args;

use super::client::{ConnectionArgs, path};
use super::failure::{Exit, Failure};
use super::render::number::{counted, grouped};
use super::render::table::Columns;
use super::render::{escape, when};
use super::status;
use crate::api::enforce::EnforcePreview;
use crate::gate::time::Time;

/// Show what switching from shadow to enforce would do: holds and denials a day, and the posture at
/// that moment
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # What would have been held or denied, had it been enforced?
  burngate enforce support-triage --dry-run

It covers the whole workflow if that is in shadow, otherwise its tools and rules that are. To switch, remove `mode: shadow` and `until` from the policy. Runs that were booked stay booked.")]
pub(super) struct EnforceArgs {
    /// The workflow
    workflow: String,
    /// Change nothing; the switch itself is made in the policy
    #[arg(long, required = true)]
    dry_run: bool,
    /// Print the gate's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl EnforceArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let asked =
            self.connection
                .client()?
                .get(&path(&["v1", "workflows", &self.workflow, "enforce"]));
        let answer = asked.map_err(|failure| failure.if_unknown(status::KNOWN))?;
        answer.show(self.json, page)?;
        Ok(Exit::Did)
    }
}

fn page(flip: &EnforcePreview, now: Time) -> String {
    let name = escape(&flip.workflow);
    let runs = counted(flip.runs, "run", "runs");
    let days = counted(flip.days, "day", "days");
    let what = if flip.whole {
        format!("the verdicts on {name}")
    } else {
        format!("what is in shadow of {name}")
    };
    let mut page = format!(
        "Of {} calls in {runs} of the last {days}, {} would have been held and {} denied if {what} were enforced: up to {} and {} a day.\n",
        grouped(flip.calls),
        grouped(flip.holds),
        grouped(flip.denials),
        grouped(flip.holds_a_day),
        grouped(flip.denials_a_day)
    );
    let _ = writeln!(
        page,
        "At the switch it is {}, at level {} ({} binds): booked runs stay booked. Shadow mode ends by itself {}.",
        escape(&flip.posture),
        escape(&flip.level),
        escape(&flip.binds),
        when::exactly(now, flip.until)
    );
    for shadow in &flip.shadow {
        let rule = shadow
            .rule
            .as_deref()
            .map_or_else(String::new, |rule| format!("{} of ", escape(rule)));
        let _ = writeln!(
            page,
            "In shadow: {rule}{} ({}), until {}.",
            escape(&shadow.tool),
            escape(&shadow.location),
            when::exactly(now, shadow.until)
        );
    }
    if flip.rules.is_empty() {
        return page;
    }
    let mut table = Columns::new(&["TOOL", "RULE", "VERDICT", "CALLS"]);
    table.numbers(&[3]);
    for rule in &flip.rules {
        table.row([
            rule.tool.clone(),
            rule.rule.clone(),
            rule.verdict.clone(),
            grouped(rule.calls),
        ]);
    }
    page + "\n" + &table.page()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Moment;
    use crate::cli::render::plain;

    #[test]
    fn a_flip_says_what_it_would_do_and_what_stays() {
        let at = |text: &str| text.parse::<Moment>().unwrap();
        let flip: EnforcePreview = serde_json::from_value(serde_json::json!({
            "workflow": "support-triage", "whole": true, "until": "2026-12-01T00:00:00Z", "since": "2026-11-21T06:00:00Z", "days": 3, "runs": 1200, "calls": 4100,
            "holds": 61, "denials": 1, "holds_a_day": 21, "denials_a_day": 1, "posture": "healthy", "level": "standard", "binds": "earned",
            "rules": [
                { "tool": "payments/refund", "rule": "hold_when", "verdict": "hold", "calls": 61 },
                { "tool": "payments/refund", "rule": "deny_when", "verdict": "deny", "calls": 1 },
            ],
        }))
        .unwrap();
        insta::assert_snapshot!(plain(&page(&flip, at("2026-11-23T18:00:00Z").0)), @r"
        Of 4,100 calls in 1,200 runs of the last 3 days, 61 would have been held and 1 denied if the verdicts on support-triage were enforced: up to 21 and 1 a day.
        At the switch it is healthy, at level standard (earned binds): booked runs stay booked. Shadow mode ends by itself 2026-12-01T00:00:00Z (in 7d).

        TOOL              RULE        VERDICT   CALLS
        payments/refund   hold_when   hold         61
        payments/refund   deny_when   deny          1
        ");
    }
}
