//! What an agent gets when its call does not go through, before it is written as problem+json: one
//! situation, one slug, one status, and a sentence that says what to do next.
//!
//! The text that reaches an agent never repeats bytes of its request beyond names the policy knows,
//! and never tells what an upstream's error was.

use http::StatusCode;

use super::body::BodyError;
use super::identify::Unknown;
use super::outbound::BodyFailure;
use crate::api::problem::{Slug, UnavailableCause};
use crate::gate::approval::{Approval, Stage as ApprovalStage};
use crate::gate::dedup::CallStage;
use crate::gate::outcome::FailureMode;
use crate::gate::policy::finding::{Finding, RuleName};
use crate::gate::run::Executed;
use crate::gate::verdict::Verdict;
use crate::ledger::call::in_flight::{InFlightCall, Settlement};
use crate::ledger::call::refusal::{ReachedCap, Refusal};
use crate::ledger::dedup::DedupFinding;
use crate::ledger::dedup::plan::MAX_KEY;
use crate::wire::Malformed;

/// A call that did not go through, with everything that the agent gets to know about it.
#[derive(Debug, Clone)]
pub struct ProblemReply {
    /// Which problem.
    pub slug: Slug,
    /// The status.
    pub status: StatusCode,
    /// A sentence, with what to do next.
    pub detail: String,
    /// Whether the call was executed.
    pub executed: Executed,
    /// The verdict.
    pub verdict: Option<Verdict>,
    /// The rule that said so, with its place.
    pub finding: Option<Box<Finding>>,
    /// What is unavailable.
    pub cause: Option<UnavailableCause>,
    /// Seconds after which a repeat may help.
    pub retry_after: Option<u64>,
    /// The cap that it ran into.
    pub cap: Option<ReachedCap>,
    /// What was done before, where the call would do it again.
    pub before: Option<Box<DedupFinding>>,
    /// The failure modes that it books, with a note each.
    modes: Vec<(FailureMode, &'static str)>,
}

impl ProblemReply {
    fn new(slug: Slug, status: u16, detail: impl Into<String>) -> Self {
        ProblemReply {
            slug,
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            detail: detail.into(),
            executed: Executed::No,
            verdict: None,
            finding: None,
            cause: None,
            retry_after: None,
            cap: None,
            before: None,
            modes: Vec::new(),
        }
    }

    /// An answer of the gate's own paths, where no call is involved.
    #[must_use]
    pub fn own(slug: Slug, detail: &str) -> Self {
        Self::new(slug, slug.status(), detail)
    }

    /// No tool API is mounted where the request goes.
    #[must_use]
    pub fn no_api(path: &str) -> Self {
        Self::new(
            Slug::Unlisted,
            403,
            format!(
                "NOT EXECUTED. No tool API is mounted at `{path}`. Do not retry; use a path of a tool API that the policy mounts."
            ),
        )
    }

    /// The process holds as much as it may.
    #[must_use]
    pub fn memory() -> Self {
        let problem = Self::new(
            Slug::Unavailable,
            503,
            "NOT EXECUTED. The gate holds as much as it may. Retry in a few seconds.",
        );
        ProblemReply {
            cause: Some(UnavailableCause::Memory),
            retry_after: Some(5),
            ..problem
        }
    }

    /// The journal cannot take the call.
    #[must_use]
    pub fn journal() -> Self {
        let detail =
            "NOT EXECUTED. The gate's journal cannot take this call now. Retry in a few seconds.";
        ProblemReply {
            cause: Some(UnavailableCause::Journal),
            retry_after: Some(5),
            ..Self::new(Slug::Unavailable, 503, detail)
        }
    }

    /// The gate is about to stop.
    #[must_use]
    pub fn draining() -> Self {
        let detail = "NOT EXECUTED. The gate is about to stop. Retry in a few seconds.";
        ProblemReply {
            cause: Some(UnavailableCause::Draining),
            retry_after: Some(5),
            ..Self::new(Slug::Unavailable, 503, detail)
        }
    }

