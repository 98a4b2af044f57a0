//! Answers that may be asked for again under an idempotency key. In memory only, and bounded: a key
//! outlives its answer, and then its call is named instead.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::gate::dedup::KEY_LASTS;
use crate::gate::name::CallId;
use crate::gate::time::Time;

/// The largest answer that is kept, in bytes of its body.
pub const MAX_ANSWER: usize = 64 << 10;
/// The most answers that are kept at once.
pub const MAX_ANSWERS: usize = 10_000;
/// The most bytes of all answers together.
pub const MAX_BYTES: usize = 32 << 20;

/// An upstream's answer, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// Its status.
    pub status: u16,
    /// Those of its headers that a client cannot do without.
    pub headers: Arc<[(&'static str, Box<str>)]>,
    /// Its body.
    pub body: Arc<[u8]>,
}

impl StoredAnswer {
    fn size(&self) -> usize {
        self.body.len()
            + self
                .headers
                .iter()
                .map(|(name, value)| name.len() + value.len())
                .sum::<usize>()
    }
}

/// Answers by call.
#[derive(Default)]
pub(in crate::ledger) struct Answers {
    kept: BTreeMap<CallId, (StoredAnswer, Time)>,
    bytes: usize,
    expires_next: Time,
}

impl Answers {
    /// Keeps the answer to `call`, where there is room for it.
    pub(in crate::ledger) fn keep(&mut self, call: CallId, answer: StoredAnswer, now: Time) {
        let size = answer.size();
        if answer.body.len() > MAX_ANSWER
            || self.kept.len() >= MAX_ANSWERS
            || self.bytes + size > MAX_BYTES
        {
            return;
        }
        self.bytes += size;
        self.kept.insert(call, (answer, now.plus(KEY_LASTS)));
    }

    /// The answer to `call`.
    pub(in crate::ledger) fn of(&self, call: CallId) -> Option<StoredAnswer> {
        self.kept.get(&call).map(|(answer, _)| answer.clone())
    }

    /// Forgets answers to keys that are forgotten, now and then.
    pub(in crate::ledger) fn expire(&mut self, now: Time) {
        if now < self.expires_next {
            return;
        }
        self.expires_next = now.plus(crate::gate::time::minutes(1));
        self.kept.retain(|_, (_, until)| now < *until);
        self.bytes = self.kept.values().map(|(answer, _)| answer.size()).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(bytes: usize) -> StoredAnswer {
        StoredAnswer {
            status: 200,
            headers: Arc::new([]),
            body: vec![0; bytes].into(),
        }
    }

    fn call(n: usize) -> CallId {
        CallId::from_bits(n as u128)
    }

    const NOW: Time = Time::from_millis(1_767_225_600_000);

    #[test]
    fn g7_what_there_is_no_room_for_is_not_kept() {
        let mut answers = Answers::default();
        answers.keep(call(1), answer(MAX_ANSWER), NOW);
        answers.keep(call(2), answer(MAX_ANSWER + 1), NOW);
        assert_eq!(
            (answers.of(call(1)).is_some(), answers.of(call(2))),
            (true, None)
        );
        for n in 3..=MAX_BYTES / MAX_ANSWER + 2 {
            answers.keep(call(n), answer(MAX_ANSWER), NOW);
        }
        assert_eq!(
            (answers.bytes, answers.of(call(MAX_BYTES / MAX_ANSWER + 2))),
            (MAX_BYTES, None)
        );
        let mut answers = Answers::default();
        (0..=MAX_ANSWERS).for_each(|n| answers.keep(call(n), answer(1), NOW));
        assert_eq!(
            (
                answers.of(call(MAX_ANSWERS - 1)).is_some(),
                answers.of(call(MAX_ANSWERS))
            ),
            (true, None)
        );
    }

    #[test]
    fn an_answer_is_forgotten_with_its_key() {
        let mut answers = Answers::default();
        answers.keep(call(1), answer(5), NOW);
        answers.expire(
            NOW.plus(KEY_LASTS)
                .minus(std::time::Duration::from_millis(1)),
        );
        assert!(answers.of(call(1)).is_some());
        answers.expire(NOW.plus(KEY_LASTS).plus(crate::gate::time::minutes(1)));
        assert_eq!((answers.of(call(1)), answers.bytes), (None, 0));
    }
}
