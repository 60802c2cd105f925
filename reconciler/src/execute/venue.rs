//! The exchange as an executor sees it: what it has to know before it sends, each question with an end to its patience.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use exchange_client::{
    AccountIdentity, Answer, Clock, ExchangeError, ExchangeReader, ExchangeTrader, MarkPrice, OrderFilters, OrderRef,
    Stated, TradeQuery,
};
use ledger_core::{
    BalanceSnapshot, ClientOrderId, Decimal, Direction, Fill, Order, OrderClass, OrderId, OrderIntent, PositionMode,
    PositionSide, Price, Symbol, TimestampMs,
};
use tokio::time::timeout;

use super::outcome::ExecuteError;
use super::request::position_side;

/// How old the list of filters may be. Exchanges change them seldom, and refuse what does not fit.
const FILTERS_AGE_MAX_MS: i64 = 60 * 60_000;

/// What is held in one direction, as the exchange answered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    /// Without its sign; 0 when flat.
    pub(super) qty: Decimal,
    /// How orders name the position.
    pub(super) position_side: PositionSide,
    /// The exchange's average entry.
    pub(super) entry_price: Option<Price>,
}

/// A mark price with the age that it had when it was answered.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    pub(super) stated: Stated<MarkPrice>,
    pub(super) age_ms: i64,
}

#[derive(Debug, Default)]
struct Known {
    filters: BTreeMap<Symbol, OrderFilters>,
    filters_at: Option<TimestampMs>,
    mode: Option<PositionMode>,
}

/// The exchange, and what it said that stays as it is for a while.
#[derive(Clone)]
pub(super) struct Venue {
    pub(super) trader: Arc<dyn ExchangeTrader>,
    pub(super) reader: Arc<dyn ExchangeReader>,
    clock: Arc<dyn Clock>,
    known: Arc<Mutex<Known>>,
}

impl Venue {
    pub(super) fn new(trader: Arc<dyn ExchangeTrader>, reader: Arc<dyn ExchangeReader>, clock: Arc<dyn Clock>) -> Self {
        Self { trader, reader, clock, known: Arc::default() }
    }

    /// A panic elsewhere leaves what is known as it is; it is plain data.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What orders of a contract must fulfil.
    pub(super) async fn filters(&self, symbol: &Symbol, patience: Duration) -> Result<OrderFilters, ExecuteError> {
        if let Some(filters) = self.filters_at_hand(symbol) {
            return Ok(filters);
        }
        self.load_filters(patience).await?;
        let known = self.known().filters.get(symbol).cloned();
        known.ok_or_else(|| ExecuteError::UnknownContract { symbol: symbol.clone() })
    }

    pub(super) async fn load_filters(&self, patience: Duration) -> Result<(), ExecuteError> {
        let answer = in_time(patience, self.reader.fetch_order_filters()).await?;
        let mut known = self.known();
        known.filters = answer.rows.into_iter().map(|row| (row.entity.symbol.clone(), row.entity)).collect();
        known.filters_at = Some(self.clock.now());
        Ok(())
    }

    fn filters_at_hand(&self, symbol: &Symbol) -> Option<OrderFilters> {
        let known = self.known();
        let age_ms = self.clock.now().as_ms().saturating_sub(known.filters_at?.as_ms());
        known.filters.get(symbol).filter(|_| age_ms <= FILTERS_AGE_MAX_MS).cloned()
    }

    /// The filters are asked for again before the next order: one was refused that kept to them.
    pub(super) fn doubt_filters(&self) {
        self.known().filters_at = None;
    }

    /// One-way or hedge mode.
    pub(super) async fn mode(&self, patience: Duration) -> Result<PositionMode, ExecuteError> {
        if let Some(mode) = self.known().mode {
            return Ok(mode);
        }
        let mode = in_time(patience, self.reader.fetch_position_mode()).await?;
        self.known().mode = Some(mode);
        Ok(mode)
    }

    /// The mode as it was answered last.
    pub(super) fn mode_at_hand(&self) -> Option<PositionMode> {
        self.known().mode
    }

    /// The mode is taken to be this, or asked for again.
    pub(super) fn doubt_mode(&self, instead: Option<PositionMode>) {
        self.known().mode = instead;
    }

