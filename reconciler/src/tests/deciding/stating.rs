//! Positions that are stated, and withdrawn.

use super::*;

#[test]
fn an_anchor_is_what_the_exchange_holds_without_the_fills_since() {
    let mut seen = beyond_memory();
    let first = plan(&seen);
    assert!(anchors(&first).is_empty() && first.repairs().count() == 0, "{first:#?}");
    assert_eq!(only(&first, DiscrepancyKind::PositionMismatch).outlook, Outlook::VerifyLagging);
    remembering(&mut seen, &first);
    seen.symbols.get_mut(&btc()).unwrap().fills.answer_mut().unwrap().asked_at = at(60_000);
    let second = plan(&seen);
    let [anchor] = anchors(&second)[..] else { panic!("{second:#?}") };
    // 1 was held: with 1 more @ 110 the average was 105, of which 1 sold @ 120 realized 15; so it was held @ 100.
    assert_eq!((anchor.qty, anchor.entry_price.unwrap().get()), ("1".parse().unwrap(), "100".parse().unwrap()));
    assert_eq!(anchor.at, at(-1_000_000));
    assert!(anchor.derivation.as_str().contains("2 fills"), "{}", anchor.derivation);
    assert!(
        second
            .repairs()
            .any(|repair| repair.kind.as_str() == "state_position" && repair.evidence_json.contains("interval"))
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
        let walk = seen.symbols.get_mut(&btc()).unwrap().fills.answer_mut().unwrap();
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
        seen.symbols.get_mut(&btc()).unwrap().beginning.known = known.collect();
        let first = plan(&seen);
        remembering(&mut seen, &first);
        seen.symbols.get_mut(&btc()).unwrap().fills.answer_mut().unwrap().asked_at = at(60_000);
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
        seen.symbols.get_mut(&btc()).unwrap().positions = Asked::Answered(answer(vec![held("3")]));
        let first = plan(&seen);
        only(&first, DiscrepancyKind::PositionMismatch);
        remembering(&mut seen, &first);
        seen.symbols.get_mut(&btc()).unwrap().fills.answer_mut().unwrap().asked_at = at(60_000);
        anchors(&plan(&seen)).len()
    };
    assert_eq!((states(Side::Buy, "4"), states(Side::Sell, "2")), (0, 0));
    // With another quantity something else is missing as well.
    assert_eq!((states(Side::Buy, "2"), states(Side::Sell, "4")), (1, 1));
}

/// The book has every fill, and the exchange says something else of the position: is anything stated?
fn stated_of(fills: &[(Side, &str)], booked: &str, says: &str, said: &[(i64, &str)]) -> (Vec<Anchor>, String) {
    let mut seen = quiet();
    let mut fills: Vec<Fill> = (1..)
        .zip(fills)
        .map(|(id, (side, realized))| {
            let mut fill = fill(id, "77", "1");
            (fill.key.side, fill.exchange_realized_pnl) = (*side, Some(realized.parse().unwrap()));
            fill.time = EventTime::ms(at(-500_000 + id));
            fill
        })
        .collect();
    fills.sort_by_key(|fill| fill.sequence);
    let mut close = close_look(fills.clone(), fills, says);
    if says == "0" {
        close.positions = Asked::Answered(answer(vec![]));
    }
    let walk = close.fills.answer_mut().unwrap();
    (walk.reaches_oldest, walk.continuity) = (true, Continuity::First);
    close.beginning.said = said.iter().map(|(ms, qty)| PositionSnapshot { at: at(*ms), ..held(qty) }).collect();
    seen.symbols.insert(btc(), close);
    let mut position = restraint::long();
    (position.position.position_side, position.position.qty) = (PositionSide::Net, booked.parse().unwrap());
    seen.book.positions = vec![position];
    let first = plan(&seen);
    remembering(&mut seen, &first);
    seen.symbols.get_mut(&btc()).unwrap().fills.answer_mut().unwrap().asked_at = at(60_000);
    let second = plan(&seen);
    let evidence = second.findings().map(|finding| finding.evidence.clone()).collect::<Vec<_>>().join("\n");
    (anchors(&second).into_iter().cloned().collect(), evidence)
}

