//! Places in an expression's source, and the names that a misspelt one was probably meant to be.

/// Finds byte offsets in a source. The parser counts bytes where it places a node, and characters
/// where it places an error.
pub(super) struct Places<'s> {
    source: &'s str,
}

impl<'s> Places<'s> {
    pub(super) fn of(source: &'s str) -> Self {
        Places { source }
    }

    /// The byte at `offset`, or the nearest before it that starts a character.
    pub(super) fn byte(&self, offset: u32) -> usize {
        self.source
            .floor_char_boundary(usize::try_from(offset).unwrap_or(usize::MAX))
    }

    /// The byte at `line` and `column`, both counted in characters from 1.
    pub(super) fn byte_at(&self, line: isize, column: isize) -> usize {
        let line = usize::try_from(line).unwrap_or(1).saturating_sub(1);
        let start: usize = self
            .source
            .split_inclusive('\n')
            .take(line)
            .map(str::len)
            .sum();
        let column = usize::try_from(column).unwrap_or(1).saturating_sub(1);
        let rest = self.source.get(start..).unwrap_or_default();
        start
            + rest
                .char_indices()
                .nth(column)
                .map_or(rest.len(), |(byte, _)| byte)
    }

    /// Line and column of the byte at `offset`, both in characters from 1.
    pub(super) fn line_and_column(&self, offset: usize) -> (usize, usize) {
        let before = self.source.get(..offset).unwrap_or(self.source);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (
            before.matches('\n').count() + 1,
            before[line_start..].chars().count() + 1,
        )
    }
}

/// The name that `written` was probably meant to be: at most two letters off, and fewer than half
/// of them.
pub(super) fn nearest<'n>(written: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let distances = names.map(|name| (distance(written, name), name));
    distances
        .min()
        .filter(|(distance, name)| *distance <= 2 && distance * 2 < name.len())
        .map(|(_, name)| name)
}

/// Levenshtein's distance, in bytes.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}
