//! Looking: account-wide questions first, then a closer look at the symbols where they differ from the book.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_failed_query_is_kept_as_an_error`, and the other questions are asked all the same.
//! 2. `only_suspect_symbols_are_looked_at_closely`.
//! 3. `time_that_the_venue_has_forgotten_is_never_taken_for_read`.

use std::collections::{BTreeMap, BTreeSet};

use exchange_client::{
    Answer, ExchangeError, ExchangeReader, OrderRef, Page, Stated, TimeWindow, TradeQuery, WindowQuery,
};
use ledger_core::{
    AccountId, Asset, BalanceSnapshot, Fill, FillId, FillKey, Income, Order, OrderClass, OrderId, OrderKey,
    PositionSnapshot, Side, Sourced, Symbol, TimestampMs,
};
use ledger_store::{Account, BookOrder, ExchangeIdentity, IntentFilter, OrderFilter, PageRequest, Scope, SyncCursor};

use crate::book::Book;
use crate::error::{Doing, ReconcileError};
use crate::observation::{Asked, BookView, Continuity, FillWalk, Observation, SymbolObservation, Walk};

/// The stream of orders, account-wide.
pub(crate) const ORDERS: &str = "orders";
/// The stream of ledger rows, account-wide.
pub(crate) const INCOME: &str = "income";
/// The stream of fills, per symbol.
pub(crate) const FILLS: &str = "fills";

/// How far before its cursor every cycle reads again: lists of orders have been seen to lag by hours.
const OVERLAP_MS: i64 = 6 * 3_600_000;
const BOOK_PAGE_ROWS: u32 = 1_000;
/// How often the fills are asked again when new ones keep coming in during the closer look.
const ROUNDS_MAX: usize = 3;

/// What to look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObserveOptions {
    /// These symbols only; all when empty.
    pub symbols: BTreeSet<Symbol>,
    /// From this instant on, whatever the cursors say.
    pub since: Option<TimestampMs>,
}

impl ObserveOptions {
    /// Whether a symbol is wanted.
    pub fn wants(&self, symbol: &Symbol) -> bool {
        self.symbols.is_empty() || self.symbols.contains(symbol)
    }

    /// Whether everything is looked at, so that what is not found is not there.
    pub fn is_everything(&self) -> bool {
        self.symbols.is_empty()
    }
}

/// Looks at the exchange and the book. Writes nothing.
///
/// # Errors
/// [`ReconcileError`] when the account is unknown, belongs to somebody else, or the book cannot be read. Whatever else
/// the exchange does not answer is part of the observation.
pub async fn observe(
    exchange: &dyn ExchangeReader,
    book: &Book,
    account_id: &AccountId,
    options: &ObserveOptions,
) -> Result<Observation, ReconcileError> {
    let account = book.accounts.account(account_id).await.doing("reading the account")?;
    let account = account.ok_or_else(|| ReconcileError::UnknownAccount { account: account_id.clone() })?;
    let identity = exchange.account_identity().await.map_err(ReconcileError::Exchange)?;
    check_identity(&account, &identity)?;
    let position_mode = exchange.fetch_position_mode().await.map_err(ReconcileError::Exchange)?;
    let now = exchange.server_time().await.map_err(ReconcileError::Exchange)?;
    let cursors = book.sync.cursors(account_id).await.doing("reading the cursors")?;

    let venue = exchange.venue();
    let window = |stream: &'static str, symbol: Option<&Symbol>, retention_ms: i64| {
        let reached = reached(&cursors, stream, symbol)?;
        Ok::<_, ReconcileError>(span(reached, options.since.or(reached.map(overlap)), now, retention_ms))
    };
    let positions = exchange.fetch_positions(None).await;
    let open_orders = exchange.fetch_open_orders(None).await;
    let orders = walk_orders(exchange, window(ORDERS, None, venue.orders.retention_ms)?).await;
    let income = walk_income(exchange, window(INCOME, None, venue.income.retention_ms)?).await;
    let balances = exchange.fetch_balances().await;
    let mark_prices = exchange.fetch_mark_prices(None).await;

    let mut view = read_book(book, account, account_id).await?;
    let assets = balances.iter().flat_map(|answer| &answer.rows).map(|row| row.entity.asset.clone()).collect();
    view.latest_balances = latest_balances(book, account_id, assets).await?;
    let listed = orders.iter().flat_map(|walk| &walk.rows).chain(open_orders.iter().flat_map(|answer| &answer.rows));
    for row in listed {
        learn_order(book, account_id, &mut view, &row.entity.key).await?;
    }
    let unfilled = match_income(book, account_id, &mut view, &income).await?;

    let suspects = suspects(&view, &positions, &open_orders, &orders, &unfilled);
    let mut symbols = BTreeMap::new();
    for (symbol, suspect) in suspects.into_iter().filter(|(symbol, _)| options.wants(symbol)) {
        // A position that differs may rest on a hole anywhere, so all of history is read again.
        let fills_window = if suspect.position_differs {
            span(reached(&cursors, FILLS, Some(&symbol))?, options.since, now, venue.trades.retention_ms)
        } else {
            window(FILLS, Some(&symbol), venue.trades.retention_ms)?
        };
        let mut close = look_closely(exchange, &symbol, &suspect, fills_window).await;
        complete(exchange, book, account_id, &mut view, &symbol, &mut close).await?;
        symbols.insert(symbol, close);
    }
    let mut named = view.unfolded.iter().chain(symbols.keys());
    let needs_contracts = named.any(|symbol| options.wants(symbol) && !view.instruments.contains(symbol));
    let instruments = if needs_contracts { Some(exchange.fetch_instruments().await) } else { None };
    Ok(Observation {
        venue,
        scope: options.symbols.clone(),
        identity,
        asked_at: now,
        position_mode,
        positions,
        open_orders,
        balances,
        mark_prices,
        orders,
        income,
        instruments,
        book: view,
        symbols,
    })
}

