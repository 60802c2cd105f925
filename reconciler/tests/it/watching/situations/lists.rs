//! Lists that are longer than a page.

use std::sync::Arc;
use std::time::Duration;

use ledger_core::{Side, Symbol};
use reconciler::service::HappeningKind;

use super::super::world::World;
use super::super::{MINUTE, SECOND};

/// More fills of one order, and more ledger rows, in a gap than a page holds, many of them in one millisecond: a full page is no
/// end, and what it does not list is not absent.
#[tokio::test(start_paused = true)]
async fn a_full_page_is_no_end() {
    let mut world = World::new(71).await;
    let watch = world.watched().await;
    let (simulator, eth) = (Arc::clone(&world.fixture.simulator), Symbol::new("ETHUSDT").unwrap());
    simulator.hold_price(&eth, true).unwrap();
    simulator.set_price(&eth, "3000".parse().unwrap()).unwrap();
    simulator.set_depth(&eth, Some("0.01".parse().unwrap())).unwrap();
    world.by_hand("ETHUSDT", Side::Buy, "10.3", Some("2900"));
    world.pass(SECOND).await;
    simulator.end_streams();
    for nth in 0..1_030 {
        simulator.set_price(&eth, if nth % 2 == 0 { "2899" } else { "2898" }.parse().unwrap()).unwrap();
        if nth % 50 == 0 {
            simulator.step(Duration::from_millis(1));
        }
    }
    simulator.set_depth(&eth, None).unwrap();
    world.until(HappeningKind::StreamResumed, 10 * SECOND).await;
    world.until(HappeningKind::Restored, MINUTE).await;
    let (there, here) = world.fills().await;
    assert!(there > 1_000, "{there}");
    assert_eq!(here, there);
    world.assert_equal_in_the_end().await;
    watch.end(&world).await.unwrap();
}
