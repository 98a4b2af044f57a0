//! Arithmetic, and what `+` joins: texts and lists.

use super::evaluate::{Evaluation, Fault, Result};
use super::expression::{Arithmetic, Node};
use super::value::{Text, Value};

impl<'v> Evaluation<'v> {
    pub(super) fn arithmetic(&mut self, sign: Arithmetic, pair: &'v [Node; 2]) -> Result<'v> {
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
}
