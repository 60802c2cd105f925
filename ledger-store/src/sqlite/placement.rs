//! The table `one_way_spans`: when the account provably held one position a symbol, so that a fill without a position
//! side can only have changed that one.
//!
//! Derived from what the exchange answered about the position mode, from what the user says, and from facts that name
//! a position of a hedge. Kept, so that it shows when it changes and what has to be folded again then.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use ledger_core::{
    AccountId, PositionMode, PositionModeSnapshot, PositionSide, Span, Symbol, TimestampMs, first_difference,
    one_way_spans,
};
use serde_json::json;

use super::codec::RowReader;
use super::discrepancy::{self, Sighting};
use super::effects::Effects;
use super::failure::failed;
use super::schema::one_way_spans as table;
use super::{account, position_mode};
use crate::record::{DiscrepancyKey, DiscrepancyStatus, NewDiscrepancy};
use crate::store::StoreResult;

/// The kind of discrepancy between the user's word and the exchange's facts.
const POSITION_MODE: &str = "position_mode";

/// The spans on record, by time.
pub(super) fn spans(conn: &mut SqliteConnection, account: &AccountId) -> StoreResult<Vec<Span>> {
    let rows: Vec<(i64, Option<i64>)> = table::table
        .filter(table::account_id.eq(account.as_str()))
        .order(table::since_ts)
        .select((table::since_ts, table::until_ts))
        .load(conn)
        .map_err(failed("read position modes"))?;
    rows.into_iter()
        .map(|(since, until)| {
            let reader = RowReader { table: "one_way_spans", key: || format!("{account}/{since}") };
            let until = until.map(|ms| reader.instant("until_ts", ms)).transpose()?;
            Ok(Span { since: reader.instant("since_ts", since)?, until })
        })
        .collect()
}

/// The position that a fill or order at `at` changed although it does not say so, if the mode tells.
pub(super) fn by_mode(spans: &[Span], at: TimestampMs) -> Option<PositionSide> {
    spans.iter().any(|span| span.contains(at)).then_some(PositionSide::Net)
}

struct Evidence {
    answers: Vec<PositionModeSnapshot>,
    word: Option<PositionMode>,
}

impl Evidence {
    fn read(conn: &mut SqliteConnection, account: &AccountId) -> StoreResult<Self> {
        let answers = position_mode::list(conn, account)?.into_iter().map(|answer| answer.fact).collect();
        let word = account::get(conn, account)?.and_then(|account| account.position_mode);
        Ok(Self { answers, word })
    }
}

/// Recomputes the spans from the facts, whatever they say. What they decide has to be folded again from its beginning.
pub(super) fn recompute(conn: &mut SqliteConnection, account: &AccountId) -> StoreResult<()> {
    let Evidence { answers, word } = Evidence::read(conn, account)?;
    let spans = one_way_spans(&answers, word, |span| is_hedged(conn, account, span))?;
    write(conn, account, &spans)
}

/// Recomputes the spans where what they rest on has changed, and marks what has to be folded again then.
pub(super) fn update(conn: &mut SqliteConnection, seen: Sighting<'_>, effects: &mut Effects) -> StoreResult<()> {
    let account = seen.account;
    if !effects.position_mode && !effects.hedged && !effects.netted {
        return Ok(());
    }
    let Evidence { answers, word } = Evidence::read(conn, account)?;
    // Where nobody has said that the account is in hedge mode, the one position of a symbol decides nothing.
    if !effects.position_mode && !effects.hedged && word != Some(PositionMode::Hedge) {
        return Ok(());
    }
    let before = spans(conn, account)?;
    let after = one_way_spans(&answers, word, |span| is_hedged(conn, account, span))?;
    if let Some(from) = first_difference(&before, &after) {
        write(conn, account, &after)?;
        for symbol in without_side(conn, account, from)? {
            effects.mark(&symbol).instant(from);
        }
    }
    let key = DiscrepancyKey { kind: POSITION_MODE.to_owned(), fingerprint: "stated".to_owned() };
    let contradicting = answers.iter().find(|answer| word.is_some_and(|word| word != answer.mode));
    // In either mode a fact names only the positions that there are in it.
    let fact = match word {
        Some(PositionMode::OneWay) => first_of(conn, account, &HEDGED)?.map(|ms| (ms, PositionMode::Hedge)),
        Some(PositionMode::Hedge) => first_of(conn, account, &NETTED)?.map(|ms| (ms, PositionMode::OneWay)),
        None => None,
    };
    let against = match (contradicting, fact) {
        (Some(answer), fact) if fact.is_none_or(|(ms, _)| answer.at.as_ms() <= ms) => {
            Some(json!({ "what": "the exchange's answer", "mode": answer.mode.as_str(), "ts": answer.at.as_ms() }))
        }
        (_, Some((ms, mode))) => {
            let what = if mode == PositionMode::Hedge { "a fact of a hedge" } else { "a fact of one-way mode" };
            Some(json!({ "what": what, "mode": mode.as_str(), "ts": ms }))
        }
        _ => None,
    };
    match (against, word) {
        (Some(against), Some(word)) => {
            let evidence = json!({ "stated": word.as_str(), "contradicted_by": against });
            let new = NewDiscrepancy {
                key,
                symbol: None,
                status: DiscrepancyStatus::Unresolved,
                evidence_json: evidence.to_string(),
            };
            discrepancy::record(conn, seen, &new, effects)?;
        }
        _ => {
            discrepancy::settle(conn, seen, &key, effects)?;
        }
    }
    Ok(())
}

