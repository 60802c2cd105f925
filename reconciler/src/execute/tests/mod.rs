//! An executor with the exchange mocked and a book in memory: what is written and sent, and in which order.

mod closing;
mod entering;

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use exchange_client::binance_usdm::VENUE;
use exchange_client::{
    Answer, Clock, Endpoint, ExchangeError, ManualClock, Method, MockExchangeReader, MockExchangeTrader, NewOrder,
    OrderFilters, QtyFilter, SendOutcome, Stated, TransportError,
};
use ledger_core::{
    AccountId, ClientOrderId, EventTime, Execution, IntentOutcome, Label, Order, OrderClass, OrderId, OrderKey,
    OrderStatus, PositionMode, PositionSide, PositionSnapshot, Price, SignalId, Symbol, TimestampMs,
};
use ledger_store::{FactReader as _, NewAccount, OpenOptions, SqliteStore, Writer as _};

use super::*;

const NOW_MS: i64 = 1_780_000_000_000;

fn at(ms: i64) -> TimestampMs {
    TimestampMs::new(NOW_MS + ms).unwrap()
}

fn btc() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

fn account() -> AccountId {
    AccountId::new("main").unwrap()
}

fn endpoint() -> Endpoint {
    Endpoint::new(Method::Post, "/fapi/v1/order", Some(&btc()))
}

fn lost() -> ExchangeError {
    ExchangeError::AnswerLost { endpoint: endpoint(), source: TransportError::Lost("connection reset".into()) }
}

fn refused(code: i64) -> ExchangeError {
    ExchangeError::Refused { endpoint: endpoint(), status: 400, code, message: "no".into() }
}

fn stated<T>(entity: T) -> Stated<T> {
    Stated { entity, payload: "{}".into() }
}

fn answer<T>(entities: Vec<T>) -> Answer<T> {
    Answer { rows: entities.into_iter().map(stated).collect(), asked_at: at(0), unreadable: Vec::new() }
}

/// The order as the exchange has it after taking `sent`.
fn taken(sent: &NewOrder, id: &str, status: OrderStatus, executed: &str) -> Stated<Order> {
    let key = OrderKey { symbol: btc(), class: OrderClass::Regular, order_id: OrderId::new(id).unwrap() };
    let mut order = Order::known_from_fill(key, sent.side, Some(sent.position_side));
    order.client_order_id = Some(sent.client_order_id.clone());
    order.status = status;
    order.executed = Some(Execution::new(executed.parse().unwrap(), Some("60000".parse().unwrap())));
    order.order_type = Some(Label::market());
    order.created = Some(EventTime::ms(at(0)));
    order.updated = Some(EventTime::ms(at(0)));
    stated(order)
}

fn held(qty: &str) -> Answer<PositionSnapshot> {
    answer(vec![PositionSnapshot {
        symbol: btc(),
        position_side: PositionSide::Net,
        at: at(0),
        qty: qty.parse().unwrap(),
        entry_price: Some("60000".parse().unwrap()),
    }])
}

/// What became of a future that never waits for anybody.
fn now<T>(future: impl Future<Output = T>) -> T {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("it waits"),
    }
}

/// A book with an account, and an exchange that answers what comes before an order.
struct Stage {
    store: Arc<SqliteStore>,
    clock: Arc<ManualClock>,
    trader: MockExchangeTrader,
    reader: MockExchangeReader,
    /// What was sent.
    sent: Arc<Mutex<Vec<NewOrder>>>,
}

impl Stage {
    async fn new() -> Self {
        let store = Arc::new(SqliteStore::in_memory(&OpenOptions::inline()).unwrap());
        let created_local = at(0);
        store.create_account(NewAccount { id: account(), venue: "binance_usdm".into(), created_local }).await.unwrap();
        let mut reader = MockExchangeReader::new();
        reader.expect_venue().return_const(&VENUE);
        reader.expect_fetch_position_mode().returning(|| Ok(PositionMode::OneWay));
        let step = Some("0.001".parse().unwrap());
        let qty = QtyFilter { step, min: step, max: Some("100".parse().unwrap()) };
        let filters = OrderFilters {
            symbol: btc(),
            is_trading: true,
            tick_size: Some("0.1".parse().unwrap()),
            limit_qty: qty,
            market_qty: qty,
            notional_min: Some("5".parse().unwrap()),
        };
        reader.expect_fetch_order_filters().returning(move || Ok(answer(vec![filters.clone()])));
        reader.expect_fetch_mark_prices().returning(|_| Err(lost()));
        reader.expect_fetch_my_trades().returning(|_, _| Err(lost()));
        let clock = Arc::new(ManualClock::new(at(0)));
        Self { store, clock, trader: MockExchangeTrader::new(), reader, sent: Arc::default() }
    }

    /// Every order is answered with what `outcome` says of the number of its sending, from 1; the book has its intent by then.
    fn answering(&mut self, outcome: impl Fn(usize, &NewOrder) -> SendOutcome<Stated<Order>> + Send + 'static) {
        let (store, sent) = (Arc::clone(&self.store), Arc::clone(&self.sent));
        self.trader.expect_create_order().returning(move |order| {
            let written = now(store.intent(&account(), &order.client_order_id)).unwrap();
            if let Some(intent) = written {
                assert_eq!(intent.fact.outcome, IntentOutcome::Pending);
            }
            let mut sent = sent.lock().unwrap();
            sent.push(order.clone());
            outcome(sent.len(), &order)
        });
    }

    fn executor_of(self, account: AccountId) -> (Executor, Arc<SqliteStore>, Arc<Mutex<Vec<NewOrder>>>) {
        let recorder = Recorder::new(self.store.clone(), account, self.clock as Arc<dyn Clock>);
        (Executor::new(recorder, Arc::new(self.trader), Arc::new(self.reader)), self.store, self.sent)
    }

    fn executor(self) -> (Executor, Arc<SqliteStore>, Arc<Mutex<Vec<NewOrder>>>) {
        self.executor_of(account())
    }
}

fn signal(name: &str) -> Cause {
    Cause::Signal(SignalId::new(name).unwrap())
}

fn entry_of(name: &str) -> EntryRequest {
    EntryRequest { symbol: btc(), cause: signal(name), engine: None, qty: "0.0509".parse().unwrap() }
}

fn close_of(name: &str) -> CloseRequest {
    CloseRequest { symbol: btc(), cause: signal(name), engine: None, reason: None, believed_qty: None }
}

async fn outcome_of(store: &SqliteStore, id: &ClientOrderId) -> IntentOutcome {
    store.intent(&account(), id).await.unwrap().unwrap().fact.outcome
}
