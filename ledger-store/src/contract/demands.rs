//! Cases about what facts demand of the ledger.

use ledger_core::demands::HeldAround;
use ledger_core::{AnyFact, Certainty, Fill, FillId, Income, PositionSide, PositionSnapshot, Side, TimestampMs};

use super::Open;
use super::fixtures::{at, commit, dec, fill, fills, flat, funding, main_account, prepare, rest, symbol, usdt};
use crate::filter::Scope;
use crate::page::PageRequest;
use crate::pages::Pages;
use crate::store::Store;

/// A row about trade `id` of `name`, which names it.
fn row_of(kind: &str, name: &str, id: i64, amount: &str) -> Income {
    let mut row = ledger_core::testing::income(kind, &format!("{kind}{id}"), name, amount, id * 1_000);
    row.fill_id = Some(FillId::new(id.to_string()).unwrap());
    row
}

/// The trades that fills without rows are of, page by page.
async fn without_rows(store: &dyn Store, scope: &Scope) -> Vec<String> {
    let fills = Pages::of(PageRequest::first(2), |page| store.fills_without_rows(scope, page)).all().await.unwrap();
    fills.iter().map(|fill| format!("{} {}", fill.fact.key.fill_id, fill.fact.key.side)).collect()
}

/// A fee and a profit each ask for their row, by trade and, of a fee, by asset; halves of one trade are always told.
pub async fn fills_without_their_ledger_rows_are_listed(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT", "BTCUSDT"]).await;
    let of = |id: i64, paid: &str, profit: &str| -> Fill {
        let fill = fill("ETHUSDT", id, Side::Buy, "1", "100").with_fee(usdt(paid));
        if profit.is_empty() { fill } else { fill.realizing(dec(profit)) }
    };
    let mut all = vec![
        of(1, "0.1", ""),
        of(2, "0.1", ""),
        of(3, "0", "0"),
        of(4, "0", "5"),
        of(5, "0", "5"),
        of(6, "0.1", "5"),
        of(7, "0.1", "0"),
    ];
    // Nothing is stated of one, and the last is a trade with oneself.
    all.push(Fill { fee: None, ..of(8, "0", "") });
    all.push(of(9, "0", "0"));
    all.push(fill("ETHUSDT", 9, Side::Sell, "1", "100").with_fee(usdt("0")).realizing(dec("0")));
    commit(store, fills(all)).await;
    let mut in_bnb = row_of("COMMISSION", "ETHUSDT", 7, "-0.1");
    in_bnb.key.asset = ledger_core::testing::asset("BNB");
    let mut unnamed = row_of("COMMISSION", "ETHUSDT", 2, "-0.1");
    unnamed.fill_id = None;
    let rows = [
        row_of("COMMISSION", "ETHUSDT", 1, "-0.1"),
        unnamed.clone(),
        row_of("REALIZED_PNL", "ETHUSDT", 4, "5"),
        row_of("COMMISSION", "ETHUSDT", 6, "-0.1"),
        in_bnb,
        // Another contract's trade of the same id.
        row_of("REALIZED_PNL", "BTCUSDT", 5, "5"),
    ];
    commit(store, rows.into_iter().map(|row| rest(AnyFact::Income(row))).collect()).await;
    let account = Scope::account(main_account());
    assert_eq!(without_rows(store, &account).await, ["2 BUY", "5 BUY", "6 BUY", "7 BUY", "8 BUY", "9 BUY", "9 SELL"]);
    let part = Scope { since: Some(at(5_000)), until: Some(at(7_000)), ..account };
    assert_eq!(without_rows(store, &part).await, ["5 BUY", "6 BUY"]);

    let (eth, account) = (symbol("ETHUSDT"), main_account());
    let named = store.rows_of_trade(&account, &eth, &FillId::new("1").unwrap()).await.unwrap();
    assert_eq!(named.into_iter().map(|row| row.fact).collect::<Vec<_>>(), [row_of("COMMISSION", "ETHUSDT", 1, "-0.1")]);
    assert!(store.rows_of_trade(&account, &eth, &FillId::new("5").unwrap()).await.unwrap().is_empty());
    let found = store.rows_without_trade(&account, &eth, at(0), at(9_000)).await.unwrap();
    assert_eq!(found.into_iter().map(|row| row.fact).collect::<Vec<_>>(), [unnamed]);
    assert!(store.rows_without_trade(&account, &eth, at(2_001), at(9_000)).await.unwrap().is_empty());
}

