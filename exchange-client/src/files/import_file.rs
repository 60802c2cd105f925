//! A file being read: recognises what it is and yields its rows.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;

use ledger_core::AnyFact;

use super::columns::Doubt;
use super::container::{Container, Member, wrapping};
use super::context::{Context, Parts};
use super::cut::{LedgerReach, LedgerRead};
use super::error::{FileError, Place, RowProblem, shown};
use super::feed::{BYTE_ORDER_MARK, Feed, Line, Lines};
use super::layout::Layout;
use super::reach::{FillsCovered, Reach};
use super::table::Header;
use super::tar::{BLOCK, is_tar};
use super::text::{JsonElements, JsonLines, Stop, Table, Text, TextRow};
use super::zone::{UnclearZone, Zone, ZoneOrigin, zone_in_name};
use super::{BookVenue, ContractSizes, Kind, Options, Row};

/// How far ahead a text is looked at to tell what it is.
const SNIFFED: usize = 4_096;

/// How many objects of no known kind may stand at the beginning of a JSON file that is recognised later.
const PRIMED: usize = 100;

/// How many members that cannot be read may stand in front of the first one that can.
const FOREIGN_MEMBERS_MAX: usize = 1_000;

/// A recognised file, as an iterator over its rows.
///
/// An `Err` item concerns the file or one member of an archive; behind it, iteration goes on with the next member, if
/// there is one, and ends otherwise. Rejected rows are no `Err`: they are in [`Row::result`].
pub struct ImportFile {
    place: Place,
    feed: Feed,
    context: Context,
    text: Option<Text>,
    kind: Kind,
    begins_with: String,
    zone_origin: Option<ZoneOrigin>,
    queue: VecDeque<Result<Row, FileError>>,
    /// What is wrong with parts of the last row.
    parts: VecDeque<Row>,
    is_archive: bool,
    at_end: bool,
    reach: Reach,
    /// Of the members that were read to their end, and of the present one.
    ledger_read: Vec<LedgerRead>,
    ledger: LedgerReach,
}

impl ImportFile {
    /// Reads `input` as the file called `name`, whose time zone offset, if it has one, counts.
    ///
    /// # Errors
    /// [`FileError`] when it is empty or not recognised, lacks a time zone, or names its owner in a header that is damaged.
    pub fn from_reader(name: &str, input: impl Read + Send + 'static, options: Options) -> Result<Self, FileError> {
        let place = Place { file: name.into(), member: None };
        let container =
            Container::open(input).map_err(|source| FileError::Read { place: place.clone(), line: 0, source })?;
        let is_zip = matches!(container, Container::Zip(_));
        let is_database = matches!(container, Container::Sqlite);
        let mut feed = Feed::new(container);
        // What cannot be read at all is named when its text is begun.
        let is_tar = !is_zip && !is_database && feed.peek(BLOCK).is_ok_and(is_tar);
        if is_tar {
            feed = feed.into_tar();
        }
        let mut file = Self {
            place,
            feed,
            context: Context::new(options),
            text: None,
            kind: if is_database { Kind::BotDatabase } else { Kind::Ccxt },
            begins_with: String::new(),
            zone_origin: None,
            queue: VecDeque::new(),
            parts: VecDeque::new(),
            is_archive: is_zip || is_tar,
            at_end: is_database,
            reach: Reach::default(),
            ledger_read: Vec::new(),
            ledger: LedgerReach::default(),
        };
        if file.is_archive {
            file.begin_archive()?;
        } else if !is_database {
            file.begin_text()?;
            file.prime()?;
        }
        Ok(file)
    }

    /// What it was recognised as; in an archive, the member being read.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The time zone of its local times and where that was taken from, once it is known; in an archive, the member's.
    pub fn zone(&self) -> Option<(&Zone, ZoneOrigin)> {
        self.context.zone.as_ref().zip(self.zone_origin)
    }

    /// The exchange account (`Uid`) whose rows are read, once a row has named one.
    pub fn uid(&self) -> Option<&str> {
        self.context.options.uid.as_deref()
    }

    /// Whether rows of it that were read name the exchange account that they are of. Those of the archive and of libraries do
    /// not.
    pub fn names_owners(&self) -> bool {
        self.context.names_owners
    }

