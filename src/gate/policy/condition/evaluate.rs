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

use std::borrow::Cow;
use std::cmp::Ordering;
use std::rc::Rc;

use super::expression::{Arithmetic, Each, EachKind, Fact, Node, Order, Part};
use super::lower::MAX_NESTED;
use super::value::{Text, Value, compare_int};
use crate::gate::json::{Json, exact_binary64};
use crate::gate::policy::facts::Facts;

/// The most elements that a comprehension may look at.
pub const MAX_ELEMENTS: usize = 1_000;

/// The most steps that one evaluation may take, where a step is one operator, one element, 64 bytes
/// of text that are compared, 16 that are joined, or 8 that a pattern looks at. A few milliseconds,
/// and at most 2 MB of text.
pub const MAX_STEPS: usize = 100_000;

/// Values nested deeper than this are not compared. `wire` reads at most 128.
const MAX_DEPTH: usize = 160;

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
    facts: &'v Facts<'v>,
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
            Node::Burn(look_back) => match self.facts.burn.get(look_back) {
                Some(rate) => Ok(Value::Double(ten_thousandths(
                    i64::try_from(rate).unwrap_or(i64::MAX),
                ))),
                None => Err(Fault::Failed(format!(
                    "no burn-rate pair over {look_back} is in force for this objective"
                ))),
            },
            Node::Part(part, key) => {
                let name = self.text(key)?;
                let found = self.part(*part, &name)?;
                found.map(Value::Text).ok_or_else(|| {
                    Fault::Missing(format!("the request has no {} `{}`", word(*part), &*name))
                })
            }
            Node::HasPart(part, key) => {
                let name = self.text(key)?;
                Ok(Value::Bool(self.part(*part, &name)?.is_some()))
            }
            Node::Local(local) => Ok(self.locals[*local].clone()),
            Node::Select(inner, name) => {
                let of = self.value(inner)?;
                self.member(&of, name)?.ok_or_else(|| missing(inner, name))
            }
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

    fn scalar(&mut self, value: Value<'v>) -> Result<'v> {
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

    fn fact(&self, fact: Fact) -> Result<'v> {
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

    fn part(&self, part: Part, name: &str) -> Result<'v, Option<Text<'v>>> {
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

    fn member(&mut self, of: &Value<'v>, name: &str) -> Result<'v, Option<Value<'v>>> {
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

    fn index(&mut self, list: &'v Node, key: &'v Node) -> Result<'v> {
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

    fn equal(&mut self, left: &Value<'v>, right: &Value<'v>, depth: usize) -> Result<'v, bool> {
        self.spend(1)?;
        if depth > MAX_DEPTH {
            return Err(Fault::Bound(format!(
                "values nested deeper than {MAX_DEPTH} are not compared"
            )));
        }
        let (left, right) = (self.scalar(left.clone())?, self.scalar(right.clone())?);
        Ok(match (&left, &right) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(left), Value::Bool(right)) => left == right,
            (Value::Int(_) | Value::Double(_), Value::Int(_) | Value::Double(_)) => {
                compare(&left, &right) == Some(Ordering::Equal)
            }
            (Value::Text(one), Value::Text(other)) => {
                self.spend(one.len().min(other.len()) / 64)?;
                **one == **other
            }
            (Value::Json(Json::Object(ours)), Value::Json(theirs @ Json::Object(others))) => {
                self.spend(ours.len() * others.len() / 16)?;
                if ours.len() != others.len() {
                    return Ok(false);
                }
                for (name, value) in ours {
                    let Some(other) = theirs.get(name) else {
                        return Ok(false);
                    };
                    if !self.equal(&Value::Json(value), &Value::Json(other), depth + 1)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Value::Map(_), Value::Map(_) | Value::Json(Json::Object(_)))
            | (Value::Json(Json::Object(_)), Value::Map(_)) => {
                return Err(Fault::Failed(
                    "a map written in the policy is looked up, not compared".to_owned(),
                ));
            }
            _ => match (left.list_len(), right.list_len()) {
                (Some(ours), Some(theirs)) if ours == theirs => {
                    for at in 0..ours {
                        if let (Some(one), Some(other)) = (left.element(at), right.element(at))
                            && !self.equal(&one, &other, depth + 1)?
                        {
                            return Ok(false);
                        }
                    }
                    true
                }
                _ => false,
            },
        })
    }

    fn order(&mut self, order: Order, pair: &'v [Node; 2]) -> Result<'v> {
        let (left, right) = (self.read(&pair[0])?, self.read(&pair[1])?);
        if let (Value::Text(one), Value::Text(other)) = (&left, &right) {
            self.spend(one.len().min(other.len()) / 64)?;
        }
        let found = compare(&left, &right).ok_or_else(|| {
            let (one, other) = (&pair[0], &pair[1]);
            Fault::Failed(format!(
                "`{}` is {} and `{}` is {}, which do not compare",
                one.spell(),
                left.kind(),
                other.spell(),
                right.kind()
            ))
        })?;
        Ok(Value::Bool(match order {
            Order::Less => found.is_lt(),
            Order::LessOrEqual => found.is_le(),
            Order::Greater => found.is_gt(),
            Order::GreaterOrEqual => found.is_ge(),
        }))
    }

    fn contained(&mut self, pair: &'v [Node; 2]) -> Result<'v> {
        let (wanted, container) = (self.read(&pair[0])?, self.value(&pair[1])?);
        if let Some(count) = container.list_len() {
            for at in 0..count {
                if let Some(element) = container.element(at)
                    && self.equal(&wanted, &element, 0)?
                {
                    return Ok(Value::Bool(true));
                }
            }
            return Ok(Value::Bool(false));
        }
        match (&container, &wanted) {
            (Value::Json(Json::Object(_)), Value::Text(name)) => {
                Ok(Value::Bool(self.member(&container, name)?.is_some()))
            }
            (Value::Json(Json::Object(_)), _) => Ok(Value::Bool(false)),
            (Value::Map(entries), _) => {
                for (key, _) in entries.iter() {
                    if self.equal(key, &wanted, 0)? {
                        return Ok(Value::Bool(true));
                    }
                }
                Ok(Value::Bool(false))
            }
            _ => Err(Fault::Failed(format!(
                "`in` takes a list or an object, and `{}` is {}",
                pair[1].spell(),
                container.kind()
            ))),
        }
    }

    fn arithmetic(&mut self, sign: Arithmetic, pair: &'v [Node; 2]) -> Result<'v> {
        let (left, right) = (self.read(&pair[0])?, self.read(&pair[1])?);
        let spelled = || format!("{} {} {}", pair[0].spell(), sign.sign(), pair[1].spell());
        let out_of_range = || {
            Fault::Failed(format!(
                "`{}` divides by zero or is out of range",
                spelled()
            ))
        };
        match (&left, &right) {
            (Value::Int(left), Value::Int(right)) => {
                let result = match sign {
                    Arithmetic::Add => left.checked_add(*right),
                    Arithmetic::Subtract => left.checked_sub(*right),
                    Arithmetic::Multiply => left.checked_mul(*right),
                    Arithmetic::Divide => left.checked_div(*right),
                    Arithmetic::Remainder => left.checked_rem(*right),
                };
                return result.map(Value::Int).ok_or_else(out_of_range);
            }
            (Value::Text(one), Value::Text(other)) if sign == Arithmetic::Add => {
                // Joined texts are also memory, all of it held until the evaluation ends.
                self.spend((one.len() + other.len()) / 16)?;
                let joined: String = [&**one, &**other].concat();
                return Ok(Value::Text(Text::Shared(joined.into())));
            }
            _ => {}
        }
        if let (Some(ours), Some(theirs), Arithmetic::Add) =
            (left.list_len(), right.list_len(), sign)
        {
            self.spend(ours + theirs)?;
            let elements = (0..ours)
                .filter_map(|at| left.element(at))
                .chain((0..theirs).filter_map(|at| right.element(at)));
            return Ok(Value::List(elements.collect()));
        }
        let (Some(ours), Some(theirs)) = (left.as_double(), right.as_double()) else {
            return Err(Fault::Failed(format!(
                "`{}` takes {} and {}, which is not defined",
                spelled(),
                left.kind(),
                right.kind()
            )));
        };
        let result = match sign {
            Arithmetic::Add => ours + theirs,
            Arithmetic::Subtract => ours - theirs,
            Arithmetic::Multiply => ours * theirs,
            Arithmetic::Divide => ours / theirs,
            Arithmetic::Remainder => ours % theirs,
        };
        if result.is_finite() {
            Ok(Value::Double(result))
        } else {
            Err(out_of_range())
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

fn word(part: Part) -> &'static str {
    match part {
        Part::Path => "path capture",
        Part::Query => "query parameter",
        Part::Header => "header",
    }
}

fn missing<'v>(of: &Node, name: &str) -> Fault<'v> {
    Fault::Missing(format!("`{}` has no member `{name}`", of.spell()))
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

fn compare(left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::Double(left), Value::Double(right)) => left.partial_cmp(right),
        (Value::Int(left), Value::Double(right)) => Some(compare_int(*left, *right)),
        (Value::Double(left), Value::Int(right)) => Some(compare_int(*right, *left).reverse()),
        (Value::Text(left), Value::Text(right)) => Some((**left).cmp(right)),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        _ => None,
    }
}
