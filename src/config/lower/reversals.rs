//! Which tools must remember their calls because another tool undoes them (`reverses`). The two may
//! be written in different documents, so this is decided once all of them are lowered.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::api::LoweredApi;
use super::dedup::PendingReversal;
use super::set::InFile;
use crate::config::diagnostics::Notes;
use crate::gate::name::ToolName;
use crate::gate::nearest::did_you_mean;
use crate::gate::risk::Risk;

/// Makes every tool whose work another one undoes remember its calls. Reports tools that do not
/// exist, and tools without a `subject`, whose calls cannot be found again.
pub(super) fn resolve(
    apis: &mut [InFile<LoweredApi>],
    known: &BTreeMap<ToolName, Option<Risk>>,
    incomplete: bool,
    notes: &mut [Notes<'_>],
) {
    let pending_reversals: Vec<(usize, PendingReversal)> = apis
        .iter_mut()
        .flat_map(|api| {
            std::mem::take(&mut api.value.pending_reversals)
                .into_iter()
                .map(|reversal| (api.file, reversal))
                .collect::<Vec<_>>()
        })
        .collect();
    for (
        file,
        PendingReversal {
            by,
            tool,
            within,
            span,
        },
    ) in pending_reversals
    {
        let notes = &mut notes[file];
        if by == tool {
            notes.error(span, format!("`reverses`: `{by}` cannot undo itself"));
            continue;
        }
        let found = apis
            .iter_mut()
            .flat_map(|api| &mut api.value.api.tools)
            .find(|found| found.name == tool);
        let Some(found) = found.and_then(Arc::get_mut) else {
            // A tool with a mistake has been reported, and one in a file that cannot be read may
            // exist.
            if !incomplete && !known.contains_key(&tool) {
                let hint = did_you_mean(tool.as_str(), known.keys().map(ToolName::as_str))
                    .unwrap_or_else(|| "a tool of another api is written as `api/tool`".to_owned());
                notes
                    .error(span, format!("`reverses`: there is no tool `{tool}`"))
                    .hint(hint);
            }
            continue;
        };
        if found.subject.is_none() {
            let message = format!(
                "`reverses`: `{tool}` has no `subject`, so nobody can tell which of its calls is undone"
            );
            notes
                .error(span, message)
                .hint("give both tools a `subject`, such as `subject: args.order`");
            continue;
        }
        let rules = found.dedup.get_or_insert_default();
        rules.reversed_within = rules.reversed_within.max(Some(within));
    }
}
