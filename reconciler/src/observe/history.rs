//! Catching up with history: what lies far back is read piece by piece, oldest first, and each piece is recorded with its
//! cursors before the next one is read. A first look at a large account so holds one piece in memory instead of months,
//! and one that is stopped goes on where it stopped.
//!
//! A piece ends where enough rows were read. What was held back then is not known; the exchange tells of today only.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_first_sync_goes_on_where_it_was_stopped`.
//! 2. `a_first_sync_holds_one_piece_of_history_at_a_time`.
//! 3. `history_that_is_caught_up_with_is_journaled_like_any_other`.
//! 4. `what_an_export_told_of_the_history_is_made_exact`.

use std::collections::BTreeMap;

use exchange_client::{Clock, ExchangeReader, TimeWindow};
use ledger_core::{AccountId, Decimal, OrderClass, PositionSide, Symbol, TimestampMs};
use ledger_store::Store;

use super::book::{BookReader, earlier};
use super::by_type::ByType;
use super::close_look::{CloseLook, FIRST_MARGIN_MS, Fills, without_residuals};
use super::identity::mode_of;
use super::observation::{Observation, SymbolObservation};
use super::suspects::Suspect;
use super::walk::{Continuity, FillWalk, oldest, span, walk_income, walk_orders};
use super::{Greeting, greet};
use crate::asked::Asked;
use crate::confirming::ReadBefore;
use crate::error::{Doing, ReconcileError};
use crate::label::LabelSources;
use crate::policy::Policy;
use crate::streams::{INCOME, ORDERS, reached};
use crate::unreadable::ReadableBook;

/// A piece of history.
#[derive(Debug)]
pub(crate) struct HistoryPiece {
    /// The lists of orders and the ledger of that time, and the fills of the symbols of which the book lacks some or knows
    /// some less exactly than the exchange. What only the present can answer was not asked.
    pub(crate) seen: Observation,
    /// From where to where.
    pub(crate) window: TimeWindow,
    /// What the book's fills and the new ones say was held when it ended, of the positions that have new ones and where
    /// that can be told.
    pub(crate) held: BTreeMap<(Symbol, PositionSide), Decimal>,
}

/// How far a cycle has come with history.
#[derive(Debug)]
pub(crate) struct HistoryProgress {
    /// Where history ends.
    edge: Option<TimestampMs>,
    /// The end of the last piece.
    read_to: Option<TimestampMs>,
    /// What was read before this cycle.
    read_before: ReadBefore,
}

impl HistoryProgress {
    pub(crate) fn new(read_before: ReadBefore) -> Self {
        Self { edge: None, read_to: None, read_before }
    }
}

/// Reads history.
pub(crate) struct HistoryLook<'a> {
    pub(crate) exchange: &'a dyn ExchangeReader,
    pub(crate) book: &'a dyn Store,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) account: &'a AccountId,
    pub(crate) labels: &'a LabelSources,
    pub(crate) policy: &'a Policy,
}

