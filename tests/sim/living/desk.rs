//! A ledger, a journal that is written when the test says so, and the hands of a clock.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::Hasher;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use burngate::clock::{Clock, GateClock, TimeSource};
use burngate::gate::approval::{BoundTo, Decision, DecisionKind};
use burngate::gate::dedup::Amount;
use burngate::gate::digest::Digest;
use burngate::gate::event::{Entry, Event};
use burngate::gate::level::Validation;
use burngate::gate::location::SourceLocation;
use burngate::gate::name::{ApprovalId, CallId};
use burngate::gate::outcome::{FailureMode, Source};
use burngate::gate::policy::condition::ConditionScope;
use burngate::gate::policy::dedup::{Duplicate, Limit, Per, Reverses, Twice};
use burngate::gate::policy::facts::{Ambiguous, Lookup, Nothing};
use burngate::gate::policy::finding::RuleName;
use burngate::gate::policy::{
    Api, BodyKind, Condition, DedupRules, HoldRules, Inbox, Mode, Mount, NamedMembers, Overrides,
    Pattern, PolicySet, Protocol, Rule, RunRules, Schema, Skip, Tool, Upstream, Workflow,
};
use burngate::gate::risk::{Risk, Tier};
use burngate::gate::run::{Charge, Executed};
use burngate::gate::run_flags::RunFlags;
use burngate::gate::state::State;
use burngate::gate::terms::Terms;
use burngate::gate::time::{Time, days, hours, minutes};
use burngate::gate::verdict::Verdict;
use burngate::journal::memory::MemoryJournal;
use burngate::journal::port::{Journal as _, Projection};
use burngate::journal::read::{EntryFilter, Records as _, RunFilter, RunView};
use burngate::journal::receipt::Receipt;
use burngate::journal::unavailable::Unavailable;
use burngate::ledger::call::in_flight::InFlightCall;
use burngate::ledger::call::input::{DecisionInput, ReviewView};
use burngate::ledger::call::outcome::Admit;
use burngate::ledger::call::permit::Permit;
use burngate::ledger::{Capacity, Ledger, WorkflowHandle};
use burngate::wire::Malformed;

use super::handover::Handover;
use crate::world::{START, terms};

/// The hands of a clock: wall and boot.
#[derive(Clone, Default)]
pub(crate) struct Moved(Arc<[AtomicI64; 2]>);

impl TimeSource for Moved {
    fn wall(&self) -> i64 {
        self.0[0].load(Ordering::SeqCst)
    }

    fn boot(&self) -> i64 {
        self.0[1].load(Ordering::SeqCst)
    }
}

/// What a receipt has answered so far.
pub(crate) struct Answer<T>(Arc<Mutex<Option<Option<T>>>>);

impl<T: Send + Clone + 'static> Answer<T> {
    pub(crate) fn of(receipt: Receipt<T>) -> Self {
        let slot = Arc::new(Mutex::new(None));
        let filled = Arc::clone(&slot);
        receipt.then(move |answer| *filled.lock().unwrap() = Some(answer));
        Answer(slot)
    }

    pub(crate) fn get(&self) -> Option<T> {
        self.0.lock().unwrap().clone().flatten()
    }
}

pub(crate) type Written = Answer<Result<(), Unavailable>>;

struct RunCounts(u8);

impl ReviewView for RunCounts {
    fn digest(&self, _: &str, _: &str) -> Option<Digest> {
        Some(Digest::new([self.0; 32]))
    }

    fn hash_call(&self, into: &mut dyn Hasher) -> bool {
        into.write_u8(self.0);
        true
    }

