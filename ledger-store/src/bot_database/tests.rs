use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use ledger_core::{
    AnyFact, Condition, Decimal, Execution, OrderClass, OrderStatus, Origin, PositionSide, Side, SignalKind, Source,
    TimePrecision, VenueRules,
};

use super::{BotDatabase, BotRow, BotTable, BotVenue};
use crate::{OpenOptions, SqliteStore, StoreError};

/// What ids and types mean at a venue of this test's own.
const RULES: BotVenue = BotVenue {
    rules: VenueRules {
        client_id_prefixes: &[("forced-", Origin::Liquidation), ("phone_", Origin::Person)],
        forced_types: &[],
        conditional_types: &[("GAIN", Condition::TakeProfit), ("LOSS", Condition::Stop)],
    },
    other_venue: |fields| (fields.filter(|field| *field == "tulip").count() > 0).then_some("the flower market"),
    counts_coins: Some("the test's venue"),
};
const SCHEMA: &str = "
    CREATE TABLE engine_signals (id INTEGER PRIMARY KEY, ts REAL, symbol TEXT, side TEXT, engine TEXT, reason TEXT, meta_json TEXT);
    CREATE TABLE orders (order_id TEXT PRIMARY KEY, ts INTEGER, symbol TEXT, side TEXT, order_type TEXT, status TEXT,
        price REAL, qty REAL, engine TEXT, client_order_id TEXT, raw_json TEXT);
    CREATE TABLE fills (fill_id TEXT PRIMARY KEY, ts INTEGER, order_id TEXT, symbol TEXT, side TEXT, price REAL, qty REAL,
        fee REAL, fee_asset TEXT, raw_json TEXT);
    CREATE TABLE positions (id INTEGER PRIMARY KEY, ts INTEGER, symbol TEXT, side TEXT, qty REAL);
    CREATE TABLE cancels (id INTEGER PRIMARY KEY, ts TEXT, order_id INTEGER, symbol TEXT, side TEXT, reason TEXT);";

fn bot(statements: &str) -> (tempfile::TempDir, BotDatabase) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bot.db");
    let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    conn.batch_execute(SCHEMA).unwrap();
    conn.batch_execute(statements).unwrap();
    drop(conn);
    let database = BotDatabase::open(path, RULES).unwrap();
    (folder, database)
}

fn only(rows: &[BotRow]) -> &AnyFact {
    let [BotRow { parsed: Ok(statements), .. }] = rows else { panic!("{rows:?}") };
    let [statement] = statements.as_slice() else { panic!("{statements:?}") };
    assert_eq!(statement.source, Source::BotDatabase);
    &statement.fact
}

fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

#[test]
fn large_ids_and_decimals_are_exact() {
    let (_folder, mut bot) = bot(
        "INSERT INTO fills VALUES ('9007199254740993', 1767225600123, '8389765568816714211', 'BTC/USDT:USDT', 'buy',
            0.1, 0.30000000000000004, 0.00000001, 'BNB', NULL);",
    );
    let rows = bot.rows(BotTable::Fills, None, 10).unwrap();
    let AnyFact::Fill(fill) = only(&rows) else { panic!("{rows:?}") };
    assert_eq!(fill.key.fill_id.as_str(), "9007199254740993");
    assert_eq!(fill.order_id.as_ref().unwrap().as_str(), "8389765568816714211");
    assert_eq!(fill.key.symbol.as_str(), "BTCUSDT");
    // What is noise of a double's sum in a REAL is no digit of a trade; in TEXT every digit counts.
    assert_eq!((fill.price.get(), fill.qty.get()), (dec("0.1"), dec("0.3")));
    assert_eq!(fill.fee.as_ref().unwrap().amount, dec("0.00000001"));
    assert_eq!((fill.position_side, fill.sequence), (None, Some(9_007_199_254_740_993)));
}

