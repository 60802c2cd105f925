//! The asset that profits are paid in. Of a contract it is the quote, but some accounts are paid in another one (credits
//! mode), which only the exchange's ledger says.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use ledger_core::{AccountId, Asset, Symbol};

use super::codec::RowReader;
use super::effects::Effects;
use super::failure::failed;
use super::prepared::PrepareOnce as _;
use super::schema::{income, instruments, symbol_books};
use crate::store::StoreResult;

/// The asset that the exchange's ledger states for the profits of a contract; `None` where it states none, or several.
pub(super) fn of(conn: &mut SqliteConnection, account: &AccountId, symbol: &Symbol) -> StoreResult<Option<Asset>> {
    let profits = || {
        income::table
            .filter(income::account_id.eq(account.as_str()))
            .filter(income::symbol.eq(symbol.as_str()))
            .filter(sql::<Bool>("income_type = 'REALIZED_PNL'"))
    };
    let read = failed("read income");
    // Two questions, each of which is one look into the index.
    let first: Option<String> =
        profits().select(diesel::dsl::min(income::asset)).prepared_once().get_result(conn).map_err(&read)?;
    let last: Option<String> =
        profits().select(diesel::dsl::max(income::asset)).prepared_once().get_result(conn).map_err(&read)?;
    if first != last {
        return Ok(None);
    }
    let reader = RowReader { table: "income", key: || format!("{account}/{symbol}") };
    first.map(|asset| reader.text("asset", &asset)).transpose()
}

/// Marks the contracts whose profits turn out to be paid in another asset than they were folded in.
pub(super) fn mark(conn: &mut SqliteConnection, account: &AccountId, effects: &mut Effects) -> StoreResult<()> {
    let read = failed("read a symbol's book");
    for (symbol, asset) in std::mem::take(&mut effects.profits) {
        let key = (account.as_str(), symbol.as_str());
        let folded: Option<String> =
            symbol_books::table.find(key).select(symbol_books::settle_asset).first(conn).optional().map_err(&read)?;
        let Some(folded) = folded.filter(|folded| folded != asset.as_str()) else { continue };
        let stated = of(conn, account, &symbol)?.map(|asset| asset.as_str().to_owned());
        let quote: Option<String> =
            instruments::table.find(key).select(instruments::settle_asset).first(conn).optional().map_err(&read)?;
        if stated.or(quote).is_some_and(|asset| asset != folded) {
            effects.mark(&symbol).is_whole = true;
        }
    }
    Ok(())
}
