//! Funding and the positions that were held.

use super::*;

#[test]
fn funding_goes_with_the_position_held() {
    check(
        "funding 5 USDT
         anchor 0
         BUY 2 @ 100 fee 0 USDT
         funding -0.5 USDT
         SELL 1 @ 101 fee 0 USDT
         funding 0.25 USDT
         SELL 1 @ 101 fee 0 USDT
         funding -7 USDT",
        "NET #1 long in 2 @ 100 out 2 @ 101 max 2 gross 2 known | fees USDT 0 known | funding USDT -0.25 known | - | unknown | known | 1..3
         NET 0 @ - known realized 2 known
         unallocated funding USDT -2 known",
    );
}

/// A hedge of a long and a short of these sizes, the rows of one instant, and what each got.
fn hedge(sizes: (&str, &str), rows: &str, expected: &str) {
    let mut book = Book::default();
    book.run("anchor LONG 0\nanchor SHORT 0");
    let legs = [("LONG BUY", sizes.0), ("SHORT SELL", sizes.1)];
    for (leg, size) in legs.iter().filter(|(_, size)| *size != "0") {
        book.run(&format!("{leg} {size} @ 100 fee 0 USDT"));
    }
    book.run(&format!("funding {rows}"));
    book.end();
    let mut shown: Vec<String> = book
        .fold
        .open_trips()
        .unwrap()
        .iter()
        .map(|trip| {
            let funding = trip
                .funding
                .first()
                .map_or("-".to_owned(), |it| format!("{} {}", it.total.amount().unwrap(), it.total.certainty()));
            format!("{} {funding}", trip.position_side)
        })
        .collect();
    shown.extend(
        book.fold
            .unallocated_funding()
            .unwrap()
            .iter()
            .map(|it| format!("none {} {}", it.total.amount().unwrap(), it.total.certainty())),
    );
    assert_eq!(shown.join(", "), expected, "{sizes:?} {rows}");
}

#[test]
fn in_a_hedge_the_sign_decides() {
    // Sizes 1 and 1: without a rate, longs are taken to pay.
    hedge(("1", "1"), "-0.5 USDT 0.5 USDT", "LONG -0.5 estimated, SHORT 0.5 estimated");
    hedge(("1", "1"), "0.5 USDT -0.5 USDT", "LONG -0.5 estimated, SHORT 0.5 estimated");
    hedge(("1", "1"), "rate 0.005 -0.5 USDT 0.5 USDT", "LONG -0.5 known, SHORT 0.5 known");
    hedge(("1", "1"), "rate -0.005 -0.5 USDT 0.5 USDT", "LONG 0.5 known, SHORT -0.5 known");
    // Sizes 3 and 1 tell by themselves, whichever row comes first, also that shorts paid.
    hedge(("3", "1"), "0.1 USDT -0.3 USDT", "LONG -0.3 known, SHORT 0.1 known");
    hedge(("3", "1"), "0.30000001 USDT -0.1 USDT", "LONG 0.30000001 known, SHORT -0.1 known");
    // Sizes that fit nothing: by sign all the same.
    hedge(("3", "1"), "-0.5 USDT 0.1 USDT", "LONG -0.5 estimated, SHORT 0.1 estimated");
    // Two rows, and the book sees one of the positions: the other row is of one that it does not see.
    hedge(("3", "0"), "0.1 USDT -0.3 USDT", "LONG -0.3 estimated, none 0.1 estimated");
    hedge(("3", "0"), "rate 0.001 mark 100 -0.3 USDT", "LONG -0.3 known");
    hedge(("3", "0"), "rate 0.001 mark 100 0.1 USDT", "LONG -, none 0.1 estimated");
    // Two rows of one sign cannot be of both.
    hedge(("3", "1"), "rate 0.001 -0.3 USDT -0.1 USDT", "LONG -0.4 estimated, SHORT -");
}

#[test]
fn one_row_of_a_hedge_is_split_by_the_sizes() {
    // 3 - 1 at 0.1 a piece.
    hedge(("3", "1"), "-0.2 USDT", "LONG -0.3 estimated, SHORT 0.1 estimated");
    // 30 x 0.001 x 100.3 = 3.009 and 10 x 0.001 x 100.3 = 1.003, whatever the sum is off by.
    hedge(("30", "10"), "rate 0.001 mark 100.3 -2.006 USDT", "LONG -3.009 estimated, SHORT 1.003 estimated");
    hedge(("30", "10"), "rate 0.001 mark 100.3 -2.0061 USDT", "LONG -3.009 estimated, SHORT 1.0029 estimated");
    // The amount of one of them, while the other's row is missing.
    hedge(("30", "10"), "rate 0.001 mark 100.3 -3.009 USDT", "LONG -3.009 known, SHORT -");
    hedge(("30", "10"), "rate 0.001 mark 100.3 1.003 USDT", "LONG -, SHORT 1.003 known");
    // Equal sizes get nothing together, so it is of one of them.
    hedge(("2", "2"), "-0.4 USDT", "LONG -0.4 estimated, SHORT -");
    hedge(("2", "2"), "rate -0.002 -0.4 USDT", "LONG -, SHORT -0.4 known");
}

