//! Evaluates a condition over the facts of one call.
//!
//! The meaning is CEL's, with what a gate needs to be stricter about (G3). A number is judged only
//! if binary64 keeps it, and only if it is read. Neither that nor an ambiguous part of the request
//! is absorbed by `||` or `&&`, as CEL would absorb an ordinary error: the request is refused
//! whatever else holds. No result is ever NaN or infinite. `null` has no members, so `has(args.x)`
//! is false for a call without a body. An integer and a double may be mixed, because every JSON
//! number is a double and `args.amount * 2` should mean what it says.
//!
//! Evaluation is bounded: by the depth that `lower` allows, by [`MAX_ELEMENTS`] per comprehension,
//! and by [`MAX_STEPS`] over all (F31).

use std::rc::Rc;

use super::expression::{Each, EachKind, Node};
use super::lower::MAX_NESTED;
use super::value::{Text, Value};
use crate::gate::json::{Json, exact_binary64};
use crate::gate::policy::facts::Facts;

/// The most elements that a comprehension may look at.
pub const MAX_ELEMENTS: usize = 1_000;

/// The most steps that one evaluation may take, where a step is one operator, one element, 64 bytes
/// of text that are compared, 16 that are joined, or 8 that a pattern looks at. A few milliseconds,
/// and at most 2 MB of text.
pub const MAX_STEPS: usize = 100_000;

/// Why there is no value.
#[derive(Debug)]
pub(super) enum Fault<'v> {
    /// A part of the request that two readers could read differently.
    Ambiguous(String),
    /// A number that does not survive binary64.
    Inexact(&'v Json<'v>),
    /// More elements or steps than an evaluation may take.
    Bound(String),
    /// A member that is not there.
    Missing(String),
    /// Any other error of the language.
    Failed(String),
}

impl Fault<'_> {
    /// May `||` and `&&` do without this side?
    fn is_absorbed(&self) -> bool {
        matches!(self, Fault::Missing(_) | Fault::Failed(_))
    }
}

pub(super) type Result<'v, T = Value<'v>> = std::result::Result<T, Fault<'v>>;

/// One evaluation.
pub(super) struct Evaluation<'v> {
    pub(super) facts: &'v Facts<'v>,
    locals: [Value<'v>; MAX_NESTED],
    steps: usize,
}

impl<'v> Evaluation<'v> {
    pub(super) fn over(facts: &'v Facts<'v>) -> Self {
        Evaluation {
            facts,
            locals: [const { Value::Null }; MAX_NESTED],
            steps: 0,
        }
    }

    /// The truth of `node`.
    pub(super) fn truth(&mut self, node: &'v Node) -> Result<'v, bool> {
        match self.read(node)? {
            Value::Bool(truth) => Ok(truth),
            other => Err(Fault::Failed(format!(
                "`{}` is {}, not true or false",
                node.spell(),
                other.kind()
            ))),
        }
    }

    /// The value of `node`; parts of the call unread.
    pub(super) fn value(&mut self, node: &'v Node) -> Result<'v> {
        self.spend(1)?;
        match node {
            Node::Null => Ok(Value::Null),
            Node::Bool(value) => Ok(Value::Bool(*value)),
            Node::Int(value) => Ok(Value::Int(*value)),
            Node::Double(value) => Ok(Value::Double(*value)),
            Node::Text(text) => Ok(Value::Text(Text::Borrowed(text))),
            Node::Fact(fact) => self.fact(*fact),
            Node::Burn(look_back) => self.burn_rate(look_back),
            Node::Part(part, key) => self.named_part(*part, key),
            Node::HasPart(part, key) => {
                let name = self.text(key)?;
                Ok(Value::Bool(self.part(*part, &name)?.is_some()))
            }
            Node::Local(local) => Ok(self.locals[*local].clone()),
            Node::Select(inner, name) => self.select(inner, name),
            Node::Has(inner, name) => {
                let of = self.value(inner)?;
                Ok(Value::Bool(self.member(&of, name)?.is_some()))
            }
            Node::Index(pair) => self.index(&pair[0], &pair[1]),
            Node::Not(inner) => Ok(Value::Bool(!self.truth(inner)?)),
            Node::Negate(inner) => match self.read(inner)? {
                Value::Int(value) => value
                    .checked_neg()
                    .map(Value::Int)
                    .ok_or_else(|| Fault::Failed(format!("`{}` is out of range", node.spell()))),
                Value::Double(value) => Ok(Value::Double(-value)),
                other => Err(Fault::Failed(format!(
                    "`-` takes a number, and `{}` is {}",
                    inner.spell(),
                    other.kind()
                ))),
            },
            Node::And(pair) => self.logic(pair, false),
            Node::Or(pair) => self.logic(pair, true),
            Node::Choose(three) => {
                let chosen = if self.truth(&three[0])? {
                    &three[1]
                } else {
                    &three[2]
                };
                self.value(chosen)
            }
            Node::Equal(pair) => {
                let (left, right) = (self.value(&pair[0])?, self.value(&pair[1])?);
                self.equal(&left, &right, 0).map(Value::Bool)
            }
            Node::Order(order, pair) => self.order(*order, pair),
            Node::In(pair) => self.contained(pair),
            Node::Arithmetic(sign, pair) => self.arithmetic(*sign, pair),
            Node::Call(function, nodes) => self.call(*function, nodes),
            Node::Matches(inner, pattern) => {
                let text = self.text(inner)?;
                // A regular expression costs more for each byte than a comparison does, but no more
                // than this (it never backtracks).
                self.spend(text.len() / 8)?;
                Ok(Value::Bool(pattern.is_match(&text)))
            }
            Node::List(nodes) => nodes
                .iter()
                .map(|node| self.value(node))
                .collect::<Result<'v, Rc<[_]>>>()
                .map(Value::List),
            Node::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| Ok((self.read(key)?, self.value(value)?)));
                entries.collect::<Result<'v, Rc<[_]>>>().map(Value::Map)
            }
            Node::Each(each) => self.each(each),
        }
    }

