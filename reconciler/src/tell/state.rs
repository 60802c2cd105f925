//! How far the telling of an account has come. It stands in the book, written with the messages that follow from it.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::TimestampMs;
use serde::{Deserialize, Serialize};

/// The version of [`TellState`] that is written.
const VERSION: u32 = 1;

/// How far the telling has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TellState {
    version: u32,
    /// When the account was first told of: what happened before is not told.
    pub(crate) since: TimestampMs,
    /// The place of the last fill that was looked at.
    pub(crate) fills: i64,
    /// The round trips that were open then, by their keys.
    pub(crate) open: BTreeSet<String>,
    /// The orders that were told while they worked, as symbol and id.
    pub(crate) working: BTreeSet<(String, String)>,
    /// The last repair that was looked at; `None` before the account was first compared.
    pub(crate) repairs: Option<i64>,
    /// The discrepancies that were told, by number, with what they are about.
    pub(crate) differs: BTreeMap<i64, Difference>,
    /// What goes wrong, by what it is.
    pub(crate) troubles: BTreeMap<String, Trouble>,
    /// The end of the last day that was summed up.
    pub(crate) day: Option<TimestampMs>,
}

/// What a difference is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Difference {
    /// Its kind and contract.
    pub(crate) what: String,
    /// Its evidence, with amounts.
    pub(crate) evidence: String,
}

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trouble {
    /// Since when it was seen, by the local clock.
    pub(crate) since: TimestampMs,
    /// Whether it was told.
    pub(crate) is_told: bool,
    /// Whether quiet hours do not hold it back, nor its end.
    pub(crate) is_urgent: bool,
    /// What is said at its end.
    pub(crate) end: String,
}

impl TellState {
    /// Where an account stands that is told of from now on.
    pub(crate) fn beginning(since: TimestampMs, fills: i64, open: BTreeSet<String>) -> Self {
        Self {
            version: VERSION,
            since,
            fills,
            open,
            working: BTreeSet::new(),
            repairs: None,
            differs: BTreeMap::new(),
            troubles: BTreeMap::new(),
            day: None,
        }
    }

    /// As the book keeps it. A set of texts and numbers always is JSON.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what was written; `None` for that of another version.
    pub(crate) fn parse(json: &str) -> Option<Self> {
        serde_json::from_str::<Self>(json).ok().filter(|state| state.version == VERSION)
    }
}
