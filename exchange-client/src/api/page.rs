//! Queries that are answered in pages. The answer to each page is the query for the next.

use ledger_core::{FillId, OrderId, TimestampMs};
use thiserror::Error;

use super::{Stated, UnreadableRow};

/// A span of time, both ends inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeWindow {
    since: TimestampMs,
    until: TimestampMs,
}

/// A window that ends before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a window from {since} to {until} ms ends before it begins")]
pub struct WindowError {
    /// The beginning.
    pub since: TimestampMs,
    /// The end.
    pub until: TimestampMs,
}

impl TimeWindow {
    /// From `since` to `until`, both included.
    ///
    /// # Errors
    /// [`WindowError`] when `until` lies before `since`.
    pub fn new(since: TimestampMs, until: TimestampMs) -> Result<Self, WindowError> {
        if until < since { Err(WindowError { since, until }) } else { Ok(Self { since, until }) }
    }

    /// From `since` to `until`, or just the instant `until` when `since` is later.
    #[must_use]
    pub fn up_to(until: TimestampMs, since: TimestampMs) -> Self {
        Self { since: since.min(until), until }
    }

    /// The first instant.
    pub fn since(self) -> TimestampMs {
        self.since
    }

    /// The last instant.
    pub fn until(self) -> TimestampMs {
        self.until
    }

    /// The number of milliseconds, at least 1.
    pub fn length_ms(self) -> i64 {
        self.until.as_ms() - self.since.as_ms() + 1
    }

    /// The first `length_ms` of this window, or all of it when it is shorter.
    #[must_use]
    pub fn head(self, length_ms: i64) -> Self {
        let until = self.since.saturating_add_ms(length_ms.max(1) - 1).min(self.until);
        Self { since: self.since, until }
    }

    /// What is left behind `head`, or `None` when nothing is.
    pub fn after(self, head: Self) -> Option<Self> {
        Self::new(head.until.saturating_add_ms(1), self.until).ok().filter(|rest| rest.since > head.until)
    }

    /// Whether `at` lies inside.
    pub fn contains(self, at: TimestampMs) -> bool {
        (self.since..=self.until).contains(&at)
    }
}

/// Everything in a window, asked step by step. Steps shrink where the window holds more than a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowQuery {
    /// What is still to be asked.
    pub window: TimeWindow,
    /// How much of it to ask for at once, in ms; the venue's own limit caps it.
    pub step_ms: i64,
}

impl WindowQuery {
    /// All of `window`, in steps as large as the venue allows.
    pub fn new(window: TimeWindow) -> Self {
        Self { window, step_ms: i64::MAX }
    }
}

/// Which fills of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TradeQuery {
    /// All of a window.
    Window(TimeWindow),
    /// This trade id and all later ones. The id need not exist, so an answer that the exchange silently cut to recent
    /// days cannot be told from a complete one: ask [`After`](Self::After) a trade that is known where there is one.
    FromId(FillId),
    /// A trade that is known to exist, and all later ones. An answer without that trade was cut, and is an error.
    After(FillId),
    /// Those of one order. Exchanges may look at recent days only when asked like this: an answer that does not add up to
    /// what the order has executed is not complete, and the rest is found by [`Window`](Self::Window).
    Order(OrderId),
    /// In the middle of a window: go on after a trade to the end of the step, then with the rest of the window.
    /// Only ever seen as [`Page::next`].
    Resume {
        /// The last trade that was answered.
        after: FillId,
        /// The step that overflowed.
        step: TimeWindow,
        /// The whole window's end.
        until: TimestampMs,
    },
}

/// A page of an answer.
#[derive(Debug)]
pub struct Page<T, Q> {
    /// The rows, oldest first, each once. May contain rows outside the window asked for, or of the page before; they are
    /// true all the same.
    pub rows: Vec<Stated<T>>,
    /// The server's time when the request was sent.
    pub asked_at: TimestampMs,
    /// Rows that could not be read, of lists that are about several contracts: of those that they are about the page is not
    /// complete.
    pub unreadable: Vec<UnreadableRow>,
    /// How to go on; `None` when the question is answered in full.
    pub next: Option<Q>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> TimestampMs {
        TimestampMs::new(1_780_000_000_000 + ms).unwrap()
    }

    #[test]
    fn heads_and_rests_tile_a_window() {
        let window = TimeWindow::new(at(0), at(9)).unwrap();
        assert_eq!(window.length_ms(), 10);
        let head = window.head(4);
        assert_eq!((head.since(), head.until()), (at(0), at(3)));
        let rest = window.after(head).unwrap();
        assert_eq!((rest.since(), rest.until()), (at(4), at(9)));
        assert_eq!(rest.head(i64::MAX), rest);
        assert_eq!(window.after(window), None);
        assert_eq!(window.head(0).length_ms(), 1);
        assert!(TimeWindow::new(at(1), at(0)).is_err());
        assert_eq!(TimeWindow::up_to(at(0), at(1)).length_ms(), 1);
        let edge = TimeWindow::new(TimestampMs::MAX, TimestampMs::MAX).unwrap();
        assert_eq!(edge.after(edge), None);
    }
}
