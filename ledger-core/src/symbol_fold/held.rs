//! What is held at the moment, for who goes along with a fold.

use crate::amount::{Decimal, MathError};
use crate::certainty::Certainty;
use crate::source::PositionSide;

use super::SymbolFold;
use super::beginning::Beginning;

/// A position between two events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldNow {
    /// The signed quantity.
    pub qty: Decimal,
    /// What proves it.
    pub proof: HeldProof,
}

/// What speaks for a quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldProof {
    /// Nothing else can be held.
    Proven,
    /// The exchange's realized profit agreed once.
    Agreed,
    /// Nothing speaks against it.
    Assumed,
    /// Something does.
    Lost,
}

impl SymbolFold {
    /// What is held of a position.
    ///
    /// # Errors
    /// [`MathError`] when the quantity does not fit.
    pub fn held(&self, position_side: PositionSide) -> Result<HeldNow, MathError> {
        let side = self.side(position_side);
        let is_doubted = side.trip.as_deref().is_some_and(|trip| trip.unseen || trip.basis != Certainty::Known);
        let proof = match side.beginning {
            _ if is_doubted => HeldProof::Lost,
            Beginning::Proven => HeldProof::Proven,
            Beginning::Agreed(_) => HeldProof::Agreed,
            Beginning::Assumed => HeldProof::Assumed,
            Beginning::Lost => HeldProof::Lost,
        };
        Ok(HeldNow { qty: side.position.qty()?, proof })
    }
}
