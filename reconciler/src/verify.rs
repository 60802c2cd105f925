//! Proving: named checks of the book against what the exchange said, after applying.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_check_without_an_answer_is_not_checkable`, never passed.

use std::collections::BTreeSet;
use std::fmt;

use ledger_core::{AccountId, Decimal, FillKey, IncomeType, MathError, OrderKey, PositionSide, Side, Symbol};
use ledger_store::{OrderFilter, PageRequest, Scope};

use crate::book::Book;
use crate::error::{Doing, ReconcileError};
use crate::observation::Observation;
use crate::plan::residual_text;

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

/// All checks, and what they leave open.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verification {
    /// The checks.
    pub checks: Vec<Check>,
    /// Positions whose quantity still differs.
    pub mismatched_positions: BTreeSet<(Symbol, PositionSide)>,
    /// Orders that still lack fills.
    pub unfilled_orders: BTreeSet<OrderKey>,
}

impl Verification {
    /// Whether no check failed.
    pub fn is_clean(&self) -> bool {
        !self.checks.iter().any(|check| matches!(check.verdict, Verdict::Fail { .. }))
    }
}

const SHOWN_MAX: usize = 10;
const BOOK_PAGE_ROWS: u32 = 1_000;

#[derive(Default)]
struct Tally {
    compared: usize,
    count: usize,
    differences: Vec<String>,
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

    fn check(self, name: CheckName) -> Check {
        let Self { compared, count, differences } = self;
        let verdict =
            if count == 0 { Verdict::Pass { compared } } else { Verdict::Fail { compared, differences, count } };
        Check { name, verdict }
    }
}

fn not_checkable(name: CheckName, reason: impl Into<String>) -> Check {
    Check { name, verdict: Verdict::NotCheckable { reason: reason.into() } }
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
    check_realized(book, account, &mut verification).await?;
    check_income(observation, book, account, &mut verification).await?;
    Ok(verification)
}

async fn check_positions(
    observation: &Observation,
    book: &Book,
    account: &AccountId,
    verification: &mut Verification,
) -> Result<(), ReconcileError> {
    let (mut quantity, mut entry) = (Tally::default(), Tally::default());
    let mut unanswered = BTreeSet::new();
    let held = book.positions.positions(account).await.doing("reading the positions")?;
    let unit = Decimal::new(1, observation.venue.entry_price_scale).map_err(ReconcileError::Math)?;
    for (symbol, side) in observation.position_keys() {
        if !observation.is_in_scope(&symbol) {
            continue;
        }
        let Some(answer) = observation.exchange_positions(&symbol) else {
            unanswered.insert(symbol);
            continue;
        };
        let mut rows = answer.rows.iter().map(|row| &row.entity);
        let stated = rows.find(|stated| stated.symbol == symbol && stated.position_side == side);
        let booked = held.iter().find(|held| held.symbol == symbol && held.position.position_side == side);
        let (stated_qty, booked_qty) =
            (stated.map_or(Decimal::ZERO, |stated| stated.qty), booked.map_or(Decimal::ZERO, |held| held.position.qty));
        quantity.compare(stated_qty == booked_qty, || {
            format!("{symbol} {side}: the exchange holds {stated_qty}, the book {booked_qty}")
        });
        if stated_qty != booked_qty {
            verification.mismatched_positions.insert((symbol, side));
        } else if let Some(price) = stated.and_then(|stated| stated.entry_price) {
            let price = price.get();
            let booked_price = booked.and_then(|held| held.position.entry_price_avg);
            let agrees = match booked_price {
                Some(booked) => price.checked_sub(booked).map_err(ReconcileError::Math)?.abs() <= unit,
                None => false,
            };
            let shown = booked_price.map_or_else(|| "unknown".to_owned(), |price| price.to_string());
            entry.compare(agrees, || format!("{symbol} {side}: the exchange says {price}, the book {shown}"));
        }
    }
    let all_unanswered = observation.positions.is_err() && quantity.compared == 0;
    if all_unanswered || !unanswered.is_empty() {
        let symbols: Vec<&str> = unanswered.iter().map(Symbol::as_str).collect();
        let reason = format!(
            "the exchange did not say what it holds of {}",
            if symbols.is_empty() { "anything".into() } else { symbols.join(", ") }
        );
        // What could be compared and differs is worth more than what could not.
        if quantity.count == 0 {
            verification.checks.push(not_checkable(CheckName::Quantity, reason.clone()));
            verification.checks.push(not_checkable(CheckName::AverageEntry, reason));
            return Ok(());
        }
    }
    verification.checks.push(quantity.check(CheckName::Quantity));
    verification.checks.push(entry.check(CheckName::AverageEntry));
    Ok(())
}

