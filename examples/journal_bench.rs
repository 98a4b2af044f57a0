//! What a long journal costs those who audit it: fills a ledger with a million entries through the
//! gate's own store, then times the real binary on it.
//!
//!     cargo build --profile dist && cargo run --profile dist --example journal_bench [-- --entries 1000000]
//!
//! A page of the audit at its beginning and at its end, filtered and not; the export whole, and
//! again with nothing new; the verification of ledger and export. Processor time is the process's
//! own, as Linux counts it; memory is the most that it held. Everything is in a directory that is
//! removed at the end.
#![allow(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "figures for people, not a decision"
)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use burngate::config::{Process, SourceFile, load};
use burngate::gate::approval::{BoundTo, Decision, DecisionKind, Request};
use burngate::gate::clamp::Clamp;
use burngate::gate::digest::Digest;
use burngate::gate::event::{Admission, Entry, Event};
use burngate::gate::name::{ApprovalId, CallId, WorkflowName};
use burngate::gate::policy::PolicySet;
use burngate::gate::risk::Risk;
use burngate::gate::run::{Executed, RunRef};
use burngate::gate::time::{Time, hours, minutes};
use burngate::gate::workflow::WorkflowState;
use burngate::journal::port::{Journal as _, Projection, Ticket};
use burngate::ledger::Ledger;
use burngate::store::{Options, Store};

/// When the first entry happened: 2026-01-01.
const BEGIN: Time = Time::from_millis(1_767_225_600_000);
/// Entries come a second apart.
const APART: Duration = Duration::from_secs(1);
/// So many are handed over before it is waited for them: far less than the gate's own queue takes.
const AT_ONCE: u64 = 4_096;
/// Of so many entries one is an operator's clamp, and one its release: what nobody finds by chance.
const RARE: u64 = 50_000;
/// How often a page is asked for.
const PAGES: u32 = 20;

const API: &str = "api: shop\nupstream: http://127.0.0.1:1\ntools:\n  - { tool: pay, match: POST /pay, risk: high, subject: args.order, arguments: { type: object } }\n";
const DESK: &str = "workflow: desk\nrisk: medium\ntools: [shop/pay]\n";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let entries = arguments
        .iter()
        .skip_while(|argument| *argument != "--entries")
        .nth(1)
        .map_or(Ok(1_000_000), |text| text.parse::<u64>())?;
    let home = std::env::temp_dir().join(format!("burngate-journal-bench-{}", std::process::id()));
    fs::create_dir_all(home.join("policies"))?;
    let measured = fill(&home, entries).and_then(|rows| audit(&home, rows));
    fs::remove_dir_all(&home)?;
    measured
}

struct Nobody;

impl Projection for Nobody {
    fn committed(&self, _: &WorkflowName, _: Ticket, _: &[Entry], _: &WorkflowState) {}
}

/// Fills the ledger in `home`, and says how many entries it has.
fn fill(home: &Path, entries: u64) -> anyhow::Result<u64> {
    fs::write(home.join("policies/shop.yaml"), API)?;
    fs::write(home.join("policies/desk.yaml"), DESK)?;
    let files = [
        SourceFile::new("shop.yaml", API),
        SourceFile::new("desk.yaml", DESK),
    ];
    let policies = load(&files, &Process::default(), BEGIN)
        .map_err(|found| anyhow::anyhow!("{}", found.render(false)))?
        .policies;
    let opened = Store::open(&Options {
        dir: home.join("data"),
        existing: false,
        accept_loss: false,
        now: BEGIN,
    })?;
    let (journal, records) = (opened.store.journal(), opened.store.records());
    let end = BEGIN.plus(APART * u32::try_from(entries)?);
    let running = opened
        .store
        .start(Arc::new(Nobody), Arc::new(move || end))?;
    let spent = Spent::open_run("self")?;
    drop(journal.append(Entry {
        at: BEGIN,
        workflow: None,
        event: accepted(&policies),
    }));
    for n in 1..=entries {
        let at = BEGIN.plus(APART * u32::try_from(n)?);
        let durable = journal
            .append(Entry {
                at,
                workflow: Some("desk".into()),
                event: event(n, at),
            })
            .durable;
        if n % AT_ONCE == 0 || n == entries {
            durable.wait().context("the writer stopped")??;
        }
    }
    running.drain()?;
    drop(records);
    let spent = Spent::open_run("self")?.since(spent);
    let rows = burngate::app::audit::entries(&home.join("data"))?;
    println!(
        "{rows} entries, {} MiB on disk; written with {:.1} µs of processor time each",
        size(&home.join("data"))? >> 20,
        spent.micros_each(rows)
    );
    Ok(rows)
}

