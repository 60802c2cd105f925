//! Reports of made-up round trips, against arithmetic done by hand.

use super::*;
use crate::certainty::{CertainTotal, Certainty};
use crate::fill::FillKey;
use crate::id::{EngineLabel, FillId};
use crate::movement::{MovementKind, MovementOrigin};
use crate::order::ExitReason;
use crate::report::footing::{FootingOutcome, FootingTerms, Stretch, Unexplained, UnexplainedPlace};
use crate::round_trip::Direction;
use crate::source::{PositionSide, Side};
use crate::testing::{asset, at, dec, mark, symbol};
use crate::trip_key::{Opening, TripKey};

const DAY_MS: i64 = 86_400_000;

fn total(name: &str, amount: &str, certainty: Certainty) -> AssetTotal {
    let mut total = CertainTotal::default();
    total.add(dec(amount), certainty).unwrap();
    AssetTotal { asset: asset(name), total }
}

fn opening(id: i64) -> Opening {
    Opening::Fill { side: Side::Buy, fill_id: FillId::new(id.to_string()).unwrap() }
}

/// A round trip of the contract, named by its fill `id`, that closed at `closed_ms` with this profit in USDT.
pub(super) fn trip(id: i64, opened_ms: i64, closed_ms: i64, gross: &str, fee: (&str, &str)) -> RoundTrip {
    RoundTrip {
        symbol: symbol("BTCUSDT"),
        position_side: PositionSide::Net,
        number: 1,
        direction: Direction::Long,
        opened_at: Some(at(opened_ms)),
        closed_at: Some(at(closed_ms)),
        opening: opening(id),
        closed_by: None,
        entry_qty: Decimal::ONE,
        entry_price_avg: None,
        exit_qty: Decimal::ONE,
        exit_price_avg: None,
        qty_max: Decimal::ONE,
        settle_asset: asset("USDT"),
        gross: total("USDT", gross, Certainty::Known).total,
        exchange_realized_pnl: Some(dec(gross)),
        fees: vec![total(fee.1, fee.0, Certainty::Known)],
        funding: Vec::new(),
        clearance: Vec::new(),
        was_liquidated: false,
        engine: None,
        other_engines: Vec::new(),
        exit_reason: ExitReason::Unknown,
        fill_count: 2,
        certainty: Certainty::Known,
    }
}

fn of_engine(engine: &str, closed_ms: i64, gross: &str, fee: &str, certainty: Certainty) -> RoundTrip {
    let mut trip = trip(1, 0, closed_ms, gross, (fee, "USDT"));
    trip.gross = total("USDT", gross, certainty).total;
    trip.engine = EngineLabel::new(engine).ok();
    trip.certainty = certainty;
    trip
}

/// An amount of the round trip that fill `trip` opened, by fill `id`.
pub(super) fn movement(trip: i64, id: i64, ms: i64, kind: MovementKind, amount: Option<&str>, name: &str) -> Movement {
    let key = TripKey { symbol: symbol("BTCUSDT"), position_side: PositionSide::Net, opening: opening(trip) };
    let fill = FillKey { symbol: symbol("BTCUSDT"), fill_id: FillId::new(id.to_string()).unwrap(), side: Side::Sell };
    Movement {
        at: at(ms),
        trip: Some(key),
        kind,
        asset: asset(name),
        amount: amount.map(dec),
        certainty: if amount.is_some() { Certainty::Known } else { Certainty::Unknown },
        origin: MovementOrigin::Fill(fill),
        exchange_realized_pnl: None,
        tolerance: if kind == MovementKind::Realized { dec("0.00000002") } else { Decimal::ZERO },
    }
}

/// Days of UTC.
fn days() -> SpanOf {
    std::sync::Arc::new(|at| {
        let day = at.as_ms().div_euclid(DAY_MS);
        let edge = |day: i64| TimestampMs::new(day * DAY_MS).unwrap();
        TimeSpan { since: edge(day), until: edge(day + 1), name: format!("day {}", day - 20_454) }
    })
}

