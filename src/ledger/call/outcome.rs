//! What judging a call comes to: it may go, it needs a person, or it may not.

use std::sync::Arc;

use super::in_flight::InFlightCall;
use super::permit::Permit;
use super::refusal::Refusal;
use crate::gate::approval::Approval;
use crate::gate::policy::finding::Finding;
use crate::gate::verdict::Verdict;
use crate::journal::port::Durable;
use crate::ledger::dedup::answers::StoredAnswer;

/// The answer.
pub enum Admit {
    /// It may go, once `durable` says so.
    Pass {
        /// The right to forward it.
        permit: Permit,
        /// What must be on disk first.
        durable: Option<Durable>,
    },
    /// It needs a person.
    Held {
        /// The call, to be admitted again.
        call: InFlightCall,
        /// The approval it waits for.
        approval: Box<Approval>,
        /// What must be on disk before the agent is answered.
        durable: Option<Durable>,
        /// Why, in a sentence.
        finding: Box<Finding>,
    },
    /// A reviewer approved it with other arguments: those are to be judged, and sent.
    Edited {
        /// The call, to be admitted again.
        call: InFlightCall,
        /// The arguments, as canonical JSON.
        args: Arc<str>,
    },
    /// It may need a person, and its body must be read first: an approval is bound to it.
    Unread {
        /// The call, to be admitted again.
        call: InFlightCall,
    },
    /// It was made before, under the same idempotency key: this is the answer that it got then.
    Answered {
        /// The call: settles as not executed.
        call: InFlightCall,
        /// The answer.
        answer: StoredAnswer,
    },
    /// It may not go.
    Refused {
        /// The call: settles as not executed.
        call: InFlightCall,
        /// Why.
        refusal: Refusal,
    },
}

/// A call that goes, once `durable` says so.
pub(in crate::ledger) struct Goes {
    pub(in crate::ledger) call: InFlightCall,
    pub(in crate::ledger) durable: Option<Durable>,
}

/// Why a judgement ends before the call goes.
pub(in crate::ledger) enum NotAdmitted {
    /// What the call was judged by has changed: it is to be judged again.
    Outdated(Box<InFlightCall>),
    /// It does not go, or not yet.
    Final(Box<Admit>),
}

impl From<Admit> for NotAdmitted {
    fn from(admit: Admit) -> Self {
        NotAdmitted::Final(Box::new(admit))
    }
}

impl InFlightCall {
    /// The gate refuses the call although no rule does: it has no room for it, or cannot journal
    /// it. The record says which.
    pub(in crate::ledger) fn turned_down(mut self, refusal: Refusal) -> Admit {
        let why = refusal.recorded_as().or(self.decision.rule);
        (self.decision.verdict, self.decision.rule) = (Verdict::Deny, why);
        Admit::Refused {
            call: self,
            refusal,
        }
    }
}

/// The call runs into a cap. That costs no budget (G6), and the agent may send it again.
pub(super) fn capped_by(mut call: InFlightCall, refusal: Refusal) -> Admit {
    if let Some(finding) = refusal.finding() {
        call.decision.note(finding);
    }
    Admit::Refused { call, refusal }
}
