//! The table `proofs`: what the book had in the stretches that were confirmed.
//!
//! A proof stays within one period of its stream: a day for those of the whole account, four weeks for those of one contract, of
//! which there are many. So what is read again where one does not hold is small, and neighbours within a period become one, so
//! that their number does not grow with that of the looks.

use diesel::connection::DefaultLoadingMode;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use ledger_core::AccountId;

use super::codec::RowReader;
use super::failure::failed;
use super::schema::proofs;
use super::sync::without;
use crate::batch::Stretch;
use crate::error::StoreError;
use crate::proof::{BrokenProof, Proof, ProofCheck, ProofDepth, Tally, missing};
use crate::store::StoreResult;

const DAY_MS: i64 = 86_400_000;

/// The rows of a stream: where they are, how they are told from others there, and their keys as
/// [`fact_key`](crate::fact_key) gives them.
struct StreamRows {
    table: &'static str,
    condition: &'static str,
    identity: &'static str,
}

/// The conditions are those of the indexes, word for word. Every table has its time in `ts`.
fn rows_of(stream: &str) -> StoreResult<StreamRows> {
    const ORDER: &str = "symbol || '|' || order_class || '|' || order_id";
    let (table, condition, identity) = match stream {
        "income" => ("income", "true", "income_type || '|' || asset || '|' || symbol || '|' || tran_id"),
        "orders" => ("orders", "order_class = 'REGULAR'", ORDER),
        "conditional_orders" => ("orders", "order_class = 'CONDITIONAL'", ORDER),
        "force_orders" => ("orders", "origin IN ('forced', 'adl', 'liquidation')", ORDER),
        "fills" => ("fills", "true", "symbol || '|' || side || '|' || fill_id"),
        "funding_rates" => ("funding_rates", "true", "symbol || '|' || ts"),
        _ => return Err(StoreError::UnprovableStream { stream: stream.to_owned() }),
    };
    Ok(StreamRows { table, condition, identity })
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

#[derive(QueryableByName)]
struct Identity {
    #[diesel(sql_type = Text)]
    identity: String,
}

impl StreamRows {
    /// A query of `what` in a stretch of time.
    fn select(&self, what: &str, account: &AccountId, symbol: &str, (since, until): (i64, i64)) -> RowsQuery {
        let Self { table, condition, .. } = self;
        let of_symbol = if symbol.is_empty() { "?4 = ''" } else { "symbol = ?4" };
        diesel::sql_query(format!(
            "SELECT {what} FROM {table} WHERE account_id = ?1 AND ts >= ?2 AND ts < ?3 AND {of_symbol} AND {condition}"
        ))
        .into_boxed()
        .bind::<Text, _>(account.as_str().to_owned())
        .bind::<BigInt, _>(since)
        .bind::<BigInt, _>(until)
        .bind::<Text, _>(symbol.to_owned())
    }

    fn count(
        &self,
        conn: &mut SqliteConnection,
        account: &AccountId,
        symbol: &str,
        span: (i64, i64),
    ) -> StoreResult<u64> {
        let counted: Number = self
            .select("count(*) AS number", account, symbol, span)
            .get_result(conn)
            .map_err(failed("count what was confirmed"))?;
        RowReader { table: self.table, key: || account.to_string() }.number("count", counted.number)
    }

    fn tally(
        &self,
        conn: &mut SqliteConnection,
        account: &AccountId,
        symbol: &str,
        span: (i64, i64),
    ) -> StoreResult<Tally> {
        let rows = self
            .select(&format!("{} AS identity", self.identity), account, symbol, span)
            .load_iter::<Identity, DefaultLoadingMode>(conn)
            .map_err(failed("read what was confirmed"))?;
        let mut tally = Tally::default();
        for row in rows {
            tally = tally.plus(Tally::of(&row.map_err(failed("read what was confirmed"))?.identity));
        }
        Ok(tally)
    }
}

type RowsQuery = diesel::query_builder::BoxedSqlQuery<'static, diesel::sqlite::Sqlite, diesel::query_builder::SqlQuery>;

/// A stretch of time with what the book had in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ProvenSpan {
    since: i64,
    until: i64,
    tally: Tally,
}

