//! What an order says of itself, in each format that states orders: how much was ordered, how much executed, how it stands.

use super::formats::orders;
use super::*;

/// One order, ordered, executed and standing so, in every format.
fn in_every_format(status: &str, ordered: &str, executed: &str) -> Vec<(&'static str, String)> {
    let unified = match status {
        "FILLED" => "closed",
        "CANCELED" => "canceled",
        "EXPIRED" => "expired",
        _ => "open",
    };
    let library = format!(
        r#""id":"701","timestamp":1770091506123,"symbol":"SOL/USDT:USDT","side":"buy","status":"{unified}","contractSize":1,"amount":{ordered},"filled":{executed}"#
    );
    vec![
        (
            "x.csv",
            format!(
                "Uid,Time(UTC),Symbol,Type,Side,Position Side,Price,Average Price,Amount,Executed Amount,Executed Quote Amount,Stop Price,Status,Client Order Id,Time In Force,Activate Price,Price Rate,Update Time,Order No\n\
                 5,2026-02-03 04:05:06,SOLUSDT,LIMIT,BUY,BOTH,160,0,{ordered},{executed},,0,{status},mine,GTC,0,0,2026-02-03 04:05:07,701\n"
            ),
        ),
        (
            "archive.csv",
            format!(
                "symbol,orderId,clientOrderId,price,origQty,executedQty,avgPrice,status,type,side,positionSide,time,updateTime\n\
                 SOLUSDT,701,mine,160,{ordered},{executed},0,{status},LIMIT,BUY,BOTH,1770091506123,1770091507123\n"
            ),
        ),
        (
            "x.json",
            format!(
                r#"[{{"info":{{"symbol":"SOLUSDT","orderId":701,"side":"BUY","status":"{status}","price":"160","origQty":"{ordered}","executedQty":"{executed}","time":1770091506123}},{library}}}]"#
            ),
        ),
        ("library.json", format!("[{{{library}}}]")),
        (
            "x.ndjson",
            format!(
                r#"{{"schema":"fillbook.order/1","source":"stream","symbol":"SOLUSDT","order_class":"REGULAR","order_id":"701","side":"BUY","status":"{status}","qty":"{ordered}","executed_qty":"{executed}","ts":1770091506123}}"#
            ),
        ),
    ]
}

#[test]
fn an_order_that_contradicts_itself_is_rejected_in_every_format() {
    for (status, ordered, executed, told) in [
        ("FILLED", "1.5", "3", "3 were executed, but only 1.5 were ordered"),
        ("FILLED", "1.5", "0", "the status is FILLED, but 0 of 1.5 were executed"),
        ("FILLED", "1.5", "0.5", "the status is FILLED, but 0.5 of 1.5 were executed"),
        ("CANCELED", "1.5", "1.6", "1.6 were executed, but only 1.5 were ordered"),
        ("NEW", "1.5", "1.5", "the status is"),
        ("PARTIALLY_FILLED", "1.5", "1.5", "the status is PARTIALLY_FILLED, but 1.5 of 1.5 were executed"),
    ] {
        for (name, text) in in_every_format(status, ordered, executed) {
            let found = read_text(name, text);
            assert!(found.statements.is_empty(), "{name} {status} {executed}: {:?}", found.statements);
            let reason = &found.rejected[0].1;
            assert!(reason.starts_with("the row contradicts itself: ") && reason.contains(told), "{name}: {reason}");
        }
    }
}

#[test]
fn what_the_exchange_says_of_ended_orders_is_taken_in_every_format() {
    for (status, executed) in [
        ("FILLED", "1.5"),
        ("NEW", "0"),
        ("PARTIALLY_FILLED", "0.5"),
        ("CANCELED", "0"),
        ("CANCELED", "0.5"),
        ("EXPIRED", "0.5"),
    ] {
        for (name, text) in in_every_format(status, "1.5", executed) {
            let read = orders(&read_text(name, text).clean()).remove(0);
            assert_eq!((read.status.as_str(), read.executed.unwrap().qty.to_string().as_str()), (status, executed));
        }
    }
    // A close of the whole position states no quantity.
    for (name, text) in in_every_format("FILLED", "0", "2.5").into_iter().filter(|(name, _)| !name.starts_with('x')) {
        assert_eq!(orders(&read_text(name, text).clean()).remove(0).terms.qty, None, "{name}");
    }
}

#[test]
fn an_order_that_ended_cancelled_says_when_in_every_format() {
    let untimed = r#"{"schema":"fillbook.order/1","source":"stream","symbol":"SOLUSDT","order_class":"REGULAR","order_id":"701","side":"BUY","status":"CANCELED"}"#;
    let library = r#"[{"id":"701","symbol":"SOL/USDT:USDT","side":"buy","status":"canceled","contractSize":1,"amount":2,"filled":0}]"#;
    for (name, text) in [("x.ndjson", untimed), ("x.json", library)] {
        let told = &read_text(name, text).rejected[0].1;
        assert!(told.contains("the status is CANCELED, and nothing says when"), "{told}");
    }
    for (name, text) in in_every_format("CANCELED", "1.5", "0") {
        let mut book = Book::default();
        book.record_all(&read_text(name, text).clean().statements);
        assert_eq!(book.cancels.len(), 1, "{name}");
    }
    let mut book = Book::default();
    let dated = untimed.replace("\"status\"", "\"terms_ts\":1770091506123,\"status\"");
    book.record_all(&read_text("x.ndjson", dated).clean().statements);
    assert_eq!(book.cancels.values().next().unwrap().fact.time.at.as_ms(), 1_770_091_506_123);
}