fn check_identity(account: &Account, identity: &exchange_client::AccountIdentity) -> Result<(), ReconcileError> {
    let offered = ExchangeIdentity { base_url: identity.base_url.clone(), alias: Some(identity.account_alias.clone()) };
    let bound = account.identity.as_ref();
    let same_venue = account.venue == identity.venue;
    if same_venue && bound.is_none_or(|bound| *bound == offered) {
        return Ok(());
    }
    let bound = match bound {
        Some(bound) => {
            let alias = bound.alias.as_deref().unwrap_or("an unnamed account");
            format!("{alias} at {} ({})", bound.base_url, account.venue)
        }
        None => account.venue.clone(),
    };
    Err(ReconcileError::WrongAccount { account: account.id.clone(), bound, offered: identity.to_string() })
}

/// Where the previous walk of a stream ended.
fn reached(
    cursors: &[SyncCursor],
    stream: &'static str,
    symbol: Option<&Symbol>,
) -> Result<Option<TimestampMs>, ReconcileError> {
    let Some(cursor) = cursors.iter().find(|cursor| cursor.stream == stream && cursor.symbol.as_ref() == symbol) else {
        return Ok(None);
    };
    let at = cursor.position.parse().ok().and_then(|ms| TimestampMs::new(ms).ok());
    at.map(Some).ok_or_else(|| ReconcileError::Cursor { stream, position: cursor.position.clone() })
}

/// Where to begin so that what was late the last time is read again.
fn overlap(reached: TimestampMs) -> TimestampMs {
    reached.saturating_add_ms(-OVERLAP_MS)
}

/// From `begin` on, or as far back as the venue answers.
fn span(reached: Option<TimestampMs>, begin: Option<TimestampMs>, now: TimestampMs, retention_ms: i64) -> Span {
    // A little inside of the venue's limit, which moves on while we ask.
    let oldest = now.saturating_add_ms(60_000 - retention_ms);
    let since = begin.map_or(oldest, |begin| begin.max(oldest));
    let continuity = match reached {
        None if since == oldest => Continuity::First,
        Some(reached) if since <= reached => Continuity::Resumed,
        Some(reached) if since == oldest => Continuity::Expired(TimeWindow::up_to(oldest, reached)),
        // Told to begin later than where the last walk ended, the cursor has to stay, or the time between is never read.
        _ => Continuity::Apart,
    };
    Span { window: TimeWindow::up_to(now, since), now, continuity }
}

/// What to walk through.
#[derive(Debug, Clone, Copy)]
struct Span {
    window: TimeWindow,
    now: TimestampMs,
    continuity: Continuity,
}

