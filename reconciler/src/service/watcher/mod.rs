//! The loop that watches one account.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use exchange_client::{AccountIdentity, ErrorClass, ExchangeError, MarkPrice, Stated, StreamEvent};
use ledger_core::{LookStream, Statement, TimestampMs};
use ledger_store::{Book, HeldLease, LookResult, NewAccount, NewLook, Seen, SeenWallet, StoreError, StoreResult};
use tokio::time::Instant;

use super::asking::{Asking, BookAnswer, last_look};
use super::happening::{HappeningKind, of_cycle, of_event};
use super::health::{Health, Verdict};
use super::insisting::Insisting;
use super::job::{JobEnd, Running};
use super::lease::{later, take_lease};
use super::light::LightAnswer;
use super::listening::{Heard, Listening};
use super::marks::{Hearing, Marks};
use super::pace::{Job, Schedule};
use super::stop::Stop;
use super::voice::Voice;
use super::{Teller, WatchError, Watcher, is_final, is_final_of_store};
use crate::cycle::Reconciler;
use crate::error::{Doing, ReconcileError};
use crate::policy::Policy;
use crate::record::Recorder;
use crate::watch_state::{CycleSummary, FailureSummary, StreamState, StreamSummary, WatchState};

/// How many events are recorded in one transaction.
const GROUP_MAX: usize = 256;
/// How often the book is asked what in it wants a cycle.
const BOOK_EVERY: Duration = Duration::from_secs(5);
/// How many delays are kept.
const DELAYS_MAX: usize = 1_000;
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
    let ended = watching.watch(&mut stop).await;
    watching.end().await;
    ended.map_err(failed)
}

/// Statements that are not recorded yet, with when they arrived.
#[derive(Default)]
struct Unrecorded {
    statements: Vec<Statement>,
    arrived: Vec<Instant>,
    /// Why they are not; `None` where nothing failed.
    failure: Option<String>,
    retry_at: Option<Instant>,
    attempts: u32,
}

