//! A position as the fold knows it.

use crate::amount::{Decimal, MathError};
use crate::certainty::{CertainTotal, Certainty};
use crate::contract::Contract;
use crate::position::Position;
use crate::round_trip::AssetTotal;
use crate::source::PositionSide;
use crate::time::TimestampMs;

use super::AVERAGE_SCALE;
use super::side_fold::SideFold;

/// A position as the fold knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DerivedPosition {
    /// Which of the symbol's positions.
    pub position_side: PositionSide,
    /// Signed open quantity.
    pub qty: Decimal,
    /// The average entry, rounded half to even at 12 decimals; absent when flat or unknown.
    pub entry_price_avg: Option<Decimal>,
    /// The open cost at full precision; absent when unknown.
    pub open_cost: Option<Decimal>,
    /// How sure quantity and entry are.
    pub certainty: Certainty,
    /// The money of what is open, since it was opened; nothing while it is flat.
    pub since_opened: PositionMoney,
    /// Everything realized so far, without fees, in the settle asset: by every round trip of this position.
    pub realized: CertainTotal,
    /// Everything paid in fees so far, per asset.
    pub fees: Vec<AssetTotal>,
    /// Everything received in funding so far, per asset.
    pub funding: Vec<AssetTotal>,
    /// Everything that liquidations cost so far beside fees, per asset: negative = charged.
    pub clearance: Vec<AssetTotal>,
    /// The number of fills.
    pub fill_count: u64,
    /// When it last changed.
    pub updated_at: Option<TimestampMs>,
    /// The math, for an unrealized profit at some mark price; absent when the entry is unknown.
    pub position: Option<Position>,
}

/// What a position earned and paid since it was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PositionMoney {
    /// Realized by closing parts of it, without fees, in the settle asset.
    pub realized: CertainTotal,
    /// Fees, per asset: positive = paid.
    pub fees: Vec<AssetTotal>,
    /// Funding, per asset: positive = received.
    pub funding: Vec<AssetTotal>,
    /// What liquidations of parts of it cost beside fees, per asset: negative = charged.
    pub clearance: Vec<AssetTotal>,
}

impl SideFold {
    pub(super) fn derived(
        &self,
        position_side: PositionSide,
        contract: Contract,
    ) -> Result<DerivedPosition, MathError> {
        let mut realized = self.realized;
        let (mut fees, mut funding, mut clearance) = (self.fees.clone(), self.funding.clone(), self.clearance.clone());
        let mut since_opened = PositionMoney::default();
        let mut certainty = self.beginning.certainty();
        if let Some(trip) = &self.trip {
            realized.merge(&trip.realized)?;
            fees.merge(&trip.fees)?;
            funding.merge(&trip.funding)?;
            clearance.merge(&trip.clearance)?;
            // One that was never seen opened is over as far as anybody knows.
            if !trip.unseen {
                since_opened = PositionMoney {
                    realized: trip.realized.total()?,
                    fees: trip.fees.totals()?,
                    funding: trip.funding.totals()?,
                    clearance: trip.clearance.totals()?,
                };
            }
            certainty = certainty.max(trip.basis);
        }
        let told = certainty != Certainty::Unknown;
        Ok(DerivedPosition {
            position_side,
            qty: self.position.qty()?,
            entry_price_avg: if told { self.position.average_entry(contract, AVERAGE_SCALE)? } else { None },
            open_cost: told.then(|| self.position.open_cost().to_decimal()).transpose()?,
            certainty,
            since_opened,
            realized: realized.total()?,
            fees: fees.totals()?,
            funding: funding.totals()?,
            clearance: clearance.totals()?,
            fill_count: self.fill_count,
            updated_at: self.updated_at,
            position: told.then_some(self.position),
        })
    }
}
