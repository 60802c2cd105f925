//! A connection on which the exchange talks: what an adapter knows about messages that nobody asked for.
//!
//! Two implementations: [`WebSocketTransport`](super::WebSocketTransport) over the wire, and the simulator's own, which
//! talks in the same process.
//!
//! Invariants, each with a test of the same name:
//! 1. `an_address_is_shown_without_its_key`.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use thiserror::Error;

use super::BoxError;
use crate::foreign::ForeignText;

/// Where to connect to.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamAddress {
    /// Scheme, host and port, without a slash at the end.
    pub base_url: String,
    /// The path, with a slash at the beginning; may hold a key.
    pub path: String,
    /// The percent-encoded query, without the question mark; may hold a key.
    pub query: String,
}

impl fmt::Debug for StreamAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamAddress").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// What comes in. A ping is answered by the connection itself, and told because it proves that the other side is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamFrame {
    /// A message.
    Text(String),
    /// A message that is not text; no exchange sends such.
    Binary(Bytes),
    /// A sign of life.
    Ping,
    /// The answer to a sign of life.
    Pong,
}

/// Why there is no connection, or no longer.
#[derive(Debug, Error)]
pub enum StreamError {
    /// No connection came about.
    #[error("no connection could be made")]
    NotConnected(#[source] BoxError),
    /// Something answered that is no stream. A redirect is such an answer, and not followed.
    #[error("the answer was HTTP {status} instead of a stream")]
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// The other side has ended the connection, in order or by hanging up.
    #[error("the exchange closed the connection{}: {reason}", code.map_or_else(String::new, |code| format!(" with code {code}")))]
    Closed {
        /// The code that it gave, if any.
        code: Option<u16>,
        /// In its words.
        reason: ForeignText,
    },
    /// The connection failed, or what came over it makes no sense.
    #[error("the connection broke")]
    Broken(#[source] BoxError),
    /// A message is larger than anything the exchange sends, and was not read.
    #[error("a message is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The most that is read.
        limit_bytes: usize,
    },
}

/// Makes connections.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait StreamTransport: Send + Sync {
    /// Connects, once. Redirects are not followed.
    ///
    /// # Errors
    /// [`StreamError`] when no connection comes about.
    async fn connect(&self, address: StreamAddress) -> Result<Box<dyn StreamConnection>, StreamError>;
}

/// A connection that the exchange talks on.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait StreamConnection: Send {
    /// The next frame. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`StreamError`] when the connection is over: nothing comes after it.
    async fn next(&mut self) -> Result<StreamFrame, StreamError>;

    /// Says goodbye, without waiting long for an answer.
    async fn close(&mut self);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_key() {
        let address = StreamAddress {
            base_url: "wss://stream.example".into(),
            path: "/private/ws/c0ffee".into(),
            query: "listenKey=c0ffee".into(),
        };
        let shown = format!("{address:?} {address:#?}");
        assert!(shown.contains("wss://stream.example") && !shown.contains("c0ffee"), "{shown}");
    }
}
