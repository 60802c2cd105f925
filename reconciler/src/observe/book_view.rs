//! The book's side of an observation, as a value.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::{
    Anchor, Asset, BalanceSnapshot, ClientOrderId, Decimal, Fill, FillId, Income, IncomeKey, KnownBefore, OrderIntent,
    OrderKey, PositionSide, PositionSnapshot, Signal, SignalId, Sourced, Symbol, TimestampMs,
};
use ledger_store::{Account, BookOrder, BookPosition, CoverageSpan, Discrepancy, SyncCursor, UnreadableRow};

use crate::discrepancy::DiscrepancyKind;
use crate::record::words::PlacedWord;

/// What the book has of a symbol's beginning: of the time before everything that the exchange remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Beginning {
    /// What it knew of each position.
    pub known: BTreeMap<PositionSide, KnownBefore>,
    /// What the exchange said of the positions since, as far as it is on record, oldest first.
    pub said: Vec<PositionSnapshot>,
    /// What the fills before each stated position add up to, from the stated one before it on.
    pub before_anchors: BTreeMap<(PositionSide, TimestampMs), Decimal>,
}

/// The book's side.
#[derive(Debug, Clone)]
pub(crate) struct BookView {
    /// The account.
    pub account: Account,
    /// Derived positions.
    pub positions: Vec<BookPosition>,
    /// The orders that opened the round trips that have not ended.
    pub openers: BTreeMap<(Symbol, PositionSide), OrderKey>,
    /// The book's state of every order that the exchange mentioned, that is open, that lacks fills, or that may have
    /// followed a signal.
    pub orders: BTreeMap<OrderKey, BookOrder>,
    /// The orders and client order ids that were looked up in the book, found or not.
    pub looked_up: (BTreeSet<OrderKey>, BTreeSet<ClientOrderId>),
    /// Orders that were sent: those whose outcome nobody knows, those of orders seen, and those of signals.
    pub intents: BTreeMap<ClientOrderId, Sourced<OrderIntent>>,
    /// Signals without an order.
    pub signals: Vec<Sourced<Signal>>,
    /// What the bot said of closed trades before their orders were on record, which can be put on these now.
    pub words: Vec<PlacedWord>,
    /// The signals that were restored for orders in view.
    pub restored_signals: BTreeMap<SignalId, Sourced<Signal>>,
    /// The fills that opened a round trip, as the exchange itself stated them, whose order is not known to have followed a
    /// signal; each with whether it ended another round trip. Of positions that are what the exchange says only.
    pub unsignalled_openers: Vec<(Fill, bool)>,
    /// Whether a bot records in this book: then what it did not record is somebody else's.
    pub has_bot: bool,
    /// The income rows mentioned by the exchange that the book has, in no less detail.
    pub known_income: BTreeSet<IncomeKey>,
    /// When ledger rows are dated that the exchange once sent, of which its present answer has nothing.
    pub unlisted_income: Vec<TimestampMs>,
    /// When orders were created that the exchange once sent, of which its present answer about all has nothing.
    pub unlisted_orders: Vec<TimestampMs>,
    /// The same of the orders by which the exchange closed positions.
    pub unlisted_force_orders: Vec<TimestampMs>,
    /// The same of the conditional orders of each contract that was looked at closely.
    pub unlisted_conditional_orders: BTreeMap<Symbol, Vec<TimestampMs>>,
    /// The trades that the ledger names and the book lacks.
    pub unfilled: BTreeSet<(Symbol, FillId)>,
    /// The exchange's latest word on positions that is on record.
    pub latest_positions: Vec<Sourced<PositionSnapshot>>,
    /// The latest balances on record, of the assets that the exchange states.
    pub latest_balances: Vec<Sourced<BalanceSnapshot>>,
    /// The ledger rows of the book since the latest balance on record of each asset whose stated one is another.
    pub ledger_since: BTreeMap<Asset, Vec<Income>>,
    /// The contracts on record with their steps, which exports do not tell. How exact the exchange's own numbers are
    /// follows from them, and so how much they prove.
    pub instruments: BTreeSet<Symbol>,
    /// The quantity steps of those that say.
    pub steps: BTreeMap<Symbol, Decimal>,
    /// What the contracts on record are settled in.
    pub settle_assets: BTreeMap<Symbol, Asset>,
    /// The symbols of facts on record whose contract is not: the book cannot derive their positions.
    pub unfolded: BTreeSet<Symbol>,
    /// The symbols whose fills the book has and cannot add up: their positions are not what the fills say.
    pub quarantined: BTreeSet<Symbol>,
    /// Stated positions.
    pub anchors: Vec<Sourced<Anchor>>,
    /// The book's fills of a position before it is stated, in fold order, where there are any.
    pub before_anchors: BTreeMap<(Symbol, PositionSide, TimestampMs), Vec<Sourced<Fill>>>,
    /// How far each stream was read.
    pub cursors: Vec<SyncCursor>,
    /// Which stretches of time are complete.
    pub coverage: Vec<CoverageSpan>,
    /// Discrepancies on record that are not gone.
    pub discrepancies: Vec<Discrepancy>,
    /// The contracts of which a row could not be read: nothing is concluded about them.
    pub damaged: BTreeMap<Symbol, UnreadableRow>,
}

impl BookView {
    /// The book's signed quantity of a position.
    pub(crate) fn qty(&self, symbol: &Symbol, side: PositionSide) -> Decimal {
        self.position(symbol, side).map_or(Decimal::ZERO, |held| held.position.qty)
    }

    /// The book's position.
    pub(crate) fn position(&self, symbol: &Symbol, side: PositionSide) -> Option<&BookPosition> {
        self.positions.iter().find(|held| held.symbol == *symbol && held.position.position_side == side)
    }

    /// The latest balance on record of an asset that the exchange states.
    pub(crate) fn balance(&self, asset: &Asset) -> Option<&BalanceSnapshot> {
        self.latest_balances.iter().map(|known| &known.fact).find(|known| known.asset == *asset)
    }

    /// Whether a question about a symbol was left without an answer.
    pub(crate) fn has_unanswered(&self, symbol: &Symbol) -> bool {
        let kind = DiscrepancyKind::QueryFailed.as_str();
        let mut known = self.discrepancies.iter().map(|known| &known.entry);
        known.any(|known| known.key.kind == kind && known.symbol.as_ref() == Some(symbol))
    }

    /// A discrepancy on record.
    pub(crate) fn discrepancy(&self, key: &ledger_store::DiscrepancyKey) -> Option<&Discrepancy> {
        self.discrepancies.iter().find(|known| known.entry.key == *key)
    }
}
