//! Reads the members of a tar archive one behind the other.
//!
//! Read as one text, a tar puts its own header in front of the first line of the file within: the first column is lost,
//! which in exports names the account. So it is unpacked, or not read at all.

use std::io::{self, Read};
use std::sync::Arc;

use super::container::Member;

/// Everything in a tar comes in blocks of so many bytes.
pub(super) const BLOCK: usize = 512;
/// The longest name that is kept; longer ones are cut.
const NAME_MAX: u64 = 4_096;

type Block = [u8; BLOCK];

/// Whether these first bytes are a tar's.
pub(super) fn is_tar(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar") || head.first_chunk::<BLOCK>().is_some_and(is_old_header)
}

/// Tars of old have no mark, but a checksum, and zeros behind their names.
fn is_old_header(block: &Block) -> bool {
    block.get(99) == Some(&0) && block.first().is_some_and(|first| *first != 0) && has_checksum(block)
}

/// A tar archive as a stream.
pub(super) struct TarStream {
    input: Box<dyn Read + Send>,
    /// What is left of the present member, and of the block that it ends in.
    left: u64,
    padding: u64,
    at_end: bool,
}

impl TarStream {
    pub(super) fn new(input: Box<dyn Read + Send>) -> Self {
        Self { input, left: 0, padding: 0, at_end: false }
    }

    /// Skips to the next file, passing over directories and what operating systems add; `None` behind the last one.
    pub(super) fn next_member(&mut self) -> io::Result<Option<Member>> {
        let mut long_name = None;
        loop {
            self.skip_rest()?;
            let Some(block) = self.next_header()? else { return Ok(None) };
            let kind = field(&block, 156, 1).first().copied().unwrap_or(0);
            match kind {
                // The name of the next member, as GNU and as POSIX write long ones.
                b'L' => long_name = Some(text(&self.read_all(NAME_MAX)?)),
                b'x' => long_name = path_of(&self.read_all(NAME_MAX * 4)?).or(long_name),
                b'0' | 0 | b'7' => {
                    let name = long_name.take().unwrap_or_else(|| name_of(&block));
                    let base = name.rsplit('/').next().unwrap_or(&name);
                    let is_wanted = !(base.is_empty() || base.starts_with("._") || base == ".DS_Store");
                    if is_wanted {
                        return Ok(Some(Member { name: Arc::from(name), unreadable: None }));
                    }
                }
                _ => {}
            }
        }
    }

    /// The next header, with its size taken in; `None` at the end.
    fn next_header(&mut self) -> io::Result<Option<Block>> {
        if self.at_end {
            return Ok(None);
        }
        let mut block = [0; BLOCK];
        // An archive ends with a block of zeros; one without was cut off, and members may be missing.
        self.input.read_exact(&mut block)?;
        if block.iter().all(|byte| *byte == 0) {
            self.at_end = true;
            // What follows says nothing, but a broken container does.
            io::copy(&mut self.input, &mut io::sink())?;
            return Ok(None);
        }
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, "a header of the tar archive is damaged");
        if !has_checksum(&block) {
            return Err(invalid());
        }
        self.left = size_of(field(&block, 124, 12)).ok_or_else(invalid)?;
        self.padding = self.left.wrapping_neg() % BLOCK as u64;
        Ok(Some(block))
    }

    fn skip_rest(&mut self) -> io::Result<()> {
        let rest = self.left.saturating_add(self.padding);
        (self.left, self.padding) = (0, 0);
        let skipped = io::copy(&mut self.input.by_ref().take(rest), &mut io::sink())?;
        if skipped < rest { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// The data of the present member, as far as `limit`.
    fn read_all(&mut self, limit: u64) -> io::Result<Vec<u8>> {
        let mut data = Vec::new();
        self.by_ref().take(limit).read_to_end(&mut data)?;
        Ok(data)
    }
}

impl Read for TarStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.input.read(buffer.get_mut(..wanted).unwrap_or_default())?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

fn field(block: &Block, at: usize, length: usize) -> &[u8] {
    block.get(at..at + length).unwrap_or_default()
}

/// A text up to its first zero.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

fn name_of(block: &Block) -> String {
    let (name, prefix) = (text(field(block, 0, 100)), text(field(block, 345, 155)));
    let has_prefix = field(block, 257, 6) == b"ustar\0" && !prefix.is_empty();
    if has_prefix { format!("{prefix}/{name}") } else { name }
}

/// `path` among the records of an extended header: `27 path=exports/trades.csv\n`.
fn path_of(records: &[u8]) -> Option<String> {
    let records = String::from_utf8_lossy(records);
    let mut paths = records.lines().filter_map(|record| record.split_once(' ')?.1.strip_prefix("path="));
    paths.next_back().map(str::to_owned)
}

/// An octal number, or a binary one where the first bit says so.
fn size_of(field: &[u8]) -> Option<u64> {
    if let [first, rest @ ..] = field
        && first & 0x80 != 0
    {
        let start = u64::from(first & 0x7f);
        return rest.iter().try_fold(start, |sum, byte| sum.checked_mul(256)?.checked_add(u64::from(*byte)));
    }
    let octal = text(field);
    u64::from_str_radix(octal.trim(), 8).ok()
}

/// Whether a header's checksum, the sum of its bytes with the checksum itself as spaces, is right.
fn has_checksum(block: &Block) -> bool {
    let stated = size_of(field(block, 148, 8));
    let others = block.iter().enumerate().filter(|(at, _)| !(148..156).contains(at));
    let sum = others.map(|(_, byte)| u64::from(*byte)).sum::<u64>() + 8 * u64::from(b' ');
    stated == Some(sum)
}
