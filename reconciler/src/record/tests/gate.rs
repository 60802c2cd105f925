//! What holds an entry back.

use std::collections::BTreeMap;

use ledger_core::{FreshnessLimits, LookStream, PositionSide};
use ledger_store::{
    Batch, Book, DiscrepancyKey, DiscrepancyStatus, ExchangeIdentity, LookFailure, LookFailureKind, LookResult,
    NewDiscrepancy, NewLook, Seen,
};
use serde_json::json;

use super::*;
use crate::discrepancy::DiscrepancyKind;
use crate::record::{Gate, GateReasonKind, GateTerms, gate};

fn symbol(name: &str) -> ledger_core::Symbol {
    ledger_core::Symbol::new(name).unwrap()
}

/// So many milliseconds after the start, with the usual limits.
fn terms(ms: i64, spool: Option<&std::path::Path>) -> GateTerms<'_> {
    GateTerms { spool, freshness: FreshnessLimits::default(), now: at(ms) }
}

fn at(ms: i64) -> TimestampMs {
    TimestampMs::new(START_MS + ms).unwrap()
}

async fn see(store: &Book, kind: &str, of: &str, status: DiscrepancyStatus) {
    let key = DiscrepancyKey { kind: kind.to_owned(), fingerprint: format!("{kind} {of}") };
    let mut batch = Batch::new(account(), TimestampMs::new(START_MS).unwrap(), Vec::new());
    let symbol = Some(symbol(of));
    batch.discrepancies.push(NewDiscrepancy { key, symbol, status, evidence_json: "{}".to_owned() });
    store.commit(batch).await.unwrap();
}

#[tokio::test]
async fn every_open_matter_of_the_contract_holds_an_entry_back() {
    let (_, store, _) = recorder().await;
    let allowed =
        async |of: &str| gate(store.as_ref(), &account(), &symbol(of), None, terms(0, None)).await.is_allowed();
    see(&store, "position_mismatch", "ETHUSDT", DiscrepancyStatus::Unresolved).await;
    see(&store, "missing_fills", "XRPUSDT", DiscrepancyStatus::Pending).await;
    // What a newer version found may be anything.
    see(&store, "something_new", "ADAUSDT", DiscrepancyStatus::Pending).await;
    // Nothing of these is about what is held.
    see(&store, "missing_label", "BTCUSDT", DiscrepancyStatus::Unresolved).await;
    see(&store, "position_mismatch", "BTCUSDT", DiscrepancyStatus::Acknowledged).await;
    for (of, expected) in [("BTCUSDT", true), ("ETHUSDT", false), ("XRPUSDT", false), ("ADAUSDT", false)] {
        assert_eq!(allowed(of).await, expected, "{of}");
    }
    // Of each kind it is decided whether it holds back: those that say something of orders, fills or positions do.
    for kind in [
        DiscrepancyKind::UnknownOrder,
        DiscrepancyKind::OrderVanished,
        DiscrepancyKind::UnrecordedPosition,
        DiscrepancyKind::UnrecordedClose,
        DiscrepancyKind::RealizedPnlMismatch,
        DiscrepancyKind::UnresolvedIntent,
        DiscrepancyKind::QueryFailed,
        DiscrepancyKind::LostRows,
        DiscrepancyKind::UnreadableRow,
    ] {
        see(&store, kind.as_str(), "SOLUSDT", DiscrepancyStatus::Pending).await;
        assert!(!allowed("SOLUSDT").await, "{kind}");
        let mut batch = Batch::new(account(), TimestampMs::new(START_MS).unwrap(), Vec::new());
        batch.settled.push(DiscrepancyKey { kind: kind.to_string(), fingerprint: format!("{kind} SOLUSDT") });
        store.commit(batch).await.unwrap();
        assert!(allowed("SOLUSDT").await, "{kind}");
    }
}

#[tokio::test]
async fn an_undecided_exit_holds_entries_of_its_side_back() {
    let (mut recorder, store, _) = recorder().await;
    let mut exit = intent("t-1", "exit");
    exit["position_side"] = "long".into();
    let id = ask(&mut recorder, &exit).await["client_order_id"].clone();
    let asked = async |side| gate(store.as_ref(), &account(), &symbol("BTCUSDT"), side, terms(0, None)).await;
    let held = asked(None).await;
    let reason = &held.reasons[0];
    assert_eq!(reason.kind, GateReasonKind::UndecidedIntent);
    // Which order, and when, needs no reading of sentences.
    assert_eq!(reason.client_order_id.as_ref().map(ToString::to_string).as_deref(), id.as_str());
    assert_eq!((reason.intent_local, reason.discrepancy), (Some(at(0)), None));
    let told = &held.to_json()["reasons"][0];
    assert_eq!((&told["client_order_id"], &told["intent_local"]), (&id, &json!(START_MS)), "{told}");
    assert!(!asked(Some(PositionSide::Long)).await.is_allowed() && asked(Some(PositionSide::Short)).await.is_allowed());
    ask(&mut recorder, &sent(&id, "unknown")).await;
    assert!(!asked(None).await.is_allowed());
    ask(&mut recorder, &sent(&id, "accepted")).await;
    assert!(asked(None).await.is_allowed());
}

