//! What an import found and did.

use std::collections::BTreeMap;
use std::path::Path;

use ledger_core::{FactKind, Symbol};

use super::words::plural;

/// What an import found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// The files, in the order in which they were given.
    pub files: Vec<ImportedFile>,
    /// Which ledger rows at the edges of files may be the same or not.
    pub doubts: Vec<String>,
    /// How many fills of the book are in no position, because nothing says which one they changed.
    pub unplaced_fills: u64,
    /// The contracts whose positions cannot be computed.
    pub not_computed: Vec<NotComputed>,
    /// What contradicts the user's word about the position mode.
    pub mode_contradiction: Option<String>,
}

impl ImportReport {
    /// What became of the facts, by file and kind.
    pub fn lines(&self) -> impl Iterator<Item = ImportLine> {
        self.files.iter().flat_map(ImportedFile::lines)
    }
}

/// A contract whose positions cannot be computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotComputed {
    /// The contract.
    pub symbol: Symbol,
    /// Why.
    pub reason: String,
}

/// What became of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportedFile {
    /// Its path, as it was given.
    pub file: String,
    /// What became of its facts, by kind.
    pub kinds: BTreeMap<FactKind, ImportCounts>,
    /// How many rows were not recorded; a file that cannot be read counts as one.
    pub rejected: u64,
    /// How many facts say something else than the book.
    pub conflicting: u64,
    /// Whether rows of it are another exchange account's, or its header is damaged where it names the account.
    pub is_of_another_account: bool,
    /// Whether the book's own record of a fact cannot be read that the file has more to say about.
    pub has_damaged: bool,
}

/// How many facts became what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImportCounts {
    /// New to the book.
    pub recorded: u64,
    /// Nothing new.
    pub already_recorded: u64,
    /// They completed what the book had.
    pub merged: u64,
    /// They say something else than the book.
    pub conflicts: u64,
    /// Not recorded.
    pub rejected: u64,
}

/// What became of the facts of one kind in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportLine {
    /// The file's name, without its folders: enough to tell the files of one import apart.
    pub file: String,
    /// Which facts, in the plural.
    pub what: &'static str,
    /// How many became what.
    pub counts: ImportCounts,
}

impl ImportedFile {
    fn lines(&self) -> Vec<ImportLine> {
        let name = Path::new(&self.file)
            .file_name()
            .map_or_else(|| self.file.clone(), |name| name.to_string_lossy().into_owned());
        // Contracts come along with everything else and are reported only where a file has nothing else.
        let is_of_contracts = self.kinds.keys().all(|kind| *kind == FactKind::Instrument);
        let mut lines: Vec<ImportLine> = self
            .kinds
            .iter()
            .filter(|(kind, _)| is_of_contracts || **kind != FactKind::Instrument)
            .map(|(kind, counts)| ImportLine { file: name.clone(), what: plural(*kind), counts: *counts })
            .collect();
        if self.rejected > 0 || lines.is_empty() {
            let counts = ImportCounts { rejected: self.rejected, ..ImportCounts::default() };
            lines.push(ImportLine { file: name, what: "rows", counts });
        }
        lines
    }
}
