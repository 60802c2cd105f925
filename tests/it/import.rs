//! Importing files that exchanges and bots really produce, through the real command.

use std::collections::BTreeMap;

use ledger_core::Decimal;
use serde_json::Value;

use crate::support::{Sandbox, fixture};

const ONE_WAY: [&str; 8] = [
    "Export Trade History(UTC+3)-part1-of1.csv",
    "trades-legacy.csv",
    "trades-legacy.csv.gz",
    "trades-archive.csv",
    "trades-in-parts.zip",
    "ccxt-trades.json",
    "ccxt-trades-without-info.ndjson",
    "fillbook.ndjson",
];

fn one_way(name: &str) -> String {
    fixture(&format!("import/one-way/{name}"))
}

/// What the fixtures' own generator says the books must be.
fn expected() -> Value {
    serde_json::from_str(&std::fs::read_to_string(fixture("import/expected.json")).unwrap()).unwrap()
}

fn decimal(value: &Value) -> Decimal {
    value.as_str().unwrap_or_else(|| panic!("no decimal: {value}")).parse().unwrap()
}

/// Checks quantities, open costs and realized profits of every position against `expected.json`.
#[track_caller]
fn check_positions(sandbox: &Sandbox, account: &str, remark: &str) {
    let expected = expected();
    let expected = expected[account]["positions"].as_object().unwrap();
    let positions = sandbox.run(&["positions", "--all", "--json"]).exits(0).json();
    assert_eq!(positions.len(), expected.len(), "{remark}: {positions:?}");
    for position in positions {
        let side = position["position_side"].as_str().unwrap().replace("NET", "BOTH");
        let name = format!("{} {side}", position["symbol"].as_str().unwrap());
        let truth = &expected[&name];
        assert_eq!(decimal(&position["qty"]), decimal(&truth["qty"]), "{remark}: {name}");
        assert_eq!(decimal(&position["open_cost"]).round(8), decimal(&truth["open_cost"]), "{remark}: {name}");
        assert_eq!(
            decimal(&position["realized_pnl_ever"]["amount"]).round(8),
            decimal(&truth["realized_pnl"]),
            "{remark}: {name}"
        );
        // Profit that the exchange confirms is known. Unified objects without the exchange's own carry no word of it,
        // so that nothing tells whether the first fill found a flat position.
        let certainty = if remark.contains("without-info") { "estimated" } else { "known" };
        assert_eq!(position["realized_pnl_ever"]["certainty"], certainty, "{remark}: {name}");
    }
}

/// Everything a book says, without who said it: the logical book.
fn logical_book(sandbox: &Sandbox) -> BTreeMap<String, Vec<String>> {
    let lists: [&[&str]; 7] =
        [&["signals"], &["orders"], &["fills"], &["cancels"], &["income"], &["positions", "--all"], &["trips"]];
    lists
        .into_iter()
        .map(|list| {
            let mut lines: Vec<String> = sandbox
                .run(&[list, &["--json"]].concat())
                .exits(0)
                .json()
                .into_iter()
                .map(|mut line| {
                    line.as_object_mut().unwrap().remove("source");
                    line.to_string()
                })
                .collect();
            // Facts of one instant are listed in key order, which says nothing about the book.
            lines.sort();
            (list[0].to_owned(), lines)
        })
        .collect()
}

#[test]
fn every_format_of_the_same_trades_gives_the_same_positions() {
    for name in ONE_WAY {
        let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
        sandbox.run(&["import", &one_way(name)]).exits(0);
        check_positions(&sandbox, "one-way", name);
        let fills = sandbox.run(&["fills", "--json"]).exits(0).json();
        assert_eq!(fills.len() as u64, expected()["one-way"]["fills"].as_u64().unwrap(), "{name}");
        let verify = sandbox.run(&["verify"]);
        assert!(!verify.stdout.contains("FAIL"), "{name}:\n{}", verify.transcript());
    }
}

#[test]
fn hedge_mode_keeps_long_and_short_apart() {
    for name in ["trades-legacy.csv", "trades-archive.csv"] {
        let sandbox = Sandbox::with_book(&[]);
        sandbox.run(&["import", &fixture(&format!("import/hedge/{name}"))]).exits(0);
        check_positions(&sandbox, "hedge", name);
    }
}

