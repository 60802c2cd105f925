//! Watching: the book is brought in line with its exchange as long as a process lives, by what a stream tells and by looking.
//!
//! A [`Watcher`] holds the account's lease and does, one thing at a time: record what the stream tells, in groups; take a light
//! look every minute; run a cycle, as a sync does, whenever something asks for it and now and then. What is recorded is
//! idempotent and comes in any order, so the stream is recorded from the moment on at which it is known whose it is, also
//! while the first cycle reads years of history: nothing waits in memory for that.
//!
//! Invariants, with their tests in `tests/it/watching`:
//! 1. `what_the_stream_tells_is_on_record_at_once`, and what it drops is restored without being asked.
//! 2. `a_silent_stream_beside_a_moving_position_is_told_within_one_light_look`.
//! 3. `a_watcher_that_is_stopped_leaves_no_open_run`, nor one whose future is dropped.
//! 4. `one_watches_an_account`, and one that lost its lease writes nothing more.

mod access;
mod asking;
mod book_trouble;
mod contracts;
mod flapping;
mod happening;
mod health;
mod insisting;
mod job;
mod lease;
mod light;
mod listening;
mod marks;
mod pace;
mod recording;
mod stop;
mod told_once;
mod trouble;
mod voice;
mod watcher;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use exchange_client::{Clock, ExchangeReader, MarkStreams, UserStreams};
use ledger_core::AccountId;
use ledger_store::{Book, StoreError};
use thiserror::Error;
use tokio::sync::Notify;

pub use self::happening::{Happening, HappeningKind};
pub use self::pace::Pace;
pub use self::stop::{Stop, StopSwitch};
use crate::cycle::ReconcilerConfig;
use crate::error::ReconcileError;
use crate::tell::Telling;
pub use crate::watch_state::{BookSummary, CycleSummary, FailureSummary, StreamState, StreamSummary, WatchState};

/// Is told what happens.
pub type Teller = Arc<dyn Fn(&Happening) + Send + Sync>;

/// Why an account is not watched any more.
#[derive(Debug, Error)]
pub enum WatchError {
    /// Another process watches it.
    #[error("account `{account}` is watched by {holder} already")]
    Held {
        /// The account.
        account: AccountId,
        /// Who watches it.
        holder: String,
    },
    /// The watching broke off.
    #[error("the watching of account `{account}` broke off by a fault of its own; what it printed says which")]
    Broken {
        /// The account.
        account: AccountId,
    },
    /// Book and exchange cannot be compared, and waiting does not help.
    #[error("account `{account}` cannot be watched")]
    Reconcile {
        /// The account.
        account: AccountId,
        /// Why.
        #[source]
        source: ReconcileError,
    },
}

/// How an account is watched.
#[derive(Debug, Clone)]
pub struct WatchConfig {
    /// Which account, and how it is compared.
    pub reconcile: ReconcilerConfig,
    /// Who watches, for people to read: a machine and a process.
    pub holder: String,
    /// How often it is looked at.
    pub pace: Pace,
    /// How long the lease counts without a sign of life; one is given three times as often.
    pub lease: Duration,
    /// Whether to wait where another process watches the account; else that is an error.
    pub waits: bool,
    /// Keeps the attempts of several watchers apart.
    pub seed: u32,
}

impl WatchConfig {
    /// The defaults for `account`: the pace of a single account at its address, and a lease of 30 s.
    pub fn new(account: AccountId, holder: impl Into<String>) -> Self {
        Self {
            reconcile: ReconcilerConfig::new(account),
            holder: holder.into(),
            pace: Pace::default(),
            lease: Duration::from_secs(30),
            waits: false,
            seed: 0,
        }
    }
}

/// Watches one account.
#[derive(Clone)]
pub struct Watcher {
    exchange: Arc<dyn ExchangeReader>,
    streams: Arc<dyn UserStreams>,
    marks: Option<Arc<dyn MarkStreams>>,
    book: Book,
    clock: Arc<dyn Clock>,
    config: WatchConfig,
    telling: Option<Telling>,
    wakers: Arc<Wakers>,
    life: Arc<Life>,
}

/// What others ask a watcher for.
#[derive(Debug, Default)]
struct Wakers {
    cycle: Notify,
    look: Notify,
}

