//! What lasts: questions that hang, an exchange that is away, a book that is locked, a stream that is not to be had. A watcher goes
//! on with all else, and says so once.

use std::sync::Arc;

use ledger_core::Side;
use ledger_store::{Book, OpenOptions, SqliteStore, Writer as _};
use reconciler::service::{HappeningKind, StreamState, WatchError};

use super::door::{Door, FORBIDDEN, Fate, UNAVAILABLE};
use super::world::World;
use super::{MINUTE, SECOND};
use crate::gates::{End, Gate, GatedStore};
use crate::support::options;

/// The contract of a first fill is asked for, and that question hangs for ever: events are recorded, the lease is renewed, and signs
/// of life are given as before.
#[tokio::test(start_paused = true)]
async fn a_question_for_a_contract_that_hangs_keeps_nothing_waiting() {
    let mut world = World::new(91).await;
    let door = Door::before(&world.fixture);
    let watcher = world.watcher_through("test", &door);
    let watch = world.watched_by(watcher.clone()).await;
    let asked = door.asked("/exchangeInfo").len();
    door.shut("/exchangeInfo", Fate::Hangs);
    world.trade("SOLUSDT", Side::Buy, "1").await;
    world.pass(SECOND).await;
    assert!(door.asked("/exchangeInfo").len() > asked, "nothing hangs");
    for round in 0..20 {
        let (beats, renewed) = (watcher.beats(), world.lease().await.renewed_local);
        world.trade("BTCUSDT", if round % 2 == 0 { Side::Sell } else { Side::Buy }, "0.01").await;
        world.pass(SECOND).await;
        let (there, here) = world.fills().await;
        assert_eq!(here, there, "{round}");
        world.pass(29 * SECOND).await;
        assert!(watcher.beats() >= beats + 2, "{round}");
        assert!(world.lease().await.renewed_local > renewed, "{round}");
    }
    watch.end(&world).await.unwrap();
    door.open();
    let watch = world.start(world.watcher_through("next", &door));
    world.assert_equal_in_the_end().await;
    watch.end(&world).await.unwrap();
}

/// Nothing answers from the start on, for several times as long as the lease lasts: nobody else takes the account over, it is told
/// once, and when the exchange is back, all that happened is read and heard.
#[tokio::test(start_paused = true)]
async fn whoever_cannot_reach_the_exchange_keeps_its_lease_and_goes_on_when_it_can() {
    let mut world = World::new(92).await;
    world.trade("BTCUSDT", Side::Buy, "0.05").await;
    let door = Door::before(&world.fixture);
    door.shut("", Fate::Lost);
    let watcher = world.watcher_through("test", &door);
    let watch = world.start(watcher.clone());
    world.until(HappeningKind::Unreachable, 20 * SECOND).await;
    for round in 0..8 {
        let beats = watcher.beats();
        world.pass(20 * SECOND).await;
        assert!(watcher.beats() > beats, "{round}");
        let lease = world.lease().await;
        assert!(lease.holder == "test" && lease.is_in_force(world.fixture.clock_at(0)), "{round}: {lease:?}");
        let other = world.start(world.watcher("other")).task;
        world.pass(SECOND).await;
        assert!(matches!(other.await.unwrap(), Err(WatchError::Held { .. })), "{round}");
    }
    assert_eq!(world.count(HappeningKind::Unreachable), 1, "{:#?}", world.all());
    assert!(world.state().await.failure.is_some());
    world.trade("ETHUSDT", Side::Sell, "0.3").await;
    door.open();
    world.until(HappeningKind::Watching, 2 * MINUTE + SECOND).await;
    world.until(HappeningKind::Compared, MINUTE).await;
    assert_eq!(world.count(HappeningKind::Reachable), 1, "{:#?}", world.all());
    world.fixture.assert_book_equals_exchange().await;
    // It need not wait for as long for a stream as it did while nothing answered.
    world.until(HappeningKind::StreamOpened, SECOND).await;
    world.trade("BTCUSDT", Side::Sell, "0.02").await;
    world.pass(SECOND).await;
    let (there, here) = world.fills().await;
    assert_eq!(here, there);
    world.assert_equal_in_the_end().await;
    watch.end(&world).await.unwrap();
}

