//! The call that is asked about: what was typed, read as the gate reads a request.

use std::borrow::Cow;

use clap::Args;

use crate::cli::failure::Failure;
use crate::gate::budget::burn::BurnRates;
use crate::gate::json::Json;
use crate::gate::name::ToolName;
use crate::gate::nearest::did_you_mean;
use crate::gate::policy::facts::{Ambiguous, Facts, Lookup, RunFacts};
use crate::gate::policy::judge::Case;
use crate::gate::policy::{Api, Condition, Mount, PolicySet, Tool, Workflow};
use crate::gate::status::Status;
use crate::gate::time::Time;
use crate::wire::query::Query;
use crate::wire::target::CanonicalTarget;
use crate::wire::{json, target};

/// The call, as it is typed.
#[derive(Debug, Args)]
pub(super) struct CallArgs {
    /// The tool, as api/tool
    #[arg(long, value_name = "T")]
    tool: String,
    /// The arguments: the JSON body, or those of the MCP call
    #[arg(long, value_name = "JSON")]
    args: Option<String>,
    /// The request line, for rules that read `path` or `query`
    #[arg(long, value_name = "METHOD PATH")]
    request: Option<String>,
    /// A request header, for rules that read `header`; may be given several times
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// The agent, for rules that read `agent`
    #[arg(long, default_value = "agent")]
    agent: String,
}

/// A call: what was typed, against the policies.
pub(super) struct ExplainedCall<'a> {
    /// The tool's full name.
    pub(super) name: ToolName,
    /// The tool, where a policy describes it.
    pub(super) tool: Option<&'a Tool>,
    /// What was assumed on the way.
    pub(super) notes: Vec<String>,
    agent: &'a str,
    args: Option<Json<'a>>,
    path: NamedParts,
    query: QueryParts<'a>,
    headers: NamedParts,
    burn: BurnRates,
}

impl<'a> ExplainedCall<'a> {
    /// Reads what was typed.
    pub(super) fn read(
        typed: &'a CallArgs,
        policies: &'a PolicySet,
        workflow: &Workflow,
    ) -> Result<Self, Failure> {
        let args = typed
            .args
            .as_deref()
            .map(|text| json::parse(text.as_bytes()))
            .transpose();
        let args = args.map_err(|error| {
            Failure::usage(format!("--args is not JSON as a gate takes it: {error}"))
        })?;
        let name = full_name(&typed.tool, workflow);
        let found = policies.apis.values().find_map(|api| {
            api.tools
                .iter()
                .find(|tool| tool.name == name)
                .map(|tool| (&**api, &**tool))
        });
        let mut notes = Vec::new();
        let (mut path, mut query) = (NamedParts::default(), QueryParts(Query::new(None)));
        match (found, &typed.request) {
            (Some((api, tool)), Some(request)) => (path, query) = matched(request, api, tool)?,
            (Some((_, tool)), None) if reads_request(tool) => {
                notes.push("rules of this tool read `path` or `query`, which are empty here: give them with --request".to_owned());
            }
            (Some(_), None) => {}
            (None, _) => {
                let known = policies
                    .apis
                    .values()
                    .flat_map(|api| &api.tools)
                    .map(|tool| tool.name.as_str());
                let hint = did_you_mean(name.as_str(), known).map(|hint| format!("; {hint}"));
                let hint = hint.unwrap_or_else(|| "; `burngate learn` writes entries for the unlisted calls that a gate has seen".to_owned());
                notes.push(format!(
                    "no policy describes a tool `{name}`: this is judged as an unlisted call{hint}"
                ));
            }
        }
        let headers = typed
            .header
            .iter()
            .map(|text| header(text))
            .collect::<Result<_, _>>()?;
        Ok(ExplainedCall {
            name,
            tool: found.map(|(_, tool)| tool),
            notes,
            agent: &typed.agent,
            args,
            path,
            query,
            headers: NamedParts(headers),
            burn: BurnRates::default(),
        })
    }

