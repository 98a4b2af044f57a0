//! Counts by minute or by hour, in the order of time, with running sums: what lies between two of
//! them costs two searches, however many there are.
//!
//! A sum is needed at every failure and at every edge of a look-back; a bucket in the middle
//! changes only with late news, which then pays for those after it.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::burn::Count;
use super::shift::{Delta, Shift};
use crate::gate::name::ToolName;
use crate::gate::outcome::FailureMode;
use crate::gate::run_flags::ModeShift;
use crate::gate::time::Time;

/// The most pairs of a mode and a tool that a bucket tells apart. What comes after is counted at
/// [`OTHER_TOOL`].
const MAX_PAIRS: usize = 64;
/// The tools that a bucket does not tell apart.
const OTHER_TOOL: &str = "other";

/// What was counted in one minute or hour of one era.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Bucket {
    at: i64,
    pub(super) era: Time,
    pub(super) sum: Shift,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) modes: BTreeMap<FailureMode, i64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) tools: BTreeMap<FailureMode, BTreeMap<ToolName, i64>>,
    /// Everything up to here, from a beginning that has no meaning: only differences do.
    #[serde(skip)]
    through: Running,
}

/// The running sums are another way to say the same.
impl PartialEq for Bucket {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.era, &self.sum, &self.modes, &self.tools)
            == (other.at, other.era, &other.sum, &other.modes, &other.tools)
    }
}

impl Eq for Bucket {}

impl Bucket {
    /// Counts a mode, for its run or at its tool. What is back at zero leaves nothing behind.
    pub(super) fn count(&mut self, shift: &ModeShift) {
        let Some(tool) = &shift.tool else {
            add(&mut self.modes, &shift.mode, shift.change);
            return;
        };
        let pairs: usize = self.tools.values().map(BTreeMap::len).sum();
        let tools = self.tools.entry(shift.mode.clone()).or_default();
        let fits = pairs < MAX_PAIRS || tools.contains_key(tool);
        let tool = if fits {
            tool.clone()
        } else {
            OTHER_TOOL.into()
        };
        add(tools, &tool, shift.change);
        if tools.is_empty() {
            self.tools.remove(&shift.mode);
        }
    }

    fn fails(&self) -> bool {
        self.sum.all.unacceptable != 0 || self.sum.high.unacceptable != 0
    }
}

/// Adds to a count; one that is back at zero is gone.
pub(super) fn add<K: Clone + Ord>(counts: &mut BTreeMap<K, i64>, key: &K, change: i64) {
    let count = counts.entry(key.clone()).or_default();
    *count = count.saturating_add(change);
    if *count == 0 {
        counts.remove(key);
    }
}

/// A running sum. It may wrap around; a difference of two does not, unless what lies between them
/// would.
#[derive(Debug, Clone, Copy, Default)]
struct Running {
    all: Delta,
    high: Delta,
}

impl Running {
    const fn plus(self, shift: &Shift) -> Running {
        Running {
            all: plus(self.all, shift.all),
            high: plus(self.high, shift.high),
        }
    }

    const fn since(self, before: Running) -> Running {
        Running {
            all: minus(self.all, before.all),
            high: minus(self.high, before.high),
        }
    }
}

const fn plus(a: Delta, b: Delta) -> Delta {
    Delta {
        runs: a.runs.wrapping_add(b.runs),
        unacceptable: a.unacceptable.wrapping_add(b.unacceptable),
    }
}

const fn minus(a: Delta, b: Delta) -> Delta {
    Delta {
        runs: a.runs.wrapping_sub(b.runs),
        unacceptable: a.unacceptable.wrapping_sub(b.unacceptable),
    }
}

/// Buckets by time and era, of which only those exist that have something in them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "VecDeque<Bucket>")]
pub(super) struct Buckets(VecDeque<Bucket>);

impl From<VecDeque<Bucket>> for Buckets {
    fn from(buckets: VecDeque<Bucket>) -> Self {
        let mut buckets = Buckets(buckets);
        buckets.run_from(0, Running::default());
        buckets
    }
}

