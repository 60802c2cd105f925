//! That the book does not take what it is given, from the first time to the end of it. It is no fault of the exchange's.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_book_that_fails_is_told_once_and_so_is_its_end`, however many have something to write.

use std::collections::BTreeSet;

use ledger_core::TimestampMs;
use ledger_store::{StoreError, StoreErrorClass};

use super::happening::{HappeningKind, Told};
use crate::watch_state::BookSummary;
use crate::wording::lasting;

/// Who has something to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// The signs of life; for whoever else finds the book locked, these tell when it is not any more.
    Signs,
    /// What the stream tells.
    Events,
    /// The light looks.
    Looks,
    /// The cycles.
    Cycles,
}

/// Whether the book is written.
#[derive(Debug, Default)]
pub(super) struct BookTrouble {
    failing: BTreeSet<Part>,
    failure: Option<BookSummary>,
}

impl BookTrouble {
    /// The book failed `part`. What is to be told of it: the first time alone.
    pub(super) fn fails(&mut self, part: Part, now_local: TimestampMs, text: String) -> Option<Told> {
        self.failing.insert(part);
        let told = self.failure.is_none().then(|| (HappeningKind::BookFailed, text.clone()));
        let since_local = self.failure.as_ref().map_or(now_local, |failure| failure.since_local);
        self.failure = Some(BookSummary { since_local, reason: text });
        told
    }

    /// The book took what `part` had to write. What is to be told of it: that nobody else is left waiting.
    pub(super) fn works(&mut self, part: Part, now_local: TimestampMs) -> Option<Told> {
        self.failing.remove(&part);
        if !self.failing.is_empty() {
            return None;
        }
        let failure = self.failure.take()?;
        let lasted = now_local.as_ms().saturating_sub(failure.since_local.as_ms());
        Some((HappeningKind::BookWritten, format!("the book is written again, after {}", lasting(lasted))))
    }

    pub(super) fn summary(&self) -> Option<&BookSummary> {
        self.failure.as_ref()
    }
}

/// Whether somebody else keeps the book locked.
pub(super) fn is_locked(error: &StoreError) -> bool {
    error.class() == StoreErrorClass::Busy
}

/// How it is told.
pub(super) fn in_words(reason: &str) -> String {
    format!("the book cannot be written, which is tried again: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_that_fails_is_told_once_and_so_is_its_end() {
        use ledger_core::testing::at;

        let mut trouble = BookTrouble::default();
        assert_eq!(trouble.works(Part::Signs, at(1)), None);
        let told = trouble.fails(Part::Signs, at(1_000), in_words("locked"));
        let text = "the book cannot be written, which is tried again: locked".to_owned();
        assert_eq!(told, Some((HappeningKind::BookFailed, text)));
        assert_eq!(trouble.fails(Part::Events, at(2_000), in_words("locked")), None);
        assert_eq!(trouble.fails(Part::Signs, at(3_000), in_words("locked")), None);
        assert_eq!(trouble.summary().unwrap().since_local, at(1_000));
        assert_eq!(trouble.works(Part::Signs, at(4_000)), None, "events wait still");
        let (kind, text) = trouble.works(Part::Events, at(5_000)).unwrap();
        assert_eq!((kind, text.as_str()), (HappeningKind::BookWritten, "the book is written again, after 4 s"));
        assert_eq!(trouble.works(Part::Events, at(6_000)), None);
        assert!(trouble.fails(Part::Cycles, at(7_000), in_words("full")).is_some(), "that is another time");
    }
}
