//! What is measured.

use std::error::Error;
use std::hint::black_box;

use barter::engine::state::position::PositionManager;
use barter_execution::trade::Trade as PeerTrade;
use barter_instrument::asset::QuoteAsset;
use barter_instrument::instrument::InstrumentIndex;
use ledger_core::{
    Anchor, Contract, Decimal, Fill, FoldEvent, Holding, Label, Position, PositionSide, SymbolFold, TimestampMs, Trade,
    Value,
};
use rust_decimal::Decimal as PeerDecimal;

use crate::input::instrument;

/// Position math and the sum of fees, nothing else.
pub struct Bare {
    contract: Contract,
    position: Position,
    pub realized: Value,
    pub fees: Value,
}

impl Bare {
    pub fn new() -> Result<Self, Box<dyn Error>> {
        let contract = Contract::from(&instrument()?);
        Ok(Self { contract, position: Position::FLAT, realized: Value::ZERO, fees: Value::ZERO })
    }

    #[inline(never)]
    pub fn take(&mut self, fills: &[Fill]) -> Result<(), Box<dyn Error>> {
        for fill in fills {
            let applied = self.position.apply(self.contract, fill.key.side, fill.qty, fill.price)?;
            self.realized = self.realized.checked_add(applied.realized)?;
            if let Some(fee) = &fill.fee
                && fee.asset.as_str() == "USDT"
            {
                self.fees = self.fees.checked_add(Value::from_decimal(fee.amount)?)?;
            }
        }
        Ok(())
    }
}

/// What barter's manager does: one position, and a record of each that is closed.
pub struct Held {
    contract: Contract,
    holding: Holding,
    realized: Value,
    fees: Value,
    pub closed: u64,
    pub sum: i128,
}

impl Held {
    pub fn new() -> Result<Self, Box<dyn Error>> {
        let contract = Contract::from(&instrument()?);
        Ok(Self {
            contract,
            holding: Holding::flat(contract),
            realized: Value::ZERO,
            fees: Value::ZERO,
            closed: 0,
            sum: 0,
        })
    }

    #[inline(never)]
    pub fn take(&mut self, trades: &[Trade]) -> Result<(), Box<dyn Error>> {
        for trade in trades {
            if let Some(closed) = black_box(self.holding.apply(*trade)?) {
                let entry = black_box(closed.turnover.entry_price_avg(self.contract, 12)?);
                let qty_max = black_box(closed.turnover.qty_max()?);
                self.closed += 1;
                self.realized = self.realized.checked_add(closed.realized)?;
                self.fees = self.fees.checked_add(closed.fees_entry)?.checked_add(closed.fees_exit)?;
                note(&mut self.sum, entry, qty_max)?;
            }
        }
        Ok(())
    }

    pub fn realized_less_fees(&self) -> Result<Decimal, Box<dyn Error>> {
        let mut total = self.realized.checked_sub(self.fees)?;
        if let Some(open) = self.holding.cycle() {
            total = total.checked_add(open.realized)?.checked_sub(open.fees_entry)?.checked_sub(open.fees_exit)?;
        }
        Ok(total.to_decimal()?)
    }
}

/// Adds up what records say, to compare them by.
#[inline]
fn note(sum: &mut i128, entry: Option<Decimal>, qty_max: Decimal) -> Result<(), Box<dyn Error>> {
    let entry = entry.ok_or("no average entry")?;
    *sum = sum.wrapping_add(entry.mantissa()).wrapping_add(qty_max.mantissa());
    Ok(())
}

/// The whole fold: positions, round trips, fees per asset, certainty.
pub struct Whole {
    fold: SymbolFold,
    pub realized: Value,
    pub closed: u64,
    pub mismatches: u64,
    /// The average entries and largest sizes of closed round trips added up, to compare records by.
    pub sum: i128,
}

