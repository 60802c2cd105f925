//! What stands in for fills that are not there: residuals and anchors.

use super::*;

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
    // What an answer states of its fee is an estimate, in each asset, a rebate as well; a flip divides it.
    check(
        "anchor 0
         BUY 2 @ 100 fee 0.1 USDT
         residual BUY 2 @ 98 fee 0.05 USDT 0.001 BNB
         SELL 4 @ 101 fee 0 USDT",
        "NET #1 long in 4 @ 99 out 4 @ 101 max 4 gross 8 estimated | fees BNB 0.001 estimated, USDT 0.15 estimated | funding - | - | unknown | estimated | 1..2
         NET 0 @ - estimated realized 8 estimated",
    );
    check(
        "anchor 0
         BUY 1 @ 100 fee 0.1 USDT
         residual SELL 4 @ 101 fee -0.04 USDT 0.004 BNB",
        "NET #1 long in 1 @ 100 out 1 @ 101 max 1 gross 1 estimated | fees BNB 0.001 estimated, USDT 0.09 estimated | funding - | - | unknown | estimated | 1..-
         NET #2 short in 3 @ 101 out 0 @ - max 3 gross 0 known | fees BNB 0.003 estimated, USDT -0.03 estimated | funding - | - | unknown | estimated | -..-
         NET -3 @ 101 estimated realized 1 estimated",
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
        "NET #1 long in 2 @ - out 1 @ 101 max 2 gross 0 unknown | fees USDT 0 known | funding - | - | unknown | unknown | 1..-
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
