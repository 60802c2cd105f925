//! What is concluded from what was seen, one case at a time.

mod closing;
mod confirming;
mod journal;
mod labelling;
mod moving;
mod opening;
mod searching;
mod sending;
mod stating;

use crate::memory::{AbsenceMemory, Memory, Misses};
use exchange_client::{OrderRef, UnreadableRow};
use ledger_core::{Anchor, EngineLabel, ExitReason, KnownBefore, Signal, SignalId, SignalKind, TimePrecision};
use ledger_store::{CoverageGrade, CoverageSpan, Discrepancy, DiscrepancyKey, DiscrepancyStatus, NewDiscrepancy};

use super::*;
use crate::cycle::settle::settle;
use crate::plan::SymbolPlan;
use crate::{Finding, StateLabel, Subject, Verification, parse_entry_events};

pub(crate) fn btc() -> Symbol {
    symbol("BTCUSDT")
}

/// A discrepancy that an earlier look has left.
/// The orders that may have followed a signal, as the next look will know.
fn candidates_of(finding: &Finding) -> Vec<OrderKey> {
    match &finding.memory {
        Some(Memory::Signal(signal)) => signal.candidates.clone(),
        _ => vec![],
    }
}

pub(crate) fn known(finding: &Finding) -> Discrepancy {
    Discrepancy {
        id: 1,
        account: account_id(),
        entry: NewDiscrepancy {
            key: finding.key(),
            symbol: finding.symbol.clone(),
            status: DiscrepancyStatus::Pending,
            evidence_json: finding.evidence_json(),
        },
        first_seen_local: at(-60_000),
        last_seen_local: at(-60_000),
        resolved_local: None,
        run_id: None,
    }
}

pub(super) fn close_look(fills: Vec<Fill>, book: Vec<Fill>, held_now: &str) -> SymbolObservation {
    let window = TimeWindow::new(at(-1_000_000), at(0)).unwrap();
    let rows = fills.into_iter().map(|fill| (fill.key.clone(), stated(fill))).collect();
    SymbolObservation {
        fills: Asked::Answered(FillWalk {
            rows,
            window,
            reaches_oldest: false,
            asked_at: at(0),
            continuity: Continuity::Resumed,
        }),
        book_fills: book.into_iter().map(|fill| (fill.key.clone(), Sourced::new(fill, Source::Rest))).collect(),
        beginning: Beginning::default(),
        positions: Asked::Answered(answer(vec![held(held_now)])),
        conditional_orders: Asked::Answered(walk(vec![])),
        orders: vec![],
    }
}

pub(super) fn signal(id: &str, at_ms: i64) -> Signal {
    Signal {
        signal_id: SignalId::new(id).unwrap(),
        time: EventTime::ms(at(at_ms)),
        skew_ms: None,
        symbol: btc(),
        side: Side::Buy,
        kind: SignalKind::Entry,
        engine: Some(EngineLabel::new("swing").unwrap()),
        reason: None,
        skipped: None,
        meta_json: None,
        restored: false,
    }
}

/// Created a second after `at_ms`.
pub(super) fn ordered(id: &str, at_ms: i64) -> Order {
    Order { created: Some(EventTime::ms(at(at_ms + 1_000))), ..order(id, OrderStatus::Filled, "0.05") }
}

fn only(plan: &Plan, kind: DiscrepancyKind) -> &Finding {
    let mut found = plan.findings().filter(|finding| finding.kind == kind);
    let finding = found.next().unwrap_or_else(|| panic!("no {kind}: {plan:#?}"));
    assert!(found.next().is_none(), "several {kind}");
    finding
}

/// The next look, with what this one has left on record.
pub(super) fn remembering(seen: &mut Observation, plan: &Plan) {
    seen.book.discrepancies = plan.findings().map(known).collect();
}

fn signal_ids(plan: &Plan) -> Vec<String> {
    let statements = plan.symbols.values().flat_map(|symbol| &symbol.statements);
    statements
        .filter_map(|statement| match &statement.fact {
            AnyFact::Order(order) => order.signal_id.as_ref().map(ToString::to_string),
            _ => None,
        })
        .collect()
}

