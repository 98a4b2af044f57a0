//! Random worlds: agents, reviewers, operators, reports, sweeps, clocks, outages and crashes, in
//! any order.

use std::time::Duration;

use burngate::clock::Clock as _;
use burngate::gate::approval::DecisionKind;
use burngate::gate::booking::Change;
use burngate::gate::name::ApprovalId;
use burngate::gate::outcome::FailureMode;
use burngate::gate::risk::Tier;
use burngate::gate::terms::Terms;
use burngate::journal::port::Journal as _;
use burngate::journal::revise::RunTarget;
use burngate::ledger::call::in_flight::{InFlightCall, Settlement};
use burngate::ledger::call::outcome::Admit;
use burngate::ledger::call::permit::Permit;
use burngate::ledger::call::refusal::Refusal;
use burngate::ledger::people::outcome::WorkflowScope;
use burngate::ledger::people::report::Reported;

use super::checks;
use super::desk::{Answer, Desk, Rules, Written, charge, decision};
use crate::world::{Rng, terms, worlds};

const TOOLS: [&str; 6] = [
    "api/look", "api/note", "api/mail", "api/pay", "api/ban", "api/form",
];
const RUNS: [Option<&str>; 4] = [None, Some("a"), Some("b"), Some("c")];
const AGENTS: [&str; 2] = ["clerk", "robot"];
const WORKFLOWS: [&str; 2] = ["refunds", "mail"];
const ORDERS: [&str; 3] = ["A-1", "A-2", "A-3"];

struct World {
    desk: Desk,
    /// Passed, and perhaps not durable yet; with the clamps seen by then.
    permits: Vec<(Permit, Option<Written>, u64)>,
    /// Sent.
    sent: Vec<InFlightCall>,
    waiting: Vec<(InFlightCall, &'static str, u8)>,
    approvals: Vec<ApprovalId>,
    /// Entries of the journal when something was last acknowledged.
    acknowledged: usize,
    receipts: Vec<Written>,
    clamps: u64,
    /// Runs were lost in a crash, so that they cannot be counted one by one.
    crashed: bool,
    outages: bool,
}

impl World {
    fn new(rng: &mut Rng) -> Self {
        let rules = |rng: &mut Rng| {
            let tier = rng.pick(&[Tier::Low, Tier::Medium, Tier::High]);
            let terms = Terms {
                reads_only: false,
                ..terms(tier, rng.pick(&[950_000, 970_000, 995_000]))
            };
            Rules {
                terms,
                calls: rng.pick(&[3, 1_000]),
                finish_required: rng.one_in(3),
                people: rng.pick(&[1, 1, 2]),
                ..Rules::default()
            }
        };
        let desk = Desk::of(
            &[("refunds", rules(rng)), ("mail", rules(rng))],
            rng.pick(&[2, 1_000]),
            1_000,
        );
        World {
            desk,
            permits: Vec::new(),
            sent: Vec::new(),
            waiting: Vec::new(),
            approvals: Vec::new(),
            acknowledged: 0,
            receipts: Vec::new(),
            clamps: 0,
            crashed: false,
            outages: rng.one_in(2),
        }
    }

    fn step(&mut self, rng: &mut Rng) {
        match rng.below(24) {
            0..=6 => {
                let workflow = rng.pick(&WORKFLOWS);
                let Some(call) =
                    self.desk
                        .open_call_in(workflow, rng.pick(&AGENTS), rng.pick(&RUNS))
                else {
                    return;
                };
                let (tool, digest) = (rng.pick(&TOOLS), rng.below(4) as u8);
                self.judge(rng, call, tool, digest);
            }
            7 | 8 if !self.waiting.is_empty() => {
                let (call, tool, digest) = self
                    .waiting
                    .swap_remove(rng.below(self.waiting.len() as u64) as usize);
                self.judge(rng, call, tool, digest);
            }
            9..=11 if !self.permits.is_empty() => self.use_permit(rng),
            12..=14 if !self.sent.is_empty() => self.settle_call(rng),
            15 | 16 if !self.approvals.is_empty() => self.decide(rng),
            17 => self.operate(rng),
            18 => self.report(rng),
            19 => self.pass_time(rng),
            20 if rng.one_in(4) => self.leap(rng),
            21 if self.outages && rng.one_in(3) => {
                self.desk.journal.refuse(self.desk.journal.ready());
            }
            22 if rng.one_in(12) => self.crash(rng),
            23 => drop(self.desk.ledger.finish(
                &rng.pick(&WORKFLOWS).into(),
                &rng.pick(&AGENTS).into(),
                &rng.pick(&["a", "b", "c"]).into(),
                rng.one_in(4),
            )),
            _ => {
                for _ in 0..rng.below(6) {
                    self.desk.journal.write_one();
                }
            }
        }
        self.note();
    }

