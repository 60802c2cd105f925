//! Clocks that jump.

use exchange_client::simulator::FaultProfile;
use ledger_core::Side;
use reconciler::service::StreamState;

use super::super::world::World;
use super::super::{MINUTE, SECOND};
use super::assert_only;

/// The machine's clock is suddenly a minute behind the exchange's, or ahead of it: -1021 for whatever is signed. Only what the
/// exchange has not looked at is sent again, so each order is there once.
#[tokio::test(start_paused = true)]
async fn the_clock_jumps() {
    for clock_skew_ms in [60_000, -20_000, 7_000] {
        let mut world = World::new(61).await;
        let watch = world.watched().await;
        let before = world_orders(&world);
        world.faults(FaultProfile { clock_skew_ms, ..FaultProfile::none() });
        world.pass(SECOND).await;
        world.trade("BTCUSDT", Side::Sell, "0.02").await;
        world.pass(2 * SECOND).await;
        world.trade("ETHUSDT", Side::Sell, "0.3").await;
        world.pass(SECOND).await;
        let (there, here) = world.fills().await;
        assert_eq!(here, there, "{clock_skew_ms}");
        world.pass(3 * MINUTE).await;
        world.trade("BTCUSDT", Side::Buy, "0.01").await;
        world.pass(2 * MINUTE).await;
        assert_eq!(world.state().await.stream.state, StreamState::Confirmed, "{clock_skew_ms}");
        // And back again.
        world.faults(FaultProfile::none());
        world.pass(90 * SECOND).await;
        world.trade("BTCUSDT", Side::Buy, "0.01").await;
        world.assert_equal_in_the_end().await;
        assert_eq!(world_orders(&world) - before, 4, "{clock_skew_ms}");
        assert_only(&world, &[]).await;
        watch.end(&world).await.unwrap();
    }
}

fn world_orders(world: &World) -> usize {
    world.fixture.simulator.books().accounts[0].orders.len()
}