#[test]
fn an_inference_waits_for_a_second_look() {
    let mut seen = quiet();
    seen.book.signals = vec![Sourced::new(signal("s-1", -400_000), Source::Bot)];
    let followed = booked(ordered("77", -400_000), "0.05");
    seen.book.orders.insert(followed.order.fact.key.clone(), followed);
    let first = plan(&seen);
    assert_eq!(only(&first, DiscrepancyKind::SignalWithoutOrder).outlook, Outlook::Waits);
    assert!(!first.records_facts(), "{first:#?}");
    remembering(&mut seen, &first);
    // A look that follows within the settle lag is none.
    assert!(!plan(&seen).records_facts());
    let second = crate::plan::plan(&seen, &Policy::default(), at(VENUE.settle_lag_ms)).unwrap();
    assert_eq!(only(&second, DiscrepancyKind::SignalWithoutOrder).outlook, Outlook::Settles);
    assert_eq!(signal_ids(&second), ["s-1"]);
    let repair = second.repairs().next().unwrap();
    assert!(repair.evidence_json.contains("estimated"), "{}", repair.evidence_json);
    // Another candidate than the last time begins anew.
    seen.book.orders.clear();
    let other = booked(ordered("78", -400_000), "0.05");
    seen.book.orders.insert(other.order.fact.key.clone(), other);
    assert!(!plan(&seen).records_facts());
}

#[test]
fn a_candidate_is_unique_from_both_sides() {
    let candidates = |signals: &[i64], orders: &[Order]| {
        let mut seen = quiet();
        let signals = signals.iter().enumerate();
        let signals = signals.map(|(index, ms)| Sourced::new(signal(&format!("s-{index}"), *ms), Source::Bot));
        seen.book.signals = signals.collect();
        for order in orders {
            seen.book.orders.insert(order.key.clone(), booked(order.clone(), "0.05"));
        }
        let first = plan(&seen);
        let kinds: Vec<_> = first.findings().map(|finding| finding.kind).collect();
        let unique = kinds.iter().filter(|kind| **kind == DiscrepancyKind::SignalWithoutOrder).count();
        (unique, kinds.len() - unique)
    };
    let near = ordered("77", -400_000);
    assert_eq!(candidates(&[-400_000], std::slice::from_ref(&near)), (1, 0));
    // Two orders for a signal, two signals for an order.
    assert_eq!(candidates(&[-400_000], &[near.clone(), ordered("78", -390_000)]), (0, 1));
    assert_eq!(candidates(&[-400_000, -399_000], std::slice::from_ref(&near)), (0, 2));
    // Out of its window, on the other side, or somebody else's: none fits, and both signals wait for an order.
    let listed = |plan: &Plan| plan.findings().any(|finding| !candidates_of(finding).is_empty());
    let early = Order { created: Some(EventTime::ms(at(-402_001))), ..near.clone() };
    let late = Order { created: Some(EventTime::ms(at(-339_999))), ..near.clone() };
    let owned = Order { signal_id: Some(SignalId::new("s-9").unwrap()), ..near.clone() };
    let foreign = parsed(Order { client_order_id: Some(ClientOrderId::new("web_1").unwrap()), ..near.clone() });
    let other_engine = Order { engine: Some(EngineLabel::new("grid").unwrap()), ..near.clone() };
    // An export told it first, which knows no client order ids; the exchange says that a person sent it.
    let mut seen = quiet();
    seen.book.signals = vec![Sourced::new(signal("s-1", -400_000), Source::Bot)];
    seen.book.orders.insert(near.key.clone(), booked(near.clone(), "0.05"));
    seen.orders = Asked::Answered(walk(vec![foreign.clone()]));
    assert!(!listed(&plan(&seen)));
    let sold = Order { side: Side::Sell, ..near };
    for order in [early, late, owned, foreign, other_engine, sold] {
        let mut seen = quiet();
        seen.book.signals = vec![Sourced::new(signal("s-1", -400_000), Source::Bot)];
        seen.book.orders.insert(order.key.clone(), booked(order.clone(), "0.05"));
        assert!(!listed(&plan(&seen)), "{order:?}");
    }
}

#[test]
fn the_bots_clock_is_set_right_before_its_signals_are_matched() {
    let mut late = signal("s-1", -400_000 + 3_600_000);
    late.skew_ms = Some(3_600_000);
    let mut seen = quiet();
    seen.book.signals = vec![Sourced::new(late, Source::Bot)];
    let followed = booked(ordered("77", -400_000), "0.05");
    seen.book.orders.insert(followed.order.fact.key.clone(), followed);
    assert!(!candidates_of(only(&plan(&seen), DiscrepancyKind::SignalWithoutOrder)).is_empty());
}

