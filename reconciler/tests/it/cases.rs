//! The seed's cases and those beyond it, each from a hole in the book to a repair, against the simulator's own books.

use std::sync::Arc;
use std::time::Duration;

use exchange_client::simulator::AppOrder;
use exchange_client::{Clock, ExchangeReader, ExchangeTrader, ManualClock, NewOrder, OrderKind, OrderSize, Trigger};
use ledger_core::{
    AnyFact, ClientOrderId, EngineLabel, EventTime, ExitReason, IntentRole, Label, Order, OrderClass, PositionMode,
    PositionSide, RoundTrip, Side, Signal, SignalId, SignalKind, Source, Statement, Symbol,
};
use ledger_store::{
    DiscrepancyFilter, DiscrepancyStatus, OrderFilter, OrderRepository, PageRequest, PositionRepository, RunRepository,
    Scope, SignalFilter, SignalRepository, SnapshotRepository, TripFilter, TripRepository,
};
use reconciler::{
    ClientIdScheme, CycleReport, DiscrepancyKind, FindingReport, LabelSources, parse_entry_events, parse_state,
};

use crate::support::{House, assert_all_pass};

const ETH: &str = "ETHUSDT";

fn symbol(name: &str) -> Symbol {
    Symbol::new(name).unwrap()
}

fn engine(name: &str) -> EngineLabel {
    EngineLabel::new(name).unwrap()
}

fn of(report: &CycleReport, kind: DiscrepancyKind) -> Option<&FindingReport> {
    report.findings.iter().find(|found| found.finding.kind == kind)
}

#[track_caller]
fn status(report: &CycleReport, kind: DiscrepancyKind) -> DiscrepancyStatus {
    let found = of(report, kind);
    assert!(found.is_some(), "no {kind}: {:#?}", report.findings);
    found.unwrap().status
}

impl House {
    fn pass(&self, seconds: u64) {
        self.simulator.step(Duration::from_secs(seconds));
    }

    async fn sync(&self) -> CycleReport {
        self.pass(20);
        self.reconciler().sync().await.unwrap()
    }

    /// An order of which the book learns nothing.
    async fn unrecorded(&self, id: &str, side: Side, qty: &str, reduce_only: bool) -> Order {
        let order = NewOrder {
            client_order_id: ClientOrderId::new(id).unwrap(),
            symbol: symbol(ETH),
            side,
            position_side: PositionSide::Net,
            kind: OrderKind::Market,
            size: OrderSize::Qty(qty.parse().unwrap()),
            reduce_only,
        };
        self.exchange.create_order(order).await.done().unwrap().entity
    }

    async fn signal(&self, id: &str, side: Side, skipped: Option<&str>) {
        let signal = Signal {
            signal_id: SignalId::new(id).unwrap(),
            time: EventTime::ms(self.clock.now()),
            skew_ms: None,
            symbol: symbol(ETH),
            side,
            kind: SignalKind::Entry,
            engine: Some(engine("swing")),
            reason: None,
            skipped: skipped.map(|why| Label::new(why).unwrap()),
            meta_json: None,
            restored: false,
        };
        self.recorder().signal(signal).await.unwrap();
    }

    async fn signals(&self) -> Vec<Signal> {
        let filter = SignalFilter::from(Scope::account(self.account.clone()));
        let page = self.store.signals(&filter, &PageRequest::first(100)).await.unwrap();
        page.items.into_iter().map(|signal| signal.fact).collect()
    }

    async fn orders(&self) -> Vec<Order> {
        let filter = OrderFilter::from(Scope::account(self.account.clone()));
        let page = self.store.orders(&filter, &PageRequest::first(100)).await.unwrap();
        page.items.into_iter().map(|order| order.order.fact).collect()
    }

    async fn last_trip(&self) -> RoundTrip {
        let scope = Scope::account(self.account.clone());
        let filter = TripFilter { scope, engine: None, position_side: None };
        self.store.trips(&filter, &PageRequest::newest(1)).await.unwrap().items.remove(0)
    }

