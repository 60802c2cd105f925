//! What fills are told as.

use ledger_core::testing::{at, dec, price, time};
use ledger_core::{AnyFact, Fill, Order, OrderStatus, Side};
use ledger_store::Book;
use ledger_store::contract::{by, commit, fill, fills, flat, main_account, of_order, prepare, rest};

use super::{book, text, texts};
use crate::tell::event::{Amounts, Event, EventKind};
use crate::tell::state::TellState;
use crate::tell::{seen, trades};

/// A book with one contract, and how far its telling has come.
struct Desk {
    book: Book,
    state: TellState,
}

impl Desk {
    async fn new() -> Self {
        let book = book();
        prepare(&*book, &["ETHUSDT"]).await;
        commit(&*book, vec![flat("ETHUSDT", 0)]).await;
        Self { book, state: TellState::beginning(at(1_000), 0, std::collections::BTreeSet::new()) }
    }

    async fn trade(&self, orders: Vec<Order>, traded: Vec<Fill>) {
        let orders = orders.into_iter().map(|order| rest(AnyFact::Order(order)));
        commit(&*self.book, orders.chain(fills(traded)).collect()).await;
    }

    async fn tell(&mut self) -> Vec<Event> {
        let (seen, unfolded, _) = seen::trades(&*self.book, &main_account(), &self.state).await.unwrap();
        assert!(unfolded.is_empty(), "{unfolded:?}");
        trades::derive(&mut self.state, &seen)
    }
}

fn order(id: &str, side: Side, status: OrderStatus, executed: &str, second: i64) -> Order {
    let order = ledger_core::testing::order("ETHUSDT", id, side, status);
    order.executed(dec(executed), Some(price("100"))).between(time(second * 1_000), time(second * 1_000))
}

fn one(id: i64, side: Side, qty: &str, order: &str) -> Fill {
    of_order(fill("ETHUSDT", id, side, qty, "100"), order)
}

fn keys(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.key.as_str()).collect()
}

#[tokio::test]
async fn an_order_is_told_once_when_it_is_over() {
    let mut desk = Desk::new().await;
    desk.trade(vec![order("7", Side::Buy, OrderStatus::PartiallyFilled, "1", 1)], vec![one(1, Side::Buy, "1", "7")])
        .await;
    let told = desk.tell().await;
    assert_eq!(keys(&told), ["order:ETHUSDT:7:began"]);
    assert_eq!(text(&told[0]), "main: opened ETHUSDT long, 1 at 100, and the order works on #order:ETHUSDT:7:began");
    assert!(desk.tell().await.is_empty(), "nothing new");
    desk.trade(Vec::new(), vec![one(2, Side::Buy, "1", "7")]).await;
    assert!(desk.tell().await.is_empty(), "it works on");
    desk.trade(vec![order("7", Side::Buy, OrderStatus::Filled, "3", 3)], vec![one(3, Side::Buy, "1", "7")]).await;
    let told = desk.tell().await;
    assert_eq!(texts(&told), ["main: opened ETHUSDT long, 3 at 100 #order:ETHUSDT:7:over"]);
    assert!(desk.state.working.is_empty());

    // Fills of one order that come together are one message; what it did is said.
    let filled = |id, side, qty, second| order(id, side, OrderStatus::Filled, qty, second);
    desk.trade(vec![filled("8", Side::Buy, "2", 5)], vec![one(4, Side::Buy, "1", "8"), one(5, Side::Buy, "1", "8")])
        .await;
    let told = desk.tell().await;
    assert_eq!(texts(&told), ["main: added to ETHUSDT long, 2 at 100; now 5 at 100 #order:ETHUSDT:8:over"]);
    desk.trade(vec![filled("9", Side::Sell, "1.5", 6)], vec![one(6, Side::Sell, "1.5", "9")]).await;
    let told = desk.tell().await;
    assert_eq!(texts(&told), ["main: reduced ETHUSDT long, 1.5 at 100; now 3.5 at 100 #order:ETHUSDT:9:over"]);
    assert_eq!(told[0].kind, EventKind::Reduced);
    let none = told[0].text(&main_account(), Amounts::None);
    assert_eq!(none, "main: reduced ETHUSDT long #order:ETHUSDT:9:over");

    // A fill whose order nobody knows is told by itself.
    desk.trade(Vec::new(), vec![fill("ETHUSDT", 7, Side::Buy, "1", "100")]).await;
    assert_eq!(keys(&desk.tell().await), ["fill:ETHUSDT:BUY:7"]);
}

