//! The bytes of one text after another, with a look ahead, and cut into lines of bounded length.

use std::io::{self, BufRead, BufReader, Read};

use super::ROW_BYTES_MAX;
use super::container::{Container, Member};
use super::tar::TarStream;

/// A container's present text as buffered bytes.
pub(super) struct Feed {
    head: Vec<u8>,
    head_at: usize,
    /// An error that the look ahead met behind the bytes it got.
    pending: Option<io::Error>,
    inner: BufReader<Container>,
}

impl Feed {
    pub(super) fn new(container: Container) -> Self {
        Self { head: Vec::new(), head_at: 0, pending: None, inner: BufReader::with_capacity(1 << 16, container) }
    }

    pub(super) fn container(&self) -> &Container {
        self.inner.get_ref()
    }

    /// The members of the tar archive that was found in it.
    pub(super) fn into_tar(self) -> Self {
        Self::new(Container::Tar(TarStream::new(Box::new(self))))
    }

    /// The next member of an archive; what is left of the present one is passed over.
    pub(super) fn next_member(&mut self) -> io::Result<Option<Member>> {
        self.head.clear();
        self.head_at = 0;
        if let Some(error) = self.pending.take() {
            return Err(error);
        }
        io::copy(&mut self.inner, &mut io::sink())?;
        match self.inner.get_mut() {
            Container::Zip(zip) => zip.next_member(),
            Container::Tar(tar) => tar.next_member(),
            _ => Ok(None),
        }
    }

    /// The first `length` bytes of what is left, or fewer at its end, without consuming them. An error behind the first
    /// byte waits until the bytes in front of it have been read.
    pub(super) fn peek(&mut self, length: usize) -> io::Result<&[u8]> {
        self.head.drain(..self.head_at);
        self.head_at = 0;
        let missing = length.saturating_sub(self.head.len());
        match self.inner.by_ref().take(missing as u64).read_to_end(&mut self.head) {
            Err(error) if self.head.is_empty() => return Err(error),
            Err(error) => self.pending = Some(error),
            Ok(_) => {}
        }
        Ok(&self.head)
    }
}

impl Read for Feed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(available) {
            *to = *from;
        }
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Feed {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.head_at < self.head.len() {
            return Ok(self.head.get(self.head_at..).unwrap_or_default());
        }
        if let Some(error) = self.pending.take() {
            return Err(error);
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if self.head_at < self.head.len() {
            self.head_at = (self.head_at + amount).min(self.head.len());
        } else {
            self.inner.consume(amount);
        }
    }
}

/// What was found where a line was expected.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// A line without its end (`\n` or `\r\n`) and without a byte order mark.
    Bytes(&'a [u8]),
    /// A line that is too long to be one; it was passed over.
    TooLong,
}

/// Cuts a text into lines.
#[derive(Debug)]
pub(super) struct Lines {
    number: u64,
    line: Vec<u8>,
    /// What ends a line.
    end: u8,
}

/// The byte order mark of UTF-8.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Lines {
    /// The lines of a text that begins so. Old programs for the Mac end lines by a carriage return alone.
    pub(super) fn of(head: &[u8]) -> Self {
        let end = if head.contains(&b'\r') && !head.contains(&b'\n') { b'\r' } else { b'\n' };
        Self { number: 0, line: Vec::new(), end }
    }

    /// The number of the line that was read last, counted from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// How much memory is held for lines.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.line.capacity()
    }

    /// The next line, or `None` at the end. An error leaves the number at the last complete line.
    pub(super) fn next<'a>(&'a mut self, input: &mut impl BufRead) -> io::Result<Option<Line<'a>>> {
        self.line.clear();
        let mut length = 0_usize;
        loop {
            let available = match input.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                if length == 0 {
                    return Ok(None);
                }
                break;
            }
            let end = available.iter().position(|byte| *byte == self.end);
            let part = available.get(..end.unwrap_or(available.len())).unwrap_or_default();
            if length + part.len() <= ROW_BYTES_MAX {
                self.line.extend_from_slice(part);
            }
            length = length.saturating_add(part.len());
            let consumed = part.len() + usize::from(end.is_some());
            input.consume(consumed);
            if end.is_some() {
                break;
            }
        }
        self.number += 1;
        if length > ROW_BYTES_MAX {
            self.line = Vec::new();
            return Ok(Some(Line::TooLong));
        }
        Ok(Some(Line::Bytes(self.last())))
    }

    /// The line that was read last, unless it was too long.
    pub(super) fn last(&self) -> &[u8] {
        let mut line = self.line.as_slice();
        if self.number == 1 {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        line.strip_suffix(b"\r").unwrap_or(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8], buffer: usize) -> Vec<(u64, Option<Vec<u8>>)> {
        let mut input = BufReader::with_capacity(buffer, text);
        let mut lines = Lines::of(text);
        let mut found = Vec::new();
        while let Some(line) = lines.next(&mut input).unwrap() {
            let line = match line {
                Line::Bytes(bytes) => Some(bytes.to_vec()),
                Line::TooLong => None,
            };
            found.push((lines.number(), line));
        }
        found
    }

    #[test]
    fn lines_end_in_any_way_and_at_any_place_of_the_buffer() {
        for buffer in 1..12 {
            let found = all(b"\xef\xbb\xbfa,b\r\n\r\nc\rd\n\ne", buffer);
            let texts: Vec<_> = found.iter().map(|(_, line)| line.as_deref().unwrap()).collect();
            assert_eq!(texts, [b"a,b".as_slice(), b"", b"c\rd", b"", b"e"]);
            assert_eq!(found.last().unwrap().0, 5);
            let found = all(b"\xef\xbb\xbfa,b\r\rc\rd", buffer);
            let texts: Vec<_> = found.iter().map(|(_, line)| line.as_deref().unwrap()).collect();
            assert_eq!(texts, [b"a,b".as_slice(), b"", b"c", b"d"]);
        }
    }

    #[test]
    fn a_line_at_the_limit_is_read_and_one_beyond_is_passed_over() {
        let mut text = vec![b'x'; ROW_BYTES_MAX];
        text.extend_from_slice(b"\nshort\n");
        assert_eq!(all(&text, 4_096)[0].1.as_ref().map(Vec::len), Some(ROW_BYTES_MAX));
        text.insert(0, b'x');
        assert_eq!(all(&text, 4_096), [(1, None), (2, Some(b"short".to_vec()))]);
    }

    #[test]
    fn a_look_ahead_consumes_nothing() {
        let container = Container::open(b"abcdefgh".as_slice()).unwrap();
        let mut feed = Feed::new(container);
        assert_eq!(feed.peek(3).unwrap(), b"abc");
        assert_eq!(feed.peek(5).unwrap(), b"abcde");
        let mut rest = String::new();
        feed.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "abcdefgh");
    }
}
