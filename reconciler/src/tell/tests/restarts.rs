//! A telling that is ended anywhere and begun again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use exchange_client::Clock;
use ledger_core::testing::{at, dec, main_account, price, time};
use ledger_core::{AnyFact, LookStream, OrderStatus, Side, TimestampMs};
use ledger_store::contract::{commit, fill, fills, flat, of_order, prepare, rest};
use ledger_store::{Book, LookResult, NewLook, Seen};
use proptest::prelude::*;

use super::{Receiver, TokioClock, answer, book, channel, keys_of, messages, settings, telling};
use crate::tell::channel::ChannelKind;
use crate::tell::{QuietHours, TellSettings};

/// Order `id` is bought or sold, in turn, whole.
async fn trade(book: &Book, id: i64) {
    let side = if id % 2 == 1 { Side::Buy } else { Side::Sell };
    let order = ledger_core::testing::order("ETHUSDT", &id.to_string(), side, OrderStatus::Filled);
    let order = order.executed(dec("1"), Some(price("100"))).between(time(id * 1_000), time(id * 1_000));
    let one = of_order(fill("ETHUSDT", id, side, "1", "100"), &id.to_string());
    commit(&**book, [rest(AnyFact::Order(order))].into_iter().chain(fills([one])).collect()).await;
}

async fn desk() -> Book {
    let book = book();
    prepare(&*book, &["ETHUSDT"]).await;
    commit(&*book, vec![flat("ETHUSDT", 0)]).await;
    book
}

fn webhook() -> TellSettings {
    settings(vec![channel("desk", ChannelKind::Webhook)])
}

fn run_ahead(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap())
}

async fn restarted(pauses: Vec<(u64, bool)>, fails: Vec<bool>) {
    let (book, clock) = (desk().await, TokioClock::starting(at(0)));
    let failing = fails.clone();
    let receiver = Receiver::slow(clock.clone(), Duration::from_millis(700), move |nth, _| {
        if failing.get(nth % failing.len().max(1)).copied().unwrap_or(false) { answer(503) } else { answer(200) }
    });
    let telling_of =
        |clock: Arc<dyn Clock>| telling(webhook(), receiver.clone(), clock).run(Arc::clone(&book), main_account());
    // It has begun before anything is traded.
    let _ = tokio::time::timeout(Duration::from_millis(1), telling_of(clock.clone())).await;
    let mut id = 0;
    for (pause_ms, trades) in pauses {
        if trades {
            id += 1;
            trade(&book, id).await;
        }
        let _ = tokio::time::timeout(Duration::from_millis(pause_ms), telling_of(clock.clone())).await;
    }
    let always = Receiver::new(clock.clone(), |_, _| answer(200));
    let last = telling(webhook(), always.clone(), clock).run(Arc::clone(&book), main_account());
    let _ = tokio::time::timeout(Duration::from_mins(5), last).await;

    let expected: BTreeSet<String> = (1..=id)
        .map(|id| match id % 2 {
            1 => format!("order:ETHUSDT:{id}:over"),
            _ => format!("trip:ETHUSDT|NET|BUY-{}:closed", id - 1),
        })
        .collect();
    let all = messages(&book).await;
    let made: Vec<String> = all.iter().map(|message| message.key.clone()).collect();
    assert_eq!(made.iter().cloned().collect::<BTreeSet<_>>(), expected, "each is made, and nothing else");
    assert_eq!(made.len(), expected.len(), "each once");
    assert!(all.iter().all(|message| message.text.ends_with(&format!("#{}", message.key))), "{all:#?}");
    let arrived: BTreeSet<String> =
        receiver.arrived().iter().chain(&always.arrived()).flat_map(|(_, body)| keys_of(body)).collect();
    assert_eq!(arrived, expected, "each is told");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However often the process ends, in whichever step: each thing is told at least once, under one key, and nothing else is.
    #[test]
    fn a_restart_anywhere_tells_everything_at_least_once(
        pauses in proptest::collection::vec((1_u64..6_000, any::<bool>()), 1..14),
        fails in proptest::collection::vec(any::<bool>(), 1..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(restarted(pauses, fails));
    }
}

#[tokio::test(start_paused = true)]
async fn quiet_hours_hold_back_what_can_wait() {
    let book = desk().await;
    // The times of tests begin somewhere in a day: quiet is from there on for an hour.
    let zoned = |ms: i64| jiff::Timestamp::from_millisecond(at(ms).as_ms()).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
    let (from, until) = (zoned(0).strftime("%H:%M").to_string(), zoned(3_600_000).strftime("%H:%M").to_string());
    let quiet: QuietHours = format!("{from}-{until}").parse().unwrap();
    let clock = TokioClock::starting(at(0));
    let receiver = Receiver::new(clock.clone(), |_, _| answer(200));
    let settings = TellSettings { quiet: Some(quiet), ..webhook() };
    let running =
        tokio::spawn(telling(settings, receiver.clone(), clock.clone()).run(Arc::clone(&book), main_account()));
    tokio::time::sleep(run_ahead(2)).await;
    for id in [3, 4, 5] {
        trade(&book, id).await;
    }
    // The exchange itself closes what is held.
    let mut forced = ledger_core::testing::order("ETHUSDT", "6", Side::Sell, OrderStatus::Filled);
    forced = forced.executed(dec("1"), Some(price("100"))).between(time(6_000), time(6_000));
    forced.origin = Some(ledger_core::Origin::Liquidation);
    let one = of_order(fill("ETHUSDT", 6, Side::Sell, "1", "100"), "6");
    commit(&*book, [rest(AnyFact::Order(forced))].into_iter().chain(fills([one])).collect()).await;
    tokio::time::sleep(run_ahead(1_800)).await;
    assert_eq!(receiver.keys(), ["trip:ETHUSDT|NET|BUY-5:closed"], "half an hour later");
    tokio::time::sleep(run_ahead(1_900)).await;
    let rest: BTreeSet<String> = receiver.keys().into_iter().skip(1).collect();
    let held = ["order:ETHUSDT:3:over", "order:ETHUSDT:5:over", "trip:ETHUSDT|NET|BUY-3:closed"];
    assert_eq!(rest, held.map(str::to_owned).into(), "at their end, in one parcel");
    assert_eq!(receiver.arrived().len(), 2);
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn the_heartbeat_follows_looks() {
    let (book, clock) = (desk().await, TokioClock::starting(at(0)));
    let look = async |now: TimestampMs| {
        let seen = LookResult::Seen { seen_at: now, seen: Seen::default() };
        let look = NewLook {
            account: main_account(),
            began_local: now,
            ended_local: now,
            began_at: None,
            ended_at: None,
            streams: [(LookStream::Positions, seen)].into(),
        };
        book.record_look(look).await.unwrap();
    };
    look(at(0)).await;
    let receiver = Receiver::new(clock.clone(), |_, _| answer(200));
    let beating = telling(settings(Vec::new()), receiver.clone(), clock.clone());
    let beating = beating.with_heartbeat(super::url(), [main_account()]);
    let running = tokio::spawn(beating.run(Arc::clone(&book), main_account()));
    tokio::time::sleep(run_ahead(300)).await;
    assert!(receiver.arrived().is_empty(), "nobody looked");
    for nth in 1..=3 {
        look(clock.now()).await;
        tokio::time::sleep(run_ahead(60)).await;
        assert_eq!(receiver.arrived().len(), nth, "once for each look");
    }
    tokio::time::sleep(run_ahead(3_600)).await;
    assert_eq!(receiver.arrived().len(), 3, "and no more");
    running.abort();
}
