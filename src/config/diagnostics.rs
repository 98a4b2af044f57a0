//! What is wrong with what was written, and where: one [`Diagnostic`] a finding, all of them at
//! once, in the order of the files.
//!
//! Messages are lower-case fragments that name the thing and what was expected of it; a hint says
//! what to do. They are rendered as rustc renders its own. Nothing here decides what is an error.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;

/// The most findings that are kept for one load. A generated file with a million mistakes is not
/// helped by the second thousand.
pub const MAX_FINDINGS: usize = 1000;

/// The longest line that is shown with a finding, in bytes.
const LONGEST_LINE: usize = 2000;

/// A text and the name that the operator knows it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The file's name, as messages print it.
    pub name: Arc<str>,
    /// What it holds.
    pub text: Arc<str>,
}

impl SourceFile {
    /// A file called `name` that holds `text`.
    pub fn new(name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        SourceFile {
            name: name.into(),
            text: text.into(),
        }
    }

    /// Line and column of the byte at `offset`, both from 1; columns count characters.
    #[must_use]
    pub fn position(&self, offset: usize) -> (u32, u32) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = 1 + before.bytes().filter(|&byte| byte == b'\n').count();
        let column = 1 + before[line_start..].chars().count();
        (
            u32::try_from(line).unwrap_or(u32::MAX),
            u32::try_from(column).unwrap_or(u32::MAX),
        )
    }
}

/// Does a finding stop the policies from being used?
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It does.
    Error,
    /// It does not, but it may be a mistake.
    Warning,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// The file it is about.
    pub file: Arc<str>,
    /// The line, from 1; 0 where it is about the whole file or none.
    pub line: u32,
    /// The column in characters, from 1; 0 where there is no line.
    pub column: u32,
    /// The bytes of the file that it is about; empty where there is no line.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// A few words beside the source line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&*self.file, self.line) {
            ("", _) => write!(f, "{}", self.message),
            (file, 0) => write!(f, "{file}: {}", self.message),
            (file, line) => write!(f, "{file}:{line}:{}: {}", self.column, self.message),
        }
    }
}

/// Every finding of one load, with the texts that they point into.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diagnostics {
    found: Vec<Diagnostic>,
    #[serde(skip)]
    sources: Vec<SourceFile>,
}

impl Diagnostics {
    /// No findings yet about `sources`, whose order is the order of what will be found.
    #[must_use]
    pub fn about(sources: &[SourceFile]) -> Self {
        Diagnostics {
            found: Vec::new(),
            sources: sources.to_vec(),
        }
    }

    /// Adds a finding. Past [`MAX_FINDINGS`] only the first error is kept, so that too many
    /// warnings never hide that there is one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.found.len() < MAX_FINDINGS
            || (diagnostic.severity == Severity::Error && !self.has_errors())
        {
            self.found.push(diagnostic);
        }
    }

    /// Adds the findings of `others`.
    pub fn extend(&mut self, others: impl IntoIterator<Item = Diagnostic>) {
        others
            .into_iter()
            .for_each(|diagnostic| self.push(diagnostic));
    }

    /// Puts the findings in the order of files and lines, and drops repeated ones.
    pub fn sort(&mut self) {
        let order = |file: &str| {
            self.sources
                .iter()
                .position(|source| &*source.name == file)
                .unwrap_or(usize::MAX)
        };
        self.found.sort_by_cached_key(|found| {
            (
                order(&found.file),
                found.file.clone(),
                found.line,
                found.column,
                found.severity,
                found.message.clone(),
            )
        });
        self.found.dedup();
    }

    /// Is there an error among them?
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.found
            .iter()
            .any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Is there nothing at all?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The findings.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.found.iter()
    }

    /// The findings as rustc would show them, each followed by an empty line; with terminal colours
    /// where `coloured`.
    #[must_use]
    pub fn render(&self, coloured: bool) -> String {
        let renderer = if coloured {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        self.found
            .iter()
            .map(|diagnostic| self.render_one(&renderer, diagnostic) + "\n\n")
            .collect()
    }

    fn render_one(&self, renderer: &Renderer, diagnostic: &Diagnostic) -> String {
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        // A machine-written document may be one line of megabytes.
        let is_shown = |source: &&SourceFile| {
            let line = usize::try_from(diagnostic.line)
                .unwrap_or(usize::MAX)
                .checked_sub(1);
            line.and_then(|line| source.text.split('\n').nth(line))
                .is_some_and(|line| line.len() <= LONGEST_LINE)
        };
        let source = self
            .sources
            .iter()
            .find(|source| source.name == diagnostic.file)
            .filter(is_shown);
        let title = if source.is_some() {
            diagnostic.message.clone()
        } else {
            diagnostic.to_string()
        };
        let mut group = level.primary_title(title).elements(source.map(|source| {
            let annotation = AnnotationKind::Primary.span(diagnostic.span.clone());
            Snippet::source(&*source.text)
                .path(&*source.name)
                .annotation(annotation.label(diagnostic.label.as_deref()))
        }));
        if let Some(hint) = &diagnostic.hint {
            group = group.element(Level::HELP.with_name("hint").message(hint.as_str()));
        }
        renderer.render(&[group])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.found
            .iter()
            .try_for_each(|diagnostic| writeln!(f, "{diagnostic}"))
    }
}

