//! The same session read over the wire and in the same process is the same; and both are what the books hold.

use ledger_core::{Fill, Income, Order, Origin, PositionSnapshot};

use super::session::{Everything, everything, take_place};
use super::*;
use crate::Stated;

fn config(seed: u64) -> SimulatorConfig {
    let mut config = generous(seed);
    config.accounts.push(SimulatorAccount { hedge_mode: true, fees_in_bnb: true, ..SimulatorAccount::named("hedged") });
    config.accounts[1].deposits.push(("BNB".into(), "5".into()));
    config
}

fn adapter_of(
    simulator: &Arc<Simulator>,
    account: usize,
    transport: Arc<dyn Transport>,
    clock: &Arc<ManualClock>,
    base_url: &str,
) -> BinanceUsdm {
    let credentials = simulator.config().accounts[account].credentials().unwrap();
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    BinanceUsdm::with_settings(transport, clock, base_url, credentials, RequestSettings::SIMULATED).unwrap()
}

#[tokio::test]
async fn the_wire_and_the_shortcut_answer_alike() {
    let (simulator, clock) = simulator(config(11));
    let (base_url, _running) = served(&simulator).await;
    let http: Arc<dyn Transport> = Arc::new(HttpTransport::new(HttpTransportConfig::default()).unwrap());
    let direct: Arc<dyn Transport> = Arc::new(SimulatorTransport::new(Arc::clone(&simulator)));
    let [wired, shortcut] =
        [http, direct].map(|way| [0, 1].map(|n| adapter_of(&simulator, n, Arc::clone(&way), &clock, &base_url)));
    // One account trades over the wire, the other in the same process.
    take_place(&simulator, &wired[0], &shortcut[1]).await;
    for account in 0..2 {
        let seen = everything(&wired[account]).await;
        assert_eq!(seen, everything(&shortcut[account]).await);
        equals_the_books(&seen, &simulator.books().accounts[account]);
    }
}

#[tokio::test]
async fn the_same_session_gives_the_same_entities_either_way() {
    let mut told = Vec::new();
    for over_http in [true, false] {
        let (simulator, clock) = simulator(config(12));
        let (base_url, _running) = served(&simulator).await;
        let transport: Arc<dyn Transport> = if over_http {
            Arc::new(HttpTransport::new(HttpTransportConfig::default()).unwrap())
        } else {
            Arc::new(SimulatorTransport::new(Arc::clone(&simulator)))
        };
        let [main, hedged] = [0, 1].map(|n| adapter_of(&simulator, n, Arc::clone(&transport), &clock, &base_url));
        take_place(&simulator, &main, &hedged).await;
        told.push((everything(&main).await, everything(&hedged).await, simulator.books()));
    }
    assert_eq!(told[0], told[1]);
}

fn sorted<T: Ord>(mut rows: Vec<T>) -> Vec<T> {
    rows.sort();
    rows
}

