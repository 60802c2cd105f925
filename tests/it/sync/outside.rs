//! What a sync brings from outside the account, through the command itself.

use std::sync::Arc;

use ledger_core::{AccountId, Side, Symbol};
use ledger_store::{FactReader, FillFilter, OpenOptions, PageRequest, Scope, SqliteStore};

use crate::support::{Exchange, Sandbox};

#[tokio::test]
async fn fees_in_bnb_can_be_valued_after_a_sync() {
    let exchange = Exchange::paying_in_bnb(61);
    // The exchange's own client blocks its thread.
    let exchange = tokio::task::spawn_blocking(move || {
        exchange.trade("fb-one", "ETHUSDT", Side::Buy, "0.5");
        exchange.trade("fb-two", "ETHUSDT", Side::Sell, "0.5");
        exchange
    });
    let exchange = exchange.await.unwrap();
    let sandbox = Sandbox::empty();
    let first = sandbox.command(&["sync", "--json"], &exchange.environment()).exits(0).json().pop().unwrap();
    // A trade in the last moment of a minute gets its price once that minute is over: by the second sync at the latest.
    let second = sandbox.command(&["sync", "--json"], &exchange.environment()).exits(0).json().pop().unwrap();
    let count = |summary: &serde_json::Value| summary["outside"]["prices"].as_u64().unwrap();
    assert!(count(&first) + count(&second) >= 1, "{first} {second}");
    assert_eq!(first["outside"]["remarks"], serde_json::json!([]), "{first}");
    let path = sandbox.path().join("fillbook.db");
    let store = Arc::new(SqliteStore::open(path, &OpenOptions::inline()).unwrap());
    let account = AccountId::new("main").unwrap();
    let bnb = Scope::symbol(account.clone(), Symbol::new("BNBUSDT").unwrap());
    let prices = store.price_snapshots(&bnb, PageRequest::first(99)).await.unwrap().items;
    let fills = store.fills(&FillFilter::from(Scope::account(account)), PageRequest::first(99)).await.unwrap().items;
    assert!(fills.len() >= 2);
    for fill in fills {
        assert_eq!(fill.fact.fee.as_ref().unwrap().asset.as_str(), "BNB");
        let near = prices.iter().filter(|price| (price.fact.at.as_ms() - fill.fact.time.at.as_ms()).abs() <= 60_000);
        assert!(near.count() >= 1, "{fill:?}: {prices:?}");
    }
    // A contract that only lends its price is none that the account trades.
    let positions = sandbox.run(&["positions", "--all", "--json"]).exits(0).json();
    assert!(positions.iter().all(|position| position["symbol"] != "BNBUSDT"), "{positions:?}");
}
