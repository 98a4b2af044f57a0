//! A mapping in the making: YAML in the order in which its keys are added.

use crate::config::quantity::Date;
use crate::config::source::tree::{YamlKey, YamlKind, YamlNode};
use crate::gate::policy::{Mode, Rule};

/// A mapping in the making.
#[derive(Default)]
pub(super) struct MappingBuilder(Vec<(YamlKey, YamlNode)>);

impl MappingBuilder {
    pub(super) fn with(mut self, key: &str, value: YamlNode) -> Self {
        self.0.push((
            YamlKey {
                span: 0..0,
                text: key.to_owned(),
            },
            value,
        ));
        self
    }

    pub(super) fn text(self, key: &str, value: impl std::fmt::Display) -> Self {
        self.with(key, YamlNode::text(value))
    }

    pub(super) fn whole(self, key: &str, value: impl Into<u64>) -> Self {
        self.with(key, YamlNode::whole(value.into()))
    }

    pub(super) fn flag(self, key: &str, value: bool) -> Self {
        self.with(key, YamlNode::unwritten(YamlKind::Bool(value)))
    }

    pub(super) fn list(self, key: &str, items: impl Iterator<Item = YamlNode>) -> Self {
        self.with(key, YamlNode::unwritten(YamlKind::List(items.collect())))
    }

    pub(super) fn optional(self, key: &str, value: Option<impl std::fmt::Display>) -> Self {
        match value {
            Some(value) => self.text(key, value),
            None => self,
        }
    }

    pub(super) fn with_some(self, key: &str, value: Option<YamlNode>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    pub(super) fn rule(self, key: &str, rule: Option<&Rule>) -> Self {
        match rule {
            None => self,
            Some(Rule {
                condition,
                mode: Mode::Enforce,
                ..
            }) => self.text(key, condition.source()),
            Some(rule) => self.with(
                key,
                MappingBuilder::default()
                    .text("if", rule.condition.source())
                    .mode(rule.mode)
                    .into_node(),
            ),
        }
    }

    /// The mode of a rule: one that enforces is what its tool makes of it.
    pub(super) fn own_mode(self, rule: Mode) -> Self {
        match rule {
            Mode::Enforce => self,
            Mode::Shadow { .. } => self.mode(rule),
        }
    }

    pub(super) fn mode(self, mode: Mode) -> Self {
        match mode {
            Mode::Enforce => self.text("mode", "enforce"),
            Mode::Shadow { until } => self.text("mode", "shadow").text("until", Date(until)),
        }
    }

    /// Takes `keys` over as they are written.
    pub(super) fn taken_over(mut self, keys: &[&str], written: Option<&YamlNode>) -> Self {
        for key in keys {
            if let Some(value) = written.and_then(|written| written.get(key)) {
                self = self.with(key, value.clone());
            }
        }
        self
    }

    pub(super) fn into_node(self) -> YamlNode {
        YamlNode::unwritten(YamlKind::Map(self.0))
    }
}
