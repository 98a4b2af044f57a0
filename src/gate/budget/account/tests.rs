//! A budget through its turns: the worked rows of the rules, burns, probations, and what takes them
//! back.

use std::cmp::Ordering;

use super::*;
use crate::gate::budget::Evidence;
use crate::gate::budget::burn_record::MAX_CRITICAL;
use crate::gate::budget::shift::Delta;
use crate::gate::level::Ladder;
use crate::gate::risk::Tier;
use crate::gate::run::RunRef;
use crate::gate::terms::{Lose, PostureCaps, Terms};
use crate::gate::time;

const NOW: Time = Time::from_millis(1_767_225_600_000);

/// Terms without evidence, so that nothing breaches.
fn terms(target_ppm: u32, expected_runs: u64) -> Terms {
    Terms {
        tier: Tier::Medium,
        was: None,
        objective: Objective {
            target_ppm,
            window: days(30),
            expected_runs,
            expected_written: true,
            unacceptable: BTreeSet::from([FailureMode::WrongAction]),
            critical: BTreeSet::from([FailureMode::MissedEscalation]),
            evidence: Arc::new(Evidence {
                breach: vec![0; 1_000],
                promote: vec![0; 1_000],
            }),
        },
        ladder: Ladder::built_in(),
        starts: "standard".into(),
        caps: PostureCaps {
            at_risk: "standard".into(),
            burned: "supervised".into(),
            breached: "read_only".into(),
        },
        recovery: Recovery::Cause,
        lose: Lose {
            burns: 2,
            within: days(90),
            drop: 1,
        },
        reads_only: false,
        grant: time::minutes(10),
        check: None,
        earn: crate::gate::earn::Earn::default(),
        reach: BTreeSet::new(),
    }
}

fn post(
    account: &mut Account,
    terms: &Terms,
    at: Time,
    runs: i64,
    unacceptable: i64,
    high: bool,
) -> Vec<Turn> {
    let shift = Shift::of(Delta { runs, unacceptable }, high);
    account.post(
        terms.budget(),
        at,
        &Posting {
            booked_at: at,
            shift,
            ..Posting::default()
        },
    )
}

fn critical(account: &mut Account, terms: &Terms, at: Time, id: &str, sign: i64) -> Vec<Turn> {
    let run = Some(RunRef {
        agent: "clerk".into(),
        run: id.into(),
    });
    let shift = Shift::of(
        Delta {
            runs: sign.max(0),
            unacceptable: sign,
        },
        false,
    );
    account.post(
        terms.budget(),
        at,
        &Posting {
            booked_at: at,
            shift,
            modes: vec![(FailureMode::MissedEscalation, sign)],
            critical: true,
            run,
            ..Posting::default()
        },
    )
}

/// Failures spread thin, so that no burn rate fires.
fn fail_slowly(account: &mut Account, terms: &Terms, failures: i64) -> Time {
    let mut at = NOW;
    post(account, terms, at, 10_000 - 200, 0, false);
    for _ in 0..failures {
        let next = at.plus(hours(3));
        account.advance(terms.budget(), at, next);
        at = next;
        post(account, terms, at, 1, 1, false);
    }
    at
}

#[test]
fn the_199th_of_200_changes_nothing_and_the_200th_burns() {
    let terms = terms(980_000, 10_000);
    let mut account = Account::default();
    let at = fail_slowly(&mut account, &terms, 199);
    assert_eq!(account.posture(), Posture::AtRisk);
    let (all, _) = account.balances(&terms.objective, at);
    assert_eq!(
        (
            all.runs,
            all.unacceptable,
            all.allowed.room(all.unacceptable)
        ),
        (9_999, 199, 1)
    );
    let turns = post(&mut account, &terms, at, 1, 1, false);
    assert!(turns.contains(&Turn::BurnOpened));
    assert_eq!(account.posture(), Posture::Burned);
}

#[test]
fn thirty_wrong_refunds_in_two_hundred_do_not_hide_behind_ten_thousand_triage_runs() {
    let terms = terms(980_000, 10_000);
    let mut account = Account::default();
    post(&mut account, &terms, NOW, 10_000, 0, false);
    post(&mut account, &terms, NOW, 170, 0, true);
    let mut failed = 0;
    while account.posture() < Posture::Burned {
        post(&mut account, &terms, NOW, 1, 1, true);
        failed += 1;
    }
    // 2% of 173 are 3.46.
    assert_eq!(failed, 4);
    let (all, high) = account.balances(&terms.objective, NOW);
    assert!(
        all.remaining().cmp_percent(90) == Ordering::Greater
            && high.remaining().cmp_percent(0) == Ordering::Less
    );
}

