//! The user stream against scripted connections: what the exchange really tells, and what it should never tell.

mod events;
mod life;
mod marks;

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use tokio::time::Instant;

use super::*;
use crate::api::{Gap, Interruption, StreamEvent, StreamEventError, UserStream, UserStreams};
use crate::binance_usdm::AddressShape::{ByCategory, Plain};
use crate::binance_usdm::rest::RestClient;
use crate::binance_usdm::stream::KeyedAddress;
use crate::transport::{Method, StreamAddress, StreamConnection, StreamError, StreamFrame, StreamTransport};

const KEY: &str = "pqia91ma19a5s61c";

/// What a connection brings, after how long.
type Frames = Vec<(Duration, Result<StreamFrame, StreamError>)>;

/// Connections from a list, remembering where to they were made, and when.
#[derive(Default)]
struct Wire {
    connections: Mutex<VecDeque<Result<Frames, StreamError>>>,
    asked: Mutex<Vec<(StreamAddress, Instant)>>,
    /// How long a connection takes to come about.
    takes: Duration,
}

impl Wire {
    fn then(self, frames: Frames) -> Self {
        self.connections.lock().unwrap().push_back(Ok(frames));
        self
    }

    fn then_fails(self, error: StreamError) -> Self {
        self.connections.lock().unwrap().push_back(Err(error));
        self
    }

