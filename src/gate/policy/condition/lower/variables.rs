//! Variables and their members: which there are, and where each may be read.

use cel::IdedExpr;
use cel::common::ast::{Expr, SelectExpr};

use super::{Lowered, Lowering};
use crate::gate::budget::burn::LOOK_BACKS;
use crate::gate::nearest::nearest;
use crate::gate::policy::condition::expression::{Fact, Node, Part};
use crate::gate::policy::condition::scope::{BadCondition, ConditionScope};

pub(super) const ROOTS: [&str; 13] = [
    "args", "path", "query", "header", "tool", "agent", "workflow", "run", "level", "posture",
    "budget", "burn", "response",
];
impl<'s> Lowering<'s> {
    /// A name by itself.
    pub(super) fn variable(&self, expr: &IdedExpr, name: &str) -> Lowered {
        if let Some(local) = self.locals.iter().rposition(|local| *local == name) {
            return Ok(Node::Local(local));
        }
        if let Some((_, fact)) = Fact::ALL.into_iter().find(|(fact, _)| {
            *fact == name && (self.scope == ConditionScope::Signal) == (*fact == "body")
        }) {
            return Ok(Node::Fact(fact));
        }
        self.known_root(expr, name)?;
        let message = format!("`{name}` is read by name");
        self.refuse(expr, message, &members(name))
    }

    /// Refuses a name that is no variable, or not here.
    fn known_root(&self, expr: &IdedExpr, name: &str) -> Result<(), Box<BadCondition>> {
        if self.scope == ConditionScope::Signal {
            return match name {
                "body" | "header" => Ok(()),
                _ => Err(self.bad(
                    expr,
                    &format!("unknown variable `{name}`"),
                    Some("a signal's expressions read body and header".to_owned()),
                )),
            };
        }
        if name == "response" && self.scope == ConditionScope::Request {
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
            .filter(|root| *root != "response" || self.scope == ConditionScope::Response);
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
    pub(super) fn document(&self) -> &'static str {
        match self.scope {
            ConditionScope::Request | ConditionScope::Response => "args",
            ConditionScope::Signal => "body",
        }
    }

    /// The variable's name, where `expr` is one that has members but no value of its own.
    pub(super) fn root<'e>(&self, expr: &'e IdedExpr) -> Option<&'e str> {
        match &expr.expr {
            Expr::Ident(name)
                if !self.locals.contains(&name.as_str()) && name != self.document() =>
            {
                Some(name)
            }
            _ => None,
        }
    }

    pub(super) fn select(
        &mut self,
        expr: &'s IdedExpr,
        select: &'s SelectExpr,
        depth: usize,
    ) -> Lowered {
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
    pub(super) fn member(&self, expr: &IdedExpr, root: &str, name: &str) -> Lowered {
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

    pub(super) fn root_index(
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
