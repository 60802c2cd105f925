//! Cases about what is derived from facts.

use ledger_core::{
    Anchor, AnyFact, Certainty, Condition, EngineLabel, ExitReason, Fill, Label, PositionMode, PositionSide,
    PositionSnapshot, Side, Source, Statement,
};

use super::Open;
use super::fixtures::{
    at, batch, by, commit, dec, fill, fills, flat, funding, linear, main_account, mark_price, of_order, order,
    position_of, prepare, realizing, rest, said, symbol, trips_of, usdt,
};
use crate::batch::{Batch, Refold};
use crate::filter::{FillFilter, Scope};
use crate::page::PageRequest;
use crate::record::{DiscrepancyKey, DiscrepancyStatus, NewDiscrepancy, ReconcileStatus};
use crate::store::{Store, refold_pending};

/// 12 @ 100, 17 @ 99, -9 @ 101, -4 @ 105, +3 @ 103, each with a fee of 0.0001 x notional, worked by hand.
pub async fn a_worked_example_comes_out_to_the_last_digit(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    let legs = [
        (Side::Buy, "12", "100", "0.12", "0"),
        (Side::Buy, "17", "99", "0.1683", "0"),
        (Side::Sell, "9", "101", "0.0909", "14.27586207"),
        (Side::Sell, "4", "105", "0.042", "22.34482759"),
        (Side::Buy, "3", "103", "0.0309", "0"),
    ];
    let statements = (1..).zip(legs).map(|(id, (side, qty, price, fee, pnl))| Fill {
        fee: Some(usdt(fee)),
        ..realizing(fill("ETHUSDT", id, side, qty, price), pnl)
    });
    commit(store, vec![flat("ETHUSDT", 0)]).await;
    commit(store, fills(statements)).await;
    commit(store, vec![rest(AnyFact::Price(mark_price("ETHUSDT", "110", 60)))]).await;
    let positions = store.positions(&main_account()).await.unwrap();
    let [found] = positions.as_slice() else { unreachable!("{positions:?}") };
    let position = &found.position;
    assert_eq!(position.qty, dec("19"));
    assert_eq!(position.open_cost, Some(dec("1899.620689655172413793")));
    assert_eq!(position.realized.known, dec("36.620689655172413793"));
    assert_eq!(position.realized.certainty(), Certainty::Known);
    assert_eq!(position.fees.first().unwrap().total.known, dec("0.4521"));
    assert_eq!(position.entry_price_avg, Some(dec("99.980036297641")));
    // 19 x 110 - 1899.62...
    assert_eq!(found.unreal_pnl, Some(dec("190.379310344827586207")));
    assert_eq!(found.reconcile_status, None);
    let books = store.symbol_books(&main_account()).await.unwrap();
    assert!(books.iter().all(|book| book.is_conserved
        && book.pnl_mismatch_count == 0
        && book.fill_count == 5
        && book.closed_count == 0));
    let closing = realizing(fill("ETHUSDT", 6, Side::Sell, "19", "100"), "0.37931034");
    commit(store, fills([closing])).await;
    let trips = trips_of(store).await;
    let [trip] = trips.as_slice() else { unreachable!("{trips:?}") };
    // Everything bought cost 3192, everything sold brought 3229.
    assert_eq!((trip.gross.known, trip.exit_qty, trip.fill_count), (dec("37"), dec("32"), 6));
    assert!(store.open_trips(&main_account()).await.unwrap().is_empty());
}

/// A fill whose profit the exchange states otherwise is listed, with what it states; folding on keeps it listed.
pub async fn a_reported_profit_that_does_not_fit_is_listed(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    commit(store, vec![flat("ETHUSDT", 0)]).await;
    let mut statements: Vec<_> = (1..10).map(|id| fill("ETHUSDT", id, Side::Buy, "1", "100")).collect();
    statements.push(realizing(fill("ETHUSDT", 10, Side::Sell, "9", "110"), "95.5"));
    commit(store, fills(statements)).await;
    let page = store.pnl_mismatches(&main_account(), PageRequest::first(9)).await.unwrap();
    let found: Vec<_> = page.items.iter().map(|it| (it.key.fill_id.as_str(), it.reported)).collect();
    assert_eq!(found, [("10", Some(dec("95.5")))]);
    assert_eq!(store.symbol_books(&main_account()).await.unwrap().first().unwrap().pnl_mismatch_count, 1);
    commit(store, fills([fill("ETHUSDT", 11, Side::Buy, "1", "100")])).await;
    let page = store.pnl_mismatches(&main_account(), PageRequest::first(9)).await.unwrap();
    assert_eq!(page.items.len(), 1);
}

