//! Commands: what is sent, and what became of it.

use ledger_core::Price;

use super::*;
use crate::api::{Amendment, InvalidOrder, MarginMode, OrderSize, TimeInForce, Trigger, WorkingType};

pub(super) const ALGO_ROW: &str = r#"{"algoId":2146760,"clientAlgoId":"x-1:entry","algoType":"CONDITIONAL","orderType":"STOP_MARKET",
  "symbol":"BTCUSDT","side":"SELL","positionSide":"BOTH","timeInForce":"GTC","quantity":"0.010","algoStatus":"NEW",
  "triggerPrice":"60000.00","price":"0.00","icebergQuantity":null,"workingType":"MARK_PRICE","closePosition":false,
  "reduceOnly":true,"activatePrice":"","callbackRate":"","createTime":1779999999000,"updateTime":1780000000000,
  "triggerTime":0,"goodTillDate":0}"#;

/// A limit order of 0.02 at 58000.
pub(super) const AMENDED: &str = r#"{"orderId":8389765568816714212,"symbol":"BTCUSDT","status":"NEW","clientOrderId":"x-1:entry",
  "price":"58000.00","origQty":"0.020","executedQty":"0","type":"LIMIT","origType":"LIMIT","side":"BUY",
  "positionSide":"BOTH","timeInForce":"GTC","reduceOnly":false,"closePosition":false,"updateTime":1780000000000}"#;

const DONE: &str = r#"{"code":200,"msg":"success"}"#;

pub(super) fn name<T>(outcome: &SendOutcome<T>) -> &'static str {
    match outcome {
        SendOutcome::Done(_) => "done",
        SendOutcome::Rejected(_) => "rejected",
        SendOutcome::Unknown(_) => "unknown",
    }
}

/// An answer with the terms of an order.
pub(super) fn answer_to(order: &NewOrder) -> String {
    let (price, trigger) = match &order.kind {
        OrderKind::Limit { .. } => ("59000.50", "0"),
        OrderKind::Stop { .. } | OrderKind::TakeProfit { .. } => ("59000.50", "60000.00"),
        OrderKind::StopMarket { .. } | OrderKind::TakeProfitMarket { .. } => ("0.00", "60000.00"),
        _ => ("0", "0"),
    };
    let closes = order.size == OrderSize::ClosePosition;
    let row = if order.kind.class() == OrderClass::Regular { PLACED } else { ALGO_ROW };
    row.replace("BUY", order.side.as_str())
        .replace("\"MARKET\"", &format!("\"{}\"", order.kind.name()))
        .replace("STOP_MARKET", order.kind.name())
        .replace("\"BOTH\"", &format!("\"{}\"", order.position_side).replace("NET", "BOTH"))
        .replace("\"price\":\"0.00\"", &format!("\"price\":\"{price}\""))
        .replace("\"triggerPrice\":\"60000.00\"", &format!("\"triggerPrice\":\"{trigger}\""))
        .replace("\"quantity\":\"0.010\"", if closes { "\"quantity\":\"0\"" } else { "\"quantity\":\"0.010\"" })
        .replace("\"closePosition\":false", &format!("\"closePosition\":{closes}"))
        .replace("\"reduceOnly\":false", &format!("\"reduceOnly\":{}", order.reduce_only))
}

/// What was sent last, without its beginning and what every signed request has.
fn sent(script: &Script) -> String {
    let last = script.asked().pop().unwrap();
    last.split("&recvWindow=").next().unwrap().to_owned()
}

