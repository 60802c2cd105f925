//! The line between a watcher and its exchange, of which a test says what becomes of each request.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use exchange_client::{Request, Response, Transport, TransportError};
use tokio::time::Instant;

use crate::support::Fixture;

/// What becomes of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    /// It is never answered, and nobody says so.
    Hangs,
    /// The connection breaks before it arrives.
    Lost,
    /// This is answered, with this status, and it does not arrive.
    Refused(u16, &'static str),
}

/// What the exchange answers who may not have what he asks for.
pub(crate) const FORBIDDEN: Fate =
    Fate::Refused(401, r#"{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}"#);
/// What it answers where a part of it does not work.
pub(crate) const UNAVAILABLE: Fate = Fate::Refused(503, r#"{"code":-1,"msg":"Service Unavailable."}"#);

/// Everything passes until it is shut.
#[derive(Clone)]
pub(crate) struct Door {
    inner: Arc<dyn Transport>,
    shut: Arc<Mutex<Option<(&'static str, Fate)>>>,
    asked: Arc<Mutex<Vec<(String, Instant)>>>,
}

impl Door {
    pub(crate) fn before(fixture: &Fixture) -> Self {
        Self { inner: Arc::clone(&fixture.transport), shut: Arc::default(), asked: Arc::default() }
    }

    /// This becomes of requests whose path ends so, of all with an empty one.
    pub(crate) fn shut(&self, path: &'static str, fate: Fate) {
        *self.shut.lock().unwrap() = Some((path, fate));
    }

    /// Everything passes again. What hangs goes on hanging.
    pub(crate) fn open(&self) {
        *self.shut.lock().unwrap() = None;
    }

    /// When requests whose path ends so were sent.
    pub(crate) fn asked(&self, path: &str) -> Vec<Instant> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(asked, _)| asked.ends_with(path)).map(|(_, at)| *at).collect()
    }
}

#[async_trait]
impl Transport for Door {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        self.asked.lock().unwrap().push((request.path.clone(), Instant::now()));
        let shut = *self.shut.lock().unwrap();
        match shut.filter(|(path, _)| request.path.ends_with(path)) {
            None => self.inner.send(request).await,
            Some((_, Fate::Hangs)) => std::future::pending().await,
            Some((_, Fate::Lost)) => Err(TransportError::Lost("connection reset".into())),
            Some((_, Fate::Refused(status, body))) => {
                Ok(Response { status, headers: Vec::new(), body: bytes::Bytes::from_static(body.as_bytes()) })
            }
        }
    }
}
