//! What was confirmed, and is not in the book any more: somebody deleted rows, or the file was damaged in a way that the database
//! engine does not notice.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_missing_row_is_told_once`, by the list that holds all of its kind.
//! 2. `rows_that_came_in_addition_are_no_loss`.

use exchange_client::VenueFacts;
use ledger_core::{AccountId, TimestampMs};
use ledger_store::{BrokenProof, Discrepancy, DiscrepancyStatus, Journal, ProofCheck, ProofDepth, Stretch};

use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::error::{Doing, ReconcileError};
use crate::finding::{Finding, Outlook};
use crate::streams::{CONDITIONAL_ORDERS, FILLS, FORCE_ORDERS, FUNDING_RATES, INCOME, ORDERS};
use crate::wording::instant;

/// Up to how many confirmed rows a look reads the identity of each. Of more it counts them, and reads those that are not as
/// many as they were.
const READ_MAX: u64 = 250_000;

/// What came of holding the book against what was confirmed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Proven {
    /// How many stretches there are.
    pub(crate) checked: u64,
    /// How many rows were confirmed.
    pub(crate) rows: u64,
    /// Where rows are missing.
    pub(crate) lost: Vec<BrokenProof>,
    /// Where there are more than there were: somebody brought what the exchange did not list.
    pub(crate) grown: Vec<BrokenProof>,
}

impl Proven {
    /// Every row.
    pub(crate) async fn of_book(book: &dyn Journal, account: &AccountId) -> Result<Self, ReconcileError> {
        Self::read(book, account, ProofDepth::Identities).await
    }

    /// As much as a look has time for. Where something is told as lost, every row: whether it came back is to be seen.
    pub(crate) async fn of_look(
        book: &dyn Journal,
        account: &AccountId,
        on_record: &[Discrepancy],
    ) -> Result<Self, ReconcileError> {
        let counted = Self::read(book, account, ProofDepth::Counts).await?;
        let is_told = |known: &Discrepancy| {
            known.entry.key.kind == DiscrepancyKind::LostRows.as_str()
                && known.entry.status != DiscrepancyStatus::Acknowledged
        };
        if counted.rows > READ_MAX && !on_record.iter().any(is_told) {
            return Ok(counted);
        }
        Self::of_book(book, account).await
    }

    async fn read(book: &dyn Journal, account: &AccountId, depth: ProofDepth) -> Result<Self, ReconcileError> {
        let check = book.check_proofs(account, depth).await.doing("reading what was confirmed")?;
        Ok(Self::new(check))
    }

    fn new(check: ProofCheck) -> Self {
        let ProofCheck { checked, rows, broken } = check;
        let (mut lost, grown): (Vec<_>, Vec<_>) = broken.into_iter().partition(|broken| broken.missing() > 0);
        // Forced orders are on the list of all orders, too.
        let orders: Vec<Stretch> = lost
            .iter()
            .filter(|broken| broken.proof.stretch.stream == ORDERS)
            .map(|broken| broken.proof.stretch.clone())
            .collect();
        lost.retain(|BrokenProof { proof, .. }| {
            let Stretch { stream, since, until, .. } = &proof.stretch;
            stream != FORCE_ORDERS || !orders.iter().any(|of_all| of_all.since < *until && *since < of_all.until)
        });
        Self { checked, rows, lost, grown }
    }
}

/// What is told of a stretch in which rows are missing. The words depend on nothing but what is missing, so that they are the
/// same in every look, and what somebody accepted stays accepted.
pub(crate) fn lost_rows(broken: &BrokenProof) -> Finding {
    let Stretch { stream, symbol, since, until } = &broken.proof.stretch;
    let (missing, count) = (broken.missing(), broken.proof.tally.count);
    let what = match stream.as_str() {
        INCOME => "ledger rows",
        ORDERS => "orders",
        CONDITIONAL_ORDERS => "conditional orders",
        FORCE_ORDERS => "orders by which it closed positions",
        FILLS => "fills",
        FUNDING_RATES => "funding rates",
        other => other,
    };
    let of = symbol.as_ref().map_or_else(String::new, |symbol| format!(" of {symbol}"));
    let at_least = if broken.found.count == count { "at least " } else { "" };
    let evidence = format!(
        "the book lacks {at_least}{missing} of the {count} {what}{of} that the exchange stated from {} to {}; `fillbook sync` \
         reads that time again and restores what the exchange still lists; what it does not list any more comes back with \
         the export files of that time, or is lost: then acknowledge it",
        instant(*since),
        instant(*until)
    );
    let stream = symbol.as_ref().map_or_else(|| stream.clone(), |symbol| format!("{stream} of {symbol}"));
    let subject = Subject::History(stream, *since);
    Finding::new(DiscrepancyKind::LostRows, symbol.as_ref(), subject, Outlook::Verify, evidence)
        .with("missing", missing)
        .with("stated", count)
        .with("until_ts", until.as_ms())
}

