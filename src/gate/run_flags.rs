//! What the four numbers count about a run, besides its mark: a few flags, worked out from what
//! the gate saw and from the charges that stand.
//!
//! A flag is never set by hand where a charge says the same: it follows from the charges, so that
//! a report that is taken back takes its flag with it, in whatever order such news arrives. A run
//! is *corrected* when `major_correction` stands, whoever says so; it is *rework* when
//! `duplicate_work` stands; a standing `missed_escalation` says that it should have escalated and
//! did not, so a person's report of one makes an escalation due. What was caught by a hold was
//! missed too, but cost nothing. A run is *checked* when a charge of a person or another system
//! stands, or when one of them said that it was right; it stays *confirmed* only while nobody says
//! otherwise.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::name::ToolName;
use super::outcome::{FailureMode, Source};
use super::run::{Charge, Mark};

/// The tool of charges that name none.
pub const NO_TOOL: &str = "none";

/// One thing that a run is besides acceptable or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunFlag {
    /// A person had to correct it materially, or recover it.
    Corrected,
    /// It should have escalated to a person.
    EscalationDue,
    /// It should have and did not, whether that was caught or not.
    EscalationMissed,
    /// It did not, but a hold stopped the call that it should have escalated: shown, and costs
    /// nothing.
    EscalationCaught,
    /// It caused duplicate, undone or follow-on work.
    Rework,
    /// A person judged it or a system confirmed it.
    Checked,
    /// Judged right, and nobody says otherwise.
    Confirmed,
}

impl RunFlag {
    /// Every flag, in the order of its bit.
    pub const ALL: [RunFlag; 7] = [
        RunFlag::Corrected,
        RunFlag::EscalationDue,
        RunFlag::EscalationMissed,
        RunFlag::EscalationCaught,
        RunFlag::Rework,
        RunFlag::Checked,
        RunFlag::Confirmed,
    ];

    /// The flag as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            RunFlag::Corrected => "corrected",
            RunFlag::EscalationDue => "escalation_due",
            RunFlag::EscalationMissed => "escalation_missed",
            RunFlag::EscalationCaught => "escalation_caught",
            RunFlag::Rework => "rework",
            RunFlag::Checked => "checked",
            RunFlag::Confirmed => "confirmed",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of flags.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "BTreeSet<RunFlag>", into = "BTreeSet<RunFlag>")]
pub struct RunFlags(u8);

impl RunFlags {
    /// No flag.
    pub const NONE: RunFlags = RunFlags(0);

