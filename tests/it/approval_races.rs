//! A thousand who approve, deny, use and withdraw at once, while time runs out: every approval ends
//! once, and nothing is executed twice (G4, G9).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::harness::{Agent, Person, ScriptedUpstream, TestGate, eventually, policies, test};

/// Calls that are held to begin with.
const HELD: usize = 40;
/// What happens to each of them at once; [`HELD`] times as many clients.
const ACTS: [Act; 25] = {
    use Act::{Approve, DenyNotNow, DenyWrong, Use, Withdraw, WithdrawOwn};
    [
        Approve,
        Use,
        Approve,
        Use,
        DenyNotNow,
        Approve,
        Use,
        Withdraw,
        Approve,
        Use,
        Use,
        DenyWrong,
        Approve,
        Use,
        WithdrawOwn,
        Use,
        Approve,
        Use,
        DenyNotNow,
        Use,
        Approve,
        Withdraw,
        Use,
        DenyWrong,
        Use,
    ]
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Approve,
    DenyNotNow,
    DenyWrong,
    Use,
    Withdraw,
    WithdrawOwn,
}

/// What one client was told: which call, what it did, and the status; `None` where the gate was
/// gone.
type Told = (usize, Act, Option<u16>);

struct World {
    upstream: ScriptedUpstream,
    gate: TestGate,
    ids: Vec<String>,
}

fn order(index: usize) -> Value {
    json!({ "order": format!("A-{index}") })
}

async fn world(desk: &str) -> World {
    let upstream = ScriptedUpstream::start().await;
    let builder = TestGate::builder()
        .policy("shop.yaml", policies::shop(&upstream.url()))
        .policy("desk.yaml", policies::desk(desk));
    let gate = builder.start();
    let mut ids = Vec::new();
    for index in 0..HELD {
        let problem = gate
            .agent()
            .post("/shop/pay", &order(index))
            .await
            .refused(403, "held");
        ids.push(problem["approval"].as_str().unwrap().to_owned());
    }
    World {
        upstream,
        gate,
        ids,
    }
}

async fn act(act: Act, index: usize, id: &str, agent: &Agent, person: &Person) -> Option<u16> {
    let decide = |what: &str, body: Value| {
        let (path, person) = (format!("/v1/approvals/{id}/{what}"), person.clone());
        async move { person.try_post(&path, &body).await }
    };
    let answer = match act {
        Act::Approve => decide("approve", json!({})).await,
        Act::DenyNotNow => decide("deny", json!({ "verdict": "not_now", "reason": "race" })).await,
        Act::DenyWrong => decide("deny", json!({ "verdict": "wrong", "reason": "race" })).await,
        Act::Withdraw => decide("withdraw", json!({ "reason": "race" })).await,
        Act::WithdrawOwn => {
            agent
                .try_call("DELETE", &format!("/.burngate/approvals/{id}"), None)
                .await
        }
        Act::Use => {
            agent
                .try_call("POST", "/shop/pay", Some(&order(index)))
                .await
        }
    };
    answer.map(|answer| answer.status.as_u16())
}

/// Everybody at once; tells how many answers came so far.
fn race(world: &World, answered: &Arc<(AtomicUsize, Notify)>) -> JoinSet<Told> {
    let mut clients = JoinSet::new();
    for (place, what) in ACTS.into_iter().enumerate() {
        for index in 0..HELD {
            let (agent, person) = (world.gate.agent(), world.gate.operator());
            let (id, answered) = (world.ids[index].clone(), Arc::clone(answered));
            clients.spawn(async move {
                // Whoever comes later to one call comes earlier to another.
                for _ in 0..(place + index) % ACTS.len() {
                    tokio::task::yield_now().await;
                }
                let told = act(what, index, &id, &agent, &person).await;
                answered.0.fetch_add(1, Ordering::SeqCst);
                answered.1.notify_waiters();
                (index, what, told)
            });
        }
    }
    clients
}

async fn states(world: &World) -> Vec<String> {
    let mut states = Vec::new();
    for id in &world.ids {
        let answer = world
            .gate
            .operator()
            .get(&format!("/v1/approvals/{id}"))
            .await;
        states.push(answer.passed().json()["state"].as_str().unwrap().to_owned());
    }
    states
}

