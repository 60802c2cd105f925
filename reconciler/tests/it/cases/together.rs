//! Several cases at once, in any order.

use exchange_client::{ExchangeTrader, NewOrder};
use ledger_core::{ClientOrderId, ExitReason, IntentRole, PositionMode, PositionSide, Side, SignalKind};
use ledger_store::{DerivedReader, DiscrepancyStatus, PageRequest, Scope, TripFilter};
use reconciler::{ClientIdScheme, DiscrepancyKind};

use super::*;
use crate::support::{Fixture, assert_all_pass};

#[tokio::test]
async fn several_cases_at_once_in_either_mode() {
    for mode in [PositionMode::OneWay, PositionMode::Hedge] {
        let fixture = Fixture::new(54).await;
        if mode == PositionMode::Hedge {
            assert!(fixture.exchange.set_position_mode(mode).await.done().is_some());
        }
        let side = |long: bool| match (mode, long) {
            (PositionMode::OneWay, _) => PositionSide::Net,
            (PositionMode::Hedge, true) => PositionSide::Long,
            (PositionMode::Hedge, false) => PositionSide::Short,
        };
        // The bot's own session, of which the book keeps: everything, the intent, nothing.
        let plan = [("ETHUSDT", true, "2"), ("BTCUSDT", false, "0.05"), ("SOLUSDT", true, "9")];
        for (number, (name, long, qty)) in plan.into_iter().enumerate() {
            fixture.pass(3_600);
            let direction = if long { Side::Buy } else { Side::Sell };
            let mut intent = fixture.intent(number, &symbol(name), direction, qty, None, Some(engine("swing")));
            intent.position_side = Some(side(long));
            intent.client_order_id =
                ClientIdScheme::default().compose(&engine("swing"), IntentRole::Entry, &number.to_string()).unwrap();
            if number == 0 {
                let sent = fixture.recorder().send(&*fixture.exchange, &intent).await.unwrap().unwrap();
                assert!(sent.done().is_some());
                continue;
            }
            if number == 1 {
                fixture.recorder().intent(intent.clone()).await.unwrap();
            }
            assert!(fixture.exchange.create_order(NewOrder::from_intent(&intent).unwrap()).await.done().is_some());
        }
        fixture.pass(60);
        fixture.simulator.close_from_app("sim-main", &symbol(ETH), side(true)).unwrap();
        fixture.pass(60);
        let reconciler = fixture.reconciler();
        let audit = reconciler.audit().await.unwrap();
        let kinds: std::collections::BTreeSet<_> = audit.findings.iter().map(|found| found.finding.kind).collect();
        for kind in [
            DiscrepancyKind::MissingFills,
            DiscrepancyKind::UnknownOrder,
            DiscrepancyKind::UnresolvedIntent,
            DiscrepancyKind::UnrecordedPosition,
            DiscrepancyKind::ForeignFills,
        ] {
            assert!(kinds.contains(&kind), "{mode}: no {kind} in {kinds:?}");
        }
        let report = reconciler.sync().await.unwrap();
        assert!(
            report.findings.iter().all(|found| found.status == DiscrepancyStatus::Resolved),
            "{:#?}",
            report.findings
        );
        assert_all_pass(&report);
        fixture.assert_book_equals_exchange().await;
        assert!(fixture.orders().await.iter().filter(|order| order.engine == Some(engine("swing"))).count() == 3);
        fixture.pass(20);
        let warm = reconciler.sync().await.unwrap();
        assert!(warm.findings.is_empty() && warm.left.is_empty(), "{:#?}", warm.findings);
    }
}

/// A way to lose something, each on a contract of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// Case A: a signal whose order the book does not know.
    Order,
    /// Case B: an order whose fills the book lacks.
    Fills,
    /// Case C: a position of which the book knows nothing.
    Position,
    /// Case D: a close by hand.
    Close,
    /// The exchange closed it.
    Liquidation,
}

