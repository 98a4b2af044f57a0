//! Enums as the small integers that rows hold. `schema.sql` lists them; a number never changes its
//! meaning.

use crate::gate::booking::CheckState;
use crate::gate::outcome::Source;
use crate::gate::risk::Risk;
use crate::gate::run::{Executed, Mark};
use crate::gate::verdict::Verdict;

pub(super) const UNACCEPTABLE_OR_EXCLUDED: i64 = 1;
pub(super) const AMBIGUOUS: i64 = 2;
pub(super) const OPEN: i64 = 4;

macro_rules! codes {
    ($name:ident, $type:ty, $($code:literal = $value:path),+) => {
        pub(super) mod $name {
            use super::*;

            pub(in crate::store) const fn code(value: $type) -> i64 {
                match value {
                    $($value => $code,)+
                }
            }

            pub(in crate::store) const fn value(code: i64) -> Option<$type> {
                match code {
                    $($code => Some($value),)+
                    _ => None,
                }
            }
        }
    };
}

codes!(
    mark,
    Mark,
    0 = Mark::Idle,
    1 = Mark::Acceptable,
    2 = Mark::Unacceptable,
    3 = Mark::Excluded
);
codes!(
    risk,
    Risk,
    0 = Risk::Read,
    1 = Risk::Low,
    2 = Risk::Medium,
    3 = Risk::High
);
codes!(
    verdict,
    Verdict,
    0 = Verdict::Allow,
    1 = Verdict::Hold,
    2 = Verdict::Deny
);
codes!(
    executed,
    Executed,
    0 = Executed::No,
    1 = Executed::Yes,
    2 = Executed::Unknown
);
codes!(
    check,
    CheckState,
    0 = CheckState::Waiting,
    1 = CheckState::Accepted,
    2 = CheckState::Reported,
    3 = CheckState::Unchecked,
    4 = CheckState::Excluded
);
codes!(
    source,
    Source,
    0 = Source::Wire,
    1 = Source::Agent,
    2 = Source::Person,
    3 = Source::System
);

/// The part of a run's `notable` that its mark decides.
pub(super) const fn notable_mark(mark: Mark) -> i64 {
    match mark {
        Mark::Idle | Mark::Acceptable => 0,
        Mark::Unacceptable | Mark::Excluded => UNACCEPTABLE_OR_EXCLUDED,
    }
}