    /// The set whose bits these are; bits that stand for no flag are dropped.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        RunFlags(bits & ((1 << RunFlag::ALL.len()) - 1))
    }

    /// Its bits: what a row of the run index keeps. A bit never changes its meaning.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Is it empty?
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.0 == 0
    }

    /// Is `flag` one of them?
    #[must_use]
    pub const fn has(self, flag: RunFlag) -> bool {
        self.0 & flag.bit() != 0
    }

    /// These and `flag`.
    #[must_use]
    pub const fn with(self, flag: RunFlag) -> Self {
        RunFlags(self.0 | flag.bit())
    }

    /// These without `flag`.
    #[must_use]
    pub const fn without(self, flag: RunFlag) -> Self {
        RunFlags(self.0 & !flag.bit())
    }

    /// Those of either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        RunFlags(self.0 | other.0)
    }

    /// These once a person or a system judged the run. The last word stands.
    #[must_use]
    pub const fn judged(self, right: bool) -> Self {
        let judged = self.with(RunFlag::Checked);
        if right {
            judged.with(RunFlag::Confirmed)
        } else {
            judged.without(RunFlag::Confirmed)
        }
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = RunFlag> {
        RunFlag::ALL.into_iter().filter(move |flag| self.has(*flag))
    }

    /// What a run shows of which `observed` was seen on the wire or said in a check, and which
    /// `charges` stand.
    #[must_use]
    pub fn of<'c>(observed: RunFlags, charges: impl IntoIterator<Item = &'c Charge>) -> Self {
        let (mut flags, mut is_missed, mut is_judged) = (observed, false, false);
        for charge in charges {
            match charge.mode {
                FailureMode::MajorCorrection => flags = flags.with(RunFlag::Corrected),
                FailureMode::DuplicateWork => flags = flags.with(RunFlag::Rework),
                FailureMode::MissedEscalation => is_missed = true,
                FailureMode::WrongAction
                | FailureMode::Misclassified
                | FailureMode::BrokenHandoff
                | FailureMode::Timeout
                | FailureMode::WrongArguments
                | FailureMode::PolicyViolation
                | FailureMode::ToolError
                | FailureMode::Named(_) => {}
            }
            is_judged |= matches!(charge.source, Source::Person | Source::System);
        }
        if is_missed {
            // One that went through is not made good by another that a hold stopped.
            flags = flags.without(RunFlag::EscalationCaught);
        }
        if is_missed || flags.has(RunFlag::EscalationCaught) {
            flags = flags
                .with(RunFlag::EscalationDue)
                .with(RunFlag::EscalationMissed);
        }
        if flags.has(RunFlag::Confirmed) {
            flags = flags.with(RunFlag::Checked);
        }
        if is_judged {
            flags.with(RunFlag::Checked).without(RunFlag::Confirmed)
        } else {
            flags
        }
    }

    /// Those that the four numbers count: none of a run that does not count itself.
    #[must_use]
    pub const fn counted(self, mark: Mark) -> Self {
        match mark {
            Mark::Acceptable | Mark::Unacceptable => self,
            Mark::Idle | Mark::Excluded => RunFlags::NONE,
        }
    }
}

impl From<BTreeSet<RunFlag>> for RunFlags {
    fn from(flags: BTreeSet<RunFlag>) -> Self {
        flags.into_iter().fold(RunFlags::NONE, RunFlags::with)
    }
}

impl From<RunFlags> for BTreeSet<RunFlag> {
    fn from(flags: RunFlags) -> Self {
        flags.iter().collect()
    }
}

/// How many runs show each flag, or a change to that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<RunFlag, i64>", into = "BTreeMap<RunFlag, i64>")]
pub struct RunFlagCounts([i64; RunFlag::ALL.len()]);

impl RunFlagCounts {
    /// No runs.
    pub const NONE: RunFlagCounts = RunFlagCounts([0; RunFlag::ALL.len()]);

    /// One run that shows `flags`.
    #[must_use]
    pub fn one(flags: RunFlags) -> Self {
        RunFlagCounts(RunFlag::ALL.map(|flag| i64::from(flags.has(flag))))
    }

    /// A run that showed `was` and shows `now`.
    #[must_use]
    pub fn between(was: RunFlags, now: RunFlags) -> Self {
        RunFlagCounts(RunFlag::ALL.map(|flag| i64::from(now.has(flag)) - i64::from(was.has(flag))))
    }

    /// Adds `other`.
    pub fn add(&mut self, other: Self) {
        for (sum, change) in self.0.iter_mut().zip(other.0) {
            *sum = sum.saturating_add(change);
        }
    }

    /// How many show `flag`. A sum of changes of which some are still to come never shows less
    /// than zero.
    #[must_use]
    pub fn get(&self, flag: RunFlag) -> u64 {
        u64::try_from(self.0[flag as usize]).unwrap_or(0)
    }

    /// Is it zero throughout?
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == RunFlagCounts::NONE
    }
}

impl From<BTreeMap<RunFlag, i64>> for RunFlagCounts {
    fn from(counts: BTreeMap<RunFlag, i64>) -> Self {
        RunFlagCounts(RunFlag::ALL.map(|flag| counts.get(&flag).copied().unwrap_or(0)))
    }
}

impl From<RunFlagCounts> for BTreeMap<RunFlag, i64> {
    fn from(counts: RunFlagCounts) -> Self {
        RunFlag::ALL
            .into_iter()
            .zip(counts.0)
            .filter(|(_, count)| *count != 0)
            .collect()
    }
}

