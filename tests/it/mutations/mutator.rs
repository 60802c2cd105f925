//! Damages files, the same way for the same seed.

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};

use super::seeds::{Form, Seed};

/// What stands where a number should, or does not fit where it should.
const NUMBERS: [&str; 19] = [
    "",
    "-",
    "0",
    "-1",
    "NaN",
    "inf",
    "1e400",
    "1e-400",
    "-0",
    "00",
    "0x10",
    "1,000",
    "60.000",
    "1e18",
    "0.0000000000000000001",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "170141183460469231731687303715884105728",
];

/// What parsers trip over.
const BITES: [&[u8]; 18] = [
    b"\0",
    b"\r",
    b"\n",
    b"\x1b[31m",
    b"\"",
    b"'",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b";",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\\u0000",
    b"{\"a\":{\"a\":{\"a\":[[[[",
    b"null",
];

/// Values that a column of a bot's database may hold, as SQL.
const VALUES: [&str; 20] = [
    "NULL",
    "''",
    "'NaN'",
    "1e999",
    "-1",
    "0",
    "0.1",
    "x'00ff'",
    "9223372036854775807",
    "-9223372036854775808",
    "'1e400'",
    "CAST(x'610062' AS TEXT)",
    "CAST(x'ff' AS TEXT)",
    "printf('%.*c', 1048577, 'x')",
    "'{\"info\":{\"id\":1}}'",
    "'{\"info\":{'",
    "'closed'",
    "'BTC/USDT:USDT-260327'",
    "ts",
    "rowid",
];

/// What its schema may be instead, as SQL.
const SCHEMAS: [&str; 6] = [
    "ALTER TABLE fills RENAME TO old; CREATE VIEW fills AS SELECT a.*, b.rowid AS rowid FROM old AS a, old AS b",
    "ALTER TABLE fills ADD COLUMN rowid TEXT DEFAULT 'x'",
    "ALTER TABLE orders ADD COLUMN oid TEXT AS (1)",
    "ALTER TABLE fills ADD COLUMN account_id TEXT",
    "DROP TABLE orders; CREATE TABLE orders (order_id TEXT PRIMARY KEY, ts) WITHOUT ROWID",
    "DROP TABLE fills; CREATE VIEW fills AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS fill_id FROM n",
];

/// A generator of damage.
pub(super) struct Mutator(u64);

