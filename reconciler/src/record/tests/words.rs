//! The bot's word on a closed trade, before and after what else is told of it.

use ledger_core::{ExitReason, PositionMode};
use ledger_store::{PageRequest, Scope, SignalFilter, SignalOutlook, TripFilter};
use serde_json::json;

use super::*;
use crate::record::words::is_word;

/// Every order of some lines.
pub(super) fn orders_of<T: Clone>(lines: &[T]) -> Vec<Vec<T>> {
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

pub(super) fn order_at(id: u64, client_id: &str, side: &str, status: &str, ms: i64) -> Value {
    let mut order = order("BTCUSDT", id, client_id, side, status, "0", "0");
    (order["info"]["origQty"], order["info"]["time"]) = ("1".into(), ms.into());
    order["info"]["updateTime"] = ms.into();
    order
}

fn exit(signal: Option<&str>) -> Value {
    json!({ "event": "intent", "symbol": "BTCUSDT", "side": "long", "role": "exit", "type": "market", "amount": "1",
        "client_order_id": "bye", "signal_id": signal, "time": START_MS + 60_000 })
}

pub(super) fn sold(order: u64, ms: i64) -> Value {
    json!({ "event": "trade", "trade": trade("BTCUSDT", ms.unsigned_abs(), order, "SELL", "110", ms) })
}

pub(super) fn bought(order: u64, ms: i64) -> Value {
    json!({ "event": "trade", "trade": trade("BTCUSDT", ms.unsigned_abs(), order, "BUY", "100", ms) })
}

pub(super) fn closed(reason: &str, ms: i64) -> Value {
    json!({ "event": "closed", "symbol": "BTCUSDT", "side": "long", "reason": reason, "time": ms })
}

/// Why each round trip was closed, the first one first.
pub(super) async fn reasons(store: &Book) -> Vec<ExitReason> {
    let filter = TripFilter { scope: Scope::account(account()), engine: None, position_side: None };
    let trips = store.trips(&filter, PageRequest::first(500)).await.unwrap().items;
    trips.into_iter().map(|trip| trip.exit_reason).collect()
}

/// How many of the bot's words on closed trades wait for their order.
pub(super) async fn waiting(store: &Book) -> usize {
    let outlook = Some(SignalOutlook::Awaited);
    let filter = SignalFilter { named_by_order: Some(false), outlook, ..Scope::account(account()).into() };
    let signals = store.signals(&filter, PageRequest::first(500)).await.unwrap().items;
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
    // The order that the word is about never turns up: one trade ended long before, and a later one ends by itself.
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
    assert_eq!(reasons(&store).await, [ExitReason::Unknown, ExitReason::Unknown]);
    assert_eq!(waiting(&store).await, 1);
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

/// A trade of a coin from `at` on, for a minute: its entry and its exit.
fn round_trip(id: u64, at: i64) -> [Value; 2] {
    [bought(id, at), sold(id + 1, at + 60_000)]
}

#[tokio::test]
async fn a_word_is_about_the_trade_of_its_time() {
    let word = |reason: &str, gap: i64| closed(reason, START_MS + gap + 60_300);
    for gap in [90_000, 3_600_000, 24 * 3_600_000] {
        // The same line again, its answer lost, with another trade complete meanwhile.
        for word_first in [true, false] {
            let (mut recorder, store, _) = recorder().await;
            let mut lines = round_trip(20, START_MS).to_vec();
            lines.insert(if word_first { 0 } else { 2 }, word("tp", 0));
            for line in lines.iter().chain(&round_trip(30, START_MS + gap)) {
                ask(&mut recorder, line).await;
            }
            let again = ask(&mut recorder, &word("tp", 0)).await;
            assert_eq!(again["outcome"], "already_recorded", "{gap}, {word_first}: {again}");
            assert_eq!(again["trip"]["exit_reason"], "take_profit", "{gap}, {word_first}: {again}");
            assert_eq!(reasons(&store).await, [ExitReason::TakeProfit, ExitReason::Unknown], "{gap}, {word_first}");
            assert_eq!(waiting(&store).await, 0, "{gap}, {word_first}");
        }
        // Both trades on record, or the later one under way, then both words.
        for (words, before) in
            [([("tp", 0), ("sl", gap)], 4), ([("sl", gap), ("tp", 0)], 4), ([("tp", 0), ("sl", gap)], 3)]
        {
            let (mut recorder, store, _) = recorder().await;
            let trades = [round_trip(20, START_MS), round_trip(30, START_MS + gap)].concat();
            let words = words.map(|(reason, at)| word(reason, at));
            for line in trades[..before].iter().chain(&words).chain(&trades[before..]) {
                let answer = ask(&mut recorder, line).await;
                assert!(["recorded", "enriched"].contains(&answer["outcome"].as_str().unwrap()), "{gap}: {answer}");
            }
            assert_eq!(reasons(&store).await, [ExitReason::TakeProfit, ExitReason::StopLoss], "{gap}, {before}");
            assert_eq!(waiting(&store).await, 0, "{gap}, {before}");
        }
    }
    // A later trade was begun before the word came, and nothing else of it is on record: it is the one that is meant.
    let (mut recorder, store, _) = recorder().await;
    let entry = json!({ "event": "intent", "symbol": "BTCUSDT", "side": "long", "role": "entry", "type": "market",
        "amount": "1", "client_order_id": "second", "time": START_MS + 90_000 });
    for line in round_trip(20, START_MS).iter().chain([&entry, &word("sl", 60_000), &sold(31, START_MS + 119_000)]) {
        ask(&mut recorder, line).await;
    }
    assert_eq!(reasons(&store).await, [ExitReason::Unknown]);
    ask(&mut recorder, &bought(30, START_MS + 90_100)).await;
    assert_eq!(reasons(&store).await, [ExitReason::Unknown, ExitReason::StopLoss]);
}

#[tokio::test]
async fn a_partial_exit_is_not_the_one_that_closed() {
    let half = |order: u64, ms: i64| {
        let mut line = sold(order, ms);
        (line["trade"]["amount"], line["trade"]["info"]["qty"]) = ("0.5".into(), "0.5".into());
        line
    };
    let exit_order = |id: u64, client_id: Option<&str>, status: &str, executed: &str, ms: i64| {
        let mut order = order_at(id, client_id.unwrap_or_default(), "SELL", status, ms);
        (order["info"]["origQty"], order["info"]["executedQty"]) = ("0.5".into(), executed.into());
        (order["info"]["avgPrice"], order["info"]["reduceOnly"]) = ("110".into(), true.into());
        if client_id.is_none() {
            order["info"].as_object_mut().unwrap().remove("clientOrderId");
        }
        json!({ "event": "order", "order": order })
    };
    let partial_exit = json!({ "event": "intent", "symbol": "BTCUSDT", "side": "long", "role": "exit", "type": "market",
        "amount": "0.5", "client_order_id": "part", "time": START_MS + 1_000 });
    let filled = |id, ms| exit_order(id, None, "FILLED", "0.5", ms);
    // One that nobody announced, and one that the bot did, of which no answer says that it ended.
    let unannounced = vec![filled(8, START_MS + 1_000), half(8, START_MS + 1_000)];
    let announced =
        vec![partial_exit, exit_order(8, Some("part"), "NEW", "0", START_MS + 1_000), half(8, START_MS + 1_000)];
    for partial in [unannounced, announced] {
        let (mut recorder, store, _) = recorder().await;
        for line in [&bought(7, START_MS)].into_iter().chain(&partial) {
            ask(&mut recorder, line).await;
        }
        let answer = ask(&mut recorder, &closed("sl", START_MS + 3_100)).await;
        assert_eq!((&answer["order_id"], &answer["outcome"]), (&Value::Null, &json!("recorded")), "{answer}");
        assert_eq!(waiting(&store).await, 1);
        for line in [filled(9, START_MS + 3_000), half(9, START_MS + 3_000)] {
            ask(&mut recorder, &line).await;
        }
        assert_eq!((reasons(&store).await, waiting(&store).await), (vec![ExitReason::StopLoss], 0), "{partial:?}");
    }
}

#[tokio::test]
async fn an_order_of_the_other_leg_is_not_the_one_that_closed() {
    let on = |leg: &str, mut line: Value| {
        for object in ["order", "trade"] {
            if line.get(object).is_some() {
                line[object]["info"]["positionSide"] = leg.into();
            }
        }
        line
    };
    let shorted = || {
        let mut order = order("BTCUSDT", 8, "", "SELL", "FILLED", "1", "110");
        (order["info"]["origQty"], order["info"]["time"]) = ("1".into(), (START_MS + 59_000).into());
        order["info"]["updateTime"] = (START_MS + 59_000).into();
        order["info"].as_object_mut().unwrap().remove("clientOrderId");
        on("SHORT", json!({ "event": "order", "order": order }))
    };
    for word_first in [true, false] {
        let (mut recorder, store, _) = recorder_in(PositionMode::Hedge).await;
        let mut lines = vec![on("LONG", bought(7, START_MS)), shorted()];
        lines.insert(if word_first { 1 } else { 2 }, closed("tp", START_MS + 60_300));
        for line in &lines {
            let answer = ask(&mut recorder, line).await;
            assert!(line["event"] != "closed" || answer["order_id"].is_null(), "{answer}");
        }
        assert_eq!(waiting(&store).await, 1, "{word_first}");
        let covered = json!({ "event": "trade",
            "trade": trade("BTCUSDT", 5, 10, "BUY", "100", START_MS + 120_000) });
        let shorted = on("SHORT", sold(8, START_MS + 59_000));
        for line in [on("LONG", sold(9, START_MS + 60_000)), shorted, on("SHORT", covered)] {
            ask(&mut recorder, &line).await;
        }
        assert_eq!(reasons(&store).await, [ExitReason::TakeProfit, ExitReason::Unknown], "{word_first}");
        assert_eq!(waiting(&store).await, 0, "{word_first}");
    }
}
