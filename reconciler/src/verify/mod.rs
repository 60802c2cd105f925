//! Proving: named checks of the book against what the exchange said, after applying.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_check_without_an_answer_is_not_checkable`, never passed.
//! 2. `a_check_that_compared_nothing_is_not_checkable`.
//! 3. `the_ledger_and_the_fills_agree_to_the_last_digit`.
//! 4. `a_wallet_foots_between_two_looks`.

mod executed;
mod footing;
mod income;
mod positions;
mod realized;

use std::collections::BTreeSet;
use std::fmt;

use ledger_core::{AccountId, Asset, OrderKey, PositionSide, Symbol, TimestampMs};

use self::executed::check_executed;
use self::footing::check_footing;
use self::income::check_income;
use self::positions::check_positions;
use self::realized::check_realized;
use crate::book::Book;
use crate::discrepancy::{DiscrepancyKind, Finding, Outlook, Subject};
use crate::error::ReconcileError;
use crate::observation::Observation;

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CheckName {
    /// Every position has the exchange's quantity.
    Quantity,
    /// Every position has the exchange's average entry, up to its rounding.
    AverageEntry,
    /// Every order's fills add up to what was executed of it.
    ExecutedQuantity,
    /// Every fill realized what the exchange reported.
    RealizedPnl,
    /// Every ledger row about a trade has its fill, with equal amounts.
    IncomeHasFills,
    /// Every wallet changed by what its ledger rows add up to.
    Footing,
}

impl CheckName {
    /// The name in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quantity => "quantity",
            Self::AverageEntry => "average_entry",
            Self::ExecutedQuantity => "executed_quantity",
            Self::RealizedPnl => "realized_pnl",
            Self::IncomeHasFills => "income_has_fills",
            Self::Footing => "footing",
        }
    }
}

impl fmt::Display for CheckName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Book and exchange agree.
    Pass {
        /// On how many counts.
        compared: usize,
    },
    /// They do not.
    Fail {
        /// On how many counts they were compared.
        compared: usize,
        /// What differs, one line each; the first few.
        differences: Vec<String>,
        /// How many differ.
        count: usize,
    },
    /// There is nothing to compare with.
    NotCheckable {
        /// Why.
        reason: String,
    },
}

/// A named check with its verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was checked.
    pub name: CheckName,
    /// How it ended.
    pub verdict: Verdict,
}

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
    /// Positions whose quantity still differs.
    pub mismatched_positions: BTreeSet<(Symbol, PositionSide)>,
    /// Orders that still lack fills.
    pub unfilled_orders: BTreeSet<OrderKey>,
    /// The stretches in which wallets changed by what their ledger rows add up to.
    pub footed: Vec<FootedSpan>,
    /// What only checking finds: average entries, realized profits, ledger rows, wallets; the first of each check.
    pub findings: Vec<Finding>,
}

impl Verification {
    /// Whether no check failed.
    pub fn is_clean(&self) -> bool {
        !self.checks.iter().any(|check| matches!(check.verdict, Verdict::Fail { .. }))
    }

    /// Whether a check of this name compared something and found no difference.
    pub fn passed(&self, name: CheckName) -> bool {
        self.checks.iter().any(|check| check.name == name && matches!(check.verdict, Verdict::Pass { .. }))
    }
}

/// How many differences a verdict shows.
const SHOWN_MAX: usize = 10;
/// How many findings a check adds to the journal.
const FOUND_MAX: usize = 100;
const BOOK_PAGE_ROWS: u32 = 1_000;

/// Counts what a check compares.
#[derive(Default)]
struct Tally {
    compared: usize,
    count: usize,
    differences: Vec<String>,
    findings: Vec<Finding>,
}

impl Tally {
    fn compare(&mut self, agrees: bool, difference: impl FnOnce() -> String) {
        self.compared += 1;
        if !agrees {
            self.count += 1;
            if self.differences.len() < SHOWN_MAX {
                self.differences.push(difference());
            }
        }
    }

    /// Compares something that nobody has planned for: a difference is a finding of its own.
    fn compare_subject(
        &mut self,
        agrees: bool,
        kind: DiscrepancyKind,
        symbol: Option<&Symbol>,
        subject: Subject,
        difference: impl FnOnce() -> String,
    ) {
        if agrees {
            self.compared += 1;
            return;
        }
        let evidence = difference();
        if self.findings.len() < FOUND_MAX {
            self.findings.push(Finding::new(kind, symbol, subject, Outlook::Stays, evidence.clone()));
        }
        self.compare(false, || evidence);
    }

    /// Adds a detail to the finding that was compared last.
    fn detail(&mut self, name: &str, value: impl Into<serde_json::Value>) {
        if let Some(finding) = self.findings.last_mut() {
            finding.details.insert(name.to_owned(), value.into());
        }
    }

    /// The verdict; `nothing` says why there was nothing to compare, should that be so.
    fn finish(self, name: CheckName, nothing: &str, verification: &mut Verification) {
        let Self { compared, count, differences, findings } = self;
        let verdict = match (compared, count) {
            (0, _) => Verdict::NotCheckable { reason: nothing.to_owned() },
            (_, 0) => Verdict::Pass { compared },
            _ => Verdict::Fail { compared, differences, count },
        };
        verification.checks.push(Check { name, verdict });
        verification.findings.extend(findings);
    }
}

impl Verification {
    fn not_checkable(&mut self, name: CheckName, reason: impl Into<String>) {
        self.checks.push(Check { name, verdict: Verdict::NotCheckable { reason: reason.into() } });
    }
}

/// Compares the book as it is now with what was observed. Writes nothing.
///
/// # Errors
/// [`ReconcileError`] when the book cannot be read.
pub async fn verify(
    observation: &Observation,
    book: &Book,
    account: &AccountId,
) -> Result<Verification, ReconcileError> {
    let mut verification = Verification::default();
    check_positions(observation, book, account, &mut verification).await?;
    check_executed(observation, book, account, &mut verification).await?;
    check_realized(observation, book, account, &mut verification).await?;
    check_income(observation, book, account, &mut verification).await?;
    check_footing(observation, book, account, &mut verification).await?;
    Ok(verification)
}
