//! What was acknowledged is there after a crash, a budget never grows by one, and no grant is used
//! twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rstest::rstest;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::harness::{
    Agent, Operator, Reply, ScriptedUpstream, TestGate, eventually, policies, test,
};

async fn shop(desk: &str) -> (ScriptedUpstream, TestGate) {
    let upstream = ScriptedUpstream::start().await;
    let gate = TestGate::builder()
        .policy("shop.yaml", policies::shop(&upstream.url()))
        .policy("desk.yaml", policies::desk(desk))
        .start();
    (upstream, gate)
}

fn order(order: &str) -> Value {
    json!({ "order": order })
}

#[test]
fn an_approval_survives_and_passes_its_call_once() {
    test(async {
        let (upstream, mut gate) = shop("").await;
        let problem = gate
            .agent()
            .post("/shop/pay", &order("1"))
            .await
            .refused(403, "held");
        gate.restart();
        gate.operator()
            .approve(problem["approval"].as_str().unwrap())
            .await
            .passed();
        gate.restart();
        gate.agent().post("/shop/pay", &order("1")).await.passed();
        gate.restart();
        let again = gate
            .agent()
            .post("/shop/pay", &order("1"))
            .await
            .refused(403, "held");
        assert_ne!(again["approval"], problem["approval"]);
        assert_eq!(upstream.count(), 1);
    });
}

#[test]
fn a_risky_call_that_was_on_its_way_is_booked_as_ambiguous_and_never_sent_again() {
    test(async {
        let (upstream, mut gate) = shop("").await;
        upstream.next(Reply::hang());
        let agent = gate.agent().run("r");
        let call = tokio::spawn(async move {
            agent
                .try_call("POST", "/shop/change", Some(&order("1")))
                .await
                .is_none()
        });
        upstream.arrives(1).await;
        gate.restart();
        assert!(call.await.unwrap());
        let status = gate.operator().status("desk").await;
        assert_eq!(
            (&status["budget"]["runs"], &status["budget"]["unacceptable"]),
            (&json!(1), &json!(1)),
            "{status}"
        );
        let run = gate.operator().only_run("desk").await;
        assert_eq!(
            (&run["run"], &run["outcome"], &run["modes"]),
            (&json!("r"), &json!("unacceptable"), &json!(["timeout"])),
            "{run}"
        );
        let ambiguous = gate
            .operator()
            .get("/v1/runs?ambiguous=true")
            .await
            .passed()
            .json();
        assert_eq!(
            ambiguous["runs"].as_array().unwrap().len(),
            1,
            "{ambiguous}"
        );
        gate.restart();
        assert_eq!(
            gate.operator().status("desk").await["budget"],
            status["budget"]
        );
        assert_eq!(upstream.count(), 1);
    });
}

