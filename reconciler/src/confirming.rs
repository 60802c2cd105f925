//! No single answer is believed to be whole: a list that is short once is short for ever, if nobody asks again. So what was
//! read once is read again by a later look, and counts as confirmed where both answers had the same rows.
//!
//! Only the account-wide lists are confirmed, the ledger and the orders: they name the trades, and what they name is
//! asked for until it is there.
//!
//! Invariants, each with a test of the same name:
//! 1. `what_this_cycle_read_confirms_nothing`.
//! 2. `nothing_is_confirmed_around_what_differs`.

use exchange_client::TimeWindow;
use ledger_core::TimestampMs;
use ledger_core::demands::CoveredTime;
use ledger_store::{CoverageGrade, CoverageSpan};

/// What was read of the account-wide lists before this cycle.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReadBefore(Vec<CoverageSpan>);

impl ReadBefore {
    /// What is on record when a cycle begins.
    pub(crate) fn new(mut coverage: Vec<CoverageSpan>) -> Self {
        coverage.retain(|span| span.symbol.is_none());
        coverage.sort_by_key(|span| span.since);
        Self(coverage)
    }

    /// What of a stream was covered, in any grade.
    pub(crate) fn time(&self, stream: &str) -> CoveredTime {
        let spans = self.0.iter().filter(|span| span.stream == stream);
        CoveredTime::new(spans.map(|span| (span.since, span.until)))
    }

    fn spans(&self, stream: &str, grade: CoverageGrade) -> impl Iterator<Item = &CoverageSpan> {
        self.0.iter().filter(move |span| span.stream == stream && span.grade == grade)
    }

    /// The first instant at or after `oldest` that was read once only.
    pub(crate) fn unconfirmed_since(&self, stream: &str, oldest: TimestampMs) -> Option<TimestampMs> {
        self.spans(stream, CoverageGrade::Asked).find_map(|asked| {
            let first = asked.since.max(oldest);
            let first = self.confirmed_up_to(stream, first);
            (first < asked.until).then_some(first)
        })
    }

    /// The end of what is confirmed from `since` on.
    fn confirmed_up_to(&self, stream: &str, since: TimestampMs) -> TimestampMs {
        let confirmed = self.spans(stream, CoverageGrade::Confirmed);
        confirmed.fold(since, |end, span| if span.since <= end { end.max(span.until) } else { end })
    }

    /// The parts of a window that were read before, each from its first instant to its last.
    pub(crate) fn parts(&self, stream: &str, window: TimeWindow) -> Vec<(TimestampMs, TimestampMs)> {
        let last = |span: &CoverageSpan| span.until.saturating_add_ms(-1).min(window.until());
        let asked = self.spans(stream, CoverageGrade::Asked);
        let parts = asked.map(|span| (span.since.max(window.since()), last(span)));
        parts.filter(|(since, until)| since <= until).collect()
    }

    /// What an answer about a window confirms, where it and the book differ at `differing` instants: nothing from the
    /// first of them to the last.
    pub(crate) fn confirmed(&self, stream: &str, window: TimeWindow, differing: &[TimestampMs]) -> Vec<CoverageSpan> {
        let differing = differing.iter().copied().filter(|at| window.contains(*at));
        let (first, last) = (differing.clone().min(), differing.max());
        let mut confirmed = Vec::new();
        for (since, until) in self.parts(stream, window) {
            let end = until.saturating_add_ms(1);
            let parts = match first.zip(last) {
                None => [(since, end), (end, end)],
                Some((first, last)) => [(since, first.min(end)), (last.saturating_add_ms(1).max(since), end)],
            };
            confirmed.extend(parts.into_iter().filter(|(since, until)| since < until).map(|(since, until)| {
                let grade = CoverageGrade::Confirmed;
                CoverageSpan { stream: stream.to_owned(), symbol: None, grade, since, until }
            }));
        }
        confirmed
    }

    /// For how long that confirms more than was confirmed, in ms.
    pub(crate) fn gain_ms(&self, confirmed: &[CoverageSpan]) -> i64 {
        let gains = confirmed.iter().map(|span| {
            let known = self.confirmed_up_to(&span.stream, span.since).min(span.until);
            span.until.as_ms().saturating_sub(known.as_ms())
        });
        gains.sum()
    }
}

#[cfg(test)]
mod tests {
    use ledger_core::testing::at;

    use super::*;

    fn span(stream: &str, grade: CoverageGrade, since: i64, until: i64) -> CoverageSpan {
        CoverageSpan { stream: stream.to_owned(), symbol: None, grade, since: at(since), until: at(until) }
    }

    fn window(since: i64, until: i64) -> TimeWindow {
        TimeWindow::up_to(at(until), at(since))
    }

    #[test]
    fn what_this_cycle_read_confirms_nothing() {
        let nothing = ReadBefore::default();
        assert!(nothing.confirmed("income", window(0, 100), &[]).is_empty());
        assert_eq!(nothing.unconfirmed_since("income", at(0)), None);
        let before = ReadBefore::new(vec![
            span("income", CoverageGrade::Asked, 10, 50),
            span("income", CoverageGrade::Confirmed, 10, 20),
            span("orders", CoverageGrade::Asked, 0, 90),
            span("income", CoverageGrade::Inferred, 50, 90),
        ]);
        assert_eq!(before.unconfirmed_since("income", at(0)), Some(at(20)));
        assert_eq!(before.unconfirmed_since("income", at(30)), Some(at(30)), "the exchange has forgotten the rest");
        assert_eq!(before.unconfirmed_since("income", at(50)), None);
        let confirmed = before.confirmed("income", window(15, 100), &[]);
        assert_eq!(confirmed, [span("income", CoverageGrade::Confirmed, 15, 50)]);
        assert_eq!(before.gain_ms(&confirmed), 30);
    }

    #[test]
    fn nothing_is_confirmed_around_what_differs() {
        let before = ReadBefore::new(vec![
            span("income", CoverageGrade::Asked, 0, 40),
            span("income", CoverageGrade::Asked, 60, 100),
        ]);
        let confirmed = |differing: &[i64]| {
            let differing: Vec<_> = differing.iter().map(|ms| at(*ms)).collect();
            let confirmed = before.confirmed("income", window(0, 100), &differing);
            confirmed.iter().map(|span| (span.since, span.until)).collect::<Vec<_>>()
        };
        assert_eq!(confirmed(&[10, 30, 20]), [(at(0), at(10)), (at(31), at(40)), (at(60), at(100))]);
        assert_eq!(confirmed(&[0, 99]), []);
        assert_eq!(confirmed(&[50]), [(at(0), at(40)), (at(60), at(100))]);
        assert_eq!(confirmed(&[30, 70]), [(at(0), at(30)), (at(71), at(100))]);
    }
}
