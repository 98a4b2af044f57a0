//! The gate between programs that nobody here wrote: json-server from npm behind it, curl and
//! Python's httpx before it.
//!
//! What is missing is installed by `real/install.sh` into `$BURNGATE_TEST_TOOLS` (by default
//! `target/tools`), once. Where that fails, so do these tests: a gate that was only ever tried
//! against its own harness was not tried.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::harness::{TestGate, eventually, test};

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/real");

/// Set by whoever answers last, or the gate's own.
const DIFFERS: [&str; 6] = [
    "date",
    "connection",
    "keep-alive",
    "burngate-call",
    "burngate-verdict",
    "burngate-budget",
];

pub fn tools() -> &'static Path {
    static TOOLS: OnceLock<PathBuf> = OnceLock::new();
    TOOLS.get_or_init(|| {
        let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools");
        let tools = std::env::var_os("BURNGATE_TEST_TOOLS").map_or_else(default, PathBuf::from);
        let installed = Command::new("sh")
            .arg(format!("{HERE}/install.sh"))
            .arg(&tools)
            .output()
            .unwrap();
        assert!(
            installed.status.success(),
            "cannot install into {}:\n{}",
            tools.display(),
            String::from_utf8_lossy(&installed.stderr)
        );
        tools
    })
}

/// A json-server with one post.
struct Blog {
    child: Child,
    address: SocketAddr,
    _home: tempfile::TempDir,
}

impl Blog {
    async fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let database = home.path().join("db.json");
        std::fs::write(
            &database,
            r#"{ "posts": [ { "id": 1, "title": "first" } ] }"#,
        )
        .unwrap();
        // It cannot be asked for any free port, so one is found for it.
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let mut command = Command::new("node");
        command
            .arg(tools().join("node_modules/json-server/lib/cli/bin.js"))
            .args([
                "--quiet",
                "--host",
                "127.0.0.1",
                "--port",
                &address.port().to_string(),
            ]);
        let child = command
            .arg(&database)
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("json-server", || async {
            tokio::net::TcpStream::connect(address).await.ok()
        })
        .await;
        Blog {
            child,
            address,
            _home: home,
        }
    }
}

impl Drop for Blog {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn gate(blog: &Blog) -> TestGate {
    let api = format!(
        r"api: blog
upstream: http://{}
route: /blog
tools:
  - {{ tool: list, match: GET /posts, risk: read }}
  - {{ tool: read, match: 'GET /posts/{{post}}', risk: read }}
  - {{ tool: peek, match: 'HEAD /posts/{{post}}', risk: read }}
  - {{ tool: write, match: POST /posts, risk: medium, subject: args.id }}
  - {{ tool: replace, match: 'PUT /posts/{{post}}', risk: medium, always: deny }}
  - {{ tool: delete, match: 'DELETE /posts/{{post}}', risk: high, subject: path.post }}
",
        blog.address
    );
    let desk = "workflow: desk\nrisk: medium\ntools: [blog/list, blog/read, blog/peek, blog/write, blog/replace, blog/delete]\n";
    TestGate::builder()
        .policy("blog.yaml", api)
        .policy("desk.yaml", desk)
        .start()
}

#[derive(Debug, PartialEq, Eq)]
struct Got {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// What curl gets. The head goes to a file, so that the body stays what it was.
fn curl(arguments: &[&str]) -> Got {
    let head = tempfile::NamedTempFile::new().unwrap();
    let output = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--max-time",
            "20",
            "--dump-header",
        ])
        .arg(head.path())
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let head = std::fs::read_to_string(head.path()).unwrap();
    // The last head: interim ones come before it.
    let last = head.trim_end().rsplit("\r\n\r\n").next().unwrap();
    let mut lines = last.lines();
    let status = lines
        .next()
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    Got {
        status,
        headers: headers
            .filter(|(name, _)| !DIFFERS.contains(&name.as_str()))
            .collect(),
        body: output.stdout,
    }
}

impl Got {
    fn problem(&self) -> String {
        let problem: Value = serde_json::from_slice(&self.body).unwrap();
        problem["type"].as_str().unwrap().to_owned()
    }
}

