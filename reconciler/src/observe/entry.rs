//! Average entries that differ: by how much, and whether the exchange's memory was searched for why.
//!
//! An average entry follows from the fills since the position was opened and from nothing before. So fills that pair up, and
//! leave the quantity as it is, are looked for back to there, or as far back as the exchange answers.
//!
//! Invariants, each with a test of the same name:
//! 1. `entries_differ_by_more_than_the_exchange_rounds`.
//! 2. `a_difference_that_only_shrinks_is_not_searched_for_again`.

use exchange_client::VenueFacts;
use ledger_core::{Decimal, Fill, PositionSide, Price, Symbol};
use ledger_store::{BookPosition, Discrepancy};

use super::observation::Observation;
use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::flow::{Flow, Move};
use crate::memory::doubt::Claim;
use crate::memory::{EntryMemory, recall};

/// By how much the exchange's average entry is above the book's; `None` where the book does not know its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntryDifference(Option<Decimal>);

impl EntryDifference {
    /// The difference, if it is more than the exchange's rounding.
    pub(crate) fn between(venue: &VenueFacts, stated: Price, booked: Option<&BookPosition>) -> Option<Self> {
        let Some(booked) = booked.and_then(|held| held.position.entry_price_avg) else { return Some(Self(None)) };
        // What cannot be subtracted is far apart.
        let Ok(apart) = stated.get().checked_sub(booked) else { return Some(Self(None)) };
        (apart.abs() > rounding(venue)).then_some(Self(Some(apart)))
    }

    /// By how much, where the book knows its own.
    pub(crate) fn known(self) -> Option<Decimal> {
        self.0
    }

    /// What a second look has to say as well.
    pub(crate) fn claim(self) -> Claim {
        Claim::EntryDiffers(self.0)
    }

    /// Whether what caused `known` causes this as well. What is added to a position thins a difference out, and what is
    /// closed leaves it: one that has grown, or turned, has another cause.
    fn follows(self, known: Option<Decimal>, venue: &VenueFacts) -> bool {
        let (Some(apart), Some(known)) = (self.0, known) else { return self.0 == known };
        let room = known.abs().checked_add(rounding(venue));
        apart.is_positive() == known.is_positive() && room.is_ok_and(|room| apart.abs() <= room)
    }
}

fn rounding(venue: &VenueFacts) -> Decimal {
    Decimal::new(1, venue.entry_price_scale).unwrap_or_default()
}

/// What is on record of the search for an entry that differs.
fn searched(
    on_record: &[Discrepancy],
    subject: &Subject,
    apart: EntryDifference,
    venue: &VenueFacts,
) -> Option<EntryMemory> {
    let known: EntryMemory = recall(on_record, DiscrepancyKind::AverageEntryMismatch, subject)?;
    apart.follows(known.difference, venue).then_some(known)
}

/// The difference of a position whose quantity agrees, if nobody has looked for its cause in vain, twice.
///
/// Orders of which more was executed than the book's fills tell are asked for by name; until then the book's entry is an
/// estimate that nothing is searched for.
pub(crate) fn unsearched_difference(
    observation: &Observation,
    symbol: &Symbol,
    side: PositionSide,
    stated: Price,
) -> Option<EntryDifference> {
    let book = &observation.book;
    let has_residual = book.orders.values().any(|known| {
        let order = &known.order.fact;
        known.residual_qty.is_some()
            && order.key.symbol == *symbol
            && order.position_side.unwrap_or(PositionSide::Net) == side
    });
    if has_residual {
        return None;
    }
    let apart = EntryDifference::between(observation.venue, stated, book.position(symbol, side))?;
    let subject = Subject::Position(symbol.clone(), side);
    let known = searched(&book.discrepancies, &subject, apart, observation.venue);
    known.is_none_or(|known| !known.again).then_some(apart)
}

/// Whether fills that are complete from some instant on reach back to where the position was opened that is `now`.
pub(crate) fn reaches_opening<'a>(
    fills: impl DoubleEndedIterator<Item = &'a Fill>,
    side: PositionSide,
    now: Decimal,
) -> bool {
    let Ok(flow) = Flow::new(fills, side, now) else { return false };
    flow.open_trip().first().is_some_and(Move::opens)
}