#[test]
fn nothing_is_stated_against_what_fills_or_earlier_words_say() {
    let states = |fills: &[(Side, &str)], booked: &str, says: &str, said: &[(i64, &str)]| {
        stated_of(fills, booked, says, said).0.len()
    };
    // One was sold, and the list has no position: by that, one was held before, and closed for nothing.
    let sold = [(Side::Sell, "0")];
    assert_eq!(states(&sold, "-1", "0", &[]), 0);
    assert!(stated_of(&sold, "-1", "0", &[]).1.contains("realized nothing"));
    assert_eq!(states(&[(Side::Sell, "7")], "-1", "0", &[]), 1, "it closed something");
    assert_eq!(states(&sold, "-1", "2", &[]), 1, "what is held is listed");
    // It did so before another round trip as well.
    let more = [(Side::Sell, "0"), (Side::Buy, "0"), (Side::Sell, "9")];
    assert_eq!(states(&more, "-1", "0", &[]), 0);
    // What realized a profit would have opened something.
    let closed = [(Side::Sell, "7")];
    assert_eq!(states(&closed, "-1", "-2", &[]), 0);
    assert!(stated_of(&closed, "-1", "-2", &[]).1.contains("realized a profit"));
    // The exchange has said since what the book has: what differs came later.
    let bought = [(Side::Buy, "0")];
    assert_eq!(states(&bought, "1", "3", &[]), 1);
    assert_eq!(states(&bought, "1", "3", &[(-400_000, "1")]), 0);
    assert!(stated_of(&bought, "1", "3", &[(-400_000, "1")]).1.contains("held what the book has"));
    // Or before its fill; or before everything that it remembers, which says nothing.
    assert_eq!(states(&bought, "1", "3", &[(-600_000, "0")]), 0);
    assert_eq!(states(&bought, "1", "3", &[(-1_000_001, "0")]), 1);
    // It has always said the same; and where it has said both, the first word counts.
    assert_eq!(states(&bought, "1", "3", &[(-600_000, "2"), (-400_000, "3")]), 1);
    assert_eq!(states(&bought, "1", "3", &[(-600_000, "0"), (-400_000, "3")]), 0);
    assert_eq!(states(&bought, "1", "3", &[(-600_000, "2"), (-400_000, "1")]), 1);
    // Of another position, or of neither, it says nothing.
    assert_eq!(states(&bought, "1", "3", &[(-400_000, "5")]), 1);
}

#[test]
fn what_the_exchange_refutes_is_withdrawn() {
    let stated = Anchor {
        symbol: btc(),
        position_side: PositionSide::Net,
        at: at(-900_000),
        qty: "1".parse().unwrap(),
        entry_price: None,
        derivation: Label::new("test").unwrap(),
        known_before: None,
        withdrawn: None,
    };
    // The book holds 1 that is stated and one that was sold since: nothing. The exchange holds what was sold.
    let decided = |before: Option<&str>, anchor_ms: i64, coverage: Vec<CoverageSpan>| {
        let mut seen = quiet();
        let mut sold = fill(1, "77", "1");
        sold.key.side = Side::Sell;
        let mut close = close_look(vec![sold.clone()], vec![sold], "-1");
        let walk = close.fills.answer_mut().unwrap();
        (walk.reaches_oldest, walk.continuity) = (true, Continuity::Resumed);
        let key = (PositionSide::Net, at(anchor_ms));
        close.beginning.before_anchors = before.map(|sum| (key, sum.parse().unwrap())).into_iter().collect();
        seen.symbols.insert(btc(), close);
        seen.book.anchors = vec![Sourced::new(Anchor { at: at(anchor_ms), ..stated.clone() }, Source::Repair)];
        seen.book.coverage = coverage;
        let first = plan(&seen);
        assert!(anchors(&first).is_empty(), "that waits for a second look");
        remembering(&mut seen, &first);
        seen.symbols.get_mut(&btc()).unwrap().fills.answer_mut().unwrap().asked_at = at(60_000);
        let second = plan(&seen);
        let [said] = anchors(&second)[..] else { panic!("{second:#?}") };
        assert!(second.repairs().any(|repair| repair.kind.as_str().ends_with("_position")));
        (said.at == at(anchor_ms) && said.withdrawn.is_some(), said.qty)
    };
    let one: Decimal = "1".parse().unwrap();
    assert_eq!(decided(Some("0"), -900_000, vec![]), (true, one));
    // Without it the book would hold something else again: what was held is stated once more.
    assert!(!decided(Some("5"), -900_000, vec![]).0);
    assert!(!decided(None, -900_000, vec![]).0);
    // It stands before what the exchange remembers: only if all fills since are there.
    let span = |until: i64| CoverageSpan {
        stream: "fills".into(),
        symbol: Some(btc()),
        grade: CoverageGrade::Asked,
        since: at(-2_000_000),
        until: at(until),
    };
    assert_eq!(decided(Some("0"), -1_500_000, vec![span(0)]), (true, one));
    assert_eq!(decided(Some("0"), -1_500_000, vec![span(-1_200_000)]), (false, Decimal::ZERO));
}

/// A position that agrees with the book is no news where the same look brings fills that neither counts: it is an answer of
/// before them.
#[test]
fn a_position_is_recorded_where_it_counts_the_fills_of_its_look() {
    for (says, is_recorded) in [("1", false), ("2", true), ("3", false)] {
        let mut seen = quiet();
        let bought = |id: i64| Fill { time: EventTime::ms(at(-500_000 + id)), ..fill(id, "77", "1") };
        let mut close = close_look(vec![bought(1), bought(2)], vec![bought(1)], says);
        let walk = close.fills.answer_mut().unwrap();
        (walk.reaches_oldest, walk.continuity) = (true, Continuity::First);
        seen.symbols.insert(btc(), close);
        let mut position = restraint::long();
        (position.position.position_side, position.position.qty) = (PositionSide::Net, "1".parse().unwrap());
        seen.book.positions = vec![position];
        let decided = plan(&seen);
        let mut stated = decided.account_statements.iter();
        let is_stated = stated.any(|statement| matches!(statement.fact, AnyFact::Position(_)));
        assert_eq!(is_stated, is_recorded, "{says}");
        let mut found = decided.findings().filter(|finding| finding.kind == DiscrepancyKind::PositionMismatch);
        assert_eq!(found.any(|finding| finding.is_doubtful), !is_recorded, "{says}");
    }
}
