//! One workflow through all modes from all sources: the wire, the agent, people and another system.
//! The four numbers come out as they were counted by hand, and the same after a kill in the middle
//! and another at the end.

use serde_json::{Value, json};

use crate::harness::{Agent, Answer, Operator, Reply, ScriptedUpstream, TestGate, policies, test};
use crate::signals::{SECRET, deliver, signed};

const TOOLS: &str = "  - { tool: undo, match: POST /undo, risk: low, subject: args.order, reverses: { tool: refund, within: 7d } }
  - { tool: refund, match: POST /refund, risk: medium, subject: args.order, duplicate: { key: [args.order], within: 24h, verdict: count } }
  - { tool: move, match: POST /move, risk: medium, subject: args.order, escalate_when: args.amount > 100.0 }
  - { tool: escalate, match: POST /escalate, risk: low, escalation: true }
  - { tool: drop, match: POST /drop, risk: medium, subject: args.order, forbidden: true }
  - tool: ship
    match: POST /ship
    risk: medium
    subject: args.order
    timeout: 300ms
    arguments: { type: object, required: [order], properties: { order: { type: string } }, additionalProperties: false }
";

/// A target that no handful of failures burns: this is about counting.
const DESK: &str = "objective:
  target: 50%
  expected_runs: 10000
  unacceptable: [wrong_action, missed_escalation, major_correction, duplicate_work, timeout, policy_violation, tone]
";

const REVERSED: &str = "signal: refund-reversed
workflow: desk
when: body.kind == \"reversed\"
subject: body.order
tool: shop/refund
mode: major_correction
ref: body.id
secret_file: signals.secret
---
signal: refund-confirmed
workflow: desk
when: body.kind == \"confirmed\"
subject: body.order
tool: shop/refund
right: true
ref: body.id
secret_file: signals.secret
";

/// What is counted by hand, run after run.
#[derive(Debug, Default, PartialEq)]
struct Hand {
    runs: u64,
    idle: u64,
    unacceptable: u64,
    checked: u64,
    corrected: u64,
    due: u64,
    missed: u64,
    caught: u64,
    rework: u64,
    modes: std::collections::BTreeMap<String, u64>,
}

impl Hand {
    /// A counted run with these modes.
    fn run(&mut self, unacceptable: bool, modes: &[&str]) -> &mut Self {
        self.runs += 1;
        self.unacceptable += u64::from(unacceptable);
        for mode in modes {
            *self.modes.entry((*mode).to_owned()).or_default() += 1;
        }
        self
    }

    /// What the gate says.
    fn told(over: &Value) -> Hand {
        let number = |name: &str, part: &str| {
            over["metrics_detail"][name][part]
                .as_u64()
                .unwrap_or_else(|| panic!("{name} {part}: {over}"))
        };
        assert_eq!(
            (
                number("success_rate", "denominator"),
                number("rework_rate", "denominator")
            ),
            (
                over["runs"].as_u64().unwrap(),
                over["runs"].as_u64().unwrap()
            )
        );
        assert_eq!(
            number("correction_rate", "denominator"),
            number("success_rate", "denominator")
        );
        Hand {
            runs: over["runs"].as_u64().unwrap(),
            idle: over["idle_runs"].as_u64().unwrap(),
            unacceptable: number("success_rate", "denominator")
                - number("success_rate", "numerator"),
            checked: number("correction_rate", "checked"),
            corrected: number("correction_rate", "numerator"),
            due: number("escalation_miss_rate", "denominator"),
            missed: number("escalation_miss_rate", "numerator"),
            caught: number("escalation_miss_rate", "caught"),
            rework: number("rework_rate", "numerator"),
            modes: serde_json::from_value(over["failure_modes"].clone()).unwrap(),
        }
    }
}

/// The gate, and what its agent and its people do there.
struct World {
    upstream: ScriptedUpstream,
    gate: TestGate,
}

impl World {
    async fn start() -> Self {
        let upstream = ScriptedUpstream::start().await;
        let desk = policies::desk(DESK).replace(
            "tools: [",
            "tools: [shop/undo, shop/refund, shop/move, shop/escalate, shop/drop, shop/ship, ",
        );
        let mut gate = TestGate::builder()
            .config(policies::people(
                &[],
                &[
                    ("dana", "reviewer"),
                    ("rob", "reporter"),
                    ("eli", "reporter"),
                ],
            ))
            .policy("shop.yaml", policies::shop(&upstream.url()) + TOOLS)
            .policy("desk.yaml", desk)
            .policy("signals.yaml", REVERSED)
            .policy("signals.secret", format!("{SECRET}\n"))
            .prepare();
        gate.start();
        World { upstream, gate }
    }

