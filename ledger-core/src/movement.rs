//! The single amounts of money behind positions and round trips, each with its time.
//!
//! A round trip carries sums. Whatever asks what happened within a period (a footing, a report by month) needs the parts.

use crate::amount::Decimal;
use crate::certainty::Certainty;
use crate::fill::FillKey;
use crate::id::{Asset, OrderId};
use crate::income::IncomeKey;
use crate::names::stored_names;
use crate::time::TimestampMs;
use crate::trip_key::TripKey;

/// What an amount is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MovementKind {
    /// Profit or loss of closing a part of a position, before fees.
    Realized,
    /// A trading fee; negative = paid.
    Fee,
    /// A funding payment; negative = paid.
    Funding,
    /// What the exchange charged for a liquidation (negative), or its insurance fund added (positive).
    Clearance,
}

stored_names!(MovementKind, "kind of movement", {
    Realized = "realized", Fee = "fee", Funding = "funding", Clearance = "clearance",
});

/// The fact that an amount follows from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum MovementOrigin {
    /// A fill.
    Fill(FillKey),
    /// What an order executed beyond its recorded fills.
    Residual(OrderId),
    /// An entry of the exchange's ledger.
    Ledger(IncomeKey),
    /// A stated position: what it replaced ended there.
    Anchor,
}

/// One amount of money of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// When: the fill's time, or the ledger entry's.
    pub at: TimestampMs,
    /// The round trip that it belongs to; `None` for an amount that stands on the contract's own line.
    pub trip: Option<TripKey>,
    /// What it is.
    pub kind: MovementKind,
    /// The asset.
    pub asset: Asset,
    /// The amount, signed as the wallet saw it: a fee paid is negative here. Absent when it is unknown.
    pub amount: Option<Decimal>,
    /// How sure amount and round trip are.
    pub certainty: Certainty,
    /// What it follows from.
    pub origin: MovementOrigin,
    /// For realized profit, what the exchange itself reported for the fill, where it did.
    pub exchange_realized_pnl: Option<Decimal>,
    /// For realized profit, by how much the exchange's figure may differ because of rounding
    /// ([`SymbolFold::pnl_tolerance`](crate::SymbolFold::pnl_tolerance)); 0 for everything else.
    pub tolerance: Decimal,
}
