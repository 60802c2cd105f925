//! Closes that nobody recorded, and why they were made.

use super::*;

#[test]
fn a_close_that_was_missed_is_completed_with_its_reason() {
    // The book holds what an unseen order has closed since; the order says who sent it.
    for (client, order_type, reduce_only, kind, reason) in [
        (Some("web_1"), "MARKET", true, Some(SignalKind::ManualClose), ExitReason::ManualClose),
        (Some("electron_1"), "MARKET", false, Some(SignalKind::ManualClose), ExitReason::ManualClose),
        // A hand, perhaps: that waits.
        (None, "MARKET", false, None, ExitReason::ManualClose),
        (Some("fb:swing:x:1"), "MARKET", false, Some(SignalKind::AutoExit), ExitReason::AutoExit),
        (Some("fb:swing:e:1"), "MARKET", true, Some(SignalKind::AutoExit), ExitReason::AutoExit),
        (Some("any"), "STOP_MARKET", true, Some(SignalKind::AutoExit), ExitReason::StopLoss),
        (Some("any"), "TAKE_PROFIT_MARKET", true, Some(SignalKind::AutoExit), ExitReason::TakeProfit),
        (Some("autoclose-1"), "MARKET", false, None, ExitReason::Liquidation),
        (Some("any"), "MARKET", false, None, ExitReason::Unknown),
    ] {
        let mut seen = quiet();
        let opening = fill(1, "70", "0.05");
        let mut closing = fill(2, "77", "0.05");
        closing.key.side = Side::Sell;
        let mut sent = Order { side: Side::Sell, ..ordered("77", -400_000) };
        sent.client_order_id = client.map(|id| ClientOrderId::new(id).unwrap());
        sent.order_type = Some(Label::new(order_type).unwrap());
        sent.reduce_only = Some(reduce_only);
        seen.orders = Asked::Answered(walk(vec![parsed(sent)]));
        // Without its contract on record, what the book holds is what its fills add up to.
        seen.book.unfolded = [btc()].into();
        seen.symbols.insert(btc(), close_look(vec![opening.clone(), closing], vec![opening], "0"));
        let decided = plan(&seen);
        only(&decided, DiscrepancyKind::UnrecordedClose);
        let statements = &decided.symbols[&btc()].statements;
        let restored = statements.iter().find_map(|statement| match &statement.fact {
            AnyFact::Signal(signal) => Some((signal.kind, signal.restored)),
            _ => None,
        });
        assert_eq!(restored, kind.map(|kind| (kind, true)), "{client:?}");
        let said = statements.iter().find_map(|statement| match &statement.fact {
            AnyFact::Order(order) => order.exit_reason,
            _ => None,
        });
        assert_eq!(said.unwrap_or(ExitReason::Unknown), if kind.is_some() { reason } else { ExitReason::Unknown });
    }
}

fn exit_reasons(plan: &Plan) -> Vec<ExitReason> {
    let statements = plan.symbols.values().flat_map(|symbol| &symbol.statements);
    statements
        .filter_map(|statement| match &statement.fact {
            AnyFact::Order(order) => order.exit_reason,
            _ => None,
        })
        .collect()
}

