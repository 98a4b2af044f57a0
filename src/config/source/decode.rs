//! Reads typed documents from the tree, and goes on after an error.
//!
//! The source types derive `Deserialize`; this deserializer gives them the position of every value.
//! Unknown and repeated keys are reported here, with the key that was probably intended. A value
//! that does not fit is reported and becomes [`Setting::Bad`](super::setting::Setting::Bad), so
//! that one bad tool hides neither its neighbours nor its own other mistakes.

use std::cell::RefCell;
use std::fmt;

use serde::de::{
    DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, Unexpected, VariantAccess,
    Visitor,
};
use serde::{Deserialize, Deserializer, de};

use super::setting::{SETTING, TEXT_OR};
use super::tree::{YamlKey, YamlKind, YamlNode};
use crate::config::diagnostics::Notes;
use crate::gate::nearest::did_you_mean;

/// Reads `node` as a `T`. Everything that does not fit goes to `notes`; `None` where nothing is
/// left.
pub fn decode<T: for<'de> Deserialize<'de>>(node: &YamlNode, notes: &mut Notes<'_>) -> Option<T> {
    let notes = RefCell::new(notes);
    let at_node = AtNode {
        node,
        name: "",
        notes: &notes,
    };
    match T::deserialize(at_node) {
        Ok(value) => Some(value),
        Err(misfit) => {
            at_node.report(misfit);
            None
        }
    }
}

/// A value does not fit.
#[derive(Debug)]
pub struct Misfit {
    message: String,
    hint: Option<String>,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Misfit {}

impl de::Error for Misfit {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Misfit {
            message: message.to_string(),
            hint: None,
        }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Misfit::custom(format_args!("expected {expected}, found {found}"))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Misfit::custom(format_args!("expected {expected}, found {found}"))
    }
}

#[derive(Clone, Copy)]
struct AtNode<'n, 'c, 'f> {
    node: &'n YamlNode,
    /// The key that the node is the value of, for messages.
    name: &'n str,
    notes: &'c RefCell<&'c mut Notes<'f>>,
}

impl<'n, 'c, 'f> AtNode<'n, 'c, 'f> {
    fn report(&self, misfit: Misfit) {
        let message = if self.name.is_empty() {
            misfit.message
        } else {
            format!("`{}`: {}", self.name, misfit.message)
        };
        let mut notes = self.notes.borrow_mut();
        notes.error(self.node.span.clone(), message).hint = misfit.hint;
    }

    fn expected(&self, what: &str) -> Misfit {
        Misfit {
            message: format!("expected {what}, found {}", self.node.described()),
            hint: None,
        }
    }

    fn at(&self, node: &'n YamlNode, name: &'n str) -> AtNode<'n, 'c, 'f> {
        AtNode {
            node,
            name,
            notes: self.notes,
        }
    }

    /// The entries of a mapping that belong to a struct with these fields. The others are reported,
    /// and so are repeated ones.
    fn entries(
        &self,
        known: Option<&'static [&'static str]>,
    ) -> Result<Vec<&'n (YamlKey, YamlNode)>, Misfit> {
        let YamlKind::Map(entries) = &self.node.kind else {
            return Err(self.expected("a mapping"));
        };
        let mut kept: Vec<&(YamlKey, YamlNode)> = Vec::with_capacity(entries.len());
        for entry in entries {
            let (key, _) = entry;
            let mut notes = self.notes.borrow_mut();
            if known.is_some_and(|known| !known.contains(&key.text.as_str())) {
                let known = known.unwrap_or_default();
                let document = if self.name.is_empty() {
                    String::new()
                } else {
                    format!(" in `{}`", self.name)
                };
                let unknown = notes
                    .error(
                        key.span.clone(),
                        format!("unknown key `{}`{document}", key.text),
                    )
                    .label("not a key of this mapping");
                unknown.hint = Some(
                    did_you_mean(&key.text, known.iter().copied())
                        .unwrap_or_else(|| format!("known keys: {}", known.join(", "))),
                );
            } else if kept.iter().any(|(other, _)| other.text == key.text) {
                notes
                    .error(
                        key.span.clone(),
                        format!("key `{}` is written twice", key.text),
                    )
                    .label("again here")
                    .hint("keep one of the two");
            } else {
                kept.push(entry);
            }
        }
        Ok(kept)
    }

    fn scalar_text(&self) -> Option<&'n str> {
        match &self.node.kind {
            YamlKind::Text(text) | YamlKind::Number(_, text) => Some(text),
            YamlKind::Bool(true) => Some("true"),
            YamlKind::Bool(false) => Some("false"),
            YamlKind::Null | YamlKind::List(_) | YamlKind::Map(_) => None,
        }
    }

    fn unsigned<V: Visitor<'n>>(self, most: u64, visitor: V) -> Result<V::Value, Misfit> {
        match &self.node.kind {
            YamlKind::Number(number, _) => match number.as_u64() {
                Some(value) if value <= most => visitor.visit_u64(value),
                _ => Err(self.expected(&format!("a whole number up to {most}"))),
            },
            _ => Err(self.expected("a whole number")),
        }
    }
}

