//! Keeping quiet when asked to, and keeping to budgets before.

use super::*;

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_while_the_exchange_asks_to_wait() {
    for (headers, wait_secs) in [(&[("retry-after", "7")][..], 7), (&[], 60)] {
        let script = Script::timed().then_with(429, "", headers).then(200, "[]");
        let (exchange, script, clock) = adapter(script);
        match exchange.fetch_positions(None).await.unwrap_err() {
            ExchangeError::Throttled { until, .. } => assert_eq!(until.as_ms(), NOW_MS + wait_secs * 1_000),
            other => panic!("{other}"),
        }
        clock.advance(Duration::from_millis(u64::try_from(wait_secs).unwrap() * 1_000 - 1));
        assert_eq!(exchange.fetch_positions(None).await.unwrap_err().class(), ErrorClass::Throttled);
        // Commands neither: that would make a ban of it.
        let outcome = exchange.create_order(new_order()).await;
        assert!(matches!(outcome, SendOutcome::Rejected(ExchangeError::Throttled { .. })));
        assert_eq!(script.asked().len(), 2);
        clock.advance(Duration::from_millis(1));
        assert!(exchange.fetch_positions(None).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_while_banned() {
    let banned = format!(r#"{{"code":-1003,"msg":"Way too many requests; IP banned until {}."}}"#, NOW_MS + 300_000);
    for (body, headers, wait_secs) in
        [("", &[][..], 120), (banned.as_str(), &[], 300), ("", &[("retry-after", "600")], 600)]
    {
        let script = Script::timed().then_with(418, body, headers).then(200, "[]");
        // Repetitions are on: a ban is not waited for, however they are set.
        let (exchange, script, clock) = adapter_with(script, RequestSettings::default());
        for _ in 0..3 {
            let error = exchange.fetch_positions(None).await.unwrap_err();
            assert_eq!(error.retry_at().unwrap().as_ms(), NOW_MS + wait_secs * 1_000);
            assert!(
                matches!(&error, ExchangeError::Banned { .. }) && error.to_string().contains("until 2026-05-28T20:"),
                "{error}"
            );
        }
        assert!(matches!(
            exchange.create_order(new_order()).await,
            SendOutcome::Rejected(ExchangeError::Banned { .. })
        ));
        assert!(exchange.server_time().await.is_err());
        assert_eq!(script.asked().len(), 2);
        clock.advance(Duration::from_secs(u64::try_from(wait_secs).unwrap()));
        assert!(exchange.fetch_positions(None).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_ban_ends_when_the_exchange_said_whatever_our_clock_shows() {
    for (ahead_ms, headers) in [(-300_000, &[][..]), (300_000, &[]), (0, &[("retry-after", "5")])] {
        let until = NOW_MS + ahead_ms + 180_000;
        let banned = format!(r#"{{"code":-1003,"msg":"Way too many requests; IP banned until {until}."}}"#);
        let script = Script::default().then(200, &time_answer(NOW_MS + ahead_ms)).then_with(418, &banned, headers);
        let (exchange, script, clock) = adapter(script.then(200, "[]"));
        assert!(exchange.fetch_positions(None).await.is_err());
        clock.advance(Duration::from_millis(179_999));
        assert!(matches!(exchange.fetch_positions(None).await, Err(ExchangeError::Banned { .. })), "{ahead_ms}");
        assert_eq!(script.asked().len(), 2, "{ahead_ms}");
        clock.advance(Duration::from_millis(1));
        assert!(exchange.fetch_positions(None).await.is_ok(), "{ahead_ms}");
    }
}

#[tokio::test(start_paused = true)]
async fn being_told_to_wait_for_no_time_is_not_taken_literally() {
    let mut script = Script::timed();
    for _ in 0..3 {
        script = script.then_with(429, "", &[("retry-after", "0")]);
    }
    let (exchange, script, _) = adapter_with(script.then(200, "[]"), RequestSettings::default());
    let begun = tokio::time::Instant::now();
    assert_eq!(exchange.fetch_positions(None).await.unwrap_err().class(), ErrorClass::Throttled);
    // A second, then two; a third attempt is the last one, and now four must pass.
    assert_eq!((begun.elapsed(), script.asked().len()), (Duration::from_secs(3), 4));
    assert!(exchange.fetch_positions(None).await.is_ok());
    assert_eq!((begun.elapsed(), script.asked().len()), (Duration::from_secs(7), 5));
}

#[tokio::test(start_paused = true)]
async fn orders_beyond_the_limit_are_refused_and_not_sent() {
    // NOW_MS is 40 s into a minute.
    let counted =
        |ten: &'static str, minute: &'static str| [("x-mbx-order-count-10s", ten), ("x-mbx-order-count-1m", minute)];
    for (headers, wait_secs) in [(counted("300", "700"), 8), (counted("7", "1200"), 18)] {
        let script = Script::timed().then(200, "[]").then_with(200, PLACED, &headers);
        let script = script.then(200, CANCELED).then(200, "[]").then(200, PLACED);
        let (exchange, script, clock) = adapter_with(script, RequestSettings::default());
        exchange.fetch_balances(&whoever()).await.unwrap();
        clock.advance(Duration::from_secs(2));
        let begun = tokio::time::Instant::now();
        assert!(exchange.create_order(new_order()).await.done().is_some());
        for _ in 0..2 {
            match exchange.create_order(new_order()).await {
                SendOutcome::Rejected(ExchangeError::OrdersUsedUp { until, .. }) => {
                    assert_eq!(until.as_ms(), NOW_MS + 2_000 + wait_secs * 1_000);
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(script.asked().len(), 3);
        // What does not count as an order goes out.
        assert!(exchange.cancel_order(btc(), that_order()).await.done().is_some());
        assert!(exchange.fetch_positions(None).await.is_ok());
        assert_eq!(begun.elapsed(), Duration::ZERO);
        clock.advance(Duration::from_secs(wait_secs.unsigned_abs()));
        assert!(exchange.create_order(new_order()).await.done().is_some());
    }
    // The exchange says nothing: what went out from here is counted here.
    let mut script = Script::timed();
    for _ in 0..301 {
        script = script.then(200, PLACED);
    }
    let (exchange, script, _) = adapter(script);
    for _ in 0..300 {
        assert!(exchange.create_order(new_order()).await.done().is_some());
    }
    assert!(exchange.create_order(new_order()).await.done().is_none());
    assert_eq!(script.asked().len(), 301);
}

#[tokio::test(start_paused = true)]
async fn a_firewall_is_left_alone_by_reads() {
    let script = Script::timed().then(403, "<html>blocked</html>").then(200, CANCELED);
    let script = script.then(451, "<html>").then(451, "").then(200, "[]").then(403, "");
    let (exchange, script, clock) = adapter_with(script, RequestSettings::default());
    let mut until_secs = 60;
    let refused = async || match exchange.fetch_positions(None).await.unwrap_err() {
        ExchangeError::Forbidden { until, status, .. } => (status, (until.as_ms() - NOW_MS) / 1_000),
        other => panic!("{other}"),
    };
    assert_eq!(refused().await, (403, until_secs));
    clock.advance(Duration::from_secs(59));
    assert_eq!(refused().await, (403, until_secs));
    assert_eq!(script.asked().len(), 2);
    // What trades is tried: it may have to get out of a position. An answer ends the row.
    assert!(exchange.cancel_order(btc(), that_order()).await.done().is_some());
    for (more_secs, length_secs) in [(1, 60), (60, 120)] {
        clock.advance(Duration::from_secs(more_secs));
        until_secs += length_secs;
        assert_eq!(refused().await, (451, until_secs));
    }
    clock.advance(Duration::from_mins(2));
    assert!(exchange.fetch_positions(None).await.is_ok());
    assert_eq!(refused().await, (403, until_secs + 60));
    assert_eq!(script.asked().len(), 7);
}

#[tokio::test(start_paused = true)]
async fn too_many_orders_stop_orders_only() {
    let notice = r#"{"code":-1015,"msg":"Too many new orders; current limit is 300 orders per TEN_SECONDS."}"#;
    let script = Script::timed().then(429, notice).then(200, "[]").then(200, CANCELED).then(200, PLACED);
    let (exchange, script, clock) = adapter(script);
    for _ in 0..2 {
        let outcome = exchange.create_order(new_order()).await;
        assert!(matches!(outcome, SendOutcome::Rejected(ExchangeError::Throttled { .. })));
    }
    assert!(exchange.fetch_positions(None).await.is_ok());
    // Getting out of a position must stay possible.
    assert!(exchange.cancel_order(btc(), that_order()).await.done().is_some());
    clock.advance(Duration::from_secs(10));
    assert!(exchange.create_order(new_order()).await.done().is_some());
    assert_eq!(script.asked().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn reads_wait_for_their_share_and_commands_do_not() {
    // 40 % of 2400 in a minute: 32 ledger pages of weight 30. The minute has 20 s left: NOW_MS is 40 s into one.
    let mut script = Script::timed();
    for _ in 0..33 {
        script = script.then(200, "[]");
    }
    let (exchange, script, _) = adapter(script.then(200, "[]").then(200, PLACED));
    let begun = tokio::time::Instant::now();
    for _ in 0..32 {
        exchange.fetch_income(None, window()).await.unwrap();
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    exchange.fetch_income(None, window()).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_secs(20));
    assert_eq!(script.asked().len(), 34);
    let usage = exchange.usage();
    assert_eq!((usage.requests, usage.weight, usage.weight_1m), (34, 33 * 30 + 1, None));

    // A bot on the same address has used it up: reads wait, orders and cancels go out at once.
    let headers = [("x-mbx-used-weight-1m", "2300"), ("x-mbx-order-count-10s", "7"), ("x-mbx-order-count-1m", "70")];
    let script = Script::timed().then_with(200, "[]", &headers).then(200, PLACED).then(200, "[]");
    let (exchange, script, _) = adapter(script);
    let begun = tokio::time::Instant::now();
    exchange.fetch_balances(&whoever()).await.unwrap();
    let usage = exchange.usage();
    assert_eq!((usage.weight_1m, usage.orders_10s, usage.orders_1m), (Some(2_300), Some(7), Some(70)));
    assert!(exchange.create_order(new_order()).await.done().is_some());
    assert_eq!(begun.elapsed(), Duration::ZERO);
    exchange.fetch_balances(&whoever()).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_secs(20));
    assert_eq!(script.asked().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn accounts_of_one_address_share_budget_and_bans_but_not_their_orders() {
    let too_many = r#"{"code":-1015,"msg":"Too many new orders."}"#;
    let mut script = Script::timed();
    for _ in 0..33 {
        script = script.then(200, "[]");
    }
    let script = script.then(429, too_many).then(200, PLACED).then(418, "");
    let (first, script, _) = adapter(script);
    first.server_time().await.unwrap();
    let credentials = Credentials::new("another-key", "another-secret").unwrap();
    let settings = RequestSettings { retry: RetryPolicy::NEVER, ..RequestSettings::default() };
    let settings = RequestSettings { budget: RequestBudget::UNLIMITED, ..settings };
    let second = first.for_account(credentials, settings);
    let begun = tokio::time::Instant::now();
    // 32 ledger pages fit into the minute, whoever asks for them.
    for number in 0..33 {
        let exchange = if number % 2 == 0 { &first } else { &second };
        assert_eq!(begun.elapsed(), Duration::ZERO, "{number}");
        exchange.fetch_income(None, window()).await.unwrap();
    }
    assert_eq!(begun.elapsed(), Duration::from_secs(20));
    assert_eq!((first.usage().weight, second.usage().weight), (17 * 30 + 1, 16 * 30));
    assert_eq!(script.asked.lock().unwrap()[2].headers, [("x-mbx-apikey", "another-key".to_owned())]);
    assert!(first.create_order(new_order()).await.done().is_none());
    assert!(second.create_order(new_order()).await.done().is_some());
    assert!(matches!(second.fetch_positions(None).await, Err(ExchangeError::Banned { .. })));
    assert!(matches!(first.fetch_positions(None).await, Err(ExchangeError::Banned { .. })));
    assert_eq!(script.asked().len(), 37);
}

#[tokio::test(start_paused = true)]
async fn the_stricter_budget_of_two_accounts_holds_for_both() {
    let mut script = Script::timed();
    for _ in 0..9 {
        script = script.then(200, "[]");
    }
    let (first, ..) = adapter(script);
    let budget = RequestBudget { own_percent: 10, total_percent: 85 };
    let settings = RequestSettings { budget, ..RequestSettings::default() };
    let _second = first.for_account(Credentials::new("another-key", "another-secret").unwrap(), settings);
    // A tenth of 2400 are 8 ledger pages of weight 30.
    let begun = tokio::time::Instant::now();
    for _ in 0..8 {
        first.fetch_income(None, window()).await.unwrap();
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    first.fetch_income(None, window()).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_secs(20));
}
