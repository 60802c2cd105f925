//! A request out, a response in, or a connection that the exchange talks on: all that an adapter knows about the network.
//!
//! Two implementations each: [`HttpTransport`] and [`WebSocketTransport`] over the wire, and the simulator's own, which
//! answer in the same process, so that the real adapter runs in deterministic tests too.
//!
//! Invariants, each with a test of the same name:
//! 1. `requests_are_shown_without_key_or_signature`.

mod guarded;
mod http;
mod stream;
mod web_socket;

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use thiserror::Error;

pub(crate) use self::guarded::{GuardedStreams, GuardedTransport};
pub use self::http::{HttpTransport, HttpTransportConfig};
#[cfg(any(test, feature = "mock"))]
pub use self::stream::{MockStreamConnection, MockStreamTransport};
pub use self::stream::{StreamAddress, StreamConnection, StreamError, StreamFrame, StreamTransport};
pub use self::web_socket::{WebSocketTransport, WebSocketTransportConfig};

/// An HTTP method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// Reads.
    Get,
    /// Creates.
    Post,
    /// Changes.
    Put,
    /// Removes.
    Delete,
}

impl Method {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// What to do.
    pub method: Method,
    /// Scheme, host and port, without a slash at the end.
    pub base_url: String,
    /// The path, with a slash at the beginning.
    pub path: String,
    /// The percent-encoded query, without the question mark; may carry a signature.
    pub query: String,
    /// Header names in lower case, with their values; may carry a key.
    pub headers: Vec<(&'static str, String)>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let query = self.query.split_once("signature=").map_or(self.query.as_str(), |(signed, _)| signed);
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("base_url", &self.base_url)
            .field("path", &self.path)
            .field("query", &query)
            .field("headers", &headers)
            .finish()
    }
}

/// What came back, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Header names in lower case, with their values; values that are not text are left out.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Bytes,
}

impl Response {
    /// The value of the first header named `name` (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// Anything that an HTTP library complains about.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no response. What matters to whoever sent an order: could the request have arrived?
#[derive(Debug, Error)]
pub enum TransportError {
    /// The request surely did not arrive: no connection came about.
    #[error("no connection could be made")]
    NotSent(#[source] BoxError),
    /// The request may have arrived and taken effect; the answer is lost.
    #[error("the connection failed after the request was sent")]
    Lost(#[source] BoxError),
    /// The answer is larger than anything the exchange sends, and was not read to its end.
    #[error("the answer is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The most that is read.
        limit_bytes: usize,
    },
}

/// Sends a request and waits for its response. Never repeats a request on its own, never follows a redirect.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends `request`.
    ///
    /// # Errors
    /// [`TransportError`] when there is no complete response. A response with an error status is a response.
    async fn send(&self, request: Request) -> Result<Response, TransportError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_shown_without_key_or_signature() {
        let request = Request {
            method: Method::Get,
            base_url: "http://127.0.0.1:1".into(),
            path: "/fapi/v1/order".into(),
            query: "symbol=BTCUSDT&signature=deadbeef".into(),
            headers: vec![("x-mbx-apikey", "top-key".into())],
        };
        let shown = format!("{request:?}");
        assert!(shown.contains("BTCUSDT") && shown.contains("x-mbx-apikey"));
        assert!(!shown.contains("deadbeef") && !shown.contains("top-key"), "{shown}");
    }
}
