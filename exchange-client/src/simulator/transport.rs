//! The simulator without a network: the real adapter in deterministic tests.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::reply::Arrival;
use super::request::Incoming;
use super::{Simulator, SimulatorStream, StreamMessage};
use crate::transport::{
    Request, Response, StreamAddress, StreamConnection, StreamError, StreamFrame, StreamTransport, Transport,
    TransportError,
};

/// Hands requests straight to a simulator in the same process. The base URL is not looked at.
#[derive(Debug, Clone)]
pub struct SimulatorTransport {
    simulator: Arc<Simulator>,
}

impl SimulatorTransport {
    /// A transport into `simulator`.
    pub fn new(simulator: Arc<Simulator>) -> Self {
        Self { simulator }
    }
}

#[async_trait]
impl Transport for SimulatorTransport {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let reply = self.simulator.handle(&Incoming {
            method: request.method.as_str(),
            path: &request.path,
            query: &request.query,
            body: "",
            api_key: request.headers.iter().find(|(name, _)| *name == "x-mbx-apikey").map(|(_, key)| key.as_str()),
        });
        if reply.delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(reply.delay_ms)).await;
        }
        match reply.arrival {
            Arrival::Whole(answer) => Ok(Response {
                status: answer.status,
                headers: answer.headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
                body: Bytes::from(answer.body),
            }),
            Arrival::CutOff(_) => Err(TransportError::Lost("the connection broke in the middle of the answer".into())),
            Arrival::Lost => Err(TransportError::Lost("the connection broke".into())),
        }
    }
}

#[async_trait]
impl StreamTransport for SimulatorTransport {
    async fn connect(&self, address: StreamAddress) -> Result<Box<dyn StreamConnection>, StreamError> {
        match self.simulator.open_stream(&address.path, &address.query) {
            Ok(stream) => Ok(Box::new(Line(stream))),
            Err(refused) => Err(match refused.status {
                Some(status) => StreamError::Refused { status },
                None => StreamError::NotConnected(refused.into()),
            }),
        }
    }
}

/// A stream in the same process.
struct Line(SimulatorStream);

#[async_trait]
impl StreamConnection for Line {
    async fn next(&mut self) -> Result<StreamFrame, StreamError> {
        match self.0.next().await {
            Some(StreamMessage::Text(text)) => Ok(StreamFrame::Text(text)),
            Some(StreamMessage::Ping) => Ok(StreamFrame::Ping),
            Some(StreamMessage::Closed { code, reason }) => {
                Err(StreamError::Closed { code: Some(code), reason: reason.into() })
            }
            Some(StreamMessage::Broken) | None => Err(StreamError::Broken("the connection broke".into())),
        }
    }

    async fn close(&mut self) {}
}
