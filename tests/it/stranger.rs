//! A stranger trades on the simulator: ccxt for Python, as it was published, on the simulator over HTTP. What it reads
//! at the end is what the exchange's own books say.
//!
//! The session is `tests/stranger/trade.py`; README.md there tells how to run it. Python comes from the machine, and
//! ccxt from the package index, into an environment below the target directory. Where one of them is out of reach the
//! test says so loudly and passes, unless `FILLBOOK_REQUIRE_STRANGER` is set, as `.ci/run` does.

mod account;
mod environment;
mod exchange;
mod orders;
mod rows;
mod trades;

use std::io::Write as _;
use std::time::Duration;

use exchange_client::simulator::AccountSnapshot;

use self::environment::Environment;
use self::exchange::{Exchange, HEDGED, ONE_WAY};

/// Installing and trading together. The first takes some ten seconds on a fresh machine, the second some five.
const PATIENCE: Duration = Duration::from_secs(170);

#[test]
fn a_stranger_trades_and_reads_what_the_exchange_knows() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let session = async {
        let python = match Environment::prepare().await {
            Ok(environment) => environment,
            Err(reason) => return out_of_reach(&reason),
        };
        let exchange = Exchange::open().await;
        let report = exchange.trade(&python).await;
        let books = exchange.books();
        for (name, alias) in [("one_way", ONE_WAY), ("hedged", HEDGED)] {
            let (reading, account) = (&report[name], books.account(alias).unwrap());
            is_worth_comparing(account);
            orders::compare(reading, account);
            trades::compare(reading, account);
            account::compare(reading, account, &books.prices);
        }
    };
    runtime
        .block_on(async { tokio::time::timeout(PATIENCE, session).await })
        .unwrap_or_else(|_| panic!("the session was not over after {PATIENCE:?}"));
}

/// A session that did little would leave little to compare.
fn is_worth_comparing(account: &AccountSnapshot) {
    let has = |what: &str, found: Vec<&str>, common: &[&str], here: &[&str]| {
        let missing: Vec<&&str> = common.iter().chain(here).filter(|wanted| !found.contains(*wanted)).collect();
        assert!(missing.is_empty(), "{}: no {what} with {missing:?} among {found:?}", account.alias);
    };
    let only = |alias: &str, wanted: &'static [&'static str]| if account.alias == alias { wanted } else { &[] };
    let orders = || account.orders.iter();
    has(
        "order",
        orders().flat_map(|order| [order.status, order.order_type, order.time_in_force]).collect(),
        &["MARKET", "LIMIT", "NEW", "FILLED"],
        if account.alias == ONE_WAY { &["CANCELED", "EXPIRED", "IOC", "FOK", "GTX"] } else { &["PARTIALLY_FILLED"] },
    );
    has("order", orders().filter_map(|order| order.forced).collect(), &[], only(ONE_WAY, &["LIQUIDATION"]));
    let conditionals = || account.conditionals.iter();
    has(
        "conditional order",
        conditionals().flat_map(|order| [order.status, order.order_type]).collect(),
        &["NEW", "FINISHED", "STOP_MARKET"],
        only(ONE_WAY, &["CANCELED", "STOP", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"]),
    );
    has(
        "ledger entry",
        account.income.iter().map(|row| row.income_type.as_str()).collect(),
        &["TRANSFER", "REALIZED_PNL", "COMMISSION", "FUNDING_FEE"],
        only(ONE_WAY, &["INSURANCE_CLEAR"]),
    );
    let trades = || account.trades.iter();
    let fees = trades().flat_map(|trade| [trade.fee_asset.as_str(), if trade.maker { "maker" } else { "taker" }]);
    has("fee", fees.collect(), &["maker", "taker", "USDT"], only(HEDGED, &["BNB", "USDC"]));
    assert!(account.positions.len() >= 2, "{}: {:?}", account.alias, account.positions);
}

/// A test that could not be run is no success where it has to be run, and not a quiet one anywhere.
fn out_of_reach(reason: &str) {
    let told = format!(
        "\n\
         ****************************************************************************************\n\
         NOT TESTED: whether unmodified ccxt can trade on the simulator.\n\
         {reason}\n\
         Needed: python3 (3.11 or later) with its venv module, and a package index that pip reaches.\n\
         ****************************************************************************************\n"
    );
    assert!(!environment::is_required(), "{told}");
    // Not `eprintln!`, which the test harness keeps to itself when a test passes.
    std::io::stderr().write_all(told.as_bytes()).unwrap();
}
