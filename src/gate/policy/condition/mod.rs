//! Conditions: CEL over the facts of one call.
//!
//! An expression is compiled once, when a policy is read, and everything that can be wrong with it
//! without a call is said then (`lower`, `refute`). Judging a call (`evaluate`) reads only the
//! arguments that the expression names, takes a bounded number of steps, and either answers or says
//! why it cannot: an error is never an answer (G3).

use std::sync::Arc;
use std::thread;

use serde::{Serialize, Serializer};

use self::evaluate::{Evaluation, Fault};
use self::expression::Node;
use self::lower::Lowering;
use self::position::SourceOffsets;
use self::value::Value;
use super::facts::Facts;
use crate::gate::budget::burn::BurnRates;
use crate::gate::dedup::Amount;
use crate::gate::json::{Json, exact_binary64};

mod arithmetic;
mod comparison;
mod evaluate;
mod expression;
mod functions;
mod lookup;
mod lower;
mod position;
mod reads;
mod refute;
mod scope;
#[cfg(test)]
mod tests;
mod value;

pub use evaluate::{MAX_ELEMENTS, MAX_STEPS};
pub use lower::{MAX_EXPRESSION_DEPTH, MAX_NESTED};
pub use reads::Reads;
pub use scope::{BadCondition, ConditionScope};

/// The longest expression, in bytes.
pub const MAX_SOURCE: usize = 4096;

/// The stack that an expression is parsed on. The parser recurses through every rule of the grammar
/// for each bracket; what [`MAX_SOURCE`] can hold fits in here several times over, whatever stack
/// the caller has left.
const STACK: usize = 64 << 20;

/// A compiled expression.
#[derive(Debug)]
pub struct Condition {
    source: Arc<str>,
    node: Node,
    reads: Reads,
}

/// Why a condition gave no answer. Never an allow (G3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undecided {
    /// The request gives a part that the condition reads in a way that two readers could read
    /// differently: 400.
    Ambiguous(String),
    /// A number that the condition reads does not survive binary64: 400. Its JSON pointer in
    /// `args`, or `response.body` and its JSON pointer there.
    Inexact(String),
    /// It could not be evaluated.
    Failed(String),
}

impl Condition {
    /// Compiles `source`.
    pub fn compile(source: &str, scope: ConditionScope) -> Result<Self, BadCondition> {
        let refuse = |offset, message: &str, hint: &str| {
            Err(BadCondition {
                offset,
                message: message.to_owned(),
                hint: Some(hint.to_owned()),
            })
        };
        if source.len() > MAX_SOURCE {
            let message = format!(
                "an expression has at most {MAX_SOURCE} bytes, and this one has {}",
                source.len()
            );
            return refuse(
                source.floor_char_boundary(MAX_SOURCE),
                &message,
                "split it into several rules",
            );
        }
        if source.trim().is_empty() {
            return refuse(0, "expected an expression", "such as `args.amount > 500`");
        }
        let compiled = thread::scope(|scope_of_threads| {
            let parser = thread::Builder::new()
                .name("compile".to_owned())
                .stack_size(STACK);
            parser
                .spawn_scoped(scope_of_threads, || lowered(source, scope))
                .map(thread::ScopedJoinHandle::join)
        });
        let node = match compiled {
            Ok(Ok(lowered)) => lowered.map_err(|bad| *bad)?,
            Ok(Err(_)) => {
                return refuse(
                    0,
                    "this is not an expression that can be parsed",
                    "write it in another way",
                );
            }
            Err(_) => return refuse(0, "no thread could be started to parse this", "try again"),
        };
        let condition = Condition {
            source: source.into(),
            reads: Reads::of(&node),
            node,
        };
        condition.refuse_constant(scope)?;
        Ok(condition)
    }

    /// Does it hold?
    pub fn holds(&self, facts: &Facts<'_>) -> Result<bool, Undecided> {
        Evaluation::over(facts)
            .truth(&self.node)
            .map_err(|fault| undecided(fault, facts))
    }

