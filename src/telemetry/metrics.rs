//! Metrics as Prometheus reads them, put together when they are scraped.
//!
//! What the ledger knows is read from it at that moment. What it does not keep (how many runs were
//! booked so since the start) is counted here, from the entries that the journal has made durable.
//! Counters start at zero with the process and never go down: a run that was counted as acceptable
//! and is reported later is counted as unacceptable as well; what the budget says of it now is in
//! the gauges.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::exposition::{Labels, OTHER, count, counters, gauges, shown, sorted};
use super::histogram::Histogram;
use super::people::People;
use crate::api;
use crate::api::Decimal;
use crate::api::numbers::{MetricRates as Ratios, RateDetail};
use crate::gate::budget::posture::Posture;
use crate::gate::event::{Entry, Event};
use crate::gate::name::{ApiName, SignalName, WorkflowName};
use crate::gate::run::{Charge, Mark};
use crate::gate::verdict::Verdict;
use crate::gate::workflow::WorkflowState;
use crate::ledger::Ledger;
use crate::ledger::people::views::View;

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The most failure modes with a label of their own, over all workflows. Later ones are counted
/// under [`OTHER`].
pub const MAX_MODES: usize = 10_000;

/// Bounds of decision times in microseconds: a decision takes microseconds, unless it waits for the
/// disk.
const DECISION: [u64; 14] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 1_000_000,
];
/// Bounds of upstream times in microseconds: from a neighbour on the same host to a tool that takes
/// a minute.
const UPSTREAM: [u64; 12] = [
    5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000, 60_000_000,
];

/// Everything that is counted since the process started.
#[derive(Debug)]
pub struct Metrics {
    runs: DashMap<(WorkflowName, &'static str), AtomicU64>,
    failures: DashMap<(WorkflowName, Arc<str>), AtomicU64>,
    signals: DashMap<(SignalName, &'static str), AtomicU64>,
    decision: Histogram<14>,
    upstream: Histogram<12>,
    /// Calls sent again, and reads that a fallback answered. As many as there are tool APIs.
    pursued: DashMap<ApiName, [AtomicU64; 2]>,
    lag: AtomicU64,
    people: People,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics {
            runs: DashMap::new(),
            failures: DashMap::new(),
            signals: DashMap::new(),
            decision: Histogram::new(&DECISION),
            upstream: Histogram::new(&UPSTREAM),
            pursued: DashMap::new(),
            lag: AtomicU64::new(0),
            people: People::default(),
        }
    }
}

impl Metrics {
    /// Counts what a durable journal entry says.
    pub fn observe(&self, entry: &Entry) {
        let Some(workflow) = &entry.workflow else {
            return;
        };
        match &entry.event {
            Event::Tallied { cells } => {
                for cell in cells {
                    self.count_runs(workflow, Mark::Acceptable, cell.runs);
                    self.count_runs(workflow, Mark::Idle, cell.idle);
                    for (mode, count) in &cell.modes {
                        self.count_failures(workflow, mode.as_str(), *count);
                    }
                }
            }
            Event::Booked { charges, .. } => {
                self.count_runs(workflow, Mark::Unacceptable, 1);
                let modes: BTreeSet<_> = charges.iter().map(|Charge { mode, .. }| mode).collect();
                for mode in modes {
                    self.count_failures(workflow, mode.as_str(), 1);
                }
            }
            Event::Reported { revision, charge } => {
                if revision.was != revision.now {
                    self.count_runs(workflow, revision.now, 1);
                }
                self.count_failures(workflow, charge.mode.as_str(), 1);
            }
            Event::Excluded { .. } => self.count_runs(workflow, Mark::Excluded, 1),
            _ => {}
        }
    }

    /// Counts what a durable journal entry says of people; `state` is what the journal adds up to
    /// behind it.
    pub fn observe_people(&self, entry: &Entry, state: &WorkflowState) {
        if let Some(workflow) = &entry.workflow {
            self.people.observe(workflow, entry, state);
        }
    }

