//! Cases about where entries of the exchange's ledger belong.

use ledger_core::{
    AnyFact, Certainty, ExitReason, Fill, FillId, Income, Order, Origin, PositionSide, RoundTrip, Side, Statement,
    testing,
};

use super::Open;
use super::fixtures::{
    commit, dec, fill, fills, flat, funding, main_account, of_order, order, position_of, prepare, realizing, rest,
    trips_of, usdt,
};
use crate::store::Store;

/// An entry of the ledger of ETHUSDT, at a second.
fn entry(kind: &str, id: &str, amount: &str, second: i64) -> Income {
    testing::income(kind, id, "ETHUSDT", amount, second * 1_000)
}

fn incomes(rows: impl IntoIterator<Item = Income>) -> Vec<Statement> {
    rows.into_iter().map(|row| rest(AnyFact::Income(row))).collect()
}

/// 4 ETH bought at 100 and closed at 90 by the exchange, 100 seconds later: the order and the fills.
fn liquidated(name: &str) -> (Order, Vec<Fill>) {
    let mut forced = order(name, "7", Side::Sell, "4", "90", 1_100);
    forced.origin = Some(Origin::Liquidation);
    let closing = of_order(realizing(fill(name, 1_100, Side::Sell, "4", "90"), "-40"), "7");
    (forced, vec![realizing(fill(name, 1_000, Side::Buy, "4", "100"), "0"), closing])
}

async fn only_trip(store: &dyn Store, name: &str) -> RoundTrip {
    let trips = trips_of(store).await;
    let mut own = trips.into_iter().filter(|trip| trip.symbol.as_str() == name);
    own.next().unwrap()
}

/// Fee, order and fills in any order: the charge of 0.5 % of 360 reaches a round trip that has long ended.
pub async fn a_liquidation_costs_its_round_trip_whenever_it_is_told(open: Open<'_>) {
    let (forced, closing) = liquidated("ETHUSDT");
    let parts = [
        fills(closing),
        vec![rest(AnyFact::Order(forced))],
        incomes([entry("INSURANCE_CLEAR", "i", "-1.8", 1_103)]),
        // Whatever follows has nothing to do with it.
        fills((2_000..2_010).map(|id| fill("ETHUSDT", id, Side::Buy, "1", "95"))),
    ];
    for turns in [[0, 1, 2, 3], [2, 0, 3, 1], [3, 1, 0, 2], [1, 2, 3, 0]] {
        let book = open();
        let store = &*book.store;
        prepare(store, &["ETHUSDT"]).await;
        commit(store, vec![flat("ETHUSDT", 0)]).await;
        for turn in turns {
            commit(store, parts.get(turn).cloned().unwrap()).await;
        }
        let trip = only_trip(store, "ETHUSDT").await;
        assert_eq!(trip.exit_reason, ExitReason::Liquidation, "{turns:?}");
        let [clearance] = trip.clearance.as_slice() else { unreachable!("{turns:?}: {trip:?}") };
        assert_eq!((clearance.total.known, clearance.total.certainty()), (dec("-1.8"), Certainty::Known), "{turns:?}");
        assert_eq!(trip.net().unwrap().first().unwrap().total.known, dec("-41.8"));
        let positions = store.positions(&main_account()).await.unwrap();
        let position = &positions.first().unwrap().position;
        assert_eq!(position.clearance.first().unwrap().total.known, dec("-1.8"));
        assert!(position.since_opened.clearance.is_empty(), "{position:?}");
        assert_eq!(position.since_opened.realized.known, dec("0"));
    }
}

/// A payment of the insurance fund is the round trip's until another contract turns out to have been liquidated, too.
pub async fn the_insurance_fund_pays_for_one_contract_only(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT", "BTCUSDT"]).await;
    commit(store, vec![flat("ETHUSDT", 0), flat("BTCUSDT", 0)]).await;
    let tell = |name| {
        let (forced, closing) = liquidated(name);
        let mut told = fills(closing);
        told.push(rest(AnyFact::Order(forced)));
        told
    };
    commit(store, tell("ETHUSDT")).await;
    commit(store, incomes([entry("INSURANCE_CLEAR", "i", "25", 1_103)])).await;
    let paid = only_trip(store, "ETHUSDT").await.clearance;
    assert_eq!(paid.first().unwrap().total.estimated, dec("25"));
    commit(store, tell("BTCUSDT")).await;
    assert!(only_trip(store, "ETHUSDT").await.clearance.is_empty());
    let books = store.symbol_books(&main_account()).await.unwrap();
    assert!(books.iter().all(|book| book.unallocated_clearance.is_empty()), "it is the account's");
}

/// Funding of the very second in which a position was opened, with no other one anywhere; and one of before it.
pub async fn funding_around_an_opening_is_of_what_was_opened(open: Open<'_>) {
    for rows_first in [true, false] {
        let book = open();
        let store = &*book.store;
        prepare(store, &["ETHUSDT"]).await;
        let rows = incomes([funding("ETHUSDT", "a", "-0.5", 3_600), funding("ETHUSDT", "b", "-3", 1_800)]);
        let traded = fills([
            realizing(fill("ETHUSDT", 3_600, Side::Buy, "1", "100"), "0"),
            realizing(fill("ETHUSDT", 7_200, Side::Sell, "1", "110"), "10"),
        ]);
        let (first, second) = if rows_first { (rows, traded) } else { (traded, rows) };
        commit(store, first).await;
        commit(store, second).await;
        let trip = only_trip(store, "ETHUSDT").await;
        let paid = trip.funding.first().unwrap().total;
        assert_eq!((paid.estimated, paid.certainty()), (dec("-0.5"), Certainty::Estimated));
        assert_eq!(trip.net().unwrap().first().unwrap().total.amount().unwrap(), dec("9.5"));
        let books = store.symbol_books(&main_account()).await.unwrap();
        assert_eq!(books.first().unwrap().unallocated_funding.first().unwrap().total.known, dec("-3"));
    }
}

