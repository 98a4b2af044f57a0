//! A page as Markdown that reads well also where nobody renders it.

use super::document::{Block, Document, Item};
use crate::cli::render::escape;

/// The whole page.
pub(super) fn page(document: &Document) -> String {
    let mut parts = vec![format!("# {}", text(&document.title))];
    parts.extend(document.blocks.iter().map(block));
    parts.join("\n\n") + "\n"
}

fn block(block: &Block) -> String {
    match block {
        Block::Heading(depth, heading) => format!("{} {}", "#".repeat(usize::from(*depth)), text(heading)),
        Block::Text(paragraph) => text(paragraph),
        Block::List(items) => items.iter().map(item).collect::<Vec<_>>().join("\n"),
        Block::Table(head, rows) => table(head, rows),
    }
}

fn item(item: &Item) -> String {
    match &item.code {
        None => format!("- {}", text(&item.text)),
        Some(code) => format!("- {} `{}`", text(&item.text), escape(code).replace('`', "'")),
    }
}

/// Columns as wide as their widest cell, so that the source is a table too.
fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| text(cell)).collect()).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([head[column].chars().count(), 3]).max().unwrap_or(3)
    };
    let widths: Vec<_> = (0..head.len()).map(width).collect();
    let line = |cells: &[String]| {
        let cells = cells.iter().zip(&widths).enumerate();
        let padded = cells.map(|(column, (cell, width))| {
            let blanks = " ".repeat(width.saturating_sub(cell.chars().count()));
            if column == 0 { format!("{cell}{blanks}") } else { format!("{blanks}{cell}") }
        });
        format!("| {} |", padded.collect::<Vec<_>>().join(" | "))
    };
    let rule: Vec<_> = widths.iter().enumerate().map(|(column, width)| if column == 0 { "-".repeat(*width) } else { "-".repeat(width - 1) + ":" }).collect();
    let head: Vec<_> = head.iter().map(|name| (*name).to_owned()).collect();
    std::iter::once(line(&head)).chain([format!("| {} |", rule.join(" | "))]).chain(rows.iter().map(|row| line(row))).collect::<Vec<_>>().join("\n")
}

/// Text in which nothing is markup: names and reasons come from agents and people.
fn text(text: &str) -> String {
    let mut harmless = String::with_capacity(text.len());
    for c in escape(text).chars() {
        if matches!(c, '|' | '<' | '[' | '*' | '`' | '#') {
            harmless.push('\\');
        }
        harmless.push(c);
    }
    harmless
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_agent_wrote_is_no_markup() {
        let mut document = Document::new("Review".to_owned());
        document.list([Item::from("run <img src=x> [a](b) |*\n# x".to_owned())]);
        document.table(vec!["tool", "calls"], vec![vec!["a|b".to_owned(), "7".to_owned()]]);
        insta::assert_snapshot!(page(&document), @r"
        # Review

        - run \<img src=x> \[a](b) \|\*\n\# x

        | tool | calls |
        | ---- | ----: |
        | a\|b |     7 |
        ");
    }
}
