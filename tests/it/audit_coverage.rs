//! Whatever the gate refuses, holds or lets go, and whatever people do, is in the audit: a day on
//! which all of it happens, and a table of what must be found.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burngate::gate::event::table::EventKind;
use serde_json::{Value, json};

use crate::harness::{
    Agent, Answer, Reviewer, ScriptedUpstream, TestGate, eventually, policies, test,
};

const PEOPLE: [(&str, &str); 4] = [
    ("dana", "reviewer"),
    ("olga", "operator"),
    ("rob", "reporter"),
    ("vera", "viewer"),
];
const AGENTS: [(&str, &[&str]); 1] = [("bot", &["desk"])];
const DESK: &str = "hold: { inbox: { run: 2 } }\ncheck: { sample: 100% }\nobjective: { critical: [duplicate_work] }\n";
const MORE: &str = "  - { tool: drop, match: POST /drop, risk: medium, forbidden: true }
  - { tool: due, match: POST /due, risk: medium, escalate_when: 'args.order == \"now\"' }
";
const SIGNAL: &str =
    "signal: corrected\nworkflow: desk\nrun: body.run\nmode: misclassified\nref: body.id\n";

/// What must be found: the kind of an entry, and words that one of that kind has.
const FOUND: &[(&str, &[&str])] = &[
    ("started", &["version"]),
    ("stopped", &[]),
    ("policy_accepted", &["shop/drop"]),
    ("policy_refused", &["policies: ", "desk.yaml"]),
    ("policy_refused", &["people and agents: ", "burngate.yaml"]),
    ("approvers_named", &["dana", "operator"]),
    (
        "access_changed",
        &["\"removed\":[\"dana\"]", "\"added\":[\"noor\"]"],
    ),
    ("signed_in", &["vera", "viewer"]),
    ("signed_in", &["operator"]),
    ("turned_away", &["\"unidentified\""]),
    ("turned_away", &["\"unlisted\""]),
    ("turned_away", &["\"malformed\""]),
    ("turned_away", &["\"unauthorized\""]),
    ("turned_away", &["\"forbidden\""]),
    ("refused", &["shop/drop", "forbidden", "early"]),
    ("refused", &["shop/?", "unlisted", "early"]),
    ("refused", &["shop/pay", "429", "crowd"]),
    ("refused", &["shop/change", "level", "clamped"]),
    ("held", &["A-1"]),
    ("seen", &["dana"]),
    ("decided", &["olga", "approve", "\"edit\"", "only half"]),
    ("decided", &["dana", "deny_not_now", "tomorrow"]),
    ("withdrawn", &["agent"]),
    ("withdrawn", &["dana: no longer"]),
    ("admitted", &["\"approval\":\"apr_", "\"sent\""]),
    ("settled", &["yes"]),
    ("grant_given", &["olga", "a busy hour"]),
    ("grant_revoked", &["olga", "enough"]),
    ("clamped", &["olga", "odd refunds"]),
    ("clamped", &["clamp file", "by hand"]),
    ("released", &["olga", "looked at"]),
    ("followed", &["level_changed", "read_only"]),
    ("followed", &["posture_changed", "burned"]),
    ("followed", &["burn_opened"]),
    ("changed", &["prompt", "a1", "olga"]),
    ("change_refused", &["prompt", "a2", "olga"]),
    ("promoted", &["olga", "a drill"]),
    ("remarked", &["rob", "misclassified", "T-0"]),
    ("reported", &["rob", "wrong_action", "T-1"]),
    ("reported", &["misclassified", "S-1"]),
    ("retracted", &["rob", "T-1"]),
    ("excluded", &["operator", "our own test"]),
    ("reinstated", &["operator"]),
    ("booked", &["rob", "duplicate_work", "burn-1"]),
    ("tallied", &["cells"]),
    ("noted", &["burn-1"]),
    ("escalated", &["handed-over"]),
    ("checked", &["rob", "checked", "\"right\":true"]),
    ("imported", &["operator"]),
    ("waived", &["olga", "a fix is out"]),
    ("recovered", &["olga", "the prompt lost a line", "OPS-1"]),
    ("reviewed", &["olga", "as it should be"]),
    ("paced", &["hour"]),
];

/// What such a day has no part of, and where it is looked for instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("clock_jumped", "tests/sim/living/clock_leaps.rs"),
    ("clock_accepted", "src/store/tests/disk.rs"),
    ("booked_high", "tests/sim/budget.rs"),
    ("reconciled", "src/store/tests/late.rs"),
    ("sampled", "tests/it/samples.rs"),
    ("incident_opened", "tests/sim/living/incidents.rs"),
    ("incident_closed", "src/gate/incident.rs"),
    ("demoted", "tests/sim/levels.rs"),
    ("step_taken", "tests/sim/earn.rs"),
    ("policy_held_back", "tests/it/freeze.rs"),
];