fn report(by: GroupBy, trips: &[RoundTrip]) -> Report {
    let mut builder = ReportBuilder::new(by, Some(days()));
    for trip in trips {
        builder.add_trip(trip, &OtherAssets::default(), &[]).unwrap();
    }
    builder.finish().unwrap()
}

/// Nets 9.5, -4.5, -2.5, 2.5: cumulated 9.5, 5, 2.5, 5; the deepest fall is 9.5 - 2.5 = 7, the mean 5 / 4.
#[test]
fn drawdown_follows_closing_order() {
    let trips = [("10", 1), ("-4", 2), ("-2", 3), ("3", 4)]
        .map(|(gross, at)| of_engine("a", at, gross, "0.5", Certainty::Known));
    let total = report(GroupBy::Engine, &trips).total;
    let usdt = asset("USDT");
    assert_eq!(total.drawdown_max, [(usdt.clone(), dec("7"))]);
    assert_eq!((total.win_count, total.loss_count), (2, 2));
    assert_eq!(total.win_rate(), Some(dec("0.5")));
    // (9.5 + 2.5) / (4.5 + 2.5)
    assert_eq!(total.profit_factor(), [(usdt.clone(), dec("1.7143"))]);
    assert_eq!(total.expectancy(), [(usdt, dec("1.25"))]);
}

#[test]
fn an_unknown_trip_is_neither_won_nor_lost() {
    let trips = [of_engine("a", 1, "10", "0.5", Certainty::Known), of_engine("a", 2, "99", "0.5", Certainty::Unknown)];
    let total = report(GroupBy::Engine, &trips).total;
    assert_eq!((total.trip_count, total.win_count, total.unknown_count), (2, 1, 1));
    assert_eq!(total.win_rate(), Some(Decimal::ONE));
    assert_eq!((total.certainty(), total.result_certainty()), (Certainty::Unknown, Certainty::Unknown));
    assert_eq!(total.net[0].total.amount().unwrap(), dec("9"));
    assert_eq!(total.net[0].total.unknown_count, 1);
    // What the exchange states of both is known: 10 and 99.
    assert_eq!(total.exchange_gross[0].total.amount().unwrap(), dec("109"));
    assert_eq!(total.exchange_gross[0].total.certainty(), Certainty::Known);
}

#[test]
fn groups_add_up_to_the_total() {
    let trips = [
        of_engine("a", 1, "10", "0.5", Certainty::Known),
        of_engine("b", 2, "-1", "0.25", Certainty::Estimated),
        of_engine("", DAY_MS, "2", "-0.1", Certainty::Known),
    ];
    for by in [GroupBy::Engine, GroupBy::Symbol, GroupBy::Side] {
        let report = report(by, &trips);
        let mut sum = CertainTotal::default();
        report.rows.iter().for_each(|row| sum.merge(&row.stats.net[0].total).unwrap());
        assert_eq!(sum, report.total.net[0].total);
    }
    for by in GroupBy::ALL {
        assert_eq!(report(*by, &trips).rows.iter().map(|row| row.stats.trip_count).sum::<u64>(), 3);
    }
    let names: Vec<_> = report(GroupBy::Engine, &trips).rows.into_iter().map(|row| row.group).collect();
    assert_eq!(names, [NO_ENGINE, "a", "b"]);
}

#[test]
fn a_trip_left_out_leaves_no_group_certain() {
    let mut builder = ReportBuilder::new(GroupBy::Engine, None);
    let none = OtherAssets::default();
    builder.add_trip(&of_engine("a", 1, "10", "0.5", Certainty::Known), &none, &[]).unwrap();
    builder.leave_out_trip();
    builder.add_trip(&of_engine("b", 2, "-1", "0.5", Certainty::Known), &none, &[]).unwrap();
    let report = builder.finish().unwrap();
    for stats in report.rows.iter().map(|row| &row.stats).chain([&report.total]) {
        assert_eq!((stats.left_out_count, stats.unknown_count, stats.certainty()), (1, 0, Certainty::Unknown));
        for total in [&stats.gross, &stats.fees, &stats.net].map(|totals| totals[0].total) {
            assert_eq!(total.certainty(), Certainty::Unknown, "{total:?}");
        }
    }
    assert_eq!((report.total.trip_count, report.total.win_count), (2, 1));
    assert_eq!(report.total.net[0].total.amount().unwrap(), dec("8"));
    let mut builder = ReportBuilder::new(GroupBy::Engine, None);
    builder.leave_out_trip();
    assert_eq!(builder.finish().unwrap().total.certainty(), Certainty::Unknown, "without any amount");
}

