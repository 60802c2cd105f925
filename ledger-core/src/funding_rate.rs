//! Funding rates: what the exchange published about a funding instant. The exchange decides when these are; intervals
//! differ between contracts and change, so no instant is ever computed.

use crate::amount::{Decimal, Price};
use crate::id::Symbol;
use crate::merge::{Fact, Joiner};
use crate::time::TimestampMs;

/// What was paid at a funding instant for each unit of a position's value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FundingRate {
    /// The contract.
    pub symbol: Symbol,
    /// The funding instant, by the exchange's list.
    pub at: TimestampMs,
    /// The rate as a fraction of the position's value: longs pay shorts when it is positive.
    pub rate: Decimal,
    /// The mark price that positions were valued at, where the exchange states it.
    pub mark_price: Option<Price>,
}

impl Fact for FundingRate {
    type Key = (Symbol, TimestampMs);

    fn key(&self) -> Self::Key {
        (self.symbol.clone(), self.at)
    }

    fn join(&self, other: &Self, j: &mut Joiner<'_>) -> Self {
        Self {
            symbol: self.symbol.clone(),
            at: self.at,
            rate: j.required("rate", &self.rate, &other.rate),
            mark_price: j.optional("mark_price", self.mark_price.as_ref(), other.mark_price.as_ref()),
        }
    }
}