    /// The value of `node`, with a scalar of the call read.
    pub(super) fn read(&mut self, node: &'v Node) -> Result<'v> {
        let value = self.value(node)?;
        self.scalar(value)
    }

    pub(super) fn spend(&mut self, steps: usize) -> Result<'v, ()> {
        self.steps += steps;
        if self.steps > MAX_STEPS {
            return Err(Fault::Bound(format!(
                "judging this call takes more than {MAX_STEPS} steps"
            )));
        }
        Ok(())
    }

    /// `value`, with a scalar of the call read.
    pub(super) fn scalar(&mut self, value: Value<'v>) -> Result<'v> {
        let Value::Json(json) = value else {
            return Ok(value);
        };
        Ok(match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => {
                self.spend(number.len() / 64)?;
                Value::Double(exact_binary64(number).ok_or(Fault::Inexact(json))?)
            }
            Json::String(text) => Value::Text(Text::Borrowed(text)),
            Json::Array(_) | Json::Object(_) => value,
        })
    }

    /// `&&` where `decides` is false, `||` where it is true. As in CEL, a side that decides makes
    /// up for an error on the other.
    fn logic(&mut self, pair: &'v [Node; 2], decides: bool) -> Result<'v> {
        let fault = match self.truth(&pair[0]) {
            Ok(truth) if truth == decides => return Ok(Value::Bool(decides)),
            Ok(_) => None,
            Err(fault) if fault.is_absorbed() => Some(fault),
            Err(fault) => return Err(fault),
        };
        match (self.truth(&pair[1])?, fault) {
            (truth, _) if truth == decides => Ok(Value::Bool(decides)),
            (_, Some(fault)) => Err(fault),
            (truth, None) => Ok(Value::Bool(truth)),
        }
    }

    fn each(&mut self, each: &'v Each) -> Result<'v> {
        let range = self.value(&each.range)?;
        let count = match &range {
            Value::Json(Json::Object(members)) => members.len(),
            Value::Map(entries) => entries.len(),
            other => other.list_len().ok_or_else(|| {
                Fault::Failed(format!(
                    "`{}` is {}, not a list",
                    each.range.spell(),
                    other.kind()
                ))
            })?,
        };
        if count > MAX_ELEMENTS {
            return Err(Fault::Bound(format!(
                "`{}` has {count} elements, and a condition may look at {MAX_ELEMENTS}",
                each.range.spell()
            )));
        }
        let mut fault = None;
        let mut matched = 0_usize;
        let mut collected = Vec::new();
        for at in 0..count {
            let element = match &range {
                Value::Json(Json::Object(members)) => Value::Text(Text::Borrowed(&members[at].0)),
                Value::Map(entries) => entries[at].0.clone(),
                list => list.element(at).unwrap_or(Value::Null),
            };
            self.locals[each.local] = element.clone();
            let test = each.test.as_ref().map_or(Ok(true), |test| self.truth(test));
            match (each.kind, test) {
                (EachKind::All, Ok(false)) => return Ok(Value::Bool(false)),
                (EachKind::Exists, Ok(true)) => return Ok(Value::Bool(true)),
                // CEL: another element may still decide, whatever this one did.
                (EachKind::All | EachKind::Exists, Err(error)) if error.is_absorbed() => {
                    fault = fault.or(Some(error));
                }
                (_, Err(error)) => return Err(error),
                (EachKind::Collect, Ok(true)) => collected.push(match &each.give {
                    Some(give) => self.value(give)?,
                    None => element,
                }),
                (_, Ok(truth)) => matched += usize::from(truth),
            }
        }
        match (fault, each.kind) {
            (Some(fault), _) => Err(fault),
            (None, EachKind::All) => Ok(Value::Bool(true)),
            (None, EachKind::Exists) => Ok(Value::Bool(false)),
            (None, EachKind::ExistsOne) => Ok(Value::Bool(matched == 1)),
            (None, EachKind::Collect) => Ok(Value::List(collected.into())),
        }
    }
}
