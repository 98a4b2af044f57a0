//! One row for each event and each effect: its name, when it acts, whom it concerns, and where a
//! person reads it. Everything that treats kinds of events differently reads these rows: the
//! journal, its index, the log, the review and the timeline.
//!
//! What an event does to the state is the fold's to decide, and what it says in words is in
//! `sentence`.

use super::Event;
use super::effect::Effect;
use crate::gate::approval::DecisionKind;

/// When an event acts, and whether it is written when its first write failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// It only tightens: it acts in memory at once and is acknowledged when durable. It is written
    /// in the end.
    Tightens,
    /// It acts at once, as what only tightens does, but it asks for something: once its asker was
    /// told no it is dropped, because it must not come true later.
    Requests,
    /// It has happened and opens nothing: it acts when durable, and is written in the end.
    Records,
    /// It opens something or changes what was booked: it acts when durable, and is dropped once its
    /// asker was told no.
    Loosens,
    /// A person decided on a held call: an approval loosens, a denial tightens.
    Decides,
}

/// Whether the index of what people ask about has an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Indexed {
    /// It has.
    Always,
    /// It has not: the event comes once a call, once a run or once a minute, and would make a busy
    /// week slow to review.
    Never,
    /// Only where the call uses a grant: a person approved it, or calls like it for a while.
    Granted,
}

/// How loud the log is about an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Not a line: it comes too often, or says only what another line says.
    Silent,
    /// Worth knowing.
    Info,
    /// Somebody should look soon.
    Warn,
    /// Somebody should look now.
    Error,
}

/// Who follows events of a kind: each has a target of its own in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Whoever watches single calls and decides on them.
    Calls,
    /// Whoever answers for budgets and levels.
    Budget,
    /// Whoever runs the process.
    Process,
}

/// Where a review shows an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Nowhere.
    Nowhere,
    /// In the timeline of one workflow, with each of its risky or refused calls.
    CallTimeline,
    /// In the timeline; in its numbers, where it is counted there.
    Timeline,
    /// Also with what people did during a burn.
    Done,
    /// Also with the levels; what people did there is among [`Section::Done`] too.
    Levels,
    /// Also with the changes, and among [`Section::Done`].
    Changes,
}

/// What is true of every event of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventRow {
    /// Its name in the journal: a format that never changes.
    pub name: &'static str,
    /// When it acts.
    pub force: Force,
    /// Whether people ask about it.
    pub indexed: Indexed,
    /// How it reaches people.
    pub notice: Notice,
}

/// How an event or an effect reaches people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice {
    /// How loud the log is.
    pub level: LogLevel,
    /// Who follows it.
    pub audience: Audience,
    /// Where a review shows it.
    pub section: Section,
    /// What to do about it.
    pub hint: Option<&'static str>,
}

/// What is true of every effect of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EffectRow {
    /// Its name in the journal: a format that never changes.
    pub name: &'static str,
    /// How it reaches people.
    pub notice: Notice,
}

macro_rules! hint {
    () => {
        None
    };
    ($hint:literal) => {
        Some($hint)
    };
}

macro_rules! events {
    ($($kind:ident $name:literal $force:ident $indexed:ident $level:ident $audience:ident $section:ident $($hint:literal)?;)+) => {
        /// The kinds of events, in the order of [`Event`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EventKind {
            $(#[doc = concat!("`", $name, "`")] $kind,)+
        }

        impl EventKind {
            /// All of them.
            pub const ALL: &[EventKind] = &[$(EventKind::$kind,)+];

            /// Its name in the journal.
            #[must_use]
            pub const fn name(self) -> &'static str {
                self.row().name
            }

            /// What is true of each event of this kind.
            #[must_use]
            pub const fn row(self) -> &'static EventRow {
                match self {
                    $(EventKind::$kind => &EventRow {
                        name: $name,
                        force: Force::$force,
                        indexed: Indexed::$indexed,
                        notice: Notice {
                            level: LogLevel::$level,
                            audience: Audience::$audience,
                            section: Section::$section,
                            hint: hint!($($hint)?),
                        },
                    },)+
                }
            }
        }

        impl Event {
            /// Its kind.
            #[must_use]
            pub const fn kind(&self) -> EventKind {
                match self {
                    $(Event::$kind { .. } => EventKind::$kind,)+
                }
            }
        }
    };
}

