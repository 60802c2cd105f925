//! Lines into facts, checked field by field.

use std::str::FromStr;

use ledger_core::{
    Anchor, AnyFact, BalanceSnapshot, Cancel, EventTime, Execution, FactKind, Fee, Fill, FillKey, FundingRate, IdError,
    Income, IncomeKey, Instrument, KnownBefore, Order, OrderIntent, OrderKey, OrderTerms, PositionModeSnapshot,
    PositionSnapshot, PriceSnapshot, Signal, StatedFees, TimePrecision, TimestampMs, UnknownName,
};
use serde::de::DeserializeOwned;

use super::line::{
    AnchorLine, BalanceLine, CancelLine, FeeLine, FillLine, FundingRateLine, IncomeLine, InstrumentLine, IntentLine,
    OrderLine, PositionLine, PositionModeLine, PriceLine, SignalLine,
};
use super::{Cell, RowError, RowProblem, row_error};
use crate::binance_usdm::VENUE;
use crate::files::executed::check_order;

/// The fact in a line whose `schema` says what kind it is.
pub(super) fn fact(kind: FactKind, text: &str) -> Result<AnyFact, RowError> {
    Ok(match kind {
        FactKind::Instrument => AnyFact::Instrument(instrument(&line(text)?)?),
        FactKind::Signal => AnyFact::Signal(signal(line(text)?)?),
        FactKind::Intent => AnyFact::Intent(intent(&line(text)?)?),
        FactKind::Order => AnyFact::Order(order(&line(text)?)?),
        FactKind::Fill => AnyFact::Fill(fill(&line(text)?)?),
        FactKind::Cancel => AnyFact::Cancel(cancel(&line(text)?)?),
        FactKind::Income => AnyFact::Income(income(&line(text)?)?),
        FactKind::Position => AnyFact::Position(position(&line(text)?)?),
        FactKind::Balance => AnyFact::Balance(balance(&line(text)?)?),
        FactKind::Price => AnyFact::Price(price(&line(text)?)?),
        FactKind::FundingRate => AnyFact::FundingRate(funding_rate(&line(text)?)?),
        FactKind::Anchor => AnyFact::Anchor(anchor(&line(text)?)?),
        FactKind::PositionMode => AnyFact::PositionMode(position_mode(&line(text)?)?),
    })
}

/// A value of one of the enumerations.
pub(super) fn name<T: FromStr<Err = UnknownName>>(cell: Cell<'_>) -> Result<T, RowError> {
    cell.text.parse().map_err(|problem: UnknownName| cell.error(problem))
}

fn line<T: DeserializeOwned>(text: &str) -> Result<T, RowError> {
    serde_json::from_str(text).map_err(row_error)
}

/// Cells of a line are taken as they are: white space around an id is not ours to remove.
fn cell<'a>(column: &'a str, text: &'a str) -> Cell<'a> {
    Cell { column, text }
}

fn id<T: FromStr<Err = IdError>>(column: &str, text: &str) -> Result<T, RowError> {
    cell(column, text).id()
}

fn id_of<T: FromStr<Err = IdError>>(column: &str, text: Option<&String>) -> Result<Option<T>, RowError> {
    text.map(|text| id(column, text)).transpose()
}

fn name_of<T: FromStr<Err = UnknownName>>(column: &str, text: Option<&String>) -> Result<Option<T>, RowError> {
    text.map(|text| name(cell(column, text))).transpose()
}

/// An optional value, read by one of the methods of [`Cell`].
fn read<'a, T>(
    column: &'a str,
    text: Option<&'a String>,
    by: fn(Cell<'a>) -> Result<T, RowError>,
) -> Result<Option<T>, RowError> {
    text.map(|text| by(cell(column, text))).transpose()
}

fn instant(column: &str, ms: i64) -> Result<TimestampMs, RowError> {
    TimestampMs::new(ms).map_err(|problem| RowError::cell(column, &ms.to_string(), problem))
}

fn time(column: &str, ms: i64, precision: Option<&String>) -> Result<EventTime, RowError> {
    let at = instant(column, ms)?;
    match precision.map(String::as_str) {
        None | Some("ms") => Ok(EventTime::ms(at)),
        Some("s") => Ok(EventTime { at: EventTime::seconds(at).at, precision: TimePrecision::Second }),
        Some(other) => {
            let column = format!("{column}_precision");
            Err(RowError::cell(&column, other, RowProblem::JsonType { expected: "`s` or `ms`" }))
        }
    }
}

/// `value`, which `column` cannot do without once `because` is there.
fn needed<T>(column: &str, value: Option<T>) -> Result<T, RowError> {
    value.ok_or_else(|| RowError::cell(column, "", RowProblem::Missing))
}

