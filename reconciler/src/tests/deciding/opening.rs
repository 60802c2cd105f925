//! What opened a round trip, and the signal behind it.

use super::*;

/// The signals that are restored, and the orders that name one.
fn restored(plan: &Plan) -> Vec<(Signal, OrderKey)> {
    let Some(symbol_plan) = plan.symbols.get(&btc()) else { return Vec::new() };
    let facts = || symbol_plan.statements.iter().map(|statement| &statement.fact);
    let named = |id: &SignalId| {
        facts().find_map(|fact| match fact {
            AnyFact::Order(order) if order.signal_id.as_ref() == Some(id) => Some(order.key.clone()),
            _ => None,
        })
    };
    let signals = facts().filter_map(|fact| match fact {
        AnyFact::Signal(signal) => Some(signal.clone()),
        _ => None,
    });
    signals.map(|signal| (signal.clone(), named(&signal.signal_id).expect("an order names it"))).collect()
}

/// A hedge of nothing: `order_id` opened it with fill 1, and the exchange told all of it.
fn opened_by(order: Order) -> Observation {
    let mut seen = quiet();
    seen.positions = Asked::Answered(answer(vec![held("0.05")]));
    seen.orders = Asked::Answered(walk(vec![order]));
    seen.book.unfolded = [btc()].into();
    seen.symbols.insert(btc(), close_look(vec![fill(1, "70", "0.05")], vec![], "0.05"));
    seen
}

/// The same, and the book has all of it.
fn opened_on_record(order: Order) -> Observation {
    let mut seen = quiet();
    seen.book.unsignalled_openers = vec![(fill(1, "70", "0.05"), false)];
    let known = booked(order, "0.05");
    seen.book.orders.insert(known.order.fact.key.clone(), known);
    seen
}

#[test]
fn a_round_trip_whose_opening_names_no_signal_has_one_restored() {
    // Whoever sent it, and whatever of it the book had before.
    for client in [None, Some("mine"), Some("web_1"), Some("fb:swing:e:1")] {
        let client_order_id = client.map(|id| ClientOrderId::new(id).unwrap());
        let sent = parsed(Order { client_order_id, ..ordered("70", -501_000) });
        let all = [opened_by(sent.clone()), opened_on_record(sent.clone())].map(|seen| restored(&plan(&seen)));
        assert_eq!(all[0], all[1], "{client:?}");
        let [(signal, order)] = all[0].as_slice() else { panic!("{client:?}: {:#?}", all[0]) };
        assert_eq!((signal.kind, signal.side, signal.restored), (SignalKind::Entry, Side::Buy, true));
        assert_eq!((signal.time, order), (sent.created.unwrap(), &sent.key));
        let swing = EngineLabel::new("swing").unwrap();
        assert_eq!(signal.engine, (client == Some("fb:swing:e:1")).then_some(swing));
    }
    // An export dated the order to the second: the exchange's word on the fill is what counts.
    let mut seen = opened_on_record(ordered("70", -501_000));
    for known in seen.book.orders.values_mut() {
        known.order.provenance.exceptions.insert("ts", Source::ExchangeCsv);
    }
    assert_eq!(restored(&plan(&seen))[0].0.time, fill(1, "70", "0.05").time);
    // Where a signal is known, by whichever word, there is nothing to restore.
    let signal_id = Some(SignalId::new("s-1").unwrap());
    let mut sent = ordered("70", -501_000);
    sent.client_order_id = Some(ClientOrderId::new("bot-1").unwrap());
    for by_intent in [true, false] {
        for mut seen in [opened_by(sent.clone()), opened_on_record(sent.clone())] {
            if by_intent {
                let intent = OrderIntent { signal_id: signal_id.clone(), ..intent() };
                seen.book.intents.insert(intent.client_order_id.clone(), Sourced::new(intent, Source::Bot));
            } else {
                let mut known = booked(Order { signal_id: signal_id.clone(), ..sent.clone() }, "0");
                known.residual_qty = None;
                seen.book.orders.insert(known.order.fact.key.clone(), known);
            }
            assert_eq!(restored(&plan(&seen)), []);
        }
    }
}

/// What adds to a position was no decision to open one, whoever sent it.
#[test]
fn what_adds_to_a_position_has_no_signal_restored() {
    let mut adding = fill(2, "71", "0.02");
    adding.time = EventTime::ms(at(-400_000));
    let mut seen = opened_by(ordered("70", -501_000));
    let second = Order { client_order_id: ClientOrderId::new("fb:swing:d:1").ok(), ..ordered("71", -401_000) };
    seen.orders = Asked::Answered(walk(vec![ordered("70", -501_000), second]));
    seen.positions = Asked::Answered(answer(vec![held("0.07")]));
    seen.symbols.insert(btc(), close_look(vec![fill(1, "70", "0.05"), adding], vec![], "0.07"));
    let found = restored(&plan(&seen));
    assert_eq!(found.iter().map(|(_, key)| key.order_id.as_str()).collect::<Vec<_>>(), ["70"]);
}

#[test]
fn nothing_is_restored_while_a_signal_may_be_meant() {
    let sent = ordered("70", -501_000);
    let waiting = Sourced::new(signal("s-1", -500_500), Source::Bot);
    for mut seen in [opened_by(sent.clone()), opened_on_record(sent.clone())] {
        seen.book.signals = vec![waiting.clone()];
        let first = plan(&seen);
        assert_eq!(restored(&first), []);
        // Once it is on record that nobody can say which, the wait is over.
        let other = Sourced::new(signal("s-2", -500_400), Source::Bot);
        seen.book.signals = vec![waiting.clone(), other];
        let second = plan(&seen);
        assert_eq!(restored(&second), []);
        let ambiguous = second.findings().filter(|finding| finding.kind == DiscrepancyKind::AmbiguousSignal);
        seen.book.discrepancies.extend(ambiguous.map(known).collect::<Vec<_>>());
        assert_eq!(seen.book.discrepancies.len(), 2);
        assert_eq!(restored(&plan(&seen)).len(), 1);
    }
}

/// An order that turned a position round closed one first: that is what its record says, whichever way its fill came.
#[test]
fn an_order_that_turned_a_position_round_tells_of_the_close() {
    for (client, kind) in [
        (Some("web_1"), Some(SignalKind::ManualClose)),
        // A hand, perhaps: that waits.
        (None, None),
        (Some("any"), Some(SignalKind::Entry)),
    ] {
        let client_order_id = client.map(|id| ClientOrderId::new(id).unwrap());
        let sent = parsed(Order { client_order_id, ..ordered("70", -501_000) });
        let mut seen = opened_by(sent.clone());
        seen.positions = Asked::Answered(answer(vec![held("0.02")]));
        let mut opening = fill(1, "60", "0.03");
        (opening.key.side, opening.time) = (Side::Sell, EventTime::ms(at(-600_000)));
        let fills = vec![opening.clone(), fill(2, "70", "0.05")];
        seen.symbols.insert(btc(), close_look(fills, vec![opening], "0.02"));
        let mut on_record = opened_on_record(sent);
        on_record.book.unsignalled_openers = vec![(fill(2, "70", "0.05"), true)];
        for seen in [seen, on_record] {
            let kinds: Vec<_> = restored(&plan(&seen)).into_iter().map(|(signal, _)| signal.kind).collect();
            assert_eq!(kinds, kind.into_iter().collect::<Vec<_>>(), "{client:?}");
            let waits = plan(&seen).findings().any(|finding| finding.kind == DiscrepancyKind::UnexplainedClose);
            assert_eq!(waits, client.is_none());
        }
    }
}
