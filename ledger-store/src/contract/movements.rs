//! Cases about the names of round trips and the single amounts behind them.

use std::collections::BTreeMap;

use ledger_core::{
    Certainty, Decimal, Fill, Movement, MovementKind, PositionSide, RoundTrip, Side, TimestampMs, TripKey,
};

use super::Open;
use super::fixtures::{
    at, commit, dec, fill, fills, flat, funding, main_account, prepare, rest, symbol, trips_of, usdt,
};
use crate::page::PageRequest;
use crate::pages::Pages;
use crate::store::Store;

/// The amounts of a contract from an instant on, by pages.
async fn pages(store: &dyn Store, since: Option<TimestampMs>) -> Vec<Vec<Movement>> {
    let (account, symbol) = (main_account(), symbol("ETHUSDT"));
    let mut list = Pages::of(PageRequest::first(1), |page| store.movements(&account, &symbol, since, page.after));
    let mut pages = Vec::new();
    while let Some(page) = list.next().await.unwrap() {
        pages.push(page.items);
    }
    pages
}

/// Buying and selling again, `count` times from trade `first` on, with a fee and some profit.
fn round_trips(first: i64, count: i64) -> Vec<Fill> {
    let pair = |id: i64| {
        let opening = fill("ETHUSDT", id, Side::Buy, "2", "100").with_fee(usdt("0.02"));
        let closing = fill("ETHUSDT", id + 1, Side::Sell, "2", "101").with_fee(usdt("0.03"));
        [opening.realizing(dec("0")), closing.realizing(dec("2"))]
    };
    (0..count).flat_map(|number| pair(first + 2 * number)).collect()
}

/// An older fact, and a close in the other position of a hedge, change no name; their numbers move.
pub async fn round_trips_keep_their_names(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    let of = |position_side, fill: Fill| Fill { position_side: Some(position_side), ..fill };
    let (long, short) = (PositionSide::Long, PositionSide::Short);
    let late = round_trips(100, 5).into_iter().map(|fill| of(long, fill));
    commit(store, fills(late)).await;
    let named = |trips: &[RoundTrip]| -> BTreeMap<TripKey, u64> {
        trips.iter().map(|trip| (trip.key(), trip.number)).collect()
    };
    let before = named(&trips_of(store).await);
    assert_eq!(before.len(), 5);
    assert_eq!(before.get(&"ETHUSDT|LONG|BUY-104".parse().unwrap()), Some(&3));
    commit(store, fills(round_trips(10, 2).into_iter().map(|fill| of(long, fill)))).await;
    let other = [fill("ETHUSDT", 50, Side::Sell, "1", "100"), fill("ETHUSDT", 51, Side::Buy, "1", "99")];
    commit(store, fills(other.map(|fill| of(short, fill)))).await;
    let after = named(&trips_of(store).await);
    assert_eq!(after.len(), 8);
    assert!(before.iter().all(|(key, number)| after.get(key) == Some(&(number + 3))), "{before:?} {after:?}");
}

/// Every page ends at a checkpoint, all of them together are one fold, and an open round trip is among them.
pub async fn single_amounts_add_up_to_the_totals(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    commit(store, vec![flat("ETHUSDT", 0)]).await;
    let mut all = round_trips(1_000, 20);
    all.push(fill("ETHUSDT", 1_500, Side::Buy, "2", "100").with_fee(usdt("0.02")));
    all.push(fill("ETHUSDT", 1_501, Side::Sell, "1", "103").with_fee(usdt("0.01")));
    commit(store, fills(all)).await;
    let paid = [("a", "-0.5", 1_500_000), ("b", "-7", 500)];
    let rows =
        paid.map(|(id, amount, second)| rest(ledger_core::AnyFact::Income(funding("ETHUSDT", id, amount, second))));
    commit(store, rows.to_vec()).await;

    let found = pages(store, None).await;
    assert!(found.len() > 3, "{} pages", found.len());
    let found: Vec<Movement> = found.into_iter().flatten().collect();
    let sum = |key: Option<TripKey>, kind| {
        let own = found.iter().filter(|movement| movement.trip == key && movement.kind == kind);
        own.fold(Decimal::ZERO, |sum, movement| sum.checked_add(movement.amount.unwrap()).unwrap())
    };
    let trips = trips_of(store).await;
    assert_eq!(trips.len(), 20);
    for trip in &trips {
        assert_eq!(sum(Some(trip.key()), MovementKind::Realized), dec("2"));
        assert_eq!(sum(Some(trip.key()), MovementKind::Fee), dec("-0.05"));
    }
    let open_key: TripKey = "ETHUSDT|NET|BUY-1500".parse().unwrap();
    assert_eq!(sum(Some(open_key.clone()), MovementKind::Realized), dec("3"));
    assert_eq!(sum(Some(open_key.clone()), MovementKind::Fee), dec("-0.03"));
    assert_eq!(sum(Some(open_key), MovementKind::Funding), dec("-0.5"));
    assert_eq!(sum(None, MovementKind::Funding), dec("-7"));
    let closing = found.iter().find(|movement| movement.kind == MovementKind::Realized).unwrap();
    assert_eq!((closing.at, closing.certainty), (at(1_001_000), Certainty::Known));
    assert_eq!(closing.exchange_realized_pnl, Some(dec("2")));
    // Two closed, whose entry is shown to a thousandth of the price step of 0.01, and profit to the 8th decimal.
    assert_eq!(closing.tolerance, dec("0.00002001"));

    let since = at(1_020_000);
    let later: Vec<Movement> = pages(store, Some(since)).await.into_iter().flatten().collect();
    let expected: Vec<Movement> = found.into_iter().filter(|movement| movement.at >= since).collect();
    assert_eq!(later, expected);
    let of_nothing = store.movements(&main_account(), &symbol("NOSUCHUSDT"), None, None).await.unwrap();
    assert!(of_nothing.items.is_empty() && of_nothing.next.is_none());
}
