//! Conditional orders, on the endpoints that they moved to.

use serde_json::{Value, json};

use super::history::{WINDOW_MS_MAX, is_conditional_kept, window};
use super::orders::refuse_price_match;
use super::{Answered, Ask, rows};
use crate::simulator::books::PositionSide;
use crate::simulator::conditional::{AlgoKind, AlgoStatus, AlgoTicket, Conditional};
use crate::simulator::order::{Lookup, TimeInForce};
use crate::simulator::refusal::Refusal;

/// The smallest and largest distance of a trailing stop, as shares.
const CALLBACK_E8: std::ops::RangeInclusive<i128> = 100_000..=10_000_000;

fn ticket(ask: &Ask<'_>) -> Result<AlgoTicket, Refusal> {
    let params = ask.params;
    if params.required("algoType")? != "CONDITIONAL" {
        return Err(Refusal::invalid("algoType"));
    }
    let symbol = ask.symbol()?;
    let buy = ask.buys()?;
    refuse_price_match(ask)?;
    let kind = AlgoKind::parse(params.required("type")?).ok_or_else(Refusal::order_type)?;
    let reduce_only = params.boolean("reduceOnly")?;
    let position_side = params.position_side()?;
    if reduce_only.is_some() && position_side != PositionSide::Both {
        return Err(Refusal::not_required("reduceonly"));
    }
    let close_position = params.boolean("closePosition")?.unwrap_or(false);
    let quantity_e8 = params.decimal_e8("quantity")?;
    if close_position {
        if !matches!(kind, AlgoKind::StopMarket | AlgoKind::TakeProfitMarket) {
            return Err(Refusal::closing_with_limit(kind.as_str()));
        }
        if quantity_e8.is_some_and(|qty_e8| qty_e8 != 0) {
            return Err(Refusal::closing_with_quantity());
        }
        if reduce_only.is_some() {
            return Err(Refusal::not_required("reduceonly"));
        }
    }
    let price_e8 = params.decimal_e8("price")?.filter(|price_e8| *price_e8 != 0);
    let price_e8 = if kind.has_limit() {
        Some(price_e8.ok_or_else(|| Refusal::missing("price"))?)
    } else if price_e8.is_some() {
        return Err(Refusal::not_required("price"));
    } else {
        None
    };
    let is_trailing = kind == AlgoKind::TrailingStopMarket;
    let trigger_e8 = if is_trailing {
        params.decimal_e8("activatePrice")?
    } else {
        Some(params.decimal_e8("triggerPrice")?.ok_or_else(|| Refusal::missing("triggerPrice"))?)
    };
    let callback_e8 = if is_trailing {
        let percent_e8 = params.decimal_e8("callbackRate")?.ok_or_else(|| Refusal::missing("callbackRate"))?;
        Some(percent_e8 / 100)
            .filter(|share_e8| CALLBACK_E8.contains(share_e8))
            .map_or_else(|| Err(Refusal::invalid("callbackRate")), |share_e8| Ok(Some(share_e8)))?
    } else {
        None
    };
    let time_in_force = match params.get("timeInForce") {
        // What closes a whole position lives as long as the position does.
        None if close_position => TimeInForce::GteGtc,
        None => TimeInForce::Gtc,
        Some("GTE_GTC") => TimeInForce::GteGtc,
        Some(text) => TimeInForce::parse(text).ok_or_else(Refusal::time_in_force)?,
    };
    Ok(AlgoTicket {
        symbol,
        buy,
        position_side,
        kind,
        qty_e8: if close_position { 0 } else { quantity_e8.ok_or_else(|| Refusal::missing("quantity"))? },
        close_position,
        reduce_only: reduce_only.unwrap_or(false),
        trigger_e8,
        callback_e8,
        price_e8,
        time_in_force,
        working_type: match params.get("workingType") {
            None | Some("CONTRACT_PRICE") => "CONTRACT_PRICE".to_owned(),
            Some("MARK_PRICE") => "MARK_PRICE".to_owned(),
            Some(_) => return Err(Refusal::invalid("workingType")),
        },
        price_protect: params.boolean("priceProtect")?.unwrap_or(false),
        client_algo_id: ask.client_id("clientAlgoId")?,
    })
}

