//! From payload to entity: as the exchange really sends them, and as it never should.

use super::*;

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
    // Computed elsewhere: openssl dgst -sha256 -hmac the-secret over what stands before `&signature=`.
    assert!(asked[1].ends_with("fc982339fd1e7c27beb8c5b913151a35d8d0fe9bb93fa4424496e823d9b137ca"), "{}", asked[1]);
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
    let error = exchange.fetch_order(btc(), that_order()).await.unwrap_err();
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
    // The answer to placing has no average price any more.
    let (exchange, script, _) = adapter(Script::timed().then(200, PLACED));
    let order = exchange.create_order(new_order()).await.done().unwrap();
    assert!(matches!(order.statement().fact, ledger_core::AnyFact::Order(_)));
    let executed = order.entity.executed.unwrap();
    assert_eq!((executed.qty.to_string().as_str(), executed.avg_price), ("0.01", None));
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
    let income = exchange.fetch_income(None, window()).await.unwrap().rows.remove(0).entity;
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

/// Whether an answer was refused for this field, and why.
fn refused_for<T>(result: Result<T, ExchangeError>, field: &str, expected: &FieldProblem) {
    match result {
        Err(ExchangeError::Malformed { field: named, problem, .. }) => {
            assert_eq!((named, &*problem), (field, expected));
        }
        Err(other) => panic!("{field}: {other}"),
        Ok(_) => panic!("{field}: nothing was refused"),
    }
}

const BALANCE: &str = r#"{"accountAlias":"a","asset":"USDT","balance":"1"}"#;
const POSITION: &str = r#"{"symbol":"BTCUSDT","positionSide":"BOTH","positionAmt":"5","entryPrice":"1"}"#;
const MARK: &str = r#"{"symbol":"BTCUSDT","markPrice":"1","time":1780000000000}"#;
const RATE: &str = r#"{"symbol":"BTCUSDT","fundingTime":1779999999000,"fundingRate":"1","markPrice":""}"#;
const PAID: &str = r#"{"symbol":"BTCUSDT","incomeType":"FUNDING_FEE","income":"1","asset":"USDT","time":1779999999000,"tranId":7,"tradeId":""}"#;
const CONTRACT: &str =
    r#"{"symbol":"BTCUSDT","marginAsset":"USDT","filters":[{"filterType":"LOT_SIZE","stepSize":"1"}]}"#;

