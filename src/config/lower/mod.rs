//! What the documents mean: gate values, and everything that is wrong with them, all at once.
//!
//! Names are collected from every document before any is lowered, so that a tool with a mistake in
//! it is not also unknown to the workflows that reach it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::diagnostics::{Diagnostic, Diagnostics, Notes, Severity, SourceFile};
use super::evidence::Tables;
use super::source::api::ApiDocument;
use super::source::decode::decode;
use super::source::setting::{At, Setting};
use super::source::signal::SignalDocument;
use super::source::tree;
use super::source::tree::YamlNode;
use super::source::workflow::WorkflowDocument;
use crate::gate::digest::Digest;
use crate::gate::name::{ApiName, SignalName, ToolName, WorkflowName};
use crate::gate::nearest::did_you_mean;
use crate::gate::policy::{Api, PolicySet, Protocol, Signal, Workflow};
use crate::gate::risk::Risk;
use crate::gate::time::Time;

mod address;
mod api;
mod body;
mod context;
mod dedup;
mod described;
mod earn;
mod expression;
mod headers;
mod hold;
pub mod identities;
mod keywords;
mod ladder;
pub mod listen;
mod mode;
mod objective;
mod pending;
pub mod process;
mod reads;
mod reversals;
mod rules;
mod set;
mod signal;
mod version;
mod workflow;
mod written;

#[cfg(test)]
mod tests;

use api::{LoweredApi, Surroundings};
use context::LoadContext;
use process::Process;
use set::{InFile, TakenNames};

/// The most documents of one load.
pub const MAX_DOCUMENTS: usize = 10_000;

/// Policies that can be used.
#[derive(Debug)]
pub struct Loaded {
    /// The policies.
    pub policies: PolicySet,
    /// Warnings about what was accepted.
    pub warnings: Diagnostics,
    /// Facts that are worth a sentence, and are neither errors nor warnings.
    pub remarks: Vec<String>,
}

/// One document as it is written.
enum PolicyDocument {
    Api(Box<ApiDocument>),
    Workflow(Box<WorkflowDocument>),
    Signal(Box<SignalDocument>),
}

type ApiDocuments = Vec<InFile<Box<ApiDocument>>>;
type WorkflowDocuments = Vec<InFile<Box<WorkflowDocument>>>;
type SignalDocuments = Vec<InFile<Box<SignalDocument>>>;

/// Lowers the policies in `files` at the time `now`, or reports everything that is wrong with them.
pub fn load(files: &[SourceFile], process: &Process, now: Time) -> Result<Loaded, Diagnostics> {
    let mut notes: Vec<Notes<'_>> = files.iter().map(Notes::on).collect();
    let (documents, incomplete) = read(files, &mut notes);
    let (apis, workflows, signals) = split(documents, &mut notes);
    set::renames(&workflows, &mut notes);
    let tools = tools(&apis);
    let reached = reached(&workflows);
    let (names, any_workflow) = (workflow_names(&workflows), !workflows.is_empty());

    let mut apis: Vec<InFile<LoweredApi>> = apis
        .into_iter()
        .filter_map(|InFile { file, value }| {
            let around = Surroundings {
                files,
                process,
                now,
            };
            api::lower(&value, around, &mut notes[file]).map(|value| InFile { file, value })
        })
        .collect();
    let known = LoadContext {
        tools,
        without_schema: without_schema(&apis, &notes),
        incomplete,
        approvers: process.approvers(),
        now,
    };
    let modes = set::own_modes(&workflows);
    let signals: Vec<Signal> = signals
        .iter()
        .filter_map(|InFile { file, value }| {
            signal::lower(value, &known, &names, &modes, &mut notes[*file])
        })
        .collect();
    reversals::resolve(&mut apis, &known.tools, incomplete, &mut notes);
    let mut tables = Tables::default();
    let workflows: Vec<Workflow> = workflows
        .iter()
        .filter_map(|InFile { file, value }| {
            workflow::lower(value, &known, &mut tables, &mut notes[*file])
        })
        .collect();
    set::mounts(&apis, &mut notes);
    // A workflow that could not be read may reach them.
    if !incomplete {
        set::unreached(&apis, &reached, &mut notes);
    }

    let mut found = Diagnostics::about(files);
    found.extend(notes.into_iter().flat_map(Notes::into_found));
    found.extend(set::agents(process, &names));
    if !any_workflow && !found.has_errors() {
        let mut nothing = Diagnostic::without_location(
            Severity::Error,
            "",
            "there is no workflow in any policy file",
        );
        nothing.hint("`burngate init` writes a first one");
        found.push(nothing);
    }
    found.sort();
    if found.has_errors() {
        Err(found)
    } else {
        Ok(Loaded {
            remarks: remarks(&apis),
            policies: policy_set(apis, workflows, signals),
            warnings: found,
        })
    }
}

