//! What a signal document means.

use super::context::{LoadContext, find_tool};
use super::expression::CallShape;
use super::rules::condition;
use super::written::{location, name};
use crate::config::diagnostics::Notes;
use crate::config::source::setting::{At, Setting};
use crate::config::source::signal::SignalDocument;
use crate::gate::name::{SignalName, WorkflowName};
use crate::gate::nearest::{did_you_mean, nearest};
use crate::gate::outcome::FailureMode;
use crate::gate::policy::condition::ConditionScope;
use crate::gate::policy::signal::{About, Says, SecretSource, Signal};
use crate::gate::policy::{Mode, Rule};

/// Lowers `document`. `modes` are those that workflows name besides the built-in ones, each with
/// its workflow.
pub(super) fn lower(
    document: &SignalDocument,
    known: &LoadContext,
    workflows: &[String],
    modes: &[(String, FailureMode)],
    notes: &mut Notes<'_>,
) -> Option<Signal> {
    let at = document.signal.given()?;
    let signal_name = name(at, "a signal", notes);
    let owner = format!("signal `{}`", at.value);
    let workflow = document.workflow.given().map(|workflow| {
        if !workflows.contains(&workflow.value) && !known.incomplete {
            notes
                .error(
                    workflow.span.clone(),
                    format!("unknown workflow `{}`", workflow.value),
                )
                .hint = did_you_mean(&workflow.value, workflows.iter().map(String::as_str));
        }
        WorkflowName::from(workflow.value.as_str())
    });
    let about = about(document, &owner, at, known, notes);
    let says = says(document, &owner, at, modes, notes);
    let secret = secret(document, notes);
    let when = rule(&document.when, "when", notes);
    let (note, reference) = (
        rule(&document.note, "note", notes),
        rule(&document.r#ref, "ref", notes),
    );
    Some(Signal {
        name: SignalName::from(signal_name?),
        workflow,
        when,
        about: about?,
        says: says?,
        note,
        reference,
        secret,
        location: location(&at.span, notes),
    })
}

fn about(
    document: &SignalDocument,
    owner: &str,
    at: &At<String>,
    known: &LoadContext,
    notes: &mut Notes<'_>,
) -> Option<About> {
    let tool = document.tool.given();
    match (&document.run, &document.subject) {
        (Setting::Absent, Setting::Absent) => {
            notes
                .error(at.span.clone(), format!("{owner} does not say which run it is about"))
                .hint("write `subject:` with the business object that the run touched, such as `body.order`, or `run:` with the run's id");
            None
        }
        (run, Setting::Absent) => {
            if let Some(tool) = tool {
                notes
                    .error(
                        tool.span.clone(),
                        format!("`tool` is used with `subject` only, and {owner} has `run`"),
                    )
                    .hint("drop it");
            }
            rule(run, "run", notes).map(About::Run)
        }
        (Setting::Absent, subject) => {
            let tool = tool.map(|tool| find_tool(tool, known, notes));
            let subject = rule(subject, "subject", notes)?;
            match tool {
                None => Some(About::Subject(subject, None)),
                Some(tool) => tool.map(|tool| About::Subject(subject, Some(tool))),
            }
        }
        (run, _) => {
            let span = run
                .given()
                .map_or_else(|| at.span.clone(), |run| run.span.clone());
            notes
                .error(span, format!("{owner} has both `run` and `subject`"))
                .hint("keep one of them");
            None
        }
    }
}

fn says(
    document: &SignalDocument,
    owner: &str,
    at: &At<String>,
    modes: &[(String, FailureMode)],
    notes: &mut Notes<'_>,
) -> Option<Says> {
    let right = document.right.given().filter(|right| right.value);
    if let Some(no) = document.right.given().filter(|right| !right.value) {
        notes
            .error(no.span.clone(), "`right: false` has no effect")
            .hint("write what went wrong as `mode:`");
        return None;
    }
    match (document.mode.given(), right) {
        (Some(mode), None) => {
            let text = name(mode, "a failure mode", notes)?;
            let said = FailureMode::from(text);
            let workflow = document.workflow.value();
            let is_known = |(owner, known): &(String, FailureMode)| {
                *known == said && workflow.is_none_or(|workflow| workflow == owner)
            };
            if matches!(said, FailureMode::Named(_)) && !modes.iter().any(is_known) {
                let names = FailureMode::BUILT_IN
                    .iter()
                    .map(FailureMode::as_str)
                    .chain(modes.iter().map(|(_, mode)| mode.as_str()));
                let hint = nearest(text, names).map(|near| format!("did you mean `{near}`?"));
                notes.error(mode.span.clone(), format!("no failure mode is called `{text}`")).hint =
                    hint.or_else(|| Some("a mode of your own is listed under `unacceptable` of a workflow's objective".to_owned()));
            }
            Some(Says::Wrong(said))
        }
        (None, Some(_)) => Some(Says::Right),
        (Some(mode), Some(_)) => {
            notes
                .error(
                    mode.span.clone(),
                    format!(
                        "{owner} has both `mode`, for a run that went wrong, and `right: true`"
                    ),
                )
                .hint("keep `mode` or `right: true`");
            None
        }
        (None, None) => {
            if document.mode.is_absent() {
                notes
                    .error(
                        at.span.clone(),
                        format!("{owner} does not say whether the run went wrong"),
                    )
                    .hint("write `mode:` with what went wrong, or `right: true`");
            }
            None
        }
    }
}

fn secret(document: &SignalDocument, notes: &mut Notes<'_>) -> Option<SecretSource> {
    match (document.secret_file.given(), document.secret_env.given()) {
        (Some(file), None) => Some(SecretSource::File(file.value.as_str().into())),
        (None, Some(variable)) => Some(SecretSource::Variable(variable.value.as_str().into())),
        (Some(file), Some(_)) => {
            notes
                .error(
                    file.span.clone(),
                    "the secret is in a file or in an environment variable, not in both",
                )
                .hint("keep `secret_file` or `secret_env`");
            None
        }
        (None, None) => None,
    }
}

fn rule(field: &Setting<String>, key: &str, notes: &mut Notes<'_>) -> Option<Rule> {
    let condition = condition(
        field,
        key,
        ConditionScope::Signal,
        CallShape::default(),
        notes,
    )?;
    let at = field.given()?;
    Some(Rule {
        condition,
        mode: Mode::Enforce,
        location: location(&at.span, notes),
    })
}
