//! What liquidations cost, and settlements without a fill.

use super::*;

/// A contract whose liquidation fee is 1 % of what is closed by force.
fn book() -> Book {
    let mut instrument = Instrument::linear(support::symbol(), Asset::new("USDT").unwrap()).unwrap();
    instrument.liquidation_fee = Some(dec("0.01"));
    Book::of(&instrument)
}

/// Every round trip by what opened it, with its clearance and its net, and what stands on the contract's own line.
fn cleared(events: &str) -> String {
    let mut book = book();
    book.run(events);
    book.end();
    let open = book.fold.open_trips().unwrap();
    let mut shown: Vec<String> = Vec::new();
    for trip in book.closed.iter().chain(&open) {
        let clearance = trip
            .clearance
            .iter()
            .map(|it| format!(" {} {} {}", it.total.amount().unwrap(), it.asset, it.total.certainty()));
        let net = trip.net().unwrap();
        shown.push(format!(
            "{}:{} net {}",
            trip.key().opening,
            clearance.collect::<String>(),
            net[0].total.amount().unwrap()
        ));
    }
    for it in book.fold.unallocated_clearance().unwrap() {
        shown.push(format!("none: {} {} {}", it.total.amount().unwrap(), it.asset, it.total.certainty()));
    }
    shown.join(", ")
}

#[test]
fn a_liquidation_costs_its_round_trip() {
    let before = "anchor 0\nBUY 1 @ 100 fee 0.05 USDT";
    let forced = "wait 0\nSELL 1 @ 50 fee 0.025 USDT pnl -50 sent-by liquidation";
    // -50 - 0.075 - 0.5, with 0.5 = 1 % of 50.
    let after = |row: &str| cleared(&format!("{before}\nclearance {row}\n{forced}"));
    assert_eq!(after("-0.5 USDT"), "BUY-1: -0.5 USDT known net -50.575");
    assert_eq!(after("-1.25 USDT"), "BUY-1: -1.25 USDT estimated net -51.325");
    assert_eq!(after("-0.5 BNB"), "BUY-1: -0.5 BNB estimated net -50.075");
    // Up to a minute later; the row is stated before the fill then, and posted after it.
    let late = |seconds: i64| {
        cleared(&format!(
            "{before}\nclearance in 60 -0.5 USDT\nwait {}\nSELL 1 @ 50 pnl -50 sent-by liquidation",
            60 - seconds
        ))
    };
    assert_eq!(late(60), "BUY-1: -0.5 USDT known net -50.55");
    assert_eq!(late(-1), "BUY-1: net -50.05, none: -0.5 USDT known");
    // The insurance fund pays into the account: for this round trip only where nothing else was liquidated.
    assert_eq!(after("20 USDT"), "BUY-1: 20 USDT estimated net -30.075");
    assert_eq!(after("others 20 USDT"), "BUY-1: net -50.075");
    assert_eq!(after("others -0.5 USDT"), "BUY-1: -0.5 USDT known net -50.575");
}

#[test]
fn a_charge_belongs_to_the_latest_forced_fill() {
    // A part of a position: the round trip goes on.
    let partly = "anchor 0\nBUY 4 @ 100\nclearance -0.8 USDT\nwait 0\nSELL 1 @ 80 pnl -20 sent-by liquidation";
    assert_eq!(cleared(partly), "BUY-1: -0.8 USDT known net -20.8");
    let mut book = book();
    book.run(partly);
    book.run("SELL 3 @ 110 pnl 30 sent-by program");
    let trip = book.closed.first().unwrap();
    assert_eq!((trip.was_liquidated, trip.exit_reason), (true, ExitReason::Unknown));
    assert_eq!(trip.clearance[0].total.known, dec("-0.8"));
    // Several fills of one liquidation, and one charge for all of them: 1 % of 80 + 2 x 70.
    let several = "anchor 0\nBUY 3 @ 100\nclearance in 5 -2.2 USDT\nwait 1\nSELL 1 @ 80 pnl -20 sent-by liquidation
        wait 1\nSELL 2 @ 70 pnl -60 sent-by liquidation";
    assert_eq!(cleared(several), "BUY-1: -2.2 USDT known net -82.2");
    // Both positions of a hedge within a minute: the amount tells which, else the later one is taken.
    let both = |amount: &str| {
        cleared(&format!(
            "anchor LONG 0\nanchor SHORT 0\nLONG BUY 1 @ 100\nSHORT SELL 2 @ 100\nclearance in 5 {amount} USDT\nwait 1
             LONG SELL 1 @ 80 pnl -20 sent-by liquidation\nwait 1\nSHORT BUY 2 @ 120 pnl -40 sent-by liquidation"
        ))
    };
    assert_eq!(both("-0.8"), "BUY-1: -0.8 USDT known net -20.8, SELL-2: net -40");
    assert_eq!(both("-2.4"), "BUY-1: net -20, SELL-2: -2.4 USDT known net -42.4");
    assert_eq!(both("-3"), "BUY-1: 0 USDT estimated net -20, SELL-2: -3 USDT estimated net -43");
    // Another round trip, opened right after, has nothing to do with it.
    let again = "anchor 0\nBUY 1 @ 100\nclearance in 5 -0.5 USDT\nwait 1\nSELL 1 @ 50 pnl -50 sent-by liquidation\nwait 2\nBUY 1 @ 51";
    assert_eq!(cleared(again), "BUY-1: -0.5 USDT known net -50.5, BUY-3: net 0");
}

