//! The key by which an account is listened to is gone, and nobody says so.

use exchange_client::simulator::{FaultProfile, StreamFaults};
use ledger_core::Side;
use reconciler::service::HappeningKind::{Reachable, Restored, StreamInterrupted, StreamResumed, Unreachable};
use reconciler::service::{HappeningKind, StreamState};

use super::super::world::World;
use super::super::{MINUTE, SECOND};
use super::assert_only;

/// The connection stays open, is pinged, and tells nothing: seen for hours at others.
#[tokio::test(start_paused = true)]
async fn a_listen_key_expires_unnoticed() {
    let mut world = World::new(31).await;
    let watch = world.watched().await;
    world.fixture.simulator.forget_listen_key("sim-main").unwrap();
    world.trade("BTCUSDT", Side::Buy, "0.01").await;
    let text = world.until(HappeningKind::StreamDoubted, MINUTE + 5 * SECOND).await;
    assert!(text.contains("the position in BTCUSDT went from 0.05 to 0.06"), "{text}");
    world.until(HappeningKind::Restored, 20 * SECOND).await;
    world.pass(5 * SECOND).await;
    world.fixture.assert_book_equals_exchange().await;
    // By another key it is told again.
    world.forget();
    world.trade("ETHUSDT", Side::Sell, "0.3").await;
    world.pass(SECOND).await;
    let (there, here) = world.fills().await;
    assert_eq!(here, there);
    world.assert_equal_in_the_end().await;
    assert_eq!(world.state().await.stream.state, StreamState::Confirmed);
    assert_only(&world, &[]).await;
    watch.end(&world).await.unwrap();
}

/// No position moves, so no answer contradicts the silence: keeping the key alive says that it is gone.
#[tokio::test(start_paused = true)]
async fn a_listen_key_expires_while_nothing_happens() {
    let mut world = World::new(32).await;
    let watch = world.watched().await;
    world.fixture.simulator.forget_listen_key("sim-main").unwrap();
    let text = world.until(HappeningKind::StreamInterrupted, 31 * MINUTE).await;
    assert!(text.contains("forgotten the key of the stream"), "{text}");
    world.until(HappeningKind::StreamResumed, 10 * SECOND).await;
    world.trade("ETHUSDT", Side::Sell, "0.3").await;
    world.pass(SECOND).await;
    let (there, here) = world.fills().await;
    assert_eq!(here, there);
    world.assert_equal_in_the_end().await;
    assert_only(&world, &[HappeningKind::StreamInterrupted, HappeningKind::StreamResumed]).await;
    watch.end(&world).await.unwrap();
}

/// The exchange answers no request, and tells the end of the key late: our own clock is enough.
#[tokio::test(start_paused = true)]
async fn a_listen_key_that_cannot_be_renewed_ends_by_our_own_clock() {
    let mut world = World::new(33).await;
    let watch = world.watched().await;
    let stream = StreamFaults { expiry_late: 1_000, expiry_late_ms_max: 3_600_000, ..StreamFaults::default() };
    world.faults(FaultProfile { unavailable: 1_000, stream, ..FaultProfile::none() });
    world.pass(50 * MINUTE).await;
    // As long as the key is good, everything is told.
    world.by_hand("ETHUSDT", Side::Sell, "0.3", None);
    world.pass(SECOND).await;
    let (there, here) = world.fills().await;
    assert_eq!((here, world.count(HappeningKind::StreamInterrupted)), (there, 0), "{:#?}", world.all());
    // Before the hour is over.
    let text = world.until(HappeningKind::StreamInterrupted, 7 * MINUTE).await;
    assert!(text.contains("forgotten the key of the stream"), "{text}");
    world.by_hand("ETHUSDT", Side::Buy, "0.1", None);
    world.pass(10 * MINUTE).await;
    let (there, here) = world.fills().await;
    assert!(here < there, "nothing tells it");
    world.faults(FaultProfile::none());
    world.until(HappeningKind::Restored, 3 * MINUTE).await;
    world.assert_equal_in_the_end().await;
    assert_only(&world, &[Unreachable, StreamInterrupted, Reachable, StreamResumed, Restored]).await;
    watch.end(&world).await.unwrap();
}
