//! Levels: the lowest of three bounds; what a reload, a clamp and a waiver may do; what two burns
//! lose.

use std::sync::Arc;

use burngate::gate::budget::posture::Posture;
use burngate::gate::event::{Effect, Entry, Event};
use burngate::gate::level::{BUILT_IN, Ladder, Rung};
use burngate::gate::outcome::FailureMode;
use burngate::gate::risk::Tier;
use burngate::gate::state::State;
use burngate::gate::terms::Terms;
use burngate::gate::time::days;
use burngate::gate::workflow::MAX_WAIVERS;

use crate::world::{
    DAY, HOUR, MINUTE, Rng, START, accepted, booked, clamp, entry, everywhere, level, of,
    recovered, released, state, tallied, terms, time, worlds,
};

fn waived(until: i64) -> Event {
    Event::Waived {
        until: time(until),
        by: "ada".into(),
        reason: "a launch".into(),
    }
}

fn promoted(to: &str) -> Event {
    Event::Promoted {
        to: to.into(),
        by: Some("ada".into()),
        reason: "earned".into(),
    }
}

fn place(name: &str) -> usize {
    BUILT_IN.iter().position(|level| *level == name).unwrap()
}

/// Two failures of an allowance of two.
fn burn(state: &mut State, at: i64) -> Vec<Entry> {
    state.apply(&entry(
        at,
        booked(at as u64, false, FailureMode::WrongAction),
    ));
    state.apply(&entry(
        at,
        booked(at as u64 + 1, false, FailureMode::WrongAction),
    ))
}

fn small(tier: Tier) -> Terms {
    let mut terms = terms(tier, 995_000);
    terms.objective.critical.clear();
    terms
}

#[test]
fn the_effective_level_is_the_lowest_of_earned_cap_and_clamp() {
    worlds("levels::the_effective_level", 300, |rng| {
        let terms = terms(
            rng.pick(&[Tier::Low, Tier::Medium, Tier::High]),
            rng.pick(&[950_000, 995_000]),
        );
        let mut state = state(terms.clone());
        let (mut at, mut own, mut all) = (START, Vec::new(), Vec::<(usize, i64)>::new());
        let mut earned = place(terms.starts.as_str());
        for id in 0..60 {
            at += rng.within(0, 6 * HOUR);
            own.retain(|(_, until)| *until > at);
            all.retain(|(_, until)| *until > at);
            let to = rng.pick(&BUILT_IN);
            let until = rng.one_in(2).then(|| at + rng.within(1, 2 * DAY));
            let lasts = (place(to), until.unwrap_or(i64::MAX));
            let followed = match rng.below(10) {
                0 => {
                    own.push(lasts);
                    state.apply(&entry(at, Event::Clamped(clamp(to, at, until))))
                }
                1 => {
                    all.push(lasts);
                    state.apply(&everywhere(at, Event::Clamped(clamp(to, at, until))))
                }
                2 => {
                    own.clear();
                    state.apply(&entry(at, released()))
                }
                3 => {
                    all.clear();
                    state.apply(&everywhere(at, released()))
                }
                4 => {
                    earned = place(to);
                    state.apply(&entry(at, promoted(to)))
                }
                5 => state.apply(&entry(at, recovered(days(2), rng.one_in(2).then_some(to)))),
                6 => state.apply(&entry(at, waived(at + HOUR))),
                _ => state.apply(&entry(
                    at,
                    booked(id, rng.one_in(2), FailureMode::WrongAction),
                )),
            };
            for entry in followed {
                if let Event::Followed(Effect::Demoted { to }) = entry.event {
                    assert_eq!(place(to.as_str()) + 1, earned);
                    earned = place(to.as_str());
                }
            }
            let workflow = of(&state);
            let account = workflow.account();
            let caps = &terms.caps;
            let waived = workflow.waiver().is_some();
            let cap = match (account.posture(), account.probation()) {
                _ if waived => 4,
                (_, Some(probation)) => probation.to.as_ref().map_or(4, |to| place(to.as_str())),
                (Posture::Healthy, _) => 4,
                (Posture::AtRisk, _) => place(caps.at_risk.as_str()),
                (Posture::Burned, _) => place(caps.burned.as_str()),
                (Posture::Breached, _) => place(caps.breached.as_str()),
            };
            let clamped = own.iter().chain(&all).map(|(to, _)| *to).min().unwrap_or(4);
            assert_eq!(place(&level(&state)), earned.min(cap).min(clamped));
        }
    });
}

