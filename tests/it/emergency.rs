//! The last resorts: nothing goes upstream once a clamp has been answered, however busy the gate
//! is, and everything can be clamped without the admin API.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Agent, Operator, ScriptedUpstream, TestGate, eventually, policies, test};

/// A tool API of which can be said, at any moment and whoever is busy, what the kernel had taken
/// for it by then.
#[derive(Clone)]
struct Tap(Arc<TapState>);

struct TapState {
    listener: TcpListener,
    runtime: tokio::runtime::Handle,
    lines: Mutex<Vec<Arc<Line>>>,
    begun: AtomicUsize,
    /// Requests whose first byte came when none should come any more.
    late: AtomicUsize,
    closed: AtomicBool,
}

struct Line {
    stream: TcpStream,
    unread: Mutex<Vec<u8>>,
}

impl Tap {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let runtime = tokio::runtime::Handle::current();
        let lines = Mutex::default();
        let tap = Tap(Arc::new(TapState {
            listener,
            runtime,
            lines,
            begun: AtomicUsize::new(0),
            late: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        }));
        let accepting = tap.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = accepting.0.listener.accept().await {
                accepting.take_in(stream);
            }
        });
        tap
    }

    fn url(&self) -> String {
        format!("http://{}", self.0.listener.local_addr().unwrap())
    }

    fn take_in(&self, stream: TcpStream) {
        let line = Arc::new(Line {
            stream,
            unread: Mutex::default(),
        });
        self.0.lines.lock().unwrap().push(Arc::clone(&line));
        let tap = self.clone();
        self.0.runtime.spawn(async move {
            let mut piece = [0; 4096];
            while line.stream.readable().await.is_ok() {
                let mut unread = line.unread.lock().unwrap();
                match line.stream.try_read(&mut piece) {
                    Ok(0) => break,
                    Ok(count) => tap.take(&line.stream, &mut unread, &piece[..count]),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(_) => break,
                }
            }
        });
    }

    fn take(&self, stream: &TcpStream, unread: &mut Vec<u8>, piece: &[u8]) {
        if unread.is_empty() {
            self.0.begun.fetch_add(1, Ordering::SeqCst);
            self.0.late.fetch_add(
                usize::from(self.0.closed.load(Ordering::SeqCst)),
                Ordering::SeqCst,
            );
        }
        unread.extend(piece);
        let text = String::from_utf8_lossy(unread);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            return;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse::<usize>().unwrap());
        if body.len() >= length {
            unread.clear();
            let _ = stream.try_write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    }

    /// Takes everything that has come so far; whatever comes from here on is late.
    fn close(&self) {
        let _runtime = self.0.runtime.enter();
        while let Ok((socket, _)) = socket2::SockRef::from(&self.0.listener).accept() {
            socket.set_nonblocking(true).unwrap();
            self.take_in(TcpStream::from_std(socket.into()).unwrap());
        }
        let lines = self.0.lines.lock().unwrap().clone();
        // Held over all lines, so that nobody takes in between what is to be counted.
        let mut held: Vec<_> = lines
            .iter()
            .map(|line| (line, line.unread.lock().unwrap()))
            .collect();
        for (line, unread) in &mut held {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) =
                std::io::Read::read(&mut &*socket2::SockRef::from(&line.stream), &mut piece)
            {
                self.take(&line.stream, unread, &piece[..count]);
            }
        }
        self.0.closed.store(true, Ordering::SeqCst);
    }
}

/// A call of an agent, and what it came to.
struct Called {
    began: Instant,
    ended: Instant,
    refused: bool,
}