#[test]
fn decimals_of_the_raw_payload_are_preferred() {
    let (_folder, mut bot) = bot(
        r#"INSERT INTO fills VALUES ('77', 1767225600, '5', 'ETH/USDT:USDT', 'long', 2000.1, 0.1, 0.08, 'USDT',
            '{"id":"77","amount":0.1,"takerOrMaker":"taker","info":{"symbol":"ETHUSDT","id":"77","orderId":"5","side":"SELL",
            "price":"2000.10","qty":"0.100","realizedPnl":"-1.50","commission":"0.08000400","commissionAsset":"USDT",
            "positionSide":"LONG","maker":false,"time":"1767225600123"}}');"#,
    );
    let rows = bot.rows(BotTable::Fills, None, 10).unwrap();
    let AnyFact::Fill(fill) = only(&rows) else { panic!("{rows:?}") };
    assert_eq!(fill.fee.as_ref().unwrap().amount, dec("0.080004"));
    assert_eq!(fill.exchange_realized_pnl, Some(dec("-1.5")));
    assert_eq!((fill.key.side, fill.position_side, fill.maker), (Side::Sell, Some(PositionSide::Long), Some(false)));
    assert_eq!((fill.time.at.as_ms(), fill.time.precision), (1_767_225_600_123, TimePrecision::Millisecond));
}

#[test]
fn an_order_answer_makes_no_fill() {
    let answers = [
        r#"('x1', 1767225600123, '5', 'ETHUSDT', 'BUY', 1, 1, NULL, NULL,
            '{"info":{"orderId":"5","symbol":"ETHUSDT","side":"BUY","status":"FILLED","executedQty":"0.3","avgPrice":"2000.5"}}')"#,
        r#"('x2', 1767225600123, '5', 'ETHUSDT', 'BUY', 1, 1, NULL, NULL,
            '{"id":"5","status":"closed","filled":0.3,"average":2000.5,"side":"buy"}')"#,
    ];
    for answer in answers {
        let (_folder, mut bot) = bot(&format!("INSERT INTO fills VALUES {answer};"));
        let rows = bot.rows(BotTable::Fills, None, 10).unwrap();
        assert!(rows.first().unwrap().note.unwrap().contains("not as a fill"));
        let AnyFact::Order(order) = only(&rows) else { panic!("{rows:?}") };
        assert_eq!((order.key.order_id.as_str(), order.key.class), ("5", OrderClass::Regular));
        let executed = order.executed.as_ref().unwrap();
        assert_eq!((executed.qty, executed.avg_price.unwrap().get()), (dec("0.3"), dec("2000.5")));
    }
}

