//! Liquidation, auto-deleveraging, settlement, funding. The numbers are worked out by hand beside them.

use super::*;

fn isolated_long() -> (Arc<Simulator>, Desk) {
    let (simulator, desk) = still();
    set_price(&simulator, "BTCUSDT", "60000");
    desk.done("POST", "v1/marginType", "symbol=BTCUSDT&marginType=ISOLATED");
    // Worth 6000, 300 set aside at 20x, a fee of 2.4.
    desk.order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.1");
    (simulator, desk)
}

#[test]
fn an_isolated_position_loses_its_margin_and_nothing_else() {
    let (simulator, desk) = isolated_long();
    // 300 + 0.1 (p - 60000) = 0.1 p x 0.4 %  =>  p = 57000 / 0.996.
    assert_eq!(desk.truth().positions[0].liquidation_price, dec("57228.91566265"));
    assert_eq!(desk.get("v3/positionRisk", "")[0]["liquidationPrice"], "57228.91566265");
    set_price(&simulator, "BTCUSDT", "57229");
    assert_eq!(desk.truth().positions.len(), 1);
    set_price(&simulator, "BTCUSDT", "57228.9");
    let truth = desk.truth();
    assert!(truth.positions.is_empty());
    // Lost 277.11, fee 2.289156, and what is left of the 300 goes to the insurance fund.
    let clear = truth.income.last().unwrap();
    assert_eq!((clear.income_type.as_str(), clear.amount), ("INSURANCE_CLEAR", dec("-20.600844")));
    assert_eq!(truth.wallets["USDT"], dec("99697.6"));
    let order = &desk.get("v1/forceOrders", "autoCloseType=LIQUIDATION")[0];
    assert!(order["clientOrderId"].as_str().unwrap().starts_with("autoclose-"));
    assert_eq!(
        (&order["type"], &order["timeInForce"], &order["status"]),
        (&"LIMIT".into(), &"IOC".into(), &"FILLED".into())
    );
    // The limit is where the margin would have been gone: (6000 - 300) / 0.1.
    assert_eq!((&order["price"], &order["avgPrice"]), (&"57000".into(), &"57228.90000".into()));
    assert_eq!(desk.get("v1/forceOrders", "autoCloseType=ADL").as_array().unwrap().len(), 0);
    assert_eq!(simulator.books().house["insurance"]["USDT"], dec("1000020.600844"));
}

#[test]
fn margin_that_is_added_moves_the_liquidation_away() {
    let (simulator, desk) = isolated_long();
    let change = |kind: &str, amount: &str| format!("symbol=BTCUSDT&type={kind}&amount={amount}");
    let before = desk.wallet("USDT");
    desk.done("POST", "v1/positionMargin", &change("1", "99.6"));
    // 399.6 + 0.1 (p - 60000) = 0.1 p x 0.4 %  =>  p = 56004 / 0.996.
    assert_eq!(desk.truth().positions[0].liquidation_price, dec("56228.91566265"));
    assert_eq!(desk.wallet("USDT"), before);
    assert_eq!(desk.refused("POST", "v1/positionMargin", &change("2", "99.7")), -4051);
    desk.done("POST", "v1/positionMargin", &change("2", "99.6"));
    assert_eq!(desk.refused("POST", "v1/positionMargin", &change("1", "100000")), -4051);
    assert_eq!(desk.refused("POST", "v1/positionMargin", &change("1", "-5")), -1130);
    assert_eq!(desk.refused("POST", "v1/positionMargin", "symbol=ETHUSDT&type=1&amount=5"), -4054);
    set_price(&simulator, "BTCUSDT", "57228.9");
    assert!(desk.truth().positions.is_empty());
}

#[test]
fn the_insurance_fund_pays_what_a_gap_takes_beyond_the_margin() {
    let (simulator, desk) = isolated_long();
    set_price(&simulator, "BTCUSDT", "50000");
    // Lost 1000 and a fee of 2, with 300 set aside: 702 are missing.
    let truth = desk.truth();
    assert_eq!(truth.income.last().unwrap().amount, dec("702"));
    assert_eq!(truth.wallets["USDT"], dec("99697.6"));
}

fn poor(alias: &str) -> SimulatorAccount {
    SimulatorAccount { deposits: vec![("USDT".into(), "1000".into())], ..SimulatorAccount::named(alias) }
}

