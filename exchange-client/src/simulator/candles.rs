//! A contract's prices by the minute: the last day and a bit as they were, and, so that nobody has to wait for a chart to
//! fill, a week before the exchange began as it might have been.
//!
//! Invariants, each with a test of the same name:
//! 1. `the_past_leads_to_the_first_price` without a gap, and no minute's prices lie outside its low and high.
//! 2. `however_it_is_asked_for_the_past_is_the_same`.
//! 3. `a_past_beyond_a_gap_is_forgotten`: what would no longer join what is kept is not told.

use std::collections::VecDeque;

use super::fixed::Random;

const MINUTE_MS: i64 = 60_000;
const KEPT_MAX: usize = 1_500;
const PAST_MS: i64 = 7 * 86_400_000;
/// How much further a price goes in a minute than in one tick of the clock.
const TICKS_A_MINUTE: i64 = 3;

/// How long a candle is, by its name.
pub(super) fn interval_ms(name: &str) -> Option<i64> {
    let minutes = match name {
        "1m" => 1,
        "3m" => 3,
        "5m" => 5,
        "15m" => 15,
        "30m" => 30,
        "1h" => 60,
        "2h" => 120,
        "4h" => 240,
        "6h" => 360,
        "8h" => 480,
        "12h" => 720,
        "1d" => 1_440,
        _ => return None,
    };
    Some(minutes * MINUTE_MS)
}

/// Prices of a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candle {
    pub(super) open_ms: i64,
    pub(super) open_e8: i128,
    pub(super) high_e8: i128,
    pub(super) low_e8: i128,
    pub(super) close_e8: i128,
    /// How much the rest of the market traded, in steps of quantity: more when the price moves more.
    pub(super) steps: i128,
}

impl Candle {
    fn minute(open_ms: i64, [open_e8, high_e8, low_e8, close_e8]: [i128; 4], tick_e8: i128) -> Self {
        let steps = 1_000 + 10 * (high_e8 - low_e8) / tick_e8;
        Self { open_ms, open_e8, high_e8, low_e8, close_e8, steps }
    }

    /// A stretch after it in which nothing happened.
    pub(super) fn flat(&self, open_ms: i64) -> Self {
        let price_e8 = self.close_e8;
        Self { open_ms, open_e8: price_e8, high_e8: price_e8, low_e8: price_e8, close_e8: price_e8, steps: 0 }
    }

    /// Joins the next minute of the same stretch.
    pub(super) fn join(&mut self, next: &Self) {
        self.high_e8 = self.high_e8.max(next.high_e8);
        self.low_e8 = self.low_e8.min(next.low_e8);
        self.close_e8 = next.close_e8;
        self.steps += next.steps;
    }
}

/// A contract's candles.
#[derive(Debug, Clone)]
pub(super) struct Candles {
    kept: VecDeque<Candle>,
    begin_ms: i64,
    start_e8: i128,
    tick_e8: i128,
    /// How far the price moves in one tick of the clock at most, in 10^-5.
    move_max_e5: i64,
    past: Random,
}

impl Candles {
    /// Candles that begin with `start_e8`. `past` decides what was before.
    pub(super) fn new(begin_ms: i64, start_e8: i128, tick_e8: i128, move_max_e5: i64, past: Random) -> Self {
        let begin_ms = begin_ms.div_euclid(MINUTE_MS) * MINUTE_MS;
        let first = Candle::minute(begin_ms, [start_e8; 4], tick_e8);
        Self { kept: VecDeque::from([first]), begin_ms, start_e8, tick_e8, move_max_e5, past }
    }

    /// Keeps a price in the candle of its minute.
    pub(super) fn draw(&mut self, now_ms: i64, price_e8: i128) {
        let open_ms = now_ms.div_euclid(MINUTE_MS) * MINUTE_MS;
        if let Some(candle) = self.kept.back_mut().filter(|candle| candle.open_ms == open_ms) {
            let prices = [candle.open_e8, candle.high_e8.max(price_e8), candle.low_e8.min(price_e8), price_e8];
            *candle = Candle::minute(open_ms, prices, self.tick_e8);
            return;
        }
        self.kept.push_back(Candle::minute(open_ms, [price_e8; 4], self.tick_e8));
        if self.kept.len() > KEPT_MAX {
            self.kept.pop_front();
        }
    }

    /// The minutes that began at `since_ms` or later, oldest first. Those in which the price was not heard of are left
    /// out, but the first is told when it is known from earlier.
    pub(super) fn since(&self, since_ms: i64) -> Vec<Candle> {
        let mut minutes = if self.kept.front().is_some_and(|first| first.open_ms == self.begin_ms) {
            self.before(since_ms)
        } else {
            Vec::new()
        };
        minutes.extend(self.kept.iter().filter(|candle| candle.open_ms >= since_ms));
        let first_ms = since_ms.div_euclid(MINUTE_MS) * MINUTE_MS;
        let earlier = self.kept.iter().rev().find(|candle| candle.open_ms < since_ms);
        if let Some(earlier) = earlier.filter(|_| minutes.first().is_none_or(|first| first.open_ms > first_ms)) {
            minutes.insert(0, earlier.flat(first_ms));
        }
        minutes
    }

