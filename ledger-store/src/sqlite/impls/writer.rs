//! [`Writer`] on the SQLite book: each method is one command or one query.

use async_trait::async_trait;
use ledger_core::{AccountId, PositionMode, Symbol, TimestampMs};

use crate::batch::{Batch, Refold};
use crate::outcome::{CommitReport, PendingRefold, RefoldReport};
use crate::record::{ExchangeIdentity, NewAccount};
use crate::sqlite::effects::Mark;
use crate::sqlite::encoded::EncodedBatch;
use crate::sqlite::store::SqliteStore;
use crate::sqlite::{account, commit, derived, look_up, mark, placement, quarantine, refold};
use crate::store::{StoreResult, Transaction, Writer};

#[async_trait]
impl Writer for SqliteStore {
    async fn commit(&self, batch: Batch) -> StoreResult<CommitReport> {
        if batch.refold == Refold::Deferred {
            self.begin_work();
        }
        let settings = self.settings();
        let batch = EncodedBatch::new(batch);
        self.write(move |conn| commit::apply(conn, &batch, &settings)).await
    }

    async fn begin(&self) -> StoreResult<Box<dyn Transaction>> {
        Ok(Box::new(self.begin_transaction().await?))
    }

    async fn create_account(&self, account: NewAccount) -> StoreResult<()> {
        self.write(move |conn| account::create(conn, &account)).await
    }

    async fn bind_identity(&self, id: &AccountId, identity: ExchangeIdentity) -> StoreResult<()> {
        let id = id.clone();
        self.write(move |conn| account::bind(conn, &id, &identity)).await
    }

    async fn set_position_mode(&self, id: &AccountId, mode: PositionMode, at_local: TimestampMs) -> StoreResult<()> {
        let (id, settings) = (id.clone(), self.settings());
        self.write(move |conn| account::set_position_mode(conn, &id, mode, at_local, &settings)).await
    }

    async fn pending_refolds(&self) -> StoreResult<Vec<PendingRefold>> {
        self.read(mark::pending).await
    }

    async fn refold(&self, account: &AccountId, symbol: &Symbol) -> StoreResult<RefoldReport> {
        let (account, symbol, settings) = (account.clone(), symbol.clone(), self.settings());
        self.write(move |conn| refold::refold(conn, &account, &symbol, &settings)).await
    }

    async fn drop_derived(&self, account: &AccountId) -> StoreResult<Vec<PendingRefold>> {
        self.begin_work();
        let account = account.clone();
        self.write(move |conn| {
            commit::require_account(conn, &account)?;
            placement::recompute(conn, &account)?;
            let symbols = look_up::foldable_symbols(conn, &account)?;
            for symbol in &symbols {
                derived::drop_symbol(conn, &account, symbol)?;
                quarantine::set(conn, &account, symbol, None)?;
            }
            let whole = Mark { is_whole: true, ..Mark::default() };
            let marks = symbols.iter().map(|symbol| (symbol.clone(), whole.clone())).collect();
            mark::write(conn, &account, &marks)?;
            Ok(symbols.into_iter().map(|symbol| PendingRefold { account: account.clone(), symbol }).collect())
        })
        .await
    }
}
