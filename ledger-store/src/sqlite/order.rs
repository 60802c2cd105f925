//! The table `orders`.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use ledger_core::{
    AccountId, EventTime, Execution, FactKind, Field, Order, OrderClass, OrderKey, OrderTerms, Source, Sourced,
    StatedFees, TimestampMs,
};

use super::codec::{RowReader, precision_text, provenance_columns};
use super::effects::Effects;
use super::fact_table::{FactTable, QueryResult, grouped, table_statements};
use super::prepared::{PrepareOnce as _, padded};
use super::schema::orders;
use crate::record::BookOrder;
use crate::store::StoreResult;

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = orders, treat_none_as_default_value = false, treat_none_as_null = true)]
#[diesel(primary_key(account_id, symbol, order_class, order_id))]
pub(super) struct OrderRow {
    pub(super) account_id: String,
    pub(super) symbol: String,
    pub(super) order_class: String,
    pub(super) order_id: String,
    pub(super) client_order_id: Option<String>,
    pub(super) side: String,
    pub(super) position_side: Option<String>,
    pub(super) order_type: Option<String>,
    pub(super) time_in_force: Option<String>,
    pub(super) status: String,
    pub(super) terms_ts: Option<i64>,
    pub(super) qty: Option<String>,
    pub(super) price: Option<String>,
    pub(super) trigger_price: Option<String>,
    pub(super) executed_qty: Option<String>,
    pub(super) avg_price: Option<String>,
    pub(super) fees_json: Option<String>,
    pub(super) reduce_only: Option<bool>,
    pub(super) close_position: Option<bool>,
    pub(super) ts: Option<i64>,
    pub(super) ts_precision: Option<String>,
    pub(super) updated_ts: Option<i64>,
    pub(super) updated_ts_precision: Option<String>,
    pub(super) triggered_order_id: Option<String>,
    pub(super) origin: Option<String>,
    pub(super) condition: Option<String>,
    pub(super) engine: Option<String>,
    pub(super) signal_id: Option<String>,
    pub(super) exit_reason: Option<String>,
    pub(super) source: String,
    pub(super) field_sources: Option<String>,
    pub(super) conflicts: Option<String>,
}

/// The derived columns.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = orders)]
pub(super) struct OrderSumsRow {
    filled_qty: Option<String>,
    filled_quote: Option<String>,
    residual_qty: Option<String>,
    residual_fees_json: Option<String>,
}

fn owned(text: &impl AsRef<str>) -> String {
    text.as_ref().to_owned()
}

/// When an order counts as last changed.
pub(super) fn event_time(order: &Order) -> Option<TimestampMs> {
    order.updated.or(order.created).map(|time| time.at)
}

pub(super) fn decode_book_order((row, sums): &(OrderRow, OrderSumsRow)) -> StoreResult<BookOrder> {
    let reader = RowReader {
        table: "orders",
        key: || format!("{}/{}/{}/{}", row.account_id, row.symbol, row.order_class, row.order_id),
    };
    Ok(BookOrder {
        order: Order::decode(row)?,
        filled_qty: reader.optional("filled_qty", sums.filled_qty.as_deref())?,
        filled_quote: reader.optional("filled_quote", sums.filled_quote.as_deref())?,
        residual_qty: reader.optional("residual_qty", sums.residual_qty.as_deref())?,
        residual_fees: sums
            .residual_fees_json
            .as_deref()
            .map(|fees| reader.json("residual_fees_json", fees))
            .transpose()?,
    })
}

/// Fees as they stand in a column.
pub(super) fn fees_text(fees: &impl serde::Serialize) -> String {
    // Numbers and assets are texts, so that nothing can fail.
    serde_json::to_string(fees).unwrap_or_default()
}

/// What an answer states of an order's fees.
pub(super) fn stated_fees<K: Fn() -> String>(
    reader: &RowReader<K>,
    fees: Option<&str>,
) -> StoreResult<Option<StatedFees>> {
    let Some(fees) = fees else { return Ok(None) };
    let read: StatedFees = reader.json("fees_json", fees)?;
    // Checked and put in order as when they were stated.
    let stated = StatedFees::new(read.qty(), read.paid().iter().cloned());
    stated.map_err(|error| reader.corrupt("fees_json", error))
}

/// Stands in `field_sources` where the executed part is final: see [`Execution::is_final`].
const FINAL: Field = "executed_is_final";

