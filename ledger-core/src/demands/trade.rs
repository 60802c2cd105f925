//! What trades demand: a row for each fee, and one for each profit or loss.

use std::collections::BTreeMap;

use crate::amount::{Decimal, MathError};
use crate::fill::Fill;
use crate::id::{Asset, FillId, Symbol};
use crate::income::Income;
use crate::source::IncomeType;
use crate::time::TimestampMs;

/// A row may be dated this long after its trade.
pub const ROW_LAG_MS: i64 = 1_999;

/// The digits after the point that the ledger has.
const LEDGER_SCALE: u8 = 8;
const SECOND_MS: i64 = 1_000;

/// A ledger row that a trade demands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DemandedRow {
    /// The contract.
    pub symbol: Symbol,
    /// The trade.
    pub fill_id: FillId,
    /// `COMMISSION` or `REALIZED_PNL`.
    pub income_type: IncomeType,
    /// The asset. Of profit this is what the contract pays in as far as that is known: a row in another asset is the row all
    /// the same, because only the ledger says what profit is paid in.
    pub asset: Asset,
    /// When the trade was executed.
    pub at: TimestampMs,
    /// The amount as the wallet sees it: a fee that is paid is negative. Where some rows are there, what they lack.
    pub amount: Decimal,
    /// From how many fills it follows: two, where both halves of a trade with oneself demand it.
    pub fill_count: usize,
}

/// What becomes of demands where rows name no trade.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unnamed {
    /// The ledger has no row for these.
    pub lacking: Vec<DemandedRow>,
    /// For these it may be any of several rows, or a part of one.
    pub untold: Vec<DemandedRow>,
}

fn is_fee(income_type: &IncomeType) -> bool {
    income_type.is(IncomeType::COMMISSION)
}

/// Whether the ledger has anything to say of an amount: its smallest unit is the hundred-millionth.
fn is_booked(amount: Decimal) -> Result<bool, MathError> {
    Ok(amount.abs() >= Decimal::new(1, LEDGER_SCALE)?)
}

/// What the fills of one trade demand together: of one fill, or of both halves of a trade with oneself. `profit_asset` is
/// what the contract pays in. A fee or profit of 0 demands nothing, nor does one that is not stated.
///
/// # Errors
/// [`MathError`] when a sum does not fit.
pub fn demanded_rows<'a>(
    fills: impl IntoIterator<Item = &'a Fill>,
    profit_asset: &Asset,
) -> Result<Vec<DemandedRow>, MathError> {
    let mut demanded: BTreeMap<(&str, Asset), DemandedRow> = BTreeMap::new();
    let mut add = |fill: &Fill, name: &'static str, asset: &Asset, amount: Decimal| -> Result<(), MathError> {
        let Ok(income_type) = name.parse::<IncomeType>() else { return Ok(()) };
        let row = demanded.entry((name, asset.clone())).or_insert_with(|| DemandedRow {
            symbol: fill.key.symbol.clone(),
            fill_id: fill.key.fill_id.clone(),
            income_type,
            asset: asset.clone(),
            at: fill.time.at,
            amount: Decimal::ZERO,
            fill_count: 0,
        });
        row.amount = row.amount.checked_add(amount)?;
        row.at = row.at.max(fill.time.at);
        row.fill_count += 1;
        Ok(())
    };
    for fill in fills {
        if let Some(fee) = &fill.fee
            && is_booked(fee.amount)?
        {
            add(fill, IncomeType::COMMISSION, &fee.asset, -fee.amount)?;
        }
        if let Some(profit) = fill.exchange_realized_pnl.filter(|profit| !profit.is_zero()) {
            add(fill, IncomeType::REALIZED_PNL, profit_asset, profit)?;
        }
    }
    // Two halves may take back each other's amount.
    let mut rows = Vec::with_capacity(demanded.len());
    for row in demanded.into_values() {
        if row.fill_count == 1 || is_booked(row.amount)? {
            rows.push(row);
        }
    }
    Ok(rows)
}

/// Whether a row of the ledger is of the kind that is demanded, whichever trade it names.
pub fn is_in_place_of(row: &Income, demanded: &DemandedRow) -> bool {
    row.key.income_type == demanded.income_type
        && row.key.symbol.as_ref() == Some(&demanded.symbol)
        && (!is_fee(&demanded.income_type) || row.key.asset == demanded.asset)
}

/// The size of an amount, where its sign may tell nothing: sources do not agree on that of a fee.
fn size_of(amount: Decimal, income_type: &IncomeType) -> Decimal {
    if is_fee(income_type) { amount.abs() } else { amount }.round(LEDGER_SCALE)
}

