//! The only way to a transport: what comes back knows nothing of our secrets any more.
//!
//! An answer is searched before anybody reads it, headers and body, whatever its status; so is each message of a stream,
//! and what a library says of a connection that failed. An adapter that holds a guarded transport cannot come by an answer
//! that repeats its key, its secret, a signature or the key of a stream: its errors and the payloads that it keeps are made
//! of what is left.
//!
//! Invariants, each with a test of the same name:
//! 1. `an_answer_arrives_without_secrets`, in its headers too.
//! 2. `a_token_is_known_before_its_answer_is_read`, also where the answer is an error or cut off.
//! 3. `complaints_of_libraries_are_guarded`, and left alone where they repeat nothing.
//! 4. `a_stream_is_guarded`: its messages, its goodbye and its end.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use zeroize::Zeroizing;

use super::{
    BoxError, Request, Response, StreamAddress, StreamConnection, StreamError, StreamFrame, StreamTransport, Transport,
    TransportError,
};
use crate::foreign::{ForeignText, SecretKind, Secrets};

/// What the exchange answers a request for a token: the answer without it, and the token.
pub(crate) type WithToken = (Response, Option<Zeroizing<String>>);

/// A transport whose answers are searched for secrets.
pub(crate) struct GuardedTransport {
    inner: Arc<dyn Transport>,
    secrets: Secrets,
}

impl GuardedTransport {
    /// Guards `inner`.
    pub(crate) fn new(inner: Arc<dyn Transport>, secrets: Secrets) -> Self {
        Self { inner, secrets }
    }

    /// The transport itself, to be guarded for another account.
    pub(crate) fn unguarded(&self) -> Arc<dyn Transport> {
        Arc::clone(&self.inner)
    }

    /// Sends `request`. Where the answer is expected to hold a token, `token` names its field: the token is learned, and
    /// told beside the answer.
    pub(crate) async fn send(&self, request: Request, token: Option<&str>) -> Result<WithToken, TransportError> {
        let mut response = self.inner.send(request).await.map_err(|error| match error {
            TransportError::NotSent(source) => TransportError::NotSent(guarded(source, &self.secrets)),
            TransportError::Lost(source) => TransportError::Lost(guarded(source, &self.secrets)),
            TransportError::TooLarge { limit_bytes } => TransportError::TooLarge { limit_bytes },
        })?;
        let token = token.and_then(|field| self.learned(field, &response.body));
        if let Some(body) = self.secrets.redacted_bytes(&response.body) {
            response.body = Bytes::from(body);
        }
        for (_, value) in &mut response.headers {
            if let Some(bytes) = self.secrets.redacted_bytes(value.as_bytes()) {
                *value = String::from_utf8_lossy(&bytes).into_owned();
            }
        }
        Ok((response, token))
    }

    /// Learns every value of `field` in `body`, and answers that of a well-formed answer.
    fn learned(&self, field: &str, body: &[u8]) -> Option<Zeroizing<String>> {
        let object = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body).ok();
        let token = object.and_then(|object| Some(Zeroizing::new(object.get(field)?.as_str()?.to_owned())));
        if let Some(token) = &token {
            self.secrets.learn(SecretKind::ListenKey, token);
        }
        // An error can name the token as well, and an answer be cut off within it.
        let text = String::from_utf8_lossy(body);
        for behind in text.split(field).skip(1) {
            let value = behind.trim_start_matches(|character: char| !character.is_ascii_alphanumeric());
            let end = value.find(|character: char| !(character.is_ascii_alphanumeric() || "-_".contains(character)));
            // Between a name and its value there are some signs, never words.
            if behind.len() - value.len() <= 6 {
                self.secrets.learn(SecretKind::ListenKey, value.get(..end.unwrap_or(value.len())).unwrap_or_default());
            }
        }
        token
    }
}

/// An error in other words than its own.
#[derive(Debug)]
struct Told {
    words: ForeignText,
    source: Option<Box<Self>>,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.words, f)
    }
}

