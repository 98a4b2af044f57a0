//! The ledger against crashes, damage, full disks and late news.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, params};
use tempfile::TempDir;

use super::database::StoreFault;
use super::{OpenError, Opened, Options, Readers, RunningWriter, Store, WriterClock, WriterQueue};
use crate::gate::booking::Change;
use crate::gate::booking::ids::Candidate;
use crate::gate::budget::Objective;
use crate::gate::budget::posture::Recovery;
use crate::gate::clamp::Clamp;
use crate::gate::digest::Digest;
use crate::gate::event::{Admission, Entry, Event};
use crate::gate::level::Ladder;
use crate::gate::name::{CallId, WorkflowName};
use crate::gate::outcome::{FailureMode, Outcome, Source};
use crate::gate::risk::{Risk, Tier};
use crate::gate::run::{Charge, Executed, Mark, RunRef};
use crate::gate::run_flags::{RunFlag, RunFlags};
use crate::gate::state::State;
use crate::gate::terms::{Lose, PostureCaps, Terms};
use crate::gate::time;
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;
use crate::gate::workflow::WorkflowState;
use crate::journal::port::{Journal as _, Projection, Ticket};
use crate::journal::read::{EntryFilter, Records as _, RunFilter};
use crate::journal::record::{CallRecord, RunKey, RunRecord};
use crate::journal::revise::{Batch, BatchOf, Revise, ReviseError, Revised, RevisedAll, RunTarget};

mod batch;
mod both;
mod checks;
mod damage;
mod disk;
mod filters;
mod import;
mod late;
mod pages;
mod recovery;
mod spans;
mod targets;
mod writer;

const T0: i64 = 1_790_000_000_000;

/// A disk of which a test decides how full it is, and whether it tells the truth about a commit.
#[derive(Default)]
pub(super) struct DiskFault {
    pages: AtomicI64,
    lies: AtomicBool,
}

impl DiskFault {
    pub(super) fn arm(&self, connection: &Connection) -> Result<(), StoreFault> {
        let pages = match self.pages.load(Ordering::SeqCst) {
            0 => 0xffff_fffe,
            pages => pages,
        };
        Ok(connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?)
    }

    pub(super) fn lie(&self) -> Result<(), StoreFault> {
        if self.lies.swap(false, Ordering::SeqCst) {
            Err(StoreFault::Broken("a commit whose end nobody heard of"))
        } else {
            Ok(())
        }
    }
}

/// What the ledger was shown, and where to put a copy of the directory each time.
#[derive(Default)]
struct Seen {
    shown: Mutex<Vec<(WorkflowName, Ticket, Vec<Entry>)>>,
    refused: Mutex<Vec<Ticket>>,
    copies: Mutex<Option<(std::path::PathBuf, Vec<TempDir>)>>,
}

impl Projection for Seen {
    fn committed(
        &self,
        workflow: &WorkflowName,
        upto: Ticket,
        entries: &[Entry],
        _: &WorkflowState,
    ) {
        self.shown
            .lock()
            .unwrap()
            .push((workflow.clone(), upto, entries.to_vec()));
        if let Some((from, copies)) = &mut *self.copies.lock().unwrap() {
            copies.push(copy(from));
        }
    }

    fn refused(&self, _: &WorkflowName, tickets: &[Ticket], _: &WorkflowState) {
        self.refused.lock().unwrap().extend(tickets);
    }
}

struct World {
    dir: TempDir,
    running: RunningWriter,
    journal: Arc<WriterQueue>,
    records: Arc<Readers>,
    seen: Arc<Seen>,
    fault: Arc<DiskFault>,
    clock: Arc<AtomicI64>,
}

impl World {
    fn new() -> Self {
        let world = Self::at(tempfile::tempdir().unwrap());
        world.append(
            None,
            Event::PolicyAccepted {
                version: Digest::new([0; 32]),
                terms: BTreeMap::from([("w".into(), Arc::new(terms()))]),
                policies: "{}".into(),
            },
        );
        world
    }

    fn at(dir: TempDir) -> Self {
        let opened = open(dir.path()).unwrap();
        Self::of(dir, opened.store)
    }

    fn of(dir: TempDir, store: Store) -> Self {
        let (journal, records, seen, fault) = (
            store.journal(),
            store.records(),
            Arc::new(Seen::default()),
            Arc::clone(&store.fault),
        );
        let time = Arc::new(AtomicI64::new(T0));
        let hands = Arc::clone(&time);
        let clock: WriterClock = Arc::new(move || Time::from_millis(hands.load(Ordering::SeqCst)));
        let running = store
            .start(Arc::clone(&seen) as Arc<dyn Projection>, clock)
            .unwrap();
        World {
            dir,
            running,
            journal,
            records,
            seen,
            fault,
            clock: time,
        }
    }

    fn append(&self, workflow: Option<&str>, event: Event) {
        assert_eq!(
            self.journal.append(entry(workflow, event)).durable.wait(),
            Ok(Ok(()))
        );
    }

    fn revise(&self, target: RunTarget, change: Change) -> Result<Revised, ReviseError> {
        self.journal
            .revise(Revise {
                target,
                at: at(60_000),
                change,
                open: Vec::new(),
            })
            .wait()
            .unwrap()
    }

