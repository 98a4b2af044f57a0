//! The log: one line for each refusal, and one for each change of posture, level, clamp or budget.
//! Names of fields, the same in every line.
//!
//! A line never holds an argument, a header, a token or a body. Names and ids come from policies or
//! are the gate's own, except an agent's run id and a reason that a person typed: those are written
//! as debug text, so that a line break in them cannot forge a second line.

use crate::gate::event::{Effect, Entry, Event};
use crate::gate::name::{AgentName, CallId, RunId, ToolName, WorkflowName};

/// The target of what concerns calls.
pub const CALLS: &str = "burngate::call";
/// The target of what concerns budgets, levels and operators.
pub const BUDGET: &str = "burngate::budget";
/// The target of what concerns the process and its policies.
pub const PROCESS: &str = "burngate::process";

/// A call that was refused, by names and ids alone.
#[derive(Debug, Clone, Copy)]
pub struct Refusal<'a> {
    /// The kind of problem that the agent got.
    pub slug: &'static str,
    /// Its status.
    pub status: u16,
    /// The workflow, where the caller was identified.
    pub workflow: Option<&'a WorkflowName>,
    /// The agent, where the caller was identified.
    pub agent: Option<&'a AgentName>,
    /// The run, where there is one.
    pub run: Option<&'a RunId>,
    /// The call, where the request got far enough to be one.
    pub call: Option<CallId>,
    /// The tool, where one is known.
    pub tool: Option<&'a ToolName>,
    /// The rule that decided, where one did.
    pub rule: Option<&'a str>,
}

/// Logs a refusal.
pub fn refusal(refusal: &Refusal<'_>) {
    let Refusal {
        slug,
        status,
        workflow,
        agent,
        run,
        call,
        tool,
        rule,
    } = *refusal;
    let (workflow, agent, tool) = (
        workflow.map(WorkflowName::as_str),
        agent.map(AgentName::as_str),
        tool.map(ToolName::as_str),
    );
    tracing::info!(target: CALLS, slug, status, workflow, agent, run = run.map(tracing::field::debug), call = call.map(tracing::field::display), tool, rule, "refused");
}

/// Logs a durable journal entry where it is worth a line: nothing that happens once a call is.
pub fn effect(entry: &Entry) {
    let workflow = entry.workflow.as_ref().map(WorkflowName::as_str);
    match &entry.event {
        Event::Followed(effect) => followed(workflow, effect),
        Event::Clamped(clamp) => {
            let until = clamp
                .until
                .map(|until| crate::api::Moment(until).to_string());
            tracing::warn!(target: BUDGET, workflow, to = %clamp.to, by = ?clamp.by, reason = ?clamp.reason, until, "clamped");
        }
        Event::Released { by, reason } => {
            tracing::warn!(target: BUDGET, workflow, ?by, ?reason, "clamp released");
        }
        Event::Recovered { cause, by, .. } => {
            tracing::info!(target: BUDGET, workflow, ?by, ?cause, "recovery begun");
        }
        Event::Waived { by, reason, .. } => {
            tracing::warn!(target: BUDGET, workflow, ?by, ?reason, "cap waived");
        }
        Event::Promoted { to, by, reason } => {
            tracing::info!(target: BUDGET, workflow, %to, ?by, ?reason, "promoted");
        }
        Event::StepTaken { step, by, reason } => {
            tracing::warn!(target: BUDGET, workflow, %step, %by, ?reason, "step taken");
        }
        Event::Reviewed { by, note } => {
            tracing::info!(target: BUDGET, workflow, ?by, ?note, "reviewed");
        }
        Event::Demoted { to, by, reason } => {
            tracing::warn!(target: BUDGET, workflow, %to, ?by, ?reason, "demoted");
        }
        Event::Excluded {
            revision,
            reason,
            by,
            ..
        } => {
            tracing::info!(target: BUDGET, workflow, run = ?revision.run.run, ?by, ?reason, "run excluded");
        }
        Event::Imported(imported) => {
            tracing::info!(target: BUDGET, workflow, runs = imported.runs, by = ?imported.by, "history imported");
        }
        Event::Decided { approval, decision } => {
            let decided = decision.decision;
            tracing::info!(target: CALLS, workflow, %approval, reviewer = ?decision.reviewer, decision = ?decided, "decided");
        }
        Event::GrantGiven(grant) => {
            tracing::warn!(target: BUDGET, workflow, grant = %grant.id, tool = %grant.tool, max = grant.max, by = ?grant.by, reason = ?grant.reason, "held calls go without asking");
        }
        Event::GrantRevoked { grant, by, reason } => {
            tracing::info!(target: BUDGET, workflow, %grant, ?by, ?reason, "grant taken back");
        }
        Event::Started { version, lost } => {
            tracing::info!(target: PROCESS, version = &**version, lost, "started");
        }
        Event::Stopped => tracing::info!(target: PROCESS, "stopped"),
        Event::PolicyAccepted { version, .. } => {
            tracing::info!(target: PROCESS, %version, "policies in force");
        }
        Event::PolicyRefused { reason } => {
            tracing::error!(target: PROCESS, ?reason, "a reload was refused; what was in force stays in force");
        }
        Event::ApproversNamed { people } => {
            tracing::info!(target: PROCESS, people = people.len(), "may approve");
        }
        Event::AccessChanged(change) => {
            tracing::warn!(target: PROCESS, %change, "who may call and decide was read anew");
        }
        Event::ClockJumped { .. } => tracing::error!(target: PROCESS, "the wall clock leapt ahead"),
        Event::ClockAccepted { by } => tracing::warn!(target: PROCESS, ?by, "wall clock accepted"),
        Event::PolicyHeldBack { what } => {
            tracing::error!(target: BUDGET, workflow, what = &**what, "a wider policy is held back while changes are frozen: this workflow keeps its policy");
        }
        Event::SignedIn { by, role } => {
            tracing::info!(target: PROCESS, ?by, role = &**role, "signed in");
        }
        Event::Changed {
            kind,
            reference,
            by,
            emergency,
        } => {
            tracing::info!(target: BUDGET, workflow, kind = ?kind, reference = ?reference, ?by, ?emergency, "change shipped");
        }
        Event::ChangeRefused {
            kind,
            reference,
            by,
        } => tracing::info!(target: BUDGET, workflow, ?kind, ?reference, ?by, "change refused"),
        Event::Escalated { run } => {
            tracing::info!(target: CALLS, workflow, agent = ?run.agent, run = ?run.run, "run escalated");
        }
        Event::IncidentOpened {
            incident,
            api,
            calls,
            failures,
            ..
        } => {
            tracing::error!(target: PROCESS, %incident, %api, calls, failures, "a tool API fails across workflows: `burngate exclude --incident` decides on its failures");
        }
        Event::IncidentClosed { incident } => {
            tracing::warn!(target: PROCESS, %incident, "the tool API's incident is over");
        }
        Event::Sampled { .. }
        | Event::Admitted(_)
        | Event::Settled { .. }
        | Event::Tallied { .. }
        | Event::Booked { .. }
        | Event::BookedHigh { .. }
        | Event::Reported { .. }
        | Event::Retracted { .. }
        | Event::Reinstated { .. }
        | Event::Reconciled { .. }
        | Event::Noted { .. }
        | Event::Remarked { .. }
        | Event::Seen { .. }
        | Event::Checked { .. }
        | Event::Paced { .. }
        | Event::Held(_)
        | Event::Refused { .. }
        | Event::TurnedAway { .. }
        | Event::Withdrawn { .. } => {}
    }
}

