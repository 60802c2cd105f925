//! The adapter against scripted answers: what the exchange really sends, and what it should never send.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use ledger_core::{
    ClientOrderId, Decimal, Fill, FillId, Order, OrderClass, OrderId, OrderStatus, PositionMode, PositionSide,
    Quantity, Side, Symbol, TimestampMs,
};

use async_trait::async_trait;

use super::*;
use crate::api::{ExchangeReader, ExchangeTrader, NewOrder, OrderKind, OrderRef, TimeWindow, TradeQuery, WindowQuery};
use crate::clock::ManualClock;
use crate::error::{ErrorClass, FieldProblem, SendOutcome};
use crate::transport::{Request, Response, TransportError};

const NOW_MS: i64 = 1_780_000_000_000;

/// Answers from a list, and remembers what it was asked.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Result<Response, TransportError>>>,
    asked: Mutex<Vec<Request>>,
}

impl Script {
    fn then(self, status: u16, body: &str) -> Self {
        self.then_with(status, body, &[])
    }

    fn then_with(self, status: u16, body: &str, headers: &[(&str, &str)]) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let response = Response { status, headers, body: Bytes::copy_from_slice(body.as_bytes()) };
        self.answers.lock().unwrap().push_back(Ok(response));
        self
    }

    fn then_fails(self, error: TransportError) -> Self {
        self.answers.lock().unwrap().push_back(Err(error));
        self
    }

    /// The clock is measured before the first signed request.
    fn timed() -> Self {
        Self::default().then(200, &format!(r#"{{"serverTime":{NOW_MS}}}"#))
    }

    fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|request| format!("{} {}?{}", request.method, request.path, request.query)).collect()
    }
}

#[async_trait]
impl Transport for Script {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        self.asked.lock().unwrap().push(request);
        let answer = self.answers.lock().unwrap().pop_front();
        answer.unwrap_or_else(|| Err(TransportError::NotSent("the script has ended".into())))
    }
}

fn adapter(script: Script) -> (BinanceUsdm, Arc<Script>, Arc<ManualClock>) {
    let script = Arc::new(script);
    let clock = Arc::new(ManualClock::new(TimestampMs::new(NOW_MS).unwrap()));
    let credentials = Credentials::new("the-key", "the-secret").unwrap();
    let transport = Arc::clone(&script) as Arc<dyn Transport>;
    let exchange =
        BinanceUsdm::new(transport, Arc::clone(&clock) as Arc<dyn Clock>, "https://fapi.binance.com", credentials)
            .unwrap();
    (exchange, script, clock)
}

fn btc() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

fn from_id(id: &str) -> TradeQuery {
    TradeQuery::FromId(FillId::new(id).unwrap())
}

fn window() -> WindowQuery {
    let at = |ms| TimestampMs::new(NOW_MS + ms).unwrap();
    WindowQuery::new(TimeWindow::new(at(-10_000), at(0)).unwrap())
}

fn new_order() -> NewOrder {
    NewOrder {
        client_order_id: ClientOrderId::new("x-1:entry").unwrap(),
        symbol: btc(),
        side: Side::Buy,
        position_side: PositionSide::Net,
        kind: OrderKind::Market,
        size: "0.010".parse::<Quantity>().unwrap().into(),
        reduce_only: false,
    }
}

const TRADE: &str = r#"{"symbol":"BTCUSDT","id":8389765568816714211,"orderId":9007199254740993,"side":"SELL",
  "positionSide":"BOTH","price":"64250.50","qty":"0.002","quoteQty":"128.501","commission":"0.05140040",
  "commissionAsset":"BNB","realizedPnl":"-0.91539999","buyer":false,"maker":false,"time":1780000000000,"new":{"x":[1]}}"#;

const ORDER_ROW: &str = r#"{"orderId":8389765568816714212,"symbol":"BTCUSDT","status":"NEW","clientOrderId":"abc",
  "price":"0","avgPrice":"0.00000","origQty":"0.40","executedQty":"0","cumQuote":"0","timeInForce":"GTC","type":"MARKET",
  "origType":"STOP_MARKET","reduceOnly":false,"closePosition":false,"side":"BUY","positionSide":"SHORT","stopPrice":"9300",
  "time":1779999999000,"updateTime":1780000000000}"#;

