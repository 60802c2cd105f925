//! From a message of the stream to an event. Every refusal names the event and the field.
//!
//! Invariants, each with a test of the same name (in [`super::super::tests::stream`]):
//! 1. `every_event_is_read_with_its_words`.
//! 2. `what_an_event_lacks_is_refused_by_name`, and what is unknown is tolerated.
//! 3. `no_fill_is_made_of_what_is_none`, and a complete one of what is.

use std::sync::Arc;

use ledger_core::{
    Asset, BalanceSnapshot, ClientOrderId, Decimal, EventTime, Execution, Fee, Fill, FillId, FillKey, Label, Order,
    OrderClass, OrderId, OrderKey, OrderStatus, OrderTerms, Origin, PositionSnapshot, TimestampMs,
};
use serde::Deserialize;

use super::super::dto::{self, Field};
use super::super::facts::VENUE;
use super::super::parse::{
    Parsed, boolean, counted_id, fee_from_commission, get, get_optional, instant, optional_counted_id, optional_price,
    optional_quantity, position_side, required, text,
};
use crate::api::{
    AccountUpdate, ConfigChange, MarginCall, MarginCallPosition, OrderUpdate, StreamEvent, StreamEventError,
    TradeNotice, TriggerRefusal, TriggerRejection,
};
use crate::error::FieldProblem;
use crate::foreign::{ForeignError, ForeignText};

const ORDER: &str = "ORDER_TRADE_UPDATE";
const ALGO: &str = "ALGO_UPDATE";
const TRADE: &str = "TRADE_LITE";
const ACCOUNT: &str = "ACCOUNT_UPDATE";
const CONFIG: &str = "ACCOUNT_CONFIG_UPDATE";
const MARGIN: &str = "MARGIN_CALL";
const REJECTED: &str = "CONDITIONAL_ORDER_TRIGGER_REJECT";
const EXPIRED: &str = "listenKeyExpired";

/// What a message says.
#[derive(Debug)]
pub(super) enum Heard {
    /// Something happened.
    Event(Box<StreamEvent>),
    /// The stream's key is not valid any more: from now on nothing is told.
    KeyExpired,
}

/// Reads a message.
pub(super) fn heard(message: &str) -> Heard {
    read(message)
        .unwrap_or_else(|error| Heard::Event(Box::new(StreamEvent::Unreadable { error, payload: message.into() })))
}

fn json<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, StreamEventError> {
    serde_json::from_str(text).map_err(|source| StreamEventError::Unreadable {
        body_start: ForeignText::body_start(text.as_bytes()),
        source: ForeignError::new(&source),
    })
}

fn read(message: &str) -> Result<Heard, StreamEventError> {
    let mut head: dto::MessageHead = json(message)?;
    let envelope = head.data.take().filter(|_| head.kind.is_none());
    let body = envelope.as_ref().map_or(message, |data| data.get());
    if envelope.is_some() {
        head = json(body)?;
    }
    let name = text("e", &head.kind).ok().flatten().map(ToOwned::to_owned);
    let payload: Arc<str> = message.into();
    let event = match name.as_deref() {
        Some(EXPIRED) => return Ok(Heard::KeyExpired),
        Some(ORDER) => {
            let row = json::<dto::OrderEvent>(body)?.o;
            StreamEvent::Order(Box::new(named(ORDER, order_update(&head, &row, payload))?))
        }
        Some(ALGO) => {
            let row = json::<dto::AlgoEvent>(body)?.o;
            StreamEvent::Order(Box::new(named(ALGO, algo_update(&head, &row, payload))?))
        }
        Some(TRADE) => StreamEvent::Trade(Box::new(named(TRADE, trade_notice(&head, &json(body)?, payload))?)),
        Some(ACCOUNT) => {
            StreamEvent::Account(named(ACCOUNT, account_update(&head, &json::<dto::AccountEvent>(body)?.a, payload))?)
        }
        Some(CONFIG) => StreamEvent::Config(named(CONFIG, config_change(&head, &json(body)?))?),
        Some(MARGIN) => StreamEvent::MarginCall(named(MARGIN, margin_call(&head, &json(body)?, payload))?),
        Some(REJECTED) => StreamEvent::TriggerRejected(named(
            REJECTED,
            trigger_rejection(&head, &json::<dto::TriggerRejectEvent>(body)?.or, payload),
        )?),
        _ => StreamEvent::Unknown { name, payload },
    };
    Ok(Heard::Event(Box::new(event)))
}

