//! Cases about looks at the exchange.

use std::collections::BTreeMap;

use ledger_core::testing::{asset, dec};
use ledger_core::{LookStream, Side};

use super::Open;
use super::dump::dump;
use super::fixtures::{at, batch, fill, fills, main_account, new_account, prepare, symbol};
use crate::error::StoreError;
use crate::filter::RunFilter;
use crate::look::{
    LookFailure, LookFailureKind, LookOutcome, LookResult, LookSuccess, NewLook, Seen, SeenMark, SeenWallet,
};
use crate::page::PageRequest;

/// A look of ten seconds, by a local clock that is 5 ms ahead, with one result for both streams.
fn look(began: i64, result: &LookResult) -> NewLook {
    let streams = [LookStream::Account, LookStream::Positions].map(|stream| (stream, result.clone()));
    NewLook {
        account: main_account(),
        began_local: at(began),
        ended_local: at(began + 10_000),
        began_at: Some(at(began - 5)),
        ended_at: Some(at(began + 9_995)),
        streams: streams.into(),
    }
}

fn seen(ms: i64) -> LookResult {
    LookResult::Seen { seen_at: at(ms), seen: Seen::default() }
}

fn failed(kind: LookFailureKind) -> LookResult {
    LookResult::Failed(LookFailure { kind, reason: format!("{kind}, said the net") })
}

/// The last look, the last that was answered and the last that was not; of a stream that a look did not see everything
/// stays.
pub async fn a_look_replaces_the_one_before(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    let error = store.record_look(look(0, &seen(1))).await.unwrap_err();
    assert!(matches!(error, StoreError::UnknownAccount { .. }), "{error:?}");
    store.create_account(new_account("main")).await.unwrap();
    assert!(store.looks(&main_account()).await.unwrap().is_empty());

    let mark = SeenMark { ts: at(3), mark_price: "60000.5".parse().unwrap(), next_funding_ts: Some(at(7_200_000)) };
    let wallet = SeenWallet { ts: at(4), wallet: dec("-0.5") };
    let detail = Seen {
        except: [symbol("SOLUSDT")].into(),
        marks: [(symbol("BTCUSDT"), mark)].into(),
        wallets: [(asset("USDT"), wallet)].into(),
        ..Seen::default()
    };
    let first = LookResult::Seen { seen_at: at(2), seen: detail.clone() };
    store.record_look(look(0, &first)).await.unwrap();
    let looks = store.looks(&main_account()).await.unwrap();
    assert_eq!(looks.iter().map(|look| look.stream).collect::<Vec<_>>(), [LookStream::Account, LookStream::Positions]);
    assert_eq!((looks[1].outcome, looks[1].skew_ms()), (LookOutcome::Succeeded, Some(5)));
    let success = LookSuccess { ended_local: at(10_000), seen_at: at(2), seen: detail };
    assert_eq!((&looks[1].success, &looks[1].failure), (&Some(success.clone()), &None));

    store.record_look(look(60_000, &failed(LookFailureKind::Unreachable))).await.unwrap();
    let looks = store.looks(&main_account()).await.unwrap();
    assert_eq!((looks[1].outcome, looks[1].began_local), (LookOutcome::Failed, at(60_000)));
    assert_eq!(looks[1].success.as_ref(), Some(&success), "what was seen stays");
    let (failed_at, failure) = looks[1].failure.clone().unwrap();
    assert_eq!((failed_at, failure.kind), (at(70_000), LookFailureKind::Unreachable));
    assert_eq!(failure.reason, "unreachable, said the net");

    store.record_look(look(120_000, &failed(LookFailureKind::Interrupted))).await.unwrap();
    assert_eq!(store.looks(&main_account()).await.unwrap()[0].outcome, LookOutcome::Interrupted);

    let mut only_positions = look(180_000, &seen(180_001));
    only_positions.streams.remove(&LookStream::Account);
    store.record_look(only_positions).await.unwrap();
    let looks = store.looks(&main_account()).await.unwrap();
    assert_eq!((looks[0].outcome, looks[0].began_local), (LookOutcome::Interrupted, at(120_000)));
    assert_eq!((looks[1].outcome, looks[1].success.as_ref().unwrap().seen_at), (LookOutcome::Succeeded, at(180_001)));
    assert_eq!(looks[1].success.as_ref().unwrap().seen, Seen::default());
    assert_eq!(looks[1].failure.as_ref().unwrap().0, at(130_000), "when it failed last stays");

    // A look that began earlier ends later: what was seen later stands.
    store.record_look(look(150_000, &seen(150_001))).await.unwrap();
    assert_eq!(store.looks(&main_account()).await.unwrap()[1].success.as_ref().unwrap().seen_at, at(180_001));
}