#[test]
fn a_shared_wallet_carries_positions_until_it_is_used_up() {
    let (simulator, desk) = still_with(SimulatorConfig { accounts: vec![poor("poor")], ..SimulatorConfig::new(1) });
    set_price(&simulator, "BTCUSDT", "60000");
    // Worth 18000; 1000 - 7.2 are left.
    desk.order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.3");
    desk.order("symbol=ETHUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=1000&quantity=0.1");
    // 992.8 + 0.3 (p - 60000) = 0.3 p x 0.4 %  =>  p = 17007.2 / 0.2988.
    assert_eq!(desk.truth().positions[0].liquidation_price, dec("56918.34002677"));
    set_price(&simulator, "BTCUSDT", "56918.4");
    assert_eq!(desk.truth().positions.len(), 1);
    set_price(&simulator, "BTCUSDT", "56918.3");
    let truth = desk.truth();
    assert!(truth.positions.is_empty());
    let resting = truth.orders.iter().find(|order| order.symbol == "ETHUSDT").unwrap();
    assert_eq!(resting.status, "CANCELED");
    // Lost 924.51, fee 6.830196, and the rest to the fund.
    assert_eq!(truth.wallets["USDT"], Decimal::ZERO);
    assert_eq!(truth.income.last().unwrap().amount, dec("-61.459804"));
}

#[test]
fn without_insurance_the_winners_are_deleveraged() {
    let accounts = vec![poor("loser"), poor("winner")];
    let config = SimulatorConfig { accounts, insurance_fund: "0".into(), ..SimulatorConfig::new(1) };
    let (simulator, loser) = still_with(config);
    let winner = Desk::new(&simulator, 1);
    set_price(&simulator, "BTCUSDT", "60000");
    loser.order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.3");
    winner.order("symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.2");
    set_price(&simulator, "BTCUSDT", "50000");
    // The loser's margin is gone at (18000 - 992.8) / 0.3, the next tick of which is 56690.7. There the winner takes 0.2;
    // for the rest nobody is left but the market.
    let forced = &winner.get("v1/forceOrders", "")[0];
    assert_eq!((&forced["clientOrderId"], &forced["avgPrice"]), (&"adl_autoclose".into(), &"56690.70000".into()));
    let won = winner.truth();
    assert_eq!((won.trades[1].realized, won.trades[1].fee), (dec("661.86"), Decimal::ZERO));
    assert!(won.positions.is_empty());
    let lost = loser.truth();
    let prices: Vec<_> = lost.trades[1..].iter().map(|trade| (trade.qty, trade.price)).collect();
    assert_eq!(prices, [(dec("0.2"), dec("56690.7")), (dec("0.1"), dec("50000"))]);
    // 992.8 - 661.86 - 1000 - 2 are 671.06 too little.
    assert_eq!(lost.income.last().unwrap().amount, dec("671.06"));
    assert_eq!(lost.wallets["USDT"], Decimal::ZERO);
    assert_eq!(loser.get("v1/forceOrders", "autoCloseType=LIQUIDATION").as_array().unwrap().len(), 1);
}

#[test]
fn with_insurance_nobody_is_deleveraged() {
    let config = SimulatorConfig { accounts: vec![poor("loser"), poor("winner")], ..SimulatorConfig::new(1) };
    let (simulator, loser) = still_with(config);
    let winner = Desk::new(&simulator, 1);
    set_price(&simulator, "BTCUSDT", "60000");
    loser.order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.3");
    winner.order("symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.2");
    set_price(&simulator, "BTCUSDT", "50000");
    assert_eq!((winner.truth().positions.len(), winner.truth().orders.len()), (1, 1));
    // Lost 3000 and a fee of 6 with 992.8 there: the fund, a million at first, pays the rest.
    assert_eq!(loser.truth().income.last().unwrap().amount, dec("2013.2"));
    assert_eq!(simulator.books().house["insurance"]["USDT"], dec("997986.8"));
}

#[test]
fn the_exchange_can_be_made_to_act() {
    let (simulator, desk) = still();
    let (btc, eth) = (symbol("BTCUSDT"), symbol("ETHUSDT"));
    let error = simulator.force_liquidation("sim-main", &btc, PositionSide::Net).unwrap_err();
    assert!(matches!(error, ControlError::NoPosition { .. }), "{error}");
    assert_eq!(simulator.deposit("nobody", "USDT", dec("1")), Err(ControlError::Account("nobody".into())));
    desk.order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.2");
    simulator.force_adl("sim-main", &btc, PositionSide::Net, "0.05".parse().unwrap()).unwrap();
    assert_eq!(desk.truth().positions[0].qty, dec("0.15"));
    simulator.force_liquidation("sim-main", &btc, PositionSide::Net).unwrap();
    assert!(desk.truth().positions.is_empty());
    let kinds: Vec<_> = desk.truth().orders.iter().map(|order| order.forced).collect();
    assert_eq!(kinds, [None, Some("ADL"), Some("LIQUIDATION")]);
    // By hand, as in the exchange's own app.
    let wish = AppOrder {
        prefix: "ios_",
        symbol: eth.clone(),
        side: Side::Sell,
        position_side: PositionSide::Net,
        qty: "2".parse().unwrap(),
        price: None,
        reduce_only: false,
    };
    let by_hand = simulator.trade_from_app("sim-main", &wish).unwrap();
    assert!(by_hand.client_order_id.starts_with("ios_") && by_hand.client_order_id.len() == 24);
    let closed = simulator.close_from_app("sim-main", &eth, PositionSide::Net).unwrap();
    assert_eq!((closed.buy, closed.qty, closed.status), (true, dec("2"), "FILLED"));
    // Money comes and goes, and rows of any type appear.
    simulator.deposit("sim-main", "USDC", dec("-49999.5")).unwrap();
    assert_eq!(desk.wallet("USDC"), dec("0.5"));
    simulator.post_income("sim-main", "NOBODY_KNOWS", "", "USDT", dec("0.00000001")).unwrap();
    assert_eq!(desk.get("v1/income", "incomeType=NOBODY_KNOWS")[0]["income"], "0.00000001");
}