fn fill(line: &FillLine) -> Result<Fill, RowError> {
    let fee = match (&line.fee, &line.fee_asset) {
        (None, _) => None,
        (Some(amount), asset) => {
            let amount = cell("fee", amount).decimal()?;
            Some(Fee { amount, asset: id("fee_asset", needed("fee_asset", asset.as_ref())?)? })
        }
    };
    let sequence = line
        .sequence
        .as_ref()
        .map(|text| text.parse().map_err(|_| RowError::cell("sequence", text, RowProblem::Integer)));
    Ok(Fill {
        key: FillKey {
            symbol: id("symbol", &line.symbol)?,
            fill_id: id("fill_id", &line.fill_id)?,
            side: name(cell("side", &line.side))?,
        },
        order_id: id_of("order_id", line.order_id.as_ref())?,
        time: time("ts", line.ts, line.ts_precision.as_ref())?,
        price: cell("price", &line.price).price()?,
        qty: cell("qty", &line.qty).quantity()?,
        position_side: name_of("position_side", line.position_side.as_ref())?,
        fee,
        maker: line.maker,
        exchange_realized_pnl: read("exchange_realized_pnl", line.exchange_realized_pnl.as_ref(), Cell::decimal)?,
        sequence: sequence.transpose()?,
    })
}

fn order_key(symbol: &str, class: &str, order_id: &str) -> Result<OrderKey, RowError> {
    Ok(OrderKey {
        symbol: id("symbol", symbol)?,
        class: name(cell("order_class", class))?,
        order_id: id("order_id", order_id)?,
    })
}

fn stated_fees(qty: &str, fees: &[FeeLine]) -> Result<Option<StatedFees>, RowError> {
    let fee = |fee: &FeeLine| -> Result<Fee, RowError> {
        Ok(Fee { amount: cell("fees.amount", &fee.amount).decimal()?, asset: id("fees.asset", &fee.asset)? })
    };
    let fees = fees.iter().map(fee).collect::<Result<Vec<_>, _>>()?;
    let stated = StatedFees::new(cell("fees_qty", qty).not_negative()?, fees);
    stated.map_err(|_| RowError::cell("fees", "", RowProblem::FeeAssets))
}

fn order(line: &OrderLine) -> Result<Order, RowError> {
    let executed = match (&line.executed_qty, &line.avg_price) {
        (None, None) => None,
        (qty, avg_price) => Some(Execution::new(
            cell("executed_qty", needed("executed_qty", qty.as_ref())?).not_negative()?,
            read("avg_price", avg_price.as_ref(), Cell::price)?,
        )),
    };
    let fees = match (&line.fees_qty, &line.fees) {
        (None, None) => None,
        (qty, fees) => stated_fees(needed("fees_qty", qty.as_ref())?, needed("fees", fees.as_ref())?)?,
    };
    let created = line.ts.map(|ms| time("ts", ms, line.ts_precision.as_ref())).transpose()?;
    let updated = line.updated_ts.map(|ms| time("updated_ts", ms, line.updated_ts_precision.as_ref())).transpose()?;
    let order = Order {
        key: order_key(&line.symbol, &line.order_class, &line.order_id)?,
        client_order_id: id_of("client_order_id", line.client_order_id.as_ref())?,
        side: name(cell("side", &line.side))?,
        position_side: name_of("position_side", line.position_side.as_ref())?,
        order_type: id_of("order_type", line.order_type.as_ref())?,
        time_in_force: id_of("time_in_force", line.time_in_force.as_ref())?,
        status: name(cell("status", &line.status))?,
        terms: OrderTerms {
            as_of: line.terms_ts.map(|ms| instant("terms_ts", ms)).transpose()?,
            qty: read("qty", line.qty.as_ref(), Cell::quantity)?,
            price: read("price", line.price.as_ref(), Cell::price)?,
            trigger_price: read("trigger_price", line.trigger_price.as_ref(), Cell::price)?,
        },
        executed,
        fees,
        reduce_only: line.reduce_only,
        close_position: line.close_position,
        created,
        updated,
        triggered_order_id: id_of("triggered_order_id", line.triggered_order_id.as_ref())?,
        origin: name_of("origin", line.origin.as_ref())?,
        condition: name_of("condition", line.condition.as_ref())?,
        engine: id_of("engine", line.engine.as_ref())?,
        signal_id: id_of("signal_id", line.signal_id.as_ref())?,
        exit_reason: name_of("exit_reason", line.exit_reason.as_ref())?,
    };
    check_order(&order)?;
    Ok(VENUE.order_rules.tell(order))
}

fn cancel(line: &CancelLine) -> Result<Cancel, RowError> {
    Ok(Cancel {
        key: order_key(&line.symbol, &line.order_class, &line.order_id)?,
        side: name_of("side", line.side.as_ref())?,
        time: time("ts", line.ts, line.ts_precision.as_ref())?,
        reason: id_of("reason", line.reason.as_ref())?,
    })
}

fn income(line: &IncomeLine) -> Result<Income, RowError> {
    Ok(Income {
        key: IncomeKey {
            income_type: name(cell("income_type", &line.income_type))?,
            tran_id: id("tran_id", &line.tran_id)?,
            symbol: id_of("symbol", line.symbol.as_ref())?,
            asset: id("asset", &line.asset)?,
        },
        amount: cell("amount", &line.amount).decimal()?,
        time: time("ts", line.ts, line.ts_precision.as_ref())?,
        fill_id: id_of("fill_id", line.fill_id.as_ref())?,
        info: id_of("info", line.info.as_ref())?,
    })
}

