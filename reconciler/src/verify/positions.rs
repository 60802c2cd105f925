//! Quantities and average entries.

use std::collections::BTreeSet;

use exchange_client::VenueFacts;
use ledger_core::{AccountId, Decimal, PositionSide, PositionSnapshot, Symbol};
use ledger_store::{BookPosition, DerivedReader};

use super::{CheckName, Comparison, Verification};
use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::error::{Doing, ReconcileError};
use crate::finding::{Finding, Outlook};
use crate::observe::entry::{EntryDifference, search_memory};
use crate::observe::{Observation, observed_at};

/// Why a position of a look is not compared.
const UNANSWERED: &str = "the exchange did not answer what it holds";

pub(super) async fn check_positions(
    observation: &Observation,
    book: &dyn DerivedReader,
    account: &AccountId,
    verification: &mut Verification,
) -> Result<(), ReconcileError> {
    let on_record = &observation.book.discrepancies;
    let (mut quantity, mut entry) = (Comparison::of("position", on_record), Comparison::of("position", on_record));
    let held = book.positions(account).await.doing("reading the positions")?;
    // What was repaired may have opened a position that neither side knew of when it was looked at.
    let now = held.iter().map(|held| (held.symbol.clone(), held.position.position_side));
    let keys: BTreeSet<_> = observation.position_keys().into_iter().chain(now).collect();
    for (symbol, side) in keys {
        if !observation.is_in_scope(&symbol) {
            continue;
        }
        let Some(stated) = observation.exchange_position(&symbol, side) else {
            let example = || Some(format!("{symbol} {side}"));
            quantity.leave_out_as(1, UNANSWERED, example);
            entry.leave_out_as(1, UNANSWERED, example);
            continue;
        };
        let booked = held.iter().find(|held| held.symbol == symbol && held.position.position_side == side);
        let (stated_qty, booked_qty) =
            (stated.map_or(Decimal::ZERO, |stated| stated.qty), booked.map_or(Decimal::ZERO, |held| held.position.qty));
        let told = format!("{symbol} {side}: the exchange holds {stated_qty}, the book {booked_qty}");
        quantity.compare(stated_qty == booked_qty, || told.clone());
        if stated_qty != booked_qty {
            entry.leave_out(1, "the quantities differ");
            // What cannot be subtracted differs by all of it.
            let beyond = stated_qty.checked_sub(booked_qty).unwrap_or(stated_qty);
            verification.mismatched_positions.insert((symbol, side), (told, beyond));
            continue;
        }
        // Flat, by both: there is no entry.
        let Some(stated) = stated.filter(|stated| !stated.qty.is_zero()) else { continue };
        compare_entry(&mut entry, (&symbol, side), stated, booked, observation.venue, Some(observation));
    }
    let nothing = |none| if observation.positions.is_answered() { none } else { UNANSWERED };
    let none = nothing("neither the exchange nor the book knows of a position");
    quantity.finish(CheckName::Quantity, none, verification);
    entry.finish(CheckName::AverageEntry, nothing("no position is held"), verification);
    Ok(())
}

/// Compares an average entry, up to the exchange's rounding. `look` is what was seen of the exchange by now.
pub(super) fn compare_entry(
    comparison: &mut Comparison<'_>,
    (symbol, side): (&Symbol, PositionSide),
    stated: &PositionSnapshot,
    booked: Option<&BookPosition>,
    venue: &VenueFacts,
    look: Option<&Observation>,
) {
    let Some(price) = stated.entry_price else {
        return comparison.leave_out(1, "the exchange did not state an entry");
    };
    let on_record = comparison.on_record;
    let differs = EntryDifference::between(venue, price, booked);
    let finding = || {
        let booked = booked.and_then(|held| held.position.entry_price_avg);
        let shown = booked.map_or_else(|| "unknown".to_owned(), |price| price.to_string());
        let evidence = format!("{symbol} {side}: the exchange's average entry is {price}, the book's {shown}");
        let subject = Subject::Position(symbol.clone(), side);
        let kind = DiscrepancyKind::AverageEntryMismatch;
        let mut finding = Finding::new(kind, Some(symbol), subject, Outlook::Stays, evidence);
        if let Some(differs) = differs {
            let memory = search_memory(on_record, venue, look, (symbol, side, stated.qty), differs);
            finding.memory = memory.map(Into::into);
            if let Some(look) = look {
                finding = finding.doubted(differs.claim(), &look.looks(observed_at(look)));
            }
        }
        finding
    };
    if booked.is_none_or(|held| held.position.entry_price_avg.is_none()) {
        // Nothing to compare, and a reason to search the exchange's memory.
        comparison.leave_out(1, "the book's own entry is unknown");
        comparison.find(finding());
        return;
    }
    comparison.compare_finding(differs.is_none(), finding);
}
