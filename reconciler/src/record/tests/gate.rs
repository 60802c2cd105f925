//! What holds an entry back.

use ledger_core::PositionSide;
use ledger_store::{Batch, Book, DiscrepancyKey, DiscrepancyStatus, NewDiscrepancy};
use serde_json::json;

use super::*;
use crate::discrepancy::DiscrepancyKind;
use crate::record::{Gate, GateReasonKind, gate};

fn symbol(name: &str) -> ledger_core::Symbol {
    ledger_core::Symbol::new(name).unwrap()
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
    let allowed = async |of: &str| gate(store.as_ref(), &account(), &symbol(of), None, None).await.is_allowed();
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
    let asked = async |side| gate(store.as_ref(), &account(), &symbol("BTCUSDT"), side, None).await;
    assert_eq!(asked(None).await.reasons[0].kind, GateReasonKind::UndecidedIntent);
    assert!(!asked(Some(PositionSide::Long)).await.is_allowed() && asked(Some(PositionSide::Short)).await.is_allowed());
    ask(&mut recorder, &sent(&id, "unknown")).await;
    assert!(!asked(None).await.is_allowed());
    ask(&mut recorder, &sent(&id, "accepted")).await;
    assert!(asked(None).await.is_allowed());
}

#[tokio::test]
async fn what_cannot_be_computed_holds_back() {
    let (mut recorder, store, _) = recorder().await;
    // A coin-margined contract of which nothing says what one of them is worth.
    let mut of_coin = trade("BTCUSD_PERP", 1, 7, "BUY", "100", START_MS);
    of_coin["info"]["commissionAsset"] = "BTC".into();
    let answer = ask(&mut recorder, &json!({ "event": "trade", "trade": of_coin })).await;
    assert_eq!(answer["outcome"], "recorded", "{answer}");
    let held = gate(store.as_ref(), &account(), &symbol("BTCUSD_PERP"), None, None).await;
    assert_eq!(held.reasons[0].kind, GateReasonKind::NotComputed, "{held:?}");
}

#[tokio::test]
async fn a_book_that_cannot_be_read_allows_nothing() {
    let (_, store, _) = recorder().await;
    let other = AccountId::new("other").unwrap();
    let held = gate(store.as_ref(), &other, &symbol("BTCUSDT"), None, None).await;
    assert_eq!(held, Gate::unknown_account(&other));
    assert!(held.is_unreadable() && !held.is_allowed());
    // A spool that is a folder cannot be looked into, and one that is empty holds nothing.
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("book.db.spool");
    let asked = async || gate(store.as_ref(), &account(), &symbol("BTCUSDT"), None, Some(&spool)).await.is_allowed();
    assert!(asked().await);
    std::fs::write(&spool, "").unwrap();
    assert!(asked().await);
    std::fs::write(&spool, "{}\n").unwrap();
    assert!(!asked().await);
}
