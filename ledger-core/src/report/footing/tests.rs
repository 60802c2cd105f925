//! Made-up wallets, against arithmetic done by hand.

mod world;

use self::world::World;
use super::*;
use crate::certainty::Certainty;
use crate::fill::FillKey;
use crate::id::FillId;
use crate::income::Income;
use crate::movement::{Movement, MovementKind, MovementOrigin};
use crate::report::tests::{movement, trip};
use crate::round_trip::RoundTrip;
use crate::source::Side;
use crate::testing::{asset, at, balance, dec, income, symbol};
use crate::time::EventTime;

const DAY_MS: i64 = 86_400_000;

fn amounts(footing: &AssetFooting) -> [String; 5] {
    let terms = &footing.terms;
    [footing.moved, terms.closed, terms.carried_in, terms.open, footing.unexplained].map(|amount| amount.to_string())
}

/// Bought 3 @ 100 for a fee of 0.12; sold 1 @ 101.5 (fee 0.0406) on the same day and 2 @ 104 (fee 0.0832) the next.
/// The trip nets 1.5 + 8 - 0.2438 = 9.2562 whole; the first day moved the wallet by 1.5 - 0.1606, the second by 7.9168.
fn two_closes() -> World {
    let mut world = World::default();
    world.fill(1, 1, 1_000, "0", "-0.12");
    world.fill(1, 2, 50_000_000, "1.5", "-0.0406");
    world.fill(1, 3, DAY_MS + 500, "8", "-0.0832");
    world.trips.push(trip(1, 1_000, DAY_MS + 500, "9.5", ("0.2438", "USDT")));
    world.row("TRANSFER", "", "1000", 0, LedgerClass::Transfer);
    world.looks = vec![(10, "1000"), (60_000_000, "1001.3394"), (2 * DAY_MS, "1009.2562")];
    world.reach.reached = Some(at(2 * DAY_MS - 10_000));
    world
}

#[test]
fn a_partial_close_counts_when_it_happened() {
    let world = two_closes();
    for (since, until, expected) in [
        (Some(10), Some(DAY_MS), ["1.3394", "0", "0", "1.3394", "0"]),
        (Some(DAY_MS), Some(2 * DAY_MS), ["7.9168", "9.2562", "1.3394", "0", "0"]),
        (Some(10), Some(2 * DAY_MS), ["9.2562", "9.2562", "0", "0", "0"]),
        // From the second sale's instant on, and up to it.
        (Some(DAY_MS + 500), None, ["7.9168", "9.2562", "1.3394", "0", "0"]),
        (Some(10), Some(DAY_MS + 500), ["1.3394", "0", "0", "1.3394", "0"]),
        (Some(49_999_999), Some(50_000_001), ["1.4594", "0", "0", "1.4594", "0"]),
    ] {
        let footing = world.foot(since, until);
        assert_eq!(amounts(&footing), expected, "{since:?} {until:?}");
        assert_eq!(footing.outcome, FootingOutcome::Ties, "{footing:?}");
    }
    let whole = world.foot(None, None);
    assert_eq!(amounts(&whole), ["1009.2562", "9.2562", "0", "0", "0"]);
    assert_eq!((whole.terms.transfers, whole.outcome), (dec("1000"), FootingOutcome::Ties));
    // The first look, and nothing else, says what was there before the first entry.
    assert_eq!(whole.before, Some(WalletAt { amount: Decimal::ZERO, is_stated: false }));
    assert_eq!(whole.after, Some(WalletAt { amount: dec("1009.2562"), is_stated: true }));
}

/// Nobody looked at a wallet. A row that is missing may be in another file; one that says something else is wrong, or the
/// fill is.
#[test]
fn fills_and_as_many_entries_that_differ_need_no_wallet() {
    let files = || World { looks: Vec::new(), ..two_closes() };
    let realized = |world: &World| {
        let is_last = |(row, class): &(Income, LedgerClass)| *class == LedgerClass::Realized && row.amount == dec("8");
        world.rows.iter().position(is_last).unwrap()
    };
    assert_eq!(files().foot(None, None).unexplained_stretches(), []);
    let mut lacking = files();
    lacking.rows.remove(realized(&lacking));
    assert_eq!(lacking.foot(None, None).unexplained_stretches(), []);
    let mut other = files();
    let row = realized(&other);
    other.rows[row].0.amount = dec("8.5");
    let footing = other.foot(None, None);
    assert_eq!(footing.outcome, FootingOutcome::NotTied);
    assert_eq!(footing.unexplained_stretches(), [Stretch::default()]);
    // A fee that the ledger has in another asset.
    let mut other = files();
    let fee = other.rows.iter_mut().find(|(_, class)| *class == LedgerClass::Fee).unwrap();
    fee.0.key.asset = crate::testing::asset("BNB");
    let scope = FootingScope { period: Stretch::default(), symbol: None };
    let footed = other.feed(other.builder(&scope), &scope);
    assert!(footed.assets.iter().all(|footing| !footing.unexplained_stretches().is_empty()), "{footed:?}");
}

