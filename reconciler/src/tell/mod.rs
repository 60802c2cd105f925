//! Telling people what happens in an account: what was opened and closed, what was restored, what differs, what goes wrong, and
//! what the day came to.
//!
//! A [`Telling`] derives messages from what the book says and puts them into its outbox, in the transaction that notes how far it
//! came; senders bring them to their channels from there. So a process that dies tells nothing twice that it had not sent, and
//! forgets nothing. It goes by the book alone, with short questions of its own, beside the recording. It takes no orders: nothing
//! that a channel answers is read for anything but whether it was taken.
//!
//! Invariants, with their tests in `tests`:
//! 1. `a_restart_anywhere_tells_everything_at_least_once`, each message under one key, with the key in its text.
//! 2. `quiet_hours_hold_back_what_can_wait`, and nothing else.
//! 3. `the_heartbeat_follows_looks`: a dead process cannot tell that it is dead.
//! 4. Nothing is told that was before the first telling (`trades`, `journal`).

mod channel;
mod daily;
mod event;
mod health;
mod hours;
mod journal;
mod money;
mod seen;
mod sender;
mod state;
#[cfg(test)]
mod tests;
mod trades;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use exchange_client::{Clock, Courier, CourierError, Parcel, SecretUrl};
use jiff::tz::TimeZone;
use ledger_core::{AccountId, Decimal, LedgerRules, TimestampMs};
use ledger_store::{Book, NewMessage, StoreResult};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use self::channel::{Channel, ChannelKind};
pub use self::event::{Amounts, Event, EventKind, test_event};
use self::health::HealthLimits;
pub use self::hours::{DailyTime, HoursError, QuietHours};
use self::sender::Sender;
use self::state::TellState;
use crate::service::is_final_of_store as is_final;

/// How often the book is asked for new fills.
const TRADES_EVERY: Duration = Duration::from_secs(1);
/// How often it is asked for everything else.
const REST_EVERY: Duration = Duration::from_secs(5);
/// How long fills wait for others of their orders.
const SETTLE: Duration = Duration::from_secs(2);
/// How long they wait for their contract to be folded.
const FOLD_PATIENCE: Duration = Duration::from_mins(1);
/// How long messages are kept that were sent or given up.
const KEPT_MS: i64 = 90 * 24 * 3_600_000;

/// What is told, and when.
#[derive(Debug, Clone)]
pub struct TellSettings {
    /// Through which channels.
    pub channels: Vec<Arc<Channel>>,
    /// When only what cannot wait is told.
    pub quiet: Option<QuietHours>,
    /// When the day is summed up.
    pub daily: Option<DailyTime>,
    /// The zone of these two.
    pub zone: TimeZone,
    /// How close a mark price may come to a liquidation, in percent of itself.
    pub margin_percent: Decimal,
    /// How old a look may be, in ms.
    pub stale_ms: i64,
    /// Where the entries of the exchange's ledger belong.
    pub rules: LedgerRules,
    /// Keeps the attempts of several processes apart.
    pub seed: u32,
}

/// Tells what happens in accounts. Clones share their channels and their heartbeat.
#[derive(Clone)]
pub struct Telling {
    settings: Arc<TellSettings>,
    courier: Arc<dyn Courier>,
    clock: Arc<dyn Clock>,
    heartbeat: Option<Arc<Heartbeat>>,
}

impl fmt::Debug for Telling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telling").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// An address that is called after each confirmed look, at all of these accounts: whoever listens there tells when that stays away.
struct Heartbeat {
    url: SecretUrl,
    accounts: BTreeSet<AccountId>,
    /// Those that were looked at since it was last called.
    looked: Mutex<BTreeSet<AccountId>>,
}

impl Heartbeat {
    /// Notes that an account was looked at; answers whether all of them were.
    fn note(&self, account: &AccountId) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        looked.insert(account.clone());
        let is_whole = self.accounts.is_subset(&looked);
        if is_whole {
            looked.clear();
        }
        is_whole
    }
}

impl Telling {
    /// Tells through the channels of `settings`.
    pub fn new(settings: TellSettings, courier: Arc<dyn Courier>, clock: Arc<dyn Clock>) -> Self {
        Self { settings: Arc::new(settings), courier, clock, heartbeat: None }
    }

    /// The same, which calls `url` after each confirmed look at all of `accounts`.
    #[must_use]
    pub fn with_heartbeat(mut self, url: SecretUrl, accounts: impl IntoIterator<Item = AccountId>) -> Self {
        let accounts = accounts.into_iter().collect();
        self.heartbeat = Some(Arc::new(Heartbeat { url, accounts, looked: Mutex::default() }));
        self
    }

