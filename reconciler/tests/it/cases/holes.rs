//! What tears holes into books, and exchanges and clocks that are not as they should be.

use std::sync::Arc;

use async_trait::async_trait;
use exchange_client::simulator::AppOrder;
use exchange_client::{Clock, NewOrder, Request, Response, Transport, TransportError, Trigger};
use ledger_core::{
    AnyFact, Decimal, Fill, FillId, FillKey, IntentOutcome, OrderIntent, Price, Source, Statement, TimestampMs,
};

use super::*;
use crate::support::Fixture;

/// Five seconds ahead.
#[derive(Debug)]
pub(super) struct Ahead(pub(super) Arc<dyn Clock>);

impl Clock for Ahead {
    fn now(&self) -> TimestampMs {
        self.0.now().saturating_add_ms(5_000)
    }
}

/// Refuses to answer with the ledger.
pub(super) struct NoLedger(pub(super) Arc<dyn Transport>);

#[async_trait]
impl Transport for NoLedger {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        if request.path.ends_with("/income") {
            let body = bytes::Bytes::from_static(br#"{"code":-4141,"msg":"Symbol is closed."}"#);
            return Ok(Response { status: 400, headers: Vec::new(), body });
        }
        self.0.send(request).await
    }
}

impl Fixture {
    pub(super) fn since_last_trade_ms(&self) -> i64 {
        let last = self.simulator.books().accounts[0].trades.iter().map(|trade| trade.time_ms).max();
        self.clock.now().as_ms() - last.unwrap()
    }

    /// So much below today's price of Ether.
    pub(super) fn below(&self, by: &str) -> Price {
        let price = self.simulator.price(&symbol(ETH)).unwrap();
        price.checked_sub(by.parse::<Decimal>().unwrap()).unwrap().round(1).to_string().parse().unwrap()
    }

    /// A stop that closes, of which the book learns nothing.
    pub(super) async fn stop(&self, id: &str, trigger: Price) {
        let order = NewOrder {
            client_order_id: ClientOrderId::new(id).unwrap(),
            symbol: symbol(ETH),
            side: Side::Sell,
            position_side: PositionSide::Net,
            kind: OrderKind::StopMarket { trigger: Trigger::from(trigger) },
            size: OrderSize::Qty("2".parse().unwrap()),
            reduce_only: true,
        };
        assert!(self.exchange.create_order(order).await.done().is_some());
    }

    /// A limit order of the bot's, recorded.
    pub(super) async fn resting(&self, number: usize, price: Price) -> Order {
        let mut intent = self.intent(number, &symbol(ETH), Side::Buy, "2", None, Some(engine("swing")));
        intent.order_type = Label::new("LIMIT").unwrap();
        intent.price = Some(price);
        self.recorder().send(&*self.exchange, &intent).await.unwrap().unwrap().done().unwrap().entity
    }

    /// An order of the bot's of which the book knows no more than that it was to be sent.
    pub(super) async fn pending(&self, number: usize, side: Side, qty: &str) -> OrderIntent {
        let mut intent = self.intent(number, &symbol(ETH), side, qty, None, Some(engine("swing")));
        intent.outcome = IntentOutcome::Unknown;
        self.recorder().intent(intent.clone()).await.unwrap();
        intent
    }

    /// Traded in the exchange's own app.
    pub(super) fn by_hand(&self, name: &str, side: Side, position_side: PositionSide, qty: &str) {
        let qty = qty.parse().unwrap();
        let wish = AppOrder {
            prefix: "ios_",
            symbol: symbol(name),
            side,
            position_side,
            qty,
            price: None,
            reduce_only: false,
        };
        self.simulator.trade_from_app("sim-main", &wish).unwrap();
    }

    /// Somebody's word on a fill.
    pub(super) async fn told(&self, fill: Fill, source: Source) {
        self.recorder().record(vec![Statement { fact: AnyFact::Fill(fill), source, payload: None }]).await.unwrap();
    }

    /// A fill that never was.
    pub(super) fn made_up(&self) -> Fill {
        Fill {
            key: FillKey { symbol: symbol(ETH), fill_id: FillId::new("987654").unwrap(), side: Side::Buy },
            order_id: None,
            time: EventTime::ms(self.clock.now()),
            price: "3000".parse().unwrap(),
            qty: "0.7".parse().unwrap(),
            position_side: Some(PositionSide::Net),
            fee: None,
            maker: None,
            exchange_realized_pnl: None,
            sequence: Some(987_654),
        }
    }
}
