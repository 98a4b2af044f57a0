//! One workflow in sentences: where it stands, what binds it, why, how fast it burns, and what is
//! missing for the way back.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::numbers;
use super::numbers::listed;
use crate::api::workflow::{BurnView, WorkflowView};
use crate::cli::render::number::{counted, grouped, percent};
use crate::cli::render::{Tone, escape, paint, when, word};
use crate::config::quantity::Percentage;
use crate::gate::time::Time;

/// The most tools and rules in shadow that are named.
const SHOWN: usize = 5;

/// Everything about `workflow` at `now`.
#[must_use]
pub(super) fn page(workflow: &WorkflowView, now: Time) -> String {
    let mut page = String::new();
    let mut say = |sentence: &str| {
        if !sentence.is_empty() {
            let _ = writeln!(page, "{sentence}");
        }
    };
    say(&status(workflow));
    say(&binds(workflow, now));
    say(&mode(workflow, now));
    say("");
    say(&why(workflow));
    say(&spent(workflow));
    say(&high(workflow));
    say(&provisional(workflow));
    say(&pace(workflow));
    say(&caps(workflow));
    say(&expansion(workflow));
    say(&exposure(workflow));
    say(&way_back(workflow, now));
    say(&frozen(workflow));
    say(&behind(workflow));
    say(&held_back(workflow));
    say(&shipped(workflow, now));
    say(&earns(workflow, now));
    say(&loses(workflow, now));
    say(&reviewed(workflow, now));
    page + "\n"
        + &numbers::table(&workflow.numbers)
        + &numbers::modes(&workflow.numbers, workflow.budget.idle_runs)
}

/// Where it stands.
pub(super) fn status(workflow: &WorkflowView) -> String {
    let name = paint(Tone::Strong, &escape(&workflow.workflow));
    format!(
        "{name} (risk {}) is {}, at level {}.",
        escape(&workflow.risk),
        word(&workflow.posture),
        paint(Tone::Strong, &escape(&workflow.level.effective))
    )
}

/// What binds its level.
pub(super) fn binds(workflow: &WorkflowView, now: Time) -> String {
    let (level, name, earned) = (
        &workflow.level,
        escape(&workflow.workflow),
        escape(&workflow.level.earned),
    );
    match (
        level.binds.as_str(),
        &level.clamp,
        &level.probation,
        &level.waiver,
    ) {
        ("clamp", Some(clamp), ..) => {
            let until = clamp.until.map_or_else(String::new, |until| {
                format!(" The clamp ends {}.", when::ago(now, until))
            });
            let (who, what) = if clamp.scope == "all" {
                ("every workflow".to_owned(), "--all".to_owned())
            } else {
                (name.clone(), name)
            };
            let (by, to, reason) = (escape(&clamp.by), escape(&clamp.to), escape(&clamp.reason));
            let at = when::ago(now, clamp.at);
            format!(
                "Clamped: {by} limited {who} to {to} {at}: {reason}.{until} `burngate release {what} --reason TEXT` lifts it; without limits the level would be {earned}."
            )
        }
        ("cap", ..) => format!(
            "The budget caps the level, because it is {}; without limits it would be {earned}.",
            escape(&workflow.posture)
        ),
        ("probation", _, Some(probation), _) => {
            format!(
                "A probation opens this level and ends {}; without limits it would be {earned}.",
                when::ago(now, probation.until)
            )
        }
        ("waiver", _, _, Some(waiver)) => {
            format!(
                "A waiver suspends the budget's cap and ends {}; nothing else limits the level.",
                when::ago(now, waiver.until)
            )
        }
        (_, _, Some(probation), _) => {
            format!(
                "A probation suspends the budget's cap and ends {}; nothing else limits the level.",
                when::ago(now, probation.until)
            )
        }
        _ => "Neither its budget nor an operator limits the level.".to_owned(),
    }
}

