use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ledger_core::{
    ClientOrderId, Decimal, OrderClass, OrderId, OrderStatus, PositionMode, PositionSide, Price, Quantity, Side,
    Symbol, TimestampMs,
};
use proptest::prelude::*;

use super::reply::Arrival;
use super::request::Incoming;
use super::*;
use crate::api::{ExchangeReader, ExchangeTrader, NewOrder, OrderKind, OrderRef, TimeWindow, TradeQuery, WindowQuery};
use crate::binance_usdm::{BinanceUsdm, RequestSettings, RetryPolicy};
use crate::clock::ManualClock;
use crate::error::{ErrorClass, ExchangeError, SendOutcome};
use crate::transport::{HttpTransport, HttpTransportConfig, Transport};

const START_MS: i64 = 1_780_000_000_000;

fn start() -> TimestampMs {
    TimestampMs::new(START_MS).unwrap()
}

fn simulator(config: SimulatorConfig) -> (Arc<Simulator>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(start()));
    (Arc::new(Simulator::new(config, Arc::clone(&clock)).unwrap()), clock)
}

fn generous(seed: u64) -> SimulatorConfig {
    SimulatorConfig { weight_1m_max: None, ..SimulatorConfig::new(seed) }
}

fn adapter(transport: Arc<dyn Transport>, clock: &Arc<ManualClock>, base_url: &str) -> BinanceUsdm {
    let credentials = SimulatorAccount::standard().credentials().unwrap();
    // Every refusal is told at once: they are what is tested here.
    let settings = RequestSettings { retry: RetryPolicy::NEVER, ..RequestSettings::SIMULATED };
    BinanceUsdm::with_settings(transport, Arc::clone(clock) as Arc<dyn Clock>, base_url, credentials, settings).unwrap()
}

fn in_process(simulator: &Arc<Simulator>, clock: &Arc<ManualClock>) -> BinanceUsdm {
    adapter(Arc::new(SimulatorTransport::new(Arc::clone(simulator))), clock, "http://127.0.0.1:1")
}

fn symbol(name: &str) -> Symbol {
    Symbol::new(name).unwrap()
}

fn order(name: &str, side: Side, qty: &str, client_order_id: &str) -> NewOrder {
    NewOrder {
        client_order_id: ClientOrderId::new(client_order_id).unwrap(),
        symbol: symbol(name),
        side,
        position_side: PositionSide::Net,
        kind: OrderKind::Market,
        size: qty.parse::<Quantity>().unwrap().into(),
        reduce_only: false,
    }
}

fn refused<T>(outcome: SendOutcome<T>) -> i64 {
    match outcome {
        SendOutcome::Rejected(ExchangeError::Refused { code, .. } | ExchangeError::SymbolClosed { code, .. }) => code,
        SendOutcome::Rejected(error) | SendOutcome::Unknown(error) => panic!("another error: {error}"),
        SendOutcome::Done(_) => panic!("not refused"),
    }
}

/// Some trading on several contracts with time in between.
async fn trade(simulator: &Simulator, exchange: &BinanceUsdm) {
    let plan = [
        ("BTCUSDT", Side::Buy, "0.05"),
        ("ETHUSDT", Side::Sell, "1.5"),
        ("币安人生USDT", Side::Buy, "700"),
        ("BTCUSDT", Side::Buy, "0.013"),
        ("ETHUSDC", Side::Buy, "0.4"),
        ("BTCUSDT", Side::Sell, "0.1"),
        ("ETHUSDT", Side::Buy, "0.7"),
    ];
    for (index, (name, side, qty)) in plan.into_iter().enumerate() {
        simulator.step(Duration::from_secs(3_700 * 2));
        let placed = exchange.create_order(order(name, side, qty, &format!("plan-{index}"))).await;
        assert_eq!(placed.done().unwrap().entity.status, OrderStatus::Filled);
    }
    simulator.step(Duration::from_secs(20));
}

fn history() -> WindowQuery {
    WindowQuery::new(TimeWindow::new(start(), start().saturating_add_ms(30 * 86_400_000)).unwrap())
}

async fn all_trades(exchange: &BinanceUsdm, name: &str) -> Vec<crate::Stated<ledger_core::Fill>> {
    let mut rows = Vec::new();
    let mut next = Some(TradeQuery::Window(history().window));
    while let Some(query) = next {
        let page = exchange.fetch_my_trades(symbol(name), query).await.unwrap();
        rows.extend(page.rows);
        next = page.next;
    }
    rows
}