/// What the adapter read is what the exchange knows, all of it and nothing else.
fn equals_the_books(seen: &Everything, truth: &AccountSnapshot) {
    assert_eq!((&seen.alias, seen.mode == PositionMode::Hedge), (&truth.alias, truth.hedge_mode));
    let fill = |fill: &Stated<Fill>| {
        let fill = &fill.entity;
        let fee = fill.fee.clone().unwrap();
        (
            fill.key.symbol.to_string(),
            fill.sequence.unwrap(),
            fill.order_id.as_ref().unwrap().to_string(),
            (fill.key.side == Side::Buy, fill.position_side.unwrap(), fill.maker.unwrap(), fill.time.at.as_ms()),
            [fill.price.get(), fill.qty.get(), fee.amount, fill.exchange_realized_pnl.unwrap()],
            fee.asset.to_string(),
        )
    };
    let trade = |trade: &TradeTruth| {
        (
            trade.symbol.clone(),
            trade.id,
            trade.order_id.to_string(),
            (trade.buy, trade.position_side, trade.maker, trade.time_ms),
            [trade.price, trade.qty, trade.fee, trade.realized],
            trade.fee_asset.clone(),
        )
    };
    assert_eq!(sorted(seen.fills.iter().map(fill).collect()), sorted(truth.trades.iter().map(trade).collect()));
    regular_orders_equal(seen, truth);
    conditional_orders_equal(seen, truth);
    let income = |row: &Stated<Income>| {
        let row = &row.entity;
        (
            row.key.tran_id.to_string(),
            row.key.income_type.to_string(),
            row.key.symbol.as_ref().map_or_else(String::new, ToString::to_string),
            row.key.asset.to_string(),
            row.amount,
            row.time.at.as_ms(),
            row.fill_id.as_ref().map(ToString::to_string),
        )
    };
    let entry = |row: &IncomeTruth| {
        (
            row.tran_id.to_string(),
            row.income_type.clone(),
            row.symbol.clone(),
            row.asset.clone(),
            row.amount,
            row.time_ms,
            row.trade_id.map(|id| id.to_string()),
        )
    };
    assert_eq!(sorted(seen.income.iter().map(income).collect()), sorted(truth.income.iter().map(entry).collect()));
    let held = |row: &Stated<PositionSnapshot>| {
        let row = &row.entity;
        (row.symbol.to_string(), row.position_side, row.qty, row.entry_price.map(Price::get))
    };
    let open = seen.positions.iter().filter(|row| !row.entity.qty.is_zero());
    let known = truth.positions.iter().map(|p| (p.symbol.clone(), p.position_side, p.qty, Some(p.entry_price)));
    assert_eq!(open.map(held).collect::<Vec<_>>(), known.collect::<Vec<_>>());
    for row in &seen.balances {
        let known = truth.wallets.get(row.entity.asset.as_str()).copied().unwrap_or_default();
        assert_eq!(row.entity.wallet, known, "{}", row.entity.asset);
    }
}

fn regular_orders_equal(seen: &Everything, truth: &AccountSnapshot) {
    let told = |order: &Stated<Order>| {
        let order = &order.entity;
        let executed = order.executed.clone().unwrap();
        (
            (order.key.symbol.to_string(), order.key.order_id.to_string()),
            order.client_order_id.as_ref().unwrap().to_string(),
            (order.side == Side::Buy, order.position_side.unwrap(), order.reduce_only.unwrap()),
            (order.status.as_str().to_owned(), order.order_type.as_ref().unwrap().to_string()),
            (order.terms.qty.map(Quantity::get), order.terms.price.map(Price::get), executed.qty),
            (order.created.unwrap().at.as_ms(), order.updated.unwrap().at.as_ms()),
        )
    };
    let known = |order: &OrderTruth| {
        (
            (order.symbol.clone(), order.id.to_string()),
            order.client_order_id.clone(),
            (order.buy, order.position_side, order.reduce_only),
            (order.status.to_owned(), order.order_type.to_owned()),
            (Some(order.qty), order.price, order.executed),
            (order.created_ms, order.updated_ms),
        )
    };
    assert_eq!(sorted(seen.regular.iter().map(told).collect()), sorted(truth.orders.iter().map(known).collect()));
    for row in &seen.regular {
        let executed = row.entity.executed.clone().unwrap();
        // Ids are unique within a contract only.
        let of_row = |order: &&OrderTruth| {
            let key = &row.entity.key;
            (order.symbol.as_str(), order.id.to_string().as_str()) == (key.symbol.as_str(), key.order_id.as_str())
        };
        let known = truth.orders.iter().find(of_row).unwrap();
        let average = executed.avg_price.map(Price::get);
        assert_eq!(average, (!known.executed.is_zero()).then_some(known.average_price));
    }
    let forced = |order: &Stated<Order>| (order.entity.key.order_id.to_string(), order.entity.origin);
    let by_exchange = truth.orders.iter().filter_map(|order| match order.forced {
        Some("LIQUIDATION") => Some((order.id.to_string(), Some(Origin::Liquidation))),
        Some("ADL") => Some((order.id.to_string(), Some(Origin::Adl))),
        _ => None,
    });
    assert_eq!(sorted(seen.forced.iter().map(forced).collect()), sorted(by_exchange.collect()));
    let open = |class: OrderClass| {
        let of_class = seen.open.iter().filter(move |row| row.entity.key.class == class);
        sorted(of_class.map(|row| row.entity.key.order_id.to_string()).collect())
    };
    let regular = truth.orders.iter().filter(|order| matches!(order.status, "NEW" | "PARTIALLY_FILLED"));
    assert_eq!(open(OrderClass::Regular), sorted(regular.map(|order| order.id.to_string()).collect()));
    let waiting = truth.conditionals.iter().filter(|order| order.status == "NEW");
    assert_eq!(open(OrderClass::Conditional), sorted(waiting.map(|order| order.id.to_string()).collect()));
}