fn named<T>(event: &'static str, parsed: Parsed<T>) -> Result<T, StreamEventError> {
    parsed.map_err(|(field, problem)| StreamEventError::Malformed { event, field, problem: Box::new(problem) })
}

fn told_at(head: &dto::MessageHead) -> Parsed<TimestampMs> {
    instant("E", &head.told_at)
}

fn happened_at(head: &dto::MessageHead) -> Parsed<TimestampMs> {
    instant("T", &head.happened_at)
}

fn order_update(head: &dto::MessageHead, row: &dto::OrderEventRow, payload: Arc<str>) -> Parsed<OrderUpdate> {
    let happened_at = happened_at(head)?;
    let execution: Label = get("o.x", &row.execution)?;
    required("o.q", &row.qty)?;
    let executed_qty: Decimal = get("o.z", &row.executed_qty)?;
    // A triggered order changes its type; the one that it was placed with tells what it was for.
    let order_type = match get_optional::<Label>("o.ot", &row.placed_as)? {
        Some(placed_as) => Some(placed_as),
        None => get_optional("o.o", &row.kind)?,
    };
    let order = VENUE.order_rules.tell(Order {
        key: OrderKey {
            symbol: get("o.s", &row.symbol)?,
            class: OrderClass::Regular,
            order_id: counted_id::<OrderId>("o.i", &row.order_id)?,
        },
        client_order_id: get_optional::<ClientOrderId>("o.c", &row.client_order_id)?,
        side: get("o.S", &row.side)?,
        position_side: position_side("o.ps", &row.position_side)?,
        order_type,
        time_in_force: get_optional("o.f", &row.time_in_force)?,
        status: get("o.X", &row.status)?,
        terms: OrderTerms {
            as_of: Some(happened_at),
            qty: optional_quantity("o.q", &row.qty)?,
            price: optional_price("o.p", &row.price)?,
            trigger_price: optional_price("o.sp", &row.trigger_price)?,
        },
        executed: Some(Execution::new(executed_qty, optional_price("o.ap", &row.avg_price)?)),
        // What the event says of a fee is of its fill.
        fees: None,
        reduce_only: boolean("o.R", &row.reduce_only)?,
        close_position: boolean("o.cp", &row.close_position)?,
        // The event says when it happened, not when the order was made.
        created: None,
        updated: Some(EventTime::ms(happened_at)),
        triggered_order_id: None,
        origin: None,
        condition: None,
        engine: None,
        signal_id: None,
        exit_reason: None,
    });
    // The type of a liquidation may stand in one of the two alone. "Calculated" is documented as the execution of a
    // liquidation, and it is that of an auto-deleveraging, too.
    let by_type = VENUE.order_rules.origin(None, get_optional("o.o", &row.kind)?.as_ref());
    let by_execution = (execution.as_str() == "CALCULATED").then_some(Origin::Forced);
    let order = order.sent_by(by_type).sent_by(by_execution);
    let fill = order_fill(row, &order, &execution)?;
    Ok(OrderUpdate { told_at: told_at(head)?, execution: Some(execution), order, refusal: None, fill, payload })
}