async fn all_income(exchange: &BinanceUsdm) -> Vec<crate::Stated<ledger_core::Income>> {
    let mut rows = Vec::new();
    let mut next = Some(history());
    while let Some(query) = next {
        let page = exchange.fetch_income(query).await.unwrap();
        rows.extend(page.rows);
        next = page.next;
    }
    rows
}

/// Everything that can be read, as text.
async fn everything(exchange: &BinanceUsdm) -> String {
    let mut seen = format!(
        "{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n",
        exchange.account_identity().await.unwrap().account_alias,
        exchange.fetch_position_mode().await.unwrap(),
        exchange.fetch_instruments().await.unwrap(),
        exchange.fetch_positions(None).await.unwrap(),
        exchange.fetch_balances().await.unwrap(),
        exchange.fetch_mark_prices(None).await.unwrap(),
        exchange.fetch_open_orders(None).await.unwrap(),
    );
    for spec in MarketSpec::standard() {
        let orders = exchange.fetch_orders(OrderClass::Regular, Some(symbol(&spec.symbol)), history()).await.unwrap();
        seen = format!("{seen}{:?}\n{:?}\n", all_trades(exchange, &spec.symbol).await, orders.rows);
    }
    format!("{seen}{:?}", all_income(exchange).await)
}

#[tokio::test]
async fn the_wire_and_the_shortcut_answer_alike() {
    let (simulator, clock) = simulator(generous(11));
    let direct = in_process(&simulator, &clock);
    trade(&simulator, &direct).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(serve(Arc::clone(&simulator), listener, async { drop(stopped.await) }));
    let http = HttpTransport::new(HttpTransportConfig::default()).unwrap();
    let wired = adapter(Arc::new(http), &clock, &base_url);
    let over_the_wire = everything(&wired).await;
    assert_eq!(over_the_wire, everything(&direct).await);
    assert!(over_the_wire.contains("币安人生USDT") && over_the_wire.len() > 10_000);
    // An order over the wire ends up in the same books.
    let placed = wired.create_order(order("SOLUSDT", Side::Buy, "3", "wired:1/a")).await.done().unwrap().entity;
    let found = direct
        .fetch_order(symbol("SOLUSDT"), OrderRef::Client(OrderClass::Regular, ClientOrderId::new("wired:1/a").unwrap()))
        .await;
    assert_eq!(found.unwrap().unwrap().entity.key, placed.key);
    // Clean shutdown: with a connection still open in the client's pool.
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
    assert_eq!(wired.server_time().await.unwrap_err().class(), ErrorClass::Unavailable);
}

#[tokio::test]
async fn the_adapter_reads_what_the_books_hold() {
    let (simulator, clock) = simulator(generous(5));
    let exchange = in_process(&simulator, &clock);
    trade(&simulator, &exchange).await;
    let books = simulator.books();
    let truth = &books.accounts[0];
    let mut fills = 0;
    for spec in MarketSpec::standard() {
        for row in all_trades(&exchange, &spec.symbol).await {
            let fill = row.entity;
            let id: i64 = fill.key.fill_id.as_str().parse().unwrap();
            let known = truth.trades.iter().find(|trade| trade.symbol == spec.symbol && trade.id == id).unwrap();
            assert_eq!((fill.price.get(), fill.qty.get()), (known.price, known.qty));
            let fee = fill.fee.unwrap();
            assert_eq!((fee.amount, fee.asset.as_str()), (known.fee, known.fee_asset.as_str()));
            assert_eq!(fill.exchange_realized_pnl, Some(known.realized));
            assert_eq!(fill.order_id.unwrap().as_str(), known.order_id.to_string());
            assert_eq!((fill.time.at.as_ms(), fill.sequence), (known.time_ms, Some(id)));
            fills += 1;
        }
    }
    assert_eq!(fills, truth.trades.len());
    let positions = exchange.fetch_positions(None).await.unwrap().rows;
    assert_eq!(positions.len(), truth.positions.len());
    for (row, known) in positions.iter().zip(&truth.positions) {
        assert_eq!((row.entity.symbol.as_str(), row.entity.qty), (known.symbol.as_str(), known.qty));
        assert_eq!(row.entity.entry_price.map(Price::get), Some(known.entry_price));
    }
    for row in exchange.fetch_balances().await.unwrap().rows {
        assert_eq!(Some(&row.entity.wallet), truth.wallets.get(row.entity.asset.as_str()));
    }
    let income = all_income(&exchange).await;
    assert_eq!(income.len(), truth.income.len());
    assert!(truth.income.iter().any(|row| row.income_type == "FUNDING_FEE"));
    // Order ids keep every digit beyond 2^53.
    let trade = &truth.trades[0];
    assert!(trade.order_id > 1 << 53);
    let by_order = TradeQuery::Order(OrderId::new(trade.order_id.to_string()).unwrap());
    let page = exchange.fetch_my_trades(symbol(&trade.symbol), by_order).await.unwrap();
    assert!(page.next.is_none() && page.rows.iter().any(|row| row.entity.sequence == Some(trade.id)));
}

