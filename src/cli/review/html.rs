//! A page as one self-contained HTML file.

use std::fmt::Write as _;

use super::document::{Block, ListItem, ReviewDocument, is_of_numbers};
use crate::cli::render::escape as escape_controls;

const STYLE: &str = "body{font:15px/1.55 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1.2rem;color:#222;background:#fff}\
 h1{font-size:1.6rem}h2{margin:2.4rem 0 .4rem;padding-top:1rem;border-top:1px solid #ddd;font-size:1.25rem}h3{margin:1.3rem 0 .3rem;font-size:1rem}\
 p{margin:.4rem 0}ul{margin:.3rem 0;padding-left:1.3rem;font-variant-numeric:tabular-nums}li{margin:.2rem 0}\
 table{border-collapse:collapse;margin:.6rem 0;font-variant-numeric:tabular-nums}td,th{padding:.25rem .8rem .25rem 0;text-align:left;border-bottom:1px solid #e4e4e4}\
 th{font-weight:600;color:#555}.n{text-align:right}code{background:#f2f2f2;padding:.1rem .3rem;border-radius:3px;font-size:13px}\
 .burned,.breached{color:#b71c1c;font-weight:600}.at_risk{color:#b26a00;font-weight:600}.healthy{color:#2e7d32}\
 @media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}td,th{border-color:#333}h2{border-color:#444}code{background:#2a2a2a}th{color:#aaa}\
 .burned,.breached{color:#ef9a9a}.at_risk{color:#ffcc80}.healthy{color:#a5d6a7}}";

/// The whole page.
pub(super) fn page(document: &ReviewDocument) -> String {
    let title = escape(&document.title);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style>\n<h1>{title}</h1>\n"
    );
    document
        .blocks
        .iter()
        .for_each(|block| put(&mut html, block));
    html + "</html>\n"
}

fn put(html: &mut String, block: &Block) {
    match block {
        Block::Heading(depth, text) => {
            let _ = writeln!(html, "<h{depth}>{}</h{depth}>", escape(text));
        }
        Block::Text(text) => {
            let _ = writeln!(html, "<p>{}</p>", escape(text));
        }
        Block::List(items) => {
            html.push_str("<ul>\n");
            for ListItem { text, code } in items {
                let code = code.as_ref().map_or_else(String::new, |code| {
                    format!(" <code>{}</code>", escape(code))
                });
                let _ = writeln!(html, "<li>{}{code}</li>", escape(text));
            }
            html.push_str("</ul>\n");
        }
        Block::Table(head, rows) => {
            html.push_str("<table><tr>");
            let columns: Vec<_> = (0..head.len())
                .map(|column| {
                    if is_of_numbers(rows, column) {
                        " class=\"n\""
                    } else {
                        ""
                    }
                })
                .collect();
            for (name, class) in head.iter().zip(&columns) {
                let _ = write!(html, "<th{class}>{}</th>", escape(name));
            }
            html.push_str("</tr>\n");
            for row in rows {
                html.push_str("<tr>");
                for (cell, column) in row.iter().zip(&columns) {
                    let class = posture(cell).unwrap_or_else(|| (*column).to_owned());
                    let _ = write!(html, "<td{class}>{}</td>", escape(cell));
                }
                html.push_str("</tr>\n");
            }
            html.push_str("</table>\n");
        }
    }
}

/// Postures have their colours.
fn posture(cell: &str) -> Option<String> {
    ["healthy", "at_risk", "burned", "breached"]
        .contains(&cell)
        .then(|| format!(" class=\"{cell}\""))
}

/// For HTML, in text and in attributes, with nothing hidden.
fn escape(text: &str) -> String {
    escape_controls(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a103_what_an_agent_wrote_is_no_markup() {
        let mut document = ReviewDocument::new("Review".to_owned());
        document.list([ListItem {
            text: "run <script>\"x\"</script> & more\u{202e}\u{200b}".to_owned(),
            code: Some("</code>".to_owned()),
        }]);
        let page = page(&document);
        assert!(page.contains("<li>run &lt;script&gt;&quot;x&quot;&lt;/script&gt; &amp; more\\u{202e}\\u{200b} <code>&lt;/code&gt;</code></li>"), "{page}");
    }
}
