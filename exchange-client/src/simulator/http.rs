//! The simulator over real HTTP, for whoever speaks the exchange's language.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming as IncomingBody;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Simulator;
use super::request::Incoming;

const BODY_BYTES_MAX: usize = 1024 * 1024;

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
    let service = service_fn(|request| {
        let simulator = Arc::clone(&simulator);
        async move { Ok::<_, Infallible>(respond(&simulator, request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        biased;
        // What it answers is a guard, which must not be held while waiting.
        () = async { drop(stopped.wait_for(|stop| *stop).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        ended = connection.as_mut() => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the simulator ended early");
    }
}

async fn respond(simulator: &Simulator, request: hyper::Request<IncomingBody>) -> hyper::Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(body) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        Err(_) => return plain(413),
    };
    let answer = simulator.handle(&Incoming {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        body: &body,
        api_key: head.headers.get("x-mbx-apikey").and_then(|value| value.to_str().ok()),
    });
    let mut response = hyper::Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(Full::new(Bytes::from(answer.body))).unwrap_or_else(|_| plain(500))
}

fn plain(status: u16) -> hyper::Response<Full<Bytes>> {
    let mut response = hyper::Response::new(Full::new(Bytes::new()));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    response
}
