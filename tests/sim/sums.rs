//! Sums over a sliding window against a list that forgets nothing: what calls add and give back, in
//! any order, while time passes.

use std::collections::BTreeMap;
use std::time::Duration;

use burngate::gate::dedup::{Amount, DedupIndex, Doer, LimitShare, Operation, series};
use burngate::gate::digest::Digest;
use burngate::gate::name::CallId;
use burngate::gate::run::{Executed, RunRef};
use burngate::gate::time::{Time, minutes};
use proptest::prelude::*;

use crate::world::START;

const WITHIN: Duration = minutes(60);
const WHOSE: u8 = 3;

#[derive(Debug, Clone)]
enum Step {
    /// A call adds so many hundredths to the sum of one of a few.
    Add { whose: u8, hundredths: u32 },
    /// One of the calls in flight ends.
    End {
        which: prop::sample::Index,
        executed: Executed,
    },
    /// Time passes.
    Pass { millis: u64 },
    /// The book is written and read back, as at a restart.
    Reload,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let executed = prop_oneof![
        Just(Executed::No),
        Just(Executed::Yes),
        Just(Executed::Unknown)
    ];
    let step = prop_oneof![
        4 => (0..WHOSE, 0..100_000_u32).prop_map(|(whose, hundredths)| Step::Add { whose, hundredths }),
        4 => (any::<prop::sample::Index>(), executed).prop_map(|(which, executed)| Step::End { which, executed }),
        3 => prop_oneof![0..5_000_u64, 0..2_000_000_u64].prop_map(|millis| Step::Pass { millis }),
        1 => Just(Step::Reload),
    ];
    prop::collection::vec(step, 1..120)
}

fn of(whose: u8) -> Digest {
    Digest::new([whose; 32])
}

fn amount(hundredths: u128) -> Amount {
    Amount::parse(&format!("{}.{:02}", hundredths / 100, hundredths % 100)).unwrap()
}

/// One call as the naive model remembers it.
struct Added {
    whose: u8,
    at: Time,
    hundredths: u128,
    in_flight: bool,
    given_back: bool,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn a_sum_is_what_a_list_of_all_calls_adds_up_to(steps in steps()) {
        let grain = series::grain(WITHIN);
        let (mut book, mut now) = (DedupIndex::default(), Time::from_millis(START));
        let mut calls: BTreeMap<u128, Added> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Add { whose, hundredths } => {
                    let id = calls.len() as u128 + 1;
                    let share = LimitShare { series: of(whose), amount: amount(hundredths.into()), keep: WITHIN, grain };
                    let doer = Doer { call: CallId::from_bits(id), workflow: "w".into(), run: RunRef { agent: "a".into(), run: "r".into() } };
                    book.admit(&doer, &Operation { at: now, works: Vec::new(), key: None, shares: vec![share] });
                    calls.insert(id, Added { whose, at: now, hundredths: hundredths.into(), in_flight: true, given_back: false });
                }
                Step::End { which, executed } => {
                    let open: Vec<u128> = calls.iter().filter(|(_, call)| call.in_flight).map(|(id, _)| *id).collect();
                    if !open.is_empty() {
                        let id = open[which.index(open.len())];
                        book.settle(CallId::from_bits(id), executed);
                        let call = calls.get_mut(&id).unwrap();
                        (call.in_flight, call.given_back) = (false, executed == Executed::No);
                    }
                }
                Step::Pass { millis } => {
                    now = now.plus(Duration::from_millis(millis));
                    book.pass(now);
                }
                Step::Reload => book = serde_json::from_str(&serde_json::to_string(&book).unwrap()).unwrap(),
            }
            for whose in 0..WHOSE {
                let stands = |since: Time| calls.values().filter(|call| call.whose == whose && !call.given_back && call.at > since).map(|call| call.hundredths).sum::<u128>();
                let sum = book.sum(&of(whose), WITHIN, now);
                // Nothing leaves early, and nothing stays longer than a grain.
                prop_assert!(sum >= amount(stands(now.minus(WITHIN))), "{sum} is too little");
                prop_assert!(sum <= amount(stands(now.minus(WITHIN + grain))), "{sum} is too much");
                // When it says that enough will have left, it has, and a moment before that it had
                // not.
                if let Some(falls_at) = book.falls_to(&of(whose), amount(50_000), WITHIN, now) {
                    prop_assert!(book.sum(&of(whose), WITHIN, falls_at) <= amount(50_000));
                    prop_assert!(book.sum(&of(whose), WITHIN, falls_at.minus(Duration::from_millis(1))) > amount(50_000));
                } else {
                    prop_assert!(sum <= amount(50_000));
                }
            }
        }
    }
}
