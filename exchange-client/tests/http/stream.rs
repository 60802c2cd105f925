//! The transport of streams by itself.

use std::time::Duration;

use exchange_client::{
    StreamAddress, StreamConnection, StreamError, StreamFrame, StreamTransport, WebSocketTransport,
    WebSocketTransportConfig,
};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_async};

use crate::server::Server;

fn address(base_url: &str) -> StreamAddress {
    StreamAddress { base_url: base_url.to_owned(), path: "/private/ws".into(), query: "listenKey=c0ffee".into() }
}

async fn connect(base_url: &str) -> Result<Box<dyn StreamConnection>, StreamError> {
    let config = WebSocketTransportConfig { connect_timeout: Duration::from_secs(5), message_bytes_max: 1_000 };
    WebSocketTransport::new(config).unwrap().connect(address(base_url)).await
}

async fn listening() -> (String, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (format!("ws://{}", listener.local_addr().unwrap()), listener)
}

/// A connection and the other side of it.
async fn connected() -> (Box<dyn StreamConnection>, WebSocketStream<TcpStream>) {
    let (base_url, listener) = listening().await;
    let accepted = async { accept_async(listener.accept().await.unwrap().0).await.unwrap() };
    let (ours, theirs) = tokio::join!(connect(&base_url), accepted);
    (ours.unwrap(), theirs)
}

/// After these bytes on a connection that was greeted properly the other side hangs up.
async fn after_bytes(bytes: &[u8]) -> (Vec<StreamFrame>, StreamError) {
    let (mut ours, theirs) = connected().await;
    let mut raw = theirs.into_inner();
    raw.write_all(bytes).await.unwrap();
    raw.shutdown().await.unwrap();
    let mut frames = Vec::new();
    loop {
        match ours.next().await {
            Ok(frame) => frames.push(frame),
            Err(error) => return (frames, error),
        }
    }
}

fn with_sources(error: &StreamError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text} {error}");
        source = error.source();
    }
    text
}

#[tokio::test]
async fn frames_come_as_they_were_sent() {
    let (mut ours, mut theirs) = connected().await;
    for message in [
        Message::text(r#"{"e":"币安"}"#),
        Message::Ping("x".into()),
        Message::Pong("".into()),
        Message::binary(vec![0, 255]),
    ] {
        theirs.send(message).await.unwrap();
    }
    let mut frames = Vec::new();
    for _ in 0..4 {
        frames.push(ours.next().await.unwrap());
    }
    let binary = StreamFrame::Binary(vec![0, 255].into());
    assert_eq!(frames, [StreamFrame::Text(r#"{"e":"币安"}"#.into()), StreamFrame::Ping, StreamFrame::Pong, binary]);
    // A ping is answered with its own words, without anybody asking for it.
    assert_eq!(theirs.next().await.unwrap().unwrap(), Message::Pong("x".into()));
    ours.close().await;
    assert!(matches!(theirs.next().await, Some(Ok(Message::Close(_)))));
}

#[tokio::test]
async fn a_broken_stream_says_how_it_ended() {
    // Cut off in the middle of a frame, an unknown kind of frame, text that is not UTF-8, and nothing at all.
    let good = [&[0x81, 2][..], b"{}"].concat();
    for (bytes, expected) in [
        (&b"\x81\x10{\"e\":"[..], "Broken"),
        (b"\x8f\x00", "Broken"),
        (b"\x81\x02\xff\xfe", "Broken"),
        (b"\x88\x00", "Closed { code: None"),
        (b"", "Broken"),
    ] {
        let (frames, error) = after_bytes(&[&good, bytes].concat()).await;
        assert_eq!(frames, [StreamFrame::Text("{}".into())], "{bytes:?}");
        assert!(format!("{error:?}").starts_with(expected), "{bytes:?}: {error:?}");
    }
    let (mut ours, mut theirs) = connected().await;
    let goodbye = CloseFrame { code: 1008.into(), reason: "too \u{1b}[31mslow".into() };
    theirs.send(Message::Close(Some(goodbye))).await.unwrap();
    let error = ours.next().await.unwrap_err();
    assert_eq!(error.to_string(), "the exchange closed the connection with code 1008: too \\u{1b}[31mslow");
    // It stays over.
    assert!(ours.next().await.is_err() && ours.next().await.is_err());
}

#[tokio::test]
async fn a_huge_message_is_not_read() {
    // 2^40 bytes are announced; of two fragments each is small enough, both together are not.
    let announced = [&[0x81, 127][..], &(1_u64 << 40).to_be_bytes()].concat();
    let fragment = |first: u8| [&[first, 126, 2, 188][..], &[b'x'; 700]].concat();
    for bytes in [announced, [fragment(0x01), fragment(0x80)].concat()] {
        let (frames, error) = after_bytes(&bytes).await;
        assert!(frames.is_empty());
        assert!(matches!(error, StreamError::TooLarge { limit_bytes: 1_000 }), "{error:?}");
    }
}

#[tokio::test]
async fn a_redirected_stream_is_not_followed() {
    let thief = Server::always("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let location = format!("{}/private/ws?listenKey=c0ffee", thief.base_url);
        let answer = format!("HTTP/1.1 {status}\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let server = Server::always(&answer).await;
        let error = connect(&server.base_url.replace("http", "ws")).await.err().unwrap();
        assert!(matches!(error, StreamError::Refused { status: 301..=308 }), "{error:?}");
        assert!(!with_sources(&error).contains("c0ffee"), "{error:?}");
        assert_eq!(server.asked(), ["GET /private/ws?listenKey=c0ffee HTTP/1.1"]);
    }
    assert!(thief.asked().is_empty());
}

#[tokio::test]
async fn what_is_no_stream_is_refused() {
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "Refused { status: 200 }"),
        ("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", "Refused { status: 503 }"),
        // Without the proof that it has understood.
        ("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n", "NotConnected"),
        ("HTTP/1.1 101 Switch", "NotConnected"),
        ("", "NotConnected"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "NotConnected"),
    ] {
        let server = Server::always(answer).await;
        let error = connect(&server.base_url.replace("http", "ws")).await.err().unwrap();
        assert!(format!("{error:?}").starts_with(expected), "{answer}: {error:?}");
        assert!(!with_sources(&error).contains("c0ffee"), "{answer}: {error:?}");
    }
    for base_url in ["http://127.0.0.1:1", "ws://", "127.0.0.1", "ws://127.0.0.1:1", "wss://127.0.0.1:1"] {
        let error = connect(base_url).await.err().unwrap();
        assert!(matches!(error, StreamError::NotConnected(_)) && !with_sources(&error).contains("c0ffee"), "{error:?}");
    }
}

#[tokio::test]
async fn what_is_not_encrypted_gets_no_key() {
    // A server that does not speak TLS: the key is sent only once the connection is encrypted.
    let (base_url, listener) = listening().await;
    let heard = async {
        let mut heard = Vec::new();
        let mut peer = listener.accept().await.unwrap().0;
        peer.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        peer.shutdown().await.unwrap();
        // Whoever hangs up early has said nothing more.
        let _read = peer.read_to_end(&mut heard).await;
        heard
    };
    let encrypted = base_url.replace("ws://", "wss://");
    let (ours, heard) = tokio::join!(connect(&encrypted), heard);
    assert!(matches!(ours.err().unwrap(), StreamError::NotConnected(_)));
    assert!(!heard.is_empty() && !String::from_utf8_lossy(&heard).contains("c0ffee"));
}