/// The fill of an event that tells one. Other events repeat the trade id 0, or one of before, without a quantity.
fn order_fill(row: &dto::OrderEventRow, order: &Order, execution: &Label) -> Parsed<Option<Fill>> {
    required("o.t", &row.trade_id)?;
    let fill_id: Option<FillId> = optional_counted_id("o.t", &row.trade_id)?;
    let last_qty: Option<Decimal> = get_optional("o.l", &row.last_qty)?;
    let has_qty = last_qty.is_some_and(|qty| !qty.is_zero());
    let Some(fill_id) = fill_id.filter(|_| has_qty) else {
        // A trade without its id or quantity is one that would be lost without a word.
        return match (execution.as_str(), has_qty) {
            ("TRADE", true) => Err(("o.t", FieldProblem::NotAnId)),
            ("TRADE", false) => Err(("o.l", FieldProblem::Missing)),
            _ => Ok(None),
        };
    };
    let sequence = VENUE.sequence(&fill_id).ok_or(("o.t", FieldProblem::NotAnId))?;
    let maker = boolean("o.m", &row.maker)?;
    let fee = match (get_optional::<Decimal>("o.n", &row.fee)?, get_optional::<Asset>("o.N", &row.fee_asset)?) {
        (Some(fee), Some(asset)) => Some(Fee { amount: fee_from_commission(fee, maker), asset }),
        (Some(_), None) => return Err(("o.N", FieldProblem::Missing)),
        // Both may be left out.
        (None, _) => None,
    };
    Ok(Some(Fill {
        key: FillKey { symbol: order.key.symbol.clone(), fill_id, side: order.side },
        order_id: Some(order.key.order_id.clone()),
        time: EventTime::ms(instant("o.T", &row.time)?),
        price: get("o.L", &row.last_price)?,
        qty: get("o.l", &row.last_qty)?,
        position_side: order.position_side,
        fee,
        maker,
        exchange_realized_pnl: get_optional("o.rp", &row.realized_pnl)?,
        sequence: Some(sequence),
    }))
}

/// A conditional order's state. It has no fills and no executed quantity: the regular order that it becomes has them.
fn algo_update(head: &dto::MessageHead, row: &dto::AlgoEventRow, payload: Arc<str>) -> Parsed<OrderUpdate> {
    let happened_at = happened_at(head)?;
    let order = VENUE.order_rules.tell(Order {
        key: OrderKey {
            symbol: get("o.s", &row.symbol)?,
            class: OrderClass::Conditional,
            order_id: counted_id::<OrderId>("o.aid", &row.algo_id)?,
        },
        client_order_id: get_optional("o.caid", &row.client_algo_id)?,
        side: get("o.S", &row.side)?,
        position_side: position_side("o.ps", &row.position_side)?,
        order_type: get_optional("o.o", &row.kind)?,
        time_in_force: get_optional("o.f", &row.time_in_force)?,
        status: get("o.X", &row.status)?,
        terms: OrderTerms {
            as_of: Some(happened_at),
            qty: optional_quantity("o.q", &row.qty)?,
            price: optional_price("o.p", &row.price)?,
            trigger_price: optional_price("o.tp", &row.trigger_price)?,
        },
        executed: None,
        fees: None,
        reduce_only: boolean("o.R", &row.reduce_only)?,
        close_position: boolean("o.cp", &row.close_position)?,
        created: None,
        updated: Some(EventTime::ms(happened_at)),
        triggered_order_id: optional_counted_id("o.ai", &row.order_id)?,
        origin: None,
        condition: None,
        engine: None,
        signal_id: None,
        exit_reason: None,
    });
    // A reason that cannot be read is no reason to lose the order's state.
    let reason = text("o.rm", &row.refusal).ok().flatten().map(printed);
    let refusal = (order.status == OrderStatus::Rejected).then_some(TriggerRefusal { reason });
    Ok(OrderUpdate { told_at: told_at(head)?, execution: None, order, refusal, fill: None, payload })
}

fn trade_notice(head: &dto::MessageHead, row: &dto::TradeEventRow, payload: Arc<str>) -> Parsed<TradeNotice> {
    let fill_id: FillId = counted_id("t", &row.trade_id)?;
    let sequence = VENUE.sequence(&fill_id).ok_or(("t", FieldProblem::NotAnId))?;
    let fill = Fill {
        key: FillKey { symbol: get("s", &row.symbol)?, fill_id, side: get("S", &row.side)? },
        order_id: Some(counted_id("i", &row.order_id)?),
        time: EventTime::ms(instant("T", &row.time)?),
        price: get("L", &row.last_price)?,
        qty: get("l", &row.last_qty)?,
        position_side: None,
        fee: None,
        maker: boolean("m", &row.maker)?,
        exchange_realized_pnl: None,
        sequence: Some(sequence),
    };
    Ok(TradeNotice { told_at: told_at(head)?, fill, payload })
}

