//! Where messages go, and how each receiver wants them.
//!
//! Invariants, each with a test of the same name:
//! 1. `each_receiver_gets_its_own_form`, and no more at once than it takes.
//! 2. `what_a_receiver_answers_is_understood`: taken, later, or refused, and how long to wait.

use std::time::Duration;

use exchange_client::{Parcel, Receipt, SecretUrl};
use ledger_core::printable;
use ledger_store::Message;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::event::Amounts;

/// How many messages go in one parcel.
pub(super) const BATCH_MAX: u32 = 20;
/// How long a reason for a refusal is kept.
const REASON_CHARS_MAX: usize = 160;
/// However long a receiver asks to be left alone, it is asked again after that.
const WAIT_MAX_S: u64 = 3_600;

/// What kind of receiver a channel has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelKind {
    /// A program of the user's: JSON with the events, schema `fillbook.tell/1`.
    Webhook,
    /// A bot of Telegram, with the chat that it writes to.
    Telegram {
        /// The chat's id or `@name`.
        chat: String,
    },
    /// A topic of ntfy: the text.
    Ntfy,
    /// A webhook of Discord.
    Discord,
    /// An incoming webhook of Slack.
    Slack,
}

impl ChannelKind {
    /// The name in settings and lists.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Telegram { .. } => "telegram",
            Self::Ntfy => "ntfy",
            Self::Discord => "discord",
            Self::Slack => "slack",
        }
    }

    /// How long to wait between two parcels, by what each receiver allows: Telegram takes 20 a minute into a group, Discord 30
    /// into a channel, Slack one a second, ntfy one in five seconds in the long run.
    fn every(&self) -> Duration {
        Duration::from_millis(match self {
            Self::Webhook => 200,
            Self::Telegram { .. } => 3_000,
            Self::Ntfy => 5_000,
            Self::Discord => 2_000,
            Self::Slack => 1_000,
        })
    }

    /// How many bytes of text go in one parcel: Telegram takes 4,096 characters, Discord 2,000, ntfy 4,096 bytes.
    fn text_bytes_max(&self) -> usize {
        match self {
            Self::Webhook => usize::MAX,
            Self::Discord => 1_900,
            _ => 3_900,
        }
    }
}

/// Where messages go.
#[derive(Debug)]
pub struct Channel {
    /// Its name in the settings.
    pub name: String,
    /// What kind of receiver it has.
    pub kind: ChannelKind,
    /// What it is told of money.
    pub amounts: Amounts,
    url: SecretUrl,
    /// No parcel goes before then. Several accounts share a channel, and its limits.
    pub(super) next: Mutex<Option<Instant>>,
}

/// What came of a parcel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was taken.
    Taken,
    /// The receiver does not take anything now.
    Later {
        /// How long it wants to be left alone, where it says.
        wait: Option<Duration>,
        error: String,
    },
    /// The receiver does not take this.
    Refused { error: String },
}

impl Channel {
    /// A channel to `url`.
    pub fn new(name: impl Into<String>, kind: ChannelKind, amounts: Amounts, url: SecretUrl) -> Self {
        Self { name: name.into(), kind, amounts, url, next: Mutex::new(None) }
    }

    /// How long to wait after a parcel.
    pub(super) fn every(&self) -> Duration {
        self.kind.every()
    }

    /// As many of `due` as go in one parcel, at least one.
    pub(super) fn batch(&self, due: Vec<Message>) -> Vec<Message> {
        let mut bytes = 0_usize;
        let fits = |message: &Message| {
            bytes = bytes.saturating_add(message.text.len() + 1);
            bytes <= self.kind.text_bytes_max()
        };
        let number = due.iter().map(fits).take_while(|fits| *fits).count().max(1);
        due.into_iter().take(number).collect()
    }

