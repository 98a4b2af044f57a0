//! Runs of the past: how a history's outcome and modes are read, and the event that books them all
//! at once.
//!
//! An import says what happened before the gate was there. Its runs are booked to their own times
//! and judged once, at the end, so that no old failure burns a budget that the runs after it had
//! long refilled. Where the runs come from, and which of them were known before, is not decided
//! here.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::budget::burn_record::MAX_CRITICAL;
use super::budget::objective::Objective;
use super::budget::posting::Posting;
use super::budget::shift::{Delta, Shift};
use super::json::Json;
use super::name::PersonName;
use super::outcome::{FailureMode, Outcome};
use super::policy::facts::{Facts, Nothing, RunFacts};
use super::run::{Charge, Mark, RunRef};
use super::run_flags::{ModeShift, RunFlagCounts, RunFlags};
use super::status::Status;
use super::time::{Minute, Time};

/// The most runs with critical modes that one import lists one by one, so that retracting them can
/// void the burn: one more than a burn lists.
pub const MOST_CRITICAL: usize = MAX_CRITICAL + 1;
/// The agent of runs whose history does not name one.
pub const AGENT: &str = "import";
/// The mode of a run that a history calls unacceptable without saying why.
pub const UNSPECIFIED: &str = "unspecified";

/// Runs of the past, booked at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Who imported them.
    pub by: PersonName,
    /// How many runs were booked, those that no window reaches included.
    pub runs: u64,
    /// Their counts, by the minute they are booked to.
    pub cells: Vec<PastCell>,
    /// Runs with critical modes, which are in no cell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub critical: Vec<PastRun>,
}

/// Past runs of one minute, or of the hour that it begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastCell {
    /// The minute they are booked to.
    pub minute: Minute,
    /// What they add to the counts.
    pub shift: Shift,
    /// Failure modes seen in them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub modes: BTreeMap<FailureMode, u64>,
}

/// One past run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastRun {
    /// The run.
    pub run: RunRef,
    /// When it was.
    pub booked_at: Time,
    /// Whether it executed a `high` call.
    pub high: bool,
    /// What went wrong.
    pub charges: Vec<Charge>,
}

/// What a past run stands as, and what its history says against itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastMark {
    /// What it stands as.
    pub mark: Mark,
    /// Where outcome and modes disagree, in words; the modes decided.
    pub contradiction: Option<&'static str>,
}

/// Reads an outcome beside its modes. The modes decide where there are any; an excluded run stays
/// out whatever they say. `idle` says that no call of the run counts.
#[must_use]
pub fn read(
    objective: &Objective,
    outcome: Outcome,
    modes: &BTreeSet<FailureMode>,
    idle: bool,
) -> PastMark {
    let counts = modes.iter().any(|mode| objective.counts(mode));
    let good = if idle { Mark::Idle } else { Mark::Acceptable };
    let reading = |mark| PastMark {
        mark,
        contradiction: None,
    };
    match outcome {
        Outcome::Excluded => reading(Mark::Excluded),
        Outcome::Unacceptable if modes.is_empty() || counts => reading(Mark::Unacceptable),
        Outcome::Acceptable if !counts => reading(good),
        Outcome::Acceptable => PastMark {
            mark: Mark::Unacceptable,
            contradiction: Some(
                "the outcome is acceptable, but a mode counts as unacceptable: booked as unacceptable",
            ),
        },
        Outcome::Unacceptable => PastMark {
            mark: good,
            contradiction: Some(
                "the outcome is unacceptable, but the objective counts none of the modes: booked as acceptable",
            ),
        },
    }
}

/// What conditions can read of a past call: its arguments, and no path, query or header.
#[must_use]
pub fn facts<'a>(
    args: Option<&'a Json<'a>>,
    tool: &'a str,
    agent: &'a str,
    workflow: &'a str,
    run: RunFacts<'a>,
    status: &'a Status,
) -> Facts<'a> {
    Facts {
        args,
        path: &Nothing,
        query: &Nothing,
        header: &Nothing,
        tool,
        agent,
        workflow,
        run,
        level: status.level().as_str(),
        posture: status.posture.as_str(),
        remaining: status.remaining,
        burn: &status.burn,
        response: None,
    }
}

impl PastCell {
    /// An empty cell.
    #[must_use]
    pub const fn new(minute: Minute) -> Self {
        let none = Delta {
            runs: 0,
            unacceptable: 0,
        };
        PastCell {
            minute,
            shift: Shift {
                all: none,
                high: none,
                idle: 0,
                flags: RunFlagCounts::NONE,
            },
            modes: BTreeMap::new(),
        }
    }

