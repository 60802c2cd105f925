//! Stated positions, and fills that turn up before them.

use super::*;

fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn stated_at(ms: i64, qty: &str, entry: Option<&str>) -> Anchor {
    Anchor {
        symbol: btc(),
        position_side: PositionSide::Net,
        at: at(ms),
        qty: dec(qty),
        entry_price: entry.map(|price| price.parse().unwrap()),
        derivation: Label::new("test").unwrap(),
        known_before: None,
        withdrawn: None,
    }
}

fn traded(id: i64, ms: i64, side: Side, qty: &str, price: &str, realized: &str) -> Fill {
    let mut fill = fill(id, "77", qty);
    (fill.key.side, fill.time) = (side, EventTime::ms(at(ms)));
    (fill.price, fill.exchange_realized_pnl) = (price.parse().unwrap(), Some(dec(realized)));
    fill
}

/// The book with these anchors, and the fills of it that are before each.
fn book_of(anchors: &[Anchor], fills: &[Fill]) -> Observation {
    let mut seen = quiet();
    seen.book.anchors = anchors.iter().map(|anchor| Sourced::new(anchor.clone(), Source::Repair)).collect();
    for anchor in anchors.iter().filter(|anchor| anchor.withdrawn.is_none()) {
        let before = fills.iter().filter(|fill| fill.time.at < anchor.at).cloned();
        let before: Vec<_> = before.map(|fill| Sourced::new(fill, Source::ExchangeArchive)).collect();
        if !before.is_empty() {
            seen.book.before_anchors.insert((btc(), PositionSide::Net, anchor.at), before);
        }
    }
    seen
}

/// What is stated once everything planned is recorded.
fn recorded(anchors: &[Anchor], plan: &Plan) -> Vec<Anchor> {
    let mut known: BTreeMap<TimestampMs, Anchor> = anchors.iter().map(|anchor| (anchor.at, anchor.clone())).collect();
    for anchor in super::anchors(plan) {
        assert!(known.get(&anchor.at).is_none_or(|known| known.withdrawn.is_none()), "stated where one is withdrawn");
        known.insert(anchor.at, anchor.clone());
    }
    known.into_values().collect()
}

fn live(anchors: &[Anchor]) -> Vec<&Anchor> {
    anchors.iter().filter(|anchor| anchor.withdrawn.is_none()).collect()
}

#[test]
fn an_anchor_goes_when_older_fills_explain_it() {
    let anchors = [stated_at(-1_000, "3", None)];
    for (qty, kind) in [("3", "withdraw_stated_position"), ("2", "move_stated_position")] {
        let fills = [traded(1, -5_000, Side::Buy, qty, "100", "0")];
        let decided = plan(&book_of(&anchors, &fills));
        let repairs: Vec<_> = decided.repairs().map(|repair| repair.kind.as_str()).collect();
        assert_eq!(repairs, [kind]);
        assert!(decided.repairs().all(|repair| repair.before.is_some()));
    }
    // Without older fills nothing is said; with one that is stated earlier, adding up begins there.
    assert_eq!(plan(&book_of(&anchors, &[])).repairs().count(), 0);
    let anchors = [stated_at(-9_000, "1", None), stated_at(-1_000, "3", None)];
    let fills = [traded(1, -9_500, Side::Buy, "1", "100", "0"), traded(2, -5_000, Side::Buy, "2", "100", "0")];
    let after = recorded(&anchors, &plan(&book_of(&anchors, &fills)));
    assert!(live(&after).is_empty(), "{after:#?}");
}

/// The same, stated when the book had so much of the time before.
fn knowing(anchor: Anchor, until_ms: i64, fill_count: u64) -> Anchor {
    Anchor { known_before: Some(KnownBefore { until: at(until_ms), fill_count }), ..anchor }
}

/// What is stated once older fills are there.
fn then(anchor: &Anchor, fills: &[Fill]) -> Vec<(TimestampMs, Decimal)> {
    let anchors = [anchor.clone()];
    let after = recorded(&anchors, &plan(&book_of(&anchors, fills)));
    live(&after).into_iter().map(|anchor| (anchor.at, anchor.qty)).collect()
}

