//! What nobody states waits for a second look, and gives way to whoever states it.

use std::sync::Arc;

use async_trait::async_trait;
use exchange_client::{Clock, Request, Response, Transport, TransportError};
use ledger_core::{
    AnyFact, ExitReason, IntentOutcome, OrderClass, OrderKey, PositionSide, Side, SignalKind, Source, Statement,
};
use ledger_store::{DerivedReader, DiscrepancyStatus, FactReader, Journal, PageRequest, RepairFilter};
use reconciler::{DiscrepancyKind, LabelSources, parse_entry_events, parse_state};

use super::*;
use crate::support::Fixture;

/// An exchange that leaves out the client order ids of its own apps.
pub(super) struct Nameless(pub(super) Arc<dyn Transport>);

#[async_trait]
impl Transport for Nameless {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let mut response = self.0.send(request).await?;
        let text = String::from_utf8(response.body.to_vec()).unwrap();
        let mut parts = text.split("\"web_");
        let mut named = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            named.push('"');
            named.push_str(part.get(part.find('"').unwrap()..).unwrap());
        }
        response.body = named.into_bytes().into();
        Ok(response)
    }
}

#[tokio::test]
async fn a_close_by_an_unnamed_hand_waits_for_a_second_look() {
    let fixture = Fixture::new(81).await;
    fixture.trade(1, ETH, Side::Buy, "2", |_| false).await;
    fixture.sync().await;
    fixture.simulator.close_from_app("sim-main", &symbol(ETH), PositionSide::Net).unwrap();
    let reconciler = fixture.reconciler_over(Arc::new(fixture.adapter_over(Nameless(Arc::clone(&fixture.transport)))));
    fixture.pass(20);
    let first = reconciler.sync().await.unwrap();
    // The fills are facts and recorded at once; whose hand it was is not.
    assert_eq!(status(&first, DiscrepancyKind::UnrecordedClose), DiscrepancyStatus::Resolved);
    assert_eq!(status(&first, DiscrepancyKind::UnexplainedClose), DiscrepancyStatus::Pending);
    assert!(!first.leaves_discrepancies(), "{:#?}", first.left);
    assert_eq!(fixture.last_trip().await.exit_reason, ExitReason::Unknown);
    assert!(fixture.signals().await.iter().all(|signal| !signal.restored));
    // The second look comes when the order is on no list any more.
    fixture.pass(8 * 3_600);
    let second = reconciler.sync().await.unwrap();
    assert_eq!(
        status(&second, DiscrepancyKind::UnexplainedClose),
        DiscrepancyStatus::Resolved,
        "{:#?}",
        second.findings
    );
    assert_eq!(fixture.last_trip().await.exit_reason, ExitReason::ManualClose);
    let restored: Vec<_> = fixture.signals().await.into_iter().filter(|signal| signal.restored).collect();
    assert_eq!(restored.iter().map(|signal| signal.kind).collect::<Vec<_>>(), [SignalKind::ManualClose]);
    fixture.pass(20);
    let third = reconciler.sync().await.unwrap();
    assert!(third.findings.is_empty() && third.left.is_empty(), "{:#?}", third.findings);
    fixture.assert_book_equals_exchange().await;
}