macro_rules! effects {
    ($($kind:ident $name:literal $level:ident $audience:ident $section:ident $($hint:literal)?;)+) => {
        impl Effect {
            /// What is true of each effect of its kind.
            #[must_use]
            pub const fn row(&self) -> &'static EffectRow {
                match self {
                    $(Effect::$kind { .. } => &EffectRow {
                        name: $name,
                        notice: Notice {
                            level: LogLevel::$level,
                            audience: Audience::$audience,
                            section: Section::$section,
                            hint: hint!($($hint)?),
                        },
                    },)+
                }
            }
        }

        /// The names of all effects, in the order of [`Effect`].
        #[cfg(test)]
        pub(super) const EFFECTS: &[&str] = &[$($name,)+];
    };
}

events! {
    // Kind         name                force    indexed log    audience section and hint
    Started         "started"           Records  Always  Info   Process  Timeline;
    Stopped         "stopped"           Records  Always  Info   Process  Timeline;
    PolicyAccepted  "policy_accepted"   Loosens  Always  Info   Process  Timeline;
    PolicyRefused   "policy_refused"    Records  Always  Error  Process  Timeline "what was in force stays in force";
    ApproversNamed  "approvers_named"   Tightens Always  Info   Process  Timeline;
    AccessChanged   "access_changed"    Records  Always  Warn   Process  Timeline;
    ClockJumped     "clock_jumped"      Tightens Always  Error  Process  Timeline;
    ClockAccepted   "clock_accepted"    Loosens  Always  Warn   Process  Timeline;
    Admitted        "admitted"          Requests Granted Silent Calls    CallTimeline;
    Settled         "settled"           Records  Never   Silent Calls    CallTimeline;
    Tallied         "tallied"           Records  Never   Silent Budget   Nowhere;
    Booked          "booked"            Tightens Always  Silent Budget   Timeline;
    BookedHigh      "booked_high"       Tightens Never   Silent Budget   Nowhere;
    Escalated       "escalated"         Tightens Always  Info   Calls    Timeline;
    // A report is resolved against the run index by the writer, so it acts only when durable.
    Reported        "reported"          Loosens  Always  Silent Budget   Done;
    Retracted       "retracted"         Loosens  Always  Silent Budget   Done;
    Excluded        "excluded"          Loosens  Always  Info   Budget   Timeline;
    Reinstated      "reinstated"        Loosens  Always  Silent Budget   Timeline;
    Reconciled      "reconciled"        Loosens  Always  Silent Budget   Done;
    Noted           "noted"             Records  Never   Silent Budget   Nowhere;
    Remarked        "remarked"          Records  Always  Silent Budget   Nowhere;
    Checked         "checked"           Records  Always  Silent Budget   Timeline;
    Imported        "imported"          Loosens  Always  Info   Budget   Timeline;
    Paced           "paced"             Records  Never   Silent Budget   Nowhere;
    Refused         "refused"           Records  Never   Silent Calls    CallTimeline;
    TurnedAway      "turned_away"       Records  Always  Silent Calls    Nowhere;
    SignedIn        "signed_in"         Records  Always  Info   Process  Nowhere;
    // A hold opens nothing by itself; acting at once lets an identical call find it.
    Held            "held"              Requests Always  Silent Calls    Timeline;
    Seen            "seen"              Records  Never   Silent Calls    Nowhere;
    Decided         "decided"           Decides  Always  Info   Calls    Timeline;
    Withdrawn       "withdrawn"         Tightens Always  Silent Calls    Timeline;
    GrantGiven      "grant_given"       Loosens  Always  Warn   Budget   Levels;
    GrantRevoked    "grant_revoked"     Tightens Always  Info   Budget   Levels;
    Clamped         "clamped"           Tightens Always  Warn   Budget   Levels;
    Released        "released"          Loosens  Always  Warn   Budget   Levels;
    Waived          "waived"            Loosens  Always  Warn   Budget   Levels;
    Recovered       "recovered"         Loosens  Always  Info   Budget   Levels;
    Promoted        "promoted"          Loosens  Always  Info   Budget   Levels;
    StepTaken       "step_taken"        Loosens  Always  Warn   Budget   Levels;
    Demoted         "demoted"           Tightens Always  Warn   Budget   Levels;
    Sampled         "sampled"           Tightens Never   Silent Budget   Nowhere;
    Reviewed        "reviewed"          Loosens  Always  Info   Budget   Timeline;
    PolicyHeldBack  "policy_held_back"  Records  Always  Error  Budget   Changes  "the workflow keeps its policy while its changes are frozen";
    Changed         "changed"           Loosens  Always  Info   Budget   Changes;
    ChangeRefused   "change_refused"    Records  Always  Info   Budget   Changes;
    IncidentOpened  "incident_opened"   Records  Always  Error  Process  Timeline "`burngate exclude --incident` decides on its failures";
    IncidentClosed  "incident_closed"   Records  Always  Warn   Process  Timeline;
    // The log and the lists of a review go by the row of the effect.
    Followed        "followed"          Records  Always  Silent Budget   Timeline;
}

