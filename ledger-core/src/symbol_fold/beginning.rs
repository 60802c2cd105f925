//! What the book may assume about where it begins.
//!
//! The recorded fills of a position may follow others that nobody recorded. Whatever these left open stays beside what
//! the book derives: a quantity u at some price X. Where the exchange's realized profit agrees with the book's, closing
//! at price P out of an average entry of A, X can only be A (the exchange's average would differ otherwise) or P (the
//! exchange closed less than the book, and opened the rest at P), as far as the amounts are exact:
//! `u x |X - A| <= slack`, with slack = resolution x size. Neither opening nor agreeing moves X. A second agreement, out
//! of B at R, then leaves no place for it unless one of A, P is one of B, R: `u x |A - B| <= both slacks` and so on.
//! When no quantity that can be held is that small, nothing unseen exists, and the book is proven from here on.
//!
//! One agreement alone proves nothing: an unseen position entered at the very same price (a grid bot's, say) realizes
//! the same profit per unit.

use crate::amount::{Decimal, MathError, Value};
use crate::certainty::Certainty;
use crate::position::{Applied, Position};

/// Decimals of the quantities that are compared; slacks are rounded up at it.
const SCALE: u8 = 16;

/// Whether the book holds the whole history of a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Beginning {
    /// Nothing has shown yet whether the first recorded fill found a flat position.
    #[default]
    Assumed,
    /// The exchange's realized profit agreed.
    Agreed(Agreement),
    /// The exchange's realized profit agreed twice, far enough apart, or an anchor states what is held.
    Proven,
    /// Something that the book had not seen was closed, and it is not known what is left of it.
    Lost,
}

/// An agreement with the exchange about the average entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Agreement {
    /// The open cost per unit of quantity, and what closing brought.
    entry: Decimal,
    exit: Decimal,
    /// How much cost an unseen position could still add without being noticed.
    slack: Decimal,
    /// One unit in the last decimal of the quantities that took part.
    finest: Decimal,
}

impl Agreement {
    /// An agreement, within `tolerance`, about what `applied` realized of `position`, which was never larger than
    /// `size`.
    pub(super) fn new(
        position: &Position,
        applied: &Applied,
        tolerance: Decimal,
        size: Decimal,
    ) -> Result<Self, MathError> {
        let unit = Decimal::new(1, SCALE)?;
        let held = position.qty()?.abs();
        let closed = applied.closed_qty()?;
        let unit_of = |value: Value, qty| value.to_decimal()?.abs().div_round(qty, SCALE);
        let entry = unit_of(position.open_cost(), held)?;
        let exit = unit_of(applied.closing_cash_flow()?, closed)?;
        let resolution = tolerance.div_round(closed, SCALE)?.checked_add(unit)?;
        let slack = resolution.checked_mul_round(size, SCALE)?.checked_add(unit)?;
        let finest = Decimal::new(1, closed.scale().max(held.scale()).max(size.scale()))?;
        Ok(Self { entry, exit, slack, finest })
    }

    /// Whether no quantity of `step` or more can have been unseen at both agreements.
    fn excludes_unseen(&self, other: &Self, step: Decimal) -> Result<bool, MathError> {
        let slack = self.slack.checked_add(other.slack)?;
        for (before, after) in
            [(self.entry, other.entry), (self.entry, other.exit), (self.exit, other.entry), (self.exit, other.exit)]
        {
            let apart = before.checked_sub(after)?.abs();
            if apart.checked_mul_round(step, SCALE)? <= slack {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Beginning {
    /// How sure a quantity is that was derived from here.
    pub(super) fn certainty(self) -> Certainty {
        match self {
            Self::Proven => Certainty::Known,
            Self::Assumed | Self::Agreed(_) => Certainty::Estimated,
            Self::Lost => Certainty::Unknown,
        }
    }

    /// How sure it is that the other position of a hedge gets a funding payment, given that this one looks flat.
    pub(super) fn single_holder(self) -> Certainty {
        match self {
            Self::Lost => Certainty::Estimated,
            Self::Assumed | Self::Agreed(_) | Self::Proven => Certainty::Known,
        }
    }

    /// Takes in another agreement, where quantities have steps of `step` today. Exchanges change them: a quantity that has
    /// finer decimals shows that steps were finer in its time. Numbers too large to compare prove nothing.
    pub(super) fn agree(&mut self, agreement: Agreement, step: Option<Decimal>) {
        let seen = |before: &Agreement| before.finest.min(agreement.finest);
        let step = |before: &Agreement| step.map_or(seen(before), |step| step.min(seen(before)));
        match self {
            Self::Proven => {}
            Self::Agreed(before) if before.excludes_unseen(&agreement, step(before)).unwrap_or(false) => {
                *self = Self::Proven;
            }
            Self::Assumed | Self::Agreed(_) | Self::Lost => *self = Self::Agreed(agreement),
        }
    }

    /// Something inferred took part: what was proven is an assumption again.
    pub(super) fn doubt(&mut self) {
        if *self != Self::Lost {
            *self = Self::Assumed;
        }
    }
}
