//! Words of others: what an exchange, or whatever answers in its place, puts into an answer.
//!
//! Two things are done to them before they get anywhere. By value: [`Secrets`] knows the key, the secret, the signatures
//! that were made with it and the keys of streams, and takes them out of every answer as it arrives, however they are
//! written. By form: a [`ForeignText`], which is all that an error can carry of an answer, escapes what disturbs a terminal
//! and leaves out what has the form of a key.
//!
//! Invariants, each with a test of the same name:
//! 1. `foreign_text_is_one_printable_line_without_keys`.

mod decoded;
mod secrets;

use std::fmt;

use ledger_core::printable;

pub use self::secrets::{SecretKind, Secrets};

/// As long a run of letters and digits is no word and no id that a message needs: keys have 64 characters, and what
/// services call their requests has up to 36.
const KEY_CHARS_MIN: usize = 40;

/// A text of others on one line, printable, without what has the form of a key, signature or token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ForeignText(Box<str>);

impl ForeignText {
    /// Keeps what can be shown of `text`.
    pub fn new(text: &str) -> Self {
        Self(printable(&without_keys(text)).into())
    }

    /// The same of at most so many characters.
    pub fn cut(text: &str, chars_max: usize) -> Self {
        // First what is left out, then the cut: half a key has no form to be known by.
        let shown = without_keys(text);
        match shown.char_indices().nth(chars_max) {
            Some((end, _)) => Self(printable(&shown[..end]).into()),
            None => Self(printable(&shown).into()),
        }
    }

    /// The beginning of a body: words with one space in between.
    pub fn body_start(body: &[u8]) -> Self {
        const LOOKED_AT_MAX: usize = 4_096;
        const SHOWN_MAX: usize = 120;
        let text = String::from_utf8_lossy(body.get(..LOOKED_AT_MAX).unwrap_or(body));
        let text: Vec<_> = text.split_whitespace().collect();
        if text.is_empty() { Self("(nothing)".into()) } else { Self::cut(&text.join(" "), SHOWN_MAX) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ForeignText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<&str> for ForeignText {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl PartialEq<str> for ForeignText {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other
    }
}

/// An error of a library that may repeat what it was given. Only its words are kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ForeignError(ForeignText);

impl ForeignError {
    /// Keeps the words of `error`.
    pub fn new(error: &impl fmt::Display) -> Self {
        Self(ForeignText::new(&error.to_string()))
    }
}

/// `text` without the runs of letters and digits that have the form of a key, signature or token, and without private keys.
pub fn without_keys(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, key)) = rest.split_once("-----BEGIN") {
        push_without_runs(&mut shown, before);
        shown.push_str("[private key]");
        let end = key.split_once("-----END").and_then(|(_, end)| end.split_once("-----"));
        rest = end.map_or("", |(_, behind)| behind);
    }
    push_without_runs(&mut shown, rest);
    shown
}

fn push_without_runs(shown: &mut String, text: &str) {
    let mut rest = text;
    while let Some(start) = rest.find(|character: char| character.is_ascii_alphanumeric()) {
        let (before, run) = rest.split_at(start);
        shown.push_str(before);
        let length = run.find(|character: char| !character.is_ascii_alphanumeric()).unwrap_or(run.len());
        let (run, behind) = run.split_at(length);
        let is_mixed =
            run.bytes().any(|byte| byte.is_ascii_digit()) && run.bytes().any(|byte| byte.is_ascii_alphabetic());
        if length >= KEY_CHARS_MIN && is_mixed {
            shown.push_str("[hidden: ");
            shown.push_str(&length.to_string());
            shown.push_str(" characters]");
        } else {
            shown.push_str(run);
        }
        rest = behind;
    }
    shown.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_one_printable_line_without_keys() {
        let key = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A";
        for (text, shown) in [
            ("Invalid symbol.", "Invalid symbol.".to_owned()),
            ("a\u{1b}[31m\nerror: b\u{202e}", "a\\u{1b}[31m\\nerror: b\\u{202e}".to_owned()),
            (&format!("signature={key}&x"), "signature=[hidden: 64 characters]&x".to_owned()),
            (&"1".repeat(64), "1".repeat(64)),
            ("6f1ed002-ab5a-4d86-a1b4-5d7ee0f0a1b2", "6f1ed002-ab5a-4d86-a1b4-5d7ee0f0a1b2".to_owned()),
            ("a -----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY----- b", "a [private key] b".to_owned()),
            ("a -----BEGIN PRIVATE KEY-----\\nMC4CAQ", "a [private key]".to_owned()),
        ] {
            assert_eq!(ForeignText::new(text).as_str(), shown);
        }
        let cut = ForeignText::body_start(format!("{} {key}", "x".repeat(110)).as_bytes());
        assert_eq!(cut.as_str(), format!("{} [hidden: ", "x".repeat(110)));
        assert_eq!(
            ForeignText::body_start(b"<html>\n\t<h1>\x1b[31mBad  gateway").as_str(),
            "<html> <h1>\\u{1b}[31mBad gateway"
        );
        assert_eq!(ForeignText::body_start(b" \n").as_str(), "(nothing)");
    }
}
