//! One workflow with a policy, a held call, a few people, and a clock that stands still.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::admin::auth::{Auth, Person, Role};
use crate::admin::health::{Health, HealthCheck, HealthState};
use crate::admin::{Admin, auth, router};
use crate::clock::Clock;
use crate::gate::approval::{BoundTo, Request as Held};
use crate::gate::budget::objective::Objective;
use crate::gate::budget::posture::Recovery;
use crate::gate::clamp::Clamp;
use crate::gate::digest::Digest;
use crate::gate::event::{Entry, Event};
use crate::gate::level::{Ladder, Validation};
use crate::gate::location::SourceLocation;
use crate::gate::name::{ApprovalId, CallId, ToolName, WorkflowName};
use crate::gate::outcome::{FailureMode, Source};
use crate::gate::policy::{
    HoldRules, Inbox, Mode, PolicySet, RunRules, Workflow, default_unacceptable,
};
use crate::gate::risk::{Risk, Tier};
use crate::gate::run::{Charge, Executed, Mark};
use crate::gate::run_flags::RunFlags;
use crate::gate::terms::{Lose, PostureCaps, Terms};
use crate::gate::time::{Time, days, hours, minutes};
use crate::gate::verdict::Verdict;
use crate::journal::memory::MemoryJournal;
use crate::journal::port::{Journal, Projection};
use crate::journal::record::{CallRecord, RunRecord};
use crate::ledger::{Capacity, Ledger};
use crate::telemetry::Metrics;

/// 2026-11-23T09:00:00Z.
pub(in crate::admin) const NOW: Time = Time::from_millis(1_795_424_400_000);
pub(in crate::admin) const TRIAGE: &str = "support-triage";
pub(in crate::admin) const REFUND: &str = "payments/refund";

pub(in crate::admin) struct World {
    pub(in crate::admin) ledger: Arc<Ledger>,
    pub(in crate::admin) journal: Arc<MemoryJournal>,
    pub(in crate::admin) metrics: Arc<Metrics>,
    pub(in crate::admin) router: Router,
    pub(in crate::admin) auth: Arc<Auth>,
    writer: Option<JoinHandle<()>>,
}

struct Still(AtomicI64);

impl Clock for Still {
    fn now(&self) -> Time {
        Time::from_millis(self.0.load(Ordering::Relaxed))
    }
}

struct Well;

impl Health for Well {
    fn checks(&self) -> Vec<HealthCheck> {
        vec![
            HealthCheck {
                what: "policies",
                state: HealthState::Well,
            },
            HealthCheck {
                what: "store",
                state: HealthState::Warned("nearly_full"),
            },
        ]
    }
}

/// An answer, read to its end.
pub(in crate::admin) struct Answer {
    pub(in crate::admin) status: StatusCode,
    pub(in crate::admin) headers: HeaderMap,
    pub(in crate::admin) text: String,
}

impl Answer {
    pub(in crate::admin) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(in crate::admin) fn is(&self, status: u16) -> serde_json::Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }
}

impl World {
    /// A world in which nothing is written until somebody says so.
    pub(in crate::admin) fn still(held: &[Held], runs: Vec<RunRecord>) -> Self {
        World::after(Vec::new(), held, runs)
    }

