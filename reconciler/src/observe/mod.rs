//! Looking: account-wide questions first, then a closer look at the symbols where they differ from the book, and at a few
//! others in turn.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_failed_query_is_kept_as_an_error`, and the other questions are asked all the same.
//! 2. `only_suspect_symbols_are_looked_at_closely`.
//! 3. `time_that_the_venue_has_forgotten_is_never_taken_for_read`.
//! 4. `a_quiet_cycle_costs_the_same_for_any_number_of_symbols`.
//! 5. `what_is_named_is_looked_at_closely`, and so is every contract of the book where a beginning is named.

mod asking_again;
mod book;
pub(crate) mod book_view;
mod by_type;
mod close_look;
pub(crate) mod entry;
mod history;
mod identity;
mod look_again;
mod observation;
pub(crate) mod suspects;
mod time;
pub(crate) mod walk;

use std::collections::{BTreeMap, BTreeSet};

use exchange_client::{AccountIdentity, Clock, ExchangeReader, OrderRef};
use ledger_core::{AccountId, Income, OrderClass, Symbol, TimestampMs};
use ledger_store::{Account, FactReader, Store, SyncCursor};

use self::book::BookReader;
pub(crate) use self::by_type::{ByType, TypeAnswer};
use self::by_type::{Due, ask_by_type};
use self::close_look::CloseLook;
pub(crate) use self::close_look::without_residuals;
pub(crate) use self::history::{HistoryLook, HistoryPiece, HistoryProgress};
pub use self::identity::agreed_identity;
use self::identity::identify;
pub(crate) use self::look_again::LookAgain;
pub(crate) use self::observation::{ClockReading, Observation, SymbolObservation};
use self::suspects::{Suspect, quiet_symbols, suspects};
use self::time::told_time;
pub(crate) use self::walk::{Continuity, FillWalk};
use self::walk::{Walk, span, walk_force_orders, walk_income, walk_orders};
use crate::asked::Asked;
use crate::confirming::ReadBefore;
use crate::error::{Doing, ReconcileError};
use crate::label::LabelSources;
use crate::policy::Policy;
use crate::proofs::oldest_told;
use crate::streams::{CONDITIONAL_ORDERS, FILLS, FORCE_ORDERS, INCOME, ORDERS, reached};
use crate::unreadable::ReadableBook;

/// What to look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObserveOptions {
    /// These symbols only; all when empty.
    pub symbols: BTreeSet<Symbol>,
    /// From this instant on, whatever the cursors say.
    pub since: Option<TimestampMs>,
    /// What the bot's own files say about its entries.
    pub labels: LabelSources,
}

impl ObserveOptions {
    /// Whether a symbol is wanted.
    pub(crate) fn wants(&self, symbol: &Symbol) -> bool {
        self.symbols.is_empty() || self.symbols.contains(symbol)
    }
}

