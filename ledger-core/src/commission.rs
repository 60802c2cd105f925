//! What a fill was charged, by the exchange's own ledger.
//!
//! Sources do not agree on the sign of a fee: some state a paid one as a negative number. The ledger's entry for the same
//! trade is what the wallet saw, so it decides, wherever it can only mean this fill.
//!
//! Invariants, each with a test of the same name:
//! 1. `the_ledger_decides_what_a_fill_was_charged`.

use crate::amount::Decimal;
use crate::fill::Fee;
use crate::id::Asset;

/// The fee of a fill by the ledger's `COMMISSION` entries of its trade (asset, amount as the wallet saw it: negative when
/// paid), or `None` when they leave open what this fill was charged: there are none in the asset that the fill states,
/// there are several that do not add up to what it states, or the trade has fills on both sides (`is_self_trade`).
pub fn ledger_fee(stated: Option<&Fee>, entries: &[(Asset, Decimal)], is_self_trade: bool) -> Option<Fee> {
    let asset = stated.map_or_else(|| entries.first().map(|(asset, _)| asset), |fee| Some(&fee.asset))?;
    let of_asset = || entries.iter().filter(|(of, _)| of == asset).map(|(_, amount)| *amount);
    let count = of_asset().count();
    // Without a stated asset the entries have to agree on one.
    if is_self_trade || count == 0 || (stated.is_none() && entries.len() > 1) {
        return None;
    }
    let amount = -of_asset().try_fold(Decimal::ZERO, Decimal::checked_add).ok()?;
    let fits = count == 1 || stated.is_some_and(|fee| fee.amount.abs() == amount.abs());
    fits.then(|| Fee { amount, asset: asset.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The stated fee, the ledger's entries, whether it is a self-trade, and the decision.
    #[test]
    fn the_ledger_decides_what_a_fill_was_charged() {
        let fee = |text: &str| {
            let (amount, asset) = text.split_once(' ').unwrap();
            Fee { amount: amount.parse().unwrap(), asset: Asset::new(asset).unwrap() }
        };
        let table: &[(&str, &[&str], bool, &str)] = &[
            ("0.04 USDT", &["-0.04 USDT"], false, "0.04 USDT"),
            ("-0.04 USDT", &["-0.04 USDT"], false, "0.04 USDT"),
            ("0.04 USDT", &["0.04 USDT"], false, "-0.04 USDT"),
            ("-0.04 USDT", &["0.04 USDT"], false, "-0.04 USDT"),
            ("0.05 USDT", &["-0.04 USDT"], false, "0.04 USDT"),
            ("0.04 USDT", &[], false, ""),
            ("0.04 USDT", &["-0.001 BNB"], false, ""),
            ("0.04 USDT", &["-0.001 BNB", "-0.04 USDT"], false, "0.04 USDT"),
            ("-0.04 USDT", &["-0.04 USDT"], true, ""),
            // Several entries: only if they are parts of what is stated.
            ("-0.04 USDT", &["-0.03 USDT", "-0.01 USDT"], false, "0.04 USDT"),
            ("-0.04 USDT", &["-0.04 USDT", "-0.01 USDT"], false, ""),
            ("", &["-0.04 USDT"], false, "0.04 USDT"),
            ("", &["-0.04 USDT", "-0.001 BNB"], false, ""),
            ("", &["-0.04 USDT", "-0.04 USDT"], false, ""),
            ("0 USDT", &["0 USDT"], false, "0 USDT"),
        ];
        for (stated, entries, is_self_trade, expected) in table {
            let stated = (!stated.is_empty()).then(|| fee(stated));
            let entries: Vec<_> = entries.iter().map(|text| fee(text)).map(|fee| (fee.asset, fee.amount)).collect();
            let decided = ledger_fee(stated.as_ref(), &entries, *is_self_trade);
            let expected = (!expected.is_empty()).then(|| fee(expected));
            assert_eq!(decided, expected, "{stated:?} {entries:?} {is_self_trade}");
        }
    }
}
