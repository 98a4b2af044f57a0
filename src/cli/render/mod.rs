//! The one place that prints. Everything else of the command line makes text, so that it can be
//! tested as text.
//!
//! Facts go to standard output, complaints to standard error. Text is always made with colours,
//! which are taken out here if they are not wanted: no terminal, `NO_COLOR`, `TERM=dumb`. Whatever
//! comes from an agent, a file or a gate passes [`escape`] on its way into a line (A103).

use std::io;
use std::io::{IsTerminal as _, Write};

use super::failure::{Exit, Failure};

pub(super) mod arguments;
pub(super) mod escape;
pub(super) mod markdown;
pub(super) mod number;
pub(super) mod progress;
pub(super) mod table;
pub(super) mod when;

pub(super) use escape::{escape, escape_json};

/// Prints `text` on standard output.
pub(super) fn show(text: &str) -> Result<(), Failure> {
    unless_closed(put(text))
}

/// Prints sentences on standard output: on a terminal, lines that are too long for it are broken
/// between words.
pub(super) fn show_page(text: &str) -> Result<(), Failure> {
    match terminal_width() {
        Some(width) => show(&fitted(text, width)),
        None => show(text),
    }
}

/// The width of the terminal that standard output is; `None` for a pipe or a file.
#[must_use]
pub(super) fn terminal_width() -> Option<usize> {
    io::stdout().is_terminal().then(textwrap::termwidth)
}

/// `text` with its lines broken between words where they are longer than `width`. Lines that are
/// set in by four blanks are typed or compared, and stay as they are.
fn fitted(text: &str, width: usize) -> String {
    let mut page = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end_matches('\n');
        if line.starts_with("    ") || textwrap::core::display_width(bare) <= width {
            page.push_str(line);
            continue;
        }
        let blanks = bare.len() - bare.trim_start().len();
        let rest = " ".repeat(blanks + 2);
        let options = textwrap::Options::new(width)
            .subsequent_indent(&rest)
            .break_words(false)
            .word_splitter(textwrap::WordSplitter::NoHyphenation);
        page.push_str(&textwrap::fill(bare, options));
        page.push_str(&line[bare.len()..]);
    }
    page
}

#[cfg(not(test))]
fn put(text: &str) -> io::Result<()> {
    anstream::stdout().lock().write_all(text.as_bytes())
}

/// The test harness captures what the macros print, and nothing else.
#[cfg(test)]
#[expect(clippy::unnecessary_wraps, reason = "as outside of tests")]
fn put(text: &str) -> io::Result<()> {
    print!("{text}");
    Ok(())
}

/// Prints JSON on standard output: the same values, with nothing in them that a terminal would act
/// upon.
pub(super) fn show_json(json: &str) -> Result<(), Failure> {
    let mut text = escape_json(json.trim_end());
    text.push('\n');
    show(&text)
}

/// Prints `text` on standard error.
pub(super) fn to_stderr(text: &str) {
    // If standard error is closed there is nowhere to report that.
    let _ = anstream::stderr().lock().write_all(text.as_bytes());
}

/// Prints why a command failed.
pub(super) fn fail(failure: &Failure) {
    let text = failed(failure);
    if io::stderr().is_terminal() {
        to_stderr(&fitted(&text, textwrap::termwidth()));
    } else {
        to_stderr(&text);
    }
}

/// Prints clap's own page: help and version on standard output, as asked; complaints on standard
/// error.
pub(super) fn usage(page: &clap::Error) -> Exit {
    let text = page.render().ansi().to_string();
    if page.use_stderr() {
        to_stderr(&text);
        return Exit::Usage;
    }
    show(&text).map_or(Exit::Failed, |()| Exit::Did)
}

/// Empties the screen where there is one, so that the next page stands alone.
pub(super) fn clear() {
    let mut stdout = io::stdout().lock();
    if stdout.is_terminal() {
        let _ = stdout.write_all(b"\x1b[H\x1b[2J");
    }
}