#[test]
fn a_round_trip_that_was_missed_as_a_whole() {
    let mut seen = quiet();
    let mut opening = fill(1, "70", "0.05");
    opening.time = EventTime::ms(at(-500_000));
    let mut closing = fill(2, "77", "0.05");
    (closing.key.side, closing.time) = (Side::Sell, EventTime::ms(at(-400_000)));
    let mut bought = ordered("70", -501_000);
    bought.client_order_id = Some(ClientOrderId::new("fb:swing:e:1").unwrap());
    let mut sold = Order { side: Side::Sell, ..ordered("77", -401_000) };
    sold.client_order_id = Some(ClientOrderId::new("fb:swing:x:1").unwrap());
    seen.orders = Asked::Answered(walk(vec![bought, sold]));
    let mut close = close_look(vec![opening, closing], vec![], "0");
    close.positions = Asked::Answered(answer(vec![]));
    seen.symbols.insert(btc(), close);
    let decided = plan(&seen);
    // No position differs: both sides are flat.
    assert!(decided.findings().all(|finding| !matches!(finding.subject, Subject::Position(..))), "{decided:#?}");
    assert_eq!(exit_reasons(&decided), [ExitReason::AutoExit]);
    let statements = &decided.symbols[&btc()].statements;
    let kinds: Vec<_> = statements
        .iter()
        .filter_map(|statement| match &statement.fact {
            AnyFact::Signal(signal) => Some(signal.kind),
            _ => None,
        })
        .collect();
    assert_eq!(kinds, [SignalKind::AutoExit, SignalKind::Entry]);
    // Each answers the fills of its order.
    let restoring: Vec<_> = decided.repairs().filter(|repair| repair.kind.as_str() == "restore_signal").collect();
    assert!(restoring.len() == 2 && restoring.iter().all(|repair| repair.discrepancy.is_some()), "{restoring:?}");
}

#[test]
fn in_hedge_mode_a_close_tells_itself_by_its_sides() {
    for (order_side, position_side, reason) in [
        (Side::Sell, PositionSide::Long, Some(ExitReason::AutoExit)),
        (Side::Buy, PositionSide::Short, Some(ExitReason::AutoExit)),
        // In one-way mode the same order may be an entry.
        (Side::Sell, PositionSide::Net, None),
    ] {
        let mut seen = quiet();
        let is_net = position_side == PositionSide::Net;
        seen.position_mode = Asked::Answered(if is_net { PositionMode::OneWay } else { PositionMode::Hedge });
        let mut opening = fill(1, "70", "0.05");
        let mut closing = fill(2, "77", "0.05");
        (opening.position_side, closing.position_side) = (Some(position_side), Some(position_side));
        (opening.key.side, closing.key.side) =
            (if order_side == Side::Sell { Side::Buy } else { Side::Sell }, order_side);
        let mut sent = Order { side: order_side, position_side: Some(position_side), ..ordered("77", -400_000) };
        // The bot's id says no more than that it is the bot's; reduce-only cannot be sent in hedge mode.
        sent.client_order_id = Some(ClientOrderId::new("fb:swing:e:1").unwrap());
        sent.reduce_only = Some(false);
        seen.orders = Asked::Answered(walk(vec![sent]));
        seen.book.unfolded = [btc()].into();
        let mut close = close_look(vec![opening.clone(), closing], vec![opening], "0");
        close.positions = Asked::Answered(answer(vec![]));
        seen.symbols.insert(btc(), close);
        let decided = plan(&seen);
        only(&decided, DiscrepancyKind::UnrecordedClose);
        assert_eq!(exit_reasons(&decided).first().copied(), reason, "{order_side} {position_side}");
    }
}

/// The book holds what an order without a client order id has closed; `asked` is what the exchange says of that order.
fn closed_namelessly(asked: Result<Option<Order>, ExchangeError>) -> Observation {
    let opening = fill(1, "70", "0.05");
    let mut closing = fill(2, "77", "0.05");
    closing.key.side = Side::Sell;
    let mut seen = quiet();
    seen.orders = Asked::Failed(lost());
    // As an import of trades leaves it.
    let stub = Order::known_from_fill(nameless().key, Side::Sell, None);
    let mut known = booked(stub, "0");
    known.order.provenance = ledger_core::Provenance::uniform(Source::ExchangeCsv);
    seen.book.orders.insert(known.order.fact.key.clone(), known);
    seen.book.unfolded = [btc()].into();
    let mut close = close_look(vec![opening.clone(), closing], vec![opening], "0");
    let reference = OrderRef::Id(OrderClass::Regular, nameless().key.order_id);
    close.orders = vec![(reference, asked.map(|order| order.map(stated)).into())];
    seen.symbols.insert(btc(), close);
    seen
}

fn nameless() -> Order {
    Order { side: Side::Sell, ..ordered("77", -400_000) }
}

