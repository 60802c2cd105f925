//! Text that others wrote, made fit for a terminal, a log or a row; and the form of what is never shown at all.
//!
//! A name, a message or a path can hold characters that change how the text around them is shown: they move the cursor,
//! recolour what follows, turn its direction, or show nothing. [`printable`] is the one function that escapes them. It does
//! not judge what is valid: identifiers refuse such characters by themselves.
//!
//! Invariants, each with a test of the same name:
//! 1. `nothing_that_disturbs_a_terminal_is_left`, and all else is as it was.
//! 2. `a_key_is_known_by_its_form`.

use std::borrow::Cow;

/// Whether a character changes how the text around it is shown, or shows nothing itself: control characters (C0, DEL,
/// C1), line and paragraph separators, direction marks and overrides, zero-width characters, tags.
pub fn disturbs_display(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// `text` with every character escaped that [disturbs its display](disturbs_display), line breaks included: `\n`, `\u{1b}`.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped_but(text, |_| false)
}

/// The same for a text of several lines: line breaks stay.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escaped_but(text, |character| character == '\n')
}

fn escaped_but(text: &str, is_kept: impl Fn(char) -> bool) -> Cow<'_, str> {
    let escapes = |character: char| disturbs_display(character) && !is_kept(character);
    if !text.chars().any(escapes) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            _ if !escapes(character) => shown.push(character),
            '\n' | '\r' | '\t' => shown.extend(character.escape_debug()),
            _ => shown.extend(character.escape_unicode()),
        }
    }
    Cow::Owned(shown)
}

/// How long keys and secrets of the venues are.
const KEY_CHARS: usize = 64;

/// Whether `text` has the form of an API key or secret: 64 letters and digits, some of each. No account or contract is
/// called that; somebody pasted it into the wrong place.
pub fn has_key_form(text: &str) -> bool {
    text.len() == KEY_CHARS
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// `text` cut to a length that fits a message, and printable. What has the form of a key is not repeated, not even its
/// beginning.
pub(crate) fn shorten(text: &str) -> String {
    const SHOWN_MAX: usize = 40;
    let mixed = |piece: &str| {
        piece.bytes().any(|byte| byte.is_ascii_digit()) && piece.bytes().any(|byte| byte.is_ascii_alphabetic())
    };
    let mut pieces = text.split(|character: char| !character.is_ascii_alphanumeric());
    if pieces.any(|piece| piece.len() >= SHOWN_MAX && mixed(piece)) {
        return format!("({} characters, not repeated)", text.chars().count());
    }
    let cut: String = text.chars().take(SHOWN_MAX).collect();
    let mut shown = printable(&cut).into_owned();
    if text.chars().nth(SHOWN_MAX).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_disturbs_a_terminal_is_left() {
        for (text, shown) in [
            ("a\u{1b}[31mb\u{7}", "a\\u{1b}[31mb\\u{7}"),
            ("\u{9b}31m\u{7f}\u{0}", "\\u{9b}31m\\u{7f}\\u{0}"),
            ("a\u{202e}b\u{200b}c\u{feff}\u{2028}\u{2066}原因", "a\\u{202e}b\\u{200b}c\\u{feff}\\u{2028}\\u{2066}原因"),
            ("one\ntwo\r\tthree", "one\\ntwo\\r\\tthree"),
            ("it's \"plain\" \\ — 币安", "it's \"plain\" \\ — 币安"),
        ] {
            assert_eq!(printable(text), shown);
        }
        assert_eq!(printable_lines("one\ntwo\r"), "one\ntwo\\r");
        for character in '\0'..=char::MAX {
            let shown = printable(character.encode_utf8(&mut [0; 4])).into_owned();
            assert!(!shown.chars().any(char::is_control), "{character:?}");
        }
    }

    #[test]
    fn a_key_is_known_by_its_form() {
        let key = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A";
        assert!(has_key_form(key) && has_key_form(&"0a".repeat(32)));
        for text in
            ["main", &key[1..], &format!("{key}a"), &"a".repeat(64), &"1".repeat(64), &format!("{}-", &key[1..])]
        {
            assert!(!has_key_form(text), "{text}");
        }
        for text in [key.to_owned(), format!(" {key}"), format!("{key}\u{1b}"), format!("x/{key}.csv")] {
            let shown = shorten(&text);
            assert!(!shown.contains(&key[..8]) && shown.contains("not repeated"), "{shown}");
        }
        assert_eq!(shorten(&"ab ".repeat(20)), format!("{}a…", "ab ".repeat(13)));
    }
}
