//! The table `income`.

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use ledger_core::{
    AccountId, FactKind, Field, Income, IncomeKey, IncomeType, LedgerPlace, Sourced, Symbol, window_from,
};

use super::codec::{RowReader, precision_text, provenance_columns};
use super::effects::Effects;
use super::fact_table::{FactTable, QueryResult, grouped, table_statements};
use super::fold_settings::is_folded;
use super::schema::income;
use crate::store::StoreResult;

/// Leaves out the rows that are told a second time. A source that knows no ids has an id made of what the row says, with its
/// number among identical rows of its second; where another source has as many such rows with the exchange's ids, these are
/// the same rows. It is asked at every reading, so that neither the order in which sources come nor what comes later matters,
/// and the row stays a fact of its own. The plus signs keep SQLite at the index by time.
const COUNTS: &str = "(substr(income.tran_id, 1, 7) <> 'digest:' OR CAST(substr(income.tran_id, 41) AS INTEGER) >= (
        SELECT count(*) FROM income AS named WHERE named.account_id = income.account_id
            AND named.ts BETWEEN income.ts - income.ts % 1000 AND income.ts - income.ts % 1000 + 999
            AND +named.symbol = income.symbol AND +named.income_type = income.income_type
            AND +named.asset = income.asset AND named.amount = income.amount AND substr(named.tran_id, 1, 7) <> 'digest:'
            AND (named.ts = income.ts OR named.ts_precision = 's' OR income.ts_precision = 's')
    ))";

/// Whether a row of `income` counts: it is none that another source has told with its id.
pub(super) fn is_counted() -> SqlLiteral<Bool> {
    sql(COUNTS)
}

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = income, treat_none_as_default_value = false, treat_none_as_null = true)]
#[diesel(primary_key(account_id, income_type, tran_id, symbol, asset))]
pub(super) struct IncomeRow {
    pub(super) account_id: String,
    pub(super) income_type: String,
    pub(super) tran_id: String,
    pub(super) symbol: String,
    pub(super) asset: String,
    pub(super) amount: String,
    pub(super) ts: i64,
    pub(super) ts_precision: String,
    pub(super) fill_id: Option<String>,
    pub(super) info: Option<String>,
    pub(super) source: String,
    pub(super) field_sources: Option<String>,
    pub(super) conflicts: Option<String>,
}

impl FactTable for Income {
    const KIND: FactKind = FactKind::Income;
    const FIELDS: &'static [Field] = &["amount", "ts", "fill_id", "info"];
    type Row = IncomeRow;

    table_statements!(income, [account_id, income_type, tran_id, symbol, asset]);

    fn encode(account: &AccountId, sourced: &Sourced<Self>) -> IncomeRow {
        let (source, field_sources, conflicts) = provenance_columns(sourced);
        let fact = &sourced.fact;
        IncomeRow {
            account_id: account.as_str().to_owned(),
            income_type: fact.key.income_type.as_str().to_owned(),
            tran_id: fact.key.tran_id.as_str().to_owned(),
            symbol: fact.key.symbol.as_ref().map_or("", Symbol::as_str).to_owned(),
            asset: fact.key.asset.as_str().to_owned(),
            amount: fact.amount.to_string(),
            ts: fact.time.at.as_ms(),
            ts_precision: precision_text(fact.time.precision).to_owned(),
            fill_id: fact.fill_id.as_ref().map(|text| text.as_str().to_owned()),
            info: fact.info.as_ref().map(|text| text.as_str().to_owned()),
            source,
            field_sources,
            conflicts,
        }
    }

    fn decode(row: &IncomeRow) -> StoreResult<Sourced<Self>> {
        let reader = RowReader {
            table: "income",
            key: || format!("{}/{}/{}/{}/{}", row.account_id, row.income_type, row.tran_id, row.symbol, row.asset),
        };
        let fact = Income {
            key: IncomeKey {
                income_type: reader.text("income_type", &row.income_type)?,
                tran_id: reader.text("tran_id", &row.tran_id)?,
                symbol: reader.optional("symbol", Some(row.symbol.as_str()).filter(|symbol| !symbol.is_empty()))?,
                asset: reader.text("asset", &row.asset)?,
            },
            amount: reader.text("amount", &row.amount)?,
            time: reader.time("ts", row.ts, &row.ts_precision)?,
            fill_id: reader.optional("fill_id", row.fill_id.as_deref())?,
            info: reader.optional("info", row.info.as_deref())?,
        };
        reader.sourced(fact, Self::FIELDS, &row.source, row.field_sources.as_deref(), row.conflicts.as_deref())
    }

    fn fact_key(&self) -> String {
        let key = &self.key;
        let symbol = key.symbol.as_ref().map_or("", Symbol::as_str);
        format!("{}|{}|{symbol}|{}", key.income_type, key.asset, key.tran_id)
    }

    fn existing(
        conn: &mut SqliteConnection,
        account: &AccountId,
        keys: &[IncomeKey],
        row_id_max: i64,
    ) -> QueryResult<Vec<IncomeRow>> {
        let mut rows = Vec::with_capacity(keys.len());
        for (income_type, keys) in grouped(keys, |key| key.income_type.clone()) {
            rows.extend(
                income::table
                    .filter(income::account_id.eq(account.as_str()))
                    .filter(income::income_type.eq(income_type.as_str()))
                    .filter(income::tran_id.eq_any(keys.iter().map(|key| key.tran_id.as_str())))
                    .filter(sql::<Bool>("income.rowid <= ").bind::<BigInt, _>(row_id_max))
                    .select(IncomeRow::as_select())
                    .load(conn)?,
            );
        }
        Ok(rows)
    }

    fn note_effects(before: Option<&Self>, after: &Self, effects: &mut Effects) {
        if after.key.income_type.is(IncomeType::COMMISSION)
            && let Some(symbol) = &after.key.symbol
        {
            effects.foreign_fees.note(symbol, &after.key.asset, after.time.at);
            let trades = effects.commissions.entry(symbol.clone()).or_default();
            for fill_id in before.into_iter().chain([after]).filter_map(|income| income.fill_id.clone()) {
                *trades.entry(fill_id).or_default() |= before.is_some();
            }
        }
        let Some(symbol) = &after.key.symbol else { return };
        let place = effects.ledger_rules.place(&after.key.income_type);
        if place == LedgerPlace::Kickback {
            effects.foreign_fees.note(symbol, &after.key.asset, after.time.at);
            let trades = effects.commissions.entry(symbol.clone()).or_default();
            let named = before.into_iter().chain([after]).filter_map(|income| income.fill_id.clone());
            trades.extend(named.map(|fill_id| (fill_id, true)));
            return;
        }
        if before.is_none() && after.key.income_type.is(IncomeType::REALIZED_PNL) {
            effects.profits.insert((symbol.clone(), after.key.asset.clone()));
        }
        if !is_folded(place) {
            return;
        }
        for income in before.into_iter().chain([after]) {
            // It counts up to a minute before it was posted, and waits for what happens from a minute before that on.
            effects.mark(symbol).instant(window_from(window_from(income.time.at)));
        }
    }
}
