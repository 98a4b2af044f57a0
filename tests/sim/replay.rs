//! Months in a real ledger, simulated again: under the policies that were in force, everything
//! follows as it followed then, event for event (G12).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use burngate::app::simulate;
use burngate::app::simulate::Simulated;
use burngate::config::{Process, SourceFile, load};
use burngate::gate::clamp::Clamp;
use burngate::gate::event::{Entry, Event};
use burngate::gate::name::{CallId, WorkflowName};
use burngate::gate::outcome::{FailureMode, Source};
use burngate::gate::policy::PolicySet;
use burngate::gate::risk::Risk;
use burngate::gate::run::{Charge, Executed, Mark, RunRef};
use burngate::gate::run_flags::RunFlags;
use burngate::gate::state::State;
use burngate::gate::time::{Time, days};
use burngate::gate::verdict::Verdict;
use burngate::gate::workflow::WorkflowState;
use burngate::journal::port::{Journal as _, Projection, Ticket};
use burngate::journal::record::{CallRecord, RunRecord};
use burngate::store::{Options, RunningWriter, Store, WriterClock, WriterQueue};
use tempfile::TempDir;

use crate::world::{DAY, HOUR, MINUTE, START, time};

const POLICY: &str = "\
api: payments
upstream: http://127.0.0.1:9
route: /payments
tools:
  - { tool: refund, match: POST /refunds, risk: medium, deny_when: args.amount > 900.0, arguments: { type: object } }
---
workflow: refunds
risk: high
tools: [payments/refund]
record: arguments
objective: { target: 90%, expected_runs: 300, unacceptable: [wrong_action] }
caps: { at_risk: supervised, burned: supervised, breached: read_only }
levels:
  - { level: supervised, medium: allow, volume: 600/min }
  - { level: standard, volume: 600/min }
earn:
  - { step: volume, after: 30d, volume: x2, how: automatic }
  - { step: up, after: 60d, to: standard }
lose: { burns: 2, within: 90d, drop: 1 }
";

/// A ledger with nobody but this test writing to it.
struct Ledger {
    dir: TempDir,
    journal: Arc<WriterQueue>,
    running: RunningWriter,
    clock: Arc<AtomicI64>,
    policies: Arc<PolicySet>,
    calls: u64,
}

/// Nobody reads along.
struct Unread;

impl Projection for Unread {
    fn committed(&self, _: &WorkflowName, _: Ticket, _: &[Entry], _: &WorkflowState) {}
}

fn policies(policy: &str) -> Arc<PolicySet> {
    let files = [SourceFile::new("policy.yaml", policy.to_owned())];
    Arc::new(
        load(&files, &Process::default(), time(START))
            .map_err(|found| found.render(false))
            .unwrap()
            .policies,
    )
}

impl Ledger {
    fn new() -> Self {
        let (dir, clock) = (
            tempfile::tempdir().unwrap(),
            Arc::new(AtomicI64::new(START)),
        );
        let options = Options {
            dir: dir.path().into(),
            existing: false,
            accept_loss: false,
            now: time(START),
        };
        let store = Store::open(&options).unwrap().store;
        let (journal, hands) = (store.journal(), Arc::clone(&clock));
        let now: WriterClock = Arc::new(move || Time::from_millis(hands.load(Ordering::SeqCst)));
        let running = store.start(Arc::new(Unread), now).unwrap();
        let ledger = Ledger {
            dir,
            journal,
            running,
            clock,
            policies: policies(POLICY),
            calls: 0,
        };
        let terms: BTreeMap<_, _> = ledger
            .policies
            .workflows
            .iter()
            .map(|(name, workflow)| (name.clone(), Arc::clone(&workflow.terms)))
            .collect();
        ledger.write(
            None,
            Event::PolicyAccepted {
                version: ledger.policies.version,
                terms,
                policies: "{}".into(),
            },
        );
        ledger
    }

    fn write(&self, workflow: Option<&str>, event: Event) {
        let entry = Entry {
            at: self.now(),
            workflow: workflow.map(Into::into),
            event,
        };
        assert_eq!(self.journal.append(entry).durable.wait(), Ok(Ok(())));
    }

    fn of(&self, event: Event) {
        self.write(Some("refunds"), event);
    }

    fn now(&self) -> Time {
        Time::from_millis(self.clock.load(Ordering::SeqCst))
    }

