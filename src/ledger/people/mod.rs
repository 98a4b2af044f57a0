//! What people do to the living state: operators clamp, recover and promote, reviewers decide.

pub mod approvers;
pub mod changes;
mod conflict;
pub mod decide;
pub mod edit;
pub mod grants;
pub mod operate;
pub mod promote;
pub mod reviewed;
pub mod withdraw;
