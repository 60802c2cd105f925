//! The loop that watches one account.

mod answers;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use exchange_client::{AccountIdentity, ErrorClass, MarkPrice, Stated, StreamEvent};
use ledger_core::TimestampMs;
use ledger_store::{Book, HeldLease, NewAccount, StoreResult};
use tokio::time::Instant;

use crate::cycle::Reconciler;
use crate::error::{Doing, ReconcileError};
use crate::policy::Policy;
use crate::record::Recorder;
use crate::service::access::Access;
use crate::service::asking::{Asking, BookAnswer, KnownLook, was_looked_at};
use crate::service::book_trouble::{BookTrouble, Part};
use crate::service::contracts::Contracts;
use crate::service::flapping::Flapping;
use crate::service::happening::{HappeningKind, Told, of_event};
use crate::service::health::Health;
use crate::service::insisting::Insisting;
use crate::service::job::{JobEnd, Running};
use crate::service::lease::{later, take_lease};
use crate::service::light::Difference;
use crate::service::listening::{Heard, Listening};
use crate::service::marks::{Hearing, Marks};
use crate::service::pace::{Job, Schedule};
use crate::service::recording::Recording;
use crate::service::stop::Stop;
use crate::service::told_once::ToldOnce;
use crate::service::trouble::Trouble;
use crate::service::voice::Voice;
use crate::service::{Aborting, Teller, WatchError, Watcher, is_final};
use crate::watch_state::{CycleSummary, StreamState, StreamSummary, WatchState};

/// How many events are recorded in one transaction.
const GROUP_MAX: usize = 256;
/// How long a stop waits for a job to close what it opened.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

pub(super) async fn run(watcher: &Watcher, mut stop: Stop, teller: Teller) -> Result<(), WatchError> {
    let account = watcher.account().clone();
    let failed = |source| WatchError::Reconcile { account: account.clone(), source };
    let voice = Voice { account: account.clone(), clock: Arc::clone(&watcher.clock), teller };
    let new = NewAccount {
        id: account.clone(),
        venue: watcher.exchange.venue().name.to_owned(),
        created_local: watcher.clock.now(),
    };
    watcher.book.create_account(new).await.doing("adding the account").map_err(failed)?;
    let Some(held) = take_lease(watcher, &mut stop, &voice).await? else { return Ok(()) };
    let mut watching = Watching::new(watcher, held, voice);
    let telling = watcher.telling.clone();
    let telling = telling.map(|it| Aborting(tokio::spawn(it.run(Arc::clone(&watching.book), account.clone()))));
    let ended = watching.watch(&mut stop).await;
    drop(telling);
    watching.end().await;
    ended.map_err(failed)
}

struct Watching<'a> {
    watcher: &'a Watcher,
    voice: Voice,
    held: Option<HeldLease>,
    book: Book,
    recording: Recording,
    contracts: Contracts,
    identity: Option<AccountIdentity>,
    listening: Option<Listening>,
    /// The wait for a stream that has not stood yet.
    access: Access,
    hearing: Option<Hearing>,
    marks: Marks,
    asking: Option<Asking>,
    schedule: Schedule,
    health: Health,
    /// What was told of by events that may come twice.
    told_once: ToldOnce,
    insisting: Insisting,
    running: Option<Running>,
    interruptions: u64,
    looked_local: Option<TimestampMs>,
    cycle: Option<CycleSummary>,
    /// Whether anybody had compared the account before.
    was_compared: bool,
    trouble: Trouble,
    book_trouble: BookTrouble,
    flapping: Flapping,
    /// By when a cycle that came to its end had read everything, by the exchange's clock.
    read_until: Option<TimestampMs>,
    known: BTreeSet<ledger_store::DiscrepancyKey>,
    known_look: KnownLook,
    weights: VecDeque<(Instant, u64)>,
    /// Where the book differed at the last light look.
    unsettled: BTreeSet<Difference>,
    /// Whether something was doubted by the last cycle, and waits for another one to say the same.
    pends: bool,
    /// How often in a row a light look met something new.
    rechecks: u32,
    chance: u32,
    /// What it says of itself has changed since it last did.
    is_news: bool,
}

