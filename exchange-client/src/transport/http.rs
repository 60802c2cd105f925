//! The transport over the wire.
//!
//! Invariants, each with a test of the same name (in `tests/http/transport.rs`, against a server of its own):
//! 1. `redirects_are_not_followed`: credentials do not travel to another host.
//! 2. `a_request_is_sent_once`: also when the connection breaks before or in the middle of the answer; and
//!    `a_request_into_a_kept_connection_that_dies_is_sent_once`. The library itself sends again only what it never wrote.
//! 3. `a_refused_connection_was_not_sent_and_a_broken_one_is_lost`.

use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;

use super::{Method, Request, Response, Transport, TransportError};

/// Time and size limits of [`HttpTransport`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpTransportConfig {
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long a request may take as a whole.
    pub request_timeout: Duration,
    /// How long a connection is kept for the next request. Servers close theirs after a minute or less, and an order
    /// that is sent into a closing connection has an unknown outcome.
    pub idle_timeout: Duration,
    /// The most bytes of a body that are read.
    pub body_bytes_max: usize,
}

impl Default for HttpTransportConfig {
    /// 5 s to connect, 20 s in all, 20 s idle, 64 MiB: `exchangeInfo`, the largest answer, has a few MiB.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(20),
            body_bytes_max: 64 * 1024 * 1024,
        }
    }
}

/// Sends requests over HTTP/1.1 and TLS. No redirects, no retries, no proxy from the environment.
#[derive(Debug, Clone)]
pub struct HttpTransport {
    client: reqwest::Client,
    body_bytes_max: usize,
}

impl HttpTransport {
    /// A transport with its own connection pool.
    ///
    /// # Errors
    /// [`TransportError::NotSent`] when the TLS library cannot be set up.
    pub fn new(config: HttpTransportConfig) -> Result<Self, TransportError> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            // Without effect today: of its own accord the library repeats only what HTTP/2 and HTTP/3 turn away unseen, and neither
            // is compiled in or spoken here. It stands for the day when another crate of a build switches them on.
            .retry(reqwest::retry::never())
            .connect_timeout(config.connect_timeout)
            .timeout(config.request_timeout)
            .pool_idle_timeout(config.idle_timeout)
            .no_proxy()
            .http1_only()
            .user_agent(concat!("fillbook/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| TransportError::NotSent(error.into()))?;
        Ok(Self { client, body_bytes_max: config.body_bytes_max })
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut url = format!("{}{}", request.base_url, request.path);
        if !request.query.is_empty() {
            url.push('?');
            url.push_str(&request.query);
        }
        let mut builder = self.client.request(method, url);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        let mut response = builder.send().await.map_err(classify)?;
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
            .collect();
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(classify)? {
            if body.len() + chunk.len() > self.body_bytes_max {
                return Err(TransportError::TooLarge { limit_bytes: self.body_bytes_max });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Response { status, headers, body: body.freeze() })
    }
}

fn classify(error: reqwest::Error) -> TransportError {
    let not_sent = error.is_connect() || error.is_builder();
    // The address carries the signature of the request.
    let error = Box::new(error.without_url());
    if not_sent { TransportError::NotSent(error) } else { TransportError::Lost(error) }
}
