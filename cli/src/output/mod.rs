//! Output: one description of a list, three formats.
//!
//! A list is described once, as columns with a key, a title and a value. A table shows it to a person, JSON and CSV
//! give it to a program. Data goes to standard output, everything else to standard error. A reader that goes away (a
//! broken pipe) is no error. Everything goes through a [`Screen`], which is the only way out.

mod cell;
pub(crate) mod groups;
mod json;
mod queue;
mod screen;
mod table;

use std::io;

use exchange_client::Secrets;
use exchange_client::files::Zone;
use ledger_core::printable;

pub(crate) use cell::show_span;
pub use cell::{Cell, certain};
pub(crate) use queue::{Missing, Queue};
pub use screen::Screen;

/// The key of a column that only people get: an age, which is another one at every look.
pub const ONLY_IN_TABLES: &str = "";

/// The rank of a column that only programs get.
pub const NOT_IN_TABLES: u8 = u8::MAX;

/// A path as a line can show it.
pub fn shown_path(path: &std::path::Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Table,
    /// One object a line.
    Json,
    /// Comma-separated values with a header.
    Csv,
}

/// How tables tell items of one cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// As one, with their number and range.
    Together,
    /// One by one.
    Each,
}

/// A column of a list.
pub struct Column<T> {
    /// Its name in JSON and CSV; [`ONLY_IN_TABLES`] where programs do not get it.
    pub key: &'static str,
    /// Its title in a table.
    pub title: &'static str,
    /// When a table is too wide, columns with a higher number are left out first; 0 always stays, and
    /// [`NOT_IN_TABLES`] is never shown.
    pub rank: u8,
    /// Its value.
    pub value: fn(&T) -> Cell,
}

/// A kind of list.
pub struct Listing<T: 'static> {
    /// The name and version of its JSON objects, for example `fillbook.fill/1`.
    pub schema: &'static str,
    /// What its items are called, in the plural.
    pub plural: &'static str,
    /// The columns, in order.
    pub columns: &'static [Column<T>],
}

impl<T> Listing<T> {
    /// The columns of JSON and CSV.
    fn for_programs(&self) -> impl Iterator<Item = &Column<T>> {
        self.columns.iter().filter(|column| column.key != ONLY_IN_TABLES)
    }
}

/// What becomes of errors of standard output.
enum Errors {
    /// They end the command.
    Told,
    /// Work is done that must not end because nobody reads: the first one is told at the end.
    Held(Option<io::Error>),
}

/// Where output goes and how it looks.
pub struct Output {
    /// How data is printed.
    pub format: Format,
    /// No remarks and no progress.
    pub quiet: bool,
    /// How items of one cause are told in tables.
    pub detail: Detail,
    /// The reader's time zone.
    pub zone: Zone,
    /// How wide a table may be; `None` = as wide as it gets.
    pub width: Option<u16>,
    /// Whether progress can be shown by rewriting a line.
    pub live: bool,
    stdout: Screen,
    stderr: Screen,
    csv_header_of: Option<&'static str>,
    progress_shown: bool,
    errors: Errors,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("format", &self.format).field("quiet", &self.quiet).finish_non_exhaustive()
    }
}

impl Output {
    /// Output to the given streams.
    pub fn new(format: Format, zone: Zone, stdout: Screen, stderr: Screen) -> Self {
        Self {
            format,
            quiet: false,
            detail: Detail::Together,
            zone,
            width: None,
            live: false,
            stdout,
            stderr,
            csv_header_of: None,
            progress_shown: false,
            errors: Errors::Told,
        }
    }

