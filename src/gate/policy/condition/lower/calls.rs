//! Operators and functions.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, operators};
use regex::RegexBuilder;

use super::{FORMS, Lowered, Lowering, MAX_REGEX};
use crate::gate::nearest::nearest;
use crate::gate::policy::condition::expression::{Arithmetic, Function, Node, Order, Part};

const MACROS: [&str; 7] = [
    "has",
    "matches",
    "all",
    "exists",
    "exists_one",
    "map",
    "filter",
];
impl<'s> Lowering<'s> {
    pub(super) fn call(&mut self, expr: &'s IdedExpr, call: &'s CallExpr, depth: usize) -> Lowered {
        if let (operators::INDEX, [operand, key]) = (call.func_name.as_str(), call.args.as_slice())
            && let Some(root) = self.root(operand)
        {
            return self.root_index(expr, root, key, depth);
        }
        if let (operators::IN, [wanted, container]) =
            (call.func_name.as_str(), call.args.as_slice())
            && let Some((_, part)) = self
                .root(container)
                .and_then(|root| Part::ALL.into_iter().find(|(name, _)| *name == root))
        {
            let key = self.lower(wanted, depth + 1)?;
            if let Node::Text(name) = &key {
                self.member(expr, part.name(), name)?;
            }
            return Ok(Node::HasPart(part, Box::new(key)));
        }
        if call.func_name == "matches" {
            return self.matches(expr, call, depth);
        }
        if call
            .func_name
            .starts_with(|c: char| c.is_ascii_alphabetic())
            || Function::ALL
                .iter()
                .any(|(function, ..)| *function == call.func_name)
        {
            return self.function(expr, call, depth);
        }
        self.operator(expr, call, depth)
    }

    fn operator(&mut self, expr: &'s IdedExpr, call: &'s CallExpr, depth: usize) -> Lowered {
        let mut nodes = call
            .args
            .iter()
            .map(|arg| self.lower(arg, depth + 1))
            .collect::<Result<Vec<_>, _>>()?
            .into_iter();
        let lowered = match (
            call.func_name.as_str(),
            nodes.next(),
            nodes.next(),
            nodes.next(),
        ) {
            (operators::LOGICAL_NOT, Some(inner), None, None) => Node::Not(Box::new(inner)),
            // `-9223372036854775808` and `-5.0` are literals, so that a bound on them is seen.
            (operators::NEGATE, Some(Node::Double(value)), None, None) => Node::Double(-value),
            (operators::NEGATE, Some(inner), None, None) => match inner {
                Node::Int(value) if value != i64::MIN => Node::Int(-value),
                inner => Node::Negate(Box::new(inner)),
            },
            (operators::CONDITIONAL, Some(test), Some(yes), Some(no)) => {
                Node::Choose(Box::new([test, yes, no]))
            }
            (name, Some(left), Some(right), None) => match binary(name, [left, right]) {
                Some(node) => node,
                None => {
                    return self.refuse(
                        expr,
                        format!("`{name}` is not part of the policy language"),
                        FORMS,
                    );
                }
            },
            (name, ..) => {
                return self.refuse(
                    expr,
                    format!("`{name}` is not part of the policy language"),
                    FORMS,
                );
            }
        };
        Ok(lowered)
    }

    fn matches(&mut self, expr: &'s IdedExpr, call: &'s CallExpr, depth: usize) -> Lowered {
        let (of, pattern) = match (&call.target, call.args.as_slice()) {
            (Some(of), [pattern]) => (&**of, pattern),
            (None, [of, pattern]) => (of, pattern),
            _ => {
                return self.refuse(
                    expr,
                    "`matches` takes one pattern",
                    "write `args.name.matches(\"^A-[0-9]+$\")`",
                );
            }
        };
        let Expr::Literal(LiteralValue::String(source)) = &pattern.expr else {
            return self.refuse(
                pattern,
                "a pattern is written out, not computed",
                "write `args.name.matches(\"^A-[0-9]+$\")`",
            );
        };
        let regex = RegexBuilder::new(source.inner())
            .size_limit(MAX_REGEX)
            .dfa_size_limit(MAX_REGEX)
            .nest_limit(64)
            .build();
        match regex {
            Ok(regex) => Ok(Node::Matches(Box::new(self.lower(of, depth + 1)?), regex)),
            Err(error) => {
                let text = error.to_string();
                let last = text
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim_start_matches("error: ");
                self.refuse(
                    pattern,
                    format!("not a regular expression: {last}"),
                    "look-around and back-references are left out, so that matching takes linear time",
                )
            }
        }
    }

    fn function(&mut self, expr: &'s IdedExpr, call: &'s CallExpr, depth: usize) -> Lowered {
        let name = call.func_name.as_str();
        let known = || {
            Function::ALL
                .into_iter()
                .filter(move |(function, ..)| *function == name)
        };
        if known().next().is_none() {
            let mut names: Vec<_> = Function::ALL
                .into_iter()
                .map(|(name, ..)| name)
                .chain(MACROS)
                .collect();
            names.dedup();
            let list = format!("functions are {}", names.join(", "));
            let hint = nearest(name, names).map_or_else(
                || list.clone(),
                |near| format!("did you mean `{near}`? {list}"),
            );
            return Err(self.bad(expr, &format!("unknown function `{name}`"), Some(hint)));
        }
        let Some((.., function)) = known().find(|(_, member, count, _)| {
            *member == call.target.is_some() && *count == call.args.len()
        }) else {
            let forms: Vec<_> = known()
                .map(|(name, member, count, _)| {
                    format!(
                        "`{}{name}({})`",
                        if member { "x." } else { "" },
                        ["", "y"][count.min(1)]
                    )
                })
                .collect();
            return self.refuse(
                expr,
                format!("`{name}` is not called like this"),
                &format!("write {}", forms.join(" or ")),
            );
        };
        let nodes = call
            .target
            .as_deref()
            .into_iter()
            .chain(&call.args)
            .map(|arg| self.lower(arg, depth + 1));
        nodes
            .collect::<Result<_, _>>()
            .map(|nodes| Node::Call(function, nodes))
    }
}

fn binary(name: &str, pair: [Node; 2]) -> Option<Node> {
    let pair = Box::new(pair);
    Some(match name {
        operators::LOGICAL_AND => Node::And(pair),
        operators::LOGICAL_OR => Node::Or(pair),
        operators::EQUALS => Node::Equal(pair),
        operators::NOT_EQUALS => Node::Not(Box::new(Node::Equal(pair))),
        operators::LESS => Node::Order(Order::Less, pair),
        operators::LESS_EQUALS => Node::Order(Order::LessOrEqual, pair),
        operators::GREATER => Node::Order(Order::Greater, pair),
        operators::GREATER_EQUALS => Node::Order(Order::GreaterOrEqual, pair),
        operators::IN => Node::In(pair),
        operators::INDEX => Node::Index(pair),
        operators::ADD => Node::Arithmetic(Arithmetic::Add, pair),
        operators::SUBSTRACT => Node::Arithmetic(Arithmetic::Subtract, pair),
        operators::MULTIPLY => Node::Arithmetic(Arithmetic::Multiply, pair),
        operators::DIVIDE => Node::Arithmetic(Arithmetic::Divide, pair),
        operators::MODULO => Node::Arithmetic(Arithmetic::Remainder, pair),
        _ => return None,
    })
}
