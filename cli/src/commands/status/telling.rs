//! Messages that wait, failed or were given up, by channel.

use ledger_core::{AccountId, TimestampMs};
use ledger_store::{ChannelSummary, Store};
use serde_json::{Value, json};

use super::super::rebuild::count;
use super::freshness::span;
use crate::error::CommandError;

/// From this age on a message that waits needs attention: channels are slow, and fail for moments.
const ATTENTION_MS: i64 = 5 * 60_000;

/// What waits to be told.
pub(super) struct Telling {
    channels: Vec<ChannelSummary>,
    now: TimestampMs,
}

impl Telling {
    pub(super) async fn of(store: &dyn Store, account: &AccountId, now: TimestampMs) -> Result<Self, CommandError> {
        Ok(Self { channels: store.outbox_summary(account).await?, now })
    }

    fn age_ms(&self, channel: &ChannelSummary) -> i64 {
        channel.oldest_local.map_or(0, |made| self.now.as_ms().saturating_sub(made.as_ms()).max(0))
    }

    fn line(&self, channel: &ChannelSummary) -> String {
        let mut text = format!("{}: ", channel.channel);
        if channel.waiting > 0 {
            let (what, age) = (count(channel.waiting, "message"), span(self.age_ms(channel)));
            let waits = if channel.waiting == 1 { "waits" } else { "wait" };
            text = format!("{text}{what} {waits}, the oldest for {age}");
            if let Some(error) = &channel.last_error {
                text = format!("{text} ({error})");
            }
        }
        if channel.given_up > 0 {
            let comma = if channel.waiting > 0 { "; " } else { "" };
            text = format!("{text}{comma}{} given up", count(channel.given_up, "message"));
        }
        text
    }

    /// What was not sent, a line a channel; nothing where all was.
    pub(super) fn lines(&self) -> Vec<String> {
        self.channels.iter().map(|channel| self.line(channel)).collect()
    }

    /// What needs attention.
    pub(super) fn attention(&self) -> Vec<String> {
        let late =
            self.channels.iter().filter(|channel| channel.last_error.is_some() && self.age_ms(channel) >= ATTENTION_MS);
        late.map(|channel| format!("{}: `fillbook tell --list`, `fillbook tell --test`", self.line(channel))).collect()
    }

    pub(super) fn json(&self) -> Value {
        let channels = self.channels.iter().map(|channel| {
            json!({
                "channel": channel.channel, "waiting": channel.waiting, "given_up": channel.given_up,
                "oldest_local": channel.oldest_local.map(TimestampMs::as_ms), "last_error": channel.last_error,
            })
        });
        Value::Array(channels.collect())
    }
}