/// Which stretches are read again where rows of one are missing, or came in addition. Fills are asked for where the ledger or
/// an order names them.
pub(crate) fn read_again(stretch: &Stretch, venue: &VenueFacts, now: TimestampMs) -> Vec<Stretch> {
    let streams: &[&str] = match stretch.stream.as_str() {
        FILLS => &[FILLS, INCOME, ORDERS],
        FORCE_ORDERS => &[FORCE_ORDERS],
        CONDITIONAL_ORDERS => &[CONDITIONAL_ORDERS],
        FUNDING_RATES => &[FUNDING_RATES],
        INCOME => &[INCOME],
        ORDERS => &[ORDERS],
        _ => &[],
    };
    let again = streams.iter().map(|stream| Stretch {
        stream: (*stream).to_owned(),
        since: stretch.since.max(oldest_told(stream, venue, now)),
        ..stretch.clone()
    });
    again.filter(|again| again.since < again.until).collect()
}

/// The first instant that the exchange answers for, a little inside of its limit.
pub(crate) fn oldest_told(stream: &str, venue: &VenueFacts, now: TimestampMs) -> TimestampMs {
    let retention_ms = match stream {
        ORDERS => venue.orders.retention_ms,
        CONDITIONAL_ORDERS => venue.conditional_orders.retention_ms,
        // Beyond this the list may have forgotten some.
        FORCE_ORDERS => venue.force_orders_certain_ms,
        FUNDING_RATES => venue.funding_rates.retention_ms,
        _ => venue.income.retention_ms,
    };
    now.saturating_add_ms(60_000 - retention_ms)
}

#[cfg(test)]
mod tests {
    use exchange_client::binance_usdm::VENUE;
    use ledger_core::testing::at;
    use ledger_store::{Proof, Tally};

    use super::*;

    fn broken(stream: &str, since: i64, had: u64, has: u64) -> BrokenProof {
        let stretch = Stretch { stream: stream.to_owned(), symbol: None, since: at(since), until: at(since + 100) };
        let tally = |count| Tally { count, digest: count };
        BrokenProof { proof: Proof { stretch, tally: tally(had) }, found: tally(has) }
    }

    #[test]
    fn a_missing_row_is_told_once() {
        let lost = |broken: Vec<BrokenProof>| {
            let check = ProofCheck { checked: 9, rows: 9, broken };
            let lost = Proven::new(check).lost;
            lost.into_iter().map(|broken| broken.proof.stretch.stream).collect::<Vec<_>>()
        };
        assert_eq!(lost(vec![broken(FORCE_ORDERS, 0, 2, 1), broken(ORDERS, 50, 9, 8)]), [ORDERS]);
        assert_eq!(lost(vec![broken(FORCE_ORDERS, 0, 2, 1), broken(ORDERS, 100, 9, 8)]), [FORCE_ORDERS, ORDERS]);
        let finding = lost_rows(&broken(INCOME, 0, 9, 7));
        assert!(finding.evidence.starts_with("the book lacks 2 of the 9 ledger rows that"), "{}", finding.evidence);
        assert_eq!(finding.fingerprint(), format!("income/{}", at(0)));
    }

    #[test]
    fn rows_that_came_in_addition_are_no_loss() {
        let check = ProofCheck { checked: 1, rows: 9, broken: vec![broken(INCOME, 0, 9, 10)] };
        let proven = Proven::new(check);
        assert_eq!((proven.lost.len(), proven.grown.len()), (0, 1));
        // Only what the exchange still answers for is read again: its first minute is left alone.
        let oldest_is = |ms: i64| at(VENUE.income.retention_ms - 60_000 + ms);
        let again = |now| read_again(&proven.grown[0].proof.stretch, &VENUE, now);
        let again = |now| again(now).iter().map(|again| (again.since, again.until)).collect::<Vec<_>>();
        assert_eq!(again(oldest_is(50)), [(at(50), at(100))]);
        assert_eq!(again(oldest_is(100)), []);
    }
}
