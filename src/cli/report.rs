//! `burngate report`: report how a run turned out.

use clap::Args;

use super::client::ConnectionArgs;
use super::failure::{Exit, Failure};
use super::filters;
use super::filters::FilterArgs;
use super::render::{escape, when, word};
use crate::api::operate;
use crate::api::report::RevisedRun;
use crate::gate::time::Time;

/// Report that a run went wrong, by run, call or the business object that it touched
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # Order A-1001 was refunded wrongly; the gate finds the run that did it
  burngate report --subject A-1001 --tool tools/refund \\
      --mode wrong_action --note \"refunded twice\" --ref TICKET-9
  # Take the report back
  burngate report --run ticket-77 --mode wrong_action --retract
  # Every run of the last two hours; without --yes they are only counted
  burngate report -w support-triage --since 2h \\
      --mode wrong_action --ref INC-5 --yes")]
pub(super) struct ReportArgs {
    /// The run
    #[arg(long, conflicts_with_all = ["call", "subject"])]
    run: Option<String>,
    /// One of its calls
    #[arg(long, conflicts_with = "subject")]
    call: Option<String>,
    /// What went wrong: `wrong_action`, `misclassified`, `missed_escalation`, `major_correction`,
    /// …, or a mode that the policy names
    #[arg(long, required_unless_present_any = ["retract", "executed"])]
    mode: Option<String>,
    /// Settle a call whose answer was lost: was it executed? `no` also takes back what the gate
    /// charged for it
    #[arg(long, value_name = "yes|no", value_parser = ["yes", "no"], requires = "call", conflicts_with_all = ["mode", "retract"])]
    executed: Option<String>,
    /// With --executed yes: it did no harm, so take back what the gate charged for the lost answer
    #[arg(long, requires = "executed")]
    harmless: bool,
    /// A note
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Your reference, such as a ticket; a second report under the same one changes nothing
    #[arg(long = "ref", value_name = "REF")]
    reference: Option<String>,
    /// Take the report back; with --ref alone, all that was reported under it
    #[arg(long)]
    retract: bool,
    /// The reference of the batch to take back
    #[arg(long, value_name = "ID", requires = "retract", conflicts_with_all = ["reference", "run", "call"])]
    batch: Option<String>,
    /// The agent, if several have a run with this id
    #[arg(long)]
    agent: Option<String>,
    /// Change every run that matches the filters; without this they are only counted
    #[arg(long)]
    yes: bool,
    /// Print the gate's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    filters: FilterArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl ReportArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let client = self.connection.client()?;
        let report = operate::ReportRequest {
            mode: self.mode.clone(),
            executed: self.executed.as_deref().map(|executed| executed == "yes"),
            harmless: self.harmless.then_some(true),
            note: self.note.clone(),
            reference: self.reference.clone().or_else(|| self.batch.clone()),
            retract: self.retract,
            ..operate::ReportRequest::default()
        };
        let known =
            |failure: Failure| failure.if_unknown("`burngate runs` lists the runs that are booked");
        if let Some(target) = self.target() {
            let operate::ReportRequest {
                run,
                call,
                subject,
                tool,
                workflow,
                agent,
                ..
            } = target;
            let answer = client
                .post(
                    "/v1/reports",
                    &operate::ReportRequest {
                        run,
                        call,
                        subject,
                        tool,
                        workflow,
                        agent,
                        ..report
                    },
                )
                .map_err(known)?;
            answer.show(self.json, revised)?;
            return Ok(Exit::Did);
        }
        let by_reference = report.retract && report.reference.is_some() && self.filters.is_empty();
        let report = match (self.filters.is_empty(), by_reference) {
            (true, true) => report,
            (true, false) => return Err(filters::which()),
            (false, _) => operate::ReportRequest {
                filter: Some(self.filters.filter()),
                confirm: self.yes,
                dry_run: !self.yes,
                ..report
            },
        };
        let answer = client.post("/v1/reports", &report).map_err(known)?;
        let (done, undo) = if self.retract {
            ("taken back", "")
        } else {
            ("reported", "report --retract")
        };
        filters::show_batch(&answer, self.json, done, undo)
    }

    /// The one run that the flags name, if they name one: by id, by call, or by subject unless
    /// other filters make it a question of many.
    fn target(&self) -> Option<operate::ReportRequest> {
        let filters = &self.filters;
        let narrowed = filters.since.is_some()
            || filters.until.is_some()
            || filters.outcome.is_some()
            || filters.ambiguous;
        let subject = filters.subject.clone().filter(|_| !narrowed);
        let named = self.run.is_some() || self.call.is_some() || subject.is_some();
        named.then(|| operate::ReportRequest {
            run: self.run.clone(),
            call: self.call.clone(),
            subject,
            tool: filters.tool.clone(),
            workflow: filters.workflow.clone(),
            agent: self.agent.clone(),
            ..operate::ReportRequest::default()
        })
    }
}