async fn walk_orders(exchange: &dyn ExchangeReader, span: Span) -> Asked<Walk<Order>> {
    let (mut rows, mut next) = (Vec::new(), Some(WindowQuery::new(span.window)));
    while let Some(query) = next {
        let Page { rows: page, next: following, .. } = exchange.fetch_orders(OrderClass::Regular, None, query).await?;
        rows.extend(page);
        next = following;
    }
    Ok(Walk { rows, window: span.window, asked_at: span.now, continuity: span.continuity })
}

async fn walk_income(exchange: &dyn ExchangeReader, span: Span) -> Asked<Walk<Income>> {
    let (mut rows, mut next) = (Vec::new(), Some(WindowQuery::new(span.window)));
    while let Some(query) = next {
        let Page { rows: page, next: following, .. } = exchange.fetch_income(query).await?;
        rows.extend(page);
        next = following;
    }
    Ok(Walk { rows, window: span.window, asked_at: span.now, continuity: span.continuity })
}

async fn read_book(book: &Book, account: Account, id: &AccountId) -> Result<BookView, ReconcileError> {
    let positions = book.positions.positions(id).await.doing("reading the positions")?;
    let mut view = BookView {
        account,
        positions,
        orders: BTreeMap::new(),
        unresolved_intents: Vec::new(),
        known_income: BTreeSet::new(),
        latest_positions: book.snapshots.latest_positions(id).await.doing("reading the position snapshots")?,
        latest_balances: Vec::new(),
        instruments: BTreeSet::new(),
        unfolded: BTreeSet::new(),
    };
    let instruments = book.instruments.instruments(id).await.doing("reading the contracts")?;
    view.instruments = instruments.into_iter().map(|instrument| instrument.fact.symbol).collect();
    let named = book.instruments.symbols(id).await.doing("reading the symbols")?;
    view.unfolded = named.into_iter().filter(|symbol| !view.instruments.contains(symbol)).collect();
    let open = OrderFilter { open_only: true, ..OrderFilter::from(Scope::account(id.clone())) };
    let residual = OrderFilter { residual_only: true, ..OrderFilter::from(Scope::account(id.clone())) };
    for filter in [open, residual] {
        let mut request = PageRequest::first(BOOK_PAGE_ROWS);
        loop {
            let page = book.orders.orders(&filter, &request).await.doing("reading the orders")?;
            view.orders.extend(page.items.into_iter().map(|order| (order.order.fact.key.clone(), order)));
            match page.next {
                Some(cursor) => request = request.after(cursor),
                None => break,
            }
        }
    }
    let filter = IntentFilter { scope: Scope::account(id.clone()), unresolved_only: true };
    let mut request = PageRequest::first(BOOK_PAGE_ROWS);
    loop {
        let page = book.intents.intents(&filter, &request).await.doing("reading the unresolved orders")?;
        view.unresolved_intents.extend(page.items);
        match page.next {
            Some(cursor) => request = request.after(cursor),
            None => break,
        }
    }
    Ok(view)
}

/// The latest balance on record of each of these assets. One that has not moved for long lies far behind those that
/// move all the time, so pages are read until all are found; an asset that was never recorded is sought once, for then
/// it will be.
async fn latest_balances(
    book: &Book,
    account: &AccountId,
    mut assets: BTreeSet<Asset>,
) -> Result<Vec<Sourced<BalanceSnapshot>>, ReconcileError> {
    let scope = Scope::account(account.clone());
    let mut latest = Vec::new();
    let mut request = PageRequest::newest(BOOK_PAGE_ROWS);
    while !assets.is_empty() {
        let page = book.snapshots.balance_snapshots(&scope, &request).await.doing("reading the balances")?;
        latest.extend(page.items.into_iter().filter(|balance| assets.remove(&balance.fact.asset)));
        match page.next {
            Some(cursor) => request = request.after(cursor),
            None => break,
        }
    }
    Ok(latest)
}

async fn learn_order(
    book: &Book,
    account: &AccountId,
    view: &mut BookView,
    key: &OrderKey,
) -> Result<(), ReconcileError> {
    if !view.orders.contains_key(key)
        && let Some(order) = book.orders.order(account, key).await.doing("reading an order")?
    {
        view.orders.insert(key.clone(), order);
    }
    Ok(())
}

