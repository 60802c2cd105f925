//! What is demanded, by hand-worked tables: each rule, and each of its exceptions.

use super::*;
use crate::certainty::Certainty;
use crate::fill::Fill;
use crate::id::FillId;
use crate::income::Income;
use crate::snapshot::PositionSnapshot;
use crate::source::{PositionSide, Side};
use crate::symbol_fold::{FoldEvent, SymbolFold};
use crate::testing::{anchor, asset, at, buy, dec, fee, funding, funding_rate, income, linear, sell};

/// A fill of trade 7 at 7 s, with its fee and profit as "0.04 USDT" and "6"; empty where nothing is stated.
fn half(side: Side, paid: &str, profit: &str) -> Fill {
    let mut fill = crate::testing::fill("SOLUSDT", 7, side, "3", "150");
    if let Some((amount, name)) = paid.split_once(' ') {
        fill = fill.with_fee(fee(amount, name));
    }
    if profit.is_empty() { fill } else { fill.realizing(dec(profit)) }
}

/// A row as "COMMISSION -0.04 USDT 7": of which type, how much, of which trade; without the last it names none.
fn row(text: &str, ms: i64) -> Income {
    let words: Vec<&str> = text.split(' ').collect();
    let mut row = income(words[0], text, "SOLUSDT", words[1], ms);
    row.key.asset = asset(words[2]);
    row.fill_id = words.get(3).map(|id| FillId::new(*id).unwrap());
    row
}

fn shown(rows: &[DemandedRow]) -> Vec<String> {
    rows.iter().map(|row| format!("{} {} {} {}", row.income_type, row.amount, row.asset, row.fill_id)).collect()
}

