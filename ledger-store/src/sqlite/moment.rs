//! One moment of the book: a read transaction that is held open, on a connection of its own.
//!
//! As long as it is held, SQLite cannot take the pages that it may still read out of the write-ahead log, which grows with
//! all that is written meanwhile. So a moment that nobody asks about any more, as behind a pager that somebody forgot, is
//! given up after a while. That needs a thread: whoever waits for the pager runs nothing.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use super::engine::BookConnection;
use crate::error::StoreError;
use crate::store::StoreResult;

/// What is done on the connection of a moment; `None` when it was given up.
type Question = Box<dyn FnOnce(Option<&mut BookConnection>) + Send>;

/// Begins a read transaction that sees the book as it is now.
pub(super) fn fix(conn: &mut BookConnection) -> StoreResult<()> {
    // A transaction begins with its first query, not with BEGIN.
    conn.control("BEGIN; SELECT count(*) FROM sqlite_master;")
}

/// Asks something of a moment, unless it has ended: SQLite ends a transaction by itself after some failures, and what is
/// asked next would be answered from another moment.
pub(super) fn ask<T>(
    conn: &mut BookConnection,
    work: impl FnOnce(&mut BookConnection) -> StoreResult<T>,
) -> StoreResult<T> {
    if conn.is_in_transaction() { work(conn) } else { Err(StoreError::MomentGivenUp) }
}

/// A moment, and the thread that holds it. Dropping it ends it.
pub(super) struct Moment {
    questions: Option<Sender<Question>>,
    thread: Option<JoinHandle<()>>,
}

impl Moment {
    /// Holds the transaction of `conn` until nothing was asked of it for `idle_max`.
    pub(super) fn hold(conn: BookConnection, idle_max: Duration) -> StoreResult<Self> {
        let (questions, waiting) = mpsc::channel::<Question>();
        let thread = std::thread::Builder::new()
            .name("fillbook-moment".to_owned())
            .spawn(move || {
                let mut conn = Some(conn);
                loop {
                    match waiting.recv_timeout(idle_max) {
                        Ok(question) => question(conn.as_mut()),
                        Err(RecvTimeoutError::Timeout) => conn = None,
                        Err(RecvTimeoutError::Disconnected) => break,
                    }
                }
            })
            .map_err(|_| StoreError::Closed)?;
        Ok(Self { questions: Some(questions), thread: Some(thread) })
    }

    /// Asks the moment something.
    pub(super) async fn ask<T, F>(&self, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut BookConnection) -> StoreResult<T> + Send + 'static,
    {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let question: Question = Box::new(move |conn| {
            // A caller that no longer waits does not need the answer.
            let _ = reply.send(conn.map_or(Err(StoreError::MomentGivenUp), |conn| ask(conn, work)));
        });
        let questions = self.questions.as_ref().ok_or(StoreError::Closed)?;
        questions.send(question).map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

impl Drop for Moment {
    /// Waits for the connection to be closed, so that nothing is left beside the book when the process ends.
    fn drop(&mut self) {
        self.questions = None;
        if let Some(thread) = self.thread.take() {
            // A panic in it was reported where it happened.
            let _ = thread.join();
        }
    }
}
