//! What happened: orders, fills, ledger entries, forced orders; with page limits, windows, retention and settle lag.

use serde_json::Value;

use super::{Answered, Ask, DAY_MS, rows};
use crate::simulator::amending::Amended;
use crate::simulator::conditional::{AlgoStatus, Conditional};
use crate::simulator::order::{Forced, Order, Status};
use crate::simulator::refusal::Refusal;
use crate::simulator::request::Params;

pub(super) const WINDOW_MS_MAX: i64 = 7 * DAY_MS;
const RETENTION_MS: i64 = 90 * DAY_MS;
const UNFILLED_RETENTION_MS: i64 = 3 * DAY_MS;

/// Orders that ended without a fill vanish after three days, all others after ninety.
pub(super) fn is_kept(order: &Order, now_ms: i64) -> bool {
    let unfilled = matches!(order.status, Status::Canceled | Status::Expired) && order.executed_e8 == 0;
    let kept_ms = if unfilled { UNFILLED_RETENTION_MS } else { RETENTION_MS };
    order.status.is_open() || now_ms - order.created_ms <= kept_ms
}

/// The same for conditional orders, of which only triggered ones have fills.
pub(super) fn is_conditional_kept(conditional: &Conditional, now_ms: i64) -> bool {
    let kept_ms = if conditional.order_id.is_some() { RETENTION_MS } else { UNFILLED_RETENTION_MS };
    conditional.status == AlgoStatus::New || now_ms - conditional.created_ms <= kept_ms
}

/// The bounds of a window as asked for, or as the exchange fills them in.
pub(super) fn window(params: &Params, now_ms: i64) -> Result<(i64, i64), Refusal> {
    let (since, until) = match (params.integer("startTime")?, params.integer("endTime")?) {
        (None, None) => (now_ms - WINDOW_MS_MAX, now_ms),
        (Some(since), None) => (since, since.saturating_add(WINDOW_MS_MAX)),
        (None, Some(until)) => (until.saturating_sub(WINDOW_MS_MAX), until),
        (Some(since), Some(until)) => (since, until),
    };
    if until < since {
        return Err(Refusal::invalid("startTime"));
    }
    if until.saturating_sub(since) > WINDOW_MS_MAX {
        return Err(Refusal::window_too_long());
    }
    Ok((since.max(now_ms - RETENTION_MS), until))
}

pub(super) fn all_orders(ask: &mut Ask<'_>) -> Answered {
    let wanted = ask.optional_symbol()?;
    let limit = ask.params.limit(500, 1_000)?;
    let now_ms = ask.now_ms();
    let Some(standing) = ask.engine.accounts.get(ask.account) else {
        return Ok(Value::Array(Vec::new()));
    };
    let kept = standing
        .orders
        .values()
        .filter(|order| wanted.as_ref().is_none_or(|wanted| *wanted == order.ticket.symbol) && is_kept(order, now_ms));
    if let Some(id) = ask.params.integer("orderId")? {
        return Ok(kept.filter(|order| order.id >= id).take(limit).map(|order| rows::order(order, true)).collect());
    }
    let (since, until) = window(ask.params, now_ms)?;
    // A window must be shorter than seven days, not just as long.
    if until - since >= WINDOW_MS_MAX && ask.params.get("startTime").is_some() && ask.params.get("endTime").is_some() {
        return Err(Refusal::window_too_long());
    }
    let mut orders: Vec<&Order> = kept.filter(|order| (since..=until).contains(&order.created_ms)).collect();
    orders.sort_by_key(|order| (order.created_ms, order.id));
    // The most recent ones, oldest first.
    let skipped = orders.len().saturating_sub(limit);
    Ok(orders.into_iter().skip(skipped).map(|order| rows::order(order, true)).collect())
}

/// How an order was changed, the latest first.
pub(super) fn amendments(ask: &mut Ask<'_>) -> Answered {
    let (symbol, lookup) = (ask.symbol()?, ask.lookup("orderId", "origClientOrderId")?);
    let limit = ask.params.limit(50, 100)?;
    let since = ask.params.integer("startTime")?.unwrap_or(0).max(ask.now_ms() - RETENTION_MS);
    let until = ask.params.integer("endTime")?.unwrap_or(i64::MAX);
    let order = ask.engine.find(ask.account, &symbol, &lookup).ok_or_else(Refusal::no_such_order)?;
    let key = (symbol, order.id);
    let amended = ask.engine.accounts.get(ask.account).and_then(|standing| standing.amended.get(&key));
    let told =
        amended.into_iter().flatten().rev().filter(|amended: &&Amended| (since..=until).contains(&amended.at_ms));
    Ok(told.take(limit).map(|amended| rows::amended(order, amended)).collect())
}

