//! Watching: what a process that lives beside a bot makes of stream and exchange.

mod door;
mod lasting;
mod situations;
mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use exchange_client::simulator::{FaultProfile, MarketSpec, SimulatorConfig, StreamFaults};
use ledger_core::{Side, TimestampMs};
use ledger_store::{FactReader as _, Journal as _, LookOutcome, PageRequest, RunStatus, Scope};
use reconciler::service::{HappeningKind, Pace, StopSwitch, StreamState, WatchError};

use self::world::World;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

/// Nothing happened but what is named here.
#[track_caller]
fn assert_told(world: &World, kinds: &[HappeningKind]) {
    let told = world.all();
    let named = kinds.iter().map(|kind| world.count(*kind)).sum::<usize>();
    assert_eq!(told.len(), named, "{told:#?}");
}

#[tokio::test(start_paused = true)]
async fn what_the_stream_tells_is_on_record_at_once() {
    let mut world = World::new(11).await;
    world.trade("BTCUSDT", Side::Buy, "0.05").await;
    world.pass(MINUTE).await;
    let watch = world.start(world.watcher("test"));
    world.until(HappeningKind::Compared, MINUTE).await;
    world.fixture.assert_book_equals_exchange().await;
    world.forget();

    let requests = world.fixture.exchange_requests();
    world.trade("BTCUSDT", Side::Sell, "0.08").await;
    world.trade("ETHUSDT", Side::Buy, "0.5").await;
    world.pass(Duration::from_millis(200)).await;
    let fills = world.fixture.book_fills().await.len();
    assert_eq!(fills, world.fixture.simulator.books().accounts[0].trades.len());
    // Two orders and the contract of one of them were asked for, and nothing else.
    assert!(world.fixture.exchange_requests() - requests <= 3);

    // What was told is confirmed by the next light look; nothing was worth a word.
    world.pass(2 * MINUTE).await;
    assert_eq!(world.state().await.stream.state, StreamState::Confirmed);
    assert_told(&world, &[]);
    // The next cycle restores the signals of a bot that records none, as of everything that it trades.
    let signals = world.signals().await;
    world.pass(10 * MINUTE).await;
    assert!(world.signals().await > signals);
    assert_told(&world, &[]);

    // An event that never comes: the order's fills are missing and nobody asks.
    world.stream_faults(StreamFaults { dropped: 1_000, ..StreamFaults::default() });
    world.trade("BTCUSDT", Side::Buy, "0.01").await;
    world.pass(SECOND).await;
    world.stream_faults(StreamFaults::default());
    assert!(world.fixture.book_fills().await.len() < world.fixture.simulator.books().accounts[0].trades.len());
    world.until(HappeningKind::Restored, MINUTE + 20 * SECOND).await;
    world.pass(30 * SECOND).await;
    world.fixture.assert_book_equals_exchange().await;
    watch.end(&world).await.unwrap();
    assert_eq!(world.open_runs().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_beside_a_moving_position_is_told_within_one_light_look() {
    let mut world = World::new(12).await;
    let watch = world.start(world.watcher("test"));
    world.until(HappeningKind::Compared, MINUTE).await;
    world.trade("BTCUSDT", Side::Buy, "0.05").await;
    world.pass(2 * MINUTE).await;
    assert_eq!(world.state().await.stream.state, StreamState::Confirmed);
    world.forget();

    // It stands, it is pinged, and it tells nothing any more.
    world.stream_faults(StreamFaults { silenced: 1_000, ..StreamFaults::default() });
    world.trade("BTCUSDT", Side::Buy, "0.01").await;
    world.stream_faults(StreamFaults::default());
    let text = world.until(HappeningKind::StreamDoubted, MINUTE + 5 * SECOND).await;
    assert!(text.contains("the position in BTCUSDT went from 0.05 to 0.06"), "{text}");
    world.until(HappeningKind::Restored, 20 * SECOND).await;
    world.fixture.assert_book_equals_exchange().await;
    // The new connection tells.
    world.pass(10 * SECOND).await;
    world.forget();
    world.trade("BTCUSDT", Side::Sell, "0.06").await;
    world.pass(SECOND).await;
    world.fixture.assert_positions_equal().await;
    world.pass(2 * MINUTE).await;
    assert_eq!(world.state().await.stream.state, StreamState::Confirmed);
    assert_told(&world, &[]);
    watch.end(&world).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_read_by_looking() {
    let mut world = World::new(13).await;
    let watch = world.start(world.watcher("test"));
    world.until(HappeningKind::Compared, MINUTE).await;
    world.trade("BTCUSDT", Side::Buy, "0.05").await;
    world.pass(2 * MINUTE).await;
    world.forget();
    world.stream_faults(StreamFaults { broken: 1_000, ..StreamFaults::default() });
    world.trade("BTCUSDT", Side::Buy, "0.01").await;
    world.pass(Duration::from_millis(100)).await;
    world.trade("ETHUSDT", Side::Sell, "0.3").await;
    world.stream_faults(StreamFaults::default());
    world.until(HappeningKind::StreamResumed, 30 * SECOND).await;
    world.until(HappeningKind::Restored, 10 * SECOND).await;
    world.pass(5 * SECOND).await;
    world.fixture.assert_book_equals_exchange().await;
    let interrupted = HappeningKind::StreamInterrupted;
    assert_told(&world, &[interrupted, HappeningKind::StreamResumed, HappeningKind::Restored]);
    assert_eq!(world.count(interrupted), 1, "{:?}", world.all());
    watch.end(&world).await.unwrap();
}

/// Where nothing is due for an hour, a look that is asked for finds what the stream dropped, and has it restored.
#[tokio::test(start_paused = true)]
async fn a_look_can_be_asked_for() {
    let mut world = World::new(18).await;
    let never = Duration::from_hours(1);
    let pace = Pace { light: never, orders: never, cycle: never, deep: never, book: never, ..Pace::default() };
    let watcher = world.watcher_pacing("test", pace);
    let watch = world.start(watcher.clone());
    world.until(HappeningKind::Compared, MINUTE).await;
    world.trade("BTCUSDT", Side::Buy, "0.05").await;
    world.pass(SECOND).await;
    world.forget();
    let only = &["ORDER_TRADE_UPDATE", "TRADE_LITE"];
    world.stream_faults(StreamFaults { dropped: 1_000, only, ..StreamFaults::default() });
    world.trade("BTCUSDT", Side::Buy, "0.01").await;
    world.pass(SECOND).await;
    world.stream_faults(StreamFaults::default());
    world.pass(20 * MINUTE).await;
    let (there, here) = world.fills().await;
    assert!(here < there && world.all().is_empty(), "nothing was due: {:#?}", world.all());

    watcher.look();
    world.until(HappeningKind::Restored, 10 * SECOND).await;
    world.fixture.assert_book_equals_exchange().await;
    assert_told(&world, &[HappeningKind::Restored]);
    watch.end(&world).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_is_stopped_leaves_no_open_run() {
    let mut world = World::new(14).await;
    for round in 0..12 {
        world.trade("BTCUSDT", Side::Buy, "0.05").await;
        world.pass(20 * SECOND).await;
        let watch = world.start(world.watcher("test"));
        // In the middle of the first cycle, a little later each time.
        for _ in 0..round * 8 {
            tokio::task::yield_now().await;
        }
        watch.end(&world).await.unwrap();
        assert_eq!(world.open_runs().await, 0, "stopped after {round}");

        let watch = world.start(world.watcher("test"));
        for _ in 0..round * 8 {
            tokio::task::yield_now().await;
        }
        watch.task.abort();
        world.pass(SECOND).await;
        assert_eq!(world.open_runs().await, 0, "dropped after {round}");
        // Who dropped it gave no lease back.
        world.pass(MINUTE).await;
    }
    let watch = world.start(world.watcher("test"));
    world.until(HappeningKind::Compared, MINUTE).await;
    world.pass(SECOND).await;
    world.fixture.assert_book_equals_exchange().await;
    watch.end(&world).await.unwrap();
}

/// What the watcher last said of itself tells that it was in the middle of a comparison, or not.
#[tokio::test(start_paused = true)]
async fn a_watcher_says_whether_it_was_stopped_in_the_middle_of_a_comparison() {
    let mut world = World::new(19).await;
    let door = door::Door::before(&world.fixture);
    for is_cut_short in [false, true] {
        let watcher = world.watcher_through("test", &door);
        let watch = world.watched_by(watcher.clone()).await;
        if is_cut_short {
            door.shut("/income", door::Fate::Hangs);
            watcher.wake();
            world.pass(SECOND).await;
        }
        watch.end(&world).await.unwrap();
        assert_eq!(world.state().await.is_cut_short, is_cut_short);
        assert_eq!(world.open_runs().await, 0);
        door.open();
    }
    // That is no failed look, and takes nothing back of what an earlier one saw.
    let looks = world.fixture.store.looks(&world.fixture.account).await.unwrap();
    assert!(looks.iter().all(|look| look.outcome == LookOutcome::Succeeded), "{looks:?}");
}

/// It has recorded pieces of history, and the present does not come any more.
#[tokio::test(start_paused = true)]
async fn a_comparison_that_was_stopped_on_purpose_is_closed_as_that() {
    let mut world = World::with(crate::support::for_months(20)).await;
    world.trade("BTCUSDT", Side::Buy, "0.05").await;
    world.fixture.simulator.step(Duration::from_hours(24 * 10));
    let door = door::Door::before(&world.fixture);
    door.shut("/openOrders", door::Fate::Hangs);
    let watch = world.start(world.watcher_through("test", &door));
    world.pass(5 * SECOND).await;
    assert_eq!(world.open_runs().await, 1, "nothing of it is recorded yet");
    watch.end(&world).await.unwrap();
    assert_eq!(world.open_runs().await, 0);
    assert_eq!(world.ended_runs(RunStatus::Interrupted).await, [r#"{"stopped":true}"#]);
    assert!(world.state().await.is_cut_short);
    assert!(
        world.fixture.store.looks(&world.fixture.account).await.unwrap().is_empty(),
        "nothing was looked at to its end"
    );
    door.open();
    let watch = world.start(world.watcher_through("next", &door));
    world.until(HappeningKind::Compared, MINUTE).await;
    world.fixture.assert_book_equals_exchange().await;
    watch.end(&world).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_watches_an_account() {
    let world = World::new(15).await;
    let first = world.start(world.watcher("first"));
    world.until(HappeningKind::Compared, MINUTE).await;
    let refused = world.start(world.watcher("second")).task;
    world.pass(SECOND).await;
    let error = refused.await.unwrap().unwrap_err();
    assert!(matches!(&error, WatchError::Held { holder, .. } if holder == "first"), "{error:?}");

    // Whoever dies is followed at once, long before its lease is over.
    first.task.abort();
    world.forget();
    let second = world.start(world.watcher("second"));
    world.until(HappeningKind::Watching, SECOND).await;
    second.end(&world).await.unwrap();
    assert_eq!(world.state().await.stream.state, StreamState::Unproven);
}

#[tokio::test(start_paused = true)]
async fn whoever_did_not_move_for_long_is_followed_and_writes_nothing() {
    let mut world = World::new(16).await;
    world.trade("BTCUSDT", Side::Buy, "0.05").await;
    let (asleep, (_switch, stop)) = (world.watcher("asleep"), StopSwitch::new());
    let mut asleep = Box::pin(asleep.run(stop, world.teller()));
    tokio::select! {
        ended = &mut asleep => unreachable!("{ended:?}"),
        _ = world.until(HappeningKind::Compared, MINUTE) => {}
    }
    world.forget();

    // It lives, its stream is read, and it does nothing: the machine may have slept.
    let second = world.start(world.watcher("second").waiting());
    world.until(HappeningKind::Waits, SECOND).await;
    assert_eq!(world.last(HappeningKind::Waits).unwrap(), "asleep watches this account; waiting until it ends");
    world.pass(15 * SECOND).await;
    assert_eq!(world.count(HappeningKind::Watching), 0, "its lease is not over");
    world.until(HappeningKind::Watching, 20 * SECOND).await;
    world.until(HappeningKind::Compared, MINUTE).await;
    world.trade("BTCUSDT", Side::Sell, "0.08").await;
    world.pass(11 * MINUTE).await;
    world.fixture.assert_book_equals_exchange().await;

    // It wakes up with events in its hands and looks to make.
    let rows = world.fixture.rows().await;
    let ended = tokio::select! {
        ended = &mut asleep => ended,
        () = world.pass(SECOND) => unreachable!("it goes on"),
    };
    let error = ended.unwrap_err();
    let text = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
    let text = text.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    assert!(text.contains("no longer watched by this process, but by second"), "{text}");
    assert_eq!(world.fixture.rows().await, rows);
    second.end(&world).await.unwrap();
}

/// A deposit is no fill. What it is worth is asked later: of all that is priced, of what is held and of the account's assets.
#[tokio::test(start_paused = true)]
async fn marks_are_recorded_beside_a_wallet_that_moves_and_a_balance_that_is_recorded() {
    let mut config = SimulatorConfig::new(20);
    config.markets.push(MarketSpec::new("BNBUSDT", "BNB", "USDT", ["612.3", "0.01", "0.01"], 80));
    config.accounts[0].deposits.push(("BNB".into(), "40".into()));
    let mut world = World::with(config).await;
    let watch = world.watched_by(world.watcher("test")).await;
    // Until the book has been asked what is worth it.
    world.pass(10 * SECOND).await;
    let near = async |world: &World, at: TimestampMs| {
        let marks = world.fixture.marks_on_record().await.into_iter();
        let near = marks.filter(|(_, mark)| (mark.as_ms() - at.as_ms()).abs() <= 5_000);
        near.map(|(symbol, _)| symbol.to_string()).collect::<BTreeSet<_>>()
    };
    let all = ["BNBUSDT".to_owned(), "BTCUSDT".to_owned()].into();
    world.fixture.simulator.deposit("sim-main", "BNB", "3".parse().unwrap()).unwrap();
    world.pass(2 * SECOND).await;
    assert_eq!(near(&world, world.fixture.clock_at(0)).await, all);
    // The cycle that reads the ledger records the balance.
    world.pass(11 * MINUTE).await;
    let scope = Scope::account(world.fixture.account.clone());
    let balances = world.fixture.store.balance_snapshots(&scope, PageRequest::first(1_000)).await.unwrap().items;
    let balance = balances.iter().find(|it| it.fact.asset.as_str() == "BNB" && it.fact.wallet == "43".parse().unwrap());
    assert_eq!(near(&world, balance.unwrap().fact.at).await, all);
    watch.end(&world).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn marks_are_recorded_beside_fills_and_now_and_then() {
    let mut world = World::new(17).await;
    let watch = world.start(world.watcher("test"));
    world.until(HappeningKind::Compared, MINUTE).await;
    world.pass(3 * SECOND).await;
    let before = world.fixture.marks_on_record().await;
    world.trade("BTCUSDT", Side::Buy, "0.05").await;
    world.pass(SECOND).await;
    let beside = world.fixture.marks_on_record().await;
    let new: Vec<_> = beside.iter().filter(|mark| !before.contains(mark)).collect();
    assert_eq!(new.iter().map(|(symbol, _)| symbol.as_str()).collect::<Vec<_>>(), ["BTCUSDT"]);
    let fill = world.fixture.book_fills().await.pop().unwrap();
    let apart_ms = (fill.time.at.as_ms() - new[0].1.as_ms()).abs();
    assert!(apart_ms <= 3_000, "{apart_ms}");
    // Of what is held, at least every quarter of an hour.
    world.pass(31 * MINUTE).await;
    let later = world.fixture.marks_on_record().await;
    let mut times: Vec<_> =
        later.iter().filter(|(name, _)| name.as_str() == "BTCUSDT").map(|(_, at)| at.as_ms()).collect();
    times.sort_unstable();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= 16 * 60_000), "{times:?}");
    assert!(times.len() >= before.len() + 3, "{times:?}");
    watch.end(&world).await.unwrap();
}

/// What one look doubts, a second one settles. Where nothing else is due for an hour, that one comes by itself.
#[tokio::test(start_paused = true)]
async fn what_one_look_doubts_a_second_one_settles_at_once() {
    let mut world = World::new(19).await;
    let never = Duration::from_hours(1);
    let pace = Pace { light: never, orders: never, cycle: never, deep: never, book: never, ..Pace::default() };
    let watcher = world.watcher_pacing("test", pace);
    let watch = world.start(watcher.clone());
    world.until(HappeningKind::Compared, MINUTE).await;
    world.trade("BTCUSDT", Side::Buy, "0.05").await;
    world.pass(2 * MINUTE).await;
    // The exchange answers positions as they were when it was last asked, and the stream tells nothing.
    let stream = StreamFaults { dropped: 1_000, ..StreamFaults::default() };
    world.faults(FaultProfile { stale: 1_000, stream, ..FaultProfile::none() });
    for _ in 0..2 {
        world.trade("BTCUSDT", Side::Buy, "0.01").await;
        watcher.wake();
        world.pass(5 * SECOND).await;
    }
    assert_eq!(world.open_discrepancies().await, ["position_mismatch"]);
    world.faults(FaultProfile::none());
    world.pass(MINUTE).await;
    assert_eq!(world.open_discrepancies().await, [""; 0]);
    watch.end(&world).await.unwrap();
}

/// A firewall that turns an address away for some minutes is no bad key.
#[tokio::test(start_paused = true)]
async fn an_address_that_is_not_served_for_a_while_is_waited_out_from_the_start() {
    let world = World::new(20).await;
    world.faults(FaultProfile { forbidden: 1_000, ..FaultProfile::none() });
    let watch = world.start(world.watcher("test"));
    world.until(HappeningKind::Unreachable, MINUTE).await;
    world.faults(FaultProfile::none());
    world.until(HappeningKind::Compared, 10 * MINUTE).await;
    watch.end(&world).await.unwrap();
}

/// A stop that waits for a position which is gone would open the reverse one. It is doubted by one look, told once by the next,
/// and not again.
#[tokio::test(start_paused = true)]
async fn a_confirmed_difference_is_told_once() {
    let mut world = World::new(21).await;
    let watch = world.watched().await;
    world.forget();
    world.stop("SOLUSDT", Side::Sell, "1", "50").await;
    let told = world.until(HappeningKind::Differs, 30 * MINUTE).await;
    assert!(told.contains("orphan_order SOLUSDT"), "{told}");
    world.pass(40 * MINUTE).await;
    assert_eq!(world.count(HappeningKind::Differs), 1, "{:#?}", world.all());
    watch.end(&world).await.unwrap();
}

/// Somebody who syncs all the time, as a timer of the system does, keeps no look from seeing that the stream tells nothing.
#[tokio::test(start_paused = true)]
async fn syncs_beside_a_watcher_keep_no_silent_stream_hidden() {
    let mut world = World::new(22).await;
    let watch = world.watched().await;
    world.stream_faults(StreamFaults { dropped: 1_000, ..StreamFaults::default() });
    world.pass(2 * MINUTE).await;
    world.forget();
    for round in 0..6 {
        if round == 2 {
            world.trade("ETHUSDT", Side::Buy, "1").await;
        }
        world.during(world.fixture.reconciler().sync()).await.unwrap();
        world.pass(25 * SECOND).await;
    }
    assert_eq!(world.count(HappeningKind::StreamDoubted), 1, "{:#?}", world.all());
    watch.end(&world).await.unwrap();
}
