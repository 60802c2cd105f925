//! The closer look at a symbol: orders by name, then its fills, its positions, and its fills again.

use std::collections::{BTreeMap, BTreeSet};

use exchange_client::{Answer, ExchangeError, ExchangeReader, OrderRef, Stated, TimeWindow, TradeQuery};
use ledger_core::{
    Decimal, Fill, FillId, FillKey, OrderClass, OrderKey, PositionSide, PositionSnapshot, Price, Side, Sourced, Symbol,
    TimestampMs,
};

use ledger_store::{Discrepancy, DiscrepancyStatus};

use super::book::BookReader;
use super::book_view::Beginning;
use super::entry::{reaches_opening, unsearched_difference};
use super::observation::{Observation, SymbolObservation};
use super::suspects::Suspect;
use super::walk::{Continuity, FillWalk, Span, in_fold_order, span, walk_orders};
use crate::asked::Asked;
use crate::discrepancy::Subject;
use crate::error::ReconcileError;
use crate::memory::{FillMemory, PositionMemory, recall_all};
use crate::proofs::oldest_told;
use crate::streams::{CONDITIONAL_ORDERS, FILLS, reached};

/// How often the fills are asked again when new ones keep coming in during the look.
const ROUNDS_MAX: usize = 3;
/// The stretch before now in which new fills are looked for when there were none to go on from.
const RECENT_MS: i64 = 3_600_000;

/// By how much a list may date a fill later than the fill's own list does.
pub(super) const FIRST_MARGIN_MS: i64 = 60_000;

pub(super) type Fills = BTreeMap<FillKey, Stated<Fill>>;

pub(super) struct CloseLook<'a> {
    pub(super) exchange: &'a dyn ExchangeReader,
    pub(super) reader: &'a BookReader<'a>,
    pub(super) since: Option<TimestampMs>,
    pub(super) symbol: &'a Symbol,
    pub(super) suspect: &'a Suspect,
}