fn mode(workflow: &WorkflowView, now: Time) -> String {
    match workflow.mode.as_deref() {
        Some("shadow") => {
            "It is in shadow mode: verdicts are recorded, and every call passes.".to_owned()
        }
        Some(_) if workflow.shadow.is_empty() => String::new(),
        Some(_) => {
            let named = workflow.shadow.iter().take(SHOWN).map(|rule| {
                let name = rule
                    .rule
                    .as_deref()
                    .map_or_else(String::new, |rule| format!("{} of ", escape(rule)));
                format!(
                    "{name}{} ({}, until {})",
                    escape(&rule.tool),
                    escape(&rule.location),
                    when::exactly(now, rule.until)
                )
            });
            let more = workflow.shadow.len().saturating_sub(SHOWN);
            let more = if more > 0 {
                format!(", and {more} more")
            } else {
                String::new()
            };
            format!(
                "In shadow, recorded and without effect: {}{more}.",
                named.collect::<Vec<_>>().join(", ")
            )
        }
        None => "No policy for it is in force any more.".to_owned(),
    }
}

/// Why the posture is what it is, where that is not just what is left of a budget.
fn why(workflow: &WorkflowView) -> String {
    let budget = &workflow.budget;
    let counts = [budget.unacceptable, budget.high.unacceptable]
        .into_iter()
        .any(|count| workflow.why.starts_with(&format!("{} of ", grouped(count))));
    let is_told_below = counts && workflow.posture != "breached";
    if is_told_below || workflow.why.is_empty() {
        String::new()
    } else {
        format!("{}.", escape(&workflow.why))
    }
}

fn spent(workflow: &WorkflowView) -> String {
    let (budget, objective) = (&workflow.budget, &workflow.objective);
    let (runs, unacceptable, remaining) = (
        counted(budget.runs, "run", "runs"),
        was(budget.unacceptable),
        percent(Some(budget.remaining)),
    );
    let (target, window) = (Percentage(objective.target.0), objective.window);
    if budget.runs == 0 {
        return format!(
            "No run has counted in the last {window} yet. A target of {target} allows {} failures.",
            budget.allowed
        );
    }
    format!(
        "Of {runs} in the last {window}, {unacceptable} unacceptable. A target of {target} allows {}: {remaining} of the budget remains.",
        budget.allowed
    )
}

fn high(workflow: &WorkflowView) -> String {
    let high = &workflow.budget.high;
    if high.runs == 0 {
        return String::new();
    }
    let (runs, unacceptable, remaining) = (
        counted(high.runs, "run", "runs"),
        was(high.unacceptable),
        percent(Some(high.remaining)),
    );
    format!(
        "Runs with a high-risk call have a budget of their own. Of {runs}, {unacceptable} unacceptable, and {} are allowed: {remaining} of it remains.",
        high.allowed
    )
}

fn was(count: u64) -> String {
    format!(
        "{} {}",
        grouped(count),
        if count == 1 { "was" } else { "were" }
    )
}

fn provisional(workflow: &WorkflowView) -> String {
    if !workflow.budget.provisional {
        return String::new();
    }
    let objective = &workflow.objective;
    format!(
        "The budget is provisional until {} have counted, as many as the policy expects in {}.",
        counted(objective.expected_runs, "run", "runs"),
        objective.window
    )
}

/// What its level caps.
fn caps(workflow: &WorkflowView) -> String {
    let Some(traffic) = &workflow.traffic else {
        return String::new();
    };
    let volume = traffic
        .volume
        .as_ref()
        .map(|volume| format!("{} calls", escape(volume)));
    let concurrency = traffic.concurrency.map(|most| {
        format!(
            "{} at once ({} in flight now)",
            counted(most.into(), "call", "calls"),
            traffic.in_flight
        )
    });
    let caps: Vec<_> = volume.into_iter().chain(concurrency).collect();
    if caps.is_empty() {
        String::new()
    } else {
        format!(
            "Level {} caps it at {}.",
            escape(&workflow.level.effective),
            caps.join(" and ")
        )
    }
}

