//! Which trade the bot's word is about, where more than one was near.

use ledger_core::{ExitReason, OrderClass, OrderKey, Symbol};

use super::words::{bought, closed, order_at, orders_of, reasons, sold, waiting};
use super::*;

const MINUTE: i64 = 60_000;

fn at(minutes: i64, ms: i64) -> i64 {
    START_MS + minutes * MINUTE + ms
}

/// Why an order of the contract was sent, as far as it is said.
async fn reason_of(store: &Book, id: &str) -> Option<ExitReason> {
    let (symbol, order_id) = (Symbol::new("BTCUSDT").unwrap(), ledger_core::OrderId::new(id).unwrap());
    let key = OrderKey { symbol, class: OrderClass::Regular, order_id };
    store.order(&account(), &key).await.unwrap().and_then(|order| order.order.fact.exit_reason)
}

/// In every order of arrival in which the first word comes before the second one, each word ends on its own order, and never
/// stands on another one meanwhile.
async fn each_stays_with_its_own(lines: &[Value], expected: [(&str, ExitReason); 2]) -> usize {
    let words: Vec<_> = lines.iter().filter(|line| line["event"] == "closed").cloned().collect();
    let mut count = 0;
    for lines in orders_of(lines) {
        let position = |word: &Value| lines.iter().position(|line| line == word);
        if position(&words[0]) > position(&words[1]) {
            continue;
        }
        let (mut recorder, store, _) = recorder().await;
        ask(&mut recorder, &bought(1, START_MS)).await;
        let told: Vec<_> = lines.iter().map(ToString::to_string).collect();
        for line in &lines {
            ask(&mut recorder, line).await;
            for (id, reason) in expected {
                let said = reason_of(&store, id).await;
                assert!(said.is_none_or(|said| said == reason), "{id} {said:?} after {line}:\n{}", told.join("\n"));
            }
        }
        assert_eq!(reasons(&store).await, expected.map(|(_, reason)| reason), "{}", told.join("\n"));
        assert_eq!(waiting(&store).await, 0, "{}", told.join("\n"));
        count += 1;
    }
    count
}

#[tokio::test]
async fn an_exit_that_was_sent_after_the_word_is_not_the_one_that_it_is_about() {
    let order = |id: u64, side: &str, ms: i64| {
        let mut order = order_at(id, "", side, "FILLED", ms);
        (order["info"]["executedQty"], order["info"]["avgPrice"]) = ("1".into(), "110".into());
        order["info"].as_object_mut().unwrap().remove("clientOrderId");
        json!({ "event": "order", "order": order })
    };
    let lines = [
        order(2, "SELL", at(1, -500)),
        sold(2, at(1, -500)),
        closed("tp", at(1, 0)),
        bought(3, at(2, 0)),
        sold(4, at(3, 0)),
        closed("sl", at(3, 300)),
    ];
    let expected = [("2", ExitReason::TakeProfit), ("4", ExitReason::StopLoss)];
    assert_eq!(each_stays_with_its_own(&lines, expected).await, 360);
    // The orders of the second trade tell of it before its trades do.
    let lines = [
        order(2, "SELL", at(1, -500)),
        closed("tp", at(1, 0)),
        order(3, "BUY", at(2, 0)),
        order(4, "SELL", at(3, 0)),
        closed("sl", at(3, 300)),
    ];
    assert_eq!(each_stays_with_its_own(&lines, expected).await, 60);
}

#[tokio::test]
async fn a_position_that_was_added_to_after_the_word_is_another_trade() {
    // The exit of the second trade was waiting before the first one ended, and fills long after the word on that.
    let mut limit = order_at(4, "", "SELL", "NEW", at(0, 100));
    limit["info"].as_object_mut().unwrap().remove("clientOrderId");
    limit["info"]["reduceOnly"] = true.into();
    let (mut recorder, store, _) = recorder().await;
    let mut both = sold(4, at(3, 0));
    (both["trade"]["amount"], both["trade"]["info"]["qty"]) = ("2".into(), "2".into());
    for line in [
        bought(1, START_MS),
        json!({ "event": "order", "order": limit }),
        closed("tp", at(1, 0)),
        bought(3, at(2, 0)),
        both,
    ] {
        let answer = ask(&mut recorder, &line).await;
        assert_ne!(answer["outcome"], "refused", "{answer}");
    }
    assert_eq!((reasons(&store).await, waiting(&store).await), (vec![ExitReason::Unknown], 1));
    let answer = ask(&mut recorder, &closed("tp", at(1, 0))).await;
    assert!(answer["missing"].as_str().unwrap().contains("ended later"), "{answer}");
}

