use std::sync::Arc;

use exchange_client::{AccountUpdate, Gap, Interruption};
use ledger_core::testing::{asset, at, dec, symbol};

use super::*;

const ALL: Unread = Unread { symbols: BTreeSet::new(), is_any: false };

fn position(qty: &str) -> PositionSnapshot {
    PositionSnapshot {
        symbol: symbol("BTCUSDT"),
        position_side: PositionSide::Net,
        at: at(0),
        qty: dec(qty),
        entry_price: None,
    }
}

fn wallet(amount: &str) -> BalanceSnapshot {
    BalanceSnapshot { asset: asset("USDT"), at: at(0), wallet: dec(amount) }
}

fn told(ms: i64, qty: &str, amount: &str) -> StreamEvent {
    StreamEvent::Account(AccountUpdate {
        told_at: at(ms),
        reason: "ORDER".parse().unwrap(),
        balances: vec![wallet(amount)],
        balance_changes: Vec::new(),
        positions: vec![position(qty)],
        payload: Arc::from("{}"),
    })
}

fn open() -> Health {
    let mut health = Health::new(at(0));
    health.hear(&StreamEvent::Opened { at: at(1) });
    assert_eq!(health.hold_against(at(10), &[position("1")], &[wallet("100")], &ALL), Verdict::Agrees);
    health
}

/// The stream is behind the answers all the time, and tells everything.
#[test]
fn a_stream_that_is_late_is_not_accused() {
    let mut health = open();
    for look in 1..=20 {
        let ms = look * 3_000;
        // Told a second late: what is held by now was not told yet.
        health.hear(&told(ms - 1_000, "1", &(100 - look).to_string()));
        let verdict = health.hold_against(at(ms), &[position("1")], &[wallet(&(99 - look).to_string())], &ALL);
        assert!(!matches!(verdict, Verdict::Untold(_)), "{look}: {verdict:?}");
    }
    // It stops speaking: the second look that sees so tells.
    assert!(matches!(health.hold_against(at(90_000), &[position("1")], &[wallet("5")], &ALL), Verdict::Unsure(_)));
    assert!(matches!(health.hold_against(at(93_000), &[position("1")], &[wallet("5")], &ALL), Verdict::Untold(_)));
}

/// The first connection was refused, and the account moved meanwhile.
#[test]
fn what_moved_before_a_stream_stood_at_last_is_not_held_against_it() {
    let mut health = Health::new(at(0));
    health.hear(&StreamEvent::Interrupted {
        since: at(1),
        cause: Interruption::Silent { after: std::time::Duration::from_secs(1) },
    });
    assert_eq!(health.hold_against(at(10), &[position("1")], &[wallet("100")], &ALL), Verdict::Agrees);
    assert_eq!(health.hold_against(at(60_000), &[position("1")], &[wallet("99")], &ALL), Verdict::Missed);
    health.hear(&StreamEvent::Opened { at: at(70_000) });
    assert!(health.wants_look());
    assert_eq!(health.hold_against(at(80_000), &[position("1")], &[wallet("98")], &ALL), Verdict::Agrees);
    assert_eq!(health.state(), StreamState::Unproven);
}

#[test]
fn silence_proves_nothing() {
    let mut health = open();
    for look in 1..100 {
        assert_eq!(health.hold_against(at(look * 60_000), &[position("1")], &[wallet("100")], &ALL), Verdict::Agrees);
    }
    assert_eq!(
        (health.state(), health.confirmed_until(), health.confirmed_event()),
        (StreamState::Unproven, None, None)
    );
}

