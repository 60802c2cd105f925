//! Round trips that have ended.

use crate::amount::{Decimal, MathError, Value};
use crate::certainty::Certainty;
use crate::id::{Asset, FillId};
use crate::round_trip::{Direction, RoundTrip, Tally};
use crate::source::PositionSide;
use crate::time::TimestampMs;
use crate::trip_key::TripKey;

use super::SymbolFold;
use super::error::FoldError;
use super::open_trip::{Begun, OpenTrip};

/// A round trip that has just ended, in exact sums. What it says is computed on demand, one by one or as the whole
/// [record](ClosedTrip::record): whoever only wants the state after a history does not pay for it.
#[derive(Debug, Clone, Copy)]
pub struct ClosedTrip<'a> {
    fold: &'a SymbolFold,
    ended: &'a Ended,
}

impl<'a> ClosedTrip<'a> {
    /// Long or short.
    #[inline]
    pub fn direction(&self) -> Direction {
        self.ended.trip.direction
    }

    /// When it was opened; absent when the opening was never seen.
    #[inline]
    pub fn opened_at(&self) -> Option<TimestampMs> {
        self.ended.trip.opened_at
    }

    /// When it was closed.
    #[inline]
    pub fn closed_at(&self) -> Option<TimestampMs> {
        self.ended.trip.closed_at
    }

    /// The fill that opened it; absent when that was never seen or is still missing.
    #[inline]
    pub fn opened_by(&self) -> Option<&'a FillId> {
        match &self.ended.trip.begun {
            Begun::Fill(fill_id) => Some(fill_id),
            _ => None,
        }
    }

    /// Its name.
    pub fn key(&self) -> TripKey {
        self.ended.trip.key(self.fold, self.ended.position_side)
    }

    /// The fill that closed it; absent where no recorded fill did.
    #[inline]
    pub fn closed_by(&self) -> Option<&'a FillId> {
        self.ended.trip.closed_by.as_ref()
    }

    /// The average price of the entries, rounded half to even at 12 decimals; absent when unknown.
    ///
    /// # Errors
    /// [`MathError`] when it does not fit.
    #[inline]
    pub fn entry_price_avg(&self) -> Result<Option<Decimal>, MathError> {
        self.ended.trip.entry_price_avg(self.fold.contract)
    }

    /// The largest size it had.
    ///
    /// # Errors
    /// Never in practice: it is the sum of fills' quantities.
    #[inline]
    pub fn qty_max(&self) -> Result<Decimal, MathError> {
        self.ended.trip.turnover.qty_max()
    }

    /// Realized profit before fees and funding, in the settle asset.
    #[inline]
    pub fn gross(&self) -> &'a Tally {
        &self.ended.trip.realized
    }

    /// Fees paid, per asset in the order in which assets first appeared: positive = paid.
    #[inline]
    pub fn fees(&self) -> impl Iterator<Item = (&'a Asset, &'a Tally)> {
        self.ended.trip.fees.iter()
    }

    /// Funding received, per asset in the order in which assets first appeared: positive = received.
    #[inline]
    pub fn funding(&self) -> impl Iterator<Item = (&'a Asset, &'a Tally)> {
        self.ended.trip.funding.iter()
    }

    /// What liquidation cost it beside fees, per asset in the order in which assets first appeared: negative = charged.
    #[inline]
    pub fn clearance(&self) -> impl Iterator<Item = (&'a Asset, &'a Tally)> {
        self.ended.trip.clearance.iter()
    }

    /// How many fills it has.
    #[inline]
    pub fn fill_count(&self) -> u64 {
        self.ended.trip.fill_count
    }

    /// The record.
    ///
    /// # Errors
    /// [`FoldError::Math`] when an average does not fit.
    pub fn record(&self) -> Result<RoundTrip, FoldError> {
        let Ended { trip, position_side, number, beginning } = self.ended;
        trip.round_trip(self.fold, *position_side, *number, *beginning)
            .map_err(|source| FoldError::Math { what: format!("round trip {number}"), source })
    }
}

/// The round trips that an event ended, or that waited for it.
#[derive(Debug, Clone)]
pub struct ClosedTrips<'a> {
    fold: &'a SymbolFold,
    released: std::slice::Iter<'a, Ended>,
    last: Option<&'a Ended>,
}

impl<'a> ClosedTrips<'a> {
    /// Those of the last event of `fold`.
    #[inline]
    pub(super) fn of(fold: &'a SymbolFold) -> Self {
        let released = fold.watch.as_ref().map_or(&[][..], |watch| &watch.released.0).iter();
        let last = if fold.done.ended == WhereEnded::OnShelf { fold.shelf.last.as_ref() } else { None };
        Self { fold, released, last }
    }
}

impl<'a> Iterator for ClosedTrips<'a> {
    type Item = ClosedTrip<'a>;

    #[inline]
    fn next(&mut self) -> Option<ClosedTrip<'a>> {
        let ended = self.released.next().or_else(|| self.last.take())?;
        Some(ClosedTrip { fold: self.fold, ended })
    }
}

/// A round trip that has ended, and how sure the beginning of its position was by then.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Ended {
    pub(super) trip: Box<OpenTrip>,
    pub(super) position_side: PositionSide,
    pub(super) number: u64,
    pub(super) beginning: Certainty,
}

/// Where a round trip is that an event ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum WhereEnded {
    /// It ended none.
    #[default]
    Nowhere,
    /// On the shelf.
    OnShelf,
    /// In the watch.
    InWatch,
}

/// What the last event did. No part of a fold's state either.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Done {
    /// Where the round trip is that it ended.
    pub(super) ended: WhereEnded,
    /// What ended is not what the fill is an exit of: it showed that the book held something else.
    pub(super) has_ended_elsewhere: bool,
    pub(super) pnl_mismatch: bool,
    pub(super) realized: Option<Value>,
    /// How sure that is; set where the general path set it.
    pub(super) certainty: Certainty,
}

impl PartialEq for Done {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Done {}

/// The round trip that ended last, for the caller to look at, and the memory of the one before it, for the next one. No
/// part of a fold's state: folds that differ in nothing else are equal, and a copy starts with an empty shelf.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    last: Option<Ended>,
    spare: Option<Box<OpenTrip>>,
}

impl Shelf {
    /// The round trip that ended last.
    pub(super) fn last(&self) -> Option<&OpenTrip> {
        self.last.as_ref().map(|ended| &*ended.trip)
    }

    /// The same, to complete it.
    pub(super) fn last_mut(&mut self) -> Option<&mut Ended> {
        self.last.as_mut()
    }

    /// Keeps an ended round trip until the next one ends.
    #[inline]
    pub(super) fn put(&mut self, ended: Ended) {
        if let Some(before) = self.last.replace(ended) {
            self.spare = Some(before.trip);
        }
    }

    /// A round trip that begins, in memory that may have been another one's.
    #[inline]
    pub(super) fn trip(
        &mut self,
        begun: Begun,
        direction: Direction,
        basis: Certainty,
        at: TimestampMs,
        scale: u8,
    ) -> Box<OpenTrip> {
        match self.spare.take() {
            Some(mut trip) => {
                trip.begin_again(direction, basis, at, scale);
                trip.begun = begun;
                trip
            }
            None => Box::new(OpenTrip::new(begun, direction, basis, at, scale)),
        }
    }
}

impl Clone for Shelf {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Shelf {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Shelf {}
