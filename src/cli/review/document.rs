//! A page that can be printed as Markdown or as HTML: headings, paragraphs, lists and tables of
//! plain text.

use std::fmt::Write as _;

use crate::api::review::ReviewLine;
use crate::api::{Decimal, Moment};
use crate::cli::render::number::percent;

/// What stands where a number did not change.
const SAME: &str = "same";

/// A page.
#[derive(Debug, Default)]
pub(super) struct ReviewDocument {
    pub(super) title: String,
    pub(super) blocks: Vec<Block>,
}

/// A part of it. The text is not escaped yet: each output format does that.
#[derive(Debug)]
pub(super) enum Block {
    /// A heading under the title, and how deep.
    Heading(u8, String),
    /// A paragraph.
    Text(String),
    /// Items.
    List(Vec<ListItem>),
    /// A head and rows; columns of numbers are flush right.
    Table(Vec<&'static str>, Vec<Vec<String>>),
}

/// An item of a list, with something to type where there is.
#[derive(Debug)]
pub(super) struct ListItem {
    pub(super) text: String,
    pub(super) code: Option<String>,
}

impl From<String> for ListItem {
    fn from(text: String) -> Self {
        ListItem { text, code: None }
    }
}

impl ReviewDocument {
    pub(super) fn new(title: String) -> Self {
        ReviewDocument {
            title,
            blocks: Vec::new(),
        }
    }

    pub(super) fn heading(&mut self, depth: u8, text: impl Into<String>) {
        self.blocks.push(Block::Heading(depth, text.into()));
    }

    /// A paragraph, unless there is nothing to say.
    pub(super) fn text(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !text.is_empty() {
            self.blocks.push(Block::Text(text));
        }
    }

    /// A list, unless it is empty.
    pub(super) fn list(&mut self, items: impl IntoIterator<Item = ListItem>) {
        let items: Vec<_> = items.into_iter().collect();
        if !items.is_empty() {
            self.blocks.push(Block::List(items));
        }
    }

    pub(super) fn table(&mut self, head: Vec<&'static str>, rows: Vec<Vec<String>>) {
        if !rows.is_empty() {
            self.blocks.push(Block::Table(head, rows));
        }
    }
}

/// Is this a column of numbers, or of what stands where one is missing?
pub(super) fn is_of_numbers(rows: &[Vec<String>], column: usize) -> bool {
    let is_word = |cell: &String| cell != SAME && cell.starts_with(char::is_alphabetic);
    !rows.iter().filter_map(|row| row.get(column)).any(is_word)
}

/// `2026-11-25 10:04`, UTC.
pub(super) fn minute(at: Moment) -> String {
    let text = at.to_string();
    match (text.get(..10), text.get(11..16)) {
        (Some(day), Some(minute)) => format!("{day} {minute}"),
        _ => text,
    }
}

/// `2026-11-25 10:04:12`, UTC.
pub(super) fn second(at: Moment) -> String {
    let text = at.to_string();
    match (text.get(..10), text.get(11..19)) {
        (Some(day), Some(second)) => format!("{day} {second}"),
        _ => text,
    }
}

/// What happened, as an item.
pub(super) fn line_item(line: &ReviewLine) -> ListItem {
    let by = line
        .by
        .as_ref()
        .map_or_else(String::new, |by| format!("{by}: "));
    format!("{} {by}{}", minute(line.at), line.what).into()
}

/// How a rate changed, in percentage points: `+1.2`, `-0.3`, `same`; `-` where one of the two is
/// not known.
pub(super) fn change(now: Option<Decimal>, before: Option<Decimal>) -> String {
    let (Some(now), Some(before)) = (now, before) else {
        return "-".to_owned();
    };
    let points = now.ten_thousandths() - before.ten_thousandths();
    if points == 0 {
        return SAME.to_owned();
    }
    let mut text = if points > 0 {
        "+".to_owned()
    } else {
        String::new()
    };
    let _ = write!(
        text,
        "{}",
        percent(Some(Decimal::of(points))).trim_end_matches('%')
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_in_points() {
        let rate = |ten_thousandths| Some(Decimal::of(ten_thousandths));
        assert_eq!(
            [
                change(rate(9_700), rate(9_580)),
                change(rate(9_700), rate(9_730)),
                change(rate(1), rate(1)),
                change(None, rate(1))
            ],
            ["+1.2", "-0.3", "same", "-"]
        );
    }

    #[test]
    fn times_are_told_to_the_minute_and_to_the_second() {
        let at: Moment = "2026-11-25T10:04:12.345Z".parse().unwrap();
        assert_eq!(
            (minute(at).as_str(), second(at).as_str()),
            ("2026-11-25 10:04", "2026-11-25 10:04:12")
        );
    }
}
