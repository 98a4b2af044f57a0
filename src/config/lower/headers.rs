//! Which request headers a tool API takes, which are credentials, and which an approval is bound to.

use super::written::items;
use crate::config::diagnostics::Notes;
use crate::config::source::api::{ApiDocument, ToolEntry, Underscores};
use crate::config::source::setting::At;
use crate::config::source::setting::ListSetting;
use crate::gate::nearest::did_you_mean;
use crate::gate::policy::overrides::{HEADERS, METHOD_KEY};
use crate::gate::policy::{Condition, Overrides};

/// What passes of the names that ask for another request than the one that is judged.
pub(super) fn overrides(document: &ApiDocument, notes: &mut Notes<'_>) -> Overrides {
    let mut overrides = Overrides::new(document.underscores.value() == Some(&Underscores::Pass));
    for at in items(&document.overrides) {
        if !overrides.allow(&at.value) {
            let names = HEADERS.into_iter().chain([METHOD_KEY]);
            let hint = did_you_mean(&at.value, names.clone())
                .unwrap_or_else(|| format!("refused are {}", names.collect::<Vec<_>>().join(", ")));
            notes
                .error(
                    at.span.clone(),
                    format!("`overrides`: no request is refused for `{}`", at.value),
                )
                .hint(hint);
        }
    }
    overrides
}

/// The headers that are credentials for the API, in lower case.
pub(super) fn credentials(document: &ApiDocument, notes: &mut Notes<'_>) -> Vec<Box<str>> {
    document.credentials.value().map_or_else(Vec::new, |entry| {
        names(&entry.headers, "`credentials.headers`", notes)
    })
}

/// The headers that an approval of a tool's call is bound to, in order: those that `conditions` read
/// and those that `binds` names.
pub(super) fn bound(
    entry: &ToolEntry,
    conditions: &[&Condition],
    notes: &mut Notes<'_>,
) -> Vec<Box<str>> {
    let mut bound = names(&entry.binds, "`binds`", notes);
    bound.extend(
        conditions
            .iter()
            .flat_map(|condition| &condition.reads().header)
            .map(|name| name.as_str().into()),
    );
    bound.sort_unstable();
    bound.dedup();
    bound
}

fn names(list: &ListSetting<String>, key: &str, notes: &mut Notes<'_>) -> Vec<Box<str>> {
    items(list).filter_map(|at| name(at, key, notes)).collect()
}

fn name(at: &At<String>, key: &str, notes: &mut Notes<'_>) -> Option<Box<str>> {
    let name = at.value.to_ascii_lowercase();
    let is_name = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    if !is_name {
        notes
            .error(
                at.span.clone(),
                format!("{key}: expected the name of a header, found `{}`", at.value),
            )
            .hint("for example `x-tenant`");
    }
    is_name.then(|| name.into())
}