    async fn open_discrepancies(&self) -> usize {
        let filter = DiscrepancyFilter::open(self.account.clone());
        self.store.discrepancies(&filter, &PageRequest::first(100)).await.unwrap().items.len()
    }
}

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
    let link = second.repairs.iter().find(|repair| repair.kind == "link_signal").unwrap();
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
    house.sync().await;
    let second = house.sync().await;
    let found = of(&second, DiscrepancyKind::AmbiguousSignal).unwrap();
    assert_eq!(found.status, DiscrepancyStatus::Unresolved);
    for order in &orders {
        assert!(found.finding.evidence.contains(order.key.order_id.as_str()), "{}", found.finding.evidence);
    }
    assert!(second.leaves_discrepancies());
    assert!(house.orders().await.iter().all(|order| order.signal_id.is_none()));
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
async fn case_c_a_position_out_of_nowhere_is_restored_with_its_records() {
    let house = House::new(44).await;
    let id = ClientIdScheme::default().compose(&engine("grid"), IntentRole::Entry, "7").unwrap();
    house.unrecorded(id.as_str(), Side::Sell, "1.5", false).await;
    house.pass(300);
    house.unrecorded("fb:grid:d:8", Side::Sell, "0.5", false).await;
    let report = house.sync().await;
    assert_eq!(status(&report, DiscrepancyKind::UnrecordedPosition), DiscrepancyStatus::Resolved);
    assert!(report.findings.iter().all(|found| found.status == DiscrepancyStatus::Resolved), "{:#?}", report.findings);
    let signals = house.signals().await;
    assert_eq!(signals.len(), 2);
    assert!(signals.iter().all(|signal| signal.restored && signal.kind == SignalKind::Entry));
    assert!(signals.iter().all(|signal| signal.engine == Some(engine("grid")) && signal.side == Side::Sell));
    let orders = house.orders().await;
    assert!(orders.iter().all(|order| order.engine == Some(engine("grid"))));
    let linked: Vec<_> = orders.iter().map(|order| order.signal_id.clone().unwrap()).collect();
    assert!(signals.iter().all(|signal| linked.contains(&signal.signal_id)));
    assert_all_pass(&report);
    house.assert_book_equals_exchange().await;
}

#[tokio::test]
async fn case_d_a_close_by_hand_is_completed_with_its_reason() {
    let house = House::new(45).await;
    house.trade(1, ETH, Side::Buy, "2", |_| false).await;
    assert!(!house.sync().await.leaves_discrepancies());
    house.pass(3_600);
    house.simulator.close_from_app("sim-main", &symbol(ETH), PositionSide::Net).unwrap();
    let report = house.sync().await;
    assert_eq!(status(&report, DiscrepancyKind::UnrecordedClose), DiscrepancyStatus::Resolved);
    assert_eq!(status(&report, DiscrepancyKind::ForeignFills), DiscrepancyStatus::Resolved);
    let trip = house.last_trip().await;
    assert_eq!((trip.exit_reason, trip.engine), (ExitReason::ManualClose, Some(engine("swing"))));
    let signals = house.signals().await;
    let restored: Vec<_> = signals.iter().filter(|signal| signal.restored).collect();
    assert_eq!(restored.len(), 1);
    assert_eq!((restored[0].kind, restored[0].side), (SignalKind::ManualClose, Side::Sell));
    assert_all_pass(&report);
    house.assert_book_equals_exchange().await;
    assert!(house.sync().await.findings.is_empty());
}

#[tokio::test]
async fn one_leg_of_a_hedge_is_closed_by_hand_and_the_other_stays() {
    let house = House::new(55).await;
    assert!(house.exchange.set_position_mode(PositionMode::Hedge).await.done().is_some());
    for (number, (direction, position_side)) in
        [(Side::Buy, PositionSide::Long), (Side::Sell, PositionSide::Short)].into_iter().enumerate()
    {
        let mut intent = house.intent(number, &symbol(ETH), direction, "2", None, Some(engine("swing")));
        intent.position_side = Some(position_side);
        assert!(house.recorder().send(&*house.exchange, &intent).await.unwrap().unwrap().done().is_some());
        house.pass(600);
    }
    assert!(!house.sync().await.leaves_discrepancies());
    house.simulator.close_from_app("sim-main", &symbol(ETH), PositionSide::Short).unwrap();
    let report = house.sync().await;
    let closed = of(&report, DiscrepancyKind::UnrecordedClose).unwrap();
    assert!(closed.finding.evidence.contains("SHORT") && closed.status == DiscrepancyStatus::Resolved, "{closed:?}");
    let trip = house.last_trip().await;
    assert_eq!((trip.position_side, trip.exit_reason), (PositionSide::Short, ExitReason::ManualClose));
    assert_eq!(house.store.open_trips(&house.account).await.unwrap().len(), 1);
    assert_all_pass(&report);
    house.assert_book_equals_exchange().await;
}