    /// A parcel with these events, each as text and as JSON.
    pub(super) fn parcel(&self, messages: &[(&str, &str)]) -> Parcel {
        let text = || {
            let text = messages.iter().map(|(text, _)| *text).collect::<Vec<_>>().join("\n");
            shortened(text, self.kind.text_bytes_max())
        };
        let json = |value: Value| ("application/json", value.to_string());
        let body = match &self.kind {
            ChannelKind::Webhook => {
                let events = messages.iter().map(|(_, body)| serde_json::from_str(body).unwrap_or(Value::Null));
                json(json!({"schema": "fillbook.tell/1", "events": events.collect::<Vec<_>>()}))
            }
            ChannelKind::Telegram { chat } => {
                json(json!({"chat_id": chat, "text": text(), "link_preview_options": {"is_disabled": true}}))
            }
            ChannelKind::Ntfy => ("text/plain; charset=utf-8", text()),
            ChannelKind::Discord => json(json!({"content": text(), "allowed_mentions": {"parse": []}})),
            // These three characters are all that Slack gives a meaning.
            ChannelKind::Slack => {
                json(json!({"text": text().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")}))
            }
        };
        Parcel { url: self.url.clone(), body: Some(body) }
    }
}

/// At most so many bytes of a text.
fn shortened(text: String, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text;
    }
    let end = (0..=bytes_max.saturating_sub(4)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{} ...", text.get(..end).unwrap_or_default())
}

/// What an answer says.
pub(super) fn outcome_of(receipt: &Receipt) -> Outcome {
    if (200..300).contains(&receipt.status) {
        return Outcome::Taken;
    }
    let body: Option<Value> = serde_json::from_str(&receipt.body).ok();
    let of = |name: &str| body.as_ref().and_then(|body| body.get(name));
    let said = ["description", "message", "error"].into_iter().find_map(|name| of(name)?.as_str());
    let said = said.unwrap_or(if body.is_some() { "" } else { receipt.body.as_str() }).trim();
    let said: String = printable(said).chars().take(REASON_CHARS_MAX).collect();
    let colon = if said.is_empty() { "" } else { ": " };
    let error = format!("the receiver answered {}{colon}{said}", receipt.status);
    if receipt.status != 429 && receipt.status != 408 && receipt.status < 500 {
        return Outcome::Refused { error };
    }
    // Telegram and Discord say it in the body, Discord with a fraction.
    let in_body = of("retry_after").or_else(|| of("parameters")?.get("retry_after")).map(ToString::to_string);
    let in_body = in_body.and_then(|text| Some(text.split('.').next()?.parse::<u64>().ok()?.saturating_add(1)));
    let wait = receipt.retry_after_s.max(in_body).map(|wait| Duration::from_secs(wait.min(WAIT_MAX_S)));
    Outcome::Later { wait, error }
}

#[cfg(test)]
mod tests {
    use exchange_client::{SecretText, Secrets};
    use ledger_store::MessageState;

    use super::*;

    fn channel(kind: ChannelKind) -> Channel {
        let url = SecretUrl::new(&SecretText::new("https://host.example/hidden-path-1234"), &Secrets::default());
        Channel::new("phone", kind, Amounts::Full, url.unwrap())
    }

    fn message(id: i64, text: &str) -> Message {
        let at = ledger_core::testing::at(0);
        Message {
            id,
            account: "main".parse().unwrap(),
            channel: "phone".to_owned(),
            key: id.to_string(),
            kind: "opened".to_owned(),
            is_urgent: false,
            text: text.to_owned(),
            body_json: format!("{{\"id\":\"{id}\"}}"),
            made_local: at,
            attempts: 0,
            state: MessageState::Waiting(at),
            last_error: None,
        }
    }

    #[test]
    fn each_receiver_gets_its_own_form() {
        let messages = [("a <b> & c", "{\"id\":\"1\"}"), ("second", "{\"id\":\"2\"}")];
        let body = |kind| channel(kind).parcel(&messages).body.unwrap();
        for (kind, expected) in [
            (ChannelKind::Webhook, r#"{"events":[{"id":"1"},{"id":"2"}],"schema":"fillbook.tell/1"}"#),
            (
                ChannelKind::Telegram { chat: "-100".to_owned() },
                r#"{"chat_id":"-100","link_preview_options":{"is_disabled":true},"text":"a <b> & c\nsecond"}"#,
            ),
            (ChannelKind::Discord, r#"{"allowed_mentions":{"parse":[]},"content":"a <b> & c\nsecond"}"#),
            (ChannelKind::Slack, r#"{"text":"a &lt;b&gt; &amp; c\nsecond"}"#),
        ] {
            assert_eq!(body(kind), ("application/json", expected.to_owned()));
        }
        assert_eq!(body(ChannelKind::Ntfy), ("text/plain; charset=utf-8", "a <b> & c\nsecond".to_owned()));

        let long = "x".repeat(1_000);
        let due = || vec![message(1, &long), message(2, &long), message(3, "short")];
        let ids = |kind, due| channel(kind).batch(due).into_iter().map(|it| it.id).collect::<Vec<_>>();
        assert_eq!(ids(ChannelKind::Discord, due()), [1]);
        assert_eq!(ids(ChannelKind::Slack, due()), [1, 2, 3]);
        assert_eq!(ids(ChannelKind::Discord, vec![message(1, &"ü".repeat(3_000))]), [1]);
        assert!(shortened("ü".repeat(3_000), 1_900).len() <= 1_900);
    }

    #[test]
    fn what_a_receiver_answers_is_understood() {
        let told =
            |status, retry_after_s, body: &str| outcome_of(&Receipt { status, retry_after_s, body: body.to_owned() });
        let later = |seconds: Option<u64>, error: &str| Outcome::Later {
            wait: seconds.map(Duration::from_secs),
            error: error.to_owned(),
        };
        assert_eq!(told(204, None, ""), Outcome::Taken);
        let telegram = r#"{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 35","parameters":{"retry_after":35}}"#;
        let words = "the receiver answered 429: Too Many Requests: retry after 35";
        assert_eq!(told(429, None, telegram), later(Some(36), words));
        assert_eq!(told(429, Some(40), telegram), later(Some(40), words));
        let discord = r#"{"message":"You are being rate limited.","retry_after":0.65,"global":false}"#;
        assert_eq!(told(429, None, discord), later(Some(1), "the receiver answered 429: You are being rate limited."));
        assert_eq!(told(503, Some(900_000), "<html>"), later(Some(3_600), "the receiver answered 503: <html>"));
        assert_eq!(told(500, None, "{}"), later(None, "the receiver answered 500"));
        let refused = Outcome::Refused { error: "the receiver answered 400: Bad Request: chat not found".to_owned() };
        assert_eq!(told(400, None, r#"{"ok":false,"description":"Bad Request: chat not found"}"#), refused);
        assert!(matches!(told(301, None, ""), Outcome::Refused { .. }));
    }
}