    /// The text that it gives: a string, or a number's text. For `subject:` and `run.key:`; `None`
    /// for null, an empty string or a missing member.
    ///
    /// A number keeps all its digits, in one spelling: `1001` and `1001.0` are the same subject.
    pub fn text(&self, facts: &Facts<'_>) -> Result<Option<String>, Undecided> {
        let mut evaluation = Evaluation::over(facts);
        match evaluation.value(&self.node) {
            Ok(Value::Null | Value::Json(Json::Null)) | Err(Fault::Missing(_)) => Ok(None),
            Ok(value) => match value.written() {
                Ok(text) => Ok(Some(text.to_string()).filter(|text| !text.is_empty())),
                Err(value) => Err(Undecided::Failed(format!(
                    "`{}` is {}, not a string or a number",
                    self.node.spell(),
                    value.kind()
                ))),
            },
            Err(fault) => Err(undecided(fault, facts)),
        }
    }

    /// The exact amount that it gives, for a limit's `sum`; `None` for null or a missing member. A
    /// number of the call is taken digit by digit; one that the expression computes to 15
    /// significant digits, which is what binary64 keeps.
    pub fn amount(&self, facts: &Facts<'_>) -> Result<Option<Amount>, Undecided> {
        let mut evaluation = Evaluation::over(facts);
        let value = match evaluation.value(&self.node) {
            Ok(Value::Null | Value::Json(Json::Null)) | Err(Fault::Missing(_)) => return Ok(None),
            Ok(Value::Json(json @ Json::Number(number))) if exact_binary64(number).is_none() => {
                return Err(undecided(Fault::Inexact(json), facts));
            }
            Ok(value) => value,
            Err(fault) => return Err(undecided(fault, facts)),
        };
        let Some(number) = value.number() else {
            return Err(Undecided::Failed(format!(
                "`{}` is {}, not a number",
                self.node.spell(),
                value.kind()
            )));
        };
        match Amount::parse(&number) {
            Some(amount) => Ok(Some(amount)),
            None => Err(Undecided::Failed(format!(
                "`{}` is too large, or has too many decimal places, to be added up exactly",
                self.node.spell()
            ))),
        }
    }

    /// The expression as it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What it reads.
    #[must_use]
    pub fn reads(&self) -> &Reads {
        &self.reads
    }

    /// Does it read `args`?
    #[must_use]
    pub fn reads_args(&self) -> bool {
        self.reads.any_args()
    }

    /// Why it can never hold where `args` satisfy `schema`, as a sentence; `None` where it can, or
    /// where that is not known.
    #[must_use]
    pub fn never_holds_given(&self, schema: &serde_json::Value) -> Option<String> {
        refute::never_true(&self.node, schema)
    }