#[test]
fn absence_is_proven_or_it_is_unknown() {
    let asked = |intent: &OrderIntent, regular: bool, conditional: bool| {
        let mut orders = Vec::new();
        let id = || intent.client_order_id.clone();
        if regular {
            orders.push((OrderRef::Client(OrderClass::Regular, id()), Asked::Answered(None)));
        }
        if conditional {
            orders.push((OrderRef::Client(OrderClass::Conditional, id()), Asked::Answered(None)));
        }
        orders
    };
    let day_ms = 86_400_000;
    // Sent how long ago, known in which classes, missed how often before: settled?
    for (age_ms, regular, conditional, earlier, proven) in [
        (100_000, true, true, 1, true),
        // The last look is too close to be another one.
        (100_000, true, true, -1_i32, false),
        (100_000, true, true, 0, false),
        (100_000, true, false, 5, false),
        (100_000, false, true, 5, false),
        (60_000, true, true, 5, false),
        // Its receive window was open for as long as the exchange allows, and a minute is left for what is on its way.
        (VENUE.receive_window_ms + 60_000, true, true, 5, false),
        (VENUE.receive_window_ms + 60_001, true, true, 5, true),
        (4 * day_ms, true, true, 5, false),
    ] {
        let sent = OrderIntent { outcome: IntentOutcome::Unknown, created_local: at(-age_ms), ..intent() };
        let mut seen = quiet();
        let subject = Subject::Intent(sent.client_order_id.clone());
        let kind = DiscrepancyKind::UnresolvedIntent;
        let (earlier, last_ms) = if earlier < 0 { (1, 9_999) } else { (earlier.unsigned_abs(), 10_000) };
        let missed = Finding::new(kind, Some(&btc()), subject, Outlook::Waits, String::new())
            .remembering(AbsenceMemory { misses: Misses { count: earlier, last: Some(at(-last_ms)) } });
        seen.book.discrepancies = vec![known(&missed)];
        let mut close = close_look(vec![], vec![], "0");
        close.orders = asked(&sent, regular, conditional);
        seen.symbols.insert(btc(), close);
        seen.book.intents.insert(sent.client_order_id.clone(), Sourced::new(sent.clone(), Source::Bot));
        let decided = plan(&seen);
        let what = (age_ms, regular, conditional, earlier);
        assert_eq!(only(&decided, kind).outlook == Outlook::Settles, proven, "{what:?}");
        let rejected = decided.symbols[&btc()].statements.iter().any(|statement| match &statement.fact {
            AnyFact::Intent(intent) => intent.outcome == IntentOutcome::Rejected,
            _ => false,
        });
        assert_eq!(rejected, proven, "{what:?}");
        // A trade of the moment whose order nobody knows could be it, and so could an order that could not be read.
        if proven {
            let row = UnreadableRow { symbol: Some(btc()), error: lost(), payload: "{}".into() };
            seen.orders.answer_mut().unwrap().unreadable.push(row);
            let waits = plan(&seen);
            assert_eq!(only(&waits, kind).outlook, Outlook::Waits);
            assert!(only(&waits, kind).evidence.contains("could not be read"), "{:?}", only(&waits, kind));
            seen.orders.answer_mut().unwrap().unreadable.clear();
            let close = seen.symbols.get_mut(&btc()).unwrap();
            let trade = Fill { time: EventTime::ms(at(-age_ms + 500)), ..fill(9, "99", "0.05") };
            close.fills.answer_mut().unwrap().rows.insert(trade.key.clone(), stated(trade));
            assert_eq!(only(&plan(&seen), kind).outlook, Outlook::Waits);
        }
    }
}

#[test]
fn only_missing_fills_are_planned() {
    let mut seen = quiet();
    let mut wrong = fill(1, "77", "0.02");
    wrong.price = "59999".parse().unwrap();
    let stray = fill(7, "76", "0.01");
    let exchange = vec![fill(1, "77", "0.02"), fill(2, "77", "0.03"), fill(3, "77", "0.01")];
    seen.symbols.insert(btc(), close_look(exchange, vec![wrong, fill(2, "77", "0.03"), stray], "0.06"));
    let decided = plan(&seen);
    let fills: Vec<i64> = decided.symbols[&btc()]
        .statements
        .iter()
        .filter_map(|statement| match &statement.fact {
            AnyFact::Fill(fill) => fill.sequence,
            _ => None,
        })
        .collect();
    // The third is missing; the first is what the exchange says against the book's word.
    assert_eq!(fills, [1, 3]);
    assert!(only(&decided, DiscrepancyKind::ConflictingFill).evidence.contains("differ in price"));
    let unconfirmed = only(&decided, DiscrepancyKind::UnconfirmedFill);
    assert!(unconfirmed.evidence.starts_with("trade 7 ") && unconfirmed.outlook == Outlook::Waits);
    // That it is not listed is one answer's word.
    remembering(&mut seen, &decided);
    let second = crate::plan::plan(&seen, &Policy::default(), at(VENUE.settle_lag_ms)).unwrap();
    assert_eq!(only(&second, DiscrepancyKind::UnconfirmedFill).outlook, Outlook::Stays);
}