/// Where the period begins that an instant lies in.
fn period_of(symbol: &str, at: i64) -> (i64, i64) {
    let period_ms = if symbol.is_empty() { DAY_MS } else { 28 * DAY_MS };
    let since = at - at.rem_euclid(period_ms);
    (since, since.saturating_add(period_ms))
}

/// Proves what the book has in a stretch of time. What is proven there already keeps its proof.
pub(super) fn prove(
    conn: &mut SqliteConnection,
    account: &AccountId,
    (stream, symbol): (&str, &str),
    (since, until): (i64, i64),
) -> StoreResult<()> {
    let rows = rows_of(stream)?;
    let mut next = since;
    while next < until {
        let period = period_of(symbol, next);
        let before = of_period(conn, account, (stream, symbol), period)?;
        let unproven = before
            .iter()
            .fold(vec![(next, until.min(period.1))], |gaps, proven| without(&gaps, (proven.since, proven.until)));
        if unproven.is_empty() {
            next = period.1;
            continue;
        }
        // What is lost is told of its own stretch, in the same words each time: nothing is added to it.
        let (mut all, mut broken) = (Vec::new(), Vec::new());
        for proven in before.iter().copied() {
            let count = rows.count(conn, account, symbol, (proven.since, proven.until))?;
            if count == proven.tally.count { all.push(proven) } else { broken.push(proven) }
        }
        for (since, until) in unproven {
            let tally = rows.tally(conn, account, symbol, (since, until))?;
            all.push(ProvenSpan { since, until, tally });
        }
        let mut after = joined(all);
        after.extend(broken);
        after.sort_unstable_by_key(|span| span.since);
        if after != before {
            replace(conn, account, (stream, symbol), period, &after)?;
        }
        next = period.1;
    }
    Ok(())
}

/// Neighbours as one: their tallies add up.
fn joined(mut spans: Vec<ProvenSpan>) -> Vec<ProvenSpan> {
    spans.sort_unstable_by_key(|span| span.since);
    let mut joined: Vec<ProvenSpan> = Vec::with_capacity(spans.len());
    for span in spans {
        match joined.last_mut() {
            Some(last) if last.until == span.since => {
                (last.until, last.tally) = (span.until, last.tally.plus(span.tally));
            }
            _ => joined.push(span),
        }
    }
    joined
}

fn of_period(
    conn: &mut SqliteConnection,
    account: &AccountId,
    (stream, symbol): (&str, &str),
    (since, until): (i64, i64),
) -> StoreResult<Vec<ProvenSpan>> {
    let rows: Vec<(i64, i64, i64, i64)> = proofs::table
        .filter(proofs::account_id.eq(account.as_str()))
        .filter(proofs::stream.eq(stream))
        .filter(proofs::symbol.eq(symbol))
        .filter(proofs::since_ts.ge(since))
        .filter(proofs::since_ts.lt(until))
        .order(proofs::since_ts)
        .select((proofs::since_ts, proofs::until_ts, proofs::row_count, proofs::digest))
        .load(conn)
        .map_err(failed("read proofs"))?;
    proven_spans(account, (stream, symbol), &rows)
}

fn proven_spans(
    account: &AccountId,
    (stream, symbol): (&str, &str),
    rows: &[(i64, i64, i64, i64)],
) -> StoreResult<Vec<ProvenSpan>> {
    rows.iter()
        .map(|(since, until, count, digest)| {
            let reader = RowReader { table: "proofs", key: || format!("{account}/{stream}/{symbol}/{since}") };
            let tally = Tally { count: reader.number("row_count", *count)?, digest: digest.cast_unsigned() };
            Ok(ProvenSpan { since: *since, until: *until, tally })
        })
        .collect()
}