#[tokio::test]
async fn resting_orders_fill_in_parts_or_are_cancelled() {
    let (simulator, clock) = simulator(generous(3));
    let exchange = in_process(&simulator, &clock);
    let mut bid = order("ETHUSDT", Side::Buy, "2", "bid");
    bid.kind = OrderKind::limit("3100".parse().unwrap());
    let resting = exchange.create_order(bid.clone()).await.done().unwrap().entity;
    assert_eq!((resting.status.clone(), resting.executed.unwrap().qty), (OrderStatus::New, Decimal::ZERO));
    assert_eq!(exchange.fetch_open_orders(None).await.unwrap().rows.len(), 1);
    assert_eq!(refused(exchange.create_order(bid.clone()).await), -4116);
    let reference = OrderRef::Id(OrderClass::Regular, resting.key.order_id.clone());
    let mut seen = vec![];
    for _ in 0..20_000 {
        simulator.step(Duration::from_secs(5));
        let now = exchange.fetch_order(symbol("ETHUSDT"), reference.clone()).await.unwrap().unwrap().entity;
        if seen.last() != Some(&now.status) {
            seen.push(now.status);
        }
        if seen.last() == Some(&OrderStatus::Filled) {
            break;
        }
    }
    assert_eq!(seen, [OrderStatus::New, OrderStatus::PartiallyFilled, OrderStatus::Filled]);
    let fills = all_trades(&exchange, "ETHUSDT").await;
    assert!(fills.len() > 1 && fills.iter().all(|row| row.entity.maker == Some(true)));
    bid.client_order_id = ClientOrderId::new("bid-2").unwrap();
    bid.kind = OrderKind::limit("1000".parse().unwrap());
    assert_eq!(exchange.create_order(bid).await.done().unwrap().entity.status, OrderStatus::New);
    let by_client = OrderRef::Client(OrderClass::Regular, ClientOrderId::new("bid-2").unwrap());
    let canceled = exchange.cancel_order(symbol("ETHUSDT"), by_client.clone()).await.done().unwrap().unwrap().entity;
    assert_eq!(canceled.status, OrderStatus::Canceled);
    assert_eq!(refused(exchange.cancel_order(symbol("ETHUSDT"), by_client.clone()).await), -2011);
    // Cancelled without a fill, it is forgotten after three days.
    assert!(exchange.fetch_order(symbol("ETHUSDT"), by_client.clone()).await.unwrap().is_some());
    simulator.step(Duration::from_hours(96));
    assert!(exchange.fetch_order(symbol("ETHUSDT"), by_client).await.unwrap().is_none());
}

