//! The table `engine_signals`.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use ledger_core::{AccountId, FactKind, Field, Signal, SignalId, SignalWords, Sourced};

use super::codec::{RowReader, precision_text, provenance_columns};
use super::effects::Effects;
use super::fact_table::{FactTable, QueryResult, table_statements};
use super::schema::engine_signals;
use crate::store::StoreResult;

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = engine_signals, treat_none_as_default_value = false, treat_none_as_null = true)]
#[diesel(primary_key(account_id, signal_id))]
pub(super) struct SignalRow {
    pub(super) account_id: String,
    pub(super) signal_id: String,
    pub(super) ts: i64,
    pub(super) ts_precision: String,
    pub(super) skew_ms: Option<i64>,
    pub(super) symbol: String,
    pub(super) side: String,
    pub(super) kind: String,
    pub(super) engine: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) skipped: Option<String>,
    pub(super) meta_json: Option<String>,
    pub(super) restored: bool,
    pub(super) source: String,
    pub(super) field_sources: Option<String>,
    pub(super) conflicts: Option<String>,
}

impl FactTable for Signal {
    const KIND: FactKind = FactKind::Signal;
    const FIELDS: &'static [Field] =
        &["ts", "skew_ms", "symbol", "side", "kind", "engine", "reason", "skipped", "meta_json", "restored"];
    type Row = SignalRow;

    table_statements!(engine_signals, [account_id, signal_id]);

    fn encode(account: &AccountId, sourced: &Sourced<Self>) -> SignalRow {
        let (source, field_sources, conflicts) = provenance_columns(sourced);
        let fact = &sourced.fact;
        SignalRow {
            account_id: account.as_str().to_owned(),
            signal_id: fact.signal_id.as_str().to_owned(),
            ts: fact.time.at.as_ms(),
            ts_precision: precision_text(fact.time.precision).to_owned(),
            skew_ms: fact.skew_ms,
            symbol: fact.symbol.as_str().to_owned(),
            side: fact.side.as_str().to_owned(),
            kind: fact.kind.as_str().to_owned(),
            engine: fact.engine.as_ref().map(|text| text.as_str().to_owned()),
            reason: fact.reason.as_ref().map(|text| text.as_str().to_owned()),
            skipped: fact.skipped.as_ref().map(|text| text.as_str().to_owned()),
            meta_json: fact.meta_json.clone(),
            restored: fact.restored,
            source,
            field_sources,
            conflicts,
        }
    }

    fn decode(row: &SignalRow) -> StoreResult<Sourced<Self>> {
        let reader = RowReader { table: "engine_signals", key: || format!("{}/{}", row.account_id, row.signal_id) };
        let fact = Signal {
            signal_id: reader.text("signal_id", &row.signal_id)?,
            time: reader.time("ts", row.ts, &row.ts_precision)?,
            skew_ms: row.skew_ms,
            symbol: reader.text("symbol", &row.symbol)?,
            side: reader.text("side", &row.side)?,
            kind: reader.text("kind", &row.kind)?,
            engine: reader.optional("engine", row.engine.as_deref())?,
            reason: reader.optional("reason", row.reason.as_deref())?,
            skipped: reader.optional("skipped", row.skipped.as_deref())?,
            meta_json: row.meta_json.clone(),
            restored: row.restored,
        };
        reader.sourced(fact, Self::FIELDS, &row.source, row.field_sources.as_deref(), row.conflicts.as_deref())
    }

    fn fact_key(&self) -> String {
        self.signal_id.to_string()
    }

    fn existing(
        conn: &mut SqliteConnection,
        account: &AccountId,
        keys: &[SignalId],
        row_id_max: i64,
    ) -> QueryResult<Vec<SignalRow>> {
        engine_signals::table
            .filter(engine_signals::account_id.eq(account.as_str()))
            .filter(engine_signals::signal_id.eq_any(keys.iter().map(SignalId::as_str)))
            .filter(sql::<Bool>("engine_signals.rowid <= ").bind::<BigInt, _>(row_id_max))
            .select(SignalRow::as_select())
            .load(conn)
    }

    fn note_effects(before: Option<&Self>, after: &Self, effects: &mut Effects) {
        let told = |signal: &Self| {
            let reason = signal.reason.as_ref().and_then(|reason| SignalWords::reason_of(reason.as_str()));
            (signal.engine.clone(), signal.kind, reason)
        };
        if before.map(told) != Some(told(after)) {
            effects.signals.insert(after.signal_id.clone());
        }
    }
}
