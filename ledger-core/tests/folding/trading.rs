//! Entries, exits, flips, hedges, fees and why a round trip ended.

use super::*;

use ledger_core::{Movement, MovementOrigin};

#[test]
fn entries_averaging_down_and_partial_exits() {
    // (2 x 100 + 2 x 96) / 4 = 98; 1 x (101 - 98) + 3 x (99 - 98).
    check(
        "anchor 0
         BUY 2 @ 100 fee 0.08 USDT engine trend
         BUY 2 @ 96 fee 0.0768 USDT engine dca
         SELL 1 @ 101 fee 0.0404 USDT engine trend waiting-for take_profit
         SELL 3 @ 99 fee 0.1188 USDT engine other waiting-for stop",
        "NET #1 long in 4 @ 98 out 4 @ 99.5 max 4 gross 6 known | fees USDT 0.316 known | funding - | trend+dca+other | stop_loss | known | 1..4
         NET 0 @ - known realized 6 known",
    );
}

#[test]
fn a_flip_splits_its_fee_by_quantity() {
    // 3 closed of 5: 0.6 x fee.
    check(
        "anchor 0
         BUY 3 @ 100 fee 0.3 USDT
         SELL 5 @ 104 fee 0.5 USDT
         BUY 2 @ 101 fee 0.2 USDT",
        "NET #1 long in 3 @ 100 out 3 @ 104 max 3 gross 12 known | fees USDT 0.6 known | funding - | - | unknown | known | 1..2
         NET #2 short in 2 @ 104 out 2 @ 101 max 2 gross 6 known | fees USDT 0.4 known | funding - | - | unknown | known | 2..3
         NET 0 @ - known realized 18 known",
    );
    // A third of a fee has no end: the parts still add up to it.
    check(
        "anchor 0
         SELL 1 @ 100
         BUY 3 @ 90 fee 0.1 BNB",
        "NET #1 short in 1 @ 100 out 1 @ 90 max 1 gross 10 known | fees BNB 0.033333333333333333 known, USDT 0 unknown | funding - | - | unknown | known | 1..2
         NET #2 long in 2 @ 90 out 0 @ - max 2 gross 0 known | fees BNB 0.066666666666666667 known | funding - | - | unknown | known | 2..-
         NET 2 @ 90 known realized 10 known",
    );
}

#[test]
fn what_comes_back_of_a_fee_belongs_to_its_fill() {
    // Of an opening, of an exit that ends the round trip, and of a flip: 3 of 5 closed, so 0.6 of it.
    check(
        "anchor 0
         BUY 3 @ 100 fee 0.3 USDT back 0.03 USDT
         SELL 5 @ 104 fee 0.5 USDT back 0.1 USDT
         BUY 2 @ 101 fee 0.2 USDT back 0.01 BNB
         BUY 1 @ 100",
        "NET #1 long in 3 @ 100 out 3 @ 104 max 3 gross 12 known | fees USDT 0.51 known | funding - | - | unknown | known | 1..2
         NET #2 short in 2 @ 104 out 2 @ 101 max 2 gross 6 known | fees BNB -0.01 known, USDT 0.36 known | funding - | - | unknown | known | 2..3
         NET #3 long in 1 @ 100 out 0 @ - max 1 gross 0 known | fees USDT 0 unknown | funding - | - | unknown | known | 4..-
         NET 1 @ 100 known realized 18 known",
    );
    // It is dated when it was paid back, and shared as the fee was.
    let mut book = Book::default();
    book.run("anchor 0\nBUY 3 @ 100 fee 0.3 USDT\nSELL 5 @ 104 fee 0.5 USDT back 0.1 USDT");
    let back: Vec<_> = book.movements.iter().filter(|it| matches!(it.origin, MovementOrigin::Ledger(_))).collect();
    let shown = |it: &&Movement| format!("{} {}", it.trip.as_ref().unwrap().opening, it.amount.unwrap());
    assert_eq!(back.iter().map(shown).collect::<Vec<_>>(), ["BUY-1 0.06", "SELL-2 0.04"]);
    let sold_at = support::at(3 * 300_000);
    assert!(back.iter().all(|it| it.at == sold_at.saturating_add_ms(2 * 86_400_000)));
    // While entries of the ledger wait, round trips that end wait with them.
    check(
        "anchor 0
         BUY 1 @ 100 fee 0.1 USDT
         funding -0.2 USDT
         wait 30
         SELL 1 @ 101 fee 0.1 USDT back 0.04 USDT",
        "NET #1 long in 1 @ 100 out 1 @ 101 max 1 gross 1 known | fees USDT 0.16 known | funding USDT -0.2 estimated | - | unknown | known | 1..2
         NET 0 @ - known realized 1 known",
    );
    // An exit of something never seen ends what the book took for held, and has nothing to do with it.
    check(
        "anchor 0
         BUY 1 @ 100 fee 0.1 USDT
         BUY 2 @ 101 fee 0.2 USDT pnl 5 back 0.07 USDT",
        "NET #1 long in 1 @ - out 0 @ - max 1 gross 0 unknown | fees USDT 0.1 known | funding - | - | unknown | unknown | 1..-
         NET #2 short in 0 @ - out 2 @ 101 max 0 gross 0 unknown (exchange 5) | fees USDT 0.13 known | funding - | - | unknown | unknown | -..2
         NET 0 @ - unknown realized 0 unknown",
    );
}

