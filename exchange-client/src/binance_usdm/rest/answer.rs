//! One request goes out and its answer is judged, counted and read.

use std::sync::atomic::Ordering;

use ledger_core::TimestampMs;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::verdict::{Verdict, notice, verdict};
use super::{Purpose, RestClient, weight_of};
use crate::error::{Endpoint, ExchangeError};
use crate::foreign::{ForeignError, ForeignText};
use crate::transport::{Request, Response, TransportError};

impl RestClient {
    pub(super) async fn exchange<T: DeserializeOwned>(
        &self,
        endpoint: &Endpoint,
        query: String,
        headers: Vec<(&'static str, String)>,
        purpose: Purpose,
    ) -> Result<T, ExchangeError> {
        let (answer, _) = self.exchange_with_token(endpoint, query, headers, purpose, None).await?;
        Ok(answer)
    }

    /// The same for an answer with a token in the field `token`: in its place stands that it was one.
    pub(super) async fn exchange_with_token<T: DeserializeOwned>(
        &self,
        endpoint: &Endpoint,
        query: String,
        headers: Vec<(&'static str, String)>,
        purpose: Purpose,
        token: Option<&'static str>,
    ) -> Result<(T, Option<Zeroizing<String>>), ExchangeError> {
        self.check_open(endpoint, purpose)?;
        let request = Request {
            method: endpoint.method,
            base_url: self.base_url.clone(),
            path: endpoint.path.to_owned(),
            query,
            headers,
        };
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.weight.fetch_add(u64::from(weight_of(endpoint)), Ordering::Relaxed);
        let sent_at = self.server_estimate();
        let (response, token) = self.transport.send(request, token).await.map_err(|source| match source {
            TransportError::NotSent(_) => ExchangeError::Unreachable { endpoint: endpoint.clone(), source },
            TransportError::Lost(_) | TransportError::TooLarge { .. } => {
                ExchangeError::AnswerLost { endpoint: endpoint.clone(), source }
            }
        })?;
        self.learn_usage(&response, sent_at);
        if !(200..300).contains(&response.status) || is_error_notice(&response) {
            return Err(match verdict(endpoint, &response, self.clock.now(), self.offset_estimate_ms()) {
                Verdict::Error(error) => error,
                Verdict::Quiet(silence, until) => self.close(endpoint, silence, until, &response),
            });
        }
        self.answered(endpoint);
        let read = serde_json::from_slice(&response.body).map_err(|source| ExchangeError::Unreadable {
            endpoint: endpoint.clone(),
            content_type: content_type(&response),
            body_start: ForeignText::body_start(&response.body),
            source: ForeignError::new(&source),
        })?;
        Ok((read, token))
    }

    pub(super) fn learn_usage(&self, response: &Response, sent_at: TimestampMs) {
        let stated = |name| response.header(name).and_then(|text| text.parse::<u32>().ok());
        let (weight, in_10s, in_1m) =
            (stated("x-mbx-used-weight-1m"), stated("x-mbx-order-count-10s"), stated("x-mbx-order-count-1m"));
        for (counter, count) in [(&self.weight_1m, weight), (&self.orders_10s, in_10s), (&self.orders_1m, in_1m)] {
            if let Some(count) = count {
                counter.store(u64::from(count), Ordering::Relaxed);
            }
        }
        // Before the clock was measured nobody knows which minute of the exchange's this is.
        if self.is_measured() {
            let now = self.server_estimate();
            if let Some(used) = weight {
                self.gate.stated(used, sent_at, now);
            }
            self.order_budget.stated(in_10s, in_1m, sent_at, now);
        }
    }
}

/// Whether an answer with a success status is an error notice. Those are short.
fn is_error_notice(response: &Response) -> bool {
    response.body.len() < 4_096 && notice(response).is_some_and(|(code, _)| code < 0)
}

fn content_type(response: &Response) -> ForeignText {
    ForeignText::cut(response.header("content-type").unwrap_or("no content type"), 60)
}