#[test]
fn a_posture_and_its_cap_survive() {
    test(async {
        let (upstream, mut gate) = shop("").await;
        for _ in 0..3 {
            upstream.next(Reply::reset());
            gate.agent()
                .post("/shop/change", &order("1"))
                .await
                .refused(502, "ambiguous");
        }
        let before = gate.operator().status("desk").await;
        assert_eq!(before["posture"], "breached");
        gate.restart();
        let after = gate.operator().status("desk").await;
        // An idle run of its own, which the budget shows a moment later.
        gate.agent()
            .post("/shop/note", &order("1"))
            .await
            .refused(403, "level");
        for same in ["posture", "budget", "level", "changes"] {
            assert_eq!(after[same], before[same], "{same}");
        }
        // Its moment may differ: a failure that was not on disk yet is booked again, as ambiguous,
        // when the gate starts.
        let burns = |status: &serde_json::Value| {
            status["burns"]
                .as_array()
                .unwrap()
                .iter()
                .map(|burn| burn["modes"].clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(burns(&after), burns(&before));
    });
}

#[test]
fn a_failure_that_an_agent_was_told_of_costs_its_run_whenever_the_crash_comes() {
    test(async {
        let (upstream, mut gate) = shop(WIDE).await;
        for failures in 1..=12 {
            upstream.next(Reply::reset());
            gate.agent()
                .post("/shop/change", &order("1"))
                .await
                .refused(502, "ambiguous");
            gate.restart();
            let budget = gate.operator().status("desk").await["budget"].clone();
            assert_eq!(
                (&budget["runs"], &budget["unacceptable"]),
                (&json!(failures), &json!(failures)),
                "{budget}"
            );
        }
    });
}

#[test]
fn two_gates_never_share_a_ledger() {
    test(async {
        let (_upstream, gate) = shop("").await;
        let second = gate
            .command()
            .args(["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .output()
            .unwrap();
        let said = String::from_utf8(second.stderr).unwrap();
        assert_eq!(second.status.code(), Some(1), "{said}");
        assert!(
            said.contains("another") && said.contains("burngate-data"),
            "{said}"
        );
        gate.agent().get("/shop/look/1").await.passed();
    });
}

#[test]
fn existing_refuses_to_begin_anew() {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let builder = TestGate::builder()
            .policy("shop.yaml", policies::shop(&upstream.url()))
            .policy("desk.yaml", policies::desk(""));
        let mut gate = builder.argument("--existing").prepare();
        let exit = gate.try_start().unwrap_err();
        assert_eq!(exit.status.code(), Some(1));
        assert!(exit.stderr.contains("burngate-data"), "{}", exit.stderr);
        assert!(!gate.data().join("operator.token").exists());
    });
}

#[rstest]
#[case::zeroed(|bytes: &mut Vec<u8>| bytes.fill(0))]
#[case::cut(|bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2))]
#[case::overwritten(|bytes: &mut Vec<u8>| { let middle = bytes.len() / 2; bytes[middle..].fill(0x5a); })]
fn a_ledger_that_cannot_be_verified_stops_the_gate_and_its_loss_burns_every_workflow(
    #[case] damage: fn(&mut Vec<u8>),
) {
    test(async {
        let (upstream, mut gate) = shop("").await;
        for index in 0..40 {
            gate.agent()
                .post("/shop/change", &order(&index.to_string()))
                .await
                .passed();
        }
        gate.sigterm();
        assert_eq!(gate.ended().await.code(), Some(0));
        let ledger = largest(&gate);
        let mut bytes = std::fs::read(&ledger).unwrap();
        damage(&mut bytes);
        std::fs::write(&ledger, bytes).unwrap();
        let exit = gate.try_start().unwrap_err();
        assert_eq!(exit.status.code(), Some(1), "{}", exit.stderr);
        assert!(exit.stderr.contains("--accept-loss"), "{}", exit.stderr);
        let seen = upstream.count();
        gate.start_with(&["--accept-loss"]);
        gate.until("a word about the loss", || {
            gate.log().contains("THE LEDGER WAS LOST")
        })
        .await;
        let status = gate.operator().status("desk").await;
        assert_eq!(
            (&status["posture"], &status["level"]["effective"]),
            (&json!("burned"), &json!("supervised")),
            "{status}"
        );
        gate.agent()
            .post("/shop/change", &order("next"))
            .await
            .refused(403, "held");
        assert_eq!(upstream.count(), seen);
        gate.restart();
        assert_eq!(gate.operator().status("desk").await["posture"], "burned");
    });
}

/// The ledger's file.
fn largest(gate: &TestGate) -> std::path::PathBuf {
    let files = std::fs::read_dir(gate.data())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file());
    files
        .max_by_key(|path| path.metadata().unwrap().len())
        .unwrap()
}

#[test]
fn a_data_directory_that_holds_something_else_stops_the_gate() {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let mut gate = TestGate::builder()
            .policy("shop.yaml", policies::shop(&upstream.url()))
            .policy("desk.yaml", policies::desk(""))
            .prepare();
        std::fs::create_dir(gate.data()).unwrap();
        std::fs::write(gate.data().join("holiday.jpg"), "not a ledger").unwrap();
        let exit = gate.try_start().unwrap_err();
        assert_eq!(exit.status.code(), Some(1), "{}", exit.stderr);
        assert!(exit.stderr.contains("holiday.jpg"), "{}", exit.stderr);
    });
}

/// A budget that is not used up: what is tested is that nothing is lost, not what a burn does.
const WIDE: &str = "objective: { target: 50%, expected_runs: 100000 }\nhold: { grant: 1h }\ncaps: { at_risk: standard, burned: standard, breached: standard }\n";
const CRASHES: u32 = 20;

/// What a crash must not take away.
#[derive(Default)]
struct Acknowledged {
    /// Calls that went through, by id.
    calls: Vec<String>,
    /// Calls that were reported, and were acknowledged to be.
    reported: BTreeSet<String>,
    /// Approvals that were granted.
    approved: BTreeSet<String>,
    /// Held calls that nobody decided on yet: approval and order.
    held: BTreeMap<String, String>,
    /// Repeats of held calls that were let go, or may have been.
    repeats: u64,
    /// The reason of the last clamp, and whether another was on its way.
    clamp: Option<String>,
    clamping: bool,
    /// The largest number of failures that was ever shown.
    unacceptable: u64,
}

struct Storm {
    acknowledged: Mutex<Acknowledged>,
    stop: AtomicBool,
    done: AtomicU64,
    more: Notify,
    names: AtomicU64,
}