#[test]
fn an_anchor_stays_where_older_fills_do_not_reach_it() {
    let anchor = stated_at(-1_000, "3", Some("100"));
    let bought = [traded(1, -5_000, Side::Buy, "2", "100", "0")];
    let (stays, moves) = (vec![(at(-1_000), dec("3"))], vec![(at(-5_000), dec("1"))]);
    assert_eq!(then(&anchor, &bought), moves);
    // It closed something, and without what is missing in between there was nothing to close.
    let closed = [traded(1, -5_000, Side::Buy, "2", "100", "7")];
    assert_eq!(then(&anchor, &closed), stays);
    // Known to the second, it may have been at its beginning.
    let mut coarse = bought.clone();
    coarse[0].time = EventTime::seconds(at(-4_500));
    assert_eq!(then(&anchor, &coarse), vec![(at(-5_000), dec("1"))]);
}

#[test]
fn an_anchor_stays_behind_what_was_known_when_it_was_stated() {
    let anchor = stated_at(-1_000, "3", Some("100"));
    let bought = |id: i64, ms: i64, qty: &str| traded(id, ms, Side::Buy, qty, "100", "0");
    let stays = vec![(at(-1_000), dec("3"))];
    let one = [bought(1, -5_000, "2")];
    // Up to that very millisecond the book knew; or up to just before it.
    assert_eq!(then(&knowing(anchor.clone(), -5_000, 1), &one), stays);
    assert_eq!(then(&knowing(anchor.clone(), -5_001, 0), &one), vec![(at(-5_000), dec("1"))]);
    // Behind what was known it moves; what else turned up in front of that does not count.
    let more = [bought(2, -8_000, "7"), bought(1, -5_000, "1"), bought(3, -3_000, "1")];
    assert_eq!(then(&knowing(anchor.clone(), -5_000, 1), &more), vec![(at(-3_000), dec("2"))]);
    // And it stays behind it from then on.
    let moved = plan(&book_of(&[knowing(anchor.clone(), -5_000, 1)], &more));
    let [_, moved] = super::anchors(&moved)[..] else { panic!("{moved:#?}") };
    assert_eq!(moved.known_before, Some(KnownBefore { until: at(-5_000), fill_count: 1 }));
    // All of it is explained, wherever that turned up.
    let all = [bought(2, -8_000, "2"), bought(1, -5_000, "1")];
    assert!(then(&knowing(anchor.clone(), -5_000, 1), &all).is_empty());
    // The instant in front of the found fill is taken, and the one before that is known: nothing is stated there.
    let mut gone = stated_at(-4_999, "9", None);
    gone.withdrawn = Some(Label::new("test").unwrap());
    let anchors = [gone, knowing(anchor, -5_000, 1)];
    let after = recorded(&anchors, &plan(&book_of(&anchors, &[bought(1, -5_000, "1"), bought(3, -4_999, "1")])));
    assert_eq!(live(&after).into_iter().map(|anchor| (anchor.at, anchor.qty)).collect::<Vec<_>>(), stays);
}

/// What is true before each fill: quantity and cost, from flat, by average cost.
fn truth(fills: &[(bool, i64, i64)]) -> Vec<(i64, Decimal)> {
    let mut held = (0_i64, Decimal::ZERO);
    let mut before = Vec::new();
    for (buys, qty, price) in fills {
        before.push(held);
        let signed = if *buys { *qty } else { -*qty };
        let after = held.0 + signed;
        let entry = if held.0 == 0 { Decimal::ZERO } else { held.1.div_round(whole(held.0), 18).unwrap() };
        held = if held.0 == 0 || (held.0 > 0) == (signed > 0) {
            (after, held.1.checked_add(whole(signed * price)).unwrap())
        } else if after == 0 || (after > 0) == (held.0 > 0) {
            (after, entry.checked_mul_round(whole(after), 18).unwrap())
        } else {
            (after, whole(after * price))
        };
    }
    before.push(held);
    before
}

