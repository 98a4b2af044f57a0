//! A condition as it is evaluated: CEL's syntax tree with every name resolved, every macro and
//! every pattern compiled, so that judging a call looks nothing up.

use regex::Regex;

/// One expression.
#[derive(Debug)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Box<str>),
    Fact(Fact),
    /// `burn["1h"]`: one of the look-backs.
    Burn(&'static str),
    /// `header["x"]`, `path.x`
    Part(Part, Box<Node>),
    /// `"x" in header`, `has(path.x)`
    HasPart(Part, Box<Node>),
    /// The variable of the comprehension that is this deep.
    Local(usize),
    Select(Box<Node>, Box<str>),
    Has(Box<Node>, Box<str>),
    Index(Box<[Node; 2]>),
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Box<[Node; 2]>),
    Or(Box<[Node; 2]>),
    Choose(Box<[Node; 3]>),
    Equal(Box<[Node; 2]>),
    Order(Order, Box<[Node; 2]>),
    In(Box<[Node; 2]>),
    Arithmetic(Arithmetic, Box<[Node; 2]>),
    Call(Function, Box<[Node]>),
    Matches(Box<Node>, Regex),
    List(Box<[Node]>),
    Map(Box<[(Node, Node)]>),
    Each(Box<Each>),
}

/// A variable that has one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fact {
    Args,
    Tool,
    Agent,
    Workflow,
    RunId,
    RunCalls,
    RunEscalated,
    Level,
    Posture,
    Remaining,
    Status,
    Body,
    Payload,
}

impl Fact {
    pub(super) const ALL: [(&'static str, Fact); 13] = [
        ("args", Fact::Args),
        ("tool", Fact::Tool),
        ("agent", Fact::Agent),
        ("workflow", Fact::Workflow),
        ("run.id", Fact::RunId),
        ("run.calls", Fact::RunCalls),
        ("run.escalated", Fact::RunEscalated),
        ("level", Fact::Level),
        ("posture", Fact::Posture),
        ("budget.remaining", Fact::Remaining),
        ("response.status", Fact::Status),
        ("response.body", Fact::Body),
        ("body", Fact::Payload),
    ];
}

/// A variable that is read by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Path,
    Query,
    Header,
}

impl Part {
    pub(super) const ALL: [(&'static str, Part); 3] = [
        ("path", Part::Path),
        ("query", Part::Query),
        ("header", Part::Header),
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Part::Path => "path",
            Part::Query => "query",
            Part::Header => "header",
        }
    }
}

/// `<`, `<=`, `>`, `>=`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    pub(super) fn sign(self) -> &'static str {
        match self {
            Order::Less => "<",
            Order::LessOrEqual => "<=",
            Order::Greater => ">",
            Order::GreaterOrEqual => ">=",
        }
    }

    /// `a < b` is `!(a >= b)`.
    pub(super) fn opposite(self) -> Self {
        match self {
            Order::Less => Order::GreaterOrEqual,
            Order::LessOrEqual => Order::Greater,
            Order::Greater => Order::LessOrEqual,
            Order::GreaterOrEqual => Order::Less,
        }
    }

    /// `a < b` is `b > a`.
    pub(super) fn mirrored(self) -> Self {
        match self {
            Order::Less => Order::Greater,
            Order::LessOrEqual => Order::GreaterOrEqual,
            Order::Greater => Order::Less,
            Order::GreaterOrEqual => Order::LessOrEqual,
        }
    }
}

/// `+`, `-`, `*`, `/`, `%`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Arithmetic {
    pub(super) fn sign(self) -> &'static str {
        match self {
            Arithmetic::Add => "+",
            Arithmetic::Subtract => "-",
            Arithmetic::Multiply => "*",
            Arithmetic::Divide => "/",
            Arithmetic::Remainder => "%",
        }
    }
}

/// A function of the language. No clock, no time zone, no encodings: a verdict depends on the call
/// alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    LowerAscii,
    UpperAscii,
    Trim,
    Int,
    Double,
    String,
}

impl Function {
    /// Name, whether it is called on a value (`x.f()`), how many other arguments it takes.
    pub(super) const ALL: [(&'static str, bool, usize, Function); 11] = [
        ("size", false, 1, Function::Size),
        ("size", true, 0, Function::Size),
        ("contains", true, 1, Function::Contains),
        ("startsWith", true, 1, Function::StartsWith),
        ("endsWith", true, 1, Function::EndsWith),
        ("lowerAscii", true, 0, Function::LowerAscii),
        ("upperAscii", true, 0, Function::UpperAscii),
        ("trim", true, 0, Function::Trim),
        ("int", false, 1, Function::Int),
        ("double", false, 1, Function::Double),
        ("string", false, 1, Function::String),
    ];

    pub(super) fn name(self) -> &'static str {
        Self::ALL
            .into_iter()
            .find(|(.., function)| *function == self)
            .map_or("", |(name, ..)| name)
    }
}

