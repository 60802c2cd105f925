//! Answers that are about something else, or say something else than what was sent.

use ledger_core::Price;

use super::trading::{ALGO_ROW, AMENDED, answer_to, name};
use super::*;
use crate::api::{Amendment, OrderSize, Stated, TimeInForce, Trigger};

#[tokio::test]
async fn an_answer_about_something_else_leaves_the_outcome_unknown() {
    let unknown = |outcome: SendOutcome<Stated<Order>>, field: &str| match outcome {
        SendOutcome::Unknown(ExchangeError::Malformed { field: named, problem, .. }) => {
            assert_eq!((named, *problem), (field, FieldProblem::NotAskedFor));
        }
        other => panic!("{field}: {other:?}"),
    };
    let other_id = PLACED.replace("x-1:entry", "x-2:entry");
    let other_symbol = PLACED.replace("BTCUSDT", "ETHUSDT");
    let other_side = PLACED.replace("BUY", "SELL");
    let script = Script::timed().then(200, &other_id).then(200, &other_symbol).then(200, &other_side);
    let (exchange, ..) = adapter(script.then(200, &other_side));
    unknown(exchange.create_order(new_order()).await, "clientOrderId");
    unknown(exchange.create_order(new_order()).await, "symbol");
    unknown(exchange.create_order(new_order()).await, "side");
    let amendment = Amendment {
        symbol: btc(),
        order: that_order(),
        side: Side::Buy,
        qty: "0.02".parse().unwrap(),
        price: "58000".parse().unwrap(),
    };
    unknown(exchange.amend_order(amendment).await, "side");
    // A notice that another conditional order was cancelled.
    let notice = r#"{"algoId":2146760,"clientAlgoId":"x-1:entry","code":"200","msg":"success"}"#;
    for reference in [
        OrderRef::Id(OrderClass::Conditional, OrderId::new("77").unwrap()),
        OrderRef::Client(OrderClass::Conditional, ClientOrderId::new("x-2:entry").unwrap()),
    ] {
        let (exchange, ..) = adapter(Script::timed().then(200, notice).then(200, ALGO_ROW));
        assert_eq!(name(&exchange.cancel_order(btc(), reference).await), "unknown");
    }
    // Asked for by id, answered with another.
    let (exchange, ..) = adapter(Script::timed().then(200, ORDER_ROW).then(200, ALGO_ROW).then(200, ORDER_ROW));
    let another = |class| OrderRef::Id(class, OrderId::new("77").unwrap());
    for (class, field) in [(OrderClass::Regular, "`orderId`"), (OrderClass::Conditional, "`algoId`")] {
        let error = exchange.fetch_order(btc(), another(class)).await.unwrap_err().to_string();
        assert!(error.contains(field), "{error}");
    }
    assert_eq!(name(&exchange.cancel_order(btc(), another(OrderClass::Regular)).await), "unknown");
    // Trades of another order than the one asked for.
    let (exchange, ..) = adapter(Script::timed().then(200, &format!("[{TRADE}]")));
    let error = exchange.fetch_my_trades(btc(), TradeQuery::Order(OrderId::new("77").unwrap())).await.unwrap_err();
    assert!(error.to_string().contains("`orderId`"), "{error}");
    // Something that is no acknowledgement at all.
    for body in ["{}", "[]", r#"{"code":0,"msg":"?"}"#, r#"{"x":1}"#] {
        let (exchange, ..) = adapter(Script::timed().then(200, body).then(200, body));
        assert_eq!(name(&exchange.cancel_all_orders(btc()).await), "unknown", "{body}");
        assert_eq!(name(&exchange.set_position_mode(PositionMode::Hedge).await), "unknown", "{body}");
    }
}

