//! Trace ids for requests that bring none.

use std::cell::Cell;

use http::HeaderValue;

/// Makes trace ids for requests that bring none. They tie log lines together and guard nothing, so
/// they need to be distinct and cheap, not secret.
#[derive(Debug)]
pub struct Traces(Cell<u64>);

impl Traces {
    /// `seed` should differ between workers and starts.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    /// `splitmix64`: every state once, well mixed.
    fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        // An id of zeros is invalid.
        (mixed ^ (mixed >> 31)).max(1)
    }

    /// W3C Trace Context, not sampled: the gate records no span of its own for it.
    #[must_use]
    pub fn parent(&self) -> Option<HeaderValue> {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        for at in [3, 19, 36] {
            let id = self.next();
            for (nibble, digit) in text.iter_mut().skip(at).take(16).enumerate() {
                *digit = HEX[usize::try_from(id >> (60 - 4 * nibble) & 0xf).unwrap_or(0)];
            }
        }
        HeaderValue::from_bytes(&text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trace_is_another() {
        let traces = Traces::new(1);
        let (first, second) = (traces.parent().unwrap(), traces.parent().unwrap());
        assert_ne!(first, second);
        let text = first.to_str().unwrap();
        let lengths: Vec<_> = text.split('-').map(str::len).collect();
        assert_eq!(lengths, [2, 32, 16, 2]);
        assert!(
            text.bytes()
                .all(|byte| matches!(byte, b'-' | b'0'..=b'9' | b'a'..=b'f')),
            "{text}"
        );
    }
}