/// What a pause of expansion leaves, or why there is none.
fn expansion(workflow: &WorkflowView) -> String {
    let Some(traffic) = workflow
        .traffic
        .as_ref()
        .filter(|_| workflow.posture != "healthy")
    else {
        return String::new();
    };
    match traffic.pause {
        Some(pause) => format!(
            "While it is {}, traffic may not grow beyond a busy hour of the last 7 days: {} an hour ({} so far in this one), {} at once.",
            escape(&workflow.posture),
            counted(pause.calls.into(), "call", "calls"),
            grouped(traffic.this_hour.into()),
            grouped(pause.at_once.into())
        ),
        None => format!(
            "While it is {}, traffic may not grow. This limit is not in force yet: it compares with 24 hours with calls in the last 7 days, and there were {}.",
            escape(&workflow.posture),
            traffic.hours
        ),
    }
}

/// How many risky runs may be under way.
fn exposure(workflow: &WorkflowView) -> String {
    let Some(exposure) = workflow
        .traffic
        .as_ref()
        .and_then(|traffic| traffic.exposure)
    else {
        return String::new();
    };
    let taken = |used: u32, slots: u32| {
        format!(
            "{} of {}",
            grouped(used.into()),
            counted(slots.into(), "place", "places")
        )
    };
    format!(
        "Risky runs at the same time are limited to the failures that remain: {} taken; {} by runs with a high-risk call.",
        taken(exposure.used, exposure.slots),
        taken(exposure.high_used, exposure.high_slots)
    )
}

fn pace(workflow: &WorkflowView) -> String {
    if workflow
        .burn_rate
        .iter()
        .all(|(_, rate)| rate.is_none_or(|rate| rate.ten_thousandths() == 0))
    {
        return String::new();
    }
    let rates: Vec<_> = workflow
        .burn_rate
        .iter()
        .filter_map(|(name, rate)| rate.map(|rate| format!("{rate} over {name}")))
        .collect();
    let rates = if rates.is_empty() {
        String::new()
    } else {
        format!(
            "Burn rate: {}. A rate of 1 uses up the budget in exactly {}.",
            rates.join(", "),
            workflow.objective.window
        )
    };
    match workflow.budget.exhausts_in {
        Some(left) => format!(
            "{rates} {}",
            paint(
                Tone::Odd,
                &format!("At the rate of the last three days it is used up in {left}.")
            )
        ),
        None => rates,
    }
}

fn way_back(workflow: &WorkflowView, now: Time) -> String {
    let burn = workflow
        .burns
        .last()
        .filter(|burn| burn.left.is_none() && !burn.voided);
    let Some(burn) = burn.filter(|_| workflow.level.probation.is_none()) else {
        return String::new();
    };
    let name = escape(&workflow.workflow);
    let recover = format!(
        "`burngate recover {name} --cause TEXT` puts one on record, lifts the freeze and opens a probation"
    );
    let entered = entered(burn, now);
    match &burn.cause {
        None => format!("{entered} No cause is on record, so changes are frozen: {recover}."),
        Some(cause) if workflow.posture == "breached" => {
            format!(
                "{entered} The cause is on record: {}. Only a probation ends it: `burngate recover {name} --cause TEXT` opens one.",
                escape(cause)
            )
        }
        Some(cause) => format!(
            "{entered} The cause is on record: {}. It is over once more than 10% remains, one more failure would not burn, and a day has passed; \
             `burngate recover {name} --cause TEXT` opens a probation now.",
            escape(cause)
        ),
    }
}

