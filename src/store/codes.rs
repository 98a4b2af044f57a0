//! Enums as the small integers that rows hold. `schema.sql` lists them; a number never changes its
//! meaning.

use crate::gate::run::Mark;

pub(super) const UNACCEPTABLE_OR_EXCLUDED: i64 = 1;
pub(super) const AMBIGUOUS: i64 = 2;
pub(super) const OPEN: i64 = 4;

macro_rules! codes {
    ($name:ident, $type:ty, $($code:literal = $value:ident),+) => {
        pub(super) mod $name {
            pub(in crate::store) const fn code(value: $type) -> i64 {
                match value {
                    $(<$type>::$value => $code,)+
                }
            }

            pub(in crate::store) const fn value(code: i64) -> Option<$type> {
                match code {
                    $($code => Some(<$type>::$value),)+
                    _ => None,
                }
            }
        }
    };
}

codes!(
    mark,
    crate::gate::run::Mark,
    0 = Idle,
    1 = Acceptable,
    2 = Unacceptable,
    3 = Excluded
);
codes!(
    risk,
    crate::gate::risk::Risk,
    0 = Read,
    1 = Low,
    2 = Medium,
    3 = High
);
codes!(
    verdict,
    crate::gate::verdict::Verdict,
    0 = Allow,
    1 = Hold,
    2 = Deny
);
codes!(
    executed,
    crate::gate::run::Executed,
    0 = No,
    1 = Yes,
    2 = Unknown
);
codes!(
    check,
    crate::gate::booking::CheckState,
    0 = Waiting,
    1 = Accepted,
    2 = Reported,
    3 = Unchecked,
    4 = Excluded
);
codes!(
    source,
    crate::gate::outcome::Source,
    0 = Wire,
    1 = Agent,
    2 = Person,
    3 = System
);

/// The part of a run's `notable` that its mark decides.
pub(super) const fn notable_mark(mark: Mark) -> i64 {
    match mark {
        Mark::Idle | Mark::Acceptable => 0,
        Mark::Unacceptable | Mark::Excluded => UNACCEPTABLE_OR_EXCLUDED,
    }
}
