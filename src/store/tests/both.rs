//! The database and the journal in memory carry out the same rules: over the same random changes
//! they give the same answers, hold the same runs and enter the same events.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;
use crate::gate::check::Check;
use crate::gate::event::Revision;
use crate::gate::event::table::EventKind;
use crate::gate::outcome::FailureMode as Mode;
use crate::journal::memory::MemoryJournal;
use crate::journal::read::RunView;

/// Worlds that are tried.
const CASES: u32 = 32;
/// The most steps of one world.
const MAX_STEPS: usize = 48;

/// Bytes that a step takes its choices from.
type Dice = [u8; 6];

/// Both journals, and what the test must remember to feed them as the ledger does.
struct Both {
    disk: World,
    memory: Arc<MemoryJournal>,
    now: Time,
    calls: u64,
    /// Runs that were booked and go on, and when that was.
    open: BTreeMap<RunRef, Time>,
}

impl Both {
    fn new() -> Self {
        let mut both = Both {
            disk: World::at(tempfile::tempdir().unwrap()),
            memory: MemoryJournal::new(),
            now: at(0),
            calls: 0,
            open: BTreeMap::new(),
        };
        both.accept([Mode::WrongAction, Mode::Timeout], "v");
        both
    }

    /// The policies of two workflows. One is called `other`.
    fn accept(&mut self, unacceptable: impl Into<BTreeSet<Mode>>, other: &str) {
        let mut terms = terms();
        terms.objective.unacceptable = unacceptable.into();
        terms.check = Some(Check {
            sample_ppm: 1_000_000,
            min: 0,
        });
        let renamed = Terms {
            was: (other != "v").then(|| "v".into()),
            ..terms.clone()
        };
        let terms = [("w", terms), (other, renamed)];
        self.append(
            None,
            Event::PolicyAccepted {
                version: Digest::new([0; 32]),
                terms: terms
                    .map(|(name, terms)| (name.into(), Arc::new(terms)))
                    .into(),
                policies: "{}".into(),
            },
        );
    }

    fn append(&mut self, workflow: Option<&str>, event: Event) {
        let entry = Entry {
            at: self.now,
            workflow: workflow.map(Into::into),
            event,
        };
        drop(self.memory.append(entry.clone()));
        self.memory.write();
        assert_eq!(self.disk.journal.append(entry).durable.wait(), Ok(Ok(())));
    }

    fn step(&mut self, dice: Dice) {
        self.now = self.now.plus(std::time::Duration::from_secs(1));
        let run = RunRef {
            agent: "bot".into(),
            run: format!("r{}", dice[1] % 3).into(),
        };
        match dice[0] % 16 {
            0 if dice[1] > 200 => self.accept([Mode::Timeout, Mode::ToolError], "v"),
            0 if dice[1] < 40 => self.accept([Mode::WrongAction, Mode::Timeout], "u"),
            0 | 1 => self.book(run, dice),
            2 => self.remark(run, dice),
            3..=6 => self.record(run, dice),
            7 | 8 => self.batch(dice),
            _ => self.revise(dice),
        }
    }

    fn book(&mut self, run: RunRef, dice: Dice) {
        if self.open.contains_key(&run) {
            let booked_at = self.open[&run];
            return self.append(Some("w"), Event::BookedHigh { run, booked_at });
        }
        self.open.insert(run.clone(), self.now);
        self.append(
            Some("w"),
            Event::Booked {
                run,
                high: dice[2] > 128,
                charges: vec![some_charge(dice, None)],
                observed: RunFlags::NONE,
            },
        );
    }

    fn remark(&mut self, run: RunRef, dice: Dice) {
        let Some(booked_at) = self.open.get(&run) else {
            return;
        };
        let mark = Mark::Unacceptable;
        let revision = Revision::new(run, *booked_at, false, mark, mark);
        let charge = some_charge(dice, None);
        self.append(Some("w"), Event::Reported { revision, charge });
    }

    fn record(&mut self, run: RunRef, dice: Dice) {
        let booked_at = self.open.remove(&run);
        let named = booked_at.is_some() || dice[2] > 60;
        let workflow = if booked_at.is_some() || dice[2] > 120 {
            "w"
        } else {
            "v"
        };
        let calls: Vec<_> = (0..=dice[3] % 2)
            .map(|n| self.call(dice[3] >> (2 * n + 1)))
            .collect();
        let mark = match dice[4] % 4 {
            _ if booked_at.is_some() => Mark::Unacceptable,
            0 => Mark::Unacceptable,
            1 => Mark::Idle,
            _ => Mark::Acceptable,
        };
        let charges = match mark {
            Mark::Unacceptable => vec![some_charge(dice, Some(calls[0].call))],
            _ if dice[5] > 200 => vec![some_charge([0, 0, 0, 0, 0, 2], None)],
            _ => Vec::new(),
        };
        let record = RunRecord {
            workflow: workflow.into(),
            agent: run.agent,
            run: named.then_some(run.run),
            started: booked_at.unwrap_or(self.now),
            ended: self.now,
            booked_at: booked_at.unwrap_or(self.now),
            mark,
            high: dice[5] > 128,
            observed: RunFlags::NONE,
            charges,
            calls,
        };
        self.memory.record(record.clone());
        self.memory.write();
        self.disk.journal.record(record);
    }