#[test]
fn importing_twice_changes_nothing() {
    let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
    let names = ["trades-legacy.csv", "orders.csv", "transactions.csv", "ccxt-orders.ndjson"].map(one_way);
    let args: Vec<&str> = ["import", "--json"].into_iter().chain(names.iter().map(String::as_str)).collect();
    sandbox.run(&args).exits(0);
    let before = logical_book(&sandbox);
    for line in sandbox.run(&args).exits(0).json() {
        assert_eq!((&line["new"], &line["merged"], &line["rejected"]), (&0.into(), &0.into(), &0.into()), "{line}");
        assert_ne!(line["already_there"], 0, "{line}");
    }
    assert_eq!(before, logical_book(&sandbox));
}

#[test]
fn overlapping_files_give_the_same_book_in_any_order() {
    let names = [
        "trades-legacy.csv",
        "Export Trade History(UTC+3)-part1-of1.csv",
        "orders.csv",
        "trades-archive.csv",
        "ccxt-trades.json",
        "ccxt-orders.ndjson",
        "transactions.csv",
    ];
    let book = |order: &[usize], one_run: bool| {
        let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
        let files: Vec<String> = order.iter().map(|at| one_way(names[*at])).collect();
        if one_run {
            let args: Vec<&str> = std::iter::once("import").chain(files.iter().map(String::as_str)).collect();
            sandbox.run(&args).exits(0);
        } else {
            for file in &files {
                sandbox.run(&["import", file]).exits(0);
            }
        }
        check_positions(&sandbox, "one-way", &format!("{order:?}"));
        logical_book(&sandbox)
    };
    let first = book(&[0, 1, 2, 3, 4, 5, 6], true);
    for (order, one_run) in
        [(&[6, 5, 4, 3, 2, 1, 0], true), (&[3, 0, 6, 2, 5, 1, 4], false), (&[2, 5, 0, 4, 1, 6, 3], false)]
    {
        assert_eq!(first, book(order, one_run), "{order:?}");
    }
}

#[test]
fn a_dry_run_says_what_would_happen_and_changes_nothing() {
    let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
    let file = one_way("trades-legacy.csv");
    let before = std::fs::read(sandbox.path().join("fillbook.db")).unwrap();
    let dry = sandbox.run(&["import", "--dry-run", "--json", &file]).exits(0);
    assert_eq!(std::fs::read(sandbox.path().join("fillbook.db")).unwrap(), before);
    assert!(sandbox.run(&["fills", "--json"]).exits(0).stdout.is_empty());
    let real = sandbox.run(&["import", "--json", &file]).exits(0);
    assert_eq!(dry.stdout, real.stdout);
}

/// The file's first fill closes a position that it never shows being opened.
#[test]
fn a_file_that_begins_in_a_position_makes_nothing_up() {
    let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
    sandbox.run(&["import", &fixture("import/odd/begins-in-a-position.csv")]).exits(0);
    let trips = sandbox.run(&["trips", "--json"]).exits(0).json();
    let unknown: Vec<&Value> = trips.iter().filter(|trip| trip["certainty"] == "unknown").collect();
    assert!(!unknown.is_empty(), "{trips:?}");
    for trip in unknown {
        assert_eq!(trip["gross"]["amount"], Value::Null, "{trip}");
        assert_eq!(trip["opened_ts"], Value::Null, "{trip}");
    }
    let table = sandbox.run(&["report"]).exits(0).stdout;
    assert!(table.contains("? contains unknown amounts"), "{table}");
}

/// The current trade export has no position side: without a word that the account is in one-way mode its fills are kept
/// out of positions, and said so; the word, or the orders' export, places them.
#[test]
fn fills_without_a_position_side_are_placed_only_on_evidence() {
    let file = one_way("Export Trade History(UTC+3)-part1-of1.csv");
    let sandbox = Sandbox::with_book(&[]);
    let import = sandbox.run(&["import", &file]).exits(0);
    assert!(import.stderr.contains("15 fills are kept, but in no position"), "{}", import.transcript());
    // Nothing is shown as if there were no positions and no profit.
    let positions = sandbox.run(&["positions", "--all", "--json"]).exits(0).json();
    let [lacking] = positions.as_slice() else { panic!("{positions:?}") };
    assert_eq!((&lacking["schema"], &lacking["kind"]), (&"fillbook.lacking/1".into(), &"fills".into()));
    assert!(sandbox.run(&["positions"]).exits(0).stderr.contains("No position that can be computed."));
    let report = sandbox.run(&["report", "--json"]).exits(0).json();
    let find = |schema: &str| report.iter().find(|line| line["schema"] == schema).unwrap();
    assert_eq!(find("fillbook.report.total/1")["certainty"], "unknown");
    let contracts = find("fillbook.report.rest/1")["left_out"]["contracts"].as_array().unwrap();
    assert!(contracts.contains(&"BTCUSDT".into()), "{contracts:?}");
    sandbox.run(&["status"]).exits(3);
    assert!(sandbox.run(&["verify"]).exits(3).stdout.contains("15 fills in no position"));
    sandbox.run(&["init", "--position-mode", "one-way"]).exits(0);
    sandbox.run(&["import", &file]).exits(0);
    check_positions(&sandbox, "one-way", "after the word");

    let sandbox = Sandbox::with_book(&[]);
    sandbox.run(&["import", &file]).exits(0);
    sandbox.run(&["import", &one_way("orders.csv")]).exits(0);
    check_positions(&sandbox, "one-way", "after the orders");
}