fn accepted(policies: &PolicySet) -> Event {
    let lowered = serde_json::json!({ "apis": policies.apis, "workflows": policies.workflows, "signals": policies.signals });
    Event::PolicyAccepted {
        version: policies.version,
        terms: Ledger::terms(policies),
        policies: lowered.to_string().into(),
    }
}

/// What a busy desk writes: calls that go and are answered, some that wait for a person and are put
/// off, now and then an operator.
fn event(n: u64, at: Time) -> Event {
    let (call, run) = (
        CallId::from_bits(u128::from(n / 2)),
        RunRef {
            agent: "bot".into(),
            run: format!("ticket-{}", n / 8).into(),
        },
    );
    let approval = ApprovalId::from_bits(u128::from(n / 2));
    match n % RARE {
        0 => {
            return Event::Released {
                by: "operator".into(),
                reason: "looked at, all in order".into(),
            };
        }
        1 => {
            return Event::Clamped(Clamp {
                to: "read_only".into(),
                by: "operator".into(),
                reason: "odd refunds".into(),
                at,
                until: None,
            });
        }
        _ => {}
    }
    match n % 20 {
        2 => Event::Held(Box::new(request(approval, call, run, at))),
        3 => Event::Decided {
            approval,
            decision: Decision {
                reviewer: "dana".into(),
                decision: DecisionKind::DenyNotNow,
                reason: None,
                at,
                edit: None,
                role: None,
                void: false,
            },
        },
        even if even % 2 == 0 => Event::Admitted(Admission {
            call,
            run,
            tool: "shop/pay".into(),
            risk: Risk::High,
            idempotent: false,
            subject: Some(format!("A-{n}").as_str().into()),
            approval: None,
            digest: None,
            sent: None,
            under: None,
            held_by: None,
            operation: None,
        }),
        _ => Event::Settled {
            call,
            executed: Executed::Yes,
            undid: None,
        },
    }
}

fn request(approval: ApprovalId, call: CallId, run: RunRef, at: Time) -> Request {
    Request {
        approval,
        run: run.run,
        call,
        agent: run.agent,
        tool: "shop/pay".into(),
        risk: Risk::High,
        target: "POST /pay".into(),
        args: Some(
            r#"{"amount":120.5,"order":"A-1001","reason":"arrived damaged, photo attached"}"#
                .into(),
        ),
        body: None,
        bound: BoundTo::default(),
        subject: Some("A-1001".into()),
        digest: Digest::new([7; 32]),
        rule: "level".into(),
        location: None,
        reason: "at level `standard` calls of risk high wait for a person".into(),
        needed: 1,
        expires_at: at.plus(hours(1)),
        escalate: None,
        grant: minutes(10),
        steps: Vec::new(),
    }
}

/// Times those who audit it.
fn audit(home: &Path, rows: u64) -> anyhow::Result<()> {
    let binary = std::env::current_exe()?
        .parent()
        .and_then(Path::parent)
        .context("no directory of binaries")?
        .join("burngate");
    ensure!(
        binary.exists(),
        "there is no {}; `cargo build --profile dist` makes it",
        binary.display()
    );
    let run = |arguments: &[&str], each: u64| {
        timed(
            Command::new(&binary).current_dir(home).args(arguments),
            each,
        )
    };
    let mut gate = Gate::start(Command::new(&binary).current_dir(home).args([
        "run",
        "--data",
        "data",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ]))?;
    pages(&mut gate, rows)?;
    let admin = format!("http://{}", gate.admin);
    let export = [
        "audit",
        "export",
        "--data",
        "data",
        "--admin",
        &admin,
        "--out",
        "audit.jsonl",
    ];
    for what in ["export, whole", "export, resumed with nothing new"] {
        println!("{what:<44} {}", run(&export, rows)?);
    }
    println!(
        "{:<44} {}",
        "verify the ledger beside the running gate",
        run(&["audit", "verify", "--data", "data"], rows)?
    );
    println!(
        "{:<44} {}",
        "verify the export",
        run(&["audit", "verify", "audit.jsonl"], rows)?
    );
    println!(
        "{:<44} {} MiB",
        "the gate's memory through all of it",
        memory(&gate.child.id().to_string()) >> 20
    );
    gate.child.kill()?;
    gate.child.wait()?;
    Ok(())
}

