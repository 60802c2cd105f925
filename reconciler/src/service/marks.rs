//! Mark prices: the newest in memory, and in the book where somebody will ask what something was worth: beside a fill or a payment
//! of funding, and now and then.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_mark_is_recorded_beside_what_happened_and_else_now_and_then`.
//! 2. `an_old_mark_is_no_mark`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use exchange_client::{MarkEvent, MarkPrice, MarkStreams, Stated};
use ledger_core::{AnyFact, Source, Statement, Symbol, TimestampMs};
use tokio::sync::mpsc;

/// How far a mark may be from what it is recorded beside, in ms: a stream tells one a second.
const NEAR_MS: i64 = 5_000;
/// How many messages wait. Of those that wait longer the newest prices are what counts.
const QUEUE_MAX: usize = 16;

/// A stream of marks that is being heard.
pub(super) struct Hearing {
    heard: mpsc::Receiver<Vec<Stated<MarkPrice>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Hearing {
    pub(super) fn begin(streams: Arc<dyn MarkStreams>) -> Self {
        let (tell, heard) = mpsc::channel(QUEUE_MAX);
        let task = tokio::spawn(async move {
            let mut stream = streams.mark_stream();
            loop {
                let rows = match stream.next().await {
                    MarkEvent::Marks(rows) => rows,
                    MarkEvent::Interrupted(cause) => {
                        tracing::info!(%cause, "the stream of mark prices is interrupted");
                        continue;
                    }
                    MarkEvent::Unreadable(error) => {
                        tracing::warn!(%error, "mark prices could not be read");
                        continue;
                    }
                    _ => continue,
                };
                if tell.send(rows).await.is_err() {
                    return;
                }
            }
        });
        Self { heard, task }
    }

    /// Waits for prices. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Vec<Stated<MarkPrice>> {
        match self.heard.recv().await {
            Some(rows) => rows,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The newest marks, and when the last of each was recorded.
#[derive(Debug, Default)]
pub(super) struct Marks {
    newest: BTreeMap<Symbol, Stated<MarkPrice>>,
    recorded: BTreeMap<Symbol, TimestampMs>,
}

impl Marks {
    /// Takes what a stream tells.
    pub(super) fn hear(&mut self, rows: Vec<Stated<MarkPrice>>) {
        for row in rows {
            let known = self.newest.get(&row.entity.price.symbol);
            if known.is_none_or(|known| known.entity.price.at <= row.entity.price.at) {
                self.newest.insert(row.entity.price.symbol.clone(), row);
            }
        }
    }

    /// The newest mark of a contract, if it is near `at`.
    pub(super) fn near(&self, symbol: &Symbol, at: TimestampMs) -> Option<&Stated<MarkPrice>> {
        let newest = self.newest.get(symbol)?;
        let apart_ms = newest.entity.price.at.as_ms().saturating_sub(at.as_ms());
        (apart_ms.abs() <= NEAR_MS).then_some(newest)
    }

    /// The marks of these contracts near `at`, to be recorded: those that are not on record yet.
    pub(super) fn beside(&mut self, symbols: &BTreeSet<Symbol>, at: TimestampMs) -> Vec<Statement> {
        let marks: Vec<_> = symbols.iter().filter_map(|symbol| self.near(symbol, at).cloned()).collect();
        let recorded = &mut self.recorded;
        let new = marks.into_iter().filter(|mark| {
            let price = &mark.entity.price;
            recorded.insert(price.symbol.clone(), price.at) != Some(price.at)
        });
        new.map(|mark| Statement {
            fact: AnyFact::Price(mark.entity.price),
            source: Source::Stream,
            payload: Some(mark.payload),
        })
        .collect()
    }

    /// Those of these contracts of which nothing was recorded for `stride_ms`.
    pub(super) fn due(&self, symbols: BTreeSet<Symbol>, at: TimestampMs, stride_ms: i64) -> BTreeSet<Symbol> {
        let is_due = |symbol: &Symbol| {
            self.recorded.get(symbol).is_none_or(|last| at.as_ms().saturating_sub(last.as_ms()) >= stride_ms)
        };
        symbols.into_iter().filter(is_due).collect()
    }
}

#[cfg(test)]
mod tests {
    use ledger_core::testing::{at, price, symbol};
    use ledger_core::{PriceKind, PriceSnapshot};

    use super::*;

    fn mark(name: &str, ms: i64) -> Stated<MarkPrice> {
        let price = PriceSnapshot { symbol: symbol(name), kind: PriceKind::Mark, at: at(ms), price: price("100") };
        Stated { entity: MarkPrice { price, next_funding: None }, payload: format!("{name} {ms}").into() }
    }

    fn names(statements: &[Statement]) -> Vec<String> {
        statements.iter().map(|statement| statement.payload.as_deref().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_mark_is_recorded_beside_what_happened_and_else_now_and_then() {
        let mut marks = Marks::default();
        marks.hear(vec![mark("BTCUSDT", 1_000), mark("ETHUSDT", 1_000), mark("SOLUSDT", 1_000)]);
        marks.hear(vec![mark("BTCUSDT", 2_000)]);
        let both: BTreeSet<_> = [symbol("BTCUSDT"), symbol("ETHUSDT")].into();
        assert_eq!(names(&marks.beside(&both, at(2_100))), ["BTCUSDT 2000", "ETHUSDT 1000"]);
        assert_eq!(names(&marks.beside(&both, at(2_200))), Vec::<String>::new(), "they are on record");
        marks.hear(vec![mark("BTCUSDT", 3_000), mark("ETHUSDT", 500)]);
        assert_eq!(names(&marks.beside(&both, at(3_000))), ["BTCUSDT 3000"], "an older one is no news");
        let due = |at_ms| marks.due(both.clone(), at(at_ms), 900_000);
        assert_eq!(due(900_000), BTreeSet::new());
        assert_eq!(due(902_000), [symbol("ETHUSDT")].into());
        assert_eq!(due(904_000), both);
    }

    #[test]
    fn an_old_mark_is_no_mark() {
        let mut marks = Marks::default();
        marks.hear(vec![mark("BTCUSDT", 10_000)]);
        for (ms, is_near) in [(4_999, false), (5_000, true), (15_000, true), (15_001, false)] {
            assert_eq!(marks.near(&symbol("BTCUSDT"), at(ms)).is_some(), is_near, "{ms}");
        }
    }
}
