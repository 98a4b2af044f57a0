//! Policies as they are understood: every document with its defaults filled in, as YAML that means
//! the same (`burngate check --print`).
//!
//! Written from the lowered values, so that what is shown is what is enforced; keys that are
//! accepted and not acted on yet are taken over as they are written. Comments are lost. Printing
//! and loading again gives the same version.

use std::fmt::Write as _;

use self::api::api_document;
use self::mapping::MappingBuilder;
use self::signal::signal_document;
use self::workflow::{waits_by_protocol, workflow_document};
use super::diagnostics::SourceFile;
use super::lower::is_attachment;
use super::quantity::Interval;
use super::source::tree;
use super::source::tree::YamlNode;
use crate::gate::policy::{PolicySet, Workflow};

mod api;
mod mapping;
mod signal;
#[cfg(test)]
mod tests;
mod workflow;

/// Every document of `policies`, APIs first. `files` are those that they were loaded from.
#[must_use]
pub fn print(policies: &PolicySet, files: &[SourceFile]) -> String {
    let written: Vec<YamlNode> = files
        .iter()
        .filter(|file| !is_attachment(&file.name))
        .flat_map(|file| tree::read(&file.text).unwrap_or_default())
        .collect();
    let find = |kind: &str, name: &str| {
        written.iter().find(|node| {
            node.get(kind).is_some_and(|found| {
                *found == YamlNode::text(name) || found.described() == format!("`{name}`")
            })
        })
    };
    let mut text = String::new();
    for api in policies.apis.values() {
        document(&mut text, "", api_document(api));
    }
    for signal in policies.signals.values() {
        document(&mut text, "", signal_document(signal));
    }
    for workflow in policies.workflows.values() {
        document(
            &mut text,
            &remarks(workflow),
            workflow_document(workflow, find("workflow", workflow.name.as_str())),
        );
    }
    text
}

fn document(text: &mut String, remarks: &str, entries: MappingBuilder) {
    let yaml = serde_saphyr::to_string(&entries.into_node()).unwrap_or_default();
    let _ = write!(text, "---\n{remarks}{}\n", yaml.trim_end());
}

/// Defaults that cannot be written out without changing their meaning, as comments.
fn remarks(workflow: &Workflow) -> String {
    let mut remarks = String::new();
    let objective = &workflow.terms.objective;
    if !objective.expected_written {
        let _ = writeln!(
            remarks,
            "# objective.expected_runs is not written: {} until there are more",
            objective.expected_runs
        );
    }
    if waits_by_protocol(&workflow.hold) {
        let _ = writeln!(
            remarks,
            "# hold.wait is not written: {} for http, {} for mcp",
            Interval(workflow.hold.wait),
            Interval(workflow.hold.wait_mcp)
        );
    }
    remarks
}