    /// Its channels, by name.
    pub fn channels(&self) -> impl Iterator<Item = &Channel> {
        self.settings.channels.iter().map(AsRef::as_ref)
    }

    /// Sends one word through a channel, and answers once it was taken.
    ///
    /// # Errors
    /// [`CourierError`], in words, when it was not.
    pub async fn test(&self, channel: &Channel, account: &AccountId) -> Result<(), CourierError> {
        let event = test_event(self.clock.now());
        let (text, body) = (event.text(account, channel.amounts), event.json(account, channel.amounts).to_string());
        let receipt = self.courier.bring(channel.parcel(&[(text.as_str(), body.as_str())])).await?;
        match channel::outcome_of(&receipt) {
            channel::Outcome::Taken => Ok(()),
            channel::Outcome::Later { error, .. } | channel::Outcome::Refused { error } => {
                Err(CourierError { reason: error })
            }
        }
    }

    /// Tells what happens in an account, until the book cannot be used any more; dropping the future ends it as well. `book` is
    /// under the account's lease, so that one process tells.
    pub async fn run(self, book: Book, account: AccountId) {
        let news: Vec<_> = self.settings.channels.iter().map(|_| Arc::new(Notify::new())).collect();
        let mut tasks = JoinSet::new();
        for ((channel, news), nth) in self.settings.channels.iter().zip(&news).zip(0_u32..) {
            let sender = Sender {
                book: Arc::clone(&book),
                account: account.clone(),
                channel: Arc::clone(channel),
                courier: Arc::clone(&self.courier),
                clock: Arc::clone(&self.clock),
                news: Arc::clone(news),
                chance: self.settings.seed.wrapping_add(nth),
            };
            tasks.spawn(sender.run());
        }
        let mut deriving =
            Deriving { telling: self, book, account, news, state: None, window: None, looked: None, beats: tasks };
        loop {
            if let Err(error) = deriving.go_on().await {
                if is_final(&error) {
                    tracing::warn!(account = %deriving.account, %error, "nothing more is told");
                    return;
                }
                tracing::warn!(account = %deriving.account, %error, "what is to be told could not be read or noted");
                tokio::time::sleep(REST_EVERY).await;
            }
        }
    }
}

/// Derives messages from the book.
struct Deriving {
    telling: Telling,
    book: Book,
    account: AccountId,
    news: Vec<Arc<Notify>>,
    /// As it is on record; `None` before it was read.
    state: Option<TellState>,
    /// Since when fills wait for others of their orders.
    window: Option<Instant>,
    /// The last look that was on record.
    looked: Option<TimestampMs>,
    /// The senders, and calls of the heartbeat.
    beats: JoinSet<()>,
}

impl Deriving {
    /// Looks at the book until a question fails.
    async fn go_on(&mut self) -> StoreResult<()> {
        let mut rest_at = Instant::now();
        loop {
            let state = match self.state.clone() {
                Some(state) => state,
                None => self.begin().await?,
            };
            let is_all = self.tell_trades(state).await?;
            if rest_at <= Instant::now() {
                self.tell_rest().await?;
                rest_at = Instant::now() + REST_EVERY;
            }
            if is_all {
                tokio::time::sleep(TRADES_EVERY).await;
            }
        }
    }

    /// Where the telling goes on; for the first time it begins at the present.
    async fn begin(&mut self) -> StoreResult<TellState> {
        let (book, account, settings) = (&*self.book, &self.account, &self.telling.settings);
        let now = self.telling.clock.now();
        let names = settings.channels.iter().map(|channel| channel.name.clone()).collect();
        book.give_up_others(account, names, now).await?;
        // A look that was on record before is somebody else's.
        self.looked = seen::health(book, account).await?.looked_local;
        if let Some(state) = book.telling(account).await?.as_deref().and_then(TellState::parse) {
            self.state = Some(state.clone());
            return Ok(state);
        }
        let open = book.open_trips(account).await?.iter().map(|trip| trip.key().to_string()).collect();
        let mut state = TellState::beginning(now, book.fills_end().await?, open);
        let journal = seen::journal(book, account, &state).await?;
        journal::begin(&mut state, &journal);
        state.day = settings.daily.and_then(|daily| Some(daily.last_day(now, &settings.zone)?.1));
        self.put(Vec::new(), state.clone()).await?;
        Ok(state)
    }