/// Notes which ledger rows the book has; answers the trades that they speak of and the book lacks.
async fn match_income(
    book: &Book,
    account: &AccountId,
    view: &mut BookView,
    income: &Asked<Walk<Income>>,
) -> Result<BTreeSet<(Symbol, FillId)>, ReconcileError> {
    let mut unfilled = BTreeSet::new();
    let mut found = BTreeSet::new();
    for row in income.iter().flat_map(|walk| &walk.rows) {
        let key = &row.entity.key;
        if book.income.income_row(account, key).await.doing("reading an income row")?.is_some() {
            view.known_income.insert(key.clone());
        }
        let (Some(symbol), Some(fill_id)) = (&key.symbol, &row.entity.fill_id) else { continue };
        let trade = (symbol.clone(), fill_id.clone());
        if found.contains(&trade) || unfilled.contains(&trade) {
            continue;
        }
        let mut has_fill = false;
        for side in [Side::Buy, Side::Sell] {
            let key = FillKey { symbol: symbol.clone(), fill_id: fill_id.clone(), side };
            has_fill |= book.fills.fill(account, &key).await.doing("reading a fill")?.is_some();
        }
        if has_fill {
            found.insert(trade)
        } else {
            unfilled.insert(trade)
        };
    }
    Ok(unfilled)
}

/// Why a symbol deserves a closer look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Suspect {
    /// Quantities differ.
    position_differs: bool,
    /// Orders whose fills are to be asked for by name.
    unfilled_orders: BTreeSet<OrderId>,
    /// Orders to be asked for by name.
    orders: BTreeSet<OrderRef>,
}

fn suspects(
    view: &BookView,
    positions: &Asked<Answer<PositionSnapshot>>,
    open_orders: &Asked<Answer<Order>>,
    orders: &Asked<Walk<Order>>,
    unfilled: &BTreeSet<(Symbol, FillId)>,
) -> BTreeMap<Symbol, Suspect> {
    let mut suspects: BTreeMap<Symbol, Suspect> = BTreeMap::new();
    if let Ok(answer) = positions {
        let stated: BTreeMap<_, _> =
            answer.rows.iter().map(|row| ((&row.entity.symbol, row.entity.position_side), row.entity.qty)).collect();
        for ((symbol, side), qty) in &stated {
            if view.qty(symbol, *side) != *qty {
                suspects.entry((*symbol).clone()).or_default().position_differs = true;
            }
        }
        for held in &view.positions {
            let listed = stated.contains_key(&(&held.symbol, held.position.position_side));
            if !listed && !held.position.qty.is_zero() {
                suspects.entry(held.symbol.clone()).or_default().position_differs = true;
            }
        }
    }
    let listed = orders.iter().flat_map(|walk| &walk.rows).chain(open_orders.iter().flat_map(|answer| &answer.rows));
    for row in listed {
        let order = &row.entity;
        let executed = order.executed.as_ref().map(|executed| executed.qty).unwrap_or_default();
        let booked = view.orders.get(&order.key);
        let filled = booked.and_then(|booked| booked.filled_qty).unwrap_or_default();
        if booked.is_none() {
            suspects.entry(order.key.symbol.clone()).or_default();
        }
        if executed > filled {
            let suspect = suspects.entry(order.key.symbol.clone()).or_default();
            suspect.unfilled_orders.insert(order.key.order_id.clone());
        }
    }
    for (symbol, _) in unfilled {
        suspects.entry(symbol.clone()).or_default();
    }
    for BookOrder { order, residual_qty, .. } in view.orders.values() {
        let key = &order.fact.key;
        if key.class != OrderClass::Regular {
            continue;
        }
        if residual_qty.is_some() {
            let suspect = suspects.entry(key.symbol.clone()).or_default();
            suspect.unfilled_orders.insert(key.order_id.clone());
        }
        // An old resting order that was executed today shows up in no list: it is only missing from the open ones.
        let is_listed = open_orders.as_ref().map(|answer| answer.rows.iter().any(|row| row.entity.key == *key));
        if !order.fact.status.is_terminal() && is_listed.is_ok_and(|is_listed| !is_listed) {
            let suspect = suspects.entry(key.symbol.clone()).or_default();
            suspect.orders.insert(OrderRef::Id(key.class, key.order_id.clone()));
        }
    }
    for intent in view.unresolved_intents.iter().filter(|intent| intent.fact.class == OrderClass::Regular) {
        let suspect = suspects.entry(intent.fact.symbol.clone()).or_default();
        suspect.orders.insert(OrderRef::Client(intent.fact.class, intent.fact.client_order_id.clone()));
    }
    suspects
}