    /// Adds a run that stands as `mark`, with these charges.
    pub fn add(&mut self, mark: Mark, high: bool, charges: &[Charge]) {
        let delta = match mark {
            Mark::Idle => {
                self.shift.idle += 1;
                Delta::default()
            }
            Mark::Acceptable => Delta {
                runs: 1,
                unacceptable: 0,
            },
            Mark::Unacceptable => Delta {
                runs: 1,
                unacceptable: 1,
            },
            // It counts in nothing; what went wrong with it is seen in the run itself.
            Mark::Excluded => return,
        };
        self.shift.add(Shift {
            flags: RunFlagCounts::one(RunFlags::of(RunFlags::NONE, charges).counted(mark)),
            ..Shift::of(delta, high)
        });
        let modes: BTreeSet<_> = charges.iter().map(|charge| &charge.mode).collect();
        for mode in modes {
            *self.modes.entry(mode.clone()).or_default() += 1;
        }
    }
}

impl Imported {
    /// What it posts, to be judged as one.
    #[must_use]
    pub fn postings(&self, objective: &Objective) -> Vec<Posting> {
        let cells = self.cells.iter().map(|cell| {
            let signed = |count: &u64| i64::try_from(*count).unwrap_or(i64::MAX);
            let counts = cell
                .modes
                .iter()
                .map(|(mode, count)| ModeShift {
                    mode: mode.clone(),
                    tool: None,
                    change: signed(count),
                })
                .collect();
            Posting {
                booked_at: cell.minute.start(),
                shift: cell.shift,
                counts,
                ..Posting::default()
            }
        });
        let critical = self.critical.iter().map(|run| {
            let flags = RunFlagCounts::one(RunFlags::of(RunFlags::NONE, &run.charges));
            let modes: BTreeSet<_> = run.charges.iter().map(|charge| &charge.mode).collect();
            Posting {
                booked_at: run.booked_at,
                shift: Shift {
                    flags,
                    ..Shift::of(
                        Delta {
                            runs: 1,
                            unacceptable: 1,
                        },
                        run.high,
                    )
                },
                counts: modes
                    .iter()
                    .map(|mode| ModeShift {
                        mode: (*mode).clone(),
                        tool: None,
                        change: 1,
                    })
                    .collect(),
                critical: modes.iter().any(|mode| objective.critical.contains(*mode)),
                modes: modes.into_iter().map(|mode| (mode.clone(), 1)).collect(),
                run: Some(run.run.clone()),
            }
        });
        cells.chain(critical).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::gate::budget::Evidence;
    use crate::gate::outcome::Source;
    use crate::gate::run_flags::RunFlag;
    use crate::gate::time::days;

    fn objective() -> Objective {
        Objective {
            target_ppm: 970_000,
            window: days(30),
            expected_runs: 100,
            expected_written: true,
            unacceptable: [FailureMode::WrongAction, FailureMode::Timeout].into(),
            critical: [FailureMode::MissedEscalation].into(),
            evidence: Arc::new(Evidence::default()),
        }
    }

    #[test]
    fn the_modes_decide_and_a_contradiction_is_said() {
        use FailureMode::{MissedEscalation, ToolError, WrongAction};
        let cases: [(Outcome, &[FailureMode], Mark, bool); 8] = [
            (Outcome::Acceptable, &[], Mark::Acceptable, false),
            (Outcome::Acceptable, &[ToolError], Mark::Acceptable, false),
            (
                Outcome::Acceptable,
                &[ToolError, WrongAction],
                Mark::Unacceptable,
                true,
            ),
            (Outcome::Unacceptable, &[], Mark::Unacceptable, false),
            (
                Outcome::Unacceptable,
                &[MissedEscalation],
                Mark::Unacceptable,
                false,
            ),
            (Outcome::Unacceptable, &[ToolError], Mark::Acceptable, true),
            (Outcome::Excluded, &[], Mark::Excluded, false),
            (Outcome::Excluded, &[WrongAction], Mark::Excluded, false),
        ];
        for (outcome, modes, mark, contradicts) in cases {
            let reading = read(
                &objective(),
                outcome,
                &modes.iter().cloned().collect(),
                false,
            );
            assert_eq!(
                (reading.mark, reading.contradiction.is_some()),
                (mark, contradicts),
                "{outcome} {modes:?}"
            );
        }
        assert_eq!(
            read(&objective(), Outcome::Acceptable, &BTreeSet::new(), true).mark,
            Mark::Idle
        );
    }

    #[test]
    fn a_cell_counts_what_it_is_given() {
        let mut cell = PastCell::new(Minute(7));
        let late = [Charge {
            mode: FailureMode::Timeout,
            source: Source::System,
            by: None,
            call: None,
            tool: None,
            note: None,
            reference: None,
        }];
        cell.add(Mark::Acceptable, true, &[]);
        cell.add(Mark::Unacceptable, false, &late);
        cell.add(Mark::Idle, true, &[]);
        cell.add(Mark::Excluded, true, &late);
        let flags = RunFlagCounts::one(RunFlags::NONE.with(RunFlag::Checked));
        assert_eq!(
            cell.shift,
            Shift {
                all: Delta {
                    runs: 2,
                    unacceptable: 1
                },
                high: Delta {
                    runs: 1,
                    unacceptable: 0
                },
                idle: 1,
                flags
            }
        );
        assert_eq!(cell.modes, [(FailureMode::Timeout, 1)].into());
    }
}
