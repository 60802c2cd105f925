//! The table `accounts`.

use diesel::prelude::*;
use diesel::sql_types::Text;
use ledger_core::{AccountId, PositionMode, TimestampMs};

use super::codec::RowReader;
use super::discrepancy::Sighting;
use super::effects::Effects;
use super::failure::failed;
use super::fold_settings::FoldSettings;
use super::schema::accounts;
use super::{mark, placement, position_mode, refold};
use crate::error::StoreError;
use crate::record::{Account, ExchangeIdentity, NewAccount};
use crate::store::StoreResult;

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = accounts, treat_none_as_default_value = false)]
struct AccountRow {
    account_id: String,
    venue: String,
    base_url: Option<String>,
    alias: Option<String>,
    user_id: Option<String>,
    position_mode: Option<String>,
    created_local_ms: i64,
}

fn decode(conn: &mut SqliteConnection, row: AccountRow) -> StoreResult<Account> {
    let key = row.account_id.clone();
    let reader = RowReader { table: "accounts", key: || key.clone() };
    let id = reader.text("account_id", &row.account_id)?;
    Ok(Account {
        observed_mode: position_mode::latest(conn, &id)?,
        id,
        venue: row.venue,
        user_id: row.user_id,
        identity: row.base_url.map(|base_url| ExchangeIdentity { base_url, alias: row.alias }),
        position_mode: reader.optional("position_mode", row.position_mode.as_deref())?,
        created_local: reader.instant("created_local_ms", row.created_local_ms)?,
    })
}

pub(super) fn get(conn: &mut SqliteConnection, id: &AccountId) -> StoreResult<Option<Account>> {
    let row = accounts::table
        .find(id.as_str())
        .select(AccountRow::as_select())
        .first(conn)
        .optional()
        .map_err(failed("read the account"))?;
    row.map(|row| decode(conn, row)).transpose()
}

pub(super) fn list(conn: &mut SqliteConnection) -> StoreResult<Vec<Account>> {
    let rows: Vec<AccountRow> = accounts::table
        .order(accounts::account_id)
        .select(AccountRow::as_select())
        .load(conn)
        .map_err(failed("read accounts"))?;
    rows.into_iter().map(|row| decode(conn, row)).collect()
}

pub(super) fn create(conn: &mut SqliteConnection, account: &NewAccount) -> StoreResult<()> {
    if let Some(existing) = get(conn, &account.id)? {
        if existing.venue != account.venue {
            return Err(StoreError::AccountExists {
                account: account.id.clone(),
                field: "venue",
                existing: existing.venue,
            });
        }
        return Ok(());
    }
    let row = AccountRow {
        account_id: account.id.as_str().to_owned(),
        venue: account.venue.clone(),
        base_url: None,
        alias: None,
        user_id: None,
        position_mode: None,
        created_local_ms: account.created_local.as_ms(),
    };
    diesel::insert_into(accounts::table).values(&row).execute(conn).map_err(failed("create the account"))?;
    Ok(())
}

pub(super) fn bind(conn: &mut SqliteConnection, id: &AccountId, offered: &ExchangeIdentity) -> StoreResult<()> {
    let account = get(conn, id)?.ok_or_else(|| StoreError::UnknownAccount { account: id.clone() })?;
    let wrong = |field, bound: &str, offered: &str| StoreError::WrongAccount {
        account: id.clone(),
        field,
        bound: bound.to_owned(),
        offered: offered.to_owned(),
    };
    if let Some(bound) = &account.identity {
        if bound.base_url != offered.base_url {
            return Err(wrong("base URL", &bound.base_url, &offered.base_url));
        }
        match (&bound.alias, &offered.alias) {
            (Some(bound), Some(offered)) if bound != offered => return Err(wrong("alias", bound, offered)),
            // What is known of the account is not forgotten because one answer lacks it.
            (Some(_), _) => return Ok(()),
            (None, _) => {}
        }
    }
    diesel::update(accounts::table.find(id.as_str()))
        .set((accounts::base_url.eq(Some(&offered.base_url)), accounts::alias.eq(offered.alias.as_deref())))
        .execute(conn)
        .map_err(failed("bind the account"))?;
    Ok(())
}

/// Binds the account to the user id that an export names, or checks that it is bound to that one.
pub(super) fn bind_user(conn: &mut SqliteConnection, id: &AccountId, offered: &str) -> StoreResult<()> {
    let account = get(conn, id)?.ok_or_else(|| StoreError::UnknownAccount { account: id.clone() })?;
    match account.user_id {
        Some(bound) if bound == offered => Ok(()),
        Some(bound) => {
            Err(StoreError::WrongAccount { account: id.clone(), field: "user id", bound, offered: offered.to_owned() })
        }
        None => {
            diesel::update(accounts::table.find(id.as_str()))
                .set(accounts::user_id.eq(Some(offered)))
                .execute(conn)
                .map_err(failed("bind the account"))?;
            Ok(())
        }
    }
}

/// Accounts that are bound to the same account at the exchange: every fact of it would count twice. None is bound so; a
/// file that was put together by hand can be.
pub(super) fn bound_twice(conn: &mut SqliteConnection) -> StoreResult<Vec<String>> {
    #[derive(QueryableByName)]
    struct Pair {
        #[diesel(sql_type = Text)]
        first: String,
        #[diesel(sql_type = Text)]
        second: String,
        #[diesel(sql_type = Text)]
        at: String,
    }
    let pairs: Vec<Pair> = diesel::sql_query(
        "SELECT a.account_id AS first, b.account_id AS second,
             CASE WHEN a.alias = b.alias AND a.base_url = b.base_url THEN a.alias || ' at ' || a.base_url
                  ELSE 'user ' || a.user_id END AS at
         FROM accounts a JOIN accounts b ON a.account_id < b.account_id AND a.venue = b.venue
         WHERE (a.alias = b.alias AND a.base_url = b.base_url) OR a.user_id = b.user_id
         ORDER BY 1, 2",
    )
    .load(conn)
    .map_err(failed("read accounts"))?;
    let told = |pair: Pair| {
        format!("accounts `{}` and `{}` are one account at the exchange ({})", pair.first, pair.second, pair.at)
    };
    Ok(pairs.into_iter().map(told).collect())
}

/// Sets what the user says of the position mode, and folds again what depends on it.
pub(super) fn set_position_mode(
    conn: &mut SqliteConnection,
    id: &AccountId,
    mode: PositionMode,
    at: TimestampMs,
    settings: &FoldSettings,
) -> StoreResult<()> {
    let account = get(conn, id)?.ok_or_else(|| StoreError::UnknownAccount { account: id.clone() })?;
    if account.position_mode == Some(mode) {
        return Ok(());
    }
    diesel::update(accounts::table.find(id.as_str()))
        .set(accounts::position_mode.eq(Some(mode.as_str())))
        .execute(conn)
        .map_err(failed("set the position mode"))?;
    let mut effects = Effects { position_mode: true, ..Effects::default() };
    placement::update(conn, Sighting { account: id, run_id: None, at }, &mut effects)?;
    mark::write(conn, id, &effects.marks)?;
    for symbol in effects.marks.keys() {
        refold::refold(conn, id, symbol, settings)?;
    }
    Ok(())
}
