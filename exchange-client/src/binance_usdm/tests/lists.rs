//! Orders by list and one by one: both classes, forced ones, and what is not found.

use ledger_core::{Instrument, Origin, TimestampMs};

use super::*;
use crate::QtyFilter;

fn at(ms: i64) -> TimestampMs {
    TimestampMs::new(NOW_MS + ms).unwrap()
}

/// The day before [`NOW_MS`].
fn day() -> WindowQuery {
    WindowQuery::new(TimeWindow::new(at(-86_400_000), at(0)).unwrap())
}

/// As the exchange answers for a stop that was hit: linked to the regular order that it became.
const FINISHED_ALGO: &str = r#"{"algoId":8389765568816714213,"clientAlgoId":"swing:sl:1","algoType":"CONDITIONAL",
  "orderType":"STOP_MARKET","symbol":"币安人生USDT","side":"SELL","positionSide":"LONG","timeInForce":"GTC",
  "quantity":"120","algoStatus":"FINISHED","actualOrderId":"9007199254740993","actualPrice":"0.24810","actualQty":"120",
  "actualType":"MARKET","triggerPrice":"0.25000","price":"0.00","icebergQuantity":null,"tpTriggerPrice":"0.000",
  "tpPrice":"0.000","slTriggerPrice":"0.000","slPrice":"0.000","tpOrderType":"","selfTradePreventionMode":"EXPIRE_MAKER",
  "workingType":"CONTRACT_PRICE","priceMatch":"NONE","closePosition":false,"priceProtect":false,"reduceOnly":true,
  "createTime":1779999000000,"updateTime":1779999936135,"triggerTime":1779999936114,"goodTillDate":0}"#;

/// As it answers for a waiting one that closes the whole position.
const WAITING_ALGO: &str = r#"{"algoId":2148627,"clientAlgoId":"tp","algoType":"CONDITIONAL","orderType":"TAKE_PROFIT_MARKET",
  "symbol":"BTCUSDT","side":"SELL","positionSide":"BOTH","timeInForce":"GTE_GTC","quantity":"0.000","algoStatus":"NEW",
  "actualOrderId":"","actualPrice":"0.00000","triggerPrice":"75000.00","price":"0.00","icebergQuantity":null,
  "workingType":"MARK_PRICE","priceMatch":"NONE","closePosition":true,"priceProtect":true,"reduceOnly":true,
  "createTime":1779999000000,"updateTime":1779999000000,"triggerTime":0,"goodTillDate":0}"#;

/// As it lists what it closed itself.
const FORCED: &str = r#"[
  {"orderId":6071832819,"symbol":"BTCUSDT","status":"FILLED","clientOrderId":"autoclose-1779999107620000020",
   "price":"60871.09","avgPrice":"60913.21000","origQty":"0.001","executedQty":"0.001","cumQuote":"60.91321",
   "timeInForce":"IOC","type":"LIMIT","reduceOnly":false,"closePosition":false,"side":"SELL","positionSide":"BOTH",
   "stopPrice":"0","workingType":"CONTRACT_PRICE","origType":"LIMIT","time":1779999107620,"updateTime":1779999107687},
  {"orderId":6072734303,"symbol":"BTCUSDT","status":"FILLED","clientOrderId":"adl_autoclose","price":"61023.14",
   "avgPrice":"60979.82000","origQty":"0.001","executedQty":"0.001","cumQuote":"60.97982","timeInForce":"GTC",
   "type":"LIMIT","reduceOnly":false,"closePosition":false,"side":"BUY","positionSide":"SHORT","stopPrice":"0",
   "workingType":"CONTRACT_PRICE","origType":"LIMIT","time":1779999725059,"updateTime":1779999725071}]"#;