    /// The candle of a stretch of time, as far as it has come; `None` when nothing is known of it.
    pub(super) fn whole(&self, open_ms: i64, length_ms: i64) -> Option<Candle> {
        let mut minutes = self.since(open_ms).into_iter().filter(|minute| minute.open_ms < open_ms + length_ms);
        let mut whole = Candle { open_ms, ..minutes.next()? };
        minutes.for_each(|minute| whole.join(&minute));
        Some(whole)
    }

    /// The minutes before the exchange began, drawn backwards from its first price.
    fn before(&self, since_ms: i64) -> Vec<Candle> {
        let oldest_ms = since_ms.max(self.begin_ms.saturating_sub(PAST_MS));
        let mut past = self.past.clone();
        let (mut open_ms, mut close_e8) = (self.begin_ms - MINUTE_MS, self.start_e8);
        let mut minutes = Vec::new();
        let on_tick = |price_e8: i128| (price_e8 / self.tick_e8).max(1) * self.tick_e8;
        let span = self.move_max_e5;
        while open_ms >= oldest_ms {
            let mut moved_e5 = i128::from(past.between(-TICKS_A_MINUTE * span, TICKS_A_MINUTE * span));
            let (up_e5, down_e5) = (i128::from(past.between(0, span)), i128::from(past.between(0, span)));
            // Like the price itself, its past does not stray far from where it began.
            if close_e8 * 2 < self.start_e8 {
                moved_e5 = moved_e5.abs();
            } else if close_e8 > self.start_e8 * 2 {
                moved_e5 = -moved_e5.abs();
            }
            let open_e8 = on_tick(close_e8 + close_e8 * moved_e5 / 100_000);
            let (top_e8, bottom_e8) = (open_e8.max(close_e8), open_e8.min(close_e8));
            let high_e8 = on_tick(top_e8 + top_e8 * up_e5 / 100_000).max(top_e8);
            let low_e8 = on_tick(bottom_e8 - bottom_e8 * down_e5 / 100_000).min(bottom_e8);
            minutes.push(Candle::minute(open_ms, [open_e8, high_e8, low_e8, close_e8], self.tick_e8));
            (open_ms, close_e8) = (open_ms - MINUTE_MS, open_e8);
        }
        minutes.reverse();
        minutes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN_MS: i64 = 1_780_000_000_000;
    const HOUR_MS: i64 = 60 * MINUTE_MS;

    fn candles() -> Candles {
        Candles::new(BEGIN_MS, 10_000, 10, 60, Random::new(7, "past"))
    }

    #[test]
    fn the_past_leads_to_the_first_price() {
        let mut candles = candles();
        candles.draw(BEGIN_MS + MINUTE_MS, 10_020);
        let minutes = candles.since(0);
        assert_eq!(minutes.len(), 7 * 24 * 60 + 2);
        for pair in minutes.windows(2).take(7 * 24 * 60) {
            assert_eq!((pair[1].open_ms - pair[0].open_ms, pair[1].open_e8), (MINUTE_MS, pair[0].close_e8));
        }
        for candle in &minutes {
            let inside = candle.low_e8..=candle.high_e8;
            assert!(inside.contains(&candle.open_e8) && inside.contains(&candle.close_e8), "{candle:?}");
            assert!(candle.low_e8 > 0 && candle.low_e8 % 10 == 0 && candle.high_e8 % 10 == 0, "{candle:?}");
        }
        assert!(minutes.iter().any(|candle| candle.close_e8 != 10_000), "the past stood still");
    }

    #[test]
    fn however_it_is_asked_for_the_past_is_the_same() {
        let candles = candles();
        let (week, hour) = (candles.since(0), candles.since(BEGIN_MS - HOUR_MS));
        // The exchange began within a minute, which is the sixtieth.
        assert_eq!(hour.len(), 60);
        assert_eq!(hour[..], week[week.len() - hour.len()..]);
    }

    #[test]
    fn a_past_beyond_a_gap_is_forgotten() {
        let mut candles = candles();
        for minute in 1..=1_500 {
            candles.draw(BEGIN_MS + minute * MINUTE_MS, 10_000);
        }
        assert_eq!(candles.since(0).len(), 1_500);
    }

    #[test]
    fn a_quiet_stretch_begins_with_the_price_from_before() {
        let mut candles = candles();
        candles.draw(BEGIN_MS, 10_050);
        candles.draw(BEGIN_MS + 2 * HOUR_MS, 10_100);
        let quiet = candles.since(BEGIN_MS + HOUR_MS);
        assert_eq!(quiet.iter().map(|candle| candle.close_e8).collect::<Vec<_>>(), [10_050, 10_100]);
        assert_eq!(quiet[0].steps, 0);
    }
}
