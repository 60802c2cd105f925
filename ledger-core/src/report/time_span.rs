//! Hours, days, weeks and months of a reader's time zone.

use std::sync::Arc;

use crate::time::TimestampMs;

/// A stretch of time that a report has a row for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeSpan {
    /// Its first instant.
    pub since: TimestampMs,
    /// The first instant after it.
    pub until: TimestampMs,
    /// Its name in the reader's time zone, for example `2026-03`.
    pub name: String,
}

/// The span that an instant is in. It knows the reader's time zone, which core does not.
pub type SpanOf = Arc<dyn Fn(TimestampMs) -> TimeSpan + Send + Sync>;

/// Spans that were asked for, so that neighbours in time need not be worked out again.
pub(super) struct Spans {
    span_of: SpanOf,
    last: Option<TimeSpan>,
}

impl Spans {
    pub(super) fn new(span_of: SpanOf) -> Self {
        Self { span_of, last: None }
    }

    /// The span of an instant.
    pub(super) fn of(&mut self, at: TimestampMs) -> &TimeSpan {
        let is_in = |span: &TimeSpan| span.since <= at && at < span.until;
        match self.last.take() {
            Some(span) if is_in(&span) => self.last.insert(span),
            _ => self.last.insert((self.span_of)(at)),
        }
    }
}

impl std::fmt::Debug for Spans {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spans").field("last", &self.last).finish_non_exhaustive()
    }
}
