//! Proving: named checks of the book against what the exchange said, after applying.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_check_without_an_answer_is_not_checkable`, never passed.
//! 2. `a_check_that_compared_nothing_is_not_checkable`, and each says what it could not compare, and why.
//! 3. `the_ledger_and_the_fills_agree_to_the_last_digit`.
//! 4. `a_wallet_foots_between_two_looks`.

mod book;
mod check;
mod comparison;
mod confirmed;
mod demands;
mod executed;
mod footing;
mod funding;
mod gaps;
mod income;
mod positions;
mod quiet;
mod realized;
mod told;
mod unnamed;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};

use exchange_client::VenueFacts;
use ledger_core::{AccountId, Asset, Decimal, OrderKey, PositionSide, Symbol, TimestampMs};
use ledger_store::{Discrepancy, DiscrepancyKey, Store, UnreadableRow};

pub use self::book::{WholeBook, verify_book};
pub use self::check::{Check, CheckCounts, CheckName, LeftOut, Severity, Verdict};
use self::comparison::Comparison;
use self::confirmed::{check_confirmed, check_lost};
use self::demands::check_demands;
use self::executed::check_executed;
pub use self::executed::{awaits_trades, brings_trades};
use self::footing::check_footing;
pub(crate) use self::footing::unread_stretches;
use self::funding::check_funding;
use self::gaps::check_gaps;
use self::income::check_income;
use self::positions::check_positions;
use self::realized::check_realized;
use crate::discrepancy::DiscrepancyKind;
use crate::error::ReconcileError;
use crate::finding::Finding;
use crate::memory::doubt::Looks;
use crate::observe::{Observation, observed_at};
use crate::unreadable::ReadableBook;

/// A stretch of time in which a wallet changed by what its ledger rows add up to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FootedSpan {
    /// The wallet.
    pub asset: Asset,
    /// From this statement of it.
    pub since: TimestampMs,
    /// To this one.
    pub until: TimestampMs,
}

/// All checks, and what they leave open.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Verification {
    /// The checks.
    pub checks: Vec<Check>,
    /// Positions whose quantity still differs, each with what both sides say, and what the exchange holds beyond the book.
    pub mismatched_positions: BTreeMap<(Symbol, PositionSide), (String, Decimal)>,
    /// Orders that still lack fills, each with the quantity that these would have.
    pub(crate) unfilled_orders: BTreeMap<OrderKey, Decimal>,
    /// The stretches in which wallets changed by what their ledger rows add up to.
    pub footed: Vec<FootedSpan>,
    /// The gaps in history on record that the book proves to be filled by now.
    pub(crate) filled_gaps: Vec<DiscrepancyKey>,
    /// The contracts of which a row of the book cannot be read: nothing is said about them.
    pub(crate) damaged: BTreeSet<Symbol>,
    /// The stretches in which rows that were confirmed are missing, each with whether it is still to be read again; `None` where
    /// nothing said so.
    pub(crate) lost_rows: Option<BTreeMap<DiscrepancyKey, bool>>,
    /// What was missing, or of another amount, and is not any more.
    pub(crate) met: BTreeSet<DiscrepancyKey>,
    /// What only checking finds: average entries, realized profits, ledger rows, wallets; the first of each check.
    pub(crate) findings: Vec<Finding>,
}

impl Verification {
    /// Whether no check failed.
    pub fn is_clean(&self) -> bool {
        !self.checks.iter().any(Check::failed)
    }

    /// How many checks passed, failed, and could not be made.
    pub fn counts(&self) -> CheckCounts {
        CheckCounts::of(&self.checks)
    }

    /// How many comparisons of this name found no difference.
    pub(crate) fn agreed(&self, name: CheckName) -> usize {
        let mut named = self.checks.iter().filter(|check| check.name == name);
        named.next().map_or(0, |check| match &check.verdict {
            Verdict::Pass { compared } => *compared,
            Verdict::Fail { compared, count, .. } => compared.saturating_sub(*count),
            Verdict::NotCheckable { .. } => 0,
        })
    }

    /// Counts what agreed before the present was looked at. What did not agree then is compared again.
    pub(crate) fn add_agreed(&mut self, name: CheckName, agreed: usize) {
        for check in self.checks.iter_mut().filter(|check| check.name == name && agreed > 0) {
            match &mut check.verdict {
                Verdict::Pass { compared } => {
                    *compared += agreed;
                    check.detail = format!("{}, and {agreed} of the history", check.detail);
                }
                Verdict::Fail { compared, .. } => *compared += agreed,
                Verdict::NotCheckable { .. } => {
                    let rest = comparison::not_compared(&check.left_out);
                    let left_out = std::mem::take(&mut check.left_out);
                    *check = Check { left_out, ..Check::pass(name, agreed, format!("{agreed} of the history{rest}")) };
                }
            }
        }
    }