/// What the calls behind the failures looked like: one of each failure mode at each tool.
fn behind(workflow: &WorkflowView) -> String {
    let mut seen = BTreeSet::new();
    let mut lines = Vec::new();
    for sample in &workflow.samples {
        if seen.insert((&sample.tool, &sample.modes)) {
            let modes = sample
                .modes
                .iter()
                .map(|mode| escape(mode))
                .collect::<Vec<_>>()
                .join(", ");
            lines.push(format!(
                "\n  {modes} at {}, run {}: {}",
                escape(&sample.tool),
                escape(&sample.run),
                escape(&sample.arguments.to_string())
            ));
        }
    }
    if lines.is_empty() {
        String::new()
    } else {
        format!(
            "Calls behind its failures looked like this, values redacted:{}",
            lines.concat()
        )
    }
}

fn held_back(workflow: &WorkflowView) -> String {
    let Some(what) = &workflow.policy_held_back else {
        return String::new();
    };
    let name = escape(&workflow.workflow);
    let anyway = format!(
        "`burngate change {name} --kind policy --ref REF --emergency --reason TEXT` lets it through"
    );
    paint(
        Tone::Odd,
        &format!(
            "Its policy in the files is wider ({}) and is held back while changes are frozen; {anyway}.",
            escape(what)
        ),
    )
}

/// The last change that shipped.
fn shipped(workflow: &WorkflowView, now: Time) -> String {
    let Some(change) = workflow.changes_shipped.last() else {
        return String::new();
    };
    let (kind, reference, by) = (
        escape(&change.kind),
        escape(&change.reference),
        escape(&change.by),
    );
    let anyway = change.emergency.as_ref().map_or_else(String::new, |why| {
        format!(", in spite of a freeze: {}", escape(why))
    });
    format!(
        "The last change that shipped was {kind} {reference}, {} by {by}{anyway}.",
        when::ago(now, change.at)
    )
}

/// What was earned, what comes next, and what is missing for it.
fn earns(workflow: &WorkflowView, now: Time) -> String {
    let mut lines: Vec<String> = Vec::new();
    for step in workflow.steps.iter().filter(|step| step.state == "taken") {
        let since = step
            .since
            .map_or_else(String::new, |since| format!(" {}", when::ago(now, since)));
        lines.push(format!(
            "Earned{since}: {} ({}).",
            escape(&step.step),
            escape(&step.gives)
        ));
    }
    if let Some(earn) = &workflow.earn {
        let gives = workflow
            .steps
            .iter()
            .find(|step| step.step == earn.next)
            .map_or_else(String::new, |step| format!(" ({})", escape(&step.gives)));
        let evidence = earn.evidence;
        let enough = if evidence.met {
            "enough"
        } else {
            "not enough yet"
        };
        lines.push(format!(
            "Next is {}{gives}: {} of {} days within budget, and {} with {} unacceptable, where {} are needed: {enough}.",
            escape(&earn.next),
            earn.days,
            earn.of,
            counted(evidence.runs, "run", "runs"),
            grouped(evidence.unacceptable),
            grouped(evidence.needed),
        ));
    }
    for proposal in &workflow.proposals {
        let name = escape(&workflow.workflow);
        let flag = match (&proposal.step, &proposal.to) {
            (Some(step), _) => format!("--step {}", escape(step)),
            (None, Some(to)) => format!("--to {}", escape(to)),
            (None, None) => continue,
        };
        let what = escape(&proposal.proposal);
        let (since, gives) = (when::ago(now, proposal.since), escape(&proposal.gives));
        lines.push(format!("A {what} was proposed {since} ({gives}): `burngate promote {name} {flag} --reason TEXT` agrees to it."));
    }
    lines.join("\n")
}

/// What would cost the level that it has.
fn loses(workflow: &WorkflowView, now: Time) -> String {
    let Some(lose) = &workflow.lose else {
        return String::new();
    };
    let Some(to) = &lose.to else {
        return String::new();
    };
    let takes = format!(
        "{} within {} lower the level to {}",
        counted(u64::from(lose.of), "burn", "burns"),
        lose.within,
        escape(to)
    );
    match lose.until {
        Some(until) if lose.burns > 0 => {
            format!(
                "{takes}. So far there {} {}; the oldest counts until {}.",
                if lose.burns == 1 { "was" } else { "were" },
                grouped(lose.burns),
                when::exactly(now, until)
            )
        }
        _ => format!("{takes}. So far there was none."),
    }
}

