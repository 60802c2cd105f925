//! Laws of the books, whatever is done.

use proptest::prelude::*;

use super::*;
use crate::simulator::books::{House, PositionSide as Side3};
use crate::simulator::conditional::{AlgoKind, AlgoTicket};
use crate::simulator::order::{Kind, Lookup, Ticket, TimeInForce};

/// A walk through the engine without its wire: what to do, on which account and contract.
#[derive(Debug, Clone)]
pub(super) enum Action {
    Order { account: usize, market: usize, buy: bool, steps: i64, off_ticks: Option<i64>, reduce_only: bool },
    Conditional { account: usize, market: usize, buy: bool, steps: i64, off_permille: i64, kind: usize },
    Price { market: usize, percent: i64 },
    Pass { secs: u64 },
    CancelFirst { account: usize },
    Leverage { account: usize, market: usize, leverage: i64, isolated: bool },
    Adl { account: usize, market: usize },
}

const MARKETS: usize = 6;

pub(super) fn actions() -> impl Strategy<Value = Vec<Action>> {
    let at = || (0_usize..3, 0..MARKETS);
    let order = (at(), any::<bool>(), 1_i64..3_000, proptest::option::of(-5_i64..40), any::<bool>()).prop_map(
        |((account, market), buy, steps, off_ticks, reduce_only)| Action::Order {
            account,
            market,
            buy,
            steps,
            off_ticks,
            reduce_only,
        },
    );
    let conditional = (at(), any::<bool>(), 1_i64..3_000, -100_i64..100, 0_usize..5).prop_map(
        |((account, market), buy, steps, off_permille, kind)| Action::Conditional {
            account,
            market,
            buy,
            steps,
            off_permille,
            kind,
        },
    );
    let leverage = (at(), 1_i64..100, any::<bool>())
        .prop_map(|((account, market), leverage, isolated)| Action::Leverage { account, market, leverage, isolated });
    proptest::collection::vec(
        prop_oneof![
            8 => order,
            3 => conditional,
            2 => (0..MARKETS, 60_i64..160).prop_map(|(market, percent)| Action::Price { market, percent }),
            4 => (1_u64..20_000).prop_map(|secs| Action::Pass { secs }),
            1 => (0_usize..3).prop_map(|account| Action::CancelFirst { account }),
            2 => leverage,
            1 => at().prop_map(|(account, market)| Action::Adl { account, market }),
        ],
        0..70,
    )
}

/// A rich one-way account, a hedged one, and one so poor that it is liquidated sooner or later.
pub(super) fn three_accounts(seed: u64) -> SimulatorConfig {
    let mut config = SimulatorConfig { insurance_fund: "100".into(), tick_ms: 20_000, ..generous(seed) };
    config.accounts.push(SimulatorAccount { hedge_mode: true, ..SimulatorAccount::named("hedged") });
    config.accounts.push(SimulatorAccount {
        deposits: vec![("USDT".into(), "700".into()), ("USDC".into(), "300".into()), ("BNB".into(), "0.5".into())],
        fees_in_bnb: true,
        maker_fee: "-0.00005".into(),
        ..SimulatorAccount::named("poor")
    });
    config
}

fn run(config: SimulatorConfig, actions: &[Action]) -> (Arc<Simulator>, BooksSnapshot) {
    let (simulator, _clock) = simulator(config);
    for action in actions {
        if let Action::Pass { secs } = action {
            simulator.step(Duration::from_secs(*secs));
        } else {
            perform(&mut simulator.state().engine, action);
        }
    }
    let books = simulator.books();
    (simulator, books)
}

