//! A round trip while it is being made.

use crate::amount::{Decimal, MathError, Price, Value};
use crate::certainty::Certainty;
use crate::contract::Contract;
use crate::id::{EngineLabel, FillId, OrderId};
use crate::order::ExitReason;
use crate::order_story::OrderContext;
use crate::position::{Applied, Position, Turnover};
use crate::round_trip::{AssetTallies, Direction, RoundTrip, Tally};
use crate::source::PositionSide;
use crate::time::TimestampMs;
use crate::trip_key::{Opening, TripKey};

use super::{AVERAGE_SCALE, SymbolFold, Trade};

/// The event that a round trip began with: its [`Opening`], without what its direction says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Begun {
    /// The fill that opened it.
    Fill(FillId),
    /// A statement of this instant.
    Anchor(TimestampMs),
    /// What this order executed beyond its fills.
    Order(OrderId),
    /// Never seen; the first fill that closed some of it.
    Unseen(FillId),
    /// Never seen; the order that closed some of it beyond its fills.
    UnseenOrder(OrderId),
}

#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::struct_excessive_bools, reason = "each says something else, and none excludes another")]
pub(super) struct OpenTrip {
    pub(super) direction: Direction,
    /// Known: built from fills. Estimated: something was inferred. Unknown: what was open was never seen.
    pub(super) basis: Certainty,
    /// Whether its opening was never seen at all: the position is flat as far as the book knows.
    pub(super) unseen: bool,
    pub(super) opened_at: Option<TimestampMs>,
    pub(super) closed_at: Option<TimestampMs>,
    pub(super) begun: Begun,
    pub(super) closed_by: Option<FillId>,
    pub(super) turnover: Turnover,
    /// Whether the price of every exit is known.
    pub(super) exits_priced: bool,
    pub(super) realized: Tally,
    /// What exits of unknown price seem to realize at the price that stands in for it.
    pub(super) untold: Value,
    pub(super) reported: Value,
    pub(super) reported_by_all: bool,
    pub(super) fees: AssetTallies,
    pub(super) funding: AssetTallies,
    pub(super) clearance: AssetTallies,
    pub(super) was_liquidated: bool,
    pub(super) engine: Option<EngineLabel>,
    pub(super) other_engines: Vec<EngineLabel>,
    pub(super) exit_reason: ExitReason,
    pub(super) fill_count: u64,
}

impl OpenTrip {
    /// Begins another one in the place of one that is done with. Its fees and what opened it are what they were: for the
    /// caller to [begin](AssetTallies::begin) or clear, and to set.
    #[inline]
    pub(super) fn begin_again(&mut self, as_direction: Direction, as_basis: Certainty, at: TimestampMs, scale: u8) {
        // Every field is named, so that none of the old one stays.
        let Self {
            direction,
            basis,
            unseen,
            opened_at,
            closed_at,
            begun: _,
            closed_by,
            turnover,
            exits_priced,
            realized,
            untold,
            reported,
            reported_by_all,
            fees: _,
            funding,
            clearance,
            was_liquidated,
            engine,
            other_engines,
            exit_reason,
            fill_count,
        } = self;
        (*direction, *basis, *unseen) = (as_direction, as_basis, false);
        (*opened_at, *closed_at) = (Some(at), None);
        // Not as a pair, which would be put together on the stack first.
        *closed_by = None;
        *engine = None;
        *turnover = Turnover::none(scale);
        (*untold, *reported) = (Value::ZERO, Value::ZERO);
        (*exits_priced, *reported_by_all) = (true, true);
        *realized = Tally::default();
        funding.clear();
        clearance.clear();
        other_engines.clear();
        (*exit_reason, *was_liquidated, *fill_count) = (ExitReason::Unknown, false, 0);
    }

    pub(super) fn new(begun: Begun, direction: Direction, basis: Certainty, at: TimestampMs, scale: u8) -> Self {
        Self {
            direction,
            basis,
            unseen: false,
            opened_at: Some(at),
            closed_at: None,
            begun,
            closed_by: None,
            turnover: Turnover::none(scale),
            exits_priced: true,
            realized: Tally::default(),
            untold: Value::ZERO,
            reported: Value::ZERO,
            reported_by_all: true,
            fees: AssetTallies::default(),
            funding: AssetTallies::default(),
            clearance: AssetTallies::default(),
            was_liquidated: false,
            engine: None,
            other_engines: Vec::new(),
            exit_reason: ExitReason::Unknown,
            fill_count: 0,
        }
    }

