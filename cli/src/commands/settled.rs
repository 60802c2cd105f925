//! What settles what a list shows: each kind once, below the list, so that no row grows by it.

use std::collections::BTreeMap;
use std::io;

use ledger_store::{Discrepancy, DiscrepancyStatus};
use reconciler::{FindingReport, SettledBy};

use crate::output::Output;

/// Kinds of discrepancies by their names in the journal, each with what settles it.
#[derive(Debug, Default)]
pub(super) struct Ends(BTreeMap<String, SettledBy>);

impl Ends {
    /// Notes one of the journal, unless it is gone.
    pub(super) fn note(&mut self, known: &Discrepancy) {
        if known.entry.status != DiscrepancyStatus::Resolved {
            let kind = &known.entry.key.kind;
            self.0.insert(kind.clone(), SettledBy::of_kind(kind));
        }
    }

    /// Notes one that a look found, unless it is gone.
    pub(super) fn note_found(&mut self, found: &FindingReport) {
        if found.status != DiscrepancyStatus::Resolved {
            self.0.insert(found.finding.kind.to_string(), found.finding.settled_by);
        }
    }

    /// Tells a person.
    pub(super) fn tell(&self, output: &mut Output) -> io::Result<()> {
        let Some(width) = self.0.keys().map(|kind| kind.chars().count()).max() else { return Ok(()) };
        output.line("")?;
        output.line("What settles them:")?;
        for (kind, end) in &self.0 {
            output.titled(&format!("  {kind}"), width + 2, end.told())?;
        }
        Ok(())
    }
}
