//! `burngate schema`: the schemas of policies, configuration and admin API, for editors and
//! generators.

use clap::{Args, ValueEnum};

use super::failure::{Exit, Failure};
use super::render;
use crate::app;
use crate::config::schema;

/// Print the JSON Schema of policy files or of `burngate.yaml`, or the OpenAPI description of the
/// admin API
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # For an editor with the YAML language server
  burngate schema policy > policy.schema.json
  # For a client of the admin API
  burngate schema openapi > burngate.openapi.json

An editor finds the schema through the first line of a policy file:
  # yaml-language-server: $schema=../policy.schema.json")]
pub(super) struct SchemaArgs {
    /// What to describe
    of: SchemaKind,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SchemaKind {
    /// Policy files
    Policy,
    /// burngate.yaml
    Config,
    /// The admin API, as OpenAPI
    Openapi,
}

impl SchemaArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let schema = match self.of {
            SchemaKind::Policy => format!("{:#}", schema::policy()),
            SchemaKind::Config => format!("{:#}", schema::process()),
            SchemaKind::Openapi => app::openapi(),
        };
        render::show_json(&schema)?;
        Ok(Exit::Did)
    }
}
