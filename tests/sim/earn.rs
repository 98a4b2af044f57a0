//! What is earned and lost over months, on a clock that a test turns; and that the journal tells
//! the same story again (G12).

use burngate::gate::approval::{BoundTo, Decision, DecisionKind, Request};
use burngate::gate::check::Check;
use burngate::gate::digest::Digest;
use burngate::gate::earn::{Earn, Gain, Step, StepTrigger};
use burngate::gate::event::{Admission, Effect, Entry, Event, Revision};
use burngate::gate::level::Volume;
use burngate::gate::name::{ApprovalId, CallId};
use burngate::gate::outcome::FailureMode;
use burngate::gate::risk::{Risk, Tier};
use burngate::gate::run::{Mark, RunRef};
use burngate::gate::run_flags::RunFlags;
use burngate::gate::state::State;
use burngate::gate::terms::Terms;
use burngate::gate::time::{Time, days, minutes};

use crate::world::{
    DAY, HOUR, MINUTE, START, accepted, booked, entry, everywhere, level, of, recovered, revision,
    run, tallied, terms, time,
};

fn step(name: &str, after_days: u32, gain: Gain, how: StepTrigger) -> Step {
    Step {
        name: name.into(),
        after_days,
        gain,
        how,
    }
}

fn skip() -> Gain {
    Gain::Skip {
        tool: "payments/refund".into(),
        rule: "hold_when".into(),
        cases: Some("args.amount <= 600.0".into()),
    }
}

/// 97%, with a cap on volume that thirty days double and a review that sixty skip.
fn story() -> Terms {
    let mut terms = Terms {
        check: Some(Check {
            sample_ppm: 50_000,
            min: 20,
        }),
        ..terms(Tier::Medium, 970_000)
    };
    terms.ladder.rungs_mut().iter_mut().for_each(|rung| {
        rung.volume = Some(Volume {
            calls: 600,
            per_seconds: 60,
        });
    });
    terms.earn = Earn {
        steps: vec![
            step(
                "volume",
                30,
                Gain::Volume { times: 2 },
                StepTrigger::Automatic,
            ),
            step("small-refunds", 60, skip(), StepTrigger::Propose),
        ],
        ..Earn::default()
    };
    terms.reach = ["payments/refund".into()].into();
    terms
}

/// A state, and another that only ever sees what was written down.
struct World {
    state: State,
    replica: State,
    journal: Vec<Entry>,
    calls: u64,
}

impl World {
    fn new(terms: Terms) -> Self {
        let mut world = World {
            state: State::default(),
            replica: State::default(),
            journal: Vec::new(),
            calls: 0,
        };
        world.write(everywhere(START, accepted([("refunds", terms)])));
        world
    }

    /// Folds an entry, writes it with what followed, and has the replica read that. They must stand
    /// alike after each.
    fn write(&mut self, entry: Entry) -> Vec<Effect> {
        let followed = self.state.apply(&entry);
        let written: Vec<_> = std::iter::once(entry).chain(followed).collect();
        for entry in &written {
            self.replica.replay(entry);
        }
        self.read(written)
    }

    fn at(&mut self, at: i64, event: Event) -> Vec<Effect> {
        self.write(entry(at, event))
    }

    fn advance(&mut self, at: i64) -> Vec<Effect> {
        let followed = self.state.advance(time(at));
        for entry in &followed {
            self.replica.replay(entry);
        }
        self.replica.advance(time(at));
        self.read(followed)
    }

    fn read(&mut self, written: Vec<Entry>) -> Vec<Effect> {
        assert_eq!(self.replica, self.state, "{written:?}");
        let effects = written
            .iter()
            .filter_map(|entry| {
                if let Event::Followed(effect) = &entry.event {
                    Some(effect.clone())
                } else {
                    None
                }
            })
            .collect();
        self.journal.extend(written);
        effects
    }

