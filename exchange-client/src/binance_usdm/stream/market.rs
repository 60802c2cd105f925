//! The stream of mark prices. It has no key and no gaps that matter: a price that was missed is superseded by the next one.
//!
//! Invariants, each with a test of the same name (in [`super::super::tests::stream`]):
//! 1. `marks_are_read_with_their_times`.
//! 2. `a_stream_of_marks_that_tells_nothing_is_made_anew`: standing, subscribed and answering pings proves nothing.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ledger_core::{PriceKind, PriceSnapshot};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::super::dto;
use super::super::parse::{Parsed, get, instant, optional_instant};
use super::super::rest::RestClient;
use super::{AddressShape, UserStreamSettings};
use crate::api::{Interruption, MarkEvent, MarkPrice, MarkStream, Stated, StreamEventError};
use crate::foreign::{ForeignError, ForeignText};
use crate::transport::{GuardedStreams, StreamAddress, StreamConnection, StreamError, StreamFrame};

/// The stream's name: the marks of all contracts, every second.
const STREAM: &str = "!markPrice@arr@1s";
const EVENT: &str = "markPriceUpdate";
/// Prices come every second; after so long without one the connection is worth nothing, whatever else it says.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// A stream of mark prices of Binance USD-M.
pub(super) struct BinanceMarkStream {
    rest: Arc<RestClient>,
    transport: Arc<GuardedStreams>,
    base_url: String,
    shape: AddressShape,
    settings: UserStreamSettings,
    live: Option<Live>,
    failures: u32,
    wait_until: Option<Instant>,
}

struct Live {
    connection: Box<dyn StreamConnection>,
    opened: Instant,
    told: Instant,
}

impl BinanceMarkStream {
    pub(super) fn new(
        rest: Arc<RestClient>,
        transport: Arc<GuardedStreams>,
        base_url: String,
        shape: AddressShape,
        settings: UserStreamSettings,
    ) -> Self {
        Self { rest, transport, base_url, shape, settings, live: None, failures: 0, wait_until: None }
    }

    async fn connect(&mut self) -> Option<MarkEvent> {
        if let Some(until) = self.wait_until {
            tokio::time::sleep_until(until).await;
            self.wait_until = None;
        }
        let path = match self.shape {
            AddressShape::ByCategory => format!("/market/ws/{STREAM}"),
            AddressShape::Plain => format!("/ws/{STREAM}"),
        };
        let address = StreamAddress { base_url: self.base_url.clone(), path, query: String::new() };
        match self.transport.connect(address).await {
            Ok(connection) => {
                let now = Instant::now();
                self.live = Some(Live { connection, opened: now, told: now });
                None
            }
            Err(error) => Some(self.interrupted(Interruption::Connection(error))),
        }
    }

    fn interrupted(&mut self, cause: Interruption) -> MarkEvent {
        self.live = None;
        self.failures = self.failures.saturating_add(1);
        let attempt = self.failures.saturating_add(1);
        self.wait_until = Some(Instant::now() + self.rest.spread_delay(&self.settings.reconnect, attempt));
        MarkEvent::Interrupted(cause)
    }

    fn told(&mut self, frame: Result<StreamFrame, StreamError>) -> Option<MarkEvent> {
        match frame {
            Ok(StreamFrame::Text(text)) => {
                let event = match marks(&text) {
                    Ok(rows) => MarkEvent::Marks(rows),
                    Err(error) => return Some(MarkEvent::Unreadable(error)),
                };
                self.failures = 0;
                if let Some(live) = &mut self.live {
                    live.told = Instant::now();
                }
                Some(event)
            }
            Ok(StreamFrame::Ping | StreamFrame::Pong) => None,
            Ok(StreamFrame::Binary(bytes)) => {
                Some(MarkEvent::Unreadable(StreamEventError::Binary { length_bytes: bytes.len() }))
            }
            Err(error) => Some(self.interrupted(Interruption::Connection(error))),
        }
    }
}

#[async_trait]
impl MarkStream for BinanceMarkStream {
    async fn next(&mut self) -> MarkEvent {
        loop {
            let Some(live) = &mut self.live else {
                if let Some(event) = self.connect().await {
                    return event;
                }
                continue;
            };
            // One that is as old as the exchange lets it become is made anew: the next second's prices come by the new one.
            if live.opened.elapsed() >= self.settings.connection_age_max {
                self.live = None;
                continue;
            }
            let silent_at = live.told + SILENCE_MAX;
            let frame = tokio::select! {
                biased;
                frame = live.connection.next() => frame,
                () = tokio::time::sleep_until(silent_at) => {
                    return self.interrupted(Interruption::Silent { after: SILENCE_MAX });
                }
            };
            if let Some(event) = self.told(frame) {
                return event;
            }
        }
    }
}

/// The prices of a message: a list of events, or one, perhaps in an envelope that names the stream.
fn marks(message: &str) -> Result<Vec<Stated<MarkPrice>>, StreamEventError> {
    let unreadable = |source: &serde_json::Error| StreamEventError::Unreadable {
        body_start: ForeignText::body_start(message.as_bytes()),
        source: ForeignError::new(source),
    };
    let mut body = message;
    let envelope: Option<dto::MessageHead> = serde_json::from_str(message).ok();
    let data = envelope.and_then(|head| head.data);
    if let Some(data) = &data {
        body = data.get();
    }
    let rows: Vec<&RawValue> = if body.trim_start().starts_with('[') {
        serde_json::from_str(body).map_err(|error| unreadable(&error))?
    } else {
        vec![serde_json::from_str(body).map_err(|error| unreadable(&error))?]
    };
    let read = |text: &RawValue| {
        let row: dto::MarkEventRow = serde_json::from_str(text.get()).map_err(|error| unreadable(&error))?;
        let entity = mark(&row).map_err(|(field, problem)| StreamEventError::Malformed {
            event: EVENT,
            field,
            problem: Box::new(problem),
        })?;
        Ok(Stated { entity, payload: text.get().into() })
    };
    rows.into_iter().map(read).collect()
}

fn mark(row: &dto::MarkEventRow) -> Parsed<MarkPrice> {
    let price = PriceSnapshot {
        symbol: get("s", &row.symbol)?,
        kind: PriceKind::Mark,
        at: instant("E", &row.told_at)?,
        price: get("p", &row.mark_price)?,
    };
    // 0 for contracts that are delivered instead of funded.
    Ok(MarkPrice { price, next_funding: optional_instant("T", &row.next_funding)? })
}
