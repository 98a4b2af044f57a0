//! Approvals: every short sequence of what can happen to one, and random queues against a plain
//! model (G4, G10).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use burngate::gate::approval::{
    ApprovalQueue, Attention, BoundTo, Decision, DecisionKind, Edit, Escalate, Request, Stage,
};
use burngate::gate::digest::Digest;
use burngate::gate::name::{ApprovalId, CallId};
use burngate::gate::risk::Risk;
use burngate::gate::time::Time;
use proptest::prelude::*;

use crate::world::{HOUR, START, time};

const EXPIRES: i64 = 10;
const GRANT: i64 = 3;

fn request(id: u128, digest: u8, needed: u32, expires_at: i64) -> Request {
    Request {
        approval: ApprovalId::from_bits(id),
        run: "run".into(),
        call: CallId::from_bits(id),
        agent: "clerk".into(),
        tool: "pay/refund".into(),
        risk: Risk::High,
        target: "POST /refunds".into(),
        args: None,
        body: None,
        bound: BoundTo::default(),
        subject: None,
        digest: Digest::new([digest; 32]),
        rule: "level".into(),
        location: None,
        reason: "the level holds it".into(),
        needed,
        expires_at: time(expires_at),
        escalate: None,
        grant: Duration::from_millis(GRANT as u64),
        steps: Vec::new(),
    }
}

