//! The objects of the ccxt library: exact values out of `info`, orders of both classes, and the trades that orders list.

use ledger_core::{AnyFact, EventTime, OrderClass, OrderStatus, PositionSide};

use super::formats::{TAKE_PROFIT_MS, at, fill_530, fills, orders};
use super::*;

#[test]
fn ccxt_takes_decimals_and_ids_from_info() {
    let found = read("one-way/ccxt-trades.json").clean();
    assert_eq!((found.kind, found.rows), (Some(Kind::Ccxt), 15));
    let fill = fill_530(&found);
    assert_eq!(fill.time, EventTime::ms(at(TAKE_PROFIT_MS)));
    assert_eq!(fill.position_side, Some(PositionSide::Net));
    assert_eq!(fill.exchange_realized_pnl.unwrap().to_string(), "5.976");
    assert_eq!(fill.key.symbol.as_str(), "BTCUSDT");
    // The unified amount is what floats make of it; the exchange's own is exact.
    let text = r#"[{"symbol":"BTC/USDT:USDT","side":"buy","price":0.1,"amount":0.30000000000000004,"id":"8389765568816714211","order":"8389765568816714212","timestamp":1772356364871,
        "info":{"symbol":"BTCUSDT","id":8389765568816714211,"orderId":8389765568816714212,"price":"0.1","qty":"0.3","commission":"0.1","commissionAsset":"USDT","time":"1772356364871","maker":false,"positionSide":"LONG"}}]"#;
    let fill = fills(&read_text("x.json", text).clean()).remove(0);
    assert_eq!(fill.qty.get().to_string(), "0.3");
    assert_eq!(fill.key.fill_id.as_str(), "8389765568816714211");
    assert_eq!(fill.sequence, Some(8_389_765_568_816_714_211));
    assert_eq!(fill.order_id.unwrap().as_str(), "8389765568816714212");
    assert_eq!(fill.position_side, Some(PositionSide::Long));
}

#[test]
fn ccxt_without_info_is_read_by_the_digits_it_has() {
    let found = read("one-way/ccxt-trades-without-info.ndjson").clean();
    assert_eq!(found.rows, 15);
    let fill = fill_530(&found);
    assert_eq!((fill.qty.get().to_string().as_str(), fill.position_side), ("0.012", None));
    assert_eq!(fill.maker, Some(true));
    let line = r#"{"symbol":"BTC/USDT:USDT-260626","side":"sell","price":1e-7,"amount":12345678901234567890.123456789,"cost":1234567890123.4568,"id":9007199254740993,"order":null,"datetime":"2026-03-01T09:12:44.871Z","fee":null,"fees":[{"cost":1,"currency":"USDT"},{"cost":0.5,"currency":"USDT"}]}"#;
    let fill = fills(&read_text("x.json", line).clean()).remove(0);
    assert_eq!(fill.key.symbol.as_str(), "BTCUSDT_260626");
    assert_eq!(fill.key.fill_id.as_str(), "9007199254740993");
    assert_eq!(fill.qty.get().to_string(), "12345678901234567890.123456789");
    assert_eq!(fill.price.get().to_string(), "0.0000001");
    assert_eq!(fill.fee.unwrap().amount.to_string(), "1.5");
    assert_eq!(fill.order_id, None);
    assert_eq!(fill.time, EventTime::ms(at(TAKE_PROFIT_MS)));
}

#[test]
fn ccxt_orders_of_both_classes_are_read() {
    let found = read("one-way/ccxt-orders.ndjson").clean();
    let all = orders(&found);
    assert_eq!(all.len(), 17);
    let regular = all.iter().find(|order| order.key.order_id.as_str() == "8389765568816714400").unwrap();
    assert_eq!((regular.key.class, regular.status.clone()), (OrderClass::Regular, OrderStatus::Filled));
    assert_eq!(regular.order_type.as_ref().unwrap().as_str(), "STOP_MARKET");
    assert_eq!(regular.reduce_only, Some(true));
    let conditional = all.iter().find(|order| order.key.class == OrderClass::Conditional).unwrap();
    assert_eq!(conditional.status, OrderStatus::Finished);
    assert_eq!(conditional.triggered_order_id, Some(regular.key.order_id.clone()));
    assert_eq!(conditional.executed, None, "the regular order alone has fills");
    let unified = r#"{"id":"7","clientOrderId":null,"symbol":"BTC/USDT:USDT","status":"open","filled":0.1,"remaining":0.2,"amount":0.3,"side":"buy","type":"limit","price":100.5,"average":100.4,"cost":10.04,"timestamp":1772356364871}"#;
    let found = read_text("x.json", unified).clean();
    let order = orders(&found).remove(0);
    assert_eq!(order.status, OrderStatus::PartiallyFilled);
    assert_eq!(order.terms.price.unwrap().get().to_string(), "100.5");
}

