//! Listeners, threads and tasks: the only place of the data plane that starts any.
//!
//! Decides how connections are spread and how all of it ends. Each worker is a thread with a
//! runtime and listeners of its own; the kernel spreads connections over them (`SO_REUSEPORT`), so
//! a connection never changes threads and workers share nothing but a count. Over the bound on
//! connections, and while the process is out of descriptors, nothing is accepted: what cannot be
//! served waits in the kernel's queue, and nobody spins (F28).
//!
//! Every task belongs to its worker's [`Spawner`] and is awaited when it drains; the deadline ends
//! the wait, and the runtime's end drops what is left, so that each call still in flight is settled
//! (G1).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io, thread};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Semaphore, watch};

use super::connection::{Peer, WorkerIndex};
use super::drain::Phase;
use super::spawner::Spawner;
use super::worker::{AcceptOptions, Arrived, Local, Serve, Worker};

/// Connections that the kernel keeps for us to accept.
const BACKLOG: i32 = 1024;

/// The pause before the next try after an error of the machine's, such as no more descriptors.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// The longest pause, after many such errors in a row.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// How often services close what has been idle.
const TEND_EVERY: Duration = Duration::from_secs(1);

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// On an address; port 0 is any free one.
    Tcp(SocketAddr),
    /// On a socket in the file system.
    Unix(PathBuf),
}

impl FromStr for Listen {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("unix:") {
            Some(path) => Ok(Self::Unix(PathBuf::from(path))),
            None => text.parse().map(Self::Tcp),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Sockets that are listening, and not yet served.
#[derive(Debug)]
pub struct BoundListeners {
    addresses: Vec<Listen>,
    workers: Vec<Vec<Listener>>,
}

#[derive(Debug)]
enum Listener {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener, SocketFile),
}

/// The file of a unix socket, removed with it.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Gone already, or not ours to remove any more: either way there is nothing to be done.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Listens at every one of `specs`, for so many workers.
pub fn bind(specs: &[Listen], workers: usize) -> io::Result<BoundListeners> {
    let mut bound = BoundListeners {
        addresses: Vec::new(),
        workers: (0..workers.max(1)).map(|_| Vec::new()).collect(),
    };
    for spec in specs {
        let mut address = spec.clone();
        for (index, listeners) in bound.workers.iter_mut().enumerate() {
            match &mut address {
                Listen::Tcp(address) => {
                    if index == 0 {
                        refuse_shared(*address)?;
                    }
                    let listener = listen(*address)?;
                    // The first of them finds the port; the others share it.
                    *address = listener.local_addr()?;
                    listeners.push(Listener::Tcp(listener));
                }
                // The kernel does not spread these. One worker is enough for a local caller.
                Listen::Unix(path) if index == 0 => listeners.push(listen_unix(path)?),
                Listen::Unix(_) => {}
            }
        }
        bound.addresses.push(address);
    }
    Ok(bound)
}

/// `SO_REUSEPORT` would let a second gate of the same user share the port in silence, and take half
/// of the calls.
fn refuse_shared(address: SocketAddr) -> io::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    let probe = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    probe.set_reuse_address(true)?;
    probe.bind(&address.into())
}

fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A file that a dead process left behind is replaced; one that somebody listens on is not.
fn listen_unix(path: &Path) -> io::Result<Listener> {
    use std::os::unix::fs::FileTypeExt;
    use std::os::unix::net::{UnixListener, UnixStream};
    if std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket()) {
        match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path)?;
            }
            _ => return Err(io::ErrorKind::AddrInUse.into()),
        }
    }
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(Listener::Unix(listener, SocketFile(path.to_owned())))
}

/// Workers at work.
#[derive(Debug)]
pub struct RunningWorkers {
    threads: Vec<thread::JoinHandle<()>>,
}

impl RunningWorkers {
    /// Blocks until every worker has ended. They end when `stop` says so.
    pub fn join(self) -> thread::Result<()> {
        self.threads
            .into_iter()
            .map(thread::JoinHandle::join)
            .fold(Ok(()), Result::and)
    }
}

/// Makes one worker's service, on its thread.
pub type Make<S> = Arc<dyn Fn(&Local) -> Rc<S> + Send + Sync>;

impl BoundListeners {
    /// Where it listens, ports resolved, in the order asked for.
    #[must_use]
    pub fn addresses(&self) -> &[Listen] {
        &self.addresses
    }