    /// Refuses a condition that says the same of every call: it was meant to say something else. An
    /// expression that gives a constant text is left alone.
    fn refuse_constant(&self, scope: ConditionScope) -> Result<(), BadCondition> {
        let always = match scope {
            ConditionScope::Request | ConditionScope::Response => {
                "say so with `always: hold` or `forbidden: true`"
            }
            ConditionScope::Signal => "leave it out",
        };
        let bad = |message: String, hint: &str| {
            Err(BadCondition {
                offset: 0,
                message,
                hint: Some(hint.to_owned()),
            })
        };
        match constant(&self.node) {
            Some(Ok(true)) => bad("the condition always matches".to_owned(), always),
            Some(Ok(false)) => bad("the condition can never match".to_owned(), "leave it out"),
            Some(Err(message)) => bad(
                format!("the condition can never be evaluated: {message}"),
                "every call would be held or denied",
            ),
            None => match refute::never_true(&self.node, &serde_json::Value::Null) {
                Some(sentence) => bad(sentence, "an `&&` needs both sides; did you mean `||`?"),
                None => Ok(()),
            },
        }
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}

fn lowered(source: &str, scope: ConditionScope) -> Result<Node, Box<BadCondition>> {
    let offsets = SourceOffsets::of(source);
    let (tree, info) = cel::parser::Parser::new()
        .parse_with_source_info(source)
        .map_err(|errors| {
            let (line, column, message) = errors
                .errors
                .into_iter()
                .next()
                .map_or((1, 1, String::new()), |error| {
                    (error.pos.0, error.pos.1, error.msg)
                });
            Box::new(BadCondition {
                offset: offsets.byte_at(line, column),
                message: syntax(&message),
                hint: syntax_hint(source),
            })
        })?;
    Lowering::new(scope, &info, &offsets).lower(&tree, 0)
}

/// The parser's words, without its list of every token that could have come instead.
fn syntax(message: &str) -> String {
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    let token = message
        .split_once("input '")
        .and_then(|(_, rest)| rest.split('\'').next());
    match token {
        Some("<EOF>") => "the expression ends too early".to_owned(),
        Some(token) if !token.is_empty() && token.len() <= 40 => {
            format!("unexpected `{}`", token.escape_debug())
        }
        _ => {
            let mut letters = message
                .split(" expecting")
                .next()
                .unwrap_or_default()
                .chars()
                .filter(|letter| !letter.is_control())
                .take(120);
            match letters.next() {
                Some(first) => first.to_lowercase().chain(letters).collect(),
                None => "not an expression".to_owned(),
            }
        }
    }
}

fn syntax_hint(source: &str) -> Option<String> {
    let spaced = |word: &str| source.contains(&format!(" {word} "));
    let hints = [
        ("=", "compare with `==`"),
        ("and", "write `&&`"),
        ("or", "write `||`"),
        ("not", "write `!`"),
        ("AND", "write `&&`"),
        ("OR", "write `||`"),
    ];
    let found = hints
        .into_iter()
        .find(|(word, _)| spaced(word) || (*word == "not" && source.starts_with("not ")));
    found.map(|(_, hint)| hint.to_owned())
}

/// The truth that `node` has for every call, or why it has none; `None` where it depends on the
/// call or is not about truth.
fn constant(node: &Node) -> Option<Result<bool, String>> {
    match node {
        Node::And(pair) | Node::Or(pair) if node.reads() => {
            let absorbing = matches!(node, Node::Or(_));
            pair.iter()
                .any(|side| constant(side) == Some(Ok(absorbing)))
                .then_some(Ok(absorbing))
        }
        Node::Not(inner) if node.reads() => constant(inner).map(|truth| truth.map(|truth| !truth)),
        _ if node.reads() => None,
        _ => {
            let burn = BurnRates::default();
            let facts = Facts::none(&burn);
            match Evaluation::over(&facts).value(node) {
                Ok(Value::Bool(truth)) => Some(Ok(truth)),
                Ok(_) => None,
                Err(fault) => Some(Err(sentence(fault))),
            }
        }
    }
}

fn sentence(fault: Fault<'_>) -> String {
    match fault {
        Fault::Ambiguous(text)
        | Fault::Bound(text)
        | Fault::Missing(text)
        | Fault::Failed(text) => text,
        Fault::Inexact(_) => "a number does not survive binary64".to_owned(),
    }
}

fn undecided(fault: Fault<'_>, facts: &Facts<'_>) -> Undecided {
    match fault {
        Fault::Ambiguous(part) => Undecided::Ambiguous(part),
        Fault::Inexact(number) => {
            let in_args = facts.args.and_then(|args| pointer(args, number));
            let body = facts.response.and_then(|response| response.body);
            let in_body = || {
                body.and_then(|body| pointer(body, number))
                    .map(|pointer| format!("response.body{pointer}"))
            };
            Undecided::Inexact(in_args.or_else(in_body).unwrap_or_default())
        }
        Fault::Bound(text) | Fault::Missing(text) | Fault::Failed(text) => Undecided::Failed(text),
    }
}

/// The JSON pointer (RFC 6901) to `wanted`, which is a part of `within`: found by its address, so
/// that evaluating keeps no trail.
fn pointer(within: &Json<'_>, wanted: &Json<'_>) -> Option<String> {
    if std::ptr::eq(
        std::ptr::from_ref(within).cast::<()>(),
        std::ptr::from_ref(wanted).cast::<()>(),
    ) {
        return Some(String::new());
    }
    match within {
        Json::Array(elements) => elements
            .iter()
            .enumerate()
            .find_map(|(at, element)| pointer(element, wanted).map(|rest| format!("/{at}{rest}"))),
        Json::Object(members) => members.iter().find_map(|(name, value)| {
            let rest = pointer(value, wanted)?;
            Some(format!(
                "/{}{rest}",
                name.replace('~', "~0").replace('/', "~1")
            ))
        }),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => None,
    }
}