    /// A delivery of a signal that a policy names came to this: booked, repeated, unmatched,
    /// ambiguous, failed or refused.
    pub fn signal(&self, signal: &SignalName, outcome: &'static str) {
        self.signals
            .entry((signal.clone(), outcome))
            .or_default()
            .fetch_add(1, Ordering::Relaxed);
    }

    /// A call was decided on in this time.
    pub fn decision(&self, took: Duration) {
        self.decision.observe(took);
    }

    /// A tool API answered after this time.
    pub fn upstream(&self, took: Duration) {
        self.upstream.observe(took);
    }

    /// A call of `api` was sent again.
    pub fn retried(&self, api: &ApiName) {
        self.pursued.entry(api.clone()).or_default()[0].fetch_add(1, Ordering::Relaxed);
    }

    /// A fallback answered a call of `api`.
    pub fn fell_back(&self, api: &ApiName) {
        self.pursued.entry(api.clone()).or_default()[1].fetch_add(1, Ordering::Relaxed);
    }

    /// How long the oldest entry that is not on disk yet has waited.
    pub fn journal_lag(&self, lag: Duration) {
        self.lag.store(
            u64::try_from(lag.as_micros()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
    }

    /// Everything as it stands now, in the text that Prometheus reads.
    pub fn render(self: &Arc<Self>, ledger: &Ledger) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        let calls = ledger.verdict_counts();
        let mut calls: Vec<_> = calls
            .into_iter()
            .flat_map(|(workflow, tool, counts)| {
                [Verdict::Allow, Verdict::Hold, Verdict::Deny].map(|verdict| {
                    let labels = vec![
                        ("workflow", workflow.to_string()),
                        ("tool", tool.to_string()),
                        ("verdict", verdict.as_str().to_owned()),
                    ];
                    (labels, counts.get(verdict))
                })
            })
            .collect();
        calls.sort();
        let workflows = ledger
            .views()
            .iter()
            .map(|(name, view)| Gauges::of(name, view))
            .collect();
        registry.register_collector(Box::new(Scrape {
            metrics: Arc::clone(self),
            calls,
            workflows,
        }));
        let mut text = String::new();
        text::encode(&mut text, &registry)?;
        Ok(text)
    }

    fn count_runs(&self, workflow: &WorkflowName, mark: Mark, count: u64) {
        if count > 0 {
            self.runs
                .entry((workflow.clone(), mark.as_str()))
                .or_default()
                .fetch_add(count, Ordering::Relaxed);
        }
    }

    fn count_failures(&self, workflow: &WorkflowName, mode: &str, count: u64) {
        let mut key = (workflow.clone(), mode.into());
        // The bound is looked at outside the entry: a shard of the map must not be locked while the
        // others are counted.
        if self.failures.len() >= MAX_MODES && !self.failures.contains_key(&key) {
            key.1 = OTHER.into();
        }
        self.failures
            .entry(key)
            .or_default()
            .fetch_add(count, Ordering::Relaxed);
    }
}

/// One workflow's gauges at the moment of a scrape.
#[derive(Debug)]
struct Gauges {
    workflow: String,
    api: api::workflow::WorkflowView,
    levels: Vec<String>,
    pending: usize,
}

impl Gauges {
    fn of(name: &WorkflowName, view: &View) -> Self {
        let mode = view.handle.as_ref().map(|handle| handle.policy.mode);
        Gauges {
            workflow: name.to_string(),
            api: api::workflow::WorkflowView::of(name, mode, &view.state, &view.status),
            levels: view
                .state
                .terms()
                .ladder
                .rungs()
                .iter()
                .map(|rung| rung.level.to_string())
                .collect(),
            pending: view.state.approvals().pending(),
        }
    }
}

/// Everything at the moment of a scrape, in the order in which it is written.
#[derive(Debug)]
struct Scrape {
    metrics: Arc<Metrics>,
    calls: Vec<(Labels, u64)>,
    workflows: Vec<Gauges>,
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.counters(&mut encoder)?;
        self.budgets(&mut encoder)?;
        self.numbers(&mut encoder)?;
        self.metrics.people.encode(&mut encoder)?;
        let decision =
            "Time that the gate took to decide on a call, waiting for the disk included.";
        self.metrics.decision.encode(encoder.encode_descriptor(
            "burngate_decision_seconds",
            decision,
            None,
            MetricType::Histogram,
        )?)?;
        let upstream = "Time that tool APIs took until their answer began.";
        self.metrics.upstream.encode(encoder.encode_descriptor(
            "burngate_upstream_seconds",
            upstream,
            None,
            MetricType::Histogram,
        )?)?;
        let lag = Duration::from_micros(self.metrics.lag.load(Ordering::Relaxed)).as_secs_f64();
        let help = "How long the oldest entry that is not on disk has waited.";
        encoder
            .encode_descriptor(
                "burngate_journal_lag_seconds",
                help,
                None,
                MetricType::Gauge,
            )?
            .encode_gauge(&lag)?;
        let mut build = encoder.encode_descriptor(
            "burngate_build",
            "The program that runs.",
            None,
            MetricType::Info,
        )?;
        build.encode_info(&[("version", env!("CARGO_PKG_VERSION"))])
    }
}

impl Scrape {
    fn counters(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let runs = self.metrics.runs.iter().map(|entry| {
            let ((workflow, outcome), count) = entry.pair();
            (
                vec![
                    ("workflow", workflow.to_string()),
                    ("outcome", (*outcome).to_owned()),
                ],
                count.load(Ordering::Relaxed),
            )
        });
        counters(
            encoder,
            "burngate_runs",
            "Runs booked, by what they were booked as. Idle runs do not count.",
            sorted(runs),
        )?;
        let failures = self.metrics.failures.iter().map(|entry| {
            let ((workflow, mode), count) = entry.pair();
            (
                vec![
                    ("workflow", workflow.to_string()),
                    ("mode", mode.to_string()),
                ],
                count.load(Ordering::Relaxed),
            )
        });
        counters(
            encoder,
            "burngate_failures",
            "Failure modes seen or reported, counted against the budget or not.",
            sorted(failures),
        )?;
        let signals = self.metrics.signals.iter().map(|entry| {
            let ((signal, outcome), count) = entry.pair();
            (
                vec![
                    ("signal", signal.to_string()),
                    ("outcome", (*outcome).to_owned()),
                ],
                count.load(Ordering::Relaxed),
            )
        });
        let signals = sorted(signals);
        if !signals.is_empty() {
            counters(
                encoder,
                "burngate_signals",
                "Deliveries of signals, by what they came to.",
                signals,
            )?;
        }
        counters(
            encoder,
            "burngate_calls",
            "Calls judged, by verdict.",
            self.calls.clone(),
        )?;
        let pursued = |index: usize| {
            let count = move |counts: &[AtomicU64; 2]| counts[index].load(Ordering::Relaxed);
            sorted(
                self.metrics
                    .pursued
                    .iter()
                    .map(|entry| (vec![("api", entry.key().to_string())], count(entry.value()))),
            )
        };
        counters(
            encoder,
            "burngate_retries",
            "Calls sent again after their tool API failed them.",
            pursued(0),
        )?;
        counters(
            encoder,
            "burngate_fallbacks",
            "Reads that a fallback answered for their tool API.",
            pursued(1),
        )
    }

