//! What is known about a client's connection, for those who serve its requests.

use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, Incoming};
use rustls::pki_types::CertificateDer;

use super::muted_waker;
use super::wire_state::WireState;
use crate::wire::Malformed;

/// Which worker, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerIndex(pub usize);

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Over TCP.
    Tcp {
        /// Its address.
        from: SocketAddr,
        /// The address of the gate that it reached.
        at: SocketAddr,
    },
    /// A process of this machine.
    Unix,
}

/// How the client reached the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// In clear text.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// As it is written in a URL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// What is known about a client's connection.
#[derive(Debug)]
pub struct ClientConnection {
    /// Who is at the other end.
    pub peer: Peer,
    /// How it reached the gate.
    pub scheme: Scheme,
    /// The chain of its certificate, its own first. Verified; `None` without a client CA.
    pub certificates: Option<Vec<CertificateDer<'static>>>,
    /// The worker it belongs to.
    pub worker: WorkerIndex,
    pub(super) wire: Rc<WireState>,
}

impl ClientConnection {
    /// The guard's verdict on the head of the request at hand; to be asked exactly once for each
    /// request, before anything else is believed of it. Fine for HTTP/2, where
    /// `wire::http::check_h2` judges the head.
    pub fn next_head(&self) -> Result<(), Malformed> {
        self.wire.next_head()
    }

    /// What broke the body that is being read, if it was its framing and not the client's leaving.
    #[must_use]
    pub fn broken(&self) -> Option<Malformed> {
        self.wire.broken()
    }

    /// The next piece of the body of the request at hand. Cheaper than polling the body itself,
    /// which wakes its own task for every piece.
    pub fn poll_body(
        &self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        muted_waker::take_frame(body, cx.waker(), cx)
    }

    /// Could its client leave unseen while a call is in flight? Then no call may start that has
    /// waited meanwhile.
    #[must_use]
    pub fn is_blind(&self) -> bool {
        self.wire.is_blind()
    }

    /// For [`super::outbound::OutBody::stream`].
    #[must_use]
    pub fn wire(&self) -> Rc<WireState> {
        Rc::clone(&self.wire)
    }

    #[cfg(test)]
    pub(super) fn for_test(peer: Peer, scheme: Scheme) -> Self {
        Self {
            peer,
            scheme,
            certificates: None,
            worker: WorkerIndex(0),
            wire: WireState::unguarded(),
        }
    }
}
