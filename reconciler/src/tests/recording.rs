//! What is written down, in which order.

use ledger_core::ExitReason;
use ledger_store::{Page, StoreError, UnreadableRow};

use super::*;

/// A book in which no word on a closed trade waits for its order.
fn without_words() -> MockStore {
    let mut mock = MockStore::new();
    mock.expect_signals().returning(|_, _| Ok(Page { items: Vec::new(), unreadable: Vec::new(), next: None }));
    mock
}

/// A recorder that notes what it writes, and a trader that notes when it sends and answers with `outcome`.
fn stage(
    outcome: fn() -> SendOutcome<Stated<Order>>,
    sent: usize,
) -> (Recorder, MockExchangeTrader, Arc<Mutex<Vec<String>>>) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let mut mock = without_words();
    let written = Arc::clone(&log);
    mock.expect_commit().returning(move |batch| {
        let mut log = written.lock().unwrap();
        for statement in &batch.statements {
            log.push(match &statement.fact {
                AnyFact::Intent(intent) => format!("intent {}", intent.outcome),
                fact => fact.kind().to_string(),
            });
        }
        let outcomes = batch.statements.iter().map(|_| Outcome::Recorded).collect();
        Ok(CommitReport { outcomes, ..CommitReport::default() })
    });
    let mut trader = MockExchangeTrader::new();
    let sending = Arc::clone(&log);
    trader.expect_create_order().times(sent).returning(move |order| {
        assert_eq!(order.client_order_id.as_str(), "bot-1");
        sending.lock().unwrap().push("sent".into());
        outcome()
    });
    let clock = Arc::new(ManualClock::new(at(0))) as Arc<dyn Clock>;
    (Recorder::new(Arc::new(mock), account_id(), clock), trader, log)
}

#[tokio::test]
async fn an_order_is_written_down_before_it_is_sent() {
    let done = || SendOutcome::Done(stated(order("77", OrderStatus::Filled, "0.05")));
    let (recorder, trader, log) = stage(done, 1);
    let outcome = recorder.send(&trader, &intent()).await.unwrap().unwrap();
    assert!(matches!(outcome, SendOutcome::Done(_)));
    // The exchange's words, the bot's labels, and that the intent is settled; no fill is made of the answer.
    assert_eq!(*log.lock().unwrap(), ["intent pending", "sent", "order", "order", "intent accepted"]);
}

