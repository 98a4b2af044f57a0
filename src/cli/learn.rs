//! `burngate learn`: tool entries for calls that no tool describes, to be read, corrected and
//! pasted.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::Args;

use super::client::{ConnectionArgs, query};
use super::failure::{Exit, Failure};
use super::render;
use super::render::number::counted;
use super::render::{escape, when};
use crate::api::unlisted::{UnlistedCall, UnlistedCalls};
use crate::config::openapi::guess;
use crate::gate::policy::Pattern;
use crate::gate::risk::Risk;
use crate::gate::time::Time;

/// Turn unlisted calls that a gate has seen into commented tool entries: paths, schemas, a guess at
/// the risk
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # Draft tools for the unlisted calls of support-triage since yesterday
  burngate learn --since 1d -w support-triage

The gate records the shape of unlisted calls, whether it refuses them or lets them pass in shadow: method, path with anything that looks like an id left out, and the names and types of their JSON members. It records no values.")]
pub(super) struct LearnArgs {
    /// Seen at or after: RFC 3339, or how long ago
    #[arg(long, value_name = "WHEN", default_value = "1d")]
    since: String,
    /// Of this workflow
    #[arg(short, long)]
    workflow: Option<String>,
    /// Print the gate's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl LearnArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let mut pairs = vec![("since", self.since.clone())];
        pairs.extend(
            self.workflow
                .iter()
                .map(|workflow| ("workflow", workflow.clone())),
        );
        let answer = self
            .connection
            .client()?
            .get(&format!("/v1/unlisted{}", query(&pairs)))?;
        if self.json {
            render::show_json(answer.json())?;
            return Ok(Exit::Did);
        }
        render::show(&page(&answer.read()?, &self.since, when::now()))?;
        Ok(Exit::Did)
    }
}

/// Calls of one kind, of all workflows.
#[derive(Default)]
struct SimilarUnlisted<'a> {
    calls: Vec<&'a UnlistedCall>,
}

fn page(found: &UnlistedCalls, since: &str, now: Time) -> String {
    let mut text = String::new();
    if found.calls.is_empty() {
        let _ = writeln!(text, "# no unlisted call since {}", escape(since));
    }
    let mut apis: BTreeMap<&str, BTreeMap<(&str, &str), SimilarUnlisted<'_>>> = BTreeMap::new();
    for call in &found.calls {
        apis.entry(&call.api)
            .or_default()
            .entry((&call.path, &call.method))
            .or_default()
            .calls
            .push(call);
    }
    for (api, kinds) in &apis {
        let (known, unknown): (Vec<_>, Vec<_>) = kinds
            .values()
            .partition(|alike| alike.calls.iter().any(|call| call.tool.is_some()));
        for call in known.iter().flat_map(|alike| &alike.calls) {
            let tool = call.tool.as_deref().unwrap_or_default();
            let seen = how_often(call, now);
            let _ = writeln!(
                text,
                "# {} {seen}: to allow it, add `- {}` to its `tools`",
                escape(&call.workflow),
                escape(tool)
            );
        }
        if unknown.is_empty() {
            continue;
        }
        let _ = writeln!(
            text,
            "# For `tools` of api `{}`. Read each, correct its risk, and add `{}/TOOL` to the `tools` of the workflow.",
            escape(api),
            escape(api)
        );
        let mut names: Vec<String> = Vec::new();
        for alike in unknown {
            entry(alike, &mut names, now, &mut text);
        }
    }
    if found.overflow > 0 {
        let _ = writeln!(
            text,
            "# {} of other kinds are missing because the list is full; kinds not seen for a week are dropped",
            counted(found.overflow, "call", "calls")
        );
    }
    text
}

