//! What deciding on an allowed `low` call costs, with one workflow and with a hundred thousand, and
//! what its parts cost alone.
//!
//! A whole decision is: find the workflow, open the call, judge by schema, condition and level,
//! settle, and hand the run to a journal that discards it.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use burngate::clock::{Clock, GateClock};
use burngate::config::Process;
use burngate::config::diagnostics::SourceFile;
use burngate::config::lower::load;
use burngate::gate::approval::BoundTo;
use burngate::gate::digest::Digest;
use burngate::gate::event::{Entry, Event};
use burngate::gate::name::{AgentName, ApiName, WorkflowName};
use burngate::gate::policy::facts::{Facts, Nothing, RunFacts};
use burngate::gate::policy::judge::{Case, judge};
use burngate::gate::policy::{Api, HoldRules, PolicySet, RunRules, Tool, Workflow};
use burngate::gate::state::State;
use burngate::gate::time::Time;
use burngate::journal::port::{Appended, Journal};
use burngate::journal::receipt;
use burngate::journal::receipt::Receipt;
use burngate::journal::record::RunRecord;
use burngate::journal::revise::{Batch, Revise, ReviseError, Revised, RevisedAll};
use burngate::journal::unavailable::Unavailable;
use burngate::ledger::call::in_flight::Settlement;
use burngate::ledger::call::input::{DecisionInput, ReviewView};
use burngate::ledger::call::outcome::Admit;
use burngate::ledger::{Capacity, Ledger};
use burngate::wire::Malformed;
use burngate::{ids, wire};
use criterion::{Criterion, criterion_group, criterion_main};

const POLICY: &str = "
api: payments
upstream: http://127.0.0.1:1
route: /payments
tools:
  - tool: refund
    match: POST /refunds
    risk: low
    arguments:
      type: object
      required: [order, amount, currency]
      properties:
        order: { type: string, minLength: 1, maxLength: 64 }
        amount: { type: number, exclusiveMinimum: 0 }
        currency: { enum: [EUR, USD, GBP] }
        reason: { type: string, maxLength: 500 }
        tags: { type: array, items: { type: string }, maxItems: 8 }
      additionalProperties: false
    deny_when: args.amount > 1000.0
---
workflow: refunds
risk: low
tools: [payments/refund]
";

/// 300 bytes.
const BODY: &str = r#"{"order":"A-1001","amount":120.5,"currency":"EUR","reason":"customer reported a damaged item on arrival, photo attached; the courier confirmed the damage to the outer box and the parcel was sent back, a replacement is on its way now","tags":["damaged","gold","courier","returned","2026-11","priorit"]}"#;

/// Takes everything and keeps nothing.
#[derive(Default)]
struct Discarding(AtomicU64);

impl Journal for Discarding {
    fn append(&self, _entry: Entry) -> Appended {
        let (stamp, durable) = receipt::pair();
        stamp.answer(Ok(()));
        Appended {
            ticket: self.0.fetch_add(1, Ordering::Relaxed) + 1,
            durable,
        }
    }

    fn record(&self, run: RunRecord) {
        black_box(run);
    }

    fn ready(&self) -> bool {
        true
    }

    fn room(&self) -> bool {
        true
    }

    fn revise(&self, _revise: Revise) -> Receipt<Result<Revised, ReviseError>> {
        let (stamp, receipt) = receipt::pair();
        stamp.answer(Err(ReviseError::Unavailable(Unavailable)));
        receipt
    }

    fn revise_all(&self, _batch: Batch) -> Receipt<Result<RevisedAll, ReviseError>> {
        receipt::answered(Err(ReviseError::Unavailable(Unavailable)))
    }
}

/// Never asked: nothing is held here.
struct Unseen;

impl ReviewView for Unseen {
    fn digest(&self, _workflow: &str, _agent: &str) -> Option<Digest> {
        None
    }

    fn hash_call(&self, _into: &mut dyn std::hash::Hasher) -> bool {
        false
    }

    fn target(&self) -> String {
        String::new()
    }

    fn args(&self) -> Option<String> {
        None
    }

    fn body(&self) -> Option<String> {
        None
    }

    fn unshown(&self) -> Option<Malformed> {
        None
    }

    fn bound(&self) -> BoundTo {
        BoundTo::default()
    }
}

struct World {
    ledger: Arc<Ledger>,
    names: Vec<WorkflowName>,
    api: Arc<Api>,
    tool: Arc<Tool>,
}

/// A ledger with so many workflows that are alike but for their names.
fn world(workflows: usize) -> World {
    let clock = Arc::new(GateClock::starting_at(Time::default()));
    let loaded = load(
        &[SourceFile::new("payments.yaml", POLICY)],
        &Process::default(),
        clock.now(),
    )
    .map_err(|errors| errors.render(false));
    let policies = loaded.unwrap().policies;
    let template = policies.workflows.values().next().unwrap();
    let names: Vec<WorkflowName> = (0..workflows)
        .map(|number| WorkflowName::from(format!("refunds-{number}")))
        .collect();
    let many = names
        .iter()
        .map(|name| (name.clone(), Arc::new(named(template, name))))
        .collect();
    let policies = Arc::new(PolicySet {
        version: policies.version,
        apis: policies.apis.clone(),
        workflows: many,
        signals: std::collections::BTreeMap::new(),
    });
    let mut state = State::default();
    let event = Event::PolicyAccepted {
        version: policies.version,
        terms: Ledger::terms(&policies),
        policies: "{}".into(),
    };
    state.apply(&Entry {
        at: clock.now(),
        workflow: None,
        event,
    });
    let ledger = Arc::new(Ledger::new(
        &state,
        Arc::clone(&policies),
        Arc::new(Discarding::default()),
        clock,
        Capacity { holds: 100 },
    ));
    ledger.install(Arc::clone(&policies)).unwrap();
    let api = Arc::clone(&policies.apis[&ApiName::from("payments")]);
    let tool = Arc::clone(&api.tools[0]);
    World {
        ledger,
        names,
        api,
        tool,
    }
}

