//! The adapter at work on a simulated exchange: a session of trading, and what is left of it when everything goes wrong
//! at times.

#![expect(clippy::unwrap_used, reason = "helpers fail like the tests that use them")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use exchange_client::binance_usdm::{BinanceUsdm, RequestSettings};
use exchange_client::simulator::{FaultProfile, Simulator, SimulatorAccount, SimulatorConfig, SimulatorTransport};
use exchange_client::{
    Amendment, Clock, ErrorClass, ExchangeError, ExchangeReader, ExchangeTrader, ManualClock, MarginMode, NewOrder,
    OrderKind, OrderRef, OrderSize, SendOutcome, TimeInForce, TimeWindow, TradeQuery, Trigger, WindowQuery,
    WorkingType,
};
use ledger_core::{
    ClientOrderId, OrderClass, OrderStatus, Origin, PositionSide, Price, Quantity, Side, Symbol, TimestampMs,
};

const START_MS: i64 = 1_780_000_000_000;

struct Stage {
    simulator: Arc<Simulator>,
    clock: Arc<ManualClock>,
    exchange: BinanceUsdm,
}

impl Stage {
    fn new(config: SimulatorConfig) -> Self {
        let clock = Arc::new(ManualClock::new(TimestampMs::new(START_MS).unwrap()));
        let simulator = Arc::new(Simulator::new(config, Arc::clone(&clock)).unwrap());
        let transport = Arc::new(SimulatorTransport::new(Arc::clone(&simulator)));
        let credentials = SimulatorAccount::standard().credentials().unwrap();
        let shared_clock = Arc::clone(&clock) as Arc<dyn Clock>;
        let settings = RequestSettings::SIMULATED;
        let exchange =
            BinanceUsdm::with_settings(transport, shared_clock, "http://127.0.0.1:1", credentials, settings).unwrap();
        Self { simulator, clock, exchange }
    }

    fn lately(&self) -> WindowQuery {
        let now = self.clock.now();
        WindowQuery::new(TimeWindow::new(now.saturating_add_ms(-86_400_000), now).unwrap())
    }

    async fn place(&self, order: NewOrder) -> ledger_core::Order {
        self.exchange.create_order(order).await.done().unwrap().entity
    }
}

fn config(seed: u64) -> SimulatorConfig {
    SimulatorConfig { prices_wander: false, weight_1m_max: None, ..SimulatorConfig::new(seed) }
}

fn btc() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

fn id(text: &str) -> ClientOrderId {
    ClientOrderId::new(text).unwrap()
}

fn price(text: &str) -> Price {
    text.parse().unwrap()
}

fn qty(text: &str) -> Quantity {
    text.parse().unwrap()
}