/// Looks at the exchange and the book. Writes nothing.
///
/// # Errors
/// [`ReconcileError`] when the account is unknown, belongs to somebody else, the exchange tells neither who nor when it
/// is, or the book cannot be read. Whatever else the exchange does not answer is part of the observation.
pub(crate) async fn observe(
    exchange: &dyn ExchangeReader,
    book: &dyn Store,
    clock: &dyn Clock,
    account_id: &AccountId,
    options: &ObserveOptions,
    policy: &Policy,
    read_before: &ReadBefore,
) -> Result<Observation, ReconcileError> {
    let Greeting { account, identity, now, clock: reading } = greet(exchange, book, clock, account_id).await?;
    let cursors = book.cursors(account_id).await.doing("reading the cursors")?;

    let venue = exchange.venue();
    let window = |stream: &'static str, retention_ms: i64| {
        let reached = reached(&cursors, stream, None)?;
        // What lies further back is read again piece by piece; as time goes on meanwhile, this begins a little before the
        // end of that.
        let edge = now.saturating_add_ms(-policy.history_after_ms - policy.overlap_ms);
        let once = read_before.unconfirmed_since((stream, None), edge.max(oldest_told(stream, venue, now)));
        let once = once.unwrap_or(TimestampMs::MAX);
        let begin = reached.map(|reached| reached.saturating_add_ms(-policy.overlap_ms).min(once));
        let begin = options.since.or(begin);
        Ok::<_, ReconcileError>(span(reached, begin, now, retention_ms))
    };
    let position_mode = identity::mode_of(exchange, &account).await;
    let positions = exchange.fetch_positions(None).await;
    let open_orders = exchange.fetch_open_orders(None).await;
    let orders = walk_orders(exchange, OrderClass::Regular, None, window(ORDERS, venue.orders.retention_ms)?).await;
    // Forced orders are on the list of all orders, too: the first time one request tells which of the latest they are, and
    // from then on nothing is left out, as far as the exchange answers.
    let is_first = reached(&cursors, FORCE_ORDERS, None)?.is_none() && options.since.is_none();
    let facts = &venue.force_orders;
    let retention_ms = if is_first { facts.window_ms_max } else { facts.retention_ms };
    let force_orders = walk_force_orders(exchange, window(FORCE_ORDERS, retention_ms)?).await;
    let mut income: Asked<Walk<Income>> =
        walk_income(exchange, window(INCOME, venue.income.retention_ms)?).await.into();
    let balances = identity::balances_of(exchange, &identity).await;
    let mark_prices = exchange.fetch_mark_prices(None).await;

    let readable = ReadableBook::past_unreadable(book);
    let reader = BookReader { book: &readable, account: account_id, policy, now };
    let view = reader.read(account, cursors, &options.labels).await?;
    let asked_again = match income.answer_mut() {
        Some(walk) => {
            let oldest = walk::oldest(now, venue.income.retention_ms);
            asking_again::ask_again(exchange, &view.discrepancies, oldest, walk).await
        }
        None => Vec::new(),
    };
    let by_type = if income.is_answered() && options.symbols.is_empty() {
        let oldest = walk::oldest(now, venue.income.retention_ms);
        let due =
            Due { venue, policy, read_before, cursors: &view.cursors, discrepancies: &view.discrepancies, oldest };
        let on_record = book.income_types(account_id).await.doing("reading the types of ledger rows")?;
        ask_by_type(exchange, due.types(on_record)?, policy).await
    } else {
        ByType::default()
    };
    let mut seen = Observation {
        venue,
        scope: options.symbols.clone(),
        identity,
        asked_at: now,
        clock: reading,
        position_mode: position_mode.into(),
        positions: positions.into(),
        open_orders: open_orders.into(),
        balances: balances.into(),
        balances_again: Asked::NotAsked,
        mark_prices: mark_prices.into(),
        orders: orders.into(),
        force_orders: force_orders.into(),
        income,
        asked_again,
        by_type,
        instruments: Asked::NotAsked,
        book: view,
        left_aside: BTreeSet::new(),
        symbols: BTreeMap::new(),
        labels: options.labels.clone(),
        read_before: read_before.clone(),
    };
    reader.learn_balances(&mut seen).await?;
    if seen.states_new_wallet() {
        seen.balances_again = identity::balances_of(exchange, &seen.identity).await.into();
    }
    reader.learn_orders(&mut seen, None).await?;
    reader.learn_unlisted_orders(&mut seen).await?;
    reader.match_by_type(&mut seen).await?;
    seen.book.unfilled = reader.match_income(&mut seen).await?;

    let mut suspects = suspects(&seen, policy, &seen.book.unfilled);
    for symbol in reader.told_in_short(&seen).await? {
        suspects.entry(symbol).or_default().is_dirty = true;
    }
    for (symbol, until) in read_before.reopened_contracts(CONDITIONAL_ORDERS) {
        if until > oldest_told(CONDITIONAL_ORDERS, venue, now) {
            suspects.entry(symbol.clone()).or_default().is_dirty = true;
        }
    }
    seen.left_aside = suspects.keys().filter(|symbol| !options.wants(symbol)).cloned().collect();
    suspects.retain(|symbol, _| options.wants(symbol));
    let known = reader.symbols().await?;
    for symbol in quiet_symbols(&seen, &known, policy)? {
        if options.wants(&symbol) {
            suspects.entry(symbol).or_default();
        }
    }
    // Who names a contract or a time wants to know, whether or not anything points there.
    let named = if options.symbols.is_empty() && options.since.is_some() { known } else { Vec::new() };
    for symbol in options.symbols.iter().cloned().chain(named) {
        suspects.entry(symbol).or_default();
    }
    for (symbol, suspect) in &suspects {
        let look = CloseLook { exchange, reader: &reader, since: options.since, symbol, suspect };
        let close = look.take(&seen).await?;
        seen.symbols.insert(symbol.clone(), close);
        look.ask_for_orders_of_fills(&mut seen).await?;
        reader.learn_unlisted_conditional_orders(&mut seen, symbol).await?;
    }
    reader.learn_openers(&mut seen).await?;
    reader.learn_restored(&mut seen).await?;
    let mut named = seen.book.unfolded.iter().chain(seen.symbols.keys());
    if named.any(|symbol| options.wants(symbol) && !seen.book.instruments.contains(symbol)) {
        seen.instruments = exchange.fetch_instruments().await.into();
    }
    reader.learn_damaged(&seen).await?;
    seen.book.damaged = readable.noted();
    let damaged = &seen.book.damaged;
    seen.symbols.retain(|symbol, _| !damaged.contains_key(symbol));
    // What cannot be merged is no news; it is read again until the row is mended.
    let is_of_damaged_ledger = |symbol: &Symbol| damaged.get(symbol).is_some_and(|row| row.table == "income");
    if let Some(walk) = seen.income.answer_mut() {
        walk.rows.retain(|row| !row.entity.key.symbol.as_ref().is_some_and(is_of_damaged_ledger));
    }
    Ok(seen)
}

