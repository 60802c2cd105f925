//! Listen keys and connections, from beginning to end.

use super::*;

const MINUTE: Duration = Duration::from_mins(1);

fn buy(desk: &Desk) {
    desk.order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01");
}

#[test]
fn a_listen_key_lasts_an_hour_from_when_it_was_last_kept() {
    let (simulator, desk) = still();
    assert_eq!(
        keyed(&desk, "PUT"),
        (400, serde_json::json!({ "code": -1125, "msg": "This listenKey does not exist." }))
    );
    let key = listen_key(&desk);
    assert_eq!(key.len(), 64);
    simulator.step(59 * MINUTE);
    assert_eq!(listen_key(&desk), key, "asked for again it is the same, for another hour");
    simulator.step(59 * MINUTE);
    assert_eq!(keyed(&desk, "PUT"), (200, serde_json::json!({ "listenKey": key })));
    simulator.step(60 * MINUTE);
    assert_eq!(keyed(&desk, "PUT").1["code"], -1125);
    let another = listen_key(&desk);
    assert_ne!(another, key);
    assert_eq!(keyed(&desk, "DELETE").0, 200);
    assert_eq!(keyed(&desk, "DELETE").1["code"], -1125);
    // It takes a key, and no signature.
    assert_eq!(ask(&simulator, "POST", "/fapi/v1/listenKey", "", None).1["code"], -2014);
    assert_eq!(ask(&simulator, "POST", "/fapi/v1/listenKey", "", Some("nobody")).1["code"], -2015);
    let asked = Incoming { method: "PUT", path: "/fapi/v1/listenKey", query: "", body: "", api_key: Some(&desk.key) };
    let Arrival::Whole(answer) = simulator.handle(&asked).arrival else { panic!("a fault") };
    // This one, and the six since the last hour began.
    assert!(answer.headers.contains(&("x-mbx-used-weight-1m", "7".to_owned())), "{:?}", answer.headers);
}

#[test]
fn an_expired_key_says_so_and_then_nothing() {
    let (simulator, desk) = still();
    let mut stream = listen(&desk);
    let key = listen_key(&desk);
    // Who listens to some kinds of events only is told that, too.
    let query = format!("listenKey={key}&events=ORDER_TRADE_UPDATE");
    let mut choosy = simulator.open_stream("/private/ws", &query).unwrap();
    // In one long step: the order at its end comes after the key's.
    simulator.step(61 * MINUTE);
    buy(&desk);
    let told = events(&mut stream);
    let expired = serde_json::json!({ "e": "listenKeyExpired", "E": START_MS + 3_600_000, "listenKey": key });
    assert_eq!(told, [expired]);
    assert_eq!(events(&mut choosy), told);
    // The connection goes on, with pings alone, even if there is another key.
    let mut another = listen(&desk);
    buy(&desk);
    simulator.step(3 * MINUTE);
    assert_eq!(arrived(&mut stream), [StreamMessage::Ping]);
    assert_eq!(kinds(&events(&mut another)).len(), 4);
    // So it does when the key is taken away.
    assert_eq!(keyed(&desk, "DELETE").0, 200);
    buy(&desk);
    assert_eq!(arrived(&mut another), []);
}

#[test]
fn a_connection_ends_after_a_day() {
    let (simulator, desk) = still();
    let mut stream = listen(&desk);
    let mut pings = 0;
    for _ in 0..47 {
        simulator.step(30 * MINUTE);
        assert_eq!(keyed(&desk, "PUT").0, 200);
        pings += arrived(&mut stream).iter().filter(|message| **message == StreamMessage::Ping).count();
    }
    assert_eq!(pings, 47, "once a step: however much time passes at once, there is one ping");
    simulator.step(29 * MINUTE);
    buy(&desk);
    assert_eq!(events(&mut stream).len(), 4);
    simulator.step(MINUTE);
    buy(&desk);
    assert_eq!(arrived(&mut stream), [StreamMessage::Closed { code: 1000, reason: "24 hours are over" }]);
    assert_eq!(arrived(&mut stream), []);
}

