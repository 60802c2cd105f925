//! Tests of the import over whole files.

mod bad_input;
mod ccxt;
mod formats;
mod fuzz;
mod halves;
mod ndjson;
mod order_terms;
mod owners;
mod twice;
mod zones;

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Cursor;
use std::path::PathBuf;

use ledger_core::{AnyFact, Fact, Outcome, Sourced, Statement};

use super::{FileError, ImportFile, Kind, Options, RowError, open};

/// What came out of a file.
#[derive(Debug, Default)]
struct Found {
    kind: Option<Kind>,
    statements: Vec<Statement>,
    /// Line and the whole chain of reasons.
    rejected: Vec<(u64, String)>,
    errors: Vec<FileError>,
    rows: usize,
}

impl Found {
    fn facts(&self) -> Vec<AnyFact> {
        self.statements.iter().map(|statement| statement.fact.clone()).collect()
    }

    fn clean(self) -> Self {
        assert!(self.rejected.is_empty() && self.errors.is_empty(), "{:?} {:?}", self.rejected, self.errors);
        self
    }
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/import/")).join(name)
}

fn read(name: &str) -> Found {
    drain(open(&fixture(name), Options::default()).unwrap_or_else(|error| panic!("{name}: {}", chain(&error))))
}

fn read_text(name: &str, text: impl Into<Vec<u8>>) -> Found {
    drain(from_text(name, text, Options::default()).unwrap())
}

fn from_text(name: &str, text: impl Into<Vec<u8>>, options: Options) -> Result<ImportFile, FileError> {
    ImportFile::from_reader(name, Cursor::new(text.into()), options)
}

fn drain(file: ImportFile) -> Found {
    let mut found = Found { kind: Some(file.kind()), ..Found::default() };
    for item in file {
        match item {
            Ok(row) => {
                found.rows += 1;
                match row.result {
                    Ok(statements) => found.statements.extend(statements),
                    Err(error) => found.rejected.push((row.line, chain(&error))),
                }
            }
            Err(error) => found.errors.push(error),
        }
    }
    found
}

/// An error and everything behind it, as the command line prints it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}

/// The only row of a text, which is rejected.
fn rejection(text: &str) -> RowError {
    let rows: Vec<_> = from_text("x(UTC).csv", text, Options::default()).unwrap().collect();
    let [Ok(row)] = <[_; 1]>::try_from(rows).unwrap() else { panic!("not one row: {text}") };
    row.result.unwrap_err()
}

/// Merged facts of one kind.
type Table<F> = BTreeMap<<F as Fact>::Key, Sourced<F>>;

/// A book in memory that merges as the real one does and remembers every conflict.
#[derive(Debug, Default, PartialEq)]
struct Book {
    fills: Table<ledger_core::Fill>,
    orders: Table<ledger_core::Order>,
    cancels: Table<ledger_core::Cancel>,
    incomes: Table<ledger_core::Income>,
    instruments: Table<ledger_core::Instrument>,
    conflicts: Vec<String>,
}

impl Book {
    fn record(&mut self, statement: &Statement) {
        let source = statement.source;
        let conflicts = &mut self.conflicts;
        match statement.fact.clone() {
            AnyFact::Fill(fact) => put(&mut self.fills, Sourced::new(fact, source), conflicts),
            AnyFact::Order(fact) => {
                if let Some((cancel, source)) = fact.cancel(source) {
                    put(&mut self.cancels, Sourced::new(cancel, source), conflicts);
                }
                put(&mut self.orders, Sourced::new(fact, source), conflicts);
            }
            AnyFact::Cancel(fact) => put(&mut self.cancels, Sourced::new(fact, source), conflicts),
            AnyFact::Income(fact) => put(&mut self.incomes, Sourced::new(fact, source), conflicts),
            AnyFact::Instrument(fact) => put(&mut self.instruments, Sourced::new(fact, source), conflicts),
            other => panic!("no file of these states {other:?}"),
        }
    }

    fn record_all(&mut self, statements: &[Statement]) {
        for statement in statements {
            self.record(statement);
        }
    }
}

fn put<F: Fact + std::fmt::Debug>(table: &mut Table<F>, offered: Sourced<F>, conflicts: &mut Vec<String>) {
    let key = offered.fact.key();
    let merged = match table.get(&key) {
        None => offered,
        Some(book) => {
            let (merged, outcome) = ledger_core::merge(book, &offered);
            if let Outcome::Conflicts { fields } = outcome {
                conflicts.push(format!("{fields:?}: {:?} against {:?}", book.fact, offered.fact));
            }
            merged
        }
    };
    table.insert(key, merged);
}