#[test]
fn a_clamp_is_lifted_by_a_release_or_its_own_end_and_nothing_else() {
    let mut state = state(small(Tier::Low));
    let at = START;
    state.apply(&entry(
        at,
        Event::Clamped(clamp("halted", at, Some(at + HOUR))),
    ));
    state.apply(&entry(at, Event::Clamped(clamp("read_only", at, None))));
    state.apply(&entry(
        at,
        Event::Clamped(clamp("halted", at, Some(at + MINUTE))),
    ));
    assert_eq!(
        level(&state),
        "halted",
        "a laxer or a shorter clamp lifts nothing"
    );
    let followed = state.advance(time(at + HOUR - 1));
    assert!(followed.is_empty());
    let followed = state.advance(time(at + HOUR));
    assert!(
        followed
            .iter()
            .any(|entry| entry.event == Event::Followed(Effect::ClampExpired)
                && entry.at == time(at + HOUR))
    );
    assert_eq!(level(&state), "read_only");
    state.apply(&everywhere(at, released()));
    assert_eq!(
        level(&state),
        "read_only",
        "that lifts the clamps on every workflow"
    );
    state.apply(&entry(at, released()));
    assert_eq!(level(&state), "autonomous");
}

fn extended(rng: &mut Rng) -> Ladder {
    let mut ladder = Ladder::built_in();
    for name in ["careful", "night", "trial"] {
        if rng.one_in(2) {
            // Each has its place: a name means the same wherever it is found.
            let below = match name {
                "careful" => "supervised",
                "night" => "read_only",
                _ => "standard",
            };
            let rung = ladder.rungs()[ladder.find(below).unwrap().index()].clone();
            ladder
                .insert_above(
                    below,
                    Rung {
                        level: name.into(),
                        ..rung
                    },
                )
                .unwrap();
        }
    }
    ladder
}

#[test]
fn a_reload_that_drops_renames_or_brings_back_never_widens() {
    const ORDER: [&str; 8] = [
        "halted",
        "read_only",
        "night",
        "supervised",
        "careful",
        "standard",
        "trial",
        "autonomous",
    ];
    let rank = |name: &str| ORDER.iter().position(|known| *known == name).unwrap();
    worlds("levels::a_reload", 400, |rng| {
        let mut state = State::default();
        let mut name = "a";
        let with = |rng: &mut Rng, was: Option<&str>| Terms {
            ladder: extended(rng),
            was: was.map(Into::into),
            ..small(Tier::Low)
        };
        let first = with(rng, None);
        state.apply(&everywhere(START, accepted([(name, first)])));
        let mut bound = rank("autonomous");
        let level = |state: &State, name: &str| {
            rank(
                state
                    .workflow(&name.into())
                    .unwrap()
                    .status()
                    .level()
                    .as_str(),
            )
        };
        for step in 0..30 {
            let at = START + step;
            let known: Vec<String> = state
                .workflow(&name.into())
                .unwrap()
                .terms()
                .ladder
                .rungs()
                .iter()
                .map(|rung| rung.level.as_str().to_owned())
                .collect();
            match rng.below(6) {
                0 | 1 => {
                    // Any name, also one that this ladder does not know.
                    let to = rng.pick(&ORDER);
                    let event = if rng.one_in(2) {
                        promoted(to)
                    } else {
                        Event::Clamped(clamp(to, at, None))
                    };
                    if let Event::Promoted { .. } = event {
                        bound = if known.iter().any(|level| level == to) {
                            rank(to)
                        } else {
                            0
                        };
                    }
                    state.apply(&Entry {
                        at: time(at),
                        workflow: Some(name.into()),
                        event,
                    });
                    assert!(level(&state, name) <= bound);
                }
                2 => {
                    let next = if name == "a" { "b" } else { "a" };
                    let before = level(&state, name);
                    let terms = with(rng, Some(name));
                    state.apply(&everywhere(at, accepted([(next, terms)])));
                    name = next;
                    assert!(level(&state, name) <= before, "renamed");
                }
                3 => {
                    let before = level(&state, name);
                    state.apply(&everywhere(at, accepted([])));
                    let terms = with(rng, None);
                    state.apply(&everywhere(at, accepted([(name, terms)])));
                    assert!(level(&state, name) <= before, "dropped and brought back");
                }
                _ => {
                    let before = level(&state, name);
                    let terms = with(rng, None);
                    state.apply(&everywhere(at, accepted([(name, terms)])));
                    assert!(level(&state, name) <= before, "reloaded");
                }
            }
        }
    });
}

#[test]
fn histories_follow_a_chain_of_renames_and_no_stale_one() {
    let named = |was: Option<&str>| Terms {
        was: was.map(Into::into),
        ..small(Tier::Low)
    };
    let mut state = State::default();
    state.apply(&everywhere(
        START,
        accepted([("a", named(None)), ("b", named(None))]),
    ));
    for (name, failures) in [("a", 1), ("b", 2)] {
        for id in 0..failures {
            state.apply(&Entry {
                at: time(START),
                workflow: Some(name.into()),
                event: booked(id, false, FailureMode::WrongAction),
            });
        }
    }
    let failures = |state: &State, name: &str| {
        state
            .workflow(&name.into())
            .unwrap()
            .status()
            .all
            .unacceptable
    };
    state.apply(&everywhere(
        START,
        accepted([("b", named(Some("a"))), ("c", named(Some("b")))]),
    ));
    assert_eq!((failures(&state, "b"), failures(&state, "c")), (1, 2));
    // The same policies again, and a new workflow whose `was` names one that lives.
    state.apply(&everywhere(
        START,
        accepted([
            ("b", named(Some("a"))),
            ("c", named(Some("b"))),
            ("d", named(Some("c"))),
        ]),
    ));
    assert_eq!(
        (
            failures(&state, "b"),
            failures(&state, "c"),
            failures(&state, "d")
        ),
        (1, 2, 0)
    );
}