macro_rules! unsigned {
    ($($method:ident $type:ident),*) => {
        $(fn $method<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Misfit> {
            #[allow(clippy::cast_lossless, reason = "the same line serves every width, usize among them")]
            self.unsigned($type::MAX as u64, visitor)
        })*
    };
}

impl<'n> Deserializer<'n> for AtNode<'n, '_, '_> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match &self.node.kind {
            YamlKind::Null => visitor.visit_unit(),
            YamlKind::Bool(value) => visitor.visit_bool(*value),
            YamlKind::Number(number, _) => {
                number.deserialize_any(visitor).map_err(de::Error::custom)
            }
            YamlKind::Text(text) => visitor.visit_borrowed_str(text),
            YamlKind::List(items) => visitor.visit_seq(ListReader {
                at: self,
                rest: items.iter(),
            }),
            YamlKind::Map(_) => visitor.visit_map(MappingReader {
                at: self,
                rest: self.entries(None)?.into_iter(),
                value: None,
            }),
        }
    }

    fn deserialize_bool<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.node.kind {
            YamlKind::Bool(value) => visitor.visit_bool(value),
            _ => Err(self.expected("true or false")),
        }
    }

    unsigned!(deserialize_u8 u8, deserialize_u16 u16, deserialize_u32 u32, deserialize_u64 u64);

    fn deserialize_str<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.scalar_text().map_or_else(
            || Err(self.expected("text")),
            |text| visitor.visit_borrowed_str(text),
        )
    }

    fn deserialize_string<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.node.kind {
            YamlKind::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'n>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match (name, &self.node.kind, self.scalar_text()) {
            (SETTING, ..) => visitor.visit_seq(SettingReader { at: self, step: 0 }),
            (TEXT_OR, YamlKind::Map(_), _) => visitor.visit_newtype_struct(self),
            (TEXT_OR, _, Some(text)) => visitor.visit_borrowed_str(text),
            (TEXT_OR, ..) => Err(self.expected("text, or a mapping")),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match &self.node.kind {
            YamlKind::List(items) => visitor.visit_seq(ListReader {
                at: self,
                rest: items.iter(),
            }),
            _ => Err(self.expected("a list")),
        }
    }

    fn deserialize_map<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_map(MappingReader {
            at: self,
            rest: self.entries(None)?.into_iter(),
            value: None,
        })
    }

    fn deserialize_struct<V: Visitor<'n>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_map(MappingReader {
            at: self,
            rest: self.entries(Some(fields))?.into_iter(),
            value: None,
        })
    }

    fn deserialize_enum<V: Visitor<'n>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let one_of = || {
            variants
                .iter()
                .map(|variant| format!("`{variant}`"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        match self.scalar_text() {
            Some(text) if variants.contains(&text) => visitor.visit_enum(Word(text)),
            found => {
                let hint = found.and_then(|text| did_you_mean(text, variants.iter().copied()));
                Err(Misfit {
                    hint,
                    ..self.expected(&format!("one of {}", one_of()))
                })
            }
        }
    }

    serde::forward_to_deserialize_any! { <V: Visitor<'n>> i8 i16 i32 i64 i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct ignored_any }
}

struct ListReader<'n, 'c, 'f> {
    at: AtNode<'n, 'c, 'f>,
    rest: std::slice::Iter<'n, YamlNode>,
}

impl<'n> SeqAccess<'n> for ListReader<'n, '_, '_> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'n>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Misfit> {
        self.rest
            .next()
            .map(|item| seed.deserialize(self.at.at(item, self.at.name)))
            .transpose()
    }
}

struct MappingReader<'n, 'c, 'f> {
    at: AtNode<'n, 'c, 'f>,
    rest: std::vec::IntoIter<&'n (YamlKey, YamlNode)>,
    value: Option<&'n (YamlKey, YamlNode)>,
}

impl<'n> MapAccess<'n> for MappingReader<'n, '_, '_> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'n>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Misfit> {
        self.value = self.rest.next();
        self.value
            .map(|(key, _)| seed.deserialize(key.text.as_str().into_deserializer()))
            .transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'n>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        match self.value.take() {
            Some((key, value)) => seed.deserialize(self.at.at(value, &key.text)),
            None => Err(de::Error::custom("a value without a key")),
        }
    }
}

