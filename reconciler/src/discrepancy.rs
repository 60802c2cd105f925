//! What can differ between book and exchange, and what such a difference is about.
//!
//! Invariants, each with a test of the same name:
//! 1. `every_kind_has_a_name_of_its_own`.

use std::fmt;

use ledger_core::{
    Asset, ClientOrderId, FillId, FillKey, IncomeType, OrderKey, PositionSide, SignalId, Symbol, TimestampMs,
};
use ledger_store::DiscrepancyKey;

use crate::settled_by::SettledBy;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $end:ident),+ $(,)?) => {
        /// The kinds of discrepancies that are looked for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum DiscrepancyKind {
            $($(#[doc = $doc])+ $variant),+
        }

        impl DiscrepancyKind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name in the journal.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// What settles it: seen, it goes by itself.
            pub fn settled_by(self) -> SettledBy {
                match self { $(Self::$variant => SettledBy::$end),+ }
            }
        }
    };
}

kinds! {
    /// The exchange has fills of an order that the book lacks, or executed more of it than the book's fills add up to.
    MissingFills = "missing_fills", FillsAddUp,
    /// The exchange has an order that the book does not know.
    UnknownOrder = "unknown_order", Recorded,
    /// The book's state of an order is behind the exchange's.
    OrderBehind = "order_behind", Recorded,
    /// The book has a working order that the exchange neither lists as working nor knows any more.
    OrderVanished = "order_vanished", OrderToldAgain,
    /// A position is open at the exchange and the book has nothing of it.
    UnrecordedPosition = "unrecorded_position", PositionsAgree,
    /// A position is open in the book and flat at the exchange.
    UnrecordedClose = "unrecorded_close", PositionsAgree,
    /// Quantities of a position differ.
    PositionMismatch = "position_mismatch", PositionsAgree,
    /// The quantities of a symbol do not fit: nothing can be concluded from them.
    BeyondRange = "beyond_range", QuantitiesFit,
    /// A row of the book cannot be read: nothing is concluded about its contract.
    UnreadableRow = "unreadable_row", RowIsReadable,
    /// Average entries of a position differ by more than the exchange's rounding.
    AverageEntryMismatch = "average_entry_mismatch", EntriesAgree,
    /// The exchange states other values for a fill than the book.
    ConflictingFill = "conflicting_fill", Recorded,
    /// The book has a fill in a time for which the exchange lists every fill, and the exchange does not list it.
    UnconfirmedFill = "unconfirmed_fill", FillIsListed,
    /// The exchange closed a position for lack of margin.
    Liquidation = "liquidation", Recorded,
    /// The exchange closed a position against a liquidated counterparty.
    Adl = "adl", Recorded,
    /// The exchange settled a contract.
    Settlement = "settlement", Recorded,
    /// Somebody else than the bot traded: a person, or another program.
    ForeignFills = "foreign_fills", Recorded,
    /// The account was switched between one-way and hedge mode.
    PositionModeChanged = "position_mode_changed", Recorded,
    /// Two files each have ledger rows without an id of a second that both may cut through. An import finds it.
    LedgerCut = "ledger_cut", HistoryIsWhole,
    /// The book was last brought up to date so long ago that the exchange does not answer for all of the time since.
    HistoryExpired = "history_expired", HistoryIsWhole,
    /// The book has not been brought up to date for so long that the exchange will soon not answer for all of it.
    HistoryExpiring = "history_expiring", HistoryIsRead,
    /// Rows that the exchange stated, twice, are not in the book any more.
    LostRows = "lost_rows", RowsAreBack,
    /// The local clock and the exchange's differ.
    ClockSkew = "clock_skew", ClocksAgree,
    /// Working orders that can only close a position, where there is none.
    OrphanOrder = "orphan_order", OrderIsGone,
    /// The exchange did not answer: nothing can be said about its subject.
    QueryFailed = "query_failed", Answered,
    /// Nobody knew what became of an order that was sent.
    UnresolvedIntent = "unresolved_intent", OutcomeIsKnown,
    /// A strategy decided, and no order is known to have followed.
    SignalWithoutOrder = "signal_without_order", OrderIsFound,
    /// A strategy decided, and several orders may be the one that followed.
    AmbiguousSignal = "ambiguous_signal", OrderIsFound,
    /// Nothing in the book says which strategy sent an order, or something better than what the book goes by says it.
    MissingLabel = "missing_label", LabelIsKnown,
    /// Nobody said who closed a position; what is missing lets a hand be guessed.
    UnexplainedClose = "unexplained_close", ReasonIsKnown,
    /// The exchange's realized profit of a fill is not the book's.
    RealizedPnlMismatch = "realized_pnl_mismatch", ProfitsAgree,
    /// The exchange's ledger has a row about a trade that does not agree with the book's fill, or has no fill there.
    IncomeMismatch = "income_mismatch", LedgerAgrees,
    /// A fill demands a row of the exchange's ledger, and there is none.
    MissingIncome = "missing_income", LedgerHasRow,
    /// Ledger rows are on record as the exchange's, and it does not list them when it is asked for their type.
    UnequalLedger = "unequal_ledger", ListsAgree,
    /// A position was held at a funding instant, and the ledger has no row of it.
    MissingFunding = "missing_funding", LedgerHasRow,
    /// A position was paid another amount of funding than by rate and mark price.
    FundingMismatch = "funding_mismatch", FundingAgrees,
    /// A wallet is stated that its last statement and the ledger rows since do not lead to.
    UnexplainedBalance = "unexplained_balance", BalanceIsExplained,
    /// A wallet changed by another amount than its ledger rows add up to.
    FootingMismatch = "footing_mismatch", WalletFoots,
    /// What an earlier look left for the next cannot be read: what it was about is looked at anew.
    UnreadableMemory = "unreadable_memory", MemoryIsWritten,
}