async fn all(gate: &TestGate) -> Vec<Value> {
    let (operator, mut entries, mut after) = (gate.operator(), Vec::new(), json!(0));
    while !after.is_null() {
        let page = operator
            .get(&format!("/v1/audit?limit=1000&after={after}"))
            .await
            .passed()
            .json();
        entries.extend(page["entries"].as_array().unwrap().iter().cloned());
        after = page["next"].clone();
    }
    entries
}

fn desk() -> String {
    policies::desk(DESK).replace("tools: [", "tools: [shop/drop, shop/due, ")
}

fn order(order: &str) -> Value {
    json!({ "order": order })
}

fn id(answer: &Value) -> String {
    answer["approval"].as_str().unwrap().to_owned()
}

async fn ask(person: &Reviewer, path: &str, body: Value) -> Answer {
    person.post(path, &body).await
}

fn cli(gate: &TestGate, arguments: &[&str]) {
    let output = gate.cli(arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Requests that are no call of any run, and calls that a rule denies.
async fn refusals(gate: &TestGate, bot: &Agent) {
    gate.agent()
        .get("/shop/look/1")
        .await
        .refused(401, "unidentified");
    bot.get("/elsewhere").await.refused(403, "unlisted");
    let twice = gate
        .agent()
        .raw(b"GET /shop/look/1 HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n")
        .await;
    assert!(
        twice.starts_with(b"HTTP/1.1 400 "),
        "{}",
        String::from_utf8_lossy(&twice)
    );
    gate.reviewer("nobody")
        .get("/v1/workflows")
        .await
        .refused(401, "unauthorized");
    gate.reviewer("vera-token")
        .clamp("desk", "halted")
        .await
        .refused(403, "forbidden");
    let early = bot.clone().run("early");
    early
        .post("/shop/drop", &order("A-0"))
        .await
        .refused(403, "denied");
    early
        .post("/shop/none", &order("A-0"))
        .await
        .refused(403, "unlisted");
}

/// Held calls, and all that becomes of them.
async fn holds(gate: &TestGate, bot: &Agent) {
    let (dana, olga) = (gate.reviewer("dana-token"), gate.reviewer("olga-token"));
    let crowd = bot.clone().run("crowd");
    let first = id(&crowd
        .post("/shop/pay", &order("C-1"))
        .await
        .refused(403, "held"));
    let second = crowd
        .post("/shop/pay", &order("C-2"))
        .await
        .refused(403, "held");
    crowd
        .post("/shop/pay", &order("C-3"))
        .await
        .refused(429, "inbox-full");
    dana.get("/v1/approvals?state=pending").await.passed();
    dana.deny(&first, "not_now", "tomorrow").await.passed();
    bot.call("DELETE", second["status_url"].as_str().unwrap(), None)
        .await
        .passed();
    let third = id(&bot
        .post("/shop/pay", &order("A-2"))
        .await
        .refused(403, "held"));
    ask(
        &dana,
        &format!("/v1/approvals/{third}/withdraw"),
        json!({ "reason": "no longer" }),
    )
    .await
    .passed();
    let edited = id(&bot
        .post("/shop/pay", &json!({ "order": "A-1", "amount": 9 }))
        .await
        .refused(403, "held"));
    let edit = json!({ "edit": { "order": "A-1", "amount": 4 }, "reason": "only half" });
    ask(&olga, &format!("/v1/approvals/{edited}/approve"), edit)
        .await
        .passed();
    bot.post("/shop/pay", &json!({ "order": "A-1", "amount": 9 }))
        .await
        .passed();
    let given = ask(
        &olga,
        "/v1/workflows/desk/grants",
        json!({ "tool": "shop/pay", "for": "30m", "max": 3, "reason": "a busy hour" }),
    )
    .await
    .passed()
    .json();
    ask(
        &olga,
        &format!("/v1/grants/{}/revoke", given["id"].as_str().unwrap()),
        json!({ "reason": "enough" }),
    )
    .await
    .passed();
}

/// What operators do to a workflow.
async fn operators(gate: &TestGate, bot: &Agent) {
    let olga = gate.reviewer("olga-token");
    ask(
        &olga,
        "/v1/workflows/desk/changes",
        json!({ "kind": "prompt", "ref": "a1" }),
    )
    .await
    .passed();
    ask(
        &olga,
        "/v1/workflows/desk/clamp",
        json!({ "to": "read_only", "reason": "odd refunds" }),
    )
    .await
    .passed();
    ask(
        &olga,
        "/v1/workflows/desk/changes",
        json!({ "kind": "prompt", "ref": "a2" }),
    )
    .await
    .refused(409, "conflict");
    bot.clone()
        .run("clamped")
        .post("/shop/change", &order("A-3"))
        .await
        .refused(403, "level");
    ask(
        &olga,
        "/v1/workflows/desk/release",
        json!({ "reason": "looked at, all in order" }),
    )
    .await
    .passed();
    ask(
        &olga,
        "/v1/workflows/desk/promote",
        json!({ "to": "autonomous", "reason": "a drill" }),
    )
    .await
    .passed();
    ask(
        &olga,
        "/v1/review",
        json!({ "workflow": "desk", "note": "as it should be" }),
    )
    .await
    .passed();
    fs::write(gate.data().join("clamp"), "by hand\n").unwrap();
    gate.operator()
        .stands("desk", "clamped by hand", |status| {
            !status["level"]["clamp"].is_null()
        })
        .await;
    ask(
        &olga,
        "/v1/release",
        json!({ "reason": "looked at, all in order" }),
    )
    .await
    .passed();
}

/// How runs turn out, and what people make of it.
async fn outcomes(gate: &TestGate, bot: &Agent) {
    let (rob, operator) = (gate.reviewer("rob-token"), gate.operator());
    let works = async |run: &str, status: &str| {
        let agent = bot.clone().run(run);
        agent.post("/shop/change", &order(run)).await.passed();
        agent
            .post(
                &format!("/.burngate/runs/{run}/finish"),
                &json!({ "status": status }),
            )
            .await
            .passed();
        operator.booked(run).await;
    };
    bot.clone()
        .run("open")
        .post("/shop/change", &order("B-1"))
        .await
        .passed();
    rob.report("run", "open", "misclassified", "T-0")
        .await
        .passed();
    works("done", "completed").await;
    works("checked", "completed").await;
    works("handed-over", "escalated").await;
    rob.report("run", "done", "wrong_action", "T-1")
        .await
        .passed();
    ask(
        &rob,
        "/v1/reports",
        json!({ "run": "done", "mode": "wrong_action", "ref": "T-1", "retract": true }),
    )
    .await
    .passed();
    ask(
        &rob,
        "/v1/signals/corrected",
        json!({ "run": "done", "id": "S-1" }),
    )
    .await
    .passed();
    ask(&rob, "/v1/checks/checked/accept", json!({}))
        .await
        .passed();
    cli(
        gate,
        &["exclude", "--run", "done", "--reason", "our own test"],
    );
    cli(
        gate,
        &[
            "exclude",
            "--run",
            "done",
            "--reason",
            "it was none",
            "--retract",
        ],
    );
    let at = jiff::Timestamp::now()
        .checked_sub(jiff::SignedDuration::from_hours(48))
        .unwrap();
    fs::write(gate.home().join("history.jsonl"), format!("{}\n", json!({ "at": at.to_string(), "workflow": "desk", "run": "old", "outcome": "acceptable" })))
        .unwrap();
    cli(gate, &["import", "--history", "history.jsonl"]);
    burned_and_recovered(gate, bot).await;
}

/// A burned budget, a waiver and a recovery.
async fn burned_and_recovered(gate: &TestGate, bot: &Agent) {
    let (rob, olga, operator) = (
        gate.reviewer("rob-token"),
        gate.reviewer("olga-token"),
        gate.operator(),
    );
    // So many that went well that the failures are no breach.
    for _ in 0..25 {
        bot.post("/shop/note", &order("B-3")).await.passed();
    }
    bot.clone()
        .run("burn-1")
        .post("/shop/note", &order("B-2"))
        .await
        .passed();
    rob.report("run", "burn-1", "duplicate_work", "T-2")
        .await
        .passed();
    // More comes to light about a run that is booked.
    bot.clone()
        .run("burn-1")
        .post("/shop/due", &order("now"))
        .await
        .refused(403, "held");
    bot.post(
        "/.burngate/runs/burn-1/finish",
        &json!({ "status": "completed" }),
    )
    .await
    .passed();
    operator
        .stands("desk", "burned", |status| status["posture"] == "burned")
        .await;
    ask(
        &olga,
        "/v1/workflows/desk/waive",
        json!({ "for": "1h", "reason": "a fix is out" }),
    )
    .await
    .passed();
    ask(
        &olga,
        "/v1/workflows/desk/recover",
        json!({ "cause": "the prompt lost a line", "fix": "OPS-1" }),
    )
    .await
    .passed();
}

/// What the files say changes, for better and for worse.
async fn reloads(gate: &TestGate) {
    let configure = |config: String| {
        fs::write(gate.home().join("burngate.yaml.new"), config).unwrap();
        fs::rename(
            gate.home().join("burngate.yaml.new"),
            gate.home().join("burngate.yaml"),
        )
        .unwrap();
        gate.sighup();
    };
    configure("reviewers: [".to_owned());
    gate.until("a refused file", || {
        gate.log().contains("people and agents were not reloaded")
    })
    .await;
    configure(policies::people(
        &AGENTS,
        &[
            ("noor", "reviewer"),
            ("olga", "operator"),
            ("rob", "reporter"),
            ("vera", "viewer"),
        ],
    ));
    eventually("who is new", || async {
        (gate
            .reviewer("noor-token")
            .get("/v1/workflows")
            .await
            .status
            == 200)
            .then_some(())
    })
    .await;
    gate.write_policy("desk.yaml", "workflow: desk\nrisk: [");
    gate.sighup();
    gate.until("refused policies", || {
        gate.log().contains("policies were not reloaded")
    })
    .await;
}

#[test]
fn all_that_happened_is_found() {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let mut gate = TestGate::builder()
            .config(policies::people(&AGENTS, &PEOPLE))
            .policy("shop.yaml", policies::shop(&upstream.url()) + MORE)
            .policy("desk.yaml", desk())
            .policy("corrected.yaml", SIGNAL)
            .start();
        let bot = gate.agent().token("bot-token");
        refusals(&gate, &bot).await;
        holds(&gate, &bot).await;
        operators(&gate, &bot).await;
        outcomes(&gate, &bot).await;
        reloads(&gate).await;
        gate.sigterm();
        gate.ended().await;
        gate.write_policy("desk.yaml", desk());
        gate.start();
        let mut by_kind = BTreeMap::<String, Vec<String>>::new();
        for entry in all(&gate).await {
            by_kind
                .entry(entry["kind"].as_str().unwrap().to_owned())
                .or_default()
                .push(entry["event"].to_string());
        }
        let is_found = |(kind, words): &&(&str, &[&str])| {
            by_kind.get(*kind).is_some_and(|of_kind| {
                of_kind
                    .iter()
                    .any(|event| words.iter().all(|word| event.contains(word)))
            })
        };
        let missing: Vec<_> = FOUND
            .iter()
            .filter(|expected| !is_found(expected))
            .map(|(kind, words)| (kind, words, by_kind.get(*kind)))
            .collect();
        assert!(missing.is_empty(), "not on record: {missing:#?}");
        let tokens = AGENTS
            .iter()
            .map(|(name, _)| name)
            .chain(PEOPLE.iter().map(|(name, _)| name))
            .map(|name| format!("{name}-token"));
        let events: String = by_kind.into_values().flatten().collect();
        assert!(tokens.into_iter().all(|token| !events.contains(&token)));
    });
}

