//! What each event leaves in the book.

use ledger_core::{Certainty, ExitReason, IntentOutcome, OrderStatus, SignalKind, Source};
use ledger_store::{OrderFilter, PageRequest, Scope, SignalFilter, TripFilter};
use serde_json::json;

use super::*;

#[tokio::test]
async fn a_line_again_changes_nothing() {
    let (mut recorder, _, clock) = recorder().await;
    let lines = [
        json!({ "event": "signal", "symbol": "BTCUSDT", "side": "long", "time": START_MS }),
        json!({ "event": "skip", "symbol": "ETHUSDT", "side": "short", "time": START_MS, "why": "spread" }),
        intent("t-1", "entry"),
        intent("t-1", "exit"),
        json!({ "event": "trade", "trade": trade("BTCUSDT", 1, 7, "BUY", "100", START_MS) }),
        json!({ "event": "order", "order": order("BTCUSDT", 7, "x", "BUY", "FILLED", "2", "100") }),
        json!({ "event": "label", "symbol": "BTCUSDT", "order_id": 7, "engine": "swing" }),
    ];
    let mut before = Vec::new();
    for line in &lines {
        before.push(ask(&mut recorder, line).await);
    }
    clock.advance(std::time::Duration::from_mins(1));
    for (line, before) in lines.iter().zip(before) {
        let again = ask(&mut recorder, line).await;
        assert_eq!(again["outcome"], "already_recorded", "{line}: {again}");
        assert_eq!(again["client_order_id"], before["client_order_id"], "{line}");
        assert_eq!(again["signal_id"], before["signal_id"], "{line}");
    }
}

#[tokio::test]
async fn an_undecided_order_blocks_the_next_try_of_an_entry() {
    let (mut recorder, store, _) = recorder().await;
    for (role, step) in [("entry", None), ("dca", Some(2))] {
        let announce = |nth: u32| {
            let mut line = intent("t-1", role);
            // Another line, as a bot writes it that tries again.
            line["ref"] = nth.into();
            line["step"] = step.into();
            line
        };
        let first = ask(&mut recorder, &announce(1)).await;
        let id = first["client_order_id"].clone();
        assert_eq!((&first["outcome"], &first["attempt"]), (&json!("recorded"), &json!(1)), "{role}");
        for result in [None, Some("unknown")] {
            if let Some(result) = result {
                ask(&mut recorder, &sent(&id, result)).await;
            }
            let second = ask(&mut recorder, &announce(2)).await;
            assert_eq!((&second["outcome"], &second["client_order_id"]), (&json!("refused"), &id), "{role}: {second}");
        }
        // Neither by naming the next try.
        let mut named = announce(2);
        named["attempt"] = 2.into();
        assert_eq!(ask(&mut recorder, &named).await["outcome"], "refused", "{role}");
        assert_eq!(ask(&mut recorder, &sent(&id, "rejected")).await["intent"], "rejected");
        let second = ask(&mut recorder, &announce(2)).await;
        assert_eq!((&second["outcome"], &second["attempt"]), (&json!("recorded"), &json!(2)), "{role}: {second}");
        // An order that is at work is no refusal; one that has ended is the end.
        let id = second["client_order_id"].as_str().unwrap().to_owned();
        let number = if role == "dca" { 12 } else { 11 };
        for (status, outcome) in [("NEW", "refused"), ("CANCELED", "recorded")] {
            let order = order("BTCUSDT", number, &id, "BUY", status, "0", "0");
            let answer = ask(&mut recorder, &json!({ "event": "order", "order": order })).await;
            assert_ne!(answer["outcome"], "refused", "{answer}");
            let third = ask(&mut recorder, &announce(3)).await;
            assert_eq!(third["outcome"], outcome, "{role} {status}: {third}");
        }
    }
    // An exit is never held up: it names its try, or gets the one that is under way.
    let exit = ask(&mut recorder, &intent("t-1", "exit")).await;
    let mut second = intent("t-1", "exit");
    second["ref"] = 2.into();
    assert_eq!(ask(&mut recorder, &second).await["client_order_id"], exit["client_order_id"]);
    second["attempt"] = 2.into();
    let second = ask(&mut recorder, &second).await;
    assert_eq!((&second["outcome"], &second["attempt"]), (&json!("recorded"), &json!(2)), "{second}");
    assert_ne!(second["client_order_id"], exit["client_order_id"]);
    let id = exit["client_order_id"].as_str().unwrap().parse().unwrap();
    let known = store.intent(&account(), &id).await.unwrap().unwrap().fact;
    assert_eq!((known.outcome, known.side.as_str()), (IntentOutcome::Pending, "SELL"), "an exit of a long sells");
}