#[test]
fn a_contract_left_out_leaves_no_total_certain() {
    let none = OtherAssets::default();
    let report = |by| {
        let mut builder = ReportBuilder::new(by, None);
        builder.add_trip(&of_engine("a", 1, "10", "0.5", Certainty::Known), &none, &[]).unwrap();
        builder.leave_out_contract(crate::testing::symbol("DELISTEDUSDT"));
        builder.finish().unwrap()
    };
    // Any strategy may have traded it, but no other contract has its trips.
    for (by, of_group) in [(GroupBy::Engine, Certainty::Unknown), (GroupBy::Symbol, Certainty::Known)] {
        let report = report(by);
        assert_eq!((report.rows[0].stats.certainty(), report.total.certainty()), (of_group, Certainty::Unknown));
        assert_eq!(report.total.net[0].total.certainty(), Certainty::Unknown);
        assert_eq!(report.uncomputed, [crate::testing::symbol("DELISTEDUSDT")]);
    }
    let mut builder = ReportBuilder::new(GroupBy::Symbol, None);
    builder.leave_out_contract(crate::testing::symbol("DELISTEDUSDT"));
    let empty = builder.finish().unwrap().total;
    assert_eq!((empty.certainty(), empty.result_certainty()), (Certainty::Unknown, Certainty::Unknown));
}

/// A grid: bought on day 0, a part sold on day 0 and a part on day 1, the rest is still held. Nothing closed, and yet 2
/// and 3 were earned, less a fee each day.
#[test]
fn money_counts_when_it_happened_by_time() {
    use MovementKind::{Fee, Funding, Realized};
    let mut builder = ReportBuilder::new(GroupBy::Day, Some(days()));
    for (id, ms, kind, amount) in [
        (1, 100, Fee, "-0.1"),
        (2, 200, Realized, "2"),
        (2, 200, Fee, "-0.2"),
        (3, DAY_MS, Realized, "3"),
        (3, DAY_MS, Fee, "-0.3"),
        (4, DAY_MS + 1, Funding, "-0.04"),
    ] {
        builder.add_movement(&movement(1, id, ms, kind, Some(amount), "USDT")).unwrap();
    }
    let report = builder.finish().unwrap();
    let shown: Vec<_> = report
        .rows
        .iter()
        .map(|row| (row.group.as_str(), row.stats.trip_count, row.stats.net[0].total.amount().unwrap().to_string()))
        .collect();
    assert_eq!(shown, [("day 0", 0, "1.7".to_owned()), ("day 1", 0, "2.66".to_owned())]);
    assert_eq!(report.total.net[0].total.amount().unwrap(), dec("4.36"));
    assert_eq!(report.total.gross[0].total.amount().unwrap(), dec("5"));
    assert_eq!(report.total.fees[0].total.amount().unwrap(), dec("0.6"));
}

#[test]
fn a_fee_in_another_asset_counts_at_its_price() {
    let mut prices = AssetPrices::default();
    prices.add(&mark("BNBUSDT", "600", 5_000));
    // Gross 1 USDT, and a whole BNB paid: lost 599.
    let lost = trip(1, 0, 10_000, "1", ("1", "BNB"));
    let mut other = OtherAssets::default();
    let fee = movement(1, 1, 5_500, MovementKind::Fee, Some("-1"), "BNB");
    other.add(&fee, &lost.settle_asset, &prices).unwrap();
    let mut builder = ReportBuilder::new(GroupBy::Symbol, None);
    builder.add_trip(&lost, &other, &[]).unwrap();
    let total = builder.finish().unwrap().total;
    assert_eq!((total.win_count, total.loss_count, total.unknown_count), (0, 1, 0));
    assert_eq!(total.valued, [self::total("USDT", "-599", Certainty::Known)]);
    assert_eq!(total.drawdown_max, [(asset("USDT"), dec("599"))]);
    assert!(total.before_fees_in.is_empty());
    // The amounts themselves stay apart.
    assert_eq!(total.net[0], self::total("BNB", "-1", Certainty::Known));
    assert_eq!(total.net[1], self::total("USDT", "1", Certainty::Known));
}

