//! The life of a connection and of its key.

use super::*;

const SOMETHING: &str = r#"{"e":"SOMETHING","E":1}"#;

fn at(seconds: i64) -> TimestampMs {
    TimestampMs::new(NOW_MS + seconds * 1_000).unwrap()
}

fn after(seconds: u64, frame: Result<StreamFrame, StreamError>) -> (Duration, Result<StreamFrame, StreamError>) {
    (Duration::from_secs(seconds), frame)
}

fn ping(seconds: u64) -> (Duration, Result<StreamFrame, StreamError>) {
    after(seconds, Ok(StreamFrame::Ping))
}

/// The causes of interruptions, in short, and what else came.
fn short(events: &[StreamEvent]) -> Vec<String> {
    let name = |event: &StreamEvent| match event {
        StreamEvent::Opened { .. } => "opened".to_owned(),
        StreamEvent::Resumed(_) => "resumed".to_owned(),
        StreamEvent::Interrupted { cause, .. } => cause.to_string(),
        StreamEvent::Unknown { name, .. } => name.clone().unwrap_or_default(),
        other => format!("{other:?}"),
    };
    events.iter().map(name).collect()
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_a_gap_from_before_the_last_sign_of_life() {
    let wire = Wire::default()
        .then(vec![text(SOMETHING), ping(100), after(20, Err(hung_up()))])
        .then_fails(StreamError::Refused { status: 503 })
        .then(vec![text(SOMETHING)]);
    let house = house(wire);
    let events = house.told(6).await;
    let [
        StreamEvent::Opened { at: opened },
        StreamEvent::Unknown { .. },
        StreamEvent::Interrupted { since: first, cause: Interruption::Connection(StreamError::Closed { .. }) },
        StreamEvent::Interrupted { since: second, cause: Interruption::Connection(StreamError::Refused { .. }) },
        StreamEvent::Resumed(Gap { since, until }),
        StreamEvent::Unknown { .. },
    ] = &events[..]
    else {
        panic!("{events:#?}")
    };
    // The last sign of life was the ping; what happened shortly before it may have been on its way still.
    assert_eq!(*opened, at(0));
    assert_eq!((*first, *second, *since), (at(90), at(90), at(90)));
    assert!(*until > at(120) && *until < at(125), "{until}");
    // Every attempt asks for the key anew: one that has expired would connect and stay silent.
    assert_eq!(house.keys.of(Method::Post).len(), 3);
    let asked = house.wire.asked.lock().unwrap();
    assert!(asked.iter().all(|(address, _)| address.base_url == "wss://fstream.binance.com"));
    let (path, query) = (asked[0].0.path.as_str(), asked[0].0.query.as_str());
    assert_eq!((path, query), ("/private/ws", "listenKey=pqia91ma19a5s61c"));
}

#[tokio::test(start_paused = true)]
async fn whoever_reads_late_is_told_of_a_longer_gap() {
    let house = house(Wire::default().then(vec![ping(20), ping(10), after(1, Err(hung_up()))]).then(vec![]));
    let mut stream = house.streams.open_user_stream().await.unwrap();
    told(stream.as_mut(), 1).await;
    assert!(tokio::time::timeout(Duration::from_secs(25), stream.next()).await.is_err());
    // The second ping and the end lie there for a minute; when they came nobody has seen.
    tokio::time::sleep(Duration::from_mins(1)).await;
    let StreamEvent::Interrupted { since, .. } = stream.next().await else { panic!() };
    assert_eq!(since, at(10));
}

#[tokio::test(start_paused = true)]
async fn attempts_grow_apart_and_never_end() {
    let house = house(Wire::default().then(vec![text(SOMETHING), after(0, Err(hung_up()))]));
    let mut stream = house.streams.open_user_stream().await.unwrap();
    let events = told(stream.as_mut(), 40).await;
    assert_eq!(short(&events[..3])[..2], ["opened", "SOMETHING"]);
    let asked: Vec<Instant> = house.wire.asked.lock().unwrap().iter().map(|(_, at)| *at).collect();
    let delays: Vec<u64> = asked.windows(2).map(|pair| (pair[1] - pair[0]).as_millis().try_into().unwrap()).collect();
    for (delay, longest) in
        delays.iter().zip([1_000, 2_000, 4_000, 8_000, 16_000, 32_000].into_iter().chain([60_000; 40]))
    {
        assert!(*delay <= longest && *delay >= longest / 2, "{delays:?}");
    }
    assert_eq!(delays.len(), 37);
    // They differ, or all clients of an exchange would come back at once.
    assert!(delays[7..].iter().any(|delay| *delay != delays[7]));
    // A connection that ends without a sign of life does not count as a success.
    let empty = || vec![after(0, Err(hung_up()))];
    let again = super::house(Wire::default().then(empty()).then(empty()).then(empty()).then(empty()));
    again.told(8).await;
    let asked = again.wire.asked.lock().unwrap();
    assert!(asked[3].1 - asked[2].1 >= Duration::from_secs(2), "{asked:?}");
}

/// It answers, pings and hangs up with 1008: it is asked ever more rarely, and quickly again once a connection has stood for long.
#[tokio::test(start_paused = true)]
async fn whoever_is_turned_away_after_a_ping_asks_ever_more_rarely() {
    let turned_away = || Err(StreamError::Closed { code: Some(1008), reason: "too many".into() });
    let wire = (0..12).fold(Wire::default(), |wire, _| wire.then(vec![ping(0), after(0, turned_away())]));
    let house = house(wire.then(vec![ping(60), after(0, turned_away())]).then(vec![]));
    house.told(2 * 13 + 1).await;
    let asked: Vec<Instant> = house.wire.asked.lock().unwrap().iter().map(|(_, at)| *at).collect();
    let delays: Vec<u64> = asked.windows(2).map(|pair| (pair[1] - pair[0]).as_millis().try_into().unwrap()).collect();
    for (delay, longest) in
        delays[..12].iter().zip([1_000, 2_000, 4_000, 8_000, 16_000, 32_000].into_iter().chain([60_000; 6]))
    {
        assert!(*delay <= longest && *delay >= longest / 2, "{delays:?}");
    }
    assert!(delays[12] <= 61_000, "{delays:?}");
}

/// The exchange does not answer the renewal: events are told meanwhile, it is tried again, and the key is gone when it must be.
#[tokio::test(start_paused = true)]
async fn a_renewal_that_hangs_keeps_no_event_waiting() {
    let pings = (0..11).map(|_| ping(180)).chain([after(1, text(SOMETHING).1)]);
    let more = (0..8).map(|_| ping(180));
    let house = house(Wire::default().then(pings.chain(more).collect()).then(vec![text(SOMETHING)]));
    house.keys.hang.store(true, Ordering::Relaxed);
    let mut stream = house.streams.open_user_stream().await.unwrap();
    let begun = Instant::now();
    assert_eq!(short(&told(stream.as_mut(), 2).await), ["opened", "SOMETHING"]);
    assert_eq!(begun.elapsed().as_secs(), 33 * 60 + 1, "it waited for the renewal");
    assert_eq!(house.keys.of(Method::Put), [30, 31, 32, 33].map(|minutes| minutes * 60));
    let gone = told(stream.as_mut(), 3).await;
    assert_eq!(short(&gone), ["the exchange has forgotten the key of the stream", "resumed", "SOMETHING"]);
    assert_eq!(begun.elapsed().as_secs() / 60, 55);
}

/// Looks have used up the minute's weight: the key is asked for all the same, and counts.
#[tokio::test(start_paused = true)]
async fn a_key_does_not_wait_for_the_budget_of_looks() {
    let house = house(Wire::default().then(vec![text(SOMETHING)]));
    house.rest.server_now().await.unwrap();
    house.rest.use_up();
    let begun = Instant::now();
    assert_eq!(short(&house.told(2).await), ["opened", "SOMETHING"]);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_kept_alive_and_a_forgotten_one_replaced() {
    let pings = |minutes: u64| (0..minutes / 3).map(|_| ping(180)).collect::<Vec<_>>();
    // For two and a half hours all is well, but for one renewal that is lost and repeated.
    let house = house(Wire::default().then([pings(150), vec![text(SOMETHING)]].concat_frames()));
    house.keys.renewals.lock().unwrap().extend([(200, "{}"), (502, ""), (200, "{}")]);
    assert_eq!(short(&house.told(2).await), ["opened", "SOMETHING"]);
    let renewed: Vec<u64> = house.keys.of(Method::Put).into_iter().map(|seconds| seconds / 60).collect();
    assert_eq!(renewed, [30, 60, 61, 91, 121]);
    assert_eq!(house.keys.of(Method::Post), [0]);

    // One that the exchange does not know any more is replaced at once, and so is one that it says has expired, and one
    // that another one was named for.
    for (renewal, message) in [
        (Some((400, r#"{"code":-1125,"msg":"This listenKey does not exist."}"#)), None),
        (Some((200, r#"{"listenKey":"another"}"#)), None),
        (None, Some(format!(r#"{{"e":"listenKeyExpired","E":1,"listenKey":"{KEY}"}}"#))),
    ] {
        let last = message.map(|message| text(&message));
        let first = [pings(33), last.into_iter().collect()].concat_frames();
        let house = super::house(Wire::default().then(first).then(vec![text(SOMETHING)]));
        house.keys.renewals.lock().unwrap().extend(renewal);
        let events = house.told(4).await;
        let forgotten = "the exchange has forgotten the key of the stream";
        assert_eq!(short(&events), ["opened", forgotten, "resumed", "SOMETHING"]);
        assert_eq!(house.keys.of(Method::Post).len(), 2);
        assert!(!format!("{events:?}").contains(KEY));
    }
    // When nothing can be renewed for an hour, the key is gone whether anybody says so or not.
    let house = super::house(Wire::default().then(pings(90)).then(vec![text(SOMETHING)]));
    house.keys.renewals.lock().unwrap().extend((0..60).map(|_| (502, "")));
    assert_eq!(house.told(3).await.len(), 3);
    let renewals = house.keys.of(Method::Put);
    assert_eq!((renewals[0] / 60, renewals[renewals.len() - 1] / 60), (30, 55));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_ends_with_each_connection_is_asked_for_ever_more_rarely() {
    let expired = || text(&format!(r#"{{"e":"listenKeyExpired","E":1,"listenKey":"{KEY}"}}"#));
    // The first lives for an hour, and its key is replaced at once. The others end as soon as they have given a sign of life.
    let first = (0..20).map(|_| ping(180)).chain([expired()]).collect();
    let wire = (0..12).fold(Wire::default().then(first), |wire, _| wire.then(vec![text(SOMETHING), expired()]));
    let house = house(wire);
    house.told(2 + 12 * 3).await;
    let asked: Vec<Instant> = house.wire.asked.lock().unwrap().iter().map(|(_, at)| *at).collect();
    let delays: Vec<u64> = asked.windows(2).map(|pair| (pair[1] - pair[0]).as_millis().try_into().unwrap()).collect();
    assert_eq!(delays[0], 3_600_000);
    for (delay, longest) in
        delays[1..].iter().zip([1_000, 2_000, 4_000, 8_000, 16_000, 32_000].into_iter().chain([60_000; 9]))
    {
        assert!(*delay <= longest && *delay >= longest / 2, "{delays:?}");
    }
    assert!(delays[8..].iter().any(|delay| *delay != delays[8]), "they differ: {delays:?}");
}

trait ConcatFrames {
    fn concat_frames(self) -> Frames;
}

impl ConcatFrames for [Frames; 2] {
    fn concat_frames(self) -> Frames {
        self.into_iter().flatten().collect()
    }
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_connection() {
    // A connection that says nothing more, not even a ping.
    let house = house(Wire::default().then(vec![ping(180), ping(180)]).then(vec![text(SOMETHING)]));
    let events = house.told(4).await;
    assert_eq!(short(&events), ["opened", "the stream was silent for 300 s", "resumed", "SOMETHING"]);
    let StreamEvent::Resumed(gap) = events[2] else { panic!() };
    assert_eq!(gap.since, at(350));
}

/// How old a connection gets, in seconds.
const AGE_S: u64 = 23 * 3_600 + 1_800;

#[tokio::test(start_paused = true)]
async fn a_connection_is_renewed_without_a_gap() {
    // The old connection pings until its time is over. Its last events are told; that it ends is not.
    let old = (0..AGE_S / 180).map(|_| ping(180)).chain([after(2, text(SOMETHING).1), after(63, Err(hung_up()))]);
    let new = vec![after(1, text(SOMETHING).1), after(100, text(SOMETHING).1)];
    let house = house(Wire::default().then(old.collect()).then_fails(hung_up()).then(new));
    let mut told = Vec::new();
    let mut stream = house.streams.open_user_stream().await.unwrap();
    let begun = Instant::now();
    for _ in 0..4 {
        let event = stream.next().await;
        told.push((begun.elapsed().as_secs(), short(std::slice::from_ref(&event)).remove(0)));
    }
    // The first attempt failed, and the second was a minute later: the old connection lived on meanwhile.
    let something = [2, 61, 161].map(|after| (AGE_S + after, "SOMETHING"));
    let expected: Vec<_> = std::iter::once((0, "opened")).chain(something).collect();
    assert_eq!(told, expected.into_iter().map(|(at, what)| (at, what.to_owned())).collect::<Vec<_>>());
    let asked: Vec<_> = house.wire.asked.lock().unwrap().iter().map(|(_, at)| (*at - begun).as_secs()).collect();
    assert_eq!(asked, [0, AGE_S, AGE_S + 60]);
}

#[tokio::test(start_paused = true)]
async fn the_old_connection_is_read_beside_the_new_one_for_a_while() {
    let pings = || (0..AGE_S / 180).map(|_| ping(180));
    let old = pings().chain((0..20).map(|_| after(1, text(SOMETHING).1)));
    let house = house(Wire::default().then(old.collect()).then(vec![after(60, text(SOMETHING).1)]));
    let mut stream = house.streams.open_user_stream().await.unwrap();
    let begun = Instant::now();
    let mut told = Vec::new();
    while told.last().is_none_or(|at| *at < AGE_S + 60) {
        stream.next().await;
        told.push(begun.elapsed().as_secs());
    }
    let beside = told.iter().filter(|at| (AGE_S..AGE_S + 30).contains(at)).count();
    assert!((8..=11).contains(&beside), "ten seconds long: {told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_read_does_not_end_the_stream() {
    let garbage = ["", "{", "null", "5", "<html>", "{\"e\":\"ORDER_TRADE_UPDATE\"}", "\u{feff}{}", "{\"e\":1e400}"];
    let deep = "[".repeat(100_000);
    let mut frames: Frames = garbage.iter().map(|message| text(message)).collect();
    frames.push(text(&deep));
    frames.push(now(StreamFrame::Binary(vec![0xff, 0xfe].into())));
    // A message that repeats the key, as an envelope does.
    frames.push(text(&format!(r#"{{"stream":"{KEY}","data":{{"e":"SOMETHING","E":1}}}}"#)));
    frames.push(text(&format!("{{\"listenKey\":\"{KEY}\"")));
    frames.push(text(SOMETHING));
    let count = frames.len();
    let events = house(Wire::default().then(frames)).told(count + 1).await;
    assert_eq!(short(&events[count..]), ["SOMETHING"]);
    assert!(!events.iter().any(|event| matches!(event, StreamEvent::Interrupted { .. })), "{events:?}");
    let binary = &events[garbage.len() + 2];
    let StreamEvent::Unreadable { error: StreamEventError::Binary { length_bytes: 2 }, .. } = binary else {
        panic!("{binary:?}")
    };
    let shown = format!("{events:?}");
    assert!(!shown.contains(KEY) && shown.contains("[listen key]"));
}

#[tokio::test(start_paused = true)]
async fn without_access_there_is_no_stream_and_the_next_attempt_waits_as_asked() {
    let house = house(Wire::default());
    house.keys.refusals.lock().unwrap().push_back((401, r#"{"code":-2015,"msg":"Invalid API-key"}"#));
    assert_eq!(house.streams.open_user_stream().await.err().unwrap().class(), ErrorClass::Authentication);
    // Once it stood, it is tried again, and slowly where the exchange asks for that.
    let again =
        super::house(Wire::default().then(vec![text(SOMETHING), after(0, Err(hung_up()))]).then(vec![text(SOMETHING)]));
    let mut stream = again.streams.open_user_stream().await.unwrap();
    told(stream.as_mut(), 3).await;
    again.keys.refusals.lock().unwrap().push_back((418, r#"{"code":-1003,"msg":"banned"}"#));
    let events = told(stream.as_mut(), 3).await;
    assert_eq!(short(&events), ["the exchange gives no access to the stream", "resumed", "SOMETHING"]);
    assert!(again.keys.of(Method::Post)[2] >= 120, "{:?}", again.keys.of(Method::Post));
}

#[tokio::test(start_paused = true)]
async fn dropping_a_wait_loses_nothing() {
    let house = house(Wire::default().then(vec![after(7, Ok(StreamFrame::Text(SOMETHING.into())))]));
    let mut stream = house.streams.open_user_stream().await.unwrap();
    let mut seen = Vec::new();
    // Asked for with less patience than the event takes.
    for _ in 0..10 {
        if let Ok(event) = tokio::time::timeout(Duration::from_secs(3), stream.next()).await {
            seen.push(event);
        }
    }
    assert_eq!(short(&seen), ["opened", "SOMETHING"]);
    assert_eq!(house.wire.connects(), 1);
    stream.close().await;
    // Whoever goes on after all is told what was missed: from before the last sign of life, at 7 s.
    house.wire.connections.lock().unwrap().push_back(Ok(vec![text(SOMETHING)]));
    let [StreamEvent::Resumed(gap), _] = &told(stream.as_mut(), 2).await[..] else { panic!() };
    assert_eq!((gap.since, house.wire.connects()), (at(-3), 2));
}

#[tokio::test(start_paused = true)]
async fn whoever_has_little_patience_is_connected_all_the_same() {
    let wire = Wire { takes: Duration::from_secs(5), ..Wire::default() };
    let house = house(wire.then(vec![text(SOMETHING)]));
    let mut stream = house.streams.open_user_stream().await.unwrap();
    let mut seen = Vec::new();
    // A connection takes longer than they ever wait.
    for _ in 0..10 {
        if let Ok(event) = tokio::time::timeout(Duration::from_secs(1), stream.next()).await {
            seen.push(event);
        }
    }
    assert_eq!(short(&seen), ["opened", "SOMETHING"]);
    assert_eq!(house.wire.connects(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_told_rightly_by_a_clock_that_jumps() {
    // Set an hour ahead or back while connected, and perhaps put right again before the connection breaks.
    for (first_ms, then_ms) in [(3_600_000, 3_600_000), (-3_600_000, -3_600_000), (3_600_000, 0), (-3_600_000, 0)] {
        let wire = Wire::default().then(vec![ping(60), ping(60), after(1, Err(hung_up()))]).then(vec![]);
        // A clock that was set ahead makes a silence of nothing; here it is to be heard by that clock.
        let settings = UserStreamSettings { silence_max: Duration::from_hours(10), ..UserStreamSettings::default() };
        let house = house_with(wire, settings);
        let mut stream = house.streams.open_user_stream().await.unwrap();
        told(stream.as_mut(), 1).await;
        house.clock.1.store(first_ms, Ordering::Relaxed);
        let waited = tokio::time::timeout(Duration::from_mins(2), stream.next()).await;
        house.clock.1.store(then_ms, Ordering::Relaxed);
        let mut last = waited.ok();
        let gap = loop {
            match last {
                Some(StreamEvent::Resumed(gap)) => break gap,
                _ => last = Some(stream.next().await),
            }
        };
        let passed_ms = i64::try_from(house.keys.begun.elapsed().as_millis()).unwrap();
        let now = TimestampMs::new(NOW_MS + passed_ms).unwrap();
        assert!(gap.since <= at(111), "{first_ms} {then_ms}: {gap:?}");
        assert_eq!(gap.until, now, "{first_ms} {then_ms}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_not_used_for_long_is_asked_for_anew() {
    for (minutes, asked) in [(29, 1), (61, 2)] {
        let house = house(Wire::default().then(vec![text(SOMETHING)]));
        let mut stream = house.streams.open_user_stream().await.unwrap();
        tokio::time::sleep(Duration::from_mins(minutes)).await;
        assert_eq!(short(&told(stream.as_mut(), 2).await), ["opened", "SOMETHING"]);
        // One that has expired would connect and stay silent.
        assert_eq!(house.keys.of(Method::Post).len(), asked, "{minutes}");
    }
}
