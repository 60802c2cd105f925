//! Streams that connect to nothing, are cut, or are not to be had; and an exchange that wants to be left alone.

use std::time::Duration;

use exchange_client::binance_usdm::{AddressShape, UserStreamSettings};
use exchange_client::simulator::{FaultProfile, StreamFaults};
use ledger_core::Side;
use reconciler::service::HappeningKind::{Reachable, Restored, StreamInterrupted, StreamResumed, Unreachable};
use reconciler::service::{HappeningKind, StreamState};

use super::super::world::World;
use super::super::{MINUTE, SECOND};
use super::assert_only;

/// The old form of the address: it connects, it pongs, and that is all. Whoever has configured it has a book that is right all
/// the same, and reads that the stream tells nothing.
#[tokio::test(start_paused = true)]
async fn an_address_without_category_connects_and_tells_nothing() {
    let mut world = World::new(41).await;
    let settings = UserStreamSettings { shape: Some(AddressShape::Plain), ..UserStreamSettings::default() };
    let watch = world.start(world.watcher_hearing("test", settings));
    world.until(HappeningKind::Compared, MINUTE).await;
    let opened = world.fixture.simulator.streams_opened();
    for round in 0..3 {
        // It stands, and that proves nothing.
        world.pass(3 * MINUTE).await;
        assert_ne!(world.state().await.stream.state, StreamState::Confirmed, "{round}");
        world.forget();
        world.trade("BTCUSDT", Side::Buy, "0.05").await;
        world.until(HappeningKind::StreamDoubted, MINUTE + 5 * SECOND).await;
        world.until(HappeningKind::Restored, 20 * SECOND).await;
        assert_eq!(world.count(HappeningKind::StreamDoubted), 1, "{:#?}", world.all());
    }
    world.assert_equal_in_the_end().await;
    assert_ne!(world.state().await.stream.state, StreamState::Confirmed);
    let opened = world.fixture.simulator.streams_opened() - opened;
    // That of marks is as silent, and is made anew at growing distances.
    assert!(opened < 60, "{opened} connections in 20 minutes");
    watch.end(&world).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn all_connections_are_cut_at_once() {
    let mut world = World::new(42).await;
    let watch = world.watched_by(world.watcher("test")).await;
    world.fixture.simulator.end_streams();
    world.trade("BTCUSDT", Side::Sell, "0.02").await;
    world.trade("ETHUSDT", Side::Sell, "0.3").await;
    world.until(HappeningKind::StreamResumed, 10 * SECOND).await;
    world.until(HappeningKind::Restored, 5 * SECOND).await;
    world.pass(5 * SECOND).await;
    world.fixture.assert_book_equals_exchange().await;
    world.trade("BTCUSDT", Side::Sell, "0.01").await;
    world.pass(SECOND).await;
    let (there, here) = world.fills().await;
    assert_eq!(here, there);
    world.assert_equal_in_the_end().await;
    assert_only(&world, &[StreamInterrupted, StreamResumed, Restored]).await;
    watch.end(&world).await.unwrap();
}

/// Before the exchange would end it, another connection stands: everything is told, and nothing is doubled.
#[tokio::test(start_paused = true)]
async fn connections_are_renewed_before_the_exchange_ends_them() {
    let mut world = World::new(43).await;
    let settings = UserStreamSettings { connection_age_max: 3 * MINUTE, ..UserStreamSettings::default() };
    let watch = world.watched_by(world.watcher_hearing("test", settings)).await;
    let opened = world.fixture.simulator.streams_opened();
    for round in 0..40 {
        let side = if round % 2 == 0 { Side::Sell } else { Side::Buy };
        world.trade("ETHUSDT", side, "0.3").await;
        world.pass(SECOND).await;
        let (there, here) = world.fills().await;
        assert_eq!(here, there, "{round}");
        world.pass(28 * SECOND + Duration::from_millis(700)).await;
    }
    let opened = world.fixture.simulator.streams_opened() - opened;
    assert!((12..=14).contains(&opened), "{opened}");
    world.assert_equal_in_the_end().await;
    let state = world.state().await.stream;
    assert_eq!((state.state, state.interruptions), (StreamState::Confirmed, 0));
    assert_only(&world, &[]).await;
    watch.end(&world).await.unwrap();
}

/// Every event breaks the connection, and who connects often is turned away with 1008: attempts grow apart, and the book is
/// kept by looks.
#[tokio::test(start_paused = true)]
async fn a_storm_of_reconnects_is_turned_away() {
    let mut world = World::new(44).await;
    let watch = world.watched_by(world.watcher("test")).await;
    let (opened, requests) = (world.fixture.simulator.streams_opened(), world.fixture.exchange_requests());
    world.stream_faults(StreamFaults { broken: 1_000, connects_1m_max: 3, ..StreamFaults::default() });
    for round in 0..5 {
        world.trade("BTCUSDT", Side::Buy, "0.01").await;
        world.pass(125 * SECOND).await;
        let (there, here) = world.fills().await;
        assert_eq!(here, there, "{round}: {:#?}", world.all());
    }
    let opened = world.fixture.simulator.streams_opened() - opened;
    let requests = world.fixture.exchange_requests() - requests;
    assert!(opened <= 60, "{opened} connections in 10 minutes");
    // It comes and goes, and what is told of that are the first times and then how often.
    let told = world.count(StreamInterrupted) + world.count(StreamResumed);
    assert!((1..=9).contains(&told), "{:#?}", world.all());
    assert!(requests <= 400, "{requests} requests in 10 minutes");
    world.faults(FaultProfile::none());
    world.until(HappeningKind::StreamResumed, 2 * MINUTE).await;
    // How often it came and went is told within ten minutes.
    world.pass(11 * MINUTE).await;
    world.forget();
    world.trade("ETHUSDT", Side::Sell, "0.3").await;
    world.pass(SECOND).await;
    let (there, here) = world.fills().await;
    assert_eq!(here, there);
    world.assert_equal_in_the_end().await;
    assert_only(&world, &[]).await;
    assert_eq!(world.state().await.stream.state, StreamState::Confirmed);
    watch.end(&world).await.unwrap();
}

/// 429, and then 418: it is asked as rarely as it demands, the stream goes on, and both are told once.
#[tokio::test(start_paused = true)]
async fn the_exchange_asks_to_be_left_alone() {
    let (throttled, banned) = (FaultProfile::none(), FaultProfile::none());
    let throttled = FaultProfile { throttled: 1_000, ..throttled };
    for (faults, requests_max) in [(throttled, 40), (FaultProfile { banned: 1_000, ..banned }, 12)] {
        let mut world = World::new(45).await;
        let watch = world.watched().await;
        let requests = world.fixture.exchange_requests();
        world.faults(faults);
        world.pass(5 * MINUTE).await;
        world.by_hand("ETHUSDT", Side::Sell, "0.3", None);
        world.pass(SECOND).await;
        let (there, here) = world.fills().await;
        assert_eq!(here, there, "the stream goes on");
        world.pass(6 * MINUTE).await;
        let requests = world.fixture.exchange_requests() - requests;
        assert!(requests <= requests_max, "{requests} requests in eleven minutes");
        world.faults(FaultProfile::none());
        world.until(HappeningKind::Reachable, 3 * MINUTE).await;
        world.assert_equal_in_the_end().await;
        assert_only(&world, &[Unreachable, Reachable]).await;
        watch.end(&world).await.unwrap();
    }
}
