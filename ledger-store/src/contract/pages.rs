//! Cases about lists.

use std::collections::BTreeSet;
use std::fmt::Debug;

use ledger_core::testing::{fee, income};
use ledger_core::{
    AccountId, AnyFact, ClientOrderId, EngineLabel, EventTime, Fill, IncomeType, OrderStatus, Side, Signal, Sourced,
};

use super::Open;
use super::fixtures::{
    at, commit, fill, fills, main_account, new_account, of_order, order, prepare, rest, said, symbol,
};
use super::history::History;
use crate::error::StoreError;
use crate::filter::{
    DiscrepancyFilter, FillFilter, IncomeFilter, OrderFilter, Scope, SignalFilter, SignalOutlook, TripFilter,
};
use crate::page::{Direction, Page, PageRequest};
use crate::pages::Pages;
use crate::store::StoreResult;

/// Reads a list in pages of `limit`, forwards and backwards, and compares it with itself in one page.
async fn check<T: Debug, R: Future<Output = StoreResult<Page<T>>>>(what: &str, list: impl Fn(PageRequest) -> R) {
    let whole: Vec<String> =
        list(PageRequest::first(100_000)).await.unwrap().items.iter().map(|item| format!("{item:?}")).collect();
    assert!(!whole.is_empty(), "{what}: the history says nothing about it");
    let distinct: BTreeSet<_> = whole.iter().collect();
    assert_eq!(distinct.len(), whole.len(), "{what}");
    for direction in [Direction::OldestFirst, Direction::NewestFirst] {
        for limit in [1, 2, 7] {
            let mut request = PageRequest { direction, ..PageRequest::first(limit) };
            let mut items = Vec::new();
            loop {
                let page = list(request.clone()).await.unwrap();
                assert!(page.items.len() <= usize::try_from(limit).unwrap());
                items.extend(page.items.iter().map(|item| format!("{item:?}")));
                match page.next {
                    // Through its text, as a command line would hand it on.
                    Some(next) => request = request.after(next.to_string().parse().unwrap()),
                    None => break,
                }
            }
            if direction == Direction::NewestFirst {
                items.reverse();
            }
            assert_eq!(items, whole, "{what}, {direction:?}, pages of {limit}");
        }
    }
}