fn account_update(head: &dto::MessageHead, row: &dto::AccountEventRow, payload: Arc<str>) -> Parsed<AccountUpdate> {
    let at = happened_at(head)?;
    let mut balances = Vec::new();
    let mut balance_changes = Vec::new();
    for row in row.balances.iter().flatten() {
        let asset: Asset = get("a.B.a", &row.asset)?;
        if let Some(change) = get_optional::<Decimal>("a.B.bc", &row.change)?.filter(|change| !change.is_zero()) {
            balance_changes.push((asset.clone(), change));
        }
        balances.push(BalanceSnapshot { asset, at, wallet: get("a.B.wb", &row.wallet)? });
    }
    let position = |row: &dto::AccountPositionRow| {
        Ok(PositionSnapshot {
            symbol: get("a.P.s", &row.symbol)?,
            position_side: position_side("a.P.ps", &row.position_side)?.ok_or(("a.P.ps", FieldProblem::Missing))?,
            at,
            qty: get("a.P.pa", &row.qty)?,
            entry_price: optional_price("a.P.ep", &row.entry_price)?,
        })
    };
    Ok(AccountUpdate {
        told_at: told_at(head)?,
        reason: get("a.m", &row.reason)?,
        balances,
        balance_changes,
        positions: row.positions.iter().flatten().map(position).collect::<Parsed<_>>()?,
        payload,
    })
}

fn config_change(head: &dto::MessageHead, row: &dto::ConfigEventRow) -> Parsed<ConfigChange> {
    let told_at = told_at(head)?;
    match (&row.ac, &row.ai) {
        (Some(row), _) => Ok(ConfigChange::Leverage {
            told_at,
            symbol: get("ac.s", &row.symbol)?,
            leverage: whole("ac.l", &row.leverage)?,
        }),
        (None, Some(row)) => Ok(ConfigChange::MultiAssets {
            told_at,
            is_on: boolean("ai.j", &row.is_on)?.ok_or(("ai.j", FieldProblem::Missing))?,
        }),
        (None, None) => Err(("ac", FieldProblem::Missing)),
    }
}

fn whole(name: &'static str, field: &Field) -> Parsed<u32> {
    required(name, field)?.parse().map_err(|_| (name, FieldProblem::NotInteger))
}

fn margin_call(head: &dto::MessageHead, row: &dto::MarginCallRow, payload: Arc<str>) -> Parsed<MarginCall> {
    let position = |row: &dto::AccountPositionRow| {
        Ok(MarginCallPosition {
            symbol: get("p.s", &row.symbol)?,
            position_side: position_side("p.ps", &row.position_side)?.ok_or(("p.ps", FieldProblem::Missing))?,
            qty: get("p.pa", &row.qty)?,
            mark_price: optional_price("p.mp", &row.mark_price)?,
            maintenance_margin: get_optional("p.mm", &row.maintenance_margin)?,
        })
    };
    Ok(MarginCall {
        told_at: told_at(head)?,
        cross_wallet: get_optional("cw", &row.cross_wallet)?,
        positions: row.positions.iter().flatten().map(position).collect::<Parsed<_>>()?,
        payload,
    })
}

fn trigger_rejection(
    head: &dto::MessageHead,
    row: &dto::TriggerRejectRow,
    payload: Arc<str>,
) -> Parsed<TriggerRejection> {
    let reason = text("or.r", &row.reason)?.map(printed).unwrap_or_default();
    Ok(TriggerRejection {
        told_at: told_at(head)?,
        symbol: get("or.s", &row.symbol)?,
        order_id: counted_id("or.i", &row.order_id)?,
        reason,
        payload,
    })
}

/// The exchange's words, for a line.
fn printed(words: &str) -> String {
    words.chars().filter(|character| !character.is_control()).take(300).collect()
}
