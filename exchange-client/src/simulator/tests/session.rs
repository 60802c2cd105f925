//! A session in which everything happens, and everything that can be read afterwards.

use ledger_core::{BalanceSnapshot, Fill, FundingRate, Income, Instrument, Order, PositionSnapshot};

use super::*;
use crate::Stated;
use crate::api::{Amendment, MarginMode, MarkPrice, OrderSize, TimeInForce, Trigger, WorkingType};

/// Everything that the adapter reads of an account.
#[derive(Debug, PartialEq)]
pub(super) struct Everything {
    pub(super) alias: String,
    pub(super) mode: PositionMode,
    pub(super) instruments: Vec<Stated<Instrument>>,
    pub(super) prices: Vec<Stated<MarkPrice>>,
    pub(super) positions: Vec<Stated<PositionSnapshot>>,
    pub(super) balances: Vec<Stated<BalanceSnapshot>>,
    pub(super) open: Vec<Stated<Order>>,
    pub(super) regular: Vec<Stated<Order>>,
    pub(super) conditional: Vec<Stated<Order>>,
    pub(super) forced: Vec<Stated<Order>>,
    pub(super) fills: Vec<Stated<Fill>>,
    pub(super) income: Vec<Stated<Income>>,
    pub(super) funding: Vec<FundingRate>,
}

macro_rules! pages {
    ($first:expr, |$query:ident| $ask:expr) => {{
        let mut rows = Vec::new();
        let mut next = Some($first);
        while let Some($query) = next {
            let page = $ask.await.unwrap();
            rows.extend(page.rows);
            next = page.next;
        }
        rows
    }};
}

/// Reads all of it.
pub(super) async fn everything(exchange: &BinanceUsdm) -> Everything {
    let (mut regular, mut conditional, mut fills, mut funding) = (vec![], vec![], vec![], vec![]);
    for spec in MarketSpec::standard() {
        let name = symbol(&spec.symbol);
        let of = || Some(name.clone());
        regular.extend(pages!(history(), |query| exchange.fetch_orders(OrderClass::Regular, of(), query)));
        conditional.extend(pages!(history(), |query| exchange.fetch_orders(OrderClass::Conditional, of(), query)));
        let first = TradeQuery::Window(history().window);
        fills.extend(pages!(first, |query| exchange.fetch_my_trades(name.clone(), query)));
        let rates = pages!(history(), |query| exchange.fetch_funding_rates(Some(name.clone()), query));
        funding.extend(rates.into_iter().map(|row| row.entity));
    }
    let account = exchange.account_identity().await.unwrap();
    Everything {
        mode: exchange.fetch_position_mode().await.unwrap(),
        instruments: exchange.fetch_instruments().await.unwrap().rows,
        prices: exchange.fetch_mark_prices(None).await.unwrap().rows,
        positions: exchange.fetch_positions(None).await.unwrap().rows,
        balances: exchange.fetch_balances(&account).await.unwrap().rows,
        alias: account.account_alias,
        open: exchange.fetch_open_orders(None).await.unwrap().rows,
        regular,
        conditional,
        forced: pages!(history(), |query| exchange.fetch_force_orders(None, query)),
        fills,
        income: pages!(history(), |query| exchange.fetch_income(None, query)),
        funding,
    }
}

/// Sends an order that must be taken.
async fn send(exchange: &BinanceUsdm, new: NewOrder) -> Order {
    let name = new.client_order_id.clone();
    match exchange.create_order(new).await {
        SendOutcome::Done(placed) => placed.entity,
        SendOutcome::Rejected(error) | SendOutcome::Unknown(error) => panic!("{name}: {error}"),
    }
}

fn in_hedge(side: PositionSide, order: NewOrder) -> NewOrder {
    NewOrder { position_side: side, ..order }
}

fn at(kind: OrderKind, order: NewOrder) -> NewOrder {
    NewOrder { kind, ..order }
}

fn trigger(price: &str) -> Trigger {
    Trigger::from(price.parse::<Price>().unwrap())
}