fn sum_of<'a>(rows: impl Iterator<Item = &'a Decimal>) -> Result<Decimal, MathError> {
    rows.copied().try_fold(Decimal::ZERO, Decimal::checked_add)
}

/// Which of the demanded rows of a trade are not among `rows`, the ledger's rows that name it. A row of another amount is
/// there: that it differs is told by who compares the two. But of the two rows of a trade with oneself one may be missing.
///
/// # Errors
/// [`MathError`] when a sum does not fit.
pub fn lacking_rows(demanded: Vec<DemandedRow>, rows: &[Income]) -> Result<Vec<DemandedRow>, MathError> {
    let mut lacking = Vec::new();
    for mut row in demanded {
        let of_trade = |it: &&Income| it.fill_id.as_ref() == Some(&row.fill_id) && is_in_place_of(it, &row);
        let amounts: Vec<Decimal> = rows.iter().filter(of_trade).map(|it| it.amount).collect();
        if amounts.is_empty() {
            lacking.push(row);
        } else if amounts.len() < row.fill_count {
            let sum = sum_of(amounts.iter())?;
            let (there, whole) = (size_of(sum, &row.income_type), size_of(row.amount, &row.income_type));
            if there != whole {
                row.amount = row.amount.checked_sub(sum)?;
                lacking.push(row);
            }
        }
    }
    Ok(lacking)
}

fn second(at: TimestampMs) -> i64 {
    at.as_ms().div_euclid(SECOND_MS)
}

/// Holds demands against the rows of the same contract that name no trade, as files have them: by second and amount, then
/// by the sums of each second, then by the sums of all of them. A row may be dated a second after its trade.
///
/// `lacking` and `rows` are of one contract and one covered stretch.
///
/// # Errors
/// [`MathError`] when a sum does not fit.
pub fn without_unnamed(lacking: Vec<DemandedRow>, rows: &[Income]) -> Result<Unnamed, MathError> {
    let mut groups: BTreeMap<(IncomeType, Option<Asset>), Vec<DemandedRow>> = BTreeMap::new();
    for row in lacking {
        let asset = is_fee(&row.income_type).then(|| row.asset.clone());
        groups.entry((row.income_type.clone(), asset)).or_default().push(row);
    }
    let mut told = Unnamed::default();
    for ((income_type, _), demands) in groups {
        let Some(first) = demands.first() else { continue };
        let unnamed = rows.iter().filter(|row| row.fill_id.is_none() && is_in_place_of(row, first));
        let rows: Vec<(i64, Decimal)> = unnamed.map(|row| (second(row.time.at), row.amount)).collect();
        match_group(demands, rows, &income_type, &mut told)?;
    }
    Ok(told)
}

/// Of one type, and of one asset where that is told.
fn match_group(
    mut demands: Vec<DemandedRow>,
    mut rows: Vec<(i64, Decimal)>,
    income_type: &IncomeType,
    told: &mut Unnamed,
) -> Result<(), MathError> {
    let size = |amount: Decimal| size_of(amount, income_type);
    let is_of = |demand: &DemandedRow, at: i64| (0..=1).contains(&(at - second(demand.at)));
    demands.retain(|demand| {
        let same = |(at, amount): &(i64, Decimal)| is_of(demand, *at) && size(*amount) == size(demand.amount);
        let found = rows.iter().position(same);
        found.map(|found| rows.swap_remove(found)).is_none()
    });
    if demands.is_empty() {
        return Ok(());
    }
    let all = |demands: &[DemandedRow]| demands.iter().map(|demand| demand.amount).collect::<Vec<_>>();
    let sums_agree = |demands: &[Decimal], rows: &[Decimal]| -> Result<bool, MathError> {
        Ok(!rows.is_empty() && size(sum_of(demands.iter())?) == size(sum_of(rows.iter())?))
    };
    if sums_agree(&all(&demands), &rows.iter().map(|(_, amount)| *amount).collect::<Vec<_>>())? {
        return Ok(());
    }
    let mut by_second: BTreeMap<i64, Vec<DemandedRow>> = BTreeMap::new();
    for demand in demands {
        by_second.entry(second(demand.at)).or_default().push(demand);
    }
    for (at, demands) in by_second {
        let near: Vec<Decimal> =
            rows.iter().filter(|(of, _)| (0..=1).contains(&(of - at))).map(|(_, it)| *it).collect();
        if near.is_empty() {
            told.lacking.extend(demands);
        } else if !sums_agree(&all(&demands), &near)? {
            told.untold.extend(demands);
        }
    }
    Ok(())
}