/// Each reason has a command of its own, or what else to do, in every form of the answer.
#[tokio::test]
async fn every_reason_says_what_to_do_next() {
    let (mut recorder, store, _) = recorder().await;
    ask(&mut recorder, &intent("t-1", "exit")).await;
    for (kind, status) in [
        ("position_mismatch", DiscrepancyStatus::Unresolved),
        ("missing_fills", DiscrepancyStatus::Pending),
        ("something_new", DiscrepancyStatus::Unresolved),
    ] {
        see(&store, kind, "BTCUSDT", status).await;
    }
    let identity = ExchangeIdentity { base_url: "https://fapi.binance.com".to_owned(), alias: None };
    store.bind_identity(&account(), identity).await.unwrap();
    let failure = LookFailure { kind: LookFailureKind::Unreachable, reason: "no route".to_owned() };
    look(&store, 0, BTreeMap::from([(LookStream::Account, LookResult::Failed(failure))])).await;
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("book.db.spool");
    std::fs::write(&spool, "{}\n").unwrap();
    let mut held = gate(store.as_ref(), &account(), &symbol("BTCUSDT"), None, terms(0, Some(&spool))).await;
    held.reasons.extend(Gate::unknown_account(&account()).reasons);
    let told: Vec<_> = held.reasons.iter().map(|reason| (reason.kind.as_str(), reason.advice.as_str())).collect();
    for (kind, advice) in [
        ("unreplayed_spool", "fillbook record"),
        ("undecided_intent", "`fillbook sync` settles it"),
        (
            "open_discrepancy",
            "`fillbook discrepancies` tells what differs; it is settled by this: book and exchange hold the same",
        ),
        ("open_discrepancy", "`fillbook sync` looks again; it is settled by this: the order's fills add up"),
        ("failed_look", "`fillbook sync` once that is mended"),
        ("stale_look", "`fillbook sync` asks again"),
        ("unknown_account", "`--account`"),
    ] {
        assert!(told.iter().any(|told| told.0 == kind && told.1.contains(advice)), "{kind} {advice}: {told:?}");
    }
    for (reason, told) in held.reasons.iter().zip(held.to_json()["reasons"].as_array().unwrap()) {
        assert!(!reason.advice.is_empty() && told["advice"] == reason.advice.as_str(), "{told}");
        assert_eq!(told["discrepancy"].is_i64(), reason.kind == GateReasonKind::OpenDiscrepancy, "{told}");
    }
}

#[tokio::test]
async fn what_cannot_be_computed_holds_back() {
    let (mut recorder, store, _) = recorder().await;
    // A coin-margined contract of which nothing says what one of them is worth.
    let mut of_coin = trade("BTCUSD_PERP", 1, 7, "BUY", "100", START_MS);
    of_coin["info"]["commissionAsset"] = "BTC".into();
    let answer = ask(&mut recorder, &json!({ "event": "trade", "trade": of_coin })).await;
    assert_eq!(answer["outcome"], "recorded", "{answer}");
    let held = gate(store.as_ref(), &account(), &symbol("BTCUSD_PERP"), None, terms(0, None)).await;
    assert_eq!(held.reasons[0].kind, GateReasonKind::NotComputed, "{held:?}");
}

#[tokio::test]
async fn a_book_that_cannot_be_read_allows_nothing() {
    let (_, store, _) = recorder().await;
    let other = AccountId::new("other").unwrap();
    let held = gate(store.as_ref(), &other, &symbol("BTCUSDT"), None, terms(0, None)).await;
    assert_eq!(held, Gate::unknown_account(&other));
    assert!(held.is_unreadable() && !held.is_allowed());
    // A spool that is a folder cannot be looked into, and one that is empty holds nothing.
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("book.db.spool");
    let asked =
        async || gate(store.as_ref(), &account(), &symbol("BTCUSDT"), None, terms(0, Some(&spool))).await.is_allowed();
    assert!(asked().await);
    std::fs::write(&spool, "").unwrap();
    assert!(asked().await);
    std::fs::write(&spool, "{}\n").unwrap();
    assert!(!asked().await);
}

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// A look that began and ended `ms` after the start.
async fn look(store: &Book, ms: i64, streams: BTreeMap<LookStream, LookResult>) {
    let (account, began) = (account(), at(ms));
    let look = NewLook {
        account,
        began_local: began,
        ended_local: began,
        began_at: Some(began),
        ended_at: Some(began),
        streams,
    };
    store.record_look(look).await.unwrap();
}

fn seen(ms: i64, seen: &Seen) -> BTreeMap<LookStream, LookResult> {
    let result = || LookResult::Seen { seen_at: at(ms), seen: seen.clone() };
    [LookStream::Account, LookStream::Positions, LookStream::Orders].map(|stream| (stream, result())).into()
}