    /// The call as the gate judges it: the first one of a run.
    pub(super) fn case<'s>(
        &'s self,
        workflow: &'s Workflow,
        status: &'s Status,
        now: Time,
    ) -> Case<'s> {
        let facts = Facts {
            args: self.args.as_ref(),
            path: &self.path,
            query: &self.query,
            header: &self.headers,
            tool: self.name.as_str(),
            agent: self.agent,
            workflow: workflow.name.as_str(),
            run: RunFacts {
                id: "explain",
                calls: 0,
                escalated: false,
            },
            level: status.level().as_str(),
            posture: status.posture.as_str(),
            remaining: status.remaining,
            burn: &self.burn,
            response: None,
        };
        Case {
            workflow,
            status,
            tool: self.tool,
            facts,
            now,
        }
    }
}

/// `refund` is `payments/refund` where the workflow reaches only one tool of that name.
fn full_name(typed: &str, workflow: &Workflow) -> ToolName {
    let mut matching = workflow.tools.iter().filter(|tool| {
        tool.as_str()
            .split_once('/')
            .is_some_and(|(_, name)| name == typed)
    });
    match (matching.next(), matching.next()) {
        (Some(tool), None) => tool.clone(),
        _ => ToolName::from(typed),
    }
}

fn reads_request(tool: &Tool) -> bool {
    let rules = [&tool.deny_when, &tool.hold_when, &tool.escalate_when];
    let reads = |condition: &Condition| {
        !condition.reads().path.is_empty() || !condition.reads().query.is_empty()
    };
    let remembered = || {
        tool.dedup
            .iter()
            .flat_map(|rules| rules.expressions())
            .chain(tool.subject.as_ref().filter(|_| tool.dedup.is_some()))
    };
    !tool.parameters.is_empty()
        || rules
            .into_iter()
            .flatten()
            .any(|rule| reads(&rule.condition))
        || remembered().any(reads)
}

/// What `request` gives to the rules of `tool`, below the API's route on the gate or as the API
/// itself knows it.
fn matched<'a>(
    request: &'a str,
    api: &Api,
    tool: &Tool,
) -> Result<(NamedParts, QueryParts<'a>), Failure> {
    let expected = || {
        Failure::usage(format!("`{request}` is not a request"))
            .hint("such as --request 'GET /orders/A-1?expand=items'")
    };
    let (method, line) = request.split_once(' ').ok_or_else(expected)?;
    let (raw_path, raw_query) = line
        .split_once('?')
        .map_or((line, None), |(path, query)| (path, Some(query)));
    let target = target::read(raw_path, raw_query).map_err(|malformed| {
        Failure::usage(format!("`{line}` is refused before any rule: {malformed}"))
    })?;
    let below = match &api.mount {
        Mount::Route(route) => target.strip_prefix(route),
        Mount::Hosts(_) => None,
    };
    let captured = |target: &CanonicalTarget<'_>| {
        let segments: Vec<Cow<'_, str>> = target.segments().collect();
        let captures = tool.pattern.captures(method, &segments)?;
        Some(NamedParts(
            captures
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.into_owned()))
                .collect(),
        ))
    };
    match below
        .as_ref()
        .and_then(&captured)
        .or_else(|| captured(&target))
    {
        Some(path) => Ok((path, QueryParts(Query::new(raw_query)))),
        None => Err(
            Failure::usage(format!("`{request}` is not a call of `{}`", tool.name)).hint(format!(
                "that tool's calls match `{}`",
                tool.pattern.source()
            )),
        ),
    }
}

fn header(text: &str) -> Result<(String, String), Failure> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        }
        _ => Err(Failure::usage(format!("`{text}` is not a header"))
            .hint("such as --header 'x-ticket: 77'")),
    }
}

/// Parts by name: captures or headers.
#[derive(Default)]
struct NamedParts(Vec<(String, String)>);

impl Lookup for NamedParts {
    fn find(&self, name: &str) -> Result<Option<Cow<'_, str>>, Ambiguous> {
        let mut found = self.0.iter().filter(|(key, _)| key == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Ok(Some(value.into())),
            (None, _) => Ok(None),
            (Some(_), Some(_)) => Err(Ambiguous),
        }
    }
}

/// The query.
struct QueryParts<'a>(Query<'a>);

impl Lookup for QueryParts<'_> {
    fn find(&self, name: &str) -> Result<Option<Cow<'_, str>>, Ambiguous> {
        self.0.get(name).map_err(|_| Ambiguous)
    }

    fn all(&self, name: &str) -> Result<Vec<Cow<'_, str>>, Ambiguous> {
        self.0.all(name).map_err(|_| Ambiguous)
    }
}
