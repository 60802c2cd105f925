//! What the journal is told as.

use std::collections::BTreeSet;

use ledger_core::testing::{at, main_account, symbol};
use ledger_store::{Discrepancy, DiscrepancyKey, DiscrepancyStatus, NewDiscrepancy, Repair, RunId};

use super::texts;
use crate::tell::event::{Amounts, EventKind};
use crate::tell::journal::{JournalSeen, begin, derive};
use crate::tell::state::TellState;

fn state() -> TellState {
    TellState::beginning(at(0), 0, BTreeSet::new())
}

fn repair(id: i64, kind: &str) -> Repair {
    Repair {
        id,
        account: main_account(),
        symbol: Some(symbol("ETHUSDT")),
        run_id: RunId(1),
        at_local: at(id),
        kind: kind.to_owned(),
        discrepancy_id: None,
        cause: format!("order {id} is FILLED with 0.4 executed"),
        evidence_json: "{}".to_owned(),
        before_json: None,
        after_json: None,
    }
}

fn differs(id: i64, status: DiscrepancyStatus, seen: i64) -> Discrepancy {
    let key = DiscrepancyKey { kind: "position_mismatch".to_owned(), fingerprint: id.to_string() };
    let evidence_json = r#"{"evidence":"the exchange holds 0.4, the book 0"}"#.to_owned();
    Discrepancy {
        id,
        account: main_account(),
        entry: NewDiscrepancy { key, symbol: Some(symbol("ETHUSDT")), status, evidence_json },
        first_seen_local: at(0),
        last_seen_local: at(seen),
        resolved_local: None,
        run_id: None,
    }
}

fn seen(last_repair: i64, repairs: Vec<Repair>, standing: Vec<Discrepancy>) -> JournalSeen {
    JournalSeen { was_compared: true, last_repair, repairs, standing }
}

#[test]
fn a_repair_is_told_once() {
    let mut state = state();
    let first = JournalSeen { was_compared: false, ..seen(2, vec![repair(1, "restore_fills")], Vec::new()) };
    begin(&mut state, &first);
    assert!(derive(&mut state, &first, at(5)).is_empty());
    // The first look has come to its end: what it brought is history.
    assert!(derive(&mut state, &seen(9, vec![repair(1, "restore_fills")], Vec::new()), at(6)).is_empty());
    let kinds = ["restore_fills", "restore_signal", "restore_order", "acknowledge", "restore_fills", "restore_fills"];
    let repairs: Vec<_> = kinds.into_iter().zip(10..).map(|(kind, id)| repair(id, kind)).collect();
    let told = derive(&mut state, &seen(15, repairs, Vec::new()), at(7));
    assert_eq!(
        texts(&told),
        [
            "main: 4 repairs (restore_fills, restore_order): order 10 is FILLED with 0.4 executed; order 12 is FILLED with 0.4 \
          executed; order 14 is FILLED with 0.4 executed; and 1 more `fillbook repairs` #repairs:10-15"
        ]
    );
    let none = told[0].text(&main_account(), Amounts::Percent);
    assert_eq!(none, "main: 4 repairs (restore_fills, restore_order) `fillbook repairs` #repairs:10-15");
    assert!(derive(&mut state, &seen(15, Vec::new(), Vec::new()), at(8)).is_empty());
    assert_eq!(state.repairs, Some(15));
}

#[test]
fn a_difference_is_told_when_it_is_confirmed_and_when_it_is_gone() {
    use DiscrepancyStatus::{Acknowledged, Pending, Unresolved};
    let mut state = state();
    let old = seen(0, Vec::new(), vec![differs(1, Unresolved, 1)]);
    begin(&mut state, &old);
    assert!(derive(&mut state, &old, at(1)).is_empty(), "it was there before");
    let mut tell = |standing, now| derive(&mut state, &seen(0, Vec::new(), standing), at(now));
    assert!(tell(vec![differs(1, Unresolved, 2), differs(2, Pending, 2)], 2).is_empty());
    let told = tell(vec![differs(1, Unresolved, 2), differs(2, Unresolved, 3)], 3);
    let key = format!("discrepancy:2:open:{}", at(3).as_ms());
    assert_eq!(
        texts(&told),
        [format!(
            "main: book and exchange differ: position_mismatch ETHUSDT: the exchange holds 0.4, the book 0 \
             `fillbook discrepancies --kind position_mismatch` #{key}"
        )]
    );
    let none = told[0].text(&main_account(), Amounts::None);
    assert!(!none.contains("0.4") && none.contains("position_mismatch ETHUSDT"), "{none}");
    // Doubted again it stands; accepted it is no matter; gone it is told.
    assert!(tell(vec![differs(1, Acknowledged, 4), differs(2, Pending, 4)], 4).is_empty());
    let told = tell(Vec::new(), 5);
    assert_eq!(told.iter().map(|it| it.kind).collect::<Vec<_>>(), [EventKind::Agrees], "{told:#?}");
    assert!(texts(&told)[0].contains("gone: position_mismatch ETHUSDT"));
    // It comes back: another message.
    let told = tell(vec![differs(2, Unresolved, 9)], 9);
    assert_eq!(told[0].key, format!("discrepancy:2:open:{}", at(9).as_ms()));
    let many = (10..20).map(|id| differs(id, Unresolved, 10)).chain([differs(2, Unresolved, 10)]).collect();
    let told = tell(many, 10);
    assert_eq!(told.len(), 1);
    assert!(texts(&told)[0].contains("differ: 10 position_mismatch `fillbook discrepancies`"), "{:?}", texts(&told));
    let told = tell(vec![differs(2, Unresolved, 11)], 11);
    assert!(told.len() == 1 && texts(&told)[0].contains("10 differences between book and exchange are gone"));
}
