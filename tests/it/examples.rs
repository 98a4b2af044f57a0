//! The shipped examples of approvals in other people's tools, as their users run them: a LangChain
//! agent that is interrupted by a held call, and a Slack bot.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use hmac::{Hmac, KeyInit as _, Mac as _};
use rstest::rstest;
use serde_json::{Value, json};

use crate::harness::{Agent, Reply, ScriptedUpstream, TestGate, eventually, policies, test};
use crate::real;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");

/// A gate with the example's policy, and two reviewers whose token files are in its directory.
async fn world() -> (ScriptedUpstream, TestGate) {
    let upstream = ScriptedUpstream::start().await;
    let policy =
        std::fs::read_to_string(Path::new(EXAMPLES).join("langchain-approvals/refunds.yaml"))
            .unwrap();
    let gate = TestGate::builder()
        .config(policies::people(
            &[],
            &[("dana", "reviewer"), ("eli", "reviewer"), ("bot", "viewer")],
        ))
        .policy(
            "refunds.yaml",
            policy.replace("http://127.0.0.1:3000", &upstream.url()),
        )
        .start();
    for person in ["dana", "eli"] {
        std::fs::write(token_file(&gate, person), format!("{person}-token\n")).unwrap();
    }
    (upstream, gate)
}

fn token_file(gate: &TestGate, person: &str) -> PathBuf {
    gate.home().join(format!("{person}.token"))
}

fn python(script: &str) -> Command {
    let mut command = Command::new(real::tools().join("python/bin/python"));
    command
        .arg(Path::new(EXAMPLES).join(script))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// A program that talks in lines.
struct Program {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Program {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let says = BufReader::new(child.stdout.take().unwrap());
        Program { child, says }
    }

    /// Its next line, read beside the test, which has one thread.
    async fn line(mut self) -> (Self, String) {
        tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            self.says.read_line(&mut line).unwrap();
            (self, line)
        })
        .await
        .unwrap()
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{}", line.trim_end()).unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn agent(gate: &TestGate, prompt: &str) -> Program {
    Program::start(
        python("langchain-approvals/agent.py")
            .arg(format!("http://{}", gate.listen()))
            .arg(prompt),
    )
}

/// A person decides, with the shipped script.
async fn decide(gate: &TestGate, person: &str, decision: &Value, request: &str) -> Output {
    let mut command = python("langchain-approvals/decide.py");
    command
        .arg(format!("http://{}", gate.admin()))
        .arg(token_file(gate, person))
        .arg(decision.to_string());
    let request = request.to_owned();
    let decided = move || {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(request.as_bytes())
            .unwrap();
        child.wait_with_output().unwrap()
    };
    tokio::task::spawn_blocking(decided).await.unwrap()
}

#[rstest]
#[case::approve(json!({ "type": "approve" }), Some(json!({ "order": "A-1", "amount": 90.0 })), "Refunded")]
#[case::edit(
    json!({ "type": "edit", "edited_action": { "name": "refund", "args": { "order": "A-1", "amount": 60 } } }),
    Some(json!({ "order": "A-1", "amount": 60 })),
    "Refunded"
)]
#[case::reject(json!({ "type": "reject", "message": "no such order" }), None, "A person rejected this refund: no such order")]
fn langchains_decisions_are_the_gates(
    #[case] decision: Value,
    #[case] sent: Option<Value>,
    #[case] answer: &str,
) {
    test(async {
        let (upstream, gate) = world().await;
        let (mut agent, asked) = agent(&gate, "refund order A-1: 90").line().await;
        let request: Value = serde_json::from_str(&asked).unwrap();
        assert_eq!(
            request["action_requests"][0]["args"],
            json!({ "order": "A-1", "amount": 90.0 }),
            "{request}"
        );
        upstream.untouched();
        let decided = decide(&gate, "dana", &decision, &asked).await;
        assert!(
            decided.status.success(),
            "{}",
            String::from_utf8_lossy(&decided.stderr)
        );
        agent.tell(&String::from_utf8(decided.stdout).unwrap());
        let (_agent, said) = agent.line().await;
        let said: Value = serde_json::from_str(&said).unwrap();
        assert!(
            said["answer"].as_str().unwrap().starts_with(answer),
            "{said}"
        );
        assert_eq!(
            upstream
                .received()
                .into_iter()
                .map(|call| call.json())
                .collect::<Vec<_>>(),
            sent.into_iter().collect::<Vec<_>>()
        );
        let decided = gate
            .operator()
            .get("/v1/audit?kind=decided")
            .await
            .passed()
            .json();
        assert_eq!(
            decided["entries"][0]["event"]["decision"]["reviewer"],
            "dana"
        );
    });
}

#[test]
fn an_agent_that_only_says_that_it_was_approved_gets_nothing() {
    test(async {
        let (upstream, gate) = world().await;
        let (mut agent, _asked) = agent(&gate, "refund order A-1: 90").line().await;
        agent.tell(r#"{"decisions": [{"type": "approve"}]}"#);
        let (_agent, said) = agent.line().await;
        assert!(said.contains("Nothing was refunded"), "{said}");
        upstream.untouched();
    });
}

/// Signed as Slack signs.
fn signed(secret: &str, body: &str) -> [(String, String); 2] {
    let at = jiff::Timestamp::now().as_second().to_string();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("v0:{at}:{body}").as_bytes());
    let signature: String = mac
        .finalize()
        .into_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    [
        ("x-slack-request-timestamp".to_owned(), at),
        ("x-slack-signature".to_owned(), format!("v0={signature}")),
    ]
}