/// An entry of 1.00023333... folds to 0.2993 (1.2995333... - 1.0002333...) where the exchange, which rounds the entry to
/// 1.00023333, states 0.29930001.
#[test]
fn what_rounding_explains_harms_nothing() {
    for (stated, expected, outcome) in [
        ("0.29930001", ["0.00000001", "0"], FootingOutcome::Ties),
        ("0.29929998", ["-0.00000002", "0"], FootingOutcome::Ties),
        ("0.29930003", ["0", "0.00000003"], FootingOutcome::Differs),
    ] {
        let mut world = World { looks: vec![(0, "100"), (DAY_MS, "")], ..World::default() };
        world.fill(1, 1, 1_000, "0", "-0.1");
        world.fill(1, 2, 2_000_000, "0.2993", "-0.1");
        let wallet = dec("99.8").checked_add(dec(stated)).unwrap().to_string();
        world.looks[1].1 = Box::leak(wallet.into_boxed_str());
        let row = world.rows.iter_mut().find(|(_, class)| *class == LedgerClass::Realized).unwrap();
        row.0.amount = dec(stated);
        world.trips.push(trip(1, 1_000, 2_000_000, "0.2993", ("0.2", "USDT")));
        let footing = world.foot(None, None);
        assert_eq!([footing.terms.rounding, footing.unexplained].map(|amount| amount.to_string()), expected);
        assert_eq!(footing.outcome, outcome, "{footing:?}");
        assert_eq!(footing.terms.rounding_max, dec("0.00000002"));
    }
}

/// The opening of what was closed was never seen: the fold knows no profit, the exchange states 7.
#[test]
fn where_the_fold_is_unknown_the_ledger_stands_in() {
    for has_trade_ids in [true, false] {
        let mut world = World { looks: vec![(0, "100"), (DAY_MS, "106.5")], ..World::default() };
        world.fill(1, 1, 2_000_000, "7", "-0.3");
        world.movements[0].amount = None;
        world.movements[0].certainty = Certainty::Unknown;
        // Of another one not even the fee is on record; it was paid.
        world.fill(2, 2, 3_000_000, "0", "-0.2");
        let fee = world.movements.last_mut().unwrap();
        (fee.amount, fee.certainty) = (None, Certainty::Unknown);
        if !has_trade_ids {
            world.rows.iter_mut().for_each(|(row, _)| row.fill_id = None);
        }
        let footing = world.foot(Some(1), Some(DAY_MS));
        assert_eq!(amounts(&footing), ["6.5", "0", "0", "-0.3", "0"]);
        assert_eq!((footing.terms.stand_in, footing.outcome), (dec("6.8"), FootingOutcome::Ties), "{footing:?}");
    }
    // A contract that cannot be folded at all.
    let mut world = World { looks: vec![(0, "100"), (DAY_MS, "106.7")], ..World::default() };
    world.fill(1, 1, 2_000_000, "7", "-0.3");
    world.movements.clear();
    let scope = FootingScope::default();
    let mut builder = world.builder(&scope);
    builder.leave_out_contract(symbol("BTCUSDT"));
    let footing = world.feed(builder, &scope).assets.remove(0);
    assert_eq!((footing.terms.stand_in, footing.outcome), (dec("6.7"), FootingOutcome::Ties));
    // Entries of trades that are not on record stand in for nothing.
    let footing = world.foot(None, None);
    assert_eq!((footing.unexplained, footing.outcome), (dec("6.7"), FootingOutcome::Differs));
    let places: Vec<_> = footing.parts.iter().map(|part| (part.place.clone(), part.amount)).collect();
    let btc = symbol("BTCUSDT");
    let expected = [(UnexplainedPlace::Realized(btc.clone()), dec("7")), (UnexplainedPlace::Fees(btc), dec("-0.3"))];
    assert_eq!(places, expected);
}

