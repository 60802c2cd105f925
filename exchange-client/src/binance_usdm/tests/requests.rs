//! One request and its answer: bad answers, waiting, repeating.

use super::*;

const WRONG_CLOCK: &str = r#"{"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}"#;

#[tokio::test]
async fn an_answer_of_any_other_shape_is_an_error() {
    for (status, body, class) in [
        (200, "", ErrorClass::Malformed),
        (200, "<html>ok</html>", ErrorClass::Malformed),
        (200, "[{\"symbol\":\"BTCUSDT\",", ErrorClass::Malformed),
        (200, "{}", ErrorClass::Malformed),
        (200, "[7]", ErrorClass::Malformed),
        (200, "\u{0}\u{1}\u{2}", ErrorClass::Malformed),
        (200, r#"{"code":-1121,"msg":"Invalid symbol."}"#, ErrorClass::Symbol),
        (301, "", ErrorClass::Unavailable),
        (302, "<html>moved</html>", ErrorClass::Unavailable),
        (400, r#"{"code":-1121,"msg":"Invalid symbol."}"#, ErrorClass::Symbol),
        (400, r#"{"code":-4141,"msg":"Symbol is closed."}"#, ErrorClass::Symbol),
        (400, r#"{"code":-2013,"msg":"Order does not exist."}"#, ErrorClass::NotFound),
        (401, r#"{"code":-2014,"msg":"API-key format invalid."}"#, ErrorClass::Authentication),
        (401, r#"{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}"#, ErrorClass::Authentication),
        (400, r#"{"code":-1022,"msg":"Signature for this request is not valid."}"#, ErrorClass::Authentication),
        (403, "<html>firewall</html>", ErrorClass::Authentication),
        (408, "", ErrorClass::Unavailable),
        (418, "", ErrorClass::Throttled),
        (429, r#"{"code":-1003,"msg":"Too many requests."}"#, ErrorClass::Throttled),
        (502, "<html>bad gateway</html>", ErrorClass::Unavailable),
        (503, r#"{"code":-1008,"msg":"Server is currently overloaded."}"#, ErrorClass::Unavailable),
    ] {
        let (exchange, script, _) = adapter(Script::timed().then(status, body));
        let error = exchange.fetch_my_trades(btc(), from_id("1")).await.unwrap_err();
        assert_eq!(error.class(), class, "{status} {body}: {error}");
        assert!(error.to_string().starts_with("GET /fapi/v1/userTrades for BTCUSDT: "), "{error}");
        assert!(!error.to_string().contains(['\u{0}', '\u{1}', '\u{2}']), "{error}");
        assert_eq!(script.asked().len(), 2, "{status} {body}");
    }
}

#[tokio::test]
async fn a_wrong_content_type_is_named_where_it_matters() {
    let html = [("content-type", "text/html; charset=utf-8")];
    let (exchange, ..) = adapter(Script::timed().then_with(200, "<html>login</html>", &html));
    let error = exchange.fetch_positions(None).await.unwrap_err().to_string();
    assert!(error.contains("text/html") && error.contains("<html>login"), "{error}");
    // What counts are the words, not their label.
    let (exchange, ..) = adapter(Script::timed().then_with(200, "[]", &html));
    assert!(exchange.fetch_positions(None).await.unwrap().rows.is_empty());
}

#[tokio::test]
async fn a_closed_symbol_is_told_from_other_refusals() {
    for code in [-1121, -4141] {
        let notice = format!(r#"{{"code":{code},"msg":"Symbol is closed."}}"#);
        let (exchange, ..) = adapter(Script::timed().then(400, &notice).then(200, "[]"));
        match exchange.fetch_my_trades(btc(), from_id("1")).await.unwrap_err() {
            ExchangeError::SymbolClosed { endpoint, code: stated, .. } => {
                assert_eq!((endpoint.symbol, stated), (Some(btc()), code));
            }
            other => panic!("{other}"),
        }
        // The others go on.
        let other = Symbol::new("ETHUSDT").unwrap();
        assert!(exchange.fetch_my_trades(other, from_id("1")).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_clock_is_measured_and_the_request_repeated_once() {
    let ahead_ms = NOW_MS + 300_000;
    let script = Script::timed()
        .then(400, WRONG_CLOCK)
        .then(200, &time_answer(ahead_ms))
        .then(200, "[]")
        .then(400, WRONG_CLOCK)
        .then(200, &time_answer(ahead_ms))
        .then(400, WRONG_CLOCK);
    let (exchange, script, _) = adapter(script);
    assert!(exchange.fetch_positions(None).await.unwrap().rows.is_empty());
    assert!(script.asked()[3].contains(&format!("timestamp={ahead_ms}")), "{:?}", script.asked());
    // Still wrong: an error, no endless repetition.
    assert_eq!(exchange.fetch_positions(None).await.unwrap_err().class(), ErrorClass::Clock);
    assert_eq!(script.asked().len(), 7);

    // A command was refused unseen, so it may be sent anew; any other refusal ends it.
    let script = Script::timed().then(400, WRONG_CLOCK).then(200, &time_answer(ahead_ms)).then(200, PLACED);
    let (exchange, script, _) = adapter(script);
    assert!(exchange.create_order(new_order()).await.done().is_some());
    assert_eq!(script.asked().iter().filter(|asked| asked.starts_with("POST")).count(), 2);
    // The exchange's other word for it.
    let other = r#"{"code":-5028,"msg":"Timestamp for this request is outside of the ME recvWindow."}"#;
    let script = Script::timed().then(400, other).then(200, &time_answer(ahead_ms)).then(200, PLACED);
    let (exchange, script, _) = adapter(script);
    assert!(exchange.create_order(new_order()).await.done().is_some());
    assert!(script.asked()[3].contains(&format!("timestamp={ahead_ms}")), "{:?}", script.asked());
    // Without the exchange's time it stays what it is: refused.
    let script = Script::timed().then(400, WRONG_CLOCK).then_fails(TransportError::Lost("reset".into()));
    let (exchange, script, _) = adapter(script);
    let outcome = exchange.create_order(new_order()).await;
    assert!(matches!(outcome, SendOutcome::Rejected(error) if error.class() == ErrorClass::Clock));
    assert_eq!(script.asked().iter().filter(|asked| asked.starts_with("POST")).count(), 1);
}

#[tokio::test]
async fn the_clock_is_measured_again_now_and_then() {
    let script = Script::timed()
        .then(200, "[]")
        .then(200, "[]")
        .then(200, &time_answer(NOW_MS + 900_400))
        .then(200, "[]")
        .then_fails(TransportError::NotSent("down".into()))
        .then(200, "[]");
    let (exchange, script, clock) = adapter(script);
    let stamp = async || {
        exchange.fetch_positions(None).await.unwrap();
        let last = script.asked().pop().unwrap();
        last.split("timestamp=").nth(1).unwrap()[..13].parse::<i64>().unwrap() - NOW_MS
    };
    assert_eq!(stamp().await, 0);
    clock.advance(Duration::from_millis(899_999));
    assert_eq!(stamp().await, 899_999);
    clock.advance(Duration::from_millis(1));
    assert_eq!(stamp().await, 900_400);
    // A measure that fails leaves the last one.
    clock.advance(Duration::from_mins(15));
    assert_eq!(stamp().await, 1_800_400);
}

/// A network in which nothing comes back.
struct Void;

#[async_trait]
impl Transport for Void {
    async fn send(&self, _request: Request) -> Result<Response, TransportError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_asks_for_the_time_once_or_is_not_sent() {
    let slow = [("retry-after", "60")];
    let begun = tokio::time::Instant::now();
    let posts = |script: &Script| script.asked().iter().filter(|asked| asked.starts_with("POST")).count();
    // Never measured, and now it cannot be.
    for script in [
        Script::default().then_with(429, "", &slow),
        Script::default().then(502, ""),
        Script::default().then_fails(TransportError::Lost("reset".into())),
        Script::default().then(200, "<html>"),
    ] {
        let script = script.then(200, &time_answer(NOW_MS)).then(200, PLACED);
        let (exchange, script, _) = adapter_with(script, RequestSettings::default());
        assert!(matches!(exchange.create_order(new_order()).await, SendOutcome::Rejected(_)));
        assert_eq!((script.asked().len(), posts(&script)), (1, 0));
    }
    // Refused for its timestamp.
    let script = Script::timed().then(400, WRONG_CLOCK).then_with(429, "", &slow).then(200, PLACED);
    let (exchange, script, _) = adapter_with(script, RequestSettings::default());
    match exchange.create_order(new_order()).await {
        SendOutcome::Rejected(error) => assert_eq!(error.class(), ErrorClass::Clock),
        other => panic!("{other:?}"),
    }
    assert_eq!((script.asked().len(), posts(&script)), (3, 1));
    assert_eq!(begun.elapsed(), Duration::ZERO);
    // Nothing comes back at all.
    let clock = Arc::new(ManualClock::new(TimestampMs::new(NOW_MS).unwrap()));
    let credentials = Credentials::new("the-key", "the-secret").unwrap();
    let exchange = BinanceUsdm::new(Arc::new(Void), clock, "https://fapi.binance.com", credentials).unwrap();
    assert!(matches!(exchange.create_order(new_order()).await, SendOutcome::Rejected(_)));
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_failed_read_is_repeated_and_a_command_never() {
    type Failure = fn(Script) -> Script;
    let failures: [Failure; 8] = [
        |script| script.then_fails(TransportError::Lost("reset".into())),
        |script| script.then_fails(TransportError::NotSent("refused".into())),
        |script| script.then(502, "<html>bad gateway</html>"),
        |script| script.then(408, ""),
        |script| script.then(503, "Unknown error, please check your request or try again later."),
        |script| script.then(503, "Service Unavailable."),
        |script| script.then(200, "[{\"symbol\":\"BTC"),
        |script| script.then_with(429, "", &[("retry-after", "30")]),
    ];
    for (index, failing) in failures.into_iter().enumerate() {
        // Twice in trouble, then well.
        let script = failing(failing(Script::timed())).then(200, "[]");
        let (exchange, script, _) = adapter_with(script, RequestSettings::default());
        let begun = tokio::time::Instant::now();
        assert!(exchange.fetch_positions(None).await.is_ok(), "{index}");
        assert_eq!(script.asked().len(), 4, "{index}");
        let waited = begun.elapsed();
        let expected = if index == 7 { 60_000..=60_000 } else { 750..=1_500 };
        assert!(expected.contains(&waited.as_millis()), "{index}: {waited:?}");
        // In trouble for good: an error after the last attempt.
        let script = failing(failing(failing(Script::timed()))).then(200, "[]");
        let (exchange, script, _) = adapter_with(script, RequestSettings::default());
        assert!(exchange.fetch_positions(None).await.is_err(), "{index}");
        assert_eq!(script.asked().len(), 4, "{index}");
        // A command goes out once.
        let (exchange, script, _) =
            adapter_with(failing(Script::timed()).then(200, PLACED), RequestSettings::default());
        assert!(exchange.create_order(new_order()).await.done().is_none(), "{index}");
        assert_eq!(script.asked().len(), 2, "{index}");
    }
    // What another attempt cannot change is told at once.
    for (status, body) in [
        (400, r#"{"code":-1102,"msg":"Mandatory parameter 'symbol' was not sent."}"#),
        (401, r#"{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}"#),
        (403, "<html>firewall</html>"),
        (302, ""),
        (200, r#"[{"positionAmt":"1"}]"#),
    ] {
        let script = Script::timed().then(status, body).then(200, "[]");
        let (exchange, script, _) = adapter_with(script, RequestSettings::default());
        assert!(exchange.fetch_positions(None).await.is_err(), "{status} {body}");
        assert_eq!(script.asked().len(), 2, "{status} {body}");
    }
    // Asked to wait for longer than makes sense within a call.
    let script = Script::timed().then_with(429, "", &[("retry-after", "600")]).then(200, "[]");
    let (exchange, script, _) = adapter_with(script, RequestSettings::default());
    assert_eq!(exchange.fetch_positions(None).await.unwrap_err().class(), ErrorClass::Throttled);
    assert_eq!(script.asked().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_dated_by_when_it_was_asked_for_in_the_end() {
    // Every read of time is a second later.
    #[derive(Debug)]
    struct Ticking(ManualClock);
    impl Clock for Ticking {
        fn now(&self) -> TimestampMs {
            self.0.advance(Duration::from_secs(1))
        }
    }
    let row = r#"[{"symbol":"BTCUSDT","positionSide":"BOTH","positionAmt":"1","entryPrice":"60000"}]"#;
    let script = Arc::new(Script::timed().then(502, "").then(502, "").then(200, row));
    let clock = Arc::new(Ticking(ManualClock::new(TimestampMs::new(NOW_MS).unwrap())));
    let credentials = Credentials::new("the-key", "the-secret").unwrap();
    let transport = Arc::clone(&script) as Arc<dyn Transport>;
    let exchange = BinanceUsdm::new(transport, clock, "https://fapi.binance.com", credentials).unwrap();
    let answer = exchange.fetch_positions(None).await.unwrap();
    // What it was signed with is when it was asked, and when the position was so.
    let last = script.asked().pop().unwrap();
    assert!(last.contains(&format!("timestamp={}&", answer.asked_at.as_ms())), "{last}");
    assert_eq!(answer.rows[0].entity.at, answer.asked_at);
    assert_eq!(script.asked().len(), 4);
}

#[tokio::test]
async fn an_ed25519_signature_is_that_of_what_stands_before_it() {
    use base64::Engine as _;
    use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

    let seed = [7; 32];
    let mut der = vec![0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    der.extend(seed);
    let base64 = base64::engine::general_purpose::STANDARD;
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", base64.encode(der));
    let public_key = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let script = Arc::new(Script::timed().then(200, "[]"));
    let clock = Arc::new(ManualClock::new(TimestampMs::new(NOW_MS).unwrap()));
    let credentials = Credentials::new("the-key", pem).unwrap();
    let transport = Arc::clone(&script) as Arc<dyn Transport>;
    let exchange = BinanceUsdm::new(transport, clock, "https://fapi.binance.com", credentials).unwrap();
    let symbol = Symbol::new("币安人生USDT").unwrap();
    exchange.fetch_open_orders(Some(symbol)).await.unwrap_err();
    let query = script.asked.lock().unwrap()[1].query.clone();
    let (payload, signature) = query.split_once("&signature=").unwrap();
    assert!(payload.starts_with("symbol=%E5%B8%81") && payload.ends_with(&NOW_MS.to_string()), "{payload}");
    // What base64 has and a query may not is encoded.
    assert!(signature.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'%'), "{signature}");
    let signature = percent_encoding::percent_decode_str(signature).decode_utf8().unwrap();
    let signature = base64.decode(signature.as_bytes()).unwrap();
    let public_key = UnparsedPublicKey::new(&ED25519, public_key.public_key().as_ref());
    public_key.verify(payload.as_bytes(), &signature).unwrap();
}
