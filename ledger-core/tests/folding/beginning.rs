//! Books that begin in the middle, or have gaps, and what may be called known in them.

use super::*;

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

/// Entries this close to each other leave room for a thousandth that nobody has seen, but not for a hundredth. Today's step
/// says nothing about the time in which quantities had thousandths.
#[test]
fn a_step_that_has_become_coarser_proves_nothing_about_finer_fills() {
    let certainty = |step: &str, qty: &str| {
        let mut instrument = Instrument::linear("BTCUSDT".parse().unwrap(), "USDT".parse().unwrap()).unwrap();
        instrument.step_size = Some(step.parse().unwrap());
        let mut book = Book::of(&instrument);
        let profit = |gain: &str| qty.parse::<Decimal>().unwrap().checked_mul(gain.parse().unwrap()).unwrap();
        book.run(&format!(
            "BUY {qty} @ 1 fee 0 USDT pnl 0
             SELL {qty} @ 1.5 fee 0 USDT pnl {}
             BUY {qty} @ 1.00001 fee 0 USDT pnl 0
             SELL {qty} @ 2 fee 0 USDT pnl {}",
            profit("0.5"),
            profit("0.99999"),
        ));
        book.fold.positions().unwrap()[0].certainty
    };
    assert_eq!(certainty("0.001", "0.005"), Certainty::Estimated);
    assert_eq!(certainty("0.01", "0.005"), Certainty::Estimated);
    assert_eq!(certainty("0.01", "0.01"), Certainty::Known);
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

/// Which fills' reported profits were compared with nothing: the exchange reported none, or the book does not know its own.
#[test]
fn profits_that_are_compared_with_nothing_are_counted() {
    let instrument = Instrument::linear(support::symbol(), Asset::new("USDT").unwrap()).unwrap();
    for (events, unreported, unknown, differs) in [
        ("BUY 2 @ 100 fee 0 USDT pnl 0\nSELL 2 @ 104 fee 0 USDT pnl 8", 0, 0, false),
        ("BUY 2 @ 100 fee 0 USDT\nSELL 2 @ 104 fee 0 USDT", 2, 0, false),
        // In a proven book, and of a position of a hedge.
        (
            "anchor NET 0\nBUY 2 @ 100 fee 0 USDT pnl 0\nBUY 1 @ 100 fee 0 USDT\nSELL 3 @ 104 fee 0 USDT pnl 12",
            1,
            0,
            false,
        ),
        ("LONG BUY 2 @ 100 fee 0 USDT pnl 0\nSHORT SELL 1 @ 100 fee 0 USDT", 1, 0, false),
        // Never seen opened: once, and again while nothing says what is left of it.
        ("SELL 2 @ 101 fee 0 USDT pnl 7", 0, 1, false),
        ("SELL 2 @ 101 fee 0 USDT pnl 7\nSELL 1 @ 101 fee 0 USDT pnl 3\nSELL 1 @ 101 fee 0 USDT", 1, 2, false),
        // More is closed than is held, by the exchange's word.
        ("BUY 2 @ 100 fee 0 USDT pnl 0\nSELL 5 @ 104 fee 0 USDT pnl 20", 0, 1, false),
        // Opened at a price that nobody states.
        ("anchor NET 2\nSELL 1 @ 104 fee 0 USDT pnl 9", 0, 1, false),
        // Known, and another one than the exchange's.
        ("BUY 2 @ 100 fee 0 USDT pnl 0\nSELL 1 @ 104 fee 0 USDT pnl 9", 0, 0, true),
    ] {
        let mut book = Book::of(&instrument);
        let last = book.run(events);
        let counted = (book.fold.pnl_unreported_count(), book.fold.pnl_unknown_count(), last.pnl_mismatch);
        assert_eq!(counted, (unreported, unknown, differs), "{events}");
    }
}