/// The exchange's time of the observation.
pub(crate) fn observed_at(observation: &Observation) -> TimestampMs {
    let positions = observation.positions.answer().map_or(observation.asked_at, |answer| answer.asked_at);
    positions.max(observation.asked_at)
}

/// Who answers, and when.
pub(crate) struct Greeting {
    pub(crate) account: Account,
    pub(crate) identity: AccountIdentity,
    /// The exchange's time.
    pub(crate) now: TimestampMs,
    clock: ClockReading,
}

/// Asks who answers, and when.
///
/// # Errors
/// As [`observe`].
pub(crate) async fn greet(
    exchange: &dyn ExchangeReader,
    book: &dyn FactReader,
    clock: &dyn Clock,
    account_id: &AccountId,
) -> Result<Greeting, ReconcileError> {
    let account = book.account(account_id).await.doing("reading the account")?;
    let account = account.ok_or_else(|| ReconcileError::UnknownAccount { account: account_id.clone() })?;
    let identity = identify(exchange, &account).await?;
    let (now, clock) = told_time(exchange, clock).await?;
    Ok(Greeting { account, identity, now, clock })
}

/// Where the previous look at a symbol ended.
fn looked_at(cursors: &[SyncCursor], symbol: &Symbol) -> Result<Option<TimestampMs>, ReconcileError> {
    reached(cursors, FILLS, Some(symbol))
}

/// The two ways in which the exchange may know an order by its client order id.
pub(crate) fn by_client_id(id: &ledger_core::ClientOrderId) -> [OrderRef; 2] {
    [OrderClass::Regular, OrderClass::Conditional].map(|class| OrderRef::Client(class, id.clone()))
}

/// Symbols with why they deserve a closer look.
pub(crate) type Suspects = BTreeMap<Symbol, Suspect>;