/// A fill that does not say which position it changed is kept, counted, and changes none.
pub async fn fills_without_position_side_are_kept_out_and_counted(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    let unplaced = Fill { position_side: None, ..fill("ETHUSDT", 2, Side::Buy, "5", "100") };
    commit(store, fills([fill("ETHUSDT", 1, Side::Buy, "1", "100"), unplaced.clone()])).await;
    assert_eq!(position_of(store, "ETHUSDT").await.0, dec("1"));
    let filter = FillFilter { unplaced_only: true, ..Scope::account(main_account()).into() };
    assert_eq!(store.fill_count(&filter).await.unwrap(), 1);
    // It may be of any position; the other one is of one.
    for (side, count) in [(PositionSide::Net, 2), (PositionSide::Long, 1)] {
        let filter = FillFilter { may_be_of: Some(side), ..Scope::account(main_account()).into() };
        assert_eq!(store.fill_count(&filter).await.unwrap(), count, "{side}");
        assert_eq!(store.fills(&filter, PageRequest::first(9)).await.unwrap().items.len() as u64, count);
    }
    assert_eq!(store.symbol_books(&main_account()).await.unwrap().first().unwrap().unplaced_count, 1);
    let placed = Fill { position_side: Some(PositionSide::Net), ..unplaced };
    commit(store, vec![by(Source::Stream, AnyFact::Fill(placed))]).await;
    assert_eq!(position_of(store, "ETHUSDT").await.0, dec("6"));
    assert_eq!(store.fill_count(&filter).await.unwrap(), 0);
}

/// A fill that says no position leaves none of its symbol known, wherever it stands and whatever is folded when, until
/// it says one.
pub async fn a_fill_that_nothing_places_leaves_nothing_known(open: Open<'_>) {
    let placed: Vec<_> = (1..=20).map(|id| fill("ETHUSDT", id * 10, Side::Buy, "1", "100")).collect();
    for late in [5, 75, 105, 500] {
        let book = open();
        let store = &*book.store;
        prepare(store, &["ETHUSDT"]).await;
        commit(store, vec![flat("ETHUSDT", 0)]).await;
        for part in placed.chunks(7) {
            commit(store, fills(part.to_vec())).await;
        }
        assert_eq!(position_of(store, "ETHUSDT").await, (dec("20"), Certainty::Known));
        let unplaced = Fill { position_side: None, ..fill("ETHUSDT", late, Side::Sell, "5", "100") };
        commit(store, fills([unplaced.clone()])).await;
        assert_eq!(position_of(store, "ETHUSDT").await, (dec("20"), Certainty::Estimated), "at {late}");
        let open_trips = store.open_trips(&main_account()).await.unwrap();
        assert_eq!(open_trips.iter().map(|trip| trip.certainty).collect::<Vec<_>>(), [Certainty::Estimated]);
        assert_eq!(store.symbol_books(&main_account()).await.unwrap().first().unwrap().fill_count, 20);
        commit(store, fills([fill("ETHUSDT", 600, Side::Buy, "1", "100")])).await;
        assert_eq!(position_of(store, "ETHUSDT").await, (dec("21"), Certainty::Estimated), "at {late}");
        // A position that the book never saw may be where it went.
        let said_long = PositionSnapshot { position_side: PositionSide::Long, ..said("ETHUSDT", "1", 700) };
        commit(store, vec![rest(AnyFact::Position(said_long))]).await;
        let positions = store.positions(&main_account()).await.unwrap();
        assert_eq!(positions.iter().filter(|it| it.position.certainty == Certainty::Known).count(), 0, "{positions:?}");
        let placed = Fill { position_side: Some(PositionSide::Net), ..unplaced };
        commit(store, vec![by(Source::Stream, AnyFact::Fill(placed))]).await;
        let positions = store.positions(&main_account()).await.unwrap();
        let net = positions.iter().find(|it| it.position.position_side == PositionSide::Net).unwrap();
        // Sold before anything was bought, it opens a short position and makes the first purchases close it.
        assert_eq!((net.position.qty, net.position.certainty), (dec("16"), Certainty::Known), "at {late}");
    }
}

