//! Orders of which the exchange says nothing any more.

use exchange_client::OrderRef;

use super::deciding::{btc, close_look, remembering};
use super::*;
use crate::observe::suspects::suspects;

#[test]
fn a_conditional_order_that_triggered_did_not_end_without_a_fill() {
    let long_ago = EventTime::ms(at(-864_000_000));
    let ended = |status: OrderStatus, triggered: Option<&str>, sibling: bool| {
        let mut seen = quiet();
        let mut waiting = order("9", status, "0");
        waiting.key.class = OrderClass::Conditional;
        waiting.executed = None;
        waiting.client_order_id = Some(ClientOrderId::new("sl-1").unwrap());
        waiting.triggered_order_id = triggered.map(|id| OrderId::new(id).unwrap());
        waiting.updated = Some(long_ago);
        if sibling {
            let mut regular = order("77", OrderStatus::Filled, "0.05");
            regular.client_order_id = waiting.client_order_id.clone();
            seen.book.orders.insert(regular.key.clone(), booked(regular, "0.05"));
        }
        let reference = OrderRef::Id(OrderClass::Conditional, waiting.key.order_id.clone());
        seen.book.orders.insert(waiting.key.clone(), booked(waiting, "0"));
        let mut close = close_look(vec![], vec![], "0");
        close.positions = Asked::Answered(answer(vec![]));
        close.orders = vec![(reference, Asked::Answered(None))];
        seen.symbols.insert(btc(), close);
        let mut ended = false;
        for look in -2..=0 {
            let decided = plan_at(&seen, look * 60_000);
            ended |= decided.repairs().any(|repair| repair.kind.as_str() == "end_vanished_order");
            remembering(&mut seen, &decided);
        }
        ended
    };
    assert!(ended(OrderStatus::New, None, false));
    assert!(!ended(OrderStatus::Triggered, None, false));
    assert!(!ended(OrderStatus::New, Some("77"), false));
    assert!(!ended(OrderStatus::New, None, true));
}

/// A conditional order that the book has as triggered. `answer` is what the exchange says of it by name.
fn triggered(answer: Option<OrderStatus>, age_ms: i64) -> Observation {
    let mut waiting = order("9", OrderStatus::Triggered, "0");
    waiting.key.class = OrderClass::Conditional;
    waiting.executed = None;
    waiting.triggered_order_id = Some(OrderId::new("77").unwrap());
    waiting.updated = Some(EventTime::ms(at(-age_ms)));
    let told = answer.map(|status| stated(Order { status, ..waiting.clone() }));
    let mut seen = quiet();
    let reference = OrderRef::Id(OrderClass::Conditional, waiting.key.order_id.clone());
    seen.book.orders.insert(waiting.key.clone(), booked(waiting, "0"));
    let mut close = close_look(vec![], vec![], "0");
    close.positions = Asked::Answered(answer_of_flat());
    close.orders = vec![(reference, Asked::Answered(told))];
    seen.symbols.insert(btc(), close);
    seen
}

fn answer_of_flat() -> Answer<PositionSnapshot> {
    super::answer(vec![])
}

/// In which look it is concluded to be finished, of three.
fn finished(mut seen: Observation) -> Option<i32> {
    for look in 1..=3_i32 {
        let decided = plan_at(&seen, i64::from(look - 2) * 60_000);
        let ended = decided.symbols.values().flat_map(|symbol| &symbol.statements).any(|statement| {
            matches!(&statement.fact, AnyFact::Order(order) if order.status == OrderStatus::Finished)
                && statement.source == Source::Repair
        });
        if ended {
            assert!(decided.repairs().any(|repair| repair.kind.as_str() == "finish_triggered_order"));
            return Some(look);
        }
        remembering(&mut seen, &decided);
    }
    None
}

