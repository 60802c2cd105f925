//! Numbers from outside the account: funding rates of all contracts, prices by the minute.

use ledger_core::PriceKind;

use super::*;
use crate::api::Page;

/// 20:26:00 UTC, a minute before [`NOW_MS`], which lies 40 s into its own.
const MINUTE_BEFORE_MS: i64 = 1_779_999_960_000 - 60_000;

fn minutes(first: i64, last: i64) -> WindowQuery {
    let at = |minute: i64| TimestampMs::new(MINUTE_BEFORE_MS + minute * 60_000).unwrap();
    WindowQuery::new(TimeWindow::new(at(first), at(last)).unwrap())
}

/// A candle as the exchange answers it: told apart by place, some values as text and some as numbers.
fn candle(minute: i64, close: &str) -> String {
    let opened = MINUTE_BEFORE_MS + minute * 60_000;
    let closed = opened + 59_999;
    format!(
        r#"[{opened},"631.10","640.00","630.05","{close}","148.976",{closed},"94036.71",308,"1756.87","28.46","0"]"#
    )
}

#[tokio::test]
async fn a_kline_states_the_last_price_of_a_minute_that_is_over() {
    let rows = format!("[{},{},{}]", candle(0, "632.52"), candle(-1, "631.400"), candle(1, "699.99"));
    let (exchange, script, _) = adapter(Script::timed().then(200, &rows));
    let bnb = Symbol::new("BNBUSDT").unwrap();
    let page = exchange.fetch_klines(bnb.clone(), minutes(-1, 1)).await.unwrap();
    let read: Vec<_> = page.rows.iter().map(|row| (row.entity.at.as_ms(), row.entity.price.to_string())).collect();
    // In order; what the running minute will close at is not known yet.
    let closes = [(MINUTE_BEFORE_MS - 1, "631.4".to_owned()), (MINUTE_BEFORE_MS + 59_999, "632.52".to_owned())];
    assert_eq!((read.as_slice(), page.next), (closes.as_slice(), None));
    let first = page.rows.first().unwrap();
    assert_eq!((first.entity.kind, &first.entity.symbol), (PriceKind::KlineClose, &bnb));
    assert_eq!(&*first.payload, candle(-1, "631.400"));
    let asked = &script.asked()[1];
    assert!(asked.starts_with("GET /fapi/v1/klines?symbol=BNBUSDT&interval=1m&startTime="), "{asked}");
    assert!(!asked.contains("signature") && script.asked.lock().unwrap()[1].headers.is_empty(), "{asked}");
}

