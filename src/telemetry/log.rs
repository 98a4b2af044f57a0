//! The log: one line for each refusal, and one for each event that has a log level in the table of
//! events. Names of fields, the same in every line.
//!
//! A line never holds an argument, a header, a token or a body. Names and ids come from policies or
//! are the gate's own, except an agent's run id and what a person typed: those are escaped, so that
//! a line break in them cannot forge a second line.

use std::fmt;
use std::fmt::Write as _;

use crate::gate::clamp::Clamp;
use crate::gate::event::sentence::Sentence;
use crate::gate::event::table::{Audience, LogLevel};
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
pub struct RefusalLine<'a> {
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
pub fn refusal(refusal: &RefusalLine<'_>) {
    let RefusalLine {
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

/// Logs a durable journal entry as a sentence, at the level and target that the table of events
/// gives. Events that happen once a call have none and are not logged.
pub fn event(entry: &Entry) {
    let level = entry.event.log_level();
    if level == LogLevel::Silent {
        return;
    }
    let notice = entry.event.notice();
    let workflow = entry.workflow.as_ref().map(WorkflowName::as_str);
    let Sentence { by, text } = entry.event.sentence(None);
    let (by, text) = (by.as_deref(), Escaped(&text));
    let (event, hint) = (entry.event.log_name(), notice.hint);
    let LogFields {
        run,
        approval,
        from,
        to,
    } = about(&entry.event);
    macro_rules! line {
        ($level:ident, $target:expr) => {
            tracing::$level!(target: $target, event, workflow, by, run, approval, from, to, hint, "{text}")
        };
    }
    match (level, notice.audience) {
        (LogLevel::Silent, _) => {}
        (LogLevel::Info, Audience::Calls) => line!(info, CALLS),
        (LogLevel::Info, Audience::Budget) => line!(info, BUDGET),
        (LogLevel::Info, Audience::Process) => line!(info, PROCESS),
        (LogLevel::Warn, Audience::Calls) => line!(warn, CALLS),
        (LogLevel::Warn, Audience::Budget) => line!(warn, BUDGET),
        (LogLevel::Warn, Audience::Process) => line!(warn, PROCESS),
        (LogLevel::Error, Audience::Calls) => line!(error, CALLS),
        (LogLevel::Error, Audience::Budget) => line!(error, BUDGET),
        (LogLevel::Error, Audience::Process) => line!(error, PROCESS),
    }
}

/// What a line is searched for by, besides its event and its workflow.
#[derive(Default)]
struct LogFields<'a> {
    run: Option<&'a str>,
    approval: Option<String>,
    from: Option<&'a str>,
    to: Option<&'a str>,
}

/// The fields of an event that an alarm or a search is built on; its sentence has the rest.
fn about(event: &Event) -> LogFields<'_> {
    let none = LogFields::default;
    match event {
        Event::Excluded { revision, .. } => LogFields {
            run: Some(revision.run.run.as_str()),
            ..none()
        },
        Event::Escalated { run } => LogFields {
            run: Some(run.run.as_str()),
            ..none()
        },
        Event::Clamped(Clamp { to, .. })
        | Event::Promoted { to, .. }
        | Event::Demoted { to, .. }
        | Event::Followed(Effect::Demoted { to } | Effect::DemotionProposed { to }) => LogFields {
            to: Some(to.as_str()),
            ..none()
        },
        Event::Followed(Effect::PostureChanged { from, to, .. }) => LogFields {
            from: Some(from.as_str()),
            to: Some(to.as_str()),
            ..none()
        },
        Event::Followed(Effect::LevelChanged { from, to, .. }) => LogFields {
            from: Some(from.as_str()),
            to: Some(to.as_str()),
            ..none()
        },
        Event::Decided { approval, .. }
        | Event::Followed(
            Effect::ApprovalDue { approval }
            | Effect::ApprovalEscalated { approval, .. }
            | Effect::ApprovalUnseen { approval }
            | Effect::ApprovalExpired { approval },
        ) => LogFields {
            approval: Some(approval.to_string()),
            ..none()
        },
        _ => none(),
    }
}

/// A sentence with what people and agents wrote in it, on one line and without a quote that could
/// end it: a reason cannot forge a second line, nor a field.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\'' => f.write_char(character)?,
                _ => write!(f, "{}", character.escape_debug())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;
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
        let reason = "drill\nWARN burngate::budget: forged=\"yes\" \u{1b}[2J";
        let clamp = Clamp {
            to: "halted".into(),
            by: "operator".into(),
            reason: reason.into(),
            at: Time::default(),
            until: Some(Time::default()),
        };
        let run = RunId::from("case\n1");
        tracing::subscriber::with_default(subscriber, || {
            event(&Entry {
                at: Time::default(),
                workflow: Some("w".into()),
                event: Event::Clamped(clamp),
            });
            let call = CallId::from_bits(1);
            refusal(&RefusalLine {
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
            r#" WARN burngate::budget: clamped to halted until 1970-01-01T00:00:00Z: drill\nWARN burngate::budget: forged=\"yes\" \u{1b}[2J event="clamped" workflow="w" by="operator" to="halted""#,
            r#" INFO burngate::call: refused slug="level" status=403 run="case\n1" call=call_00000000000000000000000000000001 rule="level""#,
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }
}
