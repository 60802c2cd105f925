//! The adapter against scripted answers: what the exchange really sends, and what it should never send.

mod agreement;
mod broken;
mod income;
mod limits;
mod lists;
mod outside;
mod paging;
mod payloads;
mod requests;
mod stream;
mod trading;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ledger_core::{
    ClientOrderId, Decimal, Fill, FillId, Order, OrderClass, OrderId, OrderStatus, PositionMode, PositionSide,
    Quantity, Side, Symbol, TimestampMs,
};

use super::*;
use crate::api::{
    AccountIdentity, Answer, ExchangeReader, ExchangeTrader, NewOrder, OrderKind, OrderRef, TimeWindow, TradeQuery,
    WindowQuery,
};
use crate::clock::ManualClock;
use crate::error::{ErrorClass, FieldProblem, SendOutcome};
use crate::transport::{Request, Response, TransportError};

const NOW_MS: i64 = 1_780_000_000_000;

/// The account that rows about one name.
fn whoever() -> AccountIdentity {
    AccountIdentity { venue: VENUE.name.into(), base_url: "https://exchange.test".into(), account_alias: "a".into() }
}

/// Answers from a list, and remembers what it was asked.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Result<Response, TransportError>>>,
    asked: Mutex<Vec<Request>>,
}

impl Script {
    fn then(self, status: u16, body: &str) -> Self {
        self.then_with(status, body, &[])
    }

    fn then_with(self, status: u16, body: &str, headers: &[(&str, &str)]) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let response = Response { status, headers, body: Bytes::copy_from_slice(body.as_bytes()) };
        self.answers.lock().unwrap().push_back(Ok(response));
        self
    }

    fn then_fails(self, error: TransportError) -> Self {
        self.answers.lock().unwrap().push_back(Err(error));
        self
    }

    /// The clock is measured before the first signed request.
    fn timed() -> Self {
        Self::default().then(200, &format!(r#"{{"serverTime":{NOW_MS}}}"#))
    }

    fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|request| format!("{} {}?{}", request.method, request.path, request.query)).collect()
    }
}

#[async_trait]
impl Transport for Script {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        // Whatever is asked has a weight in the table.
        let listed =
            |weight: &crate::venue::EndpointWeight| (weight.method, weight.path) == (request.method, &*request.path);
        assert!(VENUE.weights.iter().any(listed), "{request:?}");
        self.asked.lock().unwrap().push(request);
        let answer = self.answers.lock().unwrap().pop_front();
        answer.unwrap_or_else(|| Err(TransportError::NotSent("the script has ended".into())))
    }
}

/// The adapter over a script, telling every failure at once.
fn adapter(script: Script) -> (BinanceUsdm, Arc<Script>, Arc<ManualClock>) {
    adapter_with(script, RequestSettings { retry: RetryPolicy::NEVER, ..RequestSettings::default() })
}

fn adapter_with(script: Script, settings: RequestSettings) -> (BinanceUsdm, Arc<Script>, Arc<ManualClock>) {
    let script = Arc::new(script);
    let clock = Arc::new(ManualClock::new(TimestampMs::new(NOW_MS).unwrap()));
    let credentials = Credentials::new("the-key", "the-secret").unwrap();
    let transport = Arc::clone(&script) as Arc<dyn Transport>;
    let shared_clock = Arc::clone(&clock) as Arc<dyn Clock>;
    let exchange =
        BinanceUsdm::with_settings(transport, shared_clock, "https://fapi.binance.com", credentials, settings).unwrap();
    (exchange, script, clock)
}

fn time_answer(ms: i64) -> String {
    format!(r#"{{"serverTime":{ms}}}"#)
}

fn btc() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

fn from_id(id: &str) -> TradeQuery {
    TradeQuery::FromId(FillId::new(id).unwrap())
}

fn window() -> WindowQuery {
    let at = |ms| TimestampMs::new(NOW_MS + ms).unwrap();
    WindowQuery::new(TimeWindow::new(at(-10_000), at(0)).unwrap())
}

fn new_order() -> NewOrder {
    NewOrder {
        client_order_id: ClientOrderId::new("x-1:entry").unwrap(),
        symbol: btc(),
        side: Side::Buy,
        position_side: PositionSide::Net,
        kind: OrderKind::Market,
        size: "0.010".parse::<Quantity>().unwrap().into(),
        reduce_only: false,
    }
}

const TRADE: &str = r#"{"symbol":"BTCUSDT","id":8389765568816714211,"orderId":9007199254740993,"side":"SELL",
  "positionSide":"BOTH","price":"64250.50","qty":"0.002","quoteQty":"128.501","commission":"0.05140040",
  "commissionAsset":"BNB","realizedPnl":"-0.91539999","buyer":false,"maker":false,"time":1780000000000,"new":{"x":[1]}}"#;

const ORDER_ROW: &str = r#"{"orderId":8389765568816714212,"symbol":"BTCUSDT","status":"NEW","clientOrderId":"x-1:entry",
  "price":"0","avgPrice":"0.00000","origQty":"0.40","executedQty":"0","cumQuote":"0","timeInForce":"GTC","type":"MARKET",
  "origType":"STOP_MARKET","reduceOnly":false,"closePosition":false,"side":"BUY","positionSide":"SHORT","stopPrice":"9300",
  "time":1779999999000,"updateTime":1780000000000}"#;

/// What [`new_order`] is answered with.
const PLACED: &str = r#"{"orderId":8389765568816714212,"symbol":"BTCUSDT","status":"FILLED","clientOrderId":"x-1:entry",
  "price":"0.00","origQty":"0.010","executedQty":"0.010","cumQty":"0.010","timeInForce":"GTC","type":"MARKET",
  "origType":"MARKET","reduceOnly":false,"closePosition":false,"side":"BUY","positionSide":"BOTH","stopPrice":"0.00",
  "workingType":"CONTRACT_PRICE","priceProtect":false,"updateTime":1780000000000}"#;

/// What cancelling [`that_order`] is answered with.
const CANCELED: &str = r#"{"orderId":8389765568816714212,"symbol":"BTCUSDT","status":"CANCELED","clientOrderId":"x-1:entry",
  "price":"59000.5","origQty":"0.010","executedQty":"0","cumQty":"0","timeInForce":"GTC","type":"LIMIT","origType":"LIMIT",
  "reduceOnly":false,"closePosition":false,"side":"BUY","positionSide":"BOTH","stopPrice":"0","updateTime":1780000000000}"#;

async fn trade_error(row: &str) -> ExchangeError {
    let (exchange, ..) = adapter(Script::timed().then(200, &format!("[{row}]")));
    exchange.fetch_my_trades(btc(), from_id("1")).await.unwrap_err()
}

async fn fill_of(row: &str) -> Fill {
    let (exchange, ..) = adapter(Script::timed().then(200, &format!("[{row}]")));
    exchange.fetch_my_trades(btc(), from_id("1")).await.unwrap().rows.remove(0).entity
}

async fn order_of(row: &str) -> Order {
    let (exchange, ..) = adapter(Script::timed().then(200, &format!("[{row}]")));
    exchange.fetch_orders(OrderClass::Regular, None, window()).await.unwrap().rows.remove(0).entity
}

/// A reference to the order of [`ORDER_ROW`], [`PLACED`] and [`CANCELED`].
fn that_order() -> OrderRef {
    OrderRef::Id(OrderClass::Regular, OrderId::new("8389765568816714212").unwrap())
}