/// What an answer cost stays with its order, as the library states it or the bot wrote it down; a column of 0 says nothing.
#[test]
fn an_order_answer_keeps_its_fee() {
    let raw =
        |fee: &str| format!(r#"'{{"id":"5","status":"closed","filled":0.3,"average":2000.5,"side":"buy"{fee}}}'"#);
    let library = r#","fee":{"cost":0.25,"currency":"BNB"}"#;
    for (column, fee, expected) in [
        ("0.3, 'USDT'", "", Some("0.3 USDT")),
        ("0.3, 'USDT'", library, Some("0.25 BNB")),
        ("0.0, 'USDT'", "", None),
        ("0.0, 'USDT'", r#","fee":{"cost":null,"currency":null}"#, None),
        ("NULL, NULL", library, Some("0.25 BNB")),
        ("NULL, NULL", "", None),
    ] {
        let raw = raw(fee);
        let (_folder, mut bot) = bot(&format!(
            "INSERT INTO fills VALUES ('x', 1767225600123, '5', 'ETHUSDT', 'BUY', 1, 1, {column}, {raw});
             INSERT INTO orders VALUES ('5', 1767225600123, 'ETHUSDT', 'BUY', 'market', NULL, NULL, 0.3, NULL, NULL, {raw});"
        ));
        for table in [BotTable::Fills, BotTable::Orders] {
            let rows = bot.rows(table, None, 10).unwrap();
            let AnyFact::Order(order) = only(&rows) else { panic!("{rows:?}") };
            let fees: Vec<_> = order.fees.iter().flat_map(ledger_core::StatedFees::paid).collect();
            let told = fees.first().map(|fee| format!("{} {}", fee.amount, fee.asset));
            // A table of orders has no column for it.
            let expected = expected.filter(|_| table == BotTable::Fills || !fee.is_empty());
            assert_eq!(told.as_deref(), expected, "{table} {column} {fee}");
            assert!(order.fees.as_ref().is_none_or(|fees| fees.qty() == dec("0.3")));
        }
    }
}

#[test]
fn an_order_answer_without_payload_executed_nothing_unless_filled() {
    let executed = |statements: &str| {
        let (_folder, mut bot) = bot(&format!("ALTER TABLE fills ADD COLUMN status TEXT; {statements}"));
        let rows = bot.rows(BotTable::Fills, None, 10).unwrap();
        let AnyFact::Order(order) = only(&rows) else { panic!("{rows:?}") };
        assert_eq!(order.key.order_id.as_str(), "5");
        let note = rows.first().unwrap().note.unwrap();
        assert!(note.contains("not as a fill"), "{note}");
        assert_eq!(note.contains("does not say what the order executed"), order.executed.is_none(), "{note}");
        order.executed.clone()
    };
    for (status, payload) in [
        ("NULL", "NULL"),
        ("'NEW'", "NULL"),
        ("'open'", "NULL"),
        ("'canceled'", "NULL"),
        ("'PARTIALLY_FILLED'", "NULL"),
        ("'NEW'", "'{\"clientOrderId\":\"x\"}'"),
        ("'FILLED'", "'{\"status\":\"CANCELED\"}'"),
    ] {
        let row = format!("('5', 1767225600123, '5', 'ETHUSDT', 'BUY', 2000.5, 0.3, NULL, NULL, {payload}, {status})");
        assert_eq!(executed(&format!("INSERT INTO fills VALUES {row};")), None, "{status} {payload}");
    }
    for (status, payload) in [("'closed'", "NULL"), ("'FILLED'", "NULL"), ("NULL", "'{\"status\":\"FILLED\"}'")] {
        let row = format!("('5', 1767225600123, '5', 'ETHUSDT', 'BUY', 2000.5, 0.3, NULL, NULL, {payload}, {status})");
        // The price is the limit, which need not be what was paid.
        let all = Execution::new(dec("0.3"), None);
        assert_eq!(executed(&format!("INSERT INTO fills VALUES {row};")), Some(all), "{status} {payload}");
    }
}

#[test]
fn orders_signals_and_cancels_are_read() {
    let (_folder, mut bot) = bot(
        r#"INSERT INTO orders VALUES ('5', 1767225600123, 'ETH/USDT:USDT', 'sell', 'limit', 'closed', 2000.5, 0.3, 'dca', 'x-1',
            '{"info":{"orderId":5,"executedQty":"0.30","avgPrice":"2000.40","origQty":"0.30","reduceOnly":true,"type":"LIMIT"}}');
        INSERT INTO engine_signals VALUES (1, 1767225600.25, 'ETHUSDT', 'short', 'dca', 'ema', '{"a":1}');
        INSERT INTO cancels VALUES (1, '2026-01-01T00:00:00Z', 6, 'ETHUSDT', NULL, 'timeout');
        INSERT INTO positions VALUES (1, 1767225600123, 'ETHUSDT', 'long', 5);"#,
    );
    assert_eq!(bot.tables(), BotTable::ALL);
    let rows = bot.rows(BotTable::Orders, None, 10).unwrap();
    let AnyFact::Order(order) = only(&rows) else { panic!("{rows:?}") };
    assert_eq!((&order.status, order.reduce_only), (&OrderStatus::Filled, Some(true)));
    assert_eq!(order.terms.price.unwrap().get(), dec("2000.5"));
    assert_eq!(order.executed.as_ref().unwrap().avg_price.unwrap().get(), dec("2000.4"));
    assert_eq!(order.client_order_id.as_ref().unwrap().as_str(), "x-1");
    let rows = bot.rows(BotTable::EngineSignals, None, 10).unwrap();
    let AnyFact::Signal(signal) = only(&rows) else { panic!("{rows:?}") };
    assert_eq!((signal.kind, signal.side, signal.time.at.as_ms()), (SignalKind::Entry, Side::Sell, 1_767_225_600_250));
    let rows = bot.rows(BotTable::Cancels, None, 10).unwrap();
    let AnyFact::Cancel(cancel) = only(&rows) else { panic!("{rows:?}") };
    assert_eq!((cancel.key.order_id.as_str(), cancel.side), ("6", None));
    let rows = bot.rows(BotTable::Positions, None, 10).unwrap();
    assert!(matches!(rows.as_slice(), [BotRow { parsed: Ok(facts), note: Some(_), .. }] if facts.is_empty()));
}

#[test]
fn a_bots_orders_say_who_sent_them_and_when_they_were_cancelled() {
    let (_folder, mut bot) = bot(
        r#"INSERT INTO orders VALUES ('5', 1767225600123, 'ETHUSDT', 'sell', 'limit', 'canceled', 2000.5, 0.3, NULL, 'phone_1',
            '{"info":{"orderId":5,"origQty":"0.30","origType":"LOSS_MARKET","updateTime":1767225700456}}');
        INSERT INTO orders VALUES ('6', 1767225600123, 'ETHUSDT', 'sell', 'gain', 'canceled', NULL, 0.3, NULL, NULL, NULL);
        INSERT INTO fills VALUES ('7', 1767225600123, '7', 'ETHUSDT', 'sell', 2000, 0.3, NULL, NULL,
            '{"orderId":7,"clientOrderId":"forced-7","executedQty":"0.3","status":"FILLED","type":"LIMIT"}');"#,
    );
    let orders: Vec<_> = [(BotTable::Orders, 2), (BotTable::Fills, 1)]
        .into_iter()
        .flat_map(|(table, count)| {
            let rows = bot.rows(table, None, 10).unwrap();
            assert_eq!(rows.len(), count);
            rows.into_iter().flat_map(|row| row.parsed.unwrap())
        })
        .map(|statement| match statement.fact {
            AnyFact::Order(order) => order,
            other => panic!("{other:?}"),
        })
        .collect();
    let told: Vec<_> = orders.iter().map(|order| (order.origin, order.condition)).collect();
    assert_eq!(
        told,
        [
            (Some(Origin::Person), Some(Condition::Stop)),
            (None, Some(Condition::TakeProfit)),
            (Some(Origin::Liquidation), None)
        ]
    );
    let cancels: Vec<_> = orders
        .iter()
        .filter_map(|order| order.cancel(Source::BotDatabase))
        .map(|(cancel, source)| (cancel.time.at.as_ms(), source))
        .collect();
    assert_eq!(cancels, [(1_767_225_700_456, Source::BotDatabase), (1_767_225_600_123, Source::Repair)]);
}