    /// The upstream could not be reached: nothing was sent.
    #[must_use]
    pub fn unreachable(why: &str) -> Self {
        let detail =
            format!("NOT EXECUTED. The tool API could not be reached: {why}. Retry later.");
        ProblemReply {
            verdict: Some(Verdict::Allow),
            modes: vec![(FailureMode::ToolError, "the upstream could not be reached")],
            ..Self::new(Slug::UpstreamUnreachable, 502, detail)
        }
    }

    /// Connections kept closing before anything was sent.
    #[must_use]
    pub fn unsent() -> Self {
        Self::unreachable("the connection kept closing before the call was sent")
    }

    /// The upstream did not answer in time.
    #[must_use]
    pub fn timeout() -> Self {
        let detail = "The tool API did not answer in time. Whether the call was executed is unknown: check before you repeat it.";
        ProblemReply {
            executed: Executed::Unknown,
            modes: vec![(FailureMode::Timeout, "no answer in time")],
            ..Self::new(Slug::UpstreamTimeout, 504, detail)
        }
    }

    /// The upstream's answer is malformed.
    #[must_use]
    pub fn upstream_malformed(idempotent: bool) -> Self {
        let detail = "The tool API's answer was malformed and was not passed on. Whether the call was executed is unknown: check before you repeat it.";
        ProblemReply {
            executed: Executed::Unknown,
            modes: vec![lost(idempotent, "the answer was malformed")],
            ..Self::new(Slug::UpstreamMalformed, 502, detail)
        }
    }

    /// The head of the upstream's answer has more than `most` of something.
    #[must_use]
    pub fn answer_head_too_large(most: usize, of: &str, idempotent: bool) -> Self {
        let detail = format!(
            "The head of the tool API's answer has more than {most} {of}, which is the bound, and the answer was not passed on. Whether the call was executed is unknown: check before you repeat it."
        );
        ProblemReply {
            executed: Executed::Unknown,
            modes: vec![lost(idempotent, "the head of the answer was too large")],
            ..Self::new(Slug::UpstreamMalformed, 502, detail)
        }
    }

    /// The connection broke after the call was sent.
    #[must_use]
    pub fn ambiguous(idempotent: bool) -> Self {
        let detail = "The connection to the tool API broke after the call was sent. Whether it was executed is unknown: check before you repeat it.";
        ProblemReply {
            executed: Executed::Unknown,
            verdict: Some(Verdict::Allow),
            modes: vec![lost(idempotent, "sent, and the answer was lost")],
            ..Self::new(Slug::Ambiguous, 502, detail)
        }
    }

    /// The client's body failed on its way.
    #[must_use]
    pub fn body(failure: BodyFailure) -> Self {
        match failure {
            BodyFailure::Malformed(malformed) => Self::from(malformed),
            BodyFailure::TooLarge => Self::from(Malformed::BodyTooLarge),
            BodyFailure::TooSlow => Self::from(Malformed::TooSlow),
            BodyFailure::ClientGone => Self::from(Malformed::BodyIncomplete),
        }
    }

    /// A reviewer, or nobody, decided against it.
    #[must_use]
    pub fn decided(approval: &Approval) -> Self {
        let why = approval
            .decisions
            .last()
            .and_then(|decision| decision.reason.as_deref())
            .map_or_else(String::new, |reason| format!(" ({reason})"));
        let what = match approval.stage {
            ApprovalStage::Denied { wrong: true, .. } => {
                format!("A reviewer denied this call as wrong{why}. Do not repeat it.")
            }
            ApprovalStage::Denied { wrong: false, .. } => {
                format!("A reviewer said not now{why}. Go on without it.")
            }
            ApprovalStage::Expired { .. } => {
                "Nobody decided on this call in time. Repeat it if it is still needed.".to_owned()
            }
            ApprovalStage::Withdrawn { .. } => {
                "This call was taken back. Repeat it if it is still needed.".to_owned()
            }
            ApprovalStage::Pending
            | ApprovalStage::Approved { .. }
            | ApprovalStage::Used { .. } => {
                "The approval of this call was used already.".to_owned()
            }
        };
        ProblemReply {
            verdict: Some(Verdict::Deny),
            ..Self::new(Slug::Denied, 403, format!("NOT EXECUTED. {what}"))
        }
    }