    /// A refund that is held, decided by a person, and goes where it was approved.
    fn refund(&mut self, at: i64, decision: DecisionKind) -> (RunRef, Vec<Effect>) {
        self.calls += 1;
        let (id, run) = (self.calls, run(1_000_000 + self.calls));
        let approval = ApprovalId::from_bits(id.into());
        let digest = Digest::new([u8::try_from(id % 251).unwrap(); 32]);
        let request = Request {
            approval,
            run: run.run.clone(),
            call: CallId::from_bits(id.into()),
            agent: run.agent.clone(),
            tool: "payments/refund".into(),
            risk: Risk::High,
            target: "POST /refunds".into(),
            args: None,
            body: None,
            bound: BoundTo::default(),
            subject: None,
            digest,
            rule: "hold_when".into(),
            location: None,
            reason: "`args.amount > 500.0` holds".into(),
            needed: 1,
            expires_at: time(at + HOUR),
            escalate: None,
            grant: minutes(10),
            steps: vec!["small-refunds".into()],
        };
        self.at(at, Event::Held(Box::new(request)));
        let decided = Decision {
            reviewer: "dana".into(),
            role: None,
            decision,
            reason: None,
            at: time(at),
            edit: None,
            void: false,
        };
        let mut effects = self.at(
            at + MINUTE,
            Event::Decided {
                approval,
                decision: decided,
            },
        );
        if decision == DecisionKind::Approve {
            let admission = Admission {
                call: CallId::from_bits(id.into()),
                run: run.clone(),
                tool: "payments/refund".into(),
                risk: Risk::High,
                idempotent: false,
                subject: None,
                approval: Some(approval),
                digest: Some(digest),
                sent: None,
                under: None,
                held_by: None,
                operation: None,
            };
            effects.extend(self.at(at + 2 * MINUTE, Event::Admitted(admission)));
        }
        (run, effects)
    }

    /// Days on which all goes well: twenty runs a day, two refunds that people approve and look at
    /// afterwards, and a review a week.
    fn good_days(&mut self, from: i64, count: i64) -> Vec<(i64, Effect)> {
        let mut seen = Vec::new();
        for n in from..from + count {
            let at = START + n * DAY;
            let mut note =
                |effects: Vec<Effect>| seen.extend(effects.into_iter().map(|effect| (n, effect)));
            note(self.advance(at));
            note(self.at(at + HOUR, tallied(at + HOUR, 20, 2, 0)));
            for hour in [2, 3] {
                let (run, effects) = self.refund(at + hour * HOUR, DecisionKind::Approve);
                note(effects);
                note(self.at(
                    at + hour * HOUR + 30 * MINUTE,
                    checked(run, at + hour * HOUR),
                ));
            }
            if n % 7 == 6 {
                note(self.at(
                    at + 5 * HOUR,
                    Event::Reviewed {
                        by: "ada".into(),
                        note: None,
                    },
                ));
            }
        }
        seen
    }

    fn bad_hour(&mut self, day: i64, failures: u64) -> Vec<Effect> {
        let at = START + day * DAY + 12 * HOUR;
        (0..failures)
            .flat_map(|n| {
                self.at(
                    at + n as i64 * MINUTE,
                    booked(day as u64 * 1_000 + n, false, FailureMode::WrongAction),
                )
            })
            .collect()
    }

    fn volume(&self) -> u32 {
        of(&self.state).status().rung.volume.unwrap().calls
    }

    fn skipped(&self) -> usize {
        of(&self.state).skipped().len()
    }
}

/// The run, booked in the tally of that day, is looked at and found right.
fn checked(run: RunRef, booked_at: i64) -> Event {
    let flags = RunFlags::NONE.judged(true);
    let revision = Revision {
        run,
        flags,
        ..revision(0, booked_at, true, Mark::Acceptable, Mark::Acceptable)
    };
    Event::Checked {
        revision,
        by: "dana".into(),
        right: true,
    }
}

fn taken(name: &str) -> Event {
    Event::StepTaken {
        step: name.into(),
        by: "ada".into(),
        reason: "agreed in the review".into(),
    }
}

fn names(effects: &[(i64, Effect)]) -> Vec<(i64, &Effect)> {
    effects
        .iter()
        .filter(|(_, effect)| !matches!(effect, Effect::PostureChanged { .. }))
        .map(|(day, effect)| (*day, effect))
        .collect()
}