fn write(conn: &mut SqliteConnection, account: &AccountId, spans: &[Span]) -> StoreResult<()> {
    diesel::delete(table::table.filter(table::account_id.eq(account.as_str())))
        .execute(conn)
        .map_err(failed("write position modes"))?;
    for span in spans {
        diesel::insert_into(table::table)
            .values((
                table::account_id.eq(account.as_str()),
                table::since_ts.eq(span.since.as_ms()),
                table::until_ts.eq(span.until.map(TimestampMs::as_ms)),
            ))
            .execute(conn)
            .map_err(failed("write position modes"))?;
    }
    Ok(())
}

/// The facts that name a position of a hedge, each list read by an index of its own.
const HEDGED: [&str; 3] = [
    "SELECT ts FROM fills WHERE account_id = ?1 AND position_side <> 'NET'",
    "SELECT coalesce(ts, updated_ts) AS ts FROM orders WHERE account_id = ?1 AND position_side <> 'NET'",
    "SELECT ts FROM position_snapshots WHERE account_id = ?1 AND position_side <> 'NET'",
];

/// The facts that name the one position of one-way mode. Exchanges state flat positions of it in hedge mode, too.
const NETTED: [&str; 2] = [
    "SELECT ts FROM fills WHERE account_id = ?1 AND position_side = 'NET'",
    "SELECT coalesce(ts, updated_ts) AS ts FROM orders WHERE account_id = ?1 AND position_side = 'NET'",
];

#[derive(QueryableByName)]
struct Instant {
    #[diesel(sql_type = Nullable<BigInt>)]
    ts: Option<i64>,
}

fn is_hedged(conn: &mut SqliteConnection, account: &AccountId, span: Span) -> StoreResult<bool> {
    for facts in HEDGED {
        let time = if facts.contains("coalesce") { "coalesce(ts, updated_ts)" } else { "ts" };
        let found: Option<Instant> = diesel::sql_query(format!("{facts} AND {time} >= ?2 AND {time} < ?3 LIMIT 1"))
            .bind::<Text, _>(account.as_str())
            .bind::<BigInt, _>(span.since.as_ms())
            .bind::<BigInt, _>(span.until.map_or(i64::MAX, TimestampMs::as_ms))
            .get_result(conn)
            .optional()
            .map_err(failed("look for hedged facts"))?;
        if found.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// When the first of these facts was.
fn first_of(conn: &mut SqliteConnection, account: &AccountId, facts: &[&str]) -> StoreResult<Option<i64>> {
    let mut first = None;
    for facts in facts {
        let found: Option<Instant> = diesel::sql_query(format!("{facts} ORDER BY 1 LIMIT 1"))
            .bind::<Text, _>(account.as_str())
            .get_result(conn)
            .optional()
            .map_err(failed("look for facts that name a position"))?;
        first = first.into_iter().chain(found.and_then(|found| found.ts)).min();
    }
    Ok(first)
}

/// The symbols with fills, or orders that executed more than their fills tell, that do not say which position they
/// changed, from an instant on.
fn without_side(conn: &mut SqliteConnection, account: &AccountId, from: TimestampMs) -> StoreResult<Vec<Symbol>> {
    #[derive(QueryableByName)]
    struct Name {
        #[diesel(sql_type = Text)]
        symbol: String,
    }
    let names: Vec<Name> = diesel::sql_query(
        "SELECT DISTINCT symbol FROM fills WHERE account_id = ?1 AND position_side IS NULL AND ts >= ?2
         UNION SELECT DISTINCT symbol FROM orders
         WHERE account_id = ?1 AND residual_qty IS NOT NULL AND position_side IS NULL",
    )
    .bind::<Text, _>(account.as_str())
    .bind::<BigInt, _>(from.as_ms())
    .load(conn)
    .map_err(failed("read fills"))?;
    let reader = RowReader { table: "fills", key: || account.to_string() };
    names.iter().map(|name| reader.text("symbol", &name.symbol)).collect()
}
