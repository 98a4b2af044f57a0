//! What a condition can read: the variables of the policy language, borrowed from one call.

use std::borrow::Cow;

use super::pattern::Captures;
use crate::gate::budget::burn::BurnRates;
use crate::gate::budget::objective::Remaining;
use crate::gate::json::Json;

/// The variables of one call. Everything is borrowed; a condition that reads nothing of a part
/// costs nothing for it.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// `args`: the JSON body or the MCP arguments; `None` reads as `null`.
    pub args: Option<&'a Json<'a>>,
    /// `path`: what the tool's pattern captured.
    pub path: &'a dyn Lookup,
    /// `query`: the query's parameters.
    pub query: &'a dyn Lookup,
    /// `header`: request headers by lower-case name.
    pub header: &'a dyn Lookup,
    /// `tool`, as `api/tool`.
    pub tool: &'a str,
    /// `agent`.
    pub agent: &'a str,
    /// `workflow`.
    pub workflow: &'a str,
    /// `run`.
    pub run: RunFacts<'a>,
    /// `level`: the effective level's name.
    pub level: &'a str,
    /// `posture`.
    pub posture: &'a str,
    /// `budget.remaining`.
    pub remaining: Remaining,
    /// `burn["1h"]` and its like.
    pub burn: &'a BurnRates,
    /// `response`: the answer, in conditions that are judged after it.
    pub response: Option<ResponseFacts<'a>>,
}

impl<'a> Facts<'a> {
    /// What a condition can read where there is no call: nothing. `burn` is only borrowed from.
    #[must_use]
    pub const fn none(burn: &'a BurnRates) -> Self {
        Facts {
            args: None,
            path: &Nothing,
            query: &Nothing,
            header: &Nothing,
            tool: "",
            agent: "",
            workflow: "",
            run: RunFacts {
                id: "",
                calls: 0,
                escalated: false,
            },
            level: "",
            posture: "",
            remaining: Remaining::FULL,
            burn,
            response: None,
        }
    }
}

/// `run.id`, `run.calls`, `run.escalated`.
#[derive(Debug, Clone, Copy)]
pub struct RunFacts<'a> {
    /// The run's id.
    pub id: &'a str,
    /// Calls of this run before this one.
    pub calls: u32,
    /// Whether the run escalated to a person before.
    pub escalated: bool,
}

/// `response.status`, `response.body`.
#[derive(Debug, Clone, Copy)]
pub struct ResponseFacts<'a> {
    /// The status code.
    pub status: u16,
    /// The JSON body, where it was JSON within the bound; `None` reads as `null`.
    pub body: Option<&'a Json<'a>>,
}

/// A named part of a request, such as one header or query parameter.
pub trait Lookup {
    /// The part called `name`; `None` where there is none.
    ///
    /// # Errors
    /// [`Ambiguous`] where the request gives it in a way that two readers could read differently.
    fn find(&self, name: &str) -> Result<Option<Cow<'_, str>>, Ambiguous>;

    /// Every part called `name`, in their order, where parts may repeat: the elements of a list
    /// that a query spells as `tag=a&tag=b`.
    ///
    /// # Errors
    /// [`Ambiguous`] where a reader could take another part for one of them.
    fn all(&self, name: &str) -> Result<Vec<Cow<'_, str>>, Ambiguous> {
        Ok(self.find(name)?.into_iter().collect())
    }
}

/// A part of the request that two readers could read differently, so that no condition may judge
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ambiguous;

/// No parts at all.
#[derive(Debug, Clone, Copy)]
pub struct Nothing;

impl Lookup for Nothing {
    fn find(&self, _name: &str) -> Result<Option<Cow<'_, str>>, Ambiguous> {
        Ok(None)
    }
}

impl Lookup for Captures<'_, '_> {
    fn find(&self, name: &str) -> Result<Option<Cow<'_, str>>, Ambiguous> {
        Ok(self
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| Cow::Borrowed(&**value)))
    }
}