#[tokio::test]
async fn a_round_trip_is_told_once() {
    let mut desk = Desk::new().await;
    let filled = |id, side, qty, second| order(id, side, OrderStatus::Filled, qty, second);
    desk.trade(vec![filled("7", Side::Buy, "2", 1)], vec![one(1, Side::Buy, "2", "7")]).await;
    assert_eq!(desk.tell().await.len(), 1);
    // The order turns the position: one trip ends, another begins.
    let exit = of_order(fill("ETHUSDT", 3_601, Side::Sell, "3", "110"), "8");
    desk.trade(vec![filled("8", Side::Sell, "3", 3_601)], vec![exit]).await;
    let told = desk.tell().await;
    assert_eq!(keys(&told), ["order:ETHUSDT:8:over", "trip:ETHUSDT|NET|BUY-1:closed"]);
    assert!(text(&told[0]).starts_with("main: opened ETHUSDT short, 3 at 110"), "{}", text(&told[0]));
    assert_eq!(
        text(&told[1]),
        "main: closed ETHUSDT long, net +20 USDT, +10 %, nothing tells why, held 1 h 0 min #trip:ETHUSDT|NET|BUY-1:closed"
    );
    assert!(!text(&told[1]).contains('~'), "it is known");
    let json = told[1].json(&main_account(), Amounts::Percent);
    assert_eq!((&json["net_percent"], &json["net"], &json["held_ms"]), (&"10".into(), &().into(), &3_600_000.into()));
    assert!(desk.tell().await.is_empty());
    // Closed by a liquidation: it cannot wait. The trip tells the order.
    let mut forced = filled("9", Side::Buy, "1", 3_700);
    forced.origin = Some(ledger_core::Origin::Liquidation);
    desk.trade(vec![forced], vec![one(3_700, Side::Buy, "1", "9")]).await;
    let told = desk.tell().await;
    assert_eq!((told.len(), told[0].kind, told[0].is_urgent), (1, EventKind::Closed, true), "{told:#?}");
    assert!(text(&told[0]).contains(", liquidation, held"), "{}", text(&told[0]));
}

/// What a bot or an import brings of the past is no news.
#[tokio::test]
async fn what_was_before_is_not_told() {
    let mut desk = Desk::new().await;
    desk.state.since = at(100_000);
    desk.trade(Vec::new(), vec![one(1, Side::Buy, "1", "7"), one(2, Side::Sell, "1", "8")]).await;
    assert!(desk.tell().await.is_empty());
    desk.trade(Vec::new(), vec![one(3, Side::Buy, "1", "9")]).await;
    assert!(desk.tell().await.is_empty());
    // Its round trip was open before, and ends now.
    desk.trade(vec![order("10", Side::Sell, OrderStatus::Filled, "1", 200)], vec![one(200, Side::Sell, "1", "10")])
        .await;
    assert_eq!(keys(&desk.tell().await), ["trip:ETHUSDT|NET|BUY-3:closed"]);
}

#[tokio::test]
async fn a_flood_is_told_as_a_number() {
    let mut desk = Desk::new().await;
    let traded = (1..=60).map(|id| {
        let side = if id % 2 == 1 { Side::Buy } else { Side::Sell };
        one(id, side, "1", &id.to_string())
    });
    desk.trade(Vec::new(), traded.collect()).await;
    let told = desk.tell().await;
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(text(&told[0]).contains("30 orders executed and 30 round trips closed"), "{}", text(&told[0]));
    assert!(desk.tell().await.is_empty());
}

/// Whatever ends without a fill of its own is found as well: here a statement that the position is flat.
#[tokio::test]
async fn a_round_trip_that_no_fill_ends_is_told() {
    let mut desk = Desk::new().await;
    desk.trade(vec![order("7", Side::Buy, OrderStatus::Filled, "1", 1)], vec![one(1, Side::Buy, "1", "7")]).await;
    assert_eq!(desk.tell().await.len(), 1);
    let ended = order("8", Side::Sell, OrderStatus::Filled, "1", 50);
    commit(&*desk.book, vec![by(ledger_core::Source::Rest, AnyFact::Order(ended))]).await;
    let told = desk.tell().await;
    assert_eq!(keys(&told), ["trip:ETHUSDT|NET|BUY-1:closed"]);
    assert!(text(&told[0]).contains("net unknown in USDT"), "nothing tells its fee: {}", text(&told[0]));
}
