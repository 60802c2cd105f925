//! Unpacks what a text may be wrapped in: nothing, gzip, zip, or tar, which may be in a gzip.
//!
//! Zip is read front to back from its local headers, not through the directory at its end: then a pipe can be read, and
//! a download that was cut off still yields every row in front of the cut.

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::Crc;
use flate2::bufread::{DeflateDecoder, MultiGzDecoder};

use super::tar::{TarStream, is_tar};

/// Compressed or plain bytes as they come.
pub(super) type Raw = Box<dyn BufRead + Send>;

/// How a file is wrapped, told by its first bytes.
pub(super) enum Container {
    /// Not at all.
    Plain(Raw),
    /// gzip, one or several streams.
    Gzip(Box<MultiGzDecoder<Raw>>, Unpacking),
    /// zip.
    Zip(ZipStream),
    /// tar, in gzip or not.
    Tar(TarStream),
    /// A SQLite database, which is not read here.
    Sqlite,
}

const GZIP_MAGIC: &[u8] = b"\x1f\x8b";
const SQLITE_MAGIC: &[u8] = b"SQLite format 3\0";
const ZIP_MAGICS: [&[u8]; 3] = [b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"];

/// What the bytes at the beginning of a member or file are, if not text.
pub(super) fn wrapping(head: &[u8]) -> Option<&'static str> {
    if head.starts_with(GZIP_MAGIC) {
        Some("a gzip file")
    } else if ZIP_MAGICS.iter().any(|magic| head.starts_with(magic)) {
        Some("a zip file")
    } else if head.starts_with(SQLITE_MAGIC) {
        Some("a SQLite database")
    } else if is_tar(head) {
        Some("a tar file")
    } else {
        None
    }
}

/// So much may come out of any archive.
const UNPACKED_BYTES: u64 = 256 << 20;
/// So many bytes may come out of each further one of an archive: exports shrink to a tenth, and at most to a fiftieth.
const UNPACKED_PER_BYTE: u64 = 100;

/// How much has come out of how much: an archive that is all one byte would keep its reader for hours.
pub(super) struct Unpacking {
    packed: Arc<AtomicU64>,
    unpacked: u64,
}

impl Unpacking {
    /// Counts what came out of the archive, and answers it.
    fn note(&mut self, bytes: usize) -> io::Result<usize> {
        self.unpacked = self.unpacked.saturating_add(bytes as u64);
        let packed = self.packed.load(Ordering::Relaxed);
        if self.unpacked > UNPACKED_BYTES.saturating_add(packed.saturating_mul(UNPACKED_PER_BYTE)) {
            let why = format!("it unpacks to more than {UNPACKED_PER_BYTE} times its size, as no export does");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        Ok(bytes)
    }
}

/// Bytes that are counted as they are taken.
struct Counted<R> {
    inner: R,
    bytes: Arc<AtomicU64>,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.bytes.fetch_add(amount as u64, Ordering::Relaxed);
        self.inner.consume(amount);
    }
}

impl Container {
    /// Looks at the first bytes and unwraps.
    pub(super) fn open(mut input: impl Read + Send + 'static) -> io::Result<Self> {
        let mut head = Vec::with_capacity(SQLITE_MAGIC.len());
        input.by_ref().take(SQLITE_MAGIC.len() as u64).read_to_end(&mut head)?;
        let wrapping = wrapping(&head);
        let raw = BufReader::with_capacity(1 << 16, Cursor::new(head).chain(input));
        let packed = Arc::new(AtomicU64::new(0));
        let raw: Raw = Box::new(Counted { inner: raw, bytes: Arc::clone(&packed) });
        let unpacking = Unpacking { packed, unpacked: 0 };
        Ok(match wrapping {
            Some("a gzip file") => Self::Gzip(Box::new(MultiGzDecoder::new(raw)), unpacking),
            Some("a zip file") => Self::Zip(ZipStream::new(raw, unpacking)),
            Some(_) => Self::Sqlite,
            None => Self::Plain(raw),
        })
    }

    /// Whether a read error means damaged data rather than a failing disk.
    pub(super) fn is_compressed(&self) -> bool {
        matches!(self, Self::Gzip(..) | Self::Zip(_) | Self::Tar(_))
    }
}

impl Read for Container {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(raw) => raw.read(buffer),
            Self::Gzip(decoder, unpacking) => unpacking.note(decoder.read(buffer)?),
            Self::Zip(zip) => zip.read(buffer),
            Self::Tar(tar) => tar.read(buffer),
            Self::Sqlite => Ok(0),
        }
    }
}