/// That a review is due, and which calls wait for it.
fn reviewed(workflow: &WorkflowView, now: Time) -> String {
    let Some(review) = &workflow.review else {
        return String::new();
    };
    let name = escape(&workflow.workflow);
    let overdue = review.overdue_since.map(|since| {
        format!(
            "Its weekly review is overdue since {}",
            when::exactly(now, since)
        )
    });
    let stops = review
        .stops_promotion
        .then_some("nothing is promoted that nobody reviewed for 30 days");
    match (overdue, stops) {
        (None, None) => String::new(),
        (Some(overdue), None) => format!(
            "{overdue}: `burngate review -w {name}`, and `--done` when somebody has looked."
        ),
        (None, Some(stops)) => format!(
            "At tier high {stops}: `burngate review -w {name} --done` records that somebody looked."
        ),
        (Some(overdue), Some(stops)) => format!(
            "{overdue}, and at tier high {stops}: `burngate review -w {name}`, and `--done` when somebody has looked."
        ),
    }
}

/// That changes are refused, if it is because of the level and not of a burn without a cause.
fn frozen(workflow: &WorkflowView) -> String {
    let burning = workflow
        .burns
        .last()
        .is_some_and(|burn| burn.left.is_none() && !burn.voided && burn.cause.is_none());
    if workflow.changes == "frozen" && !burning {
        "Changes are frozen at this level.".to_owned()
    } else {
        String::new()
    }
}

