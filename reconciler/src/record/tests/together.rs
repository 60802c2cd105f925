//! Lines that wait together, and two recorders of one book.

use std::collections::VecDeque;

use ledger_store::contract::dump;
use serde_json::json;

use super::*;

fn waiting(lines: &[Value]) -> VecDeque<(u64, String)> {
    (1..).zip(lines.iter().map(Value::to_string)).collect()
}

#[tokio::test]
async fn lines_that_share_a_transaction_are_what_they_are_alone() {
    let mut lines = Vec::new();
    for nth in 0..40_u64 {
        let at = START_MS + i64::try_from(nth).unwrap();
        lines.push(json!({ "event": "signal", "symbol": "BTCUSDT", "side": "long", "time": at, "ref": nth }));
        // Refused with a field, and for what the book has; the same line twice; a question in between.
        lines.push(json!({ "event": "signal", "symbol": "BTCUSDT", "side": "up", "ref": nth }));
        lines.push(json!({ "event": "label", "symbol": "BTCUSDT", "order_id": "nobody", "engine": "x" }));
        let mut entry = intent(&format!("t-{nth}"), "entry");
        entry["time"] = at.into();
        lines.extend([entry.clone(), entry]);
        lines.push(json!({ "event": "trade", "trade": trade("BTCUSDT", nth + 1, 7, "BUY", "100", at) }));
        lines.push(json!({ "event": "gate", "symbol": "BTCUSDT" }));
    }
    let (mut alone, alone_book, _) = recorder().await;
    let mut expected = Vec::new();
    for (number, line) in waiting(&lines) {
        expected.extend(alone.line(number, &line).await);
    }
    let (mut together, book, _) = recorder().await;
    let (mut queue, mut answers, mut transactions) = (waiting(&lines), Vec::new(), 0);
    queue.push_back((0, "  ".to_owned()));
    while !queue.is_empty() {
        answers.extend(together.lines(&mut queue).await);
        transactions += 1;
    }
    assert_eq!(answers, expected);
    assert!(transactions < lines.len() / 4, "{transactions} transactions");
    assert_eq!(dump(book.as_ref(), &account()).await, dump(alone_book.as_ref(), &account()).await);
}

/// Two processes are given the same line, which does not say when: the second one finds the first one's fact.
#[tokio::test]
async fn two_recorders_announce_one_order_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book.db");
    let created_local = TimestampMs::new(START_MS).unwrap();
    let store = SqliteStore::open(&path, &OpenOptions::creating()).unwrap();
    store.create_account(NewAccount { id: account(), venue: "binance_usdm".into(), created_local }).await.unwrap();
    let mut recorders = Vec::new();
    for ahead_ms in [0, 7] {
        // Each with a clock of its own, so that two readings are never alike.
        let clock = Arc::new(ManualClock::new(TimestampMs::new(START_MS + ahead_ms).unwrap()));
        let book: Book = Arc::new(SqliteStore::open(&path, &OpenOptions::default()).unwrap());
        recorders.push(EventRecorder::open(book, account(), clock).await.unwrap());
    }
    let mut second = recorders.pop().unwrap();
    let mut first = recorders.pop().unwrap();
    for nth in 0..50 {
        let line = intent(&format!("t-{nth}"), "entry").to_string();
        let (one, other) = tokio::join!(first.line(1, &line), second.line(1, &line));
        let (one, other) = (one.unwrap().to_json(), other.unwrap().to_json());
        assert_eq!(one["client_order_id"], other["client_order_id"], "{one} {other}");
        let mut outcomes = [one["outcome"].as_str().unwrap(), other["outcome"].as_str().unwrap()];
        outcomes.sort_unstable();
        assert_eq!(outcomes, ["already_recorded", "recorded"], "{one} {other}");
    }
}