#[test]
fn a_waiver_is_short_rare_and_never_in_breached() {
    let mut state = state(small(Tier::Medium));
    burn(&mut state, START);
    assert_eq!(
        (of(&state).account().posture(), level(&state).as_str()),
        (Posture::Burned, "supervised")
    );
    state.apply(&entry(START, waived(START + 3 * DAY)));
    assert_eq!(
        (level(&state).as_str(), of(&state).waiver().unwrap().until),
        ("standard", time(START + DAY)),
        "at most 24 h"
    );
    state.advance(time(START + DAY - 1));
    assert!(of(&state).waiver().is_some());
    state.advance(time(START + DAY));
    assert!(of(&state).waiver().is_none() && level(&state) == "supervised");

    assert_eq!(MAX_WAIVERS, 2, "one was given; the second is the last");
    assert!(of(&state).may_waive(time(START + 2 * DAY)));
    state.apply(&entry(START + 2 * DAY, waived(START + 2 * DAY + HOUR)));
    assert!(!of(&state).may_waive(time(START + 3 * DAY)));
    state.apply(&entry(
        START + 30 * DAY - 1,
        waived(START + 30 * DAY + HOUR),
    ));
    assert!(of(&state).waiver().is_none(), "a third within 30 days");
    state.apply(&entry(START + 30 * DAY, waived(START + 30 * DAY + HOUR)));
    assert!(of(&state).waiver().is_some(), "the first lies 30 days back");
}

#[test]
fn two_unacceptable_runs_end_a_waiver_and_so_does_a_breach() {
    let mut terms = small(Tier::Medium);
    terms.objective.expected_runs = 10_000;
    let mut calm = state(terms);
    calm.apply(&entry(START, tallied(START, 10_000, 0, 0)));
    calm.apply(&entry(START, waived(START + HOUR)));
    calm.apply(&entry(START, booked(1, false, FailureMode::WrongAction)));
    assert!(of(&calm).waiver().is_some());
    let followed = calm.apply(&entry(START, booked(2, false, FailureMode::WrongAction)));
    assert!(
        of(&calm).waiver().is_none()
            && followed
                .iter()
                .any(|entry| entry.event == Event::Followed(Effect::WaiverEnded))
    );

    let mut state = state(small(Tier::Medium));
    burn(&mut state, START);
    state.apply(&entry(START, waived(START + DAY)));
    state.apply(&entry(START, booked(7, false, FailureMode::WrongAction)));
    assert_eq!(of(&state).account().posture(), Posture::Breached);
    assert!(of(&state).waiver().is_none() && level(&state) == "read_only");
    state.apply(&entry(START + 1, waived(START + HOUR)));
    assert!(of(&state).waiver().is_none());
}

#[test]
fn two_burns_in_90_days_drop_a_level() {
    for (gap, tallies, expected) in [(89, 0, Some(true)), (90, 0, None), (60, 4_000, Some(false))] {
        let mut terms = small(Tier::Medium);
        terms.objective.evidence = Arc::default();
        terms.objective.evidence = Arc::new(burngate::gate::budget::Evidence {
            breach: vec![0; 64],
            promote: vec![0; 64],
        });
        let mut state = state(terms);
        let mut at = START;
        state.apply(&entry(at, tallied(at, 10, 0, 0)));
        assert!(
            !burn(&mut state, at)
                .iter()
                .any(|entry| matches!(entry.event, Event::Followed(Effect::Demoted { .. })))
        );
        state.apply(&entry(at, recovered(days(2), None)));
        state.advance(time(at + 5 * DAY));
        assert!(of(&state).account().posture() < Posture::Burned);
        at += gap * DAY;
        // Old successes, outside the window that burns and inside the 90 days.
        state.apply(&entry(
            START + 6 * DAY,
            tallied(START + 6 * DAY, tallies, 0, 0),
        ));
        let followed = burn(&mut state, at);
        let demoted = followed.iter().find_map(|entry| match &entry.event {
            Event::Followed(Effect::Demoted { to }) => Some((true, to.clone())),
            Event::Followed(Effect::DemotionProposed { to }) => Some((false, to.clone())),
            _ => None,
        });
        assert_eq!(
            demoted,
            expected.map(|automatic| (automatic, "supervised".into())),
            "{gap} days, {tallies} runs"
        );
    }
}

#[test]
fn a_demotion_never_raises_a_level() {
    let mut state = state(small(Tier::High));
    state.apply(&entry(
        START,
        Event::Demoted {
            to: "autonomous".into(),
            by: None,
            reason: "a slip".into(),
        },
    ));
    assert_eq!(level(&state), "supervised");
    state.apply(&entry(
        START,
        Event::Demoted {
            to: "read_only".into(),
            by: None,
            reason: "burns".into(),
        },
    ));
    assert_eq!(level(&state), "read_only");
}
