//! The query as policy reads it: one value for a key, or none.
//!
//! Decides what a key that a rule names is worth under `application/x-www-form-urlencoded` (`+` is
//! a space). Servers disagree about keys that occur twice, in another case, with brackets, or after
//! a `;`; so such a key has no value here but a refusal (A51). Keys that no rule names are nobody's
//! business and pass as they are.

use std::borrow::Cow;

use super::Malformed;
use super::percent::percent_decode;
use crate::gate::policy::facts::{Ambiguous, Lookup};

/// A query string, read on demand.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    raw: &'a str,
}

impl<'a> Query<'a> {
    /// The query of a target; no `?` and a lone `?` hold no pairs alike.
    #[must_use]
    pub fn new(raw: Option<&'a str>) -> Self {
        Self {
            raw: raw.unwrap_or_default(),
        }
    }

    /// The value of `name`, `Some("")` for a key without one. An error when a reader could find
    /// another value than this one.
    pub fn get(&self, name: &str) -> Result<Option<Cow<'a, str>>, Malformed> {
        if self.raw.contains(';') {
            return Err(Malformed::QuerySemicolon);
        }
        let mut value = None;
        for pair in self.pairs() {
            // A key that cannot be decoded could be any key to a lenient reader, so it fails the
            // lookup of every key.
            let (key, found) = pair?;
            if !are_twins(&key, name) {
                continue;
            }
            if key != name || value.is_some() {
                return Err(Malformed::QueryTwice);
            }
            value = Some(found);
        }
        Ok(value)
    }

    /// Every value of `name`, for a parameter that is a list. An error when a reader could take
    /// another key for it.
    pub fn all(&self, name: &str) -> Result<Vec<Cow<'a, str>>, Malformed> {
        if self.raw.contains(';') {
            return Err(Malformed::QuerySemicolon);
        }
        let mut values = Vec::new();
        for pair in self.pairs() {
            let (key, value) = pair?;
            if key == name {
                values.push(value);
            } else if are_twins(&key, name) {
                return Err(Malformed::QueryTwice);
            }
        }
        Ok(values)
    }

    /// Whether some reader finds `name` among the keys.
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        self.raw
            .split(['&', ';'])
            .map(|pair| pair.split('=').next().unwrap_or(pair))
            .any(|key| percent_decode(key, true).is_ok_and(|key| are_twins(&key, name)))
    }

    /// Every pair in its order, decoded. For showing and recording; a rule asks `get`.
    pub fn pairs(&self) -> impl Iterator<Item = Result<(Cow<'a, str>, Cow<'a, str>), Malformed>> {
        self.raw
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((percent_decode(key, true)?, percent_decode(value, true)?))
            })
    }
}

/// The query as conditions read it.
impl Lookup for Query<'_> {
    fn find(&self, name: &str) -> Result<Option<Cow<'_, str>>, Ambiguous> {
        self.get(name).map_err(|_| Ambiguous)
    }

    fn all(&self, name: &str) -> Result<Vec<Cow<'_, str>>, Ambiguous> {
        Query::all(self, name).map_err(|_| Ambiguous)
    }
}

