//! Which strategy an order belongs to, and who tells it.

use super::*;
use crate::EntryEvent;

const LAG_MS: i64 = VENUE.settle_lag_ms;
const BY_MOMENT: &str = r#"{"ts": 1779999600, "symbol": "BTCUSDT", "side": "LONG", "engine": "from-log"}"#;
const BY_NAME: &str = r#"{"ts": 1779999600, "symbol": "BTCUSDT", "engine": "from-log", "order_id": 77}"#;

fn events(log: &str) -> Vec<EntryEvent> {
    parse_entry_events(log, &jiff::tz::TimeZone::UTC).events
}

fn state() -> Vec<StateLabel> {
    vec![StateLabel { symbol: btc(), side: None, engine: EngineLabel::new("from-state").unwrap() }]
}

/// The book holds what order 77 opened.
fn opened(client: Option<&str>, events: Vec<EntryEvent>, states: Vec<StateLabel>) -> Observation {
    let mut seen = quiet();
    let mut opener = ordered("77", -400_000);
    opener.client_order_id = client.map(|id| ClientOrderId::new(id).unwrap());
    seen.book.openers.insert((btc(), PositionSide::Net), opener.key.clone());
    seen.book.orders.insert(opener.key.clone(), booked(parsed(opener), "0.05"));
    seen.labels = LabelSources { events, states };
    seen
}

/// The same look again.
fn reopened(seen: &Observation) -> Observation {
    Observation { book: seen.book.clone(), labels: seen.labels.clone(), ..quiet() }
}

/// The labels that a plan gives to orders, with who told them.
fn labels(plan: &Plan) -> Vec<(String, Source)> {
    let statements = plan.symbols.values().flat_map(|symbol| &symbol.statements);
    statements
        .filter_map(|statement| match &statement.fact {
            AnyFact::Order(order) => Some((order.engine.as_ref()?.to_string(), statement.source)),
            _ => None,
        })
        .collect()
}

fn at_look(seen: &Observation, ms: i64) -> Plan {
    crate::plan::plan(seen, &Policy::default(), at(ms)).unwrap()
}

/// What two looks say, as far apart as answers lag.
fn after_two(mut seen: Observation) -> (Vec<(String, Source)>, String) {
    let first = plan(&seen);
    if first.records_facts() {
        return (labels(&first), first.repairs().map(|repair| repair.evidence_json.clone()).collect());
    }
    remembering(&mut seen, &first);
    let second = at_look(&seen, LAG_MS);
    (labels(&second), second.repairs().map(|repair| repair.evidence_json.clone()).collect())
}

