//! Connections to tool APIs: made, kept and found again.
//!
//! Decides which connection a request takes: the one that was used last, so that the rest can grow
//! old and go; a new one if there is none. One pool for each worker: no lock, and an answer is read
//! on the core that sent the request. Bounded for each upstream (G7); what waits too long is closed
//! before its upstream closes it under a request.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::socket::Socket;
use super::upstream::{IdleList, Lease, UpstreamConnection, in_turn};
use crate::gate::policy::Upstream;
use crate::wire::framing::HeadLimits;

/// How a pool keeps connections.
#[derive(Clone)]
pub struct PoolOptions {
    /// How many wait for a request, for each upstream and worker.
    pub waiting: usize,
    /// How long one waits. Under the 60 s after which most servers close: a connection that both
    /// sides close at once costs a call.
    pub keep: Duration,
    /// For resolving, connecting and the TLS handshake together.
    pub connect: Duration,
    /// How large the head of an answer may be.
    pub head: HeadLimits,
    /// Whom to trust.
    pub tls: TlsConnector,
}

impl PoolOptions {
    /// The defaults, trusting as `tls` says.
    #[must_use]
    pub fn new(tls: TlsConnector) -> Self {
        Self {
            waiting: 256,
            keep: Duration::from_secs(50),
            connect: Duration::from_secs(5),
            head: HeadLimits::default(),
            tls,
        }
    }
}

/// Why no connection could be had. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// The name has no address.
    #[error("the upstream's name cannot be resolved")]
    Name(#[source] io::Error),
    /// Nothing listens there, or no route leads there.
    #[error("the upstream cannot be connected to")]
    Connect(#[source] io::Error),
    /// The handshake failed; most often, the certificate is not trusted.
    #[error("no TLS session with the upstream")]
    Tls(#[source] io::Error),
    /// Not in time.
    #[error("connecting to the upstream took too long")]
    Timeout,
}

/// The connections of one worker.
pub struct UpstreamPool {
    options: PoolOptions,
    idle: RefCell<HashMap<Upstream, Rc<IdleList>>>,
    #[cfg(test)]
    pub(super) memory: RefCell<std::collections::VecDeque<tokio::io::DuplexStream>>,
}

impl UpstreamPool {
    /// An empty pool.
    #[must_use]
    pub fn new(options: PoolOptions) -> Self {
        Self {
            options,
            idle: RefCell::default(),
            #[cfg(test)]
            memory: RefCell::default(),
        }
    }

    /// A connection that is ready for one request. A new one must stand within `within`, whatever
    /// the pool's own patience.
    pub async fn ready(&self, upstream: &Upstream, within: Duration) -> Result<Lease, Unreachable> {
        // Here and not in the sending: nothing else may run between the last look at the clamp and
        // the first byte (G2).
        in_turn().await;
        let found = self.idle(upstream);
        if let Some(connection) = found.take() {
            return Ok(Lease::new(connection, found));
        }
        // Boxed, because it is rare and large: most calls would carry the room for a handshake that
        // they never make.
        let connection = Box::pin(self.open(upstream, within)).await?;
        Ok(Lease::new(connection, found))
    }

    async fn open(
        &self,
        upstream: &Upstream,
        within: Duration,
    ) -> Result<Box<UpstreamConnection>, Unreachable> {
        let connected =
            tokio::time::timeout(self.options.connect.min(within), self.connect(upstream)).await;
        let socket = connected.map_err(|_| Unreachable::Timeout)??;
        UpstreamConnection::over(socket, self.options.head)
            .await
            .map_err(|error| Unreachable::Connect(io::Error::other(error)))
    }

    /// Closes what has waited too long. To be called every few seconds; what is checked out is
    /// checked anyway.
    pub fn tend(&self) {
        self.idle
            .borrow_mut()
            .retain(|_, idle| idle.tidy() || Rc::strong_count(idle) > 1);
    }

    fn idle(&self, upstream: &Upstream) -> Rc<IdleList> {
        if let Some(idle) = self.idle.borrow().get(upstream) {
            return Rc::clone(idle);
        }
        let empty = IdleList::new(self.options.waiting, self.options.keep);
        self.idle
            .borrow_mut()
            .insert(upstream.clone(), Rc::clone(&empty));
        empty
    }

    async fn connect(&self, upstream: &Upstream) -> Result<Socket, Unreachable> {
        #[cfg(test)]
        if let Some(stream) = self.memory.borrow_mut().pop_front() {
            return Ok(Socket::Memory(stream));
        }
        let host = upstream.host.trim_start_matches('[').trim_end_matches(']');
        let addresses = tokio::net::lookup_host((host, upstream.port))
            .await
            .map_err(Unreachable::Name)?;
        let mut failed = Unreachable::Name(io::ErrorKind::NotFound.into());
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return self.secure(upstream, host, stream).await,
                Err(error) => failed = Unreachable::Connect(error),
            }
        }
        Err(failed)
    }

    async fn secure(
        &self,
        upstream: &Upstream,
        host: &str,
        stream: TcpStream,
    ) -> Result<Socket, Unreachable> {
        stream.set_nodelay(true).map_err(Unreachable::Connect)?;
        if !upstream.tls {
            return Ok(Socket::Plain(stream));
        }
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| Unreachable::Tls(io::Error::other(error)))?;
        let stream = self
            .options
            .tls
            .connect(name, stream)
            .await
            .map_err(Unreachable::Tls)?;
        Ok(Socket::Tls(Box::new(stream)))
    }

    #[cfg(test)]
    pub(super) fn waiting(&self, upstream: &Upstream) -> usize {
        self.idle
            .borrow()
            .get(upstream)
            .map_or(0, |idle| idle.len())
    }
}

#[cfg(test)]
mod tests;
