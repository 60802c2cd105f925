//! The signals behind what opened round trips: none depends on when somebody looked.

use exchange_client::{ExchangeReader, TimeWindow, TradeQuery};
use ledger_core::Side;

use super::*;
use crate::support::{Fixture, for_months};

/// What of signals and orders has to be the same.
async fn told(fixture: &Fixture) -> Vec<String> {
    let mut told: Vec<String> = fixture.signals().await.into_iter().map(|signal| format!("{signal:?}")).collect();
    let named = |order: Order| format!("{}: {:?} {:?}", order.key.order_id, order.signal_id, order.engine);
    told.extend(fixture.orders().await.into_iter().map(named));
    told.sort();
    told
}

/// Trades by nobody knows whom, by hand and by a bot that lost its book: seen one by one, all at once, or some of them.
#[tokio::test]
async fn a_restored_signal_does_not_depend_on_when_one_looked() {
    let fixture = Fixture::new(61).await;
    let books = [fixture.with_empty_book().await, fixture.with_empty_book().await, fixture.with_empty_book().await];
    let trades = [
        ("mine-1", Side::Buy, "2"),
        ("fb:grid:d:2", Side::Buy, "1"),
        ("mine-3", Side::Sell, "3"),
        ("web_4", Side::Sell, "1"),
        ("mine-5", Side::Buy, "2"),
        ("fb:grid:x:6", Side::Sell, "1"),
        ("fb:grid:e:7", Side::Buy, "1"),
        ("web_8", Side::Sell, "3"),
        ("mine-9", Side::Sell, "1"),
    ];
    for (number, (id, side, qty)) in trades.into_iter().enumerate() {
        // More than a week in all: the beginning is history to whoever looks at the end.
        fixture.pass(100_000);
        fixture.unrecorded(id, side, qty, false).await;
        books[0].sync().await;
        if number % 4 == 2 {
            books[1].sync().await;
        }
    }
    for book in &books {
        book.sync().await;
        book.sync().await;
    }
    let expected = told(&books[0]).await;
    let restored = books[0].signals().await;
    // Flat, long, flat, short, round to long, flat, long, round to short, and deeper.
    assert_eq!(restored.len(), 6, "{restored:#?}");
    for book in &books[1..] {
        assert_eq!(told(book).await, expected);
    }
}

/// Every trade that the exchange has, written down by a bot that knows of no order.
async fn record_all(fixture: &Fixture) {
    let now = fixture.clock_at(0);
    let window = TimeWindow::new(now.saturating_add_ms(-86_400_000), now).unwrap();
    let mut fills = Vec::new();
    let mut query = Some(TradeQuery::Window(window));
    while let Some(next) = query {
        let page = fixture.exchange.fetch_my_trades(symbol(ETH), next).await.unwrap();
        fills.extend(page.rows);
        query = page.next;
    }
    fixture.recorder().fills(&fills).await.unwrap();
}

/// An order by hand that closes with one of its fills and opens with the next: whoever told these first.
#[tokio::test]
async fn an_order_that_closes_and_opens_with_fills_of_its_own_tells_of_the_close() {
    let fixture = Fixture::new(62).await;
    let books = [fixture.with_empty_book().await, fixture.with_empty_book().await];
    for number in 0..8 {
        for (id, side, qty) in [("mine-1", Side::Buy, "1"), ("web_2", Side::Sell, "2"), ("mine-3", Side::Buy, "1")] {
            fixture.unrecorded(&format!("{id}-{number}"), side, qty, false).await;
            fixture.pass(600);
        }
    }
    record_all(&books[1]).await;
    for _ in 0..3 {
        books[0].sync().await;
        books[1].sync().await;
    }
    assert_eq!(told(&books[1]).await, told(&books[0]).await);
}

/// Something is held since before all that the exchange remembers, and a grid trades on top of it: nothing that it buys
/// opens a position, whether somebody looked all the time or only now.
#[tokio::test]
async fn what_adds_to_what_was_held_before_all_memory_opens_nothing() {
    let fixture = Fixture::in_process(for_months(64)).await;
    fixture.unrecorded("old-1", Side::Buy, "5", false).await;
    fixture.pass(100 * 86_400);
    let books = [fixture.with_empty_book().await, fixture.with_empty_book().await];
    for _ in 0..3 {
        books[0].sync().await;
        fixture.pass(60);
    }
    for number in 0..4 {
        for (kind, side) in [("buy", Side::Buy), ("sell", Side::Sell)] {
            fixture.unrecorded(&format!("mine-{kind}-{number}"), side, "1", false).await;
            fixture.pass(2 * 86_400);
        }
        books[0].sync().await;
    }
    for _ in 0..4 {
        books[0].sync().await;
        books[1].sync().await;
        fixture.pass(60);
    }
    assert_eq!(told(&books[1]).await, told(&books[0]).await);
}
