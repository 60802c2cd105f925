//! A transaction of several reads and writes. Whoever begins it borrows the writer's connection.
//!
//! The connection goes back when the transaction is committed or dropped, and whatever was not committed is rolled back then.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use diesel::sqlite::SqliteConnection;
use tokio::sync::{OwnedMutexGuard, oneshot};

use super::engine::BookConnection;
use super::store::SqliteStore;
use crate::error::{BackendError, StoreError};
use crate::store::{Book, StoreResult, Transaction};

/// The writer's connection, in a transaction, with the way back.
pub(super) struct Loan {
    conn: BookConnection,
    back: oneshot::Sender<Return>,
}

/// The connection, and whom to answer once it has committed; `None` takes all of it back.
type Return = (BookConnection, Option<oneshot::Sender<StoreResult<()>>>);

/// Lends the writer's connection, and waits for it. `None` where it does not come back.
pub(super) fn lend(mut conn: BookConnection, reply: oneshot::Sender<StoreResult<Loan>>) -> Option<BookConnection> {
    if let Err(error) = conn.control("BEGIN IMMEDIATE") {
        // A caller that no longer waits does not need the answer.
        let _ = reply.send(Err(error));
        return Some(conn);
    }
    let (back, returned) = oneshot::channel();
    if let Err(Ok(mut unwanted)) = reply.send(Ok(Loan { conn, back })) {
        let _ = unwanted.conn.control("ROLLBACK");
        return Some(unwanted.conn);
    }
    let (mut conn, answer) = returned.blocking_recv().ok()?;
    match answer {
        Some(answer) => {
            let _ = answer.send(commit(&mut conn));
        }
        // Fails when there is nothing left to roll back.
        None => drop(conn.control("ROLLBACK")),
    }
    Some(conn)
}

fn commit(conn: &mut BookConnection) -> StoreResult<()> {
    if !conn.is_in_transaction() {
        return Err(lost());
    }
    let outcome = conn.control("COMMIT");
    if outcome.is_err() {
        // Fails when there is nothing left to roll back.
        let _ = conn.control("ROLLBACK");
    }
    outcome
}

/// SQLite ends a transaction by itself after some failures, as when the disk is full.
fn lost() -> StoreError {
    StoreError::Backend {
        operation: "go on with a transaction",
        source: BackendError::new("it was rolled back after an earlier failure".to_owned()),
    }
}

enum Held {
    /// Of a writer's thread.
    OfWriter(Loan),
    /// Of a store that writes on its caller's thread.
    Inline(OwnedMutexGuard<BookConnection>),
}

impl Held {
    fn conn(&mut self) -> &mut BookConnection {
        match self {
            Self::OfWriter(loan) => &mut loan.conn,
            Self::Inline(guard) => guard,
        }
    }
}

/// A connection on loan, until the transaction ends.
pub(super) struct Lent(Mutex<Option<Held>>);

impl Lent {
    pub(super) fn of_writer(loan: Loan) -> Self {
        Self(Mutex::new(Some(Held::OfWriter(loan))))
    }

    pub(super) fn inline(mut guard: OwnedMutexGuard<BookConnection>) -> StoreResult<Self> {
        guard.control("BEGIN IMMEDIATE")?;
        Ok(Self(Mutex::new(Some(Held::Inline(guard)))))
    }

    /// Runs a query in the transaction.
    pub(super) fn ask<T>(&self, work: impl FnOnce(&mut BookConnection) -> StoreResult<T>) -> StoreResult<T> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let conn = held.as_mut().ok_or(StoreError::Closed)?.conn();
        if conn.is_in_transaction() { work(conn) } else { Err(lost()) }
    }

    /// Runs a command in the transaction: all of it, or nothing when this fails.
    pub(super) fn write<T>(&self, mut work: impl FnMut(&mut SqliteConnection) -> StoreResult<T>) -> StoreResult<T> {
        self.ask(|conn| {
            conn.control("SAVEPOINT command")?;
            let answer = work(conn).map_err(|error| conn.explain(error));
            if answer.is_err() {
                // Fails when SQLite has rolled back everything already.
                let _ = conn.control("ROLLBACK TO command");
            }
            let released = conn.control("RELEASE command");
            answer.and_then(|answer| released.map(|()| answer))
        })
    }

    fn take(&self) -> Option<Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        end(self.take());
    }
}

/// Takes back what was not committed, and gives the connection back.
fn end(held: Option<Held>) {
    match held {
        // The writer's thread waits for it as long as it runs.
        Some(Held::OfWriter(loan)) => drop(loan.back.send((loan.conn, None))),
        Some(Held::Inline(mut guard)) => drop(guard.control("ROLLBACK")),
        None => {}
    }
}

/// A transaction of a SQLite book.
pub(super) struct OpenTransaction {
    pub(super) lent: Arc<Lent>,
    pub(super) book: Arc<SqliteStore>,
}

#[async_trait]
impl Transaction for OpenTransaction {
    fn book(&self) -> Book {
        Arc::clone(&self.book) as Book
    }

    async fn begin_part(&self) -> StoreResult<()> {
        self.lent.ask(|conn| conn.control("SAVEPOINT part"))
    }

    async fn end_part(&self, keep: bool) -> StoreResult<()> {
        self.lent.ask(|conn| {
            if !keep {
                conn.control("ROLLBACK TO part")?;
            }
            conn.control("RELEASE part")
        })
    }

    async fn commit(self: Box<Self>) -> StoreResult<()> {
        match self.lent.take() {
            Some(Held::OfWriter(loan)) => {
                let (answer, committed) = oneshot::channel();
                if loan.back.send((loan.conn, Some(answer))).is_err() {
                    return Err(StoreError::Closed);
                }
                committed.await.map_err(|_| StoreError::Closed)?
            }
            Some(Held::Inline(mut guard)) => commit(&mut guard),
            None => Err(StoreError::Closed),
        }
    }
}

impl Drop for OpenTransaction {
    /// Its book may be held longer than it, and must not keep the connection.
    fn drop(&mut self) {
        end(self.lent.take());
    }
}