impl<'a> Watching<'a> {
    fn new(watcher: &'a Watcher, held: HeldLease, voice: Voice) -> Self {
        let book = watcher.book.under_lease(&held.lease);
        let recorder = Recorder::new(Arc::clone(&book), watcher.account().clone(), Arc::clone(&watcher.clock));
        Self {
            watcher,
            voice,
            held: Some(held),
            book,
            recording: Recording::new(recorder),
            contracts: Contracts::default(),
            identity: None,
            listening: None,
            access: Access::new(Instant::now()),
            hearing: watcher.marks.clone().map(Hearing::begin),
            marks: Marks::default(),
            asking: None,
            schedule: Schedule::new(watcher.config.pace, Instant::now()),
            health: Health::new(watcher.clock.now()),
            told_once: ToldOnce::default(),
            insisting: Insisting::default(),
            running: None,
            interruptions: 0,
            looked_local: None,
            cycle: None,
            was_compared: false,
            trouble: Trouble::default(),
            book_trouble: BookTrouble::default(),
            flapping: Flapping::default(),
            read_until: None,
            known: BTreeSet::new(),
            known_look: KnownLook::default(),
            weights: VecDeque::new(),
            unsettled: BTreeSet::new(),
            pends: false,
            rechecks: 0,
            chance: watcher.config.seed,
            is_news: false,
        }
    }

    /// The next number of chance: enough to keep attempts apart, and the same for the same seed.
    fn chance(&mut self) -> u32 {
        self.chance = self.chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.chance >> 16
    }

    async fn watch(&mut self, stop: &mut Stop) -> Result<(), ReconcileError> {
        self.weights.push_back((Instant::now(), self.watcher.exchange.usage().weight));
        // First the stream, so that nothing happens between a look and it.
        self.listening = Some(Listening::begin(Arc::clone(&self.watcher.streams)));
        if !self.introduce(stop).await? {
            return Ok(());
        }
        let mut heard = Vec::new();
        let book_every = self.watcher.config.pace.book;
        let (mut renew_at, mut book_at) = (Instant::now(), Instant::now() + book_every);
        loop {
            if std::mem::take(&mut self.is_news) {
                renew_at = Instant::now();
            }
            let (due_at, due) = self.schedule.next();
            let retry_at = self.recording.retry_at();
            let Some(listening) = &mut self.listening else { return Ok(()) };
            tokio::select! {
                biased;
                () = stop.wait() => return Ok(()),
                () = tokio::time::sleep_until(renew_at) => {
                    self.renew().await?;
                    renew_at = Instant::now() + self.watcher.config.lease / 3;
                }
                taken = listening.take(&mut heard, GROUP_MAX), if !self.recording.has_failed() => {
                    if taken == 0 {
                        self.listen_anew();
                    }
                    self.hear(&mut heard);
                    self.record().await?;
                }
                answered = self.contracts.answered(), if self.contracts.is_asking() => self.contracts_answered(answered)?,
                () = sleep_until(retry_at), if retry_at.is_some() => self.record().await?,
                rows = next_marks(&mut self.hearing), if self.hearing.is_some() => self.marks.hear(rows),
                ended = end_of(&mut self.running), if self.running.is_some() => self.ended(ended).await?,
                () = self.watcher.wakers.cycle.notified() => self.schedule.wake(Instant::now()),
                () = self.watcher.wakers.look.notified() => self.schedule.look_again(Job::Light, Instant::now()),
                answer = answer_of(&mut self.asking), if self.asking.is_some() => self.book_answered(answer).await?,
                () = tokio::time::sleep_until(book_at), if self.asking.is_none() => {
                    let (book, account) = (Arc::clone(&self.book), self.watcher.account().clone());
                    self.asking = Some(Asking::begin(book, account, self.watcher.clock.now(), self.known_look.cycles()));
                    book_at = Instant::now() + book_every;
                }
                () = tokio::time::sleep_until(due_at), if self.running.is_none() => self.start(due),
            }
        }
    }

    /// Learns whose the answers are, and binds the account to that; answers whether it may be watched.
    async fn introduce(&mut self, stop: &mut Stop) -> Result<bool, ReconcileError> {
        let reconciler = self.reconciler(self.watcher.config.reconcile.policy.clone());
        loop {
            let mut introducing = std::pin::pin!(reconciler.introduce());
            let introduced = loop {
                tokio::select! {
                    biased;
                    () = stop.wait() => return Ok(false),
                    introduced = &mut introducing => break introduced,
                    // Whoever waits long gives signs of life.
                    () = tokio::time::sleep(self.watcher.config.lease / 3) => self.renew().await?,
                }
            };
            let error = match introduced {
                Ok((identity, now)) => {
                    let looked_at = was_looked_at(&*self.book, self.watcher.account()).await;
                    self.was_compared = self.survived(looked_at)?.unwrap_or(true);
                    self.health = Health::new(now);
                    self.access = Access::new(Instant::now());
                    self.answered(true);
                    let text = format!("watching {identity}");
                    self.identity = Some(identity);
                    self.watcher.life.is_watching.store(true, Ordering::Relaxed);
                    self.voice.tell((HappeningKind::Watching, text));
                    return Ok(true);
                }
                Err(error) if is_final(&error) || is_refused(&error) => return Err(error),
                Err(error) => error,
            };
            let again_at = Instant::now() + self.failed(Job::DeepCycle, &error);
            while Instant::now() < again_at {
                self.renew().await?;
                let sign_at = Instant::now() + self.watcher.config.lease / 3;
                tokio::select! {
                    biased;
                    () = stop.wait() => return Ok(false),
                    () = tokio::time::sleep_until(again_at.min(sign_at)) => {}
                }
            }
        }
    }

