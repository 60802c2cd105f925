//! An executor whose book another program keeps locked: a close is made all the same, and soon.

use std::sync::Arc;
use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use exchange_client::binance_usdm::{BinanceUsdm, VENUE};
use exchange_client::simulator::{Simulator, SimulatorAccount, SimulatorClock, SimulatorConfig, SimulatorTransport};
use exchange_client::{Clock, SystemClock};
use ledger_core::{AccountId, SignalId, Symbol};
use ledger_store::{NewAccount, OpenOptions, SqliteStore, Writer as _};
use reconciler::{Cause, CloseRequest, EntryOutcome, EntryRequest, Executor, Recorder};

#[tokio::test]
async fn a_locked_book_holds_up_no_close() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let config = SimulatorConfig { prices_wander: false, ..SimulatorConfig::new(3) };
    let simulator = Arc::new(Simulator::new(config, SimulatorClock::Live(Arc::clone(&clock))).unwrap());
    let transport = Arc::new(SimulatorTransport::new(Arc::clone(&simulator)));
    let credentials = SimulatorAccount::standard().credentials().unwrap();
    let exchange = BinanceUsdm::new(transport, Arc::clone(&clock), "http://127.0.0.1:1", credentials).unwrap();
    let exchange = Arc::new(exchange);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book.db");
    let options = OpenOptions::creating().with_rules(VENUE.name, VENUE.ledger_rules);
    let store = Arc::new(SqliteStore::open(&path, &options).unwrap());
    let account = AccountId::new("main").unwrap();
    let created_local = clock.now();
    store.create_account(NewAccount { id: account.clone(), venue: VENUE.name.into(), created_local }).await.unwrap();
    let recorder = Recorder::new(store, account, Arc::clone(&clock));
    let recorder = recorder.learning_contracts(exchange.clone());
    let executor = Executor::new(recorder, exchange.clone(), exchange);

    let (symbol, cause) = (Symbol::new("BTCUSDT").unwrap(), Cause::Signal(SignalId::new("s-1").unwrap()));
    let qty = "0.05".parse().unwrap();
    let entry = EntryRequest { symbol: symbol.clone(), cause: cause.clone(), engine: None, qty };
    let entered = executor.long_market(&entry).await.unwrap();
    assert!(matches!(entered, EntryOutcome::Sent(_)), "{entered:?}");

    let mut other = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    let began = tokio::time::Instant::now();
    let close = CloseRequest { symbol, cause, engine: None, reason: None, believed_qty: None };
    let report = executor.close_long_market(&close).await;
    let took = began.elapsed();
    assert!(report.is_flat() && !report.not_recorded.is_empty(), "{report:?}");
    let positions = || simulator.books().accounts.remove(0).positions;
    assert!(positions().is_empty());
    other.batch_execute("COMMIT").unwrap();
    // A write waits for a lock much longer than this, and a close makes three.
    assert!(took < Duration::from_secs(10), "{took:?}");
}