/// The ledger's sums are those of the fixtures' generator, per type and asset.
#[test]
fn the_cash_section_foots_to_the_ledger() {
    let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
    sandbox.run(&["import", &one_way("transactions.csv"), &one_way("trades-archive.csv")]).exits(0);
    let mut found: BTreeMap<(String, String), Decimal> = BTreeMap::new();
    for line in sandbox.run(&["report", "--json"]).exits(0).json() {
        if line["schema"] == "fillbook.report.cash/1" {
            let key = (line["income_type"].as_str().unwrap().to_owned(), line["asset"].as_str().unwrap().to_owned());
            found.insert(key, decimal(&line["amount"]));
        }
    }
    let mut truth = BTreeMap::new();
    for (income_type, assets) in expected()["one-way"]["income_by_type"].as_object().unwrap() {
        for (asset, amount) in assets.as_object().unwrap() {
            truth.insert((income_type.clone(), asset.clone()), decimal(amount));
        }
    }
    assert_eq!(found, truth);
    let fees: BTreeMap<String, Decimal> = sandbox
        .run(&["positions", "--all", "--json"])
        .exits(0)
        .json()
        .iter()
        .flat_map(|position| position["fees_ever"].as_object().unwrap().clone())
        .fold(BTreeMap::new(), |mut sums, (asset, fee)| {
            let sum: &mut Decimal = sums.entry(asset).or_default();
            *sum = sum.checked_add(decimal(&fee["amount"])).unwrap();
            sums
        });
    for (asset, fee) in expected()["one-way"]["fees"].as_object().unwrap() {
        assert_eq!(fees[asset], decimal(fee), "{asset}");
    }
}

/// A Python bot's own database: REAL money, trade ids that collide between symbols, an order's answer taken for a fill,
/// and a row that makes no sense.
#[test]
fn a_bots_own_database_is_read_for_what_it_is() {
    let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
    let run = sandbox.run(&["import", &fixture("import/bot/bot.sqlite3")]).exits(1);
    assert!(run.stderr.contains("[fills]:15: noted: made from an order's answer"), "{}", run.transcript());
    assert!(run.stderr.contains("[fills]:16: rejected: side: `sideways`"), "{}", run.transcript());
    let fills = sandbox.run(&["fills", "--json"]).exits(0).json();
    assert!(fills.iter().all(|fill| fill["fill_id"] != "555001"), "an order's answer is no fill");
    let btc = sandbox.run(&["positions", "--all", "--json", "--symbol", "BTCUSDT"]).exits(0).json().pop().unwrap();
    let truth = &expected()["one-way"]["positions"]["BTCUSDT BOTH"];
    assert_eq!(decimal(&btc["realized_pnl_ever"]["amount"]), decimal(&truth["realized_pnl"]));
    // What the answer says was executed is missing as fills, and said so.
    let missing = sandbox.run(&["orders", "--missing-fills", "--json"]).exits(0).json();
    assert!(missing.iter().any(|order| order["order_id"] == "555001" && order["missing_qty"] == "0.2"), "{missing:?}");
    sandbox.run(&["verify"]).exits(3);
    // The exchange's export brings what the bot's table lost, without a conflict.
    sandbox.run(&["import", &one_way("trades-archive.csv")]).exits(0);
    let fills = sandbox.run(&["fills", "--json"]).exits(0).json();
    assert_eq!(fills.len() as u64, expected()["one-way"]["fills"].as_u64().unwrap());
    assert_eq!(sandbox.run(&["trips", "--json"]).exits(0).json()[0]["engine"], "breaker");
}