    fn target(&self) -> String {
        "POST /".to_owned()
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

struct Order(&'static str);

impl Lookup for Order {
    fn find(&self, name: &str) -> Result<Option<Cow<'_, str>>, Ambiguous> {
        Ok((name == "order").then_some(Cow::Borrowed(self.0)))
    }
}

/// How a workflow differs from the default.
#[derive(Clone)]
pub(crate) struct Rules {
    pub(crate) terms: Terms,
    pub(crate) tools: Vec<&'static str>,
    pub(crate) mode: Mode,
    pub(crate) calls: u32,
    pub(crate) repeats: u32,
    pub(crate) exposure: bool,
    pub(crate) finish_required: bool,
    pub(crate) people: u32,
    pub(crate) inbox: Inbox,
    /// Without conditions.
    pub(crate) skips: Vec<(&'static str, &'static str, RuleName)>,
}

impl Default for Rules {
    fn default() -> Self {
        let tools = vec![
            "api/look", "api/note", "api/mail", "api/pay", "api/ban", "api/form",
        ];
        Rules {
            terms: terms(Tier::Medium, 970_000),
            tools,
            mode: Mode::Enforce,
            calls: 1_000,
            repeats: 1_000_000,
            exposure: false,
            finish_required: false,
            people: 1,
            inbox: Inbox {
                run: 1_000,
                agent: 1_000,
                workflow: 1_000,
            },
            skips: Vec::new(),
        }
    }
}

pub(crate) struct Desk {
    source: Moved,
    pub(crate) clock: Arc<GateClock<Moved>>,
    pub(crate) journal: Arc<MemoryJournal>,
    /// The way from the ledger to the journal.
    pub(crate) handover: Arc<Handover>,
    pub(crate) ledger: Arc<Ledger>,
    policies: Arc<PolicySet>,
    api: Arc<Api>,
    calls: AtomicU64,
}

pub(crate) const LEASE: Duration = minutes(15);

fn location() -> SourceLocation {
    SourceLocation {
        file: "p.yaml".into(),
        line: 1,
    }
}

/// How long the rules last that are in shadow: conditions on the order of `api/tried`, `api/pay`
/// and `api/ban`, and what `api/tried` did before.
pub(crate) const SHADOW: Duration = days(30);

fn in_shadow() -> Mode {
    Mode::Shadow {
        until: Time::from_millis(START).plus(SHADOW),
    }
}

fn tried(tools: &[&str], name: &str, order: &str) -> Option<Rule> {
    let condition = || {
        Condition::compile(
            &format!("query.order == '{order}'"),
            ConditionScope::Request,
        )
        .unwrap()
    };
    tools.contains(&name).then(|| Rule {
        condition: condition(),
        mode: in_shadow(),
        location: location(),
    })
}

/// How many calls of `api/few` an agent may make in an hour, in all its workflows.
pub(crate) const FEW: u32 = 50;

/// `api/once` and `api/twin` are not done twice about the same order, `api/undo` undoes `api/once`,
/// and `api/few` is counted.
fn dedup(name: &str) -> Option<Box<DedupRules>> {
    let order = || Condition::compile("query.order", ConditionScope::Request).unwrap();
    let rules = match name {
        "api/once" | "api/twin" => DedupRules {
            duplicate: Some(Duplicate {
                key: vec![order()],
                within: hours(24),
                verdict: Twice::Deny,
                mode: Mode::Enforce,
                location: location(),
            }),
            reversed_within: Some(days(7)),
            ..DedupRules::default()
        },
        "api/undo" => DedupRules {
            reverses: Some(Reverses {
                tool: "api/once".into(),
                within: days(7),
                location: location(),
            }),
            ..DedupRules::default()
        },
        "api/tried" => {
            let most = Amount::parse("5");
            let limit = Limit {
                sum: None,
                per: Per::Agent,
                within: hours(1),
                hold_above: most,
                deny_above: None,
                mode: in_shadow(),
                location: location(),
            };
            let duplicate = Duplicate {
                key: vec![order()],
                within: hours(24),
                verdict: Twice::Deny,
                mode: in_shadow(),
                location: location(),
            };
            DedupRules {
                duplicate: Some(duplicate),
                limits: vec![limit],
                ..DedupRules::default()
            }
        }
        "api/few" => {
            let few = Amount::parse(&FEW.to_string());
            let limit = Limit {
                sum: None,
                per: Per::Agent,
                within: hours(1),
                hold_above: None,
                deny_above: few,
                mode: Mode::Enforce,
                location: location(),
            };
            DedupRules {
                limits: vec![limit],
                ..DedupRules::default()
            }
        }
        _ => return None,
    };
    Some(Box::new(rules))
}

fn tool(name: &str, risk: Risk) -> Arc<Tool> {
    Arc::new(Tool {
        name: name.into(),
        pattern: Pattern::http(&format!("POST /{name}")).unwrap(),
        risk,
        subject: Some(Condition::compile("query.order", ConditionScope::Request).unwrap()),
        arguments: (name == "api/form")
            .then(|| Schema::compile(serde_json::json!({"type": "object"})).unwrap()),
        parameters: Vec::new(),
        deny_when: tried(&["api/tried", "api/pay", "api/ban"], name, "deny"),
        hold_when: tried(&["api/tried", "api/pay"], name, "hold"),
        escalate_when: if name == "api/move" {
            Some(Rule {
                condition: Condition::compile("query.order == 'A-9'", ConditionScope::Request)
                    .unwrap(),
                mode: Mode::Enforce,
                location: location(),
            })
        } else {
            tried(&["api/tried"], name, "escalate")
        },
        failure_when: None,
        dedup: dedup(name),
        always: None,
        forbidden: name == "api/ban",
        escalation: name == "api/ask",
        volume: None,
        concurrency: (name == "api/move").then_some(1),
        idempotent: false,
        size: None,
        body: BodyKind::Json,
        binds: Vec::new(),
        members: NamedMembers::default(),
        timeout: minutes(1),
        fallback: None,
        mode: Mode::Enforce,
        definition: Digest::new([0; 32]),
        location: location(),
    })
}

pub(crate) fn policies(workflows: &[(&str, Rules)]) -> (Arc<PolicySet>, Arc<Api>) {
    let risks = [
        ("api/look", Risk::Read),
        ("api/note", Risk::Low),
        ("api/mail", Risk::Medium),
        ("api/pay", Risk::High),
        ("api/ban", Risk::Low),
        ("api/form", Risk::Low),
        ("api/ask", Risk::Low),
        ("api/move", Risk::Medium),
        ("api/once", Risk::Low),
        ("api/twin", Risk::Medium),
        ("api/undo", Risk::Low),
        ("api/few", Risk::Low),
        ("api/tried", Risk::Low),
    ];
    let api = Arc::new(Api {
        name: "api".into(),
        protocol: Protocol::Http,
        upstream: Upstream {
            tls: false,
            host: "localhost".into(),
            port: 1,
            base: "".into(),
        },
        mount: Mount::Route("/".into()),
        overrides: Overrides::default(),
        credentials: Vec::new(),
        tools: risks.map(|(name, risk)| tool(name, risk)).into(),
        timeout: minutes(1),
        location: location(),
    });
    let workflow = |(name, rules): &(&str, Rules)| {
        let workflow = Workflow {
            name: (*name).into(),
            terms: Arc::new(rules.terms.clone()),
            tools: rules.tools.iter().map(|tool| (*tool).into()).collect(),
            unlisted: Verdict::Deny,
            run: RunRules {
                key: None,
                lease: LEASE,
                max: hours(1),
                calls: rules.calls,
                repeats: rules.repeats,
                finish_required: rules.finish_required,
            },
            hold: HoldRules {
                wait: minutes(1),
                wait_mcp: minutes(1),
                expires: hours(1),
                grant: minutes(10),
                approvals_high: rules.people,
                approvals: 1,
                inbox: rules.inbox,
                escalate: None,
            },
            validation: Validation::Schemas,
            skips: rules
                .skips
                .iter()
                .map(|(step, tool, rule)| Skip {
                    step: (*step).into(),
                    tool: (*tool).into(),
                    rule: *rule,
                    cases: None,
                })
                .collect(),
            exposure: rules.exposure,
            retries: 0,
            record_arguments: false,
            disclose_remaining: false,
            mode: rules.mode,
            location: location(),
        };
        (workflow.name.clone(), Arc::new(workflow))
    };
    let workflows: BTreeMap<_, _> = workflows.iter().map(workflow).collect();
    let set = PolicySet {
        version: Digest::new([9; 32]),
        apis: BTreeMap::from([("api".into(), Arc::clone(&api))]),
        workflows,
        signals: BTreeMap::new(),
    };
    (Arc::new(set), api)
}

pub(crate) fn accepted(policies: &PolicySet) -> Event {
    Event::PolicyAccepted {
        version: policies.version,
        terms: Ledger::terms(policies),
        policies: "{}".into(),
    }
}

impl Desk {
    pub(crate) fn new(rules: Rules) -> Self {
        Self::of(&[("refunds", rules)], 1_000, 1_000)
    }

    pub(crate) fn of(workflows: &[(&str, Rules)], holds: usize, open: usize) -> Self {
        let (policies, api) = policies(workflows);
        let source = Moved::default();
        source.0[0].store(START, Ordering::SeqCst);
        Self::start(MemoryJournal::new(), policies, api, source, holds, open)
    }

    fn start(
        journal: Arc<MemoryJournal>,
        policies: Arc<PolicySet>,
        api: Arc<Api>,
        source: Moved,
        holds: usize,
        open: usize,
    ) -> Self {
        let state: State = journal.state();
        let clock = Arc::new(GateClock::reading(source.clone(), state.now()));
        let handover = Handover::to(Arc::clone(&journal));
        let ledger = Ledger::new(
            &state,
            Arc::clone(&policies),
            handover.clone(),
            clock.clone(),
            Capacity { holds },
        )
        .with_open_runs(open);
        let ledger = Arc::new(ledger);
        let projection: Weak<dyn Projection> =
            Arc::downgrade(&(Arc::clone(&ledger) as Arc<dyn Projection>));
        journal.project(projection);
        drop(ledger.announce(Event::Started {
            version: "sim".into(),
            lost: false,
        }));
        drop(ledger.announce(accepted(&policies)));
        journal.write();
        ledger.install(Arc::clone(&policies)).unwrap();
        Desk {
            source,
            clock,
            journal,
            handover,
            ledger,
            policies,
            api,
            calls: AtomicU64::new(1),
        }
    }

    /// What a crash leaves: the first `kept` entries of the journal, and calls that nobody knows
    /// the end of, settled as a start settles them.
    pub(crate) fn crash(&self, kept: usize) -> Self {
        let mut entries = self.entries();
        // What follows from an entry is written with it or not at all.
        let followed = entries[kept..]
            .iter()
            .take_while(|entry| matches!(entry.event, Event::Followed(_)))
            .count();
        entries.truncate(kept + followed);
        let journal = MemoryJournal::replayed(&entries);
        let at = journal.state().now();
        let open: Vec<_> = journal
            .state()
            .workflows()
            .flat_map(|(name, state)| {
                state
                    .open_calls()
                    .map(|(_, call)| (name.clone(), call.clone()))
            })
            .collect();
        for (name, call) in open {
            let entry = |event| Entry {
                at,
                workflow: Some(name.clone()),
                event,
            };
            drop(journal.append(entry(Event::Settled {
                call: call.call,
                executed: Executed::Unknown,
                undid: None,
            })));
            let booked = |known: &Entry| matches!(&known.event, Event::Booked { run, .. } if *run == call.run);
            if !entries.iter().any(booked) {
                let charges = vec![charge(FailureMode::Timeout, None)];
                drop(journal.append(entry(Event::Booked {
                    run: call.run,
                    high: call.risk == Risk::High,
                    charges,
                    observed: RunFlags::NONE,
                })));
            }
        }
        journal.write();
        let desk = Self::start(
            journal,
            Arc::clone(&self.policies),
            Arc::clone(&self.api),
            self.source.clone(),
            1_000,
            1_000,
        );
        desk.calls.store(
            self.calls.load(Ordering::SeqCst) + 1_000_000,
            Ordering::SeqCst,
        );
        desk
    }

    /// A process that starts on everything that this one wrote, runs included.
    pub(crate) fn restarted(&self) -> Self {
        self.journal.write();
        let desk = Self::start(
            Arc::clone(&self.journal),
            Arc::clone(&self.policies),
            Arc::clone(&self.api),
            self.source.clone(),
            1_000,
            1_000,
        );
        desk.calls.store(
            self.calls.load(Ordering::SeqCst) + 1_000_000,
            Ordering::SeqCst,
        );
        desk
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        let (mut entries, mut next) = (Vec::new(), Some(0));
        while let Some(after) = next {
            let filter = EntryFilter {
                after,
                limit: usize::MAX,
                ..EntryFilter::default()
            };
            let page = self.journal.entries(&filter).unwrap_or_default();
            entries.extend(page.views.into_iter().map(|view| view.entry));
            next = page.next;
        }
        entries
    }

    pub(crate) fn records(&self) -> Vec<RunView> {
        self.journal
            .runs(&RunFilter {
                limit: usize::MAX,
                ..RunFilter::default()
            })
            .unwrap()
    }

    /// Time passes, by wall and boot.
    pub(crate) fn pass(&self, span: Duration) {
        self.turn(span.as_millis() as i64, span.as_millis() as i64);
    }

    pub(crate) fn turn(&self, boot: i64, wall: i64) {
        self.source.0[0].fetch_add(wall, Ordering::SeqCst);
        self.source.0[1].fetch_add(boot, Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    pub(crate) fn handle(&self, workflow: &str) -> Arc<WorkflowHandle> {
        Arc::clone(
            &self.ledger.table().entries[&burngate::gate::name::WorkflowName::from(workflow)],
        )
    }

    pub(crate) fn open_call(&self, run: Option<&str>) -> Option<InFlightCall> {
        self.open_call_in("refunds", "clerk", run)
    }

    pub(crate) fn open_call_in(
        &self,
        workflow: &str,
        agent: &str,
        run: Option<&str>,
    ) -> Option<InFlightCall> {
        let call = CallId::from_bits(u128::from(self.calls.fetch_add(1, Ordering::SeqCst)));
        self.ledger.open_call(
            &self.handle(workflow),
            &agent.into(),
            run.map(Into::into),
            call,
            self.now(),
        )
    }

    pub(crate) fn admit(&self, call: InFlightCall, tool: &str, digest: u8) -> Admit {
        self.admit_about(call, tool, digest, "A-1")
    }

    pub(crate) fn admit_about(
        &self,
        call: InFlightCall,
        tool: &str,
        digest: u8,
        order: &'static str,
    ) -> Admit {
        self.asked(call, (tool, digest, order), |call, input| {
            self.ledger.admit(call, input, self.now())
        })
    }

    /// Judges a call by a time that may have passed since it was read.
    pub(crate) fn admit_at(&self, call: InFlightCall, tool: &str, digest: u8, at: Time) -> Admit {
        self.asked(call, (tool, digest, "A-1"), |call, input| {
            self.ledger.admit(call, input, at)
        })
    }

    /// May a call that was sent be sent once more?
    pub(crate) fn may_retry(&self, call: InFlightCall, tool: &str) -> bool {
        self.asked(call, (tool, 1, "A-1"), |call, input| {
            self.ledger.retry(call, input, self.now()).is_ok()
        })
    }

    fn asked<T>(
        &self,
        call: InFlightCall,
        (tool, digest, order): (&str, u8, &'static str),
        judge: impl FnOnce(InFlightCall, &DecisionInput<'_>) -> T,
    ) -> T {
        let query = Order(order);
        let agent = call.agent().clone();
        let found = self
            .api
            .tools
            .iter()
            .find(|known| known.name.as_str() == tool);
        let review = RunCounts(digest);
        let input = DecisionInput {
            agent: &agent,
            api: &self.api,
            tool: found,
            args: None,
            path: &Nothing,
            query: &query,
            header: &Nothing,
            review: &review,
        };
        judge(call, &input)
    }

    pub(crate) fn call(&self, run: Option<&str>, tool: &str, digest: u8) -> Admit {
        self.admit(self.open_call(run).unwrap(), tool, digest)
    }

    /// A call that goes through, and what came of it.
    pub(crate) fn done(&self, run: Option<&str>, tool: &str) -> CallId {
        let mut call = passed(self.call(run, tool, 1)).0.spend();
        let id = call.id();
        call.answered(200);
        drop(call);
        id
    }

    /// A call with this digest that goes through.
    pub(crate) fn done_with(&self, tool: &str, digest: u8) -> CallId {
        let mut call = passed(self.call(None, tool, digest)).0.spend();
        let id = call.id();
        call.answered(200);
        drop(call);
        id
    }

    pub(crate) fn done_about(&self, run: Option<&str>, tool: &str, order: &'static str) -> CallId {
        let mut call = passed(self.admit_about(self.open_call(run).unwrap(), tool, 1, order))
            .0
            .spend();
        let id = call.id();
        call.answered(200);
        drop(call);
        id
    }

    pub(crate) fn held(&self, digest: u8) -> ApprovalId {
        let Admit::Held { approval, .. } = self.call(None, "api/pay", digest) else {
            panic!("it was not held")
        };
        approval.request.approval
    }

    pub(crate) fn approved(&self, digest: u8) -> ApprovalId {
        let id = self.held(digest);
        drop(
            self.ledger
                .decide(id, &decision("ada", DecisionKind::Approve), None)
                .unwrap()
                .durable,
        );
        self.journal.write();
        id
    }
}

pub(crate) fn decision(who: &str, decision: DecisionKind) -> Decision {
    Decision {
        reviewer: who.into(),
        role: None,
        decision,
        reason: None,
        at: Time::default(),
        edit: None,
        void: false,
    }
}

pub(crate) fn charge(mode: FailureMode, reference: Option<&str>) -> Charge {
    Charge {
        mode,
        source: Source::Person,
        by: Some("ada".into()),
        call: None,
        tool: None,
        note: None,
        reference: reference.map(Into::into),
    }
}

pub(crate) fn passed(admit: Admit) -> (Permit, Option<Written>) {
    match admit {
        Admit::Pass { permit, durable } => (permit, durable.map(Answer::of)),
        Admit::Held { finding, .. } => panic!("held: {}", finding.detail),
        Admit::Refused { refusal, .. } => panic!("refused: {refusal:?}"),
        Admit::Unread { .. } => panic!("unread"),
        Admit::Edited { .. } => panic!("edited"),
        Admit::Answered { .. } => panic!("answered before"),
    }
}

pub(crate) fn refused(admit: Admit) -> burngate::ledger::call::refusal::Refusal {
    match admit {
        Admit::Refused { refusal, .. } => refusal,
        _ => panic!("it was not refused"),
    }
}
