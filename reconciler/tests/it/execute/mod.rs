//! An executor on the simulator, with a book in a file: what it sends, what of that is on record, and what is left when its
//! process dies in between. The simulator's own books say whether it is right.

mod closing;
mod entering;
mod hostile;
mod protecting;
mod wallet;
mod working;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use exchange_client::simulator::{AccountSnapshot, OrderTruth, SimulatorConfig};
use exchange_client::{Method, Request, Response, Transport, TransportError};
use ledger_core::{Decimal, EngineLabel, PositionSide, SignalId, Symbol};
use ledger_store::DerivedReader as _;
use reconciler::{Cause, CloseRequest, EntryRequest, Executor};

use crate::support::Fixture;

pub(super) const SYMBOL: &str = "BTCUSDT";

pub(super) fn symbol() -> Symbol {
    Symbol::new(SYMBOL).unwrap()
}

/// What becomes of one of the requests between an executor and the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// It never arrives, and nobody says so.
    Before,
    /// It is carried out, and its answer never comes.
    After,
}

/// Lets all requests pass but one.
pub(super) struct Line {
    inner: Arc<dyn Transport>,
    /// Which one, from 1; 0 for none.
    at: usize,
    cut: Cut,
    /// Only orders are counted.
    orders_only: bool,
    pub(super) count: AtomicUsize,
    /// The request that did not arrive.
    pub(super) kept: Mutex<Option<Request>>,
}

#[async_trait]
impl Transport for Line {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let counts = !self.orders_only || (request.method == Method::Post && request.path.ends_with("/order"));
        let number = if counts { self.count.fetch_add(1, Ordering::SeqCst) + 1 } else { usize::MAX };
        if number != self.at {
            return self.inner.send(request).await;
        }
        match self.cut {
            Cut::Before => *self.kept.lock().unwrap() = Some(request),
            Cut::After => drop(self.inner.send(request).await),
        }
        std::future::pending().await
    }
}

/// A [`Line`] that is shared with the test.
pub(super) struct Shared(pub(super) Arc<Line>);

#[async_trait]
impl Transport for Shared {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        self.0.send(request).await
    }
}

/// What a process does until it is killed, or done. Time stands still but for waiting.
pub(super) fn life<T>(lasts: Duration, work: impl AsyncFnOnce() -> T) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async { tokio::time::timeout(lasts, work()).await.ok() })
}

/// An exchange whose prices stand, and an account of this mode.
pub(super) fn exchange(seed: u64, hedge: bool) -> SimulatorConfig {
    let mut config = SimulatorConfig { prices_wander: false, ..SimulatorConfig::new(seed) };
    for account in &mut config.accounts {
        account.hedge_mode = hedge;
    }
    config
}

impl Fixture {
    pub(super) fn line(&self, at: usize, cut: Cut, orders_only: bool) -> Arc<Line> {
        let inner = Arc::clone(&self.transport);
        Arc::new(Line { inner, at, cut, orders_only, count: AtomicUsize::new(0), kept: Mutex::default() })
    }

    /// An executor of a process that begins now.
    pub(super) fn executor_over(&self, line: &Arc<Line>) -> Executor {
        let exchange = Arc::new(self.adapter_over(Shared(Arc::clone(line))));
        let recorder = self.recorder().learning_contracts(exchange.clone());
        Executor::new(recorder, exchange.clone(), exchange)
    }

    pub(super) fn executor(&self) -> Executor {
        self.executor_over(&self.line(0, Cut::Before, false))
    }

    pub(super) fn truth(&self) -> AccountSnapshot {
        self.simulator.books().accounts.remove(0)
    }

    /// The orders that the exchange took with an id of this role.
    pub(super) fn orders_of(&self, role: &str) -> Vec<OrderTruth> {
        let is_of = |order: &OrderTruth| order.client_order_id.starts_with(&format!("fb:swing:{role}:"));
        self.truth().orders.into_iter().filter(is_of).collect()
    }

    /// What is held in the contract by the exchange's own books.
    pub(super) fn held(&self) -> Vec<(PositionSide, Decimal)> {
        let held = self.truth().positions.into_iter().filter(|position| position.symbol == SYMBOL);
        held.map(|position| (position.position_side, position.qty)).collect()
    }

    /// What the book derives to be held.
    pub(super) async fn booked(&self) -> Vec<(PositionSide, Decimal)> {
        let booked = self.store.positions(&self.account).await.unwrap();
        let booked = booked.into_iter().filter(|position| position.symbol == symbol());
        booked.map(|it| (it.position.position_side, it.position.qty)).filter(|(_, qty)| !qty.is_zero()).collect()
    }

    /// Two looks, further apart than a request may be on its way: what nobody knows is decided by then.
    pub(super) async fn decided(&self) {
        for _ in 0..3 {
            self.simulator.step(Duration::from_secs(70));
            self.reconciler().sync().await.unwrap();
        }
    }

    /// The book is what the exchange's own books are.
    pub(super) async fn assert_equal(&self) {
        self.simulator.step(Duration::from_secs(70));
        let report = self.reconciler().sync().await.unwrap();
        assert!(report.verification.is_clean(), "{:?}", report.verification);
        assert_eq!(self.booked().await, self.held());
    }
}

pub(super) fn cause(name: &str) -> Cause {
    Cause::Signal(SignalId::new(name).unwrap())
}

fn engine() -> EngineLabel {
    EngineLabel::new("swing").unwrap()
}

pub(super) fn entry(name: &str, qty: &str) -> EntryRequest {
    EntryRequest { symbol: symbol(), cause: cause(name), engine: Some(engine()), qty: qty.parse().unwrap() }
}

pub(super) fn close(name: &str) -> CloseRequest {
    CloseRequest { symbol: symbol(), cause: cause(name), engine: Some(engine()), reason: None, believed_qty: None }
}