    /// Whether a check of this name compared something and found no difference.
    pub fn passed(&self, name: CheckName) -> bool {
        self.checks.iter().any(|check| check.name == name && matches!(check.verdict, Verdict::Pass { .. }))
    }
}

const BOOK_PAGE_ROWS: u32 = 1_000;

impl Verification {
    /// Takes back what was said about contracts of which a row of the book cannot be read, and about wallets where that is
    /// one of the ledger.
    fn leave_out(&mut self, damaged: BTreeMap<Symbol, UnreadableRow>) {
        let is_of_ledger = damaged.values().any(|row| row.table == "income");
        self.damaged = damaged.into_keys().collect();
        let Self { findings, mismatched_positions, unfilled_orders, damaged, checks, .. } = self;
        findings.retain(|finding| finding.symbol.as_ref().is_none_or(|symbol| !damaged.contains(symbol)));
        mismatched_positions.retain(|(symbol, _), _| !damaged.contains(symbol));
        unfilled_orders.retain(|key, _| !damaged.contains(&key.symbol));
        if is_of_ledger {
            findings.retain(|finding| finding.kind != DiscrepancyKind::FootingMismatch);
            let footing = checks.iter_mut().filter(|check| check.name == CheckName::Footing && check.failed());
            for check in footing {
                *check = Check::not_checkable(CheckName::Footing, "a row of the ledger cannot be read");
            }
        }
    }

    fn not_checkable(&mut self, name: CheckName, reason: impl Into<String>) {
        self.checks.push(Check::not_checkable(name, reason));
    }
}

/// Compares the ledger rows of an observation with the book's fills, and nothing else.
pub(crate) async fn check_ledger(
    observation: &Observation,
    book: &dyn Store,
    account: &AccountId,
) -> Result<Verification, ReconcileError> {
    let mut verification = Verification::default();
    check_income(Extent::Look(observation), &ReadableBook::whole(book), account, &mut verification).await?;
    Ok(verification)
}

/// Compares the book as it is now with what was observed. Writes nothing.
///
/// # Errors
/// [`ReconcileError`] when the book cannot be read.
pub(crate) async fn verify(
    observation: &Observation,
    book: &dyn Store,
    account: &AccountId,
) -> Result<Verification, ReconcileError> {
    let readable = &ReadableBook::past_unreadable(book);
    let mut verification = Verification::default();
    let extent = Extent::Look(observation);
    check_positions(observation, book, account, &mut verification).await?;
    check_executed(extent, readable, account, &mut verification).await?;
    check_realized(extent, book, account, &mut verification).await?;
    check_income(extent, readable, account, &mut verification).await?;
    check_demands(extent, readable, account, &mut verification).await?;
    check_funding(extent, readable, account, &mut verification).await?;
    check_footing(extent, readable, account, &mut verification).await?;
    check_gaps(observation, readable, account, &mut verification).await?;
    check_lost(observation, book, account, &mut verification).await?;
    verification.leave_out(readable.noted().into_iter().chain(observation.book.damaged.clone()).collect());
    Ok(verification)
}

/// Why nothing is compared of a contract that cannot be computed.
const UNCOMPUTED: &str = "the contract cannot be computed";

/// A contract that cannot be computed: nothing is derived of it.
struct Uncomputed {
    symbol: Symbol,
    fill_count: usize,
}

/// Of what a check is made.
#[derive(Clone, Copy)]
enum Extent<'a> {
    /// What was looked at: the symbols that were meant, the ledger since the last look, the latest wallets.
    Look(&'a Observation),
    /// The whole book, with what is on record, the contracts that cannot be computed, and the rules of its venue.
    Book { on_record: &'a [Discrepancy], uncomputed: &'a [Uncomputed], venue: &'static VenueFacts },
}

impl<'a> Extent<'a> {
    fn covers(self, symbol: &Symbol) -> bool {
        match self {
            Self::Look(observation) => observation.is_in_scope(symbol),
            Self::Book { .. } => true,
        }
    }

    /// The discrepancies on record that are not gone.
    fn on_record(self) -> &'a [Discrepancy] {
        match self {
            Self::Look(observation) => &observation.book.discrepancies,
            Self::Book { on_record, .. } => on_record,
        }
    }

    /// The contracts that cannot be computed. A look tells them by itself.
    fn uncomputed(self) -> &'a [Uncomputed] {
        match self {
            Self::Look(_) => &[],
            Self::Book { uncomputed, .. } => uncomputed,
        }
    }

    /// What earlier looks have left. Who reads the book alone looks at nothing, and has what is on record by now.
    fn looks(self) -> Option<Looks<'a>> {
        match self {
            Self::Look(observation) => Some(observation.looks(observed_at(observation))),
            Self::Book { .. } => None,
        }
    }

    fn venue(self) -> &'static VenueFacts {
        match self {
            Self::Look(observation) => observation.venue,
            Self::Book { venue, .. } => venue,
        }
    }
}
