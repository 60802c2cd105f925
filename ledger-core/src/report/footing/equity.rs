//! What an account is worth: its wallets, and what closing its open positions would bring.

use std::collections::BTreeSet;

use super::WalletAt;
use crate::amount::{Decimal, MathError};
use crate::certainty::{CertainTotal, Certainty};
use crate::id::Symbol;
use crate::time::TimestampMs;

/// What closing the positions of an asset would realize at an instant, without fees.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unrealized {
    /// The sum over the contracts that settle in the asset.
    pub total: CertainTotal,
    /// When the oldest of the mark prices was stated; absent where nothing was open.
    pub marked_at: Option<TimestampMs>,
    /// Contracts of which it is not known.
    pub unknown: BTreeSet<Symbol>,
}

impl Unrealized {
    /// Adds a position at a mark price.
    ///
    /// # Errors
    /// [`MathError`] when the sum does not fit.
    pub fn add(&mut self, amount: Decimal, certainty: Certainty, marked_at: TimestampMs) -> Result<(), MathError> {
        self.total.add(amount, certainty)?;
        self.marked_at = Some(self.marked_at.map_or(marked_at, |known| known.min(marked_at)));
        Ok(())
    }

    /// Adds a contract of which it is not known what was open, or at which mark price.
    pub fn leave_out(&mut self, symbol: Symbol) {
        self.unknown.insert(symbol);
    }

    /// The sum, where each part is known or estimated.
    pub fn amount(&self) -> Option<Decimal> {
        let is_told = self.unknown.is_empty() && self.total.certainty() != Certainty::Unknown;
        self.total.amount().ok().filter(|_| is_told)
    }
}

/// An account's worth in one asset at both ends of a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equity {
    /// The wallet before the period.
    pub wallet_before: WalletAt,
    /// The wallet at its end.
    pub wallet_after: WalletAt,
    /// What was open before the period.
    pub before: Unrealized,
    /// What is open at its end.
    pub after: Unrealized,
}

impl Equity {
    /// Wallet and unrealized profit before the period.
    pub fn amount_before(&self) -> Option<Decimal> {
        self.wallet_before.amount.checked_add(self.before.amount()?).ok()
    }

    /// Wallet and unrealized profit at its end.
    pub fn amount_after(&self) -> Option<Decimal> {
        self.wallet_after.amount.checked_add(self.after.amount()?).ok()
    }

    /// By how much it changed: what the wallet moved, and U(t1) - U(t0).
    pub fn change(&self) -> Option<Decimal> {
        self.amount_after()?.checked_sub(self.amount_before()?).ok()
    }

    /// Whether anything is open at one of the ends, or could be.
    pub fn has_positions(&self) -> bool {
        [&self.before, &self.after].iter().any(|edge| edge.marked_at.is_some() || !edge.unknown.is_empty())
    }
}
