//! `burngate runs`: lists booked runs.

use clap::Args;

use super::client::{Client, ConnectionArgs, query};
use super::failure::{Exit, Failure};
use super::filters::FilterArgs;
use super::render;
use super::render::number::grouped;
use super::render::table::Columns;
use super::render::{escape, when};
use crate::api::run::RunPage as List;
use crate::gate::time::Time;

/// How many runs are asked for at once.
const PAGE: usize = 1_000;

/// List booked runs, newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # What went wrong since yesterday
  burngate runs -w support-triage --since 1d --outcome unacceptable
  # Runs with a call whose answer was lost
  burngate runs --ambiguous
  # The last week, for a spreadsheet
  burngate runs --since 7d --csv > runs.csv")]
pub(super) struct RunsArgs {
    #[command(flatten)]
    filters: FilterArgs,
    /// With this failure mode
    #[arg(long, help_heading = "Filters")]
    mode: Option<String>,
    /// At most so many, up to 100,000
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Print comma-separated values, with a head (RFC 4180)
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print the gate's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl RunsArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let list = self.list(&self.connection.client()?)?;
        if self.json {
            render::show_json(&serde_json::to_string(&list).unwrap_or_default())?;
            return Ok(Exit::Did);
        }
        render::show(&if self.csv {
            csv(&list)
        } else {
            table(&list, when::now())
        })?;
        if list.next.is_some() {
            render::to_stderr(&format!(
                "these are the newest {}; there are more\nhint: --limit shows up to 100,000, --until goes back further\n",
                self.limit
            ));
        }
        Ok(Exit::Did)
    }

    /// Page after page, until there are as many as are wanted.
    fn list(&self, client: &Client) -> Result<List, Failure> {
        let mut pairs = self.filters.pairs();
        pairs.extend(self.mode.iter().map(|mode| ("mode", mode.clone())));
        let mut list = List {
            runs: Vec::new(),
            next: None,
        };
        let mut wanted = usize::try_from(self.limit).unwrap_or(usize::MAX);
        loop {
            let mut asked = pairs.clone();
            asked.push(("limit", wanted.min(PAGE).to_string()));
            asked.extend(list.next.take().map(|next| ("before", next)));
            let page: List = client.get(&format!("/v1/runs{}", query(&asked)))?.read()?;
            wanted = wanted.saturating_sub(page.runs.len());
            list.runs.extend(page.runs);
            list.next = page.next;
            if wanted == 0 || list.next.is_none() {
                return Ok(list);
            }
        }
    }
}

fn table(list: &List, now: Time) -> String {
    if list.runs.is_empty() {
        return "no run matches\n".to_owned();
    }
    let mut table = Columns::new(&[
        "RUN", "WORKFLOW", "AGENT", "BOOKED", "OUTCOME", "COUNTED", "HIGH", "CALLS", "MODES",
        "SUBJECTS",
    ]);
    table.numbers(&[7]);
    let yes = |flag: bool| if flag { "yes" } else { "-" }.to_owned();
    let joined = |texts: &[String]| {
        if texts.is_empty() {
            "-".to_owned()
        } else {
            texts.join(",")
        }
    };
    for run in &list.runs {
        let modes = joined(&run.modes);
        table.row([
            run.run.clone(),
            run.workflow.clone(),
            run.agent.clone(),
            when::ago(now, run.booked_at),
            run.outcome.clone(),
            yes(run.counted),
            yes(run.high),
            grouped(run.calls),
            if run.ambiguous {
                format!("{modes} (ambiguous)")
            } else {
                modes
            },
            joined(&run.subjects),
        ]);
    }
    table.page()
}

fn csv(list: &List) -> String {
    let mut lines = "run,workflow,agent,started,ended,booked_at,outcome,counted,high,modes,calls,ambiguous,subjects\r\n".to_owned();
    for run in &list.runs {
        let fields = [
            run.run.clone(),
            run.workflow.clone(),
            run.agent.clone(),
            run.started.to_string(),
            run.ended.to_string(),
            run.booked_at.to_string(),
            run.outcome.clone(),
            run.counted.to_string(),
            run.high.to_string(),
            run.modes.join(";"),
            run.calls.to_string(),
            run.ambiguous.to_string(),
            run.subjects.join(";"),
        ];
        lines += &fields.map(|field| quoted(&field)).join(",");
        lines += "\r\n";
    }
    lines
}

/// A field as RFC 4180 has it. One that a spreadsheet would take for a formula begins with an
/// apostrophe: an agent chooses its run ids and subjects.
fn quoted(field: &str) -> String {
    let text = escape(field);
    let text = if text.starts_with(['=', '+', '-', '@']) {
        format!("'{text}")
    } else {
        text
    };
    if text.contains([',', '"']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::approvals::tests::now;
    use crate::cli::render::plain;

    fn runs() -> List {
        let run = |over: serde_json::Value| {
            let mut run = serde_json::json!({
                "run": "ticket-77", "workflow": "support-triage", "agent": "triage-bot", "started": "2026-11-23T17:00:00Z", "ended": "2026-11-23T17:05:00Z",
                "booked_at": "2026-11-23T17:05:00Z", "outcome": "acceptable", "counted": true, "high": false, "modes": [], "calls": 4, "ambiguous": false, "subjects": [],
            });
            for (name, member) in over.as_object().unwrap() {
                run[name] = member.clone();
            }
            run
        };
        let hostile = run(serde_json::json!({
            "run": "=HYPERLINK(\"x\")\u{1b}[31m", "outcome": "unacceptable", "high": true, "modes": ["timeout", "wrong_action"], "ambiguous": true, "subjects": ["A-1", "B,2"],
        }));
        serde_json::from_value(serde_json::json!({ "runs": [run(serde_json::json!({})), hostile] }))
            .unwrap()
    }

    #[test]
    fn every_run_has_a_line() {
        insta::assert_snapshot!(plain(&table(&runs(), now())), @r#"
        RUN                         WORKFLOW         AGENT        BOOKED    OUTCOME        COUNTED   HIGH   CALLS   MODES                              SUBJECTS
        ticket-77                   support-triage   triage-bot   55m ago   acceptable     yes       -          4   -                                  -
        =HYPERLINK("x")\u{1b}[31m   support-triage   triage-bot   55m ago   unacceptable   yes       yes        4   timeout,wrong_action (ambiguous)   A-1,B,2
        "#);
        assert_eq!(
            table(
                &List {
                    runs: Vec::new(),
                    next: None
                },
                now()
            ),
            "no run matches\n"
        );
    }

    #[test]
    fn a103_values_for_a_spreadsheet_are_no_formulas() {
        insta::assert_snapshot!(csv(&runs()).replace("\r\n", "\n"), @r#"
        run,workflow,agent,started,ended,booked_at,outcome,counted,high,modes,calls,ambiguous,subjects
        ticket-77,support-triage,triage-bot,2026-11-23T17:00:00Z,2026-11-23T17:05:00Z,2026-11-23T17:05:00Z,acceptable,true,false,,4,false,
        "'=HYPERLINK(""x"")\u{1b}[31m",support-triage,triage-bot,2026-11-23T17:00:00Z,2026-11-23T17:05:00Z,2026-11-23T17:05:00Z,unacceptable,true,true,timeout;wrong_action,4,true,"A-1;B,2"
        "#);
    }
}
