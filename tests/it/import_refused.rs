//! Files that contradict themselves, or are not this book's, through the real command: what is refused, in which words, and
//! with which exit code.

use crate::support::{Exchange, Sandbox};

pub(super) const HEADER: &str =
    "Uid,Time(UTC),Symbol,Side,Position Side,Price,Quantity,Amount,Fee,Realized Profit,Buyer,Maker,Trade Id,Order Id";

pub(super) fn trade(uid: u32, id: u32, price: &str, qty: &str, amount: &str) -> String {
    format!("{uid},26-02-03 04:05:{id:02},SOLUSDT,BUY,BOTH,{price},{qty},{amount},0.01 USDT,0,TRUE,FALSE,{id},9{id}")
}

pub(super) fn fill_count(sandbox: &Sandbox) -> usize {
    sandbox.run(&["fills", "--json"]).exits(0).json().len()
}

/// One row that is off by a power of 1000 costs all rows, wherever it stands, because the others may be wrong alike.
#[test]
fn no_row_is_taken_of_a_file_whose_number_format_is_in_doubt() {
    let sandbox = Sandbox::with_book(&[]);
    let mut rows: Vec<String> = (10..50).map(|id| trade(8, id, "160.500", "2", "321.000")).collect();
    sandbox.write("sound.csv", format!("{HEADER}\n{}\n", rows.join("\n")));
    rows.push(trade(8, 50, "160.500", "2", "321000"));
    sandbox.write("dotted.csv", format!("{HEADER}\n{}\n", rows.join("\n")));
    for args in [&["import", "dotted.csv"][..], &["import", "--dry-run", "dotted.csv"]] {
        let run = sandbox.run(args).exits(1);
        for told in [
            "number format of `dotted.csv` is in doubt",
            "line 42",
            "Amount is `321000`",
            "x quantity is 321",
            "Export it again",
        ] {
            assert!(run.stderr.contains(told), "{told}: {}", run.transcript());
        }
        assert_eq!(fill_count(&sandbox), 0);
    }
    let run = sandbox.run(&["import", "--json", "dotted.csv"]).exits(1);
    assert_eq!(run.json()[0]["schema"], "fillbook.import.file_error/1");
    // A decimal comma in one row says the same of the dots in another.
    let comma = format!(
        "{HEADER}\n{}\n",
        [trade(8, 10, "160.500", "2", "321.000"), trade(8, 11, "\"160,5\"", "2", "321")].join("\n")
    );
    sandbox.write("comma.csv", comma);
    assert!(sandbox.run(&["import", "comma.csv"]).exits(1).stderr.contains("decimal comma"));
    assert_eq!(fill_count(&sandbox), 0);
    // Another mistake costs its own row, and a pipe is read twice as well.
    sandbox.write(
        "one.csv",
        format!("{HEADER}\n{}\n{}\n", trade(8, 10, "160.5", "2", "322"), trade(8, 11, "160.5", "2", "321")),
    );
    let run = sandbox.run(&["import", "one.csv"]).exits(1);
    assert!(
        run.stderr.contains("one.csv:2: rejected: Amount is `322`: price x quantity is 321"),
        "{}",
        run.transcript()
    );
    assert_eq!(fill_count(&sandbox), 1);
}

