//! Contracts: how a price and a quantity become money.

use crate::amount::{Decimal, Quantity};
use crate::id::{Asset, Symbol};
use crate::merge::{Fact, Joiner};
use crate::names::stored_names;
use crate::time::TimestampMs;

/// How a contract pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ContractKind {
    /// Quantity in base units, profit in the quote asset: value = quantity x multiplier x price.
    Linear,
    /// Quantity in contracts of a fixed quote value, profit in the base asset: value = quantity x multiplier / price.
    Inverse,
}

stored_names!(ContractKind, "contract kind", { Linear = "linear", Inverse = "inverse" });

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
    /// What a forced close costs beside the fee of its fills, as a fraction of the notional that was closed by force
    /// (0.005 = 0.5 %), where known. Binance USD-M states it as `liquidationFee` of `exchangeInfo`.
    pub liquidation_fee: Option<Decimal>,
    /// When the steps and the liquidation fee were stated: exchanges change them, and the latest stand. `None` when the
    /// source does not say.
    pub terms_as_of: Option<TimestampMs>,
}

/// The terms of a contract that its exchange changes, taken from one statement: a step of today says nothing beside a
/// fee of last year.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Terms {
    as_of: Option<TimestampMs>,
    tick_size: Option<Decimal>,
    step_size: Option<Decimal>,
    liquidation_fee: Option<Decimal>,
}

impl Terms {
    /// Terms that are stated stand against none, later ones against earlier, more against fewer.
    fn version(&self) -> (bool, Option<TimestampMs>, u8) {
        let stated = [self.tick_size.is_some(), self.step_size.is_some(), self.liquidation_fee.is_some()];
        (stated.contains(&true), self.as_of, stated.into_iter().map(u8::from).sum())
    }
}

impl Instrument {
    /// A linear contract of one base unit, settled in `settle_asset`.
    ///
    /// # Errors
    /// Never in practice: the multiplier 1 is valid.
    pub fn linear(symbol: Symbol, settle_asset: Asset) -> Result<Self, crate::amount::AmountError> {
        let multiplier = Quantity::new(Decimal::ONE)?;
        Ok(Self {
            symbol,
            kind: ContractKind::Linear,
            multiplier,
            settle_asset,
            tick_size: None,
            step_size: None,
            liquidation_fee: None,
            terms_as_of: None,
        })
    }
}

impl Fact for Instrument {
    type Key = Symbol;

    fn key(&self) -> Symbol {
        self.symbol.clone()
    }

    fn join(&self, other: &Self, j: &mut Joiner<'_>) -> Self {
        let of = |it: &Self| Terms {
            as_of: it.terms_as_of,
            tick_size: it.tick_size,
            step_size: it.step_size,
            liquidation_fee: it.liquidation_fee,
        };
        let terms = j.group("terms", &of(self), &of(other), Terms::version);
        Self {
            symbol: self.symbol.clone(),
            kind: j.required("kind", &self.kind, &other.kind),
            multiplier: j.required("multiplier", &self.multiplier, &other.multiplier),
            settle_asset: j.required("settle_asset", &self.settle_asset, &other.settle_asset),
            tick_size: terms.tick_size,
            step_size: terms.step_size,
            liquidation_fee: terms.liquidation_fee,
            terms_as_of: terms.as_of,
        }
    }
}
