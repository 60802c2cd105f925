//! Entries and additions.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_entry_is_written_down_before_it_is_sent() {
    let mut stage = Stage::new().await;
    stage.answering(|_, order| SendOutcome::Done(taken(order, "77", OrderStatus::Filled, "0.05")));
    let (executor, store, sent) = stage.executor();
    let EntryOutcome::Sent(order) = executor.long_market(&entry_of("s-1")).await.unwrap() else { panic!("not sent") };
    assert!(order.not_recorded.is_none() && order.order.status == OrderStatus::Filled);
    assert_eq!(outcome_of(&store, &order.client_order_id).await, IntentOutcome::Accepted);
    let sent = sent.lock().unwrap();
    assert_eq!((sent.len(), sent[0].size), (1, "0.05".parse::<ledger_core::Quantity>().unwrap().into()));
    assert!(!sent[0].reduce_only && sent[0].position_side == PositionSide::Net && sent[0].side == Side::Buy);
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_cannot_be_written_down_is_not_sent() {
    let mut stage = Stage::new().await;
    stage.answering(|_, order| SendOutcome::Done(taken(order, "77", OrderStatus::Filled, "0.05")));
    let (executor, _, sent) = stage.executor_of(AccountId::new("nobody").unwrap());
    match executor.long_market(&entry_of("s-1")).await {
        Ok(EntryOutcome::Blocked(gate)) => assert!(gate.is_unreadable()),
        other => panic!("{other:?}"),
    }
    assert!(sent.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_is_asked_for_and_blocks_what_comes_next() {
    let mut stage = Stage::new().await;
    stage.answering(|_, _| SendOutcome::Unknown(lost()));
    let turned_up = Arc::new(Mutex::new(None::<Stated<Order>>));
    let found = Arc::clone(&turned_up);
    stage.reader.expect_fetch_order().returning(move |_, _| Ok(found.lock().unwrap().clone()));
    let (executor, store, sent) = stage.executor();
    let EntryOutcome::Unknown { client_order_id, .. } = executor.short_market(&entry_of("s-1")).await.unwrap() else {
        panic!("decided")
    };
    assert_eq!(outcome_of(&store, &client_order_id).await, IntentOutcome::Unknown);
    // Again, by a further limit, and of another signal: nothing is sent.
    let again = executor.short_market(&entry_of("s-1")).await.unwrap();
    assert!(matches!(again, EntryOutcome::Undecided { .. }), "{again:?}");
    let other = executor.long_market(&entry_of("s-2")).await.unwrap();
    assert!(matches!(&other, EntryOutcome::Blocked(gate) if gate.reasons.len() == 1), "{other:?}");
    assert_eq!(sent.lock().unwrap().len(), 1);
    // The exchange has it after all.
    let order = taken(&sent.lock().unwrap()[0].clone(), "77", OrderStatus::Filled, "0.05");
    *turned_up.lock().unwrap() = Some(order);
    let again = executor.short_market(&entry_of("s-1")).await.unwrap();
    assert!(matches!(&again, EntryOutcome::AlreadySent { order, .. } if order.key.order_id.as_str() == "77"));
    assert_eq!(outcome_of(&store, &client_order_id).await, IntentOutcome::Accepted);
    assert_eq!(sent.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_is_found_by_asking() {
    let mut stage = Stage::new().await;
    stage.answering(|_, _| SendOutcome::Unknown(lost()));
    let sent = Arc::clone(&stage.sent);
    stage
        .reader
        .expect_fetch_order()
        .returning(move |_, _| Ok(Some(taken(&sent.lock().unwrap()[0], "77", OrderStatus::Filled, "0.05"))));
    let (executor, store, _) = stage.executor();
    let outcome = executor.short_market(&entry_of("s-1")).await.unwrap();
    let EntryOutcome::Sent(order) = outcome else { panic!("{outcome:?}") };
    assert_eq!(outcome_of(&store, &order.client_order_id).await, IntentOutcome::Accepted);
}

#[tokio::test(start_paused = true)]
async fn the_next_attempt_needs_a_refusal_or_an_end_without_a_fill() {
    let mut stage = Stage::new().await;
    stage.answering(|number, order| match number {
        1 => SendOutcome::Rejected(refused(-2019)),
        2 => SendOutcome::Done(taken(order, "78", OrderStatus::Expired, "0")),
        3 => SendOutcome::Done(taken(order, "79", OrderStatus::Expired, "0.001")),
        _ => panic!("sent again"),
    });
    let (executor, _, sent) = stage.executor();
    let first = executor.long_market(&entry_of("s-1")).await.unwrap();
    assert!(matches!(first, EntryOutcome::Refused { not_recorded: None, .. }), "{first:?}");
    for executed in ["0", "0.001"] {
        let next = executor.long_market(&entry_of("s-1")).await.unwrap();
        let EntryOutcome::Sent(order) = next else { panic!("{next:?}") };
        assert_eq!(order.order.executed.unwrap().qty.to_string(), executed);
    }
    // A part of it was executed: that was the entry.
    for _ in 0..2 {
        let next = executor.long_market(&entry_of("s-1")).await.unwrap();
        assert!(matches!(next, EntryOutcome::AlreadySent { .. }), "{next:?}");
    }
    let ids: Vec<_> = sent.lock().unwrap().iter().map(|order| order.client_order_id.to_string()).collect();
    assert!(ids.iter().zip(["x1", "x2", "x3"]).all(|(id, ending)| id.ends_with(ending)) && ids.len() == 3, "{ids:?}");
    // The same name for another direction would be the same order.
    assert!(matches!(executor.short_market(&entry_of("s-1")).await, Err(ExecuteError::CauseReused { .. })));
}

#[tokio::test(start_paused = true)]
async fn an_id_that_is_taken_is_an_earlier_sending_and_no_refusal() {
    let mut stage = Stage::new().await;
    stage.answering(|_, _| SendOutcome::Rejected(refused(-4116)));
    stage.reader.expect_fetch_order().returning(|_, _| Ok(None));
    let (executor, store, _) = stage.executor();
    let outcome = executor.long_limit(&entry_of("s-1"), "50000.07".parse().unwrap()).await.unwrap();
    let EntryOutcome::Unknown { client_order_id, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(outcome_of(&store, &client_order_id).await, IntentOutcome::Unknown);
}

#[tokio::test(start_paused = true)]
async fn two_at_once_are_one() {
    let mut stage = Stage::new().await;
    stage.answering(|_, order| SendOutcome::Done(taken(order, "77", OrderStatus::New, "0")));
    stage.reader.expect_fetch_order().returning(|_, _| Ok(None));
    let (executor, _, sent) = stage.executor();
    let price: Price = "70000.01".parse().unwrap();
    let (request, again) = (entry_of("s-1"), entry_of("s-1"));
    let (one, other) = tokio::join!(executor.short_limit(&request, price), executor.short_limit(&again, price));
    let sent_count = [&one, &other].iter().filter(|outcome| matches!(outcome, Ok(EntryOutcome::Sent(_)))).count();
    assert_eq!((sent_count, sent.lock().unwrap().len()), (1, 1), "{one:?} {other:?}");
    // The limit of a sale is never below what was asked for.
    let exchange_client::OrderKind::Limit { price, .. } = sent.lock().unwrap()[0].kind.clone() else { panic!() };
    assert_eq!(price.to_string(), "70000.1");
}

#[tokio::test(start_paused = true)]
async fn whoever_finds_an_entry_written_down_may_not_send_it() {
    let (executor, ..) = Stage::new().await.executor();
    let (symbol, cause) = (btc(), signal("s-1"));
    let (role, side) = (IntentRole::Entry, Side::Buy);
    let aim = request::Aim { symbol: &symbol, cause: &cause, engine: None, role, step: 0, side };
    let qty = "0.05".parse().unwrap();
    let terms = desk::Terms {
        position_side: PositionSide::Net,
        qty: Some(qty),
        price: None,
        trigger: None,
        reduce_only: false,
    };
    let id = executor.desk.id_of(&aim, 1, None).unwrap();
    let intent = executor.desk.intent_of(&aim, id, 1, &terms);
    assert!(executor.desk.announce(&intent).await.unwrap());
    // The same, and as another process would have written it a moment later.
    let later = ledger_core::OrderIntent { created_local: at(40), ..intent.clone() };
    for again in [intent, later] {
        assert!(!executor.desk.announce(&again).await.unwrap());
    }
}