async fn check_executed(
    observation: &Observation,
    book: &Book,
    account: &AccountId,
    verification: &mut Verification,
) -> Result<(), ReconcileError> {
    let mut tally = Tally { compared: observation.book.orders.len(), ..Tally::default() };
    let filter = OrderFilter { residual_only: true, ..OrderFilter::from(Scope::account(account.clone())) };
    let mut request = PageRequest::first(BOOK_PAGE_ROWS);
    loop {
        let page = book.orders.orders(&filter, &request).await.doing("reading the orders")?;
        for order in &page.items {
            let key = &order.order.fact.key;
            if !observation.is_in_scope(&key.symbol) {
                continue;
            }
            verification.unfilled_orders.insert(key.clone());
            if !observation.book.orders.contains_key(key) {
                tally.compared += 1;
            }
            tally.count += 1;
            if tally.differences.len() < SHOWN_MAX {
                tally.differences.extend(residual_text(order));
            }
        }
        match page.next {
            Some(cursor) => request = request.after(cursor),
            None => break,
        }
    }
    verification.checks.push(tally.check(CheckName::ExecutedQuantity));
    Ok(())
}

async fn check_realized(
    book: &Book,
    account: &AccountId,
    verification: &mut Verification,
) -> Result<(), ReconcileError> {
    let fills: u64 = {
        let books = book.positions.symbol_books(account).await.doing("reading the symbols")?;
        books.iter().map(|book| book.fill_count).sum()
    };
    let mut tally = Tally { compared: usize::try_from(fills).unwrap_or(usize::MAX), ..Tally::default() };
    let mut request = PageRequest::first(BOOK_PAGE_ROWS);
    loop {
        let page = book.positions.pnl_mismatches(account, &request).await.doing("reading the realized profits")?;
        for mismatch in &page.items {
            tally.count += 1;
            if tally.differences.len() < SHOWN_MAX {
                let shown =
                    |amount: Option<Decimal>| amount.map_or_else(|| "unknown".to_owned(), |amount| amount.to_string());
                let (reported, derived) = (shown(mismatch.reported), shown(mismatch.derived));
                let key = &mismatch.key;
                tally.differences.push(format!(
                    "{} trade {}: the exchange reported {reported}, the fills lead to {derived}",
                    key.symbol, key.fill_id
                ));
            }
        }
        match page.next {
            Some(cursor) => request = request.after(cursor),
            None => break,
        }
    }
    verification.checks.push(tally.check(CheckName::RealizedPnl));
    Ok(())
}

/// The best detector of missing fills: the ledger lists every trade's profit and fee.
async fn check_income(
    observation: &Observation,
    book: &Book,
    account: &AccountId,
    verification: &mut Verification,
) -> Result<(), ReconcileError> {
    let Ok(walk) = &observation.income else {
        let reason = "the exchange did not answer with its ledger";
        verification.checks.push(not_checkable(CheckName::IncomeHasFills, reason));
        return Ok(());
    };
    let mut tally = Tally::default();
    for row in &walk.rows {
        let income = &row.entity;
        let kind = &income.key.income_type;
        let is_fee = kind.is(IncomeType::COMMISSION);
        let (Some(symbol), Some(fill_id)) = (&income.key.symbol, &income.fill_id) else { continue };
        if !(is_fee || kind.is(IncomeType::REALIZED_PNL)) || !observation.is_in_scope(symbol) {
            continue;
        }
        // Both sides of a self-trade share an id; one of them has this amount.
        let mut fills = Vec::new();
        for side in [Side::Buy, Side::Sell] {
            let key = FillKey { symbol: symbol.clone(), fill_id: fill_id.clone(), side };
            fills.extend(book.fills.fill(account, &key).await.doing("reading a fill")?);
        }
        let amounts = || {
            fills.iter().filter_map(|fill| match (&fill.fact.fee, is_fee) {
                (Some(fee), true) => (fee.asset == income.key.asset).then_some(-fee.amount),
                (None, true) => None,
                (_, false) => fill.fact.exchange_realized_pnl,
            })
        };
        tally.compare(amounts().any(|amount| amount.agrees_with(income.amount)), || {
            let what = format!("{kind} {} {} of {symbol} trade {fill_id}", income.amount, income.key.asset);
            match (fills.is_empty(), amounts().next()) {
                (true, _) => format!("{what}: the book has no such fill"),
                (false, Some(amount)) => format!("{what}: the book's fill says {amount}"),
                (false, None) => format!("{what}: the book's fill says nothing"),
            }
        });
    }
    verification.checks.push(tally.check(CheckName::IncomeHasFills));
    Ok(())
}

impl From<MathError> for ReconcileError {
    fn from(error: MathError) -> Self {
        Self::Math(error)
    }
}