#[test]
fn a_period_that_nobody_looked_at_is_not_tied() {
    let mut world = two_closes();
    world.looks = vec![(60_000_000, "1001.3394"), (DAY_MS + 4_000, "1009.2562")];
    let first = at(60_000_000);
    let last = at(DAY_MS + 4_000);
    let footing = world.foot(Some(10), Some(2 * DAY_MS));
    let reasons = vec![NotTied::NoLookBefore { first }, NotTied::NoLookAfter { last }];
    assert_eq!((footing.outcome, &footing.reasons), (FootingOutcome::NotTied, &reasons));
    assert_eq!(amounts(&footing), ["9.2562", "9.2562", "0", "0", "0"], "by the ledger");
    let part = footing.looked_at.unwrap();
    assert_eq!(part.period, Stretch { since: Some(at(60_000_001)), until: Some(at(DAY_MS + 4_001)) });
    assert_eq!(part.outcome, FootingOutcome::Ties, "{part:?}");
    // All of it before the first look, or after the last.
    world.row("TRANSFER", "", "1", DAY_MS + 9_000, LedgerClass::Transfer);
    for (since, until, reason) in
        [(10, 50_000_000, NotTied::NoLookBefore { first }), (DAY_MS + 4_100, 2 * DAY_MS, NotTied::NoLookAfter { last })]
    {
        let footing = world.foot(Some(since), Some(until));
        assert_eq!((footing.outcome, footing.reasons), (FootingOutcome::NotTied, vec![reason]));
        assert_eq!((footing.unexplained, footing.looked_at), (Decimal::ZERO, None));
    }
    // A wallet that did not move is not stated again: up to where the ledger reaches, that was looked at.
    world.rows.retain(|(row, _)| row.time.at < at(DAY_MS));
    world.movements.retain(|movement| movement.at < at(DAY_MS));
    world.trips.clear();
    world.looks[1].1 = "1001.3394";
    assert_eq!(world.foot(Some(40_000_000), Some(60_000_001)).reasons, [NotTied::NoLookBefore { first }]);
    world.looks = vec![(10, "1000"), (60_000_000, "1001.3394")];
    assert_eq!(world.foot(Some(11), Some(2 * DAY_MS - 10_000)).outcome, FootingOutcome::Ties);
    let last = at(60_000_000);
    assert_eq!(world.foot(Some(11), Some(2 * DAY_MS)).reasons, [NotTied::NoLookAfter { last }]);
    world.looks.clear();
    assert_eq!(world.foot(None, None).reasons, [NotTied::NeverLooked]);
}

#[test]
fn an_unknown_type_is_proven_by_the_wallet() {
    for (last, is_added, unexplained, outcome) in [
        ("1012.2562", Some(true), "0", FootingOutcome::Ties),
        ("1009.2562", Some(false), "0", FootingOutcome::Ties),
        ("1010.2562", None, "-2", FootingOutcome::NotTied),
    ] {
        let mut world = two_closes();
        world.looks[2].1 = last;
        world.row("NEVER_HEARD_OF", "BTCUSDT", "3", DAY_MS + 900, LedgerClass::Unknown);
        let footing = world.foot(None, None);
        let unknown = footing.terms.unknown.values().next().unwrap();
        assert_eq!((unknown.amount, unknown.row_count, unknown.is_added), (dec("3"), 1, is_added));
        assert_eq!((footing.unexplained, footing.outcome), (dec(unexplained), outcome), "{footing:?}");
    }
}

/// The fill was at .480, its entries, in an export, at the full second; a period begins at .200.
#[test]
fn a_fill_and_its_entries_stay_on_one_side_of_an_edge() {
    for has_trade_ids in [true, false] {
        let mut world = World { looks: vec![(0, "100"), (DAY_MS, "104.7")], ..World::default() };
        world.fill(1, 1, 1_000, "0", "-0.1");
        world.fill(1, 2, 3_600_480, "5", "-0.2");
        world.trips.push(trip(1, 1_000, 3_600_480, "5", ("0.3", "USDT")));
        for (row, _) in &mut world.rows {
            row.time = EventTime::seconds(row.time.at);
            if !has_trade_ids {
                row.fill_id = None;
            }
        }
        let footing = world.foot(Some(3_600_200), Some(DAY_MS));
        assert_eq!(amounts(&footing), ["4.8", "4.7", "-0.1", "0", "0"]);
        assert_eq!(footing.outcome, FootingOutcome::Ties);
        let footing = world.foot(Some(10), Some(3_600_200));
        assert_eq!(amounts(&footing), ["-0.1", "0", "0", "-0.1", "0"]);
        // An entry a moment after its fill, and an edge between them.
        for (row, _) in world.rows.iter_mut().skip(1) {
            row.time = EventTime::ms(at(3_600_483));
        }
        if has_trade_ids {
            assert_eq!(amounts(&world.foot(Some(10), Some(3_600_481))), ["4.7", "4.7", "0", "0", "0"]);
        }
    }
}

