//! What of the book the telling goes by: short questions, none of them in a transaction of another.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::{
    AccountId, Fill, Instrument, LookStream, OrderClass, OrderId, OrderKey, RoundTrip, Source, Symbol, TimestampMs,
    TripKey,
};
use ledger_store::{
    BookOrder, DiscrepancyFilter, DiscrepancyStatus, FillFilter, IncomeFilter, Look, PageRequest, Pages, RepairFilter,
    Scope, Store, StoreResult, TripFilter,
};

use super::daily::DaySeen;
use super::health::HealthSeen;
use super::journal::JournalSeen;
use super::state::TellState;
use super::trades::{TradesSeen, is_over};
use crate::watch_state::WatchState;

/// How many fills are looked at in one go.
const FILLS_MAX: u32 = 1_000;
/// How many of the latest repairs, trips and wallets are read at once.
const PAGE: u32 = 200;

/// What the book has learned of trades, and whether that is all of it. What an order did can be told once its contract is folded:
/// the contracts of these fills that are not are named.
pub(super) async fn trades(
    book: &dyn Store,
    account: &AccountId,
    state: &TellState,
) -> StoreResult<(TradesSeen, BTreeSet<Symbol>, bool)> {
    let recorded = book.recorded_fills(account, state.fills, FILLS_MAX).await?;
    let fills: Vec<Fill> = recorded.fills.into_iter().map(|fill| fill.fact).collect();
    let mut seen = TradesSeen { until: recorded.until, open: book.open_trips(account).await?, ..TradesSeen::default() };
    let named = fills.iter().filter_map(|fill| Some((fill.key.symbol.clone(), fill.order_id.clone()?)));
    let working = state.working.iter().filter_map(|(symbol, id)| Some((symbol.parse().ok()?, id.parse().ok()?)));
    let working: BTreeSet<(Symbol, OrderId)> = working.collect();
    for (symbol, order_id) in named.chain(working.iter().cloned()).collect::<BTreeSet<_>>() {
        let key = OrderKey { symbol: symbol.clone(), class: OrderClass::Regular, order_id: order_id.clone() };
        let Some(order) = book.order(account, &key).await? else { continue };
        if working.contains(&(symbol.clone(), order_id.clone())) && is_over(&order) {
            seen.ended.insert((symbol.clone(), order_id.clone()), fills_of(book, account, &order).await?);
        }
        seen.orders.insert((symbol, order_id), order);
    }
    seen.closed = closed(book, account, state, &seen, &fills).await?;
    if !fills.is_empty() || !seen.ended.is_empty() {
        seen.positions = book.positions(account).await?;
    }
    for symbol in seen.closed.iter().map(|trip| trip.symbol.clone()).collect::<BTreeSet<_>>() {
        if let Some(contract) = book.instrument(account, &symbol).await? {
            let contract: Instrument = contract.fact;
            seen.contracts.insert(symbol, contract);
        }
    }
    let mut unfolded = BTreeSet::new();
    if !fills.is_empty() {
        let pending = book.pending_refolds().await?.into_iter().filter(|pending| pending.account == *account);
        unfolded = pending.map(|pending| pending.symbol).collect();
        unfolded.retain(|symbol| fills.iter().any(|fill| fill.key.symbol == *symbol));
    }
    seen.fills = fills;
    Ok((seen, unfolded, recorded.is_all))
}

async fn fills_of(book: &dyn Store, account: &AccountId, order: &BookOrder) -> StoreResult<Vec<Fill>> {
    let key = &order.order.fact.key;
    let scope = Scope::symbol(account.clone(), key.symbol.clone());
    let filter = FillFilter { order_id: Some(key.order_id.clone()), ..scope.into() };
    let fills = Pages::of(PageRequest::first(FILLS_MAX), |page| book.fills(&filter, page)).all().await?;
    Ok(fills.into_iter().map(|fill| fill.fact).collect())
}

/// The round trips that these fills opened or closed, and those that were open when it was last told and are not any more: a
/// settlement closes without a fill.
async fn closed(
    book: &dyn Store,
    account: &AccountId,
    state: &TellState,
    seen: &TradesSeen,
    fills: &[Fill],
) -> StoreResult<Vec<RoundTrip>> {
    let open: BTreeSet<String> = seen.open.iter().map(|trip| trip.key().to_string()).collect();
    let vanished: BTreeSet<&String> = state.open.difference(&open).collect();
    let mut since: BTreeMap<Symbol, TimestampMs> = BTreeMap::new();
    for fill in fills {
        let first = since.entry(fill.key.symbol.clone()).or_insert(fill.time.at);
        *first = fill.time.at.min(*first);
    }
    let ids: BTreeSet<_> = fills.iter().map(|fill| (&fill.key.symbol, &fill.key.fill_id)).collect();
    let mut trips: BTreeMap<String, RoundTrip> = BTreeMap::new();
    for (symbol, since) in &since {
        let scope = Scope { since: Some(*since), ..Scope::symbol(account.clone(), symbol.clone()) };
        let filter = TripFilter { scope, engine: None, position_side: None };
        let of_fills = |trip: &RoundTrip| {
            let is_of = |id: Option<&ledger_core::FillId>| id.is_some_and(|id| ids.contains(&(&trip.symbol, id)));
            is_of(trip.closed_by.as_ref()) || is_of(trip.opened_by())
        };
        let closed = Pages::of(PageRequest::first(PAGE), |page| book.trips(&filter, page)).all().await?;
        let told = closed.into_iter().filter(of_fills).map(|trip| (trip.key().to_string(), trip));
        trips.extend(told);
    }
    let missing = vanished.into_iter().filter(|key| !trips.contains_key(*key));
    let missing: Vec<TripKey> = missing.filter_map(|key| key.parse().ok()).collect();
    for symbol in missing.iter().map(|key| &key.symbol).collect::<BTreeSet<_>>() {
        let filter =
            TripFilter { scope: Scope::symbol(account.clone(), symbol.clone()), engine: None, position_side: None };
        let latest = book.trips(&filter, PageRequest::newest(PAGE)).await?.items;
        trips.extend(
            latest.into_iter().filter(|trip| missing.contains(&trip.key())).map(|trip| (trip.key().to_string(), trip)),
        );
    }
    Ok(trips.into_values().collect())
}

