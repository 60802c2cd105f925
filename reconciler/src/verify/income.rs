//! Ledger rows about trades, against the book's fills.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::{AccountId, Asset, Decimal, FillId, FillKey, Income, IncomeType, Side, Symbol, TimestampMs};
use ledger_store::{IncomeFilter, PageRequest, Pages, Scope};

use super::told::ToldRows;
use super::unnamed::Unnamed;
use super::{BOOK_PAGE_ROWS, CheckName, Comparison, Extent, Verification};
use crate::asked::Asked;
use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::error::{Doing, ReconcileError};
use crate::finding::{Finding, Outlook};
use crate::memory::doubt::{Claim, Looks};
use crate::memory::{LedgerRowMemory, recall_all};
use crate::unreadable::ReadableBook;

/// The digits after the point that ledger amounts have.
pub(super) const LEDGER_SCALE: u8 = 8;

/// The best detector of missing fills: the ledger lists every trade's profit and fee.
///
/// Both sides of a self-trade share an id, and a trade can have several rows of a type, so sums are compared: all rows
/// of a trade, type and asset against all of its fills.
pub(super) async fn check_income(
    extent: Extent<'_>,
    book: &ReadableBook<'_>,
    account: &AccountId,
    verification: &mut Verification,
) -> Result<(), ReconcileError> {
    let comparison = Comparison::of("row", extent.on_record());
    let (looks, told) = (extent.looks(), ToldRows::of(extent));
    let mut comparing = Comparing { book, account, comparison, looks, told };
    let none = match extent {
        Extent::Look(observation) => {
            let Asked::Answered(walk) = &observation.income else {
                let reason = "the exchange did not answer with its ledger";
                verification.not_checkable(CheckName::IncomeHasFills, reason);
                return Ok(());
            };
            let mut seen = BTreeSet::new();
            let mut told = Sums::default();
            for row in walk.rows.iter().map(|row| &row.entity).filter(|row| seen.insert(&row.key)) {
                if told.add(row, extent) == Named::No {
                    comparing.comparison.leave_out(1, "no trade is named");
                }
            }
            // What differed before is compared again, until it agrees: its rows may lie far behind this look's.
            for (row, stated) in on_record(extent) {
                told.0.entry(row).or_insert((walk.asked_at, Some(stated)));
            }
            for (row, (_, stated)) in told.0 {
                comparing.compare(&row, stated).await?;
            }
            "no row of the ledger since the last look is about a trade"
        }
        Extent::Book { .. } => {
            let unnamed = all_of(&mut comparing, extent).await?;
            unnamed.compare(book, account, &mut comparing.comparison).await?;
            "no row of the ledger is about a trade"
        }
    };
    comparing.comparison.finish(CheckName::IncomeHasFills, none, verification);
    Ok(())
}

/// What rows of the ledger are added up by: all rows of a trade, type and asset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    symbol: Symbol,
    fill_id: FillId,
    income_type: IncomeType,
    asset: Asset,
}

/// Whether a row of the ledger names the trade that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Yes,
    No,
    /// It is about no trade, or about none that is looked at.
    Other,
}

/// The rows' times and sums; no sum where it does not fit.
#[derive(Default)]
struct Sums(BTreeMap<Row, (TimestampMs, Option<Decimal>)>);

impl Sums {
    /// Adds a row that names a trade.
    fn add(&mut self, income: &Income, extent: Extent<'_>) -> Named {
        let income_type = &income.key.income_type;
        if !income_type.is(IncomeType::COMMISSION) && !income_type.is(IncomeType::REALIZED_PNL) {
            return Named::Other;
        }
        if income.key.symbol.as_ref().is_some_and(|symbol| !extent.covers(symbol)) {
            return Named::Other;
        }
        let (Some(symbol), Some(fill_id)) = (&income.key.symbol, &income.fill_id) else { return Named::No };
        let row = Row {
            symbol: symbol.clone(),
            fill_id: fill_id.clone(),
            income_type: income_type.clone(),
            asset: income.key.asset.clone(),
        };
        let (_, sum) = self.0.entry(row).or_insert((income.time.at, Some(Decimal::ZERO)));
        *sum = sum.and_then(|sum| sum.checked_add(income.amount).ok());
        Named::Yes
    }
}

/// Compares the rows of the whole ledger that name their trade, page by page, and answers the others.
async fn all_of(comparing: &mut Comparing<'_>, extent: Extent<'_>) -> Result<Unnamed, ReconcileError> {
    let filter = IncomeFilter { scope: Scope::account(comparing.account.clone()), income_type: None };
    let (mut sums, mut unnamed) = (Sums::default(), Unnamed::default());
    let mut pages = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| comparing.book.income(&filter, page));
    while let Some(page) = pages.next().await.doing("reading the income")? {
        let read_to = page.items.last().map(|row| row.fact.time.at);
        for row in &page.items {
            match sums.add(&row.fact, extent) {
                Named::No => unnamed.add(&row.fact, &mut comparing.comparison),
                Named::Yes => unnamed.name(&row.fact),
                Named::Other => {}
            }
        }
        // The rows of a fill share its time, so those of earlier times are complete.
        let complete = match (&page.next, read_to) {
            (Some(_), Some(read_to)) => sums.0.extract_if(.., |_, (at, _)| *at < read_to).collect(),
            _ => std::mem::take(&mut sums.0),
        };
        for (row, (_, stated)) in complete {
            comparing.compare(&row, stated).await?;
        }
    }
    Ok(unnamed)
}

