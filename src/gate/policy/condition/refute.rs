//! Finds conditions that arguments which satisfy a schema can never meet: dead rules, which look
//! like protection and are none.
//!
//! Sound, and far from complete: what it cannot see through (`$ref`, `anyOf`, arithmetic), it says
//! nothing about. A condition whose evaluation always fails counts as never met too; such a call is
//! held or denied, but not for the reason that the policy's author had in mind.

use serde_json::Value;

use super::expression::{Node, Order};
use super::value::double_of;
use crate::gate::json::exact_binary64;

/// Why `node` is never true where `args` satisfy `schema`; `Value::Null` for no schema.
pub(super) fn never_true(node: &Node, schema: &Value) -> Option<String> {
    refuted(node, false, schema)
}

/// Why `node` is never true, or with `negated`, never false. An error is neither.
fn refuted(node: &Node, negated: bool, schema: &Value) -> Option<String> {
    match node {
        Node::Not(inner) => refuted(inner, !negated, schema),
        Node::And(pair) | Node::Or(pair) if matches!(node, Node::And(_)) != negated => {
            let one =
                refuted(&pair[0], negated, schema).or_else(|| refuted(&pair[1], negated, schema));
            one.or_else(|| exclusive(node, negated, schema))
        }
        Node::And(pair) | Node::Or(pair) => {
            let (one, other) = (
                refuted(&pair[0], negated, schema)?,
                refuted(&pair[1], negated, schema)?,
            );
            Some(format!("{one}; {other}"))
        }
        Node::Has(inner, member) => {
            let mut path = inner.args_path()?;
            path.push(member);
            match (Argument::at(schema, &path)?, negated) {
                (Argument { schema: None, .. }, false) => Some(conclude(
                    &format!("the schema allows no {}", spell(&path)),
                    node,
                    negated,
                )),
                (Argument { required: true, .. }, true) => Some(conclude(
                    &format!("the schema requires {}", spell(&path)),
                    node,
                    negated,
                )),
                _ => None,
            }
        }
        Node::In(pair) if !negated => {
            let Node::List(elements) = &pair[1] else {
                return None;
            };
            let path = pair[0].args_path()?;
            let argument = Argument::at(schema, &path)?;
            let reasons: Vec<_> = elements
                .iter()
                .map(|element| Some(argument.differs(&path, &Literal::of(element)?)))
                .collect::<Option<_>>()?;
            let reason = reasons
                .into_iter()
                .collect::<Option<Vec<_>>>()?
                .into_iter()
                .next()?;
            Some(conclude(&reason, node, negated))
        }
        _ => {
            let test = Test::of(node, negated)?;
            let argument = Argument::at(schema, &test.path)?;
            argument
                .refutes(&test)
                .map(|reason| conclude(&reason, node, negated))
        }
    }
}

/// Why the tests of an `&&` exclude each other, or together with the schema.
fn exclusive(node: &Node, negated: bool, schema: &Value) -> Option<String> {
    let mut tests = Vec::new();
    conjuncts(node, negated, &mut tests);
    let paths = tests.iter().map(|test| test.path.clone());
    for path in paths {
        let start = Argument::at(schema, &path)
            .and_then(|argument| argument.schema)
            .map_or(NumberRange::ANY, NumberRange::of);
        let same = tests
            .iter()
            .filter(|test| test.path == path)
            .filter_map(Test::bounds);
        if same.fold(start, NumberRange::and).is_empty() {
            return Some(conclude(
                &format!("no value of {} is left", spell(&path)),
                node,
                negated,
            ));
        }
    }
    None
}

fn conjuncts<'n>(node: &'n Node, negated: bool, tests: &mut Vec<Test<'n>>) {
    match node {
        Node::Not(inner) => conjuncts(inner, !negated, tests),
        Node::And(pair) | Node::Or(pair) if matches!(node, Node::And(_)) != negated => {
            pair.iter().for_each(|side| conjuncts(side, negated, tests));
        }
        _ => tests.extend(Test::of(node, negated)),
    }
}

fn conclude(reason: &str, node: &Node, negated: bool) -> String {
    let spelled = if negated {
        format!("!({})", node.spell())
    } else {
        node.spell()
    };
    format!("{reason}, so `{spelled}` can never match")
}

fn spell(path: &[&str]) -> String {
    let mut text = "args".to_owned();
    for member in path {
        text.push('.');
        text.push_str(member);
    }
    text
}

/// A comparison of a member of `args` with a literal.
struct Test<'n> {
    path: Vec<&'n str>,
    how: How,
    literal: Literal<'n>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Order(Order),
    Is,
    IsNot,
}