impl std::error::Error for Diagnostics {}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Collects the findings about one file.
#[derive(Debug)]
pub struct Notes<'f> {
    file: &'f SourceFile,
    found: Vec<Diagnostic>,
}

impl<'f> Notes<'f> {
    /// Nothing found in `file` yet.
    #[must_use]
    pub fn on(file: &'f SourceFile) -> Self {
        Notes {
            file,
            found: Vec::new(),
        }
    }

    /// The file that the notes are about.
    #[must_use]
    pub fn file(&self) -> &'f SourceFile {
        self.file
    }

    /// An error at `span`. The answer lets a label and a hint be added.
    pub fn error(&mut self, span: Range<usize>, message: impl Into<String>) -> &mut Diagnostic {
        self.add(Severity::Error, span, message.into())
    }

    /// An error at `span` of another file, which the notes' own file names.
    pub fn error_in(
        &mut self,
        file: &SourceFile,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        let (line, column) = file.position(span.start);
        let file = file.name.clone();
        self.push(Diagnostic {
            severity: Severity::Error,
            file,
            line,
            column,
            span,
            message: message.into(),
            label: None,
            hint: None,
        })
    }

    /// A warning at `span`.
    pub fn warning(&mut self, span: Range<usize>, message: impl Into<String>) -> &mut Diagnostic {
        self.add(Severity::Warning, span, message.into())
    }

    /// Is there an error among them?
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.found
            .iter()
            .any(|found| found.severity == Severity::Error)
    }

    /// What was found.
    #[must_use]
    pub fn into_found(self) -> Vec<Diagnostic> {
        self.found
    }

    fn add(&mut self, severity: Severity, span: Range<usize>, message: String) -> &mut Diagnostic {
        let (line, column) = self.file.position(span.start);
        let diagnostic = Diagnostic {
            severity,
            file: self.file.name.clone(),
            line,
            column,
            span,
            message,
            label: None,
            hint: None,
        };
        self.push(diagnostic)
    }

    fn push(&mut self, diagnostic: Diagnostic) -> &mut Diagnostic {
        let index = self.found.len();
        self.found.push(diagnostic);
        &mut self.found[index]
    }
}

impl Diagnostic {
    /// Adds a few words beside the source line.
    pub fn label(&mut self, label: impl Into<String>) -> &mut Self {
        self.label = Some(label.into());
        self
    }

    /// Adds what to do.
    pub fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(hint.into());
        self
    }

    /// A finding without a line: about a whole file, or about none.
    #[must_use]
    pub fn without_location(severity: Severity, file: &str, message: impl Into<String>) -> Self {
        Diagnostic {
            severity,
            file: file.into(),
            line: 0,
            column: 0,
            span: 0..0,
            message: message.into(),
            label: None,
            hint: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: u32) -> Diagnostic {
        Diagnostic {
            line,
            ..Diagnostic::without_location(Severity::Warning, "a.yaml", "odd")
        }
    }

    #[test]
    fn positions_count_lines_from_one_and_columns_in_characters() {
        let file = SourceFile::new("a.yaml", "é: 1\r\nü: ö\n");
        assert_eq!(file.position(0), (1, 1));
        assert_eq!(file.position(2), (1, 2));
        assert_eq!(file.position("é: 1\r\nü: ".len()), (2, 4));
        assert_eq!(file.position(file.text.len()), (3, 1));
        assert_eq!(file.position(1000), (3, 1));
    }

    #[test]
    fn findings_come_in_the_order_of_the_files() {
        let mut all =
            Diagnostics::about(&[SourceFile::new("b.yaml", ""), SourceFile::new("a.yaml", "")]);
        all.extend([
            found(3),
            found(1),
            Diagnostic::without_location(Severity::Error, "b.yaml", "wrong"),
        ]);
        all.sort();
        assert_eq!(
            all.to_string(),
            "b.yaml: wrong\na.yaml:1:0: odd\na.yaml:3:0: odd\n"
        );
    }

    #[test]
    fn findings_are_a_list_in_json() {
        let mut all = Diagnostics::about(&[SourceFile::new("a.yaml", "text")]);
        let mut one = found(1);
        one.hint("look");
        all.push(one);
        let json = serde_json::to_value(&all).unwrap();
        let span = serde_json::json!({ "start": 0, "end": 0 });
        let expected = serde_json::json!([{ "severity": "warning", "file": "a.yaml", "line": 1, "column": 0, "span": span, "message": "odd", "hint": "look" }]);
        assert_eq!(json, expected);
    }

    #[test]
    fn too_many_warnings_never_hide_an_error() {
        let mut all = Diagnostics::default();
        all.extend((0..2000).map(found));
        assert_eq!(all.iter().len(), MAX_FINDINGS);
        let error = || Diagnostic::without_location(Severity::Error, "a.yaml", "wrong");
        all.push(error());
        all.push(error());
        assert!(all.has_errors());
        assert_eq!(all.iter().len(), MAX_FINDINGS + 1);
    }
}
