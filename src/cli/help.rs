//! `burngate help`: the reference, a topic at a time, and each command's own help.
//!
//! The topics are the Markdown files in `help/`, and the reference of policies. They are part of
//! the binary, so that what is read is what this version does.

use std::fmt::Write as _;

use clap::{Args, Command};

use super::failure::{Exit, Failure};
use super::render;
use crate::gate::nearest::did_you_mean;

/// Show a topic of the reference, or a command's help
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # The topics
  burngate help
  # One of them
  burngate help budget
  # A command's help
  burngate help approvals list")]
pub(super) struct HelpArgs {
    /// A topic, or a command; without one, the topics are listed
    #[arg(value_name = "TOPIC|COMMAND")]
    subject: Vec<String>,
}

/// A topic: its name, what it is about, and its text in Markdown.
struct Topic {
    name: &'static str,
    about: &'static str,
    text: &'static str,
}

/// Every topic, in the order in which a newcomer reads them.
const TOPICS: [Topic; 13] = [
    Topic {
        name: "concepts",
        about: "the words, and how a call is decided",
        text: include_str!("help/concepts.md"),
    },
    Topic {
        name: "budget",
        about: "what is counted, postures, burn rates",
        text: include_str!("help/budget.md"),
    },
    Topic {
        name: "runs",
        about: "runs, outcomes, reports, retries, incidents, the four numbers",
        text: include_str!("help/runs.md"),
    },
    Topic {
        name: "holds",
        about: "held calls, approvals, timed grants, who decides",
        text: include_str!("help/holds.md"),
    },
    Topic {
        name: "levels",
        about: "levels and tiers, clamp, recover, earning and losing a level",
        text: include_str!("help/levels.md"),
    },
    Topic {
        name: "policies",
        about: "the reference of policy files, key by key",
        text: include_str!("../../policies/README.md"),
    },
    Topic {
        name: "signals",
        about: "reports from other systems, by webhook",
        text: include_str!("help/signals.md"),
    },
    Topic {
        name: "history",
        about: "import, simulate, shadow, learn",
        text: include_str!("help/history.md"),
    },
    Topic {
        name: "operating",
        about: "deployment, burngate.yaml, restarts, reloads, the weekly review",
        text: include_str!("help/operating.md"),
    },
    Topic {
        name: "audit",
        about: "the journal, its export and its verification",
        text: include_str!("help/audit.md"),
    },
    Topic {
        name: "sql",
        about: "questions to the ledger",
        text: include_str!("help/sql.md"),
    },
    Topic {
        name: "api",
        about: "headers, refusals, and the admin API",
        text: include_str!("help/api.md"),
    },
    Topic {
        name: "commands",
        about: "every command with its flags",
        text: include_str!("help/commands.md"),
    },
];

impl HelpArgs {
    pub(super) fn run(&self, cli: Command) -> Result<Exit, Failure> {
        let page = match self.subject.as_slice() {
            [] => overview(),
            [name] if topic(name).is_some() => {
                let text = topic(name).map_or("", |topic| topic.text);
                render::markdown::page(text, render::markdown::terminal_width())
            }
            path => command(cli, path)?,
        };
        render::show(&page)?;
        Ok(Exit::Did)
    }
}

fn topic(name: &str) -> Option<&'static Topic> {
    TOPICS.iter().find(|topic| topic.name == name)
}

/// The list of topics.
fn overview() -> String {
    let mut page = String::from("Topics:\n");
    for Topic { name, about, .. } in &TOPICS {
        // Writing into a String does not fail.
        let _ = writeln!(page, "  {name:<10} {about}");
    }
    page + "\n`burngate help TOPIC` shows one, `burngate help COMMAND` a command's help, `burngate --help` the commands.\n"
}

/// The help of the command at `path`, such as `approvals list`.
fn command(mut cli: Command, path: &[String]) -> Result<String, Failure> {
    cli.build();
    let mut found = &mut cli;
    for name in path {
        found = found
            .find_subcommand_mut(name)
            .ok_or_else(|| unknown(path))?;
    }
    Ok(found.render_long_help().ansi().to_string())
}

fn unknown(path: &[String]) -> Failure {
    let asked = path.join(" ");
    let topics: Vec<&str> = TOPICS.iter().map(|topic| topic.name).collect();
    let failure = Failure::new(format!("no topic and no command is called `{asked}`"));
    match did_you_mean(&asked, topics.iter().copied()) {
        Some(question) => failure.hint(question),
        None => failure.hint(format!("the topics are {}", topics.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::render::plain;

    fn shown(topic: &Topic, width: usize) -> String {
        plain(&render::markdown::page(topic.text, width))
    }

    #[test]
    fn every_topic_fits_the_terminal_but_for_what_is_typed() {
        for (topic, width) in TOPICS.iter().flat_map(|topic| [(topic, 80), (topic, 140)]) {
            for line in shown(topic, width).lines() {
                let is_typed = line.starts_with("    ");
                assert!(
                    is_typed || line.chars().count() <= width,
                    "{}, at {width} columns: {line}",
                    topic.name
                );
            }
        }
    }

    #[test]
    fn no_topic_loses_a_word_on_its_way_to_the_terminal() {
        for topic in &TOPICS {
            let shown = shown(topic, 80);
            let shown: std::collections::HashSet<&str> = words(&shown).collect();
            for word in words(topic.text) {
                assert!(shown.contains(word), "{}: {word}", topic.name);
            }
        }
    }

    fn words(text: &str) -> impl Iterator<Item = &str> {
        let marks = ["console", "yaml", "sh", "text", "json", "exit"];
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(move |word| word.len() > 1 && !marks.contains(word))
    }

    fn program() -> Command {
        Command::new("burngate")
            .subcommand(Command::new("approvals").subcommand(Command::new("list").about("List")))
    }

    #[test]
    fn an_unknown_topic_is_refused_with_the_nearest_name() {
        let failure = command(program(), &["budgets".to_owned()]).unwrap_err();
        assert_eq!(failure.hint.as_deref(), Some("did you mean `budget`?"));
        assert_eq!(failure.exit, Exit::Failed);
    }

    #[test]
    fn a_command_has_its_help_by_its_path() {
        let help = command(program(), &["approvals".to_owned(), "list".to_owned()]).unwrap();
        assert!(plain(&help).contains("burngate approvals list"), "{help}");
    }
}