/// A stop-loss that was recorded before it triggered, and a cancel of which the book learned nothing.
#[tokio::test]
async fn a_conditional_order_hands_its_label_to_the_order_that_it_became() {
    let house = House::new(56).await;
    house.trade(1, ETH, Side::Buy, "2", |_| false).await;
    let price = house.simulator.price(&symbol(ETH)).unwrap();
    let trigger = price.checked_sub("50".parse().unwrap()).unwrap().round(1);
    let mut stop = house.intent(2, &symbol(ETH), Side::Sell, "2", None, Some(engine("swing")));
    stop.role = IntentRole::StopLoss;
    (stop.class, stop.order_type) = (OrderClass::Conditional, Label::new("STOP_MARKET").unwrap());
    (stop.trigger_price, stop.reduce_only) = (Some(trigger.to_string().parse().unwrap()), true);
    assert!(house.recorder().send(&*house.exchange, &stop).await.unwrap().unwrap().done().is_some());
    let mut limit = house.intent(3, &symbol(ETH), Side::Buy, "1", None, Some(engine("swing")));
    limit.order_type = Label::new("LIMIT").unwrap();
    limit.price = Some("100".parse().unwrap());
    let resting = house.recorder().send(&*house.exchange, &limit).await.unwrap().unwrap().done().unwrap().entity;
    house.sync().await;
    let reference = exchange_client::OrderRef::Id(OrderClass::Regular, resting.key.order_id.clone());
    assert!(house.exchange.cancel_order(symbol(ETH), reference).await.done().is_some());
    let beyond: ledger_core::Decimal = trigger.checked_sub("5".parse().unwrap()).unwrap();
    house.simulator.set_price(&symbol(ETH), beyond.to_string().parse().unwrap()).unwrap();
    let report = house.sync().await;
    assert!(report.findings.iter().all(|found| found.status == DiscrepancyStatus::Resolved), "{:#?}", report.findings);
    let trip = house.last_trip().await;
    assert_eq!((trip.exit_reason, trip.engine), (ExitReason::StopLoss, Some(engine("swing"))));
    let cancelled = house.orders().await.into_iter().find(|order| order.key == resting.key).unwrap();
    assert_eq!(cancelled.status, ledger_core::OrderStatus::Canceled);
    assert!(of(&report, DiscrepancyKind::ForeignFills).is_none(), "the bot's own order is nobody else's");
    house.assert_book_equals_exchange().await;
    assert!(house.sync().await.findings.is_empty());
}

#[tokio::test]
async fn case_d_a_take_profit_that_triggered_unseen_says_what_it_was() {
    let house = House::new(46).await;
    house.trade(1, ETH, Side::Buy, "2", |_| false).await;
    let price = house.simulator.price(&symbol(ETH)).unwrap();
    let above: ledger_core::Price =
        price.checked_add("100".parse().unwrap()).unwrap().round(1).to_string().parse().unwrap();
    let order = NewOrder {
        client_order_id: ClientOrderId::new("tp-1").unwrap(),
        symbol: symbol(ETH),
        side: Side::Sell,
        position_side: PositionSide::Net,
        kind: OrderKind::TakeProfitMarket { trigger: Trigger::from(above) },
        size: OrderSize::ClosePosition,
        reduce_only: false,
    };
    assert!(house.exchange.create_order(order).await.done().is_some());
    let report = house.sync().await;
    assert!(of(&report, DiscrepancyKind::UnknownOrder).unwrap().finding.evidence.contains("conditional order"));
    let beyond: ledger_core::Price =
        above.get().checked_add("5".parse().unwrap()).unwrap().to_string().parse().unwrap();
    house.simulator.set_price(&symbol(ETH), beyond).unwrap();
    let report = house.sync().await;
    assert_eq!(status(&report, DiscrepancyKind::UnrecordedClose), DiscrepancyStatus::Resolved);
    assert_eq!(house.last_trip().await.exit_reason, ExitReason::TakeProfit);
    let exits: Vec<_> = house.signals().await.into_iter().filter(|signal| signal.restored).collect();
    assert_eq!(exits.len(), 1, "{exits:#?}");
    assert_eq!(exits[0].kind, SignalKind::AutoExit);
    let conditional =
        house.orders().await.into_iter().find(|order| order.key.class == OrderClass::Conditional).unwrap();
    assert!(conditional.triggered_order_id.is_some() && conditional.status.is_terminal(), "{conditional:?}");
    house.assert_book_equals_exchange().await;
}

