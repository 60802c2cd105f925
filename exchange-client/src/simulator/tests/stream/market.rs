//! What everybody may listen to.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn open(simulator: &Arc<Simulator>, path: &str, query: &str) -> SimulatorStream {
    simulator.open_stream(path, query).unwrap()
}

fn names(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The names that the exchange's documentation gives, and no others.
#[track_caller]
fn has_names(value: &Value, expected: &str) {
    assert_eq!(names(value), expected.split(' ').collect(), "{value}");
}

#[test]
fn marks_are_told_with_their_funding() {
    let (simulator, _desk) = still();
    set_price(&simulator, "BTCUSDT", "60000.5");
    simulator.set_funding_rate(&symbol("BTCUSDT"), dec("0.00021")).unwrap();
    let mut each_second = open(&simulator, "/market/ws/btcusdt@markPrice@1s", "");
    let mut each_third = open(&simulator, "/market/ws/btcusdt@markPrice", "");
    let mut all = open(&simulator, "/market/ws", "streams=!markPrice@arr@1s");
    // 1 780 000 000 s: three divides 1 779 999 999 and 1 780 000 002. Funding is paid at every eighth hour.
    simulator.step(2 * SECOND);
    let told = events(&mut each_second);
    let mark = json!({
        "e": "markPriceUpdate", "E": START_MS + 1_000, "s": "BTCUSDT", "p": "60000.50000000", "ap": "60000.50000000",
        "i": "60000.50000000", "P": "60000.50000000", "r": "0.00021000", "T": 1_780_012_800_000_i64, "st": 1,
    });
    assert_eq!((told.len(), &told[0], &told[1]["E"]), (2, &mark, &json!(START_MS + 2_000)));
    let told: Vec<_> = events(&mut each_third).iter().map(|mark| mark["E"].clone()).collect();
    assert_eq!(told, [json!(START_MS + 2_000)]);
    let told = events(&mut all);
    assert_eq!(told.len(), 2);
    let rows = told[0].as_array().unwrap();
    assert_eq!((rows.len(), rows.contains(&mark)), (MarketSpec::standard().len(), true));
    // What is settled has no mark any more.
    simulator.settle_contract(&symbol("BTCUSDT")).unwrap();
    simulator.step(3 * SECOND);
    assert_eq!(events(&mut each_second), [] as [Value; 0]);
    assert!(events(&mut all).iter().all(|rows| rows.as_array().unwrap().len() == MarketSpec::standard().len() - 1));
}

#[test]
fn marks_are_told_every_second_however_time_is_cut() {
    let config = || SimulatorConfig { weight_1m_max: None, ..SimulatorConfig::new(11) };
    let told = |cuts: &[u64]| {
        let (simulator, _clock) = simulator(config());
        let mut stream = open(&simulator, "/market/ws/ethusdt@markPrice@1s", "");
        let mut told = Vec::new();
        for millis in cuts {
            simulator.step(Duration::from_millis(*millis));
            told.extend(events(&mut stream));
        }
        let times: Vec<i64> = told.iter().map(|mark| mark["E"].as_i64().unwrap()).collect();
        assert_eq!(times, (1..=60).map(|second| START_MS + second * 1_000).collect::<Vec<_>>());
        told
    };
    let at_once = told(&[60_000]);
    assert_eq!(told(&[250; 240]), at_once);
    assert_eq!(told(&[700, 300, 4_001, 4_999, 12_345, 37_655]), at_once);
    let prices: BTreeSet<&str> = at_once.iter().map(|mark| mark["p"].as_str().unwrap()).collect();
    // Twelve ticks, and the second is never ahead of its tick.
    assert!(prices.len() > 6, "{prices:?}");
    assert_eq!((&at_once[3]["p"], at_once[4]["p"] == at_once[3]["p"]), (&at_once[0]["p"], false));
}

#[test]
fn trades_and_best_prices_follow_the_price() {
    let (simulator, desk) = still();
    let mut trades = open(&simulator, "/market/ws/ethusdt@aggTrade", "");
    let mut best = open(&simulator, "/public/ws/ethusdt@bookTicker", "");
    let mut all = open(&simulator, "/public/ws/!bookTicker", "");
    set_price(&simulator, "BTCUSDT", "60000");
    set_price(&simulator, "ETHUSDT", "3000");
    set_price(&simulator, "ETHUSDT", "3010");
    let told = events(&mut best);
    has_names(&told[0], "e u E T s ps b B a A st");
    assert_eq!((&told[1]["b"], &told[1]["a"]), (&json!("3009.99"), &json!("3010.00")));
    let asked = ask(&simulator, "GET", "/fapi/v1/ticker/bookTicker", "symbol=ETHUSDT", None).1;
    for (told_name, asked_name) in [("b", "bidPrice"), ("B", "bidQty"), ("a", "askPrice"), ("A", "askQty")] {
        assert_eq!(told[1][told_name], asked[asked_name]);
    }
    let symbols: Vec<_> = events(&mut all).iter().map(|event| event["s"].clone()).collect();
    assert_eq!(symbols, ["BTCUSDT", "ETHUSDT", "ETHUSDT"]);
    // The rest of the market trades at each price; accounts trade besides, and everybody is told.
    desk.order("symbol=ETHUSDT&side=BUY&type=MARKET&quantity=2");
    desk.order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=1");
    let told = events(&mut trades);
    has_names(&told[0], "e E s a p q nq f l T m st");
    let seen: Vec<_> = told.iter().map(|trade| (trade["p"].as_str().unwrap(), trade["m"].clone())).collect();
    // Sold into at first: the price fell from 3120.4; then bought.
    assert_eq!(seen, [("3000", json!(true)), ("3010", json!(false)), ("3010", json!(false))]);
    let own = &desk.truth().trades.into_iter().find(|trade| trade.symbol == "ETHUSDT").unwrap();
    assert_eq!((&told[2]["a"], &told[2]["q"]), (&json!(own.id), &json!("2.000")));
    // They are in the lists as well, in the order of their ids.
    let ids = |path: &str, name: &str| -> Vec<Value> {
        let (_, rows) = ask(&simulator, "GET", path, "symbol=ETHUSDT", None);
        rows.as_array().unwrap().iter().map(|row| row[name].clone()).collect()
    };
    let heard: Vec<_> = told.iter().map(|trade| trade["a"].clone()).collect();
    assert_eq!((ids("/fapi/v1/aggTrades", "a"), ids("/fapi/v1/trades", "id")), (heard.clone(), heard.clone()));
    assert!(heard.is_sorted_by_key(Value::as_i64));
    // What the exchange does between two accounts is no trade of the market.
    simulator.force_adl("sim-main", &symbol("ETHUSDT"), PositionSide::Net, "1".parse().unwrap()).unwrap();
    assert_eq!(events(&mut trades), [] as [Value; 0]);
}

#[test]
fn candles_are_told_while_they_are_drawn_and_when_they_are_done() {
    let (simulator, _clock) = simulator(SimulatorConfig { weight_1m_max: None, ..SimulatorConfig::new(3) });
    // To the beginning of a minute.
    simulator.step(20 * SECOND);
    let mut stream = open(&simulator, "/market/ws/btcusdt@kline_1m/btcusdt@kline_5m", "");
    simulator.step(Duration::from_mins(11));
    let told = events(&mut stream);
    has_names(&told[0], "e E s k");
    has_names(&told[0]["k"], "t T s i f L o c h l v n x q V Q B");
    for (interval, length_ms, count) in [("1m", 60_000_i64, 10), ("5m", 300_000, 2)] {
        let of = || told.iter().filter(|event| event["k"]["i"] == interval);
        let done: Vec<&Value> = of().filter(|event| event["k"]["x"] == true).map(|event| &event["k"]).collect();
        assert!(done.len() >= count, "{interval}: {}", done.len());
        // As they are answered afterwards, each once and without a gap.
        for candle in &done {
            let open_ms = candle["t"].as_i64().unwrap();
            assert_eq!((open_ms % length_ms, &candle["T"]), (0, &json!(open_ms + length_ms - 1)));
            let query = format!("symbol=BTCUSDT&interval={interval}&startTime={open_ms}&limit=1");
            let (_, rows) = ask(&simulator, "GET", "/fapi/v1/klines", &query, None);
            let asked: Vec<&Value> = [0, 1, 2, 3, 4, 5, 7, 8].iter().map(|at| &rows[0][*at]).collect();
            let heard: Vec<&Value> =
                ["t", "o", "h", "l", "c", "v", "q", "n"].iter().map(|name| &candle[*name]).collect();
            assert_eq!(heard, asked);
        }
        assert!(
            done.windows(2).all(|pair| pair[1]["t"].as_i64().unwrap() - pair[0]["t"].as_i64().unwrap() == length_ms)
        );
        // One that is done is told before the next one begins, and at each tick there is one that is drawn.
        assert!(of().count() >= 11 * 12, "{}", of().count());
        assert!(of().map(|event| event["k"]["t"].as_i64().unwrap()).is_sorted());
    }
    // A price that stands still has candles as well, and so has one that is set between two ticks.
    simulator.hold_price(&symbol("BTCUSDT"), true).unwrap();
    events(&mut stream);
    simulator.step(Duration::from_mins(2));
    let done = events(&mut stream).into_iter().filter(|event| event["k"]["x"] == true && event["k"]["i"] == "1m");
    assert_eq!(done.count(), 2);
    set_price(&simulator, "BTCUSDT", "70000");
    assert!(events(&mut stream).iter().all(|event| event["k"]["c"] == "70000"));
}

#[test]
fn an_address_has_only_its_own_streams() {
    let (simulator, desk) = still();
    let key = listen_key(&desk);
    let everything =
        format!("btcusdt@markPrice@1s/btcusdt@aggTrade/btcusdt@bookTicker/{key}/btcusdt@depth/BTCUSDT@aggTrade");
    let heard = |path: &str| {
        let mut stream = open(&simulator, path, &format!("streams={everything}"));
        simulator.step(SECOND);
        set_price(&simulator, "BTCUSDT", "60000");
        desk.order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01");
        let streams = events(&mut stream).into_iter().map(|event| event["stream"].as_str().unwrap().to_owned());
        streams.collect::<BTreeSet<String>>().into_iter().collect::<Vec<String>>()
    };
    // Whatever else is asked for is answered by silence. Contracts are written in lower case.
    assert_eq!(heard("/market/stream"), ["btcusdt@aggTrade", "btcusdt@markPrice@1s"]);
    assert_eq!(heard("/public/stream"), ["btcusdt@bookTicker"]);
    assert_eq!(heard("/private/stream"), [key.as_str()]);
    assert_eq!(heard("/stream"), [] as [&str; 0]);
    for path in ["/market", "/market/", "/public/x", "/market/wsx", "/public/stream/x"] {
        assert_eq!(simulator.open_stream(path, "").unwrap_err(), StreamRefused { status: Some(404) }, "{path}");
    }
}

#[test]
fn streams_are_asked_for_and_given_up_in_words() {
    let (simulator, _desk) = still();
    let mut stream = open(&simulator, "/market/ws", "");
    let mut answer = |said: Value| {
        stream.send(&said.to_string());
        events(&mut stream)
    };
    let names = json!(["btcusdt@aggTrade", "币安人生usdt@aggTrade"]);
    assert_eq!(
        answer(json!({ "method": "SUBSCRIBE", "params": names, "id": 1 })),
        [json!({ "result": null, "id": 1 })]
    );
    let list = json!({ "method": "LIST_SUBSCRIPTIONS", "id": "x" });
    assert_eq!(answer(list.clone()), [json!({ "result": names, "id": "x" })]);
    set_price(&simulator, "BTCUSDT", "60000");
    set_price(&simulator, "币安人生USDT", "0.2");
    set_price(&simulator, "ETHUSDT", "3000");
    let told = answer(json!({ "method": "GET_PROPERTY", "params": ["combined"], "id": 2 }));
    let symbols: Vec<_> = told[..2].iter().map(|event| event["s"].as_str().unwrap()).collect();
    assert_eq!((symbols, &told[2..]), (vec!["BTCUSDT", "币安人生USDT"], &[json!({ "result": false, "id": 2 })][..]));
    // Combined: each event says which stream it is from.
    answer(json!({ "method": "SET_PROPERTY", "params": ["combined", true], "id": 3 }));
    answer(json!({ "method": "UNSUBSCRIBE", "params": ["btcusdt@aggTrade"], "id": 4 }));
    set_price(&simulator, "BTCUSDT", "60001");
    set_price(&simulator, "币安人生USDT", "0.21");
    let told = answer(list);
    assert_eq!((&told[0]["stream"], &told[0]["data"]["p"]), (&json!("币安人生usdt@aggTrade"), &json!("0.21")));
    assert_eq!(told[1..], [json!({ "result": ["币安人生usdt@aggTrade"], "id": "x" })]);
    for (params, code) in [(json!(["combined", "yes"]), 1), (json!(["other", true]), 0)] {
        let answer = answer(json!({ "method": "SET_PROPERTY", "params": params, "id": 5 }));
        assert_eq!(answer[0]["error"]["code"], code);
    }
}

#[test]
fn what_is_listened_to_changes_nothing() {
    let run = |listens: bool| {
        let (simulator, _clock) = simulator(SimulatorConfig { weight_1m_max: None, ..SimulatorConfig::new(21) });
        let desk = Desk::new(&simulator, 0);
        let streams = [
            ("/market/ws", "streams=!markPrice@arr@1s/btcusdt@aggTrade/btcusdt@kline_1m/ethusdt@kline_1h"),
            ("/public/ws", "streams=!bookTicker"),
        ];
        let mut streams: Vec<_> =
            streams.iter().filter(|_| listens).map(|(path, query)| open(&simulator, path, query)).collect();
        for round in 0..30 {
            simulator.step(Duration::from_millis(97_001));
            let side = if round % 3 == 0 { "SELL" } else { "BUY" };
            desk.order(&format!("symbol=BTCUSDT&side={side}&type=MARKET&quantity=0.05"));
            for stream in &mut streams {
                assert!(!events(stream).is_empty());
            }
        }
        simulator.books()
    };
    assert_eq!(run(true), run(false));
}

#[test]
fn who_does_not_listen_to_the_market_is_cut_off() {
    let (simulator, _desk) = still();
    let mut slow = open(&simulator, "/market/ws/!markPrice@arr@1s", "");
    // Nearly a day in one step: no more is made than can wait for anybody.
    simulator.step(Duration::from_hours(23));
    assert!(simulator.state().streams.waiting_max() <= 4_096);
    assert_eq!(arrived(&mut slow), [StreamMessage::Closed { code: 1008, reason: "too slow" }]);
    assert!(simulator.state().streams.topics().is_empty());
}

#[test]
fn faults_meet_the_streams_of_the_market_as_well() {
    let (simulator, _desk) = still();
    let stream = StreamFaults { dropped: 500, ..StreamFaults::default() };
    simulator.set_faults(FaultProfile { stream, ..FaultProfile::none().with_seed(4) });
    let heard = || {
        let mut stream = open(&simulator, "/market/ws/btcusdt@markPrice@1s", "");
        simulator.step(100 * SECOND);
        events(&mut stream).len()
    };
    let (first, again) = (heard(), heard());
    assert!((30..70).contains(&first), "{first}");
    assert_eq!(again, first);
}
