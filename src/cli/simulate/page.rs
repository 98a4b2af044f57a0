//! A simulation as a table, with what changed when, what was assumed, and what is not known.

use std::fmt::Write as _;

use crate::app::simulate::{Simulated, SimulatedWorkflow, TimedEffect};
use crate::cli::render::number::{counted, grouped};
use crate::cli::render::table::Columns;
use crate::cli::render::{Tone, escape, paint, word};

/// The most changes of a workflow that are listed; `--json` has more.
const LISTED: usize = 40;

/// The whole page.
pub(super) fn page(simulated: &Simulated) -> String {
    let version = simulated.policies.get(..12).unwrap_or(&simulated.policies);
    let mut page = format!(
        "{} of {}\n",
        counted(simulated.read, "line or entry", "lines or entries"),
        escape(&simulated.source)
    );
    let _ = writeln!(
        page,
        "from {} to {}, under policy version {version}\n",
        simulated.from, simulated.to
    );
    let mut table = Columns::new(&[
        "WORKFLOW",
        "RUNS",
        "UNACCEPTABLE",
        "PREVENTED",
        "BAD ONES",
        "HELD CALLS",
        "DENIED CALLS",
        "BURNS",
        "PROMOTED",
        "PROPOSED",
        "DEMOTED",
        "POSTURE",
        "LEVEL",
    ]);
    table.numbers(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    for (name, result) in &simulated.workflows {
        table.row([
            name.clone(),
            grouped(result.runs),
            grouped(result.unacceptable),
            grouped(result.prevented.runs),
            grouped(result.prevented.unacceptable),
            grouped(result.calls.held),
            grouped(result.calls.denied),
            grouped(result.burns),
            grouped(result.promotions),
            grouped(result.proposed),
            grouped(result.demotions),
            result.posture.to_owned(),
            result.level.clone(),
        ]);
    }
    page += &table.page();
    for (name, result) in &simulated.workflows {
        workflow(&mut page, name, result);
    }
    page.push('\n');
    for finding in &simulated.findings {
        let lines: Vec<_> = finding
            .lines
            .iter()
            .take(5)
            .map(|found| format!("line {} ({})", found.line, escape(&found.what)))
            .collect();
        let skipped = if finding.skipped { "skipped" } else { "odd" };
        let _ = writeln!(
            page,
            "{skipped}: {} {}: {}",
            grouped(finding.count),
            finding.kind.as_str(),
            lines.join(", ")
        );
    }
    if let Some(after) = &simulated.recovers_after {
        let _ = writeln!(
            page,
            "assumed: a person finds the cause of each burn after {after} and opens a probation (`--recovers-after`), and somebody reviews once a week; what is proposed waits"
        );
    }
    page += "not judged: caps on volume, limits, duplicates, and what people would have said of held calls\n";
    page
}

fn workflow(page: &mut String, name: &str, result: &SimulatedWorkflow) {
    let whole: u64 = result.seconds.values().sum();
    let shares: Vec<_> = result
        .seconds
        .iter()
        .filter(|(_, seconds)| **seconds > 0)
        .map(|(posture, seconds)| format!("{} {}%", word(posture), percent(*seconds, whole)))
        .collect();
    let _ = writeln!(
        page,
        "\n{}: {}; at the end {}",
        paint(Tone::Strong, &escape(name)),
        shares.join(", "),
        escape(&result.why)
    );
    if result.calls.unknown > 0 {
        let _ = writeln!(
            page,
            "  {} could not be judged by every rule: what a rule reads is not on record",
            counted(result.calls.unknown, "call", "calls")
        );
    }
    if result.held.runs > 0 {
        let names: Vec<_> = result
            .held
            .named
            .iter()
            .take(5)
            .map(|run| escape(run))
            .collect();
        let _ = writeln!(
            page,
            "  {} with a held call, {} of them unacceptable: {}",
            counted(result.held.runs, "run", "runs"),
            grouped(result.held.unacceptable),
            names.join(", ")
        );
    }
    for change in result.changes.iter().take(LISTED) {
        let _ = writeln!(page, "  {}  {}", change.at, words(change));
    }
    let more = result.changes.len().saturating_sub(LISTED) as u64 + result.more_changes;
    if more > 0 {
        let _ = writeln!(
            page,
            "  and {}",
            counted(more, "more change", "more changes")
        );
    }
    let Some(difference) = &result.difference else {
        return;
    };
    if difference.is_none() {
        let _ = writeln!(
            page,
            "  no difference to what really happened: {}",
            counted(difference.same, "change", "changes")
        );
        return;
    }
    let _ = writeln!(
        page,
        "  of what really happened {} the same; of the calls that went {} would have been held and {} denied; of those that did not, {} would have gone",
        counted(difference.same, "change is", "changes are"),
        grouped(difference.newly_held),
        grouped(difference.newly_denied),
        grouped(difference.newly_allowed)
    );
    for (mark, changes) in [
        ("really", &difference.only_real),
        ("would", &difference.only_simulated),
    ] {
        for change in changes.iter().take(LISTED) {
            let _ = writeln!(page, "  {mark:<6}  {}  {}", change.at, words(change));
        }
    }
}

/// A change in words: whatever its kind, by its own members.
pub(super) fn words(change: &TimedEffect) -> String {
    let value = serde_json::to_value(&change.effect).unwrap_or_default();
    let text = |member: &str| value[member].as_str().map(escape);
    let mut words = text("effect").unwrap_or_default().replace('_', " ");
    if let Some(step) = text("step") {
        let _ = write!(words, ": {step}");
    }
    match (text("from"), text("to")) {
        (Some(from), Some(to)) => {
            let _ = write!(words, ": {} to {}", word(&from), word(&to));
        }
        (None, Some(to)) => {
            let _ = write!(words, ": to {to}");
        }
        _ => {}
    }
    for why in ["why", "binds"].into_iter().filter_map(text) {
        let _ = write!(words, " ({why})");
    }
    words
}

fn percent(part: u64, whole: u64) -> String {
    let tenths = (part * 1_000).checked_div(whole).unwrap_or(0);
    format!("{}.{}", tenths / 10, tenths % 10)
}