/// What the journal has that is not told.
pub(super) async fn journal(book: &dyn Store, account: &AccountId, state: &TellState) -> StoreResult<JournalSeen> {
    let looks = book.looks(account).await?;
    let was_compared = looks.iter().any(|look| look.stream == LookStream::Account && look.success.is_some());
    let filter = RepairFilter::from(account.clone());
    let mut repairs = Vec::new();
    let mut last_repair = None;
    let limit = if state.repairs.is_some() { PAGE } else { 1 };
    let mut pages = Pages::of(PageRequest::newest(limit), |page| book.repairs(&filter, page));
    'pages: while let Some(page) = pages.next().await? {
        for repair in page.items {
            last_repair = last_repair.max(Some(repair.id));
            if state.repairs.is_none_or(|told| repair.id <= told) {
                break 'pages;
            }
            repairs.push(repair);
        }
    }
    repairs.reverse();
    let standing = DiscrepancyFilter::standing(account.clone());
    let standing = Pages::of(PageRequest::first(PAGE), |page| book.discrepancies(&standing, page)).all().await?;
    Ok(JournalSeen { was_compared, last_repair: last_repair.or(state.repairs).unwrap_or(0), repairs, standing })
}

/// How the account stands, by what its watcher says of itself and by the last look.
pub(super) async fn health(book: &dyn Store, account: &AccountId) -> StoreResult<HealthSeen> {
    let lease = book.lease(account).await?;
    let state = lease.and_then(|lease| WatchState::parse(&lease.state_json?));
    let looks = book.looks(account).await?;
    let looked = looked(&looks);
    Ok(HealthSeen {
        is_known: state.as_ref().is_some_and(|state| state.failure.is_some() || state.looked_local.is_some()),
        failure: state.as_ref().and_then(|state| state.failure.clone()),
        stream: state.map(|state| state.stream.state),
        looked_local: looked.map(|success| success.ended_local),
        liquidations: looked.map(|success| success.seen.liquidations.clone()).unwrap_or_default(),
    })
}

fn looked(looks: &[Look]) -> Option<&ledger_store::LookSuccess> {
    looks.iter().find(|look| look.stream == LookStream::Positions)?.success.as_ref()
}

/// What a day came to.
pub(super) async fn day(
    book: &dyn Store,
    account: &AccountId,
    (since, until): (TimestampMs, TimestampMs),
    is_stale: bool,
) -> StoreResult<DaySeen> {
    let scope = Scope { since: Some(since), until: Some(until), ..Scope::account(account.clone()) };
    let income = IncomeFilter { scope: scope.clone(), income_type: None };
    let ledger = Pages::of(PageRequest::first(FILLS_MAX), |page| book.income(&income, page)).all().await?;
    // An export tells the same rows once more, without their ids.
    let ledger = ledger.into_iter().filter(|row| row.provenance.source == Source::Rest).map(|row| row.fact).collect();
    let trips = TripFilter { scope: scope.clone(), engine: None, position_side: None };
    let closed = Pages::of(PageRequest::first(FILLS_MAX), |page| book.trips(&trips, page)).all().await?;
    let latest = book.balance_snapshots(&Scope::account(account.clone()), PageRequest::newest(PAGE)).await?.items;
    let mut wallets = BTreeMap::new();
    for balance in latest {
        // The newest comes first.
        wallets.entry(balance.fact.asset).or_insert(balance.fact.wallet);
    }
    let confirmed =
        DiscrepancyFilter { statuses: vec![DiscrepancyStatus::Unresolved], ..DiscrepancyFilter::all(account.clone()) };
    let differing = Pages::of(PageRequest::first(PAGE), |page| book.discrepancies(&confirmed, page)).all().await?;
    let lease = book.lease(account).await?;
    let state = lease.and_then(|lease| WatchState::parse(&lease.state_json?));
    Ok(DaySeen {
        ledger,
        closed,
        positions: book.positions(account).await?,
        looks: book.looks(account).await?,
        wallets,
        differing: differing.len(),
        is_stale,
        interruptions: state.map_or(0, |state| state.stream.interruptions),
    })
}