    fn call(&mut self, dice: u8) -> CallRecord {
        self.calls += 1;
        let (tool, risk) = [
            ("api/get", Risk::Read),
            ("api/put", Risk::Low),
            ("api/refund", Risk::High),
        ][usize::from(dice % 3)];
        let subject = ["A", "B"][usize::from(dice / 3 % 2)];
        CallRecord {
            at: self.now,
            executed: [Executed::Yes, Executed::Unknown, Executed::No][usize::from(dice / 6 % 3)],
            ..call(self.calls, tool, risk, Some(subject))
        }
    }

    fn revise(&self, dice: Dice) {
        let workflow = [None, Some("w"), Some("v"), Some("u")][usize::from(dice[2] % 4)];
        let target = match dice[1] % 4 {
            0 => RunTarget::Run {
                run: ["r0", "r1", "r2", "r0#2", "r1#2"][usize::from(dice[2] / 4 % 5)].into(),
                workflow: workflow.map(Into::into),
                agent: None,
            },
            1 | 2 => RunTarget::Call(self.some_call(dice[2])),
            _ => RunTarget::Subject {
                subject: ["A", "B"][usize::from(dice[2] / 4 % 2)].into(),
                tool: (dice[2] > 200).then(|| "api/put".into()),
                workflow: workflow.map(Into::into),
            },
        };
        let revise = Revise {
            target,
            at: self.now,
            change: self.some_change(dice),
            open: Vec::new(),
        };
        let in_memory = self.memory.revise(revise.clone());
        self.memory.write();
        let on_disk = self.disk.journal.revise(revise.clone());
        assert_eq!(on_disk.wait(), in_memory.wait(), "{revise:?}");
    }

    fn batch(&self, dice: Dice) {
        let of = if dice[1] > 100 {
            BatchOf::Reference(some_reference(dice[2]).unwrap_or_else(|| "T-1".into()))
        } else {
            let filter = RunFilter {
                tool: (dice[2] > 100).then(|| "api/put".into()),
                ..RunFilter::default()
            };
            BatchOf::Runs(self.disk.records.keys(&filter).unwrap())
        };
        let batch = Batch {
            of,
            at: self.now,
            change: self.some_change(dice),
        };
        let in_memory = self.memory.revise_all(batch.clone());
        self.memory.write();
        let on_disk = self.disk.journal.revise_all(batch.clone());
        assert_eq!(on_disk.wait(), in_memory.wait(), "{batch:?}");
    }

    fn some_call(&self, dice: u8) -> CallId {
        call_id(1 + u64::from(dice) % self.calls.max(1))
    }

    fn some_change(&self, dice: Dice) -> Change {
        let by = || "dana".into();
        match dice[3] % 12 {
            0..=3 => Change::Report(some_charge(dice, None)),
            4 | 5 => {
                let mode = (dice[4] > 80).then(|| some_charge(dice, None).mode);
                Change::Retract {
                    reference: some_reference(dice[5])
                        .or_else(|| mode.is_none().then(|| "T-1".into())),
                    mode,
                    by: by(),
                    own_only: false,
                }
            }
            6 => Change::Exclude {
                reason: "a drill".into(),
                reference: some_reference(dice[4]),
                by: by(),
            },
            7 => Change::Reinstate { by: by() },
            8 => Change::Accept { by: by() },
            9 => Change::Check {
                right: dice[4] > 128,
                by: by(),
            },
            _ => Change::Reconcile {
                call: self.some_call(dice[2]),
                executed: dice[4] > 128,
                harmless: dice[5] > 128,
                note: None,
                by: by(),
            },
        }
    }

