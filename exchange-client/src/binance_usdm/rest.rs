//! One request and its answer: signed, timed by the exchange's clock, counted, and every refusal understood.
//!
//! Invariants, each with a test of the same name (in [`super::tests`]):
//! 1. `nothing_is_sent_while_the_exchange_asks_to_wait`.
//! 2. `a_wrong_clock_is_measured_and_the_read_repeated_once`.
//! 3. `an_answer_of_any_other_shape_is_an_error`: HTML, a cut-off body, a redirect, an error status.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use ledger_core::TimestampMs;
use serde::de::DeserializeOwned;

use super::dto;
use super::facts::{TIME, VENUE};
use super::parse;
use super::rows::malformed;
use super::sign::Query;
use crate::api::Usage;
use crate::clock::{Clock, duration_ms};
use crate::credentials::Credentials;
use crate::error::{Endpoint, ErrorClass, ExchangeError, body_start};
use crate::transport::{Method, Request, Response, Transport, TransportError};

const UNMEASURED: i64 = i64::MIN;
const NONE: u64 = u64::MAX;

/// Sends requests for one account.
pub(super) struct RestClient {
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    base_url: String,
    credentials: Credentials,
    /// The exchange's clock minus ours, in ms.
    offset_ms: AtomicI64,
    /// When requests are welcome again, by our clock.
    blocked_until_ms: AtomicI64,
    requests: AtomicU64,
    weight: AtomicU64,
    weight_1m: AtomicU64,
    orders_10s: AtomicU64,
    orders_1m: AtomicU64,
}

impl RestClient {
    pub(super) fn new(
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        base_url: &str,
        credentials: Credentials,
    ) -> Result<Self, ExchangeError> {
        Ok(Self {
            transport,
            clock,
            base_url: checked_base_url(base_url)?,
            credentials,
            offset_ms: AtomicI64::new(UNMEASURED),
            blocked_until_ms: AtomicI64::new(0),
            requests: AtomicU64::new(0),
            weight: AtomicU64::new(0),
            weight_1m: AtomicU64::new(NONE),
            orders_10s: AtomicU64::new(NONE),
            orders_1m: AtomicU64::new(NONE),
        })
    }

    pub(super) fn base_url(&self) -> &str {
        &self.base_url
    }

    pub(super) fn usage(&self) -> Usage {
        let stated = |counter: &AtomicU64| u32::try_from(counter.load(Ordering::Relaxed)).ok();
        Usage {
            requests: self.requests.load(Ordering::Relaxed),
            weight: self.weight.load(Ordering::Relaxed),
            weight_1m: stated(&self.weight_1m),
            orders_10s: stated(&self.orders_10s),
            orders_1m: stated(&self.orders_1m),
        }
    }

    /// The exchange's time, from our clock and the measured difference.
    pub(super) async fn server_now(&self) -> Result<TimestampMs, ExchangeError> {
        let offset_ms = match self.offset_ms.load(Ordering::Relaxed) {
            UNMEASURED => self.measure_clock().await?.1,
            measured => measured,
        };
        Ok(self.clock.now().saturating_add_ms(offset_ms))
    }

    /// Asks for the exchange's time; answers it and by how much it is ahead of ours.
    pub(super) async fn measure_clock(&self) -> Result<(TimestampMs, i64), ExchangeError> {
        let endpoint = Endpoint::new(Method::Get, TIME, None);
        let before = self.clock.now().as_ms();
        let row: dto::ServerTimeRow = self.read_public(&endpoint, Query::new()).await?;
        let after = self.clock.now().as_ms();
        let server = parse::server_time(&row).map_err(|unusable| malformed(&endpoint, 0, unusable))?;
        let offset_ms = server.as_ms() - i64::midpoint(before, after);
        self.offset_ms.store(offset_ms, Ordering::Relaxed);
        Ok((server, offset_ms))
    }

    /// Asks what everybody may know.
    pub(super) async fn read_public<T: DeserializeOwned>(
        &self,
        endpoint: &Endpoint,
        query: Query,
    ) -> Result<T, ExchangeError> {
        self.exchange(endpoint, query.into_text(), Vec::new()).await
    }

