//! Average entries that differ where quantities agree: what is missing pairs up, and lies further back than anybody looks.

use exchange_client::{Clock, ExchangeReader};
use ledger_core::{AnyFact, Decimal, Fill, FillId, FillKey, PositionSide, Side, Source, Statement};
use ledger_store::{Batch, DerivedReader, SyncCursor, Writer};
use reconciler::DiscrepancyKind;

use super::*;
use crate::support::{Fixture, for_months};

impl Fixture {
    /// As if everything up to now had been read.
    pub(super) async fn take_all_for_read(&self) {
        let position = self.clock_at(-60_000).to_string();
        let of_all = ["orders", "force_orders", "income"].map(|stream| (stream, None));
        let of_one = ["fills", "conditional_orders"].map(|stream| (stream, Some(symbol(ETH))));
        let cursors = of_all.into_iter().chain(of_one);
        let cursors = cursors.map(|(stream, symbol)| SyncCursor {
            stream: stream.to_owned(),
            symbol,
            position: position.clone(),
        });
        let mut batch = Batch::new(self.account.clone(), self.clock.now(), Vec::new());
        batch.cursors = cursors.collect();
        self.store.commit(batch).await.unwrap();
    }

    /// The average entries of the exchange and the book.
    async fn entries(&self) -> (Decimal, Decimal) {
        let stated = self.exchange.fetch_positions(None).await.unwrap().rows.remove(0).entity;
        let held = self.store.positions(&self.account).await.unwrap().remove(0).position;
        assert_eq!(stated.qty, held.qty);
        (stated.entry_price.unwrap().get(), held.entry_price_avg.unwrap())
    }

    pub(super) fn move_price(&self, by: &str) {
        let price = self.simulator.price(&symbol(ETH)).unwrap();
        let moved = price.checked_add(by.parse().unwrap()).unwrap();
        self.simulator.set_price(&symbol(ETH), moved.round(1).to_string().parse().unwrap()).unwrap();
    }
}

#[tokio::test]
async fn a_wrong_average_entry_is_searched_for_back_to_where_the_position_was_opened() {
    let fixture = Fixture::in_process(for_months(191)).await;
    fixture.trade(1, ETH, Side::Buy, "2", |_| false).await;
    fixture.sync().await;
    fixture.simulator.step(Duration::from_hours(24 * 20));
    fixture.move_price("150");
    fixture.unrecorded("by-hand-1", Side::Buy, "1", false).await;
    fixture.pass(600);
    fixture.unrecorded("by-hand-2", Side::Sell, "1", false).await;
    fixture.simulator.step(Duration::from_hours(24 * 20));
    fixture.take_all_for_read().await;
    let (stated, booked) = fixture.entries().await;
    assert!(stated.checked_sub(booked).unwrap().abs() > Decimal::ONE, "{stated} {booked}");
    let report = fixture.sync().await;
    let (stated, booked) = fixture.entries().await;
    assert!(stated.checked_sub(booked).unwrap().abs() <= Decimal::new(1, 8).unwrap(), "{stated} {booked}");
    assert_eq!(fixture.book_fills().await.len(), fixture.simulator.books().accounts[0].trades.len());
    assert_eq!(status(&report, DiscrepancyKind::MissingFills), DiscrepancyStatus::Resolved);
    assert!(of(&report, DiscrepancyKind::AverageEntryMismatch).is_none(), "{:#?}", report.findings);
    assert!(report.verification.passed(CheckName::AverageEntry));
}

#[tokio::test]
async fn an_average_entry_that_nothing_explains_is_searched_for_twice_and_then_costs_no_more() {
    let fixture = Fixture::in_process(for_months(192)).await;
    fixture.trade(1, ETH, Side::Buy, "1", |_| false).await;
    fixture.trade(2, ETH, Side::Sell, "1", |_| false).await;
    fixture.simulator.step(Duration::from_hours(24 * 30));
    fixture.sync().await;
    fixture.trade(3, ETH, Side::Buy, "2", |_| false).await;
    fixture.simulator.step(Duration::from_hours(24 * 16));
    fixture.sync().await;
    // What was read once is read once more, the contract's own lists when it is looked at again.
    fixture.simulator.step(Duration::from_mins(31));
    fixture.sync().await;
    let usual = fixture.sync().await.requests;
    // A pair in the book that the exchange never had.
    let made_up = |id: i64, side: Side, price: &str| Fill {
        key: FillKey { symbol: symbol(ETH), fill_id: FillId::new(id.to_string()).unwrap(), side },
        order_id: None,
        time: EventTime::ms(fixture.clock_at(-86_400_000 + id)),
        price: price.parse().unwrap(),
        qty: "0.5".parse().unwrap(),
        position_side: Some(PositionSide::Net),
        fee: None,
        maker: None,
        exchange_realized_pnl: None,
        sequence: Some(id),
    };
    let record = async |pair: [Fill; 2]| {
        let facts = pair.into_iter().map(AnyFact::Fill);
        let statements = facts.map(|fact| Statement { fact, source: Source::Bot, payload: None });
        fixture.recorder().record(statements.collect()).await.unwrap();
    };
    record([made_up(900_001, Side::Buy, "9000"), made_up(900_002, Side::Sell, "9100")]).await;
    let mut requests = Vec::new();
    for _ in 0..5 {
        let report = fixture.sync().await;
        let expected = if requests.is_empty() { DiscrepancyStatus::Pending } else { DiscrepancyStatus::Unresolved };
        assert_eq!(status(&report, DiscrepancyKind::AverageEntryMismatch), expected);
        requests.push(report.requests);
    }
    // Three weeks lie behind the opening, and no more of the exchange's memory is asked for.
    assert!(requests[0] > usual + 1 && requests[0] <= usual + 10, "{requests:?}, usually {usual}");
    assert_eq!(requests[0], requests[1], "searched twice: {requests:?}");
    assert!(requests[2] < requests[1] && requests[2] <= usual, "and then no more: {requests:?}, usually {usual}");
    assert!(requests[2..].iter().all(|count| *count == requests[2]), "{requests:?}");
    // Trading on thins the difference out; that is no reason to search again.
    fixture.trade(4, ETH, Side::Buy, "2", |_| false).await;
    fixture.sync().await;
    let later = fixture.sync().await.requests;
    assert!(later <= requests[2] + 4, "{later} after {requests:?}");
    // Another pair makes it larger.
    record([made_up(900_003, Side::Buy, "9000"), made_up(900_004, Side::Sell, "9100")]).await;
    let again = fixture.sync().await.requests;
    assert!(again > later + 1, "{again} after {later}");
}