#[test]
fn a_bad_row_is_named_and_stops_no_other() {
    let (_folder, mut bot) =
        bot("INSERT INTO fills VALUES ('1', 1767225600123, '9', 'ETHUSDT', 'buy', 'NaN', 1, NULL, NULL, NULL);
         INSERT INTO fills VALUES ('2', 1767225600123, '9', 'ETHUSDT', 'sideways', 1, 1, NULL, NULL, NULL);
         INSERT INTO fills VALUES ('3', NULL, '9', 'ETHUSDT', 'buy', 1, 1, NULL, NULL, NULL);
         INSERT INTO fills VALUES ('4', 1767225600123, '9', 'ETHUSDT', 'buy', x'00ff', 1, NULL, NULL, '{not json');
         INSERT INTO fills VALUES ('6', 1767225600123, '9', '=cmd|x', 'buy', 1, 1, NULL, NULL, NULL);
         INSERT INTO fills VALUES ('7', 1767225600123, '9', 'ETHUSDT', 'buy', 1, -1, NULL, NULL, NULL);
         INSERT INTO fills VALUES ('8', 1767225600123, '9', 'ETHUSDT', 'buy', 1, 1, NULL, NULL, NULL);");
    let mut rows = Vec::new();
    // In pages, as a large file is read.
    while let Some(last) = {
        let page = bot.rows(BotTable::Fills, rows.last().map(|row: &BotRow| row.rowid), 2).unwrap();
        rows.extend(page.iter().cloned());
        page.last().cloned()
    } {
        assert_eq!(last.table, BotTable::Fills);
    }
    let reasons: Vec<_> = rows.iter().map(|row| row.parsed.as_ref().err().map_or("", String::as_str)).collect();
    let expected = ["price: ", "side: ", "ts is missing", "price: ", "symbol: ", "qty: ", ""];
    assert_eq!(reasons.len(), expected.len());
    for (reason, expected) in reasons.iter().zip(expected) {
        assert!(reason.starts_with(expected) && reason.is_empty() == expected.is_empty(), "{reason} / {expected}");
    }
}

#[test]
fn other_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    drop(SqliteStore::open(path("book.db"), &OpenOptions::creating()).unwrap());
    assert!(matches!(BotDatabase::open(path("book.db"), RULES).unwrap_err(), StoreError::NotABotDatabase { .. }));
    std::fs::write(path("text"), "not a database at all, but long enough to have a header".repeat(9)).unwrap();
    assert!(matches!(BotDatabase::open(path("text"), RULES).unwrap_err(), StoreError::NotADatabase { .. }));
    assert!(matches!(BotDatabase::open(path("nothing"), RULES).unwrap_err(), StoreError::Missing { .. }));
    let mut conn = SqliteConnection::establish(path("other").to_str().unwrap()).unwrap();
    conn.batch_execute("CREATE TABLE t (a)").unwrap();
    assert!(matches!(BotDatabase::open(path("other"), RULES).unwrap_err(), StoreError::NotABotDatabase { .. }));
}

