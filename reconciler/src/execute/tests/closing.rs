//! Exits, and what is cancelled.

use super::*;

/// The positions that are answered one after the other; the last one stays.
fn holding(stage: &mut Stage, answers: &[&'static str]) {
    let mut left: std::collections::VecDeque<_> = answers.iter().copied().collect();
    stage.reader.expect_fetch_positions().returning(move |_| {
        let qty = if left.len() > 1 { left.pop_front() } else { left.front().copied() };
        Ok(held(qty.unwrap()))
    });
}

#[tokio::test(start_paused = true)]
async fn a_book_that_cannot_be_written_stops_no_close() {
    let mut stage = Stage::new().await;
    holding(&mut stage, &["0.05", "0"]);
    stage.answering(|_, order| SendOutcome::Done(taken(order, "77", OrderStatus::Filled, "0.05")));
    let (executor, _, sent) = stage.executor_of(AccountId::new("nobody").unwrap());
    let report = executor.close_long_market(&close_of("s-1")).await;
    assert!(report.is_flat() && report.attempts.len() == 1, "{report:?}");
    // The intent, its answer, and what followed.
    assert!(report.not_recorded.len() >= 2, "{report:?}");
    let sent = sent.lock().unwrap();
    assert!(sent[0].reduce_only && sent[0].side == Side::Sell, "{sent:?}");
    assert_eq!(sent[0].size, "0.05".parse::<ledger_core::Quantity>().unwrap().into());
}

#[tokio::test(start_paused = true)]
async fn a_close_goes_on_until_the_position_is_flat() {
    let mut stage = Stage::new().await;
    // More than one order may have; then a part, a refusal, the rest.
    holding(&mut stage, &["-150", "-50", "-20", "-20", "0"]);
    stage.answering(|number, order| {
        let done = |status, executed| SendOutcome::Done(taken(order, &format!("{}", 80 + number), status, executed));
        match number {
            1 => done(OrderStatus::Filled, "100"),
            2 => done(OrderStatus::Expired, "30"),
            3 => SendOutcome::Rejected(refused(-1001)),
            _ => done(OrderStatus::Filled, "20"),
        }
    });
    let (executor, store, sent) = stage.executor();
    let report = executor.close_short_market(&close_of("s-1")).await;
    assert!(report.is_flat() && report.not_recorded.is_empty(), "{report:?}");
    let sizes: Vec<_> = sent.lock().unwrap().iter().map(|order| (order.size, order.side, order.reduce_only)).collect();
    let expected =
        ["100", "50", "20", "20"].map(|qty| (qty.parse::<ledger_core::Quantity>().unwrap().into(), Side::Buy, true));
    assert_eq!(sizes, expected);
    for attempt in &report.attempts {
        let expected = match attempt.verdict {
            AttemptVerdict::Refused(_) => IntentOutcome::Rejected,
            _ => IntentOutcome::Accepted,
        };
        assert_eq!(outcome_of(&store, &attempt.client_order_id).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_undecided_attempt_holds_the_next_one_up_for_two_seconds() {
    let mut stage = Stage::new().await;
    holding(&mut stage, &["0.05", "0.05", "0"]);
    stage.answering(|number, order| match number {
        1 => SendOutcome::Unknown(lost()),
        _ => SendOutcome::Done(taken(order, "78", OrderStatus::Filled, "0.05")),
    });
    stage.reader.expect_fetch_order().returning(|_, _| Ok(None));
    let (executor, store, sent) = stage.executor();
    let began = tokio::time::Instant::now();
    let report = executor.close_long_market(&close_of("s-1")).await;
    let took = began.elapsed();
    assert!(report.is_flat() && sent.lock().unwrap().len() == 2, "{report:?}");
    assert!((2_000..2_600).contains(&took.as_millis()), "{took:?}");
    assert!(matches!(report.attempts[0].verdict, AttemptVerdict::Undecided));
    assert_eq!(outcome_of(&store, &report.attempts[0].client_order_id).await, IntentOutcome::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_position_that_nobody_tells_is_closed_by_what_the_caller_believes() {
    let mut stage = Stage::new().await;
    let mut asked = 0;
    stage.reader.expect_fetch_positions().returning(move |_| {
        asked += 1;
        if asked < 3 { Err(lost()) } else { Ok(held("0")) }
    });
    // The account is in hedge mode, which nobody said.
    stage.answering(|_, order| match order.position_side {
        PositionSide::Net => SendOutcome::Rejected(refused(-4061)),
        _ => SendOutcome::Done(taken(order, "77", OrderStatus::Filled, "0.05")),
    });
    let (executor, _, sent) = stage.executor();
    let believed_qty = Some("0.05".parse().unwrap());
    let report = executor.close_short_market(&CloseRequest { believed_qty, ..close_of("s-1") }).await;
    assert!(report.is_flat() && report.attempts.len() == 2, "{report:?}");
    let sent = sent.lock().unwrap();
    assert!(sent[1].position_side == PositionSide::Short && !sent[1].reduce_only && sent[1].side == Side::Buy);
}

#[tokio::test(start_paused = true)]
async fn a_close_that_closes_nothing_ends_and_says_so() {
    let mut stage = Stage::new().await;
    holding(&mut stage, &["0.05"]);
    stage.answering(|_, _| SendOutcome::Rejected(refused(-1001)));
    let (executor, _, sent) = stage.executor();
    let report = executor.close_long_market(&close_of("s-1")).await;
    assert_eq!(report.end, CloseEnd::StillOpen { qty: "0.05".parse().unwrap() });
    assert_eq!(sent.lock().unwrap().len(), 12);
    // Asking again goes on with the next number.
    let _ = executor.close_long_market(&close_of("s-1")).await;
    assert!(sent.lock().unwrap()[12].client_order_id.as_str().ends_with("x13"));
}

#[tokio::test(start_paused = true)]
async fn dust_is_tried_once_and_told() {
    let mut stage = Stage::new().await;
    holding(&mut stage, &["0.0004"]);
    stage.answering(|_, _| SendOutcome::Rejected(refused(-1111)));
    let (executor, _, sent) = stage.executor();
    let report = executor.close_long_market(&close_of("s-1")).await;
    assert_eq!(report.end, CloseEnd::Dust { qty: "0.0004".parse().unwrap() });
    assert_eq!(sent.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_position_of_the_other_direction_is_flat() {
    let mut stage = Stage::new().await;
    holding(&mut stage, &["0.05"]);
    let (executor, ..) = stage.executor();
    let report = executor.close_short_market(&close_of("s-1")).await;
    assert!(report.is_flat() && report.attempts.is_empty(), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_that_is_lost_is_confirmed_by_asking() {
    let mut stage = Stage::new().await;
    let order = |id: &str, status| {
        let sent = NewOrder {
            client_order_id: ClientOrderId::new(format!("c-{id}")).unwrap(),
            symbol: btc(),
            side: Side::Sell,
            position_side: PositionSide::Net,
            kind: exchange_client::OrderKind::Market,
            size: "1".parse::<ledger_core::Quantity>().unwrap().into(),
            reduce_only: false,
        };
        taken(&sent, id, status, "0")
    };
    let listed = ["1", "2", "3", "4"].map(|id| order(id, OrderStatus::New).entity);
    stage.reader.expect_fetch_open_orders().returning(move |_| Ok(answer(listed.to_vec())));
    // 1 is cancelled, of 2 the answer is lost, 3 was filled meanwhile, of 4 nobody says anything.
    stage.trader.expect_cancel_order().returning(move |_, reference| match reference {
        exchange_client::OrderRef::Id(_, id) => match id.as_str() {
            "1" => SendOutcome::Done(Some(order("1", OrderStatus::Canceled))),
            "3" => SendOutcome::Rejected(refused(-2011)),
            _ => SendOutcome::Unknown(lost()),
        },
        exchange_client::OrderRef::Client(..) => panic!("by the exchange's id"),
    });
    stage.reader.expect_fetch_order().returning(move |_, reference| match reference {
        exchange_client::OrderRef::Id(_, id) if id.as_str() == "2" => Ok(Some(order("2", OrderStatus::Canceled))),
        exchange_client::OrderRef::Id(_, id) if id.as_str() == "3" => Ok(Some(order("3", OrderStatus::Filled))),
        _ => Err(lost()),
    });
    let (executor, ..) = stage.executor();
    let request = CancelRequest { symbol: btc(), position_side: None, reason: None };
    let report = executor.cancel_open_orders(&request).await.unwrap();
    let verdicts: Vec<_> = report.orders.iter().map(|order| &order.verdict).collect();
    assert!(
        matches!(
            verdicts[..],
            [
                CancelVerdict::Cancelled,
                CancelVerdict::Cancelled,
                CancelVerdict::AlreadyOver,
                CancelVerdict::Unknown(Some(_))
            ]
        ),
        "{verdicts:?}"
    );
    assert!(!report.all_over() && report.orders.iter().all(|order| order.not_recorded.is_none()));
}

#[tokio::test(start_paused = true)]
async fn our_own_orders_that_claim_the_position_make_way_and_no_others() {
    let mut stage = Stage::new().await;
    holding(&mut stage, &["0.05", "0.05", "0"]);
    stage.answering(|number, order| match number {
        1 => SendOutcome::Rejected(refused(-4118)),
        _ => SendOutcome::Done(taken(order, "79", OrderStatus::Filled, "0.05")),
    });
    let resting = |id: &str, client_id: &str, side| {
        let sent = NewOrder {
            client_order_id: ClientOrderId::new(client_id).unwrap(),
            symbol: btc(),
            side,
            position_side: PositionSide::Net,
            kind: exchange_client::OrderKind::Market,
            size: "0.05".parse::<ledger_core::Quantity>().unwrap().into(),
            reduce_only: true,
        };
        let mut order = taken(&sent, id, OrderStatus::New, "0");
        order.entity.reduce_only = Some(true);
        order
    };
    let (own, web) = (resting("1", "fb:swing:t:abcx1", Side::Sell), resting("2", "web_1", Side::Sell));
    let (buys, opens) = (resting("3", "fb:swing:t:abdx1", Side::Buy), resting("4", "fb:swing:e:abex1", Side::Sell));
    let opens = Order { reduce_only: Some(false), ..opens.entity };
    let listed = vec![own.entity.clone(), web.entity, buys.entity, opens];
    stage.reader.expect_fetch_open_orders().returning(move |_| Ok(answer(listed.clone())));
    stage.trader.expect_cancel_order().times(1).returning(move |_, reference| {
        assert_eq!(reference.to_string(), "order 1");
        let ended = Order { status: OrderStatus::Canceled, ..own.entity.clone() };
        SendOutcome::Done(Some(stated(ended)))
    });
    let (executor, ..) = stage.executor();
    let report = executor.close_long_market(&close_of("s-1")).await;
    assert!(report.is_flat() && report.not_recorded.is_empty(), "{report:?}");
    let claimed: Vec<_> = report.claimed_by.iter().map(|key| key.order_id.as_str()).collect();
    assert_eq!(claimed, ["2"]);
}

#[tokio::test(start_paused = true)]
async fn a_position_that_is_answered_late_is_not_closed_twice() {
    let mut stage = Stage::new().await;
    holding(&mut stage, &["0.05", "0.05", "0.05", "0"]);
    stage.answering(|_, order| SendOutcome::Done(taken(order, "77", OrderStatus::Filled, "0.05")));
    let (executor, _, sent) = stage.executor();
    let report = executor.close_long_market(&close_of("s-1")).await;
    assert!(report.is_flat() && sent.lock().unwrap().len() == 1, "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn that_nothing_is_held_is_doubted_where_the_book_says_otherwise() {
    for knows in [false, true] {
        let mut stage = Stage::new().await;
        holding(&mut stage, &["0", "0", "0", "0.05", "0"]);
        stage.answering(|_, order| SendOutcome::Done(taken(order, "77", OrderStatus::Filled, "0.05")));
        let (executor, _, sent) = stage.executor();
        if knows {
            let key = ledger_core::FillKey {
                symbol: btc(),
                fill_id: ledger_core::FillId::new("1").unwrap(),
                side: Side::Buy,
            };
            let fill =
                ledger_core::Fill::new(key, EventTime::ms(at(-9)), "60000".parse().unwrap(), "0.05".parse().unwrap());
            let contract = ledger_core::Instrument::linear(btc(), ledger_core::Asset::new("USDT").unwrap()).unwrap();
            let statements =
                vec![stated(contract).statement(), stated(fill.in_position(PositionSide::Net)).statement()];
            executor.desk.record(statements).await.unwrap();
        }
        let report = executor.close_long_market(&close_of("s-1")).await;
        assert!(report.is_flat(), "{report:?}");
        assert_eq!(sent.lock().unwrap().len(), usize::from(knows), "{report:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_of_a_process_that_is_gone_is_asked_for_first() {
    // It turns up after a second, or never; or it is so old that asking once is enough.
    for (turns_up, age_ms, waits_ms) in [(true, 0, 750..1_250), (false, 0, 2_000..2_500), (false, 60_000, 0..500)] {
        let mut stage = Stage::new().await;
        holding(&mut stage, &["0"]);
        let mut asked = 0;
        let order = NewOrder {
            client_order_id: ClientOrderId::new("x").unwrap(),
            symbol: btc(),
            side: Side::Sell,
            position_side: PositionSide::Net,
            kind: exchange_client::OrderKind::Market,
            size: "0.05".parse::<ledger_core::Quantity>().unwrap().into(),
            reduce_only: true,
        };
        stage.reader.expect_fetch_order().returning(move |_, reference| {
            asked += 1;
            let exchange_client::OrderRef::Client(_, id) = reference else { panic!("by our id") };
            let sent = NewOrder { client_order_id: id, ..order.clone() };
            Ok((turns_up && asked > 3).then(|| taken(&sent, "77", OrderStatus::Filled, "0.05")))
        });
        let clock = Arc::clone(&stage.clock);
        let (executor, store, sent) = stage.executor();
        let (symbol, cause) = (btc(), signal("s-1"));
        let (role, side) = (IntentRole::Exit, Side::Sell);
        let aim = request::Aim { symbol: &symbol, cause: &cause, engine: None, role, step: 0, side };
        let qty = "0.05".parse().unwrap();
        let terms = desk::Terms {
            position_side: PositionSide::Net,
            qty: Some(qty),
            price: None,
            trigger: None,
            reduce_only: true,
        };
        let id = executor.desk.id_of(&aim, 1, None).unwrap();
        assert!(executor.desk.announce(&executor.desk.intent_of(&aim, id.clone(), 1, &terms)).await.unwrap());
        clock.advance(Duration::from_millis(age_ms));
        let began = tokio::time::Instant::now();
        let report = executor.close_long_market(&close_of("s-1")).await;
        let took_ms = began.elapsed().as_millis();
        assert!(report.is_flat() && report.attempts.is_empty() && sent.lock().unwrap().is_empty(), "{report:?}");
        // Besides, that nothing is held was looked at twice.
        assert!((waits_ms.start..waits_ms.end + 250).contains(&took_ms), "{turns_up} {age_ms}: {took_ms}");
        let expected = if turns_up { IntentOutcome::Accepted } else { IntentOutcome::Pending };
        assert_eq!(outcome_of(&store, &id).await, expected);
    }
}
