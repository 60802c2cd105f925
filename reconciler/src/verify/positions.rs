//! Quantities and average entries.

use std::collections::BTreeSet;

use ledger_core::{AccountId, Decimal, PositionSide, Price, Symbol};
use ledger_store::BookPosition;

use super::{CheckName, Tally, Verification};
use crate::book::Book;
use crate::discrepancy::{DiscrepancyKind, Finding, Outlook, Subject};
use crate::error::{Doing, ReconcileError};
use crate::observation::Observation;

pub(super) async fn check_positions(
    observation: &Observation,
    book: &Book,
    account: &AccountId,
    verification: &mut Verification,
) -> Result<(), ReconcileError> {
    let on_record = &observation.book.discrepancies;
    let (mut quantity, mut entry) = (Tally::of("position", on_record), Tally::of("position", on_record));
    let mut unanswered = BTreeSet::new();
    let held = book.positions.positions(account).await.doing("reading the positions")?;
    let unit = Decimal::new(1, observation.venue.entry_price_scale)?;
    // What was repaired may have opened a position that neither side knew of when it was looked at.
    let now = held.iter().map(|held| (held.symbol.clone(), held.position.position_side));
    let keys: BTreeSet<_> = observation.position_keys().into_iter().chain(now).collect();
    for (symbol, side) in keys {
        if !observation.is_in_scope(&symbol) {
            continue;
        }
        let Some(stated) = observation.exchange_position(&symbol, side) else {
            unanswered.insert(symbol);
            continue;
        };
        let booked = held.iter().find(|held| held.symbol == symbol && held.position.position_side == side);
        let (stated_qty, booked_qty) =
            (stated.map_or(Decimal::ZERO, |stated| stated.qty), booked.map_or(Decimal::ZERO, |held| held.position.qty));
        quantity.compare(stated_qty == booked_qty, || {
            format!("{symbol} {side}: the exchange holds {stated_qty}, the book {booked_qty}")
        });
        if stated_qty != booked_qty {
            verification.mismatched_positions.insert((symbol, side));
            continue;
        }
        let Some(price) = stated.and_then(|stated| stated.entry_price) else { continue };
        compare_entry(&mut entry, &symbol, side, price, unit, booked);
    }
    let all_unanswered = observation.positions.is_err() && quantity.compared == 0;
    // What could be compared and differs is worth more than what could not.
    if (all_unanswered || !unanswered.is_empty()) && quantity.count == 0 {
        let symbols: Vec<&str> = unanswered.iter().map(Symbol::as_str).collect();
        let what = if symbols.is_empty() { "anything".to_owned() } else { symbols.join(", ") };
        let reason = format!("the exchange did not say what it holds of {what}");
        verification.not_checkable(CheckName::Quantity, reason.clone());
        verification.not_checkable(CheckName::AverageEntry, reason);
        return Ok(());
    }
    quantity.finish(CheckName::Quantity, "neither the exchange nor the book knows of a position", verification);
    entry.finish(CheckName::AverageEntry, "no position is held on which both sides agree", verification);
    Ok(())
}

/// Compares an average entry, up to the exchange's rounding.
pub(super) fn compare_entry(
    tally: &mut Tally<'_>,
    symbol: &Symbol,
    side: PositionSide,
    stated: Price,
    unit: Decimal,
    booked: Option<&BookPosition>,
) {
    let stated = stated.get();
    let booked = booked.and_then(|held| held.position.entry_price_avg);
    let agrees = match booked {
        Some(booked) => stated.checked_sub(booked).is_ok_and(|apart| apart.abs() <= unit),
        None => false,
    };
    tally.compare_finding(agrees, || {
        let shown = booked.map_or_else(|| "unknown".to_owned(), |price| price.to_string());
        let evidence = format!("{symbol} {side}: the exchange's average entry is {stated}, the book's {shown}");
        let subject = Subject::Position(symbol.clone(), side);
        Finding::new(DiscrepancyKind::AverageEntryMismatch, Some(symbol), subject, Outlook::Stays, evidence)
    });
}