#[tokio::test]
async fn a_word_right_after_a_quick_re_entry_is_about_the_trade_before_it() {
    let lines = [
        sold(2, at(1, 0)),
        bought(3, at(1, 400)),
        closed("tp", at(1, 600)),
        sold(4, at(2, 0)),
        closed("sl", at(2, 300)),
    ];
    let expected = [("2", ExitReason::TakeProfit), ("4", ExitReason::StopLoss)];
    assert_eq!(each_stays_with_its_own(&lines, expected).await, 60);
    // Both ended at about that time: the word is of neither until an order is named.
    let (mut recorder, store, _) = recorder().await;
    for line in [bought(1, START_MS), sold(2, at(1, 0)), bought(3, at(1, 400)), sold(4, at(1, 1_500))] {
        ask(&mut recorder, &line).await;
    }
    let mut word = closed("tp", at(1, 600));
    let answer = ask(&mut recorder, &word).await;
    assert!(answer["missing"].as_str().unwrap().starts_with("which of two trades"), "{answer}");
    assert_eq!(reasons(&store).await, [ExitReason::Unknown, ExitReason::Unknown]);
    word["order_id"] = "2".into();
    let answer = ask(&mut recorder, &word).await;
    assert_eq!(answer["trip"]["exit_reason"], "take_profit", "{answer}");
    assert_eq!(reasons(&store).await, [ExitReason::TakeProfit, ExitReason::Unknown]);
    // The first one has its word, so another one is about the second.
    ask(&mut recorder, &closed("sl", at(1, 700))).await;
    assert_eq!(reasons(&store).await, [ExitReason::TakeProfit, ExitReason::StopLoss]);
}

#[tokio::test]
async fn a_trade_that_has_its_word_takes_no_other_one() {
    // Two trades within ten minutes, closed for the same reason; both words before any exit, or the second after the first's.
    let lines = [
        sold(2, at(1, -500)),
        closed("tp", at(1, 0)),
        bought(3, at(2, 0)),
        sold(4, at(3, 0)),
        closed("tp", at(3, 300)),
    ];
    let expected = [("2", ExitReason::TakeProfit), ("4", ExitReason::TakeProfit)];
    assert_eq!(each_stays_with_its_own(&lines, expected).await, 60);
    // The very same line is one word, with a time or without.
    let (mut recorder, store, _) = recorder().await;
    ask(&mut recorder, &bought(1, START_MS)).await;
    let mut timeless = closed("sl", 0);
    timeless.as_object_mut().unwrap().remove("time");
    for (line, count) in [(&closed("tp", at(1, 0)), 1), (&timeless, 2)] {
        for outcome in ["recorded", "already_recorded"] {
            assert_eq!(ask(&mut recorder, line).await["outcome"], outcome, "{line}");
        }
        assert_eq!(waiting(&store).await, count);
    }
}

#[tokio::test]
async fn words_are_placed_however_many_wait() {
    let (mut recorder, store, _) = recorder().await;
    let (many, apart) = (120_u32, 5);
    ask(&mut recorder, &bought(1, START_MS)).await;
    let word = |nth: u32| {
        let mut word = closed(if nth.is_multiple_of(2) { "tp" } else { "sl" }, at(i64::from(nth) * apart + 1, 300));
        word["ref"] = nth.into();
        word
    };
    for nth in 0..many {
        assert_eq!(ask(&mut recorder, &word(nth)).await["outcome"], "recorded");
    }
    // All but the first exit are on record: nothing but the last trade can be told from the others.
    for nth in 0..many {
        let (id, minutes) = (u64::from(nth) * 2 + 1, i64::from(nth) * apart);
        if nth > 0 {
            ask(&mut recorder, &bought(id, at(minutes, 0))).await;
            ask(&mut recorder, &sold(id + 1, at(minutes + 1, 0))).await;
        }
    }
    ask(&mut recorder, &sold(2, at(1, 0))).await;
    let expected = (0..many).map(|nth| if nth % 2 == 0 { ExitReason::TakeProfit } else { ExitReason::StopLoss });
    assert_eq!(reasons(&store).await, expected.collect::<Vec<_>>());
}