impl DiscrepancyKind {
    /// The kind of this name, if it is one that is looked for here.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }
}

impl SettledBy {
    /// What settles a discrepancy of a kind of the journal. What the book itself notices takes somebody's word.
    pub fn of_kind(kind: &str) -> Self {
        DiscrepancyKind::from_name(kind).map_or(Self::Acknowledged, DiscrepancyKind::settled_by)
    }
}

impl fmt::Display for DiscrepancyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a discrepancy is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// The account as a whole.
    Account,
    /// An order.
    Order(OrderKey),
    /// A position.
    Position(Symbol, PositionSide),
    /// A fill.
    Fill(FillKey),
    /// An order that was sent.
    Intent(ClientOrderId),
    /// A strategy's decision.
    Signal(SignalId),
    /// A question to the exchange.
    Query(String),
    /// What could have been read from this instant on.
    History(String, TimestampMs),
    /// What the ledger says of a trade, in rows of one type.
    Ledger(Symbol, FillId, IncomeType, Asset),
    /// The ledger's rows of one type.
    LedgerType(IncomeType),
    /// What was paid for a contract at a funding instant.
    Funding(Symbol, TimestampMs),
    /// A wallet.
    Balance(Asset),
    /// A wallet, between two statements of it.
    Wallet(Asset, TimestampMs, TimestampMs),
    /// What is on record of a discrepancy.
    Discrepancy(DiscrepancyKey),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account => f.write_str("account"),
            Self::Order(key) => write!(f, "{}/{}/{}", key.symbol, key.class, key.order_id),
            Self::Position(symbol, side) => write!(f, "{symbol}/{side}"),
            Self::Fill(key) => write!(f, "{}/{}/{}", key.symbol, key.fill_id, key.side),
            Self::Intent(client_order_id) => write!(f, "{client_order_id}"),
            Self::Signal(signal_id) => write!(f, "{signal_id}"),
            Self::Query(query) => f.write_str(query),
            Self::History(stream, since) => write!(f, "{stream}/{since}"),
            Self::Ledger(symbol, fill_id, income_type, asset) => write!(f, "{symbol}/{fill_id}/{income_type}/{asset}"),
            Self::LedgerType(income_type) => write!(f, "{income_type}"),
            Self::Funding(symbol, at) => write!(f, "{symbol}/funding/{at}"),
            Self::Balance(asset) => write!(f, "{asset}"),
            Self::Wallet(asset, since, until) => write!(f, "{asset}/{since}/{until}"),
            Self::Discrepancy(key) => write!(f, "{}/{}", key.kind, key.fingerprint),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        let names: BTreeSet<_> = DiscrepancyKind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(names.len(), DiscrepancyKind::ALL.len());
        for kind in DiscrepancyKind::ALL {
            assert_eq!(DiscrepancyKind::from_name(kind.as_str()), Some(*kind));
        }
        // What the book itself notices is not ours to close.
        assert_eq!(DiscrepancyKind::from_name("conflicting_fact"), None);
    }
}
