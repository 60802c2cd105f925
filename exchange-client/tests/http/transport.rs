//! The transport by itself.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use exchange_client::{HttpTransport, HttpTransportConfig, Method, Request, Response, Transport, TransportError};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::server::{Server, read_request};

async fn send(base_url: &str, config: HttpTransportConfig) -> Result<Response, TransportError> {
    HttpTransport::new(config).unwrap().send(request(base_url)).await
}

fn request(base_url: &str) -> Request {
    Request {
        method: Method::Post,
        base_url: base_url.to_owned(),
        path: "/fapi/v1/order".into(),
        query: "symbol=BTCUSDT&signature=c0ffee".into(),
        headers: vec![("x-mbx-apikey", "top-key".into())],
    }
}

fn with_sources(error: &TransportError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text} {error}");
        source = error.source();
    }
    text
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let other = Server::always("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
    let answer =
        format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {}/\r\ncontent-length: 0\r\n\r\n", other.base_url);
    let server = Server::always(&answer).await;
    let response = send(&server.base_url, HttpTransportConfig::default()).await.unwrap();
    assert_eq!(response.status, 307);
    assert!(other.asked().is_empty());
}

#[tokio::test]
async fn a_request_is_sent_once() {
    for answer in [
        "",
        "HTTP/1.1 200 OK\r\ncontent-",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"orderId\":",
        "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 429 Too Many Requests\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n",
    ] {
        let server = Server::always(answer).await;
        let result = send(&server.base_url, HttpTransportConfig::default()).await;
        match result {
            Ok(response) => assert!(response.status >= 400, "{answer}"),
            Err(error) => {
                assert!(matches!(error, TransportError::Lost(_)), "{answer}: {error:?}");
                let shown = with_sources(&error);
                assert!(!shown.contains("c0ffee") && !shown.contains("top-key"), "{shown}");
            }
        }
        assert_eq!(server.asked().len(), 1, "{answer}");
    }
}

/// Keeps its first connection for as many answers as given, and answers everything on later ones; what arrives on each is
/// counted.
async fn keeping(answers: usize) -> (String, Arc<Mutex<Vec<usize>>>) {
    const FINE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let arrived = Arc::new(Mutex::new(Vec::new()));
    let counted = Arc::clone(&arrived);
    tokio::spawn(async move {
        let mut left = answers;
        while let Ok((mut stream, _)) = listener.accept().await {
            let connection = {
                let mut counted = counted.lock().unwrap();
                counted.push(0);
                counted.len() - 1
            };
            while read_request(&mut stream).await.starts_with("POST") {
                counted.lock().unwrap()[connection] += 1;
                if left == 0 && connection == 0 {
                    break;
                }
                left = left.saturating_sub(1);
                stream.write_all(FINE).await.unwrap();
            }
        }
    });
    (base_url, arrived)
}

#[tokio::test]
async fn a_request_into_a_kept_connection_that_dies_is_sent_once() {
    let (base_url, arrived) = keeping(2).await;
    let transport = HttpTransport::new(HttpTransportConfig::default()).unwrap();
    for _ in 0..2 {
        assert_eq!(transport.send(request(&base_url)).await.unwrap().status, 200);
    }
    // Read by the server, which hangs up: it may have been executed.
    assert!(matches!(transport.send(request(&base_url)).await, Err(TransportError::Lost(_))));
    assert_eq!(*arrived.lock().unwrap(), [3]);
    // The next one goes out over a connection of its own.
    assert_eq!(transport.send(request(&base_url)).await.unwrap().status, 200);
    assert_eq!(*arrived.lock().unwrap(), [3, 1]);
}

#[tokio::test]
async fn a_refused_connection_was_not_sent_and_a_broken_one_is_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    // Accepted by the system, answered by nobody: the request left, so it may have arrived.
    let config = HttpTransportConfig { request_timeout: Duration::from_millis(200), ..HttpTransportConfig::default() };
    assert!(matches!(send(&base_url, config).await, Err(TransportError::Lost(_))));
    drop(listener);
    let error = send(&base_url, HttpTransportConfig::default()).await.unwrap_err();
    assert!(matches!(error, TransportError::NotSent(_)), "{error:?}");
    assert!(!with_sources(&error).contains("c0ffee"));
}

#[tokio::test]
async fn an_endless_body_is_not_read_to_its_end() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n0123456789012345678901234567890123456789";
    let server = Server::always(answer).await;
    let config = HttpTransportConfig { body_bytes_max: 20, ..HttpTransportConfig::default() };
    assert!(matches!(send(&server.base_url, config).await, Err(TransportError::TooLarge { limit_bytes: 20 })));
}
