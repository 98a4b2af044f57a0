//! The first policy of a new user: `burngate init` writes two commented files that load as
//! they are.
//!
//! It is meant to be read by a person who has never seen one. What it cannot know, such as the
//! tools of the API, it shows as an example to be replaced.

use std::fmt::Write as _;

use super::openapi::OpenApiDocument;
use super::openapi::draft::{Draft, Drafted, draft};
use super::quantity::Percentage;
use super::tiers;
use crate::gate::risk::{Risk, Tier};

/// What a first policy is written for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'w> {
    /// The workflow's name.
    pub workflow: &'w str,
    /// Its tier.
    pub risk: Tier,
    /// Where the tool API is.
    pub upstream: &'w str,
    /// How many runs are expected in a window.
    pub expected_runs: Option<u64>,
    /// The objective that imported history suggests instead.
    pub proposal: Option<&'w ObjectiveProposal>,
}

/// A target and a size that imported history suggests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectiveProposal {
    /// The target, in parts per million.
    pub target_ppm: u32,
    /// How many runs are expected in 30 days.
    pub expected_runs: u64,
    /// Why this target: lines of a comment.
    pub why: Vec<String>,
    /// Why this size.
    pub size: String,
}

/// The default target of a tier, in parts per million.
#[must_use]
pub fn default_target_ppm(risk: Tier) -> u32 {
    tiers::defaults(risk).target_ppm
}

/// The files of a starter policy, each with its name: the tool API and the workflow. What a history
/// proposes goes before what is expected.
#[must_use]
pub fn starter(
    workflow: &str,
    risk: Tier,
    upstream: &str,
    expected_runs: Option<u64>,
    proposal: Option<&ObjectiveProposal>,
) -> Vec<(String, String)> {
    let wanted = Wanted {
        workflow,
        risk,
        upstream,
        expected_runs,
        proposal,
    };
    let api = api_name(workflow);
    let mut names = vec!["get_item", "update_item", "send_message"];
    let mut api_text = api_file(api, upstream);
    // A low-tier workflow reaches a high-risk tool only if its policy says why.
    if risk != Tier::Low {
        names.push("refund");
        api_text.push_str(REFUND);
    }
    let tools: Vec<_> = names
        .iter()
        .map(|tool| format!("  - {api}/{tool}\n"))
        .collect();
    let tools = tools.concat();
    files(&wanted, api_text, &tools)
}

/// The files of a first policy for the API that `document` describes, which lies beside them as
/// `file`.
#[must_use]
pub fn starter_from(
    document: &OpenApiDocument<'_>,
    file: &str,
    wanted: &Wanted<'_>,
) -> Vec<(String, String)> {
    let api = api_name(wanted.workflow);
    let server = document.server_path();
    // A path that the upstream's address has is left out of the tools' patterns.
    let base = if wanted.upstream.trim_end_matches('/').ends_with(&server) {
        String::new()
    } else {
        server
    };
    let drafted = draft(document, &base);
    let tools = reached(api, &drafted.tools, wanted.risk);
    files(
        wanted,
        drafted_api_file(api, file, wanted.upstream, document, &drafted),
        &tools,
    )
}

/// The tool API's name in a starter for `workflow`.
#[must_use]
pub fn api_name(workflow: &str) -> &'static str {
    if workflow == "tools" {
        "tool-api"
    } else {
        "tools"
    }
}

fn files(wanted: &Wanted<'_>, api_text: String, tools: &str) -> Vec<(String, String)> {
    let Wanted {
        workflow,
        risk,
        expected_runs,
        proposal,
        ..
    } = *wanted;
    let target_ppm = proposal.map_or(tiers::defaults(risk).target_ppm, |proposal| {
        proposal.target_ppm
    });
    let expected_runs = proposal
        .map(|proposal| proposal.expected_runs)
        .or(expected_runs);
    // A high-tier budget over few runs would be burned by two failures: so the starter
    // states how many runs the target is for.
    let enough_runs = 3_000_000_u64.div_ceil(u64::from(1_000_000 - target_ppm));
    let runs = expected_runs.unwrap_or_else(|| enough_runs.max(100));
    let allowed = (u64::from(1_000_000 - target_ppm) * runs / 1_000_000).max(2);
    vec![
        (format!("{}.yaml", api_name(workflow)), api_text),
        (
            format!("{workflow}.yaml"),
            workflow_file(wanted, tools, Percentage(target_ppm), (runs, allowed)),
        ),
    ]
}