/// Times pages of the audit log as the admin API answers them.
fn pages(gate: &mut Gate, rows: u64) -> anyhow::Result<()> {
    for (what, query) in [
        ("a page at the beginning", "after=0&limit=100".to_owned()),
        (
            "a page at the end",
            format!("after={}&limit=100", rows - 100),
        ),
        (
            "a page of a rare kind, from the beginning",
            "kind=clamped&limit=1000".to_owned(),
        ),
        (
            "a page of the last day",
            format!(
                "since={}&limit=100",
                jiff::Timestamp::from_millisecond(
                    BEGIN
                        .plus(APART * u32::try_from(rows - 86_400.min(rows))?)
                        .as_millis()
                )?
            ),
        ),
    ] {
        gate.page(what, &query)?;
    }
    Ok(())
}

struct Gate {
    child: Child,
    admin: String,
    token: String,
}

impl Gate {
    fn start(command: &mut Command) -> anyhow::Result<Self> {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let said = BufReader::new(child.stdout.take().context("no output")?);
        let admin = said
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("admin http://").map(str::to_owned))
            .context("the gate did not start")?;
        let data = PathBuf::from(format!("/proc/{}/cwd/data/operator.token", child.id()));
        Ok(Gate {
            child,
            admin,
            token: fs::read_to_string(data)?.trim().to_owned(),
        })
    }

    fn page(&mut self, what: &str, query: &str) -> anyhow::Result<()> {
        let id = self.child.id().to_string();
        let (before, mut bytes) = (Spent::open_run(&id)?, 0);
        for _ in 0..PAGES {
            let mut stream = TcpStream::connect(&self.admin)?;
            let (host, token) = (&self.admin, &self.token);
            write!(
                stream,
                "GET /v1/audit?{query} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
            )?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            ensure!(
                answer.starts_with(b"HTTP/1.1 200"),
                "{}",
                String::from_utf8_lossy(&answer)
            );
            bytes = answer.len();
        }
        let spent = Spent::open_run(&id)?.since(before);
        println!(
            "{what:<44} {:>8.1} ms of processor time, {} KiB",
            spent.micros_each(u64::from(PAGES)) / 1_000.0,
            bytes >> 10
        );
        Ok(())
    }
}

/// Processor time, in hundredths of a second.
#[derive(Clone, Copy)]
struct Spent(u64);

impl Spent {
    fn open_run(process: &str) -> anyhow::Result<Self> {
        Self::of(process).context("no processor time")
    }

    /// Of a process while it lives; fields 14 and 15 behind the name in parentheses, which may hold
    /// anything.
    fn of(process: &str) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        Some(Spent(
            fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?,
        ))
    }

    const fn since(self, before: Self) -> Self {
        Spent(self.0 - before.0)
    }

    fn micros_each(self, count: u64) -> f64 {
        self.0 as f64 * 10_000.0 / count as f64
    }
}

/// Runs a command to its end, and says what it took for each of `rows`.
fn timed(command: &mut Command, rows: u64) -> anyhow::Result<String> {
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let id = child.id().to_string();
    let (mut spent, mut most) = (Spent(0), 0);
    let status = loop {
        // What is read last, before it is gone, is what it came to.
        (spent, most) = (Spent::of(&id).unwrap_or(spent), memory(&id).max(most));
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let mut said = String::new();
    child
        .stderr
        .take()
        .context("no output")?
        .read_to_string(&mut said)?;
    ensure!(status.success(), "{command:?}: {said}");
    Ok(format!(
        "{:>8.1} s of processor time, {:.2} µs an entry, {} MiB",
        spent.0 as f64 / 100.0,
        spent.micros_each(rows),
        most >> 20
    ))
}

/// The most memory that a process ever held, in bytes; 0 where it is gone.
fn memory(process: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap_or_default();
    line.trim()
        .trim_end_matches(" kB")
        .parse::<u64>()
        .unwrap_or(0)
        * 1024
}

fn size(directory: &Path) -> std::io::Result<u64> {
    fs::read_dir(directory)?
        .map(|item| Ok(item?.metadata()?.len()))
        .sum()
}
