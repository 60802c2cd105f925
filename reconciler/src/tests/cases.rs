//! The seed's cases with both seams mocked: what a whole cycle asks, and what it writes of what it is told, to the last
//! statement. The end of each, against an exchange and a real book, is in the integration tests.

mod world;

use ledger_core::{EngineLabel, Signal, SignalId, SignalKind};
use ledger_store::DiscrepancyStatus;

use self::world::{World, Written, kinds};
use super::*;
use crate::{parse_entry_events, parse_state};

use DiscrepancyStatus::{Pending, Unresolved};

/// An order of the bot's that opened something.
fn opening() -> Order {
    let mut order = order("77", OrderStatus::Filled, "0.05");
    order.created = Some(EventTime::ms(at(-500_000)));
    order.client_order_id = Some(ClientOrderId::new("mine-1").unwrap());
    order
}

fn opened() -> Vec<Fill> {
    vec![fill(1, "77", "0.02"), fill(2, "77", "0.03")]
}

/// A bot's decision, a second before.
fn decision() -> Signal {
    Signal {
        signal_id: SignalId::new("s-1").unwrap(),
        time: EventTime::ms(at(-501_000)),
        skew_ms: None,
        symbol: symbol("BTCUSDT"),
        side: Side::Buy,
        kind: SignalKind::Entry,
        engine: Some(EngineLabel::new("swing").unwrap()),
        reason: None,
        skipped: None,
        meta_json: None,
        restored: false,
    }
}

/// The bot's opening order, recorded, with these of its fills.
fn recorded(filled: &str) -> BookOrder {
    let (signal_id, engine) = (SignalId::new("s-0").ok(), EngineLabel::new("swing").ok());
    booked(Order { signal_id, engine, ..opening() }, filled)
}

/// What closes it, by hand.
fn closing() -> (Order, Fill) {
    let mut order = order("78", OrderStatus::Filled, "0.05");
    (order.side, order.created) = (Side::Sell, Some(EventTime::ms(at(-400_000))));
    order.client_order_id = Some(ClientOrderId::new("web_1").unwrap());
    let mut fill = fill(3, "78", "0.05");
    (fill.key.side, fill.time) = (Side::Sell, EventTime::ms(at(-400_000)));
    (parsed(order), fill)
}

/// The same on another contract.
fn elsewhere(world: World) -> World {
    let name = || symbol("ETHUSDT");
    let mut world = world;
    for held in &mut world.held {
        held.symbol = name();
    }
    for order in world.ordered.iter_mut().chain(world.booked.iter_mut().map(|known| &mut known.order.fact)) {
        order.key.symbol = name();
    }
    for fill in world.traded.iter_mut().chain(&mut world.fills) {
        fill.key.symbol = name();
    }
    world
}

fn case_a() -> World {
    let (held, ordered) = (vec![held("0.05")], vec![opening()]);
    World { held, ordered, traded: opened(), signals: vec![decision()], ..World::default() }
}

fn case_b() -> World {
    let fills = vec![fill(1, "77", "0.02")];
    World {
        held: vec![held("0.05")],
        ordered: vec![opening()],
        traded: opened(),
        booked: vec![recorded("0.02")],
        fills,
        ..World::default()
    }
}

fn case_c() -> World {
    let mut ours = opening();
    ours.client_order_id = Some(ClientOrderId::new("fb:grid:e:1").unwrap());
    World { held: vec![held("0.05")], ordered: vec![ours], traded: opened(), ..World::default() }
}

fn case_d() -> World {
    let (order, fill) = closing();
    let traded = [opened(), vec![fill]].concat();
    World {
        ordered: vec![opening(), order],
        traded,
        booked: vec![recorded("0.05")],
        fills: opened(),
        ..World::default()
    }
}

fn case_e(labels: LabelSources) -> World {
    World {
        held: vec![held("0.05")],
        ordered: vec![opening()],
        traded: opened(),
        booked: vec![booked(Order { engine: None, ..recorded("0.05").order.fact }, "0.05")],
        fills: opened(),
        labels,
        ..World::default()
    }
}

