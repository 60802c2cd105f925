//! The simulator's tests: by its own raw interface, through the real adapter, and by laws of its books.

mod adapter;
mod conditionals;
mod equality;
mod faults;
mod forced;
mod history;
mod listening;
mod orders;
mod properties;
mod reducing;
mod requests;
mod session;
mod strangers;
mod stream;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ledger_core::{
    ClientOrderId, Decimal, OrderClass, OrderId, OrderStatus, PositionMode, PositionSide, Price, Quantity, Side,
    Symbol, TimestampMs,
};

use super::reply::Arrival;
use super::request::Incoming;
use super::*;
use crate::api::{ExchangeReader, ExchangeTrader, NewOrder, OrderKind, OrderRef, TimeWindow, TradeQuery, WindowQuery};
use crate::binance_usdm::{BinanceUsdm, RequestSettings, RetryPolicy};
use crate::clock::ManualClock;
use crate::error::{ErrorClass, ExchangeError, SendOutcome};
use crate::transport::{HttpTransport, HttpTransportConfig, Transport};

const START_MS: i64 = 1_780_000_000_000;

fn start() -> TimestampMs {
    TimestampMs::new(START_MS).unwrap()
}

fn simulator(config: SimulatorConfig) -> (Arc<Simulator>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(start()));
    (Arc::new(Simulator::new(config, Arc::clone(&clock)).unwrap()), clock)
}

fn generous(seed: u64) -> SimulatorConfig {
    SimulatorConfig { weight_1m_max: None, ..SimulatorConfig::new(seed) }
}

fn adapter(transport: Arc<dyn Transport>, clock: &Arc<ManualClock>, base_url: &str) -> BinanceUsdm {
    let credentials = SimulatorAccount::standard().credentials().unwrap();
    // Every refusal is told at once: they are what is tested here.
    let settings = RequestSettings { retry: RetryPolicy::NEVER, ..RequestSettings::SIMULATED };
    BinanceUsdm::with_settings(transport, Arc::clone(clock) as Arc<dyn Clock>, base_url, credentials, settings).unwrap()
}

fn in_process(simulator: &Arc<Simulator>, clock: &Arc<ManualClock>) -> BinanceUsdm {
    adapter(Arc::new(SimulatorTransport::new(Arc::clone(simulator))), clock, "http://127.0.0.1:1")
}

fn symbol(name: &str) -> Symbol {
    Symbol::new(name).unwrap()
}

fn order(name: &str, side: Side, qty: &str, client_order_id: &str) -> NewOrder {
    NewOrder {
        client_order_id: ClientOrderId::new(client_order_id).unwrap(),
        symbol: symbol(name),
        side,
        position_side: PositionSide::Net,
        kind: OrderKind::Market,
        size: qty.parse::<Quantity>().unwrap().into(),
        reduce_only: false,
    }
}

fn refused<T>(outcome: SendOutcome<T>) -> i64 {
    match outcome {
        SendOutcome::Rejected(ExchangeError::Refused { code, .. } | ExchangeError::SymbolClosed { code, .. }) => code,
        SendOutcome::Rejected(error) | SendOutcome::Unknown(error) => panic!("another error: {error}"),
        SendOutcome::Done(_) => panic!("not refused"),
    }
}

/// Some trading on several contracts with time in between.
async fn trade(simulator: &Simulator, exchange: &BinanceUsdm) {
    let plan = [
        ("BTCUSDT", Side::Buy, "0.05"),
        ("ETHUSDT", Side::Sell, "1.5"),
        ("币安人生USDT", Side::Buy, "700"),
        ("BTCUSDT", Side::Buy, "0.013"),
        ("ETHUSDC", Side::Buy, "0.4"),
        ("BTCUSDT", Side::Sell, "0.1"),
        ("ETHUSDT", Side::Buy, "0.7"),
    ];
    for (index, (name, side, qty)) in plan.into_iter().enumerate() {
        simulator.step(Duration::from_secs(3_700 * 2));
        let placed = exchange.create_order(order(name, side, qty, &format!("plan-{index}"))).await;
        assert_eq!(placed.done().unwrap().entity.status, OrderStatus::Filled);
    }
    simulator.step(Duration::from_secs(20));
}

fn history() -> WindowQuery {
    WindowQuery::new(TimeWindow::new(start(), start().saturating_add_ms(30 * 86_400_000)).unwrap())
}

async fn all_trades(exchange: &BinanceUsdm, name: &str) -> Vec<crate::Stated<ledger_core::Fill>> {
    let mut rows = Vec::new();
    let mut next = Some(TradeQuery::Window(history().window));
    while let Some(query) = next {
        let page = exchange.fetch_my_trades(symbol(name), query).await.unwrap();
        rows.extend(page.rows);
        next = page.next;
    }
    rows
}