/// Pages neither repeat nor skip anything, in both directions, whatever their size.
pub async fn every_list_gives_every_item_once(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    store.create_account(new_account("main")).await.unwrap();
    let mut statements = History::new(7).statements(90);
    let mut untimed = order("ETHUSDT", "none1", Side::Buy, "0", "1", 0);
    (untimed.created, untimed.updated) = (None, None);
    let mut second = untimed.clone();
    second.key.order_id = "none2".parse().unwrap();
    second.signal_id = statements.iter().find_map(|statement| match &statement.fact {
        AnyFact::Signal(signal) => Some(signal.signal_id.clone()),
        _ => None,
    });
    statements.extend([rest(AnyFact::Order(untimed)), rest(AnyFact::Order(second))]);
    statements.extend([1, 2].map(|second| rest(AnyFact::Position(said("ETHUSDT", "1", second)))));
    // A signal that the bot skipped, and one that was restored: no order is awaited after them.
    let decided = statements.iter().find_map(|statement| match &statement.fact {
        AnyFact::Signal(signal) => Some(signal.clone()),
        _ => None,
    });
    if let Some(signal) = decided {
        let skipped = Signal {
            signal_id: "skipped".parse().unwrap(),
            skipped: Some("risk".parse().unwrap()),
            restored: false,
            ..signal.clone()
        };
        let restored = Signal { signal_id: "restored".parse().unwrap(), skipped: None, restored: true, ..signal };
        statements.extend([rest(AnyFact::Signal(skipped)), rest(AnyFact::Signal(restored))]);
    }
    commit(store, statements).await;
    let scope = Scope::account(main_account());
    let signals = SignalFilter::from(scope.clone());
    check("signals", |page| store.signals(&signals, page)).await;
    let orders = OrderFilter::from(scope.clone());
    check("orders", |page| store.orders(&orders, page)).await;
    // Signals that await an order, counted from the lists themselves.
    let named: std::collections::BTreeSet<_> = {
        let orders = store.orders(&orders, PageRequest::first(100_000)).await.unwrap().items;
        orders.into_iter().filter_map(|order| order.order.fact.signal_id).collect()
    };
    let all = store.signals(&signals, PageRequest::first(100_000)).await.unwrap().items;
    let awaits = |signal: &&Sourced<Signal>| {
        let fact = &signal.fact;
        !named.contains(&fact.signal_id) && fact.skipped.is_none() && !fact.restored
    };
    let alone: Vec<_> = all.iter().filter(awaits).cloned().collect();
    assert!(!alone.is_empty() && alone.len() < all.len(), "{} of {}", alone.len(), all.len());
    let awaiting =
        SignalFilter { named_by_order: Some(false), outlook: Some(SignalOutlook::Awaited), ..signals.clone() };
    assert_eq!(store.signals(&awaiting, PageRequest::first(100_000)).await.unwrap().items, alone);
    check("signals that await an order", |page| store.signals(&awaiting, page)).await;
    let all_fills = FillFilter::from(scope.clone());
    check("fills", |page| store.fills(&all_fills, page)).await;
    check("cancels", |page| store.cancels(&scope, page)).await;
    let income = IncomeFilter { scope: scope.clone(), income_type: None };
    check("income", |page| store.income(&income, page)).await;
    check("position snapshots", |page| store.position_snapshots(&scope, page)).await;
    // The latest of each position, among all of them.
    let mut latest = std::collections::BTreeMap::new();
    for snapshot in store.position_snapshots(&scope, PageRequest::first(100_000)).await.unwrap().items {
        latest.insert((snapshot.fact.symbol.clone(), snapshot.fact.position_side.to_string()), snapshot);
    }
    let latest: Vec<_> = latest.into_values().collect();
    assert!(latest.len() > 2, "{latest:?}");
    assert_eq!(store.latest_positions(&main_account()).await.unwrap(), latest);
    check("balance snapshots", |page| store.balance_snapshots(&scope, page)).await;
    check("price snapshots", |page| store.price_snapshots(&scope, page)).await;
    check("funding rates", |page| store.funding_rates(&scope, page)).await;
    let trips = TripFilter { scope: scope.clone(), engine: None, position_side: None };
    check("trips", |page| store.trips(&trips, page)).await;
    let discrepancies = DiscrepancyFilter::all(main_account());
    check("discrepancies", |page| store.discrepancies(&discrepancies, page)).await;
    for name in ["ETHUSDT", "BTCUSDT"] {
        let (account, symbol) = (main_account(), symbol(name));
        let forwards = |page| store.fills_in_fold_order(&account, &symbol, page);
        let whole = forwards(PageRequest::first(1_000)).await.unwrap();
        assert!(whole.next.is_none());
        let keys: Vec<_> = whole.items.iter().map(|fill| fill.fact.fold_key()).collect();
        assert!(keys.is_sorted() && !keys.is_empty());
        let paged = Pages::of(PageRequest::first(3), forwards).all().await.unwrap();
        assert_eq!(paged.iter().map(|fill| fill.fact.fold_key()).collect::<Vec<_>>(), keys);
    }
}