#[test]
fn funding_around_a_change_goes_where_it_fits() {
    let trip = |events: &str| {
        let mut book = Book::default();
        book.run("anchor 0");
        book.run(events);
        book.end();
        let open = book.fold.open_trips().unwrap();
        let shown: Vec<String> = book
            .closed
            .iter()
            .chain(&open)
            .map(|trip| {
                let funding =
                    trip.funding.iter().map(|it| format!("{} {}", it.total.amount().unwrap(), it.total.certainty()));
                format!("{}:{}", trip.key().opening, funding.collect::<String>())
            })
            .collect();
        let unplaced = book.fold.unallocated_funding().unwrap();
        let unplaced: Vec<String> = unplaced.iter().map(|it| format!(" none:{}", it.total.amount().unwrap())).collect();
        let unplaced = unplaced.concat();
        format!("{}{unplaced}", shown.join(" "))
    };
    // Opened in the very moment of the charge, and no other position was there.
    assert_eq!(trip("funding -0.5 USDT\nwait 0\nBUY 1 @ 100\nSELL 1 @ 110"), "BUY-1:-0.5 estimated");
    // Opened in the minute before, closed in the minute before, opened in the minute after.
    assert_eq!(trip("funding in 50 -0.5 USDT\nwait 30\nBUY 1 @ 100\nSELL 1 @ 110"), "BUY-1:-0.5 estimated");
    assert_eq!(trip("BUY 1 @ 100\nfunding in 50 -0.5 USDT\nwait 45\nSELL 1 @ 110"), "BUY-1:-0.5 estimated");
    assert_eq!(trip("funding in 9 -0.5 USDT\nwait 60\nBUY 1 @ 100"), "BUY-1:-0.5 estimated");
    // More than a minute away from it.
    assert_eq!(trip("funding in 9 -0.5 USDT\nwait 70\nBUY 1 @ 100"), "BUY-1: none:-0.5");
    // Enlarged in that minute: whichever size it was, it was this round trip's.
    assert_eq!(trip("BUY 1 @ 100\nfunding -0.5 USDT\nwait 0\nBUY 1 @ 100"), "BUY-1:-0.5 known");
    // What is charged proves that it was held: 1 x 100 x 0.005.
    assert_eq!(trip("funding rate 0.005 mark 100 -0.5 USDT\nwait 1\nBUY 1 @ 100"), "BUY-1:-0.5 known");
    assert_eq!(trip("funding rate 0.005 mark 100 -0.4 USDT\nwait 1\nBUY 1 @ 100"), "BUY-1:-0.4 estimated");
    // One closed and another opened around the moment: by amount, else the one held at the moment.
    let around = |amount: &str, rate: &str| {
        trip(&format!("BUY 1 @ 100\nfunding in 30 {rate} {amount} USDT\nwait 40\nSELL 1 @ 101\nwait 5\nBUY 3 @ 100"))
    };
    assert_eq!(around("-0.5", "rate 0.005 mark 100"), "BUY-1:-0.5 known BUY-3:");
    assert_eq!(around("-1.5", "rate 0.005 mark 100"), "BUY-1: BUY-3:-1.5 known");
    // More than the first could have paid, and not what all of the second would.
    assert_eq!(around("-1.2", "rate 0.005 mark 100"), "BUY-1: BUY-3:-1.2 estimated");
    assert_eq!(around("-0.3", "rate 0.005 mark 100"), "BUY-1:-0.3 estimated BUY-3:");
    assert_eq!(around("-0.3", ""), "BUY-1:-0.3 estimated BUY-3:");
    // A long that turned into a short: the sign tells them apart.
    let turned = |amount: &str| {
        trip(&format!("BUY 1 @ 100\nfunding in 30 rate 0.005 mark 100 {amount} USDT\nwait 29\nSELL 3 @ 101"))
    };
    assert_eq!(turned("-0.5"), "BUY-1:-0.5 known SELL-2:");
    assert_eq!(turned("1"), "BUY-1: SELL-2:1 known");
    assert_eq!(turned("0.7"), "BUY-1: SELL-2:0.7 estimated");
    // Two before the moment, none of them held at it, and nothing to tell them apart: both are in doubt.
    assert_eq!(
        trip(
            "funding in 50 -0.5 USDT\nwait 10\nBUY 1 @ 100\nwait 10\nSELL 1 @ 101\nwait 5\nBUY 1 @ 100\nwait 5\nSELL 1 @ 101"
        ),
        "BUY-1:0 estimated BUY-3:0 estimated none:-0.5"
    );
}

/// Funding and the closing of a position that the book never saw opened.
#[test]
fn funding_of_what_was_never_seen_is_an_estimate() {
    check(
        "funding in 10 -0.5 USDT
         wait 25
         SELL 1 @ 100 fee 0 USDT pnl 3",
        "NET #1 long in 0 @ - out 1 @ 100 max 0 gross 0 unknown (exchange 3) | fees USDT 0 known | funding USDT -0.5 estimated | - | unknown | unknown | -..1
         NET 0 @ - unknown realized 0 unknown",
    );
}