#[tokio::test]
async fn a_liquidation_is_told_and_kept() {
    let house = House::new(47).await;
    house.trade(1, ETH, Side::Buy, "2", |_| false).await;
    house.sync().await;
    house.simulator.force_liquidation("sim-main", &symbol(ETH), PositionSide::Net).unwrap();
    let report = house.sync().await;
    assert_eq!(status(&report, DiscrepancyKind::Liquidation), DiscrepancyStatus::Resolved);
    assert_eq!(house.last_trip().await.exit_reason, ExitReason::Liquidation);
    assert!(house.signals().await.iter().all(|signal| !signal.restored), "no strategy and no hand decided");
    house.assert_book_equals_exchange().await;
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
        let audit = reconciler.audit().await.unwrap();
        assert_eq!(status(&audit, DiscrepancyKind::MissingLabel), DiscrepancyStatus::Unresolved);
        let report = reconciler.sync().await.unwrap();
        assert_eq!(status(&report, DiscrepancyKind::MissingLabel), DiscrepancyStatus::Resolved);
        let labelled = house.orders().await.into_iter().find(|known| known.key == order.key).unwrap();
        assert_eq!(labelled.engine, Some(engine("atlas")));
        assert_eq!(house.store.open_trips(&house.account).await.unwrap()[0].engine, Some(engine("atlas")));
        // Another word from elsewhere is not taken over what is known.
        assert!(reconciler.sync().await.unwrap().findings.is_empty());
    }
}

#[tokio::test]
async fn what_is_older_than_the_exchanges_memory_is_stated_after_a_second_look() {
    let house = House::new(49).await;
    house.unrecorded("old-1", Side::Buy, "3", false).await;
    house.simulator.step(Duration::from_hours(24 * 100));
    house.unrecorded("new-1", Side::Sell, "1", true).await;
    house.pass(3_600);
    house.unrecorded("new-2", Side::Buy, "0.5", false).await;
    let first = house.sync().await;
    assert_eq!(
        status(&first, DiscrepancyKind::UnrecordedPosition),
        DiscrepancyStatus::Pending,
        "{:#?}",
        first.findings
    );
    let scope = Scope::account(house.account.clone());
    assert!(house.store.anchors(&scope, &PageRequest::first(10)).await.unwrap().items.is_empty());
    let second = house.sync().await;
    assert_eq!(
        status(&second, DiscrepancyKind::PositionMismatch),
        DiscrepancyStatus::Resolved,
        "{:#?}",
        second.findings
    );
    let anchors = house.store.anchors(&scope, &PageRequest::first(10)).await.unwrap().items;
    assert_eq!(anchors.len(), 1);
    assert_eq!(anchors[0].fact.qty, "3".parse().unwrap());
    // The entry is the one that the old fill made, as the exchange's realized profit tells.
    let truth = house.simulator.books();
    let old = &truth.accounts[0].trades;
    let cost = old.iter().filter(|trade| trade.time_ms < anchors[0].fact.at.as_ms());
    let cost = cost.fold("0".parse::<ledger_core::Decimal>().unwrap(), |sum, trade| {
        sum.checked_add(trade.price.checked_mul(trade.qty).unwrap()).unwrap()
    });
    let stated = anchors[0].fact.entry_price.unwrap().get().checked_mul("3".parse().unwrap()).unwrap();
    assert!(stated.checked_sub(cost).unwrap().abs() < "0.0001".parse().unwrap(), "{stated} {cost}");
    let held = house.store.positions(&house.account).await.unwrap();
    assert_eq!(held[0].position.qty, "2.5".parse().unwrap());
    assert!(second.verification.mismatched_positions.is_empty());
    assert!(!second.leaves_discrepancies(), "{:#?}", second.left);
}