#[tokio::test]
async fn an_unknown_outcome_is_recorded_as_unknown() {
    let (recorder, trader, log) = stage(|| SendOutcome::Unknown(lost()), 1);
    assert!(matches!(recorder.send(&trader, &intent()).await.unwrap(), Some(SendOutcome::Unknown(_))));
    assert_eq!(*log.lock().unwrap(), ["intent pending", "sent", "intent unknown"]);
    let (recorder, trader, log) = stage(|| SendOutcome::Rejected(lost()), 1);
    assert!(matches!(recorder.send(&trader, &intent()).await.unwrap(), Some(SendOutcome::Rejected(_))));
    assert_eq!(*log.lock().unwrap(), ["intent pending", "sent", "intent rejected"]);
    // What cannot be sent is not even written down.
    let (recorder, trader, log) = stage(|| SendOutcome::Unknown(lost()), 0);
    let conditional = OrderIntent { class: OrderClass::Conditional, ..intent() };
    assert!(recorder.send(&trader, &conditional).await.unwrap().is_none());
    assert!(log.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_cancel_without_a_time_is_the_orders_state_only() {
    let (recorder, _, log) = stage(|| SendOutcome::Unknown(lost()), 0);
    let cancelled = order("77", OrderStatus::Canceled, "0");
    recorder.cancel(&stated(cancelled.clone()), None).await.unwrap();
    assert_eq!(*log.lock().unwrap(), ["order", "cancel"]);
    log.lock().unwrap().clear();
    recorder.cancel(&stated(Order { updated: None, ..cancelled }), None).await.unwrap();
    assert_eq!(*log.lock().unwrap(), ["order"]);
}

#[tokio::test]
async fn a_contract_is_learned_when_it_is_first_needed() {
    let mut mock = without_words();
    mock.expect_instrument().times(1).returning(|_, _| Ok(None));
    let kinds = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&kinds);
    mock.expect_commit().returning(move |batch| {
        log.lock().unwrap().push(batch.statements.iter().map(|fact| fact.fact.kind().to_string()).collect::<Vec<_>>());
        let outcomes = batch.statements.iter().map(|_| Outcome::Recorded).collect();
        Ok(CommitReport { outcomes, ..CommitReport::default() })
    });
    let mut exchange = MockExchangeReader::new();
    let contract = |name: &str| {
        stated(ledger_core::Instrument::linear(symbol(name), ledger_core::Asset::new("USDT").unwrap()).unwrap())
    };
    let listed = move || Answer { rows: vec![contract("BTCUSDT"), contract("ETHUSDT")], ..answer(vec![]) };
    exchange.expect_fetch_instruments().times(1).returning(move || Ok(listed()));
    let clock = Arc::new(ManualClock::new(at(0))) as Arc<dyn Clock>;
    let recorder = Recorder::new(Arc::new(mock), account_id(), clock).learning_contracts(Arc::new(exchange));
    for id in [1, 2] {
        let report = recorder.fills(&[stated(fill(id, "77", "0.01"))]).await.unwrap();
        assert_eq!(report.outcomes, [Outcome::Recorded], "only what was asked for is answered");
    }
    assert_eq!(*kinds.lock().unwrap(), [vec!["instrument", "fill"], vec!["fill"]]);
}

/// A book in which this many commits go through; those after them fail.
fn failing_after(commits: usize) -> Book {
    let mut mock = without_words();
    let mut left = commits;
    mock.expect_commit().returning(move |batch| {
        left = left.checked_sub(1).ok_or(StoreError::UnknownAccount { account: account_id() })?;
        let outcomes = batch.statements.iter().map(|_| Outcome::Recorded).collect();
        Ok(CommitReport { outcomes, ..CommitReport::default() })
    });
    Arc::new(mock)
}

#[tokio::test]
async fn an_order_that_could_not_be_written_down_is_not_sent() {
    let clock = || Arc::new(ManualClock::new(at(0))) as Arc<dyn Clock>;
    // Nothing is sent; or it was, and what became of it could not be written down: both are told.
    for (commits, sent) in [(0, 0), (1, 1)] {
        let (_, trader, log) = stage(|| SendOutcome::Unknown(lost()), sent);
        let recorder = Recorder::new(failing_after(commits), account_id(), clock());
        assert!(recorder.send(&trader, &intent()).await.is_err(), "{commits}");
        assert_eq!(log.lock().unwrap().len(), sent);
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_merged_into_is_an_error() {
    let mut mock = without_words();
    mock.expect_commit().returning(|_| {
        let row = UnreadableRow { table: "intents", key: "main/bot-1".into(), column: "qty", reason: "x".into() };
        Ok(CommitReport { unreadable: vec![row], ..CommitReport::default() })
    });
    let clock = Arc::new(ManualClock::new(at(0))) as Arc<dyn Clock>;
    let (_, trader, _) = stage(|| SendOutcome::Unknown(lost()), 0);
    let recorder = Recorder::new(Arc::new(mock), account_id(), clock);
    assert!(recorder.send(&trader, &intent()).await.is_err(), "the intent is not on record, so it is not sent");
}

#[tokio::test]
async fn a_cancel_that_went_through_is_recorded_under_its_run() {
    let mut mock = without_words();
    mock.expect_commit().times(1).returning(|batch| {
        assert_eq!(batch.run_id, Some(RunId(7)));
        let kinds: Vec<_> = batch.statements.iter().map(|statement| statement.fact.kind().to_string()).collect();
        assert_eq!(kinds, ["order", "cancel"]);
        Ok(CommitReport::default())
    });
    let clock = Arc::new(ManualClock::new(at(0))) as Arc<dyn Clock>;
    let recorder = Recorder::new(Arc::new(mock), account_id(), clock).under_run(RunId(7));
    let cancelled = order("77", OrderStatus::Canceled, "0");
    let mut trader = MockExchangeTrader::new();
    let mut answers = vec![SendOutcome::Unknown(lost()), SendOutcome::Done(Some(stated(cancelled.clone())))];
    trader.expect_cancel_order().times(2).returning(move |_, _| answers.pop().unwrap());
    for is_done in [true, false] {
        let outcome = recorder.send_cancel(&trader, &cancelled.key, None).await.unwrap();
        assert_eq!(matches!(outcome, SendOutcome::Done(_)), is_done);
    }
}

#[tokio::test]
async fn a_signal_that_is_skipped_says_why() {
    let mut mock = without_words();
    mock.expect_commit().times(1).returning(|batch| {
        let [statement] = batch.statements.as_slice() else { panic!("{:?}", batch.statements) };
        let AnyFact::Signal(signal) = &statement.fact else { panic!("{statement:?}") };
        assert_eq!((signal.skip_reason().unwrap().as_str(), statement.source), ("spread", Source::Bot));
        Ok(CommitReport::default())
    });
    let clock = Arc::new(ManualClock::new(at(0))) as Arc<dyn Clock>;
    let recorder = Recorder::new(Arc::new(mock), account_id(), clock);
    recorder.skip(deciding::signal("s-1", 0), ledger_core::Label::new("spread").unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_reason_that_is_learned_later_is_the_orders() {
    let mut mock = without_words();
    mock.expect_commit().times(1).returning(|batch| {
        let [statement] = batch.statements.as_slice() else { panic!("{:?}", batch.statements) };
        let AnyFact::Order(order) = &statement.fact else { panic!("{statement:?}") };
        assert_eq!((order.exit_reason, statement.source), (Some(ExitReason::ManualClose), Source::Bot));
        Ok(CommitReport::default())
    });
    let clock = Arc::new(ManualClock::new(at(0))) as Arc<dyn Clock>;
    let recorder = Recorder::new(Arc::new(mock), account_id(), clock);
    recorder.close_reason(&order("77", OrderStatus::Filled, "0.05"), ExitReason::ManualClose).await.unwrap();
}

/// What happened is recorded without its contract, and that is asked for again with the next.
#[tokio::test]
async fn an_exchange_that_does_not_list_its_contracts_delays_nothing() {
    let mut mock = without_words();
    let is_known = |_: &AccountId, name: &Symbol| *name == symbol("ETHUSDT");
    mock.expect_instrument().returning(move |account, name| {
        let contract = ledger_core::Instrument::linear(name.clone(), checks::usdt()).unwrap();
        Ok(is_known(account, name).then(|| Sourced::new(contract, Source::Rest)))
    });
    mock.expect_commit().times(3).returning(|batch| {
        let outcomes = batch.statements.iter().map(|_| Outcome::Recorded).collect();
        Ok(CommitReport { outcomes, ..CommitReport::default() })
    });
    let mut exchange = MockExchangeReader::new();
    exchange.expect_fetch_instruments().times(2).returning(|| Err(lost()));
    let clock = Arc::new(ManualClock::new(at(0))) as Arc<dyn Clock>;
    let recorder = Recorder::new(Arc::new(mock), account_id(), clock).learning_contracts(Arc::new(exchange));
    let mut of_known = fill(3, "78", "0.01");
    of_known.key.symbol = symbol("ETHUSDT");
    for fill in [fill(1, "77", "0.01"), fill(2, "77", "0.01"), of_known] {
        let report = recorder.fills(&[stated(fill)]).await.unwrap();
        assert_eq!(report.outcomes, [Outcome::Recorded]);
    }
}

#[tokio::test]
async fn nothing_is_left_out_of_date() {
    let mut mock = without_words();
    let mut order = Sequence::new();
    mock.expect_commit().times(1).in_sequence(&mut order).returning(|_| Ok(CommitReport::default()));
    let pending =
        |account: &str, name: &str| PendingRefold { account: AccountId::new(account).unwrap(), symbol: symbol(name) };
    mock.expect_pending_refolds().times(1).in_sequence(&mut order).returning(move || {
        Ok(vec![pending("main", "BTCUSDT"), pending("other", "BTCUSDT"), pending("main", "ETHUSDT")])
    });
    for name in ["BTCUSDT", "ETHUSDT"] {
        let refold = mock.expect_refold().times(1).in_sequence(&mut order);
        refold.withf(move |account, refolded| *account == account_id() && *refolded == symbol(name)).returning(
            |_, symbol| {
                let symbol = symbol.clone();
                Ok(RefoldReport { account: account_id(), symbol, fills: 0, quarantined: None })
            },
        );
    }
    let mode = PositionModeSnapshot { at: at(0), mode: PositionMode::Hedge };
    let plan = Plan { position_mode: Some(mode), ..Plan::default() };
    apply(&plan, &mock, &account_id(), RunId(1), at(0)).await.unwrap();
}
