//! Which stretches are asked for, without an exchange.

use std::collections::BTreeMap;

use ledger_core::TimestampMs;
use ledger_core::testing::{asset, at, symbol};
use ledger_store::{BookPosition, CoverageGrade, CoverageSpan, FundingReach};

use super::prices::{latest_window, priced_by};
use super::rates::{Known, due};
use crate::policy::Policy;
use crate::streams::FUNDING_RATES;
use crate::tests::long;

const HOUR: i64 = 3_600_000;
const MINUTE: i64 = 60_000;

fn reach(first_hour: i64, last_row_hour: Option<i64>) -> FundingReach {
    let last_row = last_row_hour.map(|hour| at(hour * HOUR + 5));
    FundingReach { symbol: symbol("BTCUSDT"), first: at(first_hour * HOUR), last_row }
}

fn read(since: TimestampMs, until: TimestampMs) -> CoverageSpan {
    let (stream, symbol) = (FUNDING_RATES.to_owned(), Some(symbol("BTCUSDT")));
    CoverageSpan { stream, symbol, grade: CoverageGrade::Asked, since, until }
}

fn position(is_open: bool, updated_hour: i64) -> BookPosition {
    let mut held = long();
    held.exchange = None;
    if !is_open {
        held.position.qty = ledger_core::Decimal::ZERO;
    }
    held.position.updated_at = Some(at(updated_hour * HOUR));
    held
}

/// The stretches that are due at an hour, in ms of the fixed midnight's day.
fn asked(reach: &FundingReach, held: &BookPosition, coverage: &[CoverageSpan], now_ms: i64) -> Vec<(i64, i64)> {
    let (reaches, positions) = (std::slice::from_ref(reach), std::slice::from_ref(held));
    let due = due(&Known { reaches, positions, coverage }, at(now_ms), &Policy::default());
    due.iter()
        .map(|rates| (rates.window.since().as_ms() - at(0).as_ms(), rates.window.until().as_ms() - at(0).as_ms()))
        .collect()
}

#[test]
fn rates_are_asked_for_while_a_position_is_held() {
    let (open, closed) = (position(true, 3), position(false, 5));
    // From a minute before the first fill to a minute ago, when nothing was asked before.
    assert_eq!(asked(&reach(3, None), &open, &[], 30 * HOUR), [(3 * HOUR - MINUTE, 30 * HOUR - MINUTE - 1)]);
    // To a minute after the last fill, where it is flat.
    assert_eq!(asked(&reach(3, None), &closed, &[], 30 * HOUR), [(3 * HOUR - MINUTE, 5 * HOUR + MINUTE - 1)]);
    // All that is read: while it is held, not again within the hour, and then what came after.
    let all = [read(at(3 * HOUR - MINUTE), at(30 * HOUR - MINUTE))];
    assert_eq!(asked(&reach(3, None), &open, &all, 30 * HOUR + 5 * MINUTE), []);
    assert_eq!(asked(&reach(3, None), &open, &all, 31 * HOUR), [(30 * HOUR - MINUTE, 31 * HOUR - MINUTE - 1)]);
    assert_eq!(asked(&reach(3, None), &closed, &all, 99 * HOUR), []);
    // A funding row behind what is read proves an instant: its rate is not waited for.
    assert_eq!(
        asked(&reach(3, Some(30)), &open, &all, 30 * HOUR + 5 * MINUTE),
        [(30 * HOUR - MINUTE, 30 * HOUR + 4 * MINUTE - 1)]
    );
    // A row without any position on record, as of a ledger that was imported alone.
    let nothing = BookPosition { symbol: symbol("XRPUSDT"), ..closed };
    assert_eq!(asked(&reach(8, Some(16)), &nothing, &[], 30 * HOUR), [(8 * HOUR - MINUTE, 16 * HOUR + MINUTE + 4)]);
}

#[test]
fn a_late_older_fact_reaches_further_back() {
    let open = position(true, 3);
    let read_before = [read(at(3 * HOUR - MINUTE), at(20 * HOUR)), read(at(24 * HOUR), at(30 * HOUR))];
    // An older export, and a stretch in between that an exchange in trouble never answered for.
    assert_eq!(
        asked(&reach(1, None), &open, &read_before, 30 * HOUR + MINUTE),
        [(HOUR - MINUTE, 3 * HOUR - MINUTE - 1), (20 * HOUR, 24 * HOUR - 1)]
    );
    // Of another stream or contract, coverage means nothing.
    let other = CoverageSpan { stream: "fills".into(), ..read(at(0), at(99 * HOUR)) };
    let another = CoverageSpan { symbol: Some(symbol("ETHUSDT")), ..read(at(0), at(99 * HOUR)) };
    assert_eq!(asked(&reach(3, None), &open, &[other, another], 30 * HOUR).len(), 1);
}

#[test]
fn fees_close_together_are_one_question() {
    let window = |minutes: &[i64]| {
        let minutes: BTreeMap<TimestampMs, u8> = minutes.iter().map(|minute| (at(minute * MINUTE), 0)).collect();
        latest_window(&minutes).map(|window| {
            ((window.since().as_ms() - at(0).as_ms()) / MINUTE, (window.until().as_ms() - at(0).as_ms()) / MINUTE)
        })
    };
    assert_eq!(window(&[]), None);
    assert_eq!(window(&[7]), Some((7, 7)));
    // Sparse ones as long as few minutes are asked for, dense ones up to a page.
    assert_eq!(window(&[0, 200, 498]), Some((0, 498)));
    assert_eq!(window(&[0, 201, 499]), Some((201, 499)));
    let dense: Vec<i64> = (0..40).map(|step| step * 99).collect();
    assert_eq!(window(&dense), Some((2_376, 3_861)));
}

#[test]
fn an_asset_is_priced_by_the_contract_named_after_it() {
    assert_eq!(priced_by(&asset("BNB"), &asset("USDC")), Some(symbol("BNBUSDC")));
    assert_eq!(priced_by(&asset("USDT"), &asset("USDT")), None);
}
