//! What an API document means.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::dedup::PendingReversal;
use super::described::OpenApi;
use super::expression::CallShape;
use super::ladder::CONCURRENCY;
use super::pending::{Owner, warn};
use super::process::Process;
use super::rules::{condition, modal, rule};
use super::written::{interval, items, location, name, number, required, span_of};
use super::{address, body, dedup, described, headers, mode, version};
use crate::config::diagnostics::{Notes, SourceFile};
use crate::config::source::api::{ApiDocument, ToolEntry};
use crate::config::source::setting::{At, Setting};
use crate::config::source::tree::SourceSpan;
use crate::config::tiers;
use crate::gate::name::{ApiName, ToolName};
use crate::gate::policy::condition::{Condition, ConditionScope};
use crate::gate::policy::{Api, Pattern, Protocol, Rule, Schema, Tool, Upstream};
use crate::gate::risk::Risk;
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;

/// The default timeout of a call.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// What a timeout may be. An hour is longer than any proxy between here and there waits.
pub(super) const TIMEOUTS: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_hours(1);

/// The most tools of one API. Its list is searched on every call.
pub(super) const MAX_TOOLS: usize = 1000;

/// A lowered API, and where things were written.
#[derive(Debug)]
pub(super) struct LoweredApi {
    pub(super) api: Api,
    pub(super) mount_span: SourceSpan,
    pub(super) tool_spans: BTreeMap<ToolName, SourceSpan>,
    /// How many operations of its `OpenAPI` document no tool names, and the document's file.
    pub(super) unlisted: Option<(usize, Arc<str>)>,
    pub(super) pending_reversals: Vec<PendingReversal>,
}

/// What lowering looks at besides the document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings<'f> {
    /// Every file of the load, for schemas in files of their own.
    pub(super) files: &'f [SourceFile],
    /// Where the gate itself listens.
    pub(super) process: &'f Process,
    /// The current time, for `until`.
    pub(super) now: Time,
}

/// Lowers `document`. Errors go to `notes`; `None` if nothing usable is left.
pub(super) fn lower(
    document: &ApiDocument,
    around: Surroundings<'_>,
    notes: &mut Notes<'_>,
) -> Option<LoweredApi> {
    let at = document.api.given()?;
    let api_name = name(at, "an api", notes);
    let owner = format!("api `{}`", at.value);
    let upstream = required(&document.upstream, "upstream", &owner, &at.span, notes)
        .and_then(|at| address::upstream(at, "upstream", around.process, notes));
    let mount = address::mount(document, &at.value, &at.span, notes);
    let protocol = document.protocol.value().copied().unwrap_or(Protocol::Http);
    if protocol == Protocol::Mcp {
        // Its calls are refused: the data plane has no route to an API that it cannot judge.
        warn(
            Owner::Api,
            "protocol: mcp",
            span_of(&document.protocol),
            notes,
        );
    }
    let timeout = interval(&document.timeout, "timeout", &TIMEOUTS, TIMEOUT, notes);
    let overrides = headers::overrides(document, notes);
    let credentials = headers::credentials(document, notes);
    let openapi = OpenApi::of(document, upstream.as_ref(), around.files, notes);
    if document.tools.value().is_none_or(Vec::is_empty) && !matches!(document.tools, Setting::Bad) {
        notes
            .warning(
                at.span.clone(),
                format!("{owner} has no tools, so every call of it is unlisted"),
            )
            .hint("list them under `tools`");
    }
    let lowering = ToolLowering {
        api: &at.value,
        protocol,
        upstream: upstream.as_ref(),
        timeout,
        around,
        openapi: openapi.as_ref(),
    };
    let mut pending_reversals = Vec::new();
    let (tools, tool_spans) = lowering.tools(document, &mut pending_reversals, notes);
    let remark = openapi
        .map(|openapi| (openapi.unlisted(), openapi.file().name.clone()))
        .filter(|(count, _)| *count > 0);
    let (mount, mount_span) = mount?;
    let api = Api {
        name: ApiName::from(api_name?),
        protocol,
        upstream: upstream?,
        mount,
        overrides,
        credentials,
        tools,
        timeout,
        location: location(&at.span, notes),
    };
    Some(LoweredApi {
        api,
        mount_span,
        tool_spans,
        unlisted: remark,
        pending_reversals,
    })
}

