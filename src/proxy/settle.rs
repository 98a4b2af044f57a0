//! The token that travels with an answer's body and settles its call when the body ends, fails or is dropped (G1).

use super::{
    observe::{Copied, Ending, OnEnd},
    read::Aftermath,
};
use crate::{
    gate::outcome::FailureMode,
    ledger::permit::{Seat, Settlement},
};

/// Settles one call by how its answer ended.
pub struct Settle {
    seat: Option<Seat>,
    status: u16,
    aftermath: Option<Box<Aftermath>>,
}

impl Settle {
    /// The token of a call whose answer began with `status`.
    #[must_use]
    pub const fn new(seat: Seat, status: u16, aftermath: Option<Box<Aftermath>>) -> Self {
        Settle { seat: Some(seat), status, aftermath }
    }
}

impl OnEnd for Settle {
    fn on_end(mut self, ending: Ending, copy: Option<Copied>) {
        let Some(seat) = self.seat.take() else { return };
        let mut modes = Vec::new();
        let lost = if seat.is_idempotent() { FailureMode::ToolError } else { FailureMode::Timeout };
        match ending {
            Ending::UpstreamTimeout => modes.push((FailureMode::Timeout, "the answer stopped in the middle")),
            Ending::UpstreamReset | Ending::UpstreamMalformed => modes.push((lost, "the answer broke off")),
            Ending::Complete | Ending::ClientGone => {}
        }
        let body = copy.as_ref().filter(|copy| copy.whole).map(|copy| &*copy.bytes);
        if self.aftermath.as_ref().is_some_and(|aftermath| aftermath.failed(self.status, body)) {
            modes.push((FailureMode::ToolError, "failure_when holds"));
        } else if self.status >= 500 {
            modes.push((FailureMode::ToolError, "the tool answered with a server error"));
        }
        seat.settle(Settlement { status: self.status, modes });
    }
}