    /// Does the gate refuse the call for a reason of its own, and not by a rule of the policy?
    #[must_use]
    pub const fn is_the_gates(&self) -> bool {
        self.verdict.is_none() && matches!(self.executed, Executed::No)
    }

    /// Settles the call that ends with this problem.
    pub fn settle(&self, call: InFlightCall) {
        call.settle(Settlement {
            status: self.status.as_u16(),
            modes: self.modes.clone(),
        });
    }

    fn rule(finding: Finding) -> Self {
        let (slug, status, next) = match finding.rule {
            RuleName::Unlisted => (
                Slug::Unlisted,
                403,
                "Do not retry; use one of the workflow's tools.",
            ),
            RuleName::Arguments => (
                Slug::WrongArguments,
                422,
                "Correct the arguments and call again.",
            ),
            RuleName::Level => (
                Slug::Level,
                403,
                "Do not retry before the level changes; go on without this call or hand over to a person.",
            ),
            RuleName::Forbidden | RuleName::DenyWhen | RuleName::Always => {
                (Slug::Denied, 403, "Do not retry with these arguments.")
            }
            RuleName::Volume | RuleName::Concurrency => (
                Slug::Volume,
                429,
                "Wait as long as `Retry-After` says, then send it again.",
            ),
            RuleName::Exposure => (
                Slug::Exposure,
                403,
                "Retry when one of those runs has ended; finish runs that are done, and read in the meantime.",
            ),
            RuleName::Loop => (
                Slug::Loop,
                409,
                "Do not send it again: look at what the earlier calls did, then change the arguments, go on without it, or hand over to a person.",
            ),
            RuleName::Denied => (Slug::Denied, 403, "Do not repeat it."),
            RuleName::Duplicate | RuleName::Idempotency => (
                Slug::Duplicate,
                409,
                "Do not repeat it; go on with what came of that call.",
            ),
            RuleName::Limits => (
                Slug::Limit,
                429,
                "Go on without this call or hand over to a person.",
            ),
            RuleName::Validation
            | RuleName::HoldWhen
            | RuleName::EscalateWhen
            | RuleName::Escalated => (Slug::Denied, 403, "Hand over to a person."),
        };
        let detail = format!("NOT EXECUTED. {}. {next}", capitalised(&finding.detail));
        ProblemReply {
            verdict: Some(finding.verdict),
            finding: Some(Box::new(finding)),
            ..Self::new(slug, status, detail)
        }
    }
}

impl ProblemReply {
    /// What was done before stands in the call's way.
    fn done_before(before: Box<DedupFinding>) -> Self {
        let problem = Self::rule(before.finding.clone());
        let stage = before.earlier.as_ref().map(|earlier| earlier.stage);
        let next = match (before.finding.rule, stage) {
            (RuleName::Idempotency, _) if before.mismatch => "Use a new key for a new call.",
            (_, Some(CallStage::InFlight)) => "Wait for its answer; do not send it again.",
            (RuleName::Idempotency, Some(CallStage::Done)) => {
                "Its answer is not kept: it was too large, too much was kept, or the gate was restarted since. Go on as if it had succeeded, after a look."
            }
            (_, Some(CallStage::Done)) => {
                "Do not repeat it; go on with what came of that call, or change what is asked for if other work is meant."
            }
            (_, Some(CallStage::Unknown)) => {
                "Find out whether it took effect before anything else; a person can tell."
            }
            (_, None) => match before.reached.as_ref().map(|reached| reached.frees_at) {
                Some(Some(_)) => "Retry later, ask for less, or hand over to a person.",
                _ => "No waiting helps: ask for less, or hand over to a person.",
            },
        };
        let detail = format!(
            "NOT EXECUTED. {}. {next}",
            capitalised(&before.finding.detail)
        );
        let (slug, status) = if before.mismatch {
            (Slug::IdempotencyMismatch, StatusCode::UNPROCESSABLE_ENTITY)
        } else {
            (problem.slug, problem.status)
        };
        ProblemReply {
            slug,
            status,
            detail,
            before: Some(before),
            ..problem
        }
    }
}

/// A result that was lost counts as a failure where sending the call again could do harm; else the
/// tool merely failed.
const fn lost(idempotent: bool, note: &'static str) -> (FailureMode, &'static str) {
    if idempotent {
        (FailureMode::ToolError, note)
    } else {
        (FailureMode::Timeout, note)
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

impl From<Malformed> for ProblemReply {
    fn from(malformed: Malformed) -> Self {
        let slug = match malformed.slug() {
            "too-large" => Slug::TooLarge,
            "unsupported" => Slug::Unsupported,
            _ => Slug::Malformed,
        };
        Self::new(
            slug,
            malformed.status(),
            format!(
                "NOT EXECUTED. The request is refused: {malformed}. Correct it; repeating it as it is will not help."
            ),
        )
    }
}

impl From<BodyError> for ProblemReply {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Malformed(malformed) => Self::from(malformed),
            BodyError::Memory => Self::memory(),
        }
    }
}

impl From<Unknown> for ProblemReply {
    fn from(unknown: Unknown) -> Self {
        let detail = format!("NOT EXECUTED. {}.", capitalised(&unknown.to_string()));
        match unknown {
            Unknown::NoCredential => Self::new(Slug::Unidentified, 401, detail),
            Unknown::NotYours(_) | Unknown::None => Self::new(Slug::Forbidden, 403, detail),
            Unknown::Several | Unknown::BadRun => Self::new(Slug::Malformed, 400, detail),
        }
    }
}

impl From<Refusal> for ProblemReply {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Rule(finding) => Self::rule(*finding),
            Refusal::Unreadable(what) => {
                let detail = format!(
                    "NOT EXECUTED. A rule reads `{what}`, which this request gives ambiguously or as a number that binary64 changes. Give it once, and exactly."
                );
                Self::new(Slug::Malformed, 400, detail)
            }
            Refusal::Cap(finding, cap) => {
                let wait = match cap {
                    ReachedCap::Volume { wait, .. } => wait.as_millis().div_ceil(1_000).max(1),
                    // Nobody knows when a call ends.
                    ReachedCap::Concurrency { .. } => 1,
                };
                ProblemReply {
                    retry_after: u64::try_from(wait).ok(),
                    cap: Some(cap),
                    ..Self::rule(*finding)
                }
            }
            Refusal::IdempotencyKey(why) => {
                let detail = format!(
                    "NOT EXECUTED. The Idempotency-Key cannot be used: {why}. Give one key of at most {MAX_KEY} bytes, such as a UUID."
                );
                Self::new(Slug::Malformed, 400, detail)
            }
            Refusal::Unshown(why) => {
                let detail = format!(
                    "NOT EXECUTED. This call needs a person, who could not see its body: {why}. Send it as JSON, or let an operator say how the tool's body is read: `body: form`, `text`, `bytes` or `multipart`."
                );
                Self::new(Slug::Unsupported, 415, detail)
            }
            Refusal::Done(before) => Self::done_before(before),
            Refusal::Spent(approval) => Self::decided(&approval),
            Refusal::Journal => Self::journal(),
            Refusal::Inbox { of, most } => {
                let detail = format!(
                    "NOT EXECUTED. {most} calls of this {of} wait for a person, and no more may. Go on without it, and ask again when some were decided."
                );
                ProblemReply {
                    verdict: Some(Verdict::Deny),
                    retry_after: Some(60),
                    ..Self::new(Slug::InboxFull, 429, detail)
                }
            }
            Refusal::Holds => {
                let detail = "NOT EXECUTED. As many calls wait for a person as may. Retry when some were decided.";
                ProblemReply {
                    verdict: Some(Verdict::Deny),
                    cause: Some(UnavailableCause::Holds),
                    retry_after: Some(60),
                    ..Self::new(Slug::Unavailable, 503, detail)
                }
            }
        }
    }
}