#[test]
fn a_triggered_order_is_finished_once_its_regular_order_is() {
    let day_ms = 86_400_000;
    let with = |mut seen: Observation, status: OrderStatus| {
        let regular = order("77", status, "0");
        seen.book.orders.insert(regular.key.clone(), booked(regular, "0"));
        seen
    };
    // What it became is over: whether the exchange has forgotten it or never says more.
    for answer in [None, Some(OrderStatus::Triggered)] {
        for end in [OrderStatus::Filled, OrderStatus::Canceled, OrderStatus::Expired] {
            assert_eq!(finished(with(triggered(answer.clone(), 60_000), end)), Some(2));
        }
        // While that is working, or its state is not known, it may still count.
        assert_eq!(finished(with(triggered(answer.clone(), 10 * day_ms), OrderStatus::New)), None);
        let mut seen = triggered(answer.clone(), 10 * day_ms);
        seen.open_orders = Asked::Answered(super::answer(vec![order("77", OrderStatus::New, "0")]));
        assert_eq!(finished(seen), None);
        let mut seen = with(triggered(answer.clone(), 10 * day_ms), OrderStatus::Filled);
        seen.open_orders = Asked::Failed(lost());
        assert_eq!(finished(seen), None);
    }
    // What the exchange says itself needs no conclusion.
    assert_eq!(finished(with(triggered(Some(OrderStatus::Finished), 60_000), OrderStatus::Filled)), None);
    let told = plan(&with(triggered(Some(OrderStatus::Finished), 60_000), OrderStatus::Filled));
    assert!(told.findings().all(|finding| finding.kind != DiscrepancyKind::OrderVanished), "{told:#?}");
    // Nobody knows what it became: once such an order would be forgotten, that is over.
    assert_eq!(finished(triggered(None, 60_000)), None);
    assert_eq!(finished(triggered(None, 4 * day_ms)), Some(2));
    assert_eq!(finished(triggered(Some(OrderStatus::Triggered), 4 * day_ms)), None);
    // Finished, it is not asked for any more.
    let asked = |status: OrderStatus| {
        let mut seen = triggered(None, 4 * day_ms);
        seen.book.orders.values_mut().for_each(|known| known.order.fact.status = status.clone());
        suspects(&seen, &Policy::default(), &BTreeSet::new()).contains_key(&btc())
    };
    assert!(asked(OrderStatus::Triggered) && !asked(OrderStatus::Finished));
}

#[test]
fn an_order_has_ended_without_a_fill_once_such_orders_are_forgotten() {
    let retention_ms = VENUE.unfilled_order_retention_ms;
    for (age_ms, executed, filled, ends) in [
        (retention_ms + 1, "0", "0", true),
        (retention_ms, "0", "0", false),
        // It executed something, as it says itself or by its fills: that is not forgotten so soon.
        (retention_ms + 1, "0.02", "0.02", false),
        (retention_ms + 1, "0.02", "0", false),
    ] {
        let mut working = order("78", OrderStatus::New, executed);
        working.updated = Some(EventTime::ms(at(-age_ms)));
        let reference = OrderRef::Id(OrderClass::Regular, working.key.order_id.clone());
        let mut seen = quiet();
        seen.book.orders.insert(working.key.clone(), booked(working, filled));
        let mut close = close_look(vec![], vec![], "0");
        close.positions = Asked::Answered(answer_of_flat());
        close.orders = vec![(reference, Asked::Answered(None))];
        seen.symbols.insert(btc(), close);
        let mut ended = false;
        for look in -2..=0 {
            let decided = plan_at(&seen, look * 60_000);
            ended |= decided.repairs().any(|repair| repair.kind.as_str() == "end_vanished_order");
            remembering(&mut seen, &decided);
        }
        assert_eq!(ended, ends, "{age_ms} {executed} {filled}");
    }
}

#[test]
fn a_triggered_order_is_not_finished_while_the_list_of_open_orders_says_otherwise() {
    // The book has it filled; the exchange lists it as working.
    let mut seen = triggered(None, 60_000);
    let regular = order("77", OrderStatus::Filled, "0.05");
    seen.book.orders.insert(regular.key.clone(), booked(regular, "0.05"));
    seen.open_orders = Asked::Answered(super::answer(vec![order("77", OrderStatus::New, "0")]));
    assert_eq!(finished(seen), None);
}
