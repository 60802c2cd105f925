//! A discrepancy that was found, with its evidence in one line.

use ledger_core::Symbol;
use ledger_store::DiscrepancyKey;
use serde_json::{Map, Value};

use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::memory::Memory;
use crate::memory::doubt::Doubt;
use crate::settled_by::SettledBy;

/// What becomes of a discrepancy once the plan is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Outlook {
    /// Recording what the exchange states settles it: the book then says the same.
    Settles,
    /// The checks after applying tell.
    Verify,
    /// As [`Verify`](Self::Verify), but what still differs may go by itself: answers lag behind each other for a moment.
    VerifyLagging,
    /// It may go by itself, or the next look will tell more.
    Waits,
    /// It stays until somebody does something about it.
    Stays,
}

/// A discrepancy that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind.
    pub kind: DiscrepancyKind,
    /// The contract, where it has one.
    pub symbol: Option<Symbol>,
    /// About what.
    pub subject: Subject,
    /// The values that differ and where they stand: one line, for the reader.
    pub evidence: String,
    /// More of the evidence, for programs.
    pub details: Map<String, Value>,
    /// What the next look has to know of it.
    pub(crate) memory: Option<Memory>,
    /// What the first look claimed of it, where it rests on absence or on a single number.
    pub(crate) doubt: Option<Doubt>,
    /// Whether a second look has yet to claim the same.
    pub(crate) is_doubtful: bool,
    /// What becomes of it.
    pub(crate) outlook: Outlook,
    /// What settles it: seen, it goes by itself.
    pub settled_by: SettledBy,
}

impl Finding {
    /// A finding without further details.
    pub(crate) fn new(
        kind: DiscrepancyKind,
        symbol: Option<&Symbol>,
        subject: Subject,
        outlook: Outlook,
        evidence: String,
    ) -> Self {
        Self {
            kind,
            symbol: symbol.cloned(),
            subject,
            evidence,
            details: Map::new(),
            memory: None,
            doubt: None,
            is_doubtful: false,
            outlook,
            settled_by: kind.settled_by(),
        }
    }

    /// Adds a detail.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// Adds what the next look has to know.
    #[must_use]
    pub(crate) fn remembering(mut self, memory: impl Into<Memory>) -> Self {
        self.memory = Some(memory.into());
        self
    }

    /// What makes it this discrepancy and no other, within account and kind.
    pub(crate) fn fingerprint(&self) -> String {
        self.subject.to_string()
    }

    /// The same, with its kind: how the journal knows it.
    pub fn key(&self) -> DiscrepancyKey {
        DiscrepancyKey { kind: self.kind.as_str().to_owned(), fingerprint: self.fingerprint() }
    }

    /// The evidence as the journal keeps it.
    pub fn evidence_json(&self) -> String {
        let mut object = self.details.clone();
        object.insert("evidence".to_owned(), self.evidence.clone().into());
        object.insert("subject".to_owned(), self.subject.to_string().into());
        object.insert("symbol".to_owned(), self.symbol.as_ref().map_or(Value::Null, |symbol| symbol.as_str().into()));
        if let Some(memory) = &self.memory {
            memory.write(&mut object);
        }
        if let Some(doubt) = &self.doubt {
            doubt.write(&mut object);
        }
        Value::Object(object).to_string()
    }
}
