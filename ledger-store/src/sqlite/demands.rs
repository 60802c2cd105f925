//! What facts demand of the ledger, as far as the database finds it by itself.

use std::collections::BTreeMap;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use ledger_core::{AccountId, FillId, FundingRate, Income, PositionSide, Sourced, Symbol, TimestampMs};

use super::codec::RowReader;
use super::fact_table::FactTable;
use super::failure::failed;
use super::funding_rate::FundingRateRow;
use super::income::{IncomeRow, is_counted};
use super::schema::{funding_rates, income, round_trips};
use crate::store::StoreResult;

/// A position that changes this close to an instant may have been funded or not.
const AROUND_MS: i64 = ledger_core::demands::AROUND_MS;

/// In the words of the index on what is folded, so that it is used.
const HAS_NO_ROW: &str = "funding_rates.rate <> '0' AND NOT EXISTS (
        SELECT 1 FROM income i WHERE i.account_id = funding_rates.account_id AND i.symbol = funding_rates.symbol
            AND i.ts BETWEEN funding_rates.ts - 60000 AND funding_rates.ts + 60000
            AND i.income_type NOT IN ('COMMISSION', 'REALIZED_PNL') AND i.income_type = 'FUNDING_FEE'
    )";

pub(super) fn rows_of_trade(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    fill_id: &FillId,
) -> StoreResult<Vec<Sourced<Income>>> {
    let rows: Vec<IncomeRow> = income::table
        .filter(income::account_id.eq(account.as_str()))
        .filter(income::symbol.eq(symbol.as_str()))
        .filter(income::fill_id.eq(fill_id.as_str()))
        .filter(is_counted())
        .order((income::income_type, income::asset, income::tran_id))
        .select(IncomeRow::as_select())
        .load(conn)
        .map_err(failed("read income"))?;
    rows.iter().map(Income::decode).collect()
}

pub(super) fn rows_without_trade(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    since: TimestampMs,
    until: TimestampMs,
) -> StoreResult<Vec<Sourced<Income>>> {
    let rows: Vec<IncomeRow> = income::table
        .filter(income::account_id.eq(account.as_str()))
        .filter(income::symbol.eq(symbol.as_str()))
        // As the index has it.
        .filter(sql::<Bool>("fill_id IS NULL AND income_type IN ('COMMISSION', 'REALIZED_PNL')"))
        .filter(income::ts.ge(since.as_ms()))
        .filter(income::ts.lt(until.as_ms()))
        .filter(is_counted())
        .order((income::ts, income::income_type, income::asset, income::tran_id))
        .select(IncomeRow::as_select())
        .load(conn)
        .map_err(failed("read income"))?;
    rows.iter().map(Income::decode).collect()
}

pub(super) fn rates_without_rows(
    conn: &mut SqliteConnection,
    account: &AccountId,
) -> StoreResult<Vec<Sourced<FundingRate>>> {
    let found: Vec<(String, i64)> = funding_rates::table
        .filter(funding_rates::account_id.eq(account.as_str()))
        .filter(sql::<Bool>(HAS_NO_ROW))
        .order((funding_rates::symbol, funding_rates::ts))
        .select((funding_rates::symbol, funding_rates::ts))
        .load(conn)
        .map_err(failed("read funding rates"))?;
    let mut of_symbol: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (symbol, ms) in found {
        of_symbol.entry(symbol).or_default().push(ms);
    }
    let mut rates = Vec::new();
    for (symbol, mut instants) in of_symbol {
        let open = OpenTime::of(conn, account, &symbol)?;
        instants.retain(|ms| open.holds(ms.saturating_sub(AROUND_MS), ms.saturating_add(AROUND_MS)));
        for instants in instants.chunks(super::fact_table::ROWS_MAX) {
            let rows: Vec<FundingRateRow> = funding_rates::table
                .filter(funding_rates::account_id.eq(account.as_str()))
                .filter(funding_rates::symbol.eq(&symbol))
                .filter(funding_rates::ts.eq_any(instants))
                .order(funding_rates::ts)
                .select(FundingRateRow::as_select())
                .load(conn)
                .map_err(failed("read funding rates"))?;
            for row in &rows {
                rates.push(FundingRate::decode(row)?);
            }
        }
    }
    Ok(rates)
}

/// When round trips of a contract were open, by position side and in order. Those of one side follow each other.
struct OpenTime([Vec<(i64, i64)>; 3]);

impl OpenTime {
    fn of(conn: &mut SqliteConnection, account: &AccountId, symbol: &str) -> StoreResult<Self> {
        let trips: Vec<(String, Option<i64>, Option<i64>)> = round_trips::table
            .filter(round_trips::account_id.eq(account.as_str()))
            .filter(round_trips::symbol.eq(symbol))
            .filter(round_trips::opened_ts.is_not_null())
            .order(round_trips::trip_no)
            .select((round_trips::position_side, round_trips::opened_ts, round_trips::closed_ts))
            .load(conn)
            .map_err(failed("read round trips"))?;
        let mut sides = [const { Vec::new() }; 3];
        for (side, opened, closed) in trips {
            let reader = RowReader { table: "round_trips", key: || format!("{account}/{symbol}") };
            let index = match reader.text("position_side", &side)? {
                PositionSide::Net => 0,
                PositionSide::Long => 1,
                PositionSide::Short => 2,
            };
            if let (Some(times), Some(opened)) = (sides.get_mut(index), opened) {
                times.push((opened, closed.unwrap_or(i64::MAX)));
            }
        }
        for times in &mut sides {
            times.sort_unstable();
        }
        Ok(Self(sides))
    }

    /// Whether one was open all the time from `first` to `last`.
    fn holds(&self, first: i64, last: i64) -> bool {
        self.0.iter().any(|times| {
            let next = times.partition_point(|(opened, _)| *opened <= first);
            next.checked_sub(1).and_then(|at| times.get(at)).is_some_and(|(_, closed)| *closed >= last)
        })
    }
}