/// What is wrong with JSON is told in words that fit it: which element of a line, and no spreadsheet.
#[test]
fn json_is_told_by_its_elements_and_without_a_spreadsheet() {
    let sandbox = Sandbox::with_book(&[]);
    let trades = [contract(10, "buy", "2500.5", "25.005"), contract(11, "sell", "2512.5", "25.125")].join(",");
    sandbox.write("trades.json", format!("[{trades}]"));
    let run = sandbox.run(&["import", "trades.json"]).exits(1);
    for told in ["trades.json:1, element 1: rejected: ", "trades.json:1, element 2: rejected: "] {
        assert!(run.stderr.contains(told), "{told}: {}", run.transcript());
    }
    let rows = sandbox.run(&["import", "--json", "trades.json"]).exits(1).json();
    assert_eq!((&rows[1]["line"], &rows[1]["element"]), (&1.into(), &2.into()), "{rows:?}");
    let line = r#"{"schema":"fillbook.fill/1","source":"bot","symbol":"SOLUSDT","fill_id":"1","side":"BUY","ts":1770091506123,"price":"160,5","qty":"2"}"#;
    sandbox.write("lines.ndjson", line);
    let run = sandbox.run(&["import", "lines.ndjson"]).exits(1);
    assert!(
        run.stderr.contains("number format of `lines.ndjson` is in doubt") && !run.stderr.contains("spreadsheet"),
        "{}",
        run.transcript()
    );
}

/// What comes through a pipe can be read once only; it is looked at as a whole all the same.
#[cfg(unix)]
#[test]
fn a_pipe_is_looked_at_as_a_whole_too() {
    let import = |text: &str| {
        let sandbox = Sandbox::with_book(&[]);
        sandbox.write("trades.csv", text);
        let status = std::process::Command::new("sh")
            .current_dir(sandbox.path())
            .args([
                "-c",
                "cat trades.csv | \"$0\" import /dev/stdin 2>stderr",
                env!("CARGO_BIN_EXE_fillbook-under-test"),
            ])
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        (status.code(), fill_count(&sandbox))
    };
    let sound = format!("{HEADER}\n{}\n", trade(8, 10, "160.5", "2", "321"));
    assert_eq!(import(&sound), (Some(0), 1));
    assert_eq!(import(&format!("{sound}{}\n", trade(8, 11, "160.5", "2", "0.321"))), (Some(1), 0));
}

/// A trade of `KuCoin`, one contract of 0.01 ETH, as its library states it.
fn contract(id: u32, side: &str, price: &str, cost: &str) -> String {
    format!(
        r#"{{"info":{{"symbol":"ETHUSDTM","tradeId":"{id}","side":"{side}","price":"{price}","size":1,"value":"{cost}","tradeType":"trade","settleCurrency":"USDT"}},"id":"{id}","order":"9{id}","timestamp":17700915{id}000,"symbol":"ETH/USDT:USDT","side":"{side}","price":{price},"amount":1,"cost":{cost},"fee":{{"cost":0.02,"currency":"USDT"}}}}"#
    )
}

