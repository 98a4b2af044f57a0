//! The functions of the policy language.

use std::rc::Rc;

use super::evaluate::{Evaluation, Fault, Result};
use super::expression::{Function, Node};
use super::value::{Text, Value};
use crate::gate::json::{Json, exact_binary64};

impl<'v> Evaluation<'v> {
    /// Calls `function` on the first of `nodes`, with the others as its arguments.
    pub(super) fn call(&mut self, function: Function, nodes: &'v [Node]) -> Result<'v> {
        let Some(of) = nodes.first() else {
            return Err(Fault::Failed(format!(
                "`{}` takes a value",
                function.name()
            )));
        };
        match function {
            Function::Size => {
                let value = self.value(of)?;
                let size = match &value {
                    Value::Text(text) => self.characters(text)?,
                    Value::Json(Json::String(text)) => self.characters(text)?,
                    Value::Map(entries) => entries.len(),
                    Value::Json(Json::Object(members)) => members.len(),
                    other => other.list_len().ok_or_else(|| {
                        Fault::Failed(format!(
                            "`{}` is {}, which has no size",
                            of.spell(),
                            other.kind()
                        ))
                    })?,
                };
                Ok(Value::Int(i64::try_from(size).unwrap_or(i64::MAX)))
            }
            Function::Contains | Function::StartsWith | Function::EndsWith => {
                let text = self.text(of)?;
                let part = match nodes.get(1) {
                    Some(node) => self.text(node)?,
                    None => Text::Borrowed(""),
                };
                self.spend((text.len() + part.len()) / 64)?;
                Ok(Value::Bool(match function {
                    Function::StartsWith => text.starts_with(&*part),
                    Function::EndsWith => text.ends_with(&*part),
                    _ => text.contains(&*part),
                }))
            }
            Function::LowerAscii | Function::UpperAscii | Function::Trim => {
                let text = self.text(of)?;
                self.spend(text.len() / 64)?;
                let changed: Rc<str> = match function {
                    Function::LowerAscii => text.to_ascii_lowercase().into(),
                    Function::UpperAscii => text.to_ascii_uppercase().into(),
                    _ => text.trim().into(),
                };
                Ok(Value::Text(Text::Shared(changed)))
            }
            Function::Int => self.int_of(of),
            Function::Double => {
                let unread = |text: &str| {
                    Fault::Failed(format!(
                        "`{}` is a text of {} bytes that is not a number",
                        of.spell(),
                        text.len()
                    ))
                };
                match self.read(of)? {
                    Value::Text(text) => exact_binary64(&text)
                        .map(Value::Double)
                        .ok_or_else(|| unread(&text)),
                    value => value
                        .as_double()
                        .map(Value::Double)
                        .ok_or_else(|| not_convertible(of, &value, "a double")),
                }
            }
            Function::String => {
                let value = self.value(of)?;
                let text = value
                    .written()
                    .map_err(|value| not_convertible(of, &value, "a string"))?;
                Ok(Value::Text(text))
            }
        }
    }

    fn characters(&mut self, text: &str) -> Result<'v, usize> {
        self.spend(text.len() / 64)?;
        Ok(text.chars().count())
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "the double was checked to lie within ±2^53"
    )]
    fn int_of(&mut self, of: &'v Node) -> Result<'v> {
        const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;
        match self.read(of)? {
            value @ Value::Int(_) => Ok(value),
            Value::Double(double) if double.abs() <= LARGEST_EXACT => Ok(Value::Int(double as i64)),
            Value::Text(text) => text.parse().map(Value::Int).map_err(|_| {
                Fault::Failed(format!(
                    "`{}` is a text of {} bytes that is not an integer",
                    of.spell(),
                    text.len()
                ))
            }),
            other => Err(not_convertible(of, &other, "an integer")),
        }
    }
}

fn not_convertible<'v>(of: &Node, value: &Value<'_>, into: &str) -> Fault<'v> {
    Fault::Failed(format!(
        "`{}` is {} that cannot be read as {into}",
        of.spell(),
        value.kind()
    ))
}