impl FactTable for Order {
    const KIND: FactKind = FactKind::Order;
    const FIELDS: &'static [Field] = &[
        "client_order_id",
        "side",
        "position_side",
        "order_type",
        "time_in_force",
        "status",
        "terms",
        "executed_qty",
        "avg_price",
        "fees",
        "reduce_only",
        "close_position",
        "ts",
        "updated_ts",
        "triggered_order_id",
        "origin",
        "condition",
        "engine",
        "signal_id",
        "exit_reason",
        FINAL,
    ];
    type Row = OrderRow;

    table_statements!(orders, [account_id, symbol, order_class, order_id]);

    fn encode(account: &AccountId, sourced: &Sourced<Self>) -> OrderRow {
        let order = &sourced.fact;
        let executed = order.executed.as_ref();
        let (source, field_sources, conflicts) = match executed {
            Some(executed) if executed.is_final => {
                // Who said the last word is kept with who said what else.
                let mut with_final =
                    Sourced { fact: (), provenance: sourced.provenance.clone(), conflicts: sourced.conflicts.clone() };
                with_final.provenance.exceptions.insert(FINAL, Source::Rest);
                provenance_columns(&with_final)
            }
            _ => provenance_columns(sourced),
        };
        OrderRow {
            account_id: account.as_str().to_owned(),
            symbol: order.key.symbol.as_str().to_owned(),
            order_class: order.key.class.as_str().to_owned(),
            order_id: order.key.order_id.as_str().to_owned(),
            client_order_id: order.client_order_id.as_ref().map(owned),
            side: order.side.as_str().to_owned(),
            position_side: order.position_side.map(|side| side.as_str().to_owned()),
            order_type: order.order_type.as_ref().map(owned),
            time_in_force: order.time_in_force.as_ref().map(owned),
            status: order.status.as_str().to_owned(),
            terms_ts: order.terms.as_of.map(TimestampMs::as_ms),
            qty: order.terms.qty.map(|qty| qty.to_string()),
            price: order.terms.price.map(|price| price.to_string()),
            trigger_price: order.terms.trigger_price.map(|price| price.to_string()),
            executed_qty: executed.map(|executed| executed.qty.to_string()),
            avg_price: executed.and_then(|executed| executed.avg_price).map(|price| price.to_string()),
            fees_json: order.fees.as_ref().map(fees_text),
            reduce_only: order.reduce_only,
            close_position: order.close_position,
            ts: order.created.map(|time| time.at.as_ms()),
            ts_precision: order.created.map(|time| precision_text(time.precision).to_owned()),
            updated_ts: order.updated.map(|time| time.at.as_ms()),
            updated_ts_precision: order.updated.map(|time| precision_text(time.precision).to_owned()),
            triggered_order_id: order.triggered_order_id.as_ref().map(owned),
            origin: order.origin.map(|origin| origin.as_str().to_owned()),
            condition: order.condition.map(|condition| condition.as_str().to_owned()),
            engine: order.engine.as_ref().map(owned),
            signal_id: order.signal_id.as_ref().map(owned),
            exit_reason: order.exit_reason.map(|reason| reason.as_str().to_owned()),
            source,
            field_sources,
            conflicts,
        }
    }

    fn decode(row: &OrderRow) -> StoreResult<Sourced<Self>> {
        let reader = RowReader {
            table: "orders",
            key: || format!("{}/{}/{}/{}", row.account_id, row.symbol, row.order_class, row.order_id),
        };
        let time = |column, ms: Option<i64>, precision: &Option<String>| -> StoreResult<Option<EventTime>> {
            match (ms, precision) {
                (Some(ms), Some(precision)) => reader.time(column, ms, precision).map(Some),
                _ => Ok(None),
            }
        };
        let executed = match &row.executed_qty {
            Some(qty) => Some(Execution {
                qty: reader.text("executed_qty", qty)?,
                avg_price: reader.optional("avg_price", row.avg_price.as_deref())?,
                is_final: false,
            }),
            None => None,
        };
        let order = Order {
            key: OrderKey {
                symbol: reader.text("symbol", &row.symbol)?,
                class: reader.text("order_class", &row.order_class)?,
                order_id: reader.text("order_id", &row.order_id)?,
            },
            client_order_id: reader.optional("client_order_id", row.client_order_id.as_deref())?,
            side: reader.text("side", &row.side)?,
            position_side: reader.optional("position_side", row.position_side.as_deref())?,
            order_type: reader.optional("order_type", row.order_type.as_deref())?,
            time_in_force: reader.optional("time_in_force", row.time_in_force.as_deref())?,
            status: reader.text("status", &row.status)?,
            terms: OrderTerms {
                as_of: row.terms_ts.map(|ms| reader.instant("terms_ts", ms)).transpose()?,
                qty: reader.optional("qty", row.qty.as_deref())?,
                price: reader.optional("price", row.price.as_deref())?,
                trigger_price: reader.optional("trigger_price", row.trigger_price.as_deref())?,
            },
            executed,
            fees: stated_fees(&reader, row.fees_json.as_deref())?,
            reduce_only: row.reduce_only,
            close_position: row.close_position,
            created: time("ts", row.ts, &row.ts_precision)?,
            updated: time("updated_ts", row.updated_ts, &row.updated_ts_precision)?,
            triggered_order_id: reader.optional("triggered_order_id", row.triggered_order_id.as_deref())?,
            origin: reader.optional("origin", row.origin.as_deref())?,
            condition: reader.optional("condition", row.condition.as_deref())?,
            engine: reader.optional("engine", row.engine.as_deref())?,
            signal_id: reader.optional("signal_id", row.signal_id.as_deref())?,
            exit_reason: reader.optional("exit_reason", row.exit_reason.as_deref())?,
        };
        let mut sourced =
            reader.sourced(order, Self::FIELDS, &row.source, row.field_sources.as_deref(), row.conflicts.as_deref())?;
        let is_final = sourced.provenance.exceptions.remove(FINAL).is_some();
        if let Some(executed) = &mut sourced.fact.executed {
            executed.is_final = is_final;
        }
        Ok(sourced)
    }

    fn fact_key(&self) -> String {
        format!("{}|{}|{}", self.key.symbol, self.key.class, self.key.order_id)
    }

    fn existing(
        conn: &mut SqliteConnection,
        account: &AccountId,
        keys: &[OrderKey],
        row_id_max: i64,
    ) -> QueryResult<Vec<OrderRow>> {
        let mut rows = Vec::with_capacity(keys.len());
        for ((symbol, class), keys) in grouped(keys, |key| (key.symbol.clone(), key.class)) {
            rows.extend(
                orders::table
                    .filter(orders::account_id.eq(account.as_str()))
                    .filter(orders::symbol.eq(symbol.as_str()))
                    .filter(orders::order_class.eq(class.as_str()))
                    .filter(orders::order_id.eq_any(padded(keys.iter().map(|key| key.order_id.as_str()))))
                    .filter(sql::<Bool>("orders.rowid <= ").bind::<BigInt, _>(row_id_max))
                    .select(OrderRow::as_select())
                    .prepared_once()
                    .load(conn)?,
            );
        }
        Ok(rows)
    }

    fn note_effects(before: Option<&Self>, after: &Self, effects: &mut Effects) {
        let placed = |order: &Self| (order.position_side, order.created.or(order.updated).map(|time| time.at));
        effects.side(before.map(placed), placed(after));
        let symbol = &after.key.symbol;
        let told = |order: &Self| {
            let ids = (order.client_order_id.clone(), order.signal_id.clone(), order.triggered_order_id.clone());
            let story = (order.origin, order.condition, order.exit_reason, order.can_only_close());
            (order.engine.clone(), story, order.position_side, ids)
        };
        let has_changed = before.map(told).unwrap_or_default() != told(after);
        if after.key.class != OrderClass::Regular {
            // What it tells, it tells of the regular order that it became.
            for order in before.into_iter().chain([after]).filter(|_| has_changed) {
                effects.clients.extend(order.client_order_id.clone());
                if let Some(id) = &order.triggered_order_id {
                    effects.order(symbol, id).context_changed = true;
                }
            }
            return;
        }
        // While fills are missing, what is stated stands for theirs and is worth as much.
        let is_priced =
            before.is_some_and(|before| before.fees == after.fees && event_time(before) == event_time(after));
        if let (Some(fees), Some(at), false) = (&after.fees, event_time(after), is_priced) {
            for fee in fees.paid().iter().filter(|fee| !fee.amount.is_zero()) {
                effects.foreign_fees.note(symbol, &fee.asset, at);
            }
        }
        let touched = effects.order(symbol, &after.key.order_id);
        touched.restated = true;
        touched.context_changed |= has_changed;
        touched.event_before = touched.event_before.into_iter().chain(before.and_then(event_time)).min();
    }

    /// A conflict about what it cost is one only as long as fills are missing.
    fn note_conflict(fact: &Self, effects: &mut Effects) {
        if fact.key.class == OrderClass::Regular {
            effects.order(&fact.key.symbol, &fact.key.order_id);
        }
    }

    /// Why an order was sent counts for more once its sender says it than when fillbook inferred it.
    fn note_sources(before: &Sourced<Self>, after: &Sourced<Self>, effects: &mut Effects) {
        let is_inferred = |order: &Sourced<Self>| {
            order.fact.exit_reason.is_some() && order.provenance.of("exit_reason").is_inferred()
        };
        if is_inferred(before) == is_inferred(after) {
            return;
        }
        let (symbol, key) = (&after.fact.key.symbol, &after.fact.key);
        if key.class == OrderClass::Regular {
            effects.order(symbol, &key.order_id).context_changed = true;
            return;
        }
        effects.clients.extend(after.fact.client_order_id.clone());
        if let Some(id) = &after.fact.triggered_order_id {
            effects.order(symbol, id).context_changed = true;
        }
    }
}