fn signal(line: SignalLine) -> Result<Signal, RowError> {
    Ok(Signal {
        signal_id: id("signal_id", &line.signal_id)?,
        time: time("ts", line.ts, line.ts_precision.as_ref())?,
        skew_ms: line.skew_ms,
        symbol: id("symbol", &line.symbol)?,
        side: name(cell("side", &line.side))?,
        kind: name(cell("kind", &line.kind))?,
        engine: id_of("engine", line.engine.as_ref())?,
        reason: id_of("reason", line.reason.as_ref())?,
        skipped: id_of("skipped", line.skipped.as_ref())?,
        meta_json: line.meta_json,
        restored: line.restored.unwrap_or(false),
    })
}

fn intent(line: &IntentLine) -> Result<OrderIntent, RowError> {
    Ok(OrderIntent {
        client_order_id: id("client_order_id", &line.client_order_id)?,
        symbol: id("symbol", &line.symbol)?,
        class: name(cell("order_class", &line.order_class))?,
        side: name(cell("side", &line.side))?,
        position_side: name_of("position_side", line.position_side.as_ref())?,
        role: name(cell("role", &line.role))?,
        dca_step: line.dca_step,
        attempt: line.attempt,
        order_type: id("order_type", &line.order_type)?,
        qty: read("qty", line.qty.as_ref(), Cell::quantity)?,
        price: read("price", line.price.as_ref(), Cell::price)?,
        trigger_price: read("trigger_price", line.trigger_price.as_ref(), Cell::price)?,
        reduce_only: line.reduce_only,
        signal_id: id_of("signal_id", line.signal_id.as_ref())?,
        engine: id_of("engine", line.engine.as_ref())?,
        created_local: instant("created_local_ms", line.created_local_ms)?,
        outcome: name(cell("outcome", &line.outcome))?,
    })
}

fn instrument(line: &InstrumentLine) -> Result<Instrument, RowError> {
    Ok(Instrument {
        symbol: id("symbol", &line.symbol)?,
        kind: name(cell("kind", &line.kind))?,
        multiplier: cell("multiplier", &line.multiplier).quantity()?,
        settle_asset: id("settle_asset", &line.settle_asset)?,
        tick_size: read("tick_size", line.tick_size.as_ref(), Cell::not_negative)?,
        step_size: read("step_size", line.step_size.as_ref(), Cell::not_negative)?,
        liquidation_fee: read("liquidation_fee", line.liquidation_fee.as_ref(), Cell::not_negative)?,
        terms_as_of: line.terms_ts.map(|ms| instant("terms_ts", ms)).transpose()?,
    })
}

fn position(line: &PositionLine) -> Result<PositionSnapshot, RowError> {
    Ok(PositionSnapshot {
        symbol: id("symbol", &line.symbol)?,
        position_side: name(cell("position_side", &line.position_side))?,
        at: instant("ts", line.ts)?,
        qty: cell("qty", &line.qty).decimal()?,
        entry_price: read("entry_price", line.entry_price.as_ref(), Cell::price)?,
    })
}

fn balance(line: &BalanceLine) -> Result<BalanceSnapshot, RowError> {
    Ok(BalanceSnapshot {
        asset: id("asset", &line.asset)?,
        at: instant("ts", line.ts)?,
        wallet: cell("wallet", &line.wallet).decimal()?,
    })
}

fn price(line: &PriceLine) -> Result<PriceSnapshot, RowError> {
    Ok(PriceSnapshot {
        symbol: id("symbol", &line.symbol)?,
        kind: name(cell("kind", &line.kind))?,
        at: instant("ts", line.ts)?,
        price: cell("price", &line.price).price()?,
    })
}

fn funding_rate(line: &FundingRateLine) -> Result<FundingRate, RowError> {
    Ok(FundingRate {
        symbol: id("symbol", &line.symbol)?,
        at: instant("ts", line.ts)?,
        rate: cell("rate", &line.rate).decimal()?,
        mark_price: read("mark_price", line.mark_price.as_ref(), Cell::price)?,
    })
}

fn anchor(line: &AnchorLine) -> Result<Anchor, RowError> {
    Ok(Anchor {
        symbol: id("symbol", &line.symbol)?,
        position_side: name(cell("position_side", &line.position_side))?,
        at: instant("ts", line.ts)?,
        qty: cell("qty", &line.qty).decimal()?,
        entry_price: read("entry_price", line.entry_price.as_ref(), Cell::price)?,
        derivation: id("derivation", &line.derivation)?,
        known_before: match line.known_until {
            Some(until) => Some(KnownBefore {
                until: instant("known_until", until)?,
                fill_count: line.known_fills.unwrap_or_default(),
            }),
            None => None,
        },
        withdrawn: id_of("withdrawn", line.withdrawn.as_ref())?,
    })
}

fn position_mode(line: &PositionModeLine) -> Result<PositionModeSnapshot, RowError> {
    Ok(PositionModeSnapshot { at: instant("ts", line.ts)?, mode: name(cell("mode", &line.mode))? })
}
