//! Tables without lines, as kubectl prints them: a head in capitals, three blanks between the
//! columns, a row a line. On a terminal that is too narrow for that, each row is a block of lines
//! instead, a cell a line.

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Row, Table, presets};
use textwrap::core::display_width;

use super::{Tone, escape, paint, terminal_width, tone_of};

/// A table in the making.
pub(in crate::cli) struct Columns {
    table: Table,
}

impl Columns {
    /// A table with these columns.
    #[must_use]
    pub(in crate::cli) fn new(head: &[&str]) -> Self {
        let mut table = Table::new();
        // Never broken into lines to fit: a row is a line, for people and for `grep`.
        table
            .load_preset(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled)
            .enforce_styling();
        table.set_header(
            head.iter()
                .map(|name| Cell::new(name).add_attribute(Attribute::Bold)),
        );
        table.column_iter_mut().for_each(|column| {
            column.set_padding((0, 3));
        });
        Columns { table }
    }

    /// Adds a row. Cells are escaped; words that mean something are coloured.
    pub(in crate::cli) fn row<I: IntoIterator<Item = String>>(&mut self, cells: I) {
        self.table.add_row(cells.into_iter().map(|cell| {
            let tone = tone_of(&cell);
            let cell = Cell::new(escape(&cell));
            match tone {
                Some(Tone::Good) => cell.fg(Color::DarkGreen),
                Some(Tone::Odd) => cell.fg(Color::DarkYellow),
                Some(Tone::Bad) => cell.fg(Color::DarkRed).add_attribute(Attribute::Bold),
                Some(Tone::Fine) => cell.add_attribute(Attribute::Dim),
                Some(Tone::Strong) => cell.add_attribute(Attribute::Bold),
                None => cell,
            }
        }));
    }

    /// Puts the column at `index` flush right, as numbers are.
    pub(in crate::cli) fn numbers(&mut self, columns: &[usize]) {
        for index in columns {
            if let Some(column) = self.table.column_mut(*index) {
                column.set_cell_alignment(comfy_table::CellAlignment::Right);
            }
        }
    }

    /// The table, a line a row; on a terminal that is narrower, a line a cell.
    #[must_use]
    pub(in crate::cli) fn page(&self) -> String {
        let lines: Vec<_> = self.table.lines().map(|line| without_tail(&line)).collect();
        let width = lines.iter().map(|line| display_width(line)).max();
        if terminal_width() < width && terminal_width().is_some() {
            return self.blocks();
        }
        lines.into_iter().map(|line| line + "\n").collect()
    }

    /// Each row as a block: a line for each cell, behind the name of its column.
    fn blocks(&self) -> String {
        let head: Vec<_> = self
            .table
            .header()
            .map_or_else(Vec::new, |row| row.cell_iter().map(Cell::content).collect());
        let longest = head.iter().map(String::len).max().unwrap_or_default();
        let block = |row: &Row| {
            let lines: Vec<_> = row
                .cell_iter()
                .zip(&head)
                .map(|(cell, name)| {
                    let text = cell.content();
                    let shown =
                        tone_of(&text).map_or_else(|| text.clone(), |tone| paint(tone, &text));
                    format!(
                        "{}{}  {shown}\n",
                        paint(Tone::Strong, name),
                        " ".repeat(longest - name.len())
                    )
                })
                .collect();
            lines.concat()
        };
        let blocks: Vec<_> = self.table.row_iter().map(block).collect();
        blocks.join("\n")
    }
}

/// `line` without the blanks at its end, also where they stand before the codes that end a colour.
pub(super) fn without_tail(line: &str) -> String {
    let is_code = |tail: &str| {
        tail.trim_start_matches("\x1b[")
            .trim_start_matches(|c: char| c.is_ascii_digit() || c == ';')
            == "m"
    };
    let (mut text, mut codes) = (line.trim_end(), String::new());
    while let Some(at) = text.rfind('\x1b').filter(|at| is_code(&text[*at..])) {
        codes.insert_str(0, &text[at..]);
        text = text[..at].trim_end();
    }
    text.to_owned() + &codes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::render::plain;

    #[test]
    fn a_table_is_a_head_and_a_line_a_row() {
        let mut table = Columns::new(&["WORKFLOW", "POSTURE", "RUNS"]);
        table.numbers(&[2]);
        table.row(["support-triage", "healthy", "1,234"].map(str::to_owned));
        table.row(["x\n\x1b[31m", "burned", "7"].map(str::to_owned));
        insta::assert_snapshot!(plain(&table.page()), @r"
        WORKFLOW         POSTURE    RUNS
        support-triage   healthy   1,234
        x\n\u{1b}[31m    burned        7
        ");
        assert!(table.page().contains("\x1b["), "words have their colours");
    }

    #[test]
    fn a_narrow_terminal_gets_a_block_a_row() {
        let mut table = Columns::new(&["WORKFLOW", "RUNS"]);
        table.row(["support-triage", "1,234"].map(str::to_owned));
        table.row(["refunds", "7"].map(str::to_owned));
        insta::assert_snapshot!(plain(&table.blocks()), @r"
        WORKFLOW  support-triage
        RUNS      1,234

        WORKFLOW  refunds
        RUNS      7
        ");
    }
}
