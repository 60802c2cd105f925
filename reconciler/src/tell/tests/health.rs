//! What goes wrong while an account is watched.

use std::collections::BTreeSet;

use ledger_core::testing::{at, dec, price, symbol};
use ledger_core::{PositionSide, TimestampMs};
use ledger_store::SeenLiquidation;

use super::texts;
use crate::tell::event::{Event, EventKind};
use crate::tell::health::{HealthLimits, HealthSeen, derive};
use crate::tell::state::TellState;
use crate::watch_state::{FailureSummary, StreamState};

fn state() -> TellState {
    TellState::beginning(at(0), 0, BTreeSet::new())
}

fn fine(looked: i64) -> HealthSeen {
    HealthSeen {
        is_known: true,
        failure: None,
        stream: Some(StreamState::Confirmed),
        looked_local: Some(at(looked)),
        liquidations: Vec::new(),
    }
}

fn silent(since: i64, looked: i64) -> HealthSeen {
    let reason = "no connection could be made".to_owned();
    let failure = FailureSummary { since_local: at(since), attempts: 3, reason, banned_until: None };
    HealthSeen { failure: Some(failure), ..fine(looked) }
}

fn tell(state: &mut TellState, seen: &HealthSeen, now: i64) -> Vec<Event> {
    let limits = HealthLimits { stale_ms: 900_000, margin_percent: dec("5") };
    derive(state, seen, limits, at(now))
}

fn keys(events: &[Event]) -> Vec<(EventKind, &str, bool)> {
    events.iter().map(|event| (event.kind, event.key.as_str(), event.is_urgent)).collect()
}

fn ms(at: TimestampMs) -> i64 {
    at.as_ms()
}

#[test]
fn trouble_is_told_after_a_minute_and_its_end_once() {
    let mut state = state();
    assert!(tell(&mut state, &silent(10_000, 0), 15_000).is_empty());
    assert!(tell(&mut state, &fine(16_000), 20_000).is_empty(), "what passes is not told");
    assert!(state.troubles.is_empty());
    assert!(tell(&mut state, &silent(30_000, 16_000), 89_000).is_empty());
    let told = tell(&mut state, &silent(30_000, 16_000), 90_000);
    let key = format!("unreachable:{}", ms(at(30_000)));
    assert_eq!(keys(&told), [(EventKind::Trouble, key.as_str(), false)]);
    let expected = format!("main: the exchange has not answered for 1 min 0 s: no connection could be made #{key}");
    assert_eq!(texts(&told), [expected]);
    // As it stands in the book: a process that begins anew does not tell it again.
    let mut state = TellState::parse(&state.to_json()).unwrap();
    assert!(tell(&mut state, &silent(30_000, 16_000), 300_000).is_empty());
    let told = tell(&mut state, &fine(330_000), 330_000);
    assert_eq!(texts(&told), [format!("main: the exchange answers again, after 5 min 0 s #{key}:over")]);
    assert!(tell(&mut state, &fine(330_000), 335_000).is_empty());
    // Neither does the stream.
    let down = HealthSeen { stream: Some(StreamState::Down), ..fine(340_000) };
    assert!(tell(&mut state, &down, 340_000).is_empty());
    assert_eq!(tell(&mut state, &down, 400_000).len(), 1);
    assert!(tell(&mut state, &HealthSeen { stream: Some(StreamState::Doubted), ..fine(400_000) }, 460_000).is_empty());
    assert_eq!(tell(&mut state, &fine(460_000), 470_000).len(), 1);
}

#[test]
fn what_cannot_wait_is_urgent() {
    let mut state = state();
    let mut banned = silent(10_000, 5_000);
    banned.failure.as_mut().unwrap().banned_until = Some(at(700_000));
    let told = tell(&mut state, &banned, 12_000);
    assert_eq!(told.iter().map(|it| (it.kind, it.is_urgent)).collect::<Vec<_>>(), [(EventKind::Ban, true)]);
    let told = tell(&mut state, &silent(10_000, 5_000), 700_001);
    let kinds: Vec<_> = told.iter().map(|it| (it.kind, it.is_urgent)).collect();
    assert_eq!(kinds, [(EventKind::Trouble, false), (EventKind::Over, true)], "{told:#?}");
    let told = tell(&mut state, &silent(10_000, 5_000), 905_001);
    assert_eq!(told.iter().map(|it| (it.kind, it.is_urgent)).collect::<Vec<_>>(), [(EventKind::Stale, true)]);
    let told = tell(&mut state, &fine(906_000), 906_000);
    let over: Vec<_> = told.iter().map(|it| (it.kind, it.is_urgent)).collect();
    assert_eq!(over, [(EventKind::Over, true), (EventKind::Over, false)], "{told:#?}");
}

/// The state of a watcher that has just begun says nothing of the exchange.
#[test]
fn nothing_is_over_before_a_new_watcher_knows() {
    let mut state = state();
    assert_eq!(tell(&mut state, &silent(0, 0), 60_000).len(), 1);
    let unknown = HealthSeen { is_known: false, failure: None, stream: None, ..fine(0) };
    assert!(tell(&mut state, &unknown, 65_000).is_empty());
    assert_eq!(tell(&mut state, &fine(70_000), 70_000).len(), 1);
}

#[test]
fn a_liquidation_is_seen_coming() {
    let mut state = state();
    let held = |qty: &str, mark: &str, liquidation: &str, now: i64| HealthSeen {
        liquidations: vec![SeenLiquidation {
            symbol: symbol("ETHUSDT"),
            position_side: PositionSide::Net,
            qty: dec(qty),
            mark_price: price(mark),
            liquidation_price: price(liquidation),
        }],
        ..fine(now)
    };
    assert!(tell(&mut state, &held("1", "100", "90", 0), 0).is_empty());
    let told = tell(&mut state, &held("1", "100", "95.5", 1), 1);
    assert_eq!(keys(&told), [(EventKind::Margin, format!("margin:ETHUSDT:NET:{}", ms(at(1))).as_str(), true)]);
    assert!(
        texts(&told)[0].contains("ETHUSDT long is close to its liquidation: 4.5 % away, mark 100, liquidation at 95.5")
    );
    let none = told[0].text(&"main".parse().unwrap(), crate::tell::Amounts::None);
    assert!(!none.contains("4.5") && !none.contains("95.5"), "{none}");
    // It has to move away by more than it came.
    assert!(tell(&mut state, &held("1", "100", "94", 2), 2).is_empty());
    let told = tell(&mut state, &held("1", "100", "92", 3), 3);
    assert_eq!(told.iter().map(|it| (it.kind, it.is_urgent)).collect::<Vec<_>>(), [(EventKind::Over, true)]);
    // A short is liquidated above the mark; one that is beyond it is close as well.
    assert_eq!(tell(&mut state, &held("-1", "100", "104", 4), 4).len(), 1);
    assert!(tell(&mut state, &held("-1", "105", "104", 5), 5).is_empty(), "told already");
    assert_eq!(tell(&mut state, &fine(6), 6).len(), 1, "flat");
}
