//! A gate in a process of its own, with a directory of its own. Only that process is ever
//! signalled.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::Instant;

use super::{Agent, Operator, Reviewer, SOON};

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_burngate");

/// A gate to be.
#[derive(Default)]
pub struct Builder {
    policies: Vec<(String, String)>,
    config: Option<String>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

/// A gate that runs.
pub struct TestGate {
    home: tempfile::TempDir,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    running: Option<Running>,
    starts: usize,
}

struct Running {
    child: Child,
    listen: SocketAddr,
    admin: SocketAddr,
    said: mpsc::Receiver<String>,
}

/// How a gate that was expected to start ended.
#[derive(Debug)]
pub struct Exit {
    /// How.
    pub status: ExitStatus,
    /// What it said on standard error.
    pub stderr: String,
}

impl Builder {
    /// With a policy file.
    pub fn policy(mut self, name: &str, text: impl Into<String>) -> Self {
        self.policies.push((name.to_owned(), text.into()));
        self
    }

    /// With a `burngate.yaml`.
    pub fn config(mut self, text: impl Into<String>) -> Self {
        self.config = Some(text.into());
        self
    }

    /// With further arguments of `burngate run`.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// With a variable in its environment.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes the files, and starts nothing.
    pub fn prepare(self) -> TestGate {
        let home = tempfile::Builder::new()
            .prefix("burngate-it-")
            .tempdir()
            .unwrap();
        fs::create_dir(home.path().join("policies")).unwrap();
        for (name, text) in &self.policies {
            fs::write(home.path().join("policies").join(name), text).unwrap();
        }
        if let Some(config) = &self.config {
            fs::write(home.path().join("burngate.yaml"), config).unwrap();
        }
        TestGate {
            home,
            arguments: self.arguments,
            environment: self.environment,
            running: None,
            starts: 0,
        }
    }

    /// Starts the gate.
    pub fn start(self) -> TestGate {
        let mut gate = self.prepare();
        gate.start();
        gate
    }
}

impl TestGate {
    /// A gate to be described.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Starts it, and waits until it listens.
    pub fn start(&mut self) {
        if let Err(exit) = self.try_start() {
            panic!("the gate did not start ({}):\n{}", exit.status, exit.stderr);
        }
    }

    /// Starts it with further arguments, this once.
    pub fn start_with(&mut self, arguments: &[&str]) {
        let before = self.arguments.clone();
        self.arguments
            .extend(arguments.iter().map(ToString::to_string));
        self.start();
        self.arguments = before;
    }

    /// Starts it, and waits until it listens or ends.
    pub fn try_start(&mut self) -> Result<(), Exit> {
        assert!(self.running.is_none(), "the gate runs already");
        self.starts += 1;
        let stderr = fs::File::create(self.log_file()).unwrap();
        let mut command = self.command();
        command
            .args(["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(&self.arguments);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let (tell, said) = mpsc::channel();
        std::thread::spawn(move || {
            // Ends with the process, whose standard output it reads to the end.
            BufReader::new(stdout)
                .lines()
                .map_while(Result::ok)
                .take_while(|line| tell.send(line.clone()).is_ok() || !line.is_empty())
                .for_each(drop);
        });
        let (mut listen, mut admin) = (None, None);
        let began = Instant::now();
        while listen.is_none() || admin.is_none() {
            let patience = SOON.saturating_sub(began.elapsed());
            let Ok(line) = said.recv_timeout(patience) else {
                assert!(
                    !patience.is_zero(),
                    "the gate said nothing:\n{}",
                    self.log()
                );
                let status = child.wait().unwrap();
                return Err(Exit {
                    status,
                    stderr: self.log(),
                });
            };
            if let Some(address) = line.strip_prefix("listening http://") {
                listen = address.parse().ok();
            } else if let Some(address) = line.strip_prefix("admin http://") {
                admin = address.parse().ok();
            }
        }
        self.running = Some(Running {
            child,
            listen: listen.unwrap(),
            admin: admin.unwrap(),
            said,
        });
        Ok(())
    }

    /// A command of the binary, in the gate's directory and in nobody's environment.
    pub fn command(&self) -> Command {
        let mut command = Command::new(BINARY);
        command
            .env_clear()
            .current_dir(self.home.path())
            .env("HOME", self.home.path())
            .env("NO_COLOR", "1")
            .env("RUST_LOG", "info")
            .envs(self.environment.iter().cloned());
        if let Some(running) = &self.running {
            command.env("BURNGATE_ADMIN", format!("http://{}", running.admin));
        }
        command
    }

    /// What a command answers.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        self.command()
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// The gate's directory.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.home.path().join("burngate-data")
    }

    /// One of its policy files.
    pub fn policy(&self, name: &str) -> PathBuf {
        self.home.path().join("policies").join(name)
    }

    /// Writes a policy file; the gate may notice by itself.
    pub fn write_policy(&self, name: &str, text: impl AsRef<[u8]>) {
        // As editors and Kubernetes do: never half a file.
        let beside = self.home.path().join(format!("{name}.new"));
        fs::write(&beside, text).unwrap();
        fs::rename(beside, self.policy(name)).unwrap();
    }

    /// What it logged since it was started last.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.home.path().join(format!("stderr-{}", self.starts))
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("the gate does not run")
    }

