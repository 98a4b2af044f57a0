//! Comprehensions: `all`, `exists`, `exists_one`, `map` and `filter`.

use cel::IdedExpr;
use cel::common::ast::{ComprehensionExpr, Expr, LiteralValue, operators};

use super::variables::ROOTS;
use super::{Lowered, Lowering, MAX_NESTED};
use crate::gate::policy::condition::expression::{Each, EachKind, Node};

impl<'s> Lowering<'s> {
    /// The macros arrive expanded; what they were is read off their accumulator.
    pub(super) fn each(
        &mut self,
        expr: &'s IdedExpr,
        each: &'s ComprehensionExpr,
        depth: usize,
    ) -> Lowered {
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
