//! Writing down what a stream tells, in groups.

use std::collections::VecDeque;
use std::time::Duration;

use ledger_core::Statement;
use tokio::time::Instant;

use super::happening::{HappeningKind, Told};
use super::{is_final, reason_of};
use crate::error::ReconcileError;
use crate::record::Recorder;

/// How many delays are kept.
const DELAYS_MAX: usize = 1_000;
/// The first delay behind a failure; each further one doubles it, up to the sixth.
const RETRY_FIRST: Duration = Duration::from_millis(250);

/// What was written down.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// What is to be told of it.
    pub(super) told: Option<Told>,
    /// Whether something in it contradicts the book, or cannot be read.
    pub(super) wants_cycle: bool,
}

/// Writes down what a stream tells. What cannot be written now is kept, and written later.
pub(super) struct Recording {
    recorder: Recorder,
    waiting: Vec<Statement>,
    /// When each event arrived that waits.
    arrived: Vec<Instant>,
    /// Why the book is not written; `None` where nothing failed.
    failure: Option<String>,
    retry_at: Option<Instant>,
    attempts: u32,
    /// How long the last events took from their arrival until they were durable, in microseconds.
    delays: VecDeque<u64>,
    events: u64,
}

impl Recording {
    pub(super) fn new(recorder: Recorder) -> Self {
        Self {
            recorder,
            waiting: Vec::new(),
            arrived: Vec::new(),
            failure: None,
            retry_at: None,
            attempts: 0,
            delays: VecDeque::new(),
            events: 0,
        }
    }

    /// What an event states, to be written with the next group.
    pub(super) fn add_event(&mut self, statements: Vec<Statement>, arrived: Instant) {
        if !statements.is_empty() {
            self.events += 1;
            self.arrived.push(arrived);
            self.waiting.extend(statements);
        }
    }

    /// Statements that no event made.
    pub(super) fn add(&mut self, statements: Vec<Statement>) {
        self.waiting.extend(statements);
    }

    /// Who records.
    pub(super) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Whether the book does not take what it is given: then nothing more is taken from the stream.
    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// When it is tried again.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// How many events were taken.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// How many events wait.
    pub(super) fn waiting(&self) -> usize {
        self.arrived.len()
    }

    /// How long `percent` of 100 of the last events took at most, in microseconds.
    pub(super) fn delay_us<const N: usize>(&self, percents: [usize; N]) -> [Option<u64>; N] {
        let mut delays: Vec<u64> = self.delays.iter().copied().collect();
        delays.sort_unstable();
        percents.map(|percent| delays.get((delays.len() * percent / 100).min(delays.len().saturating_sub(1))).copied())
    }

    /// Writes what waits, in one transaction.
    ///
    /// # Errors
    /// What waiting does not help with. Everything else is tried again.
    pub(super) async fn write(&mut self) -> Result<Written, ReconcileError> {
        if self.waiting.is_empty() {
            return Ok(Written::default());
        }
        match self.recorder.record(self.waiting.clone()).await {
            Ok(report) => {
                self.waiting.clear();
                self.note_delays(Instant::now());
                (self.retry_at, self.attempts) = (None, 0);
                let is_again = self.failure.take().is_some();
                let counts = report.counts();
                Ok(Written {
                    told: is_again.then(|| (HappeningKind::BookWritten, "the book is written again".to_owned())),
                    wants_cycle: counts.conflicts > 0 || counts.unreadable > 0,
                })
            }
            Err(error) if is_final(&error) => Err(error),
            Err(error) => {
                self.attempts += 1;
                self.retry_at = Some(Instant::now() + RETRY_FIRST.saturating_mul(1 << self.attempts.min(6)));
                let (text, waiting) = (reason_of(&error), self.arrived.len());
                let is_new = self.failure.replace(text.clone()).is_none();
                let told = || format!("the book cannot be written, and {waiting} events of the stream wait: {text}");
                Ok(Written { told: is_new.then(|| (HappeningKind::BookFailed, told())), wants_cycle: false })
            }
        }
    }

    fn note_delays(&mut self, now: Instant) {
        for arrived in self.arrived.drain(..) {
            if self.delays.len() == DELAYS_MAX {
                self.delays.pop_front();
            }
            self.delays.push_back(u64::try_from((now - arrived).as_micros()).unwrap_or(u64::MAX));
        }
    }
}