/// A failure as it is shown.
fn failed(failure: &Failure) -> String {
    let findings: String = failure
        .findings
        .iter()
        .map(|findings| findings.render(true))
        .collect();
    let error = paint(Tone::Bad, "error:");
    let hint = failure
        .hint
        .as_ref()
        .map(|hint| format!("{} {}\n", paint(Tone::Fine, "hint:"), escape(hint)))
        .unwrap_or_default();
    format!("{findings}{error} {}\n{hint}", escape(&failure.message))
}

/// A reader that has seen enough (`| head`) is no failure.
fn unless_closed(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(format!(
            "cannot write to standard output: {error}"
        ))),
        _ => Ok(()),
    }
}

/// What a colour says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// As it should be.
    Good,
    /// Somebody should look.
    Odd,
    /// Wrong.
    Bad,
    /// Not important.
    Fine,
    /// What the eye should find first.
    Strong,
}

/// `text` in the colour of `tone`.
#[must_use]
pub(super) fn paint(tone: Tone, text: &str) -> String {
    let code = match tone {
        Tone::Good => "32",
        Tone::Odd => "33",
        Tone::Bad => "1;31",
        Tone::Fine => "2",
        Tone::Strong => "1",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// How a posture, verdict, outcome or state of an approval is coloured, by its word.
#[must_use]
pub(super) fn tone_of(word: &str) -> Option<Tone> {
    match word {
        "healthy" | "allow" | "acceptable" | "approved" | "used" => Some(Tone::Good),
        "at_risk" | "hold" | "pending" | "excluded" => Some(Tone::Odd),
        "burned" | "breached" | "deny" | "unacceptable" | "denied" | "halted" => Some(Tone::Bad),
        "idle" | "expired" | "withdrawn" | "-" => Some(Tone::Fine),
        _ => None,
    }
}

/// A word in its colour, escaped.
#[must_use]
pub(super) fn word(text: &str) -> String {
    tone_of(text).map_or_else(|| escape(text), |tone| paint(tone, &escape(text)))
}

/// A page as somebody without colours sees it.
#[must_use]
pub(super) fn without_colours(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[cfg(test)]
pub(super) use without_colours as plain;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Diagnostic, Diagnostics, Severity};

    #[test]
    fn long_lines_are_broken_between_words_and_what_is_typed_is_not() {
        let page =
            "one two three four\n  two: five six seven\n    {\"kept\": \"as it is\"}\nshort\n";
        assert_eq!(
            fitted(page, 12),
            "one two\n  three four\n  two: five\n    six\n    seven\n    {\"kept\": \"as it is\"}\nshort\n"
        );
        let painted = paint(Tone::Strong, "twelve chars");
        assert_eq!(fitted(&painted, 12), painted, "colours have no width");
    }

    #[test]
    fn a_failure_is_a_fragment_and_a_hint() {
        let failure =
            Failure::new("cannot reach the gate at http://127.0.0.1:9901: connection refused")
                .hint("is `burngate run` up?");
        insta::assert_snapshot!(plain(&failed(&failure)), @r"
        error: cannot reach the gate at http://127.0.0.1:9901: connection refused
        hint: is `burngate run` up?
        ");
    }

    #[test]
    fn findings_are_shown_in_full_before_the_failure() {
        let mut findings = Diagnostics::default();
        findings.push(Diagnostic::without_location(
            Severity::Error,
            "a.yaml",
            "no such file or directory",
        ));
        insta::assert_snapshot!(plain(&failed(&Failure::found("1 error in 1 file", vec![findings]))), @r"
        error: a.yaml: no such file or directory

        error: 1 error in 1 file
        ");
    }

    #[test]
    fn a103_nothing_in_a_message_reaches_the_terminal_as_a_command() {
        let shown = plain(&failed(&Failure::new(
            "no \x1b[2Jworkflow\u{9b}31m `\u{202e}x`",
        )));
        assert_eq!(
            shown,
            "error: no \\u{1b}[2Jworkflow\\u{9b}31m `\\u{202e}x`\n"
        );
    }
}