/// The rows that differed at an earlier look.
fn on_record(extent: Extent<'_>) -> Vec<(Row, Decimal)> {
    let known = recall_all::<LedgerRowMemory>(extent.on_record());
    known
        .filter_map(|(known, LedgerRowMemory { fill_id, income_type, asset, amount })| {
            let symbol = known.entry.symbol.clone().filter(|symbol| extent.covers(symbol))?;
            Some((Row { symbol, fill_id, income_type, asset }, amount))
        })
        .collect()
}

struct Comparing<'a> {
    book: &'a ReadableBook<'a>,
    account: &'a AccountId,
    comparison: Comparison<'a>,
    looks: Option<Looks<'a>>,
    told: ToldRows,
}

impl Comparing<'_> {
    async fn compare(&mut self, row: &Row, stated: Option<Decimal>) -> Result<(), ReconcileError> {
        let Row { symbol, fill_id, income_type, asset } = row;
        let Some(stated) = stated else {
            self.cannot_add_up(row);
            return Ok(());
        };
        // One for each half of a trade with oneself.
        let (mut halves, mut booked) = (Vec::new(), Decimal::ZERO);
        for side in [Side::Buy, Side::Sell] {
            let key = FillKey { symbol: symbol.clone(), fill_id: fill_id.clone(), side };
            let Some(fill) = self.book.fill(self.account, &key).await.doing("reading a fill")? else { continue };
            let amount = if income_type.is(IncomeType::COMMISSION) {
                // A fee in another asset says that none was paid in this one.
                fill.fact.fee.map(|fee| if fee.asset == *asset { -fee.amount } else { Decimal::ZERO })
            } else {
                fill.fact.exchange_realized_pnl
            };
            let Some(amount) = amount else {
                // Nothing to compare with, and nothing that differs.
                self.comparison.leave_out(1, "the fills do not state the amount");
                return Ok(());
            };
            let Ok(sum) = booked.checked_add(amount) else {
                self.cannot_add_up(row);
                return Ok(());
            };
            halves.push(amount);
            booked = sum;
        }
        if agree(income_type, &halves, booked, stated) {
            self.comparison.compared += 1;
            return Ok(());
        }
        // What this look's answer says may be less than what is known.
        let (stated, row_count) = self.known(row, stated).await?;
        if agree(income_type, &halves, booked, stated) {
            self.comparison.compared += 1;
        } else if halves.len() > row_count && halves.iter().any(|half| agree(income_type, &[*half], *half, stated)) {
            // What is demanded and missing is told as that.
            self.comparison.leave_out(1, "the row of the trade's other half is missing");
        } else {
            self.differs(row, stated, booked, (halves.len(), row_count));
        }
        Ok(())
    }

    /// What all rows of a trade that are known add up to, and how many there are.
    async fn known(&self, row: &Row, stated: Decimal) -> Result<(Decimal, usize), ReconcileError> {
        let Row { symbol, fill_id, income_type, asset } = row;
        let rows = self.told.with_booked(&**self.book, self.account, symbol, fill_id).await?;
        let rows = rows.iter().filter(|known| known.key.income_type == *income_type && known.key.asset == *asset);
        let amounts: Vec<Decimal> = rows.map(|known| known.amount).collect();
        let sum = amounts.iter().try_fold(Decimal::ZERO, |sum, amount| sum.checked_add(*amount));
        Ok(sum.ok().filter(|_| !amounts.is_empty()).map_or((stated, 1), |sum| (sum, amounts.len())))
    }

    fn differs(&mut self, row: &Row, stated: Decimal, booked: Decimal, (fill_count, row_count): (usize, usize)) {
        let Row { symbol, fill_id, income_type, asset } = row;
        let what = format!("{income_type} {stated} {asset} of {symbol} trade {fill_id}");
        let evidence = if fill_count == 0 {
            format!("{what}: the book has no such fill")
        } else {
            format!("{what}: the book's fill says {booked}")
        };
        let subject = Subject::Ledger(symbol.clone(), fill_id.clone(), income_type.clone(), asset.clone());
        let finding = Finding::new(DiscrepancyKind::IncomeMismatch, Some(symbol), subject, Outlook::Stays, evidence);
        // What is needed to compare it again later.
        let finding = finding.remembering(LedgerRowMemory {
            fill_id: fill_id.clone(),
            income_type: income_type.clone(),
            asset: asset.clone(),
            amount: stated,
        });
        let finding = match &self.looks {
            // Two rows that differ are two rows; more of the ledger's than fills rest on a fill not being listed.
            Some(looks) if fill_count < row_count => finding.doubted(Claim::Holds, looks),
            _ => finding,
        };
        self.comparison.compare_finding(false, || finding);
    }

    fn cannot_add_up(&mut self, row: &Row) {
        let Row { symbol, fill_id, income_type, asset } = row;
        self.comparison.leave_out_as(1, "the amounts cannot be added up exactly", || {
            Some(format!("{income_type} in {asset} of {symbol} trade {fill_id}"))
        });
    }
}

/// Whether a trade's rows say what its fills do. Sources do not agree on the sign of a fee: the ledger's counts, and the fold
/// takes it.
fn agree(income_type: &IncomeType, halves: &[Decimal], booked: Decimal, stated: Decimal) -> bool {
    let is_signed = halves.len() > 1 || !income_type.is(IncomeType::COMMISSION);
    let shown = |amount: Decimal| if is_signed { amount } else { amount.abs() }.round(LEDGER_SCALE);
    !halves.is_empty() && shown(booked) == shown(stated)
}