#[test]
fn what_was_told_is_confirmed_by_an_answer() {
    let mut health = open();
    health.hear(&told(50_000, "2", "99.5"));
    assert_eq!((health.state(), health.last_event()), (StreamState::Unproven, Some(at(50_000))));
    // A first answer from before it is no contradiction, and no confirmation.
    assert_eq!(health.hold_against(at(49_000), &[position("1")], &[wallet("100")], &ALL), Verdict::Agrees);
    assert_eq!(health.state(), StreamState::Unproven);
    assert_eq!(health.hold_against(at(60_000), &[position("2")], &[wallet("99.5")], &ALL), Verdict::Agrees);
    assert_eq!((health.state(), health.since()), (StreamState::Confirmed, at(60_000)));
    assert_eq!((health.confirmed_event(), health.confirmed_until()), (Some(at(50_000)), Some(at(60_000))));
    // Nothing moved since: still confirmed, up to then. A flat position may be left out of an answer.
    assert_eq!(health.hold_against(at(120_000), &[position("2")], &[wallet("99.5")], &ALL), Verdict::Agrees);
    assert_eq!(health.confirmed_until(), Some(at(120_000)));
    health.hear(&told(130_000, "0", "101"));
    assert_eq!(health.hold_against(at(180_000), &[], &[wallet("101")], &ALL), Verdict::Agrees);
    assert_eq!(health.confirmed_event(), Some(at(130_000)));
}

#[test]
fn a_movement_that_was_not_told_is_doubted() {
    let mut health = open();
    let untold = |what: Held, before: &str, now: &str| Untold { what, before: dec(before), now: dec(now) };
    let of_position = untold(Held::Position(symbol("BTCUSDT"), PositionSide::Net), "1", "2");
    let of_wallet = untold(Held::Wallet(asset("USDT")), "100", "99.5");
    let moved = ([position("2")], [wallet("99.5")]);
    let both = vec![of_position.clone(), of_wallet];
    assert_eq!(health.hold_against(at(60_000), &moved.0, &moved.1, &ALL), Verdict::Unsure(both.clone()));
    assert_eq!(health.state(), StreamState::Unproven, "it may be on its way");
    assert_eq!(health.hold_against(at(63_000), &moved.0, &moved.1, &ALL), Verdict::Untold(both));
    assert_eq!((health.state(), health.since(), health.confirmed_until()), (StreamState::Doubted, at(63_000), None));
    assert_eq!(of_position.to_string(), "the position in BTCUSDT went from 1 to 2");
    // It is told once.
    assert_eq!(health.hold_against(at(120_000), &moved.0, &moved.1, &ALL), Verdict::Agrees);
    assert_eq!(health.state(), StreamState::Doubted, "silence cures nothing");
    health.hear(&told(130_000, "3", "99"));
    assert_eq!(health.hold_against(at(180_000), &[position("3")], &[wallet("99")], &ALL), Verdict::Agrees);
    assert_eq!(health.state(), StreamState::Confirmed);

    // Told between the two looks: the answer was faster.
    let mut health = open();
    assert!(matches!(health.hold_against(at(60_000), &moved.0, &moved.1, &ALL), Verdict::Unsure(_)));
    health.hear(&told(59_900, "2", "99.5"));
    assert_eq!(health.hold_against(at(63_000), &moved.0, &moved.1, &ALL), Verdict::Agrees);
    assert_eq!(health.state(), StreamState::Confirmed);

    // Another contract moved only between the looks.
    let mut health = open();
    assert!(matches!(health.hold_against(at(60_000), &moved.0, &[wallet("100")], &ALL), Verdict::Unsure(_)));
    health.hear(&told(59_900, "2", "100"));
    let late = PositionSnapshot { symbol: symbol("ETHUSDT"), ..position("5") };
    let verdict = health.hold_against(at(63_000), &[position("2"), late.clone()], &[wallet("100")], &ALL);
    assert!(matches!(verdict, Verdict::Unsure(_)), "it gets its own time");
    let verdict = health.hold_against(at(66_000), &[position("2"), late], &[wallet("100")], &ALL);
    assert!(matches!(verdict, Verdict::Untold(_)));
}

#[test]
fn an_interruption_ends_what_is_confirmed() {
    let mut health = open();
    health.hear(&told(50_000, "2", "99.5"));
    health.hold_against(at(60_000), &[position("2")], &[wallet("99.5")], &ALL);
    assert_eq!(health.state(), StreamState::Confirmed);
    health.hear(&StreamEvent::Interrupted { since: at(70_000), cause: Interruption::KeyExpired });
    assert_eq!((health.state(), health.since(), health.confirmed_until()), (StreamState::Down, at(70_000), None));
    // What moves meanwhile is no fault of the stream's.
    assert_eq!(health.hold_against(at(80_000), &[position("3")], &[wallet("99")], &ALL), Verdict::Missed);
    health.hear(&StreamEvent::Resumed(Gap { since: at(60_000), until: at(90_000) }));
    assert_eq!((health.state(), health.since()), (StreamState::Unproven, at(90_000)));
    assert_eq!(health.hold_against(at(100_000), &[position("3")], &[wallet("99")], &ALL), Verdict::Agrees);
    assert_eq!(health.state(), StreamState::Unproven, "what was confirmed before the interruption proves nothing now");
    health.hear(&told(110_000, "4", "98"));
    health.hold_against(at(120_000), &[position("4")], &[wallet("98")], &ALL);
    assert_eq!(health.state(), StreamState::Confirmed);
}