fn whole(number: i64) -> Decimal {
    Decimal::new(i128::from(number), 0).unwrap()
}

/// A small generator of numbers, so that a failing seed fails again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).unwrap() % bound
    }
}

#[test]
fn an_anchor_moves_back_in_front_of_older_fills() {
    let (mut moved, mut with_entry) = (0, 0);
    for seed in 0..400 {
        let mut random = Random(seed * 7_919 + 1);
        let number = 5 + random.below(25);
        let trades: Vec<(bool, i64, i64)> =
            (0..number).map(|_| (random.below(2) == 0, 1 + random.below(5), 90 + random.below(20))).collect();
        let truth = truth(&trades);
        let fills: Vec<Fill> = trades
            .iter()
            .enumerate()
            .map(|(index, (buys, qty, price))| {
                let (held, cost) = truth[index];
                let side = if *buys { Side::Buy } else { Side::Sell };
                let closed = if held != 0 && (held > 0) != *buys { held.abs().min(*qty) } else { 0 };
                let realized = if closed == 0 {
                    Decimal::ZERO
                } else {
                    let entry = cost.div_round(whole(held), 18).unwrap();
                    let gain = whole(*price).checked_sub(entry).unwrap();
                    gain.checked_mul_round(whole(if held > 0 { closed } else { -closed }), 8).unwrap()
                };
                let id = i64::try_from(index).unwrap() + 1;
                let ms = -1_000_000 + id * 10_000;
                traded(id, ms, side, &qty.to_string(), &price.to_string(), &realized.to_string())
            })
            .collect();
        // The exchange remembers what comes from here on.
        let mut known = usize::try_from(1 + random.below(number - 1)).unwrap();
        let (held, cost) = truth[known];
        if held == 0 {
            continue;
        }
        let entry = cost.div_round(whole(held), 12).unwrap().to_string();
        let begin = fills[known].time.at.as_ms() - NOW_MS;
        let mut anchors = vec![stated_at(begin, &held.to_string(), Some(&entry))];
        while known > 0 {
            known -= usize::try_from(1 + random.below(i64::try_from(known).unwrap())).unwrap();
            anchors = recorded(&anchors, &plan(&book_of(&anchors, &fills[known..])));
            // Once is enough.
            assert_eq!(plan(&book_of(&anchors, &fills[known..])).repairs().count(), 0, "seed {seed}");
            let (held, cost) = truth[known];
            if held == 0 {
                assert!(live(&anchors).is_empty(), "seed {seed}: nothing was held: {anchors:#?}");
                break;
            }
            let [anchor] = live(&anchors)[..] else { panic!("seed {seed}: {anchors:#?}") };
            assert_eq!((anchor.at, anchor.qty), (fills[known].time.at, whole(held)), "seed {seed}");
            moved += 1;
            if let Some(price) = anchor.entry_price {
                let stated = price.get().checked_mul_round(whole(held), 12).unwrap();
                let apart = stated.checked_sub(cost).unwrap().abs();
                assert!(apart < dec("0.00001"), "seed {seed}: {stated} is not {cost}");
                with_entry += 1;
            }
        }
    }
    assert!(moved > 200 && with_entry > moved / 2, "{moved} moved, {with_entry} with their entry");
}

#[test]
fn an_anchor_stays_behind_fills_that_nothing_places() {
    let anchors = [stated_at(-1_000, "3", None)];
    let moves = |side: Option<PositionSide>, mode: Option<PositionMode>| {
        let mut bought = traded(1, -5_000, Side::Buy, "2", "100", "0");
        bought.position_side = side;
        let mut seen = book_of(&anchors, &[bought]);
        seen.book.account.observed_mode = None;
        seen.position_mode = mode.ok_or_else(lost).into();
        plan(&seen).repairs().count() == 1
    };
    assert!(moves(Some(PositionSide::Net), None));
    assert!(moves(None, Some(PositionMode::OneWay)));
    assert!(!moves(None, Some(PositionMode::Hedge)) && !moves(None, None));
}
