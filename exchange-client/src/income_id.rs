//! The id of a ledger row that the exchange gave none.
//!
//! It is made of what every form of the row tells alike (the export knows seconds and no trade, the archive and the
//! interface know more), so that the same row counts once however often and wherever it is read. Identical rows of one
//! second are numbered. Limits: the numbers stay the same only if the rows of a second are seen together, as they are in
//! a file that was not cut within it (see `files::LedgerRead`) and in the adapter's pages; and where such rows differ in what only one form tells
//! (the millisecond, the remark), forms that list them in different orders disagree on which is which. Their count and
//! their sum are right all the same.
//!
//! Invariants, each with a test of the same name:
//! 1. `the_same_row_has_the_same_id_in_every_form`.
//! 2. `what_differs_beyond_the_second_has_another_id`.

use ledger_core::{Asset, Decimal, IdError, IncomeType, Symbol, TimestampMs, TranId};
use sha2::{Digest, Sha256};

/// Whether an id's text says that there is none.
pub(crate) fn is_no_id(text: &str) -> bool {
    matches!(text, "" | "0")
}

/// What identical ledger rows have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct IncomeDigest(u128);

impl IncomeDigest {
    /// Of a row's values, whatever their spelling was: `at` counts to the second.
    pub(crate) fn new(
        income_type: &IncomeType,
        at: TimestampMs,
        amount: Decimal,
        asset: &Asset,
        symbol: Option<&Symbol>,
    ) -> Self {
        let second_ms = at.as_ms() - at.as_ms().rem_euclid(1_000);
        let symbol = symbol.map_or("", Symbol::as_str);
        // Behind the type no value can have a `|`, so no two lists of values read the same.
        let text = format!("{income_type}|{second_ms}|{amount}|{asset}|{symbol}");
        let digest = Sha256::digest(text.as_bytes());
        Self(digest.iter().take(16).fold(0, |value, byte| value << 8 | u128::from(*byte)))
    }

    /// The digest itself.
    pub(crate) fn number(self) -> u128 {
        self.0
    }

    /// The id of the row with this many identical ones in front of it in its second.
    ///
    /// # Errors
    /// [`IdError`], which the form of the id rules out.
    pub(crate) fn tran_id(self, ordinal: u32) -> Result<TranId, IdError> {
        TranId::new(format!("digest:{:032x}:{ordinal}", self.0))
    }
}

/// What a made-up id has in common with those of identical rows; `None` for one that the exchange gave.
pub(crate) fn without_ordinal(tran_id: &TranId) -> Option<&str> {
    let made_up = Some(tran_id.as_str()).filter(|text| text.starts_with("digest:"))?;
    made_up.rsplit_once(':').map(|(prefix, _ordinal)| prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(income_type: &str, ms: i64, amount: &str, asset: &str, symbol: &str) -> IncomeDigest {
        let symbol = (!symbol.is_empty()).then(|| Symbol::new(symbol).unwrap());
        let at = TimestampMs::new(1_780_000_000_000 + ms).unwrap();
        let asset = Asset::new(asset).unwrap();
        IncomeDigest::new(&income_type.parse().unwrap(), at, amount.parse().unwrap(), &asset, symbol.as_ref())
    }

    #[test]
    fn the_same_row_has_the_same_id_in_every_form() {
        let row = digest("REFERRAL_KICKBACK", 0, "0.0125", "USDT", "");
        assert_eq!(digest("REFERRAL_KICKBACK", 999, "0.01250000", "USDT", ""), row);
        // Its form is part of the book: another one would make every such row count again.
        assert_eq!(row.tran_id(1).unwrap().as_str().len(), "digest:".len() + 32 + ":1".len());
    }

    #[test]
    fn what_differs_beyond_the_second_has_another_id() {
        let row = digest("TRANSFER", 0, "1", "USDT", "BTCUSDT");
        for other in [
            digest("WELCOME_BONUS", 0, "1", "USDT", "BTCUSDT"),
            digest("TRANSFER", 1_000, "1", "USDT", "BTCUSDT"),
            digest("TRANSFER", -1, "1", "USDT", "BTCUSDT"),
            digest("TRANSFER", 0, "-1", "USDT", "BTCUSDT"),
            digest("TRANSFER", 0, "1", "USDC", "BTCUSDT"),
            digest("TRANSFER", 0, "1", "USDT", "ETHUSDT"),
            digest("TRANSFER", 0, "1", "USDT", ""),
        ] {
            assert_ne!(other, row);
        }
        assert_ne!(row.tran_id(0).unwrap(), row.tran_id(1).unwrap());
    }
}