/// Somebody keeps the book locked while one watches and another one waits for the lease. The one that waits goes on waiting, and
/// follows when the first one is dead and the book free.
#[tokio::test(start_paused = true)]
async fn whoever_waits_for_the_lease_outlasts_a_locked_book() {
    let world = World::new(93).await;
    let path = world.fixture.folder.path().join("book.db");
    // Another process's handle, which does not wait long for the lock.
    let handle = || Arc::new(SqliteStore::open(&path, &OpenOptions { busy_timeout_ms: 1, ..options() }).unwrap());
    let first = world.start(world.watcher_over("first", handle() as Book));
    world.until(HappeningKind::Compared, MINUTE).await;
    let second = world.start(world.watcher_over("second", handle() as Book).waiting());
    world.until(HappeningKind::Waits, 5 * SECOND).await;
    let locking = handle().begin().await.unwrap();
    let text = world.until(HappeningKind::BookFailed, 5 * SECOND).await;
    assert!(text.contains("the account's lease cannot be taken yet"), "{text}");
    world.pass(20 * SECOND).await;
    first.task.abort();
    world.pass(20 * SECOND).await;
    assert!(!second.task.is_finished(), "{:#?}", world.all());
    let watching = |world: &World| world.count(HappeningKind::Watching);
    assert_eq!(watching(&world), 1, "{:#?}", world.all());
    drop(locking);
    world.forget();
    world.until(HappeningKind::Watching, 5 * SECOND).await;
    assert_eq!(world.lease().await.holder, "second");
    world.until(HappeningKind::Compared, MINUTE).await;
    world.fixture.assert_book_equals_exchange().await;
    second.end(&world).await.unwrap();
}

/// The book is locked while the exchange answers: that is told as what it is, once, the watcher lives, and what the stream told
/// meanwhile is there when the lock is gone.
#[tokio::test(start_paused = true)]
async fn a_locked_book_is_not_told_as_the_exchanges_fault() {
    let mut world = World::new(98).await;
    let path = world.fixture.folder.path().join("book.db");
    let handle = || Arc::new(SqliteStore::open(&path, &OpenOptions { busy_timeout_ms: 1, ..options() }).unwrap());
    let watcher = world.watcher_over("test", handle() as Book);
    let watch = world.watched_by(watcher.clone()).await;
    let locking = handle().begin().await.unwrap();
    let text = world.until(HappeningKind::BookFailed, 12 * SECOND).await;
    assert!(text.starts_with("the book cannot be written, which is tried again: "), "{text}");
    watcher.wake();
    let beats = watcher.beats();
    for side in [Side::Buy, Side::Sell] {
        world.trade("BTCUSDT", side, "0.01").await;
        world.pass(MINUTE).await;
    }
    assert!(watcher.beats() >= beats + 8, "it lives");
    drop(locking);
    world.until(HappeningKind::BookWritten, 2 * MINUTE).await;
    world.pass(MINUTE).await;
    let kinds = [HappeningKind::BookFailed, HappeningKind::BookWritten].map(|kind| world.count(kind));
    assert_eq!(kinds, [1, 1], "{:#?}", world.all());
    let kinds = [HappeningKind::Unreachable, HappeningKind::Reachable].map(|kind| world.count(kind));
    assert_eq!(kinds, [0, 0], "{:#?}", world.all());
    let state = world.state().await;
    assert_eq!((state.book, state.failure), (None, None));
    world.assert_equal_in_the_end().await;
    watch.end(&world).await.unwrap();
}

/// A stream that is refused at first: what happened before it stood is a gap, which is read as soon as it stands, and not only when
/// a look is due.
#[tokio::test(start_paused = true)]
async fn what_happened_before_a_stream_was_to_be_had_is_read_when_it_is() {
    let mut world = World::new(94).await;
    let door = Door::before(&world.fixture);
    door.shut("/listenKey", FORBIDDEN);
    let watch = world.start(world.watcher_through("test", &door));
    world.until(HappeningKind::Compared, 2 * SECOND).await;
    // The look after a minute is over; the next attempt at the stream is after 75 s.
    world.pass(70 * SECOND).await;
    assert_eq!(world.count(HappeningKind::StreamInterrupted), 1, "{:#?}", world.all());
    let stream = world.state().await.stream;
    assert!(stream.trouble.is_some_and(|trouble| trouble.contains("gives no access")));
    assert_eq!(stream.state, StreamState::Connecting);
    world.trade("BTCUSDT", Side::Buy, "0.05").await;
    world.trade("ETHUSDT", Side::Sell, "0.3").await;
    door.open();
    assert_eq!(world.count(HappeningKind::StreamOpened), 0);
    world.until(HappeningKind::StreamOpened, 10 * SECOND).await;
    world.until(HappeningKind::Restored, 10 * SECOND).await;
    world.pass(5 * SECOND).await;
    world.fixture.assert_book_equals_exchange().await;
    world.trade("BTCUSDT", Side::Sell, "0.02").await;
    world.pass(SECOND).await;
    let (there, here) = world.fills().await;
    assert_eq!(here, there, "what it tells from then on is recorded");
    world.assert_equal_in_the_end().await;
    let stream = world.state().await.stream;
    assert_eq!((stream.state, stream.trouble), (StreamState::Confirmed, None));
    watch.end(&world).await.unwrap();
}

