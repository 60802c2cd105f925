//! Cases about numbers from outside the account: funding rates, prices of the assets that fees are paid in.

use ledger_core::testing::{asset, fee, funding_rate, income, kline_close};
use ledger_core::{AnyFact, Asset, FundingRate, Outcome, Side, Source};

use super::Open;
use super::fixtures::{
    at, batch, by, commit, dec, fill, fills, funding, main_account, mark_price, new_account, prepare, rest, symbol,
};
use crate::batch::{FundingReach, UnpricedFee};
use crate::filter::Scope;
use crate::page::PageRequest;

const HOUR_S: i64 = 3_600;

fn rate(text: &str, mark: Option<&str>, second: i64) -> FundingRate {
    funding_rate("ETHUSDT", text, mark, second * 1_000)
}

/// A rate is a fact like others: it is read by contract and span, refined by who states more, and in conflict with another.
pub async fn funding_rates_are_kept_by_instant(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    let other = funding_rate("BTCUSDT", "0.0003", None, 8 * HOUR_S * 1_000);
    let statements = vec![
        by(Source::ExchangeCsv, AnyFact::FundingRate(rate("-0.0012", None, 8 * HOUR_S))),
        rest(AnyFact::FundingRate(rate("0.0001", None, 16 * HOUR_S))),
        rest(AnyFact::FundingRate(other)),
    ];
    commit(store, statements).await;
    let fuller = commit(store, vec![rest(AnyFact::FundingRate(rate("-0.0012", Some("2000.5"), 8 * HOUR_S)))]).await;
    assert_eq!(fuller.outcomes, [Outcome::Merged { fields: ["mark_price"].into() }]);
    let otherwise = commit(store, vec![rest(AnyFact::FundingRate(rate("0.0002", None, 16 * HOUR_S)))]).await;
    assert_eq!(otherwise.outcomes, [Outcome::Conflicts { fields: ["rate"].into() }]);
    let until = Some(at(16 * HOUR_S * 1_000));
    let scope = Scope { since: Some(at(1)), until, ..Scope::symbol(main_account(), symbol("ETHUSDT")) };
    let read = store.funding_rates(&scope, PageRequest::first(9)).await.unwrap().items;
    let read: Vec<_> = read.into_iter().map(|rate| rate.fact).collect();
    assert_eq!(read, [rate("-0.0012", Some("2000.5"), 8 * HOUR_S)]);
}

/// What a symbol's funding means can depend on a rate that comes late: it is folded again from that instant on, and not
/// from further back.
pub async fn a_late_rate_makes_its_contract_out_of_date(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    commit(store, fills((1..=6).map(|hour| fill("ETHUSDT", hour * HOUR_S, Side::Buy, "1", "100")))).await;
    let refolded = async |rate: FundingRate| {
        let report = commit(store, vec![rest(AnyFact::FundingRate(rate))]).await;
        report.refolded.iter().map(|refold| (refold.symbol.to_string(), refold.fills)).collect::<Vec<_>>()
    };
    let eth = |fills| vec![("ETHUSDT".to_owned(), fills)];
    assert_eq!(refolded(rate("0.0001", None, 8 * HOUR_S)).await, eth(0));
    assert_eq!(refolded(rate("0.0001", None, HOUR_S / 2)).await, eth(6));
    // The list may date an instant some milliseconds late; its rows count at the full hour.
    let [(_, fills)] =
        refolded(funding_rate("ETHUSDT", "0.0001", None, 6 * HOUR_S * 1_000 + 12)).await.try_into().unwrap();
    assert!(fills > 0);
    // What the book has already changes nothing.
    assert_eq!(refolded(rate("0.0001", None, 8 * HOUR_S)).await, []);
}

/// Positions are valued at mark prices; what was traded last in some minute is another price.
pub async fn a_price_of_another_kind_is_no_mark_price(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    commit(store, fills([fill("ETHUSDT", 1, Side::Buy, "2", "100")])).await;
    let close = kline_close("ETHUSDT", "150", 1);
    let statements = vec![rest(AnyFact::Price(mark_price("ETHUSDT", "103", 90))), rest(AnyFact::Price(close.clone()))];
    commit(store, statements).await;
    // A mark price of the very same moment is no contradiction.
    let same_moment = ledger_core::testing::mark("ETHUSDT", "104", 119_999);
    assert_eq!(commit(store, vec![rest(AnyFact::Price(same_moment.clone()))]).await.outcomes, [Outcome::Recorded]);
    let [found] = store.positions(&main_account()).await.unwrap().try_into().unwrap();
    assert_eq!((found.mark, found.unreal_pnl), (Some(same_moment.clone()), Some(dec("8"))));
    let scope = Scope::symbol(main_account(), symbol("ETHUSDT"));
    let page =
        store.price_snapshots(&Scope { since: Some(at(100_000)), ..scope }, PageRequest::first(9)).await.unwrap();
    let read: Vec<_> = page.items.into_iter().map(|price| price.fact).collect();
    assert_eq!(read, [close, same_moment]);
}

