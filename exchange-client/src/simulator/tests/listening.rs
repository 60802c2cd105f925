//! The adapter's stream on the simulator's: what it tells is what answers say.

use ledger_core::{Fill, FillKey, Order, OrderKey};

use super::*;
use crate::api::{Gap, StreamEvent, UserStream, UserStreams};
use crate::binance_usdm::UserStreamSettings;

/// What a stream has told so far.
#[derive(Default)]
struct Heard {
    fills: BTreeMap<FillKey, Fill>,
    /// Told early, and how often anything about the fill was told.
    notices: BTreeMap<FillKey, Fill>,
    orders: BTreeMap<OrderKey, Order>,
    wallets: BTreeMap<String, Decimal>,
    positions: BTreeMap<(Symbol, PositionSide), (Decimal, Option<Price>)>,
    gaps: Vec<Gap>,
    unreadable: usize,
}

impl Heard {
    fn hear(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Order(update) => {
                if let Some(fill) = update.fill {
                    // Told again it is the same.
                    let known = self.fills.insert(fill.key.clone(), fill.clone());
                    assert!(known.is_none_or(|known| known == fill));
                }
                self.orders.insert(update.order.key.clone(), update.order);
            }
            StreamEvent::Trade(notice) => {
                self.notices.insert(notice.fill.key.clone(), notice.fill);
            }
            StreamEvent::Account(update) => {
                self.wallets.extend(update.balances.into_iter().map(|row| (row.asset.to_string(), row.wallet)));
                let rows = update.positions.into_iter();
                self.positions.extend(rows.map(|row| ((row.symbol, row.position_side), (row.qty, row.entry_price))));
            }
            StreamEvent::Resumed(gap) => self.gaps.push(gap),
            StreamEvent::Unreadable { .. } => self.unreadable += 1,
            StreamEvent::Unknown { name, payload } => panic!("{name:?}: {payload}"),
            _ => {}
        }
    }

    /// Hears everything that there is to hear by now.
    async fn drain(&mut self, stream: &mut dyn UserStream) {
        while let Ok(event) = tokio::time::timeout(Duration::from_millis(1), stream.next()).await {
            self.hear(event);
        }
    }
}

/// What trades and listens in the same process.
fn listener(
    simulator: &Arc<Simulator>,
    clock: &Arc<ManualClock>,
) -> (BinanceUsdm, crate::binance_usdm::BinanceUserStreams) {
    let exchange = in_process(simulator, clock);
    let transport = Arc::new(SimulatorTransport::new(Arc::clone(simulator)));
    let reconnect = RetryPolicy { delay_first: Duration::ZERO, ..RetryPolicy::DEFAULT };
    let settings = UserStreamSettings { reconnect, ..UserStreamSettings::default() };
    let streams = exchange.user_streams(transport, settings).unwrap();
    (exchange, streams)
}

/// Trades, a conditional order that triggers, one that is cancelled, and hours of funding in between.
async fn session(simulator: &Simulator, exchange: &BinanceUsdm, stream: &mut dyn UserStream) -> Heard {
    let mut heard = Heard::default();
    heard.drain(stream).await;
    let plan = [
        ("BTCUSDT", Side::Buy, "0.05"),
        ("ETHUSDT", Side::Sell, "1.5"),
        ("币安人生USDT", Side::Buy, "700"),
        ("BTCUSDT", Side::Sell, "0.1"),
        ("ETHUSDC", Side::Buy, "0.4"),
        ("ETHUSDT", Side::Buy, "0.7"),
    ];
    for (index, (name, side, qty)) in plan.into_iter().enumerate() {
        for _ in 0..120 {
            simulator.step(Duration::from_mins(1));
            heard.drain(stream).await;
        }
        let placed = exchange.create_order(order(name, side, qty, &format!("plan-{index}"))).await;
        assert_eq!(placed.done().unwrap().entity.status, OrderStatus::Filled);
        let mut resting = order(name, Side::Buy, qty, &format!("rest-{index}"));
        resting.kind = OrderKind::limit("0.0010".parse().unwrap());
        // Not every contract has a tick this small; one order that rests and is cancelled is enough.
        if let SendOutcome::Done(resting) = exchange.create_order(resting).await {
            let reference = OrderRef::Id(OrderClass::Regular, resting.entity.key.order_id.clone());
            assert!(exchange.cancel_order(symbol(name), reference).await.done().is_some());
        }
        heard.drain(stream).await;
    }
    let mark = exchange.fetch_mark_prices(Some(symbol("BTCUSDT"))).await.unwrap().rows.remove(0).entity.price.price;
    let above = format!("{}", mark.get().to_string().split('.').next().unwrap().parse::<i64>().unwrap() + 50);
    let mut stop = order("BTCUSDT", Side::Buy, "0.01", "stop");
    stop.kind = OrderKind::StopMarket { trigger: above.parse::<Price>().unwrap().into() };
    assert!(exchange.create_order(stop).await.done().is_some());
    for _ in 0..200 {
        simulator.step(Duration::from_secs(30));
        heard.drain(stream).await;
    }
    heard
}

