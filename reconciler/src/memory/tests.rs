//! What is remembered is written and read here alone.

use ledger_store::{DiscrepancyStatus, NewDiscrepancy};
use serde_json::json;

use super::*;
use crate::tests::{account_id, at, btc};

fn on_record(kind: DiscrepancyKind, evidence: &Value) -> Discrepancy {
    let key = DiscrepancyKey { kind: kind.as_str().to_owned(), fingerprint: Subject::Account.to_string() };
    let (symbol, status, evidence_json) = (Some(btc()), DiscrepancyStatus::Pending, evidence.to_string());
    Discrepancy {
        id: 1,
        account: account_id(),
        entry: NewDiscrepancy { key, symbol, status, evidence_json },
        first_seen_local: at(0),
        last_seen_local: at(0),
        resolved_local: None,
        run_id: None,
    }
}

fn written(memory: impl Into<Memory>) -> Value {
    let mut evidence = Map::new();
    memory.into().write(&mut evidence);
    evidence.into()
}

fn all() -> Vec<Memory> {
    let (class, order_id) = (OrderClass::Conditional, OrderId::new("7/7").unwrap());
    let order = OrderKey { symbol: btc(), class, order_id: order_id.clone() };
    let (asset, difference) = (Asset::new("USDT").unwrap(), "-0.1".parse().unwrap());
    let (since, until) = (at(0), at(1));
    let inferred = InferredLabel { engine: EngineLabel::new("dca").unwrap(), told_by: Source::BotLog, since };
    let search = Some(SearchMemory { difference, since, again: true });
    let wait = Wait { since, looks: 2 };
    let misses = Misses { count: 2, last: Some(since) };
    let question = OrderQuestionMemory { class, order_id: order_id.clone() };
    let (income_type, fill_id) = ("COMMISSION".parse().unwrap(), FillId::new("5").unwrap());
    vec![
        AbsenceMemory { misses }.into(),
        SignalMemory { misses, candidates: vec![order], since: Some(since) }.into(),
        PositionMemory { search, held_before: Some(HeldBefore { qty: difference, since }) }.into(),
        EntryMemory { difference: None, since, again: false }.into(),
        LabelMemory { class, order_id: order_id.clone(), inferred: Some(inferred) }.into(),
        CloseMemory { class, order_id, since }.into(),
        GapMemory { stream: "income".into(), since, until }.into(),
        FillMemory { at: since }.into(),
        question.into(),
        LedgerRowMemory { fill_id, income_type, asset: asset.clone(), amount: difference }.into(),
        DemandMemory { fill_id: FillId::new("5").unwrap(), at: since, wait }.into(),
        FundingMemory { at: since, wait }.into(),
        WalletMemory { asset, since, until, moved: difference }.into(),
    ]
}

#[test]
fn what_is_written_is_read() {
    for memory in all() {
        let evidence = written(memory.clone());
        for kind in DiscrepancyKind::ALL {
            let expected =
                if memory.belongs_to(*kind) { Ok(Some(memory.clone())) } else { Err(MemoryError::OtherKind) };
            assert_eq!(read(&on_record(*kind, &evidence)), expected, "{kind} {evidence}");
        }
        assert!(DiscrepancyKind::ALL.iter().any(|kind| memory.belongs_to(*kind)), "{memory:?}");
    }
    // The contract is the row's own.
    let closed = on_record(DiscrepancyKind::UnexplainedClose, &written(all().remove(5)));
    let (known, close) = recall_all::<CloseMemory>(std::slice::from_ref(&closed)).next().unwrap();
    let key = close.order(known).unwrap();
    assert_eq!((key.symbol, key.class, key.order_id.as_str()), (btc(), OrderClass::Conditional, "7/7"));
}

#[test]
fn a_memory_that_cannot_be_read_is_an_error() {
    let kind = DiscrepancyKind::HistoryExpired;
    let good = written(all().remove(6));
    let mut newer = good.clone();
    newer[MEMBER]["version"] = json!(VERSION + 1);
    let mut renamed = good.clone();
    let said = renamed[MEMBER]["said"].as_object_mut().unwrap();
    let since = said.remove("since").unwrap();
    said.insert("from".to_owned(), since);
    let mut more = good.clone();
    more[MEMBER]["said"]["sure"] = json!(true);
    for (evidence, is_error) in [
        (good, None),
        (newer, Some("it was written in version 3, and this is version 2")),
        (renamed, Some("it cannot be read: unknown field `from`, expected one of `stream`, `since`, `until`")),
        (more, Some("it cannot be read: unknown field `sure`, expected one of `stream`, `since`, `until`")),
        (json!({ "evidence": "none" }), Some("it is missing")),
    ] {
        let known = [on_record(kind, &evidence)];
        let told = unreadable(&known).next().map(|(_, error)| error.to_string());
        assert_eq!(told.as_deref(), is_error, "{evidence}");
        assert_eq!(recall::<GapMemory>(&known, kind, &Subject::Account).is_some(), is_error.is_none());
    }
    // Of many kinds there may be nothing to remember, and of what the book notices itself there never is.
    assert!(read(&on_record(DiscrepancyKind::PositionMismatch, &json!({}))) == Ok(None));
    let mut foreign = on_record(kind, &json!({}));
    foreign.entry.key.kind = "conflicting_fact".to_owned();
    assert_eq!(read(&foreign), Ok(None));
}

#[test]
fn looks_that_are_closer_than_answers_lag_are_one() {
    let look = |ms| Looks { on_record: &[], now: at(ms), lag_ms: 10_000, has_asked: true };
    let counts = [0, 9_999, 10_000, 12_000, 19_999, 20_000].into_iter().scan(Misses::default(), |misses, ms| {
        *misses = misses.and(&look(ms));
        Some(misses.count)
    });
    assert_eq!(counts.collect::<Vec<_>>(), [1, 1, 2, 2, 2, 3]);
}