/// Whoever records a fee in another asset leaves a note of its minute, until somebody has asked what the asset was worth.
pub async fn fees_in_other_assets_wait_for_a_price(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    let bnb: Asset = asset("BNB");
    let paid = |id: i64, amount: &str, name: &str| fill("ETHUSDT", id, Side::Buy, "1", "9").with_fee(fee(amount, name));
    let minute =
        |minute: i64| UnpricedFee { symbol: symbol("ETHUSDT"), asset: bnb.clone(), minute: at(minute * 60_000) };
    // In the asset of the contract, or none at all; two of one minute are one question.
    commit(store, fills([paid(1, "0.1", "USDT"), paid(2, "0", "BNB"), paid(70, "0.1", "BNB"), paid(119, "1", "BNB")]))
        .await;
    let waiting = async |limit| store.unpriced_fees(&main_account(), limit).await.unwrap();
    assert_eq!(waiting(9).await, [minute(1)]);
    // A rebate is worth something, too. What the ledger alone knows counts, and what comes to be known later.
    commit(store, fills([paid(300, "-0.1", "BNB"), fill("ETHUSDT", 400, Side::Sell, "1", "9")])).await;
    let mut commission = income("COMMISSION", "c1", "ETHUSDT", "-0.01", 600_000);
    commission.key.asset = bnb.clone();
    let mut transfer = income("TRANSFER", "t1", "", "5", 660_000);
    transfer.key.asset = bnb.clone();
    commit(store, vec![rest(AnyFact::Income(commission)), rest(AnyFact::Income(transfer))]).await;
    assert_eq!(waiting(9).await, [minute(10), minute(5), minute(1)]);
    assert_eq!(waiting(2).await, [minute(10), minute(5)]);
    // Saying it again asks nothing anew, once it is settled.
    let mut settled = batch(vec![rest(AnyFact::Price(kline_close("BNBUSDT", "600", 1)))]);
    settled.priced = vec![minute(1), minute(10), minute(999)];
    store.commit(settled).await.unwrap();
    commit(store, fills([paid(70, "0.1", "BNB"), paid(119, "1", "BNB")])).await;
    assert_eq!(waiting(9).await, [minute(5)]);
    // The fold has nothing of a contract that only lends its price.
    assert!(store.positions(&main_account()).await.unwrap().iter().all(|held| held.symbol != symbol("BNBUSDT")));
    assert!(store.quarantined(&main_account()).await.unwrap().is_empty());
    assert!(!store.symbols(&main_account()).await.unwrap().contains(&symbol("BNBUSDT")));
    // Another account has its own.
    store.create_account(new_account("other")).await.unwrap();
    assert!(store.unpriced_fees(&new_account("other").id, 9).await.unwrap().is_empty());
}

/// The rates that a contract needs reach from its first fill or funding row to its last row, whichever source told them.
pub async fn what_a_contract_needs_of_funding_rates_is_told(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["BTCUSDT", "ETHUSDT", "SOLUSDT"]).await;
    // The first by sequence is the first in time; those without a sequence are looked at as well.
    let unnumbered = |second| ledger_core::Fill { sequence: None, ..fill("SOLUSDT", second, Side::Buy, "1", "9") };
    commit(store, fills([fill("ETHUSDT", 900, Side::Buy, "1", "9"), fill("ETHUSDT", 500, Side::Buy, "1", "9")])).await;
    commit(store, fills([unnumbered(700), unnumbered(650)])).await;
    commit(
        store,
        vec![
            rest(AnyFact::Income(funding("BTCUSDT", "f1", "-1", 400))),
            rest(AnyFact::Income(funding("BTCUSDT", "f2", "1", 9_000))),
            rest(AnyFact::Income(funding("ETHUSDT", "f3", "1", 800))),
            rest(AnyFact::Income(income("COMMISSION", "c1", "XRPUSDT", "-1", 5))),
        ],
    )
    .await;
    let reach = |name: &str, first: i64, last_row: Option<i64>| FundingReach {
        symbol: symbol(name),
        first: at(first * 1_000),
        last_row: last_row.map(|second| at(second * 1_000)),
    };
    assert_eq!(
        store.funding_reach(&main_account()).await.unwrap(),
        [reach("BTCUSDT", 400, Some(9_000)), reach("ETHUSDT", 500, Some(800)), reach("SOLUSDT", 650, None)]
    );
    // An older export moves the beginning.
    commit(store, fills([fill("BTCUSDT", 300, Side::Sell, "1", "9")])).await;
    assert_eq!(store.funding_reach(&main_account()).await.unwrap()[..1], [reach("BTCUSDT", 300, Some(9_000))]);
}