/// A change to how often a failure mode is counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModeShift {
    /// The mode.
    pub mode: FailureMode,
    /// At this tool; `None` for the runs with that mode, at whatever tool and however often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<ToolName>,
    /// How many more, or fewer.
    pub change: i64,
}

/// How a run stands in the counts: what a revision takes from them and puts back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunContribution {
    mark: Mark,
    /// The flags that count.
    pub flags: RunFlags,
    modes: BTreeSet<(FailureMode, Option<ToolName>)>,
}

impl RunContribution {
    /// A run that stands as `mark`, of which `observed` was seen and which `charges` stand.
    #[must_use]
    pub fn of<'c>(
        mark: Mark,
        observed: RunFlags,
        charges: impl IntoIterator<Item = &'c Charge> + Clone,
    ) -> Self {
        RunContribution {
            mark,
            flags: RunFlags::of(observed, charges.clone()).counted(mark),
            modes: modes(charges),
        }
    }

    /// What changes about the counts of failure modes when a run that stood as `was` stands so.
    #[must_use]
    pub fn since(&self, was: &RunContribution) -> Vec<ModeShift> {
        let shift = |change: i64| {
            move |(mode, tool): &(FailureMode, Option<ToolName>)| ModeShift {
                mode: mode.clone(),
                tool: tool.clone(),
                change,
            }
        };
        match (was.mark == Mark::Excluded, self.mark == Mark::Excluded) {
            (false, true) => was.modes.iter().map(shift(-1)).collect(),
            (true, false) => self.modes.iter().map(shift(1)).collect(),
            // Of a run that is out, what comes and goes is told all the same: a burn may rest on it
            // once it is back.
            (true, true) | (false, false) => was
                .modes
                .difference(&self.modes)
                .map(shift(-1))
                .chain(self.modes.difference(&was.modes).map(shift(1)))
                .collect(),
        }
    }
}

/// What one run with these charges adds to the counts of failure modes.
#[must_use]
pub fn mode_shifts<'c>(charges: impl IntoIterator<Item = &'c Charge>) -> Vec<ModeShift> {
    modes(charges)
        .into_iter()
        .map(|(mode, tool)| ModeShift {
            mode,
            tool,
            change: 1,
        })
        .collect()
}

