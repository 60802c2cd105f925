//! From payload to entity. Every refusal names the field.
//!
//! Invariants, each with a test of the same name:
//! 1. `what_is_missing_is_refused_by_name`, and `what_is_unknown_is_tolerated`.
//! 2. `an_order_never_makes_a_fill`: its answers only say how far it has been executed.
//! 3. `fees_are_positive_when_paid`, in every form that the exchange has stated them in.
//! 4. `ids_are_whole_numbers_in_digits`: one that went through a float would be another order's.
//! 5. `zero_stands_for_nothing_where_the_exchange_means_nothing`: prices, averages and triggers of 0 are absent.

use std::str::FromStr;

use ledger_core::{
    Asset, BalanceSnapshot, ClientOrderId, Decimal, EventTime, Execution, Fee, Fill, FillId, FillKey, FundingRate,
    Income, IncomeKey, IncomeType, Instrument, Label, Order, OrderClass, OrderId, OrderKey, OrderTerms, Origin,
    PositionMode, PositionSide, PositionSnapshot, Price, PriceKind, PriceSnapshot, Quantity, Side, Symbol, TimestampMs,
    TranId, printable,
};

use super::dto::{self, Field, Scalar};
use super::facts::VENUE;
use crate::api::{MarkPrice, OrderFilters, QtyFilter};
use crate::error::FieldProblem;
use crate::foreign::SecretKind;
use crate::income_id::{IncomeDigest, is_no_id};