/// 2 went out of the wallet on the second day, and no entry says why.
#[test]
fn a_wallet_that_moved_without_an_entry_differs() {
    let mut world = two_closes();
    world.looks[2].1 = "1007.2562";
    world.looks.push((3 * DAY_MS, "1007.2562"));
    world.reach.reached = Some(at(4 * DAY_MS));
    let footing = world.foot(None, None);
    assert_eq!((footing.unexplained, footing.outcome), (dec("-2"), FootingOutcome::Differs));
    let stretch = Stretch { since: Some(at(60_000_001)), until: Some(at(2 * DAY_MS + 1)) };
    assert_eq!(footing.unexplained_stretches(), [stretch]);
    // Before it, everything ties. An edge within it is on the safe side.
    assert_eq!(world.foot(Some(10), Some(60_000_000)).outcome, FootingOutcome::Ties);
    assert_eq!(world.foot(Some(10), Some(60_000_001)).outcome, FootingOutcome::Ties);
    assert_eq!(world.foot(Some(10), Some(60_000_002)).outcome, FootingOutcome::Differs);
    // Where the ledger was not read, that explains it, and only the rest is footed.
    world.reach.unread = vec![(at(DAY_MS), at(2 * DAY_MS))];
    let footing = world.foot(None, None);
    assert_eq!(footing.reasons[0], NotTied::Unread { since: at(DAY_MS), until: at(2 * DAY_MS) });
    assert_eq!(footing.unexplained_stretches(), []);
    // The latest entries may be missing: up to the last look before them it ties.
    world.reach = LedgerReach { reached: Some(at(DAY_MS)), unread: Vec::new() };
    world.looks.pop();
    let footing = world.foot(None, None);
    assert_eq!(footing.reasons, [NotTied::Lagging { reached: at(DAY_MS) }]);
    assert_eq!(footing.looked_at.unwrap().outcome, FootingOutcome::Ties);
}

/// What a look states was asked for a moment before: entries of that moment may be in it or not.
#[test]
fn a_look_in_the_middle_of_things_agrees() {
    for wallet in ["1000", "1005", "1005.5"] {
        let mut world = World { looks: vec![(10, "1000"), (1_000_000, wallet), (DAY_MS, "1006")], ..World::default() };
        world.row("TRANSFER", "", "5", 1_000_000, LedgerClass::Transfer);
        world.row("TRANSFER", "", "0.5", 1_001_900, LedgerClass::Transfer);
        world.row("TRANSFER", "", "0.5", 1_002_001, LedgerClass::Transfer);
        let footing = world.foot(Some(11), Some(DAY_MS + 1));
        assert_eq!((footing.outcome, footing.moved), (FootingOutcome::Ties, dec("6")), "{wallet}");
    }
    let looks = vec![(10, "1000"), (999_000, "1006"), (1_000_000, "1006"), (DAY_MS, "1006")];
    let mut world = World { looks, ..World::default() };
    world.row("TRANSFER", "", "6", 1_002_001, LedgerClass::Transfer);
    assert_eq!(world.foot(None, Some(1_000_001)).unexplained, dec("6"));
}