fn replace(
    conn: &mut SqliteConnection,
    account: &AccountId,
    (stream, symbol): (&str, &str),
    (since, until): (i64, i64),
    spans: &[ProvenSpan],
) -> StoreResult<()> {
    let of_period = proofs::table
        .filter(proofs::account_id.eq(account.as_str()))
        .filter(proofs::stream.eq(stream))
        .filter(proofs::symbol.eq(symbol))
        .filter(proofs::since_ts.ge(since))
        .filter(proofs::since_ts.lt(until));
    diesel::delete(of_period).execute(conn).map_err(failed("write proofs"))?;
    for ProvenSpan { since, until, tally } in spans {
        diesel::insert_into(proofs::table)
            .values((
                proofs::account_id.eq(account.as_str()),
                proofs::stream.eq(stream),
                proofs::symbol.eq(symbol),
                proofs::since_ts.eq(since),
                proofs::until_ts.eq(until),
                proofs::row_count.eq(i64::try_from(tally.count).unwrap_or(i64::MAX)),
                proofs::digest.eq(tally.digest.cast_signed()),
            ))
            .execute(conn)
            .map_err(failed("write proofs"))?;
    }
    Ok(())
}

/// Removes the proofs that touch a stretch of time, and answers what each was of. Those of which rows are missing stay: they
/// are all that tells of the loss.
pub(super) fn remove_touching(
    conn: &mut SqliteConnection,
    account: &AccountId,
    (stream, symbol): (&str, &str),
    (since, until): (i64, i64),
) -> StoreResult<Vec<(i64, i64)>> {
    let touching = proofs::table
        .filter(proofs::account_id.eq(account.as_str()))
        .filter(proofs::stream.eq(stream))
        .filter(proofs::symbol.eq(symbol))
        .filter(proofs::since_ts.lt(until))
        .filter(proofs::until_ts.gt(since));
    let spans: Vec<(i64, i64, i64, i64)> = touching
        .select((proofs::since_ts, proofs::until_ts, proofs::row_count, proofs::digest))
        .load(conn)
        .map_err(failed("read proofs"))?;
    for proven in proven_spans(account, (stream, symbol), &spans)? {
        let rows = rows_of(stream)?;
        let found = rows.tally(conn, account, symbol, (proven.since, proven.until))?;
        if missing(proven.tally, found) > 0 {
            continue;
        }
        let whole = (account.as_str(), stream, symbol, proven.since);
        diesel::delete(proofs::table.find(whole)).execute(conn).map_err(failed("write proofs"))?;
    }
    Ok(spans.into_iter().map(|(since, until, ..)| (since, until)).collect())
}

/// Holds every proof of an account against the rows that are there now.
pub(super) fn check(conn: &mut SqliteConnection, account: &AccountId, depth: ProofDepth) -> StoreResult<ProofCheck> {
    type Row = (String, String, i64, i64, i64, i64);
    let rows: Vec<Row> = proofs::table
        .filter(proofs::account_id.eq(account.as_str()))
        .order((proofs::stream, proofs::symbol, proofs::since_ts))
        .select((proofs::stream, proofs::symbol, proofs::since_ts, proofs::until_ts, proofs::row_count, proofs::digest))
        .load(conn)
        .map_err(failed("read proofs"))?;
    let mut check = ProofCheck::default();
    for (stream, symbol, since, until, count, digest) in rows {
        let reader = RowReader { table: "proofs", key: || format!("{account}/{stream}/{symbol}/{since}") };
        let tally = Tally { count: reader.number("row_count", count)?, digest: digest.cast_unsigned() };
        check.checked += 1;
        check.rows = check.rows.saturating_add(tally.count);
        let rows = rows_of(&stream).map_err(|error| reader.corrupt("stream", error))?;
        let is_suspect =
            depth == ProofDepth::Identities || rows.count(conn, account, &symbol, (since, until))? != tally.count;
        if !is_suspect {
            continue;
        }
        let found = rows.tally(conn, account, &symbol, (since, until))?;
        if found != tally {
            let stretch = Stretch {
                symbol: reader.optional("symbol", Some(symbol.as_str()).filter(|text| !text.is_empty()))?,
                since: reader.instant("since_ts", since)?,
                until: reader.instant("until_ts", until)?,
                stream: stream.clone(),
            };
            check.broken.push(BrokenProof { proof: Proof { stretch, tally }, found });
        }
    }
    Ok(check)
}