#[test]
fn two_prices_in_a_third_asset_value_a_fee_by_estimate() {
    // A contract in USDC, gross 1, that paid 0.001 BNB: 0.6 USDT, and a USDC is worth 1.2 of them.
    let valued = |with: &[(&str, &str, i64)]| {
        let mut prices = AssetPrices::default();
        for (pair, price, at) in with {
            prices.add(&mark(pair, price, *at));
        }
        let mut won = trip(1, 0, 10_000, "1", ("0.001", "BNB"));
        won.settle_asset = asset("USDC");
        let mut other = OtherAssets::default();
        let fee = movement(1, 1, 5_500, MovementKind::Fee, Some("-0.001"), "BNB");
        other.add(&fee, &won.settle_asset, &prices).unwrap();
        let mut builder = ReportBuilder::new(GroupBy::Symbol, None);
        builder.add_trip(&won, &other, &[]).unwrap();
        let total = builder.finish().unwrap().total;
        let valued: Vec<_> = total.valued.iter().map(|it| it.total.amount().unwrap().to_string()).collect();
        let crossed: Vec<_> = total.crossed_fees.iter().cloned().collect();
        (valued.join(" "), total.result_certainty(), crossed.join(" "), total.before_fees_in.len())
    };
    let of = |value: &str, certainty, crossed: &str, before| (value.to_owned(), certainty, crossed.to_owned(), before);
    let (bnb, usdc) = (("BNBUSDT", "600", 5_000), ("USDCUSDT", "1.2", 5_000));
    assert_eq!(valued(&[bnb, usdc]), of("0.5", Certainty::Estimated, "BNB by BNBUSDT / USDCUSDT", 0));
    // A price of its own stands against that, and each of the two has to be of that minute.
    assert_eq!(valued(&[bnb, usdc, ("BNBUSDC", "550", 5_000)]), of("0.45", Certainty::Known, "", 0));
    for lacking in [&[bnb][..], &[usdc], &[bnb, ("USDCUSDT", "1.2", 70_000)]] {
        let (_, _, crossed, before) = valued(lacking);
        assert_eq!((crossed.as_str(), before), ("", 1), "{lacking:?}");
    }
}

#[test]
fn without_a_price_a_fee_that_could_turn_the_result_leaves_it_unknown() {
    let none = AssetPrices::default();
    // Gross, the fee in BNB (below 0: a rebate), and: won, lost, unknown, certainty of the result.
    for (gross, fee, expected, certainty) in [
        ("1", "1", (0, 0, 1), Certainty::Unknown),
        ("0", "1", (0, 0, 1), Certainty::Unknown),
        ("-1", "1", (0, 1, 0), Certainty::Estimated),
        ("1", "-1", (1, 0, 0), Certainty::Estimated),
        ("-1", "-1", (0, 0, 1), Certainty::Unknown),
        ("1", "0", (1, 0, 0), Certainty::Known),
    ] {
        let trip = trip(1, 0, 10_000, gross, (fee, "BNB"));
        let mut other = OtherAssets::default();
        let paid = (-dec(fee)).to_string();
        other.add(&movement(1, 1, 5, MovementKind::Fee, Some(&paid), "BNB"), &asset("USDT"), &none).unwrap();
        for other in [other, OtherAssets::unpriced(&trip).unwrap()] {
            let mut builder = ReportBuilder::new(GroupBy::Symbol, None);
            builder.add_trip(&trip, &other, &[]).unwrap();
            let total = builder.finish().unwrap().total;
            assert_eq!((total.win_count, total.loss_count, total.unknown_count), expected, "{gross} {fee}");
            assert_eq!(total.result_certainty(), certainty, "{gross} {fee}");
            let named: Vec<_> = total.before_fees_in.iter().map(Asset::as_str).collect();
            assert_eq!(named, if fee == "0" { vec![] } else { vec!["BNB"] });
            // The amounts are as sure as they were.
            assert_eq!(total.certainty(), Certainty::Known);
        }
    }
}