/// What is to be remembered of the search for why an entry still differs. Without a look at the exchange, what is on record.
pub(crate) fn search_memory(
    on_record: &[Discrepancy],
    venue: &VenueFacts,
    look: Option<&Observation>,
    (symbol, side, now): (&Symbol, PositionSide, Decimal),
    apart: EntryDifference,
) -> Option<EntryMemory> {
    let known = searched(on_record, &Subject::Position(symbol.clone(), side), apart, venue);
    let walk = look.and_then(|look| look.symbols.get(symbol)?.fills.answer());
    let reached =
        walk.filter(|walk| walk.reaches_oldest || reaches_opening(walk.in_fold_order().into_iter(), side, now));
    let difference = apart.0;
    match (known, reached) {
        (None, walk) => walk.map(|walk| EntryMemory { difference, since: walk.asked_at, again: false }),
        (Some(known), None) => Some(EntryMemory { difference, ..known }),
        (Some(known), Some(walk)) => {
            let has_settled = walk.asked_at.as_ms().saturating_sub(known.since.as_ms()) > venue.settle_lag_ms;
            // While the ledger names a trade that is on no list, there is something to look for.
            let is_whole = look.is_some_and(|look| !look.unfilled().any(|row| row.key.symbol.as_ref() == Some(symbol)));
            Some(EntryMemory { difference, again: known.again || (has_settled && is_whole), ..known })
        }
    }
}

#[cfg(test)]
mod tests {
    use exchange_client::binance_usdm::VENUE;

    use super::*;
    use crate::finding::{Finding, Outlook};
    use crate::tests::{at, btc, known, long};

    fn price(text: &str) -> Price {
        text.parse().unwrap()
    }

    fn apart(text: &str) -> EntryDifference {
        EntryDifference(Some(text.parse().unwrap()))
    }

    #[test]
    fn entries_differ_by_more_than_the_exchange_rounds() {
        let mut held = long();
        let mut between = |stated: &str, booked: Option<&str>| {
            held.position.entry_price_avg = booked.map(|booked| booked.parse().unwrap());
            EntryDifference::between(&VENUE, price(stated), Some(&held))
                .map(|apart| apart.0.map(|apart| apart.to_string()))
        };
        // The exchange states eight digits.
        assert_eq!(between("100.00000001", Some("100")), None);
        assert_eq!(between("100", Some("100.00000001")), None);
        assert_eq!(between("100.000000011", Some("100")), Some(Some("0.000000011".to_owned())));
        assert_eq!(between("99", Some("100")), Some(Some("-1".to_owned())));
        assert_eq!(between("99", None), Some(None));
        assert!(EntryDifference::between(&VENUE, price("1"), None).is_some());
    }

    #[test]
    fn a_difference_that_only_shrinks_is_not_searched_for_again() {
        let subject = Subject::Position(btc(), PositionSide::Net);
        let finding = |difference: &str| {
            let kind = DiscrepancyKind::AverageEntryMismatch;
            let finding = Finding::new(kind, None, subject.clone(), Outlook::Stays, String::new());
            // What is no number is not known.
            let difference = difference.parse().ok();
            known(&finding.remembering(EntryMemory { difference, since: at(5), again: true }))
        };
        let is_searched = |known: &str, now: EntryDifference| {
            searched(&[finding(known)], &subject, now, &VENUE).is_some_and(|known| known.again && known.since == at(5))
        };
        for (known, now, expected) in [
            ("-2", "-2", true),
            ("-2", "-0.5", true),
            // As far as rounding goes it is the same.
            ("-2", "-2.00000001", true),
            ("-2", "-2.00000002", false),
            ("-2", "0.5", false),
            ("unknown", "-2", false),
        ] {
            assert_eq!(is_searched(known, apart(now)), expected, "{known}, then {now}");
        }
        assert!(is_searched("unknown", EntryDifference(None)) && !is_searched("-2", EntryDifference(None)));
        let other = Subject::Position(btc(), PositionSide::Long);
        assert!(searched(&[finding("-2")], &other, apart("-2"), &VENUE).is_none());
    }
}
