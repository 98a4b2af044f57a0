//! Arguments as the schema engine reads them in place: nothing of a call is copied to find out that
//! it fits.
//!
//! Decides nothing by itself. Numbers are read by the same rule as the copy that a refusal is
//! explained with; whoever asks has made sure that each has a value.

use std::borrow::Cow;

use jsonschema::JsonType;
use jsonschema::json::{Array, Json as Representation, Node, NodeIdentity, Object};
use serde_json::{Number, Value};

use super::value::{number_of, value_of};
use crate::gate::json::Json;

/// The representation that `gate::json` is.
pub(super) struct Borrowed;

impl Representation for Borrowed {
    type Node<'a> = &'a Json<'a>;
    type PreparedKey = Box<str>;
    type StringBuffer = ();

    fn prepare_key(key: &str) -> Box<str> {
        key.into()
    }

    fn with_string_node<T>((): &mut (), string: &str, f: impl FnOnce(Self::Node<'_>) -> T) -> T {
        f(&Json::String(Cow::Borrowed(string)))
    }
}

impl<'a> Node<'a, Borrowed> for &'a Json<'a> {
    type Object = &'a [(Cow<'a, str>, Json<'a>)];
    type Array = &'a [Json<'a>];
    type Number = Number;

    fn as_object(&self) -> Option<Self::Object> {
        if let Json::Object(members) = self {
            Some(members)
        } else {
            None
        }
    }

    fn as_array(&self) -> Option<Self::Array> {
        if let Json::Array(elements) = self {
            Some(elements)
        } else {
            None
        }
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        if let Json::String(text) = self {
            Some(Cow::Borrowed(text))
        } else {
            None
        }
    }

    fn as_number(&self) -> Option<Number> {
        if let Json::Number(text) = self {
            number_of(text)
        } else {
            None
        }
    }

    fn as_boolean(&self) -> Option<bool> {
        if let Json::Bool(truth) = self {
            Some(*truth)
        } else {
            None
        }
    }

    fn is_null(&self) -> bool {
        matches!(self, Json::Null)
    }

    fn is_number(&self) -> bool {
        matches!(self, Json::Number(_))
    }

    fn json_type(&self) -> JsonType {
        match self {
            Json::Null => JsonType::Null,
            Json::Bool(_) => JsonType::Boolean,
            Json::Number(_) => JsonType::Number,
            Json::String(_) => JsonType::String,
            Json::Array(_) => JsonType::Array,
            Json::Object(_) => JsonType::Object,
        }
    }

    /// An enum is mostly names.
    fn equals_value(&self, expected: &Value) -> bool {
        match (self, expected) {
            (Json::String(text), Value::String(expected)) => text == expected,
            (Json::String(_), _) | (_, Value::String(_)) => false,
            _ => jsonschema::json::cmp::equal(&self.to_value(), expected),
        }
    }

    fn to_value(&self) -> Cow<'a, Value> {
        Cow::Owned(value_of(self).unwrap_or_default())
    }

    fn identity(&self) -> Option<NodeIdentity> {
        Some(NodeIdentity::new(
            std::ptr::from_ref::<Json<'_>>(self).addr(),
        ))
    }
}

impl<'a> Object<'a, Borrowed> for &'a [(Cow<'a, str>, Json<'a>)] {
    type Node = &'a Json<'a>;
    type MemberName = &'a str;
    type MembersIter = Members<'a>;

    fn len(&self) -> usize {
        <[_]>::len(self)
    }

    fn get(&self, key: &Box<str>) -> Option<&'a Json<'a>> {
        self.iter()
            .find(|(name, _)| **name == **key)
            .map(|(_, value)| value)
    }

    fn members(&self) -> Members<'a> {
        Members(self.iter())
    }
}

/// The members of an object, in their order.
pub(super) struct Members<'a>(std::slice::Iter<'a, (Cow<'a, str>, Json<'a>)>);

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, &'a Json<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(name, value)| (&**name, value))
    }
}

impl<'a> Array<'a, Borrowed> for &'a [Json<'a>] {
    type Node = &'a Json<'a>;
    type ElementsIter = std::slice::Iter<'a, Json<'a>>;

    fn len(&self) -> usize {
        <[_]>::len(self)
    }

    fn elements(&self) -> Self::ElementsIter {
        self.iter()
    }
}