fn conditional_orders_equal(seen: &Everything, truth: &AccountSnapshot) {
    let told = |order: &Stated<Order>| {
        let order = &order.entity;
        (
            order.key.order_id.to_string(),
            order.client_order_id.as_ref().unwrap().to_string(),
            (order.side == Side::Buy, order.position_side.unwrap(), order.close_position.unwrap()),
            (order.status.as_str().to_owned(), order.order_type.as_ref().unwrap().to_string()),
            (order.terms.qty.map(Quantity::get), order.terms.price.map(Price::get)),
            order.triggered_order_id.as_ref().map(ToString::to_string),
        )
    };
    let known = |order: &ConditionalTruth| {
        (
            order.id.to_string(),
            order.client_algo_id.clone(),
            (order.buy, order.position_side, order.close_position),
            (order.status.to_owned(), order.order_type.to_owned()),
            ((!order.close_position).then_some(order.qty), order.price),
            order.order_id.map(|id| id.to_string()),
        )
    };
    assert_eq!(
        sorted(seen.conditional.iter().map(told).collect()),
        sorted(truth.conditionals.iter().map(known).collect())
    );
    for row in
        seen.conditional.iter().filter(|row| row.entity.order_type.as_ref().unwrap().as_str() != "TRAILING_STOP_MARKET")
    {
        let known = truth.conditionals.iter().find(|order| order.id.to_string() == row.entity.key.order_id.as_str());
        assert_eq!(row.entity.terms.trigger_price.map(Price::get), known.unwrap().trigger_price);
    }
}

#[tokio::test]
async fn the_session_holds_everything_that_can_happen() {
    let (simulator, clock) = simulator(config(13));
    let direct: Arc<dyn Transport> = Arc::new(SimulatorTransport::new(Arc::clone(&simulator)));
    let [main, hedged] = [0, 1].map(|n| adapter_of(&simulator, n, Arc::clone(&direct), &clock, "http://127.0.0.1:1"));
    take_place(&simulator, &main, &hedged).await;
    let books = simulator.books();
    let orders = || books.accounts.iter().flat_map(|account| &account.orders);
    for status in ["NEW", "FILLED", "CANCELED", "EXPIRED"] {
        assert!(orders().any(|order| order.status == status), "no order is {status}");
    }
    for forced in ["LIQUIDATION", "ADL", "SETTLEMENT"] {
        assert!(orders().any(|order| order.forced == Some(forced)), "no {forced}");
    }
    assert!(orders().any(|order| order.status == "CANCELED" && !order.executed.is_zero()));
    let conditionals = &books.accounts[0].conditionals;
    for status in ["NEW", "FINISHED", "CANCELED"] {
        assert!(conditionals.iter().any(|order| order.status == status), "no conditional order is {status}");
    }
    let income: std::collections::BTreeSet<_> =
        books.accounts.iter().flat_map(|account| &account.income).map(|row| row.income_type.as_str()).collect();
    for kind in ["TRANSFER", "REALIZED_PNL", "COMMISSION", "FUNDING_FEE", "INSURANCE_CLEAR", "SOME_NEW_TYPE"] {
        assert!(income.contains(kind), "no {kind}");
    }
    assert!(books.accounts[1].trades.iter().any(|trade| trade.fee_asset == "BNB"));
    assert!(books.accounts[0].trades.iter().any(|trade| trade.maker));
}
