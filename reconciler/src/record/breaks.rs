//! Breaks in which others may write: who finds the book locked tries again every 100 ms at the latest, and would never find it
//! free while many lines wait.

use std::time::Duration;

use tokio::time::Instant;

/// After how long without a break others may write.
const BUSY_MAX: Duration = Duration::from_millis(700);
/// For how long they may: longer than SQLite waits between two tries.
const WAY: Duration = Duration::from_millis(110);
/// Less than this between two batches is no break.
const BREAK_MIN: Duration = Duration::from_millis(15);

/// When a recorder wrote. It is told what time it is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Breaks {
    /// Since when it writes without a break, and when it wrote last.
    busy: Option<(Instant, Instant)>,
}

impl Breaks {
    /// How long to wait before a batch that could be written at `now`.
    pub(super) fn before_batch(&mut self, now: Instant) -> Duration {
        match self.busy {
            Some((since, last)) if now.duration_since(last) < BREAK_MIN => {
                if now.duration_since(since) < BUSY_MAX {
                    return Duration::ZERO;
                }
                let until = now + WAY;
                self.busy = Some((until, until));
                WAY
            }
            _ => {
                self.busy = Some((now, now));
                Duration::ZERO
            }
        }
    }

    /// A batch was written.
    pub(super) fn after_batch(&mut self, now: Instant) {
        let since = self.busy.map_or(now, |(since, _)| since);
        self.busy = Some((since, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The moments, in milliseconds, at which batches began, of a recorder whose batches take `batch_ms` and come `gap_ms`
    /// after each other, and how long each waited.
    fn waits(batch_ms: u64, gap_ms: u64, count: usize) -> Vec<(u128, Duration)> {
        let (start, mut breaks) = (Instant::now(), Breaks::default());
        let mut now = start;
        let mut waits = Vec::new();
        for _ in 0..count {
            let wait = breaks.before_batch(now);
            now += wait;
            waits.push((now.duration_since(start).as_millis(), wait));
            now += Duration::from_millis(batch_ms);
            breaks.after_batch(now);
            now += Duration::from_millis(gap_ms);
        }
        waits
    }

    #[test]
    fn a_recorder_that_writes_without_a_break_lets_others_write() {
        // Full batches, one behind the other: each stretch of 700 ms is followed by a break.
        let paused: Vec<_> = waits(100, 0, 22).into_iter().filter(|(_, wait)| !wait.is_zero()).collect();
        assert_eq!(paused, [(810, WAY), (1_620, WAY), (2_430, WAY)]);
        // So do short ones.
        let paused = waits(8, 2, 200).into_iter().filter(|(_, wait)| !wait.is_zero()).count();
        assert_eq!(paused, 2);
    }

    #[test]
    fn who_pauses_by_himself_never_waits() {
        assert!(waits(100, 15, 50).iter().all(|(_, wait)| wait.is_zero()));
        // The first batch behind a pause is never held back, however long it wrote before.
        let (start, mut breaks) = (Instant::now(), Breaks::default());
        breaks.before_batch(start);
        let written = start + Duration::from_secs(5);
        breaks.after_batch(written);
        assert_eq!(breaks.before_batch(written + BREAK_MIN), Duration::ZERO);
    }
}
