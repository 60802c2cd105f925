//! Case A: signals without orders, and orders without labels (case E).

use exchange_client::Clock;
use ledger_core::Side;
use ledger_store::{DerivedReader, DiscrepancyStatus};
use reconciler::{DiscrepancyKind, LabelSources, parse_entry_events, parse_state};

use super::*;
use crate::support::Fixture;

#[tokio::test]
async fn case_a_a_signal_is_linked_to_its_only_order_after_a_second_look() {
    let fixture = Fixture::new(41).await;
    fixture.signal("s-1", Side::Buy, None).await;
    fixture.signal("s-2", Side::Sell, Some("cooldown")).await;
    fixture.pass(1);
    let order = fixture.unrecorded("mine-1", Side::Buy, "2", false).await;
    let first = fixture.sync().await;
    assert_eq!(status(&first, DiscrepancyKind::SignalWithoutOrder), DiscrepancyStatus::Pending);
    assert!(!first.leaves_discrepancies(), "{:#?}", first.left);
    assert!(fixture.orders().await.iter().all(|order| order.signal_id.is_none()));
    // Not before its window is over.
    let early = fixture.sync().await;
    assert_eq!(status(&early, DiscrepancyKind::SignalWithoutOrder), DiscrepancyStatus::Pending);
    fixture.pass(60);
    let second = fixture.sync().await;
    assert_eq!(status(&second, DiscrepancyKind::SignalWithoutOrder), DiscrepancyStatus::Resolved);
    let link = second.repairs.iter().find(|repair| repair.kind.as_str() == "link_signal").unwrap();
    assert!(link.cause.contains("s-1") && link.cause.contains(order.key.order_id.as_str()), "{}", link.cause);
    let linked = fixture.orders().await.remove(0);
    assert_eq!((linked.signal_id.unwrap().as_str(), linked.engine), ("s-1", Some(engine("swing"))));
    // Nothing is left, and the skipped signal was never asked about.
    let third = fixture.sync().await;
    assert!(third.findings.is_empty() && third.left.is_empty(), "{:#?}", third.findings);
    fixture.assert_book_equals_exchange().await;
}

#[tokio::test]
async fn an_ambiguous_signal_lists_its_candidates() {
    let fixture = Fixture::new(42).await;
    fixture.signal("s-1", Side::Buy, None).await;
    let orders = [
        fixture.unrecorded("mine-1", Side::Buy, "2", false).await,
        fixture.unrecorded("mine-2", Side::Buy, "3", false).await,
    ];
    let named = async || fixture.orders().await.into_iter().filter_map(|order| order.signal_id).collect::<Vec<_>>();
    fixture.sync().await;
    assert_eq!(named().await, []);
    let second = fixture.sync().await;
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
    fixture.pass(600);
    fixture.signal("s-3", Side::Sell, None).await;
    fixture.signal("s-4", Side::Sell, None).await;
    fixture.unrecorded("mine-3", Side::Sell, "1", false).await;
    fixture.sync().await;
    let report = fixture.sync().await;
    let ambiguous = report.findings.iter().filter(|found| found.finding.kind == DiscrepancyKind::AmbiguousSignal);
    assert_eq!(ambiguous.count(), 3, "{:#?}", report.findings);
}

#[tokio::test]
async fn a_signal_that_was_never_sent_says_so() {
    let fixture = Fixture::new(43).await;
    fixture.signal("s-1", Side::Buy, None).await;
    for _ in 0..2 {
        let report = fixture.sync().await;
        assert_eq!(status(&report, DiscrepancyKind::SignalWithoutOrder), DiscrepancyStatus::Pending);
    }
    fixture.pass(60);
    let report = fixture.sync().await;
    assert_eq!(status(&report, DiscrepancyKind::SignalWithoutOrder), DiscrepancyStatus::Resolved);
    assert_eq!(fixture.signals().await[0].skipped.as_ref().unwrap().as_str(), "never_sent");
    assert!(fixture.sync().await.findings.is_empty());
    // One that is too old to tell stays unknown.
    let fixture = Fixture::new(43).await;
    fixture.signal("s-1", Side::Buy, None).await;
    fixture.pass(4 * 86_400);
    fixture.sync().await;
    let report = fixture.sync().await;
    assert_eq!(status(&report, DiscrepancyKind::SignalWithoutOrder), DiscrepancyStatus::Unresolved);
    assert!(fixture.signals().await[0].skipped.is_none());
}

#[tokio::test]
async fn case_e_labels_come_from_the_log_of_entries_and_the_state() {
    for from_log in [true, false] {
        let fixture = Fixture::new(48).await;
        let order = fixture.unrecorded("plain-1", Side::Buy, "2", false).await;
        let seconds = fixture.clock.now().as_ms() / 1_000;
        let report = fixture.sync().await;
        assert!(of(&report, DiscrepancyKind::MissingLabel).is_none(), "nobody asked for labels");
        let log = format!(r#"{{"ts": {seconds}, "symbol": "ETH/USDT:USDT", "side": "LONG", "engine": "atlas"}}"#);
        let state = r#"{"ETH/USDT:USDT": {"in_pos": true, "meta": {"reason": "atlas"}}}"#;
        let labels = LabelSources {
            events: if from_log { parse_entry_events(&log, &jiff::tz::TimeZone::UTC).events } else { vec![] },
            states: if from_log { vec![] } else { parse_state(state).labels },
        };
        let mut reconciler = fixture.reconciler();
        reconciler.config.observe.labels = labels;
        // A line that names no order and a state are inferences: they wait for a second look.
        for is_second in [false, true] {
            fixture.pass(75);
            let expected = if is_second { DiscrepancyStatus::Resolved } else { DiscrepancyStatus::Pending };
            let audit = reconciler.audit().await.unwrap();
            let audited = if is_second { DiscrepancyStatus::Unresolved } else { DiscrepancyStatus::Pending };
            assert_eq!(status(&audit, DiscrepancyKind::MissingLabel), audited);
            let report = reconciler.sync().await.unwrap();
            assert_eq!(status(&report, DiscrepancyKind::MissingLabel), expected, "{:#?}", report.findings);
            let known = fixture.orders().await.into_iter().find(|known| known.key == order.key).unwrap();
            assert_eq!(known.engine.is_some(), is_second);
        }
        let labelled = fixture.orders().await.into_iter().find(|known| known.key == order.key).unwrap();
        assert_eq!(labelled.engine, Some(engine("atlas")));
        assert_eq!(fixture.store.open_trips(&fixture.account).await.unwrap()[0].engine, Some(engine("atlas")));
        // The same word again is no news.
        assert!(reconciler.sync().await.unwrap().findings.is_empty());
    }
}
