//! Case A: signals without orders, and orders without labels (case E).

use exchange_client::Clock;
use ledger_core::Side;
use ledger_store::{DiscrepancyStatus, TripRepository};
use reconciler::{DiscrepancyKind, LabelSources, parse_entry_events, parse_state};

use super::*;
use crate::support::House;

#[tokio::test]
async fn case_a_a_signal_is_linked_to_its_only_order_after_a_second_look() {
    let house = House::new(41).await;
    house.signal("s-1", Side::Buy, None).await;
    house.signal("s-2", Side::Sell, Some("cooldown")).await;
    house.pass(1);
    let order = house.unrecorded("mine-1", Side::Buy, "2", false).await;
    let first = house.sync().await;
    assert_eq!(status(&first, DiscrepancyKind::SignalWithoutOrder), DiscrepancyStatus::Pending);
    assert!(!first.leaves_discrepancies(), "{:#?}", first.left);
    assert!(house.orders().await.iter().all(|order| order.signal_id.is_none()));
    // Not before its window is over.
    let early = house.sync().await;
    assert_eq!(status(&early, DiscrepancyKind::SignalWithoutOrder), DiscrepancyStatus::Pending);
    house.pass(60);
    let second = house.sync().await;
    assert_eq!(status(&second, DiscrepancyKind::SignalWithoutOrder), DiscrepancyStatus::Resolved);
    let link = second.repairs.iter().find(|repair| repair.kind.as_str() == "link_signal").unwrap();
    assert!(link.cause.contains("s-1") && link.cause.contains(order.key.order_id.as_str()), "{}", link.cause);
    let linked = house.orders().await.remove(0);
    assert_eq!((linked.signal_id.unwrap().as_str(), linked.engine), ("s-1", Some(engine("swing"))));
    // Nothing is left, and the skipped signal was never asked about.
    let third = house.sync().await;
    assert!(third.findings.is_empty() && third.left.is_empty(), "{:#?}", third.findings);
    house.assert_book_equals_exchange().await;
}

#[tokio::test]
async fn an_ambiguous_signal_lists_its_candidates() {
    let house = House::new(42).await;
    house.signal("s-1", Side::Buy, None).await;
    let orders = [
        house.unrecorded("mine-1", Side::Buy, "2", false).await,
        house.unrecorded("mine-2", Side::Buy, "3", false).await,
    ];
    let named = async || house.orders().await.into_iter().filter_map(|order| order.signal_id).collect::<Vec<_>>();
    house.sync().await;
    assert_eq!(named().await, []);
    let second = house.sync().await;
    let found = of(&second, DiscrepancyKind::AmbiguousSignal).unwrap();
    assert_eq!(found.status, DiscrepancyStatus::Unresolved);
    for order in &orders {
        assert!(found.finding.evidence.contains(order.key.order_id.as_str()), "{}", found.finding.evidence);
    }
    assert!(second.leaves_discrepancies());
    // Which of them it was stays open; the one that opened a position has a record of its own all the same.
    let opener = orders[0].key.order_id.as_str();
    assert_eq!(named().await.iter().map(SignalId::as_str).collect::<Vec<_>>(), [format!(".restored:{ETH}:{opener}")]);
    // A second signal for the only order of its moment is as ambiguous.
    house.pass(600);
    house.signal("s-3", Side::Sell, None).await;
    house.signal("s-4", Side::Sell, None).await;
    house.unrecorded("mine-3", Side::Sell, "1", false).await;
    house.sync().await;
    let report = house.sync().await;
    let ambiguous = report.findings.iter().filter(|found| found.finding.kind == DiscrepancyKind::AmbiguousSignal);
    assert_eq!(ambiguous.count(), 3, "{:#?}", report.findings);
}

#[tokio::test]
async fn a_signal_that_was_never_sent_says_so() {
    let house = House::new(43).await;
    house.signal("s-1", Side::Buy, None).await;
    for _ in 0..2 {
        let report = house.sync().await;
        assert_eq!(status(&report, DiscrepancyKind::SignalWithoutOrder), DiscrepancyStatus::Pending);
    }
    house.pass(60);
    let report = house.sync().await;
    assert_eq!(status(&report, DiscrepancyKind::SignalWithoutOrder), DiscrepancyStatus::Resolved);
    assert_eq!(house.signals().await[0].skipped.as_ref().unwrap().as_str(), "never_sent");
    assert!(house.sync().await.findings.is_empty());
    // One that is too old to tell stays unknown.
    let house = House::new(43).await;
    house.signal("s-1", Side::Buy, None).await;
    house.pass(4 * 86_400);
    house.sync().await;
    let report = house.sync().await;
    assert_eq!(status(&report, DiscrepancyKind::SignalWithoutOrder), DiscrepancyStatus::Unresolved);
    assert!(house.signals().await[0].skipped.is_none());
}

#[tokio::test]
async fn case_e_labels_come_from_the_log_of_entries_and_the_state() {
    for from_log in [true, false] {
        let house = House::new(48).await;
        let order = house.unrecorded("plain-1", Side::Buy, "2", false).await;
        let seconds = house.clock.now().as_ms() / 1_000;
        let report = house.sync().await;
        assert!(of(&report, DiscrepancyKind::MissingLabel).is_none(), "nobody asked for labels");
        let log = format!(r#"{{"ts": {seconds}, "symbol": "ETH/USDT:USDT", "side": "LONG", "engine": "atlas"}}"#);
        let state = r#"{"ETH/USDT:USDT": {"in_pos": true, "meta": {"reason": "atlas"}}}"#;
        let labels = LabelSources {
            events: if from_log { parse_entry_events(&log, &jiff::tz::TimeZone::UTC).events } else { vec![] },
            states: if from_log { vec![] } else { parse_state(state).labels },
        };
        let mut reconciler = house.reconciler();
        reconciler.config.observe.labels = labels;
        // A line that names no order and a state are inferences: they wait for a second look.
        for is_second in [false, true] {
            house.pass(75);
            let expected = if is_second { DiscrepancyStatus::Resolved } else { DiscrepancyStatus::Pending };
            let audit = reconciler.audit().await.unwrap();
            let audited = if is_second { DiscrepancyStatus::Unresolved } else { DiscrepancyStatus::Pending };
            assert_eq!(status(&audit, DiscrepancyKind::MissingLabel), audited);
            let report = reconciler.sync().await.unwrap();
            assert_eq!(status(&report, DiscrepancyKind::MissingLabel), expected, "{:#?}", report.findings);
            let known = house.orders().await.into_iter().find(|known| known.key == order.key).unwrap();
            assert_eq!(known.engine.is_some(), is_second);
        }
        let labelled = house.orders().await.into_iter().find(|known| known.key == order.key).unwrap();
        assert_eq!(labelled.engine, Some(engine("atlas")));
        assert_eq!(house.store.open_trips(&house.account).await.unwrap()[0].engine, Some(engine("atlas")));
        // The same word again is no news.
        assert!(reconciler.sync().await.unwrap().findings.is_empty());
    }
}