/// Fills of which only some are numbered have no order: the symbol waits until all of them are.
pub async fn fills_with_and_without_a_sequence_are_not_folded(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    let numbered = [fill("ETHUSDT", 1, Side::Buy, "1", "100"), fill("ETHUSDT", 3, Side::Buy, "1", "102")];
    commit(store, fills(numbered)).await;
    for position_side in [Some(PositionSide::Net), None] {
        let id = if position_side.is_some() { 2 } else { 4 };
        let bare = Fill { sequence: None, position_side, ..fill("ETHUSDT", id, Side::Sell, "1", "101") };
        let report = commit(store, fills([bare.clone()])).await;
        let reason = report.refolded.first().and_then(|report| report.quarantined.clone()).unwrap();
        assert!(reason.contains("some have a sequence number and some have none"), "{reason}");
        assert!(store.positions(&main_account()).await.unwrap().is_empty());
        let complete = Fill { sequence: Some(id), position_side: Some(PositionSide::Net), ..bare };
        commit(store, vec![by(Source::Stream, AnyFact::Fill(complete))]).await;
        assert!(store.quarantined(&main_account()).await.unwrap().is_empty());
    }
    assert_eq!(position_of(store, "ETHUSDT").await.0, dec("0"));
}

/// Knowing that the account is in one-way mode tells at once which position an order changed.
pub async fn a_position_mode_places_what_orders_executed(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT", "BTCUSDT"]).await;
    let mut bare = order("ETHUSDT", "7", Side::Buy, "3", "100", 5);
    bare.position_side = None;
    commit(store, vec![rest(AnyFact::Order(bare))]).await;
    assert!(store.positions(&main_account()).await.unwrap().is_empty());
    store.set_position_mode(&main_account(), PositionMode::OneWay, at(0)).await.unwrap();
    assert!(store.pending_refolds().await.unwrap().is_empty());
    assert_eq!(position_of(store, "ETHUSDT").await, (dec("3"), Certainty::Estimated));
    store.set_position_mode(&main_account(), PositionMode::Hedge, at(0)).await.unwrap();
    assert!(store.positions(&main_account()).await.unwrap().is_empty());
}

/// An order's answer makes no fill; what it says beyond the fills is an estimate until they arrive.
pub async fn what_an_order_executed_beyond_its_fills_is_estimated(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    // 10 @ 101 on average; 4 @ 100 have arrived, so 6 are missing, at 101.666666...
    commit(store, vec![flat("ETHUSDT", 0)]).await;
    let parent = order("ETHUSDT", "7", Side::Buy, "10", "101", 5);
    commit(store, fills([realizing(of_order(fill("ETHUSDT", 1, Side::Buy, "4", "100"), "7"), "0")])).await;
    assert_eq!(position_of(store, "ETHUSDT").await, (dec("4"), Certainty::Known));
    commit(store, vec![rest(AnyFact::Order(parent.clone()))]).await;
    let order = store.order(&main_account(), &parent.key).await.unwrap().unwrap();
    assert_eq!(
        (order.filled_qty, order.filled_quote, order.residual_qty),
        (Some(dec("4")), Some(dec("400")), Some(dec("6")))
    );
    assert_eq!(position_of(store, "ETHUSDT").await, (dec("10"), Certainty::Estimated));
    let positions = store.positions(&main_account()).await.unwrap();
    // 400 + 6 x 101.66666667, the price of the rest being rounded at 8 decimals.
    assert_eq!(positions.first().unwrap().position.open_cost, Some(dec("1010.00000002")));
    commit(store, fills([of_order(fill("ETHUSDT", 2, Side::Buy, "6", "101.5"), "7")])).await;
    assert_eq!(position_of(store, "ETHUSDT").await, (dec("10"), Certainty::Known));
    let order = store.order(&main_account(), &parent.key).await.unwrap().unwrap();
    assert_eq!((order.filled_quote, order.residual_qty), (Some(dec("1009")), None));
    assert_eq!(store.positions(&main_account()).await.unwrap().first().unwrap().position.open_cost, Some(dec("1009")));
}

