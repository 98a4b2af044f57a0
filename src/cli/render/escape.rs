//! Makes text from elsewhere safe for a terminal and for a reviewer (A103).
//!
//! Control characters, invisible characters and those that change the direction of text are spelled
//! out. So are blanks that only look like a space, and characters that can hide text: a
//! reviewer approves what is there, not what it looks like. Letters that look alike in two scripts
//! stay as they are; a digest tells those apart.

use std::fmt::Write as _;

/// `text` on one line, with every invisible or active character spelled as `\n`, `\t` or
/// `\u{202e}`.
#[must_use]
pub(in crate::cli) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            c if is_unseen(c) => {
                let _ = write!(escaped, "\\u{{{:x}}}", u32::from(c));
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// JSON that means the same, with every invisible or active character in it spelled as JSON spells
/// it. Outside of strings JSON has none but plain white space.
#[must_use]
pub(in crate::cli) fn escape_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if is_unseen(c) && !matches!(c, '\n' | '\r' | '\t') {
            push_json_escape(&mut escaped, c);
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// `c` as `\u202e`, and as a surrogate pair where it needs two.
pub(in crate::cli) fn push_json_escape(into: &mut String, c: char) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        let _ = write!(into, "\\u{unit:04x}");
    }
}

/// Is this a character that a terminal acts upon, that no eye sees, or that turns its neighbours
/// around?
#[must_use]
pub(in crate::cli) fn is_unseen(c: char) -> bool {
    let blank = c.is_whitespace() && c != ' ';
    let unseen = matches!(
        u32::from(c),
        0xad | 0x34f | 0x61c | 0x115f | 0x1160 | 0x17b4 | 0x17b5 | 0x180b..=0x180f // soft hyphen, joiners, fillers, Mongolian selectors
            | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f // zero width, direction, invisible operators
            | 0x2800 | 0x3164 | 0xffa0 // blanks that are letters
            | 0xfe00..=0xfe0f | 0xfeff | 0xfff0..=0xfffb // variation selectors, byte order mark, annotations
            | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff // shorthand and musical controls, tags
    );
    c.is_control() || blank || unseen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a103_what_a_terminal_acts_upon_is_spelled_out() {
        assert_eq!(
            escape("a\x1b]0;x\x07b\u{9b}31m\u{7f}\r\n\tc"),
            "a\\u{1b}]0;x\\u{7}b\\u{9b}31m\\u{7f}\\r\\n\\tc"
        );
    }

    #[test]
    fn what_no_eye_sees_or_turns_text_around_is_spelled_out() {
        assert_eq!(
            escape("A\u{200b}-\u{202e}1001\u{2066}\u{feff}\u{a0}\u{2028}\u{3164}\u{e0041}"),
            "A\\u{200b}-\\u{202e}1001\\u{2066}\\u{feff}\\u{a0}\\u{2028}\\u{3164}\\u{e0041}"
        );
        assert_eq!(
            escape("Zoë bought 日本 — “two” €5 😀"),
            "Zoë bought 日本 — “two” €5 😀"
        );
    }

    #[test]
    fn json_means_the_same_when_it_is_escaped() {
        let json = "{\n  \"reason\": \"a\u{202e}b\u{9b}c\u{e0041}\u{7f}\"\n}";
        let escaped = escape_json(json);
        assert_eq!(
            escaped,
            "{\n  \"reason\": \"a\\u202eb\\u009bc\\udb40\\udc41\\u007f\"\n}"
        );
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&escaped), read(json));
    }
}