#[test]
fn a_closed_contract_is_settled_and_then_refuses_everything() {
    let (simulator, desk) = still();
    let doge = symbol("DOGEUSDT");
    set_price(&simulator, "DOGEUSDT", "0.1");
    desk.order("symbol=DOGEUSDT&side=BUY&type=MARKET&quantity=1000");
    desk.order("symbol=DOGEUSDT&side=SELL&type=LIMIT&timeInForce=GTC&price=0.2&quantity=1000");
    desk.conditional("symbol=DOGEUSDT&side=SELL&type=STOP_MARKET&triggerPrice=0.09&quantity=1000");
    set_price(&simulator, "DOGEUSDT", "0.11");
    simulator.settle_contract(&doge).unwrap();
    let truth = desk.truth();
    assert!(truth.positions.is_empty());
    assert_eq!(truth.trades[1].realized, dec("10"));
    assert_eq!((truth.orders[1].status, truth.conditionals[0].status), ("CANCELED", "EXPIRED"));
    assert!(truth.orders[2].client_order_id.starts_with("settlement_autoclose-"));
    // It can be asked about, but not traded; and it is in no list of forced orders.
    assert_eq!(desk.get("v1/userTrades", "symbol=DOGEUSDT").as_array().unwrap().len(), 2);
    assert_eq!(desk.get("v1/forceOrders", "").as_array().unwrap().len(), 0);
    assert_eq!(desk.refused("POST", "v1/order", "symbol=DOGEUSDT&side=BUY&type=MARKET&quantity=1000"), -4141);
    simulator.delist_contract(&doge).unwrap();
    assert_eq!(desk.refused("GET", "v1/userTrades", "symbol=DOGEUSDT"), -4141);
    assert!(!desk.get("v1/exchangeInfo", "").to_string().contains("DOGEUSDT"));
    assert_eq!(desk.get("v1/userTrades", "symbol=BTCUSDT").as_array().unwrap().len(), 0);
}

#[test]
fn longs_pay_shorts_when_the_rate_is_positive() {
    let config = SimulatorConfig { accounts: vec![poor("long"), poor("short")], ..SimulatorConfig::new(1) };
    let (simulator, long) = still_with(config);
    let short = Desk::new(&simulator, 1);
    set_price(&simulator, "BTCUSDT", "50000");
    long.order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.1");
    short.order("symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.04");
    simulator.set_funding_rate(&symbol("BTCUSDT"), dec("0.00025")).unwrap();
    set_price(&simulator, "BTCUSDT", "52000");
    simulator.step(Duration::from_hours(8));
    let paid = |desk: &Desk| desk.truth().income_total("FUNDING_FEE").unwrap()["USDT"];
    // At the mark price: 5200 and 2080 times 0.025 %.
    assert_eq!((paid(&long), paid(&short)), (dec("-1.3"), dec("0.52")));
    let row = &long.get("v1/income", "incomeType=FUNDING_FEE")[0];
    assert_eq!((&row["tradeId"], &row["symbol"]), (&"".into(), &"BTCUSDT".into()));
    assert_eq!(row["time"].as_i64().unwrap() % (8 * 3_600_000), 0);
    let rate = &long.get("v1/fundingRate", "symbol=BTCUSDT")[0];
    assert_eq!((&rate["fundingRate"], &rate["fundingTime"]), (&"0.00025000".into(), &row["time"]));
}

#[test]
fn prices_follow_a_script() {
    let (simulator, desk) = still();
    let btc = symbol("BTCUSDT");
    let at = |secs: i64| TimestampMs::new(START_MS + secs * 1_000).unwrap();
    let path = [(at(61), "60000".parse().unwrap()), (at(122), "61000".parse().unwrap())];
    simulator.script_prices(&btc, &path).unwrap();
    desk.order("symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=60500&quantity=0.1");
    simulator.step(Duration::from_mins(10));
    let trade = &desk.truth().trades[0];
    assert_eq!((trade.time_ms, trade.price, trade.maker), (START_MS + 61_000, dec("60500"), true));
    assert_eq!(simulator.price(&btc), Some(dec("61000")));
    simulator.hold_price(&btc, false).unwrap();
    simulator.step(Duration::from_mins(10));
    assert_ne!(simulator.price(&btc), Some(dec("61000")));
}
