//! Positions in an expression's source.

/// Finds byte offsets in a source. The parser counts bytes where it places a node, and characters
/// where it places an error.
pub(super) struct SourceOffsets<'s> {
    source: &'s str,
}

impl<'s> SourceOffsets<'s> {
    pub(super) fn of(source: &'s str) -> Self {
        SourceOffsets { source }
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
