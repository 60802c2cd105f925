//! Unified trades.

use std::sync::Arc;

use ledger_core::{AnyFact, Decimal, Fill, FillId, FillKey, Order, OrderId, Source, Statement};

use super::embedded::belong;
use super::fees::{Fees, fees};
use super::unit::{Traded, coins};
use super::{Market, Unified, exact_id, other_time, same_number, same_text};
use crate::files::amounts::Stated;
use crate::files::cell::Cell;
use crate::files::context::{Context, statement};
use crate::files::error::{RowError, RowProblem};

/// What a trade states; `owner` is the order that it stands in.
pub(super) fn parse_trade(
    trade: &Unified<'_>,
    owner: Option<&Order>,
    payload: &Arc<str>,
    context: &mut Context,
) -> Result<Vec<Statement>, RowError> {
    let market = Market::of(trade)?;
    trade.agrees(&["id"], "id", same_text)?;
    trade.agrees(&["orderId"], "order", same_text)?;
    trade.agrees(&["side"], "side", same_text)?;
    trade.agrees(&["price"], "price", same_number)?;
    trade.agrees(&["qty"], "amount", same_number)?;
    let fill_id: FillId = exact_id(trade.required(&["id"], "id")?)?;
    let unified_maker = trade.outer.get("takerOrMaker").map(|cell| cell.text.eq_ignore_ascii_case("maker"));
    let maker = trade.in_info(&["maker"]).map(Cell::boolean).transpose()?.or(unified_maker);
    let price = trade.required(&["price"], "price")?.price()?;
    let amount = trade.required(&["qty"], "amount")?.quantity()?;
    let side = trade.required(&["side"], "side")?.side()?;
    if let Some(buyer) = trade.in_info(&["buyer"])
        && buyer.boolean()? != (side == ledger_core::Side::Buy)
    {
        return Err(buyer.error(RowProblem::BuyerOfOtherSide { side: side.as_str().to_owned() }));
    }
    let qty = if trade.counts_coins {
        check_amounts(trade, &market, price.get(), amount.get())?;
        amount
    } else {
        let traded = Traded { price: Some(price.get()), qty: amount.get(), cost: trade.outer.get("cost") };
        coins(amount, &market, trade, &traded, context)?
    };
    let Fees { fee, other: other_fee } = fees(trade, &market, maker, context)?;
    let own_time = trade.in_info(&["time"]);
    let (timestamp, datetime) = (trade.outer.get("timestamp"), trade.outer.get("datetime"));
    let time = own_time.or(timestamp).or(datetime).ok_or_else(missing_time)?.time(None)?;
    let mut fill = Fill {
        order_id: trade.pick(&["orderId"], &["order"]).map(exact_id::<OrderId>).transpose()?,
        time,
        price,
        qty,
        position_side: trade.in_info(&["positionSide"]).map(Cell::position_side).transpose()?,
        fee,
        maker,
        exchange_realized_pnl: trade.in_info(&["realizedPnl"]).map(Cell::decimal).transpose()?,
        sequence: fill_id.as_sequence(),
        key: FillKey { symbol: market.symbol.clone(), fill_id, side },
    };
    if let Some(order) = owner {
        belong(&mut fill, order)?;
    }
    let unified = Fill {
        time: other_time(time, &[timestamp, datetime]).unwrap_or(time),
        fee: other_fee.or_else(|| fill.fee.clone()),
        maker: unified_maker.or(maker),
        ..fill.clone()
    };
    let differs = unified != fill;
    let mut statements = context.fill_statements(fill, market.instrument, Source::Ccxt, payload);
    if differs {
        statements.push(statement(AnyFact::Fill(unified), Source::CcxtUnified, payload));
    }
    Ok(statements)
}

/// Holds price x quantity of a linear contract against what both halves say that it comes to.
fn check_amounts(trade: &Unified<'_>, market: &Market, price: Decimal, qty: Decimal) -> Result<(), RowError> {
    if !market.is_linear {
        return Ok(());
    }
    if let Some(quote) = trade.in_info(&["quoteQty"]) {
        Stated::exact(quote)?.check(price, qty, Decimal::ZERO)?;
    }
    if let Some(cost) = trade.outer.get("cost") {
        Stated::float(cost)?.check(price, qty, Decimal::ZERO)?;
    }
    Ok(())
}

fn missing_time() -> RowError {
    RowError::cell("timestamp", "", RowProblem::Missing)
}