/// Every approval ended once, as whoever was answered was told, and what was executed is what was
/// used.
async fn check(world: &World, told: &[Told]) {
    let ended = ["used", "denied", "expired", "withdrawn"];
    let states = eventually("an end of every approval", || async {
        let states = states(world).await;
        states
            .iter()
            .all(|state| ended.contains(&state.as_str()))
            .then_some(states)
    })
    .await;
    let mut sent = BTreeMap::<String, usize>::new();
    for received in world.upstream.received() {
        *sent
            .entry(received.json()["order"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    for (index, state) in states.iter().enumerate() {
        let count = |acts: &[Act]| {
            told.iter()
                .filter(|(of, what, status)| {
                    *of == index && acts.contains(what) && *status == Some(200)
                })
                .count()
        };
        let (uses, denials, withdrawals) = (
            count(&[Act::Use]),
            count(&[Act::DenyNotNow, Act::DenyWrong]),
            count(&[Act::Withdraw, Act::WithdrawOwn]),
        );
        let executed = sent.get(&format!("A-{index}")).copied().unwrap_or_default();
        assert!(executed <= 1, "A-{index} was executed {executed} times");
        assert!(
            uses + denials + withdrawals <= 1 && count(&[Act::Approve]) <= 1,
            "A-{index} is {state}: {told:?}"
        );
        // What somebody was told is what it is.
        assert!(
            uses == 0 || (state == "used" && executed == 1),
            "A-{index} is {state}"
        );
        assert!(denials == 0 || state == "denied", "A-{index} is {state}");
        assert!(
            withdrawals == 0 || state == "withdrawn",
            "A-{index} is {state}"
        );
        assert!(
            executed == 0 || state == "used",
            "A-{index} is {state} and was executed"
        );
    }
    for (_, what, status) in told.iter() {
        let fine: &[u16] = if *what == Act::Use {
            &[200, 403, 429]
        } else {
            &[200, 409]
        };
        assert!(
            status.is_none_or(|status| fine.contains(&status)),
            "{what:?}: {status:?}"
        );
    }
    // The journal says the same: one ending each, and no two admissions under one approval.
    let mut admitted = BTreeMap::<String, usize>::new();
    let mut after = 0;
    loop {
        let page = world
            .gate
            .operator()
            .get(&format!("/v1/audit?after={after}&limit=1000"))
            .await
            .passed()
            .json();
        let entries = page["entries"].as_array().unwrap();
        for entry in entries {
            if let Some(approval) = entry["event"]["approval"]
                .as_str()
                .filter(|_| entry["event"]["event"] == "admitted")
            {
                *admitted.entry(approval.to_owned()).or_default() += 1;
            }
        }
        match entries.last() {
            Some(last) => after = last["seq"].as_u64().unwrap(),
            None => break,
        }
    }
    assert!(admitted.values().all(|times| *times == 1), "{admitted:?}");
    let used = states.iter().filter(|state| *state == "used").count();
    assert_eq!(
        world
            .ids
            .iter()
            .filter(|id| admitted.contains_key(*id))
            .count(),
        used
    );
}

#[test]
fn g4_a_thousand_at_once_leave_one_ending_each() {
    test(async {
        let world =
            world("objective: { target: 50%, expected_runs: 100000 }\nhold: { expires: 2s, grant: 1s, inbox: { run: 1000, agent: 1000, workflow: 1000 } }")
                .await;
        let told = race(&world, &Arc::default()).join_all().await;
        assert_eq!(told.len(), 1_000);
        check(&world, &told).await;
    });
}

#[test]
fn g9_a_kill_in_between_leaves_one_ending_each() {
    test(async {
        let mut world =
            world("objective: { target: 50%, expected_runs: 100000 }\nhold: { expires: 10s, grant: 5s, inbox: { run: 1000, agent: 1000, workflow: 1000 } }")
                .await;
        let answered: Arc<(AtomicUsize, Notify)> = Arc::default();
        let clients = race(&world, &answered);
        loop {
            let more = answered.1.notified();
            if answered.0.load(Ordering::SeqCst) >= 150 {
                break;
            }
            more.await;
        }
        world.gate.restart();
        let mut told = clients.join_all().await;
        assert!(
            told.iter().any(|(.., status)| status.is_none()),
            "it was killed in between"
        );
        // And once more, on what is left.
        told.extend(race(&world, &answered).join_all().await);
        check(&world, &told).await;
    });
}