/// Each mode once for the run, and once for each tool that it was seen at.
fn modes<'c>(
    charges: impl IntoIterator<Item = &'c Charge>,
) -> BTreeSet<(FailureMode, Option<ToolName>)> {
    let at = |charge: &Charge| charge.tool.clone().unwrap_or_else(|| NO_TOOL.into());
    charges
        .into_iter()
        .flat_map(|charge| {
            [
                (charge.mode.clone(), None),
                (charge.mode.clone(), Some(at(charge))),
            ]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charge(mode: FailureMode, source: Source) -> Charge {
        Charge {
            mode,
            source,
            by: None,
            call: None,
            tool: None,
            note: None,
            reference: None,
        }
    }

    fn set<const N: usize>(flags: [RunFlag; N]) -> RunFlags {
        BTreeSet::from(flags).into()
    }

    #[test]
    fn a_flag_follows_from_the_charges_that_stand() {
        let charges = |source| {
            [
                charge(FailureMode::MajorCorrection, source),
                charge(FailureMode::DuplicateWork, source),
            ]
        };
        assert_eq!(
            RunFlags::of(RunFlags::NONE, &charges(Source::Agent)),
            set([RunFlag::Corrected, RunFlag::Rework]),
            "whoever says so; an agent checks nothing"
        );
        assert_eq!(
            RunFlags::of(RunFlags::NONE, &charges(Source::Person)),
            set([RunFlag::Corrected, RunFlag::Rework, RunFlag::Checked])
        );
        assert_eq!(
            RunFlags::of(
                RunFlags::NONE,
                &[charge(FailureMode::Timeout, Source::System)]
            ),
            set([RunFlag::Checked])
        );
        assert_eq!(RunFlags::of(RunFlags::NONE, &[]), RunFlags::NONE);
    }

    #[test]
    fn a_missed_escalation_was_due_and_a_caught_one_was_missed() {
        let missed = [charge(FailureMode::MissedEscalation, Source::Wire)];
        let caught = set([RunFlag::EscalationDue, RunFlag::EscalationCaught]);
        assert_eq!(
            RunFlags::of(RunFlags::NONE, &missed),
            set([RunFlag::EscalationDue, RunFlag::EscalationMissed])
        );
        assert_eq!(
            RunFlags::of(caught, &[]),
            set([
                RunFlag::EscalationDue,
                RunFlag::EscalationMissed,
                RunFlag::EscalationCaught
            ])
        );
        assert_eq!(
            RunFlags::of(caught, &missed),
            set([RunFlag::EscalationDue, RunFlag::EscalationMissed]),
            "one that went through is not made good by a caught one"
        );
        assert_eq!(
            RunFlags::of(set([RunFlag::EscalationDue]), &[]),
            set([RunFlag::EscalationDue])
        );
    }

    #[test]
    fn what_was_confirmed_is_no_longer_once_somebody_reports_it() {
        let confirmed = set([RunFlag::Confirmed]);
        assert_eq!(
            RunFlags::of(confirmed, &[]),
            set([RunFlag::Checked, RunFlag::Confirmed])
        );
        assert_eq!(
            RunFlags::of(
                confirmed,
                &[charge(FailureMode::WrongAction, Source::Person)]
            ),
            set([RunFlag::Checked])
        );
        assert_eq!(
            RunFlags::of(confirmed, &[charge(FailureMode::Timeout, Source::Wire)]),
            set([RunFlag::Checked, RunFlag::Confirmed])
        );
    }

    #[test]
    fn a_run_that_does_not_count_has_no_flags_that_do() {
        let flags = set([RunFlag::Corrected]);
        assert_eq!(
            [Mark::Acceptable, Mark::Unacceptable].map(|mark| flags.counted(mark)),
            [flags; 2]
        );
        assert_eq!(
            [Mark::Idle, Mark::Excluded].map(|mark| flags.counted(mark)),
            [RunFlags::NONE; 2]
        );
    }

    #[test]
    fn flags_are_written_by_name() {
        let flags = set([RunFlag::Rework, RunFlag::EscalationDue]);
        assert_eq!(
            serde_json::to_string(&flags).unwrap(),
            r#"["escalation_due","rework"]"#
        );
        assert_eq!(
            serde_json::from_str::<RunFlags>(r#"["rework","escalation_due"]"#).unwrap(),
            flags
        );
        assert_eq!(RunFlags::from_bits(flags.bits()), flags);
        assert_eq!(
            serde_json::to_string(&RunFlagCounts::between(set([RunFlag::Checked]), flags)).unwrap(),
            r#"{"escalation_due":1,"rework":1,"checked":-1}"#
        );
        for flag in RunFlag::ALL {
            assert_eq!(serde_json::to_value(flag).unwrap(), flag.as_str());
        }
    }

    #[test]
    fn a_mode_counts_once_a_run_and_once_a_tool_and_leaves_with_its_run() {
        let at = |tool: &str| Charge {
            tool: Some(tool.into()),
            ..charge(FailureMode::Timeout, Source::Wire)
        };
        let charges = [at("api/a"), at("api/b"), at("api/a")];
        assert_eq!(mode_shifts(&charges).len(), 3);
        let run = |mark, charges: &[Charge]| RunContribution::of(mark, RunFlags::NONE, charges);
        let (counted, out) = (
            run(Mark::Unacceptable, &charges),
            run(Mark::Excluded, &charges),
        );
        assert_eq!(
            counted.since(&run(Mark::Unacceptable, &charges[..1])).len(),
            1,
            "only the other tool is news"
        );
        let sum = |shifts: Vec<ModeShift>| shifts.iter().map(|shift| shift.change).sum::<i64>();
        assert_eq!(
            (sum(out.since(&counted)), sum(counted.since(&out))),
            (-3, 3)
        );
        assert_eq!(
            sum(run(Mark::Unacceptable, &charges[..1]).since(&out)),
            2,
            "what was taken back meanwhile does not come back"
        );
    }
}