/// A close in the very second of the funding came after it: the round trip paid.
#[test]
fn funding_of_the_closing_second_belongs_to_what_was_closed() {
    let sandbox = Sandbox::with_book(&[]);
    sandbox.write(
        "trades.csv",
        "Uid,Time(UTC),Symbol,Side,Position Side,Price,Quantity,Amount,Fee,Realized Profit,Buyer,Maker,Trade Id,Order Id\n\
         7,2026-03-01 07:00:00,BTCUSDT,BUY,BOTH,100,1,100,0.04USDT,0,TRUE,FALSE,1,11\n\
         7,2026-03-01 08:00:00,BTCUSDT,SELL,BOTH,110,1,110,0.04USDT,10,FALSE,FALSE,2,12\n",
    );
    sandbox.write(
        "transactions.csv",
        "Date(UTC),type,Amount,Asset,Symbol,Transaction ID\n2026-03-01 08:00:00,FUNDING_FEE,-0.5,USDT,BTCUSDT,900\n",
    );
    for files in [["trades.csv", "transactions.csv"], ["transactions.csv", "trades.csv"]] {
        sandbox.run(&["import", files[0], files[1]]).exits(0);
        let trip = sandbox.run(&["trips", "--json"]).exits(0).json().pop().unwrap();
        assert_eq!(trip["funding"]["USDT"]["amount"], "-0.5", "{trip}");
        assert_eq!(trip["net"]["USDT"]["amount"], "9.42", "{trip}");
    }
}

/// Two identical ledger rows without an id, and the export's parts are cut between them: two rows. The same part twice, and
/// the same parts again, change nothing.
#[test]
fn identical_rows_on_both_sides_of_a_cut_are_two() {
    let header = "Date(UTC),type,Amount,Asset,Symbol,Transaction ID";
    let row = "2026-03-02 03:00:00,REFERRAL_KICKBACK,0.0125,USDT,,";
    let (before, after) = ("2026-03-02 02:00:00,FEE,-1,USDT,,", "2026-03-02 04:00:00,FEE,-1,USDT,,");
    let sandbox = Sandbox::with_book(&[]);
    sandbox.write("Export(UTC)-part1-of2.csv", format!("{header}\n{before}\n{row}\n"));
    sandbox.write("Export(UTC)-part2-of2.csv", format!("{header}\n{row}\n{after}\n"));
    sandbox.write("whole.csv", format!("{header}\n{before}\n{row}\n{row}\n{after}\n"));
    let [one, two] = ["Export(UTC)-part1-of2.csv", "Export(UTC)-part2-of2.csv"];
    let count = || sandbox.run(&["income", "--json"]).exits(0).json().len();
    sandbox.run(&["import", one, two]).exits(0);
    assert_eq!(count(), 4);
    for files in [&[one, one, two][..], &[two, one], &[two], &[one, two, one], &["whole.csv"], &[one, "whole.csv", two]]
    {
        sandbox.run(&[&["import"], files].concat()).exits(0);
        assert_eq!(count(), 4, "{files:?}");
    }
}

/// Between its rows an export of trades is complete for their contract, and the book knows: a gap in what the exchange
/// remembers closes when a file fills it. What has no order or is of one side only proves nothing.
#[tokio::test]
async fn an_export_says_what_it_is_complete_for() {
    use ledger_store::{Journal as _, OpenOptions, SqliteStore};
    let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
    sandbox.run(&["import", &one_way("transactions.csv"), &one_way("ccxt-trades.json")]).exits(0);
    let coverage = async || {
        let path = sandbox.path().join("fillbook.db");
        let store = SqliteStore::open(path, &OpenOptions::reading()).unwrap();
        store.coverage(&ledger_core::AccountId::new("main").unwrap()).await.unwrap()
    };
    assert_eq!(coverage().await, []);
    sandbox.run(&["import", &one_way("trades-legacy.csv")]).exits(0);
    let spans = coverage().await;
    let bitcoin = spans.iter().find(|span| span.symbol.as_ref().is_some_and(|it| it.as_str() == "BTCUSDT")).unwrap();
    assert_eq!((bitcoin.stream.as_str(), bitcoin.grade.as_str()), ("fills", "inferred"));
    let fills = sandbox.run(&["fills", "--symbol", "BTCUSDT", "--json"]).exits(0).json();
    let times: Vec<i64> = fills.iter().map(|fill| fill["ts"].as_i64().unwrap() / 1_000 * 1_000).collect();
    let (first, last) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    assert_eq!((bitcoin.since.as_ms(), bitcoin.until.as_ms()), (first + 1_000, *last));
    // Again, and nothing more is written.
    sandbox.run(&["import", &one_way("trades-legacy.csv")]).exits(0);
    assert_eq!(coverage().await, spans);
}