/// What a [`Setting`] is read from: its first byte, the byte after its last, and the value, or
/// nothing once a misfit was reported.
struct SettingReader<'n, 'c, 'f> {
    at: AtNode<'n, 'c, 'f>,
    step: u8,
}

impl<'n> SeqAccess<'n> for SettingReader<'n, '_, '_> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'n>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Misfit> {
        self.step += 1;
        match self.step {
            1 => seed
                .deserialize(self.at.node.span.start.into_deserializer())
                .map(Some),
            2 => seed
                .deserialize(self.at.node.span.end.into_deserializer())
                .map(Some),
            3 => Ok(seed
                .deserialize(self.at)
                .map_err(|misfit| self.at.report(misfit))
                .ok()),
            _ => Ok(None),
        }
    }
}

/// A word that names a variant.
struct Word<'n>(&'n str);

impl<'n> EnumAccess<'n> for Word<'n> {
    type Error = Misfit;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'n>>(self, seed: V) -> Result<(V::Value, Self), Misfit> {
        seed.deserialize(self.0.into_deserializer())
            .map(|value| (value, self))
    }
}

impl<'n> VariantAccess<'n> for Word<'n> {
    type Error = Misfit;

    fn unit_variant(self) -> Result<(), Misfit> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'n>>(self, _: T) -> Result<T::Value, Misfit> {
        Err(de::Error::custom("expected a word"))
    }

    fn tuple_variant<V: Visitor<'n>>(self, _: usize, _: V) -> Result<V::Value, Misfit> {
        Err(de::Error::custom("expected a word"))
    }

    fn struct_variant<V: Visitor<'n>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Misfit> {
        Err(de::Error::custom("expected a word"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::diagnostics::SourceFile;
    use crate::config::quantity::Interval;
    use crate::config::source::setting::{At, Setting};
    use crate::config::source::tree;

    #[derive(Debug, Deserialize, Default)]
    #[serde(rename_all = "snake_case", default)]
    struct Document {
        name: Setting<String>,
        wait: Setting<Interval>,
        count: Setting<u32>,
        kind: Setting<Shape>,
        parts: Setting<Vec<Setting<Part>>>,
    }

    #[derive(Debug, Deserialize, Default)]
    #[serde(default)]
    struct Part {
        part: Setting<String>,
        on: Setting<bool>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum Shape {
        Round,
        Square,
    }

    fn read(text: &str) -> (Document, Vec<String>) {
        let file = SourceFile::new("t", text);
        let mut notes = Notes::on(&file);
        let document = decode(&tree::read(text).unwrap()[0], &mut notes).unwrap();
        (
            document,
            notes
                .into_found()
                .iter()
                .map(|found| format!("{found} [{}]", found.hint.as_deref().unwrap_or_default()))
                .collect(),
        )
    }

    #[test]
    fn what_fits_is_read_with_its_place() {
        let (document, found) =
            read("name: 007\nwait: 15m\nkind: round\nparts:\n  - part: a\n    on: true\n");
        assert_eq!(found, Vec::<String>::new());
        assert_eq!(
            document.name,
            Setting::Given(At {
                span: 6..9,
                value: "007".to_owned()
            })
        );
        assert_eq!(document.kind.value(), Some(&Shape::Round));
        assert!(document.count.is_absent());
        assert_eq!(
            document.parts.value().unwrap()[0]
                .value()
                .unwrap()
                .on
                .value(),
            Some(&true)
        );
    }

    #[test]
    fn everything_that_does_not_fit_is_reported_at_once() {
        let (document, found) = read(
            "nmae: x\nwait: 15 minutes\ncount: 4294967296\nkind: rond\nname: a\nname: b\nparts:\n  - part: [1]\n    on: yes\n  - 3\n  - part: good\n",
        );
        assert_eq!(
            found,
            [
                "t:1:1: unknown key `nmae` [did you mean `name`?]",
                "t:6:1: key `name` is written twice [keep one of the two]",
                "t:2:7: `wait`: expected a duration such as 15m, found `15 minutes` []",
                "t:3:8: `count`: expected a whole number up to 4294967295, found `4294967296` []",
                "t:4:7: `kind`: expected one of `round`, `square`, found `rond` [did you mean `round`?]",
                "t:8:11: `part`: expected text, found a list []",
                "t:9:9: `on`: expected true or false, found `yes` []",
                "t:10:5: `parts`: expected a mapping, found `3` []",
            ]
        );
        let parts = document.parts.value().unwrap();
        assert_eq!(parts[2].value().unwrap().part.value().unwrap(), "good");
    }
}
