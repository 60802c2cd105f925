//! Trades that stand within an order.

use std::sync::Arc;

use ledger_core::{Fill, Order, OrderClass, StatedFees, Statement};
use serde_json::value::RawValue;

use super::trade::parse_trade;
use super::{Unified, unify};
use crate::files::context::Context;
use crate::files::error::{RowError, RowProblem};
use crate::files::json::{Object, row_error};

/// Checks that a trade is one of the order that it stands in, and takes from there what it does not say itself.
pub(super) fn belong(fill: &mut Fill, order: &Order) -> Result<(), RowError> {
    // A conditional order has no fills of its own: the regular order that it triggered has them.
    let owner = match order.key.class {
        OrderClass::Conditional => order.triggered_order_id.as_ref(),
        OrderClass::Regular => Some(&order.key.order_id),
    };
    let strange = |column, value: &str, expected: &str| {
        RowError::cell(column, value, RowProblem::OtherOrder { expected: expected.to_owned() })
    };
    if fill.key.symbol != order.key.symbol {
        return Err(strange("symbol", fill.key.symbol.as_str(), order.key.symbol.as_str()));
    }
    if fill.key.side != order.side {
        return Err(strange("side", fill.key.side.as_str(), order.side.as_str()));
    }
    match (&fill.order_id, owner) {
        (Some(own), Some(owner)) if own != owner => return Err(strange("order", own.as_str(), owner.as_str())),
        (None, owner) => fill.order_id = owner.cloned(),
        (Some(_), _) => {}
    }
    fill.position_side = fill.position_side.or(order.position_side);
    Ok(())
}

/// The fills that an order lists, with what the reader should know of the others: one that cannot be read is rejected by
/// itself.
///
/// # Errors
/// When a trade can be read and is none of this order's: then nothing says what either of them is.
pub(super) fn embedded(order: &Unified<'_>, fact: &Order, context: &mut Context) -> Result<Vec<Statement>, RowError> {
    let listed = order.outer.nested("trades").filter(|text| text.starts_with('['));
    let listed: Vec<&RawValue> = listed.map_or(Ok(Vec::new()), |text| serde_json::from_str(text).map_err(row_error))?;
    let mut statements = Vec::new();
    let mut nameless = false;
    let is_empty = listed.is_empty();
    for (n, raw) in listed.into_iter().enumerate() {
        let within = |error: RowError| {
            let column = error.column.as_ref().map_or_else(String::new, |column| format!(".{column}"));
            RowError { column: Some(format!("trades[{n}]{column}")), ..error }
        };
        match one(raw.get(), order, fact, context) {
            Ok(Some(fill)) => statements.extend(fill),
            Ok(None) => nameless = true,
            Err(error) if matches!(error.problem, RowProblem::OtherOrder { .. }) => return Err(within(error)),
            Err(error) => context.rejected.push(within(error)),
        }
    }
    if nameless {
        context.note = Some("trades within it have no id, so they are kept with the order and no fill is made of them");
    } else if is_empty && fact.fees.as_ref().is_some_and(states_payment) {
        context.note = Some(
            "its fee counts as an estimate until its trades are on record, because fees belong to fills; import them as well",
        );
    }
    Ok(statements)
}

fn states_payment(fees: &StatedFees) -> bool {
    fees.paid().iter().any(|fee| !fee.amount.is_zero())
}

/// One of them; `None` without an id.
fn one(
    text: &str,
    within: &Unified<'_>,
    order: &Order,
    context: &mut Context,
) -> Result<Option<Vec<Statement>>, RowError> {
    let object = Object::parse(text, "")?;
    let mut trade = unify(&object, context)?;
    trade.counts_coins |= within.counts_coins && trade.foreign_symbol.is_none();
    if trade.pick(&["id"], &["id"]).is_none() {
        return Ok(None);
    }
    parse_trade(&trade, Some(order), &Arc::from(text), context).map(Some)
}