    fn budgets(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let remaining = self
            .workflows
            .iter()
            .map(|gauges| (of(gauges, []), shown(gauges.api.budget.remaining)));
        gauges(
            encoder,
            "burngate_budget_remaining_ratio",
            "What remains of the budget; negative once overdrawn.",
            remaining,
        )?;
        let rates = self.workflows.iter().flat_map(|gauges| {
            let in_force = gauges
                .api
                .burn_rate
                .iter()
                .filter_map(|(window, rate)| Some((window, rate?)));
            in_force
                .map(|(window, rate)| (of(gauges, [("window", window)]), shown(rate)))
                .collect::<Vec<_>>()
        });
        gauges(
            encoder,
            "burngate_burn_rate",
            "How fast the budget is being spent; at 1 it lasts exactly its window.",
            rates,
        )?;
        let postures = self.workflows.iter().flat_map(|gauges| {
            Posture::ALL.map(|posture| {
                (
                    of(gauges, [("posture", posture.as_str())]),
                    f64::from(u8::from(gauges.api.posture == posture.as_str())),
                )
            })
        });
        gauges(
            encoder,
            "burngate_posture",
            "1 for the posture the budget is in.",
            postures,
        )?;
        let levels = self.workflows.iter().flat_map(|gauges| {
            let is_on = |level: &String| f64::from(u8::from(gauges.api.level.effective == *level));
            gauges
                .levels
                .iter()
                .map(move |level| (of(gauges, [("level", level)]), is_on(level)))
        });
        gauges(
            encoder,
            "burngate_level",
            "1 for the effective level.",
            levels,
        )
    }