fn order(client_order_id: &str, side: Side, kind: OrderKind) -> NewOrder {
    NewOrder {
        client_order_id: id(client_order_id),
        symbol: btc(),
        side,
        position_side: PositionSide::Net,
        kind,
        size: qty("0.05").into(),
        reduce_only: false,
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_with_every_kind_of_order() {
    let stage = Stage::new(config(7));
    let exchange = &stage.exchange;
    assert_eq!(exchange.set_leverage(btc(), 20).await.done(), Some(20));
    for mode in [MarginMode::Isolated, MarginMode::Isolated, MarginMode::Cross] {
        assert!(exchange.set_margin_mode(btc(), mode).await.done().is_some(), "{mode}");
    }

    // A resting order is amended, and found by both ids.
    let resting = stage.place(order("bid", Side::Buy, OrderKind::limit(price("60000")))).await;
    let amendment = Amendment {
        symbol: btc(),
        order: OrderRef::Client(OrderClass::Regular, id("bid")),
        side: Side::Buy,
        qty: qty("0.04"),
        price: price("61000"),
    };
    let amended = exchange.amend_order(amendment).await.done().unwrap().entity;
    assert_eq!((&amended.key, amended.terms.price), (&resting.key, Some(price("61000"))));
    let by_id = OrderRef::Id(OrderClass::Regular, resting.key.order_id.clone());
    let found = exchange.fetch_order(btc(), by_id.clone()).await.unwrap().unwrap().entity;
    assert_eq!((found.terms.qty, found.status), (Some(qty("0.04")), OrderStatus::New));
    let post_only = OrderKind::Limit { price: price("70000"), time_in_force: TimeInForce::Gtx };
    match exchange.create_order(order("post", Side::Buy, post_only)).await {
        SendOutcome::Rejected(error) => assert_eq!(error.code(), Some(-5022)),
        other => panic!("{other:?}"),
    }

    // A position with a stop that closes it, a target for half of it, and a trailing stop.
    stage.place(order("entry", Side::Buy, OrderKind::Market)).await;
    let below = Trigger { price: price("62000"), working_type: WorkingType::MarkPrice };
    let stop = NewOrder {
        size: OrderSize::ClosePosition,
        ..order("sl", Side::Sell, OrderKind::StopMarket { trigger: below })
    };
    let stop = stage.place(stop).await;
    assert_eq!((stop.key.class, stop.close_position, stop.terms.qty), (OrderClass::Conditional, Some(true), None));
    let target = OrderKind::TakeProfit {
        trigger: price("66000").into(),
        price: price("66100"),
        time_in_force: TimeInForce::Gtc,
    };
    stage.place(NewOrder { size: qty("0.025").into(), reduce_only: true, ..order("tp", Side::Sell, target) }).await;
    let trailing = OrderKind::TrailingStopMarket {
        activation_price: Some(price("65000")),
        callback_rate_percent: "1.5".parse().unwrap(),
        working_type: WorkingType::ContractPrice,
    };
    stage.place(NewOrder { reduce_only: true, ..order("trail", Side::Sell, trailing) }).await;
    let open = exchange.fetch_open_orders(Some(btc())).await.unwrap().rows;
    let classes: Vec<_> = open.iter().map(|row| row.entity.key.class).collect();
    assert_eq!(classes.iter().filter(|class| **class == OrderClass::Conditional).count(), 3, "{open:?}");
    assert_eq!(classes.len(), 4);

    // The stop is hit: it becomes a regular order with its client id, which alone has fills.
    stage.simulator.set_price(&btc(), price("61900")).unwrap();
    stage.simulator.step(Duration::from_secs(1));
    let by_client = |class| OrderRef::Client(class, id("sl"));
    let hit = exchange.fetch_order(btc(), by_client(OrderClass::Conditional)).await.unwrap().unwrap().entity;
    assert_eq!((hit.key, hit.status), (stop.key, OrderStatus::Finished));
    let closing = exchange.fetch_order(btc(), by_client(OrderClass::Regular)).await.unwrap().unwrap().entity;
    assert_eq!(Some(&closing.key.order_id), hit.triggered_order_id.as_ref());
    let fills = exchange.fetch_my_trades(btc(), TradeQuery::Order(closing.key.order_id)).await.unwrap().rows;
    assert!(!fills.is_empty() && fills.iter().all(|row| row.entity.key.side == Side::Sell));
    assert!(exchange.fetch_positions(Some(btc())).await.unwrap().rows.iter().all(|row| row.entity.qty.is_zero()));
    let conditional = exchange.fetch_orders(OrderClass::Conditional, Some(btc()), stage.lately()).await.unwrap().rows;
    assert_eq!(conditional.len(), 3);

    // What still waits on the selling side goes, one by one; the resting bid goes with all regular ones.
    for cancelled in exchange.cancel_conditional_by_side(btc(), Side::Sell, None).await.unwrap() {
        let state = cancelled.outcome.done().unwrap().unwrap().entity;
        assert_eq!((state.key, state.status), (cancelled.listed.entity.key, OrderStatus::Canceled));
    }
    assert!(exchange.cancel_all_conditional_orders(btc()).await.done().is_some());
    assert!(exchange.cancel_all_orders(btc()).await.done().is_some());
    assert!(exchange.fetch_open_orders(None).await.unwrap().rows.is_empty());
    match exchange.cancel_order(btc(), by_id).await {
        SendOutcome::Rejected(error) => assert_eq!(error.class(), ErrorClass::NotFound),
        other => panic!("{other:?}"),
    }

    // The exchange closes a position by itself, and says so.
    stage.place(order("again", Side::Buy, OrderKind::Market)).await;
    let alias = exchange.account_identity().await.unwrap().account_alias;
    stage.simulator.force_liquidation(&alias, &btc(), PositionSide::Net).unwrap();
    stage.simulator.step(Duration::from_secs(1));
    let forced = exchange.fetch_force_orders(None, stage.lately()).await.unwrap().rows;
    assert_eq!(forced.iter().map(|row| row.entity.origin).collect::<Vec<_>>(), [Some(Origin::Liquidation)]);
    let rates = exchange.fetch_funding_rates(Some(btc()), stage.lately()).await.unwrap();
    assert!(rates.next.is_none());
}

/// However an order's fate was told, it has to be the order's fate.
#[tokio::test(start_paused = true)]
async fn done_is_done_and_rejected_is_not_whatever_goes_wrong() {
    let mut counts = BTreeMap::new();
    for seed in 0..8 {
        let faults = FaultProfile::hostile().with_seed(seed);
        let stage = Stage::new(SimulatorConfig { faults, ..config(seed) });
        let mut told = BTreeMap::new();
        for number in 0..150 {
            let name = format!("o-{number}");
            let side = if number % 2 == 0 { Side::Buy } else { Side::Sell };
            let outcome = stage.exchange.create_order(order(&name, side, OrderKind::Market)).await;
            let (fate, error) = match outcome {
                SendOutcome::Done(_) => ("done", None),
                SendOutcome::Rejected(error) => ("rejected", Some(error)),
                SendOutcome::Unknown(error) => ("unknown", Some(error)),
            };
            told.insert(name, fate);
            *counts.entry(fate).or_insert(0) += 1;
            let wait_ms = error.as_ref().and_then(ExchangeError::retry_at);
            let wait_ms = wait_ms.map_or(0, |until| until.as_ms() - stage.clock.now().as_ms());
            stage.simulator.step(Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0) + 300));
        }
        let books = stage.simulator.books();
        for (name, fate) in told {
            let there = books.accounts[0].orders.iter().filter(|order| order.client_order_id == name).count();
            match fate {
                "done" => assert_eq!(there, 1, "{seed} {name}"),
                "rejected" => assert_eq!(there, 0, "{seed} {name}"),
                _ => assert!(there <= 1, "{seed} {name}"),
            }
        }
    }
    assert!(counts.len() == 3 && counts.values().all(|count| *count > 20), "{counts:?}");
}