/// The tools that a first workflow reaches. A low-tier one has the laxest defaults, so it takes a
/// decision to let it reach what can do most harm.
fn reached(api: &str, tools: &[Drafted], risk: Tier) -> String {
    let mut text = String::new();
    for tool in tools {
        let is_left_out = risk == Tier::Low && tool.risk == Risk::High;
        let (lead, why) = if is_left_out {
            (
                "# ",
                "   # high: a low-tier workflow reaches it only with `accept_risk: \"reason\"`",
            )
        } else {
            ("", "")
        };
        let _ = writeln!(text, "  {lead}- {api}/{}{why}", tool.name);
    }
    if text.lines().all(|line| line.trim_start().starts_with('#')) {
        text.insert_str(0, "  []\n");
    }
    text
}

fn drafted_api_file(
    api: &str,
    file: &str,
    upstream: &str,
    document: &OpenApiDocument<'_>,
    drafted: &Draft,
) -> String {
    let title: String = document
        .title()
        .unwrap_or("the API")
        .chars()
        .take(80)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let (upstream, file) = (
        serde_json::Value::from(upstream),
        serde_json::Value::from(file),
    );
    let left_out = if drafted.left_out == 0 {
        String::new()
    } else {
        format!(
            "# {} are left out, with the reason beside each.\n",
            drafted.left_out
        )
    };
    let none = if drafted.tools.is_empty() { " []" } else { "" };
    format!(
        "\
# The tool API \"{title}\", drafted by `burngate init --openapi`: a tool for each operation of the document.
# The agent calls the gate instead of the server: a path of the API is found below http://127.0.0.1:8080/{api} there.
api: {api}
upstream: {upstream}
route: /{api}
openapi: {file}        # fills in what is not written here: schemas of bodies and parameters

# Every risk below is a guess, by the method and a few words. Read them all, and correct them:
#   read    looks, and changes nothing
#   low     changes something that is easily put right
#   medium  changes something that others see
#   high    moves money, reaches customers, or cannot be undone
# Delete the tools that your agent does not need: what is not listed is not allowed.
{left_out}tools:{none}
{}",
        drafted.text
    )
}

/// The example of a tool that can do much harm.
const REFUND: &str = "\n  - tool: refund
    match: POST /refunds
    risk: high
    subject: args.order
    arguments:
      type: object
      required: [order, amount]
      properties:
        order: { type: string }
        amount: { type: number, minimum: 0 }
      additionalProperties: false
    deny_when: args.amount > 5000.0    # these are refused, whoever approves
";

fn api_file(api: &str, upstream: &str) -> String {
    let upstream = serde_json::Value::from(upstream);
    format!(
        "\
# A tool API: a server that your agent calls, and the calls (tools) that it may make there.
# The agent calls the gate instead of the server: http://127.0.0.1:8080/{api}/items/42 reaches
# /items/42 there.
api: {api}
upstream: {upstream}
route: /{api}

# These tools are examples. Replace them with your own.
# risk says how much harm a call can do:
#   read    looks, and changes nothing
#   low     changes something that is easily put right
#   medium  changes something that others see
#   high    moves money, reaches customers, or cannot be undone
tools:
  - tool: get_item
    match: GET /items/{{item}}
    risk: read

  - tool: update_item
    match: PUT /items/{{item}}
    risk: low
    subject: path.item                 # the business object that a call touches
    idempotent: true                   # sending it twice is the same as sending it once
    arguments: {{ type: object }}

  - tool: send_message
    match: POST /messages
    risk: medium
    subject: args.to
    arguments:                         # JSON Schema: calls that do not satisfy it are refused
      type: object
      required: [to, text]
      properties:
        to: {{ type: string }}
        text: {{ type: string, maxLength: 2000 }}
      additionalProperties: false
    hold_when: size(args.text) > 1000  # a person must approve these
"
    )
}