    fn agent(&self, run: &str) -> Agent {
        self.gate.agent().run(run)
    }

    fn operator(&self) -> Operator {
        self.gate.operator()
    }

    async fn finish(&self, run: &str) {
        self.agent(run)
            .post(
                &format!("/.burngate/runs/{run}/finish"),
                &json!({ "status": "completed" }),
            )
            .await
            .passed();
    }

    /// A run that changes one order and ends.
    async fn works(&self, run: &str) {
        self.agent(run)
            .post("/shop/change", &order(run))
            .await
            .passed();
        self.finish(run).await;
    }

    /// A run that refunds one order and ends.
    async fn refunds(&self, run: &str) {
        self.agent(run)
            .post("/shop/refund", &order(run))
            .await
            .passed();
        self.finish(run).await;
    }

    async fn report(&self, person: &str, body: &Value) -> Answer {
        self.gate
            .reviewer(&format!("{person}-token"))
            .post("/v1/reports", body)
            .await
    }

    async fn signal(&self, name: &str, kind: &str, order: &str) -> Value {
        let body =
            json!({ "kind": kind, "order": order, "id": format!("{kind}-{order}") }).to_string();
        deliver(
            &self.gate,
            name,
            &signed(SECRET, &format!("msg-{kind}-{order}"), 0, &body),
            &body,
        )
        .await
        .passed()
        .json()
    }

    /// The numbers of the last hour, once as many runs are booked as were counted by hand.
    async fn numbers(&self, hand: &Hand) -> Value {
        let operator = self.operator();
        let booked = || async {
            let over = operator
                .get("/v1/workflows/desk/numbers?since=2h")
                .await
                .passed()
                .json();
            (Hand::told(&over) == *hand).then_some(over)
        };
        let last = operator
            .get("/v1/workflows/desk/numbers?since=2h")
            .await
            .passed()
            .json();
        if Hand::told(&last) == *hand {
            return last;
        }
        crate::harness::eventually(&format!("{hand:?}; it was {:?}", Hand::told(&last)), booked)
            .await
    }
}

fn order(order: &str) -> Value {
    json!({ "order": order })
}

/// What the wire shows, and what the agent says of itself.
async fn seen_on_the_wire(world: &World, hand: &mut Hand) {
    for n in 0..10 {
        world.works(&format!("good-{n}")).await;
        hand.run(false, &[]);
    }
    world.agent("looks").get("/shop/look/1").await.passed();
    world.finish("looks").await;
    hand.idle += 1;

    world.upstream.next(Reply::hang());
    world
        .agent("hangs")
        .post("/shop/ship", &order("hangs"))
        .await
        .refused(504, "upstream-timeout");
    world.finish("hangs").await;
    hand.run(true, &["timeout"]);

    world.upstream.next(Reply::json(500, &json!({})));
    assert_eq!(
        world
            .agent("breaks")
            .post("/shop/change", &order("breaks"))
            .await
            .status,
        500
    );
    world.finish("breaks").await;
    hand.run(false, &["tool_error"]);

    for _ in 0..3 {
        world
            .agent("mistakes")
            .post("/shop/ship", &json!({ "order": 7 }))
            .await
            .refused(422, "wrong-arguments");
    }
    world
        .agent("mistakes")
        .post("/shop/ship", &order("mistakes"))
        .await
        .passed();
    world.finish("mistakes").await;
    hand.run(false, &["wrong_arguments"]);

    world
        .agent("drops")
        .post("/shop/change", &order("drops"))
        .await
        .passed();
    world
        .agent("drops")
        .post("/shop/drop", &order("drops"))
        .await
        .refused(403, "denied");
    world.finish("drops").await;
    hand.run(true, &["policy_violation"]);

    for _ in 0..2 {
        world
            .agent("twice")
            .post("/shop/refund", &order("twice"))
            .await
            .passed();
    }
    world.finish("twice").await;
    hand.run(true, &["duplicate_work"]).rework += 1;

    world.refunds("undone").await;
    world
        .agent("undoes")
        .post("/shop/undo", &order("undone"))
        .await
        .passed();
    world.finish("undoes").await;
    // The undone refund is the failure; undoing it is good work.
    hand.run(true, &["duplicate_work"]).rework += 1;
    hand.run(false, &[]);

    for (run, mode) in [
        ("misreads", "misclassified"),
        ("hands-over", "broken_handoff"),
    ] {
        world
            .agent(run)
            .post("/shop/change", &order(run))
            .await
            .passed();
        world
            .agent(run)
            .post(
                &format!("/.burngate/runs/{run}/report"),
                &json!({ "mode": mode }),
            )
            .await
            .passed();
        world.finish(run).await;
        hand.run(false, &[mode]);
    }
}

