//! Which position a funding payment belongs to.
//!
//! The exchange's funding rows name the symbol but not the position. In one-way mode that is enough; in hedge mode a
//! symbol can hold a long and a short at once, which pay and receive the same rate on their own sizes.

use std::collections::BTreeMap;

use crate::amount::{Decimal, MathError, SCALE_MAX};
use crate::certainty::Certainty;
use crate::id::Asset;
use crate::income::Income;
use crate::source::PositionSide;
use crate::time::TimestampMs;

const HOUR_MS: i64 = 3_600_000;
const POSTING_DELAY_MS_MAX: i64 = 60_000;

/// The instant whose position a funding row posted at `at` pays for.
///
/// Funding is charged on the positions held at a full hour and posted some seconds later (Binance's documentation
/// allows a deviation of 15 s), so a row within the first minute of an hour belongs to that hour; any other row is
/// taken at its own time. Later rows never have an earlier instant.
pub fn funding_instant(at: TimestampMs) -> TimestampMs {
    let late = at.as_ms().rem_euclid(HOUR_MS);
    if late <= POSTING_DELAY_MS_MAX { at.saturating_add_ms(-late) } else { at }
}

/// A part of a funding payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Share {
    /// The row that it is a part of, by its place.
    pub(crate) row: usize,
    /// The position it belongs to; `None` when that cannot be told.
    pub(crate) position_side: Option<PositionSide>,
    pub(crate) asset: Asset,
    pub(crate) amount: Decimal,
    pub(crate) certainty: Certainty,
}

/// Distributes the rows of one instant over the positions held then (side, signed quantity; none of them flat).
///
/// A single position gets everything, with the certainty that `single` states; of a hedge only as an estimate when
/// there is more than one row, because the other position then has one, too. A long and a short get their own row each when signs and sizes fit only one
/// way; otherwise the sum is split by signed quantity, as an estimate; where even that is impossible the payment
/// stays unallocated. The shares of an asset add up to its rows.
pub(crate) fn attribute(
    rows: &[Income],
    held: &[(PositionSide, Decimal)],
    single: Certainty,
) -> Result<Vec<Share>, MathError> {
    let mut by_asset: BTreeMap<&Asset, Vec<(usize, Decimal)>> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        by_asset.entry(&row.key.asset).or_default().push((index, row.amount));
    }
    let mut shares = Vec::new();
    for (asset, amounts) in by_asset {
        let share = |row, position_side, amount, certainty| Share {
            row,
            position_side,
            asset: asset.clone(),
            amount,
            certainty,
        };
        match held {
            [] => shares.extend(amounts.iter().map(|(row, amount)| share(*row, None, *amount, Certainty::Known))),
            [(position_side, _)] => {
                let certainty = if *position_side != PositionSide::Net && amounts.len() > 1 {
                    single.max(Certainty::Estimated)
                } else {
                    single
                };
                shares
                    .extend(amounts.iter().map(|(row, amount)| share(*row, Some(*position_side), *amount, certainty)));
            }
            // Numbers that cannot be compared exactly match nothing.
            [a, b] if let Some(((x, of_a), (y, of_b))) = matched(&amounts, a.1, b.1).unwrap_or(None) => {
                shares.push(share(x, Some(a.0), of_a, Certainty::Known));
                shares.push(share(y, Some(b.0), of_b, Certainty::Known));
            }
            _ => {
                for (row, total) in amounts {
                    let weight = held.iter().try_fold(Decimal::ZERO, |sum, (_, qty)| sum.checked_add(*qty))?;
                    if weight.is_zero() {
                        shares.push(share(row, None, total, Certainty::Known));
                        continue;
                    }
                    let mut rest = total;
                    for (at, (position_side, qty)) in held.iter().enumerate() {
                        let amount = if at + 1 == held.len() {
                            rest
                        } else {
                            // Rounded to what wallets are kept in; the last share takes the rest.
                            total.div_round(weight, SCALE_MAX)?.checked_mul_round(*qty, 8)?
                        };
                        rest = rest.checked_sub(amount)?;
                        shares.push(share(row, Some(*position_side), amount, Certainty::Estimated));
                    }
                }
            }
        }
    }
    Ok(shares)
}

/// The two rows of a long and a short, when exactly one assignment fits: opposite signs, amounts in the ratio of the
/// sizes up to the rounding of each amount.
type Row = (usize, Decimal);