#[tokio::test]
async fn rejected_and_unknown_are_never_the_same() {
    let (mut recorder, ..) = recorder().await;
    for (nth, (first, second, stands)) in [
        ("unknown", "rejected", "rejected"),
        ("rejected", "unknown", "rejected"),
        ("unknown", "accepted", "accepted"),
        ("accepted", "unknown", "accepted"),
        // What was refused turned up all the same.
        ("rejected", "accepted", "accepted"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = ask(&mut recorder, &intent(&format!("t-{nth}"), "entry")).await["client_order_id"].clone();
        assert_eq!(ask(&mut recorder, &sent(&id, first)).await["intent"], first);
        assert_eq!(ask(&mut recorder, &sent(&id, second)).await["intent"], stands, "{first}, then {second}");
    }
}

/// What an order's answer says about execution is in the position at once; its trades take its place when they come, in
/// whatever order.
#[tokio::test]
async fn an_answer_counts_at_once_and_never_twice() {
    for trades_first in [false, true] {
        let (mut recorder, store, _) = recorder().await;
        let answered = json!({ "event": "order", "order": order("BTCUSDT", 7, "x", "BUY", "FILLED", "2", "100") });
        let trades =
            [1, 2].map(|id| json!({ "event": "trade", "trade": trade("BTCUSDT", id, 7, "BUY", "100", START_MS + 5) }));
        let held = async || {
            let mut positions = store.positions(&account()).await.unwrap();
            let position = positions.pop().unwrap().position;
            (position.qty.to_string(), position.certainty)
        };
        if trades_first {
            for trade in &trades {
                ask(&mut recorder, trade).await;
            }
            ask(&mut recorder, &answered).await;
        } else {
            ask(&mut recorder, &answered).await;
            // The fee of what no trade tells is not known, so nothing rests on facts alone.
            assert_eq!(held().await, ("2".to_owned(), Certainty::Estimated));
            ask(&mut recorder, &trades[0]).await;
            assert_eq!(held().await.0, "2", "one trade is there, and one more is known of");
            ask(&mut recorder, &trades[1]).await;
        }
        assert_eq!(held().await.0, "2");
        let orders = store.orders(&Scope::account(account()).into(), PageRequest::first(10)).await.unwrap().items;
        assert_eq!((orders.len(), orders[0].residual_qty), (1, None));
    }
}

/// When the last trade is answered, position, profit and round trip are of that trade: one transaction has them all.
#[tokio::test]
async fn a_close_is_whole_when_it_is_answered() {
    let (mut recorder, store, _) = recorder().await;
    let id = ask(&mut recorder, &intent("t-1", "entry")).await["client_order_id"].as_str().unwrap().to_owned();
    let entered = order("BTCUSDT", 7, &id, "BUY", "FILLED", "2", "100");
    ask(
        &mut recorder,
        &json!({ "event": "sent", "client_order_id": id, "symbol": "BTCUSDT", "result": "accepted", "order": entered }),
    )
    .await;
    for nth in [1, 2] {
        ask(&mut recorder, &json!({ "event": "trade", "trade": trade("BTCUSDT", nth, 7, "BUY", "100", START_MS + 5) }))
            .await;
    }
    let filter: TripFilter = TripFilter { scope: Scope::account(account()), engine: None, position_side: None };
    let trips = async || store.trips(&filter, PageRequest::first(10)).await.unwrap().items;
    assert!(trips().await.is_empty());
    for nth in [3, 4] {
        assert!(trips().await.is_empty());
        let closing = trade("BTCUSDT", nth, 8, "SELL", "110", START_MS + 1_000 + i64::try_from(nth).unwrap());
        ask(&mut recorder, &json!({ "event": "trade", "trade": closing })).await;
    }
    let closed = trips().await;
    assert_eq!(closed.len(), 1);
    // By hand: 2 x (110 - 100), and four fees of 0.05.
    assert_eq!(closed[0].gross.amount().unwrap().to_string(), "20");
    assert_eq!(closed[0].net().unwrap()[0].total.amount().unwrap().to_string(), "19.8");
    let position = store.positions(&account()).await.unwrap().pop().unwrap().position;
    assert!(position.qty.is_zero());
    let answer = ask(&mut recorder, &json!({ "event": "closed", "symbol": "BTC/USDT:USDT", "reason": "sl" })).await;
    assert_eq!((&answer["order_id"], &answer["trip"]["exit_reason"]), (&json!("8"), &json!("stop_loss")), "{answer}");
    assert_eq!(answer["trip"]["engine"], "swing");
    assert_eq!(trips().await[0].exit_reason, ExitReason::StopLoss);
}

#[tokio::test]
async fn a_close_without_its_fills_says_what_is_missing() {
    let (mut recorder, store, _) = recorder().await;
    let closed =
        json!({ "event": "closed", "symbol": "BTCUSDT", "side": "long", "reason": "manual", "time": START_MS + 9_000 });
    // Nothing tells which side was closed.
    let mut nothing = closed.clone();
    nothing["side"] = serde_json::Value::Null;
    assert_eq!(ask(&mut recorder, &nothing).await["error"]["field"], "side");
    let answer = ask(&mut recorder, &closed).await;
    assert_eq!((&answer["trip"], &answer["outcome"]), (&serde_json::Value::Null, &json!("recorded")), "{answer}");
    assert!(answer["missing"].as_str().unwrap().starts_with("fills"), "{answer}");
    let signals = store.signals(&SignalFilter::from(Scope::account(account())), PageRequest::first(10)).await.unwrap();
    let signal = &signals.items[0].fact;
    assert_eq!((signal.kind, signal.side.as_str()), (SignalKind::ManualClose, "SELL"));
    assert_eq!(ask(&mut recorder, &closed).await["outcome"], "already_recorded");
    // The entry is there, and an exit under way: the reason is the exit's.
    let (mut recorder, store, clock) = super::recorder().await;
    ask(&mut recorder, &json!({ "event": "trade", "trade": trade("BTCUSDT", 1, 7, "BUY", "100", START_MS) })).await;
    let mut exit = intent("t-1", "exit");
    exit["client_order_id"] = "bye".into();
    ask(&mut recorder, &exit).await;
    let mut order = order("BTCUSDT", 8, "bye", "SELL", "NEW", "0", "0");
    order["info"]["time"] = (START_MS + 100).into();
    ask(&mut recorder, &json!({ "event": "order", "order": order })).await;
    let answer = ask(&mut recorder, &closed).await;
    assert_eq!((&answer["order_id"], &answer["trip"]), (&json!("8"), &serde_json::Value::Null), "{answer}");
    ask(&mut recorder, &json!({ "event": "trade", "trade": trade("BTCUSDT", 2, 8, "SELL", "100", START_MS + 200) }))
        .await;
    let filter = TripFilter { scope: Scope::account(account()), engine: None, position_side: None };
    let trips = store.trips(&filter, PageRequest::first(10)).await.unwrap().items;
    assert_eq!(trips[0].exit_reason, ExitReason::ManualClose);
    // A later position of which the fills are missing is not this trip.
    let mut entry = intent("t-2", "entry");
    entry["client_order_id"] = "in".into();
    clock.advance(std::time::Duration::from_mins(1));
    let answer = ask(&mut recorder, &entry).await;
    assert_eq!(answer["outcome"], "recorded");
    let answer =
        ask(&mut recorder, &json!({ "event": "closed", "symbol": "BTCUSDT", "side": "long", "reason": "tp" })).await;
    assert_eq!(answer["trip"], serde_json::Value::Null, "{answer}");
    let trips = store.trips(&filter, PageRequest::first(10)).await.unwrap().items;
    assert_eq!(trips[0].exit_reason, ExitReason::ManualClose);
}

#[tokio::test]
async fn a_cancel_keeps_its_reason_whatever_tells_its_time() {
    let (mut recorder, store, _) = recorder().await;
    let working = order("BTCUSDT", 7, "x", "BUY", "NEW", "0", "0");
    ask(&mut recorder, &json!({ "event": "order", "order": working })).await;
    let unknown = json!({ "event": "cancel", "symbol": "BTCUSDT", "order_id": "8" });
    assert_eq!(ask(&mut recorder, &unknown).await["error"]["field"], "order_id");
    let cancel = json!({ "event": "cancel", "symbol": "BTCUSDT", "order_id": "7", "reason": "too far" });
    ask(&mut recorder, &cancel).await;
    let orders = store.orders(&OrderFilter::from(Scope::account(account())), PageRequest::first(10)).await.unwrap();
    let known = &orders.items[0].order.fact;
    assert_eq!(known.status, OrderStatus::Canceled);
    let known = store.cancel(&account(), &known.key).await.unwrap().unwrap();
    assert_eq!(known.fact.reason.unwrap().as_str(), "too far");
    assert!(known.provenance.of("ts").is_inferred(), "the local clock dates no fact");
    // The exchange's word dates it.
    let cancelled = order("BTCUSDT", 7, "x", "BUY", "CANCELED", "0", "0");
    ask(&mut recorder, &json!({ "event": "cancel", "order": cancelled, "reason": "too far" })).await;
    let key = orders.items[0].order.fact.key.clone();
    let known = store.cancel(&account(), &key).await.unwrap().unwrap();
    assert_eq!((known.fact.time.at.as_ms(), known.provenance.of("ts")), (START_MS + 5, Source::Bot));
}

#[tokio::test]
async fn an_entry_of_the_log_is_the_decision_that_the_bot_did_not_tell_otherwise() {
    let (mut recorder, store, _) = recorder().await;
    let signals = async || {
        let page = store.signals(&SignalFilter::from(Scope::account(account())), PageRequest::first(10)).await.unwrap();
        page.items.into_iter().map(|signal| signal.fact).collect::<Vec<_>>()
    };
    let entry = |symbol: &str, seconds: i64| {
        json!({ "event": "entry_event", "entry": { "ts": START_MS / 1_000 + seconds, "symbol": symbol, "side": "LONG",
            "engine": "swing", "order_id": 7 } })
    };
    ask(
        &mut recorder,
        &json!({ "event": "signal", "symbol": "BTCUSDT", "side": "buy", "engine": "swing", "time": START_MS }),
    )
    .await;
    ask(&mut recorder, &json!({ "event": "order", "order": order("BTCUSDT", 7, "x", "BUY", "NEW", "0", "0") })).await;
    // The same decision: only the order's label is news.
    assert_eq!(ask(&mut recorder, &entry("BTC/USDT:USDT", 3)).await["outcome"], "enriched");
    assert_eq!(signals().await.len(), 1);
    let orders = store.orders(&OrderFilter::from(Scope::account(account())), PageRequest::first(10)).await.unwrap();
    let known = &orders.items[0].order;
    assert_eq!(
        (known.fact.engine.as_ref().unwrap().as_str(), known.provenance.of("engine")),
        ("swing", Source::BotLog)
    );
    assert_eq!(ask(&mut recorder, &entry("BTC/USDT:USDT", 3)).await["outcome"], "already_recorded");
    // Another one.
    assert_eq!(ask(&mut recorder, &entry("ETHUSDT", 3)).await["outcome"], "recorded");
    assert_eq!(ask(&mut recorder, &entry("ETHUSDT", 3)).await["outcome"], "already_recorded");
    assert_eq!(signals().await.len(), 2);
}
