//! The transport by itself.

use std::time::Duration;

use exchange_client::{HttpTransport, HttpTransportConfig, Method, Request, Response, Transport, TransportError};
use tokio::net::TcpListener;

use crate::server::Server;

async fn send(base_url: &str, config: HttpTransportConfig) -> Result<Response, TransportError> {
    let transport = HttpTransport::new(config).unwrap();
    let request = Request {
        method: Method::Post,
        base_url: base_url.to_owned(),
        path: "/fapi/v1/order".into(),
        query: "symbol=BTCUSDT&signature=c0ffee".into(),
        headers: vec![("x-mbx-apikey", "top-key".into())],
    };
    transport.send(request).await
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
