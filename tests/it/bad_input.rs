//! Input that no book should swallow: every bad row is named, every good one arrives, and the exit code tells.

use std::io::Write as _;

use crate::support::{Run, Sandbox, fixture};

const HEADER: &str =
    "Uid,Time(UTC),Symbol,Side,Position Side,Price,Quantity,Amount,Fee,Realized Profit,Buyer,Maker,Trade Id,Order Id";
const GOOD: &str = "7,2026-03-01 08:00:00,BTCUSDT,BUY,BOTH,60000,0.010,600,0.24USDT,0,true,false,1,9001";

/// A trade row with one cell replaced.
fn row(id: u32, column: &str, value: &str) -> String {
    let at = HEADER.split(',').position(|name| name == column).unwrap();
    let id = id.to_string();
    GOOD.split(',')
        .enumerate()
        .map(|(cell, text)| {
            if cell == at {
                value
            } else if cell == 12 {
                id.as_str()
            } else {
                text
            }
        })
        .collect::<Vec<_>>()
        .join(",")
}

/// Imports `bad` between two good rows and answers the run; the good rows must arrive.
#[track_caller]
fn between_good_rows(bad: &[u8]) -> (Sandbox, Run) {
    let sandbox = Sandbox::with_book(&[]);
    let mut file = format!("{HEADER}\n{GOOD}\n").into_bytes();
    file.extend_from_slice(bad);
    file.extend_from_slice(format!("\n{}\n", row(3, "Price", "60001")).as_bytes());
    sandbox.write("trades.csv", file);
    let run = sandbox.run(&["import", "trades.csv"]).exits(1);
    assert_eq!(sandbox.run(&["fills", "--json"]).exits(0).json().len(), 2, "{}", run.transcript());
    (sandbox, run)
}

#[test]
fn a_bad_row_is_named_and_its_neighbours_arrive() {
    for (column, value, reason) in [
        ("Price", "NaN", "not a decimal number"),
        ("Price", "1e400", "too large"),
        ("Price", "1234567890123456789012345678901234567890", "too large"),
        ("Price", "0", "above zero"),
        ("Quantity", "-0.010", "above zero"),
        ("Quantity", "0.1234567890123456789", "too many digits"),
        ("Side", "HOLD", "HOLD"),
        ("Time(UTC)", "yesterday", "not a time"),
        ("Time(UTC)", "2026-02-30 08:00:00", "no such date"),
        ("Symbol", "=cmd|'/c calc'!A1", "character"),
        ("Symbol", "BTC\u{1b}[31mUSDT", "character"),
        ("Trade Id", "8.38977E+18", "whole number"),
        ("Fee", "much USDT", "number"),
    ] {
        let (_, run) = between_good_rows(row(2, column, value).as_bytes());
        let named = run.stderr.lines().find(|line| line.starts_with("trades.csv:3: rejected:"));
        let named = named.unwrap_or_else(|| panic!("{column} {value}: not named\n{}", run.transcript()));
        assert!(named.contains(reason), "{column} {value}: {named}");
        assert!(
            !run.stderr.contains('\u{1b}') && !run.stdout.contains('\u{1b}'),
            "{column} {value:?} reaches the terminal"
        );
    }
    for (bad, reason) in [
        (&b"7,2026-03-01 08:00:00,BTCUSDT,BUY"[..], "4 cells"),
        (&b"7,2026-03-01 08:00:00,BTC\xff\xfeUSDT,BUY,BOTH,60000,0.010,600,0.24USDT,0,true,false,2,9001"[..], "UTF-8"),
        (&b"\x00\x01\x02\x03\x7f\x80\x81junk"[..], ""),
    ] {
        let (_, run) = between_good_rows(bad);
        let named = run.stderr.lines().find(|line| line.starts_with("trades.csv:3: rejected:"));
        assert!(named.is_some_and(|named| named.contains(reason)), "{reason}: {}", run.transcript());
    }
}

#[test]
fn a_line_of_100_mb_is_skipped_without_being_held() {
    let sandbox = Sandbox::with_book(&[]);
    let mut file = std::io::BufWriter::new(std::fs::File::create(sandbox.path().join("trades.csv")).unwrap());
    writeln!(file, "{HEADER}\n{GOOD}").unwrap();
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        file.write_all(&chunk).unwrap();
    }
    writeln!(file, "\n{}", row(3, "Price", "60001")).unwrap();
    drop(file);
    let run = sandbox.run(&["import", "trades.csv"]).exits(1);
    assert!(run.stderr.contains("trades.csv:3: rejected:"), "{}", run.transcript());
    assert_eq!(sandbox.run(&["fills", "--json"]).exits(0).json().len(), 2);
}

