//! Requests that carry the key and no signature: those about the user stream, whose own key is in the answer.

use std::time::Duration;

use super::{Purpose, RestClient, RetryPolicy};
use crate::binance_usdm::dto;
use crate::binance_usdm::sign::Query;
use crate::clock::Clock;
use crate::error::{Endpoint, ExchangeError};

/// Where an answer has the key of the user stream.
const LISTEN_KEY_FIELD: &str = "listenKey";

impl RestClient {
    /// Asks within the budget of reads, once: whoever keeps a stream alive asks again by itself.
    pub(in crate::binance_usdm) async fn send_keyed(
        &self,
        endpoint: &Endpoint,
    ) -> Result<dto::ListenKeyRow, ExchangeError> {
        self.wait_for_budget(endpoint).await?;
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

    /// Our clock.
    pub(in crate::binance_usdm) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// The delay before an attempt (the second is 2) under another policy than that of reads.
    pub(in crate::binance_usdm) fn spread_delay(&self, policy: &RetryPolicy, attempt: u32) -> Duration {
        self.retries.delay(policy, attempt)
    }
}
