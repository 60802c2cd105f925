//! Ledger entries that wait until all that happened around them is known.
//!
//! An entry names its contract and a time, and no position. What it belongs to is decided by what was held and traded
//! within a minute around it, so a window opens that long before it, and round trips that end while a window is open are
//! handed out when it closes, with what they got.

use crate::amount::Decimal;
use crate::certainty::Certainty;
use crate::funding::funding_instant;
use crate::funding_rate::FundingRate;
use crate::income::Income;
use crate::round_trip::Direction;
use crate::source::PositionSide;
use crate::time::{EventTime, TimePrecision, TimestampMs};

use super::closed_trip::Ended;

/// How far apart an entry and what it belongs to may lie.
pub(crate) const WINDOW_MS: i64 = 60_000;

/// Windows, and the round trips that wait for them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Watch {
    /// By the time they opened.
    pub(super) windows: Vec<Window>,
    /// Ended within a window that is open, in the order in which they ended.
    pub(super) held: Vec<Ended>,
    /// Those that the last event let go.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(super) released: Released,
}

/// Round trips for the caller to look at: no part of a fold's state, as the [shelf](super::closed_trip::Shelf).
#[derive(Debug, Default)]
pub(super) struct Released(pub(super) Vec<Ended>);

impl Clone for Released {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Released {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Released {}

/// What waits.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Waiting {
    /// The funding rows of one instant.
    Funding { rows: Vec<Income>, rate: Option<FundingRate> },
    /// What a liquidation cost; whether this is the only contract in which anything was liquidated then.
    Clearance { row: Income, is_alone: bool },
    /// The settlement of a delivered contract.
    Settlement { rows: Vec<Income> },
}

/// The time around entries, and who held what within it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Window {
    /// The moment that counts.
    pub(super) at: TimestampMs,
    /// Its last millisecond.
    pub(super) until: TimestampMs,
    pub(super) waiting: Waiting,
    pub(super) occupants: Vec<Occupant>,
    /// Something happened within it of which it is not known which position it changed.
    pub(super) is_doubted: bool,
}

/// Where a round trip is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Seat {
    /// The open one of the position.
    Open,
    /// The ended one with this number.
    Ended(u64),
}

/// A round trip that was open at some time within a window.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Occupant {
    pub(super) seat: Seat,
    pub(crate) position_side: PositionSide,
    pub(crate) direction: Direction,
    /// The sizes that it had, in turn; empty where its opening was never seen.
    pub(crate) sizes: Vec<Decimal>,
    /// The size at the moment that counts, where it was held then.
    pub(crate) held: Option<Decimal>,
    /// Whether it was there all the time.
    pub(crate) throughout: bool,
    pub(super) exits: Vec<Exit>,
}

/// A part of a round trip that was closed within a window.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Exit {
    pub(super) at: TimestampMs,
    pub(super) why: ExitCause,
    /// What the closed part was worth, unsigned, in the settle asset; absent without a price.
    pub(super) notional: Option<Decimal>,
    /// Whether the book held what it closed; else, if it closed anything, that was never seen.
    pub(super) reduces: bool,
    /// Whether an entry was taken for what its liquidation cost.
    pub(super) is_charged: bool,
}

/// An exit, and whose it is.
pub(super) struct Charged {
    pub(super) position_side: PositionSide,
    pub(super) seat: Seat,
    pub(super) exit: Exit,
}

/// Who decided on an exit, as far as that matters to the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum ExitCause {
    /// The exchange, by liquidation.
    Liquidation,
    /// The exchange, by settlement.
    Settlement,
    /// Somebody else.
    Other,
    /// The order is not on record.
    Untold,
}

impl Window {
    pub(super) fn funding(rows: &[Income], rate: Option<&FundingRate>) -> Option<Self> {
        let at = rate.map(|rate| rate.at).or_else(|| rows.first().map(|row| funding_instant(row.time.at)))?;
        let last = rows.iter().map(|row| row.time.at).max()?;
        // Without a rate, the instant lies somewhere before its rows.
        let last = if rate.is_some() { at } else { last.max(at) };
        let waiting = Waiting::Funding { rows: rows.to_vec(), rate: rate.cloned() };
        Some(Self::around(at, last.saturating_add_ms(WINDOW_MS), waiting))
    }

    pub(super) fn clearance(row: &Income, is_alone: bool) -> Self {
        Self::around(row.time.at, last_ms_of(row.time), Waiting::Clearance { row: row.clone(), is_alone })
    }

    pub(super) fn settlement(rows: &[Income]) -> Option<Self> {
        let at = rows.iter().map(|row| row.time.at).max()?;
        Some(Self::around(at, at.saturating_add_ms(WINDOW_MS), Waiting::Settlement { rows: rows.to_vec() }))
    }

    fn around(at: TimestampMs, until: TimestampMs, waiting: Waiting) -> Self {
        Self { at, until, waiting, occupants: Vec::new(), is_doubted: false }
    }

    /// When it begins.
    pub(super) fn from(&self) -> TimestampMs {
        self.at.saturating_add_ms(-WINDOW_MS)
    }

    /// Notes that an entry was taken for what an exit cost; another window saw it.
    pub(super) fn charge(&mut self, charged: &Charged) {
        let Some(occupant) = self.occupant(charged.position_side, charged.seat) else { return };
        if let Some(exit) = occupant.exits.iter_mut().find(|exit| **exit == charged.exit) {
            exit.is_charged = true;
        }
    }

    /// The occupant of a seat.
    pub(super) fn occupant(&mut self, position_side: PositionSide, seat: Seat) -> Option<&mut Occupant> {
        self.occupants.iter_mut().find(|it| it.position_side == position_side && it.seat == seat)
    }
}

/// The last millisecond that a time may mean: of a time in seconds, the fraction is not known.
fn last_ms_of(time: EventTime) -> TimestampMs {
    match time.precision {
        TimePrecision::Millisecond => time.at,
        TimePrecision::Second => time.at.saturating_add_ms(999),
    }
}

impl Occupant {
    /// A round trip that has `size` when a window opens.
    pub(super) fn from_before(position_side: PositionSide, direction: Direction, size: Decimal) -> Self {
        Self {
            seat: Seat::Open,
            position_side,
            direction,
            sizes: vec![size],
            held: Some(size),
            throughout: true,
            exits: Vec::new(),
        }
    }

    /// One that an event within the window opened.
    pub(super) fn newly_open(position_side: PositionSide, direction: Direction) -> Self {
        let (sizes, exits) = (Vec::new(), Vec::new());
        Self { seat: Seat::Open, position_side, direction, sizes, held: None, throughout: false, exits }
    }

    /// It has `size` from `at` on.
    pub(super) fn resize(&mut self, size: Decimal, at: TimestampMs, counts: TimestampMs) {
        if self.sizes.last() != Some(&size) {
            self.sizes.push(size);
        }
        self.throughout &= !size.is_zero();
        if at < counts {
            self.held = Some(size).filter(|size| !size.is_zero());
        }
    }
}

/// How sure a window leaves an amount.
pub(super) fn no_surer(is_doubted: bool, certainty: Certainty) -> Certainty {
    if is_doubted { certainty.max(Certainty::Estimated) } else { certainty }
}
