//! From CEL's syntax tree to what is evaluated: resolves names, refuses what the policy language
//! does not have, and bounds what an evaluation can cost.
//!
//! Only the parser is taken from the `cel` crate. Its interpreter looks variables and functions up
//! by name, compiles a regular expression at each match, boxes each value and knows no bound; a
//! gate judges every call, with arguments that somebody else chose.

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr, LiteralValue, SourceInfo, operators};

use super::expression::Node;
use super::position::SourceOffsets;
use super::scope::{BadCondition, ConditionScope};

mod calls;
mod comprehensions;
mod variables;

/// How deep comprehensions nest. Two of [`MAX_ELEMENTS`](super::MAX_ELEMENTS) are a million steps
/// already, which the bound on steps cuts short.
pub const MAX_NESTED: usize = 2;

/// How deep an expression nests. Evaluation recurses, on stacks that are not ours to size.
pub const MAX_EXPRESSION_DEPTH: usize = 64;

/// The most memory that a regular expression compiles to, in bytes.
pub(super) const MAX_REGEX: usize = 256 * 1024;

/// What the policy language has, for a hint.
const FORMS: &str = "conditions are CEL: comparisons, && || !, arithmetic, `in`, lists, `has`, all, exists, map, filter";

pub(super) struct Lowering<'s> {
    scope: ConditionScope,
    info: &'s SourceInfo,
    offsets: &'s SourceOffsets<'s>,
    /// Names of comprehension variables, outermost first.
    locals: Vec<&'s str>,
}

type Lowered = Result<Node, Box<BadCondition>>;

impl<'s> Lowering<'s> {
    pub(super) fn new(
        scope: ConditionScope,
        info: &'s SourceInfo,
        offsets: &'s SourceOffsets<'s>,
    ) -> Self {
        Lowering {
            scope,
            info,
            offsets,
            locals: Vec::new(),
        }
    }

    pub(super) fn lower(&mut self, expr: &'s IdedExpr, depth: usize) -> Lowered {
        if depth > MAX_EXPRESSION_DEPTH {
            return self.refuse(
                expr,
                format!("the expression nests deeper than {MAX_EXPRESSION_DEPTH}"),
                "split it into several rules",
            );
        }
        match &expr.expr {
            Expr::Literal(literal) => self.literal(expr, literal),
            Expr::Ident(name) => self.variable(expr, name),
            Expr::Select(select) => self.select(expr, select, depth),
            Expr::Call(call) => self.call(expr, call, depth),
            Expr::List(list) if list.optional_indices.is_empty() => list
                .elements
                .iter()
                .map(|element| self.lower(element, depth + 1))
                .collect::<Result<_, _>>()
                .map(Node::List),
            Expr::Map(map) => {
                let entries = map.entries.iter().map(|entry| match &entry.expr {
                    EntryExpr::MapEntry(entry) if !entry.optional => Ok((
                        self.lower(&entry.key, depth + 1)?,
                        self.lower(&entry.value, depth + 1)?,
                    )),
                    EntryExpr::MapEntry(_) | EntryExpr::StructField(_) => Err(self.bad(
                        expr,
                        "optional entries are not part of the policy language",
                        None,
                    )),
                });
                entries.collect::<Result<_, _>>().map(Node::Map)
            }
            Expr::Comprehension(comprehension) => self.each(expr, comprehension, depth),
            Expr::Struct(_) | Expr::List(_) | Expr::Unspecified => {
                self.refuse(expr, "this is not part of the policy language", FORMS)
            }
        }
    }

    fn literal(&self, expr: &IdedExpr, literal: &LiteralValue) -> Lowered {
        match literal {
            LiteralValue::Null => Ok(Node::Null),
            LiteralValue::Boolean(value) => Ok(Node::Bool(*value.inner())),
            LiteralValue::Int(value) => Ok(Node::Int(*value.inner())),
            LiteralValue::Double(value) if value.inner().is_finite() => {
                Ok(Node::Double(*value.inner()))
            }
            LiteralValue::Double(_) => self.refuse(
                expr,
                "this number is out of range",
                "write a number that binary64 has",
            ),
            LiteralValue::String(text) => Ok(Node::Text(text.inner().into())),
            LiteralValue::UInt(value) => self.refuse(
                expr,
                "unsigned numbers are not part of the policy language",
                &format!("write `{}`", value.inner()),
            ),
            LiteralValue::Bytes(_) => self.refuse(
                expr,
                "bytes are not part of the policy language",
                "write a string",
            ),
        }
    }

    fn refuse(&self, expr: &IdedExpr, message: impl AsRef<str>, hint: &str) -> Lowered {
        Err(self.bad(expr, message.as_ref(), Some(hint.to_owned())))
    }

    #[allow(
        clippy::unnecessary_box_returns,
        reason = "a large error in every result would be copied at every level of the tree"
    )]
    fn bad(&self, expr: &IdedExpr, message: &str, hint: Option<String>) -> Box<BadCondition> {
        let start = self
            .info
            .offset_for(first(expr).id)
            .map_or(0, |(start, _)| start);
        Box::new(BadCondition {
            offset: self.offsets.byte(start),
            message: message.to_owned(),
            hint,
        })
    }
}

/// Where an expression begins to the reader: the parser places `a.b` at its dot and `a[b]` at its
/// bracket.
fn first(mut expr: &IdedExpr) -> &IdedExpr {
    loop {
        expr = match &expr.expr {
            Expr::Select(select) => &select.operand,
            Expr::Call(call) => match (&call.target, call.func_name.as_str(), call.args.first()) {
                (Some(target), ..) => target,
                (None, operators::INDEX, Some(operand)) => operand,
                _ => return expr,
            },
            _ => return expr,
        };
    }
}