#[tokio::test]
async fn a_conditional_order_keeps_its_own_id_and_names_the_order_that_it_became() {
    let reference = OrderRef::Client(OrderClass::Conditional, ClientOrderId::new("swing:sl:1").unwrap());
    let symbol = Symbol::new("币安人生USDT").unwrap();
    let (exchange, script, _) = adapter(Script::timed().then(200, FINISHED_ALGO));
    let found = exchange.fetch_order(symbol.clone(), reference).await.unwrap().unwrap();
    assert_eq!(&*found.payload, FINISHED_ALGO);
    let order = found.entity;
    assert_eq!((order.key.class, order.key.order_id.as_str()), (OrderClass::Conditional, "8389765568816714213"));
    assert_eq!(order.triggered_order_id.unwrap().as_str(), "9007199254740993");
    assert_eq!(order.client_order_id.unwrap().as_str(), "swing:sl:1");
    assert_eq!((order.status, order.order_type.unwrap().as_str()), (OrderStatus::Finished, "STOP_MARKET"));
    assert_eq!((order.terms.trigger_price.unwrap().to_string().as_str(), order.terms.price), ("0.25", None));
    assert_eq!((order.position_side, order.reduce_only), (Some(PositionSide::Long), Some(true)));
    // The regular order executes, not this one.
    assert_eq!(order.executed, None);
    let asked = &script.asked()[1];
    let encoded = "symbol=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT&clientAlgoId=swing%3Asl%3A1&";
    assert!(asked.starts_with(&format!("GET /fapi/v1/algoOrder?{encoded}")), "{asked}");

    for (status, expected) in [
        ("NEW", OrderStatus::New),
        ("CANCELED", OrderStatus::Canceled),
        ("TRIGGERING", OrderStatus::Triggering),
        ("TRIGGERED", OrderStatus::Triggered),
        ("FINISHED", OrderStatus::Finished),
        ("REJECTED", OrderStatus::Rejected),
        ("EXPIRED", OrderStatus::Expired),
        ("PAUSED", OrderStatus::Other("PAUSED".into())),
    ] {
        let row = FINISHED_ALGO.replace("FINISHED", status);
        let (exchange, ..) = adapter(Script::timed().then(200, &row));
        let reference = OrderRef::Id(OrderClass::Conditional, OrderId::new("8389765568816714213").unwrap());
        let found = exchange.fetch_order(symbol.clone(), reference).await.unwrap().unwrap();
        assert_eq!(found.entity.status, expected);
    }
    // The link has been seen as a number, too.
    let row = FINISHED_ALGO.replace("\"9007199254740993\"", "9007199254740993");
    let (exchange, ..) = adapter(Script::timed().then(200, &format!("[{row}]")));
    let page = exchange.fetch_orders(OrderClass::Conditional, Some(symbol), day()).await.unwrap();
    assert_eq!(page.rows[0].entity.triggered_order_id.as_ref().unwrap().as_str(), "9007199254740993");
}

#[tokio::test]
async fn open_orders_are_those_of_both_lists_or_an_error() {
    let regular = format!("[{ORDER_ROW}]");
    let conditional = format!("[{WAITING_ALGO}]");
    let (exchange, script, _) = adapter(Script::timed().then(200, &conditional).then(200, &regular));
    let answer = exchange.fetch_open_orders(None).await.unwrap();
    let listed: Vec<_> =
        answer.rows.iter().map(|row| (row.entity.key.class, row.entity.key.order_id.as_str())).collect();
    assert_eq!(listed, [(OrderClass::Regular, "8389765568816714212"), (OrderClass::Conditional, "2148627")]);
    let waiting = &answer.rows[1].entity;
    assert_eq!((waiting.terms.qty, waiting.close_position), (None, Some(true)));
    assert_eq!((waiting.triggered_order_id.as_ref(), &waiting.status), (None, &OrderStatus::New));
    assert!(script.asked()[1].starts_with("GET /fapi/v1/openAlgoOrders?recvWindow="), "{:?}", script.asked());
    assert!(script.asked()[2].starts_with("GET /fapi/v1/openOrders?recvWindow="), "{:?}", script.asked());
    // Half an answer is none.
    for script in [
        Script::timed().then(502, "").then(200, &regular),
        Script::timed().then(200, &conditional).then(502, ""),
        Script::timed().then(200, &conditional.replace("symbol", "other")).then(200, &regular),
    ] {
        let (exchange, ..) = adapter(script);
        assert!(exchange.fetch_open_orders(None).await.is_err());
    }
}