#[test]
fn contracts_of_another_venue_are_refused_here_and_counted_in_coins_in_a_book_of_their_own() {
    let trades = [contract(10, "buy", "2500.5", "25.005"), contract(11, "sell", "2512.5", "25.125")].join("\n");
    let here = Sandbox::with_book(&["--position-mode", "one-way"]);
    here.write("trades.ndjson", &trades);
    let run = here.run(&["import", "trades.ndjson"]).exits(1);
    assert!(
        run.stderr.contains("KuCoin") && run.stderr.contains("fillbook init --account NAME --venue other"),
        "{}",
        run.transcript()
    );
    assert_eq!(fill_count(&here), 0);
    let there = Sandbox::with_book(&["--venue", "other", "--position-mode", "one-way"]);
    there.write("trades.ndjson", &trades);
    there.run(&["import", "trades.ndjson"]).exits(0);
    let fills = there.run(&["fills", "--json"]).exits(0).json();
    assert!(fills.iter().all(|fill| fill["qty"] == "0.01"), "{fills:?}");
    // 0.01 x (2512.5 - 2500.5).
    let trips = there.run(&["trips", "--json"]).exits(0).json();
    assert_eq!(trips[0]["gross"]["amount"], "0.12", "{trips:?}");
    // Without a cost nothing tells the size, and the message says what would.
    let silent = Sandbox::with_book(&["--venue", "other", "--position-mode", "one-way"]);
    silent.write("trades.ndjson", trades.replace(r#""cost":25.005,"#, "").replace(r#""cost":25.125,"#, ""));
    let run = silent.run(&["import", "trades.ndjson"]).exits(1);
    let (_, line) =
        run.stderr.split_once(r#"{"symbol":"ETH/USDT:USDT""#).unwrap_or_else(|| panic!("{}", run.transcript()));
    let line = line.lines().next().unwrap().replace("SIZE", "0.01");
    silent.write("market.json", format!(r#"{{"symbol":"ETH/USDT:USDT"{line}"#));
    silent.run(&["import", "market.json", "trades.ndjson"]).exits(0);
    assert_eq!(silent.run(&["fills", "--json"]).exits(0).json()[0]["qty"], "0.01");
}

#[test]
fn halves_that_differ_in_their_fee_are_a_conflict_on_record() {
    let sandbox = Sandbox::with_book(&[]);
    let text = r#"[{"info":{"symbol":"ADAUSDT","id":"71","orderId":"701","side":"BUY","price":"0.75","qty":"40","commission":"0.015","commissionAsset":"USDT","time":"1770091506123"},"id":"71","order":"701","timestamp":1770091506123,"symbol":"ADA/USDT:USDT","side":"buy","price":0.75,"amount":40.0,"fee":{"currency":"USDT","cost":0.15}}]"#;
    sandbox.write("trades.json", text);
    let run = sandbox.run(&["import", "trades.json"]).exits(3);
    assert!(run.stderr.contains("conflicting: fill 71 (ADAUSDT BUY) has another fee"), "{}", run.transcript());
    let fills = sandbox.run(&["fills", "--json"]).exits(0).json();
    assert_eq!((&fills[0]["fee"], &fills[0]["conflicts"]), (&"0.015".into(), &"fee".into()));
    let known = sandbox.run(&["discrepancies"]).exits(0).stdout;
    assert!(known.contains("ccxt says 0.015 USDT") && known.contains("ccxt_unified says 0.15 USDT"), "{known}");
    assert!(known.ends_with("What settles them:\n  conflicting_fact  somebody's word (--acknowledge)\n"), "{known}");
    let each = sandbox.run(&["discrepancies", "-v"]).exits(0).stdout;
    assert!(
        each.contains("\nWhat settles them:\n") && !sandbox.run(&["discrepancies", "--csv"]).stdout.contains("What")
    );
    sandbox.write("other.json", text.replace("ADA/USDT:USDT", "XRP/USDT:USDT").replace("\"71\"", "\"72\""));
    let run = sandbox.run(&["import", "other.json"]).exits(1);
    assert!(run.stderr.contains("symbol is `XRP/USDT:USDT`: `info.symbol` says ADAUSDT"), "{}", run.transcript());
}

/// A book of another venue is one exchange's, over all imports.
#[test]
fn a_book_of_another_venue_takes_one_exchange_only() {
    let sandbox = Sandbox::with_book(&["--venue", "other", "--position-mode", "one-way"]);
    let trade = |id: u32, info: &str| {
        format!(
            r#"[{{"info":{info},"id":"{id}","timestamp":177009150{id}123,"symbol":"DOGE/USDT:USDT","side":"buy","price":0.2,"amount":7,"cost":1.4}}]"#
        )
    };
    let (okx, bybit) = (r#"{"instId":"DOGE-USDT-SWAP"}"#, r#"{"execId":"1","execQty":"7"}"#);
    sandbox.write("okx.json", trade(1, okx));
    sandbox.write("bybit.json", trade(2, bybit));
    sandbox.run(&["import", "okx.json"]).exits(0);
    sandbox.run(&["import", "okx.json"]).exits(0);
    let run = sandbox.run(&["import", "bybit.json"]).exits(1);
    assert!(run.stderr.contains("it is of Bybit") && run.stderr.contains("is of OKX"), "{}", run.transcript());
    assert_eq!(fill_count(&sandbox), 1);
    // An account of its own takes it.
    sandbox.run(&["init", "--account", "second", "--venue", "other"]).exits(0);
    sandbox.run(&["import", "--account", "second", "bybit.json"]).exits(0);
}

/// A bot's database with these rows of `fills`: id, price, quantity, fee, `raw_json`.
fn bot_with(sandbox: &Sandbox, rows: &[(u32, &str, &str, &str, &str)]) {
    use diesel::connection::SimpleConnection as _;
    use diesel::{Connection as _, SqliteConnection};
    let path = sandbox.path().join("bot.sqlite3");
    let mut bot = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    bot.batch_execute(
        "DROP TABLE IF EXISTS fills; CREATE TABLE fills (fill_id TEXT, ts INTEGER, order_id TEXT, symbol TEXT, side TEXT,
             price, qty, fee, fee_asset, raw_json TEXT)",
    )
    .unwrap();
    for (id, price, qty, fee, raw) in rows {
        bot.batch_execute(&format!(
            "INSERT INTO fills VALUES ('{id}', 17700915{id}123, '9{id}', 'SOL/USDT:USDT', 'buy', {price}, {qty}, {fee}, 'USDT', '{raw}')"
        ))
        .unwrap();
    }
}

#[test]
fn a_bots_rows_of_another_venue_are_refused() {
    let spot = r#"{"symbol":"SOL/USDT","cost":321,"info":{"symbol":"SOLUSDT","id":"11","orderId":"911","price":"160.5","qty":"2","isBuyer":true}}"#;
    let old_spot = r#"{"symbol":"SOL/USDT","info":{"symbol":"SOLUSDT","id":"11","orderId":"911","side":"BUY","price":"160.5","qty":"2"}}"#;
    let okx = r#"{"symbol":"SOL/USDT:USDT","info":{"instId":"SOL-USDT-SWAP","fillSz":"2"}}"#;
    let own = r#"{"symbol":"SOL/USDT","info":{"symbol":"SOLUSDT","id":"12","orderId":"912","side":"BUY","positionSide":"BOTH","price":"160.5","qty":"2"}}"#;
    for (raw, told) in [
        (spot, "raw_json: it is an answer of Binance spot, and this book is of Binance USD-M"),
        (old_spot, "raw_json: its symbol is that of a spot market"),
        (okx, "raw_json: it is an answer of OKX, and this book is of Binance USD-M"),
    ] {
        let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
        bot_with(&sandbox, &[(11, "160.5", "2", "0.01", raw), (12, "160.5", "2", "0.01", own)]);
        let run = sandbox.run(&["import", "bot.sqlite3"]).exits(1);
        assert!(run.stderr.contains(told), "{told}: {}", run.transcript());
        assert_eq!(fill_count(&sandbox), 1);
    }
    // Where the venue is not known, the cost proves that the quantity is in coins.
    let with_cost =
        |cost: &str| format!(r#"{{"symbol":"SOL/USDT:USDT","cost":{cost},"info":{{"instId":"SOL-USDT-SWAP"}}}}"#);
    for (raw, count, told) in [
        (with_cost("321"), 1, ""),
        (with_cost("3210"), 0, "price x quantity is 321: the row contradicts itself"),
        (with_cost("0"), 0, "nothing proves that its quantity is in coins"),
        ("{}".to_owned(), 0, "contractSize"),
    ] {
        let sandbox = Sandbox::with_book(&["--venue", "other", "--position-mode", "one-way"]);
        bot_with(&sandbox, &[(11, "160.5", "2", "0.01", &raw)]);
        let run = sandbox.run(&["import", "bot.sqlite3"]);
        assert_eq!(
            (run.code, fill_count(&sandbox)),
            (1 - count, usize::try_from(count).unwrap()),
            "{}",
            run.transcript()
        );
        assert!(run.stderr.contains(told), "{told}: {}", run.transcript());
    }
}

/// The exchange's half counts, and what the bot or the library says instead is on record.
#[test]
fn a_bots_fee_that_is_not_the_exchanges_is_a_conflict_on_record() {
    let raw = |library: &str| {
        format!(
            r#"{{"symbol":"SOL/USDT:USDT","fee":{library},"info":{{"symbol":"SOLUSDT","id":"11","orderId":"911","side":"BUY","positionSide":"BOTH","price":"160.5","qty":"2","commission":"0.0128","commissionAsset":"USDT"}}}}"#
        )
    };
    let (same, nothing) = (r#"{"cost":0.0128,"currency":"USDT"}"#, "null");
    for (column, library, conflicts) in [
        ("0.0128", same, 0),
        ("-0.0128", nothing, 0),
        ("NULL", nothing, 0),
        ("0.012800000000000001", same, 0),
        ("0.0129", same, 1),
        ("0.0128", r#"{"cost":0.0128,"currency":"BNB"}"#, 1),
        ("NULL", r#"{"cost":0.02,"currency":"USDT"}"#, 1),
    ] {
        let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
        bot_with(&sandbox, &[(11, "160.5", "2", column, &raw(library))]);
        let run = sandbox.run(&["import", "bot.sqlite3"]).exits(if conflicts == 0 { 0 } else { 3 });
        let fill = sandbox.run(&["fills", "--json"]).exits(0).json().remove(0);
        assert_eq!((&fill["fee"], &fill["fee_asset"]), (&"0.0128".into(), &"USDT".into()), "{}", run.transcript());
        let open = sandbox.run(&["discrepancies", "--json"]).exits(0).json();
        let kinds: Vec<_> = open.iter().map(|line| line["kind"].clone()).collect();
        assert_eq!(kinds, vec![serde_json::Value::from("conflicting_fact"); conflicts], "{column} {library}");
    }
}

/// A bot's database is held to the same: its columns against the payload, and price x quantity against the amount.
#[test]
fn a_bots_row_that_contradicts_itself_is_rejected() {
    use diesel::connection::SimpleConnection as _;
    use diesel::{Connection as _, SqliteConnection};
    let import = |price: &str, symbol: &str, quote: &str| {
        let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
        let path = sandbox.path().join("bot.sqlite3");
        let mut bot = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        let raw = format!(
            r#"{{"info":{{"symbol":"SOLUSDT","id":"71","orderId":"701","side":"BUY","price":"160.5","qty":"2","quoteQty":"{quote}","time":"1770091506123"}}}}"#
        );
        bot.batch_execute(&format!(
            "CREATE TABLE fills (fill_id TEXT, ts INTEGER, order_id TEXT, symbol TEXT, side TEXT, price, qty, fee, fee_asset, raw_json TEXT);
             INSERT INTO fills VALUES ('71', 1770091506123, '701', '{symbol}', 'buy', {price}, 2, 0.01, 'USDT', '{raw}');
             INSERT INTO fills VALUES ('72', 1770091507123, '702', 'SOLUSDT', 'buy', 160.5, 2, 0.01, 'USDT', NULL);"
        ))
        .unwrap();
        let run = sandbox.run(&["import", "bot.sqlite3"]);
        (run.code, fill_count(&sandbox), run.stderr)
    };
    assert_eq!((import("160.5", "SOL/USDT:USDT", "321").0, import("160.5", "SOLUSDT", "321").1), (0, 2));
    for (price, symbol, quote, told) in [
        ("161", "SOLUSDT", "321", "price: the row says 161, the exchange's answer in it 160.5"),
        ("160.5", "ADAUSDT", "321", "symbol: the row says ADAUSDT, the exchange's answer in it SOLUSDT"),
        ("160.5", "SOLUSDT", "322", "quoteQty: it is 322, but price x quantity is 321"),
    ] {
        let (code, count, stderr) = import(price, symbol, quote);
        assert_eq!((code, count), (1, 1), "{stderr}");
        assert!(stderr.contains(told), "{stderr}");
    }
    let (code, count, stderr) = import("160.5", "SOLUSDT", "321000");
    assert_eq!((code, count), (1, 0), "{stderr}");
    assert!(stderr.contains("number format of `bot.sqlite3` is in doubt"), "{stderr}");
}

/// What the exchange did not name when it was asked for all of a time is taken with a discrepancy: it counts in every sum.
#[test]
fn ledger_rows_of_a_time_that_was_read_are_not_added_in_silence() {
    let exchange = Exchange::start(61);
    exchange.trade("fb-one", "BTCUSDT", ledger_core::Side::Buy, "0.02");
    let sandbox = Sandbox::empty();
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    // What happened in the last moments before a look counts as read with the next one.
    sandbox.tamper("UPDATE coverage SET until_ts = until_ts + 3600000 WHERE stream = 'income'");
    let known = sandbox.run(&["income", "--json", "--type", "TRANSFER"]).exits(0).json().remove(0);
    let second = |ms: i64| {
        let text = |key: &str| known[key].as_str().unwrap_or_default().to_owned();
        let (amount, asset) = (text("amount"), text("asset"));
        (format!("{ms},TRANSFER,{{}},{asset},,"), amount)
    };
    let (row, amount) = second(known["ts"].as_i64().unwrap());
    let header = "time,incomeType,income,asset,symbol,tranId";
    // The row itself, by a file without ids, is no other one.
    sandbox.write("same.csv", format!("{header}\n{}\n", row.replace("{}", &amount)));
    let same = sandbox.run(&["import", "--tz", "UTC", "same.csv"]).exits(0);
    assert!(!same.stderr.contains("did not name it"), "{}", same.transcript());
    let sum = |sandbox: &Sandbox| sandbox.run(&["income", "--json", "--type", "TRANSFER"]).exits(0).json().len();
    let before = sum(&sandbox);
    sandbox.run(&["discrepancies"]).exits(0);
    sandbox.write("other.csv", format!("{header}\n{}\n", row.replace("{}", "77.5")));
    let other = sandbox.run(&["import", "--tz", "UTC", "other.csv"]);
    assert!(other.stderr.contains("TRANSFER in") && other.stderr.contains("did not name it"), "{}", other.transcript());
    assert_eq!(sum(&sandbox), before + 1);
    let open = sandbox.run(&["discrepancies", "--json"]).exits(0).json();
    assert_eq!(open[0]["kind"], "unlisted_income", "{open:?}");
    sandbox.run(&["status"]).exits(3);
}

/// A taker has no rebates: in a file in which takers' fees stand below zero, so do makers' that were paid.
#[test]
fn takers_tell_with_which_sign_a_file_writes_what_was_paid() {
    let row = |id: u32, fee: &str, maker: &str| {
        format!("5,26-02-03 04:05:{id:02},SOLUSDT,BUY,BOTH,160.5,2,321,{fee} USDT,0,TRUE,{maker},{id},9{id}")
    };
    for (taker, maker, fees) in [
        ("-0.16", "-0.06", ["0.06", "0.16"]),
        ("-0.16", "0.02", ["-0.02", "0.16"]),
        ("0.16", "-0.02", ["-0.02", "0.16"]),
        ("0.16", "0.06", ["0.06", "0.16"]),
    ] {
        let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
        // The maker's comes first: the whole file is looked at before any of it is recorded.
        sandbox.write("t.csv", format!("{HEADER}\n{}\n{}\n", row(11, maker, "TRUE"), row(12, taker, "FALSE")));
        sandbox.run(&["import", "t.csv"]).exits(0);
        let read = sandbox.run(&["fills", "--json"]).exits(0).json();
        let read: Vec<_> = read.iter().map(|fill| fill["fee"].as_str().unwrap().to_owned()).collect();
        assert_eq!(read, fees, "{taker} {maker}");
    }
}
