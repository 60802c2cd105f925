//! Requests that carry the key and no signature: those about the user stream.

use std::time::Duration;

use serde::de::DeserializeOwned;

use super::{Purpose, RestClient, RetryPolicy};
use crate::binance_usdm::sign::Query;
use crate::clock::Clock;
use crate::error::{Endpoint, ExchangeError};

impl RestClient {
    /// Asks within the budget of reads, once: whoever keeps a stream alive asks again by itself.
    pub(in crate::binance_usdm) async fn send_keyed<T: DeserializeOwned>(
        &self,
        endpoint: &Endpoint,
    ) -> Result<T, ExchangeError> {
        self.wait_for_budget(endpoint).await?;
        let headers = vec![("x-mbx-apikey", self.credentials.key.expose().to_owned())];
        self.exchange(endpoint, Query::new().into_text(), headers, Purpose::Read).await
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
