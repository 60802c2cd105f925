//! The door: whatever reaches a terminal, a pipe or a log goes through a [`Screen`].
//!
//! A name, a message of the exchange, a path, a text that somebody edited into the book: any of them can hold characters
//! that move a cursor or hide what follows, and any of them can repeat a key. This module escapes such characters, and
//! replaces each known secret by its name (`[API key]`), whatever its source. No other module has the streams.
//!
//! Invariants, each with a test of the same name:
//! 1. `what_goes_through_is_printable_and_without_secrets`, as text, as JSON and as CSV.
//! 2. `json_says_the_same_as_before`.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use super::{Missing, Queue};
use exchange_client::Secrets;
use ledger_core::{disturbs_display, printable, printable_lines};
use serde_json::Value;

/// What rewrites the line that the cursor is in.
const REWRITE: &str = "\r\x1b[K";

/// A stream that people or programs read.
pub struct Screen {
    stream: Box<dyn Write + Send>,
    secrets: Secrets,
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Screen").finish_non_exhaustive()
    }
}

impl Screen {
    /// A screen on `stream` that repeats none of `secrets`.
    pub fn new(stream: Box<dyn Write + Send>, secrets: Secrets) -> Self {
        Self { stream, secrets }
    }

    /// The same for a program that must not wait for who reads it, and a handle to what waits for him. `missing` writes the line
    /// that says how many had no room.
    ///
    /// # Errors
    /// When the machine gives no thread.
    pub(crate) fn behind_queue(self, missing: Missing) -> io::Result<(Self, Queue)> {
        let queue = Queue::before(self.stream, missing)?;
        Ok((Self { stream: Box::new(queue.beside()), secrets: self.secrets }, queue))
    }

    /// What is never repeated here.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Writes text, of several lines perhaps, as it is: no line break is added.
    ///
    /// # Errors
    /// When the stream cannot be written.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        let text = self.secrets.redacted(text);
        self.stream.write_all(printable_lines(&text).as_bytes())
    }

    /// Writes text, of several lines perhaps, and ends the last one.
    ///
    /// # Errors
    /// When the stream cannot be written.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        self.text(text)?;
        self.stream.write_all(b"\n")
    }

    /// Writes a line of JSON, which says the same with fewer characters.
    ///
    /// # Errors
    /// When the stream cannot be written.
    pub(super) fn json(&mut self, value: &Value) -> io::Result<()> {
        let text = value.to_string();
        let text = plain_json(&self.secrets.redacted(&text)).into_owned();
        self.stream.write_all(text.as_bytes())?;
        self.stream.write_all(b"\n")
    }

    /// Writes lines of CSV.
    ///
    /// # Errors
    /// When the stream cannot be written.
    pub(super) fn csv(&mut self, rows: impl Iterator<Item = Vec<String>>) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut writer = csv::Writer::from_writer(&mut bytes);
        for row in rows {
            writer.write_record(row.iter().map(|value| printable(&self.secrets.redacted(value)).into_owned()))?;
        }
        writer.flush()?;
        drop(writer);
        self.stream.write_all(&bytes)
    }

    /// Writes `name=value` of what this program made up itself and publishes, although it has the form of a secret.
    ///
    /// # Errors
    /// When the stream cannot be written.
    pub(super) fn published(&mut self, name: &str, value: &str) -> io::Result<()> {
        writeln!(self.stream, "{name}={}", printable(value))
    }

    /// Rewrites the line that the cursor is in, on a terminal.
    pub(super) fn rewrite(&mut self, text: &str) {
        let text = self.secrets.redacted(text);
        // Progress that cannot be shown is not missed.
        let _ = write!(self.stream, "{REWRITE}{}", printable(&text));
        let _ = self.stream.flush();
    }

    /// Writes out what is buffered.
    ///
    /// # Errors
    /// When the stream cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// JSON text with everything escaped that could disturb a terminal: the serializer leaves what lies outside ASCII.
fn plain_json(text: &str) -> Cow<'_, str> {
    if !text.chars().any(disturbs_display) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if disturbs_display(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // A string takes all that is written to it.
                let _ = write!(plain, "\\u{unit:04x}");
            }
        } else {
            plain.push(character);
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use exchange_client::SecretKind;
    use serde_json::json;

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(write: impl FnOnce(&mut Screen) -> io::Result<()>) -> String {
        let (paper, secrets) = (Paper::default(), Secrets::default());
        secrets.learn(SecretKind::Key, "K3yK3yK3yK3yAbCd");
        write(&mut Screen::new(Box::new(paper.clone()), secrets)).unwrap();
        let bytes = paper.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    const FOREIGN: &str = "a\u{1b}[2J\u{9b}\u{7f}\u{202e}\r K3yK3yK3yK3yAbCd b";

    #[test]
    fn what_goes_through_is_printable_and_without_secrets() {
        let shown = "a\\u{1b}[2J\\u{9b}\\u{7f}\\u{202e}\\r [API key] b";
        assert_eq!(written(|screen| screen.line(&format!("{FOREIGN}\nc"))), format!("{shown}\nc\n"));
        let json = written(|screen| screen.json(&json!({ FOREIGN: FOREIGN })));
        let plain = "a\\u001b[2J\\u009b\\u007f\\u202e\\r [API key] b";
        assert_eq!(json, format!("{{\"{plain}\":\"{plain}\"}}\n"));
        let csv = written(|screen| screen.csv([vec![FOREIGN.to_owned(), "1\n2".to_owned()]].into_iter()));
        assert_eq!(csv, format!("{shown},1\\n2\n"));
        assert_eq!(
            written(|screen| {
                screen.rewrite(&format!("{FOREIGN}\n"));
                Ok(())
            }),
            format!("{REWRITE}{shown}\\n")
        );
    }

    #[test]
    fn json_says_the_same_as_before() {
        let value = json!({ "币安": "\u{9b}\u{202e}\u{e0001}\u{7f}\u{0}\"\\ ü" });
        let line = written(|screen| screen.json(&value));
        assert!(!line.trim_end().chars().any(disturbs_display), "{line:?}");
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), value);
    }
}