#[test]
fn every_kind_of_event_is_looked_for_here_or_elsewhere() {
    for kind in EventKind::ALL.iter().map(|kind| kind.name()) {
        let here = FOUND.iter().any(|(known, _)| *known == kind);
        let elsewhere = ELSEWHERE.iter().find(|(known, _)| *known == kind);
        assert!(
            here == elsewhere.is_none(),
            "`{kind}` is to be looked for in one place"
        );
        if let Some((_, file)) = elsewhere {
            let name: String = kind
                .split('_')
                .map(|word| word[..1].to_uppercase() + &word[1..])
                .collect();
            let text =
                fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
            assert!(
                text.contains(&name) || text.contains(kind),
                "{file} does not look for `{kind}`"
            );
        }
    }
}

#[test]
fn a_flood_of_denied_calls_is_counted_to_the_last_and_listed_only_in_part() {
    const FLOOD: u64 = 1_200;
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let shop = policies::shop(&upstream.url())
            + "  - { tool: drop, match: POST /drop, risk: medium, forbidden: true }\n";
        let mut gate = TestGate::builder()
            .policy("shop.yaml", shop)
            .policy(
                "desk.yaml",
                policies::desk("").replace("tools: [", "tools: [shop/drop, "),
            )
            .start();
        let mut line = gate.agent().line().await;
        for n in 0..FLOOD {
            line.call("POST", "/shop/drop", Some(&order(&n.to_string())))
                .await
                .refused(403, "denied");
        }
        gate.sigterm();
        gate.ended().await;
        gate.start();
        let refused: Vec<Value> = all(&gate)
            .await
            .into_iter()
            .filter(|entry| entry["kind"] == "refused")
            .map(|entry| entry["event"].clone())
            .collect();
        let listed: u64 = refused
            .iter()
            .map(|event| event["calls"].as_array().unwrap().len() as u64)
            .sum();
        let alike = refused
            .iter()
            .flat_map(|event| event["more"].as_array().cloned().unwrap_or_default());
        let counted: u64 = alike
            .inspect(|alike| assert_eq!(alike["tool"], "shop/drop"))
            .map(|alike| alike["count"].as_u64().unwrap())
            .sum();
        assert_eq!(listed + counted, FLOOD);
        assert!(
            listed >= 500 && counted > 0,
            "{listed} are listed and {counted} counted"
        );
    });
}