effects! {
    // Kind             name                  log   audience section and hint
    PostureChanged      "posture_changed"     Warn  Budget   Timeline;
    LevelChanged        "level_changed"       Warn  Budget   Levels;
    BurnOpened          "burn_opened"         Warn  Budget   Timeline;
    BurnVoided          "burn_voided"         Info  Budget   Timeline;
    ProbationEnded      "probation_ended"     Info  Budget   Timeline;
    ClampExpired        "clamp_expired"       Warn  Budget   Levels;
    WaiverEnded         "waiver_ended"        Info  Budget   Levels;
    ApprovalDue         "approval_due"        Warn  Calls    Timeline;
    ApprovalEscalated   "approval_escalated"  Warn  Calls    Timeline;
    ApprovalUnseen      "approval_unseen"     Error Calls    Levels   "does anybody watch `burngate approvals list`?";
    ApprovalExpired     "approval_expired"    Info  Calls    Timeline;
    Demoted             "demoted"             Warn  Budget   Levels;
    StepEarned          "step_earned"         Info  Budget   Levels;
    StepProposed        "step_proposed"       Info  Budget   Levels;
    StepLost            "step_lost"           Warn  Budget   Levels;
    DemotionProposed    "demotion_proposed"   Warn  Budget   Levels;
    ReviewOverdue       "review_overdue"      Warn  Budget   Timeline "`burngate review`, and `burngate review --done` when somebody has looked";
}

impl Event {
    /// Can this event only tighten? Such an event acts in memory at once and is acknowledged when
    /// durable; any other acts only when durable.
    #[must_use]
    pub const fn tightens(&self) -> bool {
        match self.kind().row().force {
            Force::Tightens | Force::Requests => true,
            Force::Records | Force::Loosens => false,
            Force::Decides => self.denies(),
        }
    }

    /// Has it happened, or does it only tighten? Then it is written in the end, and anything else
    /// is dropped once its asker was told no.
    #[must_use]
    pub const fn is_fact(&self) -> bool {
        match self.kind().row().force {
            Force::Tightens | Force::Records => true,
            Force::Requests | Force::Loosens => false,
            Force::Decides => self.denies(),
        }
    }

    /// What the log calls it: by the name of the effect where it is one.
    #[must_use]
    pub const fn log_name(&self) -> &'static str {
        match self {
            Event::Followed(effect) => effect.row().name,
            _ => self.kind().name(),
        }
    }

    /// How it reaches people: as its effect does where it is one.
    #[must_use]
    pub const fn notice(&self) -> &'static Notice {
        match self {
            Event::Followed(effect) => &effect.row().notice,
            _ => &self.kind().row().notice,
        }
    }

    /// How loud the log is about it. A posture that gets better is no reason to look.
    #[must_use]
    pub fn log_level(&self) -> LogLevel {
        match self {
            Event::Followed(Effect::PostureChanged { from, to, .. }) if to <= from => {
                LogLevel::Info
            }
            _ => self.notice().level,
        }
    }

    const fn denies(&self) -> bool {
        matches!(self, Event::Decided { decision, .. } if !matches!(decision.decision, DecisionKind::Approve))
    }
}
