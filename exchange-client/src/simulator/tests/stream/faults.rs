//! What goes wrong on a stream, and what never does.

use std::collections::BTreeSet;

use super::*;
use crate::simulator::faults::StreamFaults;

fn faulty(stream: StreamFaults, seed: u64) -> FaultProfile {
    FaultProfile { stream, seed, ..FaultProfile::none() }
}

/// Thirty orders, in ten seconds of the exchange's clock each.
fn trade(simulator: &Simulator, desk: &Desk) {
    for _ in 0..30 {
        desk.order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01");
        simulator.step(Duration::from_secs(10));
    }
}

/// What arrives of them under a fault, and without.
fn with_and_without(faults: StreamFaults, seed: u64) -> (Vec<StreamMessage>, Vec<StreamMessage>) {
    let heard = |faults: FaultProfile| {
        let (simulator, desk) = still();
        simulator.set_faults(faults);
        let mut stream = listen(&desk);
        trade(&simulator, &desk);
        arrived(&mut stream)
    };
    (heard(faulty(faults, seed)), heard(FaultProfile::none()))
}

fn texts(messages: &[StreamMessage]) -> Vec<&str> {
    let texts = messages.iter().filter_map(|message| match message {
        StreamMessage::Text(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

#[test]
fn a_dropped_event_leaves_no_trace() {
    let (faulty, whole) = with_and_without(StreamFaults { dropped: 50, ..StreamFaults::default() }, 2);
    let (faulty, whole) = (texts(&faulty), texts(&whole));
    assert!(faulty.len() < whole.len() && faulty.len() > whole.len() / 2, "{} of {}", faulty.len(), whole.len());
    // What is left is as it was, in its order.
    let mut rest = whole.iter();
    assert!(faulty.iter().all(|text| rest.any(|other| other == text)));
}

#[test]
fn a_doubled_event_is_the_same_event() {
    let (faulty, whole) = with_and_without(StreamFaults { duplicated: 100, ..StreamFaults::default() }, 2);
    let mut faulty = texts(&faulty);
    assert!(faulty.len() > whole.len());
    faulty.dedup();
    assert_eq!(faulty, texts(&whole));
}

#[test]
fn a_late_event_comes_by_the_exchanges_clock() {
    let (simulator, desk) = still();
    simulator.set_faults(faulty(StreamFaults { delayed: 1_000, delay_ms_max: 5_000, ..StreamFaults::default() }, 1));
    let mut stream = listen(&desk);
    desk.order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01");
    assert_eq!(arrived(&mut stream), []);
    let mut seen = Vec::new();
    for second in 1..=5 {
        simulator.step(Duration::from_secs(1));
        let now = events(&mut stream);
        assert!(now.iter().all(|event| event["E"] == START_MS), "it tells when it happened");
        seen.extend(now.into_iter().map(|_| second));
    }
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().collect::<BTreeSet<_>>().len() > 1, "each has a delay of its own: {seen:?}");
}

#[test]
fn events_of_one_type_keep_their_order_whatever_happens() {
    let faults =
        StreamFaults { delayed: 300, delay_ms_max: 25_000, reordered: 500, duplicated: 100, ..StreamFaults::default() };
    let mut mixed = 0;
    for seed in 0..10 {
        let (faulty, whole) = with_and_without(faults, seed);
        let by_type = |messages: &[StreamMessage], kind: &str| -> Vec<Value> {
            let events = texts(messages).into_iter().map(|text| serde_json::from_str::<Value>(text).unwrap());
            let mut events: Vec<_> = events.filter(|event| event["e"] == kind).collect();
            events.dedup();
            events
        };
        for kind in ["ORDER_TRADE_UPDATE", "TRADE_LITE", "ACCOUNT_UPDATE"] {
            let (faulty, whole) = (by_type(&faulty, kind), by_type(&whole, kind));
            // The last ones may still be on their way.
            assert_eq!(faulty[..], whole[..faulty.len()], "{kind}, seed {seed}");
            assert!(faulty.len() >= 24, "{kind}, seed {seed}: {}", faulty.len());
        }
        let mut once = texts(&faulty);
        once.dedup();
        mixed += usize::from(!texts(&whole).starts_with(&once));
    }
    assert_eq!(mixed, 10, "between types it is another one");
}

#[test]
fn a_broken_connection_says_no_goodbye_and_another_can_be_opened() {
    let (simulator, desk) = still();
    simulator.set_faults(faulty(StreamFaults { broken: 50, ..StreamFaults::default() }, 4));
    let mut stream = listen(&desk);
    let (mut broken, mut heard) = (0, 0);
    for _ in 0..60 {
        desk.order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01");
        for message in arrived(&mut stream) {
            match message {
                StreamMessage::Text(_) => heard += 1,
                StreamMessage::Broken => {
                    broken += 1;
                    stream = listen(&desk);
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(broken > 3 && heard > 100 && heard < 240, "{broken} {heard}");
}

#[test]
fn a_silenced_connection_is_pinged_all_the_same() {
    let (simulator, desk) = still();
    let mut stream = listen(&desk);
    desk.order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01");
    assert_eq!(events(&mut stream).len(), 4);
    simulator.set_faults(faulty(StreamFaults { silenced: 1_000, ..StreamFaults::default() }, 1));
    desk.order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01");
    simulator.set_faults(FaultProfile::none());
    desk.order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01");
    simulator.step(Duration::from_mins(4));
    assert_eq!(arrived(&mut stream), [StreamMessage::Ping]);
}

#[test]
fn a_cut_event_is_half_an_event() {
    let (faulty, whole) = with_and_without(StreamFaults { truncated: 100, ..StreamFaults::default() }, 2);
    let (faulty, whole) = (texts(&faulty), texts(&whole));
    assert_eq!(faulty.len(), whole.len());
    let cut: Vec<_> = faulty.iter().zip(&whole).filter(|(text, other)| text != other).collect();
    assert!(!cut.is_empty() && cut.len() < 30);
    assert!(cut.iter().all(|(text, other)| other.starts_with(*text) && serde_json::from_str::<Value>(text).is_err()));
}

#[test]
fn the_end_of_a_key_may_be_told_late_but_is_never_put_off() {
    let (simulator, desk) = still();
    let faults = StreamFaults { expiry_late: 1_000, expiry_late_ms_max: 600_000, ..StreamFaults::default() };
    simulator.set_faults(faulty(faults, 1));
    let mut stream = listen(&desk);
    simulator.step(Duration::from_hours(1));
    desk.order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01");
    assert_eq!(keyed(&desk, "PUT").1["code"], -1125);
    assert_eq!(events(&mut stream), [] as [Value; 0]);
    simulator.step(Duration::from_mins(10));
    let told = events(&mut stream);
    assert_eq!((kinds(&told), &told[0]["E"]), (vec!["listenKeyExpired"], &serde_json::json!(START_MS + 3_600_000)));
}

#[test]
fn opening_a_stream_fails_like_any_request() {
    let (simulator, _desk) = still();
    simulator.set_faults(FaultProfile { seed: 3, ..FaultProfile::hostile() });
    let statuses: BTreeSet<Option<u16>> =
        (0..200).filter_map(|_| simulator.open_stream("/private/ws", "").err().map(|refused| refused.status)).collect();
    assert!(statuses.contains(&None) && statuses.contains(&Some(503)) && statuses.len() > 4, "{statuses:?}");
    assert_eq!(simulator.state().asked.len(), 1);
}

#[test]
fn a_seed_meets_the_same_stream_faults_whoever_else_listens() {
    let heard = |seed: u64, others: bool| {
        let mut config = SimulatorConfig::new(5);
        config.accounts.push(SimulatorAccount::named("other"));
        let (simulator, desk) = still_with(config);
        let other = Desk::new(&simulator, 1);
        let faults = FaultProfile { stream: FaultProfile::hostile().stream, ..FaultProfile::none() };
        simulator.set_faults(faults.with_seed(seed));
        let _others = others.then(|| [listen(&other), listen(&other)]);
        let mut stream = listen(&desk);
        for _ in 0..20 {
            if others {
                other.order("symbol=ETHUSDT&side=BUY&type=MARKET&quantity=1");
                other.get("v3/balance", "");
            }
            desk.order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01");
            simulator.step(Duration::from_secs(1));
        }
        arrived(&mut stream)
    };
    for seed in 0..5 {
        assert_eq!(heard(seed, false), heard(seed, true));
    }
    assert_ne!(heard(0, false), heard(1, false));
}

#[test]
fn stream_faults_never_reach_the_books() {
    let books = |faults: FaultProfile| {
        let (simulator, desk) = still();
        simulator.set_faults(faults);
        let _stream = listen(&desk);
        trade(&simulator, &desk);
        simulator.books()
    };
    let hostile = FaultProfile { stream: FaultProfile::hostile().stream, ..FaultProfile::none() };
    assert_eq!(books(hostile), books(FaultProfile::none()));
}

#[test]
fn faults_can_be_those_of_some_types_only() {
    let lost = |only| {
        let (faulty, whole) = with_and_without(StreamFaults { dropped: 1_000, only, ..StreamFaults::default() }, 2);
        let count = |messages: &[StreamMessage], kind: &str| {
            texts(messages).iter().filter(|text| text.contains(&format!("\"e\":\"{kind}\""))).count()
        };
        ["TRADE_LITE", "ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE"].map(|kind| {
            assert!(count(&whole, kind) > 0);
            count(&whole, kind) - count(&faulty, kind) == count(&whole, kind)
        })
    };
    assert_eq!(lost(&["TRADE_LITE", "ACCOUNT_UPDATE"]), [true, false, true]);
    assert_eq!(lost(&[]), [true; 3]);
}

#[test]
fn who_connects_too_often_is_turned_away_for_a_minute() {
    let (simulator, desk) = still();
    simulator.set_faults(faulty(StreamFaults { connects_1m_max: 2, ..StreamFaults::default() }, 1));
    let (mut first, mut second, mut third) = (listen(&desk), listen(&desk), listen(&desk));
    let turned_away = StreamMessage::Closed { code: 1008, reason: "too many connections" };
    assert_eq!(arrived(&mut third), [StreamMessage::Ping, turned_away]);
    buy_by_hand(&desk);
    assert!(!arrived(&mut first).is_empty() && !arrived(&mut second).is_empty() && arrived(&mut third).is_empty());
    simulator.step(Duration::from_mins(1));
    let mut fourth = listen(&desk);
    buy_by_hand(&desk);
    assert!(arrived(&mut fourth).iter().all(|message| matches!(message, StreamMessage::Text(_))));
    assert_eq!(simulator.streams_opened(), 4);
}

#[test]
fn all_streams_can_end_at_once_and_a_key_be_forgotten_without_a_word() {
    let (simulator, desk) = still();
    let (mut first, mut second) = (listen(&desk), listen(&desk));
    buy_by_hand(&desk);
    simulator.end_streams();
    for stream in [&mut first, &mut second] {
        let heard = arrived(stream);
        assert!(matches!(heard.last(), Some(StreamMessage::Closed { code: 1001, .. })), "{heard:?}");
        assert!(heard.len() > 1, "what was on its way still arrives");
    }
    let mut forgotten = listen(&desk);
    simulator.forget_listen_key("sim-main").unwrap();
    buy_by_hand(&desk);
    simulator.step(Duration::from_mins(4));
    assert_eq!(arrived(&mut forgotten), [StreamMessage::Ping]);
    assert_eq!(keyed(&desk, "PUT").1["code"], -1125);
    let mut another = listen(&desk);
    buy_by_hand(&desk);
    assert!(!arrived(&mut another).is_empty());
}
