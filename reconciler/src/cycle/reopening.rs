//! Before anything is read: whether all that was confirmed is still in the book. Where it is not, that time is opened again, so
//! that this cycle reads it.
//!
//! Invariants, each with a test of the same name in `ledger-tests`:
//! 1. `what_was_deleted_is_noticed_and_restored`, whatever it was.
//! 2. `what_the_exchange_has_forgotten_stays_lost_until_somebody_accepts_it`, and is not read again each time.

use ledger_store::{
    Batch, BrokenProof, Discrepancy, DiscrepancyFilter, DiscrepancyStatus, PageRequest, Pages, RunId, rebuild,
};

use super::Reconciler;
use crate::apply::{is_empty, seen_as};
use crate::confirming::ReadBefore;
use crate::error::{Doing, ReconcileError};
use crate::observe::greet;
use crate::proofs::{Proven, lost_rows, read_again};
use crate::streams::FILLS;

impl Reconciler {
    /// What is on record as read, before this cycle reads anything.
    pub(crate) async fn read_before(&self, lost: Vec<BrokenProof>) -> Result<ReadBefore, ReconcileError> {
        let (account, book) = (&self.config.account, &self.book);
        let coverage = book.coverage(account).await.doing("reading the coverage")?;
        let reopened = book.reopened(account).await.doing("reading what is to be read again")?;
        Ok(ReadBefore::new(coverage, reopened, lost))
    }

    /// Where rows are missing of what was confirmed.
    pub(crate) async fn lost(&self) -> Result<Vec<BrokenProof>, ReconcileError> {
        Ok(self.proven(&self.standing().await?).await?.lost)
    }

    /// What is on record as read, once what is broken of it is opened again: unless that stands on record in the same words, for
    /// then it was. What came in addition is read again, too.
    pub(crate) async fn reopen_broken(&self, run: &mut Option<RunId>) -> Result<ReadBefore, ReconcileError> {
        let on_record = self.standing().await?;
        let Proven { lost, grown, .. } = self.proven(&on_record).await?;
        let options = &self.config.observe;
        if !options.symbols.is_empty() || options.since.is_some() {
            return self.read_before(lost).await;
        }
        // Late fills are none of the ledger's, which names those that the exchange knows.
        let (fills, mut grown): (Vec<_>, Vec<_>) =
            grown.into_iter().map(|broken| broken.proof.stretch).partition(|stretch| stretch.stream == FILLS);
        let mut kept = fills;
        if !lost.is_empty() || !grown.is_empty() {
            // Nothing is written before it is known who answers.
            let now = greet(&*self.exchange, &*self.book, &*self.clock, &self.config.account).await?.now;
            let venue = self.exchange.venue();
            let mut batch = Batch::new(self.config.account.clone(), self.clock.now(), Vec::new());
            for broken in &lost {
                let finding = lost_rows(broken);
                let is_told = |known: &Discrepancy| {
                    known.entry.key == finding.key() && known.entry.evidence_json == finding.evidence_json()
                };
                if !on_record.iter().any(is_told) {
                    batch.reopened.extend(read_again(&broken.proof.stretch, venue, now));
                    batch.discrepancies.push(seen_as(&finding, DiscrepancyStatus::Pending));
                }
            }
            kept.extend(grown.extract_if(.., |stretch| read_again(stretch, venue, now).is_empty()));
            batch.reopened.extend(grown.iter().flat_map(|stretch| read_again(stretch, venue, now)));
            if !is_empty(&batch) {
                batch.run_id = Some(self.run(run).await?);
                let is_lost = !batch.discrepancies.is_empty();
                self.book.commit(batch).await.doing("opening again what was confirmed")?;
                if is_lost {
                    // What was derived with the lost rows is derived without them: what is missing has to show.
                    rebuild(&*self.book, &self.config.account, &mut |_, _| {})
                        .await
                        .doing("deriving again what lost rows led to")?;
                }
            }
        }
        let mut read_before = self.read_before(lost).await?;
        read_before.grown = kept;
        Ok(read_before)
    }

    async fn proven(&self, on_record: &[Discrepancy]) -> Result<Proven, ReconcileError> {
        Proven::of_look(&*self.book, &self.config.account, on_record).await
    }

    /// The discrepancies on record that are not gone.
    async fn standing(&self) -> Result<Vec<Discrepancy>, ReconcileError> {
        let filter = DiscrepancyFilter::standing(self.config.account.clone());
        Pages::of(PageRequest::first(500), |page| self.book.discrepancies(&filter, page))
            .all()
            .await
            .doing("reading the discrepancies")
    }
}
