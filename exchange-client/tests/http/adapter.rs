//! The adapter over the wire: bodies that end early, connections that drop, hosts that point elsewhere.

use std::sync::Arc;
use std::time::Duration;

use exchange_client::binance_usdm::{BinanceUsdm, RequestSettings, RetryPolicy};
use exchange_client::{
    Credentials, ErrorClass, ExchangeError, ExchangeReader, ExchangeTrader, HttpTransport, HttpTransportConfig,
    NewOrder, OrderKind, OrderRef, SendOutcome, SystemClock,
};
use ledger_core::{ClientOrderId, OrderClass, PositionSide, Quantity, Side, Symbol};

use crate::server::{Deed, Server};

const ORDER: &str = r#"{"orderId":8389765568816714212,"symbol":"BTCUSDT","status":"NEW","clientOrderId":"x-1","price":"0",
  "avgPrice":"0.00000","origQty":"0.010","executedQty":"0","cumQuote":"0","timeInForce":"GTC","type":"MARKET",
  "origType":"MARKET","reduceOnly":false,"closePosition":false,"side":"BUY","positionSide":"BOTH","stopPrice":"0",
  "updateTime":1780000000000}"#;

fn answer(status: &str, headers: &str, body: &str) -> Deed {
    let length = body.len();
    Deed::Answer(format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"))
}

fn ok(body: &str) -> Deed {
    answer("200 OK", "content-type: application/json;charset=UTF-8\r\n", body)
}

fn time() -> Deed {
    ok(r#"{"serverTime":1780000000000}"#)
}

/// A body that says it is longer than it is.
fn cut_off(body: &str) -> Deed {
    let length = body.len() + 100;
    Deed::Answer(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}"))
}

/// A chunked body whose last chunk never comes.
fn cut_off_chunks(body: &str) -> Deed {
    let length = body.len();
    Deed::Answer(format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n"))
}

fn adapter(server: &Server, attempts_max: u32) -> BinanceUsdm {
    let config = HttpTransportConfig { request_timeout: Duration::from_secs(5), ..HttpTransportConfig::default() };
    let transport = Arc::new(HttpTransport::new(config).unwrap());
    let credentials = Credentials::new("the-key", "the-secret").unwrap();
    let delay = Duration::from_millis(1);
    let retry = RetryPolicy { attempts_max, delay_first: delay, delay_max: delay, ..RetryPolicy::default() };
    let settings = RequestSettings { retry, ..RequestSettings::default() };
    BinanceUsdm::with_settings(transport, Arc::new(SystemClock), &server.base_url, credentials, settings).unwrap()
}

fn btc() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

fn order() -> NewOrder {
    NewOrder {
        client_order_id: ClientOrderId::new("x-1").unwrap(),
        symbol: btc(),
        side: Side::Buy,
        position_side: PositionSide::Net,
        kind: OrderKind::Market,
        size: "0.010".parse::<Quantity>().unwrap().into(),
        reduce_only: false,
    }
}

fn posts(server: &Server) -> usize {
    server.asked().iter().filter(|line| line.starts_with("POST")).count()
}

fn with_sources(error: &ExchangeError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text} {error}");
        source = error.source();
    }
    text
}

#[tokio::test]
async fn a_body_that_ends_early_is_asked_for_again_or_an_error() {
    for broken in [cut_off("[{\"symbol\":"), cut_off_chunks("[]"), ok("[{\"symbol\":\"BTC"), ok(""), Deed::HangUp] {
        let server = Server::script([time(), broken.clone(), ok("[]")]).await;
        assert!(adapter(&server, 3).fetch_positions(None).await.unwrap().rows.is_empty(), "{broken:?}");

        let server = Server::script([time(), broken.clone(), ok("[]")]).await;
        let error = adapter(&server, 1).fetch_positions(None).await.unwrap_err();
        assert!(matches!(error.class(), ErrorClass::Unavailable | ErrorClass::Malformed), "{broken:?}: {error}");
        let shown = with_sources(&error);
        assert!(!shown.contains("signature") && !shown.contains("the-key"), "{shown}");
    }
}

#[tokio::test]
async fn html_is_named_with_its_type() {
    let page = answer("200 OK", "content-type: text/html\r\n", "<html><title>Please log in</title></html>");
    let server = Server::script([time(), page]).await;
    let error = adapter(&server, 1).fetch_positions(None).await.unwrap_err().to_string();
    assert!(error.contains("text/html") && error.contains("Please log in"), "{error}");
}

#[tokio::test]
async fn an_order_whose_answer_is_lost_is_unknown_and_found_by_asking() {
    let by_client = || OrderRef::Client(OrderClass::Regular, ClientOrderId::new("x-1").unwrap());
    // The connection drops before the exchange has read the order, or after it has: nobody here can tell which.
    let unaccepted = [Deed::HangUp];
    let accepted = [Deed::Answer(String::new()), cut_off("{\"orderId\":83897"), cut_off_chunks(ORDER), ok("")];
    for (deed, found) in
        unaccepted.into_iter().map(|deed| (deed, false)).chain(accepted.into_iter().map(|deed| (deed, true)))
    {
        let missing = answer("400 Bad Request", "", r#"{"code":-2013,"msg":"Order does not exist."}"#);
        let afterwards = if found { ok(ORDER) } else { missing };
        let server = Server::script([time(), deed.clone(), afterwards]).await;
        let exchange = adapter(&server, 3);
        match exchange.create_order(order()).await {
            SendOutcome::Unknown(error) => assert!(!with_sources(&error).contains("signature"), "{error:?}"),
            other => panic!("{deed:?}: {other:?}"),
        }
        // Sent once at most, although reads are repeated; then asked for.
        assert_eq!(posts(&server), usize::from(found), "{deed:?}");
        assert_eq!(exchange.fetch_order(btc(), by_client()).await.unwrap().is_some(), found, "{deed:?}");
        assert_eq!(posts(&server), usize::from(found), "{deed:?}");
    }
}

#[tokio::test]
async fn an_order_that_nobody_took_is_rejected() {
    // Nobody listens any more at a port that was free a moment ago.
    let server = Server::script([time()]).await;
    let exchange = adapter(&server, 1);
    exchange.server_time().await.unwrap();
    server.stop().await;
    match exchange.create_order(order()).await {
        SendOutcome::Rejected(error) => assert!(matches!(error, ExchangeError::Unreachable { .. }), "{error:?}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn credentials_do_not_travel_to_another_host() {
    let thief = Server::always("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]").await;
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let location = format!("location: {}/fapi/v3/positionRisk?signature=c0ffee\r\n", thief.base_url);
        let server = Server::script([time(), answer(status, &location, ""), answer(status, &location, "")]).await;
        let exchange = adapter(&server, 3);
        let error = exchange.fetch_positions(None).await.unwrap_err();
        assert!(matches!(&error, ExchangeError::Redirected { location, .. } if location == "127.0.0.1"), "{error:?}");
        assert!(!with_sources(&error).contains("c0ffee"));
        // Whether the order was taken on the way is unknown.
        assert!(matches!(exchange.create_order(order()).await, SendOutcome::Unknown(_)));
        assert_eq!(posts(&server), 1);
    }
    assert!(thief.asked().is_empty());
}

#[tokio::test]
async fn asked_to_slow_down_it_keeps_quiet() {
    let slow = answer("429 Too Many Requests", "Retry-After: 120\r\n", r#"{"code":-1003,"msg":"Too many requests."}"#);
    let server = Server::script([time(), slow, ok("[]")]).await;
    let exchange = adapter(&server, 3);
    for _ in 0..3 {
        assert!(matches!(exchange.fetch_positions(None).await, Err(ExchangeError::Throttled { .. })));
    }
    assert_eq!(server.asked().len(), 2);
}