    fn numbers(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        type RatioOf = fn(&Ratios) -> Option<Decimal>;
        let numbers: [(&str, &str, RatioOf); 4] = [
            (
                "burngate_success_ratio",
                "Acceptable runs of those counted.",
                |metrics| metrics.success_rate,
            ),
            (
                "burngate_correction_ratio",
                "Runs that a person had to correct materially; absent until something was checked.",
                |metrics| metrics.correction_rate,
            ),
            (
                "burngate_escalation_miss_ratio",
                "Runs that should have escalated and did not; absent while nothing should have.",
                |m| m.escalation_miss_rate,
            ),
            (
                "burngate_rework_ratio",
                "Runs that caused duplicate, undone or follow-on work.",
                |metrics| metrics.rework_rate,
            ),
        ];
        for (name, help, number) in numbers {
            let known = self.workflows.iter().filter_map(|gauges| {
                Some((of(gauges, []), shown(number(&gauges.api.numbers.metrics)?)))
            });
            gauges(encoder, name, help, known)?;
        }
        let parts = |part: fn(&RateDetail) -> u64| {
            self.workflows.iter().flat_map(move |gauges| {
                let detail = &gauges.api.numbers.metrics_detail;
                let rates = [
                    ("success", &detail.success_rate),
                    ("correction", &detail.correction_rate),
                    ("escalation_miss", &detail.escalation_miss_rate),
                    ("rework", &detail.rework_rate),
                ];
                rates.map(|(number, rate)| (of(gauges, [("number", number)]), count(part(rate))))
            })
        };
        gauges(
            encoder,
            "burngate_number_numerator",
            "How many runs of the budget's window one of the four numbers counts.",
            parts(|rate| rate.numerator),
        )?;
        gauges(
            encoder,
            "burngate_number_denominator",
            "Of how many runs.",
            parts(|rate| rate.denominator),
        )?;
        let checked = self
            .workflows
            .iter()
            .map(|gauges| (of(gauges, []), count(gauges.api.budget.checked)));
        gauges(
            encoder,
            "burngate_checked_runs",
            "Counted runs of the budget's window that somebody judged.",
            checked,
        )?;
        let pending = self.workflows.iter().map(|gauges| {
            (
                of(gauges, []),
                f64::from(u32::try_from(gauges.pending).unwrap_or(u32::MAX)),
            )
        });
        gauges(
            encoder,
            "burngate_approvals_pending",
            "Held calls that wait for a reviewer.",
            pending,
        )
    }
}

fn of<const N: usize>(gauges: &Gauges, labels: [(&'static str, &str); N]) -> Labels {
    let own = labels
        .into_iter()
        .map(|(name, value)| (name, value.to_owned()));
    std::iter::once(("workflow", gauges.workflow.clone()))
        .chain(own)
        .collect()
}
