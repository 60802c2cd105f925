//! [`Leases`] on the SQLite book: a row that says who and until when, and the lock of a file beside it that says who lives.

use std::sync::Arc;

use async_trait::async_trait;
use ledger_core::{AccountId, TimestampMs};

use crate::lease::{HeldLease, Lease, LeaseAnswer, LeaseRecord, LeaseRequest};
use crate::lease_lock::{self, Found};
use crate::sqlite::lease;
use crate::sqlite::store::SqliteStore;
use crate::store::{Book, Leases, StoreResult};

#[async_trait]
impl Leases for SqliteStore {
    async fn take_lease(&self, request: LeaseRequest) -> StoreResult<LeaseAnswer> {
        let found = lease_lock::take(self.path(), &request.account)?;
        let is_holder_dead = matches!(found, Found::Taken(_));
        let taken = self.write(move |conn| lease::take(conn, &request, is_holder_dead)).await?;
        Ok(match (taken, found) {
            (Ok(lease), Found::Taken(lock)) => LeaseAnswer::Granted(HeldLease { lease, lock: Some(lock) }),
            (Ok(lease), _) => LeaseAnswer::Granted(HeldLease { lease, lock: None }),
            (Err(record), _) => LeaseAnswer::Held(record),
        })
    }

    async fn renew_lease(
        &self,
        held: &mut HeldLease,
        now_local: TimestampMs,
        until_local: TimestampMs,
        state_json: Option<String>,
    ) -> StoreResult<()> {
        let lease = held.lease.clone();
        self.write(move |conn| lease::renew(conn, &lease, now_local, until_local, state_json.as_deref())).await?;
        // Whoever had the lock and did not move may have died since.
        if let (None, Found::Taken(lock)) = (&held.lock, lease_lock::take(self.path(), &held.lease.account)?) {
            held.lock = Some(lock);
        }
        Ok(())
    }

    async fn end_lease(&self, held: HeldLease, now_local: TimestampMs, state_json: Option<String>) -> StoreResult<()> {
        let lease = held.lease.clone();
        self.write(move |conn| lease::end(conn, &lease, now_local, state_json.as_deref())).await
    }

    async fn lease(&self, account: &AccountId) -> StoreResult<Option<LeaseRecord>> {
        let of = account.clone();
        let record = self.read(move |conn| lease::get(conn, &of)).await?;
        Ok(record.map(|record| LeaseRecord { is_alive: lease_lock::is_held(self.path(), account), ..record }))
    }

    fn under_lease(&self, lease: &Lease) -> Book {
        Arc::new(self.fenced(lease))
    }
}
