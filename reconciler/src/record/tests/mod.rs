//! Events against books in memory.

mod events;
mod follow;
mod gate;
mod interleaved;
mod meant;
mod together;
mod words;

use std::sync::Arc;

use exchange_client::ManualClock;
use ledger_core::{AccountId, PositionMode, TimestampMs};
use ledger_store::{Book, NewAccount, OpenOptions, SqliteStore, Writer as _};
use serde_json::{Value, json};

use super::{ClientIdScheme, EventRecorder};

const START_MS: i64 = 1_772_344_800_000;

fn account() -> AccountId {
    AccountId::new("main").unwrap()
}

/// A recorder on an empty book, with the book and the clock.
async fn recorder() -> (EventRecorder, Book, Arc<ManualClock>) {
    recorder_in(PositionMode::OneWay).await
}

async fn recorder_in(mode: PositionMode) -> (EventRecorder, Book, Arc<ManualClock>) {
    let store = SqliteStore::in_memory(&OpenOptions::inline()).unwrap();
    let clock = Arc::new(ManualClock::new(TimestampMs::new(START_MS).unwrap()));
    let created_local = TimestampMs::new(START_MS).unwrap();
    store.create_account(NewAccount { id: account(), venue: "binance_usdm".into(), created_local }).await.unwrap();
    store.set_position_mode(&account(), mode, created_local).await.unwrap();
    let store: Book = Arc::new(store);
    let recorder = EventRecorder::open(Arc::clone(&store), account(), clock.clone()).await.unwrap();
    (recorder, store, clock)
}

/// Gives a line and answers what it is answered.
#[track_caller]
fn ask<'a>(recorder: &'a mut EventRecorder, line: &Value) -> impl Future<Output = Value> + 'a {
    let line = line.to_string();
    async move { recorder.line(1, &line).await.unwrap().to_json() }
}

/// An order of ccxt's, with the exchange's answer in it.
fn order(symbol: &str, id: u64, client_id: &str, side: &str, status: &str, executed: &str, avg: &str) -> Value {
    json!({ "symbol": symbol, "id": id.to_string(), "info": {
        "orderId": id, "symbol": symbol, "clientOrderId": client_id, "status": status, "side": side, "positionSide": "BOTH",
        "type": "MARKET", "origQty": "2", "executedQty": executed, "avgPrice": avg,
        "time": START_MS, "updateTime": START_MS + 5,
    } })
}

/// A trade of one coin at 0.05 USDT.
fn trade(symbol: &str, id: u64, order_id: u64, side: &str, price: &str, ms: i64) -> Value {
    json!({ "symbol": symbol, "id": id.to_string(), "side": side.to_lowercase(), "price": price, "amount": "1", "info": {
        "id": id, "orderId": order_id, "symbol": symbol, "side": side, "positionSide": "BOTH", "price": price, "qty": "1",
        "commission": "0.05", "commissionAsset": "USDT", "maker": false, "time": ms,
    } })
}

fn intent(trade: &str, role: &str) -> Value {
    json!({ "event": "intent", "symbol": "BTCUSDT", "side": "long", "role": role, "type": "market", "amount": "2",
        "engine": "swing", "trade": trade })
}

fn sent(id: &Value, result: &str) -> Value {
    json!({ "event": "sent", "client_order_id": id, "symbol": "BTCUSDT", "result": result })
}

#[tokio::test]
async fn ids_are_worded_as_the_bot_words_them() {
    let (recorder, ..) = recorder().await;
    let scheme: ClientIdScheme = "b{engine:5}{role:1}{*}".parse().unwrap();
    let mut recorder = recorder.wording_ids(vec![scheme]);
    let answer = ask(&mut recorder, &intent("t-1", "entry")).await;
    assert!(answer["client_order_id"].as_str().unwrap().starts_with("bswinge"), "{answer}");
}
