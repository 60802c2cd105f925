//! Proving: named checks of the book against what the exchange said, after applying.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_check_without_an_answer_is_not_checkable`, never passed.
//! 2. `a_check_that_compared_nothing_is_not_checkable`, and what a check counts is what it compared.
//! 3. `the_ledger_and_the_fills_agree_to_the_last_digit`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ledger_core::{
    AccountId, Asset, Decimal, FillId, FillKey, IncomeType, MathError, OrderKey, PositionSide, Side, Symbol,
};
use ledger_store::{BookOrder, OrderFilter, PageRequest, Scope};

use crate::book::Book;
use crate::error::{Doing, ReconcileError};
use crate::observation::Observation;
use crate::plan::{describe_order, residual_text};

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
/// The digits after the point that ledger amounts have.
const LEDGER_SCALE: u8 = 8;

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

    /// The verdict; `nothing` says why there was nothing to compare, should that be so.
    fn check(self, name: CheckName, nothing: &str) -> Check {
        let Self { compared, count, differences } = self;
        let verdict = match (compared, count) {
            (0, _) => Verdict::NotCheckable { reason: nothing.to_owned() },
            (_, 0) => Verdict::Pass { compared },
            _ => Verdict::Fail { compared, differences, count },
        };
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
    let none = "neither the exchange nor the book knows of a position";
    verification.checks.push(quantity.check(CheckName::Quantity, none));
    let none = "no position is held on which both sides agree";
    verification.checks.push(entry.check(CheckName::AverageEntry, none));
    Ok(())
}

async fn check_executed(
    observation: &Observation,
    book: &Book,
    account: &AccountId,
    verification: &mut Verification,
) -> Result<(), ReconcileError> {
    // The orders that this cycle knows of, as the book has them now.
    let wide = observation.orders.iter().flat_map(|walk| &walk.rows);
    let open = observation.open_orders.iter().flat_map(|answer| &answer.rows);
    let stated = wide.chain(open).map(|row| &row.entity.key);
    let keys: BTreeSet<&OrderKey> = observation.book.orders.keys().chain(stated).collect();
    let mut tally = Tally::default();
    for key in keys {
        let known = book.orders.order(account, key).await.doing("reading an order")?;
        let is_told = |order: &BookOrder| order.order.fact.executed.is_some() && order.filled_qty.is_some();
        if observation.is_in_scope(&key.symbol)
            && known.is_some_and(|order| is_told(&order) && order.residual_qty.is_none())
        {
            tally.compared += 1;
        }
    }
    let filter = OrderFilter { residual_only: true, ..OrderFilter::from(Scope::account(account.clone())) };
    let mut request = PageRequest::first(BOOK_PAGE_ROWS);
    loop {
        let page = book.orders.orders(&filter, &request).await.doing("reading the orders")?;
        for order in &page.items {
            let key = &order.order.fact.key;
            if observation.is_in_scope(&key.symbol) {
                verification.unfilled_orders.insert(key.clone());
                tally.compare(false, || residual_text(order).unwrap_or_else(|| describe_order(&order.order.fact)));
            }
        }
        match page.next {
            Some(cursor) => request = request.after(cursor),
            None => break,
        }
    }
    let none = "no order says how much of it was executed";
    verification.checks.push(tally.check(CheckName::ExecutedQuantity, none));
    Ok(())
}

/// How many of the fills that were folded say what the exchange takes them to have realized.
async fn count_reported(book: &Book, account: &AccountId) -> Result<usize, ReconcileError> {
    let mut reported = 0;
    for symbol_book in book.positions.symbol_books(account).await.doing("reading the symbols")? {
        let mut request = PageRequest::first(BOOK_PAGE_ROWS);
        loop {
            let page = book.fills.fills_in_fold_order(account, &symbol_book.symbol, &request).await;
            let page = page.doing("reading the fills")?;
            reported += page.items.iter().filter(|fill| fill.fact.exchange_realized_pnl.is_some()).count();
            match page.next {
                Some(cursor) => request = request.after(cursor),
                None => break,
            }
        }
    }
    Ok(reported)
}

async fn check_realized(
    book: &Book,
    account: &AccountId,
    verification: &mut Verification,
) -> Result<(), ReconcileError> {
    let mut tally = Tally { compared: count_reported(book, account).await?, ..Tally::default() };
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
    // Every mismatch is a fill that was compared.
    tally.compared = tally.compared.max(tally.count);
    let none = "no fill in the book says what the exchange takes it to have realized";
    verification.checks.push(tally.check(CheckName::RealizedPnl, none));
    Ok(())
}

/// The best detector of missing fills: the ledger lists every trade's profit and fee.
///
/// Both sides of a self-trade share an id, and a trade can have several rows of a type, so sums are compared: all rows
/// of a trade, type and asset against all of its fills.
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
    let mut seen = BTreeSet::new();
    let mut sums: BTreeMap<(&Symbol, &FillId, &IncomeType, &Asset), Decimal> = BTreeMap::new();
    for row in &walk.rows {
        let income = &row.entity;
        let kind = &income.key.income_type;
        let (Some(symbol), Some(fill_id)) = (&income.key.symbol, &income.fill_id) else { continue };
        let is_about_trades = kind.is(IncomeType::COMMISSION) || kind.is(IncomeType::REALIZED_PNL);
        if is_about_trades && observation.is_in_scope(symbol) && seen.insert(&income.key) {
            let sum = sums.entry((symbol, fill_id, kind, &income.key.asset)).or_default();
            *sum = sum.checked_add(income.amount)?;
        }
    }
    let mut tally = Tally::default();
    for ((symbol, fill_id, kind, asset), stated) in sums {
        let mut fill_count = 0;
        let mut booked: Option<Decimal> = None;
        for side in [Side::Buy, Side::Sell] {
            let key = FillKey { symbol: symbol.clone(), fill_id: fill_id.clone(), side };
            let Some(fill) = book.fills.fill(account, &key).await.doing("reading a fill")? else { continue };
            fill_count += 1;
            let amount = if kind.is(IncomeType::COMMISSION) {
                fill.fact.fee.filter(|fee| fee.asset == *asset).map(|fee| -fee.amount)
            } else {
                fill.fact.exchange_realized_pnl
            };
            if let Some(amount) = amount {
                booked = Some(booked.unwrap_or_default().checked_add(amount)?);
            }
        }
        // Sources do not agree on the sign of a fee: the ledger's counts, and the fold takes it.
        let is_signed = fill_count > 1 || !kind.is(IncomeType::COMMISSION);
        let shown = |amount: Decimal| if is_signed { amount } else { amount.abs() }.round(LEDGER_SCALE);
        let agrees = booked.is_some_and(|booked| shown(booked) == shown(stated));
        tally.compare(agrees, || {
            let what = format!("{kind} {stated} {asset} of {symbol} trade {fill_id}");
            match (fill_count > 0, booked) {
                (false, _) => format!("{what}: the book has no such fill"),
                (true, Some(amount)) => format!("{what}: the book's fill says {amount}"),
                (true, None) => format!("{what}: the book's fill says nothing"),
            }
        });
    }
    let none = "no row of the ledger since the last look is about a trade";
    verification.checks.push(tally.check(CheckName::IncomeHasFills, none));
    Ok(())
}

impl From<MathError> for ReconcileError {
    fn from(error: MathError) -> Self {
        Self::Math(error)
    }
}