/// The halves of a trade with oneself, the rows, and what is missing.
type HalvesCase<'a> = ([&'a str; 2], [&'a str; 2], &'a [&'a str], &'a [&'a str]);
/// Rows with their time, what is missing, and what cannot be told.
type UnnamedCase<'a> = (&'a [(&'a str, i64)], &'a [&'a str], &'a [&'a str]);

fn lacks(fills: &[Fill], rows: &[&str]) -> Vec<String> {
    let rows: Vec<Income> = rows.iter().map(|text| row(text, 7_000)).collect();
    shown(&lacking_rows(demanded_rows(fills, &asset("USDT")).unwrap(), &rows).unwrap())
}

#[test]
fn a_trade_demands_what_it_states() {
    // The fee, the profit, the rows of the ledger, and what is missing.
    let table: &[(&str, &str, &[&str], &[&str])] = &[
        ("0.04 USDT", "", &["COMMISSION -0.04 USDT 7"], &[]),
        ("0.04 USDT", "", &[], &["COMMISSION -0.04 USDT 7"]),
        ("0.04 USDT", "6", &["COMMISSION -0.04 USDT 7"], &["REALIZED_PNL 6 USDT 7"]),
        ("0.04 USDT", "-6", &["REALIZED_PNL -6 USDT 7"], &["COMMISSION -0.04 USDT 7"]),
        ("0.04 USDT", "6", &["COMMISSION -0.04 USDT 7", "REALIZED_PNL 6 USDT 7"], &[]),
        // The smallest amount that a ledger can have, and less than it.
        ("0.00000001 BNB", "", &[], &["COMMISSION -0.00000001 BNB 7"]),
        ("0.000000009 BNB", "", &[], &[]),
        ("0 USDT", "0", &[], &[]),
        // Rows of 0 are no harm.
        ("0 USDT", "0", &["COMMISSION 0 USDT 7", "REALIZED_PNL 0 USDT 7"], &[]),
        ("", "", &[], &[]),
        // A rebate is a fee that is got, and sources do not agree on the sign.
        ("-0.01 USDT", "", &[], &["COMMISSION 0.01 USDT 7"]),
        ("-0.04 USDT", "", &["COMMISSION -0.04 USDT 7"], &[]),
        // A fee is demanded in its own asset; of profit only the ledger says what it is paid in.
        ("0.04 USDT", "", &["COMMISSION -0.04 BNB 7"], &["COMMISSION -0.04 USDT 7"]),
        ("", "6", &["REALIZED_PNL 6 BNFCR 7"], &[]),
        // Of another trade, of another type, of no trade.
        ("0.04 USDT", "", &["COMMISSION -0.04 USDT 8"], &["COMMISSION -0.04 USDT 7"]),
        ("0.04 USDT", "", &["REALIZED_PNL -0.04 USDT 7"], &["COMMISSION -0.04 USDT 7"]),
        ("0.04 USDT", "", &["COMMISSION -0.04 USDT"], &["COMMISSION -0.04 USDT 7"]),
        // One of another amount is there: who compares amounts tells the difference.
        ("0.04 USDT", "6", &["COMMISSION -0.07 USDT 7", "REALIZED_PNL 5 USDT 7"], &[]),
        // In parts.
        ("0.04 USDT", "", &["COMMISSION -0.03 USDT 7", "COMMISSION -0.01 USDT 7"], &[]),
    ];
    for (paid, profit, rows, expected) in table {
        assert_eq!(lacks(&[half(Side::Buy, paid, profit)], rows), *expected, "{paid} {profit} {rows:?}");
    }
}

#[test]
fn both_halves_of_a_trade_with_oneself_count_together() {
    // What the buy and the sell state: fee and profit. 0.04 and 0.02 are 0.06; 6 and -6 are nothing.
    let table: &[HalvesCase<'_>] = &[
        (["0.04 USDT", ""], ["0.02 USDT", ""], &["COMMISSION -0.04 USDT 7", "COMMISSION -0.02 USDT 7"], &[]),
        (["0.04 USDT", ""], ["0.02 USDT", ""], &["COMMISSION -0.06 USDT 7"], &[]),
        (["0.04 USDT", ""], ["0.02 USDT", ""], &[], &["COMMISSION -0.06 USDT 7"]),
        (["0.04 USDT", ""], ["0.02 USDT", ""], &["COMMISSION -0.04 USDT 7"], &["COMMISSION -0.02 USDT 7"]),
        (["0.04 USDT", ""], ["0.02 USDT", ""], &["COMMISSION -0.02 USDT 7"], &["COMMISSION -0.04 USDT 7"]),
        // Each in its own asset.
        (["0.04 USDT", ""], ["0.001 BNB", ""], &["COMMISSION -0.04 USDT 7"], &["COMMISSION -0.001 BNB 7"]),
        (["0.04 USDT", ""], ["0 USDT", ""], &["COMMISSION -0.04 USDT 7"], &[]),
        // What they take back from each other is nothing, booked or not.
        (["0.02 USDT", ""], ["-0.02 USDT", ""], &[], &[]),
        (["0.02 USDT", ""], ["-0.02 USDT", ""], &["COMMISSION -0.02 USDT 7", "COMMISSION 0.02 USDT 7"], &[]),
        (["", "6"], ["", "-6"], &[], &[]),
        (["", "6"], ["", "-2"], &["REALIZED_PNL 6 USDT 7"], &["REALIZED_PNL -2 USDT 7"]),
        (["", "6"], ["", "0"], &["REALIZED_PNL 6 USDT 7"], &[]),
        (["", "6"], ["", "0"], &[], &["REALIZED_PNL 6 USDT 7"]),
    ];
    for (bought, sold, rows, expected) in table {
        let halves = [half(Side::Buy, bought[0], bought[1]), half(Side::Sell, sold[0], sold[1])];
        assert_eq!(lacks(&halves, rows), *expected, "{bought:?} {sold:?} {rows:?}");
    }
}

#[test]
fn rows_that_name_no_trade_stand_for_trades_by_time_or_sum() {
    // Three trades at 7, 8 and 20 s that paid 0.1, 0.2 and 0.4; the rows with their time in ms; what is missing, and what
    // cannot be told.
    let demands = || {
        let trade = |id: i64, paid: &str| buy("SOLUSDT", id, "1", "150").with_fee(fee(paid, "USDT"));
        let all = [trade(7, "0.1"), trade(8, "0.2"), trade(20, "0.4")];
        all.iter().flat_map(|fill| demanded_rows([fill], &asset("USDT")).unwrap()).collect::<Vec<_>>()
    };
    let (first, second, third) = ("COMMISSION -0.1 USDT 7", "COMMISSION -0.2 USDT 8", "COMMISSION -0.4 USDT 20");
    let table: &[UnnamedCase<'_>] = &[
        (&[("-0.1", 7_000), ("-0.2", 8_000), ("-0.4", 20_000)], &[], &[]),
        // Within the second, and a second late.
        (&[("-0.1", 7_999), ("-0.2", 9_999), ("-0.4", 21_000)], &[], &[]),
        (&[], &[first, second, third], &[]),
        (&[("-0.1", 7_000), ("-0.2", 8_000)], &[third], &[]),
        (&[("-0.1", 7_000), ("-0.4", 20_000)], &[second], &[]),
        // One row of both, in the second that both may be of.
        (&[("-0.3", 8_000), ("-0.4", 20_000)], &[], &[]),
        // Dated a minute off, they add up to all of them.
        (&[("-0.1", 67_000), ("-0.2", 68_000), ("-0.4", 80_000)], &[], &[]),
        (&[("-0.7", 500_000)], &[], &[]),
        // They do not: of what has no row near it a row is missing.
        (&[("-0.1", 67_000), ("-0.2", 68_000)], &[first, second, third], &[]),
        // A row of another amount: is it this one's?
        (&[("-0.3", 20_000)], &[first, second], &[third]),
        // Of another asset: none.
        (&[("-0.1 BNB", 7_000), ("-0.2", 8_000), ("-0.4", 20_000)], &[first], &[]),
    ];
    for (rows, lacking, untold) in table {
        let unnamed = |(text, ms): &(&str, i64)| {
            let (amount, name) = text.split_once(' ').unwrap_or((text, "USDT"));
            row(&format!("COMMISSION {amount} {name}"), *ms)
        };
        let rows: Vec<Income> = rows.iter().map(unnamed).collect();
        let told = without_unnamed(demands(), &rows).unwrap();
        assert_eq!(shown(&told.lacking), *lacking, "{rows:?}");
        assert_eq!(shown(&told.untold), *untold, "{rows:?}");
    }
}

#[test]
fn nothing_is_demanded_of_time_that_was_not_read() {
    let covered = CoveredTime::new([(at(50), at(60)), (at(10), at(20)), (at(20), at(30)), (at(70), at(70))]);
    assert_eq!(covered.stretches(), [(at(10), at(30)), (at(50), at(60))]);
    for (first, last, expected) in [
        (10, 29, Ok(())),
        (10, 30, Err(Unread::Between)),
        (9, 12, Err(Unread::Before)),
        (29, 29, Ok(())),
        (30, 31, Err(Unread::Between)),
        (25, 55, Err(Unread::Between)),
        (50, 59, Ok(())),
        (50, 60, Err(Unread::NotYet)),
        (60, 61, Err(Unread::NotYet)),
        (5, 100, Err(Unread::Before)),
    ] {
        assert_eq!(covered.holds(at(first), at(last)), expected, "{first} {last}");
    }
    let of =
        |stretches: &[(i64, i64)]| CoveredTime::new(stretches.iter().map(|(since, until)| (at(*since), at(*until))));
    for (other, without, within) in [
        (of(&[]), of(&[(10, 30), (50, 60)]), of(&[])),
        (of(&[(0, 100)]), of(&[]), of(&[(10, 30), (50, 60)])),
        (of(&[(15, 20), (25, 55)]), of(&[(10, 15), (20, 25), (55, 60)]), of(&[(15, 20), (25, 30), (50, 55)])),
        (of(&[(30, 50), (60, 70)]), of(&[(10, 30), (50, 60)]), of(&[])),
    ] {
        assert_eq!((covered.without(&other), covered.within(&other)), (without, within), "{other:?}");
    }
    assert_eq!(CoveredTime::default().holds(at(1), at(2)), Err(Unread::Never));
}

/// Positions as "LONG 0.5>1?": the sizes in turn, known unless a `?` says that they are estimated or a `!` unknown.
fn held(text: &str) -> HeldAround {
    let mut legs = Vec::new();
    for leg in text.split(", ").filter(|leg| !leg.is_empty()) {
        let (side, sizes) = leg.split_once(' ').unwrap();
        let certainty = match sizes.chars().last() {
            Some('?') => Certainty::Estimated,
            Some('!') => Certainty::Unknown,
            _ => Certainty::Known,
        };
        let sizes = sizes.trim_end_matches(['?', '!']).split('>').map(dec).collect();
        let position_side = side.parse().unwrap();
        legs.push(HeldLeg { position_side, sizes, certainty, stated_before: None, stated_after: None });
    }
    HeldAround { at: at(0), legs }
}

/// What is said of rows of these amounts, at this rate and mark price.
fn judged(rate: &str, mark: &str, positions: &str, rows: &[&str]) -> String {
    let rate = funding_rate("SOLUSDT", rate, Some(mark).filter(|mark| !mark.is_empty()), 0);
    let rows: Vec<Income> = rows
        .iter()
        .enumerate()
        .map(|(id, text)| {
            let (amount, name) = text.split_once(' ').unwrap_or((text, "USDT"));
            let mut row = funding("SOLUSDT", &id.to_string(), amount, 5_000);
            row.key.asset = asset(name);
            row
        })
        .collect();
    let (instrument, held) = (linear("SOLUSDT"), held(positions));
    match (FundingCase { instrument: &instrument, rate: &rate, rows: &rows, held: &held }).judge() {
        FundingVerdict::NotDemanded => "not demanded".to_owned(),
        FundingVerdict::Agrees => "agrees".to_owned(),
        FundingVerdict::Missing { amount } => format!("missing {amount}"),
        FundingVerdict::Differs { stated, least, most } => format!("{stated} for {least} to {most}"),
        FundingVerdict::NotCheckable(doubt) => format!("{doubt:?}"),
    }
}

#[test]
fn a_position_that_was_held_demands_its_funding() {
    // 50 at 100 are 5,000; a rate of 0.0001 is 0.5 of it. A long pays at a rate above 0.
    let table: &[(&str, &str, &str, &[&str], &str)] = &[
        ("0.0001", "100", "NET 50", &["-0.5"], "agrees"),
        ("0.0001", "100", "NET 50", &[], "missing -0.5"),
        ("0.0001", "100", "NET 50", &["-0.7"], "-0.7 for -0.5 to -0.5"),
        ("0.0001", "100", "NET 50", &["0.5"], "0.5 for -0.5 to -0.5"),
        ("0.0001", "100", "NET -50", &[], "missing 0.5"),
        ("-0.0001", "100", "NET 50", &[], "missing 0.5"),
        ("-0.0001", "100", "NET -50", &["-0.5"], "agrees"),
        // In two rows, as long as they add up.
        ("0.0001", "100", "NET 50", &["-0.2", "-0.3"], "agrees"),
        // One unit of the mark's last digit: 100.25 may be 100.26, which is 50 x 0.0001 x 0.01 = 0.00005 more, and the
        // rounding of 0.00000001.
        ("0.0001", "100.25", "NET 50", &["-0.50130001"], "agrees"),
        ("0.0001", "100.25", "NET 50", &["-0.50130002"], "-0.50130002 for -0.50125 to -0.50125"),
        ("0.0001", "100.25", "NET 50", &["-0.50119999"], "agrees"),
        ("0.0001", "100.25", "NET 50", &["-0.50119998"], "-0.50119998 for -0.50125 to -0.50125"),
        // A rate of 0 demands nothing, and nothing else may have been paid then.
        ("0", "100", "NET 50", &[], "not demanded"),
        ("0", "100", "NET 50", &["0"], "not demanded"),
        ("0", "100", "NET 50", &["-0.5"], "-0.5 for 0 to 0"),
        // 0.00001 at 1 and 0.0001 are a billionth: nothing that is booked. Ten times as much is.
        ("0.0001", "1", "NET 0.00001", &[], "not demanded"),
        ("0.0001", "1", "NET 0.0001", &[], "missing -0.00000001"),
        // Nothing was held.
        ("0.0001", "100", "NET 0", &[], "not demanded"),
        ("0.0001", "100", "", &[], "not demanded"),
        ("0.0001", "100", "NET 0", &["-0.5"], "Flat"),
        // What was held is not known.
        ("0.0001", "100", "NET 50?", &[], "Position"),
        ("0.0001", "100", "NET 50?", &["-0.7"], "Position"),
        ("0.0001", "100", "NET 50!", &[], "Position"),
        ("0.0001", "100", "NET 0!", &[], "Position"),
        // The mark price, or the asset, is another's.
        ("0.0001", "", "NET 50", &[], "MarkPrice"),
        ("0.0001", "", "NET 50", &["-0.7"], "MarkPrice"),
        ("0.0001", "100", "NET 50", &["-0.5 BNFCR"], "Asset"),
    ];
    for (rate, mark, positions, rows, expected) in table {
        assert_eq!(judged(rate, mark, positions, rows), *expected, "{rate} {mark} {positions} {rows:?}");
    }
}

#[test]
fn a_position_that_changed_leaves_open_what_was_paid() {
    // From 50 to 80 within the minute: nothing, or what lies between 0.5 and 0.8.
    let table: &[(&str, &[&str], &str)] = &[
        ("NET 50>80", &[], "not demanded"),
        ("NET 50>80", &["-0.5"], "agrees"),
        ("NET 50>80", &["-0.8"], "agrees"),
        ("NET 50>80", &["-0.65"], "agrees"),
        ("NET 50>80", &["-0.4"], "-0.4 for -0.8 to -0.5"),
        ("NET 50>80", &["-0.9"], "-0.9 for -0.8 to -0.5"),
        // Opened, closed, turned.
        ("NET 0>50", &[], "not demanded"),
        ("NET 0>50", &["-0.3"], "agrees"),
        ("NET 50>0", &["-0.5"], "agrees"),
        ("NET 50>-20", &["0.2"], "agrees"),
        ("NET 50>-20", &["0.3"], "0.3 for -0.5 to 0.2"),
        // There and back again.
        ("NET 0>50>0", &["-0.5"], "agrees"),
        // Of a hedge the position that did not change demands its row: a long of 50 beside a short of up to 20.
        ("LONG 50, SHORT -10>-20", &[], "missing -0.5"),
        ("LONG 50, SHORT -10>-20", &["-0.5"], "agrees"),
        ("LONG 50, SHORT -10>-20", &["-0.5", "0.2"], "agrees"),
        ("LONG 50, SHORT -10>-20", &["-0.5", "0.3"], "-0.2 for -0.5 to -0.3"),
        // The one that changed may make the sum nothing.
        ("LONG 50, SHORT -10>-60", &[], "not demanded"),
    ];
    for (positions, rows, expected) in table {
        assert_eq!(judged("0.0001", "100", positions, rows), *expected, "{positions} {rows:?}");
    }
}

#[test]
fn a_hedge_is_paid_in_one_row_or_two() {
    // A long of 50 and a short of 30: -0.5 and 0.3, or -0.2.
    let table: &[(&str, &[&str], &str)] = &[
        ("LONG 50, SHORT -30", &["-0.5", "0.3"], "agrees"),
        ("LONG 50, SHORT -30", &["-0.2"], "agrees"),
        ("LONG 50, SHORT -30", &[], "missing -0.2"),
        ("LONG 50, SHORT -30", &["-0.5"], "missing 0.3"),
        ("LONG 50, SHORT -30", &["0.3"], "missing -0.5"),
        ("LONG 50, SHORT -30", &["-0.7", "0.3"], "-0.4 for -0.2 to -0.2"),
        ("LONG 50, SHORT -30", &["-0.4"], "-0.4 for -0.2 to -0.2"),
        // Of the same size they pay each other nothing in one row.
        ("LONG 50, SHORT -50", &[], "not demanded"),
        ("LONG 50, SHORT -50", &["-0.5", "0.5"], "agrees"),
        ("LONG 50, SHORT -50", &["0"], "not demanded"),
        ("LONG 50, SHORT -50", &["-0.5"], "missing 0.5"),
        // The sum is right, and neither row.
        ("LONG 50, SHORT -30", &["-0.51", "0.31"], "-0.51 for -0.5 to -0.5"),
        ("LONG 50, SHORT -30", &["0.3", "-0.5"], "agrees"),
        // One of them is known, and the other looks flat: it may have been held all the same.
        ("LONG 50, SHORT 0?", &["-0.5"], "agrees"),
        ("LONG 50, SHORT 0?", &["-0.5", "0.7"], "agrees"),
        ("LONG 50, SHORT 0?", &["-0.7"], "Position"),
        ("LONG 50, SHORT 0?", &[], "missing -0.5"),
        ("LONG 50, SHORT 0", &["-0.5", "0.7"], "0.2 for -0.5 to -0.5"),
        ("LONG 50, SHORT 0!", &["-0.5"], "Position"),
        ("LONG 50, SHORT -30?", &["-0.5", "0.3"], "Position"),
        // The one position of the other mode is none.
        ("NET 0?, LONG 50, SHORT 0", &["-0.5"], "agrees"),
        ("NET 0!, LONG 50, SHORT 0", &["-0.5"], "agrees"),
        ("NET 50, LONG 0?, SHORT 0?", &["-0.7"], "-0.7 for -0.5 to -0.5"),
    ];
    for (positions, rows, expected) in table {
        assert_eq!(judged("0.0001", "100", positions, rows), *expected, "{positions} {rows:?}");
    }
}

/// What is on record of the one position around these seconds after these events, where the exchange states sizes at seconds.
fn watched(instants: &[i64], events: &[FoldEvent<'_>], statements: &[(i64, &str)]) -> Vec<HeldAround> {
    let mut fold = SymbolFold::new(&linear("SOLUSDT"));
    let stated = |(second, qty): &(i64, &str)| PositionSnapshot {
        symbol: fold.symbol().clone(),
        position_side: PositionSide::Net,
        at: at(second * 1_000),
        qty: dec(qty),
        entry_price: None,
    };
    let statements = statements.iter().map(stated).collect();
    let mut tracker = HeldTracker::new(instants.iter().map(|second| at(second * 1_000)).collect(), statements);
    for event in events {
        let when = match event {
            FoldEvent::Fill { fill, .. } => fill.time.at,
            FoldEvent::Anchor(anchor) => anchor.at,
            _ => panic!("{event:?}"),
        };
        tracker.before(&fold, when).unwrap();
        if matches!(event, FoldEvent::Anchor(_)) {
            tracker.restated();
        }
        let is_doubtful = fold.apply(*event).unwrap().pnl_mismatch();
        tracker.after(&fold, when, is_doubtful).unwrap();
    }
    tracker.finish(&fold).unwrap()
}

/// The one position around an instant, in words.
fn net(around: &HeldAround) -> String {
    let leg = around.legs.iter().find(|leg| leg.position_side == PositionSide::Net).unwrap();
    let sizes: Vec<String> = leg.sizes.iter().map(ToString::to_string).collect();
    format!("{} {}", sizes.join(">"), leg.certainty)
}

/// What is known of the instants, in words, after these events.
fn tracked(instants: &[i64], events: &[FoldEvent<'_>]) -> Vec<String> {
    watched(instants, events, &[]).iter().map(net).collect()
}

/// What is stated and when, what is read, and what comes of it.
type Stated<'a> = (&'a [(i64, &'a str)], &'a [(i64, i64)], [&'a str; 4]);

#[test]
fn what_the_exchange_states_proves_what_was_held() {
    let fill = |fill| FoldEvent::Fill { fill, order: None };
    // 50 from 1,000 s on, 80 from 2,000 s on. Nothing says what was held before the first.
    let (bought, more) = (buy("SOLUSDT", 1_000, "50", "100"), buy("SOLUSDT", 2_000, "30", "110"));
    let events = [fill(&bought), fill(&more)];
    let instants = [500, 1_500, 2_500, 3_500];
    let all = &[(0, 10_000)][..];
    let (no, yes) = (
        ["0 estimated", "50 estimated", "80 estimated", "80 estimated"],
        ["0 known", "50 known", "80 known", "80 known"],
    );
    // The statements, the stretches in seconds of which all fills are on record, and what is known of each instant.
    let table: &[Stated<'_>] = &[
        (&[], all, no),
        // One word proves what was before it, and what follows.
        (&[(3_000, "80")], all, yes),
        (&[(1_700, "50")], all, yes),
        (&[(100, "0")], all, yes),
        (&[(9_000, "80")], all, yes),
        // Only as far as no fill can be missing in between.
        (&[(9_000, "80")], &[(0, 8_000)], no),
        (&[(3_000, "80")], &[(0, 1_800), (1_900, 10_000)], [no[0], no[1], yes[2], yes[3]]),
        (&[(1_700, "50")], &[(0, 1_800), (1_900, 10_000)], [yes[0], yes[1], no[2], no[3]]),
        (&[(1_700, "50"), (3_000, "80")], &[(0, 1_800), (1_900, 10_000)], yes),
        // Another word speaks against what was assumed until then, and proves nothing.
        (&[(1_700, "51")], all, no),
        (&[(1_500, "51")], all, [no[0], "50 unknown", no[2], no[3]]),
        (&[(1_700, "51"), (3_000, "80")], all, [no[0], no[1], yes[2], yes[3]]),
        // Within a minute of a fill it may be the word of before, or of after.
        (&[(2_030, "50"), (3_000, "80")], all, yes),
        (&[(1_970, "80"), (3_000, "80")], all, yes),
    ];
    for (statements, covered, expected) in table {
        let fills = CoveredTime::new(covered.iter().map(|(since, until)| (at(since * 1_000), at(until * 1_000))));
        let held = watched(&instants, &events, statements);
        let shown: Vec<String> = held.into_iter().map(|around| net(&around.proven_over(&fills))).collect();
        assert_eq!(shown, *expected, "{statements:?} {covered:?}");
    }
}

#[test]
fn what_was_held_is_known_once_the_beginning_is() {
    let realizing = |fill: Fill, profit: &str| fill.realizing(dec(profit));
    let fill = |fill| FoldEvent::Fill { fill, order: None };
    // Bought at 1,000 s, a part sold at 2,000 s, the rest at 3,000 s, at prices that leave no place for anything unseen.
    let bought = realizing(buy("SOLUSDT", 1_000, "50", "100"), "0");
    let (part, rest) =
        (realizing(sell("SOLUSDT", 2_000, "20", "110"), "200"), realizing(sell("SOLUSDT", 3_000, "30", "120"), "600"));
    let again = realizing(buy("SOLUSDT", 4_000, "7", "130"), "0");
    let closed = realizing(sell("SOLUSDT", 5_000, "7", "150"), "140");
    let instants = [500, 970, 1_500, 1_939, 1_940, 2_060, 2_061, 3_500, 4_500, 6_000];
    let all = [fill(&bought), fill(&part), fill(&rest), fill(&again), fill(&closed)];
    let sizes = ["0", "0>50", "50", "50", "50>30", "50>30", "30", "0", "7", "0"];
    let known = |certainty: &str| sizes.map(|sizes| format!("{sizes} {certainty}")).to_vec();
    assert_eq!(tracked(&instants, &all), known("known"));
    // After two fills nothing is proven yet, and nothing speaks against it.
    let early = tracked(&instants[..5], &all[..2]);
    assert_eq!(early, ["0 estimated", "0>50 estimated", "50 estimated", "50 estimated", "50>30 estimated"]);
    // A position that is stated proves what follows, not what was before.
    let flat = anchor("SOLUSDT", "0", None, 3_200_000);
    let stated = [fill(&bought), FoldEvent::Anchor(&flat), fill(&again)];
    assert_eq!(tracked(&[1_500, 3_150, 3_500, 4_500], &stated), ["50 estimated", "50>0 unknown", "0 known", "7 known"]);
    // A profit that does not fit leaves nothing known of before, whatever is proven later.
    let wrong = realizing(sell("SOLUSDT", 2_000, "20", "110"), "77");
    let lost = tracked(&[1_500, 2_030, 2_500], &[fill(&bought), fill(&wrong)]);
    assert!(lost[0].ends_with("estimated") && lost[1..].iter().all(|it| it.ends_with("unknown")), "{lost:?}");
}