async fn look_closely(
    exchange: &dyn ExchangeReader,
    symbol: &Symbol,
    suspect: &Suspect,
    span: Span,
) -> SymbolObservation {
    let mut orders = Vec::new();
    for order in &suspect.orders {
        orders.push((order.clone(), exchange.fetch_order(symbol.clone(), order.clone()).await));
    }
    let (fills, positions) = match fills_around_positions(exchange, symbol, suspect, span).await {
        Ok((fills, positions)) => (Ok(fills), positions),
        Err(error) => (Err(error), exchange.fetch_positions(Some(symbol.clone())).await),
    };
    SymbolObservation { fills, book_fills: BTreeMap::new(), positions, orders }
}

/// Fills, positions, fills again: when the second look at the fills finds nothing new, the positions are those that the
/// fills lead to.
async fn fills_around_positions(
    exchange: &dyn ExchangeReader,
    symbol: &Symbol,
    suspect: &Suspect,
    span: Span,
) -> Result<(FillWalk, Asked<Answer<PositionSnapshot>>), ExchangeError> {
    let mut rows = BTreeMap::new();
    collect_fills(exchange, symbol, TradeQuery::Window(span.window), &mut rows).await?;
    for order_id in &suspect.unfilled_orders {
        collect_fills(exchange, symbol, TradeQuery::Order(order_id.clone()), &mut rows).await?;
    }
    let mut positions = exchange.fetch_positions(Some(symbol.clone())).await;
    for _ in 0..ROUNDS_MAX {
        let before = rows.len();
        let last = rows.values().filter_map(|row: &Stated<Fill>| row.entity.sequence).max();
        let next = last.and_then(|last| FillId::new(last.checked_add(1)?.to_string()).ok());
        let again = next.map_or(TradeQuery::Window(span.window), TradeQuery::FromId);
        collect_fills(exchange, symbol, again, &mut rows).await?;
        if rows.len() == before {
            break;
        }
        positions = exchange.fetch_positions(Some(symbol.clone())).await;
    }
    Ok((FillWalk { rows, window: span.window, asked_at: span.now, continuity: span.continuity }, positions))
}

async fn collect_fills(
    exchange: &dyn ExchangeReader,
    symbol: &Symbol,
    query: TradeQuery,
    rows: &mut BTreeMap<FillKey, Stated<Fill>>,
) -> Result<(), ExchangeError> {
    let mut next = Some(query);
    while let Some(query) = next {
        let page = exchange.fetch_my_trades(symbol.clone(), query).await?;
        rows.extend(page.rows.into_iter().map(|row| (row.entity.key.clone(), row)));
        next = page.next;
    }
    Ok(())
}

/// Looks up what the book has of what was seen, and asks for the orders of fills whose order nobody has mentioned.
async fn complete(
    exchange: &dyn ExchangeReader,
    book: &Book,
    account: &AccountId,
    view: &mut BookView,
    symbol: &Symbol,
    close: &mut SymbolObservation,
) -> Result<(), ReconcileError> {
    for row in close.orders.iter().filter_map(|(_, asked)| asked.as_ref().ok()?.as_ref()) {
        learn_order(book, account, view, &row.entity.key).await?;
    }
    let Ok(walk) = &close.fills else { return Ok(()) };
    let mut unmentioned = BTreeSet::new();
    for row in walk.rows.values() {
        if let Some(fill) = book.fills.fill(account, &row.entity.key).await.doing("reading a fill")? {
            close.book_fills.insert(row.entity.key.clone(), fill);
        } else if let Some(order_id) = &row.entity.order_id {
            let key = OrderKey { symbol: symbol.clone(), class: OrderClass::Regular, order_id: order_id.clone() };
            learn_order(book, account, view, &key).await?;
            if !view.orders.contains_key(&key) {
                unmentioned.insert(OrderRef::Id(OrderClass::Regular, order_id.clone()));
            }
        }
    }
    for (order, _) in &close.orders {
        unmentioned.remove(order);
    }
    for order in unmentioned {
        let asked = exchange.fetch_order(symbol.clone(), order.clone()).await;
        close.orders.push((order, asked));
    }
    Ok(())
}
