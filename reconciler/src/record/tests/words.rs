//! The bot's word on a closed trade, before and after what else is told of it.

use ledger_core::ExitReason;
use ledger_store::{PageRequest, Scope, SignalFilter, SignalOutlook, TripFilter};
use serde_json::json;

use super::*;
use crate::record::words::is_word;

/// Every order of some lines.
fn orders_of<T: Clone>(lines: &[T]) -> Vec<Vec<T>> {
    if lines.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for first in 0..lines.len() {
        let mut rest = lines.to_vec();
        let first = rest.remove(first);
        all.extend(orders_of(&rest).into_iter().map(|rest| [vec![first.clone()], rest].concat()));
    }
    all
}

fn order_at(id: u64, client_id: &str, side: &str, status: &str, ms: i64) -> Value {
    let mut order = order("BTCUSDT", id, client_id, side, status, "0", "0");
    (order["info"]["origQty"], order["info"]["time"]) = ("1".into(), ms.into());
    order["info"]["updateTime"] = ms.into();
    order
}

fn exit(signal: Option<&str>) -> Value {
    json!({ "event": "intent", "symbol": "BTCUSDT", "side": "long", "role": "exit", "type": "market", "amount": "1",
        "client_order_id": "bye", "signal_id": signal, "time": START_MS + 60_000 })
}

fn sold(order: u64, ms: i64) -> Value {
    json!({ "event": "trade", "trade": trade("BTCUSDT", ms.unsigned_abs(), order, "SELL", "110", ms) })
}

fn bought(order: u64, ms: i64) -> Value {
    json!({ "event": "trade", "trade": trade("BTCUSDT", ms.unsigned_abs(), order, "BUY", "100", ms) })
}

fn closed(reason: &str, ms: i64) -> Value {
    json!({ "event": "closed", "symbol": "BTCUSDT", "side": "long", "reason": reason, "time": ms })
}

/// Why each round trip was closed, the first one first.
async fn reasons(store: &Book) -> Vec<ExitReason> {
    let filter = TripFilter { scope: Scope::account(account()), engine: None, position_side: None };
    let trips = store.trips(&filter, PageRequest::first(10)).await.unwrap().items;
    trips.into_iter().map(|trip| trip.exit_reason).collect()
}

/// How many of the bot's words on closed trades wait for their order.
async fn waiting(store: &Book) -> usize {
    let outlook = Some(SignalOutlook::Awaited);
    let filter = SignalFilter { named_by_order: Some(false), outlook, ..Scope::account(account()).into() };
    let signals = store.signals(&filter, PageRequest::first(10)).await.unwrap().items;
    signals.into_iter().filter(|signal| is_word(&signal.fact)).count()
}

#[tokio::test]
async fn a_closed_trade_keeps_its_reason_in_every_order_of_arrival() {
    let position = || {
        let entry = json!({ "event": "intent", "symbol": "BTCUSDT", "side": "long", "role": "entry", "type": "market",
            "amount": "1", "client_order_id": "hello", "signal_id": "in", "time": START_MS });
        let accepted = json!({ "event": "sent", "client_order_id": "hello", "symbol": "BTCUSDT", "result": "accepted",
            "order": order_at(7, "hello", "BUY", "NEW", START_MS) });
        [entry, accepted, bought(7, START_MS)]
    };
    // An order that only waits: it is not what closes.
    let bracket = json!({ "event": "order", "order": order_at(6, "tp", "SELL", "NEW", START_MS + 1) });
    let decision = |reason: Option<&str>| {
        json!({ "event": "signal", "symbol": "BTCUSDT", "side": "long", "kind": "auto_exit", "signal_id": "out",
            "reason": reason, "time": START_MS + 59_000 })
    };
    let mut bracket = bracket;
    bracket["order"]["info"]["reduceOnly"] = true.into();
    let (mut count, mut seen) = (0, Vec::new());
    for (word, expected) in [("tp", ExitReason::TakeProfit), ("manual", ExitReason::ManualClose)] {
        // What the exit's intent names: nothing, a decision without a reason or with one in words of the bot's, the entry's.
        for (named, decided) in [
            (None, None),
            (Some("out"), Some(decision(None))),
            (Some("out"), Some(decision(Some("rsi above 70")))),
            (None, Some(decision(None))),
            (Some("in"), None),
        ] {
            let unknown =
                json!({ "event": "sent", "client_order_id": "bye", "symbol": "BTCUSDT", "result": "unknown" });
            let accepted = json!({ "event": "sent", "client_order_id": "bye", "symbol": "BTCUSDT", "result": "accepted",
                "order": order_at(8, "bye", "SELL", "NEW", START_MS + 60_100) });
            let with_intent =
                [exit(named), unknown, closed(word, START_MS + 60_300), accepted, sold(8, START_MS + 60_200)];
            // A bot that announces nothing.
            let order = json!({ "event": "order", "order": order_at(8, "bye", "SELL", "NEW", START_MS + 60_100) });
            let without = [closed(word, START_MS + 60_300), order, sold(8, START_MS + 60_200)];
            for lines in orders_of(&with_intent).into_iter().chain(orders_of(&without)) {
                let at = |event: &str| lines.iter().position(|line| line["event"] == event);
                let unknown = lines.iter().position(|line| line["result"] == "unknown");
                if unknown.is_some() && unknown < at("intent") {
                    // Refused: what became of something that was never announced.
                    continue;
                }
                let (mut recorder, store, _) = recorder().await;
                for line in position().iter().chain([&bracket]).chain(&decided).chain(&lines) {
                    let answer = ask(&mut recorder, line).await;
                    assert!(
                        !["refused", "failed", "conflict"].contains(&answer["outcome"].as_str().unwrap()),
                        "{answer}"
                    );
                }
                let names: Vec<_> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
                let case = format!("{word}, {named:?}, {decided:?}: {names:?}");
                if reasons(&store).await != [expected] {
                    seen.push(format!("{:?} {case}", reasons(&store).await));
                }
                if waiting(&store).await > 0 {
                    seen.push(format!("waits: {case}"));
                }
                // All of it again changes nothing.
                for line in &lines {
                    ask(&mut recorder, line).await;
                }
                if reasons(&store).await != [expected] {
                    seen.push(format!("again: {:?} {case}", reasons(&store).await));
                }
                count += 1;
            }
        }
    }
    assert!(seen.is_empty(), "{} of {count}:\n{}", seen.len(), seen.join("\n"));
    assert_eq!(count, 2 * 5 * (60 + 6));
}