/// What waits for a person.
async fn held(world: &World, hand: &mut Hand) {
    let dana = world.gate.reviewer("dana-token");
    // It should have asked and did not; the hold caught it, so that it costs nothing.
    let big = json!({ "order": "moves", "amount": 101 });
    world
        .agent("moves")
        .post("/shop/move", &big)
        .await
        .refused(403, "held");
    dana.approve(world.operator().pending().await["id"].as_str().unwrap())
        .await
        .passed();
    world.agent("moves").post("/shop/move", &big).await.passed();
    world.finish("moves").await;
    let caught = hand.run(false, &[]);
    (caught.due, caught.missed, caught.caught) =
        (caught.due + 1, caught.missed + 1, caught.caught + 1);

    // It asked first.
    world
        .agent("asks")
        .post("/shop/escalate", &json!({}))
        .await
        .passed();
    let big = json!({ "order": "asks", "amount": 101 });
    world
        .agent("asks")
        .post("/shop/move", &big)
        .await
        .refused(403, "held");
    dana.deny(
        world.operator().pending().await["id"].as_str().unwrap(),
        "not_now",
        "wait",
    )
    .await
    .passed();
    world.finish("asks").await;
    hand.run(false, &[]).due += 1;

    // Nothing of it went through, and nobody says that it was wrong.
    world
        .agent("waits")
        .post("/shop/pay", &order("waits"))
        .await
        .refused(403, "held");
    dana.deny(
        world.operator().pending().await["id"].as_str().unwrap(),
        "not_now",
        "closed today",
    )
    .await
    .passed();
    world.finish("waits").await;
    hand.idle += 1;

    // Nothing of it went through either, and a person says that it was wrong to ask for it.
    world
        .agent("pays")
        .post("/shop/pay", &order("pays"))
        .await
        .refused(403, "held");
    dana.deny(
        world.operator().pending().await["id"].as_str().unwrap(),
        "wrong",
        "another order",
    )
    .await
    .passed();
    world.finish("pays").await;
    let denied = hand.run(true, &["major_correction"]);
    (denied.checked, denied.corrected) = (denied.checked + 1, denied.corrected + 1);

    // A person changes what it asked for, and that is sent.
    world
        .agent("edits")
        .post("/shop/pay", &json!({ "order": "edits", "amount": 9 }))
        .await
        .refused(403, "held");
    let approval = world.operator().pending().await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let edit = json!({ "edit": { "order": "edits", "amount": 6 } });
    dana.post(&format!("/v1/approvals/{approval}/approve"), &edit)
        .await
        .passed();
    world
        .agent("edits")
        .post("/shop/pay", &json!({ "order": "edits", "amount": 9 }))
        .await
        .passed();
    assert_eq!(world.upstream.last().json(), edit["edit"]);
    world.finish("edits").await;
    let edited = hand.run(true, &["major_correction"]);
    (edited.checked, edited.corrected) = (edited.checked + 1, edited.corrected + 1);
}

/// What people and another system say afterwards, of runs that were booked as acceptable.
async fn said_later(world: &World, hand: &mut Hand) {
    said_by_people(world, hand).await;
    said_by_a_system(world, hand).await;
    said_of_a_batch(world, hand).await;
}

async fn said_by_people(world: &World, hand: &mut Hand) {
    for run in ["missed", "rude", "seen", "forgiven", "drill"] {
        world.works(run).await;
    }
    world.operator().booked("drill").await;

    // A person, by the run: it should have escalated.
    world
        .report(
            "rob",
            &json!({ "run": "missed", "mode": "missed_escalation", "ref": "T-1" }),
        )
        .await
        .passed();
    let missed = hand.run(true, &["missed_escalation"]);
    (missed.due, missed.missed, missed.checked) =
        (missed.due + 1, missed.missed + 1, missed.checked + 1);

    // A person, by what it touched, with a mode of the policy that costs nothing besides one that
    // does.
    for mode in ["wrong_action", "tone"] {
        world
            .report("rob", &json!({ "subject": "rude", "mode": mode }))
            .await
            .passed();
    }
    hand.run(true, &["wrong_action", "tone"]).checked += 1;

    // Two people say the same at once, and one of them twice: one run, one unit.
    let (rob, eli) = (
        json!({ "run": "seen", "mode": "wrong_action", "ref": "R-1" }),
        json!({ "run": "seen", "mode": "wrong_action", "ref": "E-1" }),
    );
    let answers = tokio::join!(
        world.report("rob", &rob),
        world.report("eli", &eli),
        world.report("rob", &rob),
        world.report("eli", &eli)
    );
    let answers = [answers.0, answers.1, answers.2, answers.3];
    let changed = answers
        .iter()
        .map(|answer| answer.passed().json())
        .filter(|booked| booked["was"] == "acceptable" && booked["repeated"] == false)
        .count();
    assert_eq!(changed, 1, "one of them changed the run");
    hand.run(true, &["wrong_action"]).checked += 1;

    // Taken back, and taken out.
    let report = json!({ "run": "forgiven", "mode": "wrong_action", "ref": "T-2" });
    world.report("rob", &report).await.passed();
    world
        .report(
            "rob",
            &json!({ "run": "forgiven", "mode": "wrong_action", "ref": "T-2", "retract": true }),
        )
        .await
        .passed();
    hand.run(false, &[]);
    world
        .report("rob", &json!({ "run": "drill", "mode": "wrong_action" }))
        .await
        .passed();
    world
        .operator()
        .post("/v1/runs/drill/exclude", &json!({ "reason": "a drill" }))
        .await
        .passed();
}

