//! What time it is by the exchange. Everything that is forgotten, settled or doubted is so by that time, so a time that the local
//! clock contradicts takes two answers that agree: one clock alone makes no history expire.
//!
//! Invariant, with a test of the same name: `a_time_that_the_local_clock_contradicts_takes_two_answers`.

use exchange_client::{Clock, ExchangeReader};
use ledger_core::TimestampMs;

use super::observation::ClockReading;
use crate::error::ReconcileError;
use crate::wording::instant;

/// The exchange's time, and how far the local clock is off.
///
/// # Errors
/// [`ReconcileError::Exchange`] when the exchange does not tell, and [`ReconcileError::ClockContradiction`] where three answers
/// differ from each other and from the local clock.
pub(super) async fn told_time(
    exchange: &dyn ExchangeReader,
    clock: &dyn Clock,
) -> Result<(TimestampMs, ClockReading), ReconcileError> {
    let tolerated_ms = exchange.venue().settle_lag_ms;
    let mut told: Vec<(TimestampMs, ClockReading)> = Vec::new();
    while told.len() < ANSWERS_MAX {
        let before = clock.now();
        let now = exchange.server_time().await.map_err(ReconcileError::Exchange)?;
        let reading = clock_reading(before, clock.now(), now);
        let agrees = |skew_ms: i64| {
            reading.skew_ms.abs_diff(skew_ms) <= tolerated_ms.saturating_add(reading.uncertainty_ms).unsigned_abs()
        };
        if agrees(0) || told.iter().any(|(_, earlier)| agrees(earlier.skew_ms)) {
            return Ok((now, reading));
        }
        told.push((now, reading));
    }
    let said: Vec<_> = told.iter().map(|(now, _)| instant(*now)).collect();
    Err(ReconcileError::ClockContradiction { said: said.join("; ") })
}

const ANSWERS_MAX: usize = 3;

/// The exchange named its time at some moment between `before` and `after`, by the local clock.
fn clock_reading(before: TimestampMs, after: TimestampMs, server: TimestampMs) -> ClockReading {
    let took_ms = after.as_ms().saturating_sub(before.as_ms()).max(0);
    let middle = before.as_ms().saturating_add(took_ms / 2);
    ClockReading { skew_ms: middle.saturating_sub(server.as_ms()), uncertainty_ms: took_ms / 2 + 1 }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use exchange_client::MockExchangeReader;
    use exchange_client::binance_usdm::VENUE;

    use super::*;
    use crate::tests::at;

    /// A clock that stands still.
    #[derive(Debug)]
    struct Still(TimestampMs);

    impl Clock for Still {
        fn now(&self) -> TimestampMs {
            self.0
        }
    }

    #[tokio::test]
    async fn a_time_that_the_local_clock_contradicts_takes_two_answers() {
        const YEAR_MS: i64 = 365 * 86_400_000;
        for (answers, believed) in [
            (&[0][..], Some(0)),
            // As far as answers lag, the clocks agree.
            (&[9_000], Some(9_000)),
            (&[YEAR_MS, 5], Some(5)),
            (&[-YEAR_MS, 5], Some(5)),
            // Two that agree with each other set the local clock right.
            (&[YEAR_MS, YEAR_MS + 5], Some(YEAR_MS + 5)),
            (&[YEAR_MS, 2 * YEAR_MS, YEAR_MS], Some(YEAR_MS)),
            (&[YEAR_MS, 2 * YEAR_MS, 0], Some(0)),
            (&[YEAR_MS, 2 * YEAR_MS, 3 * YEAR_MS], None),
        ] {
            let mut exchange = MockExchangeReader::new();
            exchange.expect_venue().returning(|| &VENUE);
            let mut left = VecDeque::from(answers.to_vec());
            exchange.expect_server_time().times(answers.len()).returning(move || Ok(at(left.pop_front().unwrap())));
            match (told_time(&exchange, &Still(at(0))).await, believed) {
                (Ok((now, reading)), Some(believed)) => assert_eq!((now, reading.skew_ms), (at(believed), -believed)),
                (Err(ReconcileError::ClockContradiction { said }), None) => assert_eq!(said.matches("UTC").count(), 3),
                (other, _) => panic!("{answers:?}: {other:?}"),
            }
        }
    }
}