    /// Whether the fees that it says were paid stand there below zero: for [`Options::charges_are_negative`] of a second look
    /// at the same file.
    pub fn charges_are_negative(&self) -> bool {
        self.context.charges_are_negative()
    }

    /// The exchange that rows of a book of another venue are of, as far as this file or those before it tell.
    pub fn exchange(&self) -> Option<&str> {
        self.context.options.exchange.as_deref()
    }

    /// What it told of the sizes of contracts, and what was known before: for [`Options::contract_sizes`] of a second look at
    /// it, or of the next file.
    pub fn contract_sizes(&self) -> &ContractSizes {
        &self.context.options.contract_sizes
    }

    /// Where it stands: the file, and in an archive the member being read.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What the next file needs if it is another part of the same export: for [`Options::after`].
    pub fn parts(&self) -> Option<Parts> {
        self.context.parts()
    }

    /// Which stretches of time an export of trades is complete for, once it was read to its end; nothing for other files.
    pub fn fills_covered(&self) -> Vec<FillsCovered> {
        let is_read = self.at_end && self.queue.is_empty();
        if is_read { self.reach.covered() } else { Vec::new() }
    }

    /// Where rows of the ledger without an id may be cut, and where they are whole, once it was read to its end: of each
    /// export of transactions in it that has such rows.
    pub fn ledger_read(&self) -> Vec<LedgerRead> {
        let is_read = self.at_end && self.queue.is_empty();
        if is_read { self.ledger_read.iter().cloned().chain(self.ledger.told()).collect() } else { Vec::new() }
    }

    /// Notes what an item says about how complete the file is.
    fn note(&mut self, item: &Result<Row, FileError>) {
        match item {
            Ok(Row { result: Ok(statements), .. }) if self.kind.is_trades() => self.reach.note(statements),
            Ok(Row { result: Ok(statements), .. }) if self.kind == Kind::BinanceTransactions => {
                for statement in statements {
                    if let AnyFact::Income(row) = &statement.fact {
                        self.ledger.note(row);
                    }
                }
            }
            Ok(Row { result: Ok(_), .. }) => {}
            Ok(Row { result: Err(_), .. }) | Err(_) => {
                self.reach.unreadable();
                self.ledger.unreadable();
            }
        }
    }

    /// Finds the first member that is recognised; the errors of those in front of it are yielded first.
    fn begin_archive(&mut self) -> Result<(), FileError> {
        while !self.at_end && self.queue.len() < FOREIGN_MEMBERS_MAX {
            if self.begin_member().is_some() {
                return Ok(());
            }
        }
        match self.queue.pop_front() {
            Some(Err(error)) => Err(error),
            _ => Err(FileError::NoMembers { place: self.whole() }),
        }
    }

    /// Goes to the next member; `None` when there is none or it cannot be read, which is then queued as an error.
    fn begin_member(&mut self) -> Option<()> {
        let member = match self.feed.next_member() {
            Ok(Some(member)) => member,
            Ok(None) => {
                self.at_end = true;
                return None;
            }
            Err(source) => {
                self.at_end = true;
                self.place.member = None;
                let error = self.broken(0, source);
                self.queue.push_back(Err(error));
                return None;
            }
        };
        let Member { name, unreadable } = member;
        self.place.member = Some(name);
        let begun = match unreadable {
            Some(what) => Err(FileError::Zip { place: self.place.clone(), what }),
            None => self.begin_text().and_then(|()| self.prime()),
        };
        begun.map_err(|error| self.queue.push_back(Err(error))).ok()
    }

    /// Reads ahead until a row tells that the file is what it seems to be, so that whoever opens it learns at once
    /// whether it can be read at all. One bad line at the beginning does not condemn a file.
    fn prime(&mut self) -> Result<(), FileError> {
        let mut rows = VecDeque::new();
        let mut is_foreign = false;
        while rows.len() < PRIMED {
            match self.read_in_text() {
                Some(Err(error)) if rows.is_empty() => return Err(error),
                Some(item) => rows.push_back(item),
                None => break,
            }
            if self.is_recognised() {
                is_foreign = false;
                break;
            }
            // Objects that cannot be parsed say nothing about what the file is; others do.
            is_foreign |= rows.back().is_some_and(is_of_no_known_kind);
        }
        if is_foreign {
            self.text = None;
            return Err(FileError::Unrecognised { place: self.place.clone(), found: self.begins_with.clone() });
        }
        self.queue.append(&mut rows);
        Ok(())
    }

