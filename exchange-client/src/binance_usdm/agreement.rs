//! Whether an answer is about what was asked for, and says what was sent. One that is not says nothing about it: what
//! became of a command that was answered so is unknown.
//!
//! Invariants, each with a test of the same name (in [`super::tests`]):
//! 1. `an_answer_about_something_else_leaves_the_outcome_unknown`.
//! 2. `an_answer_that_contradicts_the_command_leaves_the_outcome_unknown`.
//! 3. `an_answer_about_another_account_is_refused`, whichever of its rows names that.

use ledger_core::{Order, OrderClass, OrderStatus, PositionSide, Price};
use serde_json::value::RawValue;

use super::dto;
use super::rows::malformed;
use crate::api::{AccountIdentity, Amendment, NewOrder, OrderKind, OrderRef, OrderSize, Stated};
use crate::error::{Endpoint, ExchangeError, FieldProblem};
use crate::foreign::ForeignText;

fn not_asked_for(endpoint: &Endpoint, field: &'static str) -> ExchangeError {
    malformed(endpoint, 0, (field, FieldProblem::NotAskedFor))
}

fn first_other(endpoint: &Endpoint, compared: &[(&'static str, bool)]) -> Result<(), ExchangeError> {
    match compared.iter().find(|(_, same)| !same) {
        None => Ok(()),
        Some((field, _)) => Err(not_asked_for(endpoint, field)),
    }
}

/// Refuses an answer if one of its rows names another account.
pub(super) fn refuse_another_account(
    endpoint: &Endpoint,
    asked: &AccountIdentity,
    named: &[Stated<String>],
) -> Result<(), ExchangeError> {
    let asked = &asked.account_alias;
    match named.iter().find(|named| named.entity != *asked) {
        None => Ok(()),
        Some(other) => Err(ExchangeError::AnotherAccount {
            endpoint: endpoint.clone(),
            asked: ForeignText::new(asked),
            answered: ForeignText::new(&other.entity),
        }),
    }
}

/// Refuses an order that is not the one asked for.
pub(super) fn refuse_another(endpoint: &Endpoint, asked: &OrderRef, order: &Order) -> Result<(), ExchangeError> {
    let same_client_id = |id| order.client_order_id.as_ref() == Some(id);
    let same_id = match (asked, asked.class()) {
        (OrderRef::Id(_, id), OrderClass::Regular) => ("orderId", order.key.order_id == *id),
        (OrderRef::Id(_, id), OrderClass::Conditional) => ("algoId", order.key.order_id == *id),
        (OrderRef::Client(_, id), OrderClass::Regular) => ("clientOrderId", same_client_id(id)),
        (OrderRef::Client(_, id), OrderClass::Conditional) => ("clientAlgoId", same_client_id(id)),
    };
    let same_symbol = endpoint.symbol.as_ref().is_none_or(|asked| *asked == order.key.symbol);
    first_other(endpoint, &[("symbol", same_symbol), same_id])
}

/// Refuses a notice that names another conditional order than the one asked for.
pub(super) fn refuse_another_notice(
    endpoint: &Endpoint,
    asked: &OrderRef,
    raw: &RawValue,
) -> Result<(), ExchangeError> {
    let row: dto::AlgoOrderRow = serde_json::from_str(raw.get()).unwrap_or_default();
    let (field, named, asked) = match asked {
        OrderRef::Id(_, id) => ("algoId", row.algo_id, id.as_str()),
        OrderRef::Client(_, id) => ("clientAlgoId", row.client_algo_id, id.as_str()),
    };
    first_other(endpoint, &[(field, named.is_none_or(|named| named.to_string() == asked))])
}

/// Refuses an order of other terms than those sent. What the answer leaves out is no contradiction, save for quantity and
/// prices: those an answer always states. A regular order that may only close is cut to what is left to close, so that a
/// smaller quantity of one is no contradiction either.
pub(super) fn refuse_other_order(endpoint: &Endpoint, sent: &NewOrder, order: &Order) -> Result<(), ExchangeError> {
    let terms = &order.terms;
    let (type_name, qty_name) = match sent.kind.class() {
        OrderClass::Regular => ("origType", "origQty"),
        OrderClass::Conditional => ("orderType", "quantity"),
    };
    let same_size = match sent.size {
        OrderSize::Qty(qty) => {
            let may_be_cut = sent.reduce_only && sent.kind.class() == OrderClass::Regular;
            (qty_name, terms.qty.is_some_and(|stated| stated == qty || (may_be_cut && stated < qty)))
        }
        OrderSize::ClosePosition => ("closePosition", order.close_position != Some(false)),
    };
    let (price, trigger) = prices(&sent.kind);
    first_other(
        endpoint,
        &[
            ("side", order.side == sent.side),
            ("positionSide", same_position_side(sent.position_side, order)),
            (type_name, order.order_type.as_ref().is_none_or(|label| label.as_str() == sent.kind.name())),
            same_size,
            ("price", price.is_none_or(|price| terms.price == Some(price))),
            ("triggerPrice", trigger.is_none_or(|trigger| terms.trigger_price == Some(trigger))),
            // The other way round it is no contradiction: what closes a position only reduces.
            ("reduceOnly", !sent.reduce_only || order.reduce_only != Some(false)),
        ],
    )
}

fn same_position_side(sent: PositionSide, order: &Order) -> bool {
    order.position_side.is_none_or(|stated| stated == sent)
}

/// The limit and the trigger that an order of this kind states. A trailing stop has neither: its trigger moves.
fn prices(kind: &OrderKind) -> (Option<Price>, Option<Price>) {
    match kind {
        OrderKind::Market | OrderKind::TrailingStopMarket { .. } => (None, None),
        OrderKind::Limit { price, .. } => (Some(*price), None),
        OrderKind::Stop { trigger, price, .. } | OrderKind::TakeProfit { trigger, price, .. } => {
            (Some(*price), Some(trigger.price))
        }
        OrderKind::StopMarket { trigger } | OrderKind::TakeProfitMarket { trigger } => (None, Some(trigger.price)),
    }
}

/// Refuses an order that does not have its new terms. One that an amendment ended keeps those that it had.
pub(super) fn refuse_other_terms(endpoint: &Endpoint, sent: &Amendment, order: &Order) -> Result<(), ExchangeError> {
    let ended = order.status.is_terminal() && order.status != OrderStatus::Filled;
    let may_be_cut = order.reduce_only == Some(true);
    let same_qty = order.terms.qty.is_some_and(|stated| stated == sent.qty || (may_be_cut && stated < sent.qty));
    first_other(
        endpoint,
        &[
            ("side", order.side == sent.side),
            ("origQty", ended || same_qty),
            ("price", ended || order.terms.price == Some(sent.price)),
        ],
    )
}

/// Refuses an order that is still working although it was cancelled.
pub(super) fn refuse_working(endpoint: &Endpoint, order: &Order) -> Result<(), ExchangeError> {
    let field = match order.key.class {
        OrderClass::Regular => "status",
        OrderClass::Conditional => "algoStatus",
    };
    // A state that nobody knows here may be an end.
    let ended = order.status.is_terminal() || matches!(order.status, OrderStatus::Other(_));
    first_other(endpoint, &[(field, ended)])
}