struct ToolLowering<'a> {
    api: &'a str,
    protocol: Protocol,
    upstream: Option<&'a Upstream>,
    timeout: Duration,
    around: Surroundings<'a>,
    openapi: Option<&'a OpenApi<'a>>,
}

/// A tool's expressions over one call, and the one over its answer.
struct ToolConditions {
    deny_when: Option<Rule>,
    hold_when: Option<Rule>,
    escalate_when: Option<Rule>,
    failure_when: Option<Rule>,
    subject: Option<Condition>,
}

impl ToolConditions {
    fn expressions(&self) -> impl Iterator<Item = &Condition> {
        let rules = [
            &self.deny_when,
            &self.hold_when,
            &self.escalate_when,
            &self.failure_when,
        ];
        rules
            .into_iter()
            .flatten()
            .map(|rule| &rule.condition)
            .chain(&self.subject)
    }
}

impl ToolLowering<'_> {
    fn tools(
        &self,
        document: &ApiDocument,
        pending_reversals: &mut Vec<PendingReversal>,
        notes: &mut Notes<'_>,
    ) -> (Vec<Arc<Tool>>, BTreeMap<ToolName, SourceSpan>) {
        let mut spans = BTreeMap::new();
        let mut tools: Vec<(Arc<Tool>, SourceSpan)> = Vec::new();
        if document
            .tools
            .value()
            .is_some_and(|tools| tools.len() > MAX_TOOLS)
        {
            notes.error(
                span_of(&document.tools).unwrap_or_default(),
                format!("api `{}` has more than {MAX_TOOLS} tools", self.api),
            );
        }
        for entry in items(&document.tools).take(MAX_TOOLS) {
            let Some(at) = required(&entry.value.tool, "tool", "a tool", &entry.span, notes) else {
                continue;
            };
            let Some(tool_name) = name(at, "a tool", notes) else {
                continue;
            };
            let tool_name = ToolName::of(self.api, tool_name);
            match spans.entry(tool_name.clone()) {
                Entry::Vacant(vacant) => {
                    vacant.insert(at.span.clone());
                }
                Entry::Occupied(first) => {
                    let (line, _) = notes.file().position(first.get().start);
                    notes
                        .error(
                            at.span.clone(),
                            format!("tool `{tool_name}` is written twice"),
                        )
                        .label(format!("the first is on line {line}"));
                    continue;
                }
            }
            if let Some(tool) = self.tool(tool_name, at, &entry.value, pending_reversals, notes) {
                let span = span_of(&entry.value.r#match).unwrap_or_else(|| at.span.clone());
                tools.push((Arc::new(tool), span));
            }
        }
        tools.sort_by(|(a, _), (b, _)| a.pattern.specificity(&b.pattern));
        Self::never_called(&tools, notes);
        (tools.into_iter().map(|(tool, _)| tool).collect(), spans)
    }

    /// The first pattern that matches decides, so a tool whose every request is another's is never
    /// called.
    fn never_called(tools: &[(Arc<Tool>, SourceSpan)], notes: &mut Notes<'_>) {
        for (index, (tool, span)) in tools.iter().enumerate() {
            if let Some((other, _)) = tools[..index]
                .iter()
                .find(|(other, _)| other.pattern.covers(&tool.pattern))
            {
                // Of two that match the same, the one written later is the slip.
                let (never, span, always) = match tools
                    .iter()
                    .find(|(earlier, _)| Arc::ptr_eq(earlier, other))
                {
                    Some((_, other_span))
                        if tool.pattern.covers(&other.pattern) && other_span.start > span.start =>
                    {
                        (other, other_span, tool)
                    }
                    _ => (tool, span, other),
                };
                notes
                    .error(span.clone(), format!("tool `{}` can never be called: tool `{}` matches every request that it does", never.name, always.name))
                    .label("matches nothing of its own")
                    .hint(format!("`{}` is written on line {}; change one pattern or drop one tool", always.pattern.source(), always.location.line));
            }
        }
    }

    fn tool(
        &self,
        tool_name: ToolName,
        at: &At<String>,
        entry: &ToolEntry,
        pending_reversals: &mut Vec<PendingReversal>,
        notes: &mut Notes<'_>,
    ) -> Option<Tool> {
        let owner = format!("tool `{tool_name}`");
        let risk = required(&entry.risk, "risk", &owner, &at.span, notes).map(|at| at.value);
        let pattern = self.pattern(entry, at, &owner, notes);
        let described::DescribedCall {
            arguments,
            parameters,
        } = described::calls(
            entry,
            at,
            pattern.as_ref(),
            self.openapi,
            self.around.files,
            notes,
        );
        let calls = CallShape {
            pattern: pattern.as_ref(),
            schema: arguments.as_ref().map(Schema::source),
        };
        let conditions = self.conditions(entry, calls, notes);
        let timeout = interval(&entry.timeout, "timeout", &TIMEOUTS, self.timeout, notes);
        let mode = mode::lower(&entry.mode, &entry.until, self.around.now, notes);
        let always = ceiling(&entry.always, notes);
        let concurrency = number(&entry.concurrency, "concurrency", &CONCURRENCY, notes);
        let rules = dedup::lower(
            &tool_name,
            entry,
            (calls, self.around.now),
            pending_reversals,
            notes,
        );
        contradictions(entry, &owner, notes);
        let size = body::size(entry, notes);
        let fallback = self.fallback(entry, risk, &owner, notes);
        let expressions: Vec<&Condition> = conditions
            .expressions()
            .chain(rules.iter().flat_map(|rules| rules.expressions()))
            .collect();
        let binds = headers::bound(entry, &expressions, notes);
        let members = body::members(&expressions, arguments.as_ref());
        let body = body::kind(entry, &expressions, arguments.as_ref(), notes);
        let (risk, pattern) = (risk?, pattern?);
        Some(Tool {
            definition: version::of_tool(&pattern, risk, arguments.as_ref(), &parameters),
            name: tool_name,
            pattern,
            risk,
            subject: conditions.subject,
            arguments,
            parameters,
            deny_when: conditions.deny_when,
            hold_when: conditions.hold_when,
            escalate_when: conditions.escalate_when,
            failure_when: conditions.failure_when,
            dedup: rules,
            always,
            forbidden: entry.forbidden.value().copied().unwrap_or(false),
            volume: entry.volume.value().map(|rate| rate.0),
            concurrency,
            escalation: entry.escalation.value().copied().unwrap_or(false),
            idempotent: entry
                .idempotent
                .value()
                .copied()
                .unwrap_or_else(|| tiers::is_idempotent(risk)),
            size,
            body,
            members,
            binds,
            timeout,
            fallback,
            mode,
            location: location(&at.span, notes),
        })
    }

    /// Lowers the expressions over one call, and the one over its answer.
    fn conditions(
        &self,
        entry: &ToolEntry,
        calls: CallShape<'_>,
        notes: &mut Notes<'_>,
    ) -> ToolConditions {
        let [deny_when, hold_when, escalate_when] = [
            ("deny_when", &entry.deny_when),
            ("hold_when", &entry.hold_when),
            ("escalate_when", &entry.escalate_when),
        ]
        .map(|(key, field)| modal(field, key, calls, self.around.now, notes));
        let failure_when = rule(
            &entry.failure_when,
            "failure_when",
            ConditionScope::Response,
            calls,
            notes,
        );
        let subject = condition(
            &entry.subject,
            "subject",
            ConditionScope::Request,
            calls,
            notes,
        );
        ToolConditions {
            deny_when,
            hold_when,
            escalate_when,
            failure_when,
            subject,
        }
    }

    /// Lowers `fallback`. For reads only: a change must not be made at a second upstream as well.
    fn fallback(
        &self,
        entry: &ToolEntry,
        risk: Option<Risk>,
        owner: &str,
        notes: &mut Notes<'_>,
    ) -> Option<Upstream> {
        let at = entry.fallback.given()?;
        if self.protocol == Protocol::Mcp {
            notes
                .error(
                    at.span.clone(),
                    "`fallback` cannot be used with MCP: a server keeps sessions, so no other one can answer for it",
                )
                .hint("drop `fallback`");
            return None;
        }
        if let Some(risk) = risk.filter(|risk| *risk != Risk::Read) {
            notes
                .error(at.span.clone(), format!("`fallback` is for read tools, and {owner} has risk {risk}"))
                .hint("a call that changes something must not be done at a second place; drop `fallback`, or write `risk: read`");
            return None;
        }
        let upstream = address::upstream(at, "fallback", self.around.process, notes)?;
        if Some(&upstream) == self.upstream {
            notes
                .warning(
                    at.span.clone(),
                    format!("`fallback` of {owner} is the api's own upstream"),
                )
                .hint("name another one, or drop it");
        }
        Some(upstream)
    }

    fn pattern(
        &self,
        entry: &ToolEntry,
        at: &At<String>,
        owner: &str,
        notes: &mut Notes<'_>,
    ) -> Option<Pattern> {
        if self.protocol == Protocol::Mcp && entry.r#match.is_absent() {
            return Some(Pattern::mcp(&at.value));
        }
        let written = match (&entry.r#match, self.openapi) {
            (Setting::Given(written), _) => written,
            (Setting::Bad, _) => return None,
            (Setting::Absent, Some(openapi)) => return openapi.pattern(at, owner, notes),
            (Setting::Absent, None) => {
                notes
                    .error(at.span.clone(), format!("{owner} lacks `match`"))
                    .label("`match` is missing here")
                    .hint("for example `match: POST /refunds` or `match: GET /orders/{order}`");
                return None;
            }
        };
        match self.protocol {
            Protocol::Mcp
                if written.value.is_empty() || written.value.contains(char::is_whitespace) =>
            {
                let message = format!(
                    "`match`: expected the name of an MCP tool, found `{}`",
                    written.value
                );
                notes.error(written.span.clone(), message).hint(
                    "the api speaks mcp; leave `match` out where the name is the same as `tool`",
                );
                None
            }
            Protocol::Mcp => Some(Pattern::mcp(&written.value)),
            Protocol::Http => Pattern::http(&written.value)
                .map_err(|message| {
                    notes.error(written.span.clone(), format!("`match`: {message}"));
                })
                .ok(),
        }
    }
}

