//! The table `order_intents`.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use ledger_core::{AccountId, ClientOrderId, FactKind, Field, OrderIntent, Sourced};

use super::codec::{RowReader, provenance_columns};
use super::effects::Effects;
use super::fact_table::{FactTable, QueryResult, table_statements};
use super::schema::order_intents;
use crate::store::StoreResult;

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = order_intents, treat_none_as_default_value = false, treat_none_as_null = true)]
#[diesel(primary_key(account_id, client_order_id))]
pub(super) struct IntentRow {
    pub(super) account_id: String,
    pub(super) client_order_id: String,
    pub(super) symbol: String,
    pub(super) order_class: String,
    pub(super) side: String,
    pub(super) position_side: Option<String>,
    pub(super) role: String,
    pub(super) dca_step: i64,
    pub(super) attempt: i64,
    pub(super) order_type: String,
    pub(super) qty: Option<String>,
    pub(super) price: Option<String>,
    pub(super) trigger_price: Option<String>,
    pub(super) reduce_only: bool,
    pub(super) signal_id: Option<String>,
    pub(super) engine: Option<String>,
    pub(super) created_local_ms: i64,
    pub(super) outcome: String,
    pub(super) source: String,
    pub(super) field_sources: Option<String>,
    pub(super) conflicts: Option<String>,
}

impl FactTable for OrderIntent {
    const KIND: FactKind = FactKind::Intent;
    const FIELDS: &'static [Field] = &[
        "symbol",
        "order_class",
        "side",
        "position_side",
        "role",
        "dca_step",
        "attempt",
        "order_type",
        "qty",
        "price",
        "trigger_price",
        "reduce_only",
        "signal_id",
        "engine",
        "created_local_ms",
        "outcome",
    ];
    type Row = IntentRow;

    table_statements!(order_intents, [account_id, client_order_id]);

    fn encode(account: &AccountId, sourced: &Sourced<Self>) -> IntentRow {
        let (source, field_sources, conflicts) = provenance_columns(sourced);
        let fact = &sourced.fact;
        IntentRow {
            account_id: account.as_str().to_owned(),
            client_order_id: fact.client_order_id.as_str().to_owned(),
            symbol: fact.symbol.as_str().to_owned(),
            order_class: fact.class.as_str().to_owned(),
            side: fact.side.as_str().to_owned(),
            position_side: fact.position_side.map(|value| value.as_str().to_owned()),
            role: fact.role.as_str().to_owned(),
            dca_step: i64::from(fact.dca_step),
            attempt: i64::from(fact.attempt),
            order_type: fact.order_type.as_str().to_owned(),
            qty: fact.qty.map(|value| value.to_string()),
            price: fact.price.map(|value| value.to_string()),
            trigger_price: fact.trigger_price.map(|value| value.to_string()),
            reduce_only: fact.reduce_only,
            signal_id: fact.signal_id.as_ref().map(|text| text.as_str().to_owned()),
            engine: fact.engine.as_ref().map(|text| text.as_str().to_owned()),
            created_local_ms: fact.created_local.as_ms(),
            outcome: fact.outcome.as_str().to_owned(),
            source,
            field_sources,
            conflicts,
        }
    }

    fn decode(row: &IntentRow) -> StoreResult<Sourced<Self>> {
        let reader =
            RowReader { table: "order_intents", key: || format!("{}/{}", row.account_id, row.client_order_id) };
        let fact = OrderIntent {
            client_order_id: reader.text("client_order_id", &row.client_order_id)?,
            symbol: reader.text("symbol", &row.symbol)?,
            class: reader.text("order_class", &row.order_class)?,
            side: reader.text("side", &row.side)?,
            position_side: reader.optional("position_side", row.position_side.as_deref())?,
            role: reader.text("role", &row.role)?,
            dca_step: reader.number("dca_step", row.dca_step)?,
            attempt: reader.number("attempt", row.attempt)?,
            order_type: reader.text("order_type", &row.order_type)?,
            qty: reader.optional("qty", row.qty.as_deref())?,
            price: reader.optional("price", row.price.as_deref())?,
            trigger_price: reader.optional("trigger_price", row.trigger_price.as_deref())?,
            reduce_only: row.reduce_only,
            signal_id: reader.optional("signal_id", row.signal_id.as_deref())?,
            engine: reader.optional("engine", row.engine.as_deref())?,
            created_local: reader.instant("created_local_ms", row.created_local_ms)?,
            outcome: reader.text("outcome", &row.outcome)?,
        };
        reader.sourced(fact, Self::FIELDS, &row.source, row.field_sources.as_deref(), row.conflicts.as_deref())
    }

    fn fact_key(&self) -> String {
        self.client_order_id.to_string()
    }

    fn existing(
        conn: &mut SqliteConnection,
        account: &AccountId,
        keys: &[ClientOrderId],
        row_id_max: i64,
    ) -> QueryResult<Vec<IntentRow>> {
        order_intents::table
            .filter(order_intents::account_id.eq(account.as_str()))
            .filter(order_intents::client_order_id.eq_any(keys.iter().map(ClientOrderId::as_str)))
            .filter(sql::<Bool>("order_intents.rowid <= ").bind::<BigInt, _>(row_id_max))
            .select(IntentRow::as_select())
            .load(conn)
    }

    fn note_effects(before: Option<&Self>, after: &Self, effects: &mut Effects) {
        let told =
            |intent: &Self| (intent.symbol.clone(), intent.engine.clone(), intent.signal_id.clone(), intent.role);
        if before.map(told) != Some(told(after)) {
            effects.clients.insert(after.client_order_id.clone());
        }
    }
}