/// A list of fills names no account. Where the exchange does not know their order by name, it may be another's.
#[test]
fn fills_of_an_order_that_nobody_knows_wait_for_a_second_look() {
    let stranger = fill(3, "99", "0.01");
    let reference = || OrderRef::Id(OrderClass::Regular, OrderId::new("99").unwrap());
    let looked = |asked: Option<Asked<Option<Stated<Order>>>>| {
        let mut seen = quiet();
        let mut close = close_look(vec![stranger.clone()], vec![], "0.01");
        close.orders = asked.map(|asked| (reference(), asked)).into_iter().collect();
        seen.symbols.insert(btc(), close);
        seen
    };
    let is_recorded = |decided: &Plan| {
        let statements = decided.symbols[&btc()].statements.iter();
        statements.filter(|said| matches!(said.fact, AnyFact::Fill(_))).count() == 1
    };
    // It is known by name, or nobody asked; or it is not known, or the question failed.
    let known_order = || Asked::Answered(Some(stated(ordered("99", -400_000))));
    for (asked, expected) in [
        (None, true),
        (Some(known_order()), true),
        (Some(Asked::Answered(None)), false),
        (Some(Asked::Failed(lost())), false),
    ] {
        assert_eq!(is_recorded(&plan(&looked(asked))), expected);
    }
    // The ledger names the trade.
    let mut named = looked(Some(Asked::Answered(None)));
    let row =
        ledger_core::Income { fill_id: Some(stranger.key.fill_id.clone()), ..checks::income("COMMISSION", 1, "-0.1") };
    named.income = Asked::Answered(walk(vec![row]));
    assert!(is_recorded(&plan(&named)));
    // The exchange has forgotten orders of that time.
    let mut old = looked(Some(Asked::Answered(None)));
    old.symbols.get_mut(&btc()).unwrap().fills.answer_mut().unwrap().asked_at =
        stranger.time.at.saturating_add_ms(VENUE.orders.retention_ms + 1);
    assert!(is_recorded(&plan(&old)));
    // A second look lists as much.
    let mut seen = looked(Some(Asked::Answered(None)));
    let first = plan(&seen);
    assert_eq!(only(&first, DiscrepancyKind::MissingFills).outlook, Outlook::Waits);
    remembering(&mut seen, &first);
    let second = crate::plan::plan(&seen, &Policy::default(), at(VENUE.settle_lag_ms)).unwrap();
    assert!(is_recorded(&second));
    assert_eq!(only(&second, DiscrepancyKind::MissingFills).outlook, Outlook::Verify);
}

/// Of a fill that is known to the second only, the second has to lie within what was read: a piece of history may end in
/// the middle of it.
#[test]
fn a_second_that_was_read_in_part_says_nothing_of_its_fills() {
    let precise = |at_ms: i64| EventTime::ms(at(at_ms));
    let coarse = |at_ms: i64| EventTime { at: at(at_ms), precision: TimePrecision::Second };
    for (time, is_told) in [
        (coarse(-90_000), false),
        (coarse(-89_000), true),
        (coarse(-81_000), true),
        (coarse(-80_999), true),
        (coarse(-80_998), false),
        (coarse(-80_000), false),
        (precise(-90_000), true),
        (precise(-80_000), true),
    ] {
        let mut seen = quiet();
        let mut close = close_look(vec![], vec![Fill { time, ..fill(7, "76", "0.01") }], "0.01");
        close.fills.answer_mut().unwrap().window = TimeWindow::new(at(-90_000), at(-80_000)).unwrap();
        seen.symbols.insert(btc(), close);
        let is_found = plan(&seen).findings().any(|finding| finding.kind == DiscrepancyKind::UnconfirmedFill);
        assert_eq!(is_found, is_told, "{time:?}");
    }
}

/// The exchange remembers two fills, and holds what they do not add up to.
pub(super) fn beyond_memory() -> Observation {
    let mut seen = quiet();
    let mut bought = fill(1, "77", "1");
    bought.price = "110".parse().unwrap();
    let mut sold = fill(2, "78", "1");
    (sold.key.side, sold.price, sold.exchange_realized_pnl) =
        (Side::Sell, "120".parse().unwrap(), Some("15".parse().unwrap()));
    let fills = vec![bought, sold];
    let mut close = close_look(fills.clone(), fills, "1");
    let walk = close.fills.answer_mut().unwrap();
    (walk.reaches_oldest, walk.continuity) = (true, Continuity::First);
    seen.symbols.insert(btc(), close);
    seen
}

pub(super) fn anchors(plan: &Plan) -> Vec<&Anchor> {
    let statements = plan.symbols.values().flat_map(|symbol| &symbol.statements);
    statements
        .filter_map(|statement| match &statement.fact {
            AnyFact::Anchor(anchor) => Some(anchor),
            _ => None,
        })
        .collect()
}
