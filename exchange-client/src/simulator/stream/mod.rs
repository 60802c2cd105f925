//! The streams: what an account is told unasked, and what everybody may listen to, as long as somebody listens.
//!
//! A connection is the same whether it comes over a web socket or from the same process: it has what the URL asks for,
//! is pinged every three minutes of the exchange's clock, and ends after a day. What happens is put on its way to every
//! connection at once; faults decide what arrives, when and how often.
//!
//! Invariants, each with a test of the same name (in [`super::tests`]):
//! 1. `a_healthy_stream_keeps_the_order_of_what_happened`.
//! 2. `events_of_one_type_keep_their_order_whatever_happens`.
//! 3. `who_does_not_listen_is_cut_off`: what waits for a client is bounded.
//! 4. `a_seed_meets_the_same_stream_faults_whoever_else_listens`.

mod connection;
mod hub;
mod target;

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;

pub(super) use self::hub::Streams;
use self::target::Target;
use super::{Simulator, SimulatorClock};

/// How often a stream looks at a clock that runs by itself.
const LOOK: Duration = Duration::from_millis(50);

/// What comes from the exchange on a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamMessage {
    /// An event, or the answer to what was sent.
    Text(String),
    /// Whether anybody is there. In the same process it need not be answered.
    Ping,
    /// The exchange ends the connection.
    Closed {
        /// The status, as web sockets number them.
        code: u16,
        /// Why.
        reason: &'static str,
    },
    /// The connection is gone, without a goodbye.
    Broken,
}

/// A stream that is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the simulator opens no stream here: {}", status.map_or_else(|| "the connection broke".to_owned(), |status| format!("HTTP status {status}")))]
pub struct StreamRefused {
    /// What HTTP answers instead; nothing when the connection broke.
    pub status: Option<u16>,
}

impl Simulator {
    /// Opens a stream in the same process, with the path and query that its URL has on the wire.
    ///
    /// # Errors
    /// [`StreamRefused`] when there is no stream at that path, when there are too many, and when a fault says so.
    pub fn open_stream(self: &Arc<Self>, path: &str, query: &str) -> Result<SimulatorStream, StreamRefused> {
        let target = Target::read(path, query).ok_or(StreamRefused { status: Some(404) })?;
        let mut state = self.up_to_date();
        if let Some(fault) = state.fate_of("stream").fault {
            return Err(StreamRefused { status: fault.answer().map(|(status, ..)| status) });
        }
        let now_ms = state.engine.now_ms;
        let connects_1m_max = state.faults.stream.connects_1m_max;
        let id = state.streams.open(target, now_ms, connects_1m_max)?;
        drop(state);
        Ok(SimulatorStream { simulator: Arc::clone(self), id, woken: self.woken.subscribe(), is_over: false })
    }
}

/// A connection to the exchange, on which it tells what happens. It is closed when this is dropped.
#[derive(Debug)]
pub struct SimulatorStream {
    simulator: Arc<Simulator>,
    id: u64,
    woken: watch::Receiver<()>,
    is_over: bool,
}

impl SimulatorStream {
    /// What has arrived by the exchange's clock, if anything has. After [`StreamMessage::Closed`] and
    /// [`StreamMessage::Broken`] nothing more does.
    pub fn try_next(&mut self) -> Option<StreamMessage> {
        if self.is_over {
            return None;
        }
        let mut state = self.simulator.up_to_date();
        let now_ms = state.engine.now_ms;
        let message = state.streams.next(self.id, now_ms);
        drop(state);
        self.is_over = matches!(message, Some(StreamMessage::Closed { .. } | StreamMessage::Broken));
        message
    }

    /// Waits for the next message; `None` when it is over. On a clock that is stepped it waits for the steps, and for what
    /// others do. Nothing is lost when the waiting is given up.
    pub async fn next(&mut self) -> Option<StreamMessage> {
        loop {
            // Seen before looking: what happens meanwhile wakes again.
            self.woken.mark_unchanged();
            if let Some(message) = self.try_next() {
                return Some(message);
            }
            if self.is_over {
                return None;
            }
            // It lasts as long as the simulator, which is held here; and whether it was woken or has waited long enough,
            // it looks again.
            match self.simulator.clock {
                SimulatorClock::Manual(_) => drop(self.woken.changed().await),
                SimulatorClock::Live(_) => drop(tokio::time::timeout(LOOK, self.woken.changed()).await),
            }
        }
    }

    /// Says something to the exchange: `SUBSCRIBE`, `UNSUBSCRIBE` or `LIST_SUBSCRIPTIONS`, in its words.
    pub fn send(&self, text: &str) {
        let mut state = self.simulator.up_to_date();
        let now_ms = state.engine.now_ms;
        state.streams.hear(self.id, text, now_ms);
    }

    /// Waits until the exchange has given up on this client, because too much waits for it.
    pub(super) async fn cut(&mut self) {
        while !self.simulator.state().streams.is_cut(self.id) {
            drop(self.woken.changed().await);
        }
    }
}

impl Drop for SimulatorStream {
    fn drop(&mut self) {
        self.simulator.state().streams.close(self.id);
    }
}