/// A look that was narrowed is none of the account, but says which other contracts need one, until a look follows that.
pub async fn a_narrowed_look_says_only_what_it_left_aside(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    store.create_account(new_account("main")).await.unwrap();
    let narrowed = |began: i64, left_aside: &[&str], cleared: Option<&[&str]>| {
        let symbols = |names: &[&str]| names.iter().map(|name| symbol(name)).collect();
        let result = LookResult::Narrowed { left_aside: symbols(left_aside), cleared: cleared.map(symbols) };
        let mut look = look(began, &result);
        look.streams.remove(&LookStream::Positions);
        look
    };
    store.record_look(narrowed(0, &["SOLUSDT"], None)).await.unwrap();
    assert!(store.looks(&main_account()).await.unwrap().is_empty(), "the account was never looked at as a whole");

    let mark = SeenMark { ts: at(3), mark_price: "60000.5".parse().unwrap(), next_funding_ts: None };
    let detail = Seen { marks: [(symbol("BTCUSDT"), mark)].into(), ..Seen::default() };
    store.record_look(look(0, &LookResult::Seen { seen_at: at(2), seen: detail.clone() })).await.unwrap();
    let whole = store.looks(&main_account()).await.unwrap();
    for (began, left_aside, cleared, expected) in [
        (60_000, &["ETHUSDT", "SOLUSDT"][..], None, &["ETHUSDT", "SOLUSDT"][..]),
        // What was not answered clears no more than what was looked at.
        (120_000, &[], Some(&["ETHUSDT"][..]), &["SOLUSDT"]),
        (180_000, &["XRPUSDT"], Some(&["ETHUSDT"]), &["SOLUSDT", "XRPUSDT"]),
        (240_000, &["ETHUSDT"], None, &["ETHUSDT"]),
        (300_000, &[], None, &[]),
        (360_000, &["ETHUSDT"], None, &["ETHUSDT"]),
    ] {
        store.record_look(narrowed(began, left_aside, cleared)).await.unwrap();
        let mut looks = store.looks(&main_account()).await.unwrap();
        let seen = &mut looks[0].success.as_mut().unwrap().seen;
        assert_eq!(seen.left_aside.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{began}");
        seen.left_aside.clear();
        assert_eq!(looks, whole, "everything else stays");
    }
    store.record_look(look(420_000, &seen(420_001))).await.unwrap();
    assert!(store.looks(&main_account()).await.unwrap()[0].success.as_ref().unwrap().seen.left_aside.is_empty());
}

/// Whether and how often somebody looked is in no dump, and in no run.
pub async fn looks_are_neither_facts_nor_runs(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["BTCUSDT"]).await;
    store.commit(batch(fills([fill("BTCUSDT", 1, Side::Buy, "2", "10")]))).await.unwrap();
    let before = dump(store, &main_account()).await;
    let mut look = look(0, &seen(1));
    look.streams = LookStream::ALL.iter().map(|stream| (*stream, seen(1))).collect::<BTreeMap<_, _>>();
    store.record_look(look).await.unwrap();
    assert_eq!(store.looks(&main_account()).await.unwrap().len(), LookStream::ALL.len());
    assert_eq!(dump(store, &main_account()).await, before);
    let runs = store.runs(&RunFilter::from(main_account()), PageRequest::first(10)).await.unwrap();
    assert!(runs.items.is_empty());
    store.drop_derived(&main_account()).await.unwrap();
    assert_eq!(store.looks(&main_account()).await.unwrap().len(), LookStream::ALL.len(), "a rebuild keeps them");
}