    /// Uses a permit, where its entry is written, or gives it up.
    fn use_permit(&mut self, rng: &mut Rng) {
        let (permit, durable, clamps) = self
            .permits
            .swap_remove(rng.below(self.permits.len() as u64) as usize);
        let written = durable
            .as_ref()
            .is_none_or(|durable| durable.get() == Some(Ok(())));
        let refused = durable
            .as_ref()
            .is_some_and(|durable| matches!(durable.get(), Some(Err(_))));
        if !written && !refused {
            self.permits.push((permit, durable, clamps));
        } else if refused || rng.one_in(8) {
            drop(permit.give_up());
        } else {
            match permit.check() {
                Ok(permit) => {
                    assert_eq!(clamps, self.clamps, "a permit outlived a clamp");
                    self.sent.push(permit.spend());
                }
                Err(call) => {
                    assert!(clamps < self.clamps);
                    drop(call);
                }
            }
        }
    }

    /// Settles a call that was sent, with or without an answer.
    fn settle_call(&mut self, rng: &mut Rng) {
        let mut call = self
            .sent
            .swap_remove(rng.below(self.sent.len() as u64) as usize);
        if !rng.one_in(5) {
            call.answered(200);
        }
        if rng.one_in(4) {
            let mode = [
                FailureMode::Timeout,
                FailureMode::ToolError,
                FailureMode::WrongAction,
            ][rng.below(3) as usize]
                .clone();
            call.settle(Settlement {
                status: 200,
                modes: vec![(mode, "")],
            });
        } else {
            drop(call);
        }
    }

    /// Decides on a held call, or takes it back.
    fn decide(&mut self, rng: &mut Rng) {
        let id = rng.pick(&self.approvals);
        let kind = rng.pick(&[
            DecisionKind::Approve,
            DecisionKind::Approve,
            DecisionKind::DenyWrong,
            DecisionKind::DenyNotNow,
        ]);
        let durable = match rng.below(6) {
            0 => self.desk.ledger.withdraw(id, "cancelled"),
            _ => self
                .desk
                .ledger
                .decide(
                    id,
                    &decision(rng.pick(&["ada", "bob", "clerk"]), kind),
                    None,
                )
                .map(|deciding| deciding.durable),
        };
        self.receipts.extend(durable.ok().map(Answer::of));
    }

    /// Lets time pass, and does what is due by it.
    fn pass_time(&mut self, rng: &mut Rng) {
        let span = rng.pick(&[1, 1_000, 60_000, 600_000, 3_600_000]);
        self.desk.pass(Duration::from_millis(rng.below(span) + 1));
        if rng.one_in(3) {
            self.desk.ledger.sweep();
        }
        if rng.one_in(4) && self.desk.journal.ready() {
            self.desk.journal.advance(self.desk.now());
        }
    }

    /// The wall clock leaps.
    fn leap(&mut self, rng: &mut Rng) {
        // Back, or a leap of more than five minutes.
        self.desk
            .turn(0, rng.pick(&[-3_600_000, 7_200_000, 86_400_000]));
        if let Some(wall) = self.desk.clock.jumped() {
            self.receipts
                .push(Answer::of(self.desk.ledger.clock_jumped(wall)));
        }
        if rng.one_in(3) {
            drop(self.desk.ledger.accept_clock(&"ada".into()));
        }
    }

    /// What has been answered is on disk, wherever a crash comes.
    fn note(&mut self) {
        let before = self.receipts.len();
        self.receipts.retain(|receipt| receipt.get().is_none());
        if self.receipts.len() < before {
            self.acknowledged = self.desk.entries().len();
        }
    }

    fn judge(&mut self, rng: &mut Rng, call: InFlightCall, tool: &'static str, digest: u8) {
        // A clamp that has run out by now has ended, whoever looks.
        call.workflow().shard.advance(self.desk.now());
        let halted = call.workflow().shard.status().level().as_str() == "halted";
        match self.desk.admit_about(call, tool, digest, rng.pick(&ORDERS)) {
            Admit::Pass { permit, durable } => {
                assert!(!halted, "halted passed a call");
                let durable = durable.map(Answer::of);
                self.permits.push((permit, durable, self.clamps));
            }
            Admit::Held {
                call,
                approval,
                durable,
                ..
            } => {
                self.approvals.push(approval.request.approval);
                self.receipts.extend(durable.map(Answer::of));
                if rng.one_in(2) {
                    self.waiting.push((call, tool, digest));
                }
            }
            Admit::Refused { refusal, .. } => match refusal {
                Refusal::Rule(finding) => {
                    assert!(!finding.detail.is_empty() && !finding.rule.as_str().is_empty());
                }
                Refusal::Unreadable(what) => panic!("unreadable: {what}"),
                Refusal::Journal => assert!(!self.desk.journal.ready()),
                Refusal::Cap(finding, _) => panic!("nothing is capped: {}", finding.detail),
                Refusal::Done(recalled) => {
                    assert!(recalled.earlier.is_some() || recalled.reached.is_some());
                }
                Refusal::IdempotencyKey(why) => panic!("no key was given: {why}"),
                Refusal::Spent(approval) => panic!("nothing is edited: {approval:?}"),
                Refusal::Inbox { of, .. } => panic!("no inbox of a {of} is full"),
                Refusal::Unshown(why) => panic!("there is no body: {why}"),
                Refusal::Holds => {}
            },
            Admit::Unread { .. } => panic!("unread"),
            Admit::Edited { .. } => panic!("nothing is edited"),
            Admit::Answered { .. } => panic!("no key was given"),
        }
    }

