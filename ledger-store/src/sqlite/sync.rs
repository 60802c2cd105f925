//! The tables `sync_cursors` and `coverage`.

use std::collections::BTreeSet;

use diesel::prelude::*;
use ledger_core::{AccountId, Symbol, TimestampMs};

use super::codec::RowReader;
use super::failure::failed;
use super::schema::{coverage, sync_cursors};
use crate::batch::{CoverageSpan, SyncCursor};
use crate::repository::StoreResult;

fn symbol_column(symbol: Option<&Symbol>) -> &str {
    symbol.map_or("", Symbol::as_str)
}

pub(super) fn write_cursors(
    conn: &mut SqliteConnection,
    account: &AccountId,
    cursors: &[SyncCursor],
    at: TimestampMs,
) -> StoreResult<()> {
    for cursor in cursors {
        diesel::replace_into(sync_cursors::table)
            .values((
                sync_cursors::account_id.eq(account.as_str()),
                sync_cursors::stream.eq(&cursor.stream),
                sync_cursors::symbol.eq(symbol_column(cursor.symbol.as_ref())),
                sync_cursors::position.eq(&cursor.position),
                sync_cursors::updated_local_ms.eq(at.as_ms()),
            ))
            .execute(conn)
            .map_err(failed("write a cursor"))?;
    }
    Ok(())
}

pub(super) fn cursors(conn: &mut SqliteConnection, account: &AccountId) -> StoreResult<Vec<SyncCursor>> {
    let rows: Vec<(String, String, String)> = sync_cursors::table
        .filter(sync_cursors::account_id.eq(account.as_str()))
        .order((sync_cursors::stream, sync_cursors::symbol))
        .select((sync_cursors::stream, sync_cursors::symbol, sync_cursors::position))
        .load(conn)
        .map_err(failed("read cursors"))?;
    rows.into_iter()
        .map(|(stream, symbol, position)| {
            let reader = RowReader { table: "sync_cursors", key: || format!("{account}/{stream}/{symbol}") };
            let symbol = reader.optional("symbol", Some(symbol.as_str()).filter(|text| !text.is_empty()))?;
            Ok(SyncCursor { symbol, position, stream: stream.clone() })
        })
        .collect()
}

/// Adds spans; those of one grade that touch or overlap become one.
pub(super) fn write_coverage(
    conn: &mut SqliteConnection,
    account: &AccountId,
    spans: &[CoverageSpan],
) -> StoreResult<()> {
    let lanes: BTreeSet<_> = spans.iter().map(|span| (&span.stream, &span.symbol, span.grade)).collect();
    for (stream, symbol, grade) in lanes {
        let symbol_text = symbol_column(symbol.as_ref());
        let lane = coverage::table
            .filter(coverage::account_id.eq(account.as_str()))
            .filter(coverage::stream.eq(stream))
            .filter(coverage::symbol.eq(symbol_text))
            .filter(coverage::grade.eq(grade.as_str()));
        let mut all: Vec<(i64, i64)> =
            lane.select((coverage::since_ts, coverage::until_ts)).load(conn).map_err(failed("read coverage"))?;
        all.extend(
            spans
                .iter()
                .filter(|span| (&span.stream, &span.symbol, span.grade) == (stream, symbol, grade))
                .map(|span| (span.since.as_ms(), span.until.as_ms())),
        );
        diesel::delete(lane).execute(conn).map_err(failed("write coverage"))?;
        for (since, until) in union(all) {
            diesel::insert_into(coverage::table)
                .values((
                    coverage::account_id.eq(account.as_str()),
                    coverage::stream.eq(stream),
                    coverage::symbol.eq(symbol_text),
                    coverage::grade.eq(grade.as_str()),
                    coverage::since_ts.eq(since),
                    coverage::until_ts.eq(until),
                ))
                .execute(conn)
                .map_err(failed("write coverage"))?;
        }
    }
    Ok(())
}

fn union(mut spans: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    spans.retain(|(since, until)| since < until);
    spans.sort_unstable();
    let mut union: Vec<(i64, i64)> = Vec::with_capacity(spans.len());
    for (since, until) in spans {
        match union.last_mut() {
            Some(last) if since <= last.1 => last.1 = last.1.max(until),
            _ => union.push((since, until)),
        }
    }
    union
}

pub(super) fn coverage(conn: &mut SqliteConnection, account: &AccountId) -> StoreResult<Vec<CoverageSpan>> {
    let rows: Vec<(String, String, String, i64, i64)> = coverage::table
        .filter(coverage::account_id.eq(account.as_str()))
        .order((coverage::stream, coverage::symbol, coverage::since_ts, coverage::grade))
        .select((coverage::stream, coverage::symbol, coverage::grade, coverage::since_ts, coverage::until_ts))
        .load(conn)
        .map_err(failed("read coverage"))?;
    rows.into_iter()
        .map(|(stream, symbol, grade, since, until)| {
            let reader = RowReader { table: "coverage", key: || format!("{account}/{stream}/{symbol}/{since}") };
            let symbol = reader.optional("symbol", Some(symbol.as_str()).filter(|text| !text.is_empty()))?;
            Ok(CoverageSpan {
                symbol,
                grade: reader.text("grade", &grade)?,
                since: reader.instant("since_ts", since)?,
                until: reader.instant("until_ts", until)?,
                stream: stream.clone(),
            })
        })
        .collect()
}
