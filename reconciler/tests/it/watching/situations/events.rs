//! Events that do not come, come twice, early, late, or are taken for something else.

use exchange_client::simulator::{FaultProfile, SimulatorConfig, StreamFaults};
use ledger_core::{IntentRole, Label, OrderClass, PositionSide, Side, Symbol};
use ledger_store::{FactReader as _, OrderFilter, PageRequest, Scope};
use reconciler::service::{HappeningKind, StreamState};

use super::super::world::World;
use super::super::{MINUTE, SECOND};
use super::assert_only;

/// What tells a fill.
const FILLS: &[&str] = &["ORDER_TRADE_UPDATE", "TRADE_LITE"];

fn btc() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

/// The position's event comes, so that nothing is wrong with the stream by what can be seen of it.
#[tokio::test(start_paused = true)]
async fn one_fill_is_dropped_on_a_healthy_stream() {
    let mut world = World::new(51).await;
    let watch = world.watched().await;
    world.stream_faults(StreamFaults { dropped: 1_000, only: FILLS, ..StreamFaults::default() });
    world.trade("BTCUSDT", Side::Buy, "0.01").await;
    world.faults(FaultProfile::none());
    world.until(HappeningKind::Restored, MINUTE + 10 * SECOND).await;
    world.pass(5 * SECOND).await;
    world.fixture.assert_book_equals_exchange().await;
    world.assert_equal_in_the_end().await;
    assert_eq!(world.state().await.stream.state, StreamState::Confirmed);
    assert_only(&world, &[HappeningKind::Restored]).await;
    watch.end(&world).await.unwrap();
}

/// The exchange's own trades cost nothing, and their events say no fee: all is there, so nothing points to it, and the next cycle
/// asks for the rest all the same.
#[tokio::test(start_paused = true)]
async fn a_forced_close_is_told_without_its_fee() {
    let mut world = World::new(59).await;
    let watch = world.watched().await;
    // The contract's own list has just been read, so that its turn is half an hour away.
    world.pass(11 * MINUTE).await;
    world.forget();
    let qty = "0.02".parse().unwrap();
    world.fixture.simulator.force_adl("sim-main", &btc(), PositionSide::Net, qty).unwrap();
    world.pass(SECOND).await;
    let (there, here) = world.fills().await;
    assert_eq!(here, there);
    let lacking = async || world.fixture.book_fills().await.iter().filter(|fill| fill.fee.is_none()).count();
    assert_eq!(lacking().await, 1);
    world.pass(11 * MINUTE).await;
    assert_eq!(lacking().await, 0);
    world.assert_equal_in_the_end().await;
    assert_only(&world, &[HappeningKind::ForcedClose]).await;
    watch.end(&world).await.unwrap();
}

/// Each event comes twice, as it does while a connection is renewed: what the exchange did is told once, and what it refused to do,
/// with its reason.
#[tokio::test(start_paused = true)]
async fn what_the_exchange_did_and_what_it_refused_is_told_once() {
    let mut world = World::new(58).await;
    let watch = world.watched().await;
    world.stream_faults(StreamFaults { duplicated: 1_000, ..StreamFaults::default() });
    let simulator = std::sync::Arc::clone(&world.fixture.simulator);
    simulator.hold_price(&btc(), true).unwrap();
    simulator.set_price(&btc(), "60000".parse().unwrap()).unwrap();
    let mut stop = world.fixture.intent(900, &btc(), Side::Sell, "900", None, None);
    (stop.class, stop.role) = (OrderClass::Conditional, IntentRole::StopLoss);
    (stop.order_type, stop.trigger_price) = (Label::new("STOP_MARKET").unwrap(), Some("59000".parse().unwrap()));
    let sent = world.fixture.recorder().send(&*world.fixture.exchange, &stop).await.unwrap().unwrap();
    assert!(sent.done().is_some());
    simulator.set_price(&btc(), "58990".parse().unwrap()).unwrap();
    let text = world.until(HappeningKind::StopRefused, SECOND).await;
    assert!(text.contains("of BTCUSDT was refused when it triggered: The order could not be placed"), "{text}");
    assert!(text.starts_with("the stop ") && text.ends_with("the position may be unprotected"), "{text}");
    simulator.force_adl("sim-main", &btc(), PositionSide::Net, "0.02".parse().unwrap()).unwrap();
    world.pass(SECOND).await;
    simulator.force_adl("sim-main", &btc(), PositionSide::Net, "0.01".parse().unwrap()).unwrap();
    world.pass(SECOND).await;
    assert!(world.last(HappeningKind::ForcedClose).unwrap().contains("0.01 BTCUSDT (adl)"), "{:#?}", world.all());
    assert_eq!((world.count(HappeningKind::StopRefused), world.count(HappeningKind::ForcedClose)), (1, 2));
    watch.end(&world).await.unwrap();
}