fn named(template: &Workflow, name: &WorkflowName) -> Workflow {
    let (run, hold) = (&template.run, &template.hold);
    Workflow {
        name: name.clone(),
        terms: Arc::clone(&template.terms),
        tools: template.tools.clone(),
        unlisted: template.unlisted,
        run: RunRules {
            key: None,
            lease: run.lease,
            max: run.max,
            calls: run.calls,
            repeats: run.repeats,
            finish_required: run.finish_required,
        },
        hold: HoldRules {
            wait: hold.wait,
            wait_mcp: hold.wait_mcp,
            expires: hold.expires,
            grant: hold.grant,
            approvals_high: hold.approvals_high,
            approvals: hold.approvals,
            inbox: hold.inbox,
            escalate: hold.escalate.clone(),
        },
        validation: template.validation,
        skips: Vec::new(),
        exposure: template.exposure,
        retries: template.retries,
        record_arguments: template.record_arguments,
        disclose_remaining: template.disclose_remaining,
        mode: template.mode,
        location: template.location.clone(),
    }
}

impl World {
    fn decide(&self, workflow: &str, agent: &AgentName, args: &burngate::gate::json::Json<'_>) {
        let ledger = &self.ledger;
        let place = Arc::clone(&ledger.table().entries[workflow]);
        let call = ledger
            .open_call(&place, agent, None, ids::call(), ledger.now())
            .unwrap();
        let input = DecisionInput {
            agent,
            api: &self.api,
            tool: Some(&self.tool),
            args: Some(args),
            path: &Nothing,
            query: &Nothing,
            header: &Nothing,
            review: &Unseen,
        };
        let Admit::Pass { permit, .. } = ledger.admit(call, &input, ledger.now()) else {
            unreachable!("the call is allowed")
        };
        let mut call = permit.spend();
        call.answered(200);
        call.settle(Settlement {
            status: 200,
            modes: Vec::new(),
        });
    }
}

fn decisions(criterion: &mut Criterion) {
    let args = wire::json::parse(BODY.as_bytes()).unwrap();
    let agent = AgentName::from("local");
    for workflows in [1, 100_000] {
        let world = world(workflows);
        criterion.bench_function(
            &format!("decision/the same of {workflows} workflows"),
            |bench| {
                let name = world.names[workflows / 2].as_str();
                bench.iter(|| world.decide(black_box(name), &agent, &args));
            },
        );
        // Each time another one, so that nothing of it is in a cache.
        criterion.bench_function(
            &format!("decision/another of {workflows} workflows"),
            |bench| {
                let mut at = 0;
                bench.iter(|| {
                    at = (at + 61_803) % workflows;
                    world.decide(black_box(world.names[at].as_str()), &agent, &args);
                });
            },
        );
    }
}

fn parts(criterion: &mut Criterion) {
    let world = world(1);
    let args = wire::json::parse(BODY.as_bytes()).unwrap();
    let place = Arc::clone(&world.ledger.table().entries[&world.names[0]]);
    let status = place.shard.status_full();
    let facts = Facts {
        args: Some(&args),
        path: &Nothing,
        query: &Nothing,
        header: &Nothing,
        tool: world.tool.name.as_str(),
        agent: "local",
        workflow: place.policy.name.as_str(),
        run: RunFacts {
            id: "r",
            calls: 0,
            escalated: false,
        },
        level: status.level().as_str(),
        posture: status.posture.as_str(),
        remaining: status.remaining,
        burn: &status.burn,
        response: None,
    };
    let case = Case {
        workflow: &place.policy,
        status: &status,
        tool: Some(&world.tool),
        facts,
        now: Time::from_millis(0),
    };
    let (schema, rule) = (
        world.tool.arguments.as_ref().unwrap(),
        world.tool.deny_when.as_ref().unwrap(),
    );
    criterion.bench_function("part/json", |bench| {
        bench.iter(|| wire::json::parse(black_box(BODY.as_bytes())).is_ok());
    });
    criterion.bench_function("part/target", |bench| {
        bench.iter(|| wire::target::read(black_box("/payments/refunds"), None).is_ok());
    });
    criterion.bench_function("part/schema", |bench| {
        bench.iter(|| schema.violations(black_box(Some(&args))));
    });
    criterion.bench_function("part/condition", |bench| {
        bench.iter(|| rule.condition.holds(black_box(&facts)));
    });
    criterion.bench_function("part/judge", |bench| {
        bench.iter(|| judge(black_box(&case)).is_ok_and(|judged| judged.acts.is_none()));
    });
    criterion.bench_function("part/call id", |bench| bench.iter(ids::call));
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    targets = decisions, parts
}
criterion_main!(benches);