#[test]
fn files_that_are_no_export_are_told_apart() {
    let sandbox = Sandbox::with_book(&[]);
    for (name, reason) in [
        ("empty.csv", "is empty"),
        ("unknown-header.csv", "Recognised are"),
        ("no-zone.csv", "--tz"),
        ("utf16.csv", "UTF-16"),
        ("cut-off.csv.gz", "damaged"),
        ("cut-off.zip", "damaged"),
    ] {
        let run = sandbox.run(&["import", &fixture(&format!("import/bad/{name}"))]).exits(1);
        assert!(run.stderr.contains(reason), "{name}: {}", run.transcript());
    }
    // No row at all is no error: an account without trades exports just that.
    for name in ["header-only.csv", "no-data.csv"] {
        sandbox.run(&["import", &fixture(&format!("import/bad/{name}"))]).exits(0);
    }
    sandbox.run(&["import", "."]).exits(1);
    let missing = sandbox.run(&["import", "nowhere.csv"]).exits(1);
    assert!(missing.stderr.contains("nowhere.csv"), "{}", missing.transcript());
}

/// The same trade id with another price: both statements are kept, the book stays as it was, the exit code tells.
#[test]
fn the_same_id_with_another_price_is_a_conflict() {
    let sandbox = Sandbox::with_book(&[]);
    sandbox.write("one.csv", format!("{HEADER}\n{GOOD}\n"));
    sandbox.write("other.csv", format!("{HEADER}\n{}\n", row(1, "Price", "59999")));
    sandbox.run(&["import", "one.csv"]).exits(0);
    let run = sandbox.run(&["import", "other.csv"]).exits(3);
    assert!(
        run.stderr.contains("other.csv:2: conflicting: fill 1 (BTCUSDT BUY) has another price than the book"),
        "{}",
        run.transcript()
    );
    let fills = sandbox.run(&["fills", "--json"]).exits(0).json();
    assert_eq!((fills.len(), &fills[0]["conflicts"]), (1, &"price".into()));
}

#[test]
fn one_bad_file_does_not_stop_the_others() {
    let sandbox = Sandbox::with_book(&[]);
    sandbox.write("good.csv", format!("{HEADER}\n{GOOD}\n"));
    sandbox.write("junk.bin", [0_u8, 159, 146, 150].repeat(64));
    let run = sandbox.run(&["import", "junk.bin", "good.csv"]).exits(1);
    assert!(run.stderr.contains("junk.bin"), "{}", run.transcript());
    assert_eq!(sandbox.run(&["fills", "--json"]).exits(0).json().len(), 1);
}