/// An instant that nobody was paid for counts where a round trip was open from a minute before it to a minute after it.
pub async fn unpaid_funding_instants_are_listed(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    // Held from 1,000 s to 5,000 s, and again from 9,000 s on.
    let trades = [(1_000, Side::Buy), (5_000, Side::Sell), (9_000, Side::Sell)];
    commit(store, fills(trades.map(|(second, side)| fill("ETHUSDT", second, side, "1", "100")))).await;
    let rate = |second: i64, rate: &str| {
        rest(AnyFact::FundingRate(ledger_core::testing::funding_rate("ETHUSDT", rate, Some("100"), second * 1_000)))
    };
    let rates = [
        rate(500, "0.0001"),
        rate(1_059, "0.0001"),
        rate(1_060, "0.0001"),
        rate(2_000, "0"),
        rate(3_000, "0.0001"),
        rate(4_000, "-0.0001"),
        rate(4_940, "0.0001"),
        rate(4_941, "0.0001"),
        rate(7_000, "0.0001"),
        rate(99_000, "0.0001"),
    ];
    commit(store, rates.to_vec()).await;
    commit(store, vec![rest(AnyFact::Income(funding("ETHUSDT", "a", "-0.01", 3_060)))]).await;
    let found = store.rates_without_rows(&main_account()).await.unwrap();
    let seconds: Vec<i64> = found.iter().map(|rate| (rate.fact.at.as_ms() - at(0).as_ms()) / 1_000).collect();
    assert_eq!(seconds, [1_060, 4_000, 4_940, 99_000]);
}

fn shown(held: &[HeldAround]) -> Vec<String> {
    let net = |around: &HeldAround| {
        let leg = around.legs.iter().find(|leg| leg.position_side == PositionSide::Net)?;
        let sizes: Vec<String> = leg.sizes.iter().map(ToString::to_string).collect();
        Some(format!("{} {}", sizes.join(">"), leg.certainty))
    };
    held.iter().filter_map(net).collect()
}

/// What was held is what the fold says, wherever it goes on from, and not known where a fill is in no position.
pub async fn what_was_held_is_told_around_instants(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    commit(store, vec![flat("ETHUSDT", 0)]).await;
    // One more every 100 s, from 100 s on.
    let bought = (1..=40).map(|number| fill("ETHUSDT", number * 100, Side::Buy, "1", "100").realizing(dec("0")));
    commit(store, fills(bought)).await;
    let (account, eth) = (main_account(), symbol("ETHUSDT"));
    let held = |seconds: &[i64]| {
        let instants = seconds.iter().map(|second| at(second * 1_000)).collect();
        store.held_around(&account, &eth, instants)
    };
    let all = held(&[3_950, 50, 250, 2_980, 300_000]).await.unwrap();
    // From a minute before to a minute after. The first one begins in front of the statement, so nothing proves it.
    let expected = ["0>1 unknown", "1>2>3 known", "29>30 known", "38>39>40 known", "40 known"];
    let times: Vec<i64> = all.iter().map(|around| (around.at.as_ms() - at(0).as_ms()) / 1_000).collect();
    assert_eq!((shown(&all), times), (expected.map(str::to_owned).to_vec(), vec![50, 250, 2_980, 3_950, 300_000]));
    // A checkpoint before it gives the same.
    assert_eq!(shown(&held(&[3_950]).await.unwrap()), ["38>39>40 known"]);
    assert_eq!(shown(&held(&[300_000]).await.unwrap()), ["40 known"]);
    assert!(held(&[]).await.unwrap().is_empty());
    let nothing = store.held_around(&account, &symbol("NOSUCHUSDT"), vec![at(0)]).await.unwrap();
    assert!(nothing.is_empty());
    // A fill that nothing places: from then on nothing is known.
    let unplaced = Fill { position_side: None, ..fill("ETHUSDT", 4_100, Side::Sell, "1", "100") };
    commit(store, fills([unplaced])).await;
    let after = held(&[3_500, 4_100, 5_000]).await.unwrap();
    let certainty = |around: &HeldAround| around.legs.first().map(|leg| leg.certainty);
    let certainties: Vec<_> = after.iter().map(|around| certainty(around) == Some(Certainty::Known)).collect();
    assert_eq!(certainties, [true, false, false], "{after:?}");
}

/// The exchange's word on a position is heard, also where it was given long before the instants that are asked for.
pub async fn what_the_exchange_states_of_a_position_is_told_around_instants(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    let bought = (1..=40).map(|number| fill("ETHUSDT", number * 100, Side::Buy, "1", "100").realizing(dec("0")));
    commit(store, fills(bought)).await;
    let stated = |second: i64, qty: &str| {
        rest(AnyFact::Position(PositionSnapshot {
            symbol: symbol("ETHUSDT"),
            position_side: PositionSide::Net,
            at: at(second * 1_000),
            qty: dec(qty),
            entry_price: None,
        }))
    };
    commit(store, vec![stated(550, "5"), stated(650, "6"), stated(1_950, "77"), stated(3_050, "30")]).await;
    let account = main_account();
    let said = async |second: i64| {
        let instants = vec![at(second * 1_000)];
        let held = store.held_around(&account, &symbol("ETHUSDT"), instants).await.unwrap();
        let leg = held.into_iter().flat_map(|around| around.legs).find(|leg| leg.position_side == PositionSide::Net);
        let leg = leg.unwrap();
        let seconds = |ms: Option<TimestampMs>| ms.map(|ms| (ms.as_ms() - at(0).as_ms()) / 1_000);
        (seconds(leg.stated_before), seconds(leg.stated_after))
    };
    assert_eq!(said(250).await, (None, Some(550)));
    assert_eq!(said(750).await, (Some(650), Some(3_050)));
    // What was stated last before does not agree.
    assert_eq!(said(2_250).await, (None, Some(3_050)));
    assert_eq!(said(4_500).await, (Some(3_050), None));
}
