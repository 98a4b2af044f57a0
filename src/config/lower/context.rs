//! What the documents of a load know of one another: which tools exist, how risky they are, and how
//! many people can approve.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::diagnostics::Notes;
use crate::config::source::setting::At;
use crate::gate::name::ToolName;
use crate::gate::nearest::did_you_mean;
use crate::gate::risk::Risk;
use crate::gate::time::Time;

/// What the other documents of the load say that a workflow or a signal needs to know.
#[derive(Debug)]
pub(super) struct LoadContext {
    /// Every tool that is written, with its risk where that is known.
    pub(super) tools: BTreeMap<ToolName, Option<Risk>>,
    /// The tools without a schema for their arguments.
    pub(super) without_schema: BTreeSet<ToolName>,
    /// A file could not be read, so that there may be more.
    pub(super) incomplete: bool,
    /// How many people may approve: the reviewers and operators, and the operator token.
    pub(super) approvers: u32,
    /// The current time.
    pub(super) now: Time,
}

pub(super) fn find_tool(
    at: &At<String>,
    known: &LoadContext,
    notes: &mut Notes<'_>,
) -> Option<ToolName> {
    let tool = ToolName::from(at.value.as_str());
    if known.tools.contains_key(&tool) {
        return Some(tool);
    }
    if known.incomplete
        && !known
            .tools
            .keys()
            .any(|tool| tool.api() == at.value.split('/').next().unwrap_or_default())
    {
        return None;
    }
    let hint = match at.value.split_once('/') {
        None => known
            .tools
            .keys()
            .find(|tool| tool.as_str().ends_with(&format!("/{}", at.value)))
            .map(|tool| format!("tools are named with their api: `{tool}`")),
        Some((api, _)) if !known.tools.keys().any(|tool| tool.api() == api) => {
            let apis: BTreeSet<&str> = known.tools.keys().map(ToolName::api).collect();
            did_you_mean(&at.value, known.tools.keys().map(ToolName::as_str)).or_else(|| {
                Some(format!(
                    "no policy describes the api `{api}`; the described ones are {}",
                    listed(apis.into_iter())
                ))
            })
        }
        Some((api, _)) => did_you_mean(&at.value, known.tools.keys().map(ToolName::as_str))
            .or_else(|| {
                let tools = known
                    .tools
                    .keys()
                    .filter(|tool| tool.api() == api)
                    .map(ToolName::as_str);
                Some(format!("the tools of `{api}` are {}", listed(tools)))
            }),
    };
    notes
        .error(at.span.clone(), format!("unknown tool `{}`", at.value))
        .hint = hint.or_else(|| Some("tools are named `api/tool`".to_owned()));
    None
}

/// The first few names.
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 8;
    let names: Vec<&str> = names.collect();
    let more = if names.len() > SHOWN { ", …" } else { "" };
    if names.is_empty() {
        "none".to_owned()
    } else {
        names[..names.len().min(SHOWN)].join(", ") + more
    }
}