    /// `trade` was the last of it.
    pub(super) fn close(&mut self, trade: &Trade<'_>) {
        self.closed_at = Some(trade.at);
        self.closed_by = trade.fill_id().cloned();
    }

    /// What began it.
    pub(super) fn opening(&self) -> Opening {
        let (opens, closes) = self.direction.sides();
        match &self.begun {
            Begun::Fill(fill_id) => Opening::Fill { side: opens, fill_id: fill_id.clone() },
            Begun::Anchor(at) => Opening::Anchor(*at),
            Begun::Order(order_id) => Opening::Order(order_id.clone()),
            Begun::Unseen(fill_id) => Opening::Unseen { side: closes, fill_id: fill_id.clone() },
            Begun::UnseenOrder(order_id) => Opening::UnseenOrder(order_id.clone()),
        }
    }

    /// Its name.
    pub(super) fn key(&self, fold: &SymbolFold, position_side: PositionSide) -> TripKey {
        TripKey { symbol: fold.symbol.clone(), position_side, opening: self.opening() }
    }

    /// The strategy that opened it is `engine`; others are listed.
    fn note_engine(&mut self, engine: &EngineLabel) {
        if self.engine.as_ref() != Some(engine) && !self.other_engines.contains(engine) {
            self.other_engines.push(engine.clone());
        }
    }

    /// What was open was not what the book thought: no profit computed from it can be told any more.
    pub(super) fn taint(&mut self) {
        self.basis = Certainty::Unknown;
        self.realized.forget(1);
    }

    /// The cash that it moved, as far as its money is told. Where what is open has no known cost, what was realized so
    /// far stands, and what closing the rest realizes is unknown. An exit without a price leaves at cost: the rest stays
    /// balanced, and nothing is claimed for it.
    pub(super) fn cash_flow(&self) -> Result<Value, MathError> {
        if self.basis == Certainty::Unknown {
            return self.realized.sum();
        }
        Ok(self.turnover.cost()?.checked_add(self.untold)?.negated())
    }

    /// The average price of the entries; absent when unknown.
    #[inline]
    pub(super) fn entry_price_avg(&self, contract: Contract) -> Result<Option<Decimal>, MathError> {
        if self.basis == Certainty::Unknown {
            return Ok(None);
        }
        self.turnover.entry_price_avg(contract, AVERAGE_SCALE)
    }

    /// The record, no surer than `beginning` is.
    pub(super) fn round_trip(
        &self,
        fold: &SymbolFold,
        position_side: PositionSide,
        number: u64,
        beginning: Certainty,
    ) -> Result<RoundTrip, MathError> {
        let contract = fold.contract;
        let (entry_qty, exit_qty) = (self.turnover.entry_qty()?, self.turnover.exit_qty()?);
        let gross = self.realized.total()?;
        let mut other_engines = self.other_engines.clone();
        other_engines.sort();
        Ok(RoundTrip {
            symbol: fold.symbol.clone(),
            position_side,
            number,
            direction: self.direction,
            opened_at: self.opened_at,
            closed_at: self.closed_at,
            opening: self.opening(),
            closed_by: self.closed_by.clone(),
            entry_qty,
            entry_price_avg: self.entry_price_avg(contract)?,
            exit_qty,
            exit_price_avg: if self.exits_priced {
                self.turnover.exit_price_avg(contract, AVERAGE_SCALE)?
            } else {
                None
            },
            qty_max: self.turnover.qty_max()?,
            settle_asset: fold.settle_asset.clone(),
            gross,
            exchange_realized_pnl: match (self.reported_by_all, exit_qty.is_zero()) {
                (true, false) => Some(self.reported.to_decimal()?),
                _ => None,
            },
            fees: self.fees.totals()?,
            funding: self.funding.totals()?,
            clearance: self.clearance.totals()?,
            was_liquidated: self.was_liquidated,
            engine: self.engine.clone(),
            other_engines,
            exit_reason: self.exit_reason,
            fill_count: self.fill_count,
            certainty: self.basis.max(gross.certainty()).max(beginning),
        })
    }
}

/// What trades do to it.
impl OpenTrip {
    #[inline]
    fn touch(&mut self, trade: &Trade<'_>) {
        self.note_order(trade.order);
        self.fill_count += u64::from(trade.fill_id().is_some());
    }

    /// A trade of `order` took part.
    #[inline]
    pub(super) fn note_order(&mut self, order: Option<&OrderContext>) {
        if let Some(engine) = order.and_then(|order| order.engine.as_ref()) {
            self.note_engine(engine);
        }
    }

