//! What is to be told to people: messages that wait in the book until a channel has taken them.

use ledger_core::{AccountId, Fill, Sourced, TimestampMs};

/// A message for one channel. Its key names what it tells: of one account and channel there is one message with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Through which channel, by its name in the settings.
    pub channel: String,
    /// What it tells, by a name that follows from the book.
    pub key: String,
    /// What kind of thing it tells.
    pub kind: String,
    /// Whether it goes before others.
    pub is_urgent: bool,
    /// In words, for people.
    pub text: String,
    /// The same as JSON, for programs.
    pub body_json: String,
    /// It is not sent before this instant of the local clock.
    pub not_before_local: TimestampMs,
}

/// What came of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageState {
    /// It is tried from this instant of the local clock on.
    Waiting(TimestampMs),
    /// The channel took it then, by the local clock.
    Sent(TimestampMs),
    /// It was given up then, by the local clock.
    GivenUp(TimestampMs),
}

/// A message on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its number: later messages have greater ones.
    pub id: i64,
    /// Of which account.
    pub account: AccountId,
    /// Through which channel.
    pub channel: String,
    /// What it tells.
    pub key: String,
    /// What kind of thing it tells.
    pub kind: String,
    /// Whether it goes before others.
    pub is_urgent: bool,
    /// In words.
    pub text: String,
    /// The same as JSON.
    pub body_json: String,
    /// When it was made, by the local clock.
    pub made_local: TimestampMs,
    /// How often the channel did not take it.
    pub attempts: u32,
    /// What came of it.
    pub state: MessageState,
    /// Why it was not taken, the last time.
    pub last_error: Option<String>,
}

/// How an attempt at some messages ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The channel took them.
    Sent {
        /// When, by the local clock.
        at_local: TimestampMs,
    },
    /// It did not.
    Failed {
        /// When it is tried again, by the local clock.
        next_try_local: TimestampMs,
        /// Why, without an address or token.
        error: String,
    },
    /// It did not, and it is not tried again.
    GivenUp {
        /// When, by the local clock.
        at_local: TimestampMs,
        /// Why, without an address or token.
        error: String,
    },
}

/// How the messages of a channel stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelSummary {
    /// The channel.
    pub channel: String,
    /// How many wait.
    pub waiting: u64,
    /// When the oldest of these was made, by the local clock.
    pub oldest_local: Option<TimestampMs>,
    /// Why the last attempt at one of these failed.
    pub last_error: Option<String>,
    /// How many were given up.
    pub given_up: u64,
}

/// Fills in the order in which the book learned of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedFills {
    /// The fills of the account.
    pub fills: Vec<Sourced<Fill>>,
    /// The place behind the last of them, or behind all that there are: where the next question goes on.
    pub until: i64,
    /// Whether these were all.
    pub is_all: bool,
}