    fn reconciler(&self, policy: Policy) -> Reconciler {
        let mut config = self.watcher.config.reconcile.clone();
        config.policy = policy;
        Reconciler {
            exchange: Arc::clone(&self.watcher.exchange),
            book: Arc::clone(&self.book),
            clock: Arc::clone(&self.watcher.clock),
            config,
        }
    }

    /// Whoever listened is gone, by a fault of its own: somebody else listens, and what was missed meanwhile is read.
    fn listen_anew(&mut self) {
        let text = "whoever heard the stream broke off; it is begun anew, and what it missed is read".to_owned();
        self.voice.tell((HappeningKind::StreamInterrupted, text));
        self.listening = Some(Listening::begin(Arc::clone(&self.watcher.streams)));
        self.access = Access::new(Instant::now());
        self.health.interrupted(self.watcher.clock.now());
        self.interruptions += 1;
        self.is_news = true;
    }

    fn contracts_answered(&mut self, answered: Result<(), ReconcileError>) -> Result<(), ReconcileError> {
        match answered {
            Ok(()) => self.contracts.ask(
                self.recording.recorder(),
                &self.book,
                self.watcher.account(),
                &self.watcher.exchange,
            ),
            Err(error) if is_final(&error) => return Err(error),
            Err(error) => {
                tracing::warn!(account = %self.watcher.account(), %error, "contracts could not be read; a cycle asks again");
                self.schedule.wake(Instant::now());
            }
        }
        Ok(())
    }

    /// Notes what was heard, and puts aside what is to be recorded.
    fn hear(&mut self, heard: &mut Vec<Heard>) {
        for heard in heard.drain(..) {
            let (event, arrived) = match heard {
                Heard::Event(event, arrived) => (event, arrived),
                Heard::NoAccess(error) => {
                    let told = self.access.refused(&error);
                    self.is_news |= told.is_some();
                    self.tell(told);
                    continue;
                }
            };
            let before = self.health.state();
            let is_down = before == StreamState::Down;
            let told = of_event(&event, is_down).filter(|_| self.told_once.is_new(&event));
            if let Some(told) = told.filter(|_| self.flapping.lets(&event, Instant::now())) {
                self.voice.tell(told);
            }
            self.health.hear(&event);
            self.is_news |= self.health.state() != before;
            match &*event {
                StreamEvent::Interrupted { .. } if !is_down => self.interruptions += 1,
                // What was missed is read at once.
                StreamEvent::Resumed(_) | StreamEvent::Unreadable { .. } => self.schedule.wake(Instant::now()),
                StreamEvent::Opened { .. } if is_down || self.cycle.is_some() => self.schedule.wake(Instant::now()),
                _ => {}
            }
            let mut statements = event.statements();
            statements.extend(self.marks.beside_event(&event));
            self.contracts.note(&statements);
            self.recording.add_event(statements, arrived);
        }
    }

    /// Writes down what was heard.
    async fn record(&mut self) -> Result<(), ReconcileError> {
        let written = self.recording.write().await?;
        let now = self.watcher.clock.now();
        let told = match written.told {
            Some((HappeningKind::BookFailed, text)) => self.book_trouble.fails(Part::Events, now, text),
            Some((HappeningKind::BookWritten, _)) => self.book_trouble.works(Part::Events, now),
            other => other,
        };
        self.tell(told);
        self.contracts.ask(self.recording.recorder(), &self.book, self.watcher.account(), &self.watcher.exchange);
        if written.wants_cycle {
            self.schedule.wake(Instant::now());
        }
        Ok(())
    }

    fn tell(&self, told: Option<Told>) {
        if let Some(told) = told {
            self.voice.tell(told);
        }
    }

    fn start(&mut self, job: Job) {
        let Some(identity) = self.identity.clone() else { return };
        self.schedule.began(job);
        self.running = Some(match job {
            Job::Light | Job::Orders => {
                let (exchange, book) = (Arc::clone(&self.watcher.exchange), Arc::clone(&self.book));
                Running::light(job, exchange, book, self.watcher.account().clone(), identity)
            }
            Job::Cycle | Job::DeepCycle => Running::cycle(job, self.reconciler(self.policy_of(job))),
        });
    }