fn matched(amounts: &[Row], a: Decimal, b: Decimal) -> Result<Option<(Row, Row)>, MathError> {
    let [(at_x, x), (at_y, y)] = *amounts else { return Ok(None) };
    if a.is_positive() == b.is_positive() || x.is_positive() == y.is_positive() || x.is_zero() || y.is_zero() {
        return Ok(None);
    }
    let fits = |of_a: Decimal, of_b: Decimal| -> Result<bool, MathError> {
        let left = of_a.abs().checked_mul(b.abs())?;
        let right = of_b.abs().checked_mul(a.abs())?;
        let unit = Decimal::new(1, 8)?;
        let slack = a.abs().checked_add(b.abs())?.checked_mul(unit)?;
        Ok(left.checked_sub(right)?.abs() <= slack)
    };
    Ok(match (fits(x, y)?, fits(y, x)?) {
        (true, false) => Some(((at_x, x), (at_y, y))),
        (false, true) => Some(((at_y, y), (at_x, x))),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Symbol, TranId};
    use crate::income::IncomeKey;
    use crate::time::EventTime;

    fn row(amount: &str, tran: &str) -> Income {
        Income {
            key: IncomeKey {
                income_type: "FUNDING_FEE".parse().unwrap(),
                tran_id: TranId::new(tran).unwrap(),
                symbol: Some(Symbol::new("BTCUSDT").unwrap()),
                asset: Asset::new("USDT").unwrap(),
            },
            amount: amount.parse().unwrap(),
            time: EventTime::ms(TimestampMs::new(1_700_000_000_000).unwrap()),
            fill_id: None,
            info: None,
        }
    }

    type Case<'a> = (&'a [&'a str], &'a [(PositionSide, &'a str)], &'a str);

    /// Rows, positions (side, quantity), and the shares as `side:amount:certainty`.
    #[test]
    fn funding_goes_to_who_held_the_position() {
        let (net, long, short) = (PositionSide::Net, PositionSide::Long, PositionSide::Short);
        let table: &[Case<'_>] = &[
            (&["-0.5"], &[(net, "2")], "NET:-0.5:known"),
            (&["-0.5"], &[(long, "2")], "LONG:-0.5:known"),
            (&["-0.5"], &[], "-:-0.5:known"),
            // Two rows for one side of a hedge: the book does not see the other.
            (&["-0.5", "0.1"], &[(long, "2")], "LONG:-0.5:estimated LONG:0.1:estimated"),
            // Sizes 3 and 1 at one rate: the larger amount is the long's, whichever row comes first.
            (&["0.1", "-0.3"], &[(long, "3"), (short, "-1")], "LONG:-0.3:known SHORT:0.1:known"),
            (&["-0.3", "0.1"], &[(long, "3"), (short, "-1")], "LONG:-0.3:known SHORT:0.1:known"),
            (&["0.30000001", "-0.1"], &[(long, "3"), (short, "-1")], "LONG:0.30000001:known SHORT:-0.1:known"),
            // Equal sizes: the amounts do not tell which is which.
            (&["0.1", "-0.1"], &[(long, "1"), (short, "-1")], "-:0.1:known -:-0.1:known"),
            // One netted row of 3 - 1.
            (&["-0.2"], &[(long, "3"), (short, "-1")], "LONG:-0.3:estimated SHORT:0.1:estimated"),
            // Sizes that do not fit: each row is split, as an estimate.
            (
                &["-0.5", "0.1"],
                &[(long, "3"), (short, "-1")],
                "LONG:-0.75:estimated SHORT:0.25:estimated LONG:0.15:estimated SHORT:-0.05:estimated",
            ),
        ];
        for (amounts, held, expected) in table {
            let rows: Vec<Income> = amounts.iter().enumerate().map(|(i, a)| row(a, &i.to_string())).collect();
            let held: Vec<_> = held.iter().map(|(side, qty)| (*side, qty.parse().unwrap())).collect();
            let shares = attribute(&rows, &held, Certainty::Known).unwrap();
            let shown: Vec<String> = shares
                .iter()
                .map(|s| format!("{}:{}:{}", s.position_side.map_or("-", PositionSide::as_str), s.amount, s.certainty))
                .collect();
            assert_eq!(shown.join(" "), *expected, "{amounts:?} {held:?}");
        }
    }

    #[test]
    fn funding_is_taken_at_the_hour_it_pays_for() {
        let at = |ms| TimestampMs::new(ms).unwrap();
        let hour = 1_700_006_400_000;
        assert_eq!(funding_instant(at(hour)), at(hour));
        assert_eq!(funding_instant(at(hour + 20_123)), at(hour));
        assert_eq!(funding_instant(at(hour + 60_001)), at(hour + 60_001));
        assert_eq!(funding_instant(at(hour - 1)), at(hour - 1));
    }
}
