//! One writer. Commands that wait at the same time share a transaction and its one flush to disk; each has a savepoint
//! of its own, so a failed one rolls back only itself. Nothing is acknowledged before COMMIT.

use diesel::sqlite::SqliteConnection;
use tokio::sync::{mpsc, oneshot};

use super::engine::BookConnection;
use super::transaction::{self, Loan};
use crate::error::StoreError;
use crate::error_class::StoreErrorClass;
use crate::store::StoreResult;

/// The most commands of one transaction, so that the first of them does not wait for too many others.
const GROUP_MAX: usize = 64;
/// The most commands in the queue; beyond it callers wait.
const QUEUE_MAX: usize = 64;

/// A command. It can run again when the transaction of its group is lost through another command.
pub(super) trait Command: Send {
    /// Runs inside a savepoint; answers whether to keep what it did.
    fn run(&mut self, conn: &mut BookConnection) -> bool;
    /// Answers the caller; `failure` says why a successful run could not be committed.
    fn finish(self: Box<Self>, failure: Option<StoreError>);
}

struct Job<T, F> {
    work: F,
    result: Option<StoreResult<T>>,
    reply: oneshot::Sender<StoreResult<T>>,
}

impl<T, F> Command for Job<T, F>
where
    T: Send,
    F: FnMut(&mut SqliteConnection) -> StoreResult<T> + Send,
{
    fn run(&mut self, conn: &mut BookConnection) -> bool {
        let result = (self.work)(conn).map_err(|error| conn.explain(error));
        let is_ok = result.is_ok();
        self.result = Some(result);
        is_ok
    }

    fn finish(self: Box<Self>, failure: Option<StoreError>) {
        let answer = match (self.result, failure) {
            (Some(Err(error)), _) | (_, Some(error)) => Err(error),
            (Some(result), None) => result,
            (None, None) => Err(StoreError::Closed),
        };
        // A caller that no longer waits does not need the answer; what was committed stays.
        let _ = self.reply.send(answer);
    }
}

/// A command and where its answer arrives.
pub(super) fn command<T, F>(work: F) -> (Box<dyn Command>, oneshot::Receiver<StoreResult<T>>)
where
    T: Send + 'static,
    F: FnMut(&mut SqliteConnection) -> StoreResult<T> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    (Box::new(Job { work, result: None, reply }), answer)
}

/// Runs commands in one transaction and answers them.
pub(super) fn execute(conn: &mut BookConnection, mut commands: Vec<Box<dyn Command>>) {
    match transact(conn, &mut commands) {
        Ok(()) => commands.into_iter().for_each(|command| command.finish(None)),
        Err(failure) if commands.len() == 1 => {
            commands.into_iter().take(1).zip([failure]).for_each(|(command, failure)| command.finish(Some(failure)));
        }
        // Somebody else keeps the book locked: waiting once for all is enough, or the last of them would wait for all others.
        Err(failure) if failure.class() == StoreErrorClass::Busy => {
            let waited_ms = conn.busy_timeout_ms();
            for command in commands {
                command.finish(Some(StoreError::Busy { waited_ms }));
            }
        }
        // The transaction is lost, through one command or the machine: each gets one of its own.
        Err(_) => commands.into_iter().for_each(|command| execute(conn, vec![command])),
    }
}

fn transact(conn: &mut BookConnection, commands: &mut [Box<dyn Command>]) -> Result<(), StoreError> {
    // IMMEDIATE: a transaction that begins by reading and then writes can fail in a way that waiting does not cure.
    conn.control("BEGIN IMMEDIATE")?;
    let outcome = commands
        .iter_mut()
        .try_for_each(|command| {
            conn.control("SAVEPOINT command")?;
            if !command.run(conn) {
                // Fails when SQLite has rolled back everything already, as it may when the disk is full.
                conn.control("ROLLBACK TO command")?;
            }
            conn.control("RELEASE command")
        })
        .and_then(|()| conn.control("COMMIT"));
    if outcome.is_err() {
        // Fails when there is nothing left to roll back.
        let _ = conn.control("ROLLBACK");
    }
    outcome
}

/// What the writer's thread is asked for.
pub(super) enum Task {
    /// To run a command.
    Run(Box<dyn Command>),
    /// To lend its connection, in a transaction.
    Lend(oneshot::Sender<StoreResult<Loan>>),
}

/// The writer's thread.
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Task>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(mut conn: BookConnection) -> StoreResult<Self> {
        let (queue, mut waiting) = mpsc::channel::<Task>(QUEUE_MAX);
        let thread = std::thread::Builder::new()
            .name("fillbook-writer".to_owned())
            .spawn(move || {
                let mut next = None;
                while let Some(task) = next.take().or_else(|| waiting.blocking_recv()) {
                    let first = match task {
                        Task::Run(command) => command,
                        Task::Lend(reply) => match transaction::lend(conn, reply) {
                            Some(back) => {
                                conn = back;
                                continue;
                            }
                            // The borrower panicked and the connection is lost, so this writer ends.
                            None => return,
                        },
                    };
                    let mut group = vec![first];
                    while group.len() < GROUP_MAX {
                        match waiting.try_recv() {
                            Ok(Task::Run(command)) => group.push(command),
                            Ok(lend) => {
                                next = Some(lend);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    execute(&mut conn, group);
                }
            })
            .map_err(|_| StoreError::Closed)?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    pub(super) async fn send(&self, task: Task) -> StoreResult<()> {
        let queue = self.queue.as_ref().ok_or(StoreError::Closed)?;
        queue.send(task).await.map_err(|_| StoreError::Closed)
    }
}

impl Drop for Writer {
    /// Waits until what is in the queue is written, so that dropping a store is closing it.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic in the writer was reported where it happened.
            let _ = thread.join();
        }
    }
}