async fn all_income(exchange: &BinanceUsdm) -> Vec<crate::Stated<ledger_core::Income>> {
    let mut rows = Vec::new();
    let mut next = Some(history());
    while let Some(query) = next {
        let page = exchange.fetch_income(None, query).await.unwrap();
        rows.extend(page.rows);
        next = page.next;
    }
    rows
}

fn ask(simulator: &Simulator, method: &str, path: &str, query: &str, key: Option<&str>) -> (u16, serde_json::Value) {
    let reply = simulator.handle(&Incoming { method, path, query, body: "", api_key: key });
    let Arrival::Whole(answer) = reply.arrival else { panic!("a fault without a fault profile") };
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

/// Signed with the library that the adapter uses, from the documented recipe.
fn signed(query: &str, secret: &str) -> String {
    use hmac::Mac;
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(query.as_bytes());
    let digest = mac.finalize().into_bytes();
    let hex = digest.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    format!("{query}&signature={hex}")
}

/// Somebody with a key, who speaks the raw interface.
struct Desk {
    simulator: Arc<Simulator>,
    key: String,
    secret: String,
}

impl Desk {
    fn new(simulator: &Arc<Simulator>, account: usize) -> Self {
        let account = &simulator.config().accounts[account];
        Self { simulator: Arc::clone(simulator), key: account.api_key.clone(), secret: account.api_secret.clone() }
    }

    fn ask(&self, method: &str, path: &str, query: &str) -> (u16, serde_json::Value) {
        let now_ms = self.simulator.books().at_ms;
        let query = signed(&format!("{query}&timestamp={now_ms}"), &self.secret);
        ask(&self.simulator, method, &format!("/fapi/{path}"), &query, Some(&self.key))
    }

    /// An answer that is no refusal.
    #[track_caller]
    fn done(&self, method: &str, path: &str, query: &str) -> serde_json::Value {
        let (status, body) = self.ask(method, path, query);
        assert_eq!(status, 200, "{method} {path} {query}: {body}");
        body
    }

    #[track_caller]
    fn get(&self, path: &str, query: &str) -> serde_json::Value {
        self.done("GET", path, query)
    }

    /// The code of a refusal.
    #[track_caller]
    fn refused(&self, method: &str, path: &str, query: &str) -> i64 {
        let (status, body) = self.ask(method, path, query);
        assert_eq!(status, 400, "{method} {path} {query}: {body}");
        body["code"].as_i64().unwrap()
    }

    /// Places an order and answers its final state.
    #[track_caller]
    fn order(&self, query: &str) -> serde_json::Value {
        self.done("POST", "v1/order", &format!("{query}&newOrderRespType=RESULT"))
    }

    #[track_caller]
    fn conditional(&self, query: &str) -> serde_json::Value {
        self.done("POST", "v1/algoOrder", &format!("algoType=CONDITIONAL&{query}"))
    }

    /// The books of this account.
    fn truth(&self) -> AccountSnapshot {
        let books = self.simulator.books();
        let at = self.simulator.config().accounts.iter().position(|account| account.api_key == self.key).unwrap();
        books.accounts[at].clone()
    }

    fn wallet(&self, asset: &str) -> Decimal {
        self.truth().wallets[asset]
    }
}

/// Prices that stand still, and limits that are far away: everything that happens is asked for.
fn still() -> (Arc<Simulator>, Desk) {
    still_with(SimulatorConfig::new(5))
}

fn still_with(config: SimulatorConfig) -> (Arc<Simulator>, Desk) {
    let config = SimulatorConfig {
        prices_wander: false,
        weight_1m_max: Some(1_000_000),
        orders_10s_max: None,
        orders_1m_max: None,
        ..config
    };
    let (simulator, _clock) = simulator(config);
    for spec in MarketSpec::standard() {
        // One price for everybody.
        simulator.set_depth(&symbol(&spec.symbol), Some("1000000".parse().unwrap())).unwrap();
    }
    let desk = Desk::new(&simulator, 0);
    (simulator, desk)
}

fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn set_price(simulator: &Simulator, name: &str, price: &str) {
    simulator.set_price(&symbol(name), price.parse().unwrap()).unwrap();
}

/// A simulator over HTTP: where it answers, and what keeps it running.
async fn served(simulator: &Arc<Simulator>) -> (String, tokio::sync::oneshot::Sender<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(serve(Arc::clone(simulator), listener, async { drop(stopped.await) }));
    (base_url, stop)
}