impl CloseLook<'_> {
    /// Looks. What the exchange does not answer is part of what was seen.
    pub(super) async fn take(&self, seen: &Observation) -> Result<SymbolObservation, ReconcileError> {
        let mut orders = Vec::new();
        for order in &self.suspect.orders {
            orders.push((order.clone(), self.exchange.fetch_order(self.symbol.clone(), order.clone()).await.into()));
        }
        // The first time one request: those that ended without triggering vanish after days, and those that triggered
        // became regular orders, which keep their type. From then on nothing is left out.
        let facts = &seen.venue.conditional_orders;
        let is_first = reached(&seen.book.cursors, CONDITIONAL_ORDERS, Some(self.symbol))?.is_none();
        let retention_ms = if is_first && self.since.is_none() { facts.window_ms_max } else { facts.retention_ms };
        let span = self.span(seen, CONDITIONAL_ORDERS, retention_ms)?;
        let conditional = walk_orders(self.exchange, OrderClass::Conditional, Some(self.symbol), span).await;
        let mut span = self.span(seen, FILLS, seen.venue.trades.retention_ms)?;
        span.begin_no_earlier_than(first_mention(seen, self.symbol, &span));
        if self.since.is_none() {
            span.begin_at_latest(doubted_fills(&seen.book.discrepancies, self.symbol).min());
        }
        if span.continuity == Continuity::First {
            let coarse = self.reader.first_coarse_fill(self.symbol, span.window).await?;
            span.begin_where_covered(&seen.book.coverage, self.symbol, self.reader.policy.overlap_ms, coarse);
        }
        let mut book_fills = BTreeMap::new();
        let (fills, positions) = match self.fills_around_positions(seen, span, &mut book_fills).await? {
            Ok((fills, positions)) => (Asked::Answered(fills), positions),
            Err(error) => (Asked::Failed(error), self.positions().await.into()),
        };
        let oldest = fills.answer().filter(|walk| walk.reaches_oldest).map(|walk| walk.window.since());
        let beginning = match oldest {
            Some(since) => self.reader.beginning(self.symbol, since, &seen.book.anchors).await?,
            None => Beginning::default(),
        };
        let conditional_orders = conditional.into();
        Ok(SymbolObservation { fills, book_fills, beginning, positions, conditional_orders, orders })
    }

    fn span(&self, seen: &Observation, stream: &'static str, retention_ms: i64) -> Result<Span, ReconcileError> {
        let reached = reached(&seen.book.cursors, stream, Some(self.symbol))?;
        let overlap_ms = self.reader.policy.overlap_ms;
        let begin = reached.map(|reached| reached.saturating_add_ms(-overlap_ms));
        // What was read once is read again.
        let oldest = oldest_told(stream, seen.venue, seen.asked_at);
        let once = seen.read_before.unconfirmed_since((stream, Some(self.symbol)), oldest);
        let once = once.filter(|_| stream == CONDITIONAL_ORDERS);
        let begin = self.since.or(begin.map(|begin| once.map_or(begin, |once| once.min(begin))));
        Ok(span(reached, begin, seen.asked_at, retention_ms))
    }

    async fn positions(&self) -> Result<Answer<PositionSnapshot>, ExchangeError> {
        self.exchange.fetch_positions(Some(self.symbol.clone())).await
    }

    /// Fills, positions, fills again: when the second look at the fills finds nothing new, the positions are those that
    /// the fills lead to. The outer error is the book's, the inner one the exchange's.
    async fn fills_around_positions(
        &self,
        seen: &Observation,
        span: Span,
        book_fills: &mut BTreeMap<FillKey, Sourced<Fill>>,
    ) -> Result<Result<(FillWalk, Asked<Answer<PositionSnapshot>>), ExchangeError>, ReconcileError> {
        let mut rows = Fills::new();
        let mut window = span.window;
        if let Err(error) = self.first_look(window, &mut rows).await {
            return Ok(Err(error));
        }
        let mut positions = self.positions().await;
        *book_fills = self.reader.fills_between(self.symbol, window.since(), TimestampMs::MAX).await?;
        // What explains the difference may lie before everything that was read lately: one window of the venue after
        // another, back to where the difference is explained.
        while self.suspect.position_differs
            && self.since.is_none()
            && window.since() > span.oldest
            && !was_searched(seen, self.symbol, positions.as_ref().ok())
            && !is_explained(seen, self.symbol, positions.as_ref().ok(), (&rows, window), book_fills)
        {
            let until = window.since().saturating_add_ms(-1);
            let since = until.saturating_add_ms(1 - seen.venue.trades.window_ms_max).max(span.oldest);
            let earlier = TimeWindow::up_to(until, since);
            if let Err(error) = self.collect(TradeQuery::Window(earlier), &mut rows).await {
                return Ok(Err(error));
            }
            book_fills.extend(self.reader.fills_between(self.symbol, since, until).await?);
            window = TimeWindow::up_to(window.until(), since);
        }
        for _ in 0..ROUNDS_MAX {
            let before = rows.len();
            if let Err(error) = self.look_again(span.now, window, &mut rows).await {
                return Ok(Err(error));
            }
            if rows.len() == before {
                break;
            }
            positions = self.positions().await;
        }
        for key in rows.keys() {
            if !book_fills.contains_key(key)
                && let Some(fill) = self.reader.fill(key).await?
            {
                book_fills.insert(key.clone(), fill);
            }
        }
        let reaches_oldest = window.since() <= span.oldest;
        let walk = FillWalk { rows, window, reaches_oldest, asked_at: span.now, continuity: span.continuity };
        Ok(Ok((walk, positions.into())))
    }

    async fn first_look(&self, window: TimeWindow, rows: &mut Fills) -> Result<(), ExchangeError> {
        self.collect(TradeQuery::Window(window), rows).await?;
        for order_id in &self.suspect.unfilled_orders {
            self.collect(TradeQuery::Order(order_id.clone()), rows).await?;
        }
        Ok(())
    }

    /// What came in since: from the last trade on, where trade ids count up.
    async fn look_again(&self, now: TimestampMs, window: TimeWindow, rows: &mut Fills) -> Result<(), ExchangeError> {
        let last = rows.values().filter_map(|row: &Stated<Fill>| row.entity.sequence).max();
        let next = last.and_then(|last| FillId::new(last.checked_add(1)?.to_string()).ok());
        let recent =
            TimeWindow::up_to(now.saturating_add_ms(RECENT_MS), now.saturating_add_ms(-RECENT_MS).max(window.since()));
        self.collect(next.map_or(TradeQuery::Window(recent), TradeQuery::FromId), rows).await
    }

    pub(super) async fn collect(&self, query: TradeQuery, rows: &mut Fills) -> Result<(), ExchangeError> {
        let mut next = Some(query);
        while let Some(query) = next {
            let page = self.exchange.fetch_my_trades(self.symbol.clone(), query).await?;
            rows.extend(page.rows.into_iter().map(|row| (row.entity.key.clone(), row)));
            next = page.next;
        }
        Ok(())
    }

    /// Looks up what the book has of the orders that were answered, and asks for the orders of fills that nobody has mentioned,
    /// be they new or recorded by a look that did not learn their orders.
    pub(super) async fn ask_for_orders_of_fills(&self, seen: &mut Observation) -> Result<(), ReconcileError> {
        self.reader.learn_orders(seen, Some(self.symbol)).await?;
        self.reader.learn_anew(seen, self.symbol).await?;
        let Some(close) = seen.symbols.get(self.symbol) else { return Ok(()) };
        let Asked::Answered(walk) = &close.fills else { return Ok(()) };
        let mut unmentioned = BTreeSet::new();
        unmentioned.extend(walk.rows.values().filter_map(|row| row.entity.order_id.clone()));
        // An order that becomes a regular one tells which.
        let stated = seen.stated_orders().map(|row| &row.entity);
        unmentioned.extend(
            stated
                .filter(|order| order.key.symbol == *self.symbol)
                .filter_map(|order| order.triggered_order_id.clone()),
        );
        let stated = seen.stated_orders().map(|row| &row.entity.key).filter(|key| key.symbol == *self.symbol);
        let stated: BTreeSet<OrderKey> = stated.cloned().collect();
        let mut asked = Vec::new();
        for order_id in unmentioned {
            let key = OrderKey { symbol: self.symbol.clone(), class: OrderClass::Regular, order_id: order_id.clone() };
            self.reader.learn_order(&key, &mut seen.book).await?;
            let reference = OrderRef::Id(OrderClass::Regular, order_id);
            let is_told = seen.book.orders.contains_key(&key)
                || stated.contains(&key)
                || self.suspect.orders.contains(&reference);
            if !is_told {
                let answer = self.exchange.fetch_order(self.symbol.clone(), reference.clone()).await.into();
                asked.push((reference, answer));
            }
        }
        if asked.is_empty() {
            return Ok(());
        }
        if let Some(close) = seen.symbols.get_mut(self.symbol) {
            close.orders.extend(asked);
        }
        self.reader.learn_orders(seen, Some(self.symbol)).await
    }
}

