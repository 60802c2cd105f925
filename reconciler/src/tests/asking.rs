//! What is asked, and what becomes of no answer.

use super::*;

#[tokio::test]
async fn a_failed_query_is_kept_as_an_error() {
    let exchange = exchange_with(|| Err(lost()));
    let book = empty_book();
    let seen = observe(&exchange, &book, &ObserveOptions::default()).await.unwrap();
    assert!(seen.positions.error().is_some());
    assert!(
        seen.open_orders.is_answered()
            && seen.orders.is_answered()
            && seen.income.is_answered()
            && seen.balances.is_answered()
    );
    assert_eq!(seen.failed_queries().len(), 1);
    assert_eq!(seen.exchange_qty(&symbol("BTCUSDT"), PositionSide::Net), None);
}

#[tokio::test]
async fn only_suspect_symbols_are_looked_at_closely() {
    // Nothing differs: no question about any symbol (the mock would fail the test).
    let exchange = exchange_with(|| Ok(answer(vec![])));
    let seen = observe(&exchange, &empty_book(), &ObserveOptions::default()).await.unwrap();
    assert!(seen.symbols.is_empty() && matches!(seen.instruments, Asked::NotAsked));
    // The exchange holds something that the book does not: fills, positions, fills again, of this symbol only.
    let mut exchange = exchange_with(|| Ok(answer(vec![held("0.05")])));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    exchange.expect_fetch_my_trades().returning(move |symbol, query| {
        log.lock().unwrap().push((symbol, format!("{query:?}")));
        Ok(page(vec![fill(5, "77", "0.05")]))
    });
    exchange.expect_fetch_order().times(1).returning(|_, _| Ok(Some(stated(order("77", OrderStatus::Filled, "0.05")))));
    exchange.expect_fetch_instruments().times(1).returning(|| Ok(answer(vec![])));
    let seen = observe(&exchange, &empty_book(), &ObserveOptions::default()).await.unwrap();
    assert_eq!(seen.symbols.keys().collect::<Vec<_>>(), [&symbol("BTCUSDT")]);
    let asked = asked.lock().unwrap();
    assert!(asked.iter().all(|(asked, _)| *asked == symbol("BTCUSDT")));
    assert!(asked[0].1.starts_with("Window") && asked[1].1 == "FromId(\"6\")", "{asked:?}");
}

#[tokio::test]
async fn a_check_without_an_answer_is_not_checkable() {
    let mut seen = quiet();
    seen.positions = Asked::Failed(lost());
    seen.income = Asked::Failed(lost());
    let verification = verify(&seen, &*empty_book(), &account_id()).await.unwrap();
    for name in [CheckName::Quantity, CheckName::AverageEntry, CheckName::IncomeHasFills] {
        let check = verification.checks.iter().find(|check| check.name == name).unwrap();
        assert!(matches!(check.verdict, Verdict::NotCheckable { .. }), "{check:?}");
    }
    let seen = Observation { positions: Asked::Answered(answer(vec![held("0.05")])), ..quiet() };
    let verification = verify(&seen, &*empty_book(), &account_id()).await.unwrap();
    assert!(!verification.is_clean());
    assert!(verification.mismatched_positions.contains_key(&(symbol("BTCUSDT"), PositionSide::Net)));
}

/// A position is told with the fills that led to it: a fill that came in during the look is in the next answer only.
#[tokio::test]
async fn positions_are_asked_again_when_a_fill_came_in_meanwhile() {
    let mut exchange = MockExchangeReader::new();
    exchange.expect_fetch_balances().returning(|_| Ok(answer(vec![])));
    let mut looks = vec![vec![], vec![fill(2, "77", "0.03")], vec![fill(1, "77", "0.02")]];
    exchange.expect_fetch_my_trades().times(3).returning(move |_, _| Ok(page(looks.pop().unwrap())));
    let mut told = vec!["0.05", "0.02"];
    let of_symbol = exchange.expect_fetch_positions().times(2).withf(Option::is_some);
    of_symbol.returning(move |_| Ok(answer(vec![held(told.pop().unwrap())])));
    exchange.expect_fetch_order().returning(|_, _| Ok(None));
    exchange.expect_fetch_instruments().returning(|| Ok(answer(vec![])));
    let exchange = answering(exchange, || Ok(answer(vec![])));
    let options = ObserveOptions { symbols: [symbol("BTCUSDT")].into(), ..ObserveOptions::default() };
    let seen = observe(&exchange, &empty_book(), &options).await.unwrap();
    let close = &seen.symbols[&symbol("BTCUSDT")];
    assert_eq!(close.fills.answer().unwrap().rows.len(), 2);
    assert_eq!(close.positions.answer().unwrap().rows[0].entity.qty, "0.05".parse().unwrap());
}

/// A recorder beside the look hears of a cancel while the look asks for the order by name, or lists the conditional ones: what
/// the answer says is no news by then.
#[tokio::test]
async fn what_the_book_heard_while_an_order_was_asked_for_is_no_repair() {
    let waiting = |class: OrderClass| {
        let mut order = order("77", OrderStatus::New, "0");
        order.key.class = class;
        order
    };
    let canceled = move |class: OrderClass| Order { status: OrderStatus::Canceled, ..waiting(class) };
    for class in [OrderClass::Regular, OrderClass::Conditional] {
        for is_heard in [false, true] {
            let mut mock = MockStore::new();
            mock.expect_orders().returning(move |filter, _| {
                let items = if filter.open_only { vec![booked(waiting(class), "0")] } else { Vec::new() };
                Ok(ledger_store::Page { items, unreadable: Vec::new(), next: None })
            });
            mock.expect_order().returning(move |_, key| {
                let known = if is_heard { canceled(class) } else { waiting(class) };
                Ok((*key == known.key).then(|| booked(known, "0")))
            });
            let mut exchange = MockExchangeReader::new();
            exchange.expect_fetch_balances().returning(|_| Ok(answer(vec![])));
            exchange.expect_fetch_my_trades().returning(|_, _| Ok(page(vec![])));
            exchange.expect_fetch_order().times(1).returning(move |_, _| Ok(Some(stated(canceled(class)))));
            exchange.expect_fetch_instruments().returning(|| Ok(answer(vec![])));
            let exchange = answering(exchange, || Ok(answer(vec![])));
            let seen = observe(&exchange, &beside_nothing(mock), &ObserveOptions::default()).await.unwrap();
            let kinds: Vec<_> = plan(&seen).repairs().map(|repair| repair.kind).collect();
            let expected = if is_heard { vec![] } else { vec![crate::repair::RepairKind::UpdateOrder] };
            assert_eq!(kinds, expected, "{class} {is_heard}");
        }
    }
}
