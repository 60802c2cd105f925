//! Fees, which an object can state in three places.

use ledger_core::{Asset, Decimal, Execution, Fee, StatedFees};
use serde_json::value::RawValue;

use super::market::Market;
use super::{Unified, same_number};
use crate::binance_usdm::fee_from_commission;
use crate::files::cell::{Assets, Cell};
use crate::files::context::Context;
use crate::files::error::{RowError, RowProblem};
use crate::files::json::{Object, row_error};

/// What a trade says of its fee.
pub(super) struct Fees {
    /// The fee that counts: as the exchange states it, else the unified `fee`, else the sum of `fees`, which repeats it.
    pub(super) fee: Option<Fee>,
    /// What the object says elsewhere, if that is something else.
    pub(super) other: Option<Fee>,
}

/// What a trade says of its fee in each of the three places.
pub(super) fn fees(
    trade: &Unified<'_>,
    market: &Market,
    maker: Option<bool>,
    context: &mut Context,
) -> Result<Fees, RowError> {
    let listed = match trade.outer.nested("fees").map_or(Ok(Listed::None), summed_fees)? {
        Listed::SeveralAssets => return Err(RowError::cell("fees", "", RowProblem::FeeAssets)),
        Listed::Of(fee) => Some(fee),
        Listed::None => None,
    };
    let single = trade.outer.nested("fee").map_or(Ok(None), unified_fee)?;
    let own = match trade.in_info(&["commission"]) {
        Some(commission) => {
            let asset = trade.in_info(&["commissionAsset"]).map(Cell::id::<Asset>).transpose()?;
            let asset = asset.or_else(|| market.settle_asset.clone()).or_else(|| context.settle_asset(&market.symbol));
            let asset = asset.ok_or_else(|| commission.error(RowProblem::FeeAsset))?;
            Some(context.fee(commission, Assets::Named(&asset), maker)?)
        }
        None => None,
    };
    let fee = own.or_else(|| single.clone()).or_else(|| listed.clone());
    let Some(counts) = fee.as_ref() else { return Ok(Fees { fee: None, other: None }) };
    let others = [single, listed].into_iter().flatten();
    let other = others.into_iter().find(|other| !is_same(counts, other, maker));
    Ok(Fees { fee, other })
}

/// Whether two fees are one: the library's has been a double, and repeats the exchange's sign whatever that is.
fn is_same(exact: &Fee, float: &Fee, maker: Option<bool>) -> bool {
    let normalised = fee_from_commission(float.amount, maker);
    let is_equal = |amount: Decimal| same_number(&exact.amount.to_string(), &amount.to_string());
    exact.asset == float.asset && (is_equal(float.amount) || is_equal(normalised))
}

/// What a list of unified fees comes to.
#[derive(Debug, PartialEq, Eq)]
enum Listed {
    /// Nothing is said.
    None,
    /// The sum, in one asset.
    Of(Fee),
    /// More than one asset, so that there is no sum.
    SeveralAssets,
}

fn listed_fees(text: &str) -> Result<Vec<Fee>, RowError> {
    let all: Vec<&RawValue> = serde_json::from_str(text).map_err(row_error)?;
    all.into_iter().filter_map(|raw| unified_fee(raw.get()).transpose()).collect()
}

fn summed_fees(text: &str) -> Result<Listed, RowError> {
    let mut total: Option<Fee> = None;
    for fee in listed_fees(text)? {
        total = Some(match total {
            None => fee,
            Some(sum) if sum.asset == fee.asset => {
                let amount = sum.amount.checked_add(fee.amount);
                Fee { amount: amount.map_err(|_| RowError::cell("fees", "", RowProblem::FeeAssets))?, ..sum }
            }
            Some(_) => return Ok(Listed::SeveralAssets),
        });
    }
    Ok(total.map_or(Listed::None, Listed::Of))
}

fn unified_fee(text: &str) -> Result<Option<Fee>, RowError> {
    let object = Object::parse(text, "fee.")?;
    let (Some(cost), Some(currency)) = (object.get("cost"), object.get("currency")) else {
        return Ok(None);
    };
    Ok(Some(Fee { amount: cost.decimal()?, asset: currency.id()? }))
}

/// The fees that an order states for what it executed. The library states them, no exchange known here does: in `fees`, or in
/// `fee` where there is one only.
///
/// It is an estimate until the fills are there, so one that cannot be read (a double with too many digits, no number, no asset)
/// is none: what was executed must not be refused for its sake.
pub(super) fn order_fees(order: &Unified<'_>, executed: Option<&Execution>) -> Option<StatedFees> {
    let listed = order.outer.nested("fees").map_or(Ok(Vec::new()), listed_fees).ok()?;
    let fees = match &listed[..] {
        [] => order.outer.nested("fee").and_then(|fee| unified_fee(fee).ok()?).into_iter().collect(),
        _ => listed,
    };
    StatedFees::new(executed?.qty, fees).ok()?
}
