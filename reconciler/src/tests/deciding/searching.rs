//! What is remembered of the search for why a quantity differs, and what may still go by itself.

use super::*;

/// The exchange holds 1, the book nothing; nothing may be stated.
fn differing(asked_at_ms: i64, reaches_oldest: bool) -> Observation {
    let mut seen = beyond_memory();
    let walk = seen.symbols.get_mut(&btc()).unwrap().fills.answer_mut().unwrap();
    (walk.continuity, walk.reaches_oldest, walk.asked_at) = (Continuity::Apart, reaches_oldest, at(asked_at_ms));
    seen
}

fn searched(seen: &Observation) -> (Option<i64>, Option<bool>) {
    let decided = plan(seen);
    let search = match &only(&decided, DiscrepancyKind::PositionMismatch).memory {
        Some(Memory::Position(position)) => position.search,
        _ => None,
    };
    (search.map(|search| search.since.as_ms()), search.map(|search| search.again))
}

#[test]
fn a_difference_is_searched_for_twice_as_far_apart_as_answers_lag() {
    assert_eq!(searched(&differing(0, false)), (None, None));
    let first = differing(0, true);
    assert_eq!(searched(&first), (Some(NOW_MS), Some(false)));
    let lag_ms = VENUE.settle_lag_ms;
    for (ms, reaches_oldest, lacks_a_trade, again) in [
        (lag_ms, true, false, false),
        (lag_ms + 1, true, false, true),
        (lag_ms + 1, false, false, false),
        // While the ledger names a trade that is on no list, there is something to look for.
        (lag_ms + 1, true, true, false),
    ] {
        let mut seen = differing(ms, reaches_oldest);
        remembering(&mut seen, &plan(&first));
        if lacks_a_trade {
            seen.income = Asked::Answered(walk(vec![checks::income("COMMISSION", 1, "-0.1")]));
            seen.book.unfilled = [(btc(), FillId::new("5").unwrap())].into();
        }
        let what = (ms, reaches_oldest, lacks_a_trade);
        assert_eq!(searched(&seen), (Some(NOW_MS), Some(again)), "{what:?}");
    }
    // Once is enough, and another difference begins anew.
    let mut seen = differing(lag_ms + 1, true);
    remembering(&mut seen, &plan(&first));
    let second = plan(&seen);
    let mut later = differing(lag_ms + 2, false);
    remembering(&mut later, &second);
    assert_eq!(searched(&later), (Some(NOW_MS), Some(true)));
    later.symbols.get_mut(&btc()).unwrap().positions = Asked::Answered(answer(vec![held("2")]));
    assert_eq!(searched(&later), (None, None));
}

#[test]
fn a_difference_may_go_by_itself_while_its_last_fill_is_fresh() {
    for (age_ms, outlook) in [(VENUE.settle_lag_ms, Outlook::VerifyLagging), (VENUE.settle_lag_ms + 1, Outlook::Verify)]
    {
        let mut seen = differing(0, false);
        let walk = seen.symbols.get_mut(&btc()).unwrap().fills.answer_mut().unwrap();
        for row in walk.rows.values_mut().filter(|row| row.entity.sequence == Some(2)) {
            row.entity.time = EventTime::ms(at(-age_ms));
        }
        let first = crate::plan::plan(&seen, &Policy::default(), at(-VENUE.settle_lag_ms)).unwrap();
        assert_eq!(only(&first, DiscrepancyKind::PositionMismatch).outlook, Outlook::VerifyLagging);
        remembering(&mut seen, &first);
        assert_eq!(only(&plan(&seen), DiscrepancyKind::PositionMismatch).outlook, outlook, "{age_ms}");
    }
}

#[test]
fn what_cannot_be_remembered_is_looked_at_anew_and_told() {
    let lag_ms = VENUE.settle_lag_ms;
    let mut seen = differing(lag_ms + 1, true);
    remembering(&mut seen, &plan(&differing(0, true)));
    assert_eq!(searched(&seen), (Some(NOW_MS), Some(true)));
    // The same, written by a version that calls things otherwise.
    let entry = &mut seen.book.discrepancies[0].entry;
    entry.evidence_json = entry.evidence_json.replace("\"difference\"", "\"gap\"");
    assert_eq!(searched(&seen), (Some(NOW_MS + lag_ms + 1), Some(false)));
    let first = plan(&seen);
    let told = only(&first, DiscrepancyKind::UnreadableMemory);
    assert_eq!((told.symbol.clone(), told.outlook), (Some(btc()), Outlook::Stays));
    assert!(told.evidence.contains("position_mismatch BTCUSDT/NET") && told.evidence.contains("`gap`"), "{told:?}");
    // Written again, it can be read, and nothing is told.
    let mut seen = differing(lag_ms + 2, true);
    remembering(&mut seen, &first);
    assert!(plan(&seen).findings().all(|finding| finding.kind != DiscrepancyKind::UnreadableMemory));
    // A look at other contracts says nothing about it.
    let mut elsewhere = differing(lag_ms + 1, true);
    elsewhere.book.discrepancies = seen.book.discrepancies.clone();
    elsewhere.book.discrepancies[0].entry.evidence_json = "[]".to_owned();
    elsewhere.scope = [symbol("ETHUSDT")].into();
    assert!(plan(&elsewhere).findings().all(|finding| finding.kind != DiscrepancyKind::UnreadableMemory));
}