#[test]
fn a_hedge_holds_long_and_short_at_once() {
    check(
        "anchor LONG 0
         anchor SHORT 0
         LONG BUY 2 @ 100
         SHORT SELL 1 @ 110
         LONG SELL 2 @ 105
         SHORT BUY 1 @ 112",
        "LONG #1 long in 2 @ 100 out 2 @ 105 max 2 gross 10 known | fees USDT 0 unknown | funding - | - | unknown | known | 1..3
         SHORT #2 short in 1 @ 110 out 1 @ 112 max 1 gross -2 known | fees USDT 0 unknown | funding - | - | unknown | known | 2..4
         LONG 0 @ - known realized 10 known
         SHORT 0 @ - known realized -2 known",
    );
}

#[test]
fn fees_stay_in_their_assets() {
    check(
        "anchor 0
         BUY 1 @ 100 fee 0.0001 BNB
         BUY 1 @ 100 fee -0.01 USDT
         SELL 2 @ 101 fee 0.04 USDT
         BUY 1 @ 100",
        "NET #1 long in 2 @ 100 out 2 @ 101 max 2 gross 2 known | fees BNB 0.0001 known, USDT 0.03 known | funding - | - | unknown | known | 1..3
         NET #2 long in 1 @ 100 out 0 @ - max 1 gross 0 known | fees USDT 0 unknown | funding - | - | unknown | known | 4..-
         NET 1 @ 100 known realized 2 known",
    );
}

/// The memory of a round trip that ended is used again: by the third, or by the second when the first was passed on.
#[test]
fn a_round_trip_keeps_nothing_of_the_ones_before_it() {
    let bare = |number: usize, qty: &str| {
        let (opened, closed) = (2 * number - 1, 2 * number);
        format!(
            "NET #{number} long in {qty} @ 100 out {qty} @ 101 max {qty} gross {qty} known | fees USDT 0 known | \
             funding - | - | unknown | known | {opened}..{closed}"
        )
    };
    let mut book = Book::default();
    book.run(
        "anchor 0
         BUY 7 @ 100 fee 1 BNB engine a
         funding -3 BNB
         SELL 7 @ 101 fee 1 BTC engine b waiting-for stop
         BUY 1.5 @ 100 fee 0 USDT
         SELL 1.5 @ 101 fee 0 USDT
         BUY 2 @ 100 fee 0 USDT
         SELL 2 @ 101 fee 0 USDT
         BUY 1 @ 100 fee 0 USDT
         SELL 1 @ 101 fee 0 USDT",
    );
    assert_eq!(
        shown(&book)[..4],
        [
            "NET #1 long in 7 @ 100 out 7 @ 101 max 7 gross 7 known | fees BNB 1 known, BTC 1 known | \
             funding BNB -3 known | a+b | stop_loss | known | 1..2"
                .into(),
            bare(2, "1.5"),
            bare(3, "2"),
            bare(4, "1"),
        ]
    );
}

#[test]
fn exit_reasons_come_from_the_closing_order() {
    for (origin, reason) in [(Origin::Person, ExitReason::ManualClose), (Origin::Adl, ExitReason::Adl)] {
        let order = OrderContext { origin: Some(origin), ..OrderContext::default() };
        let mut book = Book::default();
        book.run("anchor 0\nBUY 2 @ 100");
        let fill = book.next_fill("SELL 2 @ 101");
        book.apply(&FoldEvent::Fill { fill: &fill, order: Some(&order) });
        assert_eq!(book.closed[0].exit_reason, reason);
    }
    // An earlier part's reason is not that of the end.
    let mut book = Book::default();
    book.run("anchor 0\nBUY 2 @ 100\nSELL 1 @ 101 waiting-for take_profit\nSELL 1 @ 90");
    assert_eq!(book.closed[0].exit_reason, ExitReason::Unknown);
}
