//! What is told on streams: to an independent consumer, under faults, over real web sockets.

mod consumer;
mod events;
mod faults;
mod keys;
mod market;
mod walks;
mod wire;

use serde_json::Value;

use self::consumer::Consumer;
use super::*;

/// The account's listen key.
fn listen_key(desk: &Desk) -> String {
    let (status, body) = keyed(desk, "POST");
    assert_eq!(status, 200, "{body}");
    body["listenKey"].as_str().unwrap().to_owned()
}

/// A request about the listen key, which is not signed.
fn keyed(desk: &Desk, method: &str) -> (u16, Value) {
    ask(&desk.simulator, method, "/fapi/v1/listenKey", "", Some(&desk.key))
}

fn listen(desk: &Desk) -> SimulatorStream {
    let query = format!("listenKey={}", listen_key(desk));
    desk.simulator.open_stream("/private/ws", &query).unwrap()
}

/// A little bitcoin, told in four events, at a cost that does not grow with what happened before.
fn buy_by_hand(desk: &Desk) {
    let wish = AppOrder {
        prefix: "web_",
        symbol: symbol("BTCUSDT"),
        side: Side::Buy,
        position_side: PositionSide::Net,
        qty: "0.001".parse().unwrap(),
        price: None,
        reduce_only: false,
    };
    desk.simulator.trade_from_app("sim-main", &wish).unwrap();
}

/// Everything that has arrived.
fn arrived(stream: &mut SimulatorStream) -> Vec<StreamMessage> {
    std::iter::from_fn(|| stream.try_next()).collect()
}

/// The events that have arrived. Pings are left out, anything else is not expected.
#[track_caller]
fn events(stream: &mut SimulatorStream) -> Vec<Value> {
    let read = |message| match message {
        StreamMessage::Text(text) => Some(serde_json::from_str(&text).unwrap()),
        StreamMessage::Ping => None,
        other => panic!("{other:?}"),
    };
    arrived(stream).into_iter().filter_map(read).collect()
}

/// The events of one type.
#[track_caller]
fn events_of(stream: &mut SimulatorStream, kind: &str) -> Vec<Value> {
    events(stream).into_iter().filter(|event| event["e"] == kind).collect()
}

/// The types of events, in their order.
fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["e"].as_str().unwrap()).collect()
}
