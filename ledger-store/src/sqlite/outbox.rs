//! The tables `messages` and `telling`: what is to be told to people, and how far that has come.

use std::collections::BTreeMap;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use ledger_core::{AccountId, Fill, TimestampMs};

use super::by_number::by_number;
use super::codec::RowReader;
use super::fact_table::FactTable as _;
use super::failure::failed;
use super::fill::FillRow;
use super::prepared::{Literal, PrepareOnce as _};
use super::schema::{fills, messages, telling};
use crate::outbox::{Attempt, ChannelSummary, Message, MessageState, NewMessage, RecordedFills};
use crate::page::{Cursor, Page, PageRequest};
use crate::store::StoreResult;

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = messages)]
struct MessageRow {
    id: i64,
    account_id: String,
    channel: String,
    key: String,
    kind: String,
    is_urgent: bool,
    text: String,
    body_json: String,
    made_local_ms: i64,
    attempts: i64,
    next_try_local_ms: Option<i64>,
    sent_local_ms: Option<i64>,
    gave_up_local_ms: Option<i64>,
    last_error: Option<String>,
}

/// The place behind all fills.
pub(super) fn fills_end(conn: &mut SqliteConnection) -> StoreResult<i64> {
    Fill::row_id_max(conn).map_err(failed("read fills"))
}

/// The fills of an account behind a place. Facts are not deleted, and what merges into a fill keeps its row, so the number of its row
/// says when the book learned of it.
pub(super) fn recorded_fills(
    conn: &mut SqliteConnection,
    account: &AccountId,
    place: i64,
    limit: u32,
) -> StoreResult<RecordedFills> {
    let end = fills_end(conn)?;
    let limit = i64::from(limit.max(1));
    // By row, and not by account: the plus sign keeps SQLite from another index.
    let rows: Vec<(i64, FillRow)> = fills::table
        .filter(sql::<Bool>("fills.rowid > ").bind::<BigInt, _>(place))
        .filter(sql::<Bool>("+fills.account_id = ").bind::<Text, _>(account.as_str()))
        .order(sql::<BigInt>("fills.rowid"))
        .limit(limit)
        .select((sql::<BigInt>("fills.rowid"), FillRow::as_select()))
        .prepared_once()
        .load(conn)
        .map_err(failed("read fills"))?;
    let is_all = i64::try_from(rows.len()).unwrap_or(i64::MAX) < limit;
    let last = rows.last().map_or(place, |(id, _)| *id);
    let until = if is_all { end.max(place) } else { last };
    let fills = rows.iter().map(|(_, row)| Fill::decode(row)).collect::<StoreResult<_>>()?;
    Ok(RecordedFills { fills, until, is_all })
}

/// How far the telling has come.
pub(super) fn telling(conn: &mut SqliteConnection, account: &AccountId) -> StoreResult<Option<String>> {
    let state = telling::table.find(account.as_str()).select(telling::state_json).first(conn).optional();
    state.map_err(failed("read how far the telling has come"))
}

/// Adds messages that are new, drops those that ended long ago, and notes how far the telling has come.
pub(super) fn put(
    conn: &mut SqliteConnection,
    account: &AccountId,
    new: &[NewMessage],
    now: TimestampMs,
    keep_since: TimestampMs,
    state_json: &str,
) -> StoreResult<usize> {
    super::commit::require_account(conn, account)?;
    let mut added = 0;
    for message in new {
        added += Literal::new(
            "INSERT INTO messages (account_id, channel, key, kind, is_urgent, text, body_json, made_local_ms, next_try_local_ms) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (account_id, channel, key) DO NOTHING",
        )
        .text(account.as_str())
        .text(message.channel.as_str())
        .text(message.key.as_str())
        .text(message.kind.as_str())
        .number(i64::from(message.is_urgent))
        .text(message.text.as_str())
        .text(message.body_json.as_str())
        .number(now.as_ms())
        .number(message.not_before_local.as_ms())
        .execute(conn)
        .map_err(failed("add a message"))?;
    }
    if added > 0 {
        Literal::new("DELETE FROM messages WHERE account_id = ? AND made_local_ms < ? AND next_try_local_ms IS NULL")
            .text(account.as_str())
            .number(keep_since.as_ms())
            .execute(conn)
            .map_err(failed("drop old messages"))?;
    }
    Literal::new("INSERT OR REPLACE INTO telling (account_id, state_json) VALUES (?, ?)")
        .text(account.as_str())
        .text(state_json)
        .execute(conn)
        .map_err(failed("note how far the telling has come"))?;
    Ok(added)
}

/// What a channel may be given now.
pub(super) fn due(
    conn: &mut SqliteConnection,
    account: &AccountId,
    channel: &str,
    now: TimestampMs,
    limit: u32,
) -> StoreResult<Vec<Message>> {
    let rows: Vec<MessageRow> = messages::table
        .filter(messages::account_id.eq(account.as_str()))
        .filter(messages::channel.eq(channel))
        .filter(messages::next_try_local_ms.le(now.as_ms()))
        .order((messages::is_urgent.desc(), messages::id))
        .limit(i64::from(limit))
        .select(MessageRow::as_select())
        .prepared_once()
        .load(conn)
        .map_err(failed("read messages"))?;
    rows.into_iter().map(decode).collect()
}