    /// Where agents call.
    pub fn listen(&self) -> SocketAddr {
        self.running().listen
    }

    /// Where operators call.
    pub fn admin(&self) -> SocketAddr {
        self.running().admin
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.running().child.id()
    }

    /// The most memory that it ever held, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// The operator's token.
    pub fn operator_token(&self) -> String {
        fs::read_to_string(self.data().join("operator.token")).unwrap()
    }

    /// An agent without a credential.
    pub fn agent(&self) -> Agent {
        Agent::new(self.listen())
    }

    /// Who holds the operator token.
    pub fn operator(&self) -> Operator {
        Operator::new(self.admin(), &self.operator_token())
    }

    /// Somebody who holds `token`.
    pub fn reviewer(&self, token: &str) -> Reviewer {
        Reviewer::new(self.admin(), token)
    }

    /// Ends it as a power cut would.
    pub fn kill_nine(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.child.kill().unwrap();
            running.child.wait().unwrap();
        }
    }

    /// Ends it as a power cut would, and starts it again.
    pub fn restart(&mut self) {
        self.kill_nine();
        self.start();
    }

    /// Ends it as a power cut would, and starts it again with another `burngate.yaml`.
    pub fn restart_with(&mut self, config: &str) {
        self.kill_nine();
        fs::write(self.home.path().join("burngate.yaml"), config).unwrap();
        self.start();
    }

    /// Asks it to stop.
    pub fn sigterm(&self) {
        self.signal("TERM");
    }

    /// Asks it to reload.
    pub fn sighup(&self) {
        self.signal("HUP");
    }

    /// Writes a policy file, and waits until what it says is in force.
    pub async fn reload(&self, name: &str, text: impl AsRef<[u8]>) {
        let times = || {
            self.log()
                .matches("calls are judged by these policies")
                .count()
        };
        let before = times();
        self.write_policy(name, text);
        self.sighup();
        self.until("the reload", || times() > before).await;
    }

    /// Waits until something can be seen, paced by the gate's own health.
    pub async fn until(&self, what: &str, seen: impl Fn() -> bool) {
        let stranger = super::Person::stranger(self.admin());
        super::eventually(what, || async {
            stranger.get("/healthz").await.passed();
            seen().then_some(())
        })
        .await;
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let status = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.pid())])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut running = self.running.take().expect("the gate does not run");
        let waiting = tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            // Its standard output closes with it.
            while running
                .said
                .recv_timeout(SOON.saturating_sub(began.elapsed()))
                .is_ok()
            {}
            let ended = running.child.try_wait().unwrap();
            ended.map_or_else(
                || {
                    let patient = began.elapsed() < SOON;
                    if !patient {
                        running.child.kill().unwrap();
                    }
                    let status = running.child.wait().unwrap();
                    patient.then_some(status)
                },
                Some,
            )
        });
        waiting
            .await
            .unwrap()
            .unwrap_or_else(|| panic!("the gate did not end:\n{}", self.log()))
    }
}

impl Drop for TestGate {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("what the gate logged:\n{}", self.log());
        }
    }
}
