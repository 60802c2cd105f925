//! [`Leases`] on the SQLite book: a row that says who and until when, and the lock of a file beside it that says who lives.

use std::sync::Arc;

use async_trait::async_trait;
use ledger_core::{AccountId, TimestampMs};

use crate::beside;
use crate::error::StoreError;
use crate::lease::{HeldLease, Lease, LeaseAnswer, LeaseRecord, LeaseRequest};
use crate::lease_lock::{self, Found};
use crate::sqlite::lease;
use crate::sqlite::store::SqliteStore;
use crate::store::{Book, Leases, StoreResult};

#[async_trait]
impl Leases for SqliteStore {
    async fn take_lease(&self, request: LeaseRequest) -> StoreResult<LeaseAnswer> {
        let lock = match lease_lock::take(self.path(), &request.account)? {
            Found::Taken(lock) => Some(lock),
            Found::Held | Found::Untold => None,
        };
        let book_file = self.book_file()?;
        let lock_file = lock.as_ref().and_then(lease_lock::number_of);
        let taken = self.write(move |conn| lease::take(conn, &request, lock_file)).await?;
        Ok(match taken {
            Ok(lease) => LeaseAnswer::Granted(HeldLease { lease, lock, book_file }),
            Err(record) => LeaseAnswer::Held(record),
        })
    }

    async fn renew_lease(
        &self,
        held: &mut HeldLease,
        now_local: TimestampMs,
        until_local: TimestampMs,
        state_json: Option<String>,
    ) -> StoreResult<()> {
        // What is written to a file that nobody finds any more is lost without a word.
        if let (Some(path), false) = (self.path(), self.book_file()? == held.book_file) {
            return Err(StoreError::Moved { path: path.to_owned() });
        }
        let lease = held.lease.clone();
        self.write(move |conn| lease::renew(conn, &lease, now_local, until_local, state_json.as_deref())).await?;
        // Whoever had the lock and did not move may have died since.
        if let (None, Found::Taken(lock)) = (&held.lock, lease_lock::take(self.path(), &held.lease.account)?) {
            let (lease, number) = (held.lease.clone(), lease_lock::number_of(&lock));
            held.lock = Some(lock);
            self.write(move |conn| lease::note_lock(conn, &lease, number)).await?;
        }
        Ok(())
    }

    async fn end_lease(&self, held: HeldLease, now_local: TimestampMs, state_json: Option<String>) -> StoreResult<()> {
        let HeldLease { lease, lock, .. } = held;
        let account = lease.account.clone();
        self.write(move |conn| lease::end(conn, &lease, now_local, state_json.as_deref())).await?;
        if let Some(lock) = lock {
            lease_lock::give_back(self.path(), &account, lock);
        }
        Ok(())
    }

    async fn lease(&self, account: &AccountId) -> StoreResult<Option<LeaseRecord>> {
        let of = account.clone();
        let record = self.read(move |conn| lease::get(conn, &of)).await?;
        Ok(record.map(|(record, lock_file)| LeaseRecord {
            is_alive: lease_lock::is_held(self.path(), account, lock_file),
            ..record
        }))
    }

    fn under_lease(&self, lease: &Lease) -> Book {
        Arc::new(self.fenced(lease))
    }
}

impl SqliteStore {
    /// What the book's path names now; `None` where there is no file.
    fn book_file(&self) -> StoreResult<Option<u64>> {
        let Some(path) = self.path() else { return Ok(None) };
        match std::fs::metadata(path) {
            Ok(found) => Ok(Some(beside::number_of(&found))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Io { path: path.to_owned(), source }),
        }
    }
}
