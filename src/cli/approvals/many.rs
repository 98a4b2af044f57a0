//! Deciding on several held calls at once: each is named with the digest of the call as the
//! reviewer saw it, so that a call edited since is not decided on.

use crate::api::approval::{ApprovalList, ApprovalView};
use crate::api::operate::{BatchDecision, DecideItem, DecideRequest, DecideResponse};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::render;
use crate::cli::render::escape;

/// What the command line names.
pub(super) enum NamedApprovals<'a> {
    /// One approval.
    One(&'a str),
    /// Several, each as it was looked at.
    Many(Vec<DecideItem>),
}

/// Reads `ID`, or several `ID@DIGEST`.
pub(super) fn named(ids: &[String]) -> Result<NamedApprovals<'_>, Failure> {
    if let [id] = ids
        && !id.contains('@')
    {
        return Ok(NamedApprovals::One(id));
    }
    let looked = ids.iter().map(|id| match id.split_once('@') {
        Some((id, digest)) => Ok(DecideItem { id: id.to_owned(), digest: digest.to_owned() }),
        None => Err(Failure::usage(format!("{} names no digest", escape(id)))
            .hint("several calls are named as ID@DIGEST each; `burngate approvals list --digests` prints them")),
    });
    looked.collect::<Result<_, _>>().map(NamedApprovals::Many)
}

/// Decides, and says what became of each. A call that could not be decided is a failure of the
/// command.
pub(super) fn decide(
    client: &Client,
    decision: BatchDecision,
    reason: Option<String>,
    approvals: Vec<DecideItem>,
    json: bool,
) -> Result<(), Failure> {
    let answer = client.post(
        "/v1/approvals/decide",
        &DecideRequest {
            decision,
            reason,
            approvals,
        },
    )?;
    let decided: DecideResponse = answer.read()?;
    if json {
        render::show_json(answer.json())
    } else {
        render::show_page(&page(&decided))
    }?;
    let refused = decided
        .decided
        .iter()
        .filter(|one| one.refused.is_some())
        .count();
    if refused == 0 {
        Ok(())
    } else {
        Err(Failure::new(format!(
            "{refused} of {} could not be decided",
            decided.decided.len()
        )))
    }
}

fn page(decided: &DecideResponse) -> String {
    let line = |(id, state, refused): (&str, Option<&str>, Option<&str>)| {
        format!(
            "{} {}\n",
            escape(id),
            escape(refused.or(state).unwrap_or("unknown"))
        )
    };
    decided
        .decided
        .iter()
        .map(|one| line((&one.id, one.state.as_deref(), one.refused.as_deref())))
        .collect()
}

/// One line for each call: what names it, and what it is.
pub(super) fn lines(list: &ApprovalList) -> String {
    list.approvals.iter().map(line).collect()
}

fn line(approval: &ApprovalView) -> String {
    let digest = approval
        .edit
        .as_ref()
        .map_or(&approval.digest, |edit| &edit.digest);
    let args = approval
        .edit
        .as_ref()
        .map(|edit| edit.args.get())
        .or(approval.args.as_ref().map(|args| args.get()))
        .or(approval.body.as_ref().map(|body| body.get()))
        .unwrap_or("no body");
    format!(
        "{}@{} {} {} {} {}\n",
        escape(&approval.id),
        escape(digest),
        escape(&approval.risk),
        escape(&approval.tool),
        escape(&approval.target),
        escape(args)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_calls_are_each_named_with_what_was_looked_at() {
        let named = |ids: &[&str]| {
            super::named(&ids.iter().map(ToString::to_string).collect::<Vec<_>>())
                .map(|named| matches!(named, NamedApprovals::Many(_)))
        };
        assert_eq!(
            (
                named(&["apr_1"]).unwrap(),
                named(&["apr_1@aa"]).unwrap(),
                named(&["apr_1@aa", "apr_2@bb"]).unwrap()
            ),
            (false, true, true)
        );
        assert!(named(&["apr_1@aa", "apr_2"]).is_err());
    }
}
