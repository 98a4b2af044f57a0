//! What a condition reads, for whoever checks a policy: an argument that the schema does not know,
//! a capture that the pattern does not make.

use std::collections::BTreeSet;

use super::expression::{Fact, Node, Part};

/// What a condition reads of a call. Members are listed as far as they are spelled out:
/// `args.items[0].price` reads `items`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads {
    /// The members of `args`, each as the names that lead to it. `args.a.b` is `["a", "b"]`.
    pub args: BTreeSet<Vec<String>>,
    /// `args` as a whole, or by a name that is computed.
    pub all_args: bool,
    /// Names of `path`.
    pub path: BTreeSet<String>,
    /// Names of `query`.
    pub query: BTreeSet<String>,
    /// Names of `header`, in lower case.
    pub header: BTreeSet<String>,
    /// A name of `path`, `query` or `header` is computed.
    pub computed: bool,
    /// A name of `header` is computed: which headers it reads is not known before a call.
    pub computed_header: bool,
    /// Look-backs of `burn`.
    pub burn: BTreeSet<&'static str>,
    /// `response.status`.
    pub status: bool,
    /// `response.body`.
    pub body: bool,
}

impl Reads {
    /// The first names of what it reads of `args`.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        let mut before = None;
        let first = self
            .args
            .iter()
            .filter_map(|path| path.first())
            .map(String::as_str);
        first.filter(move |name| before.replace(*name) != Some(*name))
    }

    /// Does it read `args` at all?
    #[must_use]
    pub fn any_args(&self) -> bool {
        self.all_args || !self.args.is_empty()
    }

    pub(super) fn of(node: &Node) -> Self {
        let mut reads = Reads::default();
        reads.collect(node);
        reads
    }

    fn collect(&mut self, node: &Node) {
        match node {
            Node::Has(inner, member) => match inner.args_path() {
                Some(path) => self.add_args(path.into_iter().chain([&**member])),
                None => self.collect(inner),
            },
            Node::Part(part, key) | Node::HasPart(part, key) => {
                let names = match part {
                    Part::Path => &mut self.path,
                    Part::Query => &mut self.query,
                    Part::Header => &mut self.header,
                };
                match &**key {
                    Node::Text(name) => {
                        names.insert(name.to_string());
                    }
                    computed => {
                        self.computed = true;
                        self.computed_header |= matches!(part, Part::Header);
                        self.collect(computed);
                    }
                }
            }
            Node::Burn(look_back) => {
                self.burn.insert(look_back);
            }
            Node::Fact(Fact::Status) => self.status = true,
            Node::Fact(Fact::Body) => self.body = true,
            _ => match node.args_path() {
                Some(path) => self.add_args(path.into_iter()),
                None => self.collect_parts(node),
            },
        }
    }

    fn collect_parts(&mut self, node: &Node) {
        // `"x" in args` asks for a member; below `args`, the same may ask for an element of a list.
        if let Node::In(pair) = node
            && let [Node::Text(member), Node::Fact(Fact::Args)] = &**pair
        {
            return self.add_args([&**member].into_iter());
        }
        for part in node.parts() {
            self.collect(part);
        }
    }

    fn add_args<'n>(&mut self, path: impl Iterator<Item = &'n str>) {
        let path: Vec<String> = path.map(str::to_owned).collect();
        if path.is_empty() {
            self.all_args = true;
        } else {
            self.args.insert(path);
        }
    }
}