/// Agents that call without a pause, on a thread of their own together with the tool API, until
/// they are told to stop.
struct Load {
    calls: Arc<Mutex<Vec<Called>>>,
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Load {
    fn start(runtime: tokio::runtime::Runtime, agent: &Agent, agents: usize) -> Self {
        let (calls, stop) = (
            Arc::new(Mutex::new(Vec::new())),
            Arc::new(AtomicBool::new(false)),
        );
        let loops: Vec<_> = (0..agents)
            .map(|n| {
                let (agent, calls, stop) = (agent.clone(), Arc::clone(&calls), Arc::clone(&stop));
                async move {
                    let mut line = agent.line().await;
                    while !stop.load(Ordering::SeqCst) {
                        let path = if n % 2 == 0 {
                            "/shop/change"
                        } else {
                            "/shop/note"
                        };
                        let began = Instant::now();
                        let answer = line.call("POST", path, Some(&order())).await;
                        let refused = !answer.status.is_success();
                        assert!(!refused || answer.slug() == "level", "{answer:?}");
                        calls.lock().unwrap().push(Called {
                            began,
                            ended: Instant::now(),
                            refused,
                        });
                    }
                }
            })
            .collect();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let loops: Vec<_> = loops.into_iter().map(tokio::spawn).collect();
                for one in loops {
                    one.await.unwrap();
                }
            });
        });
        Load {
            calls,
            stop,
            thread,
        }
    }

    fn since(&self, moment: Instant) -> usize {
        self.calls
            .lock()
            .unwrap()
            .iter()
            .filter(|call| call.began > moment)
            .count()
    }

    fn end(self) -> Vec<Called> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap();
        Arc::into_inner(self.calls).unwrap().into_inner().unwrap()
    }
}

fn order() -> Value {
    json!({ "order": "1" })
}

#[test]
fn g2_not_a_byte_goes_upstream_once_a_clamp_has_returned_under_load() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let tap = runtime.block_on(Tap::open());
    let gate = TestGate::builder()
        .policy("shop.yaml", policies::shop(&tap.url()))
        .policy("desk.yaml", policies::desk(""))
        .start();
    let load = Load::start(runtime, &gate.agent(), 16);
    test(gate.until("calls", || tap.0.begun.load(Ordering::SeqCst) > 300));
    let clamp = gate
        .command()
        .args([
            "clamp",
            "--all",
            "--to",
            "halted",
            "--reason",
            "a test says so",
        ])
        .output()
        .unwrap();
    let returned = Instant::now();
    tap.close();
    assert!(clamp.status.success(), "{clamp:?}");
    test(gate.until("calls after it", || load.since(returned) > 300));
    let calls = load.end();
    assert!(calls.iter().any(|call| !call.refused));
    let late = calls
        .iter()
        .filter(|call| call.began > returned && !call.refused)
        .count();
    assert_eq!(
        (late, tap.0.late.load(Ordering::SeqCst)),
        (0, 0),
        "calls that passed, and calls whose first byte came upstream, after the clamp had returned"
    );
    let first = calls
        .iter()
        .filter(|call| call.began > returned)
        .map(|call| call.ended)
        .min()
        .unwrap();
    eprintln!(
        "16 agents, {} calls: the first call after the clamp's return was refused {:?} after it",
        calls.len(),
        first - returned
    );
}

async fn world(config: &str) -> (ScriptedUpstream, TestGate, Agent, Operator) {
    let upstream = ScriptedUpstream::start().await;
    let builder = TestGate::builder()
        .policy("shop.yaml", policies::shop(&upstream.url()))
        .policy("desk.yaml", policies::desk(""));
    let gate = if config.is_empty() {
        builder
    } else {
        builder.config(config)
    }
    .start();
    let (agent, operator) = (gate.agent(), gate.operator());
    (upstream, gate, agent, operator)
}

async fn clamped(operator: &Operator, by: &str) -> Value {
    operator
        .stands("desk", "clamped", |status| {
            status["level"]["clamp"]["by"] == by
        })
        .await["level"]["clamp"]
        .clone()
}

#[test]
fn a_file_in_the_data_directory_clamps_everything_until_it_is_released() {
    test(async {
        let (_upstream, mut gate, agent, operator) = world("").await;
        let file = gate.data().join("clamp");
        std::fs::write(&file, "refunds to one account\n").unwrap();
        let clamp = clamped(&operator, "clamp file").await;
        assert_eq!(
            (&clamp["to"], &clamp["scope"], &clamp["reason"]),
            (
                &json!("read_only"),
                &json!("all"),
                &json!("refunds to one account")
            )
        );
        agent
            .post("/shop/note", &order())
            .await
            .refused(403, "level");
        agent.get("/shop/look/1").await.passed();
        assert!(gate.log().contains("EMERGENCY"), "{}", gate.log());

        let released = operator
            .post("/v1/release", &json!({ "reason": "looked at it" }))
            .await
            .passed()
            .json();
        assert!(
            released["note"]
                .as_str()
                .unwrap()
                .contains("clamp` still exists"),
            "{released}"
        );
        agent.post("/shop/note", &order()).await.passed();

        // What is there at the start clamps before the first call.
        gate.restart();
        let (agent, operator) = (gate.agent(), gate.operator());
        agent
            .post("/shop/note", &order())
            .await
            .refused(403, "level");

        // Removing it lifts nothing, and making it again clamps again.
        std::fs::remove_file(&file).unwrap();
        agent
            .post("/shop/note", &order())
            .await
            .refused(403, "level");
        let released = operator
            .post("/v1/release", &json!({ "reason": "looked at it" }))
            .await
            .passed()
            .json();
        assert!(released["note"].is_null(), "{released}");
        agent.post("/shop/note", &order()).await.passed();
    });
}

