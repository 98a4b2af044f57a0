//! Does a condition read things that its calls have, and can it ever hold? A rule that never matches is a hole that looks like a fence.

use crate::{
    config::{diagnostics::Notes, source::decode::At},
    gate::policy::Condition,
};

use super::rules::Calls;

/// Everything that the condition reads exists.
pub(super) fn known(_: &Condition, _: &At<String>, _: &str, _: Calls<'_>, _: &mut Notes<'_>) {}

/// The condition can hold.
pub(super) fn can_hold(_: &Condition, _: &At<String>, _: &str, _: Calls<'_>, _: &mut Notes<'_>) {}