/// Thirty days earn volume, sixty a skipped review, which the operator has to agree to.
fn earn_both_steps(world: &mut World) {
    assert_eq!(
        (level(&world.state).as_str(), world.volume()),
        ("standard", 600)
    );

    // Days 1 to 30 are whole; the first, in which it began, is not counted.
    let effects = world.good_days(0, 31);
    assert!(names(&effects).is_empty(), "{effects:?}");
    let effects = world.advance(START + 31 * DAY);
    assert_eq!(
        effects,
        [Effect::StepEarned {
            step: "volume".into()
        }]
    );
    assert_eq!(world.volume(), 1_200);

    // Sixty days, and more than the 99 approved calls that 97% takes: proposed, because the policy
    // says so, and skipped once an operator agrees.
    assert_eq!(
        world.at(START + 31 * DAY, taken("small-refunds")),
        [],
        "nobody takes what is not earned"
    );
    let effects = world.good_days(31, 30);
    assert!(names(&effects).is_empty(), "{effects:?}");
    let effects = world.advance(START + 61 * DAY);
    assert_eq!(
        effects,
        [Effect::StepProposed {
            step: "small-refunds".into()
        }]
    );
    assert_eq!(world.skipped(), 0);
    world.at(START + 61 * DAY, taken("small-refunds"));
    assert_eq!(world.skipped(), 1);
}

#[test]
fn what_was_earned_rests_in_a_burn_and_two_burns_in_a_quarter_take_a_level() {
    let mut world = World::new(story());
    earn_both_steps(&mut world);

    // The first burn: what was earned rests and is there again afterwards.
    let effects = world.bad_hour(61, 60);
    assert!(effects.contains(&Effect::BurnOpened), "{effects:?}");
    assert_eq!((world.volume(), world.skipped()), (600, 0));
    world.at(START + 62 * DAY, recovered(days(7), None));
    world.good_days(63, 8);
    assert_eq!(
        (
            level(&world.state).as_str(),
            world.volume(),
            world.skipped()
        ),
        ("standard", 1_200, 1)
    );

    // The second within the quarter: the level is lost, and what was earned at it.
    let effects = world.bad_hour(80, 8);
    assert!(
        effects.contains(&Effect::Demoted {
            to: "supervised".into()
        }),
        "{effects:?}"
    );
    for step in ["small-refunds", "volume"] {
        assert!(
            effects.contains(&Effect::StepLost { step: step.into() }),
            "{effects:?}"
        );
    }
    world.at(START + 81 * DAY, recovered(days(7), None));
    let effects = world.good_days(82, 10);
    assert!(
        effects
            .iter()
            .any(|(_, effect)| *effect == Effect::ProbationEnded { lasted: true }),
        "{effects:?}"
    );
    assert_eq!(
        (
            level(&world.state).as_str(),
            world.volume(),
            world.skipped()
        ),
        ("supervised", 600, 0)
    );

    // Given back: at once, by an operator, with a reason.
    let mut given = World {
        state: world.state.clone(),
        replica: world.replica.clone(),
        journal: Vec::new(),
        calls: world.calls,
    };
    given.at(
        START + 92 * DAY,
        Event::Promoted {
            to: "standard".into(),
            by: Some("ada".into()),
            reason: "the prompt was mended".into(),
        },
    );
    assert_eq!(
        (level(&given.state).as_str(), given.volume()),
        ("standard", 600)
    );

    earned_back(&mut world);
}

/// Earned back: burned days do not count, from the demotion on.
fn earned_back(world: &mut World) {
    let effects = world.good_days(92, 40);
    let regained: Vec<_> = effects
        .iter()
        .filter(|(_, effect)| {
            *effect
                == Effect::StepProposed {
                    step: "regain".into(),
                }
        })
        .map(|(day, _)| *day)
        .collect();
    let [on] = regained[..] else {
        panic!("{effects:?}")
    };
    assert!((111..=121).contains(&on), "{on}");
    world.at(START + 132 * DAY, taken("regain"));
    assert_eq!(level(&world.state), "standard");
    assert_eq!(of(&world.state).steps().lost(), None);

    // The journal alone tells it again.
    let mut again = State::default();
    world.journal.iter().for_each(|entry| again.replay(entry));
    assert_eq!(again, world.state);
    let snapshot: State =
        serde_json::from_str(&serde_json::to_string(&world.state).unwrap()).unwrap();
    assert_eq!(snapshot, world.state);
}

