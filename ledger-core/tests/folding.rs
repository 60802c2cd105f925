//! The fold of a symbol: hand-worked books, and laws against models that share no code with the crate.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "helpers fail like the tests that use them, and belong to this binary alone"
)]

#[expect(dead_code, reason = "shared with other test binaries")]
mod support;

#[path = "folding/beginning.rs"]
mod beginning;
#[path = "folding/book.rs"]
mod book;
#[path = "folding/clearance.rs"]
mod clearance;
#[path = "folding/exchange.rs"]
mod exchange;
#[path = "folding/funding.rs"]
mod funding;
#[path = "folding/inferred.rs"]
mod inferred;
#[path = "folding/laws.rs"]
mod laws;
#[path = "folding/order.rs"]
mod order;
#[path = "folding/trading.rs"]
mod trading;

use book::{Book, check, shown};
use exchange::Exchange;
use ledger_core::{
    Asset, CertainTotal, Certainty, Decimal, ExitReason, FoldError, FoldEvent, Instrument, OrderContext, Origin,
    PositionSide,
};
use num_rational::BigRational;
use num_traits::{Signed, Zero};
use proptest::prelude::*;
use support::{Random, big, dec};