/// An order of ccxt's with the trades that filled it.
fn order_with(trades: &str, more: &str) -> String {
    format!(
        r#"{{"info":{{"symbol":"BTCUSDT","orderId":8389765568816714400,"side":"SELL","status":"FILLED","origQty":"0.3","executedQty":"0.3","avgPrice":"60000.1","type":"MARKET","positionSide":"LONG","time":1772344801100,"updateTime":1772344801137}},"id":"8389765568816714400","symbol":"BTC/USDT:USDT","side":"sell","status":"closed","amount":0.3,"filled":0.3,"remaining":0,"trades":[{trades}]{more}}}"#
    )
}

/// A trade within that order; its unified amount is what floats make of `qty`.
fn trade_within(id: &str, qty: &str, unified: &str) -> String {
    format!(
        r#"{{"info":{{"symbol":"BTCUSDT","id":{id},"orderId":8389765568816714400,"side":"SELL","price":"60000.1","qty":"{qty}","realizedPnl":"1.5","commission":"0.00001234","commissionAsset":"BNB","time":1772344801137,"maker":true}},"id":"{id}","order":"8389765568816714400","timestamp":1772344801137,"symbol":"BTC/USDT:USDT","side":"sell","price":60000.1,"amount":{unified},"fee":{{"cost":0.00001234,"currency":"BNB"}}}}"#
    )
}

fn notes(text: &str) -> Vec<&'static str> {
    from_text("x.json", text, Options::default()).unwrap().filter_map(|row| row.unwrap().note).collect()
}

/// The trades that an order lists are its fills: exact, with their own payload, and once, however often they are told.
#[test]
fn the_trades_of_a_ccxt_order_are_its_fills() {
    let one = trade_within("9007199254740993", "0.1", "0.1");
    let other = trade_within("9007199254740994", "0.2", "0.20000000000000001");
    let fees = r#","fee":{"cost":0.00002468,"currency":"BNB"},"fees":[{"cost":0.00002468,"currency":"BNB"}]"#;
    let text = order_with(&format!("{one},{other}"), fees);
    let found = read_text("x.json", text.clone()).clean();
    let read = fills(&found);
    let told: Vec<_> = read.iter().map(|fill| (fill.key.fill_id.as_str(), fill.qty.get().to_string())).collect();
    assert_eq!(told, [("9007199254740993", "0.1".to_owned()), ("9007199254740994", "0.2".to_owned())]);
    for fill in &read {
        assert_eq!(fill.order_id.as_ref().unwrap().as_str(), "8389765568816714400");
        let fee = fill.fee.as_ref().unwrap();
        assert_eq!((fee.amount.to_string().as_str(), fee.asset.as_str()), ("0.00001234", "BNB"));
        assert_eq!((fill.maker, fill.exchange_realized_pnl.unwrap().to_string()), (Some(true), "1.5".to_owned()));
        assert_eq!(fill.position_side, Some(PositionSide::Long), "an order's fills are all of its position");
    }
    assert_eq!(orders(&found).len(), 1, "the order is stated once");
    let payload = found.statements.iter().find(|s| matches!(s.fact, AnyFact::Fill(_))).unwrap().payload.clone();
    assert_eq!(payload.as_deref(), Some(one.as_str()));
    assert!(notes(&text).is_empty(), "the trades carry the fee");
    // The same trades by themselves are the same fills.
    let mut book = Book::default();
    book.record_all(&found.statements);
    book.record_all(&read_text("y.json", format!("[{one},\n{other}]")).clean().statements);
    assert_eq!((book.fills.len(), book.orders.len(), &book.conflicts), (2, 1, &Vec::<String>::new()));
    // A trade that says no order is of the one that it stands in.
    let bare = r#"{"id":"5","timestamp":1772344801137,"symbol":"BTC/USDT:USDT","side":"sell","price":1,"amount":2}"#;
    let fill = fills(&read_text("x.json", order_with(bare, "")).clean()).remove(0);
    assert_eq!(fill.order_id.unwrap().as_str(), "8389765568816714400");
}

