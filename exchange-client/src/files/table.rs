//! Lines of separated values: cells, headers, and records that name their columns.
//!
//! A row never spans lines here, although CSV allows line ends within quotes: no exchange writes them, and reading them
//! would let one stray quote swallow the rest of a file.

use std::collections::HashSet;

use super::cell::Cell;
use super::columns::names_owner;
use super::error::{RowError, RowProblem};
use super::zone::{UnclearZone, Zone, zone_in_brackets};

/// The cells of one line, in one buffer that is used again for the next.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Cells {
    text: String,
    ends: Vec<usize>,
}

impl Cells {
    /// The number of cells.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The cell at `index`, empty beyond the last.
    pub(super) fn get(&self, index: usize) -> &str {
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.ends.get(index).and_then(|end| self.text.get(start..*end)).unwrap_or("")
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Replaces the cells by those of `line`.
    pub(super) fn split(&mut self, line: &str, separator: char) -> Result<(), RowProblem> {
        self.text.clear();
        self.ends.clear();
        let mut rest = line;
        loop {
            let lead = rest.len() - rest.trim_start_matches([' ', '\t']).len();
            let is_quoted = separator != '\t' && rest.get(lead..).is_some_and(|text| text.starts_with('"'));
            let cell_end = if is_quoted {
                let quoted = rest.get(lead + 1..).unwrap_or("");
                let used = self.push_quoted(quoted)?;
                let behind = quoted.get(used..).unwrap_or("");
                let until = behind.find(separator).unwrap_or(behind.len());
                if !behind.get(..until).unwrap_or("").trim().is_empty() {
                    return Err(RowProblem::TextAfterQuote);
                }
                lead + 1 + used + until
            } else {
                let until = rest.find(separator).unwrap_or(rest.len());
                self.text.push_str(rest.get(..until).unwrap_or(""));
                until
            };
            self.ends.push(self.text.len());
            match rest.get(cell_end + separator.len_utf8()..) {
                Some(behind) if cell_end < rest.len() => rest = behind,
                _ => return Ok(()),
            }
        }
    }

    /// Appends a quoted cell, given the text behind its opening quote; returns how much of it was used.
    fn push_quoted(&mut self, quoted: &str) -> Result<usize, RowProblem> {
        let mut at = 0;
        loop {
            let rest = quoted.get(at..).unwrap_or("");
            let quote = rest.find('"').ok_or(RowProblem::UnclosedQuote)?;
            self.text.push_str(rest.get(..quote).unwrap_or(""));
            at += quote + 1;
            if !rest.get(quote + 1..).unwrap_or("").starts_with('"') {
                return Ok(at);
            }
            self.text.push('"');
            at += 1;
        }
    }
}

/// The columns of a table.
#[derive(Debug, Clone)]
pub(super) struct Header {
    names: Vec<String>,
    keys: Vec<String>,
    owners: Vec<Column>,
    separator: char,
}

/// A column that a [`Header`] has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column(usize);

/// A column's name as it is compared: without case, spaces and a time zone in brackets.
fn key(name: &str) -> String {
    let plain = name.split('(').next().unwrap_or(name);
    plain.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

impl Header {
    /// Reads a header line, whichever of the usual separators it uses.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let separator = [',', ';', '\t'].into_iter().max_by_key(|separator| {
            let count = line.matches(*separator).count();
            (count, *separator == ',')
        })?;
        let mut cells = Cells::default();
        cells.split(line, separator).ok()?;
        let names: Vec<String> = cells.iter().map(|name| name.trim().to_owned()).collect();
        let keys: Vec<String> = names.iter().map(|name| key(name)).collect();
        let owners = (0..keys.len()).filter(|n| keys.get(*n).is_some_and(|key| names_owner(key))).map(Column);
        Some(Self { owners: owners.collect(), names, keys, separator })
    }

    pub(super) fn separator(&self) -> char {
        self.separator
    }

    /// The column that goes by one of `keys`.
    pub(super) fn column(&self, keys: &[&str]) -> Option<Column> {
        self.keys.iter().position(|key| keys.contains(&key.as_str())).map(Column)
    }

    /// Whether it has all of these columns.
    pub(super) fn has(&self, keys: &[&str]) -> bool {
        keys.iter().all(|key| self.column(&[key]).is_some())
    }

    /// A column whose name occurs twice.
    pub(super) fn duplicate(&self) -> Option<&str> {
        let mut seen = HashSet::new();
        let mut names = self.keys.iter().zip(&self.names).filter(|(key, _)| !key.is_empty());
        names.find(|(key, _)| !seen.insert(key.as_str())).map(|(_, name)| name.as_str())
    }

    /// Its columns: as they are compared, and as they are named.
    pub(super) fn columns(&self) -> impl Iterator<Item = (&str, &str)> {
        self.keys.iter().map(String::as_str).zip(self.names.iter().map(String::as_str))
    }

    /// The time zone in the name of a column, as in `Time(UTC)`.
    pub(super) fn zone(&self, column: Column) -> Result<Option<Zone>, UnclearZone> {
        self.names.get(column.0).map_or(Ok(None), |name| zone_in_brackets(name))
    }

    /// Whether the name of a column states an offset, as `Time(UTC+3)` does. A bare `Time(UTC)` states none: the exchange
    /// prints it above local times as well.
    pub(super) fn states_offset(&self, column: Column) -> bool {
        let brackets = self.names.get(column.0).and_then(|name| name.split_once('('));
        brackets.is_some_and(|(_, inner)| inner.bytes().any(|byte| byte.is_ascii_digit()))
    }

    /// Whether these cells are this very header again, as in files that were appended to each other.
    pub(super) fn is_repeated_by(&self, cells: &Cells) -> bool {
        let first = cells.get(0).trim_start_matches('\u{feff}');
        self.keys.first().is_some_and(|expected| key(first) == *expected)
            && cells.len() == self.keys.len()
            && cells.iter().zip(&self.keys).all(|(cell, expected)| key(cell) == *expected)
    }

    /// The cells as a record of this table.
    ///
    /// # Errors
    /// When there are fewer cells than columns, or more: then a separator stands within a value and the columns are
    /// shifted.
    pub(super) fn record<'a>(&'a self, cells: &'a Cells) -> Result<Record<'a>, RowError> {
        let expected = self.names.len();
        let is_surplus_blank = (expected..cells.len()).all(|index| cells.get(index).trim().is_empty());
        if cells.len() < expected || !is_surplus_blank {
            return Err(RowError::row(RowProblem::Cells { expected, found: cells.len() }));
        }
        Ok(Record { header: self, cells })
    }
}

/// A row whose cells are found by column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    header: &'a Header,
    cells: &'a Cells,
}

impl<'a> Record<'a> {
    /// The cell of a column; absent when the table lacks the column or the cell is blank.
    pub(super) fn optional(self, column: Option<Column>) -> Option<Cell<'a>> {
        column.and_then(|column| self.cell(column).present())
    }

    /// The cell of a column.
    ///
    /// # Errors
    /// When the cell is blank.
    pub(super) fn required(self, column: Column) -> Result<Cell<'a>, RowError> {
        let cell = self.cell(column);
        cell.present().ok_or_else(|| cell.error(RowProblem::Missing))
    }

    /// The cells that say whose row it is, blank or not. A header may have more than one such column.
    pub(super) fn owners(self) -> impl Iterator<Item = Cell<'a>> + Clone {
        self.header.owners.iter().map(move |column| self.cell(*column))
    }

    fn cell(self, Column(index): Column) -> Cell<'a> {
        Cell::new(self.header.names.get(index).map_or("", String::as_str), self.cells.get(index))
    }
}
