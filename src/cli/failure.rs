//! Why a command did not do what it was asked, and the process's exit code.
//!
//! Exit codes are API: scripts branch on them. A message is a lower-case fragment that says what is
//! wrong; a hint says what to do about it.

use std::fmt;
use std::process::ExitCode;

use http::StatusCode;

use crate::config::Diagnostics;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// It did what it was asked: 0.
    Did,
    /// It was refused or it failed: 1.
    Failed,
    /// It was asked in a way that it does not understand: 2, as clap's own complaints.
    Usage,
    /// It did what it was asked, and the answer is no: 3.
    AnswerIsNo,
}

impl Exit {
    /// The code as a number.
    #[must_use]
    pub(super) const fn code(self) -> u8 {
        match self {
            Exit::Did => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::AnswerIsNo => 3,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(super) struct Failure {
    /// What is wrong, as a lower-case fragment.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// What the process ends with.
    pub exit: Exit,
    /// What is wrong with files, where that is it: shown in full before the message.
    pub findings: Vec<Diagnostics>,
    /// The status that a gate answered with, where one answered.
    pub status: Option<StatusCode>,
}

impl Failure {
    /// Something was refused or failed.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Failure {
            message: message.into(),
            hint: None,
            exit: Exit::Failed,
            findings: Vec::new(),
            status: None,
        }
    }

    /// The command line does not make sense.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Failure {
            exit: Exit::Usage,
            ..Failure::new(message)
        }
    }

    /// Files are wrong in these ways.
    #[must_use]
    pub(super) fn found(message: impl Into<String>, findings: Vec<Diagnostics>) -> Self {
        Failure {
            findings,
            ..Failure::new(message)
        }
    }

    /// The same with what to do.
    #[must_use]
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Failure {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// The same, with what to do where the gate knows nothing by that name.
    #[must_use]
    pub(super) fn if_unknown(self, hint: &str) -> Self {
        if self.status == Some(StatusCode::NOT_FOUND) && self.hint.is_none() {
            self.hint(hint)
        } else {
            self
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// What the process that runs the gate ended with: its causes in one line, and findings in files
/// where those are the reason.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<Diagnostics>() {
            Ok(findings) => Failure::found("the gate was not started: these files cannot be used", vec![findings])
                .hint("mend them until `burngate check` finds nothing, or name other policies with --policies; `burngate init` writes a first one"),
            Err(error) => {
                let (mut messages, mut hint) = (Vec::new(), None);
                for cause in error.chain() {
                    let text = cause.to_string();
                    let (message, said) = text
                        .split_once("\nhint: ")
                        .map_or((&*text, None), |(message, hint)| (message, Some(hint)));
                    messages.push(message.to_owned());
                    hint = hint.or(said.map(str::to_owned));
                }
                Failure {
                    hint,
                    ..Failure::new(messages.join(": "))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn what_the_gate_ended_with_is_a_message_and_a_hint() {
        let refused = std::io::Error::from(std::io::ErrorKind::AddrInUse);
        let error = Err::<(), _>(refused)
            .context("cannot listen on 127.0.0.1:1\nhint: is another process there?");
        let failure = Failure::from(error.unwrap_err());
        assert!(
            failure
                .message
                .starts_with("cannot listen on 127.0.0.1:1: ")
                && !failure.message.contains("hint"),
            "{failure}"
        );
        assert_eq!(failure.hint.as_deref(), Some("is another process there?"));
    }

    #[test]
    fn findings_in_files_stay_findings() {
        let failure = Failure::from(anyhow::Error::new(Diagnostics::default()));
        assert_eq!(failure.findings.len(), 1);
    }
}
