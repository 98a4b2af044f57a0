//! Markdown for a terminal: paragraphs filled to its width, tables that fit, headings in bold.
//!
//! Reads what the reference is written in: headings, paragraphs, emphasis, code, lists, tables and
//! fenced blocks. Fenced blocks keep their lines, because they are typed or compared.

use comfy_table::{Attribute, Cell, ContentArrangement, Table, presets};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::table::without_tail;

/// The widest page, also on a wider terminal: longer lines are hard to read.
const MAX_WIDTH: usize = 140;
/// The width where nothing tells it, as in a pipe.
const PIPE_WIDTH: usize = 100;
/// How far code is indented.
const CODE_INDENT: &str = "    ";

const BOLD: &str = "\x1b[1m";
const CODE: &str = "\x1b[36m";
const RESET: &str = "\x1b[0m";

/// The width of the terminal that standard output is.
#[must_use]
pub(in crate::cli) fn terminal_width() -> usize {
    super::terminal_width().map_or(PIPE_WIDTH, readable)
}

fn readable(width: usize) -> usize {
    width.min(MAX_WIDTH)
}

/// `text` as a page of `width` columns, with terminal codes.
#[must_use]
pub(in crate::cli) fn page(text: &str, width: usize) -> String {
    let mut page = Page {
        width,
        ..Page::default()
    };
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        page.take(event);
    }
    page.out
}

/// A page in the making.
#[derive(Default)]
struct Page {
    width: usize,
    out: String,
    /// The block that is being read: its text so far.
    line: String,
    /// The lists that the block is in; a number where they count.
    lists: Vec<Option<u64>>,
    /// What the next block of a list item begins with.
    bullet: Option<String>,
    table: Option<Table>,
    row: Vec<Cell>,
}

impl Page {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Text(text) => self.line.push_str(&text),
            // A table measures its cells without knowing of terminal codes.
            Event::Code(code) if self.table.is_some() => self.line.push_str(&code),
            Event::Code(code) => {
                self.line.push_str(CODE);
                // A blank inside code does not break: half a command on a line reads as another.
                self.line.push_str(&code.replace(' ', "\u{a0}"));
                self.line.push_str(RESET);
            }
            Event::SoftBreak | Event::HardBreak => self.line.push(' '),
            Event::Start(tag) => self.begin(&tag),
            Event::End(tag) => self.end(tag),
            _ => {}
        }
    }

    fn begin(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::Heading { .. } | Tag::Strong => self.line.push_str(BOLD),
            Tag::List(first) => {
                self.block();
                self.lists.push(*first);
            }
            Tag::Item => self.bullet = Some(self.next_bullet()),
            Tag::Table(_) => {
                let mut table = Table::new();
                table
                    .load_preset(presets::NOTHING)
                    .set_content_arrangement(ContentArrangement::Dynamic)
                    .set_width(u16::try_from(self.width).unwrap_or(u16::MAX))
                    .enforce_styling();
                self.table = Some(table);
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) => {
                self.line.push_str(RESET);
                self.block();
                self.gap();
            }
            TagEnd::Strong => self.line.push_str(RESET),
            TagEnd::Paragraph => {
                self.block();
                self.gap();
            }
            TagEnd::CodeBlock => self.code(),
            TagEnd::Item => self.block(),
            TagEnd::List(_) => {
                self.lists.pop();
                if self.lists.is_empty() {
                    self.gap();
                }
            }
            TagEnd::TableCell => {
                let text = std::mem::take(&mut self.line);
                self.row.push(Cell::new(text));
            }
            TagEnd::TableHead => {
                let row = std::mem::take(&mut self.row);
                if let Some(table) = &mut self.table {
                    table.set_header(
                        row.into_iter()
                            .map(|cell| cell.add_attribute(Attribute::Bold)),
                    );
                }
            }
            TagEnd::TableRow => {
                let row = std::mem::take(&mut self.row);
                if let Some(table) = &mut self.table {
                    table.add_row(row);
                }
            }
            TagEnd::Table => self.end_table(),
            _ => {}
        }
    }

    fn next_bullet(&mut self) -> String {
        match self.lists.last_mut() {
            Some(Some(number)) => {
                *number += 1;
                format!("{}. ", *number - 1)
            }
            _ => "- ".to_owned(),
        }
    }

    /// Writes the block that was read, filled to the width.
    fn block(&mut self) {
        let text = std::mem::take(&mut self.line);
        if text.is_empty() {
            return;
        }
        let depth = self.lists.len().saturating_sub(1) * 2;
        let bullet = self.bullet.take().unwrap_or_else(|| {
            let indent = if self.lists.is_empty() { 0 } else { 2 };
            " ".repeat(indent)
        });
        let first = " ".repeat(depth) + &bullet;
        let rest = " ".repeat(depth + bullet.chars().count());
        let options = textwrap::Options::new(self.width)
            .initial_indent(&first)
            .subsequent_indent(&rest)
            .break_words(false)
            .word_splitter(textwrap::WordSplitter::NoHyphenation);
        self.out
            .push_str(&textwrap::fill(&text, options).replace('\u{a0}', " "));
        self.out.push('\n');
    }

    fn code(&mut self) {
        let text = std::mem::take(&mut self.line);
        for line in text.lines() {
            self.out.push_str(CODE_INDENT);
            self.out.push_str(line);
            self.out.push('\n');
        }
        self.gap();
    }

    fn end_table(&mut self) {
        if let Some(mut table) = self.table.take() {
            table.column_iter_mut().for_each(|column| {
                column.set_padding((0, 2));
            });
            for line in table.lines() {
                self.out.push_str(&without_tail(&line));
                self.out.push('\n');
            }
            self.gap();
        }
    }

    /// An empty line between two blocks, and never two.
    fn gap(&mut self) {
        if self.lists.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::render::plain;

    #[test]
    fn blocks_are_filled_tables_fit_and_code_keeps_its_lines() {
        let text = "# Title\n\nA paragraph that is **longer** than forty columns, with `some code` in it.\n\n\
                    - one item that goes on into the next line, too\n- two\n\n\
                    | a | b |\n|---|---|\n| `x` | what it means, at some length, in a cell |\n\n\
                    ```sh\nburngate check --print    # kept as it is, however long it may be\n```\n";
        insta::assert_snapshot!(plain(&page(text, 40)), @r"
        Title

        A paragraph that is longer than forty
        columns, with some code in it.

        - one item that goes on into the next
          line, too
        - two

        a  b
        x  what it means, at some length, in a
           cell

            burngate check --print    # kept as it is, however long it may be
        ");
    }

    #[test]
    fn a_page_is_as_wide_as_the_terminal_and_no_wider_than_is_readable() {
        assert_eq!(readable(80), 80);
        assert_eq!(readable(MAX_WIDTH), MAX_WIDTH);
        assert_eq!(readable(MAX_WIDTH + 1), MAX_WIDTH);
    }

    #[test]
    fn a_code_span_is_never_broken() {
        let shown = plain(&page("aaaaaaaaaa bbbbbbbbbb `one two three` c", 30));
        assert!(shown.contains("one two three"), "{shown}");
    }
}