    /// Prints a part of a list. Several parts of one list make one CSV file and one JSON stream; a table gets a header
    /// each time.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn list<T>(&mut self, listing: &Listing<T>, items: &[T]) -> io::Result<()> {
        self.clear_progress();
        let result = self.write_list(listing, items);
        self.held(result)
    }

    fn write_list<T>(&mut self, listing: &Listing<T>, items: &[T]) -> io::Result<()> {
        match self.format {
            Format::Table if items.is_empty() => Ok(()),
            Format::Table => {
                let text = table::render(listing, items, self.width, &self.zone);
                self.stdout.text(&text)
            }
            Format::Json => {
                for item in items {
                    self.stdout.json(&json::object(listing, item))?;
                }
                Ok(())
            }
            Format::Csv => {
                let is_new = self.csv_header_of.replace(listing.schema) != Some(listing.schema);
                let header = || listing.for_programs().map(|column| column.key.to_owned()).collect();
                let row = |item| listing.for_programs().map(|column| (column.value)(item).csv()).collect();
                self.stdout.csv(is_new.then(header).into_iter().chain(items.iter().map(row)))
            }
        }
    }

    /// Prints one JSON object.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn json(&mut self, value: &serde_json::Value) -> io::Result<()> {
        self.clear_progress();
        let result = self.stdout.json(value);
        self.held(result)
    }

    /// Prints a line of text that belongs to the data of the table format.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        self.clear_progress();
        let result = self.stdout.line(text);
        self.held(result)
    }

    /// Prints `name=value` of what this program made up itself and publishes: the key of a simulated exchange.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn published(&mut self, name: &str, value: &str) -> io::Result<()> {
        self.clear_progress();
        let result = self.stdout.published(name, value);
        self.held(result)
    }

    /// What is never repeated here.
    pub fn secrets(&self) -> &Secrets {
        self.stdout.secrets()
    }

    /// Prints a paragraph of text that belongs to the data of the table format, wrapped to the terminal.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn paragraph(&mut self, text: &str) -> io::Result<()> {
        let wrapped = table::wrap(text, self.width);
        self.line(&wrapped)
    }

    /// As [`paragraph`](Self::paragraph), within a width of its own.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn paragraph_within(&mut self, text: &str, width: u16) -> io::Result<()> {
        let wrapped = table::wrap(text, Some(width));
        self.line(&wrapped)
    }

    /// Prints `title` with a text that is wrapped beside it, as data of the table format.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn titled(&mut self, title: &str, title_width: usize, text: &str) -> io::Result<()> {
        let laid_out = table::beside(title, title_width, text, self.width);
        self.line(&laid_out)
    }

    /// A remark for the person at the terminal, on standard error; not with `--quiet`.
    pub fn remark(&mut self, text: &str) {
        self.clear_progress();
        // What a remark is about comes before it. A failure shows when the data itself is written.
        let _ = self.stdout.flush();
        if !self.quiet {
            // Nothing can be done about an unwritable standard error, and the data matters more.
            let _ = self.stderr.line(text);
        }
    }

    /// A complaint, on standard error, also with `--quiet`.
    pub fn complain(&mut self, text: &str) {
        self.clear_progress();
        let _ = self.stdout.flush();
        let _ = self.stderr.line(text);
    }

    /// How far a long work is; rewritten in place on a terminal, not shown elsewhere.
    pub fn progress(&mut self, text: &str) {
        if self.live && !self.quiet {
            self.stderr.rewrite(text);
            self.progress_shown = true;
        }
    }

    fn clear_progress(&mut self) {
        if std::mem::take(&mut self.progress_shown) {
            self.stderr.rewrite("");
        }
    }

    /// From now on a reader that goes away stops nothing: the book is being written, and that must come to its end. The
    /// error is told by [`flush`](Self::flush).
    pub fn hold_errors(&mut self) {
        self.errors = Errors::Held(None);
    }

    fn held(&mut self, result: io::Result<()>) -> io::Result<()> {
        match (&mut self.errors, result) {
            (Errors::Held(first), Err(error)) => {
                first.get_or_insert(error);
                Ok(())
            }
            (_, result) => result,
        }
    }

    /// Writes out what is buffered.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.clear_progress();
        match std::mem::replace(&mut self.errors, Errors::Told) {
            Errors::Held(Some(error)) => Err(error),
            Errors::Held(None) | Errors::Told => self.stdout.flush(),
        }
    }
}
