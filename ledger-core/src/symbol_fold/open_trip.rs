//! A round trip while it is being made.

use crate::amount::{Decimal, MathError};
use crate::certainty::Certainty;
use crate::id::{EngineLabel, FillId};
use crate::order::ExitReason;
use crate::position::Value;
use crate::round_trip::{AssetTallies, Direction, OrderContext, RoundTrip, Tally};
use crate::source::PositionSide;
use crate::time::TimestampMs;

use super::{AVERAGE_SCALE, SymbolFold};

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
            contract.average_price(qty.to_decimal()?, cost, AVERAGE_SCALE).map(Some)
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