impl<'n> Test<'n> {
    fn of(node: &'n Node, negated: bool) -> Option<Self> {
        let is = |is: bool| if is { How::Is } else { How::IsNot };
        match node {
            Node::Order(order, pair) => {
                let order = if negated { order.opposite() } else { *order };
                let straight = pair[0]
                    .args_path()
                    .zip(Literal::of(&pair[1]))
                    .map(|sides| (sides, order));
                let ((path, literal), order) = straight.or_else(|| {
                    pair[1]
                        .args_path()
                        .zip(Literal::of(&pair[0]))
                        .map(|sides| (sides, order.mirrored()))
                })?;
                Some(Test {
                    path,
                    how: How::Order(order),
                    literal,
                })
            }
            Node::Equal(pair) => {
                let straight = pair[0].args_path().zip(Literal::of(&pair[1]));
                let (path, literal) =
                    straight.or_else(|| pair[1].args_path().zip(Literal::of(&pair[0])))?;
                Some(Test {
                    path,
                    how: is(!negated),
                    literal,
                })
            }
            // A condition by itself must be a boolean, so that `!args.force` is
            // `args.force == false` and fails for anything else.
            _ => Some(Test {
                path: node.args_path()?,
                how: How::Is,
                literal: Literal::Bool(!negated),
            }),
        }
    }

