//! Whether a report says what the wallet says, asset by asset.
//!
//! For a period, signs as the wallet saw them:
//!
//! ```text
//! wallet after - wallet before =
//!       round trips that closed in the period, whole
//!     - what of them is dated before it, and after it
//!     + what happened in it to round trips that did not close in it
//!     + ledger entries in place of amounts that the fills do not give
//!     + rounding: the exchange's realized profit - the fills', within its tolerance
//!     + entries of contracts in no round trip + entries of the account
//!     + conversions + transfers + entries of unknown types
//!     + what is not explained
//!
//! equity change = that + unrealized after - unrealized before
//! ```
//!
//! The wallet at an instant is a look's statement plus the ledger entries in between. Looks state what the wallet was
//! before the first entry on record, each by itself; where they agree, the ledger between them is whole. Entries within
//! a moment after a look may be in its statement already ([`MOMENT_MS`]). An entry of a fill counts at the fill's time,
//! so that no edge of a period separates them.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_partial_close_counts_when_it_happened`: what closed later is carried in.
//! 2. `what_rounding_explains_harms_nothing`, and nothing else passes for it.
//! 3. `where_the_fold_is_unknown_the_ledger_stands_in`.
//! 4. `a_period_that_nobody_looked_at_is_not_tied`: its looked-at part is.
//! 5. `an_unknown_type_is_proven_by_the_wallet`.
//! 6. `a_fill_and_its_entries_stay_on_one_side_of_an_edge`.
//! 7. `what_came_back_of_a_fee_is_the_accounts_where_no_fill_has_it`.
//! 8. `what_the_insurance_fund_adds_is_the_accounts_where_no_trip_has_it`.
//! 9. `an_edge_within_an_unexplained_stretch_is_not_tied`: nobody knows what was in the wallet then.
//! 10. `a_wallet_that_moved_without_an_entry_differs`, in that stretch only.
//! 11. `fills_and_as_many_entries_that_differ_need_no_wallet`: their amounts are not known.
//! 12. `a_look_that_all_others_contradict_is_outvoted`, and told; two that agree are not.

mod builder;
mod contracts;
mod equity;
mod outcome;
mod terms;
#[cfg(test)]
mod tests;
mod wallet;

use std::collections::BTreeMap;

pub use self::builder::{FootingBuilder, FootingScope, LedgerReach};
pub use self::equity::{Equity, Unrealized};
pub use self::terms::{FootingTerms, UnknownType};
pub use self::wallet::{MOMENT_MS, amounts_foot_between, foots_between};
use crate::amount::Decimal;
use crate::id::{Asset, Symbol};
use crate::source::IncomeType;
use crate::time::TimestampMs;

/// What a ledger entry is, for footing. A venue's table of types says which type is what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LedgerClass {
    /// Realized profit of a fill.
    Realized,
    /// The fee of a fill.
    Fee,
    /// Money of a position that follows from no fill: funding, settlement. Every such entry of a contract is a
    /// [`Movement`](crate::Movement), in a round trip or in none. Without a contract it is the account's.
    Position,
    /// What a liquidation cost, or the insurance fund added to the account: in a round trip or on the contract's line, where
    /// a [`Movement`](crate::Movement) has it, else on the account's line of liquidations.
    Clearance,
    /// A share of a fee that came back: in the round trips of the fill that it names, where a
    /// [`Movement`](crate::Movement) has it, else the account's.
    Kickback,
    /// Money of a contract that is never in a round trip.
    Contract,
    /// Money of the account: rebates, bonus, rewards.
    Account,
    /// One asset for another.
    Conversion,
    /// To or from another wallet.
    Transfer,
    /// A type that the venue's table does not have.
    Unknown,
}

/// A stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Stretch {
    /// Its first instant; `None`: everything before it.
    pub since: Option<TimestampMs>,
    /// The first instant after it; `None`: everything after it.
    pub until: Option<TimestampMs>,
}

impl Stretch {
    /// Whether `at` is in it.
    pub fn contains(self, at: TimestampMs) -> bool {
        self.since.is_none_or(|since| since <= at) && self.until.is_none_or(|until| at < until)
    }

    /// Whether any instant from `since` to before `until` is in it.
    pub fn overlaps(self, since: TimestampMs, until: TimestampMs) -> bool {
        self.since.is_none_or(|own| own < until) && self.until.is_none_or(|own| since < own)
    }
}

/// What came of footing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FootingOutcome {
    /// The report says what the wallet says.
    Ties,
    /// It does not: [`AssetFooting::unexplained`] is by how much.
    Differs,
    /// It cannot be said, for [`AssetFooting::reasons`].
    NotTied,
}

crate::names::stored_names!(FootingOutcome, "outcome of footing", {
    Ties = "ties", Differs = "differs", NotTied = "not_tied",
});

