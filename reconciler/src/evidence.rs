//! What earlier looks left in the journal, read back: planning remembers nothing by itself.

use ledger_core::{Decimal, OrderId, OrderKey, Signal};
use ledger_store::Discrepancy;
use serde_json::Value;

use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::observe::BookView;

/// The name of the count of looks that found nothing, in a discrepancy's evidence.
pub(crate) const MISSES: &str = "misses";
/// The name of the orders that may be meant.
pub(crate) const CANDIDATES: &str = "candidates";

/// The name of the moment since which the same orders may be meant, by the exchange's clock.
pub(crate) const SINCE: &str = "candidates_since";

/// The name of the strategy that is told, in a discrepancy's evidence.
pub(crate) const ENGINE: &str = "engine";
/// The name of who tells it.
pub(crate) const TOLD_BY: &str = "told_by";
/// The name of the exchange's time at which the same was first inferred.
pub(crate) const FOUND_SINCE: &str = "first_found";

/// The name of what the exchange holds beyond the book, in the evidence of a differing position.
pub(crate) const DIFFERENCE: &str = "difference";
/// The name of the exchange's time at which its whole memory was first searched for what explains that.
pub(crate) const SEARCHED: &str = "searched";
/// The name of whether it was searched again once everything that may lag was there.
pub(crate) const SEARCHED_AGAIN: &str = "searched_again";

/// The kinds under which a differing position may be on record.
pub(crate) const POSITION_KINDS: &[DiscrepancyKind] =
    &[DiscrepancyKind::UnrecordedPosition, DiscrepancyKind::UnrecordedClose, DiscrepancyKind::PositionMismatch];

/// Since when the exchange's whole memory has been searched in vain for what explains that it holds `difference` more
/// than the book, and whether that was done again.
pub(crate) fn searched(book: &BookView, subject: &Subject, difference: Decimal) -> Option<(i64, bool)> {
    POSITION_KINDS.iter().find_map(|kind| {
        let said = |name: &str| on_record(book, *kind, subject, name);
        let is_same = said(DIFFERENCE).is_some_and(|said| said == difference.to_string());
        let since = said(SEARCHED).filter(|_| is_same)?.as_i64()?;
        Some((since, said(SEARCHED_AGAIN).is_some_and(|again| again == true)))
    })
}

/// The order that a discrepancy on record is about.
pub(crate) fn order_of(known: &Discrepancy) -> Option<OrderKey> {
    let symbol = known.entry.symbol.as_ref()?;
    let rest = known.entry.key.fingerprint.strip_prefix(symbol.as_str())?.strip_prefix('/')?;
    let (class, id) = rest.split_once('/')?;
    Some(OrderKey { symbol: symbol.clone(), class: class.parse().ok()?, order_id: OrderId::new(id).ok()? })
}

/// A detail of the evidence that is on record for a discrepancy.
pub(crate) fn on_record(book: &BookView, kind: DiscrepancyKind, subject: &Subject, name: &str) -> Option<Value> {
    let key = ledger_store::DiscrepancyKey { kind: kind.as_str().to_owned(), fingerprint: subject.to_string() };
    let known = book.discrepancy(&key)?;
    let mut evidence: Value = serde_json::from_str(&known.entry.evidence_json).ok()?;
    evidence.get_mut(name).map(Value::take)
}

/// In how many earlier cycles the exchange knew nothing of the subject.
pub(crate) fn misses_on_record(book: &BookView, kind: DiscrepancyKind, subject: &Subject) -> u32 {
    let misses = on_record(book, kind, subject, MISSES).and_then(|misses| misses.as_u64());
    misses.and_then(|misses| u32::try_from(misses).ok()).unwrap_or(0)
}

/// In how many earlier cycles nothing decided which order followed a signal.
pub(crate) fn signal_misses(book: &BookView, signal: &Signal) -> u32 {
    let subject = Subject::Signal(signal.signal_id.clone());
    let kinds = [DiscrepancyKind::SignalWithoutOrder, DiscrepancyKind::AmbiguousSignal];
    kinds.into_iter().map(|kind| misses_on_record(book, kind, &subject)).max().unwrap_or(0)
}