#[test]
fn curl_gets_through_the_gate_what_it_gets_without_it() {
    test(async {
        let blog = Blog::start().await;
        let gate = gate(&blog);
        let (through, around) = (
            format!("http://{}/blog", gate.listen()),
            format!("http://{}", blog.address),
        );
        let etag = curl(&[&format!("{around}/posts/1")]).headers["etag"].clone();
        let match_etag = format!("If-None-Match: {etag}");
        for (arguments, path, status) in [
            (&[][..], "/posts", 200),
            (&[], "/posts/1", 200),
            (&[], "/posts/999", 404),
            (&[], "/posts?_sort=id&_order=desc", 200),
            (&["--head"], "/posts/1", 200),
            (&["-H", &match_etag], "/posts/1", 304),
            (&["--compressed"], "/posts", 200),
            (&["-H", "Origin: https://page.example"], "/posts", 200),
            (&["--http1.0"], "/posts/1", 200),
        ] {
            let (got, wanted) = (
                curl(&[arguments, &[&format!("{through}{path}")]].concat()),
                curl(&[arguments, &[&format!("{around}{path}")]].concat()),
            );
            assert_eq!(got.status, status, "{arguments:?} {path}");
            // With HTTP/1.0 each hop chooses how it ends a body; the head that curl shows as a body
            // says its names in other cases.
            let framing = |mut got: Got| {
                if arguments.contains(&"--head") {
                    got.body.clear();
                }
                if arguments.contains(&"--http1.0") {
                    got.headers
                        .retain(|name, _| name != "transfer-encoding" && name != "content-length");
                }
                got
            };
            assert_eq!(framing(got), framing(wanted), "{arguments:?} {path}");
        }
        // HTTP/2 to the gate is HTTP/1.1 behind it: the body is the same.
        let (got, wanted) = (
            curl(&["--http2-prior-knowledge", &format!("{through}/posts")]),
            curl(&[&format!("{around}/posts")]),
        );
        assert_eq!(
            (got.status, got.body, &got.headers["etag"]),
            (wanted.status, wanted.body, &wanted.headers["etag"])
        );
    });
}

#[test]
fn curl_writes_and_is_bounded() {
    test(async {
        let blog = Blog::start().await;
        let gate = gate(&blog);
        let posts = format!("http://{}/blog/posts", gate.listen());
        let json = ["-H", "Content-Type: application/json"];
        let created = curl(
            &[
                &json[..],
                &[
                    "-H",
                    "Expect: 100-continue",
                    "-d",
                    r#"{"id":2,"title":"second"}"#,
                    &posts,
                ],
            ]
            .concat(),
        );
        assert_eq!(
            created.status,
            201,
            "{}",
            String::from_utf8_lossy(&created.body)
        );
        // json-server says where the new post is: on itself. It is told as a place on the gate.
        assert_eq!(created.headers["location"], format!("{posts}/2"));
        let chunked = curl(
            &[
                &json[..],
                &[
                    "-H",
                    "Transfer-Encoding: chunked",
                    "-d",
                    r#"{"id":3,"title":"third"}"#,
                    &posts,
                ],
            ]
            .concat(),
        );
        assert_eq!(chunked.status, 201);
        let large = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            large.path(),
            json!({ "id": 4, "title": "x".repeat(90_000) }).to_string(),
        )
        .unwrap();
        let sent = curl(
            &[
                &json[..],
                &[
                    "--http2-prior-knowledge",
                    "--data-binary",
                    &format!("@{}", large.path().display()),
                    &posts,
                ],
            ]
            .concat(),
        );
        assert_eq!((sent.status, sent.body.len() > 90_000), (201, true));
        std::fs::write(
            large.path(),
            json!({ "id": 5, "title": "x".repeat(2_000_000) }).to_string(),
        )
        .unwrap();
        let over = curl(
            &[
                &json[..],
                &[
                    "--data-binary",
                    &format!("@{}", large.path().display()),
                    &posts,
                ],
            ]
            .concat(),
        );
        assert_eq!(
            (over.status, over.problem().as_str()),
            (413, "urn:burngate:problem:too-large")
        );
    });
}

