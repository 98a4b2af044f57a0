//! From CEL's syntax tree to what is evaluated: resolves names, refuses what the policy language
//! does not have, and bounds what an evaluation can cost.
//!
//! Only the parser is taken from the `cel` crate. Its interpreter looks variables and functions up
//! by name, compiles a regular expression at each match, boxes each value and knows no bound; a
//! gate judges every call, with arguments that somebody else chose.

use cel::IdedExpr;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, SelectExpr, SourceInfo, operators,
};
use regex::RegexBuilder;

use super::expression::{Arithmetic, Each, EachKind, Fact, Function, Node, Order, Part};
use super::position::{Places, nearest};
use super::scope::{BadCondition, Scope};
use crate::gate::budget::burn::LOOK_BACKS;

/// How deep comprehensions nest. Two of [`MAX_ELEMENTS`](super::MAX_ELEMENTS) are a million steps
/// already, which the bound on steps cuts short.
pub const MAX_NESTED: usize = 2;

/// How deep an expression nests. Evaluation recurses, on stacks that are not ours to size.
pub const MAX_DEPTH: usize = 64;

/// The most memory that a regular expression compiles to, in bytes.
pub(super) const MAX_REGEX: usize = 256 * 1024;

pub(super) struct Lowering<'s> {
    scope: Scope,
    info: &'s SourceInfo,
    places: &'s Places<'s>,
    /// Names of comprehension variables, outermost first.
    locals: Vec<&'s str>,
}

type Lowered = Result<Node, Box<BadCondition>>;

impl<'s> Lowering<'s> {
    pub(super) fn new(scope: Scope, info: &'s SourceInfo, places: &'s Places<'s>) -> Self {
        Lowering {
            scope,
            info,
            places,
            locals: Vec::new(),
        }
    }

    pub(super) fn lower(&mut self, expr: &'s IdedExpr, depth: usize) -> Lowered {
        if depth > MAX_DEPTH {
            return self.refuse(
                expr,
                format!("the expression nests deeper than {MAX_DEPTH}"),
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

    /// A name by itself.
    fn variable(&self, expr: &IdedExpr, name: &str) -> Lowered {
        if let Some(local) = self.locals.iter().rposition(|local| *local == name) {
            return Ok(Node::Local(local));
        }
        if let Some((_, fact)) = Fact::ALL
            .into_iter()
            .find(|(fact, _)| *fact == name && (self.scope == Scope::Signal) == (*fact == "body"))
        {
            return Ok(Node::Fact(fact));
        }
        self.known_root(expr, name)?;
        let message = format!("`{name}` is read by name");
        self.refuse(expr, message, &members(name))
    }

    /// Refuses a name that is no variable, or not here.
    fn known_root(&self, expr: &IdedExpr, name: &str) -> Result<(), Box<BadCondition>> {
        if self.scope == Scope::Signal {
            return match name {
                "body" | "header" => Ok(()),
                _ => Err(self.bad(
                    expr,
                    &format!("unknown variable `{name}`"),
                    Some("a signal's expressions read body and header".to_owned()),
                )),
            };
        }
        if name == "response" && self.scope == Scope::Request {
            return Err(self.bad(
                expr,
                "`response` is not known before the call",
                Some("read it in `failure_when`".to_owned()),
            ));
        }
        if ROOTS.contains(&name) {
            return Ok(());
        }
        let roots = ROOTS
            .iter()
            .copied()
            .filter(|root| *root != "response" || self.scope == Scope::Response);
        let list = format!(
            "variables are {}",
            roots.clone().collect::<Vec<_>>().join(", ")
        );
        let hint = nearest(name, roots.chain(self.locals.iter().copied())).map_or_else(
            || list.clone(),
            |near| format!("did you mean `{near}`? {list}"),
        );
        Err(self.bad(expr, &format!("unknown variable `{name}`"), Some(hint)))
    }

    /// The variable that is a JSON document, and so has a value of its own.
    fn document(&self) -> &'static str {
        match self.scope {
            Scope::Request | Scope::Response => "args",
            Scope::Signal => "body",
        }
    }

    /// The variable's name, where `expr` is one that has members but no value of its own.
    fn root<'e>(&self, expr: &'e IdedExpr) -> Option<&'e str> {
        match &expr.expr {
            Expr::Ident(name)
                if !self.locals.contains(&name.as_str()) && name != self.document() =>
            {
                Some(name)
            }
            _ => None,
        }
    }

