//! What people do to the living state: operators clamp, recover and promote, reviewers decide; and
//! what they see of it.

pub mod approvers;
pub mod changes;
mod conflict;
pub mod decide;
pub mod edit;
pub mod grants;
pub mod open_runs;
pub mod operate;
pub mod outcome;
pub mod promote;
pub mod report;
pub mod reviewed;
pub mod views;
pub mod withdraw;