#[tokio::test]
async fn what_is_stated_goes_when_older_fills_turn_up() {
    let house = House::new(53).await;
    house.unrecorded("old-1", Side::Buy, "3", false).await;
    house.pass(60);
    let old = house.exchange.fetch_my_trades(symbol(ETH), exchange_client::TradeQuery::FromId("1".parse().unwrap()));
    let old = old.await.unwrap().rows;
    assert!(!old.is_empty());
    house.simulator.step(Duration::from_hours(24 * 100));
    house.unrecorded("new-1", Side::Sell, "1", true).await;
    house.sync().await;
    house.sync().await;
    let scope = Scope::account(house.account.clone());
    let stated = || async { house.store.anchors(&scope, &PageRequest::first(10)).await.unwrap().items.remove(0).fact };
    assert!(stated().await.withdrawn.is_none());
    // Somebody imports what the exchange has forgotten.
    house.recorder().fills(&old).await.unwrap();
    let report = house.sync().await;
    assert!(report.repairs.iter().any(|repair| repair.kind == "withdraw_stated_position"), "{:#?}", report.repairs);
    assert!(stated().await.withdrawn.is_some());
    let report = house.sync().await;
    assert!(report.repairs.is_empty() && !report.leaves_discrepancies(), "{:#?}", report.left);
    // The ledger of that time stays forgotten; the fills and what they lead to are whole.
    assert_eq!(house.book_fills().await.len(), house.simulator.books().accounts[0].trades.len());
    assert_all_pass(&report);
}

#[tokio::test]
async fn several_cases_at_once_in_either_mode() {
    for mode in [PositionMode::OneWay, PositionMode::Hedge] {
        let house = House::new(54).await;
        if mode == PositionMode::Hedge {
            assert!(house.exchange.set_position_mode(mode).await.done().is_some());
        }
        let side = |long: bool| match (mode, long) {
            (PositionMode::OneWay, _) => PositionSide::Net,
            (PositionMode::Hedge, true) => PositionSide::Long,
            (PositionMode::Hedge, false) => PositionSide::Short,
        };
        // The bot's own session, of which the book keeps: everything, the intent, nothing.
        let plan = [("ETHUSDT", true, "2"), ("BTCUSDT", false, "0.05"), ("SOLUSDT", true, "9")];
        for (number, (name, long, qty)) in plan.into_iter().enumerate() {
            house.pass(3_600);
            let direction = if long { Side::Buy } else { Side::Sell };
            let mut intent = house.intent(number, &symbol(name), direction, qty, None, Some(engine("swing")));
            intent.position_side = Some(side(long));
            intent.client_order_id =
                ClientIdScheme::default().compose(&engine("swing"), IntentRole::Entry, &number.to_string()).unwrap();
            if number == 0 {
                let sent = house.recorder().send(&*house.exchange, &intent).await.unwrap().unwrap();
                assert!(sent.done().is_some());
                continue;
            }
            if number == 1 {
                house.recorder().intent(intent.clone()).await.unwrap();
            }
            assert!(house.exchange.create_order(NewOrder::from_intent(&intent).unwrap()).await.done().is_some());
        }
        house.pass(60);
        house.simulator.close_from_app("sim-main", &symbol(ETH), side(true)).unwrap();
        house.pass(60);
        let reconciler = house.reconciler();
        let audit = reconciler.audit().await.unwrap();
        let kinds: std::collections::BTreeSet<_> = audit.findings.iter().map(|found| found.finding.kind).collect();
        for kind in [
            DiscrepancyKind::MissingFills,
            DiscrepancyKind::UnknownOrder,
            DiscrepancyKind::UnresolvedIntent,
            DiscrepancyKind::UnrecordedPosition,
            DiscrepancyKind::ForeignFills,
        ] {
            assert!(kinds.contains(&kind), "{mode}: no {kind} in {kinds:?}");
        }
        let report = reconciler.sync().await.unwrap();
        assert!(
            report.findings.iter().all(|found| found.status == DiscrepancyStatus::Resolved),
            "{:#?}",
            report.findings
        );
        assert_all_pass(&report);
        house.assert_book_equals_exchange().await;
        assert!(house.orders().await.iter().filter(|order| order.engine == Some(engine("swing"))).count() == 3);
        house.pass(20);
        let warm = reconciler.sync().await.unwrap();
        assert!(warm.findings.is_empty() && warm.left.is_empty(), "{:#?}", warm.findings);
    }
}