    fn select(&mut self, expr: &'s IdedExpr, select: &'s SelectExpr, depth: usize) -> Lowered {
        let Some(root) = self.root(&select.operand) else {
            let inner = Box::new(self.lower(&select.operand, depth + 1)?);
            let field = select.field.as_str().into();
            return Ok(if select.test {
                Node::Has(inner, field)
            } else {
                Node::Select(inner, field)
            });
        };
        let member = self.member(expr, root, &select.field)?;
        match member {
            Node::Part(part, key) if select.test => Ok(Node::HasPart(part, key)),
            _ if select.test => {
                let message = format!("`{root}.{}` is always there", select.field);
                self.refuse(expr, message, "leave out `has(…)`")
            }
            member => Ok(member),
        }
    }

    /// `root.name` or `root["name"]`
    fn member(&self, expr: &IdedExpr, root: &str, name: &str) -> Lowered {
        self.known_root(expr, root)?;
        if let Some((_, part)) = Part::ALL.into_iter().find(|(part, _)| *part == root) {
            if part == Part::Header && name.bytes().any(|b| b.is_ascii_uppercase()) {
                let hint = format!("write `header[\"{}\"]`", name.to_ascii_lowercase());
                return self.refuse(expr, "header names are in lower case here", &hint);
            }
            return Ok(Node::Part(part, Box::new(Node::Text(name.into()))));
        }
        if root == "burn" {
            return match LOOK_BACKS
                .into_iter()
                .find(|(look_back, _)| *look_back == name)
            {
                Some((look_back, _)) => Ok(Node::Burn(look_back)),
                None => self.refuse(
                    expr,
                    format!("no burn rate is kept over `{name}`"),
                    &members(root),
                ),
            };
        }
        let full = format!("{root}.{name}");
        match Fact::ALL.into_iter().find(|(fact, _)| *fact == full) {
            Some((_, fact)) => Ok(Node::Fact(fact)),
            None => self.refuse(
                expr,
                format!("`{root}` has no member `{name}`"),
                &members(root),
            ),
        }
    }