#[test]
fn a_step_needs_runs_and_a_skipped_review_needs_reviews() {
    let mut world = World::new(story());
    let effects = world.advance(START + 200 * DAY);
    assert_eq!(effects, [], "no run, no evidence");
    // Runs without reviews that people looked at earn volume and no skipped review.
    for n in 200..265 {
        world.at(
            START + n * DAY + HOUR,
            tallied(START + n * DAY + HOUR, 20, 2, 0),
        );
    }
    assert_eq!((world.volume(), world.skipped()), (1_200, 0));
    assert_eq!(world.at(START + 265 * DAY, taken("small-refunds")), []);
    assert_eq!(world.skipped(), 0);
}

#[test]
fn one_call_that_is_held_all_the_same_and_found_wrong_brings_the_review_back() {
    for how in ["denied as wrong", "reported"] {
        let mut world = World::new(story());
        world.good_days(0, 61);
        world.advance(START + 61 * DAY);
        world.at(START + 61 * DAY, taken("small-refunds"));
        assert_eq!(world.skipped(), 1);
        let at = START + 61 * DAY + HOUR;
        let lost = if how == "reported" {
            let (run, effects) = world.refund(at, DecisionKind::Approve);
            assert_eq!(effects, [], "approved is not wrong");
            world.at(at + 3 * MINUTE, tallied(at, 1, 1, 0));
            let revision = Revision {
                run,
                ..revision(0, at, true, Mark::Acceptable, Mark::Unacceptable)
            };
            world.at(
                at + HOUR,
                Event::Reported {
                    revision,
                    charge: crate::world::charge(&FailureMode::WrongAction),
                },
            )
        } else {
            let (_, effects) = world.refund(at, DecisionKind::DenyWrong);
            effects
        };
        assert!(
            lost.contains(&Effect::StepLost {
                step: "small-refunds".into()
            }),
            "{how}: {lost:?}"
        );
        assert_eq!(world.skipped(), 0);
        assert_eq!(
            world.at(at + 2 * HOUR, taken("small-refunds")),
            [],
            "it is to be earned anew"
        );
        assert_eq!(world.skipped(), 0);
    }
}

#[test]
fn at_tier_high_nothing_is_promoted_that_nobody_reviewed_for_thirty_days() {
    let high = || Terms {
        tier: Tier::High,
        ..story()
    };
    let given = |day: i64| Event::Promoted {
        to: "autonomous".into(),
        by: Some("ada".into()),
        reason: format!("day {day}").into(),
    };
    let mut unseen = World::new(high());
    let mut seen = World::new(high());
    for n in 0..31 {
        let at = START + n * DAY + HOUR;
        unseen.at(at, tallied(at, 20, 0, 0));
        seen.at(at, tallied(at, 20, 0, 0));
    }
    seen.at(
        START + 30 * DAY + 2 * HOUR,
        Event::Reviewed {
            by: "ada".into(),
            note: Some("all well".into()),
        },
    );
    assert_eq!(
        unseen.advance(START + 32 * DAY),
        [],
        "earned, and nobody looked"
    );
    assert_eq!(
        seen.advance(START + 32 * DAY),
        [Effect::StepEarned {
            step: "volume".into()
        }]
    );
    unseen.at(START + 32 * DAY, given(32));
    assert_eq!(
        (
            level(&unseen.state).as_str(),
            of(&unseen.state).misses_review()
        ),
        ("standard", true),
        "nor does an operator's word without a look"
    );
    unseen.at(
        START + 32 * DAY + HOUR,
        Event::Reviewed {
            by: "ada".into(),
            note: None,
        },
    );
    unseen.at(START + 32 * DAY + HOUR, given(32));
    assert_eq!(level(&unseen.state), "autonomous");
}

#[test]
fn a_week_that_nobody_reviewed_is_told_once_and_again_a_week_later() {
    let mut world = World::new(story());
    assert_eq!(
        world.advance(START + 20 * DAY),
        [],
        "nothing ran, and there is nothing to look at"
    );
    let first = START + 20 * DAY + HOUR;
    world.at(first, tallied(first, 20, 0, 0));
    let overdue = Effect::ReviewOverdue {
        since: time(first + 7 * DAY),
    };
    assert_eq!(
        world.advance(START + 29 * DAY),
        std::slice::from_ref(&overdue)
    );
    assert_eq!(world.advance(START + 36 * DAY), [overdue]);
    world.at(
        START + 36 * DAY,
        Event::Reviewed {
            by: "ada".into(),
            note: None,
        },
    );
    assert_eq!(world.advance(START + 60 * DAY), []);
    assert_eq!(
        of(&world.state)
            .reviews()
            .last()
            .map(|last| last.by.as_str()),
        Some("ada")
    );
}