    fn connects(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

#[async_trait]
impl StreamTransport for Wire {
    async fn connect(&self, address: StreamAddress) -> Result<Box<dyn StreamConnection>, StreamError> {
        self.asked.lock().unwrap().push((address, Instant::now()));
        tokio::time::sleep(self.takes).await;
        let next = self.connections.lock().unwrap().pop_front();
        let frames = next.unwrap_or_else(|| Err(StreamError::NotConnected("the script has ended".into())))?;
        Ok(Box::new(Line { frames: frames.into(), due: None }))
    }
}

/// A connection that stays silent when its frames are used up.
struct Line {
    frames: VecDeque<(Duration, Result<StreamFrame, StreamError>)>,
    /// When the next one comes, whoever has stopped waiting for it in the meantime.
    due: Option<Instant>,
}

#[async_trait]
impl StreamConnection for Line {
    async fn next(&mut self) -> Result<StreamFrame, StreamError> {
        let Some((after, _)) = self.frames.front() else { return std::future::pending().await };
        let due = *self.due.get_or_insert_with(|| Instant::now() + *after);
        if due > Instant::now() {
            tokio::time::sleep_until(due).await;
        }
        self.due = None;
        self.frames.pop_front().unwrap().1
    }

    async fn close(&mut self) {}
}

fn now(frame: StreamFrame) -> (Duration, Result<StreamFrame, StreamError>) {
    (Duration::ZERO, Ok(frame))
}

fn text(message: &str) -> (Duration, Result<StreamFrame, StreamError>) {
    now(StreamFrame::Text(message.to_owned()))
}

fn hung_up() -> StreamError {
    StreamError::Closed { code: Some(1006), reason: "gone".into() }
}

/// A clock that goes on with tokio's, and can be set.
#[derive(Debug)]
struct Ticking(Instant, AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> TimestampMs {
        let passed_ms = i64::try_from(self.0.elapsed().as_millis()).unwrap();
        TimestampMs::new(NOW_MS + passed_ms + self.1.load(Ordering::Relaxed)).unwrap()
    }
}

/// Answers as the REST interface does about keys: with one key after another.
struct Keys {
    asked: Mutex<Vec<(Method, Duration, String)>>,
    begun: Instant,
    /// Whether renewals are never answered.
    hang: AtomicBool,
    /// What renewals are answered with.
    renewals: Mutex<VecDeque<(u16, &'static str)>>,
    /// What the first questions for a key are answered with.
    refusals: Mutex<VecDeque<(u16, &'static str)>>,
}

impl Keys {
    fn of(&self, method: Method) -> Vec<u64> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(asked, ..)| *asked == method).map(|(_, at, _)| at.as_secs()).collect()
    }
}

#[async_trait]
impl Transport for Keys {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let (status, body) = match (request.method, request.path.as_str()) {
            (Method::Get, "/fapi/v1/time") => {
                let passed_ms = i64::try_from(self.begun.elapsed().as_millis()).unwrap();
                (200, format!(r#"{{"serverTime":{}}}"#, NOW_MS + passed_ms))
            }
            (method @ (Method::Post | Method::Put), "/fapi/v1/listenKey") => {
                // The key goes along, nothing is signed.
                assert_eq!((request.query.as_str(), &request.headers[0].1[..]), ("", "the-key"));
                self.asked.lock().unwrap().push((method, self.begun.elapsed(), request.path));
                if method == Method::Put && self.hang.load(Ordering::Relaxed) {
                    return std::future::pending().await;
                }
                let script = if method == Method::Post { &self.refusals } else { &self.renewals };
                let fine = format!(r#"{{"listenKey":"{KEY}"}}"#);
                script.lock().unwrap().pop_front().map_or((200, fine), |(status, body)| (status, body.to_owned()))
            }
            other => panic!("{other:?}"),
        };
        Ok(Response { status, headers: Vec::new(), body: Bytes::from(body) })
    }
}

struct House {
    clock: Arc<Ticking>,
    rest: Arc<RestClient>,
    streams: BinanceUserStreams,
    wire: Arc<Wire>,
    keys: Arc<Keys>,
}

fn house(wire: Wire) -> House {
    house_with(wire, UserStreamSettings::default())
}

fn house_with(wire: Wire, settings: UserStreamSettings) -> House {
    let begun = Instant::now();
    let (asked, renewals, refusals) = (Mutex::default(), Mutex::default(), Mutex::default());
    let keys = Arc::new(Keys { asked, begun, hang: AtomicBool::new(false), renewals, refusals });
    let wire = Arc::new(wire);
    let credentials = Credentials::new("the-key", "the-secret").unwrap();
    let transport = Arc::clone(&keys) as Arc<dyn Transport>;
    let clock = Arc::new(Ticking(begun, AtomicI64::new(0)));
    let shared_clock = Arc::clone(&clock) as Arc<dyn Clock>;
    let exchange = BinanceUsdm::new(transport, shared_clock, VENUE.base_url, credentials).unwrap();
    let streams = exchange.user_streams(Arc::clone(&wire) as Arc<dyn StreamTransport>, settings).unwrap();
    House { clock, rest: Arc::clone(&exchange.rest), streams, wire, keys }
}

impl House {
    /// A stream, and what it tells until it has told `count` things.
    async fn told(&self, count: usize) -> Vec<StreamEvent> {
        let mut stream = self.streams.open_user_stream().await.unwrap();
        told(stream.as_mut(), count).await
    }
}

async fn told(stream: &mut dyn UserStream, count: usize) -> Vec<StreamEvent> {
    let mut events = Vec::new();
    for _ in 0..count {
        events.push(stream.next().await);
    }
    events
}

/// What one message tells.
async fn told_by(message: &str) -> StreamEvent {
    house(Wire::default().then(vec![text(message)])).told(2).await.pop().unwrap()
}

#[test]
fn a_key_travels_only_where_the_stream_is() {
    let streams = |rest: &str, given: Option<&str>| {
        let credentials = Credentials::new("the-key", "the-secret").unwrap();
        let clock = Arc::new(ManualClock::new(TimestampMs::new(NOW_MS).unwrap()));
        let exchange = BinanceUsdm::new(Arc::new(Script::default()), clock, rest, credentials).unwrap();
        let base_url = given.map(ToOwned::to_owned);
        exchange.user_streams(Arc::new(Wire::default()), UserStreamSettings { base_url, ..Default::default() })
    };
    for (rest, given, used, shape) in [
        ("https://fapi.binance.com", None, "wss://fstream.binance.com", ByCategory),
        ("http://127.0.0.1:9555", None, "ws://127.0.0.1:9555", ByCategory),
        ("https://demo-fapi.binance.com", None, "wss://demo-fstream.binance.com", Plain),
        ("https://testnet.binancefuture.com", None, "wss://fstream.binancefuture.com", Plain),
        ("https://proxy.example", Some("wss://demo-fstream.binance.com"), "wss://demo-fstream.binance.com", Plain),
        ("https://demo-fapi.binance.com", Some("wss://demo.example/"), "wss://demo.example", ByCategory),
        ("https://fapi.binance.com", Some("ws://[::1]:1"), "ws://[::1]:1", ByCategory),
    ] {
        let address = streams(rest, given).unwrap().address;
        assert_eq!((address.base_url.as_str(), address.shape), (used, shape));
    }
    for (rest, given) in [
        // Of another exchange nobody knows where its stream is.
        ("https://proxy.example", None),
        ("https://fapi.binance.com", Some("ws://fstream.binance.com")),
        ("https://fapi.binance.com", Some("https://fstream.binance.com")),
        ("https://fapi.binance.com", Some("wss://fstream.binance.com/ws")),
        ("https://fapi.binance.com", Some("wss://me:hunter2@fstream.binance.com")),
    ] {
        let error = streams(rest, given).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

/// The real exchange accepts the old form of an address, answers pings on it and tells nothing for ever. Demo and test network
/// have that form; the host decides, whatever port is named.
#[test]
fn an_address_that_would_stay_silent_is_refused() {
    let address_of = |given: &str, shape| {
        let settings = UserStreamSettings { base_url: Some(given.to_owned()), shape, ..Default::default() };
        KeyedAddress::of(VENUE.base_url, &settings)
    };
    for (given, right) in [
        ("wss://fstream.binance.com/ws", "`wss://fstream.binance.com`"),
        ("wss://fstream.binance.com/ws/hunter2", "`wss://fstream.binance.com`"),
        ("WSS://FSTREAM.binance.com/stream?streams=hunter2", "`wss://fstream.binance.com`"),
        ("wss://fstream.binance.com?listenKey=hunter2", "`wss://fstream.binance.com`"),
        ("wss://fstream.binance.com:443/private", "`wss://fstream.binance.com:443`"),
        ("wss://demo-fstream.binance.com/private/ws", "`wss://demo-fstream.binance.com`"),
        ("ws://127.0.0.1:9/ws", "`ws://127.0.0.1:9`"),
    ] {
        let error = address_of(given, None).unwrap_err();
        assert!(matches!(error, ExchangeError::StreamPath { .. }), "{given}: {error}");
        let error = error.to_string();
        assert!(error.contains(right) && !error.contains("hunter2"), "{given}: {error}");
    }
    // What is wrong with these is not what stands behind the host.
    for given in ["ws://fstream.binance.com/ws", "wss://me:hunter2@fstream.binance.com/ws", "fstream.binance.com/ws"] {
        let error = address_of(given, None).unwrap_err();
        assert!(matches!(error, ExchangeError::BaseUrl { .. }), "{given}: {error}");
    }
    let error = address_of("wss://fstream.binance.com", Some(Plain)).unwrap_err();
    assert!(matches!(error, ExchangeError::StreamPath { .. }), "{error}");
    for (given, asked, shape) in [
        ("wss://fstream.binance.com", None, ByCategory),
        ("wss://fstream.binance.com:443", None, ByCategory),
        ("wss://fstream.binance.com", Some(ByCategory), ByCategory),
        ("wss://demo-fstream.binance.com", None, Plain),
        ("wss://demo-fstream.binance.com:443", None, Plain),
        ("wss://fstream.binancefuture.com:9443", None, Plain),
        ("ws://127.0.0.1:9", None, ByCategory),
        ("ws://[::1]:9", Some(Plain), Plain),
        ("wss://proxy.example", Some(Plain), Plain),
    ] {
        assert_eq!(address_of(given, asked).unwrap().shape, shape, "{given}");
    }
}
