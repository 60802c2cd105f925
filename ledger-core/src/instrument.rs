//! Contracts: how a price and a quantity become money.

use crate::amount::{Decimal, Quantity};
use crate::id::{Asset, Symbol};
use crate::merge::{Fact, Joiner};
use crate::source::names;

/// How a contract pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ContractKind {
    /// Quantity in base units, profit in the quote asset: value = quantity x multiplier x price.
    Linear,
    /// Quantity in contracts of a fixed quote value, profit in the base asset: value = quantity x multiplier / price.
    Inverse,
}

names!(ContractKind, "contract kind", { Linear = "linear", Inverse = "inverse" });

/// A tradable contract.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Instrument {
    /// The exchange's name.
    pub symbol: Symbol,
    /// Linear or inverse.
    pub kind: ContractKind,
    /// Base units (linear) or quote units (inverse) per unit of quantity; 1 on Binance USD-M.
    pub multiplier: Quantity,
    /// The asset in which profit, loss and funding are paid.
    pub settle_asset: Asset,
    /// The smallest price step, where known.
    pub tick_size: Option<Decimal>,
    /// The smallest quantity step, where known.
    pub step_size: Option<Decimal>,
}

impl Instrument {
    /// A linear contract of one base unit, settled in `settle_asset`.
    ///
    /// # Errors
    /// Never in practice: the multiplier 1 is valid.
    pub fn linear(symbol: Symbol, settle_asset: Asset) -> Result<Self, crate::amount::AmountError> {
        let multiplier = Quantity::new(Decimal::ONE)?;
        Ok(Self { symbol, kind: ContractKind::Linear, multiplier, settle_asset, tick_size: None, step_size: None })
    }
}

impl Fact for Instrument {
    type Key = Symbol;

    fn key(&self) -> Symbol {
        self.symbol.clone()
    }

    fn join(&self, other: &Self, j: &mut Joiner<'_>) -> Self {
        Self {
            symbol: self.symbol.clone(),
            kind: j.required("kind", &self.kind, &other.kind),
            multiplier: j.required("multiplier", &self.multiplier, &other.multiplier),
            settle_asset: j.required("settle_asset", &self.settle_asset, &other.settle_asset),
            tick_size: j.optional("tick_size", self.tick_size.as_ref(), other.tick_size.as_ref()),
            step_size: j.optional("step_size", self.step_size.as_ref(), other.step_size.as_ref()),
        }
    }
}
