//! What was done, under which key, when, and by which call: the one memory behind duplicates,
//! idempotency keys, undone work, and limits on sums and counts.
//!
//! A call that a policy wants remembered carries a [`Operation`]: digests and amounts, never
//! arguments. It takes its place before the call is forwarded and gives it back only on proof that
//! nothing was executed; what was executed, or may have been, stays until its window has passed.
//! The [`DedupIndex`] is a part of the fold (G12) and of the living state alike, so that a restart
//! knows what was done before it. Whether a place is taken is decided by `ledger`, under one lock.

pub mod amount;
pub mod index;
pub mod operation;
pub mod series;

pub use amount::Amount;
pub use index::{DedupIndex, NoRoom};
pub use operation::{
    CallStage, Doer, EarlierCall, KEY_LASTS, Keyed, LimitShare, Operation, Reversal, Work,
};