/// Both positions of a hedge are closed by force, with these entries behind it.
fn both_forced(short_exit: &str, entries: &[&str]) -> String {
    let entries: Vec<_> = entries.iter().map(|amount| format!("clearance in 5 {amount}\n")).collect();
    let entries = entries.join("wait 0\n");
    cleared(&format!(
        "anchor LONG 0\nanchor SHORT 0\nLONG BUY 1 @ 100\nSHORT SELL 1 @ 100\n{entries}wait 1
         LONG SELL 1 @ 80 pnl -20 sent-by liquidation\nwait 1\nSHORT BUY 1 @ {short_exit} sent-by liquidation"
    ))
}

#[test]
fn an_exit_is_charged_once() {
    let apart = both_forced("60 pnl 40", &["-0.8 USDT", "-0.6 USDT"]);
    assert_eq!(apart, "BUY-1: -0.8 USDT known net -20.8, SELL-2: -0.6 USDT known net 39.4");
    // Of two entries that fit both, one each; which is which cannot be told.
    let alike = both_forced("80 pnl 20", &["-0.8 USDT", "-0.8 USDT"]);
    assert_eq!(alike, "BUY-1: -0.8 USDT estimated net -20.8, SELL-2: -0.8 USDT estimated net 19.2");
    let twice = cleared(
        "anchor 0\nBUY 1 @ 100\nclearance in 5 -0.5 USDT\nwait 0\nclearance in 5 -0.5 USDT\nwait 1
         SELL 1 @ 50 pnl -50 sent-by liquidation",
    );
    assert_eq!(twice, "BUY-1: -1 USDT estimated net -51");
    // Two fills of one liquidation, each with its own entry.
    let each = cleared(
        "anchor 0\nBUY 3 @ 100\nclearance in 5 -0.8 USDT\nwait 0\nclearance in 5 -1.4 USDT\nwait 1
         SELL 1 @ 80 pnl -20 sent-by liquidation\nwait 1\nSELL 2 @ 70 pnl -60 sent-by liquidation",
    );
    assert_eq!(each, "BUY-1: -2.2 USDT known net -82.2");
}

#[test]
fn whatever_an_entry_may_be_of_is_doubted() {
    let one = both_forced("80 pnl 20", &["-0.8 USDT"]);
    assert_eq!(one, "BUY-1: -0.8 USDT estimated net -20.8, SELL-2: 0 USDT estimated net 20");
    // No rate is in BNB. The first entry is taken for the later exit, the second for the other.
    let rateless = both_forced("60 pnl 40", &["-0.001 BNB", "-0.002 BNB"]);
    assert_eq!(rateless, "BUY-1: -0.002 BNB estimated net -20, SELL-2: -0.001 BNB estimated net 40");
    let reopened = cleared(
        "anchor 0\nBUY 1 @ 100\nclearance in 40 -0.001 BNB\nwait 0\nclearance in 40 -0.002 BNB\nwait 1
         SELL 1 @ 50 pnl -50 sent-by liquidation\nwait 5\nBUY 1 @ 51\nwait 5\nSELL 1 @ 50 pnl -1 sent-by liquidation",
    );
    assert_eq!(reopened, "BUY-1: -0.002 BNB estimated net -50, BUY-3: -0.001 BNB estimated net -1");
    let untold = cleared(
        "anchor LONG 0\nanchor SHORT 0\nLONG BUY 1 @ 100\nSHORT SELL 1 @ 100\nclearance in 5 -0.8 USDT\nwait 1
         LONG SELL 1 @ 80 pnl -20\nwait 1\nSHORT BUY 1 @ 120 pnl -20",
    );
    assert_eq!(untold, "BUY-1: 0 USDT estimated net -20, SELL-2: -0.8 USDT estimated net -20.8");
}

