//! What a fill was charged, by the exchange's own ledger.
//!
//! Sources do not agree on the sign of a fee: some state a paid one as a negative number. The ledger's entry for the same
//! trade is what the wallet saw, so it decides the sign, wherever it can only mean this fill. How much was charged is the
//! fill's own statement: an entry of another size is a discrepancy between two words of the exchange, which a check tells
//! (income against fills) and nobody settles silently. In which asset it was charged the wallet knows best, so a single entry
//! in another asset stands in place of what the fill states; the check tells it as well.
//!
//! Invariants, each with a test of the same name:
//! 1. `the_ledger_decides_the_sign_of_a_fee`.

use crate::amount::Decimal;
use crate::fill::Fee;
use crate::id::Asset;

/// The digits after the point that ledger amounts have.
const LEDGER_SCALE: u8 = 8;

/// The fee of a fill by the ledger's `COMMISSION` entries of its trade (asset, amount as the wallet saw it: negative when
/// paid): what the fill states with the ledger's sign, or what the ledger says where the fill states nothing.
///
/// `None` when the entries leave open what this fill was charged: there are none, or several and none of them in the asset that
/// the fill states; there are several that do not add up to what it states, theirs is zero and has no sign, or the trade
/// has fills on both sides (`is_self_trade`).
pub fn ledger_fee(stated: Option<&Fee>, entries: &[(Asset, Decimal)], is_self_trade: bool) -> Option<Fee> {
    if let (Some(stated), [(asset, amount)]) = (stated, entries)
        && *asset != stated.asset
    {
        let is_told = !is_self_trade && !amount.is_zero();
        return is_told.then(|| Fee { amount: -*amount, asset: asset.clone() });
    }
    let asset = stated.map_or_else(|| entries.first().map(|(asset, _)| asset), |fee| Some(&fee.asset))?;
    let of_asset = || entries.iter().filter(|(of, _)| of == asset).map(|(_, amount)| *amount);
    let count = of_asset().count();
    // Without a stated asset the entries have to agree on one.
    if is_self_trade || count == 0 || (stated.is_none() && entries.len() > 1) {
        return None;
    }
    let charged = -of_asset().try_fold(Decimal::ZERO, Decimal::checked_add).ok()?;
    let Some(stated) = stated else {
        return Some(Fee { amount: charged, asset: asset.clone() });
    };
    let size = stated.amount.abs();
    let fits = count == 1 || size.round(LEDGER_SCALE) == charged.abs().round(LEDGER_SCALE);
    if !fits || (charged.is_zero() && !size.is_zero()) {
        return None;
    }
    Some(Fee { amount: if charged.is_negative() { -size } else { size }, asset: asset.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The stated fee, the ledger's entries, whether it is a self-trade, and the decision.
    #[test]
    fn the_ledger_decides_the_sign_of_a_fee() {
        let fee = |text: &str| {
            let (amount, asset) = text.split_once(' ').unwrap();
            Fee { amount: amount.parse().unwrap(), asset: Asset::new(asset).unwrap() }
        };
        let table: &[(&str, &[&str], bool, &str)] = &[
            ("0.04 USDT", &["-0.04 USDT"], false, "0.04 USDT"),
            ("-0.04 USDT", &["-0.04 USDT"], false, "0.04 USDT"),
            ("0.04 USDT", &["0.04 USDT"], false, "-0.04 USDT"),
            ("-0.04 USDT", &["0.04 USDT"], false, "-0.04 USDT"),
            // Of another size: the sign only.
            ("0.05 USDT", &["-0.04 USDT"], false, "0.05 USDT"),
            ("-0.05 USDT", &["-0.04 USDT"], false, "0.05 USDT"),
            ("0.05 USDT", &["0.04 USDT"], false, "-0.05 USDT"),
            ("-0.05 USDT", &["0 USDT"], false, ""),
            ("-0.123456789 USDT", &["-0.12345679 USDT"], false, "0.123456789 USDT"),
            ("0.04 USDT", &[], false, ""),
            // In another asset than stated: the wallet's word.
            ("0.04 USDT", &["-0.001 BNB"], false, "0.001 BNB"),
            ("0.04 USDT", &["0.001 BNB"], false, "-0.001 BNB"),
            ("0.04 USDT", &["0 BNB"], false, ""),
            ("0.04 USDT", &["-0.001 BNB"], true, ""),
            ("0.04 USDT", &["-0.001 BNB", "-0.002 BNB"], false, ""),
            ("0.04 USDT", &["-0.001 BNB", "-0.04 USDT"], false, "0.04 USDT"),
            ("-0.04 USDT", &["-0.04 USDT"], true, ""),
            // Several entries: only if they are parts of what is stated.
            ("-0.04 USDT", &["-0.03 USDT", "-0.01 USDT"], false, "0.04 USDT"),
            ("-0.04 USDT", &["-0.04 USDT", "-0.01 USDT"], false, ""),
            ("-0.123456789 USDT", &["-0.1 USDT", "-0.02345679 USDT"], false, "0.123456789 USDT"),
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