/// Engine and exit reason come with the orders, also when those come after the fills.
pub async fn what_an_order_tells_reaches_its_round_trips(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    commit(
        store,
        fills([
            of_order(fill("ETHUSDT", 1, Side::Buy, "1", "100"), "11"),
            of_order(fill("ETHUSDT", 2, Side::Sell, "1", "90"), "12"),
        ]),
    )
    .await;
    assert_eq!(trips_of(store).await.first().unwrap().engine, None);
    let mut entry = order("ETHUSDT", "11", Side::Buy, "1", "100", 1);
    entry.engine = Some(EngineLabel::new("breakout").unwrap());
    let mut exit = order("ETHUSDT", "12", Side::Sell, "1", "90", 2);
    exit.condition = Some(Condition::Stop);
    commit(store, vec![rest(AnyFact::Order(entry)), rest(AnyFact::Order(exit.clone()))]).await;
    let trip = trips_of(store).await.into_iter().next().unwrap();
    assert_eq!(trip.engine.as_ref().map(EngineLabel::as_str), Some("breakout"));
    assert_eq!(trip.exit_reason, ExitReason::StopLoss);
    exit.exit_reason = Some(ExitReason::AutoExit);
    commit(store, vec![by(Source::Bot, AnyFact::Order(exit))]).await;
    assert_eq!(trips_of(store).await.first().unwrap().exit_reason, ExitReason::AutoExit);
}

/// A sum that does not fit, in one symbol; the other goes on.
pub async fn a_symbol_that_cannot_be_folded_stops_no_other(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT", "BTCUSDT"]).await;
    let huge = "99999999999999999999";
    let report = commit(
        store,
        fills([
            fill("BTCUSDT", 1, Side::Buy, huge, huge),
            fill("ETHUSDT", 2, Side::Buy, "1", "100"),
            fill("NOSUCHUSDT", 3, Side::Buy, "1", "100"),
        ]),
    )
    .await;
    assert_eq!(report.counts().recorded, 3);
    assert_eq!(report.refolded.iter().filter(|report| report.quarantined.is_some()).count(), 2);
    assert_eq!(position_of(store, "ETHUSDT").await.0, dec("1"));
    let quarantined = store.quarantined(&main_account()).await.unwrap();
    let reasons: Vec<_> = quarantined.iter().map(|item| (item.symbol.as_str(), item.reason.as_str())).collect();
    let [("BTCUSDT", overflow), ("NOSUCHUSDT", unknown)] = reasons.as_slice() else { unreachable!("{reasons:?}") };
    assert!(overflow.contains("too large"), "{overflow}");
    assert!(unknown.contains("contract NOSUCHUSDT"), "{unknown}");
}

/// Facts may come before the contract that they need.
pub async fn a_contract_that_comes_late_heals_its_symbol(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &[]).await;
    commit(store, fills([fill("ETHUSDT", 1, Side::Buy, "2", "100")])).await;
    assert_eq!(store.quarantined(&main_account()).await.unwrap().len(), 1);
    assert!(store.positions(&main_account()).await.unwrap().is_empty());
    commit(store, vec![rest(AnyFact::Instrument(linear("ETHUSDT")))]).await;
    assert!(store.quarantined(&main_account()).await.unwrap().is_empty());
    assert_eq!(position_of(store, "ETHUSDT").await.0, dec("2"));
}

