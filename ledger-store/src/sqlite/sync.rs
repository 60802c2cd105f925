//! The tables `sync_cursors` and `coverage`.

use std::collections::BTreeSet;

use diesel::prelude::*;
use ledger_core::{AccountId, Symbol, TimestampMs};

use super::codec::RowReader;
use super::failure::failed;
use super::proof;
use super::schema::{coverage, sync_cursors};
use crate::batch::{CoverageGrade, CoverageSpan, Stretch, SyncCursor};
use crate::store::StoreResult;

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

/// The grade of what is covered no more and is to be read again.
const REOPENED: &str = "reopened";

type Spans = Vec<(i64, i64)>;

/// The spans of one stream, contract and grade.
struct Lane<'a> {
    account: &'a AccountId,
    stream: &'a str,
    symbol: &'a str,
    grade: &'a str,
}

impl Lane<'_> {
    fn change(&self, conn: &mut SqliteConnection, change: impl FnOnce(Spans) -> Spans) -> StoreResult<()> {
        let lane = coverage::table
            .filter(coverage::account_id.eq(self.account.as_str()))
            .filter(coverage::stream.eq(self.stream))
            .filter(coverage::symbol.eq(self.symbol))
            .filter(coverage::grade.eq(self.grade));
        let before: Spans = lane
            .select((coverage::since_ts, coverage::until_ts))
            .order(coverage::since_ts)
            .load(conn)
            .map_err(failed("read coverage"))?;
        let after = change(before.clone());
        if after == before {
            return Ok(());
        }
        diesel::delete(lane).execute(conn).map_err(failed("write coverage"))?;
        for (since, until) in after {
            diesel::insert_into(coverage::table)
                .values((
                    coverage::account_id.eq(self.account.as_str()),
                    coverage::stream.eq(self.stream),
                    coverage::symbol.eq(self.symbol),
                    coverage::grade.eq(self.grade),
                    coverage::since_ts.eq(since),
                    coverage::until_ts.eq(until),
                ))
                .execute(conn)
                .map_err(failed("write coverage"))?;
        }
        Ok(())
    }

    fn add(&self, conn: &mut SqliteConnection, spans: Spans) -> StoreResult<()> {
        self.change(conn, |mut all| {
            all.extend(spans);
            union(all)
        })
    }

    fn cut(&self, conn: &mut SqliteConnection, cut: (i64, i64)) -> StoreResult<()> {
        self.change(conn, |all| without(&all, cut))
    }
}

/// Adds spans; those of one grade that touch or overlap become one. What is confirmed gets its proof.
pub(super) fn write_coverage(
    conn: &mut SqliteConnection,
    account: &AccountId,
    spans: &[CoverageSpan],
) -> StoreResult<()> {
    let lanes: BTreeSet<_> = spans.iter().map(|span| (&span.stream, &span.symbol, span.grade)).collect();
    for (stream, symbol, grade) in lanes {
        let symbol = symbol_column(symbol.as_ref());
        let of_lane = spans
            .iter()
            .filter(|span| (&span.stream, symbol_column(span.symbol.as_ref()), span.grade) == (stream, symbol, grade));
        let of_lane: Spans = of_lane.map(|span| (span.since.as_ms(), span.until.as_ms())).collect();
        let lane = Lane { account, stream, symbol, grade: grade.as_str() };
        if grade != CoverageGrade::Inferred {
            for span in &of_lane {
                Lane { grade: REOPENED, ..lane }.cut(conn, *span)?;
            }
        }
        if grade == CoverageGrade::Confirmed {
            for (since, until) in union(of_lane.clone()) {
                proof::prove(conn, account, (stream, symbol), (since, until))?;
            }
        }
        lane.add(conn, of_lane)?;
    }
    Ok(())
}

/// Takes the coverage of stretches back, with the proofs that touch them, and notes that they are to be read again.
pub(super) fn reopen(conn: &mut SqliteConnection, account: &AccountId, stretches: &[Stretch]) -> StoreResult<()> {
    for stretch in stretches.iter().filter(|stretch| stretch.since < stretch.until) {
        let (stream, symbol) = (stretch.stream.as_str(), symbol_column(stretch.symbol.as_ref()));
        let span = (stretch.since.as_ms(), stretch.until.as_ms());
        for grade in [CoverageGrade::Inferred, CoverageGrade::Asked, CoverageGrade::Confirmed] {
            Lane { account, stream, symbol, grade: grade.as_str() }.cut(conn, span)?;
        }
        let confirmed = Lane { account, stream, symbol, grade: CoverageGrade::Confirmed.as_str() };
        for unproven in proof::remove_touching(conn, account, (stream, symbol), span)? {
            confirmed.cut(conn, unproven)?;
        }
        Lane { account, stream, symbol, grade: REOPENED }.add(conn, vec![span])?;
    }
    Ok(())
}

fn union(mut spans: Spans) -> Spans {
    spans.retain(|(since, until)| since < until);
    spans.sort_unstable();
    let mut union: Spans = Vec::with_capacity(spans.len());
    for (since, until) in spans {
        match union.last_mut() {
            Some(last) if since <= last.1 => last.1 = last.1.max(until),
            _ => union.push((since, until)),
        }
    }
    union
}

/// What is left of spans that do not overlap, in order.
pub(super) fn without(spans: &[(i64, i64)], (since, until): (i64, i64)) -> Spans {
    let parts = spans.iter().flat_map(|(begin, end)| [(*begin, since.min(*end)), (until.max(*begin), *end)]);
    parts.filter(|(since, until)| since < until).collect()
}

/// Which stretches are to be read again.
pub(super) fn reopened(conn: &mut SqliteConnection, account: &AccountId) -> StoreResult<Vec<Stretch>> {
    let spans = graded(conn, account)?.into_iter().filter(|(_, grade)| grade == REOPENED);
    Ok(spans.map(|(stretch, _)| stretch).collect())
}

pub(super) fn coverage(conn: &mut SqliteConnection, account: &AccountId) -> StoreResult<Vec<CoverageSpan>> {
    let spans = graded(conn, account)?.into_iter().filter(|(_, grade)| grade != REOPENED);
    spans
        .map(|(Stretch { stream, symbol, since, until }, grade)| {
            let reader = RowReader { table: "coverage", key: || format!("{account}/{stream}/{since}") };
            Ok(CoverageSpan { grade: reader.text("grade", &grade)?, stream: stream.clone(), symbol, since, until })
        })
        .collect()
}

/// All stretches with their grades.
fn graded(conn: &mut SqliteConnection, account: &AccountId) -> StoreResult<Vec<(Stretch, String)>> {
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
            let (since, until) = (reader.instant("since_ts", since)?, reader.instant("until_ts", until)?);
            Ok((Stretch { symbol, since, until, stream: stream.clone() }, grade))
        })
        .collect()
}