    /// How far back a cycle reads: while the stream is confirmed, no further than from the last confirmation on. What an earlier
    /// one doubts may lie further back, and is read again.
    fn policy_of(&self, job: Job) -> Policy {
        let mut policy = self.watcher.config.reconcile.policy.clone();
        let lag_ms = self.watcher.exchange.venue().settle_lag_ms;
        let confirmed = self.health.confirmed_until().filter(|_| !self.pends);
        if let (Job::Cycle, Some(confirmed), Some(read)) = (job, confirmed, self.read_until) {
            let since_ms = read.as_ms().saturating_sub(confirmed.as_ms()).max(0);
            policy.overlap_ms = since_ms.saturating_add(lag_ms).min(policy.overlap_ms);
        }
        policy
    }

    /// What it says of itself.
    fn state(&mut self) -> WatchState {
        let health = &self.health;
        let mut state = WatchState::new(StreamSummary {
            state: health.state(),
            since: health.since(),
            trouble: if health.state() == StreamState::Connecting { self.access.trouble() } else { None },
            last_event: health.last_event(),
            confirmed_event: health.confirmed_event(),
            interruptions: self.interruptions,
        });
        [state.delay_us_median, state.delay_us_p99] = self.recording.delay_us([50, 99]);
        state.events = self.recording.events();
        state.waiting = self.recording.waiting();
        state.looked_local = self.looked_local;
        state.cycle.clone_from(&self.cycle);
        state.failure = self.trouble.summary().cloned();
        state.book = self.book_trouble.summary().cloned();
        let pace = self.watcher.config.pace;
        state.every_s = [pace.light, pace.orders, pace.cycle].map(|every| every.as_secs());
        state.stretch = pace.stretch;
        let usage = self.watcher.exchange.usage();
        self.weights.push_back((Instant::now(), usage.weight));
        let minute_ago = Instant::now().checked_sub(Duration::from_mins(1));
        while self.weights.len() > 1 && self.weights.get(1).is_some_and(|(at, _)| Some(*at) <= minute_ago) {
            self.weights.pop_front();
        }
        state.weight_1m_own = self.weights.front().map_or(0, |(_, before)| usage.weight.saturating_sub(*before));
        state.weight_1m = usage.weight_1m;
        state
    }

    /// Gives a sign of life.
    async fn renew(&mut self) -> Result<(), ReconcileError> {
        if self.identity.is_some() && self.health.state() == StreamState::Connecting {
            let told = self.access.lasts(Instant::now());
            self.tell(told);
        }
        let told = self.flapping.lasts(Instant::now());
        self.tell(told);
        self.watcher.life.beats.fetch_add(1, Ordering::Relaxed);
        let state = self.state().to_json();
        let now = self.watcher.clock.now();
        let Some(held) = &mut self.held else { return Ok(()) };
        let renewed = self.watcher.book.renew_lease(held, now, later(now, self.watcher.config.lease), state).await;
        match renewed {
            Ok(()) => {
                let told = self.book_trouble.works(Part::Signs, now);
                // The next sign says so.
                self.is_news |= told.is_some();
                self.tell(told);
                Ok(())
            }
            Err(error) => self.not_signed(error),
        }
    }

    /// Records what was heard, ends what goes on, and gives the lease back. Whatever fails is left to the next watcher.
    async fn end(mut self) {
        let is_cut_short = self.running.as_ref().is_some_and(|running| running.job >= Job::Cycle);
        if let Some(running) = self.running.take() {
            let _ = tokio::time::timeout(STOP_PATIENCE, running.stop()).await;
        }
        if let Some(listening) = self.listening.take() {
            let mut heard = Vec::new();
            listening.end(&mut heard);
            if self.identity.is_some() {
                self.hear(&mut heard);
                let _ = self.record().await;
            }
        }
        let mut state = self.state();
        state.is_cut_short = is_cut_short;
        let state = state.to_json();
        if let Some(held) = self.held.take() {
            let now = self.watcher.clock.now();
            if let Err(error) = self.watcher.book.end_lease(held, now, state).await {
                tracing::warn!(account = %self.watcher.account(), %error, "the lease could not be given back");
            }
        }
    }
}

async fn answer_of(asking: &mut Option<Asking>) -> (u64, StoreResult<BookAnswer>) {
    let Some(asked) = asking else { return std::future::pending().await };
    let answer = asked.answer().await;
    *asking = None;
    answer
}

async fn next_marks(hearing: &mut Option<Hearing>) -> Vec<Stated<MarkPrice>> {
    match hearing {
        Some(hearing) => hearing.next().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn end_of(running: &mut Option<Running>) -> (Job, JobEnd) {
    let Some(job) = running else { return std::future::pending().await };
    let (kind, end) = (job.job, job.end().await);
    *running = None;
    (kind, end)
}

/// Whether the exchange refuses whoever asks, and no waiting helps. An address that is not served for a while is waited out.
fn is_refused(error: &ReconcileError) -> bool {
    let ReconcileError::Exchange(error) = error else { return false };
    error.class() == ErrorClass::Authentication && error.retry_at().is_none()
}
