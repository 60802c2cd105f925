//! Streams over real web sockets, on connections that began as HTTP.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::{Simulator, SimulatorStream, StreamMessage, StreamRefused};

/// How much a client may say at once.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// How long a ping may go unanswered, on the machine's own clock: how fast the exchange's runs is no matter of the client's.
const PONG_PATIENCE: Duration = Duration::from_mins(10);
/// How long a goodbye may take.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(2);

/// Whether a request asks for a web socket.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    says(headers, &hyper::header::UPGRADE, "websocket") && says(headers, &hyper::header::CONNECTION, "upgrade")
}

fn says(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|said| said.trim().eq_ignore_ascii_case(word))
}

/// A connection that is about to become a stream.
#[derive(Debug)]
pub(super) struct Upgrade {
    stream: SimulatorStream,
    connection: OnUpgrade,
}

impl Upgrade {
    /// Opens the stream that a request asks for. With it: what proves to the client that it was understood.
    ///
    /// # Errors
    /// What is answered instead.
    pub(super) fn agree<B>(
        simulator: &Arc<Simulator>,
        request: &mut hyper::Request<B>,
    ) -> Result<(Self, HeaderValue), StreamRefused> {
        let refused = StreamRefused { status: Some(400) };
        let headers = request.headers();
        let is_version = headers.get("sec-websocket-version").is_some_and(|version| version == "13");
        let key = headers.get("sec-websocket-key").filter(|_| is_version).ok_or(refused)?;
        let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes())).map_err(|_| refused)?;
        let stream = simulator.open_stream(request.uri().path(), request.uri().query().unwrap_or_default())?;
        Ok((Self { stream, connection: hyper::upgrade::on(request) }, accept))
    }

    /// Speaks as a web socket until one of the two sides ends it, or the simulator stops.
    pub(super) async fn speak(self, stopped: watch::Receiver<bool>) {
        let Ok(connection) = self.connection.await else {
            return;
        };
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX))
            .write_buffer_size(0);
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(connection), Role::Server, Some(config)).await;
        Conversation { socket, stream: self.stream, pong_by: None }.run(stopped).await;
    }
}

struct Conversation {
    socket: WebSocketStream<TokioIo<Upgraded>>,
    stream: SimulatorStream,
    /// Until when the last ping has to be answered.
    pong_by: Option<Instant>,
}

/// How a conversation ends, other than by the client.
enum End {
    /// With a goodbye.
    Close(u16, &'static str),
    /// Without one: the connection is dropped.
    Silent,
}

impl Conversation {
    async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let end = loop {
            let pong_by = self.pong_by;
            let step = tokio::select! {
                biased;
                // What it answers is a guard, which must not be held while waiting.
                () = async { drop(stopped.wait_for(|stop| *stop).await) } => Err(End::Close(1001, "the exchange stops")),
                () = async { if let Some(by) = pong_by { sleep_until(by).await } }, if pong_by.is_some() => {
                    Err(End::Close(1008, "a ping was not answered"))
                }
                said = self.socket.next() => self.hear(said),
                message = self.stream.next() => self.tell(message).await,
            };
            if let Err(end) = step {
                break end;
            }
        };
        if let End::Close(code, reason) = end {
            let frame = CloseFrame { code: code.into(), reason: reason.into() };
            // Nobody there any more is fine too; so is who does not say goodbye in turn.
            let goodbye = async {
                if self.socket.send(Message::Close(Some(frame))).await.is_ok() {
                    while let Some(Ok(_)) = self.socket.next().await {}
                }
            };
            drop(tokio::time::timeout(GOODBYE_PATIENCE, goodbye).await);
        }
    }

    fn hear(&mut self, said: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>) -> Result<(), End> {
        match said {
            // Pings are answered by the library, and a goodbye is.
            Some(Ok(Message::Text(text))) => self.stream.send(text.as_str()),
            Some(Ok(Message::Pong(_))) => self.pong_by = None,
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                tracing::debug!(%error, "a stream of the simulator ended early");
                return Err(End::Silent);
            }
            None => return Err(End::Silent),
        }
        Ok(())
    }

    async fn tell(&mut self, message: Option<StreamMessage>) -> Result<(), End> {
        let message = match message {
            Some(StreamMessage::Text(text)) => Message::text(text),
            Some(StreamMessage::Ping) => {
                self.pong_by = self.pong_by.or_else(|| Some(Instant::now() + PONG_PATIENCE));
                Message::Ping(Bytes::new())
            }
            Some(StreamMessage::Closed { code, reason }) => return Err(End::Close(code, reason)),
            Some(StreamMessage::Broken) | None => return Err(End::Silent),
        };
        tokio::select! {
            biased;
            sent = self.socket.send(message) => sent.map_err(|_| End::Silent),
            // It does not read what it is sent, and would have to be waited for.
            () = self.stream.cut() => Err(End::Silent),
        }
    }
}
