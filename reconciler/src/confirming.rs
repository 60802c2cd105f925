//! No single answer is believed to be whole: a list that is short once is short for ever, if nobody asks again. So what was
//! read once is read again by a later look, and counts as confirmed where both answers had the same rows. What was reopened
//! is read like what never was.
//!
//! Fills need no second reading of their own: the ledger and the orders name them, and what they name is asked for until it is
//! there.
//!
//! Invariants, each with a test of the same name:
//! 1. `what_this_cycle_read_confirms_nothing`.
//! 2. `nothing_is_confirmed_around_what_differs`.
//! 3. `what_was_reopened_is_read_like_what_never_was`.

use exchange_client::TimeWindow;
use ledger_core::demands::CoveredTime;
use ledger_core::{Symbol, TimestampMs};
use ledger_store::{BrokenProof, CoverageGrade, CoverageSpan, Stretch};

/// A list: which stream, and of which contract if it is not of the whole account.
pub(crate) type List<'a> = (&'a str, Option<&'a Symbol>);

type Spans = Vec<(TimestampMs, TimestampMs)>;

/// What was read before this cycle.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReadBefore {
    coverage: Vec<CoverageSpan>,
    reopened: Vec<Stretch>,
    /// The confirmed stretches of which the book lacked rows when the cycle began.
    pub(crate) lost: Vec<BrokenProof>,
    /// Those in which it had more, and nobody is to be asked: what it has is what is known of them.
    pub(crate) grown: Vec<Stretch>,
}

impl ReadBefore {
    /// What is on record when a cycle begins.
    pub(crate) fn new(mut coverage: Vec<CoverageSpan>, reopened: Vec<Stretch>, lost: Vec<BrokenProof>) -> Self {
        coverage.sort_by_key(|span| span.since);
        Self { coverage, reopened, lost, grown: Vec::new() }
    }

    /// What of a stream was covered, in any grade.
    pub(crate) fn time(&self, stream: &str) -> CoveredTime {
        let spans = self.coverage.iter().filter(|span| span.stream == stream && span.symbol.is_none());
        CoveredTime::new(spans.map(|span| (span.since, span.until)))
    }

    fn spans(&self, (stream, symbol): List<'_>, grade: CoverageGrade) -> Spans {
        let is_of =
            |span: &&CoverageSpan| span.stream == stream && span.symbol.as_ref() == symbol && span.grade == grade;
        self.coverage.iter().filter(is_of).map(|span| (span.since, span.until)).collect()
    }

    /// From when to when a list is confirmed, whatever lies between.
    pub(crate) fn confirmed_reach(&self, list: List<'_>) -> Option<(TimestampMs, TimestampMs)> {
        let spans = self.spans(list, CoverageGrade::Confirmed);
        let end = spans.iter().map(|(_, until)| *until).max();
        spans.first().map(|(since, _)| *since).zip(end)
    }

    /// The stretches of a list that are to be read again from the beginning.
    pub(crate) fn reopened(&self, (stream, symbol): List<'_>) -> impl Iterator<Item = &Stretch> {
        self.reopened.iter().filter(move |stretch| stretch.stream == stream && stretch.symbol.as_ref() == symbol)
    }

    /// The contracts of which something of a stream is to be read again, with up to when.
    pub(crate) fn reopened_contracts(&self, stream: &str) -> impl Iterator<Item = (&Symbol, TimestampMs)> {
        let of_stream = self.reopened.iter().filter(move |stretch| stretch.stream == stream);
        of_stream.filter_map(|stretch| Some((stretch.symbol.as_ref()?, stretch.until)))
    }

    /// The first stretch at or after `oldest` that was read once only or is to be read again.
    pub(crate) fn unconfirmed(&self, list: List<'_>, oldest: TimestampMs) -> Option<(TimestampMs, TimestampMs)> {
        self.first_unconfirmed(list, oldest, self.spans(list, CoverageGrade::Asked))
    }

    /// The same of a list that is read up to its cursor: what lies behind that is to be read, whoever moved it.
    pub(crate) fn unconfirmed_behind(
        &self,
        list: List<'_>,
        oldest: TimestampMs,
        reached: Option<TimestampMs>,
    ) -> Option<(TimestampMs, TimestampMs)> {
        let asked = self.spans(list, CoverageGrade::Asked);
        let last = asked.iter().map(|(_, until)| *until).chain(reached).max();
        let all = asked.first().zip(last).map(|((since, _), last)| (*since, last));
        self.first_unconfirmed(list, oldest, all.into_iter().collect())
    }

