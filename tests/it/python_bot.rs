//! A Python bot of the kind that fillbook is for trades on the simulator with ccxt: as it is, then with the one line of the Python
//! package, then with its two hooks as well. It trades the same each time, and the book holds what the exchange knows.
//!
//! The bot is in `tests/bot`. No sync is run: all that is in the book passed through the bot.
//!
//! A careful bot is killed as well, at each point between deciding and hearing (`tests/bot/killed.py`).

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use exchange_client::simulator::{AccountSnapshot, BooksSnapshot, OrderTruth};
use serde_json::Value;
use tokio::process::Command;

use crate::stranger::{BOT, Environment, Exchange, out_of_reach};
use crate::support::Sandbox;

const DAY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bot/day.py");
const TOLD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bot/told.py");
const KILLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bot/killed.py");
const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../cli/python/src");

/// A day takes some five seconds where nothing else runs.
const PATIENCE: Duration = Duration::from_mins(10);

#[test]
fn a_bot_trades_as_before_and_its_book_is_the_exchanges() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let python = match runtime.block_on(Environment::prepare()) {
        Ok(environment) => environment,
        Err(reason) => return out_of_reach("whether a Python bot keeps its book with one line", &reason),
    };
    let days = async {
        let plain = Sandbox::empty();
        let (before, known) = day(&python, &plain, "plain").await;
        assert!(!plain.path().join("fillbook.db").exists());
        let story = story(known.account(BOT).unwrap());

        for how in ["recorded", "hooked"] {
            let sandbox = Sandbox::empty();
            let (after, known) = day(&python, &sandbox, how).await;
            assert_eq!(after, before, "the bot trades otherwise when it is {how}");
            let account = known.account(BOT).unwrap();
            assert_eq!(self::story(account), story, "its orders are others when it is {how}");
            compare(&sandbox, account);
            labels(&sandbox, account);
            if how == "hooked" {
                signals(&sandbox);
            }
        }
    };
    runtime
        .block_on(async { tokio::time::timeout(PATIENCE, days).await })
        .unwrap_or_else(|_| panic!("the days were not over after {PATIENCE:?}"));
}

#[test]
fn what_an_async_bot_is_told_is_in_its_book() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let python = match runtime.block_on(Environment::prepare()) {
        Ok(environment) => environment,
        Err(reason) => return out_of_reach("whether an async Python bot keeps its book with one line", &reason),
    };
    let sandbox = Sandbox::empty();
    let mut command = python.command();
    command.args([Path::new(TOLD), sandbox.path()]);
    let session = async { Exchange::open_for(BOT).await.run_bot(with_book(command, &sandbox)).await };
    let (symbols, known) = runtime
        .block_on(async { tokio::time::timeout(PATIENCE, session).await })
        .unwrap_or_else(|_| panic!("the session was not over after {PATIENCE:?}"));
    assert_eq!(symbols, serde_json::json!(["BTC/USDT:USDT", "ETH/USDT:USDT"]));
    let account = known.account(BOT).unwrap();
    assert_eq!(account.orders.len(), 4, "{:?}", account.orders);
    compare(&sandbox, account);
}

/// How many stories of a killed bot are told. `.ci/long` asks for more.
#[expect(clippy::disallowed_methods, reason = "how much a run of the tests must cover is said by whoever starts it")]
fn killed_seeds() -> u32 {
    std::env::var("FILLBOOK_KILLED_BOT_SEEDS").map_or(4, |seeds| seeds.parse().unwrap())
}

#[test]
fn a_bot_that_is_killed_doubles_no_entry_misses_no_exit_and_loses_no_line() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let python = match runtime.block_on(Environment::prepare()) {
        Ok(environment) => environment,
        Err(reason) => return out_of_reach("whether a Python bot survives being killed", &reason),
    };
    let (sandbox, seeds) = (Sandbox::empty(), killed_seeds());
    let mut command = with_book(python.command(), &sandbox);
    command.arg(KILLED).arg(format!("1-{seeds}")).env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
    let output = runtime
        .block_on(async { tokio::time::timeout(PATIENCE * seeds.div_ceil(10), command.output()).await })
        .unwrap_or_else(|_| panic!("{seeds} stories were not over in time"))
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_str(&told).unwrap();
    let count = |what: &str| told["done"][what].as_u64().unwrap_or(0);
    // Where nobody is killed, nothing is proven.
    assert_eq!(count("seeds"), u64::from(seeds), "{told}");
    assert!(count("killed") >= u64::from(seeds) / 2 && count("orders") >= u64::from(seeds), "{told}");
}