/// Nobody refuses it and nobody answers: that is told when it lasts, once, and stands in what the watcher says of itself.
#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_answers_for_is_told_when_that_lasts() {
    let world = World::new(97).await;
    let door = Door::before(&world.fixture);
    door.shut("/listenKey", Fate::Hangs);
    let watch = world.start(world.watcher_through("test", &door));
    world.until(HappeningKind::Compared, MINUTE).await;
    world.pass(MINUTE).await;
    assert_eq!((world.count(HappeningKind::StreamInterrupted), world.state().await.stream.trouble), (0, None));
    world.until(HappeningKind::StreamInterrupted, 90 * SECOND).await;
    world.pass(10 * MINUTE).await;
    assert_eq!(world.count(HappeningKind::StreamInterrupted), 1, "{:#?}", world.all());
    assert!(world.state().await.stream.trouble.is_some_and(|trouble| trouble.contains("nothing answers")));
    watch.end(&world).await.unwrap();
}

/// The ledger is not answered for half an hour, and everything else is: all that is recorded and looked at, the ledger is asked for
/// at growing distances, and one line says so.
#[tokio::test(start_paused = true)]
async fn a_list_that_is_never_answered_is_told_once_and_keeps_nothing_else_waiting() {
    let mut world = World::new(95).await;
    let door = Door::before(&world.fixture);
    let watch = world.watched_by(world.watcher_through("test", &door)).await;
    door.shut("/income", UNAVAILABLE);
    let text = world.until(HappeningKind::Unreachable, 11 * MINUTE).await;
    assert!(text.contains("income") || text.contains("ledger"), "{text}");
    let before = door.asked("/income").len();
    for round in 0..30 {
        world.trade("BTCUSDT", if round % 2 == 0 { Side::Sell } else { Side::Buy }, "0.01").await;
        world.pass(SECOND).await;
        let (there, here) = world.fills().await;
        assert_eq!(here, there, "{round}");
        world.pass(59 * SECOND).await;
        let looked = world.state().await.looked_local.unwrap();
        assert!(looked >= world.fixture.clock_at(-61_000), "{round}");
    }
    assert_eq!(world.count(HappeningKind::Unreachable), 1, "{:#?}", world.all());
    assert!(world.state().await.failure.is_some_and(|failure| failure.attempts > 5));
    // Several attempts belong to one cycle; between cycles it is longer each time, up to two minutes.
    let asked = door.asked("/income").split_off(before);
    let apart: Vec<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).filter(|apart| *apart > 15 * SECOND).collect();
    assert!(
        (10..=20).contains(&apart.len()) && apart.iter().rev().take(10).all(|apart| *apart >= 80 * SECOND),
        "{apart:?}"
    );
    door.open();
    world.until(HappeningKind::Reachable, 3 * MINUTE).await;
    world.assert_equal_in_the_end().await;
    assert_eq!((world.count(HappeningKind::Unreachable), world.count(HappeningKind::Reachable)), (1, 1));
    watch.end(&world).await.unwrap();
}

/// Signs of life are given by what works: where the book never answers a write, they end, and so do those in the book.
#[tokio::test(start_paused = true)]
async fn whoever_is_stuck_gives_no_sign_of_life() {
    let mut world = World::new(96).await;
    let gate = Gate::new(usize::MAX, End::Drops);
    let watcher = world.watcher_over("test", GatedStore::book(&world.fixture.store, &gate));
    let watch = world.watched_by(watcher.clone()).await;
    let beats = watcher.beats();
    world.pass(MINUTE).await;
    assert!(watcher.beats() >= beats + 5, "it moves");
    gate.shut();
    world.trade("BTCUSDT", Side::Sell, "0.01").await;
    world.pass(SECOND).await;
    let (beats, renewed) = (watcher.beats(), world.lease().await.renewed_local);
    world.pass(2 * MINUTE).await;
    assert_eq!(watcher.beats(), beats, "it is stuck");
    assert_eq!(world.lease().await.renewed_local, renewed);
    assert!(!watcher.has_ended());
    watch.task.abort();
}