    /// Whether the text at hand has told what it is.
    fn is_recognised(&self) -> bool {
        self.text.as_ref().is_some_and(|text| text.kind().is_some())
    }

    /// Tells what the text at hand is.
    fn begin_text(&mut self) -> Result<(), FileError> {
        self.text = None;
        let name = self.place.member.clone().unwrap_or_else(|| Arc::clone(&self.place.file));
        self.context.begin_member(&name);
        let is_archive = self.feed.container().is_compressed();
        let head = match self.feed.peek(SNIFFED) {
            Ok(head) => head.to_vec(),
            Err(source) => {
                self.at_end = true;
                return Err(self.broken(0, source));
            }
        };
        let place = self.place.clone();
        if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
            return Err(FileError::Encoding { place, encoding: "UTF-16" });
        }
        if let Some(what) = wrapping(&head).filter(|_| is_archive) {
            return Err(FileError::Nested { place, what });
        }
        let text = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&head).trim_ascii_start();
        self.zone_origin = None;
        self.context.zone = None;
        let as_elements = match text.first() {
            None if head.len() < SNIFFED => return Err(FileError::Empty { place }),
            Some(b'[') => true,
            Some(b'{') => {
                // An object that goes on behind its first line is laid out for readers, not one a line.
                let first_line = text.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
                first_line.trim_ascii() == b"{"
            }
            _ => return self.begin_table(&head),
        };
        self.begin_json(&head, as_elements);
        Ok(())
    }

    fn begin_json(&mut self, head: &[u8], as_elements: bool) {
        self.kind = Kind::Ccxt;
        self.begins_with = shown(String::from_utf8_lossy(head).trim());
        self.text = Some(if as_elements {
            if head.starts_with(BYTE_ORDER_MARK) {
                io::BufRead::consume(&mut self.feed, BYTE_ORDER_MARK.len());
            }
            Text::JsonElements(JsonElements::default())
        } else {
            Text::JsonLines(JsonLines::new(Lines::of(head)))
        });
    }

    fn begin_table(&mut self, head: &[u8]) -> Result<(), FileError> {
        let place = self.place.clone();
        let mut lines = Lines::of(head);
        let line = loop {
            match lines.next(&mut self.feed) {
                Ok(Some(Line::Bytes(line))) if line.trim_ascii().is_empty() => {}
                Ok(Some(Line::Bytes(line))) => break String::from_utf8_lossy(line).into_owned(),
                Ok(Some(Line::TooLong)) => break String::new(),
                Ok(None) => return Err(FileError::Empty { place }),
                Err(source) => {
                    self.at_end = true;
                    return Err(self.broken(0, source));
                }
            }
        };
        let header = Header::parse(&line);
        if let Some((table, columns)) =
            header.as_ref().filter(|header| Layout::recognise(header).is_none()).and_then(Layout::lacking)
        {
            return Err(FileError::ColumnsMissing { place, table, columns });
        }
        let Some((layout, header)) = header.and_then(|header| Some((Layout::recognise(&header)?, header))) else {
            return Err(FileError::Unrecognised { place, found: shown(line.trim()) });
        };
        if let Some(column) = header.duplicate() {
            return Err(FileError::DuplicateColumn { place, column: shown(column) });
        }
        match layout.columns().doubt(&header) {
            Some(Doubt::Owner { column }) => return Err(FileError::Owner { place, column: shown(&column) }),
            Some(Doubt::Unknown { column, meant }) => {
                return Err(FileError::UnknownColumn { place, column: shown(&column), meant });
            }
            None => {}
        }
        self.kind = layout.kind();
        if self.context.options.venue != BookVenue::BinanceUsdm {
            return Err(FileError::OtherVenue { place, kind: self.kind });
        }
        self.choose_zone(&header, &layout)?;
        self.text = Some(Text::Table(Box::new(Table::new(header, layout, lines))));
        Ok(())
    }

    /// Takes the time zone from the name of the member or file, else from the header, else from the caller.
    fn choose_zone(&mut self, header: &Header, layout: &Layout) -> Result<(), FileError> {
        let unclear = |unclear| match unclear {
            UnclearZone::NoOffset(text) => FileError::ZoneInName { place: self.place.clone(), text },
            UnclearZone::Two(one, other) => self.zones_differ(&one, &other),
        };
        let of = |name: Option<&str>| name.map_or(Ok(None), zone_in_name).map_err(unclear);
        let named = [of(self.place.member.as_deref())?, of(Some(&*self.place.file))?];
        let stated = header.zone(layout.time_column()).map_err(unclear)?;
        let offset = stated.clone().filter(|_| header.states_offset(layout.time_column()));
        let said: Vec<&Zone> = named.iter().chain([&offset]).flatten().collect();
        if let [first, others @ ..] = said.as_slice()
            && let Some(other) = others.iter().find(|other| *other != first)
        {
            return Err(self.zones_differ(first, other));
        }
        let given = self.context.options.zone.clone();
        let chosen = named
            .into_iter()
            .flatten()
            .next()
            .map(|zone| {
                let is_overruled = stated.as_ref().is_some_and(|stated| *stated != zone);
                (zone, if is_overruled { ZoneOrigin::NameOverHeader } else { ZoneOrigin::FileName })
            })
            .or_else(|| stated.clone().map(|zone| (zone, ZoneOrigin::Header)))
            .or(given.map(|zone| (zone, ZoneOrigin::Given)));
        if let Some((zone, origin)) = chosen {
            self.context.zone = Some(zone);
            self.zone_origin = Some(origin);
        }
        Ok(())
    }

    fn zones_differ(&self, one: &Zone, other: &Zone) -> FileError {
        FileError::ZonesDiffer { place: self.place.clone(), one: one.to_string(), other: other.to_string() }
    }

    /// The next row of the text at hand; `None` behind its last.
    fn read_in_text(&mut self) -> Option<Result<Row, FileError>> {
        if let Some(part) = self.parts.pop_front() {
            return Some(Ok(part));
        }
        let text = self.text.as_mut()?;
        let next = text.next(&mut self.feed, &mut self.context);
        self.kind = text.kind().unwrap_or(self.kind);
        let stop = match next {
            Ok(TextRow { line, element, result }) => {
                let note = self.context.note.take();
                let row = |result, note| Row { member: self.place.member.clone(), line, element, result, note };
                let rejected = std::mem::take(&mut self.context.rejected);
                // Of a row that is rejected as a whole, its parts are no news.
                let rejected = rejected.into_iter().filter(|_| result.is_ok());
                self.parts.extend(rejected.map(|error| row(Err(error), None)));
                return Some(Ok(row(result, note)));
            }
            Err(stop) => stop,
        };
        self.text = None;
        let place = self.place.clone();
        match stop {
            Stop::End => None,
            Stop::Unclosed { line } => Some(Err(FileError::Unclosed { place, line })),
            Stop::ZoneUnknown => Some(Err(FileError::ZoneUnknown { place })),
            Stop::Failed { line, source } => {
                self.at_end = true;
                Some(Err(self.broken(line, source)))
            }
        }
    }

    /// The file without its member.
    fn whole(&self) -> Place {
        Place { member: None, ..self.place.clone() }
    }

    /// A failed read behind `line`: damaged data if it was compressed, else the system's failure.
    fn broken(&self, line: u64, source: io::Error) -> FileError {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        let place = self.place.clone();
        let is_damage = matches!(source.kind(), InvalidData | InvalidInput | UnexpectedEof);
        if is_damage && self.feed.container().is_compressed() {
            FileError::Damaged { place, line, source }
        } else {
            FileError::Read { place, line, source }
        }
    }
}

impl Iterator for ImportFile {
    type Item = Result<Row, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.queue.pop_front().or_else(|| self.read_in_text()) {
                self.note(&item);
                return Some(item);
            }
            if self.at_end || !self.is_archive {
                self.at_end = true;
                return None;
            }
            self.ledger_read.extend(std::mem::take(&mut self.ledger).told());
            let _queued_if_unreadable = self.begin_member();
        }
    }
}

impl std::fmt::Debug for ImportFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImportFile").field("place", &self.place).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Whether a row is well formed, but nothing that is known.
fn is_of_no_known_kind(item: &Result<Row, FileError>) -> bool {
    let problem = item.as_ref().ok().and_then(|row| row.result.as_ref().err()).map(|error| &error.problem);
    matches!(problem, Some(RowProblem::Unrecognised { .. } | RowProblem::NotAnObject))
}