/// Filters leave in what they name and nothing else.
pub async fn lists_can_be_narrowed(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT", "BTCUSDT"]).await;
    let mut open_order = order("ETHUSDT", "1", Side::Buy, "0", "1", 5);
    open_order.status = OrderStatus::New;
    open_order.client_order_id = Some(ClientOrderId::new("mine").unwrap());
    let mut done = order("BTCUSDT", "2", Side::Buy, "1", "1", 6);
    done.engine = Some(EngineLabel::new("dca").unwrap());
    let mut statements = vec![rest(AnyFact::Order(open_order)), rest(AnyFact::Order(done))];
    statements.extend(fills([
        of_order(fill("ETHUSDT", 1, Side::Buy, "1", "100"), "1"),
        fill("ETHUSDT", 2, Side::Sell, "1", "100"),
        fill("BTCUSDT", 3, Side::Buy, "1", "100"),
    ]));
    commit(store, statements).await;
    let (account, page) = (main_account(), || PageRequest::first(10));
    let ids = async |filter: OrderFilter| {
        let page = store.orders(&filter, page()).await.unwrap();
        page.items.iter().map(|order| order.order.fact.key.order_id.to_string()).collect::<Vec<_>>()
    };
    let everything = || OrderFilter::from(Scope::account(account.clone()));
    assert_eq!(ids(everything()).await, ["1", "2"]);
    assert_eq!(ids(OrderFilter { open_only: true, ..everything() }).await, ["1"]);
    assert_eq!(ids(OrderFilter { status: Some(OrderStatus::Filled), ..everything() }).await, ["2"]);
    assert_eq!(
        ids(OrderFilter { client_order_id: Some(ClientOrderId::new("mine").unwrap()), ..everything() }).await,
        ["1"]
    );
    assert_eq!(ids(OrderFilter { engine: Some(EngineLabel::new("dca").unwrap()), ..everything() }).await, ["2"]);
    assert_eq!(ids(OrderFilter { residual_only: true, ..everything() }).await, ["2"]);
    assert_eq!(ids(OrderFilter::from(Scope::symbol(account.clone(), symbol("ETHUSDT")))).await, ["1"]);
    let count = async |filter: FillFilter| store.fill_count(&filter).await.unwrap();
    let all = || FillFilter::from(Scope::account(account.clone()));
    assert_eq!(count(all()).await, 3);
    assert_eq!(count(Scope::symbol(account.clone(), symbol("ETHUSDT")).into()).await, 2);
    assert_eq!(count(FillFilter { order_id: Some("1".parse().unwrap()), ..all() }).await, 1);
    // From the second fill on, and before the third.
    let between = Scope { since: Some(at(2_000)), until: Some(at(3_000)), ..Scope::account(account.clone()) };
    assert_eq!(count(between.clone().into()).await, 1);
    let listed = store.fills(&between.into(), page()).await.unwrap();
    assert_eq!(listed.items.len(), 1);
    // Of whatever fill something is left to be told.
    let whole = |id| Fill { fee: Some(fee("0.1", "USDT")), ..fill("ETHUSDT", id, Side::Buy, "1", "100") };
    let coarse = [
        Fill { time: EventTime::seconds(at(5_000)), ..whole(5) },
        Fill { position_side: None, ..whole(6) },
        Fill { fee: None, ..whole(7) },
    ];
    commit(store, fills(coarse.into_iter().chain([whole(8)]))).await;
    let since = Scope { since: Some(at(5_000)), ..Scope::account(account.clone()) };
    let coarse = FillFilter { coarse_only: true, ..since.into() };
    assert_eq!(count(coarse.clone()).await, 3);
    let listed = store.fills(&coarse, page()).await.unwrap().items;
    assert_eq!(listed.iter().map(|fill| fill.fact.key.fill_id.as_str()).collect::<Vec<_>>(), ["5", "6", "7"]);
    assert_eq!(store.symbols(&account).await.unwrap(), [symbol("BTCUSDT"), symbol("ETHUSDT")]);
}

/// Each type of ledger rows once, of one account alone.
pub async fn the_types_of_ledger_rows_are_named_once(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    let row = |of: &str, id: &str| rest(AnyFact::Income(income(of, id, "BTCUSDT", "1", 60_000)));
    let rows = vec![row("TRANSFER", "1"), row("API_REBATE", "2"), row("TRANSFER", "3"), row("API_REBATE", "4")];
    let account = main_account();
    prepare(store, &["BTCUSDT"]).await;
    assert!(store.income_types(&account).await.unwrap().is_empty());
    commit(store, rows).await;
    let types = store.income_types(&account).await.unwrap();
    assert_eq!(types.iter().map(IncomeType::as_str).collect::<Vec<_>>(), ["API_REBATE", "TRANSFER"]);
    assert!(store.income_types(&AccountId::new("other").unwrap()).await.unwrap().is_empty());
}

/// A cursor that does not fit is an error, not an empty or wrong page.
pub async fn a_cursor_of_another_list_is_refused(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    commit(store, fills((1..4).map(|id| fill("ETHUSDT", id, Side::Buy, "1", "100")))).await;
    let filter = FillFilter::from(Scope::account(main_account()));
    let next = store.fills(&filter, PageRequest::first(1)).await.unwrap().next.unwrap();
    let request = PageRequest::first(1).after(next);
    let error = store.runs(&main_account().into(), request).await.unwrap_err();
    assert!(matches!(error, StoreError::BadCursor { .. }), "{error:?}");
    assert!("12".parse::<crate::page::Cursor>().is_err());
}
