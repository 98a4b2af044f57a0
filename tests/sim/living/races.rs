//! A thousand threads at one approval: exactly one end, at most one permit (F26).

use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};

use burngate::gate::approval::{DecisionKind, Stage};
use burngate::gate::event::{Effect, Event};
use burngate::gate::name::ApprovalId;
use burngate::gate::time::hours;
use burngate::ledger::call::outcome::Admit;

use super::checks;
use super::desk::{Desk, Rules, decision};

const THREADS: usize = 1_000;
const ROUNDS: u8 = 4;

/// What one of the threads does in this round: decides, withdraws, lets time pass, or calls.
fn act(
    desk: &Desk,
    id: ApprovalId,
    (n, round): (usize, u8),
    permits: &AtomicU32,
    decided: &AtomicU32,
) {
    let decide = |kind| {
        let decision = decision(&format!("person {n}"), kind);
        if let Ok(deciding) = desk.ledger.decide(id, &decision, None) {
            let is_durable = deciding.durable.wait() == Ok(Ok(()));
            decided.fetch_add(u32::from(is_durable), Ordering::Relaxed);
        }
    };
    match n % 8 {
        0..=2 => decide(DecisionKind::Approve),
        3 if round % 2 == 1 => decide(DecisionKind::DenyNotNow),
        4 if round == 2 => {
            desk.pass(hours(2));
            desk.ledger.sweep();
        }
        5 if round == 3 => drop(desk.ledger.withdraw(id, "the agent cancelled")),
        _ => {
            if let Admit::Pass { permit, durable } = desk.call(None, "api/pay", round) {
                permits.fetch_add(1, Ordering::Relaxed);
                assert_eq!(durable.expect("durable first").wait(), Ok(Ok(())));
                let mut call = permit.spend();
                call.answered(200);
                drop(call);
            }
        }
    }
}

#[test]
fn of_a_thousand_who_end_an_approval_one_does() {
    let desk = Desk::new(Rules::default());
    std::thread::scope(|scope| {
        let journal = &desk.journal;
        scope.spawn(|| journal.write_until_closed());
        for round in 0..ROUNDS {
            let id = desk.held(round);
            let (start, permits, decided) =
                (Barrier::new(THREADS), AtomicU32::new(0), AtomicU32::new(0));
            std::thread::scope(|scope| {
                for n in 0..THREADS {
                    let (desk, start, permits, decided) = (&desk, &start, &permits, &decided);
                    let body = move || {
                        start.wait();
                        act(desk, id, (n, round), permits, decided);
                    };
                    std::thread::Builder::new()
                        .stack_size(256 << 10)
                        .spawn_scoped(scope, body)
                        .unwrap();
                }
            });
            assert!(
                decided.load(Ordering::Relaxed) <= 1 || round == 2,
                "several decisions were taken"
            );
            assert!(
                permits.load(Ordering::Relaxed) <= 1 || round == 2,
                "one grant, several permits"
            );
            if let Admit::Pass { permit, .. } = desk.call(None, "api/pay", round) {
                assert_eq!(permits.load(Ordering::Relaxed), 0);
                drop(permit);
            }
        }
        journal.close();
    });
    desk.journal.write();
    let entries = desk.entries();
    checks::journal(&entries, true);
    checks::projection(&desk);
    // Each approval ended at most once, by the events alone, and each grant was used at most once.
    let fold = desk.journal.state();
    for approval in fold.workflow(&"refunds".into()).unwrap().approvals().iter() {
        let id = approval.request.approval;
        let used = entries.iter().filter(|entry| matches!(&entry.event, Event::Admitted(admission) if admission.approval == Some(id))).count();
        let expired = entries.iter().filter(|entry| matches!(&entry.event, Event::Followed(Effect::ApprovalExpired { approval }) if *approval == id)).count();
        assert!(
            used <= 1 && used + expired <= 1,
            "{id}: used {used}, expired {expired}"
        );
        assert_eq!(
            used == 1,
            matches!(approval.stage, Stage::Used { .. }),
            "{id}"
        );
    }
}
