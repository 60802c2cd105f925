//! [`Journal`] on the SQLite book: each method is one command or one query.

use async_trait::async_trait;
use ledger_core::{AccountId, TimestampMs};

use crate::batch::{CoverageSpan, RunId, Stretch, SyncCursor};
use crate::filter::{DiscrepancyFilter, RepairFilter, RunFilter};
use crate::look::{Look, NewLook, OpenLook};
use crate::look_hold::{self, LookHold};
use crate::page::{Page, PageRequest};
use crate::proof::{ProofCheck, ProofDepth};
use crate::record::{Acknowledgement, Discrepancy, Repair, Run, RunKind, RunStatus};
use crate::sqlite::store::SqliteStore;
use crate::sqlite::{commit, discrepancy, look, proof, repair, run, sync};
use crate::store::{Journal, StoreResult};

#[async_trait]
impl Journal for SqliteStore {
    async fn begin_run(&self, account: &AccountId, kind: RunKind, started_local: TimestampMs) -> StoreResult<RunId> {
        let account = account.clone();
        self.write(move |conn| run::begin(conn, &account, kind, started_local)).await
    }

    async fn end_run(
        &self,
        run: RunId,
        status: RunStatus,
        ended_local: TimestampMs,
        detail_json: Option<String>,
    ) -> StoreResult<()> {
        self.write(move |conn| run::end(conn, run, status, ended_local, detail_json.as_deref())).await
    }

    async fn runs(&self, filter: &RunFilter, page: PageRequest) -> StoreResult<Page<Run>> {
        let filter = filter.clone();
        self.read(move |conn| run::list(conn, &filter, &page)).await
    }

    async fn repairs(&self, filter: &RepairFilter, page: PageRequest) -> StoreResult<Page<Repair>> {
        let filter = filter.clone();
        self.read(move |conn| repair::list(conn, &filter, &page)).await
    }

    async fn discrepancies(&self, filter: &DiscrepancyFilter, page: PageRequest) -> StoreResult<Page<Discrepancy>> {
        let filter = filter.clone();
        self.read(move |conn| discrepancy::list(conn, &filter, &page)).await
    }

    async fn acknowledge_discrepancy(&self, acknowledgement: Acknowledgement) -> StoreResult<i64> {
        self.write(move |conn| {
            commit::require_account(conn, &acknowledgement.account)?;
            run::require(conn, &acknowledgement.account, acknowledgement.run_id)?;
            discrepancy::acknowledge(conn, &acknowledgement)
        })
        .await
    }

    async fn cursors(&self, account: &AccountId) -> StoreResult<Vec<SyncCursor>> {
        let account = account.clone();
        self.read(move |conn| sync::cursors(conn, &account)).await
    }

    async fn coverage(&self, account: &AccountId) -> StoreResult<Vec<CoverageSpan>> {
        let account = account.clone();
        self.read(move |conn| sync::coverage(conn, &account)).await
    }

    async fn reopened(&self, account: &AccountId) -> StoreResult<Vec<Stretch>> {
        let account = account.clone();
        self.read(move |conn| sync::reopened(conn, &account)).await
    }

    async fn check_proofs(&self, account: &AccountId, depth: ProofDepth) -> StoreResult<ProofCheck> {
        let account = account.clone();
        self.read(move |conn| proof::check(conn, &account, depth)).await
    }

    async fn looks(&self, account: &AccountId) -> StoreResult<Vec<Look>> {
        let account = account.clone();
        self.read(move |conn| look::list(conn, &account)).await
    }

    async fn record_look(&self, look: NewLook) -> StoreResult<()> {
        self.write(move |conn| look::write(conn, &look)).await
    }

    async fn hold_look(&self, account: &AccountId, began_local: TimestampMs) -> StoreResult<LookHold> {
        look_hold::hold(self.path(), account, began_local)
    }

    async fn open_look(&self, account: &AccountId) -> StoreResult<Option<OpenLook>> {
        look_hold::open_look(self.path(), account)
    }
}