/// The next look: what was planned is on record, and the exchange has nothing new.
fn recorded(mut seen: Observation, plan: &Plan) -> Observation {
    remembering(&mut seen, plan);
    let close = seen.symbols.get_mut(&btc()).unwrap();
    let rows = &close.fills.answer().unwrap().rows;
    close.book_fills =
        rows.iter().map(|(key, row)| (key.clone(), Sourced::new(row.entity.clone(), Source::Rest))).collect();
    close.orders.clear();
    let known = booked(nameless(), "0.05");
    seen.book.orders.insert(known.order.fact.key.clone(), known);
    seen
}

#[test]
fn a_close_by_an_unnamed_hand_waits_for_a_second_look() {
    let seen = closed_namelessly(Ok(Some(nameless())));
    let first = plan(&seen);
    let found = only(&first, DiscrepancyKind::UnexplainedClose);
    assert!(found.outlook == Outlook::Waits && found.evidence.contains("no client order id"), "{found:?}");
    assert_eq!(exit_reasons(&first), []);
    // What the exchange states is recorded all the same.
    assert!(first.symbols[&btc()].statements.iter().any(|statement| matches!(statement.fact, AnyFact::Fill(_))));
    let mut seen = recorded(seen, &first);
    let later = |seen: &Observation, ms: i64| crate::plan::plan(seen, &Policy::default(), at(ms)).unwrap();
    let lag_ms = VENUE.settle_lag_ms;
    // A look that follows within the settle lag is none, and does not begin anew.
    let soon = later(&seen, lag_ms - 1);
    assert_eq!((exit_reasons(&soon), only(&soon, DiscrepancyKind::UnexplainedClose)), (vec![], found));
    let second = later(&seen, lag_ms);
    assert_eq!(exit_reasons(&second), [ExitReason::ManualClose]);
    assert_eq!(only(&second, DiscrepancyKind::UnexplainedClose).outlook, Outlook::Settles);
    let repair = second.repairs().find(|repair| repair.kind.as_str() == "restore_signal").unwrap();
    assert!(repair.discrepancy.is_some() && repair.evidence_json.contains("estimated"), "{repair:?}");
    // A statement of the sender's that has come since counts at once.
    seen.book.orders.values_mut().for_each(|known| known.order.fact.exit_reason = Some(ExitReason::StopLoss));
    assert_eq!(exit_reasons(&later(&seen, 1)), [ExitReason::StopLoss]);
    // And the bot's own signal leaves nothing to explain.
    let own = Some(SignalId::new("s-1").unwrap());
    seen.book.orders.values_mut().for_each(|known| known.order.fact.signal_id.clone_from(&own));
    let owned = later(&seen, lag_ms);
    assert!(exit_reasons(&owned).is_empty() && owned.repairs().count() == 0, "{owned:#?}");
}

#[test]
fn no_close_by_hand_is_concluded_from_a_failed_query() {
    for asked in [Err(lost()), Ok(None)] {
        let decided = plan(&closed_namelessly(asked));
        assert_eq!(exit_reasons(&decided), []);
        assert!(decided.findings().all(|finding| finding.kind != DiscrepancyKind::UnexplainedClose), "{decided:#?}");
    }
}

#[test]
fn the_bots_own_close_reason_stands() {
    // What an answer to an order of role exit leaves, then what the bot says of it.
    let sent = OrderIntent { role: IntentRole::Exit, ..intent() };
    let [answered, _] = crate::record::bot_record::accepted(&sent, &order("77", OrderStatus::Filled, "0.05"));
    let AnyFact::Order(answered) = answered.fact else { panic!("no order") };
    for reason in [ExitReason::StopLoss, ExitReason::TakeProfit, ExitReason::ManualClose, ExitReason::AutoExit] {
        let said =
            Order { exit_reason: Some(reason), ..Order::known_from_fill(answered.key.clone(), Side::Sell, None) };
        let (joined, _) =
            ledger_core::merge(&Sourced::new(answered.clone(), Source::Bot), &Sourced::new(said, Source::Bot));
        assert_eq!(joined.fact.exit_reason, Some(reason));
    }
}
