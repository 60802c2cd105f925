//! Mark prices: the newest in memory, and in the book where somebody will ask what something was worth: beside a fill, a payment
//! of funding or another movement of a wallet, and now and then. A cycle that records a balance records present prices itself.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_mark_is_recorded_beside_what_happened_and_else_now_and_then`.
//! 2. `an_old_mark_is_no_mark`.
//! 3. `a_wallet_that_moves_without_a_fill_has_the_marks_of_all_that_is_priced`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use exchange_client::{MarkEvent, MarkPrice, MarkStreams, Stated, StreamEvent};
use ledger_core::{AnyFact, Asset, PositionSnapshot, Source, Statement, Symbol, TimestampMs};
use ledger_store::SeenMark;
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

/// The newest marks, when the last of each was recorded, and which are worth it.
#[derive(Debug, Default)]
pub(super) struct Marks {
    newest: BTreeMap<Symbol, Stated<MarkPrice>>,
    recorded: BTreeMap<Symbol, TimestampMs>,
    /// What the account holds and what its ledger names, as contracts whose marks are worth keeping.
    pub(super) priced: BTreeSet<Symbol>,
    /// What each contract of the book is settled in.
    pub(super) settled_in: BTreeMap<Symbol, Asset>,
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
    fn near(&self, symbol: &Symbol, at: TimestampMs) -> Option<&Stated<MarkPrice>> {
        let newest = self.newest.get(symbol)?;
        let apart_ms = newest.entity.price.at.as_ms().saturating_sub(at.as_ms());
        (apart_ms.abs() <= NEAR_MS).then_some(newest)
    }

    /// The contracts whose marks belong beside an event, and when: that of a fill with the one that prices its fee, and all that
    /// is priced where a wallet moved without a fill.
    fn worth(&self, event: &StreamEvent) -> Option<(BTreeSet<Symbol>, TimestampMs)> {
        match event {
            StreamEvent::Order(update) => {
                let fill = update.fill.as_ref()?;
                let fee = fill.fee.as_ref().map(|fee| &fee.asset);
                let symbol = &fill.key.symbol;
                let by_fee = fee.into_iter().filter_map(|asset| self.priced_in(asset, symbol));
                Some((std::iter::once(symbol.clone()).chain(by_fee).collect(), fill.time.at))
            }
            // What fills move has their marks. All else, such as funding and transfers, is a balance that the next cycle records.
            StreamEvent::Account(update) if update.reason.as_str() != "ORDER" && !update.balances.is_empty() => {
                Some((self.priced.clone(), update.told_at))
            }
            _ => None,
        }
    }

    /// The contract that prices `asset` in what a contract is settled in, if that is another asset.
    fn priced_in(&self, asset: &Asset, contract: &Symbol) -> Option<Symbol> {
        let settled_in = self.settled_in.get(contract)?;
        (asset != settled_in).then(|| Symbol::new(format!("{asset}{settled_in}")).ok()).flatten()
    }

    /// The marks that are to be recorded beside an event.
    pub(super) fn beside_event(&mut self, event: &StreamEvent) -> Vec<Statement> {
        match self.worth(event) {
            Some((symbols, at)) => self.beside(&symbols, at),
            None => Vec::new(),
        }
    }

    /// The marks of which nothing was recorded for `stride_ms`, of those that are worth keeping.
    pub(super) fn sample(&mut self, now: TimestampMs, stride_ms: i64) -> Vec<Statement> {
        let due = self.due(self.priced.clone(), now, stride_ms);
        self.beside(&due, now)
    }

    /// The marks of what is held, as the stream told them last; none unless all of them are near `at`.
    pub(super) fn of_held(&self, positions: &[PositionSnapshot], at: TimestampMs) -> BTreeMap<Symbol, SeenMark> {
        let held = positions.iter().filter(|it| !it.qty.is_zero()).map(|it| &it.symbol);
        let marks = held.map(|symbol| {
            let mark = &self.near(symbol, at)?.entity;
            let seen = SeenMark { ts: mark.price.at, mark_price: mark.price.price, next_funding_ts: mark.next_funding };
            Some((symbol.clone(), seen))
        });
        marks.collect::<Option<_>>().unwrap_or_default()
    }

    /// The marks of these contracts near `at`, to be recorded: those that are not on record yet.
    fn beside(&mut self, symbols: &BTreeSet<Symbol>, at: TimestampMs) -> Vec<Statement> {
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
    fn due(&self, symbols: BTreeSet<Symbol>, at: TimestampMs, stride_ms: i64) -> BTreeSet<Symbol> {
        let is_due = |symbol: &Symbol| {
            self.recorded.get(symbol).is_none_or(|last| at.as_ms().saturating_sub(last.as_ms()) >= stride_ms)
        };
        symbols.into_iter().filter(is_due).collect()
    }
}

#[cfg(test)]
mod tests {
    use exchange_client::AccountUpdate;
    use ledger_core::testing::{asset, at, dec, price, symbol};
    use ledger_core::{BalanceSnapshot, Label, PriceKind, PriceSnapshot};

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
    fn a_wallet_that_moves_without_a_fill_has_the_marks_of_all_that_is_priced() {
        for (reason, expected) in [("DEPOSIT", 2), ("FUNDING_FEE", 2), ("ORDER", 0)] {
            let mut marks = Marks::default();
            marks.hear(vec![mark("BTCUSDT", 1_000), mark("BNBUSDT", 1_000), mark("SOLUSDT", 1_000)]);
            marks.priced = [symbol("BTCUSDT"), symbol("BNBUSDT")].into();
            let wallet = BalanceSnapshot { asset: asset("BNB"), at: at(1_500), wallet: dec("3") };
            let update = |balances| {
                StreamEvent::Account(AccountUpdate {
                    told_at: at(1_500),
                    reason: Label::new(reason).unwrap(),
                    balances,
                    balance_changes: Vec::new(),
                    positions: Vec::new(),
                    payload: "{}".into(),
                })
            };
            assert_eq!(marks.beside_event(&update(Vec::new())).len(), 0, "{reason}: nothing moved");
            assert_eq!(marks.beside_event(&update(vec![wallet])).len(), expected, "{reason}");
        }
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