    /// Both hold the same.
    fn compare(self) {
        self.disk.settle();
        let filter = RunFilter {
            limit: 1_000,
            ..RunFilter::default()
        };
        let runs = |views: Vec<RunView>| views.into_iter().map(comparable).collect::<Vec<_>>();
        assert_eq!(
            runs(self.disk.records.runs(&filter).unwrap()),
            runs(self.memory.runs(&filter).unwrap())
        );
        let checks = |records: &dyn crate::journal::read::Records| {
            let mut checks = records.checks(None, at(-1), 1_000).unwrap();
            checks.waiting.sort_by_key(|check| check.drawn_at);
            let waiting = checks.waiting.into_iter();
            let waiting: Vec<_> = waiting
                .map(|check| (comparable(check.view), check.risk, check.drawn_at))
                .collect();
            (waiting, checks.drawn)
        };
        assert_eq!(checks(&*self.disk.records), checks(&*self.memory));
        let changes = |entries: Vec<Entry>| {
            let mut entries = entries;
            entries.retain(|entry| {
                !matches!(
                    entry.event.kind(),
                    EventKind::Tallied | EventKind::Followed | EventKind::PolicyRefused
                )
            });
            entries
        };
        let filter = EntryFilter {
            limit: 1_000,
            ..EntryFilter::default()
        };
        let in_memory = self.memory.entries(&filter).unwrap().views;
        let in_memory = in_memory.into_iter().map(|view| view.entry).collect();
        assert_eq!(changes(self.disk.entries()), changes(in_memory));
        self.disk.drain();
    }
}

/// A run without what only one of the journals keeps: where it lies, and the text of objects.
fn comparable(mut view: RunView) -> RunView {
    view.position = 0;
    for call in &mut view.run.calls {
        call.subject = None;
    }
    view
}

fn some_reference(dice: u8) -> Option<Arc<str>> {
    [None, Some("T-1"), Some("T-2")][usize::from(dice % 3)].map(Into::into)
}

fn some_charge(dice: Dice, call: Option<CallId>) -> Charge {
    let mode =
        [Mode::WrongAction, Mode::Timeout, Mode::ToolError][usize::from(dice[5] % 3)].clone();
    let source = match (call, dice[4] % 3) {
        (Some(_), _) => Source::Wire,
        (None, 0) => Source::System,
        (None, _) => Source::Person,
    };
    Charge {
        source,
        call,
        ..charge(mode, some_reference(dice[4] / 3).as_deref())
    }
}

#[test]
fn g12_both_journals_carry_out_the_same_rules() {
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        max_shrink_iters: 400,
        ..Config::default()
    };
    // The same worlds each time: what fails here fails again.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let steps = vec(any::<Dice>(), 1..=MAX_STEPS);
    let run = |steps: Vec<Dice>| {
        let mut both = Both::new();
        for dice in steps {
            both.step(dice);
        }
        both.compare();
        Ok(())
    };
    if let Err(failure) = runner.run(&steps, run) {
        panic!("{failure}");
    }
}

#[test]
fn g7_one_question_gives_no_more_records_than_the_bound_whatever_its_limit() {
    use crate::journal::read::{Happened, MOST_RECORDS};
    let mut both = Both::new();
    let found = |both: &Both| {
        let all = usize::MAX;
        let happened = Happened {
            workflow: None,
            since: at(-1),
            until: at(3_600_000),
            kinds: vec![EventKind::Settled],
            granted: false,
        };
        let filter = EntryFilter {
            kind: Some(EventKind::Settled.name().into()),
            limit: all,
            ..EntryFilter::default()
        };
        let of = |records: &dyn crate::journal::read::Records| {
            let runs = records.runs(&RunFilter {
                limit: all,
                ..RunFilter::default()
            });
            [
                runs.unwrap().len(),
                records.entries(&filter).unwrap().views.len(),
                records.happened(&happened, 0, all).unwrap().len(),
            ]
        };
        let (disk, memory) = (of(&*both.disk.records), of(&*both.memory));
        assert_eq!(disk, memory);
        disk
    };
    let add = |both: &mut Both, n: u64| {
        let record = run(
            Some(&format!("r{n}")),
            vec![call(n, "a/t", Risk::Low, None)],
        );
        both.disk.journal.record(record.clone());
        both.memory.record(record);
        let settled = Event::Settled {
            call: call_id(n),
            executed: Executed::Yes,
            undid: None,
        };
        let entry = Entry {
            at: both.now,
            workflow: Some("w".into()),
            event: settled,
        };
        drop(both.disk.journal.append(entry.clone()));
        drop(both.memory.append(entry));
    };
    let most = MOST_RECORDS as u64;
    (0..most).for_each(|n| add(&mut both, n));
    both.disk.settle();
    both.memory.write();
    assert_eq!(found(&both), [MOST_RECORDS; 3]);
    add(&mut both, most);
    both.disk.settle();
    both.memory.write();
    assert_eq!(found(&both), [MOST_RECORDS; 3]);
}
