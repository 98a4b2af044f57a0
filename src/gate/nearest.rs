//! What was probably meant: the known name that is the fewest slips away.

/// `did you mean …?`, where a known name is near enough to be worth asking about.
#[must_use]
pub fn did_you_mean<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(written, known).map(|name| format!("did you mean `{name}`?"))
}

/// The known name that is nearest to `written`, at most a third of its letters away (but two slips
/// in short names are too many).
#[must_use]
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Longer names are compared only for equality: the distance costs the product of the lengths.
    const LONGEST: usize = 256;
    let spelled: Vec<char> = written.chars().flat_map(char::to_lowercase).collect();
    let most = (spelled.len().max(3) / 3).min(4);
    if spelled.len() > LONGEST {
        return None;
    }
    let distances = known
        .into_iter()
        .filter(|name| name.len() <= LONGEST && *name != written)
        .map(|name| (distance(&spelled, name), name));
    distances
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, name)| name)
}

/// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
fn distance(a: &[char], b: &str) -> usize {
    let b: Vec<char> = b.chars().flat_map(char::to_lowercase).collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_known_name_is_asked_about() {
        let known = [
            "standard",
            "supervised",
            "read_only",
            "halted",
            "autonomous",
        ];
        for (written, expected) in [
            ("standrad", "standard"),
            ("readonly", "read_only"),
            ("Standard", "standard"),
            ("supervise", "supervised"),
        ] {
            assert_eq!(nearest(written, known), Some(expected), "{written}");
        }
        for strange in ["", "full", "x", "permissive"] {
            assert_eq!(nearest(strange, known), None, "{strange}");
        }
        assert_eq!(
            did_you_mean("payments/refnd", ["payments/refund"]).unwrap(),
            "did you mean `payments/refund`?"
        );
    }
}