#[tokio::test]
async fn refusals_are_those_of_the_real_exchange() {
    let (simulator, clock) = simulator(generous(1));
    let exchange = in_process(&simulator, &clock);
    let send = |order| exchange.create_order(order);
    assert_eq!(refused(send(order("NOPEUSDT", Side::Buy, "1", "a")).await), -1121);
    assert_eq!(refused(send(order("BTCUSDT", Side::Buy, "0.0001", "a")).await), -1111);
    assert_eq!(refused(send(order("DOGEUSDT", Side::Buy, "1", "a")).await), -4164);
    assert_eq!(refused(send(order("BTCUSDT", Side::Buy, "500", "a")).await), -2019);
    let reduce_only = NewOrder { reduce_only: true, ..order("BTCUSDT", Side::Buy, "1", "a") };
    assert_eq!(refused(send(reduce_only).await), -2022);
    let hedged = NewOrder { position_side: PositionSide::Long, ..order("BTCUSDT", Side::Buy, "1", "a") };
    assert_eq!(refused(send(hedged.clone()).await), -4061);
    let off_tick = NewOrder { kind: OrderKind::limit("1.23".parse().unwrap()), ..hedged.clone() };
    let off_tick = NewOrder { position_side: PositionSide::Net, ..off_tick };
    assert_eq!(refused(send(off_tick).await), -4014);
    assert!(simulator.books().accounts[0].trades.is_empty());
    // Hedge mode: switching twice is fine, two positions side by side, and no closing of more than there is.
    for _ in 0..2 {
        assert!(exchange.set_position_mode(PositionMode::Hedge).await.done().is_some());
    }
    assert_eq!(exchange.fetch_position_mode().await.unwrap(), PositionMode::Hedge);
    assert!(
        send(NewOrder { client_order_id: ClientOrderId::new("l").unwrap(), ..hedged.clone() }).await.done().is_some()
    );
    let short = NewOrder { position_side: PositionSide::Short, side: Side::Sell, ..hedged.clone() };
    assert!(send(short.clone()).await.done().is_some());
    let positions = exchange.fetch_positions(None).await.unwrap().rows;
    let held: Vec<_> = positions.iter().map(|row| (row.entity.position_side, row.entity.qty)).collect();
    assert_eq!(held, [(PositionSide::Long, Decimal::ONE), (PositionSide::Short, -Decimal::ONE)]);
    let too_much = NewOrder { side: Side::Buy, size: "2".parse::<Quantity>().unwrap().into(), ..short };
    assert_eq!(refused(send(too_much).await), -2022);
    assert_eq!(refused(exchange.set_position_mode(PositionMode::OneWay).await), -4068);
}