#[test]
fn excluding_more_than_two_in_a_hundred_stops_promotion() {
    let mut world = World::new(story());
    for n in 0..31 {
        let at = START + n * DAY + HOUR;
        world.at(at, tallied(at, 20, 0, 0));
    }
    // 13 of the 600 that count.
    for id in 0..14 {
        let revision = revision(id, START + 2 * DAY, false, Mark::Acceptable, Mark::Excluded);
        world.at(
            START + 30 * DAY + 2 * HOUR,
            Event::Excluded {
                revision,
                reason: "a drill".into(),
                reference: None,
                by: "ada".into(),
            },
        );
    }
    assert_eq!(world.advance(START + 31 * DAY), []);
    let back = revision(0, START + 2 * DAY, false, Mark::Excluded, Mark::Acceptable);
    let back_too = revision(1, START + 2 * DAY, false, Mark::Excluded, Mark::Acceptable);
    for revision in [back, back_too] {
        world.at(
            START + 31 * DAY + HOUR,
            Event::Reinstated {
                revision,
                by: "ada".into(),
            },
        );
    }
    assert_eq!(
        world.advance(START + 32 * DAY),
        [Effect::StepEarned {
            step: "volume".into()
        }]
    );
}

#[test]
fn a_policy_that_gives_more_under_the_same_name_has_it_earned_anew() {
    let mut world = World::new(story());
    world.good_days(0, 31);
    world.advance(START + 31 * DAY);
    assert_eq!(world.volume(), 1_200);
    let mut more = story();
    more.earn.steps[0].gain = Gain::Volume { times: 10 };
    let effects = world.write(everywhere(
        START + 31 * DAY + HOUR,
        accepted([("refunds", more)]),
    ));
    assert_eq!(
        effects,
        [Effect::StepLost {
            step: "volume".into()
        }]
    );
    assert_eq!(world.volume(), 600);
}

#[test]
fn days_in_burned_and_breached_are_not_days_within_budget() {
    let mut world = World::new(story());
    world.good_days(0, 5);
    assert_eq!(
        of(&world.state)
            .steps()
            .days(Time::from_millis(START + 5 * DAY)),
        4
    );
    world.bad_hour(5, 30);
    world.at(START + 6 * DAY, recovered(days(3), None));
    world.good_days(7, 6);
    // 1 to 4, and 10 to 12: the probation that began on the sixth ended in the course of the ninth.
    assert_eq!(
        of(&world.state)
            .steps()
            .days(Time::from_millis(START + 13 * DAY)),
        7
    );
}

#[test]
fn a_new_name_is_no_way_out_of_a_burned_budget_nor_of_a_clamp() {
    let other = || Terms {
        reach: ["payments/refund".into(), "crm/update".into()].into(),
        ..story()
    };
    let read_only = || Terms {
        reach: ["crm/update".into()].into(),
        ..story()
    };
    let begins = |state: &State, name: &str| {
        state
            .workflow(&name.into())
            .unwrap()
            .status()
            .level()
            .as_str()
            .to_owned()
    };

    let mut burned = World::new(story());
    burned.at(START, tallied(START, 100, 0, 0));
    burned.bad_hour(0, 3);
    let capped = level(&burned.state);
    burned.write(everywhere(
        START + DAY,
        accepted([
            ("refunds", story()),
            ("again", other()),
            ("elsewhere", read_only()),
        ]),
    ));
    assert_eq!(
        (
            begins(&burned.state, "again"),
            begins(&burned.state, "elsewhere")
        ),
        (capped, "standard".to_owned())
    );

    // Dropped from the policies while clamped, and back under another name.
    let mut clamped = World::new(story());
    clamped.at(
        START,
        Event::Clamped(crate::world::clamp("read_only", START, None)),
    );
    clamped.write(everywhere(START + DAY, accepted([("again", other())])));
    assert_eq!(begins(&clamped.state, "again"), "read_only");

    // Renamed, it takes its history along and is nobody new.
    let mut renamed = World::new(story());
    renamed.write(everywhere(
        START + DAY,
        accepted([(
            "again",
            Terms {
                was: Some("refunds".into()),
                ..other()
            },
        )]),
    ));
    assert_eq!(begins(&renamed.state, "again"), "standard");
}
