//! The signals behind what opened round trips: none depends on when somebody looked.

use ledger_core::Side;

use super::*;
use crate::support::House;

/// What of signals and orders has to be the same.
async fn told(house: &House) -> Vec<String> {
    let mut told: Vec<String> = house.signals().await.into_iter().map(|signal| format!("{signal:?}")).collect();
    let named = |order: Order| format!("{}: {:?} {:?}", order.key.order_id, order.signal_id, order.engine);
    told.extend(house.orders().await.into_iter().map(named));
    told.sort();
    told
}

/// Trades by nobody knows whom, by hand and by a bot that lost its book: seen one by one, all at once, or some of them.
#[tokio::test]
async fn a_restored_signal_does_not_depend_on_when_one_looked() {
    let house = House::new(61).await;
    let books = [house.with_empty_book().await, house.with_empty_book().await, house.with_empty_book().await];
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
        house.pass(100_000);
        house.unrecorded(id, side, qty, false).await;
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