/// A refusal (margin, notional, too much closed) is an answer like any other.
pub(super) fn perform(engine: &mut Engine, action: &Action) {
    let market = |engine: &Engine, index: usize| engine.markets.values().nth(index).unwrap().clone();
    let side = |engine: &Engine, account: usize, buy: bool| match (engine.accounts[account].hedge, buy) {
        (false, _) => Side3::Both,
        (true, true) => Side3::Long,
        (true, false) => Side3::Short,
    };
    match *action {
        Action::Pass { .. } => {}
        Action::Order { account, market: index, buy, steps, off_ticks, reduce_only } => {
            let market = market(engine, index);
            let position_side = side(engine, account, steps % 2 == 0);
            let off = off_ticks.map(|ticks| i128::from(ticks) * market.tick_e8 * if buy { -1 } else { 1 });
            let kind = off.map_or(Kind::Market, |off| Kind::Limit {
                price_e8: market.price_e8 + off,
                time_in_force: [TimeInForce::Gtc, TimeInForce::Ioc, TimeInForce::Fok, TimeInForce::Gtx]
                    [usize::try_from(steps % 4).unwrap()],
            });
            let ticket = Ticket {
                symbol: market.spec.symbol.clone(),
                buy,
                position_side,
                kind,
                qty_e8: i128::from(steps) * market.step_e8,
                reduce_only: reduce_only && position_side == Side3::Both,
                close_position: false,
                client_order_id: None,
            };
            let _answer = engine.place(account, ticket);
            engine.react();
        }
        Action::Conditional { account, market: index, buy, steps, off_permille, kind } => {
            let market = market(engine, index);
            let kind = [
                AlgoKind::Stop,
                AlgoKind::StopMarket,
                AlgoKind::TakeProfit,
                AlgoKind::TakeProfitMarket,
                AlgoKind::TrailingStopMarket,
            ][kind];
            let is_trailing = kind == AlgoKind::TrailingStopMarket;
            let trigger_e8 = market.on_tick_e8(market.price_e8 * i128::from(1_000 + off_permille) / 1_000, false);
            let close_position = !kind.has_limit() && !is_trailing && steps % 3 == 0;
            let ticket = AlgoTicket {
                symbol: market.spec.symbol.clone(),
                buy,
                position_side: side(engine, account, steps % 2 == 0),
                kind,
                qty_e8: if close_position { 0 } else { i128::from(steps) * market.step_e8 },
                close_position,
                reduce_only: false,
                trigger_e8: (!is_trailing || steps % 2 == 0).then_some(trigger_e8),
                callback_e8: is_trailing.then_some(1_000_000),
                price_e8: kind.has_limit().then_some(trigger_e8),
                time_in_force: if close_position { TimeInForce::GteGtc } else { TimeInForce::Gtc },
                working_type: "CONTRACT_PRICE".into(),
                price_protect: false,
                client_algo_id: None,
            };
            let _answer = engine.place_conditional(account, ticket);
        }
        Action::Price { market: index, percent } => {
            let market = market(engine, index);
            engine.set_price(&market.spec.symbol, market.price_e8 * i128::from(percent) / 100);
        }
        Action::CancelFirst { account } => {
            let first = engine.accounts[account].open.first().cloned();
            if let Some((symbol, id)) = first {
                engine.cancel(account, &symbol, &Lookup::Id(id)).unwrap();
            }
        }
        Action::Leverage { account, market: index, leverage, isolated } => {
            let market = market(engine, index);
            let _answer = engine.set_leverage(account, &market.spec.symbol, leverage);
            let _answer = engine.set_isolated(account, &market.spec.symbol, isolated);
        }
        Action::Adl { account, market: index } => {
            let market = market(engine, index);
            for side in [Side3::Both, Side3::Long, Side3::Short] {
                let _answer = engine.deleverage(account, &market.spec.symbol, side, 7 * market.step_e8);
            }
        }
    }
}

fn add(totals: &mut BTreeMap<String, Decimal>, name: &str, amount: Decimal) {
    let total = totals.entry(name.to_owned()).or_default();
    *total = total.checked_add(amount).unwrap();
}