impl Ask<'_> {
    /// Whether something that happened at `time_ms` can be asked for: it is settled, and not too old.
    fn is_told(&self, time_ms: i64, number: i64) -> bool {
        let appears_ms = time_ms + self.lag.settle_ms + self.faults.late_ms(number);
        appears_ms <= self.now_ms() && time_ms >= self.now_ms() - RETENTION_MS
    }
}

pub(super) fn user_trades(ask: &mut Ask<'_>) -> Answered {
    let market = ask.market()?;
    let (symbol, margin_asset) = (market.spec.symbol.clone(), market.spec.quote_asset.clone());
    let limit = ask.params.limit(500, 1_000)?;
    let Some(book) = ask.engine.books.accounts.get(ask.account) else {
        return Ok(Value::Array(Vec::new()));
    };
    let order_id = ask.params.integer("orderId")?;
    let range = (symbol.clone(), i64::MIN)..=(symbol, i64::MAX);
    let kept = book
        .trades
        .range(range)
        .map(|(_, trade)| trade)
        .filter(|trade| ask.is_told(trade.time_ms, trade.id) && order_id.is_none_or(|id| id == trade.order_id));
    let row = |trade| rows::trade(trade, &margin_asset);
    let timed = ask.params.get("startTime").is_some() || ask.params.get("endTime").is_some();
    match ask.params.integer("fromId")? {
        Some(_) if timed => Err(Refusal::combination()),
        Some(from) => Ok(kept.filter(|trade| trade.id >= from).take(limit).map(row).collect()),
        None if order_id.is_some() && !timed => Ok(kept.take(limit).map(row).collect()),
        None => {
            let (since, until) = window(ask.params, ask.now_ms())?;
            let inside: Vec<_> = kept.filter(|trade| (since..=until).contains(&trade.time_ms)).collect();
            // Without any bound the most recent ones, oldest first.
            let skipped = if timed { 0 } else { inside.len().saturating_sub(limit) };
            Ok(inside.into_iter().skip(skipped).take(limit).map(row).collect())
        }
    }
}

pub(super) fn income(ask: &mut Ask<'_>) -> Answered {
    let wanted = ask.optional_symbol()?;
    let kind = ask.params.get("incomeType");
    let limit = ask.params.limit(100, 1_000)?;
    let now_ms = ask.now_ms();
    let (since, until) = match (ask.params.integer("startTime")?, ask.params.integer("endTime")?) {
        (None, None) => (now_ms - WINDOW_MS_MAX, now_ms),
        (since, until) => (since.unwrap_or(0), until.unwrap_or(i64::MAX)),
    };
    let Some(book) = ask.engine.books.accounts.get(ask.account) else {
        return Ok(Value::Array(Vec::new()));
    };
    let told = book.income.iter().filter(|row| {
        (since..=until).contains(&row.time_ms)
            && wanted.as_ref().is_none_or(|wanted| *wanted == row.symbol)
            && kind.is_none_or(|kind| kind == row.kind)
            && ask.is_told(row.time_ms, row.tran_id)
    });
    Ok(told.take(limit).map(rows::income).collect())
}

pub(super) fn force_orders(ask: &mut Ask<'_>) -> Answered {
    let wanted = ask.optional_symbol()?;
    let limit = ask.params.limit(50, 100)?;
    let kind = match ask.params.get("autoCloseType") {
        None => None,
        Some("LIQUIDATION") => Some(Forced::Liquidation),
        Some("ADL") => Some(Forced::Adl),
        Some(_) => return Err(Refusal::invalid("autoCloseType")),
    };
    let now_ms = ask.now_ms();
    let until = ask.params.integer("endTime")?.unwrap_or(now_ms);
    let since = ask.params.integer("startTime")?.unwrap_or(until.saturating_sub(WINDOW_MS_MAX));
    let Some(standing) = ask.engine.accounts.get(ask.account) else {
        return Ok(Value::Array(Vec::new()));
    };
    let mut forced: Vec<&Order> = standing
        .orders
        .values()
        .filter(|order| {
            matches!(order.forced, Some(Forced::Liquidation | Forced::Adl))
                && kind.is_none_or(|kind| order.forced == Some(kind))
                && wanted.as_ref().is_none_or(|wanted| *wanted == order.ticket.symbol)
                && (since..=until).contains(&order.created_ms)
                && is_kept(order, now_ms)
        })
        .collect();
    forced.sort_by_key(|order| (order.created_ms, order.id));
    let skipped = forced.len().saturating_sub(limit);
    Ok(forced.into_iter().skip(skipped).map(|order| rows::order(order, true)).collect())
}
