//! The exchange's clock: measured by asking for its time, and estimated from ours in between.

use std::sync::atomic::Ordering;
use std::time::Duration;

use ledger_core::TimestampMs;

use super::{Purpose, RestClient, UNMEASURED, weight_of};
use crate::binance_usdm::dto;
use crate::binance_usdm::facts::{TIME, VENUE};
use crate::binance_usdm::parse;
use crate::binance_usdm::rows::malformed;
use crate::binance_usdm::sign::Query;
use crate::error::{Endpoint, ExchangeError};
use crate::transport::{Method, TransportError};
use crate::venue::MINUTE_MS;

/// Clocks drift apart by some milliseconds in this time; what is asked for is dated by the exchange's.
const MEASURE_EVERY_MS: i64 = 15 * MINUTE_MS;

/// The longest that a command waits for the exchange's time: as long as a request stays valid.
const TIME_PATIENCE: Duration = Duration::from_millis(VENUE.receive_window_ms.unsigned_abs());

impl RestClient {
    /// The exchange's time, from our clock and the measured difference.
    pub(in crate::binance_usdm) async fn server_now(&self) -> Result<TimestampMs, ExchangeError> {
        if !self.is_measured() {
            self.measure_clock().await?;
        }
        let now_ms = self.clock.now().as_ms();
        let age_ms = now_ms.saturating_sub(self.measured_at_ms.load(Ordering::Relaxed));
        if !(0..MEASURE_EVERY_MS).contains(&age_ms)
            && let Err(error) = self.measure_clock().await
        {
            // The old measure still serves; should it be wrong, the exchange says so.
            tracing::debug!(%error, "the exchange's clock could not be measured again");
            self.measured_at_ms.store(now_ms - MEASURE_EVERY_MS + MINUTE_MS, Ordering::Relaxed);
        }
        Ok(self.server_estimate())
    }

    /// Measures the exchange's clock unless that was done before: once, and not for long.
    ///
    /// # Errors
    /// Why there is no measure. The command is not to be sent.
    pub(in crate::binance_usdm) async fn prepare_command(&self) -> Result<(), ExchangeError> {
        if self.is_measured() { Ok(()) } else { self.measure_for_command().await }
    }

    pub(super) fn is_measured(&self) -> bool {
        self.offset_ms.load(Ordering::Relaxed) != UNMEASURED
    }

    /// By how much the exchange's clock is ahead of ours, as far as is known without asking.
    pub(super) fn offset_estimate_ms(&self) -> i64 {
        Some(self.offset_ms.load(Ordering::Relaxed)).filter(|offset_ms| *offset_ms != UNMEASURED).unwrap_or(0)
    }

    /// The exchange's time as far as is known without asking.
    pub(in crate::binance_usdm) fn server_estimate(&self) -> TimestampMs {
        self.clock.now().saturating_add_ms(self.offset_estimate_ms())
    }

    /// Asks for the exchange's time, repeatedly if need be; answers it and by how much it is ahead of ours.
    pub(in crate::binance_usdm) async fn measure_clock(&self) -> Result<(TimestampMs, i64), ExchangeError> {
        let mut attempt = 1;
        loop {
            match self.measure_once(Purpose::Read).await {
                Ok(measured) => return Ok(measured),
                Err(error) => attempt = self.wait_to_repeat(attempt, error).await?,
            }
        }
    }

    pub(super) async fn measure_for_command(&self) -> Result<(), ExchangeError> {
        match tokio::time::timeout(TIME_PATIENCE, self.measure_once(Purpose::Command)).await {
            Ok(measured) => measured.map(|_| ()),
            Err(elapsed) => Err(ExchangeError::AnswerLost {
                endpoint: Endpoint::new(Method::Get, TIME, None),
                source: TransportError::Lost(elapsed.into()),
            }),
        }
    }

    /// Measured around this one request, not around its repetitions.
    pub(super) async fn measure_once(&self, purpose: Purpose) -> Result<(TimestampMs, i64), ExchangeError> {
        let endpoint = Endpoint::new(Method::Get, TIME, None);
        self.gate.count(weight_of(&endpoint), self.server_estimate());
        let before_ms = self.clock.now().as_ms();
        let query = Query::new().into_text();
        let row = self.exchange::<dto::ServerTimeRow>(&endpoint, query, Vec::new(), purpose).await?;
        let after = self.clock.now();
        let server = parse::server_time(&row).map_err(|unusable| malformed(&endpoint, 0, unusable))?;
        let offset_ms = server.as_ms() - i64::midpoint(before_ms, after.as_ms());
        self.offset_ms.store(offset_ms, Ordering::Relaxed);
        self.measured_at_ms.store(after.as_ms(), Ordering::Relaxed);
        Ok((server, offset_ms))
    }
}