impl Storm {
    fn acknowledge(&self, what: impl FnOnce(&mut Acknowledged)) {
        what(&mut self.acknowledged.lock().unwrap());
        self.done.fetch_add(1, Ordering::SeqCst);
        self.more.notify_one();
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn name(&self) -> String {
        format!("N-{}", self.names.fetch_add(1, Ordering::SeqCst))
    }
}

async fn calls(storm: Arc<Storm>, agent: Agent) {
    while !storm.is_over() {
        let Some(answer) = agent
            .try_call("POST", "/shop/change", Some(&order(&storm.name())))
            .await
        else {
            return;
        };
        let call = answer.passed().call().to_owned();
        storm.acknowledge(|known| known.calls.push(call));
    }
}

async fn reports(storm: Arc<Storm>, operator: Operator) {
    while !storm.is_over() {
        // Few enough that the rate of failures burns nothing.
        let call = {
            let known = storm.acknowledged.lock().unwrap();
            known
                .calls
                .iter()
                .rev()
                .nth(3)
                .filter(|_| known.calls.len() > 5 * known.reported.len())
                .cloned()
        };
        let Some(call) = call else {
            tokio::task::yield_now().await;
            continue;
        };
        let report = json!({ "call": call, "mode": "wrong_action", "ref": call });
        let Some(answer) = operator.try_post("/v1/reports", &report).await else {
            return;
        };
        // A run is in the index a moment after its answer.
        if answer.status != 404 {
            answer.passed();
            storm.acknowledge(|known| {
                known.reported.insert(call);
            });
        }
    }
}

async fn approves(storm: Arc<Storm>, agent: Agent, operator: Operator) {
    while !storm.is_over() {
        let name = storm.name();
        let Some(held) = agent
            .try_call("POST", "/shop/pay", Some(&order(&name)))
            .await
        else {
            return;
        };
        let id = held.refused(403, "held")["approval"]
            .as_str()
            .unwrap()
            .to_owned();
        storm.acknowledge(|known| drop(known.held.insert(id.clone(), name.clone())));
        let Some(approved) = operator
            .try_post(&format!("/v1/approvals/{id}/approve"), &json!({}))
            .await
        else {
            return;
        };
        approved.passed();
        storm.acknowledge(|known| {
            known.approved.insert(id);
        });
        storm.acknowledged.lock().unwrap().repeats += 1;
        let Some(passed) = agent
            .try_call("POST", "/shop/pay", Some(&order(&name)))
            .await
        else {
            return;
        };
        passed.passed();
    }
}

async fn clamps(storm: Arc<Storm>, operator: Operator) {
    while !storm.is_over() {
        let reason = storm.name();
        storm.acknowledged.lock().unwrap().clamping = true;
        // To a level that everything here is allowed at: what counts is that it is there.
        let clamp = json!({ "to": "standard", "reason": reason });
        let Some(answer) = operator.try_post("/v1/workflows/desk/clamp", &clamp).await else {
            return;
        };
        answer.passed();
        storm.acknowledge(|known| (known.clamp, known.clamping) = (Some(reason), false));
    }
}

#[test]
fn nothing_that_was_acknowledged_is_lost_by_any_crash_and_nothing_is_gained() {
    let seed = std::env::var("BURNGATE_IT_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(20_261_123_u64);
    eprintln!("BURNGATE_IT_SEED={seed} cargo test --test it nothing_that_was_acknowledged");
    let mut random = seed;
    test(async {
        let (upstream, mut gate) = shop(WIDE).await;
        let storm = Storm {
            acknowledged: Mutex::default(),
            stop: AtomicBool::new(false),
            done: AtomicU64::new(0),
            more: Notify::new(),
            names: AtomicU64::new(0),
        };
        let storm = Arc::new(storm);
        for crash in 0..CRASHES {
            storm.stop.store(false, Ordering::SeqCst);
            let (agent, operator) = (gate.agent(), gate.operator());
            let mut tasks = tokio::task::JoinSet::new();
            tasks.spawn(calls(Arc::clone(&storm), agent.clone()));
            tasks.spawn(calls(Arc::clone(&storm), agent.clone()));
            tasks.spawn(reports(Arc::clone(&storm), operator.clone()));
            tasks.spawn(approves(Arc::clone(&storm), agent, operator.clone()));
            tasks.spawn(clamps(Arc::clone(&storm), operator));
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let until = storm.done.load(Ordering::SeqCst) + 1 + (random >> 33) % 60;
            while storm.done.load(Ordering::SeqCst) < until {
                storm.more.notified().await;
            }
            gate.kill_nine();
            storm.stop.store(true, Ordering::SeqCst);
            while let Some(ended) = tasks.join_next().await {
                ended.unwrap();
            }
            gate.start();
            check(&storm, &gate, &upstream, crash).await;
        }
    });
}

async fn check(storm: &Storm, gate: &TestGate, upstream: &ScriptedUpstream, crash: u32) {
    let operator = gate.operator();
    let status = operator.status("desk").await;
    let unacceptable = status["budget"]["unacceptable"].as_u64().unwrap();
    let (reported, approved, held, calls) = {
        let mut known = storm.acknowledged.lock().unwrap();
        assert!(
            unacceptable >= known.unacceptable.max(known.reported.len() as u64),
            "crash {crash}: the budget grew: {unacceptable}"
        );
        known.unacceptable = unacceptable;
        let clamp = status["level"]["clamp"]["reason"]
            .as_str()
            .map(ToOwned::to_owned);
        assert!(
            clamp == known.clamp || (known.clamping && clamp.is_some()),
            "crash {crash}: {clamp:?} is not {:?}",
            known.clamp
        );
        (known.clamp, known.clamping) = (clamp, false);
        (
            known.reported.clone(),
            known.approved.clone(),
            known.held.clone(),
            known.calls.clone(),
        )
    };
    for call in reported {
        let run = operator.run_of(&call).await;
        assert!(
            run["modes"]
                .as_array()
                .unwrap()
                .contains(&json!("wrong_action")),
            "crash {crash}: {run}"
        );
    }
    for (id, name) in held {
        let state = operator
            .get(&format!("/v1/approvals/{id}"))
            .await
            .passed()
            .json()["state"]
            .as_str()
            .unwrap()
            .to_owned();
        let known = if approved.contains(&id) {
            state == "approved" || state == "used"
        } else {
            state != "expired"
        };
        assert!(known, "crash {crash}: {id} is {state}");
        // A repeat, now: whatever the crash did to the first, the upstream sees the call at most
        // once.
        let before = upstream
            .received()
            .iter()
            .filter(|received| received.target == "/pay" && received.json() == order(&name))
            .count();
        if state == "used" {
            gate.agent()
                .post("/shop/pay", &order(&name))
                .await
                .refused(403, "held");
        }
        assert!(before <= 1, "crash {crash}: {name} was paid {before} times");
        storm.acknowledged.lock().unwrap().held.remove(&id);
    }
    let last = calls.last().cloned();
    if let Some(call) = last {
        // The last calls may be missing from both counts, or be booked as lost; they never become
        // something else.
        let found = operator
            .get(&format!("/v1/runs?call={call}"))
            .await
            .passed()
            .json();
        assert!(found["runs"].as_array().unwrap().len() <= 1, "{found}");
    }
    eventually("a gate that serves", || async {
        gate.agent()
            .get("/shop/look/1")
            .await
            .status
            .is_success()
            .then_some(())
    })
    .await;
}

#[test]
fn s46_the_id_that_an_answer_names_is_the_id_that_is_booked_and_reported_on() {
    test(async {
        let (_upstream, mut gate) = shop("").await;
        let listed = async |gate: &TestGate, id: &str| {
            let one = || async move {
                let runs = gate.operator().get("/v1/runs?run=r1").await.passed().json();
                let mut runs = runs["runs"].as_array().unwrap().clone();
                runs.retain(|run| run["run"] == id);
                assert!(runs.len() < 2, "{runs:?}");
                runs.pop()
            };
            eventually(&format!("run {id}"), one).await
        };
        for id in ["r1", "r1#2", "r1#3"] {
            let agent = gate.agent().run("r1");
            agent.post("/shop/note", &order("1")).await.passed();
            let held = agent.post("/shop/pay", &order("1")).await;
            assert_eq!(held.refused(403, "held")["run"], id);
            let finish = json!({ "status": "completed" });
            let finished = agent.post("/.burngate/runs/r1/finish", &finish).await;
            assert_eq!(finished.passed().json()["run"], id);
            assert_eq!(listed(&gate, id).await["outcome"], "acceptable");
            gate.restart();
        }
        let report = [
            "report",
            "--run",
            "r1#2",
            "--mode",
            "wrong_action",
            "--json",
        ];
        let report: Value = serde_json::from_slice(&gate.cli(&report).stdout).unwrap();
        assert_eq!(report["run"], "r1#2", "{report}");
        // The agent reports on it by the same name.
        let report = json!({ "mode": "timeout" });
        let path = "/.burngate/runs/r1%233/report";
        let reported = gate.agent().post(path, &report).await;
        assert_eq!(reported.passed().json()["run"], "r1#3");
        for (id, outcome) in [
            ("r1", "acceptable"),
            ("r1#2", "unacceptable"),
            ("r1#3", "unacceptable"),
        ] {
            assert_eq!(listed(&gate, id).await["outcome"], outcome, "{id}");
        }
    });
}
