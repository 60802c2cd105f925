//! The fold of a symbol: hand-worked books, and laws against models that share no code with the crate.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "helpers fail like the tests that use them, and belong to this binary alone"
)]

#[expect(dead_code, reason = "shared with other test binaries")]
mod support;

#[path = "folding/book.rs"]
mod book;
#[path = "folding/exchange.rs"]
mod exchange;

use book::{Book, shown};
use exchange::Exchange;
use ledger_core::{
    Asset, CertainTotal, Certainty, ClientOrderId, Decimal, ExitReason, FoldError, FoldEvent, Instrument, Label,
    OrderContext, PositionSide,
};
use num_rational::BigRational;
use num_traits::{Signed, Zero};
use proptest::prelude::*;
use support::{Random, big, dec};

/// Events as text, and the round trips and positions that they make.
fn check(events: &str, expected: &str) {
    let mut book = Book::default();
    book.run(events);
    let lines = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
    };
    assert_eq!(shown(&book).join("\n"), lines(expected).join("\n"), "after\n{events}");
    assert!(book.fold.is_conserved().unwrap());
}

#[test]
fn entries_averaging_down_and_partial_exits() {
    // (2 x 100 + 2 x 96) / 4 = 98; 1 x (101 - 98) + 3 x (99 - 98).
    check(
        "anchor 0
         BUY 2 @ 100 fee 0.08 USDT engine trend
         BUY 2 @ 96 fee 0.0768 USDT engine dca
         SELL 1 @ 101 fee 0.0404 USDT engine trend type TAKE_PROFIT_MARKET
         SELL 3 @ 99 fee 0.1188 USDT engine other type STOP_MARKET",
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
fn a_residual_counts_until_its_fills_arrive() {
    check(
        "anchor 0
         BUY 2 @ 100 fee 0 USDT
         residual BUY 2 @ 98
         SELL 4 @ 101 fee 0 USDT",
        "NET #1 long in 4 @ 99 out 4 @ 101 max 4 gross 8 estimated | fees USDT 0 unknown | funding - | - | unknown | estimated | 1..2
         NET 0 @ - estimated realized 8 estimated",
    );
    check(
        "anchor 0
         BUY 2 @ 100 fee 0 USDT
         BUY 2 @ 98 fee 0 USDT
         SELL 4 @ 101 fee 0 USDT",
        "NET #1 long in 4 @ 99 out 4 @ 101 max 4 gross 8 known | fees USDT 0 known | funding - | - | unknown | known | 1..3
         NET 0 @ - known realized 8 known",
    );
    // Without a price no money is made up, on the way in ...
    check(
        "anchor 0
         BUY 2 @ 100 fee 0 USDT
         SELL 1 @ 110 fee 0 USDT
         residual BUY 2
         SELL 1 @ 101 fee 0 USDT",
        "NET #1 long in 4 @ - out 2 @ 105.5 max 3 gross 10 unknown | fees USDT 0 unknown | funding - | - | unknown | unknown | 1..-
         NET 2 @ - unknown realized 10 unknown",
    );
    // ... and on the way out; the rest keeps its cost.
    check(
        "anchor 0
         BUY 2 @ 100 fee 0 USDT
         residual SELL 1
         SELL 1 @ 101 fee 0 USDT",
        "NET #1 long in 2 @ 100 out 2 @ - max 2 gross 1 unknown | fees USDT 0 unknown | funding - | - | unknown | unknown | 1..2
         NET 0 @ - estimated realized 1 unknown",
    );
}

#[test]
fn anchors_state_what_fills_cannot() {
    // With an entry: everything that rests on it is estimated, and the next round trip is known again.
    check(
        "anchor 2 @ 100
         SELL 2 @ 101 fee 0 USDT
         SELL 1 @ 105 fee 0 USDT",
        "NET #1 long in 2 @ 100 out 2 @ 101 max 2 gross 2 estimated | fees USDT 0 known | funding - | - | unknown | estimated | -..1
         NET #2 short in 1 @ 105 out 0 @ - max 1 gross 0 known | fees USDT 0 known | funding - | - | unknown | known | 2..-
         NET -1 @ 105 known realized 2 estimated",
    );
    // Without one, the quantity is all there is.
    check(
        "anchor -2
         BUY 1 @ 101 fee 0 USDT",
        "NET #1 short in 2 @ - out 1 @ 101 max 2 gross 0 unknown | fees USDT 0 known | funding - | - | unknown | unknown | -..-
         NET -1 @ - unknown realized 0 unknown",
    );
    // An anchor that agrees proves the beginning.
    check(
        "BUY 2 @ 100 fee 0 USDT
         anchor 2 @ 100
         SELL 1 @ 101 fee 0 USDT",
        "NET #1 long in 2 @ 100 out 1 @ 101 max 2 gross 1 known | fees USDT 0 known | funding - | - | unknown | known | 1..-
         NET 1 @ 100 known realized 1 known",
    );
    // The same quantity at another price is no proof of the price.
    check(
        "BUY 2 @ 100 fee 0 USDT
         anchor 2 @ 90
         SELL 1 @ 101 fee 0 USDT",
        "NET #1 long in 2 @ 100 out 1 @ 101 max 2 gross 1 estimated | fees USDT 0 known | funding - | - | unknown | estimated | 1..-
         NET 1 @ 100 estimated realized 1 estimated",
    );
    // One that contradicts ends what the book held as unknown.
    check(
        "BUY 2 @ 100 fee 0 USDT
         SELL 1 @ 101 fee 0 USDT
         anchor -3 @ 99
         BUY 3 @ 98 fee 0 USDT",
        "NET #1 long in 2 @ - out 1 @ 101 max 2 gross 0 unknown | fees USDT 0 known | funding - | - | unknown | unknown | 1..2
         NET #2 short in 3 @ 99 out 3 @ 98 max 3 gross 3 estimated | fees USDT 0 known | funding - | - | unknown | estimated | -..3
         NET 0 @ - known realized 3 unknown",
    );
    // Flat, stated after an unseen close, ends the doubt.
    check(
        "SELL 2 @ 101 fee 0 USDT pnl 7
         anchor 0
         BUY 1 @ 100 fee 0 USDT",
        "NET #1 long in 0 @ - out 2 @ 101 max 0 gross 0 unknown (exchange 7) | fees USDT 0 known | funding - | - | unknown | unknown | -..1
         NET #2 long in 1 @ 100 out 0 @ - max 1 gross 0 known | fees USDT 0 known | funding - | - | unknown | known | 2..-
         NET 1 @ 100 known realized 0 unknown",
    );
}

#[test]
fn a_book_that_begins_in_the_middle_makes_nothing_up() {
    // The first fill realizes profit: what it closed was never seen, and nothing says what is left of it.
    check(
        "SELL 2 @ 101 fee 0.1 USDT pnl 7",
        "NET #1 long in 0 @ - out 2 @ 101 max 0 gross 0 unknown (exchange 7) | fees USDT 0.1 known | funding - | - | unknown | unknown | -..1
         NET 0 @ - unknown realized 0 unknown",
    );
    // A close larger than what is held, with the exchange's profit for all of it.
    check(
        "BUY 2 @ 100 fee 0 USDT pnl 0
         SELL 5 @ 104 fee 0.5 USDT pnl 20",
        "NET #1 long in 2 @ - out 5 @ 104 max 2 gross 0 unknown (exchange 20) | fees USDT 0.5 known | funding - | - | unknown | unknown | 1..2
         NET 0 @ - unknown realized 0 unknown",
    );
    // The same without the exchange's word is a flip, and no more than an estimate.
    check(
        "BUY 2 @ 100 fee 0 USDT
         SELL 5 @ 104 fee 0.5 USDT",
        "NET #1 long in 2 @ 100 out 2 @ 104 max 2 gross 8 estimated | fees USDT 0.2 known | funding - | - | unknown | estimated | 1..2
         NET #2 short in 3 @ 104 out 0 @ - max 3 gross 0 known | fees USDT 0.3 known | funding - | - | unknown | estimated | 2..-
         NET -3 @ 104 estimated realized 8 estimated",
    );
    // The exchange confirms the profit; the extent stays an assumption until another average agrees.
    check(
        "BUY 2 @ 100 fee 0 USDT pnl 0
         SELL 2 @ 104 fee 0 USDT pnl 8
         BUY 2 @ 100 fee 0 USDT pnl 0
         SELL 2 @ 104 fee 0 USDT pnl 8
         BUY 2 @ 90 fee 0 USDT pnl 0
         SELL 2 @ 91 fee 0 USDT pnl 2",
        "NET #1 long in 2 @ 100 out 2 @ 104 max 2 gross 8 known (exchange 8) | fees USDT 0 known | funding - | - | unknown | estimated | 1..2
         NET #2 long in 2 @ 100 out 2 @ 104 max 2 gross 8 known (exchange 8) | fees USDT 0 known | funding - | - | unknown | estimated | 3..4
         NET #3 long in 2 @ 90 out 2 @ 91 max 2 gross 2 known (exchange 2) | fees USDT 0 known | funding - | - | unknown | known | 5..6
         NET 0 @ - known realized 18 known",
    );
    // A short of 5 at 96 was open before: it is closed unnoticed at its own price, so the book holds 5 too many; selling
    // at that price again agrees, and so does the next round trip. Truly, everything is closed at the end.
    check(
        "BUY 6 @ 96 fee 0 USDT pnl 0
         BUY 5 @ 95 fee 0 USDT pnl 0
         SELL 11 @ 96 fee 0 USDT pnl 5
         BUY 5 @ 96 fee 0 USDT pnl 0
         BUY 2 @ 96 fee 0 USDT pnl 0
         SELL 2 @ 97 fee 0 USDT pnl 2",
        "NET #1 long in 11 @ 95.545454545455 out 11 @ 96 max 11 gross 5 known (exchange 5) | fees USDT 0 known | funding - | - | unknown | estimated | 1..3
         NET #2 long in 7 @ 96 out 2 @ 97 max 7 gross 2 known (exchange 2) | fees USDT 0 known | funding - | - | unknown | estimated | 4..-
         NET 5 @ 96 estimated realized 7 known",
    );
    // A profit that does not fit: what was held was larger.
    check(
        "BUY 2 @ 100 fee 0 USDT pnl 0
         SELL 1 @ 104 fee 0 USDT pnl 9",
        "NET #1 long in 2 @ - out 1 @ 104 max 2 gross 0 unknown (exchange 9) | fees USDT 0 known | funding - | - | unknown | unknown | 1..-
         NET 1 @ - unknown realized 0 unknown",
    );
    // A second entry that realizes: what looked like a long was the end of a short.
    check(
        "BUY 2 @ 100 fee 0 USDT pnl 0
         BUY 1 @ 101 fee 0 USDT pnl -1",
        "NET #1 long in 2 @ - out 0 @ - max 2 gross 0 unknown | fees USDT 0 known | funding - | - | unknown | unknown | 1..-
         NET #2 short in 0 @ - out 1 @ 101 max 0 gross 0 unknown (exchange -1) | fees USDT 0 known | funding - | - | unknown | unknown | -..2
         NET 0 @ - unknown realized 0 unknown",
    );
    // In hedge mode a sale of the long can only close.
    check(
        "LONG SELL 2 @ 100 fee 0 USDT
         LONG BUY 1 @ 90 fee 0 USDT
         LONG SELL 3 @ 95 fee 0 USDT",
        "LONG #1 long in 0 @ - out 2 @ 100 max 0 gross 0 unknown | fees USDT 0 known | funding - | - | unknown | unknown | -..1
         LONG #2 long in 1 @ - out 3 @ 95 max 1 gross 0 unknown | fees USDT 0 known | funding - | - | unknown | unknown | 2..3
         LONG 0 @ - unknown realized 0 unknown",
    );
}

#[test]
fn closing_at_the_entry_price_proves_nothing() {
    check(
        "BUY 2 @ 100 fee 0 USDT pnl 0
         SELL 2 @ 100 fee 0 USDT pnl 0
         SELL 1 @ 99 fee 0 USDT pnl 0
         BUY 1 @ 99 fee 0 USDT pnl 0",
        "NET #1 long in 2 @ 100 out 2 @ 100 max 2 gross 0 known (exchange 0) | fees USDT 0 known | funding - | - | unknown | estimated | 1..2
         NET #2 short in 1 @ 99 out 1 @ 99 max 1 gross 0 known (exchange 0) | fees USDT 0 known | funding - | - | unknown | estimated | 3..4
         NET 0 @ - estimated realized 0 known",
    );
}

#[test]
fn fills_missing_from_the_middle_of_a_proven_book_show() {
    check(
        "anchor 0
         BUY 2 @ 100 fee 0 USDT pnl 0
         SELL 2 @ 104 fee 0 USDT pnl 10
         BUY 1 @ 100 fee 0 USDT pnl 0",
        "NET #1 long in 2 @ 100 out 2 @ 104 max 2 gross 8 estimated (exchange 10) | fees USDT 0 known | funding - | - | unknown | estimated | 1..2
         NET #2 long in 1 @ 100 out 0 @ - max 1 gross 0 known | fees USDT 0 known | funding - | - | unknown | estimated | 3..-
         NET 1 @ 100 estimated realized 8 estimated",
    );
}

#[test]
fn exit_reasons_come_from_the_closing_order() {
    use ExitReason::{Adl, AutoExit, Liquidation, ManualClose, Settlement, StopLoss, TakeProfit, Unknown};
    let table = [
        // client order id, order type, what the sender said, reason
        ("adl_autoclose", "LIMIT", Some(AutoExit), Adl),
        ("adl_autoclose-17", "", None, Adl),
        ("settlement_autoclose-99", "", Some(TakeProfit), Settlement),
        ("autoclose-1700000000000123", "LIMIT", Some(StopLoss), Liquidation),
        ("x-1", "TAKE_PROFIT", None, TakeProfit),
        ("x-1", "TAKE_PROFIT_MARKET", None, TakeProfit),
        ("x-1", "STOP", None, StopLoss),
        ("x-1", "STOP_MARKET", None, StopLoss),
        ("x-1", "TRAILING_STOP_MARKET", None, StopLoss),
        ("x-1", "STOP_MARKET", Some(AutoExit), AutoExit),
        ("x-1", "MARKET", None, Unknown),
        ("x-1", "LIMIT", Some(TakeProfit), TakeProfit),
        ("web_abc", "MARKET", None, ManualClose),
        ("ios_abc", "MARKET", None, ManualClose),
        ("android_abc", "LIMIT", None, ManualClose),
        ("web_abc", "STOP_MARKET", None, StopLoss),
        ("web_abc", "MARKET", Some(AutoExit), AutoExit),
        ("my_autoclose-", "MARKET", None, Unknown),
        ("", "", None, Unknown),
    ];
    for (id, order_type, said, reason) in table {
        let order = OrderContext {
            client_order_id: ClientOrderId::new(id).ok(),
            order_type: Label::new(order_type).ok(),
            exit_reason: said,
            ..OrderContext::default()
        };
        let mut book = Book::default();
        book.run("anchor 0\nBUY 2 @ 100");
        let fill = book.next_fill("SELL 2 @ 101");
        book.apply(&FoldEvent::Fill { fill: &fill, order: Some(&order) });
        assert_eq!(book.closed[0].exit_reason, reason, "{id} {order_type} {said:?}");
    }
    // An earlier part's reason is not that of the end.
    let mut book = Book::default();
    book.run("anchor 0\nBUY 2 @ 100\nSELL 1 @ 101 type TAKE_PROFIT\nSELL 1 @ 90");
    assert_eq!(book.closed[0].exit_reason, Unknown);
}

#[test]
fn events_out_of_order_are_refused() {
    let mut book = Book::default();
    let (first, second) = (book.next_fill("BUY 1 @ 100"), book.next_fill("BUY 1 @ 100"));
    let mut fold = book.fold.clone();
    fold.apply(FoldEvent::Fill { fill: &second, order: None }).unwrap();
    let before = fold.clone();
    for (fill, error) in [
        (first.clone(), FoldError::OutOfOrder { fill_id: first.key.fill_id.clone() }),
        (second.clone(), FoldError::OutOfOrder { fill_id: second.key.fill_id.clone() }),
    ] {
        assert_eq!(fold.apply(FoldEvent::Fill { fill: &fill, order: None }), Err(error));
    }
    let mut unsided = book.next_fill("BUY 1 @ 100");
    unsided.position_side = None;
    assert!(matches!(
        fold.apply(FoldEvent::Fill { fill: &unsided, order: None }),
        Err(FoldError::NoPositionSide { .. })
    ));
    let mut foreign = unsided;
    foreign.key.symbol = ledger_core::Symbol::new("ETHUSDT").unwrap();
    let error = fold.apply(FoldEvent::Fill { fill: &foreign, order: None }).unwrap_err();
    assert!(matches!(error, FoldError::WrongSymbol { .. }), "{error}");
    assert_eq!(fold, before, "what is refused changes nothing");
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

#[test]
fn a_fill_that_was_passed_over_leaves_nothing_known() {
    // Profit that rests on it is estimated, until the exchange states what is held.
    check(
        "anchor 0
         BUY 2 @ 100 fee 0 USDT
         unplaced
         SELL 2 @ 110 fee 0 USDT
         BUY 1 @ 100 fee 0 USDT
         anchor 1
         SELL 1 @ 105 fee 0 USDT
         BUY 1 @ 100 fee 0 USDT",
        "NET #1 long in 2 @ 100 out 2 @ 110 max 2 gross 20 estimated | fees USDT 0 known | funding - | - | unknown | estimated | 1..3
         NET #2 long in 1 @ 100 out 1 @ 105 max 1 gross 5 known | fees USDT 0 known | funding - | - | unknown | known | 4..5
         NET #3 long in 1 @ 100 out 0 @ - max 1 gross 0 known | fees USDT 0 known | funding - | - | unknown | known | 6..-
         NET 1 @ 100 known realized 25 estimated",
    );
    // Either position of a hedge can be the one; what was unknown stays so, and what ended before it stays known.
    check(
        "anchor LONG 0
         anchor SHORT 0
         LONG BUY 1 @ 100 fee 0 USDT
         LONG SELL 1 @ 104 fee 0 USDT
         LONG BUY 2 @ 100 fee 0 USDT
         anchor SHORT -3
         unplaced",
        "LONG #1 long in 1 @ 100 out 1 @ 104 max 1 gross 4 known | fees USDT 0 known | funding - | - | unknown | known | 1..2
         LONG #2 long in 2 @ 100 out 0 @ - max 2 gross 0 known | fees USDT 0 known | funding - | - | unknown | estimated | 3..-
         SHORT #3 short in 3 @ - out 0 @ - max 3 gross 0 known | fees - | funding - | - | unknown | unknown | -..-
         LONG 2 @ 100 estimated realized 4 known
         SHORT -3 @ - unknown realized 0 known",
    );
    // A flat position is as doubtful as an open one.
    check(
        "anchor 0
         unplaced",
        "NET 0 @ - estimated realized 0 known",
    );
}

#[test]
fn fills_with_and_without_a_sequence_have_no_order() {
    let mut book = Book::default();
    let (numbered, mut bare) = (book.next_fill("BUY 1 @ 100"), book.next_fill("SELL 1 @ 100"));
    bare.sequence = None;
    for (first, second) in [(&numbered, &bare), (&bare, &numbered)] {
        let mut fold = book.fold.clone();
        fold.apply(FoldEvent::Fill { fill: first, order: None }).unwrap();
        let before = fold.clone();
        let error = fold.apply(FoldEvent::Fill { fill: second, order: None }).unwrap_err();
        assert_eq!(error, FoldError::MixedSequences { fill_id: second.key.fill_id.clone() });
        assert_eq!(fold, before, "what is refused changes nothing");
    }
    let mut later = bare.clone();
    (later.key.fill_id, later.time) = ("9".parse().unwrap(), ledger_core::EventTime::ms(support::at(9_000)));
    let mut fold = book.fold.clone();
    for fill in [&bare, &later] {
        fold.apply(FoldEvent::Fill { fill, order: None }).unwrap();
    }
}

/// Random events of all kinds as text, so that a failing case can be read.
fn events() -> impl Strategy<Value = Vec<String>> {
    let sides = prop::sample::select(vec!["", "LONG ", "SHORT "]);
    let way = prop::sample::select(vec!["BUY", "SELL"]);
    let fee = prop::option::of((-50_i64..500, prop::sample::select(vec!["USDT", "BNB"])));
    let pnl = prop::option::of(prop::sample::select(vec!["0", "1", "-3.5"]));
    let fill =
        (sides.clone(), way.clone(), 1_i64..9, 95_i64..105, fee, pnl).prop_map(|(side, way, qty, price, fee, pnl)| {
            let fee = fee.map(|(fee, asset)| format!(" fee {} {asset}", Decimal::new(fee.into(), 3).unwrap()));
            let pnl = pnl.map(|pnl| format!(" pnl {pnl}"));
            format!("{side}{way} {qty} @ {price}{}{}", fee.unwrap_or_default(), pnl.unwrap_or_default())
        });
    let residual = (sides.clone(), way, 1_i64..9, prop::option::of(95_i64..105)).prop_map(|(side, way, qty, price)| {
        format!("residual {side}{way} {qty}{}", price.map(|price| format!(" @ {price}")).unwrap_or_default())
    });
    let anchor = (sides, 0_i64..9, prop::option::of(95_i64..105)).prop_map(|(side, qty, price)| {
        let qty = if side == "SHORT " { -qty } else { qty };
        format!("anchor {side}{qty}{}", price.map(|price| format!(" @ {price}")).unwrap_or_default())
    });
    let funding =
        prop::collection::vec((-40_i64..40, prop::sample::select(vec!["USDT", "BNB"])), 1..4).prop_map(|rows| {
            rows.into_iter().fold("funding".to_owned(), |text, (amount, asset)| {
                format!("{text} {} {asset}", Decimal::new(amount.into(), 2).unwrap())
            })
        });
    prop::collection::vec(
        prop_oneof![12 => fill, 1 => residual, 1 => anchor, 2 => funding, 1 => Just("unplaced".to_owned())],
        1..60,
    )
}

/// What fees and funding rows say, summed from the text itself, in integers of thousandths.
fn sums_of(events: &[String], word: &str, asset: &str) -> i64 {
    let mut sum = BigRational::zero();
    for event in events {
        let tokens: Vec<&str> = event.split_whitespace().collect();
        let Some(start) = tokens.iter().position(|token| *token == word) else {
            continue;
        };
        let pairs = if word == "funding" { tokens.len() / 2 } else { 1 };
        for pair in tokens[start + 1..].chunks(2).take(pairs) {
            if pair[1] == asset {
                sum += big(dec(pair[0]));
            }
        }
    }
    i64::try_from((sum * BigRational::from_integer(1_000.into())).to_integer()).unwrap()
}

fn thousandths<'a>(totals: impl Iterator<Item = &'a CertainTotal>) -> i64 {
    let sum: BigRational = totals.map(|total| big(total.amount().unwrap())).sum();
    let scaled = sum * BigRational::from_integer(1_000.into());
    assert!(scaled.is_integer());
    i64::try_from(scaled.to_integer()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Fees and funding, per asset, whatever happens: all that came in is in some round trip, or unallocated.
    #[test]
    fn round_trips_hold_all_the_money(events in events()) {
        let mut book = Book::default();
        for event in &events {
            book.run(event);
            prop_assert!(book.fold.is_conserved().unwrap(), "after {}", event);
        }
        let open = book.fold.open_trips().unwrap();
        let unallocated = book.fold.unallocated_funding().unwrap();
        let positions = book.fold.positions().unwrap();
        for asset in ["USDT", "BNB"] {
            let of = |totals: &[ledger_core::AssetTotal]| {
                totals.iter().find(|total| total.asset.as_str() == asset).map(|total| total.total)
            };
            let trips = || book.closed.iter().chain(&open);
            let fees: Vec<_> = trips().filter_map(|trip| of(&trip.fees)).collect();
            prop_assert_eq!(thousandths(fees.iter()), sums_of(&events, "fee", asset));
            let funding: Vec<_> = trips().filter_map(|trip| of(&trip.funding)).chain(of(&unallocated)).collect();
            prop_assert_eq!(thousandths(funding.iter()), sums_of(&events, "funding", asset));
            let fees: Vec<_> = positions.iter().filter_map(|position| of(&position.fees)).collect();
            prop_assert_eq!(thousandths(fees.iter()), sums_of(&events, "fee", asset));
        }
        let fills = events.iter().filter(|event| !event.starts_with(['a', 'f', 'r', 'u'])).count() as u64;
        prop_assert_eq!(positions.iter().map(|position| position.fill_count).sum::<u64>(), fills);
        // The gross of positions is that of their round trips.
        for position in &positions {
            let mut total = CertainTotal::default();
            for trip in book.closed.iter().chain(&open).filter(|trip| trip.position_side == position.position_side) {
                total.merge(&trip.gross).unwrap();
            }
            prop_assert_eq!(total.known, position.realized.known);
            prop_assert_eq!(total.estimated, position.realized.estimated);
        }
    }

    /// Stored and loaded between any two events, the fold ends the same.
    #[test]
    #[cfg(feature = "serde")]
    fn a_fold_can_stop_and_go_on(events in events()) {
        let (mut through, mut stopping) = (Book::default(), Book::default());
        for event in &events {
            through.run(event);
            let stored = serde_json::to_string(&stopping.fold).unwrap();
            let loaded: ledger_core::SymbolFold = serde_json::from_str(&stored).unwrap();
            prop_assert_eq!(&loaded, &stopping.fold);
            stopping.fold = loaded;
            stopping.run(event);
            prop_assert_eq!(&through.fold, &stopping.fold, "after {}", event);
        }
        prop_assert_eq!(&through.closed, &stopping.closed);
        prop_assert_eq!(shown(&through), shown(&stopping));
    }

    /// Whatever the constructors let through gives a result or a typed error.
    #[test]
    fn no_valid_input_panics(
        fills in prop::collection::vec((any::<bool>(), 0_usize..3, any::<i128>(), 0_u32..127, 0_u8..=18, any::<i128>(), 0_u32..127, 0_u8..=18,
            prop::option::of((any::<i128>(), 0_u32..127, 0_u8..=18)), prop::option::of((any::<i128>(), 0_u32..127, 0_u8..=18))), 1..24),
        inverse in any::<bool>(), tick in any::<bool>(),
    ) {
        let mut instrument = Instrument::linear(support::symbol(), ledger_core::Asset::new("USDT").unwrap()).unwrap();
        if inverse { instrument.kind = ledger_core::ContractKind::Inverse; }
        if tick { instrument.tick_size = Some(dec("0.000000000000000001")); }
        let mut book = Book::of(&instrument);
        let small = |(m, shift, scale): (i128, u32, u8)| Decimal::new(m >> shift, scale).ok();
        for (buy, side, q, qs, qd, p, ps, pd, fee, pnl) in fills {
            let mut fill = book.next_fill(if buy { "BUY 1 @ 1" } else { "SELL 1 @ 1" });
            let qty = small((q, qs, qd)).and_then(|qty| ledger_core::Quantity::new(qty.abs()).ok());
            let price = small((p, ps, pd)).and_then(|price| ledger_core::Price::new(price.abs()).ok());
            let (Some(qty), Some(price)) = (qty, price) else { continue };
            (fill.qty, fill.price) = (qty, price);
            fill.position_side = Some(PositionSide::ALL[side]);
            fill.fee = fee.and_then(small).map(|amount| ledger_core::Fee { amount, asset: ledger_core::Asset::new("BNB").unwrap() });
            fill.exchange_realized_pnl = pnl.and_then(small);
            let checkpoint = book.fold.clone();
            match book.fold.apply(FoldEvent::Fill { fill: &fill, order: None }) {
                Ok(_) => {
                    let _ = (book.fold.positions(), book.fold.open_trips(), book.fold.is_conserved());
                    let rows = [book::funding_row("-0.00000001", "USDT", 0), book::funding_row("1", "USDT", 1)];
                    if book.fold.clone().apply(FoldEvent::Funding(&rows)).is_ok() {
                        let _ = book.fold.unallocated_funding();
                    }
                }
                Err(FoldError::Math { .. }) => book.fold = checkpoint,
                Err(error) => prop_assert!(false, "{error}"),
            }
        }
    }

    /// A whole account that begins with the book: everything is known, and is what the model says.
    #[test]
    fn a_complete_book_is_that_of_the_model(seed in any::<u64>(), hedge in any::<bool>()) {
        let mut random = Random(seed);
        let mut book = Book::default();
        let sides: &[PositionSide] = if hedge { &[PositionSide::Long, PositionSide::Short] } else { &[PositionSide::Net] };
        let mut exchanges: Vec<Exchange> = sides.iter().map(|side| Exchange::new(*side, false)).collect();
        for side in sides {
            book.run(&format!("anchor {side} 0"));
        }
        let mut fill_count = 0;
        for _ in 0..60 {
            let at = usize::try_from(random.below(i64::try_from(exchanges.len()).unwrap())).unwrap();
            fill_count += 1;
            let text = exchanges[at].trade(&mut random, 10_000, 1, fill_count);
            let step = book.run(&text);
            prop_assert!(!step.pnl_mismatch, "{}", text);
        }
        for exchange in &exchanges {
            for (trip, truth) in book.closed.iter().filter(|trip| trip.position_side == exchange.position_side).zip(&exchange.trips) {
                prop_assert_eq!(trip.certainty, Certainty::Known);
                prop_assert!(truth.is_that_of(trip), "{:?} is not {:?}", trip, truth);
            }
            prop_assert_eq!(book.closed.iter().filter(|trip| trip.position_side == exchange.position_side).count(), exchange.trips.len());
            if let Some(position) = book.fold.positions().unwrap().iter().find(|p| p.position_side == exchange.position_side) {
                prop_assert_eq!(big(position.qty), exchange.qty.clone());
                prop_assert_eq!(position.certainty, Certainty::Known);
            }
        }
    }
}

/// A recorded history that begins anywhere within the true one: nothing that the fold calls known may be wrong.
///
/// The exchange reports realized profit rounded to 8 decimals. Coarse prices make unseen positions hide behind equal
/// averages and break-even closes; fine ones make agreement meaningful.
#[test]
fn what_is_called_known_is_true_wherever_the_book_begins() {
    let (mut known_trips, mut other_trips, mut known_positions) = (0, 0, 0);
    for seed in 0..1_200_u64 {
        let mut random = Random(seed);
        let side = [PositionSide::Net, PositionSide::Net, PositionSide::Long, PositionSide::Short][(seed % 4) as usize];
        // Prices 95..105 in whole units, or 50..150 in cents; quantities in whole units, or in thousandths.
        let (price_steps, qty_step) = [(10, 1_000), (3, 1_000), (10_000, 1), (10, 1)][(seed / 4 % 4) as usize];
        let inverse = seed / 16 % 4 == 0;
        let mut exchange = Exchange::new(side, inverse);
        let history: Vec<String> =
            (1..=40).map(|number| exchange.trade(&mut random, price_steps, qty_step, number)).collect();
        let begin = usize::try_from(random.below(12)).unwrap();
        let mut instrument = Instrument::linear(support::symbol(), Asset::new("USDT").unwrap()).unwrap();
        if inverse {
            instrument.kind = ledger_core::ContractKind::Inverse;
        }
        if seed % 3 == 0 {
            // With a known price step, the exchange's own rounding of entries is allowed for.
            (instrument.tick_size, instrument.step_size) = (Some(dec("0.01")), Some(dec("0.001")));
        }
        let mut book = Book::of(&instrument);
        book.skip(begin);
        let mut since = begin;
        for (at, text) in history.iter().enumerate().skip(begin) {
            let closed_before = book.closed.len();
            book.run(text);
            let case = || {
                format!(
                    "seed {seed}, begun at {begin}, after fill {}:\n{}\n{}",
                    at + 1,
                    history.join("\n"),
                    shown(&book).join("\n")
                )
            };
            assert!(book.fold.is_conserved().unwrap(), "{}", case());
            for trip in &book.closed[closed_before..] {
                if trip.certainty == Certainty::Known {
                    known_trips += 1;
                    assert!(exchange.trips.iter().any(|truth| truth.is_that_of(trip)), "{trip:?}\n{}", case());
                } else {
                    other_trips += 1;
                }
                // The amount is true even where the extent is an assumption.
                if trip.gross.certainty() == Certainty::Known {
                    let truth: BigRational = exchange.realized[since..=at].iter().sum();
                    let rounding = BigRational::new(((at - since + 1) * 12).into(), 100_000_000.into());
                    assert!((big(trip.gross.known) - truth).abs() <= rounding, "{trip:?}\n{}", case());
                }
                since = at + 1;
            }
            for position in book.fold.positions().unwrap() {
                if position.certainty == Certainty::Known {
                    known_positions += 1;
                    assert_eq!(big(position.qty), exchange.qty_after[at], "{}", case());
                    let unit = BigRational::new(1.into(), 1_000_000_000.into());
                    if let Some(entry) = position.entry_price_avg {
                        assert!((big(entry) - &exchange.average_after[at]).abs() <= unit, "{}", case());
                    }
                }
            }
        }
    }
    assert!(
        known_trips > 1_000 && other_trips > 1_000 && known_positions > 4_000,
        "{known_trips} known round trips, {other_trips} others, {known_positions} known positions"
    );
}
