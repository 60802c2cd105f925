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
    // In a hedge: by sign and size where they tell, by size as an estimate where they don't, else on a line of its own.
    check(
        "anchor LONG 0
         anchor SHORT 0
         LONG BUY 3 @ 100 fee 0 USDT
         SHORT SELL 1 @ 100 fee 0 USDT
         funding 0.1 USDT -0.3 USDT
         funding -0.2 USDT
         SHORT SELL 2 @ 100 fee 0 USDT
         funding 0.3 USDT -0.3 USDT",
        "LONG #1 long in 3 @ 100 out 0 @ - max 3 gross 0 known | fees USDT 0 known | funding USDT -0.6 estimated | - | unknown | known | 1..-
         SHORT #2 short in 3 @ 100 out 0 @ - max 3 gross 0 known | fees USDT 0 known | funding USDT 0.2 estimated | - | unknown | known | 2..-
         LONG 3 @ 100 known realized 0 known
         SHORT -3 @ 100 known realized 0 known
         unallocated funding USDT 0 known",
    );
    // Two rows, but the book sees one position of the hedge: the other pays for one that it does not see.
    check(
        "anchor LONG 0
         LONG BUY 3 @ 100 fee 0 USDT
         funding 0.1 USDT -0.3 USDT",
        "LONG #1 long in 3 @ 100 out 0 @ - max 3 gross 0 known | fees USDT 0 known | funding USDT -0.2 estimated | - | unknown | known | 1..-
         LONG 3 @ 100 known realized 0 known",
    );
}

#[test]
fn funding_of_a_fills_own_millisecond_is_an_estimate() {
    let hour = ledger_core::TimestampMs::new(1_800_000_000_000).unwrap();
    for (late_ms, certainty) in [(0, Certainty::Estimated), (1, Certainty::Known), (-1, Certainty::Known)] {
        let mut book = Book::default();
        let mut opening = book.next_fill("BUY 2 @ 100");
        let mut next = book.next_fill("BUY 1 @ 100");
        opening.time = ledger_core::EventTime::ms(hour.saturating_add_ms(-5_000));
        next.time = ledger_core::EventTime::ms(hour.saturating_add_ms(late_ms));
        let row = ledger_core::Income {
            key: ledger_core::IncomeKey {
                income_type: "FUNDING_FEE".parse().unwrap(),
                tran_id: "1".parse().unwrap(),
                symbol: Some(opening.key.symbol.clone()),
                asset: Asset::new("USDT").unwrap(),
            },
            amount: dec("-0.5"),
            time: ledger_core::EventTime::ms(hour.saturating_add_ms(7_000)),
            fill_id: None,
            info: None,
        };
        let rows = [row];
        let mut fold = book.fold.clone();
        fold.apply(FoldEvent::Fill { fill: &opening, order: None }).unwrap();
        if late_ms < 0 {
            fold.apply(FoldEvent::Fill { fill: &next, order: None }).unwrap();
            fold.apply(FoldEvent::Funding(&rows)).unwrap();
        } else {
            fold.apply(FoldEvent::Funding(&rows)).unwrap();
            fold.apply(FoldEvent::Fill { fill: &next, order: None }).unwrap();
        }
        let positions = fold.positions().unwrap();
        let funding = positions[0].funding[0].total;
        assert_eq!((funding.amount().unwrap(), funding.certainty()), (dec("-0.5"), certainty), "{late_ms} ms");
    }
}