/// A day of the bot on an exchange of its own.
async fn day(python: &Environment, sandbox: &Sandbox, how: &str) -> (Value, BooksSnapshot) {
    let mut command = python.command();
    command.args([Path::new(DAY), Path::new(how), sandbox.path()]);
    if how == "plain" {
        command.current_dir(sandbox.path()).env_remove("PYTHONPATH");
    } else {
        command = with_book(command, sandbox);
    }
    Exchange::open_for(BOT).await.run_bot(command).await
}

/// With the package, as it is in the repository, and the command.
fn with_book(mut command: Command, sandbox: &Sandbox) -> Command {
    command.current_dir(sandbox.path()).env("PYTHONPATH", PACKAGE);
    command.env("FILLBOOK_BINARY", env!("CARGO_BIN_EXE_fillbook-under-test"));
    command
}

/// What the exchange was sent, without what differs from day to day: ids and times.
fn story(account: &AccountSnapshot) -> Vec<String> {
    let orders = account.orders.iter().map(|order| {
        let (symbol, kind, buy, qty, status) = (&order.symbol, order.order_type, order.buy, order.qty, order.status);
        format!("{symbol} {kind} {buy} {qty} {:?} {} {status}", order.price, order.reduce_only)
    });
    let conditionals = account.conditionals.iter().map(|order| {
        let (symbol, kind, buy, status) = (&order.symbol, order.order_type, order.buy, order.status);
        format!("{symbol} {kind} {buy} {:?} {} {status}", order.trigger_price, order.close_position)
    });
    orders.chain(conditionals).collect()
}

type Rows = BTreeMap<String, BTreeMap<&'static str, String>>;

