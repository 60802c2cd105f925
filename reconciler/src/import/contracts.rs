//! What an import does once all files are read: contracts that no file stated, and positions anew.

use exchange_client::binance_usdm::instrument_from_symbol;
use ledger_core::{AnyFact, Source, Statement};
use ledger_store::StoreError;

use super::event::ImportEvent;
use super::report::NotComputed;
use super::{ImportEvents, Recording};

impl Recording<'_> {
    /// Adds the contracts that no file stated but whose names tell what they are.
    pub(super) async fn infer_contracts(&self) -> Result<(), StoreError> {
        let mut statements = Vec::new();
        for pending in self.store.pending_refolds().await? {
            let ours = pending.account == self.account;
            if ours && self.store.instrument(&self.account, &pending.symbol).await?.is_none() {
                statements.extend(instrument_from_symbol(&pending.symbol).map(|contract| Statement {
                    fact: AnyFact::Instrument(contract),
                    source: Source::Repair,
                    payload: None,
                }));
            }
        }
        if !statements.is_empty() {
            self.commit(statements, None).await?;
        }
        Ok(())
    }

    /// Recomputes what the import made out of date, and answers the symbols that cannot be computed.
    pub(super) async fn refold(&self, events: ImportEvents<'_>) -> Result<Vec<NotComputed>, StoreError> {
        let pending = self.store.pending_refolds().await?;
        for (done, next) in pending.iter().enumerate() {
            events(ImportEvent::Recomputing { symbol: &next.symbol, number: done + 1, of: pending.len() });
            self.store.refold(&next.account, &next.symbol).await?;
        }
        let quarantined = self.store.quarantined(&self.account).await?;
        Ok(quarantined.into_iter().map(|entry| NotComputed { symbol: entry.symbol, reason: entry.reason }).collect())
    }
}