async fn trade_error(row: &str) -> ExchangeError {
    let (exchange, ..) = adapter(Script::timed().then(200, &format!("[{row}]")));
    exchange.fetch_my_trades(btc(), from_id("1")).await.unwrap_err()
}

async fn fill_of(row: &str) -> Fill {
    let (exchange, ..) = adapter(Script::timed().then(200, &format!("[{row}]")));
    exchange.fetch_my_trades(btc(), from_id("1")).await.unwrap().rows.remove(0).entity
}

async fn order_of(row: &str) -> Order {
    let (exchange, ..) = adapter(Script::timed().then(200, row));
    exchange
        .fetch_order(btc(), OrderRef::Client(OrderClass::Regular, ClientOrderId::new("abc").unwrap()))
        .await
        .unwrap()
        .unwrap()
        .entity
}

#[tokio::test]
async fn entities_carry_their_payload_verbatim() {
    let (exchange, script, _) = adapter(Script::timed().then(200, &format!("[ {TRADE} ]")));
    let page = exchange.fetch_my_trades(btc(), from_id("700")).await.unwrap();
    let [row] = page.rows.as_slice() else { panic!("one row, not {}", page.rows.len()) };
    assert_eq!(&*row.payload, TRADE);
    let fill = &row.entity;
    assert_eq!(fill.key.fill_id.as_str(), "8389765568816714211");
    assert_eq!(fill.sequence, Some(8_389_765_568_816_714_211));
    assert_eq!(fill.order_id.as_ref().unwrap().as_str(), "9007199254740993");
    assert_eq!((fill.position_side, fill.maker), (Some(PositionSide::Net), Some(false)));
    assert_eq!(fill.fee.as_ref().unwrap().asset.as_str(), "BNB");
    assert_eq!(fill.exchange_realized_pnl.unwrap().to_string(), "-0.91539999");
    assert_eq!(page.asked_at.as_ms(), NOW_MS);
    let statement = row.statement();
    assert_eq!(statement.payload.as_deref(), Some(TRADE));
    let asked = script.asked();
    let expected = "GET /fapi/v1/userTrades?symbol=BTCUSDT&fromId=700&limit=1000&recvWindow=5000&timestamp=1780000000000&signature=";
    assert!(asked[1].starts_with(expected), "{}", asked[1]);
    let signature = sign::hmac_sha256_hex(
        "the-secret",
        "symbol=BTCUSDT&fromId=700&limit=1000&recvWindow=5000&timestamp=1780000000000",
    );
    assert!(asked[1].ends_with(&signature));
    assert_eq!(script.asked.lock().unwrap()[1].headers, [("x-mbx-apikey", "the-key".to_owned())]);
    assert!(!format!("{exchange:?}").contains("the-"));
}

#[tokio::test]
async fn what_is_missing_is_refused_by_name() {
    for field in [
        "id",
        "orderId",
        "side",
        "positionSide",
        "price",
        "qty",
        "commission",
        "commissionAsset",
        "realizedPnl",
        "time",
        "symbol",
    ] {
        let without = TRADE.replace(&format!("\"{field}\":"), "\"other\":");
        match trade_error(&without).await {
            ExchangeError::Malformed { field: named, row: 0, problem, .. } => {
                assert_eq!((named, *problem), (field, FieldProblem::Missing));
            }
            other => panic!("{field}: {other}"),
        }
    }
    for (bad, field) in [
        (TRADE.replace("\"64250.50\"", "\"NaN\""), "price"),
        (TRADE.replace("\"64250.50\"", "1e400"), "price"),
        (TRADE.replace("\"64250.50\"", "{\"x\":1}"), "price"),
        (TRADE.replace("\"0.002\"", "\"-0.002\""), "qty"),
        (TRADE.replace("\"SELL\"", "\"HOLD\""), "side"),
        (TRADE.replace("1780000000000", "1780000000"), "time"),
        (TRADE.replace("8389765568816714211", "83897655688167142119"), "id"),
        (TRADE.replace("8389765568816714211", "1.5"), "id"),
        (TRADE.replace("\"BOTH\"", "\"EITHER\""), "positionSide"),
        (TRADE.replace("\"maker\":false", "\"maker\":\"perhaps\""), "maker"),
    ] {
        match trade_error(&bad).await {
            ExchangeError::Malformed { field: named, .. } => assert_eq!(named, field),
            other => panic!("{field}: {other}"),
        }
    }
    let (exchange, ..) = adapter(Script::timed().then(200, &ORDER_ROW.replace("executedQty", "other")));
    let error = exchange
        .fetch_order(btc(), OrderRef::Client(OrderClass::Regular, ClientOrderId::new("abc").unwrap()))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("`executedQty`"), "{error}");
}