    fn first_unconfirmed(
        &self,
        list: List<'_>,
        oldest: TimestampMs,
        mut unconfirmed: Spans,
    ) -> Option<(TimestampMs, TimestampMs)> {
        for confirmed in self.spans(list, CoverageGrade::Confirmed) {
            unconfirmed = without(&unconfirmed, confirmed);
        }
        unconfirmed.extend(self.reopened(list).map(|stretch| (stretch.since, stretch.until)));
        unconfirmed.sort_unstable();
        let mut ahead = unconfirmed.into_iter().map(|(since, until)| (since.max(oldest), until));
        let first = ahead.find(|(since, until)| since < until)?;
        Some(
            ahead.fold(first, |(since, end), next| if next.0 <= end { (since, end.max(next.1)) } else { (since, end) }),
        )
    }

    /// Where that begins.
    pub(crate) fn unconfirmed_since(&self, list: List<'_>, oldest: TimestampMs) -> Option<TimestampMs> {
        self.unconfirmed(list, oldest).map(|(since, _)| since)
    }

    /// The end of what is confirmed from `since` on.
    fn confirmed_up_to(&self, list: List<'_>, since: TimestampMs) -> TimestampMs {
        let confirmed = self.spans(list, CoverageGrade::Confirmed).into_iter();
        confirmed.fold(since, |end, (since, until)| if since <= end { end.max(until) } else { end })
    }

    /// The parts of a window that were read before, each from its first instant to its last.
    pub(crate) fn parts(&self, list: List<'_>, window: TimeWindow) -> Spans {
        let last = |until: TimestampMs| until.saturating_add_ms(-1).min(window.until());
        let asked = self.spans(list, CoverageGrade::Asked).into_iter();
        let parts = asked.map(|(since, until)| (since.max(window.since()), last(until)));
        parts.filter(|(since, until)| since <= until).collect()
    }

    /// What an answer about a window confirms, where it and the book differ at `differing` instants: nothing from the
    /// first of them to the last.
    pub(crate) fn confirmed(
        &self,
        (stream, symbol): List<'_>,
        window: TimeWindow,
        differing: &[TimestampMs],
    ) -> Vec<CoverageSpan> {
        let differing = differing.iter().copied().filter(|at| window.contains(*at));
        let (first, last) = (differing.clone().min(), differing.max());
        let mut confirmed = Vec::new();
        for (since, until) in self.parts((stream, symbol), window) {
            let end = until.saturating_add_ms(1);
            let parts = match first.zip(last) {
                None => [(since, end), (end, end)],
                Some((first, last)) => [(since, first.min(end)), (last.saturating_add_ms(1).max(since), end)],
            };
            confirmed.extend(parts.into_iter().filter(|(since, until)| since < until).map(|(since, until)| {
                let grade = CoverageGrade::Confirmed;
                CoverageSpan { stream: stream.to_owned(), symbol: symbol.cloned(), grade, since, until }
            }));
        }
        confirmed
    }

    /// For how long that confirms more than was confirmed, in ms.
    pub(crate) fn gain_ms(&self, confirmed: &[CoverageSpan]) -> i64 {
        let gains = confirmed.iter().map(|span| {
            let list = (span.stream.as_str(), span.symbol.as_ref());
            let known = self.confirmed_up_to(list, span.since).min(span.until);
            span.until.as_ms().saturating_sub(known.as_ms())
        });
        gains.sum()
    }
}

/// What is left of stretches without another one.
fn without(spans: &[(TimestampMs, TimestampMs)], (since, until): (TimestampMs, TimestampMs)) -> Spans {
    let parts = spans.iter().flat_map(|(begin, end)| [(*begin, since.min(*end)), (until.max(*begin), *end)]);
    parts.filter(|(since, until)| since < until).collect()
}

#[cfg(test)]
mod tests {
    use ledger_core::testing::at;

    use super::*;

    const INCOME: List<'_> = ("income", None);

    fn span(stream: &str, grade: CoverageGrade, since: i64, until: i64) -> CoverageSpan {
        CoverageSpan { stream: stream.to_owned(), symbol: None, grade, since: at(since), until: at(until) }
    }