    /// Asks what only the account may know. Safe to repeat, so a clock that turns out wrong is measured and the
    /// question asked once more.
    pub(super) async fn read_signed<T: DeserializeOwned>(
        &self,
        endpoint: &Endpoint,
        query: Query,
    ) -> Result<T, ExchangeError> {
        match self.send_signed(endpoint, query.clone()).await {
            Err(error) if error.class() == ErrorClass::Clock => {
                self.measure_clock().await?;
                self.send_signed(endpoint, query).await
            }
            result => result,
        }
    }

    /// Sends once, whatever comes back.
    pub(super) async fn send_signed<T: DeserializeOwned>(
        &self,
        endpoint: &Endpoint,
        query: Query,
    ) -> Result<T, ExchangeError> {
        let timestamp = self.server_now().await?;
        let query = query
            .with("recvWindow", VENUE.receive_window_ms.to_string())
            .with("timestamp", timestamp.as_ms().to_string())
            .into_signed_text(self.credentials.secret.expose());
        let headers = vec![("x-mbx-apikey", self.credentials.key.expose().to_owned())];
        self.exchange(endpoint, query, headers).await
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        endpoint: &Endpoint,
        query: String,
        headers: Vec<(&'static str, String)>,
    ) -> Result<T, ExchangeError> {
        let blocked_until_ms = self.blocked_until_ms.load(Ordering::Relaxed);
        if self.clock.now().as_ms() < blocked_until_ms {
            let until = TimestampMs::MIN.saturating_add_ms(blocked_until_ms - TimestampMs::MIN.as_ms());
            return Err(ExchangeError::Throttled { endpoint: endpoint.clone(), until });
        }
        let request = Request {
            method: endpoint.method,
            base_url: self.base_url.clone(),
            path: endpoint.path.to_owned(),
            query,
            headers,
        };
        let weight = VENUE.weight(endpoint.method, endpoint.path, endpoint.symbol.as_ref());
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.weight.fetch_add(u64::from(weight), Ordering::Relaxed);
        let response = self.transport.send(request).await.map_err(|source| match source {
            TransportError::NotSent(_) => ExchangeError::Unreachable { endpoint: endpoint.clone(), source },
            TransportError::Lost(_) | TransportError::TooLarge { .. } => {
                ExchangeError::AnswerLost { endpoint: endpoint.clone(), source }
            }
        })?;
        for (name, counter) in [
            ("x-mbx-used-weight-1m", &self.weight_1m),
            ("x-mbx-order-count-10s", &self.orders_10s),
            ("x-mbx-order-count-1m", &self.orders_1m),
        ] {
            if let Some(used) = response.header(name).and_then(|text| text.parse::<u32>().ok()) {
                counter.store(u64::from(used), Ordering::Relaxed);
            }
        }
        if !(200..300).contains(&response.status) {
            return Err(self.refusal(endpoint, &response));
        }
        serde_json::from_slice(&response.body).map_err(|source| {
            // An error notice can come with a success status.
            match notice(&response) {
                Some((code, message)) if code < 0 => refused(endpoint, response.status, code, message),
                _ => ExchangeError::Unreadable {
                    endpoint: endpoint.clone(),
                    content_type: response.header("content-type").unwrap_or("no content type").to_owned(),
                    body_start: body_start(&response.body),
                    source,
                },
            }
        })
    }

    fn refusal(&self, endpoint: &Endpoint, response: &Response) -> ExchangeError {
        let status = response.status;
        let notice = notice(response);
        let throttled = matches!(status, 418 | 429) || matches!(&notice, Some((-1003, _)));
        if throttled {
            let until = self.block(status, response);
            return ExchangeError::Throttled { endpoint: endpoint.clone(), until };
        }
        match notice {
            Some((code, message)) => refused(endpoint, status, code, message),
            None => without_code(endpoint, status, body_start(&response.body)),
        }
    }

    /// Remembers how long to keep quiet. Without a word from the exchange: a minute, its own interval of counting; two
    /// for a ban, its shortest.
    fn block(&self, status: u16, response: &Response) -> TimestampMs {
        let stated = response.header("retry-after").and_then(|text| text.parse::<u64>().ok()).map(Duration::from_secs);
        let wait = stated.unwrap_or(Duration::from_secs(if status == 418 { 120 } else { 60 }));
        let until = self.clock.now().saturating_add_ms(duration_ms(wait));
        self.blocked_until_ms.fetch_max(until.as_ms(), Ordering::Relaxed);
        until
    }
}

fn notice(response: &Response) -> Option<(i64, String)> {
    serde_json::from_slice::<dto::NoticeRow>(&response.body).ok().and_then(|row| parse::notice(&row))
}

fn refused(endpoint: &Endpoint, status: u16, code: i64, message: String) -> ExchangeError {
    let endpoint = endpoint.clone();
    match code {
        // "Unexpected response, execution status unknown", and the backend's timeout.
        -1006 | -1007 => ExchangeError::OutcomeUnknown { endpoint, status, message },
        _ if status == 503 && execution_unknown(&message) => {
            ExchangeError::OutcomeUnknown { endpoint, status, message }
        }
        // Other trouble of the exchange's own: it does not say that nothing was done, save for shed load.
        -1000 | -1001 if status >= 500 && !surely_failed(&message) => {
            ExchangeError::OutcomeUnknown { endpoint, status, message }
        }
        -1121 | -4141 if endpoint.symbol.is_some() => ExchangeError::SymbolClosed { endpoint, status, code, message },
        -1008 => ExchangeError::Overloaded { endpoint, status, message },
        _ => ExchangeError::Refused { endpoint, status, code, message },
    }
}

fn without_code(endpoint: &Endpoint, status: u16, body_start: String) -> ExchangeError {
    let endpoint = endpoint.clone();
    if status == 503 && execution_unknown(&body_start) {
        ExchangeError::OutcomeUnknown { endpoint, status, message: body_start }
    } else if status == 503 && surely_failed(&body_start) {
        ExchangeError::Overloaded { endpoint, status, message: body_start }
    } else {
        ExchangeError::Http { endpoint, status, body_start }
    }
}

fn execution_unknown(message: &str) -> bool {
    message.contains("Unknown error, please check your request")
}

fn surely_failed(message: &str) -> bool {
    message.contains("Service Unavailable") || message.contains("Internal error; unable to process your request")
}

/// Credentials travel with every request, so only TLS or the own machine will do.
fn checked_base_url(base_url: &str) -> Result<String, ExchangeError> {
    let refused =
        || ExchangeError::BaseUrl { base_url: base_url.chars().filter(|c| !c.is_control()).take(120).collect() };
    let trimmed = base_url.trim_end_matches('/');
    let uri: http::Uri = trimmed.parse().map_err(|_| refused())?;
    let host = uri.host().ok_or_else(refused)?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let loopback = bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let scheme_fits = uri.scheme_str() == Some("https") || (uri.scheme_str() == Some("http") && loopback);
    let user_info = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    if !scheme_fits || user_info || uri.query().is_some() || !matches!(uri.path(), "" | "/") {
        return Err(refused());
    }
    Ok(trimmed.to_owned())
}

#[cfg(test)]
mod base_url_tests {
    use super::*;

    #[test]
    fn credentials_only_travel_encrypted_or_within_the_machine() {
        for (given, kept) in [
            ("https://fapi.binance.com/", "https://fapi.binance.com"),
            ("http://127.0.0.1:9555", "http://127.0.0.1:9555"),
            ("http://[::1]:9555", "http://[::1]:9555"),
            ("http://localhost:1", "http://localhost:1"),
        ] {
            assert_eq!(checked_base_url(given).unwrap(), kept);
        }
        for given in [
            "http://fapi.binance.com",
            "http://127.0.0.1.evil.example",
            "https://user:pass@fapi.binance.com",
            "https://fapi.binance.com/path",
            "https://fapi.binance.com?x=1",
            "ftp://127.0.0.1",
            "fapi.binance.com",
            "",
        ] {
            assert!(checked_base_url(given).is_err(), "{given}");
        }
    }
}
