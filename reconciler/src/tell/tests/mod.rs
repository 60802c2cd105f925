//! Telling against real books.

mod daily;
mod health;
mod journal;
mod restarts;
mod sending;
mod trades;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use exchange_client::{Clock, Courier, CourierError, Parcel, Receipt, SecretText, SecretUrl, Secrets};
use jiff::tz::TimeZone;
use ledger_core::testing::{dec, main_account};
use ledger_core::{LedgerRules, TimestampMs};
use ledger_store::{Book, Message, OpenOptions, PageRequest, Pages, SqliteStore};

use super::channel::{Channel, ChannelKind};
use super::event::{Amounts, Event};
use super::{TellSettings, Telling};

/// What a receiver does with a parcel.
type Deed = Box<dyn Fn(usize, &str) -> Result<Receipt, CourierError> + Send + Sync>;

/// A receiver that notes what arrived.
pub(super) struct Receiver {
    deed: Deed,
    arrived: Mutex<Vec<(TimestampMs, String)>>,
    clock: Arc<dyn Clock>,
    delay: Duration,
}

impl Receiver {
    pub(super) fn new(
        clock: Arc<dyn Clock>,
        deed: impl Fn(usize, &str) -> Result<Receipt, CourierError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Self::slow(clock, Duration::ZERO, deed)
    }

    /// One that takes its time.
    pub(super) fn slow(
        clock: Arc<dyn Clock>,
        delay: Duration,
        deed: impl Fn(usize, &str) -> Result<Receipt, CourierError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { deed: Box::new(deed), arrived: Mutex::default(), clock, delay })
    }

    pub(super) fn arrived(&self) -> Vec<(TimestampMs, String)> {
        self.arrived.lock().unwrap().clone()
    }

    /// The keys of all events that arrived and were taken, parcel by parcel.
    pub(super) fn keys(&self) -> Vec<String> {
        let arrived = self.arrived();
        arrived.iter().flat_map(|(_, body)| keys_of(body)).collect()
    }
}

/// The keys of the events in a webhook's body.
pub(super) fn keys_of(body: &str) -> Vec<String> {
    let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let events = body["events"].as_array().cloned().unwrap_or_default();
    events.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

#[async_trait]
impl Courier for Receiver {
    async fn bring(&self, parcel: Parcel) -> Result<Receipt, CourierError> {
        let body = parcel.body.map_or_else(|| "heartbeat".to_owned(), |(_, body)| body);
        let nth = {
            let mut arrived = self.arrived.lock().unwrap();
            arrived.push((self.clock.now(), body.clone()));
            arrived.len()
        };
        tokio::time::sleep(self.delay).await;
        (self.deed)(nth, &body)
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as a courier answers")]
pub(super) fn answer(status: u16) -> Result<Receipt, CourierError> {
    Ok(Receipt { status, retry_after_s: None, body: String::new() })
}

/// A clock that moves with tokio's, which tests pause.
#[derive(Debug)]
pub(super) struct TokioClock {
    start: TimestampMs,
    began: tokio::time::Instant,
}

impl TokioClock {
    pub(super) fn starting(start: TimestampMs) -> Arc<Self> {
        Arc::new(Self { start, began: tokio::time::Instant::now() })
    }
}

impl Clock for TokioClock {
    fn now(&self) -> TimestampMs {
        self.start.saturating_add_ms(i64::try_from(self.began.elapsed().as_millis()).unwrap())
    }
}

pub(super) fn url() -> SecretUrl {
    SecretUrl::new(&SecretText::new("http://127.0.0.1/hidden"), &Secrets::default()).unwrap()
}

pub(super) fn channel(name: &str, kind: ChannelKind) -> Arc<Channel> {
    Arc::new(Channel::new(name, kind, Amounts::Full, url()))
}

pub(super) fn settings(channels: Vec<Arc<Channel>>) -> TellSettings {
    TellSettings {
        channels,
        quiet: None,
        daily: None,
        zone: TimeZone::UTC,
        margin_percent: dec("5"),
        stale_ms: 15 * 60_000,
        rules: LedgerRules::default(),
        seed: 7,
    }
}

pub(super) fn book() -> Book {
    Arc::new(SqliteStore::in_memory(&OpenOptions::inline()).unwrap())
}

/// All messages of the main account.
pub(super) async fn messages(book: &Book) -> Vec<Message> {
    let account = main_account();
    Pages::of(PageRequest::first(100), |page| book.messages(&account, page)).all().await.unwrap()
}

pub(super) fn text(event: &Event) -> String {
    event.text(&main_account(), Amounts::Full)
}

pub(super) fn texts(events: &[Event]) -> Vec<String> {
    events.iter().map(text).collect()
}

/// A telling of the main account.
pub(super) fn telling(settings: TellSettings, courier: Arc<Receiver>, clock: Arc<dyn Clock>) -> Telling {
    Telling::new(settings, courier, clock)
}
