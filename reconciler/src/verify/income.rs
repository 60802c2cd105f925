//! Ledger rows about trades, against the book's fills.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::{AccountId, Asset, Decimal, FillId, FillKey, Income, IncomeType, Side, Symbol, TimestampMs};
use ledger_store::{Discrepancy, IncomeFilter, PageRequest, Scope};
use serde_json::Value;

use super::{BOOK_PAGE_ROWS, CheckName, Extent, Tally, Verification, count};
use crate::book::Book;
use crate::discrepancy::{DiscrepancyKind, Finding, Outlook, Subject};
use crate::error::{Doing, ReconcileError};

/// The digits after the point that ledger amounts have.
const LEDGER_SCALE: u8 = 8;

/// The best detector of missing fills: the ledger lists every trade's profit and fee.
///
/// Both sides of a self-trade share an id, and a trade can have several rows of a type, so sums are compared: all rows
/// of a trade, type and asset against all of its fills.
pub(super) async fn check_income(
    extent: Extent<'_>,
    book: &Book,
    account: &AccountId,
    verification: &mut Verification,
) -> Result<(), ReconcileError> {
    let mut comparing =
        Comparing { book, account, tally: Tally::of("row", extent.on_record()), untold: 0, beyond: None };
    let mut nameless = 0;
    let none = match extent {
        Extent::Look(observation) => {
            let Ok(walk) = &observation.income else {
                let reason = "the exchange did not answer with its ledger";
                verification.not_checkable(CheckName::IncomeHasFills, reason);
                return Ok(());
            };
            let mut seen = BTreeSet::new();
            let mut told = Sums::default();
            for row in walk.rows.iter().map(|row| &row.entity).filter(|row| seen.insert(&row.key)) {
                nameless += told.add(row, extent);
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
            nameless = all_of(&mut comparing, extent).await?;
            "no row of the ledger is about a trade"
        }
    };
    let Comparing { mut tally, untold, beyond, .. } = comparing;
    let named = (nameless > 0).then(|| format!("{} that {} no fill", count(nameless, "row"), verb(nameless, "name")));
    let untold = (untold > 0).then(|| format!("the fills of {} say nothing of it", count(untold, "row")));
    let beside = [named, untold, beyond].into_iter().flatten().collect::<Vec<_>>().join(", ");
    let none = if beside.is_empty() { none.to_owned() } else { beside.clone() };
    tally.beside = (!beside.is_empty()).then_some(beside);
    tally.finish(CheckName::IncomeHasFills, &none, verification);
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

/// The rows' times and sums; no sum where it does not fit.
#[derive(Default)]
struct Sums(BTreeMap<Row, (TimestampMs, Option<Decimal>)>);

impl Sums {
    /// Adds a row, and answers how many rows about trades it leaves out for want of a name: one or none.
    fn add(&mut self, income: &Income, extent: Extent<'_>) -> usize {
        let income_type = &income.key.income_type;
        if !income_type.is(IncomeType::COMMISSION) && !income_type.is(IncomeType::REALIZED_PNL) {
            return 0;
        }
        let (Some(symbol), Some(fill_id)) = (&income.key.symbol, &income.fill_id) else { return 1 };
        if extent.covers(symbol) {
            let row = Row {
                symbol: symbol.clone(),
                fill_id: fill_id.clone(),
                income_type: income_type.clone(),
                asset: income.key.asset.clone(),
            };
            let (_, sum) = self.0.entry(row).or_insert((income.time.at, Some(Decimal::ZERO)));
            *sum = sum.and_then(|sum| sum.checked_add(income.amount).ok());
        }
        0
    }
}

/// Compares the whole ledger, page by page, and answers how many rows name no fill.
async fn all_of(comparing: &mut Comparing<'_>, extent: Extent<'_>) -> Result<usize, ReconcileError> {
    let filter = IncomeFilter { scope: Scope::account(comparing.account.clone()), income_type: None };
    let (mut sums, mut nameless) = (Sums::default(), 0);
    let mut request = PageRequest::first(BOOK_PAGE_ROWS);
    loop {
        let page = comparing.book.income.income(&filter, &request).await.doing("reading the income")?;
        let read_to = page.items.last().map(|row| row.fact.time.at);
        for row in &page.items {
            nameless += sums.add(&row.fact, extent);
        }
        // The rows of a fill share its time, so those of earlier times are complete.
        let complete = match (&page.next, read_to) {
            (Some(_), Some(read_to)) => sums.0.extract_if(.., |_, (at, _)| *at < read_to).collect(),
            _ => std::mem::take(&mut sums.0),
        };
        for (row, (_, stated)) in complete {
            comparing.compare(&row, stated).await?;
        }
        match page.next {
            Some(cursor) => request = request.after(cursor),
            None => return Ok(nameless),
        }
    }
}

/// The rows that differed at an earlier look.
fn on_record(extent: Extent<'_>) -> Vec<(Row, Decimal)> {
    let kind = DiscrepancyKind::IncomeMismatch.as_str();
    let row = |known: &Discrepancy| {
        let evidence: Value = serde_json::from_str(&known.entry.evidence_json).ok()?;
        let text = |name: &str| evidence.get(name).and_then(Value::as_str);
        let row = Row {
            symbol: known.entry.symbol.clone().filter(|symbol| extent.covers(symbol))?,
            fill_id: FillId::new(text("fill_id")?).ok()?,
            income_type: text("income_type")?.parse().ok()?,
            asset: Asset::new(text("asset")?).ok()?,
        };
        Some((row, text("amount")?.parse().ok()?))
    };
    extent.on_record().iter().filter(|known| known.entry.key.kind == kind).filter_map(row).collect()
}

struct Comparing<'a> {
    book: &'a Book,
    account: &'a AccountId,
    tally: Tally<'a>,
    /// Rows whose fills are there and say nothing of the amount: nothing to compare with, and nothing that differs.
    untold: usize,
    /// The first row of which amounts cannot be added up exactly: one of them keeps no other from being compared.
    beyond: Option<String>,
}

impl Comparing<'_> {
    async fn compare(&mut self, row: &Row, stated: Option<Decimal>) -> Result<(), ReconcileError> {
        let Row { symbol, fill_id, income_type, asset } = row;
        let Some(stated) = stated else {
            self.cannot_add_up(row);
            return Ok(());
        };
        let (mut fill_count, mut booked) = (0, Decimal::ZERO);
        for side in [Side::Buy, Side::Sell] {
            let key = FillKey { symbol: symbol.clone(), fill_id: fill_id.clone(), side };
            let Some(fill) = self.book.fills.fill(self.account, &key).await.doing("reading a fill")? else { continue };
            fill_count += 1;
            let amount = if income_type.is(IncomeType::COMMISSION) {
                // A fee in another asset says that none was paid in this one.
                fill.fact.fee.map(|fee| if fee.asset == *asset { -fee.amount } else { Decimal::ZERO })
            } else {
                fill.fact.exchange_realized_pnl
            };
            let Some(amount) = amount else {
                self.untold += 1;
                return Ok(());
            };
            let Ok(sum) = booked.checked_add(amount) else {
                self.cannot_add_up(row);
                return Ok(());
            };
            booked = sum;
        }
        // Sources do not agree on the sign of a fee: the ledger's counts, and the fold takes it.
        let is_signed = fill_count > 1 || !income_type.is(IncomeType::COMMISSION);
        let shown = |amount: Decimal| if is_signed { amount } else { amount.abs() }.round(LEDGER_SCALE);
        let agrees = fill_count > 0 && shown(booked) == shown(stated);
        self.tally.compare_finding(agrees, || {
            let what = format!("{income_type} {stated} {asset} of {symbol} trade {fill_id}");
            let evidence = if fill_count == 0 {
                format!("{what}: the book has no such fill")
            } else {
                format!("{what}: the book's fill says {booked}")
            };
            let subject = Subject::Ledger(symbol.clone(), fill_id.clone(), income_type.clone(), asset.clone());
            // What is needed to compare it again later.
            Finding::new(DiscrepancyKind::IncomeMismatch, Some(symbol), subject, Outlook::Stays, evidence)
                .with("fill_id", fill_id.to_string())
                .with("income_type", income_type.to_string())
                .with("asset", asset.to_string())
                .with("amount", stated.to_string())
        });
        Ok(())
    }

    fn cannot_add_up(&mut self, row: &Row) {
        let Row { symbol, fill_id, income_type, asset } = row;
        self.beyond.get_or_insert_with(|| {
            format!("{income_type} in {asset} of {symbol} trade {fill_id} cannot be added up exactly")
        });
    }
}

fn verb(number: usize, verb: &str) -> String {
    if number == 1 { format!("{verb}s") } else { verb.to_owned() }
}