#[tokio::test]
async fn what_is_not_found_is_no_error_and_no_proof() {
    let notice = r#"{"code":-2013,"msg":"Order does not exist."}"#;
    for class in [OrderClass::Regular, OrderClass::Conditional] {
        let (exchange, script, _) = adapter(Script::timed().then(400, notice));
        let reference = OrderRef::Id(class, OrderId::new("1").unwrap());
        assert_eq!(exchange.fetch_order(btc(), reference).await.unwrap(), None);
        assert_eq!(script.asked().len(), 2);
    }
    // Any other failure is not an absence.
    let (exchange, ..) = adapter(Script::timed().then(503, r#"{"code":-1008,"msg":"overloaded"}"#));
    let reference = OrderRef::Id(OrderClass::Regular, OrderId::new("1").unwrap());
    assert!(exchange.fetch_order(btc(), reference).await.is_err());
}

#[tokio::test]
async fn each_class_has_a_list_of_its_own() {
    let (exchange, script, _) = adapter(Script::timed().then(200, &format!("[{ORDER_ROW}]")).then(200, "[]"));
    let page = exchange.fetch_orders(OrderClass::Regular, None, window()).await.unwrap();
    assert_eq!((page.rows.len(), page.next), (1, None));
    let span = format!("startTime={}&endTime={NOW_MS}&limit=1000&", NOW_MS - 10_000);
    assert!(script.asked()[1].starts_with(&format!("GET /fapi/v1/allOrders?{span}")), "{:?}", script.asked());
    let page = exchange.fetch_orders(OrderClass::Conditional, Some(btc()), window()).await.unwrap();
    assert_eq!((page.rows.len(), page.next), (0, None));
    let expected = format!("GET /fapi/v1/allAlgoOrders?symbol=BTCUSDT&{span}");
    assert!(script.asked()[2].starts_with(&expected), "{:?}", script.asked());
    // The exchange answers about one contract at a time; what it is not asked it cannot answer with nothing.
    let error = exchange.fetch_orders(OrderClass::Conditional, None, window()).await.unwrap_err();
    assert_eq!((error.class(), script.asked().len()), (ErrorClass::Unsupported, 3));
}

#[tokio::test]
async fn forced_orders_say_what_forced_them() {
    let (exchange, script, _) = adapter(Script::timed().then(200, FORCED));
    let page = exchange.fetch_force_orders(None, day()).await.unwrap();
    let origins: Vec<_> = page.rows.iter().map(|row| row.entity.origin).collect();
    assert_eq!(origins, [Some(Origin::Liquidation), Some(Origin::Adl)]);
    assert_eq!(page.rows[0].entity.executed.as_ref().unwrap().avg_price.unwrap().to_string(), "60913.21");
    assert!(script.asked()[1].starts_with("GET /fapi/v1/forceOrders?startTime="), "{:?}", script.asked());
    assert!(script.asked()[1].contains("&limit=100&"));
    // The list itself says that an order was forced, and why where the row repeats what was asked for.
    for (row, expected) in [
        (ORDER_ROW.to_owned(), Origin::Forced),
        (ORDER_ROW.replace("x-1:entry", "web_abc"), Origin::Forced),
        (ORDER_ROW.replace("x-1:entry", "adl_autoclose"), Origin::Adl),
        (ORDER_ROW.replacen('{', r#"{"autoCloseType":"LIQUIDATION","#, 1), Origin::Liquidation),
        (ORDER_ROW.replacen('{', r#"{"autoCloseType":"ADL","#, 1), Origin::Adl),
        (ORDER_ROW.replacen('{', r#"{"autoCloseType":"SOMETHING_NEW","#, 1), Origin::Forced),
    ] {
        let (exchange, ..) = adapter(Script::timed().then(200, &format!("[{row}]")));
        let listed = exchange.fetch_force_orders(None, window()).await.unwrap().rows;
        assert_eq!(listed[0].entity.origin, Some(expected), "{row}");
    }
}

#[tokio::test]
async fn every_order_says_who_sent_it() {
    for (client_order_id, expected) in [
        ("autoclose-1779999107620000020", Origin::Liquidation),
        ("settlement_autoclose-1779999107620000020", Origin::Settlement),
        ("delivery_autoclose-1779999107620000020", Origin::Settlement),
        ("adl_autoclose", Origin::Adl),
        ("adl_autoclose-7", Origin::Adl),
        ("web_abc", Origin::Person),
        ("ios_st_abc", Origin::Person),
        ("android_abc", Origin::Person),
        ("electron_abc", Origin::Person),
        ("my-autoclose-1", Origin::Program),
        ("x-cDsAyfyM1", Origin::Program),
        ("Bq2wEdTaTh6lSwqzPFfDxH", Origin::Program),
        ("website", Origin::Program),
    ] {
        let row = ORDER_ROW.replace("\"x-1:entry\"", &format!("\"{client_order_id}\""));
        let order = order_of(&row).await;
        assert_eq!((order.origin, order.exit_reason), (Some(expected), None), "{client_order_id}");
    }
    assert_eq!(order_of(&ORDER_ROW.replace("x-1:entry", "")).await.origin, None);
    let liquidated = ORDER_ROW.replace("\"type\":\"MARKET\"", "\"type\":\"LIQUIDATION\"");
    assert_ne!(liquidated, ORDER_ROW);
    assert_eq!(order_of(&liquidated).await.origin, Some(Origin::Liquidation));
}

#[tokio::test]
async fn a_full_list_is_asked_for_again_in_halves() {
    let row = |id: i64| {
        let created = NOW_MS - 10_000 + id * 50;
        ORDER_ROW.replace("8389765568816714212", &(id + 1).to_string()).replace("1779999999000", &created.to_string())
    };
    let page = |ids: std::ops::Range<i64>| format!("[{}]", ids.map(row).collect::<Vec<_>>().join(","));
    let script = Script::timed().then(200, &page(0..100)).then(200, &page(0..70)).then(200, &page(70..140));
    let (exchange, script, _) = adapter(script);
    let (mut next, mut seen) = (Some(window()), std::collections::BTreeSet::new());
    while let Some(query) = next {
        let page = exchange.fetch_force_orders(Some(btc()), query).await.unwrap();
        seen.extend(page.rows.into_iter().map(|row| row.entity.key));
        next = page.next;
    }
    assert_eq!((seen.len(), script.asked().len()), (140, 4));
}

#[tokio::test]
async fn funding_rates_have_a_sign_and_perhaps_a_mark_price() {
    let rows = r#"[{"symbol":"BTCUSDT","fundingTime":1779984000000,"fundingRate":"-0.00010000","markPrice":"64250.50000000"},
        {"symbol":"BTCUSDT","fundingTime":1779955200000,"fundingRate":"0.00037120","markPrice":""}]"#;
    let (exchange, script, _) = adapter(Script::timed().then(200, rows));
    let page = exchange.fetch_funding_rates(Some(btc()), day()).await.unwrap();
    let rates: Vec<_> = page
        .rows
        .iter()
        .map(|row| (row.entity.at.as_ms(), row.entity.rate.to_string(), row.entity.mark_price.is_some()))
        .collect();
    assert_eq!(
        rates,
        [(1_779_955_200_000, "0.0003712".to_owned(), false), (1_779_984_000_000, "-0.0001".to_owned(), true)]
    );
    let asked = &script.asked()[1];
    assert!(asked.starts_with("GET /fapi/v1/fundingRate?symbol=BTCUSDT&startTime="), "{asked}");
    // Everybody may know: nothing is signed, and the key stays here.
    assert!(!asked.contains("signature") && !asked.contains("timestamp"), "{asked}");
    assert!(script.asked.lock().unwrap()[1].headers.is_empty());
}

#[tokio::test]
async fn one_contract_that_cannot_be_read_does_not_stop_the_others() {
    let contract = |symbol: &str, tick: &str, fee: &str| {
        format!(
            r#"{{"symbol":"{symbol}","pair":"BTCUSDT","contractType":"PERPETUAL","status":"TRADING","marginAsset":"USDT","liquidationFee":{fee},"pricePrecision":2,"filters":[{{"filterType":"PRICE_FILTER","minPrice":"556.80","maxPrice":"4529764","tickSize":"{tick}"}},{{"filterType":"LOT_SIZE","stepSize":"0.001","minQty":"0.001","maxQty":"1000"}},{{"filterType":"NEW_FILTER","limit":{{"x":1}}}}]}}"#
        )
    };
    let rows = [
        contract("BTCUSDT", "0.10", "\"0.012500\""),
        contract("ODD USDT", "0.10", "null"),
        contract("ETHUSDT", "NaN", "null"),
        contract("币安人生USDT", "0.0001000", "\"\""),
        contract("SOLUSDT", "0.01", "\"1.25\""),
        contract("XRPUSDT", "0.01", "\"-0.01\""),
    ];
    let info = format!(r#"{{"timezone":"UTC","rateLimits":[],"symbols":[{}]}}"#, rows.join(","));
    let (exchange, ..) = adapter(Script::timed().then(200, &info));
    let answer = exchange.fetch_instruments().await.unwrap();
    let read: Vec<_> = answer
        .rows
        .iter()
        .map(|row| {
            let Instrument { tick_size, step_size, liquidation_fee, .. } = &row.entity;
            let fee = liquidation_fee.map(|fee| fee.to_string());
            (row.entity.symbol.as_str(), tick_size.unwrap().to_string(), step_size.is_some(), fee)
        })
        .collect();
    assert_eq!(
        read,
        [
            ("BTCUSDT", "0.1".to_owned(), true, Some("0.0125".to_owned())),
            ("币安人生USDT", "0.0001".to_owned(), true, None)
        ]
    );
    let refused: Vec<_> = answer.unreadable.iter().map(|row| row.error.to_string()).collect();
    assert!(refused[0].contains("row 1") && refused[0].contains("`symbol`"), "{refused:?}");
    assert!(refused[1].contains("row 2") && refused[1].contains("`tickSize`"), "{refused:?}");
    // What is no part of a whole would be 125 % of what was closed by force, or a fee that the wallet gets.
    for index in [2, 3] {
        assert!(refused[index].contains("`liquidationFee`"), "{refused:?}");
    }
    assert_eq!(refused.len(), 4);

    let prices = r#"[{"symbol":"BTCUSDT","markPrice":"64250.1","nextFundingTime":1780012800000,"time":1780000000000},
        {"symbol":"ETHUSDT","markPrice":"","time":1780000000000},
        {"symbol":"BTCUSDT_260626","markPrice":"64300","nextFundingTime":0,"time":1780000000000}]"#;
    let (exchange, ..) = adapter(Script::timed().then(200, prices));
    let answer = exchange.fetch_mark_prices(None).await.unwrap();
    assert_eq!((answer.rows.len(), answer.unreadable.len()), (2, 1));
    // A contract with a delivery date is not funded.
    let funded: Vec<_> = answer.rows.iter().map(|row| row.entity.next_funding.map(TimestampMs::as_ms)).collect();
    assert_eq!(funded, [Some(1_780_012_800_000), None]);
}

#[tokio::test]
async fn what_orders_must_fulfil_is_read_from_the_filters() {
    let filters = r#"[{"filterType":"PRICE_FILTER","tickSize":"0.10","minPrice":"1","maxPrice":"9"},
        {"filterType":"LOT_SIZE","stepSize":"0.001","minQty":"0.001","maxQty":"1000"},
        {"filterType":"MARKET_LOT_SIZE","stepSize":"0.010","minQty":"0","maxQty":"120"},
        {"filterType":"MIN_NOTIONAL","notional":"100"},{"filterType":"MAX_NUM_ORDERS","limit":200}]"#;
    let info = format!(
        r#"{{"symbols":[{{"symbol":"BTCUSDT","status":"TRADING","filters":{filters}}},
            {{"symbol":"ETHUSDT","status":"SETTLING","filters":[]}},
            {{"symbol":"SOLUSDT","status":"TRADING","filters":[{{"filterType":"MIN_NOTIONAL","notional":"much"}}]}}]}}"#
    );
    let (exchange, ..) = adapter(Script::timed().then(200, &info));
    let answer = exchange.fetch_order_filters().await.unwrap();
    let dec = |text: &str| Some(text.parse::<Decimal>().unwrap());
    let [btc, eth] = answer.rows.as_slice() else { panic!("{answer:?}") };
    assert_eq!(btc.entity.tick_size, dec("0.1"));
    assert_eq!(btc.entity.limit_qty, QtyFilter { step: dec("0.001"), min: dec("0.001"), max: dec("1000") });
    // A smallest quantity of 0 is none, so that of limit orders holds for market orders, too.
    assert_eq!(btc.entity.market_qty, QtyFilter { step: dec("0.01"), min: dec("0.001"), max: dec("120") });
    assert_eq!((btc.entity.notional_min, btc.entity.is_trading), (dec("100"), true));
    assert_eq!((eth.entity.limit_qty, eth.entity.is_trading), (QtyFilter::default(), false));
    assert!(answer.unreadable[0].error.to_string().contains("`notional`"), "{answer:?}");
}

/// What an answer says of BTCUSDT and ETHUSDT: how many rows, and whether it speaks of them.
fn told<T>(answer: &Answer<T>, symbol_of: impl Fn(&T) -> &Symbol) -> [(usize, bool); 2] {
    [btc(), Symbol::new("ETHUSDT").unwrap()].map(|symbol| {
        let rows = answer.rows.iter().filter(|row| *symbol_of(&row.entity) == symbol).count();
        (rows, answer.speaks_of(&symbol))
    })
}

#[tokio::test]
async fn a_row_that_cannot_be_read_says_nothing_about_its_contract_alone() {
    let good = r#"{"symbol":"BTCUSDT","positionSide":"BOTH","positionAmt":"1"}"#;
    let eth = r#"{"symbol":"ETHUSDT","positionSide":"BOTH","positionAmt":"2"}"#;
    let nan = eth.replace("\"2\"", "\"NaN\"");
    let ask = async |rows: &[&str], symbol| {
        let (exchange, ..) = adapter(Script::timed().then(200, &format!("[{}]", rows.join(","))));
        exchange.fetch_positions(symbol).await
    };
    // A position that cannot be read is neither a position nor none.
    let answer = ask(&[good, &nan], None).await.unwrap();
    assert_eq!(told(&answer, |row| &row.symbol), [(1, true), (0, false)]);
    let [row] = answer.unreadable.as_slice() else { panic!("{answer:?}") };
    assert_eq!((&*row.payload, row.symbol.as_ref().unwrap().as_str()), (nan.as_str(), "ETHUSDT"));
    assert!(row.error.to_string().contains("row 1") && row.error.to_string().contains("positionAmt"), "{}", row.error);
    // Its other position is as true as ever, but not all that there is.
    let long = eth.replace("BOTH", "LONG");
    let answer = ask(&[&long, good, &nan], None).await.unwrap();
    assert_eq!(told(&answer, |row| &row.symbol), [(1, true), (1, false)]);
    // Of two that contradict each other neither is to be believed, however often one of them is repeated.
    let other = eth.replace("\"2\"", "\"-3\"");
    let answer = ask(&[eth, good, &other, eth], None).await.unwrap();
    assert_eq!(told(&answer, |row| &row.symbol), [(1, true), (0, false)]);
    // A row that may be about any contract makes the answer worth nothing, and so does any of one contract's.
    let nameless =
        [r#"{"positionSide":"BOTH","positionAmt":"1"}"#, r#"{"symbol":"\u001b","positionAmt":"1"}"#, "5", "null"];
    for row in nameless {
        assert!(ask(&[good, row], None).await.is_err(), "{row}");
    }
    for row in [nan.as_str(), &other] {
        assert!(ask(&[eth, row], Some(Symbol::new("ETHUSDT").unwrap())).await.is_err(), "{row}");
    }
    // The same for orders, of both lists and page by page.
    let waiting = WAITING_ALGO.replace("BTCUSDT", "ETHUSDT").replace("SELL", "SIDEWAYS");
    let broken = ORDER_ROW.replace("BTCUSDT", "ETHUSDT").replace("\"0.40\"", "{}");
    for (conditional, regular) in [(waiting.as_str(), ORDER_ROW), (WAITING_ALGO, broken.as_str())] {
        let script = Script::timed().then(200, &format!("[{conditional}]")).then(200, &format!("[{regular}]"));
        let (exchange, ..) = adapter(script);
        let answer = exchange.fetch_open_orders(None).await.unwrap();
        assert_eq!(told(&answer, |row| &row.key.symbol), [(1, true), (0, false)]);
    }
    let (exchange, ..) = adapter(Script::timed().then(200, &format!("[{broken},{ORDER_ROW}]")));
    let page = exchange.fetch_orders(OrderClass::Regular, None, window()).await.unwrap();
    assert_eq!((page.rows.len(), page.unreadable.len(), page.next), (1, 1, None));
}