#[tokio::test]
async fn what_is_unknown_is_tolerated() {
    assert_eq!(order_of(&ORDER_ROW.replace("\"NEW\"", "\"PAUSED\"")).await.status, OrderStatus::Other("PAUSED".into()));
    // A number where a text belongs is read from its digits.
    let numeric = TRADE.replace("\"64250.50\"", "64250.50").replace("8389765568816714211", "\"8389765568816714211\"");
    let fill = fill_of(&numeric).await;
    assert_eq!((fill.price.to_string().as_str(), fill.sequence), ("64250.5", Some(8_389_765_568_816_714_211)));
}

#[tokio::test]
async fn an_order_never_makes_a_fill() {
    let filled =
        ORDER_ROW.replace("\"NEW\"", "\"FILLED\"").replace("\"executedQty\":\"0\"", "\"executedQty\":\"0.40\"");
    // The answer to placing has no average price any more.
    let (exchange, script, _) = adapter(Script::timed().then(200, &filled.replace("\"avgPrice\":\"0.00000\",", "")));
    let order = exchange.create_order(new_order()).await.done().unwrap();
    assert!(matches!(order.statement().fact, ledger_core::AnyFact::Order(_)));
    let executed = order.entity.executed.unwrap();
    assert_eq!((executed.qty.to_string().as_str(), executed.avg_price), ("0.4", None));
    let sent = &script.asked()[1];
    assert!(
        sent.starts_with(
            "POST /fapi/v1/order?symbol=BTCUSDT&side=BUY&positionSide=BOTH&type=MARKET&quantity=0.01&newClientOrderId=x-1%3Aentry&newOrderRespType=RESULT&"
        ),
        "{sent}"
    );
}

#[tokio::test]
async fn fees_are_positive_when_paid() {
    let fee = |row: String| async move { fill_of(&row).await.fee.unwrap().amount.to_string() };
    // As captured from the exchange: a charge is positive.
    assert_eq!(fee(TRADE.to_owned()).await, "0.0514004");
    // As documented: a taker's charge, seen from the wallet.
    let negative = TRADE.replace("\"0.05140040\"", "\"-0.05140040\"");
    assert_eq!(fee(negative.clone()).await, "0.0514004");
    // A maker's negative commission is a rebate and stays one.
    assert_eq!(fee(negative.replace("\"maker\":false", "\"maker\":true")).await, "-0.0514004");
    assert_eq!(fee_from_commission("-1".parse::<Decimal>().unwrap(), None).to_string(), "-1");
    // In the ledger a charge is negative, for that is what it does to the wallet.
    let row = r#"[{"symbol":"BTCUSDT","incomeType":"COMMISSION","income":"-0.05140040","asset":"BNB","info":"COMMISSION",
        "time":1779999999000,"tranId":9689322392,"tradeId":"8389765568816714211"}]"#;
    let (exchange, ..) = adapter(Script::timed().then(200, row));
    let income = exchange.fetch_income(window()).await.unwrap().rows.remove(0).entity;
    assert_eq!(income.amount.to_string(), "-0.0514004");
    assert_eq!(income.fill_id.unwrap().as_str(), "8389765568816714211");
}