    /// The numbers that pass; `None` where others than numbers may pass too.
    fn bounds(&self) -> Option<NumberRange> {
        let Literal::Number(number) = self.literal else {
            return None;
        };
        let bound = Bound {
            at: number,
            open: matches!(self.how, How::Order(Order::Less | Order::Greater)),
        };
        match self.how {
            How::Order(Order::Less | Order::LessOrEqual) => Some(NumberRange {
                low: None,
                high: Some(bound),
            }),
            How::Order(Order::Greater | Order::GreaterOrEqual) => Some(NumberRange {
                low: Some(bound),
                high: None,
            }),
            How::Is => Some(NumberRange {
                low: Some(bound),
                high: Some(bound),
            }),
            How::IsNot => None,
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Literal<'n> {
    Null,
    Bool(bool),
    Number(f64),
    Text(&'n str),
}

impl<'n> Literal<'n> {
    fn of(node: &'n Node) -> Option<Self> {
        match node {
            Node::Null => Some(Literal::Null),
            Node::Bool(value) => Some(Literal::Bool(*value)),
            Node::Int(value) => double_of(*value).map(Literal::Number),
            Node::Double(value) => Some(Literal::Number(*value)),
            Node::Text(text) => Some(Literal::Text(text)),
            _ => None,
        }
    }

    fn of_json(value: &'n Value) -> Option<Self> {
        match value {
            Value::Null => Some(Literal::Null),
            Value::Bool(value) => Some(Literal::Bool(*value)),
            Value::Number(number) => number.as_f64().map(Literal::Number),
            Value::String(text) => Some(Literal::Text(text)),
            Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// As a schema's `type` calls it.
    fn types(&self) -> &'static [&'static str] {
        match self {
            Literal::Null => &["null"],
            Literal::Bool(_) => &["boolean"],
            Literal::Number(_) => &["number", "integer"],
            Literal::Text(_) => &["string"],
        }
    }
}

/// What a schema says of one member of `args`.
struct Argument<'s> {
    /// The member's schema; `None` where it may not be there at all.
    schema: Option<&'s Value>,
    required: bool,
}

impl<'s> Argument<'s> {
    /// `None` where the schema says nothing that is understood here.
    fn at(schema: &'s Value, path: &[&str]) -> Option<Self> {
        let (mut at, mut required) = (schema, false);
        for name in path {
            // In older drafts, `$ref` makes everything beside it void.
            if at.get("$ref").is_some() || at.get("$dynamicRef").is_some() {
                return None;
            }
            let is_object = at.get("type").and_then(Value::as_str) == Some("object");
            let names = at.get("required").and_then(Value::as_array);
            required = is_object
                && names
                    .is_some_and(|names| names.iter().any(|other| other.as_str() == Some(name)));
            let closed = at.get("additionalProperties") == Some(&Value::Bool(false))
                && at.get("patternProperties").is_none();
            match at
                .get("properties")
                .and_then(|properties| properties.get(name))
            {
                Some(Value::Bool(false)) => {
                    return Some(Argument {
                        schema: None,
                        required,
                    });
                }
                Some(member) => at = member,
                None if closed => {
                    return Some(Argument {
                        schema: None,
                        required,
                    });
                }
                None => return None,
            }
        }
        (at.is_object() && at.get("$ref").is_none() && at.get("$dynamicRef").is_none()).then_some(
            Argument {
                schema: Some(at),
                required,
            },
        )
    }

    /// Why `test` never passes.
    fn refutes(&self, test: &Test<'_>) -> Option<String> {
        let name = spell(&test.path);
        let Some(schema) = self.schema else {
            return Some(format!("the schema allows no {name}"));
        };
        match (test.how, test.literal) {
            (How::Is, literal) => self.differs(&test.path, &literal),
            (How::IsNot, literal) => {
                let only = allowed_values(schema)?;
                let same = only
                    .iter()
                    .all(|value| Literal::of_json(value) == Some(literal));
                (same && !only.is_empty()).then(|| format!("{name} is always that by the schema"))
            }
            (How::Order(_), literal) => excludes_type(schema, &literal)
                .map(|types| format!("{name} is {types} by the schema"))
                .or_else(|| {
                    let allowed = NumberRange::of(schema);
                    let asked = test.bounds()?;
                    allowed.and(asked).is_empty().then(|| {
                        format!("{name} is {} by the schema", allowed.spell_against(asked))
                    })
                }),
        }
    }

    /// Why the argument never equals `literal`.
    fn differs(&self, path: &[&str], literal: &Literal<'_>) -> Option<String> {
        let name = spell(path);
        let Some(schema) = self.schema else {
            return Some(format!("the schema allows no {name}"));
        };
        if let Some(types) = excludes_type(schema, literal) {
            return Some(format!("{name} is {types} by the schema"));
        }
        if let Some(values) = allowed_values(schema) {
            let understood = values
                .iter()
                .all(|value| Literal::of_json(value).is_some_and(|value| value != *literal));
            let listed: Vec<_> = values.iter().take(8).map(Value::to_string).collect();
            return understood
                .then(|| format!("{name} is one of {} by the schema", listed.join(", ")));
        }
        let Literal::Number(number) = literal else {
            return None;
        };
        let bound = Bound {
            at: *number,
            open: false,
        };
        let (allowed, asked) = (
            NumberRange::of(schema),
            NumberRange {
                low: Some(bound),
                high: Some(bound),
            },
        );
        allowed
            .and(asked)
            .is_empty()
            .then(|| format!("{name} is {} by the schema", allowed.spell_against(asked)))
    }
}

/// The values of `enum` or `const`.
fn allowed_values(schema: &Value) -> Option<&[Value]> {
    let constant = schema.get("const").map(std::slice::from_ref);
    constant.or_else(|| {
        schema
            .get("enum")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
    })
}

/// What the schema says the type is, where `literal` is of none of its types.
fn excludes_type(schema: &Value, literal: &Literal<'_>) -> Option<String> {
    let types: Vec<&str> = match schema.get("type")? {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    let possible = types.iter().any(|name| literal.types().contains(name));
    (!possible && !types.is_empty()).then(|| types.join(" or "))
}

#[derive(Clone, Copy)]
struct Bound {
    at: f64,
    /// The bound itself is left out.
    open: bool,
}

/// An interval of numbers.
#[derive(Clone, Copy)]
struct NumberRange {
    low: Option<Bound>,
    high: Option<Bound>,
}

impl NumberRange {
    const ANY: NumberRange = NumberRange {
        low: None,
        high: None,
    };

    fn of(schema: &Value) -> Self {
        let bound = |keyword: &str, open: bool| {
            let limit = schema.get(keyword)?.as_number()?;
            // A limit that binary64 rounds may equal a value that it excludes: then it is taken as
            // included.
            let open = open && exact_binary64(&limit.to_string()).is_some();
            limit.as_f64().map(|at| Bound { at, open })
        };
        let low = |keyword, open| NumberRange {
            low: bound(keyword, open),
            high: None,
        };
        let high = |keyword, open| NumberRange {
            low: None,
            high: bound(keyword, open),
        };
        let limits = [
            low("minimum", false),
            low("exclusiveMinimum", true),
            high("maximum", false),
            high("exclusiveMaximum", true),
        ];
        limits.into_iter().fold(NumberRange::ANY, NumberRange::and)
    }

    #[allow(
        clippy::float_cmp,
        reason = "limits as they were written; a margin would make a rule dead that is not"
    )]
    fn and(self, other: NumberRange) -> Self {
        let tighter = |one: Option<Bound>,
                       other: Option<Bound>,
                       is_tighter: fn(f64, f64) -> bool| match (one, other) {
            (Some(one), Some(other)) if one.at == other.at => Some(Bound {
                at: one.at,
                open: one.open || other.open,
            }),
            (Some(one), Some(other)) => Some(if is_tighter(one.at, other.at) {
                one
            } else {
                other
            }),
            (one, other) => one.or(other),
        };
        NumberRange {
            low: tighter(self.low, other.low, |a, b| a > b),
            high: tighter(self.high, other.high, |a, b| a < b),
        }
    }

    #[allow(clippy::float_cmp, reason = "as above")]
    fn is_empty(self) -> bool {
        match (self.low, self.high) {
            (Some(low), Some(high)) => {
                low.at > high.at || (low.at == high.at && (low.open || high.open))
            }
            _ => false,
        }
    }

    /// The side of these bounds that leaves nothing of `asked`.
    fn spell_against(self, asked: NumberRange) -> String {
        let from_above = NumberRange {
            low: asked.low,
            high: self.high,
        }
        .is_empty();
        match (self.low, self.high) {
            (_, Some(high)) if from_above => format!(
                "{} {}",
                if high.open { "below" } else { "at most" },
                high.at
            ),
            (Some(low), _) => format!("{} {}", if low.open { "above" } else { "at least" }, low.at),
            _ => "bounded".to_owned(),
        }
    }
}