#[tokio::test]
async fn a_sent_order_is_done_rejected_or_unknown() {
    let unknown_text = r#"{"code":-1000,"msg":"Unknown error, please check your request or try again later."}"#;
    for (script, expected) in [
        (Script::timed().then(200, PLACED), "done"),
        (Script::timed().then(400, r#"{"code":-2019,"msg":"Margin is insufficient."}"#), "rejected"),
        (Script::timed().then(400, r#"{"code":-4116,"msg":"ClientOrderId is duplicated."}"#), "rejected"),
        (Script::timed().then(200, r#"{"code":-2021,"msg":"Order would immediately trigger."}"#), "rejected"),
        (Script::timed().then(400, r#"{"code":-1021,"msg":"Timestamp for this request"}"#), "rejected"),
        (Script::timed().then(429, ""), "rejected"),
        (Script::timed().then(418, ""), "rejected"),
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
        (Script::timed().then(503, "<html>503 Service Unavailable</html>"), "unknown"),
        (Script::timed().then(504, "<html>"), "unknown"),
        (
            Script::timed().then(400, r#"{"code":-1007,"msg":"Timeout waiting for response from backend server."}"#),
            "unknown",
        ),
        (Script::timed().then(400, r#"{"code":-1006,"msg":"An unexpected response was received."}"#), "unknown"),
        (Script::timed().then(408, ""), "unknown"),
        (Script::timed().then(307, ""), "unknown"),
        (Script::timed().then(200, ""), "unknown"),
        (Script::timed().then(200, "{\"orderId\":123"), "unknown"),
        (Script::timed().then(200, "{\"orderId\":123}"), "unknown"),
        (Script::timed().then(200, "<html>"), "unknown"),
        (Script::timed().then_fails(TransportError::NotSent("refused".into())), "rejected"),
        (Script::timed().then_fails(TransportError::Lost("reset".into())), "unknown"),
        // The question for the time was lost: the order itself was never sent.
        (Script::default().then_fails(TransportError::Lost("reset".into())), "rejected"),
    ] {
        let last = format!("{:?}", script.answers.lock().unwrap().back());
        let (exchange, script, _) = adapter(script);
        assert_eq!(name(&exchange.create_order(new_order()).await), expected, "{last}");
        // Whatever happened, the order was sent at most once.
        assert!(script.asked().iter().filter(|asked| asked.starts_with("POST")).count() <= 1);
    }
}

#[tokio::test]
async fn every_kind_of_order_is_asked_for_as_documented() {
    let price: Price = "59000.5".parse().unwrap();
    let trigger = Trigger::from("60000".parse::<Price>().unwrap());
    let marked = Trigger { working_type: WorkingType::MarkPrice, ..trigger };
    let sell = NewOrder { side: Side::Sell, ..new_order() };
    let regular = "POST /fapi/v1/order?symbol=BTCUSDT&side=SELL&positionSide=";
    let algo = "POST /fapi/v1/algoOrder?algoType=CONDITIONAL&symbol=BTCUSDT&side=SELL&positionSide=";
    for (order, expected) in [
        (
            NewOrder { kind: OrderKind::limit(price), ..sell.clone() },
            format!(
                "{regular}BOTH&type=LIMIT&timeInForce=GTC&price=59000.5&quantity=0.01&newClientOrderId=x-1%3Aentry&newOrderRespType=RESULT"
            ),
        ),
        (
            NewOrder {
                kind: OrderKind::Limit { price, time_in_force: TimeInForce::Gtx },
                position_side: PositionSide::Short,
                ..sell.clone()
            },
            format!(
                "{regular}SHORT&type=LIMIT&timeInForce=GTX&price=59000.5&quantity=0.01&newClientOrderId=x-1%3Aentry&newOrderRespType=RESULT"
            ),
        ),
        (
            NewOrder { reduce_only: true, ..sell.clone() },
            format!(
                "{regular}BOTH&type=MARKET&quantity=0.01&reduceOnly=true&newClientOrderId=x-1%3Aentry&newOrderRespType=RESULT"
            ),
        ),
        (
            NewOrder {
                kind: OrderKind::Stop { trigger: marked, price, time_in_force: TimeInForce::Ioc },
                reduce_only: true,
                ..sell.clone()
            },
            format!(
                "{algo}BOTH&type=STOP&timeInForce=IOC&price=59000.5&triggerPrice=60000&workingType=MARK_PRICE&quantity=0.01&reduceOnly=true&clientAlgoId=x-1%3Aentry"
            ),
        ),
        (
            NewOrder {
                kind: OrderKind::StopMarket { trigger },
                size: OrderSize::ClosePosition,
                position_side: PositionSide::Long,
                ..sell.clone()
            },
            format!(
                "{algo}LONG&type=STOP_MARKET&triggerPrice=60000&workingType=CONTRACT_PRICE&closePosition=true&clientAlgoId=x-1%3Aentry"
            ),
        ),
        (
            NewOrder {
                kind: OrderKind::TakeProfit { trigger, price, time_in_force: TimeInForce::Gtc },
                ..sell.clone()
            },
            format!(
                "{algo}BOTH&type=TAKE_PROFIT&timeInForce=GTC&price=59000.5&triggerPrice=60000&workingType=CONTRACT_PRICE&quantity=0.01&clientAlgoId=x-1%3Aentry"
            ),
        ),
        (
            NewOrder { kind: OrderKind::TakeProfitMarket { trigger }, ..sell.clone() },
            format!(
                "{algo}BOTH&type=TAKE_PROFIT_MARKET&triggerPrice=60000&workingType=CONTRACT_PRICE&quantity=0.01&clientAlgoId=x-1%3Aentry"
            ),
        ),
        (
            NewOrder {
                kind: OrderKind::TrailingStopMarket {
                    activation_price: Some(price),
                    callback_rate_percent: "0.5".parse().unwrap(),
                    working_type: WorkingType::ContractPrice,
                },
                ..sell.clone()
            },
            format!(
                "{algo}BOTH&type=TRAILING_STOP_MARKET&activatePrice=59000.5&callbackRate=0.5&workingType=CONTRACT_PRICE&quantity=0.01&clientAlgoId=x-1%3Aentry"
            ),
        ),
    ] {
        let (exchange, script, _) = adapter(Script::timed().then(200, &answer_to(&order)));
        let placed = exchange.create_order(order.clone()).await.done().unwrap();
        assert_eq!(placed.entity.key.class, order.kind.class());
        assert_eq!(sent(&script), expected);
    }
}

#[tokio::test]
async fn what_the_exchange_would_refuse_is_not_sent() {
    let long_id = ClientOrderId::new("x".repeat(37)).unwrap();
    let spaced_id = ClientOrderId::new("no spaces").unwrap();
    for (order, expected) in [
        (NewOrder { client_order_id: long_id, ..new_order() }, InvalidOrder::ClientOrderId { len_max: 36 }),
        (NewOrder { client_order_id: spaced_id, ..new_order() }, InvalidOrder::ClientOrderId { len_max: 36 }),
        (NewOrder { size: OrderSize::ClosePosition, ..new_order() }, InvalidOrder::ClosePositionKind),
        (
            NewOrder { reduce_only: true, position_side: PositionSide::Long, ..new_order() },
            InvalidOrder::ReduceOnlyInHedgeMode,
        ),
    ] {
        let (exchange, script, _) = adapter(Script::timed());
        match exchange.create_order(order).await {
            SendOutcome::Rejected(ExchangeError::InvalidOrder { source, .. }) => assert_eq!(source, expected),
            other => panic!("{other:?}"),
        }
        assert!(script.asked().is_empty());
    }
}

#[tokio::test]
async fn an_order_is_amended_in_place_or_not_at_all() {
    let amendment = |class| Amendment {
        symbol: btc(),
        order: OrderRef::Client(class, ClientOrderId::new("x-1:entry").unwrap()),
        side: Side::Buy,
        qty: "0.02".parse().unwrap(),
        price: "58000".parse().unwrap(),
    };
    let (exchange, script, _) = adapter(Script::timed().then(200, AMENDED));
    assert!(exchange.amend_order(amendment(OrderClass::Regular)).await.done().is_some());
    assert_eq!(
        sent(&script),
        "PUT /fapi/v1/order?symbol=BTCUSDT&origClientOrderId=x-1%3Aentry&side=BUY&quantity=0.02&price=58000"
    );
    let outcome = exchange.amend_order(amendment(OrderClass::Conditional)).await;
    assert!(matches!(outcome, SendOutcome::Rejected(ExchangeError::Unsupported { .. })));
    assert_eq!(script.asked().len(), 2);
}

#[tokio::test]
async fn a_cancelled_order_has_a_state_or_is_said_to_be_done() {
    let by_id = |class| OrderRef::Id(class, OrderId::new("2146760").unwrap());
    let (exchange, script, _) = adapter(Script::timed().then(200, CANCELED));
    let done = exchange.cancel_order(btc(), that_order()).await.done().unwrap().unwrap();
    assert_eq!(done.entity.status, OrderStatus::Canceled);
    assert_eq!(sent(&script), "DELETE /fapi/v1/order?symbol=BTCUSDT&orderId=8389765568816714212");

    // A conditional order has been seen answered both ways: with its state, and with a notice that does not tell it.
    let canceled = ALGO_ROW.replace("NEW", "CANCELED");
    let notice = r#"{"algoId":2146760,"clientAlgoId":"x-1:entry","code":"200","msg":"success"}"#;
    for (script, requests, told) in [
        (Script::timed().then(200, &canceled), 2, true),
        (Script::timed().then(200, &canceled.replacen('{', "{\"code\":\"200\",\"msg\":\"success\",", 1)), 2, true),
        (Script::timed().then(200, notice).then(200, &canceled), 3, true),
        (Script::timed().then(200, notice).then(400, r#"{"code":-2013,"msg":"Order does not exist."}"#), 3, false),
        (Script::timed().then(200, notice).then_fails(TransportError::Lost("reset".into())), 3, false),
    ] {
        let (exchange, script, _) = adapter(script);
        let done = exchange.cancel_order(btc(), by_id(OrderClass::Conditional)).await.done().unwrap();
        assert_eq!(done.map(|order| order.entity.status), told.then_some(OrderStatus::Canceled));
        assert_eq!(script.asked().len(), requests);
        assert!(script.asked()[1].starts_with("DELETE /fapi/v1/algoOrder?symbol=BTCUSDT&algoId=2146760&"));
    }
    // Not working any more: surely not cancelled by this.
    let (exchange, ..) = adapter(Script::timed().then(400, r#"{"code":-2011,"msg":"Unknown order sent."}"#));
    match exchange.cancel_order(btc(), by_id(OrderClass::Regular)).await {
        SendOutcome::Rejected(error) => assert_eq!(error.class(), ErrorClass::NotFound),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn all_orders_of_a_contract_are_cancelled_by_class() {
    let (exchange, script, _) = adapter(Script::timed().then(200, DONE).then(200, DONE));
    assert!(exchange.cancel_all_orders(btc()).await.done().is_some());
    assert_eq!(sent(&script), "DELETE /fapi/v1/allOpenOrders?symbol=BTCUSDT");
    assert!(exchange.cancel_all_conditional_orders(btc()).await.done().is_some());
    assert_eq!(sent(&script), "DELETE /fapi/v1/algoOpenOrders?symbol=BTCUSDT");
    let (exchange, ..) = adapter(Script::timed().then(504, ""));
    assert_eq!(name(&exchange.cancel_all_orders(btc()).await), "unknown");
}

#[tokio::test]
async fn each_order_of_a_side_has_an_outcome_of_its_own() {
    let row = |id: &str, side: &str, position_side: &str| {
        ALGO_ROW.replace("2146760", id).replace("SELL", side).replace("BOTH", position_side)
    };
    let list = [
        row("1", "SELL", "LONG"),
        row("2", "BUY", "SHORT"),
        row("3", "SELL", "LONG"),
        row("4", "SELL", "SHORT"),
        row("5", "SELL", "LONG"),
    ];
    let script = Script::timed()
        .then(200, &format!("[{}]", list.join(",")))
        .then(200, &row("1", "SELL", "LONG").replace("NEW", "CANCELED"))
        .then(400, r#"{"code":-2011,"msg":"Unknown order sent."}"#)
        .then_fails(TransportError::Lost("reset".into()));
    let (exchange, script, _) = adapter(script);
    let cancelled = exchange.cancel_conditional_by_side(btc(), Side::Sell, Some(PositionSide::Long)).await.unwrap();
    let outcomes: Vec<_> =
        cancelled.iter().map(|one| (one.listed.entity.key.order_id.as_str(), name(&one.outcome))).collect();
    assert_eq!(outcomes, [("1", "done"), ("3", "rejected"), ("5", "unknown")]);
    assert!(script.asked()[1].starts_with("GET /fapi/v1/openAlgoOrders?symbol=BTCUSDT&"));
    // Not listed, nothing cancelled.
    let (exchange, script, _) = adapter(Script::timed().then(502, ""));
    assert!(exchange.cancel_conditional_by_side(btc(), Side::Sell, None).await.is_err());
    assert_eq!(script.asked().len(), 2);
}

#[tokio::test]
async fn no_change_needed_is_done() {
    let margin = r#"{"code":-4046,"msg":"No need to change margin type."}"#;
    let mode = r#"{"code":-4059,"msg":"No need to change position side."}"#;
    for notice in [DONE, margin] {
        let (exchange, script, _) = adapter(Script::timed().then(if notice == DONE { 200 } else { 400 }, notice));
        assert!(exchange.set_margin_mode(btc(), MarginMode::Isolated).await.done().is_some());
        assert_eq!(sent(&script), "POST /fapi/v1/marginType?symbol=BTCUSDT&marginType=ISOLATED");
    }
    for notice in [DONE, mode] {
        let (exchange, script, _) = adapter(Script::timed().then(if notice == DONE { 200 } else { 400 }, notice));
        assert!(exchange.set_position_mode(PositionMode::Hedge).await.done().is_some());
        assert_eq!(sent(&script), "POST /fapi/v1/positionSide/dual?dualSidePosition=true");
    }
    // Each of the other's words is a refusal.
    let (exchange, ..) = adapter(Script::timed().then(400, margin));
    assert_eq!(name(&exchange.set_position_mode(PositionMode::Hedge).await), "rejected");
    let open = r#"{"code":-4067,"msg":"Position side cannot be changed if there exists open orders."}"#;
    let (exchange, ..) = adapter(Script::timed().then(400, open));
    assert_eq!(name(&exchange.set_position_mode(PositionMode::Hedge).await), "rejected");

    let leverage = r#"{"leverage":20,"maxNotionalValue":"1000000","symbol":"BTCUSDT"}"#;
    // One about another contract, or about none, says nothing about this one; another leverage was not set by this.
    let others = [("BTCUSDT", "ETHUSDT"), ("symbol", "other"), ("20", "19"), ("20", "20.0")];
    for other in others.map(|(from, to)| leverage.replace(from, to)) {
        let (exchange, ..) = adapter(Script::timed().then(200, &other));
        assert_eq!(name(&exchange.set_leverage(btc(), 20).await), "unknown");
    }
    let (exchange, script, _) = adapter(Script::timed().then(200, leverage).then(200, DONE));
    assert_eq!(exchange.set_leverage(btc(), 20).await.done(), Some(20));
    assert_eq!(sent(&script), "POST /fapi/v1/leverage?symbol=BTCUSDT&leverage=20");
    assert_eq!(name(&exchange.set_leverage(btc(), 21).await), "unknown");
}

#[tokio::test(start_paused = true)]
async fn what_a_command_needs_to_know_is_asked_once_and_at_once() {
    let reference = || OrderRef::Id(OrderClass::Conditional, OrderId::new("2146760").unwrap());
    let notice = r#"{"algoId":2146760,"clientAlgoId":"x-1:entry","code":"200","msg":"success"}"#;
    let used_up = [("x-mbx-used-weight-1m", "2390")];
    let begun = tokio::time::Instant::now();
    // The state of what was cancelled, in trouble and with the minute's budget used up.
    for script in [
        Script::timed().then_with(200, "[]", &used_up).then(200, notice).then(200, ALGO_ROW),
        Script::timed().then_with(200, "[]", &used_up).then(200, notice).then(502, ""),
        Script::timed().then_with(200, "[]", &used_up).then(200, notice).then_with(429, "", &[("retry-after", "60")]),
    ] {
        let (exchange, script, _) = adapter_with(script, RequestSettings::default());
        exchange.fetch_balances(&whoever()).await.unwrap();
        assert_eq!(name(&exchange.cancel_order(btc(), reference()).await), "done");
        assert_eq!(script.asked().len(), 4);
    }
    // The list of what is to be cancelled.
    for (status, listed) in [(200, true), (502, false), (429, false)] {
        let script = Script::timed().then_with(200, "[]", &used_up).then(status, "[]");
        let (exchange, script, _) = adapter_with(script, RequestSettings::default());
        exchange.fetch_balances(&whoever()).await.unwrap();
        assert_eq!(exchange.cancel_conditional_by_side(btc(), Side::Sell, None).await.is_ok(), listed);
        assert_eq!(script.asked().len(), 3);
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
}
