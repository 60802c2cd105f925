//! What nothing of a kind passes while the exchange asks to keep quiet.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_closed_shutter_opens_when_either_clock_says_so`.
//! 2. `silences_in_a_row_grow_and_an_answer_ends_the_row`: an exchange that says "wait 0 seconds" is not hammered.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ledger_core::TimestampMs;
use tokio::time::Instant;

use super::verdict::Silence;

#[derive(Debug, Clone, Copy)]
struct Closed {
    silence: Silence,
    until: TimestampMs,
    opens: Instant,
}

#[derive(Debug, Default)]
struct State {
    closed: Option<Closed>,
    /// How many silences there were since the last answer.
    in_a_row: u32,
}

/// Closed while the exchange asks to keep quiet.
#[derive(Debug, Default)]
pub(super) struct Shutter(Mutex<State>);

impl Shutter {
    /// What it is closed for, and until when, by our clock.
    pub(super) fn closed(&self, now: TimestampMs) -> Option<(Silence, TimestampMs)> {
        let closed = self.state().closed?;
        (now < closed.until && Instant::now() < closed.opens).then_some((closed.silence, closed.until))
    }

    /// Closes it until `asked`, or longer where there were silences before; answers until when. A later end that is
    /// known already stands.
    pub(super) fn close(&self, silence: Silence, asked: TimestampMs, now: TimestampMs) -> TimestampMs {
        let mut state = self.state();
        let until = asked.max(now.saturating_add_ms(shortest_ms(silence, state.in_a_row)));
        state.in_a_row = state.in_a_row.saturating_add(1);
        let wait_ms = u64::try_from(until.as_ms() - now.as_ms()).unwrap_or(0);
        let opens = Instant::now() + Duration::from_millis(wait_ms);
        match state.closed {
            Some(known) if known.until >= until && known.opens > Instant::now() => known.until,
            _ => {
                state.closed = Some(Closed { silence, until, opens });
                until
            }
        }
    }

    /// The exchange answered: the next silence is the first of a row again.
    pub(super) fn answered(&self) {
        self.state().in_a_row = 0;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The shortest silence when there were `before` others without an answer in between.
fn shortest_ms(silence: Silence, before: u32) -> i64 {
    let (first_ms, longest_ms) = match silence {
        // A firewall says nothing about when it will change its mind, and minds being asked.
        Silence::Firewall(_) => (60_000, 960_000),
        Silence::Requests | Silence::Ban | Silence::Orders => (1_000, 64_000),
    };
    (first_ms << before.min(10)).min(longest_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> TimestampMs {
        TimestampMs::new(1_780_000_000_000 + seconds * 1_000).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_shutter_opens_when_either_clock_says_so() {
        let shutter = Shutter::default();
        assert_eq!(shutter.closed(at(0)), None);
        assert_eq!(shutter.close(Silence::Requests, at(20), at(0)), at(20));
        assert_eq!(shutter.close(Silence::Ban, at(10), at(0)), at(20));
        assert_eq!(shutter.closed(at(19)), Some((Silence::Requests, at(20))));
        assert_eq!(shutter.closed(at(20)), None);
        assert_eq!(shutter.closed(at(0)), Some((Silence::Requests, at(20))));
        tokio::time::advance(Duration::from_secs(20)).await;
        assert_eq!(shutter.closed(at(0)), None);
        // What is over does not stand against what begins.
        shutter.close(Silence::Ban, at(5), at(0));
        assert_eq!(shutter.closed(at(0)), Some((Silence::Ban, at(5))));
    }

    #[tokio::test(start_paused = true)]
    async fn silences_in_a_row_grow_and_an_answer_ends_the_row() {
        let mut ends = Vec::new();
        for (silence, rounds) in [(Silence::Requests, 8), (Silence::Firewall(403), 6)] {
            let shutter = Shutter::default();
            for _ in 0..rounds {
                tokio::time::advance(Duration::from_hours(1)).await;
                ends.push(shutter.close(silence, at(0), at(0)).as_ms() / 1_000 - at(0).as_ms() / 1_000);
            }
            shutter.answered();
            tokio::time::advance(Duration::from_hours(1)).await;
            ends.push(shutter.close(silence, at(0), at(0)).as_ms() / 1_000 - at(0).as_ms() / 1_000);
        }
        assert_eq!(ends, [1, 2, 4, 8, 16, 32, 64, 64, 1, 60, 120, 240, 480, 960, 960, 60]);
    }
}
