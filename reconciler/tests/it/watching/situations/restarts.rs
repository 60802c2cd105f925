//! Watchers that end and begin again.

use ledger_core::{PositionSide, Side, Symbol};
use reconciler::service::HappeningKind;

use super::super::world::World;
use super::super::{MINUTE, SECOND};

/// What happens while nobody watches.
#[derive(Debug, Clone, Copy)]
enum Meanwhile {
    Nothing,
    ClosedByHand,
    TurnedOver,
    Liquidated,
}

/// A restart must neither believe an account flat that holds something, nor make up a fill that would explain what it finds:
/// seen elsewhere as a synthetic opposite fill, a nanosecond before the real one.
#[tokio::test(start_paused = true)]
async fn a_warm_restart_books_no_fill_that_never_happened() {
    use Meanwhile::{ClosedByHand, Liquidated, Nothing, TurnedOver};
    let btc = Symbol::new("BTCUSDT").unwrap();
    let mut world = World::new(81).await;
    let watch = world.watched().await;
    world.trade("ETHUSDT", Side::Sell, "0.3").await;
    world.pass(SECOND).await;
    watch.end(&world).await.unwrap();
    for (round, meanwhile) in [Nothing, Nothing, ClosedByHand, TurnedOver, Nothing, Liquidated].into_iter().enumerate()
    {
        let fills = world.fixture.book_fills().await;
        let alias = "sim-main";
        match meanwhile {
            Nothing => {}
            ClosedByHand => {
                world.fixture.simulator.close_from_app(alias, &btc, PositionSide::Net).unwrap();
            }
            TurnedOver => world.by_hand("ETHUSDT", Side::Buy, "0.7", None),
            Liquidated => {
                let eth = Symbol::new("ETHUSDT").unwrap();
                world.fixture.simulator.force_liquidation(alias, &eth, PositionSide::Net).unwrap();
            }
        }
        world.pass(if round % 2 == 0 { 20 * SECOND } else { 40 * MINUTE }).await;
        // It dies in the middle of its first cycle, several times, before one is let live.
        for turns in [3, 11, 30] {
            let watch = world.start(world.watcher("test"));
            for _ in 0..turns {
                tokio::task::yield_now().await;
                world.assert_nothing_invented().await;
            }
            watch.task.abort();
            world.pass(SECOND).await;
            world.assert_nothing_invented().await;
        }
        world.forget();
        let watch = world.start(world.watcher("test"));
        while world.count(HappeningKind::Compared) == 0 {
            world.pass(SECOND / 4).await;
            world.assert_nothing_invented().await;
        }
        world.pass(2 * MINUTE).await;
        let (there, here) = world.fills().await;
        assert_eq!(here, there, "{round} {meanwhile:?}");
        world.fixture.assert_book_equals_exchange().await;
        if matches!(meanwhile, Nothing) {
            assert_eq!(world.fixture.book_fills().await, fills);
            world.fixture.assert_positions_equal().await;
            assert_eq!(world.count(HappeningKind::Restored), 0, "{:#?}", world.all());
        }
        assert_eq!(world.count(HappeningKind::Differs), 0, "{:#?}", world.all());
        watch.end(&world).await.unwrap();
    }
}

/// What a first look reads of an account is history. What happened after it, while nobody watched, was missing, and the next
/// watcher says so, however soon it comes.
#[tokio::test(start_paused = true)]
async fn what_happened_while_nobody_watched_is_told_but_not_what_was_before_the_first_look() {
    let mut world = World::new(82).await;
    world.trade("BTCUSDT", Side::Buy, "0.05").await;
    world.pass(MINUTE).await;
    let watch = world.start(world.watcher("test"));
    world.until(HappeningKind::Compared, MINUTE).await;
    world.trade("BTCUSDT", Side::Buy, "0.02").await;
    world.pass(SECOND).await;
    assert_eq!(world.count(HappeningKind::Restored), 0, "{:#?}", world.all());
    watch.task.abort();
    world.pass(SECOND).await;
    world.trade("BTCUSDT", Side::Sell, "0.01").await;
    world.pass(SECOND).await;
    world.forget();

    let watch = world.start(world.watcher("test"));
    let told = world.until(HappeningKind::Restored, MINUTE).await;
    let order = world.fixture.simulator.books().accounts[0].trades.last().unwrap().order_id;
    assert!(told.contains(&format!("order {order} (SELL 0.01 BTCUSDT")), "{told}");
    assert!(!told.contains("signal"), "{told}");
    world.fixture.assert_book_equals_exchange().await;
    watch.end(&world).await.unwrap();
}