fn followed(workflow: Option<&str>, effect: &Effect) {
    match effect {
        Effect::PostureChanged { from, to, why } if to > from => {
            tracing::warn!(target: BUDGET, workflow, %from, %to, why = &**why, "posture worsened");
        }
        Effect::PostureChanged { from, to, why } => {
            tracing::info!(target: BUDGET, workflow, %from, %to, why = &**why, "posture improved");
        }
        Effect::LevelChanged { from, to, binds } => {
            tracing::warn!(target: BUDGET, workflow, %from, %to, binds = &**binds, "level changed");
        }
        Effect::BurnOpened => tracing::warn!(target: BUDGET, workflow, "burn began"),
        Effect::BurnVoided => tracing::info!(target: BUDGET, workflow, "burn voided"),
        Effect::ProbationEnded { lasted } => {
            tracing::info!(target: BUDGET, workflow, lasted, "probation ended");
        }
        Effect::ClampExpired => tracing::warn!(target: BUDGET, workflow, "clamp ran out"),
        Effect::WaiverEnded => tracing::info!(target: BUDGET, workflow, "waiver ended"),
        Effect::ApprovalDue { approval } => {
            tracing::warn!(target: CALLS, workflow, %approval, "a held call expires soon, and nobody decided");
        }
        Effect::ApprovalEscalated { approval, to } => {
            tracing::warn!(target: CALLS, workflow, %approval, to = &**to, "nobody decided on a held call: it is put to others");
        }
        Effect::ApprovalUnseen { approval } => {
            tracing::error!(target: CALLS, workflow, %approval, "A HELD CALL EXPIRED AND NOBODY EVER SAW IT: does anybody watch `burngate approvals list`?");
        }
        Effect::ApprovalExpired { approval } => {
            tracing::info!(target: CALLS, workflow, %approval, "approval expired");
        }
        Effect::Demoted { to } => tracing::warn!(target: BUDGET, workflow, %to, "demoted"),
        Effect::StepEarned { step } => {
            tracing::info!(target: BUDGET, workflow, %step, "step earned");
        }
        Effect::StepProposed { step } => {
            tracing::info!(target: BUDGET, workflow, %step, "step proposed");
        }
        Effect::StepLost { step } => tracing::warn!(target: BUDGET, workflow, %step, "step lost"),
        Effect::ReviewOverdue { since } => {
            let since = crate::api::Moment(*since).to_string();
            tracing::warn!(target: BUDGET, workflow, since, "weekly review overdue: `burngate review`, and `burngate review --done` when somebody has looked");
        }
        Effect::DemotionProposed { to } => {
            tracing::warn!(target: BUDGET, workflow, %to, "demotion proposed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::gate::event::Clamp;
    use crate::gate::time::Time;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_a_person_or_an_agent_wrote_stays_on_its_line() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .without_time()
            .finish();
        let reason = "drill\nWARN burngate::budget: forged \u{1b}[2J";
        let clamp = Clamp {
            to: "halted".into(),
            by: "operator".into(),
            reason: reason.into(),
            at: Time::default(),
            until: Some(Time::default()),
        };
        let run = RunId::from("case\n1");
        tracing::subscriber::with_default(subscriber, || {
            effect(&Entry {
                at: Time::default(),
                workflow: Some("w".into()),
                event: Event::Clamped(clamp),
            });
            let call = CallId::from_bits(1);
            refusal(&Refusal {
                slug: "level",
                status: 403,
                workflow: None,
                agent: None,
                run: Some(&run),
                call: Some(call),
                tool: None,
                rule: Some("level"),
            });
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let expected = [
            r#" WARN burngate::budget: clamped workflow="w" to=halted by="operator" reason="drill\nWARN burngate::budget: forged \u{1b}[2J" until="1970-01-01T00:00:00Z""#,
            r#" INFO burngate::call: refused slug="level" status=403 run="case\n1" call=call_00000000000000000000000000000001 rule="level""#,
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }
}
