//! `burngate keys`: a token for a person or an agent, and what of it belongs into `burngate.yaml`.
//!
//! The token is shown once and kept nowhere: the file holds its digest alone.

use clap::{Args, ValueEnum};

use super::failure::{Exit, Failure};
use super::render;
use crate::app::{digest, make_token};

/// Make a token for a person or an agent, and print the line of burngate.yaml that admits it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # A token for a person who decides on held calls
  burngate keys dana --role reviewer
  # A token for an agent
  burngate keys triage-bot --agent --workflow support-triage

The token is printed once and stored nowhere. A person with several tokens lists their digests: tokens_sha256: [\"…\", \"…\"].")]
pub(super) struct KeysArgs {
    /// The name of the person or agent
    name: String,
    /// What the person may do
    #[arg(long, value_enum, default_value = "reviewer", conflicts_with = "agent")]
    role: RoleArg,
    /// The token is for an agent, not for a person
    #[arg(long, requires = "workflow")]
    agent: bool,
    /// A workflow that the agent may use; may be repeated
    #[arg(long, requires = "agent")]
    workflow: Vec<String>,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleArg {
    Viewer,
    Reporter,
    Reviewer,
    Operator,
}

impl RoleArg {
    const fn as_str(self) -> &'static str {
        match self {
            RoleArg::Viewer => "viewer",
            RoleArg::Reporter => "reporter",
            RoleArg::Reviewer => "reviewer",
            RoleArg::Operator => "operator",
        }
    }
}

impl KeysArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let token = make_token(if self.agent { "bgag" } else { "bgre" });
        if self.json {
            let made = serde_json::json!({ "name": self.name, "token": token, "token_sha256": digest(&token), "entry": self.entry(&token) });
            render::show_json(&made.to_string())?;
        } else {
            render::show(&self.page(&token))?;
        }
        Ok(Exit::Did)
    }

    fn entry(&self, token: &str) -> String {
        let (name, digest) = (serde_json::Value::from(self.name.as_str()), digest(token));
        if self.agent {
            let workflows: Vec<String> = self
                .workflow
                .iter()
                .map(|workflow| serde_json::Value::from(workflow.as_str()).to_string())
                .collect();
            format!(
                "- {{ agent: {name}, workflows: [{}], token_sha256: \"{digest}\" }}",
                workflows.join(", ")
            )
        } else {
            format!(
                "- {{ name: {name}, role: {}, token_sha256: \"{digest}\" }}",
                self.role.as_str()
            )
        }
    }

    fn page(&self, token: &str) -> String {
        let list = if self.agent { "agents" } else { "reviewers" };
        let use_it = if self.agent {
            "the agent sends it as `Burngate-Authorization: Bearer TOKEN`"
        } else {
            "`burngate` commands read it from the environment variable BURNGATE_TOKEN"
        };
        format!(
            "The token is shown only now; {use_it}:\n  {token}\n\nAdd this line to burngate.yaml, under `{list}:`. A running gate accepts the token as soon as the file\nis saved:\n  {}\n",
            self.entry(token)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_holds_the_digest_and_never_the_token() {
        let dana = KeysArgs {
            name: "dana".to_owned(),
            role: RoleArg::Reviewer,
            agent: false,
            workflow: Vec::new(),
            json: false,
        };
        insta::assert_snapshot!(dana.entry("t"), @r#"- { name: "dana", role: reviewer, token_sha256: "e3b98a4da31a127d4bde6e43033f66ba274cab0eb7eb1c70ec41402bf6273dd8" }"#);
        let bot = KeysArgs {
            name: "bot".to_owned(),
            agent: true,
            workflow: vec!["w".to_owned()],
            ..dana
        };
        insta::assert_snapshot!(bot.entry("t"), @r#"- { agent: "bot", workflows: ["w"], token_sha256: "e3b98a4da31a127d4bde6e43033f66ba274cab0eb7eb1c70ec41402bf6273dd8" }"#);
        assert_eq!(bot.page("secret").matches("secret").count(), 1);
    }
}
