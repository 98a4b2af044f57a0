//! Compares values: equality, order, and `in`.

use std::cmp::Ordering;

use super::evaluate::{Evaluation, Fault, Result};
use super::expression::{Node, Order};
use super::value::{Value, compare_int};
use crate::gate::json::Json;

/// Values nested deeper than this are not compared. `wire` reads at most 128.
const MAX_COMPARED_DEPTH: usize = 160;

impl<'v> Evaluation<'v> {
    pub(super) fn equal(
        &mut self,
        left: &Value<'v>,
        right: &Value<'v>,
        depth: usize,
    ) -> Result<'v, bool> {
        self.spend(1)?;
        if depth > MAX_COMPARED_DEPTH {
            return Err(Fault::Bound(format!(
                "values nested deeper than {MAX_COMPARED_DEPTH} are not compared"
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

    pub(super) fn order(&mut self, order: Order, pair: &'v [Node; 2]) -> Result<'v> {
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

    pub(super) fn contained(&mut self, pair: &'v [Node; 2]) -> Result<'v> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::budget::burn::BurnRates;
    use crate::gate::policy::facts::Facts;

    #[test]
    fn g7_values_are_compared_as_deep_as_the_bound() {
        let is_compared = |depth: usize| {
            let (burn, deep) = (
                BurnRates::default(),
                (0..depth).fold(Json::Null, |inner, _| Json::Array(vec![inner])),
            );
            let facts = Facts::none(&burn);
            let value = Value::Json(&deep);
            Evaluation::over(&facts).equal(&value, &value, 0).is_ok()
        };
        assert!(is_compared(MAX_COMPARED_DEPTH));
        assert!(!is_compared(MAX_COMPARED_DEPTH + 1));
    }
}