    fn before(coverage: Vec<CoverageSpan>) -> ReadBefore {
        ReadBefore::new(coverage, Vec::new(), Vec::new())
    }

    fn window(since: i64, until: i64) -> TimeWindow {
        TimeWindow::up_to(at(until), at(since))
    }

    #[test]
    fn what_this_cycle_read_confirms_nothing() {
        let nothing = ReadBefore::default();
        assert!(nothing.confirmed(INCOME, window(0, 100), &[]).is_empty());
        assert_eq!(nothing.unconfirmed_since(INCOME, at(0)), None);
        let before = before(vec![
            span("income", CoverageGrade::Asked, 10, 50),
            span("income", CoverageGrade::Confirmed, 10, 20),
            span("orders", CoverageGrade::Asked, 0, 90),
            span("income", CoverageGrade::Inferred, 50, 90),
        ]);
        assert_eq!(before.unconfirmed_since(INCOME, at(0)), Some(at(20)));
        assert_eq!(before.unconfirmed_since(INCOME, at(30)), Some(at(30)), "the exchange has forgotten the rest");
        assert_eq!(before.unconfirmed_since(INCOME, at(50)), None);
        let confirmed = before.confirmed(INCOME, window(15, 100), &[]);
        assert_eq!(confirmed, [span("income", CoverageGrade::Confirmed, 15, 50)]);
        assert_eq!(before.gain_ms(&confirmed), 30);
    }

    #[test]
    fn nothing_is_confirmed_around_what_differs() {
        let before =
            before(vec![span("income", CoverageGrade::Asked, 0, 40), span("income", CoverageGrade::Asked, 60, 100)]);
        let confirmed = |differing: &[i64]| {
            let differing: Vec<_> = differing.iter().map(|ms| at(*ms)).collect();
            let confirmed = before.confirmed(INCOME, window(0, 100), &differing);
            confirmed.iter().map(|span| (span.since, span.until)).collect::<Vec<_>>()
        };
        assert_eq!(confirmed(&[10, 30, 20]), [(at(0), at(10)), (at(31), at(40)), (at(60), at(100))]);
        assert_eq!(confirmed(&[0, 99]), []);
        assert_eq!(confirmed(&[50]), [(at(0), at(40)), (at(60), at(100))]);
        assert_eq!(confirmed(&[30, 70]), [(at(0), at(30)), (at(71), at(100))]);
    }

    #[test]
    fn what_was_reopened_is_read_like_what_never_was() {
        let confirmed = |since, until| {
            [CoverageGrade::Asked, CoverageGrade::Confirmed].map(|grade| span("income", grade, since, until))
        };
        let coverage: Vec<_> = confirmed(0, 20).into_iter().chain(confirmed(30, 90)).collect();
        let reopened = vec![span("income", CoverageGrade::Asked, 20, 30).into()];
        let before = ReadBefore::new(coverage.clone(), reopened.clone(), Vec::new());
        assert_eq!(before.unconfirmed(INCOME, at(0)), Some((at(20), at(30))));
        assert_eq!(before.unconfirmed(INCOME, at(25)), Some((at(25), at(30))));
        assert_eq!(before.unconfirmed(INCOME, at(30)), None);
        assert_eq!(before.unconfirmed(("orders", None), at(0)), None);
        // One answer about it confirms nothing of it.
        let spans: Vec<_> =
            before.confirmed(INCOME, window(0, 90), &[]).iter().map(|it| (it.since, it.until)).collect();
        assert_eq!(spans, [(at(0), at(20)), (at(30), at(90))]);
        // With what was read once next to it, it is one stretch.
        let asked = [span("income", CoverageGrade::Asked, 90, 99), span("income", CoverageGrade::Asked, 120, 130)];
        let coverage = coverage.into_iter().filter(|span| span.since != at(30)).chain(asked).collect();
        let reopened = vec![span("income", CoverageGrade::Asked, 30, 90).into()];
        let before = ReadBefore::new(coverage, reopened, Vec::new());
        assert_eq!(before.unconfirmed(INCOME, at(0)), Some((at(30), at(99))));
        // What a cursor has passed was to be read, too.
        assert_eq!(before.unconfirmed_behind(INCOME, at(0), Some(at(140))), Some((at(20), at(140))));
        assert_eq!(ReadBefore::default().unconfirmed_behind(INCOME, at(0), Some(at(140))), None);
    }
}
