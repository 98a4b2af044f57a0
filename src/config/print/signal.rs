//! A signal, as YAML.

use super::mapping::MappingBuilder;
use crate::gate::policy::Signal;
use crate::gate::policy::signal::{About, Says, SecretSource};

pub(super) fn signal_document(signal: &Signal) -> MappingBuilder {
    let entries = MappingBuilder::default()
        .text("signal", &signal.name)
        .optional("workflow", signal.workflow.as_ref())
        .rule("when", signal.when.as_ref());
    let entries = match &signal.about {
        About::Run(run) => entries.rule("run", Some(run)),
        About::Subject(subject, tool) => entries
            .rule("subject", Some(subject))
            .optional("tool", tool.as_ref()),
    };
    let entries = match &signal.says {
        Says::Wrong(mode) => entries.text("mode", mode),
        Says::Right => entries.flag("right", true),
    };
    let entries = entries
        .rule("note", signal.note.as_ref())
        .rule("ref", signal.reference.as_ref());
    match &signal.secret {
        None => entries,
        Some(SecretSource::File(file)) => entries.text("secret_file", file),
        Some(SecretSource::Variable(variable)) => entries.text("secret_env", variable),
    }
}
