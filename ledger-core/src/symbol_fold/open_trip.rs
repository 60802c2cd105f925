//! A round trip while it is being made.

use crate::amount::{Decimal, MathError, Price};
use crate::certainty::Certainty;
use crate::id::{EngineLabel, FillId};
use crate::order::ExitReason;
use crate::position::{Applied, Change, Contract, Position, Value};
use crate::round_trip::{AssetTallies, Direction, OrderContext, RoundTrip, Tally};
use crate::source::PositionSide;
use crate::time::TimestampMs;

use super::beginning::Beginning;
use super::{AVERAGE_SCALE, SymbolFold, Trade};

#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct OpenTrip {
    pub(super) direction: Direction,
    /// Known: built from fills. Estimated: something was inferred. Unknown: what was open was never seen.
    pub(super) basis: Certainty,
    /// Whether its opening was never seen at all: the position is flat as far as the book knows.
    pub(super) unseen: bool,
    pub(super) opened_at: Option<TimestampMs>,
    pub(super) last_at: TimestampMs,
    pub(super) closed_at: Option<TimestampMs>,
    pub(super) opened_by: Option<FillId>,
    pub(super) closed_by: Option<FillId>,
    /// Quantities and costs at 18 decimals; quantities unsigned, costs signed as in position math.
    pub(super) entry_qty: Value,
    pub(super) entry_cost: Value,
    pub(super) exit_qty: Value,
    pub(super) exit_cost: Value,
    /// Whether the price of every exit is known.
    pub(super) exits_priced: bool,
    pub(super) qty_max: Value,
    pub(super) realized: Tally,
    pub(super) cash_flow: Value,
    pub(super) reported: Value,
    pub(super) reported_by_all: bool,
    pub(super) fees: AssetTallies,
    pub(super) funding: AssetTallies,
    pub(super) engine: Option<EngineLabel>,
    pub(super) other_engines: Vec<EngineLabel>,
    pub(super) exit_reason: ExitReason,
    pub(super) fill_count: u64,
}

impl OpenTrip {
    pub(super) fn new(direction: Direction, basis: Certainty, at: TimestampMs) -> Self {
        Self {
            direction,
            basis,
            unseen: false,
            opened_at: Some(at),
            last_at: at,
            closed_at: None,
            opened_by: None,
            closed_by: None,
            entry_qty: Value::ZERO,
            entry_cost: Value::ZERO,
            exit_qty: Value::ZERO,
            exit_cost: Value::ZERO,
            exits_priced: true,
            qty_max: Value::ZERO,
            realized: Tally::default(),
            cash_flow: Value::ZERO,
            reported: Value::ZERO,
            reported_by_all: true,
            fees: AssetTallies::default(),
            funding: AssetTallies::default(),
            engine: None,
            other_engines: Vec::new(),
            exit_reason: ExitReason::Unknown,
            fill_count: 0,
        }
    }

    pub(super) fn note_engine(&mut self, order: Option<&OrderContext>, opening: bool) {
        let Some(engine) = order.and_then(|order| order.engine.as_ref()) else {
            return;
        };
        if opening {
            self.engine = Some(engine.clone());
        } else if self.engine.as_ref() != Some(engine) && !self.other_engines.contains(engine) {
            self.other_engines.push(engine.clone());
        }
    }

    /// What was open was not what the book thought: no profit computed from it can be told any more.
    pub(super) fn taint(&mut self) {
        self.basis = Certainty::Unknown;
        self.realized.forget(1);
        self.cash_flow = Value::ZERO;
    }