struct Watching<'a> {
    watcher: &'a Watcher,
    voice: Voice,
    held: Option<HeldLease>,
    book: Book,
    recorder: Recorder,
    identity: Option<AccountIdentity>,
    listening: Option<Listening>,
    hearing: Option<Hearing>,
    marks: Marks,
    asking: Option<Asking>,
    schedule: Schedule,
    health: Health,
    insisting: Insisting,
    running: Option<Running>,
    unrecorded: Unrecorded,
    delays: VecDeque<u64>,
    events: u64,
    interruptions: u64,
    looked_local: Option<TimestampMs>,
    cycle: Option<CycleSummary>,
    failure: Option<FailureSummary>,
    /// By when a cycle that came to its end had read everything, by the exchange's clock.
    read_until: Option<TimestampMs>,
    known: BTreeSet<ledger_store::DiscrepancyKey>,
    /// When the last look of this watcher ended, by the local clock: another time on record is somebody else's.
    own_look: Option<TimestampMs>,
    weights: VecDeque<(Instant, u64)>,
    /// Where the book differed at the last light look.
    unsettled: BTreeSet<String>,
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
            recorder: recorder.learning_contracts(Arc::clone(&watcher.exchange)),
            identity: None,
            listening: None,
            hearing: watcher.marks.clone().map(Hearing::begin),
            marks: Marks::default(),
            asking: None,
            schedule: Schedule::new(watcher.config.pace, Instant::now()),
            health: Health::new(watcher.clock.now()),
            insisting: Insisting::default(),
            running: None,
            unrecorded: Unrecorded::default(),
            delays: VecDeque::new(),
            events: 0,
            interruptions: 0,
            looked_local: None,
            cycle: None,
            failure: None,
            read_until: None,
            known: BTreeSet::new(),
            own_look: None,
            weights: VecDeque::new(),
            unsettled: BTreeSet::new(),
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
        // First the stream, so that nothing happens between a look and it.
        self.listening = Some(Listening::begin(Arc::clone(&self.watcher.streams)));
        if !self.introduce(stop).await? {
            return Ok(());
        }
        let mut heard = Vec::new();
        let (mut renew_at, mut book_at) = (Instant::now(), Instant::now() + BOOK_EVERY);
        loop {
            if std::mem::take(&mut self.is_news) {
                renew_at = Instant::now();
            }
            let (due_at, due) = self.schedule.next();
            let retry_at = self.unrecorded.retry_at;
            let Some(listening) = &mut self.listening else { return Ok(()) };
            tokio::select! {
                biased;
                () = stop.wait() => return Ok(()),
                () = tokio::time::sleep_until(renew_at) => {
                    self.renew().await?;
                    renew_at = Instant::now() + self.watcher.config.lease / 3;
                }
                _ = listening.take(&mut heard, GROUP_MAX), if self.unrecorded.failure.is_none() => {
                    self.hear(&mut heard);
                    self.record().await?;
                }
                () = sleep_until(retry_at), if retry_at.is_some() => self.record().await?,
                rows = next_marks(&mut self.hearing), if self.hearing.is_some() => self.marks.hear(rows),
                ended = end_of(&mut self.running), if self.running.is_some() => self.ended(ended).await?,
                () = self.watcher.waker.notified() => self.schedule.wake(Instant::now()),
                answer = answer_of(&mut self.asking), if self.asking.is_some() => self.book_answered(answer).await?,
                () = tokio::time::sleep_until(book_at), if self.asking.is_none() => {
                    let (book, account) = (Arc::clone(&self.book), self.watcher.account().clone());
                    self.asking = Some(Asking::begin(book, account, self.watcher.clock.now()));
                    book_at = Instant::now() + BOOK_EVERY;
                }
                () = tokio::time::sleep_until(due_at), if self.running.is_none() => self.start(due),
            }
        }
    }

    /// Learns whose the answers are, and binds the account to that; answers whether it may be watched.
    async fn introduce(&mut self, stop: &mut Stop) -> Result<bool, ReconcileError> {
        let reconciler = self.reconciler(self.watcher.config.reconcile.policy.clone());
        loop {
            let introduced = tokio::select! {
                biased;
                () = stop.wait() => return Ok(false),
                introduced = reconciler.introduce() => introduced,
            };
            let error = match introduced {
                Ok((identity, now)) => {
                    self.health = Health::new(now);
                    self.answered();
                    let text = format!("watching {identity}");
                    self.identity = Some(identity);
                    self.voice.tell((HappeningKind::Watching, text));
                    return Ok(true);
                }
                Err(error) if is_final(&error) || class_of(&error) == Some(ErrorClass::Authentication) => {
                    return Err(error);
                }
                Err(error) => error,
            };
            let delay = self.failed(Job::DeepCycle, &error);
            tokio::select! {
                biased;
                () = stop.wait() => return Ok(false),
                () = tokio::time::sleep(delay) => {}
            }
            // Whoever waits long gives signs of life.
            self.renew().await?;
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

    /// Notes what was heard, and puts aside what is to be recorded.
    fn hear(&mut self, heard: &mut Vec<Heard>) {
        for heard in heard.drain(..) {
            let (event, arrived) = match heard {
                Heard::Event(event, arrived) => (event, arrived),
                Heard::NoAccess(error) => {
                    let text = format!("the exchange gives no access to a stream, so looks have to do: {error}");
                    if self.insisting.asks("no access ", &[String::new()].into(), Instant::now()) {
                        self.voice.tell((HappeningKind::StreamInterrupted, text));
                    }
                    continue;
                }
            };
            let before = self.health.state();
            let is_down = before == StreamState::Down;
            if let Some(told) = of_event(&event, is_down) {
                self.voice.tell(told);
            }
            self.health.hear(&event);
            self.is_news |= self.health.state() != before;
            match &*event {
                StreamEvent::Interrupted { .. } if !is_down => self.interruptions += 1,
                // What was missed is read at once.
                StreamEvent::Resumed(_) | StreamEvent::Unreadable { .. } => self.schedule.wake(Instant::now()),
                _ => {}
            }
            let mut statements = event.statements();
            statements.extend(self.marks.beside_event(&event));
            if !statements.is_empty() {
                self.events += 1;
                self.unrecorded.arrived.push(arrived);
                self.unrecorded.statements.extend(statements);
            }
        }
    }

    /// Records what was heard, in one transaction. What cannot be recorded now is kept, and nothing more is taken from the
    /// stream until it is.
    async fn record(&mut self) -> Result<(), ReconcileError> {
        if self.unrecorded.statements.is_empty() {
            return Ok(());
        }
        match self.recorder.record(self.unrecorded.statements.clone()).await {
            Ok(report) => {
                let now = Instant::now();
                for arrived in self.unrecorded.arrived.drain(..) {
                    if self.delays.len() == DELAYS_MAX {
                        self.delays.pop_front();
                    }
                    self.delays.push_back(u64::try_from((now - arrived).as_micros()).unwrap_or(u64::MAX));
                }
                if self.unrecorded.failure.is_some() {
                    self.voice.tell((HappeningKind::BookWritten, "the book is written again".to_owned()));
                }
                self.unrecorded = Unrecorded::default();
                let counts = report.counts();
                if counts.conflicts > 0 || counts.unreadable > 0 {
                    self.schedule.wake(now);
                }
                Ok(())
            }
            Err(error) if is_final(&error) => Err(error),
            Err(error) => {
                self.unrecorded.attempts += 1;
                let delay = Duration::from_millis(250).saturating_mul(1 << self.unrecorded.attempts.min(6));
                self.unrecorded.retry_at = Some(Instant::now() + delay);
                let waiting = self.unrecorded.arrived.len();
                let text = reason_of(&error);
                if self.unrecorded.failure.replace(text.clone()).is_none() {
                    let text = format!("the book cannot be written, and {waiting} events of the stream wait: {text}");
                    self.voice.tell((HappeningKind::BookFailed, text));
                }
                Ok(())
            }
        }
    }

    fn start(&mut self, job: Job) {
        let Some(identity) = self.identity.clone() else { return };
        self.schedule.began(job);
        let usage = self.watcher.exchange.usage().weight;
        self.weights.push_back((Instant::now(), usage));
        self.running = Some(match job {
            Job::Light | Job::Orders => {
                let (exchange, book) = (Arc::clone(&self.watcher.exchange), Arc::clone(&self.book));
                Running::light(job, exchange, book, self.watcher.account().clone(), identity)
            }
            Job::Cycle | Job::DeepCycle => Running::cycle(job, self.reconciler(self.policy_of(job))),
        });
    }

    /// How far back a cycle reads: while the stream is confirmed, no further than from the last confirmation on.
    fn policy_of(&self, job: Job) -> Policy {
        let mut policy = self.watcher.config.reconcile.policy.clone();
        let lag_ms = self.watcher.exchange.venue().settle_lag_ms;
        if let (Job::Cycle, Some(confirmed), Some(read)) = (job, self.health.confirmed_until(), self.read_until) {
            let since_ms = read.as_ms().saturating_sub(confirmed.as_ms()).max(0);
            policy.overlap_ms = since_ms.saturating_add(lag_ms).min(policy.overlap_ms);
        }
        policy
    }

    async fn ended(&mut self, (job, end): (Job, JobEnd)) -> Result<(), ReconcileError> {
        // A light look that is like the one before is no news.
        self.is_news |= job >= Job::Cycle || self.failure.is_some();
        match end {
            JobEnd::Light(Ok(answer)) => self.looked(job, answer).await,
            JobEnd::Light(Err(error)) => self.not_answered(job, error),
            JobEnd::Cycle(result) => match *result {
                Ok(report) => {
                    let is_first = self.cycle.is_none();
                    for told in of_cycle(&report, is_first, &mut self.known) {
                        self.voice.tell(told);
                    }
                    let number = self.cycle.as_ref().map_or(1, |cycle| cycle.number + 1);
                    let (repairs, left) = (report.repair_count(), report.left.len());
                    self.cycle = Some(CycleSummary { ended_local: self.watcher.clock.now(), number, repairs, left });
                    self.read_until = Some(report.asked_at);
                    self.looked_local = Some(self.watcher.clock.now());
                    self.own_look = self.last_look().await?;
                    if report.failed.is_empty() {
                        self.answered();
                        self.schedule.done(job, Instant::now());
                        if self.health.wants_look() {
                            self.schedule.look_again(Job::Light, Instant::now());
                        }
                    } else {
                        let unanswered: BTreeSet<_> = report.failed.iter().map(|query| query.what.as_str()).collect();
                        let what = unanswered.into_iter().collect::<Vec<_>>().join(", ");
                        self.schedule.done(job, Instant::now());
                        self.not_reached(job, format!("the exchange did not answer: {what}"), Duration::ZERO);
                    }
                    Ok(())
                }
                Err(error) => self.not_answered(job, error),
            },
        }
    }

    /// Holds a light look against the stream and against the book.
    async fn looked(&mut self, job: Job, answer: LightAnswer) -> Result<(), ReconcileError> {
        let now = Instant::now();
        self.schedule.done(job, now);
        self.answered();
        self.looked_local = Some(self.watcher.clock.now());
        let before = self.health.state();
        let verdict = self.health.hold_against(answer.asked_at, &answer.positions, &answer.balances);
        self.is_news |= self.health.state() != before;
        match verdict {
            Verdict::Agrees => {}
            Verdict::Unsure(_) => self.schedule.look_again(Job::Light, now + self.watcher.config.pace.recheck),
            Verdict::Untold(untold) => {
                let words: Vec<_> = untold.iter().map(ToString::to_string).collect();
                let text = format!(
                    "the stream stands and tells not everything: {}; it is connected anew, and what it missed is being read",
                    words.join(", ")
                );
                self.voice.tell((HappeningKind::StreamDoubted, text));
                if let Some(listening) = &self.listening {
                    listening.connect_anew();
                }
                self.schedule.wake(now);
            }
        }
        if answer.differs.is_empty() {
            self.insisting.asks(BOOK_DIFFERS, &BTreeSet::new(), now);
            self.unsettled.clear();
            return self.note_look(&answer).await;
        }
        // A difference may be on its way; it counts when a look a moment later sees the same.
        let is_new = self.unsettled != answer.differs;
        if is_new {
            self.schedule.look_again(job, now + self.watcher.config.pace.recheck);
        } else if self.insisting.asks(BOOK_DIFFERS, &answer.differs, now) {
            self.schedule.wake(now);
        }
        self.unsettled = answer.differs;
        Ok(())
    }

    /// Writes down that the exchange was looked at, and that the book is what it said.
    async fn note_look(&self, answer: &LightAnswer) -> Result<(), ReconcileError> {
        let seen = || LookResult::Seen {
            seen_at: answer.asked_at,
            seen: Seen { except: answer.unreadable.clone(), ..Seen::default() },
        };
        let wallets = answer.wallets.iter();
        let wallets = wallets.map(|stated| (stated.asset.clone(), SeenWallet { ts: stated.at, wallet: stated.wallet }));
        let balances = Seen { wallets: wallets.collect(), ..Seen::default() };
        let balances = LookResult::Seen { seen_at: answer.asked_at, seen: balances };
        let mut streams = vec![(LookStream::Positions, seen()), (LookStream::Balances, balances)];
        if answer.has_orders {
            streams.push((LookStream::Orders, seen()));
        }
        let marks = self.marks.of_held(&answer.positions, answer.asked_at);
        if !marks.is_empty() {
            let seen = Seen { marks, ..Seen::default() };
            streams.push((LookStream::Prices, LookResult::Seen { seen_at: answer.asked_at, seen }));
        }
        let now = self.watcher.clock.now();
        let look = NewLook {
            account: self.watcher.account().clone(),
            began_local: now,
            ended_local: now,
            began_at: None,
            ended_at: None,
            streams: streams.into_iter().collect(),
        };
        self.survive(self.book.record_look(look).await)
    }

    /// Takes what the book says that wants a cycle, and which marks are worth keeping.
    async fn book_answered(&mut self, answer: StoreResult<BookAnswer>) -> Result<(), ReconcileError> {
        let Some(answer) = self.survived(answer)? else { return Ok(()) };
        let now = Instant::now();
        for (kind, reasons) in [("intent ", &answer.intents), ("residual ", &answer.residuals)] {
            if self.insisting.asks(kind, reasons, now) {
                self.schedule.wake(now);
            }
        }
        if self.own_look.is_some() && answer.last_look != self.own_look && self.running.is_none() {
            self.own_look = answer.last_look;
            self.schedule.wake(now);
        }
        (self.marks.priced, self.marks.settled_in) = (answer.priced, answer.settled_in);
        // What cannot be recorded must not pile up.
        if self.unrecorded.failure.is_some() {
            return Ok(());
        }
        let stride_ms = i64::try_from(self.watcher.config.pace.marks.as_millis()).unwrap_or(i64::MAX);
        let sampled = self.marks.sample(self.watcher.clock.now(), stride_ms);
        self.unrecorded.statements.extend(sampled);
        self.record().await
    }

    /// When the last look ended that is on record.
    async fn last_look(&self) -> Result<Option<TimestampMs>, ReconcileError> {
        Ok(self.survived(last_look(&*self.book, self.watcher.account()).await)?.flatten())
    }

    /// An answer of the book, unless it failed with something that passes: that is tried again with the next look.
    fn survived<T>(&self, answer: Result<T, StoreError>) -> Result<Option<T>, ReconcileError> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(source) if is_final_of_store(&source) => Err(ReconcileError::Store { doing: "watching", source }),
            Err(error) => {
                tracing::warn!(account = %self.watcher.account(), %error, "the book did not answer");
                Ok(None)
            }
        }
    }

    fn survive(&self, answer: Result<(), StoreError>) -> Result<(), ReconcileError> {
        self.survived(answer).map(drop)
    }

    fn not_answered(&mut self, job: Job, error: ReconcileError) -> Result<(), ReconcileError> {
        if is_final(&error) {
            return Err(error);
        }
        self.failed(job, &error);
        Ok(())
    }

    fn failed(&mut self, job: Job, error: &ReconcileError) -> Duration {
        let forbidden = match error {
            ReconcileError::Exchange(error) => error.retry_at(),
            _ => None,
        };
        let forbidden_ms = forbidden.map_or(0, |until| until.as_ms().saturating_sub(self.watcher.clock.now().as_ms()));
        let at_least = Duration::from_millis(u64::try_from(forbidden_ms).unwrap_or(0));
        self.not_reached(job, reason_of(error), at_least)
    }

    fn not_reached(&mut self, job: Job, reason: String, at_least: Duration) -> Duration {
        let spread = self.chance();
        let delay = self.schedule.failed(job, Instant::now(), spread, at_least);
        let attempts = self.schedule.failures();
        let since_local = self.failure.as_ref().map_or_else(|| self.watcher.clock.now(), |failure| failure.since_local);
        if self.failure.is_none() {
            self.voice.tell((HappeningKind::Unreachable, format!("{reason}; it is tried again until it is answered")));
        }
        self.failure = Some(FailureSummary { since_local, attempts, reason });
        delay
    }

    fn answered(&mut self) {
        if let Some(failure) = self.failure.take() {
            let lasted = self.watcher.clock.now().as_ms().saturating_sub(failure.since_local.as_ms());
            let text = format!("the exchange answers again, after {}", crate::wording::lasting(lasted));
            self.voice.tell((HappeningKind::Reachable, text));
        }
    }

    /// What it says of itself.
    fn state(&mut self) -> WatchState {
        let health = &self.health;
        let mut state = WatchState::new(StreamSummary {
            state: health.state(),
            since: health.since(),
            last_event: health.last_event(),
            confirmed_event: health.confirmed_event(),
            interruptions: self.interruptions,
        });
        let mut delays: Vec<u64> = self.delays.iter().copied().collect();
        delays.sort_unstable();
        let of =
            |percent: usize| delays.get((delays.len() * percent / 100).min(delays.len().saturating_sub(1))).copied();
        (state.delay_us_median, state.delay_us_p99) = (of(50), of(99));
        state.events = self.events;
        state.waiting = self.unrecorded.arrived.len();
        state.looked_local = self.looked_local;
        state.cycle.clone_from(&self.cycle);
        state.failure.clone_from(&self.failure);
        let pace = self.watcher.config.pace;
        state.every_s = [pace.light, pace.orders, pace.cycle].map(|every| every.as_secs());
        state.stretch = pace.stretch;
        let usage = self.watcher.exchange.usage();
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
        self.watcher.life.beats.fetch_add(1, Ordering::Relaxed);
        let state = self.state().to_json();
        let now = self.watcher.clock.now();
        let Some(held) = &mut self.held else { return Ok(()) };
        let renewed = self.watcher.book.renew_lease(held, now, later(now, self.watcher.config.lease), state).await;
        self.survive(renewed)
    }

    /// Records what was heard, ends what goes on, and gives the lease back. Whatever fails is left to the next watcher.
    async fn end(mut self) {
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
        let state = self.state().to_json();
        if let Some(held) = self.held.take() {
            let now = self.watcher.clock.now();
            if let Err(error) = self.watcher.book.end_lease(held, now, state).await {
                tracing::warn!(account = %self.watcher.account(), %error, "the lease could not be given back");
            }
        }
        self.voice.tell((HappeningKind::Ended, "watched no longer".to_owned()));
    }
}

async fn answer_of(asking: &mut Option<Asking>) -> StoreResult<BookAnswer> {
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

/// The kind of reasons that light looks have for a cycle.
const BOOK_DIFFERS: &str = "book ";

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

fn class_of(error: &ReconcileError) -> Option<ErrorClass> {
    match error {
        ReconcileError::Exchange(error) => Some(ExchangeError::class(error)),
        _ => None,
    }
}

/// An error with its causes, on one line.
fn reason_of(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
