//! Situations that others have lost money in, each by its name: on an exchange that does what exchanges were seen to do, a book
//! that is watched ends as the exchange's own books are, with nothing doubled, nothing invented and nothing sent twice.
//!
//! The situations of managing a position (stops, additions, reversals) are not among them.

mod clocks;
mod events;
mod keys;
mod lists;
mod orders;
mod restarts;
mod streams;

use reconciler::service::HappeningKind;

use super::world::World;

/// Nothing was told but this, once each, and something was repaired only if it is among it.
async fn assert_only(world: &World, kinds: &[HappeningKind]) {
    let repairs = world.repairs().await;
    let is_repaired = kinds.contains(&HappeningKind::Restored);
    assert_eq!(!repairs.is_empty(), is_repaired, "{repairs:?}, {:#?}", world.all());
    assert_eq!(world.count(HappeningKind::Restored) > 0, is_repaired, "{repairs:?}, {:#?}", world.all());
    let mut told = world.all_kinds();
    told.retain(|kind| *kind != HappeningKind::Restored);
    told.sort_unstable();
    let mut expected: Vec<_> = kinds.iter().copied().filter(|kind| *kind != HappeningKind::Restored).collect();
    expected.sort_unstable();
    assert_eq!(told, expected, "{:#?}", world.all());
}