impl HistoryLook<'_> {
    /// Whether there may be history to catch up with. Asks the book alone.
    pub(crate) async fn may_lag(&self, read_before: &ReadBefore) -> Result<bool, ReconcileError> {
        let cursors = self.book.cursors(self.account).await.doing("reading the cursors")?;
        let edge = self.clock.now().saturating_add_ms(-self.policy.history_after_ms);
        let venue = self.exchange.venue();
        for (stream, kept) in [(ORDERS, &venue.orders), (INCOME, &venue.income)] {
            // The local clock may be behind the exchange's, which decides.
            let reached = reached(&cursors, stream, None)?;
            let oldest = oldest(self.clock.now(), kept.retention_ms);
            let once = read_before.unconfirmed_behind((stream, None), oldest, reached);
            if reached.is_none_or(|reached| reached < edge)
                || once.is_some_and(|(at, _)| at < edge.saturating_add_ms(-self.policy.overlap_ms))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The next piece, of what was never read, was read once only, or is to be read again. `None` when there is none, or when the
    /// exchange does not answer for it: then the look at the present tells why. `progress` remembers how far this cycle
    /// has come, and where history ends: time goes on meanwhile.
    ///
    /// # Errors
    /// As [`observe`](super::observe).
    pub(crate) async fn next(&self, progress: &mut HistoryProgress) -> Result<Option<HistoryPiece>, ReconcileError> {
        // What cannot be read of the book is told by the look at the present.
        let book = ReadableBook::past_unreadable(self.book);
        let greeting = greet(self.exchange, self.book, self.clock, self.account).await?;
        let now = greeting.now;
        let cursors = self.book.cursors(self.account).await.doing("reading the cursors")?;
        let edge = *progress.edge.get_or_insert(now.saturating_add_ms(-self.policy.history_after_ms));
        let venue = self.exchange.venue();
        let part = |stream: &'static str, retention_ms: i64| {
            let reached = reached(&cursors, stream, None)?;
            let oldest = oldest(now, retention_ms);
            let from = progress.read_to.unwrap_or(oldest).max(oldest);
            // What was never read; a later cycle reads it again.
            if reached.is_none_or(|reached| reached < edge) {
                let begin = reached.map(|reached| reached.saturating_add_ms(-self.policy.overlap_ms));
                let begin = begin.map(|begin| progress.read_to.map_or(begin, |read_to| begin.max(read_to)));
                return Ok::<_, ReconcileError>(Some((span(reached, begin, now, retention_ms), edge)));
            }
            let once = progress.read_before.unconfirmed_behind((stream, None), from, reached);
            // What is left of the last hours before the edge is read with the present.
            let once = once.filter(|(since, _)| *since < edge.saturating_add_ms(-self.policy.overlap_ms));
            Ok(once.map(|(since, until)| (span(reached, Some(since), now, retention_ms), until.min(edge))))
        };
        let parts = [part(ORDERS, venue.orders.retention_ms)?, part(INCOME, venue.income.retention_ms)?];
        // Stretches that lie apart are pieces of their own, the oldest first.
        let first = parts.iter().flatten().min_by_key(|(span, _)| span.window.since());
        let Some((since, end)) = first.map(|(span, end)| (span.window.since(), *end)) else { return Ok(None) };
        let [orders_span, income_span] = parts
            .map(|part| part.and_then(|(span, until)| span.first_part(until.min(end), self.policy.history_rows_max)));
        if orders_span.is_none() && income_span.is_none() {
            return Ok(None);
        }
        let mut orders = match orders_span {
            Some(span) => walk_orders(self.exchange, OrderClass::Regular, None, span).await.into(),
            None => Asked::NotAsked,
        };
        let mut income = match income_span {
            Some(span) => walk_income(self.exchange, span).await.into(),
            None => Asked::NotAsked,
        };
        if orders.error().is_some() || income.error().is_some() {
            return Ok(None);
        }
        // What cannot be read is told by the look at the present, and keeps the cursor where it is.
        if orders.answer().is_some_and(|walk| !walk.unreadable.is_empty()) {
            return Ok(None);
        }
        let ends = orders.iter().map(|walk| walk.window.until()).chain(income.iter().map(|walk| walk.window.until()));
        let until = ends.min().unwrap_or(edge);
        // What lies behind is read again with what belongs to it.
        if let Some(walk) = orders.answer_mut() {
            walk.rows.retain(|row| row.entity.created.is_none_or(|created| created.at <= until));
            walk.window = TimeWindow::up_to(until, walk.window.since());
        }
        if let Some(walk) = income.answer_mut() {
            walk.rows.retain(|row| row.entity.time.at <= until);
            walk.window = TimeWindow::up_to(until, walk.window.since());
        }
        let Greeting { account, identity, clock, .. } = greeting;
        let position_mode = match account.observed_mode {
            Some(_) => Asked::NotAsked,
            None => mode_of(self.exchange, &account).await.into(),
        };
        let reader = BookReader { book: &book, account: self.account, policy: self.policy, now };
        let view = reader.read(account, cursors, self.labels).await?;
        let mut seen = Observation {
            venue,
            scope: std::collections::BTreeSet::new(),
            identity,
            asked_at: now,
            clock,
            position_mode,
            positions: Asked::NotAsked,
            open_orders: Asked::NotAsked,
            balances: Asked::NotAsked,
            balances_again: Asked::NotAsked,
            mark_prices: Asked::NotAsked,
            orders,
            force_orders: Asked::NotAsked,
            income,
            asked_again: Vec::new(),
            by_type: ByType::default(),
            instruments: Asked::NotAsked,
            book: view,
            left_aside: std::collections::BTreeSet::new(),
            symbols: BTreeMap::new(),
            labels: self.labels.clone(),
            read_before: progress.read_before.clone(),
        };
        reader.learn_orders(&mut seen, None).await?;
        reader.learn_unlisted_orders(&mut seen).await?;
        seen.book.unfilled = reader.match_income(&mut seen).await?;
        let window = TimeWindow::up_to(until, since);
        let mut held = BTreeMap::new();
        let mut to_ask = lacking(&seen);
        // Once the cursor is past them, nobody would ask for them any more.
        for (symbol, first) in reader.first_coarse_fills(window).await? {
            earlier(&mut to_ask, &symbol, first);
        }
        for (symbol, first) in to_ask {
            // One that did not answer in its turn is read as a whole by the look at the present: what its later fills did
            // cannot be told without the earlier ones.
            if seen.book.has_unanswered(&symbol) {
                continue;
            }
            let window = TimeWindow::up_to(until, first.saturating_add_ms(-FIRST_MARGIN_MS).max(since));
            let suspect = Suspect::default();
            let look =
                CloseLook { exchange: self.exchange, reader: &reader, since: None, symbol: &symbol, suspect: &suspect };
            let close = self.fills(&reader, &look, window, now).await?;
            seen.symbols.insert(symbol.clone(), close);
            look.ask_for_orders_of_fills(&mut seen).await?;
            held_at(&reader, &seen, &symbol, until, &mut held).await?;
        }
        let mut named = seen.book.unfolded.iter().chain(seen.symbols.keys());
        if named.any(|symbol| !seen.book.instruments.contains(symbol)) {
            seen.instruments = self.exchange.fetch_instruments().await.into();
            // Without its contract a symbol has no positions, and later pieces could not be told from.
            if !seen.instruments.is_answered() {
                return Ok(None);
            }
        }
        if !book.noted().is_empty() {
            return Ok(None);
        }
        progress.read_to = Some(until);
        Ok(Some(HistoryPiece { seen, window, held }))
    }

    async fn fills(
        &self,
        reader: &BookReader<'_>,
        look: &CloseLook<'_>,
        window: TimeWindow,
        now: TimestampMs,
    ) -> Result<SymbolObservation, ReconcileError> {
        let mut rows = Fills::new();
        let asked = look.collect(exchange_client::TradeQuery::Window(window), &mut rows).await;
        let mut book_fills = reader.fills_between(look.symbol, window.since(), window.until()).await?;
        for key in rows.keys() {
            if !book_fills.contains_key(key)
                && let Some(fill) = reader.fill(key).await?
            {
                book_fills.insert(key.clone(), fill);
            }
        }
        let walk = FillWalk { rows, window, reaches_oldest: false, asked_at: now, continuity: Continuity::Resumed };
        Ok(SymbolObservation {
            fills: asked.map(|()| walk).into(),
            book_fills,
            beginning: super::book_view::Beginning::default(),
            positions: Asked::NotAsked,
            conditional_orders: Asked::NotAsked,
            orders: Vec::new(),
        })
    }
}