impl Buckets {
    /// Adds to the bucket of `at` and `era`, which is made where there is none: nearly always the
    /// last one.
    pub(super) fn book(&mut self, at: i64, era: Time, shift: Shift) -> &mut Bucket {
        let index = match self.0.back() {
            Some(last) if (last.at, last.era) == (at, era) => self.0.len() - 1,
            _ => self
                .0
                .partition_point(|bucket| (bucket.at, bucket.era) < (at, era)),
        };
        let before = self.before(index);
        if self
            .0
            .get(index)
            .is_none_or(|found| (found.at, found.era) != (at, era))
        {
            let bucket = Bucket {
                at,
                era,
                sum: Shift::default(),
                modes: BTreeMap::new(),
                tools: BTreeMap::new(),
                through: before,
            };
            self.0.insert(index, bucket);
        }
        self.0[index].sum.add(shift);
        self.run_from(index, before);
        &mut self.0[index]
    }

    /// Forgets every bucket up to `until`.
    pub(super) fn forget(&mut self, until: i64) {
        let gone = self.0.partition_point(|bucket| bucket.at <= until);
        self.0.drain(..gone);
    }

    /// The buckets from `first` to `last`, both included.
    pub(super) fn between(&self, first: i64, last: i64) -> impl Iterator<Item = &Bucket> {
        let begins = self.0.partition_point(|bucket| bucket.at < first);
        self.0
            .range(begins..)
            .take_while(move |bucket| bucket.at <= last)
    }

    /// The sums over the buckets from `first` to `last`, both included, of eras that began at or
    /// after `from`: of all runs, and of those with a `high` call.
    pub(super) fn counts(&self, first: i64, last: i64, from: Time) -> (Count, Count) {
        let begins = self
            .0
            .partition_point(|bucket| bucket.at < first || bucket.era < from);
        let ends = self.0.partition_point(|bucket| bucket.at <= last);
        if begins >= ends {
            return Default::default();
        }
        let sum = self.0[ends - 1].through.since(self.before(begins));
        (sum.all.count(), sum.high.count())
    }

    /// The last bucket up to `current` with unacceptable runs in it.
    pub(super) fn last_failure(&self, current: i64) -> Option<i64> {
        self.0
            .iter()
            .rev()
            .find(|bucket| bucket.at <= current && bucket.fails())
            .map(|bucket| bucket.at)
    }

    /// The oldest bucket within `span` of `current`.
    pub(super) fn oldest(&self, current: i64, span: i64) -> Option<i64> {
        self.0
            .get(self.0.partition_point(|bucket| current - bucket.at >= span))
            .map(|bucket| bucket.at)
            .filter(|at| *at <= current)
    }

    /// The running sum before the bucket at `index`.
    fn before(&self, index: usize) -> Running {
        match index.checked_sub(1) {
            Some(previous) => self.0[previous].through,
            None => self.0.front().map_or_else(Running::default, |first| {
                first.through.since(Running::default().plus(&first.sum))
            }),
        }
    }

    /// Sums up again from the bucket at `index` on.
    fn run_from(&mut self, index: usize, before: Running) {
        let mut running = before;
        for bucket in self.0.range_mut(index..) {
            running = running.plus(&bucket.sum);
            bucket.through = running;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_tools_are_told_apart_and_the_others_are_counted_together() {
        let mut buckets = Buckets::default();
        let bucket = buckets.book(1, Time::default(), Shift::default());
        let mut count = |n: usize| {
            bucket.count(&ModeShift {
                mode: FailureMode::ToolError,
                tool: Some(format!("api/t{n}").as_str().into()),
                change: 1,
            });
            bucket.tools[&FailureMode::ToolError].clone()
        };
        let other = ToolName::from(OTHER_TOOL);
        for n in 0..MAX_PAIRS {
            let tools = count(n);
            assert_eq!((tools.len(), tools.get(&other)), (n + 1, None));
        }
        assert_eq!(count(MAX_PAIRS)[&other], 1);
        assert_eq!(count(MAX_PAIRS + 1)[&other], 2);
        let known = count(0);
        assert_eq!((known["api/t0"], known.len()), (2, MAX_PAIRS + 1));
    }

    #[test]
    fn the_last_failure_is_in_the_last_bucket_that_has_one() {
        use crate::gate::budget::shift::Delta;
        let mut buckets = Buckets::default();
        let mut book = |at: i64, unacceptable: i64, high: bool| {
            let runs = 3;
            let shift = Shift::of(Delta { runs, unacceptable }, high);
            buckets.book(at, Time::default(), shift);
            buckets.last_failure(100)
        };
        assert_eq!(book(1, 0, true), None);
        assert_eq!(book(2, 1, false), Some(2));
        assert_eq!(book(3, 0, false), Some(2));
        assert_eq!(book(4, 1, true), Some(4));
        assert_eq!(buckets.last_failure(3), Some(2));
    }
}