/// A file within a zip archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// Its path in the archive.
    pub(super) name: Arc<str>,
    /// Why its data cannot be read although it is there.
    pub(super) unreadable: Option<&'static str>,
}

/// Reads the members of a zip archive one behind the other.
pub(super) struct ZipStream {
    state: ZipState,
    crc: Crc,
    expected: Expected,
    inflated: u64,
    unpacking: Unpacking,
}

/// What the header, or the descriptor behind the data, says about a member.
#[derive(Clone, Copy, Default)]
struct Expected {
    crc: u32,
    in_descriptor: bool,
    zip64: bool,
}

enum ZipState {
    /// In front of a header.
    Between(Raw),
    Deflated(Box<DeflateDecoder<Raw>>),
    Stored(io::Take<Raw>),
    Done,
}

const LOCAL_HEADER: [u8; 4] = *b"PK\x03\x04";
const DESCRIPTOR: [u8; 4] = *b"PK\x07\x08";
const ENCRYPTED: u16 = 1;
const HAS_DESCRIPTOR: u16 = 1 << 3;

impl ZipStream {
    fn new(raw: Raw, unpacking: Unpacking) -> Self {
        Self { state: ZipState::Between(raw), crc: Crc::new(), expected: Expected::default(), inflated: 0, unpacking }
    }

    /// Skips to the next file, passing over directories and what operating systems add; `None` behind the last one.
    /// A member that cannot be unpacked is returned with the reason; the one behind it may still be readable.
    pub(super) fn next_member(&mut self) -> io::Result<Option<Member>> {
        loop {
            io::copy(self, &mut io::sink())?;
            let ZipState::Between(mut raw) = std::mem::replace(&mut self.state, ZipState::Done) else {
                return Ok(None);
            };
            let Some(header) = LocalHeader::read(&mut raw)? else {
                return Ok(None);
            };
            self.crc = Crc::new();
            self.inflated = 0;
            self.expected = header.expected;
            let mut unreadable = header.unreadable();
            let is_wanted = !(header.name.ends_with('/')
                || header.name.starts_with("__MACOSX/")
                || header.name.ends_with(".DS_Store")
                || header.name.is_empty());
            let name: Arc<str> = header.name.into();
            if unreadable.is_some() {
                // Without a size nobody knows where it ends, so nothing behind it can be found either.
                if header.expected.in_descriptor {
                    unreadable =
                        Some("cannot be unpacked here and does not say where it ends: what follows is lost too");
                } else {
                    let skipped = io::copy(&mut raw.by_ref().take(header.compressed_size), &mut io::sink())?;
                    if skipped < header.compressed_size {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    self.state = ZipState::Between(raw);
                }
                return Ok(Some(Member { name, unreadable }));
            }
            self.state = if header.method == 8 {
                ZipState::Deflated(Box::new(DeflateDecoder::new(raw)))
            } else {
                ZipState::Stored(raw.take(header.compressed_size))
            };
            if is_wanted {
                return Ok(Some(Member { name, unreadable: None }));
            }
        }
    }

    /// Behind a member's data: checks it, and stands in front of the next header.
    fn finish_member(&mut self) -> io::Result<()> {
        let (mut raw, is_complete) = match std::mem::replace(&mut self.state, ZipState::Done) {
            ZipState::Deflated(decoder) => (decoder.into_inner(), true),
            ZipState::Stored(take) => {
                let is_complete = take.limit() == 0;
                (take.into_inner(), is_complete)
            }
            other => {
                self.state = other;
                return Ok(());
            }
        };
        if !is_complete {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut expected = self.expected.crc;
        if self.expected.in_descriptor {
            // The descriptor's signature is optional, and a CRC may look like it in one case of four billion.
            let mut word = read_array::<4>(&mut raw)?;
            if word == DESCRIPTOR {
                word = read_array::<4>(&mut raw)?;
            }
            expected = u32::from_le_bytes(word);
            let sizes = if self.expected.zip64 || self.inflated > u64::from(u32::MAX) { 16 } else { 8 };
            io::copy(&mut raw.by_ref().take(sizes), &mut io::sink())?;
        }
        if expected != self.crc.sum() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the archive's checksum does not match"));
        }
        self.state = ZipState::Between(raw);
        Ok(())
    }
}

impl Read for ZipStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.state {
            ZipState::Deflated(decoder) => decoder.read(buffer)?,
            ZipState::Stored(take) => take.read(buffer)?,
            ZipState::Between(_) | ZipState::Done => return Ok(0),
        };
        if read == 0 && !buffer.is_empty() {
            self.finish_member()?;
        }
        self.crc.update(buffer.get(..read).unwrap_or_default());
        self.inflated += read as u64;
        self.unpacking.note(read)
    }
}