    /// What is open has no known cost: what was realized so far stands, what closing the rest realizes is unknown.
    pub(super) fn lose_entry(&mut self) -> Result<(), MathError> {
        self.basis = Certainty::Unknown;
        self.cash_flow = self.realized.sum()?;
        Ok(())
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
        let average = |qty: Value, cost: Value| -> Result<Option<Decimal>, MathError> {
            if qty.is_zero() || cost.is_zero() {
                return Ok(None);
            }
            contract.average_of(qty, cost, AVERAGE_SCALE).map(Some)
        };
        let entry_price_avg =
            if self.basis == Certainty::Unknown { None } else { average(self.entry_qty, self.entry_cost)? };
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
            opened_by: self.opened_by.clone(),
            closed_by: self.closed_by.clone(),
            entry_qty: self.entry_qty.to_decimal()?,
            entry_price_avg,
            exit_qty: self.exit_qty.to_decimal()?,
            exit_price_avg: if self.exits_priced { average(self.exit_qty, self.exit_cost)? } else { None },
            qty_max: self.qty_max.to_decimal()?,
            settle_asset: fold.settle_asset.clone(),
            gross,
            exchange_realized_pnl: match (self.reported_by_all, self.exit_qty.is_zero()) {
                (true, false) => Some(self.reported.to_decimal()?),
                _ => None,
            },
            fees: self.fees.totals()?,
            funding: self.funding.totals()?,
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
    fn touch(&mut self, trade: &Trade<'_>, opening: bool) {
        self.note_engine(trade.order, opening);
        self.fill_count += u64::from(trade.fill_id.is_some());
        self.last_at = trade.at;
    }

    #[inline]
    pub(super) fn enter(
        &mut self,
        trade: &Trade<'_>,
        applied: &Applied,
        basis: Certainty,
        opening: bool,
    ) -> Result<(), MathError> {
        if opening {
            self.opened_by = trade.fill_id.cloned();
        }
        self.touch(trade, opening);
        let qty = if applied.change == Change::Flip { applied.opened_qty()? } else { trade.qty.get() };
        self.entry_qty = self.entry_qty.checked_add(Value::from_decimal(qty)?)?;
        self.entry_cost = self.entry_cost.checked_add(applied.opened_cost)?;
        if basis == Certainty::Unknown && self.basis != basis {
            self.lose_entry()?;
        }
        self.basis = self.basis.max(basis);
        if self.basis != Certainty::Unknown {
            self.cash_flow = self.cash_flow.checked_sub(applied.opened_cost)?;
        }
        Ok(())
    }

    /// Takes in what closing a part realized; the answer is `None` when that is unknown.
    pub(super) fn realize(
        &mut self,
        trade: &Trade<'_>,
        applied: &Applied,
        mismatch: bool,
        beginning: Beginning,
    ) -> Result<Option<Value>, MathError> {
        // The exchange's own word for the same amount settles it, whatever the book begins with.
        let confirmed = trade.reported.is_some() && !mismatch;
        let assumed = if confirmed { Certainty::Known } else { beginning.certainty() };
        let certainty =
            if trade.price.is_none() { Certainty::Unknown } else { self.basis.max(trade.certainty).max(assumed) };
        self.realized.add(applied.realized, certainty)?;
        if self.basis == Certainty::Unknown {
            return Ok(None);
        }
        if certainty == Certainty::Unknown {
            // What was closed leaves at cost: the rest stays balanced, and nothing is claimed for it.
            let released = applied.closing_cash_flow()?.checked_sub(applied.realized)?;
            self.cash_flow = self.cash_flow.checked_add(released)?;
            return Ok(None);
        }
        self.cash_flow = self.cash_flow.checked_add(applied.closing_cash_flow()?)?;
        Ok(Some(applied.realized))
    }

    /// An exit whose money is told: the closing part of a trade.
    #[inline]
    pub(super) fn exit_part(&mut self, trade: &Trade<'_>, applied: &Applied) -> Result<(), MathError> {
        let qty = if applied.change == Change::Flip { applied.closed_qty()? } else { trade.qty.get() };
        let cost = Value::ZERO.checked_sub(applied.closing_cash_flow()?)?;
        self.note_exit(trade, Value::from_decimal(qty)?, cost)
    }

    /// An exit of which only quantity and price are told.
    pub(super) fn exit(&mut self, trade: &Trade<'_>, contract: Contract) -> Result<(), MathError> {
        let price = match trade.price {
            Some(price) => price,
            None => placeholder_price()?,
        };
        let mut alone = Position::FLAT;
        let cost = alone.apply(contract, trade.side, trade.qty, price)?.opened_cost;
        self.note_exit(trade, Value::from_decimal(trade.qty.get())?, cost)
    }

    #[inline]
    fn note_exit(&mut self, trade: &Trade<'_>, qty: Value, cost: Value) -> Result<(), MathError> {
        self.touch(trade, false);
        self.exit_qty = self.exit_qty.checked_add(qty)?;
        self.exit_cost = self.exit_cost.checked_add(cost)?;
        self.exits_priced &= trade.price.is_some();
        self.closed_by = trade.fill_id.cloned();
        match trade.reported {
            Some(reported) => self.reported = self.reported.checked_add(reported)?,
            None => self.reported_by_all = false,
        }
        // The last exit tells why it ended: an earlier part's reason says nothing about it.
        self.exit_reason = trade.order.map_or(ExitReason::Unknown, OrderContext::exit_reason);
        Ok(())
    }
}

/// The price that stands in where none is known. Only the quantity matters then: the round trip's basis is unknown,
/// and no amount that follows from it is ever shown.
pub(super) fn placeholder_price() -> Result<Price, MathError> {
    Price::new(Decimal::ONE).map_err(|_| MathError::Overflow)
}
