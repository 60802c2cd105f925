//! A stream that does not come about, as long as it has never stood: refused, or without any answer. It is told once, and what the
//! watcher says of itself has it until the stream stands.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_refusal_is_told_at_once_and_once`.
//! 2. `what_may_pass_and_what_nobody_answers_is_told_when_it_lasts`.

use std::time::Duration;

use exchange_client::{ErrorClass, ExchangeError};
use tokio::time::Instant;

use super::happening::{HappeningKind, Told};

/// How long a stream may take to stand before that is worth a word.
const PATIENCE: Duration = Duration::from_mins(2);

/// How the wait for a stream stands.
#[derive(Debug)]
pub(super) struct Access {
    since: Instant,
    /// What the exchange said last.
    reason: Option<String>,
    is_told: bool,
}

impl Access {
    /// A stream is waited for from `now` on.
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, reason: None, is_told: false }
    }

    /// The exchange gave no access. A refusal stays until somebody does something; what else keeps a stream away may pass, and so
    /// may what says when.
    pub(super) fn refused(&mut self, error: &ExchangeError) -> Option<Told> {
        self.reason = Some(format!("the exchange gives no access to a stream: {error}"));
        let may_pass = matches!(error.class(), ErrorClass::Unavailable | ErrorClass::Throttled);
        if may_pass || error.retry_at().is_some() { None } else { self.tell() }
    }

    /// It is waited for still.
    pub(super) fn lasts(&mut self, now: Instant) -> Option<Told> {
        if now.duration_since(self.since) < PATIENCE { None } else { self.tell() }
    }

    /// Why there is no stream, once that was told.
    pub(super) fn trouble(&self) -> Option<String> {
        self.is_told
            .then(|| self.reason.clone().unwrap_or_else(|| "nothing answers the attempt to open a stream".to_owned()))
    }

    fn tell(&mut self) -> Option<Told> {
        if std::mem::replace(&mut self.is_told, true) {
            return None;
        }
        let text = format!("{}; looks have to do, and it is tried again", self.trouble()?);
        Some((HappeningKind::StreamInterrupted, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{lost, refused};

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_told_at_once_and_once() {
        let start = Instant::now();
        let mut access = Access::new(start);
        assert_eq!(access.trouble(), None);
        let (kind, text) = access.refused(&refused()).unwrap();
        assert_eq!(kind, HappeningKind::StreamInterrupted);
        assert!(text.contains("gives no access to a stream") && text.ends_with("it is tried again"), "{text}");
        assert_eq!(access.refused(&refused()), None);
        assert_eq!(access.lasts(start + 10 * PATIENCE), None);
        assert!(access.trouble().is_some_and(|trouble| trouble.contains("gives no access to a stream")));
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_and_what_nobody_answers_is_told_when_it_lasts() {
        for answer in [None, Some(lost())] {
            let start = Instant::now();
            let mut access = Access::new(start);
            assert_eq!(answer.as_ref().and_then(|error| access.refused(error)), None);
            assert_eq!(access.lasts(start + PATIENCE / 2), None);
            assert_eq!(access.trouble(), None);
            assert!(access.lasts(start + PATIENCE).is_some());
            assert!(access.trouble().is_some());
            assert_eq!(access.lasts(start + 2 * PATIENCE), None);
        }
    }
}