#[tokio::test]
async fn zero_stands_for_nothing_where_the_exchange_means_nothing() {
    let order = order_of(ORDER_ROW).await;
    assert_eq!((order.terms.price, order.executed.as_ref().unwrap().avg_price), (None, None));
    assert_eq!(order.terms.trigger_price.unwrap().to_string(), "9300");
    assert_eq!(order.terms.qty.unwrap().to_string(), "0.4");
    assert_eq!(order.order_type.unwrap().as_str(), "STOP_MARKET");
    assert_eq!(order.position_side, Some(PositionSide::Short));
    assert_eq!(order.key.order_id.as_str(), "8389765568816714212");
    // Closing "the whole position" has no quantity.
    let closing = ORDER_ROW.replace("\"0.40\"", "\"0\"").replace("\"closePosition\":false", "\"closePosition\":true");
    let order = order_of(&closing).await;
    assert_eq!((order.terms.qty, order.close_position), (None, Some(true)));
    let rows =
        r#"[{"symbol":"BTCUSDT","positionSide":"BOTH","positionAmt":"-0.100","entryPrice":"0.0","updateTime":0}]"#;
    let (exchange, ..) = adapter(Script::timed().then(200, rows));
    let position = exchange.fetch_positions(None).await.unwrap().rows.remove(0).entity;
    assert_eq!((position.qty.to_string().as_str(), position.entry_price), ("-0.1", None));
    assert_eq!(position.at.as_ms(), NOW_MS);
}

#[tokio::test]
async fn ledger_rows_without_an_id_are_told_apart() {
    let row = |tran: &str, time: i64| {
        format!(
            r#"{{"symbol":"","incomeType":"BRAND_NEW_TYPE","income":"0.5","asset":"USDT","info":"x","time":{time},"tranId":{tran},"tradeId":""}}"#
        )
    };
    let page = [
        row("\"\"", NOW_MS - 9),
        row("\"\"", NOW_MS - 9),
        row("\"\"", NOW_MS - 8),
        row("7", NOW_MS - 7),
        row("\"8\"", NOW_MS - 7),
    ];
    let answer = format!("[{}]", page.join(","));
    let ids = |answer: String| async move {
        let (exchange, ..) = adapter(Script::timed().then(200, &answer));
        let rows = exchange.fetch_income(window()).await.unwrap().rows;
        assert!(rows.iter().all(|row| row.entity.key.symbol.is_none() && row.entity.fill_id.is_none()));
        rows.into_iter().map(|row| row.entity.key.tran_id.to_string()).collect::<Vec<_>>()
    };
    let first = ids(answer.clone()).await;
    assert_eq!(first.len(), 5);
    assert_eq!(first.iter().collect::<std::collections::BTreeSet<_>>().len(), 5, "{first:?}");
    assert_eq!(&first[3..], ["7", "8"]);
    // The same answer another time gives the same ids.
    assert_eq!(ids(answer).await, first);
}

#[tokio::test]
async fn a_duplicate_or_unsorted_page_is_put_right() {
    let with_id = |id: i64| TRADE.replace("8389765568816714211", &id.to_string());
    let answer = format!("[{},{},{}]", with_id(12), with_id(10), with_id(12));
    let (exchange, ..) = adapter(Script::timed().then(200, &answer));
    let page = exchange.fetch_my_trades(btc(), from_id("1")).await.unwrap();
    let ids: Vec<_> = page.rows.iter().map(|row| row.entity.sequence.unwrap()).collect();
    assert_eq!((ids, page.next), (vec![10, 12], None));
}