/// The rows of a list, by symbol and id.
fn listed(sandbox: &Sandbox, words: &[&str], id: &str, fields: &[&'static str]) -> Rows {
    let found = sandbox.run(&[words, &["--json"]].concat()).exits(0).json();
    let rows = found.iter().map(|row| {
        let key = format!("{} {}", text(&row["symbol"]), text(&row[id]));
        (key, fields.iter().map(|field| (*field, text(&row[*field]))).collect())
    });
    rows.collect()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn row<const N: usize>(fields: [(&'static str, String); N]) -> BTreeMap<&'static str, String> {
    BTreeMap::from(fields)
}

/// The hand has no client order id scheme of fillbook's.
fn by_hand(order: &OrderTruth) -> bool {
    !order.client_order_id.starts_with("fb")
}

fn side(buy: bool) -> String {
    if buy { "BUY" } else { "SELL" }.to_owned()
}

/// Orders, conditional orders, fills, cancels and positions, row by row.
fn compare(sandbox: &Sandbox, account: &AccountSnapshot) {
    let fields = ["ts", "order_id", "side", "qty", "price", "fee", "fee_asset", "exchange_realized_pnl", "maker"];
    let known = account.trades.iter().map(|trade| {
        let told = row([
            ("ts", trade.time_ms.to_string()),
            ("order_id", trade.order_id.to_string()),
            ("side", side(trade.buy)),
            ("qty", trade.qty.to_string()),
            ("price", trade.price.to_string()),
            ("fee", trade.fee.to_string()),
            ("fee_asset", trade.fee_asset.clone()),
            ("exchange_realized_pnl", trade.realized.to_string()),
            ("maker", trade.maker.to_string()),
        ]);
        (format!("{} {}", trade.symbol, trade.id), told)
    });
    assert_eq!(listed(sandbox, &["fills"], "fill_id", &fields), known.collect::<Rows>(), "fills");

    // What a stop became and what was placed by hand passed through the bot as trades only.
    let (seen, unseen): (Vec<_>, Vec<_>) =
        account.orders.iter().partition(|order| order.algo_id.is_none() && !by_hand(order));
    let fields = ["order_class", "side", "order_type", "status", "executed_qty", "filled_qty", "client_order_id"];
    let known = seen.into_iter().map(|order| {
        let told = row([
            ("order_class", "REGULAR".to_owned()),
            ("side", side(order.buy)),
            ("order_type", order.order_type.to_owned()),
            ("status", order.status.to_owned()),
            ("executed_qty", order.executed.to_string()),
            ("filled_qty", order.executed.to_string()),
            ("client_order_id", order.client_order_id.clone()),
        ]);
        (format!("{} {}", order.symbol, order.id), told)
    });
    let known: Rows = known.collect();
    assert!(known.len() >= 4, "{known:?}");
    let mut listed_orders = listed(sandbox, &["orders"], "order_id", &fields);
    for order in unseen {
        let told = listed_orders.remove(&format!("{} {}", order.symbol, order.id)).unwrap();
        assert_eq!((&told["side"], &told["filled_qty"]), (&side(order.buy), &order.executed.to_string()));
    }
    let conditionals = account.conditionals.iter().map(|order| {
        let told = listed_orders.remove(&format!("{} {}", order.symbol, order.id)).unwrap();
        assert_eq!(told["order_class"], "CONDITIONAL");
        let seen = ["side", "order_type", "status", "client_order_id"].map(|field| told[field].clone());
        let known =
            [side(order.buy), order.order_type.to_owned(), order.status.to_owned(), order.client_algo_id.clone()];
        (seen, known)
    });
    for (seen, known) in conditionals.collect::<Vec<_>>() {
        assert_eq!(seen, known);
    }
    assert_eq!(listed_orders, known, "orders");

    let cancelled = account.orders.iter().filter(|order| order.status == "CANCELED");
    let cancelled = cancelled.map(|order| (format!("{} {}", order.symbol, order.id), side(order.buy)));
    let given_up = account.conditionals.iter().filter(|order| order.status == "CANCELED");
    let given_up = given_up.map(|order| (format!("{} {}", order.symbol, order.id), side(order.buy)));
    let known = cancelled.chain(given_up).map(|(key, side)| (key, row([("side", side)])));
    assert_eq!(listed(sandbox, &["cancels"], "order_id", &["side"]), known.collect::<Rows>(), "cancels");

    let known = account
        .positions
        .iter()
        .map(|position| (format!("{} NET", position.symbol), row([("qty", position.qty.to_string())])));
    let mut held = listed(sandbox, &["positions"], "position_side", &["qty"]);
    // One that is flat is listed where nothing proves that it was before its first fill.
    held.retain(|_, row| row["qty"] != "0");
    assert_eq!(held, known.collect::<Rows>(), "positions");
    sandbox.run(&["verify"]).exits(0);
}

/// Each entry has the strategy that the bot's log of entries names, and with the hooks each addition as well.
fn labels(sandbox: &Sandbox, account: &AccountSnapshot) {
    let engines = [("BTCUSDT", "swing"), ("ETHUSDT", "div15m")];
    let found = listed(sandbox, &["orders"], "order_id", &["engine"]);
    for (symbol, engine) in engines {
        let entries = account.orders.iter().filter(|order| order.symbol == symbol && !order.reduce_only);
        // The log has entries only. With the hooks an addition has the strategy of its trade, and its client order id says so.
        for order in entries.filter(|order| !by_hand(order) && !order.client_order_id.starts_with("fb.d.")) {
            let told = &found[&format!("{symbol} {}", order.id)]["engine"];
            assert_eq!(told, engine, "order {} of {symbol}", order.id);
        }
    }
}

/// What the hooks told: a signal an entry, and why each trade was closed.
fn signals(sandbox: &Sandbox) {
    let told = sandbox.run(&["signals", "--json"]).exits(0).json();
    let told: Vec<_> =
        told.iter().map(|signal| format!("{} {}", text(&signal["symbol"]), text(&signal["engine"]))).collect();
    let entries = [
        "BTCUSDT swing",
        "ETHUSDT div15m",
        "ETHUSDT div15m",
        "SOLUSDT atr",
        "BTCUSDT swing",
        "BTCUSDT swing",
        "SOLUSDT swing",
    ];
    for entry in entries {
        let count = |list: &[String]| list.iter().filter(|told| **told == entry).count();
        assert!(count(&told) >= entries.iter().filter(|known| **known == entry).count(), "{entry} among {told:?}");
    }
    let trips = sandbox.run(&["trips", "--json"]).exits(0).json();
    let reasons: Vec<_> =
        trips.iter().map(|trip| format!("{} {}", text(&trip["symbol"]), text(&trip["exit_reason"]))).collect();
    assert_eq!(
        reasons,
        ["BTCUSDT take_profit", "ETHUSDT manual_close", "SOLUSDT stop_loss", "BTCUSDT stop_loss"],
        "why each was closed"
    );
}
