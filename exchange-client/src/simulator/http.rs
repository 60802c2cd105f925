//! The simulator over real HTTP, for whoever speaks the exchange's language. What asks for a stream goes on as a WebSocket.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming as IncomingBody;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::reply::{Arrival, half};
use super::request::Incoming;
use super::websocket::{self, Upgrade};
use super::{Simulator, StreamRefused};

const BODY_BYTES_MAX: usize = 1024 * 1024;
/// The process, or the machine, has too many files open: the same numbers on every Unix.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

/// Answers requests on `listener` until `shutdown` is done; then lets the requests under way finish.
///
/// # Errors
/// [`io::Error`] when connections can no longer be accepted.
pub async fn serve(
    simulator: Arc<Simulator>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    let result = loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break Ok(()),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(Arc::clone(&simulator), stream, stopped.clone()));
                }
                // The peer gave up before it was accepted; the listener is fine.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                // Too many connections are open. Those that are will be closed, and then there is room again.
                Err(error) if matches!(error.raw_os_error(), Some(EMFILE | ENFILE)) => {
                    tracing::warn!(%error, "the simulator cannot take another connection now");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(error) => break Err(error),
            },
            // Finished connections are not kept.
            Some(_) = connections.join_next() => {}
        }
    };
    // Nobody listening any more is fine too.
    let _no_connections_left = stop.send(true);
    while connections.join_next().await.is_some() {}
    result
}

async fn connection(simulator: Arc<Simulator>, stream: TcpStream, mut stopped: watch::Receiver<bool>) {
    let upgraded = Mutex::new(None);
    let service = service_fn(|request| respond_or_upgrade(&simulator, &upgraded, request));
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let connection = connection.with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        biased;
        // What it answers is a guard, which must not be held while waiting.
        () = async { drop(stopped.wait_for(|stop| *stop).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await
        }
        ended = connection.as_mut() => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the simulator ended early");
        return;
    }
    let upgrade = upgraded.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(upgrade) = upgrade {
        upgrade.speak(stopped).await;
    }
}

async fn respond_or_upgrade(
    simulator: &Arc<Simulator>,
    upgraded: &Mutex<Option<Upgrade>>,
    mut request: hyper::Request<IncomingBody>,
) -> Result<hyper::Response<Body>, Broken> {
    if !websocket::is_wanted(request.headers()) {
        return respond(simulator, request).await;
    }
    match Upgrade::agree(simulator, &mut request) {
        Ok((upgrade, accept)) => {
            *upgraded.lock().unwrap_or_else(PoisonError::into_inner) = Some(upgrade);
            let mut response = plain(101);
            for (name, value) in [("connection", "Upgrade"), ("upgrade", "websocket")] {
                response.headers_mut().insert(name, hyper::header::HeaderValue::from_static(value));
            }
            response.headers_mut().insert("sec-websocket-accept", accept);
            Ok(response)
        }
        Err(StreamRefused { status: Some(status) }) => Ok(plain(status)),
        Err(StreamRefused { status: None }) => Err(Broken),
    }
}

/// No answer: hyper closes the connection.
#[derive(Debug, thiserror::Error)]
#[error("a simulated fault broke the connection")]
struct Broken;

/// A body that ends as announced, or breaks off.
enum Body {
    Whole(Full<Bytes>),
    /// What is sent before it breaks; `None` once it was.
    CutOff(Option<Bytes>),
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Broken>>> {
        match self.get_mut() {
            Self::Whole(body) => {
                Pin::new(body).poll_frame(context).map(|frame| frame.map(|frame| frame.map_err(|never| match never {})))
            }
            Self::CutOff(part) => Poll::Ready(Some(part.take().map(hyper::body::Frame::data).ok_or(Broken))),
        }
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::CutOff(_) => hyper::body::SizeHint::default(),
        }
    }
}

async fn respond(
    simulator: &Simulator,
    request: hyper::Request<IncomingBody>,
) -> Result<hyper::Response<Body>, Broken> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(body) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        Err(_) => return Ok(plain(413)),
    };
    let reply = simulator.handle(&Incoming {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        body: &body,
        api_key: head.headers.get("x-mbx-apikey").and_then(|value| value.to_str().ok()),
    });
    if reply.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(reply.delay_ms)).await;
    }
    let (answer, is_cut_off) = match reply.arrival {
        Arrival::Whole(answer) => (answer, false),
        Arrival::CutOff(answer) => (answer, true),
        Arrival::Lost => return Err(Broken),
    };
    let mut response = hyper::Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    let body = if is_cut_off {
        response = response.header("content-length", answer.body.len());
        Body::CutOff(Some(Bytes::from(half(&answer.body))))
    } else {
        Body::Whole(Full::new(Bytes::from(answer.body)))
    };
    Ok(response.body(body).unwrap_or_else(|_| plain(500)))
}

fn plain(status: u16) -> hyper::Response<Body> {
    let mut response = hyper::Response::new(Body::Whole(Full::new(Bytes::new())));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    response
}