fn ceiling(field: &Setting<Verdict>, notes: &mut Notes<'_>) -> Option<Verdict> {
    let at = field.given()?;
    if at.value == Verdict::Allow {
        notes
            .error(
                at.span.clone(),
                "`always: allow` has no effect: `always` can only make a verdict stricter",
            )
            .hint("write `hold` or `deny`; to allow more, change the tool's `risk` or a level");
        return None;
    }
    Some(at.value)
}

fn contradictions(entry: &ToolEntry, owner: &str, notes: &mut Notes<'_>) {
    let stopped = if entry.forbidden.value() == Some(&true) {
        "forbidden"
    } else if entry.always.value() == Some(&Verdict::Deny) {
        "always denied"
    } else {
        return;
    };
    for (key, field) in [
        ("hold_when", &entry.hold_when),
        ("escalate_when", &entry.escalate_when),
    ] {
        if let Some(at) = field.given() {
            notes
                .warning(
                    at.span.clone(),
                    format!("`{key}` has no effect: {owner} is {stopped}"),
                )
                .hint("drop one of the two");
        }
    }
    if let Some(at) = entry.escalation.given().filter(|at| at.value) {
        notes
            .warning(
                at.span.clone(),
                format!("{owner} is an escalation that no agent can use: it is {stopped}"),
            )
            .hint("drop one of the two");
    }
}