    /// Tells what was traded. Answers whether that is all that the book has.
    async fn tell_trades(&mut self, mut state: TellState) -> StoreResult<bool> {
        let (seen, unfolded, is_all) = seen::trades(&*self.book, &self.account, &state).await?;
        if seen.fills.is_empty() {
            self.window = None;
        } else {
            let waited = self.window.get_or_insert_with(Instant::now).elapsed();
            if waited < SETTLE || (!unfolded.is_empty() && waited < FOLD_PATIENCE) {
                return Ok(true);
            }
            self.window = None;
        }
        let events = trades::derive(&mut state, &seen);
        self.put(events, state).await?;
        Ok(is_all)
    }

    /// Tells everything else.
    async fn tell_rest(&mut self) -> StoreResult<()> {
        let Some(mut state) = self.state.clone() else { return Ok(()) };
        let settings = Arc::clone(&self.telling.settings);
        let (book, account) = (Arc::clone(&self.book), self.account.clone());
        let now = self.telling.clock.now();
        let health = seen::health(&*book, &account).await?;
        let limits = HealthLimits { stale_ms: settings.stale_ms, margin_percent: settings.margin_percent };
        let mut events = health::derive(&mut state, &health, limits, now);
        let journal = seen::journal(&*book, &account, &state).await?;
        events.extend(journal::derive(&mut state, &journal, now));
        if let Some((since, until)) = settings.daily.and_then(|daily| daily.last_day(now, &settings.zone))
            && state.day.is_none_or(|told| told < until)
        {
            let is_late = now.as_ms().saturating_sub(until.as_ms()) >= daily::PATIENCE_MS;
            if is_late || daily::is_read(&book.looks(&account).await?, until) {
                let is_stale = state.troubles.contains_key(health::STALE);
                let day = seen::day(&*book, &account, (since, until), is_stale).await?;
                events.push(daily::derive(&mut state, &day, (since, until), settings.rules, &settings.zone));
            }
        }
        self.put(events, state).await?;
        self.beat(health.looked_local, health.failure.is_some());
        Ok(())
    }

    /// Puts events into the outbox, with how far it came. What changes nothing is not written.
    async fn put(&mut self, events: Vec<Event>, state: TellState) -> StoreResult<()> {
        if self.state.as_ref() == Some(&state) && events.is_empty() {
            return Ok(());
        }
        let now = self.telling.clock.now();
        let messages = self.messages(&events, now);
        let keep_since = now.saturating_add_ms(-KEPT_MS);
        self.book.put_messages(&self.account, messages, now, keep_since, state.to_json()).await?;
        self.state = Some(state);
        if !events.is_empty() {
            self.news.iter().for_each(|news| news.notify_one());
        }
        Ok(())
    }

    /// A message of each event for each channel. What can wait waits until the quiet hours are over.
    fn messages(&self, events: &[Event], now: TimestampMs) -> Vec<NewMessage> {
        let settings = &self.telling.settings;
        let quiet = settings.quiet.and_then(|quiet| quiet.end(now, &settings.zone));
        let pairs = events.iter().flat_map(|event| settings.channels.iter().map(move |channel| (event, channel)));
        let message = |(event, channel): (&Event, &Arc<Channel>)| NewMessage {
            channel: channel.name.clone(),
            key: event.key.clone(),
            kind: event.kind.as_str().to_owned(),
            is_urgent: event.is_urgent,
            text: event.text(&self.account, channel.amounts),
            body_json: event.json(&self.account, channel.amounts).to_string(),
            not_before_local: quiet.filter(|_| !event.is_urgent).unwrap_or(now),
        };
        pairs.map(message).collect()
    }

    /// Calls the heartbeat after a look that was answered and written down.
    fn beat(&mut self, looked: Option<TimestampMs>, has_failed: bool) {
        while self.beats.try_join_next().is_some() {}
        let is_new = looked > self.looked;
        self.looked = looked.max(self.looked);
        let Some(heartbeat) = self.telling.heartbeat.clone() else { return };
        if !is_new || has_failed || !heartbeat.note(&self.account) {
            return;
        }
        let courier = Arc::clone(&self.telling.courier);
        self.beats.spawn(async move {
            let answered = courier.bring(Parcel { url: heartbeat.url.clone(), body: None }).await;
            match answered.map(|receipt| receipt.status) {
                Ok(200..300) => {}
                Ok(status) => tracing::warn!("the heartbeat's address answered {status}"),
                Err(error) => tracing::warn!(%error, "the heartbeat's address was not reached"),
            }
        });
    }
}
