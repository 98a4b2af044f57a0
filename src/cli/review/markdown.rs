//! A page as Markdown that also reads well unrendered.

use super::document::{Block, ListItem, ReviewDocument, is_of_numbers};
use crate::cli::render::escape;

/// The whole page.
pub(super) fn page(document: &ReviewDocument) -> String {
    let mut parts = vec![format!("# {}", text(&document.title))];
    parts.extend(document.blocks.iter().map(block));
    parts.join("\n\n") + "\n"
}

fn block(block: &Block) -> String {
    match block {
        Block::Heading(depth, heading) => {
            format!("{} {}", "#".repeat(usize::from(*depth)), text(heading))
        }
        Block::Text(paragraph) => text(paragraph),
        Block::List(items) => items.iter().map(item).collect::<Vec<_>>().join("\n"),
        Block::Table(head, rows) => table(head, rows),
    }
}

fn item(item: &ListItem) -> String {
    match &item.code {
        None => format!("- {}", text(&item.text)),
        Some(code) => format!(
            "- {} `{}`",
            text(&item.text),
            escape(code).replace('`', "'")
        ),
    }
}

/// Columns as wide as their widest cell, so that the source is a table too.
fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| text(cell)).collect())
        .collect();
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count());
        cells
            .chain([head[column].chars().count(), 3])
            .max()
            .unwrap_or(3)
    };
    let columns: Vec<_> = (0..head.len())
        .map(|column| (width(column), is_of_numbers(&rows, column)))
        .collect();
    let line = |cells: &[String]| {
        let padded = cells
            .iter()
            .zip(&columns)
            .map(|(cell, (width, is_of_numbers))| {
                let blanks = " ".repeat(width.saturating_sub(cell.chars().count()));
                if *is_of_numbers {
                    format!("{blanks}{cell}")
                } else {
                    format!("{cell}{blanks}")
                }
            });
        format!("| {} |", padded.collect::<Vec<_>>().join(" | "))
    };
    let rule: Vec<_> = columns
        .iter()
        .map(|(width, is_of_numbers)| {
            if *is_of_numbers {
                "-".repeat(width - 1) + ":"
            } else {
                "-".repeat(*width)
            }
        })
        .collect();
    let head: Vec<_> = head.iter().map(|name| (*name).to_owned()).collect();
    std::iter::once(line(&head))
        .chain([format!("| {} |", rule.join(" | "))])
        .chain(rows.iter().map(|row| line(row)))
        .collect::<Vec<_>>()
        .join("\n")
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
        let mut document = ReviewDocument::new("Review".to_owned());
        document.list([ListItem::from("run <img src=x> [a](b) |*\n# x".to_owned())]);
        document.table(
            vec!["tool", "calls"],
            vec![vec!["a|b".to_owned(), "7".to_owned()]],
        );
        insta::assert_snapshot!(page(&document), @r"
        # Review

        - run \<img src=x> \[a](b) \|\*\n\# x

        | tool | calls |
        | ---- | ----: |
        | a\|b |     7 |
        ");
    }
}