/// Notes how an attempt ended.
pub(super) fn note_attempt(conn: &mut SqliteConnection, ids: &[i64], attempt: &Attempt) -> StoreResult<()> {
    for id in ids {
        let noted = match attempt {
            Attempt::Sent { at_local } => Literal::new(
                "UPDATE messages SET next_try_local_ms = NULL, sent_local_ms = ? \
                 WHERE id = ? AND next_try_local_ms IS NOT NULL",
            )
            .number(at_local.as_ms()),
            Attempt::Failed { next_try_local, error } => Literal::new(
                "UPDATE messages SET attempts = attempts + 1, next_try_local_ms = ?, last_error = ? \
                 WHERE id = ? AND next_try_local_ms IS NOT NULL",
            )
            .number(next_try_local.as_ms())
            .text(error.as_str()),
            Attempt::GivenUp { at_local, error } => Literal::new(
                "UPDATE messages SET attempts = attempts + 1, next_try_local_ms = NULL, gave_up_local_ms = ?, last_error = ? \
                 WHERE id = ? AND next_try_local_ms IS NOT NULL",
            )
            .number(at_local.as_ms())
            .text(error.as_str()),
        };
        noted.number(*id).execute(conn).map_err(failed("note what came of a message"))?;
    }
    Ok(())
}

/// Gives up what waits for channels that are not there any more.
pub(super) fn give_up_others(
    conn: &mut SqliteConnection,
    account: &AccountId,
    channels: &[String],
    now: TimestampMs,
) -> StoreResult<usize> {
    diesel::update(messages::table)
        .filter(messages::account_id.eq(account.as_str()))
        .filter(messages::channel.ne_all(channels))
        .filter(messages::next_try_local_ms.is_not_null())
        .set((
            messages::next_try_local_ms.eq(None::<i64>),
            messages::gave_up_local_ms.eq(now.as_ms()),
            messages::last_error.eq("the channel is not in the settings any more"),
        ))
        .execute(conn)
        .map_err(failed("give messages up"))
}

pub(super) fn list(conn: &mut SqliteConnection, account: &AccountId, page: &PageRequest) -> StoreResult<Page<Message>> {
    let query =
        messages::table.filter(messages::account_id.eq(account.as_str())).select(MessageRow::as_select()).into_boxed();
    let rows = by_number!(query, page, messages::id).load(conn).map_err(failed("read messages"))?;
    page.finish(rows, |row: &MessageRow| Cursor::new(vec![row.id.to_string()]), decode)
}

/// How each channel stands.
pub(super) fn summary(conn: &mut SqliteConnection, account: &AccountId) -> StoreResult<Vec<ChannelSummary>> {
    let rows: Vec<(String, Option<i64>, i64, Option<String>)> = messages::table
        .filter(messages::account_id.eq(account.as_str()))
        .filter(messages::sent_local_ms.is_null())
        .order(messages::id)
        .select((messages::channel, messages::next_try_local_ms, messages::made_local_ms, messages::last_error))
        .load(conn)
        .map_err(failed("read messages"))?;
    let reader = RowReader { table: "messages", key: || account.to_string() };
    let mut channels: BTreeMap<String, ChannelSummary> = BTreeMap::new();
    for (channel, next_try, made, last_error) in rows {
        let empty = || ChannelSummary {
            channel: channel.clone(),
            waiting: 0,
            oldest_local: None,
            last_error: None,
            given_up: 0,
        };
        let summary = channels.entry(channel.clone()).or_insert_with(empty);
        if next_try.is_none() {
            summary.given_up += 1;
            continue;
        }
        summary.waiting += 1;
        if summary.oldest_local.is_none() {
            summary.oldest_local = Some(reader.instant("made_local_ms", made)?);
        }
        summary.last_error = last_error.or(summary.last_error.take());
    }
    Ok(channels.into_values().collect())
}

fn decode(row: MessageRow) -> StoreResult<Message> {
    let id = row.id;
    let reader = RowReader { table: "messages", key: || id.to_string() };
    let state = match (row.next_try_local_ms, row.sent_local_ms, row.gave_up_local_ms) {
        (Some(ms), None, None) => MessageState::Waiting(reader.instant("next_try_local_ms", ms)?),
        (None, Some(ms), None) => MessageState::Sent(reader.instant("sent_local_ms", ms)?),
        (None, None, Some(ms)) => MessageState::GivenUp(reader.instant("gave_up_local_ms", ms)?),
        _ => return Err(reader.corrupt("next_try_local_ms", "it waits and has ended, or neither")),
    };
    Ok(Message {
        id,
        account: reader.text("account_id", &row.account_id)?,
        channel: row.channel,
        key: row.key,
        kind: row.kind,
        is_urgent: row.is_urgent,
        text: row.text,
        body_json: row.body_json,
        made_local: reader.instant("made_local_ms", row.made_local_ms)?,
        attempts: reader.number("attempts", row.attempts)?,
        state,
        last_error: row.last_error,
    })
}