#[test]
fn what_was_not_liquidated_is_not_charged() {
    let closed = |order: &str| {
        cleared(&format!("anchor 0\nBUY 1 @ 100\nclearance -0.5 USDT\nwait 0\nSELL 1 @ 50 pnl -50{order}"))
    };
    assert_eq!(closed(" sent-by program"), "BUY-1: net -50, none: -0.5 USDT known");
    assert_eq!(closed(" sent-by adl"), "BUY-1: net -50, none: -0.5 USDT known");
    // No order on record: a charge proves that something was liquidated, and this is all that was closed.
    assert_eq!(closed(""), "BUY-1: -0.5 USDT estimated net -50.5");
    assert_eq!(cleared("anchor 0\nBUY 1 @ 100\nclearance -0.5 USDT"), "BUY-1: net 0, none: -0.5 USDT known");
}

#[test]
fn a_settlement_without_a_fill_ends_the_round_trip() {
    check(
        "anchor 0
         BUY 3 @ 100 fee 0 USDT
         SELL 1 @ 110 fee 0 USDT pnl 10
         settlement 14 USDT",
        "NET #1 long in 3 @ 100 out 3 @ - max 3 gross 24 estimated (exchange 24) | fees USDT 0 known | funding - | - | settlement | estimated | 1..-
         NET 0 @ - known realized 24 estimated",
    );
    // Its fill says the same, whether its order is on record or not.
    for order in [" sent-by settlement", ""] {
        let mut book = Book::default();
        book.run(&format!("anchor 0\nBUY 3 @ 100\nsettlement 30 USDT\nwait 3\nSELL 3 @ 110 pnl 30{order}"));
        book.end();
        assert_eq!(book.closed.first().unwrap().gross.known, dec("30"));
        assert_eq!(book.closed.first().unwrap().exit_price_avg, Some(dec("110")));
        assert!(book.fold.unallocated_realized().unwrap().is_empty());
    }
    // Both positions of a hedge end. Two entries fit them in one way: 3 x (107 - 100), and 1 x (100 - 107).
    let hedge = |short: &str, rows: &str| {
        format!(
            "anchor LONG 0
             anchor SHORT 0
             LONG BUY 3 @ 100 fee 0 USDT
             SHORT SELL {short} fee 0 USDT
             settlement {rows}"
        )
    };
    let told = "LONG #1 long in 3 @ 100 out 3 @ - max 3 gross 21 estimated (exchange 21) | fees USDT 0 known | funding - | - | settlement | estimated | 1..-
         SHORT #2 short in 1 @ 100 out 1 @ - max 1 gross -7 estimated (exchange -7) | fees USDT 0 known | funding - | - | settlement | estimated | 2..-
         LONG 0 @ - known realized 21 estimated
         SHORT 0 @ - known realized -7 estimated";
    check(&hedge("1 @ 100", "21 USDT -7 USDT"), told);
    check(&hedge("1 @ 100", "-7 USDT 21 USDT"), told);
    // One entry of both tells the price of the settlement, where the quantities differ.
    check(&hedge("1 @ 100", "14 USDT"), told);
    // Where they do not, and where two entries fit in no way or in both, nothing tells how much each got.
    for (short, rows, both) in
        [("3 @ 110", "30 USDT", "30"), ("1 @ 100", "21 USDT -8 USDT", "13"), ("3 @ 100", "0 USDT 0 USDT", "0")]
    {
        let (at, max) = (short.split(" @ ").nth(1).unwrap(), short.split(' ').next().unwrap());
        check(
            &hedge(short, rows),
            &format!(
                "LONG #1 long in 3 @ 100 out 3 @ - max 3 gross 0 unknown | fees USDT 0 known | funding - | - | settlement | unknown | 1..-
         SHORT #2 short in {max} @ {at} out {max} @ - max {max} gross 0 unknown | fees USDT 0 known | funding - | - | settlement | unknown | 2..-
         LONG 0 @ - known realized 0 unknown
         SHORT 0 @ - known realized 0 unknown
         unallocated realized USDT {both} estimated"
            ),
        );
    }
    // Nothing that the book knows of was open.
    let mut book = Book::default();
    book.run("anchor 0\nsettlement 14 USDT");
    book.end();
    assert_eq!(book.fold.unallocated_realized().unwrap()[0].total.known, dec("14"));
}