/// A comprehension: `range.all(x, test)` and its like.
#[derive(Debug)]
pub(super) struct Each {
    pub(super) kind: EachKind,
    pub(super) range: Node,
    /// Which local variable holds the element.
    pub(super) local: usize,
    /// Which elements count.
    pub(super) test: Option<Node>,
    /// What a collected element becomes.
    pub(super) give: Option<Node>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EachKind {
    All,
    Exists,
    ExistsOne,
    /// `map` and `filter`
    Collect,
}

impl Node {
    /// The nodes that this one is made of.
    pub(super) fn parts(&self) -> Vec<&Node> {
        match self {
            Node::Null
            | Node::Bool(_)
            | Node::Int(_)
            | Node::Double(_)
            | Node::Text(_)
            | Node::Fact(_)
            | Node::Burn(_)
            | Node::Local(_) => Vec::new(),
            Node::Part(_, inner)
            | Node::HasPart(_, inner)
            | Node::Select(inner, _)
            | Node::Has(inner, _)
            | Node::Not(inner)
            | Node::Negate(inner)
            | Node::Matches(inner, _) => vec![inner],
            Node::Index(pair)
            | Node::And(pair)
            | Node::Or(pair)
            | Node::Equal(pair)
            | Node::In(pair)
            | Node::Order(_, pair)
            | Node::Arithmetic(_, pair) => pair.iter().collect(),
            Node::Choose(three) => three.iter().collect(),
            Node::Call(_, nodes) | Node::List(nodes) => nodes.iter().collect(),
            Node::Map(entries) => entries
                .iter()
                .flat_map(|(key, value)| [key, value])
                .collect(),
            Node::Each(each) => [Some(&each.range), each.test.as_ref(), each.give.as_ref()]
                .into_iter()
                .flatten()
                .collect(),
        }
    }

    /// Does its value depend on the call?
    pub(super) fn reads(&self) -> bool {
        matches!(
            self,
            Node::Fact(_) | Node::Burn(_) | Node::Part(..) | Node::HasPart(..)
        ) || self.parts().into_iter().any(Node::reads)
    }

    /// The members that lead from `args` to this, where it is a plain path: `args.a["b"]` is
    /// `["a", "b"]`.
    pub(super) fn args_path(&self) -> Option<Vec<&str>> {
        let mut path = Vec::new();
        let mut node = self;
        loop {
            match node {
                Node::Fact(Fact::Args) => break,
                Node::Select(inner, member) => {
                    path.push(&**member);
                    node = inner;
                }
                Node::Index(pair) => {
                    let [inner, Node::Text(member)] = &**pair else {
                        return None;
                    };
                    path.push(&**member);
                    node = inner;
                }
                _ => return None,
            }
        }
        path.reverse();
        Some(path)
    }

    /// The expression in the policy language, for messages; long parts are left out.
    pub(super) fn spell(&self) -> String {
        match self {
            Node::Null => "null".to_owned(),
            Node::Bool(value) => value.to_string(),
            Node::Int(value) => value.to_string(),
            Node::Double(value) => format!("{value:?}"),
            Node::Text(text) => format!("{text:?}"),
            Node::Fact(fact) => Fact::ALL
                .into_iter()
                .find(|(_, other)| other == fact)
                .map_or("", |(name, _)| name)
                .to_owned(),
            Node::Burn(look_back) => format!("burn[{look_back:?}]"),
            Node::Part(part, key) => format!("{}[{}]", part.name(), key.spell()),
            Node::HasPart(part, key) => format!("{} in {}", key.spell(), part.name()),
            Node::Local(_) => "an element".to_owned(),
            Node::Select(inner, member) => format!("{}.{member}", inner.spell()),
            Node::Has(inner, member) => format!("has({}.{member})", inner.spell()),
            Node::Index(pair) => format!("{}[{}]", pair[0].spell(), pair[1].spell()),
            Node::Not(inner) => format!("!({})", inner.spell()),
            Node::Negate(inner) => format!("-{}", inner.spell()),
            Node::And(pair) => format!("{} && {}", pair[0].spell(), pair[1].spell()),
            Node::Or(pair) => format!("({} || {})", pair[0].spell(), pair[1].spell()),
            Node::Choose(three) => format!("{} ? … : …", three[0].spell()),
            Node::Equal(pair) => format!("{} == {}", pair[0].spell(), pair[1].spell()),
            Node::Order(order, pair) => {
                format!("{} {} {}", pair[0].spell(), order.sign(), pair[1].spell())
            }
            Node::In(pair) => format!("{} in {}", pair[0].spell(), pair[1].spell()),
            Node::Arithmetic(sign, pair) => {
                format!("{} {} {}", pair[0].spell(), sign.sign(), pair[1].spell())
            }
            Node::Call(function, _) => format!("{}(…)", function.name()),
            Node::Matches(inner, _) => format!("{}.matches(…)", inner.spell()),
            Node::List(nodes) if nodes.len() <= 4 => format!(
                "[{}]",
                nodes.iter().map(Node::spell).collect::<Vec<_>>().join(", ")
            ),
            Node::List(_) => "[…]".to_owned(),
            Node::Map(_) => "{…}".to_owned(),
            Node::Each(each) => format!("{}.…", each.range.spell()),
        }
    }
}
