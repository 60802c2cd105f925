//! A stranger trades on the simulator: ccxt for Python, as it was published, on the simulator over HTTP. What it reads
//! at the end is what the exchange's own books say, and so is what it was told on the stream while it traded.
//!
//! Another listens and trades with the exchange's own SDK for Python, which opens the streams of accounts and of the market
//! at once.
//!
//! The sessions are `tests/stranger/trade.py` and `official.py`; README.md there tells how to run them. Python comes from the
//! machine, and the packages from the package index, into an environment below the target directory. Where one of them is out of reach the
//! test says so loudly and passes, unless `FILLBOOK_REQUIRE_STRANGER` is set, as `.ci/run` does.

mod account;
mod environment;
mod exchange;
mod official;
mod orders;
mod rows;
mod stream;
mod trades;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::Duration;

use exchange_client::simulator::AccountSnapshot;

pub(crate) use self::environment::Environment;
pub(crate) use self::exchange::{BOT, Exchange};
use self::exchange::{HEDGED, OFFICIAL, ONE_WAY, WATCHED};

/// How long the session may take. It takes some five seconds where nothing else runs; this only ends one that hangs.
const PATIENCE: Duration = Duration::from_mins(10);

#[test]
fn a_stranger_trades_and_reads_what_the_exchange_knows() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let python = match runtime.block_on(Environment::prepare()) {
        Ok(environment) => environment,
        Err(reason) => return out_of_reach("whether unmodified ccxt can trade on the simulator", &reason),
    };
    let session = async {
        let seen = Exchange::open().await.trade(&python).await;
        let (told, books) = &seen.watched;
        let account = books.account(WATCHED).unwrap();
        has(account, &WHILE_WATCHED);
        stream::compare(told, account);
        let (report, books) = &seen.read;
        for (name, alias, own) in [("one_way", ONE_WAY, &IN_ONE_WAY[..]), ("hedged", HEDGED, &IN_HEDGE)] {
            let (reading, account) = (&report[name], books.account(alias).unwrap());
            has(account, &IN_BOTH);
            has(account, own);
            orders::compare(reading, account);
            trades::compare(reading, account);
            account::compare(reading, account, &books.prices);
        }
    };
    runtime
        .block_on(async { tokio::time::timeout(PATIENCE, session).await })
        .unwrap_or_else(|_| panic!("the session was not over after {PATIENCE:?}"));
}

#[test]
fn the_official_sdk_is_told_what_the_exchange_knows() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let python = match runtime.block_on(Environment::prepare()) {
        Ok(environment) => environment,
        Err(reason) => return out_of_reach("whether the exchange's own SDK hears the simulator's streams", &reason),
    };
    let session = async {
        let (heard, books) = Exchange::open_now().await.listen(&python).await;
        official::compare(&heard, OFFICIAL, &books);
    };
    runtime
        .block_on(async { tokio::time::timeout(PATIENCE, session).await })
        .unwrap_or_else(|_| panic!("the session was not over after {PATIENCE:?}"));
}

/// What there is to compare in either mode: a session that did little would leave little.
const IN_BOTH: [&str; 15] = [
    "order NEW",
    "order FILLED",
    "order MARKET",
    "order LIMIT",
    "conditional order NEW",
    "conditional order FINISHED",
    "conditional order STOP_MARKET",
    "trade as maker",
    "trade as taker",
    "fee in USDT",
    "TRANSFER",
    "REALIZED_PNL",
    "COMMISSION",
    "FUNDING_FEE",
    "position in ETHUSDT",
];
const IN_ONE_WAY: [&str; 11] = [
    "order CANCELED",
    "order EXPIRED",
    "order IOC",
    "order FOK",
    "order GTX",
    "forced order LIQUIDATION",
    "conditional order CANCELED",
    "conditional order STOP",
    "conditional order TAKE_PROFIT_MARKET",
    "conditional order TRAILING_STOP_MARKET",
    "INSURANCE_CLEAR",
];
const IN_HEDGE: [&str; 4] = ["order PARTIALLY_FILLED", "fee in BNB", "fee in USDC", "position in ETHUSDC"];

const WHILE_WATCHED: [&str; 9] = [
    "order FILLED",
    "order CANCELED",
    "forced order LIQUIDATION",
    "conditional order FINISHED",
    "trade as maker",
    "trade as taker",
    "REALIZED_PNL",
    "COMMISSION",
    "position in ETHUSDT",
];

/// The account has everything that was wanted.
#[track_caller]
fn has(account: &AccountSnapshot, wanted: &[&str]) {
    let mut found = BTreeSet::new();
    for order in &account.orders {
        found.extend([order.status, order.order_type, order.time_in_force].map(|word| format!("order {word}")));
        found.extend(order.forced.map(|reason| format!("forced order {reason}")));
    }
    for order in &account.conditionals {
        found.extend([order.status, order.order_type].map(|word| format!("conditional order {word}")));
    }
    for trade in &account.trades {
        found.insert(format!("fee in {}", trade.fee_asset));
        found.insert(if trade.maker { "trade as maker" } else { "trade as taker" }.to_owned());
    }
    found.extend(account.income.iter().map(|row| row.income_type.clone()));
    found.extend(account.positions.iter().map(|position| format!("position in {}", position.symbol)));
    let missing: Vec<&&str> = wanted.iter().filter(|wanted| !found.contains(**wanted)).collect();
    assert!(missing.is_empty(), "{}: {missing:?} are missing among {found:?}", account.alias);
}

/// A test that could not be run is no success where it has to be run, and not a quiet one anywhere.
#[expect(clippy::disallowed_methods, reason = "a test has no screen")]
pub(crate) fn out_of_reach(what: &str, reason: &str) {
    let told = format!(
        "\n\
         ****************************************************************************************\n\
         NOT TESTED: {what}.\n\
         {reason}\n\
         Needed: python3 (3.11 or later) with its venv module, and a package index that pip reaches.\n\
         ****************************************************************************************\n"
    );
    assert!(!environment::is_required(), "{told}");
    // Not `eprintln!`, which the test harness keeps to itself when a test passes.
    std::io::stderr().write_all(told.as_bytes()).unwrap();
}
