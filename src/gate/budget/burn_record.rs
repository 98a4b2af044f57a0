//! One burn: an entry into burned or breached, the failures that it rests on, and what became of
//! it.
//!
//! What a burn rests on is kept true to late facts. A burn whose failures were all taken back is
//! void: nothing follows from it any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::posting::Posting;
use super::posture::Posture;
use super::shift::Shift;
use super::totals::Grounds;
use crate::gate::outcome::FailureMode;
use crate::gate::run::RunRef;
use crate::gate::time::Time;

/// The most runs with critical modes that a burn tells apart. A burn with so many is no longer
/// voided by taking them back.
pub const MAX_CRITICAL: usize = 64;

/// An entry into burned or breached from outside both, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BurnRecord {
    /// When it was entered.
    pub at: Time,
    /// When it was left.
    pub left: Option<Time>,
    /// The worst posture in it.
    pub posture: Posture,
    /// The failure modes of the window when it was entered.
    pub modes: BTreeMap<FailureMode, u64>,
    /// What the budget stood at when it was entered.
    pub why: Arc<str>,
    /// The cause that a person put on record.
    pub cause: Option<Arc<str>>,
    /// The fix that was referred to.
    pub fix: Option<Arc<str>>,
    /// The failures behind it were retracted or excluded.
    pub voided: bool,
    /// The failures that it rests on; `None` where it rests on critical modes alone.
    pub(super) grounds: Option<Grounds>,
    /// The grounds are failures booked until then.
    pub(super) rests_until: Time,
    /// The runs whose critical modes it rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    critical: Vec<Critical>,
}

/// A run with critical modes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Critical {
    run: RunRef,
    modes: BTreeSet<FailureMode>,
    /// The run was taken out of the budget, and may come back.
    out: bool,
}

impl BurnRecord {
    pub(super) fn new(
        at: Time,
        posture: Posture,
        why: Arc<str>,
        modes: BTreeMap<FailureMode, u64>,
        grounds: Option<Grounds>,
    ) -> Self {
        BurnRecord {
            at,
            left: None,
            posture,
            modes,
            why,
            cause: None,
            fix: None,
            voided: false,
            rests_until: at,
            grounds,
            critical: Vec::new(),
        }
    }

    /// Do the grounds that it was entered on still hold?
    pub(super) fn holds(&self) -> bool {
        match &self.grounds {
            Some(grounds) => grounds.have >= grounds.need,
            None => self.rests_on_critical(),
        }
    }

    /// Does a run with critical modes that it rests on still count?
    pub(super) fn rests_on_critical(&self) -> bool {
        self.critical.iter().any(|critical| !critical.out)
    }

    /// Moves the count of the failures that it rests on by a late fact about runs booked then.
    pub(super) fn revise_grounds(&mut self, booked_at: Time, shift: Shift) {
        let until = self.rests_until;
        if let Some(grounds) = self
            .grounds
            .as_mut()
            .filter(|grounds| booked_at >= grounds.since && booked_at <= until)
        {
            let delta = if grounds.high { shift.high } else { shift.all };
            grounds.have = grounds.have.saturating_add_signed(delta.unacceptable);
        }
    }

    /// Takes a late fact about one of its runs with critical modes into account. Returns the modes
    /// of a run that came back into the budget by it.
    pub(super) fn revise_critical(&mut self, posting: &Posting) -> Option<BTreeSet<FailureMode>> {
        let run = posting.run.as_ref()?;
        let critical = self
            .critical
            .iter_mut()
            .find(|critical| critical.run == *run)?;
        for (mode, _) in posting.modes.iter().filter(|(_, change)| *change < 0) {
            critical.modes.remove(mode);
        }
        let change = posting.shift.all.unacceptable;
        let comes_back = critical.out && change > 0 && !critical.modes.is_empty();
        critical.out = critical.modes.is_empty() || change < 0 || (critical.out && change == 0);
        comes_back.then(|| critical.modes.clone())
    }

    /// Rests on the critical modes of `run` too.
    pub(super) fn note_critical(&mut self, run: Option<&RunRef>, modes: BTreeSet<FailureMode>) {
        let Some(run) = run else { return };
        if let Some(critical) = self
            .critical
            .iter_mut()
            .find(|critical| critical.run == *run)
        {
            critical.modes.extend(modes);
            critical.out = false;
        } else if self.critical.len() < MAX_CRITICAL {
            self.critical.push(Critical {
                run: run.clone(),
                modes,
                out: false,
            });
        } else {
            // Too many to tell apart: from here on it rests on them for good.
            self.grounds = Some(Grounds {
                high: false,
                since: self.rests_until,
                have: 0,
                need: 0,
            });
        }
    }
}