#[test]
fn a_clamp_file_is_found_at_a_first_start_and_may_be_anything() {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let mut gate = TestGate::builder()
            .policy("shop.yaml", policies::shop(&upstream.url()))
            .policy("desk.yaml", policies::desk(""))
            .prepare();
        std::fs::create_dir_all(gate.data().join("clamp")).unwrap();
        gate.start();
        gate.agent()
            .post("/shop/note", &order())
            .await
            .refused(403, "level");
        let clamp = clamped(&gate.operator(), "clamp file").await;
        assert!(
            clamp["reason"]
                .as_str()
                .unwrap()
                .contains("gives no reason"),
            "{clamp}"
        );
        upstream.untouched();
    });
}

#[test]
fn a_signal_clamps_everything_to_the_emergency_level_and_survives_a_crash() {
    test(async {
        let (_upstream, mut gate, agent, operator) = world("emergency: halted\n").await;
        agent.post("/shop/note", &order()).await.passed();
        gate.signal("USR2");
        let clamp = clamped(&operator, "SIGUSR2").await;
        assert_eq!(
            (&clamp["to"], &clamp["scope"]),
            (&json!("halted"), &json!("all"))
        );
        agent.get("/shop/look/1").await.refused(403, "level");
        // What is on disk is seen by whoever reads the journal.
        let kinds = || async {
            let entries = operator.get("/v1/audit").await.passed().json();
            entries["entries"]
                .as_array()
                .unwrap()
                .iter()
                .any(|entry| entry["kind"] == "clamped")
                .then_some(())
        };
        eventually("the clamp in the journal", kinds).await;
        gate.restart();
        gate.agent().get("/shop/look/1").await.refused(403, "level");
        gate.operator()
            .post("/v1/release", &json!({ "reason": "looked at it" }))
            .await
            .passed();
        gate.agent().get("/shop/look/1").await.passed();
    });
}

#[test]
fn a_clamp_that_withdraws_leaves_nothing_to_use_after_its_release() {
    test(async {
        let (upstream, _gate, agent, operator) = world("").await;
        let pay = |order: &str| json!({ "order": order });
        agent
            .post("/shop/pay", &pay("A"))
            .await
            .refused(403, "held");
        let approved = operator.pending().await["id"].as_str().unwrap().to_owned();
        operator
            .post(&format!("/v1/approvals/{approved}/approve"), &json!({}))
            .await
            .passed();
        agent
            .post("/shop/pay", &pay("B"))
            .await
            .refused(403, "held");
        let clamp = json!({ "to": "read_only", "reason": "odd refunds", "withdraw": true });
        let clamped = operator.post("/v1/clamp", &clamp).await.passed().json();
        assert_eq!(
            (
                &clamped["unused_grants"],
                &clamped["pending_approvals"],
                &clamped["withdrawn"]
            ),
            (&json!(1), &json!(1), &json!(2)),
            "{clamped}"
        );
        assert_eq!(operator.approvals("withdrawn").await.len(), 2);
        operator
            .post("/v1/release", &json!({ "reason": "looked at it" }))
            .await
            .passed();
        let again = agent
            .post("/shop/pay", &pay("A"))
            .await
            .refused(403, "held");
        assert_ne!(again["approval"], json!(approved));
        upstream.untouched();
        let without = operator.clamp("desk", "read_only").await.passed().json();
        assert_eq!(
            (&without["pending_approvals"], &without["withdrawn"]),
            (&json!(1), &json!(0)),
            "{without}"
        );
    });
}
