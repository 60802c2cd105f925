//! Whether anything of a file was in the book before it was read.

use std::collections::BTreeSet;

use ledger_core::{FactKind, Outcome};

/// How many facts of a file are remembered until one was known. A file with more new ones in a row is a new file.
const REMEMBERED: usize = 100_000;

/// What the book knew of a file's orders, trades and ledger rows.
#[derive(Debug, Default)]
pub(super) struct Known {
    any: bool,
    /// What the file itself stated first: its repetition is no knowledge of the book's.
    fresh: BTreeSet<String>,
    has_facts: bool,
}

impl Known {
    /// Notes what became of a fact.
    pub(super) fn note(&mut self, kind: FactKind, fact: &str, outcome: &Outcome) {
        if !matches!(kind, FactKind::Fill | FactKind::Order | FactKind::Cancel | FactKind::Income) || self.any {
            return;
        }
        self.has_facts = true;
        match outcome {
            Outcome::Recorded if self.fresh.len() < REMEMBERED => {
                self.fresh.insert(fact.to_owned());
            }
            Outcome::Recorded => {}
            _ if self.fresh.contains(fact) => {}
            _ => {
                self.any = true;
                self.fresh.clear();
            }
        }
    }

    /// Whether the file has orders, trades or ledger rows, and none of them was known.
    pub(super) fn nothing(&self) -> bool {
        self.has_facts && !self.any
    }
}