    /// A part of it was closed by `order`. The last exit tells why it ended: an earlier part's reason says nothing about it.
    #[inline]
    pub(super) fn note_exit_reason(&mut self, order: Option<&OrderContext>) {
        self.exit_reason = order.map_or(ExitReason::Unknown, OrderContext::exit_reason);
        self.was_liquidated |= self.exit_reason == ExitReason::Liquidation;
    }

    /// `units` went in for `cost`, and `held` is open now.
    #[inline]
    pub(super) fn enter(
        &mut self,
        trade: &Trade<'_>,
        units: i128,
        cost: Value,
        held: &Position,
    ) -> Result<(), MathError> {
        self.touch(trade);
        self.turnover.enter(units, held.units(), held.scale(), cost)?;
        self.basis = self.basis.max(trade.basis());
        Ok(())
    }

    /// Takes in what closing a part realized; answers how sure that is.
    #[inline]
    pub(super) fn realize(
        &mut self,
        trade: &Trade<'_>,
        applied: &Applied,
        mismatch: bool,
        beginning: Certainty,
    ) -> Result<Certainty, MathError> {
        // The exchange's own word for the same amount settles it, whatever the book begins with.
        let confirmed = trade.reported.is_some() && !mismatch;
        let assumed = if confirmed { Certainty::Known } else { beginning };
        let certainty =
            if trade.price.is_none() { Certainty::Unknown } else { self.basis.max(trade.certainty).max(assumed) };
        self.realized.add(applied.realized, certainty)?;
        if certainty == Certainty::Unknown && self.basis != certainty {
            self.untold = self.untold.checked_add(applied.realized)?;
        }
        Ok(certainty)
    }

    /// All that is open, `units` x 10^-`scale` at `cost`, was closed at `at` without a fill: by a settlement that paid
    /// `realized`, at a price that is not known.
    pub(super) fn settle(
        &mut self,
        at: TimestampMs,
        units: i128,
        scale: u8,
        cost: Value,
        realized: Option<Value>,
    ) -> Result<(), MathError> {
        let is_told = realized.is_some() && self.basis != Certainty::Unknown;
        // Without an amount, what is open leaves at cost.
        let gained = realized.filter(|_| is_told).unwrap_or(Value::ZERO);
        self.turnover.leave(units, scale, cost.checked_add(gained)?.negated())?;
        let certainty = if realized.is_some() { Certainty::Estimated } else { Certainty::Unknown };
        self.realized.add(realized.unwrap_or(Value::ZERO), certainty)?;
        match realized {
            Some(realized) => self.reported = self.reported.checked_add(realized)?,
            None => self.reported_by_all = false,
        }
        self.exits_priced = false;
        (self.closed_at, self.closed_by) = (Some(at), None);
        self.exit_reason = ExitReason::Settlement;
        Ok(())
    }

    /// An exit whose money is told: the closing part of a trade.
    #[inline]
    pub(super) fn exit_part(&mut self, trade: &Trade<'_>, applied: &Applied) -> Result<(), MathError> {
        let cost = applied.closing_cash_flow()?.negated();
        self.note_exit(trade, applied.closed_units(), applied.scale(), cost)
    }

    /// An exit of which only quantity and price are told.
    pub(super) fn exit(&mut self, trade: &Trade<'_>, contract: &Contract) -> Result<(), MathError> {
        let price = match trade.price {
            Some(price) => *price,
            None => placeholder_price()?,
        };
        let cost = contract.cost(trade.side, *trade.qty, price)?;
        self.note_exit(trade, trade.qty.get().mantissa(), trade.qty.get().scale(), cost)
    }

    #[inline]
    fn note_exit(&mut self, trade: &Trade<'_>, units: i128, scale: u8, cost: Value) -> Result<(), MathError> {
        self.touch(trade);
        self.turnover.leave(units, scale, cost)?;
        self.exits_priced &= trade.price.is_some();
        match trade.reported {
            Some(reported) => self.reported = self.reported.checked_add(Value::from_decimal(*reported)?)?,
            None => self.reported_by_all = false,
        }
        self.note_exit_reason(trade.order);
        Ok(())
    }
}

/// The price that stands in where none is known. Only the quantity matters then: the round trip's basis is unknown,
/// and no amount that follows from it is ever shown.
pub(super) fn placeholder_price() -> Result<Price, MathError> {
    Price::new(Decimal::ONE).map_err(|_| MathError::Overflow)
}