#[test]
fn what_moved_in_a_gap_is_not_doubted() {
    let mut health = open();
    health.hear(&told(50_000, "2", "99.5"));
    health.hold_against(at(60_000), &[position("2")], &[wallet("99.5")], &ALL);
    assert!(!health.wants_look());
    // No look falls into the gap.
    health.hear(&StreamEvent::Interrupted { since: at(70_000), cause: Interruption::KeyExpired });
    health.hear(&StreamEvent::Resumed(Gap { since: at(60_000), until: at(71_000) }));
    assert!(health.wants_look());
    for look in 0..3 {
        let verdict = health.hold_against(at(72_000 + look * 3_000), &[position("3")], &[wallet("99")], &ALL);
        assert_eq!(verdict, Verdict::Agrees);
    }
    assert_eq!((health.state(), health.wants_look()), (StreamState::Unproven, false));
    // What moves behind it is.
    for expected in [false, true] {
        let verdict = health.hold_against(at(90_000), &[position("4")], &[wallet("98")], &ALL);
        assert_eq!(matches!(verdict, Verdict::Untold(_)), expected, "{verdict:?}");
    }
}

#[test]
fn what_could_not_be_read_is_not_flat() {
    let told_one = || {
        let mut health = open();
        health.hear(&told(50_000, "2", "99.5"));
        health
    };
    let btc = Unread { symbols: [symbol("BTCUSDT")].into(), is_any: false };
    let any = Unread { symbols: BTreeSet::new(), is_any: true };
    for unread in [&btc, &any] {
        let mut health = told_one();
        assert_eq!(health.hold_against(at(60_000), &[], &[wallet("99.5")], unread), Verdict::Agrees);
        // Nothing is confirmed by an answer that says nothing of it.
        assert_eq!((health.state(), health.confirmed_until()), (StreamState::Unproven, None));
        // The next one that can be read is held against what was told.
        assert_eq!(health.hold_against(at(90_000), &[position("2")], &[wallet("99.5")], &ALL), Verdict::Agrees);
        assert_eq!(health.state(), StreamState::Confirmed);
    }
    let mut health = told_one();
    let verdict = health.hold_against(at(60_000), &[], &[wallet("99.5")], &ALL);
    assert!(matches!(verdict, Verdict::Unsure(_)), "{verdict:?}");
    // Of one contract that cannot be read nothing is learnt; what its row says may be as wrong.
    let mut health = told_one();
    assert_eq!(health.hold_against(at(60_000), &[position("7")], &[wallet("99.5")], &btc), Verdict::Agrees);
    assert_eq!(health.hold_against(at(90_000), &[position("2")], &[wallet("99.5")], &ALL), Verdict::Agrees);
}

#[test]
fn what_was_doubted_stays_so_until_something_is_confirmed() {
    let mut health = open();
    for ms in [60_000, 63_000] {
        health.hold_against(at(ms), &[position("2")], &[wallet("99")], &ALL);
    }
    assert_eq!(health.state(), StreamState::Doubted);
    // Connected anew it has told nothing yet.
    health.interrupted(at(64_000));
    health.hear(&StreamEvent::Opened { at: at(65_000) });
    assert_eq!(health.state(), StreamState::Doubted);
    health.hold_against(at(70_000), &[position("2")], &[wallet("99")], &ALL);
    assert_eq!(health.state(), StreamState::Doubted);
    health.hear(&told(80_000, "3", "98"));
    health.hold_against(at(90_000), &[position("3")], &[wallet("98")], &ALL);
    assert_eq!(health.state(), StreamState::Confirmed);
}
