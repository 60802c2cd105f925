//! What explains how a wallet moved.

use std::collections::BTreeMap;

use crate::amount::{Decimal, MathError};
use crate::source::IncomeType;

/// Entries of a type that the venue's table does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UnknownType {
    /// Their sum.
    pub amount: Decimal,
    /// How many they are.
    pub row_count: u64,
    /// What the wallet proves: that they are added to it, that they are not, or (`None`) nothing.
    pub is_added: Option<bool>,
}

/// What explains how a wallet moved in a period; signs as the wallet saw them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FootingTerms {
    /// The round trips that closed in the period, whole.
    pub closed: Decimal,
    /// What of them is dated before the period: part of `closed`, but not of what the wallet moved in it.
    pub carried_in: Decimal,
    /// What of them is dated after the period, likewise: an entry that came after the close.
    pub carried_out: Decimal,
    /// What happened in the period to round trips that did not close in it.
    pub open: Decimal,
    /// Ledger entries in place of amounts that the fills do not give.
    pub stand_in: Decimal,
    /// The exchange's realized profit less the fills', where its rounding explains the difference.
    pub rounding: Decimal,
    /// How much rounding can explain at most.
    pub rounding_max: Decimal,
    /// Entries of contracts in no round trip.
    pub contracts: Decimal,
    /// Entries of the account.
    pub account: Decimal,
    /// What liquidations cost, and what the insurance fund added, beside all round trips.
    pub liquidations: Decimal,
    /// One asset for another.
    pub conversions: Decimal,
    /// To and from other wallets.
    pub transfers: Decimal,
    /// Entries of types that the venue's table does not have.
    pub unknown: BTreeMap<IncomeType, UnknownType>,
}

impl FootingTerms {
    /// What they add up to.
    ///
    /// # Errors
    /// [`MathError`] when the sum does not fit.
    pub fn sum(&self) -> Result<Decimal, MathError> {
        let added = [
            self.closed,
            -self.carried_in,
            -self.carried_out,
            self.open,
            self.stand_in,
            self.rounding,
            self.contracts,
            self.account,
            self.liquidations,
            self.conversions,
            self.transfers,
        ];
        let unknown = self.unknown.values().filter(|unknown| unknown.is_added != Some(false));
        let mut added = added.into_iter().chain(unknown.map(|unknown| unknown.amount));
        added.try_fold(Decimal::ZERO, Decimal::checked_add)
    }
}
