//! What a cycle costs does not grow with what lies behind.

use exchange_client::{Clock, OrderRef, Trigger};
use ledger_core::{AnyFact, EventTime, Fill, FillId, FillKey, OrderClass, OrderStatus, Source, Statement};
use ledger_store::{DerivedReader, DiscrepancyStatus};
use reconciler::DiscrepancyKind;

use super::*;
use crate::support::{Fixture, for_months};

/// A fill in the book that the exchange never had: nothing in its memory explains what differs.
#[tokio::test]
async fn what_stays_unexplained_is_searched_for_twice_and_then_costs_no_more() {
    let fixture = Fixture::with(for_months(91)).await;
    fixture.trade(1, ETH, Side::Buy, "2", |_| false).await;
    fixture.sync().await;
    fixture.simulator.step(Duration::from_hours(24 * 80));
    fixture.trade(2, ETH, Side::Buy, "1", |_| false).await;
    fixture.sync().await;
    // What the first look read is read once more.
    fixture.sync().await;
    let usual = fixture.sync().await.requests;
    let key = FillKey { symbol: symbol(ETH), fill_id: FillId::new("987654").unwrap(), side: Side::Buy };
    let made_up = Fill {
        key,
        order_id: None,
        time: EventTime::ms(fixture.clock.now().saturating_add_ms(-86_400_000)),
        price: "3000".parse().unwrap(),
        qty: "0.7".parse().unwrap(),
        position_side: Some(PositionSide::Net),
        fee: None,
        maker: None,
        exchange_realized_pnl: None,
        sequence: Some(987_654),
    };
    let fact = AnyFact::Fill(made_up);
    fixture.recorder().record(vec![Statement { fact, source: Source::Bot, payload: None }]).await.unwrap();
    let mut requests = Vec::new();
    for _ in 0..6 {
        let report = fixture.sync().await;
        let expected = if requests.is_empty() { DiscrepancyStatus::Pending } else { DiscrepancyStatus::Unresolved };
        assert_eq!(status(&report, DiscrepancyKind::PositionMismatch), expected);
        requests.push(report.requests);
    }
    assert!(requests[0] > usual + 10 && requests[1] > usual + 10, "its memory is searched: {requests:?}");
    assert!(requests[2] < usual + 8, "and then no more: {requests:?}, usually {usual}");
    assert!(requests[2..].iter().all(|count| *count == requests[2]), "{requests:?}");
    let held = fixture.store.positions(&fixture.account).await.unwrap().remove(0).position;
    assert_eq!(held.qty, "3.7".parse().unwrap(), "nothing is stated where the exchange's fills say otherwise");
    // What differs now is something else: that is searched for.
    fixture.trade(3, ETH, Side::Buy, "1", |_| true).await;
    fixture.sync().await;
    let mut other = fixture.sync().await;
    assert_eq!(status(&other, DiscrepancyKind::PositionMismatch), DiscrepancyStatus::Unresolved);
    assert!(other.requests < usual + 8, "the overlap explains the new part: {}", other.requests);
    let key = FillKey { symbol: symbol(ETH), fill_id: FillId::new("987655").unwrap(), side: Side::Buy };
    let another = Fill { key, sequence: Some(987_655), ..second(&fixture) };
    let fact = AnyFact::Fill(another);
    fixture.recorder().record(vec![Statement { fact, source: Source::Bot, payload: None }]).await.unwrap();
    other = fixture.sync().await;
    assert!(other.requests > usual + 10, "{} requests", other.requests);
}

fn second(fixture: &Fixture) -> Fill {
    Fill {
        key: FillKey { symbol: symbol(ETH), fill_id: FillId::new("1").unwrap(), side: Side::Buy },
        order_id: None,
        time: EventTime::ms(fixture.clock.now().saturating_add_ms(-43_200_000)),
        price: "3000".parse().unwrap(),
        qty: "0.2".parse().unwrap(),
        position_side: Some(PositionSide::Net),
        fee: None,
        maker: None,
        exchange_realized_pnl: None,
        sequence: None,
    }
}