#[tokio::test]
async fn a_word_is_not_put_on_the_order_of_another_trade() {
    let hour = 3_600_000;
    // The order that the word is about never turns up, and a later trade ends by itself.
    let (mut recorder, store, _) = recorder().await;
    let lines = [
        bought(7, START_MS),
        sold(8, START_MS + 1_000),
        closed("sl", START_MS + hour),
        bought(9, START_MS + 2 * hour),
        sold(10, START_MS + 3 * hour),
    ];
    for line in &lines {
        ask(&mut recorder, line).await;
    }
    // The first trade's order is the one that is on record: the word came for it, late as it was.
    assert_eq!(reasons(&store).await, [ExitReason::StopLoss, ExitReason::Unknown]);
    // Of a trade that the book has nothing of, between two that it has.
    let (mut recorder, store, _) = super::recorder().await;
    ask(&mut recorder, &closed("sl", START_MS - hour)).await;
    for line in [bought(7, START_MS), exit(None), sold(8, START_MS + 61_000)] {
        ask(&mut recorder, &line).await;
    }
    assert_eq!(reasons(&store).await, [ExitReason::Unknown]);
    assert_eq!(waiting(&store).await, 1);
    // Two trades within minutes, each with its word before its order.
    let (mut recorder, store, _) = super::recorder().await;
    for (nth, word) in [(0, "tp"), (1, "sl")] {
        let at = START_MS + nth * 90_000;
        let id = 20 + 2 * nth.unsigned_abs();
        for line in [bought(id, at), closed(word, at + 30_000), sold(id + 1, at + 29_000)] {
            ask(&mut recorder, &line).await;
        }
    }
    assert_eq!(reasons(&store).await, [ExitReason::TakeProfit, ExitReason::StopLoss]);
}

#[tokio::test]
async fn an_order_that_only_waits_is_not_the_one_that_closed() {
    let (mut recorder, store, _) = recorder().await;
    ask(&mut recorder, &bought(7, START_MS)).await;
    let mut limit = order_at(6, "tp", "SELL", "NEW", START_MS + 1);
    limit["info"]["reduceOnly"] = true.into();
    ask(&mut recorder, &json!({ "event": "order", "order": limit })).await;
    let answer = ask(&mut recorder, &closed("manual", START_MS + 30_000)).await;
    assert_eq!((&answer["order_id"], &answer["outcome"]), (&Value::Null, &json!("recorded")), "{answer}");
    // Somebody closed it with an order of his own, and the one that waited was cancelled.
    ask(&mut recorder, &sold(8, START_MS + 29_000)).await;
    let mut cancelled = order_at(6, "tp", "SELL", "CANCELED", START_MS + 1);
    cancelled["info"]["updateTime"] = (START_MS + 31_000).into();
    ask(&mut recorder, &json!({ "event": "cancel", "order": cancelled })).await;
    assert_eq!((reasons(&store).await, waiting(&store).await), (vec![ExitReason::ManualClose], 0));
}