fn log(order_id: &str) -> LabelSources {
    let seconds = (NOW_MS - 500_000) / 1_000;
    let line = format!(r#"{{"ts": {seconds}, "symbol": "BTCUSDT", "side": "LONG", "engine": "atlas"{order_id}}}"#);
    LabelSources { events: parse_entry_events(&line, &jiff::tz::TimeZone::UTC).events, states: vec![] }
}

fn state() -> LabelSources {
    let state = r#"{"BTC/USDT:USDT": {"in_pos": true, "meta": {"reason": "atlas"}}}"#;
    LabelSources { events: vec![], states: parse_state(state).labels }
}

/// Two contracts, each with a case of its own.
fn several() -> World {
    let (one, other) = (elsewhere(case_b()), case_d());
    World {
        held: [one.held, other.held].concat(),
        ordered: [one.ordered, other.ordered].concat(),
        traded: [one.traded, other.traded].concat(),
        booked: [one.booked, other.booked].concat(),
        fills: [one.fills, other.fills].concat(),
        ..World::default()
    }
}

#[track_caller]
fn assert_wrote(written: &Written, statements: &[&str], repairs: &[&str]) {
    assert_eq!((&written.statements[..], &written.repairs[..]), (&strings(statements)[..], &strings(repairs)[..]));
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The exchange's word at once, the link to the signal at the second look.
#[tokio::test]
async fn case_a_is_linked_at_the_second_look() {
    let facts = ["fill BTCUSDT 1 0.02", "fill BTCUSDT 2 0.03", "order 77 FILLED - - -"];
    let (_, first) = case_a().sync().await;
    assert_wrote(&first, &facts, &["restore_fills", "restore_order"]);
    assert!(kinds(&first.findings).contains(&("signal_without_order", Pending)), "{:?}", first.findings);
    let (_, second) = case_a().later(60, &first).sync().await;
    let linked = [&facts[..], &["order 77 UNKNOWN s-1 swing -"]].concat();
    assert_wrote(&second, &linked, &["link_signal", "restore_fills", "restore_order"]);
    // Not within the time by which answers lag.
    let (_, early) = case_a().later(5, &first).sync().await;
    assert_wrote(&early, &facts, &["restore_fills", "restore_order"]);
}

#[tokio::test]
async fn cases_b_and_2_bring_the_missing_fill_alone() {
    let (report, written) = case_b().sync().await;
    assert_wrote(&written, &["fill BTCUSDT 2 0.03"], &["restore_fills"]);
    // This book does not learn: what was found is still so, and confirmed once a second look has left as much.
    assert!(kinds(&written.findings).contains(&("missing_fills", Pending)), "{:?}", written.findings);
    assert!(!report.leaves_discrepancies());
    let (report, written) = case_b().later(60, &written).sync().await;
    assert!(kinds(&written.findings).contains(&("missing_fills", Unresolved)), "{:?}", written.findings);
    assert!(report.leaves_discrepancies());
}

#[tokio::test]
async fn cases_c_and_1_restore_fills_and_records() {
    let facts = ["fill BTCUSDT 1 0.02", "fill BTCUSDT 2 0.03", "order 77 FILLED - - -"];
    let (_, written) = case_c().sync().await;
    let records = ["order 77 UNKNOWN - grid -", "order 77 UNKNOWN restored - -", "signal entry BUY grid restored"];
    let repairs = ["restore_fills", "restore_order", "restore_signal"];
    assert_wrote(&written, &[&facts[..], &records].concat(), &repairs);
    // Whose it is, by the log of entries: at the second look.
    let unlabelled = World { signals: vec![], labels: log(""), ..case_a() };
    let (_, first) = unlabelled.sync().await;
    let records = ["order 77 UNKNOWN restored - -", "signal entry BUY - restored"];
    assert_wrote(&first, &[&facts[..], &records].concat(), &repairs);
    assert!(kinds(&first.findings).contains(&("missing_label", Pending)), "{:?}", first.findings);
    let (_, second) = unlabelled.later(60, &first).sync().await;
    for told in ["order 77 UNKNOWN - atlas -", "signal entry BUY atlas restored"] {
        assert!(second.statements.contains(&told.to_owned()), "no {told} in {:?}", second.statements);
    }
    assert!(second.repairs.contains(&"label_order".to_owned()));
}

#[tokio::test]
async fn cases_d_and_3_complete_the_close_with_its_reason() {
    let (_, written) = case_d().sync().await;
    let statements = [
        "fill BTCUSDT 3 0.05",
        "order 78 FILLED - - -",
        "order 78 UNKNOWN restored - manual_close",
        "signal manual_close SELL - restored",
    ];
    assert_wrote(&written, &statements, &["restore_fills", "restore_order", "restore_signal"]);
}

#[tokio::test]
async fn cases_e_and_4_take_the_label_from_who_knows_it() {
    let labelled = ["order 77 UNKNOWN - atlas -"];
    let (_, named) = case_e(log(r#", "order_id": "77""#)).sync().await;
    assert_wrote(&named, &labelled, &["label_order"]);
    for labels in [log(""), state()] {
        let (_, first) = case_e(labels.clone()).sync().await;
        assert_wrote(&first, &[], &[]);
        assert_eq!(kinds(&first.findings), [("missing_label", Pending)]);
        // Still waiting, and found in the same words: no run is opened for it.
        let (early, written) = case_e(labels.clone()).later(5, &first).sync().await;
        assert_eq!((early.run, written.batches), (None, 0), "{:#?}", early.findings);
        let (_, second) = case_e(labels).later(60, &first).sync().await;
        assert_wrote(&second, &labelled, &["label_order"]);
    }
}

/// Several at once are what each is alone, and each contract is a transaction of its own.
#[tokio::test]
async fn several_cases_at_once_are_what_each_is_alone() {
    let alone = [elsewhere(case_b()).sync().await.1, case_d().sync().await.1];
    let (_, written) = several().sync().await;
    let mut statements = alone.iter().flat_map(|written| written.statements.clone()).collect::<Vec<_>>();
    let mut repairs = alone.iter().flat_map(|written| written.repairs.clone()).collect::<Vec<_>>();
    statements.sort();
    repairs.sort();
    assert_eq!((written.statements, written.repairs), (statements, repairs));
}