    /// What is held in one direction. `None` where the exchange does not answer that in time, or nothing that can be read.
    pub(super) async fn held(&self, symbol: &Symbol, direction: Direction, patience: Duration) -> Option<Held> {
        let answer = in_time(patience, self.reader.fetch_positions(Some(symbol.clone()))).await.ok()?;
        if !answer.speaks_of(symbol) {
            return None;
        }
        let rows = answer.rows.iter().map(|row| &row.entity).filter(|row| row.symbol == *symbol);
        let mut flat = Held {
            qty: Decimal::ZERO,
            position_side: position_side(direction, self.mode_at_hand().unwrap_or(PositionMode::OneWay)),
            entry_price: None,
        };
        for row in rows {
            let is_ours = match (row.position_side, direction) {
                (PositionSide::Net, Direction::Long) => row.qty.is_positive(),
                (PositionSide::Net, Direction::Short) => row.qty.is_negative(),
                (PositionSide::Long, direction) => direction == Direction::Long,
                (PositionSide::Short, direction) => direction == Direction::Short,
            };
            if is_ours && !row.qty.is_zero() {
                let (qty, position_side) = (row.qty.abs(), row.position_side);
                return Some(Held { qty, position_side, entry_price: row.entry_price });
            }
            if is_ours {
                flat.position_side = row.position_side;
            }
        }
        Some(flat)
    }

    /// What was sent as this intent, of its class. `Ok(None)` is no proof that there is nothing.
    pub(super) async fn order_of(
        &self,
        intent: &OrderIntent,
        patience: Duration,
    ) -> Result<Option<Stated<Order>>, ExecuteError> {
        let reference = OrderRef::Client(intent.class, intent.client_order_id.clone());
        in_time(patience, self.reader.fetch_order(intent.symbol.clone(), reference)).await
    }

    /// A regular order by the id that it was sent with. `Ok(None)` is no proof that there is none.
    pub(super) async fn order_sent_as(
        &self,
        symbol: &Symbol,
        id: &ClientOrderId,
        patience: Duration,
    ) -> Result<Option<Stated<Order>>, ExecuteError> {
        let reference = OrderRef::Client(OrderClass::Regular, id.clone());
        in_time(patience, self.reader.fetch_order(symbol.clone(), reference)).await
    }

    /// The trades of an order, as far as the exchange lists them already.
    pub(super) async fn trades_of(&self, symbol: &Symbol, order_id: &OrderId, patience: Duration) -> Vec<Stated<Fill>> {
        let query = TradeQuery::Order(order_id.clone());
        in_time(patience, self.reader.fetch_my_trades(symbol.clone(), query)).await.map_or_else(
            |error| {
                tracing::debug!(%error, "the trades of an order could not be read; the next sync records them");
                Vec::new()
            },
            |page| page.rows,
        )
    }

    /// What the account's wallets hold.
    pub(super) async fn balances(
        &self,
        account: &AccountIdentity,
        patience: Duration,
    ) -> Result<Answer<BalanceSnapshot>, ExecuteError> {
        in_time(patience, self.reader.fetch_balances(account)).await
    }

    /// The mark price of a contract.
    pub(super) async fn mark(&self, symbol: &Symbol, patience: Duration) -> Result<Mark, ExecuteError> {
        let answer = in_time(patience, self.reader.fetch_mark_prices(Some(symbol.clone()))).await?;
        let asked_at = answer.asked_at;
        let found = answer.rows.into_iter().find(|row| row.entity.price.symbol == *symbol);
        let stated = found.ok_or_else(|| ExecuteError::UnknownContract { symbol: symbol.clone() })?;
        let age_ms = asked_at.as_ms().saturating_sub(stated.entity.price.at.as_ms());
        Ok(Mark { stated, age_ms })
    }

    /// Working orders of a contract, of both classes.
    pub(super) async fn open_orders(
        &self,
        symbol: &Symbol,
        patience: Duration,
    ) -> Result<Vec<Stated<Order>>, ExecuteError> {
        let answer = in_time(patience, self.reader.fetch_open_orders(Some(symbol.clone()))).await?;
        if !answer.speaks_of(symbol) {
            return Err(ExecuteError::UnknownContract { symbol: symbol.clone() });
        }
        Ok(answer.rows)
    }
}

/// An answer that comes before the patience ends.
async fn in_time<T>(
    patience: Duration,
    asked: impl Future<Output = Result<T, ExchangeError>>,
) -> Result<T, ExecuteError> {
    match timeout(patience, asked).await {
        Ok(answer) => answer.map_err(ExecuteError::Exchange),
        Err(_) => Err(ExecuteError::Slow { seconds: patience.as_secs() }),
    }
}