#[test]
fn a_price_is_the_nearest_within_a_minute() {
    let mut prices = AssetPrices::default();
    for (name, price, ms) in
        [("BNBUSDT", "600", 0), ("BNBUSDT", "601", 40_000), ("BNBUSDT", "602", 200_000), ("USDCUSDT", "1.1", 0)]
    {
        prices.add(&mark(name, price, ms));
    }
    let price = |name: &str, settle: &str, ms| {
        prices.price(&asset(name), &asset(settle), at(ms)).map(|price| price.to_string())
    };
    for (ms, expected) in [
        (-60_001, None),
        (-60_000, Some("600")),
        (19_999, Some("600")),
        (20_000, Some("600")),
        (20_001, Some("601")),
        (100_000, Some("601")),
        (100_001, None),
        (140_000, Some("602")),
        (260_001, None),
    ] {
        assert_eq!(price("BNB", "USDT", ms).as_deref(), expected, "{ms}");
    }
    assert_eq!(price("USDT", "USDT", 900_000).as_deref(), Some("1"));
    assert_eq!(price("USDC", "USDT", 0).as_deref(), Some("1.1"));
    assert_eq!(price("BNB", "USDC", 0), None);
}

/// Two assets on two days; in one of them something is not explained on the second day.
#[test]
fn what_does_not_foot_is_not_known() {
    let footing = |outcome, parts| AssetFooting {
        asset: asset("USDT"),
        period: Stretch::default(),
        of_contract: false,
        before: None,
        after: None,
        moved: Decimal::ZERO,
        terms: FootingTerms::default(),
        unexplained: Decimal::ONE,
        parts,
        outcome,
        reasons: Vec::new(),
        looked_at: None,
        contradicted: Vec::new(),
        outvoted: Vec::new(),
        equity: None,
    };
    let second_day = Unexplained {
        place: UnexplainedPlace::Wallet,
        amount: Decimal::ONE,
        stretches: vec![Stretch { since: Some(at(DAY_MS + 5)), until: Some(at(DAY_MS + 9)) }],
    };
    let report = |by, outcome| {
        let mut builder = ReportBuilder::new(by, Some(days()));
        for (id, day, name) in [(1, 0, "USDT"), (2, DAY_MS, "USDT"), (3, 0, "USDC"), (4, DAY_MS, "USDC")] {
            let amount = movement(id, id, day + 1_000, MovementKind::Realized, Some("5"), name);
            builder.add_movement(&amount).unwrap();
            let mut trip = trip(id, 0, day + 1_000, "5", ("0", name));
            trip.settle_asset = asset(name);
            builder.add_trip(&trip, &OtherAssets::default(), &[]).unwrap();
        }
        builder.set_footing(vec![footing(outcome, vec![second_day.clone()])]);
        builder.finish().unwrap()
    };
    let certainties = |stats: &TripStats| {
        let net = stats.net.iter().map(|net| format!("{} {}", net.asset, net.total.certainty()));
        net.collect::<Vec<_>>().join(", ")
    };
    let by_day = report(GroupBy::Day, FootingOutcome::Differs);
    assert_eq!(certainties(&by_day.rows[0].stats), "USDC known, USDT known");
    assert_eq!(certainties(&by_day.rows[1].stats), "USDC known, USDT estimated");
    assert_eq!(certainties(&by_day.total), "USDC known, USDT estimated");
    assert_eq!(by_day.total.net[1].total.amount().unwrap(), dec("10"));
    let by_side = report(GroupBy::Side, FootingOutcome::Differs);
    assert_eq!(certainties(&by_side.rows[0].stats), "USDC known, USDT estimated");
    assert_eq!(by_side.total.result_certainty(), Certainty::Estimated);
    for outcome in [FootingOutcome::Ties, FootingOutcome::NotTied] {
        assert_eq!(certainties(&report(GroupBy::Side, outcome).total), "USDC known, USDT known");
    }
}