/// What an order says of fees is no fill's, and trades without an id are nobody's: kept with the order, and told.
#[test]
fn what_a_ccxt_order_says_of_fees_makes_no_fill() {
    let nameless = r#"{"symbol":"BTC/USDT:USDT","side":"sell","price":1,"amount":0.3,"timestamp":1772344801137}"#;
    let estimate = Some("its fee counts as an estimate");
    for (trades, more, stated, told) in [
        ("", r#","fee":{"cost":0.5,"currency":"USDT"}"#, "0.5 USDT", estimate),
        ("", r#","fees":[{"cost":0.5,"currency":"USDT"},{"cost":1e-7,"currency":"USDT"}]"#, "0.5000001 USDT", estimate),
        // The list says more than the first of it.
        (
            "",
            r#","fee":{"cost":1,"currency":"USDT"},"fees":[{"cost":1,"currency":"USDT"},{"cost":-0.25,"currency":"BNB"}]"#,
            "-0.25 BNB, 1 USDT",
            estimate,
        ),
        ("", r#","fee":{"cost":null,"currency":null},"fees":[]"#, "", None),
        ("", r#","fee":{"cost":null,"currency":"USDT"},"fees":[{"cost":null,"currency":"USDT"}]"#, "", None),
        ("", r#","fee":null"#, "", None),
        ("", r#","fee":{"cost":0,"currency":"USDT"}"#, "0 USDT", None),
        (nameless, r#","fee":{"cost":0.5,"currency":"USDT"}"#, "0.5 USDT", Some("trades within it have no id")),
    ] {
        let text = order_with(trades, more);
        let found = read_text("x.json", text.clone()).clean();
        let (fills, orders) = (fills(&found), orders(&found));
        let ([], [order]) = (fills.as_slice(), orders.as_slice()) else { panic!("{trades}{more}: {found:?}") };
        let fees: Vec<_> = order.fees.iter().flat_map(ledger_core::StatedFees::paid).collect();
        let shown: Vec<_> = fees.iter().map(|fee| format!("{} {}", fee.amount, fee.asset)).collect();
        assert_eq!(shown.join(", "), stated, "{trades}{more}");
        assert!(order.fees.as_ref().is_none_or(|fees| fees.qty().to_string() == "0.3"), "{order:?}");
        match (told, notes(&text).as_slice()) {
            (None, []) => {}
            (Some(told), [note]) => assert!(note.starts_with(told), "{note}"),
            (told, notes) => panic!("{trades}{more}: {told:?} against {notes:?}"),
        }
    }
    // Of an order that executed nothing, a fee says nothing.
    let waiting = order_with("", r#","fee":{"cost":0.5,"currency":"USDT"}"#)
        .replace(r#""executedQty":"0.3","avgPrice":"60000.1""#, r#""executedQty":"0","avgPrice":"0""#)
        .replace(r#""filled":0.3,"remaining":0"#, r#""filled":0,"remaining":0.3"#)
        .replace("FILLED", "NEW")
        .replace("closed", "open");
    assert_eq!(orders(&read_text("x.json", waiting).clean())[0].fees, None);
}

/// An order whose trades are not its own is no order to believe, and neither are they.
#[test]
fn trades_of_another_order_are_refused() {
    let good = trade_within("7", "0.3", "0.3");
    // What contradicts itself is no trade at all.
    for (from, to, told) in [
        (
            r#""orderId":8389765568816714400,"side":"SELL","price""#,
            r#""orderId":5,"side":"SELL","price""#,
            "trades[1].order",
        ),
        ("SELL\",\"price", "BUY\",\"price", "trades[1].side"),
        (r#""qty":"0.3""#, r#""qty":"NaN""#, "trades[1].info.qty"),
        (r#""id":"7""#, r#""id":"8""#, "trades[1].id"),
        ("60000.1", "-1", "trades[1].info.price"),
        (&good, "7", "trades[1]"),
        (&good, r#"{"id": "7"}"#, "trades[1].symbol"),
    ] {
        assert!(good.contains(from), "{from}");
        let (before, after) = (trade_within("6", "0.1", "0.1"), trade_within("9", "0.1", "0.1"));
        let text = order_with(&format!("{before},{},{after}", good.replace(from, to)), "");
        // The second element of an array that begins on another line.
        let found = read_text("x.json", format!("[\n7,\n{text}\n]"));
        assert_eq!(orders(&found).len(), 1, "{to}");
        let read = fills(&found);
        assert_eq!(read.iter().map(|fill| fill.key.fill_id.as_str()).collect::<Vec<_>>(), ["6", "9"], "{to}");
        let [_, (line, problem)] = found.rejected.as_slice() else { panic!("{to}: {:?}", found.rejected) };
        assert!(*line == 3 && problem.starts_with(told), "{to}: {:?}", found.rejected);
    }
    // Of an order that is refused itself, its trades are no further news.
    let text =
        order_with(&good.replace(r#""qty":"0.3""#, r#""qty":"NaN""#), "").replace("60000.1\",\"type", "x\",\"type");
    let found = read_text("x.json", text);
    assert!(found.statements.is_empty() && found.rejected.len() == 1, "{:?}", found.rejected);
    let found = read_text("x.json", order_with(&good.replace("BTCUSDT", "ETHUSDT").replace("BTC/", "ETH/"), ""));
    assert!(found.statements.is_empty() && found.rejected[0].1.starts_with("trades[0].symbol"), "{:?}", found.rejected);
    // Trades that agree with themselves, but not with the order.
    let bare = r#"{"id":"5","order":"8389765568816714400","timestamp":1772344801137,"symbol":"BTC/USDT:USDT","side":"sell","price":1,"amount":2}"#;
    assert_eq!(fills(&read_text("x.json", order_with(bare, "")).clean()).len(), 1);
    for (from, to, told) in [
        ("BTC/", "ETH/", "trades[0].symbol is `ETHUSDT`: the order that it stands in says BTCUSDT"),
        ("sell", "buy", "trades[0].side is `BUY`: the order that it stands in says SELL"),
        ("8389765568816714400", "9", "trades[0].order is `9`: the order that it stands in says 8389765568816714400"),
    ] {
        let found = read_text("x.json", order_with(&bare.replace(from, to), ""));
        assert!(found.statements.is_empty(), "{to}");
        assert_eq!(found.rejected[0].1, told);
    }
}