fn entered(burn: &BurnView, now: Time) -> String {
    let modes = listed(&burn.modes);
    let modes = if modes.is_empty() {
        String::new()
    } else {
        format!(": {modes}")
    };
    format!("It burned {}{modes}.", when::ago(now, burn.at))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::Moment;
    use crate::cli::render::plain;
    use crate::cli::status::tests::workflow;

    fn now() -> Time {
        "2026-11-23T18:00:00Z".parse::<Moment>().unwrap().0
    }

    #[test]
    fn a_healthy_workflow() {
        insta::assert_snapshot!(plain(&page(&workflow(&json!({})), now())), @r"
        support-triage (risk medium) is healthy, at level standard.
        Neither its budget nor an operator limits the level.
        Of 1,234 runs in the last 30d, 12 were unacceptable. A target of 97% allows 300: 96% of the budget remains.
        Runs with a high-risk call have a budget of their own. Of 200 runs, 1 was unacceptable, and 6 are allowed: 83.33% of it remains.
        The budget is provisional until 10,000 runs have counted, as many as the policy expects in 30d.
        Burn rate: 0 over 5m, 0 over 30m, 0.4 over 1h, 0.4 over 2h, 0.3 over 6h, 0.3 over 1d. A rate of 1 uses up the budget in exactly 30d.

        NUMBER               RATE      95% INTERVAL    RUNS      OF   CHECKED
        success            99.02%   98.3% to 99.45%   1,222   1,234        61
        human correction    0.24%    0.08% to 13.5%       3   1,234        61
        escalation miss         -                 -       0       0        61
        rework              0.16%    0.04% to 0.59%       2   1,234        61

        Failure modes: timeout 9, major_correction 3. 410 idle runs did not count.
        Seen at: crm/note (timeout 7), payments/refund (major_correction 3, timeout 2).
        ");
    }

    #[test]
    fn a_workflow_that_nothing_happened_to_says_so_in_short() {
        let none = json!({ "rate": null, "numerator": 0, "denominator": 0, "checked": 0, "interval": null });
        let rates = json!({ "1h": 0, "2h": 0, "6h": 0, "1d": 0 });
        let fresh = workflow(&json!({
            "budget": { "runs": 0, "unacceptable": 0, "remaining": 1, "idle_runs": 1, "checked": 0, "high": { "runs": 0, "unacceptable": 0, "remaining": 1 } },
            "why": "0 of 0 runs were unacceptable; 300 are allowed", "burn_rate": rates, "failure_modes": { "timeout": 0, "major_correction": 0 },
            "metrics_detail": { "success_rate": none, "correction_rate": none, "escalation_miss_rate": none, "rework_rate": none },
        }));
        insta::assert_snapshot!(plain(&page(&fresh, now())), @r"
        support-triage (risk medium) is healthy, at level standard.
        Neither its budget nor an operator limits the level.
        No run has counted in the last 30d yet. A target of 97% allows 300 failures.
        The budget is provisional until 10,000 runs have counted, as many as the policy expects in 30d.

        NUMBER             RATE   95% INTERVAL   RUNS   OF   CHECKED
        success               -              -      0    0         0
        human correction      -              -      0    0         0
        escalation miss       -              -      0    0         0
        rework                -              -      0    0         0
        1 idle run did not count.
        ");
    }

    #[test]
    fn what_bounds_its_traffic_is_said_where_something_does() {
        let traffic = json!({
            "in_flight": 2, "this_hour": 1_100, "hours": 30, "volume": "600/min", "concurrency": 5,
            "pause": { "calls": 1_234, "at_once": 4 }, "exposure": { "places": 1, "used": 1, "high_places": 3, "high_used": 0 },
        });
        let capped = workflow(&json!({ "posture": "at_risk", "traffic": traffic }));
        assert_eq!(
            plain(&caps(&capped)),
            "Level standard caps it at 600/min calls and 5 calls at once (2 in flight now)."
        );
        assert_eq!(
            plain(&expansion(&capped)),
            "While it is at_risk, traffic may not grow beyond a busy hour of the last 7 days: 1,234 calls an hour (1,100 so far in this one), 4 at once."
        );
        assert_eq!(
            plain(&exposure(&capped)),
            "Risky runs at the same time are limited to the failures that remain: 1 of 1 place taken; 0 of 3 places by runs with a high-risk call."
        );
        let free = json!({ "in_flight": 0, "this_hour": 0, "hours": 7, "volume": null, "concurrency": null, "pause": null, "exposure": null });
        let young = workflow(&json!({ "posture": "at_risk", "traffic": free }));
        assert_eq!(
            plain(&expansion(&young)),
            "While it is at_risk, traffic may not grow. This limit is not in force yet: it compares with 24 hours with calls in the last 7 days, and there were 7."
        );
        let healthy = workflow(&json!({ "traffic": free }));
        assert_eq!(
            (caps(&young), exposure(&young), expansion(&healthy)),
            Default::default()
        );
    }

    #[test]
    fn a_burned_workflow_says_how_to_come_back() {
        let burned = workflow(&json!({
            "posture": "burned", "why": "300 of 1,234 runs were unacceptable; 300 are allowed", "changes": "frozen",
            "budget": { "unacceptable": 300, "remaining": 0, "exhausts_in": "2d3h" },
            "level": { "effective": "supervised", "cap": "supervised", "binds": "cap" },
            "burns": [{ "at": "2026-11-23T15:00:00Z", "left": null, "modes": { "timeout": 200, "wrong_action": 100 }, "cause": null }],
        }));
        insta::assert_snapshot!(plain(&page(&burned, now())), @r"
        support-triage (risk medium) is burned, at level supervised.
        The budget caps the level, because it is burned; without limits it would be standard.
        Of 1,234 runs in the last 30d, 300 were unacceptable. A target of 97% allows 300: 0% of the budget remains.
        Runs with a high-risk call have a budget of their own. Of 200 runs, 1 was unacceptable, and 6 are allowed: 83.33% of it remains.
        The budget is provisional until 10,000 runs have counted, as many as the policy expects in 30d.
        Burn rate: 0 over 5m, 0 over 30m, 0.4 over 1h, 0.4 over 2h, 0.3 over 6h, 0.3 over 1d. A rate of 1 uses up the budget in exactly 30d. At the rate of the last three days it is used up in 2d3h.
        It burned 3h ago: timeout 200, wrong_action 100. No cause is on record, so changes are frozen: `burngate recover support-triage --cause TEXT` puts one on record, lifts the freeze and opens a probation.

        NUMBER               RATE      95% INTERVAL    RUNS      OF   CHECKED
        success            99.02%   98.3% to 99.45%   1,222   1,234        61
        human correction    0.24%    0.08% to 13.5%       3   1,234        61
        escalation miss         -                 -       0       0        61
        rework              0.16%    0.04% to 0.59%       2   1,234        61

        Failure modes: timeout 9, major_correction 3. 410 idle runs did not count.
        Seen at: crm/note (timeout 7), payments/refund (major_correction 3, timeout 2).
        ");
    }

    #[test]
    fn what_binds_is_said_for_every_bound() {
        let level =
            |over: serde_json::Value| plain(&binds(&workflow(&json!({ "level": over })), now()));
        let clamp = |scope: &str, until: Option<&str>| json!({ "to": "halted", "scope": scope, "reason": "odd \u{1b}[31mrefunds", "by": "dana", "at": "2026-11-23T17:57:00Z", "until": until });
        let lines = [
            level(json!({ "binds": "clamp", "clamp": clamp("workflow", None) })),
            level(json!({ "binds": "clamp", "clamp": clamp("all", Some("2026-11-23T18:30:00Z")) })),
            level(
                json!({ "binds": "probation", "probation": { "to": "standard", "from": "2026-11-22T18:00:00Z", "until": "2026-11-29T18:00:00Z" } }),
            ),
            level(
                json!({ "binds": "earned", "probation": { "to": "standard", "from": "2026-11-22T18:00:00Z", "until": "2026-11-29T18:00:00Z" } }),
            ),
            level(
                json!({ "binds": "waiver", "waiver": { "until": "2026-11-23T20:00:00Z", "failures": 1 } }),
            ),
            level(json!({ "binds": "cap", "cap": "supervised" })),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r"
        Clamped: dana limited support-triage to halted 3m ago: odd \u{1b}[31mrefunds. `burngate release support-triage --reason TEXT` lifts it; without limits the level would be standard.
        Clamped: dana limited every workflow to halted 3m ago: odd \u{1b}[31mrefunds. The clamp ends in 30m. `burngate release --all --reason TEXT` lifts it; without limits the level would be standard.
        A probation opens this level and ends in 6d; without limits it would be standard.
        A probation suspends the budget's cap and ends in 6d; nothing else limits the level.
        A waiver suspends the budget's cap and ends in 2h; nothing else limits the level.
        The budget caps the level, because it is healthy; without limits it would be standard.
        ");
    }

    #[test]
    fn a_burn_with_its_cause_on_record_says_what_is_still_missing() {
        let burn = json!([{ "at": "2026-11-23T15:00:00Z", "left": null, "modes": {}, "cause": "a bad prompt" }]);
        let way_back = |posture: &str| {
            way_back(
                &workflow(&json!({ "posture": posture, "burns": burn })),
                now(),
            )
        };
        insta::assert_snapshot!([way_back("burned"), way_back("breached")].join("\n"), @r"
        It burned 3h ago. The cause is on record: a bad prompt. It is over once more than 10% remains, one more failure would not burn, and a day has passed; `burngate recover support-triage --cause TEXT` opens a probation now.
        It burned 3h ago. The cause is on record: a bad prompt. Only a probation ends it: `burngate recover support-triage --cause TEXT` opens one.
        ");
    }
}
