//! A small load generator and the upstream it needs, so that proxies can be compared without
//! installing anything.
//!
//!     load up ADDR                                   answers every request with a fixed JSON body
//!     load drive ADDR [--concurrency 16] [--requests 50000] [--path /mcp] [--body TEXT] [--run-calls 0]
//!
//! With `--run-calls N`, calls name their run, and N of them are a run. Closed loop: each
//! connection sends its next request when the answer to the last has come whole. `drive` prints one
//! line of JSON: `rps`, `p50` and `p99` in microseconds, and `bad`, the answers that were not 200.
//! It understands Content-Length only, which is all its upstream sends.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ANSWER: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"refund accepted for order A-1001, reference 7f3a9c2e, 120.50 EUR will be returned."}],"isError":false}}"#;
const BODY: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"refund","arguments":{"order":"A-1001","amount":120.5,"currency":"EUR","reason":"customer reported a damaged item on arrival, photo attached","tags":["damaged","gold"]}}}"#;

/// A tenth of the requests goes ahead uncounted, so that connections and caches are warm.
const WARM: usize = 10;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["up", address] => runtime.block_on(up(address.parse()?)),
        ["drive", address, flags @ ..] => runtime.block_on(drive(address.parse()?, flags)),
        _ => bail!(
            "load up ADDR | load drive ADDR [--concurrency N] [--requests N] [--path P] [--body TEXT] [--run-calls N]"
        ),
    }
}

async fn up(address: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let answer: Rc<str> = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{ANSWER}",
        ANSWER.len()
    )
    .into();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answer = Rc::clone(&answer);
        tokio::task::spawn_local(async move {
            let mut messages = Messages::new(stream);
            while let Ok(Some(_)) = messages.next().await {
                if messages.stream.write_all(answer.as_bytes()).await.is_err() {
                    break;
                }
            }
        });
    }
}

async fn drive(address: SocketAddr, flags: &[&str]) -> anyhow::Result<()> {
    let flag = |name: &str, default: &str| {
        flags
            .iter()
            .skip_while(|flag| **flag != name)
            .nth(1)
            .map_or(default.to_owned(), |value| (*value).to_owned())
    };
    let (concurrency, requests): (usize, usize) = (
        flag("--concurrency", "16").parse()?,
        flag("--requests", "50000").parse()?,
    );
    let (path, body) = (flag("--path", "/mcp"), flag("--body", BODY));
    let run_calls: usize = flag("--run-calls", "0").parse()?;
    ensure!(concurrency > 0 && requests > 0, "nothing to do");
    let script = Rc::new(Script {
        head: format!(
            "POST {path} HTTP/1.1\r\nhost: tools.local\r\nuser-agent: load\r\naccept: application/json\r\ncontent-type: application/json\r\n"
        ),
        rest: format!("content-length: {}\r\n\r\n{body}", body.len()),
        run_calls,
        started: std::time::UNIX_EPOCH.elapsed()?.as_micros(),
    });
    let warm = requests / WARM;
    let counts = Rc::new(Counts {
        left: Cell::new(requests + warm),
        done: Cell::new(0),
        warm,
        bad: Cell::new(0),
        took: RefCell::default(),
        began: Cell::new(Instant::now()),
    });
    let mut connections = Vec::new();
    for number in 0..concurrency {
        let stream = TcpStream::connect(address)
            .await
            .context("cannot connect")?;
        stream.set_nodelay(true)?;
        connections.push(tokio::task::spawn_local(ask(
            number,
            stream,
            Rc::clone(&script),
            Rc::clone(&counts),
        )));
    }
    for connection in connections {
        connection.await??;
    }
    let elapsed = counts.began.get().elapsed();
    let mut took = counts.took.take();
    took.sort_unstable();
    let quantile = |percent: usize| {
        took.get(took.len() * percent / 100)
            .map_or(0, Duration::as_micros)
    };
    let rps = u128::from(u64::try_from(took.len())?) * 1_000_000 / elapsed.as_micros().max(1);
    let line = format!(
        r#"{{"rps":{rps},"p50":{},"p99":{},"bad":{}}}"#,
        quantile(50),
        quantile(99),
        counts.bad.get()
    );
    writeln!(std::io::stdout(), "{line}").map_err(Into::into)
}

/// What is sent.
struct Script {
    head: String,
    rest: String,
    /// Calls of one run; 0 where calls name no run.
    run_calls: usize,
    /// Makes the run ids of each start others.
    started: u128,
}

impl Script {
    /// The `call`th request of the connection `number`.
    fn request(&self, number: usize, call: usize) -> String {
        let run = call
            .checked_div(self.run_calls)
            .map_or_else(String::new, |run| {
                format!("burngate-run: {}-{number}-{run}\r\n", self.started)
            });
        format!("{}{run}{}", self.head, self.rest)
    }

    fn begins_run(&self, call: usize) -> bool {
        call.checked_rem(self.run_calls) == Some(0)
    }
}

struct Counts {
    left: Cell<usize>,
    done: Cell<usize>,
    warm: usize,
    bad: Cell<usize>,
    took: RefCell<Vec<Duration>>,
    began: Cell<Instant>,
}

async fn ask(
    number: usize,
    stream: TcpStream,
    script: Rc<Script>,
    counts: Rc<Counts>,
) -> anyhow::Result<()> {
    let mut messages = Messages::new(stream);
    let (mut call, mut request) = (0, script.request(number, 0));
    while let Some(left) = counts.left.get().checked_sub(1) {
        counts.left.set(left);
        if script.begins_run(call) {
            request = script.request(number, call);
        }
        call += 1;
        let sent = Instant::now();
        messages.stream.write_all(request.as_bytes()).await?;
        let is_good = messages.next().await?.context("closed without an answer")?;
        counts.done.set(counts.done.get() + 1);
        if counts.done.get() == counts.warm {
            counts.began.set(Instant::now());
        }
        if counts.done.get() > counts.warm {
            counts.took.borrow_mut().push(sent.elapsed());
        }
        if !is_good {
            counts.bad.set(counts.bad.get() + 1);
        }
    }
    Ok(())
}

/// Reads one message after the other.
struct Messages {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Messages {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            read: Vec::with_capacity(16 * 1024),
        }
    }

    /// Whether it was a 200; `None` at the end.
    async fn next(&mut self) -> anyhow::Result<Option<bool>> {
        loop {
            if let Some(length) = length(&self.read)? {
                let is_good = self.read.starts_with(b"HTTP/1.1 200");
                self.read.drain(..length);
                return Ok(Some(is_good));
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                ensure!(self.read.is_empty(), "closed inside a message");
                return Ok(None);
            }
        }
    }
}

/// The length of the message at the beginning of `bytes`, once all of it is there.
fn length(bytes: &[u8]) -> anyhow::Result<Option<usize>> {
    const NAME: &[u8] = b"content-length:";
    let Some(head) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        return Ok(None);
    };
    let mut body = 0;
    for line in bytes[..head].split(|&byte| byte == b'\n') {
        if let Some((name, value)) = line.split_at_checked(NAME.len())
            && name.eq_ignore_ascii_case(NAME)
        {
            body = std::str::from_utf8(value)?.trim().parse()?;
        }
    }
    let length = head + 4 + body;
    Ok((bytes.len() >= length).then_some(length))
}