/// An import can leave the refold for the end; until then the marks stand.
pub async fn deferred_refolds_stay_marked_until_done(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT", "BTCUSDT"]).await;
    for id in 1..4 {
        let statements =
            fills([fill("ETHUSDT", id, Side::Buy, "1", "100"), fill("BTCUSDT", id, Side::Sell, "1", "100")]);
        let report = store.commit(batch(statements).with_refold(Refold::Deferred)).await.unwrap();
        assert_eq!(report.pending, [symbol("BTCUSDT"), symbol("ETHUSDT")]);
        assert!(report.refolded.is_empty());
    }
    assert!(store.positions(&main_account()).await.unwrap().is_empty());
    assert_eq!(store.pending_refolds().await.unwrap().len(), 2);
    let mut left = Vec::new();
    let reports = refold_pending(store, &mut |_, remaining| left.push(remaining)).await.unwrap();
    assert_eq!(left, [1, 0]);
    assert_eq!(reports.iter().map(|report| report.fills).sum::<u64>(), 6);
    assert!(store.pending_refolds().await.unwrap().is_empty());
    assert_eq!(position_of(store, "ETHUSDT").await.0, dec("3"));
    assert!(refold_pending(store, &mut |_, _| {}).await.unwrap().is_empty());
}

async fn status_of(store: &dyn Store, name: &str) -> Option<ReconcileStatus> {
    let positions = store.positions(&main_account()).await.unwrap();
    positions.iter().find(|position| position.symbol == symbol(name)).and_then(|position| position.reconcile_status)
}

async fn certainty_of(store: &dyn Store, name: &str) -> Option<Certainty> {
    let positions = store.positions(&main_account()).await.unwrap();
    positions.iter().find(|position| position.symbol == symbol(name)).map(|position| position.position.certainty)
}

/// Matched, pending, mismatch, unresolved, or nothing while the exchange has said nothing. What the exchange contradicts
/// is not known, however sound the fold.
pub async fn positions_are_compared_with_what_the_exchange_says(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT", "BTCUSDT"]).await;
    commit(store, vec![flat("ETHUSDT", 1)]).await;
    commit(store, fills([fill("ETHUSDT", 10, Side::Buy, "2", "100")])).await;
    assert_eq!(status_of(store, "ETHUSDT").await, None);
    assert_eq!(certainty_of(store, "ETHUSDT").await, Some(Certainty::Known));
    commit(store, vec![rest(AnyFact::Position(said("ETHUSDT", "0", 5)))]).await;
    assert_eq!(status_of(store, "ETHUSDT").await, Some(ReconcileStatus::Pending));
    commit(store, vec![rest(AnyFact::Position(said("ETHUSDT", "2.0", 11)))]).await;
    assert_eq!(status_of(store, "ETHUSDT").await, Some(ReconcileStatus::Matched));
    commit(store, vec![rest(AnyFact::Position(said("ETHUSDT", "3", 12)))]).await;
    assert_eq!(status_of(store, "ETHUSDT").await, Some(ReconcileStatus::Mismatch));
    assert_eq!(certainty_of(store, "ETHUSDT").await, Some(Certainty::Estimated));
    let key = DiscrepancyKey { kind: "quantity".to_owned(), fingerprint: "ETHUSDT|NET".to_owned() };
    let discrepancy = NewDiscrepancy {
        key: key.clone(),
        symbol: Some(symbol("ETHUSDT")),
        status: DiscrepancyStatus::Unresolved,
        evidence_json: "{}".to_owned(),
    };
    store.commit(Batch { discrepancies: vec![discrepancy], ..batch(vec![]) }).await.unwrap();
    assert_eq!(status_of(store, "ETHUSDT").await, Some(ReconcileStatus::Unresolved));
    assert_eq!(certainty_of(store, "ETHUSDT").await, Some(Certainty::Estimated));
    store.commit(Batch { settled: vec![key], ..batch(vec![]) }).await.unwrap();
    assert_eq!(status_of(store, "ETHUSDT").await, Some(ReconcileStatus::Mismatch));
    // A position that the book knows nothing of is there, as a difference.
    commit(store, vec![rest(AnyFact::Position(said("BTCUSDT", "-1", 12)))]).await;
    assert_eq!(status_of(store, "BTCUSDT").await, Some(ReconcileStatus::Mismatch));
    let latest = store.latest_positions(&main_account()).await.unwrap();
    let latest: Vec<_> = latest.iter().map(|it| (it.fact.symbol.as_str(), it.fact.qty)).collect();
    assert_eq!(latest, [("BTCUSDT", dec("-1")), ("ETHUSDT", dec("3"))]);
}

