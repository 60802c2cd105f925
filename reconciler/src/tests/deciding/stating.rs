//! Positions that are stated, and withdrawn.

use super::*;

#[test]
fn an_anchor_is_what_the_exchange_holds_without_the_fills_since() {
    let mut seen = beyond_memory();
    let first = plan(&seen);
    assert!(anchors(&first).is_empty() && first.repairs().count() == 0, "{first:#?}");
    assert_eq!(only(&first, DiscrepancyKind::PositionMismatch).outlook, Outlook::VerifyLagging);
    remembering(&mut seen, &first);
    seen.symbols.get_mut(&btc()).unwrap().fills.as_mut().unwrap().asked_at = at(60_000);
    let second = plan(&seen);
    let [anchor] = anchors(&second)[..] else { panic!("{second:#?}") };
    // 1 was held: with 1 more @ 110 the average was 105, of which 1 sold @ 120 realized 15; so it was held @ 100.
    assert_eq!((anchor.qty, anchor.entry_price.unwrap().get()), ("1".parse().unwrap(), "100".parse().unwrap()));
    assert_eq!(anchor.at, at(-1_000_000));
    assert!(anchor.derivation.as_str().contains("2 fills"), "{}", anchor.derivation);
    assert!(
        second.repairs().any(|repair| repair.kind == "state_position" && repair.evidence_json.contains("interval"))
    );
    // On record, it explains everything.
    seen.book.anchors = vec![Sourced::new(anchor.clone(), Source::Repair)];
    seen.book.discrepancies.clear();
    assert!(anchors(&plan(&seen)).is_empty());
}

#[test]
fn no_anchor_while_a_gap_can_still_be_fetched() {
    let mut seen = beyond_memory();
    let first = plan(&seen);
    remembering(&mut seen, &first);
    for change in
        [|walk: &mut FillWalk| walk.reaches_oldest = false, |walk: &mut FillWalk| walk.continuity = Continuity::Apart]
    {
        let mut seen = beyond_memory();
        remembering(&mut seen, &first);
        let walk = seen.symbols.get_mut(&btc()).unwrap().fills.as_mut().unwrap();
        walk.asked_at = at(60_000);
        change(walk);
        assert!(anchors(&plan(&seen)).is_empty());
    }
}