fn entry(alike: &SimilarUnlisted<'_>, names: &mut Vec<String>, now: Time, text: &mut String) {
    let Some(first) = alike.calls.first() else {
        return;
    };
    for call in &alike.calls {
        let _ = writeln!(
            text,
            "  # {} by {}",
            how_often(call, now),
            escape(&call.workflow)
        );
    }
    let query: Vec<_> = first
        .query
        .iter()
        .map(|(name, count)| format!("{} ({count})", escape(name)))
        .collect();
    if !query.is_empty() {
        let _ = writeln!(
            text,
            "  # query parameters, and how often: {}",
            query.join(", ")
        );
    }
    let template = format!("{} {}", first.method, first.path);
    let Ok(pattern) = Pattern::http(&template) else {
        let _ = writeln!(text, "  # no pattern can match it: {}", escape(&template));
        return;
    };
    let name = guess::name(None, &first.method, &first.path, &|name| {
        names.iter().any(|taken| taken == name)
    });
    let guessed = guess::risk(&first.method, [first.path.as_str()]);
    let _ = writeln!(
        text,
        "  - tool: {name}\n    match: {}\n    risk: {:<24}# a guess: {}",
        quoted(&template),
        guessed.risk.as_str(),
        guessed.why
    );
    names.push(name);
    if guessed.risk != Risk::Read
        && let Some(subject) = guess::subject(pattern.capture_names(), first.arguments.as_ref())
    {
        let _ = writeln!(
            text,
            "    subject: {subject:<20} # the business object that a call touches, it seems"
        );
    }
    if let Some(schema) = &first.arguments {
        let _ = writeln!(
            text,
            "    arguments:                  # as all of them were; bound numbers and texts, and close it with `additionalProperties: false`"
        );
        let yaml = serde_saphyr::to_string(schema).unwrap_or_default();
        for line in yaml
            .lines()
            .filter(|line| !line.is_empty() && *line != "---")
        {
            let _ = writeln!(text, "      {line}");
        }
    }
}

fn how_often(call: &UnlistedCall, now: Time) -> String {
    format!(
        "seen {}, last {}",
        counted(call.count, "time", "times"),
        when::ago(now, call.last_at)
    )
}

/// A template as a YAML value.
fn quoted(template: &str) -> String {
    let is_plain = template
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '{' | '}' | '.' | '-' | ' '));
    if is_plain {
        template.to_owned()
    } else {
        serde_json::Value::from(template).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Moment;
    use crate::config::{Process, SourceFile, load};

    fn call(method: &str, path: &str) -> UnlistedCall {
        UnlistedCall {
            workflow: "triage".to_owned(),
            api: "shop".to_owned(),
            tool: None,
            method: method.to_owned(),
            path: path.to_owned(),
            count: 3,
            first_at: Moment(Time::from_millis(0)),
            last_at: Moment(Time::from_millis(1_000)),
            query: BTreeMap::new(),
            arguments: None,
        }
    }

    #[test]
    fn what_is_learned_can_be_pasted() {
        let schema = serde_json::json!({ "type": "object", "required": ["order"], "properties": { "order": { "type": "string" }, "on": { "type": ["null", "number"] } } });
        let refund = UnlistedCall {
            arguments: Some(schema),
            ..call("POST", "/refunds")
        };
        let look = UnlistedCall {
            query: BTreeMap::from([("limit".to_owned(), 2)]),
            ..call("GET", "/orders/{order}")
        };
        let other = UnlistedCall {
            workflow: "other".to_owned(),
            ..look.clone()
        };
        let known = UnlistedCall {
            tool: Some("shop/cancel".to_owned()),
            ..call("POST", "/cancel")
        };
        let found = UnlistedCalls {
            calls: vec![look, refund, other, known],
            overflow: 2,
        };
        let text = page(&found, "1d", Time::from_millis(61_000));
        insta::assert_snapshot!("learned", text);
        let api = format!("api: shop\nupstream: http://127.0.0.1:3000\ntools:\n{text}");
        let workflow =
            "workflow: triage\nrisk: medium\ntools: [shop/get_orders_order, shop/post_refunds]\n";
        let files = [
            SourceFile::new("shop.yaml", api),
            SourceFile::new("triage.yaml", workflow),
        ];
        let loaded = load(
            &files,
            &Process::default(),
            Time::from_millis(1_795_000_000_000),
        )
        .unwrap_or_else(|found| panic!("{}\n{text}", found.render(false)));
        assert!(
            loaded.warnings.is_empty(),
            "{}",
            loaded.warnings.render(false)
        );
    }

    #[test]
    fn an_empty_sample_is_reported() {
        assert_eq!(
            page(
                &UnlistedCalls {
                    calls: Vec::new(),
                    overflow: 0
                },
                "1d",
                Time::default()
            ),
            "# no unlisted call since 1d\n"
        );
    }
}