fn workflow_file(
    wanted: &Wanted<'_>,
    tools: &str,
    target: Percentage,
    (runs, allowed): (u64, u64),
) -> String {
    let Wanted {
        workflow,
        risk,
        proposal,
        ..
    } = *wanted;
    let approvals = if risk == Tier::High {
        "
# By default two people decide on a high-risk call. This lets one decide; remove
# it once burngate.yaml lists two `reviewers`.
hold: { approvals: 1 }
"
    } else {
        ""
    };
    let comment = |line: &String| format!("  # {line}\n");
    let why: String = proposal.map_or_else(
        || {
            let general = [
                "The share of runs that must be acceptable. Choose less than the workflow",
                "achieves today: one that runs exactly at its target uses up its budget",
                "half of the time.",
            ];
            general.map(|line| comment(&line.to_owned())).concat()
        },
        |proposal| proposal.why.iter().map(comment).collect(),
    );
    let size = proposal
        .map(|proposal| comment(&proposal.size))
        .unwrap_or_default();
    format!(
        "\
# A workflow: a named job that an agent does, and how much failure it can absorb.
# `burngate check --print` shows this with every default of the {risk} tier filled in.
workflow: {workflow}
risk: {risk}

objective:
{why}  target: {target}
  window: 30d                          # rolling
{size}  # How many runs are expected in a window. At {target} of {runs}, {allowed} may fail.
  # When they are used up, the agent may do less, from its very next call on.
  expected_runs: {runs}

# The tools that it may call. Calls of anything else are {unlisted}.
tools:
{tools}{approvals}
# To try this policy out first: verdicts are recorded, and every call passes.
# mode: shadow
# until: YYYY-MM-DD                    # at most 60 days ahead
",
        unlisted = if risk == Tier::Low {
            "held for a person"
        } else {
            "denied"
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Process, SourceFile, load};
    use crate::gate::time::Time;

    #[test]
    fn a_starter_loads_without_a_warning_at_every_tier() {
        for risk in [Tier::Low, Tier::Medium, Tier::High] {
            for (workflow, runs) in [("support-triage", None), ("tools", Some(10_000))] {
                let files: Vec<_> = starter(workflow, risk, "http://127.0.0.1:3000", runs, None)
                    .into_iter()
                    .map(|(name, text)| SourceFile::new(name, text))
                    .collect();
                assert_ne!(files[0].name, files[1].name);
                let loaded = load(
                    &files,
                    &Process::default(),
                    Time::from_millis(1_795_000_000_000),
                )
                .unwrap_or_else(|found| panic!("{}", found.render(false)));
                assert!(
                    loaded.warnings.is_empty(),
                    "{}",
                    loaded.warnings.render(false)
                );
                assert_eq!(
                    loaded.policies.workflows[workflow].tools.len(),
                    if risk == Tier::Low { 3 } else { 4 }
                );
            }
        }
    }

    #[test]
    fn a_document_is_drafted_at_every_tier_and_loads() {
        let text = r#"{ "openapi": "3.0.3", "info": { "title": "Shop # two\n: x" }, "servers": [{ "url": "/v1" }], "paths": {
            "/orders/{id}": { "get": { "operationId": "getOrder" }, "delete": { "summary": "Remove it\nfor good \u2028 #" } },
            "/orders/{other}": { "get": { "operationId": "getOrderAgain" } },
            "/orders/{id}/lines/{line}.json": { "put": { "requestBody": { "content": { "application/json": { "schema": { "$ref": "lines.yaml" } } } } } },
            "/refunds": { "post": { "operationId": "on", "requestBody": { "required": true, "content": { "application/json": { "schema": {
                "type": "object", "required": ["orderId"], "properties": { "orderId": { "type": "string" } } } } } } } },
            "/a b/{x}{y}": { "post": {} } } }"#;
        let file = SourceFile::new("tools.openapi.json", text);
        let document = OpenApiDocument::read(&file).unwrap_or_else(|fault| panic!("{fault:?}"));
        for risk in [Tier::Low, Tier::Medium, Tier::High] {
            let wanted = Wanted {
                workflow: "triage",
                risk,
                upstream: "http://127.0.0.1:3000",
                expected_runs: None,
                proposal: None,
            };
            let mut files: Vec<_> = starter_from(&document, &file.name, &wanted)
                .into_iter()
                .map(|(name, text)| SourceFile::new(name, text))
                .collect();
            files.push(file.clone());
            let loaded = load(
                &files,
                &Process::default(),
                Time::from_millis(1_795_000_000_000),
            );
            let loaded =
                loaded.unwrap_or_else(|found| panic!("{}\n{}", found.render(false), files[0].text));
            assert_eq!(
                loaded.policies.apis["tools"].tools.len(),
                4,
                "{}",
                files[0].text
            );
            assert_eq!(
                loaded.policies.workflows["triage"].tools.len(),
                if risk == Tier::Low { 2 } else { 4 }
            );
            assert!(
                files[0].text.contains(
                    "# left out: GET /orders/{other}: `GET /v1/orders/{id}` matches its calls"
                ),
                "{}",
                files[0].text
            );
            assert!(
                files[0].text.contains(
                    "which is in another file
    arguments: { type: [object, array, string, number, boolean, \"null\"] }
    parameters: []"
                ),
                "{}",
                files[0].text
            );
        }
    }

    #[test]
    fn the_numbers_in_the_comments_are_those_of_the_policy() {
        let text = &starter("w", Tier::Medium, "http://x", Some(10_000), None)[1].1;
        assert!(text.contains("At 97% of 10000, 300 may fail"), "{text}");
        assert!(
            starter("w", Tier::High, "http://x", None, None)[1]
                .1
                .contains("At 99.5% of 600, 3 may fail")
        );
    }
}
