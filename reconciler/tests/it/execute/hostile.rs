//! An exchange on its worst day: an entry is made once or not at all, and a position is closed.

use std::time::Duration;

use exchange_client::simulator::FaultProfile;
use reconciler::EntryOutcome;

use super::{close, entry, exchange};
use crate::support::Fixture;

/// One trade from entry to flat; how the entry went.
async fn trade(seed: u64, hedge: bool) -> String {
    let fixture = Fixture::in_process(exchange(seed, hedge)).await;
    // Who asks first is not the question here.
    fixture.simulator.set_faults(FaultProfile::hostile().with_seed(seed));
    let mut story = Vec::new();
    let mut entered = false;
    for _ in 0..40 {
        // A process of its own for every try.
        let outcome = fixture.executor().long_market(&entry("s-1", "0.05")).await;
        let orders = fixture.orders_of("e");
        assert!(orders.iter().filter(|order| order.executed.is_positive()).count() <= 1, "{seed}: {orders:?}");
        let (word, is_done) = match outcome {
            Ok(EntryOutcome::Sent(_)) => ("sent", true),
            Ok(EntryOutcome::AlreadySent { .. }) => ("already", true),
            Ok(EntryOutcome::Refused { .. }) => ("refused", false),
            Ok(EntryOutcome::Unknown { .. }) => ("unknown", false),
            Ok(EntryOutcome::Undecided { .. }) => ("undecided", false),
            Ok(EntryOutcome::Blocked(_)) => ("blocked", false),
            Ok(EntryOutcome::Unsendable(_)) => ("unsendable", false),
            Err(_) => ("error", false),
        };
        assert_ne!(word, "unsendable", "{seed}");
        story.push(word);
        if is_done {
            entered = true;
            break;
        }
        fixture.simulator.step(Duration::from_secs(70));
        // A look may fail as well; the next one goes on.
        let _ = fixture.reconciler().sync().await;
    }
    assert!(entered, "{seed}: {story:?}");
    assert_eq!(fixture.orders_of("e").iter().filter(|order| order.executed.is_positive()).count(), 1, "{seed}");
    fixture.simulator.step(Duration::from_secs(70));
    let mut flat = false;
    for _ in 0..5 {
        let report = fixture.executor().close_long_market(&close("s-1")).await;
        if report.is_flat() {
            flat = true;
            break;
        }
        fixture.simulator.step(Duration::from_secs(70));
    }
    assert!(flat && fixture.held().is_empty(), "{seed}: {:?}", fixture.held());
    // Nothing was turned over on the way.
    let truth = fixture.truth();
    let bought = truth.trades.iter().filter(|trade| trade.buy).map(|trade| trade.qty.to_string()).collect::<Vec<_>>();
    assert!(
        truth
            .trades
            .iter()
            .filter(|trade| trade.buy)
            .all(|trade| { fixture.orders_of("e").iter().any(|order| order.id == trade.order_id) }),
        "{seed}: {bought:?}"
    );
    fixture.simulator.set_faults(FaultProfile::none());
    fixture.decided().await;
    fixture.assert_equal().await;
    story.join(" ")
}

#[tokio::test(start_paused = true)]
async fn an_entry_is_made_once_and_a_close_until_flat_on_the_worst_day() {
    let mut stories = Vec::new();
    for seed in 0..16 {
        stories.push(trade(seed, seed % 2 == 1).await);
    }
    // What is tried here really happens.
    for word in ["sent", "unknown", "undecided", "refused"] {
        assert!(stories.iter().any(|story| story.contains(word)), "{stories:?}");
    }
}