/// A delivered contract whose position no fill closed.
pub async fn a_settlement_ends_what_no_fill_closed(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    commit(store, fills([realizing(fill("ETHUSDT", 1_000, Side::Buy, "2", "100"), "0")])).await;
    commit(store, incomes([entry("DELIVERED_SETTELMENT", "d", "14", 9_000)])).await;
    let trip = only_trip(store, "ETHUSDT").await;
    assert_eq!((trip.exit_reason, trip.exit_price_avg), (ExitReason::Settlement, None));
    assert_eq!((trip.gross.estimated, trip.gross.certainty()), (dec("14"), Certainty::Estimated));
    assert_eq!(position_of(store, "ETHUSDT").await.0, dec("0"));
    assert!(store.symbol_books(&main_account()).await.unwrap().first().unwrap().is_conserved);
}

/// Of an account that is paid in credits, whether the ledger or the fills come first.
pub async fn profit_is_in_the_asset_that_the_ledger_says(open: Open<'_>) {
    let traded = fills([
        realizing(fill("ETHUSDT", 1_000, Side::Buy, "1", "100"), "0"),
        realizing(fill("ETHUSDT", 1_001, Side::Sell, "1", "110"), "10"),
    ]);
    let mut profit = entry("REALIZED_PNL", "p", "10", 1_001);
    profit.key.asset = testing::asset("BNFCR");
    for (first, second) in [(traded.clone(), incomes([profit.clone()])), (incomes([profit]), traded)] {
        let book = open();
        let store = &*book.store;
        prepare(store, &["ETHUSDT"]).await;
        commit(store, first).await;
        commit(store, second).await;
        assert_eq!(only_trip(store, "ETHUSDT").await.settle_asset.as_str(), "BNFCR");
        let movements = store.movements(&main_account(), &testing::symbol("ETHUSDT"), None, None).await.unwrap();
        assert!(movements.items.iter().all(|movement| movement.asset.as_str() == "BNFCR"), "{movements:?}");
    }
}

/// A share of a fee that comes back days later, when the round trip has ended, whether ledger or fills come first.
pub async fn what_comes_back_of_a_fee_lowers_the_fees_of_its_fill(open: Open<'_>) {
    let day = 86_400;
    let bought = fill("ETHUSDT", 1_000, Side::Buy, "1", "100").with_fee(usdt("0.05"));
    let sold = fill("ETHUSDT", 1_001, Side::Sell, "1", "110").with_fee(usdt("0.06"));
    let traded = fills([realizing(bought, "0"), realizing(sold, "10")]);
    let of_trade = |id: &str, trade: &str, amount: &str, second: i64| {
        let mut row = entry("REFERRAL_KICKBACK", id, amount, second);
        row.fill_id = FillId::new(trade).ok();
        row
    };
    let back = incomes([
        of_trade("a", "1000", "0.005", 2 * day),
        of_trade("b", "1001", "0.006", 3 * day),
        // Of somebody else's trade, whom this account referred.
        of_trade("c", "77", "0.9", 3 * day),
        entry("REFERRAL_KICKBACK", "d", "0.8", 3 * day),
    ]);
    for (first, second) in [(traded.clone(), back.clone()), (back, traded)] {
        let book = open();
        let store = &*book.store;
        prepare(store, &["ETHUSDT"]).await;
        commit(store, first).await;
        commit(store, second).await;
        let trip = only_trip(store, "ETHUSDT").await;
        assert_eq!(trip.fees.first().unwrap().total.amount().unwrap(), dec("0.099"));
        assert_eq!(trip.net().unwrap().first().unwrap().total.amount().unwrap(), dec("9.901"));
        // What came back in a period is answered for it, however old its trade is.
        let since = Some(testing::at(3 * day * 1_000));
        let movements = store.movements(&main_account(), &testing::symbol("ETHUSDT"), since, None).await.unwrap();
        let found: Vec<_> = movements.items.iter().map(|it| (it.at, it.amount, it.trip.is_some())).collect();
        assert_eq!(found, [(testing::at(3 * day * 1_000), Some(dec("0.006")), true)]);
    }
}

/// Buying from oneself: both halves have the trade's id, and its entry counts once.
pub async fn what_comes_back_of_a_trade_with_oneself_counts_once(open: Open<'_>) {
    let half = |side, position_side| Fill {
        position_side: Some(position_side),
        ..fill("ETHUSDT", 1_000, side, "1", "100").with_fee(usdt("0.05"))
    };
    let halves = [half(Side::Buy, PositionSide::Long), half(Side::Sell, PositionSide::Short)];
    for order in [[0, 1], [1, 0]] {
        let book = open();
        let store = &*book.store;
        prepare(store, &["ETHUSDT"]).await;
        let mut back = entry("REFERRAL_KICKBACK", "a", "0.01", 86_400);
        back.fill_id = FillId::new("1000").ok();
        commit(store, incomes([back])).await;
        for index in order {
            commit(store, fills(halves.get(index).cloned())).await;
        }
        let open = store.open_trips(&main_account()).await.unwrap();
        let fees: Vec<_> = open.iter().map(|trip| trip.fees.first().unwrap().total.amount().unwrap()).collect();
        assert_eq!(fees, [dec("0.04"), dec("0.05")]);
    }
}
