//! Rows that somebody changed by hand.

use ledger_core::{AnyFact, Fill, OrderClass, Side, Statement};

use super::{Folder, execute};
use crate::contract::{
    History, commit, dump, fill, fills, funding, main_account, new_account, of_order, order, position_of, prepare, rest,
};
use crate::*;

#[tokio::test]
async fn a_damaged_row_is_named_and_quarantines_its_symbol_only() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.book(), &OpenOptions::creating()).unwrap();
    prepare(&store, &["ETHUSDT", "BTCUSDT"]).await;
    commit(&store, fills([fill("ETHUSDT", 1, Side::Buy, "1", "100"), fill("BTCUSDT", 2, Side::Buy, "1", "100")])).await;
    execute(&folder.book(), "UPDATE fills SET price = '12x' WHERE symbol = 'ETHUSDT';");
    let error = store.fills(&Scope::account(main_account()).into(), &PageRequest::first(9)).await.unwrap_err();
    let message = error.to_string();
    assert!(message.contains("table fills") && message.contains("column price"), "{message}");
    rebuild(&store, &main_account(), &mut |_, _| {}).await.unwrap();
    let quarantined = store.quarantined(&main_account()).await.unwrap();
    assert_eq!(quarantined.iter().map(|item| item.symbol.as_str()).collect::<Vec<_>>(), ["ETHUSDT"]);
    assert_eq!(position_of(&store, "BTCUSDT").await.0, "1".parse().unwrap());
}

/// What is derived of orders, too: the fold builds on it.
#[tokio::test]
async fn a_rebuild_trusts_nothing_derived() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.book(), &OpenOptions::creating()).unwrap();
    store.create_account(new_account("main")).await.unwrap();
    let mut statements = History::new(77).statements(300);
    // More orders than are read at once, some without fills and some that executed nothing.
    for id in 10_000..11_100 {
        let executed = if id % 7 == 0 { "0.5" } else { "0" };
        statements.push(rest(AnyFact::Order(order("ETHUSDT", &id.to_string(), Side::Buy, executed, "100", id / 30))));
    }
    let mut conditional = order("ETHUSDT", "1", Side::Buy, "2", "100", 5);
    conditional.key.class = OrderClass::Conditional;
    statements.push(rest(AnyFact::Order(conditional)));
    commit(&store, statements).await;
    let before = dump(&store, &main_account()).await;
    for corruption in [
        "UPDATE orders SET residual_qty = '7'",
        "UPDATE orders SET residual_qty = NULL",
        "UPDATE orders SET filled_qty = NULL, filled_quote = '1', residual_qty = '3' WHERE order_class <> 'REGULAR'",
        "UPDATE orders SET filled_qty = '123', filled_quote = NULL, residual_qty = filled_qty WHERE rowid % 2 = 0",
    ] {
        execute(&folder.book(), corruption);
        assert!(dump(&store, &main_account()).await != before, "{corruption}");
        rebuild(&store, &main_account(), &mut |_, _| {}).await.unwrap();
        assert!(dump(&store, &main_account()).await == before, "{corruption}");
    }
}

/// What somebody changed in the file by hand, and SQLite finds nothing wrong with.
#[tokio::test]
async fn altered_payloads_and_foreign_migrations_are_named() {
    use diesel::connection::SimpleConnection;
    use diesel::{Connection, SqliteConnection};
    let folder = Folder::new();
    let store = SqliteStore::open(folder.book(), &OpenOptions::creating()).unwrap();
    prepare(&store, &["ETHUSDT"]).await;
    commit(&store, fills([fill("ETHUSDT", 1, Side::Buy, "1", "100"), fill("ETHUSDT", 2, Side::Buy, "1", "100")])).await;
    assert_eq!(store.integrity_check().await.unwrap(), Vec::<String>::new());
    let mut conn = SqliteConnection::establish(folder.book().to_str().unwrap()).unwrap();
    conn.batch_execute(
        "UPDATE fact_sources SET payload = payload || ' ' WHERE kind = 'fill' AND fact_key LIKE '%|2';
         INSERT INTO __diesel_schema_migrations (version) VALUES ('20990101000001');",
    )
    .unwrap();
    let found = store.integrity_check().await.unwrap();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().any(|it| it.contains("migration 20990101000001")), "{found:?}");
    assert!(found.iter().any(|it| it.contains("fill ETHUSDT|BUY|2")), "{found:?}");
}

