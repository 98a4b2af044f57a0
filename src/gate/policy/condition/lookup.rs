//! Looks values up: facts, parts of the request, members and elements.

use std::borrow::Cow;

use super::evaluate::{Evaluation, Fault, Result};
use super::expression::{Fact, Node, Part};
use super::value::{Text, Value};
use crate::gate::json::Json;

impl<'v> Evaluation<'v> {
    pub(super) fn fact(&self, fact: Fact) -> Result<'v> {
        let facts = self.facts;
        let text = |text: &'v str| Ok(Value::Text(Text::Borrowed(text)));
        let answer = || {
            facts
                .response
                .ok_or_else(|| Fault::Failed("there is no answer yet".to_owned()))
        };
        match fact {
            Fact::Args | Fact::Payload => Ok(facts.args.map_or(Value::Null, Value::Json)),
            Fact::Tool => text(facts.tool),
            Fact::Agent => text(facts.agent),
            Fact::Workflow => text(facts.workflow),
            Fact::RunId => text(facts.run.id),
            Fact::RunCalls => Ok(Value::Int(facts.run.calls.into())),
            Fact::RunEscalated => Ok(Value::Bool(facts.run.escalated)),
            Fact::Level => text(facts.level),
            Fact::Posture => text(facts.posture),
            Fact::Remaining => Ok(Value::Double(ten_thousandths(
                facts.remaining.ten_thousandths(),
            ))),
            Fact::Status => Ok(Value::Int(answer()?.status.into())),
            Fact::Body => Ok(answer()?.body.map_or(Value::Null, Value::Json)),
        }
    }

    pub(super) fn burn_rate(&self, look_back: &str) -> Result<'v> {
        match self.facts.burn.get(look_back) {
            Some(rate) => Ok(Value::Double(ten_thousandths(
                i64::try_from(rate).unwrap_or(i64::MAX),
            ))),
            None => Err(Fault::Failed(format!(
                "no burn-rate pair over {look_back} is in force for this objective"
            ))),
        }
    }

    /// A part of the request that has to be there.
    pub(super) fn named_part(&mut self, part: Part, key: &'v Node) -> Result<'v> {
        let name = self.text(key)?;
        let found = self.part(part, &name)?;
        found.map(Value::Text).ok_or_else(|| {
            Fault::Missing(format!("the request has no {} `{}`", word(part), &*name))
        })
    }

    pub(super) fn part(&self, part: Part, name: &str) -> Result<'v, Option<Text<'v>>> {
        let found = match part {
            Part::Path => self.facts.path.find(name),
            Part::Query => self.facts.query.find(name),
            Part::Header => self.facts.header.find(&name.to_ascii_lowercase()),
        };
        match found {
            Ok(found) => Ok(found.map(|text| match text {
                Cow::Borrowed(text) => Text::Borrowed(text),
                Cow::Owned(text) => Text::Shared(text.into()),
            })),
            Err(_) => Err(Fault::Ambiguous(format!("{} `{name}`", word(part)))),
        }
    }

    pub(super) fn text(&mut self, node: &'v Node) -> Result<'v, Text<'v>> {
        match self.read(node)? {
            Value::Text(text) => Ok(text),
            other => Err(Fault::Failed(format!(
                "`{}` is {}, not a string",
                node.spell(),
                other.kind()
            ))),
        }
    }

    /// A member that has to be there.
    pub(super) fn select(&mut self, inner: &'v Node, name: &str) -> Result<'v> {
        let of = self.value(inner)?;
        self.member(&of, name)?
            .ok_or_else(|| Fault::Missing(format!("`{}` has no member `{name}`", inner.spell())))
    }

    pub(super) fn member(&mut self, of: &Value<'v>, name: &str) -> Result<'v, Option<Value<'v>>> {
        match of {
            Value::Json(json @ Json::Object(members)) => {
                self.spend(members.len() / 16)?;
                Ok(json.get(name).map(Value::Json))
            }
            Value::Map(entries) => {
                let found = entries
                    .iter()
                    .find(|(key, _)| matches!(key, Value::Text(key) if **key == *name));
                Ok(found.map(|(_, value)| value.clone()))
            }
            Value::Null | Value::Json(Json::Null) => Ok(None),
            other => Err(Fault::Failed(format!(
                "{} has no member `{name}`",
                other.kind()
            ))),
        }
    }

    pub(super) fn index(&mut self, list: &'v Node, key: &'v Node) -> Result<'v> {
        let (of, at) = (self.value(list)?, self.read(key)?);
        let absent = || {
            Fault::Missing(format!(
                "`{}` has nothing at `{}`",
                list.spell(),
                key.spell()
            ))
        };
        if let Value::Map(entries) = &of {
            for (other, value) in entries.iter() {
                if self.equal(other, &at, 0)? {
                    return Ok(value.clone());
                }
            }
            return Err(absent());
        }
        match &at {
            Value::Text(name) => self.member(&of, name)?.ok_or_else(absent),
            Value::Int(_) | Value::Double(_) if of.list_len().is_some() => whole(&at)
                .and_then(|index| of.element(index))
                .ok_or_else(absent),
            other => Err(Fault::Failed(format!(
                "`{}` is {}, which cannot be indexed with {}",
                list.spell(),
                of.kind(),
                other.kind()
            ))),
        }
    }
}

fn word(part: Part) -> &'static str {
    match part {
        Part::Path => "path capture",
        Part::Query => "query parameter",
        Part::Header => "header",
    }
}

/// What is shown to four places, as a number.
#[allow(
    clippy::cast_precision_loss,
    reason = "a ratio shown to four places; beyond 2^53 it only has to stay huge"
)]
fn ten_thousandths(value: i64) -> f64 {
    value as f64 / 10_000.0
}

/// An index into a list.
fn whole(value: &Value<'_>) -> Option<usize> {
    match value {
        Value::Int(value) => usize::try_from(*value).ok(),
        Value::Double(value) => index_of(*value),
        _ => None,
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be a whole number within u32"
)]
fn index_of(value: f64) -> Option<usize> {
    (value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&value)).then_some(value as usize)
}
