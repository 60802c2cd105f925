//! Requests that carry the key and no signature: those about the user stream, whose own key is in the answer.

use std::time::Duration;

use super::{Purpose, RestClient, RetryPolicy, weight_of};
use crate::binance_usdm::dto;
#[cfg(test)]
use crate::binance_usdm::facts::VENUE;
use crate::binance_usdm::sign::Query;
use crate::clock::Clock;
use crate::error::{Endpoint, ExchangeError};

/// Where an answer has the key of the user stream.
const LISTEN_KEY_FIELD: &str = "listenKey";

impl RestClient {
    /// Asks once: whoever keeps a stream alive asks again by itself. It counts, and does not wait for a budget that looks have used
    /// up: without a stream there are more looks. While the exchange asks to keep quiet it is not asked.
    pub(in crate::binance_usdm) async fn send_keyed(
        &self,
        endpoint: &Endpoint,
    ) -> Result<dto::ListenKeyRow, ExchangeError> {
        self.check_open(endpoint, Purpose::Read)?;
        self.gate.count(weight_of(endpoint), self.server_estimate());
        let headers = vec![("x-mbx-apikey", self.credentials.exposed_key().to_owned())];
        let query = Query::new().into_text();
        let token = Some(LISTEN_KEY_FIELD);
        let answer = self.exchange_with_token(endpoint, query, headers, Purpose::Read, token).await?;
        let (mut row, token): (dto::ListenKeyRow, _) = answer;
        // The answer was read without it, so that no complaint could repeat it.
        if let Some(token) = token {
            row.listen_key = Some(dto::Scalar::Text(token.to_string()));
        }
        Ok(row)
    }

    /// Takes all the weight that a minute has.
    #[cfg(test)]
    pub(in crate::binance_usdm) fn use_up(&self) {
        self.gate.count(VENUE.weight_1m_max, self.server_estimate());
    }

    /// Our clock.
    pub(in crate::binance_usdm) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// The delay before an attempt (the second is 2) under another policy than that of reads.
    pub(in crate::binance_usdm) fn spread_delay(&self, policy: &RetryPolicy, attempt: u32) -> Duration {
        self.retries.delay(policy, attempt)
    }
}
