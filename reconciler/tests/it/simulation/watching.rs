//! The process that watches the account, as a service manager keeps it: one that ends by itself is started again.

use std::sync::Arc;

use exchange_client::binance_usdm::UserStreamSettings;
use exchange_client::simulator::SimulatorTransport;
use ledger_store::StoreErrorClass;
use reconciler::ReconcileError;
use reconciler::service::{Stop, Teller, WatchConfig, WatchError, Watcher};

use super::bots::Desk;

/// Watches until it is stopped. `name` tells it from those before it.
pub(super) async fn live(desk: Desk, transport: SimulatorTransport, name: String, seed: u32, stop: Stop) {
    let streams = desk.exchange.user_streams(Arc::new(transport), UserStreamSettings::default()).unwrap();
    let streams = Arc::new(streams);
    let mut config = WatchConfig::new(desk.account.clone(), name);
    config.seed = seed;
    let watcher = Watcher::new(desk.exchange.clone(), streams.clone(), desk.store.clone(), desk.clock(), config);
    let log = desk.log.clone();
    let teller: Teller = Arc::new(move |told| log.note(told.at_local, &format!("{}: {}", told.kind, told.text)));
    // On another machine nothing tells that the one before is dead, but the time.
    let Err(error) = watcher.hearing_marks(streams).waiting().run(stop, teller).await else {
        return desk.note("the watcher ends");
    };
    // Somebody else keeps the book locked. Nothing else ends it.
    let is_locked = matches!(&error, WatchError::Reconcile { source: ReconcileError::Store { source, .. }, .. }
        if source.class() == StoreErrorClass::Busy);
    assert!(is_locked, "{error:?}");
    desk.note("the watcher ends: the book is locked");
}
