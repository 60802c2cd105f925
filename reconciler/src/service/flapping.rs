//! A stream that comes and goes: the first times are told, and then how often, so that what else is told can be found.
//!
//! Invariants, each with a test of the same name:
//! 1. `the_first_interruptions_are_told_and_then_their_number`.
//! 2. `one_that_lasts_is_told_however_many_there_were_before`.

use std::collections::VecDeque;
use std::time::Duration;

use exchange_client::StreamEvent;
use tokio::time::Instant;

use super::happening::{HappeningKind, Told};

/// So many interruptions within [`WINDOW`] are told one by one.
const TOLD_MAX: usize = 3;
/// In what time; and how far apart their number is told.
const WINDOW: Duration = Duration::from_mins(10);
/// An interruption that lasts longer is told.
const LASTS: Duration = Duration::from_mins(1);

/// Counts interruptions.
#[derive(Debug, Default)]
pub(super) struct Flapping {
    recent: VecDeque<Instant>,
    untold: u64,
    /// Since when the stream is down, if that is not told.
    down_untold: Option<Instant>,
    /// When something was last told.
    told: Option<Instant>,
}

impl Flapping {
    /// Whether an event that could be told is to be told: one about the connection, not always.
    pub(super) fn lets(&mut self, event: &StreamEvent, now: Instant) -> bool {
        let is_told = match event {
            StreamEvent::Interrupted { .. } => self.interrupted(now),
            StreamEvent::Resumed(_) => self.down_untold.take().is_none(),
            _ => return true,
        };
        if is_told {
            self.told = Some(now);
        }
        is_told
    }

    fn interrupted(&mut self, now: Instant) -> bool {
        self.recent.retain(|at| now.duration_since(*at) < WINDOW);
        self.recent.push_back(now);
        // No more than are needed to see that there were too many.
        if self.recent.len() > TOLD_MAX + 1 {
            self.recent.pop_front();
        }
        if self.recent.len() <= TOLD_MAX {
            return true;
        }
        self.untold += 1;
        self.down_untold = Some(now);
        false
    }

    /// What is to be told of those that were not, now and then.
    pub(super) fn lasts(&mut self, now: Instant) -> Option<Told> {
        let is_due = self.told.is_none_or(|told| now.duration_since(told) >= WINDOW);
        let is_down_for_long = self.down_untold.is_some_and(|since| now.duration_since(since) >= LASTS);
        if self.untold == 0 || !(is_due || is_down_for_long) {
            return None;
        }
        self.told = Some(now);
        let times = match std::mem::take(&mut self.untold) {
            1 => "once more".to_owned(),
            count => format!("{count} times more"),
        };
        let how = if self.down_untold.take().is_some() { "is down now" } else { "stands now" };
        let text = format!("the stream was interrupted {times}, and {how}; what it missed each time is read");
        Some((HappeningKind::StreamInterrupted, text))
    }
}

#[cfg(test)]
mod tests {
    use exchange_client::{Gap, Interruption};

    use super::*;

    fn down() -> StreamEvent {
        let since = ledger_core::testing::at(1);
        StreamEvent::Interrupted { since, cause: Interruption::KeyExpired }
    }

    fn up() -> StreamEvent {
        let at = ledger_core::testing::at(1);
        StreamEvent::Resumed(Gap { since: at, until: at })
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_interruptions_are_told_and_then_their_number() {
        let (mut flapping, start) = (Flapping::default(), Instant::now());
        let (mut lines, mut sums) = (0, Vec::new());
        // Down for a second, up for a second, for half an hour.
        for second in 0..1_800 {
            let now = start + Duration::from_secs(second);
            let event = if second % 2 == 0 { down() } else { up() };
            lines += usize::from(flapping.lets(&event, now));
            sums.extend(flapping.lasts(now));
        }
        assert_eq!(lines, 2 * TOLD_MAX);
        assert_eq!(sums.len(), 2, "{sums:?}");
        assert!(sums[0].1.starts_with("the stream was interrupted 300 times more, and "), "{sums:?}");
        // The number of the last ones is told although it stands.
        let late = start + Duration::from_mins(30) + WINDOW;
        assert!(flapping.lasts(late).unwrap().1.contains(", and stands now;"));
        assert_eq!(flapping.lasts(late + WINDOW), None);
        assert!(flapping.lets(&down(), late) && flapping.lets(&up(), late), "one in a while is told");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_lasts_is_told_however_many_there_were_before() {
        let (mut flapping, now) = (Flapping::default(), Instant::now());
        for _ in 0..TOLD_MAX {
            assert!(flapping.lets(&down(), now) && flapping.lets(&up(), now));
        }
        assert!(!flapping.lets(&down(), now));
        assert_eq!(flapping.lasts(now + Duration::from_secs(59)), None);
        let (kind, text) = flapping.lasts(now + LASTS).unwrap();
        assert_eq!(kind, HappeningKind::StreamInterrupted);
        assert!(text.starts_with("the stream was interrupted once more, and is down now;"), "{text}");
        assert!(flapping.lets(&up(), now + 2 * LASTS), "so its end is told");
    }
}