    /// The same, in which the journal begins with these events too.
    pub(in crate::admin) fn after(events: Vec<Entry>, held: &[Held], runs: Vec<RunRecord>) -> Self {
        let terms = Arc::new(terms());
        let workflow = Arc::new(workflow(Arc::clone(&terms)));
        let policies = Arc::new(PolicySet {
            version: Digest::new([7; 32]),
            apis: BTreeMap::new(),
            workflows: BTreeMap::from([(workflow.name.clone(), workflow)]),
            signals: signals(),
        });
        let journal = MemoryJournal::new();
        let accepted = Event::PolicyAccepted {
            version: policies.version,
            terms: Ledger::terms(&policies),
            policies: "{}".into(),
        };
        drop(
            journal
                .append(Entry {
                    at: NOW.minus(hours(2)),
                    workflow: None,
                    event: accepted,
                })
                .durable,
        );
        for event in events {
            drop(journal.append(event).durable);
        }
        for run in runs {
            if run.mark == Mark::Unacceptable {
                let reference = crate::gate::run::RunRef {
                    agent: run.agent.clone(),
                    run: run.run.clone().unwrap(),
                };
                let booked = Event::Booked {
                    run: reference,
                    high: run.high,
                    charges: run.charges.clone(),
                    observed: run.observed,
                };
                drop(
                    journal
                        .append(Entry {
                            at: run.booked_at,
                            workflow: Some(TRIAGE.into()),
                            event: booked,
                        })
                        .durable,
                );
            }
            journal.record(run);
        }
        for request in held {
            let event = Event::Held(Box::new(request.clone()));
            drop(
                journal
                    .append(Entry {
                        at: NOW.minus(minutes(1)),
                        workflow: Some(TRIAGE.into()),
                        event,
                    })
                    .durable,
            );
        }
        journal.write();
        let clock = Arc::new(Still(AtomicI64::new(NOW.as_millis())));
        let ledger = Arc::new(Ledger::new(
            &journal.state(),
            Arc::clone(&policies),
            Arc::clone(&journal) as _,
            clock,
            Capacity { holds: 100 },
        ));
        ledger.install(policies).unwrap();
        let projection: Arc<dyn Projection> = Arc::clone(&ledger) as _;
        journal.project(Arc::downgrade(&projection));
        let metrics = Arc::<Metrics>::default();
        let people = [
            ("vera", Role::Viewer),
            ("rob", Role::Reporter),
            ("dana", Role::Reviewer),
            ("eli", Role::Reviewer),
            ("triage-bot", Role::Reviewer),
        ];
        let person = |(name, role): (&str, Role)| Person {
            name: name.into(),
            role,
            token: auth::digest(&token(name)),
        };
        let auth = Arc::new(Auth::new(&token("operator"), people.map(person).into()));
        let mut world = World {
            ledger,
            journal,
            metrics,
            router: Router::new(),
            auth,
            writer: None,
        };
        world.router = router(world.admin());
        world
    }

    /// What the admin API is given in this world.
    pub(in crate::admin) fn admin(&self) -> Admin {
        Admin {
            ledger: Arc::clone(&self.ledger),
            records: Arc::clone(&self.journal) as _,
            auth: Arc::clone(&self.auth),
            health: Arc::new(Well),
            metrics: Arc::clone(&self.metrics),
            open_metrics: false,
        }
    }

    /// A world with a thread that writes.
    pub(in crate::admin) fn new(held: &[Held], runs: Vec<RunRecord>) -> Self {
        World::still(held, runs).writing()
    }

    /// With a thread that writes.
    pub(in crate::admin) fn writing(mut self) -> Self {
        let journal = Arc::clone(&self.journal);
        self.writer = Some(std::thread::spawn(move || journal.write_until_closed()));
        self
    }

    pub(in crate::admin) async fn get(&self, who: &str, path: &str) -> Answer {
        self.send(
            Request::get(path)
                .header(header::AUTHORIZATION, bearer(who))
                .body(Body::empty())
                .unwrap(),
        )
        .await
    }

    pub(in crate::admin) async fn post(&self, who: &str, path: &str, body: &str) -> Answer {
        let request = Request::post(path)
            .header(header::AUTHORIZATION, bearer(who))
            .header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(Body::from(body.to_owned())).unwrap())
            .await
    }

    pub(in crate::admin) async fn send(&self, mut request: Request<Body>) -> Answer {
        request
            .headers_mut()
            .entry(header::HOST)
            .or_insert("127.0.0.1:9901".parse().unwrap());
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text,
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.journal.close();
        if let Some(writer) = self.writer.take() {
            writer.join().unwrap();
        }
    }
}

pub(in crate::admin) fn token(name: &str) -> String {
    format!("token-of-{name}")
}

pub(in crate::admin) fn bearer(name: &str) -> String {
    format!("Bearer {}", token(name))
}