fn ask(simulator: &Simulator, method: &str, path: &str, query: &str, key: Option<&str>) -> (u16, serde_json::Value) {
    let reply = simulator.handle(&Incoming { method, path, query, body: "", api_key: key });
    let Arrival::Whole(answer) = reply.arrival else { panic!("a fault without a fault profile") };
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

/// Signed with the library that the adapter uses, from the documented recipe.
fn signed(query: &str, secret: &str) -> String {
    use hmac::Mac;
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(query.as_bytes());
    let digest = mac.finalize().into_bytes();
    let hex = digest.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    format!("{query}&signature={hex}")
}

#[test]
fn requests_must_prove_who_they_are_from_and_be_fresh() {
    let (simulator, _clock) = simulator(generous(1));
    let now = format!("timestamp={START_MS}");
    let code = |query: &str, key| ask(&simulator, "GET", "/fapi/v3/balance", query, key);
    let refusal = |(status, body): (u16, serde_json::Value)| (status, body["code"].as_i64().unwrap());
    let key = Some(TEST_API_KEY);
    assert_eq!(code(&signed(&now, TEST_API_SECRET), key).0, 200);
    assert_eq!(refusal(code(&signed(&now, TEST_API_SECRET), None)), (401, -2014));
    assert_eq!(refusal(code(&signed(&now, TEST_API_SECRET), Some("other"))), (401, -2015));
    assert_eq!(refusal(code(&signed(&now, "other"), key)), (400, -1022));
    assert_eq!(refusal(code(&format!("{}0", signed(&now, TEST_API_SECRET)), key)), (400, -1022));
    assert_eq!(refusal(code(&format!("x=1&{}", signed(&now, TEST_API_SECRET)), key)), (400, -1022));
    assert_eq!(refusal(code(&now, key)), (400, -1102));
    for (skew_ms, fresh) in [(0, true), (-5_000, true), (-5_001, false), (999, true), (1_000, false)] {
        let query = signed(&format!("timestamp={}", START_MS + skew_ms), TEST_API_SECRET);
        assert_eq!(code(&query, key).0 == 200, fresh, "{skew_ms}");
        assert!(fresh || refusal(code(&query, key)) == (400, -1021));
    }
}

#[test]
fn pages_windows_and_types_are_limited_as_on_the_real_exchange() {
    let (simulator, _clock) = simulator(generous(1));
    let get = |path: &str, query: &str| {
        let query = signed(&format!("{query}&timestamp={START_MS}"), TEST_API_SECRET);
        let (_, body) = ask(&simulator, "GET", path, &query, Some(TEST_API_KEY));
        body["code"].as_i64()
    };
    let week_ms = 7 * 86_400_000_i64;
    let window = |length: i64| format!("symbol=BTCUSDT&startTime={}&endTime={START_MS}", START_MS - length);
    assert_eq!(get("/fapi/v1/userTrades", &window(week_ms)), None);
    assert_eq!(get("/fapi/v1/userTrades", &window(week_ms + 1)), Some(-1127));
    assert_eq!(get("/fapi/v1/allOrders", &window(week_ms - 1)), None);
    assert_eq!(get("/fapi/v1/allOrders", &window(week_ms)), Some(-1127));
    assert_eq!(get("/fapi/v1/userTrades", "symbol=BTCUSDT&limit=1001"), Some(-1130));
    assert_eq!(get("/fapi/v1/userTrades", "symbol=BTCUSDT&fromId=1&startTime=1"), Some(-1128));
    assert_eq!(get("/fapi/v1/userTrades", "limit=5"), Some(-1102));
    assert_eq!(get("/fapi/v1/order", "symbol=BTCUSDT&orderId=1"), Some(-2013));
    let query = format!("symbol=BTCUSDT&side=SELL&type=STOP_MARKET&quantity=1&stopPrice=1&timestamp={START_MS}");
    let (_, body) = ask(&simulator, "POST", "/fapi/v1/order", &signed(&query, TEST_API_SECRET), Some(TEST_API_KEY));
    assert_eq!(body["code"].as_i64(), Some(-4120));
}

#[tokio::test]
async fn weights_are_counted_and_their_limit_is_obeyed() {
    let (simulator, clock) = simulator(SimulatorConfig { weight_1m_max: Some(100), ..SimulatorConfig::new(1) });
    let exchange = in_process(&simulator, &clock);
    for _ in 0..3 {
        exchange.fetch_income(history()).await.unwrap();
    }
    let used = exchange.usage();
    assert_eq!((used.requests, used.weight, used.weight_1m), (4, 91, Some(91)));
    let error = exchange.fetch_income(history()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Throttled);
    // While the exchange asks to wait, nothing is sent.
    assert!(exchange.server_time().await.is_err());
    assert_eq!(exchange.usage().requests, 5);
    simulator.step(Duration::from_secs(61));
    assert!(exchange.fetch_income(history()).await.is_ok());
}

/// A walk through the engine without its wire: what to do, on which account and contract.
#[derive(Debug, Clone)]
enum Action {
    Market { account: usize, market: usize, buy: bool, steps: i64 },
    Limit { account: usize, market: usize, buy: bool, steps: i64, off_ticks: i64 },
    Pass { secs: u64 },
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let market = (0_usize..2, 0_usize..6, any::<bool>(), 1_i64..3_000)
        .prop_map(|(account, market, buy, steps)| Action::Market { account, market, buy, steps });
    let limit = (0_usize..2, 0_usize..6, any::<bool>(), 1_i64..3_000, 0_i64..40)
        .prop_map(|(account, market, buy, steps, off_ticks)| Action::Limit { account, market, buy, steps, off_ticks });
    let pass = (1_u64..20_000).prop_map(|secs| Action::Pass { secs });
    proptest::collection::vec(prop_oneof![4 => market, 2 => limit, 2 => pass], 0..60)
}

fn two_accounts(seed: u64) -> SimulatorConfig {
    let mut config = generous(seed);
    config.accounts.push(SimulatorAccount {
        alias: "other".into(),
        api_key: "other-key".into(),
        api_secret: "other-secret".into(),
        hedge_mode: true,
        ..SimulatorAccount::standard()
    });
    config
}

fn run(config: SimulatorConfig, actions: &[Action]) -> (Arc<Simulator>, BooksSnapshot) {
    use super::books::PositionSide;
    use super::order::{Kind, Ticket, TimeInForce};
    let (simulator, _clock) = simulator(config);
    for action in actions {
        let (account, market, buy, steps, off_ticks) = match action {
            Action::Pass { secs } => {
                simulator.step(Duration::from_secs(*secs));
                continue;
            }
            Action::Market { account, market, buy, steps } => (*account, *market, *buy, *steps, None),
            Action::Limit { account, market, buy, steps, off_ticks } => {
                (*account, *market, *buy, *steps, Some(*off_ticks))
            }
        };
        let mut state = simulator.state();
        let market = state.engine.markets.values().nth(market).unwrap().clone();
        let off = off_ticks.map(|ticks| i128::from(ticks) * market.tick_e8 * if buy { -1 } else { 1 });
        let kind = off.map_or(Kind::Market, |off| Kind::Limit {
            price_e8: market.price_e8 + off,
            time_in_force: TimeInForce::Gtc,
        });
        let hedge = state.engine.accounts[account].hedge;
        let ticket = Ticket {
            symbol: market.spec.symbol.clone(),
            buy,
            position_side: if hedge { PositionSide::Long } else { PositionSide::Both },
            kind,
            qty_e8: i128::from(steps) * market.step_e8,
            reduce_only: false,
            close_position: false,
            client_order_id: None,
        };
        // A refusal (margin, notional, too much closed) is an answer like any other.
        let _answer = state.engine.place(account, ticket);
    }
    let books = simulator.books();
    (simulator, books)
}

fn add(totals: &mut BTreeMap<String, Decimal>, name: &str, amount: Decimal) {
    let total = totals.entry(name.to_owned()).or_default();
    *total = total.checked_add(amount).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn nothing_comes_from_nowhere(seed in any::<u64>(), actions in actions()) {
        let (_, books) = run(two_accounts(seed), &actions);
        let mut wallets = books.exchange_wallets.clone();
        let mut positions = books.exchange_positions.clone();
        for account in &books.accounts {
            for (asset, wallet) in &account.wallets { add(&mut wallets, asset, *wallet); }
            for position in &account.positions { add(&mut positions, &position.symbol, position.qty); }
        }
        prop_assert!(wallets.values().all(|total| total.is_zero()), "{:?}", wallets);
        prop_assert!(positions.values().all(|total| total.is_zero()), "{:?}", positions);
    }

    #[test]
    fn wallets_are_their_income(seed in any::<u64>(), actions in actions()) {
        let (_, books) = run(two_accounts(seed), &actions);
        for account in &books.accounts {
            let mut from_income = BTreeMap::new();
            for row in &account.income { add(&mut from_income, &row.asset, row.amount); }
            prop_assert_eq!(&from_income, &account.wallets);
            // Trades, told another way: the cash that went in and out, and what the open positions cost, are the
            // realized profit, to within the rounding of each trade and of the displayed entry.
            let mut gap: BTreeMap<String, Decimal> = BTreeMap::new();
            for trade in &account.trades {
                let value = trade.price.checked_mul(trade.qty).unwrap();
                add(&mut gap, &trade.symbol, if trade.buy { -value } else { value });
                add(&mut gap, &trade.symbol, -trade.realized);
            }
            let mut tolerance: BTreeMap<String, Decimal> = BTreeMap::new();
            let unit: Decimal = "0.00000001".parse().unwrap();
            for trade in &account.trades { add(&mut tolerance, &trade.symbol, unit); }
            for position in &account.positions {
                add(&mut gap, &position.symbol, position.qty.checked_mul(position.entry_price).unwrap());
                add(&mut tolerance, &position.symbol, position.qty.abs().checked_mul(unit).unwrap());
            }
            for (symbol, difference) in gap {
                prop_assert!(difference.abs() <= tolerance[&symbol], "{symbol}: {difference:?}");
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_books(seed in any::<u64>(), actions in actions()) {
        prop_assert_eq!(run(two_accounts(seed), &actions).1, run(two_accounts(seed), &actions).1);
    }

    #[test]
    fn prices_do_not_depend_on_how_time_is_cut(seed in any::<u64>(), cuts in proptest::collection::vec(1_u64..50_000_000, 1..20)) {
        let (piecewise, _) = simulator(generous(seed));
        for millis in &cuts { piecewise.step(Duration::from_millis(*millis)); }
        let (at_once, _) = simulator(generous(seed));
        at_once.step(Duration::from_millis(cuts.iter().sum()));
        let prices = |simulator: &Simulator| -> Vec<i128> { simulator.state().engine.markets.values().map(|market| market.price_e8).collect() };
        prop_assert_eq!(prices(&piecewise), prices(&at_once));
    }
}