/// Why a report cannot be tied to a wallet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotTied {
    /// No statement of this wallet is on record.
    NeverLooked,
    /// The first look at the wallet came after the period began.
    NoLookBefore {
        /// That look.
        first: TimestampMs,
    },
    /// The last look at the wallet came before the period ended.
    NoLookAfter {
        /// That look.
        last: TimestampMs,
    },
    /// An edge of the period lies between two looks that do not agree, so nobody knows what was in the wallet then.
    Unexplained {
        /// The look before it.
        since: TimestampMs,
        /// The look after it.
        until: TimestampMs,
    },
    /// A stretch of the ledger was not read while the exchange still had it.
    Unread {
        /// From when.
        since: TimestampMs,
        /// Until when.
        until: TimestampMs,
    },
    /// The exchange may not list the latest entries yet.
    Lagging {
        /// Up to when it does.
        reached: TimestampMs,
    },
    /// Rows of the book cannot be read.
    Unreadable,
    /// What an entry of this type does to the wallet is not known, and the wallet does not prove it.
    UnknownType(IncomeType),
}

/// A wallet at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalletAt {
    /// What is in it.
    pub amount: Decimal,
    /// Whether the exchange stated exactly this; else it follows from a look and the ledger.
    pub is_stated: bool,
}

/// Where something is not explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnexplainedPlace {
    /// Between two looks the wallet moved by something else than its entries.
    Wallet,
    /// The contract's realized profit in the ledger is not that of its fills.
    Realized(Symbol),
    /// The contract's fees in the ledger are not those of its fills.
    Fees(Symbol),
    /// The contract's other entries are not what its round trips have.
    Position(Symbol),
}

/// A part of what is not explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unexplained {
    /// Where it is.
    pub place: UnexplainedPlace,
    /// How much more the wallet, or the ledger, has.
    pub amount: Decimal,
    /// When: one of these.
    pub stretches: Vec<Stretch>,
}

/// The footing of a report in one asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetFooting {
    /// The asset.
    pub asset: Asset,
    /// The period.
    pub period: Stretch,
    /// Whether only one contract's money is in it: that is held against the contract's ledger entries, because a wallet
    /// has the money of all contracts.
    pub of_contract: bool,
    /// The wallet just before the period; `None` where nobody looked, and for one contract.
    pub before: Option<WalletAt>,
    /// The wallet at the end of the period; `None` where nobody looked, and for one contract.
    pub after: Option<WalletAt>,
    /// By how much the wallet moved; without a wallet, the sum of the ledger entries.
    pub moved: Decimal,
    /// What explains it.
    pub terms: FootingTerms,
    /// `moved` less all terms: 0 where everything is explained.
    pub unexplained: Decimal,
    /// Where something is not explained. One may outweigh another.
    pub parts: Vec<Unexplained>,
    /// When fills and as many entries of a contract say different amounts. No look at the wallet is needed to know that one
    /// of them is wrong.
    pub contradicted: Vec<Stretch>,
    /// When the wallet was stated in a way that the looks before and after it contradict, which agree with each other and with
    /// the ledger. These statements are left out.
    pub outvoted: Vec<TimestampMs>,
    /// What came of it.
    pub outcome: FootingOutcome,
    /// Why it cannot be tied; empty for the other outcomes.
    pub reasons: Vec<NotTied>,
    /// Where it cannot be tied as a whole: the footing of the part that was looked at. What is outside of that part
    /// rests on the ledger only.
    pub looked_at: Option<Box<AssetFooting>>,
    /// What the account was worth at both ends; absent without a wallet at both, and for one contract.
    pub equity: Option<Equity>,
}

impl AssetFooting {
    /// The stretches in which amounts of this asset are not known, because something in them is not explained.
    pub fn unexplained_stretches(&self) -> Vec<Stretch> {
        match self.outcome {
            FootingOutcome::Ties => Vec::new(),
            FootingOutcome::Differs if self.parts.is_empty() => vec![self.period],
            FootingOutcome::Differs => self.parts.iter().flat_map(|part| part.stretches.iter().copied()).collect(),
            FootingOutcome::NotTied => {
                let edges = self.reasons.iter().filter_map(|reason| match reason {
                    NotTied::Unexplained { since, until } => Some(Stretch { since: Some(*since), until: Some(*until) }),
                    _ => None,
                });
                let edges = edges.chain(self.contradicted.iter().copied());
                edges.chain(self.looked_at.iter().flat_map(|part| part.unexplained_stretches())).collect()
            }
        }
    }
}

/// What came of a pass over a period.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Footed {
    /// Each asset of which there was anything, by name.
    pub assets: Vec<AssetFooting>,
    /// The part of the period that was looked at, of assets of which the whole cannot be tied: to be footed by another
    /// pass.
    pub narrower: BTreeMap<Asset, Stretch>,
}

impl Footed {
    /// Adds what came of the pass over the narrower periods.
    #[must_use]
    pub fn with_looked_at(mut self, parts: Self) -> Self {
        for part in parts.assets {
            let whole = self
                .assets
                .iter_mut()
                .find(|whole| whole.asset == part.asset && self.narrower.get(&part.asset) == Some(&part.period));
            let Some(whole) = whole else { continue };
            // What differs where the ledger is read differs, whatever else is not read.
            let is_looked_at = |reason: &NotTied| {
                matches!(
                    reason,
                    NotTied::Unread { .. } | NotTied::Lagging { .. } | NotTied::Unreadable | NotTied::UnknownType(_)
                )
            };
            if part.unexplained == whole.unexplained && whole.reasons.iter().all(is_looked_at) {
                whole.outcome = FootingOutcome::Differs;
                whole.reasons.clear();
            } else {
                whole.looked_at = Some(Box::new(part));
            }
        }
        self
    }
}