/// When the fills of a contract were executed that one answer did not list: another one has to say the same, or lists them.
pub(super) fn doubted_fills<'a>(
    on_record: &'a [Discrepancy],
    symbol: &'a Symbol,
) -> impl Iterator<Item = TimestampMs> + use<'a> {
    let pending = recall_all::<FillMemory>(on_record).filter(|(known, _)| {
        known.entry.status == DiscrepancyStatus::Pending && known.entry.symbol.as_ref() == Some(symbol)
    });
    pending.map(|(_, fill)| fill.at)
}

/// The first that the exchange says of a symbol, where it was asked for everything that it remembers: before that there
/// is no fill, for every fill has its order and its fee on these lists.
fn first_mention(seen: &Observation, symbol: &Symbol, span: &Span) -> Option<TimestampMs> {
    let (Asked::Answered(orders), Asked::Answered(income)) = (&seen.orders, &seen.income) else { return None };
    let is_whole = |continuity: Continuity| continuity == Continuity::First;
    let is_read = orders.speaks_of(symbol);
    if !is_read || !is_whole(span.continuity) || !is_whole(orders.continuity) || !is_whole(income.continuity) {
        return None;
    }
    let orders = orders.rows.iter().map(|row| &row.entity).filter(|order| order.key.symbol == *symbol);
    let orders = orders.filter_map(|order| order.created.or(order.updated)).map(|time| time.at);
    let income = income.rows.iter().map(|row| &row.entity);
    let income = income.filter(|row| row.key.symbol.as_ref() == Some(symbol)).map(|row| row.time.at);
    orders.chain(income).min().map(|first| first.saturating_add_ms(-FIRST_MARGIN_MS))
}

/// What the exchange says of each position that a symbol can have.
fn stated_positions<'a>(
    positions: &'a Answer<PositionSnapshot>,
    symbol: &'a Symbol,
) -> impl Iterator<Item = (PositionSide, Decimal, Option<Price>)> + 'a {
    [PositionSide::Net, PositionSide::Long, PositionSide::Short].into_iter().map(move |side| {
        let mut stated = positions.rows.iter().map(|row| &row.entity);
        let stated = stated.find(|stated| stated.symbol == *symbol && stated.position_side == side);
        (side, stated.map_or(Decimal::ZERO, |stated| stated.qty), stated.and_then(|stated| stated.entry_price))
    })
}