/// Another system says it, both ways.
async fn said_by_a_system(world: &World, hand: &mut Hand) {
    for run in ["reversed", "confirmed"] {
        world.refunds(run).await;
    }
    world.operator().booked("confirmed").await;
    for (run, right) in [("reversed", false), ("confirmed", true)] {
        let booked = world.signal(&format!("refund-{run}"), run, run).await;
        assert_eq!(
            (&booked["matched"], &booked["result"]["run"]),
            (&json!(true), &json!(run)),
            "{booked}"
        );
        match right {
            true => hand.run(false, &[]).checked += 1,
            false => {
                let reversed = hand.run(true, &["major_correction"]);
                (reversed.checked, reversed.corrected) =
                    (reversed.checked + 1, reversed.corrected + 1);
            }
        }
    }
}

/// Of two batches, one is taken back by its reference again.
async fn said_of_a_batch(world: &World, hand: &mut Hand) {
    for (reference, runs) in [
        ("B-1", ["batch-1", "batch-2"]),
        ("B-2", ["batch-3", "batch-4"]),
    ] {
        for run in runs {
            world
                .agent(run)
                .call("PUT", &format!("/shop/put/{reference}"), Some(&json!({})))
                .await
                .passed();
            world.finish(run).await;
        }
        world.operator().booked(runs[1]).await;
        let filter = json!({ "filter": { "tool": "shop/put", "outcome": "acceptable" }, "mode": "wrong_action", "ref": reference, "confirm": true });
        let batch = world
            .operator()
            .post("/v1/reports", &filter)
            .await
            .passed()
            .json();
        assert_eq!(
            (&batch["applied"], &batch["matched"]),
            (&json!(true), &json!(2)),
            "{batch}"
        );
    }
    let back = world
        .operator()
        .post("/v1/reports", &json!({ "ref": "B-2", "retract": true }))
        .await
        .passed()
        .json();
    assert_eq!(
        (&back["applied"], &back["matched"]),
        (&json!(true), &json!(2)),
        "{back}"
    );
    for unacceptable in [true, true, false, false] {
        let reported = hand.run(
            unacceptable,
            if unacceptable { &["wrong_action"] } else { &[] },
        );
        reported.checked += u64::from(unacceptable);
    }
}

#[test]
fn one_workflow_through_all_modes_from_all_sources_counts_as_by_hand_also_after_kills() {
    test(async {
        let (mut world, mut hand) = (World::start().await, Hand::default());
        seen_on_the_wire(&world, &mut hand).await;
        let before = world.numbers(&hand).await;
        world.gate.restart();
        assert_eq!(Hand::told(&world.numbers(&hand).await), Hand::told(&before));
        held(&world, &mut hand).await;
        said_later(&world, &mut hand).await;
        let whole = world.numbers(&hand).await;
        assert_eq!(
            whole["failure_modes_by_tool"]["shop/refund"],
            json!({ "duplicate_work": 2, "major_correction": 1 }),
            "{whole}"
        );
        world.gate.restart();
        let after = world.numbers(&hand).await;
        for member in [
            "metrics",
            "metrics_detail",
            "failure_modes",
            "failure_modes_by_tool",
            "runs",
            "unacceptable",
            "idle_runs",
            "checked",
        ] {
            assert_eq!(after[member], whole[member], "{member}");
        }
        let status = world.operator().status("desk").await;
        assert_eq!(
            (&status["metrics_detail"], &status["posture"]),
            (&whole["metrics_detail"], &json!("healthy")),
            "the window says what the last hours say"
        );
    });
}