    fn operate(&mut self, rng: &mut Rng) {
        let scope = if rng.one_in(2) {
            WorkflowScope::All
        } else {
            WorkflowScope::One(rng.pick(&WORKFLOWS).into())
        };
        let durable = match rng.below(4) {
            0 | 1 => {
                let until = rng.one_in(2).then(|| {
                    self.desk
                        .now()
                        .plus(Duration::from_secs(rng.below(4_000) + 1))
                });
                let level = rng.pick(&["halted", "read_only", "supervised", "standard"]);
                self.clamps += 1;
                self.desk
                    .ledger
                    .clamp(&scope, &level.into(), &"ada".into(), "careful", until)
                    .ok()
                    .map(|clamped| clamped.durable)
            }
            2 => self.desk.ledger.release(&scope, &"ada".into(), "over").ok(),
            _ => self
                .desk
                .ledger
                .recover(
                    &rng.pick(&WORKFLOWS).into(),
                    &"ada".into(),
                    "found",
                    None,
                    None,
                    Duration::from_secs(86_400),
                )
                .ok(),
        };
        self.receipts.extend(durable.map(Answer::of));
    }

    fn report(&mut self, rng: &mut Rng) {
        let workflow = Some(rng.pick(&WORKFLOWS).into());
        let target = match rng.below(2) {
            0 => RunTarget::Run {
                run: rng.pick(&["a", "b", "c#2"]).into(),
                workflow,
                agent: Some(rng.pick(&AGENTS).into()),
            },
            _ => RunTarget::Subject {
                subject: rng.pick(&ORDERS).into(),
                tool: None,
                workflow,
            },
        };
        let mode = [
            FailureMode::WrongAction,
            FailureMode::MissedEscalation,
            FailureMode::ToolError,
        ][rng.below(3) as usize]
            .clone();
        let reference = rng.pick(&[None, Some("T-1"), Some("T-2")]);
        match rng.below(6) {
            0 => drop(self.desk.ledger.revise(
                target,
                Change::Retract {
                    mode: Some(mode),
                    reference: reference.map(Into::into),
                    by: "ada".into(),
                    own_only: false,
                },
            )),
            1 => drop(self.desk.ledger.revise(
                target,
                Change::Exclude {
                    reason: "an incident".into(),
                    reference: None,
                    by: "ada".into(),
                },
            )),
            2 => drop(
                self.desk
                    .ledger
                    .revise(target, Change::Reinstate { by: "ada".into() }),
            ),
            _ => match self.desk.ledger.report(target, charge(mode, reference)) {
                Reported::Open { durable, .. } => self.receipts.extend(durable.map(Answer::of)),
                Reported::Booked(receipt) => drop(receipt),
            },
        }
    }

    /// Everything but the first entries of the journal is gone, and at least what was acknowledged
    /// is there.
    fn crash(&mut self, rng: &mut Rng) {
        self.note();
        if self.outages {
            self.desk.journal.refuse(false);
        }
        let entries = self.desk.entries().len();
        let kept = self.acknowledged.max(3)
            + rng.below((entries - self.acknowledged.max(3).min(entries)) as u64 + 1) as usize;
        let again = self.desk.crash(kept.min(entries));
        let old = std::mem::replace(&mut self.desk, again);
        // What the old process still held goes with it, into a journal that nobody reads.
        self.permits.clear();
        self.sent.clear();
        self.waiting.clear();
        self.receipts.clear();
        drop(old);
        (self.clamps, self.crashed) = (0, true);
        self.acknowledged = self.desk.entries().len();
    }

    /// Everything ends, and everything is written.
    fn rest(mut self) {
        self.permits.clear();
        self.sent.clear();
        self.waiting.clear();
        self.desk.journal.refuse(false);
        self.desk.journal.write();
        self.desk.journal.advance(self.desk.now());
        checks::journal(&self.desk.entries(), true);
        checks::projection(&self.desk);
        self.desk.pass(Duration::from_secs(2 * 86_400));
        self.desk.ledger.sweep();
        assert_eq!(self.desk.ledger.open_runs(), 0, "a run outlived its lease");
        self.desk.journal.write();
        self.desk.journal.advance(self.desk.now());
        checks::journal(&self.desk.entries(), true);
        checks::projection(&self.desk);
        if !self.crashed {
            checks::recount(&self.desk);
        }
        // The same journal gives the same state (G12).
        let entries = self.desk.entries();
        let mut again = burngate::journal::memory::MemoryJournal::replayed(&entries).state();
        again.advance(self.desk.now());
        assert!(
            again == self.desk.journal.state(),
            "a replay says something else"
        );
    }
}

#[test]
fn random_worlds_keep_the_guarantees() {
    worlds("living::random_worlds::random", 300, |rng| {
        let mut world = World::new(rng);
        for _ in 0..rng.within(50, 300) {
            world.step(rng);
        }
        world.rest();
    });
}