fn decision(reviewer: &str, decision: DecisionKind, at: i64) -> Decision {
    Decision {
        reviewer: reviewer.into(),
        role: None,
        decision,
        reason: None,
        at: time(at),
        edit: None,
        void: false,
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Act {
    Approve(&'static str),
    Deny(&'static str),
    Use(u8),
    Withdraw,
    Remove(&'static str),
    Pass(i64),
    HoldAgain,
}

const ACTS: [Act; 10] = [
    Act::Approve("ada"),
    Act::Approve("bob"),
    Act::Deny("ada"),
    Act::Deny("bob"),
    Act::Use(1),
    Act::Use(2),
    Act::Withdraw,
    Act::Pass(GRANT - 1),
    Act::Pass(1),
    Act::Remove("ada"),
];

/// What a history says about the one approval, judged from the history alone.
#[derive(Debug, Default)]
struct Story {
    approvers: Vec<&'static str>,
    granted_at: Option<i64>,
    endings: u32,
    uses: u32,
}

fn play(acts: &[Act], needed: u32, hold_expires: i64) {
    let (mut queue, mut now, mut story) = (ApprovalQueue::default(), START, Story::default());
    let id = ApprovalId::from_bits(1);
    let expires = START + hold_expires;
    queue.hold(request(1, 1, needed, expires), time(now));
    for act in acts {
        let open = story.endings == 0;
        let granted = story.granted_at.is_some();
        match *act {
            Act::Pass(span) => {
                now += span;
                let ends = if let Some(at) = story.granted_at {
                    at + GRANT
                } else {
                    expires
                };
                let expired = queue.expire(time(now));
                assert_eq!(expired == [id], open && now >= ends, "{acts:?}");
                story.endings += u32::from(open && now >= ends);
            }
            Act::Approve(who) => {
                let taken = queue
                    .decide(id, decision(who, DecisionKind::Approve, now))
                    .is_ok();
                let counts = open && !granted && now < expires && !story.approvers.contains(&who);
                assert_eq!(taken, counts, "{acts:?}: one person counts once");
                if taken {
                    story.approvers.push(who);
                    if story.approvers.len() as u32 == needed {
                        story.granted_at = Some(now);
                    }
                }
            }
            Act::Deny(who) => {
                let taken = queue
                    .decide(id, decision(who, DecisionKind::DenyWrong, now))
                    .is_ok();
                assert_eq!(
                    taken,
                    open && !granted && now < expires && !story.approvers.contains(&who),
                    "{acts:?}"
                );
                story.endings += u32::from(taken);
            }
            Act::Use(digest) => {
                let used = queue
                    .use_grant(
                        id,
                        &Digest::new([digest; 32]),
                        CallId::from_bits(9),
                        time(now),
                    )
                    .is_ok();
                let valid =
                    open && story.granted_at.is_some_and(|at| now < at + GRANT) && digest == 1;
                assert_eq!(
                    used, valid,
                    "{acts:?}: exactly this call, before it expires, once"
                );
                story.uses += u32::from(used);
                story.endings += u32::from(used);
            }
            Act::Withdraw => {
                let taken = queue.withdraw(id, time(now)).is_ok();
                assert_eq!(taken, open, "{acts:?}");
                story.endings += u32::from(taken);
            }
            Act::Remove(who) => {
                let people: BTreeSet<_> = ["ada", "bob"]
                    .into_iter()
                    .filter(|known| *known != who)
                    .map(Into::into)
                    .collect();
                queue.keep_approvers(&people);
                if open {
                    story.approvers.retain(|known| *known != who);
                    story.granted_at = story
                        .granted_at
                        .filter(|_| story.approvers.len() as u32 >= needed);
                }
            }
            Act::HoldAgain => queue.hold(request(1, 1, needed, expires), time(now)),
        }
        assert!(
            story.endings <= 1 && story.uses <= 1,
            "{acts:?}: exactly one ending"
        );
        let stage = queue.get(id).unwrap().stage;
        assert_eq!(
            stage.ended_at().is_some(),
            story.endings == 1,
            "{acts:?}: {stage:?}"
        );
        assert_eq!(
            matches!(stage, Stage::Approved { .. }),
            story.endings == 0 && story.granted_at.is_some(),
            "{acts:?}"
        );
    }
}

#[test]
fn every_sequence_of_up_to_six_acts_ends_once() {
    for needed in [1, 2] {
        every(6, &ACTS[..9], &mut Vec::new(), &mut |acts| {
            play(acts, needed, 4);
        });
        every(5, &ACTS, &mut Vec::new(), &mut |acts| play(acts, needed, 4));
    }
}

fn every<A: Copy>(length: usize, of: &[A], acts: &mut Vec<A>, play: &mut impl FnMut(&[A])) {
    // What holds for a sequence was checked after each of its acts, so only full ones are played.
    if acts.len() == length {
        play(acts);
        return;
    }
    for act in of {
        acts.push(*act);
        every(length, of, acts, play);
        acts.pop();
    }
}

/// Every sequence of five of: two people who approve, or edit it in one of two ways, and who use
/// it.
#[test]
fn only_approvals_of_the_last_edit_count() {
    const PEOPLE: [&str; 2] = ["ada", "bob"];
    let acts: Vec<Option<(usize, Option<u8>)>> = PEOPLE
        .iter()
        .enumerate()
        .flat_map(|(who, _)| [None, Some(7), Some(8)].map(|edit| Some((who, edit))))
        .chain([None])
        .collect();
    for needed in [1, 2] {
        for sequence in 0..acts.len().pow(5) {
            let (mut queue, id) = (ApprovalQueue::default(), ApprovalId::from_bits(1));
            queue.hold(request(1, 1, needed, START + EXPIRES), time(START));
            let (mut approvers, mut version, mut granted, mut used) =
                (Vec::new(), None, false, false);
            for place in 0..5 {
                if let Some((who, edit)) = acts[sequence / acts.len().pow(place) % acts.len()] {
                    let edited = edit.map(|digest| Edit {
                        args: "{}".into(),
                        digest: Digest::new([digest; 32]),
                    });
                    let taken = queue
                        .decide(
                            id,
                            Decision {
                                edit: edited,
                                ..decision(PEOPLE[who], DecisionKind::Approve, START)
                            },
                        )
                        .is_ok();
                    assert_eq!(
                        taken,
                        !granted && !used && !approvers.contains(&who),
                        "{sequence}"
                    );
                    if taken {
                        if edit.is_some() {
                            (approvers, version) = (Vec::new(), edit);
                        }
                        approvers.push(who);
                        granted = approvers.len() as u32 >= needed;
                    }
                } else {
                    // The agent's own call is what the grant is bound to, edited or not.
                    let passes = queue
                        .use_grant(id, &Digest::new([1; 32]), CallId::from_bits(9), time(START))
                        .is_ok();
                    assert_eq!(passes, granted && !used, "{sequence}");
                    (used, granted) = (used || passes, granted && !passes);
                    assert!(
                        queue
                            .use_grant(id, &Digest::new([7; 32]), CallId::from_bits(9), time(START))
                            .is_err()
                    );
                }
                let approval = queue.get(id).unwrap();
                assert_eq!(
                    (
                        approval.approvals(),
                        approval.edit().map(|edit| edit.digest)
                    ),
                    (
                        approvers.len() as u32,
                        version.map(|v| Digest::new([v; 32]))
                    )
                );
            }
        }
    }
}

#[test]
fn people_are_told_once_before_a_held_call_expires_and_once_when_it_is_put_to_others() {
    let (mut queue, id) = (ApprovalQueue::default(), ApprovalId::from_bits(1));
    let escalate = Some(Escalate {
        to: "operator".into(),
        at: time(START + 5),
    });
    queue.hold(
        Request {
            escalate,
            ..request(1, 1, 1, START + 8)
        },
        time(START),
    );
    let mut told = Vec::new();
    for passed in 0..10 {
        if queue
            .next_attention()
            .is_some_and(|at| at <= time(START + passed))
        {
            told.extend(
                queue
                    .attend(time(START + passed))
                    .into_iter()
                    .map(|due| (passed, due)),
            );
        }
        queue.expire(time(START + passed));
    }
    assert_eq!(
        told,
        [
            (5, Attention::Escalated(id, "operator".into())),
            (6, Attention::Due(id))
        ]
    );
    assert!(queue.get(id).unwrap().is_unseen(), "nobody ever saw it");
    for seen in [false, true] {
        let (mut queue, id) = (ApprovalQueue::default(), ApprovalId::from_bits(2));
        queue.hold(request(2, 1, 1, START + 8), time(START));
        if seen {
            queue.see(&[id], &"ada".into(), time(START + 1));
        } else {
            queue.withdraw(id, time(START + 1)).unwrap();
            assert_eq!(queue.next_attention(), None, "what has ended needs nobody");
        }
        queue.expire(time(START + 8));
        assert!(!queue.get(id).unwrap().is_unseen());
    }
}

/// Every sequence of five of: three people who approve, one of them an operator, who may be
/// removed, and the moment at which the call is put to operators.
#[test]
fn once_put_to_a_role_a_call_goes_only_with_a_yes_of_somebody_who_holds_it() {
    #[derive(Clone, Copy, PartialEq)]
    enum Act {
        Approve(&'static str),
        Remove(&'static str),
        PutToOthers,
    }
    const ACTS: [Act; 6] = [
        Act::Approve("ada"),
        Act::Approve("bob"),
        Act::Approve("olga"),
        Act::Remove("ada"),
        Act::Remove("olga"),
        Act::PutToOthers,
    ];
    let role = |who: &str| {
        Some(if who == "olga" {
            "operator".into()
        } else {
            "reviewer".into()
        })
    };
    for (to, needed) in [("operator", 1), ("operator", 2), ("reviewer", 1)] {
        let mut play = |acts: &[Act]| {
            let (mut queue, id, mut at) =
                (ApprovalQueue::default(), ApprovalId::from_bits(1), START);
            let escalate = Some(Escalate {
                to: to.into(),
                at: time(START + HOUR / 2),
            });
            queue.hold(
                Request {
                    escalate,
                    grant: Duration::from_millis(HOUR as u64),
                    ..request(1, 1, needed, START + HOUR)
                },
                time(START),
            );
            let (mut yes, mut people, mut put, mut goes) = (
                BTreeSet::new(),
                BTreeSet::from(["ada", "bob", "olga"]),
                false,
                false,
            );
            for act in acts {
                match act {
                    Act::Approve(who) => {
                        let decision = Decision {
                            role: role(who),
                            ..decision(who, DecisionKind::Approve, at)
                        };
                        // The queue does not know who may decide: that is the gate's to ask first.
                        if people.contains(who) && queue.decide(id, decision).is_ok() {
                            yes.insert(*who);
                        }
                    }
                    Act::Remove(who) => {
                        people.remove(who);
                        yes.remove(who);
                        queue.keep_approvers(&people.iter().map(|who| (*who).into()).collect());
                    }
                    Act::PutToOthers => {
                        at = START + HOUR / 2;
                        queue.attend(time(at));
                        // What goes already waits for nobody.
                        put |= !goes;
                    }
                }
                let one_of_them =
                    !put || to == "reviewer" && !yes.is_empty() || yes.contains("olga");
                goes = yes.len() as u32 >= needed && one_of_them;
                let approval = queue.get(id).unwrap();
                assert_eq!(
                    matches!(approval.stage, Stage::Approved { .. }),
                    goes,
                    "{to}, {needed}: {approval:?}"
                );
                assert_eq!(
                    approval.waits_for().is_some(),
                    put && !one_of_them,
                    "{approval:?}"
                );
            }
        };
        every(5, &ACTS, &mut Vec::new(), &mut play);
    }
}

#[test]
fn g11_who_asks_decides_on_nothing_of_its_own() {
    let mut queue = ApprovalQueue::default();
    queue.hold(request(1, 1, 1, START + EXPIRES), time(START));
    for kind in [
        DecisionKind::Approve,
        DecisionKind::DenyWrong,
        DecisionKind::DenyNotNow,
    ] {
        assert!(
            queue
                .decide(ApprovalId::from_bits(1), decision("clerk", kind, START))
                .is_err()
        );
    }
    assert_eq!(
        queue.get(ApprovalId::from_bits(1)).unwrap().stage,
        Stage::Pending
    );
}

#[test]
fn a_held_call_that_is_held_again_stays_where_it_stands() {
    for ending in [Act::Use(1), Act::Withdraw, Act::Pass(GRANT)] {
        play(
            &[
                Act::Approve("ada"),
                ending,
                Act::HoldAgain,
                Act::Approve("bob"),
                Act::Use(1),
            ],
            1,
            EXPIRES,
        );
    }
}

#[test]
fn a_full_queue_takes_nothing_in_and_forgets_nothing_open() {
    let mut queue = ApprovalQueue::default();
    for id in 0..burngate::gate::approval::queue::MAX as u128 {
        assert!(!queue.is_full());
        queue.hold(request(id, 1, 1, START + HOUR), time(START));
    }
    assert!(queue.is_full());
    let late = ApprovalId::from_bits(1 << 40);
    queue.hold(request(1 << 40, 1, 1, START + HOUR), time(START));
    assert_eq!(
        (queue.get(late), queue.pending()),
        (None, burngate::gate::approval::queue::MAX)
    );
    queue
        .withdraw(ApprovalId::from_bits(5), time(START))
        .unwrap();
    queue.hold(request(1 << 40, 1, 1, START + HOUR), time(START));
    assert!(queue.get(late).is_some() && queue.get(ApprovalId::from_bits(5)).is_none());
}

#[derive(Debug, Clone)]
enum Step {
    Hold(u128, u8, u32, i64),
    Decide(u128, usize, usize),
    Use(u128, u8),
    Withdraw(u128),
    Pass(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let id = 0u128..6;
    prop_oneof![
        3 => (id.clone(), 0u8..3, 1u32..4, 0i64..20).prop_map(|(id, digest, needed, expires)| Step::Hold(id, digest, needed, expires)),
        6 => (id.clone(), 0usize..4, 0usize..6).prop_map(|(id, who, what)| Step::Decide(id, who, what)),
        4 => (id.clone(), 0u8..3).prop_map(|(id, digest)| Step::Use(id, digest)),
        1 => id.prop_map(Step::Withdraw),
        3 => prop_oneof![0i64..4, Just(GRANT), Just(25 * HOUR)].prop_map(Step::Pass),
    ]
}

/// A held call, told plainly.
#[derive(Clone)]
struct Held {
    digest: u8,
    needed: u32,
    expires: i64,
    yes: Vec<usize>,
    granted: Option<i64>,
    ended: Option<i64>,
    denied_wrong: bool,
}

impl Held {
    fn ends(&self) -> i64 {
        self.granted.map_or(self.expires, |at| at + GRANT)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_queue_agrees_with_a_list_of_held_calls(steps in prop::collection::vec(step(), 1..80)) {
        const PEOPLE: [&str; 4] = ["ada", "bob", "cem", "dot"];
        const KINDS: [DecisionKind; 6] =
            [DecisionKind::Approve, DecisionKind::Approve, DecisionKind::Approve, DecisionKind::Approve, DecisionKind::DenyWrong, DecisionKind::DenyNotNow];
        let (mut queue, mut model, mut now) = (ApprovalQueue::default(), BTreeMap::<u128, Held>::new(), START);
        for step in steps {
            match step {
                Step::Hold(id, digest, needed, expires) => {
                    queue.hold(request(id, digest, needed, now + expires), time(now));
                    let held = Held { digest, needed, expires: now + expires, yes: Vec::new(), granted: None, ended: None, denied_wrong: false };
                    model.entry(id).or_insert(held);
                }
                Step::Decide(id, who, what) => {
                    let taken = queue.decide(ApprovalId::from_bits(id), decision(PEOPLE[who], KINDS[what], now)).is_ok();
                    let may = |held: &&mut Held| held.ended.is_none() && held.granted.is_none() && now < held.expires && !held.yes.contains(&who);
                    let held = model.get_mut(&id).filter(may);
                    prop_assert_eq!(taken, held.is_some());
                    if let Some(held) = held {
                        if KINDS[what] == DecisionKind::Approve {
                            held.yes.push(who);
                            held.granted = (held.yes.len() as u32 == held.needed).then_some(now);
                        } else {
                            (held.ended, held.denied_wrong) = (Some(now), KINDS[what] == DecisionKind::DenyWrong);
                        }
                    }
                }
                Step::Use(id, digest) => {
                    let used = queue.use_grant(ApprovalId::from_bits(id), &Digest::new([digest; 32]), CallId::from_bits(id), time(now)).is_ok();
                    let may = |held: &&mut Held| held.ended.is_none() && held.granted.is_some_and(|at| now < at + GRANT) && held.digest == digest;
                    let held = model.get_mut(&id).filter(may);
                    prop_assert_eq!(used, held.is_some());
                    if let Some(held) = held {
                        held.ended = Some(now);
                    }
                }
                Step::Withdraw(id) => {
                    let taken = queue.withdraw(ApprovalId::from_bits(id), time(now)).is_ok();
                    let held = model.get_mut(&id).filter(|held| held.ended.is_none());
                    prop_assert_eq!(taken, held.is_some());
                    if let Some(held) = held {
                        held.ended = Some(now);
                    }
                }
                Step::Pass(span) => {
                    now += span;
                    let expired: Vec<_> = queue.expire(time(now)).into_iter().map(ApprovalId::bits).collect();
                    let mut expected = Vec::new();
                    for (id, held) in &mut model {
                        if held.ended.is_none() && held.ends() <= now {
                            held.ended = Some(held.ends());
                            expected.push(*id);
                        }
                    }
                    prop_assert_eq!(expired, expected);
                    model.retain(|_, held| held.ended.is_none_or(|at| now < at + 24 * HOUR));
                }
            }
            let open = |held: &&Held| held.ended.is_none();
            prop_assert_eq!(queue.iter().count(), model.len());
            prop_assert_eq!(queue.pending(), model.values().filter(open).filter(|held| held.granted.is_none()).count());
            prop_assert_eq!(queue.next_deadline(), model.values().filter(open).map(|held| time(held.ends())).min());
            for digest in 0..3 {
                let stands = |held: &&Held| held.digest == digest && now < held.ends();
                prop_assert_eq!(queue.open_for(&Digest::new([digest; 32]), time(now)).is_some(), model.values().filter(open).any(|held| stands(&held)));
                let denied = model.values().any(|held| held.digest == digest && held.denied_wrong);
                prop_assert_eq!(queue.denial(&Digest::new([digest; 32]), time(now)).is_some(), denied);
            }
        }
    }
}

#[test]
fn the_fold_judges_a_decision_by_its_own_time() {
    use burngate::gate::event::Event;
    let mut state = crate::world::state(crate::world::terms(
        burngate::gate::risk::Tier::High,
        995_000,
    ));
    state.apply(&crate::world::entry(
        START,
        Event::Held(Box::new(request(1, 1, 1, START + HOUR))),
    ));
    let ahead = decision("ada", DecisionKind::Approve, START + HOUR / 2);
    state.apply(&crate::world::entry(
        START + 1,
        Event::Decided {
            approval: ApprovalId::from_bits(1),
            decision: ahead,
        },
    ));
    let stage = crate::world::of(&state)
        .approvals()
        .get(ApprovalId::from_bits(1))
        .unwrap()
        .stage;
    assert_eq!(
        stage,
        Stage::Approved {
            until: Time::from_millis(START + 1 + GRANT)
        }
    );
    state.advance(time(START + 1 + GRANT));
    assert!(
        crate::world::of(&state)
            .approvals()
            .get(ApprovalId::from_bits(1))
            .unwrap()
            .stage
            .ended_at()
            .is_some()
    );
}