/// Whether all that differs was looked for in vain before, as far back as the exchange remembers: the overlap holds what
/// is new since.
fn was_searched(seen: &Observation, symbol: &Symbol, positions: Option<&Answer<PositionSnapshot>>) -> bool {
    let Some(positions) = positions else { return false };
    stated_positions(positions, symbol).all(|(side, qty, entry)| {
        let Ok(difference) = qty.checked_sub(seen.book.qty(symbol, side)) else { return true };
        if difference.is_zero() {
            return entry.is_none_or(|entry| unsearched_difference(seen, symbol, side, entry).is_none());
        }
        let subject = Subject::Position(symbol.clone(), side);
        let known = PositionMemory::search_for(&seen.book.discrepancies, &subject, difference);
        known.is_some_and(|search| search.again)
    })
}

/// Whether the fills that the book lacks make up for what its positions lack. An average entry is explained by what came
/// after the position was opened, whatever that is.
fn is_explained(
    seen: &Observation,
    symbol: &Symbol,
    positions: Option<&Answer<PositionSnapshot>>,
    (rows, window): (&Fills, TimeWindow),
    book_fills: &BTreeMap<FillKey, Sourced<Fill>>,
) -> bool {
    // Nothing says what to look for.
    let Some(positions) = positions else { return true };
    stated_positions(positions, symbol).all(|(side, qty, entry)| {
        let missing = rows.values().map(|row| &row.entity).filter(|fill| {
            fill.position_side.unwrap_or(PositionSide::Net) == side && !book_fills.contains_key(&fill.key)
        });
        let mut reached = without_residuals(seen, symbol, side);
        for fill in missing {
            reached = reached.and_then(|sum| sum.checked_add(fill.signed_qty()).ok());
        }
        let is_at_another_price = qty == seen.book.qty(symbol, side)
            && entry.is_some_and(|entry| unsearched_difference(seen, symbol, side, entry).is_some());
        reached == Some(qty)
            && (!is_at_another_price || reaches_opening(in_fold_order(rows, window).into_iter(), side, qty))
    })
}

/// The book's position by its fills alone: what an order executed beyond its fills is in the book's position already, and
/// its fills take that place. `None` when it does not fit.
pub(crate) fn without_residuals(seen: &Observation, symbol: &Symbol, side: PositionSide) -> Option<Decimal> {
    let residuals = seen.book.orders.values().filter(|known| {
        let order = &known.order.fact;
        order.key.symbol == *symbol && order.position_side.unwrap_or(PositionSide::Net) == side
    });
    let mut residuals = residuals.filter_map(|known| Some((known.order.fact.side, known.residual_qty?)));
    residuals.try_fold(seen.book.qty(symbol, side), |sum, (side, qty)| {
        let signed = if side == Side::Buy { -qty } else { qty };
        sum.checked_add(signed).ok()
    })
}

/// Up to when the book's fills of a position are all that led to what the exchange holds: until the first that it lacks,
/// which will be recorded. `None` where they lead to something else.
pub(super) fn agrees_until(seen: &Observation, symbol: &Symbol, side: PositionSide) -> Option<TimestampMs> {
    let close = seen.symbols.get(symbol).and_then(|close| Some((close, close.fills.answer()?)));
    let rows = close.iter().flat_map(|(close, walk)| {
        let lacking = walk.rows.values().map(|row| &row.entity);
        lacking.filter(|fill| !close.book_fills.contains_key(&fill.key))
    });
    let lacking: Vec<&Fill> = rows.filter(|fill| fill.position_side.unwrap_or(PositionSide::Net) == side).collect();
    let Some(first) = lacking.iter().map(|fill| fill.time.at).min() else {
        return (seen.exchange_qty(symbol, side)? == seen.book.qty(symbol, side)).then_some(TimestampMs::MAX);
    };
    let mut signed = lacking.iter().map(|fill| fill.signed_qty());
    let held = signed.try_fold(without_residuals(seen, symbol, side)?, |sum, qty| sum.checked_add(qty).ok())?;
    (seen.exchange_qty(symbol, side)? == held).then_some(first)
}