    fn call(&mut self, expr: &'s IdedExpr, call: &'s CallExpr, depth: usize) -> Lowered {
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
        let operator = |name: &str| {
            Function::ALL.iter().all(|(function, ..)| *function != name)
                && !name.starts_with(|c: char| c.is_ascii_alphabetic())
        };
        if !operator(&call.func_name) {
            return self.function(expr, call, depth);
        }
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

    fn root_index(
        &mut self,
        expr: &'s IdedExpr,
        root: &'s str,
        key: &'s IdedExpr,
        depth: usize,
    ) -> Lowered {
        let key_node = self.lower(key, depth + 1)?;
        if let Node::Text(name) = &key_node {
            return self.member(expr, root, name);
        }
        self.known_root(expr, root)?;
        match Part::ALL.into_iter().find(|(part, _)| *part == root) {
            Some((_, part)) => Ok(Node::Part(part, Box::new(key_node))),
            None => self.refuse(
                key,
                format!("`{root}` is read by a name that is written out"),
                &members(root),
            ),
        }
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
            let hint = nearest(name, names.into_iter()).map_or_else(
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

    /// The macros arrive expanded; what they were is read off their accumulator.
    fn each(&mut self, expr: &'s IdedExpr, each: &'s ComprehensionExpr, depth: usize) -> Lowered {
        let name = each.iter_var.as_str();
        if ROOTS.contains(&name) || name == self.document() || self.locals.contains(&name) {
            return self.refuse(
                expr,
                format!("`{name}` is a variable already"),
                "give the element another name",
            );
        }
        if self.locals.len() == MAX_NESTED {
            return self.refuse(
                expr,
                format!("comprehensions nest deeper than {MAX_NESTED}"),
                "its cost would be the product of the lists' lengths",
            );
        }
        let Some((kind, test, give)) = parts_of(each) else {
            return self.refuse(
                expr,
                "this is not part of the policy language",
                "comprehensions are all, exists, exists_one, map and filter",
            );
        };
        let range = self.lower(&each.iter_range, depth + 1)?;
        self.locals.push(name);
        let test = test.map(|test| self.lower(test, depth + 1)).transpose();
        let give = give.map(|give| self.lower(give, depth + 1)).transpose();
        self.locals.pop();
        Ok(Node::Each(Box::new(Each {
            kind,
            range,
            local: self.locals.len(),
            test: test?,
            give: give?,
        })))
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
            offset: self.places.byte(start),
            message: message.to_owned(),
            hint,
        })
    }
}

/// How the members of a variable are written.
fn members(root: &str) -> String {
    match root {
        "path" => "write `path.name`, where the tool's pattern says `{name}`".to_owned(),
        "query" => "write `query.name` or `query[\"name\"]`".to_owned(),
        "header" => "write `header[\"name\"]`, in lower case".to_owned(),
        "burn" => format!(
            "write one of {}",
            LOOK_BACKS
                .map(|(look_back, _)| format!("`burn[\"{look_back}\"]`"))
                .join(", ")
        ),
        _ => {
            let members = Fact::ALL.into_iter().map(|(name, _)| name).filter(|name| {
                name.strip_prefix(root)
                    .is_some_and(|rest| rest.starts_with('.'))
            });
            let members: Vec<_> = members.map(|name| format!("`{name}`")).collect();
            if members.is_empty() {
                format!("`{root}` is a string")
            } else {
                format!("write {}", members.join(" or "))
            }
        }
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

const ROOTS: [&str; 13] = [
    "args", "path", "query", "header", "tool", "agent", "workflow", "run", "level", "posture",
    "budget", "burn", "response",
];
const MACROS: [&str; 7] = [
    "has",
    "matches",
    "all",
    "exists",
    "exists_one",
    "map",
    "filter",
];
const FORMS: &str = "conditions are CEL: comparisons, && || !, arithmetic, `in`, lists, `has`, all, exists, map, filter";

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

/// The kind of an expanded macro, its test, and what it makes of an element.
fn parts_of(each: &ComprehensionExpr) -> Option<(EachKind, Option<&IdedExpr>, Option<&IdedExpr>)> {
    if each.iter_var2.is_some() {
        return None;
    }
    let Expr::Call(step) = &each.loop_step.expr else {
        return None;
    };
    match (
        &each.accu_init.expr,
        step.func_name.as_str(),
        step.args.as_slice(),
    ) {
        (Expr::Literal(LiteralValue::Boolean(_)), operators::LOGICAL_AND, [_, test]) => {
            Some((EachKind::All, Some(test), None))
        }
        (Expr::Literal(LiteralValue::Boolean(_)), operators::LOGICAL_OR, [_, test]) => {
            Some((EachKind::Exists, Some(test), None))
        }
        (Expr::Literal(LiteralValue::Int(_)), operators::CONDITIONAL, [test, ..]) => {
            Some((EachKind::ExistsOne, Some(test), None))
        }
        (Expr::List(_), operators::ADD, [_, appended]) => {
            Some((EachKind::Collect, None, Some(only_element(appended)?)))
        }
        (Expr::List(_), operators::CONDITIONAL, [test, grown, _]) => {
            let Expr::Call(grown) = &grown.expr else {
                return None;
            };
            Some((
                EachKind::Collect,
                Some(test),
                Some(only_element(grown.args.get(1)?)?),
            ))
        }
        _ => None,
    }
}

fn only_element(list: &IdedExpr) -> Option<&IdedExpr> {
    match &list.expr {
        Expr::List(list) => list.elements.first(),
        _ => None,
    }
}
