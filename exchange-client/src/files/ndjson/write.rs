//! Facts into lines.

use std::io::{self, Write};

use ledger_core::{
    Anchor, AnyFact, BalanceSnapshot, Cancel, EventTime, Execution, Fee, Fill, FundingRate, Income, Instrument, Order,
    OrderIntent, PositionModeSnapshot, PositionSnapshot, PriceSnapshot, Signal, Statement, TimePrecision,
};
use serde::Serialize;

use super::line::{
    AnchorLine, BalanceLine, CancelLine, FeeLine, FillLine, FundingRateLine, IncomeLine, InstrumentLine, IntentLine,
    OrderLine, PositionLine, PositionModeLine, PriceLine, SignalLine,
};

/// What stands in every line.
struct Head {
    schema: String,
    source: String,
}

pub(super) fn write(out: &mut impl Write, statement: &Statement) -> io::Result<()> {
    let head = Head { schema: super::schema(statement.fact.kind()), source: statement.source.as_str().to_owned() };
    match &statement.fact {
        AnyFact::Instrument(fact) => json(out, &instrument(head, fact)),
        AnyFact::Signal(fact) => json(out, &signal(head, fact)),
        AnyFact::Intent(fact) => json(out, &intent(head, fact)),
        AnyFact::Order(fact) => json(out, &order(head, fact)),
        AnyFact::Fill(fact) => json(out, &fill(head, fact)),
        AnyFact::Cancel(fact) => json(out, &cancel(head, fact)),
        AnyFact::Income(fact) => json(out, &income(head, fact)),
        AnyFact::Position(fact) => json(out, &position(head, fact)),
        AnyFact::Balance(fact) => json(out, &balance(head, fact)),
        AnyFact::Price(fact) => json(out, &price(head, fact)),
        AnyFact::FundingRate(fact) => json(out, &funding_rate(head, fact)),
        AnyFact::Anchor(fact) => json(out, &anchor(head, fact)),
        AnyFact::PositionMode(fact) => json(out, &position_mode(head, fact)),
    }
}

fn json(out: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(out, line).map_err(io::Error::from)
}

fn text(value: &impl ToString) -> String {
    value.to_string()
}

fn text_of<T: ToString>(value: Option<&T>) -> Option<String> {
    value.map(ToString::to_string)
}

/// `s` where only the second is known; milliseconds are the rule and are not mentioned.
fn precision(time: EventTime) -> Option<String> {
    (time.precision == TimePrecision::Second).then(|| "s".to_owned())
}

fn fill(Head { schema, source }: Head, fact: &Fill) -> FillLine {
    FillLine {
        schema,
        source,
        symbol: text(&fact.key.symbol),
        fill_id: text(&fact.key.fill_id),
        side: text(&fact.key.side),
        ts: fact.time.at.as_ms(),
        price: text(&fact.price.get()),
        qty: text(&fact.qty.get()),
        ts_precision: precision(fact.time),
        order_id: text_of(fact.order_id.as_ref()),
        position_side: text_of(fact.position_side.as_ref()),
        fee: fact.fee.as_ref().map(|fee| text(&fee.amount)),
        fee_asset: fact.fee.as_ref().map(|fee| text(&fee.asset)),
        maker: fact.maker,
        exchange_realized_pnl: text_of(fact.exchange_realized_pnl.as_ref()),
        sequence: text_of(fact.sequence.as_ref()),
    }
}

fn fee(fee: &Fee) -> FeeLine {
    FeeLine { amount: text(&fee.amount), asset: text(&fee.asset) }
}

fn order(Head { schema, source }: Head, fact: &Order) -> OrderLine {
    let executed = fact.executed.as_ref();
    OrderLine {
        schema,
        source,
        symbol: text(&fact.key.symbol),
        order_class: text(&fact.key.class),
        order_id: text(&fact.key.order_id),
        side: text(&fact.side),
        status: text(&fact.status),
        client_order_id: text_of(fact.client_order_id.as_ref()),
        position_side: text_of(fact.position_side.as_ref()),
        order_type: text_of(fact.order_type.as_ref()),
        time_in_force: text_of(fact.time_in_force.as_ref()),
        qty: fact.terms.qty.map(|qty| text(&qty.get())),
        price: fact.terms.price.map(|price| text(&price.get())),
        trigger_price: fact.terms.trigger_price.map(|price| text(&price.get())),
        terms_ts: fact.terms.as_of.map(ledger_core::TimestampMs::as_ms),
        executed_qty: executed.map(|Execution { qty, .. }| text(qty)),
        avg_price: executed.and_then(|Execution { avg_price, .. }| avg_price.map(|price| text(&price.get()))),
        fees_qty: fact.fees.as_ref().map(|fees| text(&fees.qty())),
        fees: fact.fees.as_ref().map(|fees| fees.paid().iter().map(fee).collect()),
        reduce_only: fact.reduce_only,
        close_position: fact.close_position,
        ts: fact.created.map(|time| time.at.as_ms()),
        ts_precision: fact.created.and_then(precision),
        updated_ts: fact.updated.map(|time| time.at.as_ms()),
        updated_ts_precision: fact.updated.and_then(precision),
        triggered_order_id: text_of(fact.triggered_order_id.as_ref()),
        origin: text_of(fact.origin.as_ref()),
        condition: text_of(fact.condition.as_ref()),
        engine: text_of(fact.engine.as_ref()),
        signal_id: text_of(fact.signal_id.as_ref()),
        exit_reason: text_of(fact.exit_reason.as_ref()),
    }
}