impl Loss {
    const ALL: [Self; 5] = [Self::Order, Self::Fills, Self::Position, Self::Close, Self::Liquidation];

    async fn happen(self, fixture: &Fixture, number: usize) {
        fixture.pass(1_800);
        match self {
            Self::Order => {
                fixture.signal("s-lost", Side::Buy, None).await;
                fixture.pass(1);
                fixture.unrecorded("mine-1", Side::Buy, "2", false).await;
            }
            Self::Fills => fixture.trade(number, "BTCUSDT", Side::Sell, "0.05", |_| true).await,
            Self::Position => {
                let mut intent = fixture.intent(number, &symbol("SOLUSDT"), Side::Buy, "9", None, None);
                intent.client_order_id = ClientOrderId::new("fb:grid:e:9").unwrap();
                let order = NewOrder::from_intent(&intent).unwrap();
                assert!(fixture.exchange.create_order(order).await.done().is_some());
            }
            Self::Close => {
                fixture.trade(number, "ETHUSDC", Side::Sell, "1", |_| false).await;
                fixture.simulator.close_from_app("sim-main", &symbol("ETHUSDC"), PositionSide::Net).unwrap();
            }
            Self::Liquidation => {
                fixture.trade(number, "币安人生USDT", Side::Buy, "700", |_| false).await;
                let contract = symbol("币安人生USDT");
                fixture.simulator.force_liquidation("sim-main", &contract, PositionSide::Net).unwrap();
            }
        }
    }
}

/// Each case first, in the middle and last, forwards and backwards; every other time with a look in between.
#[tokio::test]
async fn the_order_of_the_cases_makes_no_difference() {
    for turn in 0..10_usize {
        let mut losses = Loss::ALL;
        losses.rotate_left(turn % 5);
        if turn >= 5 {
            losses.reverse();
        }
        let fixture = Fixture::new(900 + u64::try_from(turn).unwrap()).await;
        for (number, loss) in losses.into_iter().enumerate() {
            loss.happen(&fixture, number).await;
            if turn % 2 == 1 && number == 2 {
                fixture.sync().await;
            }
        }
        fixture.sync().await;
        // A signal's window has to be over before anything is linked to it.
        fixture.pass(60);
        let report = fixture.sync().await;
        assert!(!report.leaves_discrepancies(), "{losses:?}: {:#?}", report.left);
        let third = fixture.sync().await;
        assert!(third.findings.is_empty() && third.left.is_empty(), "{losses:?}: {:#?}", third.findings);
        fixture.assert_book_equals_exchange().await;
        let orders = fixture.orders().await;
        let linked = orders.iter().find(|order| order.signal_id.as_ref().is_some_and(|id| id.as_str() == "s-lost"));
        assert_eq!(linked.unwrap().client_order_id.as_ref().unwrap().as_str(), "mine-1", "{losses:?}");
        let signals = fixture.signals().await;
        let mut restored: Vec<_> = signals
            .iter()
            .filter(|signal| signal.restored)
            .map(|signal| (signal.symbol.as_str(), signal.kind))
            .collect();
        restored.sort_unstable_by_key(|(symbol, _)| *symbol);
        assert_eq!(restored, [("ETHUSDC", SignalKind::ManualClose), ("SOLUSDT", SignalKind::Entry)], "{losses:?}");
        let scope = Scope::account(fixture.account.clone());
        let filter = TripFilter { scope, engine: None, position_side: None };
        let trips = fixture.store.trips(&filter, PageRequest::first(10)).await.unwrap().items;
        let mut exits: Vec<_> = trips.iter().map(|trip| (trip.symbol.as_str(), trip.exit_reason)).collect();
        exits.sort_unstable_by_key(|(symbol, _)| *symbol);
        assert_eq!(
            exits,
            [("ETHUSDC", ExitReason::ManualClose), ("币安人生USDT", ExitReason::Liquidation)],
            "{losses:?}"
        );
    }
}