/// A stale balance, or another account's, was recorded once. The looks around it and the ledger agree without it.
#[test]
fn a_look_that_all_others_contradict_is_outvoted() {
    let false_at = 55_000_000;
    for wallet in ["1000", "0", "1002.3394"] {
        let mut world = two_closes();
        world.looks.insert(1, (false_at, wallet));
        let edges =
            [None, Some(10), Some(20_000_000), Some(false_at), Some(false_at + 1), Some(DAY_MS), Some(2 * DAY_MS)];
        for (since, until) in edges.iter().flat_map(|since| edges.iter().map(move |until| (*since, *until))) {
            if since.zip(until).is_some_and(|(since, until)| since >= until)
                || until == Some(10)
                || since == Some(2 * DAY_MS)
            {
                continue;
            }
            let mut truth = two_closes().foot(since, until);
            let footing = world.foot(since, until);
            truth.outvoted.clone_from(&footing.outvoted);
            assert_eq!(footing, truth, "{wallet} {since:?} {until:?}");
            let is_in = since.is_none_or(|since| since <= false_at) && until.is_none_or(|until| false_at < until);
            assert_eq!(
                footing.outvoted,
                if is_in { vec![at(false_at)] } else { vec![] },
                "{wallet} {since:?} {until:?}"
            );
        }
    }
    // Two that say the same may be right, and entries be missing on either side.
    let mut world = two_closes();
    world.looks.splice(1..1, [(false_at, "1000"), (false_at + 1_000_000, "1000")]);
    let footing = world.foot(None, None);
    assert_eq!((footing.parts.len(), footing.outvoted), (2, vec![]));
    // Of the last look nothing tells yet whether it or the ones before are right.
    let mut world = two_closes();
    world.looks.push((3 * DAY_MS, "1000"));
    world.reach.reached = Some(at(4 * DAY_MS));
    assert_eq!(world.foot(None, None).outcome, FootingOutcome::Differs);
    // Two different ones in a row are two mistakes.
    let mut world = two_closes();
    world.looks.splice(1..1, [(false_at, "1000"), (false_at + 1_000_000, "7")]);
    let footing = world.foot(None, None);
    assert_eq!((footing.outcome, footing.outvoted.len()), (FootingOutcome::Ties, 2));
}

/// A month of nothing but funding on an open position, funding of no position, a wallet below zero, a row of 0, and rows
/// without a contract.
#[test]
fn each_kind_of_entry_stands_in_its_own_term() {
    let mut world = World { looks: vec![(0, "-3"), (2 * DAY_MS, "-4.05")], ..World::default() };
    world.funding(Some(1), DAY_MS, "-0.25");
    world.funding(None, DAY_MS + 10, "-0.5");
    world.row("FUNDING_FEE", "", "-0.1", DAY_MS + 20, LedgerClass::Position);
    world.row("REFERRAL_KICKBACK", "", "0.4", DAY_MS + 30, LedgerClass::Account);
    world.row("COMMISSION_REBATE", "BTCUSDT", "0", DAY_MS + 40, LedgerClass::Account);
    world.row("AUTO_EXCHANGE", "", "-0.6", DAY_MS + 50, LedgerClass::Conversion);
    let footing = world.foot(Some(10), Some(2 * DAY_MS));
    let FootingTerms { open, contracts, account, conversions, .. } = footing.terms.clone();
    assert_eq!([open, contracts, account, conversions].map(|term| term.to_string()), ["-0.25", "-0.5", "0.3", "-0.6"]);
    assert_eq!((footing.outcome, footing.moved), (FootingOutcome::Ties, dec("-1.05")));
    assert_eq!(footing.before.unwrap(), WalletAt { amount: dec("-3"), is_stated: true });
}

/// A clearance that came 5 s after the close, and an edge between them.
#[test]
fn an_entry_that_came_after_the_close_is_carried_out() {
    let mut world = World { looks: vec![(0, "100"), (DAY_MS, "48.7")], ..World::default() };
    world.fill(1, 1, 1_000, "0", "-0.1");
    world.fill(1, 2, 1_000_000, "-50", "-0.05");
    world.funding(Some(1), 1_005_000, "-1.15");
    let mut closed = trip(1, 1_000, 1_000_000, "-50", ("0.15", "USDT"));
    closed.funding =
        vec![crate::round_trip::AssetTotal { asset: asset("USDT"), total: CertainTotalOf::known("-1.15") }];
    world.trips.push(closed);
    let footing = world.foot(Some(10), Some(1_002_000));
    assert_eq!(amounts(&footing), ["-50.15", "-51.3", "0", "0", "0"]);
    assert_eq!((footing.terms.carried_out, footing.outcome), (dec("-1.15"), FootingOutcome::Ties));
    let footing = world.foot(Some(1_002_000), Some(DAY_MS));
    assert_eq!(amounts(&footing), ["-1.15", "0", "0", "-1.15", "0"]);
}

struct CertainTotalOf;