/// The symbols of which the book lacks fills that the lists speak of, each with when it is first mentioned.
fn lacking(seen: &Observation) -> BTreeMap<Symbol, TimestampMs> {
    let mut first: BTreeMap<&Symbol, TimestampMs> = BTreeMap::new();
    let mut lacking = BTreeMap::new();
    let orders = seen.orders.iter().flat_map(|walk| &walk.rows).map(|row| &row.entity);
    let created = orders.clone().filter_map(|order| Some((&order.key.symbol, order.created.or(order.updated)?.at)));
    let income = seen.income.iter().flat_map(|walk| &walk.rows).map(|row| &row.entity);
    let booked = income.filter_map(|row| Some((row.key.symbol.as_ref()?, row.time.at)));
    for (symbol, at) in created.chain(booked) {
        first.entry(symbol).and_modify(|first| *first = at.min(*first)).or_insert(at);
    }
    let executed = orders.filter(|order| {
        let executed = order.executed.as_ref().map(|executed| executed.qty).unwrap_or_default();
        executed > seen.book.orders.get(&order.key).and_then(|booked| booked.filled_qty).unwrap_or_default()
    });
    let named = seen.book.unfilled.iter().map(|(symbol, _)| symbol).chain(executed.map(|order| &order.key.symbol));
    for symbol in named {
        if let Some(first) = first.get(symbol) {
            lacking.insert(symbol.clone(), *first);
        }
    }
    lacking
}

/// What was held at `until`, by the book and the fills that it lacks: where the book has little or nothing later.
async fn held_at(
    reader: &BookReader<'_>,
    seen: &Observation,
    symbol: &Symbol,
    until: TimestampMs,
    held: &mut BTreeMap<(Symbol, PositionSide), Decimal>,
) -> Result<(), ReconcileError> {
    let Some(close) = seen.symbols.get(symbol) else { return Ok(()) };
    let Asked::Answered(walk) = &close.fills else { return Ok(()) };
    let is_new = |key| !close.book_fills.contains_key(key);
    let new: Vec<_> = walk.in_fold_order().into_iter().filter(|fill| is_new(&fill.key)).collect();
    // Fills without a contract have led to no position yet.
    if new.is_empty() || (seen.book.unfolded.contains(symbol) && reader.has_fills(symbol).await?) {
        return Ok(());
    }
    let Some(later) = reader.few_fills_after(symbol, until).await? else { return Ok(()) };
    let sides: std::collections::BTreeSet<PositionSide> =
        new.iter().map(|fill| fill.position_side.unwrap_or(PositionSide::Net)).collect();
    for side in sides {
        let is_of_side = |fill: &&ledger_core::Fill| fill.position_side.unwrap_or(PositionSide::Net) == side;
        let mut sum = without_residuals(seen, symbol, side);
        for fill in later.iter().filter(is_of_side) {
            sum = sum.and_then(|sum| sum.checked_sub(fill.signed_qty()).ok());
        }
        for fill in new.iter().copied().filter(is_of_side) {
            sum = sum.and_then(|sum| sum.checked_add(fill.signed_qty()).ok());
        }
        if let Some(sum) = sum {
            held.insert((symbol.clone(), side), sum);
        }
    }
    Ok(())
}