#[test]
fn a_burn_is_left_after_a_day_only_with_a_cause_and_more_than_a_tenth_left() {
    let mut terms = terms(980_000, 100);
    let mut account = Account::default();
    critical(&mut account, &terms, NOW, "one", 1);
    post(&mut account, &terms, NOW, 5_000, 0, false);
    assert_eq!(account.posture(), Posture::Burned);
    account.advance(terms.budget(), NOW, NOW.plus(days(2)));
    assert_eq!(account.posture(), Posture::Burned, "no cause is on record");

    let mut account = Account::default();
    terms.recovery = Recovery::Automatic;
    critical(&mut account, &terms, NOW, "one", 1);
    assert!(
        account
            .advance(
                terms.budget(),
                NOW,
                NOW.plus(days(1)).minus(Duration::from_millis(1))
            )
            .is_empty()
    );
    assert_eq!(account.posture(), Posture::Burned);
    // One more of an allowance of two would burn again: it stays until the failure has left the
    // window.
    let turns = account.advance(terms.budget(), NOW.plus(days(1)), NOW.plus(days(31)));
    assert_eq!(
        turns.iter().map(|(at, _)| *at).collect::<Vec<_>>(),
        [NOW.plus(days(30))]
    );
    assert_eq!(account.posture(), Posture::Healthy);
}

#[test]
fn a_probation_used_up_falls_back_and_one_that_lasted_starts_the_count_anew() {
    let terms = terms(980_000, 1_000);
    let burned = || {
        let mut account = Account::default();
        for _ in 0..20 {
            post(&mut account, &terms, NOW, 1, 1, false);
        }
        assert!(account.recover(NOW, None, days(7), "found".into(), None));
        account
    };
    // Twenty are allowed: a tenth is two.
    let (mut account, later) = (burned(), NOW.plus(hours(1)));
    account.advance(terms.budget(), NOW, later);
    post(&mut account, &terms, later, 1, 1, false);
    assert!(account.probation().is_some());
    assert_eq!(
        post(&mut account, &terms, later, 1, 1, false),
        [Turn::ProbationEnded(false)]
    );
    assert_eq!(
        (account.posture(), account.burns().len()),
        (Posture::Burned, 1)
    );

    let mut account = burned();
    account.advance(terms.budget(), NOW, later);
    post(&mut account, &terms, later, 1, 1, false);
    let turns = account.advance(terms.budget(), later, NOW.plus(days(7)));
    assert_eq!(turns[0], (NOW.plus(days(7)), Turn::ProbationEnded(true)));
    let (all, _) = account.balances(&terms.objective, NOW.plus(days(7)));
    assert_eq!(
        (account.posture(), all.runs, all.unacceptable),
        (Posture::Healthy, 1, 1)
    );
    assert_eq!(
        account
            .full_tally(days(30), NOW.plus(days(7)))
            .all
            .unacceptable,
        21,
        "the old failures stay visible"
    );
}

#[test]
fn an_entry_soon_after_leaving_continues_the_burn_and_a_later_one_is_another() {
    for (gap, burns) in [(23, 1), (24, 2)] {
        let mut terms = terms(500_000, 1);
        terms.objective.expected_written = false;
        let mut account = Account::default();
        post(&mut account, &terms, NOW, 2, 2, false);
        account.recover(NOW, None, hours(1), "found".into(), None);
        account.advance(terms.budget(), NOW, NOW.plus(hours(1)));
        assert!(account.posture() < Posture::Burned);
        let again = NOW.plus(hours(1 + gap));
        account.advance(terms.budget(), NOW.plus(hours(1)), again);
        post(&mut account, &terms, again, 2, 2, false);
        assert_eq!(
            (account.posture(), account.burns().len()),
            (Posture::Burned, burns),
            "{gap} hours"
        );
        let cause = account.burn().and_then(|burn| burn.cause.as_deref());
        assert_eq!(cause, None, "the cause before was of what is over");
    }
}

#[test]
fn a_critical_burn_is_voided_by_its_own_run_alone() {
    let terms = terms(980_000, 10_000);
    let mut account = Account::default();
    post(&mut account, &terms, NOW, 1, 1, false);
    critical(&mut account, &terms, NOW, "one", 1);
    assert_eq!(account.posture(), Posture::Burned);
    assert!(
        post(&mut account, &terms, NOW, 0, -1, false).is_empty(),
        "another failure was taken back"
    );
    critical(&mut account, &terms, NOW, "two", 1);
    assert!(
        critical(&mut account, &terms, NOW, "one", -1).is_empty(),
        "the second run holds it"
    );
    let turns = critical(&mut account, &terms, NOW, "two", -1);
    assert_eq!(turns[0], Turn::BurnVoided);
    assert_eq!(
        (account.posture(), account.burns()[0].voided),
        (Posture::Healthy, true)
    );
}