impl Mutator {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x632b_e59b_d9b4_e019))
    }

    /// The next number (splitmix64).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 where nothing is below it.
    fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { usize::try_from(self.next() % bound as u64).unwrap() }
    }

    pub(super) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// The file, damaged in one to six places. `other` is a file to splice in parts of.
    pub(super) fn mutate(&mut self, seed: &Seed, other: &[u8]) -> Vec<u8> {
        let mut bytes = seed.bytes.clone();
        if seed.name.ends_with(".sqlite3") && self.below(2) == 0 {
            self.in_rows(&mut bytes);
        }
        let steps = if bytes == seed.bytes { 1 + self.below(6) } else { self.below(3) };
        for _ in 0..steps {
            match seed.form {
                Form::Text if self.below(4) > 0 => self.in_text(&mut bytes),
                Form::Database if self.below(4) > 0 => self.in_pages(&mut bytes),
                Form::Packed if self.below(3) > 0 => self.in_headers(&mut bytes),
                _ => self.anywhere(&mut bytes, other),
            }
        }
        // A sound archive around a damaged text.
        if seed.form == Form::Text && self.below(6) == 0 {
            bytes = match self.below(3) {
                0 => gzip(&bytes),
                1 => zip(&seed.name, &bytes),
                _ => tar(&seed.name, &bytes),
            };
        }
        bytes
    }

    /// A stretch of the bytes, of up to `longest`.
    fn stretch(&mut self, length: usize, longest: usize) -> std::ops::Range<usize> {
        let from = self.below(length);
        from..(from + 1 + self.below(longest)).min(length)
    }

    fn anywhere(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(bytes.len());
        match self.below(9) {
            0 if !bytes.is_empty() => bytes[at] = self.byte(),
            1 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
            2 => bytes.truncate(at),
            3 => {
                let part = self.stretch(bytes.len(), 2_000);
                let copy = bytes[part].to_vec();
                bytes.splice(at..at, copy);
            }
            4 => drop(bytes.drain(self.stretch(bytes.len(), 400))),
            5 => {
                let part = other[self.stretch(other.len(), 3_000)].to_vec();
                bytes.splice(at..at, part);
            }
            6 => drop(bytes.splice(at..at, self.pick(&BITES).iter().copied())),
            7 => {
                let part = self.stretch(bytes.len(), 64);
                let byte = self.byte();
                bytes[part].fill(byte);
            }
            _ => bytes.extend_from_slice(&other[self.stretch(other.len(), 3_000)]),
        }
    }

    fn in_text(&mut self, bytes: &mut Vec<u8>) {
        let mut lines: Vec<Vec<u8>> = bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        if lines.is_empty() {
            return;
        }
        let (one, two) = (self.below(lines.len()), self.below(lines.len()));
        match self.below(8) {
            0 | 1 => self.number_in(&mut lines[one]),
            2 => lines.swap(one, two),
            3 => {
                let copy = lines[one].clone();
                lines.insert(two, copy);
            }
            4 => drop(lines.remove(one)),
            5 => self.cells_of(&mut lines, one),
            6 => {
                let at = self.below(lines[one].len());
                let bite = *self.pick(&BITES);
                lines[one].splice(at..at, bite.iter().copied());
            }
            _ => {
                // The end of one line behind the beginning of another.
                let cut = self.below(lines[one].len());
                let rest = lines[two][self.below(lines[two].len())..].to_vec();
                lines[one].truncate(cut);
                lines[one].extend(rest);
            }
        }
        *bytes = lines.concat();
    }

    /// Writes another number over one of the line's.
    fn number_in(&mut self, line: &mut Vec<u8>) {
        let is_digit = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
        let starts: Vec<usize> =
            (0..line.len()).filter(|at| is_digit(&line[*at]) && (*at == 0 || !is_digit(&line[at - 1]))).collect();
        if starts.is_empty() {
            return;
        }
        let start = *self.pick(&starts);
        let end = line[start..].iter().position(|byte| !is_digit(byte)).map_or(line.len(), |length| start + length);
        let number = *self.pick(&NUMBERS);
        line.splice(start..end, number.bytes());
    }

    /// Swaps two cells: of a line, or of all lines.
    fn cells_of(&mut self, lines: &mut [Vec<u8>], one: usize) {
        let columns = lines[one].split(|byte| *byte == b',').count();
        let (left, right) = (self.below(columns), self.below(columns));
        let chosen = if self.below(2) == 0 { one..one + 1 } else { 0..lines.len() };
        for line in &mut lines[chosen] {
            let mut cells: Vec<&[u8]> = line.split(|byte| *byte == b',').collect();
            if left.max(right) < cells.len() {
                cells.swap(left, right);
                *line = cells.join(&b',');
            }
        }
    }

    /// Lies about lengths, sizes and checksums in the headers of an archive.
    fn in_headers(&mut self, bytes: &mut [u8]) {
        let mut headers: Vec<usize> = vec![0];
        headers.extend(bytes.windows(2).enumerate().filter(|(_, two)| two == b"PK").map(|(at, _)| at));
        headers.extend((0..bytes.len()).step_by(512).take(8));
        let at = *self.pick(&headers) + self.below(64);
        let lie: &[u8] = match self.below(6) {
            0 => &[0xff; 4],
            1 => &[0; 4],
            2 => &[0xff, 0xff, 0xff, 0x7f],
            3 => b"77777777777",
            4 => &[0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            _ => &[0xff, 0xff],
        };
        for (to, from) in bytes.iter_mut().skip(at).zip(lie) {
            *to = *from;
        }
    }

    /// Lets a bot's database hold other values, or be made otherwise, as its bot or anybody could.
    fn in_rows(&mut self, bytes: &mut Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bot.sqlite3");
        std::fs::write(&path, &bytes).unwrap();
        let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        for _ in 0..=self.below(4) {
            let table = *self.pick(&["engine_signals", "orders", "fills", "fills", "cancels"]);
            let column = *self
                .pick(&["ts", "symbol", "side", "price", "qty", "fee", "status", "raw_json", "order_id", "fill_id"]);
            let (value, of, which) = (*self.pick(&VALUES), 1 + self.below(5), self.below(5));
            let values =
                format!("UPDATE OR REPLACE {table} SET {column} = {value} WHERE rowid % {of} = {which} % {of}");
            let statements = if self.below(5) == 0 { (*self.pick(&SCHEMAS)).to_owned() } else { values };
            // Not every table has every column, and some changes exclude each other.
            let _ = conn.batch_execute(&statements);
        }
        drop(conn);
        *bytes = std::fs::read(&path).unwrap();
    }

    /// Damages pages of a database: their headers, where their cells begin, which pages they lead to, and one for another.
    fn in_pages(&mut self, bytes: &mut [u8]) {
        const PAGE: usize = 4_096;
        let pages = bytes.len() / PAGE;
        // An earlier damage has cut it within its first page.
        if pages == 0 {
            return;
        }
        let (one, two) = (self.below(pages) * PAGE, self.below(pages) * PAGE);
        let header = if one == 0 { 100 } else { one };
        let page_number = u32::try_from(1 + self.below(pages + 1)).unwrap().to_be_bytes();
        let at = match self.below(8) {
            0 => header + self.below(12),
            1 => header + 8 + self.below(64),
            // Within the cells, which stand at the page's end.
            2 => one + PAGE - 1 - self.below(PAGE / 2),
            3 => self.below(100),
            4 => return bytes.copy_within(one..one + PAGE, two),
            5 => {
                let to = header + 8;
                return bytes.iter_mut().skip(to).zip(page_number).for_each(|(to, from)| *to = from);
            }
            6 => {
                let to = one + PAGE - 1 - self.below(200);
                return bytes.iter_mut().skip(to).zip(page_number).for_each(|(to, from)| *to = from);
            }
            _ => one + self.below(PAGE),
        };
        let byte =
            if self.below(2) == 0 { self.byte() } else { bytes.get(at).copied().unwrap_or(0) ^ (1 << self.below(8)) };
        if let Some(to) = bytes.get_mut(at) {
            *to = byte;
        }
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
    })
}