/// Operations that no tool names: they stay unlisted until a policy states their risk, which no
/// document does.
fn remarks(apis: &[InFile<LoweredApi>]) -> Vec<String> {
    let of = |api: &InFile<LoweredApi>| {
        let (count, file) = api.value.unlisted.as_ref()?;
        let (operations, are, them) = if *count == 1 {
            ("operation", "is", "it")
        } else {
            ("operations", "are", "them")
        };
        let name = &api.value.api.name;
        Some(format!(
            "{count} {operations} of {file} {are} not listed as tools of `{name}`, so calls of {them} are unlisted; to allow {them}, list {them} with a `risk`"
        ))
    };
    apis.iter().filter_map(of).collect()
}

/// The version of these policies: the same policies have the same version.
#[must_use]
pub fn version(
    apis: &BTreeMap<ApiName, Arc<Api>>,
    workflows: &BTreeMap<WorkflowName, Arc<Workflow>>,
    signals: &BTreeMap<SignalName, Arc<Signal>>,
) -> Digest {
    version::of_set(
        apis.values().map(|api| &**api),
        workflows.values().map(|workflow| &**workflow),
        signals.values().map(|signal| &**signal),
    )
}

fn policy_set(
    apis: Vec<InFile<LoweredApi>>,
    workflows: Vec<Workflow>,
    signals: Vec<Signal>,
) -> PolicySet {
    let apis: BTreeMap<ApiName, _> = apis
        .into_iter()
        .map(|api| (api.value.api.name.clone(), Arc::new(api.value.api)))
        .collect();
    let workflows: BTreeMap<WorkflowName, _> = workflows
        .into_iter()
        .map(|workflow| (workflow.name.clone(), Arc::new(workflow)))
        .collect();
    let signals: BTreeMap<SignalName, _> = signals
        .into_iter()
        .map(|signal| (signal.name.clone(), Arc::new(signal)))
        .collect();
    PolicySet {
        version: version(&apis, &workflows, &signals),
        apis,
        workflows,
        signals,
    }
}

/// Is `file` read for other documents' sake only? Schemas and `OpenAPI` files may lie in the policy
/// directory.
#[must_use]
pub fn is_attachment(name: &str) -> bool {
    [
        ".json",
        ".openapi.yaml",
        ".openapi.yml",
        ".schema.yaml",
        ".schema.yml",
    ]
    .iter()
    .any(|ending| name.ends_with(ending))
}