impl CertainTotalOf {
    fn known(amount: &str) -> crate::certainty::CertainTotal {
        let mut total = crate::certainty::CertainTotal::default();
        total.add(dec(amount), Certainty::Known).unwrap();
        total
    }
}

/// One contract has no wallet of its own: it is held against its entries.
#[test]
fn one_contract_is_held_against_its_entries() {
    let world = two_closes();
    let scope = FootingScope { period: Stretch::default(), symbol: Some(symbol("BTCUSDT")) };
    let mut entries_only = World { rows: world.rows.clone(), ..World::default() };
    entries_only.rows.retain(|(row, _)| row.key.symbol.is_some());
    let fed = World { trips: world.trips, movements: world.movements, ..entries_only };
    let footing = fed.feed(fed.builder(&scope), &scope).assets.remove(0);
    assert_eq!(amounts(&footing), ["9.2562", "9.2562", "0", "0", "0"]);
    assert_eq!((footing.outcome, footing.of_contract, footing.before), (FootingOutcome::Ties, true, None));
    let mut less = fed.rows.clone();
    less.pop();
    let less = World { rows: less, trips: fed.trips, movements: fed.movements, ..World::default() };
    let footing = less.feed(less.builder(&scope), &scope).assets.remove(0);
    assert_eq!((footing.outcome, footing.unexplained), (FootingOutcome::Differs, dec("0.0832")));
}

#[test]
fn the_sums_of_a_trade_with_oneself_count_both_halves() {
    let key = |side| FillKey { symbol: symbol("BTCUSDT"), fill_id: FillId::new("9").unwrap(), side };
    let mut world = World { looks: vec![(0, "10"), (DAY_MS, "9.7")], ..World::default() };
    for (side, fee) in [(Side::Buy, "-0.1"), (Side::Sell, "-0.2")] {
        world.fill(1, 9, 500_000, "0", fee);
        let last = world.movements.last_mut().unwrap();
        last.origin = MovementOrigin::Fill(key(side));
        (last.amount, last.certainty) = (None, Certainty::Unknown);
    }
    let footing = world.foot(None, None);
    assert_eq!((footing.terms.stand_in, footing.outcome), (dec("-0.3"), FootingOutcome::Ties));
}

/// A contract was delivered: the fill that closed the position has no entry of its own profit, the settlement has.
#[test]
fn a_settlement_is_the_profit_of_the_fills_that_it_closed() {
    let mut world = World { looks: vec![(0, "100"), (DAY_MS, "104.9")], ..World::default() };
    world.fill(1, 1, 1_000, "0", "-0.1");
    world.movements.push(movement(1, 2, 9_000, MovementKind::Realized, Some("4.99999999"), "USDT"));
    world.row("DELIVERED_SETTELMENT", "BTCUSDT", "5", 9_000, LedgerClass::Position);
    world.trips.push(trip(1, 1_000, 9_000, "4.99999999", ("0.1", "USDT")));
    let footing = world.foot(None, None);
    assert_eq!((footing.terms.rounding, footing.outcome), (dec("0.00000001"), FootingOutcome::Ties), "{footing:?}");
}

/// A round trip that turned out unknown has no profit in its totals, though single amounts of it are known.
#[test]
fn of_a_trip_that_turned_out_unknown_the_ledger_has_all_of_the_profit() {
    let mut world = World { looks: vec![(0, "100"), (DAY_MS, "109.8")], ..World::default() };
    world.fill(1, 1, 1_000, "4", "-0.1");
    world.fill(1, 2, 2_000, "6", "-0.1");
    world.movements[2].amount = None;
    let mut closed = trip(1, 0, 2_000, "0", ("0.2", "USDT"));
    closed.gross = crate::certainty::CertainTotal { unknown_count: 2, ..Default::default() };
    world.trips.push(closed);
    let footing = world.foot(None, None);
    assert_eq!(amounts(&footing), ["9.8", "-0.2", "0", "0", "0"]);
    assert_eq!(footing.terms.stand_in, dec("10"));
}