/// The payload is the exchange's word at one moment; the column is what the bot learned since.
#[test]
fn a_bots_order_that_contradicts_itself_is_rejected_and_one_that_moved_on_is_not() {
    let read = |column: &str, payload: &str| {
        let (_folder, mut bot) = bot(&format!(
            "INSERT INTO orders VALUES ('5', 1767225600123, 'ETHUSDT', 'sell', 'limit', {column}, 2000.5, 0.4, NULL, NULL,
                '{{\"info\":{{\"orderId\":5,\"origQty\":\"0.4\",{payload}}}}}');"
        ));
        let rows = bot.rows(BotTable::Orders, None, 10).unwrap();
        rows.into_iter().next().unwrap().parsed.map(|statements| match statements.into_iter().next().unwrap().fact {
            AnyFact::Order(order) => {
                (order.status.to_string(), order.executed.map(|executed| executed.qty.to_string()))
            }
            other => panic!("{other:?}"),
        })
    };
    for (column, payload, told) in [
        ("'closed'", r#""executedQty":"0.1""#, "the status is FILLED, but 0.1 of 0.4 were executed"),
        ("NULL", r#""executedQty":"0.8""#, "0.8 were executed, but only 0.4 were ordered"),
        ("'closed'", r#""status":"FILLED","executedQty":"0""#, "the status is FILLED, but 0 of 0.4 were executed"),
        ("'NEW'", r#""executedQty":"0.4""#, "the status is NEW, but 0.4 of 0.4 were executed"),
    ] {
        let reason = read(column, payload).unwrap_err();
        assert!(reason.contains(told), "{column} {payload}: {reason}");
    }
    let executed = |status: &str, qty: Option<&str>| Ok((status.to_owned(), qty.map(str::to_owned)));
    assert_eq!(read("'closed'", r#""status":"NEW","executedQty":"0""#), executed("FILLED", None));
    assert_eq!(read("'open'", r#""status":"FILLED","executedQty":"0.4""#), executed("FILLED", Some("0.4")));
    assert_eq!(read("'closed'", r#""status":"CANCELED","executedQty":"0.1""#), executed("CANCELED", Some("0.1")));
    assert_eq!(read("'open'", r#""executedQty":"0.1""#), executed("PARTIALLY_FILLED", Some("0.1")));
}

#[test]
fn a_bots_columns_name_the_same_trade_and_order_as_the_exchanges_answer() {
    let fill = |id: &str, order: &str, side: &str| {
        let (_folder, mut bot) = bot(&format!(
            r#"INSERT INTO fills VALUES ('{id}', 1767225600123, '{order}', 'ETHUSDT', '{side}', 2000.1, 0.1, NULL, NULL,
                '{{"info":{{"symbol":"ETHUSDT","id":"77","orderId":"5","side":"SELL","price":"2000.10","qty":"0.100","time":"1767225600123"}}}}');"#
        ));
        bot.rows(BotTable::Fills, None, 10).unwrap().remove(0).parsed
    };
    let order = |price: &str, qty: &str, own: &str| {
        let (_folder, mut bot) = bot(&format!(
            r#"INSERT INTO orders VALUES ('5', 1767225600123, 'ETHUSDT', 'sell', 'limit', 'closed', {price}, {qty}, NULL, NULL,
                '{{"info":{{"orderId":5,"origQty":"0.4",{own}}}}}');"#
        ));
        bot.rows(BotTable::Orders, None, 10).unwrap().remove(0).parsed
    };
    for sound in [
        fill("77", "5", "sell"),
        fill("77", "5", "long"),
        order("2000.5", "0.4", r#""price":"2000.50""#),
        order("2001.5", "0.4", r#""price":"2000.50","avgPrice":"2001.50""#),
        order("2001.5", "0.4", r#""price":"0""#),
        order("NULL", "NULL", r#""price":"2000.50""#),
    ] {
        sound.unwrap();
    }
    for (row, told) in [
        (fill("78", "5", "sell"), "fill_id: the row says 78, the exchange's answer in it 77"),
        (fill("77", "6", "sell"), "order_id: the row says 6, the exchange's answer in it 5"),
        (fill("77", "5", "Buy"), "side: the row says Buy, the exchange's answer in it SELL"),
        (order("1999", "0.4", r#""price":"2000.50""#), "price: the row says 1999, the exchange's answer in it 2000.5"),
        (order("2000.5", "4", r#""price":"2000.50""#), "qty: the row says 4, the exchange's answer in it 0.4"),
    ] {
        let reason = row.unwrap_err();
        assert!(reason.starts_with(told), "{reason}");
    }
}

/// All rows of a table, read page by page, or why the reading ended. It has to end.
fn read_through(bot: &mut BotDatabase, table: BotTable) -> Result<Vec<BotRow>, String> {
    let mut rows: Vec<BotRow> = Vec::new();
    for _ in 0..100 {
        let page = bot.rows(table, rows.last().map(|row| row.rowid), 2).map_err(|error| {
            std::error::Error::source(&error).map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
        })?;
        if page.is_empty() {
            return Ok(rows);
        }
        rows.extend(page);
    }
    panic!("does not end: {} rows", rows.len());
}

/// A database made by `statements` alone.
fn made_of(statements: &str) -> (tempfile::TempDir, BotDatabase) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bot.sqlite3");
    let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    conn.batch_execute(statements).unwrap();
    drop(conn);
    let bot = BotDatabase::open(&path, RULES).unwrap();
    (folder, bot)
}

const ORDERS: &str = "CREATE TABLE orders (order_id TEXT PRIMARY KEY, ts INTEGER, symbol TEXT, side TEXT);
    INSERT INTO orders VALUES ('5', 1767225600123, 'ETHUSDT', 'sell'), ('6', 1767225600123, 'ETHUSDT', 'sell'),
        ('7', 1767225600123, 'ETHUSDT', 'sell');";

#[test]
fn reading_ends_whatever_the_file_claims() {
    let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)
        SELECT x AS fill_id, x AS rowid, 1767225600123 AS ts, 'ETHUSDT' AS symbol, 'buy' AS side FROM n";
    for (fills, told) in [
        (format!("CREATE VIEW fills AS {endless}"), "is a view"),
        (format!("CREATE VIEW Fills AS {endless}"), "is a view"),
        ("CREATE VIRTUAL TABLE fills USING fts5(fill_id, ts)".to_owned(), "is a virtual table"),
        ("CREATE TABLE fills (fill_id TEXT PRIMARY KEY, ts) WITHOUT ROWID".to_owned(), "without row numbers"),
        ("CREATE TABLE fills (fill_id TEXT, rowid, oid, _rowid_)".to_owned(), "hide the numbers"),
    ] {
        let (_folder, mut bot) = made_of(&format!("{ORDERS} {fills}"));
        assert_eq!(bot.tables(), [BotTable::Orders, BotTable::Fills]);
        let reason = read_through(&mut bot, BotTable::Fills).unwrap_err();
        assert!(reason.contains("`fills`") && reason.contains(told), "{fills}: {reason}");
        // One table does not stop the others.
        assert_eq!(read_through(&mut bot, BotTable::Orders).unwrap().len(), 3);
    }
    // A column under the name of the row's number is no number of a row.
    let (_folder, mut bot) = made_of(
        "CREATE TABLE fills (fill_id TEXT, rowid TEXT, ts INTEGER);
         INSERT INTO fills VALUES ('1', 'x', 5), ('2', 'x', 5), ('3', 'x', 5);",
    );
    assert_eq!(read_through(&mut bot, BotTable::Fills).unwrap().len(), 3);
}

#[test]
fn rows_out_of_order_end_the_reading_with_their_numbers() {
    let (folder, bot) = made_of(ORDERS);
    drop(bot);
    let path = folder.path().join("bot.sqlite3");
    let mut bytes = std::fs::read(&path).unwrap();
    // The table's only page: a header of 8 bytes, and where each cell begins, the row's number behind its length.
    let page = bytes.chunks(4_096).position(|page| page[0] == 0x0d && page[3..5] == [0, 3]).unwrap() * 4_096;
    let cell = page + usize::from(u16::from_be_bytes([bytes[page + 12], bytes[page + 13]]));
    assert_eq!(bytes[cell + 1], 3);
    bytes[cell + 1] = 1;
    std::fs::write(&path, bytes).unwrap();
    let mut bot = BotDatabase::open(&path, RULES).unwrap();
    let reason = read_through(&mut bot, BotTable::Orders).unwrap_err();
    assert!(reason.ends_with("is damaged: row 1 of table orders follows row 2"), "{reason}");
}

#[test]
fn a_text_that_is_too_long_rejects_its_row_and_long_ones_make_short_pages() {
    let (_folder, mut bot) = made_of(&format!(
        "{ORDERS} ALTER TABLE orders ADD COLUMN raw_json TEXT;
         UPDATE orders SET raw_json = printf('%.*c', 1048577, 'x') WHERE order_id = '6';"
    ));
    let rows = read_through(&mut bot, BotTable::Orders).unwrap();
    let told: Vec<_> = rows.iter().map(|row| row.parsed.as_ref().err().map(String::as_str)).collect();
    assert_eq!(told, [None, Some("raw_json: it has more than 1048576 bytes"), None]);
    let (_folder, mut bot) = made_of(
        "CREATE TABLE fills (fill_id TEXT, ts TEXT, raw_json TEXT);
         WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 40)
         INSERT INTO fills SELECT x, x, printf('%.*c', 1048576, 'x') FROM n;",
    );
    assert_eq!(bot.rows(BotTable::Fills, None, 1_000).unwrap().len(), 16);
}

/// The only row of `fills` with this payload.
fn read_as(venue: BotVenue, raw: &str) -> Result<usize, String> {
    let (folder, _) = bot(&format!(
        "INSERT INTO fills VALUES ('77', 1767225600123, '5', 'ETH/USDT:USDT', 'buy', 2000, 0.5, 0.4, 'USDT', '{raw}')"
    ));
    let mut bot = BotDatabase::open(folder.path().join("bot.db"), venue).unwrap();
    bot.rows(BotTable::Fills, None, 10).unwrap().remove(0).parsed.map(|statements| statements.len())
}

#[test]
fn another_venues_answer_makes_no_fill() {
    for (raw, told) in [
        (
            r#"{"symbol":"ETH/USDT:USDT","info":{"tulip":1}}"#,
            "an answer of the flower market, and this book is of the test",
        ),
        (r#"{"tulip":1}"#, "an answer of the flower market"),
        (r#"{"symbol":"ETH/USDT","info":{"id":"77"}}"#, "that of a spot market"),
    ] {
        let refused = read_as(RULES, raw).unwrap_err();
        assert!(refused.starts_with("raw_json: ") && refused.contains(told), "{refused}");
    }
    // Nor is its cancel one of the book's venue.
    let (_folder, mut bot) = bot("ALTER TABLE cancels ADD COLUMN raw_json TEXT;
         INSERT INTO cancels VALUES (1, '1767225600', 7, 'ETHUSDT', 'buy', 'x', '{\"info\":{\"tulip\":1}}');
         INSERT INTO cancels VALUES (2, '1767225600', 8, 'ETHUSDT', 'buy', 'x', NULL);");
    let read: Vec<bool> = bot.rows(BotTable::Cancels, None, 10).unwrap().iter().map(|row| row.parsed.is_ok()).collect();
    assert_eq!(read, [false, true]);
    for raw in
        ["", "{}", r#"{"symbol":"ETH/USDT"}"#, r#"{"symbol":"ETH/USDT","info":{"id":"77","positionSide":"BOTH"}}"#]
    {
        assert_eq!(read_as(RULES, raw), Ok(1), "{raw}");
    }
}

#[test]
fn where_the_venue_is_not_known_the_cost_proves_coins() {
    let unknown = BotVenue { counts_coins: None, ..RULES };
    assert_eq!(read_as(unknown, r#"{"cost":1000,"info":{"tulip":1}}"#), Ok(1));
    for (raw, told) in [
        (r#"{"cost":10000,"info":{"tulip":1}}"#, "the row contradicts itself"),
        (r#"{"cost":0,"info":{"tulip":1}}"#, "nothing proves that its quantity is in coins"),
        ("", "contractSize"),
    ] {
        let refused = read_as(unknown, raw).unwrap_err();
        assert!(refused.contains(told), "{refused}");
    }
}