#[tokio::test]
async fn a_look_that_failed_or_is_too_old_holds_back() {
    use GateReasonKind::{FailedLook, StaleLook};
    let (mut recorder, store, clock) = recorder().await;
    let kinds = async |ms: i64| {
        let held = gate(store.as_ref(), &account(), &symbol("BTCUSDT"), None, terms(ms, None)).await;
        held.reasons.into_iter().map(|reason| reason.kind).collect::<Vec<_>>()
    };
    // Nobody can ask the exchange for this account: what its bot records is all that there is.
    assert_eq!(kinds(1_000 * HOUR_MS).await, []);
    let identity = ExchangeIdentity { base_url: "https://fapi.binance.com".to_owned(), alias: None };
    store.bind_identity(&account(), identity).await.unwrap();
    assert_eq!(kinds(0).await, [StaleLook, StaleLook], "never");
    look(&store, 0, seen(0, &Seen::default())).await;
    assert_eq!(kinds(24 * HOUR_MS).await, [], "flat");
    assert_eq!(kinds(24 * HOUR_MS + 1).await, [StaleLook, StaleLook]);
    assert_eq!(kinds(-2 * MINUTE_MS).await, [StaleLook, StaleLook], "from the future");
    // Something is held: a quarter of an hour. A fill that was recorded since is no reason by itself.
    ask(&mut recorder, &json!({ "event": "trade", "trade": trade("BTCUSDT", 1, 7, "BUY", "100", START_MS + 1) })).await;
    assert_eq!(kinds(15 * MINUTE_MS).await, []);
    assert_eq!(kinds(15 * MINUTE_MS + 1).await, [StaleLook, StaleLook]);
    // The same as an answer to the bot, by the recorder's clock.
    clock.advance(std::time::Duration::from_mins(16));
    let question = json!({ "event": "gate", "symbol": "BTCUSDT" });
    let answer = ask(&mut recorder, &question).await;
    assert_eq!((&answer["allowed"], &answer["reasons"][0]["kind"]), (&json!(false), &json!("stale_look")), "{answer}");
    let patient = FreshnessLimits { open_ms: HOUR_MS, ..FreshnessLimits::default() };
    let mut recorder = recorder.with_freshness(patient);
    assert_eq!(ask(&mut recorder, &question).await["allowed"], true);
    // A look that failed, however young the answers before it are, until one succeeds.
    let failure = LookFailure { kind: LookFailureKind::Unreachable, reason: "no route".to_owned() };
    look(&store, MINUTE_MS, BTreeMap::from([(LookStream::Account, LookResult::Failed(failure))])).await;
    assert_eq!(kinds(2 * MINUTE_MS).await, [FailedLook]);
    look(&store, 2 * MINUTE_MS, seen(2 * MINUTE_MS, &Seen::default())).await;
    assert_eq!(kinds(3 * MINUTE_MS).await, []);
    // One that could not read this contract says nothing of it, and one at others saw that it differs.
    for of in ["BTCUSDT", "ETHUSDT"] {
        let expected = if of == "BTCUSDT" { vec![StaleLook] } else { Vec::new() };
        let except = Seen { except: [symbol(of)].into(), ..Seen::default() };
        look(&store, 3 * MINUTE_MS, seen(3 * MINUTE_MS, &except)).await;
        assert_eq!(kinds(3 * MINUTE_MS).await, expected, "{of} was not read");
        look(&store, 3 * MINUTE_MS, seen(3 * MINUTE_MS, &Seen::default())).await;
        let narrowed = LookResult::Narrowed { left_aside: [symbol(of)].into(), cleared: None };
        look(&store, 4 * MINUTE_MS, BTreeMap::from([(LookStream::Account, narrowed)])).await;
        assert_eq!(kinds(4 * MINUTE_MS).await, expected, "{of} was left aside");
    }
}

#[tokio::test]
async fn a_conflict_holds_back_where_it_is_about_what_is_held() {
    for (fingerprint, holds) in [
        ("price|price|BTCUSDT/mark/1", false),
        ("fill|fee|BTCUSDT/1/BUY", false),
        ("fill|qty|BTCUSDT/1/BUY", true),
        ("fill|price|BTCUSDT/1/BUY", true),
        ("order|engine|BTCUSDT/REGULAR/1", false),
        ("order|status|BTCUSDT/REGULAR/1", true),
        ("intent|outcome|bot-1", true),
        ("position|qty|BTCUSDT/NET/1", true),
        ("balance|wallet|USDT/1", false),
        ("something|new|1", true),
        ("nothing", true),
    ] {
        let (_, store, _) = recorder().await;
        let key = DiscrepancyKey { kind: "conflicting_fact".to_owned(), fingerprint: fingerprint.to_owned() };
        let mut batch = Batch::new(account(), at(0), Vec::new());
        let (symbol, status) = (Some(symbol("BTCUSDT")), DiscrepancyStatus::Unresolved);
        batch.discrepancies.push(NewDiscrepancy {
            key,
            symbol: symbol.clone(),
            status,
            evidence_json: "{}".to_owned(),
        });
        store.commit(batch).await.unwrap();
        let held = gate(store.as_ref(), &account(), &symbol.unwrap(), None, terms(0, None)).await;
        assert_eq!(!held.is_allowed(), holds, "{fingerprint}: {held:?}");
    }
}