#[tokio::test]
async fn a_better_label_replaces_a_worse_one() {
    let fixture = Fixture::new(82).await;
    let order = fixture.unrecorded("plain-1", Side::Buy, "2", false).await;
    let seconds = fixture.clock.now().as_ms() / 1_000;
    let mut reconciler = fixture.reconciler();
    let state = r#"{"ETH/USDT:USDT": {"in_pos": true, "meta": {"reason": "zebra"}}}"#;
    reconciler.config.observe.labels = LabelSources { events: vec![], states: parse_state(state).labels };
    for _ in 0..2 {
        fixture.pass(20);
        reconciler.sync().await.unwrap();
    }
    let known = async || {
        let order = fixture.store.order(&fixture.account, &order.key).await.unwrap().unwrap().order;
        let signals: Vec<_> = fixture.signals().await.into_iter().map(|signal| signal.engine).collect();
        let trip = fixture.store.open_trips(&fixture.account).await.unwrap().remove(0).engine;
        (order.provenance.of("engine"), order.fact.engine, signals, trip)
    };
    let told = |source, name| (source, Some(engine(name)), vec![Some(engine(name))], Some(engine(name)));
    assert_eq!(known().await, told(Source::BotState, "zebra"));
    // The bot's log names the order: its own word on it, at once, and over the state's.
    let id = order.key.order_id.as_str();
    let log = format!(r#"{{"ts": {seconds}, "symbol": "ETHUSDT", "engine": "atlas", "order_id": "{id}"}}"#);
    reconciler.config.observe.labels.events = parse_entry_events(&log, &jiff::tz::TimeZone::UTC).events;
    fixture.pass(20);
    let report = reconciler.sync().await.unwrap();
    assert_eq!(status(&report, DiscrepancyKind::MissingLabel), DiscrepancyStatus::Resolved);
    assert_eq!(known().await, told(Source::BotLog, "atlas"));
    let filter = RepairFilter::from(fixture.account.clone());
    let repairs = fixture.store.repairs(&filter, PageRequest::newest(1)).await.unwrap().items.remove(0);
    assert!(repairs.before_json.as_ref().unwrap().contains("zebra"), "{repairs:?}");
    assert!(repairs.after_json.as_ref().unwrap().contains("bot_log"), "{repairs:?}");
    // The other way round nothing happens, and nothing is in dispute.
    fixture.pass(20);
    let report = reconciler.sync().await.unwrap();
    assert!(report.findings.is_empty() && report.left.is_empty(), "{:#?}", report.findings);
    assert_eq!(known().await, told(Source::BotLog, "atlas"));
}

/// Sent, never seen, concluded; and then it is there: by a late answer of the exchange, or by what somebody recorded.
#[tokio::test]
async fn never_sent_gives_way_to_an_order_that_turns_up() {
    let fixture = Fixture::new(83).await;
    fixture.signal("s-1", Side::Buy, None).await;
    fixture.signal("s-2", Side::Sell, None).await;
    let signal_id = Some(SignalId::new("s-1").unwrap());
    let intent = fixture.intent(1, &symbol(ETH), Side::Buy, "2", signal_id, Some(engine("swing")));
    fixture.recorder().intent(intent.clone()).await.unwrap();
    for _ in 0..4 {
        fixture.pass(40);
        fixture.sync().await;
    }
    let said = async || {
        let mut signals = fixture.signals().await;
        signals.sort_by_key(|signal| signal.signal_id.clone());
        let said: Vec<_> = signals.iter().map(|signal| signal.skip_reason().map(ToString::to_string)).collect();
        let known = fixture.store.intent(&fixture.account, &intent.client_order_id).await.unwrap().unwrap();
        (said, known.fact.outcome)
    };
    let concluded = vec![Some("rejected".to_owned()), Some("never_sent".to_owned())];
    assert_eq!(said().await, (concluded, IntentOutcome::Rejected));
    fixture.pass(20);
    assert_eq!(fixture.reconciler().sync().await.unwrap().run, None, "what is concluded is not asked about again");
    // The exchange answers with the one; an import brings the other, which names its signal.
    assert!(fixture.exchange.create_order(NewOrder::from_intent(&intent).unwrap()).await.done().is_some());
    let key = OrderKey { symbol: symbol(ETH), class: OrderClass::Regular, order_id: "900000".parse().unwrap() };
    let mut imported = Order::known_from_fill(key, Side::Sell, None);
    imported.signal_id = Some(SignalId::new("s-2").unwrap());
    let fact = AnyFact::Order(imported);
    fixture.recorder().record(vec![Statement { fact, source: Source::BotDatabase, payload: None }]).await.unwrap();
    let report = fixture.sync().await;
    assert_eq!(said().await, (vec![None, None], IntentOutcome::Accepted));
    for kind in ["sent_after_all", "signal_sent_after_all"] {
        assert!(report.repairs.iter().any(|repair| repair.kind.as_str() == kind), "no {kind}: {:#?}", report.repairs);
    }
    assert!(report.findings.iter().all(|found| found.status == DiscrepancyStatus::Resolved), "{:#?}", report.findings);
    let orders = fixture.orders().await;
    assert!(orders.iter().all(|order| order.signal_id.is_some()), "{orders:#?}");
    let again = fixture.sync().await;
    assert!(again.findings.is_empty() && again.repairs.is_empty(), "{:#?}", again.findings);
}