/// The order says that more of it executed than there are fills: nobody waits for the next look.
#[tokio::test(start_paused = true)]
async fn one_of_several_fills_of_an_order_is_dropped() {
    let mut world = World::new(52).await;
    let watch = world.watched().await;
    let simulator = std::sync::Arc::clone(&world.fixture.simulator);
    simulator.hold_price(&btc(), true).unwrap();
    simulator.set_price(&btc(), "60000".parse().unwrap()).unwrap();
    simulator.set_depth(&btc(), Some("0.01".parse().unwrap())).unwrap();
    world.by_hand("BTCUSDT", Side::Buy, "0.03", Some("59000"));
    world.pass(SECOND).await;
    let (before, _) = world.fills().await;
    let tick = |nth: usize| {
        simulator.set_price(&btc(), format!("{}", 59_000 - nth).parse().unwrap()).unwrap();
    };
    tick(1);
    world.pass(SECOND).await;
    world.stream_faults(StreamFaults { dropped: 1_000, only: FILLS, ..StreamFaults::default() });
    tick(2);
    world.faults(FaultProfile::none());
    tick(3);
    let (there, _) = world.fills().await;
    assert_eq!(there - before, 3, "one each");
    world.until(HappeningKind::Restored, 15 * SECOND).await;
    let (there, here) = world.fills().await;
    assert_eq!(here, there);
    world.assert_equal_in_the_end().await;
    assert_only(&world, &[HappeningKind::Restored]).await;
    watch.end(&world).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_fill_is_pushed_twice_and_in_another_order() {
    let mut world = World::new(53).await;
    let watch = world.watched().await;
    world.stream_faults(StreamFaults { duplicated: 1_000, reordered: 700, ..StreamFaults::default() });
    for (name, side, qty) in
        [("ETHUSDT", Side::Sell, "0.3"), ("BTCUSDT", Side::Sell, "0.08"), ("BTCUSDT", Side::Buy, "0.02")]
    {
        world.trade(name, side, qty).await;
        world.pass(SECOND).await;
        let (there, here) = world.fills().await;
        assert_eq!(here, there);
        world.assert_nothing_invented().await;
    }
    world.assert_equal_in_the_end().await;
    assert_only(&world, &[]).await;
    watch.end(&world).await.unwrap();
}

/// First the short word for a fill, without its fee; the whole one seconds later, or never.
#[tokio::test(start_paused = true)]
async fn a_fill_is_told_without_its_fee_first() {
    for is_late in [true, false] {
        let mut world = World::new(54).await;
        let watch = world.watched().await;
        let (only, delay_ms_max): (&[&str], _) = (&["ORDER_TRADE_UPDATE"], 20_000);
        world.stream_faults(if is_late {
            StreamFaults { delayed: 1_000, delay_ms_max, only, ..StreamFaults::default() }
        } else {
            StreamFaults { dropped: 1_000, only, ..StreamFaults::default() }
        });
        world.trade("BTCUSDT", Side::Buy, "0.01").await;
        world.faults(FaultProfile::none());
        world.pass(std::time::Duration::from_millis(200)).await;
        let (there, here) = world.fills().await;
        assert_eq!(here, there, "it is on record by its short word");
        assert!(world.fixture.book_fills().await.iter().any(|fill| fill.fee.is_none()), "{is_late}");
        // Positions and wallets are as they should be: what the fill lacks asks for it, and nothing waits for the next cycle.
        world.pass(if is_late { 21 * SECOND } else { 15 * SECOND }).await;
        world.assert_nothing_invented().await;
        assert!(
            world.fixture.book_fills().await.iter().all(|fill| fill.fee.is_some()),
            "{is_late}: {:#?}",
            world.all()
        );
        world.assert_equal_in_the_end().await;
        watch.end(&world).await.unwrap();
    }
}

/// The fill of a stop carries an order id that nobody has heard of, and what says whose it is comes later, or never.
#[tokio::test(start_paused = true)]
async fn a_conditional_orders_fill_comes_before_its_trigger() {
    for is_late in [true, false] {
        let mut world = World::new(55).await;
        let watch = world.watched().await;
        world.fixture.simulator.hold_price(&btc(), true).unwrap();
        world.fixture.simulator.set_price(&btc(), "60000".parse().unwrap()).unwrap();
        let mut stop = world.fixture.intent(900, &btc(), Side::Sell, "0.02", None, None);
        (stop.class, stop.role) = (OrderClass::Conditional, IntentRole::StopLoss);
        (stop.order_type, stop.trigger_price) = (Label::new("STOP_MARKET").unwrap(), Some("59000".parse().unwrap()));
        let sent = world.fixture.recorder().send(&*world.fixture.exchange, &stop).await.unwrap().unwrap();
        assert!(sent.done().is_some());
        world.pass(2 * SECOND).await;
        let only: &[&str] = &["ALGO_UPDATE"];
        world.stream_faults(if is_late {
            StreamFaults { delayed: 1_000, delay_ms_max: 20_000, only, ..StreamFaults::default() }
        } else {
            StreamFaults { dropped: 1_000, only, ..StreamFaults::default() }
        });
        world.fixture.simulator.set_price(&btc(), "58990".parse().unwrap()).unwrap();
        world.faults(FaultProfile::none());
        world.pass(std::time::Duration::from_millis(200)).await;
        let (there, here) = world.fills().await;
        assert_eq!(here, there);
        world.fixture.assert_positions_equal().await;
        let waiting = async || {
            let filter = OrderFilter { open_only: true, ..Scope::account(world.fixture.account.clone()).into() };
            let orders = world.fixture.store.orders(&filter, PageRequest::first(9)).await.unwrap().items;
            orders.into_iter().filter(|order| order.order.fact.key.class == OrderClass::Conditional).count()
        };
        assert_eq!(waiting().await, 1, "nothing has said yet that it was triggered");
        world.pass(if is_late { 21 * SECOND } else { 6 * MINUTE }).await;
        assert_eq!(waiting().await, 0, "{is_late}: {:#?}", world.all());
        world.assert_nothing_invented().await;
        // Which order it became is among what is compared.
        world.assert_equal_in_the_end().await;
        watch.end(&world).await.unwrap();
    }
}

/// Both are kept by their side: neither is netted into the other, and a flat one that comes first says nothing of the other.
#[tokio::test(start_paused = true)]
async fn both_legs_of_a_hedge_are_held_and_the_flat_one_is_listed_first() {
    let mut config = SimulatorConfig::new(56);
    config.accounts[0].hedge_mode = true;
    let mut world = World::with(config).await;
    let watch = world.start(world.watcher("test"));
    world.until(HappeningKind::Compared, MINUTE).await;
    world.trade_of("BTCUSDT", PositionSide::Short, Side::Sell, "0.04").await;
    world.pass(SECOND).await;
    world.fixture.assert_positions_equal().await;
    world.trade_of("BTCUSDT", PositionSide::Long, Side::Buy, "0.04").await;
    world.pass(2 * MINUTE).await;
    world.fixture.assert_positions_equal().await;
    assert_eq!(world.state().await.stream.state, StreamState::Confirmed);
    // Net it is nothing: only by side it can be seen that nobody tells it.
    world.stream_faults(StreamFaults { silenced: 1_000, ..StreamFaults::default() });
    world.trade_of("BTCUSDT", PositionSide::Long, Side::Sell, "0.04").await;
    world.faults(FaultProfile::none());
    world.forget();
    let text = world.until(HappeningKind::StreamDoubted, MINUTE + 5 * SECOND).await;
    assert!(text.contains("LONG position in BTCUSDT went from 0.04 to 0"), "{text}");
    world.until(HappeningKind::Restored, 20 * SECOND).await;
    world.pass(5 * SECOND).await;
    let held = world.fixture.simulator.books().accounts.remove(0).positions;
    assert_eq!(held.iter().map(|held| held.position_side).collect::<Vec<_>>(), [PositionSide::Short]);
    world.fixture.assert_book_equals_exchange().await;
    world.trade_of("BTCUSDT", PositionSide::Long, Side::Buy, "0.01").await;
    world.pass(SECOND).await;
    world.fixture.assert_positions_equal().await;
    world.assert_equal_in_the_end().await;
    watch.end(&world).await.unwrap();
}

/// Funding is told as a change of a wallet and is a row of the ledger; no exchange here sends it as a fill, and it becomes none.
#[tokio::test(start_paused = true)]
async fn a_funding_row_is_no_fill() {
    let config = SimulatorConfig { funding_interval_ms: 1_500_000, ..SimulatorConfig::new(57) };
    let mut world = World::with(config).await;
    let watch = world.watched().await;
    let (before, _) = world.fills().await;
    world.pass(33 * MINUTE).await;
    let books = world.fixture.simulator.books();
    let paid = books.accounts[0].income.iter().filter(|row| row.income_type == "FUNDING_FEE").count();
    assert!(paid >= 2, "{paid}");
    assert_eq!(world.fills().await, (before, before));
    world.assert_equal_in_the_end().await;
    assert_eq!(world.count(HappeningKind::StreamDoubted), 0, "{:#?}", world.all());
    // One of which no event comes.
    world.forget();
    let only: &[&str] = &["ACCOUNT_UPDATE"];
    world.stream_faults(StreamFaults { dropped: 1_000, only, ..StreamFaults::default() });
    let text = world.until(HappeningKind::StreamDoubted, 15 * MINUTE).await;
    assert!(text.contains("wallet went from"), "{text}");
    world.faults(FaultProfile::none());
    world.assert_equal_in_the_end().await;
    assert_eq!(world.fills().await, (before, before));
    watch.end(&world).await.unwrap();
}
