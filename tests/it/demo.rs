//! `burngate demo` as a newcomer meets it: the story happens in its order, on real ports, and
//! nothing of it is left behind.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// The demonstration, with `directory` for its temporary files.
fn demo(directory: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_burngate"));
    command
        .arg("demo")
        .args(flags)
        .env("TMPDIR", directory)
        .env("NO_COLOR", "1")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null());
    command
}

/// Where the demonstration said that it listens: for the agent, and for operators.
fn addresses(story: &str) -> Vec<SocketAddr> {
    let found: Vec<SocketAddr> = story
        .split("http://")
        .skip(1)
        .filter_map(|rest| rest.split(['/', '\n']).next()?.parse().ok())
        .collect();
    assert_eq!(found.len(), 2, "{story}");
    found
}

fn nothing_is_left(directory: &Path, story: &str) {
    let left: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(left.is_empty(), "{left:?}");
    for address in addresses(story) {
        assert!(
            TcpStream::connect(address).is_err(),
            "{address} still listens"
        );
    }
}

/// A demonstration that is read while it runs, and ended whatever becomes of the test.
struct Reader {
    child: Child,
    stdout: BufReader<ChildStdout>,
    read: String,
}

impl Reader {
    fn begin(directory: &Path) -> Self {
        let mut child = demo(directory, &[]).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Reader {
            child,
            stdout,
            read: String::new(),
        }
    }

    /// Reads up to the line with `text` in it.
    fn up_to(&mut self, text: &str) {
        loop {
            let from = self.read.len();
            assert_ne!(
                self.stdout.read_line(&mut self.read).unwrap(),
                0,
                "it ended before `{text}`:\n{}",
                self.read
            );
            if self.read[from..].contains(text) {
                return;
            }
        }
    }

    fn signal(&self, name: &str) {
        assert!(
            Command::new("kill")
                .args([name, &self.child.id().to_string()])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_story_happens_in_its_order_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let output = demo(directory.path(), &["--yes"]).output().unwrap();
    let (story, complaints) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert!(output.status.success(), "{story}\n{complaints}");
    assert_eq!(complaints, "");
    let mut rest = story.as_str();
    for expected in [
        "1  Healthy",
        "40 EUR for A-2044   201  allow",
        "posture healthy   level autonomous",
        "100% remaining   0 of 44 runs unacceptable, 4 allowed",
        "2  Mistakes",
        "422  deny  wrong-arguments",
        "504  -     upstream-timeout",
        "409  allow refunded already",
        "403  deny  denied: deny_when",
        "posture at_risk   level standard",
        "25% remaining   3 of 48 runs unacceptable, 4 allowed",
        "403  hold  held",
        "Burngate-Budget: posture=at_risk;",
        "3  Burned",
        "500  allow the mail server is down",
        "posture burned   level supervised",
        "0% remaining   4 of 50 runs unacceptable, 4 allowed",
        "403  hold  held",
        "burngate approvals approve apr_",
        "the demonstration plays the reviewer",
        "201  allow",
        "403  hold  held",
        "4  An operator steps in",
        "burngate clamp refunds --to read_only",
        "403  deny  level",
        "level read_only (clamped by an operator)",
        "burngate release refunds",
        "201  allow",
        "5  The way back",
        "burngate recover refunds",
        "level autonomous (on probation)",
        "nothing is left behind",
    ] {
        let Some((_, after)) = rest.split_once(expected) else {
            panic!("`{expected}` does not come next in\n{story}")
        };
        rest = after;
    }
    assert!(!story.contains('\u{1b}'), "NO_COLOR");
    // Only what is pasted into a shell is as long as it is.
    let is_typed = |line: &str| line.contains("export ") || line.contains("burngate ");
    assert!(
        story
            .lines()
            .all(|line| line.chars().count() <= 80 || is_typed(line)),
        "{story}"
    );
    nothing_is_left(directory.path(), &story);
}

#[test]
fn a_signal_in_the_middle_ends_it_well_and_leaves_nothing() {
    for name in ["-INT", "-TERM", "-HUP"] {
        let directory = tempfile::tempdir().unwrap();
        let mut reader = Reader::begin(directory.path());
        reader.up_to("burngate status refunds");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        reader.signal(name);
        reader.up_to("nothing is left behind");
        assert!(reader.child.wait().unwrap().success(), "{name}");
        nothing_is_left(directory.path(), &reader.read);
    }
}