/// Two accounts of the book that are one at the exchange: all of its facts would count twice.
#[tokio::test]
async fn accounts_that_are_one_at_the_exchange_are_named() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.book(), &OpenOptions::creating()).unwrap();
    for name in ["main", "other", "third", "fourth"] {
        store.create_account(new_account(name)).await.unwrap();
    }
    execute(
        &folder.book(),
        "UPDATE accounts SET base_url = 'https://a', alias = 'x', user_id = account_id WHERE account_id <> 'third';
         UPDATE accounts SET base_url = 'https://b', alias = 'x' WHERE account_id = 'third';
         UPDATE accounts SET alias = 'y', user_id = 'main' WHERE account_id = 'fourth';",
    );
    assert_eq!(
        store.integrity_check().await.unwrap(),
        [
            "accounts `fourth` and `main` are one account at the exchange (user main)",
            "accounts `main` and `other` are one account at the exchange (x at https://a)"
        ]
    );
}

/// A batch for two symbols, one of which has an unreadable row: it is recorded, and only that symbol cannot be computed.
#[tokio::test]
async fn a_damaged_row_stops_no_batch() {
    let damaged: [(&str, &dyn Fn() -> Statement); 3] = [
        ("UPDATE fills SET price = '12x' WHERE symbol = 'ETHUSDT'", &|| rest(AnyFact::Fill(of("ETHUSDT", 2)))),
        ("UPDATE fills SET fee = '12x', fee_asset = 'USDT' WHERE symbol = 'ETHUSDT'", &|| charged("ETHUSDT", 1)),
        ("UPDATE orders SET executed_qty = '12x' WHERE symbol = 'ETHUSDT'", &|| rest(AnyFact::Fill(of("ETHUSDT", 3)))),
    ];
    for (damage, statement) in damaged {
        let folder = Folder::new();
        let store = SqliteStore::open(folder.book(), &OpenOptions::creating()).unwrap();
        prepare(&store, &["ETHUSDT", "BTCUSDT"]).await;
        let orders =
            ["ETHUSDT", "BTCUSDT"].map(|name| rest(AnyFact::Order(order(name, "7", Side::Buy, "1", "100", 1))));
        commit(&store, orders.to_vec()).await;
        commit(&store, fills([of("ETHUSDT", 1), of("BTCUSDT", 1)])).await;
        execute(&folder.book(), damage);
        commit(&store, vec![statement(), rest(AnyFact::Fill(of("BTCUSDT", 9)))]).await;
        let quarantined = store.quarantined(&main_account()).await.unwrap();
        let quarantined: Vec<_> = quarantined.iter().map(|it| (it.symbol.as_str(), &it.reason)).collect();
        assert!(
            matches!(quarantined[..], [("ETHUSDT", reason)] if reason.contains("row main/ETHUSDT/")),
            "{damage}: {quarantined:?}"
        );
        assert_eq!(position_of(&store, "BTCUSDT").await.0, "2".parse().unwrap());
    }
}

fn of(symbol: &str, id: i64) -> Fill {
    of_order(fill(symbol, id, Side::Buy, "1", "100"), "7")
}

fn charged(symbol: &str, trade: i64) -> Statement {
    let mut entry = funding(symbol, "c", "-0.5", 9);
    entry.key.income_type = "COMMISSION".parse().unwrap();
    entry.fill_id = Some(trade.to_string().parse().unwrap());
    rest(AnyFact::Income(entry))
}
