//! Whether the book still has all rows that were confirmed.

use std::collections::BTreeMap;

use ledger_core::AccountId;
use ledger_store::{Discrepancy, DiscrepancyStatus, Journal, Stretch};

use super::{CheckName, Comparison, Verification};
use crate::discrepancy::DiscrepancyKind;
use crate::error::{Doing, ReconcileError};
use crate::observe::Observation;
use crate::proofs::{Proven, lost_rows, read_again};
use crate::streams::FILLS;
use crate::wording::count;

/// Compares every row's identity with what was confirmed.
pub(super) async fn check_confirmed(
    on_record: &[Discrepancy],
    book: &dyn Journal,
    account: &AccountId,
    verification: &mut Verification,
) -> Result<(), ReconcileError> {
    let proven = Proven::of_book(book, account).await?;
    let mut comparison = Comparison::of("confirmed stretch", on_record);
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    for _ in proven.lost.len() + proven.grown.len()..number(proven.checked) {
        comparison.compare(true, String::new);
    }
    for broken in &proven.lost {
        comparison.compare_finding(false, || lost_rows(broken));
    }
    comparison
        .leave_out(proven.grown.len(), "more rows came in than were confirmed; the next sync reads that time again");
    if proven.lost.is_empty() && proven.grown.is_empty() {
        let stretches = count(number(proven.checked), "stretch").replace("stretchs", "stretches");
        comparison.shown = Some(format!("{} in {stretches}", count(number(proven.rows), "row")));
    }
    comparison.finish(CheckName::ConfirmedRows, "nothing was read twice so far", verification);
    Ok(())
}

/// Notes what is lost still, once all that the exchange said is recorded. Where nothing is told as lost, nothing is read.
pub(super) async fn check_lost(
    observation: &Observation,
    book: &dyn Journal,
    account: &AccountId,
    verification: &mut Verification,
) -> Result<(), ReconcileError> {
    let is_told = |known: &Discrepancy| {
        known.entry.key.kind == DiscrepancyKind::LostRows.as_str()
            && known.entry.status != DiscrepancyStatus::Acknowledged
    };
    if observation.read_before.lost.is_empty() && !observation.book.discrepancies.iter().any(is_told) {
        return Ok(());
    }
    let lost = Proven::of_book(book, account).await?.lost;
    let reopened = book.reopened(account).await.doing("reading what is to be read again")?;
    let waits = |stretch: &Stretch| {
        let again = read_again(stretch, observation.venue, observation.asked_at);
        // Fills are asked for where the other lists name them.
        again.iter().filter(|again| again.stream != FILLS).any(|again| {
            let is_same = |open: &&Stretch| open.stream == again.stream && open.symbol == again.symbol;
            reopened.iter().filter(is_same).any(|open| open.since < again.until && again.since < open.until)
        })
    };
    let lost = lost.iter().map(|broken| (lost_rows(broken).key(), waits(&broken.proof.stretch)));
    verification.lost_rows = Some(lost.collect::<BTreeMap<_, _>>());
    Ok(())
}