#[test]
fn the_walks_go_everywhere() {
    use proptest::strategy::ValueTree;
    // The laws below would hold of walks in which nothing happens, too.
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..60 {
        let walk = actions().new_tree(&mut runner).unwrap().current();
        let (_, books) = run(three_accounts(seed), &walk);
        for account in &books.accounts {
            seen.extend(account.orders.iter().flat_map(|order| [Some(order.status), order.forced]).flatten());
            seen.extend(account.conditionals.iter().map(|conditional| conditional.status));
            let filled_in_parts =
                account.orders.iter().any(|o| account.trades.iter().filter(|t| t.order_id == o.id).count() > 1);
            seen.extend(filled_in_parts.then_some("in parts"));
            let kinds = ["FUNDING_FEE", "INSURANCE_CLEAR"];
            seen.extend(kinds.iter().filter(|kind| account.income.iter().any(|row| row.income_type == **kind)));
        }
    }
    for expected in [
        "ADL",
        "CANCELED",
        "EXPIRED",
        "FILLED",
        "FINISHED",
        "FUNDING_FEE",
        "INSURANCE_CLEAR",
        "LIQUIDATION",
        "NEW",
        "in parts",
        "REJECTED",
    ] {
        assert!(seen.contains(expected), "{expected} never happens: {seen:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn nothing_comes_from_nowhere(seed in any::<u64>(), actions in actions()) {
        let (_, books) = run(three_accounts(seed), &actions);
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
        let (_, books) = run(three_accounts(seed), &actions);
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
            let unit = dec("0.00000001");
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
    fn the_house_is_the_other_side_of_every_trade(seed in any::<u64>(), actions in actions()) {
        let (simulator, _) = run(three_accounts(seed), &actions);
        let state = simulator.state();
        let (engine, books) = (&state.engine, &state.engine.books);
        for asset in ["USDT", "USDC"] {
            let in_asset: Vec<_> = engine.markets.values().filter(|market| market.spec.quote_asset == asset).collect();
            // What the house's cash and positions are worth...
            let worth_e16: i128 = in_asset.iter().map(|market| {
                let symbol = &market.spec.symbol;
                let held_e8 = books.house_positions_e8.get(symbol).copied().unwrap_or(0);
                books.house_cash_e16.get(symbol).copied().unwrap_or(0) + held_e8 * market.price_e8
            }).sum();
            // ... is what it has been paid, and what the accounts would have to pay if they closed now.
            let mut owed_e8 = books.house_wallet_e8(House::Market, asset);
            let mut roundings = 1;
            for book in &books.accounts {
                roundings += book.trades.len();
                for (symbol, _, position) in book.open_positions() {
                    if let Some(market) = in_asset.iter().find(|market| market.spec.symbol == symbol) {
                        owed_e8 -= position.unrealized_e8(market.price_e8);
                        roundings += 1;
                    }
                }
            }
            let gap_e8 = (worth_e16 - owed_e8 * 100_000_000).abs() / 100_000_000;
            prop_assert!(gap_e8 <= i128::try_from(roundings).unwrap(), "{asset}: {gap_e8} after {roundings}");
        }
    }

    #[test]
    fn nobody_is_left_below_the_maintenance_margin(seed in any::<u64>(), actions in actions()) {
        let (simulator, _) = run(three_accounts(seed), &actions);
        let mut state = simulator.state();
        // Only what the next tick would look at anyway.
        state.engine.react();
        let engine = &state.engine;
        for (account, book) in engine.books.accounts.iter().enumerate() {
            for asset in ["USDT", "USDC"] {
                let margin = engine.margin(account, asset);
                prop_assert!(margin.cross_notional_e8 == 0 || margin.cross_equity_e8() > margin.cross_maintenance_e8, "{margin:?}");
            }
            for (symbol, _, position) in book.open_positions() {
                let market = &engine.markets[symbol];
                let equity_e8 = position.isolated_e8 + position.unrealized_e8(market.price_e8);
                let maintenance_e8 = market.maintenance_e8(position.notional_e8(market.price_e8));
                prop_assert!(!engine.accounts[account].is_isolated(symbol) || equity_e8 > maintenance_e8);
            }
        }
    }

    #[test]
    fn orders_never_execute_more_than_asked_nor_worse_than_their_limit(seed in any::<u64>(), actions in actions()) {
        let (_, books) = run(three_accounts(seed), &actions);
        for account in &books.accounts {
            for order in &account.orders {
                let trades = account.trades.iter().filter(|trade| trade.symbol == order.symbol && trade.order_id == order.id);
                let mut executed = Decimal::ZERO;
                for trade in trades {
                    executed = executed.checked_add(trade.qty).unwrap();
                    let worse = order.price.is_some_and(|limit| if order.buy { trade.price > limit } else { trade.price < limit });
                    prop_assert!(!worse || order.forced.is_some(), "{order:?} {trade:?}");
                }
                prop_assert_eq!(executed, order.executed);
                prop_assert!(executed <= order.qty);
                prop_assert_eq!(order.status == "FILLED", executed == order.qty, "{:?}", order);
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_books(seed in any::<u64>(), actions in actions()) {
        prop_assert_eq!(run(three_accounts(seed), &actions).1, run(three_accounts(seed), &actions).1);
    }

    #[test]
    fn prices_do_not_depend_on_how_time_is_cut(seed in any::<u64>(), cuts in proptest::collection::vec(1_u64..50_000_000, 1..20)) {
        let config = SimulatorConfig { tick_ms: 60_000, ..generous(seed) };
        let (piecewise, _) = simulator(config.clone());
        for millis in &cuts { piecewise.step(Duration::from_millis(*millis)); }
        let (at_once, _) = simulator(config);
        at_once.step(Duration::from_millis(cuts.iter().sum()));
        prop_assert_eq!(piecewise.books(), at_once.books());
    }
}

#[test]
fn a_margin_that_is_used_up_is_noticed_at_that_tick() {
    // Accounts are not looked at every tick. Whoever looks at every tick must see nothing that was missed.
    let mut liquidated = 0;
    for seed in 0..12 {
        let account =
            SimulatorAccount { deposits: vec![("USDT".into(), "1000".into())], ..SimulatorAccount::standard() };
        let (simulator, _clock) = simulator(SimulatorConfig { accounts: vec![account], ..generous(seed) });
        let desk = Desk::new(&simulator, 0);
        desk.done("POST", "v1/leverage", "symbol=SOLUSDT&leverage=40");
        desk.done("POST", "v1/leverage", "symbol=ETHUSDT&leverage=40");
        if seed % 2 == 0 {
            desk.done("POST", "v1/marginType", "symbol=SOLUSDT&marginType=ISOLATED");
        }
        desk.order(&format!(
            "symbol=SOLUSDT&type=MARKET&quantity=110&side={}",
            if seed % 3 == 0 { "BUY" } else { "SELL" }
        ));
        desk.order("symbol=ETHUSDT&type=MARKET&quantity=3&side=BUY");
        for _ in 0..4_000 {
            simulator.step(Duration::from_secs(5));
            let state = simulator.state();
            let margin = state.engine.margin(0, "USDT");
            assert!(margin.cross_notional_e8 == 0 || margin.cross_equity_e8() > margin.cross_maintenance_e8, "{seed}");
            for (symbol, _, position) in state.engine.books.accounts[0].open_positions() {
                let market = &state.engine.markets[symbol];
                let equity_e8 = position.isolated_e8 + position.unrealized_e8(market.price_e8);
                let maintenance_e8 = market.maintenance_e8(position.notional_e8(market.price_e8));
                assert!(position.isolated_e8 == 0 || equity_e8 > maintenance_e8, "{seed} {symbol}");
            }
        }
        liquidated += desk.truth().orders.iter().filter(|order| order.forced.is_some()).count();
    }
    assert!(liquidated > 4, "{liquidated}");
}
