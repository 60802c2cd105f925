//! How sure a derived number is. A total carries the weakest of its parts, and says how much is which.

use crate::amount::{Decimal, MathError};
use crate::names::stored_names;

/// How sure a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Certainty {
    /// Follows from facts of the exchange.
    #[default]
    Known,
    /// Follows from an inference, which later facts may correct.
    Estimated,
    /// Cannot be told: something it depends on was never seen.
    Unknown,
}

stored_names!(Certainty, "certainty", { Known = "known", Estimated = "estimated", Unknown = "unknown" });

/// A sum that keeps its sure, its estimated and its untold parts apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CertainTotal {
    /// The sum of the parts that are known.
    pub known: Decimal,
    /// The sum of the parts that are estimated.
    pub estimated: Decimal,
    /// Whether any part is estimated, even one that adds up to zero.
    pub has_estimates: bool,
    /// The number of parts whose amount is unknown.
    pub unknown_count: u64,
}

impl CertainTotal {
    /// Adds an amount.
    ///
    /// # Errors
    /// [`MathError`] when the sum does not fit; the total is unchanged.
    pub fn add(&mut self, amount: Decimal, certainty: Certainty) -> Result<(), MathError> {
        match certainty {
            Certainty::Known => self.known = self.known.checked_add(amount)?,
            Certainty::Estimated => {
                self.estimated = self.estimated.checked_add(amount)?;
                self.has_estimates = true;
            }
            Certainty::Unknown => self.unknown_count = self.unknown_count.saturating_add(1),
        }
        Ok(())
    }

    /// Adds another total.
    ///
    /// # Errors
    /// [`MathError`] when a sum does not fit; the total is unchanged.
    pub fn merge(&mut self, other: &Self) -> Result<(), MathError> {
        let (known, estimated) = (self.known.checked_add(other.known)?, self.estimated.checked_add(other.estimated)?);
        self.known = known;
        self.estimated = estimated;
        self.has_estimates |= other.has_estimates;
        self.unknown_count = self.unknown_count.saturating_add(other.unknown_count);
        Ok(())
    }

    /// The weakest certainty among the parts; an empty total is known to be zero.
    pub fn certainty(&self) -> Certainty {
        if self.unknown_count > 0 {
            Certainty::Unknown
        } else if self.has_estimates {
            Certainty::Estimated
        } else {
            Certainty::Known
        }
    }

    /// The sum of all parts whose amount can be told. With [`Certainty::Unknown`] it is only part of the truth.
    ///
    /// # Errors
    /// [`MathError`] when the sum does not fit.
    pub fn amount(&self) -> Result<Decimal, MathError> {
        self.known.checked_add(self.estimated)
    }

    /// The sum of all parts that can be told, or `None` when none can.
    pub fn told(&self) -> Option<Decimal> {
        let nothing = self.unknown_count > 0 && self.known.is_zero() && self.estimated.is_zero();
        if nothing { None } else { self.amount().ok() }
    }
}