/// Stops that triggered long ago, and of whose end the exchange never told.
#[tokio::test]
async fn triggered_orders_of_long_ago_are_not_asked_for() {
    let fixture = Fixture::with(for_months(92)).await;
    fixture.trade(1, ETH, Side::Buy, "2", |_| false).await;
    fixture.sync().await;
    let usual = fixture.sync().await.requests;
    for number in 0..3 {
        let price = fixture.simulator.price(&symbol(ETH)).unwrap();
        let near: ledger_core::Price =
            price.checked_add("20".parse().unwrap()).unwrap().round(1).to_string().parse().unwrap();
        let order = NewOrder {
            client_order_id: ClientOrderId::new(format!("stop-{number}")).unwrap(),
            symbol: symbol(ETH),
            side: Side::Buy,
            position_side: PositionSide::Net,
            kind: OrderKind::Stop {
                price: "100".parse().unwrap(),
                trigger: Trigger::from(near),
                time_in_force: exchange_client::TimeInForce::Gtc,
            },
            size: OrderSize::Qty("1".parse().unwrap()),
            reduce_only: false,
        };
        assert!(fixture.exchange.create_order(order).await.done().is_some());
        fixture.simulator.set_price(&symbol(ETH), near).unwrap();
        fixture.sync().await;
        let waiting = fixture.orders().await.into_iter().find(|order| order.status == OrderStatus::Triggered).unwrap();
        let id = waiting.triggered_order_id.clone().unwrap();
        // It rests far below; its end comes when nobody looks.
        let reference = OrderRef::Id(OrderClass::Regular, id);
        assert!(fixture.exchange.cancel_order(symbol(ETH), reference).await.done().is_some());
    }
    fixture.simulator.step(Duration::from_hours(24 * 100));
    for _ in 0..4 {
        fixture.sync().await;
    }
    let orders = fixture.orders().await;
    let waiting: Vec<_> = orders.iter().filter(|order| order.key.class == OrderClass::Conditional).collect();
    assert!(waiting.len() == 3 && waiting.iter().all(|order| order.status.is_terminal()), "{waiting:#?}");
    let last = fixture.sync().await;
    assert!(last.requests <= usual, "{} requests, {usual} before", last.requests);
    let left = last.left.iter().map(|known| known.entry.key.kind.as_str());
    assert!(left.clone().all(|kind| kind == "history_expired"), "{:?}", left.collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_named_is_looked_at_closely() {
    let fixture = Fixture::new(96).await;
    for (number, name) in ["BTCUSDT", ETH, "SOLUSDT"].into_iter().enumerate() {
        fixture.trade(number, name, Side::Buy, "1", |_| false).await;
    }
    for _ in 0..2 {
        fixture.sync().await;
    }
    let looked_at = async |symbols: &[&str], since_ms: Option<i64>| {
        let mut reconciler = fixture.reconciler();
        reconciler.config.observe.symbols = symbols.iter().map(|name| symbol(name)).collect();
        reconciler.config.observe.since = since_ms.map(|ms| fixture.clock.now().saturating_add_ms(-ms));
        let [audited, synced] = [reconciler.audit().await.unwrap(), reconciler.sync().await.unwrap()];
        assert_eq!(audited.symbols, synced.symbols);
        assert_eq!(synced.findings, []);
        synced.symbols.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(looked_at(&["BTCUSDT"], None).await, ["BTCUSDT"]);
    assert_eq!(looked_at(&[ETH], Some(3_600_000)).await, [ETH]);
    assert_eq!(looked_at(&[], Some(3_600_000)).await, ["BTCUSDT", ETH, "SOLUSDT"]);
    // One that was never traded, too.
    assert_eq!(looked_at(&["DOGEUSDT"], None).await, ["DOGEUSDT"]);
    assert_eq!(looked_at(&[], None).await, [""; 0]);
}