impl Ask<'_> {
    fn conditional_row(&self, conditional: &Conditional) -> Value {
        let key = conditional.order_id.map(|id| (conditional.ticket.symbol.clone(), id));
        rows::conditional(conditional, key.and_then(|key| self.engine.order(self.account, &key)))
    }

    /// Whether lists have it by now.
    fn is_listed(&self, found: &Conditional) -> bool {
        self.now_ms() - found.created_ms >= self.lag.conditional_list_ms
    }

    fn conditionals(&self) -> impl Iterator<Item = &Conditional> {
        self.engine.accounts.get(self.account).into_iter().flat_map(|standing| standing.conditionals.values())
    }
}

pub(super) fn place(ask: &mut Ask<'_>) -> Answered {
    let ticket = ticket(ask)?;
    let conditional = ask.engine.place_conditional(ask.account, ticket)?;
    Ok(ask.conditional_row(&conditional))
}

pub(super) fn conditional(ask: &mut Ask<'_>) -> Answered {
    let lookup = ask.lookup("algoId", "clientAlgoId")?;
    let now_ms = ask.now_ms();
    // For a while a new one is not found by itself.
    let visible = |found: &&Conditional| {
        now_ms - found.created_ms >= ask.lag.conditional_ms && is_conditional_kept(found, now_ms)
    };
    let found = ask.engine.find_conditional(ask.account, &lookup).filter(visible);
    found.map(|found| ask.conditional_row(found)).ok_or_else(Refusal::no_such_order)
}

pub(super) fn cancel(ask: &mut Ask<'_>) -> Answered {
    let lookup = match ask.lookup("algoId", "clientAlgoId")? {
        // Client ids are unique among waiting orders only: a waiting one is meant.
        Lookup::Client(client_algo_id) => {
            let waiting = ask.conditionals().filter(|found| found.status == AlgoStatus::New);
            let found = waiting.into_iter().find(|found| found.client_algo_id == client_algo_id);
            Lookup::Id(found.ok_or_else(Refusal::unknown_order_to_cancel)?.id)
        }
        by_id @ Lookup::Id(_) => by_id,
    };
    let canceled = ask.engine.cancel_conditional(ask.account, &lookup)?;
    let mut row = ask.conditional_row(&canceled);
    if let Some(fields) = row.as_object_mut() {
        fields.insert("code".into(), "200".into());
        fields.insert("msg".into(), "success".into());
    }
    Ok(row)
}

pub(super) fn cancel_all(ask: &mut Ask<'_>) -> Answered {
    let symbol = ask.symbol()?;
    ask.engine.end_conditionals(ask.account, &symbol, AlgoStatus::Canceled);
    Ok(json!({ "code": 200, "msg": "The operation of cancel all open order is done." }))
}

pub(super) fn open(ask: &mut Ask<'_>) -> Answered {
    let (wanted, id) = (ask.optional_symbol()?, ask.params.integer("algoId")?);
    let waiting = ask.conditionals().filter(|found| {
        found.status == AlgoStatus::New
            && ask.is_listed(found)
            && wanted.as_ref().is_none_or(|wanted| *wanted == found.ticket.symbol)
            && id.is_none_or(|id| id == found.id)
    });
    Ok(waiting.map(|found| ask.conditional_row(found)).collect())
}

pub(super) fn all(ask: &mut Ask<'_>) -> Answered {
    let symbol = ask.symbol()?;
    let limit = ask.params.limit(500, 1_000)?;
    let now_ms = ask.now_ms();
    let kept = ask
        .conditionals()
        .filter(|found| found.ticket.symbol == symbol && ask.is_listed(found) && is_conditional_kept(found, now_ms));
    if let Some(id) = ask.params.integer("algoId")? {
        return Ok(kept.filter(|found| found.id >= id).take(limit).map(|found| ask.conditional_row(found)).collect());
    }
    let (since, until) = window(ask.params, now_ms)?;
    if until - since >= WINDOW_MS_MAX && ask.params.get("startTime").is_some() && ask.params.get("endTime").is_some() {
        return Err(Refusal::window_too_long());
    }
    let mut found: Vec<&Conditional> = kept.filter(|found| (since..=until).contains(&found.created_ms)).collect();
    found.sort_by_key(|found| (found.created_ms, found.id));
    let skipped = found.len().saturating_sub(limit);
    Ok(found.into_iter().skip(skipped).map(|found| ask.conditional_row(found)).collect())
}
