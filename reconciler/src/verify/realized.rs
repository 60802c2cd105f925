//! What each fill realized, against what the exchange says it did: the first difference of each round trip, for those
//! after it follow from it.

use std::collections::BTreeMap;

use ledger_core::{AccountId, Decimal, Symbol, TimestampMs};
use ledger_store::{DerivedReader, PageRequest, Pages, PnlMismatch, Scope, TripFilter};

use super::{BOOK_PAGE_ROWS, CheckName, Comparison, Extent, UNCOMPUTED, Verification};
use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::error::{Doing, ReconcileError};
use crate::finding::{Finding, Outlook};
use crate::memory::doubt::Claim;
use crate::observe::{Observation, observed_at};

pub(super) async fn check_realized(
    extent: Extent<'_>,
    book: &dyn DerivedReader,
    account: &AccountId,
    verification: &mut Verification,
) -> Result<(), ReconcileError> {
    let mut comparison = Comparison::of("fill", extent.on_record());
    let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    for symbol_book in book.symbol_books(account).await.doing("reading the symbols")? {
        if extent.covers(&symbol_book.symbol) {
            let (unreported, unknown) = (symbol_book.pnl_unreported_count, symbol_book.pnl_unknown_count);
            comparison.compared += number(symbol_book.fill_count.saturating_sub(unreported).saturating_sub(unknown));
            comparison.leave_out(number(unreported), "the exchange's figure is not on record");
            comparison.leave_out(number(unknown), "the book's own figure is unknown");
            comparison.leave_out(number(symbol_book.unplaced_count), "the position that changed is not known");
        }
    }
    for contract in extent.uncomputed() {
        comparison.leave_out(contract.fill_count, UNCOMPUTED);
    }
    let folded = comparison.compared;
    let mut of_symbol: BTreeMap<Symbol, Vec<PnlMismatch>> = BTreeMap::new();
    let mut pages = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| book.pnl_mismatches(account, page));
    while let Some(page) = pages.next().await.doing("reading the realized profits")? {
        for mismatch in page.items {
            of_symbol.entry(mismatch.key.symbol.clone()).or_default().push(mismatch);
        }
    }
    for (symbol, mismatches) in of_symbol.into_iter().filter(|(symbol, _)| extent.covers(symbol)) {
        for mismatch in first_of_each_trip(book, account, &symbol, mismatches).await? {
            let shown =
                |amount: Option<Decimal>| amount.map_or_else(|| "unknown".to_owned(), |amount| amount.to_string());
            let (reported, derived) = (shown(mismatch.reported), shown(mismatch.derived));
            let key = mismatch.key;
            let subject = Subject::Fill(key.clone());
            let evidence = format!(
                "{symbol} trade {}: the exchange reported {reported}, the fills lead to {derived}",
                key.fill_id
            );
            let kind = DiscrepancyKind::RealizedPnlMismatch;
            let finding = Finding::new(kind, Some(&symbol), subject, Outlook::Stays, evidence);
            let finding = match extent {
                Extent::Look(observation) if !has_all_fills(observation, verification, &symbol) => {
                    let differs = mismatch.derived.zip(mismatch.reported);
                    let differs = differs.and_then(|(derived, reported)| derived.checked_sub(reported).ok());
                    let looks = observation.looks(observed_at(observation));
                    let looks = looks.having_asked(observation.asks_for_fills_of(&symbol));
                    finding.doubted(differs.map_or(Claim::Holds, Claim::Differs), &looks)
                }
                _ => finding,
            };
            comparison.compare_finding(false, || finding);
        }
    }
    // Every mismatch is a fill that was folded.
    comparison.compared = folded.max(comparison.count);
    let none = "no fill is on record";
    comparison.finish(CheckName::RealizedPnl, none, verification);
    Ok(())
}

/// Whether a look shows that a profit follows from all fills of its contract: the exchange holds what they lead to, and neither
/// an order nor the ledger names another. Otherwise it rests on what may not have been listed.
fn has_all_fills(observation: &Observation, verification: &Verification, symbol: &Symbol) -> bool {
    observation.exchange_positions(symbol).is_some()
        && verification.mismatched_positions.keys().all(|(of, _)| of != symbol)
        && verification.unfilled_orders.keys().all(|key| key.symbol != *symbol)
        && observation.unfilled().all(|row| row.key.symbol.as_ref() != Some(symbol))
}

/// The first mismatch of every round trip; those of the open ones count as one.
async fn first_of_each_trip(
    book: &dyn DerivedReader,
    account: &AccountId,
    symbol: &Symbol,
    mut mismatches: Vec<PnlMismatch>,
) -> Result<Vec<PnlMismatch>, ReconcileError> {
    mismatches.sort_by_key(|mismatch| mismatch.at);
    let Some(since) = mismatches.first().map(|first| first.at) else { return Ok(mismatches) };
    let scope = Scope { since: Some(since), ..Scope::symbol(account.clone(), symbol.clone()) };
    let filter = TripFilter { scope, engine: None, position_side: None };
    let mut ends: Vec<TimestampMs> = Vec::new();
    let mut pages = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| book.trips(&filter, page));
    while let Some(page) = pages.next().await.doing("reading the round trips")? {
        ends.extend(page.items.iter().filter_map(|trip| trip.closed_at));
    }
    ends.sort_unstable();
    let mut last_trip = None;
    mismatches.retain(|mismatch| {
        let trip = ends.partition_point(|end| *end < mismatch.at);
        last_trip.replace(trip) != Some(trip)
    });
    Ok(mismatches)
}
