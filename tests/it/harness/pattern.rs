//! Bytes without end for large bodies, of which every one is known by its place. A lost, doubled or
//! swapped piece shows.

use std::sync::LazyLock;

use bytes::Bytes;

/// A prime, so that no buffer's size divides it.
const PERIOD: usize = 65_521;

static TWICE: LazyLock<Bytes> = LazyLock::new(|| {
    let period: Vec<u8> = (0..PERIOD)
        .map(|at| (at.wrapping_mul(at) >> 3).to_le_bytes()[0])
        .collect();
    period.repeat(2).into()
});

/// Up to `count` bytes from `offset` on; at most a period.
pub fn piece(offset: u64, count: u64) -> Bytes {
    let from = usize::try_from(offset % PERIOD as u64).unwrap();
    TWICE.slice(from..from + usize::try_from(count.min(PERIOD as u64)).unwrap())
}

/// Are these the bytes from `offset` on?
pub fn is(mut offset: u64, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        let expected = piece(offset, bytes.len() as u64);
        if bytes[..expected.len()] != expected[..] {
            return false;
        }
        offset += expected.len() as u64;
        bytes = &bytes[expected.len()..];
    }
    true
}