#[tokio::test(start_paused = true)]
async fn what_the_stream_told_is_what_answers_say() {
    let (simulator, clock) = simulator(generous(5));
    let (exchange, streams) = listener(&simulator, &clock);
    let mut stream = streams.open_user_stream().await.unwrap();
    let heard = session(&simulator, &exchange, stream.as_mut()).await;
    assert_eq!((heard.gaps.as_slice(), heard.unreadable), (&[][..], 0));
    let (mut fills, mut orders) = (0, 0);
    for spec in MarketSpec::standard() {
        for row in all_trades(&exchange, &spec.symbol).await {
            // All fields are the same, only the words differ.
            assert_eq!(heard.fills.get(&row.entity.key), Some(&row.entity), "{}", row.payload);
            let notice = &heard.notices[&row.entity.key];
            assert_eq!((notice.price, notice.qty, notice.time), (row.entity.price, row.entity.qty, row.entity.time));
            fills += 1;
        }
        for class in [OrderClass::Regular, OrderClass::Conditional] {
            let window = TimeWindow::new(start(), start().saturating_add_ms(86_400_000)).unwrap();
            let page =
                exchange.fetch_orders(class, Some(symbol(&spec.symbol)), WindowQuery::new(window)).await.unwrap();
            for row in page.rows {
                let told = &heard.orders[&row.entity.key];
                // An event does not say when its order was made.
                let expected = Order { created: None, ..row.entity };
                assert_eq!(*told, expected, "{}", row.payload);
                orders += 1;
            }
        }
    }
    assert_eq!(
        (fills, heard.fills.len(), heard.notices.len()),
        (simulator.books().accounts[0].trades.len(), fills, fills)
    );
    assert!(orders >= heard.orders.len() && heard.orders.len() > 7, "{orders}");
    assert!(heard.orders.keys().any(|key| key.class == OrderClass::Conditional));
    let account = exchange.account_identity().await.unwrap();
    for row in exchange.fetch_balances(&account).await.unwrap().rows {
        if let Some(wallet) = heard.wallets.get(row.entity.asset.as_str()) {
            assert_eq!(*wallet, row.entity.wallet, "{}", row.entity.asset);
        }
    }
    let held = exchange.fetch_positions(None).await.unwrap().rows;
    assert!(!held.is_empty() && heard.wallets.contains_key("USDT"));
    for row in held.into_iter().map(|row| row.entity).filter(|row| !row.qty.is_zero()) {
        assert_eq!(heard.positions.get(&(row.symbol, row.position_side)), Some(&(row.qty, row.entry_price)));
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_stream_missed_lies_in_its_gaps() {
    let mut missed = 0;
    for seed in 0..4 {
        let faults =
            StreamFaults { broken: 120, duplicated: 100, delayed: 100, delay_ms_max: 400, ..StreamFaults::default() };
        let config = generous(seed);
        let config = SimulatorConfig { faults: FaultProfile { stream: faults, ..config.faults }, ..config };
        let (simulator, clock) = simulator(config);
        let (exchange, streams) = listener(&simulator, &clock);
        let mut stream = streams.open_user_stream().await.unwrap();
        let heard = session(&simulator, &exchange, stream.as_mut()).await;
        assert!(!heard.gaps.is_empty(), "{seed}");
        for spec in MarketSpec::standard() {
            for row in all_trades(&exchange, &spec.symbol).await {
                let at = row.entity.time.at;
                if let Some(fill) = heard.fills.get(&row.entity.key) {
                    assert_eq!(*fill, row.entity);
                } else {
                    missed += 1;
                    let covered = heard.gaps.iter().any(|gap| (gap.since..=gap.until).contains(&at));
                    assert!(covered, "{seed}: {at} is in none of {:?}", heard.gaps);
                }
            }
        }
    }
    // Otherwise this would prove nothing.
    assert!(missed > 0);
}
