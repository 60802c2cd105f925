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

#[test]
fn an_anchor_says_what_the_book_knew_of_the_time_before() {
    let span = |since: i64, until: i64| CoverageSpan {
        stream: "fills".into(),
        symbol: Some(btc()),
        grade: CoverageGrade::Asked,
        since: at(since),
        until: at(until),
    };
    // Stated at -1,000,000.
    let knows = |known: &[(PositionSide, i64, u64)], coverage: Vec<CoverageSpan>| {
        let mut seen = beyond_memory();
        seen.book.coverage = coverage;
        let known = known.iter().map(|(side, ms, count)| (*side, KnownBefore { until: at(*ms), fill_count: *count }));
        seen.symbols.get_mut(&btc()).unwrap().known_before = known.collect();
        let first = plan(&seen);
        remembering(&mut seen, &first);
        seen.symbols.get_mut(&btc()).unwrap().fills.as_mut().unwrap().asked_at = at(60_000);
        let second = plan(&seen);
        let [anchor] = anchors(&second)[..] else { panic!("{second:#?}") };
        anchor.known_before.map(|known| (known.until.as_ms() - NOW_MS, known.fill_count))
    };
    let net = PositionSide::Net;
    assert_eq!(knows(&[], vec![]), None);
    assert_eq!(knows(&[(PositionSide::Long, -3_000_000, 2)], vec![]), None);
    assert_eq!(knows(&[(net, -3_000_000, 2)], vec![]), Some((-3_000_000, 2)));
    // A stretch that was read as a whole is known up to its end, wherever its last fill is.
    let read = span(-5_000_000, -2_000_000);
    assert_eq!(knows(&[(net, -3_000_000, 2)], vec![read.clone()]), Some((-2_000_001, 2)));
    assert_eq!(knows(&[(net, -1_500_000, 2)], vec![read.clone()]), Some((-1_500_000, 2)));
    assert_eq!(knows(&[], vec![read.clone()]), Some((-2_000_001, 0)));
    // One that reaches what is stated, or joins on to one that does, belongs to what comes after.
    assert_eq!(knows(&[], vec![span(-5_000_000, -999_000)]), None);
    let joined = vec![span(-1_500_000, 0), span(-1_800_000, -1_500_000), read.clone()];
    assert_eq!(knows(&[], joined), Some((-2_000_001, 0)));
    let mut other = read.clone();
    other.symbol = Some(symbol("ETHUSDT"));
    assert_eq!(knows(&[], vec![other, CoverageSpan { stream: "orders".into(), ..read }]), None);
}

#[test]
fn what_an_order_executed_beyond_its_fills_needs_no_stated_position() {
    // The exchange held 3 before what it remembers, and so did the book; an order executed 1 of which fills are missing.
    let states = |side: Side, qty: &str| {
        let mut seen = beyond_memory();
        let mut behind = order("90", OrderStatus::PartiallyFilled, "1");
        behind.side = side;
        seen.book.orders.insert(behind.key.clone(), booked(behind, "0"));
        let mut booked = restraint::long();
        (booked.position.position_side, booked.position.qty) = (PositionSide::Net, qty.parse().unwrap());
        seen.book.positions = vec![booked];
        seen.symbols.get_mut(&btc()).unwrap().positions = Ok(answer(vec![held("3")]));
        let first = plan(&seen);
        only(&first, DiscrepancyKind::PositionMismatch);
        remembering(&mut seen, &first);
        seen.symbols.get_mut(&btc()).unwrap().fills.as_mut().unwrap().asked_at = at(60_000);
        anchors(&plan(&seen)).len()
    };
    assert_eq!((states(Side::Buy, "4"), states(Side::Sell, "2")), (0, 0));
    // With another quantity something else is missing as well.
    assert_eq!((states(Side::Buy, "2"), states(Side::Sell, "4")), (1, 1));
}