#[tokio::test]
async fn rows_that_contradict_each_other_are_an_error() {
    let same = |row: &str| format!("[{row},{row}]");
    let differ = |row: &str, from: &str, to: &str| {
        assert!(row.contains(from));
        format!("[{row},{row},{}]", row.replace(from, to))
    };
    let contracts = |rows: String| format!(r#"{{"symbols":{rows}}}"#);
    macro_rules! check {
        ($field:literal, $same:expr, $differ:expr, |$exchange:ident| $ask:expr, $rows:ident) => {
            let ($exchange, ..) = adapter(Script::timed().then(200, &$same));
            assert_eq!($ask.await.unwrap().$rows.len(), 1, $field);
            let ($exchange, ..) = adapter(Script::timed().then(200, &$differ));
            refused_for($ask.await, $field, &FieldProblem::Contradicted);
        };
    }
    check!("id", same(TRADE), differ(TRADE, "0.002", "0.9"), |e| e.fetch_my_trades(btc(), from_id("1")), rows);
    let (one, two) = (same(ORDER_ROW), differ(ORDER_ROW, "\"NEW\"", "\"FILLED\""));
    check!("orderId", one, two, |e| e.fetch_orders(OrderClass::Regular, Some(btc()), window()), rows);
    check!("orderId", one, two, |e| e.fetch_force_orders(Some(btc()), window()), rows);
    check!(
        "positionSide",
        same(POSITION),
        differ(POSITION, "\"5\"", "\"-3\""),
        |e| e.fetch_positions(Some(btc())),
        rows
    );
    check!("asset", same(BALANCE), differ(BALANCE, "\"1\"", "\"2\""), |e| e.fetch_balances(&whoever()), rows);
    check!("symbol", same(MARK), differ(MARK, "\"1\"", "\"2\""), |e| e.fetch_mark_prices(None), rows);
    let (one, two) = (same(RATE), differ(RATE, "\"1\"", "\"2\""));
    check!("fundingTime", one, two, |e| e.fetch_funding_rates(Some(btc()), window()), rows);
    check!("tranId", same(PAID), differ(PAID, "\"1\"", "\"-3\""), |e| e.fetch_income(None, window()), rows);
    // Another time is another story of the same transaction, too.
    check!(
        "tranId",
        same(PAID),
        differ(PAID, "1779999999000", "1779999998000"),
        |e| e.fetch_income(None, window()),
        rows
    );
    let (one, two) = (contracts(same(CONTRACT)), contracts(differ(CONTRACT, "\"1\"", "\"2\"")));
    check!("symbol", one, two, |e| e.fetch_instruments(), rows);
}

#[tokio::test]
async fn rows_outside_the_window_are_an_error() {
    // From 10 s before NOW_MS to NOW_MS, both ends included.
    let window = window();
    let not_asked_for = FieldProblem::NotAskedFor;
    for (time, inside) in [(-10_001, false), (-10_000, true), (0, true), (1, false), (-86_400_000, false)] {
        let time = (NOW_MS + time).to_string();
        macro_rules! check {
            ($field:literal, $row:expr, |$exchange:ident| $ask:expr) => {
                let ($exchange, ..) = adapter(Script::timed().then(200, &format!("[{}]", $row)));
                let result = $ask.await;
                if inside {
                    assert_eq!(result.unwrap().rows.len(), 1, "{} {time}", $field);
                } else {
                    refused_for(result, $field, &not_asked_for);
                }
            };
        }
        let trade = TRADE.replace("1780000000000", &time);
        check!("time", trade, |e| e.fetch_my_trades(btc(), TradeQuery::Window(window.window)));
        check!("time", PAID.replace("1779999999000", &time), |e| e.fetch_income(None, window));
        check!("fundingTime", RATE.replace("1779999999000", &time), |e| e.fetch_funding_rates(Some(btc()), window));
        // By when it was created or changed.
        let order = ORDER_ROW.replace("1779999999000", &time).replace("1780000000000", &time);
        check!("time", order, |e| e.fetch_orders(OrderClass::Regular, None, window));
        check!("time", order, |e| e.fetch_force_orders(None, window));
        let conditional = order.replace("orderId", "algoId").replace("\"time\"", "\"createTime\"");
        let conditional = conditional.replace("status", "algoStatus");
        check!("time", conditional, |e| e.fetch_orders(OrderClass::Conditional, Some(btc()), window));
    }
    // An order that says no time at all proves nothing about a window.
    let timeless = ORDER_ROW.replace("\"time\"", "\"x\"").replace("\"updateTime\"", "\"y\"");
    let (exchange, ..) = adapter(Script::timed().then(200, &format!("[{timeless}]")));
    refused_for(exchange.fetch_orders(OrderClass::Regular, None, window).await, "time", &not_asked_for);
    // Trades from an id on begin there or later.
    let (exchange, ..) = adapter(Script::timed().then(200, &format!("[{TRADE}]")));
    refused_for(exchange.fetch_my_trades(btc(), from_id("8389765568816714212")).await, "id", &not_asked_for);
}

#[tokio::test]
async fn ids_are_whole_numbers_in_digits() {
    let not_an_id = FieldProblem::NotAnId;
    let conditional = ORDER_ROW.replace("orderId", "algoId").replace("status", "algoStatus");
    let conditional = conditional.replacen('{', r#"{"actualOrderId":"9007199254740993","#, 1);
    for bad in ["9.007e15", "\"9.007e15\"", "5.0", "-5", "\"+5\"", "007", "\"007\"", "9223372036854775808", "\"x\""] {
        // A leading zero is no JSON number; as a text it is.
        let bad = if bad == "007" { "\"0\"" } else { bad };
        let with = |row: &str, id: &str| row.replace(id, bad);
        for (row, field) in [(with(TRADE, "8389765568816714211"), "id"), (with(TRADE, "9007199254740993"), "orderId")] {
            let (exchange, ..) = adapter(Script::timed().then(200, &format!("[{row}]")));
            refused_for(exchange.fetch_my_trades(btc(), from_id("1")).await, field, &not_an_id);
        }
        let (exchange, ..) =
            adapter(Script::timed().then(200, &format!("[{}]", with(ORDER_ROW, "8389765568816714212"))));
        refused_for(exchange.fetch_orders(OrderClass::Regular, Some(btc()), window()).await, "orderId", &not_an_id);
        let (exchange, ..) = adapter(Script::timed().then(200, &with(&conditional, "8389765568816714212")));
        refused_for(exchange.fetch_order(btc(), by_algo_id()).await, "algoId", &not_an_id);
        // Where there may be none, 0 says so.
        if bad != "\"0\"" {
            let (exchange, ..) = adapter(Script::timed().then(200, &with(&conditional, "\"9007199254740993\"")));
            refused_for(exchange.fetch_order(btc(), by_algo_id()).await, "actualOrderId", &not_an_id);
            let (exchange, ..) = adapter(Script::timed().then(200, &format!("[{}]", with(PAID, "\"\""))));
            refused_for(exchange.fetch_income(None, window()).await, "tradeId", &not_an_id);
        }
    }
    for bad in ["9.007e15", "\"9.007e15\"", "7.0", "\"1e3\"", "92233720368547758080"] {
        let (exchange, ..) =
            adapter(Script::timed().then(200, &format!("[{}]", PAID.replace(":7,", &format!(":{bad},")))));
        refused_for(exchange.fetch_income(None, window()).await, "tranId", &not_an_id);
    }
    for (good, id) in [("-7", "-7"), ("\"8389765568816714211\"", "8389765568816714211"), ("\"5e3a-b\"", "5e3a-b")] {
        let (exchange, ..) =
            adapter(Script::timed().then(200, &format!("[{}]", PAID.replace(":7,", &format!(":{good},")))));
        assert_eq!(exchange.fetch_income(None, window()).await.unwrap().rows[0].entity.key.tran_id.as_str(), id);
    }
}

fn by_algo_id() -> OrderRef {
    OrderRef::Id(OrderClass::Conditional, OrderId::new("8389765568816714212").unwrap())
}

/// Fills as the exchange answers them, in hedge mode and for a symbol that is not in Latin letters: the fee in another
/// asset than the profit, which is paid in USDC. The order of the fields is the exchange's.
const FILLS: &str = r#"[
  {"symbol":"币安人生USDC","id":9007199254740993,"orderId":8389765568816714211,"side":"BUY","price":"0.2481000",
   "qty":"120","realizedPnl":"0","quoteQty":"29.7720000","commission":"0.00001234","commissionAsset":"BNB",
   "time":1779999000000,"positionSide":"LONG","buyer":true,"maker":true,"marginAsset":"USDC"},
  {"symbol":"币安人生USDC","id":9007199254740994,"orderId":8389765568816714212,"side":"SELL","price":"0.2500000",
   "qty":"120","realizedPnl":"0.22800000","quoteQty":"30.0000000","commission":"0.01350000","commissionAsset":"BNFCR",
   "time":1779999000001,"positionSide":"SHORT","buyer":false,"maker":false,"marginAsset":"USDC"}]"#;

#[tokio::test]
async fn fills_of_hedge_mode_keep_side_fee_asset_and_ids() {
    let symbol = Symbol::new("币安人生USDC").unwrap();
    let (exchange, script, _) = adapter(Script::timed().then(200, FILLS));
    let rows = exchange.fetch_my_trades(symbol, from_id("9007199254740993")).await.unwrap().rows;
    let told: Vec<_> = rows
        .iter()
        .map(|row| {
            let fill = &row.entity;
            let fee = fill.fee.as_ref().unwrap();
            format!(
                "{} {} {} {} {} {} {} {}",
                fill.key.symbol,
                fill.key.fill_id,
                fill.order_id.as_ref().unwrap(),
                fill.key.side,
                fill.position_side.unwrap(),
                fee.amount,
                fee.asset,
                fill.exchange_realized_pnl.unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "币安人生USDC 9007199254740993 8389765568816714211 BUY LONG 0.00001234 BNB 0",
            "币安人生USDC 9007199254740994 8389765568816714212 SELL SHORT 0.0135 BNFCR 0.228",
        ]
    );
    assert!(script.asked()[1].contains("symbol=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDC&"), "{:?}", script.asked());
}

/// Fills of the exchange's own orders: a liquidation with its clearance fee, an ADL without a fee, a settlement.
#[tokio::test]
async fn fills_that_the_exchange_forced_are_fills_like_others() {
    let forced = |id: i64, side: &str, commission: &str, pnl: &str, maker: bool| {
        format!(
            r#"{{"symbol":"BTCUSDT","id":{id},"orderId":{id}7,"side":"{side}","price":"60913.21","qty":"0.001","realizedPnl":"{pnl}","quoteQty":"60.91321","commission":"{commission}","commissionAsset":"USDT","time":1779999107687,"positionSide":"BOTH","buyer":{},"maker":{maker},"marginAsset":"USDT"}}"#,
            side == "BUY"
        )
    };
    let rows = [
        forced(11, "SELL", "0.03045660", "-3.33729000", false),
        forced(12, "BUY", "0", "1.20000000", true),
        forced(13, "SELL", "0.00", "0.00000000", false),
    ];
    let (exchange, ..) = adapter(Script::timed().then(200, &format!("[{}]", rows.join(","))));
    let page = exchange.fetch_my_trades(btc(), from_id("11")).await.unwrap();
    let told: Vec<_> = page
        .rows
        .iter()
        .map(|row| {
            let fee = row.entity.fee.as_ref().unwrap().amount.to_string();
            (fee, row.entity.exchange_realized_pnl.unwrap().to_string())
        })
        .collect();
    let expected =
        [("0.0304566", "-3.33729"), ("0", "1.2"), ("0", "0")].map(|(fee, pnl)| (fee.to_owned(), pnl.to_owned()));
    assert_eq!(told, expected);
}

/// Orders in all that their answers differ by: an ack without average, a trailing stop of the time before the algo
/// endpoints, an order that another of the same account met.
#[tokio::test]
async fn orders_keep_status_type_and_ids_of_every_form() {
    let row = |changes: &[(&str, &str)]| {
        changes.iter().fold(ORDER_ROW.to_owned(), |row, (from, to)| {
            assert!(row.contains(from), "{from}");
            row.replace(from, to)
        })
    };
    let met =
        order_of(&row(&[("\"NEW\"", "\"EXPIRED_IN_MATCH\""), ("\"executedQty\":\"0\"", "\"executedQty\":\"0.1\"")]))
            .await;
    assert_eq!((met.status, met.executed.unwrap().qty.to_string().as_str()), (OrderStatus::ExpiredInMatch, "0.1"));
    let trailing = order_of(&row(&[
        (
            "\"origType\":\"STOP_MARKET\"",
            "\"origType\":\"TRAILING_STOP_MARKET\",\"activatePrice\":\"9020\",\"priceRate\":\"0.3\"",
        ),
        ("\"GTC\"", "\"GTD\""),
    ]))
    .await;
    assert_eq!(trailing.order_type.unwrap().as_str(), "TRAILING_STOP_MARKET");
    assert_eq!(trailing.time_in_force.unwrap().as_str(), "GTD");
    // What the app names its own orders is kept, and so is an order without a name.
    for (name, kept) in [("web_kJ3x_9", Some("web_kJ3x_9")), ("", None)] {
        let named = order_of(&row(&[("\"x-1:entry\"", &format!("\"{name}\""))])).await;
        assert_eq!(named.client_order_id.as_ref().map(ClientOrderId::as_str), kept);
    }
}
