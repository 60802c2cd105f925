//! Bots, each a process of its own that can be killed and started again. What a bot remembers is on its own disk; what it sent
//! and heard is in the book, if it keeps one.

pub(super) mod bookless;
pub(super) mod executing;
pub(super) mod recorder;
pub(super) mod telling;
mod telling_words;

use std::sync::Arc;

use exchange_client::binance_usdm::BinanceUsdm;
use exchange_client::{Clock, ManualClock};
use ledger_core::{AccountId, Direction, PositionSide, Side, Symbol};
use ledger_store::SqliteStore;

use super::story::Log;

/// What somebody wants of a bot.
#[derive(Debug, Clone)]
pub(super) enum Wish {
    /// A trade is opened: at the market, or by a limit that rests for a while.
    Enter { symbol: Symbol, direction: Direction, qty: &'static str, price: Option<String> },
    /// The oldest trade is closed.
    Close,
}

/// What a bot's process has at hand.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) exchange: Arc<BinanceUsdm>,
    pub(super) store: Arc<SqliteStore>,
    pub(super) account: AccountId,
    pub(super) clock: Arc<ManualClock>,
    pub(super) is_hedged: bool,
    pub(super) spool: std::path::PathBuf,
    pub(super) log: Log,
}

impl Desk {
    pub(super) fn note(&self, what: &str) {
        self.log.note(self.clock.now(), what);
    }

    pub(super) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }

    /// The position that orders of a direction name.
    pub(super) fn position_side(&self, direction: Direction) -> PositionSide {
        match (self.is_hedged, direction) {
            (false, _) => PositionSide::Net,
            (true, Direction::Long) => PositionSide::Long,
            (true, Direction::Short) => PositionSide::Short,
        }
    }
}

/// The side of an order that opens a direction.
pub(super) fn opening(direction: Direction) -> Side {
    if direction == Direction::Long { Side::Buy } else { Side::Sell }
}

/// The side of an order that closes a direction.
pub(super) fn closing(direction: Direction) -> Side {
    if direction == Direction::Long { Side::Sell } else { Side::Buy }
}