#[tokio::test]
async fn what_a_kline_lacks_is_refused_by_name() {
    let longer =
        candle(-1, "5").replace(&(MINUTE_BEFORE_MS - 1).to_string(), &(MINUTE_BEFORE_MS + 239_999).to_string());
    for (row, field) in [
        (r"[]".to_owned(), "openTime"),
        (format!("[{MINUTE_BEFORE_MS}]"), "closeTime"),
        (candle(-1, ""), "close"),
        (candle(-1, "0"), "close"),
        (candle(-1, "-5"), "close"),
        (candle(-1, "1e400"), "close"),
        // Five minutes instead of one, minutes that nobody asked for, and two prices of one minute.
        (longer, "closeTime"),
        (candle(-9, "5"), "openTime"),
        (candle(9, "5"), "openTime"),
        (format!("{},{}", candle(-1, "5"), candle(-1, "6")), "openTime"),
    ] {
        let (exchange, ..) = adapter(Script::timed().then(200, &format!("[{row}]")));
        match exchange.fetch_klines(btc(), minutes(-1, 0)).await {
            Err(ExchangeError::Malformed { field: named, .. }) => assert_eq!(named, field, "{row}"),
            other => panic!("{row}: {other:?}"),
        }
    }
    let (exchange, ..) = adapter(Script::timed().then(200, r#"[{"openTime":1}]"#));
    assert!(matches!(exchange.fetch_klines(btc(), minutes(0, 0)).await, Err(ExchangeError::Unreadable { .. })));
}

#[tokio::test]
async fn prices_are_asked_for_in_pages_and_weigh_by_their_rows() {
    // The exchange has no kline for any of these 3,000 minutes. Each page still begins where the one before ended.
    let (exchange, script, _) = adapter(Script::timed().then(200, "[]").then(200, "[]").then(200, "[]"));
    let mut next = Some(minutes(-3_000, -1));
    let mut weights = Vec::new();
    while let Some(query) = next {
        let before = exchange.usage().weight;
        let page: Page<_, _> = exchange.fetch_klines(btc(), query).await.unwrap();
        weights.push(exchange.usage().weight - before);
        next = page.next;
    }
    let limits: Vec<String> =
        script.asked()[1..].iter().map(|asked| asked.rsplit_once("limit=").unwrap().1.to_owned()).collect();
    assert_eq!(limits, ["1500", "1500", "3"]);
    // The first one measured the clock, too.
    assert_eq!(weights, [11, 10, 1]);
    let asked = script.asked();
    let bound = |index: usize, name: &str| {
        let (_, rest) = asked[index].split_once(&format!("{name}=")).unwrap();
        rest.split('&').next().unwrap().parse::<i64>().unwrap()
    };
    assert_eq!(bound(2, "startTime"), bound(1, "endTime") + 1);
    assert_eq!(
        (bound(1, "startTime"), bound(3, "endTime")),
        (MINUTE_BEFORE_MS - 180_000_000, MINUTE_BEFORE_MS - 60_000)
    );
}

#[tokio::test]
async fn rates_of_all_contracts_come_in_one_answer() {
    let row = |symbol: &str, rate: &str| {
        format!(r#"{{"symbol":"{symbol}","fundingTime":1779999996003,"fundingRate":"{rate}","markPrice":"2.5"}}"#)
    };
    let rows = [row("XRPUSDT", "0.0001"), row("ADAUSDT", "much"), row("BTCUSDT", "-0.00750000")];
    let (exchange, script, _) = adapter(Script::timed().then(200, &format!("[{}]", rows.join(","))));
    let page = exchange.fetch_funding_rates(None, window()).await.unwrap();
    let read: Vec<_> = page.rows.iter().map(|row| (row.entity.symbol.as_str(), row.entity.rate.to_string())).collect();
    assert_eq!(read, [("BTCUSDT", "-0.0075".to_owned()), ("XRPUSDT", "0.0001".to_owned())]);
    // One that cannot be read is its contract's.
    let unreadable: Vec<_> = page.unreadable.iter().map(|row| row.symbol.as_ref().unwrap().as_str()).collect();
    assert_eq!(unreadable, ["ADAUSDT"]);
    assert!(!script.asked()[1].contains("symbol="));
    // One that is of no contract may be of any.
    let (exchange, ..) = adapter(Script::timed().then(200, r#"[{"fundingTime":1779999996003,"fundingRate":"1"}]"#));
    refused_by(exchange.fetch_funding_rates(None, window()).await, "symbol");
}

fn refused_by<T: std::fmt::Debug>(result: Result<T, ExchangeError>, field: &str) {
    match result {
        Err(ExchangeError::Malformed { field: named, .. }) => assert_eq!(named, field),
        other => panic!("{other:?}"),
    }
}

/// The exchange counts questions about funding by themselves: five hundred in five minutes from an address.
#[tokio::test(start_paused = true)]
async fn questions_about_funding_wait_for_their_own_budget() {
    let budget = RequestBudget { own_percent: 1, total_percent: 100 };
    let settings = RequestSettings { retry: RetryPolicy::NEVER, budget, ..RequestSettings::default() };
    let mut script = Script::timed();
    for _ in 0..12 {
        script = script.then(200, "[]");
    }
    let (exchange, ..) = adapter_with(script, settings);
    let began = tokio::time::Instant::now();
    for _ in 0..5 {
        exchange.fetch_funding_rates(Some(btc()), window()).await.unwrap();
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    // Another kind of question does not wait.
    exchange.fetch_klines(btc(), minutes(-1, 0)).await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
    exchange.fetch_funding_rates(None, window()).await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_mins(5));
}