#[tokio::test]
async fn rows_that_were_not_asked_for_are_refused() {
    match trade_error(&TRADE.replace("\"BTCUSDT\"", "\"ETHUSDT\"")).await {
        ExchangeError::Malformed { field: "symbol", problem, .. } => assert_eq!(*problem, FieldProblem::NotAskedFor),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn an_answer_of_any_other_shape_is_an_error() {
    for (status, body, class) in [
        (200, "", ErrorClass::Malformed),
        (200, "<html>ok</html>", ErrorClass::Malformed),
        (200, "[{\"symbol\":\"BTCUSDT\",", ErrorClass::Malformed),
        (200, "{}", ErrorClass::Malformed),
        (200, "[7]", ErrorClass::Malformed),
        (200, r#"{"code":-1121,"msg":"Invalid symbol."}"#, ErrorClass::Symbol),
        (301, "", ErrorClass::Unavailable),
        (302, "<html>moved</html>", ErrorClass::Unavailable),
        (400, r#"{"code":-1121,"msg":"Invalid symbol."}"#, ErrorClass::Symbol),
        (400, r#"{"code":-4141,"msg":"Symbol is closed."}"#, ErrorClass::Symbol),
        (401, r#"{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}"#, ErrorClass::Authentication),
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
        // Nothing was repeated: the time, and the one request.
        assert_eq!(script.asked().len(), 2, "{status} {body}");
    }
}

#[tokio::test]
async fn a_sent_order_is_done_rejected_or_unknown() {
    let outcome = |script: Script| async {
        let (exchange, script, _) = adapter(script);
        let outcome = match exchange.create_order(new_order()).await {
            SendOutcome::Done(_) => "done",
            SendOutcome::Rejected(_) => "rejected",
            SendOutcome::Unknown(_) => "unknown",
        };
        // Whatever happened, the order was sent at most once.
        assert!(script.asked().iter().filter(|asked| asked.starts_with("POST")).count() <= 1);
        outcome
    };
    let unknown_text = r#"{"code":-1000,"msg":"Unknown error, please check your request or try again later."}"#;
    for (script, expected) in [
        (Script::timed().then(200, ORDER_ROW), "done"),
        (Script::timed().then(400, r#"{"code":-2019,"msg":"Margin is insufficient."}"#), "rejected"),
        (Script::timed().then(400, r#"{"code":-1021,"msg":"Timestamp for this request"}"#), "rejected"),
        (Script::timed().then(429, ""), "rejected"),
        (Script::timed().then(403, "<html>"), "rejected"),
        (Script::timed().then(503, "Service Unavailable."), "rejected"),
        (
            Script::timed().then(
                503,
                r#"{"code":-1001,"msg":"Internal error; unable to process your request. Please try again."}"#,
            ),
            "rejected",
        ),
        (Script::timed().then(503, r#"{"code":-1008,"msg":"overloaded"}"#), "rejected"),
        (Script::timed().then(503, unknown_text), "unknown"),
        (Script::timed().then(503, "Unknown error, please check your request or try again later."), "unknown"),
        (Script::timed().then(504, "<html>"), "unknown"),
        (
            Script::timed().then(400, r#"{"code":-1007,"msg":"Timeout waiting for response from backend server."}"#),
            "unknown",
        ),
        (Script::timed().then(408, ""), "unknown"),
        (Script::timed().then(200, "{\"orderId\":123"), "unknown"),
        (Script::timed().then(200, "<html>"), "unknown"),
        (Script::timed().then_fails(TransportError::NotSent("refused".into())), "rejected"),
        (Script::timed().then_fails(TransportError::Lost("reset".into())), "unknown"),
        // The question for the time was lost: the order itself was never sent.
        (Script::default().then_fails(TransportError::Lost("reset".into())), "rejected"),
    ] {
        let last = format!("{:?}", script.answers.lock().unwrap().back());
        assert_eq!(outcome(script).await, expected, "{last}");
    }
}

#[tokio::test]
async fn a_wrong_clock_is_measured_and_the_read_repeated_once() {
    let wrong = r#"{"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}"#;
    let ahead_ms = NOW_MS + 300_000;
    let script = Script::timed()
        .then(400, wrong)
        .then(200, &format!(r#"{{"serverTime":{ahead_ms}}}"#))
        .then(200, "[]")
        .then(400, wrong)
        .then(200, &format!(r#"{{"serverTime":{ahead_ms}}}"#))
        .then(400, wrong);
    let (exchange, script, _) = adapter(script);
    assert!(exchange.fetch_positions(None).await.unwrap().rows.is_empty());
    assert!(script.asked()[3].contains(&format!("timestamp={ahead_ms}")), "{:?}", script.asked());
    // Still wrong: an error, no endless repetition.
    assert_eq!(exchange.fetch_positions(None).await.unwrap_err().class(), ErrorClass::Clock);
    assert_eq!(script.asked().len(), 7);
}

#[tokio::test]
async fn nothing_is_sent_while_the_exchange_asks_to_wait() {
    for (status, headers, wait_secs) in [
        (429, &[("retry-after", "7")][..], 7),
        (429, &[], 60),
        (418, &[], 120),
        (418, &[("retry-after", "3600")], 3_600),
    ] {
        let script = Script::timed().then_with(status, "", headers).then(200, "[]");
        let (exchange, script, clock) = adapter(script);
        match exchange.fetch_positions(None).await.unwrap_err() {
            ExchangeError::Throttled { until, .. } => {
                assert_eq!(until.as_ms(), NOW_MS + wait_secs * 1_000);
            }
            other => panic!("{other}"),
        }
        clock.advance(Duration::from_millis(u64::try_from(wait_secs).unwrap() * 1_000 - 1));
        assert_eq!(exchange.fetch_positions(None).await.unwrap_err().class(), ErrorClass::Throttled);
        assert_eq!(script.asked().len(), 2);
        clock.advance(Duration::from_millis(1));
        assert!(exchange.fetch_positions(None).await.is_ok());
    }
}

#[tokio::test]
async fn an_order_that_is_not_found_is_no_error_and_no_change_needed_is_done() {
    let (exchange, ..) = adapter(Script::timed().then(400, r#"{"code":-2013,"msg":"Order does not exist."}"#));
    let reference = OrderRef::Id(OrderClass::Regular, OrderId::new("1").unwrap());
    assert_eq!(exchange.fetch_order(btc(), reference).await.unwrap(), None);
    let (exchange, ..) =
        adapter(Script::timed().then(400, r#"{"code":-4059,"msg":"No need to change position side."}"#));
    assert!(exchange.set_position_mode(PositionMode::Hedge).await.done().is_some());
}

#[tokio::test]
async fn a_crowded_ledger_is_bisected_and_the_cut_rows_come_again() {
    let row = |tran: i64, time: i64| {
        format!(
            r#"{{"symbol":"","incomeType":"TRANSFER","income":"1","asset":"USDT","info":"","time":{time},"tranId":{tran},"tradeId":""}}"#
        )
    };
    let page = |rows: std::ops::Range<i64>| {
        format!("[{}]", rows.map(|tran| row(tran, NOW_MS - 10_000 + tran)).collect::<Vec<_>>().join(","))
    };
    let script = Script::timed().then(200, &page(0..1_000)).then(200, &page(0..700)).then(200, &page(700..1_400));
    let (exchange, script, _) = adapter(script);
    let mut next = Some(window());
    let mut seen = 0;
    while let Some(query) = next {
        let page = exchange.fetch_income(query).await.unwrap();
        seen += page.rows.len();
        next = page.next;
    }
    assert_eq!(seen, 1_400);
    assert_eq!(script.asked().len(), 4);
    // The two halves meet without gap or overlap.
    assert!(script.asked()[2].contains(&format!("startTime={}&endTime={}&", NOW_MS - 10_000, NOW_MS - 5_001)));
    assert!(
        script.asked()[3].contains(&format!("startTime={}&endTime={NOW_MS}&", NOW_MS - 5_000)),
        "{:?}",
        script.asked()
    );
}

fn nameless(time: i64, amount: &str, tran: &str) -> String {
    format!(
        r#"{{"symbol":"","incomeType":"REFERRAL_KICKBACK","income":"{amount}","asset":"USDT","info":"x","time":{time},"tranId":{tran},"tradeId":"0"}}"#
    )
}

#[tokio::test]
async fn the_same_ledger_rows_have_the_same_keys_in_every_form() {
    use crate::files::{ImportFile, Options};

    // Two identical rows of one second, one of the next, another amount, and one with an id.
    let times = [NOW_MS - 9_000, NOW_MS - 8_400, NOW_MS - 8_000, NOW_MS - 7_500];
    let amounts = ["0.01250000", "0.0125", "0.0125", "-3"];
    let keys = |name: &str, text: String| {
        let file = ImportFile::from_reader(name, std::io::Cursor::new(text.into_bytes()), Options::default()).unwrap();
        let facts = file.flat_map(|row| row.unwrap().result.unwrap()).map(|statement| statement.fact);
        let income = |fact| if let ledger_core::AnyFact::Income(income) = fact { Some(income.key) } else { None };
        facts.filter_map(income).collect::<Vec<_>>()
    };
    let mut csv = vec!["Date(UTC),type,Amount,Asset,Symbol,Transaction ID".to_owned()];
    let mut archive = vec!["symbol,incomeType,income,asset,info,time,tranId,tradeId".to_owned()];
    let mut rest = Vec::new();
    for (time, amount) in times.into_iter().zip(amounts) {
        // NOW_MS is 2026-05-28 20:26:40 UTC.
        let second = 40 - (NOW_MS - time + 999) / 1_000;
        csv.push(format!("2026-05-28 20:26:{second:02},REFERRAL_KICKBACK,{amount},USDT,,"));
        archive.push(format!(",REFERRAL_KICKBACK,{amount},USDT,x,{time},0,"));
        rest.push(nameless(time, amount, if rest.len() % 2 == 0 { "0" } else { "\"\"" }));
    }
    let (csv, archive) = (keys("a.csv", csv.join("\n")), keys("b.csv", archive.join("\n")));
    assert_eq!((csv.len(), csv.iter().collect::<std::collections::BTreeSet<_>>().len()), (4, 4));
    assert_eq!(archive, csv);
    let (exchange, ..) = adapter(Script::timed().then(200, &format!("[{}]", rest.join(","))));
    let rows = exchange.fetch_income(window()).await.unwrap().rows;
    assert_eq!(rows.into_iter().map(|row| row.entity.key).collect::<Vec<_>>(), csv);
}

/// Answers the ledger from a list, a page at most, as the exchange does.
struct Ledger(Vec<i64>);

#[async_trait]
impl Transport for Ledger {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        if request.path.ends_with("time") {
            let body = Bytes::from(format!(r#"{{"serverTime":{NOW_MS}}}"#));
            return Ok(Response { status: 200, headers: Vec::new(), body });
        }
        let bound = |name: &str| {
            let value = request.query.split('&').find_map(|pair| pair.strip_prefix(name)).unwrap();
            value.parse::<i64>().unwrap()
        };
        let asked = bound("startTime=")..=bound("endTime=");
        let rows = self.0.iter().filter(|time| asked.contains(time)).take(1_000);
        let rows: Vec<_> = rows.map(|time| nameless(*time, "1", "\"\"")).collect();
        Ok(Response { status: 200, headers: Vec::new(), body: Bytes::from(format!("[{}]", rows.join(","))) })
    }
}

#[tokio::test]
async fn a_ledger_row_without_an_id_has_one_id_wherever_pages_begin() {
    // Identical rows all over; one second holds two and a half pages.
    let mut times: Vec<i64> = (0..40).map(|index| NOW_MS - 9_990 + index * 250).collect();
    times.extend((0..2_500).map(|index| NOW_MS - 5_000 + index % 900));
    times.sort_unstable();
    let clock = Arc::new(ManualClock::new(TimestampMs::new(NOW_MS).unwrap()));
    let credentials = Credentials::new("the-key", "the-secret").unwrap();
    let ledger = Arc::new(Ledger(times.clone()));
    let exchange = BinanceUsdm::new(ledger, clock, "https://fapi.binance.com", credentials).unwrap();
    let walk = |since: i64| {
        let exchange = &exchange;
        async move {
            let at = |ms| TimestampMs::new(NOW_MS + ms).unwrap();
            let mut next = Some(WindowQuery::new(TimeWindow::new(at(since), at(0)).unwrap()));
            let mut seen = std::collections::BTreeMap::new();
            while let Some(query) = next {
                let page = exchange.fetch_income(query).await.unwrap();
                for row in page.rows {
                    assert!(seen.insert(row.entity.key, row.entity.time.at.as_ms()).is_none());
                }
                next = page.next;
            }
            seen
        }
    };
    let all = walk(-10_000).await;
    assert_eq!(all.len(), times.len());
    for since in [-9_700, -9_001, -4_999, -4_321, -1] {
        for (key, time) in walk(since).await {
            assert_eq!(all.get(&key), Some(&time), "{since}: {key:?}");
        }
    }
}