impl Whole {
    pub fn new() -> Result<Self, Box<dyn Error>> {
        let instrument = instrument()?;
        let mut fold = SymbolFold::new(&instrument);
        fold.apply(FoldEvent::Anchor(&Anchor {
            symbol: instrument.symbol,
            position_side: PositionSide::Net,
            at: TimestampMs::new(1_700_000_000_000)?,
            qty: Decimal::ZERO,
            entry_price: None,
            derivation: Label::new("a new account")?,
            known_before: None,
            withdrawn: None,
        }))?;
        Ok(Self { fold, realized: Value::ZERO, closed: 0, mismatches: 0, sum: 0 })
    }

    pub fn realized_less_fees(&self) -> Result<Decimal, Box<dyn Error>> {
        let positions = self.fold.positions()?;
        let derived = positions.first().ok_or("no position")?;
        let fees = derived.fees.iter().find(|fee| fee.asset.as_str() == "USDT").ok_or("no fees")?;
        Ok(derived.realized.known.checked_sub(fees.total.known)?)
    }

    #[inline(never)]
    pub fn take(&mut self, fills: &[Fill]) -> Result<(), Box<dyn Error>> {
        for fill in fills {
            let step = self.fold.apply(FoldEvent::Fill { fill, order: None })?;
            self.mismatches += u64::from(step.pnl_mismatch());
            if let Some(realized) = black_box(step.realized()) {
                self.realized = self.realized.checked_add(realized)?;
            }
            if black_box(step.closed().next()).is_some() {
                self.closed += 1;
            }
        }
        Ok(())
    }

    /// Reads off each closed position what barter's record of it says.
    #[inline(never)]
    pub fn take_and_read(&mut self, fills: &[Fill]) -> Result<(), Box<dyn Error>> {
        for fill in fills {
            let step = self.fold.apply(FoldEvent::Fill { fill, order: None })?;
            self.mismatches += u64::from(step.pnl_mismatch());
            if let Some(realized) = black_box(step.realized()) {
                self.realized = self.realized.checked_add(realized)?;
            }
            if let Some(closed) = black_box(step.closed().next()) {
                self.closed += 1;
                let (entry, qty_max) = (closed.entry_price_avg()?, closed.qty_max()?);
                black_box((closed.direction(), closed.opened_at(), closed.closed_at()));
                black_box((closed.opened_by(), closed.closed_by(), closed.gross().known()));
                for fee in closed.fees() {
                    black_box((fee.0, fee.1.known()));
                }
                note(&mut self.sum, entry, qty_max)?;
            }
        }
        Ok(())
    }

    #[inline(never)]
    pub fn take_and_record(&mut self, fills: &[Fill]) -> Result<(), Box<dyn Error>> {
        for fill in fills {
            let step = self.fold.apply(FoldEvent::Fill { fill, order: None })?;
            self.mismatches += u64::from(step.pnl_mismatch());
            if let Some(realized) = black_box(step.realized()) {
                self.realized = self.realized.checked_add(realized)?;
            }
            if let Some(closed) = black_box(step.closed().next()) {
                self.closed += 1;
                let record = black_box(closed.record()?);
                note(&mut self.sum, record.entry_price_avg, record.qty_max)?;
            }
        }
        Ok(())
    }
}

/// Barter's position manager. It takes fees off the realized profit by itself.
#[derive(Default)]
pub struct Peer {
    manager: PositionManager<InstrumentIndex>,
    realized: PeerDecimal,
    pub closed: u64,
}

impl Peer {
    #[inline(never)]
    pub fn take(&mut self, trades: &[PeerTrade<QuoteAsset, InstrumentIndex>]) {
        for trade in trades {
            if let Some(exited) = black_box(self.manager.update_from_trade(trade)) {
                self.realized += exited.pnl_realised;
                self.closed += 1;
            }
        }
    }

    pub fn total(&self) -> PeerDecimal {
        self.realized + self.manager.current.as_ref().map_or(PeerDecimal::ZERO, |open| open.pnl_realised)
    }
}
