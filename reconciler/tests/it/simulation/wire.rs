//! The way of one process's requests to the exchange and of the answers back. It takes time, by seed, so that there are moments
//! at which a process can die: before its request arrives, and when that was carried out and nobody has heard of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use exchange_client::simulator::{Simulator, SimulatorTransport};
use exchange_client::{Method, Request, Response, Transport, TransportError};

use super::random::Random;

/// One way of most requests takes this long at most, in ms.
const USUAL_MS: u64 = 60;
/// One way of a slow one.
const SLOW_MS: u64 = 900;

#[derive(Clone)]
pub(super) struct Wire(Arc<Inner>);

struct Inner {
    exchange: SimulatorTransport,
    random: Mutex<Random>,
    /// What was sent and has not arrived, of what changes something.
    under_way: Mutex<BTreeMap<u64, Request>>,
}

impl Wire {
    pub(super) fn new(simulator: &Arc<Simulator>, seed: u64) -> Self {
        let exchange = SimulatorTransport::new(Arc::clone(simulator));
        let random = Mutex::new(Random::new(seed));
        Self(Arc::new(Inner { exchange, random, under_way: Mutex::default() }))
    }

    /// What its process sent before it died, and what may arrive all the same.
    pub(super) fn left_under_way(&self) -> Vec<Request> {
        std::mem::take(&mut *self.0.under_way.lock().unwrap()).into_values().collect()
    }

    /// How long both ways of a request take, and under which number it is under way if it changes something.
    fn depart(&self, request: &Request) -> (Option<u64>, Duration, Duration) {
        let mut random = self.0.random.lock().unwrap();
        let mut way = || {
            let max = if random.below(40) == 0 { SLOW_MS } else { USUAL_MS };
            Duration::from_millis(1 + random.below(max))
        };
        let (there, back) = (way(), way());
        if request.method == Method::Get {
            return (None, there, back);
        }
        let mut under_way = self.0.under_way.lock().unwrap();
        let number = under_way.last_key_value().map_or(1, |(number, _)| number + 1);
        under_way.insert(number, request.clone());
        (Some(number), there, back)
    }
}

#[async_trait]
impl Transport for Wire {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let (number, there, back) = self.depart(&request);
        tokio::time::sleep(there).await;
        if let Some(number) = number {
            self.0.under_way.lock().unwrap().remove(&number);
        }
        let answer = self.0.exchange.send(request).await;
        tokio::time::sleep(back).await;
        answer
    }
}
