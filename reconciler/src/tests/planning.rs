//! What differs, and what is never planned.

use super::*;

#[test]
fn a_book_that_agrees_needs_nothing() {
    let plan = plan(&quiet());
    assert_eq!(plan.findings().count(), 0);
    assert!(!plan.records_facts(), "{plan:#?}");
}

#[test]
fn only_the_missing_fill_is_planned() {
    let plan = plan(&half_known());
    let btc = &plan.symbols[&symbol("BTCUSDT")];
    let planned: Vec<_> = btc.statements.iter().map(|statement| &statement.fact).collect();
    assert_eq!(planned, [&AnyFact::Fill(fill(2, "77", "0.03"))]);
    let found: Vec<_> = btc.findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(found, [DiscrepancyKind::MissingFills, DiscrepancyKind::PositionMismatch]);
    assert_eq!(
        btc.findings[0].evidence,
        "order 77 (BUY 0.05 BTCUSDT): the book has fills for 0.02 of 0.05 executed; the exchange has 1 fill for 0.03 that the book lacks: trade 2"
    );
    assert_eq!(btc.findings[1].evidence, "BTCUSDT: the exchange holds 0.05, the book 0");
    assert_eq!(btc.repairs.len(), 1);
    // Covered up to the settle lag before the question, no further.
    assert_eq!(btc.coverage[0].until, at(-VENUE.settle_lag_ms));
    assert_eq!(btc.cursors[0].position, (NOW_MS - VENUE.settle_lag_ms).to_string());
}

#[test]
fn a_sum_that_the_book_lacks_is_not_taken_for_zero() {
    let mut seen = half_known();
    seen.book.orders.values_mut().for_each(|known| known.filled_qty = None);
    let plan = plan(&seen);
    let btc = &plan.symbols[&symbol("BTCUSDT")];
    assert!(btc.findings[0].evidence.contains("fills for an unknown quantity of 0.05"), "{}", btc.findings[0].evidence);
    assert_eq!((&btc.repairs[0].before, &btc.repairs[0].after), (&None, &None));
}

#[test]
fn every_finding_has_its_evidence_in_one_line() {
    let mut seen = half_known();
    seen.open_orders = Asked::Answered(answer(vec![order("78", OrderStatus::New, "0")]));
    seen.balances = Asked::Failed(lost());
    let behind = order("79", OrderStatus::Canceled, "0");
    let known = booked(order("79", OrderStatus::New, "0"), "0");
    seen.book.orders.insert(behind.key.clone(), known);
    seen.orders = Asked::Answered(walk(vec![order("77", OrderStatus::Filled, "0.05"), behind]));
    let plan = plan(&seen);
    let kinds: BTreeSet<_> = plan.findings().map(|finding| finding.kind).collect();
    let expected = [
        DiscrepancyKind::MissingFills,
        DiscrepancyKind::UnknownOrder,
        DiscrepancyKind::OrderBehind,
        DiscrepancyKind::PositionMismatch,
        DiscrepancyKind::QueryFailed,
    ];
    assert_eq!(kinds, expected.into());
    for finding in plan.findings() {
        assert!(!finding.evidence.is_empty() && !finding.evidence.contains('\n'), "{finding:?}");
        assert!(!finding.fingerprint().is_empty());
    }
    // The same observation gives the same plan.
    assert_eq!(crate::plan::plan(&seen, &Policy::default(), at(0)).unwrap(), plan);
}

#[test]
fn nothing_is_planned_from_a_failed_query() {
    // The book holds a position and an open order; the exchange does not answer anything.
    let mut seen = half_known();
    let known = booked(order("80", OrderStatus::New, "0"), "0");
    seen.book.orders.insert(known.order.fact.key.clone(), known);
    seen.positions = Asked::Failed(lost());
    seen.open_orders = Asked::Failed(lost());
    seen.orders = Asked::Failed(lost());
    seen.force_orders = Asked::Failed(lost());
    seen.income = Asked::Failed(lost());
    seen.balances = Asked::Failed(lost());
    seen.mark_prices = Asked::Failed(lost());
    let close = seen.symbols.get_mut(&symbol("BTCUSDT")).unwrap();
    close.positions = Asked::Failed(lost());
    close.conditional_orders = Asked::Failed(lost());
    close.fills = Asked::Failed(lost());
    let plan = plan(&seen);
    assert!(!plan.records_facts(), "{plan:#?}");
    assert!(
        plan.findings()
            .all(|finding| finding.kind == DiscrepancyKind::QueryFailed && finding.outlook == Outlook::Waits)
    );
    assert_eq!(plan.findings().count(), 10);
    assert!(plan.account_cursors.is_empty() && plan.account_coverage.is_empty());
    assert!(plan.symbols.values().all(|symbol| symbol.cursors.is_empty() && symbol.coverage.is_empty()));
}

#[test]
fn out_of_scope_stays_as_it_is_and_no_stream_moves_on() {
    let mut seen = half_known();
    seen.scope = [symbol("ETHUSDT")].into();
    seen.open_orders = Asked::Answered(answer(vec![order("78", OrderStatus::New, "0")]));
    let plan = plan(&seen);
    assert!(plan.findings().all(|finding| finding.kind != DiscrepancyKind::UnknownOrder));
    assert!(plan.account_cursors.iter().all(|cursor| cursor.stream != "orders"));
}

#[tokio::test]
async fn a_later_beginning_does_not_move_the_cursors() {
    let cursor = |stream: &str| ledger_store::SyncCursor {
        stream: stream.into(),
        symbol: None,
        position: at(-50_000_000).as_ms().to_string(),
    };
    for (since, moved) in [(None, 3), (Some(at(-60_000_000)), 2), (Some(at(-1_000)), 0)] {
        let mut mock = MockStore::new();
        mock.expect_cursors().returning(move |_| Ok(vec![cursor("orders"), cursor("income")]));
        let exchange = exchange_with(|| Ok(answer(vec![])));
        let options = ObserveOptions { since, ..ObserveOptions::default() };
        let seen = observe(&exchange, &beside_nothing(mock), &options).await.unwrap();
        let plan = plan(&seen);
        assert_eq!(plan.account_cursors.len(), moved, "{since:?}");
        let window = seen.orders.answer().unwrap().window;
        // Without being told, it begins some time before where the last walk ended.
        assert!(since.map_or(window.since() < at(-50_000_000), |since| window.since() == since));
    }
}