/// Every document, and whether a file could not be read.
fn read(files: &[SourceFile], notes: &mut [Notes<'_>]) -> (Vec<InFile<PolicyDocument>>, bool) {
    let (mut documents, mut incomplete) = (Vec::new(), false);
    for (index, file) in files
        .iter()
        .enumerate()
        .filter(|(_, file)| !is_attachment(&file.name))
    {
        let notes = &mut notes[index];
        let before = documents.len();
        let trees = match tree::read(&file.text) {
            Ok(trees) => trees,
            Err(broken) => {
                not_yaml(broken, notes);
                incomplete = true;
                continue;
            }
        };
        if trees.is_empty() {
            notes
                .warning(0..0, "this file holds no document")
                .hint("a policy document begins with `api:`, `workflow:` or `signal:`");
        }
        documents.extend(
            trees
                .iter()
                .filter_map(|node| document(node, notes))
                .map(|value| InFile { file: index, value }),
        );
        if documents.len() > MAX_DOCUMENTS && before <= MAX_DOCUMENTS {
            notes.error(
                0..0,
                format!("there are more than {MAX_DOCUMENTS} policy documents"),
            );
        }
    }
    (documents, incomplete)
}

fn not_yaml(broken: tree::YamlError, notes: &mut Notes<'_>) {
    let text = &notes.file().text;
    let line_start = text[..broken.span.start]
        .rfind('\n')
        .map_or(0, |newline| newline + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    // The commonest slip: a capture is a mapping to YAML where the tool is written in braces
    // itself.
    let unquoted_capture =
        line.trim_start().trim_start_matches("- ").starts_with('{') && line.contains("match:");
    let diagnostic = notes
        .error(
            broken.span,
            format!("this cannot be read as YAML: {}", broken.message),
        )
        .label("here");
    diagnostic.hint = unquoted_capture.then(|| {
        "inside `{ … }`, quote a path with captures: `match: \"GET /orders/{order}\"`".to_owned()
    });
}

fn document(node: &YamlNode, notes: &mut Notes<'_>) -> Option<PolicyDocument> {
    // First, because a signal may have a `workflow` too.
    if node.get("signal").is_some() {
        return decode(node, notes)
            .map(Box::new)
            .map(PolicyDocument::Signal);
    }
    match (node.get("api"), node.get("workflow")) {
        (Some(_), None) => decode(node, notes).map(Box::new).map(PolicyDocument::Api),
        (None, Some(_)) => decode(node, notes)
            .map(Box::new)
            .map(PolicyDocument::Workflow),
        (Some(_), Some(_)) => {
            notes
                .error(
                    node.span.clone(),
                    "this document has both `api:` and `workflow:`, and may have only one of them",
                )
                .hint("put `---` on a line between the two");
            None
        }
        (None, None) => {
            let keys = match &node.kind {
                tree::YamlKind::Map(entries) => entries.iter().map(|(key, _)| key).collect(),
                _ => Vec::new(),
            };
            let slip = keys.iter().find_map(|key| {
                did_you_mean(&key.text, ["api", "workflow", "signal"]).map(|hint| (key, hint))
            });
            let openapi = ["openapi", "swagger"]
                .into_iter()
                .find_map(|key| node.get(key));
            match slip {
                None if let Some(version) = openapi => notes
                    .error(version.span.clone(), "this is an OpenAPI document, not a policy")
                    .hint("let its name end with `.openapi.yaml`, and name it in an api: `openapi: FILE`; `burngate init --openapi FILE` writes that api"),
                Some((key, hint)) => notes.error(key.span.clone(), format!("unknown key `{}`", key.text)).hint(hint),
                None => notes.error(node.span.clone(), "a policy document begins with `api:`, `workflow:` or `signal:`").label("this has none of them"),
            };
            None
        }
    }
}

/// The documents by kind, without those whose name is missing or used twice.
fn split(
    documents: Vec<InFile<PolicyDocument>>,
    notes: &mut [Notes<'_>],
) -> (ApiDocuments, WorkflowDocuments, SignalDocuments) {
    let (mut apis, mut workflows, mut signals) = (Vec::new(), Vec::new(), Vec::new());
    let (mut api_names, mut workflow_names, mut signal_names) = (
        TakenNames::default(),
        TakenNames::default(),
        TakenNames::default(),
    );
    let mut takes = |names: &mut TakenNames, kind: &str, name: &Setting<String>, file: usize| {
        name.given()
            .is_some_and(|at| names.take(kind, at, file, notes))
    };
    for InFile { file, value } in documents {
        match value {
            PolicyDocument::Api(value) => {
                if takes(&mut api_names, "api", &value.api, file) {
                    apis.push(InFile { file, value });
                }
            }
            PolicyDocument::Workflow(value) => {
                if takes(&mut workflow_names, "workflow", &value.workflow, file) {
                    workflows.push(InFile { file, value });
                }
            }
            PolicyDocument::Signal(value) => {
                if takes(&mut signal_names, "signal", &value.signal, file) {
                    signals.push(InFile { file, value });
                }
            }
        }
    }
    (apis, workflows, signals)
}

fn tools(apis: &[InFile<Box<ApiDocument>>]) -> BTreeMap<ToolName, Option<Risk>> {
    let mut tools = BTreeMap::new();
    for api in apis {
        let Some(At {
            value: api_name, ..
        }) = api.value.api.given()
        else {
            continue;
        };
        for entry in written::items(&api.value.tools) {
            if let Some(tool) = entry.value.tool.value() {
                tools.insert(
                    ToolName::of(api_name, tool),
                    entry.value.risk.value().copied(),
                );
            }
        }
    }
    tools
}

/// The tools that strict validation holds: those without a schema that do more than read. The rule
/// itself is the gate's (`policy::judge`).
fn without_schema(apis: &[InFile<LoweredApi>], notes: &[Notes<'_>]) -> BTreeSet<ToolName> {
    // An MCP server describes its own tools; and a schema that could not be read has been
    // reported.
    let http = apis
        .iter()
        .filter(|api| api.value.api.protocol == Protocol::Http && !notes[api.file].has_errors());
    let tools = http
        .flat_map(|api| &api.value.api.tools)
        .filter(|tool| tool.arguments.is_none() && tool.risk != Risk::Read);
    tools.map(|tool| tool.name.clone()).collect()
}

fn reached(workflows: &[InFile<Box<WorkflowDocument>>]) -> BTreeSet<ToolName> {
    workflows
        .iter()
        .flat_map(|workflow| written::items(&workflow.value.tools))
        .map(|at| ToolName::from(at.value.as_str()))
        .collect()
}

fn workflow_names(workflows: &[InFile<Box<WorkflowDocument>>]) -> Vec<String> {
    workflows
        .iter()
        .filter_map(|workflow| workflow.value.workflow.value().cloned())
        .collect()
}