/// A day and a half of a one-way account (`main`) and a hedged one (`hedged`): every kind of order, every way that one
/// can end, and everything that the exchange does by itself.
pub(super) async fn take_place(simulator: &Simulator, main: &BinanceUsdm, hedged: &BinanceUsdm) {
    let (buy, sell) = (Side::Buy, Side::Sell);
    let (btc, eth) = (symbol("BTCUSDT"), symbol("ETHUSDT"));
    for name in ["BTCUSDT", "ETHUSDT"] {
        simulator.hold_price(&symbol(name), true).unwrap();
    }
    set_price(simulator, "BTCUSDT", "60000");
    set_price(simulator, "ETHUSDT", "3000");
    assert_eq!(main.set_leverage(btc.clone(), 10).await.done(), Some(10));
    main.set_margin_mode(symbol("SOLUSDT"), MarginMode::Isolated).await.done().unwrap();
    // In and out: market, conditional, trailing.
    send(main, order("BTCUSDT", buy, "0.05", "in:1")).await;
    let stop = OrderKind::StopMarket { trigger: trigger("59000") };
    let closing = NewOrder { size: OrderSize::ClosePosition, ..at(stop, order("BTCUSDT", sell, "1", "sl:1")) };
    send(main, closing).await;
    let take = OrderKind::TakeProfit {
        trigger: trigger("61000"),
        price: "60990".parse().unwrap(),
        time_in_force: TimeInForce::Gtc,
    };
    send(main, at(take, order("BTCUSDT", sell, "0.02", "tp:1"))).await;
    let trail = OrderKind::TrailingStopMarket {
        activation_price: Some("62000".parse().unwrap()),
        callback_rate_percent: dec("1"),
        working_type: WorkingType::ContractPrice,
    };
    send(main, NewOrder { reduce_only: true, ..at(trail, order("BTCUSDT", sell, "0.01", "tr:1")) }).await;
    simulator.step(Duration::from_hours(1));
    for price in ["61000", "62500", "61800", "58900"] {
        set_price(simulator, "BTCUSDT", price);
        simulator.step(Duration::from_mins(7));
    }
    // Resting, amended, filled in parts, cancelled one by one and all at once.
    simulator.set_depth(&eth, Some("0.4".parse().unwrap())).unwrap();
    let bid = send(main, at(OrderKind::limit("2990".parse().unwrap()), order("ETHUSDT", buy, "1", "rest:1"))).await;
    let amendment = Amendment {
        symbol: eth.clone(),
        order: OrderRef::Id(OrderClass::Regular, bid.key.order_id),
        side: buy,
        qty: "1.5".parse().unwrap(),
        price: "2980".parse().unwrap(),
    };
    main.amend_order(amendment).await.done().unwrap();
    set_price(simulator, "ETHUSDT", "2980");
    set_price(simulator, "ETHUSDT", "2985");
    let by_name = OrderRef::Client(OrderClass::Regular, ClientOrderId::new("rest:1").unwrap());
    main.cancel_order(eth.clone(), by_name).await.done().unwrap();
    simulator.set_depth(&eth, None).unwrap();
    for number in 0..3 {
        let price = format!("{}", 2_000 + number);
        let far = at(OrderKind::limit(price.parse().unwrap()), order("ETHUSDT", buy, "0.1", &format!("far:{number}")));
        send(main, far).await;
    }
    main.cancel_all_orders(eth.clone()).await.done().unwrap();
    let never = at(OrderKind::StopMarket { trigger: trigger("1500") }, order("ETHUSDT", sell, "0.1", "never:1"));
    send(main, never).await;
    main.cancel_all_conditional_orders(eth.clone()).await.done().unwrap();
    let immediate = OrderKind::Limit { price: "2900".parse().unwrap(), time_in_force: TimeInForce::Ioc };
    send(main, at(immediate, order("ETHUSDT", buy, "0.1", "ioc:1"))).await;
    // What stays open at the end.
    send(main, at(OrderKind::limit("1000".parse().unwrap()), order("ETHUSDT", buy, "0.1", "stays:1"))).await;
    send(main, at(OrderKind::StopMarket { trigger: trigger("1501") }, order("ETHUSDT", sell, "0.1", "stays:2"))).await;
    // The hedged account: both sides at once, one of them liquidated, one deleveraged.
    let (long, short) = (PositionSide::Long, PositionSide::Short);
    send(hedged, in_hedge(long, order("ETHUSDT", buy, "4", "l:1"))).await;
    send(hedged, in_hedge(short, order("ETHUSDT", sell, "2", "s:1"))).await;
    send(hedged, in_hedge(short, order("BTCUSDT", sell, "0.1", "s:2"))).await;
    simulator.step(Duration::from_hours(9));
    simulator.force_liquidation("hedged", &eth, long).unwrap();
    simulator.force_adl("hedged", &btc, short, "0.04".parse().unwrap()).unwrap();
    // Isolated, and gone when the price falls by a tenth.
    send(main, order("SOLUSDT", buy, "20", "sol:1")).await;
    let price = simulator.price(&symbol("SOLUSDT")).unwrap().checked_mul(dec("0.9")).unwrap();
    simulator.set_price(&symbol("SOLUSDT"), Price::new(price).unwrap()).unwrap();
    // A contract ends, somebody trades by hand, money moves.
    send(main, order("DOGEUSDT", sell, "5000", "doge:1")).await;
    simulator.step(Duration::from_hours(8));
    simulator.settle_contract(&symbol("DOGEUSDT")).unwrap();
    let by_hand = AppOrder {
        prefix: "web_",
        symbol: symbol("币安人生USDT"),
        side: buy,
        position_side: PositionSide::Net,
        qty: "900".parse().unwrap(),
        price: None,
        reduce_only: false,
    };
    simulator.trade_from_app("sim-main", &by_hand).unwrap();
    simulator.deposit("sim-main", "USDT", dec("-123.45")).unwrap();
    simulator.post_income("sim-main", "SOME_NEW_TYPE", "", "USDT", dec("0.5")).unwrap();
    simulator.step(Duration::from_hours(8));
}
