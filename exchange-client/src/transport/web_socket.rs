//! Streams over the wire.
//!
//! Invariants, each with a test of the same name (in `tests/http/stream.rs`, against a server of its own):
//! 1. `a_redirected_stream_is_not_followed`: the key in its address does not travel to another host.
//! 2. `frames_come_as_they_were_sent`, and `a_broken_stream_says_how_it_ended`.
//! 3. `a_huge_message_is_not_read`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::stream::{StreamAddress, StreamConnection, StreamError, StreamFrame, StreamTransport};
use super::{BoxError, TransportError};

/// How long a goodbye may take.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// Time and size limits of [`WebSocketTransport`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebSocketTransportConfig {
    /// How long a connection may take to come about, greetings included.
    pub connect_timeout: Duration,
    /// The most bytes of a message that are read.
    pub message_bytes_max: usize,
}

impl Default for WebSocketTransportConfig {
    /// 10 s to connect, 4 MiB: an event lists at most the positions and balances of an account.
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(10), message_bytes_max: 4 * 1024 * 1024 }
    }
}

/// Connects over TCP and TLS. No redirects, no repetitions, no proxy from the environment.
#[derive(Clone)]
pub struct WebSocketTransport {
    tls: TlsConnector,
    config: WebSocketTransportConfig,
}

impl std::fmt::Debug for WebSocketTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebSocketTransport").field("config", &self.config).finish_non_exhaustive()
    }
}

impl WebSocketTransport {
    /// A transport that trusts the authorities that browsers trust.
    ///
    /// # Errors
    /// [`TransportError::NotSent`] when the TLS library cannot be set up.
    pub fn new(config: WebSocketTransportConfig) -> Result<Self, TransportError> {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let provider = Arc::new(crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TransportError::NotSent(error.into()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls: TlsConnector::from(Arc::new(tls)), config })
    }

    async fn connected(&self, address: &StreamAddress) -> Result<Box<dyn StreamConnection>, StreamError> {
        let query = if address.query.is_empty() { String::new() } else { format!("?{}", address.query) };
        let url = format!("{}{}{query}", address.base_url, address.path);
        // The library's complaint about an address may repeat it.
        let uri: http::Uri = url.parse().map_err(|_| not_connected("this is no address"))?;
        let host = uri.host().ok_or_else(|| not_connected("the address names no host"))?.to_owned();
        let bare_host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let is_tls = match uri.scheme_str() {
            Some("wss") => true,
            Some("ws") => false,
            _ => return Err(not_connected("the address is neither ws:// nor wss://")),
        };
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let tcp = TcpStream::connect((bare_host.as_str(), port)).await.map_err(not_connected)?;
        // What is small and rare should not wait to be joined by more.
        tcp.set_nodelay(true).map_err(not_connected)?;
        if is_tls {
            let name = ServerName::try_from(bare_host).map_err(not_connected)?;
            let encrypted = self.tls.connect(name, tcp).await.map_err(not_connected)?;
            self.greeted(uri, encrypted).await
        } else {
            self.greeted(uri, tcp).await
        }
    }

    async fn greeted<S>(&self, uri: http::Uri, io: S) -> Result<Box<dyn StreamConnection>, StreamError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let limit_bytes = self.config.message_bytes_max;
        let limits = WebSocketConfig::default().max_message_size(Some(limit_bytes)).max_frame_size(Some(limit_bytes));
        match client_async_with_config(uri, io, Some(limits)).await {
            Ok((socket, _)) => Ok(Box::new(WebSocket { socket, limit_bytes, is_over: false })),
            Err(Error::Http(response)) => Err(StreamError::Refused { status: response.status().as_u16() }),
            Err(error) => Err(not_connected(error)),
        }
    }
}

fn not_connected(error: impl Into<BoxError>) -> StreamError {
    StreamError::NotConnected(error.into())
}

#[async_trait]
impl StreamTransport for WebSocketTransport {
    async fn connect(&self, address: StreamAddress) -> Result<Box<dyn StreamConnection>, StreamError> {
        match tokio::time::timeout(self.config.connect_timeout, self.connected(&address)).await {
            Ok(result) => result,
            Err(elapsed) => Err(not_connected(elapsed)),
        }
    }
}

struct WebSocket<S> {
    socket: WebSocketStream<S>,
    limit_bytes: usize,
    /// Nothing comes any more: the library would go on waiting for whoever said goodbye to hang up.
    is_over: bool,
}

impl<S> WebSocket<S> {
    fn ended(&self, error: Error) -> StreamError {
        match error {
            Error::ConnectionClosed | Error::AlreadyClosed => hung_up(),
            Error::Capacity(CapacityError::MessageTooLong { .. }) => {
                StreamError::TooLarge { limit_bytes: self.limit_bytes }
            }
            error => StreamError::Broken(error.into()),
        }
    }
}

fn hung_up() -> StreamError {
    StreamError::Closed { code: None, reason: "it hung up".into() }
}

#[async_trait]
impl<S: AsyncRead + AsyncWrite + Send + Unpin> StreamConnection for WebSocket<S> {
    async fn next(&mut self) -> Result<StreamFrame, StreamError> {
        if self.is_over {
            return Err(hung_up());
        }
        let result = self.received().await;
        self.is_over = result.is_err();
        result
    }

    async fn close(&mut self) {
        // Whoever does not answer a goodbye is gone as well.
        let _answered = tokio::time::timeout(CLOSE_PATIENCE, self.socket.close(None)).await;
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> WebSocket<S> {
    async fn received(&mut self) -> Result<StreamFrame, StreamError> {
        loop {
            return match self.socket.next().await {
                Some(Ok(Message::Text(text))) => Ok(StreamFrame::Text(text.as_str().to_owned())),
                Some(Ok(Message::Binary(bytes))) => Ok(StreamFrame::Binary(bytes)),
                Some(Ok(Message::Ping(_))) => Ok(StreamFrame::Ping),
                Some(Ok(Message::Pong(_))) => Ok(StreamFrame::Pong),
                Some(Ok(Message::Close(goodbye))) => Err(goodbye.map_or_else(hung_up, |goodbye| StreamError::Closed {
                    code: Some(goodbye.code.into()),
                    reason: goodbye.reason.as_str().into(),
                })),
                // Only ever seen when writing.
                Some(Ok(Message::Frame(_))) => continue,
                Some(Err(error)) => Err(self.ended(error)),
                None => Err(hung_up()),
            };
        }
    }
}