    /// Starts the workers.
    pub fn run<S: Serve>(
        self,
        make: &Make<S>,
        options: &AcceptOptions,
        stop: &watch::Receiver<Phase>,
    ) -> io::Result<RunningWorkers> {
        // Every listener may hold one accepted connection more, which waits for a permit.
        let permits = Arc::new(Semaphore::new(
            options.connections.clamp(1, Semaphore::MAX_PERMITS),
        ));
        let mut threads = Vec::new();
        for (index, listeners) in self.workers.into_iter().enumerate() {
            let (make, options, stop, permits) = (
                Arc::clone(make),
                options.clone(),
                stop.clone(),
                Arc::clone(&permits),
            );
            let mut runtime = Builder::new_current_thread();
            runtime.enable_all();
            let thread = thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || {
                    let work = async {
                        let local = Local {
                            worker: WorkerIndex(index),
                            spawner: Spawner::default(),
                        };
                        let worker = Rc::new(Worker::new(make(&local), local, options));
                        work(worker, listeners, permits, stop).await;
                    };
                    match runtime.build_local(LocalOptions::default()) {
                        Ok(runtime) => runtime.block_on(work),
                        Err(error) => tracing::error!(%error, "a worker cannot start"),
                    }
                })?;
            threads.push(thread);
        }
        Ok(RunningWorkers { threads })
    }
}

/// One worker's life.
async fn work<S: Serve>(
    worker: Rc<Worker<S>>,
    listeners: Vec<Listener>,
    permits: Arc<Semaphore>,
    mut stop: watch::Receiver<Phase>,
) {
    let spawner = worker.local().spawner.clone();
    for listener in listeners {
        let (worker, permits, mut stop) = (Rc::clone(&worker), Arc::clone(&permits), stop.clone());
        spawner.spawn("accept", async move {
            tokio::select! {
                () = accept(worker, listener, permits) => {}
                _ = stop.wait_for(|phase| *phase != Phase::Running) => {}
            }
        });
    }
    let mut tick = tokio::time::interval(TEND_EVERY);
    loop {
        tokio::select! {
            // An error means that nobody can stop us any more: then it is time to go.
            _ = stop.wait_for(|phase| *phase != Phase::Running) => break,
            _ = tick.tick() => worker.tend(),
        }
    }
    worker.leaving.begin();
    loop {
        let phase = *stop.borrow_and_update();
        let Phase::Draining { until } = phase else {
            return;
        };
        tokio::select! {
            () = spawner.ended() => return,
            () = tokio::time::sleep_until(until) => return,
            // A second request may have brought the deadline forward.
            changed = stop.changed() => if changed.is_err() { return },
        }
    }
}

/// The pause after another error in a row.
fn longer(pause: Duration) -> Duration {
    (pause * 2).min(MAX_PAUSE)
}

/// Accepts until it is dropped.
async fn accept<S: Serve>(worker: Rc<Worker<S>>, listener: Listener, permits: Arc<Semaphore>) {
    let listener = match Listener::open(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "cannot listen"),
    };
    let mut pause = FIRST_PAUSE;
    loop {
        let arrived = match listener.accept().await {
            Ok(arrived) => arrived,
            Err(error) if is_the_clients(&error) => continue,
            Err(error) => {
                tracing::warn!(%error, ?pause, "cannot accept");
                tokio::time::sleep(pause).await;
                pause = longer(pause);
                continue;
            }
        };
        pause = FIRST_PAUSE;
        // Over the bound on connections the worker stops accepting here, holding one connection
        // more.
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            return;
        };
        let served = Rc::clone(&worker);
        let spawner = &worker.local().spawner;
        match arrived {
            Accepted::Tcp(io, peer) => {
                // Without it a small answer may wait for an acknowledgement; a connection that
                // refuses it is gone already.
                if io.set_nodelay(true).is_ok() {
                    let tls = worker.options().tls.is_some();
                    let Ok(at) = io.local_addr() else { continue };
                    spawner.spawn("connection", async move {
                        served
                            .converse(Arrived {
                                io,
                                peer: Peer::Tcp { from: peer, at },
                                tls,
                            })
                            .await;
                        drop(permit);
                    });
                }
            }
            Accepted::Unix(io) => spawner.spawn("connection", async move {
                served
                    .converse(Arrived {
                        io,
                        peer: Peer::Unix,
                        tls: false,
                    })
                    .await;
                drop(permit);
            }),
        }
    }
}

/// Errors of one connection that died before it was accepted: the next may be fine.
fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

enum OpenListener {
    Tcp(TcpListener),
    Unix(
        UnixListener,
        #[expect(dead_code, reason = "held for its drop")] SocketFile,
    ),
}

enum Accepted {
    Tcp(tokio::net::TcpStream, SocketAddr),
    Unix(tokio::net::UnixStream),
}

impl Listener {
    /// Registers it with the runtime of the worker that it is opened on.
    fn open(self) -> io::Result<OpenListener> {
        Ok(match self {
            Self::Tcp(listener) => OpenListener::Tcp(TcpListener::from_std(listener)?),
            Self::Unix(listener, file) => {
                OpenListener::Unix(UnixListener::from_std(listener)?, file)
            }
        })
    }
}

impl OpenListener {
    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => listener
                .accept()
                .await
                .map(|(io, peer)| Accepted::Tcp(io, peer)),
            Self::Unix(listener, _) => listener.accept().await.map(|(io, _)| Accepted::Unix(io)),
        }
    }
}

#[cfg(test)]
mod tests;
