//! Ledger rows about trades, against the book's fills.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::{AccountId, Asset, Decimal, FillId, FillKey, Income, IncomeType, Side, Symbol};
use serde_json::Value;

use super::{CheckName, Tally, Verification};
use crate::book::Book;
use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::error::{Doing, ReconcileError};
use crate::observation::{Observation, Walk};

/// The digits after the point that ledger amounts have.
const LEDGER_SCALE: u8 = 8;

/// The best detector of missing fills: the ledger lists every trade's profit and fee.
///
/// Both sides of a self-trade share an id, and a trade can have several rows of a type, so sums are compared: all rows
/// of a trade, type and asset against all of its fills.
pub(super) async fn check_income(
    observation: &Observation,
    book: &Book,
    account: &AccountId,
    verification: &mut Verification,
) -> Result<(), ReconcileError> {
    let Ok(walk) = &observation.income else {
        let reason = "the exchange did not answer with its ledger";
        verification.not_checkable(CheckName::IncomeHasFills, reason);
        return Ok(());
    };
    let mut told = ledger_rows(observation, walk)?;
    // What differed before is compared again, until it agrees: its rows may lie far behind this look's.
    for (row, stated) in on_record(observation) {
        told.entry(row).or_insert(stated);
    }
    let mut tally = Tally::default();
    for (row, stated) in told {
        let Row { symbol, fill_id, income_type, asset } = &row;
        let mut fill_count = 0;
        let mut booked: Option<Decimal> = None;
        for side in [Side::Buy, Side::Sell] {
            let key = FillKey { symbol: symbol.clone(), fill_id: fill_id.clone(), side };
            let Some(fill) = book.fills.fill(account, &key).await.doing("reading a fill")? else { continue };
            fill_count += 1;
            let amount = if income_type.is(IncomeType::COMMISSION) {
                fill.fact.fee.filter(|fee| fee.asset == *asset).map(|fee| -fee.amount)
            } else {
                fill.fact.exchange_realized_pnl
            };
            if let Some(amount) = amount {
                booked = Some(booked.unwrap_or_default().checked_add(amount)?);
            }
        }
        // Sources do not agree on the sign of a fee: the ledger's counts, and the fold takes it.
        let is_signed = fill_count > 1 || !income_type.is(IncomeType::COMMISSION);
        let shown = |amount: Decimal| if is_signed { amount } else { amount.abs() }.round(LEDGER_SCALE);
        let agrees = booked.is_some_and(|booked| shown(booked) == shown(stated));
        let subject = Subject::Ledger(symbol.clone(), fill_id.clone(), income_type.clone(), asset.clone());
        tally.compare_subject(agrees, DiscrepancyKind::IncomeMismatch, Some(symbol), subject, || {
            let what = format!("{income_type} {stated} {asset} of {symbol} trade {fill_id}");
            match (fill_count > 0, booked) {
                (false, _) => format!("{what}: the book has no such fill"),
                (true, Some(amount)) => format!("{what}: the book's fill says {amount}"),
                (true, None) => format!("{what}: the book's fill says nothing"),
            }
        });
        if !agrees {
            for (name, value) in row.details(stated) {
                tally.detail(name, value);
            }
        }
    }
    let none = "no row of the ledger since the last look is about a trade";
    tally.finish(CheckName::IncomeHasFills, none, verification);
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

impl Row {
    /// What the journal keeps, to compare it again later.
    fn details(&self, stated: Decimal) -> [(&'static str, String); 4] {
        [
            ("fill_id", self.fill_id.to_string()),
            ("income_type", self.income_type.to_string()),
            ("asset", self.asset.to_string()),
            ("amount", stated.to_string()),
        ]
    }
}

fn ledger_rows(observation: &Observation, walk: &Walk<Income>) -> Result<BTreeMap<Row, Decimal>, ReconcileError> {
    let mut seen = BTreeSet::new();
    let mut sums: BTreeMap<Row, Decimal> = BTreeMap::new();
    for row in &walk.rows {
        let income = &row.entity;
        let income_type = &income.key.income_type;
        let (Some(symbol), Some(fill_id)) = (&income.key.symbol, &income.fill_id) else { continue };
        let is_about_trades = income_type.is(IncomeType::COMMISSION) || income_type.is(IncomeType::REALIZED_PNL);
        if is_about_trades && observation.is_in_scope(symbol) && seen.insert(&income.key) {
            let row = Row {
                symbol: symbol.clone(),
                fill_id: fill_id.clone(),
                income_type: income_type.clone(),
                asset: income.key.asset.clone(),
            };
            let sum = sums.entry(row).or_default();
            *sum = sum.checked_add(income.amount)?;
        }
    }
    Ok(sums)
}

/// The rows that differed at an earlier look.
fn on_record(observation: &Observation) -> Vec<(Row, Decimal)> {
    let kind = DiscrepancyKind::IncomeMismatch.as_str();
    let known = observation.book.discrepancies.iter().filter(|known| known.entry.key.kind == kind);
    known
        .filter_map(|known| {
            let evidence: Value = serde_json::from_str(&known.entry.evidence_json).ok()?;
            let text = |name: &str| evidence.get(name).and_then(Value::as_str);
            let row = Row {
                symbol: known.entry.symbol.clone().filter(|symbol| observation.is_in_scope(symbol))?,
                fill_id: FillId::new(text("fill_id")?).ok()?,
                income_type: text("income_type")?.parse().ok()?,
                asset: Asset::new(text("asset")?).ok()?,
            };
            Some((row, text("amount")?.parse().ok()?))
        })
        .collect()
}