/// Late funding and an anchor change the past as if they had come in time.
pub async fn funding_and_anchors_take_their_place(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    commit(
        store,
        fills([
            fill("ETHUSDT", 3_000, Side::Buy, "1", "100"),
            fill("ETHUSDT", 4_000, Side::Sell, "1", "110"),
            fill("ETHUSDT", 8_000, Side::Buy, "1", "120"),
        ]),
    )
    .await;
    // Charged at 3600 s, posted some seconds later, and known to the book long after.
    commit(store, vec![rest(AnyFact::Income(funding("ETHUSDT", "f1", "-0.5", 3_607)))]).await;
    let trip = trips_of(store).await.into_iter().next().unwrap();
    assert_eq!(trip.funding.first().map(|total| total.total.known), Some(dec("-0.5")));
    let anchor = Anchor {
        symbol: symbol("ETHUSDT"),
        position_side: PositionSide::Net,
        at: at(2_000_000),
        qty: dec("-1"),
        entry_price: Some("90".parse().unwrap()),
        derivation: Label::new("first observation").unwrap(),
        known_before: None,
        withdrawn: None,
    };
    commit(store, vec![Statement { fact: AnyFact::Anchor(anchor), source: Source::Repair, payload: None }]).await;
    // Short 1 from 90; bought at 100, sold at 110, bought at 120: flat, short again, flat.
    let trips = trips_of(store).await;
    let gross: Vec<_> = trips.iter().map(|trip| trip.gross.amount().unwrap()).collect();
    assert_eq!(gross, [dec("-10"), dec("-10")]);
    assert_eq!(position_of(store, "ETHUSDT").await.0, dec("0"));
    let page = store.fills_in_fold_order(&main_account(), &symbol("ETHUSDT"), PageRequest::first(2)).await.unwrap();
    assert_eq!(page.items.len(), 2);
}

/// An anchor that was taken back counts no longer, whichever of the two statements comes first; one that takes its
/// place elsewhere does.
pub async fn a_withdrawn_anchor_does_not_count(open: Open<'_>) {
    let stated = |second: i64, qty: &str, withdrawn: Option<&str>| {
        let anchor = Anchor {
            symbol: symbol("ETHUSDT"),
            position_side: PositionSide::Net,
            at: at(second * 1_000),
            qty: dec(qty),
            entry_price: Some("90".parse().unwrap()),
            derivation: Label::new("first observation").unwrap(),
            known_before: None,
            withdrawn: withdrawn.map(|reason| Label::new(reason).unwrap()),
        };
        Statement { fact: AnyFact::Anchor(anchor), source: Source::Repair, payload: None }
    };
    let moved = [stated(20, "5", None), stated(20, "5", Some("older fills came")), stated(5, "-1", None)];
    for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0]] {
        let book = open();
        let store = &*book.store;
        prepare(store, &["ETHUSDT"]).await;
        commit(store, fills([fill("ETHUSDT", 10, Side::Buy, "3", "100"), fill("ETHUSDT", 30, Side::Buy, "1", "100")]))
            .await;
        for index in order {
            commit(store, moved.get(index).cloned().into_iter().collect()).await;
        }
        // Short 1, then 3 and 1 bought; without the withdrawal it were 5 and 1.
        assert_eq!(position_of(store, "ETHUSDT").await.0, dec("3"), "{order:?}");
        let scope = Scope::account(main_account());
        let kept = store.anchors(&scope, PageRequest::first(9)).await.unwrap().items;
        assert_eq!(kept.iter().map(|it| it.fact.withdrawn.is_some()).collect::<Vec<_>>(), [false, true], "{order:?}");
        assert!(kept.iter().all(|it| it.conflicts.is_empty()), "{kept:?}");
    }
}