/// A gzip whose data is not shrunk.
pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
    let blocks: Vec<&[u8]> = bytes.chunks(0xffff).collect();
    for (number, block) in blocks.iter().enumerate() {
        let length = u16::try_from(block.len()).unwrap();
        gzip.push(u8::from(number + 1 == blocks.len()));
        gzip.extend(length.to_le_bytes());
        gzip.extend((!length).to_le_bytes());
        gzip.extend_from_slice(block);
    }
    if blocks.is_empty() {
        gzip.extend(b"\x01\0\0\xff\xff");
    }
    gzip.extend(crc32(bytes).to_le_bytes());
    gzip.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
    gzip
}

/// A zip with one file, which is not shrunk. Its directory is empty: nobody reads it.
pub(super) fn zip(name: &str, bytes: &[u8]) -> Vec<u8> {
    let size = u32::try_from(bytes.len()).unwrap().to_le_bytes();
    let mut zip = b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0".to_vec();
    zip.extend(crc32(bytes).to_le_bytes());
    zip.extend(size);
    zip.extend(size);
    zip.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
    zip.extend([0; 2]);
    zip.extend(name.bytes());
    zip.extend_from_slice(bytes);
    zip.extend(b"PK\x05\x06");
    zip.extend([0; 18]);
    zip
}

/// A tar with one file.
pub(super) fn tar(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
    block[156] = b'0';
    block[257..263].copy_from_slice(b"ustar\0");
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut tar = block.to_vec();
    tar.extend_from_slice(bytes);
    tar.resize(tar.len().next_multiple_of(512) + 1_024, 0);
    tar
}