#[tokio::test]
async fn orders_that_are_left_of_a_position_are_told_and_never_touched() {
    let house = House::new(50).await;
    house.trade(1, ETH, Side::Buy, "2", |_| false).await;
    let order = NewOrder {
        client_order_id: ClientOrderId::new("sl-1").unwrap(),
        symbol: symbol(ETH),
        side: Side::Sell,
        position_side: PositionSide::Net,
        kind: OrderKind::StopMarket { trigger: Trigger::from("100".parse::<ledger_core::Price>().unwrap()) },
        size: OrderSize::Qty("2".parse().unwrap()),
        reduce_only: true,
    };
    assert!(house.exchange.create_order(order).await.done().is_some());
    house.sync().await;
    house.simulator.close_from_app("sim-main", &symbol(ETH), PositionSide::Net).unwrap();
    house.sync().await;
    let second = house.sync().await;
    assert_eq!(status(&second, DiscrepancyKind::OrphanOrder), DiscrepancyStatus::Pending);
    let third = house.sync().await;
    assert_eq!(status(&third, DiscrepancyKind::OrphanOrder), DiscrepancyStatus::Unresolved);
    assert!(third.leaves_discrepancies());
    assert_eq!(house.exchange.fetch_open_orders(None).await.unwrap().rows.len(), 1);
    // Gone once somebody has cancelled it.
    assert!(house.exchange.cancel_all_conditional_orders(symbol(ETH)).await.done().is_some());
    let fourth = house.sync().await;
    assert!(of(&fourth, DiscrepancyKind::OrphanOrder).is_none());
    assert_eq!(house.open_discrepancies().await, 0);
}

#[tokio::test]
async fn somebody_elses_trades_are_kept_and_told() {
    let house = House::new(51).await;
    house.trade(1, ETH, Side::Buy, "2", |_| false).await;
    let wish = AppOrder {
        prefix: "ios_",
        symbol: symbol("BTCUSDT"),
        side: Side::Buy,
        position_side: PositionSide::Net,
        qty: "0.01".parse().unwrap(),
        price: None,
        reduce_only: false,
    };
    house.simulator.trade_from_app("sim-main", &wish).unwrap();
    let report = house.sync().await;
    let found = of(&report, DiscrepancyKind::ForeignFills).unwrap();
    assert!(found.finding.evidence.contains("by hand"), "{}", found.finding.evidence);
    assert_eq!(found.finding.symbol.as_ref().unwrap().as_str(), "BTCUSDT");
    house.assert_book_equals_exchange().await;
    assert!(house.sync().await.findings.is_empty());
}

#[tokio::test]
async fn the_mode_the_clock_and_a_fill_that_differs_are_told() {
    let house = House::new(52).await;
    house.trade(1, ETH, Side::Buy, "2", |_| false).await;
    house.trade(2, ETH, Side::Sell, "2", |_| false).await;
    house.sync().await;
    // A local clock that is five seconds ahead.
    let ahead = ManualClock::new(house.clock.now().saturating_add_ms(5_000));
    let mut reconciler = house.reconciler();
    reconciler.clock = Arc::new(ahead);
    let report = reconciler.audit().await.unwrap();
    assert!(of(&report, DiscrepancyKind::ClockSkew).unwrap().finding.evidence.contains("5000 ms ahead"));
    // Somebody tells a fill otherwise.
    let mut fill = house.book_fills().await.remove(0);
    fill.price = "1".parse().unwrap();
    let other = house.with_empty_book().await;
    let told = Statement { fact: AnyFact::Fill(fill.clone()), source: Source::ExchangeCsv, payload: None };
    other.recorder().record(vec![told]).await.unwrap();
    let report = other.sync().await;
    assert_eq!(status(&report, DiscrepancyKind::ConflictingFill), DiscrepancyStatus::Resolved);
    assert!(other.book_fills().await.iter().all(|known| known.price != fill.price), "REST is believed");
    // And the account changes its mode.
    assert!(house.exchange.set_position_mode(PositionMode::Hedge).await.done().is_some());
    let report = house.sync().await;
    assert!(of(&report, DiscrepancyKind::PositionModeChanged).unwrap().finding.evidence.contains("hedge"));
}