/// What others see of a watcher.
#[derive(Debug, Default)]
struct Life {
    beats: AtomicU64,
    has_ended: AtomicBool,
    is_watching: AtomicBool,
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Watcher {
    /// A watcher of the account that `config` names. It is added to the book where it is not there yet.
    pub fn new(
        exchange: Arc<dyn ExchangeReader>,
        streams: Arc<dyn UserStreams>,
        book: Book,
        clock: Arc<dyn Clock>,
        config: WatchConfig,
    ) -> Self {
        let (wakers, life) = (Arc::default(), Arc::default());
        Self { exchange, streams, marks: None, book, clock, config, telling: None, wakers, life }
    }

    /// The same watcher, which hears mark prices as well, and records them beside fills and fundings and now and then. Without
    /// them each cycle's own answer is what is known of prices.
    #[must_use]
    pub fn hearing_marks(mut self, marks: Arc<dyn MarkStreams>) -> Self {
        self.marks = Some(marks);
        self
    }

    /// The same watcher, beside which `telling` tells people what happens, for as long as it has the account's lease.
    #[must_use]
    pub fn telling(mut self, telling: Telling) -> Self {
        self.telling = Some(telling);
        self
    }

    /// The same watcher, which waits where another process watches the account.
    #[must_use]
    pub fn waiting(mut self) -> Self {
        self.config.waits = true;
        self
    }

    /// Which account.
    pub fn account(&self) -> &AccountId {
        &self.config.reconcile.account
    }

    /// How often it gave a sign of life: grows three times as fast as its lease lasts, while it works. For a watchdog.
    pub fn beats(&self) -> u64 {
        self.life.beats.load(Ordering::Relaxed)
    }

    /// Whether it has ended, so that no sign of life is to come.
    pub fn has_ended(&self) -> bool {
        self.life.has_ended.load(Ordering::Relaxed)
    }

    /// Asks for a full cycle, from another task.
    pub fn wake(&self) {
        self.wakers.cycle.notify_one();
    }

    /// Asks for a light look, from another task. Where it finds that the book differs, another one follows
    /// [`recheck`](Pace::recheck) later, and a full cycle if that says the same.
    pub fn look(&self) {
        self.wakers.look.notify_one();
    }

    /// Watches until `stop`, or until it makes no sense any more. Dropping the future ends it as well; what goes on at the
    /// moment is ended behind it.
    ///
    /// # Errors
    /// [`WatchError`]: another process watches the account, or has taken it over; the exchange answers as another account or
    /// refuses the credentials; the book is damaged. What passes by itself is no error: it is told, and tried again.
    pub async fn run(&self, stop: Stop, teller: Teller) -> Result<(), WatchError> {
        let ended = watcher::run(self, stop, Arc::clone(&teller)).await;
        self.life.has_ended.store(true, Ordering::Relaxed);
        let words = if self.life.is_watching.load(Ordering::Relaxed) { "watched no longer" } else { "not watched" };
        let text = match &ended {
            Ok(()) => words.to_owned(),
            Err(error) => format!("{words}: {}", reason_of(error)),
        };
        let voice = voice::Voice { account: self.account().clone(), clock: Arc::clone(&self.clock), teller };
        voice.tell((HappeningKind::Ended, text));
        ended
    }
}

/// Watches several accounts at once. Each has its own lease and its own cycles; what one fails on stops none of the others.
#[derive(Debug, Default)]
pub struct Service {
    watchers: Vec<Watcher>,
}

impl Service {
    /// A service of these accounts.
    pub fn new(watchers: Vec<Watcher>) -> Self {
        Self { watchers }
    }

    /// Watches them all until `stop`, and answers how each ended, in their order.
    pub async fn run(self, stop: Stop, teller: Teller) -> Vec<(AccountId, Result<(), WatchError>)> {
        let tasks: Vec<_> = self
            .watchers
            .into_iter()
            .map(|watcher| {
                let (stop, teller) = (stop.clone(), Arc::clone(&teller));
                let (account, life) = (watcher.account().clone(), Arc::clone(&watcher.life));
                (account, life, Aborting(tokio::spawn(async move { watcher.run(stop, teller).await })))
            })
            .collect();
        let mut ended = Vec::with_capacity(tasks.len());
        for (account, life, mut task) in tasks {
            let result = if let Ok(result) = (&mut task.0).await {
                result
            } else {
                life.has_ended.store(true, Ordering::Relaxed);
                Err(WatchError::Broken { account: account.clone() })
            };
            ended.push((account, result));
        }
        ended
    }
}

/// A task that does not outlive whoever waits for it.
struct Aborting<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for Aborting<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Whether waiting does not help.
fn is_final(error: &ReconcileError) -> bool {
    match error {
        ReconcileError::WrongAccount { .. }
        | ReconcileError::BoundElsewhere { .. }
        | ReconcileError::UnknownAccount { .. }
        | ReconcileError::Cursor { .. } => true,
        ReconcileError::Store { source, .. } => is_final_of_store(source),
        _ => false,
    }
}

pub(crate) fn is_final_of_store(error: &StoreError) -> bool {
    use ledger_store::StoreErrorClass as Class;
    matches!(
        error.class(),
        Class::NoBook
            | Class::NotABook
            | Class::OtherVersion
            | Class::Denied
            | Class::ReadOnly
            | Class::NoLocks
            | Class::Moved
            | Class::Damaged
            | Class::WrongAccount
            | Class::TakenOver
    )
}

/// An error with its causes, on one line.
fn reason_of(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
