//! The seed's cases and those beyond it, each from a hole in the book to a repair, against the simulator's own books.

mod cost;
mod entries;
mod failing;
mod forced;
mod gaps;
mod holes;
mod inferred;
mod lag;
mod memory;
mod money;
mod openings;
mod outcome;
mod positions;
mod scenario;
mod scenarios;
mod signals;
mod together;
mod told;

use std::time::Duration;

use exchange_client::{Clock, ExchangeTrader, NewOrder, OrderKind, OrderSize};
use ledger_core::{
    ClientOrderId, EngineLabel, EventTime, Label, Order, PositionSide, RoundTrip, Side, Signal, SignalId, SignalKind,
    Symbol,
};
use ledger_store::{
    DerivedReader, DiscrepancyFilter, DiscrepancyStatus, FactReader, Journal, OrderFilter, PageRequest, Scope,
    SignalFilter, TripFilter,
};
use reconciler::{CheckName, CycleReport, DiscrepancyKind, FindingReport, Verdict};

use crate::support::Fixture;

const ETH: &str = "ETHUSDT";

fn symbol(name: &str) -> Symbol {
    Symbol::new(name).unwrap()
}

fn engine(name: &str) -> EngineLabel {
    EngineLabel::new(name).unwrap()
}

fn of(report: &CycleReport, kind: DiscrepancyKind) -> Option<&FindingReport> {
    report.findings.iter().find(|found| found.finding.kind == kind)
}

#[track_caller]
fn status(report: &CycleReport, kind: DiscrepancyKind) -> DiscrepancyStatus {
    let found = of(report, kind);
    assert!(found.is_some(), "no {kind}: {:#?}", report.findings);
    found.unwrap().status
}

impl Fixture {
    fn pass(&self, seconds: u64) {
        self.simulator.step(Duration::from_secs(seconds));
    }

    async fn sync(&self) -> CycleReport {
        self.pass(20);
        self.reconciler().sync().await.unwrap()
    }

    /// An order of which the book learns nothing.
    async fn unrecorded(&self, id: &str, side: Side, qty: &str, reduce_only: bool) -> Order {
        let order = NewOrder {
            client_order_id: ClientOrderId::new(id).unwrap(),
            symbol: symbol(ETH),
            side,
            position_side: PositionSide::Net,
            kind: OrderKind::Market,
            size: OrderSize::Qty(qty.parse().unwrap()),
            reduce_only,
        };
        self.exchange.create_order(order).await.done().unwrap().entity
    }

    async fn signal(&self, id: &str, side: Side, skipped: Option<&str>) {
        let signal = Signal {
            signal_id: SignalId::new(id).unwrap(),
            time: EventTime::ms(self.clock.now()),
            skew_ms: None,
            symbol: symbol(ETH),
            side,
            kind: SignalKind::Entry,
            engine: Some(engine("swing")),
            reason: None,
            skipped: skipped.map(|why| Label::new(why).unwrap()),
            meta_json: None,
            restored: false,
        };
        self.recorder().signal(signal).await.unwrap();
    }

    async fn signals(&self) -> Vec<Signal> {
        let filter = SignalFilter::from(Scope::account(self.account.clone()));
        let page = self.store.signals(&filter, PageRequest::first(100)).await.unwrap();
        page.items.into_iter().map(|signal| signal.fact).collect()
    }

    async fn orders(&self) -> Vec<Order> {
        let filter = OrderFilter::from(Scope::account(self.account.clone()));
        let page = self.store.orders(&filter, PageRequest::first(100)).await.unwrap();
        page.items.into_iter().map(|order| order.order.fact).collect()
    }

    async fn last_trip(&self) -> RoundTrip {
        let scope = Scope::account(self.account.clone());
        let filter = TripFilter { scope, engine: None, position_side: None };
        self.store.trips(&filter, PageRequest::newest(1)).await.unwrap().items.remove(0)
    }

    async fn open_discrepancies(&self) -> usize {
        let filter = DiscrepancyFilter::open(self.account.clone());
        self.store.discrepancies(&filter, PageRequest::first(100)).await.unwrap().items.len()
    }
}
