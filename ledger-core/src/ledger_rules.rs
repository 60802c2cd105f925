//! Where each kind of ledger entry belongs: one table for each venue.

use crate::names::stored_names;
use crate::source::IncomeType;

/// Where an entry of the exchange's ledger belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LedgerPlace {
    /// The round trip of the fill that it names: a fee, or realized profit. The fill tells the same amount.
    Fill,
    /// The round trip of the fill that it names, if the book has that fill, else the account's own line: a share of the
    /// fee that comes back.
    Kickback,
    /// The position that was held at its funding instant.
    Funding,
    /// The round trip of the latest forced fill of its contract in the minute before: what the exchange charged for a
    /// liquidation (negative), or what its insurance fund added (positive).
    Clearance,
    /// The settlement of a contract that is delivered. It stands for the fills that closed the position, and ends the
    /// round trip where there are none.
    Settlement,
    /// The contract's own line.
    Contract,
    /// The account's own line: rebates, rewards, interest.
    Account,
    /// An exchange of one asset for another within the account.
    Conversion,
    /// Money that comes from elsewhere or goes there.
    Transfer,
    /// Not in the table: a line of its own, never in a net.
    Unknown,
}

stored_names!(LedgerPlace, "place of a ledger entry", {
    Fill = "fill", Kickback = "kickback", Funding = "funding", Clearance = "clearance", Settlement = "settlement",
    Contract = "contract", Account = "account", Conversion = "conversion", Transfer = "transfer", Unknown = "unknown",
});

/// The table of a venue. Its entries are data and stand with the venue; a symbol on an entry proves nothing, so only the
/// table decides.
///
/// ```
/// use ledger_core::{LedgerPlace, LedgerRules};
///
/// let rules = LedgerRules::new(&[("FUNDING_FEE", LedgerPlace::Funding)]);
/// assert_eq!(rules.place(&"FUNDING_FEE".parse()?), LedgerPlace::Funding);
/// assert_eq!(rules.place(&"SOMETHING_NEW".parse()?), LedgerPlace::Unknown);
/// # Ok::<(), ledger_core::UnknownName>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerRules {
    places: &'static [(&'static str, LedgerPlace)],
}

impl LedgerRules {
    /// The table with these entries: the venue's name of each kind, and its place.
    pub const fn new(places: &'static [(&'static str, LedgerPlace)]) -> Self {
        Self { places }
    }

    /// Where entries of this kind belong.
    pub fn place(&self, income_type: &IncomeType) -> LedgerPlace {
        let entry = self.places.iter().find(|(name, _)| income_type.is(name));
        entry.map_or(LedgerPlace::Unknown, |(_, place)| *place)
    }

    /// All entries.
    pub fn entries(&self) -> impl Iterator<Item = (&'static str, LedgerPlace)> {
        self.places.iter().copied()
    }
}

impl Default for LedgerRules {
    /// The kinds that this crate names by itself: what a venue's table says more of is unknown then.
    fn default() -> Self {
        Self::new(&[
            (IncomeType::REALIZED_PNL, LedgerPlace::Fill),
            (IncomeType::COMMISSION, LedgerPlace::Fill),
            (IncomeType::FUNDING_FEE, LedgerPlace::Funding),
            (IncomeType::TRANSFER, LedgerPlace::Transfer),
        ])
    }
}
