//! Standard input, line by line, on a thread of its own: reading blocks, and a command goes on meanwhile.
//!
//! Invariants, each with a test of the same name:
//! 1. `every_line_is_told_whatever_it_is`: one that is too long or no text costs itself alone, and no memory.

use std::io::{BufRead, BufReader, Read};

use tokio::sync::mpsc;

/// The longest line that is taken.
pub const LINE_BYTES_MAX: usize = 1 << 20;
/// How many lines are read ahead.
const AHEAD_MAX: usize = 256;

/// A stream that lines are read from.
pub struct Input(Option<Box<dyn Read + Send>>);

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input").finish_non_exhaustive()
    }
}

/// A line, or what is in its place.
#[derive(Debug)]
pub enum InputLine {
    /// A line without its end.
    Text(String),
    /// A line beyond [`LINE_BYTES_MAX`].
    TooLong,
    /// A line that is no UTF-8.
    NotText,
    /// The stream cannot be read further.
    Failed(std::io::Error),
}

impl Input {
    /// Input from `stream`.
    pub fn new(stream: Box<dyn Read + Send>) -> Self {
        Self(Some(stream))
    }

    /// Reads lines from now on; the channel ends with the stream. Nothing comes of a stream that is taken already.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn lines(&mut self) -> std::io::Result<mpsc::Receiver<InputLine>> {
        let (lines, receiver) = mpsc::channel(AHEAD_MAX);
        if let Some(stream) = self.0.take() {
            let read = move || read(BufReader::new(stream), &lines);
            std::thread::Builder::new().name("fillbook-input".to_owned()).spawn(read)?;
        }
        Ok(receiver)
    }
}

/// Reads until the stream ends or nobody takes lines any more.
fn read(mut stream: impl BufRead, lines: &mpsc::Sender<InputLine>) {
    loop {
        let mut bytes = Vec::new();
        let limit = LINE_BYTES_MAX as u64 + 1;
        let line = match (&mut stream).take(limit).read_until(b'\n', &mut bytes) {
            Ok(0) => return,
            Ok(_) if bytes.last() == Some(&b'\n') || bytes.len() <= LINE_BYTES_MAX => String::from_utf8(bytes)
                .map_or(InputLine::NotText, |text| InputLine::Text(text.trim_end_matches(['\n', '\r']).to_owned())),
            Ok(_) => match skip_line(&mut stream) {
                Ok(()) => InputLine::TooLong,
                Err(error) => InputLine::Failed(error),
            },
            Err(error) => InputLine::Failed(error),
        };
        let is_last = matches!(line, InputLine::Failed(_));
        if lines.blocking_send(line).is_err() || is_last {
            return;
        }
    }
}

/// Reads past the end of a line without holding it.
fn skip_line(stream: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let buffer = match stream.fill_buf() {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            buffer => buffer?,
        };
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let len = end.map_or(buffer.len(), |end| end + 1);
        let is_over = end.is_some() || len == 0;
        stream.consume(len);
        if is_over {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_told_whatever_it_is() {
        let long = "x".repeat(LINE_BYTES_MAX + 1);
        let longest = "y".repeat(LINE_BYTES_MAX);
        let text = [b"one\r\n\n".as_slice(), long.as_bytes(), b"\n\xff\n", longest.as_bytes(), b"\nlast"].concat();
        let mut lines = Input::new(Box::new(std::io::Cursor::new(text))).lines().unwrap();
        let mut told = Vec::new();
        while let Some(line) = lines.blocking_recv() {
            told.push(match line {
                InputLine::Text(text) if text.len() == LINE_BYTES_MAX => "longest".to_owned(),
                InputLine::Text(text) => text,
                other => format!("{other:?}"),
            });
        }
        assert_eq!(told, ["one", "", "TooLong", "NotText", "longest", "last"]);
    }
}
