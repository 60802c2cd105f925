//! What settles a discrepancy: seen, it goes by itself.
//!
//! Invariants, each with a test of the same name:
//! 1. `every_end_has_names_of_its_own`.

use std::fmt;

macro_rules! ends {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $told:literal;)+) => {
        /// What settles a discrepancy.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum SettledBy {
            $($(#[doc = $doc])+ $variant),+
        }

        impl SettledBy {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name for programs.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The same for people.
            pub fn told(self) -> &'static str {
                match self { $(Self::$variant => $told),+ }
            }
        }
    };
}

ends! {
    /// What the exchange states is on record.
    Recorded = "recorded", "what the exchange states is recorded";
    /// The fills of an order add up to what it executed.
    FillsAddUp = "fills_add_up", "the order's fills add up";
    /// The exchange says how an order stands, or has forgotten it as it forgets such orders.
    OrderToldAgain = "order_told_again", "the exchange tells how the order ended, or would have forgotten it by now";
    /// Book and exchange hold the same.
    PositionsAgree = "positions_agree", "book and exchange hold the same";
    /// Quantities fit.
    QuantitiesFit = "quantities_fit", "its quantities can be added up";
    /// A row of the book can be read.
    RowIsReadable = "row_is_readable", "the row can be read again";
    /// Average entries agree.
    EntriesAgree = "entries_agree", "both average entries agree";
    /// The exchange lists a fill.
    FillIsListed = "fill_is_listed", "the exchange lists the trade";
    /// What was not read is in the book, and proven to be all.
    HistoryIsWhole = "history_is_whole", "files of that time are imported and add up";
    /// A stream is read again.
    HistoryIsRead = "history_is_read", "it is read up to now";
    /// Both clocks say the same.
    ClocksAgree = "clocks_agree", "both clocks agree";
    /// An order does not work any more, or has something to close.
    OrderIsGone = "order_is_gone", "the order ends, or there is a position again";
    /// The exchange answers.
    Answered = "answered", "the exchange answers it";
    /// It is known what became of an order that was sent.
    OutcomeIsKnown = "outcome_is_known", "the exchange has the order, or it is proven that none arrived";
    /// One order is known to have followed, or proven that none did.
    OrderIsFound = "order_is_found", "one order is known to have followed, or none can have";
    /// Somebody says whose an order is.
    LabelIsKnown = "label_is_known", "the bot's files name the order's strategy";
    /// Somebody says why a position was closed.
    ReasonIsKnown = "reason_is_known", "a record says who closed it, or a second look finds none";
    /// Both realized profits agree.
    ProfitsAgree = "profits_agree", "both realized profits agree";
    /// Fill and ledger agree.
    LedgerAgrees = "ledger_agrees", "fill and ledger row agree";
    /// A row of the ledger that was missing is there.
    LedgerHasRow = "ledger_has_row", "the exchange lists the ledger row, or a file brings it";
    /// Two lists of the exchange have the same rows.
    ListsAgree = "lists_agree", "the exchange lists the rows under their type, too, or does not answer for that time any more";
    /// What was paid is what rate and mark price make.
    FundingAgrees = "funding_agrees", "the amount is what rate and mark price make of the position";
    /// Rows that were lost are there again.
    RowsAreBack = "rows_are_back", "the exchange still lists the rows, or files bring them";
    /// A wallet foots.
    WalletFoots = "wallet_foots", "ledger rows add up to what the wallet moved by";
    /// The ledger explains a balance, or a second look states the same.
    BalanceIsExplained = "balance_is_explained", "the ledger explains it, or a second look says the same";
    /// What is remembered was written again.
    MemoryIsWritten = "memory_is_written", "what it is about is looked at anew";
    /// Somebody says that it may stay.
    Acknowledged = "acknowledged", "somebody's word (--acknowledge)";
}

impl fmt::Display for SettledBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.told())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_end_has_names_of_its_own() {
        let names: BTreeSet<_> = SettledBy::ALL.iter().map(|end| end.as_str()).collect();
        let told: BTreeSet<_> = SettledBy::ALL.iter().map(|end| end.told()).collect();
        assert_eq!((names.len(), told.len()), (SettledBy::ALL.len(), SettledBy::ALL.len()));
    }
}