/// What became of a run.
#[must_use]
pub(super) fn revised(revised: &RevisedRun, now: Time) -> String {
    let (run, workflow, agent) = (
        escape(&revised.run),
        escape(&revised.workflow),
        escape(&revised.agent),
    );
    let change = match revised.was == revised.now {
        true if revised.repeated => format!(
            "{}, as before: this was on record already",
            word(&revised.now)
        ),
        true => format!("{}, as before", word(&revised.now)),
        false => format!("{}, was {}", word(&revised.now), word(&revised.was)),
    };
    format!(
        "run {run} of {workflow} ({agent}), booked {}: {change}\n",
        when::ago(now, revised.booked_at)
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::approvals::tests::now;
    use crate::cli::render::plain;
    use crate::cli::{Cli, Command};

    fn report(flags: &[&str]) -> ReportArgs {
        let cli = Cli::try_parse_from(
            ["burngate", "report", "--mode", "wrong_action"]
                .iter()
                .chain(flags),
        )
        .unwrap();
        let Command::Report(report) = cli.command else {
            panic!("{flags:?}")
        };
        report
    }

    #[test]
    fn a_run_is_named_by_itself_by_a_call_or_by_what_it_touched() {
        assert_eq!(
            report(&["--run", "r"]).target().unwrap().run.as_deref(),
            Some("r")
        );
        assert_eq!(
            report(&["--call", "c"]).target().unwrap().call.as_deref(),
            Some("c")
        );
        let subject = report(&["--subject", "A-1001", "--tool", "payments/refund"])
            .target()
            .unwrap();
        assert_eq!(
            (subject.subject.as_deref(), subject.tool.as_deref()),
            (Some("A-1001"), Some("payments/refund"))
        );
        for many in [
            &["--subject", "A-1001", "--since", "1d"][..],
            &["-w", "triage"],
            &[],
        ] {
            assert!(report(many).target().is_none(), "{many:?}");
        }
    }

    #[test]
    fn a_report_says_what_became_of_the_run() {
        let one = RevisedRun {
            run: "ticket-77".to_owned(),
            workflow: "support-triage".to_owned(),
            agent: "triage-bot".to_owned(),
            booked_at: "2026-11-23T17:00:00Z".parse().unwrap(),
            was: "acceptable".to_owned(),
            now: "unacceptable".to_owned(),
            repeated: false,
        };
        let repeated = RevisedRun {
            was: "unacceptable".to_owned(),
            repeated: true,
            ..one.clone()
        };
        insta::assert_snapshot!(plain(&[revised(&one, now()), revised(&repeated, now())].concat()), @r"
        run ticket-77 of support-triage (triage-bot), booked 1h ago: unacceptable, was acceptable
        run ticket-77 of support-triage (triage-bot), booked 1h ago: unacceptable, as before: this was on record already
        ");
    }
}