/// A field's name on the wire, and what is wrong with it.
pub(super) type Unusable = (&'static str, FieldProblem);
pub(super) type Parsed<T> = Result<T, Unusable>;

/// The text, if the field is there and not empty.
pub(super) fn text<'a>(name: &'static str, field: &'a Field) -> Parsed<Option<&'a str>> {
    match field {
        None => Ok(None),
        Some(Scalar::Compound) => Err((name, FieldProblem::NotScalar)),
        Some(Scalar::Text(text)) if text.is_empty() => Ok(None),
        Some(Scalar::Text(text)) => Ok(Some(text)),
    }
}

pub(super) fn required<'a>(name: &'static str, field: &'a Field) -> Parsed<&'a str> {
    text(name, field)?.ok_or((name, FieldProblem::Missing))
}

fn read<T: FromStr>(name: &'static str, text: &str) -> Parsed<T>
where
    FieldProblem: From<T::Err>,
{
    text.parse().map_err(|error: T::Err| (name, FieldProblem::from(error)))
}

pub(super) fn get<T: FromStr>(name: &'static str, field: &Field) -> Parsed<T>
where
    FieldProblem: From<T::Err>,
{
    read(name, required(name, field)?)
}

pub(super) fn get_optional<T: FromStr>(name: &'static str, field: &Field) -> Parsed<Option<T>>
where
    FieldProblem: From<T::Err>,
{
    text(name, field)?.map(|text| read(name, text)).transpose()
}

pub(super) fn boolean(name: &'static str, field: &Field) -> Parsed<Option<bool>> {
    match text(name, field)? {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err((name, FieldProblem::NotBoolean)),
    }
}

fn integer(name: &'static str, field: &Field) -> Parsed<i64> {
    required(name, field)?.parse().map_err(|_| (name, FieldProblem::NotInteger))
}

/// An id of an exchange that counts: nothing but digits, as it would be asked for again.
fn number(name: &'static str, text: &str) -> Parsed<i64> {
    let number = text.parse::<i64>().ok().filter(|number| *number > 0 && number.to_string() == text);
    number.ok_or((name, FieldProblem::NotAnId))
}

pub(super) fn counted_id<T: FromStr>(name: &'static str, field: &Field) -> Parsed<T>
where
    FieldProblem: From<T::Err>,
{
    let text = required(name, field)?;
    number(name, text)?;
    read(name, text)
}

/// Absent, empty and 0 all mean "none".
pub(super) fn optional_counted_id<T: FromStr>(name: &'static str, field: &Field) -> Parsed<Option<T>>
where
    FieldProblem: From<T::Err>,
{
    let Some(text) = text(name, field)?.filter(|text| !is_no_id(text)) else { return Ok(None) };
    number(name, text)?;
    read(name, text).map(Some)
}

pub(super) fn instant(name: &'static str, field: &Field) -> Parsed<TimestampMs> {
    TimestampMs::new(integer(name, field)?).map_err(|error| (name, error.into()))
}

/// Absent and 0 both mean "never".
pub(super) fn optional_instant(name: &'static str, field: &Field) -> Parsed<Option<TimestampMs>> {
    match text(name, field)? {
        None | Some("0") => Ok(None),
        Some(_) => instant(name, field).map(Some),
    }
}

/// Absent and 0 both mean "none".
pub(super) fn optional_price(name: &'static str, field: &Field) -> Parsed<Option<Price>> {
    match get_optional::<Decimal>(name, field)? {
        Some(value) if !value.is_zero() => Price::new(value).map(Some).map_err(|error| (name, error.into())),
        _ => Ok(None),
    }
}

/// Absent and 0 both mean "all of it": closing the whole position.
pub(super) fn optional_quantity(name: &'static str, field: &Field) -> Parsed<Option<Quantity>> {
    match get_optional::<Decimal>(name, field)? {
        Some(value) if !value.is_zero() => Quantity::new(value).map(Some).map_err(|error| (name, error.into())),
        _ => Ok(None),
    }
}

pub(super) fn position_side(name: &'static str, field: &Field) -> Parsed<Option<PositionSide>> {
    match text(name, field)? {
        None => Ok(None),
        Some("BOTH") => Ok(Some(PositionSide::Net)),
        Some(text) => read(name, text).map(Some),
    }
}

/// A fee as the book keeps it, positive = paid, from a `commission` as the exchange states it beside a trade.
///
/// The exchange itself states charges as positive numbers; its documentation, and answers of earlier years, show a
/// taker's charge as a negative one, the way the wallet sees it. Rebates exist for makers only, so a taker's negative
/// commission is a charge, while a maker's (or one where nobody says) is what it looks like: a rebate.
pub fn fee_from_commission(commission: Decimal, maker: Option<bool>) -> Decimal {
    if commission.is_negative() && maker == Some(false) { -commission } else { commission }
}

pub(super) fn fill(row: &dto::UserTradeRow) -> Parsed<Fill> {
    let fill_id: FillId = counted_id("id", &row.id)?;
    let sequence = VENUE.sequence(&fill_id).ok_or(("id", FieldProblem::NotAnId))?;
    let maker = boolean("maker", &row.maker)?;
    let commission: Option<Decimal> = get_optional("commission", &row.commission)?;
    let fee = match (commission, get_optional::<Asset>("commissionAsset", &row.commission_asset)?) {
        (Some(commission), Some(asset)) => Some(Fee { amount: fee_from_commission(commission, maker), asset }),
        (Some(_), None) => return Err(("commissionAsset", FieldProblem::Missing)),
        (None, _) => return Err(("commission", FieldProblem::Missing)),
    };
    Ok(Fill {
        key: FillKey { symbol: get("symbol", &row.symbol)?, fill_id, side: get("side", &row.side)? },
        order_id: Some(counted_id("orderId", &row.order_id)?),
        time: EventTime::ms(instant("time", &row.time)?),
        price: get("price", &row.price)?,
        qty: get("qty", &row.qty)?,
        position_side: Some(
            position_side("positionSide", &row.position_side)?.ok_or(("positionSide", FieldProblem::Missing))?,
        ),
        fee,
        maker,
        exchange_realized_pnl: Some(get("realizedPnl", &row.realized_pnl)?),
        sequence: Some(sequence),
    })
}

pub(super) fn order(row: &dto::OrderRow) -> Parsed<Order> {
    let updated = optional_instant("updateTime", &row.update_time)?;
    let created = optional_instant("time", &row.time)?;
    required("origQty", &row.orig_qty)?;
    let executed_qty: Decimal = get("executedQty", &row.executed_qty)?;
    // A triggered order changes its type; the one that it was placed with tells what it was for.
    let order_type = match get_optional::<Label>("origType", &row.orig_type)? {
        Some(placed_as) => Some(placed_as),
        None => get_optional("type", &row.kind)?,
    };
    let order = VENUE.order_rules.tell(Order {
        key: OrderKey {
            symbol: get("symbol", &row.symbol)?,
            class: OrderClass::Regular,
            order_id: counted_id::<OrderId>("orderId", &row.order_id)?,
        },
        client_order_id: get_optional::<ClientOrderId>("clientOrderId", &row.client_order_id)?,
        side: get::<Side>("side", &row.side)?,
        position_side: position_side("positionSide", &row.position_side)?,
        order_type,
        time_in_force: get_optional("timeInForce", &row.time_in_force)?,
        status: get("status", &row.status)?,
        terms: OrderTerms {
            as_of: updated.or(created),
            qty: optional_quantity("origQty", &row.orig_qty)?,
            price: optional_price("price", &row.price)?,
            trigger_price: optional_price("stopPrice", &row.stop_price)?,
        },
        executed: Some(Execution::new(executed_qty, optional_price("avgPrice", &row.avg_price)?)),
        fees: None,
        reduce_only: boolean("reduceOnly", &row.reduce_only)?,
        close_position: boolean("closePosition", &row.close_position)?,
        created: created.map(EventTime::ms),
        updated: updated.map(EventTime::ms),
        triggered_order_id: None,
        origin: None,
        condition: None,
        engine: None,
        signal_id: None,
        exit_reason: None,
    });
    // The type of a liquidation may stand in one of the two alone.
    let by_type = VENUE.order_rules.origin(None, get_optional("type", &row.kind)?.as_ref());
    Ok(order.sent_by(by_type))
}

/// An order on the list of those by which the exchange closed positions. The list holds liquidations and auto-deleveragings;
/// which of them one is, its client order id tells, and the type that the list was asked by, where the row repeats it.
pub(super) fn forced_order(row: &dto::OrderRow) -> Parsed<Order> {
    let origin = match text("autoCloseType", &row.auto_close_type)? {
        Some("LIQUIDATION") => Origin::Liquidation,
        Some("ADL") => Origin::Adl,
        _ => Origin::Forced,
    };
    Ok(order(row)?.sent_by(Some(origin)))
}

/// A conditional order. It has no fills and no executed quantity: the regular order that it becomes has them.
pub(super) fn conditional_order(row: &dto::AlgoOrderRow) -> Parsed<Order> {
    let updated = optional_instant("updateTime", &row.update_time)?;
    let created = optional_instant("createTime", &row.create_time)?;
    Ok(VENUE.order_rules.tell(Order {
        key: OrderKey {
            symbol: get("symbol", &row.symbol)?,
            class: OrderClass::Conditional,
            order_id: counted_id::<OrderId>("algoId", &row.algo_id)?,
        },
        client_order_id: get_optional::<ClientOrderId>("clientAlgoId", &row.client_algo_id)?,
        side: get::<Side>("side", &row.side)?,
        position_side: position_side("positionSide", &row.position_side)?,
        order_type: get_optional("orderType", &row.order_type)?,
        time_in_force: get_optional("timeInForce", &row.time_in_force)?,
        status: get("algoStatus", &row.algo_status)?,
        terms: OrderTerms {
            as_of: updated.or(created),
            qty: optional_quantity("quantity", &row.quantity)?,
            price: optional_price("price", &row.price)?,
            trigger_price: optional_price("triggerPrice", &row.trigger_price)?,
        },
        executed: None,
        fees: None,
        reduce_only: boolean("reduceOnly", &row.reduce_only)?,
        close_position: boolean("closePosition", &row.close_position)?,
        created: created.map(EventTime::ms),
        updated: updated.map(EventTime::ms),
        triggered_order_id: optional_counted_id("actualOrderId", &row.actual_order_id)?,
        origin: None,
        condition: None,
        engine: None,
        signal_id: None,
        exit_reason: None,
    }))
}

/// A ledger entry; one without a transaction id gets one of its digest and the `ordinal` of that among identical rows.
pub(super) fn income(row: &dto::IncomeRow, ordinal: impl FnOnce(IncomeDigest) -> u32) -> Parsed<Income> {
    let income_type = income_type(row)?;
    let symbol: Option<Symbol> = get_optional("symbol", &row.symbol)?;
    let asset = get("asset", &row.asset)?;
    let amount = get("income", &row.income)?;
    let at = income_time(row)?;
    let tran_id = if let Some(tran_id) = transaction_id(&row.tran_id)? {
        tran_id
    } else {
        let digest = IncomeDigest::new(&income_type, at, amount, &asset, symbol.as_ref());
        digest.tran_id(ordinal(digest)).map_err(|error| ("tranId", error.into()))?
    };
    Ok(Income {
        key: IncomeKey { income_type, tran_id, symbol, asset },
        amount,
        time: EventTime::ms(at),
        fill_id: optional_counted_id("tradeId", &row.trade_id)?,
        info: get_optional("info", &row.info)?,
    })
}

/// Absent, empty and 0 all mean "none". It is a whole number, but nothing counts on it: a kind of entry that is new may have
/// a name instead. Not half of either, though, as a number is that went through a float.
fn transaction_id(field: &Field) -> Parsed<Option<TranId>> {
    const NAME: &str = "tranId";
    let Some(text) = text(NAME, field)?.filter(|text| !is_no_id(text)) else { return Ok(None) };
    let looks_like_a_number = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    if looks_like_a_number && text.parse::<i64>().is_err() {
        return Err((NAME, FieldProblem::NotAnId));
    }
    read(NAME, text).map(Some)
}

pub(super) fn income_type(row: &dto::IncomeRow) -> Parsed<IncomeType> {
    get("incomeType", &row.income_type)
}

pub(super) fn income_time(row: &dto::IncomeRow) -> Parsed<TimestampMs> {
    instant("time", &row.time)
}

/// A position. `at` is when it was asked for: the row's own `updateTime` is that of its last change.
pub(super) fn position(row: &dto::PositionRow, at: TimestampMs) -> Parsed<PositionSnapshot> {
    Ok(PositionSnapshot {
        symbol: get("symbol", &row.symbol)?,
        position_side: position_side("positionSide", &row.position_side)?
            .ok_or(("positionSide", FieldProblem::Missing))?,
        at,
        qty: get("positionAmt", &row.position_amt)?,
        entry_price: optional_price("entryPrice", &row.entry_price)?,
    })
}

/// A wallet balance, as of when it was asked for.
pub(super) fn balance(row: &dto::BalanceRow, at: TimestampMs) -> Parsed<BalanceSnapshot> {
    Ok(BalanceSnapshot { asset: get("asset", &row.asset)?, at, wallet: get("balance", &row.balance)? })
}

pub(super) fn account_alias(row: &dto::BalanceRow) -> Parsed<String> {
    const NAME: &str = "accountAlias";
    let alias = required(NAME, &row.account_alias)?;
    // Two accounts whose names are both hidden would be one.
    if SecretKind::is_missing_in(alias) {
        return Err((NAME, FieldProblem::Secret));
    }
    Ok(printable(alias).into_owned())
}

pub(super) fn mark_price(row: &dto::MarkPriceRow) -> Parsed<MarkPrice> {
    let price = PriceSnapshot {
        symbol: get("symbol", &row.symbol)?,
        kind: PriceKind::Mark,
        at: instant("time", &row.time)?,
        price: get("markPrice", &row.mark_price)?,
    };
    // 0 for contracts that are delivered instead of funded.
    Ok(MarkPrice { price, next_funding: optional_instant("nextFundingTime", &row.next_funding_time)? })
}

/// How long a kline of a minute is, from its first millisecond to its last.
const KLINE_MS: i64 = 59_999;

/// The last price of a minute of the contract that was asked for: the row does not name it.
pub(super) fn kline(row: &dto::KlineRow, symbol: &Symbol) -> Parsed<PriceSnapshot> {
    let opened = instant("openTime", row.open_time())?;
    let at = instant("closeTime", row.close_time())?;
    // The price of a longer stretch would be one of later than was asked for.
    if at != opened.saturating_add_ms(KLINE_MS) {
        return Err(("closeTime", FieldProblem::NotAskedFor));
    }
    let price = get("close", row.close())?;
    Ok(PriceSnapshot { symbol: symbol.clone(), kind: PriceKind::KlineClose, at, price })
}

pub(super) fn funding_rate(row: &dto::FundingRateRow) -> Parsed<FundingRate> {
    Ok(FundingRate {
        symbol: get("symbol", &row.symbol)?,
        at: instant("fundingTime", &row.funding_time)?,
        rate: get("fundingRate", &row.funding_rate)?,
        mark_price: optional_price("markPrice", &row.mark_price)?,
    })
}

/// The leverage that is in force now, which has to be the one `sent` for this contract.
pub(super) fn leverage(row: &dto::LeverageRow, asked: &Symbol, sent: u32) -> Parsed<u32> {
    if get::<Symbol>("symbol", &row.symbol)? != *asked {
        return Err(("symbol", FieldProblem::NotAskedFor));
    }
    let stated = required("leverage", &row.leverage)?.parse().map_err(|_| ("leverage", FieldProblem::NotInteger))?;
    if stated == sent { Ok(stated) } else { Err(("leverage", FieldProblem::NotAskedFor)) }
}

pub(super) fn instrument(row: &dto::ContractRow) -> Parsed<Instrument> {
    let symbol: Symbol = get("symbol", &row.symbol)?;
    let settle_asset = get("marginAsset", &row.margin_asset)?;
    let mut instrument = Instrument::linear(symbol, settle_asset).map_err(|error| ("symbol", error.into()))?;
    instrument.liquidation_fee = fraction("liquidationFee", &row.liquidation_fee)?;
    for filter in &row.filters {
        match text("filterType", &filter.filter_type)? {
            Some("PRICE_FILTER") => instrument.tick_size = step("tickSize", &filter.tick_size)?,
            Some("LOT_SIZE") => instrument.step_size = step("stepSize", &filter.step_size)?,
            _ => {}
        }
    }
    Ok(instrument)
}

/// The status of a contract that can be traded.
const TRADING: &str = "TRADING";

pub(super) fn order_filters(row: &dto::ContractRow) -> Parsed<OrderFilters> {
    let mut filters = OrderFilters {
        symbol: get("symbol", &row.symbol)?,
        is_trading: text("status", &row.status)?.is_none_or(|status| status == TRADING),
        tick_size: None,
        limit_qty: QtyFilter::default(),
        market_qty: QtyFilter::default(),
        notional_min: None,
    };
    let qty = |filter: &dto::FilterRow| {
        Ok(QtyFilter {
            step: step("stepSize", &filter.step_size)?,
            min: step("minQty", &filter.min_qty)?,
            max: step("maxQty", &filter.max_qty)?,
        })
    };
    for filter in &row.filters {
        match text("filterType", &filter.filter_type)? {
            Some("PRICE_FILTER") => filters.tick_size = step("tickSize", &filter.tick_size)?,
            Some("LOT_SIZE") => filters.limit_qty = qty(filter)?,
            Some("MARKET_LOT_SIZE") => filters.market_qty = qty(filter)?,
            Some("MIN_NOTIONAL") => filters.notional_min = step("notional", &filter.notional)?,
            _ => {}
        }
    }
    filters.market_qty = filters.market_qty.and(&filters.limit_qty);
    Ok(filters)
}

/// A rule of 0 is none.
fn step(name: &'static str, field: &Field) -> Parsed<Option<Decimal>> {
    Ok(get_optional::<Decimal>(name, field)?.filter(|step| step.is_positive()))
}

/// A part of a whole, from 0 to 1; absent where the exchange states none.
fn fraction(name: &'static str, field: &Field) -> Parsed<Option<Decimal>> {
    match get_optional::<Decimal>(name, field)? {
        Some(value) if value.is_negative() || value > Decimal::ONE => Err((name, FieldProblem::NotAFraction)),
        value => Ok(value),
    }
}

/// The key of the user stream; what is wrong with it is told without it.
pub(super) fn listen_key(row: &dto::ListenKeyRow) -> Parsed<String> {
    const NAME: &str = "listenKey";
    let key = required(NAME, &row.listen_key)?;
    let is_key = key.bytes().all(|byte| byte.is_ascii_graphic());
    if is_key { Ok(key.to_owned()) } else { Err((NAME, FieldProblem::NotAskedFor)) }
}

/// What a row is about, whatever else it says.
pub(super) fn symbol(row: &dto::SymbolRow) -> Parsed<Symbol> {
    get("symbol", &row.symbol)
}

pub(super) fn server_time(row: &dto::ServerTimeRow) -> Parsed<TimestampMs> {
    instant("serverTime", &row.server_time)
}

pub(super) fn position_mode(row: &dto::PositionModeRow) -> Parsed<PositionMode> {
    const NAME: &str = "dualSidePosition";
    let hedge = boolean(NAME, &row.dual_side_position)?.ok_or((NAME, FieldProblem::Missing))?;
    Ok(if hedge { PositionMode::Hedge } else { PositionMode::OneWay })
}

/// The exchange's error code and words, if this is a notice at all.
pub(super) fn notice(row: &dto::NoticeRow) -> Option<(i64, String)> {
    let code = integer("code", &row.code).ok()?;
    let message = text("msg", &row.msg).ok().flatten().unwrap_or("(no message)");
    Some((code, message.to_owned()))
}