    /// A refund in a run of its own, some minutes later.
    fn run(&mut self, amount: u32, fails: bool) {
        let now = self.clock.fetch_add(5 * MINUTE, Ordering::SeqCst) + 5 * MINUTE;
        self.calls += 1;
        let call = CallId::from_bits(
            u128::from(now.unsigned_abs()) << 80 | 7 << 76 | u128::from(self.calls),
        );
        let run = RunRef {
            agent: "bot".into(),
            run: format!("r-{}", self.calls).as_str().into(),
        };
        let charge = Charge {
            mode: FailureMode::WrongAction,
            source: Source::Agent,
            by: None,
            call: None,
            tool: None,
            note: None,
            reference: None,
        };
        let charges = if fails { vec![charge] } else { Vec::new() };
        if fails {
            self.of(Event::Booked {
                run: run.clone(),
                high: false,
                charges: charges.clone(),
                observed: RunFlags::NONE,
            });
        }
        self.journal.record(RunRecord {
            workflow: "refunds".into(),
            agent: run.agent,
            run: Some(run.run),
            started: time(now),
            ended: time(now),
            booked_at: time(now),
            mark: if fails {
                Mark::Unacceptable
            } else {
                Mark::Acceptable
            },
            high: false,
            observed: RunFlags::NONE,
            charges,
            calls: vec![CallRecord {
                call,
                at: time(now),
                tool: "payments/refund".into(),
                risk: Risk::Medium,
                verdict: Verdict::Allow,
                executed: Executed::Yes,
                rule: None,
                status: 200,
                subject: None,
                args: Some(format!(r#"{{"amount":{amount}}}"#).into()),
            }],
        });
    }

    /// Days with ten runs each, of which so many fail; and somebody reviews on every seventh.
    fn days(&mut self, count: i64, failures: u64) {
        for _ in 0..count {
            let begins = self.clock.load(Ordering::SeqCst).div_euclid(DAY) * DAY + DAY;
            self.clock.store(begins + 9 * HOUR, Ordering::SeqCst);
            for n in 0..10.max(failures) {
                self.run(100, n < failures);
            }
            if begins / DAY % 7 == 0 {
                self.of(Event::Reviewed {
                    by: "olga".into(),
                    note: None,
                });
            }
        }
    }

    /// How it stands, once everything handed over is written.
    fn stands(self) -> (TempDir, State) {
        self.write(
            None,
            Event::PolicyRefused {
                reason: "a full stop".into(),
            },
        );
        self.running.drain().unwrap();
        let options = Options {
            dir: self.dir.path().into(),
            existing: true,
            accept_loss: false,
            now: Time::from_millis(self.clock.load(Ordering::SeqCst)),
        };
        let state = Store::open(&options).unwrap().state;
        (self.dir, state)
    }
}

fn again(dir: &TempDir, policies: &Arc<PolicySet>) -> Simulated {
    simulate::journal::simulate(dir.path(), Arc::clone(policies), &mut |_| {}).unwrap()
}

/// Steps, a waiver, two burns with their causes, a demotion, a clamp that runs out, and the level
/// given back.
fn months(ledger: &mut Ledger) {
    let by = || "olga".into();
    ledger.days(31, 0);
    ledger.days(31, 0);
    ledger.of(Event::StepTaken {
        step: "up".into(),
        by: by(),
        reason: "sixty days within budget".into(),
    });
    ledger.of(Event::Waived {
        until: ledger.now().plus(days(1)),
        by: by(),
        reason: "a rehearsal".into(),
    });
    ledger.days(2, 0);
    for burn in 0..2 {
        ledger.days(1, 40);
        ledger.days(2, 0);
        let cause = format!("cause {burn}").as_str().into();
        ledger.of(Event::Recovered {
            cause,
            fix: Some("PR-1".into()),
            to: None,
            lasts: days(7),
            by: by(),
        });
        ledger.days(31, 0);
    }
    ledger.of(Event::Demoted {
        to: "supervised".into(),
        by: Some(by()),
        reason: "two burns".into(),
    });
    let clamp = Clamp {
        to: "read_only".into(),
        by: by(),
        reason: "odd refunds".into(),
        at: ledger.now(),
        until: Some(ledger.now().plus(days(2))),
    };
    ledger.of(Event::Clamped(clamp));
    ledger.clock.fetch_add(3 * DAY, Ordering::SeqCst);
    ledger.of(Event::Promoted {
        to: "standard".into(),
        by: Some(by()),
        reason: "given back".into(),
    });
    ledger.days(1, 0);
    ledger.run(950, false);
}

#[test]
fn g12_months_of_earning_and_losing_are_simulated_event_for_event() {
    let mut ledger = Ledger::new();
    months(&mut ledger);
    let policies = Arc::clone(&ledger.policies);
    let (dir, state) = ledger.stands();

    let told = again(&dir, &policies);
    let refunds = &told.workflows["refunds"];
    let difference = refunds.difference.as_ref().unwrap();
    assert!(
        difference.only_real.is_empty() && difference.only_simulated.is_empty(),
        "{difference:#?}"
    );
    let effects: Vec<_> = refunds
        .changes
        .iter()
        .map(|change| {
            serde_json::to_value(&change.effect).unwrap()["effect"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    for effect in [
        "step_earned",
        "step_proposed",
        "level_changed",
        "burn_opened",
        "probation_ended",
        "waiver_ended",
        "demotion_proposed",
        "clamp_expired",
    ] {
        assert!(
            effects.iter().any(|told| told == effect),
            "no {effect} among {effects:?}"
        );
    }
    assert_eq!(difference.same, effects.len() as u64, "every one of them");
    let live = state.workflow(&"refunds".into()).unwrap();
    assert_eq!(
        (refunds.posture, refunds.level.as_str()),
        (
            live.account().posture().as_str(),
            live.status().level().as_str()
        )
    );
    // The last call would not have gone: its deny_when reads what is on record of it.
    assert_eq!((difference.newly_denied, refunds.prevented.runs), (1, 1));

    // Where nothing that went wrong counts, nothing burns.
    let lenient = again(
        &dir,
        &self::policies(&POLICY.replace("wrong_action", "timeout")),
    );
    let refunds = &lenient.workflows["refunds"];
    assert_eq!((refunds.burns, refunds.demotions), (0, 0), "{refunds:#?}");
    assert!(!refunds.difference.as_ref().unwrap().only_real.is_empty());
}
