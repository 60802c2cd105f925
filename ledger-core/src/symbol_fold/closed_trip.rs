//! Round trips that have ended.

use crate::amount::Value;
use crate::certainty::Certainty;
use crate::round_trip::{Direction, RoundTrip};
use crate::source::PositionSide;
use crate::time::TimestampMs;

use super::SymbolFold;
use super::error::FoldError;
use super::open_trip::OpenTrip;

/// A round trip that has just ended, in exact sums. Its record, with averages and decimal totals, is made on demand:
/// whoever only wants the state after a history does not pay for it.
#[derive(Debug, Clone, Copy)]
pub struct ClosedTrip<'a> {
    fold: &'a SymbolFold,
    ended: &'a Ended,
}

impl<'a> ClosedTrip<'a> {
    /// The round trip that the last event of `fold` ended.
    pub(super) fn of(fold: &'a SymbolFold) -> Option<Self> {
        fold.shelf.last.as_ref().map(|ended| Self { fold, ended })
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

/// A round trip that has ended, and how sure the beginning of its position was by then.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) trip: Box<OpenTrip>,
    pub(super) position_side: PositionSide,
    pub(super) number: u64,
    pub(super) beginning: Certainty,
}

/// What the last event did. No part of a fold's state either.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Done {
    pub(super) has_ended: bool,
    pub(super) pnl_mismatch: bool,
    pub(super) realized: Option<Value>,
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
    /// Keeps an ended round trip until the next one ends.
    #[inline]
    pub(super) fn put(&mut self, ended: Ended) {
        if let Some(before) = self.last.replace(ended) {
            self.spare = Some(before.trip);
        }
    }

    /// A round trip that begins, in memory that may have been another one's.
    #[inline]
    pub(super) fn trip(&mut self, direction: Direction, basis: Certainty, at: TimestampMs, scale: u8) -> Box<OpenTrip> {
        match self.spare.take() {
            Some(mut trip) => {
                trip.begin_again(direction, basis, at, scale);
                trip
            }
            None => Box::new(OpenTrip::new(direction, basis, at, scale)),
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
