//! Quantities of a [`Turnover`](super::Turnover).

use crate::amount::{Decimal, MathError, shift_left};

/// What went into a round trip, what came out of it, and the most that it held: unsigned, all at one scale, that of the
/// finest quantity so far.
#[derive(Debug, Clone, Copy, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(into = "Decimals", try_from = "Decimals")
)]
pub(super) struct Sizes {
    entered: i128,
    left: i128,
    max: i128,
    scale: u8,
}

impl Sizes {
    /// None yet, at `scale`.
    #[inline]
    pub(super) fn none(scale: u8) -> Self {
        Self { entered: 0, left: 0, max: 0, scale }
    }

    /// `qty` x 10^-`scale` went in, and `held` are open now.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a part of what every fill needs, and smaller than a call")]
    pub(super) fn enter(&mut self, qty: i128, held: i128, scale: u8) -> Result<(), MathError> {
        let (qty, held) =
            if scale == self.scale { (qty, held) } else { (self.align(qty, scale)?, self.align(held, scale)?) };
        // Unsigned, so no sum is `i128::MIN`.
        self.entered = self.entered.checked_add(qty).ok_or(MathError::Overflow)?;
        self.max = self.max.max(held);
        Ok(())
    }

    /// `qty` x 10^-`scale` came out.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a part of what every fill needs, and smaller than a call")]
    pub(super) fn leave(&mut self, qty: i128, scale: u8) -> Result<(), MathError> {
        let qty = if scale == self.scale { qty } else { self.align(qty, scale)? };
        self.left = self.left.checked_add(qty).ok_or(MathError::Overflow)?;
        Ok(())
    }

    /// A quantity at the common scale, which becomes finer where it has to.
    #[cold]
    fn align(&mut self, qty: i128, scale: u8) -> Result<i128, MathError> {
        if scale > self.scale {
            let shift = scale - self.scale;
            let [entered, left, max] = [self.entered, self.left, self.max].map(|size| shift_left(size, shift));
            *self = Self { entered: entered?, left: left?, max: max?, scale };
        }
        shift_left(qty, self.scale - scale)
    }

    /// What went in, in units of 10^-scale, and that scale.
    #[inline]
    pub(super) fn entered_units(&self) -> (i128, u8) {
        (self.entered, self.scale)
    }

    /// What came out, in units of 10^-scale, and that scale.
    #[inline]
    pub(super) fn left_units(&self) -> (i128, u8) {
        (self.left, self.scale)
    }

    pub(super) fn entered(&self) -> Result<Decimal, MathError> {
        Decimal::new(self.entered, self.scale)
    }

    pub(super) fn left(&self) -> Result<Decimal, MathError> {
        Decimal::new(self.left, self.scale)
    }

    #[inline]
    pub(super) fn max(&self) -> Result<Decimal, MathError> {
        Decimal::new(self.max, self.scale)
    }
}

impl PartialEq for Sizes {
    /// By value, whatever the scale.
    fn eq(&self, other: &Self) -> bool {
        let values = |sizes: &Self| [sizes.entered(), sizes.left(), sizes.max()];
        values(self) == values(other)
    }
}

impl Eq for Sizes {}

#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct Decimals {
    /// Part of the state: it decides when numbers overflow.
    scale: u8,
    entered: Decimal,
    left: Decimal,
    max: Decimal,
}

#[cfg(feature = "serde")]
impl From<Sizes> for Decimals {
    fn from(sizes: Sizes) -> Self {
        let Sizes { entered, left, max, scale } = sizes;
        let [entered, left, max] = [entered, left, max].map(|size| Decimal::new(size, scale).unwrap_or_default());
        Self { scale, entered, left, max }
    }
}

#[cfg(feature = "serde")]
impl TryFrom<Decimals> for Sizes {
    type Error = MathError;

    fn try_from(Decimals { scale, entered, left, max }: Decimals) -> Result<Self, MathError> {
        if scale > crate::amount::SCALE_MAX {
            return Err(MathError::LostDigits);
        }
        let [entered, left, max] = [entered, left, max].map(|size| size.mantissa_at(scale));
        Ok(Self { entered: entered?, left: left?, max: max?, scale })
    }
}