#[test]
fn the_url_says_what_is_told_and_how() {
    let (simulator, desk) = still();
    let key = listen_key(&desk);
    let open = |path: &str, query: &str| simulator.open_stream(path, query).unwrap();
    let mut plain = open(&format!("/private/ws/{key}"), "");
    let mut some = open("/private/ws", &format!("listenKey={key}&events=TRADE_LITE%2FACCOUNT_UPDATE"));
    let mut wrapped = open("/private/stream", &format!("streams={key}"));
    let mut asked = open("/private/stream", "");
    asked.send(&format!(r#"{{"method":"SUBSCRIBE","params":["{key}"],"id":1}}"#));
    asked.send(r#"{"method":"LIST_SUBSCRIPTIONS","id":"two"}"#);
    asked.send("what?");
    let mut unknown = open("/private/ws", "listenKey=nobody");
    // Those that were retired connect as well, and fail in silence.
    let mut retired = [open(&format!("/ws/{key}"), ""), open("/stream", &format!("streams={key}"))];
    retired[0].send(r#"{"method":"LIST_SUBSCRIPTIONS","id":3}"#);
    buy(&desk);
    let all = events(&mut plain);
    assert_eq!(kinds(&all), ["ORDER_TRADE_UPDATE", "TRADE_LITE", "ACCOUNT_UPDATE", "ORDER_TRADE_UPDATE"]);
    assert_eq!(events(&mut some), all[1..3]);
    let in_stream: Vec<_> = all.iter().map(|event| serde_json::json!({ "stream": key, "data": event })).collect();
    assert_eq!(events(&mut wrapped), in_stream);
    let answers = [
        serde_json::json!({ "result": null, "id": 1 }),
        serde_json::json!({ "result": [key], "id": "two" }),
        serde_json::json!({ "error": { "code": 2, "msg": "Invalid request: unknown method or parameters" }, "id": null }),
    ];
    let told = events(&mut asked);
    assert_eq!((&told[..3], &told[3..]), (&answers[..], &in_stream[..]));
    asked.send(&format!(r#"{{"method":"UNSUBSCRIBE","params":["{key}"],"id":4}}"#));
    buy(&desk);
    assert_eq!(events(&mut asked), [serde_json::json!({ "result": null, "id": 4 })]);
    assert_eq!(arrived(&mut unknown), []);
    simulator.step(3 * MINUTE);
    // Asked, they answer as if nothing were wrong; it proves nothing.
    let answer = serde_json::json!({ "result": [key], "id": 3 }).to_string();
    assert_eq!(arrived(&mut retired[0]), [StreamMessage::Text(answer), StreamMessage::Ping]);
    assert_eq!(arrived(&mut retired[1]), [StreamMessage::Ping]);
    for path in ["/", "/private", "/private/wsx", "/fapi/v1/time", "/private/stream/x"] {
        assert_eq!(simulator.open_stream(path, "").unwrap_err(), StreamRefused { status: Some(404) }, "{path}");
    }
}

#[test]
fn two_connections_are_told_the_same_and_accounts_only_what_is_theirs() {
    let mut config = SimulatorConfig::new(5);
    config.accounts.push(SimulatorAccount::named("other"));
    let (simulator, desk) = still_with(config);
    let other = Desk::new(&simulator, 1);
    let (mut first, mut second, mut others) = (listen(&desk), listen(&desk), listen(&other));
    buy(&desk);
    let told = events(&mut first);
    assert_eq!(told.len(), 4);
    assert_eq!(events(&mut second), told);
    assert_eq!(arrived(&mut others), []);
    drop(first);
    buy(&other);
    assert_eq!((events(&mut second).len(), events(&mut others).len()), (0, 4));
}

#[test]
fn who_does_not_listen_is_cut_off() {
    let (simulator, desk) = still();
    let (mut slow, mut quick) = (listen(&desk), listen(&desk));
    let mut heard = 0;
    for round in 0..1_100 {
        buy_by_hand(&desk);
        simulator.step(Duration::from_secs(1));
        heard += events(&mut quick).len();
        assert!(simulator.state().streams.waiting_max() <= 4_096, "in round {round}");
    }
    assert_eq!(heard, 4_400);
    assert_eq!(arrived(&mut slow), [StreamMessage::Closed { code: 1008, reason: "too slow" }]);
    // There are only so many connections, and those that are dropped make room.
    let mut streams: Vec<_> = (0..298).map(|_| listen(&desk)).collect();
    assert_eq!(simulator.open_stream("/private/ws", "").unwrap_err(), StreamRefused { status: Some(503) });
    streams.pop();
    assert!(simulator.open_stream("/private/ws", "").is_ok());
}

#[tokio::test]
async fn waiting_for_the_next_message_ends_with_what_happens() {
    let (simulator, desk) = still();
    let mut stream = listen(&desk);
    // Given up while waiting: nothing is lost.
    tokio::select! {
        biased;
        message = stream.next() => panic!("{message:?}"),
        () = tokio::task::yield_now() => {}
    }
    let listener = tokio::spawn(async move {
        let mut messages = Vec::new();
        while let Some(message) = stream.next().await {
            messages.push(message);
        }
        messages
    });
    tokio::task::yield_now().await;
    buy(&desk);
    tokio::task::yield_now().await;
    // Three days in one step: the key's end, and the connection's.
    simulator.step(72 * 60 * MINUTE);
    let messages = listener.await.unwrap();
    assert_eq!(messages.len(), 4 + 2, "{messages:?}");
    assert!(matches!(&messages[4], StreamMessage::Text(text) if text.contains("listenKeyExpired")));
    assert!(matches!(messages[5], StreamMessage::Closed { code: 1000, .. }));
}