    /// Waits until everything handed over before is written.
    fn settle(&self) {
        self.append(
            None,
            Event::PolicyRefused {
                reason: "a full stop".into(),
            },
        );
    }

    fn runs(&self, filter: RunFilter) -> Vec<RunRecord> {
        self.views(filter)
            .into_iter()
            .map(|view| view.run)
            .collect()
    }

    fn views(&self, filter: RunFilter) -> Vec<crate::journal::read::RunView> {
        self.records
            .runs(&RunFilter {
                limit: 1_000,
                ..filter
            })
            .unwrap()
    }

    fn entries(&self) -> Vec<Entry> {
        self.records
            .entries(&EntryFilter {
                limit: 1_000,
                ..EntryFilter::default()
            })
            .unwrap()
            .views
            .into_iter()
            .map(|view| view.entry)
            .collect()
    }

    fn drain(self) -> TempDir {
        self.running.drain().unwrap();
        self.dir
    }
}

fn open(dir: &Path) -> Result<Opened, OpenError> {
    Store::open(&options(dir))
}

fn options(dir: &Path) -> Options {
    Options {
        dir: dir.into(),
        existing: false,
        accept_loss: false,
        now: at(0),
    }
}

fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    for item in fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        fs::copy(item.path(), to.path().join(item.file_name())).unwrap();
    }
    to
}

pub(super) fn at(millis: i64) -> Time {
    Time::from_millis(T0 + millis)
}

fn entry(workflow: Option<&str>, event: Event) -> Entry {
    Entry {
        at: at(0),
        workflow: workflow.map(Into::into),
        event,
    }
}

pub(super) fn terms() -> Terms {
    Terms {
        tier: Tier::Medium,
        was: None,
        objective: Objective {
            target_ppm: 970_000,
            window: time::days(30),
            expected_runs: 100,
            expected_written: false,
            unacceptable: BTreeSet::from([FailureMode::WrongAction, FailureMode::Timeout]),
            critical: BTreeSet::new(),
            evidence: Arc::default(),
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
            within: time::days(90),
            drop: 1,
        },
        reads_only: false,
        grant: time::minutes(10),
        check: None,
        earn: crate::gate::earn::Earn::default(),
        reach: BTreeSet::new(),
    }
}

fn call_id(n: u64) -> CallId {
    CallId::from_bits(u128::from(T0.unsigned_abs()) << 80 | 7 << 76 | u128::from(n))
}

fn call(n: u64, tool: &str, risk: Risk, subject: Option<&str>) -> CallRecord {
    CallRecord {
        call: call_id(n),
        at: at(n.try_into().unwrap()),
        tool: tool.into(),
        risk,
        verdict: Verdict::Allow,
        executed: Executed::Yes,
        rule: None,
        status: 200,
        subject: subject.map(Into::into),
        args: None,
    }
}

pub(super) fn run(id: Option<&str>, calls: Vec<CallRecord>) -> RunRecord {
    let (first, last) = (
        calls.first().map_or(at(0), |call| call.at),
        calls.last().map_or(at(0), |call| call.at),
    );
    RunRecord {
        workflow: "w".into(),
        agent: "bot".into(),
        run: id.map(Into::into),
        started: first,
        ended: last,
        booked_at: last,
        mark: Mark::Acceptable,
        high: false,
        observed: RunFlags::NONE,
        charges: Vec::new(),
        calls,
    }
}

fn solo(n: u64) -> RunRecord {
    run(None, vec![call(n, "api/get", Risk::Low, None)])
}

pub(super) fn charge(mode: FailureMode, reference: Option<&str>) -> Charge {
    Charge {
        mode,
        source: Source::Person,
        by: Some("dana".into()),
        call: None,
        tool: None,
        note: None,
        reference: reference.map(Into::into),
    }
}

fn booked(run: &str) -> Event {
    Event::Booked {
        run: run_ref(run),
        high: false,
        charges: vec![charge(FailureMode::WrongAction, None)],
        observed: RunFlags::NONE,
    }
}

fn run_ref(run: &str) -> RunRef {
    RunRef {
        agent: "bot".into(),
        run: run.into(),
    }
}

fn admission(n: u64, run: &str, idempotent: bool) -> Admission {
    Admission {
        call: call_id(n),
        run: run_ref(run),
        tool: "api/refund".into(),
        risk: Risk::High,
        idempotent,
        subject: Some("A-1001".into()),
        approval: None,
        digest: None,
        sent: None,
        under: None,
        held_by: None,
        operation: None,
    }
}

fn clamp() -> Event {
    Event::Clamped(Clamp {
        to: "halted".into(),
        by: "dana".into(),
        reason: "stop".into(),
        at: at(0),
        until: None,
    })
}

fn counted(entries: &[Entry]) -> u64 {
    entries
        .iter()
        .filter_map(|entry| {
            if let Event::Tallied { cells } = &entry.event {
                Some(cells.iter().map(|cell| cell.runs).sum::<u64>())
            } else {
                None
            }
        })
        .sum()
}

fn refold(entries: &[Entry], now: Time) -> State {
    let mut state = State::default();
    for entry in entries {
        match entry.event {
            Event::Followed(_) => drop(state.advance(entry.at)),
            _ => drop(state.apply(entry)),
        }
    }
    state.advance(now);
    state
}
