//! Takes messages out of the book and brings them to a channel: at least once, in order, as fast as it takes them.
//!
//! Invariants, with their tests in `tests/sending.rs`:
//! 1. `each_message_is_sent_at_least_once`, and once where nothing fails.
//! 2. `a_receiver_that_wants_to_be_left_alone_is`, and one that fails is tried ever more rarely.
//! 3. `a_message_that_is_refused_holds_up_no_other`.
//! 4. `nothing_is_sent_in_a_transaction`: the book is free while a receiver hangs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use exchange_client::{Clock, Courier};
use ledger_core::AccountId;
use ledger_store::{Attempt, Book, Message, StoreError};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::channel::{BATCH_MAX, Channel, Outcome, outcome_of};
use super::is_final;

/// How often a channel looks for messages without being woken: what waits for a time is due by itself.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The first delay behind a failure; each further one doubles it.
const RETRY_FIRST: Duration = Duration::from_secs(5);
/// The longest delay behind a failure.
const RETRY_MAX: Duration = Duration::from_mins(10);
/// How long a message is tried.
const PATIENCE_MS: i64 = 3 * 24 * 3_600_000;

/// Brings the messages of an account to one channel.
pub(super) struct Sender {
    pub(super) book: Book,
    pub(super) account: AccountId,
    pub(super) channel: Arc<Channel>,
    pub(super) courier: Arc<dyn Courier>,
    pub(super) clock: Arc<dyn Clock>,
    /// Wakes it: there are new messages.
    pub(super) news: Arc<Notify>,
    /// A number of chance, which keeps the attempts of many apart.
    pub(super) chance: u32,
}

impl Sender {
    /// Sends until the book cannot be used any more.
    pub(super) async fn run(mut self) {
        // What was refused together goes one by one, so that a bad message keeps no other back.
        let mut alone: BTreeSet<i64> = BTreeSet::new();
        loop {
            let now = self.clock.now();
            let due = match self.book.due_messages(&self.account, &self.channel.name, now, BATCH_MAX).await {
                Ok(due) => due,
                Err(error) if is_final(&error) => return,
                Err(error) => {
                    tracing::warn!(account = %self.account, %error, "the messages could not be read");
                    tokio::time::sleep(LOOK_EVERY).await;
                    continue;
                }
            };
            if due.is_empty() {
                tokio::select! {
                    () = self.news.notified() => {}
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
                continue;
            }
            let batch = match due.iter().position(|message| alone.contains(&message.id)) {
                Some(0) => due.into_iter().take(1).collect(),
                Some(next) => due.into_iter().take(next).collect(),
                None => due,
            };
            let batch = self.channel.batch(batch);
            let attempt = self.send(&batch).await;
            let ids: Vec<i64> = batch.iter().map(|message| message.id).collect();
            if let (Attempt::Failed { .. }, true) = (&attempt, batch.len() > 1) {
                alone.extend(&ids);
            } else {
                alone.retain(|id| !ids.contains(id));
            }
            // Until it is on record that they were sent, they would be sent again.
            if self.note(ids, attempt).await.is_err() {
                return;
            }
        }
    }

    /// Sends some messages in one parcel, when the channel may be used.
    async fn send(&mut self, batch: &[Message]) -> Attempt {
        let (channel, courier) = (Arc::clone(&self.channel), Arc::clone(&self.courier));
        // Held while it goes on: accounts that share a channel take turns.
        let mut next = channel.next.lock().await;
        if let Some(next) = *next {
            tokio::time::sleep_until(next).await;
        }
        let events: Vec<_> = batch.iter().map(|message| (message.text.as_str(), message.body_json.as_str())).collect();
        let parcel = channel.parcel(&events);
        let outcome = match courier.bring(parcel).await {
            Ok(receipt) => outcome_of(&receipt),
            Err(error) => Outcome::Later { wait: None, error: error.to_string() },
        };
        let now = self.clock.now();
        *next = Some(Instant::now() + channel.every());
        let (wait, error) = match outcome {
            Outcome::Taken => return Attempt::Sent { at_local: now },
            Outcome::Refused { error } => (self.backoff(batch), error),
            Outcome::Later { wait, error } => {
                let wait = wait.unwrap_or_else(|| self.backoff(batch)).max(channel.every());
                // Nothing else would be taken either.
                *next = Some(Instant::now() + wait);
                (wait, error)
            }
        };
        tracing::warn!(account = %self.account, channel = channel.name, "{error}");
        let made = batch.iter().map(|message| message.made_local).min().unwrap_or(now);
        if now.as_ms().saturating_sub(made.as_ms()) > PATIENCE_MS && batch.len() == 1 {
            return Attempt::GivenUp { at_local: now, error };
        }
        let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        Attempt::Failed { next_try_local: now.saturating_add_ms(wait_ms), error }
    }

    /// Between three quarters and all of the delay behind so many failures.
    fn backoff(&mut self, batch: &[Message]) -> Duration {
        self.chance = self.chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let failures = batch.iter().map(|message| message.attempts).max().unwrap_or(0);
        let delay = RETRY_FIRST.saturating_mul(1 << failures.min(16)).min(RETRY_MAX);
        delay.saturating_sub(delay * ((self.chance >> 16) % 256) / 1_024)
    }

    /// Writes down how an attempt ended, as soon as the book takes it.
    async fn note(&self, ids: Vec<i64>, attempt: Attempt) -> Result<(), StoreError> {
        loop {
            match self.book.note_attempt(ids.clone(), attempt.clone()).await {
                Err(error) if !is_final(&error) => {
                    tracing::warn!(account = %self.account, %error, "what came of messages could not be noted");
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                noted => return noted,
            }
        }
    }
}
