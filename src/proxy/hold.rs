//! A call that needs a person: waits open for as long as the agent prefers and the bound allows,
//! and never longer than its approval (G10).

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use super::connection::ClientConnection;
use super::problem_reply::ProblemReply;
use super::stopped::Stopped;
use super::worker_state::WorkerState;
use crate::gate::approval::{Approval, Stage};
use crate::gate::name::ApprovalId;
use crate::journal::receipt::Receipt;
use crate::journal::unavailable::Unavailable;
use crate::ledger::Ledger;
use crate::ledger::call::in_flight::InFlightCall;

/// No call waits open for longer, whatever the agent prefers: intermediaries give up at five
/// minutes.
pub const MAX_HOLD_WAIT: Duration = Duration::from_mins(5);

/// What became of the wait.
pub enum HoldOutcome {
    /// A grant for exactly this call exists: judge it again.
    Approved(InFlightCall),
    /// Still undecided.
    Waiting(InFlightCall, Box<StillWaiting>),
}

/// A call that goes on waiting without its connection.
pub struct StillWaiting {
    /// The approval.
    pub approval: Approval,
    /// The agent asked not to wait: 202 instead of 403.
    pub respond_async: bool,
    /// How long the agent preferred to wait, where that was honoured.
    pub applied_wait: Option<u64>,
}

/// What the agent prefers (RFC 7240).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Preference {
    /// `wait=N`, in seconds.
    pub wait: Option<u64>,
    /// `respond-async`.
    pub respond_async: bool,
}

impl Preference {
    /// Reads `Prefer`. The first of two conflicting preferences stands.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut preference = Preference::default();
        let values = headers
            .get_all("prefer")
            .iter()
            .filter_map(|value| value.to_str().ok());
        for word in values
            .flat_map(|value| value.split(','))
            .map(|word| word.split(';').next().unwrap_or_default().trim())
        {
            match word
                .split_once('=')
                .map(|(name, value)| (name.trim(), value.trim().trim_matches('"')))
            {
                Some((name, value)) if name.eq_ignore_ascii_case("wait") => {
                    preference.wait = preference.wait.or_else(|| value.parse().ok());
                }
                None if word.eq_ignore_ascii_case("respond-async") => {
                    preference.respond_async = true;
                }
                _ => {}
            }
        }
        preference
    }

    /// How long the call waits open, where its workflow says `usual`.
    fn waits(self, usual: Duration) -> Duration {
        let wait = match (self.wait, self.respond_async) {
            (Some(seconds), _) => Duration::from_secs(seconds),
            (None, true) => Duration::ZERO,
            (None, false) => usual,
        };
        wait.min(MAX_HOLD_WAIT)
    }
}

/// Waits for a decision on `approval`; an error where the call will not go. Dropped when the agent
/// leaves: then nothing is executed, and the approval stays for a repeat (A91).
pub async fn wait(
    worker: &WorkerState,
    connection: &ClientConnection,
    headers: &HeaderMap,
    call: InFlightCall,
    approval: Approval,
    durable: Option<Receipt<Result<(), Unavailable>>>,
) -> Result<HoldOutcome, Box<Stopped>> {
    if let Err(problem) = super::forward::durable(durable).await {
        return Err(Stopped::new(call, problem));
    }
    let preference = Preference::of(headers);
    let wait = preference.waits(call.workflow().policy.hold.wait);
    let id = approval.request.approval;
    let decided = tokio::select! {
        decided = decision(worker.ledger(), id) => decided,
        () = tokio::time::sleep(wait) => None,
        // A gate that stops keeps nobody waiting: the approval outlives it.
        () = worker.stopping() => None,
    };
    let approval = match decided {
        // So much may be pipelined behind the call that its agent could have left unseen. If it has
        // not, it repeats the call.
        Some(approval) if matches!(approval.stage, Stage::Approved { .. }) => {
            if !connection.is_blind() {
                return Ok(HoldOutcome::Approved(call));
            }
            approval
        }
        Some(approval) => return Err(Stopped::new(call, ProblemReply::decided(&approval))),
        None => approval,
    };
    let waiting = StillWaiting {
        approval,
        respond_async: preference.respond_async,
        applied_wait: preference.wait,
    };
    Ok(HoldOutcome::Waiting(call, Box::new(waiting)))
}

/// The approval once it is no longer pending; `None` where it is not remembered any more.
pub async fn decision(ledger: &Arc<Ledger>, id: ApprovalId) -> Option<Approval> {
    loop {
        let (approval, changed) = ledger.watch(id)?;
        if approval.stage != Stage::Pending {
            return Some(approval);
        }
        changed.await.ok()?;
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn preferences_are_read_as_rfc_7240_writes_them() {
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("prefer", HeaderValue::from_static(value));
            }
            Preference::of(&headers)
        };
        assert_eq!(
            of(&["respond-async, wait=10"]),
            Preference {
                wait: Some(10),
                respond_async: true
            }
        );
        assert_eq!(
            of(&["Wait=\"7\"", "respond-async; x=1"]),
            Preference {
                wait: Some(7),
                respond_async: true
            }
        );
        assert_eq!(
            of(&["wait=3, wait=9"]),
            Preference {
                wait: Some(3),
                respond_async: false
            }
        );
        assert_eq!(
            of(&["wait=-1, handling=lenient", "wait"]),
            Preference::default()
        );
        assert_eq!(of(&[]), Preference::default());
    }

    #[test]
    fn a_call_waits_as_the_agent_prefers_or_its_workflow_says_up_to_the_bound() {
        let waits = |wait, respond_async, usual| {
            let preference = Preference {
                wait,
                respond_async,
            };
            preference.waits(Duration::from_secs(usual)).as_secs()
        };
        let most = MAX_HOLD_WAIT.as_secs();
        assert_eq!(waits(Some(most), false, 1), most);
        assert_eq!(waits(Some(most + 1), true, 1), most);
        assert_eq!(waits(None, false, most), most);
        assert_eq!(waits(None, false, most + 1), most);
        assert_eq!(waits(None, true, most), 0);
        assert_eq!(waits(Some(0), false, most), 0);
    }
}