#[test]
fn curl_is_refused_and_waits_for_a_person() {
    test(async {
        let blog = Blog::start().await;
        let gate = gate(&blog);
        let posts = format!("http://{}/blog/posts", gate.listen());
        let json = ["-H", "Content-Type: application/json"];
        let second = curl(&[&json[..], &["-d", r#"{"id":2,"title":"second"}"#, &posts]].concat());
        assert_eq!(second.status, 201);
        let denied = curl(&[&json[..], &["-X", "PUT", "-d", "{}", &format!("{posts}/1")]].concat());
        assert_eq!(
            (denied.status, denied.problem().as_str()),
            (403, "urn:burngate:problem:denied")
        );
        let unlisted = curl(&["-X", "OPTIONS", &format!("{posts}/1")]);
        assert_eq!(
            (unlisted.status, unlisted.problem().as_str()),
            (403, "urn:burngate:problem:unlisted")
        );
        let two_posts = curl(&[
            &format!("{posts}/1"),
            "--next",
            "--silent",
            "--show-error",
            "--write-out",
            "%{num_connects}",
            &format!("{posts}/2"),
        ]);
        assert!(
            two_posts.body.ends_with(b"0"),
            "the connection is used again: {}",
            String::from_utf8_lossy(&two_posts.body)
        );
        let held = curl(&["-X", "DELETE", &format!("{posts}/2")]);
        assert_eq!(
            (held.status, held.problem().as_str()),
            (403, "urn:burngate:problem:held")
        );
        let asynchronous = curl(&[
            "-X",
            "DELETE",
            "-H",
            "Prefer: respond-async",
            &format!("{posts}/2"),
        ]);
        assert_eq!(
            (
                asynchronous.status,
                asynchronous.headers["preference-applied"].as_str()
            ),
            (202, "respond-async")
        );
        // One that waits open gets its answer when a person says yes; the approval is the one that
        // is there already.
        let url = format!("{posts}/2");
        let waiting = tokio::task::spawn_blocking(move || {
            curl(&["-X", "DELETE", "-H", "Prefer: wait=15", &url])
        });
        let pending = gate.operator().pending().await;
        gate.operator()
            .approve(pending["id"].as_str().unwrap())
            .await
            .passed();
        assert_eq!(waiting.await.unwrap().status, 200);
        assert_eq!(curl(&[&format!("{posts}/2")]).status, 404);
    });
}

#[test]
fn a_python_agent_lives_with_the_gate() {
    test(async {
        let blog = Blog::start().await;
        let gate = gate(&blog);
        let mut command = Command::new(tools().join("python/bin/python"));
        command.arg(format!("{HERE}/agent.py")).args([
            format!("http://{}", gate.listen()),
            format!("http://{}", blog.address),
        ]);
        let mut agent = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(agent.stdout.take().unwrap()).lines();
        let (held, said) =
            tokio::task::spawn_blocking(move || (said.next().unwrap().unwrap(), said))
                .await
                .unwrap();
        let held: Value = serde_json::from_str(&held).unwrap();
        gate.operator()
            .approve(held["approval"].as_str().unwrap())
            .await
            .passed();
        agent
            .stdin
            .take()
            .unwrap()
            .write_all(b"approved\n")
            .unwrap();
        let mut said = said;
        let seen = tokio::task::spawn_blocking(move || said.next().unwrap().unwrap())
            .await
            .unwrap();
        assert!(agent.wait().unwrap().success());
        let expected = json!({
            "/posts": true, "/posts/1": true, "/posts?_sort=id&_order=desc": true, "/posts/999": true,
            "created": [201, { "id": 2, "title": "straße", "rank": 1 }],
            "large": [201, 90_000],
            "denied": [403, "urn:burngate:problem:denied", "deny"],
            "unlisted": [403, "urn:burngate:problem:unlisted"],
            "held": [403, "urn:burngate:problem:held", true],
            "approved": "approved",
            "repeated": [200, "allow"],
            "gone": 404,
            "finished": 200,
        });
        assert_eq!(serde_json::from_str::<Value>(&seen).unwrap(), expected);
        let run = gate.operator().only_run("desk").await;
        assert_eq!(
            (&run["run"], &run["counted"], &run["outcome"]),
            (&json!("python"), &json!(true), &json!("acceptable")),
            "{run}"
        );
    });
}
