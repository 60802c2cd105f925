//! Fees, which an object can state in three places.

use ledger_core::{Asset, Fee};
use serde_json::value::RawValue;

use super::Unified;
use super::market::Market;
use crate::files::cell::Cell;
use crate::files::context::Context;
use crate::files::error::{RowError, RowProblem};
use crate::files::json::{Object, row_error};

/// The fee as the exchange states it, else the unified `fee`, else the only one of `fees`, which repeats it.
pub(super) fn fee(
    trade: &Unified<'_>,
    market: &Market,
    maker: Option<bool>,
    context: &Context,
) -> Result<Option<Fee>, RowError> {
    let listed = trade.outer.nested("fees").map_or(Ok(Fees::None), summed_fees)?;
    if listed == Fees::SeveralAssets {
        return Err(RowError::cell("fees", "", RowProblem::FeeAssets));
    }
    if let Some(commission) = trade.in_info(&["commission"]) {
        let asset = trade.in_info(&["commissionAsset"]).map(Cell::id::<Asset>).transpose()?;
        let settle = market.instrument.as_ref().map(|instrument| instrument.settle_asset.clone());
        let asset = asset.or(settle).or_else(|| context.settle_asset(&market.symbol));
        return commission.fee(asset.as_ref(), maker).map(Some);
    }
    if let Some(text) = trade.outer.nested("fee")
        && let Some(fee) = unified_fee(text)?
    {
        return Ok(Some(fee));
    }
    Ok(if let Fees::Of(fee) = listed { Some(fee) } else { None })
}

/// What a list of unified fees comes to.
#[derive(Debug, PartialEq, Eq)]
enum Fees {
    /// Nothing is said.
    None,
    /// The sum, in one asset.
    Of(Fee),
    /// More than one asset, so that there is no sum.
    SeveralAssets,
}

fn summed_fees(text: &str) -> Result<Fees, RowError> {
    let all: Vec<&RawValue> = serde_json::from_str(text).map_err(row_error)?;
    let mut total: Option<Fee> = None;
    for raw in all {
        let Some(fee) = unified_fee(raw.get())? else { continue };
        total = Some(match total {
            None => fee,
            Some(sum) if sum.asset == fee.asset => {
                let amount = sum.amount.checked_add(fee.amount);
                Fee { amount: amount.map_err(|_| RowError::cell("fees", "", RowProblem::FeeAssets))?, ..sum }
            }
            Some(_) => return Ok(Fees::SeveralAssets),
        });
    }
    Ok(total.map_or(Fees::None, Fees::Of))
}

fn unified_fee(text: &str) -> Result<Option<Fee>, RowError> {
    let object = Object::parse(text, "fee.")?;
    let (Some(cost), Some(currency)) = (object.get("cost"), object.get("currency")) else {
        return Ok(None);
    };
    Ok(Some(Fee { amount: cost.decimal()?, asset: currency.id()? }))
}

/// Whether an order says that something was paid.
pub(super) fn states_fees(order: &Unified<'_>) -> Result<bool, RowError> {
    let listed = order.outer.nested("fees").map_or(Ok(Fees::None), summed_fees)?;
    let single = order.outer.nested("fee").map_or(Ok(None), unified_fee)?;
    Ok(match listed {
        Fees::SeveralAssets => true,
        Fees::Of(fee) => !fee.amount.is_zero(),
        Fees::None => single.is_some_and(|fee| !fee.amount.is_zero()),
    })
}
