//! What an order's answer says that its execution cost.
//!
//! Answers of some venues and libraries state a fee with an order; fills state theirs one by one, and are the primary
//! fact. So a stated fee says nothing of an order whose fills are all on record. While some of them are missing, what is
//! stated beyond theirs is an estimate of what the missing ones cost: see [`Residual`](crate::Residual).

use std::collections::BTreeMap;

use crate::amount::{Decimal, MathError};
use crate::fill::Fee;
use crate::id::Asset;
use crate::merge::AMOUNT_SCALE;

/// The fees of an order as an answer states them, in one sum for each asset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StatedFees {
    /// The executed quantity that they were stated for.
    qty: Decimal,
    /// One for each asset, in the order of their names.
    paid: Vec<Fee>,
}

impl StatedFees {
    /// What an answer states of `qty` executed: positive = paid, negative = rebate. `None` where nothing was executed or no
    /// fee is stated.
    ///
    /// # Errors
    /// [`MathError`] when a sum does not fit.
    pub fn new(qty: Decimal, fees: impl IntoIterator<Item = Fee>) -> Result<Option<Self>, MathError> {
        let mut sums = BTreeMap::<Asset, Decimal>::new();
        for Fee { amount, asset } in fees {
            let sum = sums.entry(asset).or_default();
            *sum = sum.checked_add(amount)?;
        }
        if sums.is_empty() || !qty.is_positive() {
            return Ok(None);
        }
        let paid = sums.into_iter().map(|(asset, amount)| Fee { amount, asset }).collect();
        Ok(Some(Self { qty, paid }))
    }

    /// The executed quantity that they were stated for.
    pub fn qty(&self) -> Decimal {
        self.qty
    }

    /// One for each asset, in the order of their names.
    pub fn paid(&self) -> &[Fee] {
        &self.paid
    }

    /// Whether two statements are one: libraries add up in doubles, and exchanges state 8 decimals.
    pub(crate) fn agrees_with(&self, other: &Self) -> bool {
        let rounded = |fees: &Self| -> Vec<(Asset, Decimal)> {
            fees.paid.iter().map(|fee| (fee.asset.clone(), fee.amount.round(AMOUNT_SCALE))).collect()
        };
        self.qty == other.qty && rounded(self) == rounded(other)
    }

    /// What is left of the stated fees beyond those of the fills on record, for an order that executed `executed_qty`: an
    /// estimate of what the missing fills cost. It is negative where these got a rebate, or where the fills cost more than
    /// is stated.
    ///
    /// `None` where nothing can be told of it: the fees were stated for another quantity, a fill does not state its own, or
    /// one was charged in an asset that the order's answer does not name.
    pub fn beyond<'a>(
        &self,
        executed_qty: Decimal,
        of_fills: impl IntoIterator<Item = Option<&'a Fee>>,
    ) -> Option<Vec<Fee>> {
        if self.qty != executed_qty {
            return None;
        }
        let mut rest = self.paid.clone();
        for fee in of_fills {
            let fee = fee?;
            match rest.iter_mut().find(|rest| rest.asset == fee.asset) {
                Some(rest) => rest.amount = rest.amount.checked_sub(fee.amount).ok()?,
                None if fee.amount.is_zero() => {}
                None => return None,
            }
        }
        Some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fees(text: &str) -> Vec<Fee> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let fee = |pair: &[&str]| Fee { amount: pair[0].parse().unwrap(), asset: Asset::new(pair[1]).unwrap() };
        words.chunks(2).map(fee).collect()
    }

    /// What is stated of 10, the fees of the fills (`?` for one that states none), and what is left.
    #[test]
    fn what_is_left_of_stated_fees_is_told_by_asset() {
        let table = [
            ("0.5 USDT", "", "0.5 USDT"),
            ("0.5 USDT", "0.2 USDT 0.1 USDT", "0.2 USDT"),
            ("0.3 USDT 0.2 USDT", "0.2 USDT", "0.3 USDT"),
            ("0.001 BNB 0.2 USDT", "0.001 BNB", "0 BNB 0.2 USDT"),
            // Rebates keep their sign, and so does what the fills cost too much.
            ("-0.2 USDT", "-0.05 USDT", "-0.15 USDT"),
            ("0.04 USDT", "0.05 USDT", "-0.01 USDT"),
            // Charged in another asset than stated, or not told: nothing is known of the rest.
            ("0.5 USDT", "0.001 BNB", "unknown"),
            ("0.5 USDT", "0 BNB", "0.5 USDT"),
            ("0.5 USDT", "?", "unknown"),
        ];
        for (stated, of_fills, expected) in table {
            let stated = StatedFees::new("10".parse().unwrap(), fees(stated)).unwrap().unwrap();
            let known = fees(of_fills.trim_matches('?'));
            let of_fills = known.iter().map(Some).chain((of_fills == "?").then_some(None));
            let rest = stated.beyond("10.00".parse().unwrap(), of_fills.clone());
            assert_eq!(rest, (expected != "unknown").then(|| fees(expected)), "{stated:?} {known:?}");
            // Stated of another quantity, they say nothing.
            assert_eq!(stated.beyond("11".parse().unwrap(), of_fills), None);
        }
        assert_eq!(StatedFees::new(Decimal::ZERO, fees("0.5 USDT")).unwrap(), None);
        assert_eq!(StatedFees::new(Decimal::ONE, []).unwrap(), None);
    }
}
