//! What an expression of a policy is about: the calls that it judges, and the bytes of the file
//! that a part of it is written in.

use crate::config::diagnostics::SourceFile;
use crate::config::source::setting::At;
use crate::config::source::tree::SourceSpan;
use crate::gate::policy::Pattern;

/// What the calls that a condition judges look like.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CallShape<'t> {
    /// The pattern that they match, where it is known.
    pub(super) pattern: Option<&'t Pattern>,
    /// The schema that their arguments satisfy, where there is one.
    pub(super) schema: Option<&'t serde_json::Value>,
}

/// The bytes of the file at `offset` of an expression. Exact if the file has the expression as it
/// is; otherwise, for example with escapes, the whole expression.
pub(super) fn inside(at: &At<String>, offset: usize, file: &SourceFile) -> SourceSpan {
    let written = file.text.get(at.span.clone()).unwrap_or_default();
    let value = at.value.as_str();
    let Some(lead) = written.find(value).filter(|_| !value.is_empty()) else {
        return at.span.clone();
    };
    let offset = (0..=offset.min(value.len()))
        .rev()
        .find(|&offset| value.is_char_boundary(offset))
        .unwrap_or(0);
    let rest = &value[offset..];
    // To the end of the word, so that a name is underlined as a whole.
    let word = rest
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(rest.len());
    let length = word.max(rest.chars().next().map_or(0, char::len_utf8));
    let start = at.span.start + lead + offset;
    start..start + length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_inside_an_expression_is_a_place_in_the_file() {
        let text = "deny_when: \"args.amount > 5\"\nhold_when: 'args.a == ''x'''\n";
        let file = SourceFile::new("p", text);
        let at = |span: SourceSpan, value: &str| At {
            span,
            value: value.to_owned(),
        };
        let quoted = at(11..28, "args.amount > 5");
        assert_eq!(&text[inside(&quoted, 5, &file)], "amount");
        assert_eq!(&text[inside(&quoted, 12, &file)], ">");
        assert_eq!(inside(&quoted, 15, &file), 27..27);
        // Escapes make the bytes differ: the whole expression then.
        let escaped = at(40..57, "args.a == 'x'");
        assert_eq!(inside(&escaped, 5, &file), 40..57);
    }
}
