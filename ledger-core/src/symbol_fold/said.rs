//! What a fold says of the events up to now: positions, open round trips, and what no position can be told of.

use super::derived_position::DerivedPosition;
use super::error::FoldError;
use super::{SymbolFold, undecided};
use crate::amount::MathError;
use crate::certainty::Certainty;
use crate::round_trip::{AssetTotal, RoundTrip};
use crate::source::PositionSide;

impl SymbolFold {
    /// The positions that have ever been touched, with what the ledger says as far as it is on record.
    ///
    /// # Errors
    /// [`FoldError::Math`] when a sum does not fit.
    pub fn positions(&self) -> Result<Vec<DerivedPosition>, FoldError> {
        let decided = self.decided().map_err(undecided)?;
        let Self { net, long, short, .. } = decided.as_ref();
        let sides = [(PositionSide::Net, net), (PositionSide::Long, long), (PositionSide::Short, short)];
        sides
            .into_iter()
            .filter(|(_, side)| side.updated_at.is_some())
            .map(|(position_side, side)| {
                side.derived(position_side, self.contract)
                    .map_err(|source| FoldError::Math { what: format!("the {position_side} position"), source })
            })
            .collect()
    }

    /// The round trips that have not ended, numbered after those that have. Those that have ended but not been handed out
    /// are not among them: see [`FoldEvent::End`](super::event::FoldEvent::End).
    ///
    /// # Errors
    /// [`FoldError::Math`] when a sum does not fit.
    pub fn open_trips(&self) -> Result<Vec<RoundTrip>, FoldError> {
        let decided = self.decided().map_err(undecided)?;
        let Self { net, long, short, .. } = decided.as_ref();
        let sides = [(PositionSide::Net, net), (PositionSide::Long, long), (PositionSide::Short, short)];
        let mut open = Vec::new();
        for (position_side, side) in sides {
            let Some(trip) = &side.trip else { continue };
            let number = self.closed_count + open.len() as u64 + 1;
            let round_trip = trip
                .round_trip(self, position_side, number, side.beginning.certainty())
                .map_err(|source| FoldError::Math { what: format!("the open {position_side} position"), source })?;
            open.push(round_trip);
        }
        Ok(open)
    }

    /// Funding that could not be attributed to a position.
    ///
    /// # Errors
    /// [`MathError`] when a sum does not fit.
    pub fn unallocated_funding(&self) -> Result<Vec<AssetTotal>, MathError> {
        self.decided()?.own_line.funding.totals()
    }

    /// What was charged for liquidations of which the book has no forced fill: negative = charged.
    ///
    /// # Errors
    /// [`MathError`] when a sum does not fit.
    pub fn unallocated_clearance(&self) -> Result<Vec<AssetTotal>, MathError> {
        self.decided()?.own_line.clearance.totals()
    }

    /// What settlements paid that no single position can be told of.
    ///
    /// # Errors
    /// [`MathError`] when a sum does not fit.
    pub fn unallocated_realized(&self) -> Result<Vec<AssetTotal>, MathError> {
        self.decided()?.own_line.realized.totals()
    }

    /// Whether realized - open cost = sum of cash flows holds for everything whose entry is known.
    ///
    /// # Errors
    /// [`MathError`] when a sum does not fit.
    pub fn is_conserved(&self) -> Result<bool, MathError> {
        for side in [&self.net, &self.long, &self.short] {
            let told = side.trip.as_ref().filter(|trip| trip.basis != Certainty::Unknown);
            let open = match told {
                Some(trip) => trip.realized.sum()?.checked_sub(side.position.open_cost())? == trip.cash_flow()?,
                None => true,
            };
            if !open || side.realized.sum()? != side.cash_flow {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