/// A reader may fail, but what it answers is true.
#[tokio::test(start_paused = true)]
async fn an_answer_is_complete_or_an_error_whatever_goes_wrong() {
    let (mut answered, mut failed) = (0, 0);
    for seed in 0..6 {
        let stage = Stage::new(config(seed));
        for number in 0..40 {
            let side = if number % 3 == 0 { Side::Sell } else { Side::Buy };
            stage.place(order(&format!("o-{number}"), side, OrderKind::Market)).await;
            stage.simulator.step(Duration::from_secs(30));
        }
        let window = stage.lately();
        let fills = stage.exchange.fetch_my_trades(btc(), TradeQuery::Window(window.window)).await.unwrap().rows;
        let income = stage.exchange.fetch_income(None, window).await.unwrap().rows;
        let orders = stage.exchange.fetch_orders(OrderClass::Regular, None, window).await.unwrap().rows;
        // Positions, balances and open orders may lie behind when everything goes wrong; history must not.
        let faults = FaultProfile { late: 0, ..FaultProfile::hostile() };
        stage.simulator.set_faults(faults.with_seed(seed));
        for _ in 0..30 {
            stage.simulator.step(Duration::from_mins(3));
            let told = stage.exchange.fetch_my_trades(btc(), TradeQuery::Window(window.window)).await;
            let others = (
                stage.exchange.fetch_income(None, window).await,
                stage.exchange.fetch_orders(OrderClass::Regular, None, window).await,
            );
            for told in [
                told.map(|page| assert_eq!(page.rows, fills)),
                others.0.map(|page| assert_eq!(page.rows, income)),
                others.1.map(|page| assert_eq!(page.rows, orders)),
            ] {
                match told {
                    Ok(()) => answered += 1,
                    Err(_) => failed += 1,
                }
            }
        }
    }
    assert!(answered > 300 && failed > 5, "{answered} answered, {failed} failed");
}

/// The venue's table of weights and the simulator's are written down apart; every question is asked of both.
#[tokio::test(start_paused = true)]
async fn every_request_costs_what_the_table_says() {
    let stage = Stage::new(SimulatorConfig { weight_1m_max: Some(1_000_000), ..config(7) });
    let exchange = &stage.exchange;
    let (regular, conditional) = (OrderClass::Regular, OrderClass::Conditional);
    let by_id = |class| OrderRef::Id(class, ledger_core::OrderId::new("1").unwrap());
    exchange.server_time().await.unwrap();
    let account = exchange.account_identity().await.unwrap();
    let mut seen = (exchange.usage().weight, u64::from(exchange.usage().weight_1m.unwrap()));
    macro_rules! costs {
        ($($weight:literal: $question:expr),+ $(,)?) => {$(
            let _answer = $question.await;
            let usage = exchange.usage();
            let by_table = usage.weight - seen.0;
            let by_exchange = u64::from(usage.weight_1m.unwrap()) - seen.1;
            assert_eq!((by_table, by_exchange), ($weight, $weight), stringify!($question));
            seen = (usage.weight, seen.1 + by_exchange);
        )+};
    }
    costs! {
        1: exchange.server_time(),
        1: exchange.fetch_instruments(),
        1: exchange.fetch_mark_prices(Some(btc())),
        10: exchange.fetch_mark_prices(None),
        5: exchange.fetch_balances(&account),
        5: exchange.account_identity(),
        5: exchange.fetch_positions(None),
        5: exchange.fetch_positions(Some(btc())),
        30: exchange.fetch_position_mode(),
        80: exchange.fetch_open_orders(None),
        2: exchange.fetch_open_orders(Some(btc())),
        1: exchange.fetch_order(btc(), by_id(regular)),
        1: exchange.fetch_order(btc(), by_id(conditional)),
        5: exchange.fetch_orders(regular, None, stage.lately()),
        5: exchange.fetch_orders(conditional, Some(btc()), stage.lately()),
        5: exchange.fetch_my_trades(btc(), TradeQuery::Window(stage.lately().window)),
        30: exchange.fetch_income(None, stage.lately()),
        20: exchange.fetch_force_orders(Some(btc()), stage.lately()),
        50: exchange.fetch_force_orders(None, stage.lately()),
        0: exchange.create_order(order("a", Side::Buy, OrderKind::Market)),
        1: exchange.set_leverage(btc(), 5),
        1: exchange.set_margin_mode(btc(), MarginMode::Cross),
        1: exchange.cancel_order(btc(), by_id(regular)),
        1: exchange.cancel_all_orders(btc()),
        1: exchange.cancel_all_conditional_orders(btc()),
    }
    assert_eq!((exchange.usage().weight, exchange.usage().orders_10s), (seen.0, Some(1)));
}