#[tokio::test]
async fn an_answer_that_contradicts_the_command_leaves_the_outcome_unknown() {
    let (price, trigger): (Price, Price) = ("59000.5".parse().unwrap(), "60000".parse().unwrap());
    let trigger = Trigger::from(trigger);
    let limit = NewOrder { kind: OrderKind::limit(price), ..new_order() };
    let stop = NewOrder {
        kind: OrderKind::Stop { trigger, price, time_in_force: TimeInForce::Gtc },
        side: Side::Sell,
        reduce_only: true,
        ..new_order()
    };
    let closing = NewOrder {
        kind: OrderKind::StopMarket { trigger },
        side: Side::Sell,
        size: OrderSize::ClosePosition,
        ..new_order()
    };
    for (order, from, to, field) in [
        (&limit, "\"origQty\":\"0.010\"", "\"origQty\":\"0.10\"", "origQty"),
        (&limit, "59000.50", "59000.51", "price"),
        (&limit, "59000.50", "0", "price"),
        (&limit, "\"BOTH\"", "\"SHORT\"", "positionSide"),
        (&limit, "\"LIMIT\"", "\"MARKET\"", "origType"),
        (&limit, "\"BUY\"", "\"SELL\"", "side"),
        (&stop, "\"quantity\":\"0.010\"", "\"quantity\":\"0.10\"", "quantity"),
        (&stop, "60000.00", "60000.01", "triggerPrice"),
        (&stop, "59000.50", "59000.51", "price"),
        (&stop, "\"STOP\"", "\"TAKE_PROFIT\"", "orderType"),
        (&stop, "\"reduceOnly\":true", "\"reduceOnly\":false", "reduceOnly"),
        (&closing, "\"closePosition\":true", "\"closePosition\":false", "closePosition"),
    ] {
        let row = answer_to(order);
        let (exchange, ..) = adapter(Script::timed().then(200, &row).then(200, &row.replace(from, to)));
        assert_eq!(name(&exchange.create_order(order.clone()).await), "done", "{row}");
        let outcome = exchange.create_order(order.clone()).await;
        let SendOutcome::Unknown(ExchangeError::Malformed { field: named, .. }) = outcome else { panic!("{field}") };
        assert_eq!(named, field);
    }
    // What may only close is cut to what is left to close; it is never made larger.
    let closing = NewOrder { reduce_only: true, ..limit.clone() };
    for (stated, expected) in [("0.004", "done"), ("0.011", "unknown")] {
        let row = answer_to(&closing).replace("\"origQty\":\"0.010\"", &format!("\"origQty\":\"{stated}\""));
        let (exchange, ..) = adapter(Script::timed().then(200, &row));
        assert_eq!(name(&exchange.create_order(closing.clone()).await), expected, "{row}");
    }
    let amendment = Amendment {
        symbol: btc(),
        order: that_order(),
        side: Side::Buy,
        qty: "0.02".parse().unwrap(),
        price: "58000".parse().unwrap(),
    };
    let other_qty = AMENDED.replace("0.020", "0.010");
    let other_price = AMENDED.replace("58000.00", "59000.00");
    let closes_only = other_qty.replace("\"reduceOnly\":false", "\"reduceOnly\":true");
    for (row, expected) in [
        (AMENDED, "done"),
        (&AMENDED.replace("NEW", "FILLED"), "done"),
        (&other_qty, "unknown"),
        // What may only close is cut to what is left to close.
        (&closes_only, "done"),
        (&closes_only.replace("0.010", "0.030"), "unknown"),
        (&other_price, "unknown"),
        (&other_price.replace("NEW", "PARTIALLY_FILLED"), "unknown"),
        (&other_price.replace("NEW", "FILLED"), "unknown"),
        // An amendment can end the order, which then keeps its terms.
        (&other_qty.replace("NEW", "CANCELED"), "done"),
    ] {
        let (exchange, ..) = adapter(Script::timed().then(200, row));
        assert_eq!(name(&exchange.amend_order(amendment.clone()).await), expected, "{row}");
    }
    // Cancelled, and working all the same.
    let conditional = || OrderRef::Id(OrderClass::Conditional, OrderId::new("2146760").unwrap());
    for status in ["NEW", "PARTIALLY_FILLED"] {
        let (exchange, ..) = adapter(Script::timed().then(200, &CANCELED.replace("CANCELED", status)));
        assert_eq!(name(&exchange.cancel_order(btc(), that_order()).await), "unknown", "{status}");
    }
    for status in ["NEW", "TRIGGERED"] {
        let working = ALGO_ROW.replace("NEW", status);
        let (exchange, ..) = adapter(Script::timed().then(200, &working));
        assert_eq!(name(&exchange.cancel_order(btc(), conditional()).await), "unknown", "{status}");
        // Where it is said to be done, an older state is none to tell.
        let notice = r#"{"algoId":2146760,"clientAlgoId":"x-1:entry","code":"200","msg":"success"}"#;
        let (exchange, ..) = adapter(Script::timed().then(200, notice).then(200, &working));
        assert_eq!(exchange.cancel_order(btc(), conditional()).await.done(), Some(None));
    }
}

#[tokio::test]
async fn an_answer_about_another_account_is_refused() {
    let row = |alias: &str, asset: &str| format!(r#"{{"accountAlias":"{alias}","asset":"{asset}","balance":"1"}}"#);
    let (ours, others) = (row("a", "USDT"), row("b", "BNB"));
    for (rows, is_ours) in [
        (format!("[{ours}]"), true),
        ("[]".into(), true),
        (format!("[{others}]"), false),
        (format!("[{others},{ours}]"), false),
        (format!("[{ours},{others}]"), false),
    ] {
        let (exchange, ..) = adapter(Script::timed().then(200, &rows));
        match exchange.fetch_balances(&whoever()).await {
            Ok(_) => assert!(is_ours, "{rows}"),
            Err(error) => {
                assert!(!is_ours && error.class() == ErrorClass::AnotherAccount, "{rows}: {error}");
                assert!(error.to_string().ends_with("is about account b, and a was asked for"), "{error}");
            }
        }
    }
    // Nor is an account known by an answer that names two.
    let (exchange, ..) = adapter(Script::timed().then(200, &format!("[{ours},{others}]")));
    assert_eq!(exchange.account_identity().await.unwrap_err().class(), ErrorClass::AnotherAccount);
}
