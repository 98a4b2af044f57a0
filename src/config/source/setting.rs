//! One setting of a document: absent, bad, or given with where it was written.
//!
//! A setting is read by the deserializer of `decode`, which knows positions; serde is asked for it
//! by a name that no document has.

use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, de};

use super::tree::SourceSpan;

/// The name by which [`Setting`] asks where it was written.
pub(super) const SETTING: &str = "burngate::Setting";
/// The name by which [`TextOr`] asks which of the two it is.
pub(super) const TEXT_OR: &str = "burngate::TextOr";

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At<T> {
    /// Where.
    pub span: SourceSpan,
    /// What.
    pub value: T,
}

/// One setting of a document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Setting<T> {
    /// It was not written.
    #[default]
    Absent,
    /// It was written, and why it does not fit was reported.
    Bad,
    /// It was written.
    Given(At<T>),
}

/// A list whose items are read one by one, so that a bad one does not hide the others.
pub type ListSetting<T> = Setting<Vec<Setting<T>>>;

impl<T> Setting<T> {
    /// The value, where it was written well.
    #[must_use]
    pub const fn given(&self) -> Option<&At<T>> {
        match self {
            Setting::Given(at) => Some(at),
            Setting::Absent | Setting::Bad => None,
        }
    }

    /// The value alone.
    #[must_use]
    pub const fn value(&self) -> Option<&T> {
        match self {
            Setting::Given(at) => Some(&at.value),
            Setting::Absent | Setting::Bad => None,
        }
    }

    /// Was nothing written?
    #[must_use]
    pub const fn is_absent(&self) -> bool {
        matches!(self, Setting::Absent)
    }
}

/// A text, or a mapping that says more than the text alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextOr<T> {
    /// The text.
    Text(String),
    /// The mapping.
    More(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Setting<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(SETTING, SettingVisitor(PhantomData))
    }
}

struct SettingVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for SettingVisitor<T> {
    type Value = Setting<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value and where it was written")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut located: A) -> Result<Setting<T>, A::Error> {
        let start = located.next_element()?.unwrap_or_default();
        let end = located.next_element()?.unwrap_or_default();
        Ok(located.next_element()?.map_or(Setting::Bad, |value| {
            Setting::Given(At {
                span: start..end,
                value,
            })
        }))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for TextOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(TEXT_OR, TextOrVisitor(PhantomData))
    }
}

struct TextOrVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for TextOrVisitor<T> {
    type Value = TextOr<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, or a mapping")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<TextOr<T>, E> {
        Ok(TextOr::Text(text.to_owned()))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<TextOr<T>, D::Error> {
        T::deserialize(deserializer).map(TextOr::More)
    }
}

impl<T: JsonSchema> JsonSchema for TextOr<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("TextOr{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (text, more) = (
            String::json_schema(generator),
            generator.subschema_for::<T>(),
        );
        json_schema!({ "anyOf": [text, more] })
    }
}

impl<T: JsonSchema> JsonSchema for Setting<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> std::borrow::Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}
