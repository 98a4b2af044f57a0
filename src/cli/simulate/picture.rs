//! A simulation as one self-contained HTML page: a band of postures and a line of
//! levels over time for each workflow, and the table under it.

use std::fmt::Write as _;

use super::page;
use crate::api::Moment;
use crate::app::simulate::{Simulated, SimulatedWorkflow};
use crate::cli::render::number::grouped;
use crate::cli::render::without_colours;
use crate::gate::time::Time;

/// The picture's width and the height of its parts, in its own units.
const WIDTH: u64 = 1_000;
const BAND: usize = 18;
const RUNG: usize = 22;
/// The most changes that are drawn: more than a screen has columns.
const DRAWN: usize = 4_000;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}\
 h2{margin:2rem 0 .3rem}svg{width:100%;height:auto}table{border-collapse:collapse}td,th{padding:.2rem .7rem;text-align:right;border-bottom:1px solid #ddd}\
 td:first-child,th:first-child{text-align:left}pre{white-space:pre-wrap;background:#f6f6f6;padding:1rem;font-size:13px}\
 .healthy{fill:#4caf50}.at_risk{fill:#ffb300}.burned{fill:#ef6c00}.breached{fill:#b71c1c}text{font-size:11px;fill:#555}.level{fill:none;stroke:#1a237e;stroke-width:2}\
 .rung{stroke:#ddd}@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}pre{background:#222}text{fill:#aaa}.level{stroke:#90caf9}.rung{stroke:#333}}";

/// The whole page.
pub(super) fn page(simulated: &Simulated) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>burngate simulate</title><style>{STYLE}</style>\n<h1>What these policies would have done</h1>\n"
    );
    let _ = writeln!(
        html,
        "<p>{}, from {} to {}</p>",
        escape(&simulated.source),
        simulated.from,
        simulated.to
    );
    for (name, result) in &simulated.workflows {
        let _ = writeln!(
            html,
            "<h2>{}</h2>\n{}",
            escape(name),
            picture(result, simulated.from.0, simulated.to.0)
        );
        let _ = writeln!(
            html,
            "<table><tr><th>runs</th><th>unacceptable</th><th>prevented</th><th>of them unacceptable</th><th>held calls</th><th>denied calls</th><th>burns</th><th>promotions</th><th>proposed</th><th>demotions</th></tr>\
             <tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr></table>",
            grouped(result.runs),
            grouped(result.unacceptable),
            grouped(result.prevented.runs),
            grouped(result.prevented.unacceptable),
            grouped(result.calls.held),
            grouped(result.calls.denied),
            grouped(result.burns),
            grouped(result.promotions),
            grouped(result.proposed),
            grouped(result.demotions)
        );
    }
    let _ = writeln!(
        html,
        "<h2>In words</h2>\n<pre>{}</pre>\n</html>",
        escape(&without_colours(&page::page(simulated)))
    );
    html
}

fn picture(result: &SimulatedWorkflow, from: Time, to: Time) -> String {
    let span = to.since(from).as_millis().max(1);
    let x = |at: Time| {
        u64::try_from(at.since(from).as_millis() * u128::from(WIDTH) / span)
            .unwrap_or(WIDTH)
            .min(WIDTH)
    };
    let bottom = BAND + 8 + result.levels.len() * RUNG;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"postures and levels over time\">\n",
        WIDTH + 110,
        bottom + 16
    );
    let mut posture = ("healthy".to_owned(), 0);
    let band = |svg: &mut String, class: &str, left: u64, right: u64| {
        let width = (right - left).max(1);
        let _ = writeln!(
            svg,
            "<rect class=\"{}\" x=\"{left}\" y=\"0\" width=\"{width}\" height=\"{BAND}\"><title>{0}</title></rect>",
            escape(class)
        );
    };
    let rung = |level: &str| {
        let index = result
            .levels
            .iter()
            .position(|known| known == level)
            .unwrap_or(0);
        BAND + 8 + (result.levels.len() - 1 - index) * RUNG + RUNG / 2
    };
    for level in &result.levels {
        let y = rung(level);
        let _ = writeln!(
            svg,
            "<line class=\"rung\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{y}\" y2=\"{y}\"/><text x=\"{}\" y=\"{}\">{}</text>",
            WIDTH + 6,
            y + 4,
            escape(level)
        );
    }
    let mut line = format!("M0 {}", rung(&result.starts));
    for change in result.changes.iter().take(DRAWN) {
        let value = serde_json::to_value(&change.effect).unwrap_or_default();
        let here = x(change.at.0);
        match (value["effect"].as_str(), value["to"].as_str()) {
            (Some("posture_changed"), Some(to)) => {
                band(&mut svg, &posture.0, posture.1, here);
                posture = (to.to_owned(), here);
            }
            (Some("level_changed"), Some(to)) => {
                let _ = write!(line, "H{here}V{}", rung(to));
            }
            _ => {}
        }
    }
    band(&mut svg, &posture.0, posture.1, WIDTH);
    let _ = writeln!(svg, "<path class=\"level\" d=\"{line}H{WIDTH}\"/>");
    let (first, last) = (Moment(from), Moment(to));
    let _ = writeln!(
        svg,
        "<text x=\"0\" y=\"{0}\">{first}</text><text x=\"{WIDTH}\" y=\"{0}\" text-anchor=\"end\">{last}</text></svg>",
        bottom + 12
    );
    svg
}

/// For HTML, in text and in attributes.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
