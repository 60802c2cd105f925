//! A text of a known form, read row by row: a table, JSON objects one a line, or a JSON array.

use std::io;
use std::sync::Arc;

use ledger_core::Statement;

use super::context::Context;
use super::error::{RowError, RowProblem};
use super::feed::{Feed, Line, Lines};
use super::json::Object;
use super::json_split::{Element, Splitter};
use super::layout::Layout;
use super::table::{Cells, Header};
use super::{Kind, ROW_BYTES_MAX, ccxt, ndjson};

/// The text of a file or member.
pub(super) enum Text {
    /// Separated values under a header.
    Table(Box<Table>),
    /// JSON objects, one a line.
    JsonLines(JsonLines),
    /// JSON objects in an array, or laid out over several lines.
    JsonElements(JsonElements),
}

/// A row and where it begins.
pub(super) struct TextRow {
    pub(super) line: u64,
    /// Which element of a JSON array it is, counted from 1.
    pub(super) element: Option<u64>,
    pub(super) result: Result<Vec<Statement>, RowError>,
}

/// Why there is no next row.
pub(super) enum Stop {
    /// The text has ended.
    End,
    /// Reading failed behind this line.
    Failed { line: u64, source: io::Error },
    /// The text has ended inside a JSON array.
    Unclosed { line: u64 },
    /// A local time has been met, and no zone is known.
    ZoneUnknown,
}

impl Text {
    /// The next row.
    pub(super) fn next(&mut self, feed: &mut Feed, context: &mut Context) -> Result<TextRow, Stop> {
        match self {
            Self::Table(table) => table.next(feed, context),
            Self::JsonLines(json) => json.next(feed, context),
            Self::JsonElements(json) => json.next(feed, context),
        }
    }

    /// What its rows are; `None` while no JSON object has told.
    pub(super) fn kind(&self) -> Option<Kind> {
        match self {
            Self::Table(table) => Some(table.layout.kind()),
            Self::JsonLines(json) => json.kind,
            Self::JsonElements(json) => json.kind,
        }
    }
}

/// Separated values under a header.
pub(super) struct Table {
    header: Header,
    layout: Layout,
    lines: Lines,
    cells: Cells,
}

impl Table {
    /// A table whose header has just been read from `lines`.
    pub(super) fn new(header: Header, layout: Layout, lines: Lines) -> Self {
        Self { header, layout, lines, cells: Cells::default() }
    }

    fn next(&mut self, feed: &mut Feed, context: &mut Context) -> Result<TextRow, Stop> {
        let Self { header, layout, lines, cells } = self;
        loop {
            let bytes = match next_line(lines, feed)? {
                NextLine::Row(row) => return Ok(row),
                NextLine::Bytes(bytes) => bytes,
            };
            let split = utf8(bytes).and_then(|line| {
                cells.split(line, header.separator()).map_err(RowError::row)?;
                Ok(line)
            });
            let result = match split {
                Ok(_) if header.is_repeated_by(cells) || says_no_data(cells) => continue,
                Ok(line) => header.record(cells).and_then(|record| layout.parse(record, &Arc::from(line), context)),
                Err(error) => Err(error),
            };
            if matches!(result, Err(RowError { problem: RowProblem::LocalTime, .. })) {
                return Err(Stop::ZoneUnknown);
            }
            return Ok(TextRow { line: lines.number(), element: None, result });
        }
    }
}

/// JSON objects, one a line.
pub(super) struct JsonLines {
    lines: Lines,
    kind: Option<Kind>,
}

impl JsonLines {
    pub(super) fn new(lines: Lines) -> Self {
        Self { lines, kind: None }
    }

    fn next(&mut self, feed: &mut Feed, context: &mut Context) -> Result<TextRow, Stop> {
        let result = match next_line(&mut self.lines, feed)? {
            NextLine::Row(row) => return Ok(row),
            NextLine::Bytes(bytes) => parse_json(bytes, &mut self.kind, context),
        };
        Ok(TextRow { line: self.lines.number(), element: None, result })
    }
}

/// JSON objects in an array, or laid out over several lines.
#[derive(Default)]
pub(super) struct JsonElements {
    splitter: Splitter,
    elements: u64,
    kind: Option<Kind>,
}

impl JsonElements {
    fn next(&mut self, feed: &mut Feed, context: &mut Context) -> Result<TextRow, Stop> {
        let result = match self.splitter.next(feed) {
            Ok(None) => return Err(Stop::End),
            Ok(Some(Element::Unclosed)) => return Err(Stop::Unclosed { line: self.splitter.line() }),
            Ok(Some(Element::TooLong)) => Err(too_long()),
            Ok(Some(Element::Bytes(bytes))) => parse_json(bytes, &mut self.kind, context),
            Err(source) => return Err(Stop::Failed { line: self.splitter.line() - 1, source }),
        };
        self.elements += 1;
        Ok(TextRow { line: self.splitter.element_line(), element: Some(self.elements), result })
    }
}

/// What a JSON text states. The first object of a known kind decides what the file is.
fn parse_json(bytes: &[u8], kind: &mut Option<Kind>, context: &mut Context) -> Result<Vec<Statement>, RowError> {
    let text = utf8(bytes)?;
    let object = Object::parse(text, "")?;
    let is_ours = object.get("schema").is_some_and(|schema| schema.text.starts_with(ndjson::SCHEMA_PREFIX));
    if kind.is_none() && (is_ours || ccxt::is_recognised(&object)) {
        *kind = Some(if is_ours { Kind::Fillbook } else { Kind::Ccxt });
    }
    if is_ours {
        return ndjson::parse_line(text).map(|statement| vec![statement]);
    }
    ccxt::parse(&object, &Arc::from(text), context)
}

enum NextLine<'a> {
    Bytes(&'a [u8]),
    Row(TextRow),
}

/// The next line that is not blank, or the row that stands for one that is too long.
fn next_line<'a>(lines: &'a mut Lines, feed: &mut Feed) -> Result<NextLine<'a>, Stop> {
    loop {
        let before = lines.number();
        let is_blank = match lines.next(feed) {
            Ok(None) => return Err(Stop::End),
            Ok(Some(Line::TooLong)) => {
                return Ok(NextLine::Row(TextRow { line: before + 1, element: None, result: Err(too_long()) }));
            }
            Ok(Some(Line::Bytes(bytes))) => bytes.trim_ascii().is_empty(),
            Err(source) => return Err(Stop::Failed { line: before, source }),
        };
        if !is_blank {
            return Ok(NextLine::Bytes(lines.last()));
        }
    }
}

fn too_long() -> RowError {
    RowError::row(RowProblem::TooLong { limit: ROW_BYTES_MAX })
}

fn utf8(bytes: &[u8]) -> Result<&str, RowError> {
    str::from_utf8(bytes).map_err(|error| RowError::row(RowProblem::NotUtf8 { byte: error.valid_up_to() + 1 }))
}

/// Exports without any row say so in a row.
fn says_no_data(cells: &Cells) -> bool {
    let mut present = cells.iter().map(str::trim).filter(|cell| !cell.is_empty());
    let is_notice = present.next().is_some_and(|first| {
        let first = first.to_ascii_lowercase();
        first.starts_with("no data") || first.starts_with("no matching") || first.starts_with("no record")
    });
    is_notice && present.next().is_none()
}
