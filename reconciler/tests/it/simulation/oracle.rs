//! What must hold at every moment of a story, by the exchange's own books: no fill is on record that the exchange does not have,
//! and no time counts as confirmed of which the exchange has more than the book.

use std::collections::{BTreeMap, BTreeSet};

use exchange_client::simulator::{AccountSnapshot, IncomeTruth, TradeTruth};
use ledger_core::{Fill, Side};
use ledger_store::{
    CoverageGrade, CoverageSpan, DiscrepancyFilter, FactReader, IncomeFilter, Journal, OrderFilter, PageRequest, Scope,
};

use crate::support::Fixture;

const ROWS_MAX: u32 = 5_000;

pub(super) async fn hold_against_exchange(fixture: &Fixture) {
    let truth = fixture.simulator.books().accounts.remove(0);
    let missing = missing_trades(&truth, &fixture.book_fills().await);
    let coverage = fixture.store.coverage(&fixture.account).await.unwrap();
    let confirmed: Vec<_> = coverage.into_iter().filter(|span| span.grade == CoverageGrade::Confirmed).collect();
    let claims = |stream: &str, symbol: &str, ms: i64| {
        confirmed.iter().find(|span| {
            let is_of = span.symbol.as_ref().is_none_or(|of| of.as_str() == symbol);
            span.stream == stream && is_of && span.since.as_ms() <= ms && ms < span.until.as_ms()
        })
    };
    for trade in &missing {
        let claim = claims("fills", &trade.symbol, trade.time_ms);
        assert_unclaimed(claim, &format!("trade {} of {} at {}", trade.id, trade.symbol, trade.time_ms));
    }
    // A row that the exchange tells of only when two answers have lacked it is believed not to be there, unless its trade is
    // missing as well: an order tells of that. A row of a trade on record is due, unless the book says that it is missing.
    let told = told_as_missing(fixture).await;
    for row in missing_income(fixture, &truth).await {
        let is_told = |trade: i64| told.iter().any(|told| told.starts_with(&format!("{}/{trade}/", row.symbol)));
        if row.trade_id.is_some_and(|trade| !is_told(trade)) {
            let claim = claims("income", &row.symbol, row.time_ms);
            assert_unclaimed(claim, &format!("{} of {} at {}", row.income_type, row.symbol, row.time_ms));
        }
    }
    let known = orders_on_record(fixture).await;
    for order in &truth.orders {
        if !known.contains(&(order.symbol.clone(), order.id.to_string())) {
            let claim = claims("orders", &order.symbol, order.created_ms);
            assert_unclaimed(claim, &format!("order {} of {} at {}", order.id, order.symbol, order.created_ms));
        }
    }
}

#[track_caller]
fn assert_unclaimed(claim: Option<&CoverageSpan>, what: &str) {
    assert!(claim.is_none(), "{what} is not on record, and its time counts as confirmed: {claim:?}");
}

/// The exchange's trades that the book does not have. Fails where it has another one.
fn missing_trades<'a>(truth: &'a AccountSnapshot, fills: &[Fill]) -> Vec<&'a TradeTruth> {
    let known = truth.trades.iter().map(|trade| ((trade.symbol.as_str(), trade.id, trade.buy), trade));
    let mut known: BTreeMap<_, _> = known.collect();
    for fill in fills {
        let key = (fill.key.symbol.as_str(), fill.sequence.unwrap(), fill.key.side == Side::Buy);
        let trade = known.remove(&key);
        assert!(trade.is_some(), "{fill:?} never happened, or is on record twice");
        let trade = trade.unwrap();
        assert_eq!((fill.qty.get(), fill.price.get()), (trade.qty, trade.price), "{fill:?}");
        assert_eq!(fill.time.at.as_ms(), trade.time_ms, "{fill:?}");
        assert!(fill.position_side.is_none_or(|side| side == trade.position_side), "{fill:?}");
    }
    known.into_values().collect()
}

/// The same of rows of the ledger, of which several may say the same.
async fn missing_income<'a>(fixture: &Fixture, truth: &'a AccountSnapshot) -> Vec<&'a IncomeTruth> {
    let mut known: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for row in &truth.income {
        let key = (row.income_type.clone(), row.asset.clone(), row.symbol.clone(), row.time_ms, row.amount);
        known.entry(key).or_default().push(row);
    }
    let filter = IncomeFilter { scope: Scope::account(fixture.account.clone()), income_type: None };
    let page = fixture.store.income(&filter, PageRequest::first(ROWS_MAX)).await.unwrap();
    for row in page.items.into_iter().map(|row| row.fact) {
        let symbol = row.key.symbol.as_ref().map_or_else(String::new, ToString::to_string);
        let key = (row.key.income_type.to_string(), row.key.asset.to_string(), symbol, row.time.at.as_ms(), row.amount);
        let same = known.get_mut(&key).and_then(Vec::pop);
        assert!(same.is_some(), "{row:?} never happened, or is on record twice");
    }
    known.into_values().flatten().collect()
}

/// What the book says that the ledger lacks, by contract and trade.
async fn told_as_missing(fixture: &Fixture) -> Vec<String> {
    let filter = DiscrepancyFilter::open(fixture.account.clone());
    let page = fixture.store.discrepancies(&filter, PageRequest::first(ROWS_MAX)).await.unwrap();
    page.items
        .into_iter()
        .filter(|known| known.entry.key.kind == "missing_income")
        .map(|known| known.entry.key.fingerprint)
        .collect()
}

async fn orders_on_record(fixture: &Fixture) -> BTreeSet<(String, String)> {
    let filter = OrderFilter::from(Scope::account(fixture.account.clone()));
    let page = fixture.store.orders(&filter, PageRequest::first(ROWS_MAX)).await.unwrap();
    let keys = page.items.into_iter().map(|order| order.order.fact.key);
    keys.map(|key| (key.symbol.to_string(), key.order_id.to_string())).collect()
}
