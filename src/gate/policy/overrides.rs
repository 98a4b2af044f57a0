//! Names by which a client asks some upstream for another method, path or host than those that are
//! judged.
//!
//! Frameworks and gateways obey them where nobody looks, so a request that has one is refused,
//! unless its tool API says that the name is harmless there.

use serde::Serialize;

/// Headers that are refused, in order.
pub const HEADERS: [&str; 13] = [
    "x-host",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-http-path-override",
    "x-method-override",
    "x-original-host",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-override-url",
    "x-rewrite-uri",
    "x-rewrite-url",
];

/// The query key and form field that frameworks take for the method.
pub const METHOD_KEY: &str = "_method";

/// What a tool API lets pass of them, and whether it takes header names with underscores.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Overrides {
    names: Vec<&'static str>,
    underscores: bool,
}

impl Overrides {
    /// Nothing passes but, where `underscores` says so, header names with underscores.
    #[must_use]
    pub const fn new(underscores: bool) -> Self {
        Overrides {
            names: Vec::new(),
            underscores,
        }
    }

    /// Whether header names may have underscores, which CGI and its heirs take for hyphens.
    #[must_use]
    pub const fn underscores(&self) -> bool {
        self.underscores
    }

    /// Lets `name` pass; false where nothing of that name is refused.
    #[must_use]
    pub fn allow(&mut self, name: &str) -> bool {
        let name = HEADERS
            .iter()
            .chain([&METHOD_KEY])
            .find(|known| known.eq_ignore_ascii_case(name));
        self.names.extend(name);
        name.is_some()
    }

    /// What passes, of the names that are refused else.
    #[must_use]
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// Whether `name` passes.
    #[must_use]
    pub fn allows(&self, name: &str) -> bool {
        self.names.contains(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_in_order_for_the_search() {
        assert!(HEADERS.is_sorted());
    }

    #[test]
    fn only_what_is_refused_can_be_let_pass() {
        let mut overrides = Overrides::default();
        assert!(overrides.allow("X-HTTP-Method"));
        assert!(!overrides.allow("x-request-id"));
        assert_eq!(overrides.names(), ["x-http-method"]);
    }
}