/// Somebody presses a button, as Slack tells it.
async fn press(
    bot: &str,
    secret: &str,
    slack: &ScriptedUpstream,
    who: &str,
    action: &str,
    approval: &str,
) -> u16 {
    let payload = json!({
        "type": "block_actions", "user": { "id": who, "username": who }, "team": { "id": "T1" }, "api_app_id": "A1", "trigger_id": "1.1",
        "channel": { "id": "C1", "name": "approvals" }, "container": { "type": "message", "message_ts": "1.1", "channel_id": "C1" },
        "response_url": format!("{}/respond", slack.url()),
        "actions": [{ "type": "button", "action_id": action, "block_id": "b", "value": approval, "action_ts": "1.1" }],
    });
    let body: String = "payload="
        .chars()
        .map(String::from)
        .chain(
            payload
                .to_string()
                .bytes()
                .map(|byte| format!("%{byte:02X}")),
        )
        .collect();
    let agent = Agent::new(bot.parse().unwrap());
    let mut request = agent
        .request("POST", "/slack/events")
        .header("content-type", "application/x-www-form-urlencoded");
    for (name, value) in signed(secret, &body) {
        request = request.header(name, value);
    }
    agent
        .send(request.body(crate::harness::agent::full(body)).unwrap())
        .await
        .status
        .as_u16()
}

/// The bot for Slack, with two reviewers, and where it listens.
async fn slack_bot(gate: &TestGate, slack: &ScriptedUpstream) -> (Program, String) {
    let people = gate.home().join("people.json");
    std::fs::write(
        &people,
        json!({ "UDANA": token_file(gate, "dana"), "UELI": token_file(gate, "eli") }).to_string(),
    )
    .unwrap();
    let mut command = python("slack-approvals/bot.py");
    command
        .args([
            "--channel",
            "C1",
            "--listen",
            "127.0.0.1:0",
            "--every",
            "0.2",
            "--people",
        ])
        .arg(&people);
    command
        .env("SLACK_API_URL", format!("{}/api/", slack.url()))
        .env("SLACK_BOT_TOKEN", "xoxb-1")
        .env("SLACK_SIGNING_SECRET", "slack-secret");
    command
        .env("BURNGATE_ADMIN", format!("http://{}", gate.admin()))
        .env("BURNGATE_TOKEN", "bot-token");
    let (program, line) = Program::start(&mut command).line().await;
    let bot = line
        .trim()
        .strip_prefix("listening http://")
        .and_then(|line| line.strip_suffix("/slack/events"))
        .unwrap()
        .to_owned();
    (program, bot)
}

#[test]
fn people_decide_in_slack_in_their_own_names() {
    test(async {
        let (upstream, gate) = world().await;
        let slack = ScriptedUpstream::start().await;
        slack.always(|_| {
            Reply::json(200, &json!({ "ok": true, "ts": "1.1", "channel": "C1", "team_id": "T1", "user_id": "UBOT", "bot_id": "B1", "bot_user_id": "UBOT" }))
        });
        let (_program, bot) = slack_bot(&gate, &slack).await;
        let shown = async |what: &str| {
            eventually(what, || async {
                slack
                    .received()
                    .into_iter()
                    .map(|call| String::from_utf8_lossy(&call.body).into_owned())
                    .find(|body| body.contains(what))
            })
            .await
        };

        let refund = |order: &str| json!({ "order": order, "amount": 5 });
        gate.agent()
            .post("/payments/refunds", &refund("A-1<!channel>"))
            .await
            .refused(403, "held");
        let id = gate.operator().pending().await["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let message = shown(&id).await;
        assert!(
            !message.contains("<!channel>") && !message.contains("%3C%21channel"),
            "an argument mentions nobody: {message}"
        );
        assert_eq!(
            press(&bot, "another-secret", &slack, "UDANA", "approve", &id).await,
            401
        );
        assert_eq!(
            press(&bot, "slack-secret", &slack, "USTRANGER", "approve", &id).await,
            200
        );
        shown("You are no reviewer here").await;
        assert_eq!(gate.operator().pending().await["decisions"], json!([]));
        assert_eq!(
            press(&bot, "slack-secret", &slack, "UDANA", "approve", &id).await,
            200
        );
        shown("payments/refund is approved (dana: approve)").await;
        assert_eq!(
            press(&bot, "slack-secret", &slack, "UELI", "deny_wrong", &id).await,
            200
        );
        shown("The gate did not take it: the approval is approved already").await;
        gate.agent()
            .post("/payments/refunds", &refund("A-1<!channel>"))
            .await
            .passed();

        gate.agent()
            .post("/payments/refunds", &refund("A-2"))
            .await
            .refused(403, "held");
        let second = gate.operator().pending().await["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let message = shown(&second).await;
        assert!(
            message.contains("healthy") && message.contains("dana"),
            "how it stands, and who approved the last one: {message}"
        );
        assert_eq!(
            press(
                &bot,
                "slack-secret",
                &slack,
                "UELI",
                "deny_not_now",
                &second
            )
            .await,
            200
        );
        shown("payments/refund is denied (eli: deny not now)").await;
        assert_eq!(upstream.count(), 1);
    });
}
