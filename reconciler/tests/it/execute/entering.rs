//! Entries: at most once, wherever the process dies.

use std::sync::atomic::Ordering;
use std::time::Duration;

use reconciler::EntryOutcome;

use super::{Cut, entry, exchange, life};
use crate::support::Fixture;

const LONG: Duration = Duration::from_mins(5);

/// A process that enters dies at one of its requests, and another one enters again until something is decided. How often
/// something of the order was at the exchange meanwhile.
fn killed(hedge: bool, at: usize, cut: Cut) -> &'static str {
    let fixture = life(LONG, async || Fixture::in_process(exchange(7, hedge)).await).unwrap();
    let request = entry("s-1", "0.05");
    let line = fixture.line(at, cut, false);
    let died = life(Duration::from_secs(1), async || fixture.executor_over(&line).long_market(&request).await);
    assert!(died.is_none_or(|outcome| matches!(outcome, Ok(EntryOutcome::Sent(_)))), "{at} {cut:?}");
    let again = || life(LONG, async || fixture.executor().long_market(&request).await.unwrap()).unwrap();
    let how = match again() {
        EntryOutcome::Sent(_) => "sent",
        EntryOutcome::AlreadySent { .. } => "already sent",
        EntryOutcome::Undecided { .. } => {
            assert!(fixture.orders_of("e").is_empty(), "{at} {cut:?}: it is there, and was not found");
            life(LONG, async || fixture.decided().await).unwrap();
            let outcome = again();
            assert!(matches!(outcome, EntryOutcome::Sent(_)), "{at} {cut:?}: {outcome:?}");
            "undecided"
        }
        _ => "another",
    };
    assert_ne!(how, "another", "{at} {cut:?}");
    for _ in 0..2 {
        assert!(matches!(again(), EntryOutcome::AlreadySent { .. }), "{at} {cut:?}");
    }
    assert_eq!(fixture.orders_of("e").len(), 1, "{at} {cut:?}");
    life(LONG, async || fixture.assert_equal().await).unwrap();
    how
}

#[test]
fn an_entry_is_sent_at_most_once() {
    for hedge in [false, true] {
        let fixture = life(LONG, async || Fixture::in_process(exchange(7, hedge)).await).unwrap();
        let line = fixture.line(0, Cut::Before, false);
        let outcome = life(LONG, async || fixture.executor_over(&line).long_market(&entry("s-1", "0.05")).await);
        let Some(Ok(EntryOutcome::Sent(sent))) = outcome else { panic!("{outcome:?}") };
        assert!(sent.not_recorded.is_none(), "{sent:?}");
        let requests = line.count.load(Ordering::SeqCst);
        let ways = (1..=requests).flat_map(|at| [Cut::Before, Cut::After].map(|cut| killed(hedge, at, cut)));
        let ways: Vec<_> = ways.collect();
        // Before the order, while nobody knows, and after it: all of them were met.
        for way in ["sent", "already sent", "undecided"] {
            assert!(ways.contains(&way), "{ways:?}");
        }
        assert_eq!(ways.iter().filter(|way| **way == "undecided").count(), 1, "{ways:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_executed_is_on_record_at_once() {
    for hedge in [false, true] {
        let fixture = Fixture::in_process(exchange(3, hedge)).await;
        let executor = fixture.executor();
        let outcome = executor.short_market(&entry("s-1", "0.0509")).await.unwrap();
        let EntryOutcome::Sent(sent) = outcome else { panic!("{outcome:?}") };
        assert_eq!((sent.qty.to_string().as_str(), sent.not_recorded.is_none()), ("0.05", true));
        let [order] = &fixture.orders_of("e")[..] else { panic!("one order") };
        assert_eq!(order.qty.to_string(), "0.05");
        assert_eq!(fixture.booked().await, fixture.held());
        assert!(!fixture.held().is_empty());
        // Nothing of it is counted again by a look.
        fixture.assert_equal().await;
    }
}

#[tokio::test(start_paused = true)]
async fn executors_that_enter_at_once_enter_once() {
    for seed in 0..4 {
        let fixture = Fixture::in_process(exchange(seed, seed % 2 == 1)).await;
        let executors = [fixture.executor(), fixture.executor(), fixture.executor()];
        let request = entry("s-1", "0.05");
        let (one, two, three) = tokio::join!(
            executors[0].long_market(&request),
            executors[1].long_market(&request),
            executors[2].long_market(&request),
        );
        let outcomes = [one.unwrap(), two.unwrap(), three.unwrap()];
        let sent = outcomes.iter().filter(|outcome| matches!(outcome, EntryOutcome::Sent(_))).count();
        assert_eq!((sent, fixture.orders_of("e").len()), (1, 1), "{outcomes:?}");
        fixture.assert_equal().await;
    }
}
