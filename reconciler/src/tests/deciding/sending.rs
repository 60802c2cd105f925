//! Which order followed a signal, if any did.

use super::*;

fn skipped(plan: &Plan) -> Vec<String> {
    let statements = plan.symbols.values().flat_map(|symbol| &symbol.statements);
    statements
        .filter_map(|statement| match &statement.fact {
            AnyFact::Signal(signal) => signal.skipped.as_ref().map(ToString::to_string),
            _ => None,
        })
        .collect()
}

#[test]
fn never_sent_is_not_said_while_any_order_or_trade_since_could_be_it() {
    let ours = Order { client_order_id: Some(ClientOrderId::new("fb:swing:e:1").unwrap()), ..ordered("77", -400_000) };
    // A minute and more late.
    let late = Order { created: Some(EventTime::ms(at(-339_000))), ..ours.clone() };
    let early = Order { created: Some(EventTime::ms(at(-402_001))), ..ours.clone() };
    let foreign = parsed(Order { client_order_id: Some(ClientOrderId::new("web_1").unwrap()), ..ours.clone() });
    let owned = Order { signal_id: Some(SignalId::new("s-9").unwrap()), ..ours.clone() };
    let trade = Fill { time: EventTime::ms(at(-300_000)), ..fill(1, "77", "0.05") };
    // As an import of trades leaves it.
    let stub = Order::known_from_fill(ours.key.clone(), Side::Buy, None);
    for (order, fills, is_said) in [
        (None, vec![], true),
        (Some(&ours), vec![], false),
        (Some(&late), vec![], false),
        (None, vec![trade.clone()], false),
        (Some(&stub), vec![trade.clone()], false),
        // Somebody else's, or there before: neither can be its.
        (Some(&early), vec![trade.clone()], true),
        (Some(&foreign), vec![trade.clone()], true),
        (Some(&owned), vec![trade], true),
    ] {
        let mut seen = quiet();
        // Rounded to the contract's step, of which nothing is known here.
        let noted = Signal { meta_json: Some(r#"{"qty": 0.0512}"#.into()), ..signal("s-1", -400_000) };
        seen.book.signals = vec![Sourced::new(noted, Source::Bot)];
        if let Some(order) = order {
            seen.book.orders.insert(order.key.clone(), BookOrder { residual_qty: None, ..booked(order.clone(), "0") });
        }
        seen.symbols.insert(btc(), close_look(fills.clone(), fills, "0.05"));
        for look in [-20_000, -10_000] {
            let decided = plan_at(&seen, look);
            remembering(&mut seen, &decided);
        }
        assert_eq!(skipped(&plan(&seen)) == ["never_sent"], is_said, "{order:?}");
        // Trades since then that were not read prove nothing.
        let close = seen.symbols.get_mut(&btc()).unwrap();
        close.fills.answer_mut().unwrap().window = TimeWindow::new(at(-399_000), at(0)).unwrap();
        assert!(skipped(&plan(&seen)).is_empty());
    }
}

#[test]
fn a_quantity_is_the_same_within_a_step() {
    for (step, fits) in [(None, false), (Some("0.01"), true), (Some("0.001"), false)] {
        let mut seen = quiet();
        let noted = Signal { meta_json: Some(r#"{"qty": 0.0512}"#.into()), ..signal("s-1", -400_000) };
        seen.book.signals = vec![Sourced::new(noted, Source::Bot)];
        seen.book.steps = step.map(|step| (btc(), step.parse().unwrap())).into_iter().collect();
        let followed = booked(ordered("77", -400_000), "0.05");
        seen.book.orders.insert(followed.order.fact.key.clone(), followed);
        let decided = plan(&seen);
        let finding = only(&decided, DiscrepancyKind::SignalWithoutOrder);
        assert_eq!(!candidates_of(finding).is_empty(), fits, "{step:?}");
    }
}

#[test]
fn an_order_is_not_linked_before_its_window_is_over() {
    let lag_ms = VENUE.settle_lag_ms;
    let mut seen = quiet();
    seen.book.signals = vec![Sourced::new(signal("s-1", -3_000), Source::Bot)];
    let followed = booked(ordered("77", -3_000), "0.05");
    seen.book.orders.insert(followed.order.fact.key.clone(), followed);
    // Its window ends 60 s after the signal; what it holds is listed a settle lag later.
    for (ms, is_linked) in [(0, false), (30_000, false), (57_000 + lag_ms, false), (57_001 + lag_ms, true)] {
        let decided = crate::plan::plan(&seen, &Policy::default(), at(ms)).unwrap();
        remembering(&mut seen, &decided);
        assert_eq!(signal_ids(&decided) == ["s-1"], is_linked, "{ms}");
    }
}

#[test]
fn a_rejected_order_ends_its_signal() {
    let sent = |id: &str, outcome| {
        let client_order_id = ClientOrderId::new(id).unwrap();
        let signal_id = Some(SignalId::new("s-1").unwrap());
        let sent = OrderIntent { client_order_id, outcome, signal_id, ..intent() };
        (sent.client_order_id.clone(), Sourced::new(sent, Source::Bot))
    };
    let mut seen = quiet();
    seen.book.signals = vec![Sourced::new(signal("s-1", -864_000_000), Source::Bot)];
    seen.book.intents = [sent("a", IntentOutcome::Rejected), sent("b", IntentOutcome::Unknown)].into();
    // While one may have arrived, nothing is said.
    assert!(skipped(&plan(&seen)).is_empty());
    seen.book.intents = [sent("a", IntentOutcome::Rejected), sent("b", IntentOutcome::Rejected)].into();
    assert_eq!(skipped(&plan(&seen)), ["rejected"]);
}

/// The signal that an earlier cycle took for never sent.
fn concluded(source: Source) -> Sourced<Signal> {
    let said = Signal { skipped: Some(Label::new(Signal::NEVER_SENT).unwrap()), ..signal("s-1", -400_000) };
    let mut known = Sourced::new(said, Source::Bot);
    known.provenance.exceptions.insert("skipped", source);
    known
}

#[test]
fn never_sent_gives_way_to_an_order_that_turns_up() {
    let base = ordered("77", -400_000);
    let names = Order { signal_id: Some(SignalId::new("s-1").unwrap()), ..base.clone() };
    let noted = Order { client_order_id: Some(ClientOrderId::new("mine-1").unwrap()), ..base.clone() };
    let other = Order { side: Side::Sell, ..base.clone() };
    for (order, looks) in [(&names, Some(1)), (&noted, Some(1)), (&base, Some(2)), (&other, None)] {
        let mut seen = quiet();
        let mut known = concluded(Source::Repair);
        known.fact.meta_json = Some(r#"{"client_order_id": "mine-1"}"#.into());
        seen.book.signals = vec![known.clone()];
        let first = plan(&seen);
        assert!(!first.records_facts() && first.findings().count() == 0, "without news: {first:#?}");
        seen.book.orders.insert(order.key.clone(), booked(order.clone(), "0.05"));
        let first = plan(&seen);
        remembering(&mut seen, &first);
        let second = crate::plan::plan(&seen, &Policy::default(), at(VENUE.settle_lag_ms)).unwrap();
        let said = [skipped(&first), skipped(&second)].map(|said| said == [Signal::SENT_AFTER_ALL]);
        assert_eq!(said, [looks == Some(1), looks.is_some()], "{order:?}");
        let Some(looks) = looks else { continue };
        let decided = if looks == 1 { first } else { second };
        let repair = decided.repairs().find(|repair| repair.kind.as_str() == "signal_sent_after_all").unwrap();
        assert!(repair.before.as_ref().unwrap().to_string().contains("never_sent"), "{repair:?}");
        assert!(
            repair.after.as_ref().unwrap().to_string().contains("77") && repair.discrepancy.is_some(),
            "{repair:?}"
        );
        // The register says so in either order.
        let taken_back = decided.symbols[&btc()].statements.iter().find_map(|statement| match &statement.fact {
            AnyFact::Signal(signal) => Some(Sourced::new(signal.clone(), statement.source)),
            _ => None,
        });
        let taken_back = taken_back.unwrap();
        for joined in [ledger_core::merge(&known, &taken_back).0, ledger_core::merge(&taken_back, &known).0] {
            assert!(joined.fact.skip_reason().is_none() && joined.conflicts.is_empty(), "{joined:?}");
        }
    }
    // What the bot itself said stands.
    let mut seen = quiet();
    seen.book.signals = vec![concluded(Source::Bot)];
    seen.book.orders.insert(names.key.clone(), booked(names, "0.05"));
    assert!(skipped(&plan(&seen)).is_empty());
}

#[test]
fn never_arrived_gives_way_to_an_order_that_turns_up() {
    let signal_id = Some(SignalId::new("s-1").unwrap());
    let sent = OrderIntent { outcome: IntentOutcome::Rejected, signal_id, ..intent() };
    let mut seen = quiet();
    seen.book.intents.insert(sent.client_order_id.clone(), Sourced::new(sent.clone(), Source::Bot));
    let mut rejected = concluded(Source::Repair);
    rejected.fact.skipped = Some(Label::new(Signal::REJECTED).unwrap());
    seen.book.signals = vec![rejected];
    assert_eq!(plan(&seen).findings().count(), 0);
    let order = Order { client_order_id: Some(sent.client_order_id.clone()), ..ordered("77", 0) };
    for is_imported in [true, false] {
        if is_imported {
            seen.book.orders.insert(order.key.clone(), booked(order.clone(), "0.05"));
        } else {
            seen.book.orders.clear();
            seen.orders = Asked::Answered(walk(vec![order.clone()]));
        }
        let decided = plan(&seen);
        let outcomes = decided.symbols[&btc()].statements.iter().filter_map(|statement| match &statement.fact {
            AnyFact::Intent(intent) => Some(intent.outcome),
            _ => None,
        });
        assert_eq!(outcomes.collect::<Vec<_>>(), [IntentOutcome::Accepted]);
        assert_eq!(skipped(&decided), [Signal::SENT_AFTER_ALL]);
        let repair = decided.repairs().find(|repair| repair.kind.as_str() == "sent_after_all").unwrap();
        assert_eq!(repair.before, Some(serde_json::json!({ "outcome": "rejected" })));
        assert!(repair.after.as_ref().unwrap().to_string().contains("accepted"), "{repair:?}");
    }
}

/// How many orders may have followed the signal, by what a look says.
fn candidate_count(seen: &Observation) -> usize {
    let decided = plan(seen);
    decided.findings().map(|finding| candidates_of(finding).len()).max().unwrap_or(0)
}

#[test]
fn an_order_that_was_sent_for_another_signal_is_no_candidate() {
    let followed = Order { client_order_id: Some(intent().client_order_id), ..ordered("77", -400_000) };
    for (sent_for, expected) in [(Some("s-9"), 0), (None, 1)] {
        let mut seen = quiet();
        seen.book.signals = vec![Sourced::new(signal("s-1", -400_000), Source::Bot)];
        seen.book.orders.insert(followed.key.clone(), booked(followed.clone(), "0.05"));
        let signal_id = sent_for.map(|id| SignalId::new(id).unwrap());
        let sent = OrderIntent { signal_id, outcome: IntentOutcome::Accepted, ..intent() };
        seen.book.intents.insert(sent.client_order_id.clone(), Sourced::new(sent, Source::Bot));
        assert_eq!(candidate_count(&seen), expected, "{sent_for:?}");
    }
}

#[test]
fn a_conditional_order_and_what_it_became_are_one_candidate() {
    let regular = ordered("77", -400_000);
    let mut waiting = ordered("9", -400_000);
    waiting.key.class = OrderClass::Conditional;
    for (became, expected) in [("77", 1), ("78", 2)] {
        waiting.triggered_order_id = Some(OrderId::new(became).unwrap());
        let mut seen = quiet();
        seen.book.signals = vec![Sourced::new(signal("s-1", -400_000), Source::Bot)];
        for order in [&regular, &waiting] {
            seen.book.orders.insert(order.key.clone(), booked(order.clone(), "0.05"));
        }
        assert_eq!(candidate_count(&seen), expected, "it became {became}");
    }
}