fn cancel(Head { schema, source }: Head, fact: &Cancel) -> CancelLine {
    CancelLine {
        schema,
        source,
        symbol: text(&fact.key.symbol),
        order_class: text(&fact.key.class),
        order_id: text(&fact.key.order_id),
        ts: fact.time.at.as_ms(),
        ts_precision: precision(fact.time),
        side: text_of(fact.side.as_ref()),
        reason: text_of(fact.reason.as_ref()),
    }
}

fn income(Head { schema, source }: Head, fact: &Income) -> IncomeLine {
    IncomeLine {
        schema,
        source,
        income_type: text(&fact.key.income_type),
        tran_id: text(&fact.key.tran_id),
        asset: text(&fact.key.asset),
        amount: text(&fact.amount),
        ts: fact.time.at.as_ms(),
        symbol: text_of(fact.key.symbol.as_ref()),
        ts_precision: precision(fact.time),
        fill_id: text_of(fact.fill_id.as_ref()),
        info: text_of(fact.info.as_ref()),
    }
}

fn signal(Head { schema, source }: Head, fact: &Signal) -> SignalLine {
    SignalLine {
        schema,
        source,
        signal_id: text(&fact.signal_id),
        ts: fact.time.at.as_ms(),
        symbol: text(&fact.symbol),
        side: text(&fact.side),
        kind: text(&fact.kind),
        ts_precision: precision(fact.time),
        skew_ms: fact.skew_ms,
        engine: text_of(fact.engine.as_ref()),
        reason: text_of(fact.reason.as_ref()),
        skipped: text_of(fact.skipped.as_ref()),
        meta_json: fact.meta_json.clone(),
        restored: fact.restored.then_some(true),
    }
}

fn intent(Head { schema, source }: Head, fact: &OrderIntent) -> IntentLine {
    IntentLine {
        schema,
        source,
        client_order_id: text(&fact.client_order_id),
        symbol: text(&fact.symbol),
        order_class: text(&fact.class),
        side: text(&fact.side),
        role: text(&fact.role),
        dca_step: fact.dca_step,
        attempt: fact.attempt,
        order_type: text(&fact.order_type),
        reduce_only: fact.reduce_only,
        created_local_ms: fact.created_local.as_ms(),
        outcome: text(&fact.outcome),
        position_side: text_of(fact.position_side.as_ref()),
        qty: fact.qty.map(|qty| text(&qty.get())),
        price: fact.price.map(|price| text(&price.get())),
        trigger_price: fact.trigger_price.map(|price| text(&price.get())),
        signal_id: text_of(fact.signal_id.as_ref()),
        engine: text_of(fact.engine.as_ref()),
    }
}

fn instrument(Head { schema, source }: Head, fact: &Instrument) -> InstrumentLine {
    InstrumentLine {
        schema,
        source,
        symbol: text(&fact.symbol),
        kind: text(&fact.kind),
        multiplier: text(&fact.multiplier.get()),
        settle_asset: text(&fact.settle_asset),
        tick_size: text_of(fact.tick_size.as_ref()),
        step_size: text_of(fact.step_size.as_ref()),
        liquidation_fee: text_of(fact.liquidation_fee.as_ref()),
        terms_ts: fact.terms_as_of.map(ledger_core::TimestampMs::as_ms),
    }
}

fn position(Head { schema, source }: Head, fact: &PositionSnapshot) -> PositionLine {
    PositionLine {
        schema,
        source,
        symbol: text(&fact.symbol),
        position_side: text(&fact.position_side),
        ts: fact.at.as_ms(),
        qty: text(&fact.qty),
        entry_price: fact.entry_price.map(|price| text(&price.get())),
    }
}

fn balance(Head { schema, source }: Head, fact: &BalanceSnapshot) -> BalanceLine {
    BalanceLine { schema, source, asset: text(&fact.asset), ts: fact.at.as_ms(), wallet: text(&fact.wallet) }
}

fn price(Head { schema, source }: Head, fact: &PriceSnapshot) -> PriceLine {
    PriceLine {
        schema,
        source,
        symbol: text(&fact.symbol),
        kind: text(&fact.kind),
        ts: fact.at.as_ms(),
        price: text(&fact.price.get()),
    }
}

fn funding_rate(Head { schema, source }: Head, fact: &FundingRate) -> FundingRateLine {
    FundingRateLine {
        schema,
        source,
        symbol: text(&fact.symbol),
        ts: fact.at.as_ms(),
        rate: text(&fact.rate),
        mark_price: fact.mark_price.map(|price| text(&price.get())),
    }
}

fn anchor(Head { schema, source }: Head, fact: &Anchor) -> AnchorLine {
    AnchorLine {
        schema,
        source,
        symbol: text(&fact.symbol),
        position_side: text(&fact.position_side),
        ts: fact.at.as_ms(),
        qty: text(&fact.qty),
        derivation: text(&fact.derivation),
        entry_price: fact.entry_price.map(|price| text(&price.get())),
        known_until: fact.known_before.map(|known| known.until.as_ms()),
        known_fills: fact.known_before.map(|known| known.fill_count),
        withdrawn: text_of(fact.withdrawn.as_ref()),
    }
}

fn position_mode(Head { schema, source }: Head, fact: &PositionModeSnapshot) -> PositionModeLine {
    PositionModeLine { schema, source, ts: fact.at.as_ms(), mode: text(&fact.mode) }
}