/// A reader that goes away while an import names bad rows does not stop the import.
#[test]
fn an_import_outlives_its_reader() {
    use std::process::{Command, Stdio};
    let sandbox = Sandbox::with_book(&[]);
    let bad: String = (10..3_000).map(|id| row(id, "Price", "NaN") + "\n").collect();
    sandbox.write("trades.csv", format!("{HEADER}\n{bad}{GOOD}\n"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_fillbook-under-test"))
        .current_dir(sandbox.path())
        .args(["import", "--json", "trades.csv"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(1), "rows were rejected, whoever reads it");
    assert_eq!(sandbox.run(&["fills", "--json"]).exits(0).json().len(), 1);
}

/// Two people's trades in one book would make round trips of nobody.
#[test]
fn two_exchange_accounts_are_not_mixed() {
    let sandbox = Sandbox::with_book(&[]);
    sandbox.write("mine.csv", format!("{HEADER}\n{GOOD}\n"));
    sandbox.write("yours.csv", format!("{HEADER}\n{}\n", row(2, "Uid", "8")));
    let run = sandbox.run(&["import", "mine.csv", "yours.csv"]).exits(4);
    assert!(
        run.stderr.contains("`yours.csv` has rows of the exchange account `8`, but the files before it are of `7`"),
        "{}",
        run.transcript()
    );
    assert_eq!(sandbox.run(&["fills", "--json"]).exits(0).json().len(), 1);
}

/// The same over several commands: a book that has one person's trades takes nobody else's, and nothing of them is written.
#[test]
fn a_book_stays_with_the_exchange_account_that_it_began_with() {
    let sandbox = Sandbox::with_book(&[]);
    sandbox.write("mine.csv", format!("{HEADER}\n{GOOD}\n"));
    sandbox.write("yours.csv", format!("{HEADER}\n{}\n", row(2, "Uid", "8")));
    sandbox.run(&["import", "mine.csv"]).exits(0);
    let run = sandbox.run(&["import", "yours.csv"]).exits(4);
    assert!(run.stderr.contains("`7`") && run.stderr.contains("`8`"), "{}", run.transcript());
    assert_eq!(sandbox.run(&["fills", "--json"]).exits(0).json().len(), 1);
    sandbox.run(&["import", "mine.csv"]).exits(0);
    sandbox.run(&["init", "--account", "yours"]).exits(0);
    sandbox.run(&["import", "--account", "yours", "yours.csv"]).exits(0);
}

/// The user's word that the account never held a long and a short at once, and a trade of a hedge: the word is not
/// believed silently, whichever comes first.
#[test]
fn a_word_about_the_position_mode_that_facts_contradict_is_told() {
    let hedged = format!("{HEADER}\n{}\n", row(1, "Position Side", "LONG"));
    let said_first = Sandbox::with_book(&["--position-mode", "one-way"]);
    said_first.write("trades.csv", &hedged);
    let run = said_first.run(&["import", "trades.csv"]).exits(3);
    assert!(run.stderr.contains("was said to be one_way, but a fact of a hedge"), "{}", run.transcript());
    let said_later = Sandbox::with_book(&[]);
    said_later.write("trades.csv", &hedged);
    said_later.run(&["import", "trades.csv"]).exits(0);
    let run = said_later.run(&["init", "--position-mode", "one-way"]).exits(3);
    assert!(run.stderr.contains("2026-03-01 08:00:00"), "{}", run.transcript());
    for sandbox in [&said_first, &said_later] {
        let verify = sandbox.run(&["verify"]).exits(3);
        assert!(verify.stdout.contains("was said to be one_way"), "{}", verify.transcript());
        assert_eq!(sandbox.run(&["discrepancies", "--json"]).exits(0).json()[0]["kind"], "position_mode");
        sandbox.run(&["init", "--position-mode", "hedge"]).exits(0);
        assert!(sandbox.run(&["discrepancies", "--json"]).exits(0).stdout.is_empty());
        assert!(!sandbox.run(&["verify"]).stdout.contains("FAIL"));
    }
}

/// A zone that was set long ago was not meant for this file.
#[test]
fn only_the_command_line_dates_files() {
    let sandbox = Sandbox::with_book(&[]);
    let file = fixture("import/bad/no-zone.csv");
    let run = sandbox.command(&["import", &file], &[("FILLBOOK_TZ", "Asia/Seoul")]).exits(1);
    assert!(run.stderr.contains("--tz"), "{}", run.transcript());
    sandbox.run(&["import", &file, "--tz", "Asia/Seoul"]).exits(0);
}

/// A coin-margined contract pays otherwise; its fills are kept, and no money is made of them.
#[test]
fn a_coin_margined_contract_is_not_taken_for_a_linear_one() {
    let sandbox = Sandbox::with_book(&[]);
    let header = "symbol,id,orderId,side,positionSide,price,qty,quoteQty,commission,commissionAsset,marginAsset,realizedPnl,maker,time";
    let row = "BTCUSD_PERP,1,11,BUY,BOTH,50000,1,0.002,0.0000008,BTC,BTC,0,false,1772344800000";
    sandbox.write("coin.csv", format!("{header}\n{row}\n"));
    let run = sandbox.run(&["import", "coin.csv"]).exits(3);
    assert!(run.stderr.contains("BTCUSD_PERP: positions cannot be computed"), "{}", run.transcript());
    assert_eq!(sandbox.run(&["fills", "--json"]).exits(0).json().len(), 1);
    let positions = sandbox.run(&["positions", "--all"]).exits(0);
    assert!(positions.stderr.contains("warning: BTCUSD_PERP cannot be computed"), "{}", positions.transcript());
    // Whoever does what the message says gets the position: 1 contract of 100 USD at 50000 is 0.002 BTC.
    let (_, line) = run.stderr.split_once(r#"{"schema":"fillbook.instrument/1""#).unwrap();
    let line = line.lines().next().unwrap().replace("SIZE", "100").replace("COIN", "BTC");
    sandbox.write("contract.ndjson", format!(r#"{{"schema":"fillbook.instrument/1"{line}"#));
    sandbox.run(&["init", "--position-mode", "one-way"]).exits(0);
    let stated = sandbox.run(&["import", "contract.ndjson"]).exits(0);
    assert!(stated.stdout.contains("instruments"), "{}", stated.transcript());
    let positions = sandbox.run(&["positions", "--json"]).exits(0);
    assert!(positions.stderr.is_empty(), "{}", positions.transcript());
    let position = &positions.json()[0];
    assert_eq!((&position["qty"], &position["open_cost"]), (&"1".into(), &"-0.002".into()), "{position}");
}

/// A library's object whose two halves say different things is rejected, not read by half; fees in two assets are no fee
/// of a fill, and named where they belong to an order.
#[test]
fn a_ccxt_object_that_contradicts_itself_is_rejected() {
    let sandbox = Sandbox::with_book(&[]);
    let trade = |id: u32, side: &str, amount: &str, more: &str| {
        format!(
            r#"{{"info":{{"symbol":"BTCUSDT","id":{id},"orderId":9,"side":"BUY","price":"60000.1","qty":"0.3","realizedPnl":"0","positionSide":"BOTH","maker":false,"time":1772344801100{more}}},"id":"{id}","order":"9","timestamp":1772344801100,"symbol":"BTC/USDT:USDT","side":"{side}","price":60000.1,"amount":{amount},"fee":{{"cost":0.1,"currency":"USDT"}},"fees":[{{"cost":0.1,"currency":"USDT"}}]}}"#
        )
    };
    let order = |id: u32, side: &str, fees: &str| {
        format!(
            r#"{{"info":{{"symbol":"BTCUSDT","orderId":{id},"side":"SELL","status":"FILLED","origQty":"0.3","executedQty":"0.3","avgPrice":"60000.1","type":"MARKET","positionSide":"BOTH","time":1772344801100,"updateTime":1772344801100}},"id":"{id}","symbol":"BTC/USDT:USDT","side":"{side}","status":"closed","amount":0.3,"filled":0.3,"remaining":0,"fees":[{fees}]}}"#
        )
    };
    let two_assets = r#"{"cost":0.1,"currency":"USDT"},{"cost":0.001,"currency":"BNB"}"#;
    let rows = [
        // A float beside its exact value is no contradiction.
        trade(1, "buy", "0.30000000000000004", ""),
        trade(2, "sell", "0.3", ""),
        trade(3, "buy", "0.2", ""),
        trade(4, "buy", "0.3", "").replace(r#""fees":["#, &format!(r#""fees":[{two_assets},"#)),
        order(21, "sell", ""),
        order(22, "buy", ""),
        order(23, "sell", two_assets),
    ];
    sandbox.write("bot.ndjson", rows.join("\n"));
    let run = sandbox.run(&["import", "bot.ndjson"]).exits(1);
    for (line, told) in [
        (2, "rejected: side is `sell`: `info.side` says BUY"),
        (3, "rejected: amount is `0.2`: `info.qty` says 0.3"),
        (4, "rejected: fees cannot be used: the fees are in more than one asset"),
        (6, "rejected: side is `buy`: `info.side` says SELL"),
        (7, "noted: its fee counts as an estimate"),
    ] {
        assert!(run.stderr.contains(&format!("bot.ndjson:{line}: {told}")), "{line}: {}", run.transcript());
    }
    let ids = |list: &str, key: &str| -> Vec<String> {
        let rows = sandbox.run(&[list, "--json"]).exits(0).json();
        rows.iter().map(|row| row[key].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("fills", "fill_id"), ["1"]);
    let mut orders = ids("orders", "order_id");
    orders.sort();
    assert_eq!(orders, ["21", "23", "9"]);
}

/// A REAL column holds doubles: 0.1 + 0.2 is 0.30000000000000004 there. The exchange's exact 0.3 is the same trade's, not
/// a conflict, and the exact value counts.
#[test]
fn a_double_of_a_bot_is_no_conflict_with_the_exact_value() {
    use diesel::connection::SimpleConnection as _;
    use diesel::{Connection as _, SqliteConnection};
    let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
    let path = sandbox.path().join("bot.sqlite3");
    let mut bot = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    bot.batch_execute(
        "CREATE TABLE fills (fill_id INTEGER PRIMARY KEY, ts INTEGER, order_id INTEGER, symbol TEXT, side TEXT, price REAL,
            qty REAL, fee REAL, fee_asset TEXT, raw_json TEXT);
         INSERT INTO fills VALUES (1, 1772344800000, 9001, 'BTCUSDT', 'buy', 60000.1, 0.1 + 0.2, 7.2000120000000001, 'USDT',
            NULL);",
    )
    .unwrap();
    drop(bot);
    sandbox.write(
        "trades.csv",
        format!("{HEADER}\n7,2026-03-01 06:00:00,BTCUSDT,BUY,BOTH,60000.10,0.300,18000.03,7.200012USDT,0,true,false,1,9001\n"),
    );
    for files in [["bot.sqlite3", "trades.csv"], ["trades.csv", "bot.sqlite3"]] {
        let book = format!("{}.db", files[0]);
        sandbox.run(&["init", "--db", &book, "--position-mode", "one-way"]).exits(0);
        sandbox.run(&["import", "--db", &book, files[0], files[1]]).exits(0);
        let fills = sandbox.run(&["fills", "--db", &book, "--json"]).exits(0).json();
        assert_eq!((&fills[0]["qty"], &fills[0]["fee"]), (&"0.3".into(), &"7.200012".into()), "{files:?}: {fills:?}");
        assert_eq!((fills.len(), &fills[0]["conflicts"]), (1, &serde_json::Value::Null), "{files:?}: {fills:?}");
    }
}
