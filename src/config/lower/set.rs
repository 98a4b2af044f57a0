//! Checks across all documents: names that are used twice, APIs that one request could belong to,
//! tools that no workflow reaches, agents of workflows that do not exist, and histories that two
//! workflows claim.

use std::collections::{BTreeMap, BTreeSet};

use super::address;
use super::api::LoweredApi;
use super::process::Process;
use super::written::items;
use crate::config::diagnostics::{Diagnostic, Notes, Severity};
use crate::config::source::setting::At;
use crate::config::source::tree::SourceSpan;
use crate::config::source::workflow::WorkflowDocument;
use crate::gate::name::ToolName;
use crate::gate::nearest::did_you_mean;
use crate::gate::outcome::FailureMode;

/// A lowered document and the file that it is written in, by index.
#[derive(Debug)]
pub(super) struct InFile<T> {
    pub(super) file: usize,
    pub(super) value: T,
}

/// Where every name was first written, for the error about the second.
#[derive(Debug, Default)]
pub(super) struct TakenNames(BTreeMap<String, (usize, SourceSpan)>);

impl TakenNames {
    /// Takes the name at `at`. Reports an error and answers `false` if it is taken.
    pub(super) fn take(
        &mut self,
        what: &str,
        at: &At<String>,
        file: usize,
        notes: &mut [Notes<'_>],
    ) -> bool {
        let Some((other_file, other_span)) = self.0.get(&at.value) else {
            self.0.insert(at.value.clone(), (file, at.span.clone()));
            return true;
        };
        let first = notes[*other_file].file();
        let (line, _) = first.position(other_span.start);
        let hint = format!("the first is at {}:{line}", first.name);
        notes[file]
            .error(
                at.span.clone(),
                format!("{what} `{}` is written twice", at.value),
            )
            .label("again here")
            .hint(hint);
        false
    }
}

/// Two APIs that one request could belong to.
pub(super) fn mounts(apis: &[InFile<LoweredApi>], notes: &mut [Notes<'_>]) {
    for (index, one) in apis.iter().enumerate() {
        for other in &apis[..index] {
            if let Some(meet) = address::overlap(&one.value.api.mount, &other.value.api.mount) {
                let (name, other_name, location) = (
                    &one.value.api.name,
                    &other.value.api.name,
                    &other.value.api.location,
                );
                notes[one.file]
                    .error(one.value.mount_span.clone(), format!("api `{name}` and api `{other_name}` both take requests to {meet}"))
                    .hint(format!("`{other_name}` is written at {location}; give each its own `route`, neither below the other"));
            }
        }
    }
}

/// Tools that no workflow lists.
pub(super) fn unreached(
    apis: &[InFile<LoweredApi>],
    reached: &BTreeSet<ToolName>,
    notes: &mut [Notes<'_>],
) {
    for api in apis {
        for (tool, span) in api
            .value
            .tool_spans
            .iter()
            .filter(|(tool, _)| !reached.contains(*tool))
        {
            notes[api.file]
                .warning(span.clone(), format!("no workflow reaches tool `{tool}`"))
                .hint(format!("list `{tool}` under the `tools` of a workflow, or drop it: until then its calls are unlisted"));
        }
    }
}

/// Renames that cannot be: a history goes to one name, and to another one than it has.
pub(super) fn renames(workflows: &[InFile<Box<WorkflowDocument>>], notes: &mut [Notes<'_>]) {
    let named: BTreeMap<&str, Option<&str>> = workflows
        .iter()
        .filter_map(|doc| {
            Some((
                doc.value.workflow.value()?.as_str(),
                doc.value.was.value().map(String::as_str),
            ))
        })
        .collect();
    let mut claimed = BTreeMap::new();
    for InFile { file, value } in workflows {
        let (Some(name), Some(was)) = (value.workflow.value(), value.was.given()) else {
            continue;
        };
        let before = was.value.as_str();
        if before == name {
            notes[*file]
                .error(
                    was.span.clone(),
                    format!("`was`: `{name}` is already the name of this workflow"),
                )
                .hint("write the name that it had before, or drop `was`");
        } else if let Some(other) = claimed.insert(before, name) {
            notes[*file]
                .error(was.span.clone(), format!("`was: {before}` is written in `{other}` as well, and a history goes to one workflow"))
                .hint("drop one of the two: a workflow that is new begins with a history of its own");
        } else if is_circle(name, &named) {
            notes[*file]
                .error(
                    was.span.clone(),
                    format!(
                        "`was`: `{name}` and `{before}` take each other's history, in a circle"
                    ),
                )
                .hint("rename one of them to a name that is new, reload, and rename it again");
        } else if named.get(before) == Some(&None) {
            notes[*file]
                .warning(was.span.clone(), format!("`was: {before}` has no effect: workflow `{before}` is still there, and keeps its history"))
                .hint(format!("drop workflow `{before}`, or drop `was`"));
        }
    }
}

fn is_circle(name: &str, named: &BTreeMap<&str, Option<&str>>) -> bool {
    let before = |name: &str| named.get(name).copied().flatten();
    std::iter::successors(before(name), |at| before(at))
        .take(named.len())
        .any(|at| at == name)
}

/// The failure modes of workflows' own, each with the workflow that lists it.
pub(super) fn own_modes(workflows: &[InFile<Box<WorkflowDocument>>]) -> Vec<(String, FailureMode)> {
    let mut modes = Vec::new();
    for workflow in workflows {
        let (Some(name), Some(objective)) = (
            workflow.value.workflow.value(),
            workflow.value.objective.value(),
        ) else {
            continue;
        };
        let listed = items(&objective.unacceptable).chain(items(&objective.critical));
        modes.extend(listed.map(|at| (name.clone(), FailureMode::from(at.value.as_str()))));
    }
    modes
}

/// Agents whose workflows no policy describes. Not an error: it opens nothing, and a reload that
/// drops a workflow must not be stuck on it.
pub(super) fn agents(process: &Process, workflows: &[String]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for agent in process.agents.iter().flatten() {
        for workflow in agent
            .workflows
            .iter()
            .filter(|workflow| !workflows.iter().any(|known| known == workflow.as_str()))
        {
            let message = format!(
                "agent `{}` names workflow `{workflow}`, which no policy describes",
                agent.agent
            );
            let mut diagnostic =
                Diagnostic::without_location(Severity::Warning, &agent.location.file, message);
            (diagnostic.line, diagnostic.column) = (agent.location.line, 1);
            diagnostic.hint = did_you_mean(workflow.as_str(), workflows.iter().map(String::as_str));
            found.push(diagnostic);
        }
    }
    found
}
