//! What a day is told as.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use ledger_core::testing::{at, dec, income};
use ledger_core::{LedgerRules, LookStream};
use ledger_store::contract::RULES;
use ledger_store::{Look, LookOutcome, LookSuccess, Seen};

use super::text;
use crate::tell::daily::{DaySeen, derive, is_read};
use crate::tell::event::Amounts;
use crate::tell::state::TellState;

const DAY_MS: i64 = 86_400_000;

fn look(stream: LookStream, ms: i64) -> Look {
    let success = LookSuccess { ended_local: at(ms), seen_at: at(ms), seen: Seen::default() };
    Look {
        stream,
        outcome: LookOutcome::Succeeded,
        began_local: at(ms),
        ended_local: at(ms),
        began_at: None,
        ended_at: None,
        success: Some(success),
        failure: None,
    }
}

fn day() -> DaySeen {
    DaySeen {
        ledger: vec![
            income("REALIZED_PNL", "1", "ETHUSDT", "15", 10),
            income("COMMISSION", "2", "ETHUSDT", "-2.5", 11),
            income("TRANSFER", "3", "ETHUSDT", "1000", 12),
        ],
        looks: vec![look(LookStream::Positions, DAY_MS + 60_000), look(LookStream::Ledger, DAY_MS + 1)],
        wallets: [("USDT".parse().unwrap(), dec("1012.5"))].into(),
        ..DaySeen::default()
    }
}

fn told(seen: &DaySeen, rules: LedgerRules) -> (TellState, crate::tell::Event) {
    let mut state = TellState::beginning(at(0), 0, BTreeSet::new());
    let event = derive(&mut state, seen, (at(0), at(DAY_MS)), rules, &TimeZone::UTC);
    (state, event)
}

fn clock(ms: i64) -> String {
    let zoned = jiff::Timestamp::from_millisecond(at(ms).as_ms()).unwrap().to_zoned(TimeZone::UTC);
    zoned.strftime("%H:%M").to_string()
}

#[test]
fn a_day_is_summed_up_once() {
    let (state, event) = told(&day(), RULES);
    assert_eq!(state.day, Some(at(DAY_MS)));
    let checked = clock(DAY_MS + 60_000);
    let key = format!("daily:{}", at(DAY_MS).as_ms());
    assert_eq!(
        text(&event),
        format!(
            "main: book = exchange, checked {checked}; the day's net by the ledger: +12.5 USDT; +1.25 % of USDT wallet; 0 round \
             trips closed; nothing is open #{key}"
        )
    );
    let none = event.text(&"main".parse().unwrap(), Amounts::None);
    assert!(!none.contains("12.5") && !none.contains('%'), "{none}");
    assert_eq!(event.json(&"main".parse().unwrap(), Amounts::Full)["net"][0]["amount"], "12.5");
    assert!(is_read(&day().looks, at(DAY_MS)) && !is_read(&day().looks, at(DAY_MS + 2)));
    let unread = DaySeen {
        looks: vec![look(LookStream::Positions, DAY_MS), look(LookStream::Ledger, DAY_MS - 60_000)],
        ..day()
    };
    let words = text(&told(&unread, RULES).1);
    assert!(words.contains(&format!("(the ledger was read up to {})", clock(DAY_MS - 60_000))), "{words}");
}

#[test]
fn a_day_says_whether_book_and_exchange_agree() {
    let words = |seen: &DaySeen| text(&told(seen, RULES).1);
    let agrees = |seen: &DaySeen| told(seen, RULES).1.json(&"main".parse().unwrap(), Amounts::None)["agrees"].clone();
    assert_eq!(agrees(&day()), true);
    let differing = DaySeen { differing: 2, ..day() };
    assert!(words(&differing).contains("book and exchange differ in 2 things, checked"), "{}", words(&differing));
    assert_eq!(agrees(&differing), false);
    let stale = DaySeen { is_stale: true, ..day() };
    assert!(
        words(&stale).contains("last compared at") && !words(&stale).contains("book = exchange"),
        "{}",
        words(&stale)
    );
    let never = DaySeen { looks: Vec::new(), ..day() };
    assert!(words(&never).contains("were not compared"), "{}", words(&never));
    let restless = DaySeen { interruptions: 3, ..day() };
    assert!(words(&restless).contains("the stream was interrupted 3 times"), "{}", words(&restless));
}