#[test]
fn labels_come_from_the_client_id_then_the_log_then_the_state() {
    let said = |client, log, states| after_two(opened(client, log, states));
    for (client, log, states, label, confidence) in [
        (Some("fb:from-id:e:1"), BY_NAME, true, Some(("from-id", Source::ClientOrderId)), "known"),
        (None, BY_NAME, true, Some(("from-log", Source::BotLog)), "known"),
        (None, BY_MOMENT, true, Some(("from-log", Source::BotLog)), "estimated"),
        (None, "", true, Some(("from-state", Source::BotState)), "estimated"),
        (None, "", false, None, ""),
        // A person's order is no strategy's.
        (Some("web_1"), BY_MOMENT, true, None, ""),
    ] {
        let (labels, evidence) = said(client, events(log), if states { state() } else { vec![] });
        let expected: Vec<_> = label.map(|(engine, source)| (engine.to_owned(), source)).into_iter().collect();
        assert_eq!(labels, expected, "{client:?} {log}");
        if let Some((_, source)) = label {
            assert!(evidence.contains(&format!(r#""confidence":"{confidence}""#)), "{evidence}");
            assert!(evidence.contains(&format!(r#""told_by":"{source}""#)), "{evidence}");
        }
    }
}

#[test]
fn an_inferred_label_waits_for_a_second_look() {
    for (log, states) in [(BY_MOMENT, vec![]), ("", state())] {
        let mut seen = opened(None, events(log), states);
        let first = plan(&seen);
        assert_eq!(only(&first, DiscrepancyKind::MissingLabel).outlook, Outlook::Waits);
        assert!(!first.records_facts() && first.repairs().count() == 0, "{first:#?}");
        remembering(&mut seen, &first);
        // Too soon, and it does not begin anew.
        let soon = at_look(&seen, LAG_MS - 1);
        assert_eq!(only(&soon, DiscrepancyKind::MissingLabel), only(&first, DiscrepancyKind::MissingLabel));
        assert_eq!(labels(&at_look(&seen, LAG_MS)).len(), 1);
        // Another word than the last time begins anew.
        for event in &mut seen.labels.events {
            event.engine = EngineLabel::new("other").unwrap();
        }
        for state in &mut seen.labels.states {
            state.engine = EngineLabel::new("other").unwrap();
        }
        assert!(!at_look(&seen, LAG_MS).records_facts());
    }
    // A line that fits a moment that is not over yet: another order may come.
    let mut seen = opened(None, events(BY_MOMENT), vec![]);
    let first = at_look(&seen, -400_000 + 30_000);
    remembering(&mut seen, &first);
    assert!(!at_look(&seen, -400_000 + 60_000 + LAG_MS).records_facts());
    assert!(at_look(&seen, -400_000 + 60_001 + LAG_MS).records_facts());
}

#[test]
fn a_better_label_replaces_a_worse_one_and_no_other() {
    let told = [Source::Repair, Source::BotState, Source::BotLog, Source::ClientOrderId, Source::Bot];
    let expected = |known: Source, offered: Source| match (known, offered) {
        (Source::BotState, offered) => matches!(offered, Source::BotLog | Source::ClientOrderId),
        (Source::Repair | Source::BotLog, offered) => offered == Source::ClientOrderId,
        _ => false,
    };
    for known in told {
        for (offered, client, log, states) in [
            (Source::BotState, None, "", state()),
            (Source::BotLog, None, BY_NAME, vec![]),
            (Source::ClientOrderId, Some("fb:from-id:e:1"), "", vec![]),
        ] {
            let mut seen = opened(client, events(log), states);
            for order in seen.book.orders.values_mut() {
                order.order.fact.engine = Some(EngineLabel::new("zebra").unwrap());
                order.order.provenance.exceptions.insert("engine", known);
            }
            let (labels, evidence) = after_two(reopened(&seen));
            assert_eq!(!labels.is_empty(), expected(known, offered), "{known} -> {offered}");
            // The register says the same in either order, whatever the names.
            for (engine, source) in labels {
                assert!(evidence.contains("zebra's in the book"), "{evidence}");
                let order = seen.book.orders.values().next().unwrap().order.clone();
                let mut better = Order::known_from_fill(order.fact.key.clone(), order.fact.side, None);
                better.engine = Some(EngineLabel::new(engine.clone()).unwrap());
                let better = Sourced::new(better, source);
                for joined in [ledger_core::merge(&order, &better).0, ledger_core::merge(&better, &order).0] {
                    assert_eq!(joined.fact.engine.as_ref().unwrap().as_str(), engine);
                    assert!(!joined.conflicts.contains("engine"), "nobody disputes a conclusion");
                }
            }
        }
    }
}

#[test]
fn a_restored_signal_follows_the_label_of_its_order() {
    let mut seen = opened(None, events(BY_NAME), vec![]);
    let id = SignalId::new(".restored:BTCUSDT:77").unwrap();
    let restored = Signal { signal_id: id.clone(), engine: None, restored: true, ..signal("s", -400_000) };
    seen.book.orders.values_mut().for_each(|known| known.order.fact.signal_id = Some(id.clone()));
    seen.book.restored_signals.insert(id.clone(), Sourced::new(restored, Source::Repair));
    let decided = plan(&seen);
    let mut signals = decided.symbols[&btc()].statements.iter().filter_map(|statement| match &statement.fact {
        AnyFact::Signal(signal) => Some((signal.signal_id.clone(), signal.engine.clone()?.to_string())),
        _ => None,
    });
    assert_eq!((signals.next(), signals.next()), (Some((id, "from-log".into())), None));
}

#[test]
fn an_entry_that_fits_two_orders_labels_none() {
    let mut seen = quiet();
    seen.labels.events = events(BY_MOMENT);
    for id in ["77", "78"] {
        let order = ordered(id, -400_000);
        seen.book.orders.insert(order.key.clone(), booked(order, "0.05"));
    }
    let says_nothing = |seen: &Observation| {
        let decided = plan(seen);
        assert!(!decided.records_facts() && decided.findings().count() == 0, "{decided:#?}");
    };
    says_nothing(&seen);
    // Named by its id, it is told apart, and needs no second look.
    seen.labels.events = events(&BY_NAME.replace("77", "78"));
    let decided = plan(&seen);
    assert!(only(&decided, DiscrepancyKind::MissingLabel).evidence.contains("order 78"));
    assert_eq!(labels(&decided).len(), 1);
    // Two lines that fit and say different things say nothing.
    seen.labels.events = events(&format!("{BY_NAME}\n{}", BY_NAME.replace("from-log", "other")));
    says_nothing(&seen);
}

#[test]
fn the_same_label_by_another_word_waits_again() {
    let mut seen = opened(None, events(BY_MOMENT), vec![]);
    let first = plan(&seen);
    remembering(&mut seen, &first);
    seen.labels.events.clear();
    seen.labels.states = state();
    seen.labels.states[0].engine = EngineLabel::new("from-log").unwrap();
    assert!(!at_look(&seen, LAG_MS).records_facts());
    seen.labels = LabelSources { events: events(BY_MOMENT), states: vec![] };
    assert!(at_look(&seen, LAG_MS).records_facts());
}

#[test]
fn a_restored_entry_has_a_label_that_was_stated_and_none_that_is_inferred() {
    for (log, engine) in [(BY_NAME, Some("from-log")), (BY_MOMENT, None)] {
        let mut seen = quiet();
        seen.book.unfolded = [btc()].into();
        seen.orders = Asked::Answered(walk(vec![ordered("77", -400_000)]));
        seen.labels.events = events(log);
        seen.symbols.insert(btc(), close_look(vec![fill(1, "77", "0.05")], vec![], "0.05"));
        let decided = plan(&seen);
        only(&decided, DiscrepancyKind::UnrecordedPosition);
        let mut restored = decided.symbols[&btc()].statements.iter().filter_map(|statement| match &statement.fact {
            AnyFact::Signal(signal) => Some(signal.engine.as_ref().map(ToString::to_string)),
            _ => None,
        });
        assert_eq!(restored.next(), Some(engine.map(str::to_owned)), "{log}");
        assert_eq!(restored.next(), None);
    }
}

#[test]
fn an_order_that_an_export_told_first_is_labelled_all_the_same() {
    let mut seen = quiet();
    let exported = ordered("77", -400_000);
    assert_eq!(exported.client_order_id, None, "no export knows it");
    let sent = Order { client_order_id: Some(ClientOrderId::new("fb:swing:e:1").unwrap()), ..exported.clone() };
    let mut known = booked(exported, "0.05");
    known.order.provenance.exceptions.insert("status", Source::ExchangeCsv);
    seen.book.orders.insert(sent.key.clone(), known);
    seen.orders = Asked::Answered(walk(vec![sent]));
    assert_eq!(labels(&plan(&seen)), [("swing".to_owned(), Source::ClientOrderId)]);
}