#[test]
fn what_came_back_of_a_fee_is_the_accounts_where_no_fill_has_it() {
    let mut world = two_closes();
    // Of the fee of the first fill on the next day; and of a stranger's fee.
    let row = income("REFERRAL_KICKBACK", "own", "BTCUSDT", "0.01", DAY_MS + 7_000);
    let mut own = movement(1, 0, DAY_MS + 7_000, MovementKind::Fee, Some("0.01"), "USDT");
    own.origin = MovementOrigin::Ledger(row.key.clone());
    // The fold has it with its fill.
    world.movements.insert(1, own);
    world.rows.push((row, LedgerClass::Kickback));
    world.row("REFERRAL_KICKBACK", "BTCUSDT", "0.5", DAY_MS + 8_000, LedgerClass::Kickback);
    world.trips = vec![trip(1, 1_000, DAY_MS + 500, "9.5", ("0.2338", "USDT"))];
    world.looks = vec![(10, "1000"), (60_000_000, "1001.3394"), (2 * DAY_MS, "1009.7662")];
    let second = world.foot(Some(DAY_MS), Some(2 * DAY_MS));
    assert_eq!(amounts(&second), ["8.4268", "9.2662", "1.3394", "0", "0"]);
    assert_eq!((second.terms.account, second.outcome), (dec("0.5"), FootingOutcome::Ties));
    let first = world.foot(Some(10), Some(DAY_MS));
    assert_eq!(amounts(&first), ["1.3394", "0", "0", "1.3394", "0"]);
}

#[test]
fn what_the_insurance_fund_adds_is_the_accounts_where_no_trip_has_it() {
    let mut world = two_closes();
    // The fund's, for two contracts at once; a charge that names no contract; and one that the fold has.
    world.row("INSURANCE_CLEAR", "BTCUSDT", "30", 2_000_000, LedgerClass::Clearance);
    let mut nameless = income("LIQUIDATION_FEE", "n", "BTCUSDT", "-2", 3_000_000);
    nameless.key.symbol = None;
    world.rows.push((nameless, LedgerClass::Clearance));
    let row = income("INSURANCE_CLEAR", "own", "BTCUSDT", "-1", 4_000_000);
    let mut own = movement(1, 0, 4_000_000, MovementKind::Clearance, Some("-1"), "USDT");
    own.origin = MovementOrigin::Ledger(row.key.clone());
    world.movements.push(own);
    world.rows.push((row, LedgerClass::Clearance));
    world.looks = vec![(10, "1000"), (60_000_000, "1028.3394")];
    let first = world.foot(Some(10), Some(60_000_001));
    assert_eq!(amounts(&first), ["28.3394", "0", "0", "0.3394", "0"]);
    assert_eq!((first.terms.liquidations, first.outcome), (dec("28"), FootingOutcome::Ties));
    // A charge of a contract that the fold does not have is not explained.
    world.row("INSURANCE_CLEAR", "BTCUSDT", "-4", 5_000_000, LedgerClass::Clearance);
    world.looks = vec![(10, "1000"), (60_000_000, "1024.3394")];
    let first = world.foot(Some(10), Some(60_000_001));
    assert_eq!((first.unexplained, first.outcome), (dec("-4"), FootingOutcome::Differs));
}

#[test]
fn an_edge_within_an_unexplained_stretch_is_not_tied() {
    let mut world = two_closes();
    // 5 went away between the second look and the third, and no entry says when.
    world.looks = vec![(10, "1000"), (60_000_000, "1001.3394"), (2 * DAY_MS, "1004.2562")];
    world.reach.reached = Some(at(3 * DAY_MS));
    let gap = NotTied::Unexplained { since: at(60_000_000), until: at(2 * DAY_MS) };
    let first = world.foot(Some(10), Some(DAY_MS));
    assert_eq!((first.outcome, first.reasons.as_slice()), (FootingOutcome::NotTied, [gap.clone()].as_slice()));
    assert_eq!((first.before, first.after, first.unexplained), (None, None, Decimal::ZERO));
    let looked_at = first.looked_at.as_ref().unwrap();
    assert_eq!((looked_at.period.until, looked_at.outcome), (Some(at(60_000_001)), FootingOutcome::Ties));
    // Nothing dated within the gap is sure.
    assert_eq!(first.unexplained_stretches(), [Stretch { since: Some(at(60_000_000)), until: Some(at(2 * DAY_MS)) }]);
    // Neither edge, and nothing between them was looked at.
    let within = world.foot(Some(70_000_000), Some(DAY_MS));
    assert_eq!((within.outcome, &within.looked_at), (FootingOutcome::NotTied, &None));
    // The parts never say more than the whole, which has the loss once.
    let whole = world.foot(Some(10), Some(2 * DAY_MS + 1));
    assert_eq!((whole.outcome, whole.unexplained), (FootingOutcome::Differs, dec("-5")));
}
