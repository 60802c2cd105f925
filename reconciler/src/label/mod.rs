//! Strategy labels from a bot's own files, for orders and signals of which the book lacks them.
//!
//! Pure parsers: they take text, and the caller reads the files. A line or entry that cannot be used is named; the
//! others are used.

mod entry_events;
mod state;
mod words;

pub use entry_events::{EntryEvent, EntryEvents, parse_entry_events};
pub use state::{StateLabel, StateLabels, parse_state};

/// Something in a file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadEntry {
    /// Where: a line number, from 1, or the name of an entry.
    pub place: String,
    /// Why.
    pub reason: String,
}

/// What a bot's files say about who opened what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelSources {
    /// From the log of entries.
    pub events: Vec<EntryEvent>,
    /// From the bot's state.
    pub states: Vec<StateLabel>,
}

impl LabelSources {
    /// Whether nothing was given.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.states.is_empty()
    }
}