struct LocalHeader {
    name: String,
    method: u16,
    flags: u16,
    compressed_size: u64,
    expected: Expected,
}

impl LocalHeader {
    /// Reads the header that the stream stands in front of; `None` at the archive's directory or end.
    fn read(raw: &mut Raw) -> io::Result<Option<Self>> {
        if raw.fill_buf()?.is_empty() {
            // The directory is missing, so members may be missing too.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if read_array::<4>(raw)? != LOCAL_HEADER {
            return Ok(None);
        }
        let _version = read_u16(raw)?;
        let flags = read_u16(raw)?;
        let method = read_u16(raw)?;
        let _modified = read_u32(raw)?;
        let crc = read_u32(raw)?;
        let compressed_size = read_u32(raw)?;
        let _size = read_u32(raw)?;
        let name_length = read_u16(raw)?;
        let extra_length = read_u16(raw)?;
        let mut name = vec![0; usize::from(name_length)];
        raw.read_exact(&mut name)?;
        let mut extra = vec![0; usize::from(extra_length)];
        raw.read_exact(&mut extra)?;
        let sizes64 = zip64_sizes(&extra);
        let compressed_size = match sizes64 {
            Some((_, compressed)) if compressed_size == u32::MAX => compressed,
            _ => u64::from(compressed_size),
        };
        let expected = Expected { crc, in_descriptor: flags & HAS_DESCRIPTOR != 0, zip64: sizes64.is_some() };
        let name = String::from_utf8_lossy(&name).into_owned();
        Ok(Some(Self { name, method, flags, compressed_size, expected }))
    }

    fn unreadable(&self) -> Option<&'static str> {
        if self.flags & ENCRYPTED != 0 {
            Some("is encrypted")
        } else if self.method != 0 && self.method != 8 {
            Some("is packed with a method other than deflate")
        } else if self.method == 0 && self.expected.in_descriptor {
            Some("is stored without saying where it ends")
        } else {
            None
        }
    }
}

/// Uncompressed and compressed size from the zip64 field among the extra fields.
fn zip64_sizes(mut extra: &[u8]) -> Option<(u64, u64)> {
    while let Some((head, rest)) = extra.split_first_chunk::<4>() {
        let [id_low, id_high, length_low, length_high] = *head;
        let length = usize::from(u16::from_le_bytes([length_low, length_high]));
        let (field, rest) = rest.split_at_checked(length)?;
        if u16::from_le_bytes([id_low, id_high]) == 1 {
            let (size, field) = field.split_first_chunk::<8>()?;
            let (compressed, _) = field.split_first_chunk::<8>()?;
            return Some((u64::from_le_bytes(*size), u64::from_le_bytes(*compressed)));
        }
        extra = rest;
    }
    None
}

fn read_array<const N: usize>(raw: &mut Raw) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    raw.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_u16(raw: &mut Raw) -> io::Result<u16> {
    read_array(raw).map(u16::from_le_bytes)
}

fn read_u32(raw: &mut Raw) -> io::Result<u32> {
    read_array(raw).map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_unpacks_to_more_than_any_export_is_given_up() {
        let packed = Arc::new(AtomicU64::new(1_000));
        let mut unpacking = Unpacking { packed: Arc::clone(&packed), unpacked: UNPACKED_BYTES };
        assert_eq!(unpacking.note(100_000).unwrap(), 100_000);
        let error = unpacking.note(1).unwrap_err();
        assert!(error.to_string().contains("more than 100 times its size"), "{error}");
        // As more of the archive is read, more may come out of it.
        packed.store(2_000, Ordering::Relaxed);
        assert_eq!(unpacking.note(99_999).unwrap(), 99_999);
    }

    #[test]
    fn archives_count_what_they_unpack() {
        let text = vec![b'x'; 100_000];
        let mut gzip = flate2::read::GzEncoder::new(text.as_slice(), flate2::Compression::best());
        let mut bytes = Vec::new();
        gzip.read_to_end(&mut bytes).unwrap();
        let size = bytes.len() as u64;
        let mut container = Container::open(Cursor::new(bytes)).unwrap();
        io::copy(&mut container, &mut io::sink()).unwrap();
        let Container::Gzip(_, unpacking) = container else { panic!("not a gzip") };
        assert_eq!((unpacking.unpacked, unpacking.packed.load(Ordering::Relaxed)), (100_000, size));
    }
}