#[test]
fn so_many_critical_runs_can_be_taken_back_and_with_one_more_none() {
    let taken_back = |runs: usize| {
        let terms = terms(980_000, 10_000);
        let mut account = Account::default();
        for sign in [1, -1] {
            for n in 0..runs {
                critical(&mut account, &terms, NOW, &n.to_string(), sign);
            }
        }
        account.posture()
    };
    assert_eq!(taken_back(MAX_CRITICAL), Posture::Healthy);
    assert_eq!(taken_back(MAX_CRITICAL + 1), Posture::Burned);
}

#[test]
fn a_failure_outside_the_window_adds_nothing_and_enters_nothing() {
    let terms = terms(980_000, 100);
    let mut account = Account::default();
    let shift = Shift::of(
        Delta {
            runs: 1,
            unacceptable: 1,
        },
        false,
    );
    let modes = vec![(FailureMode::MissedEscalation, 1)];
    let posting = Posting {
        booked_at: NOW.minus(days(31)),
        shift,
        modes,
        critical: true,
        ..Posting::default()
    };
    assert!(account.post(terms.budget(), NOW, &posting).is_empty());
}

#[test]
fn a_ledger_that_was_lost_starts_burned_and_nothing_taken_back_forgives_it() {
    let terms = terms(980_000, 100);
    let mut account = Account::lost(NOW);
    assert!(post(&mut account, &terms, NOW, 0, -1, false).is_empty());
    assert_eq!(account.posture(), Posture::Burned);
}

#[test]
fn more_than_a_tenth_must_be_left() {
    let allowed = terms(980_000, 10_000).objective.allowed(10_000);
    let has_recovered = |unacceptable| {
        Balance {
            runs: 10_000,
            unacceptable,
            allowed,
        }
        .has_recovered()
    };
    assert_eq!([179, 180].map(has_recovered), [true, false]);
}

#[test]
fn g7_as_many_burns_are_remembered_as_the_bound_and_then_the_oldest_goes() {
    let terms = terms(980_000, 10_000);
    let mut account = Account::default();
    for n in 0..MAX_BURNS - 1 {
        let at = NOW.minus(days(100)).plus(time::minutes(n as u64));
        let mut burn = BurnRecord::new(at, Posture::Burned, "".into(), BTreeMap::new(), None);
        burn.left = Some(at);
        account.burns.push(burn);
    }
    let [oldest, second] = [0, 1].map(|n| account.burns[n].at);
    let burns = |account: &Account| (account.burns.len(), account.burns[0].at);
    critical(&mut account, &terms, NOW, "r-1", 1);
    assert_eq!(burns(&account), (MAX_BURNS, oldest));
    let later = NOW.plus(days(2));
    account.burns[MAX_BURNS - 1].left = Some(NOW);
    account.posture = Posture::Healthy;
    critical(&mut account, &terms, later, "r-2", 1);
    assert_eq!(burns(&account), (MAX_BURNS, second));
    assert_eq!(account.burn().map(|burn| burn.at), Some(later));
}

#[test]
fn a_burn_is_remembered_for_so_long_after_it_was_left() {
    let terms = terms(980_000, 10_000);
    let mut burn = BurnRecord::new(NOW, Posture::Burned, "".into(), BTreeMap::new(), None);
    burn.left = Some(NOW);
    let mut account = Account {
        burns: vec![burn],
        ..Account::default()
    };
    let end = NOW.plus(REMEMBERED);
    let before = end.minus(Duration::from_millis(1));
    account.advance(terms.budget(), NOW, before);
    assert_eq!(account.burns().len(), 1);
    account.advance(terms.budget(), before, end);
    assert_eq!(account.burns().len(), 0);
}

#[test]
fn what_is_posted_is_in_the_tally_of_the_window_until_it_leaves() {
    let terms = terms(980_000, 10_000);
    let mut account = Account::default();
    post(&mut account, &terms, NOW, 5, 2, false);
    let tally = |at: Time| {
        let tally = account.tally(&terms.objective, at);
        assert_eq!(tally, account.full_tally(terms.objective.window, at));
        (tally.all.runs, tally.all.unacceptable)
    };
    assert_eq!(tally(NOW), (5, 2));
    assert_eq!(tally(NOW.plus(terms.objective.window)), (0, 0));
}
