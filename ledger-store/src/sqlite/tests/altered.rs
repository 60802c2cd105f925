//! Rows that somebody changed by hand.

use ledger_core::{AnyFact, FactKind, Fill, FillKey, OrderClass, Outcome, Side, Source, Statement};

use super::{Folder, execute};
use crate::contract::{
    History, batch, by, commit, dump, fill, fills, funding, main_account, new_account, of_order, one_of_each, order,
    position_of, prepare, rest,
};
use crate::pages::Pages;
use crate::*;

#[tokio::test]
async fn a_damaged_row_is_named_and_quarantines_its_symbol_only() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.book(), &OpenOptions::creating()).unwrap();
    prepare(&store, &["ETHUSDT", "BTCUSDT"]).await;
    commit(&store, fills([fill("ETHUSDT", 1, Side::Buy, "1", "100"), fill("BTCUSDT", 2, Side::Buy, "1", "100")])).await;
    execute(&folder.book(), "UPDATE fills SET price = '12x' WHERE symbol = 'ETHUSDT';");
    let error = store.fills(&Scope::account(main_account()).into(), PageRequest::first(9)).await.unwrap_err();
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
        "UPDATE orders SET residual_fees_json = NULL",
        "UPDATE orders SET residual_fees_json = '[{\"amount\":\"9\",\"asset\":\"USDT\"}]' WHERE rowid % 3 = 0",
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

/// What a batch says of damaged rows is answered by itself: the rest is recorded, payloads are kept, and nothing is taken for
/// read. Lists go past such rows when asked to, and the check of the file names them all.
#[tokio::test]
async fn damaged_rows_are_told_one_by_one() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.book(), &OpenOptions::creating()).unwrap();
    prepare(&store, &["ETHUSDT", "BTCUSDT"]).await;
    let trades = |ids: std::ops::Range<i64>| ids.map(|id| rest(AnyFact::Fill(of("ETHUSDT", id)))).collect::<Vec<_>>();
    commit(&store, trades(1..5)).await;
    commit(&store, vec![rest(AnyFact::Income(funding("ETHUSDT", "f", "-0.5", 9)))]).await;
    // Both halves of a trade with oneself share an id: one of them is sound.
    let other_half = Fill { key: FillKey { side: Side::Sell, ..of("ETHUSDT", 2).key }, ..of("ETHUSDT", 2) };
    commit(&store, vec![rest(AnyFact::Fill(other_half.clone()))]).await;
    execute(
        &folder.book(),
        "UPDATE fills SET price = '12x' WHERE fill_id = '2' AND side = 'BUY'; UPDATE fills SET qty = '' WHERE fill_id = '4';
         UPDATE income SET amount = '1e';",
    );
    let cursor = SyncCursor { stream: "fills".into(), symbol: None, position: "7".into() };
    let mut again = batch(trades(1..8));
    again.statements.push(rest(AnyFact::Fill(other_half)));
    // The same once more, in the same batch and by somebody else.
    again.statements.push(by(Source::Stream, AnyFact::Fill(of("ETHUSDT", 4))));
    again.cursors = vec![cursor.clone()];
    let report = store.commit(again).await.unwrap();
    let told: Vec<_> = report
        .outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::AlreadyRecorded => "known",
            Outcome::Recorded => "new",
            Outcome::Unreadable { .. } => "unreadable",
            _ => "other",
        })
        .collect();
    assert_eq!(told, ["known", "unreadable", "known", "unreadable", "new", "new", "new", "known", "unreadable"]);
    let reason = "table fills, row main/ETHUSDT/2/BUY: column price is invalid: `12x` cannot be read as a number";
    assert_eq!(report.outcomes[1], Outcome::Unreadable { reason: reason.to_owned() });
    assert_eq!((report.unreadable.len(), report.counts().unreadable), (2, 3));
    let kept = store.fact_sources(&main_account(), FactKind::Fill, "ETHUSDT|BUY|4").await.unwrap();
    assert_eq!(kept.len(), 2, "both payloads");
    // Whoever goes by cursors asks again.
    assert_eq!(store.cursors(&main_account()).await.unwrap(), []);
    commit(&store, vec![]).await;
    let sound = Batch { cursors: vec![cursor.clone()], ..batch(trades(9..10)) };
    store.commit(sound).await.unwrap();
    assert_eq!(store.cursors(&main_account()).await.unwrap(), [cursor]);

    let filter: FillFilter = Scope::account(main_account()).into();
    for request in [PageRequest::first(3), PageRequest::newest(3)] {
        store.fills(&filter, PageRequest { limit: 9, ..request.clone() }).await.unwrap_err();
        let (mut sound, mut damaged) = (Vec::new(), Vec::new());
        let mut pages = Pages::of(request.past_unreadable(), |page| store.fills(&filter, page));
        while let Some(page) = pages.next().await.unwrap() {
            sound.extend(page.items.iter().map(|fill| fill.fact.key.fill_id.to_string()));
            damaged.extend(page.unreadable.into_iter().map(|row| (row.key, row.column)));
        }
        sound.sort();
        damaged.sort();
        assert_eq!(sound, ["1", "2", "3", "5", "6", "7", "9"]);
        let expected = [("main/ETHUSDT/2/BUY", "price"), ("main/ETHUSDT/4/BUY", "qty")];
        assert_eq!(damaged, expected.map(|(key, column)| (key.to_owned(), column)));
    }
    let found = store.integrity_check().await.unwrap();
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[2].starts_with("table income, row main/FUNDING_FEE/f/ETHUSDT/USDT: column amount"), "{found:?}");
}

/// A row of every kind of fact can be damaged, and each is found.
#[tokio::test]
async fn no_kind_of_fact_is_left_unread_by_the_check() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.book(), &OpenOptions::creating()).unwrap();
    store.create_account(new_account("main")).await.unwrap();
    let statements: Vec<_> = one_of_each().into_iter().map(rest).collect();
    let kinds: std::collections::BTreeSet<_> = statements.iter().map(|it| it.fact.kind().as_str()).collect();
    assert_eq!(kinds.len(), FactKind::ALL.len());
    commit(&store, statements).await;
    assert_eq!(store.integrity_check().await.unwrap(), Vec::<String>::new());
    let tables = [
        "instruments",
        "engine_signals",
        "order_intents",
        "orders",
        "fills",
        "cancels",
        "income",
        "position_snapshots",
        "balance_snapshots",
        "price_snapshots",
        "anchors",
        "position_modes",
    ];
    for table in tables {
        execute(&folder.book(), &format!("UPDATE {table} SET source = 'nobody'"));
    }
    let found = store.integrity_check().await.unwrap();
    for table in tables {
        assert!(found.iter().any(|it| it.starts_with(&format!("table {table}, row main/"))), "{table}: {found:?}");
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