impl Error for Told {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// `error` itself where neither it nor its causes repeat a secret or disturb a terminal, else what can be told of it.
fn guarded(error: BoxError, secrets: &Secrets) -> BoxError {
    let mut all = Vec::new();
    let mut next: Option<&(dyn Error + 'static)> = Some(&*error);
    while let Some(cause) = next {
        all.push(cause.to_string());
        next = cause.source();
    }
    let words: Vec<_> = all.iter().map(|words| ForeignText::new(&secrets.redacted(words))).collect();
    // How it prints for programmers can hold more than it says.
    let is_told = secrets.mentioned_in(&format!("{error:?}")).is_some();
    if !is_told && all.iter().zip(&words).all(|(all, words)| *words == **all) {
        return error;
    }
    let told = words.into_iter().rev().fold(None, |source, words| Some(Box::new(Told { words, source })));
    told.map_or(error, |told| told)
}

/// A transport of streams whose messages are searched for secrets.
pub(crate) struct GuardedStreams {
    inner: Arc<dyn StreamTransport>,
    secrets: Secrets,
}

impl GuardedStreams {
    /// Guards `inner`.
    pub(crate) fn new(inner: Arc<dyn StreamTransport>, secrets: Secrets) -> Self {
        Self { inner, secrets }
    }

    /// Connects, once.
    pub(crate) async fn connect(&self, address: StreamAddress) -> Result<Box<dyn StreamConnection>, StreamError> {
        match self.inner.connect(address).await {
            Ok(inner) => Ok(Box::new(GuardedStream { inner, secrets: self.secrets.clone() })),
            Err(error) => Err(guarded_end(error, &self.secrets)),
        }
    }
}

struct GuardedStream {
    inner: Box<dyn StreamConnection>,
    secrets: Secrets,
}

fn guarded_end(error: StreamError, secrets: &Secrets) -> StreamError {
    match error {
        StreamError::NotConnected(source) => StreamError::NotConnected(guarded(source, secrets)),
        StreamError::Broken(source) => StreamError::Broken(guarded(source, secrets)),
        StreamError::Closed { code, reason } => {
            StreamError::Closed { code, reason: ForeignText::new(&secrets.redacted(reason.as_str())) }
        }
        error @ (StreamError::Refused { .. } | StreamError::TooLarge { .. }) => error,
    }
}

#[async_trait]
impl StreamConnection for GuardedStream {
    async fn next(&mut self) -> Result<StreamFrame, StreamError> {
        match self.inner.next().await {
            Ok(StreamFrame::Text(text)) => Ok(StreamFrame::Text(match self.secrets.redacted_bytes(text.as_bytes()) {
                Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                None => text,
            })),
            Ok(StreamFrame::Binary(bytes)) => {
                Ok(StreamFrame::Binary(self.secrets.redacted_bytes(&bytes).map_or(bytes, Bytes::from)))
            }
            Ok(frame @ (StreamFrame::Ping | StreamFrame::Pong)) => Ok(frame),
            Err(error) => Err(guarded_end(error, &self.secrets)),
        }
    }

    async fn close(&mut self) {
        self.inner.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::Credentials;
    use crate::transport::{Method, MockStreamConnection, MockStreamTransport, MockTransport};

    const KEY: &str = "K3yK3yK3yK3yAbCdEfGh";
    const TOKEN: &str = "T0kenT0kenT0ken-xyz_1";

    fn request() -> Request {
        let (base_url, path) = ("http://127.0.0.1:1".into(), "/x".into());
        Request { method: Method::Get, base_url, path, query: String::new(), headers: Vec::new() }
    }

    fn guarded_by(answer: impl Fn() -> Result<Response, TransportError> + Send + Sync + 'static) -> GuardedTransport {
        let mut inner = MockTransport::new();
        inner.expect_send().returning(move |_| answer());
        let secrets = Credentials::new(KEY, "S3cretS3cretS3cret").unwrap().secrets().clone();
        GuardedTransport::new(Arc::new(inner), secrets)
    }

    #[tokio::test]
    async fn an_answer_arrives_without_secrets() {
        let transport = guarded_by(|| {
            let headers = vec![("location".into(), format!("https://x/?key={KEY}")), ("date".into(), "today".into())];
            Ok(Response { status: 302, headers, body: Bytes::from(format!("<a href='{KEY}'>S3cretS3cretS3cret")) })
        });
        let (response, token) = transport.send(request(), None).await.unwrap();
        assert_eq!(response.header("location"), Some("https://x/?key=[API key]"));
        assert_eq!(response.header("date"), Some("today"));
        assert_eq!((&response.body[..], token), (&b"<a href='[API key]'>[API secret]"[..], None));
    }

    #[tokio::test]
    async fn a_token_is_known_before_its_answer_is_read() {
        for (body, shown, token) in [
            (format!(r#"{{"listenKey":"{TOKEN}"}}"#), r#"{"listenKey":"[listen key]"}"#, Some(TOKEN)),
            (
                format!(r#"{{"code":-1,"msg":"listenKey={TOKEN}"}}"#),
                r#"{"code":-1,"msg":"listenKey=[listen key]"}"#,
                None,
            ),
            (format!(r#"{{"listenKey": "{TOKEN}"#), r#"{"listenKey": "[listen key]"#, None),
            ("no listenKey for you today".into(), "no listenKey for you today", None),
        ] {
            let transport =
                guarded_by(move || Ok(Response { status: 200, headers: Vec::new(), body: Bytes::from(body.clone()) }));
            let (response, found) = transport.send(request(), Some("listenKey")).await.unwrap();
            assert_eq!(String::from_utf8_lossy(&response.body), shown);
            assert_eq!(found.as_deref().map(String::as_str), token);
        }
    }

    #[tokio::test]
    async fn complaints_of_libraries_are_guarded() {
        let transport = guarded_by(|| Err(TransportError::Lost(format!("no\n {KEY}").into())));
        let error = transport.send(request(), None).await.unwrap_err();
        assert_eq!(error.source().unwrap().to_string(), "no\\n [API key]");
        assert!(!format!("{error:?}").contains("K3yK3y"));
        let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let transport = guarded_by(move || Err(TransportError::NotSent(refused().into())));
        let error = transport.send(request(), None).await.unwrap_err();
        assert!(error.source().unwrap().is::<std::io::Error>());
    }

    #[tokio::test]
    async fn a_stream_is_guarded() {
        let mut inner = MockStreamTransport::new();
        inner.expect_connect().returning(|_| {
            let mut connection = MockStreamConnection::new();
            let mut ends = vec![
                Err(StreamError::Broken(KEY.into())),
                Err(StreamError::Closed { code: Some(1008), reason: format!("bye\u{7} {KEY}").as_str().into() }),
                Ok(StreamFrame::Binary(Bytes::from(format!("\u{0}{KEY}")))),
                Ok(StreamFrame::Text(format!(r#"{{"e":"{KEY}"}}"#))),
            ];
            connection.expect_next().returning(move || ends.pop().unwrap());
            Ok(Box::new(connection))
        });
        let secrets = Credentials::new(KEY, "S3cretS3cretS3cret").unwrap().secrets().clone();
        let streams = GuardedStreams::new(Arc::new(inner), secrets);
        let (base_url, path, query) = ("ws://127.0.0.1:1".into(), "/".into(), String::new());
        let mut stream = streams.connect(StreamAddress { base_url, path, query }).await.unwrap();
        assert_eq!(stream.next().await.unwrap(), StreamFrame::Text(r#"{"e":"[API key]"}"#.into()));
        assert_eq!(stream.next().await.unwrap(), StreamFrame::Binary(Bytes::from_static(b"\0[API key]")));
        let closed = stream.next().await.unwrap_err();
        assert_eq!(closed.to_string(), "the exchange closed the connection with code 1008: bye\\u{7} [API key]");
        assert!(!format!("{:?}", stream.next().await.unwrap_err()).contains("K3yK3y"));
    }
}
