//! Reading many records, page by page, up to a bound.

use crate::journal::unavailable::Unavailable;

/// Calls `see` with everything that `read` gives, until it has seen `most`. Returns whether there is
/// more. `read` is asked for the next page, of at most so many; one that is not full is the last.
pub(super) fn pages<T>(
    most: usize,
    page_size: usize,
    mut read: impl FnMut(usize) -> Result<Vec<T>, Unavailable>,
    mut see: impl FnMut(T),
) -> Result<bool, Unavailable> {
    let mut left = most;
    loop {
        // Once all that may be seen were, one more tells whether there is more.
        let limit = left.clamp(1, page_size);
        let page = read(limit)?;
        if left == 0 {
            return Ok(!page.is_empty());
        }
        let is_last = page.len() < limit;
        page.into_iter().for_each(&mut see);
        if is_last {
            return Ok(false);
        }
        left -= limit;
    }
}
