//! The four numbers as a table, and the failure modes behind them.

use std::collections::BTreeMap;

use crate::api::numbers::{Numbers, RateDetail, SpanNumbers};
use crate::cli::render::escape;
use crate::cli::render::number::{counted, grouped, percent};
use crate::cli::render::table::Columns;

/// A workflow's numbers over a span of time.
#[must_use]
pub(super) fn page(over: &SpanNumbers) -> String {
    let (from, until) = (over.since, over.until);
    let runs = counted(over.runs, "run", "runs");
    let head = format!(
        "{} from {from} to {until}: {runs}, {} unacceptable",
        escape(&over.workflow),
        grouped(over.unacceptable)
    );
    let high = match over.high_runs {
        0 => ".".to_owned(),
        runs => format!(
            "; {} with a high-risk call, {} unacceptable.",
            grouped(runs),
            grouped(over.high_unacceptable)
        ),
    };
    head + &high + "\n\n" + &table(&over.numbers) + &modes(&over.numbers, over.idle_runs)
}

/// The four numbers.
#[must_use]
pub(super) fn table(numbers: &Numbers) -> String {
    let detail = &numbers.metrics_detail;
    let mut table = Columns::new(&["NUMBER", "RATE", "95% INTERVAL", "RUNS", "OF", "CHECKED"]);
    table.numbers(&[1, 2, 3, 4, 5]);
    let mut row = |name: &str, rate: &RateDetail| {
        let interval = rate.interval.map_or_else(
            || "-".to_owned(),
            |[low, high]| format!("{} to {}", percent(Some(low)), percent(Some(high))),
        );
        table.row([
            name.to_owned(),
            percent(rate.rate),
            interval,
            grouped(rate.numerator),
            grouped(rate.denominator),
            grouped(rate.checked),
        ]);
    };
    row("success", &detail.success_rate);
    row("human correction", &detail.correction_rate);
    row("escalation miss", &detail.escalation_miss_rate);
    row("rework", &detail.rework_rate);
    let caught = match detail.escalation_miss_rate.caught {
        None | Some(0) => String::new(),
        Some(caught) => format!(
            "Of the escalation misses a hold caught {}, which cost nothing.\n",
            grouped(caught)
        ),
    };
    table.page() + &caught
}

/// What went wrong, and at which tools.
#[must_use]
pub(super) fn modes(numbers: &Numbers, idle: u64) -> String {
    let modes = listed(&numbers.failure_modes);
    let idle = if idle == 0 {
        String::new()
    } else {
        format!(
            "{} did not count.\n",
            counted(idle, "idle run", "idle runs")
        )
    };
    if modes.is_empty() {
        return idle;
    }
    let at = numbers
        .failure_modes_by_tool
        .iter()
        .map(|(tool, modes)| format!("{} ({})", escape(tool), listed(modes)))
        .collect::<Vec<_>>()
        .join(", ");
    let at = if at.is_empty() {
        String::new()
    } else {
        format!("Seen at: {at}.\n")
    };
    format!("\nFailure modes: {modes}. {idle}")
        .trim_end()
        .to_owned()
        + "\n"
        + &at
}

/// Failure modes with their counts, most first.
#[must_use]
pub(super) fn listed(modes: &BTreeMap<String, u64>) -> String {
    let mut modes: Vec<_> = modes.iter().collect();
    modes.sort_by(|one, other| other.1.cmp(one.1));
    modes
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(mode, count)| format!("{} {}", escape(mode), grouped(**count)))
        .collect::<Vec<_>>()
        .join(", ")
}