/// A held refund of 501.00, whose amount no binary64 holds in this spelling.
pub(in crate::admin) fn held(number: u128, needed: u32) -> Held {
    Held {
        approval: ApprovalId::from_bits(number),
        run: "case-1".into(),
        call: CallId::from_bits(number),
        agent: "triage-bot".into(),
        tool: REFUND.into(),
        risk: Risk::High,
        target: "POST /refunds".into(),
        args: Some(r#"{"amount":501.00000000000000000001,"order":"A-1001"}"#.into()),
        body: None,
        bound: BoundTo::default(),
        subject: Some("A-1001".into()),
        digest: Digest::new([u8::try_from(number).unwrap(); 32]),
        rule: "hold_when".into(),
        location: Some(SourceLocation {
            file: "policies/payments.yaml".into(),
            line: 12,
        }),
        reason: "the amount is above 500".into(),
        needed,
        expires_at: NOW.plus(hours(1)),
        escalate: None,
        grant: minutes(10),
        steps: Vec::new(),
    }
}

/// A booked run of one refund.
pub(in crate::admin) fn run(
    name: &str,
    agent: &str,
    mark: Mark,
    ago: Duration,
    modes: &[FailureMode],
) -> RunRecord {
    let at = NOW.minus(ago);
    let call = CallId::from_bits(u128::from(name.bytes().map(u64::from).sum::<u64>()));
    let charge = |mode: &FailureMode| Charge {
        mode: mode.clone(),
        source: Source::Wire,
        by: None,
        call: Some(call),
        tool: Some(REFUND.into()),
        note: None,
        reference: None,
    };
    RunRecord {
        workflow: TRIAGE.into(),
        agent: agent.into(),
        run: Some(name.into()),
        started: at.minus(minutes(1)),
        ended: at,
        booked_at: at,
        mark,
        high: true,
        observed: RunFlags::NONE,
        charges: modes.iter().map(charge).collect(),
        calls: vec![CallRecord {
            call,
            at,
            tool: ToolName::from(REFUND),
            risk: Risk::High,
            verdict: Verdict::Allow,
            executed: if modes.contains(&FailureMode::Timeout) {
                Executed::Unknown
            } else {
                Executed::Yes
            },
            rule: None,
            status: 200,
            subject: Some(name.to_uppercase().into()),
            args: None,
        }],
    }
}

/// An operator's clamp, as the journal has it.
pub(in crate::admin) fn clamped(to: &str) -> Event {
    Event::Clamped(Clamp {
        to: to.into(),
        by: "operator".into(),
        reason: "drill".into(),
        at: NOW,
        until: None,
    })
}

/// Signals that need a reporter's token, of which one names no tool and no workflow.
fn signals() -> BTreeMap<crate::gate::name::SignalName, Arc<crate::gate::policy::Signal>> {
    const POLICIES: &str = r#"
api: payments
upstream: http://127.0.0.1:1
tools: [{ tool: refund, match: POST /refunds, risk: high }]
---
{ workflow: support-triage, risk: medium, tools: [payments/refund] }
---
{ signal: corrected, when: 'body.kind == "correction"', subject: body.order, mode: major_correction, note: body.text }
---
{ signal: wrong, workflow: support-triage, run: body.run, mode: wrong_action, ref: body.id }
"#;
    let files = [crate::config::SourceFile::new("p.yaml", POLICIES)];
    crate::config::load(&files, &crate::config::Process::default(), NOW)
        .unwrap()
        .policies
        .signals
}

fn terms() -> Terms {
    let mut unacceptable = default_unacceptable(Tier::Medium);
    unacceptable.insert(FailureMode::from("wrong_tone"));
    Terms {
        tier: Tier::Medium,
        was: None,
        objective: Objective {
            target_ppm: 970_000,
            window: days(30),
            expected_runs: 1_000,
            expected_written: true,
            unacceptable,
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
            within: days(90),
            drop: 1,
        },
        reads_only: false,
        grant: minutes(10),
        check: None,
        earn: crate::gate::earn::Earn::default(),
        reach: BTreeSet::new(),
    }
}

fn workflow(terms: Arc<Terms>) -> Workflow {
    Workflow {
        name: WorkflowName::from(TRIAGE),
        terms,
        tools: BTreeSet::from([REFUND.into()]),
        unlisted: Verdict::Deny,
        run: RunRules {
            key: None,
            lease: minutes(15),
            max: hours(1),
            calls: 1_000,
            repeats: 10,
            finish_required: false,
        },
        hold: HoldRules {
            wait: Duration::ZERO,
            wait_mcp: Duration::ZERO,
            expires: hours(1),
            grant: minutes(10),
            approvals_high: 1,
            approvals: 1,
            inbox: Inbox::default(),
            escalate: None,
        },
        skips: Vec::new(),
        validation: Validation::Schemas,
        exposure: false,
        retries: 0,
        record_arguments: false,
        disclose_remaining: true,
        mode: Mode::Enforce,
        location: SourceLocation {
            file: "policies/triage.yaml".into(),
            line: 1,
        },
    }
}