/// Whether some reader takes one for the other: case, surrounding blanks, `[]`, `[0]` or `[x]`
/// behind the name, and `.`, space and `[` where the name has `_`, which PHP folds. A rule that
/// itself names brackets (`filter[status]`) means that one member, beside which others may stand.
fn are_twins(key: &str, name: &str) -> bool {
    let folded = |byte: u8| match byte {
        b'.' | b' ' | b'[' => b'_',
        _ => byte.to_ascii_lowercase(),
    };
    let are_alike = |key: &str| {
        let key = key.trim();
        key.len() == name.len() && key.bytes().map(folded).eq(name.bytes().map(folded))
    };
    are_alike(key)
        || !name.contains('[') && key.split_once('[').is_some_and(|(key, _)| are_alike(key))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn get(query: &str, name: &str) -> Result<Option<String>, Malformed> {
        Query::new(Some(query))
            .get(name)
            .map(|value| value.map(Cow::into_owned))
    }

    #[test]
    fn a_key_has_its_decoded_value() {
        assert_eq!(
            get("id=1&note=a+b%20c%c3%a9&flag&empty=&&x=a=b", "note"),
            Ok(Some("a b cé".to_string()))
        );
        assert_eq!(get("flag&x=a=b", "flag"), Ok(Some(String::new())));
        assert_eq!(get("flag&x=a=b", "x"), Ok(Some("a=b".to_string())));
        assert_eq!(get("%69d=1", "id"), Ok(Some("1".to_string())));
        assert_eq!(get("id=1", "other"), Ok(None));
        assert_eq!(Query::new(None).get("id"), Ok(None));
        assert!(matches!(
            Query::new(Some("id=1")).get("id"),
            Ok(Some(Cow::Borrowed("1")))
        ));
    }

    #[test]
    fn s9_keys_that_php_folds_to_one_are_twins() {
        for twin in [
            "account.id",
            "account%20id",
            "account+id",
            "account[id",
            "ACCOUNT.ID",
        ] {
            let query = format!("account_id=mine&{twin}=other");
            assert_eq!(
                get(&query, "account_id"),
                Err(Malformed::QueryTwice),
                "{twin}"
            );
        }
        assert_eq!(
            get("account_id=1&accountxid=2", "account_id"),
            Ok(Some("1".to_string()))
        );
        // A rule on one member of a list says so, and the others may stand beside it.
        let members = "filter[a]=1&filter[b]=2";
        assert_eq!(get(members, "filter[a]"), Ok(Some("1".to_string())));
    }

    #[test]
    fn a51_a_judged_key_with_a_twin_is_refused() {
        for query in [
            "id=1&id=2",
            "id=1&id=1",
            "id=1&ID=2",
            "ID=2",
            "id=1&id[]=2",
            "id[]=1",
            "id[0]=1",
            "id=1&%69d=2",
            "id=1&+id=2",
        ] {
            assert_eq!(get(query, "id"), Err(Malformed::QueryTwice), "{query}");
        }
        assert_eq!(
            get("a=1&a=2&id=3", "id"),
            Ok(Some("3".to_string())),
            "only the judged key must be unique"
        );
        assert_eq!(
            get("filter[a]=1&filter[b]=2", "filter[a]"),
            Ok(Some("1".to_string()))
        );
        assert_eq!(
            get("filter[a]=1&Filter[A]=2", "filter[a]"),
            Err(Malformed::QueryTwice)
        );
    }

    #[test]
    fn a51_a_list_repeats_its_key_and_no_twin_of_it() {
        let all = |query: &str| {
            Query::new(Some(query))
                .all("tag")
                .map(|values| values.into_iter().map(Cow::into_owned).collect::<Vec<_>>())
        };
        assert_eq!(
            all("tag=a&x=1&tag=b+c"),
            Ok(vec!["a".to_owned(), "b c".to_owned()])
        );
        assert_eq!(all("x=1"), Ok(vec![]));
        for query in ["tag=a&TAG=b", "tag=a&tag[]=b", "tag=a&tag[0]=b"] {
            assert_eq!(all(query), Err(Malformed::QueryTwice), "{query}");
        }
        assert_eq!(all("tag=a;tag=b"), Err(Malformed::QuerySemicolon));
    }

    #[test]
    fn a51_a_semicolon_is_refused_when_judged() {
        assert_eq!(get("a=1;id=2", "id"), Err(Malformed::QuerySemicolon));
        assert_eq!(get("a=1%3bid=2", "id"), Ok(None));
    }

    #[test]
    fn a45_a_query_that_is_no_text_is_refused_when_judged() {
        assert_eq!(get("%ff=1", "id"), Err(Malformed::TargetUtf8));
        assert_eq!(get("id=%c0%ae", "id"), Err(Malformed::TargetUtf8));
        assert_eq!(get("id=%4", "id"), Err(Malformed::TargetEncoding));
    }

    proptest! {
        #[test]
        fn no_query_makes_the_reader_panic(query in "\\PC{0,60}", name in "\\PC{0,5}") {
            let _ = Query::new(Some(&query)).get(&name);
        }
    }
}
